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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from fastmlp.cli.errors import CheckFailedError, CliError, ConfigError, ExitCode, Terminated
from fastmlp.cli.options import State
from fastmlp.cli.progress import Display
from fastmlp.cli.recipes import learning_rate_schedule, recipe_for
from fastmlp.cli.result import Outcome, print_plan, print_result, result_json
from fastmlp.cli.rundir import RunFiles, check_out, create_run
from fastmlp.cli.sources import (
    Samples,
    Source,
    find_source,
    go_offline,
    load_source,
    plain_warnings,
)
from fastmlp.errors import DivergedError

__all__ = ["Settings", "run_training"]


@dataclass(frozen=True)
class Settings:
    """Every setting of one run, resolved: what config.json holds."""

    dataset: str
    hidden: tuple[int, ...]
    activation: str
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    momentum: float
    nesterov: bool
    l2: float
    initializer: str | None
    dtype: str
    seed: int
    threads: int | None
    out: str | None
    overwrite: bool
    data_dir: str | None
    offline: bool
    min_accuracy: float | None
    dry_run: bool
    quiet: bool
    verbose: bool

    @classmethod
    def resolve(cls, *, dataset: str, **options: Any) -> Settings:
        """Fill what the user left open from the data set's recipe."""
        recipe = recipe_for(dataset.strip().lower().replace("_", "-"))
        for name, value in asdict(recipe).items():
            option = "lr_schedule" if name == "schedule" else name
            if options[option] is None:
                options[option] = value
        if options["nesterov"] and options["momentum"] == 0:
            raise ConfigError("--nesterov needs a --momentum above 0")
        return cls(dataset=dataset, **options)

    def config(self) -> dict[str, Any]:
        """Return the settings that decide the result, for config.json and --json."""
        presentation = ("dry_run", "quiet", "verbose", "overwrite", "offline")
        return {name: value for name, value in asdict(self).items() if name not in presentation}


def run_training(settings: Settings, state: State) -> int:
    """Carry out the command and return the exit code."""
    if settings.offline:
        go_offline()
    check_out(settings.out, overwrite=settings.overwrite)
    source = find_source(settings.dataset)
    if settings.dry_run:
        print_plan(settings, source, state)
        return int(ExitCode.OK)
    samples = _load(settings, source)
    model = _build(settings, samples)
    files = create_run(source.name, settings.out, overwrite=settings.overwrite)
    environment = _environment(settings, samples)
    files.write_json("config.json", settings.config() | {"layer_sizes": _layers(settings, samples)})
    files.write_json("environment.json", environment)

    display = Display(
        settings.epochs, len(samples.x_train), quiet=settings.quiet, no_color=state.no_color
    )
    _announce(settings, samples, model, environment, display)
    outcome = _fit(settings, samples, model, display, files)
    with _signals_held():
        _save(model, outcome, files)
        document = result_json(settings, samples, model, outcome, files, environment, display)
        print_result(document, outcome, state)
    return _conclude(settings, outcome)


def _load(settings: Settings, source: Source) -> Samples:
    def report(line: str) -> None:
        if not settings.quiet:
            click.echo(line, err=True)

    # Said before the heavy imports: the first sign of life must not wait for them.
    report(f"loading {source.name}")
    with plain_warnings(quiet=settings.quiet):
        return load_source(source, settings.data_dir, report)


def _layers(settings: Settings, samples: Samples) -> list[int]:
    return [samples.features, *settings.hidden, samples.classes]


