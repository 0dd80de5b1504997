"""The command `fastmlp train`: resolve settings, load data, train, save, report.

The order protects the user's work: settings and output are checked before the data is read, the
directory of the run exists before the first epoch, and the model is saved before the report, even
after Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_run, complete_source
from fastmlp.cli.errors import (
    CheckFailedError,
    CliError,
    ConfigError,
    DataError,
    ExitCode,
    printable,
    use_color,
)
from fastmlp.cli.folds import folds_directory, print_cross_validation, run_plan
from fastmlp.cli.options import (
    State,
    Whole,
    common_options,
    offline_option,
    quiet_option,
    state_of,
)
from fastmlp.cli.printing import document_head, print_json, print_pairs
from fastmlp.cli.progress import Display
from fastmlp.cli.ranks import ranks
from fastmlp.cli.runs import held, open_any_run, run_errors, runs_directory, suggest_prediction
from fastmlp.cli.settings import (
    Given,
    SettingsCommand,
    resolve_settings,
    take_settings,
    variable_assignments,
    with_options,
)
from fastmlp.cli.signals import Terminated, ends_in_order, postponed
from fastmlp.cli.sources import (
    data_errors,
    load_experiment,
    plain_warnings,
    require_source,
)
from fastmlp.errors import DivergedError, FormatError, SourceError

if TYPE_CHECKING:
    from fastmlp.experiment.checkpoint import Checkpoint
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment, Outcome
    from fastmlp.experiment.schema import Config
    from fastmlp.training.processes import Group

__all__ = ["train"]

EXAMPLES = """\
fastmlp train mnist
fastmlp train mnist --hidden 256,128 --epochs 5 --lr 0.05 --seed 1
fastmlp train houses.csv --target price --exclude street --optimizer adam
fastmlp train houses.csv --target price --folds 5
fastmlp train photos/ --validation-fraction 20% --patience 5
fastmlp train big.parquet --target label --stream
fastmlp train --config runs/001-mnist/config.toml
fastmlp train --resume runs/001-mnist
fastmlp train mnist --json --min-accuracy 98% > result.json
mpiexec -n 4 fastmlp train mnist --batch-size 256 --threads 1
fastmlp train mnist --dry-run"""
EXIT_CODES = {
    "completed": ExitCode.OK,
    "stopped_early": ExitCode.OK,
    "time_limit": ExitCode.OK,
    "interrupted": ExitCode.INTERRUPTED,
    "terminated": ExitCode.TERMINATED,
    "diverged": ExitCode.DIVERGED,
    "check_failed": ExitCode.CHECK_FAILED,
}
# These settings may change when a run is resumed, because they do not change its result.
_FIRST_LOOK = 5  # epochs, at least, after which a training is looked at
RESUMABLE = {"threads", "max_time", "min_accuracy", "checkpoint_every", "tensorboard"}


@dataclass(frozen=True)
class Request:
    """The arguments of the command: settings, resumption, output and switches."""

    given: Given
    resume: str | None
    folds: int | None
    out: str | None
    overwrite: bool
    report: bool | None
    dry_run: bool
    quiet: bool
    verbose: bool


@click.command(cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", required=False, shell_complete=complete_source)
@click.option(
    "--resume", type=click.Path(), default=None, metavar="RUN", shell_complete=complete_run,
    help="Continue a run that was interrupted, from its newest checkpoint, to the same result.",
)  # fmt: skip
@click.option(
    "--folds", type=Whole(2, 10_000), default=None, metavar="N",
    help="Train N networks that answer together, each without a fold of the samples, which chooses "
    "its epoch.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(), default=None, metavar="DIR",
    help="Directory of the run.  [default: runs/NNN-DATASET]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow --out to replace an older run.")
@offline_option
@click.option(
    "--report/--no-report", default=None,
    help="Write report.html and plots.  [default: if 'fastmlp[plot]' is installed]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check the settings, show the plan and stop.")
@quiet_option()
@click.option("-v", "--verbose", is_flag=True, help="Print the machine and all settings first.")
@common_options()
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> int:
    """Train a network on a data set and save it.

    DATASET is a name (`fastmlp data list`); a table (CSV, TSV, JSON lines, Parquet, Feather), also
    in several files, which a folder or a pattern in quotes such as 'part-*.csv' names; - for a
    table on standard input; arrays (NPZ); or a folder of IDX files named like those of MNIST, or of
    images in one folder per class. The resolved settings, metrics, checkpoints, the best and the
    last model, and a report are written to the directory of the run. Ctrl-C saves the model and a
    checkpoint; the exit code is then 130. Several processes that mpiexec starts train one network
    together.
    """
    given = take_settings(ctx, options)
    state = state_of(ctx)
    with ranks(state) as group:
        options["quiet"] = options["quiet"] or state.is_silent
        return _run(Request(given, **options), state, group)


def _run(request: Request, state: State, group: Group | None) -> int:
    if request.resume is not None:
        return _resume(request, state, group)
    config = resolve_settings(request.given)
    if group is not None:
        _require_shareable(config, request)
    if request.out is not None and request.folds is None:
        _check_out(request.out, overwrite=request.overwrite)
    if request.dry_run:
        from fastmlp.experiment import build

        require_source(str(config.data.source))
        with data_errors():
            build.require_valid(config)
        _print_plan(config, request.out, state)
        return int(ExitCode.OK)
    if request.folds is not None:
        return _train_on_folds(config, request, state)
    experiment = load_experiment(config, quiet=request.quiet)
    model = _new_model(experiment)
    if config.training.time_limit is not None and (group is None or group.is_first):
        from fastmlp.experiment.time_limit import within_time_limit

        with plain_warnings(quiet=request.quiet):
            experiment, note = within_time_limit(experiment)
        if not request.quiet:
            _say(note)
    if group is not None:
        experiment = _shared(experiment, group)
        if not group.is_first:
            return _follow(request, state, experiment, model, None, group)
    run = _create_run(experiment, request)
    try:
        with held(run):
            return _begin(request, state, experiment, model, run, group)
    except ConfigError:  # of settings that are checked only when the training begins
        run.remove_if_empty()
        raise


def _begin(
    request: Request,
    state: State,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    group: Group | None,
) -> int:
    """Train a run, and leave no file of it if its settings are wrong."""
    from fastmlp.experiment import runner

    # Written last, because config.toml marks a directory as a run, which needs its digests.
    run.write_json(run.environment_path, runner.facts(experiment))
    run.write_config(experiment.config)
    try:
        return _train(request, state, experiment, model, run, None, group)
    except ConfigError:
        run.discard_unless_trained()
        raise


def _require_shareable(config: Config, request: Request) -> None:
    """Raise ConfigError for a training that several processes cannot share."""
    if request.folds is not None or request.dry_run:
        option = "--dry-run" if request.dry_run else "--folds"
        raise ConfigError(f"{option} must be left out with several processes of mpiexec")
    if config.data.stream:
        raise ConfigError("--stream must be left out with several processes of mpiexec")
    if config.data.source == "-":
        raise ConfigError(
            "DATASET must be data that each process of mpiexec can read itself, got -"
        )


def _shared(experiment: Experiment, group: Group) -> Experiment:
    """Return the experiment with the settings of the first process, which tell the shards."""
    config = group.gathered(experiment.config)[0]
    if config.training.shards is None:
        training = config.training.model_copy(update={"shards": group.size})
        config = config.model_copy(update={"training": training})
    return replace(experiment, config=config)


def _follow(
    request: Request,
    state: State,
    experiment: Experiment,
    model: Any,
    checkpoint: Checkpoint | None,
    group: Group,
) -> int:
    """Train as a process that writes nothing; its run is that of the first."""
    from fastmlp.experiment.rundir import RunDirectory

    display = _display(request, state, experiment, checkpoint)
    nowhere = RunDirectory(Path(os.devnull))
    outcome = _fit(request, experiment, model, nowhere, checkpoint, display, group)
    return int(EXIT_CODES[outcome.status])


def _train_on_folds(config: Config, request: Request, state: State) -> int:
    """Train a network without each fold, and measure them together on the test part."""
    if config.data.source == "-":
        raise ConfigError("DATASET must be data that can be read again with --folds, got -")
    if request.report:
        raise ConfigError("--report must be left out with --folds: it describes a single network")
    require_source(str(config.data.source))
    with plain_warnings(quiet=request.quiet), data_errors():
        from fastmlp.experiment.fold_bagging import make_bagging, plan_within_time_limit
        from fastmlp.experiment.runner import read_data

        report = None if request.quiet else _say
        raw = read_data(config, report, work="a training on folds (--folds)")
        bagging = make_bagging(config, raw, request.folds or 2)
    with folds_directory(
        bagging.plan, request.out, parent=runs_directory(), overwrite=request.overwrite,
        quiet=request.quiet,
    ) as place:  # fmt: skip
        with plain_warnings(quiet=request.quiet), data_errors():
            plan, note = plan_within_time_limit(bagging.plan, place)
        if note and not request.quiet:
            _say(note)
        run_plan(plan, place, None, request.quiet, bagging.measured)
        document = place.result()
    print_cross_validation(state, "train", document, str(place.path))
    suggest_prediction(state, place.path, config.data)
    return _require_accuracy(config, document["test"])


def _say(line: str) -> None:
    click.echo(line, err=True)


def _require_accuracy(config: Config, test: Mapping[str, Any] | None) -> int:
    wanted = config.training.min_accuracy
    if wanted is not None:
        reached = (test or {}).get("accuracy", (test or {}).get("subset_accuracy"))
        if reached is None or reached < wanted:
            shown = "unknown" if reached is None else f"{reached:.2%}"
            raise CheckFailedError(
                f"test accuracy is {shown}, --min-accuracy requires {wanted:.2%}"
            )
    return int(ExitCode.OK)


def _resume(request: Request, state: State, group: Group | None) -> int:
    from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory

    assert request.resume is not None
    _require_resumable(request)
    found = open_any_run(request.resume)
    if isinstance(found, CrossValidationDirectory):
        raise ConfigError(
            f"{found.path}: holds networks on folds; the command that began them continues them, "
            "without --resume"
        )
    run = found
    with run_errors():
        config, result = run.config(), run.result()
    is_first = group is None or group.is_first
    if result.get("status") in ("completed", "stopped_early", "check_failed"):
        return _finished(run, result, state) if is_first else int(ExitCode.OK)
    config = with_options(config, request.given)
    with held(run) if is_first else contextlib.nullcontext():
        if is_first:
            run.sweep()
        checkpoint, problems = run.checkpoints.newest()
        for problem in problems if is_first else ():
            click.echo(f"fastmlp: warning: checkpoint left out: {problem}", err=True)
        preprocessing = None if checkpoint is None else checkpoint.preprocessing
        experiment = load_experiment(config, quiet=request.quiet, preprocessing=preprocessing)
        if checkpoint is not None:
            _require_schema(run, checkpoint, experiment)
        from fastmlp.experiment import runner

        with data_errors():
            runner.require_same_data(experiment, run)
        model = _new_model(experiment)
        if group is not None:
            experiment = _shared(experiment, group)  # and all have read what the first now changes
            if not group.is_first:
                return _follow(request, state, experiment, model, checkpoint, group)
        run.write_records(checkpoint.records if checkpoint else [])
        if checkpoint is None:
            run.remove_events()
        run.result_path.unlink(missing_ok=True)  # written when the training was interrupted
        return _train(request, state, experiment, model, run, checkpoint, group)


def _require_schema(run: RunDirectory, checkpoint: Checkpoint, experiment: Experiment) -> None:
    """Raise ConfigError for a run on a table whose checkpoint does not tell how it was read."""
    if checkpoint.preprocessing is None and experiment.prepared.preprocessing.columns is not None:
        raise ConfigError(
            f"{run.path}: its checkpoint was written by release 0.1, which did not keep how the "
            "table was read; resume it with that release, or train it anew"
        )


def _finished(run: RunDirectory, result: dict[str, Any], state: State) -> int:
    """Print the result of a finished run again, so that scripts may resume until it is finished."""
    # A process that was killed at its very end leaves its lock file and a temporary one. A run that
    # cannot be written, or that another process holds, is only printed.
    with contextlib.suppress(ConfigError, OSError), held(run):
        run.sweep()
    click.echo(f"{run.path} is finished ({result['status']}); --init starts from it", err=True)
    _print_result(result, state)
    return int(EXIT_CODES[result["status"]])


def _require_resumable(request: Request) -> None:
    """Raise ConfigError for settings that would change the result of a resumed run."""
    given = request.given
    named = {name for section in given.options.values.values() for name in section}
    assigned = given.assignments or variable_assignments()
    others = request.out or request.folds
    if given.dataset or given.config_file or assigned or others or named - RESUMABLE:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(RESUMABLE))
        raise ConfigError(f"--resume takes the settings of the run; only {allowed} may be added")


def _check_out(out: str, *, overwrite: bool) -> None:
    from fastmlp.experiment.rundir import RunDirectory

    try:
        RunDirectory.require_free(out, overwrite=overwrite)
    except ValueError as error:
        cure = " (--overwrite)" if Path(out).is_dir() else ""
        raise ConfigError(f"--out {error}{cure}") from error


def _new_model(experiment: Experiment) -> Any:
    try:
        return experiment.new_model()
    except FormatError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _create_run(experiment: Experiment, request: Request) -> RunDirectory:
    from fastmlp.experiment.locking import DirectoryInUseError
    from fastmlp.experiment.rundir import RunDirectory

    name = experiment.prepared.name
    try:
        return RunDirectory.create(
            name, request.out, parent=runs_directory(), overwrite=request.overwrite
        )
    except (DirectoryInUseError, OSError, ValueError) as error:
        raise ConfigError(f"cannot create the run's directory: {error}") from error


def _train(
    request: Request,
    state: State,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    checkpoint: Checkpoint | None,
    group: Group | None,
) -> int:
    from fastmlp.experiment.runner import save_checkpoint, save_models

    display = _display(request, state, experiment, checkpoint)
    _announce(request, experiment, model, run, display)
    outcome = _fit(request, experiment, model, run, checkpoint, display, group)
    with postponed():
        # A run that diverged in its first epoch has only the initial weights.
        if outcome.status != "diverged" or outcome.records:
            with _writing(run):
                if outcome.status in ("interrupted", "terminated", "time_limit"):
                    save_checkpoint(model, run, outcome)
                save_models(model, run, outcome)
        document = _document_of(experiment, model, outcome, run)
        with _writing(run):
            run.write_json(run.result_path, document)
    with _signals_after(outcome):
        if outcome.status in ("completed", "stopped_early", "time_limit", "check_failed"):
            _write_report(request, experiment, model, run, outcome, display)
        _print_result(document, state)
        _print_findings(document, state, quiet=request.quiet)
        if run.report_path.exists():
            state.suggest("report", run.path, "--open")
        else:
            state.suggest("evaluate", run.path)
        suggest_prediction(state, run.path, experiment.config.data)
    return _conclude(experiment, outcome, run)


def _display(
    request: Request, state: State, experiment: Experiment, checkpoint: Checkpoint | None
) -> Display:
    settings = experiment.config.training
    return Display(
        settings.epochs or 1,
        experiment.prepared.sizes["training"],
        quiet=request.quiet,
        no_color=state.no_color,
        evaluated_on=experiment.monitored_name,
        monitor=settings.monitor,
        first_epoch=checkpoint.epoch if checkpoint else 0,
    )


def _announce(
    request: Request, experiment: Experiment, model: Any, run: RunDirectory, display: Display
) -> None:
    prepared = experiment.prepared
    for note in prepared.notes:
        display.say(note)
    counts = [f"{size:,} {name}" for name, size in prepared.sizes.items()]
    display.say(
        f"{prepared.name}: {', '.join(counts)} samples; {_network_text(experiment, model)}; "
        f"{model.isa}, run {run.path}"
    )
    if request.verbose:
        for section, values in experiment.config.values().items():
            display.say(f"  {section}: {values}")
        for name, value in run.environment().items():
            display.say(f"  {name}: {value}")


def _network_text(experiment: Experiment, model: Any) -> str:
    """Return the kind of the network, its layers, activations and types."""
    network = experiment.config.network
    kind = "network" if network.architecture in (None, "mlp") else str(network.architecture)
    if model.architecture.members > 1:
        kind = f"{model.architecture.members} members of {kind}"
    names = dict.fromkeys(activation.name for activation in model.architecture.activations)
    layers = "-".join(map(str, model.layer_sizes))
    rounded = model.compute_dtype != network.dtype
    products = [f"products in {model.compute_dtype}"] if rounded else []
    return ", ".join([f"{kind} {layers}", *names, network.dtype, *products])


def _fit(
    request: Request,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    checkpoint: Checkpoint | None,
    display: Display,
    group: Group | None,
) -> Outcome:
    """Train the model; return an `Outcome` also after a signal or a divergence."""
    from fastmlp.experiment.judgement import findings_of
    from fastmlp.experiment.runner import Outcome, train

    outcome = Outcome()
    early = max(_FIRST_LOOK, (experiment.config.training.epochs or 1) // 5)

    def listen(record: dict[str, Any], best: bool) -> None:
        display.epoch_end(record, best=best)
        if record["epoch"] == early and not request.quiet:
            for finding in findings_of(experiment, model, outcome):
                if finding.level == "problem":
                    display.say(f"so far: {finding.message}; cure: {finding.command}")

    callbacks = []
    if experiment.config.training.tensorboard:
        from fastmlp.loggers import TensorBoard

        callbacks.append(TensorBoard(run.tensorboard_path))
    try:
        with ends_in_order(), plain_warnings(quiet=request.quiet), display, _writing(run):
            train(
                experiment,
                model,
                run,
                outcome,
                checkpoint=checkpoint,
                listener=listen,
                progress=None if request.quiet else display.progress,
                callbacks=callbacks,
                communicator=group,
            )
    except KeyboardInterrupt:
        outcome.status, outcome.message = "interrupted", "interrupted"
    except Terminated:
        outcome.status, outcome.message = "terminated", "terminated"
    except DivergedError as error:
        outcome.status, outcome.message = "diverged", str(error)
    except SourceError as error:
        raise DataError(str(error)) from error
    except ValueError as error:  # some settings are checked only by the core
        raise ConfigError(str(error)) from error
    return outcome


@contextlib.contextmanager
def _signals_after(outcome: Outcome) -> Iterator[None]:
    """Let a signal after the training replace the status with which the command ends."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        outcome.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "terminated"
        outcome.message = outcome.status


