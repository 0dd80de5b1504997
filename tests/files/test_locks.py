"""Locks between processes: who holds one, who looks, and what is left when a process ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from fastmlp._files import sweep
from fastmlp._locks import LockFile, NoLocksError, is_locked, try_lock
from fastmlp.experiment.locking import LOCK_NAME, DirectoryInUseError, is_empty, is_in_use, locked
from support.systems import needs_fork, needs_proc

TIMEOUT = 120
HOLD = """
import sys, time
from fastmlp._locks import LockFile
assert LockFile(sys.argv[1]).acquire(0)
print("held", flush=True)
time.sleep(600)
"""
# Counts how often two processes hold the lock at once: each finds its own number again.
TAKE_TURNS = """
import pathlib, sys, time
from fastmlp._locks import LockFile
lock, number, name = LockFile(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
for _ in range(300):
    assert lock.acquire(60)
    number.write_text(name)
    time.sleep(0.0002)
    assert number.read_text() == name, "two hold the lock"
    lock.release()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.kill()
    process.communicate(timeout=TIMEOUT)


def test_one_holds_it_and_removes_it(path):
    lock = LockFile(path)
    assert lock.acquire(0)
    assert path.exists()
    assert not LockFile(path).acquire(0)
    lock.release()
    assert not path.exists()
    assert LockFile(path).acquire(0)


def test_a_killed_process_holds_it_no_more(path):
    process = holder(path)
    assert is_locked(path)
    assert not LockFile(path).acquire(0)
    end(process)
    assert path.exists()
    assert not is_locked(path)
    lock = LockFile(path)
    assert lock.acquire(0)
    lock.release()
    assert not path.exists()


def test_processes_take_turns(path, tmp_path):
    arguments = [sys.executable, "-c", TAKE_TURNS, str(path), str(tmp_path / "number")]
    processes = [
        subprocess.Popen([*arguments, name], stderr=subprocess.PIPE, text=True) for name in "abc"
    ]
    problems = [process.communicate(timeout=TIMEOUT)[1] for process in processes]
    assert problems == ["", "", ""]
    assert not path.exists()


def test_waiting_ends_with_the_holder(path):
    lock = LockFile(path)
    assert lock.acquire(0)
    begun = time.monotonic()
    assert not LockFile(path).acquire(0.3)
    assert 0.3 <= time.monotonic() - begun < 10
    threading.Timer(0.2, lock.release).start()
    assert LockFile(path).acquire(60)


@needs_fork
def test_a_forked_process_leaves_the_lock_to_its_parent(path):
    lock = LockFile(path)
    assert lock.acquire(0)
    child = os.fork()
    if child == 0:
        lock.release()  # as a `finally` of the parent's work does
        os._exit(0)
    os.waitpid(child, 0)
    script = "import sys, fastmlp._locks as own; print(own.LockFile(sys.argv[1]).acquire(0))"
    shown = subprocess.run(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert shown == "False\n"
    assert path.exists()
    lock.release()


def test_the_file_of_another_holder_is_not_removed(path, tmp_path):
    """The directory of a lock may be moved and made anew while it is held."""
    lock, another = LockFile(path), LockFile(path)
    assert lock.acquire(0)
    path.rename(tmp_path / "moved")
    assert another.acquire(0)
    lock.release()
    assert path.exists()
    assert not LockFile(path).acquire(0)
    another.release()


def test_looking_makes_no_file_and_needs_no_right_to_write(path, tmp_path):
    assert not is_locked(path)
    assert not is_locked(tmp_path / "missing" / "lock")
    assert list(tmp_path.iterdir()) == []
    process = holder(path)
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert is_locked(path)
        end(process)
        assert not is_locked(path)
    finally:
        tmp_path.chmod(0o755)


def test_a_file_without_locks():
    # No descriptor of this number is open: any error but contention says that there are no locks.
    with pytest.raises(NoLocksError):
        try_lock(999_999)


def test_a_directory_without_locks_is_not_protected(tmp_path, monkeypatch):
    import filelock

    def refuse(descriptor, *, blocking):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with locked(tmp_path), locked(tmp_path):
        assert not is_in_use(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_use(tmp_path):
    assert is_empty(tmp_path)
    with locked(tmp_path):
        assert is_in_use(tmp_path)
        assert is_empty(tmp_path)
        assert [one.name for one in tmp_path.iterdir()] == [LOCK_NAME]
        with pytest.raises(DirectoryInUseError, match="another process works in it"):
            locked(tmp_path).__enter__()
    assert not is_in_use(tmp_path)
    (tmp_path / "file").touch()
    assert not is_empty(tmp_path)


def test_a_sweep_keeps_the_file_of_a_writer_that_lives_elsewhere(tmp_path):
    """A process of another machine, whose number tells nothing here, but which holds its lock."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    temporary = tmp_path / f".file.tmp.{ended.pid}.0123456789ab"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT)
    assert try_lock(descriptor)
    sweep(tmp_path)
    assert temporary.exists()
    os.close(descriptor)
    sweep(tmp_path)
    assert not temporary.exists()


@needs_proc
def test_no_descriptor_is_left(path):
    def count():
        return len(os.listdir("/proc/self/fd"))

    lock = LockFile(path)
    assert lock.acquire(0)
    before = count()
    for _ in range(20):
        assert not LockFile(path).acquire(0)
        assert is_locked(path)
    assert count() == before
    lock.release()
    assert count() == before - 1
