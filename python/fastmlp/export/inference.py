"""`Inference`: the description of a prediction, from which all export formats are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fastmlp.export.input_columns import InputColumns, input_columns
from fastmlp.losses import Link
from fastmlp.model import MLP
from fastmlp.network.architecture import BLOCK_LAYERS, NORMALIZATION_EPSILON

if TYPE_CHECKING:
    from fastmlp.data import Preprocessing
    from fastmlp.data.columns import Column

__all__ = [
    "DenseLayer", "Inference", "Kind", "LayerNormalization", "TrainedModel", "describe",
    "preprocessing_json",
]  # fmt: skip

Array = npt.NDArray[Any]
Kind = Literal["classes", "labels", "values", "outputs"]


@dataclass(frozen=True)
class LayerNormalization:
    """``(z - mean(z)) / sqrt(var(z) + 1e-5) * scales + shifts`` over the units of a row."""

    scales: Array  # (out,)
    shifts: Array  # (out,)


@dataclass(frozen=True)
class DenseLayer:
    """``act(((x * input_scales) @ weights - means) * factors + biases)``; None skips an array.

    At the end of a residual block the argument of ``act`` gets that of the layer two below added,
    and then it is normalized. With mixes the result is ``z + mixes * (act(z) - z)``. Of arrays that
    each member of an ensemble has for itself the members are one more dimension, the first.
    """

    weights: Array  # (in, out)
    biases: Array  # (out,)
    means: Array | None  # (out,), of batch normalization
    factors: Array | None  # (out,)
    activation: str
    parameter: float
    # The core multiplies by these two, one after the other, instead of the factors.
    inverses: Array | None = None  # (out,), of batch normalization
    scales: Array | None = None  # (out,)
    mixes: Array | None = None  # (out,)
    input_scales: Array | None = None  # (in,)
    ends_block: bool = False  # a residual block
    layer_normalization: LayerNormalization | None = None


class TrainedModel(Protocol):
    """A network with the preprocessing of its inputs, such as `fastmlp.Model`."""

    @property
    def network(self) -> MLP:
        """The network."""
        ...

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing of its inputs; None: they are passed as they are."""
        ...


@dataclass(frozen=True)
class Inference:
    """The computation of a model from input to prediction."""

    network: MLP
    dtype: np.dtype[Any]
    layer_sizes: tuple[int, ...]
    # Columns that make the inputs of a row; None: samples are arrays of the features themselves.
    columns: tuple[Column, ...] | None
    refuses_unknown: bool  # whether an unknown category makes a row one that cannot be served
    # Inputs are (x - mean) / deviation in float64; None: x.
    input_mean: Array | None  # (features,)
    input_deviation: Array | None  # (features,)
    # Then those that are quantities are mapped by these; None: they are not.
    quantities: Array | None  # (features,), bool
    input_quantiles: Array | None  # (quantities, points), float64
    normal_quantiles: Array | None
    input_scale: float
    inputs: tuple[InputColumns, ...]  # between the scaled samples and the first layer; often none
    layers: tuple[DenseLayer, ...]
    members: int
    groups: tuple[
        tuple[Link, slice], ...
    ]  # of outputs, with the function whose values are averaged
    softmax_output: bool  # whether the last layer has a softmax besides the links
    output_link: Link  # function that `Network.forward` applies to the last layer
    link: Link  # function of the loss from the last layer to predictions
    kind: Kind
    target_mean: Array | None  # (outputs,), float64: y = mean + scale * output
    target_scale: Array | None
    target_low: Array | None  # (outputs,), float64: the range to which y is limited
    target_high: Array | None
    preprocessing: Preprocessing | None

    @property
    def features(self) -> int:
        """Number of inputs of the network."""
        return self.layer_sizes[0]

    @property
    def sample_dtype(self) -> np.dtype[Any]:
        """Type of samples: float64 where the network standardizes them itself.

        It does so before it rounds them, so that large numbers keep their differences.
        """
        own = self.columns is None and self.network.standardization is not None
        return np.dtype(np.float64) if own else self.dtype

    @property
    def first_inputs(self) -> int:
        """Number of inputs of the first layer."""
        return int(self.layers[0].weights.shape[-2])

    def begins_block(self, layer: int) -> bool:
        """Whether a residual block begins at a layer."""
        return layer + BLOCK_LAYERS < len(self.layers) and (
            self.layers[layer + BLOCK_LAYERS].ends_block
        )

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return self.layer_sizes[-1]

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """Names of the classes if labels are names: of models of tables."""
        return self.class_names if self.columns is not None and self.kind == "classes" else None

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
        if self.columns is not None:
            return "x holds the inputs that the columns of a row make, standardized"
        scaled = " (bytes as numbers 0..255)" if np.isclose(self.input_scale, 1 / 255) else ""
        return f"x holds samples as they come, without any preprocessing{scaled}"


