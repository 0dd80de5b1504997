"""Elementwise functions: largest error, edges, equal bits on every ISA.

The exact values come from 80-bit long double arithmetic, 2^11 times finer than float64.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from fastmlp import _core
from support import reference_activations
from support.elementwise import (
    INVERSE_CDF_ERROR,
    MAX_ULP,
    SAMPLES,
    exact,
    exact_normal_cdf,
    normal_cdf_roundoffs,
)
from support.tolerance import assert_same_bits, ulp_errors, unit_roundoff

FUNCTIONS = (*MAX_ULP, "normal_cdf", "inverse_normal_cdf")

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double as the reference"
)


# ---------------------------------------------------------------- exact values


# ---------------------------------------------------------------- arguments


def in_domain(name, x):
    if name == "log1p":
        return x[x > -1]
    if name == "inverse_normal_cdf":
        return x[(x > 0) & (x < 1)]
    return x


def drawn(dtype, stride=1):
    """The numbers in (0, 1) that noise draws, of 23 bits each."""
    return ((np.arange(0, 2**23, stride) + 0.5) * 2.0**-23).astype(dtype)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("name", MAX_ULP)
def test_error_in_ulps(name, dtype):
    x = in_domain(name, SAMPLES[dtype])
    errors = ulp_errors(_core.kernels.elementwise(name, x), exact(name, x))
    worst = int(np.argmax(errors))
    assert errors[worst] <= MAX_ULP[name], f"{name}({x[worst]!r}) is off by {errors[worst]} ulp"


def test_error_of_the_normal_cdf(dtype):
    underflow = -14.6 if dtype == "float32" else -38.7
    tail = np.random.default_rng(1).uniform(underflow, 0, 50_000).astype(dtype)
    x = np.concatenate([SAMPLES[dtype][::3], tail])
    wide = x.astype(np.longdouble)
    expected = exact_normal_cdf(wide)
    bound = normal_cdf_roundoffs(wide) * unit_roundoff(dtype) * expected
    bound += np.finfo(dtype).smallest_subnormal
    error = np.abs(_core.kernels.elementwise("normal_cdf", x) - expected)
    worst = int(np.argmax(error / bound))
    assert error[worst] <= bound[worst], f"normal_cdf({x[worst]!r}) is off by {error[worst]}"


def test_error_of_the_inverse_normal_cdf(dtype):
    p = np.concatenate([in_domain("inverse_normal_cdf", SAMPLES[dtype])[::2], drawn(dtype, 97)])
    actual = _core.kernels.elementwise("inverse_normal_cdf", p).astype(np.float64)
    expected = np.array([NormalDist().inv_cdf(float(one)) for one in p])
    bound = INVERSE_CDF_ERROR[dtype] * np.abs(expected)
    worst = int(np.argmax(np.abs(actual - expected) - bound))
    assert np.all(np.abs(actual - expected) <= bound), f"{actual[worst]} at {p[worst]!r}"


# ---------------------------------------------------------------- the same on every ISA, edges


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_on_every_isa(name, isa, dtype):
    x = SAMPLES[dtype]
    expected = _core.kernels.elementwise(name, x)
    assert_same_bits(_core.kernels.elementwise(name, x, isa=isa), expected, name)


SPECIAL = {
    "exp": [(0.0, 1), (-0.0, 1), (np.inf, np.inf), (-np.inf, 0), (1e4, np.inf), (-1e4, 0)],
    "log": [(1, 0), (0.0, -np.inf), (-0.0, -np.inf), (np.inf, np.inf), (-1, np.nan)]
    + [(-np.inf, np.nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1), (-np.inf, -1), (1e30, 1), (-1e30, -1)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0), (1e4, 1), (-1e4, 0)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30), (1, np.log(2)), (np.inf, np.inf)]
    + [(-1, -np.inf), (-1.5, np.nan), (-np.inf, np.nan)],
    "normal_cdf": [(0.0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0), (1e30, 1), (-1e30, 0)]
    + [(40, 1), (-40, 0)],
    "inverse_normal_cdf": [(0.5, 0.0)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name, isa, dtype):
    x, expected = (np.array(v, dtype) for v in zip(*SPECIAL[name], (np.nan, np.nan), strict=True))
    assert_same_bits(_core.kernels.elementwise(name, x, isa=isa), expected, name)


@pytest.mark.parametrize("name", MAX_ULP)
def test_subnormal_arguments_and_results(name, isa, dtype):
    info = np.finfo(dtype)
    tiny = info.smallest_subnormal * np.array([1, 2, 3, 1000, 2 ** (info.nmant - 1)], dtype)
    low = -np.log(np.array([1], dtype) / info.tiny) * np.array([1, 1.01, 1.05], dtype)
    x = in_domain(name, np.concatenate([tiny, -tiny, low]).astype(dtype))
    errors = ulp_errors(_core.kernels.elementwise(name, x, isa=isa), exact(name, x))
    assert errors.max() <= MAX_ULP[name]


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "normal_cdf"])
def test_symmetry_and_range(name, dtype):
    x = np.abs(SAMPLES[dtype])
    up, down = (_core.kernels.elementwise(name, v) for v in (x, -x))
    assert np.all(up <= 1)
    if name == "tanh":
        assert_same_bits(down, -up)
    else:
        assert np.all(down >= 0)
        np.testing.assert_allclose(up + down, 1, rtol=0, atol=4 * np.finfo(dtype).eps)


def test_every_deviate_has_its_mirror_image(dtype):
    """Symmetric to the last bit and ascending, over all 2^23 numbers that noise can draw."""
    deviates = _core.kernels.elementwise("inverse_normal_cdf", drawn(dtype))
    assert_same_bits(deviates[::-1], -deviates)
    assert np.all(np.diff(deviates) >= 0)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_value_does_not_depend_on_its_place(name, length, isa, dtype):
    x = np.linspace(0.01, 0.99, 33).astype(dtype)
    whole = _core.kernels.elementwise(name, x, isa=isa)
    assert_same_bits(_core.kernels.elementwise(name, x[:length].copy(), isa=isa), whole[:length])


# ---------------------------------------------------------------- the reference itself


def test_normal_tails_in_print(isa):
    """M. Abramowitz and I. Stegun 1964, table 26.2: -log10 of the upper tail."""
    x = np.array([5.0, 10, 15, 20, 25, 30, 35])
    printed = [6.54265, 23.11805, 50.43522, 88.56010, 137.51475, 197.30921, 267.94888]
    tails = (_core.kernels.elementwise("normal_cdf", -x, isa=isa), exact_normal_cdf(-x))
    for tail in tails:
        np.testing.assert_allclose(-np.log10(tail), printed, rtol=0, atol=5.1e-6)


def test_both_references_of_the_normal_cdf_agree():
    """The float64 one rounds z / sqrt(2) and its complementary error function."""
    x = np.concatenate([np.linspace(-37, -2, 500), np.linspace(-2, 8, 500)])
    wide = exact_normal_cdf(x.astype(np.longdouble))
    error = np.abs(reference_activations.normal_cdf(x) - wide) / wide
    assert np.all(error <= normal_cdf_roundoffs(x) * unit_roundoff("float64"))
