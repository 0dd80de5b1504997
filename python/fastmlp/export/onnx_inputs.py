"""The input stage and the ensemble's mean in an ONNX graph."""

from __future__ import annotations

import math

import numpy as np

from fastmlp.export.graph import Graph
from fastmlp.export.inference import Inference
from fastmlp.export.input_columns import InputColumns

__all__ = ["add_inputs", "add_mean"]


def add_inputs(graph: Graph, inference: Inference, x: str) -> str:
    """Add the inputs of the first layer.

    Parameters
    ----------
    graph : Graph
        Graph of the network's type.
    inference : Inference
        Description of the network.
    x : str
        Samples (N, features), standardized and scaled.

    Returns
    -------
    str
        Tensor (N, inputs of the first layer).
    """
    blocks = []
    for number, group in enumerate(inference.inputs):
        graph.scope = f"inputs.{number}"
        blocks.append(_ADDERS[group.kind](graph, group, x))
    if not blocks:
        return x
    graph.scope = "inputs"
    return blocks[0] if len(blocks) == 1 else graph.add("Concat", *blocks, axis=1)


# ---------------------------------------------------------------- numbers


def _add_numbers(graph: Graph, group: InputColumns, x: str) -> str:
    numbers = _clipped(graph, _columns(graph, group, x), group.clip)
    if group.is_plain and not group.keeps_value:
        return numbers
    # From here on (columns, N, results), so that a map is a batched product.
    by_column = graph.add("Transpose", numbers, perm=[1, 0])
    by_column = graph.add("Unsqueeze", by_column, _whole(graph, "axis", 2))
    results = _BASES[group.basis](graph, group, by_column)
    if group.maps is not None and group.map_biases is not None:
        maps = graph.constant(f"{graph.scope}.maps", group.maps)
        biases = graph.constant(f"{graph.scope}.map_biases", group.map_biases[:, np.newaxis])
        results = graph.add("Add", graph.add("MatMul", results, maps), biases)
        if group.relu:
            results = graph.add("Relu", results)
    if group.keeps_value:
        results = graph.add("Concat", results, by_column, axis=2)
    by_row = graph.add("Transpose", results, perm=[1, 0, 2])
    return graph.add("Reshape", by_row, _whole(graph, "shape", 0, group.columns * group.width))


def _columns(graph: Graph, group: InputColumns, x: str) -> str:
    """Add the columns of a group, (N, columns)."""
    first = group.first_column
    return graph.add(
        "Slice",
        x,
        _whole(graph, "first", first),
        _whole(graph, "end", first + group.columns),
        _whole(graph, "of_columns", 1),
    )


def _whole(graph: Graph, name: str, *numbers: int) -> str:
    return graph.constant(f"{graph.scope}.{name}", np.array(numbers, np.int64))


def _clipped(graph: Graph, x: str, bound: float) -> str:
    """Add x / sqrt(1 + (x / bound)^2), in which nothing overflows."""
    if bound == 0:
        return x
    size = graph.add("Abs", x)
    smaller, larger = graph.add("Min", size, bound), graph.add("Max", size, bound)
    ratio = graph.add("Div", smaller, larger)
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", ratio, ratio), 1.0))
    return graph.add("Mul", graph.add("Sign", x), graph.add("Div", smaller, root))


def _values(graph: Graph, group: InputColumns, x: str) -> str:
    return x


def _cosines(graph: Graph, group: InputColumns, x: str) -> str:
    return graph.cast(graph.add("Cos", _angles(graph, group, x)), graph.dtype)


def _cosines_and_sines(graph: Graph, group: InputColumns, x: str) -> str:
    angles = _angles(graph, group, x)
    both = graph.add("Concat", graph.add("Cos", angles), graph.add("Sin", angles), axis=2)
    return graph.cast(both, graph.dtype)


def _angles(graph: Graph, group: InputColumns, x: str) -> str:
    """Add angles in float64, of turns that the network's type rounds as in the core.

    A product of two float32 is exact in float64. Without their whole part turns lose no digits.
    """
    assert group.frequencies is not None
    frequencies = group.frequencies[:, np.newaxis].astype(np.float64)
    with graph.numbers(np.float64):
        exact = graph.cast(x, np.float64)
        turns = graph.add("Mul", exact, graph.constant(f"{graph.scope}.frequencies", frequencies))
        if group.turns is not None:
            phases = group.turns[:, np.newaxis].astype(np.float64)
            turns = graph.add("Add", turns, graph.constant(f"{graph.scope}.phases", phases))
    rounded = graph.cast(graph.cast(turns, graph.dtype), np.float64)
    with graph.numbers(np.float64):
        rest = graph.add("Sub", rounded, graph.add("Round", rounded))
        return graph.add("Mul", rest, 2 * math.pi)


