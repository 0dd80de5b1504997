"""Which units of a layer do nothing: those that are dead, and those at an end of their range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.activations import Activation

__all__ = ["BOUNDED", "DYING", "dead_units", "saturated_units"]

Array = npt.NDArray[Any]
BOUNDED = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
DYING = ("relu", "hard_sigmoid", "step")
_SATURATED, _ALL_SAMPLES = 0.99, 0.95


def dead_units(activation: Activation, outputs: Array) -> npt.NDArray[np.bool_]:
    """Return which units of a layer are 0 for all samples, as its activation lets them die.

    Parameters
    ----------
    activation : Activation
    outputs : array of shape (samples, units)
    """
    if activation.name not in DYING:
        return np.zeros(outputs.shape[1], bool)
    dead: npt.NDArray[np.bool_] = (outputs == 0).all(axis=0)
    return dead


def saturated_units(activation: Activation, outputs: Array) -> npt.NDArray[np.bool_]:
    """Return which units of a layer are at an end of their range for nearly all samples."""
    if activation.name not in BOUNDED:
        return np.zeros(outputs.shape[1], bool)
    low, high = BOUNDED[activation.name]
    middle, half = (low + high) / 2, (high - low) / 2
    at_end = np.abs(outputs - middle) >= _SATURATED * half
    stuck: npt.NDArray[np.bool_] = at_end.mean(axis=0) >= _ALL_SAMPLES
    return stuck
