"""Training of a network with its preprocessing on data of any kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.callbacks import Callback, Training
from fastmlp.data import Part, RawData, Reading, Samples, Table, read
from fastmlp.data.frames import table_of
from fastmlp.data.reading import with_index
from fastmlp.diagnosis import Finding, initial_parameters
from fastmlp.experiment import build
from fastmlp.experiment.judgement import findings_of
from fastmlp.experiment.keywords import (
    FILE_SETTINGS,
    columns_to_keep_as_text,
    settings_by_section,
)
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.runner import (
    Experiment,
    Outcome,
    StopRule,
    fit,
    fit_at_once,
    prepare_experiment,
    save_checkpoint,
    train,
    with_names,
)
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import resolve
from fastmlp.experiment.time_limit import within_time_limit
from fastmlp.history import Record
from fastmlp.metrics.chosen import MetricLike
from fastmlp.model import MLP
from fastmlp.training.lbfgs import LBFGS

__all__ = [
    "Fitted",
    "config_of",
    "fit_network",
    "raw_data",
    "refuse_file_settings",
    "target_columns",
    "targets_apart",
]

Array = npt.NDArray[Any]


# ---------------------------------------------------------------- data


def raw_data(
    data: Any,
    y: Any,
    reading: Reading,
    data_dir: str | None,
    target: Sequence[str] | None = None,
) -> RawData:
    """Return samples and targets of any kind as the contents of a source."""
    if isinstance(data, (str, PathLike)):
        if y is not None:
            raise ValueError(
                f"y must be left out for a file, whose columns hold the target{_as_name(y)}"
            )
        return read(os.fspath(data), data_dir=data_dir, reading=reading)
    if isinstance(data, np.ndarray):
        if y is None:
            raise ValueError("y must be given for an array of samples")
        return RawData("data", Part(data, _plain_targets(y)))
    table = with_index(table_of(data, "data"), reading)
    if y is None:
        return RawData("data", Part(table))
    added = target_columns(y, target)
    for name, cells in added.items():
        if name in table.columns:
            raise ValueError(f"y must be left out, because the data has a column {name!r}")
        if len(cells) != len(table):
            raise ValueError(
                f"y must have a target for each of {len(table)} rows, got {len(cells)}"
            )
    columns = {**table.columns, **added}
    return RawData("data", Part(replace(table, columns=columns, names=tuple(columns))))


def target_columns(y: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return targets that are apart from the samples as columns with names.

    The names are those of a frame or series, else `names`, else target, or target_0, ...
    """
    if hasattr(y, "columns") or isinstance(y, Mapping):
        return dict(table_of(y, "y").columns)
    own = getattr(y, "name", None)
    array = y if np.ndim(y) == 1 or own is not None else np.asarray(y)
    if np.ndim(array) == 1:
        name = own if isinstance(own, str) and own else (names or ("target",))[0]
        return {name: table_of({name: array}, "y").columns[name]}
    if np.ndim(array) != 2:
        got = repr(y)[:60] if np.ndim(array) == 0 else f"{np.ndim(array)} dimensions"
        raise ValueError(f"y must have a target for each row, got {got}{_as_name(y)}")
    count = np.shape(array)[1]
    named = names if names and len(names) == count else [f"target_{j}" for j in range(count)]
    return dict(table_of({n: array[:, j] for j, n in enumerate(named)}, "y").columns)


def targets_apart(data: Any, y: Any) -> list[str] | None:
    """Return the names of targets that are apart from samples in a frame; None if there are none.

    Arrays have no names, and a file has its targets in it.
    """
    if y is None or isinstance(data, (np.ndarray, str, PathLike)):
        return None
    return list(target_columns(y))


def _as_name(y: Any) -> str:
    """Tell how a column is named, if that is what was given."""
    return f"; to name a column, pass target={y!r}" if isinstance(y, str) else ""


def _plain_targets(y: Any) -> Array:
    array = np.asarray(y)
    return array.astype(object) if array.dtype.kind == "U" else array


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Fitted:
    """What a training leaves.

    Attributes
    ----------
    network : MLP
        Network of the best epoch, which carries its preprocessing.
    notes : tuple of str
        Decisions that the settings left open, one line each.
    test : Samples or None
        The part that was set aside; None if there is none.
    validation : Samples or None
        The part that selected the epoch; None if there is none.
    findings : tuple of Finding
        What a look at the training found, problems first.
    """

    network: MLP
    notes: tuple[str, ...]
    test: Samples | None
    validation: Samples | None
    findings: tuple[Finding, ...] = ()


def fit_network(
    settings: Mapping[str, Any],
    data: Any,
    y: Any = None,
    *,
    test: Any = None,
    validation: Any = None,
    callbacks: Sequence[Callback] = (),
    metrics: Sequence[MetricLike] = (),
    verbose: int = 0,
    directory: Path | None = None,
) -> Fitted:
    """Learn the preprocessing of data of any kind and train a network; see `Model.fit`.

    `settings` are by keyword. A directory keeps checkpoints, from which the same call continues.
    """
    source = os.fspath(data) if isinstance(data, (str, PathLike)) else None
    if source is None:
        refuse_file_settings(settings)
    targets = targets_apart(data, y)
    config = config_of(settings, source, targets, arrays=isinstance(data, np.ndarray))
    reading = build.reading(config.data, "fit")
    if reading.as_text is not None:
        reading = replace(reading, as_text=reading.as_text | columns_to_keep_as_text(settings))
    raw = raw_data(data, y, reading, config.data.data_dir)
    if isinstance(raw.train.x, Table):
        config = config_of(settings, source, targets, raw.train.x.names)
    if test is not None and validation is not None:
        raise ValueError("validation must be left out where test is given, and test otherwise")
    other = test if validation is None else validation
    if other is not None:
        raw = replace(raw, test=_test_part(other, y, reading, config, targets))
    if validation is not None:
        data = config.data.model_copy(update={"test_fraction": None, "validation_fraction": 0.0})
        config = config.model_copy(update={"data": data})
    experiment = prepare_experiment(config, raw)
    if validation is not None:
        experiment = experiment.with_test_as_validation()
    experiment, note = within_time_limit(experiment)
    network = experiment.new_model()
    if verbose:
        for line in (*experiment.prepared.notes, *([note] if note else [])):
            print(line, file=sys.stderr)
    outcome = _train(experiment, network, callbacks, metrics, verbose, directory)
    prepared = experiment.prepared
    findings = tuple(findings_of(experiment, network, outcome))
    return Fitted(network, prepared.notes, prepared.test, prepared.validation, findings)


