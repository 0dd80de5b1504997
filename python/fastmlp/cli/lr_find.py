"""`fastmlp lr-find`: which learning rates a problem bears, before a run is spent on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.options import Number, State, Whole, common_options, state_of
from fastmlp.cli.setting_options import (
    SettingsCommand,
    given_settings,
    setting_options,
    settings_file_options,
)
from fastmlp.cli.sources import complete_source, go_offline

if TYPE_CHECKING:
    from fastmlp.experiment.runner import Experiment
    from fastmlp.training.lr_finder import LearningRates

__all__ = ["lr_find"]

EXAMPLES = """\
fastmlp lr-find mnist
fastmlp lr-find houses.csv --target price --optimizer adam
fastmlp lr-find mnist --hidden 512,512 -o rates.svg"""


@click.command("lr-find", cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", required=False, shell_complete=complete_source)
@settings_file_options
@click.option(
    "--lowest", type=Number(0, open_low=True), default=1e-6, show_default=True, metavar="RATE",
    help="Rate of the first step.",
)  # fmt: skip
@click.option(
    "--highest", type=Number(0, open_low=True), default=10.0, show_default=True, metavar="RATE",
    help="Rate of the last step.",
)  # fmt: skip
@click.option(
    "--steps", type=Whole(2, 1_000_000), default=200, show_default=True, metavar="N",
    help="Mini-batches in all.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="FILE",
    help="Picture of the curve: .svg, .png or .pdf.",
)  # fmt: skip
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
    from fastmlp.cli.request import Request, load_experiment, resolve_settings

    if highest <= lowest:
        raise ConfigError(f"--highest must be above --lowest, {lowest:g}, got {highest:g}")
    _require_drawable(output)
    if offline:
        go_offline()
    config = resolve_settings(Request(given=given_settings(options), **options))
    experiment = load_experiment(config, quiet=quiet)
    found = _search(experiment, lowest, highest, steps)
    if not quiet and found.losses.argmin() == 0:
        click.echo("fastmlp: warning: the loss falls at none of these rates", err=True)
    if output is not None:
        _draw(found, output)
    _print(found, output, state_of(ctx))
    return int(ExitCode.OK)


def _require_drawable(output: str | None) -> None:
    """Fail before the data is read where the picture could not be made after it."""
    if output is None:
        return
    from fastmlp.cli.options import unknown
    from fastmlp.cli.plot import FORMATS
    from fastmlp.extras import require

    kind = Path(output).suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise ConfigError(f"--output {output}: {unknown('format', kind, list(FORMATS))}")
    if not Path(output).parent.is_dir():
        raise ConfigError(f"--output {output}: the directory does not exist")
    require("plot", "matplotlib")


def _search(experiment: Experiment, lowest: float, highest: float, steps: int) -> LearningRates:
    from fastmlp.experiment import build
    from fastmlp.optimizers import Optimizer

    config, prepared = experiment.config, experiment.prepared
    try:
        optimizer = build.optimizer(config)
        if not isinstance(optimizer, Optimizer):
            raise ConfigError("optimizer.name: lbfgs has no learning rate")
        return experiment.new_model().lr_find(
            prepared.train.x,
            prepared.train.y,
            optimizer=optimizer,
            sample_weight=_weights(experiment),
            lowest=lowest,
            highest=highest,
            steps=steps,
            batch_size=config.training.batch_size or 1,
            threads=config.training.threads,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _weights(experiment: Experiment) -> Any:
    """Weights of the samples times those of their classes, as a training takes both."""
    from fastmlp.experiment import build
    from fastmlp.network.samples import class_weighted

    prepared = experiment.prepared
    by_class = build.class_weights(experiment.config, prepared.preprocessing)
    if by_class is not None and prepared.task != "classification":
        raise ConfigError(f"training.class_weight: needs classes, the task is {prepared.task}")
    train, classes = prepared.train, prepared.preprocessing.outputs
    return class_weighted(train.weight, by_class, train.y, classes, "float64")


def _draw(found: LearningRates, output: str) -> None:
    from fastmlp import plot
    from fastmlp.cli.plot import write_picture

    try:
        write_picture(plot.learning_rate(found), Path(output))
    except OSError as error:
        raise CliError(f"cannot write {output}: {error}") from error


def _print(found: LearningRates, output: str | None, state: State) -> None:
    lowest = float(found.rates[found.losses.argmin()])
    if state.json:
        from fastmlp.cli.result import SCHEMA_VERSION, print_json

        content = {
            "schema": "fastmlp.lr-find",
            "schema_version": SCHEMA_VERSION,
            "command": "lr-find",
            "suggestion": found.suggestion,
            "lowest_loss_at": lowest,
            "rates": found.rates.tolist(),
            "losses": found.losses.tolist(),
            "picture": output,
        }
        print_json(content, state)
        return
    from fastmlp.cli.tables import print_pairs

    rows = [("suggested learning rate", f"{found.suggestion:.3g}")]
    rows.append(("lowest loss at", f"{lowest:.3g}"))
    if output is not None:
        rows.append(("picture", output))
    print_pairs(rows)
