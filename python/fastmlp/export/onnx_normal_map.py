"""The map of inputs to normal quantiles in ONNX, computed as `NormalMap.apply` computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.export.graph import Graph
from fastmlp.export.inference import Inference

__all__ = ["add_normal_map"]


def add_normal_map(graph: Graph, inference: Inference, x: str) -> str:
    """Add the map of float64 inputs (N, features) to normal quantiles, if the model has one.

    ONNX has no search: a number is compared with one quantile of its column after the other, as in
    a binary search.
    """
    mask, known, values = (
        inference.quantities, inference.input_quantiles, inference.normal_quantiles,
    )  # fmt: skip
    if mask is None or known is None or values is None:
        return x
    inner, features = known.shape[1] - 2, len(mask)
    steps = [2**power for power in reversed(range(inner.bit_length()))]
    # Row by row for `GatherElements`, with columns for all features; those of the others are of no
    # account. No number reaches the padding.
    searched = np.full((2 * steps[0] if steps else 1, features), np.inf)
    searched[:inner, mask] = known[:, 1:-1].T
    table = {"known": known[:, :-1], "values": values[:, :-1]}
    with np.errstate(divide="ignore"):
        table["runs"] = np.diff(known) / np.diff(values)
    full: dict[str, npt.NDArray[Any]] = {}
    for name, array in table.items():
        full[name] = np.ones((array.shape[1], features))
        full[name][:, mask] = array.T
    ends = {"first": known[:, 0], "last": known[:, -1]}
    for name, array in ends.items():
        full[name] = np.zeros(features)
        full[name][mask] = array
    names = {name: graph.constant(f"inputs.normal.{name}", array) for name, array in full.items()}
    limited = graph.add("Min", graph.add("Max", x, names["first"]), names["last"])
    low = graph.cast(graph.add("Less", limited, names["first"]), np.int64)  # zeros
    quantiles = graph.constant("inputs.normal.quantiles", searched)
    with graph.numbers(np.int64):
        for step in steps:
            probe = graph.add("GatherElements", quantiles, graph.add("Add", low, step - 1), axis=0)
            passed = graph.cast(graph.add("GreaterOrEqual", limited, probe), np.int64)
            low = graph.add("Add", low, graph.add("Mul", passed, step))

    def found(name: str) -> str:
        return graph.add("GatherElements", names[name], low, axis=0)

    rise = graph.add("Div", graph.add("Sub", limited, found("known")), found("runs"))
    mapped = graph.add("Add", found("values"), rise)
    return graph.add("Where", graph.constant("inputs.normal.mask", mask), mapped, x)
