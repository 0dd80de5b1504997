"""Tests of the checkers: right results pass, and each kind of wrong result fails."""

from __future__ import annotations

import numpy as np
import pytest

from support import reference, tolerance
from support.strategies import DTYPES, normals, oracle_network, problem


@pytest.fixture
def product(dtype):
    rng = np.random.default_rng(1)
    a, b = normals(rng, (33, 97), dtype), normals(rng, (97, 33), dtype)
    return a @ b, a, b


def test_a_correct_product_passes(product):
    tolerance.assert_product(*product)


def test_zeros_a_transpose_and_one_wrong_element_are_caught(product):
    c, a, b = product
    one_off = c.copy()
    one_off[32, 32] *= 1.01
    dropped_k = a[:, :-1] @ b[:-1]
    for wrong in (np.zeros_like(c), np.ascontiguousarray(c.T), one_off, dropped_k, c[:, :-1]):
        with pytest.raises(AssertionError):
            tolerance.assert_product(wrong, a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_non_finite_element_is_caught(product, value):
    c, a, b = product
    c[0, 0] = value
    with pytest.raises(AssertionError, match="1 of"):
        tolerance.assert_product(c, a, b)


def test_a_bound_that_accepts_anything_is_refused():
    with pytest.raises(AssertionError, match="not meaningful"):
        tolerance.assert_within(np.ones(3), np.ones(3), np.full(3, 0.5))


@pytest.mark.parametrize("dtype_name", DTYPES)
def test_ulp_errors(dtype_name):
    dtype = np.dtype(dtype_name)
    info = np.finfo(dtype)
    one = np.array([1], dtype)
    exact = np.array([1], np.longdouble)
    assert tolerance.ulp_errors(one, exact)[0] == 0
    assert tolerance.ulp_errors(np.nextafter(one, dtype.type(2)), exact)[0] == 1
    assert tolerance.ulp_errors(np.nextafter(one, dtype.type(0)), exact)[0] == 0.5
    tiny = np.array([info.smallest_subnormal])
    assert tolerance.ulp_errors(tiny, np.zeros(1, np.longdouble))[0] == 1
    inf, nan = np.array([np.inf], dtype), np.array([np.nan], dtype)
    beyond = np.array([info.max], np.longdouble) * 2
    assert tolerance.ulp_errors(inf, beyond)[0] == 0
    assert tolerance.ulp_errors(nan, np.array([np.nan], np.longdouble))[0] == 0
    for wrong in (inf, -inf, nan):
        assert tolerance.ulp_errors(wrong, exact)[0] == np.inf
    assert tolerance.ulp_errors(one, np.array([np.nan], np.longdouble))[0] == np.inf


def test_same_bits_sees_signs_of_zero_and_accepts_any_nan():
    zero = np.zeros(2, np.float32)
    with pytest.raises(AssertionError):
        tolerance.assert_same_bits(zero, -zero)
    with pytest.raises(AssertionError):
        tolerance.assert_same_bits(zero, zero.astype(np.float64))
    nan = np.full(2, np.nan, np.float32)
    tolerance.assert_same_bits(nan, -nan)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mse"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_running_error_bound_holds_and_means_something(activation, loss):
    x, y = problem(loss, 16, 5, 3, "float32")
    net = oracle_network(activation, "identity", loss)
    net.weights = [w / 2 for w in net.weights]
    rounded = reference.Network(
        [w.astype(np.float32) for w in net.weights],
        [b.astype(np.float32) for b in net.biases],
        activation,
        loss=loss,
    )
    net.weights = [w.astype(np.float64) for w in rounded.weights]
    net.biases = [b.astype(np.float64) for b in rounded.biases]
    net.reset_velocities()
    bound = tolerance.RunningErrorBound(net, "float32")
    # The steps of mse are long, and long steps make any honest bound explode.
    rate = 0.05 if loss == "softmax_cross_entropy" else 0.01
    for _ in range(5):
        bound.step(net, x, y, rate, 0.9, 0.01)
        net.step(x, y, rate, 0.9, l2=0.01)
        rounded.step(x, y, rate, 0.9, l2=0.01)
        rounded.weights = [w.astype(np.float32) for w in rounded.weights]
        rounded.biases = [b.astype(np.float32) for b in rounded.biases]
    for actual, exact, allowed in zip(
        rounded.weights + rounded.biases,
        net.weights + net.biases,
        bound.weights + bound.biases,
        strict=True,
    ):
        tolerance.assert_within(actual, exact, allowed)
