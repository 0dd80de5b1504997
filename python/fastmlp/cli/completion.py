"""What a shell offers for arguments and options: names, columns of the table, runs, files.

A completion writes nothing and raises nothing: where something is wrong, nothing is offered.
"""

from __future__ import annotations

import csv
import glob
import gzip
import json
import os
import shlex
from collections.abc import Callable, Iterable
from typing import Any

import click

from fastmlp.cli.runs import run_paths, runs_directory

__all__ = [
    "Completion",
    "complete_columns",
    "complete_file",
    "complete_metric",
    "complete_run",
    "complete_set",
    "complete_source",
    "completes",
]

Completion = Callable[[click.Context, click.Parameter, str], list[Any]]
# A header is not longer than this; of a file without line ends no more is read.
_HEADER_BYTES = 1 << 20
_SEPARATORS = ",;\t|"


def completes(names: Iterable[str] | Callable[[], Iterable[str]], *, several: bool = False) -> Any:
    """Return a completion of fixed names.

    Parameters
    ----------
    names : iterable of str, or callable
        The names, or what returns them when they are asked for.
    several : bool
        Whether commas may separate several names.
    """

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        known = list(names() if callable(names) else names)
        return _of_list(known, incomplete) if several else _beginning(known, incomplete)

    return complete


def complete_run(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete names of runs, or files if no name matches."""
    parent = ctx.params.get("runs") or runs_directory()
    return _beginning([run.name for run in run_paths(parent)], incomplete) or _files(incomplete)


def complete_set(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of data sets."""
    from fastmlp.datasets.registry import REGISTRY

    return _beginning(REGISTRY, incomplete)


def complete_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete names of data sets, or files if no name matches."""
    return complete_set(ctx, param, incomplete) or _files(incomplete)


def complete_file(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete names of files."""
    return _files(incomplete)


def complete_metric(_ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of metrics; for a quantity of each epoch, with its prefix."""
    from fastmlp.metrics import METRICS

    if param.name == "training__monitor":
        names = ["loss", "accuracy", "val_loss", *(f"val_{name}" for name in METRICS)]
        return _beginning(names, incomplete)
    return _beginning(METRICS, incomplete)


def complete_columns(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of columns of the table that the line names before, several with commas."""
    # Where an option lacks its value, as it does here, click leaves arguments among the rest.
    source = ctx.params.get("dataset") or next(iter(ctx.args), None)
    if not isinstance(source, str):
        return []
    try:
        names = _columns(source, ctx.params.get("data__separator"))
    except Exception:  # whatever it is, the command itself will say it
        return []
    names = [name for name in names if name and name.isprintable()]
    if "," not in (param.metavar or "") and param.metavar is not None:
        return _quoted(_beginning(names, incomplete))
    return _quoted(_of_list([name for name in names if "," not in name], incomplete))


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _of_list(names: Iterable[str], incomplete: str) -> list[str]:
    """Return what the last name of a list may become, with the names before it."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [before + comma + name for name in _beginning(names, last) if name not in given]


def _files(incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _quoted(words: list[str]) -> list[str]:
    """Quote words for bash, which inserts them as they are; other shells quote themselves."""
    in_bash = os.environ.get("_FASTMLP_COMPLETE", "").startswith("bash")
    return [shlex.quote(word) for word in words] if in_bash else words


# ---------------------------------------------------------------- headers


def _columns(source: str, separator: str | None) -> list[str]:
    """Read the names of the columns of a table, and no more of it."""
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        path = os.path.join(glob.escape(path), "*")
    if glob.has_magic(path):
        path = min(filter(os.path.isfile, glob.glob(path)))
    name = path.lower().removesuffix(".gz")
    if name.endswith((".parquet", ".feather", ".arrow", ".ipc")):
        import polars

        read = polars.read_parquet_schema if name.endswith(".parquet") else polars.read_ipc_schema
        return list(read(path))
    if not os.path.isfile(path):
        return []
    with open(path, "rb") as file:
        stream = gzip.GzipFile(fileobj=file) if path.lower().endswith(".gz") else file
        lines = stream.read(_HEADER_BYTES).decode("utf-8-sig", "replace")
    head = next((line for line in lines.splitlines() if line.strip() and line[0] != "#"), "")
    if name.endswith((".jsonl", ".ndjson")):
        return list(json.loads(head))
    if separator is None:
        separator = max(_SEPARATORS, key=head.count)
    return [cell.strip() for cell in next(csv.reader([head], delimiter=separator))]
