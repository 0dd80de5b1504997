"""Check of an ONNX file: it must compute what its model computes for the same samples."""

from __future__ import annotations

import os
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.activations import FORMS
from fastmlp.errors import FormatError
from fastmlp.export.inference import DenseLayer, Inference, describe
from fastmlp.extras import require
from fastmlp.model import MLP

__all__ = ["check"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Path = str | PathLike[str]

_SAMPLES = 256
_MISSING_SHARE = 0.05
_TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
_ERRORS_ONLY = 3  # severity of onnxruntime's log


def check(model: MLP, path: str | PathLike[str]) -> dict[str, Any]:
    """Compare a file of `to_onnx`, run by onnxruntime, with its model on 256 random samples.

    Samples whose prediction depends on rounding are left out: those on the threshold of a unit with
    a step or sign activation, and, for labels, those whose best outputs are equal.

    Parameters
    ----------
    model : MLP
    path : str or os.PathLike
        The file.

    Returns
    -------
    dict
        ``passed``; ``samples``, the number that was compared; ``output``, the name of the output
        compared; ``max_difference`` of it, by its largest value unless it holds probabilities;
        ``tolerance``, 1e-5 with float32 and 1e-12 with float64; ``label_differences``, how many
        labels are not equal, None where there are none.

    Raises
    ------
    MissingExtraError
        The package onnxruntime is not installed.
    FormatError
        onnxruntime cannot run the file, or it has other inputs and outputs than `to_onnx` writes.

    Examples
    --------
    >>> import pathlib, tempfile, fastmlp
    >>> model = fastmlp.MLP([2, 3, 2])
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     file = pathlib.Path(folder) / "net.onnx"
    ...     fastmlp.export.to_onnx(model, file)
    ...     fastmlp.export.check(model, file)["samples"]
    256
    """
    inference = describe(model)
    x = _random_samples(inference)
    found = _run(path, x)
    encoded = _encoded(inference, x)
    with np.errstate(over="ignore", invalid="ignore"):  # NaN passes no comparison
        return _comparison(model, inference, path, found, encoded)


def _comparison(
    model: MLP, inference: Inference, path: Path, found: dict[str, Array], encoded: Array
) -> dict[str, Any]:
    name, expected = _expected(model, inference, encoded)
    clear = _clear_of_thresholds(model, inference, encoded)
    size = 1.0 if name == "probabilities" else float(np.abs(expected).max()) or 1.0
    difference = np.abs(_output(path, found, name, expected) - expected)[clear] / size
    worst = float(difference.max(initial=0.0))
    tolerance = _TOLERANCES[inference.dtype.name]
    wrong = None
    if inference.kind in ("classes", "labels"):
        labels = model.predict(encoded)
        unequal = _in_row(_output(path, found, "label", labels) != labels)
        decided = _decided(model, inference, encoded, tolerance)
        wrong = int(np.count_nonzero(unequal & clear & decided))
    return {
        "passed": bool(clear.any() and worst <= tolerance and not wrong),
        "samples": int(clear.sum()),
        "output": name,
        "max_difference": worst,
        "tolerance": tolerance,
        "label_differences": wrong,
    }


def _random_samples(inference: Inference) -> Array:
    """Samples that the first layer sees with mean 0 and deviation 1, some values missing."""
    random = np.random.Generator(np.random.PCG64(0))
    x = random.standard_normal((_SAMPLES, inference.features)) / (inference.input_scale or 1.0)
    if inference.input_mean is not None and inference.input_deviation is not None:
        x = inference.input_mean + inference.input_deviation * x
    if inference.input_fill is not None:
        missing = random.random(x.shape) < _MISSING_SHARE
        x[missing & np.isfinite(inference.input_fill)] = np.nan
    limit = np.finfo(inference.dtype).max
    return np.clip(x, -limit, limit).astype(inference.dtype)


def _encoded(inference: Inference, x: Array) -> Array:
    """What the network takes, in its dtype."""
    if inference.encodes and inference.preprocessing is not None:
        x = inference.preprocessing.inputs(x)
    return np.ascontiguousarray(x, inference.dtype)


def _run(path: Path, x: Array) -> dict[str, Array]:
    onnxruntime = require("export", "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {"x": x}), strict=True))
    except Exception as error:  # those of onnxruntime have no base of their own
        raise FormatError(f"{os.fspath(path)}: onnxruntime cannot run it: {error}") from error


def _output(path: Path, found: dict[str, Array], name: str, expected: Array) -> Array:
    if name not in found or found[name].shape != expected.shape:
        raise FormatError(f"{os.fspath(path)}: output {name!r} must have shape {expected.shape}")
    return found[name]


def _expected(model: MLP, inference: Inference, x: Array) -> tuple[str, Array]:
    """Name and values of the output that is no label."""
    if inference.kind == "outputs":
        return "outputs", model.forward(x)
    if inference.kind == "values":
        y = model.predict(x)
        return "y", y if inference.preprocessing is None else inference.preprocessing.decode(y)
    if inference.link == "none":
        return "scores", model.forward(x)
    return "probabilities", model.predict_proba(x)


def _clear_of_thresholds(model: MLP, inference: Inference, x: Array) -> Mask:
    """Samples for which every unit that jumps is farther from its jump than rounding reaches.

    A sum of n products is rounded by about sqrt(n) unit round-offs of the sum of their sizes:
    N. Higham, T. Mary, "A new approach to probabilistic rounding error analysis", 2019.
    """
    values = [x * inference.dtype.type(inference.input_scale), *model.hidden_activations(x)]
    clear = np.ones(len(x), bool)
    for inputs, layer in zip(values, inference.layers, strict=True):
        if FORMS[layer.activation].jumps:
            z, size = _pre_activations(inputs.astype(np.float64), layer)
            reach = 2 * np.sqrt(len(layer.weights)) * np.finfo(inference.dtype).eps
            clear &= ~_in_row(np.abs(z) <= reach * size)
    return clear


def _pre_activations(inputs: Array, layer: DenseLayer) -> tuple[Array, Array]:
    """What the activation of a layer gets, and the same sum of sizes without signs."""
    z, size = inputs @ layer.weights, np.abs(inputs) @ np.abs(layer.weights)
    if layer.means is not None and layer.factors is not None:
        z = (z - layer.means) * layer.factors
        size = (size + np.abs(layer.means)) * np.abs(layer.factors)
    return z + layer.biases, size + np.abs(layer.biases)


def _decided(model: MLP, inference: Inference, x: Array, tolerance: float) -> Mask:
    """Samples whose label does not hang on rounding."""
    outputs = model._outputs_of(x, "none", 1).astype(np.float64)
    reach = tolerance * max(1.0, float(np.abs(outputs).max()))
    if inference.kind == "labels":
        return ~_in_row(np.abs(outputs) <= reach)
    largest = np.sort(outputs, axis=1)[:, ::-1]
    tied: Mask = largest[:, :1] - largest[:, 1:2] <= reach
    return ~_in_row(tied)


def _in_row(places: Array) -> Mask:
    """Rows in which any is true, of arrays of one or two dimensions."""
    return np.asarray(places.reshape(len(places), -1).any(axis=1))
