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
from support.embeddings import TURN_ERROR, TWO_PI
from support.tolerance import assert_same_bits, ulp_errors, unit_roundoff

TURNS = ("cos_turns", "sin_turns")
FUNCTIONS = (*MAX_ULP, "normal_cdf", "inverse_normal_cdf", *TURNS)

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


def angles(dtype):
    """In turns: up to 2^20, beside quarters and eighths, and tiny ones."""
    rng = np.random.default_rng(2)
    spread = [rng.uniform(-r, r, 50_000) for r in (1e-3, 0.2, 1, 20, 2.0**20)]
    corners = (np.arange(-64, 65) / 8).astype(dtype)
    beside = [np.nextafter(corners, to) for to in (-np.inf, np.inf)]
    tiny = np.finfo(dtype).smallest_subnormal * np.array([-1, 1, 1000])
    return np.concatenate([*spread, corners, *beside, tiny]).astype(dtype)


@pytest.mark.parametrize("name", TURNS)
def test_error_of_cosine_and_sine_of_turns(name, isa, dtype):
    """Absolute; whole turns are subtracted without an error.  Seen: 8.4e-8 and 1.4e-16."""
    t = angles(dtype)
    wide = t.astype(np.longdouble)
    function = np.cos if name == "cos_turns" else np.sin
    error = np.abs(
        _core.kernels.elementwise(name, t, isa=isa) - function(TWO_PI * (wide - np.rint(wide)))
    )
    worst = int(np.argmax(error))
    assert error[worst] <= TURN_ERROR[dtype], f"{name}({t[worst]!r}) is off by {error[worst]}"


def test_identities_of_turns(dtype):
    t = angles(dtype)
    cosine, sine = (_core.kernels.elementwise(name, t) for name in TURNS)
    assert np.all(np.abs(cosine) <= 1)
    assert np.all(np.abs(sine) <= 1)
    assert_same_bits(_core.kernels.elementwise("cos_turns", -t), cosine)
    assert_same_bits(_core.kernels.elementwise("sin_turns", -t), -sine)
    # Beyond, every number is whole, then half of a turn is one.
    whole = 2.0 ** np.arange(np.finfo(dtype).nmant, 120)
    whole = whole.astype(dtype)
    assert np.all(_core.kernels.elementwise("cos_turns", whole) == 1)
    assert np.all(_core.kernels.elementwise("sin_turns", whole) == 0)
    halves = 2.0 ** np.arange(np.finfo(dtype).nmant) + 0.5
    assert np.all(_core.kernels.elementwise("cos_turns", halves.astype(dtype)) == -1)


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
    "cos_turns": [(0.0, 1), (-0.0, 1), (0.5, -1), (-3, 1), (np.inf, np.nan), (-np.inf, np.nan)],
    "sin_turns": [(0.0, 0.0), (-0.0, -0.0), (0.25, 1), (-0.25, -1), (0.75, -1), (5.25, 1)]
    + [(np.inf, np.nan), (-np.inf, np.nan)],
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


# ---------------------------------------------------------------- smooth clip


def clipped(x, bound):
    """x / sqrt(1 + (x / bound)^2) and its derivative, without overflow."""
    x, bound = x.astype(np.longdouble), np.longdouble(bound)
    return x / np.hypot(1, x / bound), np.hypot(1, x / bound) ** -3


@pytest.mark.parametrize("bound", [3.0, 0.1, 1e4])
def test_smooth_clip(bound, isa, dtype):
    x = SAMPLES[dtype]
    x = x[np.isfinite(x)]
    bound = float(np.dtype(dtype).type(bound))
    value, derivative = clipped(x, bound)
    actual = _core.kernels.smooth_clip(x, bound, isa=isa)
    # A quotient, its square's half at most, a sum, a root and a quotient.
    assert ulp_errors(actual, value).max() <= 3
    assert np.all(np.abs(actual) <= bound)
    assert_same_bits(_core.kernels.smooth_clip(-x, bound, isa=isa), -actual)
    slope = _core.kernels.smooth_clip_backward(x, np.ones_like(x), bound, isa=isa)
    assert ulp_errors(slope, derivative)[np.abs(x) < 1e8].max() <= 7
    gradient = np.random.default_rng(0).standard_normal(len(x)).astype(dtype)
    product = _core.kernels.smooth_clip_backward(x, gradient, bound, isa=isa)
    assert_same_bits(product, gradient * slope)
    for of_isa, of_active in (
        (actual, _core.kernels.smooth_clip(x, bound)),
        (slope, _core.kernels.smooth_clip_backward(x, np.ones_like(x), bound)),
    ):
        assert_same_bits(of_isa, of_active)


def test_smooth_clip_at_the_ends(isa, dtype):
    huge = np.finfo(dtype).max
    x = np.array([np.inf, -np.inf, huge, -huge, 0.0, -0.0, np.nan], dtype)
    expected = np.array([3, -3, 3, -3, 0.0, -0.0, np.nan], dtype)
    assert_same_bits(_core.kernels.smooth_clip(x, 3.0, isa=isa), expected)
    slopes = _core.kernels.smooth_clip_backward(x, np.ones_like(x), 3.0, isa=isa)
    np.testing.assert_allclose(slopes[:6], [0, 0, 0, 0, 1, 1], rtol=0)
    assert np.isnan(slopes[6])


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 33])
def test_smooth_clip_does_not_depend_on_the_place(length, isa, dtype):
    x = np.linspace(-9, 9, 33).astype(dtype)
    whole = _core.kernels.smooth_clip(x, 3.0)
    assert_same_bits(_core.kernels.smooth_clip(x[:length].copy(), 3.0, isa=isa), whole[:length])


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
