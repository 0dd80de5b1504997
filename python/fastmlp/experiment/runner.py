"""Execution of a run: loading the data, training with checkpoints, evaluation, saving."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.callbacks import Callback, Training
from fastmlp.data import Part, Prepared, Preprocessing, RawData, Samples, prepare, read
from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION
from fastmlp.data.sample_files import open_samples
from fastmlp.data.streaming import prepare_stream
from fastmlp.diagnosis import initial_parameters
from fastmlp.environment import info
from fastmlp.errors import FormatError
from fastmlp.experiment import architectures, build
from fastmlp.experiment.checkpoint import Checkpoint
from fastmlp.experiment.evaluation import Evaluation, evaluate
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.schema import Config, DataSection
from fastmlp.history import BestValue, History, Record
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.training.lbfgs import LBFGS
from fastmlp.training.loop import ProgressFunction

__all__ = [
    "Experiment",
    "Outcome",
    "RunRecorder",
    "StopRule",
    "evaluate_selected",
    "facts",
    "fit",
    "fit_at_once",
    "load_experiment",
    "parameter_count",
    "prepare_experiment",
    "read_data",
    "require_digests",
    "require_same_data",
    "save_checkpoint",
    "save_models",
    "train",
    "with_names",
]

Array = npt.NDArray[Any]
# Checkpoints are written as often as possible while they take at most this share of the time.
CHECKPOINT_SHARE = 0.01


@dataclass(frozen=True)
class Experiment:
    """The settings of a run, with those that depend on the data resolved, and its data."""

    config: Config
    prepared: Prepared

    @property
    def monitored(self) -> Samples | None:
        """The samples on which the ``val_`` values of each epoch are measured, or None."""
        return self.prepared.validation or self.prepared.test

    @property
    def monitored_name(self) -> str:
        """Name of the monitored part: "validation" if the data has one, else "test"."""
        return "validation" if self.prepared.validation is not None else "test"

    @property
    def evaluated(self) -> tuple[str, Samples]:
        """Name and samples of the part on which the result is measured."""
        parts = {"test": self.prepared.test, "validation": self.prepared.validation}
        for name, samples in parts.items():
            if samples is not None:
                return name, samples
        return "training", self.prepared.train

    @property
    def selects_best(self) -> bool:
        """Whether a validation part selects the best epoch."""
        return self.prepared.validation is not None

    def require_in_memory(self, what: str) -> None:
        """Raise ValueError if the training part stays in its files, which `what` cannot use."""
        if self.prepared.stream is not None:
            raise ValueError(f"{what} needs the training part in memory, which a stream is not")

    def with_settings(self, config: Config) -> Experiment:
        """Return an experiment with the same data and other settings.

        Raises
        ------
        ValueError
            A setting contradicts another.
        """
        measured = self.monitored is not None
        samples = self.prepared.sizes["training"]
        completed = build.completed(config, self.prepared.task, samples, measured=measured)
        return Experiment(completed, self.prepared)

    def with_test_as_validation(self) -> Experiment:
        """Return an experiment whose test part selects the best epoch."""
        prepared = replace(self.prepared, validation=self.prepared.test, test=None)
        return Experiment(self.config, prepared)

    def new_model(self) -> MLP:
        """Return the model with its initial parameters."""
        return build.new_model(self.config, self.prepared)


def load_experiment(
    config: Config,
    report: Callable[[str], None] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
) -> Experiment:
    """Read and prepare the data of a run.

    Parameters
    ----------
    config : Config
    report : callable, optional
        Function that is called with a line of text for each source that is tried.
    preprocessing : Preprocessing, optional
        Preprocessing of a model of the run, which is applied instead of learning it again.

    Raises
    ------
    FormatError, OSError, DataUnavailableError
        The data is missing or damaged.
    ValueError
        A setting does not fit the data.
    """
    if config.data.stream:
        return _streamed(config, preprocessing)
    raw = read_data(config, report, preprocessing=preprocessing)
    return prepare_experiment(config, raw, preprocessing)


def _streamed(config: Config, preprocessing: Preprocessing | None) -> Experiment:
    """Prepare data of which the training part stays in its files."""
    build.require_streamable(config)
    data = build.with_targets_as_needed(config)
    if data.source is None:
        raise ValueError("data.source must be named")
    reading = build.reading_in_blocks(data)
    if preprocessing is not None:
        reading = preprocessing.reading(reading)
    files = open_samples(data.source, reading)
    test = None if data.test is None else open_samples(data.test, reading)
    prepared, options = prepare_stream(files, build.data_options(data), preprocessing, test=test)
    chosen = {
        "test_fraction": options.test_fraction,
        "validation_fraction": options.validation_fraction,
        "standardize": prepared.preprocessing.input_mean is not None,
    }
    explicit = {name: value for name, value in chosen.items() if getattr(data, name) is None}
    explicit["stratify"] = False
    config = config.model_copy(update={"data": data.model_copy(update=explicit)})
    return Experiment(config, prepared).with_settings(config)


def read_data(
    config: Config,
    report: Callable[[str], None] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    work: str = "this training",
) -> RawData:
    """Read the data of a run, with the file of test samples; see `load_experiment`.

    `work` is what needs all samples in memory, for the error about ``stream``.
    """
    data = config.data
    if data.source is None:
        raise ValueError("data.source must be named")
    reading = build.reading(data, work)
    if preprocessing is not None:
        reading = preprocessing.reading(reading)
    raw = read(data.source, data_dir=data.data_dir, reading=reading, report=report)
    if data.test is None:
        return raw
    # The schema that reads these cells is learned from others, so they are kept as written.
    as_written = reading if preprocessing is not None else replace(reading, as_text=None)
    other = read(data.test, reading=as_written)
    part = with_names(other.train, other.class_names)
    return replace(raw, test=part, sha256={**raw.sha256, **other.sha256})


def prepare_experiment(
    config: Config,
    raw: RawData,
    preprocessing: Preprocessing | None = None,
    *,
    whole: Part | None = None,
) -> Experiment:
    """Prepare the data of a run that was read already.

    Parameters
    ----------
    config : Config
    raw : RawData
    preprocessing : Preprocessing, optional
        Preprocessing of a model, which is applied instead of learning one.
    whole : Part, optional
        Samples of which `raw` holds a part; see `fastmlp.data.prepare`.

    Raises
    ------
    FormatError
        Values cannot be used.
    ValueError
        A setting does not fit the data.
    """
    data = build.with_targets_as_needed(config)
    prepared = prepare(raw, build.data_options(data), preprocessing, whole=whole)
    explicit = data.model_copy(update=_explicit_split(data, raw, prepared))
    config = config.model_copy(update={"data": explicit})
    return Experiment(config, prepared).with_settings(config)


def _explicit_split(data: DataSection, raw: RawData, prepared: Prepared) -> dict[str, Any]:
    """Return the values chosen for settings that were not given.

    They are recorded because a later release may choose differently.
    """
    own = raw.test is not None
    values = {
        "test_fraction": 0.0 if own or prepared.test is None else TEST_FRACTION,
        "validation_fraction": 0.0 if prepared.validation is None else VALIDATION_FRACTION,
        "standardize": prepared.preprocessing.input_mean is not None,
    }
    return {name: value for name, value in values.items() if getattr(data, name) is None}


def with_names(part: Part, class_names: tuple[str, ...] | None) -> Part:
    """Replace class indices by names, because another source may number its classes differently."""
    if class_names is None or part.y is None:
        return part
    return replace(part, y=np.array(class_names, object)[part.y])


# ---------------------------------------------------------------- training


@dataclass
class Outcome:
    """The state and the result of a training.

    Attributes
    ----------
    status : str
        "completed", "stopped_early", "time_limit", "interrupted", "terminated", "diverged" or
        "check_failed".
    message : str
        Reason for the end of the training; empty if it completed.
    records : list of dict
        The record of each epoch.
    best_epoch : int
        Number of the best epoch; 0 before the first measured epoch.
    best_value : float or None
        Monitored value of the best epoch.
    best_parameters : dict of str to array, or None
        Parameters after the best epoch.
    evaluation : Evaluation or None
        Measures of the selected model.
    wall_seconds : float
        Time of the training including all measuring and saving.
    initial_parameters : dict of str to array, or None
        Parameters before the first step, if they are not too many to keep.
    """

    status: str = "completed"
    message: str = ""
    records: list[Record] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    best_parameters: dict[str, Array] | None = None
    evaluation: Evaluation | None = None
    wall_seconds: float = 0.0
    initial_parameters: dict[str, Array] | None = None

    @property
    def training_seconds(self) -> float:
        """Total time of the epochs in seconds."""
        return sum(float(record["seconds"]) for record in self.records)

    def last(self, key: str) -> float | None:
        """Return a quantity of the last epoch, or None if it was not measured."""
        return self.records[-1].get(key) if self.records else None


class StopRule:
    """The rule that finds the best epoch and decides whether a training ends early.

    Parameters
    ----------
    config : Config
        Settings, of which ``monitor``, ``patience``, ``max_time`` and the architecture are used.
    records : sequence of dict
        Records of the epochs before a resumption.

    Attributes
    ----------
    best_epoch : int
        Number of the best epoch; 0 before the first finite value of the monitored quantity.
    best_value : float or None
        Monitored value of the best epoch.
    since_best : int
        Number of epochs after the best one.
    """

    def __init__(self, config: Config, records: Sequence[Record] = ()) -> None:
        training = config.training
        self._patience = training.patience
        self._max_time = training.max_time
        takes_ties = architectures.keeps_last(config)
        self._best = BestValue(training.monitor or "loss", "auto", takes_ties=takes_ties)
        self._started = time.monotonic()
        self.best_epoch = self.since_best = 0
        for record in records:
            self.update(record)

    @property
    def best_value(self) -> float | None:
        """The monitored value of the best epoch."""
        return self._best.value

    def update(self, record: Record) -> bool:
        """Add the record of an epoch; return True if the epoch is the best so far."""
        is_best = self._best.update(record)
        if is_best:
            self.best_epoch = record["epoch"]
        self.since_best = record["epoch"] - self.best_epoch
        return is_best

    def is_out_of_patience(self) -> bool:
        """Return whether none of the last ``patience`` epochs was the best."""
        return self._patience is not None and self.since_best >= self._patience

    def is_out_of_time(self, record: Record) -> bool:
        """Return whether an epoch as long as that of `record` would end after ``max_time``."""
        elapsed = time.monotonic() - self._started
        return self._max_time is not None and elapsed + record["seconds"] > self._max_time


class RunRecorder(Callback):
    """A callback that writes records and checkpoints after each epoch and applies the stop rule.

    Parameters
    ----------
    config : Config
    run : RunDirectory
    outcome : Outcome
        Outcome that is updated after each epoch. In a resumed run it already holds the earlier
        epochs.
    listener : callable
        Function that is called as ``listener(record, is_best)`` after each epoch.
    """

    writes = True

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        outcome: Outcome,
        listener: Callable[[Record, bool], object],
    ) -> None:
        self._training = config.training
        self._run = run
        self._outcome = outcome
        self._listener = listener
        self._rule = StopRule(config, outcome.records)
        self._saved = time.monotonic()
        self._save_seconds = 0.0
        outcome.best_value = self._rule.best_value

    @property
    def watches(self) -> tuple[str, ...]:
        """Name of the monitored quantity, which is measured because of it."""
        return (self._training.monitor or "loss",)

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """Record the epoch and save a checkpoint if it is due; return True to end the training."""
        outcome = self._outcome
        if outcome.records and outcome.records[-1]["epoch"] == record["epoch"]:
            return self._ends(record)  # a signal interrupted the callbacks after the recording
        is_best = self._rule.update(record)
        if is_best:
            outcome.best_parameters = training.model.parameters()
            outcome.best_epoch = self._rule.best_epoch
            outcome.best_value = self._rule.best_value
        self._run.append_record(record)
        outcome.records.append(dict(record))
        self._listener(record, is_best)
        if self._is_due(record):
            self._save(training)
        return self._ends(record)

    def _is_due(self, record: Record) -> bool:
        every = self._training.checkpoint_every
        if every is not None:
            return bool(record["epoch"] % every == 0)
        # The first checkpoint is always written: its duration determines when the next is due.
        elapsed = time.monotonic() - self._saved
        return elapsed * CHECKPOINT_SHARE >= self._save_seconds

    def _save(self, training: Training) -> None:
        start = time.monotonic()
        outcome = self._outcome
        state = training.state_after(self)
        checkpoint = Checkpoint.of(
            training.model, state, outcome.records, outcome.best_parameters, outcome.best_epoch
        )
        self._run.checkpoints.write(checkpoint)
        self._saved = time.monotonic()
        self._save_seconds = self._saved - start

    def is_out_of_patience(self) -> bool:
        """Return whether the run stops early; if so, set the status of the outcome."""
        if not self._rule.is_out_of_patience():
            return False
        best, since = self._rule.best_epoch, self._rule.since_best
        self._outcome.status = "stopped_early"
        self._outcome.message = f"no better epoch than {best} for {since} epochs"
        return True

    def _ends(self, record: Record) -> bool:
        if self.is_out_of_patience():
            return True
        if not self._rule.is_out_of_time(record):
            return False
        if record["epoch"] < record["epochs"]:
            self._outcome.status = "time_limit"
            limit = self._training.max_time
            self._outcome.message = f"the next epoch would end after {limit:g} s"
        return True


def fit(
    model: MLP,
    experiment: Experiment,
    optimizer: Optimizer,
    callbacks: Sequence[Callback],
    **options: Any,
) -> None:
    """Train a model with the settings of an experiment.

    Parameters
    ----------
    model : MLP
    experiment : Experiment
    optimizer : Optimizer
    callbacks : sequence of Callback
    **options
        Further arguments of `MLP.fit`; they take precedence over the settings.

    Raises
    ------
    KeyboardInterrupt, DivergedError, ValueError
        `MLP.fit` raised the exception.
    """
    config, prepared, measured = experiment.config, experiment.prepared, experiment.monitored
    settings, train = config.training, prepared.train
    arguments: dict[str, Any] = {
        "epochs": settings.epochs or 1,
        "batch_size": settings.batch_size or 1,
        "optimizer": optimizer,
        "validation_data": None if measured is None else measured.as_tuple(),
        "class_weight": build.class_weights(config, prepared.preprocessing),
        "shuffle": settings.shuffle,
        "drop_last": settings.drop_last,
        "threads": settings.threads,
        "shards": settings.shards,
        "averaging": build.averaging(config),
        "callbacks": callbacks,
        "diagnose": False,  # by those who know the whole run
        "verbose": 0,
        **architectures.training_arguments(config),
    }
    if prepared.stream is not None:
        model.fit(prepared.stream, **(arguments | options))
        return
    model.fit(train.x, train.y, sample_weight=train.weight, **(arguments | options))


def fit_at_once(
    model: MLP,
    experiment: Experiment,
    optimizer: LBFGS,
    *,
    verbose: int = 0,
    communicator: Any = None,
) -> History:
    """Train a model with L-BFGS, which calls no callbacks; see `fit`."""
    settings, samples = experiment.config.training, experiment.prepared.train
    return model.fit(
        samples.x,
        samples.y,
        epochs=settings.epochs or 1,
        optimizer=optimizer,
        sample_weight=samples.weight,
        class_weight=build.class_weights(experiment.config, experiment.prepared.preprocessing),
        threads=settings.threads,
        shards=settings.shards,
        communicator=communicator,
        verbose=verbose,
    )


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
    verbose: int = 0,
    communicator: Any = None,
) -> None:
    """Train a run to its end, or continue it from a checkpoint.

    `outcome` is valid even if the function raises an exception.

    Parameters
    ----------
    experiment : Experiment
    model : MLP
        Model that `Experiment.new_model` returned.
    run : RunDirectory
    outcome : Outcome
        Outcome that the function fills.
    checkpoint : Checkpoint, optional
        State from which to continue.
    listener : callable
        Function that is called as ``listener(record, is_best)`` after each epoch.
    progress : callable, optional
        Argument ``progress`` of `MLP.fit`.
    callbacks : sequence of Callback
        Callbacks that are called before the epoch is recorded.
    verbose : int
        Argument ``verbose`` of `MLP.fit`.
    communicator : optional
        Argument ``communicator`` of `MLP.fit`. The first process alone writes to the run.

    Raises
    ------
    KeyboardInterrupt, DivergedError, OSError, ValueError
        `MLP.fit` raised the exception, or a file of the run cannot be written.
    """
    optimizer = build.optimizer(experiment.config)
    epochs = experiment.config.training.epochs or 1
    start = time.perf_counter()
    outcome.initial_parameters = initial_parameters(model)
    try:
        if isinstance(optimizer, LBFGS):
            history = fit_at_once(
                model, experiment, optimizer, verbose=verbose, communicator=communicator
            )
            _record_at_once(history, epochs, run, outcome, listener)
            return
        if checkpoint is not None:
            _restore(checkpoint, model, outcome)
        recorder = RunRecorder(experiment.config, run, outcome, listener)
        left = epochs - len(outcome.records)
        # A run may have been killed between its last checkpoint and its result.
        if left < 1 or recorder.is_out_of_patience():
            return
        fit(
            model,
            experiment,
            optimizer,
            [*callbacks, recorder],
            epochs=left,
            total_epochs=epochs,
            resume=checkpoint is not None,
            progress=progress,
            verbose=verbose,
            communicator=communicator,
        )
    finally:
        outcome.wall_seconds = time.perf_counter() - start


def _restore(checkpoint: Checkpoint, model: MLP, outcome: Outcome) -> None:
    checkpoint.restore(model)
    outcome.records[:] = checkpoint.records
    outcome.best_epoch = checkpoint.best_epoch
    if checkpoint.best_epoch:
        outcome.best_parameters = checkpoint.best or checkpoint.parameters


def _record_at_once(
    history: History,
    iterations: int,
    run: RunDirectory,
    outcome: Outcome,
    listener: Callable[[Record, bool], object],
) -> None:
    """Record the iterations of L-BFGS, which are known at the end."""
    measured = zip(history.loss, history.epoch_seconds, strict=True)
    for epoch, (loss, seconds) in enumerate(measured, 1):
        record = {"epoch": epoch, "epochs": iterations, "loss": loss, "seconds": seconds}
        outcome.records.append(record)
        run.append_record(record)
        listener(record, False)


# ---------------------------------------------------------------- results


def save_checkpoint(model: MLP, run: RunDirectory, outcome: Outcome) -> None:
    """Write a checkpoint of an interrupted training, so that no finished step is repeated.

    Nothing is written for L-BFGS, nor if a signal arrived between the end of an epoch and its
    record. In these cases the previous checkpoint, if any, remains.

    Raises
    ------
    OSError
        The file could not be written.
    """
    state = model.training_state()
    if not state or len(model.history.loss) != len(outcome.records):
        return
    run.checkpoints.write(
        Checkpoint.of(model, state, outcome.records, outcome.best_parameters, outcome.best_epoch)
    )


def save_models(model: MLP, run: RunDirectory, outcome: Outcome) -> None:
    """Write the last model and, if an epoch was measured, the best model.

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
    """Select the best or the last parameters, set them in `model`, and measure the model.

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
    """Raise FormatError if the data has changed since the run began."""
    expected = run.environment().get("data_sha256")
    if expected is not None:
        message = f"{run.path}: the data has changed since the run began"
        require_digests(experiment, dict(expected), message)


def require_digests(experiment: Experiment, expected: Mapping[str, str], message: str) -> None:
    """Raise FormatError with `message` and the names of all files whose SHA-256 differs."""
    actual = experiment.prepared.sha256
    names = {*expected, *actual}
    changed = sorted(name for name in names if expected.get(name) != actual.get(name))
    if changed:
        raise FormatError(f"{message}: {', '.join(changed)}")


def facts(experiment: Experiment) -> dict[str, Any]:
    """Return the content of environment.json: machine, versions, seed, digests of the data."""
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
    """Return the number of parameters of a model, including running moments."""
    return int(sum(np.size(array) for array in model.parameters().values()))
