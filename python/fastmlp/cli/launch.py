"""Processes that mpiexec started, before MPI connects them.

This module is loaded at every start and imports nothing that takes time.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["connecting", "launched"]

# Of MPICH and those that descend from it, and of Open MPI.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")

# Open until the command of this process is connected with the others, or is one that needs none.
# Until then signals wait: others would wait forever for a process that ended before.
connecting = contextlib.ExitStack()


def launched() -> int:
    """Return the number of processes of this command."""
    sizes = [os.environ[name] for name in _SIZES if name in os.environ]
    return int(sizes[0]) if sizes and sizes[0].isdecimal() else 1
