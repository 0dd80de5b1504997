"""The directory of a sweep: the search, the journal of the trials, the best settings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmlp import _core
from fastmlp._files import atomic_write, read_regular_file, require_no_file
from fastmlp.errors import FormatError
from fastmlp.experiment import build
from fastmlp.experiment.architectures import keeps_last
from fastmlp.experiment.locking import is_empty, locked
from fastmlp.experiment.runner import Experiment, require_digests
from fastmlp.experiment.schema import Config
from fastmlp.experiment.search import Dimension, Value, changed, distinct, is_comparable
from fastmlp.experiment.settings import given_toml, read_settings
from fastmlp.experiment.study import Study, Trial
from fastmlp.experiment.trials import run_here, run_in_processes, trial_experiment

__all__ = ["Search", "Sweep", "require_trainable", "sharing_threads"]

_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Search:
    """The definition of a sweep.

    Attributes
    ----------
    dimensions : tuple of Dimension
        The searched settings.
    trials : int
        Total number of trials.
    seed : int
        Seed of the drawn values.
    prune : bool
        Whether trials that are worse than the median are stopped.
    data_sha256 : dict of str to str
        SHA-256 digests of the data by file; a sweep is resumed only on the same data.
    """

    dimensions: tuple[Dimension, ...]
    trials: int
    seed: int
    prune: bool
    data_sha256: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the content of search.json."""
        texts = [dimension.text() for dimension in self.dimensions]
        return {**vars(self), "dimensions": texts, "data_sha256": dict(self.data_sha256)}

    @classmethod
    def from_json(cls, content: Any) -> Search:
        """Return the search from the result of `as_json`.

        Raises
        ------
        LookupError, TypeError, ValueError
            `content` is not a result of `as_json`.
        """
        digests = {str(name): str(digest) for name, digest in dict(content["data_sha256"]).items()}
        return cls(
            distinct(list(map(str, content["dimensions"]))),
            int(content["trials"]),
            int(content["seed"]),
            bool(content["prune"]),
            digests,
        )


def require_trainable(
    config: Config, experiment: Experiment, dimensions: tuple[Dimension, ...]
) -> None:
    """Check the settings with both ends of each dimension before the first trial.

    Parameters
    ----------
    config : Config
        Settings that all trials share.
    experiment : Experiment
        Experiment with these settings.
    dimensions : tuple of Dimension

    Raises
    ------
    ValueError
        A setting contradicts the others; the message names it.
    """
    _try(config, {}, experiment)
    monitor = experiment.config.training.monitor
    if not all(is_comparable(dimension, experiment.config) for dimension in dimensions):
        raise ValueError(f"network.loss: {monitor} of different losses cannot be compared")
    first = {dimension.key: dimension.ends[0] for dimension in dimensions}
    for dimension in dimensions:
        for end in dimension.ends:
            try:
                _try(config, {**first, dimension.key: end}, experiment)
            except ValueError as error:
                raise ValueError(f"{dimension.key}={end}: {error}") from None


def _try(config: Config, settings: dict[str, Value], experiment: Experiment) -> None:
    try:
        trial = trial_experiment(config, settings, experiment.prepared)
        build.averaging(trial.config)
        build.class_weights(trial.config, trial.prepared.preprocessing)
        trial.new_model()
    except TypeError as error:
        raise ValueError(str(error)) from None


