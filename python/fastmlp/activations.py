"""Activations: functions of one number, by name or with parameters; computed by the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from fastmlp.validation import flag, keep, real

__all__ = ["ACTIVATIONS", "ELU", "Activation", "LeakyReLU", "Sign", "Step"]


@dataclass(frozen=True)
class Activation:
    """An activation without parameters; its name is enough wherever one is asked for.

    ``identity``; ``sigmoid`` 1 / (1 + exp(-z)); ``hard_sigmoid`` (z + 3) / 6 cut off at 0 and 1;
    ``tanh``; ``relu`` max(z, 0); ``selu`` (Klambauer et al. 2017); ``gelu`` z Phi(z) with the
    normal distribution function Phi, and ``gelu_tanh``, its form with a hyperbolic tangent
    (Hendrycks and Gimpel 2016); ``silu`` z sigmoid(z); ``softplus`` log(1 + exp(z)).
    """

    name: str

    @property
    def parameter(self) -> float:
        """The number that the core's function takes besides z."""
        return 0.0


@dataclass(frozen=True)
class _Threshold(Activation):
    """A function of the sign of z alone.

    Parameters
    ----------
    straight_through : bool
        Backpropagation takes its slope for 1 instead of 0 (Bengio, Léonard, Courville 2013). With
        the loss ``half_mse`` and batches of one sample that is the perceptron rule.
    """

    straight_through: bool = False

    def __post_init__(self) -> None:
        keep(self, straight_through=flag("straight_through", self.straight_through))

    @property
    def parameter(self) -> float:
        """Slope in backpropagation."""
        return 1.0 if self.straight_through else 0.0


@dataclass(frozen=True)
class Step(_Threshold):
    """1 where z > 0, else 0 (McCulloch and Pitts 1943); parameters as of `Sign`."""

    name: str = field(default="step", init=False)


@dataclass(frozen=True)
class Sign(_Threshold):
    """1 where z > 0, else -1.

    Parameters
    ----------
    straight_through : bool
        Backpropagation takes its slope for 1 instead of 0 (Bengio, Léonard, Courville 2013). With
        the loss ``half_mse`` and batches of one sample that is the perceptron rule.
    """

    name: str = field(default="sign", init=False)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """z where z > 0, else ``slope * z`` (Maas, Hannun, Ng 2013).

    Parameters
    ----------
    slope : float
        >= 0.
    """

    name: str = field(default="leaky_relu", init=False)
    slope: float = 0.01

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
        >= 0.
    """

    name: str = field(default="elu", init=False)
    alpha: float = 1.0

    def __post_init__(self) -> None:
        keep(self, alpha=real("alpha", self.alpha, 0.0))

    @property
    def parameter(self) -> float:
        """Limit far below zero, without its sign."""
        return self.alpha


_PLAIN = (
    "identity", "sigmoid", "hard_sigmoid", "tanh", "relu", "selu", "gelu", "gelu_tanh", "silu",
    "softplus",
)  # fmt: skip
_WITH_PARAMETERS = (Step, Sign, LeakyReLU, ELU)

ACTIVATIONS: Mapping[str, Callable[..., Activation]] = {
    **{name: partial(Activation, name) for name in _PLAIN},
    **{str(kind.name): kind for kind in _WITH_PARAMETERS},
}