def refuse_file_settings(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for settings that say how a file is read, for samples in memory."""
    for name in FILE_SETTINGS:
        if settings.get(name) is not None:
            raise ValueError(
                f"{name} must be left out for samples in memory, because it says how a file is "
                f"found or read, got {settings[name]!r}"
            )


def config_of(
    settings: Mapping[str, Any],
    source: str | None,
    targets: list[str] | None,
    columns: Sequence[str] | None = None,
    *,
    arrays: bool = False,
    tests: bool = False,
) -> Config:
    """Return the settings of a training on data of any kind, given by keyword.

    Parameters
    ----------
    settings : mapping
        Settings by keyword.
    source : str or None
        The file or named set; None for samples in memory.
    targets : list of str or None
        Names of targets that are apart from the samples.
    columns : sequence of str, optional
        Columns of the data, which tell whether "a,b" is one name or two.
    arrays : bool
        Whether samples in memory are an array, without names and kinds of columns.
    tests : bool
        Whether samples in memory are divided like those of a file.
    """
    layers: list[Mapping[str, Any]] = [settings_by_section(settings, columns)]
    if targets is not None:
        layers.append({"data": {"target": targets}})
    config = resolve(source or ("data.npz" if arrays else "data.csv"), layers)
    if tests or source is not None or config.data.test_fraction is not None:
        return config
    # Who passes a frame has set aside what is to be tested on.
    given = config.data.model_copy(update={"test_fraction": 0.0})
    return config.model_copy(update={"data": given})


def _test_part(
    test: Any, y: Any, reading: Reading, config: Config, targets: list[str] | None
) -> Part:
    """Return the samples for the test: a source, or a pair if targets are apart from samples."""
    truth = None
    if y is not None and isinstance(test, tuple) and len(test) == 2:
        test, truth = test
    # The schema that reads these cells is learned from others, so they are kept as written.
    reading = replace(reading, as_text=None)
    other = raw_data(test, truth, reading, config.data.data_dir, targets)
    return with_names(other.train, other.class_names)


class _Selection(Callback):
    """A callback that keeps the parameters of the best epoch and ends without patience."""

    def __init__(self, experiment: Experiment, outcome: Outcome) -> None:
        self._rule = StopRule(experiment.config)
        self._outcome = outcome
        self._monitor = experiment.config.training.monitor or "loss"

    @property
    def watches(self) -> tuple[str, ...]:
        return (self._monitor,)

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        self._outcome.records.append(dict(record))
        if self._rule.update(record):
            self._outcome.best_epoch = self._rule.best_epoch
            self._outcome.best_parameters = training.model.parameters()
        return self._rule.is_out_of_patience() or self._rule.is_out_of_time(record)


def _train(
    experiment: Experiment,
    network: MLP,
    callbacks: Sequence[Callback],
    metrics: Sequence[MetricLike],
    verbose: int,
    directory: Path | None,
) -> Outcome:
    outcome = Outcome()
    optimizer = build.optimizer(experiment.config)
    if directory is not None:
        _train_in(directory, experiment, network, outcome, callbacks, verbose)
    elif isinstance(optimizer, LBFGS):
        fit_at_once(network, experiment, optimizer, verbose=verbose)
    else:
        outcome.initial_parameters = initial_parameters(network)
        hooks = [*callbacks, _Selection(experiment, outcome)]
        fit(network, experiment, optimizer, hooks, metrics=metrics, verbose=verbose)
    if experiment.selects_best and outcome.best_parameters is not None:
        network.set_parameters(outcome.best_parameters)
        if verbose:
            monitor = experiment.config.training.monitor
            print(f"kept epoch {outcome.best_epoch}, the best by {monitor}", file=sys.stderr)
    return outcome


def _train_in(
    directory: Path,
    experiment: Experiment,
    network: MLP,
    outcome: Outcome,
    callbacks: Sequence[Callback],
    verbose: int,
) -> None:
    """Train with checkpoints; of a training that is finished the last one is read."""
    run = RunDirectory(directory)
    run.path.mkdir(parents=True, exist_ok=True)
    run.sweep()
    checkpoint, _ = run.checkpoints.newest()
    run.write_records(checkpoint.records if checkpoint is not None else [])
    try:
        train(
            experiment, network, run, outcome,
            checkpoint=checkpoint, callbacks=callbacks, verbose=verbose,
        )  # fmt: skip
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal
            save_checkpoint(network, run, outcome)
        raise
    if checkpoint is None or len(outcome.records) > checkpoint.epoch:
        save_checkpoint(network, run, outcome)
