"""Ctrl-C at any moment of a command: the exit code, one line, and nothing left behind.

A longer run draws more moments: FASTMLP_CTRL_C=400 pytest tests/process/test_ctrl_c.py
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fastmlp.experiment.rundir import RunDirectory
from support.cli_process import TIMEOUT, answer_signals, environment, run
from support.systems import needs_kill

pytestmark = needs_kill

COUNT = int(os.environ.get("FASTMLP_CTRL_C", "11"))
SEED = int(os.environ.get("FASTMLP_CTRL_C_SEED", time.time_ns() % 2**32))
ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
COMMANDS = [
    ["train", "flowers.csv", "--target", "kind", "--epochs", "40", "--architecture", "mlp"],
    ["export", "runs/001-flowers", "-o", "flowers.onnx"],
    ["export", "runs/001-flowers", "-o", "flowers.h", "--json"],
    ["predict", "runs/001-flowers", "flowers.csv", "-o", "answers.csv"],
    ["evaluate", "runs/001-flowers"],
    ["plot", "runs/001-flowers", "loss", "-o", "loss.svg"],
    ["report", "runs/001-flowers"],
    ["cv", "flowers.csv", "--target", "kind", "--epochs", "5", "--architecture", "mlp"],
    ["runs", "list"],
    ["train", "--help"],
    ["trian"],
]
# Files that a command must not leave unless it says that it has finished.
RESULTS = ("flowers.onnx", "flowers.h", "answers.csv", "loss.svg")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A directory with a table and a run on it."""
    directory = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(3)
    kinds = np.arange(120) % 3
    x = rng.normal(kinds[:, None], 1.0, (120, 3))
    rows = [f"{a:.3f},{b:.3f},{c:.3f},{'uvw'[k]}" for (a, b, c), k in zip(x, kinds, strict=True)]
    (directory / "flowers.csv").write_text("a,b,c,kind\n" + "\n".join(rows) + "\n")
    done = run(*COMMANDS[0], "--no-report", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module")
def seconds(work):
    """Seconds that each command takes when no signal ends it."""
    taken = []
    for arguments in COMMANDS:
        began = time.monotonic()
        start(arguments, work).communicate(timeout=TIMEOUT)
        taken.append(time.monotonic() - began)
    remove_results(work)
    return taken


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def start(arguments: list[str], directory: Path) -> subprocess.Popen:
    temporary = directory / "temporary"
    temporary.mkdir(exist_ok=True)
    # What pip installs for the entry point; `python -m` runs more of Python's code before ours.
    program = "import sys; from fastmlp.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=directory, env=environment(TMPDIR=str(temporary)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=answer_signals, start_new_session=True,
    )  # fmt: skip


def remove_results(directory: Path) -> None:
    for name in RESULTS:
        (directory / name).unlink(missing_ok=True)


def is_before_main(code: int, stderr: str) -> bool:
    """Whether Python, which answers until `main` has begun, ended the process in its own way."""
    in_main = re.search(r'cli/__init__\.py", line \d+, in main', stderr)
    by_default = code in (-signal.SIGINT, -signal.SIGTERM)
    return by_default or ("KeyboardInterrupt" in stderr and not in_main)


