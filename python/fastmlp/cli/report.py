"""`fastmlp report`: the report of a run, made anew from its files and its data."""

from __future__ import annotations

import click

from fastmlp.cli.options import CommandBase, Whole, common_options, state_of

__all__ = ["report"]


@click.command(cls=CommandBase, examples="fastmlp report runs/001-mnist")
@click.argument("run")
@click.option("--threads", type=Whole(1, 1024), default=None, metavar="N", help="Worker threads.")
@click.option("-q", "--quiet", is_flag=True, help="Print the path only.")
@common_options()
@click.pass_context
def report(ctx: click.Context, /, *, run: str, threads: int | None, quiet: bool) -> None:
    """Write report.html and the plots of a run.

    The run's model is measured on the run's own data again. The report is one file without scripts
    or references to other files.
    """
    from fastmlp.cli.result import SCHEMA_VERSION, print_json
    from fastmlp.cli.training import load_experiment
    from fastmlp.experiment.evaluation import evaluate
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.report import write_report
    from fastmlp.storage import load

    directory = RunDirectory.open(run)
    model = load(directory.selected_model())
    experiment = load_experiment(directory.config(), quiet=quiet)
    _, samples = experiment.evaluated
    measured = evaluate(model, samples, threads=threads)
    path = write_report(directory, model=model, evaluation=measured, samples=samples)
    state = state_of(ctx)
    if state.json:
        head = {"schema": "fastmlp.report", "schema_version": SCHEMA_VERSION}
        plots = sorted(map(str, directory.plots_path.glob("*.svg")))
        print_json(head | {"command": "report", "report": str(path), "plots": plots}, state)
    else:
        click.echo(str(path))
