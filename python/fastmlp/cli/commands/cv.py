"""The command `fastmlp cv`: train and test a model on each fold of the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_columns, complete_source
from fastmlp.cli.errors import CheckFailedError, CliError, ConfigError, ExitCode
from fastmlp.cli.files import require_free
from fastmlp.cli.folds import (
    folds_directory,
    print_cross_validation,
    run_plan,
    wrong_settings,
)
from fastmlp.cli.options import (
    State,
    Whole,
    common_options,
    offline_option,
    quiet_option,
    state_of,
)
from fastmlp.cli.ranks import require_one_process
from fastmlp.cli.runs import suggest_prediction
from fastmlp.cli.settings import SettingsCommand, resolve_settings, take_settings
from fastmlp.cli.sources import data_errors, plain_warnings, require_source

if TYPE_CHECKING:
    from fastmlp.experiment.cross_validation import CrossValidation
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
    from fastmlp.experiment.folds import Division, Plan
    from fastmlp.experiment.schema import Config

__all__ = ["cv"]

EXAMPLES = """\
fastmlp cv houses.csv --target price
fastmlp cv flowers.csv --folds 10 --repeats 3 --epochs 40
fastmlp cv patients.csv --target outcome --group patient
fastmlp cv sales.csv --target sold --time date --folds 8 --json
fastmlp predict cv/001-houses new.csv"""
PARENT = Path("cv")


@click.command(cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", required=False, shell_complete=complete_source)
@click.option(
    "--folds", type=Whole(2, 10_000), default=5, show_default=True, metavar="N",
    help="Number of folds: each sample is tested in one, by a model trained on the others.",
)  # fmt: skip
@click.option(
    "--repeats", type=Whole(1, 5_000), default=1, show_default=True, metavar="N",
    help="Number of random divisions into folds.",
)  # fmt: skip
@click.option(
    "--group", default=None, metavar="COLUMN", shell_complete=complete_columns,
    help="Column of groups that stay together, such as patients; it is no input.",
)  # fmt: skip
@click.option(
    "--time", default=None, metavar="COLUMN", shell_complete=complete_columns,
    help="Column of dates or numbers: train on the past, test on the time that follows; it is no "
    "input.",
)  # fmt: skip
@click.option(
    "--processes", type=Whole(1, 1024), default=None, metavar="N",
    help="Number of folds at the same time, in processes that share the CPUs.  [default: one for "
    "each CPU]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(), default=None, metavar="DIR",
    help="Directory of models and tables.  [default: cv/NNN-DATASET]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow --out and --output to replace older files.")
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="FILE",
    help="Write the predictions for all tested samples to this CSV file as well.",
)  # fmt: skip
@offline_option
@quiet_option()
@common_options()
@click.pass_context
def cv(
    ctx: click.Context, /, *, folds: int, repeats: int, group: str | None, time: str | None,
    processes: int | None, out: str | None, overwrite: bool, output: str | None, quiet: bool,
    **options: Any,
) -> int:  # fmt: skip
    """Train and test a model on each fold of the data.

    DATASET is a source as for `fastmlp train`, and all settings of a training hold for each fold.
    Preprocessing, training and the choice of the epoch use the training part of the fold alone. The
    intervals of the scores allow for the overlap of training parts (Nadeau and Bengio, 2003). The
    directory holds the models, which `fastmlp predict` and `fastmlp evaluate` use together, and
    the predictions for all samples by models that have not seen them. The same command continues
    what was interrupted; finished folds are not trained again.
    """
    state = state_of(ctx)
    require_one_process(state, "cv", "--processes trains several folds at the same time")
    config = resolve_settings(take_settings(ctx, options))
    with wrong_settings():
        from fastmlp.experiment.folds import Division

        division = Division(folds, repeats, group, time)
    if output is not None:
        require_free(Path(output), overwrite=overwrite)
    plan = _plan(config, division, quiet)
    with folds_directory(plan, out, parent=PARENT, overwrite=overwrite, quiet=quiet) as place:
        result = run_plan(plan, place, processes, quiet)
    return _conclude(config, place, result, output, state)


def _plan(config: Config, division: Division, quiet: bool) -> Plan:
    """Read the data and divide it."""
    source = str(config.data.source)
    if source == "-":
        raise ConfigError("DATASET must be data that can be read again to continue, got -")
    require_source(source)
    if not quiet:
        click.echo(f"loading {source}", err=True)
    from fastmlp.data import read
    from fastmlp.experiment.folds import make_plan, reading_of_folds, require_sensible

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    with plain_warnings(quiet=quiet), data_errors():
        require_sensible(config, division)
        reading = reading_of_folds(config, division)
        raw = read(source, data_dir=config.data.data_dir, reading=reading, report=report)
        return make_plan(config, raw, division)


# ---------------------------------------------------------------- result


def _conclude(
    config: Config, place: CrossValidationDirectory, result: CrossValidation, output: str | None,
    state: State,
) -> int:  # fmt: skip
    if output is not None:
        from fastmlp._files import atomic_write

        try:
            atomic_write(output, place.predictions_path.read_bytes())
        except OSError as error:
            raise CliError(f"--output {output}: {error.strerror or error}") from error
    print_cross_validation(state, "cv", place.result(), str(place.path))
    suggest_prediction(state, place.path, config.data)
    wanted = config.training.min_accuracy
    if wanted is not None:
        score = result.scores.get("accuracy", result.scores.get("subset_accuracy"))
        if score is None or not score.mean >= wanted:
            shown = "unknown for a regression" if score is None else f"{score.mean:.2%}"
            raise CheckFailedError(
                f"mean accuracy is {shown}, --min-accuracy requires {wanted:.2%}"
            )
    return int(ExitCode.OK)
