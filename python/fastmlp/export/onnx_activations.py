"""Activations as ONNX nodes.

float32 networks use the operators of ONNX where there is one. onnxruntime has no Elu, Selu,
Softplus, HardSigmoid and Erf for double, and their attributes are single: float64 networks spell
these functions out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.export.constants import (
    GELU_TANH_CUBIC,
    GELU_TANH_FACTOR,
    SELU_ALPHA,
    SELU_SCALE,
)

if TYPE_CHECKING:
    from fastmlp.export.onnx_builder import Graph

__all__ = ["apply_activation"]

# W. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
# 23, 1969: erf(y) / y in y^2 up to the limit, and exp(y^2) erfc(y) in y above it; numerator and
# denominator, highest power first. Where Cody changes to a third form, at y = 4, the second still
# gives erfc to 3e-16.
_CODY_LIMIT = 0.46875
_CODY_ERF = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
     1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_CODY_ERFC = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
     3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_ERFC_UNDERFLOWS = 40.0


def apply_activation(graph: Graph, name: str, parameter: float, z: str) -> str:
    """Add an activation of tensor `z`; returns the name of its result."""
    if name == "identity":
        return z
    if graph.dtype == np.float32 and name in _OPERATORS:
        operator, attributes = _OPERATORS[name](parameter)
        return graph.add(operator, z, **attributes)
    return _COMPOSED[name](graph, z, parameter)


Attributes = dict[str, Any]
_OPERATORS: dict[str, Callable[[float], tuple[str, Attributes]]] = {
    "leaky_relu": lambda slope: ("LeakyRelu", {"alpha": slope}),
    "elu": lambda alpha: ("Elu", {"alpha": alpha}),
    "selu": lambda _: ("Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}),
    "softplus": lambda _: ("Softplus", {}),
    "hard_sigmoid": lambda _: ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}


def _threshold(below: float) -> Callable[[Graph, str, float], str]:
    def apply(graph: Graph, z: str, _: float) -> str:
        return graph.add("Where", graph.add("Greater", z, 0.0), 1.0, below)

    return apply


def _leaky_relu(graph: Graph, z: str, slope: float) -> str:
    return graph.add("Where", graph.add("Greater", z, 0.0), z, graph.add("Mul", z, slope))


def _elu(graph: Graph, z: str, alpha: float) -> str:
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", z, 0.0)), 1.0)
    return graph.add("Where", graph.add("Greater", z, 0.0), z, graph.add("Mul", below, alpha))


def _selu(graph: Graph, z: str, _: float) -> str:
    return graph.add("Mul", _elu(graph, z, SELU_ALPHA), SELU_SCALE)


def _softplus(graph: Graph, z: str, _: float) -> str:
    decay = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    tail = graph.add("Log", graph.add("Add", decay, 1.0))
    return graph.add("Add", graph.add("Relu", z), tail)


def _hard_sigmoid(graph: Graph, z: str, _: float) -> str:
    line = graph.add("Div", graph.add("Add", z, 3.0), 6.0)
    return graph.add("Clip", line, 0.0, 1.0)


def _silu(graph: Graph, z: str, _: float) -> str:
    if graph.dtype == np.float64:
        # Older runtimes fuse the product with a sigmoid into a kernel that they lack for doubles.
        return graph.add("Div", z, graph.add("Add", graph.add("Exp", graph.add("Neg", z)), 1.0))
    return graph.add("Mul", z, graph.add("Sigmoid", z))


def _gelu_tanh(graph: Graph, z: str, _: float) -> str:
    cubic = graph.add("Add", graph.add("Mul", graph.add("Mul", z, z), GELU_TANH_CUBIC), 1.0)
    twice_u = graph.add("Mul", graph.add("Mul", z, GELU_TANH_FACTOR), cubic)
    return graph.add("Mul", z, graph.add("Sigmoid", twice_u))


def _gelu(graph: Graph, z: str, _: float) -> str:
    if graph.dtype == np.float64:
        return graph.add("Mul", z, _normal_cdf(graph, z))
    error = graph.add("Erf", graph.add("Mul", z, math.sqrt(0.5)))
    return graph.add("Mul", graph.add("Mul", z, 0.5), graph.add("Add", error, 1.0))


def _normal_cdf(graph: Graph, z: str) -> str:
    """The standard normal distribution function, to 3e-16."""
    y = graph.add("Mul", graph.add("Min", graph.add("Abs", z), _ERFC_UNDERFLOWS), math.sqrt(0.5))
    square = graph.add("Mul", y, y)
    erf = graph.add("Mul", y, _ratio(graph, *_CODY_ERF, square))
    decay = graph.add("Exp", graph.add("Neg", square))
    erfc = graph.add(
        "Where",
        graph.add("Less", y, _CODY_LIMIT),
        graph.add("Sub", 1.0, erf),
        graph.add("Mul", decay, _ratio(graph, *_CODY_ERFC, y)),
    )
    tail = graph.add("Mul", erfc, 0.5)
    return graph.add("Where", graph.add("Less", z, 0.0), tail, graph.add("Sub", 1.0, tail))


def _ratio(graph: Graph, top: Sequence[float], bottom: Sequence[float], x: str) -> str:
    return graph.add("Div", _polynomial(graph, top, x), _polynomial(graph, bottom, x))


def _polynomial(graph: Graph, coefficients: Sequence[float], x: str) -> str:
    value: str | float = coefficients[0]
    for coefficient in coefficients[1:]:
        value = graph.add("Add", graph.add("Mul", x, value), coefficient)
    assert isinstance(value, str)
    return value


_COMPOSED: dict[str, Callable[[Graph, str, float], str]] = {
    "step": _threshold(0.0),
    "sign": _threshold(-1.0),
    "sigmoid": lambda graph, z, _: graph.add("Sigmoid", z),
    "hard_sigmoid": _hard_sigmoid,
    "tanh": lambda graph, z, _: graph.add("Tanh", z),
    "relu": lambda graph, z, _: graph.add("Relu", z),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "softplus": _softplus,
}
