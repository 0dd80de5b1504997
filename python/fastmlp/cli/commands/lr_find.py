"""The command `fastmlp lr-find`: run a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import fastmlp
from fastmlp.cli.completion import complete_source
from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.files import require_picture, write_picture
from fastmlp.cli.options import (
    Number,
    State,
    Whole,
    common_options,
    offline_option,
    quiet_option,
    state_of,
)
from fastmlp.cli.printing import document_head, print_json, print_pairs
from fastmlp.cli.settings import SettingsCommand, resolve_settings, take_settings, words_of
from fastmlp.cli.sources import load_experiment
from fastmlp.extras import require

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
    help="Total number of mini-batches.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="FILE",
    help="File for a picture of the curve: .svg, .png or .pdf.",
)  # fmt: skip
@offline_option
@quiet_option()
@common_options()
@click.pass_context
def lr_find(
    ctx: click.Context, /, *, lowest: float, highest: float, steps: int, output: str | None,
    quiet: bool, **options: Any,
) -> int:  # fmt: skip
    """Find a learning rate.

    DATASET is a source as for `fastmlp train`. The learning rate grows by a constant factor from
    step to step while the loss is recorded (L. N. Smith, "Cyclical learning rates for training
    neural networks", 2017). The suggestion is the rate at which the loss falls most steeply. If the
    curve tells none, the command says why and exits with code 6. The trained model is discarded.
    """
    if highest <= lowest:
        raise ConfigError(f"--highest must be above --lowest, {lowest:g}, got {highest:g}")
    _require_drawable(output)
    given = take_settings(ctx, options)
    config = resolve_settings(given)
    experiment = load_experiment(config, quiet=quiet)
    found = _search(experiment, lowest, highest, steps)
    if output is not None:
        _draw(found, output)
    _print(found, output, state_of(ctx))
    if found.problem is not None:
        click.echo(f"fastmlp: error: no learning rate is suggested: {found.problem}", err=True)
        return int(ExitCode.CHECK_FAILED)
    rate = ["--lr", f"{found.suggestion:.3g}"]
    architecture = experiment.config.network.architecture
    if architecture != "mlp":
        rate = []
        if not quiet:
            click.echo(
                f"note: {architecture} comes with a rate and a schedule that suit it; --lr is for "
                "trainings that fail with them",
                err=True,
            )
    state_of(ctx).suggest("train", *words_of(given), *rate)
    return int(ExitCode.OK)


def _require_drawable(output: str | None) -> None:
    """Raise an error before the data is read if the picture could not be written."""
    if output is None:
        return
    require_picture(Path(output))
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
    """Return the weights of the samples times those of their classes, as in a training."""
    from fastmlp.experiment import build
    from fastmlp.network.samples import class_weighted

    prepared = experiment.prepared
    by_class = build.class_weights(experiment.config, prepared.preprocessing)
    if by_class is not None and prepared.task != "classification":
        raise ConfigError(f"training.class_weight: needs classes, the task is {prepared.task}")
    train, classes = prepared.train, prepared.preprocessing.outputs
    return class_weighted(train.weight, by_class, train.y, classes, "float64")


def _draw(found: LearningRates, output: str) -> None:
    try:
        write_picture(fastmlp.plot.learning_rate(found), Path(output))
    except OSError as error:
        raise CliError(f"cannot write {output}: {error}") from error


def _print(found: LearningRates, output: str | None, state: State) -> None:
    lowest = float(found.rates[found.losses.argmin()])
    if state.json:
        content = {
            "suggestion": found.suggestion,
            "problem": found.problem,
            "lowest_loss_at": lowest,
            "rates": found.rates.tolist(),
            "losses": found.losses.tolist(),
            "picture": output,
        }
        print_json(state, document_head("lr-find") | content)
        return
    suggestion = found.suggestion
    rows = [("suggested learning rate", "none" if suggestion is None else f"{suggestion:.3g}")]
    rows.append(("lowest loss at", f"{lowest:.3g}"))
    if output is not None:
        rows.append(("picture", output))
    print_pairs(rows)
