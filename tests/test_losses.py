"""Loss kernels: row losses, derivatives, predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import reference
from fastmlp import _core
from strategies import dtypes, edge, normals, seeds
from tolerance import assert_same_bits, assert_within, gamma, unit_roundoff

kernels = _core.kernels
SHAPES = [(1, 1), (4, 2), (5, 10), (3, 15), (7, 16), (2, 17), (6, 31), (3, 32), (9, 33), (8, 100)]
SCALE = 1 / 128


def logits_and_labels(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * normals(rng, shape, dtype), rng.integers(0, shape[1], shape[0])


def cross_entropy_bounds(logits, dtype):
    """Bounds for the row loss and, relative to the probability, for the softmax.

    Shift (u * spread in the exponent), exp (2 ulp), sum of n terms, log (2 ulp), last addition.
    """
    n, u = logits.shape[1], unit_roundoff(dtype)
    spread = np.max(logits, axis=1) - np.min(logits, axis=1)
    relative = gamma(n + 8, dtype) + u * spread
    return relative + 8 * u * (np.log(n) + spread), (2 * relative + 4 * u)[:, None]


@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_cross_entropy(shape, isa, dtype):
    logits, labels = logits_and_labels(shape, dtype)
    row_loss, dlogits, predicted = kernels.softmax_cross_entropy(logits, labels, SCALE, isa=isa)
    assert row_loss.dtype == dlogits.dtype == dtype
    assert predicted.dtype == np.int32
    wide = logits.astype(np.longdouble)
    exact_loss, exact_gradient = reference.softmax_cross_entropy(wide, labels)
    loss_bound, relative = cross_entropy_bounds(logits, dtype)
    np.testing.assert_array_equal(predicted, logits.argmax(axis=1))
    if shape[1] == 1:  # one class is certain
        np.testing.assert_array_equal(row_loss, 0)
        np.testing.assert_array_equal(dlogits, 0)
        return
    assert_within(row_loss, exact_loss, loss_bound, "row loss")
    bound = SCALE * (relative * reference.softmax(wide) + unit_roundoff(dtype))
    assert_within(dlogits, exact_gradient * SCALE, bound, "dlogits")


@pytest.mark.parametrize("shape", SHAPES)
def test_mse(shape, isa, dtype):
    rng = np.random.default_rng(1)
    outputs, targets = normals(rng, shape, dtype), normals(rng, shape, dtype)
    row_loss, doutputs = kernels.mse(outputs, targets, SCALE, isa=isa)
    assert row_loss.dtype == doutputs.dtype == dtype
    exact_loss, exact_gradient = reference.mse(
        outputs.astype(np.longdouble), targets.astype(np.longdouble)
    )
    assert_within(row_loss, exact_loss, gamma(shape[1] + 4, dtype) * exact_loss, "row loss")
    exact_gradient = exact_gradient * SCALE
    assert_within(doutputs, exact_gradient, gamma(3, dtype) * np.abs(exact_gradient), "doutputs")


@pytest.mark.parametrize("columns", [10, 33])
def test_each_class_as_label(columns, isa, dtype):
    """The gradient is negative at the label and nowhere else: an off-by-one cannot hide."""
    logits = np.zeros((columns, columns), dtype)
    labels = np.arange(columns)[::-1].copy()
    row_loss, dlogits, predicted = kernels.softmax_cross_entropy(logits, labels, 1.0, isa=isa)
    np.testing.assert_allclose(row_loss, np.log(columns), rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(dlogits < 0, np.eye(columns, dtype=bool)[::-1])
    np.testing.assert_array_equal(predicted, 0)


def test_huge_logits_neither_overflow_nor_underflow(isa, dtype):
    logits = np.array([[1e4, -1e4, 0], [-1e30, -1e30, -1e30], [1e30, 0, 1e30]], dtype)
    row_loss, dlogits, predicted = kernels.softmax_cross_entropy(
        logits, np.array([1, 0, 0]), 1.0, isa=isa
    )
    np.testing.assert_allclose(row_loss, [2e4, np.log(3), np.log(2)], rtol=1e-6)
    expected = [[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3], [-0.5, 0, 0.5]]
    np.testing.assert_allclose(dlogits, expected, rtol=1e-6)
    np.testing.assert_array_equal(predicted, [0, 0, 0])


@pytest.mark.parametrize("columns", [2, 16, 17, 40])
def test_prediction_is_the_first_maximum(columns, isa, dtype):
    rng = np.random.default_rng(2)
    logits = rng.integers(0, 3, (200, columns)).astype(dtype)
    predicted = kernels.softmax_cross_entropy(logits, np.zeros(200, np.int64), 1.0, isa=isa)[2]
    np.testing.assert_array_equal(predicted, logits.argmax(axis=1))


def test_nan_reaches_the_loss(isa, dtype):
    logits = np.zeros((3, 5), dtype)
    logits[1, 4] = np.nan
    row_loss = kernels.softmax_cross_entropy(logits, np.zeros(3, np.int64), 1.0, isa=isa)[0]
    np.testing.assert_array_equal(np.isnan(row_loss), [False, True, False])
    row_loss = kernels.mse(logits, np.zeros((3, 5), dtype), 1.0, isa=isa)[0]
    np.testing.assert_array_equal(np.isnan(row_loss), [False, True, False])


@given(rows=edge, columns=edge, seed=seeds, name=dtypes)
def test_same_bits_on_every_isa(rows, columns, seed, name):
    logits, labels = logits_and_labels((rows, columns), name, seed)
    targets = normals(np.random.default_rng(seed), (rows, columns), name)
    cross_entropy = kernels.softmax_cross_entropy(logits, labels, SCALE)
    squared = kernels.mse(logits, targets, SCALE)
    for isa in _core.isas():
        other = kernels.softmax_cross_entropy(logits, labels, SCALE, isa=isa)
        for a, b in zip(other, cross_entropy, strict=True):
            assert_same_bits(a, b, isa)
        for a, b in zip(kernels.mse(logits, targets, SCALE, isa=isa), squared, strict=True):
            assert_same_bits(a, b, isa)
