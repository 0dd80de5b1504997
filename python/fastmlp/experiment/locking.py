"""Locks of directories and files; the system releases them where a process dies."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from fastmlp._locks import LockFile, NoLocksError, is_locked, try_lock
from fastmlp._system import open_flags

__all__ = [
    "LOCK_NAME",
    "DirectoryInUseError",
    "Member",
    "Turns",
    "is_empty",
    "is_in_use",
    "locked",
]

# The file that stands in a directory while it is locked.
LOCK_NAME = ".lock"
# Who looks whether a directory is locked locks it for a moment.
_LOOKED_AT_SECONDS = 0.2
_WAIT_SECONDS = 0.002
_SUFFIX = ".process"


class DirectoryInUseError(RuntimeError):
    """The directory is locked by another process."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a directory; the system releases the lock if the process dies.

    On a file system without locks the directory is not protected.

    Raises
    ------
    DirectoryInUseError
        Another process holds the lock.
    """
    lock = LockFile(directory / LOCK_NAME)
    try:
        held = lock.acquire(_LOOKED_AT_SECONDS)
    except NoLocksError:
        yield
        return
    if not held:
        raise DirectoryInUseError(f"{directory}: another process works in it")
    try:
        yield
    finally:
        lock.release()


def is_in_use(directory: Path) -> bool:
    """Whether a process has locked a directory; never on a file system without locks."""
    return is_locked(directory / LOCK_NAME)


def is_empty(directory: Path) -> bool:
    """Whether a directory holds nothing, apart from the file of its lock."""
    return all(entry.name == LOCK_NAME for entry in directory.iterdir())


class Turns:
    """A lock of a file, for which processes wait, and which its holder may acquire again.

    The file stays, because processes of several machines take turns very often: a file system may
    show one of them for some time a file that another has removed. On a file system without locks
    nobody waits.

    Parameters
    ----------
    path : pathlib.Path
        File, which is created if it does not exist, and has no other content: on Windows a locked
        file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._depth = 0

    def acquire(self) -> bool:
        """Wait for the lock; returns True, which Optuna expects."""
        if self._depth == 0:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | open_flags(), 0o666)
            try:
                while not _try(descriptor):
                    time.sleep(_WAIT_SECONDS)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        self._depth += 1
        return True

    def release(self) -> None:
        """Give up the lock, or the last of several that this process has acquired."""
        self._depth -= 1
        if self._depth == 0:
            os.close(self._descriptor)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Member:
    """This process as one of several that work in a directory and see when another ends.

    They call its methods in turns, so that none looks at a process that is about to join.

    Parameters
    ----------
    directory : pathlib.Path
        Directory in which a file stands for each process.

    Attributes
    ----------
    name : str
        Name of the process, which no other has.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.name = uuid.uuid4().hex
        self._descriptor = -1

    def join(self) -> None:
        """Begin to work in the directory."""
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_CREAT | open_flags()
            self._descriptor = os.open(self._path(self.name), flags, 0o666)
            _try(self._descriptor)

    def leave(self) -> None:
        """End the work, and remove what processes have left that were killed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        for path in self._directory.glob(f"*{_SUFFIX}"):
            if self.has_ended(path.stem):
                path.unlink(missing_ok=True)

    def has_ended(self, name: str) -> bool:
        """Whether a process, by its name, works no more."""
        if name == self.name:
            return self._descriptor < 0
        try:
            descriptor = os.open(self._path(name), os.O_RDWR | open_flags())
        except FileNotFoundError:
            return True
        try:
            return _try(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"


def _try(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except NoLocksError:
        return True
