"""One run from settings to result: data, model, training with checkpoints, evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.callbacks import Callback
from fastmlp.data import Part, Prepared, RawData, Samples, prepare, read
from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION
from fastmlp.environment import info
from fastmlp.errors import FormatError
from fastmlp.experiment import build
from fastmlp.experiment.checkpoint import Checkpoint
from fastmlp.experiment.evaluation import Evaluation, evaluate
from fastmlp.experiment.keeper import Keeper, Outcome
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.schema import Config, DataSection
from fastmlp.history import Record
from fastmlp.model import MLP
from fastmlp.training.lbfgs import LBFGS
from fastmlp.training.loop import ProgressFunction

__all__ = [
    "Experiment",
    "Outcome",
    "evaluate_selected",
    "facts",
    "load_experiment",
    "parameter_count",
    "require_same_data",
    "save_models",
    "train",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Experiment:
    """Settings with all that the data decides, and the data."""

    config: Config
    prepared: Prepared

    @property
    def monitored(self) -> Samples | None:
        """What each epoch is measured on."""
        return self.prepared.validation or self.prepared.test

    @property
    def monitored_name(self) -> str:
        """The same in a word."""
        return "validation" if self.prepared.validation is not None else "test"

    @property
    def evaluated(self) -> tuple[str, Samples]:
        """What the result is measured on, by name."""
        parts = {"test": self.prepared.test, "validation": self.prepared.validation}
        for name, samples in parts.items():
            if samples is not None:
                return name, samples
        return "training", self.prepared.train

    @property
    def selects_best(self) -> bool:
        """Whether the best epoch may be chosen: by samples that are not those of the result."""
        return self.prepared.validation is not None

    def with_settings(self, config: Config) -> Experiment:
        """The same data under other settings.

        Raises
        ------
        ValueError
            A setting does not go with another.
        """
        measured = self.monitored is not None
        completed = build.completed(config, self.prepared.task, measured=measured)
        return Experiment(completed, self.prepared)

    def new_model(self) -> MLP:
        """The model before its first step."""
        return build.new_model(self.config, self.prepared)


def load_experiment(config: Config, report: Callable[[str], None] | None = None) -> Experiment:
    """Read and prepare the data of a run.

    Parameters
    ----------
    config : Config
    report : callable, optional
        Gets a line of text for each source that is tried.

    Raises
    ------
    FormatError, OSError, DataUnavailableError
        The data is missing or damaged.
    ValueError
        A setting does not fit the data.
    """
    data = config.data
    if data.source is None:
        raise ValueError("data.source must be named")
    raw = read(data.source, data_dir=data.data_dir, separator=data.separator, report=report)
    if data.test is not None:
        other = read(data.test, separator=data.separator)
        part = _with_names(other.train, other.class_names)
        raw = replace(raw, test=part, sha256={**raw.sha256, **other.sha256})
    data = build.with_targets_as_needed(config)
    prepared = prepare(raw, build.data_options(data))
    explicit = data.model_copy(update=_explicit_split(data, raw, prepared))
    config = config.model_copy(update={"data": explicit})
    return Experiment(config, prepared).with_settings(config)


def _explicit_split(data: DataSection, raw: RawData, prepared: Prepared) -> dict[str, Any]:
    """What was done where nothing was said: a later release may do otherwise."""
    own = raw.test is not None
    values = {
        "test_fraction": 0.0 if own or prepared.test is None else TEST_FRACTION,
        "validation_fraction": 0.0 if prepared.validation is None else VALIDATION_FRACTION,
        "standardize": prepared.preprocessing.input_mean is not None,
    }
    return {name: value for name, value in values.items() if getattr(data, name) is None}


def _with_names(part: Part, class_names: tuple[str, ...] | None) -> Part:
    """Labels as names: another source may count other classes."""
    if class_names is None or part.y is None:
        return part
    return replace(part, y=np.array(class_names, object)[part.y])


def train(
    experiment: Experiment,
    model: MLP,
    run: RunDirectory,
    outcome: Outcome,
    *,
    checkpoint: Checkpoint | None = None,
    listener: Callable[[Record, bool], object] = lambda record, is_best: None,
    progress: ProgressFunction | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train to the end, or on from a checkpoint; `outcome` is valid however this returns.

    Raises
    ------
    KeyboardInterrupt, DivergedError, OSError, ValueError
        As `MLP.fit` raises them, or a file of the run cannot be written.
    """
    config, prepared = experiment.config, experiment.prepared
    settings = config.training
    optimizer = build.optimizer(config)
    epochs = settings.epochs or 1
    start = time.perf_counter()
    data: dict[str, Any] = {
        "sample_weight": prepared.train.weight, "threads": settings.threads, "verbose": 0
    }  # fmt: skip
    try:
        if isinstance(optimizer, LBFGS):
            _train_at_once(model, prepared.train, optimizer, epochs, data, run, outcome, listener)
            return
        if checkpoint is not None:
            _restore(checkpoint, model, outcome)
        keeper = Keeper(settings, run, outcome, listener)
        measured = experiment.monitored
        left = epochs - len(outcome.records)
        # A run may have been killed between its last checkpoint and its result.
        if left < 1 or keeper.is_out_of_patience():
            return
        model.fit(
            prepared.train.x,
            prepared.train.y,
            epochs=left,
            batch_size=settings.batch_size or 1,
            optimizer=optimizer,
            validation_data=None if measured is None else measured.as_tuple(),
            class_weight=build.class_weights(config, prepared.preprocessing),
            shuffle=settings.shuffle,
            drop_last=settings.drop_last,
            averaging=build.averaging(config),
            callbacks=[*callbacks, keeper],
            resume=checkpoint is not None,
            total_epochs=epochs,
            progress=progress,
            **data,
        )
    finally:
        outcome.wall_seconds = time.perf_counter() - start


