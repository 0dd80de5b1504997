"""Export to ONNX: preprocessing, network and interpretation of the outputs as one graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.activations import FORMS
from fastmlp.export.graph import ML_DOMAIN, Graph
from fastmlp.export.inference import (
    DenseLayer,
    Inference,
    Kind,
    LayerNormalization,
    TrainedModel,
    describe,
    preprocessing_json,
)
from fastmlp.export.onnx_columns import add_columns, input_names
from fastmlp.export.onnx_inputs import add_inputs, add_mean
from fastmlp.export.onnx_normal_map import add_normal_map
from fastmlp.extras import require
from fastmlp.model import MLP
from fastmlp.network.architecture import BLOCK_LAYERS, NORMALIZATION_EPSILON

__all__ = ["IR_VERSION", "OPSET", "network_outputs", "require_size", "to_onnx"]

OPSET = 17
TABLE_OPSETS = {"": 20, ML_DOMAIN: 3}  # RegexFullMatch came with opset 20
IR_VERSION = 10  # latest version that every onnxruntime since 1.18 reads
_LARGE_KINDS = ("weights", "maps", "tables")
_MAX_BYTES = 2**31 - 2**24  # limit of the weights: a protobuf message has at most 2 GiB


def to_onnx(model: MLP | TrainedModel, path: str | PathLike[str]) -> None:
    """Write a model as an ONNX file, with the whole preprocessing inside.

    A model of arrays has one input ``x``, (N, features) of the model's dtype, or of float64 if the
    network standardizes its samples (`MLP.standardization`). It takes raw samples (opset 17): the
    graph standardizes them and applies ``input_scale``.

    A model of tables has one input of shape (N, 1) for each column (opset 20 and ai.onnx.ml):

    - numbers: float64, NaN where a value is missing;
    - categories: texts, empty or one of the column's texts for missing values where a value is
      missing; truth values in all their spellings. Categories that were learned from numbers are
      float64, NaN where a value is missing;
    - dates: float64 seconds since 1970-01-01 UTC, NaN where a value is missing.

    An input has the name of its column if that is a C identifier, else a similar one; the metadata
    entry ``input_columns`` has the columns of all inputs.

    Outputs, by the loss:

    - classes: ``probabilities`` (N, classes), or ``scores`` with the hinge loss, and ``label``
      (N,): int64, the index of the class, or for a model of tables text, the name of the class;
    - one or several labels: ``probabilities`` (N, labels), and ``label`` int64 0 or 1, of shape
      (N,) for one and (N, labels) for several labels;
    - values: ``y`` (N, outputs) in the units of the targets, or rates with the Poisson loss;
    - several losses or a user-defined loss: ``outputs`` (N, outputs), the result of `MLP.forward`.

    A model of tables has one more output, ``problem`` (N,) bool: whether a row has a value that
    `Preprocessing.inputs` refuses, such as an infinite number, a missing value where the training
    part had to be complete, or, with ``unknown_categories="error"``, an unknown category. The other
    outputs of such a row mean nothing.

    Inputs that the network makes of its samples, such as embeddings, are part of the graph; codes
    of categories stand in ``x`` as numbers, of which the fraction does not count. The members of an
    ensemble are one product per layer. In onnxruntime outputs differ from those of `MLP` by 1e-5 in
    float32 and 1e-13 in float64 of the largest output, where no sum cancels; in float64 cosines of
    n turns by n times the rounding error more.

    Metadata: ``fastmlp_version``, ``task``, ``inputs`` ("raw") and, as JSON, ``class_names``,
    ``feature_names``, ``target_names``, ``input_columns`` and ``preprocessing`` if they are known.

    Parameters
    ----------
    model : MLP, or an object with the attributes network and preprocessing
        Trained model.
    path : str or os.PathLike
        File to create or to replace atomically.

    Raises
    ------
    MissingExtraError
        The package onnx is not installed.
    TypeError, ValueError
        `model` is not an MLP, a parameter is NaN or infinite, its preprocessing is not one for its
        network, or the file would be larger than the
        2 GiB that ONNX allows.
    OSError
        The file could not be written; an existing file is unchanged.

    Examples
    --------
    >>> import pathlib, tempfile, fastmlp
    >>> model = fastmlp.MLP([2, 3, 2])
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     fastmlp.export.to_onnx(model, pathlib.Path(folder) / "net.onnx")
    ...     fastmlp.export.check(model, pathlib.Path(folder) / "net.onnx")["passed"]
    True
    """
    onnx = require("export", "onnx")
    inference = describe(model)
    require_size(inference)
    proto = _model_proto(onnx, inference)
    onnx.checker.check_model(proto, full_check=True)
    atomic_write(path, proto.SerializeToString(deterministic=True))


def require_size(inference: Inference) -> None:
    """Raise ValueError if an ONNX file cannot hold the weights."""
    parameters = inference.network.parameters()
    size = sum(a.nbytes for name, a in parameters.items() if name.split(".")[2] in _LARGE_KINDS)
    if size > _MAX_BYTES:
        raise ValueError(
            f"model must fit into 2 GiB, the limit of ONNX; its weights have {size} bytes"
        )


def _model_proto(onnx: Any, inference: Inference) -> Any:
    graph = Graph(onnx, inference.dtype)
    x, problem = _inputs(graph, inference)
    outputs = network_outputs(graph, inference, x)
    graph.scope = "outputs"
    _OUTPUTS[inference.kind](graph, inference, outputs)
    if problem is not None:
        graph.add(
            "Squeeze", problem, graph.constant("problem.axes", np.array([1])), result="problem"
        )
        graph.output("problem", np.bool_)
    tabular = inference.columns is not None
    proto = onnx.helper.make_model(
        graph.proto("fastmlp"),
        opset_imports=[
            onnx.helper.make_opsetid(domain, version)
            for domain, version in (TABLE_OPSETS if tabular else {"": OPSET}).items()
        ],
        ir_version=IR_VERSION,
        producer_name="fastmlp",
        producer_version=__version__,
        doc_string=f"Multi-layer perceptron {_sizes(inference)}; {_input_meaning(inference)}.",
    )
    onnx.helper.set_model_props(proto, _metadata(inference))
    return proto


def _sizes(inference: Inference) -> str:
    return "-".join(map(str, inference.layer_sizes))


def _input_meaning(inference: Inference) -> str:
    if inference.columns is None:
        return inference.input_meaning
    return "one input of shape (N, 1) for each column of a table, with its values as they come"


def _inputs(graph: Graph, inference: Inference) -> tuple[str, str | None]:
    """Add the inputs and their conversion for the first layer; name the mask of problems."""
    problem = None
    if inference.columns is None:
        x = graph.input("x", inference.sample_dtype, inference.features)
    else:
        x, problem = add_columns(graph, inference.columns, inference.refuses_unknown)
    graph.scope = "inputs"
    if inference.input_mean is not None and inference.input_deviation is not None:
        # In float64, as in the preprocessing.
        x = graph.cast(x, np.float64)
        x = graph.add("Sub", x, graph.constant("inputs.mean", inference.input_mean))
        x = graph.add("Div", x, graph.constant("inputs.deviation", inference.input_deviation))
        x = add_normal_map(graph, inference, x)
    x = graph.cast(x, inference.dtype, "inputs.encoded")
    return (
        x if inference.input_scale == 1 else graph.add("Mul", x, inference.input_scale)
    ), problem


def network_outputs(graph: Graph, inference: Inference, x: str) -> str:
    """Add the network to samples that are scaled; return the name of the last layer's outputs."""
    x = add_inputs(graph, inference, x)
    if inference.members > 1:
        # The members are a dimension in front of the samples from here on.
        x = graph.add("Unsqueeze", x, graph.constant("members.axis", np.array([0])))
    sums: list[str] = []  # of the layers, where residual blocks begin and end
    for index, layer in enumerate(inference.layers):
        graph.scope = f"layers.{index}"
        z = _product(graph, inference, layer, x)
        if layer.ends_block:
            z = graph.add("Add", z, sums[index - BLOCK_LAYERS])
        sums.append(z)
        if layer.layer_normalization is not None:
            z = _normalized(graph, layer.layer_normalization, z)
        x = _activated(graph, layer, z)
    if inference.softmax_output:
        x = graph.add("Softmax", x, axis=-1)
    return x if inference.members == 1 else add_mean(graph, inference, x)


