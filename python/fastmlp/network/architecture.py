"""`Architecture`: the checked description of a network, for the core and for files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp._named import as_config, from_config, named
from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.initializers import INITIALIZERS, Initializer
from fastmlp.inputs import (
    InputGroup,
    Numbers,
    checked_inputs,
    inputs_as_config,
    inputs_from_config,
)
from fastmlp.losses import (
    Link,
    Loss,
    UserLoss,
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

__all__ = ["Architecture", "architecture_from_config", "checked_architecture", "dtype_name"]

# Kinds of parameters; the last two are running moments.
KINDS = (
    "weights", "biases", "scales", "shifts", "mixes", "input_scales", "frequencies", "phases",
    "maps", "map_biases", "tables", "means", "variances",
)  # fmt: skip
TRAINED_KINDS = KINDS[:-2]
INPUT_KINDS = ("frequencies", "phases", "maps", "map_biases", "tables")  # of groups of inputs
# How the members of an ensemble share a network.
SHARINGS = ("tabm", "tabm-mini", "packed")
_MOST_MEMBERS = 2**16
BLOCK_LAYERS = 2  # a residual block ends two layers above the one where it begins
BATCH_NORM_MOMENTUM = 0.9
NORMALIZATION_EPSILON = 1e-5


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
    inputs: tuple[InputGroup, ...] = ()
    input_scaling: bool = False
    parametric: tuple[bool, ...] = ()
    members: int = 1
    sharing: str = "tabm"
    own_batches: bool = False
    layer_normalization: tuple[bool, ...] = ()
    residual: tuple[bool, ...] = ()
    compute_dtype: str = ""  # of the products of a training step; empty: that of the parameters

    @property
    def finishes_rows(self) -> bool:
        """Whether a layer has layer normalization or is part of a residual block."""
        return any(self.layer_normalization) or any(self.residual)

    @property
    def layers(self) -> int:
        """Number of layers with weights."""
        return len(self.layer_sizes) - 1

    @property
    def first_inputs(self) -> int:
        """Number of inputs of the first layer."""
        return sum(group.width for group in self.inputs) or self.layer_sizes[0]

    @property
    def has_input_stage(self) -> bool:
        """Whether the first layer reads something else than the samples."""
        return bool(self.inputs) or self.input_scaling or self.members > 1

    @property
    def trains_inputs(self) -> bool:
        """Whether there are parameters between the samples and the first layer."""
        scaled = self._layer_specs()[0]["input_scales"]
        return scaled or any(group.parameter_shapes() for group in self.inputs)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of all parameters, kind by kind."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, spec in enumerate(self._layer_specs()):
            inputs = self.first_inputs if layer == 0 else self.layer_sizes[layer]
            outputs = self.layer_sizes[layer + 1]
            own = (self.members,) if self.members > 1 else ()
            of_outputs = (*(own if spec["own_vectors"] else ()), outputs)
            name = f"layers.{layer}."
            shapes[name + "weights"] = (*(own if spec["own_weights"] else ()), inputs, outputs)
            shapes[name + "biases"] = of_outputs
            if spec["batch_norm"] or spec["output_scales"] or spec["layer_norm"]:
                shapes[name + "scales"] = of_outputs
            if spec["layer_norm"]:
                shapes[name + "shifts"] = of_outputs
            if spec["mixes"]:
                shapes[name + "mixes"] = of_outputs
            if spec["input_scales"]:
                shapes[name + "input_scales"] = (*own, inputs)
            if spec["batch_norm"]:
                shapes |= {name + "means": of_outputs, name + "variances": of_outputs}
        for number, group in enumerate(self.inputs):
            for kind, shape in group.parameter_shapes().items():
                shapes[f"inputs.{number}.{kind}"] = (group.columns, *shape)
        return dict(sorted(shapes.items(), key=lambda item: KINDS.index(item[0].split(".")[2])))

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
        return {
            "layer_sizes": list(self.layer_sizes),
            "layers": self._layer_specs(),
            "inputs": [group.spec() for group in self.inputs],
            "members": self.members,
            "own_batches": self.own_batches,
            "bfloat16": self.compute_dtype == "bfloat16",
            "losses": [
                loss.spec(group.stop - group.start)
                for loss, group in zip(self.losses, self.groups, strict=True)
            ],
            "softmax_output": softmax and not fused,
            "input_scale": self.input_scale,
            "input_dropout": self.input_dropout,
            "input_noise": self.input_noise,
            "batch_norm_momentum": BATCH_NORM_MOMENTUM,
            "normalization_epsilon": NORMALIZATION_EPSILON,
        }

    def _layer_specs(self) -> list[dict[str, Any]]:
        fused = self.link != "none" or self._output_name == "softmax"
        output = Activation("identity") if fused else self.output_activation
        assert isinstance(output, Activation)
        last = self.layers - 1
        none = (False,) * last
        hidden = (
            self.batch_normalization, self.dropout, self.parametric or none,
            self.layer_normalization or none, self.residual or none,
        )  # fmt: skip
        specs = [
            {
                "activation": activation.name,
                "parameter": activation.parameter,
                "batch_norm": batch_norm,
                "dropout": dropout,
                "mixes": mixes,
                "layer_norm": layer_norm,
                "residual": residual,
            }
            for activation, batch_norm, dropout, mixes, layer_norm, residual in zip(
                (*self.activations, output),
                *(
                    (*values, default)
                    for values, default in zip(
                        hidden, (False, 0.0, False, False, False), strict=True
                    )
                ),
                strict=True,
            )
        ]
        return [spec | self._shares(layer, layer == last) for layer, spec in enumerate(specs)]

    def _shares(self, layer: int, is_last: bool) -> dict[str, bool]:
        """Return what the members of a layer share, and whether inputs are scaled."""
        several = self.members > 1
        batch = several and self.sharing == "tabm" and not is_last
        first = several and self.sharing == "tabm-mini" and layer == 0 and not is_last
        own = several and (self.sharing == "packed" or is_last)
        return {
            "input_scales": batch or first or (self.input_scaling and layer == 0),
            "output_scales": batch,
            "own_weights": own,
            "own_vectors": own or batch,
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
            "inputs": list(self.inputs) or None,
            "input_scaling": self.input_scaling,
            "parametric": list(self.parametric),
            "members": self.members,
            "sharing": self.sharing,
            "own_batches": self.own_batches,
            "layer_normalization": list(self.layer_normalization),
            "residual": list(self.residual),
            "compute_dtype": self.compute_dtype or None,
        }

    def with_input_scale(self, scale: float) -> Architecture:
        """Return the same architecture with another factor of its inputs.

        Raises
        ------
        ValueError
            The factor does not fit the inputs or the dtype.
        """
        scaled = dataclasses.replace(self, input_scale=scale)
        _require_fitting_inputs(scaled)
        _require_numbers_held(scaled)
        return scaled

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
            "inputs": inputs_as_config(self.inputs),
            "input_scaling": self.input_scaling,
            "parametric": _shared(list(self.parametric), False),
            "layer_normalization": _shared(list(self.layer_normalization), False),
            "residual": _shared(list(self.residual), False),
            "compute_dtype": self.compute_dtype,
        }
        if self.members > 1:
            extras |= {
                "members": self.members,
                "sharing": self.sharing,
                "own_batches": self.own_batches,
            }
        return config | {key: value for key, value in extras.items() if value}


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


def _checked_flags(name: str, value: object, layers: int) -> tuple[bool, ...]:
    return tuple(flag(name, item) for item in _per_hidden_layer(name, value, layers))


def _checked_residual(value: object, sizes: Sequence[int]) -> tuple[bool, ...]:
    """Return whether a residual block ends at each hidden layer."""
    hidden = sizes[1:-1]
    if isinstance(value, (list, tuple)):
        ends = _checked_flags("residual", value, len(hidden))
    else:
        every = flag("residual", value)
        ends = tuple(every and i > 0 and i % BLOCK_LAYERS == 0 for i in range(len(hidden)))
        if every and not any(ends):
            raise ValueError(
                f"residual needs 3 or more hidden layers, where a block can begin and end, got "
                f"{len(hidden)}"
            )
    for i, is_end in enumerate(ends):
        if is_end and i < BLOCK_LAYERS:
            raise ValueError(
                f"residual[{i}] must be False: a block that ends at a hidden layer begins two "
                "hidden layers below"
            )
        if is_end and hidden[i] != hidden[i - BLOCK_LAYERS]:
            raise ValueError(
                f"residual needs hidden layers {i - BLOCK_LAYERS} and {i}, where a block begins "
                f"and ends, to have as many units, got {hidden[i - BLOCK_LAYERS]} and {hidden[i]}"
            )
    return ends


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


def dtype_name(dtype: object, name: str = "dtype") -> str:
    """Return the name of a type, given as a name or as anything that NumPy takes for a type."""
    if isinstance(dtype, str):
        return dtype
    try:
        return np.dtype(dtype).name  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        known = "'bfloat16'" if name == "compute_dtype" else "'float32' or 'float64'"
        raise TypeError(f"{name} must be {known}, got {shown(dtype)}") from None


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
    inputs: object = None,
    input_scaling: object = False,
    parametric: object = False,
    members: int = 1,
    sharing: object = "tabm",
    own_batches: object = False,
    layer_normalization: object = False,
    residual: object = False,
    compute_dtype: object = None,
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
    architecture = Architecture(
        layer_sizes=tuple(checked_sizes),
        activations=tuple(activations),
        losses=losses,
        input_scale=real("input_scale", input_scale, -np.inf),
        dtype=np.dtype(choice("dtype", dtype_name(dtype), ("float32", "float64"))),
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
        batch_normalization=_checked_flags("batch_normalization", batch_normalization, hidden),
        inputs=checked_inputs(inputs, checked_sizes[0]),
        input_scaling=flag("input_scaling", input_scaling),
        parametric=_checked_flags("parametric", parametric, hidden),
        members=integer("members", members, 1, _MOST_MEMBERS),
        sharing=choice("sharing", sharing, SHARINGS),
        own_batches=flag("own_batches", own_batches),
        layer_normalization=_checked_flags("layer_normalization", layer_normalization, hidden),
        residual=_checked_residual(residual, checked_sizes),
        compute_dtype=_checked_compute_dtype(compute_dtype, dtype_name(dtype), members),
    )
    _require_fitting_inputs(architecture)
    _require_fitting_rows(architecture)
    _require_numbers_held(architecture)
    return architecture


def _checked_compute_dtype(value: object, dtype: str, members: int) -> str:
    """Return "bfloat16", or "" for products in the dtype of the parameters."""
    if value is None:
        return ""
    name = choice(
        "compute_dtype", dtype_name(value, "compute_dtype"), ("float32", "float64", "bfloat16")
    )
    if name == dtype:
        return ""
    if name != "bfloat16":
        raise ValueError(
            f"compute_dtype must be {dtype!r}, the dtype of the parameters, or 'bfloat16', got "
            f"{name!r}; give dtype={name!r} instead"
        )
    if dtype != "float32":
        raise ValueError(
            "compute_dtype='bfloat16' needs dtype='float32', got dtype='float64'; leave out one of "
            "the two"
        )
    if members > 1:
        raise ValueError(
            f"compute_dtype='bfloat16' needs a network without members, got members={members}; "
            "leave out one of the two"
        )
    return name


def _require_fitting_inputs(architecture: Architecture) -> None:
    disturbs = architecture.input_dropout > 0 or architecture.input_noise > 0
    if disturbs and architecture.has_input_stage:
        raise ValueError(
            "input_dropout and input_noise need a network without inputs, input_scaling and members"
        )
    codes = [group for group in architecture.inputs if not isinstance(group, Numbers)]
    if codes and architecture.input_scale != 1:
        raise ValueError(
            "input_scale must be 1 where inputs have codes, OneHot or Category, which it would "
            f"change, got {architecture.input_scale!r}: scale the numbers beforehand"
        )
    if architecture.members > 1 and isinstance(architecture.losses[0], UserLoss):
        raise ValueError("members need a loss of fastmlp, got a user-defined one")


def _require_fitting_rows(architecture: Architecture) -> None:
    """Require that layer normalization and residual blocks fit the rest of the network."""
    if not architecture.finishes_rows:
        return
    names = " and ".join(
        name for name in ("layer_normalization", "residual") if any(getattr(architecture, name))
    )
    if architecture.members > 1:
        raise ValueError(f"{names} must be left out with members, got {architecture.members}")
    if any(architecture.batch_normalization):
        raise ValueError(f"{names} must be left out with batch_normalization")
    for layer, normalizes in enumerate(architecture.layer_normalization):
        units = architecture.layer_sizes[layer + 1]
        if normalizes and units < 2:
            raise ValueError(
                f"layer_normalization needs 2 or more units, which it compares, got {units} in "
                f"hidden layer {layer}"
            )


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
    for group in architecture.inputs:
        group.require_held(dtype)


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

    if "inputs" in arguments:
        arguments["inputs"] = inputs_from_config(arguments["inputs"])
    convert("activation", ACTIVATIONS)
    convert("output_activation", ACTIVATIONS)
    convert("initializer", INITIALIZERS)
    if "loss" in arguments:
        arguments["loss"] = losses_from_config(arguments["loss"])
    return arguments
