"""Trainings on folds and their scores, for the commands that run or show them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CliError, ConfigError, ExitCode, classify
from fastmlp.cli.options import State
from fastmlp.cli.printing import document_head, print_json, print_pairs, print_table
from fastmlp.cli.runs import held
from fastmlp.cli.signals import Terminated, ends_in_order

if TYPE_CHECKING:
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.cross_validation import CrossValidation
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.experiment.fold_results import FoldResult
    from fastmlp.experiment.folds import Plan

__all__ = ["folds_directory", "print_cross_validation", "run_plan", "wrong_settings"]

SHARES = ("accuracy", "subset_accuracy", "macro_f1")
NUMBERS = ("loss", "rmse", "mae", "r2")


@contextlib.contextmanager
def wrong_settings() -> Iterator[None]:
    """Convert TypeError and ValueError to exit code 2."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


# ---------------------------------------------------------------- directory


@contextlib.contextmanager
def folds_directory(
    plan: Plan, out: str | None, *, parent: Path, overwrite: bool, quiet: bool
) -> Iterator[CrossValidationDirectory]:
    """Lock the directory of a plan, which may hold finished folds of it.

    Without `out` it is the unfinished one of this plan in `parent`, or a new one there.

    Raises
    ------
    ConfigError
        The directory cannot be used.
    """
    place, continues = _place(plan, out, parent, overwrite)
    with held(place):
        if continues and not quiet:
            click.echo(f"continues {place.path}", err=True)
        yield place


def _place(
    plan: Plan, out: str | None, parent: Path, overwrite: bool
) -> tuple[CrossValidationDirectory, bool]:
    """Return the directory, and whether it holds unfinished trainings of this plan."""
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.rundir import next_numbered

    try:
        if out is None:
            found = _unfinished(plan, parent)
            place = found or CrossValidationDirectory(next_numbered(parent, plan.raw.name))
        else:
            place = CrossValidationDirectory(Path(out))
            if overwrite and place.definition_path.is_file() and not place.is_of(plan):
                _clear(place)
        continues = place.is_of(plan) and not place.is_finished
        place.begin(plan)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot use the directory: {error}") from error
    return place, continues


def _unfinished(plan: Plan, parent: Path) -> CrossValidationDirectory | None:
    """Return the newest directory in `parent` in which this plan was begun and not finished."""
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory

    try:
        entries = sorted(parent.iterdir(), key=lambda entry: entry.name, reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    places = map(CrossValidationDirectory, entries)
    return next((one for one in places if not one.is_finished and one.is_of(plan)), None)


def _clear(place: CrossValidationDirectory) -> None:
    """Remove the files of another cross-validation."""
    with held(place):
        place.definition_path.unlink()
        for path in place.files:
            path.unlink(missing_ok=True)
        shutil.rmtree(place.folds_path, ignore_errors=True)


# ---------------------------------------------------------------- running


def run_plan(
    plan: Plan, place: CrossValidationDirectory, processes: int | None, quiet: bool,
    measure: Callable[[BaggedModel], Evaluation | None] = lambda model: None,
) -> CrossValidation:  # fmt: skip
    """Train the folds that are not trained yet, and print a line about each.

    Raises
    ------
    CliError
        A training failed or was interrupted; finished folds stay.
    """
    from fastmlp.errors import DivergedError, FormatError
    from fastmlp.experiment.cross_validation import fold_line, run_folds
    from fastmlp.experiment.fold_training import is_trained
    from fastmlp.experiment.trials import WorkerError

    def announce(notes: tuple[str, ...]) -> None:
        for note in notes if not quiet else ():
            click.echo(note, err=True)

    def listener(result: FoldResult) -> None:
        if not quiet:
            click.echo(fold_line(result, plan.division), err=True)

    def kept() -> str:
        done = sum(is_trained(place.path, fold) for fold in plan.folds)
        return f"{done} of {len(plan.folds)} folds finished; the same command continues"

    try:
        with ends_in_order():
            return run_folds(
                plan, place, processes=processes, listener=listener, announce=announce,
                measure=measure,
            )  # fmt: skip
    except (KeyboardInterrupt, Terminated) as error:
        code, message = classify(error)
        raise CliError(f"{message} ({kept()})", code) from error
    except DivergedError as error:
        raise CliError(f"{error} ({kept()})", ExitCode.DIVERGED) from error
    except FormatError as error:
        raise CliError(str(error), ExitCode.DATA) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error
    except (OSError, WorkerError) as error:
        raise CliError(f"{error} ({kept()})") from error


# ---------------------------------------------------------------- result


def print_cross_validation(
    state: State, command: str, result: Mapping[str, Any], directory: str
) -> None:
    """Print the content of result.json as a table, or as a JSON object.

    Parameters
    ----------
    state : State
    command : str
        Name of the command.
    result : mapping
        Content of the file.
    directory : str
        Directory of the cross-validation.
    """
    if state.json:
        head = document_head("cv") | {"command": command}
        print_json(state, head | {"directory": directory} | dict(result))
        return
    if result.get("chooses_epoch"):
        print_pairs([*_together(result), *_facts(result, directory)])
        return
    header = ("measure", "mean", "deviation", "95 % interval")
    lines = [
        _line(name, result["scores"][name])
        for name in (*SHARES, *NUMBERS)
        if name in result["scores"]
    ]
    print_table(header, lines, header[1:], state)
    click.echo()
    print_pairs(_facts(result, directory))


def _together(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the measures of networks that answer together, and what their folds tell."""
    rows = [(f"test {name}".replace("_", " "), shown) for name, shown in _shown(result["test"])]
    means = {name: score["mean"] for name, score in (result.get("validation") or {}).items()}
    for name, shown in _shown(means)[:1]:
        note = "mean of the folds, which chose the epochs"
        rows.append((f"validation {name}".replace("_", " "), f"{shown}, {note}"))
    return rows


def _shown(measured: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the most important measures as names and texts."""
    forms = [(name, ".2%") for name in SHARES] + [(name, ".6g") for name in NUMBERS[1:]]
    held = {name: value for name, value in (measured or {}).items() if value is not None}
    return [(name, f"{held[name]:{form}}") for name, form in forms if name in held]


def _line(name: str, score: Mapping[str, float | None]) -> Sequence[str]:
    form = ".2%" if name in SHARES else ".6g"

    def text(value: float | None) -> str:
        return "unknown" if value is None or value != value else f"{value:{form}}"

    mean, std, low, high = (score[key] for key in ("mean", "std", "low", "high"))
    interval = "unknown" if text(low) == "unknown" else f"{text(low)} to {text(high)}"
    return (name.replace("_", " "), text(mean), text(std), interval)


def _facts(result: Mapping[str, Any], directory: str) -> list[tuple[str, str]]:
    folds = f"{result['folds_per_repeat']} of {result['samples']:,} samples"
    if result["repeats"] > 1:
        folds += f", {result['repeats']} times"
    for name in ("group", "time"):
        if result[name] is not None:
            folds += f", by {name} {result[name]}"
    if result.get("chooses_epoch"):
        return [
            ("networks", f"{result['folds_per_repeat']}, each without a fold of "
             f"{result['samples']:,} samples"),
            ("predictions", f"{directory}/predictions.csv"),
            ("run", directory),
        ]  # fmt: skip
    return [
        ("folds", folds),
        ("predictions", f"{directory}/predictions.csv"),
        ("models", directory),
    ]
