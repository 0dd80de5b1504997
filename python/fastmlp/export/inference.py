"""What a model computes when it predicts: one description, which every format writes down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastmlp.losses import Link
from fastmlp.model import MLP
from fastmlp.network.architecture import BATCH_NORM_EPSILON

if TYPE_CHECKING:
    from fastmlp.data import Preprocessing
    from fastmlp.data.columns import ColumnEncoding

__all__ = ["DenseLayer", "Inference", "Kind", "describe", "preprocessing_json"]

Array = npt.NDArray[Any]
Kind = Literal["classes", "labels", "values", "outputs"]


@dataclass(frozen=True)
class DenseLayer:
    """``activation((x @ weights - means) * factors + biases)``, or without means and factors."""

    weights: Array  # (in, out)
    biases: Array  # (out,)
    means: Array | None  # (out,), of batch normalisation
    factors: Array | None  # (out,)
    activation: str
    parameter: float


@dataclass(frozen=True)
class Inference:
    """From input to prediction."""

    dtype: np.dtype[Any]
    layer_sizes: tuple[int, ...]
    takes_encoded: bool  # x is what `Preprocessing.inputs` returns
    # Else x, its NaN replaced by the fill, becomes (x - mean) / deviation in float64.
    input_fill: Array | None  # (features,), NaN where a column has none
    input_mean: Array | None  # (features,)
    input_deviation: Array | None  # (features,)
    input_scale: float
    layers: tuple[DenseLayer, ...]
    softmax_output: bool  # of the last layer, besides what the links do
    output_link: Link  # what `Network.forward` adds to the last layer
    link: Link  # from the last layer to predictions, by the loss
    kind: Kind
    target_mean: Array | None  # (outputs,), float64: y = mean + scale * output
    target_scale: Array | None
    preprocessing: Preprocessing | None

    @property
    def features(self) -> int:
        """Inputs of the network."""
        return self.layer_sizes[0]

    @property
    def outputs(self) -> int:
        """Outputs of the network."""
        return self.layer_sizes[-1]

    @property
    def encodes(self) -> bool:
        """Whether x is not yet what the network takes."""
        return self.input_fill is not None or self.input_mean is not None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of classes or labels, where they are known."""
        return None if self.preprocessing is None else self.preprocessing.class_names

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Of the inputs, where they are known."""
        return None if self.preprocessing is None else self.preprocessing.feature_names

    @property
    def target_names(self) -> tuple[str, ...] | None:
        """Of the values that a regression predicts, where they are known."""
        return None if self.preprocessing is None else self.preprocessing.target_names

    @property
    def input_meaning(self) -> str:
        """What x holds, for those who call the exported network."""
        if self.takes_encoded:
            return (
                "x holds samples after the preprocessing, which has categories: what "
                "model.preprocessing.inputs returns"
            )
        scaled = " (bytes as numbers 0..255)" if np.isclose(self.input_scale, 1 / 255) else ""
        missing = "" if self.input_fill is None else ", with NaN for missing values"
        return f"x holds samples as they come, without any preprocessing{scaled}{missing}"


def describe(model: MLP, *, folds: bool = False) -> Inference:
    """What `model` computes when it predicts.

    Parameters
    ----------
    model : MLP
    folds : bool
        Batch normalisation becomes part of weights and biases. That is less arithmetic, and adds
        some rounding: up to 2e-6 in probabilities, float32, where inputs are badly scaled.

    Raises
    ------
    TypeError
        `model` is no `fastmlp.MLP`.
    ValueError
        A parameter is NaN or infinite.
    """
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    for name, array in model.parameters().items():
        if not np.isfinite(array).all():
            raise ValueError(f"model must have finite parameters, {name} holds NaN or infinity")
    architecture, preprocessing = model.architecture, model.preprocessing
    normalises = any(architecture.batch_normalization)
    columns = (preprocessing and preprocessing.columns) or ()
    takes_encoded = any(column.kind == "category" for column in columns)
    kind = _kind(model)
    inputs = None if takes_encoded else preprocessing
    targets = preprocessing if kind == "values" else None
    return Inference(
        dtype=model.dtype,
        layer_sizes=architecture.layer_sizes,
        takes_encoded=takes_encoded,
        input_fill=None if takes_encoded else _fills(columns),
        input_mean=None if inputs is None else inputs.input_mean,
        input_deviation=None if inputs is None else inputs.input_scale,
        input_scale=architecture.input_scale,
        layers=_layers(model.folded() if folds and normalises else model),
        softmax_output=architecture.spec()["softmax_output"],
        output_link=architecture.link,
        link=architecture.losses[0].link if len(architecture.losses) == 1 else "none",
        kind=kind,
        target_mean=None if targets is None else targets.target_mean,
        target_scale=None if targets is None else targets.target_scale,
        preprocessing=preprocessing,
    )


def _layers(model: MLP) -> tuple[DenseLayer, ...]:
    parameters = model.parameters()
    layers = []
    for index, layer in enumerate(model.architecture.spec()["layers"]):
        prefix = f"layers.{index}."
        means = factors = None
        if layer["batch_norm"]:
            means = parameters[prefix + "means"]
            variances = parameters[prefix + "variances"].astype(np.float64)
            exact = parameters[prefix + "scales"] / np.sqrt(variances + BATCH_NORM_EPSILON)
            factors = exact.astype(model.dtype)
        weights, biases = parameters[prefix + "weights"], parameters[prefix + "biases"]
        activation = layer["activation"], layer["parameter"]
        layers.append(DenseLayer(weights, biases, means, factors, *activation))
    return tuple(layers)


def _kind(model: MLP) -> Kind:
    losses = model.architecture.losses
    task = None if model.preprocessing is None else model.preprocessing.task
    if len(losses) > 1 or (losses[0].name == "user_defined" and task != "regression"):
        return "outputs"
    if losses[0].takes_classes:
        return "classes"
    return "labels" if losses[0].link == "sigmoid" else "values"


def _fills(columns: Sequence[ColumnEncoding]) -> Array | None:
    """What replaces missing values of columns of numbers; None where nothing does."""
    fills = np.array([np.nan if c.fill is None else float(c.fill) for c in columns])
    return fills if np.isfinite(fills).any() else None


def preprocessing_json(preprocessing: Preprocessing) -> str:
    """The whole preprocessing, arrays as lists, for formats that keep text."""
    arrays = {name: array.tolist() for name, array in preprocessing.arrays().items()}
    return json.dumps({"config": preprocessing.config(), "arrays": arrays}, sort_keys=True)
