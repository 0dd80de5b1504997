"""Show fastmlp, and nothing else in this process, what Windows has and lacks.

Python runs this file at its start if the folder is in PYTHONPATH, in child processes too. Modules
of fastmlp are then loaded with an `import` of their own: it finds no module that only POSIX has,
and `os`, `signal`, `mmap`, `sys` and `ctypes` without what Windows lacks (typeshed tells it). Calls
that exist on both but differ behave as it is documented: directories cannot be opened, open files
cannot be removed, replaced or moved, `os.kill` ends processes, and text has CR and LF at its ends
of lines. Memory that is reserved and not committed cannot be read, as with VirtualAlloc; here
mprotect sees to it.

It shows that fastmlp asks for nothing that is missing. It cannot show that Windows does its part.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import errno
import importlib.machinery
import io
import mmap
import os
import re
import signal
import sys
import types

MISSING_MODULES = {"crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource",
                   "spwd", "syslog", "termios", "tty"}  # fmt: skip
MISSING = {
    "os": re.compile(
        r"(CLD|EFD|EX|F|GRND|MFD|POSIX|PRIO|P|RTLD|RWF|SCHED|SPLICE|ST|XATTR)_[A-Z0-9_]+"
        r"|W[A-Z]+|SEEK_(DATA|HOLE)|NGROUPS_MAX"
        r"|O_(ACCMODE|ASYNC|CLOEXEC|DIRECT|DIRECTORY|DSYNC|FSYNC|LARGEFILE|NDELAY|NOATIME|NOCTTY"
        r"|NOFOLLOW|NONBLOCK|PATH|RSYNC|SYNC|TMPFILE)"
        r"|chown|chroot|confstr\w*|copy_file_range|ctermid|environb|eventfd\w*|fchdir|fchmod|fchown"
        r"|fdatasync|fork|forkpty|fpathconf|fstatvfs|fwalk|getegid|getenvb|geteuid|getgid"
        r"|getgroup\w*|getloadavg|getpgid|getpgrp|getpriority|getrandom|getres[gu]id|getsid|getuid"
        r"|[gls]\w*xattr|initgroups|killpg|lchown|lockf|login_tty|major|makedev|memfd_create|minor"
        r"|mkfifo|mknod|nice|openpty|pathconf\w*|pidfd_open|pipe2|posix_\w+|p(read|write)v?"
        r"|readv|writev|register_at_fork|removexattr|sched_\w+|sendfile|[gs]et_blocking|set\w*[gu]id"
        r"|setgroups|setpgrp|setpriority|setsid|spawn[lv]pe?|splice|statvfs|sync|sysconf\w*"
        r"|tc[gs]etpgrp|ttyname|uname|wait|wait3|wait4|waitid\w*"
    ),
    "signal": re.compile(
        r"ITIMER_\w+|ItimerError|SIG(?!ABRT|FPE|ILL|INT|SEGV|TERM|_DFL|_IGN|BREAK|nals)\w+"
        r"|alarm|[gs]etitimer|pause|pidfd_send_signal|pthread_\w+|sig[iptw]\w+|struct_siginfo"
    ),
    "mmap": re.compile(r"(MADV|MAP|PROT)_\w+"),
    "sys": re.compile(r"abiflags|getdlopenflags|setdlopenflags"),
    "ctypes": re.compile(""),
}


class View(types.ModuleType):
    """A module without the names that match its pattern, and with some that are others."""

    def __init__(self, module: types.ModuleType, **others: object) -> None:
        super().__init__(module.__name__)
        vars_of(self).update(_module=module, _others=others)

    def __getattribute__(self, name: str) -> object:
        module, others = (vars_of(self)[key] for key in ("_module", "_others"))
        if name in others:
            return others[name]
        if MISSING[module.__name__].fullmatch(name):
            raise AttributeError(f"module {module.__name__!r} of Windows has no {name!r}")
        return getattr(module, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(vars_of(self)["_module"], name, value)


def vars_of(view: View) -> dict:
    return object.__getattribute__(view, "__dict__")


# ---------------------------------------------------------------- files


def opened() -> set[str]:
    """Paths that this process has open or mapped."""
    found = set()
    for name in _listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


def refuse(path: object, *, below: bool = False) -> None:
    real = os.path.realpath(os.fspath(path))
    inside = [one for one in opened() if one == real or (below and one.startswith(real + os.sep))]
    if inside:
        raise PermissionError(errno.EACCES, f"Denied: {inside[0]} is open", os.fspath(path))


def guarded(name: str, *, both: bool) -> None:
    call = getattr(os, name)

    def guard(path, *rest, **options):
        if options.get("dir_fd") is None:
            refuse(path, below=both)
            if both:
                refuse(rest[0])
        return call(path, *rest, **options)

    setattr(os, name, guard)


def open_file(path, flags, mode=0o777, **options):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return _open(path, flags & ~O_BINARY, mode, **options)


def open_text(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True):
    """Text without an encoding has the code page of the country, and lines end with CR and LF."""
    if "b" not in mode:
        encoding = encoding or "cp1252"
        newline = "\r\n" if newline is None and "r" not in mode else newline
    return builtins.open(file, mode, buffering, encoding, errors, newline, closefd)


def set_wakeup_fd(descriptor, **options):
    """Windows takes a pipe that blocks."""
    if descriptor >= 0:
        os.set_blocking(descriptor, False)
    return signal.set_wakeup_fd(descriptor, **options)


def kill(process, number):
    raise AssertionError(f"os.kill({process}, {number}) ends the process on Windows")


# ---------------------------------------------------------------- memory


class Kernel:
    """VirtualAlloc and VirtualFree."""

    class Function:
        def __init__(self, call):
            self._call = call

        def __call__(self, *arguments):
            return self._call(*arguments)

    def __init__(self, *_: object, **__: object) -> None:
        self.VirtualAlloc, self.VirtualFree = map(self.Function, (allocate, free))


libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
for function in (libc.mprotect, libc.madvise):
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
sizes: dict[int, int] = {}


def allocate(start, size, kind, protection):
    if (start, kind, protection) == (None, 0x2000, 0x01):
        found = libc.mmap(None, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, -1, 0)
        if found in (None, ctypes.c_void_p(-1).value):
            return None
        sizes[found] = size
        return found
    assert (kind, protection) == (0x1000, 0x04)
    first = start - start % mmap.PAGESIZE
    if libc.mprotect(first, start + size - first, mmap.PROT_READ | mmap.PROT_WRITE):
        return None
    return first


def free(start, size, kind):
    if kind == 0x8000:
        assert size == 0
        return libc.munmap(start, sizes.pop(start)) == 0
    assert (kind, start % mmap.PAGESIZE) == (0x4000, 0)
    return libc.madvise(start, size, 4) == 0 and libc.mprotect(start, size, 0) == 0


# ---------------------------------------------------------------- imports

O_BINARY = 0x8000
VIEWS = {
    "os": View(os, O_BINARY=O_BINARY, open=open_file, kill=kill),
    "signal": View(signal, SIGBREAK=signal.Signals(21), set_wakeup_fd=set_wakeup_fd),
    "mmap": View(mmap),
    "sys": View(sys, platform="win32"),
    "ctypes": View(
        ctypes,
        WinDLL=Kernel,
        WinError=lambda code: OSError(code, "not done"),
        get_last_error=ctypes.get_errno,
    ),
}
_import, _listdir, _open = builtins.__import__, os.listdir, os.open


class winreg(types.ModuleType):  # noqa: N801 - a module
    HKEY_LOCAL_MACHINE = 0

    @staticmethod
    def OpenKey(key, path):  # noqa: N802
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def import_as_on_windows(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0:
        top = name.partition(".")[0]
        if top in MISSING_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "winreg":
            return winreg
        if name in VIEWS or (top in VIEWS and not fromlist):
            _import(name, globals, locals, fromlist, level)
            return VIEWS[top]
    return _import(name, globals, locals, fromlist, level)


OTHERS = {"__import__": import_as_on_windows, "open": open_text}


class Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        module.__builtins__ = vars(builtins) | OTHERS
        exec(self.get_code(module.__name__), vars(module))


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] != "fastmlp":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(name, spec.origin)
        return spec


for each in ("unlink", "remove"):
    guarded(each, both=False)
for each in ("rename", "replace"):
    guarded(each, both=True)
sys.meta_path.insert(0, Finder)
# Windows writes and reads text in the code page of the country unless it is told otherwise.
for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper) and "PYTHONIOENCODING" not in os.environ:
        stream.reconfigure(encoding="cp1252", errors=stream.errors)
