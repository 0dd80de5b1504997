"""Optimizers: this module checks the settings, the core computes the steps.

All optimizers have a learning rate that is a number, a `Schedule` or a function of the epoch, and
the settings of `Optimizer`. Let ``g`` be the gradient of the mean loss of a mini-batch, clipped if
clipping is on. The update rules use ``g`` for biases and ``g + l1 * sign(w) + l2 * w`` for weights.
Before each step weights are multiplied by ``1 - learning_rate * decay``, the decoupled weight decay
of I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

A new optimizer needs a class in this module and a kernel, for which cpp/kernels/kernel_table.hpp
names the place.
"""

from __future__ import annotations

import functools
import math
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
    "Group",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "checked_optimizer",
]

Rate: TypeAlias = "float | Callable[[int], float] | Schedule"
# Kind and index of an array; factors of rate, decay and epsilon.
ArrayRate: TypeAlias = "tuple[str, int, float, float, float]"
# Positive in float32, because the step of a parameter with zero gradients divides by epsilon.
_LEAST_EPSILON = 1e-30
# Settings in [0, 1).
SHARES = ("momentum", "rho", "beta1", "beta2")
# Names of settings in other libraries, which constructors accept too.
ALIASES = {"lr": "learning_rate", "weight_decay": "decay", "centered": "centred"}


# Kinds of parameters that `Group` calls embeddings.
_EMBEDDINGS = ("frequencies", "phases", "maps", "map_biases", "tables")


@dataclass(frozen=True)
class Group:
    """What some parameters have instead of the settings of the optimizer.

    Parameters
    ----------
    rate : float
        Factor >= 0 of the learning rate; 0 freezes the parameters.
    decay : float, optional
        Factor >= 0 of the decay. The default is 1 for weights and 0 for all others. Parameters
        shrink by ``learning_rate * rate * decay * optimizer.decay`` of their value per step.
    ntk : bool
        Whether the optimizer sees the weights of a layer multiplied by the root of its number of
        inputs, the "neural tangent" parametrization of RealMLP: steps of Adam become smaller by
        that root in wide layers.

    Examples
    --------
    >>> import fastmlp
    >>> groups = {"biases": fastmlp.Group(rate=0.1), "layers.0.weights": fastmlp.Group(rate=0)}
    >>> optimizer = fastmlp.Adam(0.01, groups=groups)
    >>> model = fastmlp.MLP([2, 4, 2])
    >>> before = model.weights[0]
    >>> history = model.fit([[0.0, 1.0]], [1], epochs=1, optimizer=optimizer, verbose=0)
    >>> bool((model.weights[0] == before).all())
    True
    """

    rate: float = 1.0
    decay: float | None = None
    ntk: bool = False

    def __post_init__(self) -> None:
        keep(self, rate=real("rate", self.rate, 0.0), ntk=flag("ntk", self.ntk))
        if self.decay is not None:
            keep(self, decay=real("decay", self.decay, 0.0))


