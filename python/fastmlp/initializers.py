"""Initial weights: distributions by name or with parameters, drawn by the core; biases are 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from fastmlp._named import kinds_of
from fastmlp._scalars import keep, real

__all__ = ["INITIALIZERS", "Constant", "Initializer", "Normal", "Orthogonal", "Uniform"]


@dataclass(frozen=True)
class Initializer:
    """An initializer without parameters; its name is enough wherever one is asked for.

    ``zeros``; ``glorot_uniform`` and ``glorot_normal`` of variance 2 / (in + out) (Glorot and
    Bengio 2010); ``he_uniform`` and ``he_normal`` of variance 2 / in (He et al. 2015);
    ``lecun_uniform`` and ``lecun_normal`` of variance 1 / in (LeCun et al. 1998).

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], initializer="lecun_normal").architecture.initializer
    Initializer(name='lecun_normal')
    """

    name: str

    @property
    def parameter(self) -> float:
        """The number that the core's function takes."""
        return 0.0


@dataclass(frozen=True)
class Constant(Initializer):
    """Every weight is ``value``.

    Parameters
    ----------
    value : float

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], initializer=fastmlp.Constant(value=0.5)).architecture.initializer
    Constant(name='constant', value=0.5)
    """

    name: str = field(default="constant", init=False)
    value: float = 0.0

    def __post_init__(self) -> None:
        keep(self, value=real("value", self.value, -math.inf))

    @property
    def parameter(self) -> float:
        """The value."""
        return self.value


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal weights of mean 0; the default is N(0, 1).

    Parameters
    ----------
    deviation : float
        >= 0.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], initializer=fastmlp.Normal(deviation=0.1)).architecture.initializer
    Normal(name='normal', deviation=0.1)
    """

    name: str = field(default="normal", init=False)
    deviation: float = 1.0

    def __post_init__(self) -> None:
        keep(self, deviation=real("deviation", self.deviation, 0.0))

    @property
    def parameter(self) -> float:
        """The deviation."""
        return self.deviation


@dataclass(frozen=True)
class Uniform(Initializer):
    """Weights uniform between ``-bound`` and ``bound``.

    Parameters
    ----------
    bound : float
        >= 0.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], initializer=fastmlp.Uniform(bound=0.1)).architecture.initializer
    Uniform(name='uniform', bound=0.1)
    """

    name: str = field(default="uniform", init=False)
    bound: float = 0.05

    def __post_init__(self) -> None:
        keep(self, bound=real("bound", self.bound, 0.0))

    @property
    def parameter(self) -> float:
        """The bound."""
        return self.bound


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Orthonormal columns, or rows where these are fewer, times ``gain`` (Saxe et al. 2014).

    Parameters
    ----------
    gain : float
        >= 0.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], initializer=fastmlp.Orthogonal(gain=1.4)).architecture.initializer
    Orthogonal(name='orthogonal', gain=1.4)
    """

    name: str = field(default="orthogonal", init=False)
    gain: float = 1.0

    def __post_init__(self) -> None:
        keep(self, gain=real("gain", self.gain, 0.0))

    @property
    def parameter(self) -> float:
        """The gain."""
        return self.gain


# Each of them has a formula in cpp/network/initializer.cpp.
_PLAIN = (
    "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform",
    "zeros",
)  # fmt: skip

INITIALIZERS: Mapping[str, Callable[..., Initializer]] = {
    **{name: partial(Initializer, name) for name in _PLAIN},
    **kinds_of(Initializer, globals()),
}