def _restore(checkpoint: Checkpoint, model: MLP, outcome: Outcome) -> None:
    checkpoint.restore(model)
    outcome.records[:] = checkpoint.records
    outcome.best_epoch = checkpoint.best_epoch
    if checkpoint.best_epoch:
        outcome.best_parameters = checkpoint.best or checkpoint.parameters


def _train_at_once(
    model: MLP,
    samples: Samples,
    optimizer: LBFGS,
    iterations: int,
    arguments: dict[str, Any],
    run: RunDirectory,
    outcome: Outcome,
    listener: Callable[[Record, bool], object],
) -> None:
    """L-BFGS has no epochs to stop at: its iterations are told when it is done."""
    history = model.fit(samples.x, samples.y, epochs=iterations, optimizer=optimizer, **arguments)
    for epoch, (loss, seconds) in enumerate(
        zip(history.loss, history.epoch_seconds, strict=True), 1
    ):
        record = {"epoch": epoch, "epochs": iterations, "loss": loss, "seconds": seconds}
        outcome.records.append(record)
        run.append_record(record)
        listener(record, False)


def save_checkpoint(model: MLP, run: RunDirectory, outcome: Outcome) -> None:
    """Write down where a training was cut, so that nothing finished is done again.

    Not where a signal came between the end of an epoch and the note of it, nor for L-BFGS: an
    earlier checkpoint, if any, stands.

    Raises
    ------
    OSError
        The file could not be written.
    """
    state = model.training_state()
    if not state or not outcome.records or len(model.history.loss) != len(outcome.records):
        return
    run.checkpoints.write(
        Checkpoint.of(model, state, outcome.records, outcome.best_parameters, outcome.best_epoch)
    )


def save_models(model: MLP, run: RunDirectory, outcome: Outcome) -> None:
    """Write the last model and, where an epoch was measured, the best one.

    Raises
    ------
    OSError
        A file could not be written.
    """
    model.save(run.last_model)
    if outcome.best_parameters is not None:
        model.save(run.best_model, parameters=outcome.best_parameters)


def evaluate_selected(
    experiment: Experiment, model: MLP, outcome: Outcome
) -> tuple[str, Evaluation]:
    """Measure the model that the run is to be judged by; `model` has its parameters afterwards.

    Returns
    -------
    selected : {"best", "last"}
    evaluation : Evaluation
    """
    selected = "last"
    if experiment.selects_best and outcome.best_parameters is not None:
        model.set_parameters(outcome.best_parameters)
        selected = "best"
    _, samples = experiment.evaluated
    threads = experiment.config.training.threads
    return selected, evaluate(model, samples, threads=threads)


def require_same_data(experiment: Experiment, run: RunDirectory) -> None:
    """Raise FormatError where the data is not what the run began with."""
    expected = run.environment().get("data_sha256")
    actual = experiment.prepared.sha256
    if expected is not None and dict(expected) != dict(actual):
        changed = sorted(
            name for name in {*expected, *actual} if expected.get(name) != actual.get(name)
        )
        raise FormatError(
            f"{run.path}: the data has changed since the run began: {', '.join(changed)}"
        )


def facts(experiment: Experiment) -> dict[str, Any]:
    """What environment.json holds: machine, versions, seeds, digests of the data."""
    import platform
    from datetime import datetime, timezone

    config = experiment.config
    return {
        **info(),
        "threads_requested": config.training.threads,
        "seed": config.network.seed,
        "platform": platform.platform(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data_sha256": experiment.prepared.sha256,
    }


def parameter_count(model: MLP) -> int:
    """Numbers that a model consists of."""
    return int(sum(np.size(array) for array in model.parameters().values()))