def describe(model: MLP | TrainedModel, *, folds: bool = False) -> Inference:
    """Describe the computation of a model's predictions.

    Parameters
    ----------
    model : MLP or object with the attributes network and preprocessing
        Model to describe.
    folds : bool
        Whether to fold batch normalization into weights and biases. Folding saves arithmetic and
        adds rounding errors: up to 2e-6 in float32 probabilities if inputs are badly scaled.

    Raises
    ------
    TypeError
        `model` is not a `fastmlp.MLP`.
    ValueError
        A parameter is NaN or infinite, or the preprocessing is not one for the network.
    """
    network = model if isinstance(model, MLP) else getattr(model, "network", None)
    if not isinstance(network, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    for name, array in network.parameters().items():
        if not np.isfinite(array).all():
            raise ValueError(f"model must have finite parameters, {name} holds NaN or infinity")
    architecture, preprocessing = network.architecture, model.preprocessing
    kind = _kind(network, preprocessing)
    if preprocessing is not None:
        _require_fitting(network, preprocessing, kind)
    targets = preprocessing if kind == "values" else None
    mean, deviation = _input_moments(network, preprocessing)
    normalizes = any(architecture.batch_normalization)
    return Inference(
        network=network,
        dtype=network.dtype,
        layer_sizes=architecture.layer_sizes,
        columns=None if preprocessing is None else preprocessing.columns,
        refuses_unknown=preprocessing is not None and preprocessing.unknown_categories == "error",
        input_mean=mean,
        input_deviation=deviation,
        quantities=None if preprocessing is None else preprocessing.quantities,
        input_quantiles=None if preprocessing is None else preprocessing.input_quantiles,
        normal_quantiles=None if preprocessing is None else preprocessing.normal_quantiles,
        input_scale=architecture.input_scale,
        inputs=input_columns(architecture, network.parameters()),
        layers=_layers(network.folded() if folds and normalizes else network),
        members=architecture.members,
        groups=tuple(
            (loss.link, group)
            for loss, group in zip(architecture.losses, architecture.groups, strict=True)
        ),
        softmax_output=architecture.spec()["softmax_output"],
        output_link=architecture.link,
        link=architecture.losses[0].link if len(architecture.losses) == 1 else "none",
        kind=kind,
        target_mean=None if targets is None else targets.target_mean,
        target_scale=None if targets is None else targets.target_scale,
        target_low=None if targets is None else targets.target_low,
        target_high=None if targets is None else targets.target_high,
        preprocessing=preprocessing,
    )


def _input_moments(
    network: MLP, preprocessing: Preprocessing | None
) -> tuple[Array | None, Array | None]:
    """Return mean and deviation of preprocessing and network together."""
    own = network.standardization
    if preprocessing is None:
        return (None, None) if own is None else (own.mean, own.deviation)
    if own is None:
        return preprocessing.input_mean, preprocessing.input_scale
    if preprocessing.input_quantiles is not None:
        raise ValueError(
            "model must not standardize inputs itself after a preprocessing with quantiles; train "
            "it with input_scale=1"
        )
    if preprocessing.input_mean is None or preprocessing.input_scale is None:
        return own.mean, own.deviation
    mean = preprocessing.input_mean + preprocessing.input_scale * own.mean
    return mean, preprocessing.input_scale * own.deviation


def _require_fitting(network: MLP, preprocessing: Preprocessing, kind: Kind) -> None:
    sizes = network.layer_sizes
    if preprocessing.features != sizes[0]:
        raise ValueError(
            f"model.preprocessing must make the {sizes[0]} inputs of the network, "
            f"got {preprocessing.features}"
        )
    if kind == "classes" and preprocessing.outputs != sizes[-1]:
        raise ValueError(
            f"model.preprocessing must name the {sizes[-1]} outputs of the network, "
            f"got {preprocessing.outputs}"
        )


def _layers(model: MLP) -> tuple[DenseLayer, ...]:
    parameters = model.parameters()
    layers = []
    for index, layer in enumerate(model.architecture.spec()["layers"]):
        own = {
            name.split(".")[2]: array
            for name, array in parameters.items()
            if name.startswith(f"layers.{index}.")
        }
        normalization = None
        if layer["layer_norm"]:
            normalization = LayerNormalization(own.pop("scales"), own.pop("shifts"))
        scales = own.get("scales")
        factors, inverses = scales, None
        if layer["batch_norm"]:
            exact = scales / np.sqrt(own["variances"].astype(np.float64) + NORMALIZATION_EPSILON)
            factors = exact.astype(model.dtype)
            inverses = 1 / np.sqrt(own["variances"] + model.dtype.type(NORMALIZATION_EPSILON))
        layers.append(
            DenseLayer(
                weights=own["weights"],
                biases=own["biases"],
                means=own.get("means"),
                factors=factors,
                activation=layer["activation"],
                parameter=layer["parameter"],
                inverses=inverses,
                scales=scales,
                mixes=own.get("mixes"),
                input_scales=own.get("input_scales"),
                ends_block=layer["residual"],
                layer_normalization=normalization,
            )
        )
    return tuple(layers)


def _kind(network: MLP, preprocessing: Preprocessing | None) -> Kind:
    losses = network.architecture.losses
    task = None if preprocessing is None else preprocessing.task
    if len(losses) > 1 or (losses[0].name == "user_defined" and task != "regression"):
        return "outputs"
    if losses[0].takes_classes:
        return "classes"
    return "labels" if losses[0].link == "sigmoid" else "values"


def preprocessing_json(preprocessing: Preprocessing) -> str:
    """Return the whole preprocessing as JSON text, with arrays as lists."""
    arrays = {name: array.tolist() for name, array in preprocessing.arrays().items()}
    return json.dumps({"config": preprocessing.config(), "arrays": arrays}, sort_keys=True)
