"""`fastmlp evaluate`: how good a model is on samples whose answers are known."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CheckFailedError, ConfigError, ExitCode
from fastmlp.cli.options import CommandBase, Fraction, State, Whole, common_options, state_of
from fastmlp.cli.run_names import complete_run, resolve_run
from fastmlp.cli.sources import complete_source, go_offline, plain_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment
    from fastmlp.model import MLP

__all__ = ["evaluate", "load_own_data", "run_faults"]

EXAMPLES = """\
fastmlp evaluate runs/001-mnist
fastmlp evaluate runs/001-mnist --part validation
fastmlp evaluate model.safetensors houses-2024.csv --json
fastmlp evaluate runs/001-mnist mnist --min-accuracy 98%"""
MEASURES = ("precision", "recall", "f1")
ERRORS = ("mse", "rmse", "mae", "r2")


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@click.argument("dataset", required=False, shell_complete=complete_source)
@click.option(
    "--part", type=click.Choice(("auto", "test", "validation", "training")), default="auto",
    show_default=True, help="Part of the data; auto: the test part, or all of a file.",
)  # fmt: skip
@click.option("--data-dir", type=click.Path(), default=None, help="Directory looked at first.")
@click.option("--separator", default=None, metavar="C", help="Between the columns of a CSV file.")
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("--threads", type=Whole(1, 1024), default=None, metavar="N", help="Worker threads.")
@click.option(
    "--min-accuracy", type=Fraction(), default=None, metavar="A",
    help="Exit with code 6 if the accuracy is lower (0.98 or 98%).",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print the result only.")
@common_options()
@click.pass_context
def evaluate(
    ctx: click.Context, /, *, model: str, dataset: str | None, part: str, data_dir: str | None,
    separator: str | None, offline: bool, threads: int | None, min_accuracy: float | None,
    quiet: bool,
) -> int:  # fmt: skip
    """Measure a model on samples with known answers.

    MODEL is a run's directory or number, or a model file. Without DATASET a run is measured on its
    own data, divided as it was for the training; a file is taken whole.
    """
    from fastmlp.cli.models import open_model

    if offline:
        go_offline()
    place = resolve_run(model)
    network, path = open_model(str(place))
    if dataset is None:
        if data_dir is not None or separator is not None:
            raise ConfigError("--data-dir and --separator are for a DATASET, and none is named")
        data, part, measured = _on_own_data(network, place, part, threads, quiet)
    else:
        with plain_warnings(quiet=quiet):
            data, part, measured = _on(network, place, dataset, part, data_dir, separator, threads)
    problem = _shortfall(measured, min_accuracy)
    _print(state_of(ctx), path, data, part, measured, problem)
    if problem:
        raise CheckFailedError(problem)
    return int(ExitCode.OK)


def _shortfall(measured: Evaluation, wanted: float | None) -> str:
    """What is wrong with the accuracy, if anything is."""
    if wanted is None or (measured.accuracy is not None and measured.accuracy >= wanted):
        return ""
    reached = measured.accuracy
    shown = "unknown for a regression" if reached is None else f"{100 * reached:.6g}%"
    return f"accuracy is {shown}, --min-accuracy asks for {100 * wanted:.6g}%"


# ---------------------------------------------------------------- samples


def _on(
    model: MLP, place: Path, dataset: str, part: str, data_dir: str | None, separator: str | None,
    threads: int | None,
) -> tuple[str, str, Evaluation]:  # fmt: skip
    """Measure on a data set or file: its name, the part, the measures."""
    from fastmlp.cli.predict import data_faults
    from fastmlp.data import read
    from fastmlp.experiment.serving import evaluate_part, part_of

    if part == "validation":
        raise ConfigError("--part validation is for a run's own data; leave DATASET out")
    with data_faults(dataset):
        raw = read(dataset, data_dir=data_dir, separator=separator)
        samples = part_of(raw, part)
        measured = evaluate_part(model, samples, class_names=raw.class_names, threads=threads)
    if samples is raw.test:
        return raw.name, "test", measured
    if part == "auto":
        _warn_of_known_samples(place, raw.sha256)
    return raw.name, "training" if raw.test is not None else "all", measured


def _warn_of_known_samples(place: Path, sha256: dict[str, str]) -> None:
    from fastmlp.experiment.rundir import RunDirectory

    known = RunDirectory(place).environment().get("data_sha256") if place.is_dir() else None
    if isinstance(known, dict) and not set(sha256.values()).isdisjoint(known.values()):
        warnings.warn(
            "the model was trained on some of these samples; without DATASET it is measured on "
            "those that it has not seen",
            stacklevel=2,
        )


def _on_own_data(
    model: MLP, place: Path, part: str, threads: int | None, quiet: bool
) -> tuple[str, str, Evaluation]:
    """Measure on data that a run was trained on or kept for this: name, part, measures."""
    from fastmlp.experiment.evaluation import evaluate as measure
    from fastmlp.experiment.rundir import RunDirectory

    if not place.is_dir():
        raise ConfigError("a DATASET is needed: a model file does not know its data, a run does")
    experiment = load_own_data(RunDirectory.open(place), quiet=quiet)
    prepared = experiment.prepared
    parts = {
        "training": prepared.train, "validation": prepared.validation, "test": prepared.test,
    }  # fmt: skip
    name = experiment.evaluated[0] if part == "auto" else part
    samples = parts[name]
    if samples is None:
        present = ", ".join(known for known, each in parts.items() if each is not None)
        raise ConfigError(f"--part {part}: {place} has no such part, but {present}")
    return prepared.name, name, measure(model, samples, threads=threads)


@contextlib.contextmanager
def run_faults() -> Iterator[None]:
    """Where a RUN is asked for, one that is none or damaged is a wrong argument."""
    from fastmlp.errors import FormatError

    try:
        yield
    except FormatError as error:
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
    from fastmlp.cli.request import data_errors, load_experiment
    from fastmlp.experiment.runner import require_same_data

    config = run.config()
    run.environment()  # a damaged one is no fault of the data
    if config.data.source == "-" and sys.stdin.isatty():
        raise ConfigError(f"{run.path}: its data came from standard input; pipe it in again")
    experiment = load_experiment(config, quiet=quiet)
    with data_errors():
        require_same_data(experiment, run)
    return experiment


# ---------------------------------------------------------------- the result


def _print(
    state: State, path: Path, data: str, part: str, measured: Evaluation, problem: str
) -> None:
    from fastmlp.cli.result import SCHEMA_VERSION, print_json
    from fastmlp.cli.tables import print_pairs

    if state.json:
        head = {
            "schema": "fastmlp.evaluate",
            "schema_version": SCHEMA_VERSION,
            "command": "evaluate",
            "status": "check_failed" if problem else "completed",
            "model": str(path),
            "data": data,
            "part": part,
        }
        print_json(head | measured.as_json(), state)
        return
    where = data if part == "all" else f"{data}, {part} part"
    rows = [("model", str(path)), ("data", f"{where}: {measured.samples:,} samples")]
    rows.append(("loss", f"{measured.loss:.6g}"))
    form = ".6g" if measured.task == "regression" else ".2%"
    rows += [(key.replace("_", " "), f"{value:{form}}") for key, value in measured.metrics.items()]
    print_pairs(rows)
    if measured.per_class is not None:
        what = "class" if measured.task == "classification" else "label"
        _print_table(what, measured.per_class, MEASURES, ".2%", state)
    elif measured.per_target is not None and len(measured.per_target) > 1:
        _print_table("target", measured.per_target, ERRORS, ".6g", state)


def _print_table(
    what: str, rows: list[dict[str, Any]], measures: tuple[str, ...], form: str, state: State
) -> None:
    """One line for each class, label or target."""
    from fastmlp.cli.tables import print_table

    counted = ("support",) if "support" in rows[0] else ()
    name = "target" if what == "target" else "class"
    lines = [
        [
            row[name],
            *(f"{row[key]:{form}}" for key in measures),
            *(f"{row[key]:,}" for key in counted),
        ]
        for row in rows
    ]
    click.echo()
    print_table((what, *measures, *counted), lines, (*measures, *counted), state)
