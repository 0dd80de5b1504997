"""When an estimator stops: improvement of a cost, and how the rate answers to a standstill."""

from __future__ import annotations

import math

__all__ = ["LearningRate", "Plateau", "standstill_message"]

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0


class Plateau:
    """Counts the epochs in a row that did not lower a cost by a tolerance.

    A score to be raised is given with its sign changed.

    Attributes
    ----------
    best : float
        Lowest cost so far, infinity before the first.
    count : int
        Epochs since the cost was last at least `tol` below the best of its time.
    """

    __slots__ = ("best", "count")

    def __init__(self) -> None:
        self.best = math.inf
        self.count = 0

    def update(self, cost: float, tol: float) -> bool:
        """Take the cost of an epoch; True when it is the lowest so far."""
        self.count = self.count + 1 if cost > self.best - tol else 0
        if cost < self.best:
            self.best = cost
            return True
        return False


class LearningRate:
    """The rate of the next epoch by one of scikit-learn's schedules.

    Parameters
    ----------
    initial : float
        Rate of the first epoch.
    schedule : {"constant", "invscaling", "adaptive"}
        ``invscaling`` divides `initial` by ``(samples seen + 1) ** power``; ``adaptive`` divides
        the rate by 5 at each standstill and ends the training at one with a rate below 1e-6.
    power : float
        Exponent of ``invscaling``.
    """

    __slots__ = ("initial", "power", "schedule", "value")

    def __init__(self, initial: float, schedule: str = "constant", power: float = 0.5) -> None:
        self.initial = float(initial)
        self.schedule = schedule
        self.power = power
        self.value = self.initial

    def epoch_ended(self, samples: int) -> None:
        """`samples`: number seen since the first fit, each as often as it was seen."""
        if self.schedule == "invscaling":
            self.value = self.initial / (samples + 1) ** self.power

    def standstill(self) -> tuple[bool, str]:
        """Whether training ends, and what happened in words."""
        if self.schedule != "adaptive":
            return True, "Stopping."
        if self.value <= _SMALLEST_ADAPTIVE_RATE:
            return True, "Learning rate too small. Stopping."
        self.value /= _ADAPTIVE_DIVISOR
        return False, f"Setting learning rate to {self.value:f}"


def standstill_message(measure: str, tol: float, epochs: float) -> str:
    """Why training stands still, in scikit-learn's words."""
    return f"{measure} did not improve more than tol={tol:f} for {epochs:.0f} consecutive epochs."
