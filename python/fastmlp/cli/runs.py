"""Runs and models as arguments: names, completion, opening, and a run's own data."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.sources import data_errors, load_experiment
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment
    from fastmlp.experiment.sweep import Sweep
    from fastmlp.model import MLP

__all__ = [
    "complete_run",
    "held",
    "load_own_data",
    "model_file_errors",
    "open_model",
    "open_run",
    "resolve_run",
    "run_errors",
    "run_number",
    "run_or_file",
    "run_paths",
    "runs_directory",
]

_NUMBERED = re.compile(r"([0-9]+)-")


# ---------------------------------------------------------------- names


def runs_directory() -> Path:
    """Where runs are looked for: `FASTMLP_RUNS`, else `runs`."""
    return Path(os.path.expanduser(os.environ.get("FASTMLP_RUNS") or "runs"))


def run_paths(parent: str | os.PathLike[str]) -> list[Path]:
    """Directories below `parent` that hold a run, numbered ones first and by their number."""
    try:
        entries = list(Path(parent).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    runs = [entry for entry in entries if os.path.isfile(entry / "config.toml")]
    return sorted(runs, key=_place)


def _place(path: Path) -> tuple[bool, int, str, str]:
    # By length, then text: the order of numbers of any size.
    number = run_number(path)
    return number is None, len(number or ""), number or "", path.name


def run_number(path: Path) -> str | None:
    """Number of a run without leading zeros, or None where its name has none."""
    match = _NUMBERED.match(path.name)
    return (match[1].lstrip("0") or "0") if match else None


def resolve_run(argument: str, parent: str | os.PathLike[str] | None = None) -> Path:
    """The path that an argument means, whether it exists or not.

    Parameters
    ----------
    argument : str
        ``3`` or ``003`` is the run of that number, even where a file has this name; ``./3`` is a
        path. What does not exist as a path is looked for by name in `parent`.
    parent : str or os.PathLike, optional
        Directory of the runs, `runs_directory` by default.

    Raises
    ------
    ConfigError
        No run, or more than one, has the number.
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


def complete_run(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    """Offer the runs, and files where none fits."""
    from click.shell_completion import CompletionItem

    parent = ctx.params.get("runs") or runs_directory()
    names = [run.name for run in run_paths(parent) if run.name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


# ---------------------------------------------------------------- opening


@contextmanager
def run_errors() -> Iterator[None]:
    """Turn errors in the files of a run into exit code 2, where a command takes runs only."""
    try:
        yield
    except FormatError as error:
        raise ConfigError(str(error)) from error


def open_run(argument: str, parent: str | os.PathLike[str] | None = None) -> RunDirectory:
    """The run that an argument means.

    Raises
    ------
    ConfigError
        There is none.
    """
    return _opened(resolve_run(argument, parent))


def _opened(path: Path) -> RunDirectory:
    from fastmlp.experiment.rundir import RunDirectory

    with run_errors():
        return RunDirectory.open(path)


def run_or_file(argument: str) -> Path:
    """The directory of the run, or the file, that a MODEL argument means.

    Raises
    ------
    CliError
        There is no such run or file, with the exit code of a model file.
    FormatError
        A directory is no run.
    """
    from fastmlp.experiment.rundir import RunDirectory

    path = resolve_run(argument)
    if path.is_dir():
        return RunDirectory.open(path).path
    if not os.path.lexists(path):
        raise CliError(f"{path}: is neither a run nor a file", ExitCode.MODEL_FILE)
    return path


def open_model(place: Path) -> tuple[MLP, Path]:
    """The model in a file, or the one that a run selected, and its file.

    Parameters
    ----------
    place : pathlib.Path
        From `run_or_file`.

    Raises
    ------
    FormatError
        The file is damaged, or the run has no model yet.
    CliError
        The file cannot be opened.
    """
    from fastmlp.experiment.rundir import model_path
    from fastmlp.model import load

    path = model_path(place)
    with model_file_errors(path):
        return load(path), path


@contextmanager
def model_file_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system about a model file into exit code 4."""
    try:
        yield
    except OSError as error:
        text = f"{path}: {error.strerror or error}"
        raise CliError(text, ExitCode.MODEL_FILE) from error


@contextmanager
def held(directory: RunDirectory | Sweep) -> Iterator[None]:
    """Hold the directory of a run or a sweep.

    Raises
    ------
    ConfigError
        Another process holds it.
    """
    from fastmlp.experiment.locking import DirectoryInUseError

    try:
        with directory.locked():
            yield
    except DirectoryInUseError as error:
        raise ConfigError(str(error)) from error


def load_own_data(run: RunDirectory, *, quiet: bool) -> Experiment:
    """Read the data of a run again, divided and prepared as it was.

    Raises
    ------
    ConfigError
        It came from standard input, and that is a terminal.
    DataError
        It is missing, or no longer the same.
    FormatError
        A file of the run is damaged.
    """
    from fastmlp.experiment.runner import require_same_data

    config = run.config()
    run.environment()  # damage to this file is no error of the data
    if config.data.source == "-" and sys.stdin.isatty():
        raise ConfigError(f"{run.path}: its data came from standard input; pipe it in again")
    experiment = load_experiment(config, quiet=quiet)
    with data_errors():
        require_same_data(experiment, run)
    return experiment
