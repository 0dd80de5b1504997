"""What differs between operating systems: files, processes, the CPU.

Linux, macOS and Windows offer the same under other names, or not at all. The functions of this
module behave alike on all of them, as far as the systems allow.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = [
    "cpu_count",
    "cpu_name",
    "is_alive",
    "is_closed_pipe",
    "load_average",
    "open_flags",
    "quoted",
    "replace",
    "sync_directory",
    "sync_file",
    "while_in_use",
]

_Result = TypeVar("_Result")
_IN_USE_SECONDS = 2.0
_AGAIN_SECONDS = 0.01


# ---------------------------------------------------------------- files


def open_flags(*names: str) -> int:
    """Return flags for `os.open`: those of the names that this system has, and binary mode."""
    flags = 0
    for name in ("O_BINARY", *names):
        flags |= int(getattr(os, name, 0))
    return flags


def sync_file(descriptor: int) -> None:
    """Write a file to its disk, not only to the cache in the disk.

    Raises
    ------
    OSError
        The content may not be on the disk.
    """
    if sys.platform == "darwin":  # whose fsync leaves the content in the cache of the disk
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY):
                raise
        else:
            return
    os.fsync(descriptor)


def sync_directory(directory: str) -> None:
    """Make changes of names in a directory durable; Windows has no such call.

    Raises
    ------
    OSError
        The names may not be on the disk.
    """
    if sys.platform == "win32":  # opens no directories
        return
    descriptor = os.open(directory, os.O_RDONLY | open_flags("O_DIRECTORY"))
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a directory; the rename is all they offer.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def replace(source: str, target: str) -> None:
    """Rename a file over another one.

    Raises
    ------
    OSError
        On Windows also if another process keeps the target open.
    """
    if sys.platform != "win32":
        os.replace(source, target)
        return
    try:
        while_in_use(lambda: os.replace(source, target))
    except PermissionError as error:
        reason = f"{error.strerror}; another program may have the file open, which must close it"
        raise PermissionError(error.errno, reason, target) from error


def while_in_use(action: Callable[[], _Result], seconds: float = _IN_USE_SECONDS) -> _Result:
    """Call `action`, and again while it is refused, as Windows does while a file is open elsewhere.

    Raises
    ------
    PermissionError
        It was refused for longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except PermissionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN_SECONDS)


# ---------------------------------------------------------------- processes and commands


def is_alive(process: int) -> bool:
    """Whether this machine runs a process of this number."""
    if sys.platform == "win32":  # where `os.kill` would end it
        import psutil

        return bool(psutil.pid_exists(process))
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def is_closed_pipe(error: BaseException) -> bool:
    """Whether an error of a write says that nobody reads the pipe any more."""
    if isinstance(error, BrokenPipeError):
        return True
    # Windows says so where it writes what is buffered.
    is_invalid = isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename
    return sys.platform == "win32" and is_invalid


def quoted(*words: str) -> str:
    """Return the words of a command as a user would type them in the shell of this system."""
    if sys.platform == "win32":
        import subprocess

        return subprocess.list2cmdline(words)
    import shlex

    return shlex.join(words)


# ---------------------------------------------------------------- the machine


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> list[float] | None:
    """Return the load of the last 1, 5 and 15 minutes; None where the system does not count it."""
    if sys.platform == "win32":
        return None
    with contextlib.suppress(OSError):
        return list(os.getloadavg())
    return None


def cpu_name() -> str:
    """Return the name of the CPU, as far as the system tells it."""
    import platform

    return _told_name() or platform.processor() or platform.machine()


def _told_name() -> str:
    with contextlib.suppress(OSError, ValueError):
        if sys.platform == "win32":
            import winreg

            path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
        if sys.platform == "darwin":
            import subprocess

            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, encoding="utf-8").stdout.strip()
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
            return next(names, "").strip()
    return ""
