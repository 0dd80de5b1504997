"""The trials of a sweep in Optuna's journal: which values come next, and what became of them.

Only one process writes the journal; whoever asks for a trial holds the directory of the sweep.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.errors import FormatError
from fastmlp.experiment.search import Dimension, Value
from fastmlp.extras import require
from fastmlp.history import BestValue

__all__ = ["Pending", "Study", "Trial"]

# Epochs that every trial may have; before that, losses say little about where a training ends.
_PRUNING_FROM = 3
# Optuna's own attributes of trials are free for its users.
_NUMBER, _DIVERGED = "number", "diverged"


@dataclass(frozen=True)
class Trial:
    """One set of values and what came of it.

    Attributes
    ----------
    number : int
        From 0, in the order of the draws.
    state : {"running", "complete", "pruned", "diverged"}
    settings : dict of str to int, float or str
        By `section.name`.
    epochs : int
        Epochs that were measured.
    best_epoch : int or None
    value : float or None
        What the best epoch measured.
    """

    number: int
    state: str
    settings: dict[str, Value]
    epochs: int
    best_epoch: int | None
    value: float | None


@dataclass(frozen=True)
class Pending:
    """A trial that is running, with Optuna's own."""

    trial: Any
    settings: dict[str, Value]


class Study:
    """Optuna's study of one sweep.

    The values of the n-th trial depend on the seed, n and the trials before it, so that a sweep
    that was cut off goes on as it would have; trials that nobody finished are drawn once more.

    Parameters
    ----------
    journal : pathlib.Path
        Made if it does not exist.
    dimensions : sequence of Dimension
    monitor : str
        What is optimised; larger or smaller is better as of `BestValue`.
    seed : int
    prune : bool
        Whether trials that are worse than the median are given up.

    Raises
    ------
    MissingExtraError
        Optuna is not installed.
    FormatError
        The journal is damaged.
    OSError
        It cannot be read or written.
    """

    def __init__(
        self,
        journal: Path,
        dimensions: Sequence[Dimension],
        *,
        monitor: str,
        seed: int,
        prune: bool,
    ) -> None:
        self._optuna = optuna = require("sweep", "optuna")
        self._dimensions = dimensions
        self._monitor = monitor
        self._seed = seed
        _cut_torn_line(journal)
        pruners = optuna.pruners
        with self._silence():
            backend = optuna.storages.journal.JournalFileBackend(str(journal), _HeldAlready())
            try:
                self._study = optuna.create_study(
                    study_name="sweep",
                    storage=optuna.storages.JournalStorage(backend),
                    pruner=pruners.MedianPruner(n_warmup_steps=_PRUNING_FROM)
                    if prune
                    else pruners.NopPruner(),
                    direction="maximize" if _larger_is_better(monitor) else "minimize",
                    load_if_exists=True,
                )
                self._give_up_running()
            except (AssertionError, LookupError, TypeError, ValueError) as error:
                raise FormatError(f"{journal}: is not the journal of a sweep: {error}") from error

    @contextlib.contextmanager
    def _silence(self) -> Iterator[None]:
        """Keep Optuna's log and its warnings, of features that may change, from the user."""
        log = self._optuna.logging
        before = log.get_verbosity()
        log.set_verbosity(log.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            log.set_verbosity(before)

    def _give_up_running(self) -> None:
        """Fail what killed processes have left: nobody else has the journal."""
        states = self._optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            self._study.tell(trial.number, state=states.FAIL)

    def _kept(self) -> list[Any]:
        """Optuna's trials but those that were given up."""
        failed = self._optuna.trial.TrialState.FAIL
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != failed]

    def __len__(self) -> int:
        return len(self._kept())

    def trials(self) -> list[Trial]:
        """All trials by number, but those that were given up."""
        return sorted(map(self._trial, self._kept()), key=lambda trial: trial.number)

    def _trial(self, trial: Any) -> Trial:
        best, epoch = BestValue(self._monitor, "auto"), None
        for step, value in sorted(trial.intermediate_values.items()):
            if best.update({self._monitor: value}):
                epoch = step
        state = "diverged" if trial.user_attrs.get(_DIVERGED) else trial.state.name.lower()
        epochs = len(trial.intermediate_values)
        number = trial.user_attrs.get(_NUMBER, trial.number)
        return Trial(number, state, dict(trial.params), epochs, epoch, best.value)

    def best(self) -> Trial | None:
        """The first of the best completed trials."""
        best, found = BestValue(self._monitor, "auto"), None
        for trial in self.trials():
            if trial.state == "complete" and best.update({self._monitor: trial.value}):
                found = trial
        return found

    def ask(self) -> Pending:
        """Draw the values of a trial."""
        taken = {trial.user_attrs.get(_NUMBER) for trial in self._kept()}
        number = next(n for n in itertools.count() if n not in taken)
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        with self._silence():
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            trial = self._study.ask()
            trial.set_user_attr(_NUMBER, number)
            settings = {d.key: d.suggest(trial) for d in self._dimensions}
        return Pending(trial, settings)

    def report(self, pending: Pending, epoch: int, value: float) -> bool:
        """Note what an epoch measured; whether the trial is to be given up."""
        with self._silence():
            pending.trial.report(value, epoch)
            return bool(pending.trial.should_prune())

    def tell(self, pending: Pending, state: str) -> Trial:
        """Note how a trial ended: "complete", "pruned" or "diverged"."""
        trial = pending.trial
        with self._silence():
            if state == "diverged":
                trial.set_user_attr(_DIVERGED, True)
            if state == "complete":
                self._study.tell(trial, self._told(trial).value)
            else:
                self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        return self._told(trial)

    def _told(self, trial: Any) -> Trial:
        """What the journal knows of it."""
        return self._trial(self._study.get_trials(deepcopy=False)[trial.number])


class _HeldAlready:
    """In place of a lock on the journal.

    Optuna's locks are files that a killed process leaves behind; the sweep's own goes with it.
    """

    def acquire(self) -> bool:
        """Nothing is to be done."""
        return True

    def release(self) -> None:
        """Nothing is to be done."""


def _larger_is_better(monitor: str) -> bool:
    best = BestValue(monitor, "auto")
    best.update({monitor: 0.0})
    return best.update({monitor: 1.0})


def _cut_torn_line(journal: Path) -> None:
    """Remove what a killed process began to write: the next line would be appended to it."""
    with contextlib.suppress(FileNotFoundError), open(journal, "r+b") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
