"""`fastmlp sweep`: a search for settings by several processes, which can be cut off and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.options import State, Whole, common_options, state_of
from fastmlp.cli.setting_options import SettingsCommand, given_settings, setting_options
from fastmlp.cli.sources import complete_source, go_offline
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.experiment.sweep import Sweep, Trial

__all__ = ["sweep"]

EXAMPLES = """\
fastmlp sweep digits --search optimizer.learning_rate=1e-4..0.1:log --trials 20
fastmlp sweep mnist --epochs 3 --validation-fraction 10% --jobs 2 \
--search "network.hidden=256|512|512,512" --search network.dropout=0..0.5
fastmlp sweep --resume sweeps/001-digits --trials 100
fastmlp train --config sweeps/001-digits/best.toml"""


@click.command(cls=SettingsCommand, examples=EXAMPLES)
@click.argument("dataset", required=False, shell_complete=complete_source)
@click.option(
    "--search", "searches", multiple=True, metavar="SECTION.NAME=SPEC",
    help="A setting and what it may be: low..high, low..high:log, or one|other|third; may be "
    "repeated.",
)  # fmt: skip
@click.option("--trials", type=Whole(1, 1_000_000), default=20, show_default=True,
              help="Trainings in all.")  # fmt: skip
@click.option("--jobs", type=Whole(1, 1024), default=1, show_default=True,
              help="Processes; the threads are shared between them.")  # fmt: skip
@click.option("--prune/--no-prune", default=True, show_default=True,
              help="Give up trials that are worse than half of the others so far.")  # fmt: skip
@click.option("--sweep-seed", type=Whole(0, (1 << 31) - 1), default=0, show_default=True,
              help="Of the values that are tried.")  # fmt: skip
@click.option("--resume", type=click.Path(), default=None, metavar="SWEEP",
              help="Go on with a sweep.")  # fmt: skip
@click.option("--out", type=click.Path(), default=None, metavar="DIR",
              help="Directory of the sweep.  [default: sweeps/NNN-DATASET]")  # fmt: skip
@click.option("--config", "config_file", type=click.Path(), default=None, metavar="FILE",
              help="Settings from a TOML file.")  # fmt: skip
@click.option("-s", "--set", "assignments", multiple=True, metavar="SECTION.NAME=VALUE",
              help="Any setting of 'fastmlp config show'; may be repeated.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result only.")
@setting_options()
@common_options()
@click.pass_context
def sweep(
    ctx: click.Context, /, *, searches: tuple[str, ...], trials: int, jobs: int, prune: bool,
    sweep_seed: int, resume: str | None, out: str | None, offline: bool, quiet: bool,
    **options: Any,
) -> int:  # fmt: skip
    """Search for settings.

    Values are drawn by Optuna's tree-structured Parzen estimator and judged by what `--monitor`
    names, of samples that are neither trained on nor, with a validation part, those of the result.
    The journal in the sweep's directory survives whatever ends the processes.
    """
    from fastmlp.extras import require

    require("sweep", "optuna")
    if offline:
        go_offline()
    given = given_settings(options)
    if resume is not None:
        if options["dataset"] or given or searches or out:
            raise ConfigError("--resume takes settings and search from the sweep; leave them out")
        found = _opened(resume)
    else:
        found = _created(given, options, searches, sweep_seed, prune, out)
    return _run(found, trials, jobs, quiet, state_of(ctx))


def _opened(path: str) -> Sweep:
    from fastmlp.experiment.sweep import Sweep

    try:
        return Sweep.open(Path(path))
    except FormatError as error:
        raise ConfigError(str(error)) from error


def _created(
    given: dict[str, Any], options: dict[str, Any], searches: tuple[str, ...], seed: int,
    prune: bool, out: str | None,
) -> Sweep:  # fmt: skip
    from fastmlp.cli.training import Request, resolve_settings
    from fastmlp.experiment.rundir import next_numbered
    from fastmlp.experiment.search import Dimension
    from fastmlp.experiment.settings import with_absolute_paths
    from fastmlp.experiment.sweep import Sweep

    if not searches:
        raise ConfigError("--search is needed: what is to be varied?")
    config = resolve_settings(Request(given=given, **options))
    try:
        dimensions = [Dimension.parse(text) for text in searches]
        name = Path(str(config.data.source)).name
        path = Path(out) if out is not None else next_numbered(Path("sweeps"), name)
        config = with_absolute_paths(config)
        return Sweep.create(path, config, dimensions, seed=seed, prune=prune)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--search or --out: {error}") from error


def _run(found: Sweep, trials: int, jobs: int, quiet: bool, state: State) -> int:
    from fastmlp.cli.training import load_experiment

    experiment = load_experiment(found.config(), quiet=quiet)
    monitor = experiment.config.training.monitor or "loss"
    study = found.study(monitor=monitor)
    found.forget_running(study)

    def report(trial: Trial) -> None:
        if not quiet:
            click.echo(_line(trial, monitor), err=True)

    try:
        if jobs == 1:
            found.work(experiment, trials, report=report)
        else:
            _work_together(found, trials, jobs, report)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    finally:
        best = found.write_best(study)
    if best is None:
        raise CliError("no trial was completed")
    _print(found, best, found.trials(study), monitor, state)
    return int(ExitCode.OK)


def _line(trial: Trial, monitor: str) -> str:
    settings = "  ".join(f"{k.partition('.')[2]} {_short(v)}" for k, v in trial.settings.items())
    value = "-" if trial.value is None else f"{trial.value:.6g}"
    return f"trial {trial.number}  {trial.state}  {monitor} {value}  {settings}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _work_together(found: Sweep, trials: int, jobs: int, report: Any) -> None:
    """Workers in processes of their own; what they finish is told here."""
    import multiprocessing

    from fastmlp import _core

    threads = max(1, _core.available_threads() // jobs)
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    workers = [
        context.Process(
            target=_worker, args=(str(found.path), trials, number, threads, results), daemon=True
        )
        for number in range(jobs)
    ]
    for worker in workers:
        worker.start()
    try:
        left = jobs
        while left:
            message = results.get()
            if message is None:
                left -= 1
            elif isinstance(message, str):
                raise CliError(f"a worker failed: {message}")
            else:
                report(message)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _worker(path: str, trials: int, number: int, threads: int, results: Any) -> None:
    import signal

    from fastmlp.experiment.runner import load_experiment
    from fastmlp.experiment.search import with_values
    from fastmlp.experiment.sweep import Sweep

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    try:
        found = Sweep.open(Path(path))
        config = found.config()
        values = with_values(config.values(), {"training.threads": threads})
        experiment = load_experiment(type(config).checked(values))
        found.work(experiment, trials, worker=number, report=results.put)
    except Exception as error:
        results.put(f"{type(error).__name__}: {error}")
    else:
        results.put(None)


def _print(found: Sweep, best: Trial, trials: list[Trial], monitor: str, state: State) -> None:
    if state.json:
        from dataclasses import asdict

        from fastmlp.cli.result import SCHEMA_VERSION, print_json

        head = {"schema": "fastmlp.sweep", "schema_version": SCHEMA_VERSION, "command": "sweep"}
        content = {
            "directory": str(found.path),
            "monitor": monitor,
            "best": asdict(best),
            "best_config": str(found.best_path),
            "trials": [asdict(trial) for trial in trials],
        }
        print_json(head | content, state)
        return
    counts = {name: sum(t.state == name for t in trials) for name in ("complete", "pruned")}
    rows = [("trials", ", ".join(f"{count} {name}" for name, count in counts.items()))]
    rows.append((f"best {monitor}", f"{best.value:.6g} in trial {best.number}"))
    rows += [(key, _short(value)) for key, value in best.settings.items()]
    rows.append(("settings", str(found.best_path)))
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        click.echo(f"{name:<{width}}{value}")
