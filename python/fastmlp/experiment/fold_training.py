"""Training of the folds of a cross-validation, in this process or in several worker processes.

A worker is a new interpreter that imports nothing of the program that started it, so that a script
needs no guard around its main part. It ends as soon as its parent has ended, however that was.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

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
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from fastmlp.experiment.fold_training import work; work(int(sys.argv[1]))"
)

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


@dataclass(frozen=True)
class _Worker:
    """A process and the connection to it; its standard input ends when this process ends."""

    process: subprocess.Popen[bytes]
    connection: Connection


def _train_in_processes(
    plan: Plan, folds: Sequence[Fold], directory: Path, count: int, listener: Listener
) -> None:
    waiting = list(reversed(folds))
    with _workers(plan, directory, count) as workers:
        idle = {worker.connection: worker for worker in workers}
        running: dict[Connection, Fold] = {}
        while waiting or running:
            for connection in list(idle):
                if waiting and connection not in running:
                    running[connection] = waiting.pop()
                    _send(connection, running[connection])
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                fold = running[ready]
                _raise_failure(_receive(idle[ready], fold))
                del running[ready]
                listener(fold)


def _send(connection: Connection, message: object) -> None:
    # `_receive` raises the error of a worker that has ended.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(message)


def _receive(worker: _Worker, fold: Fold) -> object:
    try:
        return worker.connection.recv()
    except (EOFError, ConnectionResetError):
        code = worker.process.wait()
    how = f"ended with code {code}"
    if code < 0:
        how = f"was ended by signal {-code} ({signal.Signals(-code).name})"
        if code == -signal.SIGKILL:
            how += ", as the system does when memory runs out; fewer processes need less"
    raise WorkerError(f"{fold.label}: its process {how}")


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
def _workers(plan: Plan, directory: Path, count: int) -> Iterator[list[_Worker]]:
    """Start worker processes that know the plan; end them on exit."""
    workers: list[_Worker] = []
    try:
        with interrupts_ignored():
            workers += (_started() for _ in range(count))
        for worker in workers:
            _send(worker.connection, (plan, directory))
        yield workers
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.wait()
            assert worker.process.stdin is not None
            worker.process.stdin.close()


def _started() -> _Worker:
    connection, other = Pipe()
    descriptor = other.fileno()
    process = subprocess.Popen(
        [sys.executable, "-c", _START, str(descriptor), *sys.path],
        pass_fds=(descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    other.close()  # an open copy here would hide the end of the worker
    return _Worker(process, connection)


# ---------------------------------------------------------------- in a worker


def work(descriptor: int) -> None:
    """Train the folds that are received from a connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # the parent process has issued the same warnings
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        plan, directory = connection.recv()
        while True:
            connection.send(_attempt(plan, connection.recv(), directory))


def _attempt(plan: Plan, fold: Fold, directory: Path) -> _Failure | None:
    try:
        _train_fold(plan, fold, directory)
    except Exception as error:
        for kind in (DivergedError, FormatError, OSError, ValueError):
            if isinstance(error, kind):
                return _Failure(kind.__name__, str(error))
        return _Failure("", f"{fold.label}: {type(error).__name__}: {error}")
    return None


def _end_with_parent() -> None:
    """End the process when its standard input ends, as it does with the parent process."""
    # Not through `sys.stdin`, whose lock this thread would hold at the end of the interpreter.
    while os.read(0, 4096):
        pass
    os._exit(1)
