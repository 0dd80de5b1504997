"""Training of the trials of a sweep, in this process or in several worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, cast

from fastmlp.callbacks import Callback, Training
from fastmlp.data import Prepared
from fastmlp.errors import DivergedError
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment, StopRule, fit, load_experiment
from fastmlp.experiment.schema import Config
from fastmlp.experiment.search import Value, changed
from fastmlp.experiment.study import Pending, Study, Trial
from fastmlp.experiment.time_limit import within_time_limit
from fastmlp.history import Record
from fastmlp.training.lbfgs import LBFGS

if TYPE_CHECKING:
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection as Connection
    else:
        from multiprocessing.connection import Connection

__all__ = ["WorkerError", "interrupts_ignored", "run_here", "run_in_processes", "trial_experiment"]

Listener = Callable[[Trial], object]
Report = Callable[[int, float], bool]
_LOOK_SECONDS = 0.2  # between looks whether another process has lost its trial


class WorkerError(RuntimeError):
    """A worker process ended before all trials were finished."""


def trial_experiment(config: Config, settings: dict[str, Value], prepared: Prepared) -> Experiment:
    """Return the experiment of a trial: `config` changed by `settings`, on the same data.

    Raises
    ------
    ValueError
        Settings contradict each other or are out of range.
    """
    experiment = Experiment(config, prepared).with_settings(changed(config, settings))
    if experiment.config.optimizer.name.lower() == "lbfgs":
        raise ValueError("optimizer.name: lbfgs has no epochs to judge a trial by")
    return experiment


class _TrialCallback(Callback):
    """A callback that reports each epoch and ends the trial when it is pruned or a run would end.

    ``status`` is "complete" or "pruned".
    """

    def __init__(self, experiment: Experiment, report: Report) -> None:
        self.status = "complete"
        self.rule = StopRule(experiment.config)
        self._report = report
        self._monitor = experiment.config.training.monitor or "loss"

    @property
    def watches(self) -> tuple[str, ...]:
        """Name of the monitored quantity, which is measured because of it."""
        return (self._monitor,)

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """Report the epoch; return True to end the trial."""
        self.rule.update(record)
        if self._report(record["epoch"], record[self._monitor]):
            # A trial in its last epoch is complete.
            if record["epoch"] < record["epochs"]:
                self.status = "pruned"
            return True
        return self.rule.is_out_of_patience() or self.rule.is_out_of_time(record)


def train_trial(experiment: Experiment, report: Report) -> str:
    """Train one trial.

    Parameters
    ----------
    experiment : Experiment
    report : callable
        Function that is called with the epoch and its monitored value; True stops the trial.

    Returns
    -------
    {"complete", "pruned", "diverged"}

    Raises
    ------
    ValueError
        A setting is out of range.
    """
    experiment, _ = within_time_limit(experiment)
    optimizer = build.optimizer(experiment.config)
    assert not isinstance(optimizer, LBFGS)
    callback = _TrialCallback(experiment, report)
    try:
        fit(experiment.new_model(), experiment, optimizer, [callback])
    except DivergedError:
        return "diverged"
    return "diverged" if callback.rule.best_value is None else callback.status


def run_here(
    config: Config, prepared: Prepared, study: Study, total: int, listener: Listener
) -> None:
    """Train in this process until there are `total` trials, also those of other processes."""
    while True:
        pending = study.draw(total)
        if pending is None:
            if not study.is_running:
                return
            time.sleep(_LOOK_SECONDS)
            continue

        def report(epoch: int, value: float, pending: Pending = pending) -> bool:
            return study.report(pending, epoch, value)

        state = train_trial(trial_experiment(config, pending.settings, prepared), report)
        listener(study.tell(pending, state))


# ---------------------------------------------------------------- processes


@dataclass(frozen=True)
class _Epoch:
    """The message of a worker after an epoch; the reply is whether to stop the trial."""

    epoch: int
    value: float


@dataclass(frozen=True)
class _End:
    """The message of a worker after a trial."""

    state: str


@dataclass(frozen=True)
class _Failure:
    """The message of a worker that ends with an error."""

    message: str
    is_setting: bool


def run_in_processes(
    config: Config, study: Study, total: int, jobs: int, listener: Listener
) -> None:
    """Train in `jobs` processes until there are `total` trials, also those of others.

    Raises
    ------
    WorkerError
        A process ended for a reason other than the settings.
    ValueError
        A setting is out of range.
    """
    with _workers(config, max(1, min(jobs, total - len(study)))) as idle:
        running: dict[Connection, Pending] = {}
        while True:
            while idle and (drawn := study.draw(total)) is not None:
                worker = idle.pop()
                running[worker] = drawn
                _send(worker, drawn.settings)
            if not running:
                if not study.is_running:
                    return
                time.sleep(_LOOK_SECONDS)
                continue
            for worker in cast("list[Connection]", wait(list(running))):
                pending, message = running[worker], _receive(worker)
                if isinstance(message, _Epoch):
                    _send(worker, study.report(pending, message.epoch, message.value))
                elif isinstance(message, _End):
                    listener(study.tell(pending, message.state))
                    del running[worker]
                    idle.append(worker)
                else:
                    raise (ValueError if message.is_setting else WorkerError)(message.message)


def _send(worker: Connection, message: object) -> None:
    # `_receive` raises the error of a worker that has ended.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        worker.send(message)


def _receive(worker: Connection) -> Any:
    try:
        return worker.recv()
    except (EOFError, ConnectionResetError):
        raise WorkerError("a process of the sweep was ended from outside") from None


@contextlib.contextmanager
def _workers(config: Config, count: int) -> Iterator[list[Connection]]:
    """Start worker processes and yield their connections; end the processes on exit."""
    # A forked process would lack the core's threads.
    context = multiprocessing.get_context("spawn")
    processes = []
    connections = []
    try:
        with interrupts_ignored():
            for _ in range(count):
                connection, other = context.Pipe()
                process = context.Process(target=_work, args=(other, config), daemon=True)
                process.start()
                other.close()  # an open copy here would hide the end of the worker
                processes.append(process)
                connections.append(connection)
        yield list(connections)
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C; processes started in the meantime inherit this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, config: Config) -> None:
    """Train the trials received from the connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends its workers
    warnings.simplefilter("ignore")  # the parent process has issued the same warnings
    try:
        prepared = load_experiment(config).prepared
        while True:
            experiment = trial_experiment(config, connection.recv(), prepared)

            def report(epoch: int, value: float) -> bool:
                connection.send(_Epoch(epoch, value))
                return bool(connection.recv())

            connection.send(_End(train_trial(experiment, report)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        is_setting = isinstance(error, (TypeError, ValueError))
        message = str(error) if is_setting else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            connection.send(_Failure(message, is_setting))
