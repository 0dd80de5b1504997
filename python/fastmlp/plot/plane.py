"""A part of a plane: its limits and the points of a grid in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.validation import integer, real, shown

__all__ = ["Limits", "checked_limits", "checked_resolution", "grid_of"]

Floats = NDArray[np.float64]
Limits: TypeAlias = Sequence[Sequence[float]]
"""Smallest and largest value along the first axis, then along the second one."""

_LIMITS = "two pairs such as ((-1, 1), (-1, 1))"
_HIGHEST_RESOLUTION = 10_000  # points of a grid then need gigabytes


def checked_limits(limits: Limits) -> Floats:
    """Return limits as an array with a row for each axis.

    Raises
    ------
    TypeError, ValueError
        They are not two pairs of numbers that ascend.
    """
    try:
        pairs = [list(pair) for pair in limits]
    except TypeError:
        raise TypeError(
            f"limits must be {_LIMITS}, got {shown(limits)} ({type(limits).__name__})"
        ) from None
    if [len(pair) for pair in pairs] != [2, 2]:
        raise ValueError(f"limits must be {_LIMITS}, got {shown(limits)}")
    try:
        pairs = [[real("limits", end, -math.inf) for end in pair] for pair in pairs]
    except TypeError as error:
        raise TypeError(f"{error}; write limits such as ((-1, 1), (-1, 1))") from None
    for low, high in pairs:
        if low >= high:
            raise ValueError(f"limits must ascend, got {low:g} and {high:g}")
        if not math.isfinite(high - low):
            raise ValueError(
                f"limits must have a finite distance, got {low:g} and {high:g}; choose closer ones"
            )
    return np.array(pairs)


def checked_resolution(resolution: object) -> int:
    """Return the number of grid points along each axis."""
    return integer("resolution", resolution, 2, _HIGHEST_RESOLUTION)


def grid_of(limits: Floats, resolution: int) -> tuple[list[Floats], Floats]:
    """Return the centers of cells along both axes, and of all cells, shape (cells, 2)."""
    low, high = limits.T
    cell = (high - low) / resolution
    lines = [low[i] + cell[i] * (np.arange(resolution) + 0.5) for i in range(2)]
    return lines, np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)
