"""Ctrl-C and SIGTERM: the first ends a command in order, the second at once.

The first signal raises `KeyboardInterrupt` or `Terminated`, so that files are removed, workers are
ended and models are saved. Where an exception would be lost, other ways lead to the same end:

- Within an import, which may turn any exception into another one, the process ends at once; within
  an import of work that must end in order (`ends_in_order`), the exception is raised after it.
- Within a finalizer, which drops exceptions, it is raised again after it.
- Once the command is finished, a signal hastens the end of the process and changes nothing else.

On Windows, Ctrl-Break and the end of the terminal (SIGBREAK) count as SIGTERM.

This module is loaded before all others and imports nothing that takes time.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in fastmlp/__init__.py
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

__all__ = ["Signals", "Terminated", "ends_in_order", "postponed", "raise_now", "stop_counting"]

_NAMES = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
if sys.platform == "win32":
    _NAMES[signal.SIGBREAK] = _NAMES[signal.SIGTERM]
    _ALARM = signal.SIGINT  # the only one that ends a sleep
else:
    _ALARM = signal.SIGALRM
_IMPORT = "<frozen importlib._bootstrap>"
_AGAIN_SECONDS = 0.01
_REPORT_SECONDS = 0.5
_in_order = 0
_postponed = 0
_is_late = False


class Terminated(BaseException):  # noqa: N818 - like KeyboardInterrupt, it is not an error
    """SIGTERM arrived; a BaseException, so that `except Exception` does not catch it."""


@contextlib.contextmanager
def ends_in_order() -> Iterator[None]:
    """Mark work whose cleanup must run also if a signal arrives within an import."""
    global _in_order
    _in_order += 1
    try:
        yield
    finally:
        _in_order -= 1


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Raise the exception of a first signal only after this work; a second one still ends it."""
    global _postponed
    _postponed += 1
    try:
        yield
    finally:
        _postponed -= 1


def raise_now() -> None:
    """Raise the exception of a signal that was postponed."""
    while _is_late:
        time.sleep(_AGAIN_SECONDS / 10)


def stop_counting() -> None:
    """Let work that sends itself the signals that it has received again do so."""
    signal.set_wakeup_fd(-1)


class Signals:
    """The signals that a call of the program receives.

    Attributes
    ----------
    first : int or None
        Number of the first signal.
    report : callable
        Called with the exception of a signal; returns the exit code.
    clean_up : callable
        Called before the process ends at once; removes unfinished files.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.report: Callable[[BaseException], int] = self._print
        self.clean_up: Callable[[], object] = self._nothing
        self._code: int | None = None
        self._raises = False
        self._ends = False
        self._own = 0  # signals of this process to itself that the counting thread has yet to see
        self._reporting, self._reported = _thread.allocate_lock(), _thread.allocate_lock()
        self._reported.acquire()

    # ------------------------------------------------------------ phases of the program

    def answer(self) -> None:
        """Answer signals until the process ends; a handler of the caller and SIG_IGN are kept."""
        self._process = os.getpid()
        try:
            for number in _NAMES:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    signal.signal(number, self._arrived)
            if _ALARM not in _NAMES:
                signal.signal(_ALARM, self._again)
        except ValueError:  # only the main thread may
            return
        sys.unraisablehook = self._unraisable
        atexit.register(self._ignore)
        self._watch()

    def start(self) -> None:
        """From now on, raise the exception of a signal, which the caller catches."""
        self._raises = True

    def finish(self, code: int) -> None:
        """From now on, end the process with this code at any signal."""
        self._code, self._raises = code, False

    def exception(self) -> BaseException:
        """Return the exception of the first signal."""
        return KeyboardInterrupt() if self.first in (None, signal.SIGINT) else Terminated()

    def failed(self, error: BaseException) -> int:
        """Report the exception of a signal, or what became of it, and return the exit code."""
        self.first = self.first or _number_of(error)
        self._ends = True
        return self._report_once(self.report, error)

    # ------------------------------------------------------------ handlers

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a process that was forked
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if number == _ALARM and _is_late:
            self._again(number, frame)
            return
        if self._ends:  # this handler interrupts the report, after which the process ends
            return
        if self.first is not None or self._code is not None:
            self._end_now()
        self.first = number
        self._deliver(frame)

    def _again(self, _number: int, frame: FrameType | None) -> None:
        global _is_late
        _is_late = False
        self._deliver(frame)

    def _deliver(self, frame: FrameType | None) -> None:
        importing = _is_importing(frame)
        if self._raises and (_postponed or (importing and _in_order)):
            self._later()
            return
        if self._raises and not importing:
            raise self.exception()
        self._ends = True
        self._report_once(self.report, self.exception())
        self._exit()

    def _unraisable(self, problem: Any) -> None:
        if isinstance(problem.exc_value, (KeyboardInterrupt, Terminated)):
            self._later()
        else:
            sys.__unraisablehook__(problem)

    def _later(self) -> None:
        """Call `_again` in the main thread in a moment, also where that thread then sleeps."""
        global _is_late
        _is_late = True
        if sys.platform == "win32":  # has no timers
            self._own += 1
            _thread.start_new_thread(self._send_again, ())
        else:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)

    def _send_again(self) -> None:
        time.sleep(_AGAIN_SECONDS)
        signal.raise_signal(_ALARM)

    def _end_now(self) -> None:
        """End the process, whatever it is doing."""
        if self._code is None:
            self._report_once(self._print, self.exception())
        self._exit()

    def _report_once(self, report: Callable[[BaseException], int], error: BaseException) -> int:
        """Report, or wait until the other thread has: both may end the process."""
        if self._reporting.acquire(blocking=False):
            code = report(error)
            self._reported.release()
            return code
        if self._reported.acquire(timeout=_REPORT_SECONDS):
            self._reported.release()
        return _NAMES[_number_of(error)][0]

    def _exit(self) -> None:
        with contextlib.suppress(BaseException):
            self.clean_up()
        number = signal.Signals(self.first or signal.SIGINT)
        os._exit(_NAMES[number][0] if self._code is None else self._code)

    def _ignore(self) -> None:
        """The interpreter, which is about to end, restores the default of other handlers."""
        for number in (*_NAMES, _ALARM):  # an alarm of `_later` may still come
            if signal.getsignal(number) in (self._arrived, self._again):
                signal.signal(number, signal.SIG_IGN)

    def _watch(self) -> None:
        """Let a thread count signals: handlers wait while the main thread computes in C."""
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            reader, writer = os.pipe()
            if sys.platform != "win32":
                os.set_blocking(writer, False)
                os.register_at_fork(after_in_child=stop_counting)
            signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            _thread.start_new_thread(self._count, (reader,))

    def _count(self, reader: int) -> None:
        count = 0
        while number := os.read(reader, 1):
            if self._own and number[0] == _ALARM:
                self._own -= 1
                continue
            count += number[0] in _NAMES
            if count == 2 or (count and self._code is not None):
                self.first = self.first or number[0]
                self._end_now()

    def _print(self, error: BaseException) -> int:
        code, name = _NAMES[_number_of(error)]
        with contextlib.suppress(OSError):
            os.write(2, f"fastmlp: {name}\n".encode())
        return code

    def _nothing(self) -> None:
        pass


def _number_of(error: BaseException) -> signal.Signals:
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False
