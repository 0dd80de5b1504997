"""Losses with their derivatives and predictions, through packing and unpacking."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import reference
from fastmlp import _core
from machine import FAST_ISAS
from tolerance import assert_within, gamma, unit_roundoff

SHAPES = {"128x10": (128, 10), "4096x10": (4096, 10), "256x1000": (256, 1000)}
CASES = [(size, isa) for size in SHAPES for isa in ("numpy", *FAST_ISAS)] + [("128x10", "generic")]
SINGLE = np.float32
cases = pytest.mark.parametrize(("size", "isa"), CASES, ids=["-".join(case) for case in CASES])


@cache
def outputs_and_targets(shape: tuple[int, int]):
    rng = np.random.default_rng(0)
    outputs = 3 * rng.standard_normal(shape, SINGLE)
    return outputs, rng.integers(0, shape[1], shape[0]), rng.standard_normal(shape, SINGLE)


def numpy_cross_entropy(logits, labels, scale):
    """What the kernel returns, with the exponentials taken once."""
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    row_loss = np.log(total[:, 0]) - shifted[rows, labels]
    dlogits = e / total
    dlogits[rows, labels] -= 1
    dlogits *= scale
    return row_loss, dlogits, logits.argmax(axis=1)


def numpy_mse(outputs, targets, scale):
    difference = outputs - targets
    return np.einsum("ij,ij->i", difference, difference), (2 * scale) * difference


def assert_cross_entropy(actual, logits, labels, scale):
    """Shift (u times the spread in the exponent), exp, a sum of n terms, log, last addition."""
    row_loss, dlogits, predicted = actual
    wide = logits.astype(np.float64)
    exact_loss, exact_gradient = reference.softmax_cross_entropy(wide, labels)
    columns, u = logits.shape[1], unit_roundoff(SINGLE)
    spread = wide.max(axis=1) - wide.min(axis=1)
    relative = gamma(columns + 8, SINGLE) + u * spread
    loss_bound = relative + 8 * u * (np.log(columns) + spread)
    assert_within(row_loss, exact_loss, loss_bound, "row loss")
    bound = scale * ((2 * relative + 4 * u)[:, None] * reference.softmax(wide) + u)
    assert_within(dlogits, exact_gradient * scale, bound, "dlogits")
    np.testing.assert_array_equal(predicted, logits.argmax(axis=1))


def assert_mse(actual, outputs, targets, scale):
    row_loss, doutputs = actual
    exact_loss, exact_gradient = reference.mse(
        outputs.astype(np.float64), targets.astype(np.float64)
    )
    loss_bound = gamma(outputs.shape[1] + 4, SINGLE) * exact_loss
    assert_within(row_loss, exact_loss, loss_bound, "row loss")
    exact_gradient *= scale
    assert_within(doutputs, exact_gradient, gamma(3, SINGLE) * np.abs(exact_gradient), "doutputs")


@cases
def test_softmax_cross_entropy(benchmark, record, size, isa):
    logits, labels, _ = outputs_and_targets(SHAPES[size])
    scale = 1 / len(logits)
    run = numpy_cross_entropy if isa == "numpy" else _core.kernels.softmax_cross_entropy
    settings = {} if isa == "numpy" else {"isa": isa}
    assert_cross_entropy(run(logits, labels, scale, **settings), logits, labels, scale)
    benchmark.group = f"softmax_cross_entropy {size}"
    benchmark(run, logits, labels, scale, **settings)
    record(bytes_moved=8 * logits.size + 16 * len(logits), samples=len(logits), isa=isa)


@cases
def test_mse(benchmark, record, size, isa):
    outputs, _, targets = outputs_and_targets(SHAPES[size])
    scale = 1 / len(outputs)
    run = numpy_mse if isa == "numpy" else _core.kernels.mse
    settings = {} if isa == "numpy" else {"isa": isa}
    assert_mse(run(outputs, targets, scale, **settings), outputs, targets, scale)
    benchmark.group = f"mse {size}"
    benchmark(run, outputs, targets, scale, **settings)
    record(
        flops=4 * outputs.size,  # subtract, square, add; the derivative's scaling
        bytes_moved=12 * outputs.size + 4 * len(outputs),
        samples=len(outputs),
        isa=isa,
    )
