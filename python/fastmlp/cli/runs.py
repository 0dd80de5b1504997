"""Runs and models as arguments: names, completion, opening, loading the data of a run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.options import State
from fastmlp.cli.sources import data_errors, load_experiment, plain_warnings, require_source
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.data import Preprocessing
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.fold_bagging import Bagging
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment
    from fastmlp.experiment.schema import DataSection
    from fastmlp.model import MLP

__all__ = [
    "MARKS",
    "held",
    "load_own_data",
    "load_own_folds",
    "model_file_errors",
    "open_any_run",
    "open_model",
    "open_models",
    "open_run",
    "resolve_run",
    "run_errors",
    "run_number",
    "run_or_file",
    "run_paths",
    "runs_directory",
    "suggest_picture",
    "suggest_prediction",
]

# Files by which a directory is a run, of one network or of networks on folds.
MARKS = ("config.toml", "cross-validation.json")
_NUMBERED = re.compile(r"([0-9]+)-")


# ---------------------------------------------------------------- names


def runs_directory() -> Path:
    """Return the directory of the runs: `FASTMLP_RUNS`, else `runs`."""
    return Path(os.path.expanduser(os.environ.get("FASTMLP_RUNS") or "runs"))


def run_paths(parent: str | os.PathLike[str]) -> list[Path]:
    """Return the directories of runs in `parent`: numbered ones by number, then others by name."""
    try:
        entries = list(Path(parent).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(filter(_is_run, entries), key=_place)


def _is_run(path: Path) -> bool:
    """Return whether a directory holds a run, of one network or of networks on folds."""
    return any(os.path.isfile(path / name) for name in MARKS)


def _place(path: Path) -> tuple[bool, int, str, str]:
    # Sorting digits by length, then as text, orders numbers of any size.
    number = run_number(path)
    return number is None, len(number or ""), number or "", path.name


def run_number(path: Path) -> str | None:
    """Return the number of a run without leading zeros, or None if its name has no number."""
    match = _NUMBERED.match(path.name)
    return (match[1].lstrip("0") or "0") if match else None


def resolve_run(argument: str, parent: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of a run or file; it need not exist.

    Parameters
    ----------
    argument : str
        Number, name or path. ``3`` or ``003`` is always the number of a run, even if a file has
        this name; ``./3`` is a path. A name that does not exist as a path is searched in `parent`.
    parent : str or os.PathLike, optional
        Directory of the runs; by default `runs_directory`.

    Raises
    ------
    ConfigError
        No run or several runs have the number.
    """
    directory = runs_directory() if parent is None else Path(os.path.expanduser(parent))
    if argument.isascii() and argument.isdigit():
        return _by_number(argument, directory)
    path = Path(os.path.expanduser(argument))
    is_name = os.path.basename(argument) == argument
    if is_name and not os.path.lexists(path) and os.path.lexists(directory / argument):
        return directory / argument
    return path


def _by_number(argument: str, directory: Path) -> Path:
    runs = run_paths(directory)
    number = argument.lstrip("0") or "0"
    found = [run for run in runs if run_number(run) == number]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(str(run) for run in found)
        raise ConfigError(f"{names} have the number {argument}; name one of them")
    latest = f"; the latest is {runs[-1].name}" if runs else ""
    raise ConfigError(f"no run {argument} in {directory}{latest}")


# ---------------------------------------------------------------- opening


@contextmanager
def run_errors() -> Iterator[None]:
    """Convert errors in the files of a run to exit code 2, for commands that accept only runs."""
    try:
        yield
    except FormatError as error:
        raise ConfigError(str(error)) from error


def open_run(argument: str, parent: str | os.PathLike[str] | None = None) -> RunDirectory:
    """Open the run denoted by its number, name or path.

    Raises
    ------
    ConfigError
        The run does not exist.
    """
    return _opened(resolve_run(argument, parent))


def open_any_run(
    argument: str, parent: str | os.PathLike[str] | None = None
) -> RunDirectory | CrossValidationDirectory:
    """Open a run of one network as `open_run` does, or one of networks on folds."""
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory

    path = resolve_run(argument, parent)
    folds = CrossValidationDirectory(path)
    return folds if folds.definition_path.is_file() else _opened(path)


def _opened(path: Path) -> RunDirectory:
    from fastmlp.experiment.rundir import RunDirectory

    with run_errors():
        return RunDirectory.open(path)


def run_or_file(argument: str) -> Path:
    """Return the directory of a run or the file denoted by an argument MODEL.

    Raises
    ------
    CliError
        The run or file does not exist; the exit code is 4.
    FormatError
        The path is a directory that holds no run.
    """
    from fastmlp.experiment.rundir import RunDirectory

    path = resolve_run(argument)
    if path.is_dir():
        from fastmlp.experiment.rundir import holds_models

        return path if holds_models(path) else RunDirectory.open(path).path
    if not os.path.lexists(path):
        raise CliError(f"{path}: is neither a run nor a file", ExitCode.MODEL_FILE)
    return path


