"""The three products of a training step, each through its packing and unpacking, on one thread."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fastmlp import _core
from machine import FAST_ISAS, limit_blas
from support import reference
from support.tolerance import assert_within, gamma

PRODUCTS = ("gemm_nn", "gemm_tn", "gemm_nt")
# (batch, inputs, outputs) of a layer.
SHAPES = {
    "128x784x512": (128, 784, 512),
    "512x512x512": (512, 512, 512),
    "1024x768x768": (1024, 768, 768),
}
SMALL = {"16x64x48": (16, 64, 48)}
CASES = [(name, isa) for name in SHAPES for isa in ("numpy", *FAST_ISAS)]
CASES += [(name, isa) for name in SMALL for isa in ("numpy", *FAST_ISAS, "generic")]


@cache
def problem(product: str, shape: tuple[int, int, int]):
    """Operands, the float64 product and the bound on a float32 result.

    The bound is gamma_k |a| |b| for k fused multiply-adds, twice: in float32 for the kernel and in
    float64 for the oracle itself.
    """
    batch, inputs, outputs = shape
    rng = np.random.default_rng(0)
    sizes = {
        "gemm_nn": ((batch, inputs), (inputs, outputs), inputs),
        "gemm_tn": ((batch, inputs), (batch, outputs), batch),
        "gemm_nt": ((batch, outputs), (inputs, outputs), outputs),
    }
    left, right, depth = sizes[product]
    a, b = (rng.standard_normal(size, np.float32) for size in (left, right))
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    multiply = getattr(reference, product)
    roundoff = gamma(depth, np.float32) + gamma(depth, np.float64)
    bound = roundoff * multiply(np.abs(wide_a), np.abs(wide_b))
    return a, b, multiply(wide_a, wide_b), bound


@pytest.mark.parametrize(("name", "isa"), CASES, ids=["-".join(case) for case in CASES])
@pytest.mark.parametrize("product", PRODUCTS)
def test_gemm(benchmark, record, product, name, isa):
    shape = (SHAPES | SMALL)[name]
    a, b, exact, bound = problem(product, shape)
    settings = {} if isa == "numpy" else {"isa": isa, "threads": 1}
    run = getattr(reference if isa == "numpy" else _core.kernels, product)
    benchmark.group = f"{product} {name}"
    with limit_blas(1) as blas:
        assert_within(run(a, b, **settings), exact, bound, product)
        benchmark(run, a, b, **settings)
    batch, inputs, outputs = shape
    record(
        flops=2 * batch * inputs * outputs,
        bytes_moved=4 * (a.size + b.size + exact.size),
        threads=blas if isa == "numpy" else 1,
        gemm=True,
        isa=isa,
    )
