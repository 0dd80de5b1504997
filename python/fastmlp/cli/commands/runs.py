"""The command `fastmlp runs`: list, show and remove runs."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import CliError, ConfigError
from fastmlp.cli.options import Choice, CommandBase, GroupBase, common_options, state_of
from fastmlp.cli.printing import (
    document_head,
    print_json,
    print_pairs,
    print_section,
    print_table,
    shown_size,
)
from fastmlp.cli.runs import MARKS, held, open_any_run, run_paths, runs_directory
from fastmlp.cli.settings import toml_line
from fastmlp.experiment.locking import LOCK_NAME, is_in_use

if TYPE_CHECKING:
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.schema import Config
    from fastmlp.history import Record

    AnyRun = RunDirectory | CrossValidationDirectory

__all__ = ["differences", "runs", "summary_of"]

F = TypeVar("F", bound=Callable[..., Any])
EXAMPLES = """\
fastmlp runs list --sort result
fastmlp runs show 3
fastmlp runs rm 1 2 --dry-run"""
HEADER = ("name", "data", "status", "epochs", "result", "best", "seconds", "started")
NUMBERS = ("epochs", "result", "seconds")
# Columns that a narrow terminal does not show, the least important one first.
LEAST = ("best", "seconds", "data", "started", "epochs")
SORTS = ("name", "data", "status", "epochs", "result", "seconds", "started")
# Directories that commands create in a run; any other was created by a user.
OWN_DIRECTORIES = ("checkpoints", "plots", "tensorboard")
# The main measure of each task; larger values are better.
MEASURES = ("accuracy", "subset_accuracy", "r2")


@click.group(cls=GroupBase, examples=EXAMPLES)
def runs() -> None:
    """List, show and remove runs.

    RUN is the number of a run (3 or 003), its name, or the path of its directory.
    """


def _runs_option(function: F) -> F:
    return click.option(
        "--runs", type=click.Path(), default=None, metavar="DIR",
        help="Directory that holds the runs.  [default: FASTMLP_RUNS, else runs]",
    )(function)  # fmt: skip


def _parent(given: str | None) -> Path:
    directory = runs_directory() if given is None else Path(os.path.expanduser(given))
    if given is not None and not directory.is_dir():
        raise ConfigError(f"--runs {given}: is no directory")
    return directory


# ---------------------------------------------------------------- list


@runs.command(
    "list", cls=CommandBase, examples="fastmlp runs list\nfastmlp runs list --sort result"
)
@_runs_option
@click.option(
    "--sort", type=Choice(SORTS), default="name", show_default=True, metavar="NAME",
    help=f"{', '.join(SORTS[:-1])} or {SORTS[-1]}; results from the best to the worst.",
)  # fmt: skip
@common_options()
@click.pass_context
def list_(ctx: click.Context, /, runs: str | None, sort: str) -> None:
    """List the runs in a directory: state, epochs or folds, results.

    For a run that was made with --out DIR, name the directory that contains DIR with --runs.
    """
    parent = _parent(runs)
    rows = [summary_of(open_any_run(str(path.absolute()))) for path in run_paths(parent)]
    if sort != "name":  # `run_paths` returns them sorted by number and name
        rows.sort(key=lambda row: _sort_key(row, sort))
    state = state_of(ctx)
    if state.json:
        content = {"directory": str(parent), "runs": [asdict(row) for row in rows]}
        print_json(state, document_head("runs list") | content)
        return
    if not rows:
        click.echo(f"no runs in {parent}; --runs names another directory", err=True)
        return
    print_table(HEADER, [_cells(row) for row in rows], NUMBERS, state, least=LEAST)
    for row in rows:
        if row.problem:
            click.echo(f"fastmlp: warning: {row.problem}", err=True)


def _sort_key(row: RunSummary, key: str) -> tuple[bool, Any]:
    """Return the sort key of a run; runs without the value come last."""
    if key == "result":
        value = None if row.value is None else -row.value
    else:
        value = getattr(row, {"epochs": "epochs_completed"}.get(key, key))
    return value is None, value


def _cells(row: RunSummary) -> list[str]:
    epochs = "-" if row.epochs is None else f"{row.epochs_completed}/{row.epochs}"
    if row.folds is not None:
        epochs = f"{row.folds_completed}/{row.folds} folds"
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
    """Return a time as local time to the minute."""
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
    """Show the result of a run, the settings that differ from the recipe, and the files."""
    from fastmlp.experiment.rundir import RunDirectory

    opened = open_any_run(run, _parent(runs))
    summary = summary_of(opened)
    if summary.problem is not None:
        raise ConfigError(summary.problem)
    try:
        changed, doubt = differences(opened), None
    except ValueError as error:
        changed, doubt = [], str(error)
    files = sorted((path.as_posix(), size) for path, size in _files_of(opened.path))
    state = state_of(ctx)
    if state.json:
        content = asdict(summary) | {
            "settings_changed": None if doubt else [asdict(each) for each in changed],
            "result": opened.result(),
            "environment": opened.environment() if isinstance(opened, RunDirectory) else {},
            "files": [{"file": name, "bytes": size} for name, size in files],
            "checkpoints": [name for name, _ in files if name.startswith("checkpoints/epoch-")],
        }
        print_json(state, document_head("runs show") | content)
        return
    _print_summary(summary, opened)
    settings = [(d.setting, f"{_value(d.value)} instead of {_value(d.recipe)}") for d in changed]
    if doubt:
        settings = [("unknown", doubt)]
    print_section("settings that are not the recipe's", settings or [("none", "")])
    print_section("files", _file_rows(files))


def _print_summary(row: RunSummary, run: AnyRun) -> None:
    result = run.result()
    rows = [
        ("run", row.path),
        ("status", row.status),
        ("data", f"{row.data}, {row.task}"),
        ("started", _shown_time(row.started)),
    ]
    if row.folds is None:
        rows.append(("epochs", f"{row.epochs_completed} of {row.epochs}"))
    else:
        rows.append(("networks", f"{row.folds_completed} of {row.folds}, each without one fold"))
    sizes = result.get("layer_sizes")
    if isinstance(sizes, list):
        kind = run.config().network.architecture
        layers = "-".join(map(str, sizes))
        rows.append(("network", layers if kind in (None, "mlp") else f"{kind} {layers}"))
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


def _file_rows(files: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """Return rows for each file of the run and each checkpoint, and for each other directory."""
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
    return "unset" if value is None else toml_line("", value).removeprefix(" = ")


# ---------------------------------------------------------------- rm


@runs.command(cls=CommandBase, examples="fastmlp runs rm 3\nfastmlp runs rm 1 2 --yes")
@click.argument("run", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@_runs_option
@click.option("-y", "--yes", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed and stop.")
@common_options()
@click.pass_context
def rm(
    ctx: click.Context, /, run: tuple[str, ...], runs: str | None, yes: bool, dry_run: bool
) -> None:
    """Remove runs with all files in their directories.

    All runs are checked before the first is removed. A run that is being trained and a directory
    that may not be a run are not removed.
    """
    parent = _parent(runs)
    opened = {
        os.path.realpath(each.path): each for each in (open_any_run(name, parent) for name in run)
    }
    for each in opened.values():
        _require_removable(each)
    sizes = {each.path: sum(size for _, size in _files_of(each.path)) for each in opened.values()}
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
        print_json(state, document_head("runs rm") | {"dry_run": dry_run, "removed": rows})


def _require_removable(run: AnyRun) -> None:
    """Raise ConfigError unless the directory is certainly that of a run and not in use."""
    from fastmlp.experiment.rundir import RunDirectory

    path = run.path
    if path.is_symlink():
        raise ConfigError(f"{path}: is a link; name the directory itself")
    own = OWN_DIRECTORIES if isinstance(run, RunDirectory) else (run.folds_path.name,)
    if isinstance(run, RunDirectory) and not run.environment_path.is_file():
        raise ConfigError(f"{path}: has no environment.json, as the directory of a run would")
    if Path.cwd().is_relative_to(path.resolve()):
        raise ConfigError(f"{path}: is the directory you are in, or holds it")
    foreign = [
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir(follow_symlinks=False) and entry.name not in own
    ]
    if foreign:
        raise ConfigError(f"{path}: holds {sorted(foreign)[0]}/, which is no part of a run")
    if is_in_use(path):
        raise ConfigError(f"{path}: another process trains this run")


def _confirmed(sizes: dict[Path, int]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("without a terminal for the question, --yes is needed")
    for path, size in sizes.items():
        click.echo(f"{path}  {shown_size(size)}", err=True)
    return click.confirm(f"Remove {'this run' if len(sizes) == 1 else 'these runs'}?", err=True)


def _remove(run: AnyRun) -> None:
    """Remove the directory of a run; links in it are removed but not followed."""
    path = run.path.resolve()
    try:
        with held(run):
            # First, so that the rest of an interrupted removal is not listed as a run.
            for name in MARKS:
                (path / name).unlink(missing_ok=True)
            for entry in list(os.scandir(path)):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry)
                elif entry.name != LOCK_NAME:
                    os.unlink(entry)
        path.rmdir()
    except OSError as error:
        raise CliError(f"cannot remove {run.path}: {error}") from error


# ---------------------------------------------------------------- summaries


@dataclass(frozen=True)
class RunSummary:
    """The summary of a run; values that are not known yet are None.

    ``status`` is the status of the result, "running" while a process trains the run, "cut off" if
    there is no result, or "damaged" with the reason in ``problem``. ``value`` is the value of
    ``measure`` on ``part``. Runs of networks on folds have ``folds`` and no epochs; where each fold
    is tested, the value is their mean.
    """

    name: str
    path: str
    status: str
    data: str | None = None
    task: str | None = None
    epochs_completed: int | None = None
    epochs: int | None = None
    folds_completed: int | None = None
    folds: int | None = None
    measure: str | None = None
    value: float | None = None
    part: str | None = None
    monitor: str | None = None
    best_epoch: int | None = None
    best_value: float | None = None
    seconds: float | None = None
    started: str | None = None
    problem: str | None = None


def summary_of(run: AnyRun) -> RunSummary:
    """Return the summary of a run; if it cannot be read, the status is "damaged"."""
    from fastmlp.experiment.rundir import RunDirectory

    return _summary_of_one(run) if isinstance(run, RunDirectory) else _summary_of_folds(run)


def _summary_of_folds(run: CrossValidationDirectory) -> RunSummary:
    name, path, status = run.path.name, str(run.path), None
    try:
        status = "running" if is_in_use(run.path) else None
        config, result, definition = run.config(), run.result(), run.definition()
        begun = run.config_path.stat().st_mtime
    except (OSError, ValueError) as error:
        return RunSummary(name, path, status or "damaged", problem=str(error))
    finished = status is None and run.is_finished
    measured: Mapping[str, Any] = {}
    if finished:
        means = {key: score["mean"] for key, score in result.get("scores", {}).items()}
        measured = result.get("test") or means
    measure = next((m for m in MEASURES if _number(measured.get(m)) is not None), None)
    part = ("test" if result.get("test") else "fold") if measure else None
    seconds = [_number(fold.get("seconds")) or 0.0 for fold in result.get("folds", [])]
    return RunSummary(
        name=name,
        path=path,
        status=status or ("completed" if finished else "cut off"),
        data=_text(result.get("data")) or Path(config.data.source or "").name or "?",
        task=_text(result.get("task")) or config.data.task,
        folds_completed=run.trained(),
        folds=int(definition.get("folds", 0)) * int(definition.get("repeats", 1)),
        measure=measure,
        value=_number(measured[measure]) if measure else None,
        part=part,
        monitor=config.training.monitor,
        seconds=sum(seconds) if finished else None,
        started=datetime.fromtimestamp(begun, timezone.utc).isoformat(timespec="seconds"),
    )


def _summary_of_one(run: RunDirectory) -> RunSummary:
    name, path, status = run.path.name, str(run.path), None
    try:
        status = "running" if is_in_use(run.path) else None
        config, result, records = run.config(), run.result(), run.records()
        started = run.environment().get("started")
    except (OSError, ValueError) as error:
        return RunSummary(name, path, status or "damaged", problem=str(error))
    test = result.get("test")
    measured = test if isinstance(test, Mapping) and status is None else {}
    measure = next((m for m in MEASURES if _number(measured.get(m)) is not None), None)
    best_epoch, best_value = _best(config, records)
    return RunSummary(
        name=name,
        path=path,
        status=status or str(result.get("status") or "cut off"),
        data=_text(result.get("dataset")) or Path(config.data.source or "").name or "?",
        task=config.data.task,
        epochs_completed=len(records),
        epochs=config.training.epochs,
        measure=measure,
        value=_number(measured.get(measure)),
        part=_text(result.get("evaluated_on")) if measure else None,
        monitor=config.training.monitor,
        best_epoch=best_epoch,
        best_value=best_value,
        seconds=sum(_number(record.get("seconds")) or 0.0 for record in records),
        started=_text(started),
    )


def _best(config: Config, records: list[Record]) -> tuple[int | None, float | None]:
    """Return the best epoch so far and its value, by the rule of the training."""
    from fastmlp.experiment.runner import StopRule

    needed = ("epoch", config.training.monitor or "loss")
    rule = StopRule(
        config, [one for one in records if None not in (_number(one.get(n)) for n in needed)]
    )
    return rule.best_epoch or None, rule.best_value


def _number(value: object) -> float | None:
    """Return a value of a JSON file as float, or None if it is not a finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# ---------------------------------------------------------------- settings that differ


