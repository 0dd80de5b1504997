"""Embeddings of numbers: the oracle of the kernels in long double, random cases, and bounds.

Arrays have one row per basis function or output and one column per sample, as in the core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from support.tolerance import unit_roundoff

BASES = ("value", "cosine", "periodic", "piecewise_linear")
TWO_PI = 8 * np.arctan(np.longdouble(1))
# Of cos_turns and sin_turns; test_math.py holds the kernels to it.
TURN_ERROR = {"float32": 1e-7, "float64": 3e-16}
ARRAYS = ("frequencies", "phases", "edges", "maps", "map_bias")
GRADIENTS = ("frequencies", "phases", "maps", "map_bias", "x")


@dataclass(frozen=True)
class Embedding:
    """Arguments of an embedding; arrays that the basis does not have are None."""

    basis: str
    x: Any
    frequencies: Any = None
    phases: Any = None
    edges: Any = None
    maps: Any = None
    map_bias: Any = None
    relu: bool = False
    keeps_value: bool = False

    def settings(self) -> dict[str, Any]:
        """Keywords of _core.kernels.embed and embed_backward."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return {"relu": self.relu, "keeps_value": self.keeps_value, **arrays}

    def wide(self) -> Embedding:
        """The same in long double."""
        arrays = {name: getattr(self, name) for name in ("x", *ARRAYS)}
        return replace(
            self, **{k: v.astype(np.longdouble) for k, v in arrays.items() if v is not None}
        )


def random_case(basis, rng, rows, bases, outputs, dtype, *, relu=False, keeps_value=False):
    """Return an Embedding of random arrays; periodic has twice as many functions as `bases`."""
    own: dict[str, Any] = {}
    count = {"value": 1, "periodic": 2 * bases}.get(basis, bases)
    if basis in ("cosine", "periodic"):
        own["frequencies"] = rng.standard_normal(bases)
    if basis == "cosine":
        own["phases"] = rng.uniform(-np.pi, np.pi, bases)
    if basis == "piecewise_linear":
        own["edges"] = np.cumsum(rng.uniform(0.1, 0.6, bases + 1)) - 0.2 * bases
    if outputs > 0:
        own["maps"] = rng.standard_normal((count, outputs))
        own["map_bias"] = rng.standard_normal(outputs)
    own = {name: value.astype(dtype) for name, value in own.items()}
    x = rng.standard_normal(rows).astype(dtype)
    return Embedding(basis, x, relu=relu, keeps_value=keeps_value, **own)


def turns(case):
    """The angles in turns."""
    t = case.frequencies[:, None] * case.x
    return t if case.phases is None else t + case.phases[:, None] / TWO_PI


def basis_functions(case):
    if case.basis == "value":
        return case.x[None]
    if case.basis == "piecewise_linear":
        lower, upper = case.edges[:-1, None], case.edges[1:, None]
        share = (case.x - lower) / (upper - lower)
        share[1:] = np.maximum(share[1:], 0)
        share[:-1] = np.minimum(share[:-1], 1)
        return share
    angle = TWO_PI * turns(case)
    parts = [np.cos(angle)] + ([np.sin(angle)] if case.basis == "periodic" else [])
    return np.concatenate(parts)


def basis_slopes(case):
    """Derivatives by x, and by the angle where there is one."""
    if case.basis == "value":
        return np.ones_like(case.x)[None], None
    if case.basis == "piecewise_linear":
        lower, upper = case.edges[:-1, None].copy(), case.edges[1:, None].copy()
        slope = 1 / (upper - lower)
        lower[0], upper[-1] = -np.inf, np.inf
        return np.where((case.x > lower) & (case.x <= upper), slope, 0), None
    angle = TWO_PI * turns(case)
    parts = [-np.sin(angle)] + ([np.cos(angle)] if case.basis == "periodic" else [])
    by_angle = np.concatenate(parts)
    frequencies = np.tile(case.frequencies, len(parts))[:, None]
    return TWO_PI * frequencies * by_angle, by_angle


def before_the_rectifier(case):
    functions = basis_functions(case)
    return functions if case.maps is None else case.maps.T @ functions + case.map_bias[:, None]


def forward(case):
    out = before_the_rectifier(case)
    if case.relu and case.maps is not None:
        out = np.maximum(out, 0)
    return np.concatenate([out, case.x[None]]) if case.keeps_value else out


def backward(case, gradient):
    """Return the gradients by name, None where there is none; NumPy's own order of sums."""
    kept = gradient[-1] if case.keeps_value else 0
    gradient = gradient[:-1] if case.keeps_value else gradient
    found: dict[str, Any] = dict.fromkeys(GRADIENTS)
    if case.maps is not None:
        if case.relu:
            gradient = np.where(before_the_rectifier(case) > 0, gradient, 0)
        found["maps"] = basis_functions(case) @ gradient.T
        found["map_bias"] = gradient.sum(axis=1)
        gradient = case.maps @ gradient
    by_x, by_angle = basis_slopes(case)
    found["x"] = (by_x * gradient).sum(axis=0) + kept
    if by_angle is not None:
        by_angle = by_angle * gradient
        if case.basis == "periodic":
            by_angle = by_angle[: len(by_angle) // 2] + by_angle[len(by_angle) // 2 :]
        found["frequencies"] = TWO_PI * (by_angle * case.x).sum(axis=1)
        if case.basis == "cosine":
            found["phases"] = by_angle.sum(axis=1)
    return found


def basis_errors(case, dtype):
    """Return a bound of the errors of the basis functions, of a wide case.

    A turn is rounded once, its phase twice before; the share of a bin is a difference, times the
    reciprocal of a difference: four roundings.
    """
    u = unit_roundoff(dtype)
    if case.basis == "value":
        return np.zeros_like(case.x)[None]
    if case.basis == "piecewise_linear":
        return 4.1 * u * np.abs(basis_functions(case))
    size = np.abs(turns(case)) * 1.1
    if case.phases is not None:
        size = size + 2 * np.abs(case.phases)[:, None] / TWO_PI
    errors = TURN_ERROR[dtype] + TWO_PI * u * size
    return np.tile(errors, (2 if case.basis == "periodic" else 1, 1))
