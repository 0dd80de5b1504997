"""The command `fastmlp bench`: time training steps of fastmlp and of other libraries."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import click

import fastmlp
from fastmlp._system import load_average
from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.options import (
    CommandBase,
    Number,
    State,
    Whole,
    common_options,
    quiet_option,
    state_of,
    unknown,
)
from fastmlp.cli.printing import document_head, print_json, print_table

__all__ = ["bench"]

HEADER = ("engine", "threads", "us/step", "fastest", "samples/s", "GFLOP/s", "of peak", "speedup")
EXAMPLES = """\
fastmlp bench
fastmlp bench --workload mnist --engine fastmlp --engine torch
fastmlp bench --all --rounds 9 --seconds 1 --json > bench.json
fastmlp bench --predict"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.option(
    "--workload", "workloads", multiple=True, metavar="NAME",
    help="nielsen, small, tabular, mnist, online, surrogate, adam, ciresan or wide; may be "
    "repeated.  [default: the first four]",
)  # fmt: skip
@click.option(
    "--all", "every", is_flag=True,
    help="Run all nine workloads; this takes minutes and gigabytes of memory.",
)  # fmt: skip
@click.option(
    "--predict", is_flag=True,
    help="Time predictions instead, on 1 to 20,000 rows in a call.",
)  # fmt: skip
@click.option(
    "--engine", "engines", multiple=True, metavar="NAME",
    help="fastmlp, torch, torch-compile, jax, sklearn, keras, tensorflow, fastmlp-bfloat16 or "
    "torch-bfloat16, with --predict fastmlp, onnxruntime or torch; may be repeated.  [default: "
    "those in float32 that are installed]",
)  # fmt: skip
@click.option(
    "--threads", type=Whole(1, 1024), multiple=True,
    help="Threads of every engine; may be repeated.  [default: 1, all, and for fastmlp also the "
    "number it chooses]",
)  # fmt: skip
@click.option(
    "--rounds", type=Whole(1, 1000), default=5, show_default=True, help="Turns of each engine."
)
@click.option(
    "--seconds", type=Number(0, 3600, open_low=True), default=0.3, show_default=True,
    help="Length of a turn; at least one epoch is trained.",
)  # fmt: skip
@quiet_option()
@common_options()
@click.pass_context
def bench(
    ctx: click.Context, /, *, workloads: tuple[str, ...], every: bool, predict: bool,
    engines: tuple[str, ...], threads: tuple[int, ...], rounds: int, seconds: float, quiet: bool,
) -> int:  # fmt: skip
    """Time training steps of fastmlp and of other libraries.

    Every engine trains the same network from the same weights on the same batches, in its own
    process; the processes take turns. A step includes gathering the shuffled rows, forward pass,
    loss, backward pass and update. An engine whose loss after two epochs differs from that of
    fastmlp is marked. The peak of the machine, to which shares refer, is measured in the same
    turns. Run nothing else meanwhile, and compare only numbers of the same run.

    With --predict every engine computes the outputs of the same networks for NumPy arrays.
    """
    from fastmlp.bench.engines import ENGINES
    from fastmlp.bench.report import summary
    from fastmlp.bench.runner import Settings, run_workload

    state = state_of(ctx)

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    if predict:
        if workloads or every:
            raise ConfigError("--predict has networks of its own: leave out --workload and --all")
        return _predict(state, engines, threads, rounds, seconds, say)
    names = _workloads(workloads, every=every)
    chosen = _engines(engines, ENGINES)
    settings = Settings(chosen, _threads(threads), rounds, seconds)
    facts = _facts()
    results = []
    for name in names:
        results.append(summary(run_workload(name, settings, say)))
        if not state.json:
            _print_table(results[-1], state)
    if state.json:
        _print_json(settings, facts, results, state)
    if all(row["status"] == "failed" for result in results for row in result["rows"]):
        raise CliError("no engine could be timed")
    return int(ExitCode.OK)


def _workloads(names: tuple[str, ...], *, every: bool) -> list[str]:
    from fastmlp.bench.workloads import ALL, WORKLOADS

    known = list(ALL)
    for name in names:
        if name not in known:
            raise ConfigError(unknown("workload", name, known))
    if every:
        return known
    return list(dict.fromkeys(names)) or list(WORKLOADS)


