"""Bias, activation and slope forward; backward the derivative that the output tells.

Bounds count in units of u, the unit round-off, and follow from how each function is computed.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import reference_activations
from fastmlp import _core
from strategies import ALL_ACTIVATIONS, dtypes, edge, normals, seeds
from test_math import exact_normal_cdf, normal_cdf_roundoffs, normal_density
from tolerance import assert_same_bits, unit_roundoff

kernels = _core.kernels
names = pytest.mark.parametrize("name", ALL_ACTIVATIONS)
SHAPES = [(1, 1), (3, 15), (5, 16), (7, 17), (2, 31), (4, 32), (9, 33), (6, 65), (33, 100)]
# All others have none and are given 0.
PARAMETERS = {"step": (0.0, 1.0), "sign": (0.0, 1.0), "leaky_relu": (0.01, 0.3), "elu": (1.0, 0.7)}
SLOPE_FROM_OUTPUT = ("identity", "step", "sign", "sigmoid", "tanh", "relu", "leaky_relu")

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double as the reference"
)


# ---------------------------------------------------------------- exact values and bounds


def exact(name, z, parameter):
    """Value and slope, from a normal distribution finer than float64."""
    z = z.astype(np.longdouble)
    if name == "gelu":
        cdf = exact_normal_cdf(z)
        return z * cdf, cdf + z * normal_density(np.clip(z, -200, 200))
    value = reference_activations.value(name, z, parameter)
    return value, reference_activations.slope(name, z, parameter)


# Relative error of each value and slope in units of u; functions not named here are exact there.
# Twice the ulps of exp, sigmoid and tanh, plus one for each product; where a function has its own
# series, measured.  Seen, float32 / float64: elu 1.4 / 1.9, selu 3.1 / 3.5, silu 3.6 / 3.6,
# softplus 3.2 / 3.2, slopes of elu 1.4 / 1.3, of selu 2.8 / 2.8, of softplus 3.1 / 3.1.
VALUE_ROUNDOFFS = {"sigmoid": 6, "tanh": 6, "leaky_relu": 1, "elu": 3, "selu": 5, "silu": 5}
VALUE_ROUNDOFFS |= {"softplus": 5, "hard_sigmoid": 2}
SLOPE_ROUNDOFFS = {"hard_sigmoid": 1, "elu": 3, "selu": 5, "softplus": 6}


def value_roundoffs(name, z, value):
    """Bound of the value's error in units of u."""
    size = np.abs(z)
    if name == "gelu":
        return (normal_cdf_roundoffs(z) + 1) * np.abs(value)
    if name == "gelu_tanh":  # 1 + tanh cancels below zero; beyond -8 nothing is left
        return 3 * np.where(z > -8, size, 8)
    return VALUE_ROUNDOFFS.get(name, 0) * np.abs(value)


def slope_roundoffs(name, z, value, slope):
    """Bound of the slope's error in units of u."""
    size = np.abs(z)
    if name == "sigmoid":  # s (1 - s), s within 6 u of itself, difference and product rounded
        return value * (6 * np.abs(1 - 2 * value) + 2 * (1 - value) + 1)
    if name == "tanh":  # 1 - t^2, t within 3 ulp, which are 6 u of its binade's lower end
        return 6 * np.abs(value) + 1
    if name == "gelu":  # z density + cdf; the density's exponent is not rounded
        from_density = 6 * size * normal_density(np.minimum(size, 200))
        from_cdf = normal_cdf_roundoffs(z) * exact_normal_cdf(z)
        return np.where(size < 200, from_density, 0) + from_cdf + np.abs(slope)
    if name == "gelu_tanh":  # 1 - t^2 is off by 2 u and is multiplied by z du / 2
        near = np.where(size < 8, size, 0)
        return 4 + 2 * near * np.sqrt(2 / np.pi) * (1 + 0.134145 * near**2)
    if name == "silu":  # s (1 + z (1 - s)), s and 1 - s within 6 u of themselves
        s, rest = reference_activations.sigmoid(z), reference_activations.sigmoid(-z)
        return 8 * np.abs(slope) + 6 * s * size * rest
    return SLOPE_ROUNDOFFS.get(name, 0) * np.abs(slope)


