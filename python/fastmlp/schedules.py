"""Learning rates that change during training.

A schedule is passed as the ``learning_rate`` of an optimizer instead of a number. Rates are
computed with operations that every machine rounds correctly, so that a schedule returns the same
bits everywhere. Only `InverseScaling` may differ in the last bit, if its power is not 0, 0.5, 1
or 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

from fastmlp._logarithm import fraction_of_log2
from fastmlp.history import BestValue
from fastmlp.validation import choice, integer, keep, real

__all__ = [
    "Constant",
    "CosLog",
    "Cosine",
    "Exponential",
    "FlatCosine",
    "InverseScaling",
    "Linear",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "WarmUp",
]


def __dir__() -> list[str]:
    return __all__


PERIODS = ("epoch", "step")
_MOST_CYCLES = 50  # 2**cycles stays exact in float64
Times = NDArray[np.int64]
Rates = NDArray[np.float64]


class Schedule:
    """A learning rate for every step of a training; subclasses define `rates`.

    ``watches`` names the values in the record of an epoch that `observe` needs.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> class Sawtooth(fastmlp.schedules.Schedule):
    ...     def rates(self, first, count, steps_per_epoch, epochs):
    ...         return 0.1 * (1 - np.arange(first, first + count) % 5 / 10)
    >>> optimizer = fastmlp.SGD(Sawtooth())
    >>> optimizer.rates(3, 3, steps_per_epoch=10, epochs=1).round(3).tolist()
    [0.07, 0.06, 0.1]
    """

    watches: Sequence[str] = ()

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        """Return the learning rates of consecutive steps.

        Parameters
        ----------
        first, count : int
            First step, counted from 0 since the start of the training, and number of steps.
        steps_per_epoch, epochs : int
            Number of mini-batches of an epoch, and planned number of epochs.

        Returns
        -------
        float64 array of shape (count,)
        """
        raise NotImplementedError

    def observe(self, record: Mapping[str, Any]) -> None:
        """Process the record of an epoch; called after each epoch."""

    def reset(self) -> None:
        """Discard the observed values; called at the start of each training."""

    def state(self) -> Mapping[str, Any]:
        """Return the observed values, of the types that `Callback.state` allows.

        A schedule with `observe` must define it, so that a training can be resumed exactly.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a result of `state`; called when a training is resumed."""


@dataclass(frozen=True)
class Constant(Schedule):
    """One learning rate for the whole training.

    Parameters
    ----------
    rate : float
        Learning rate, >= 0.

    Examples
    --------
    >>> from fastmlp.schedules import Constant
    >>> Constant(0.1).rates(0, 3, steps_per_epoch=2, epochs=5).round(4).tolist()
    [0.1, 0.1, 0.1]
    """

    rate: float

    def __post_init__(self) -> None:
        keep(self, rate=real("rate", self.rate, 0.0))

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        return np.full(count, self.rate, dtype=np.float64)


@dataclass(frozen=True)
class _Timed(Schedule):
    """A schedule whose rate is a function of time, counted from 0 in steps or epochs."""

    per: str = field(default="epoch", kw_only=True)

    def __post_init__(self) -> None:
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            if name == "per":
                keep(self, per=choice(name, value, PERIODS))
            elif name == "every" or (name == "length" and value is not None):
                keep(self, **{name: integer(name, value, 1)})
            elif name == "cycles":
                keep(self, cycles=integer(name, value, 1, _MOST_CYCLES))
            elif name != "length":
                keep(self, **{name: real(name, value, 0.0)})

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        steps = np.arange(first, first + count)
        if self.per == "step":
            return self._rates_at(steps, steps_per_epoch * epochs)
        return self._rates_at(steps // steps_per_epoch, epochs)

    def _rates_at(self, times: Times, planned: int) -> Rates:
        raise NotImplementedError


@dataclass(frozen=True)
class StepDecay(_Timed):
    """A rate multiplied by a factor at equal intervals: ``rate * factor**(t // every)``.

    Parameters
    ----------
    rate, factor : float
        First learning rate and factor, >= 0.
    every : int
        Number of epochs or steps between two changes, >= 1.
    per : {"epoch", "step"}
        Unit of ``t``, which counts from 0.

    Examples
    --------
    >>> from fastmlp.schedules import StepDecay
    >>> schedule = StepDecay(0.1, factor=0.5, every=2)
    >>> schedule.rates(0, 5, steps_per_epoch=1, epochs=5).round(4).tolist()
    [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    rate: float
    factor: float = 0.1
    every: int = 10

    def _rates_at(self, times: Times, planned: int) -> Rates:
        return self.rate * _powers(self.factor, times // self.every)


@dataclass(frozen=True)
class Exponential(_Timed):
    """A rate multiplied by a factor after each step or epoch: ``rate * factor**t``.

    Parameters
    ----------
    rate : float
        First learning rate, >= 0.
    factor : float
        Factor, >= 0. A factor above 1 makes a learning-rate range test (L. N. Smith, "Cyclical
        learning rates for training neural networks", 2017).
    per : {"epoch", "step"}
        Unit of ``t``, which counts from 0.

    Examples
    --------
    >>> from fastmlp.schedules import Exponential
    >>> Exponential(0.8, 0.5).rates(0, 4, steps_per_epoch=1, epochs=4).round(4).tolist()
    [0.8, 0.4, 0.2, 0.1]
    """

    rate: float
    factor: float

    def _rates_at(self, times: Times, planned: int) -> Rates:
        return self.rate * _powers(self.factor, times)


@dataclass(frozen=True)
class InverseScaling(_Timed):
    """A rate divided by a power of time: ``rate / (1 + t)**power``.

    Parameters
    ----------
    rate : float
        First learning rate, >= 0.
    power : float
        Exponent, >= 0.
    per : {"epoch", "step"}
        Unit of ``t``, which counts from 0.

    Examples
    --------
    >>> from fastmlp.schedules import InverseScaling
    >>> InverseScaling(0.6, power=1).rates(0, 3, steps_per_epoch=1, epochs=3).round(4).tolist()
    [0.6, 0.3, 0.2]
    """

    rate: float
    power: float = 0.5

    def _rates_at(self, times: Times, planned: int) -> Rates:
        # NumPy computes a square root if the exponent is the Python number 0.5.
        with np.errstate(over="ignore"):  # the rate is 0 if the divisor is infinite
            return np.asarray(self.rate / (1.0 + times) ** self.power, np.float64)


@dataclass(frozen=True)
class _Falling(_Timed):
    """A schedule from `rate` to `end` over the planned training, or over a length of its own."""

    rate: float
    end: float = 0.0
    length: int | None = None
    per: str = field(default="step", kw_only=True)

    def _rates_at(self, times: Times, planned: int) -> Rates:
        done = np.minimum(times / float(planned if self.length is None else self.length), 1.0)
        return _mixed(self.rate, self.end, self._left(done))

    def _left(self, done: Rates) -> Rates:
        """Return the weight of `rate` against `end` for the fraction of time that has passed."""
        raise NotImplementedError


class Linear(_Falling):
    """A rate that changes along a straight line: ``rate + (end - rate) * t / length``.

    Parameters
    ----------
    rate, end : float
        Learning rates of the first step or epoch and after the last one, >= 0.
    length : int, optional
        Number of steps or epochs, >= 1, after which the rate stays at `end`; the default is the
        planned length of the training.
    per : {"step", "epoch"}
        Unit of ``t``, which counts from 0, and of `length`.

    Examples
    --------
    >>> from fastmlp.schedules import Linear
    >>> Linear(0.4).rates(0, 4, steps_per_epoch=2, epochs=2).round(4).tolist()
    [0.4, 0.3, 0.2, 0.1]
    """

    def _left(self, done: Rates) -> Rates:
        return 1.0 - done


class Cosine(_Falling):
    """A rate that changes along half a cosine, without restarts.

    ``end + (rate - end) * (1 + cos(pi * t / length)) / 2``

    Source: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017,
    equation 5. The parameters are those of `Linear`.

    Examples
    --------
    >>> from fastmlp.schedules import Cosine
    >>> Cosine(0.4).rates(0, 4, steps_per_epoch=2, epochs=2).round(4).tolist()
    [0.4, 0.3414, 0.2, 0.0586]
    """

    def _left(self, done: Rates) -> Rates:
        return _half_cosine(done)


@dataclass(frozen=True)
class CosLog(_Timed):
    """A rate that swings between 0 and `rate`, in cycles of which each is twice as long.

    ``rate * (1 - cos(2 pi log2(1 + (2**cycles - 1) t))) / 2``, where t is the number of completed
    steps divided by the planned steps of the training: 0 in the first step, whose rate is 0, and
    below 1 in the last one. The first cycle takes ``1 / (2**cycles - 1)`` of the training.

    Source: D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data", 2024 ("coslog4"). The package pytabkit of its authors
    evaluates it at the same times.

    Parameters
    ----------
    rate : float
        Highest learning rate, >= 0.
    cycles : int
        Number of cycles, from 1 to 50.
    per : {"step", "epoch"}
        Unit of the completed time in ``t``.

    Examples
    --------
    >>> from fastmlp.schedules import CosLog
    >>> CosLog(0.4).rates(0, 8, steps_per_epoch=5, epochs=3).round(4).tolist()
    [0.0, 0.0, 0.3722, 0.0, 0.2873, 0.3722, 0.1295, 0.0]
    """

    rate: float
    cycles: int = 4
    per: str = field(default="step", kw_only=True)

    def _rates_at(self, times: Times, planned: int) -> Rates:
        done = np.minimum(times / float(planned), 1.0)
        # The cosine has period 1 in the logarithm, so that its whole part does not matter.
        turned = fraction_of_log2(1.0 + (2.0**self.cycles - 1.0) * done)
        return self.rate * (1.0 - _half_cosine(2.0 * np.minimum(turned, 1.0 - turned)))


@dataclass(frozen=True)
class FlatCosine(_Timed):
    """A constant rate up to the middle of the training, then half a cosine to 0.

    With t the completed steps divided by the planned steps: `rate` for t <= 1/2, else
    ``rate * (1 + cos(pi (2 t - 1))) / 2``.

    Source: D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data", 2024 ("flat_cos").

    Parameters
    ----------
    rate : float
        Learning rate of the first half, >= 0.
    per : {"step", "epoch"}
        Unit of the completed time in ``t``.

    Examples
    --------
    >>> from fastmlp.schedules import FlatCosine
    >>> FlatCosine(0.4).rates(0, 8, steps_per_epoch=4, epochs=2).round(4).tolist()
    [0.4, 0.4, 0.4, 0.4, 0.4, 0.3414, 0.2, 0.0586]
    """

    rate: float
    per: str = field(default="step", kw_only=True)

    def _rates_at(self, times: Times, planned: int) -> Rates:
        done = np.minimum(times / float(planned), 1.0)
        return self.rate * _half_cosine(np.maximum(2.0 * done - 1.0, 0.0))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear ramp followed by another schedule.

    The ramp changes with every step and ends at the rate of the other schedule at that time. The
    time of the other schedule counts from the first step of the training, as in P. Goyal et al.,
    "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.

    Parameters
    ----------
    schedule : Schedule
        Schedule after the ramp.
    length : int
        Length of the ramp, >= 1. `rates` raises ValueError if the training is not longer.
    start : float
        Learning rate of the first step, >= 0.
    per : {"step", "epoch"}
        Unit of `length`.

    Examples
    --------
    >>> from fastmlp.schedules import Constant, WarmUp
    >>> WarmUp(Constant(0.4), length=4).rates(0, 6, steps_per_epoch=3, epochs=2).round(4).tolist()
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.4]
    """

    schedule: Schedule
    length: int
    start: float = 0.0
    per: str = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise TypeError(
                "schedule must be a fastmlp.Schedule such as fastmlp.Constant, got "
                f"{type(self.schedule).__name__}"
            )
        keep(
            self,
            length=integer("length", self.length, 1),
            start=real("start", self.start, 0.0),
            per=choice("per", self.per, PERIODS),
            watches=self.schedule.watches,
        )

    def state(self) -> Mapping[str, Any]:
        """Return the state of the other schedule."""
        return self.schedule.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the other schedule from a state."""
        self.schedule.restore(state)

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        ramp = self.length * (steps_per_epoch if self.per == "epoch" else 1)
        planned = steps_per_epoch * epochs
        if ramp >= planned:
            raise ValueError(f"length must be < {planned} steps of training, got {ramp} steps")
        top = self.schedule.rates(ramp, 1, steps_per_epoch, epochs)
        steps = np.arange(first, first + count)
        return np.where(
            steps < ramp,
            self.start + (top - self.start) * (steps / ramp),
            self.schedule.rates(first, count, steps_per_epoch, epochs),
        )

    def observe(self, record: Mapping[str, Any]) -> None:
        self.schedule.observe(record)

    def reset(self) -> None:
        self.schedule.reset()


@dataclass(frozen=True)
class OneCycle(Schedule):
    """A rate that rises to a peak and falls again, along half cosines.

    The rates equal those of ``torch.optim.lr_scheduler.OneCycleLR`` with
    ``anneal_strategy="cos"``; momentum stays constant. Source: L. N. Smith, N. Topin,
    "Super-convergence: very fast training of neural networks using large learning rates", 2018.

    Parameters
    ----------
    peak : float
        Highest learning rate, >= 0.
    warm_fraction : float
        Fraction of the training in which the rate rises, in [0, 1).
    start_divisor, end_divisor : float
        Divisors, >= 1: the first rate is ``peak / start_divisor``, the last one
        ``peak / start_divisor / end_divisor``.

    Examples
    --------
    >>> from fastmlp.schedules import OneCycle
    >>> OneCycle(1.0).rates(0, 5, steps_per_epoch=1, epochs=5).round(4).tolist()
    [0.04, 0.9505, 0.6113, 0.1883, 0.0]
    """

    peak: float
    warm_fraction: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __post_init__(self) -> None:
        keep(
            self,
            peak=real("peak", self.peak, 0.0),
            warm_fraction=real("warm_fraction", self.warm_fraction, 0.0, 1.0, below=True),
            start_divisor=real("start_divisor", self.start_divisor, 1.0),
            end_divisor=real("end_divisor", self.end_divisor, 1.0),
        )

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        steps = np.arange(first, first + count)
        last = steps_per_epoch * epochs - 1
        top = self.warm_fraction * (last + 1) - 1.0
        start = self.peak / self.start_divisor
        end = start / self.end_divisor
        fallen = np.minimum((steps - top) / (last - top), 1.0)
        rates = _mixed(self.peak, end, _half_cosine(fallen))
        rising = steps < top
        rates[rising] = _mixed(start, self.peak, _half_cosine(steps[rising] / top))
        return rates


@dataclass(eq=False)
class ReduceOnPlateau(Schedule):
    """A rate multiplied by a factor when a measured value has stopped improving.

    The rates equal those of ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``eps=0``. Each
    training starts with `rate`.

    Parameters
    ----------
    rate : float
        First learning rate, >= 0.
    factor, minimum : float
        Factor in [0, 1) and minimum >= 0: a reduction sets ``max(rate * factor, minimum)``.
    patience : int
        Number of consecutive epochs without improvement, >= 0, that do not lower the rate; the next
        one does.
    minimum_change : float
        Fraction of the best value, >= 0, that an improvement must exceed.
    monitor : str
        Name of the value in the record of an epoch.
    cooldown : int
        Number of epochs after a reduction that are not counted, >= 0.
    mode : {"auto", "min", "max"}
        Direction of an improvement; "auto" is "max" for accuracies and "min" for losses.

    Examples
    --------
    >>> from fastmlp.schedules import ReduceOnPlateau
    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=0, monitor="loss")
    >>> for loss in (1.0, 0.5, 0.5):
    ...     schedule.observe({"loss": loss})
    >>> schedule.rates(0, 1, steps_per_epoch=1, epochs=10).tolist()
    [0.05]
    """

    rate: float
    factor: float = 0.1
    patience: int = 10
    minimum_change: float = 1e-4
    monitor: str = "val_loss"
    minimum: float = 0.0
    cooldown: int = 0
    mode: str = "auto"

    def __post_init__(self) -> None:
        self.rate = real("rate", self.rate, 0.0)
        self.factor = real("factor", self.factor, 0.0, 1.0, below=True)
        self.patience = integer("patience", self.patience, 0)
        self.minimum = real("minimum", self.minimum, 0.0)
        self.cooldown = integer("cooldown", self.cooldown, 0)
        self.minimum_change = real("minimum_change", self.minimum_change, 0.0)
        self._best = BestValue(self.monitor, self.mode, self.minimum_change, relative=True)
        self.watches = (self._best.monitor,)
        self.monitor, self.mode = self._best.monitor, str(self.mode)
        self.reset()

    def reset(self) -> None:
        self._best.reset()
        self._rate = float(self.rate)
        self._bad_epochs = 0
        self._cooling = 0

    def state(self) -> dict[str, Any]:
        """Return the present rate, the best value and the counts of epochs."""
        return {
            "best_value": self._best.value,
            "rate": self._rate,
            "bad_epochs": self._bad_epochs,
            "cooling": self._cooling,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._best.value = state["best_value"]
        self._rate = state["rate"]
        self._bad_epochs = state["bad_epochs"]
        self._cooling = state["cooling"]

    def observe(self, record: Mapping[str, Any]) -> None:
        """Lower the rate on a plateau; raise ValueError if the record lacks the monitored value."""
        self._bad_epochs = 0 if self._best.update(record) else self._bad_epochs + 1
        if self._cooling:
            self._cooling -= 1
            self._bad_epochs = 0
        if self._bad_epochs > self.patience:
            self._rate = max(self._rate * self.factor, self.minimum)
            self._cooling = self.cooldown
            self._bad_epochs = 0

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        return np.full(count, self._rate)


def _mixed(first: float, last: float, part: Rates) -> Rates:
    return first * part + last * (1.0 - part)


def _powers(base: float, exponents: Times) -> Rates:
    """Compute integer powers by squaring; the last bit of NumPy's depends on the CPU."""
    powers = np.ones(exponents.shape)
    square, rest = float(base), exponents.copy()
    while rest.any():
        with np.errstate(over="ignore"):  # infinite rates raise an error later
            np.multiply(powers, square, out=powers, where=rest & 1 == 1)
        square *= square
        rest >>= 1
    return powers


# Terms up to the power 24 of the angle; the next one is below (pi/2)**26 / 26! = 4e-22.
_COSINE_SERIES = [(-1) ** k / math.factorial(2 * k) for k in range(13)]


def _half_cosine(x: Rates) -> Rates:
    """Compute ``(1 + cos(pi x)) / 2`` for x in [0, 1]; NumPy's cosine may depend on the CPU."""
    square = (math.pi * np.minimum(x, 1.0 - x)) ** 2
    cosine: Rates = polyval(square, _COSINE_SERIES)
    return (1.0 + np.where(x <= 0.5, cosine, -cosine)) / 2.0
