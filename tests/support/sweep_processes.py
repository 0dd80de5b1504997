"""Sweeps in child processes: starting, observing and ending them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from support.cli_process import TIMEOUT, answer_signals, command, environment


@contextlib.contextmanager
def started(*args: object, cwd: Path, name: str = "sweep") -> Iterator[subprocess.Popen]:
    """Start a command in a new process group, as a terminal does; end all its processes after."""
    process = subprocess.Popen(
        command(name, *args), cwd=cwd, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=answer_signals,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_trials(process: subprocess.Popen, count: int) -> list[str]:
    """Read the output of a sweep until `count` trials are done, and return its lines."""
    assert process.stderr is not None
    lines = []
    while count:
        lines.append(process.stderr.readline())
        assert lines[-1], "the sweep ended too early"
        count -= lines[-1].startswith("trial ")
    return lines


def descendants(pid: int) -> list[int]:
    """Return the descendants of a process, with the resource tracker of Python."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in below] + [p for c in below for p in descendants(int(c))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_epochs(directory: Path, trials: int) -> None:
    """Wait until some trials have measured an epoch, so that all workers are busy."""
    journal = directory / "journal.log"

    def measuring() -> bool:
        text = journal.read_text() if journal.exists() else ""
        lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return len({line["trial_id"] for line in lines if line["op_code"] == 7}) >= trials

    wait_until(measuring)


def journal_trials(directory: Path) -> dict[int, dict]:
    """Return the settings of the finished trials from the journal, without the sweep."""
    import optuna

    storages = optuna.storages
    backend = storages.journal.JournalFileBackend(str(directory / "journal.log"))
    optuna.logging.disable_default_handler()
    study = optuna.load_study(study_name="sweep", storage=storages.JournalStorage(backend))
    return {t.user_attrs["number"]: t.params for t in study.trials if t.state.is_finished()}
