"""Converters of the estimators for skl2onnx, which converts pipelines of scikit-learn to ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.estimators.classifier import MLPClassifier
from fastmlp.estimators.exchange import labels_of, network_of
from fastmlp.estimators.regressor import MLPRegressor
from fastmlp.export.graph import Graph
from fastmlp.export.labels import add_outputs, onnx_labels
from fastmlp.export.onnx_graph import OPSET
from fastmlp.extras import require

__all__ = ["register_skl2onnx"]

_CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


def register_skl2onnx() -> None:
    """Make skl2onnx convert `MLPClassifier` and `MLPRegressor`, also inside pipelines.

    The network is computed in its own dtype, that of ``coefs_``. A classifier has skl2onnx's
    options ``zipmap``, ``nocl`` and ``output_class_labels``; labels are text or int64, and those of
    several labels at once the int64 indicator matrix. Float64 inputs need ``zipmap`` to be False,
    because ONNX has no map of them. The target opset must be at least 17. Calling the function
    again changes nothing.

    Raises
    ------
    MissingExtraError
        The package skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastmlp.estimators import MLPClassifier, register_skl2onnx
    >>> x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(-1, 1)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(early_stopping=True, random_state=0))
    >>> model = model.fit(x, np.where(x[:, 0] > 0, "yes", "no"))
    >>> register_skl2onnx()  # doctest: +SKIP
    >>> import skl2onnx  # doctest: +SKIP
    >>> proto = skl2onnx.to_onnx(model, x[:1], options={"zipmap": False})  # doctest: +SKIP
    >>> [output.name for output in proto.graph.output]  # doctest: +SKIP
    ['label', 'probabilities']
    """
    skl2onnx = require("export", "skl2onnx")
    shapes = require("export", "skl2onnx.common.shape_calculator")

    def classifier_shapes(operator: Any) -> None:
        shapes.calculate_linear_classifier_output_shapes(operator)
        estimator, (label, probabilities) = operator.raw_operator, operator.outputs
        samples, outputs = label.type.shape[0], estimator.n_outputs_
        probabilities.type.shape = [samples, max(2, outputs)]
        if labels_of(estimator).are_several:
            label.type.shape = [samples, outputs]

    def regressor_shapes(operator: Any) -> None:
        shapes.calculate_linear_regressor_output_shapes(operator)
        (values,) = operator.outputs
        values.type.shape = [values.type.shape[0], operator.raw_operator.n_outputs_]

    skl2onnx.update_registered_converter(
        MLPClassifier,
        "FastmlpMLPClassifier",
        classifier_shapes,
        _convert,
        options=_CLASSIFIER_OPTIONS,
    )
    skl2onnx.update_registered_converter(
        MLPRegressor,
        "FastmlpMLPRegressor",
        regressor_shapes,
        _convert,
    )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator to skl2onnx's container."""
    if container.target_opset < OPSET:
        raise ValueError(
            f"target_opset must be at least {OPSET} to convert a fastmlp estimator, got "
            f"{container.target_opset}"
        )
    onnx = require("export", "onnx")
    estimator = operator.raw_operator
    model, labels = network_of(estimator), labels_of(estimator)
    graph = Graph(onnx, model.dtype)
    x = graph.cast("x", model.dtype)
    classes = None if labels.classes is None else onnx_labels(labels.classes)
    if classes is not None and scope.get_options(estimator, {"nocl": False})["nocl"]:
        classes = np.arange(len(classes))
    names = {"label": "label", "probabilities": "probabilities", "y": "y"}
    add_outputs(graph, model, x, classes, labels.are_several, names)
    values = "y" if classes is None else "probabilities"
    kind = onnx.helper.tensor_dtype_to_np_dtype(_element_type(operator.outputs[-1].type))
    graph.cast(values, kind, "values")
    outer = {"x": operator.inputs[0].full_name, "values": operator.outputs[-1].full_name}
    if classes is not None:
        outer["label"] = operator.outputs[0].full_name
    _copy(onnx, graph.proto("fastmlp"), outer, scope, container)


def _element_type(kind: Any) -> int:
    guess = require("export", "skl2onnx.common.data_types").guess_proto_type
    return int(guess(kind))


def _copy(onnx: Any, graph: Any, outer: dict[str, str], scope: Any, container: Any) -> None:
    """Copy nodes and constants; names that `outer` lacks become new ones."""
    names = dict(outer)

    def renamed(name: str) -> str:
        if name not in names:
            names[name] = scope.get_unique_variable_name(f"fastmlp_{name}")
        return names[name]

    for tensor in graph.initializer:
        content: Any = tensor
        if tensor.data_type == onnx.TensorProto.STRING:  # whose values skl2onnx does not copy
            content = list(tensor.string_data)
        container.add_initializer(renamed(tensor.name), tensor.data_type, tensor.dims, content)
    for node in graph.node:
        container.add_node(
            node.op_type,
            [renamed(name) for name in node.input],
            [renamed(name) for name in node.output],
            name=scope.get_unique_operator_name(f"fastmlp_{node.op_type}"),
            **{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
        )
