"""The parent process of the workers: it starts them, calls them in turn, and collects the times.

Only one worker computes at a time. Engines alternate turn by turn, so that other load on the
machine affects all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp import _core
from fastmlp.bench.engines import ENGINES, OWN
from fastmlp.bench.worker import CHECKED_EPOCHS, PEAKS
from fastmlp.bench.workloads import ALL, SEED, Start, Workload, mean_loss
from fastmlp.model import MLP

__all__ = [
    "Process",
    "Row",
    "Settings",
    "WorkerError",
    "WorkloadResult",
    "draw_start",
    "run_workload",
]

READY_SECONDS = 600.0  # limit for importing, compiling and training the checked epochs
TURN_SECONDS = 120.0  # limit for a turn beyond its expected length
CLOSE_SECONDS = 5.0
PAUSE_SECONDS = 0.15  # OpenBLAS threads spin for 0.1 s after their last task

Say = Callable[[str], object]


class WorkerError(Exception):
    """A worker ended, reported an exception or did not answer in time."""


class Process:
    """A child process that answers each line on its standard input with a line of JSON.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        # In its own session, on Windows in its own group, the child receives no Ctrl-C; the parent
        # ends its processes.
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            encoding="utf-8", start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def ask(self, line: str, timeout: float) -> dict[str, Any]:
        """Send a line and return the answer to it."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` raises a more precise error
            self._child.stdin.write(f"{line}\n")
            self._child.stdin.flush()
        return self.answer(timeout)

    def answer(self, timeout: float) -> dict[str, Any]:
        """Wait for the next answer.

        Raises
        ------
        WorkerError
            The answer is missing, or it is an error.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise WorkerError(f"no answer within {timeout:.3g} s") from None
        if line is None:
            raise WorkerError(self._cause_of_end())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(str(answer["error"]))
        return answer

    def _cause_of_end(self) -> str:
        code = self._child.wait()
        end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{end}: {last}" if last else end

    def close(self) -> None:
        """End the child and all processes it started; it may have ended already."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":  # which ends no group
                self._child.kill()
            else:
                os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait(CLOSE_SECONDS)
        self._reader.join(CLOSE_SECONDS)
        self._child.stdout.close()
        self._errors.close()


@dataclass(frozen=True)
class Settings:
    """The settings of `fastmlp bench`.

    Parameters
    ----------
    engines : tuple of str
        Names of engines in `ENGINES`.
    threads : tuple of int
        Numbers of threads; each engine runs once with each. With 0 fastmlp chooses the number, and
        the other engines are skipped.
    rounds : int
        Number of turns of each worker.
    seconds : float
        Intended length of a turn in seconds; at least one epoch is trained.
    """

    engines: tuple[str, ...]
    threads: tuple[int, ...]
    rounds: int = 5
    seconds: float = 0.3


@dataclass
class Row:
    """The results of one engine with one number of threads."""

    engine: str
    requested: int  # number of threads; 0 lets fastmlp choose
    threads: int | None = None
    version: str | None = None
    loss: float | None = None
    epochs: int = 0  # epochs per turn
    seconds: list[float] = field(default_factory=list)
    error: str | None = None

    @property
    def label(self) -> str:
        """The name of the row in messages."""
        count = "auto" if self.requested == 0 else self.requested
        return f"{self.engine}, {count} thread{'' if count == 1 else 's'}"


@dataclass
class WorkloadResult:
    """All rows of a workload.

    `peaks` maps types of arithmetic and numbers of threads to flop/s, one value per round.
    """

    name: str
    workload: Workload
    initial_loss: float
    rows: list[Row]
    peaks: dict[tuple[str, int], list[float]] = field(default_factory=dict)


def run_workload(name: str, settings: Settings, say: Say = lambda _line: None) -> WorkloadResult:
    """Time a workload.

    Parameters
    ----------
    name : str
        Name of a workload.
    settings : Settings
        Engines, threads, rounds and the length of a turn.
    say : callable
        Function that is called with a line of text at the start of each worker and round.

    Returns
    -------
    WorkloadResult
        Result with a row for every engine and number of threads. If an engine failed, ``error`` of
        its row is the reason.
    """
    workload = ALL[name]
    rows = [
        Row(engine, threads)
        for engine in settings.engines
        for threads in settings.threads
        if threads or engine.startswith(OWN)
        if workload.dtype == "float32" or not ENGINES[engine].bfloat16
    ]
    start = draw_start(workload, workload.steps * workload.batch, CHECKED_EPOCHS, SEED)
    result = WorkloadResult(name, workload, mean_loss(workload, start.parameters), rows)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastmlp-bench-"))
        path = Path(directory) / "start.npz"
        start.save(path)
        workers: list[tuple[Row, Process]] = []
        for row in rows:
            say(f"{name}: {row.label}: starting")
            process = stack.enter_context(_worker(row.engine, name, row.requested, path))
            with _failure(row, say):
                _prepare(row, process, settings.seconds)
                workers.append((row, process))
        peaks = {
            (dtype, threads): stack.enter_context(_worker(PEAKS[dtype], name, threads, path))
            for dtype, threads in sorted(
                {
                    (ENGINES[row.engine].compute_dtype(workload), row.threads)
                    for row, _ in workers
                    if row.threads
                }
            )
        }
        for peak, process in peaks.items():
            process.answer(READY_SECONDS)
            result.peaks[peak] = []
        for turn in range(settings.rounds):
            say(f"{name}: round {turn + 1} of {settings.rounds}")
            for row, process in workers:
                if row.error is None:
                    with _failure(row, say):
                        limit = TURN_SECONDS + 10 * max([settings.seconds, *row.seconds])
                        time.sleep(PAUSE_SECONDS)
                        row.seconds.append(process.ask(str(row.epochs), limit)["seconds"])
            for peak, process in peaks.items():
                time.sleep(PAUSE_SECONDS)
                answer = process.ask(str(settings.seconds), TURN_SECONDS + settings.seconds)
                result.peaks[peak].append(answer["flops"])
    return result


def draw_start(workload: Workload, samples: int, epochs: int, seed: int) -> Start:
    """Draw the initial parameters of `fastmlp.MLP` and the orders of its epochs from a seed."""
    model = MLP(
        workload.layers, activation=workload.activation, seed=seed, dtype=workload.dtype,
        loss=workload.loss,
    )  # fmt: skip
    return Start(
        [np.array(array) for array in model.weights],
        [np.array(array) for array in model.biases],
        np.stack([_core.permutation(samples, seed, epoch) for epoch in range(epochs)]),
        seed,
    )


@contextlib.contextmanager
def _worker(engine: str, workload: str, threads: int, start: Path) -> Iterator[Process]:
    arguments = [engine, workload, str(threads), os.fspath(start)]
    process = Process([sys.executable, "-m", "fastmlp.bench.worker", *arguments])
    try:
        yield process
    finally:
        process.close()


def _prepare(row: Row, process: Process, seconds: float) -> None:
    """Wait until a worker is ready, and set the number of epochs of a turn."""
    ready = process.answer(READY_SECONDS)
    row.threads, row.version, row.loss = ready["threads"], ready["version"], ready["loss"]
    trial = process.ask("1", READY_SECONDS)["seconds"]
    row.epochs = max(1, round(seconds / trial))


@contextlib.contextmanager
def _failure(row: Row, say: Say) -> Iterator[None]:
    """Record the failure of a worker in its row, so that the others continue."""
    try:
        yield
    except WorkerError as error:
        row.error = str(error)
        say(f"{row.label}: failed: {error}")
