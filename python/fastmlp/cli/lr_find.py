"""`fastmlp lr-find`: which learning rates a problem bears, before a run is spent on it."""

from __future__ import annotations

from typing import Any

import click

from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import Number, State, Whole, common_options, state_of
from fastmlp.cli.setting_options import SettingsCommand, given_settings, setting_options
from fastmlp.cli.sources import complete_source, go_offline

__all__ = ["lr_find"]

EXAMPLES = """\
fastmlp lr-find mnist
fastmlp lr-find houses.csv --target price --optimizer adam
fastmlp lr-find mnist --hidden 512,512 -o rates.svg"""


@click.command("lr-find", cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", required=False, shell_complete=complete_source)
@click.option("--config", "config_file", type=click.Path(), default=None, metavar="FILE",
              help="Settings from a TOML file.")  # fmt: skip
@click.option("-s", "--set", "assignments", multiple=True, metavar="SECTION.NAME=VALUE",
              help="Any setting of 'fastmlp config show'; may be repeated.")  # fmt: skip
@click.option("--lowest", type=Number(0, open_low=True), default=1e-6, show_default=True,
              help="Rate of the first step.")  # fmt: skip
@click.option("--highest", type=Number(0, open_low=True), default=10.0, show_default=True,
              help="Rate of the last step.")  # fmt: skip
@click.option("--steps", type=Whole(2, 1_000_000), default=200, show_default=True,
              help="Mini-batches.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(), default=None, metavar="FILE",
              help="Picture of the curve: .svg, .png or .pdf.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result only.")
@setting_options()
@common_options()
@click.pass_context
def lr_find(
    ctx: click.Context, /, *, lowest: float, highest: float, steps: int, output: str | None,
    offline: bool, quiet: bool, **options: Any,
) -> int:  # fmt: skip
    """Find a learning rate.

    The rate grows by a constant factor from step to step while the loss is watched (L. N. Smith,
    "Cyclical learning rates for training neural networks", 2017). Suggested is the rate at which
    the loss falls most steeply. Nothing is kept of the training.
    """
    from fastmlp.cli.training import Request, load_experiment, resolve_settings

    if highest <= lowest:
        raise ConfigError(f"--highest must be above --lowest, {lowest:g}, got {highest:g}")
    if offline:
        go_offline()
    given = given_settings(options)
    config = resolve_settings(Request(given=given, **options))
    experiment = load_experiment(config, quiet=quiet)
    found = _search(experiment, lowest, highest, steps)
    if output is not None:
        from pathlib import Path

        from fastmlp import plot
        from fastmlp.cli.plot import write_picture

        write_picture(plot.learning_rate(found), Path(output))
    _print(found, output, state_of(ctx))
    return int(ExitCode.OK)


def _search(experiment: Any, lowest: float, highest: float, steps: int) -> Any:
    from fastmlp.experiment import build
    from fastmlp.optimizers import Optimizer

    training = experiment.config.training
    samples = experiment.prepared.train
    try:
        optimizer = build.optimizer(experiment.config)
        if not isinstance(optimizer, Optimizer):
            raise ValueError("optimizer: lbfgs has no learning rate")
        return experiment.new_model().lr_find(
            samples.x,
            samples.y,
            optimizer=optimizer,
            sample_weight=samples.weight,
            lowest=lowest,
            highest=highest,
            steps=steps,
            batch_size=training.batch_size,
            threads=training.threads,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _print(found: Any, output: str | None, state: State) -> None:
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    if state.json:
        head = {"schema": "fastmlp.lr-find", "schema_version": SCHEMA_VERSION}
        content = {
            "command": "lr-find",
            "suggestion": found.suggestion,
            "rates": found.rates.tolist(),
            "losses": found.losses.tolist(),
            "picture": output,
        }
        print_json(head | content, state)
        return
    click.echo(f"suggested learning rate  {found.suggestion:.3g}")
    click.echo(f"lowest loss at           {found.rates[found.losses.argmin()]:.3g}")
    if output is not None:
        click.echo(f"picture                  {output}")
