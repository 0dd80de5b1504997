"""Locks between processes; the system releases those of a process that ends, however it ends.

A lock belongs to an open file. A lock file exists only to be locked: its holder creates it and
removes it. Whoever only looks creates nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from fastmlp._system import open_flags, while_in_use

__all__ = ["LockFile", "NoLocksError", "is_locked", "try_lock"]

_AGAIN_SECONDS = 0.005
# Who looks holds the lock for some microseconds.
_LOOK_SECONDS = 0.05


class NoLocksError(OSError):
    """The file system has no locks."""


def try_lock(descriptor: int) -> bool:
    """Lock an open file, without waiting; False where it is locked already.

    The lock ends when the descriptor and its copies in forked processes are closed.

    Raises
    ------
    NoLocksError
        The file system has no locks.
    """
    from filelock import lock_descriptor  # needed by writers only, and slow to load

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        raise NoLocksError(error.errno, error.strerror) from error


class LockFile:
    """A file that at most one process has created and locked.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Its directory must exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._descriptor = -1
        self._process = 0

    def acquire(self, seconds: float) -> bool:
        """Create and lock the file; False if another process holds it for longer than this.

        Raises
        ------
        NoLocksError
            The file system has no locks.
        OSError
            The file cannot be created.
        """
        deadline = time.monotonic() + seconds
        while not self._try():
            if time.monotonic() > deadline:
                return False
            time.sleep(_AGAIN_SECONDS)
        return True

    def release(self) -> None:
        """Remove the file and unlock it; a forked process does not do that to its parent."""
        is_own = os.getpid() == self._process
        if sys.platform == "win32":  # removes no open file, so that of another holder stays
            os.close(self._descriptor)
            if is_own:
                with contextlib.suppress(OSError):
                    while_in_use(self._remove, _LOOK_SECONDS)
            return
        # While it is locked: who has opened it in the meantime sees that it is gone.
        if is_own and self._is_current(self._descriptor):
            self._remove_quietly()
        os.close(self._descriptor)

    def _try(self) -> bool:
        descriptor = self._open()
        try:
            taken = try_lock(descriptor) and self._is_current(descriptor)
        except NoLocksError:
            os.close(descriptor)
            self._remove_quietly()
            raise
        except BaseException:
            os.close(descriptor)
            raise
        if not taken:
            os.close(descriptor)
            return False
        self._descriptor, self._process = descriptor, os.getpid()
        return True

    def _open(self) -> int:
        # A FIFO of this name must not block.
        flags = os.O_RDWR | os.O_CREAT | open_flags("O_NOFOLLOW", "O_NONBLOCK")
        if sys.platform == "win32":  # refuses a name whose file is just being removed
            return while_in_use(lambda: os.open(self._path, flags, 0o666))
        return os.open(self._path, flags, 0o666)

    def _is_current(self, descriptor: int) -> bool:
        """Whether the open file is still that of the name, which a holder removes at its end."""
        if sys.platform == "win32":  # an open file keeps its name
            return True
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except OSError:
            return False

    def _remove(self) -> None:
        os.unlink(self._path)

    def _remove_quietly(self) -> None:
        with contextlib.suppress(OSError):
            self._remove()


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether a process holds a `LockFile`; never on a file system without locks.

    What is no file that can be read, such as a link or a directory of this name, is not held.
    """
    try:
        # NFS wants a file that can be written; otherwise it is enough that it can be read.
        access = os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY
        descriptor = os.open(path, access | open_flags("O_NOFOLLOW", "O_NONBLOCK"))
    except OSError:
        return False
    try:
        deadline = time.monotonic() + _LOOK_SECONDS
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                return True
            time.sleep(_AGAIN_SECONDS)
    except NoLocksError:
        pass
    finally:
        os.close(descriptor)
    return False
