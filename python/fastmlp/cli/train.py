"""`fastmlp train`: the command's options; what it does is in `training.py`."""

from __future__ import annotations

from typing import Any

import click

from fastmlp.cli.options import common_options, state_of
from fastmlp.cli.setting_options import (
    SettingsCommand,
    given_settings,
    setting_options,
    settings_file_options,
)
from fastmlp.cli.sources import complete_source

__all__ = ["train"]

EXAMPLES = """\
fastmlp train mnist
fastmlp train mnist --hidden 256,128 --epochs 5 --lr 0.05 --seed 1
fastmlp train houses.csv --target price --impute median --optimizer adam
fastmlp train photos/ --validation-fraction 20% --patience 5
fastmlp train --config runs/001-mnist/config.toml
fastmlp train --resume runs/001-mnist
fastmlp train mnist --json --min-accuracy 98% > result.json
fastmlp train mnist --dry-run"""


@click.command(cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", required=False, shell_complete=complete_source)
@settings_file_options
@click.option(
    "--resume", type=click.Path(), default=None, metavar="RUN",
    help="Go on with a run that was cut off, from its newest checkpoint, to the same result.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(), default=None, metavar="DIR",
    help="Directory of the run.  [default: runs/NNN-DATASET]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow --out to replace an older run.")
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option(
    "--report/--no-report", default=None,
    help="Write report.html and plots.  [default: where 'fastmlp[plot]' is installed]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check the settings, show the plan and stop.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result only, no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Print the machine and all settings first.")
@setting_options()
@common_options()
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> int:
    """Train a network on a data set and save it.

    DATASET is a known name (`fastmlp data list`), a file (CSV, TSV, Parquet, NPZ, IDX), a directory
    (IDX files in the manner of MNIST, or images in one folder per class), or - for CSV on standard
    input. The run's directory receives the resolved settings, metrics, checkpoints, the best and
    the last model, and a report. Ctrl-C saves model and checkpoint as they stand and ends with code
    130.
    """
    from fastmlp.cli.request import Request
    from fastmlp.cli.training import run_training

    given = given_settings(options)
    return run_training(Request(given=given, **options), state_of(ctx))
