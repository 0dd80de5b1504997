"""The command `fastmlp report`: write the report of a run from its files and its data."""

from __future__ import annotations

import click

from fastmlp.cli.errors import CliError
from fastmlp.cli.options import (
    CommandBase,
    common_options,
    quiet_option,
    state_of,
    threads_option,
)
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.runs import complete_run, load_own_data, open_run, run_errors
from fastmlp.extras import require

__all__ = ["report"]


@click.command(cls=CommandBase, examples="fastmlp report runs/001-mnist\nfastmlp report 1 --json")
@click.argument("run", shell_complete=complete_run)
@threads_option
@quiet_option("path")
@common_options()
@click.pass_context
def report(ctx: click.Context, /, *, run: str, threads: int | None, quiet: bool) -> None:
    """Write report.html and the plots of a run.

    RUN is the directory or number of a run. Its model is measured again on the data of the run. The
    report is one file without scripts or references to other files.
    """
    from fastmlp.experiment.evaluation import evaluate
    from fastmlp.model import load_mlp
    from fastmlp.report import write_report

    for package in ("matplotlib", "jinja2"):
        require("plot", package)
    directory = open_run(run)
    with run_errors():
        path = directory.selected_model()
    model = load_mlp(path)
    with run_errors():
        experiment = load_own_data(directory, quiet=quiet)
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
    state = state_of(ctx)
    if state.json:
        plots = sorted(map(str, directory.plots_path.glob("*.svg")))
        content = {"run": str(directory.path), "report": str(path), "part": part, "plots": plots}
        print_json(state, document_head("report") | content)
    else:
        click.echo(str(path))
