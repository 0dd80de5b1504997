"""`fastmlp runs`: what was trained, in one line each or all about one, and its removal."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastmlp.cli.errors import CliError, ConfigError
from fastmlp.cli.options import CommandBase, GroupBase, State, common_options, state_of
from fastmlp.cli.run_names import complete_run, resolve_run, run_paths, runs_directory

if TYPE_CHECKING:
    from fastmlp.cli.run_summary import RunSummary
    from fastmlp.experiment.rundir import RunDirectory

__all__ = ["runs"]

F = TypeVar("F", bound=Callable[..., Any])
EXAMPLES = """\
fastmlp runs list --sort result
fastmlp runs show 3
fastmlp runs rm 1 2 --dry-run"""
HEADER = ("name", "data", "status", "epochs", "result", "best", "seconds", "started")
NUMBERS = ("epochs", "result", "seconds")
SORTS = ("name", "data", "status", "epochs", "result", "seconds", "started")
# Directories that commands make in a run's; what else lies there was put there by somebody.
OWN_DIRECTORIES = ("checkpoints", "plots", "tensorboard")


@click.group(cls=GroupBase, examples=EXAMPLES)
def runs() -> None:
    """List, show and remove runs.

    RUN is the number of a run (3 or 003), its name, or the path of its directory.
    """


def _runs_option(function: F) -> F:
    return click.option(
        "--runs", type=click.Path(), default=None, metavar="DIR",
        help="Directory of the runs.  [default: runs]",
    )(function)  # fmt: skip


def _parent(given: str | None) -> Path:
    directory = runs_directory() if given is None else Path(os.path.expanduser(given))
    if given is not None and not directory.is_dir():
        raise ConfigError(f"--runs {given}: is no directory")
    return directory


def _print_json(state: State, command: str, content: dict[str, Any]) -> None:
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    head = {"schema": f"fastmlp.runs.{command}", "schema_version": SCHEMA_VERSION}
    print_json(head | {"command": f"runs {command}"} | content, state)


def _open(argument: str, parent: Path) -> RunDirectory:
    from fastmlp.errors import FormatError
    from fastmlp.experiment.rundir import RunDirectory

    try:
        return RunDirectory.open(resolve_run(argument, parent))
    except FormatError as error:
        raise ConfigError(str(error)) from error


# ---------------------------------------------------------------- list


@runs.command(
    "list", cls=CommandBase, examples="fastmlp runs list\nfastmlp runs list --sort result"
)
@_runs_option
@click.option(
    "--sort", type=click.Choice(SORTS), default="name", show_default=True, metavar="NAME",
    help=f"{', '.join(SORTS[:-1])} or {SORTS[-1]}; results from the best on.",
)  # fmt: skip
@common_options()
@click.pass_context
def list_(ctx: click.Context, /, runs: str | None, sort: str) -> None:
    """List the runs: state, epochs, what they reached."""
    from dataclasses import asdict

    from fastmlp.cli.run_summary import summary_of
    from fastmlp.cli.tables import print_table
    from fastmlp.experiment.rundir import RunDirectory

    parent = _parent(runs)
    rows = [summary_of(RunDirectory(path)) for path in run_paths(parent)]
    if sort != "name":  # which is the order of the numbers
        rows.sort(key=lambda row: _sort_key(row, sort))
    state = state_of(ctx)
    if state.json:
        _print_json(state, "list", {"directory": str(parent), "runs": [asdict(r) for r in rows]})
        return
    if not rows:
        click.echo(f"no runs in {parent}", err=True)
        return
    print_table(HEADER, [_cells(row) for row in rows], NUMBERS, state)
    for row in rows:
        if row.problem:
            click.echo(f"fastmlp: warning: {row.problem}", err=True)


def _sort_key(row: RunSummary, key: str) -> tuple[bool, Any]:
    """Runs without the value come last."""
    if key == "result":
        value = None if row.value is None else -row.value
    else:
        value = getattr(row, {"epochs": "epochs_completed"}.get(key, key))
    return value is None, value


def _cells(row: RunSummary) -> list[str]:
    epochs = "-" if row.epochs is None else f"{row.epochs_completed}/{row.epochs}"
    best = "-" if row.best_epoch is None else f"{row.best_epoch} ({row.monitor})"
    seconds = "-" if row.seconds is None else f"{row.seconds:.2f}"
    texts = (row.name, row.data or "-", row.status, epochs, _result(row), best, seconds)
    return [*texts, _shown_time(row.started)]


def _result(row: RunSummary) -> str:
    if row.measure is None or row.value is None:
        return "-"
    value = f"{row.value:.4f}" if row.measure == "r2" else f"{row.value:.2%}"
    return f"{row.part or ''} {row.measure.replace('_', ' ')} {value}".lstrip()


def _shown_time(started: str | None) -> str:
    """A moment in local time, to the minute."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(started or "").astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return "-"


