"""Training of the folds of a cross-validation, in this process or in several worker processes.

A worker is a new interpreter that imports nothing of the program that started it, so that a script
needs no guard around its main part. It ends as soon as its parent has ended, however that was.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fastmlp.errors import DivergedError, FormatError
from fastmlp.experiment.folds import Fold, Plan, fold_experiment
from fastmlp.experiment.locking import DirectoryInUseError
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.runner import Experiment, Outcome, save_checkpoint, train
from fastmlp.experiment.trials import WorkerError, interrupts_ignored
from fastmlp.model import MLP

__all__ = ["fold_directory", "fold_model_path", "is_trained", "train_folds"]

_FINISHED = ("completed", "stopped_early", "time_limit")
# A worker whose parent was killed ends at once, but not before this can be seen.
_WAIT_SECONDS = 10.0
_START = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from fastmlp.experiment.fold_training import work; work()"
)
# What a worker writes before its answers.
_BEGIN = b"answers of a worker:\n"
# Windows lets nothing interrupt a wait without an end.
_LOOK_SECONDS = 0.1

Listener = Callable[[Fold], object]


def fold_directory(directory: Path, fold: Fold) -> RunDirectory:
    """Return the directory of a fold, which holds its checkpoints, records and model."""
    return RunDirectory(directory / "folds" / fold.name)


def fold_model_path(directory: Path, fold: Fold) -> Path:
    """Return the file of the model of a fold."""
    return fold_directory(directory, fold).path / "model.safetensors"


def is_trained(directory: Path, fold: Fold) -> bool:
    """Return whether a fold is finished."""
    return fold_directory(directory, fold).result().get("status") in _FINISHED


# ---------------------------------------------------------------- one fold


def _train_fold(plan: Plan, fold: Fold, directory: Path) -> None:
    """Train a fold to its end, from its newest checkpoint if it has one.

    Raises
    ------
    DivergedError, FormatError, OSError, TypeError, ValueError
        The training failed; the message names the fold.
    """
    run = fold_directory(directory, fold)
    run.path.mkdir(parents=True, exist_ok=True)
    with _held(run), _naming(fold):
        if is_trained(directory, fold):
            return
        run.sweep()
        checkpoint, _ = run.checkpoints.newest()
        experiment = fold_experiment(plan, fold)
        model = experiment.new_model()
        run.write_records(checkpoint.records if checkpoint is not None else [])
        outcome = Outcome()
        try:
            train(experiment, model, run, outcome, checkpoint=checkpoint)
        except BaseException as error:
            if not isinstance(error, Exception):  # a signal
                save_checkpoint(model, run, outcome)
            raise
        _write_result(plan, fold, experiment, model, run, outcome)


def _write_result(
    plan: Plan, fold: Fold, experiment: Experiment, model: MLP, run: RunDirectory, outcome: Outcome
) -> None:
    selected = "last"
    if experiment.selects_best and outcome.best_parameters is not None:
        model.set_parameters(outcome.best_parameters)
        selected = "best"
    model.save(run.path / "model.safetensors")
    content = {
        "status": outcome.status,
        "message": outcome.message,
        "selected": selected,
        "epochs": len(outcome.records),
        "best_epoch": outcome.best_epoch or None,
        "training_seconds": outcome.training_seconds,
    }
    # Written last, because it says that the model is there.
    run.write_json(run.result_path, content)
    run.checkpoints.clear()


@contextlib.contextmanager
def _held(run: RunDirectory) -> Iterator[None]:
    """Lock a fold; wait for a worker that has not yet noticed that its parent has ended."""
    deadline = time.monotonic() + _WAIT_SECONDS
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(run.locked())
                break
            except DirectoryInUseError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield


@contextlib.contextmanager
def _naming(fold: Fold) -> Iterator[None]:
    """Prepend the name of the fold to the message of an error."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"{fold.label}: {error}", error.epoch, error.step) from error
    except FormatError as error:
        raise FormatError(f"{fold.label}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{fold.label}: {error}") from error


# ---------------------------------------------------------------- all folds


def train_folds(
    plan: Plan, folds: Sequence[Fold], directory: Path, processes: int, listener: Listener
) -> None:
    """Train folds to their ends; call `listener` with each that is finished.

    The results do not depend on the number of processes.

    Raises
    ------
    WorkerError
        A process was ended from outside.
    DivergedError, FormatError, OSError, ValueError
        A training failed; finished folds stay.
    """
    processes = min(processes, len(folds))
    if processes > 1:
        _train_in_processes(plan, folds, directory, processes, listener)
        return
    for fold in folds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _train_fold(plan, fold, directory)
        listener(fold)


@dataclass(frozen=True)
class _Failure:
    """The message of a worker that ends with an error."""

    kind: str
    message: str


