"""Sums over many rows: bias gradients, moments, norms.

Rows are added in blocks of 128, ascending, and the sums of blocks as a tree.  What a sum may be off
by follows from the additions that a term can go through: N. Higham, "Accuracy and Stability of
Numerical Algorithms", 2002, section 4.2.
"""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmlp
from fastmlp import _core
from support.paths import ROOT
from support.strategies import dtypes, edge, normals, seeds
from support.tolerance import assert_same_bits, assert_within, gamma, unit_roundoff

kernels = _core.kernels
KERNELS = ROOT / "cpp" / "kernels"
BLOCK = 128
ROWS = [1, 127, 128, 129, 256, 385, 10_000, 1_000_000]
rows_of = pytest.mark.parametrize("rows", ROWS)


def additions(rows: int) -> int:
    """That a term goes through: those of its block, and one for each level of the tree."""
    return min(rows, BLOCK) - 1 + max(-(-rows // BLOCK) - 1, 0).bit_length() + 1


def sample(rows, dtype, columns=3):
    """Of one sign, so that errors do not cancel, and far from 0 beside their spread."""
    return np.random.default_rng(rows).uniform(1, 2, (rows, columns)).astype(dtype)


def wide(x):
    return x.astype(np.longdouble)


# ---------------------------------------------------------------- errors


@rows_of
def test_column_sums_and_squares(rows, dtype):
    x = sample(rows, dtype)
    sums, squares, *_ = kernels.column_sums(x)
    bound = gamma(additions(rows) + 1, dtype)
    assert_within(sums, wide(x).sum(axis=0), bound * np.abs(wide(x)).sum(axis=0), "sum")
    squared = (wide(x) ** 2).sum(axis=0)
    assert_within(squares, squared, bound * squared, "sum of squares")


@rows_of
def test_column_moments(rows, dtype):
    x = sample(rows, dtype)
    _, _, mean, variance = kernels.column_sums(x)
    bound, u = gamma(additions(rows) + 2, dtype), unit_roundoff(dtype)
    off_center = bound * np.abs(wide(x)).mean(axis=0)
    assert_within(mean, wide(x).mean(axis=0), off_center, "mean")
    exact = wide(x).var(axis=0)
    if rows == 1:
        np.testing.assert_array_equal(variance, 0)
        return
    # Distances from a center that is off, each within u of itself, twice in its square.
    allowed = (bound + 3 * u) * exact + off_center**2
    assert_within(variance, exact, allowed, "variance")


@rows_of
@pytest.mark.parametrize("from_batch", [True, False])
def test_gradients_of_batch_normalization(rows, from_batch, dtype):
    normalized, gradient = sample(rows, dtype), sample(rows + 1, dtype)[1:]
    d_scales, d_shift, d_values = kernels.normalize_backward(
        normalized, gradient, from_batch=from_batch
    )
    n, g = wide(normalized), wide(gradient)
    bound, u = gamma(additions(rows) + 2, dtype), unit_roundoff(dtype)
    assert_within(d_shift, g.sum(axis=0), bound * g.sum(axis=0), "shift")
    assert_within(d_scales, (n * g).sum(axis=0), bound * (n * g).sum(axis=0), "scales")
    if not from_batch:
        assert_same_bits(d_values, gradient)
        return
    shift, scale = g.mean(axis=0), n * (n * g).mean(axis=0)
    error = np.abs(d_values - (g - shift - scale))
    assert np.all(error <= (bound + 4 * u) * (np.abs(g) + shift + scale))


@rows_of
def test_norms_that_are_limited(rows, dtype):
    weights = sample(rows, dtype)
    norms = np.sqrt((wide(weights) ** 2).sum(axis=0))
    exact = wide(weights) / norms
    bound = gamma(additions(rows) + 6, dtype) / 2
    assert_within(kernels.limit_norms(weights, 1.0), exact, bound * exact, "limited")


@rows_of
def test_whole_numbers_are_exact(rows, isa, dtype):
    """Below 2^24, whatever their order."""
    if isa == "generic" and rows > 10_000:
        pytest.skip("the generic kernels take minutes")
    rng = np.random.default_rng(rows)
    x, g = (rng.integers(-3, 4, (rows, 17)).astype(dtype) for _ in range(2))
    sums, squares, *_ = kernels.column_sums(x, isa=isa)
    np.testing.assert_array_equal(sums, x.sum(axis=0, dtype=np.float64))
    np.testing.assert_array_equal(squares, (x.astype(np.float64) ** 2).sum(axis=0))
    d_scales, d_shift, _ = kernels.normalize_backward(x, g, from_batch=False, isa=isa)
    np.testing.assert_array_equal(d_shift, g.sum(axis=0, dtype=np.float64))
    np.testing.assert_array_equal(d_scales, (x * g).sum(axis=0, dtype=np.float64))


def available_memory() -> float:
    """Bytes; infinity where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return float("inf")
    return 1024 * float(re.search(r"MemAvailable:\s+(\d+)", text).group(1))


def test_twenty_million_ones():
    """More than float32 can count in steps of one; in panels of 16 columns."""
    rows = 20_000_000
    isa = next(name for name in ("avx2", "generic") if name in _core.isas())
    if available_memory() < 6e9:
        pytest.skip("needs 5 GB")
    ones = np.ones((rows, 1), np.float32)
    results = kernels.column_sums(ones, isa=isa)
    np.testing.assert_array_equal(np.ravel(results), [rows, rows, 1, 0])


# ---------------------------------------------------------------- order


def blocked_sum(terms):
    """The order in print, one rounding for each addition."""
    blocks = [terms[first : first + BLOCK] for first in range(0, len(terms), BLOCK)]
    waiting = []  # (blocks in it, sum), as a binary counter holds them
    for block in blocks:
        total = np.zeros_like(block[0])
        for row in block:
            total = total + row
        count = 1
        while waiting and waiting[-1][0] == count:
            earlier, before = waiting.pop()
            total, count = before + total, count + earlier
        waiting.append((count, total))
    total = np.zeros_like(terms[0])
    for _, part in reversed(waiting):
        total = part + total
    return total


@pytest.mark.parametrize("rows", [1, 2, 127, 128, 129, 255, 256, 257, 640, 896, 1000, 4097])
def test_the_order_of_the_additions(rows, isa, dtype):
    x = normals(np.random.default_rng(rows), (rows, 5), dtype)
    assert_same_bits(kernels.column_sums(x, isa=isa)[0], blocked_sum(x))


@given(rows=st.integers(1, 1500), columns=edge, seed=seeds, name=dtypes)
def test_same_bits_on_every_isa(rows, columns, seed, name):
    """Panels are of 16 columns or 32, so a column's bits do not depend on the panel's width."""
    rng = np.random.default_rng(seed)
    x, g = (normals(rng, (rows, columns), name) for _ in range(2))
    expected = [
        *kernels.column_sums(x),
        *kernels.normalize_backward(x, g, from_batch=True),
        kernels.limit_norms(x, 1.0),
    ]
    for isa in _core.isas():
        actual = [
            *kernels.column_sums(x, isa=isa),
            *kernels.normalize_backward(x, g, from_batch=True, isa=isa),
            kernels.limit_norms(x, 1.0, isa=isa),
        ]
        for one, other in zip(actual, expected, strict=True):
            assert_same_bits(one, other, isa)


def test_nan_and_infinity_stay(isa, dtype):
    for bad in (np.nan, np.inf):
        x = np.ones((300, 2), dtype)
        x[200, 1] = bad
        for column in kernels.column_sums(x, isa=isa):
            assert np.isfinite(column[0])
            assert not np.isfinite(column[1])


# ---------------------------------------------------------------- all of them


def accumulators_in_row_loops(source: str) -> list[str]:
    """Variables that a loop over rows adds to, though they were made outside of it."""
    found = []
    for loop in re.finditer(r"for \(std::int64_t (row|r) = [^)]*\)\s*", source):
        rest = source[loop.end() :]
        if rest.startswith("{"):
            depths = accumulate({"{": 1, "}": -1}.get(letter, 0) for letter in rest)
            body = rest[: next(at for at, depth in enumerate(depths) if depth == 0)]
        else:
            body = rest[: rest.index(";")] + ";"
        sums = re.findall(r"\b(\w+) \+= ", body)
        sums += re.findall(r"\b(\w+) = fma\([^;]*, \1\)", body)
        numbers = r"\b(?:Vec<T>|Lanes16<T>|T|double) (\w+)(?:\[\w*\])?(?:\{| =|;)"
        made = re.findall(numbers, source), re.findall(numbers, body)
        found += [name for name in sums if name in made[0] and name not in made[1]]
    return found


def test_no_kernel_adds_rows_in_one_accumulator():
    for path in sorted(KERNELS.glob("*.inl.hpp")):
        found = accumulators_in_row_loops(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name} adds rows to {found}: use sum_rows of row_sums.inl.hpp"


def test_the_scan_finds_one():
    loop = "for (std::int64_t row = 0; row < rows; ++row) "
    adding = "Vec<T> sum{}; " + loop + "sum += load(values + row);"
    assert accumulators_in_row_loops(adding) == ["sum"]
    adding = "Vec<T> squares{}; " + loop + "{ squares = fma(d, d, squares); }"
    assert accumulators_in_row_loops(adding) == ["squares"]
    assert not accumulators_in_row_loops("std::int64_t at = 0; " + loop + "{ at += kPanel<T>; }")
    assert not accumulators_in_row_loops(loop + "{ Vec<T> sum{}; sum += load(values); }")


# ---------------------------------------------------------------- through a network


def test_bias_gradient_of_a_million_rows():
    """By the mean of the rows' own gradients, which are all of one sign."""
    rows, dtype = 1_000_000, "float32"
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, (rows, 1)).astype(dtype)
    y = np.zeros((rows, 1), dtype)
    model = fastmlp.MLP([1, 1], loss="half_mse", dtype=dtype, seed=0)
    model.weights, model.biases = [np.ones((1, 1))], [np.ones(1)]
    _, _, (bias,) = model.loss_and_gradients(x, y)
    exact = (x.astype(np.float64) + 1).mean()
    bound = gamma(additions(rows) + 4, dtype) * abs(exact)
    assert abs(float(bias[0]) - exact) <= bound
