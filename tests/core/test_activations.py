"""Bias, activation and derivative forward; backward the derivative that the output tells.

Bounds count in units of u, the unit round-off, and follow from how each function is computed.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from fastmlp import _core
from support import reference_activations
from support.activation_bounds import (
    DERIVATIVE_FROM_OUTPUT,
    PARAMETERS,
    assert_value_and_derivative,
)
from support.strategies import ALL_ACTIVATIONS, dtypes, edge, normals, seeds
from support.tolerance import assert_same_bits, gamma, unit_roundoff

kernels = _core.kernels
names = pytest.mark.parametrize("name", ALL_ACTIVATIONS)
SHAPES = [(1, 1), (3, 15), (5, 16), (7, 17), (2, 31), (4, 32), (9, 33), (6, 65), (33, 100)]

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double as the reference"
)


# ---------------------------------------------------------------- exact values and bounds


# ---------------------------------------------------------------- arguments


def parameters_of(name, dtype):
    """As the core sees them: rounded to the dtype."""
    return [float(np.dtype(dtype).type(p)) for p in PARAMETERS.get(name, (0.0,))]


def sample(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * normals(rng, shape, dtype), normals(rng, shape[1:], dtype)


def without_bias(name, z, parameter=0.0, isa=None):
    """Value and derivative of a vector."""
    z = z[None]
    outputs = kernels.activation(name, z, np.zeros_like(z[0]), parameter=parameter, isa=isa)
    return [one[0] for one in outputs]


def far_and_near(dtype):
    """From the smallest to huge arguments, beside kinks, in both tails."""
    rng = np.random.default_rng(3)
    underflow = 105 if dtype == "float32" else 750
    dense = [rng.uniform(-r, r, 2000) for r in (1e-3, 0.5, 2, 6, 20, underflow)]
    tiny = np.exp(rng.uniform(-80, 0, 2000)) * rng.choice([-1, 1], 2000)
    huge = np.finfo(dtype).max / 2
    special = [0.0, -0.0, huge, -huge, 1e4, -1e4, -3, 3, np.nextafter(3, 0), np.nextafter(-3, 0)]
    return np.concatenate([*dense, tiny, special]).astype(dtype)


# ---------------------------------------------------------------- forward


@names
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_adds_the_bias_once_and_applies_the_function(name, shape, isa, dtype):
    z, bias = sample(shape, dtype)
    for parameter in parameters_of(name, dtype):
        actual = kernels.activation(name, z, bias, parameter=parameter, isa=isa)
        # The sum is rounded to the dtype before the function sees it.
        assert_value_and_derivative(name, z + bias, parameter, actual)


@names
def test_tails_and_tiny_arguments(name, isa, dtype):
    z = far_and_near(dtype)
    for parameter in parameters_of(name, dtype):
        assert_value_and_derivative(name, z, parameter, without_bias(name, z, parameter, isa))


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("elu", -1e-6, -9.999995000001667e-07),  # exp(z) - 1 would have 1 digit in float32
        ("softplus", -30, 9.357622968839737e-14),  # log(1 + exp(z)) would be 0
        ("sigmoid", -30, 9.357622968839299e-14),
        ("silu", -30, -2.8072868906517897e-12),
        ("mish", -30, -2.8072868906519209e-12),
        ("gelu", -5, -1.4332578593959696e-06),  # (1 + erf) / 2 would be 0
        ("gelu", -10, -7.619853024160526e-23),
    ],
)
def test_tails_that_cancel_when_written_naively(name, z, expected, isa, dtype):
    """Computed with 50 digits; the argument is what the dtype makes of z."""
    actual = without_bias(name, np.array([z], dtype), 1.0, isa)[0]
    np.testing.assert_allclose(actual, [expected], rtol=256 * unit_roundoff(dtype))


def test_derivatives_at_kinks(isa, dtype):
    """That of the side z <= 0, of hard_sigmoid 0."""
    zeros = np.array([0.0, -0.0], dtype)
    expected = {"relu": 0.0, "leaky_relu": 0.25, "elu": 0.25, "step": 0.25, "sign": 0.25}
    for name, derivative in expected.items():
        actual = without_bias(name, zeros, 0.25, isa)[1]
        np.testing.assert_array_equal(actual, np.full(2, derivative))
    np.testing.assert_array_equal(without_bias("step", zeros, 0.0, isa)[0], [0, 0])
    np.testing.assert_array_equal(without_bias("sign", zeros, 0.0, isa)[0], [-1, -1])
    ends = np.array([-3, 3], dtype)
    np.testing.assert_array_equal(without_bias("hard_sigmoid", ends, 0.0, isa)[1], [0, 0])


@names
def test_derivatives_are_central_differences_of_the_values(name, isa):
    kinks = np.array([-3.0, 0.0, 3.0])
    z = np.linspace(-6, 6, 241) + 0.01
    assert np.min(np.abs(z[:, None] - kinks)) > 1e-3
    parameter = reference_activations.DEFAULT_PARAMETERS[name]
    step = 1e-5
    above, below = (without_bias(name, z + h, parameter, isa)[0] for h in (step, -step))
    derivative = without_bias(name, z, parameter, isa)[1]
    # Truncation, step^2 f''' / 6, and the values' errors of a few u of 6.
    np.testing.assert_allclose(derivative, (above - below) / (2 * step), rtol=0, atol=5e-10)


# ---------------------------------------------------------------- backward


@pytest.mark.parametrize("name", DERIVATIVE_FROM_OUTPUT)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_multiplies_by_the_derivative(name, shape, isa, dtype):
    """The derivative that forward writes down, which is held to the oracle above."""
    z, bias = sample(shape, dtype)
    gradient, _ = sample(shape, dtype, seed=1)
    for parameter in parameters_of(name, dtype):
        value, derivative = kernels.activation(name, z, bias, parameter=parameter, isa=isa)
        actual = kernels.activation_backward(name, value, gradient, parameter=parameter, isa=isa)
        assert_same_bits(actual, gradient * derivative, name)


@pytest.mark.parametrize("name", sorted(set(ALL_ACTIVATIONS) - set(DERIVATIVE_FROM_OUTPUT)))
def test_backward_refuses_an_output_that_does_not_tell(name):
    ones = np.ones((1, 1), np.float32)
    with pytest.raises(ValueError, match=f"derivative of {name} does not follow from its output"):
        kernels.activation_backward(name, ones, ones)


# ---------------------------------------------------------------- what holds for all


@names
@given(rows=edge, columns=edge, seed=seeds, dtype_name=dtypes)
def test_same_bits_on_every_isa(name, rows, columns, seed, dtype_name):
    z, bias = sample((rows, columns), dtype_name, seed)
    parameter = parameters_of(name, dtype_name)[-1]
    expected = kernels.activation(name, z, bias, parameter=parameter)
    for isa in _core.isas():
        actual = kernels.activation(name, z, bias, parameter=parameter, isa=isa)
        for one, other in zip(actual, expected, strict=True):
            assert_same_bits(one, other, isa)


@names
def test_same_bits_in_the_tails(name, isa, dtype):
    z = far_and_near(dtype)
    parameter = parameters_of(name, dtype)[-1]
    for one, other in zip(
        without_bias(name, z, parameter, isa), without_bias(name, z, parameter), strict=True
    ):
        assert_same_bits(one, other, isa)


@names
def test_nan_is_not_swallowed(name, isa, dtype):
    """A relu written as max(0, z) would turn a diverged network into a quiet one."""
    z = np.ones((2, 17), dtype)
    z[1, 16] = np.nan
    actual = kernels.activation(name, z, np.zeros(17, dtype), parameter=0.5, isa=isa)[0]
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(z))


# ---------------------------------------------------------------- mixed with the identity


def mixes_of(columns, dtype, seed=0):
    """With both ends, and beyond."""
    mixes = np.random.default_rng(seed).uniform(-0.5, 1.5, columns).astype(dtype)
    mixes[::3], mixes[1::5] = 1, 0
    return mixes


@names
@pytest.mark.parametrize("shape", SHAPES)
def test_mixed_with_the_identity(name, shape, isa, dtype):
    """v + mix (act(v) - v) of the values and derivatives that are held to the oracle above."""
    z, bias = sample(shape, dtype)
    mixes = mixes_of(shape[1], dtype)
    v, u = z + bias, 1.01 * unit_roundoff(dtype)
    for parameter in parameters_of(name, dtype):
        value, derivative = kernels.activation(name, z, bias, parameter=parameter)
        mixed, slope, residues, alone = kernels.activation_mixed(
            name, z, bias, mixes, parameter=parameter, isa=isa
        )
        assert_same_bits(alone, mixed, "without derivatives")
        assert_same_bits(residues, value - v, "residues")
        for got, start, end in ((mixed, v, value), (slope, np.ones_like(v), derivative)):
            start, end, mix = (one.astype(np.longdouble) for one in (start, end, mixes))
            rest = (1 - mix) * start
            exact = mix * end + rest
            assert np.all(np.abs(got - exact) <= u * (np.abs(rest) + np.abs(exact)))
        np.testing.assert_array_equal(mixed[:, mixes == 1], value[:, mixes == 1])
        np.testing.assert_array_equal(slope[:, mixes == 1], derivative[:, mixes == 1])
        assert_same_bits(mixed[:, mixes == 0], v[:, mixes == 0])
        assert np.all(slope[:, mixes == 0] == 1)


@names
@given(rows=edge, columns=edge, seed=seeds, dtype_name=dtypes)
def test_mixed_has_the_same_bits_on_every_isa(name, rows, columns, seed, dtype_name):
    z, bias = sample((rows, columns), dtype_name, seed)
    mixes = mixes_of(columns, dtype_name, seed)
    parameter = parameters_of(name, dtype_name)[-1]
    expected = kernels.activation_mixed(name, z, bias, mixes, parameter=parameter)
    for isa in _core.isas():
        actual = kernels.activation_mixed(name, z, bias, mixes, parameter=parameter, isa=isa)
        for one, other in zip(actual, expected, strict=True):
            assert_same_bits(one, other, isa)


@names
def test_gradients_of_mixed_are_central_differences(name, isa):
    """By the pre-activation and by the mixes, of a weighted sum; away from kinks."""
    z = np.linspace(-6, 6, 241).reshape(241, 1) + np.linspace(0.005, 0.02, 5)
    parameter = reference_activations.DEFAULT_PARAMETERS[name]
    mixes, bias = np.array([0, 0.3, 1, 1.4, -0.5]), np.zeros(5)
    gradient, _ = sample(z.shape, "float64", seed=2)

    def total(z, mixes):
        mixed = kernels.activation_mixed(name, z, bias, mixes, parameter=parameter, isa=isa)
        return mixed[0] * gradient

    _, slope, residues, _ = kernels.activation_mixed(
        name, z, bias, mixes, parameter=parameter, isa=isa
    )
    terms, dz = kernels.multiply_mixed(slope, residues, gradient, isa=isa)
    step = 1e-5
    by_z = (total(z + step, mixes) - total(z - step, mixes)) / (2 * step)
    by_mix = (total(z, mixes + step) - total(z, mixes - step)) / (2 * step)
    np.testing.assert_allclose(dz, by_z, rtol=0, atol=1e-8)
    np.testing.assert_allclose(terms, by_mix, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_multiply_mixed(shape, isa, dtype):
    slope, _ = sample(shape, dtype, 1)
    residues, _ = sample(shape, dtype, 2)
    gradient, _ = sample(shape, dtype, 3)
    terms, dz = kernels.multiply_mixed(slope, residues, gradient, isa=isa)
    assert_same_bits(terms, residues * gradient)
    assert_same_bits(dz, slope * gradient)


# ---------------------------------------------------------------- factors of columns


@pytest.mark.parametrize("shape", SHAPES)
def test_scaled_columns(shape, isa, dtype):
    x, scales = sample(shape, dtype)
    assert_same_bits(kernels.scale_columns(scales, x, isa=isa), scales * x)


@pytest.mark.parametrize("shape", [*SHAPES, (129, 20), (1000, 3)])
def test_dot_products_of_columns(shape, isa, dtype):
    a, _ = sample(shape, dtype, 1)
    b, _ = sample(shape, dtype, 2)
    actual = kernels.dot_columns(a, b, isa=isa)
    assert_same_bits(actual, kernels.dot_columns(a, b))
    wide = a.astype(np.longdouble) * b
    assert np.all(np.abs(actual - wide.sum(0)) <= gamma(140, dtype) * np.abs(wide).sum(0))
    # With ones, and with itself, it is a sum that the tests of sums hold to its order.
    sums, squares, *_ = kernels.column_sums(a, isa=isa)
    assert_same_bits(kernels.dot_columns(a, np.ones_like(a), isa=isa), sums)
    assert_same_bits(kernels.dot_columns(a, a, isa=isa), squares)


def test_an_unknown_activation_is_refused():
    z = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="swish"):
        kernels.activation("swish", z, z[0])
