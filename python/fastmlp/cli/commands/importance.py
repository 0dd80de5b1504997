"""The command `fastmlp importance`: how much worse a model is when one column is permuted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_metric, complete_run, complete_source
from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import (
    CommandBase,
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
from fastmlp.cli.runs import (
    load_own_data,
    load_own_folds,
    open_models,
    run_or_file,
    suggest_picture,
)
from fastmlp.cli.sources import data_errors, plain_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from fastmlp.data import Part, Reading, Samples
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.importance import Importance
    from fastmlp.model import MLP

    Names = tuple[str, ...] | None

__all__ = ["importance"]

EXAMPLES = """\
fastmlp importance runs/001-houses
fastmlp importance runs/001-houses --metric mae --repeats 20
fastmlp importance model.safetensors houses-2024.csv --json"""
_BAR = 24


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@click.argument("dataset", required=False, shell_complete=complete_source)
@click.option(
    "--metric", default=None, metavar="NAME", shell_complete=complete_metric,
    help="Metric that is compared, such as auc, log_loss, rmse or mae.  [default: accuracy or r2]",
)  # fmt: skip
@click.option(
    "--repeats", type=click.IntRange(1, 10_000), default=5, show_default=True, metavar="N",
    help="Number of permutations of each column.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, metavar="N",
    help="Seed of the permutations.",
)  # fmt: skip
@data_dir_option
@separator_option
@encoding_option
@header_option
@offline_option
@threads_option
@quiet_option()
@common_options()
@click.pass_context
def importance(
    ctx: click.Context, /, *, model: str, dataset: str | None, metric: str | None, repeats: int,
    seed: int, data_dir: str | None, separator: str | None, encoding: str | None,
    header: bool | None, threads: int | None, quiet: bool,
) -> int:  # fmt: skip
    """Show how much worse a model predicts when the cells of one column are permuted.

    MODEL is the directory or number of a run, the directory of a cross-validation, or a model file.
    Several networks are measured together. Without DATASET, a run is measured on its own data that
    was set aside. DATASET is a source as for `fastmlp train`, with targets;
    all samples of a file are used, or the test part of a source that has one.
    """
    from fastmlp.data import Reading
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.importance import importance_of, importance_of_bag
    from fastmlp.experiment.serving import labeled_samples, plain_preprocessing

    place = run_or_file(model)
    network, path = open_models(place)
    if dataset is None:
        given = {
            "--data-dir": data_dir, "--separator": separator, "--encoding": encoding,
            "--header": header,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise ConfigError(f"{option} needs a DATASET, got none")
    options: dict[str, Any] = {
        "metric": metric, "repeats": repeats, "seed": seed, "threads": threads,
    }  # fmt: skip
    reading = Reading(separator=separator, encoding=encoding, header=header)
    if isinstance(network, BaggedModel):
        name, part, class_names = (
            _own_part(place, quiet)
            if dataset is None
            else _part_of(network, dataset, data_dir, reading, quiet)
        )
        with data_errors(dataset or ""), plain_warnings(quiet=quiet):
            found = importance_of_bag(network, part, class_names=class_names, **options)
    else:
        if dataset is None:
            name, samples = _own_samples(place, quiet)
        else:
            name, part, class_names = _part_of(network, dataset, data_dir, reading, quiet)
            with data_errors(dataset), plain_warnings(quiet=quiet):
                pre = network.preprocessing or plain_preprocessing(network)
                samples = labeled_samples(pre, part, class_names=class_names)
        with data_errors():
            found = importance_of(network, samples, **options)
    _print(state_of(ctx), path, name, found)
    if dataset is None and network.preprocessing and network.preprocessing.columns:
        suggest_picture(state_of(ctx), place, "importance")
    return int(ExitCode.OK)


def _own_samples(place: Path, quiet: bool) -> tuple[str, Samples]:
    """Return a name for the run's own samples that were set aside, and the samples."""
    from fastmlp.experiment.rundir import RunDirectory

    if not place.is_dir():
        raise ConfigError("a DATASET is needed for a model file; only a run records its data")
    experiment = load_own_data(
        RunDirectory.open(place), quiet=quiet, instead="name a DATASET, or pipe it in again"
    )
    part, samples = experiment.evaluated
    return f"{experiment.prepared.name}, {part} part", samples


def _own_part(place: Path, quiet: bool) -> tuple[str, Part, Names]:
    """Return a name for the samples that networks on folds have not seen, and the samples."""
    bagging = load_own_folds(place, quiet=quiet)
    if bagging is None or bagging.test is None:
        raise ConfigError(f"a DATASET is needed: {place} set no samples aside")
    return f"{bagging.plan.raw.name}, test part", bagging.test, bagging.plan.raw.class_names


def _part_of(
    model: MLP | BaggedModel, dataset: str, data_dir: str | None, options: Reading, quiet: bool
) -> tuple[str, Part, Names]:
    from fastmlp.data import read
    from fastmlp.experiment.serving import part_of

    pre = model.preprocessing
    with data_errors(dataset), plain_warnings(quiet=quiet):
        reading = options if pre is None else pre.reading(options)
        raw = read(dataset, data_dir=data_dir, reading=reading)
        return raw.name, part_of(raw, "auto"), None if pre is None else raw.class_names


def _print(state: State, path: Path, data: str, found: Importance) -> None:
    import numpy as np

    if state.json:
        head = document_head("importance") | {"model": str(path), "data": data}
        print_json(state, head | found.as_json())
        return
    print_pairs(
        [
            ("model", str(path)),
            ("data", f"{data}: {found.samples:,} samples"),
            (found.metric.replace("_", " "), f"{found.score:.6g}"),
        ]
    )
    click.echo()
    means, deviations = found.means, found.deviations
    lengths = np.where(np.isfinite(means), means, 0.0).clip(min=0.0)
    bars = np.rint(_BAR * lengths / (lengths.max() or 1.0)).astype(int)
    rows = [
        (found.names[i], f"{means[i]:.4f}", f"{deviations[i]:.4f}", "█" * bars[i])
        for i in found.order.tolist()
    ]
    header = ("column", f"loss of {found.metric}", "deviation", "")
    print_table(header, rows, header[1:3], state)
