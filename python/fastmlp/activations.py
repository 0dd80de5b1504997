"""Activations: functions of one number, by name or with a parameter; the core computes them.

A `Form` describes an activation: an entry of `PLAIN`, or the attribute ``FORM`` of a class with a
parameter. Names, help texts, default initializers and exported code are made from it; the kernel is
a struct in cpp/kernels/activation.inl.hpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fastmlp._named import kinds_of
from fastmlp._scalars import choice, flag, keep, real

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ACTIVATIONS", "ELU", "FORMS", "Activation", "Form", "LeakyReLU", "Sign", "Step"]

# G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
_SELU_ALPHA = 1.6732632423543772848
_SELU_SCALE = 1.0507009873554804934
# (1 + tanh u) / 2 is sigmoid(2 u), which does not cancel for z < 0; 2 u = factor (z + cubic z^3):
# D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415, 2016.
_GELU_TANH_FACTOR = 2 * math.sqrt(2 / math.pi)
_GELU_TANH_CUBIC = 0.044715
_ROOT_HALF = math.sqrt(0.5)


class OnnxNodes(Protocol):
    """The part of an ONNX graph that activations write to: `fastmlp.export.graph.Graph`."""

    dtype: np.dtype[Any]

    def add(self, operator: str, *inputs: str | float, **attributes: Any) -> str:
        """Add a node and return the name of its result. Numbers become constants."""

    def normal_cdf(self, z: str) -> str:
        """Add the standard normal distribution function in float64; return its result's name."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """Description of an activation: documentation, default initializer and exported code.

    Parameters
    ----------
    summary : str
        Formula and source, for documentation.
    c : str
        C99 expression of the value from ``z`` and ``parameter`` in double precision. Numbers must
        have a decimal point; the exporter converts numbers and functions to float.
    onnx : callable
        ``onnx(graph, z, parameter)`` adds nodes that compute the value of tensor ``z``, and returns
        the name of their result. Float64 graphs compose some functions of simpler ones, because
        onnxruntime has no Elu, Selu, Softplus, HardSigmoid and Erf for float64, and attributes of
        operators have single precision.
    initializer : str
        Name of the default initializer of the weights before the activation.
    jumps : bool
        Whether the value jumps at z = 0, where rounding may change it by the whole jump.
    """

    summary: str
    c: str
    onnx: Callable[[OnnxNodes, str, float], str]
    initializer: str = "glorot_uniform"
    jumps: bool = False


# ---------------------------------------------------------------- ONNX nodes of more than one line


def _onnx_hard_sigmoid(graph: OnnxNodes, z: str, _: float) -> str:
    if graph.dtype == "float32":
        return graph.add("HardSigmoid", z, alpha=1 / 6, beta=0.5)
    line = graph.add("Div", graph.add("Add", z, 3.0), 6.0)
    return graph.add("Clip", line, 0.0, 1.0)


def _onnx_leaky_relu(graph: OnnxNodes, z: str, slope: float) -> str:
    if graph.dtype == "float32":
        return graph.add("LeakyRelu", z, alpha=slope)
    return graph.add("Where", graph.add("Greater", z, 0.0), z, graph.add("Mul", z, slope))


def _onnx_elu(graph: OnnxNodes, z: str, alpha: float) -> str:
    if graph.dtype == "float32":
        return graph.add("Elu", z, alpha=alpha)
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", z, 0.0)), 1.0)
    return graph.add("Where", graph.add("Greater", z, 0.0), z, graph.add("Mul", below, alpha))


def _onnx_selu(graph: OnnxNodes, z: str, _: float) -> str:
    if graph.dtype == "float32":
        return graph.add("Selu", z, alpha=_SELU_ALPHA, gamma=_SELU_SCALE)
    return graph.add("Mul", _onnx_elu(graph, z, _SELU_ALPHA), _SELU_SCALE)


def _onnx_gelu(graph: OnnxNodes, z: str, _: float) -> str:
    if graph.dtype == "float64":
        return graph.add("Mul", z, graph.normal_cdf(z))
    error = graph.add("Erf", graph.add("Mul", z, _ROOT_HALF))
    return graph.add("Mul", graph.add("Mul", z, 0.5), graph.add("Add", error, 1.0))


def _onnx_gelu_tanh(graph: OnnxNodes, z: str, _: float) -> str:
    cubic = graph.add("Add", graph.add("Mul", graph.add("Mul", z, z), _GELU_TANH_CUBIC), 1.0)
    twice_u = graph.add("Mul", graph.add("Mul", z, _GELU_TANH_FACTOR), cubic)
    return graph.add("Mul", z, graph.add("Sigmoid", twice_u))


def _onnx_silu(graph: OnnxNodes, z: str, _: float) -> str:
    if graph.dtype == "float64":
        # Older runtimes fuse z * sigmoid(z) into a kernel that has no float64 version.
        return graph.add("Div", z, graph.add("Add", graph.add("Exp", graph.add("Neg", z)), 1.0))
    return graph.add("Mul", z, graph.add("Sigmoid", z))


def _onnx_softplus(graph: OnnxNodes, z: str, _: float) -> str:
    if graph.dtype == "float32":
        return graph.add("Softplus", z)
    decay = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    tail = graph.add("Log", graph.add("Add", decay, 1.0))
    return graph.add("Add", graph.add("Relu", z), tail)


def _onnx_mish(graph: OnnxNodes, z: str, _: float) -> str:
    # Mish is an operator from opset 18 on only.  e^min(z, 20): beyond, the quotient is 1.
    e = graph.add("Exp", graph.add("Min", z, 20.0))
    numerator = graph.add("Mul", e, graph.add("Add", e, 2.0))
    quotient = graph.add("Div", numerator, graph.add("Add", numerator, 2.0))
    return graph.add("Mul", z, quotient)


def _onnx_threshold(below: float) -> Callable[[OnnxNodes, str, float], str]:
    def nodes(graph: OnnxNodes, z: str, _: float) -> str:
        return graph.add("Where", graph.add("Greater", z, 0.0), 1.0, below)

    return nodes


# ---------------------------------------------------------------- without parameters

PLAIN: Mapping[str, Form] = {
    "relu": Form(
        summary="max(z, 0)",
        c="z > 0.0 ? z : 0.0",
        onnx=lambda graph, z, _: graph.add("Relu", z),
        initializer="he_normal",
    ),
    "tanh": Form(
        summary="the hyperbolic tangent",
        c="tanh(z)",
        onnx=lambda graph, z, _: graph.add("Tanh", z),
    ),
    "sigmoid": Form(
        summary="1 / (1 + exp(-z))",
        c="1.0 / (1.0 + exp(-z))",
        onnx=lambda graph, z, _: graph.add("Sigmoid", z),
    ),
    "gelu": Form(
        summary="z Phi(z), Phi the normal distribution function (Hendrycks and Gimpel 2016)",
        c=f"0.5 * z * erfc(-z * {_ROOT_HALF!r})",
        onnx=_onnx_gelu,
        initializer="he_normal",
    ),
    "silu": Form(
        summary="z sigmoid(z) (Hendrycks and Gimpel 2016)",
        c="z / (1.0 + exp(-z))",
        onnx=_onnx_silu,
        initializer="he_normal",
    ),
    "mish": Form(
        summary="z tanh(log(1 + exp(z))) (Misra 2020)",
        c="z * tanh(log1p(exp(z)))",
        onnx=_onnx_mish,
        initializer="he_normal",
    ),
    "selu": Form(
        summary="ELU with fixed alpha, times a fixed scale (Klambauer et al. 2017)",
        c=f"{_SELU_SCALE!r} * (z > 0.0 ? z : {_SELU_ALPHA!r} * expm1(z))",
        onnx=_onnx_selu,
        initializer="lecun_normal",
    ),
    "softplus": Form(
        summary="log(1 + exp(z)) (Dugas et al. 2001)",
        c="(z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z)))",
        onnx=_onnx_softplus,
    ),
    "hard_sigmoid": Form(
        summary="(z + 3) / 6, clipped to [0, 1]",
        c="z <= -3.0 ? 0.0 : z >= 3.0 ? 1.0 : (z + 3.0) / 6.0",
        onnx=_onnx_hard_sigmoid,
    ),
    "gelu_tanh": Form(
        summary="GELU's approximation with a hyperbolic tangent (Hendrycks and Gimpel 2016)",
        c=f"z / (1.0 + exp(-{_GELU_TANH_FACTOR!r} * z * (1.0 + {_GELU_TANH_CUBIC!r} * z * z)))",
        onnx=_onnx_gelu_tanh,
        initializer="he_normal",
    ),
    "identity": Form(summary="z", c="z", onnx=lambda _graph, z, _: z),
}


@dataclass(frozen=True)
class Activation:
    """An activation without parameters; arguments also accept its name alone.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], activation="tanh").architecture.activations
    (Activation(name='tanh'),)
    """

    name: str

    @property
    def parameter(self) -> float:
        """Parameter of the core's function; 0 if it has none."""
        return 0.0

    @property
    def form(self) -> Form:
        """Description of the activation.

        Raises
        ------
        ValueError
            No activation has this name.
        """
        return FORMS[choice("activation", self.name, FORMS)]


