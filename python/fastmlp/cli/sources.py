"""Data sources as arguments: names, completion, errors, warnings, loading."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fastmlp.cli.errors import ConfigError, DataError
from fastmlp.cli.options import unknown
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.data import Preprocessing
    from fastmlp.experiment.runner import Experiment
    from fastmlp.experiment.schema import Config

__all__ = [
    "canonical_name",
    "data_errors",
    "load_experiment",
    "plain_warnings",
    "require_source",
]


@contextmanager
def plain_warnings(*, quiet: bool = False) -> Iterator[None]:
    """Print each warning for users, also repeated ones, or none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", UserWarning)
        yield


@contextmanager
def data_errors(source: str = "") -> Iterator[None]:
    """Convert errors of the data to exit code 3 and errors of settings to exit code 2.

    Parameters
    ----------
    source : str
        Name of the data, which is prepended to messages that lack it.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or source
        text = error.strerror or error
        raise DataError(f"{place}: {text}" if place else str(error)) from error
    except FormatError as error:
        named = source in str(error) or source == "-"
        raise DataError(str(error) if named else f"{source}: {error}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def canonical_name(name: str) -> str:
    """Return the registered name of a data set; the error suggests the nearest name."""
    from fastmlp.datasets.registry import REGISTRY, get_spec

    try:
        return get_spec(name).name
    except ValueError as error:
        raise ConfigError(unknown("data set", name, REGISTRY)) from error


def require_source(source: str) -> None:
    """Raise an error if `source` is no file, directory, pattern of files or name of a data set.

    Raises
    ------
    ConfigError
        `source` looks like a name, but no data set has it.
    DataError
        `source` looks like a path that does not exist, or no file fits a pattern.
    """
    path = os.path.expanduser(source)
    if source != "-" and not os.path.exists(path):
        if glob.has_magic(path):
            if next(glob.iglob(path), None) is None:
                raise DataError(f"{source}: no file has a name like this")
            return
        if os.path.basename(source) != source or "." in source:
            raise DataError(f"{source}: does not exist")
        canonical_name(source)


def load_experiment(
    config: Config, *, quiet: bool, preprocessing: Preprocessing | None = None
) -> Experiment:
    """Print the name of the data, then read and prepare it, for a new model or an existing one."""

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    require_source(str(config.data.source))
    # The heavy imports follow, so that the user sees this line without a delay.
    report(f"loading {config.data.source}")
    from fastmlp.experiment import runner

    with plain_warnings(quiet=quiet), data_errors():
        return runner.load_experiment(config, report, preprocessing=preprocessing)
