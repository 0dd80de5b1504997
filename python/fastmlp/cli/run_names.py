"""The RUN argument of commands: a number, a name that `fastmlp runs list` shows, or a path."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from fastmlp.cli.errors import ConfigError

__all__ = ["complete_run", "resolve_run", "run_number", "run_paths", "runs_directory"]

_NUMBERED = re.compile(r"([0-9]+)-")


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
    """The path that an argument means; whether it exists is for the caller to see.

    Parameters
    ----------
    argument : str
        ``3`` or ``003`` is the run of that number, whatever else has this name; ``./3`` is a path.
        What does not exist as a path is looked for by name in `parent`.
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
