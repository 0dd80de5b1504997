"""`Architecture`: the checked description of a network, for the core and for files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp._named import as_config, from_config, named
from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.initializers import INITIALIZERS, Initializer
from fastmlp.losses import (
    Link,
    Loss,
    checked_losses,
    losses_as_config,
    losses_from_config,
)
from fastmlp.validation import (
    choice,
    flag,
    integer,
    layer_sizes,
    real,
    require_fields_held,
    require_held,
    shown,
)

__all__ = ["Architecture", "architecture_from_config", "checked_architecture"]

BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Architecture:
    """Checked arguments of `fastmlp.MLP`."""

    layer_sizes: tuple[int, ...]
    activations: tuple[Activation, ...]  # of the hidden layers
    losses: tuple[Loss, ...]
    input_scale: float
    dtype: np.dtype[Any]
    seed: int
    initializer: Initializer
    output_activation: str | Activation  # "softmax" or an activation
    dropout: tuple[float, ...]
    input_dropout: float
    input_noise: float
    batch_normalization: tuple[bool, ...]

    @property
    def layers(self) -> int:
        """Number of layers with weights."""
        return len(self.layer_sizes) - 1

    @property
    def groups(self) -> list[slice]:
        """Range of outputs of each loss."""
        if len(self.losses) == 1:
            return [slice(0, self.layer_sizes[-1])]
        ends = np.cumsum([loss.outputs or 0 for loss in self.losses])
        return [
            slice(int(end) - (loss.outputs or 0), int(end))
            for end, loss in zip(ends, self.losses, strict=True)
        ]

    @property
    def link(self) -> Link:
        """Function of the output layer that the loss computes in training."""
        fused = self.losses[0].fused_activation if len(self.losses) == 1 else None
        return self.losses[0].link if self._output_name == fused else "none"

    @property
    def _output_name(self) -> str:
        output = self.output_activation
        return output if isinstance(output, str) else output.name

    def spec(self) -> dict[str, Any]:
        """Return the description that the core takes."""
        fused = self.link != "none"
        softmax = self._output_name == "softmax"
        output = Activation("identity") if fused or softmax else self.output_activation
        assert isinstance(output, Activation)
        hidden = zip(self.activations, self.batch_normalization, self.dropout, strict=True)
        layers = [_layer(*arguments) for arguments in hidden]
        return {
            "layer_sizes": list(self.layer_sizes),
            "layers": [*layers, _layer(output, False, 0.0)],
            "losses": [
                loss.spec(group.stop - group.start)
                for loss, group in zip(self.losses, self.groups, strict=True)
            ],
            "softmax_output": softmax and not fused,
            "input_scale": self.input_scale,
            "input_dropout": self.input_dropout,
            "input_noise": self.input_noise,
            "batch_norm_momentum": BATCH_NORM_MOMENTUM,
            "batch_norm_epsilon": BATCH_NORM_EPSILON,
        }

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `fastmlp.MLP`, without the layer sizes."""
        return {
            "activation": list(self.activations) or "relu",
            "loss": self.losses[0] if len(self.losses) == 1 else list(self.losses),
            "input_scale": self.input_scale,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "initializer": self.initializer,
            "output_activation": self.output_activation,
            "dropout": list(self.dropout),
            "input_dropout": self.input_dropout,
            "input_noise": self.input_noise,
            "batch_normalization": list(self.batch_normalization),
        }

    def config(self) -> dict[str, Any]:
        """Return the form in files, which `architecture_from_config` reads."""
        output = self.output_activation
        config: dict[str, Any] = {
            "layer_sizes": list(self.layer_sizes),
            "activation": _shared([as_config(a) for a in self.activations], "relu"),
            "loss": losses_as_config(self.losses),
            "input_scale": self.input_scale,
            "dtype": self.dtype.name,
            "seed": self.seed,
            "initializer": as_config(self.initializer),
            "output_activation": output if isinstance(output, str) else as_config(output),
        }
        extras = {
            "dropout": _shared(list(self.dropout), 0.0),
            "input_dropout": self.input_dropout,
            "input_noise": self.input_noise,
            "batch_normalization": _shared(list(self.batch_normalization), False),
        }
        return config | {key: value for key, value in extras.items() if value}


def _layer(activation: Activation, batch_norm: bool, dropout: float) -> dict[str, Any]:
    return {
        "activation": activation.name,
        "parameter": activation.parameter,
        "batch_norm": batch_norm,
        "dropout": dropout,
    }


def _shared(values: list[Any], default: Any) -> Any:
    """Return the common value if all are equal, else all values."""
    if not values:
        return default
    return values[0] if all(value == values[0] for value in values) else values


def _per_hidden_layer(name: str, value: object, layers: int) -> list[Any]:
    """Return the items of a sequence, or `value` once per hidden layer."""
    if isinstance(value, (list, tuple)):
        if len(value) != layers:
            raise ValueError(
                f"{name} must have one entry per hidden layer: {layers} needed, got {len(value)}"
            )
        return list(value)
    return [value] * layers


def _checked_rates(name: str, value: object, layers: int) -> tuple[float, ...]:
    rates = _per_hidden_layer(name, value, layers)
    return tuple(real(name, rate, 0.0, 1.0, below=True) for rate in rates)


