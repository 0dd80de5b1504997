"""The processes that mpiexec started for one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fastmlp import extras
from fastmlp.cli.errors import classify, printable
from fastmlp.cli.launch import connecting, launched
from fastmlp.cli.signals import raise_now

if TYPE_CHECKING:
    from fastmlp.cli.options import State
    from fastmlp.training.processes import Group

__all__ = ["ranks"]


@contextlib.contextmanager
def ranks(state: State) -> Iterator[Group | None]:
    """Return the processes of this command; None if mpiexec did not start several.

    The first alone reports an error that all have, or that all learn. Another ends them at once.
    """
    if launched() == 1:
        yield None
        return
    communicator = extras.require("mpi", "mpi4py.MPI").COMM_WORLD
    from fastmlp.training.processes import Group

    group = Group(communicator, _reported)
    state.is_silent = not group.is_first
    try:
        connecting.close()
        raise_now()
        yield group
    except BaseException as error:
        group.fail(error)
        raise


def _reported(rank: int, error: BaseException) -> int:
    """Print an error that one process has within a step, and return the exit code."""
    code, message = classify(error)
    text = f"fastmlp: error: rank {rank} failed: {message}; continue with 'fastmlp train --resume'"
    click.echo(printable(text), err=True)
    return int(code)
