"""The three matrix products: exact on integers, within gamma_k otherwise, equal bits always."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from fastmlp import _core
from support import reference
from support.strategies import (
    DEPTHS,
    DTYPES,
    EDGES,
    dtypes,
    edge,
    gemm_shapes,
    normals,
    seeds,
    small_integers,
)
from support.tolerance import assert_product, assert_same_bits

kernels = _core.kernels


def forward(left, right, **options):
    return kernels.gemm_nn(left, right, **options)


def backward_weights(left, right, **options):
    return kernels.gemm_tn(np.ascontiguousarray(left.T), right, **options)


def backward_data(left, right, **options):
    return kernels.gemm_nt(left, np.ascontiguousarray(right.T), **options)


def backward_data_by_rows(left, right, **options):
    return kernels.gemm_nt_by_rows(left, np.ascontiguousarray(right.T), **options)


# Each takes (rows, depth) and (depth, columns) and returns their product by another way.
PRODUCTS = (forward, backward_weights, backward_data, backward_data_by_rows)
products = pytest.mark.parametrize("product", PRODUCTS, ids=lambda f: f.__name__)


def test_kernels_compute_what_their_names_say(dtype, isa):
    rng = np.random.default_rng(0)
    x, w, dz = (small_integers(rng, s, dtype) for s in ((5, 3), (3, 4), (5, 4)))
    for actual, expected in (
        (kernels.gemm_nn(x, w, isa=isa), reference.gemm_nn(x, w)),
        (kernels.gemm_tn(x, dz, isa=isa), reference.gemm_tn(x, dz)),
        (kernels.gemm_nt(dz, w, isa=isa), reference.gemm_nt(dz, w)),
    ):
        assert actual.dtype == dtype
        np.testing.assert_array_equal(actual, expected)


@products
def test_every_row_and_column_edge_is_exact(product, isa, dtype):
    rng = np.random.default_rng(1)
    left, right = small_integers(rng, (65, 7), dtype), small_integers(rng, (7, 65), dtype)
    exact = left @ right
    for rows in EDGES:
        for columns in EDGES:
            actual = product(left[:rows].copy(), right[:, :columns].copy(), isa=isa)
            np.testing.assert_array_equal(actual, exact[:rows, :columns], f"{rows} x {columns}")


@products
def test_every_depth_is_exact(product, isa, dtype):
    rng = np.random.default_rng(2)
    for depth in DEPTHS:
        left, right = (
            small_integers(rng, (15, depth), dtype),
            small_integers(rng, (depth, 33), dtype),
        )
        # The last step of the depth must show in every element.
        left[:, -1], right[-1] = 3, 2
        actual = product(left, right, isa=isa)
        np.testing.assert_array_equal(actual, left @ right, f"depth {depth}")


@products
def test_each_position_of_the_depth_counts_once(product, isa, dtype):
    depth = 300
    left = np.eye(depth, dtype=dtype)
    right = np.arange(depth * 17, dtype=dtype).reshape(depth, 17)
    np.testing.assert_array_equal(product(left, right, isa=isa), right)


@products
@given(shape=gemm_shapes(), seed=seeds, name=dtypes)
def test_random_products_stay_within_gamma(product, shape, seed, name):
    rows, depth, columns = shape
    rng = np.random.default_rng(seed)
    left, right = normals(rng, (rows, depth), name), normals(rng, (depth, columns), name)
    # Positive entries keep the scale of the result up, so that the bound means something.
    left, right = np.abs(left), np.abs(right)
    results = [product(left, right, isa=isa, threads=t) for isa in _core.isas() for t in (1, 3)]
    assert_product(results[0], left, right)
    for other in results[1:]:
        assert_same_bits(other, results[0])


@products
@pytest.mark.parametrize("shape", [(1, 1, 1), (37, 513, 65), (128, 784, 33), (96, 97, 130)])
def test_same_bits_on_every_isa_and_for_any_threads(product, shape, dtype):
    rng = np.random.default_rng(3)
    rows, depth, columns = shape
    left, right = normals(rng, (rows, depth), dtype), normals(rng, (depth, columns), dtype)
    expected = product(left, right)
    if depth > 1:
        assert_product(expected, left, right)
    for isa in _core.isas():
        for threads in (1, 2, 3, 7):
            assert_same_bits(product(left, right, isa=isa, threads=threads), expected, isa)


def fma_float32(a, b, c):
    """Fused multiply-add: the product is exact in long double, the sum very nearly."""
    return (a.astype(np.longdouble) * b + c).astype(np.float32)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double")
@products
def test_order_of_summation_is_the_promised_one(product, isa):
    """One accumulator per element, k ascending: what makes bits equal on machines not here."""
    rng = np.random.default_rng(4)
    left, right = normals(rng, (17, 300), "float32"), normals(rng, (300, 35), "float32")
    expected = np.zeros((17, 35), np.float32)
    for k in range(300):
        expected = fma_float32(left[:, k : k + 1], right[k], expected)
    assert_same_bits(product(left, right, isa=isa), expected)


@products
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_stay_in_their_row_and_column(product, value, isa, dtype):
    left, right = np.ones((19, 21), dtype), np.ones((21, 35), dtype)
    poisoned = left.copy()
    poisoned[18, 20] = value
    actual = product(poisoned, right, isa=isa)
    assert not np.isfinite(actual[18]).any()
    np.testing.assert_array_equal(actual[:18], 21)
    poisoned = right.copy()
    poisoned[20, 34] = value
    actual = product(left, poisoned, isa=isa)
    assert not np.isfinite(actual[:, 34]).any()
    np.testing.assert_array_equal(actual[:, :34], 21)


@pytest.mark.parametrize("name", DTYPES)
@given(rows=edge, columns=edge, seed=seeds)
def test_arguments_are_left_alone(name, rows, columns, seed):
    rng = np.random.default_rng(seed)
    x, w = normals(rng, (rows, 9), name), normals(rng, (9, columns), name)
    kept = x.copy(), w.copy()
    kernels.gemm_nn(x, w)
    assert_same_bits(x, kept[0])
    assert_same_bits(w, kept[1])


def test_an_unknown_isa_is_refused():
    x = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="isa"):
        kernels.gemm_nn(x, x, isa="mmx")


@products
@pytest.mark.parametrize("block_panels", [1, 2])
def test_cache_blocks_change_no_bit(product, block_panels, isa, dtype):
    rng = np.random.default_rng(8)
    rows = (
        64  # whole panels of every instruction set, so that the depth of backward-data is cut too
    )
    left = rng.standard_normal((rows, 131)).astype(dtype)
    right = rng.standard_normal((131, 101)).astype(dtype)
    whole = product(left, right, isa=isa)
    assert_same_bits(product(left, right, isa=isa, block_panels=block_panels), whole)
    assert_same_bits(product(left, right, threads=3, isa=isa, block_panels=block_panels), whole)
