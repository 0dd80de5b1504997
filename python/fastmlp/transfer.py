"""Models made from other models."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.adaptable import AdaptableNetwork
from fastmlp.architecture import BATCH_NORM_EPSILON
from fastmlp.losses import Loss
from fastmlp.model import MLP
from fastmlp.validation import integer

__all__ = ["folded", "rebuilt", "with_new_head"]


def with_new_head(
    model: AdaptableNetwork, outputs: int, loss: str | Loss | None, seed: int | None
) -> MLP:
    """The hidden layers of a model under a new last layer."""
    outputs = integer("outputs", outputs, 1)
    arguments = model.architecture.arguments()
    sizes = [*model.layer_sizes[:-1], outputs]
    changes: dict[str, Any] = (
        {} if loss is None else {"loss": loss, "output_activation": "identity"}
    )
    if seed is not None:
        changes["seed"] = seed
    new = MLP(sizes, **(arguments | changes))
    head = f"layers.{len(sizes) - 2}."
    kept = {k: v for k, v in model.parameters().items() if not k.startswith(head)}
    new.set_parameters({**new.parameters(), **kept})
    _refuse_resume(new, model, "replace_head")
    return new


def folded(model: AdaptableNetwork) -> MLP:
    """Batch normalisation as part of weights and biases, computed in float64."""
    arguments = model.architecture.arguments() | {"batch_normalization": False}
    new = MLP(model.layer_sizes, **arguments)
    old = model.parameters()
    parameters = {name: old[name] for name in new.parameters()}
    for layer, normalises in enumerate(model.architecture.batch_normalization):
        if not normalises:
            continue
        name = f"layers.{layer}."
        weights, biases, scales, means, variances = (
            old[name + kind].astype(np.float64)
            for kind in ("weights", "biases", "scales", "means", "variances")
        )
        factors = scales / np.sqrt(variances + BATCH_NORM_EPSILON)
        parameters[name + "weights"] = weights * factors
        parameters[name + "biases"] = biases - means * factors
    new.set_parameters(parameters)
    if isinstance(model, MLP):
        new.history, new.preprocessing = deepcopy(model.history), model.preprocessing
    _refuse_resume(new, model, "folded")
    return new


def _refuse_resume(new: MLP, model: AdaptableNetwork, maker: str) -> None:
    """The state of an optimizer does not fit another network."""
    if isinstance(model, MLP) and model.was_trained:
        new.refuse_resume(f"{maker}() made this of a model with other parameters")


def rebuilt(
    layer_sizes: list[int],
    arguments: dict[str, Any],
    parameters: dict[str, npt.NDArray[Any]],
    trainable: list[bool],
    state: dict[str, npt.NDArray[Any]],
    extras: dict[str, Any],
) -> MLP:
    """A model with the parameters and the state of another."""
    model = MLP(layer_sizes, **arguments)
    model.set_parameters(parameters)
    model.freeze([layer for layer, value in enumerate(trainable) if not value])
    model.history, model.preprocessing = extras["history"], extras["preprocessing"]
    if state:
        model.restore_training_state(state)
    elif extras.get("refusal") is not None:
        model.refuse_resume(extras["refusal"])
    return model
