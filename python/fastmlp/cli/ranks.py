"""The processes that mpiexec started for one command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fastmlp import extras
from fastmlp.cli.errors import classify, printable

if TYPE_CHECKING:
    from fastmlp.training.processes import Group

__all__ = ["ranks"]

# Of MPICH and those that descend from it, and of Open MPI.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@contextlib.contextmanager
def ranks() -> Iterator[Group | None]:
    """Return the processes of this command; None if mpiexec did not start several.

    The first alone reports an error that all have, or that all learn. Another one ends them at once.
    """
    sizes = [os.environ[name] for name in _SIZES if name in os.environ]
    if not sizes or not sizes[0].isdecimal() or int(sizes[0]) < 2:
        yield None
        return
    communicator = extras.require("mpi", "mpi4py.MPI").COMM_WORLD
    from fastmlp.training.processes import Group

    group = Group(communicator, _reported)
    try:
        yield group
    except BaseException as error:
        group.fail(error)
        if group.is_first:
            raise
        raise click.exceptions.Exit(int(classify(error)[0])) from None


def _reported(rank: int, error: BaseException) -> int:
    """Print an error that one process has within a step, and return the exit code."""
    code, message = classify(error)
    text = f"fastmlp: error: rank {rank} failed: {message}; continue with 'fastmlp train --resume'"
    click.echo(printable(text), err=True)
    return int(code)
