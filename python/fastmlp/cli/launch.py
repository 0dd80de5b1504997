"""Processes that mpiexec started, before MPI connects them.

This module is loaded at every start and imports nothing that takes time.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["connecting", "is_first", "launched"]

# Of MPICH and those that descend from it, and of Open MPI.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")

# Open until the command of this process is connected with the others, or is one that needs none.
# Until then signals wait: others would wait forever for a process that ended before.
connecting = contextlib.ExitStack()


def launched() -> int:
    """Return the number of processes of this command."""
    return _told(_SIZES, 1)


def is_first() -> bool:
    """Return whether this process is the first of those, or the only one."""
    return _told(_RANKS, 0) == 0


def _told(names: tuple[str, ...], default: int) -> int:
    numbers = [os.environ[name] for name in names if name in os.environ]
    return int(numbers[0]) if numbers and numbers[0].isdecimal() else default
