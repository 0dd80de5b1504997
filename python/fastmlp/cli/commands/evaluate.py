"""The command `fastmlp evaluate`: measure a model on samples with known targets."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_run, complete_source
from fastmlp.cli.errors import CheckFailedError, ConfigError, ExitCode
from fastmlp.cli.folds import print_cross_validation
from fastmlp.cli.options import (
    Choice,
    CommandBase,
    Fraction,
    State,
    common_options,
    data_dir_option,
    encoding_option,
    header_option,
    offline_option,
    quiet_option,
    separator_option,
    state_of,
    threads_option,
)
from fastmlp.cli.printing import document_head, print_json, print_pairs, print_table
from fastmlp.cli.runs import load_own_data, open_models, run_or_file, suggest_picture
from fastmlp.cli.sources import data_errors, plain_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from fastmlp.data import Reading
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.model import MLP

__all__ = ["evaluate"]

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
    "--part", type=Choice(("auto", "test", "validation", "training")), default="auto",
    show_default=True, help="Part of the data; auto is the test part, or all samples of a file.",
)  # fmt: skip
@data_dir_option
@separator_option
@encoding_option
@header_option
@offline_option
@threads_option
@click.option(
    "--min-accuracy", type=Fraction(), default=None, metavar="A",
    help="Exit with code 6 if the accuracy is lower (0.98 or 98%).",
)  # fmt: skip
@quiet_option()
@common_options()
@click.pass_context
def evaluate(
    ctx: click.Context, /, *, model: str, dataset: str | None, part: str, data_dir: str | None,
    separator: str | None, encoding: str | None, header: bool | None, threads: int | None,
    min_accuracy: float | None, quiet: bool,
) -> int:  # fmt: skip
    """Measure a model on samples with known targets.

    MODEL is the directory or number of a run, the directory of a cross-validation, or a model
    file. Without DATASET, a run is measured on its own data, divided as for the training, and of a
    cross-validation the scores of its folds are shown. DATASET is a source as for `fastmlp train`;
    all samples of a file are used.
    """
    from fastmlp.data import Reading

    place = run_or_file(model)
    network, path = open_models(place)
    if dataset is None:
        from fastmlp.experiment.bagging import BaggedModel

        given = {
            "--data-dir": data_dir, "--separator": separator, "--encoding": encoding,
            "--header": header,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise ConfigError(f"{option} needs a DATASET, got none")
        if isinstance(network, BaggedModel):
            return _of_folds(state_of(ctx), place, part, min_accuracy)
        data, part, measured = _on_own_data(network, place, part, threads, quiet)
    else:
        with plain_warnings(quiet=quiet):
            options = Reading(separator=separator, encoding=encoding, header=header)
            data, part, measured = _on(network, place, dataset, part, data_dir, options, threads)
    problem = _shortfall(measured, min_accuracy)
    _print(state_of(ctx), path, data, part, measured, problem)
    if problem:
        raise CheckFailedError(problem)
    if dataset is None and measured.task != "multilabel":
        picture = "predictions" if measured.task == "regression" else "confusion"
        suggest_picture(state_of(ctx), place, picture)
    return int(ExitCode.OK)


def _shortfall(measured: Evaluation, wanted: float | None) -> str:
    """Return the message about an accuracy that is too low, or an empty text."""
    return _too_low(measured.accuracy, wanted)


def _too_low(reached: float | None, wanted: float | None) -> str:
    if wanted is None or (reached is not None and reached >= wanted):
        return ""
    shown = "unknown for a regression" if reached is None else f"{100 * reached:.6g}%"
    return f"accuracy is {shown}, --min-accuracy requires {100 * wanted:.6g}%"


# ---------------------------------------------------------------- samples


def _on(
    model: MLP | BaggedModel, place: Path, dataset: str, part: str, data_dir: str | None,
    options: Reading, threads: int | None,
) -> tuple[str, str, Evaluation]:  # fmt: skip
    """Measure on a data set or file; return its name, the part and the measures."""
    from fastmlp.data import read
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.serving import evaluate_part, part_of

    if part == "validation":
        raise ConfigError("--part validation is for a run's own data; leave DATASET out")
    reading = options if model.preprocessing is None else model.preprocessing.reading(options)
    with data_errors(dataset):
        raw = read(dataset, data_dir=data_dir, reading=reading)
        samples = part_of(raw, part)
        names = raw.class_names
        if isinstance(model, BaggedModel):
            measured = model.evaluate_part(samples, class_names=names, threads=threads)
        else:
            measured = evaluate_part(model, samples, class_names=names, threads=threads)
    _warn_of_unknown_categories(model, samples.x)
    if samples is raw.test:
        return raw.name, "test", measured
    if part == "auto":
        _warn_of_known_samples(place, raw.sha256)
    return raw.name, "training" if raw.test is not None else "all", measured


def _warn_of_unknown_categories(model: MLP | BaggedModel, x: Any) -> None:
    from fastmlp.data import Table
    from fastmlp.data.table_inputs import unknown_categories_in

    pre = model.preprocessing
    if pre is None or pre.columns is None or not isinstance(x, Table):
        return
    text = unknown_categories_in(x, pre.columns)
    if text is not None:
        warnings.warn(text, stacklevel=2)


def _warn_of_known_samples(place: Path, sha256: dict[str, str]) -> None:
    known = _known_digests(place) if place.is_dir() else None
    if isinstance(known, dict) and not set(sha256.values()).isdisjoint(known.values()):
        warnings.warn(
            "the model was trained on some of these samples; leave DATASET out to measure it on "
            "samples that were not used for the training",
            stacklevel=2,
        )


def _known_digests(place: Path) -> Any:
    """Return the digests of the data of a run or a cross-validation."""
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.rundir import RunDirectory

    folds = CrossValidationDirectory(place)
    known = folds.definition() if folds.definition_path.is_file() else None
    return (RunDirectory(place).environment() if known is None else known).get("data_sha256")


def _of_folds(state: State, place: Path, part: str, min_accuracy: float | None) -> int:
    """Show the scores of a cross-validation, which were measured on samples new to each model."""
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory

    result = CrossValidationDirectory(place).result()
    if not result:
        raise ConfigError("a DATASET is needed for models whose cross-validation is not here")
    together = result.get("chooses_epoch")
    if part != "auto" and not (together and part == "test"):
        measured_on = "their test part" if together else "each of the folds"
        raise ConfigError(f"--part {part}: networks on folds are measured on {measured_on}")
    print_cross_validation(state, "evaluate", result, str(place))
    scores = {name: score["mean"] for name, score in result["scores"].items()}
    measures = (result.get("test") or {}) if together else scores
    problem = _too_low(measures.get("accuracy", measures.get("subset_accuracy")), min_accuracy)
    if problem:
        raise CheckFailedError(problem)
    return int(ExitCode.OK)


def _on_own_data(
    model: MLP, place: Path, part: str, threads: int | None, quiet: bool
) -> tuple[str, str, Evaluation]:
    """Measure on a part of the run's own data; return its name, the part and the measures."""
    from fastmlp.experiment.evaluation import evaluate as measure
    from fastmlp.experiment.rundir import RunDirectory

    if not place.is_dir():
        raise ConfigError("a DATASET is needed for a model file; only a run records its data")
    experiment = load_own_data(
        RunDirectory.open(place), quiet=quiet, instead="name a DATASET, or pipe it in again"
    )
    prepared = experiment.prepared
    parts = {
        "training": prepared.train, "validation": prepared.validation, "test": prepared.test,
    }  # fmt: skip
    name = experiment.evaluated[0] if part == "auto" else part
    if part == "training":
        with data_errors():
            experiment.require_in_memory("--part training")
    samples = parts[name]
    if samples is None:
        present = ", ".join(known for known, each in parts.items() if each is not None)
        raise ConfigError(f"--part {part}: {place} has no such part, only {present}")
    return prepared.name, name, measure(model, samples, threads=threads)


# ---------------------------------------------------------------- the result


def _print(
    state: State, path: Path, data: str, part: str, measured: Evaluation, problem: str
) -> None:
    if state.json:
        head = document_head("evaluate") | {
            "status": "check_failed" if problem else "completed",
            "model": str(path),
            "data": data,
            "part": part,
        }
        print_json(state, head | measured.as_json())
        return
    where = data if part == "all" else f"{data}, {part} part"
    rows = [("model", str(path)), ("data", f"{where}: {measured.samples:,} samples")]
    if not math.isnan(measured.loss):  # several models together have one for classes alone
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
    """Print a table with one line for each class, label or target."""
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
