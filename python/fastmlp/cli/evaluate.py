"""`fastmlp evaluate`: how good a model is on samples whose answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CheckFailedError, ConfigError, ExitCode
from fastmlp.cli.options import CommandBase, Fraction, State, Whole, common_options, state_of
from fastmlp.cli.sources import complete_source, go_offline, plain_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from fastmlp.experiment.evaluation import Evaluation

__all__ = ["evaluate"]

EXAMPLES = """\
fastmlp evaluate runs/001-mnist
fastmlp evaluate runs/001-mnist --part validation
fastmlp evaluate model.safetensors houses-2024.csv --json
fastmlp evaluate runs/001-mnist mnist --min-accuracy 98%"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model")
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

    MODEL is a run's directory or a model file. Without DATASET a run is measured on its own data,
    divided as it was; a file is taken whole.
    """
    from fastmlp.cli.models import open_model

    if offline:
        go_offline()
    network, path = open_model(model)
    with plain_warnings(quiet=quiet):
        if dataset is None:
            name, measured = _on_own_data(network, model, part, threads, quiet)
        else:
            name, measured = _on(network, dataset, part, data_dir, separator, threads)
    _print(state_of(ctx), path, name, measured)
    accuracy = measured.metrics.get("accuracy", measured.metrics.get("subset_accuracy"))
    if min_accuracy is not None and (accuracy is None or accuracy < min_accuracy):
        shown = "unknown" if accuracy is None else f"{accuracy:.2%}"
        raise CheckFailedError(f"accuracy is {shown}, --min-accuracy asks for {min_accuracy:.2%}")
    return int(ExitCode.OK)


def _on(
    model: Any, dataset: str, part: str, data_dir: str | None, separator: str | None,
    threads: int | None,
) -> tuple[str, Evaluation]:  # fmt: skip
    from fastmlp.cli.training import data_errors
    from fastmlp.data.read import read
    from fastmlp.experiment.serving import evaluate_part, part_of

    if part == "validation":
        raise ConfigError("--part validation is for a run's own data; leave DATASET out")
    with data_errors():
        raw = read(dataset, data_dir=data_dir, separator=separator)
        samples = part_of(raw, part)
        measured = evaluate_part(model, samples, class_names=raw.class_names, threads=threads)
        return raw.name, measured


def _on_own_data(
    model: Any, argument: str, part: str, threads: int | None, quiet: bool
) -> tuple[str, Evaluation]:
    from pathlib import Path

    from fastmlp.cli.training import load_experiment
    from fastmlp.experiment.evaluation import evaluate as measure
    from fastmlp.experiment.rundir import RunDirectory

    if not Path(argument).is_dir():
        raise ConfigError("a DATASET is needed: a model file does not know its data, a run does")
    run = RunDirectory.open(argument)
    experiment = load_experiment(run.config(), quiet=quiet)
    prepared = experiment.prepared
    parts = {
        "training": prepared.train, "validation": prepared.validation, "test": prepared.test,
    }  # fmt: skip
    name = experiment.evaluated[0] if part == "auto" else part
    samples = parts[name]
    if samples is None:
        raise ConfigError(f"--part {part}: {argument} has no such part")
    return f"{prepared.name}, {name} part", measure(model, samples, threads=threads)


def _print(state: State, path: Path, name: str, measured: Evaluation) -> None:
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    if state.json:
        head = {"schema": "fastmlp.evaluate", "schema_version": SCHEMA_VERSION}
        content = {"command": "evaluate", "model": str(path), "data": name, **measured.as_json()}
        print_json(head | content, state)
        return
    rows = [("model", str(path)), ("data", f"{name}: {measured.samples:,} samples")]
    rows.append(("loss", f"{measured.loss:.6g}"))
    form = ".6g" if measured.task == "regression" else ".2%"
    rows += [(key.replace("_", " "), f"{value:{form}}") for key, value in measured.metrics.items()]
    width = max(len(key) for key, _ in rows) + 2
    for key, value in rows:
        click.echo(f"{key:<{width}}{value}")
    if measured.per_class is not None:
        _print_classes(measured.per_class)


def _print_classes(rows: list[dict[str, Any]]) -> None:
    width = max(5, *(len(row["class"]) for row in rows))
    click.echo(f"\n{'class':<{width}}  precision   recall       f1  support")
    for row in rows:
        shares = "  ".join(f"{row[key]:>7.2%}" for key in ("precision", "recall", "f1"))
        click.echo(f"{row['class']:<{width}}    {shares}  {row['support']:>7,}")
