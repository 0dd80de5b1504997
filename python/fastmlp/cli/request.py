"""From what the user asked for to settings and data; shared by all commands that load data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, DataError
from fastmlp.cli.setting_options import speaking_of_flags
from fastmlp.cli.sources import canonical_name, plain_warnings
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.experiment.runner import Experiment
    from fastmlp.experiment.schema import Config

__all__ = ["Request", "data_errors", "load_experiment", "require_source", "resolve_settings"]


@dataclass(frozen=True)
class Request:
    """What the user asked for: settings by section, and how to go about it."""

    dataset: str | None = None
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    config_file: str | None = None
    assignments: tuple[str, ...] = ()
    resume: str | None = None
    out: str | None = None
    overwrite: bool = False
    offline: bool = False
    report: bool | None = None
    dry_run: bool = False
    quiet: bool = False
    verbose: bool = False


def resolve_settings(request: Request) -> Config:
    """The settings from flags and variables, files, recipe; in this order of strength.

    Raises
    ------
    ConfigError
        One of them is wrong; it is named as the user wrote it.
    """
    from fastmlp.experiment import settings

    layers = _file_layers(request)
    assigned: dict[str, Any] = {}
    try:
        for assignment in request.assignments:
            settings.assign(assigned, assignment)
    except ValueError as error:
        raise ConfigError(f"--set: {error}") from error
    try:
        return settings.resolve(request.dataset, [*layers, request.given, assigned])
    except ValueError as error:
        raise speaking_of_flags(error, request.given) from error


def _file_layers(request: Request) -> list[dict[str, Any]]:
    from pathlib import Path

    from fastmlp.experiment.settings import LOCAL_NAME, read_settings, user_settings_path

    if request.config_file is not None:
        paths = [Path(request.config_file)]
    else:
        paths = [p for p in (user_settings_path(), Path(LOCAL_NAME)) if p.exists()]
    try:
        return [read_settings(path) for path in paths]
    except (FormatError, OSError) as error:
        raise ConfigError(str(error)) from error


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Every fault of the data becomes an error with exit code 3, of settings one with 2."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        raise DataError(f"{error.filename}: {error.strerror}" if named else str(error)) from error
    except FormatError as error:
        raise DataError(str(error)) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def require_source(source: str) -> None:
    """Require a file, a directory, - or the name of a set."""
    if source != "-" and not os.path.exists(os.path.expanduser(source)):
        if os.sep in source or "." in source:
            raise DataError(f"{source}: does not exist")
        canonical_name(source)


def load_experiment(config: Config, *, quiet: bool) -> Experiment:
    """Read and prepare the data, and say so first."""

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    require_source(str(config.data.source))
    # Said before the heavy imports: the first sign of life must not wait for them.
    report(f"loading {config.data.source}")
    from fastmlp.experiment import runner

    with plain_warnings(quiet=quiet), data_errors():
        return runner.load_experiment(config, report)
