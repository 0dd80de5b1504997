"""Oracle of the input stage, in NumPy float64: columns of samples become inputs of the first layer.

A group of columns becomes inputs in one way; each of its columns has parameters of its own, the
first dimension of every array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from support import embeddings
from support.reference import Array

# Names of the arrays here and in the oracle of the embeddings.
NAMES = {
    "frequencies": "frequencies",
    "phases": "phases",
    "maps": "maps",
    "map_biases": "map_bias",
}


@dataclass
class InputColumns:
    """A group: numbers, a category that is one input per level, or one with a trained table.

    `edges` are those of piecewise-linear functions, of shape (columns, bins + 1). `values` are, for
    a category, the inputs of (level 0, level 1, unknown) for two levels, else an (off, on) pair for
    each level.
    """

    kind: str
    columns: int = 1
    clip: float = 0.0
    basis: str = "value"
    relu: bool = False
    keeps_value: bool = False
    edges: Array | None = None
    levels: int = 0
    values: Array | None = None
    arrays: dict[str, Array] = field(default_factory=dict)

    def embedding(self, column: int, x: Array) -> embeddings.Embedding:
        own = {NAMES[name]: array[column] for name, array in self.arrays.items()}
        edges = None if self.edges is None else self.edges[column]
        return embeddings.Embedding(
            self.basis, x, edges=edges, relu=self.relu, keeps_value=self.keeps_value, **own
        )


def smooth_clip(x: Array, bound: float) -> Array:
    return x / np.sqrt(1 + (x / bound) ** 2) if bound else x


def level_of(codes: Array, levels: int) -> NDArray[np.int64]:
    """Return the level of each code, -1 for what is none; a fraction is cut off."""
    known = (codes >= 0) & (codes < levels)  # false for NaN
    return np.where(known, np.where(known, codes, 0).astype(np.int64), -1)


def _one_hot(group: InputColumns, codes: Array) -> Array:
    level, values = level_of(codes, group.levels), np.asarray(group.values, np.float64)
    if group.levels == 2:
        return values[np.where(level < 0, 2, level)][None]
    off, on = values.reshape(-1, 2).T
    is_on = np.arange(group.levels)[:, None] == level
    return np.where(is_on, on[:, None], off[:, None])


def _columns(
    groups: Sequence[InputColumns], x: Array
) -> Iterator[tuple[InputColumns, int, int, Array]]:
    """Yield group, its number, the number of the column in it, and the column."""
    first = 0
    for number, group in enumerate(groups):
        for column in range(group.columns):
            yield group, number, column, smooth_clip(x[:, first + column], group.clip)
        first += group.columns


def values(groups: Sequence[InputColumns], x: NDArray) -> Array:
    """Return the inputs (B, inputs) of samples (B, features)."""
    parts = []
    for group, _, column, own in _columns(groups, np.asarray(x, np.float64)):
        if group.kind == "number":
            parts.append(embeddings.forward(group.embedding(column, own)))
        elif group.kind == "one_hot":
            parts.append(_one_hot(group, own))
        else:
            parts.append(group.arrays["tables"][column][level_of(own, group.levels)].T)
    return np.concatenate(parts).T.astype(np.float64)


def gradients(groups: Sequence[InputColumns], x: NDArray, dinputs: Array) -> list[dict[str, Array]]:
    """Return the gradients by the arrays of each group, given that by the inputs."""
    found: list[dict[str, Array]] = [
        {name: np.zeros_like(array) for name, array in group.arrays.items()} for group in groups
    ]
    first = 0
    for group, number, column, own in _columns(groups, np.asarray(x, np.float64)):
        width = _width(group)
        gradient = dinputs[:, first : first + width].T
        first += width
        if group.kind == "number":
            by_name = embeddings.backward(group.embedding(column, own), gradient)
            for name in group.arrays:
                found[number][name][column] = by_name[NAMES[name]]
        elif group.kind == "category":
            level = level_of(own, group.levels)
            np.add.at(found[number]["tables"][column], level, gradient.T)
    return found


def _width(group: InputColumns) -> int:
    if group.kind == "one_hot":
        return 1 if group.levels == 2 else group.levels
    if group.kind == "category":
        return group.arrays["tables"].shape[2]
    bases = 1
    if group.edges is not None:
        bases = group.edges.shape[1] - 1
    elif group.basis != "value":
        bases = group.arrays["frequencies"].shape[1] * (2 if group.basis == "periodic" else 1)
    outputs = group.arrays["maps"].shape[2] if "maps" in group.arrays else bases
    return int(outputs) + group.keeps_value
