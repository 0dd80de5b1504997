"""What survives: kills at random moments, faults of the disk at every call of a save."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastmlp.experiment.checkpoint import Checkpoint, CheckpointStore
from support.cli_process import answer_signals, command, environment, write_idx_directory
from support.crash_runs import (
    ARCHITECTURES,
    COMMON,
    SETTINGS,
    digests,
    finish,
    killed_and_resumed,
    start,
    uninterrupted,
    wait_for_start,
)
from support.paths import TESTS
from support.small_checkpoint import checkpoint_of

STRACE = shutil.which("strace")


def can_trace() -> bool:
    if STRACE is None:
        return False
    done = subprocess.run([STRACE, "-o", os.devnull, "true"], capture_output=True, check=False)
    return done.returncode == 0


def test_killed_trainings_end_as_uninterrupted_ones(tmp_path):
    data = write_idx_directory(tmp_path / "data", 600)
    expected, seconds = uninterrupted(data, tmp_path / "expected")
    chance = random.Random(1)
    for number, threads in enumerate((2, 1)):
        run = tmp_path / f"run-{number}"
        killed_and_resumed(data, run, chance, seconds, threads)
        assert digests(run) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_killed_trainings_of_networks_for_tables_end_as_uninterrupted_ones(tmp_path, architecture):
    pytest.importorskip("polars")
    chance = random.Random(2)
    lines = ["size,town,code,sold"]
    for _ in range(400):
        size, town = chance.gauss(0, 1), chance.choice("ABC")
        sold = size + (town == "C") + chance.gauss(0, 0.5) > 0.3
        lines.append(
            f"{size if chance.random() < 0.9 else ''},{town},c{chance.randrange(12)},{sold}"
        )
    data = tmp_path / "flats.csv"
    data.write_text("\n".join(lines) + "\n")
    settings = ("--architecture", architecture, *ARCHITECTURES[architecture], *COMMON)
    expected, seconds = uninterrupted(data, tmp_path / "expected", settings)
    for number, threads in enumerate((2, 1)):
        run = tmp_path / f"run-{number}"
        killed_and_resumed(data, run, chance, seconds, threads, settings)
        assert digests(run) == expected


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_was_asked_to_end_is_resumed_to_the_same_bits(tmp_path, number, code):
    data = write_idx_directory(tmp_path / "data", 600)
    expected, _ = uninterrupted(data, tmp_path / "expected")
    run = tmp_path / "run"
    process = subprocess.Popen(
        command("train", data, *SETTINGS, "--out", run), env=environment(),
        stderr=subprocess.PIPE, preexec_fn=answer_signals,
    )  # fmt: skip
    wait_for_start(process, run)
    while not list(run.glob("checkpoints/epoch-*")):
        assert process.poll() is None
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == code, message
    assert f"--resume {run}" in message.decode()
    assert (run / "last.safetensors").exists()
    status = json.loads((run / "result.json").read_text())["status"]
    assert status == ("interrupted" if number == signal.SIGINT else "terminated")
    finish(start("train", "--resume", run, "--threads", 2, "--quiet"))
    assert digests(run) == expected
    assert json.loads((run / "result.json").read_text())["status"] == "completed"


def test_what_a_signal_cuts_off_goes_on_from_there(tmp_path):
    """Without a checkpoint of its own accord: the signal writes one."""
    data = write_idx_directory(tmp_path / "data", 600)
    expected, seconds = uninterrupted(data, tmp_path / "expected")
    kept = 0
    for attempt in range(12):
        run, records = tmp_path / f"run-{attempt}", 1 + attempt
        process = start("train", data, *SETTINGS, "--checkpoint-every", 1000, "--out", run)
        wait_for_start(process, run)
        metrics = run / "metrics.jsonl"
        while not metrics.exists() or len(metrics.read_text().splitlines()) < records:
            assert process.poll() is None
        time.sleep(random.random() * seconds / 50)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
        newest, problems = CheckpointStore(run / "checkpoints").newest()
        assert not problems
        finished = len(metrics.read_text().splitlines())
        if newest is not None:
            assert newest.epoch == finished
            kept += 1
        finish(start("train", "--resume", run, "--quiet"))
        assert digests(run) == expected
        if kept == 2:
            break
    # A signal between the end of an epoch and its record writes none: others have to.
    assert kept == 2


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    data = write_idx_directory(tmp_path / "data", 600)
    run = tmp_path / "run"
    process = start("train", data, *SETTINGS, "--epochs", 100000, "--out", run)
    wait_for_start(process, run)
    second = subprocess.run(
        command("train", "--resume", run), env=environment(), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    overwriting = subprocess.run(
        command("train", data, *SETTINGS, "--out", run, "--overwrite"), env=environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    process.kill()
    process.wait()
    for refused in (second, overwriting):
        assert refused.returncode == 2
        assert "another process" in refused.stderr
    assert (run / "config.toml").exists()
    assert CheckpointStore(run / "checkpoints").newest()[0] is not None


def test_changed_data_is_refused(tmp_path):
    data = write_idx_directory(tmp_path / "data", 600)
    run = tmp_path / "run"
    process = start("train", data, *SETTINGS, "--epochs", 100000, "--out", run)
    wait_for_start(process, run)
    process.kill()
    process.wait()
    labels = data / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + bytes([0]))
    resumed = subprocess.run(
        command("train", "--resume", run), env=environment(), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert resumed.returncode == 3
    assert "train-labels-idx1-ubyte" in resumed.stderr


# ---------------------------------------------------------------- faults of the disk

# Two generations are on the disk; the third is written under faults, and the oldest pruned.
SAVE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.small_checkpoint import checkpoint_of
from fastmlp.experiment.checkpoint import CheckpointStore
CheckpointStore(Path(sys.argv[1])).write(checkpoint_of(3))
print("saved")
"""
FAULTS = {
    "write": ("error=ENOSPC", "error=EIO", "signal=KILL"),
    "fsync": ("error=EIO", "error=ENOSPC", "signal=KILL"),
    "rename": ("error=EIO", "error=ENOSPC", "signal=KILL"),
    "unlink": ("error=EIO", "signal=KILL"),
}


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return one.records == other.records and all(
        np.array_equal(one.parameters[name], other.parameters[name]) for name in one.parameters
    )


