"""The processes that mpiexec started for one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fastmlp import extras
from fastmlp.cli.errors import ConfigError, classify, printable
from fastmlp.cli.launch import connecting, is_first, launched
from fastmlp.cli.signals import raise_now

if TYPE_CHECKING:
    from fastmlp.cli.options import State
    from fastmlp.training.processes import Group

__all__ = ["ranks", "require_one_process"]


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


def require_one_process(state: State, command: str, cure: str) -> None:
    """Raise ConfigError if mpiexec started several processes, each of which would do all the work.

    Parameters
    ----------
    state : State
        Of this call; the first process alone reports the error.
    command : str
        Name of the command, and options that make the difference.
    cure : str
        What to do instead.
    """
    if launched() > 1:
        state.is_silent = not is_first()
        raise ConfigError(
            f"each of the {launched()} processes of mpiexec would do all of 'fastmlp {command}': "
            f"leave mpiexec out, and {cure}"
        )


def _reported(rank: int, error: BaseException) -> int:
    """Print an error that one process has within a step, and return the exit code."""
    code, message = classify(error)
    text = f"fastmlp: error: rank {rank} failed: {message}; continue with 'fastmlp train --resume'"
    click.echo(printable(text), err=True)
    return int(code)
