"""The command `fastmlp sweep`: search for the best settings; a sweep can be resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_source
from fastmlp.cli.errors import CliError, ConfigError, ExitCode, classify
from fastmlp.cli.options import (
    State,
    Whole,
    common_options,
    offline_option,
    quiet_option,
    state_of,
)
from fastmlp.cli.printing import document_head, print_json, print_pairs
from fastmlp.cli.ranks import require_one_process
from fastmlp.cli.runs import run_errors
from fastmlp.cli.settings import (
    Given,
    SettingsCommand,
    given_keys,
    resolve_settings,
    take_settings,
    variable_assignments,
)
from fastmlp.cli.signals import Terminated, ends_in_order
from fastmlp.cli.sources import data_errors, load_experiment
from fastmlp.extras import require

if TYPE_CHECKING:
    from fastmlp.experiment.runner import Experiment
    from fastmlp.experiment.schema import Config
    from fastmlp.experiment.study import Study, Trial
    from fastmlp.experiment.sweep import Search, Sweep

__all__ = ["sweep"]

EXAMPLES = """\
fastmlp sweep flats.csv --target rent --trials 50
fastmlp sweep digits --search optimizer.learning_rate=1e-4..0.1:log
fastmlp sweep mnist --epochs 3 --trials 50 --jobs 2 --search "network.hidden=256|512|512,512" \
--search network.dropout=0..0.5
fastmlp sweep --resume sweeps/001-digits --trials 100
fastmlp train --config sweeps/001-digits/best.toml"""
TRIALS = 20
FINISHED = ("complete", "pruned", "diverged")


@click.command(cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", required=False, shell_complete=complete_source)
@click.option(
    "--search", "searches", multiple=True, metavar="SECTION.NAME=SPEC",
    help="Setting to search and its values: LOW..HIGH, LOW..HIGH:log, or ONE|OTHER|THIRD; may be "
    "repeated.  [default: the space of the architecture, without settings that are given]",
)  # fmt: skip
@click.option(
    "--trials", type=Whole(1, 1_000_000), default=None, metavar="N",
    help=f"Total number of trials, including those before --resume.  [default: {TRIALS}]",
)  # fmt: skip
@click.option(
    "--jobs", type=Whole(1, 1024), default=1, show_default=True, metavar="N",
    help="Number of trials at the same time, in processes that share the CPUs.",
)  # fmt: skip
@click.option(
    "--prune/--no-prune", default=None,
    help="End trials that are worse than half of the others at the same epoch.  "
    "[default: prune]",
)  # fmt: skip
@click.option(
    "--sweep-seed", type=Whole(0, (1 << 31) - 1), default=None, metavar="N",
    help="Seed of the random values.  [default: 0]",
)  # fmt: skip
@click.option(
    "--resume", type=click.Path(), default=None, metavar="SWEEP",
    help="Continue a sweep that was interrupted, add trials to it, or join it while it runs: on "
    "another machine, too, that has the same files.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(), default=None, metavar="DIR",
    help="Directory of the sweep.  [default: sweeps/NNN-DATASET]",
)  # fmt: skip
@offline_option
@quiet_option()
@common_options()
@click.pass_context
def sweep(
    ctx: click.Context, /, *, trials: int | None, jobs: int, resume: str | None, quiet: bool,
    **options: Any,
) -> int:  # fmt: skip
    """Search for the best settings.

    DATASET is a source as for `fastmlp train`. Optuna's tree-structured Parzen estimator draws the
    values. The result of a trial is the value of --monitor in its best epoch. If the data has no
    validation part, one is split off (--validation-fraction, 0.1), so that the test samples do not
    influence the search. Without --search, the space is that of the architecture, without the
    settings that are given. Finished trials are kept if the sweep is interrupted; best.toml in its
    directory holds the best settings so far.
    """
    state = state_of(ctx)
    if resume is None:
        cure = "--jobs runs several trials at the same time; --resume SWEEP joins from elsewhere"
        require_one_process(state, "sweep", cure)
    require("sweep", "optuna")
    given = take_settings(ctx, options)
    if resume is None:
        found, experiment = _new_sweep(given, options, trials or TRIALS, quiet)
    else:
        found, experiment = _old_sweep(resume, given, options, quiet)
    if trials is not None:
        found.write(replace(found.search(), trials=trials))
    return _run(found, experiment, jobs, quiet, state)


def _new_sweep(
    given: Given, options: dict[str, Any], trials: int, quiet: bool
) -> tuple[Sweep, Experiment]:
    """Check all arguments, the fast checks first, and then create the directory of the sweep."""
    from fastmlp.experiment.search import distinct, usual_dimensions
    from fastmlp.experiment.sweep import Search, require_trainable

    config = _base_settings(given)
    with _wrong("--search"):
        dimensions = distinct(options["searches"]) if options["searches"] else ()
    _require_free(options["out"])
    experiment = load_experiment(config, quiet=quiet)
    try:
        dimensions = dimensions or usual_dimensions(experiment.config, given_keys(given))
        require_trainable(config, experiment, dimensions)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    search = Search(
        dimensions,
        trials,
        seed=options["sweep_seed"] or 0,
        prune=options["prune"] is not False,
        data_sha256=experiment.prepared.sha256,
    )
    return _created(options["out"], experiment, config, search), experiment


@contextlib.contextmanager
def _wrong(option: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error


def _base_settings(given: Given) -> Config:
    """Return the settings that all trials share; they always have a validation part."""
    from fastmlp.data.options import VALIDATION_FRACTION
    from fastmlp.experiment.settings import with_absolute_paths

    config = resolve_settings(given)
    data = config.data
    if data.source == "-":
        raise ConfigError("DATASET must be data that can be read more than once, got -")
    if data.validation_fraction is None:
        data = data.model_copy(update={"validation_fraction": VALIDATION_FRACTION})
    return with_absolute_paths(config.model_copy(update={"data": data}))


def _require_free(out: str | None) -> None:
    from fastmlp.experiment.sweep import Sweep

    if out is not None:
        with _wrong("--out"):
            Sweep.require_free(Path(out))


def _created(out: str | None, experiment: Experiment, config: Config, search: Search) -> Sweep:
    from fastmlp.experiment.locking import DirectoryInUseError
    from fastmlp.experiment.rundir import next_numbered
    from fastmlp.experiment.sweep import Sweep

    name = experiment.prepared.name
    try:
        path = next_numbered(Path("sweeps"), name) if out is None else Path(out)
        return Sweep.create(path, config, search)
    except (DirectoryInUseError, OSError, ValueError) as error:
        raise ConfigError(f"cannot create the sweep's directory: {error}") from error


def _old_sweep(
    path: str, given: Given, options: dict[str, Any], quiet: bool
) -> tuple[Sweep, Experiment]:
    from fastmlp.experiment.sweep import Sweep

    given_here = any(value not in (None, ()) for value in options.values())
    if given or variable_assignments() or given_here:
        raise ConfigError("--resume takes the settings of the sweep; only --trials and --jobs may "
                          "be added")  # fmt: skip
    with run_errors():
        found = Sweep.open(Path(path))
    experiment = load_experiment(found.config(), quiet=quiet)
    with data_errors():
        found.require_same_data(experiment)
    return found, experiment


def _run(found: Sweep, experiment: Experiment, jobs: int, quiet: bool, state: State) -> int:
    from fastmlp.experiment.trials import WorkerError

    monitor = str(experiment.config.training.monitor)
    more = f"continue with 'fastmlp sweep --resume {found.path}'"
    done = 0

    def listener(trial: Trial) -> None:
        nonlocal done
        done += 1
        if not quiet:
            click.echo(_line(trial, monitor), err=True)

    with run_errors():
        study = found.study(monitor)
    total = found.search().trials
    done = len(study)
    if not quiet:
        _announce(found, experiment, done, total)
    try:
        with ends_in_order():
            found.run(study, experiment, jobs=jobs, listener=listener)
    except (KeyboardInterrupt, Terminated) as error:
        code, message = classify(error)
        text = f"{message} ({done} of {total} trials finished; {more})"
        raise CliError(text, code) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error
    except (OSError, WorkerError) as error:
        raise CliError(f"{error} ({done} of {total} trials finished; {more})") from error
    _print(found, study, monitor, state)
    if study.best() is None:
        raise CliError(f"all {len(study)} trials diverged", ExitCode.DIVERGED)
    return int(ExitCode.OK)


def _announce(found: Sweep, experiment: Experiment, done: int, total: int) -> None:
    names = ", ".join(dimension.key for dimension in found.search().dimensions)
    before = f", {done} of them done" if done else ""
    click.echo(f"sweep {found.path}: {total} trials of {names}{before}", err=True)
    if not experiment.selects_best:
        part = experiment.monitored_name if experiment.monitored is not None else "training"
        click.echo(
            f"fastmlp: warning: without a validation part, trials are selected by the {part} "
            "samples; results on these samples are too favorable",
            err=True,
        )


def _line(trial: Trial, monitor: str) -> str:
    settings = ", ".join(f"{key} {_short(value)}" for key, value in trial.settings.items())
    outcome = trial.state
    if trial.state == "complete":
        outcome = f"{monitor} {trial.value:.6g} at epoch {trial.best_epoch}"
    elif trial.epochs:
        outcome += f" after epoch {trial.epochs}"
    return f"trial {trial.number}: {outcome}; {settings}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(found: Sweep, study: Study, monitor: str, state: State) -> None:
    trials, best = study.trials(), study.best()
    if state.json:
        content = {
            "directory": str(found.path),
            "monitor": monitor,
            "search": [dimension.text() for dimension in found.search().dimensions],
            "best": None if best is None else asdict(best),
            "best_config": None if best is None else str(found.best_path),
            "trials": [asdict(trial) for trial in trials],
        }
        print_json(state, document_head("sweep") | content)
        return
    if best is None:
        return
    counts = {name: sum(t.state == name for t in trials) for name in FINISHED}
    shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    rows = [("trials", f"{len(trials)} ({shown})")]
    rows.append((f"best {monitor}", f"{best.value:.6g} at epoch {best.best_epoch}"))
    rows.append(("best trial", str(best.number)))
    rows += [(key, _short(value)) for key, value in best.settings.items()]
    rows += [("settings", str(found.best_path)), ("sweep", str(found.path))]
    print_pairs(rows)
    state.suggest("train", "--config", found.best_path)
