"""Optimizers: settings checked here, arithmetic in the core.

All of them take a learning rate that is a number, a `Schedule` or a function of the epoch, and the
settings of `Optimizer`. Let ``g`` be the gradient of the mean loss of a mini-batch, clipped if
clipping is on. The update rules use ``g`` for biases and ``g + l1 * sign(w) + l2 * w`` for weights.
Before each step weights shrink by ``learning_rate * decay``, the decoupled weight decay of
I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

A new optimizer is a class here and a kernel (cpp/kernels/kernel_table.hpp says where).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from fastmlp._argument_names import require_known_names
from fastmlp._scalars import choice, flag, keep, real

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastmlp.schedules import Schedule

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "checked_optimizer",
]

Rate: TypeAlias = "float | Callable[[int], float] | Schedule"
# Above zero in single precision: a parameter whose gradients have all been zero divides by it.
_LEAST_EPSILON = 1e-30
# Settings in [0, 1).
SHARES = ("momentum", "rho", "beta1", "beta2")
# Other libraries' names of settings, which constructors take too.
ALIASES = {"lr": "learning_rate", "weight_decay": "decay", "centered": "centred"}


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share.

    Constructors take ``lr`` for ``learning_rate`` and ``weight_decay`` for ``decay`` too. That is
    the decoupled weight decay of Keras and of PyTorch's AdamW; the ``weight_decay`` of PyTorch's
    other optimizers is ``l2`` here.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        Step size >= 0. A callable gets the epoch, counted from 0, and returns the rate for it.
    l2, l1 : float
        The objective adds ``l2 / 2`` times the sum of the squared weights and ``l1`` times the sum
        of their magnitudes.
    decay : float
        Weights shrink by ``learning_rate * decay`` before each step.
    clip_value : float, optional
        Elements of the gradient are clipped to plus and minus this, > 0.
    clip_norm : float, optional
        The gradient of all parameters together shrinks to this norm where it is longer, > 0
        (R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural
        networks", 2013); applied before `clip_value`.
    max_norm : float, optional
        After each step the weights that lead to a unit shrink to this norm where they are longer,
        > 0 (N. Srivastava et al., "Dropout", 2014).

    Raises
    ------
    TypeError, ValueError
        A setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.SGD(lr=0.1, momentum=0.9).learning_rate
    0.1
    """

    learning_rate: Rate
    l2: float = field(default=0.0, kw_only=True)
    l1: float = field(default=0.0, kw_only=True)
    decay: float = field(default=0.0, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    max_norm: float | None = field(default=None, kw_only=True)

    RULE: ClassVar[str]  # name of the update rule in the core

    def __post_init__(self) -> None:
        from fastmlp.schedules import Schedule

        if not callable(self.learning_rate) and not isinstance(self.learning_rate, Schedule):
            keep(self, learning_rate=real("learning_rate", self.learning_rate, 0.0))
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            if name == "epsilon":
                keep(self, epsilon=real(name, value, _LEAST_EPSILON))
            elif name in ("l2", "l1", "decay"):
                keep(self, **{name: real(name, value, 0.0)})
            elif name in SHARES:
                keep(self, **{name: real(name, value, 0.0, 1.0, below=True)})
            elif name in ("nesterov", "centred", "amsgrad"):
                keep(self, **{name: flag(name, value)})
            elif name != "learning_rate" and value is not None:
                limit = real(name, value, 0.0)
                if limit == 0:
                    raise ValueError(f"{name} must be > 0 or None, got {value}")
                keep(self, **{name: limit})

    @property
    def lr(self) -> Rate:
        """Another name of `learning_rate`."""
        return self.learning_rate

    @property
    def weight_decay(self) -> float:
        """Another name of `decay`."""
        return self.decay

    @property
    def rule(self) -> str:
        """Name of the update rule in the core."""
        return self.RULE

    def _settings(self) -> dict[str, float]:
        """What the rule itself needs, by the names of the core."""
        named = ("momentum", "beta1", "beta2", "epsilon")
        return {name: getattr(self, name) for name in named if hasattr(self, name)}

    def settings(self) -> dict[str, float]:
        """All settings of the core but the learning rate; 0 stands for none."""
        shared = ("l2", "l1", "decay", "clip_value", "clip_norm", "max_norm")
        return {name: getattr(self, name) or 0.0 for name in shared} | self._settings()

    def rates(
        self, first: int, count: int, steps_per_epoch: int, epochs: int
    ) -> NDArray[np.float64]:
        """Learning rates of steps of one epoch, as `Schedule.rates` gives them."""
        import numpy as np

        from fastmlp.schedules import Schedule

        rate = self.learning_rate
        if isinstance(rate, Schedule):
            return rate.rates(first, count, steps_per_epoch, epochs)
        value = rate(first // steps_per_epoch) if callable(rate) else rate
        return np.full(count, real("learning_rate", value, 0.0))


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum and Nesterov's form of it.

    - ``v = momentum * v - learning_rate * g``
    - ``w = w + v``, or ``w = w + momentum * v - learning_rate * g`` with ``nesterov``

    PyTorch keeps ``v`` free of the learning rate, so the two differ once the rate changes during
    training. Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of
    initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        As of `Optimizer`.
    momentum : float
        In [0, 1).
    nesterov : bool
        Requires momentum > 0.

    Raises
    ------
    TypeError, ValueError
        A setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.SGD(0.1, momentum=0.9, nesterov=True).rule
    'nesterov'
    """

    learning_rate: Rate = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov requires momentum > 0, got momentum 0")

    @property
    def rule(self) -> str:
        """Name of the update rule in the core."""
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

    - ``s = s + g**2``
    - ``w = w - learning_rate * g / (sqrt(s) + epsilon)``

    Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", 2011.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        As of `Optimizer`.
    epsilon : float
        Keeps the divisor from zero, >= 1e-30.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adagrad(0.05).rule
    'adagrad'
    """

    learning_rate: Rate = 0.01
    epsilon: float = 1e-10

    RULE: ClassVar[str] = "adagrad"


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps divided by the root of a moving average of the squared gradients.

    - ``s = rho * s + (1 - rho) * g**2``, and with ``centred`` ``m = rho * m + (1 - rho) * g``
    - ``u = g / (sqrt(s) + epsilon)``, or ``u = g / (sqrt(s - m**2) + epsilon)``
    - ``w = w - learning_rate * u``, or with momentum ``v = momentum * v + u`` and
      ``w = w - learning_rate * v``

    Sources: T. Tieleman, G. Hinton, "Lecture 6.5: RMSprop", 2012; A. Graves, "Generating sequences
    with recurrent neural networks", 2013.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        As of `Optimizer`.
    rho : float
        Decay rate of the averages, in [0, 1); PyTorch's ``alpha``.
    momentum : float
        In [0, 1).
    epsilon : float
        Keeps the divisor from zero, >= 1e-30.
    centred : bool
        Divide by the deviation instead of the root mean square; ``centered`` is accepted too.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.RMSprop(centered=True, momentum=0.9).rule
    'centred_rmsprop_momentum'
    """

    learning_rate: Rate = 0.01
    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    centred: bool = False

    @property
    def rule(self) -> str:
        """Name of the update rule in the core."""
        return (
            ("centred_" if self.centred else "")
            + "rmsprop"
            + ("_momentum" if self.momentum else "")
        )

    def _settings(self) -> dict[str, float]:
        return super()._settings() | {"beta2": self.rho}

    @property
    def centered(self) -> bool:
        """Another name of `centred`."""
        return self.centred


@dataclass(frozen=True)
class _Moments(Optimizer):
    """Optimizers with moving averages of the gradient and of its size."""

    learning_rate: Rate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Adam(_Moments):
    """Adaptive moment estimation, with ``amsgrad`` from the largest mean square so far.

    - ``m = beta1 * m + (1 - beta1) * g``, ``s = beta2 * s + (1 - beta2) * g**2``
    - ``w = w - learning_rate * m' / (sqrt(s') + epsilon)`` with ``m' = m / (1 - beta1**t)`` and
      ``s' = s / (1 - beta2**t)`` in step ``t``, counted from 1

    Sources: D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015; S. Reddi,
    S. Kale, S. Kumar, "On the convergence of Adam and beyond", 2018.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        As of `Optimizer`.
    beta1, beta2 : float
        Decay rates of the averages, in [0, 1).
    epsilon : float
        Keeps the divisor from zero, >= 1e-30.
    amsgrad : bool
        Divide by the root of the largest ``s`` so far.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adam(0.003, amsgrad=True).rule
    'amsgrad'
    """

    amsgrad: bool = False

    @property
    def rule(self) -> str:
        """Name of the update rule in the core."""
        return "amsgrad" if self.amsgrad else "adam"


@dataclass(frozen=True)
class AdamW(Adam):
    """`Adam` with decoupled weight decay (Loshchilov and Hutter, 2019); parameters as there.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.AdamW(0.003, weight_decay=0.1).decay
    0.1
    """

    decay: float = field(default=0.01, kw_only=True)


@dataclass(frozen=True)
class Adamax(_Moments):
    """`Adam` with the largest magnitude in place of the mean square (section 7.1 of its paper).

    - ``m = beta1 * m + (1 - beta1) * g``, ``u = max(beta2 * u, abs(g) + epsilon)``
    - ``w = w - learning_rate / (1 - beta1**t) * m / u``

    Parameters as of `Adam`, without ``amsgrad``.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adamax().learning_rate
    0.002
    """

    learning_rate: Rate = 0.002

    RULE: ClassVar[str] = "adamax"


@dataclass(frozen=True)
class Nadam(_Moments):
    """`Adam` with Nesterov momentum whose schedule is that of the paper (decay 0.004).

    With ``mu(t) = beta1 * (1 - 0.96**(0.004 * t) / 2)`` and ``p(t)`` the product of ``mu`` up to
    ``t``, the mean gradient of `Adam` is replaced by
    ``mu(t + 1) * m / (1 - p(t + 1)) + (1 - mu(t)) * g / (1 - p(t))``.

    Source: T. Dozat, "Incorporating Nesterov momentum into Adam", 2016. Parameters as of `Adam`,
    without ``amsgrad``.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Nadam(clip_norm=1.0).clip_norm
    1.0
    """

    learning_rate: Rate = 0.002

    RULE: ClassVar[str] = "nadam"


@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one size, in the direction of the sign of an averaged gradient.

    - ``w = w - learning_rate * sign(beta1 * m + (1 - beta1) * g)``
    - ``m = beta2 * m + (1 - beta2) * g``

    Source: X. Chen et al., "Symbolic discovery of optimization algorithms", 2023.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        As of `Optimizer`.
    beta1, beta2 : float
        In [0, 1).

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Lion(0.0003, decay=0.1).beta2
    0.99
    """

    learning_rate: Rate = 0.0001
    beta1: float = 0.9
    beta2: float = 0.99

    RULE: ClassVar[str] = "lion"


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    name.lower(): kind
    for name, kind in list(globals().items())
    if isinstance(kind, type) and issubclass(kind, Optimizer)
    if kind is not Optimizer and not name.startswith("_")
}