@contextlib.contextmanager
def _writing(run: RunDirectory) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = run.checkpoints.newest()[0] is not None
        cure = (
            f"earlier checkpoints are intact, continue with 'fastmlp train --resume {run.path}'"
            if kept
            else "no epoch was saved"
        )
        raise CliError(f"cannot write to {run.path}: {error}; {cure}") from error


def _write_report(
    request: Request,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    outcome: Outcome,
    display: Display,
) -> None:
    """Write report.html and plots if their packages are installed or --report is given."""
    installed = all(find_spec(name) is not None for name in ("matplotlib", "jinja2"))
    if request.report is False or (request.report is None and not installed):
        return
    assert outcome.evaluation is not None
    from fastmlp.report import write_report

    started = time.perf_counter()
    _, samples = experiment.evaluated
    path = write_report(
        run,
        model=model,
        evaluation=outcome.evaluation,
        samples=samples,
        training=experiment.prepared.train,
    )
    display.say(f"report {path} ({time.perf_counter() - started:.1f} s)")


def _conclude(experiment: Experiment, outcome: Outcome, run: RunDirectory) -> int:
    code = EXIT_CODES[outcome.status]
    if code == ExitCode.OK:
        return int(code)
    if code == ExitCode.CHECK_FAILED:
        raise CheckFailedError(outcome.message)
    epochs = experiment.config.training.epochs or 1
    done = f"{len(outcome.records)} of {epochs} epochs finished"
    saved = f"model saved to {run.last_model}" if run.last_model.exists() else "no model saved"
    hint = ""
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED) and len(outcome.records) < epochs:
        hint = f"; continue with 'fastmlp train --resume {run.path}'"
    raise CliError(f"{outcome.message} ({done}; {saved}{hint})", code)


