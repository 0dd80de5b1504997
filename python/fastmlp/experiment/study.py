"""The trials of a sweep, drawn and recorded by Optuna in a journal file, which processes share."""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.errors import FormatError
from fastmlp.experiment.locking import Member, Turns
from fastmlp.experiment.search import Dimension, Value
from fastmlp.extras import require
from fastmlp.history import BestValue

__all__ = ["Pending", "Study", "Trial"]

# No trial is pruned before this epoch: early losses predict the final loss poorly.
_PRUNING_FROM = 3
# Names of user attributes of Optuna's trials.
_NUMBER, _DIVERGED, _PROCESS = "number", "diverged", "process"


@dataclass(frozen=True)
class Trial:
    """One trial: a set of drawn values and its result.

    Attributes
    ----------
    number : int
        Position in the order of the draws, from 0.
    state : {"running", "complete", "pruned", "diverged"}
    settings : dict of str to int, float or str
        Drawn values by ``section.name``.
    epochs : int
        Number of measured epochs.
    best_epoch : int or None
        Epoch with the best monitored value; None if no value is finite.
    value : float or None
        Monitored value of the best epoch.
    """

    number: int
    state: str
    settings: dict[str, Value]
    epochs: int
    best_epoch: int | None
    value: float | None


@dataclass(frozen=True)
class Pending:
    """A running trial and Optuna's object for it."""

    trial: Any
    settings: dict[str, Value]


