"""`fastmlp train`: the command's options.  What it does with them is in `training`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fastmlp.cli.options import (
    CommandBase,
    Fraction,
    LayerSizes,
    Number,
    Whole,
    common_options,
    state_of,
)
from fastmlp.cli.recipes import DEFAULT, SCHEDULES

__all__ = ["train"]

EXAMPLES = """\
fastmlp train mnist
fastmlp train mnist --hidden 256,128 --epochs 5 --lr 0.05 --seed 1
fastmlp train fashion-mnist --out runs/fashion --min-accuracy 88%
fastmlp train path/to/idx-files --json > result.json
fastmlp train mnist --dry-run"""

F = TypeVar("F", bound=Callable[..., Any])
POSITIVE = Number(0, open_low=True)
NOT_NEGATIVE = Number(0)
ACTIVATIONS = ("relu", "tanh", "sigmoid", "identity")
INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal")
SIZES = ",".join(map(str, DEFAULT.hidden))


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    from fastmlp.datasets.registry import REGISTRY

    names = [CompletionItem(name) for name in REGISTRY if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="dir")]


def _recipe_option(*names: str, default: object, help: str, **kwargs: Any) -> Callable[[F], F]:
    """Make an option whose default depends on the data set; the help shows the usual one."""
    return click.option(*names, default=None, help=f"{help}  [default: {default}]", **kwargs)


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", shell_complete=_complete)
@_recipe_option(
    "--hidden", type=LayerSizes(), metavar="N,N", default=SIZES,
    help="Widths of the hidden layers, or 'none'.",
)  # fmt: skip
@click.option(
    "--activation", type=click.Choice(ACTIVATIONS), default="relu", show_default=True,
    help="Activation of the hidden layers.",
)  # fmt: skip
@_recipe_option(
    "--epochs", type=Whole(1, 1_000_000), metavar="N", default=DEFAULT.epochs,
    help="Passes over the training samples.",
)  # fmt: skip
@_recipe_option(
    "--batch-size", type=Whole(1, 1 << 30), metavar="N", default=DEFAULT.batch_size,
    help="Samples per mini-batch.",
)  # fmt: skip
@_recipe_option(
    "--lr", type=POSITIVE, metavar="RATE", default=DEFAULT.lr, help="Learning rate of epoch 1."
)
@_recipe_option(
    "--lr-schedule", type=click.Choice(SCHEDULES), default=DEFAULT.schedule,
    help="How the rate falls from epoch to epoch; 'step' divides it by 10 after each third.",
)  # fmt: skip
@_recipe_option(
    "--momentum", type=Number(0, 1), metavar="M", default=DEFAULT.momentum,
    help="Momentum of SGD, 0 for none.",
)  # fmt: skip
@click.option("--nesterov/--no-nesterov", default=False, help="Use Nesterov's momentum.")
@_recipe_option(
    "--l2", type=NOT_NEGATIVE, metavar="L2", default=DEFAULT.l2,
    help="Weight of the L2 penalty.",
)  # fmt: skip
@click.option(
    "--initializer", type=click.Choice(INITIALIZERS), default=None,
    help="Distribution of the first weights.  [default: the model's own]",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(("float32", "float64")), default="float32", show_default=True,
    help="Precision of weights and arithmetic.",
)  # fmt: skip
@click.option(
    "--seed", type=Whole(0, (1 << 63) - 1), metavar="N", default=0, show_default=True,
    help="Seed of the first weights and of the order of samples.",
)  # fmt: skip
@click.option(
    "--threads", type=Whole(1, 1024), metavar="N", default=None,
    help="Worker threads; the result is the same for any number.  "
    "[default: by cores and work]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(), default=None,
    help="Directory of the run, or a .safetensors file for the model alone.  "
    "[default: runs/NNN-DATASET]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow --out to replace what is there.")
@click.option(
    "--data-dir", type=click.Path(), default=None,
    help="Directory with the data set's files, looked at first.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option(
    "--min-accuracy", type=Fraction(), metavar="A", default=None,
    help="Exit with code 6 if the final test accuracy is lower (0.98 or 98%).",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check the settings, show the plan and stop.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result only, no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Print the machine and all settings first.")
@common_options()
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> int:
    """Train a network on a data set and save it.

    DATASET is a known name (`fastmlp data list`) or a directory with four IDX files in the manner
    of MNIST. The run's directory receives model.safetensors, metrics.jsonl, config.json and
    environment.json. Ctrl-C saves the model as it stands and ends with code 130.
    """
    from fastmlp.cli.training import Settings, run_training

    return run_training(Settings.resolve(**options), state_of(ctx))
