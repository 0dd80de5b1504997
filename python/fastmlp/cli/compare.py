"""`fastmlp compare`: runs side by side, and beside the same training by other libraries."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import CommandBase, common_options, state_of

if TYPE_CHECKING:
    from fastmlp.experiment.peers import PeerResult
    from fastmlp.experiment.rundir import RunDirectory

__all__ = ["compare"]

EXAMPLES = """\
fastmlp compare runs/001-mnist runs/002-mnist
fastmlp compare runs/001-digits --with sklearn --with torch
fastmlp compare runs/* --json"""
MEASURES = ("accuracy", "subset_accuracy", "macro_f1", "rmse", "r2", "loss")


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--with", "peers", multiple=True, type=click.Choice(("sklearn", "torch")),
    help="Train the first run's network with this library, too; may be repeated.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print the result only.")
@common_options()
@click.pass_context
def compare(
    ctx: click.Context, /, *, runs: tuple[str, ...], peers: tuple[str, ...], quiet: bool
) -> int:
    """Put runs side by side: what they reached, how long they took, which settings differ.

    Other libraries train on the same samples with the same settings, as far as they have them, on
    as many threads as they choose.
    """
    from fastmlp.experiment.rundir import RunDirectory

    found = [RunDirectory.open(run) for run in runs]
    rows = [_row(run) for run in found]
    others = _peer_results(found[0], peers, quiet)
    differing = _differences(found)
    state = state_of(ctx)
    if state.json:
        from fastmlp.cli.result import SCHEMA_VERSION, print_json

        head = {"schema": "fastmlp.compare", "schema_version": SCHEMA_VERSION}
        content = {
            "command": "compare",
            "runs": rows,
            "differences": differing,
            "libraries": [asdict(other) for other in others],
        }
        print_json(head | content, state)
    else:
        _print(rows, others, differing)
    return int(ExitCode.OK)


def _row(run: RunDirectory) -> dict[str, Any]:
    result = run.result()
    measured = result.get("test") or {}
    return {
        "run": str(run.path),
        "status": result.get("status", "unfinished"),
        "data": result.get("dataset"),
        "network": "-".join(map(str, result.get("layer_sizes", ()))) or None,
        "epochs": result.get("epochs_completed"),
        "seconds": result.get("training_seconds"),
        "evaluated_on": result.get("evaluated_on"),
        **{name: measured[name] for name in MEASURES if name in measured},
    }


def _differences(runs: list[RunDirectory]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, one value for each."""
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
    from fastmlp.cli.training import load_experiment
    from fastmlp.experiment.peers import PEERS

    experiment = load_experiment(run.config(), quiet=quiet)
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
    rows: list[dict[str, Any]], others: list[PeerResult], differing: dict[str, list[Any]]
) -> None:
    names = [name for name in MEASURES if any(name in row for row in rows)]
    lines = [["run", "epochs", "seconds", *names]]
    for row in rows:
        seconds = "-" if row["seconds"] is None else f"{row['seconds']:.2f}"
        shown = [_shown(name, row.get(name)) for name in names]
        lines.append([row["run"], str(row["epochs"] or "-"), seconds, *shown])
    for other in others:
        shown = [_shown(name, other.metrics.get(name)) for name in names]
        lines.append([other.library, str(rows[0]["epochs"] or "-"), f"{other.seconds:.2f}", *shown])
    _print_columns(lines)
    for other in others:
        if other.left_out:
            click.echo(f"{other.library}: without {', '.join(other.left_out)}")
    if differing:
        click.echo("\nsettings that differ")
        _print_columns([[key, *map(str, values)] for key, values in differing.items()])


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2%}" if name in ("accuracy", "subset_accuracy", "macro_f1") else f"{value:.5g}"


def _print_columns(lines: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        first, *rest = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        click.echo("  ".join([first, *rest]).rstrip())