@dataclass(frozen=True)
class Difference:
    """A setting with its value in a run and its other value in the recipe; None means not set."""

    setting: str
    value: Any
    recipe: Any


def differences(run: AnyRun) -> list[Difference]:
    """Return the settings of a run that differ from the recipe of its data.

    If the run has another architecture, optimizer or schedule, its settings are compared with the
    defaults of that.

    Raises
    ------
    FormatError
        The settings cannot be read.
    ValueError
        The settings contradict each other.
    """
    from fastmlp.experiment.settings import resolve

    config = run.config()
    source = config.data.source
    architecture = {"network": {"architecture": config.network.architecture}}
    choices = {name: {"name": getattr(config, name).name} for name in ("optimizer", "schedule")}
    usual = _as_completed(resolve(source, [architecture, choices]), run).model_dump(mode="json")
    recipe = resolve(source, [architecture]).model_dump(mode="json")
    for name in choices:
        usual[name]["name"] = recipe[name]["name"]
    default = _as_completed(resolve(source, []), run)
    usual["network"]["architecture"] = default.network.architecture
    actual = config.model_dump(mode="json")
    return [
        Difference(f"{section}.{name}", value, usual[section][name])
        for section, values in actual.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value != usual[section][name] and not _is_implied(f"{section}.{name}", value)
    ]


def _is_implied(setting: str, value: Any) -> bool:
    """Return whether a run records this value even if the user did not set it."""
    from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION

    implied = {
        "data.test_fraction": (0.0, TEST_FRACTION),
        "data.validation_fraction": (0.0, VALIDATION_FRACTION),
        "data.standardize": (True, False),
    }
    return value in implied.get(setting, ())


def _as_completed(config: Config, run: AnyRun) -> Config:
    """Fill in the settings that depend on the data, as in the settings of the run."""
    from fastmlp.experiment.build import completed
    from fastmlp.experiment.rundir import RunDirectory

    if not isinstance(run, RunDirectory):
        return config  # each network has its own
    task = run.config().data.task
    if task == "auto":
        return config
    measured = any("val_loss" in record for record in run.records())
    samples = int(run.result().get("samples", {}).get("training", 1))
    return completed(config, task, samples, measured=measured)


def _files_of(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files in a directory tree and their sizes in bytes; links are not followed."""
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent, name)
            yield file.relative_to(path), os.lstat(file).st_size
