"""Elementwise functions on flat arrays; activations on matrices through packing and unpacking."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import reference
from fastmlp import _core
from machine import FAST_ISAS
from tolerance import ulp_errors, unit_roundoff

kernels = _core.kernels
FUNCTIONS = ("exp", "log", "tanh", "sigmoid")
ACTIVATIONS = ("relu", "sigmoid", "tanh")
LENGTHS = {"65536": ("numpy", *FAST_ISAS), "2048": ("generic",)}
SHAPES = {"256x512": ("numpy", *FAST_ISAS), "16x64": ("generic",)}
# Largest errors the library promises.
OWN_ULP = {"exp": 2, "log": 2, "tanh": 3, "sigmoid": 3, "relu": 0.5}
# NumPy's float32 functions keep within 4 ulp; a sigmoid made of one rounds three times more.
NUMPY_ULP = {"exp": 4, "log": 4, "tanh": 4, "sigmoid": 8, "relu": 0.5}


def numpy_sigmoid(x):
    return 1 / (1 + np.exp(-x))


NUMPY = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": numpy_sigmoid}
EXACT = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": reference.sigmoid}


def numpy_forward(name, z, bias):
    z = z + bias
    return np.maximum(z, 0) if name == "relu" else NUMPY[name](z)


def numpy_backward(name, output, doutput):
    if name == "relu":
        return np.where(output > 0, doutput, np.float32(0))
    return doutput * (output * (1 - output) if name == "sigmoid" else 1 - output * output)


def cases(sizes):
    pairs = [(size, isa) for size, isas in sizes.items() for isa in isas]
    return pytest.mark.parametrize(("size", "isa"), pairs, ids=["-".join(pair) for pair in pairs])


@cache
def arguments(name: str, length: int):
    """Arguments over the range where the function does its work, and its values."""
    rng = np.random.default_rng(0)
    if name == "exp":
        x = rng.uniform(-80, 80, length)
    elif name == "log":
        x = np.exp(rng.uniform(-80, 80, length))
    else:
        x = 3 * rng.standard_normal(length)
    x = x.astype(np.float32)
    return x, EXACT[name](x.astype(np.longdouble))


@cache
def layer(rows: int, columns: int):
    rng = np.random.default_rng(0)
    z = 3 * rng.standard_normal((rows, columns), np.float32)
    return (
        z,
        rng.standard_normal(columns, np.float32),
        rng.standard_normal((rows, columns), np.float32),
    )


def shape_of(size: str) -> tuple[int, ...]:
    return tuple(int(side) for side in size.split("x"))


@cases(LENGTHS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementwise(benchmark, record, name, size, isa):
    x, exact = arguments(name, int(size))
    benchmark.group = f"{name} {size}"
    if isa == "numpy":
        assert ulp_errors(NUMPY[name](x), exact).max() <= NUMPY_ULP[name]
        benchmark(NUMPY[name], x)
    else:
        assert ulp_errors(kernels.elementwise(name, x, isa=isa), exact).max() <= OWN_ULP[name]
        benchmark(kernels.elementwise, name, x, isa=isa)
    record(bytes_moved=8 * x.size, samples=x.size, isa=isa)


@cases(SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward(benchmark, record, name, size, isa):
    z, bias, _ = layer(*shape_of(size))
    exact = reference.activate(name, (z + bias).astype(np.longdouble))
    benchmark.group = f"{name} forward {size}"
    if isa == "numpy":
        assert ulp_errors(numpy_forward(name, z, bias), exact).max() <= NUMPY_ULP[name]
        benchmark(numpy_forward, name, z, bias)
    else:
        actual = kernels.activation_forward(name, z, bias, isa=isa)
        assert ulp_errors(actual, exact).max() <= OWN_ULP[name]
        benchmark(kernels.activation_forward, name, z, bias, isa=isa)
    record(bytes_moved=8 * z.size, samples=z.size, isa=isa)


@cases(SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward(benchmark, record, name, size, isa):
    z, bias, doutput = layer(*shape_of(size))
    output = kernels.activation_forward(name, z, bias)
    exact = doutput * reference.activation_slope(name, output.astype(np.longdouble))
    # The slope rounds twice in units of 1 at most, the product once; relu only selects.
    bound = 0 if name == "relu" else 3 * unit_roundoff(np.float32) * np.abs(doutput)
    benchmark.group = f"{name} backward {size}"
    if isa == "numpy":
        assert np.all(np.abs(numpy_backward(name, output, doutput) - exact) <= bound)
        benchmark(numpy_backward, name, output, doutput)
    else:
        actual = kernels.activation_backward(name, output, doutput, isa=isa)
        assert np.all(np.abs(actual - exact) <= bound)
        benchmark(kernels.activation_backward, name, output, doutput, isa=isa)
    record(bytes_moved=12 * z.size, samples=z.size, isa=isa)