# ---------------------------------------------------------------- show


@runs.command(cls=CommandBase, examples="fastmlp runs show 3\nfastmlp runs show runs/003-mnist")
@click.argument("run", metavar="RUN", shell_complete=complete_run)
@_runs_option
@common_options()
@click.pass_context
def show(ctx: click.Context, /, run: str, runs: str | None) -> None:
    """Show a run: its result, the settings that are not the recipe's, its files."""
    from dataclasses import asdict

    from fastmlp.cli.run_summary import differences, files_of, summary_of

    opened = _open(run, _parent(runs))
    summary = summary_of(opened)
    if summary.problem is not None:
        raise ConfigError(summary.problem)
    try:
        changed, doubt = differences(opened), None
    except ValueError as error:
        changed, doubt = [], str(error)
    files = sorted((path.as_posix(), size) for path, size in files_of(opened.path))
    state = state_of(ctx)
    if state.json:
        content = asdict(summary) | {
            "settings_changed": None if doubt else [asdict(each) for each in changed],
            "result": opened.result(),
            "environment": opened.environment(),
            "files": [{"file": name, "bytes": size} for name, size in files],
            "checkpoints": [name for name, _ in files if name.startswith("checkpoints/epoch-")],
        }
        _print_json(state, "show", content)
        return
    _print_summary(summary, opened)
    settings = [(d.setting, f"{_value(d.value)} instead of {_value(d.recipe)}") for d in changed]
    if doubt:
        settings = [("unknown", doubt)]
    _print_section("settings that are not the recipe's", settings or [("none", "")])
    _print_section("files", _file_rows(files))


def _print_summary(row: RunSummary, run: RunDirectory) -> None:
    from fastmlp.cli.tables import print_pairs

    result = run.result()
    rows = [
        ("run", row.path),
        ("status", row.status),
        ("data", f"{row.data}, {row.task}"),
        ("started", _shown_time(row.started)),
        ("epochs", f"{row.epochs_completed} of {row.epochs}"),
    ]
    sizes = result.get("layer_sizes")
    if isinstance(sizes, list):
        rows.append(("network", "-".join(map(str, sizes))))
    if row.best_epoch is not None:
        rows.append(("best epoch", f"{row.best_epoch}, {row.monitor} {row.best_value:.6g}"))
    if row.seconds is not None:
        rows.append(("training time", f"{row.seconds:.2f} s"))
    test = result.get("test")
    if row.measure is not None and isinstance(test, dict):
        measures = {k: v for k, v in test.items() if isinstance(v, float) and math.isfinite(v)}
        rows += [(f"{row.part} {k.replace('_', ' ')}", f"{v:.6g}") for k, v in measures.items()]
    if isinstance(result.get("message"), str):
        rows.append(("ended", result["message"]))
    print_pairs(rows)


def _print_section(title: str, rows: Sequence[tuple[str, str]]) -> None:
    from fastmlp.cli.tables import print_pairs

    click.echo(f"\n{title}")
    print_pairs(rows, indent="  ")


