"""Export to ONNX: preprocessing, network and interpretation of the outputs as one graph."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.activations import FORMS
from fastmlp.export.inference import Inference, Kind, describe, preprocessing_json
from fastmlp.extras import require
from fastmlp.model import MLP

__all__ = ["to_onnx"]

OPSET = 17
IR_VERSION = 10  # latest version that every onnxruntime since 1.18 reads
_MAX_BYTES = 2**31 - 2**24  # limit of the weights: a protobuf message has at most 2 GiB

# W. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
# 23, 1969: numerators and denominators, highest power first, of erf(y) / y in y^2 up to the limit
# and of exp(y^2) erfc(y) in y above it. Above y = 4, where Cody uses a third form, the second has
# an error of erfc below 3e-16.
_CODY_LIMIT = 0.46875
_CODY_ERF = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
     1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_CODY_ERFC = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
     3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_ERFC_UNDERFLOWS = 40.0


def to_onnx(model: MLP, path: str | PathLike[str]) -> None:
    """Write a model as an ONNX file (opset 17).

    The only input ``x``, (N, features) of the model's dtype, takes raw samples: the graph replaces
    missing values, standardizes and applies ``input_scale``. If the preprocessing has categories,
    ``x`` takes the array that ``model.preprocessing.inputs`` returns. The metadata entry ``inputs``
    is "raw" or "encoded".

    Outputs, by the loss:

    - classes: ``probabilities`` (N, classes), or ``scores`` with the hinge loss, and ``label`` (N,)
      int64, the index of the class;
    - one or several labels: ``probabilities`` (N, labels), and ``label`` int64 0 or 1, of shape
      (N,) for one and (N, labels) for several labels;
    - values: ``y`` (N, outputs) in the units of the targets, or rates with the Poisson loss;
    - several losses or a user-defined loss: ``outputs`` (N, outputs), the result of `MLP.forward`.

    Metadata: ``fastmlp_version``, ``task``, ``inputs`` and, as JSON, ``class_names``,
    ``feature_names``, ``target_names`` and ``preprocessing`` if they are known.

    Parameters
    ----------
    model : MLP
        Trained model.
    path : str or os.PathLike
        File to create or to replace atomically.

    Raises
    ------
    MissingExtraError
        The package onnx is not installed.
    TypeError, ValueError
        `model` is not an MLP, a parameter is NaN or infinite, or the file would be larger than the
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
    size = sum(layer.weights.nbytes for layer in inference.layers)
    if size > _MAX_BYTES:
        raise ValueError(
            f"model must fit into 2 GiB, the limit of ONNX; its weights have {size} bytes"
        )
    proto = _model_proto(onnx, inference)
    onnx.checker.check_model(proto, full_check=True)
    atomic_write(path, proto.SerializeToString(deterministic=True))


class Graph:
    """An ONNX graph being built. Numbers among the inputs of a node become constants.

    Parameters
    ----------
    onnx : module
        Package onnx.
    dtype : dtype
        Dtype of the constants that are made from numbers.
    """

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.scope = ""  # prefix of the names of nodes
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._scalars: dict[float, str] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def add(self, operator: str, *inputs: str | float, result: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its result."""
        tensors = [item if isinstance(item, str) else self._scalar(item) for item in inputs]
        name = f"{self.scope}/{operator}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(
            operator, tensors, [result or name], name=name, **attributes
        )
        self._nodes.append(node)
        return result or name

    def cast(self, tensor: str, dtype: npt.DTypeLike, result: str = "") -> str:
        """Add a conversion to a dtype and return the name of its result."""
        return self.add("Cast", tensor, result=result, to=self._element_type(dtype))

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add an array as a constant and return its name."""
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        )
        return name

    def _scalar(self, value: float) -> str:
        if value not in self._scalars:
            name = f"constant_{len(self._scalars)}"
            self._scalars[value] = self.constant(name, np.array(value, self.dtype))
        return self._scalars[value]

    def input(self, name: str, dtype: npt.DTypeLike, *dimensions: int) -> str:
        """Declare an input of shape (N, *dimensions) and return its name."""
        self._inputs.append(self._value_info(name, dtype, dimensions))
        return name

    def output(self, name: str, dtype: npt.DTypeLike, *dimensions: int) -> None:
        """Declare that a result is an output of shape (N, *dimensions)."""
        self._outputs.append(self._value_info(name, dtype, dimensions))

    def normal_cdf(self, z: str) -> str:
        """Add the standard normal distribution function of a float64 tensor, to 3e-16."""
        y = self.add("Mul", self.add("Min", self.add("Abs", z), _ERFC_UNDERFLOWS), math.sqrt(0.5))
        square = self.add("Mul", y, y)
        erf = self.add("Mul", y, self._ratio(*_CODY_ERF, square))
        decay = self.add("Exp", self.add("Neg", square))
        erfc = self.add(
            "Where",
            self.add("Less", y, _CODY_LIMIT),
            self.add("Sub", 1.0, erf),
            self.add("Mul", decay, self._ratio(*_CODY_ERFC, y)),
        )
        tail = self.add("Mul", erfc, 0.5)
        return self.add("Where", self.add("Less", z, 0.0), tail, self.add("Sub", 1.0, tail))

    def _ratio(self, top: Sequence[float], bottom: Sequence[float], x: str) -> str:
        return self.add("Div", self._polynomial(top, x), self._polynomial(bottom, x))

    def _polynomial(self, coefficients: Sequence[float], x: str) -> str:
        value: str | float = coefficients[0]
        for coefficient in coefficients[1:]:
            value = self.add("Add", self.add("Mul", x, value), coefficient)
        assert isinstance(value, str)
        return value

    def proto(self, name: str) -> Any:
        """Return the graph as a GraphProto of onnx."""
        return self._onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, self._constants
        )

    def _value_info(self, name: str, dtype: npt.DTypeLike, dimensions: tuple[int, ...]) -> Any:
        element_type = self._element_type(dtype)
        return self._onnx.helper.make_tensor_value_info(name, element_type, ["N", *dimensions])

    def _element_type(self, dtype: npt.DTypeLike) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


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
    """Add the conversion of x for the first layer, in float64 as in the preprocessing."""
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
            # Not MatMul: onnxruntime merges preceding factors into it as a float32 number.
            centered = graph.add("Sub", graph.add("Gemm", x, weights), means)
            z = graph.add("Add", graph.add("Mul", centered, factors), biases)
        x = FORMS[layer.activation].onnx(graph, z, layer.parameter)
    return graph.add("Softmax", x, axis=1) if inference.softmax_output else x


def _class_outputs(graph: Graph, inference: Inference, outputs: str) -> None:
    if inference.link == "softmax":
        values = graph.add("Softmax", outputs, axis=1, result="probabilities")
    else:
        values = graph.add("Identity", outputs, result="scores")
    graph.output(values, inference.dtype, inference.outputs)
    # The label is that of the largest logit, because probabilities may round to equal numbers.
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