# ---------------------------------------------------------------- with a parameter


@dataclass(frozen=True)
class _Threshold(Activation):
    """Base class of functions that depend only on the sign of z."""

    straight_through: bool = False

    def __post_init__(self) -> None:
        keep(self, straight_through=flag("straight_through", self.straight_through))

    @property
    def parameter(self) -> float:
        """Derivative that backpropagation uses."""
        return 1.0 if self.straight_through else 0.0


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """z where z > 0, else ``slope * z`` (Maas, Hannun, Ng 2013).

    Parameters
    ----------
    slope : float
        Slope below zero, >= 0.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], activation=fastmlp.LeakyReLU(slope=0.1)).architecture.activations
    (LeakyReLU(name='leaky_relu', slope=0.1),)
    """

    name: str = field(default="leaky_relu", init=False)
    slope: float = 0.01

    FORM: ClassVar[Form] = Form(
        summary="z where z > 0, else slope * z; `LeakyReLU` (Maas, Hannun, Ng 2013)",
        c="z > 0.0 ? z : parameter * z",
        onnx=_onnx_leaky_relu,
        initializer="he_normal",
    )

    def __post_init__(self) -> None:
        keep(self, slope=real("slope", self.slope, 0.0))

    @property
    def parameter(self) -> float:
        """Slope below zero."""
        return self.slope


