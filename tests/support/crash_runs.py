"""Trainings killed at random moments and resumed: the result must be that of an uninterrupted one.

As a script, `PYTHONPATH=tests python -m support.crash_runs 100 [seed]` runs this many and prints
the results.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.cli_process import command, environment, write_idx_directory

# State of every kind: momentum, a moving average, dropout, a schedule that looks at the losses, a
# best epoch before the last.
SETTINGS = (
    "--hidden", "24,16", "--epochs", "60", "--batch-size", "20", "--optimizer", "adam", "--lr",
    "0.02", "--dropout", "0.2", "--batch-normalization", "--averaging", "ema", "--lr-schedule",
    "plateau", "--set", "schedule.patience=2", "--set", "schedule.factor=0.5", "--checkpoint-every",
    "1", "--validation-fraction", "0.2", "--no-report", "--quiet",
)  # fmt: skip
# Networks for tables: embeddings, mixes, groups of rates, schedules of decay and dropout; members.
ARCHITECTURES = {
    "realmlp": ("--hidden", "24,16", "--epochs", "60", "--batch-size", "64"),
    "tabm": ("--hidden", "24,16", "--epochs", "40", "--members", "3", "--batch-size", "64"),
}
COMMON = ("--target", "sold", "--checkpoint-every", "1", "--no-report", "--quiet")
RESULTS = ("last.safetensors", "best.safetensors")


def start(*args: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(*args), env=environment(), stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=300) == 0


def digests(run: Path) -> dict[str, str]:
    return {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in RESULTS}


def wait_for_start(process: subprocess.Popen[bytes], run: Path) -> float:
    """Wait until the settings of the run are on the disk, from when on it can be resumed."""
    while not (run / "config.toml").exists():
        assert process.poll() is None
        time.sleep(0.002)
    return time.monotonic()


def uninterrupted(
    data: Path, run: Path, settings: tuple[str, ...] = SETTINGS
) -> tuple[dict[str, str], float]:
    """Train; return digests of the models and the seconds that the training took."""
    process = start("train", data, *settings, "--threads", 1, "--out", run)
    began = wait_for_start(process, run)
    finish(process)
    return digests(run), time.monotonic() - began


def killed_and_resumed(
    data: Path,
    run: Path,
    chance: random.Random,
    seconds: float,
    threads: int,
    settings: tuple[str, ...] = SETTINGS,
) -> int:
    """Train, kill up to three processes at random moments, and return the number of kills."""
    process = start("train", data, *settings, "--threads", 1, "--out", run)
    wait_for_start(process, run)
    for kills in range(3):
        time.sleep(chance.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            return kills
        assert process.returncode == -signal.SIGKILL
        process = start("train", "--resume", run, "--threads", threads, "--quiet")
        time.sleep(chance.uniform(0, 0.5))  # most of the start passes before anything can be lost
    finish(process)
    return 3


def main(count: int, seed: int) -> int:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        data = write_idx_directory(Path(folder) / "data", 600)
        expected, seconds = uninterrupted(data, Path(folder) / "expected")
        equal = kills = 0
        for number in range(count):
            run = Path(folder) / f"run-{number}"
            threads = 1 if number % 2 else 2
            kills += killed_and_resumed(data, run, chance, seconds, threads)
            same = digests(run) == expected
            equal += same
            if not same:
                print(f"run {number}, {threads} threads: DIFFERENT", flush=True)
        print(f"{equal} of {count} runs equal, {kills} kills, half with another number of threads")
        return int(equal != count)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(numbers[0] if numbers else 100, numbers[1] if len(numbers) > 1 else 0))
