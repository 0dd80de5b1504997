"""The best epoch by one of the values in the records of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastmlp.validation import choice, real

__all__ = ["BestValue"]

_MODES = ("auto", "min", "max")
_LARGER_IS_BETTER = ("accuracy", "f1", "precision", "recall")


class BestValue:
    """The best value so far of one quantity in the records of a training.

    Parameters
    ----------
    monitor : str
        Name of the quantity in the record of an epoch.
    mode : {"auto", "min", "max"}
        What is better. "auto": larger for accuracy, precision, recall and f1, with or without a
        prefix such as ``val_``, and smaller for everything else.
    minimum_change : float
        Values count as better where they are so by more than this.
    relative : bool
        `minimum_change` is a fraction of the magnitude of the best value.
    """

    def __init__(
        self, monitor: str, mode: str, minimum_change: float = 0.0, *, relative: bool = False
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a string, got {type(monitor).__name__}")
        mode = choice("mode", mode, _MODES)
        larger = mode == "max"
        if mode == "auto":
            larger = monitor.rpartition("_")[2] in _LARGER_IS_BETTER
        self.monitor = str(monitor)
        self.value: float | None = None
        self._sign = 1.0 if larger else -1.0
        self._minimum_change = real("minimum_change", minimum_change, 0.0)
        self._relative = relative

    def reset(self) -> None:
        """Forget the best value."""
        self.value = None

    def update(self, record: Mapping[str, Any]) -> bool:
        """Take note of an epoch; whether it was the best so far. NaN and infinity never are.

        Raises
        ------
        ValueError
            The record lacks the quantity.
        """
        if self.monitor not in record:
            needs = "; val_ needs validation_data" if self.monitor.startswith("val_") else ""
            names = ", ".join(record)
            raise ValueError(f"monitor must be one of {names}, got {self.monitor!r}{needs}")
        value = float(record[self.monitor])
        if not math.isfinite(value):
            return False
        if self.value is not None:
            margin = self._minimum_change * (abs(self.value) if self._relative else 1.0)
            if self._sign * (value - self.value) <= margin:
                return False
        self.value = value
        return True
