"""Several processes that train one network: shards, sums over them, common decisions and ends."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fastmlp import _core
from fastmlp.errors import DivergedError, RankError

__all__ = ["WHOLE", "Group", "Shards", "described_setting", "digest", "ends_together"]

P = ParamSpec("P")
R = TypeVar("R")
Array = npt.NDArray[Any]
_METHODS = ("Get_rank", "Get_size", "Alltoallv", "Allgatherv", "allgather", "Abort")
_LINE = 64  # bytes to which blocks of a message are aligned
# Seconds in which mpiexec forwards a message, before it ends all processes.
_FORWARDING = 0.2


def even_share(total: int, index: int, parts: int) -> tuple[int, int]:
    """Return begin and end of one of `parts` contiguous parts of nearly equal size."""
    base, extra = divmod(total, parts)
    begin = index * base + min(index, extra)
    return begin, begin + base + (index < extra)


class Group:
    """The processes of an MPI communicator, which train one network together.

    Every process calls every method, at the same place of its training. From the first such call to
    the end of the training signals wait: the next call tells all processes of them, and each then
    runs its own handler. So Ctrl-C ends all after the same step, whichever of them it reached.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm
        Communicator of the processes.
    report : callable, optional
        Function that is called with the rank and an error that this process alone has, before it
        ends all processes, and returns the exit code. The default prints the traceback.
    """

    def __init__(
        self, communicator: Any, report: Callable[[int, BaseException], int] | None = None
    ) -> None:
        missing = [name for name in _METHODS if not hasattr(communicator, name)]
        if missing:
            raise TypeError(
                f"communicator must be one of mpi4py, such as mpi4py.MPI.COMM_WORLD, got "
                f"{type(communicator).__name__}"
            )
        self.communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()
        self._report = _print_traceback if report is None else report
        self._signals = _HeldSignals()
        self._trains = False
        self._ends_alike = False

    @property
    def is_first(self) -> bool:
        """Whether this process prints, writes and decides for all."""
        return self.rank == 0

    def gathered(self, value: R, failure: Exception | None = None) -> list[R]:
        """Return the values of all processes, by rank.

        Parameters
        ----------
        value : object
        failure : Exception, optional
            Why this process has none.

        Raises
        ------
        Exception
            `failure`.
        RankError
            Another process failed.
        """
        self._signals.hold()
        told: list[tuple[int, tuple[str, BaseException | None], R]]
        told = self.communicator.allgather((self._signals.first, _told(failure), value))
        self._ends_alike = any(text for _, (text, _), _ in told)
        if failure is not None:
            raise failure
        for rank, (_, (text, error), _) in enumerate(told):
            if text:
                raise RankError(rank, text) from error
        self.answer(next((number for number, _, _ in told if number), 0))
        return [value for _, _, value in told]

    def of_first(self, action: Callable[[], R]) -> R:
        """Call a function in every process, and return what it returned in the first.

        An exception in one of them ends the training of all.
        """
        value, failure = _attempted(action)
        return self.gathered(value, failure)[0]

    def together(self, action: Callable[[], R]) -> R:
        """Call a function in every process, and return what it returned in this one.

        An exception in one of them ends the training of all.
        """
        value, failure = _attempted(action)
        self.gathered(None, failure)
        return value

    def answer(self, number: int) -> None:
        """Run the handler of a signal that a process received, or return if the number is 0."""
        if number:
            self._ends_alike = True
            self._signals.answer(number)
            self._ends_alike = False

    @property
    def signal(self) -> int:
        """Number of the signal that this process received and no process answered; 0 if none."""
        return self._signals.first

    def agree(self, settings: Mapping[str, object]) -> None:
        """Require that all processes have equal settings.

        Raises
        ------
        ValueError
            They differ, in every process; the message names them.
        RankError
            Another process failed before it came here.
        """
        told = self.gathered(dict(settings))
        differing = []
        for name, first in told[0].items():
            for rank, others in enumerate(told):
                if others.get(name) != first:
                    differing.append(
                        f"{name} is {first} on rank 0 and {others.get(name)} on {rank}"
                    )
                    break
        if differing:
            self._ends_alike = True
            raise ValueError(
                f"the processes of a communicator must fit with the same arguments: "
                f"{'; '.join(differing)}"
            )

    def require_equal(self, name: str, value: str) -> None:
        """Raise RuntimeError unless all processes have the same value."""
        values = self.gathered(value)
        odd = [rank for rank, other in enumerate(values) if other != values[0]]
        if odd:
            self._ends_alike = True
            raise RuntimeError(
                f"{name} of rank {', '.join(map(str, odd))} differ from those of rank 0: a "
                "callback must change a model in the same way on all ranks"
            )

    def begin(self) -> None:
        """Note that the training begins: from now on an error of one process ends all."""
        self._trains = True

    def end(self) -> None:
        """End the training of all processes together."""
        self.gathered(None)
        self._trains, self._ends_alike = False, True
        self._signals.release()

    def note_end(self) -> None:
        """Note that all processes end this training now, each by an error of its own."""
        self._ends_alike = True

    def fail(self, error: BaseException) -> None:
        """Tell the others of an error; end all processes if they are in the training already."""
        if not self._ends_alike and not isinstance(error, DivergedError):
            if self._trains:
                code = self._report(self.rank, error)
                time.sleep(_FORWARDING)
                self.communicator.Abort(code)
            self._ends_alike = True
            self.communicator.allgather((0, _told(error), None))
        self._signals.release()


class _HeldSignals:
    """SIGINT and SIGTERM, where Python handles them, until all processes can answer them.

    A second signal has its usual effect at once.

    Attributes
    ----------
    first : int
        Number of the signal that waits, or 0.
    """

    def __init__(self) -> None:
        self.first = 0
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def hold(self) -> None:
        """Begin to hold signals; only the main thread can."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self.first:
            self._handlers[number](number, frame)
        self.first = number

    def answer(self, number: int) -> None:
        """Run the handler that this process has for a signal."""
        self.first = 0
        if number not in self._handlers:  # this process trains in another thread
            raise KeyboardInterrupt
        self._handlers[number](number, None)

    def release(self) -> None:
        """Restore the handlers, and run that of a signal that still waits."""
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if self.first:
            number, self.first = self.first, 0
            handlers[number](number, None)


