"""The data sets and input features of the playground, as lines of Python.

The page computes with the very lines that it shows: they are constants, and what a user chooses
reaches them as the values of variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fastmlp

__all__ = ["FEATURES", "PLANE", "RECIPES", "Recipe", "feature_code", "features_of", "points_of"]

Array = npt.NDArray[Any]
PLANE = 6.0
"""The plane reaches from minus this number to this number in both directions."""


@dataclass(frozen=True)
class Recipe:
    """Lines that compute `points`, of shape (samples, 2), and `y` of a data set.

    Attributes
    ----------
    title : str
        Name for users.
    classes : int or None
        Number of classes; None for values.
    code : str
        Lines that read the variables `samples`, `noise` and `data_seed`, or `drawn` and
        `data_seed`.
    """

    title: str
    classes: int | None
    code: str


def _of_library(name: str, factor: str, *, shift: str = "") -> str:
    made = f'points, y = fastmlp.datasets.make("{name}", samples, noise=noise / {factor}, seed='
    moved = f"(points - {shift})" if shift else "points"
    return f"{made}data_seed)\npoints = {factor} * {moved}"


_SPIRAL = """\
random = np.random.default_rng(data_seed)
y = random.permutation(np.arange(samples) % 2)
way = random.uniform(0.05, 1, samples)
angle = 3.5 * np.pi * way + np.pi * y
points = 5.5 * way[:, None] * np.column_stack([np.sin(angle), np.cos(angle)])
points = points + noise * random.standard_normal(points.shape)"""
_PLANE = """\
random = np.random.default_rng(data_seed)
points = random.uniform(-6, 6, (samples, 2))
y = points.sum(axis=1, keepdims=True) / 12
y = y + noise / 6 * random.standard_normal(y.shape)"""
_HILLS = """\
random = np.random.default_rng(data_seed)
points = random.uniform(-6, 6, (samples, 2))
centers = np.array([[-4, 2.5], [0, 2.5], [4, 2.5], [-4, -2.5], [0, -2.5], [4, -2.5]])
heights = np.array([-1, 1, -1, 1, -1, 1])
squares = ((points[:, None] - centers) ** 2).sum(axis=2)
y = (np.exp(-squares / 3) * heights).sum(axis=1, keepdims=True)
y = y + noise / 6 * random.standard_normal(y.shape)"""
_DRAWN = """\
order = np.random.default_rng(data_seed).permutation(len(drawn))
points, y = drawn[order, :2], drawn[order, 2].astype(int)"""

RECIPES: Mapping[str, Recipe] = {
    "circles": Recipe("Circles", 2, _of_library("circles", "5")),
    "xor": Recipe("Exclusive or", 2, _of_library("xor", "5")),
    "gaussians": Recipe("Three Gaussians", 3, _of_library("gaussians", "3.5")),
    "spiral": Recipe("Spiral", 2, _SPIRAL),
    "moons": Recipe("Moons", 2, _of_library("moons", "3", shift="[0.5, 0.25]")),
    "drawn": Recipe("Your own", 3, _DRAWN),
    "plane": Recipe("Plane (values)", None, _PLANE),
    "hills": Recipe("Hills (values)", None, _HILLS),
}

FEATURES: Mapping[str, tuple[str, str]] = {
    "x1": ("x₁", "x1"),
    "x2": ("x₂", "x2"),
    "x1_squared": ("x₁² / 6", "x1 * x1 / 6"),
    "x2_squared": ("x₂² / 6", "x2 * x2 / 6"),
    "product": ("x₁ x₂ / 6", "x1 * x2 / 6"),
    "sin_x1": ("sin x₁", "np.sin(x1)"),
    "sin_x2": ("sin x₂", "np.sin(x2)"),
}
"""Title and expression of each feature; all have the scale of the plane or less."""


def feature_code(features: Iterable[str]) -> str:
    """Return the lines that make the inputs `x` of `points`."""
    columns = ", ".join(FEATURES[name][1] for name in features)
    return f"x1, x2 = points.T\nx = np.column_stack([{columns}])"


def points_of(name: str, values: Mapping[str, object]) -> tuple[Array, Array]:
    """Return the points and targets of a data set.

    Parameters
    ----------
    name : str
        Name of a recipe.
    values : mapping of str to object
        Values of the variables that its lines read.
    """
    scope = _computed(RECIPES[name].code, values)
    return scope["points"], scope["y"]


def features_of(features: Iterable[str], points: Array) -> Array:
    """Return the inputs of the network at points of the plane."""
    x: Array = _computed(feature_code(features), {"points": points})["x"]
    return x


def _computed(code: str, values: Mapping[str, object]) -> dict[str, Any]:
    scope: dict[str, Any] = {"np": np, "fastmlp": fastmlp, **values}
    exec(compile(code, "<recipe>", "exec"), scope)  # of the constants above alone
    return scope
