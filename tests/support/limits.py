"""Limits of a process, where the system has them."""

from __future__ import annotations

from pathlib import Path


def limit_address_space(headroom: int) -> None:
    """Let this process map `headroom` bytes more than it has now."""
    import resource  # POSIX alone has it

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + headroom
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
