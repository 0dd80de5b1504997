"""The fused multiply-add of each instruction set against exact arithmetic, through a product."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fastmlp import _core

CASES = 40  # rows and columns of a product, whose elements are all compared
DRAWS = 4


def rounded(value: Fraction, dtype: np.dtype) -> float:
    """Return the nearest number of a type, ties to even; a subnormal one becomes zero."""
    if value == 0:
        return 0.0
    limits = np.finfo(dtype)
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent  # 2^exponent <= size < 2^(exponent + 1)
    unit = Fraction(2) ** (exponent - limits.nmant)
    nearest = round(size / unit) * unit
    if nearest < Fraction(2) ** int(limits.minexp):
        return 0.0
    if nearest >= Fraction(2) ** int(limits.maxexp):
        nearest = float("inf")
    return float(nearest) * (1 if value > 0 else -1)


def exact_fma(a: float, b: float, c: float, dtype: np.dtype) -> float:
    if not np.isfinite([a, b, c]).all():
        with np.errstate(invalid="ignore"):
            return float(c if np.isfinite([a, b]).all() else np.float64(a) * b + c)
    smallest = np.finfo(dtype).smallest_normal
    a, b, c = (0.0 if abs(x) < smallest else float(x) for x in (a, b, c))
    return rounded(Fraction(a) * Fraction(b) + Fraction(c), dtype)


def significands(rng, dtype):
    """Return numbers from 1 to 2 and their negatives: of all bits, and with few of them."""
    drawn = 1 + rng.random(CASES)
    few = 1 + rng.integers(0, 4, CASES) * 2.0 ** rng.integers(-np.finfo(dtype).nmant, 0, CASES)
    return (np.where(rng.random(CASES) < 0.5, drawn, few) * rng.choice([-1, 1], CASES)).astype(
        dtype
    )


def midway(rng, dtype):
    """Return operands whose sums are next to the middle of two numbers, or exactly there."""
    bits = np.finfo(dtype).nmant
    near = rng.integers(0, 5, CASES) * dtype.type(2) ** -bits
    c = significands(rng, dtype)
    a = ((1 + near) * dtype.type(2.0) ** -(bits + 1) * rng.choice([-1, 1], CASES)).astype(dtype)
    b = (1 - near).astype(dtype)
    return a, b, c


def rest_of_product(rng, dtype):
    """Return operands whose sum is the rounding error of their product."""
    a, b = significands(rng, dtype), significands(rng, dtype)
    return a, b, -(a * b)


def of_all_sizes(rng, dtype):
    """Return operands whose products and sums overflow, or become subnormal, or are subnormal."""
    limits = np.finfo(dtype)
    lowest, highest = int(limits.minexp) - limits.nmant, int(limits.maxexp) - 1
    a, b, c = (significands(rng, np.dtype(np.float64)) for _ in range(3))
    middle = rng.integers(lowest, highest + 1, CASES)
    power = rng.integers(lowest, highest + 1, CASES)
    with np.errstate(over="ignore", under="ignore"):
        return (
            np.ldexp(a, np.clip(power, lowest, highest)).astype(dtype),
            np.ldexp(b, np.clip(middle - power, lowest, highest)).astype(dtype),
            np.ldexp(c, np.clip(middle + rng.integers(-3, 4, CASES), lowest, highest)).astype(
                dtype
            ),
        )


def special(rng, dtype):
    values = [0.0, 1.0, -2.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny]
    return tuple(rng.choice(values, CASES).astype(dtype) for _ in range(3))


@pytest.mark.parametrize("draw", [significands, midway, rest_of_product, of_all_sizes, special])
def test_each_sum_is_rounded_once(draw, dtype):
    dtype = np.dtype(dtype)
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        operands = (
            [draw(rng, dtype) for _ in range(3)] if draw is significands else draw(rng, dtype)
        )
        a, b, c = operands
        x = np.stack([c, a], axis=1)
        w = np.stack([np.ones_like(b), b])
        wanted = np.array([[exact_fma(a[i], b[j], c[i], dtype) for j in range(CASES)]
                           for i in range(CASES)], dtype)  # fmt: skip
        for isa in _core.isas():
            found = _core.kernels.gemm_nn(x, w, isa=isa)
            differing = np.argwhere((found != wanted) & ~(np.isnan(found) & np.isnan(wanted)))
            assert not len(differing), [
                (seed, isa, [float(x).hex() for x in (a[i], b[j], c[i], found[i, j], wanted[i, j])])
                for i, j in differing[:3]
            ]  # fmt: skip