class Study:
    """The Optuna study of one sweep.

    The values of the n-th trial depend only on the seed, on n and on the earlier trials. A resumed
    sweep therefore draws the same values as an uninterrupted one. Unfinished trials are drawn
    again, once the process that drew them has ended: several may share the journal, on all
    machines that can lock it.

    Parameters
    ----------
    journal : pathlib.Path
        Journal file; it is created if it does not exist.
    dimensions : sequence of Dimension
        The searched settings.
    monitor : str
        Quantity to optimize; `BestValue` decides whether larger or smaller is better.
    seed : int
        Seed of the drawn values.
    prune : bool
        Whether to stop trials that are worse than the median.
    keeps_last : bool
        Whether the last one of several equally good epochs of a trial is the best.

    Raises
    ------
    MissingExtraError
        Optuna is not installed.
    FormatError
        The journal is damaged.
    OSError
        The journal cannot be read or written.
    """

    def __init__(
        self,
        journal: Path,
        dimensions: Sequence[Dimension],
        *,
        monitor: str,
        seed: int,
        prune: bool,
        keeps_last: bool = False,
    ) -> None:
        self._optuna = optuna = require("sweep", "optuna")
        self._dimensions = dimensions
        self._monitor = monitor
        self._keeps_last = keeps_last
        self._seed = seed
        self._turns = _Journal(journal)
        self._process = Member(journal.parent)
        pruners = optuna.pruners
        with self._silence(), self._turns:
            backend = optuna.storages.journal.JournalFileBackend(str(journal), self._turns)
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
                self._give_up_lost()
            except (AssertionError, LookupError, TypeError, ValueError) as error:
                raise FormatError(f"{journal}: is not the journal of a sweep: {error}") from error

    @contextlib.contextmanager
    def _silence(self) -> Iterator[None]:
        """Suppress Optuna's log and its warnings about experimental features."""
        log = self._optuna.logging
        before = log.get_verbosity()
        log.set_verbosity(log.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            log.set_verbosity(before)

    def _give_up_lost(self) -> None:
        """Mark running trials as failed whose process has ended."""
        for trial in self._running():
            process = trial.user_attrs.get(_PROCESS)
            if process is None or self._process.has_ended(str(process)):
                self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def _running(self) -> list[Any]:
        states = (self._optuna.trial.TrialState.RUNNING,)
        return list(self._study.get_trials(deepcopy=False, states=states))

    def _kept(self) -> list[Any]:
        """Return Optuna's trials without the failed ones."""
        failed = self._optuna.trial.TrialState.FAIL
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != failed]

    def __len__(self) -> int:
        return len(self._kept())

    def trials(self) -> list[Trial]:
        """Return all trials in the order of their numbers, without the failed ones."""
        return sorted(map(self._trial, self._kept()), key=lambda trial: trial.number)

    def _trial(self, trial: Any) -> Trial:
        best = BestValue(self._monitor, "auto", takes_ties=self._keeps_last)
        epoch = None
        for step, value in sorted(trial.intermediate_values.items()):
            if best.update({self._monitor: value}):
                epoch = step
        state = "diverged" if trial.user_attrs.get(_DIVERGED) else trial.state.name.lower()
        epochs = len(trial.intermediate_values)
        number = trial.user_attrs.get(_NUMBER, trial.number)
        return Trial(number, state, dict(trial.params), epochs, epoch, best.value)

    def best(self) -> Trial | None:
        """Return the best completed trial, the first of equal ones; None if there is none."""
        best, found = BestValue(self._monitor, "auto"), None
        for trial in self.trials():
            if trial.state == "complete" and best.update({self._monitor: trial.value}):
                found = trial
        return found

    def draw(self, total: int) -> Pending | None:
        """Draw a new trial, unless there are `total` that are finished or running."""
        with self._turns, self._silence():
            self._give_up_lost()
            return self.ask() if len(self) < total else None

    @property
    def is_running(self) -> bool:
        """Whether a trial is running, of which another process may yet lose some."""
        return bool(self._running())

    def close(self) -> None:
        """Tell other processes that this one trains no more."""
        with self._turns:
            self._process.leave()

    def ask(self) -> Pending:
        """Draw the values of a new trial and mark it as running."""
        with self._turns:
            return self._ask()

    def _ask(self) -> Pending:
        self._process.join()
        taken = {trial.user_attrs.get(_NUMBER) for trial in self._kept()}
        number = next(n for n in itertools.count() if n not in taken)
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        with self._silence():
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            trial = self._study.ask()
            trial.set_user_attr(_PROCESS, self._process.name)
            trial.set_user_attr(_NUMBER, number)
            settings = {d.key: d.suggest(trial) for d in self._dimensions}
        return Pending(trial, settings)

    def report(self, pending: Pending, epoch: int, value: float) -> bool:
        """Record the value of an epoch; return True if the trial should be stopped."""
        with self._silence():
            pending.trial.report(value, epoch)
            return bool(pending.trial.should_prune())

    def tell(self, pending: Pending, state: str) -> Trial:
        """Record the end of a trial and return the trial.

        Parameters
        ----------
        pending : Pending
        state : {"complete", "pruned", "diverged"}
        """
        trial = pending.trial
        with self._silence():
            if state == "diverged":
                trial.set_user_attr(_DIVERGED, True)
            if state == "complete":
                self._study.tell(trial, self._stored(trial).value)
            else:
                self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        return self._stored(trial)

    def _stored(self, trial: Any) -> Trial:
        """Return the trial as it is stored in the journal."""
        return self._trial(self._study.get_trials(deepcopy=False)[trial.number])


class _Journal(Turns):
    """The turns of processes to write the journal.

    Optuna's own locks are files, which a killed process would leave behind.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.with_name(f".{journal.name}.lock"))
        self._journal = journal

    def acquire(self) -> bool:
        """Wait for the turn, and remove what a killed process has left unfinished."""
        super().acquire()
        _cut_torn_line(self._journal)
        return True


def _larger_is_better(monitor: str) -> bool:
    best = BestValue(monitor, "auto")
    best.update({monitor: 0.0})
    return best.update({monitor: 1.0})


def _cut_torn_line(journal: Path) -> None:
    """Remove an incomplete last line; otherwise the next line would be appended to it."""
    with open(journal, "a+b") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