class _Worker:
    """A process that trains folds: it gets them by standard input and answers by standard output.

    Parameters
    ----------
    answers : queue.SimpleQueue
        Where pairs of the worker and its answer go; the last answer of a worker is `_ENDED`.
    """

    def __init__(self, answers: queue.SimpleQueue[tuple[_Worker, object]]) -> None:
        self._answers = answers
        # On Windows a new process does not ignore Ctrl-C because this one does.
        group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        command = [sys.executable, "-c", _START, *sys.path]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, creationflags=group)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, message: bytes) -> None:
        """Send a pickled object."""
        assert self._process.stdin is not None
        # The answers of a worker that has ended tell it.
        with contextlib.suppress(OSError):
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:  # what the start of the interpreter prints
                if line.endswith(_BEGIN):
                    break
            for answer in _objects(self._process.stdout):
                self._answers.put((self, answer))
        finally:
            self._answers.put((self, _ENDED))

    def end_of(self, fold: Fold) -> WorkerError:
        """Return the error of a worker that has ended while it trained a fold."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # which ends one whose answers cannot be read
        code = self._process.wait()
        how = f"ended with code {code}"
        if code < 0:
            name = signal.Signals(-code).name
            how = f"was ended by signal {-code} ({name})"
            if name == "SIGKILL":
                how += ", as the system does when memory runs out; fewer processes need less"
        return WorkerError(f"{fold.label}: its process {how}")

    def terminate(self) -> None:
        """Begin to end the process."""
        self._process.terminate()

    def close(self) -> None:
        """Wait for the end of the process."""
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):  # of what a write to an ended process left over
                stream.close()


_ENDED = object()


def _objects(stream: IO[bytes]) -> Iterator[object]:
    """Read pickled objects until the stream ends."""
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            yield pickle.load(stream)


def _train_in_processes(
    plan: Plan, folds: Sequence[Fold], directory: Path, count: int, listener: Listener
) -> None:
    waiting = list(reversed(folds))
    answers: queue.SimpleQueue[tuple[_Worker, object]] = queue.SimpleQueue()
    running: dict[_Worker, Fold] = {}
    with _workers(plan, directory, count, answers) as workers:
        for worker in workers:
            running[worker] = waiting.pop()
            worker.send(pickle.dumps(running[worker]))
        while running:
            worker, answer = _next(answers)
            if worker not in running:  # it has ended, and nothing was left to train for it
                continue
            fold = running.pop(worker)
            if answer is _ENDED:
                raise worker.end_of(fold)
            _raise_failure(answer)
            if waiting:
                running[worker] = waiting.pop()
                worker.send(pickle.dumps(running[worker]))
            listener(fold)


def _next(
    answers: queue.SimpleQueue[tuple[_Worker, object]],
) -> tuple[_Worker, object]:
    while True:
        with contextlib.suppress(queue.Empty):
            return answers.get(timeout=_LOOK_SECONDS)


def _raise_failure(message: object) -> None:
    if not isinstance(message, _Failure):
        return
    if message.kind == "DivergedError":
        raise DivergedError(message.message, 0, 0)
    kinds: dict[str, type[Exception]] = {
        "FormatError": FormatError, "OSError": OSError, "ValueError": ValueError,
    }  # fmt: skip
    raise kinds.get(message.kind, WorkerError)(message.message)


@contextlib.contextmanager
def _workers(
    plan: Plan, directory: Path, count: int, answers: queue.SimpleQueue[tuple[_Worker, object]]
) -> Iterator[list[_Worker]]:
    """Start worker processes that know the plan; end them on exit."""
    workers: list[_Worker] = []
    try:
        with interrupts_ignored():
            workers += (_Worker(answers) for _ in range(count))
        message = pickle.dumps((plan, directory))
        for worker in workers:
            worker.send(message)
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.close()


# ---------------------------------------------------------------- in a worker


def work() -> None:
    """Train the folds that come from standard input; it ends as the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends its workers
    warnings.simplefilter("ignore")  # the parent process has issued the same warnings
    answers = _taken_output()
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(messages,), daemon=True).start()
    plan, directory = messages.get()
    with contextlib.suppress(OSError):
        while True:
            pickle.dump(_attempt(plan, messages.get(), directory), answers)
            answers.flush()
    os._exit(1)


def _taken_output() -> IO[bytes]:
    """Return standard output as a stream for answers; what else is printed vanishes."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    answers.write(_BEGIN)
    return answers


def _receive(messages: queue.SimpleQueue[Any]) -> None:
    try:
        # Not through `sys.stdin`, whose lock this thread would hold at the end of the interpreter.
        with open(0, "rb", closefd=False) as stream:
            for message in _objects(stream):
                messages.put(message)
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(1)


def _attempt(plan: Plan, fold: Fold, directory: Path) -> _Failure | None:
    try:
        _train_fold(plan, fold, directory)
    except Exception as error:
        for kind in (DivergedError, FormatError, OSError, ValueError):
            if isinstance(error, kind):
                return _Failure(kind.__name__, str(error))
        return _Failure("", f"{fold.label}: {type(error).__name__}: {error}")
    return None
