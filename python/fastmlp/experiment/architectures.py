"""Architectures of networks for tables: their settings, networks and optimizers.

- RealMLP: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs
  and boosted trees on tabular data", NeurIPS 2024.
- TabM: Y. Gorishniy, A. Kotelnikov, A. Babenko, "TabM: advancing tabular deep learning with
  parameter-efficient ensembling", ICLR 2025.
- ResNet for tables: Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko, "Revisiting deep learning
  models for tabular data", NeurIPS 2021, with layer normalization instead of batch normalization.

A new architecture is an entry of `ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._named import from_config
from fastmlp.data.columns import CategoryColumn
from fastmlp.inputs import (
    Category,
    InputGroup,
    Numbers,
    OneHot,
    Periodic,
    PiecewiseLinear,
    quantile_edges,
)
from fastmlp.optimizers import Group
from fastmlp.schedules import FlatCosine
from fastmlp.validation import integer, keep

if TYPE_CHECKING:
    from fastmlp.data import Prepared
    from fastmlp.experiment.schema import Config
    from fastmlp.model import MLP

__all__ = [
    "ARCHITECTURES",
    "EMBEDDINGS",
    "Architecture",
    "architecture_of",
    "completed",
    "search_space",
]

Values = dict[str, Any]
# Samples that the initial weights are fitted to, at most.
_FITTED_SAMPLES = 10_000
_EMBEDDING_SIZE = 8
_CLIP = 3.0
# Edges of bins that are closer are one; numbers lie within the clip.
_EDGE_DECIMALS = 6


@dataclass(frozen=True)
class Epochs:
    """The usual number of epochs, which depends on the number of samples.

    Attributes
    ----------
    most : int
        Number of epochs of few samples.
    seen : int
        Samples that a training sees, counted in each epoch, where `most` epochs would see more.
    fewest : int
        Number of epochs of very many samples.
    """

    most: int
    seen: int
    fewest: int

    def of(self, samples: int) -> int:
        """Return the number of epochs for so many training samples."""
        return min(self.most, max(-(-self.seen // samples), self.fewest))

    def __str__(self) -> str:
        return f"{self.most}, fewer of more than {self.seen // self.most:,} samples"


_OF_TABLES = Epochs(256, seen=256 * 20_000, fewest=32)
_UNTIL_PATIENCE = Epochs(1000, seen=256 * 20_000, fewest=32)
_OF_PLAIN_NETWORKS = Epochs(100, seen=6 * 60_000, fewest=6)


@dataclass(frozen=True)
class Architecture:
    """What an architecture adds to the settings of a run.

    Attributes
    ----------
    recipe : mapping
        Settings by section, which settings of the user replace.
    by_task : mapping of str to mapping
        The same for "classification", "multilabel" and "regression".
    by_loss : mapping of str to mapping
        The same for a loss that the settings name; they replace those of the task.
    space : sequence of str
        Settings that a sweep searches, each as text that `search.Dimension.parse` accepts.
    space_by_task : mapping of str to sequence of str
        Further ones for "classification", "multilabel" or "regression".
    epochs : Epochs
        Epochs by the number of samples.
    most_one_hot : int or None
        A category with more levels has a trained embedding; None: no category has one.
    network : mapping
        Further arguments of `fastmlp.MLP`.
    layers : callable or None
        Function of the arguments of `fastmlp.MLP` that returns those of its layers; None: the
        settings are those of the layers.
    optimizer : mapping
        Further arguments of the optimizer.
    fits_samples : bool
        Whether the initial weights are fitted to samples.
    fades_dropout : bool
        Whether dropout fades in the second half of the training.
    members : int
        Members of an ensemble, unless the settings say otherwise.
    keeps_last : bool
        Whether the last one of several equally good epochs is the best.
    """

    recipe: Mapping[str, Values]
    by_task: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    by_loss: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    space: Sequence[str] = ()
    space_by_task: Mapping[str, Sequence[str]] = field(default_factory=dict)
    epochs: Epochs = _OF_TABLES
    most_one_hot: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    layers: Callable[[Values], Values] | None = None
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    fits_samples: bool = False
    fades_dropout: bool = False
    members: int = 1
    keeps_last: bool = False


# ---------------------------------------------------------------- inputs


def _columns(prepared: Prepared) -> list[CategoryColumn | None]:
    """Return the column of each input that is a code, None for the others."""
    columns = prepared.preprocessing.columns
    if columns is None:
        return [None] * prepared.preprocessing.features
    return [
        column if isinstance(column, CategoryColumn) and column.as_code else None
        for column in columns
        for _ in column.feature_names
    ]


def _robust_values(codes: NDArray[Any], levels: int) -> tuple[float, ...]:
    """Return the values of one-hot inputs, centered, scaled and clipped as numbers are."""
    if levels == 2:
        column = np.select([codes == 0, codes == 1], [-1.0, 1.0], 0.0)
        return _clipped(column, np.array([-1.0, 1.0, 0.0]))
    pairs = [_clipped(codes == level, np.array([0.0, 1.0])) for level in range(levels)]
    return tuple(value for pair in pairs for value in pair)


def _clipped(column: NDArray[Any], values: NDArray[np.float64]) -> tuple[float, ...]:
    """Return values in the scale of a column: median, distance of quartiles, smooth clip."""
    column = column.astype(np.float64)
    first, middle, third = np.quantile(column, (0.25, 0.5, 0.75))
    distance = third - first or (column.max() - column.min()) / 2
    scaled = (values - middle) / distance if distance else np.zeros(len(values))
    return tuple(float(v) for v in scaled / np.sqrt(1 + (scaled / _CLIP) ** 2))


@dataclass(frozen=True)
class _Bins:
    """The embedding of numbers by piecewise linear functions between quantiles."""

    bins: int = 48
    outputs: int = 16
    relu: bool = False
    keeps_value: bool = True

    name = "piecewise_linear"

    def __post_init__(self) -> None:
        keep(self, bins=integer("bins", self.bins, 1))
        self.of(np.zeros(1))  # which checks the rest

    def of(self, column: NDArray[Any], clip: float = 0.0) -> PiecewiseLinear:
        """Return the embedding of a column, in the scale of the clip; 0: not clipped."""
        if clip:
            column = column / np.sqrt(1 + np.square(column / clip, dtype=np.float64))
        edges = quantile_edges(column, self.bins)
        apart = np.unique(np.round(edges, _EDGE_DECIMALS))
        if len(apart) == 1:
            apart = apart[0] + np.array([-0.5, 0.5])
        return PiecewiseLinear(apart, self.outputs, self.relu, self.keeps_value)


EMBEDDINGS: Mapping[str, Callable[..., Any]] = {
    "none": lambda: None,
    "periodic": Periodic,
    _Bins.name: _Bins,
}


def embedding_of(config: Config) -> Periodic | _Bins | None:
    """Return the embedding of numbers that the settings name.

    Raises
    ------
    TypeError, ValueError
        There is no such embedding, or it lacks a parameter.
    """
    choice = config.network.embedding
    if choice is None:
        return None
    made: Periodic | _Bins | None = from_config("embedding", choice, EMBEDDINGS)
    return made


def _inputs(config: Config, prepared: Prepared, most_one_hot: int | None) -> list[InputGroup]:
    """Return numbers, perhaps embedded, and categories that are one-hot or embedded."""
    groups: list[InputGroup] = []
    x = prepared.train.x
    embedding = embedding_of(config)
    is_normal = config.data.scaling == "quantile"  # without outliers
    clip = 0.0 if is_normal else _CLIP
    for at, column in enumerate(_columns(prepared)):
        if column is None:
            own = embedding.of(x[:, at], clip) if isinstance(embedding, _Bins) else embedding
            last = groups[-1] if groups else None
            if isinstance(last, Numbers) and last.embedding == own:
                groups[-1] = Numbers(last.columns + 1, own, clip)
            else:
                groups.append(Numbers(1, own, clip))
        elif most_one_hot is not None and column.levels > most_one_hot:
            groups.append(Category(column.levels, _EMBEDDING_SIZE))
        elif is_normal:
            groups.append(OneHot(column.levels))
        else:
            groups.append(OneHot(column.levels, _robust_values(x[:, at], column.levels)))
    return groups


# ---------------------------------------------------------------- layers


def _residual_layers(arguments: Values) -> Values:
    """Return the layers of a network of residual blocks, one for each hidden layer of `arguments`.

    x + linear(dropout(activation(linear(norm(x))))), the inner layer twice as wide; before the
    first block a linear layer, after the last one activation(norm(x)).
    """
    features, *widths, outputs = arguments["layer_sizes"]
    if len(set(widths)) != 1:
        raise ValueError(
            "hidden must have one width for each residual block, all the same, with the "
            f"architecture resnet, got {', '.join(map(str, widths)) or 'none'}"
        )

    def of_blocks(value: Any) -> list[Any]:
        return list(value) if isinstance(value, (list, tuple)) else [value] * len(widths)

    activations, rates = of_blocks(arguments["activation"]), of_blocks(arguments["dropout"])
    inner_and_end = [[activation, "identity"] for activation in activations]
    inner_and_end[-1][1] = activations[-1]
    return {
        "layer_sizes": [features, widths[0], *(2 * widths[0], widths[0]) * len(widths), outputs],
        "activation": ["identity", *(item for pair in inner_and_end for item in pair)],
        "dropout": [0.0, *(item for rate in rates for item in (rate, 0.0))],
        "layer_normalization": [True, *(False, True) * len(widths)],
        "residual": True,
    }


# ---------------------------------------------------------------- architectures

_TABLE = {"scaling": "robust", "category_inputs": "code", "clamp_target": True}
_REALMLP_TRAINING = {"batch_size": 256, "drop_last": True}
_SMOOTHED = {"name": "softmax_cross_entropy", "smoothing": 0.1}


def _realmlp_by_task(classes: float, numbers: float) -> Mapping[str, Mapping[str, Values]]:
    selu = {"activation": "selu"}
    return {
        "classification": {
            "network": {**selu, "loss": _SMOOTHED},
            "optimizer": {"learning_rate": classes},
        },
        "multilabel": {"network": selu, "optimizer": {"learning_rate": classes}},
        "regression": {
            "network": {"activation": "mish"},
            "optimizer": {"learning_rate": numbers},
        },
    }


# ---------------------------------------------------------------- search spaces

# The space of RealMLP in its paper. There the deviation of the frequencies is drawn from a range
# and shares of the choices differ.
_REALMLP_SPACE = (
    "optimizer.learning_rate=2e-2..0.3:log",
    "optimizer.decay=0|0.02",
    "network.hidden=256,256,256|64,64,64,64,64|512",
    "network.activation=selu|mish|relu",
    "network.dropout=0|0.15|0.3",
    "network.input_scaling=true|false",
)
_SMOOTHING = {
    "classification": (
        'network.loss=softmax_cross_entropy|{name = "softmax_cross_entropy", smoothing = 0.1}',
    )
}
_PAIRS = "phases = false, keeps_value = false, outputs = 4"
_PERIODIC = "|".join(
    (
        "none",
        *(f'{{name = "periodic", deviation = {d}}}' for d in (0.05, 0.1, 0.2, 0.5)),
        *(f'{{name = "periodic", {_PAIRS}, relu = {relu}}}' for relu in ("false", "true")),
    )
)
_BINNED = "|".join(
    (
        "none",
        *(
            f'{{name = "piecewise_linear", bins = {bins}, outputs = {outputs}}}'
            for bins, outputs in ((8, 8), (48, 16), (128, 32))
        ),
    )
)


def _grid(widths: Sequence[int], layers: int) -> str:
    """Return the choices of up to so many layers of the same width."""
    return "|".join(",".join([str(w)] * n) for n in range(1, layers + 1) for w in widths)


# The space of a multi-layer perceptron in Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko,
# "Revisiting deep learning models for tabular data", NeurIPS 2021, within what a CPU trains.
_PLAIN_SPACE = (
    "optimizer.learning_rate=1e-4..1e-2:log",
    "optimizer.decay=1e-6..1e-3:log",
    f"network.hidden={_grid((64, 128, 256, 512), 4)}",
    "network.dropout=0..0.5",
)
# The rates above are for optimizers that divide by the magnitude of gradients.
_SGD_RATE = "optimizer.learning_rate=1e-3..0.5:log"


def search_space(config: Config) -> tuple[str, ...]:
    """Return the settings that a sweep searches unless others are named, each with its values.

    Parameters
    ----------
    config : Config
        Settings with those resolved that depend on the data.
    """
    architecture = architecture_of(config)
    plain = _PLAIN_SPACE
    if config.optimizer.name.lower() == "sgd":
        plain = (_SGD_RATE, *plain[1:])
    if architecture is None:
        return plain
    own = (*architecture.space, *architecture.space_by_task.get(config.data.task, ()))
    if _has_own_optimizer(config, architecture):
        return own
    rates = (text for text in plain if text.startswith("optimizer."))
    return (*rates, *(text for text in own if not text.startswith("optimizer.")))


# ---------------------------------------------------------------- the architectures

ARCHITECTURES: Mapping[str, Architecture] = {
    "realmlp": Architecture(
        recipe={
            "data": _TABLE,
            "network": {
                "hidden": [256, 256, 256],
                "dropout": 0.15,
                "initializer": "normal",
                "input_scaling": True,
                "embedding": "periodic",
            },
            "optimizer": {"name": "adam", "beta2": 0.95, "decay": 0.02},
            "schedule": {"name": "cos_log"},
            "training": _REALMLP_TRAINING,
        },
        by_task=_realmlp_by_task(0.04, 0.2),
        # Rates are exponentials, which the rate of regression drives beyond all bounds.
        by_loss={"poisson": {"optimizer": {"learning_rate": 0.04, "clip_norm": 10.0}}},
        space=(*_REALMLP_SPACE, f"network.embedding={_PERIODIC}"),
        space_by_task=_SMOOTHING,
        most_one_hot=8,
        network={"parametric": True},
        # In pytabkit the factors of rate and decay enter the decay twice.
        optimizer={
            "groups": {
                "weights": Group(ntk=True),
                "biases": Group(rate=0.1),
                "mixes": Group(rate=0.1, decay=0.1),
                "input_scales": Group(rate=6.0, decay=6.0),
                "embeddings": Group(rate=0.1, decay=0.1),
                "tables": Group(decay=1.0),
            },
            "decay_schedule": FlatCosine(1.0),
        },
        fits_samples=True,
        fades_dropout=True,
        keeps_last=True,
    ),
    "realmlp-s": Architecture(
        recipe={
            "data": _TABLE,
            "network": {
                "hidden": [256, 256, 256],
                "initializer": "lecun_normal",
                "input_scaling": True,
            },
            "optimizer": {"name": "adam", "beta2": 0.95},
            "schedule": {"name": "cos_log"},
            "training": _REALMLP_TRAINING,
        },
        by_task=_realmlp_by_task(0.04, 0.07),
        space=_REALMLP_SPACE,
        space_by_task=_SMOOTHING,
        optimizer={
            "groups": {
                "weights": Group(ntk=True),
                "biases": Group(rate=0.1),
                "input_scales": Group(rate=6.0),
            }
        },
        keeps_last=True,
    ),
    "tabm": Architecture(
        recipe={
            "data": _TABLE | {"scaling": "quantile"},
            "network": {
                "hidden": [512, 512, 512],
                "dropout": 0.1,
                "initializer": "rsqrt_uniform",
            },
            "optimizer": {"name": "adam", "learning_rate": 0.002},
            "schedule": {"name": "constant"},
            "training": {"batch_size": 256, "patience": 16},
        },
        epochs=_UNTIL_PATIENCE,
        space=(
            "optimizer.learning_rate=1e-4..5e-3:log",
            "optimizer.decay=1e-4..0.1:log",
            f"network.hidden={_grid((128, 256, 512, 1024), 4)}",
            "network.dropout=0..0.5",
            f"network.embedding={_BINNED}",
        ),
        network={"sharing": "tabm", "own_batches": True},
        members=32,
        keeps_last=False,
    ),
    "resnet": Architecture(
        recipe={
            "data": _TABLE | {"scaling": "quantile"},
            "network": {"hidden": [192, 192], "dropout": 0.3, "initializer": "rsqrt_uniform"},
            "optimizer": {"name": "adamw", "learning_rate": 0.001, "decay": 0.0001},
            "schedule": {"name": "constant"},
            "training": {"batch_size": 256, "patience": 16},
        },
        epochs=_UNTIL_PATIENCE,
        space=_PLAIN_SPACE,  # that of the paper, within what a CPU trains, is the same
        layers=_residual_layers,
    ),
}


def architecture_of(config: Config) -> Architecture | None:
    """Return the architecture that the settings name; None for a plain network."""
    name = config.network.architecture
    return None if name in (None, "mlp") else ARCHITECTURES[str(name)]


def keeps_last(config: Config) -> bool:
    """Return whether the last one of several equally good epochs is the best."""
    architecture = architecture_of(config)
    return architecture is not None and architecture.keeps_last


def completed(config: Config, task: str, samples: int) -> Config:
    """Return the settings with those of the architecture that depend on task and samples.

    Settings that were given stay.
    """
    architecture = architecture_of(config)
    by_task: dict[str, Values] = {}
    if architecture is not None:
        by_task = _of_task_and_loss(architecture, task, config.network.loss)
        if not _has_own_optimizer(config, architecture):
            by_task.pop("optimizer", None)
    training = {"epochs": _epochs_of(architecture).of(samples)}
    for section, values in {**by_task, "training": training}.items():
        present = getattr(config, section)
        missing = {k: v for k, v in values.items() if getattr(present, k) is None}
        checked = type(present).model_validate(
            {**present.model_dump(exclude_unset=True), **missing}
        )
        config = config.model_copy(update={section: checked})
    return config


def _of_task_and_loss(architecture: Architecture, task: str, loss: Any) -> dict[str, Values]:
    """Return the settings by section that depend on the task and the loss."""
    name = loss.get("name") if isinstance(loss, Mapping) else loss
    sections = dict(architecture.by_task.get(task, {}))
    for section, values in architecture.by_loss.get(str(name), {}).items():
        sections[section] = {**sections.get(section, {}), **values}
    return sections


def by_data(config: Config) -> dict[str, str]:
    """Return the settings without a value that get one in a training, each with that value."""
    architecture = architecture_of(config)
    if architecture is None and config.data.source is None:
        return {}  # the recipe of the data may name all of them
    texts = {"training.epochs": str(_epochs_of(architecture))}
    if architecture is not None:
        texts |= _by_task_and_members(config, architecture)
    return {
        key: text
        for key, text in texts.items()
        if getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) is None
    }


def _by_task_and_members(config: Config, architecture: Architecture) -> dict[str, str]:
    """Return the values of an architecture that depend on the task, and its members."""
    choices: dict[str, dict[str, str]] = {}
    for task in architecture.by_task:
        for section, values in _of_task_and_loss(architecture, task, config.network.loss).items():
            for name, value in values.items():
                shown = value["name"] if isinstance(value, Mapping) else str(value)
                choices.setdefault(f"{section}.{name}", {})[shown] = task
    if not _has_own_optimizer(config, architecture):
        choices = {key: v for key, v in choices.items() if not key.startswith("optimizer.")}
    texts = {key: _by_task(tasks) for key, tasks in choices.items()}
    if architecture.members > 1:
        texts["network.members"] = str(architecture.members)
    return texts


def _by_task(tasks: Mapping[str, str]) -> str:
    """Return values with the last task of each, as in "selu, or mish for regression"."""
    (first, _), *others = tasks.items()
    return ", ".join([first, *(f"or {value} for {task}" for value, task in others)])


def _epochs_of(architecture: Architecture | None) -> Epochs:
    return _OF_PLAIN_NETWORKS if architecture is None else architecture.epochs


def _has_own_optimizer(config: Config, architecture: Architecture) -> bool:
    """Return whether the optimizer is that of the architecture, for which its rates are made."""
    own: str = architecture.recipe["optimizer"]["name"]
    return config.optimizer.name.lower() == own


def network_arguments(config: Config, prepared: Prepared) -> Values:
    """Return further arguments of `fastmlp.MLP`."""
    architecture = architecture_of(config)
    members = config.network.members
    if architecture is None:
        if embedding_of(config) is not None:
            raise ValueError(
                "embedding must be left out or none with the architecture mlp, got "
                f"{config.network.embedding!r}; the others embed numbers"
            )
        return {} if members is None else {"members": members, "sharing": "packed"}
    if members not in (None, 1) and architecture.members == 1:
        raise ValueError(
            f"members must be left out with the architecture {config.network.architecture}, which "
            f"is a single network, got {members}"
        )
    return {
        **architecture.network,
        "members": members or architecture.members,
        "inputs": _inputs(config, prepared, architecture.most_one_hot),
    }


def layer_arguments(config: Config, arguments: Values) -> Values:
    """Return the arguments of `fastmlp.MLP` for its layers where they differ from the settings."""
    architecture = architecture_of(config)
    if architecture is None or architecture.layers is None:
        return {}
    return architecture.layers(arguments)


def initialize(config: Config, prepared: Prepared, model: MLP) -> None:
    """Fit the initial weights of a new model to samples if its architecture does so."""
    architecture = architecture_of(config)
    if architecture is None or not architecture.fits_samples:
        return
    x = prepared.train.x
    if len(x) > _FITTED_SAMPLES:
        rows = np.random.default_rng(config.network.seed).choice(
            len(x), _FITTED_SAMPLES, replace=False
        )
        x = x[np.sort(rows)]
    model.initialize_from(x)


def optimizer_arguments(config: Config) -> Values:
    """Return further arguments of the optimizer."""
    architecture = architecture_of(config)
    if architecture is None or not _has_own_optimizer(config, architecture):
        return {}
    return dict(architecture.optimizer)


def training_arguments(config: Config) -> Values:
    """Return further arguments of `MLP.fit`."""
    architecture = architecture_of(config)
    if architecture is None or not architecture.fades_dropout:
        return {}
    return {"dropout_schedule": FlatCosine(1.0)}
