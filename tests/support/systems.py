"""Marks of tests that need something which not every operating system has."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest


def needs(present: bool, what: str) -> pytest.MarkDecorator:
    """Skip a test unless the system has what it needs; the reason names it."""
    return pytest.mark.skipif(not present, reason=f"needs {what}")


needs_alarm = needs(hasattr(signal, "setitimer"), "timers that send signals")
needs_fork = needs(hasattr(os, "fork"), "fork")
needs_kill = needs(hasattr(signal, "SIGKILL"), "signals between processes")
needs_limits = needs(importlib.util.find_spec("resource") is not None, "limits of a process")
needs_proc = needs(Path("/proc/self/fd").is_dir(), "/proc of Linux")
needs_terminals = needs(importlib.util.find_spec("termios") is not None, "pseudo-terminals")