def _shares_of_bins(graph: Graph, group: InputColumns, x: str) -> str:
    assert group.lower is not None
    assert group.slopes is not None
    lower = graph.constant(f"{graph.scope}.lower", group.lower[:, np.newaxis])
    slopes = graph.constant(f"{graph.scope}.slopes", group.slopes[:, np.newaxis])
    shares = graph.add("Mul", graph.add("Sub", x, lower), slopes)
    infinity = np.full(group.bases, np.inf, graph.dtype)
    least, most = np.zeros_like(infinity), np.ones_like(infinity)
    least[0], most[-1] = -np.inf, np.inf
    raised = graph.add("Max", shares, graph.constant(f"{graph.scope}.least", least))
    return graph.add("Min", raised, graph.constant(f"{graph.scope}.most", most))


_BASES = {
    "value": _values,
    "cosine": _cosines,
    "periodic": _cosines_and_sines,
    "piecewise_linear": _shares_of_bins,
}


# ---------------------------------------------------------------- codes


def _add_one_hot(graph: Graph, group: InputColumns, x: str) -> str:
    assert group.values is not None
    # Of a code, as an integer, the fraction does not count; a level has no other code near it.
    codes = graph.add("Floor", _columns(graph, group, x))
    if group.levels == 2:
        low, high, other = group.values[:, np.newaxis, np.newaxis]
        low, high, other = (
            graph.constant(f"{graph.scope}.{name}", value)
            for name, value in (("low", low), ("high", high), ("other", other))
        )
        either = graph.add("Where", graph.add("Equal", codes, 1.0), high, other)
        return graph.add("Where", graph.add("Equal", codes, 0.0), low, either)
    levels = graph.constant(f"{graph.scope}.levels", np.arange(group.levels, dtype=graph.dtype))
    off, on = (
        graph.constant(f"{graph.scope}.{name}", group.values[first::2])
        for first, name in enumerate(("off", "on"))
    )
    return graph.add("Where", graph.add("Equal", codes, levels), on, off)


def _add_category(graph: Graph, group: InputColumns, x: str) -> str:
    assert group.table is not None
    column = graph.constant(f"{graph.scope}.column", np.array(group.first_column))
    codes = graph.add("Gather", x, column, axis=1)
    known = graph.add(
        "And", graph.add("GreaterOrEqual", codes, 0.0), graph.add("Less", codes, group.levels)
    )
    # Before the conversion, which numbers that no integer holds would not survive.
    rows = graph.add("Where", known, codes, float(group.levels))
    table = graph.constant(f"{graph.scope}.table", group.table)
    return graph.add("Gather", table, graph.cast(rows, np.int64), axis=0)


_ADDERS = {"number": _add_numbers, "one_hot": _add_one_hot, "category": _add_category}


# ---------------------------------------------------------------- members


def add_mean(graph: Graph, inference: Inference, outputs: str) -> str:
    """Add the prediction of an ensemble from those of its members.

    Parameters
    ----------
    graph : Graph
        Graph of the network's type.
    inference : Inference
        Description of the network.
    outputs : str
        Tensor (members, N, outputs).

    Returns
    -------
    str
        Tensor (N, outputs): what the loss reads, which makes the mean of probabilities or rates.
    """
    blocks = []
    for number, (link, group) in enumerate(inference.groups):
        graph.scope = f"members.{number}"
        own = outputs
        if len(inference.groups) > 1:
            bounds = (_whole(graph, "first", group.start), _whole(graph, "end", group.stop))
            own = graph.add("Slice", outputs, *bounds, _whole(graph, "of_outputs", 2))
        blocks.append(_mean(graph, inference, link, own))
    graph.scope = "members"
    return blocks[0] if len(blocks) == 1 else graph.add("Concat", *blocks, axis=1)


def _mean(graph: Graph, inference: Inference, link: str, outputs: str) -> str:
    if link == "softmax":
        outputs = graph.add("Softmax", outputs, axis=2)
    elif link == "sigmoid":
        # Not Sigmoid, which is 0 in onnxruntime where e^z is not yet, and logits follow.
        decay = graph.add("Exp", graph.add("Neg", outputs))
        outputs = graph.add("Div", 1.0, graph.add("Add", decay, 1.0))
    elif link == "exp":
        outputs = graph.add("Exp", outputs)
    total = graph.add("ReduceSum", outputs, _whole(graph, "axis", 0), keepdims=0)
    mean = graph.add("Div", total, float(inference.members))
    if link == "none":
        return mean
    limits = np.finfo(inference.dtype)
    logarithm = graph.add("Log", graph.add("Max", mean, float(limits.tiny)))
    if link != "sigmoid":
        return logarithm
    others = graph.add("Max", graph.add("Sub", 1.0, mean), float(limits.eps) / 2)
    return graph.add("Sub", logarithm, graph.add("Log", others))