def _product(graph: Graph, inference: Inference, layer: DenseLayer, x: str) -> str:
    """Add the product of a layer with its biases, normalized and scaled."""

    def vector(kind: str, array: npt.NDArray[Any]) -> str:
        own = array[:, np.newaxis] if array.ndim > 1 else array
        return graph.constant(f"{graph.scope}.{kind}", own)

    if layer.input_scales is not None:
        x = graph.add("Mul", x, vector("input_scales", layer.input_scales))
    weights = graph.constant(f"{graph.scope}.weights", layer.weights)
    biases = vector("biases", layer.biases)
    if inference.members == 1 and layer.factors is None:
        return graph.add("Gemm", x, weights, biases)
    # Not MatMul: onnxruntime merges preceding factors into it as a float32 number, but for
    # members, whose factors are no numbers.
    z = graph.add("Gemm" if inference.members == 1 else "MatMul", x, weights)
    if layer.means is not None:
        z = graph.add("Sub", z, vector("means", layer.means))
    if layer.factors is not None:
        z = graph.add("Mul", z, vector("factors", layer.factors))
    return graph.add("Add", z, biases)


def _normalized(graph: Graph, normalization: LayerNormalization, z: str) -> str:
    """Add layer normalization, in the type of the graph: ONNX's own operator is float32 inside."""
    axis = graph.constant(f"{graph.scope}.axis", np.array([-1]))
    units = float(len(normalization.scales))

    def mean(values: str) -> str:
        return graph.add("Div", graph.add("ReduceSum", values, axis, keepdims=1), units)

    centered = graph.add("Sub", z, mean(z))
    variance = mean(graph.add("Mul", centered, centered))
    deviation = graph.add("Sqrt", graph.add("Add", variance, NORMALIZATION_EPSILON))
    scales = graph.constant(f"{graph.scope}.scales", normalization.scales)
    shifts = graph.constant(f"{graph.scope}.shifts", normalization.shifts)
    scaled = graph.add("Mul", graph.add("Div", centered, deviation), scales)
    return graph.add("Add", scaled, shifts)


