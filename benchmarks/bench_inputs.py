"""Columns of zeros in training; prediction of one row and of many."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import fastmlp
from fastmlp.network.samples import Data
from fastmlp.training.run import Run
from machine import THREADS
from support.tolerance import assert_same_bits
from workloads import SEED, SETTINGS, WORKLOADS, Workload

# Share of the columns that are zero in every sample; MNIST: 51 % in a batch of 10, 33 % in 128.
ZERO_SHARES = (0.0, 0.3, 0.6)
NETS = {"nielsen": (784, 30, 10), "mnist": (784, 512, 512, 10)}
MANY = 60_000


@cache
def batches_with_zeros(workload: Workload, share: float):
    x, y = workload.data(workload.steps)
    x = x.copy()
    columns = np.random.default_rng(SEED).permutation(x.shape[1])[: round(share * x.shape[1])]
    x[:, columns] = 0
    return x, y


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("share", ZERO_SHARES)
@pytest.mark.parametrize("name", ["nielsen", "small", "mnist"])
def test_zero_columns(benchmark, record, name, share, threads):
    """Flops are those of the dense computation; a rate above the peak means skipped work."""
    workload = WORKLOADS[name]
    x, y = batches_with_zeros(workload, share)
    weights = []
    for team in (1, threads):
        model = fastmlp.MLP(
            workload.layers,
            activation=workload.activation,
            input_scale=workload.input_scale,
            seed=SEED,
        )
        run = Run(model, workload.batch, "momentum", team)
        run.epoch(Data(x, [y]), SETTINGS)
        weights.append(model.weights[0])
    assert_same_bits(*weights)
    benchmark.group = f"zero columns {name}"
    benchmark(run.epoch, Data(x, [y]), SETTINGS)
    record(
        flops=len(x) * workload.flops_per_sample,
        bytes_moved=workload.steps * workload.bytes_per_step(),
        steps=workload.steps,
        samples=len(x),
        threads=threads,
    )


@pytest.mark.parametrize("rows", [1, MANY])
@pytest.mark.parametrize("name", NETS)
def test_predict(benchmark, record, name, rows):
    """`MLP.predict` with its own choice of threads, on random bytes."""
    sizes = NETS[name]
    model = fastmlp.MLP(sizes, input_scale=1 / 255, seed=SEED)
    x = np.random.default_rng(SEED).integers(0, 256, (rows, sizes[0]), np.uint8)
    assert_same_bits(model.forward(x[:1]), model.forward(x)[:1])
    benchmark.group = f"predict {name} {rows}"
    benchmark(model.predict, x)
    weights = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
    record(flops=2 * weights * rows, bytes_moved=4 * weights + x.nbytes, samples=rows, threads=None)
