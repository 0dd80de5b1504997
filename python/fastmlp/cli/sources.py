"""What commands that take data share: names and their completion, the network, warnings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from fastmlp.cli.errors import ConfigError
from fastmlp.cli.options import unknown

__all__ = ["canonical_name", "complete_source", "go_offline", "plain_warnings"]


def go_offline() -> None:
    """Keep `fastmlp.datasets` from using the network in this process."""
    os.environ["FASTMLP_OFFLINE"] = "1"


@contextmanager
def plain_warnings(*, quiet: bool = False) -> Iterator[None]:
    """Print Python warnings as one line each, without the source line that raised them."""

    def show(message: Warning | str, *_rest: Any, **_more: Any) -> None:
        click.echo(f"fastmlp: warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", UserWarning)
        warnings.showwarning = show
        yield


def canonical_name(name: str) -> str:
    """Return the registered name of a data set, or raise with the nearest one."""
    from fastmlp.datasets.registry import REGISTRY, get_spec

    try:
        return get_spec(name).name
    except ValueError as error:
        raise ConfigError(unknown("data set", name, list(REGISTRY))) from error


def complete_source(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    """Offer the names of data sets, and files where none fits."""
    from click.shell_completion import CompletionItem

    from fastmlp.datasets.registry import REGISTRY

    names = [CompletionItem(name) for name in REGISTRY if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]
