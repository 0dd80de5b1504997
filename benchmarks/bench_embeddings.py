"""Embeddings of one column of 256 samples, forward and backward.

The kernels are called through bindings that copy every array between guards, which takes a few
microseconds; ``us_per_step`` of a call of the same bindings on the smallest embedding is the
overhead to subtract.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fastmlp import _core
from machine import FAST_ISAS
from support import embeddings

kernels = _core.kernels
ROWS = 256
# Basis, functions or frequencies, outputs, whether the value is kept.
CASES = {
    "smallest": ("value", 1, 0, False),
    "linear": ("value", 1, 16, False),
    "cosine": ("cosine", 16, 3, True),
    "periodic": ("periodic", 24, 16, False),
    "piecewise linear": ("piecewise_linear", 48, 16, False),
    "piecewise linear encoding": ("piecewise_linear", 48, 0, False),
}
cases = pytest.mark.parametrize("name", CASES)


@cache
def case_of(name: str):
    basis, bases, outputs, keeps_value = CASES[name]
    rng = np.random.default_rng(0)
    case = embeddings.random_case(
        basis, rng, ROWS, bases, outputs, "float32", keeps_value=keeps_value
    )
    out = embeddings.forward(case.wide())
    return case, out, rng.standard_normal(out.shape).astype(np.float32)


def bound_of(case):
    wide = case.wide()
    bound = embeddings.basis_errors(wide, "float32").max()
    return 1e-4 if case.maps is None else 1e-4 + bound * np.abs(wide.maps).sum(axis=0).max()


@cases
@pytest.mark.parametrize("isa", FAST_ISAS)
def test_forward(benchmark, record, name, isa):
    case, out, _ = case_of(name)
    benchmark.group = f"{name} forward"
    settings = {**case.settings(), "isa": isa}
    actual = kernels.embed(case.basis, case.x, **settings)
    assert np.max(np.abs(actual - out)) <= bound_of(case)
    benchmark(kernels.embed, case.basis, case.x, **settings)
    record(bytes_moved=4 * (case.x.size + out.size), samples=ROWS, steps=1, isa=isa)


@cases
@pytest.mark.parametrize("isa", FAST_ISAS)
def test_backward(benchmark, record, name, isa):
    case, out, gradient = case_of(name)
    benchmark.group = f"{name} backward"
    settings = {**case.settings(), "isa": isa}
    exact = embeddings.backward(case.wide(), gradient.astype(np.longdouble))
    actual = kernels.embed_backward(case.basis, case.x, gradient, **settings)
    for key, one in zip(embeddings.GRADIENTS, actual, strict=True):
        if exact[key] is not None:
            np.testing.assert_allclose(one, exact[key].astype(float), rtol=1e-3, atol=1e-2)
    benchmark(kernels.embed_backward, case.basis, case.x, gradient, **settings)
    record(bytes_moved=4 * (case.x.size + 2 * out.size), samples=ROWS, steps=1, isa=isa)
