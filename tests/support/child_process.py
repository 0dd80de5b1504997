"""Scripts in child processes, so that a crash is a failed test and not the end of all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from support.cli_process import answer_signals
from support.paths import TESTS

__all__ = ["PREPARE", "Ended", "run_child", "run_python", "start_child"]

PREPARE = """
import hashlib, os, resource, signal, sys, threading, time
import numpy as np
import fastmlp
from fastmlp import _core
rng = np.random.default_rng(0)
def digest(*arrays):
    flat = [np.ascontiguousarray(a) for a in arrays]
    return hashlib.sha256(b"".join(a.tobytes() for a in flat)).hexdigest()
def problem(samples, sizes):
    x = rng.standard_normal((samples, sizes[0])).astype(np.float32)
    return x, rng.integers(0, sizes[-1], samples)
"""

Ended = subprocess.CompletedProcess[str]


def start_child(script: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Return a process that runs `script` after PREPARE."""
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        preexec_fn=answer_signals,
    )


def run_child(
    script: str, timeout: float = 60, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `script` to its end and return the result; kill it at a timeout, with TimeoutExpired."""
    child = start_child(script, environment)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return Ended(child.args, child.returncode, out, err)


def run_python(code, **environment):
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
