"""Reading and writing whole files safely.

A write is atomic, also across a crash or on a full disk. A read opens regular files only, so that a
FIFO or a device cannot block the process or fill its memory. File formats are defined elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from fastmlp._locks import try_lock
from fastmlp._system import is_alive, open_flags, replace, sync_directory, sync_file
from fastmlp.errors import FormatError

__all__ = [
    "append",
    "atomic_write",
    "created",
    "open_regular_file",
    "read_regular_file",
    "remove_unfinished",
    "require_no_file",
    "sweep",
    "text_path",
]

# Names may have 255 bytes; the temporary name adds about 40 to the part that it keeps.
_MAX_STEM_BYTES = 160
# Name of the target, process, random digits.
_TEMPORARY = re.compile(r"\.(.*)\.tmp\.(\d+)\.[0-9a-f]{12}", re.DOTALL)
# Files of this process that must not outlive it unless they get finished.
_unfinished: set[str] = set()


def atomic_write(path: str | os.PathLike[str], data: bytes | memoryview | Iterable[bytes]) -> None:
    """Write a file atomically: it holds its old content or all of `data`, nothing else.

    A temporary file beside the target is written, synced to disk and renamed over it; then the
    directory is synced. The file mode follows the umask. Of a symbolic link the target is replaced.
    Temporary files that killed writers of the same file left behind are removed.

    Parameters
    ----------
    path : str or os.PathLike
        File to create or replace. An existing directory, device or FIFO is refused.
    data : bytes, memoryview or iterable of bytes
        The whole new content, or its pieces, which are written as they come.

    Raises
    ------
    OSError
        Nothing was replaced: an old file is unchanged and no temporary file is left. Only if
        syncing the directory fails, the new file is in place, complete but perhaps not yet safe
        from a power cut.
    """
    target = os.path.realpath(os.fspath(path))
    _refuse_special_target(target, os.fspath(path))
    directory, name = os.path.split(target)
    stem = os.fsencode(name)[:_MAX_STEM_BYTES].decode(sys.getfilesystemencoding(), "ignore")
    temporary = os.path.join(directory, f".{stem}.tmp.{os.getpid()}.{os.urandom(6).hex()}")
    sweep(directory, stem)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | open_flags("O_NOFOLLOW")
    try:
        _unfinished.add(temporary)
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileNotFoundError as error:  # names the target, not the temporary file
            raise FileNotFoundError(error.errno, error.strerror, os.fspath(path)) from None
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                try_lock(descriptor)
            for piece in [data] if isinstance(data, (bytes, memoryview)) else data:
                _write_all(descriptor, piece)
            # After a failed fsync the kernel may have dropped the dirty pages and marked them
            # clean, so a second try on this descriptor could succeed without the data on disk.
            sync_file(descriptor)
        except BaseException:
            _close_quietly(descriptor)
            raise
        os.close(descriptor)  # NFS reports a full disk here
        replace(temporary, target)
    except BaseException:
        _unlink_quietly(temporary)
        raise
    finally:
        _unfinished.discard(temporary)
    sync_directory(directory)


@contextlib.contextmanager
def created(path: str | os.PathLike[str]) -> Iterator[None]:
    """Remove a file that did not exist before if the work on it ends with any exception.

    Parameters
    ----------
    path : str or os.PathLike
        File that the work creates. One that exists already is left alone.
    """
    target = os.path.abspath(os.fspath(path))
    if os.path.lexists(target):
        yield
        return
    try:
        _unfinished.add(target)
        yield
    except BaseException:
        _unlink_quietly(target)
        raise
    finally:
        _unfinished.discard(target)


def remove_unfinished() -> None:
    """Remove the files that an exception at the worst moment, or the end of the process, leaves."""
    while _unfinished:
        _unlink_quietly(_unfinished.pop())


def require_no_file(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if what a path names is there, and is no directory."""
    if os.path.isdir(path) or not os.path.lexists(path):
        return
    kind = "a file" if os.path.exists(path) else "a link that leads nowhere"
    raise ValueError(f"{os.fspath(path)}: is {kind}, expected a directory")


