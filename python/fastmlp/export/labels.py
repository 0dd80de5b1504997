"""Export of fitted estimators: a network whose outputs have labels of the user's."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from os import PathLike, fspath
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.export.c_code import write_c
from fastmlp.export.graph import Graph
from fastmlp.export.inference import Inference, describe
from fastmlp.export.npz import write_npz
from fastmlp.export.onnx_graph import IR_VERSION, OPSET, network_outputs, require_size
from fastmlp.extras import require
from fastmlp.model import MLP

__all__ = ["SUFFIXES", "Labels", "add_outputs", "export_labeled", "onnx_labels"]

Array = npt.NDArray[Any]
SUFFIXES = (".onnx", ".npz", ".h")
_NO_PROBABILITY_IS_ABOVE = 1.0


@dataclass(frozen=True)
class Labels:
    """What a prediction of an estimator means.

    Attributes
    ----------
    classes : array of shape (classes,) or None
        Label of each class; None for a regression.
    are_several : bool
        Whether each output is a label of its own, present or not.
    feature_names : tuple of str or None
        Names of the inputs.
    """

    classes: Array | None
    are_several: bool
    feature_names: tuple[str, ...] | None

    @property
    def names(self) -> tuple[str, ...] | None:
        """The labels as text."""
        return None if self.classes is None else tuple(map(str, self.classes.tolist()))


@dataclass(frozen=True)
class LabeledInference(Inference):
    """The computation of an estimator's predictions, with its names instead of a preprocessing's.

    Attributes
    ----------
    labels : Labels
        Meaning of the outputs.
    """

    labels: Labels

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The labels as text, or None for a regression."""
        return self.labels.names

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the inputs, or None if they are unknown."""
        return self.labels.feature_names


def export_labeled(
    model: MLP, labels: Labels, path: str | PathLike[str], *, name: str | None
) -> None:
    """Write the network of an estimator, in the format of the suffix of `path`.

    Raises
    ------
    MissingExtraError
        A package that the format needs is not installed.
    ValueError
        The suffix is none of `SUFFIXES`, or the format cannot hold the estimator.
    OSError
        The file could not be written; an existing file is unchanged.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path must end with {', '.join(SUFFIXES)}, got {fspath(path)!r}")
    if name is not None and suffix != ".h":
        raise ValueError(f"name is the prefix of names in C and needs a path.h, got {fspath(path)}")
    if suffix == ".onnx":
        _write_onnx(model, labels, path)
    elif suffix == ".npz":
        _write_npz(model, labels, path)
    else:
        if labels.classes is not None and len(labels.classes) == 1:
            raise ValueError("C needs an estimator of two classes or more, got one of 1")
        folded, unfolded = (_labeled(model, labels, folds=folds) for folds in (True, False))
        write_c(folded, unfolded, path, name=name)


def _labeled(model: MLP, labels: Labels, *, folds: bool = False) -> LabeledInference:
    inference = describe(model, folds=folds)
    values = {field.name: getattr(inference, field.name) for field in fields(inference)}
    if labels.classes is None:
        values["kind"] = "values"
    return LabeledInference(**values, labels=labels)


# ---------------------------------------------------------------- ONNX


def _write_onnx(model: MLP, labels: Labels, path: str | PathLike[str]) -> None:
    onnx = require("export", "onnx")
    inference = _labeled(model, labels)
    require_size(inference)
    graph = Graph(onnx, inference.dtype)
    x = graph.input("x", inference.dtype, inference.features)
    classes = None if labels.classes is None else onnx_labels(labels.classes)
    names = {"label": "label", "probabilities": "probabilities", "y": "y"}
    add_outputs(graph, model, x, classes, labels.are_several, names)
    if classes is None:
        graph.output("y", inference.dtype, inference.outputs)
    elif labels.are_several:
        graph.output("label", np.int64, inference.outputs)
        graph.output("probabilities", inference.dtype, inference.outputs)
    else:
        graph.output("label", classes.dtype)
        graph.output("probabilities", inference.dtype, max(2, inference.outputs))
    proto = onnx.helper.make_model(
        graph.proto("fastmlp"),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastmlp",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(proto, _metadata(labels))
    onnx.checker.check_model(proto, full_check=True)
    atomic_write(path, proto.SerializeToString(deterministic=True))


def _metadata(labels: Labels) -> dict[str, str]:
    known = {"class_names": labels.names, "feature_names": labels.feature_names}
    lists = {name: json.dumps(list(value)) for name, value in known.items() if value is not None}
    return {"fastmlp_version": __version__, "inputs": "raw", **lists}


def onnx_labels(classes: Array) -> Array:
    """Return labels as text or int64; flags become 0 and 1.

    Raises
    ------
    ValueError
        A number is no integer that int64 holds.
    """
    if classes.dtype.kind in "OU":
        return classes.astype(object)
    numbers = classes.astype(np.int64)
    if not np.array_equal(numbers, classes):
        raise ValueError("classes_ must be text or integers that int64 holds, for ONNX")
    return numbers


def add_outputs(
    graph: Graph,
    model: MLP,
    x: str,
    classes: Array | None,
    are_several: bool,
    names: dict[str, str],
) -> None:
    """Add a network and the predictions of its estimator to a graph.

    Parameters
    ----------
    graph : Graph
        Graph of the model's dtype.
    model : MLP
        Network of the estimator.
    x : str
        Name of the inputs, of the model's dtype.
    classes : array of int64 or object, or None
        Label of each class; None for a regression.
    are_several : bool
        Whether each output is a label of its own.
    names : dict of str to str
        Names of the results: of ``y`` for a regression, else of ``label`` and ``probabilities``.
    """
    inference = describe(model)
    outputs = network_outputs(graph, inference, x)
    graph.scope = "outputs"
    if classes is None:
        operator = {"none": "Identity", "exp": "Exp", "sigmoid": "Sigmoid"}[inference.link]
        graph.add(operator, outputs, result=names["y"])
        return
    if inference.link == "softmax":
        graph.add("Softmax", outputs, axis=1, result=names["probabilities"])
        # The largest logit, because probabilities may round to equal numbers.
        index = graph.add("ArgMax", outputs, axis=1, keepdims=0)
    else:
        yes = graph.add("Sigmoid", outputs)
        threshold = 0.5 if are_several or len(classes) > 1 else _NO_PROBABILITY_IS_ABOVE
        above = graph.add("Greater", yes, threshold)
        if are_several:
            graph.add("Identity", yes, result=names["probabilities"])
            graph.cast(above, np.int64, names["label"])
            return
        no = graph.add("Sub", 1.0, yes)
        graph.add("Concat", no, yes, axis=1, result=names["probabilities"])
        column = graph.constant("outputs.column", np.array([1]))
        index = graph.add("Squeeze", graph.cast(above, np.int64), column)
    labels = graph.constant("outputs.classes", classes)
    graph.add("Gather", labels, index, axis=0, result=names["label"])


# ---------------------------------------------------------------- NPZ


def _write_npz(model: MLP, labels: Labels, path: str | PathLike[str]) -> None:
    arrays: dict[str, Array] = {}
    if labels.classes is not None:
        is_text = labels.classes.dtype.kind == "O"
        arrays["classes"] = labels.classes.astype(np.str_) if is_text else labels.classes
    if labels.feature_names is not None:
        arrays["feature_names"] = np.array(labels.feature_names, np.str_)
    write_npz(model, path, arrays)
