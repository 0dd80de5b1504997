"""What a training must not lose: records, the best epoch, checkpoints; and when it is to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from fastmlp.callbacks import Callback, Training
from fastmlp.experiment.checkpoint import Checkpoint
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.schema import TrainingSection
from fastmlp.history import BestValue, Record

__all__ = ["Keeper", "Outcome"]

Array = npt.NDArray[Any]
# Checkpoints come as often as they take no more than this share of the time.
CHECKPOINT_SHARE = 0.01


@dataclass
class Outcome:
    """How a training ended.

    ``status`` is "completed", "stopped_early", "time_limit", "interrupted", "terminated",
    "diverged" or "check_failed".
    """

    status: str = "completed"
    message: str = ""
    records: list[Record] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    best_parameters: dict[str, Array] | None = None
    evaluation: Evaluation | None = None
    wall_seconds: float = 0.0

    @property
    def training_seconds(self) -> float:
        """Seconds that the epochs took."""
        return sum(float(record["seconds"]) for record in self.records)

    def last(self, key: str) -> float | None:
        """A quantity of the last epoch."""
        return self.records[-1].get(key) if self.records else None


class Keeper(Callback):
    """Keeps what a run must not lose, and ends it when it is time.

    Parameters
    ----------
    training : TrainingSection
    run : RunDirectory
    outcome : Outcome
        Is filled epoch by epoch; may hold the epochs before a resumption.
    listener : callable
        Called as ``listener(record, is_best)`` after each epoch.
    """

    def __init__(
        self,
        training: TrainingSection,
        run: RunDirectory,
        outcome: Outcome,
        listener: Callable[[Record, bool], object],
    ) -> None:
        self._run = run
        self._outcome = outcome
        self._listener = listener
        self._patience = training.patience
        self._max_time = training.max_time
        self._every = training.checkpoint_every
        self._best = BestValue(training.monitor or "loss", "auto")
        self._started = self._saved = time.monotonic()
        self._save_seconds = 0.0
        for record in outcome.records:
            self._best.update(record)
        outcome.best_value = self._best.value

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """Note, write down, save where it is due; True where the training is to end."""
        outcome = self._outcome
        if outcome.records and outcome.records[-1]["epoch"] == record["epoch"]:
            return self._ends(record)  # noted before a signal cut the calls of callbacks
        is_best = self._best.update(record)
        if is_best:
            parameters = training.model.parameters()
            outcome.best_parameters = parameters
            outcome.best_epoch, outcome.best_value = record["epoch"], self._best.value
        self._run.append_record(record)
        outcome.records.append(dict(record))
        self._listener(record, is_best)
        if self._is_due(record):
            self._save(training)
        return self._ends(record)

    def _is_due(self, record: Record) -> bool:
        if self._every is not None:
            return bool(record["epoch"] % self._every == 0)
        # The first one tells what one costs.
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
        """Whether the last epochs were no better than the best, one after the other."""
        outcome = self._outcome
        since_best = len(outcome.records) - outcome.best_epoch
        if self._patience is None or since_best < self._patience:
            return False
        outcome.status = "stopped_early"
        outcome.message = f"no better epoch than {outcome.best_epoch} for {since_best} epochs"
        return True

    def _ends(self, record: Record) -> bool:
        outcome = self._outcome
        if self.is_out_of_patience():
            return True
        elapsed = time.monotonic() - self._started
        if self._max_time is not None and elapsed + record["seconds"] > self._max_time:
            if record["epoch"] < record["epochs"]:
                outcome.status = "time_limit"
                outcome.message = f"the next epoch would end after {self._max_time:g} s"
            return True
        return False
