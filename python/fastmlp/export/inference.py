"""`Inference`: the description of a prediction, from which all export formats are written."""

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
    """``activation((x @ weights - means) * factors + biases)``; None skips means and factors."""

    weights: Array  # (in, out)
    biases: Array  # (out,)
    means: Array | None  # (out,), of batch normalization
    factors: Array | None  # (out,)
    activation: str
    parameter: float


@dataclass(frozen=True)
class Inference:
    """The computation of a model from input to prediction."""

    dtype: np.dtype[Any]
    layer_sizes: tuple[int, ...]
    takes_encoded: bool  # whether x is a result of `Preprocessing.inputs`
    # Otherwise NaN in x is replaced by the fill, and x by (x - mean) / deviation in float64.
    input_fill: Array | None  # (features,), NaN for columns without a fill
    input_mean: Array | None  # (features,)
    input_deviation: Array | None  # (features,)
    input_scale: float
    layers: tuple[DenseLayer, ...]
    softmax_output: bool  # whether the last layer has a softmax besides the links
    output_link: Link  # function that `Network.forward` applies to the last layer
    link: Link  # function of the loss from the last layer to predictions
    kind: Kind
    target_mean: Array | None  # (outputs,), float64: y = mean + scale * output
    target_scale: Array | None
    preprocessing: Preprocessing | None

    @property
    def features(self) -> int:
        """Number of inputs of the network."""
        return self.layer_sizes[0]

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return self.layer_sizes[-1]

    @property
    def encodes(self) -> bool:
        """Whether x must be converted before the first layer."""
        return self.input_fill is not None or self.input_mean is not None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of classes or labels, or None if they are unknown."""
        return None if self.preprocessing is None else self.preprocessing.class_names

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the inputs, or None if they are unknown."""
        return None if self.preprocessing is None else self.preprocessing.feature_names

    @property
    def target_names(self) -> tuple[str, ...] | None:
        """Names of the values that a regression predicts, or None if they are unknown."""
        return None if self.preprocessing is None else self.preprocessing.target_names

    @property
    def input_meaning(self) -> str:
        """Description of x for users of the exported network."""
        if self.takes_encoded:
            return (
                "x holds samples after the preprocessing, which has categories: what "
                "model.preprocessing.inputs returns"
            )
        scaled = " (bytes as numbers 0..255)" if np.isclose(self.input_scale, 1 / 255) else ""
        missing = "" if self.input_fill is None else ", with NaN for missing values"
        return f"x holds samples as they come, without any preprocessing{scaled}{missing}"


def describe(model: MLP, *, folds: bool = False) -> Inference:
    """Describe the computation of a model's predictions.

    Parameters
    ----------
    model : MLP
        Model to describe.
    folds : bool
        Whether to fold batch normalization into weights and biases. Folding saves arithmetic and
        adds rounding errors: up to 2e-6 in float32 probabilities if inputs are badly scaled.

    Raises
    ------
    TypeError
        `model` is not a `fastmlp.MLP`.
    ValueError
        A parameter is NaN or infinite.
    """
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    for name, array in model.parameters().items():
        if not np.isfinite(array).all():
            raise ValueError(f"model must have finite parameters, {name} holds NaN or infinity")
    architecture, preprocessing = model.architecture, model.preprocessing
    normalizes = any(architecture.batch_normalization)
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
        layers=_layers(model.folded() if folds and normalizes else model),
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
    """Return the numbers that replace missing values, NaN for none; None if no column has one."""
    fills = np.array([np.nan if c.fill is None else float(c.fill) for c in columns])
    return fills if np.isfinite(fills).any() else None


def preprocessing_json(preprocessing: Preprocessing) -> str:
    """Return the whole preprocessing as JSON text, with arrays as lists."""
    arrays = {name: array.tolist() for name, array in preprocessing.arrays().items()}
    return json.dumps({"config": preprocessing.config(), "arrays": arrays}, sort_keys=True)
