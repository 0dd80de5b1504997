"""Default settings of `fastmlp train`, the one place where they are written down.

A recipe holds plain numbers, so this module imports nothing and costs `--help` nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmlp.schedules import Schedule

__all__ = ["DEFAULT", "RECIPES", "SCHEDULES", "Recipe", "learning_rate_schedule", "recipe_for"]

SCHEDULES = ("constant", "cosine", "step")


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters that are used where the user names none."""

    hidden: tuple[int, ...] = (512,)
    epochs: int = 6
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    schedule: str = "cosine"
    l2: float = 0.0


DEFAULT = Recipe()

# By data set; a set that is not listed gets DEFAULT.
RECIPES: dict[str, Recipe] = {
    "mnist": DEFAULT,
    "fashion-mnist": DEFAULT,
}


def recipe_for(dataset: str) -> Recipe:
    """Return the recipe of a data set, `DEFAULT` for one that has none of its own."""
    return RECIPES.get(dataset, DEFAULT)


def learning_rate_schedule(name: str, base: float, epochs: int) -> Schedule:
    """Return what `fastmlp.SGD(learning_rate=...)` takes.

    Parameters
    ----------
    name : {"constant", "cosine", "step"}
        "cosine" follows half a cosine from `base` towards 0, once per epoch; "step" divides the
        rate by 10 after each third of the run.
    base : float
        Rate of the first epoch.
    epochs : int
        Length of the run.
    """
    from fastmlp.schedules import Constant, Cosine, StepDecay

    if name == "constant":
        return Constant(base)
    if name == "cosine":
        return Cosine(base, per="epoch", length=epochs)
    if name == "step":
        return StepDecay(base, every=math.ceil(epochs / 3))
    raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
