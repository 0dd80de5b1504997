"""Exact values and derivatives of activations, and bounds of the errors of their kernels."""

from __future__ import annotations

import numpy as np

from support import reference_activations
from support.elementwise import exact_normal_cdf, normal_cdf_roundoffs, normal_density
from support.tolerance import unit_roundoff

# All others have none and receive 0.
PARAMETERS = {"step": (0.0, 1.0), "sign": (0.0, 1.0), "leaky_relu": (0.01, 0.3), "elu": (1.0, 0.7)}
DERIVATIVE_FROM_OUTPUT = ("identity", "step", "sign", "sigmoid", "tanh", "relu", "leaky_relu")


def exact(name, z, parameter):
    """Return value and derivative, by a normal distribution that is more exact than float64."""
    z = z.astype(np.longdouble)
    if name == "gelu":
        cdf = exact_normal_cdf(z)
        return z * cdf, cdf + z * normal_density(np.clip(z, -200, 200))
    value = reference_activations.value(name, z, parameter)
    return value, reference_activations.derivative(name, z, parameter)


# Relative errors of values and derivatives in units of u; functions not named here are exact.
# Twice the ulps of exp, sigmoid and tanh, plus one for each product; where a function has its own
# series, measured.  Seen, float32 / float64: elu 1.4 / 1.9, selu 3.1 / 3.5, silu 3.6 / 3.6,
# softplus 3.2 / 3.2, derivatives of elu 1.4 / 1.3, of selu 2.8 / 2.8, of softplus 3.1 / 3.1.
VALUE_ROUNDOFFS = {"sigmoid": 6, "tanh": 6, "leaky_relu": 1, "elu": 3, "selu": 5, "silu": 5}
VALUE_ROUNDOFFS |= {"softplus": 5, "hard_sigmoid": 2, "mish": 8}
DERIVATIVE_ROUNDOFFS = {"hard_sigmoid": 1, "elu": 3, "selu": 5, "softplus": 6}


def value_roundoffs(name, z, value):
    """Return a bound of the value's error in units of u."""
    size = np.abs(z)
    if name == "gelu":
        return (normal_cdf_roundoffs(z) + 1) * np.abs(value)
    if name == "gelu_tanh":  # 1 + tanh cancels below zero; beyond -8 nothing is left
        return 3 * np.where(z > -8, size, 8)
    return VALUE_ROUNDOFFS.get(name, 0) * np.abs(value)


def derivative_roundoffs(name, z, value, derivative):
    """Return a bound of the derivative's error in units of u."""
    size = np.abs(z)
    if name == "sigmoid":  # s (1 - s), s within 6 u of itself, difference and product rounded
        return value * (6 * np.abs(1 - 2 * value) + 2 * (1 - value) + 1)
    if name == "tanh":  # 1 - t^2, t within 3 ulp, which are 6 u of its binade's lower end
        return 6 * np.abs(value) + 1
    if name == "gelu":  # z density + cdf; the density's exponent is not rounded
        from_density = 6 * size * normal_density(np.minimum(size, 200))
        from_cdf = normal_cdf_roundoffs(z) * exact_normal_cdf(z)
        return np.where(size < 200, from_density, 0) + from_cdf + np.abs(derivative)
    if name == "gelu_tanh":  # 1 - t^2 is off by 2 u and is multiplied by z du / 2
        near = np.where(size < 8, size, 0)
        return 4 + 2 * near * np.sqrt(2 / np.pi) * (1 + 0.134145 * near**2)
    if name == "silu":  # s (1 + z (1 - s)), s and 1 - s within 6 u of themselves
        s, rest = reference_activations.sigmoid(z), reference_activations.sigmoid(-z)
        return 8 * np.abs(derivative) + 6 * s * size * rest
    if name == "mish":  # tanh and z times its derivative, each within 8 u and 14 u of itself
        tanh = value / np.where(z == 0, 1, z)
        return 8 * np.abs(tanh) + 14 * np.abs(derivative - tanh) + np.abs(derivative)
    return DERIVATIVE_ROUNDOFFS.get(name, 0) * np.abs(derivative)


def assert_value_and_derivative(name, z, parameter, actual):
    """Compare with the exact values; the bound's last term is for factors that were subnormal."""
    dtype = z.dtype
    wide = z.astype(np.longdouble)
    value, derivative = exact(name, z, parameter)
    quantum = np.finfo(dtype).smallest_subnormal * (1 + np.minimum(np.abs(wide), 1000))
    bounds = value_roundoffs(name, wide, value), derivative_roundoffs(name, wide, value, derivative)
    for what, got, expected, bound in zip(
        ("value", "derivative"), actual, (value, derivative), bounds, strict=True
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