def sweep(directory: str | os.PathLike[str], name: str | None = None) -> None:
    """Remove temporary files of killed writers, of one target or of all in a directory.

    A writer holds a lock on its file until it ends. Files of running writers are kept, also those
    of another machine.
    """
    try:
        found = os.listdir(directory)
    except OSError:
        return
    for entry in found:
        match = _TEMPORARY.fullmatch(entry)
        if match is None or (name is not None and match[1] != name) or is_alive(int(match[2])):
            continue
        path = os.path.join(os.fspath(directory), entry)
        with contextlib.suppress(OSError):
            if _is_abandoned(path):
                os.unlink(path)


def _is_abandoned(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | open_flags("O_NOFOLLOW", "O_NONBLOCK"))
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)  # before the file is removed, as Windows wants it


def append(path: str | os.PathLike[str], data: bytes) -> None:
    """Append `data` to a file in one write, so that readers see none or all of it.

    The file is not synced: a power cut can lose the last entries.

    Raises
    ------
    OSError
        Nothing was written, or on a full disk only a part.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | open_flags()
    descriptor = os.open(path, flags, 0o666)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def read_regular_file(
    path: str | os.PathLike[str], max_bytes: int | None = None, *, may_grow: bool = False
) -> bytes:
    """Read a whole regular file.

    Parameters
    ----------
    path : str or os.PathLike
        File to read; symbolic links are followed.
    max_bytes : int, optional
        Largest size accepted, checked before anything is read.
    may_grow : bool
        Another process may append to it meanwhile; the appended bytes are left out.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    FormatError
        The path is a directory, FIFO, socket or device, the file is larger than `max_bytes`, or
        its size changed while it was read.
    OSError
        It cannot be opened or read.
    """
    name = os.fspath(path)
    with open_regular_file(name) as (stream, size):
        if max_bytes is not None and size > max_bytes:
            raise FormatError(
                f"{name}: file size is {size} bytes, at most {max_bytes} are expected"
            )
        # Files that report 0 bytes but never end (some in /proc) stop here: the size is known.
        content = stream.read(size)
        if len(content) != size or (not may_grow and stream.read(1)):
            raise FormatError(f"{name}: file size changed while it was read")
    return content


@contextlib.contextmanager
def open_regular_file(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file; yield the stream and the size that the file has now.

    Raises
    ------
    FormatError
        The path is a directory, FIFO, socket or device.
    OSError
        It cannot be opened.
    """
    name = os.fspath(path)
    try:
        # Without O_NONBLOCK, opening a FIFO without a writer would wait forever.
        descriptor = os.open(name, os.O_RDONLY | open_flags("O_NONBLOCK", "O_NOCTTY"))
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise FormatError(f"{name}: not a regular file") from error
        if os.path.isdir(name):  # which Windows does not open
            raise FormatError(f"{name}: not a regular file (directory)") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{name}: not a regular file ({_kind(status.st_mode)})")
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream, status.st_size
    finally:
        os.close(descriptor)


def _refuse_special_target(target: str, shown: str) -> None:
    """Raise if the rename would replace a device or a FIFO by a regular file."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), shown)
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, f"exists and is a {_kind(mode)}", shown)


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "directory"),
        (stat.S_ISFIFO, "FIFO"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "character device"),
        (stat.S_ISBLK, "block device"),
    )
    return next((name for test, name in kinds if test(mode)), "special file")


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    # One write() writes at most 2 GiB, and less on a nearly full disk.
    rest = memoryview(data).cast("B")
    while len(rest):
        written = os.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.EIO, "write() made no progress")
        rest = rest[written:]


def _close_quietly(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # the error that led here is the one to report
        os.close(descriptor)


def _unlink_quietly(path: str) -> None:
    with contextlib.suppress(OSError):  # the error that led here is the one to report
        os.unlink(path)


def text_path(name: str, path: object) -> str:
    """Return a path as text, or raise."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be a string or os.PathLike, got {type(path).__name__}")
    return str(os.fsdecode(path))