def open_model(place: Path) -> tuple[MLP, Path]:
    """Load the model of a file or the selected model of a run; return it with its file.

    Parameters
    ----------
    place : pathlib.Path
        Model file or directory of a run, as `run_or_file` returns it.

    Raises
    ------
    FormatError
        The file is damaged, or the run has no model yet.
    CliError
        The file cannot be opened.
    """
    from fastmlp.experiment.rundir import model_path
    from fastmlp.model import load_mlp
    from fastmlp.model_file import NoModelFileError

    path = model_path(place)
    with model_file_errors(path):
        try:
            return load_mlp(path), path
        except NoModelFileError as error:
            hint = "MODEL, the first argument, is a run or a model file"
            raise NoModelFileError(f"{error}; {hint}") from error


def open_models(place: Path) -> tuple[MLP | BaggedModel, Path]:
    """Load a model as `open_model` does, or the models of a cross-validation as one.

    Raises
    ------
    FormatError
        A file is damaged, or the run or the cross-validation is not finished.
    CliError
        A file cannot be opened.
    """
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.rundir import holds_models

    if not holds_models(place):
        return open_model(place)
    with model_file_errors(place):
        return BaggedModel.load(place), place


@contextmanager
def model_file_errors(path: Path) -> Iterator[None]:
    """Convert OSError about a model file to exit code 4."""
    try:
        yield
    except OSError as error:
        text = f"{path}: {error.strerror or error}"
        raise CliError(text, ExitCode.MODEL_FILE) from error


def suggest_picture(state: State, place: Path, kind: str) -> None:
    """Suggest to draw a picture of a run, if it is one and the package is installed."""
    if (place / "config.toml").is_file() and find_spec("matplotlib") is not None:
        state.suggest("plot", place, kind)


def suggest_prediction(state: State, place: Path, data: DataSection) -> None:
    """Suggest to predict for the samples that a model was trained on, to show how it is done."""
    source = data.source
    if source is None or not os.path.exists(source):
        return
    if data.stream or (os.path.isfile(source) and not source.endswith(".npz")):
        below = os.path.relpath(source)
        shown = source if below.startswith("..") else below
        state.suggest("predict", place, shown, *(["--stream"] if data.stream else []))


@contextmanager
def held(directory: RunDirectory | CrossValidationDirectory) -> Iterator[None]:
    """Lock the directory of a run or a cross-validation.

    Raises
    ------
    ConfigError
        Another process holds the lock.
    """
    from fastmlp.experiment.locking import DirectoryInUseError

    try:
        with directory.locked():
            yield
    except DirectoryInUseError as error:
        raise ConfigError(str(error)) from error


def load_own_data(
    run: RunDirectory, *, quiet: bool, instead: str = "pipe it in again"
) -> Experiment:
    """Read the data of a run again, with the same division, as its model reads it.

    Parameters
    ----------
    run : RunDirectory
    quiet : bool
    instead : str
        What to do if the data came from standard input, which is empty now.

    Raises
    ------
    ConfigError
        The data came from standard input, which now is a terminal or empty.
    DataError
        The data is missing or has changed.
    FormatError
        A file of the run is damaged.
    """
    from fastmlp.experiment.runner import require_same_data

    config = run.config()
    run.environment()  # outside `data_errors`: a damaged file is not an error of the data
    if config.data.source == "-" and not _pipes_data():
        raise ConfigError(f"{run.path}: its data came from a pipe, which is gone; {instead}")
    experiment = load_experiment(config, quiet=quiet, preprocessing=_preprocessing_of(run))
    with data_errors():
        require_same_data(experiment, run)
    return experiment


def load_own_folds(place: Path, *, quiet: bool) -> Bagging | None:
    """Read the data of networks on folds again, with the part that none of them has seen.

    Returns
    -------
    Bagging or None
        None if the directory has set nothing aside.

    Raises
    ------
    DataError
        The data is missing or has changed.
    FormatError
        A file of the directory is damaged.
    """
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.fold_bagging import bagging_of, sets_aside

    directory = CrossValidationDirectory(place)
    if not directory.definition_path.is_file() or not sets_aside(directory):
        return None
    require_source(str(directory.config().data.source))
    with plain_warnings(quiet=quiet), data_errors():
        return bagging_of(directory, None if quiet else partial(click.echo, err=True))


def _pipes_data() -> bool:
    """Return whether standard input is no terminal and holds anything."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        return False
    return not hasattr(stream, "peek") or bool(stream.peek(1))


def _preprocessing_of(run: RunDirectory) -> Preprocessing | None:
    """Return the preprocessing of a run's model; None if the run has no model yet."""
    from fastmlp.experiment.rundir import model_path
    from fastmlp.model import load_mlp

    try:
        path = model_path(run.path)
    except FormatError:
        return None
    with model_file_errors(path):
        return load_mlp(path).preprocessing
