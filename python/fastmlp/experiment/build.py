"""Construction of the model, the optimizer and the averaging from settings and data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

import fastmlp.schedules as schedules
from fastmlp.averaging import EMA, SWA, Averaging
from fastmlp.data import Options, Prepared, Preprocessing, Reading
from fastmlp.data.table_targets import USUAL_NAMES
from fastmlp.errors import did_you_mean
from fastmlp.experiment import architectures
from fastmlp.experiment.schema import (
    Config,
    DataSection,
    OptimizerSection,
    ScheduleSection,
    TrainingSection,
)
from fastmlp.experiment.settings import with_absolute_paths
from fastmlp.metrics import METRICS, is_greater_better
from fastmlp.metrics.chosen import ChosenMetrics
from fastmlp.model import MLP, load_mlp
from fastmlp.network.architecture import architecture_from_config, checked_architecture
from fastmlp.optimizers import OPTIMIZERS, Optimizer
from fastmlp.schedules import Schedule
from fastmlp.training.defaults import mean_rate_logarithms
from fastmlp.training.lbfgs import LBFGS

__all__ = [
    "averaging",
    "class_weights",
    "completed",
    "data_options",
    "new_model",
    "optimizer",
    "reading",
    "reading_in_blocks",
    "require_streamable",
    "with_targets_as_needed",
]

# Settings of a training in epochs of mini-batches, which L-BFGS is not.
_NOT_OF_LBFGS = (
    "batch_size", "shuffle", "drop_last", "shards", "patience", "averaging", "time_limit",
    "max_time", "checkpoint_every", "tensorboard",
)  # fmt: skip
_OPTIMIZERS: Mapping[str, Callable[..., Any]] = {**OPTIMIZERS, "lbfgs": LBFGS}
_SCHEDULES: Mapping[str, type[Schedule]] = {
    "constant": schedules.Constant,
    "step": schedules.StepDecay,
    "exponential": schedules.Exponential,
    "inverse_scaling": schedules.InverseScaling,
    "linear": schedules.Linear,
    "cosine": schedules.Cosine,
    "cos_log": schedules.CosLog,
    "flat_cosine": schedules.FlatCosine,
    "one_cycle": schedules.OneCycle,
    "plateau": schedules.ReduceOnPlateau,
}
# Settings that the architecture turns into arguments.
OF_ARCHITECTURES = ("architecture", "members", "embedding")
_AVERAGES: Mapping[str, type[Averaging]] = {"ema": EMA, "swa": SWA}
_LOSSES = {
    "classification": "softmax_cross_entropy",
    "multilabel": "binary_cross_entropy",
    "regression": "mse",
}


def data_options(section: DataSection) -> Options:
    """Return the options of `fastmlp.data.prepare`."""
    names = [field.name for field in dataclasses.fields(Options)]
    return Options(**{name: getattr(section, name) for name in names})


def reading(section: DataSection, work: str = "this training") -> Reading:
    """Return how the files of data that is read as a whole are read.

    Parameters
    ----------
    section : DataSection
    work : str
        What needs the data as a whole, for the error.

    Raises
    ------
    ValueError
        The data shall be read block by block.
    """
    if section.stream:
        raise ValueError(f"stream (--stream) must be left out: {work} needs all samples in memory")
    return reading_in_blocks(section)


def reading_in_blocks(section: DataSection) -> Reading:
    """Return how the files of the data are read."""
    options = data_options(section)
    as_text = {*options.target, *options.categorical, *options.dates, *options.id}
    # In a file with decimal commas 1.234 is no plain number.
    has_commas = options.number_format is not None and options.number_format.decimal == ","
    return Reading(
        separator=section.separator,
        encoding=section.encoding,
        header=section.header,
        index_column=section.index_column,
        as_text=None if has_commas else frozenset(as_text),
        unused=frozenset((*options.exclude, *options.id)),
        used=_used(options),
    )


def _used(options: Options) -> frozenset[str] | None:
    """Return the columns that are used; None if that is not known before the table is read."""
    if not options.features:
        return None
    target = options.target or USUAL_NAMES
    return frozenset((*options.features, *target, *filter(None, (options.sample_weight,))))


def with_targets_as_needed(config: Config) -> DataSection:
    """Return the data section; for a Poisson loss, which needs counts, targets stay unscaled."""
    loss = config.network.loss
    name = loss.get("name") if isinstance(loss, dict) else loss
    if name != "poisson":
        return config.data
    return config.data.model_copy(update={"standardize_target": False})


def require_streamable(config: Config) -> None:
    """Raise ValueError if a setting needs all training samples in memory."""
    training = config.training
    for is_given, setting in (
        (config.optimizer.name.lower() == "lbfgs", "optimizer lbfgs"),
        (isinstance(training.class_weight, str), f"class_weight {training.class_weight}"),
        (training.time_limit is not None, "time_limit"),
        (config.network.architecture == "tabm", "architecture tabm"),
    ):
        if is_given:
            raise ValueError(f"{setting} needs all samples in memory, which stream does not have")


def require_valid(config: Config) -> None:
    """Raise TypeError or ValueError if the settings are wrong for any data."""
    averaging(config)
    optimizer(config)
    architectures.embedding_of(config)
    network = config.network
    by_data = {"hidden", "initializer", "loss", "output_activation", *OF_ARCHITECTURES}
    arguments = architecture_from_config(network.model_dump(exclude=by_data, exclude_none=True))
    checked_architecture([1, *(network.hidden or ()), 1], **arguments)


def completed(config: Config, task: str, samples: int, *, measured: bool) -> Config:
    """Return the settings with those resolved that depend on the data or on another setting.

    Parameters
    ----------
    config : Config
    task : str
        Inferred task: "classification", "multilabel" or "regression".
    samples : int
        Number of training samples.
    measured : bool
        Whether epochs are measured on a validation or test part.

    Raises
    ------
    ValueError
        A setting contradicts another.
    """
    config = architectures.completed(with_absolute_paths(config), task, samples)
    averaging(config)  # raises before any file is written
    if config.optimizer.name.lower() == "lbfgs":
        _require_settings_of_lbfgs(config)
    network = config.network
    data = {"task": task}
    resolved = {
        "architecture": network.architecture or "mlp",
        "activation": network.activation or "relu",
        "loss": network.loss or _LOSSES[task],
    }
    # Accuracies of two epochs are often equal, losses hardly ever.
    usual = "val_loss" if measured and config.optimizer.name.lower() != "lbfgs" else "loss"
    monitor = _with_level(config.training.monitor or usual, resolved["loss"])
    training = {"monitor": monitor}
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "network": network.model_copy(update=resolved),
            "training": config.training.model_copy(update=training),
            "optimizer": _explicit_optimizer(config),
            "schedule": _explicit_schedule(config),
        }
    )


def _with_level(monitor: str, loss: Any) -> str:
    """Return the monitored quantity; the quantile loss is that of the level that is trained."""
    if monitor.removeprefix("val_") != "quantile_loss" or not isinstance(loss, Mapping):
        return monitor
    levels = np.unique(loss.get("levels", ()))
    return f"{monitor}:{float(levels[0])!r}" if len(levels) == 1 else monitor


def _require_settings_of_lbfgs(config: Config) -> None:
    """Raise ValueError if a setting is given that L-BFGS would ignore."""
    usual = TrainingSection()
    given = [f"training.{n}" for n in _NOT_OF_LBFGS
             if getattr(config.training, n) != getattr(usual, n)]  # fmt: skip
    if config.training.monitor not in (None, "loss"):
        given.append("training.monitor")
    given += [f"schedule.{name}" for name in sorted(config.schedule.model_fields_set)
              if getattr(config.schedule, name) != getattr(ScheduleSection(), name)]  # fmt: skip
    if given:
        raise ValueError(
            f"{given[0]} must be left out with lbfgs, which uses all samples in each iteration and "
            "has no epochs, mini-batches or learning rate"
        )


def new_model(config: Config, prepared: Prepared) -> MLP:
    """Return the model with its initial parameters.

    Raises
    ------
    TypeError, ValueError
        A setting is out of range or does not fit the data.
    """
    network = config.network
    pre = prepared.preprocessing
    arguments: dict[str, Any] = {
        "layer_sizes": [pre.features, *(network.hidden or ()), pre.outputs],
        "input_scale": prepared.input_scale,
        **network.model_dump(exclude={"hidden", "initializer", *OF_ARCHITECTURES}),
    }
    if network.initializer is not None:
        arguments["initializer"] = network.initializer
    arguments = architecture_from_config(arguments)
    arguments |= architectures.network_arguments(config, prepared)
    arguments |= architectures.layer_arguments(config, arguments)
    sizes = arguments.pop("layer_sizes")
    model = _initial(config, sizes, arguments, prepared)
    _require_loss_for(prepared.task, model)
    _require_targets(prepared, model)
    _require_measured(config, prepared, model)
    class_weights(config, pre)  # raises before any file is written
    if config.training.freeze:
        model.freeze(list(config.training.freeze))
    model.preprocessing = pre
    _require_defined(config, prepared, model)
    return model


def _require_loss_for(task: str, model: MLP) -> None:
    """Raise ValueError if the loss is for targets of another task."""
    (loss,) = model.architecture.losses
    kind = "regression"
    if loss.takes_classes:
        kind = "classification"
    elif loss.link == "sigmoid":
        kind = "multilabel"
    if kind != task:
        raise ValueError(
            f"loss {loss.name} is for {kind}, the task is {task}; task must be {kind} for it "
            f"(--task {kind})"
        )


def _require_targets(prepared: Prepared, model: MLP) -> None:
    """Raise ValueError if the loss is not defined for the targets of a part."""
    (loss,) = model.architecture.losses
    parts = {"training": prepared.train, "validation": prepared.validation, "test": prepared.test}
    for name, part in parts.items():
        if part is not None:
            loss.targets(
                f"targets of the {name} part", part.y, len(part), model.layer_sizes[-1], model.dtype
            )


def _require_defined(config: Config, prepared: Prepared, model: MLP) -> None:
    """Raise ValueError if the monitored metric is not defined on the samples that it measures."""
    metric = (config.training.monitor or "").removeprefix("val_")
    part = prepared.validation or prepared.test
    if part is None or metric == config.training.monitor or is_greater_better(metric) is None:
        return
    data = model._data(part.x, part.y, part.weight)
    if math.isnan(model._measure(ChosenMetrics((metric,)), data, 0)[metric]):
        name = "test" if prepared.validation is None else "validation"
        raise ValueError(
            f"monitor must be a metric that is defined on the {name} part, got val_{metric}, which "
            f"its {len(part)} samples do not determine; a larger part may"
        )


def _require_measured(config: Config, prepared: Prepared, model: MLP) -> None:
    """Raise ValueError if the training does not measure the monitored quantity."""
    names = ["loss", "accuracy"] if model._has_accuracy else ["loss"]
    monitor = config.training.monitor or ""
    if prepared.validation is not None or prepared.test is not None:
        names += [f"val_{name}" for name in names]
        metric = monitor.removeprefix("val_")
        if metric != monitor and metric != "accuracy" and is_greater_better(metric) is not None:
            model._require_metrics(ChosenMetrics((metric,)))
            return
        names += [f"val_{m.name}" for m in METRICS.values() if prepared.task in m.functions]
        names = list(dict.fromkeys(names))
    if monitor not in names:
        hint = did_you_mean(monitor, names)
        raise ValueError(f"monitor must be one of {', '.join(names)}, got {monitor!r}{hint}")


def _initial(
    config: Config, sizes: list[int], arguments: dict[str, Any], prepared: Prepared
) -> MLP:
    """Return a new model with the parameters of ``initial_model``.

    If the numbers of outputs differ, the last layer keeps its own initial parameters.
    """
    if config.training.initial_model is None:
        model = MLP(sizes, **arguments)
        architectures.initialize(config, prepared, model)
        _start_at_mean_rate(model, prepared)
        return model
    from fastmlp.experiment.rundir import model_path

    old = load_mlp(model_path(config.training.initial_model))
    new = MLP(sizes, **arguments)
    if old.layer_sizes[:-1] != sizes[:-1]:
        raise ValueError(
            f"initial_model must have layers {sizes[:-1]} below the outputs, "
            f"got {old.layer_sizes[:-1]}"
        )
    head = f"layers.{len(sizes) - 2}." if old.layer_sizes[-1] != sizes[-1] else "-"
    kept = {k: v.astype(new.dtype) for k, v in old.parameters().items() if not k.startswith(head)}
    new.set_parameters({**new.parameters(), **kept})
    return new


def _start_at_mean_rate(model: MLP, prepared: Prepared) -> None:
    """Let the rates that the network predicts begin at their mean, however large counts are."""
    losses = model.architecture.losses
    if len(losses) != 1 or losses[0].link != "exp":
        return
    train = prepared.train
    name = f"layers.{len(model.layer_sizes) - 2}.biases"
    biases = model.parameters()[name]
    begun = biases + mean_rate_logarithms(np.asarray(train.y), train.weight)
    model.set_parameters({**model.parameters(), name: begun.astype(model.dtype)})


def optimizer(config: Config) -> Optimizer | LBFGS:
    """Return the optimizer with its schedule.

    Raises
    ------
    ValueError
        The optimizer or the schedule lacks a given setting.
    """
    section = config.optimizer
    settings = _given(section)
    kind = _kind("optimizer", section.name, _OPTIMIZERS)
    if kind is LBFGS:
        _require_known(section, LBFGS, settings)
        return LBFGS(**settings)
    _require_known(section, kind, settings, _OPTIMIZERS)
    rate = settings.pop("learning_rate", None)
    if rate is None:
        rate = next(f.default for f in dataclasses.fields(kind) if f.name == "learning_rate")
    if section.nesterov and not section.momentum:
        raise ValueError("nesterov needs a momentum above 0")
    settings |= architectures.optimizer_arguments(config)
    result: Optimizer = kind(learning_rate=_schedule(config, rate), **settings)
    return result


def _explicit_optimizer(config: Config) -> OptimizerSection:
    """Return the optimizer section with the defaults of the optimizer filled in."""
    rule = optimizer(config)
    values = {
        field.name: getattr(rule, field.name)
        for field in dataclasses.fields(rule)
        if field.name not in ("learning_rate", "decay_schedule", "groups")
    }
    if isinstance(rule, Optimizer):
        default = next(f.default for f in dataclasses.fields(rule) if f.name == "learning_rate")
        given = config.optimizer.learning_rate
        values["learning_rate"] = default if given is None else given
    values["name"] = config.optimizer.name.lower()
    return config.optimizer.model_copy(update=values)


def _explicit_schedule(config: Config) -> ScheduleSection:
    """Return the schedule section with the defaults of the schedule filled in."""
    rule = optimizer(config)
    made = rule.learning_rate if isinstance(rule, Optimizer) else None
    if isinstance(made, schedules.WarmUp):
        made = made.schedule
    if not isinstance(made, Schedule):
        return config.schedule
    fields = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type]
    known = [name for name in fields if name in ScheduleSection.model_fields]
    return config.schedule.model_copy(update={name: getattr(made, name) for name in known})


def _given(section: OptimizerSection | ScheduleSection) -> dict[str, Any]:
    return section.model_dump(exclude={"name", "warmup"}, exclude_none=True)


def _kind(what: str, name: str, known: Mapping[str, Any]) -> Any:
    if name.lower() not in known:
        hint = did_you_mean(name, known)
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {name!r}{hint}")
    return known[name.lower()]


def _require_known(
    section: OptimizerSection | ScheduleSection,
    kind: Any,
    settings: Mapping[str, Any],
    others: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Raise ValueError if a setting is not one of a kind; `others` may have it."""
    known = [field.name for field in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            shown = [f for f in known if f in type(section).model_fields]
            having = [
                n for n, k in others.items() if name in {f.name for f in dataclasses.fields(k)}
            ]
            cure = f"; {' and '.join(having)} {'has' if len(having) == 1 else 'have'} it"
            raise ValueError(
                f"{section.name} has no {name}; it has {', '.join(shown) or 'none'}"
                f"{cure if having else ''}"
            )


def _schedule(config: Config, rate: float) -> Schedule:
    section = config.schedule
    epochs = config.training.epochs
    kind = _SCHEDULES[section.name]
    settings = _given(section)
    _require_known(section, kind, settings)
    if section.name == "step" and settings.get("per") != "step":
        settings.setdefault("every", math.ceil((epochs or 1) / 3))
    if section.name == "exponential" and "factor" not in settings:
        raise ValueError("exponential needs schedule.factor")
    first = "peak" if section.name == "one_cycle" else "rate"
    made = kind(**{first: rate}, **settings)
    if not section.warmup:
        return made
    if epochs is not None and section.warmup >= epochs:
        raise ValueError(f"schedule.warmup must be < {epochs}, the epochs, got {section.warmup}")
    return schedules.WarmUp(made, section.warmup, per="epoch")


def averaging(config: Config) -> Averaging | None:
    """Return the averaging of parameters, or None."""
    value = config.training.averaging
    if value is None:
        return None
    settings = {"name": value} if isinstance(value, str) else dict(value)
    kind = _kind("averaging", str(settings.pop("name", "")), _AVERAGES)
    known = [field.name for field in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            raise ValueError(f"averaging has no {name}; it has {', '.join(known)}")
    return kind(**settings)  # type: ignore[no-any-return]


def class_weights(config: Config, preprocessing: Preprocessing) -> Any:
    """Return the argument ``class_weight`` of `MLP.fit`, with classes by their index."""
    value = config.training.class_weight
    if value is None or isinstance(value, str):
        return value
    names = list(preprocessing.class_names or ())
    unknown = [name for name in value if name not in names]
    if unknown:
        raise ValueError(f"class_weight must name classes of {', '.join(names)}, got {unknown[0]}")
    return {names.index(name): weight for name, weight in value.items()}
