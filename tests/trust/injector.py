"""Faults at a call of the system: the shim that makes them, and processes that meet them."""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from trust.experiment import Patch, require

SOURCE = Path(__file__).with_name("faults.c")
CALLS = ("open", "write", "fsync", "fdatasync", "close", "rename", "unlink", "mkdir", "rmdir")
FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EMFILE": errno.EMFILE, "EINTR": errno.EINTR,
          "SIGKILL": 0}  # fmt: skip
KINDS = [(call, fault, many) for call in CALLS for fault in FAULTS for many in (0, 1)
         if not many or fault in ("ENOSPC", "EIO", "EMFILE")]  # fmt: skip
MOST_CALLS = 400


@functools.cache
def library() -> Path:
    """faults.c, compiled."""
    content = SOURCE.read_bytes()
    folder = Path(tempfile.gettempdir()) / f"trust-faults-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    built = folder / f"faults-{hashlib.sha256(content).hexdigest()[:16]}.so"
    if not built.exists():
        fresh = built.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(fresh), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        fresh.rename(built)
    return built


def preloaded(patch: Patch | None) -> Mapping[str, str]:
    return {"LD_PRELOAD": str(library())}


def no_compiler() -> str | None:
    return None if shutil.which("cc") else "needs a C compiler, cc"


class Injector:
    """The library that is loaded into this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.trust_disarm.restype = ctypes.c_long
        self._library.trust_arm.argtypes = [
            ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p,
            ctypes.c_size_t,
        ]  # fmt: skip

    def arm(
        self, call: str, number: int, error: int, many: int, below: str, least: int = 0
    ) -> None:
        """The n-th call of a kind gets an error, 0 for SIGKILL; with `many` all that follow too."""
        code = self._library.trust_arm(call.encode(), number, error, many, below.encode(), least)
        require(code == 0, f"faults.c knows no {call}")

    def disarm(self) -> int:
        """The number of calls of the kind since it was armed."""
        return int(self._library.trust_disarm())


DONE, REFUSED, BROKEN = 0, 41, 42  # exit codes of an operation in a child
_UNTOUCHED = 1 << 6  # added where the fault was not met


def in_child(
    operation: Callable[[], object], call: str, number: int, error: int, many: int, folder: Path
) -> tuple[str, bool, str]:
    """How it ended ("done", "refused", "killed"), whether it met the fault, and a message."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            injector = Injector()
            injector.arm(call, number, error, many, str(folder))
            try:
                operation()
                code = DONE
            except OSError as problem:
                code = REFUSED
                injector.disarm()
                os.write(writer, str(problem).encode())
            if injector.disarm() < number:
                code |= _UNTOUCHED
        except BaseException as problem:
            os.write(writer, f"{type(problem).__name__}: {problem}".encode()[:2000])
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        killed = os.WTERMSIG(status)
        require(killed == signal.SIGKILL and error == 0, f"signal {killed}")
        return "killed", True, said
    code = os.WEXITSTATUS(status)
    require(code != BROKEN, f"another exception than OSError: {said}")
    met = not code & _UNTOUCHED
    return ("done" if code & ~_UNTOUCHED == DONE else "refused"), met, said


def at_every_call(
    case: int,
    prepare: Callable[[Path], None],
    operation: Callable[[Path], object],
    state: Callable[[Path], str],
    new: str,
    after: Callable[[Path], None],
) -> int:
    """One kind of fault at every call of an operation.

    Parameters
    ----------
    case : int
        Index in `KINDS`.
    prepare : callable
        Fills a folder with what was there before.
    operation : callable
    state : callable
        Tells what a folder holds; raises where that is not whole.
    new : str
        What it holds after the operation.
    after : callable
        What is done next, without a fault; raises where something is amiss.
    """
    call, fault, many = KINDS[case]
    tried, broken = 0, []
    with tempfile.TemporaryDirectory() as root:
        for number in range(1, MOST_CALLS):
            folder = Path(root) / "folder"
            folder.mkdir()
            met = True
            prepare(folder)
            old = state(folder)
            where = f"{fault} at {call} {number}{' and on' if many else ''}"
            try:
                ended, met, said = in_child(
                    partial(operation, folder), call, number, FAULTS[fault], many, folder
                )
                found = state(folder)
                require(found in (old, new), f"neither the old nor the new: {found}")
                require(ended != "done" or found == new, "it said done, and the old is there")
                require(met or ended == "done", f"refused without a fault: {said}")
                require(said != "" or ended != "refused", "refused without a word")
                after(folder)
            except Exception as error:
                broken.append(f"{where}: {type(error).__name__}: {error}")
            if not met:
                require(not broken, f"{len(broken)} of {tried} faults, the first {broken[:1]}")
                return tried
            tried += 1
            shutil.rmtree(folder)
    raise AssertionError(f"{call}: its calls never end")