# ---------------------------------------------------------------- result


def _document_of(
    experiment: Experiment,
    model: Any,
    outcome: Outcome,
    run: RunDirectory,
) -> dict[str, Any]:
    """Evaluate the model and return the content of result.json and of `--json`."""
    from fastmlp.experiment.judgement import Judgement, judge
    from fastmlp.experiment.runner import evaluate_selected, parameter_count

    judgement = Judgement([], {})
    part, samples = experiment.evaluated
    selected = "last"
    measures: dict[str, Any] = {}
    if outcome.status in ("completed", "stopped_early", "time_limit"):
        selected, outcome.evaluation = evaluate_selected(experiment, model, outcome)
        if not outcome.evaluation.is_finite:
            outcome.status, outcome.evaluation = "diverged", None
            outcome.message = (
                f"training diverged: the network's outputs for the {part} samples are not finite. "
                "Lower the learning rate (--lr) or scale the inputs"
            )
    if outcome.evaluation is not None:
        measures = outcome.evaluation.as_json()
        judgement = judge(experiment, model, outcome)
        _check_accuracy(experiment, outcome, part)
    seconds = outcome.training_seconds
    count = experiment.prepared.sizes["training"]
    trained = len(outcome.records) * count
    saved = run.best_model if selected == "best" else run.last_model
    return {
        **document_head("train"),
        "status": outcome.status,
        "exit_code": int(EXIT_CODES[outcome.status]),
        "message": outcome.message or None,
        "dataset": experiment.prepared.name,
        "task": experiment.prepared.task,
        "notes": list(experiment.prepared.notes),
        "layer_sizes": list(model.layer_sizes),
        "parameters": parameter_count(model),
        "epochs": experiment.config.training.epochs,
        "epochs_completed": len(outcome.records),
        "monitor": experiment.config.training.monitor,
        "best_epoch": outcome.best_epoch or None,
        "best_value": outcome.best_value,
        "selected": selected,
        "evaluated_on": part,
        "measured_on": experiment.monitored_name if experiment.monitored else None,
        "samples": {"training": count, part: len(samples)},
        "test": measures,
        "two_classes": _of_two_classes(outcome.evaluation, samples),
        **judgement.as_json(),
        "training_seconds": seconds,
        "wall_seconds": outcome.wall_seconds,
        "samples_per_second": trained / seconds if seconds > 0 else None,
        "directory": str(run.path),
        "model": str(saved) if saved.exists() else None,
        "config": experiment.config.values(),
        "environment": run.environment(),
        "history": outcome.records,
    }