def _activated(graph: Graph, layer: DenseLayer, z: str) -> str:
    value = FORMS[layer.activation].onnx(graph, z, layer.parameter)
    if layer.mixes is None:
        return value
    mixes = layer.mixes[:, np.newaxis] if layer.mixes.ndim > 1 else layer.mixes
    name = graph.constant(f"{graph.scope}.mixes", mixes)
    # Exact for a mix of 0 and of 1, as in the core.
    rest = graph.add("Sub", z, graph.add("Mul", name, z))
    return graph.add("Add", graph.add("Mul", name, value), rest)


def _class_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    if inference.link == "softmax":
        values = graph.add("Softmax", outputs, axis=1, result="probabilities")
    else:
        values = graph.add("Identity", outputs, result="scores")
    graph.output(values, inference.dtype, inference.outputs)
    # The label is that of the largest logit, because probabilities may round to equal numbers.
    names = inference.label_names
    if names is None:
        graph.add("ArgMax", outputs, axis=1, keepdims=0, result="label")
        graph.output("label", np.int64)
        return
    known = graph.constant("outputs.names", np.array(names, object))
    largest = graph.add("ArgMax", outputs, axis=1, keepdims=0)
    graph.add("Gather", known, largest, result="label")
    graph.output("label", object)


def _label_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    graph.add("Sigmoid", outputs, result="probabilities")
    graph.output("probabilities", inference.dtype, inference.outputs)
    yes = graph.add("Greater", outputs, 0.0)
    if inference.outputs > 1:
        graph.cast(yes, np.int64, "label")
        graph.output("label", np.int64, inference.outputs)
    else:
        labels = graph.cast(yes, np.int64)
        graph.add("Squeeze", labels, graph.constant("outputs.axes", np.array([1])), result="label")
        graph.output("label", np.int64)


def _value_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    y = graph.add("Exp", outputs) if inference.link == "exp" else outputs
    if inference.target_mean is not None and inference.target_scale is not None:
        y = graph.cast(y, np.float64)
        y = graph.add("Mul", y, graph.constant("targets.scale", inference.target_scale))
        y = graph.add("Add", y, graph.constant("targets.mean", inference.target_mean))
    if inference.target_low is not None and inference.target_high is not None:
        y = graph.cast(y, np.float64)
        y = graph.add("Max", y, graph.constant("targets.low", inference.target_low))
        y = graph.add("Min", y, graph.constant("targets.high", inference.target_high))
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
        "inputs": "raw",
        **{name: json.dumps(list(value)) for name, value in known.items() if value is not None},
    }
    if inference.columns is not None:
        names = [column.name for column in inference.columns]
        inputs = dict(zip(input_names(inference.columns), names, strict=True))
        metadata["input_columns"] = json.dumps(inputs)
    preprocessing = inference.preprocessing
    if preprocessing is not None:
        metadata["task"] = preprocessing.task
        metadata["preprocessing"] = preprocessing_json(preprocessing)
    return metadata
