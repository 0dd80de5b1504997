"""The command line under signals and on terminals: real processes, a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from support.cli_process import (
    ESCAPE,
    TIMEOUT,
    answer_signals,
    command,
    environment,
    read_terminal,
    train_tiny,
    write_idx_directory,
)
from support.systems import needs_terminals

pytestmark = needs_terminals


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_idx_directory(tmp_path_factory.mktemp("data") / "tiny", 400)


def start_long_training(data: Path, cwd: Path, *args: object) -> subprocess.Popen:
    """Start a training that would take minutes, and return once its second epoch runs."""
    process = subprocess.Popen(
        command("train", data, "--hidden", "32", "--epochs", "1000000", "--lr", "1e-3", *args),
        preexec_fn=answer_signals, cwd=cwd, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch"):
            return process
    raise AssertionError(f"no epoch was finished, exit code {process.wait()}")


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_saves_the_model_first(tmp_path, number, code, status):
    data = write_idx_directory(tmp_path / "long", 20_000)
    with start_long_training(data, tmp_path, "--json") as process:
        sent = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code
    assert time.monotonic() - sent < 10
    assert stderr.splitlines()[-1].startswith(f"fastmlp: {status} (")
    assert "Traceback" not in stderr
    document = json.loads(stdout)
    assert (document["status"], document["exit_code"]) == (status, code)
    model = fastmlp.MLP.load(tmp_path / document["model"])
    assert all(np.isfinite(weights).all() for weights in model.weights)


def test_color_follows_the_switches(tiny, tmp_path):
    def errors(*args: object, **variables: str) -> str:
        return train_tiny(tiny, tmp_path, "--no-report", *args, **variables).stderr

    colored = errors(FORCE_COLOR="1")
    assert ESCAPE in colored
    # Color or not, a pipe gets whole lines: no carriage return, no cursor movement.
    assert "\r" not in colored
    assert ESCAPE not in errors(FORCE_COLOR="1", NO_COLOR="1")
    assert ESCAPE not in errors("--no-color", FORCE_COLOR="1")


def run_on_terminal(args: list[str], cwd: Path, columns: int, **variables: str) -> tuple[str, int]:
    """Run a command on a pseudo-terminal and return what it drew and its exit code."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {k: v for k, v in environment().items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        args, cwd=cwd, env=clean | {"TERM": "xterm-256color"} | variables,
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    return read_terminal(leader), process.wait(TIMEOUT)


def test_the_cursor_comes_back_after_a_training(tiny, tmp_path):
    drawn, code = run_on_terminal(
        command("train", tiny, "--epochs", 3, "--no-report"), tmp_path, 100
    )
    assert code == 0
    assert "━" in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")


# Every call draws, so that the frames do not depend on how fast this machine trains.
DRAW_EVERYTHING = """
from fastmlp.cli import progress
progress.REDRAW_SECONDS = progress.TERMINAL_LINE_SECONDS = 0.0
with progress.Display(12, 60_000, quiet=False, no_color=False) as display:
    for epoch in range(1, 13):
        for done in range(0, 60_001, 6_000):
            display.progress(done, 60_000, 0.1234, 0.9876)
        record = {"epoch": epoch, "loss": 0.1, "val_accuracy": 0.98, "seconds": 1.0}
        display.epoch_end(record, best=epoch == 1)
"""
BAR = r"(epoch +\d+/12|this epoch) +([━─]*)  +\d+%"
FACT = (
    r"\d+%|elapsed \d+:\d\d|ETA \d+:\d\d|(loss|accuracy|test|best) \d+\.\d+%?|[\d,]+ samples/s"
    r"|\d\.\d\d s|best|epoch \d+(/12)?|test accuracy|[▁-█]+"
)


@pytest.mark.parametrize(("columns", "fullest"), [(32, "%"), (60, "loss"), (130, "elapsed")])
def test_the_bars_fit_the_terminal(tmp_path, columns, fullest):
    drawn, code = run_on_terminal([sys.executable, "-c", DRAW_EVERYTHING], tmp_path, columns)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    rows = [row for row in re.split(r"[\r\n]+", plain) if row]
    bars = [match for match in (re.match(BAR, row) for row in rows) if match]
    assert len(bars) > 200
    assert any(fullest in match.string for match in bars)
    assert min(len(match[2]) for match in bars) >= 8
    for row in rows:
        assert len(row) < columns
        # Facts give way to the bar one by one; none is cut in the middle.
        told = re.sub(r"^(epoch +\d+/12|this epoch|loss) +([━─]+  |(?=[▁-█]))", "", row)
        told = re.sub(r"(epoch|accuracy|test) +", r"\1 ", told)
        assert all(re.fullmatch(FACT, fact) for fact in re.split("  +", told.strip())), row


def test_a_dumb_terminal_gets_plain_lines(tiny, tmp_path):
    args = command("train", tiny, "--epochs", 3, "--no-report")
    drawn, code = run_on_terminal(args, tmp_path, 80, TERM="dumb")
    assert code == 0
    assert "epoch 3/3" in drawn
    assert "━" not in drawn
    assert ESCAPE not in drawn