def _attempted(action: Callable[[], R]) -> tuple[R, Exception | None]:
    try:
        return action(), None
    except Exception as error:
        return cast("R", None), error


def _told(error: BaseException | None) -> tuple[str, BaseException | None]:
    """Return an error as other processes learn of it: its text, and itself if they can load it."""
    if error is None:
        return "", None
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    parts = (*error.args, *vars(error).values())
    known = type(error).__module__.partition(".")[0] in ("builtins", "fastmlp")
    if known and all(isinstance(part, (str, bytes, int, float, type(None))) for part in parts):
        with contextlib.suppress(Exception):  # that of a class which expects other arguments
            if type(copy.copy(error)) is type(error):
                return text, error
    return text, None


def _print_traceback(rank: int, error: BaseException) -> int:
    traceback.print_exception(error)
    print(
        f"rank {rank} failed ({type(error).__name__}: {error}): all ranks end; the last checkpoint "
        "can be resumed",
        file=sys.stderr,
        flush=True,
    )
    return 1


def ends_together(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a method with the argument `communicator`, which becomes a `Group` or stays None.

    An error before the processes agree on their settings becomes one of all of them. A later error
    that not all have ends all of them.
    """

    @functools.wraps(function)
    def with_group(*args: P.args, **named: P.kwargs) -> R:
        if named.get("communicator") is None:
            return function(*args, **named)
        given = named["communicator"]
        group = given if isinstance(given, Group) else Group(given)
        named["communicator"] = group
        try:
            result = function(*args, **named)
            group.end()
            return result
        except BaseException as error:
            group.fail(error)
            raise

    return with_group


class Shards:
    """The shards of every batch, those of this process, and the sums over all of them.

    The gradient of a batch is the sum of those of its shards, contiguous blocks of its rows, in a
    fixed binary tree. Each process sends the sums of the largest nodes of the tree that it has;
    each adds one slice of the gradient along the tree and sends the result to all. So every number
    is added in the same order for any number of processes.

    Parameters
    ----------
    count : int
        Number of shards of every batch.
    group : Group, optional
        Processes that share them.
    """

    def __init__(self, count: int = 1, group: Group | None = None) -> None:
        self.count = count
        self.group = group
        self.size = 1 if group is None else group.size
        self.rank = 0 if group is None else group.rank
        if self.size > count:
            raise ValueError(
                f"shards must be >= {self.size}, the number of processes of the communicator, got "
                f"{count}"
            )
        self.begin, self.end = even_share(count, self.rank, self.size)
        self._messages: _Messages | None = None

    @property
    def own(self) -> range:
        """The shards of this process."""
        return range(self.begin, self.end)

    @property
    def exchange(self) -> Callable[[Array, Array, int], int] | None:
        """The function that the core calls in every step; None if no other process has shards."""
        return None if self.size == 1 else self._exchange

    def require_joint(self) -> None:
        """Raise RuntimeError because another process has ended the training."""
        if self.group is not None:
            self.group.note_end()
        raise RuntimeError("another process of the communicator ended the training")

    def _exchange(self, gradients: Array, results: Array, status: int) -> int:
        """Replace the first sum by that over all shards, and return the largest status.

        Parameters
        ----------
        gradients : array of shape (sums, parameters)
            Gradients of the nodes of the tree that this process has. The first is replaced.
        results : float64 array of shape (sums, 2)
            Likewise losses and weights of correct predictions.
        status : int
            0 if the step counts, 1 if it diverged, 2 if the training is to stop.
        """
        assert self.group is not None
        if self._messages is None:
            size, dtype = gradients.shape[1], gradients.dtype
            self._messages = self.group.together(lambda: _Messages(self, size, dtype))
        messages, communicator = self._messages, self.group.communicator
        messages.pack(gradients, results, status, self.group.signal)
        communicator.Alltoallv(messages.sent, messages.received)
        status, number = messages.status()
        self.group.answer(number)
        if status:
            self.group.note_end()
            return status
        messages.add()
        results[0] = messages.results[0]
        communicator.Allgatherv(messages.slice, [gradients[0], messages.slices])
        return 0


WHOLE = Shards()  # one, of one process


class _Block(NamedTuple):
    """What one process sends to another: views of the memory of a message."""

    status: npt.NDArray[np.int64]  # of a step, and the number of a signal or 0
    results: npt.NDArray[np.float64]
    gradients: Array  # a slice of them, of shape (sums, elements)


class _Messages:
    """The memory of an exchange: blocks from each process to each other, and their sums."""

    def __init__(self, shards: Shards, elements: int, dtype: np.dtype[Any]) -> None:
        count, size, rank = shards.count, shards.size, shards.rank
        nodes = [_core.shard_sums(count, *even_share(count, r, size)) for r in range(size)]
        self._slices = [even_share(elements, r, size) for r in range(size)]
        widths = [end - begin for begin, end in self._slices]
        self.slices = (widths, [begin for begin, _ in self._slices])  # for MPI
        self.sent, self._to = _blocks([(len(nodes[rank]), width) for width in widths], dtype)
        self.received, self._from = _blocks([(len(own), widths[rank]) for own in nodes], dtype)
        self.results = np.zeros((sum(map(len, nodes)), 2))
        self._gradients: list[Array] = [row for block in self._from for row in block.gradients]
        self._additions = _additions(count, [node for own in nodes for node in own])

    @property
    def slice(self) -> Array:
        """The slice of the gradient that this process has added."""
        return self._gradients[0]

    def pack(self, gradients: Array, results: Array, status: int, number: int) -> None:
        for (begin, end), block in zip(self._slices, self._to, strict=True):
            block.status[:] = status, number
            block.results[:] = results
            block.gradients[:] = gradients[:, begin:end]

    def status(self) -> tuple[int, int]:
        """Return the largest status, and the number of a signal that a process received or 0."""
        return (
            max(int(block.status[0]) for block in self._from),
            next((int(block.status[1]) for block in self._from if block.status[1]), 0),
        )

    def add(self) -> None:
        """Add the sums of all nodes along the tree, into the first."""
        np.concatenate([block.results for block in self._from], out=self.results)
        for left, right in self._additions:
            _core.add_sum(self._gradients[left], self._gradients[right])
            _core.add_sum(self.results[left], self.results[right])


def _blocks(shapes: list[tuple[int, int]], dtype: np.dtype[Any]) -> tuple[list[Any], list[_Block]]:
    """Return a message for MPI, and its blocks, whose gradients have these shapes."""
    parts = [
        [_aligned(16), _aligned(16 * sums), _aligned(sums * width * dtype.itemsize)]
        for sums, width in shapes
    ]
    sizes = [sum(part) for part in parts]
    starts = [sum(sizes[:block]) for block in range(len(sizes))]
    buffer = np.zeros(sum(sizes), np.uint8)
    blocks = []
    for start, (status, results, _), (sums, width) in zip(starts, parts, shapes, strict=True):
        places = (start, start + status, start + status + results)
        views = [buffer[place:] for place in places]
        blocks.append(
            _Block(
                views[0][:16].view(np.int64),
                views[1][: 16 * sums].view(np.float64).reshape(sums, 2),
                views[2][: sums * width * dtype.itemsize].view(dtype).reshape(sums, width),
            )
        )
    return [buffer, (sizes, starts)], blocks


def _aligned(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _additions(shards: int, nodes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return which node is added to which, in order; in the end the first is the whole tree."""
    additions = []
    stack: list[tuple[int, int, int]] = []  # begin, end and number of a node
    for number, (begin, end) in enumerate(nodes):
        stack.append((begin, end, number))
        while len(stack) > 1 and len(_core.shard_sums(shards, stack[-2][0], stack[-1][1])) == 1:
            _, last, right = stack.pop()
            first, _, left = stack.pop()
            additions.append((left, right))
            stack.append((first, last, left))
    return additions


def described_setting(value: object) -> str:
    """Return a text that is the same in all processes for equal settings."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def digest(*arrays: Array | None) -> str:
    """Return a digest of the bytes and shapes of arrays."""
    value = hashlib.sha256()
    for array in arrays:
        if array is not None:
            value.update(f"{array.dtype} {array.shape}".encode())
            value.update(np.ascontiguousarray(array).data)
    return value.hexdigest()[:16]