@dataclass(frozen=True)
class Optimizer:
    """Base class of the optimizers.

    Constructors accept ``lr`` for ``learning_rate`` and ``weight_decay`` for ``decay``. That is the
    decoupled weight decay of Keras and of PyTorch's AdamW. The ``weight_decay`` of PyTorch's other
    optimizers is ``l2`` here.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        Step size, >= 0. A callable gets the epoch, counted from 0, and returns its rate.
    l2, l1 : float
        Coefficients of the penalties, >= 0: the objective adds ``l2 / 2`` times the sum of the
        squared weights and ``l1`` times the sum of their magnitudes.
    decay : float
        Decoupled weight decay, >= 0: weights are multiplied by ``1 - learning_rate * decay`` before
        each step.
    clip_value : float, optional
        Largest magnitude, > 0, to which elements of the gradient are clipped.
    clip_norm : float, optional
        Largest norm, > 0, to which the gradient of all parameters together is scaled down
        (R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural
        networks", 2013); applied before `clip_value`.
    max_norm : float, optional
        Largest norm, > 0, to which the incoming weights of each unit are scaled down after each
        step (N. Srivastava et al., "Dropout", 2014).
    decay_schedule : Schedule, optional
        Factor of the decay for every step, such as ``fastmlp.schedules.FlatCosine(1.0)``.
    groups : mapping of str to Group, optional
        What parameters have instead of these settings: by kind ("weights", "biases", "scales",
        "shifts", "mixes", "input_scales", "embeddings" or a kind of these), or by the name that
        `MLP.parameters` gives, which counts more.

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
    decay_schedule: Schedule | None = field(default=None, kw_only=True)
    groups: Mapping[str, Group] | None = field(default=None, kw_only=True)

    RULE: ClassVar[str]  # name of the update rule in the core

    def __post_init__(self) -> None:
        from fastmlp.schedules import Schedule

        if self.learning_rate is None:
            raise TypeError(
                "learning_rate must be a real number, got None; where lr_find suggests none, its "
                "result says why: LearningRates.problem"
            )
        if isinstance(self.learning_rate, type):
            name = self.learning_rate.__name__
            raise TypeError(
                f"learning_rate must be a number, a schedule or a function, got the class {name}; "
                f"{name}(...) makes a schedule"
            )
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
            elif name == "decay_schedule":
                require_plain_schedule(name, value)
            elif name == "groups":
                keep(self, groups=_checked_groups(value))
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
        """Return the settings of the update rule by their names in the core."""
        named = ("momentum", "beta1", "beta2", "epsilon")
        return {name: getattr(self, name) for name in named if hasattr(self, name)}

    def settings(self) -> dict[str, float]:
        """Return all settings of the core except the learning rate; 0 stands for None."""
        shared = ("l2", "l1", "decay", "clip_value", "clip_norm", "max_norm")
        return {name: getattr(self, name) or 0.0 for name in shared} | self._settings()

    def decays(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> list[float]:
        """Return the decays of steps of one epoch; empty if there is no schedule."""
        if self.decay_schedule is None:
            return []
        factors = self.decay_schedule.rates(first, count, steps_per_epoch, epochs)
        return [self.decay * float(factor) for factor in factors]

    def array_rates(self, shapes: Mapping[str, tuple[int, ...]]) -> list[ArrayRate]:
        """Return kind, index and factors of rate, decay and epsilon of parameters in groups.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            Names and shapes of the parameters of a network.

        Raises
        ------
        ValueError
            A group has no parameters in this network by its name.
        """
        if not self.groups:
            return []
        groups = dict(self.groups)
        rates: list[ArrayRate] = []
        for name, shape in shapes.items():
            _, index, kind = name.split(".")
            shared = groups.get("embeddings") if kind in _EMBEDDINGS else None
            group = groups.get(name, groups.get(kind, shared))
            if group is not None and kind not in ("means", "variances"):
                rates.append((kind, int(index), *self._factors(group, kind, shape)))
        for name in groups:
            if "." in name and name not in shapes:
                raise ValueError(f"groups: the network has no parameters {name!r}")
        return rates

    def _factors(
        self, group: Group, kind: str, shape: tuple[int, ...]
    ) -> tuple[float, float, float]:
        """Return the factors of rate, decay and epsilon of an array."""
        decay = group.decay if group.decay is not None else float(kind == "weights")
        if not group.ntk or kind != "weights":
            return group.rate, decay, 1.0
        root = math.sqrt(shape[-2])
        # A step of SGD grows with the gradient, one of the others does not.
        factor = root * root if isinstance(self, SGD) else root
        return group.rate / factor, decay * factor, root

    def rates(
        self, first: int, count: int, steps_per_epoch: int, epochs: int
    ) -> NDArray[np.float64]:
        """Return the learning rates of steps of one epoch; see `Schedule.rates`."""
        import numpy as np

        rate = self.learning_rate
        if isinstance(rate, float):
            rates = np.empty(count)
            rates.fill(rate)
            return rates
        from fastmlp.schedules import Schedule

        if isinstance(rate, Schedule):
            return rate.rates(first, count, steps_per_epoch, epochs)
        value = rate(first // steps_per_epoch) if callable(rate) else rate
        return np.full(count, real("learning_rate", value, 0.0))


def require_plain_schedule(name: str, value: object) -> None:
    """Require None or a schedule that depends on nothing but the step.

    Raises
    ------
    TypeError
        It is something else.
    """
    from fastmlp.schedules import Schedule

    if value is None:
        return
    if not isinstance(value, Schedule) or type(value).observe is not Schedule.observe:
        raise TypeError(
            f"{name} must be a schedule that observes no epochs, such as "
            f"fastmlp.schedules.FlatCosine, or None, got {type(value).__name__}"
        )


def _checked_groups(groups: object) -> dict[str, Group] | None:
    if groups is None:
        return None
    if not isinstance(groups, Mapping) or not all(isinstance(g, Group) for g in groups.values()):
        raise TypeError("groups must be a mapping of names of parameters to fastmlp.Group")
    kinds = (
        "weights", "biases", "scales", "shifts", "mixes", "input_scales", "embeddings", *_EMBEDDINGS
    )  # fmt: skip
    for name in groups:
        if not isinstance(name, str) or ("." not in name and name not in kinds):
            raise ValueError(
                f"groups must be named {', '.join(kinds)} or as parameters, got {name!r}"
            )
    return dict(groups)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum or Nesterov momentum.

    - ``v = momentum * v - learning_rate * g``
    - ``w = w + v``, or ``w = w + momentum * v - learning_rate * g`` with ``nesterov``

    PyTorch keeps ``v`` free of the learning rate, so the two differ once the rate changes during
    training. Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of
    initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        Settings of all optimizers, described at `Optimizer`.
    momentum : float
        Momentum, in [0, 1).
    nesterov : bool
        Whether to use Nesterov momentum, which requires momentum > 0.

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
        Settings of all optimizers, described at `Optimizer`.
    epsilon : float
        Number added to the divisor, >= 1e-30.

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
        Settings of all optimizers, described at `Optimizer`.
    rho : float
        Decay rate of the averages, in [0, 1); PyTorch's ``alpha``.
    momentum : float
        Momentum, in [0, 1).
    epsilon : float
        Number added to the divisor, >= 1e-30.
    centred : bool
        Whether to divide by the standard deviation of the gradient instead of the root mean square;
        the constructor accepts ``centered`` too.

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
    """Base class of optimizers with moving averages of the gradient and of its magnitude."""

    learning_rate: Rate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Adam(_Moments):
    """Adaptive moment estimation; ``amsgrad`` uses the largest mean square so far.

    - ``m = beta1 * m + (1 - beta1) * g``, ``s = beta2 * s + (1 - beta2) * g**2``
    - ``w = w - learning_rate * m' / (sqrt(s') + epsilon)`` with ``m' = m / (1 - beta1**t)`` and
      ``s' = s / (1 - beta2**t)`` in step ``t``, counted from 1

    Sources: D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015; S. Reddi,
    S. Kale, S. Kumar, "On the convergence of Adam and beyond", 2018.

    Parameters
    ----------
    learning_rate, l2, l1, decay, clip_value, clip_norm, max_norm
        Settings of all optimizers, described at `Optimizer`.
    beta1, beta2 : float
        Decay rates of the averages, in [0, 1).
    epsilon : float
        Number added to the divisor, >= 1e-30.
    amsgrad : bool
        Whether to divide by the root of the largest ``s`` so far.

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
    """`Adam` with decoupled weight decay (Loshchilov and Hutter, 2019) of 0.01 by default.

    The parameters are those of `Adam`.

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

    The parameters are those of `Adam` without ``amsgrad``.

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
    """`Adam` with Nesterov momentum and the momentum schedule of the paper (decay 0.004).

    With ``mu(t) = beta1 * (1 - 0.96**(0.004 * t) / 2)`` and ``p(t)`` the product of ``mu`` up to
    ``t``, the mean gradient of `Adam` is replaced by
    ``mu(t + 1) * m / (1 - p(t + 1)) + (1 - mu(t)) * g / (1 - p(t))``.

    Source: T. Dozat, "Incorporating Nesterov momentum into Adam", 2016. The parameters are
    those of `Adam` without ``amsgrad``.

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
        Settings of all optimizers, described at `Optimizer`.
    beta1, beta2 : float
        Decay rates of the average in the step and of the stored average, in [0, 1).

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
    """Make the constructor accept the names of `ALIASES` too."""
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


def checked_optimizer(optimizer: Optimizer | str) -> Optimizer:
    """Return an optimizer unchanged, or the optimizer of a name.

    Raises
    ------
    TypeError, ValueError
        The argument is neither an optimizer nor the name of one.

    Examples
    --------
    >>> checked_optimizer("adam") == Adam()
    True
    """
    if isinstance(optimizer, str):
        kind: Callable[[], Optimizer] = OPTIMIZERS[
            choice("optimizer", optimizer.lower(), OPTIMIZERS)
        ]
        return kind()
    if not isinstance(optimizer, Optimizer) or type(optimizer) is Optimizer:
        came = type(optimizer).__name__
        if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
            came = f"the class {optimizer.__name__}; {optimizer.__name__}() is an object of it"
        raise TypeError(
            "optimizer must be a name or an optimizer of fastmlp such as fastmlp.SGD or "
            f"fastmlp.Adam, got {came}"
        )
    return optimizer
