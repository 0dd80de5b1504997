"""Addresses for more data than fits into memory: only what is in use takes memory."""

from __future__ import annotations

import mmap
import sys
import weakref
from typing import Any

__all__ = ["Addresses"]


class Addresses:
    """A range of addresses.

    Parameters
    ----------
    size : int
        Number of bytes.

    Attributes
    ----------
    buffer : object
        The bytes, of which only those in use may be read or written.

    Raises
    ------
    OSError, OverflowError, ValueError
        The system has not so many addresses.
    """

    def __init__(self, size: int) -> None:
        self.buffer: Any = _reserved(size)
        self._released = 0

    def use(self, first: int, last: int) -> None:
        """Let the bytes from `first` to `last` be used; those that are keep their content.

        Raises
        ------
        OSError
            There is not enough memory.
        """
        if sys.platform == "win32" and first < last:  # elsewhere pages come as they are written
            _windows(self.buffer, first, last, commit=True)

    def release(self, last: int) -> None:
        """Give the memory of the bytes before `last`, in whole pages, back to the system."""
        last -= last % mmap.PAGESIZE
        if last <= self._released:
            return
        if sys.platform == "win32":
            _windows(self.buffer, self._released, last, commit=False)
        else:
            # On macOS the other advice leaves the pages where they are.
            advice = mmap.MADV_FREE if sys.platform == "darwin" else mmap.MADV_DONTNEED
            self.buffer.madvise(advice, self._released, last - self._released)
        self._released = last


if sys.platform == "win32":
    # Python's mmap would need as much memory and swap as there are addresses.
    import ctypes

    _RESERVE, _COMMIT, _DECOMMIT, _RELEASE = 0x2000, 0x1000, 0x4000, 0x8000
    _NO_ACCESS, _READ_WRITE = 0x01, 0x04
    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.VirtualAlloc.restype = ctypes.c_void_p
    _kernel.VirtualAlloc.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint32,
    )  # fmt: skip
    _kernel.VirtualFree.restype = ctypes.c_int
    _kernel.VirtualFree.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32)

    def _reserved(size: int) -> Any:
        start = _kernel.VirtualAlloc(None, size, _RESERVE, _NO_ACCESS)
        if not start:
            raise ctypes.WinError(ctypes.get_last_error())
        buffer = (ctypes.c_char * size).from_address(start)
        weakref.finalize(buffer, _kernel.VirtualFree, start, 0, _RELEASE)
        return buffer

    def _windows(buffer: Any, first: int, last: int, *, commit: bool) -> None:
        start = ctypes.addressof(buffer) + first
        if commit:
            done = _kernel.VirtualAlloc(start, last - first, _COMMIT, _READ_WRITE)
        else:
            done = _kernel.VirtualFree(start, last - first, _DECOMMIT)
        if not done:
            raise ctypes.WinError(ctypes.get_last_error())

else:

    def _reserved(size: int) -> Any:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        if sys.platform == "linux":
            # Pages that do not exist yet are not counted against the memory of the machine.
            flags |= getattr(mmap, "MAP_NORESERVE", 0x4000)
        return mmap.mmap(-1, size, flags=flags)
