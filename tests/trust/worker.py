"""A process that runs cases: one seed a line comes in, one line of JSON goes out.

As ``python -m trust.worker module:function [headroom]``. A case that ends the process, by a signal
or an exit, or that hangs, is seen by the parent.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support.limits import limit_address_space

PLANT = "FASTMLP_TRUST_PLANT"
TESTS = Path(__file__).resolve().parent.parent
STARTING_SECONDS = 120.0
READY = b"ready\n"
_STEERING = ("FASTMLP_", "OMP_", "GOMP_", "NO_COLOR", "FORCE_COLOR")


def named(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def plant_fault() -> None:
    """Plant what the environment asks for; every process of an experiment calls it."""
    if os.environ.get(PLANT):
        named(os.environ[PLANT])()


def package_root() -> str:
    """The folder that this process imports fastmlp from."""
    import fastmlp

    return str(Path(fastmlp.__file__).resolve().parent.parent)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of a child: the same package and fault, and nothing else that would steer fastmlp."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(_STEERING) or k == PLANT}
    clean["PYTHONPATH"] = os.pathsep.join((package_root(), str(TESTS)))
    if "LD_PRELOAD" in clean and "FASTMLP_TRUST_SANITIZED" not in os.environ:
        del clean["LD_PRELOAD"]
    for name in ("FASTMLP_TRUST_SANITIZED", "FASTMLP_ISA"):
        if name in os.environ:
            clean[name] = os.environ[name]
    return {**clean, "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


class Worker:
    """The parent's side: asks a worker, and tells how it ended where it did.

    Parameters
    ----------
    target : str
        ``module:function``.
    variables : mapping of str to str, optional
        Added to the environment.
    headroom : int, optional
        Bytes of address space beyond those of the warm process.
    """

    def __init__(
        self, target: str, variables: Mapping[str, str] | None = None, headroom: int | None = None
    ) -> None:
        """Start it, and wait until it is ready; RuntimeError where it never is."""
        command = [sys.executable, "-m", "trust.worker", target]
        if headroom is not None:
            command.append(str(headroom))
        self._hangs = False
        self._folder = tempfile.TemporaryDirectory(prefix="trust-")
        self._errors = open(Path(self._folder.name) / "stderr", "w+b")  # noqa: SIM115
        scratch = Path(self._folder.name) / "tmp"
        scratch.mkdir()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment({"TMPDIR": str(scratch), **(variables or {})}),
            cwd=scratch,
            start_new_session=True,
        )
        if self._line(STARTING_SECONDS) != READY:
            self._process.kill()
            said = self._ended()
            self.close()
            raise RuntimeError(f"{target} does not start: {said}")

    def ask(self, seed: int, seconds: float) -> dict[str, Any]:
        """The answer to a seed; with ``failed`` also where the process ended or hangs."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seed}\n".encode())
            self._process.stdin.flush()
        except OSError:
            return {"failed": self._ended(), "dead": True}
        line = self._line(seconds)
        if line is None:
            self._hangs = True
            return {"failed": f"no answer within {seconds:g} s", "dead": True}
        if not line.endswith(b"\n"):
            return {"failed": self._ended(), "dead": True}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _line(self, seconds: float) -> bytes | None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        line = b""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
                part = os.read(descriptor, 1 << 16)
                if not part:
                    return line
                line += part
        return line

    def _ended(self) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        shown = next(
            (i for i in (said.find("ERROR: "), said.find("runtime error")) if i >= 0), None
        )
        tail = said[-700:] if shown is None else said[max(0, shown - 200) : shown + 700]
        return f"the process ended: {how}; {tail}"

    def close(self) -> None:
        """End the process and all that it started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0 if self._hangs else 2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()
        self._folder.cleanup()


def _short_traceback(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(last))
    return f"{type(error).__name__}: {error} ({places})"[:2000]


def main() -> None:
    # Whatever a case prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit SIG_IGN
    target = sys.argv[1]
    case = named(target)
    if len(sys.argv) > 2:
        for seed in range(5):  # loads what is loaded on demand, before memory is counted
            with contextlib.suppress(Exception):
                case(seed)
    plant_fault()
    if len(sys.argv) > 2:
        limit_address_space(int(sys.argv[2]))
    answers.write(READY)
    answers.flush()
    for line in sys.stdin:
        seed = int(line)
        try:
            tried = case(seed)
            answer = {"seed": seed, "tried": 1 if tried is None else tried}
        except Exception as error:
            answer = {"seed": seed, "failed": _short_traceback(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
