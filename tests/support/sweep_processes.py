"""Sweeps in processes of their own: started, watched from outside, and gone at the end."""

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
def started(*args: object, cwd: Path) -> Iterator[subprocess.Popen]:
    """A sweep in a process group of its own, as a terminal starts it; nothing is left of it."""
    process = subprocess.Popen(
        command("sweep", *args), cwd=cwd, env=environment(), text=True, start_new_session=True,
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


def read_trials(process: subprocess.Popen, count: int) -> None:
    """Read what a sweep says until so many trials are done."""
    assert process.stderr is not None
    while count:
        line = process.stderr.readline()
        assert line, "the sweep ended too early"
        count -= line.startswith("trial ")


def descendants(pid: int) -> list[int]:
    """Processes below one, the resource tracker of Python among them."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in below] + [p for c in below for p in descendants(int(c))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_epochs(directory: Path, trials: int) -> None:
    """Until so many trials have measured an epoch, so that all workers are at work."""
    journal = directory / "journal.log"

    def measuring() -> bool:
        text = journal.read_text() if journal.exists() else ""
        lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return len({line["trial_id"] for line in lines if line["op_code"] == 7}) >= trials

    wait_until(measuring)


def journal_trials(directory: Path) -> dict[int, dict]:
    """Settings of the trials that are finished by the journal, read without the sweep."""
    import optuna

    storages = optuna.storages
    backend = storages.journal.JournalFileBackend(str(directory / "journal.log"))
    optuna.logging.disable_default_handler()
    study = optuna.load_study(study_name="sweep", storage=storages.JournalStorage(backend))
    return {t.user_attrs["number"]: t.params for t in study.trials if t.state.is_finished()}