@pytest.fixture(scope="module")
def generations(tmp_path_factory):
    """A directory with checkpoints of epochs 1 and 2, and the checkpoints of epochs 1 to 3."""
    directory = tmp_path_factory.mktemp("generations") / "checkpoints"
    checkpoints = [checkpoint_of(epochs) for epochs in (1, 2, 3)]
    for checkpoint in checkpoints[:2]:
        CheckpointStore(directory).write(checkpoint)
    return directory, checkpoints


def save_under(fault: str, call: str, number: int, directory: Path, log: Path):
    """The third save in a process of its own, with a fault at the n-th such call."""
    # Names of one call on different machines; the leading % stands for a class in strace.
    calls = {"rename": "rename,renameat,renameat2", "unlink": "unlink,unlinkat"}.get(call, call)
    script = SAVE.format(tests=str(TESTS))
    return subprocess.run(
        [
            STRACE, "-f", "-o", log, "-e", f"trace={calls}",
            "-e", f"inject={calls}:{fault}:when={number}",
            sys.executable, "-c", script, directory,
        ],
        env=environment(PYTHONDONTWRITEBYTECODE="1"), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


@pytest.mark.skipif(not can_trace(), reason="needs strace and the right to use it")
@pytest.mark.parametrize("call", FAULTS)
def test_a_fault_at_any_call_of_a_save_leaves_a_valid_checkpoint(generations, tmp_path, call):
    source, checkpoints = generations
    points = 0
    for fault in FAULTS[call]:
        for number in range(1, 20):
            directory = tmp_path / f"{fault}-{number}" / "checkpoints"
            shutil.copytree(source, directory)
            log = tmp_path / "log"
            done = save_under(fault, call, number, directory, log)
            if not re.search(r"INJECTED|SIGKILL", log.read_text()):
                assert done.stdout == "saved\n", done.stderr
                break
            points += 1
            found, problems = CheckpointStore(directory).newest()
            assert problems == []
            assert found is not None
            # Old or new, never anything else; new wherever the process says that it is saved.
            assert same(found, checkpoints[found.epoch - 1])
            assert found.epoch in (2, 3)
            # The last write is that of the word.
            if "saved" in done.stdout:
                assert found.epoch == 3
            # What a killed process left is no checkpoint, and is swept by the next owner.
            CheckpointStore(directory).sweep()
            assert not [name for name in os.listdir(directory) if name.startswith(".")]
        else:
            pytest.fail("the calls of a save never end")
    print(f"{call}: {points} faults at every call, a valid checkpoint each time")
    assert points >= len(FAULTS[call])


def test_a_full_disk_ends_with_an_error_and_keeps_the_checkpoint(tmp_path):
    """A file size limit stands in for a disk without space: write() fails in the same way."""
    limit = (
        "import resource, runpy, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        "from fastmlp.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    data = write_idx_directory(tmp_path / "data", 400)
    args = [
        "train", data, "--hidden", "8", "--epochs", "400", "--checkpoint-every", "1", "--quiet",
        "--no-report", "--out", tmp_path / "run",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", limit, *map(str, args)],
        env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "--resume" in done.stderr
    found, problems = CheckpointStore(tmp_path / "run" / "checkpoints").newest()
    assert found is not None
    assert problems == []