def assert_value_and_slope(name, z, parameter, actual):
    """The last term: a factor may have been subnormal before it was multiplied by z."""
    dtype = z.dtype
    wide = z.astype(np.longdouble)
    value, slope = exact(name, z, parameter)
    quantum = np.finfo(dtype).smallest_subnormal * (1 + np.minimum(np.abs(wide), 1000))
    bounds = value_roundoffs(name, wide, value), slope_roundoffs(name, wide, value, slope)
    for what, got, expected, bound in zip(
        ("value", "slope"), actual, (value, slope), bounds, strict=True
    ):
        assert got.dtype == dtype
        assert got.shape == z.shape
        error = np.abs(got - expected)
        allowed = unit_roundoff(dtype) * bound + np.where(bound > 0, quantum, 0)
        good = error <= allowed  # false for NaN
        if not np.all(good):
            at = tuple(np.argwhere(~good)[0])
            raise AssertionError(
                f"{what} of {name} at {z[at]!r} is {got[at]!r}, expected {expected[at]!r} "
                f"within {allowed[at]:.3g}; {np.count_nonzero(~good)} of {good.size} are off"
            )


# ---------------------------------------------------------------- arguments


def parameters_of(name, dtype):
    """As the core sees them: rounded to the dtype."""
    return [float(np.dtype(dtype).type(p)) for p in PARAMETERS.get(name, (0.0,))]


def sample(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return 3 * normals(rng, shape, dtype), normals(rng, shape[1:], dtype)


def without_bias(name, z, parameter=0.0, isa=None):
    """Value and slope of a vector."""
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
        assert_value_and_slope(name, z + bias, parameter, actual)


@names
def test_tails_and_tiny_arguments(name, isa, dtype):
    z = far_and_near(dtype)
    for parameter in parameters_of(name, dtype):
        assert_value_and_slope(name, z, parameter, without_bias(name, z, parameter, isa))


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("elu", -1e-6, -9.999995000001667e-07),  # exp(z) - 1 would have 1 digit in float32
        ("softplus", -30, 9.357622968839737e-14),  # log(1 + exp(z)) would be 0
        ("sigmoid", -30, 9.357622968839299e-14),
        ("silu", -30, -2.8072868906517897e-12),
        ("gelu", -5, -1.4332578593959696e-06),  # (1 + erf) / 2 would be 0
        ("gelu", -10, -7.619853024160526e-23),
    ],
)
def test_tails_that_cancel_when_written_naively(name, z, expected, isa, dtype):
    """Computed with 50 digits; the argument is what the dtype makes of z."""
    actual = without_bias(name, np.array([z], dtype), 1.0, isa)[0]
    np.testing.assert_allclose(actual, [expected], rtol=256 * unit_roundoff(dtype))


def test_slopes_at_kinks(isa, dtype):
    """That of the side z <= 0, of hard_sigmoid 0."""
    zeros = np.array([0.0, -0.0], dtype)
    expected = {"relu": 0.0, "leaky_relu": 0.25, "elu": 0.25, "step": 0.25, "sign": 0.25}
    for name, slope in expected.items():
        actual = without_bias(name, zeros, 0.25, isa)[1]
        np.testing.assert_array_equal(actual, np.full(2, slope))
    np.testing.assert_array_equal(without_bias("step", zeros, 0.0, isa)[0], [0, 0])
    np.testing.assert_array_equal(without_bias("sign", zeros, 0.0, isa)[0], [-1, -1])
    ends = np.array([-3, 3], dtype)
    np.testing.assert_array_equal(without_bias("hard_sigmoid", ends, 0.0, isa)[1], [0, 0])


@names
def test_slopes_are_central_differences_of_the_values(name, isa):
    kinks = np.array([-3.0, 0.0, 3.0])
    z = np.linspace(-6, 6, 241) + 0.01
    assert np.min(np.abs(z[:, None] - kinks)) > 1e-3
    parameter = reference_activations.DEFAULT_PARAMETERS[name]
    step = 1e-5
    above, below = (without_bias(name, z + h, parameter, isa)[0] for h in (step, -step))
    slope = without_bias(name, z, parameter, isa)[1]
    # Truncation, step^2 f''' / 6, and the values' errors of a few u of 6.
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=0, atol=5e-10)


# ---------------------------------------------------------------- backward


@pytest.mark.parametrize("name", SLOPE_FROM_OUTPUT)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_multiplies_by_the_slope(name, shape, isa, dtype):
    """The slope that forward writes down, which is held to the oracle above."""
    z, bias = sample(shape, dtype)
    gradient, _ = sample(shape, dtype, seed=1)
    for parameter in parameters_of(name, dtype):
        value, slope = kernels.activation(name, z, bias, parameter=parameter, isa=isa)
        actual = kernels.activation_backward(name, value, gradient, parameter=parameter, isa=isa)
        assert_same_bits(actual, gradient * slope, name)


@pytest.mark.parametrize("name", sorted(set(ALL_ACTIVATIONS) - set(SLOPE_FROM_OUTPUT)))
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


def test_an_unknown_activation_is_refused():
    z = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="swish"):
        kernels.activation("swish", z, z[0])