def _of_two_classes(evaluation: Any, samples: Any) -> dict[str, float] | None:
    """Return measures of the probabilities of two classes, None where they are not defined."""
    from fastmlp import metrics

    if evaluation is None or evaluation.task != "classification":
        return None
    probabilities = evaluation.probabilities
    if probabilities is None or probabilities.shape[1] != 2 or samples.y.min() == samples.y.max():
        return None
    positive, weight = probabilities[:, 1], samples.weight
    functions = {"auc": metrics.auc, "average_precision": metrics.average_precision,
                 "brier": metrics.brier}  # fmt: skip
    return {
        name: float(function(samples.y, positive, classes=2, sample_weight=weight))
        for name, function in functions.items()
    }


def _check_accuracy(experiment: Experiment, outcome: Outcome, part: str) -> None:
    wanted = experiment.config.training.min_accuracy
    if wanted is None:
        return
    assert outcome.evaluation is not None
    metrics = outcome.evaluation.metrics
    reached = metrics.get("accuracy", metrics.get("subset_accuracy"))
    if reached is None or reached < wanted:
        shown = "unknown for a regression" if reached is None else f"{reached:.2%}"
        outcome.status = "check_failed"
        outcome.message = f"{part} accuracy is {shown}, --min-accuracy requires {wanted:.2%}"