def _predict(
    state: State, engines: tuple[str, ...], threads: tuple[int, ...], rounds: int, seconds: float,
    say: Callable[[str], object],
) -> int:  # fmt: skip
    from fastmlp.bench.prediction import NETWORKS, PREDICTORS, time_predictions

    if len(threads) > 1:
        raise ConfigError("--predict takes one number of --threads")
    names, facts = _engines(engines, PREDICTORS), _facts()
    results = []
    for network in NETWORKS:
        times = time_predictions(network, names, sum(threads), rounds, seconds, say)
        results.append(times)
        if not state.json:
            _print_predictions(times, state)
    if state.json:
        settings = {"engines": names, "threads": sum(threads) or None, "rounds": rounds,
                    "seconds": seconds}  # fmt: skip
        document = document_head("bench") | {
            "settings": settings,
            "machine": facts,
            "networks": [times.to_json() for times in results],
        }
        print_json(state, document)
    if all(len(times.errors) == len(names) for times in results):
        raise CliError("no engine could be timed")
    return int(ExitCode.OK)


def _print_predictions(times: Any, state: State) -> None:
    """Print microseconds per call, a row for each number of rows."""
    from fastmlp.bench.prediction import ROWS

    header = ("rows", *times.calls, "speedup")
    lines = []
    for rows in ROWS:
        cells = [times.median(engine, rows) for engine in times.calls]
        speedup = times.speedup(rows)
        lines.append([
            f"{rows:,}",
            *("-" if cell is None else _microseconds(cell) for cell in cells),
            "-" if speedup is None else f"{speedup:.2f}x",
        ])  # fmt: skip
    title = f"{times.network}: us per call"
    print_table(header, lines, header, state, title=title)
    for engine, error in times.errors.items():
        click.echo(f"{engine}: failed: {error}")
    click.echo()


def _engines(names: tuple[str, ...], known: Mapping[str, Any]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise ConfigError(unknown("engine", name, known))
        if not known[name].available():
            text = f"engine {name} is not installed; run 'pip install {known[name].package}'"
            raise CliError(text, ExitCode.EXTRA_MISSING)
    return tuple(dict.fromkeys(names)) or tuple(
        name
        for name, engine in known.items()
        if engine.available() and not getattr(engine, "bfloat16", False)
    )


def _threads(counts: tuple[int, ...]) -> tuple[int, ...]:
    from fastmlp import _core

    return tuple(sorted(set(counts))) or tuple(sorted({0, 1, _core.available_threads()}))


def _facts() -> dict[str, Any]:
    # A load average far above 0 shows that other programs were running.
    return {**fastmlp.info(), "platform": platform.platform(), "load_average": load_average()}


def _print_json(settings: Any, facts: Any, results: list[dict[str, Any]], state: State) -> None:
    from fastmlp.bench import report, worker, workloads

    training = {
        "seed": workloads.SEED,
        "checked_epochs": worker.CHECKED_EPOCHS,
        "agreement": report.AGREEMENT["float32"],
    }
    document = document_head("bench") | {
        "settings": asdict(settings) | training,
        "machine": facts,
        "workloads": results,
    }
    print_json(state, document)


def _print_table(result: dict[str, Any], state: State) -> None:
    """Print a workload as a table and, below it, the peak, failures and deviating losses."""
    from statistics import median

    layers = "-".join(map(str, result["layers"]))
    rows: list[list[str]] = []
    own: list[int] = []
    notes = []
    for name, key in (("", "peak_flops"), (" in bfloat16", "bfloat16_peak_flops")):
        peaks = [_peak(t, median(flops)) for t, flops in result[key].items() if flops]
        if peaks:
            notes.append(f"peak{name}: {', '.join(peaks)}")
    for row in result["rows"]:
        threads = f"{row['threads']}{' (auto)' if row['threads_chosen_by_engine'] else ''}"
        if row["status"] == "failed":
            notes.append(f"{row['engine']}, threads {threads}: failed: {row['error']}")
            continue
        if row["status"] == "differs":
            notes.append(
                f"{row['engine']}, threads {threads}: not comparable: loss {row['loss']:.6f}"
            )
        if row["engine"].startswith("fastmlp"):
            own.append(len(rows))
        rows.append(_row(row, threads))
    title = (
        f"{result['name']}: {layers} {result['activation']}, batch {result['batch']}, "
        f"{result['optimizer']}, {result['dtype']}"
    )
    print_table(HEADER, rows, HEADER[2:], state, title=title, bold_rows=own)
    for note in notes:
        click.echo(note)
    click.echo()


def _row(row: dict[str, Any], threads: str) -> list[str]:
    times = row["us_per_step"]
    return [
        row["engine"],
        threads,
        _microseconds(times["median"]),
        _microseconds(times["min"]),
        f"{row['samples_per_s']:,.0f}",
        f"{row['gflop_per_s']:.1f}",
        f"{row['share_of_peak']:.0%}",
        "-" if row["speedup"] is None else f"{row['speedup']:.2f}x",
    ]


def _peak(threads: str, flops: float) -> str:
    return f"{flops / 1e9:.0f} GFLOP/s on {threads} thread{'' if threads == '1' else 's'}"


def _microseconds(value: float) -> str:
    """Return a time with at least three digits."""
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"
