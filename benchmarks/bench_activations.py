"""Elementwise functions on flat arrays; activations on matrices through packing and unpacking."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fastmlp import _core
from machine import FAST_ISAS
from support import reference
from support.activation_bounds import SLOPE_FROM_OUTPUT, assert_value_and_slope
from support.elementwise import (
    INVERSE_CDF_ERROR,
    MAX_ULP,
    exact_normal_cdf,
    normal_cdf_roundoffs,
    normal_density,
)
from support.strategies import ALL_ACTIVATIONS
from support.tolerance import ulp_errors, unit_roundoff

kernels = _core.kernels
SINGLE = np.float32
WITH_NUMPY = ("relu", "sigmoid", "tanh")
# NumPy's float32 functions keep within 4 ulp; a sigmoid made of one rounds three times more.
NUMPY_ULP = {"exp": 4, "log": 4, "tanh": 4, "sigmoid": 8, "log1p": 4, "relu": 0.5}
PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0}
# Panels below 128 KiB: for larger ones the C library takes new pages at every call.
LARGE, SMALL = "64x256", "16x64"


def numpy_sigmoid(x):
    return 1 / (1 + np.exp(-x))


NUMPY = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "log1p": np.log1p, "sigmoid": numpy_sigmoid}
EXACT = NUMPY | {"sigmoid": reference.sigmoid}


def numpy_slope(name, output):
    if name == "relu":
        return (output > 0).astype(SINGLE)
    return output * (1 - output) if name == "sigmoid" else 1 - output * output


def numpy_activation(name, z, bias):
    """Value and derivative, as the kernels write them."""
    z = z + bias
    value = np.maximum(z, 0) if name == "relu" else NUMPY[name](z)
    return value, numpy_slope(name, value)


def numpy_backward(name, output, doutput):
    return doutput * numpy_slope(name, output)


def cases(names, with_numpy, large, small):
    """Every name at a large size on every fast ISA, and at a small one on the generic kernels."""
    triples = [
        (name, large, isa)
        for name in names
        for isa in (("numpy", *FAST_ISAS) if name in with_numpy else FAST_ISAS)
    ]
    triples += [(name, small, "generic") for name in names]
    ids = ["-".join(triple) for triple in triples]
    return pytest.mark.parametrize(("name", "size", "isa"), triples, ids=ids)


# ---------------------------------------------------------------- elementwise functions


@cache
def arguments(name: str, length: int):
    """Over the range where the function does its work."""
    rng = np.random.default_rng(0)
    draw = {
        "exp": lambda: rng.uniform(-80, 80, length),
        "log": lambda: np.exp(rng.uniform(-80, 80, length)),
        "log1p": lambda: rng.uniform(0, 1, length),
        "inverse_normal_cdf": lambda: (rng.integers(0, 2**23, length) + 0.5) * 2.0**-23,
    }
    return draw.get(name, lambda: 3 * rng.standard_normal(length))().astype(SINGLE)


def assert_elementwise(actual, name, x, max_ulp):
    if name == "inverse_normal_cdf":  # back to where it came from, to the first order
        wide = actual.astype(np.longdouble)
        allowed = INVERSE_CDF_ERROR["float32"] * np.abs(wide) * normal_density(wide)
        assert np.all(np.abs(exact_normal_cdf(wide) - x) <= allowed)
    elif name == "normal_cdf":
        exact = exact_normal_cdf(x.astype(np.longdouble))
        allowed = normal_cdf_roundoffs(x.astype(np.longdouble)) * unit_roundoff(SINGLE) * exact
        assert np.all(np.abs(actual - exact) <= allowed)
    else:
        assert ulp_errors(actual, EXACT[name](x.astype(np.longdouble))).max() <= max_ulp[name]


@cases([*MAX_ULP, "normal_cdf", "inverse_normal_cdf"], MAX_ULP, "65536", "2048")
def test_elementwise(benchmark, record, name, size, isa):
    x = arguments(name, int(size))
    benchmark.group = f"{name} {size}"
    if isa == "numpy":
        assert_elementwise(NUMPY[name](x), name, x, NUMPY_ULP)
        benchmark(NUMPY[name], x)
    else:
        assert_elementwise(kernels.elementwise(name, x, isa=isa), name, x, MAX_ULP)
        benchmark(kernels.elementwise, name, x, isa=isa)
    record(bytes_moved=8 * x.size, samples=x.size, isa=isa)


# ---------------------------------------------------------------- activations


@cache
def layer(size: str):
    rng = np.random.default_rng(0)
    rows, columns = (int(side) for side in size.split("x"))
    z = 3 * rng.standard_normal((rows, columns), SINGLE)
    return z, rng.standard_normal(columns, SINGLE), rng.standard_normal((rows, columns), SINGLE)


@cases(ALL_ACTIVATIONS, WITH_NUMPY, LARGE, SMALL)
def test_activation(benchmark, record, name, size, isa):
    """Values and derivatives."""
    z, bias, _ = layer(size)
    benchmark.group = f"{name} forward {size}"
    if isa == "numpy":
        value, _ = numpy_activation(name, z, bias)
        exact = reference.activate(name, (z + bias).astype(np.longdouble))
        assert ulp_errors(value, exact).max() <= NUMPY_ULP[name]
        benchmark(numpy_activation, name, z, bias)
    else:
        parameter = float(SINGLE(PARAMETERS.get(name, 0.0)))
        settings = {"parameter": parameter, "isa": isa}
        actual = kernels.activation(name, z, bias, **settings)
        assert_value_and_slope(name, z + bias, parameter, actual)
        benchmark(kernels.activation, name, z, bias, **settings)
    record(bytes_moved=12 * z.size, samples=z.size, isa=isa)


@cases(SLOPE_FROM_OUTPUT, WITH_NUMPY, LARGE, SMALL)
def test_activation_backward(benchmark, record, name, size, isa):
    z, bias, doutput = layer(size)
    parameter = PARAMETERS.get(name, 0.0)
    output, derivative = kernels.activation(name, z, bias, parameter=parameter)
    # The derivative rounds twice in units of 1 at most, the product once.
    bound = 3 * unit_roundoff(SINGLE) * np.abs(doutput)
    exact = doutput * derivative.astype(np.float64)
    benchmark.group = f"{name} backward {size}"
    if isa == "numpy":
        assert np.all(np.abs(numpy_backward(name, output, doutput) - exact) <= bound)
        benchmark(numpy_backward, name, output, doutput)
    else:
        settings = {"parameter": parameter, "isa": isa}
        actual = kernels.activation_backward(name, output, doutput, **settings)
        assert np.all(np.abs(actual - exact) <= bound)
        benchmark(kernels.activation_backward, name, output, doutput, **settings)
    record(bytes_moved=12 * z.size, samples=z.size, isa=isa)
