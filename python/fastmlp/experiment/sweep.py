"""A search for settings: trials by several processes, kept in a journal that outlives them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmlp._files import atomic_write, read_regular_file
from fastmlp.callbacks import Callback
from fastmlp.errors import DivergedError, FormatError
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment
from fastmlp.experiment.schema import Config
from fastmlp.experiment.search import Dimension, with_values
from fastmlp.experiment.settings import read_settings, toml
from fastmlp.extras import require
from fastmlp.history import Record
from fastmlp.lbfgs import LBFGS
from fastmlp.monitoring import BestValue
from fastmlp.training import Training

__all__ = ["Sweep", "Trial"]

_PRUNER_WARM_UP = 3  # epochs before a trial may be given up


@dataclass(frozen=True)
class Trial:
    """One set of values and what came of it."""

    number: int
    state: str  # "complete", "pruned", "failed" or "running"
    value: float | None
    settings: dict[str, Any]
    epoch: int | None


class Sweep:
    """A directory with the settings of a search, its journal and the best settings so far.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.toml"
        self.search_path = path / "search.json"
        self.journal_path = path / "journal.log"
        self.best_path = path / "best.toml"

    @classmethod
    def create(
        cls, path: Path, config: Config, dimensions: list[Dimension], *, seed: int, prune: bool
    ) -> Sweep:
        """Write down what is to be searched.

        Raises
        ------
        ValueError
            The directory is not empty.
        OSError
            It cannot be written.
        """
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ValueError(f"{path}: is not empty")
        sweep = cls(path)
        atomic_write(sweep.config_path, toml(config).encode())
        search = {
            "dimensions": [dimension.text() for dimension in dimensions],
            "seed": seed,
            "prune": prune,
        }
        atomic_write(sweep.search_path, (json.dumps(search, indent=2) + "\n").encode())
        return sweep

    @classmethod
    def open(cls, path: Path) -> Sweep:
        """The sweep in a directory.

        Raises
        ------
        FormatError
            There is none, or its files are damaged.
        """
        sweep = cls(path)
        if not sweep.search_path.is_file():
            raise FormatError(f"{path}: has no search.json; expected the directory of a sweep")
        sweep.dimensions()
        return sweep

    def config(self) -> Config:
        """The settings that all trials share."""
        return Config.checked(read_settings(self.config_path))

    def _search(self) -> dict[str, Any]:
        try:
            search = json.loads(read_regular_file(self.search_path))
            return {
                "dimensions": [Dimension.parse(text) for text in search["dimensions"]],
                "seed": int(search["seed"]),
                "prune": bool(search["prune"]),
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{self.search_path}: is not that of a sweep: {error}") from None

    def dimensions(self) -> list[Dimension]:
        """What is searched."""
        found: list[Dimension] = self._search()["dimensions"]
        return found

    def study(self, *, seed_offset: int = 0, monitor: str = "loss") -> Any:
        """Optuna's study on the journal.

        Parameters
        ----------
        seed_offset : int
            Number of the worker: each draws other values.
        monitor : str
            What is optimised; decides the direction.

        Raises
        ------
        MissingExtraError
            Optuna is not installed.
        """
        optuna = require("sweep", "optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        search = self._search()
        backend = optuna.storages.journal.JournalFileBackend(str(self.journal_path))
        larger = monitor.rpartition("_")[2] == "accuracy"
        pruner = (
            optuna.pruners.MedianPruner(n_warmup_steps=_PRUNER_WARM_UP)
            if search["prune"]
            else optuna.pruners.NopPruner()
        )
        return optuna.create_study(
            study_name="sweep",
            storage=optuna.storages.JournalStorage(backend),
            sampler=optuna.samplers.TPESampler(seed=search["seed"] + seed_offset),
            pruner=pruner,
            direction="maximize" if larger else "minimize",
            load_if_exists=True,
        )

    def trials(self, study: Any) -> list[Trial]:
        """All trials so far, by number."""
        names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        return [
            Trial(
                trial.number,
                names.get(trial.state.name, "running"),
                trial.value,
                dict(trial.params),
                trial.user_attrs.get("epoch"),
            )
            for trial in study.trials
        ]

    def forget_running(self, study: Any) -> int:
        """Count trials of killed processes as failed; only while no worker runs."""
        optuna = require("sweep", "optuna")
        stale = [t for t in study.trials if t.state == optuna.trial.TrialState.RUNNING]
        for trial in stale:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return len(stale)

    def work(
        self,
        experiment: Experiment,
        total: int,
        *,
        worker: int = 0,
        report: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        """Run trials until there are `total`, together with the other workers."""
        optuna = require("sweep", "optuna")
        monitor = experiment.config.training.monitor or "loss"
        study = self.study(seed_offset=worker, monitor=monitor)
        failed = optuna.trial.TrialState.FAIL
        while True:
            with self._turn():
                if sum(t.state != failed for t in study.trials) >= total:
                    return
                trial = study.ask()
                changes = {d.key: d.suggest(trial) for d in self.dimensions()}
            try:
                epoch, value = _best_of(experiment, changes, trial)
                trial.set_user_attr("epoch", epoch)
                study.tell(trial, value)
            except (optuna.TrialPruned, DivergedError):
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            except BaseException:
                study.tell(trial, state=failed)
                raise
            report(self.trials(study)[trial.number])

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One worker at a time looks how many trials there are and takes the next."""
        import fcntl

        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write_best(self, study: Any) -> Trial | None:
        """Write the best settings, with which `fastmlp train --config` goes on."""
        complete = [t for t in self.trials(study) if t.state == "complete"]
        if not complete:
            return None
        best = next(t for t in complete if t.number == study.best_trial.number)
        changes = {d.key: d.plain(best.settings[d.key]) for d in self.dimensions()}
        config = Config.checked(with_values(self.config().values(), changes))
        atomic_write(self.best_path, toml(config).encode())
        return best


class _Pruning(Callback):
    """Tells a trial what each epoch measured, and gives up where others were better."""

    def __init__(self, trial: Any, monitor: str) -> None:
        self._trial = trial
        self._monitor = monitor
        self._best = BestValue(monitor, "auto")
        self.epoch = 0

    @property
    def value(self) -> float | None:
        """The best value so far."""
        return self._best.value

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Report; raises Optuna's TrialPruned."""
        if self._best.update(record):
            self.epoch = record["epoch"]
        self._trial.report(record[self._monitor], record["epoch"])
        if self._trial.should_prune():
            raise require("sweep", "optuna").TrialPruned


def _best_of(experiment: Experiment, changes: dict[str, Any], trial: Any) -> tuple[int, float]:
    """Train once; the best epoch and its value."""
    config = Config.checked(with_values(experiment.config.values(), changes))
    changed = Experiment(build.completed(config, experiment.prepared), experiment.prepared)
    training = changed.config.training
    optimizer = build.optimizer(changed.config)
    if isinstance(optimizer, LBFGS):
        raise ValueError("optimizer: lbfgs has no epochs to search by")
    samples, measured = changed.prepared.train, changed.monitored
    watcher = _Pruning(trial, training.monitor or "loss")
    changed.new_model().fit(
        samples.x,
        samples.y,
        epochs=training.epochs or 1,
        batch_size=training.batch_size or 1,
        optimizer=optimizer,
        validation_data=None if measured is None else (measured.x, measured.y),
        sample_weight=samples.weight,
        class_weight=build.class_weights(changed.config, changed.prepared.preprocessing),
        shuffle=training.shuffle,
        threads=training.threads,
        averaging=build.averaging(changed.config),
        callbacks=[watcher],
        verbose=0,
    )
    assert watcher.value is not None
    return watcher.epoch, watcher.value