def _print_result(document: dict[str, Any], state: State) -> None:
    """Print the summary of a run, or its JSON object."""
    if state.json:
        print_json(state, document)
        return
    if not document["test"]:
        # `_conclude` prints the end of the training and the path of the model on standard error.
        return
    rows = [
        (f"{document['evaluated_on']} {name.replace('_', ' ')}", shown)
        for name, shown in _measures(document["test"])
    ]
    for name, value in (document.get("two_classes") or {}).items():
        rows.append((f"{document['evaluated_on']} {name.replace('_', ' ')}", f"{value:.4f}"))
    rows += _baselines(document)
    if document["best_epoch"] is not None:
        epochs = document["epochs_completed"]
        last = document["selected"] == "last" and document["best_epoch"] < epochs
        on_test = document["monitor"].startswith("val_") and document["measured_on"] == "test"
        part = " of the test part" if on_test else ""
        note = "; the model is of the last one, as only a validation part selects" if last else ""
        by = f"by {document['monitor']}{part}"
        rows.append(("best epoch", f"{document['best_epoch']} {by}{note}"))
    if document["message"] and document["status"] != "check_failed":
        rows.append(("ended", document["message"]))
    rows.append(("training time", f"{document['training_seconds']:.2f} s"))
    if document["samples_per_second"] is not None:
        rows.append(("speed", f"{document['samples_per_second']:,.0f} samples/s"))
    rows += [("model", document["model"]), ("run", document["directory"])]
    print_pairs(rows)


