"""Training: steps through the core for every instruction set, epochs through MLP.fit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import fastmlp
from fastmlp import _core
from machine import FAST_ISAS, THREADS, limit_blas
from step_bound import StepBound, assert_update
from support import reference
from support.tolerance import assert_same_bits
from workloads import (
    LARGE,
    LEARNING_RATE,
    MOMENTUM,
    SEED,
    SETTINGS,
    WORKLOADS,
    NumpyTrainer,
    Workload,
)

Parameters = list[NDArray]
CHECKED_STEPS = 2  # the second is the first with a nonzero velocity
EPOCH_SAMPLES = 5_000
ALL = WORKLOADS | LARGE
NAMES = [*WORKLOADS, *(pytest.param(name, marks=pytest.mark.large) for name in LARGE)]
ENGINES = [(isa, threads) for isa in ("numpy", *FAST_ISAS) for threads in THREADS]
FIT_ENGINES = [("numpy", 1), *(("fit", t) for t in THREADS), ("fit", None)]


def ids(engines):
    return [f"{isa}-{'auto' if threads is None else f'{threads}t'}" for isa, threads in engines]


class CoreTrainer:
    """A network of the core on one instruction set."""

    def __init__(self, workload: Workload, isa: str, threads: int) -> None:
        spec = fastmlp.MLP(
            workload.layers, activation=workload.activation, input_scale=workload.input_scale
        ).architecture.spec()
        self.network = _core.Network32(spec, isa)
        self.network.initialize(workload.initializer, 0.0, SEED)
        self.run = _core.Run32(self.network, workload.batch, "momentum", threads)
        self.layers = range(len(workload.layers) - 1)

    def parameters(self) -> Parameters:
        return [
            *(self.network.get("weights", i) for i in self.layers),
            *(self.network.get("biases", i) for i in self.layers),
        ]

    def epoch(self, x: NDArray, y: NDArray) -> None:
        result = self.run.run_epoch(x, [y], SETTINGS, seed=SEED)
        assert result["status"] == "completed", result


class FitTrainer:
    """The same through the public interface."""

    def __init__(self, workload: Workload, threads: int | None) -> None:
        self.model = fastmlp.MLP(
            workload.layers,
            activation=workload.activation,
            input_scale=workload.input_scale,
            seed=SEED,
        )
        self.settings = {
            "epochs": 1,
            "batch_size": workload.batch,
            "optimizer": fastmlp.SGD(learning_rate=LEARNING_RATE, momentum=MOMENTUM),
            "threads": threads,
            "verbose": 0,
        }

    def parameters(self) -> Parameters:
        return [*self.model.weights, *self.model.biases]

    def epoch(self, x: NDArray, y: NDArray) -> None:
        self.model.fit(x, y, **self.settings)


class PeerTrainer:
    """NumPy, with the initial weights and the orders of the core."""

    def __init__(self, workload: Workload) -> None:
        self.numpy = NumpyTrainer(workload, *initial_parameters(workload))

    def parameters(self) -> Parameters:
        return self.numpy.parameters

    def epoch(self, x: NDArray, y: NDArray) -> None:
        loss = self.numpy.epoch(x, y, _core.permutation(len(x), SEED, 0))
        assert np.isfinite(loss)


Trainer = CoreTrainer | FitTrainer | PeerTrainer


def initial_parameters(workload: Workload) -> tuple[Parameters, Parameters]:
    drawn = CoreTrainer(workload, "", 1).parameters()
    return drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]


@cache
def oracle_updates(workload: Workload) -> tuple[Parameters, Parameters, Parameters]:
    """Initial parameters, what the checked steps add to them in float64, and the bounds."""
    weights, biases = initial_parameters(workload)
    start = [p.astype(np.float64) for p in (*weights, *biases)]
    net = reference.Network(
        [p.copy() for p in start[: len(weights)]],
        [p.copy() for p in start[len(weights) :]],
        activation=workload.activation,
        input_scale=workload.input_scale,
    )
    net.reset_velocities()
    bound = StepBound(net)
    x, y = workload.data(CHECKED_STEPS)
    for rows in reference.minibatches(_core.permutation(len(x), SEED, 0), workload.batch):
        bound.step(net, x[rows], y[rows], LEARNING_RATE, MOMENTUM)
        net.step(x[rows], y[rows], LEARNING_RATE, MOMENTUM)
    updates = [new - old for new, old in zip((*net.weights, *net.biases), start, strict=True)]
    weight_bounds, bias_bounds = bound.bounds()
    return start, updates, [*weight_bounds, *bias_bounds]


def assert_steps(trainer: Trainer, workload: Workload) -> None:
    """Two steps against the reference: updates, as two steps hardly change the weights."""
    trainer.epoch(*workload.data(CHECKED_STEPS))
    start, updates, bounds = oracle_updates(workload)
    for i, new in enumerate(trainer.parameters()):
        assert_update(new - start[i], updates[i], bounds[i], f"parameter {i}")


@cache
def epoch_parameters(workload: Workload, steps: int) -> Parameters:
    """Parameters after the timed epoch, by one thread on the best instruction set."""
    trainer = CoreTrainer(workload, "", 1)
    trainer.epoch(*workload.data(steps))
    return trainer.parameters()


def assert_epoch(trainer: Trainer, workload: Workload, steps: int) -> None:
    """The whole timed epoch has equal bits for any instruction set and any number of threads."""
    trainer.epoch(*workload.data(steps))
    for new, expected in zip(trainer.parameters(), epoch_parameters(workload, steps), strict=True):
        assert_same_bits(np.asarray(new), expected)


def run_benchmark(
    benchmark, record, workload: Workload, steps: int, make: Callable[[], Trainer], threads, isa
) -> None:
    """Check, then time epochs that each continue from the previous one."""
    if isa == "numpy" and threads is not None:
        with limit_blas(threads) as limited:
            if limited is None and threads != THREADS[-1]:
                pytest.skip("the threads of this BLAS cannot be set")
            assert_steps(make(), workload)
            benchmark(make().epoch, *workload.data(steps))
            threads = limited
    else:
        assert_steps(make(), workload)
        assert_epoch(make(), workload, steps)
        benchmark(make().epoch, *workload.data(steps))
    samples = steps * workload.batch
    record(
        flops=samples * workload.flops_per_sample,
        bytes_moved=steps * workload.bytes_per_step(),
        steps=steps,
        samples=samples,
        threads=threads,
        gemm=True,
        isa=isa,
        layers="-".join(map(str, workload.layers)),
        batch=workload.batch,
    )


@pytest.mark.parametrize(("isa", "threads"), ENGINES, ids=ids(ENGINES))
@pytest.mark.parametrize("name", NAMES)
def test_step(benchmark, record, name, isa, threads):
    workload = ALL[name]

    def make() -> Trainer:
        if isa == "numpy":
            return PeerTrainer(workload)
        return CoreTrainer(workload, isa, threads)

    benchmark.group = f"training step {name}"
    run_benchmark(benchmark, record, workload, workload.steps, make, threads, isa)


@pytest.mark.parametrize(("engine", "threads"), FIT_ENGINES, ids=ids(FIT_ENGINES))
@pytest.mark.parametrize("name", list(WORKLOADS))
def test_epoch(benchmark, record, name, engine, threads):
    workload = WORKLOADS[name]

    def make() -> Trainer:
        return PeerTrainer(workload) if engine == "numpy" else FitTrainer(workload, threads)

    benchmark.group = f"epoch {name}"
    isa = "numpy" if engine == "numpy" else _core.active_isa()
    steps = EPOCH_SAMPLES // workload.batch
    run_benchmark(benchmark, record, workload, steps, make, threads, isa)
