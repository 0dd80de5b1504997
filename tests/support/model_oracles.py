"""The float64 oracle of a model: its network with its parameters, and its training step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastmlp
from fastmlp.losses import UserLoss
from support import adaptive_rules as rules
from support import reference_inputs
from support import reference_losses as losses
from support import reference_network as network

# Where the oracle keeps the arrays of a layer, and their gradients.
OF_LAYERS = {
    "weights": ("weights", "dweights"),
    "biases": ("biases", "dbiases"),
    "scales": ("scales", "dscales"),
    "shifts": ("shifts", "dshifts"),
    "mixes": ("mixes", "dmixes"),
    "input_scales": ("input_scales", "dinput_scales"),
    "means": ("running_means", None),
    "variances": ("running_variances", None),
}
RULES: dict[str, tuple[Any, dict[str, str], dict[str, Any]]] = {
    # Rule of the core: that of the oracle, its settings by those of the core, other arguments.
    "sgd": (rules.sgd, {}, {}),
    "momentum": (rules.sgd, {"momentum": "momentum"}, {}),
    "nesterov": (rules.sgd, {"momentum": "momentum"}, {"nesterov": True}),
    "adagrad": (rules.adagrad, {"epsilon": "epsilon"}, {}),
    "rmsprop": (rules.rmsprop, {"rho": "beta2", "epsilon": "epsilon"}, {}),
    "centred_rmsprop_momentum": (
        rules.rmsprop,
        {"rho": "beta2", "epsilon": "epsilon", "momentum": "momentum"},
        {"centred": True},
    ),
    **{
        name: (rule, {n: n for n in ("beta1", "beta2", "epsilon")}, more)
        for name, rule, more in [
            ("adam", rules.adam, {}),
            ("amsgrad", rules.adam, {"amsgrad": True}),
            ("adamax", rules.adamax, {}),
            ("nadam", rules.nadam, {}),
        ]
    },
}


def groups_of(model: fastmlp.MLP) -> list[losses.Group]:
    """Return the losses of a model as the oracle takes them."""
    architecture = model.architecture
    found: list[losses.Group] = []
    for loss, own in zip(architecture.losses, architecture.groups, strict=True):
        assert not isinstance(loss, UserLoss)
        width = own.stop - own.start
        options: dict[str, Any] = {}
        if isinstance(loss, fastmlp.SoftmaxCrossEntropy):
            options["label_smoothing"] = loss.smoothing
        if isinstance(loss, fastmlp.Huber):
            options["delta"] = loss.delta
        if isinstance(loss, fastmlp.Quantile):
            options["levels"] = np.broadcast_to(np.asarray(loss.levels), (width,))
        if getattr(loss, "output_weights", None) is not None:
            options["output_weights"] = loss.output_weights
        found.append((loss.name, width, loss.weight, options))
    return found


def inputs_of(model: fastmlp.MLP) -> list[reference_inputs.InputColumns]:
    """Return the groups of inputs of a model, without arrays; numbers are rounded to its dtype."""
    found = []
    for group in model.architecture.inputs:
        spec = group.spec()
        fixed = np.asarray(spec["edges"], model.dtype).astype(np.float64)
        edges = spec["basis"] == "piecewise_linear"
        found.append(
            reference_inputs.InputColumns(
                spec["kind"],
                spec["columns"],
                float(model.dtype.type(spec["clip"])),
                spec["basis"],
                spec["relu"],
                spec["keeps_value"],
                fixed.reshape(spec["columns"], -1) if edges else None,
                spec["levels"],
                fixed if spec["kind"] == "one_hot" else None,
            )
        )
    return found


def place(net: network.Network, name: str) -> tuple[Any, Any]:
    """Return the container of an array of the oracle, and its key, by the name of a parameter."""
    owner, index, kind = name.split(".")
    if owner == "inputs":
        return net.inputs[int(index)].arrays, kind
    return getattr(net, OF_LAYERS[kind][0]), int(index)


def oracle_of(
    model: fastmlp.MLP,
    groups: Sequence[losses.Group] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> network.Network:
    """Return the oracle of a model, with copies of its parameters, or with others.

    `groups` are the losses, by default those of the model.
    """
    architecture = model.architecture
    last = architecture.spec()["layers"][-1]
    layers = range(architecture.layers)
    own = model.parameters() if parameters is None else parameters
    own = {name: np.array(array, np.float64) for name, array in own.items()}
    biases = [own[f"layers.{i}.biases"] for i in layers]
    net = network.Network(
        weights=[own[f"layers.{i}.weights"] for i in layers],
        biases=biases,
        activations=[*(a.name for a in architecture.activations), last["activation"]],
        parameters=[*(a.parameter for a in architecture.activations), last["parameter"]],
        groups=list(groups_of(model) if groups is None else groups),
        softmax_output=architecture.spec()["softmax_output"],
        normalizes=[*architecture.batch_normalization, False],
        inputs=inputs_of(model),
        members=architecture.members,
        frozen=[not trained for trained in model.trainable],
        residual=[*architecture.residual, False],
    )
    for name, array in own.items():
        container, key = place(net, name)
        container[key] = array
    return net


def gradient_of(found: network.Gradients, name: str) -> Any:
    """Return a gradient of the oracle by the name of the parameter."""
    owner, index, kind = name.split(".")
    if owner == "inputs":
        return found.dinputs[int(index)][kind]
    return getattr(found, OF_LAYERS[kind][1] or "")[int(index)]


def trained_names(model: fastmlp.MLP) -> list[str]:
    """Return the names of what a training changes by gradients, without frozen layers."""

    def trains(name: str) -> bool:
        owner, index, kind = name.split(".")
        return (
            kind not in ("means", "variances")
            and model.trainable[0 if owner == "inputs" else int(index)]
        )

    return [name for name in model.parameters() if trains(name)]


def masks_of(
    model: fastmlp.MLP, rows: int, step: int, factor: float = 1.0
) -> list[network.Array | None]:
    """Return the masks of dropout of a step, of the input and of all hidden layers."""
    architecture = model.architecture
    rows = rows * architecture.members
    rates = [architecture.input_dropout, *architecture.dropout]
    return [
        network.dropout_mask(architecture.seed, level, step, rows, size, rate * factor)
        if rate * factor
        else None
        for level, (size, rate) in enumerate(zip(model.layer_sizes, rates, strict=False))
    ]


def batches(samples: int, size: int, even: bool, drop_last: bool) -> Iterator[slice]:
    """Yield the places of the samples of each batch of an epoch."""
    if even and not drop_last:
        ends = np.cumsum(
            [len(own) for own in np.array_split(np.arange(samples), -(-samples // size))]
        )
        yield from (slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False))
        return
    count = samples // size if drop_last else -(-samples // size)
    yield from (slice(i * size, min((i + 1) * size, samples)) for i in range(count))


@dataclass
class Factors:
    """Factors of one array for the rate, the decay and epsilon."""

    rate: float = 1.0
    decay: float = 0.0
    epsilon: float = 1.0


@dataclass
class OracleTraining:
    """The training of a model's oracle, one step at a time.

    `settings` are those of the core. `factors` has an entry for each array that differs from them.
    """

    model: fastmlp.MLP
    rule: str
    settings: Mapping[str, float]
    factors: Mapping[str, Factors] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.net = oracle_of(self.model)
        self.names = trained_names(self.model)
        self.states: dict[str, dict[str, Any]] = {name: {} for name in self.names}
        self.averages = self.parameters()
        self.steps = 0

    def disturb(self, share: float, seed: int = 0) -> None:
        """Change all parameters by a random share of themselves."""
        rng = np.random.default_rng(seed)
        for name in self.model.parameters():
            container, key = place(self.net, name)
            own = container[key]
            container[key] = own * (1 + share * rng.uniform(-1, 1, own.shape))

    def parameters(self) -> dict[str, network.Array]:
        found = {}
        for name in self.model.parameters():
            container, key = place(self.net, name)
            found[name] = np.array(container[key])
        return found

    def step(
        self,
        x: Any,
        targets: Sequence[Any],
        sample_weights: Any = None,
        *,
        learning_rate: float,
        decay: float = 0.0,
        dropout_factor: float = 1.0,
        noise: Any = None,
    ) -> float:
        """Take a step and return the loss before it."""
        masks = masks_of(self.model, len(x), self.steps, dropout_factor)
        found = self.net.loss_and_gradients(x, targets, sample_weights, True, masks, noise)
        self.net.update_running(x, masks, noise)
        self.steps += 1
        gradients = self._clipped([gradient_of(found, name) for name in self.names])
        for name, gradient in zip(self.names, gradients, strict=True):
            self._update(name, gradient, learning_rate, decay)
        kept = self.settings.get("average_decay", 0.0)
        if kept:
            new = self.parameters()
            self.averages = {n: network.ema(a, new[n], kept) for n, a in self.averages.items()}
        return found.loss

    def _clipped(self, gradients: list[network.Array]) -> list[network.Array]:
        if self.settings.get("clip_norm"):
            gradients = network.clip_by_norm(gradients, self.settings["clip_norm"])
        bound = self.settings.get("clip_value") or np.inf
        return [network.clip_by_value(g, bound) for g in gradients]

    def _update(self, name: str, g: network.Array, learning_rate: float, decay: float) -> None:
        container, key = place(self.net, name)
        w, is_weights = container[key], name.endswith(".weights")
        own = self.factors.get(name, Factors(decay=float(is_weights)))
        if is_weights:
            l1, l2 = (self.settings.get(penalty, 0.0) for penalty in ("l1", "l2"))
            g = g + l2 * w + l1 * np.sign(w)
        w = w * (1 - learning_rate * decay * own.rate * own.decay)
        rule, taken, more = RULES[self.rule]
        arguments = {ours: self.settings[theirs] for ours, theirs in taken.items()}
        if "epsilon" in arguments:
            arguments["epsilon"] *= own.epsilon
        rate = learning_rate * own.rate
        w = rule(w, g, self.states[name], self.steps, learning_rate=rate, **arguments, **more)
        if is_weights and self.settings.get("max_norm"):
            stacked = w.reshape(-1, *w.shape[-2:])
            bounded = [network.max_norm(each, self.settings["max_norm"]) for each in stacked]
            w = np.reshape(bounded, w.shape)
        container[key] = w