def check(arguments: list[str], directory: Path, number: signal.Signals, delay: float) -> str:
    """Send a signal after a delay and return what became of the command."""
    remove_results(directory)
    process = start(arguments, directory)
    time.sleep(delay)
    os.killpg(process.pid, number) if process.poll() is None else None
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    code, word = ENDS[number]
    where = f"seed {SEED}: {' '.join(arguments)}, {number.name} after {delay:.4f} s"
    said = f"{where}: exit {process.returncode}\n{stdout}\n{stderr}"
    for path in files(directory):
        assert ".tmp." not in path, f"{path} was left: {said}"
        assert not path.startswith("temporary/fastmlp-"), f"{path} was left: {said}"
    if is_before_main(process.returncode, stderr):
        assert not stdout, said
        return "before main"
    assert "Traceback" not in stderr, said
    assert "ignored" not in stderr, said
    assert "unexpected" not in stderr, said
    told = [line for line in stderr.splitlines() if word in line]
    if process.returncode == code:
        assert len(told) == 1, said
        assert re.match(rf"fastmlp: {word}( \(.*\))?$", told[0]), said
        for name in RESULTS:
            assert not (directory / name).exists(), f"{name} was left: {said}"
        return "ended"
    assert process.returncode == (2 if arguments == ["trian"] else 0), said
    assert not told, said
    expected = [name for name in RESULTS if name in arguments]
    assert all((directory / name).exists() for name in expected), said
    return "finished"


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_at_any_moment(work, seconds, number):
    chance = random.Random(SEED)
    counts: Counter[str] = Counter()
    count = round(COUNT * (1.0 if number is signal.SIGINT else 0.3))
    # A machine that changes its speed may finish every command first: then more are drawn.
    while counts.total() < count or (not counts["ended"] and counts.total() < 10 * count):
        index = (counts.total() + SEED) % len(COMMANDS)
        delay = chance.uniform(0.0, 1.1 * seconds[index])
        counts[check(COMMANDS[index], work, number, delay)] += 1
    print(f"seed {SEED}, {number.name}: {dict(counts)}")
    assert counts["ended"], counts


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.mark.parametrize("number", [*ENDS] * max(1, COUNT // 16))
def test_a_second_signal_ends_a_training_that_saves(work, tmp_path, number):
    """The second one comes while the checkpoint of the first is written; the older one stays."""
    run_directory = tmp_path / "run"
    checkpoints = run_directory / "checkpoints"
    process = start(
        ["train", "flowers.csv", "--target", "kind", "--epochs", "100000", "--hidden", "2500,2500",
         "--architecture", "mlp", "--checkpoint-every", "1", "--no-report",
         "--out", str(run_directory)],
        work,
    )  # fmt: skip
    wait_for(lambda: len(list(checkpoints.glob("[!.]*"))) >= 2, process)
    os.killpg(process.pid, number)
    delay = 0.15 * random.random() ** 3  # both may end the process, so short ones count
    time.sleep(delay)
    sent = time.perf_counter()
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=TIMEOUT)
    code, word = ENDS[number]
    print(f"{number.name} after {delay:.3f} s: {time.perf_counter() - sent:.3f} s to the end")
    assert process.returncode == code, stderr
    assert len([line for line in stderr.splitlines() if word in line]) == 1, stderr
    assert "Traceback" not in stderr
    assert not [path for path in files(run_directory) if ".tmp." in path]
    checkpoint, problems = RunDirectory.open(run_directory).checkpoints.newest()
    assert not problems
    assert checkpoint is not None
    assert checkpoint.epoch >= 1


TWO_SIGNALS = """
import os, random, signal, sys, time
from fastmlp.cli.signals import Signals, Terminated

chance = random.Random(int(sys.argv[1]))
for attempt in range(300):
    reader, writer = os.pipe()
    begun, begins = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 2)
        for end in (reader, writer):
            os.close(end)
        signals, code = Signals(), 0
        signals.answer()
        signals.start()
        try:
            os.write(begins, b".")
            while True:
                sum(range(1000))
        except Terminated as error:
            code = signals.failed(error)
        os._exit(code)
    os.close(writer)
    os.read(begun, 1)
    os.kill(child, signal.SIGTERM)
    pause = time.perf_counter() + chance.uniform(0, 3e-4)
    while time.perf_counter() < pause:
        pass
    os.kill(child, signal.SIGTERM)
    said = os.read(reader, 1000) + os.read(reader, 1000)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert (status, said) == (143, b"fastmlp: terminated\\n"), (attempt, status, said)
    for end in (reader, begun, begins):
        os.close(end)
"""


def test_two_signals_at_once_are_told_once():
    """The thread that counts signals and the handler may both end the process."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_SIGNALS, str(SEED)], env=environment(), capture_output=True,
        text=True, timeout=TIMEOUT, preexec_fn=answer_signals,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {SEED}: {done.stderr}"


# ---------------------------------------------------------------- closed pipes


@pytest.mark.parametrize(
    "arguments",
    [["data", "list"], ["runs", "list", "--json"], ["train", "--help"], ["--help"],
     ["evaluate", "runs/001-flowers"], ["info"]],
    ids=" ".join,
)  # fmt: skip
def test_an_output_that_nobody_reads_is_no_error(work, arguments):
    """`fastmlp data list | head -0` ends as if SIGPIPE had: silently, with 141."""
    with start(arguments, work) as process:
        process.stdout.close()
        stderr = process.stderr.read()
    assert process.returncode == 141, stderr
    assert "fastmlp:" not in stderr
    assert "Traceback" not in stderr


def test_a_training_goes_on_when_nobody_reads_its_progress(work, tmp_path):
    command = [*COMMANDS[0], "--no-report", "--out", str(tmp_path / "run")]
    with start(command, work) as process:
        process.stderr.close()
        stdout = process.stdout.read()
    assert process.returncode == 0
    assert "test accuracy" in stdout


def test_the_end_of_python_takes_no_alarm_of_a_signal_that_was_put_off():
    code = (
        "import atexit, time\n"
        "from fastmlp.cli.signals import Signals\n"
        "atexit.register(time.sleep, 0.2)\n"  # runs after what is registered later
        "signals = Signals()\n"
        "signals.answer()\n"
        "signals._later()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), timeout=TIMEOUT)
    assert done.returncode == 0
