"""Random groups of inputs, and samples whose columns of codes hold codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear

MOST_INPUTS = 300  # about, of the first layer


def embedding(rng: np.random.Generator, columns: int, scale: float = 1.0) -> Any:
    """Return an embedding, or None, with at most 8 inputs for a column."""
    kind = rng.integers(4)
    outputs = int(rng.choice([0, 1, 3, 5]))
    flags = {"relu": bool(rng.integers(2)), "keeps_value": bool(rng.integers(2))}
    if kind == 0:
        return None
    if kind == 3:
        bins = int(rng.integers(1, 8))
        rows = columns if rng.integers(2) else 1
        steps = rng.uniform(0.1, 0.6, (rows, bins + 1)) * scale
        edges = np.cumsum(steps, axis=1) - 0.2 * bins * scale
        return PiecewiseLinear(edges.tolist(), outputs=outputs, **flags)
    return Periodic(
        bases=int(rng.choice([2, 4, 16])) if outputs else int(rng.choice([2, 4, 6])),
        outputs=outputs,
        deviation=float(rng.uniform(0.05, 1)) / scale,
        phases=kind == 1,
        **flags,
    )


def groups(rng: np.random.Generator, features: int, scale: float = 1.0) -> list[Any]:
    """Return groups of every kind, in any order, that cover the features.

    `scale` is the magnitude of the numbers.
    """
    found: list[Any] = []
    left, inputs = features, 0
    while left > 0:
        kind = rng.integers(4) if inputs < MOST_INPUTS else 0
        if kind < 2:
            most = left if rng.random() < 0.3 else min(left, 5)
            columns = int(rng.integers(1, most + 1))
            clip = float(rng.choice([0.0, 0.0, 3.0 * scale]))
            own = None if inputs + 8 * columns > MOST_INPUTS else embedding(rng, columns, scale)
            found.append(Numbers(columns, embedding=own, clip=clip))
        elif kind == 2:
            levels = int(rng.choice([1, 2, 3, 5, 33]))
            own = None
            if rng.integers(2):
                own = tuple(rng.uniform(-1, 1, 3 if levels == 2 else 2 * levels).tolist())
            found.append(OneHot(levels, own))
        else:
            found.append(Category(int(rng.choice([1, 2, 7, 40])), int(rng.choice([1, 3, 8, 17]))))
        left -= found[-1].columns
        inputs += found[-1].width
    return found


def code_columns(inputs: list[Any]) -> list[tuple[int, int]]:
    """Return the columns of codes and the numbers of their levels."""
    found, first = [], 0
    for group in inputs:
        if not isinstance(group, Numbers):
            found.append((first, group.levels))
        first += group.columns
    return found


def with_codes(rng: np.random.Generator, x: Any, inputs: list[Any]) -> Any:
    """Return samples with codes in their columns: of levels, unknown ones, and missing ones."""
    x = x.copy()
    for column, levels in code_columns(inputs):
        least = 0 if x.dtype.kind == "u" else -1
        x[:, column] = rng.integers(least, min(levels + 2, 255), len(x))
    return x
