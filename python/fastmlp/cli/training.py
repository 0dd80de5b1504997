"""What `fastmlp train` does: resolve settings, load, fit, save, report.

The order matters for what a user can lose: settings and output are checked before the data is
read, the run's directory exists before the first epoch, and however the training ends, with
Ctrl-C and SIGTERM too, the model is saved before anything is reported.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import (
    CheckFailedError,
    CliError,
    ConfigError,
    ExitCode,
    Terminated,
)
from fastmlp.cli.options import State
from fastmlp.cli.request import (
    Request,
    data_errors,
    load_experiment,
    require_source,
    resolve_settings,
)
from fastmlp.cli.run_names import resolve_run
from fastmlp.cli.sources import go_offline, plain_warnings
from fastmlp.errors import DivergedError, FormatError

if TYPE_CHECKING:
    from fastmlp.cli.progress import Display
    from fastmlp.experiment.checkpoint import Checkpoint
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment, Outcome
    from fastmlp.experiment.schema import Config

__all__ = ["run_training"]

EXIT_CODES = {
    "completed": ExitCode.OK,
    "stopped_early": ExitCode.OK,
    "time_limit": ExitCode.OK,
    "interrupted": ExitCode.INTERRUPTED,
    "terminated": ExitCode.TERMINATED,
    "diverged": ExitCode.DIVERGED,
    "check_failed": ExitCode.CHECK_FAILED,
}
# What a resumed run may do otherwise than before without another result.
RESUMABLE = {"threads", "max_time", "min_accuracy", "checkpoint_every", "tensorboard"}


def run_training(request: Request, state: State) -> int:
    """Carry out the command and return the exit code."""
    if request.offline:
        go_offline()
    if request.resume is not None:
        return _resume(request, state)
    config = resolve_settings(request)
    if request.out is not None:
        _check_out(request.out, overwrite=request.overwrite)
    if request.dry_run:
        from fastmlp.cli.result import print_plan
        from fastmlp.experiment import build

        require_source(str(config.data.source))
        with data_errors():
            build.require_valid(config)
        print_plan(config, request, state)
        return int(ExitCode.OK)
    experiment = load_experiment(config, quiet=request.quiet)
    model = _new_model(experiment)
    run = _create_run(experiment, request)
    with _held(run):
        from fastmlp.experiment import runner

        # The settings last: with them a directory is a run, which must know its data.
        run.write_json(run.environment_path, runner.facts(experiment))
        run.write_config(experiment.config)
        return _train(request, state, experiment, model, run, None)


def _resume(request: Request, state: State) -> int:
    from fastmlp.experiment.rundir import RunDirectory

    assert request.resume is not None
    _require_resumable(request)
    try:
        run = RunDirectory.open(resolve_run(request.resume))
        config = run.config()
        result = run.result()
    except FormatError as error:
        raise ConfigError(str(error)) from error
    if result.get("status") in ("completed", "stopped_early", "check_failed"):
        return _finished(run, result, state)
    threads = request.given.get("training", {})
    config = config.checked(_with_training(config, threads))
    with _held(run):
        run.sweep()
        checkpoint, problems = run.checkpoints.newest()
        for problem in problems:
            click.echo(f"fastmlp: warning: checkpoint left out: {problem}", err=True)
        experiment = load_experiment(config, quiet=request.quiet)
        from fastmlp.experiment import runner

        with data_errors():
            runner.require_same_data(experiment, run)
        model = _new_model(experiment)
        run.write_records(checkpoint.records if checkpoint else [])
        if checkpoint is None:
            run.remove_events()
        run.result_path.unlink(missing_ok=True)  # of the training that was cut off
        return _train(request, state, experiment, model, run, checkpoint)


def _finished(run: RunDirectory, result: dict[str, Any], state: State) -> int:
    """A run that has nothing left to do ends as it did: scripts may resume until it works."""
    from fastmlp.cli.result import print_result

    click.echo(f"{run.path} is finished ({result['status']}); --init starts from it", err=True)
    print_result(result, state)
    return int(EXIT_CODES[result["status"]])


def _require_resumable(request: Request) -> None:
    """A resumed run has its settings already; others would give another result."""
    named = {name for section in request.given.values() for name in section}
    wrong = sorted(named - RESUMABLE)
    if request.dataset or request.config_file or request.assignments or request.out or wrong:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(RESUMABLE))
        raise ConfigError(f"--resume takes the settings of the run; only {allowed} may be added")


def _with_training(config: Config, changes: Mapping[str, Any]) -> dict[str, Any]:
    values = config.values()
    return values | {"training": values["training"] | dict(changes)}


def _check_out(out: str, *, overwrite: bool) -> None:
    from fastmlp.experiment.rundir import RunDirectory

    try:
        RunDirectory.require_free(out, overwrite=overwrite)
    except ValueError as error:
        raise ConfigError(f"--out {error} (--overwrite)") from error


def _new_model(experiment: Experiment) -> Any:
    try:
        return experiment.new_model()
    except FormatError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _create_run(experiment: Experiment, request: Request) -> RunDirectory:
    from fastmlp.cli.run_names import runs_directory
    from fastmlp.experiment.locking import DirectoryInUseError
    from fastmlp.experiment.rundir import RunDirectory

    name = experiment.prepared.name
    try:
        return RunDirectory.create(
            name, request.out, parent=runs_directory(), overwrite=request.overwrite
        )
    except (DirectoryInUseError, OSError, ValueError) as error:
        raise ConfigError(f"cannot create the run's directory: {error}") from error


@contextlib.contextmanager
def _held(run: RunDirectory) -> Iterator[None]:
    from fastmlp.experiment.locking import DirectoryInUseError

    try:
        with run.locked():
            yield
    except DirectoryInUseError as error:
        raise ConfigError(str(error)) from error


def _train(
    request: Request,
    state: State,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    checkpoint: Checkpoint | None,
) -> int:
    from fastmlp.cli.progress import Display
    from fastmlp.cli.result import document_of, print_result
    from fastmlp.experiment.runner import save_checkpoint, save_models

    settings = experiment.config.training
    display = Display(
        settings.epochs or 1,
        len(experiment.prepared.train),
        quiet=request.quiet,
        no_color=state.no_color,
        evaluated_on=experiment.monitored_name,
        monitor=settings.monitor,
        first_epoch=checkpoint.epoch if checkpoint else 0,
    )
    _announce(request, experiment, model, run, display)
    outcome = _fit(request, experiment, model, run, checkpoint, display)
    with _signals_held():
        # A run that diverged in its first epoch has nothing but the initial weights.
        if outcome.status != "diverged" or outcome.records:
            with _writing(run):
                if outcome.status in ("interrupted", "terminated", "time_limit"):
                    save_checkpoint(model, run, outcome)
                save_models(model, run, outcome)
        document = document_of(experiment, model, outcome, run, EXIT_CODES)
        with _writing(run):
            run.write_json(run.result_path, document)
    if outcome.status in ("completed", "stopped_early", "time_limit", "check_failed"):
        _write_report(request, experiment, model, run, outcome, display)
    print_result(document, state)
    return _conclude(experiment, outcome, run)


def _announce(
    request: Request, experiment: Experiment, model: Any, run: RunDirectory, display: Display
) -> None:
    prepared = experiment.prepared
    for note in prepared.notes:
        display.say(note)
    parts = {"training": prepared.train, "validation": prepared.validation, "test": prepared.test}
    counts = [f"{len(part):,} {name}" for name, part in parts.items() if part is not None]
    network = experiment.config.network
    layers = "-".join(map(str, model.layer_sizes))
    display.say(
        f"{prepared.name}: {', '.join(counts)} samples; network {layers}, "
        f"{model.architecture.config()['activation']}, {network.dtype}; {model.isa}, run {run.path}"
    )
    if request.verbose:
        for section, values in experiment.config.values().items():
            display.say(f"  {section}: {values}")
        for name, value in run.environment().items():
            display.say(f"  {name}: {value}")


def _fit(
    request: Request,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    checkpoint: Checkpoint | None,
    display: Display,
) -> Outcome:
    """Train, and turn every foreseen end into an `Outcome`."""
    from fastmlp.experiment.runner import Outcome, train

    outcome = Outcome()
    callbacks = []
    if experiment.config.training.tensorboard:
        from fastmlp.loggers import TensorBoard

        callbacks.append(TensorBoard(run.tensorboard_path))
    try:
        with plain_warnings(quiet=request.quiet), display, _writing(run):
            train(
                experiment,
                model,
                run,
                outcome,
                checkpoint=checkpoint,
                listener=lambda record, best: display.epoch_end(record, best=best),
                progress=None if request.quiet else display.progress,
                callbacks=callbacks,
            )
    except KeyboardInterrupt:
        outcome.status, outcome.message = "interrupted", "interrupted"
    except Terminated:
        outcome.status, outcome.message = "terminated", "terminated"
    except DivergedError as error:
        outcome.status, outcome.message = "diverged", str(error)
    except ValueError as error:  # a setting that only the core can judge
        raise ConfigError(str(error)) from error
    return outcome


@contextlib.contextmanager
def _writing(run: RunDirectory) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CliError(
            f"cannot write to {run.path}: {error}; earlier checkpoints are intact, go on with "
            f"'fastmlp train --resume {run.path}'"
        ) from error


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Keep a second Ctrl-C or SIGTERM from cutting off the save that the first one asked for."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


def _write_report(
    request: Request,
    experiment: Experiment,
    model: Any,
    run: RunDirectory,
    outcome: Outcome,
    display: Display,
) -> None:
    """Write report.html and plots; without the packages for it, only where they were asked for."""
    from importlib.util import find_spec

    installed = all(find_spec(name) is not None for name in ("matplotlib", "jinja2"))
    if request.report is False or (request.report is None and not installed):
        return
    assert outcome.evaluation is not None
    from fastmlp.report import write_report

    started = time.perf_counter()
    _, samples = experiment.evaluated
    path = write_report(run, model=model, evaluation=outcome.evaluation, samples=samples)
    display.say(f"report {path} ({time.perf_counter() - started:.1f} s)")


def _conclude(experiment: Experiment, outcome: Outcome, run: RunDirectory) -> int:
    code = EXIT_CODES[outcome.status]
    if code == ExitCode.OK:
        return int(code)
    if code == ExitCode.CHECK_FAILED:
        raise CheckFailedError(outcome.message)
    done = f"{len(outcome.records)} of {experiment.config.training.epochs} epochs finished"
    saved = f"model saved to {run.last_model}" if run.last_model.exists() else "no model saved"
    hint = ""
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        hint = f"; go on with 'fastmlp train --resume {run.path}'"
    error = CliError(f"{outcome.message} ({done}; {saved}{hint})")
    error.exit_code = code
    raise error
