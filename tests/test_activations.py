"""Bias and activation forward, derivative from the output backward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import reference
from fastmlp import _core
from strategies import ACTIVATIONS, dtypes, edge, normals, seeds
from tolerance import assert_same_bits, ulp_errors, unit_roundoff

kernels = _core.kernels
names = pytest.mark.parametrize("name", ACTIVATIONS)
SHAPES = [(1, 1), (3, 15), (5, 16), (7, 17), (2, 31), (4, 32), (9, 33), (6, 65), (33, 100)]
MAX_ULP = {"identity": 0.5, "relu": 0.5, "sigmoid": 3, "tanh": 3}


def sample(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * normals(rng, shape, dtype), normals(rng, shape[1:], dtype)


@names
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_adds_the_bias_once_and_applies_the_function(name, shape, isa, dtype):
    z, bias = sample(shape, dtype)
    actual = kernels.activation_forward(name, z, bias, isa=isa)
    # The sum is rounded to the dtype before the function sees it.
    exact = reference.activate(name, (z + bias).astype(np.longdouble))
    assert actual.dtype == dtype
    assert actual.shape == shape
    assert ulp_errors(actual, exact).max() <= MAX_ULP[name]


@names
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_multiplies_by_the_slope(name, shape, isa, dtype):
    z, bias = sample(shape, dtype)
    output = kernels.activation_forward(name, z, bias, isa=isa)
    gradient, _ = sample(shape, dtype, seed=1)
    actual = kernels.activation_backward(name, output, gradient, isa=isa)
    assert actual.dtype == dtype
    slope = reference.activation_slope(name, output.astype(np.longdouble))
    exact = gradient * slope
    if name in ("identity", "relu"):
        np.testing.assert_array_equal(actual, exact.astype(dtype))
    else:
        # 1 - output and 1 - output^2 round once in units of 1 at most, the products once each.
        bound = 3 * unit_roundoff(dtype) * np.abs(gradient)
        assert np.all(np.abs(actual - exact) <= bound)


def test_backward_agrees_with_central_differences_of_forward(isa):
    z = np.concatenate([np.linspace(-4, -0.1, 40), np.linspace(0.1, 4, 40)])[None]
    bias = np.zeros(80)
    for name in ACTIVATIONS:
        above = kernels.activation_forward(name, z + 1e-6, bias, isa=isa)
        below = kernels.activation_forward(name, z - 1e-6, bias, isa=isa)
        output = kernels.activation_forward(name, z, bias, isa=isa)
        slope = kernels.activation_backward(name, output, np.ones_like(z), isa=isa)
        np.testing.assert_allclose(slope, (above - below) / 2e-6, rtol=0, atol=1e-9)


@names
@given(rows=edge, columns=edge, seed=seeds, dtype_name=dtypes)
def test_same_bits_on_every_isa(name, rows, columns, seed, dtype_name):
    z, bias = sample((rows, columns), dtype_name, seed)
    expected = kernels.activation_forward(name, z, bias)
    backward = kernels.activation_backward(name, expected, z)
    for isa in _core.isas():
        assert_same_bits(kernels.activation_forward(name, z, bias, isa=isa), expected, isa)
        assert_same_bits(kernels.activation_backward(name, expected, z, isa=isa), backward, isa)


@names
def test_nan_is_not_swallowed(name, isa, dtype):
    """A relu written as max(0, z) would turn a diverged network into a quiet one."""
    z = np.ones((2, 17), dtype)
    z[1, 16] = np.nan
    actual = kernels.activation_forward(name, z, np.zeros(17, dtype), isa=isa)
    expected = np.zeros((2, 17), bool)
    expected[1, 16] = True
    np.testing.assert_array_equal(np.isnan(actual), expected)


def test_relu_has_slope_zero_at_zero(isa, dtype):
    zeros = np.zeros((1, 17), dtype)
    out = kernels.activation_forward("relu", zeros, zeros[0], isa=isa)
    gradient = kernels.activation_backward("relu", out, zeros + 1, isa=isa)
    np.testing.assert_array_equal(gradient, 0)


def test_an_unknown_activation_is_refused():
    z = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="swish"):
        kernels.activation_forward("swish", z, z[0])
