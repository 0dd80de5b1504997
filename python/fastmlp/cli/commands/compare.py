"""The command `fastmlp compare`: compare runs, also with the same training by other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import (
    Choice,
    CommandBase,
    State,
    common_options,
    quiet_option,
    state_of,
)
from fastmlp.cli.printing import document_head, print_json, print_table, shown_setting
from fastmlp.cli.runs import open_run, run_errors
from fastmlp.cli.sources import data_errors, load_experiment

if TYPE_CHECKING:
    from fastmlp.experiment.peers import PeerResult
    from fastmlp.experiment.rundir import RunDirectory

__all__ = ["compare"]

EXAMPLES = """\
fastmlp compare 1 2
fastmlp compare runs/001-digits --with sklearn --with torch
fastmlp compare runs/* --json"""
FACTS = ("status", "data", "evaluated_on")
SHARES = ("accuracy", "subset_accuracy", "macro_f1")
MEASURES = (*SHARES, "rmse", "r2", "loss")


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@click.option(
    "--with", "peers", multiple=True, type=Choice(("sklearn", "torch")),
    help="Also train the first run's network with this library; may be repeated.",
)  # fmt: skip
@quiet_option()
@common_options()
@click.pass_context
def compare(
    ctx: click.Context, /, *, runs: tuple[str, ...], peers: tuple[str, ...], quiet: bool
) -> int:
    """Compare runs: results, times, settings that differ.

    RUN is the number of a run, its name, or the path of its directory. With --with, another library
    trains on the same samples with the settings of the first run that it supports. It uses its own
    random numbers and its own choice of threads.
    """
    found = [open_run(run) for run in runs]
    with run_errors():
        rows, differing = [_row(run) for run in found], _differences(found)
    others = _peer_results(found[0], peers, quiet)
    state = state_of(ctx)
    if state.json:
        content = {
            "runs": rows,
            "differences": differing,
            "libraries": [asdict(other) for other in others],
        }
        print_json(state, document_head("compare") | content)
    else:
        _print(rows, others, differing, state)
    return int(ExitCode.OK)


def _row(run: RunDirectory) -> dict[str, Any]:
    result, records = run.result(), run.records()
    measured = result.get("test") or {}
    return {
        "run": str(run.path),
        "status": result.get("status", "unfinished"),
        "data": result.get("dataset"),
        "layer_sizes": result.get("layer_sizes"),
        "epochs": len(records),
        "seconds": sum(record["seconds"] for record in records),
        "evaluated_on": result.get("evaluated_on"),
        **{name: measured[name] for name in MEASURES if name in measured},
    }


def _differences(runs: Sequence[RunDirectory]) -> dict[str, list[Any]]:
    """Return the settings that differ, with one value per run; None means not set."""
    flat = [
        {
            f"{section}.{name}": value
            for section, content in run.config().values().items()
            if isinstance(content, dict)
            for name, value in content.items()
        }
        for run in runs
    ]
    keys = list(dict.fromkeys(key for values in flat for key in values))
    columns = {key: [values.get(key) for values in flat] for key in keys}
    return {key: values for key, values in columns.items() if any(v != values[0] for v in values)}


def _peer_results(run: RunDirectory, names: tuple[str, ...], quiet: bool) -> list[PeerResult]:
    if not names:
        return []
    from fastmlp.experiment.peers import PEERS, require_library
    from fastmlp.experiment.runner import require_same_data

    for name in names:  # raises before the first library trains
        require_library(name)
    experiment = load_experiment(run.config(), quiet=quiet)
    with data_errors():
        require_same_data(experiment, run)
    results = []
    for name in dict.fromkeys(names):
        if not quiet:
            click.echo(f"training with {name}", err=True)
        try:
            results.append(PEERS[name](experiment))
        except ValueError as error:
            raise ConfigError(f"--with {name}: {error}") from error
    return results


def _print(
    rows: list[dict[str, Any]],
    others: list[PeerResult],
    differing: dict[str, list[Any]],
    state: State,
) -> None:
    peers = [
        rows[0] | dict.fromkeys(("status", *MEASURES))
        | {"run": peer.library, "epochs": peer.epochs, "seconds": peer.seconds, **peer.metrics}
        for peer in others
    ]  # fmt: skip
    # Columns in which all runs agree are left out.
    facts = [name for name in FACTS if len({row[name] for row in rows}) > 1]
    numbers = ["epochs", "seconds"]
    numbers += [name for name in MEASURES if any(row.get(name) is not None for row in rows + peers)]
    table = [[_shown(n, row.get(n)) for n in ("run", *facts, *numbers)] for row in rows + peers]
    header = [name.replace("_", " ") for name in ("run", *facts, *numbers)]
    print_table(header, table, header[1 + len(facts) :], state)
    for other in others:
        if other.left_out:
            click.echo(f"{other.library}: without {', '.join(other.left_out)}")
    if differing:
        click.echo()
        names = [row["run"] for row in rows]
        settings = [[key, *(shown_setting(v) for v in values)] for key, values in differing.items()]
        print_table(["setting", *names], settings, names, state)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in SHARES:
        return f"{value:.2%}"
    if name == "seconds":
        return f"{value:.2f}" if value >= 1 else f"{value:.2g}"
    return f"{value:.5g}" if name in MEASURES else str(value)