def _build(settings: Settings, samples: Samples) -> Any:
    import fastmlp

    options: dict[str, Any] = {}
    if settings.initializer is not None:
        options["initializer"] = settings.initializer
    try:
        return fastmlp.MLP(
            _layers(settings, samples),
            activation=settings.activation,
            loss="softmax_cross_entropy",
            input_scale=samples.input_scale,
            dtype=settings.dtype,
            seed=settings.seed,
            **options,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _environment(settings: Settings, samples: Samples) -> dict[str, Any]:
    import platform
    from datetime import datetime, timezone

    import fastmlp

    return {
        **fastmlp.info(),
        "threads_requested": settings.threads,
        "seed": settings.seed,
        "platform": platform.platform(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data_sha256": samples.sha256,
    }


def _announce(
    settings: Settings, samples: Samples, model: Any, environment: dict[str, Any], display: Display
) -> None:
    layers = "-".join(str(size) for size in model.layer_sizes)
    threads = settings.threads or environment.get("threads")
    display.say(
        f"{settings.dataset}: {len(samples.x_train):,} training and {len(samples.x_test):,} test "
        f"samples; network {layers}, {settings.activation}, {settings.dtype}; "
        f"{environment.get('isa')}, threads {threads}"
    )
    if settings.verbose:
        for title, content in (("setting", settings.config()), ("machine", environment)):
            for name, value in content.items():
                display.say(f"  {title} {name}: {value}")


def _fit(
    settings: Settings, samples: Samples, model: Any, display: Display, files: RunFiles
) -> Outcome:
    """Train, and turn every foreseen end into an `Outcome`."""
    import fastmlp

    outcome = Outcome()

    def epoch_end(_model: Any, record: dict[str, Any]) -> None:
        outcome.records.append(dict(record))
        files.append_metrics(record)
        display.epoch_end(record)

    optimizer = fastmlp.SGD(
        learning_rate=learning_rate_schedule(settings.lr_schedule, settings.lr, settings.epochs),
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        l2=settings.l2,
    )
    started = time.perf_counter()
    try:
        with display:
            model.fit(
                samples.x_train,
                samples.y_train,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                optimizer=optimizer,
                validation_data=(samples.x_test, samples.y_test),
                threads=settings.threads,
                callbacks=(epoch_end,),
                verbose=0,
                progress=None if settings.quiet else display.progress,
            )
    except KeyboardInterrupt:
        outcome.end("interrupted", ExitCode.INTERRUPTED, "interrupted")
    except Terminated:
        outcome.end("terminated", ExitCode.TERMINATED, "terminated")
    except DivergedError as error:
        outcome.end("diverged", ExitCode.DIVERGED, str(error))
    except ValueError as error:  # a setting that only the core can judge
        raise ConfigError(str(error)) from error
    outcome.wall_seconds = time.perf_counter() - started
    if outcome.code == ExitCode.OK:
        _check_accuracy(settings, outcome)
    return outcome


def _check_accuracy(settings: Settings, outcome: Outcome) -> None:
    accuracy = outcome.last("val_accuracy")
    wanted = settings.min_accuracy
    if wanted is None or (accuracy is not None and accuracy >= wanted):
        return
    reached = "unknown" if accuracy is None else f"{accuracy:.2%}"
    outcome.end(
        "check_failed",
        ExitCode.CHECK_FAILED,
        f"test accuracy is {reached}, --min-accuracy asks for {wanted:.2%}",
    )


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


def _save(model: Any, outcome: Outcome, files: RunFiles) -> None:
    # A run that diverged in its first epoch has nothing but the initial weights.
    if outcome.status == "diverged" and not outcome.records:
        return
    try:
        model.save(files.model)
    except (OSError, ValueError) as error:
        raise CliError(f"cannot save the model to {files.model}: {error}") from error
    outcome.model_path = str(files.model)


def _conclude(settings: Settings, outcome: Outcome) -> int:
    if outcome.code == ExitCode.OK:
        return int(ExitCode.OK)
    if outcome.code == ExitCode.CHECK_FAILED:
        raise CheckFailedError(outcome.message)
    done = f"{len(outcome.records)} of {settings.epochs} epochs finished"
    saved = f"model saved to {outcome.model_path}" if outcome.model_path else "no model saved"
    raise outcome.error(f"{outcome.message} ({done}; {saved})")
