"""Arguments and parameters of networks that are made of other networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.architecture import BATCH_NORM_EPSILON
from fastmlp.losses import Loss
from fastmlp.network import Network

__all__ = ["folded_parameters", "head_arguments", "hidden_parameters"]


def head_arguments(network: Network, loss: str | Loss | None, seed: int | None) -> dict[str, Any]:
    """Arguments of `fastmlp.MLP` for the same hidden layers under another last layer."""
    arguments = network.architecture.arguments()
    if loss is not None:
        arguments |= {"loss": loss, "output_activation": "identity"}
    return arguments if seed is None else arguments | {"seed": seed}


def hidden_parameters(network: Network) -> dict[str, npt.NDArray[Any]]:
    """Those of all layers but the last."""
    head = f"layers.{network.architecture.layers - 1}."
    return {k: v for k, v in network.parameters().items() if not k.startswith(head)}


def folded_parameters(network: Network) -> dict[str, npt.NDArray[Any]]:
    """Weights and biases that batch normalisation has become part of, computed in float64."""
    old = network.parameters()
    parameters = {k: v for k, v in old.items() if k.endswith((".weights", ".biases"))}
    for layer, normalises in enumerate(network.architecture.batch_normalization):
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
    return parameters
