"""Elementwise functions: largest error, edges, equal bits on every ISA.

The exact values come from 80-bit long double arithmetic, 2^11 times finer than float64.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

import reference_activations
from fastmlp import _core
from strategies import DTYPES
from tolerance import assert_same_bits, ulp_errors, unit_roundoff

# The promise.  Seen on these samples, float32 / float64: exp 1.02 / 0.95, log 0.75 / 0.77,
# tanh 2.11 / 2.39, sigmoid 2.46 / 2.24, log1p 0.83 / 0.80.
MAX_ULP = {"exp": 2, "log": 2, "tanh": 3, "sigmoid": 3, "log1p": 2}
FUNCTIONS = (*MAX_ULP, "normal_cdf", "inverse_normal_cdf")
# AS 241 PPND7 promises about 1e-7; float32 adds its roundings.  Largest over all 2^23 numbers that
# noise can draw: 3.70e-7 and 1.173e-7.
INVERSE_CDF_ERROR = {"float32": 4e-7, "float64": 1.2e-7}

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double as the reference"
)


# ---------------------------------------------------------------- exact values


def exact(name, x):
    x = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            e = np.exp(-np.abs(x))
            return np.where(x >= 0, 1 / (1 + e), np.where(np.isnan(x), x, e / (1 + e)))
        return getattr(np, name)(x)


def normal_density(x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """The square in two parts, because its rounding error would be one of the exponent."""
    near = np.round(x * 16) / 16  # few bits: its square is exact
    root_two_pi = np.sqrt(8 * np.arctan(np.longdouble(1)))
    return np.exp(-near * near / 2) * np.exp(-(x - near) * (x + near) / 2) / root_two_pi


def exact_normal_cdf(x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Power series up to 2, Laplace's continued fraction beyond: both relative to 2^-59.

    M. Abramowitz and I. Stegun, "Handbook of mathematical functions", 1964, 26.2.11 and 26.2.14.
    """
    size = np.minimum(np.abs(x), np.longdouble(200))  # where it underflows by far
    small, large = np.minimum(size, 2), np.maximum(size, 2)
    term = small
    series = small
    for k in range(1, 40):
        term = term * small**2 / (2 * k + 1)
        series = series + term
    fraction = large
    for k in range(200, 0, -1):
        fraction = large + k / fraction
    density = normal_density(size)
    upper = np.where(size < 2, 0.5 - density * series, density / fraction)
    return np.where(x < 0, upper, 1 - upper)


def normal_cdf_roundoffs(x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Relative error allowed to the normal distribution function, in units of u.

    x / sqrt(2) carries a relative error of 2 u (the constant's and the product's), so e^(-x^2 / 2)
    one of 2 x^2 u.  The rest is measured: at most 4.1 u below zero, 2.9 u above.
    """
    return np.where(x < 0, 2 * np.maximum(x, -40) ** 2 + 6, 4)


# ---------------------------------------------------------------- arguments


def sample(dtype):
    """Bit patterns a prime apart over the whole range, and densely where the functions bend."""
    dtype = np.dtype(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    top = float(2 ** (8 * dtype.itemsize))
    stride = 40_009 if dtype.itemsize == 4 else 2**47 + 5
    count = int(top // stride)
    patterns = np.arange(count, dtype=np.uint64) * np.uint64(stride)
    everywhere = patterns.astype(unsigned).view(dtype)
    everywhere = everywhere[~np.isnan(everywhere)]
    edge = 104 if dtype.itemsize == 4 else 746
    rng = np.random.default_rng(0)
    dense = [rng.uniform(-r, r, 30_000) for r in (1e-3, 0.5, 2, 20, edge)]
    # Results of log near 1 and of exp near its overflow and underflow.
    dense += [rng.uniform(0.5, 2, 30_000), 1 + rng.uniform(-1e-4, 1e-4, 10_000)]
    high = np.log(float(np.finfo(dtype).max))
    dense += [rng.uniform(high - 1e-2, high + 1e-2, 5_000)]
    dense += [rng.uniform(-edge, 0.82 * -edge, 20_000)]
    return np.concatenate([everywhere, np.concatenate(dense).astype(dtype)])


SAMPLES = {name: sample(name) for name in DTYPES}


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