class Sweep:
    """The directory of a sweep.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    path, config_path, search_path, journal_path, best_path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.toml"
        self.search_path = path / "search.json"
        self.journal_path = path / "journal.log"
        self.best_path = path / "best.toml"

    @classmethod
    def create(cls, path: Path, config: Config, search: Search) -> Sweep:
        """Create the directory of a sweep.

        Raises
        ------
        ValueError
            The path is a file, or a directory that is not empty.
        DirectoryInUseError
            Another process creates the same directory.
        OSError
            The directory cannot be written.
        """
        cls.require_free(path)
        path.mkdir(parents=True, exist_ok=True)
        sweep = cls(path)
        with sweep.locked():
            cls.require_free(path)  # again, because the first check had no lock
            atomic_write(sweep.config_path, given_toml(config).encode())
            sweep.write(search)
        return sweep

    @staticmethod
    def require_free(path: Path) -> None:
        """Raise ValueError if `path` is a file or a directory that is not empty."""
        require_no_file(path)
        if path.is_dir() and not is_empty(path):
            raise ValueError(f"{path}: is not empty")

    @classmethod
    def open(cls, path: Path) -> Sweep:
        """Open the sweep in a directory.

        Raises
        ------
        FormatError
            The directory holds no sweep, or its files are damaged.
        """
        sweep = cls(path)
        if not sweep.search_path.is_file():
            problem = "has no search.json" if path.is_dir() else "is no directory"
            raise FormatError(f"{path}: {problem}; expected the directory of a sweep")
        sweep.config()
        sweep.search()
        return sweep

    def config(self) -> Config:
        """Return the settings that all trials share."""
        return Config.checked(read_settings(self.config_path))

    def search(self) -> Search:
        """Return the definition of the sweep."""
        try:
            return Search.from_json(json.loads(read_regular_file(self.search_path, _MAX_BYTES)))
        except (
            ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
        ) as error:  # fmt: skip
            raise FormatError(
                f"{self.search_path}: is not the definition of a sweep: {error}"
            ) from None

    def write(self, search: Search) -> None:
        """Write the definition of the sweep, from which it can be resumed."""
        text = json.dumps(search.as_json(), indent=2) + "\n"
        atomic_write(self.search_path, text.encode())

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that locks the sweep while its files are created.

        Raises
        ------
        DirectoryInUseError
            Another process holds the lock.
        """
        return locked(self.path)

    def require_same_data(self, experiment: Experiment) -> None:
        """Raise FormatError if the data has changed since the sweep began."""
        message = f"{self.path}: the data has changed since the sweep began"
        require_digests(experiment, self.search().data_sha256, message)

    def study(self, monitor: str) -> Study:
        """Open the study with the trials so far, which other processes may share.

        Raises
        ------
        MissingExtraError, FormatError, OSError
            `Study` raised the exception.
        """
        search = self.search()
        return Study(
            self.journal_path,
            search.dimensions,
            monitor=monitor,
            seed=search.seed,
            prune=search.prune,
            keeps_last=keeps_last(self.config()),
        )

    def run(
        self,
        study: Study,
        experiment: Experiment,
        *,
        jobs: int = 1,
        listener: Callable[[Trial], object] = lambda trial: None,
    ) -> None:
        """Train all missing trials; the best settings are written even after an exception.

        Other processes may do the same, and each waits for the trials of all: what one loses
        because it is ended, the others draw again.

        Parameters
        ----------
        study : Study
        experiment : Experiment
            Experiment with the settings of the sweep.
        jobs : int
            Number of trials at the same time; several run in one worker process each. With one job
            the seed determines the trials; with several they also depend on the order in which
            trials end.
        listener : callable
            Function that is called with each finished trial.

        Raises
        ------
        WorkerError
            A worker process was ended from outside.
        ValueError
            Settings of a trial are out of range.
        """
        config, total = self.config(), self.search().trials
        try:
            if jobs == 1:
                run_here(config, experiment.prepared, study, total, listener)
            else:
                run_in_processes(sharing_threads(config, jobs), study, total, jobs, listener)
        finally:
            study.close()
            self._write_best(study)

    def _write_best(self, study: Study) -> None:
        best = study.best()
        if best is not None:
            text = given_toml(changed(self.config(), best.settings))
            atomic_write(self.best_path, text.encode())


def sharing_threads(config: Config, jobs: int) -> Config:
    """Return the settings with the CPUs divided between the processes, unless threads are set."""
    threads = config.training.threads or max(1, _core.available_threads() // jobs)
    training = config.training.model_copy(update={"threads": threads})
    return config.model_copy(update={"training": training})
