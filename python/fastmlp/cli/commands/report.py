"""The command `fastmlp report`: write the report of a run from its files and its data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import CliError, classify
from fastmlp.cli.options import (
    CommandBase,
    common_options,
    quiet_option,
    state_of,
    threads_option,
)
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.runs import load_own_data, open_run, run_errors
from fastmlp.cli.sources import data_errors
from fastmlp.errors import FormatError
from fastmlp.extras import MissingExtraError, require

if TYPE_CHECKING:
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment

__all__ = ["report"]


EXAMPLES = """\
fastmlp report runs/001-mnist
fastmlp report 1 --open
fastmlp report 1 --learning-curve
fastmlp report 1 --json"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("run", shell_complete=complete_run)
@click.option("--open", "opens", is_flag=True, help="Open the report in the browser.")
@click.option(
    "--learning-curve",
    "measures_sizes",
    is_flag=True,
    help="Train on 10, 20, 50 and 100 % of the samples too, and show what more data may bring.",
)
@threads_option
@quiet_option("path")
@common_options()
@click.pass_context
def report(
    ctx: click.Context,
    /,
    *,
    run: str,
    opens: bool,
    measures_sizes: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Write report.html and the plots of a run.

    RUN is the directory or number of a run. Its model is measured again on the data of the run. The
    report is one file without scripts or references to other files. If it cannot be written again,
    because the data is gone, --open shows the one that exists.
    """
    directory = open_run(run)
    part = None
    try:
        path, part = _written(directory, threads, quiet, measures_sizes=measures_sizes)
    except (CliError, FormatError, MissingExtraError) as error:
        path = directory.report_path
        if not (opens and path.is_file()):
            raise
        click.echo(f"fastmlp: warning: not written again: {classify(error)[1]}", err=True)
    state = state_of(ctx)
    if state.json:
        plots = sorted(map(str, directory.plots_path.glob("*.svg")))
        content = {"run": str(directory.path), "report": str(path), "part": part, "plots": plots}
        print_json(state, document_head("report") | content)
    else:
        click.echo(str(path))
    if opens:
        _open(path)
    else:
        state.suggest("report", directory.path, "--open")


def _written(
    directory: RunDirectory, threads: int | None, quiet: bool, *, measures_sizes: bool
) -> tuple[Path, str]:
    """Write the report; return its path and the part of the data that it is about."""
    from fastmlp.experiment.evaluation import evaluate
    from fastmlp.model import load_mlp
    from fastmlp.report import write_report

    for package in ("matplotlib", "jinja2"):
        require("plot", package)
    with run_errors():
        path = directory.selected_model()
    model = load_mlp(path)
    with run_errors():
        experiment = load_own_data(directory, quiet=quiet)
    if measures_sizes:
        _measure_sizes(directory, experiment, threads, quiet)
    part, samples = experiment.evaluated
    measured = evaluate(model, samples, threads=threads)
    try:
        with run_errors():
            path = write_report(
                directory,
                model=model,
                evaluation=measured,
                samples=samples,
                training=experiment.prepared.train,
                threads=threads,
            )
    except OSError as error:
        raise CliError(f"cannot write the report of {directory.path}: {error}") from error
    return path, part


def _measure_sizes(
    directory: RunDirectory, experiment: Experiment, threads: int | None, quiet: bool
) -> None:
    """Train on growing parts of the data and keep what each reaches."""
    from fastmlp.experiment.learning_curve import learning_curve

    def tell(point: dict[str, Any]) -> None:
        if not quiet:
            click.echo(f"{point['samples']:,} samples: loss {point['loss']:.4g}", err=True)

    with data_errors():
        experiment.require_in_memory("--learning-curve")
    curve = learning_curve(experiment, threads=threads, listener=tell)
    try:
        directory.write_json(directory.learning_curve_path, curve)
    except OSError as error:
        raise CliError(f"cannot write to {directory.path}: {error}") from error


def _open(path: Path) -> None:
    """Open a file in the user's browser; without one, say so."""
    import webbrowser

    sys.stdout.flush()  # a browser of the terminal takes it over
    if not webbrowser.open(path.resolve().as_uri()):
        click.echo(f"fastmlp: no browser was found; open {path} in one", err=True)
