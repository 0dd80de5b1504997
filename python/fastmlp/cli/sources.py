"""Data as an argument: names and their completion, errors and warnings, loading."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, DataError
from fastmlp.cli.options import unknown
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.experiment.runner import Experiment
    from fastmlp.experiment.schema import Config

__all__ = [
    "canonical_name",
    "complete_source",
    "data_errors",
    "load_experiment",
    "plain_warnings",
    "require_source",
]


@contextmanager
def plain_warnings(*, quiet: bool = False) -> Iterator[None]:
    """Print Python warnings as one line each, without the source line that raised them."""

    def show(message: Warning | str, *_rest: Any, **_more: Any) -> None:
        click.echo(f"fastmlp: warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", UserWarning)
        warnings.showwarning = show
        yield


@contextmanager
def data_errors(source: str = "") -> Iterator[None]:
    """Turn errors of the data into exit code 3 and errors of settings into exit code 2.

    Parameters
    ----------
    source : str
        The data, put in front of a message that does not name it.
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
    """Return the registered name of a data set, or raise with the nearest one."""
    from fastmlp.datasets.registry import REGISTRY, get_spec

    try:
        return get_spec(name).name
    except ValueError as error:
        raise ConfigError(unknown("data set", name, REGISTRY)) from error


def complete_source(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    """Offer the names of data sets, and files where none fits."""
    from click.shell_completion import CompletionItem

    from fastmlp.datasets.registry import REGISTRY

    names = [CompletionItem(name) for name in REGISTRY if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def require_source(source: str) -> None:
    """Raise where there is neither a file, a directory nor a data set of this name.

    Raises
    ------
    ConfigError
        A name that no data set has.
    DataError
        A path that does not exist.
    """
    if source != "-" and not os.path.exists(os.path.expanduser(source)):
        if os.sep in source or "." in source:
            raise DataError(f"{source}: does not exist")
        canonical_name(source)


def load_experiment(config: Config, *, quiet: bool) -> Experiment:
    """Read and prepare the data; print first which data that is."""

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    require_source(str(config.data.source))
    # Printed before the heavy imports: the first sign of life must not wait for them.
    report(f"loading {config.data.source}")
    from fastmlp.experiment import runner

    with plain_warnings(quiet=quiet), data_errors():
        return runner.load_experiment(config, report)
