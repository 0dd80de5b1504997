"""The command line in child processes, on data whose training takes a moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from fastmlp.datasets.idx import build_idx

TIMEOUT = 120
ESCAPE = "\x1b["


def environment(**variables: str) -> dict[str, str]:
    """Return the variables of this process without those that the command reads."""
    steering = ("FASTMLP_", "NO_COLOR", "FORCE_COLOR", "TTY_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return clean | variables


def _answer_signals() -> None:
    """Restore SIGINT in a child, which inherits that a shell ignores it for background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# For `preexec_fn`, which Windows has not, and needs not.
answer_signals = None if sys.platform == "win32" else _answer_signals


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "fastmlp.cli", *map(str, args)]


def run(*args: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*args), cwd=cwd, env=environment(**variables), capture_output=True, text=True,
        timeout=TIMEOUT, check=False,
    )  # fmt: skip


def write_idx_directory(directory: Path, samples: int) -> Path:
    """Write noisy 6x6 images of four classes, which a small network learns within one epoch."""
    directory.mkdir()
    random = np.random.Generator(np.random.PCG64(7))
    centers = random.integers(0, 256, (4, 6, 6))
    for part, count in (("train", samples), ("t10k", 80)):
        labels = (np.arange(count) % 4).astype(np.uint8)
        noise = random.normal(0, 20, (count, 6, 6))
        images = np.clip(centers[labels] + noise, 0, 255).astype(np.uint8)
        (directory / f"{part}-images-idx3-ubyte").write_bytes(build_idx(images))
        (directory / f"{part}-labels-idx1-ubyte").write_bytes(build_idx(labels))
    return directory


def train_tiny(tiny: Path, cwd: Path, *args: object, **variables: str):
    """Train without the report, whose figures take longer than the training."""
    settings = ("--hidden", "8", "--epochs", "3", "--no-report")
    return run("train", tiny, *settings, *args, cwd=cwd, **variables)


def read_terminal(leader: int) -> str:
    """Return what a command wrote to a pseudo-terminal until its end, and close the terminal."""
    shown = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # Linux reports the closed far end of a terminal as EIO
            break
        if not chunk:
            break
        shown += chunk
    os.close(leader)
    return shown.decode()
