"""Networks as pictures of their insides need them: plain layers, in float64."""

from __future__ import annotations

from fastmlp.model import MLP
from fastmlp.network import Network

__all__ = ["in_float64", "require_network", "require_plain"]


def require_network(model: object) -> Network:
    """Return a model.

    Raises
    ------
    TypeError
        It is something else.
    """
    if not isinstance(model, Network):
        raise TypeError(f"model must be a fastmlp.MLP, got {type(model).__name__}")
    return model


def require_plain(model: object) -> Network:
    """Return a model that has layers of weights, biases and activations alone.

    Raises
    ------
    TypeError, ValueError
        It is no model, or has parameters of another kind.
    """
    network = require_network(model)
    architecture = network.architecture
    if any(architecture.batch_normalization):
        raise ValueError("model must have no batch normalization; pass model.folded() instead")
    if architecture.finishes_rows:
        raise ValueError(
            "model must have neither layer_normalization nor residual blocks, which are no part of "
            "the picture"
        )
    if architecture.has_input_stage:
        raise ValueError(
            "model must have neither inputs nor input_scaling nor members, whose parameters are no "
            "part of the picture"
        )
    return network


def in_float64(model: Network) -> MLP:
    """Return a copy of a model that computes in float64."""
    exact = MLP(model.layer_sizes, **(model.architecture.arguments() | {"dtype": "float64"}))
    exact.set_parameters(model.parameters())
    exact._standardization = model.standardization
    return exact