def _file_rows(files: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """Files of the run itself and its checkpoints one by one, others by directory."""
    from fastmlp.cli.tables import shown_size

    totals: dict[str, tuple[int, int]] = {}
    for name, size in files:
        top, slash, _ = name.partition("/")
        shown = f"{top}/" if slash and top != "checkpoints" else name
        count, total = totals.get(shown, (0, 0))
        totals[shown] = count + 1, total + size
    return [
        (name, shown_size(size) + (f" in {count} files" if name.endswith("/") else ""))
        for name, (count, size) in totals.items()
    ]


def _value(value: Any) -> str:
    from fastmlp.cli.setting_files import toml_line

    return "unset" if value is None else toml_line("", value).removeprefix(" = ")


# ---------------------------------------------------------------- rm


@runs.command(cls=CommandBase, examples="fastmlp runs rm 3\nfastmlp runs rm 1 2 --yes")
@click.argument("run", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@_runs_option
@click.option("-y", "--yes", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and stop.")
@common_options()
@click.pass_context
def rm(
    ctx: click.Context, /, run: tuple[str, ...], runs: str | None, yes: bool, dry_run: bool
) -> None:
    """Remove runs with all that lies in their directories.

    All of them are checked before one is removed. A run that is being trained stays, and so does a
    directory that is not certainly one of a run.
    """
    from fastmlp.cli.run_summary import files_of
    from fastmlp.cli.tables import shown_size

    parent = _parent(runs)
    opened = {os.path.realpath(each.path): each for each in (_open(name, parent) for name in run)}
    for each in opened.values():
        _require_removable(each)
    sizes = {each.path: sum(size for _, size in files_of(each.path)) for each in opened.values()}
    state = state_of(ctx)
    if not dry_run and not yes and not _confirmed(sizes):
        click.echo("nothing was removed", err=True)
        sizes = {}
    for each in opened.values():
        if each.path in sizes and not dry_run:
            _remove(each)
        if each.path in sizes and not state.json:
            verb = "would remove" if dry_run else "removed"
            click.echo(f"{verb} {each.path} ({shown_size(sizes[each.path])})")
    if state.json:
        rows = [{"path": str(path), "bytes": size} for path, size in sizes.items()]
        _print_json(state, "rm", {"dry_run": dry_run, "removed": rows})


def _require_removable(run: RunDirectory) -> None:
    """Refuse what is no run, or more than that, or in use."""
    from fastmlp.cli.run_summary import is_held

    path = run.path
    if path.is_symlink():
        raise ConfigError(f"{path}: is a link; name the directory itself")
    if not run.environment_path.is_file():
        raise ConfigError(f"{path}: has no environment.json, as the directory of a run would")
    if Path.cwd().is_relative_to(path.resolve()):
        raise ConfigError(f"{path}: is the directory you are in, or holds it")
    foreign = [
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir(follow_symlinks=False) and entry.name not in OWN_DIRECTORIES
    ]
    if foreign:
        raise ConfigError(f"{path}: holds {sorted(foreign)[0]}/, which is no part of a run")
    if is_held(path):
        raise ConfigError(f"{path}: another process trains this run")


def _confirmed(sizes: dict[Path, int]) -> bool:
    from fastmlp.cli.tables import shown_size

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("runs are removed unasked only with --yes")
    for path, size in sizes.items():
        click.echo(f"{path}  {shown_size(size)}", err=True)
    return click.confirm(f"Remove {'this run' if len(sizes) == 1 else 'these runs'}?", err=True)


def _remove(run: RunDirectory) -> None:
    """Remove a run's directory and nothing else; links in it are removed, not followed."""
    import shutil

    from fastmlp.experiment.locking import DirectoryInUseError

    path = run.path.resolve()
    # Under another name first: what is left when this is cut off is no run with files missing.
    doomed = path.with_name(f".{path.name}.removed.{os.getpid()}")
    try:
        with run.locked():
            path.rename(doomed)
            shutil.rmtree(doomed)
    except DirectoryInUseError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise CliError(f"cannot remove {run.path}: {error}") from error
