"""`InputColumns`: how columns of samples become inputs of the first layer, for all formats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.network.architecture import Architecture

__all__ = ["InputColumns", "input_columns"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class InputColumns:
    """Consecutive columns that become inputs in the same way, with what the core computes them by.

    The formulas are those of ``EmbeddingCall`` in ``cpp/kernels/kernel_table.hpp``. The first
    dimension of all arrays but `values` and `table` is the column; None: there are none. All
    numbers are of the network's type.
    """

    kind: str  # "number", "one_hot" or "category"
    columns: int
    first_column: int
    first_input: int
    width: int  # inputs of one column
    clip: float  # smooth bound of numbers; 0: none
    basis: str
    bases: int
    outputs: int  # of the map; 0: the basis functions are the inputs
    relu: bool
    keeps_value: bool
    levels: int
    frequencies: Array | None = None
    turns: Array | None = None  # phases in turns
    lower: Array | None = None  # edges of bins, and one by their widths
    slopes: Array | None = None
    maps: Array | None = None
    map_biases: Array | None = None
    values: Array | None = None  # of one_hot, as `fastmlp.inputs.OneHot` has them
    table: Array | None = None  # (levels + 1, outputs)

    @property
    def is_plain(self) -> bool:
        """Whether each number is an input as it is, but for the clip."""
        return self.kind == "number" and self.basis == "value" and self.outputs == 0


def input_columns(
    architecture: Architecture, parameters: Mapping[str, Array]
) -> tuple[InputColumns, ...]:
    """Describe the groups of inputs of a network.

    Parameters
    ----------
    architecture : Architecture
        Description of the network.
    parameters : mapping of str to array
        Its parameters, by name.
    """
    return tuple(_described(architecture, parameters))


def _described(
    architecture: Architecture, parameters: Mapping[str, Array]
) -> Iterator[InputColumns]:
    dtype = architecture.dtype
    column = first = 0
    for number, group in enumerate(architecture.inputs):
        spec = group.spec()
        own = {
            name.split(".")[2]: array
            for name, array in parameters.items()
            if name.startswith(f"inputs.{number}.")
        }
        turns = lower = slopes = values = None
        if "phases" in own:
            turns = own["phases"] * dtype.type(1 / (2 * math.pi))
        if spec["kind"] == "one_hot":
            values = np.array(spec["edges"], dtype)
        elif spec["edges"]:
            edges = np.array(spec["edges"], dtype).reshape(group.columns, -1)
            lower, slopes = edges[:, :-1], dtype.type(1) / np.diff(edges, axis=1)
        yield InputColumns(
            kind=spec["kind"],
            columns=group.columns,
            first_column=column,
            first_input=first,
            width=group.width // group.columns,
            clip=float(dtype.type(spec["clip"])),
            basis=spec["basis"],
            bases=spec["bases"],
            outputs=spec["outputs"],
            relu=spec["relu"],
            keeps_value=spec["keeps_value"],
            levels=spec["levels"],
            frequencies=own.get("frequencies"),
            turns=turns,
            lower=lower,
            slopes=slopes,
            maps=own.get("maps"),
            map_biases=own.get("map_biases"),
            values=values,
            table=own["tables"][0] if "tables" in own else None,
        )
        column += group.columns
        first += group.width
