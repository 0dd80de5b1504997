"""ONNX: a network, what comes before it and what its outputs mean, as one graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.export.inference import Inference, Kind, describe, preprocessing_json
from fastmlp.export.onnx_activations import apply_activation
from fastmlp.export.onnx_builder import Graph
from fastmlp.extras import require

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["to_onnx"]

OPSET = 17
IR_VERSION = 10  # the last one that every onnxruntime since 1.18 reads
_MAX_BYTES = 2**31 - 2**24  # of weights: a protobuf message ends at 2 GiB


def to_onnx(model: MLP, path: str | PathLike[str]) -> None:
    """Write a model as an ONNX file (opset 17).

    Its one input ``x``, (N, features) of the model's dtype, takes samples as they come: missing
    values, standardisation and ``input_scale`` are part of the graph. With a preprocessing that
    has categories it takes what ``model.preprocessing.inputs`` returns instead; the metadata entry
    ``inputs`` says "raw" or "encoded".

    Outputs, by the loss:

    - classes: ``probabilities`` (N, classes), with the hinge loss ``scores``, and ``label`` (N,)
      int64, the index of the class;
    - yes or no, several labels: ``probabilities`` (N, labels) and ``label`` int64 0 or 1, (N,) for
      one and (N, labels) for several;
    - values: ``y`` (N, outputs) in the units of the targets, rates with the Poisson loss;
    - several losses, or one of the user's own: ``outputs`` (N, outputs), as `MLP.forward` gives.

    Metadata: ``fastmlp_version``, ``task``, ``inputs`` and, as JSON, ``class_names``,
    ``feature_names``, ``target_names`` and ``preprocessing`` where they are known.

    Parameters
    ----------
    model : MLP
    path : str or os.PathLike
        File to create or replace, whole or not at all.

    Raises
    ------
    MissingExtraError
        The package onnx is not installed.
    TypeError, ValueError
        `model` is no MLP, a parameter is NaN or infinite, or the file would be larger than the
        2 GiB that ONNX allows.
    OSError
        The file could not be written; an older one is unharmed.
    """
    onnx = require("export", "onnx")
    inference = describe(model)
    size = sum(layer.weights.nbytes for layer in inference.layers)
    if size > _MAX_BYTES:
        raise ValueError(
            f"model must fit into 2 GiB, the limit of ONNX; its weights have {size} bytes"
        )
    proto = _model_proto(onnx, inference)
    onnx.checker.check_model(proto, full_check=True)
    atomic_write(path, proto.SerializeToString(deterministic=True))


def _model_proto(onnx: Any, inference: Inference) -> Any:
    graph = Graph(onnx, inference.dtype)
    x = graph.input("x", inference.dtype, inference.features)
    outputs = _network(graph, inference, _encoded(graph, inference, x))
    graph.scope = "outputs"
    _OUTPUTS[inference.kind](graph, inference, outputs)
    proto = onnx.helper.make_model(
        graph.proto("fastmlp"),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastmlp",
        producer_version=__version__,
        doc_string=f"Multi-layer perceptron {_sizes(inference)}; {inference.input_meaning}.",
    )
    onnx.helper.set_model_props(proto, _metadata(inference))
    return proto


def _sizes(inference: Inference) -> str:
    return "-".join(map(str, inference.layer_sizes))


def _encoded(graph: Graph, inference: Inference, x: str) -> str:
    """What the first layer takes; computed in float64, as the preprocessing does it."""
    graph.scope = "inputs"
    if inference.encodes:
        x = graph.cast(x, np.float64)
        if inference.input_fill is not None:
            fill = graph.constant("inputs.fill", inference.input_fill)
            x = graph.add("Where", graph.add("IsNaN", x), fill, x)
        if inference.input_mean is not None and inference.input_deviation is not None:
            x = graph.add("Sub", x, graph.constant("inputs.mean", inference.input_mean))
            x = graph.add("Div", x, graph.constant("inputs.deviation", inference.input_deviation))
        x = graph.cast(x, inference.dtype)
    return x if inference.input_scale == 1 else graph.add("Mul", x, inference.input_scale)


def _network(graph: Graph, inference: Inference, x: str) -> str:
    for index, layer in enumerate(inference.layers):
        graph.scope = f"layers.{index}"
        weights = graph.constant(f"layers.{index}.weights", layer.weights)
        biases = graph.constant(f"layers.{index}.biases", layer.biases)
        if layer.means is None or layer.factors is None:
            z = graph.add("Gemm", x, weights, biases)
        else:
            means = graph.constant(f"layers.{index}.means", layer.means)
            factors = graph.constant(f"layers.{index}.factors", layer.factors)
            # Not MatMul: onnxruntime merges factors before it into a number of single precision.
            centred = graph.add("Sub", graph.add("Gemm", x, weights), means)
            z = graph.add("Add", graph.add("Mul", centred, factors), biases)
        x = apply_activation(graph, layer.activation, layer.parameter, z)
    return graph.add("Softmax", x, axis=1) if inference.softmax_output else x


def _class_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    if inference.link == "softmax":
        values = graph.add("Softmax", outputs, axis=1, result="probabilities")
    else:
        values = graph.add("Identity", outputs, result="scores")
    graph.output(values, inference.dtype, inference.outputs)
    # Of the logits: probabilities may round to the same number.
    graph.add("ArgMax", outputs, axis=1, keepdims=0, result="label")
    graph.output("label", np.int64)


def _label_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    graph.add("Sigmoid", outputs, result="probabilities")
    graph.output("probabilities", inference.dtype, inference.outputs)
    yes = graph.add("Greater", outputs, 0.0)
    if inference.outputs > 1:
        graph.cast(yes, np.int64, "label")
        graph.output("label", np.int64, inference.outputs)
    else:
        labels = graph.cast(yes, np.int64)
        graph.add("Squeeze", labels, graph.constant("columns", np.array([1])), result="label")
        graph.output("label", np.int64)


def _value_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    y = graph.add("Exp", outputs) if inference.link == "exp" else outputs
    if inference.target_mean is not None and inference.target_scale is not None:
        y = graph.cast(y, np.float64)
        y = graph.add("Mul", y, graph.constant("targets.scale", inference.target_scale))
        y = graph.add("Add", y, graph.constant("targets.mean", inference.target_mean))
    graph.cast(y, inference.dtype, "y")
    graph.output("y", inference.dtype, inference.outputs)


def _raw_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    graph.add("Identity", outputs, result="outputs")
    graph.output("outputs", inference.dtype, inference.outputs)


_OUTPUTS: dict[Kind, Callable[[Graph, Inference, str], None]] = {
    "classes": _class_outputs,
    "labels": _label_outputs,
    "values": _value_outputs,
    "outputs": _raw_outputs,
}


def _metadata(inference: Inference) -> dict[str, str]:
    known = {
        "class_names": inference.class_names,
        "feature_names": inference.feature_names,
        "target_names": inference.target_names,
    }
    metadata = {
        "fastmlp_version": __version__,
        "inputs": "encoded" if inference.takes_encoded else "raw",
        **{name: json.dumps(list(value)) for name, value in known.items() if value is not None},
    }
    preprocessing = inference.preprocessing
    if preprocessing is not None:
        metadata["task"] = preprocessing.task
        metadata["preprocessing"] = preprocessing_json(preprocessing)
    return metadata