def _take_aliases(kind: type[Optimizer]) -> None:
    """Let the constructor take the names of `ALIASES` too."""
    names = [setting.name for setting in fields(kind)]
    initialize = kind.__init__

    @functools.wraps(initialize)
    def with_aliases(self: Any, *values: Any, **named: Any) -> None:
        for alias, name in ALIASES.items():
            if alias in named and name in names:
                if name in named or names.index(name) < len(values):
                    raise TypeError(f"{alias} is another name of {name}: give one of the two")
                named[name] = named.pop(alias)
        require_known_names(kind.__name__, named, names)
        initialize(self, *values, **named)

    kind.__init__ = with_aliases  # type: ignore[method-assign]


for _kind in OPTIMIZERS.values():
    _take_aliases(_kind)


def checked_optimizer(optimizer: Optimizer | str | None) -> Optimizer:
    """The optimizer itself, the one of a name with its default settings, or the default for None.

    Raises
    ------
    TypeError, ValueError
        Neither an optimizer nor the name of one.

    Examples
    --------
    >>> checked_optimizer("adam") == Adam()
    True
    >>> checked_optimizer(None) == SGD(learning_rate=0.1, momentum=0.9)
    True
    """
    if optimizer is None:
        return SGD(learning_rate=0.1, momentum=0.9)
    if isinstance(optimizer, str):
        kind: Callable[[], Optimizer] = OPTIMIZERS[
            choice("optimizer", optimizer.lower(), OPTIMIZERS)
        ]
        return kind()
    if not isinstance(optimizer, Optimizer) or type(optimizer) is Optimizer:
        raise TypeError(
            "optimizer must be a name or an optimizer of fastmlp such as fastmlp.SGD or "
            f"fastmlp.Adam, got {type(optimizer).__name__}"
        )
    return optimizer
