"""The command `fastmlp data`: list, fetch, verify, locate and remove data sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import fastmlp
from fastmlp.cli.completion import complete_set
from fastmlp.cli.errors import ConfigError, DataError
from fastmlp.cli.options import (
    CommandBase,
    GroupBase,
    common_options,
    data_dir_option,
    offline_option,
    quiet_option,
    state_of,
)
from fastmlp.cli.printing import document_head, print_json, print_table
from fastmlp.cli.sources import canonical_name, plain_warnings
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.datasets.registry import Spec

__all__ = ["data"]

EXAMPLES = """\
fastmlp data list
fastmlp data fetch mnist
fastmlp data verify
fastmlp data path mnist
fastmlp data clear kmnist"""
HEADER = ("name", "kind", "samples", "features", "classes", "cached in")
NUMBERS = ("samples", "features", "classes")


@click.group(cls=GroupBase, examples=EXAMPLES)
def data() -> None:
    """List, fetch, verify, locate and remove data sets."""


def _without_files(spec: Spec) -> str:
    origin = "is computed" if spec.kind == "synthetic" else f"comes with {spec.kind}"
    return f"{spec.name} {origin} and has no files of its own"


@data.command("list", cls=CommandBase, examples="fastmlp data list\nfastmlp data list --json")
@common_options()
@click.pass_context
def list_(ctx: click.Context, /) -> None:
    """List the known data sets and their places in the cache.

    Samples such as 60,000 + 10,000 are the sizes of the training part and the test part.
    """
    specs = [fastmlp.datasets.get_spec(name) for name in fastmlp.datasets.available()]
    places = [fastmlp.datasets.path(spec) for spec in specs]
    state = state_of(ctx)
    if state.json:
        rows = [_list_entry(spec, place) for spec, place in zip(specs, places, strict=True)]
        print_json(state, document_head("data list") | {"datasets": rows})
        return
    table = [_list_row(spec, place) for spec, place in zip(specs, places, strict=True)]
    print_table(HEADER, table, NUMBERS, state, least=("features", "kind"))


def _list_entry(spec: Spec, place: Path | None) -> dict[str, Any]:
    return {
        "name": spec.name,
        "kind": spec.kind,
        "task": spec.task,
        "samples": spec.samples,
        "test_samples": spec.test_samples,
        "features": spec.features,
        "classes": spec.classes,
        "image_shape": None if spec.image_shape is None else list(spec.image_shape),
        "path": None if place is None else str(place),
    }


def _list_row(spec: Spec, place: Path | None) -> tuple[str, ...]:
    test = "" if spec.test_samples is None else f" + {spec.test_samples:,}"
    absent = "-"
    if spec.kind == "download":
        absent = f"not in the cache (fastmlp data fetch {spec.name})"
    return (
        spec.name,
        spec.kind,
        f"{spec.samples:,}{test}",
        f"{spec.features:,}",
        "regression" if spec.classes is None else str(spec.classes),
        absent if place is None else str(place),
    )


@data.command(
    cls=CommandBase, examples="fastmlp data fetch mnist\nfastmlp data fetch mnist fashion-mnist"
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_set)
@data_dir_option
@offline_option
@quiet_option("directories")
@common_options()
@click.pass_context
def fetch(ctx: click.Context, /, names: tuple[str, ...], data_dir: str | None, quiet: bool) -> None:
    """Download data sets into the cache and print their directories.

    Every file is verified against its published SHA-256.
    """
    wanted = [canonical_name(name) for name in names]

    def report(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    state = state_of(ctx)
    rows = []
    for name in wanted:
        try:
            with plain_warnings(quiet=quiet):
                place = fastmlp.datasets.fetch(name, data_dir=data_dir, report=report)
        except FormatError as error:
            raise DataError(str(error)) from error
        rows.append({"name": name, "path": None if place is None else str(place)})
        state.suggest("train", name)
        if place is None:
            report(_without_files(fastmlp.datasets.get_spec(name)))
        elif not state.json:
            click.echo(str(place))
    if state.json:
        print_json(state, document_head("data fetch") | {"datasets": rows})


@data.command(cls=CommandBase, examples="fastmlp data verify\nfastmlp data verify mnist --json")
@click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=complete_set)
@common_options()
@click.pass_context
def verify(ctx: click.Context, /, names: tuple[str, ...]) -> None:
    """Check the files in the cache against their digests; code 3 if one is damaged.

    Without NAME, all data sets are checked.
    """
    wanted = list(dict.fromkeys(map(canonical_name, names))) or fastmlp.datasets.available()
    rows = [(name, status) for name in wanted for status in fastmlp.datasets.verify(name)]
    state = state_of(ctx)
    if state.json:
        entries = [
            {"name": name} | status._asdict() | {"path": str(status.path)} for name, status in rows
        ]
        print_json(state, document_head("data verify") | {"files": entries})
    else:
        print_table((), [(row.status, name, str(row.path)) for name, row in rows], (), state)
    for spec in map(fastmlp.datasets.get_spec, names):
        if spec.kind != "download":
            click.echo(_without_files(spec), err=True)
    damaged = list(dict.fromkeys(name for name, row in rows if row.status == "damaged"))
    if damaged:
        repair = f"run 'fastmlp data fetch {' '.join(damaged)}' to replace what is damaged"
        raise DataError(f"damaged files of {', '.join(damaged)} in the cache; {repair}")


@data.command(cls=CommandBase, examples="fastmlp data path mnist")
@click.argument("name", metavar="NAME", shell_complete=complete_set)
@common_options()
@click.pass_context
def path(ctx: click.Context, /, name: str) -> None:
    """Print the directory of a data set in the cache; code 3 if it is not in the cache."""
    spec = fastmlp.datasets.get_spec(canonical_name(name))
    place = fastmlp.datasets.path(spec)
    if spec.kind != "download":
        raise DataError(_without_files(spec))
    if place is None:
        raise DataError(f"{spec.name} is not in the cache; run 'fastmlp data fetch {spec.name}'")
    state = state_of(ctx)
    if state.json:
        print_json(state, document_head("data path") | {"name": spec.name, "path": str(place)})
    else:
        click.echo(str(place))


@data.command(
    cls=CommandBase, examples="fastmlp data clear kmnist\nfastmlp data clear mnist cifar10 --yes"
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_set)
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options()
@click.pass_context
def clear(ctx: click.Context, /, names: tuple[str, ...], yes: bool) -> None:
    """Remove data sets from the cache after a confirmation.

    Directories named by --data-dir or FASTMLP_DATA_DIR and copies of other tools are never removed.
    Without a terminal for the question, --yes is needed.
    """
    from fastmlp.datasets.cache import cache_directory

    wanted = list(dict.fromkeys(map(canonical_name, names)))
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigError(
                "'data clear' asks on a terminal before it removes anything; add --yes"
            )
        present = [str(place) for name in wanted if (place := cache_directory(name)).exists()]
        if present and not click.confirm(f"Remove {' and '.join(present)}?", err=True):
            click.echo("nothing was removed", err=True)
            wanted = []
    state = state_of(ctx)
    freed: dict[str, int] = {}
    for name in wanted:
        try:
            freed[name] = fastmlp.datasets.clear(name)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if not state.json:
            click.echo(f"{name}: {_size(freed[name])} freed")
    if state.json:
        rows = [{"name": name, "freed_bytes": size} for name, size in freed.items()]
        content = {"datasets": rows, "freed_bytes": sum(freed.values())}
        print_json(state, document_head("data clear") | content)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"
