"""Oracle of the activations: value and derivative by the pre-activation z, in NumPy float64.

A sum that would cancel is written in the equivalent form that does not, so that tails keep their
relative accuracy: 1 + erf as erfc, (1 + tanh u) / 2 as sigmoid(2u), 1 - sigmoid(z) as sigmoid(-z).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from support.reference import Array, sigmoid

# The fixed point of G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017.
SELU_LAMBDA = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
# Beyond it both forms of gelu are 0 or z in float64, and a power of z may overflow.
GELU_SATURATED = 40.0

# What each activation takes when nothing else is asked for; 0 where it has no parameter at all.
DEFAULT_PARAMETERS = {
    "identity": 0.0,
    "step": 0.0,
    "sign": 0.0,
    "sigmoid": 0.0,
    "hard_sigmoid": 0.0,
    "tanh": 0.0,
    "relu": 0.0,
    "leaky_relu": 0.01,
    "elu": 1.0,
    "selu": 0.0,
    "gelu": 0.0,
    "gelu_tanh": 0.0,
    "silu": 0.0,
    "softplus": 0.0,
    "mish": 0.0,
}


# ---------------------------------------------------------------- piecewise constant and linear


def identity(z: Array) -> Array:
    return z.copy()


def identity_derivative(z: Array) -> Array:
    return np.ones_like(z)


def step(z: Array, derivative: float) -> Array:
    """W. McCulloch and W. Pitts 1943: 1 above the threshold, else 0."""
    return np.where(z > 0, 1.0, 0.0)


def sign(z: Array, derivative: float) -> Array:
    return np.where(z > 0, 1.0, -1.0)


def surrogate_derivative(z: Array, derivative: float) -> Array:
    """Return 0, the true derivative, or 1, the straight-through one of Y. Bengio et al. 2013."""
    return np.full_like(z, derivative)


def hard_sigmoid(z: Array) -> Array:
    return np.clip((z + 3) / 6, 0, 1)


def hard_sigmoid_derivative(z: Array) -> Array:
    return np.where(np.abs(z) < 3, 1 / 6, 0.0)


def relu(z: Array) -> Array:
    return np.where(z > 0, z, 0.0)


def relu_derivative(z: Array) -> Array:
    return np.where(z > 0, 1.0, 0.0)


def leaky_relu(z: Array, slope: float) -> Array:
    return np.where(z > 0, z, slope * z)


def leaky_relu_derivative(z: Array, slope: float) -> Array:
    return np.where(z > 0, 1.0, slope)


# ---------------------------------------------------------------- exponential tails


def elu(z: Array, alpha: float) -> Array:
    """D. Clevert et al., "Exponential linear units", ICLR 2016."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def elu_derivative(z: Array, alpha: float) -> Array:
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0)))


def selu(z: Array) -> Array:
    return SELU_LAMBDA * elu(z, SELU_ALPHA)


def selu_derivative(z: Array) -> Array:
    return SELU_LAMBDA * elu_derivative(z, SELU_ALPHA)


def softplus(z: Array) -> Array:
    """log(1 + e^z), the exponential only ever of a non-positive number."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


# ---------------------------------------------------------------- smooth


def sigmoid_derivative(z: Array) -> Array:
    return sigmoid(z) * sigmoid(-z)


def tanh_derivative(z: Array) -> Array:
    """1 - tanh^2(z), because tanh(z) = 2 sigmoid(2z) - 1."""
    return 4 * sigmoid_derivative(2 * z)


def silu(z: Array) -> Array:
    return z * sigmoid(z)


def silu_derivative(z: Array) -> Array:
    return sigmoid(z) * (1 + z * sigmoid(-z))


def _tanh_of_softplus(z: Array) -> tuple[Array, Array]:
    """tanh(log(1 + e^z)), and 1 minus its square, of the exponential of a non-positive number."""
    e = np.exp(-np.abs(z))
    numerator = np.where(z > 0, 1 + 2 * e, e * (e + 2))
    denominator = numerator + np.where(z > 0, 2 * e**2, 2)
    complement = 4 * (1 + e) ** 2 * np.where(z > 0, e**2, 1) / denominator**2
    return numerator / denominator, complement


def mish(z: Array) -> Array:
    """D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020."""
    return z * _tanh_of_softplus(z)[0]


def mish_derivative(z: Array) -> Array:
    tanh, complement = _tanh_of_softplus(z)
    return tanh + z * sigmoid(z) * complement


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def normal_cdf(z: Array) -> Array:
    return _erfc(-z / math.sqrt(2)) / 2


def normal_density(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def gelu(z: Array) -> Array:
    """D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016."""
    return z * normal_cdf(z)


def gelu_derivative(z: Array) -> Array:
    near = np.clip(z, -GELU_SATURATED, GELU_SATURATED)
    return normal_cdf(z) + near * normal_density(near)


def _gelu_tanh_argument(z: Array) -> Array:
    near = np.clip(z, -GELU_SATURATED, GELU_SATURATED)
    return math.sqrt(2 / math.pi) * (near + 0.044715 * near**3)


def gelu_tanh(z: Array) -> Array:
    """z (1 + tanh u) / 2 with u = sqrt(2 / pi) (z + 0.044715 z^3), of the GELU paper."""
    return z * sigmoid(2 * _gelu_tanh_argument(z))


def gelu_tanh_derivative(z: Array) -> Array:
    u = _gelu_tanh_argument(z)
    near = np.clip(z, -GELU_SATURATED, GELU_SATURATED)
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * near**2)
    return sigmoid(2 * u) + near * sigmoid_derivative(2 * u) * 2 * du


# ---------------------------------------------------------------- by name

PARAMETRIC: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "step": (step, surrogate_derivative),
    "sign": (sign, surrogate_derivative),
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "elu": (elu, elu_derivative),
}
PLAIN: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "identity": (identity, identity_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "hard_sigmoid": (hard_sigmoid, hard_sigmoid_derivative),
    "tanh": (np.tanh, tanh_derivative),
    "relu": (relu, relu_derivative),
    "selu": (selu, selu_derivative),
    "gelu": (gelu, gelu_derivative),
    "gelu_tanh": (gelu_tanh, gelu_tanh_derivative),
    "silu": (silu, silu_derivative),
    "softplus": (softplus, sigmoid),
    "mish": (mish, mish_derivative),
}


def _evaluate(which: int, name: str, z: Array, parameter: float | None) -> Array:
    if name in PLAIN:
        return PLAIN[name][which](z)
    if parameter is None:
        parameter = DEFAULT_PARAMETERS[name]
    return PARAMETRIC[name][which](z, parameter)


def value(name: str, z: Array, parameter: float | None = None) -> Array:
    """Return the value of an activation at z; `parameter` None is the default one."""
    return _evaluate(0, name, z, parameter)


def derivative(name: str, z: Array, parameter: float | None = None) -> Array:
    """Return the derivative of an activation at z; at a kink that of z <= 0, of hard_sigmoid 0."""
    return _evaluate(1, name, z, parameter)
