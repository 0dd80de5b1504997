"""What `MLP.fit` decides where its user does not: optimizer, epochs, outputs at the start.

The choices were measured on 18 public data sets as they come; see docs/defaults.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.losses import Loss, UserLoss
from fastmlp.network.architecture import Architecture
from fastmlp.network.samples import Data
from fastmlp.optimizers import Adam, Group, Optimizer

__all__ = [
    "DEFAULT_ITERATIONS",
    "DEFAULT_OPTIMIZER",
    "default_epochs",
    "default_optimizer",
    "mean_rate_logarithms",
    "started_at_targets",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
DEFAULT_OPTIMIZER = Adam(learning_rate=0.002)
DEFAULT_ITERATIONS = 200  # of L-BFGS
_STEPS = 1_000
_FEWEST_EPOCHS = 5
_SMALLEST_UNIT = 1e-20
# Arrays of the last layer that set the scale of the outputs.
_OF_OUTPUTS = ("weights", "biases", "scales")


def default_epochs(samples: int, batch_size: int) -> int:
    """Return the number of epochs that make 1,000 steps, at least 5."""
    return max(_FEWEST_EPOCHS, math.ceil(_STEPS / math.ceil(samples / batch_size)))


def default_optimizer(architecture: Architecture, data: Data) -> Optimizer:
    """Return Adam; steps of the last layer are in units of the deviation of values.

    Adam divides gradients by their size, so a weight moves by about the learning rate in each step.
    With targets in thousands the last layer would need as many steps.
    """
    deviations = [deviation for _, _, deviation in _moments(architecture, data)]
    unit = float(np.sqrt(np.mean(np.square(np.concatenate(deviations))))) if deviations else 1.0
    if unit == 1.0:
        return DEFAULT_OPTIMIZER
    last = f"layers.{architecture.layers - 1}."
    shapes = architecture.parameter_shapes()
    names = [last + kind for kind in _OF_OUTPUTS if last + kind in shapes]
    return Adam(
        learning_rate=DEFAULT_OPTIMIZER.learning_rate,
        # Gradients of hidden layers are in units of the square.
        epsilon=DEFAULT_OPTIMIZER.epsilon * max(min(unit, 1.0) ** 2, _SMALLEST_UNIT),
        groups={name: Group(rate=unit) for name in names},
    )


def started_at_targets(
    architecture: Architecture, parameters: dict[str, Array], data: Data
) -> dict[str, Array]:
    """Return initial parameters with which outputs begin at the mean of values, in their units.

    Weights of the last layer are multiplied by the deviations of the targets, and biases begin at
    their means; of counts, whose outputs are logarithms of rates, at the logarithm of their mean.
    """
    last = f"layers.{architecture.layers - 1}."
    weights = parameters[last + "weights"].astype(np.float64)
    biases = parameters[last + "biases"].astype(np.float64)
    for outputs, mean, deviation in _moments(architecture, data):
        weights[..., outputs] *= deviation
        biases[..., outputs] += mean
    for loss, outputs, targets in _losses(architecture, data):
        if loss.link == "exp":
            biases[..., outputs] += mean_rate_logarithms(targets, data.sample_weight)
    started = {last + "weights": weights, last + "biases": biases}
    dtype = architecture.dtype
    return parameters | {name: array.astype(dtype) for name, array in started.items()}


def mean_rate_logarithms(counts: Array, weights: Array | None) -> Floats:
    """Return the logarithm of the mean of each column of counts; 0 where all are 0."""
    mean, _ = _column_moments(counts, weights)
    logarithms: Floats = np.log(mean, where=mean > 0, out=np.zeros_like(mean))
    return logarithms


def _losses(architecture: Architecture, data: Data) -> Iterator[tuple[Loss, slice, Array]]:
    return zip(architecture.losses, architecture.groups, data.targets, strict=True)


def _moments(architecture: Architecture, data: Data) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield outputs that are values, and mean and deviation of their targets."""
    output = architecture.output_activation
    if (output if isinstance(output, str) else output.name) != "identity":
        return
    for loss, outputs, targets in _losses(architecture, data):
        is_value = loss.link == "none" and not loss.takes_classes
        if is_value and not isinstance(loss, UserLoss):
            yield outputs, *_column_moments(targets, data.sample_weight)


def _column_moments(targets: Array, weights: Array | None) -> tuple[Floats, Floats]:
    """Return weighted mean and deviation of each column; the deviation of a constant is 1."""
    values = np.asarray(targets, np.float64).reshape(len(targets), -1)
    mean = np.average(values, axis=0, weights=weights)
    with np.errstate(over="ignore"):
        variance = np.average(np.square(values - mean), axis=0, weights=weights)
    deviation = np.sqrt(variance)
    usable = np.isfinite(deviation) & (deviation > 0) & (values.min(axis=0) < values.max(axis=0))
    return mean, np.where(usable, deviation, 1.0)