def _checked_output(value: object, losses: tuple[Loss, ...]) -> str | Activation:
    name = value.name if isinstance(value, Activation) else value
    loss = losses[0]
    if len(losses) > 1 and name != "identity" and any(each.link != "none" for each in losses):
        raise ValueError(
            "output_activation must be 'identity' where one of several losses reads logits or "
            f"logarithms, got {name!r}"
        )
    allowed = ("identity", loss.fused_activation)
    if loss.fused_activation and len(losses) == 1 and name not in allowed:
        raise ValueError(
            f"output_activation must be 'identity' with {loss.name}, which reads the outputs as "
            f"logits, or {allowed[1]!r} to have them turned into probabilities, got {name!r}"
        )
    if value == "softmax":
        if len(losses) > 1:
            raise ValueError("output_activation must not be 'softmax' with several losses")
        return "softmax"
    if isinstance(value, str):
        value = choice("output_activation", value, [*ACTIVATIONS, "softmax"])
    return named("output_activation", value, Activation, ACTIVATIONS)


def _dtype_name(dtype: object) -> str:
    try:
        return np.dtype(dtype).name  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        raise TypeError(f"dtype must be 'float32' or 'float64', got {shown(dtype)}") from None


def default_initializer(activations: Sequence[Activation]) -> str:
    """Return that of the first hidden activation, of ReLU where there is no hidden layer."""
    return (activations[0] if activations else Activation("relu")).form.initializer


def checked_architecture(
    sizes: Sequence[int],
    *,
    activation: object = "relu",
    loss: object = "softmax_cross_entropy",
    input_scale: float = 1.0,
    dtype: object = "float32",
    seed: int = 0,
    initializer: object = None,
    output_activation: object = "identity",
    dropout: object = 0.0,
    input_dropout: float = 0.0,
    input_noise: float = 0.0,
    batch_normalization: object = False,
) -> Architecture:
    """Check the arguments of `fastmlp.MLP`.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or out of range.
    """
    checked_sizes = layer_sizes(sizes)
    hidden = len(checked_sizes) - 2
    if isinstance(activation, (str, Activation)):
        shared = named("activation", activation, Activation, ACTIVATIONS)
        activations = [shared] * hidden
        initial = default_initializer([shared])
    else:
        activations = [
            named("activation", item, Activation, ACTIVATIONS)
            for item in _per_hidden_layer("activation", activation, hidden)
        ]
        initial = default_initializer(activations)
    losses = checked_losses(loss, checked_sizes[-1])
    normalized = _per_hidden_layer("batch_normalization", batch_normalization, hidden)
    dtype_name = dtype if isinstance(dtype, str) else _dtype_name(dtype)
    architecture = Architecture(
        layer_sizes=tuple(checked_sizes),
        activations=tuple(activations),
        losses=losses,
        input_scale=real("input_scale", input_scale, -np.inf),
        dtype=np.dtype(choice("dtype", dtype_name, ("float32", "float64"))),
        seed=integer("seed", seed, 0, 2**64 - 1),
        initializer=named(
            "initializer",
            initial if initializer is None else initializer,
            Initializer,
            INITIALIZERS,
        ),
        output_activation=_checked_output(output_activation, losses),
        dropout=_checked_rates("dropout", dropout, hidden),
        input_dropout=real("input_dropout", input_dropout, 0.0, 1.0, below=True),
        input_noise=real("input_noise", input_noise, 0.0),
        batch_normalization=tuple(flag("batch_normalization", item) for item in normalized),
    )
    _require_numbers_held(architecture)
    return architecture


def _require_numbers_held(architecture: Architecture) -> None:
    """Require that the dtype can represent all numbers that the core takes."""
    dtype = architecture.dtype
    if architecture.input_scale == 0:
        raise ValueError("input_scale must not be 0, which makes all inputs 0")
    require_held("input_scale", architecture.input_scale, dtype)
    require_held("input_noise", architecture.input_noise, dtype)
    require_held("input_dropout", architecture.input_dropout, dtype, below_one=True)
    for rate in architecture.dropout:
        require_held("dropout", rate, dtype, below_one=True)
    output = architecture.output_activation
    activations = (*architecture.activations, *([] if isinstance(output, str) else [output]))
    for choice_made in {id(item): item for item in (*activations, *architecture.losses)}.values():
        require_fields_held(choice_made, dtype, below_one=("smoothing", "levels"))
    require_fields_held(architecture.initializer, dtype)


def architecture_from_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of `fastmlp.MLP` from the form in files.

    Raises
    ------
    TypeError, ValueError
        `config` does not describe a network.
    """
    arguments = dict(config)

    def convert(key: str, known: Any) -> None:
        value = arguments.get(key)
        if isinstance(value, list):
            arguments[key] = [from_config(key, item, known) for item in value]
        elif value is not None and value != "softmax":
            arguments[key] = from_config(key, value, known)

    convert("activation", ACTIVATIONS)
    convert("output_activation", ACTIVATIONS)
    convert("initializer", INITIALIZERS)
    if "loss" in arguments:
        arguments["loss"] = losses_from_config(arguments["loss"])
    return arguments