def _print_findings(document: dict[str, Any], state: State, *, quiet: bool) -> None:
    """Print what a look at the training found; if `quiet`, only what makes it worthless."""
    color = use_color(no_color=state.no_color)
    for finding in document.get("findings", ()):  # runs of earlier releases have none
        level = finding["level"]
        if quiet and level != "problem":
            continue
        head = click.style(level, fg="yellow", bold=True) if color and level != "hint" else level
        text = f"{finding['message']}. Cure: {finding['cure']} ({finding['page']})"
        click.echo(f"{head}: {printable(text)}", err=True)


def _baselines(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each baseline with the first measure of the result."""
    (first, _), *_ = _measures(document["test"])
    rows = []
    for baseline in document.get("baselines", ()):
        shown = dict(_measures(baseline["metrics"]))[first]
        rows.append((baseline["name"], f"{shown} {first.replace('_', ' ')}"))
    return rows


def _measures(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the most important measures of the task as names and texts."""
    shares = ("accuracy", "subset_accuracy", "macro_f1")
    numbers = ("rmse", "mae", "r2")
    rows = [(name, f"{measured[name]:.2%}") for name in shares if name in measured]
    return rows + [(name, f"{measured[name]:.6g}") for name in numbers if name in measured]


def _print_plan(config: Config, out: str | None, state: State) -> None:
    """Print the settings and the directory of a run without reading data or writing files."""
    from fastmlp.data.reading import suffix_of
    from fastmlp.experiment.settings import toml

    name = os.path.basename(os.path.normpath(str(config.data.source)))
    out = out or f"runs/NNN-{name.removesuffix(suffix_of(name) or '')}"
    if state.json:
        head = document_head("train") | {"schema": "fastmlp.plan"}
        print_json(state, head | {"config": config.values(), "out": out})
        return
    click.echo(f"# run directory: {out}")
    click.echo(toml(config).rstrip())
