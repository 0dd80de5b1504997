"""`fastmlp data`: which data sets there are, whether they are here, and where."""

from __future__ import annotations

from typing import Any

import click

from fastmlp.cli.errors import DataError
from fastmlp.cli.options import CommandBase, GroupBase, State, common_options, state_of
from fastmlp.cli.sources import canonical_name, go_offline, plain_warnings

__all__ = ["data"]

DATA_EXAMPLES = """\
fastmlp data list
fastmlp data fetch mnist
fastmlp data path mnist"""


@click.group(cls=GroupBase, examples=DATA_EXAMPLES)
def data() -> None:
    """List, fetch and locate data sets."""


def _print(state: State, command: str, content: dict[str, Any]) -> None:
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    head = {"schema": f"fastmlp.data.{command}", "schema_version": SCHEMA_VERSION}
    print_json(head | {"command": f"data {command}"} | content, state)


@data.command("list", cls=CommandBase, examples="fastmlp data list\nfastmlp data list --json")
@common_options()
@click.pass_context
def list_(ctx: click.Context, /) -> None:
    """List the known data sets and where each lies in the cache."""
    from fastmlp import datasets

    places = {name: datasets.path(name) for name in datasets.available()}
    state = state_of(ctx)
    if state.json:
        rows = [{"name": n, "path": None if p is None else str(p)} for n, p in places.items()]
        _print(state, "list", {"datasets": rows})
        return
    width = max(map(len, places))
    for name, place in places.items():
        shown = place or f"not in the cache (fastmlp data fetch {name})"
        click.echo(f"{name:<{width}}  {shown}")


@data.command(
    cls=CommandBase, examples="fastmlp data fetch mnist\nfastmlp data fetch mnist fashion-mnist"
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--data-dir", type=click.Path(), default=None, help="Directory looked at first.")
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("-q", "--quiet", is_flag=True, help="Print the directories only.")
@common_options()
@click.pass_context
def fetch(
    ctx: click.Context, /, names: tuple[str, ...], data_dir: str | None, offline: bool, quiet: bool
) -> None:
    """Bring data sets to this machine and print their directories.

    Every file is verified against its published SHA-256.
    """
    from fastmlp import datasets
    from fastmlp.errors import FormatError

    if offline:
        go_offline()
    wanted = [canonical_name(name) for name in names]

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    state = state_of(ctx)
    rows = []
    for name in wanted:
        try:
            with plain_warnings(quiet=quiet):
                place = datasets.fetch(name, data_dir=data_dir, report=report)
        except FormatError as error:
            raise DataError(str(error)) from error
        rows.append({"name": name, "path": str(place)})
        if not state.json:
            click.echo(str(place))
    if state.json:
        _print(state, "fetch", {"datasets": rows})


@data.command(cls=CommandBase, examples="fastmlp data path mnist")
@click.argument("name", metavar="NAME")
@common_options()
@click.pass_context
def path(ctx: click.Context, /, name: str) -> None:
    """Print the directory of a data set in the cache; code 3 if it is not there."""
    from fastmlp import datasets

    name = canonical_name(name)
    place = datasets.path(name)
    if place is None:
        raise DataError(f"{name} is not in the cache; run 'fastmlp data fetch {name}'")
    state = state_of(ctx)
    if state.json:
        _print(state, "path", {"name": name, "path": str(place)})
    else:
        click.echo(str(place))
