"""Initializers of weights, by name or with parameters; the core draws them. Biases start at 0."""

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
    """An initializer without parameters; arguments also accept its name alone.

    ``zeros``; ``glorot_uniform`` and ``glorot_normal`` of variance 2 / (in + out) (Glorot and
    Bengio 2010); ``he_uniform`` and ``he_normal`` of variance 2 / in (He et al. 2015);
    ``lecun_uniform`` and ``lecun_normal`` of variance 1 / in (LeCun et al. 1998);
    ``rsqrt_uniform`` between -1 / sqrt(in) and 1 / sqrt(in), biases too, as PyTorch has it.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], initializer="lecun_normal").architecture.initializer
    Initializer(name='lecun_normal')
    """

    name: str

    @property
    def parameter(self) -> float:
        """Parameter of the core's function; 0 if it has none."""
        return 0.0


@dataclass(frozen=True)
class Constant(Initializer):
    """Constant weights.

    Parameters
    ----------
    value : float
        Value of every weight.

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
        """Value of every weight."""
        return self.value


@dataclass(frozen=True)
class Normal(Initializer):
    """Normally distributed weights with mean 0; the default is N(0, 1).

    Parameters
    ----------
    deviation : float
        Standard deviation, >= 0.

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
        """Standard deviation of the weights."""
        return self.deviation


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniformly distributed weights between ``-bound`` and ``bound``.

    Parameters
    ----------
    bound : float
        Largest magnitude of a weight, >= 0.

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
        """Largest magnitude of a weight."""
        return self.bound


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Orthonormal columns, or rows if these are fewer, times ``gain`` (Saxe et al. 2014).

    Parameters
    ----------
    gain : float
        Factor of the orthonormal matrix, >= 0.

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
        """Factor of the orthonormal matrix."""
        return self.gain


# Each name has a formula in cpp/network/initializer.cpp.
_PLAIN = (
    "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform",
    "rsqrt_uniform", "zeros",
)  # fmt: skip

INITIALIZERS: Mapping[str, Callable[..., Initializer]] = {
    **{name: partial(Initializer, name) for name in _PLAIN},
    **kinds_of(Initializer, globals()),
}