@dataclass(frozen=True)
class ELU(Activation):
    """z where z > 0, else ``alpha * (exp(z) - 1)`` (Clevert, Unterthiner, Hochreiter 2016).

    Parameters
    ----------
    alpha : float
        Factor below zero, >= 0.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.ELU(alpha=0.5)
    ELU(name='elu', alpha=0.5)
    """

    name: str = field(default="elu", init=False)
    alpha: float = 1.0

    FORM: ClassVar[Form] = Form(
        summary="z where z > 0, else alpha * (exp(z) - 1); `ELU` (Clevert et al. 2016)",
        c="z > 0.0 ? z : parameter * expm1(z)",
        onnx=_onnx_elu,
        initializer="he_normal",
    )

    def __post_init__(self) -> None:
        keep(self, alpha=real("alpha", self.alpha, 0.0))

    @property
    def parameter(self) -> float:
        """Magnitude of the limit for z to minus infinity, `alpha`."""
        return self.alpha


@dataclass(frozen=True)
class Step(_Threshold):
    """1 where z > 0, else 0 (McCulloch and Pitts 1943).

    Parameters
    ----------
    straight_through : bool
        Whether backpropagation uses the derivative 1 instead of 0 (Bengio, Léonard, Courville
        2013). With the loss ``half_mse`` and batches of one sample this is the perceptron rule.

    Examples
    --------
    >>> import fastmlp
    >>> perceptron = fastmlp.MLP(
    ...     [2, 1], loss="half_mse", output_activation=fastmlp.Step(straight_through=True)
    ... )
    >>> perceptron.architecture.output_activation
    Step(name='step', straight_through=True)
    """

    name: str = field(default="step", init=False)

    FORM: ClassVar[Form] = Form(
        summary="1 where z > 0, else 0; `Step` (McCulloch and Pitts 1943)",
        c="z > 0.0 ? 1.0 : 0.0",
        onnx=_onnx_threshold(0.0),
        jumps=True,
    )


@dataclass(frozen=True)
class Sign(_Threshold):
    """1 where z > 0, else -1.

    Parameters
    ----------
    straight_through : bool
        Whether backpropagation uses the derivative 1 instead of 0 (Bengio, Léonard, Courville
        2013). With the loss ``half_mse`` and batches of one sample this is the perceptron rule.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Sign(straight_through=True)
    Sign(name='sign', straight_through=True)
    """

    name: str = field(default="sign", init=False)

    FORM: ClassVar[Form] = Form(
        summary="1 where z > 0, else -1; `Sign`",
        c="z > 0.0 ? 1.0 : -1.0",
        onnx=_onnx_threshold(-1.0),
        jumps=True,
    )


_WITH_PARAMETER = kinds_of(Activation, globals())

ACTIVATIONS: Mapping[str, Callable[..., Activation]] = {
    **{name: partial(Activation, name) for name in PLAIN},
    **_WITH_PARAMETER,
}
FORMS: Mapping[str, Form] = {
    **PLAIN,
    **{name: kind.FORM for name, kind in _WITH_PARAMETER.items()},  # type: ignore[attr-defined]
}

_LISTING = "\n".join(f"    - ``{name}``: {form.summary}" for name, form in FORMS.items())
Activation.__doc__ = str(Activation.__doc__).replace(
    "    Examples\n", f"    By name:\n\n{_LISTING}\n\n    Examples\n", 1
)
