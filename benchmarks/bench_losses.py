"""Losses with their derivatives and the rows that are right, through packing and unpacking."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from machine import FAST_ISAS
from support import reference
from support.loss_cases import Case, bounds_of, targets_of
from support.tolerance import assert_within

SINGLE = np.float32
LEVEL = 0.25
# The panels that a call allocates stay below 128 KiB: from there on the C library asks the system
# for new pages at every call, and the time is theirs.
SHAPES = {"128x10": (128, 10), "512x10": (512, 10), "16x1000": (16, 1000)}
LOSSES = {
    case.name: case
    for case in (
        Case("softmax_cross_entropy", "classes"),
        Case("mse"),
        Case("hinge", "classes"),
        Case("binary_cross_entropy", "yes or no"),
        Case("half_mse"),
        Case("mae"),
        Case("huber", parameter=1.0),
        Case("poisson", "counts"),
        Case("quantile", parameter=LEVEL),
    )
}
OFTEN = ("softmax_cross_entropy", "mse")
CASES = [(name, size, isa) for name in OFTEN for size in SHAPES for isa in ("numpy", *FAST_ISAS)]
CASES += [(name, "128x10", "generic") for name in OFTEN]
CASES += [
    (name, "512x10", isa) for name in LOSSES if name not in OFTEN for isa in ("numpy", *FAST_ISAS)
]


# ---------------------------------------------------------------- what the kernels return, in NumPy


def cross_entropy(logits, labels):
    """With the exponentials taken once."""
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    row_loss = np.log(total[:, 0]) - shifted[rows, labels]
    dlogits = e / total
    dlogits[rows, labels] -= 1
    return row_loss, dlogits, logits.argmax(axis=1) == labels


def hinge(scores, labels):
    rows = np.arange(len(scores))
    margin = scores - scores[rows, labels][:, None] + 1
    margin[rows, labels] = 0
    dscores = (margin > 0).astype(SINGLE)
    dscores[rows, labels] = -dscores.sum(axis=1)
    return np.maximum(margin, 0).sum(axis=1), dscores, scores.argmax(axis=1) == labels


def binary_cross_entropy(logits, targets):
    loss = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    correct = ((logits > 0) == (targets > 0.5)).all(axis=1)
    return loss.sum(axis=1), reference.sigmoid(logits) - targets, correct


def mse(outputs, targets):
    difference = outputs - targets
    return np.einsum("ij,ij->i", difference, difference), 2 * difference


def half_mse(outputs, targets):
    difference = outputs - targets
    return np.einsum("ij,ij->i", difference, difference) / 2, difference


def mae(outputs, targets):
    difference = outputs - targets
    return np.abs(difference).sum(axis=1), np.sign(difference)


def huber(outputs, targets):
    """With delta 1."""
    difference = outputs - targets
    cut = np.clip(difference, -1, 1)
    return (cut * (difference - cut / 2)).sum(axis=1), cut


def poisson(log_rates, counts):
    rates = np.exp(log_rates)
    return (rates - counts * log_rates).sum(axis=1), rates - counts


def quantile(outputs, targets):
    excess = targets - outputs
    derivative = np.where(excess > 0, SINGLE(-LEVEL), SINGLE(1 - LEVEL))
    return -np.einsum("ij,ij->i", derivative, excess), derivative


NUMPY = {
    function.__name__: function
    for function in (hinge, binary_cross_entropy, mse, half_mse, mae, huber, poisson, quantile)
} | {"softmax_cross_entropy": cross_entropy}


def numpy_loss(name, outputs, targets, scale):
    row_loss, gradient, *correct = NUMPY[name](outputs, targets)
    gradient *= SINGLE(scale)
    return row_loss, gradient, *correct


# ---------------------------------------------------------------- checks and times


@cache
def outputs_and_targets(name: str, size: str):
    rng = np.random.default_rng(0)
    outputs = 3 * rng.standard_normal(SHAPES[size], SINGLE)
    return outputs, targets_of(LOSSES[name], rng, SHAPES[size], SINGLE)


def assert_loss(actual, name, size, weakness):
    """Within the bounds of the tests, or so many times as far."""
    outputs, targets = outputs_and_targets(name, size)
    row_loss, gradient, *_ = actual
    exact_loss, exact_gradient = LOSSES[name].exact(outputs, targets)
    loss_bound, bound = bounds_of(LOSSES[name], outputs, targets)
    assert_within(row_loss, exact_loss, weakness * loss_bound, "row loss")
    assert_within(gradient, exact_gradient / len(outputs), weakness * bound / len(outputs))


@pytest.mark.parametrize(("name", "size", "isa"), CASES, ids=["-".join(case) for case in CASES])
def test_loss(benchmark, record, name, size, isa):
    outputs, targets = outputs_and_targets(name, size)
    arguments = (outputs, targets, 1 / len(outputs))
    if isa == "numpy":
        run, settings = numpy_loss, {}
        arguments = (name, *arguments)
    else:
        run, settings = LOSSES[name].run, {"isa": isa}
    # NumPy's exp and log round up to twice as much.
    assert_loss(run(*arguments, **settings), name, size, 2 if isa == "numpy" else 1)
    benchmark.group = f"{name} {size}"
    benchmark(run, *arguments, **settings)
    record(
        flops=4 * outputs.size if name == "mse" else None,  # difference, square, sum, scaling
        bytes_moved=8 * outputs.size + targets.nbytes + 8 * len(outputs),
        samples=len(outputs),
        isa=isa,
    )
