"""Every number that one sample causes in a network, on the way forward and on the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.losses import Loss
from fastmlp.model import MLP
from fastmlp.network import Network

__all__ = ["Backpropagation", "backpropagate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Backpropagation:
    """Values of one sample and the derivatives of its loss by them, all float64.

    Attributes
    ----------
    loss : float
    values, gradients : list of arrays
        Of the inputs, (features,), and of the outputs of each layer, (units,). Where the loss reads
        logits or logarithms, those of the last layer are these.
    weights, weight_gradients : list of arrays of shape (in, out)
    biases, bias_gradients : list of arrays of shape (units,)
        The derivative by a bias is also that by the unit's weighted input.
    prediction : array of shape (outputs,)
        What the loss makes of the outputs: probabilities, rates, or the outputs themselves.
    """

    loss: float
    values: list[Floats]
    gradients: list[Floats]
    weights: list[Floats]
    weight_gradients: list[Floats]
    biases: list[Floats]
    bias_gradients: list[Floats]
    prediction: Floats


def backpropagate(model: Network, x: ArrayLike, y: Any) -> Backpropagation:
    """Forward and backward through a network with one sample, in float64, without dropout.

    Parameters
    ----------
    model : MLP
        Without batch normalisation.
    x : array of shape (features,) or (1, features)
    y : int or array of shape (outputs,), with a first axis of 1 or without; or a list of these
        By the loss, as `fit` takes it.

    Raises
    ------
    TypeError, ValueError
        No model, several samples, or a sample that does not fit it.
    """
    if not isinstance(model, Network):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    if any(model.architecture.batch_normalization):
        raise ValueError("model must be without batch normalisation; model.folded() makes one")
    exact = _in_float64(model)
    row, target = _one_row(x), _one_target(model, y)
    loss, weight_gradients, bias_gradients = exact.loss_and_gradients(row, target, threads=1)
    weights = list(exact.weights)
    outputs = exact.outputs_of(row, "none", 1)
    values = [row, *exact.hidden_activations(row, threads=1), outputs]
    gradients = [exact.input_gradients(row, target, threads=1)]
    for layer in range(1, len(weights)):  # by the outputs of layer: through all they feed
        gradients.append((weights[layer] @ bias_gradients[layer])[None])
    gradients.append(_loss_alone(exact).input_gradients(outputs, target, threads=1))
    link = exact.architecture.losses[0].link if len(exact.architecture.losses) == 1 else "none"
    return Backpropagation(
        loss=float(loss),
        values=[value[0] for value in values],
        gradients=[gradient[0] for gradient in gradients],
        weights=weights,
        weight_gradients=weight_gradients,
        biases=list(exact.biases),
        bias_gradients=bias_gradients,
        prediction=exact.outputs_of(row, link, 1)[0],
    )


def _in_float64(model: Network) -> MLP:
    exact = MLP(model.layer_sizes, **(model.architecture.arguments() | {"dtype": "float64"}))
    exact.set_parameters(model.parameters())
    return exact


def _loss_alone(model: MLP) -> MLP:
    """A network that hands its inputs to the loss of `model`."""
    outputs = model.layer_sizes[-1]
    loss = model.architecture.arguments()["loss"]
    alone = MLP([outputs, outputs], loss=loss, dtype="float64")
    alone.weights = [np.eye(outputs)]
    return alone


def _one_row(x: ArrayLike) -> Floats:
    row = np.atleast_2d(np.asarray(x, np.float64))
    if row.ndim != 2 or len(row) != 1:
        raise ValueError(f"x must be one sample, (features,) or (1, features), got {row.shape}")
    return row


def _one_target(model: Network, y: Any) -> Any:
    losses = model.architecture.losses
    if len(losses) == 1:
        return _target_of(losses[0], y)
    if not isinstance(y, (list, tuple)) or len(y) != len(losses):
        raise TypeError(f"y must be a list of {len(losses)} targets, one per loss")
    return [_target_of(loss, item) for loss, item in zip(losses, y, strict=True)]


def _target_of(loss: Loss, y: Any) -> NDArray[Any]:
    target = np.asarray(y)
    if target.ndim == 0:
        return target.reshape(1) if loss.takes_classes else target.reshape(1, 1)
    if target.ndim == 1 and not (loss.takes_classes and len(target) == 1):
        return target.reshape(1, -1)
    return target
