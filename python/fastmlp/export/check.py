"""Check that an ONNX file and its model compute the same outputs for the same samples."""

from __future__ import annotations

import os
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.activations import FORMS
from fastmlp.errors import FormatError
from fastmlp.export.inference import DenseLayer, Inference, TrainedModel, describe
from fastmlp.export.random_rows import RandomRows, random_rows
from fastmlp.extras import require
from fastmlp.model import MLP

__all__ = ["check"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Path = str | PathLike[str]

_SAMPLES = 256
_TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
_ERRORS_ONLY = 3  # severity of onnxruntime's log


def check(model: MLP | TrainedModel, path: str | PathLike[str]) -> dict[str, Any]:
    """Run an ONNX file in onnxruntime and compare it with its model on 256 random samples.

    Samples whose prediction depends on rounding are left out: samples at the threshold of a unit
    with a step or sign activation and, for labels, samples with equal largest outputs. Rows of
    tables have known, unknown and missing values.

    Parameters
    ----------
    model : MLP, or an object with the attributes network and preprocessing
        Model that was exported.
    path : str or os.PathLike
        File that `to_onnx` wrote.

    Returns
    -------
    dict
        ``passed``, whether the file passed; ``samples``, the number of compared samples;
        ``output``, the name of the compared output; ``max_difference``, its largest difference,
        divided by its largest magnitude unless it holds probabilities; ``tolerance``, 1e-5 for
        float32 and 1e-12 for float64; ``label_differences``, the number of different labels, or
        None if the file has no labels.

    Raises
    ------
    MissingExtraError
        The package onnxruntime is not installed.
    FormatError
        onnxruntime cannot run the file, its inputs and outputs are not those of `to_onnx`, or it
        refuses other rows than the model does.

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
    random = np.random.Generator(np.random.PCG64(0))
    if inference.columns is None:
        x = _random_samples(inference, random)
        found, encoded = _run(path, {"x": x}), _encoded(inference, x)
    else:
        rows = random_rows(inference, random, _SAMPLES)
        found = _run(path, rows.feeds)
        encoded = _encoded_rows(inference, rows, path, found)
    with np.errstate(over="ignore", invalid="ignore"):  # NaN fails every comparison
        return _comparison(inference, path, found, encoded)


def _comparison(
    inference: Inference, path: Path, found: dict[str, Array], encoded: Array
) -> dict[str, Any]:
    model = inference.network
    name, expected = _expected(model, inference, encoded)
    clear = _clear_of_thresholds(model, inference, encoded)
    size = 1.0 if name == "probabilities" else float(np.abs(expected).max()) or 1.0
    difference = np.abs(_output(path, found, name, expected) - expected)[clear] / size
    worst = float(difference.max(initial=0.0))
    tolerance = _TOLERANCES[inference.dtype.name]
    wrong = None
    if inference.kind in ("classes", "labels"):
        labels = model.predict(encoded)
        names = inference.label_names
        written = labels if names is None else np.array(names, object)[labels]
        unequal = _in_row(_output(path, found, "label", written) != written)
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


def _random_samples(inference: Inference, random: np.random.Generator) -> Array:
    """Draw samples that reach the first layer with mean 0 and deviation 1."""
    x = random.standard_normal((_SAMPLES, inference.features))
    for group in inference.inputs:
        if group.kind != "number":  # all codes and unknown ones, in no number that rounds to others
            codes = random.integers(-1, group.levels + 1, _SAMPLES)
            x[:, group.first_column] = codes + 0.25
    x /= inference.input_scale
    if inference.input_mean is not None and inference.input_deviation is not None:
        x = inference.input_mean + inference.input_deviation * x
    limit = np.finfo(inference.sample_dtype).max
    return np.clip(x, -limit, limit).astype(inference.sample_dtype)


def _encoded(inference: Inference, x: Array) -> Array:
    """Return the network's inputs in its dtype."""
    if inference.preprocessing is not None:
        x = inference.preprocessing.inputs(x)
        return np.ascontiguousarray(x, inference.dtype)
    return np.ascontiguousarray(x, inference.sample_dtype)


def _encoded_rows(
    inference: Inference, rows: RandomRows, path: Path, found: dict[str, Array]
) -> Array:
    """Return the network's inputs in its dtype, after a comparison of the rows refused."""
    assert inference.preprocessing is not None
    x, problems = inference.preprocessing.served_inputs(rows.table)
    assert problems is not None
    refused = _output(path, found, "problem", problems.mask)
    wrong = np.flatnonzero(refused != problems.mask)
    if len(wrong):
        verb = "refuses" if refused[wrong[0]] else "accepts"
        cells = {name: cells[int(wrong[0])] for name, cells in rows.table.columns.items()}
        raise FormatError(
            f"{os.fspath(path)}: {verb} {len(wrong)} rows against the model, such as {cells}"
        )
    return np.ascontiguousarray(x, inference.dtype)


def _run(path: Path, feeds: dict[str, Array]) -> dict[str, Array]:
    onnxruntime = require("export", "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # errors of onnxruntime have no common base class
        raise FormatError(f"{os.fspath(path)}: onnxruntime cannot run it: {error}") from error


def _output(path: Path, found: dict[str, Array], name: str, expected: Array) -> Array:
    if name not in found or found[name].shape != expected.shape:
        raise FormatError(f"{os.fspath(path)}: output {name!r} must have shape {expected.shape}")
    return found[name]


def _expected(model: MLP, inference: Inference, x: Array) -> tuple[str, Array]:
    """Return the name and the expected values of the output that is not a label."""
    if inference.kind == "outputs":
        return "outputs", model.forward(x)
    if inference.kind == "values":
        y = model.predict(x)
        return "y", y if inference.preprocessing is None else inference.preprocessing.decode(y)
    if inference.link == "none":
        return "scores", model.forward(x)
    return "probabilities", model.predict_proba(x)


def _clear_of_thresholds(model: MLP, inference: Inference, x: Array) -> Mask:
    """Mark the samples whose sums differ from the jumps of all units by more than rounding errors.

    The rounding error of a sum of n products is about sqrt(n) unit round-offs of the sum of their
    magnitudes: N. Higham, T. Mary, "A new approach to probabilistic rounding error analysis", 2019.
    """
    values = [_first_inputs(model, x), *model.hidden_activations(x)]
    clear = np.ones(len(x), bool)
    for inputs, layer in zip(values, inference.layers, strict=True):
        if FORMS[layer.activation].jumps:
            z, size = _pre_activations(inputs.astype(np.float64), layer)
            reach = 2 * np.sqrt(layer.weights.shape[-2]) * np.finfo(inference.dtype).eps
            clear &= ~_in_row(np.abs(z) <= reach * size)
    return clear


def _first_inputs(model: MLP, x: Array) -> Array:
    """Return the inputs of the first layer, without factors: of a network that returns them."""
    architecture = model.architecture
    if not architecture.inputs:
        rows = model._rows(x)
        assert not isinstance(rows, tuple)
        scaled: Array = rows * model.dtype.type(architecture.input_scale)
        return scaled
    width = architecture.first_inputs
    stage = MLP(
        [architecture.layer_sizes[0], width],
        loss="mse",
        dtype=model.dtype.name,
        input_scale=architecture.input_scale,
        inputs=architecture.inputs,
    )
    own = {name: array for name, array in model.parameters().items() if name.startswith("inputs.")}
    stage.set_parameters({**stage.parameters(), **own, "layers.0.weights": np.eye(width)})
    return stage.forward(x)


def _pre_activations(inputs: Array, layer: DenseLayer) -> tuple[Array, Array]:
    """Return the inputs of a layer's activation, and the same sums of magnitudes.

    Inputs are of shape (samples, units) or (samples, members, units), results always of the latter.
    """
    inputs = inputs[:, np.newaxis] if inputs.ndim == 2 else inputs
    if layer.input_scales is not None:
        inputs = inputs * layer.input_scales
    by_member = inputs.swapaxes(0, 1)
    z, size = by_member @ layer.weights, np.abs(by_member) @ np.abs(layer.weights)
    z, size = z.swapaxes(0, 1), size.swapaxes(0, 1)
    if layer.means is not None:
        z, size = z - layer.means, size + np.abs(layer.means)
    if layer.factors is not None:
        z, size = z * layer.factors, size * np.abs(layer.factors)
    return z + layer.biases, size + np.abs(layer.biases)


def _decided(model: MLP, inference: Inference, x: Array, tolerance: float) -> Mask:
    """Mark the samples whose label does not depend on rounding."""
    outputs = model._outputs_of(model._rows(x), "none", 1).astype(np.float64)
    reach = tolerance * max(1.0, float(np.abs(outputs).max()))
    if inference.kind == "labels":
        return ~_in_row(np.abs(outputs) <= reach)
    largest = np.sort(outputs, axis=1)[:, ::-1]
    tied: Mask = largest[:, :1] - largest[:, 1:2] <= reach
    return ~_in_row(tied)


def _in_row(places: Array) -> Mask:
    """Mark the rows with a true element."""
    return np.asarray(places.reshape(len(places), -1).any(axis=1))
