"""Several processes that train one network: shards, sums over them, common decisions and ends."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from fastmlp import _core
from fastmlp.errors import DivergedError

__all__ = ["WHOLE", "Group", "Shards", "described_setting", "digest", "ends_together"]

P = ParamSpec("P")
R = TypeVar("R")
Array = npt.NDArray[Any]
_METHODS = ("Get_rank", "Get_size", "Alltoallv", "Allgatherv", "allgather", "bcast", "Abort")
_LINE = 64  # bytes to which blocks of a message are aligned


def even_share(total: int, index: int, parts: int) -> tuple[int, int]:
    """Return begin and end of one of `parts` contiguous parts of nearly equal size."""
    base, extra = divmod(total, parts)
    begin = index * base + min(index, extra)
    return begin, begin + base + (index < extra)


class Group:
    """The processes of an MPI communicator, which train one network together.

    Every process calls every method, at the same place of its training.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm
        Communicator of the processes.
    """

    def __init__(self, communicator: Any) -> None:
        missing = [name for name in _METHODS if not hasattr(communicator, name)]
        if missing:
            raise TypeError(
                f"communicator must be one of mpi4py, such as mpi4py.MPI.COMM_WORLD, got "
                f"{type(communicator).__name__}"
            )
        self.communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()
        self._trains = False
        self._ends_alike = False

    @property
    def is_first(self) -> bool:
        """Whether this process prints, writes and decides for all."""
        return self.rank == 0

    def of_first(self, value: R) -> R:
        """Return the value of the first process."""
        result: R = self.communicator.bcast(value, root=0)
        return result

    def gathered(self, value: R) -> list[R]:
        """Return the values of all processes, by rank; used before the training.

        Raises
        ------
        RuntimeError
            Another process failed before it came here.
        """
        told: list[tuple[str | None, R]] = self.communicator.allgather((None, value))
        for rank, (failure, _) in enumerate(told):
            if failure is not None:
                self._ends_alike = True
                raise RuntimeError(f"rank {rank} failed before the training began: {failure}")
        return [value for _, value in told]

    def agree(self, settings: Mapping[str, object]) -> None:
        """Require that all processes have equal settings.

        Raises
        ------
        ValueError
            They differ, in every process; the message names them.
        RuntimeError
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
        values = self.communicator.allgather(value)
        odd = [rank for rank, other in enumerate(values) if other != values[0]]
        if odd:
            raise RuntimeError(
                f"{name} of rank {', '.join(map(str, odd))} differ from those of rank 0: a "
                "callback must change a model in the same way on all ranks"
            )

    def begin(self) -> None:
        """Note that the training begins: from now on an error of one process ends all."""
        self._trains = True

    def note_end(self) -> None:
        """Note that all processes end this training now, each by an error of its own."""
        self._ends_alike = True

    def fail(self, error: BaseException) -> None:
        """Tell the others of an error; end all processes if they are in the training already."""
        if self._ends_alike or isinstance(error, DivergedError):
            return
        if not self._trains:
            self._ends_alike = True
            self.communicator.allgather((f"{type(error).__name__}: {error}", None))
            return
        traceback.print_exception(error)
        print(
            f"rank {self.rank} failed ({type(error).__name__}: {error}): all ranks end; the last "
            "checkpoint can be resumed",
            file=sys.stderr,
            flush=True,
        )
        self.communicator.Abort(1)


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
            group.note_end()
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
        self._group = group
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
    def exchange(self) -> Callable[[Array, Array, int], int] | None:
        """The function that the core calls in every step; None if no other process has shards."""
        return None if self.size == 1 else self._exchange

    def require_joint(self) -> None:
        """Raise RuntimeError because another process has ended the training."""
        if self._group is not None:
            self._group.note_end()
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
        assert self._group is not None
        if self._messages is None:
            self._messages = _Messages(self, gradients.shape[1], gradients.dtype)
        messages, communicator = self._messages, self._group.communicator
        messages.pack(gradients, results, status)
        communicator.Alltoallv(messages.sent, messages.received)
        status = messages.status()
        if status:
            self._group.note_end()
            return status
        messages.add()
        results[0] = messages.results[0]
        communicator.Allgatherv(messages.slice, [gradients[0], messages.slices])
        return 0


WHOLE = Shards()  # one, of one process


class _Block(NamedTuple):
    """What one process sends to another: views of the memory of a message."""

    status: npt.NDArray[np.int64]
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

    def pack(self, gradients: Array, results: Array, status: int) -> None:
        for (begin, end), block in zip(self._slices, self._to, strict=True):
            block.status[0] = status
            block.results[:] = results
            block.gradients[:] = gradients[:, begin:end]

    def status(self) -> int:
        return max(int(block.status[0]) for block in self._from)

    def add(self) -> None:
        """Add the sums of all nodes along the tree, into the first."""
        np.concatenate([block.results for block in self._from], out=self.results)
        for left, right in self._additions:
            np.add(self._gradients[left], self._gradients[right], out=self._gradients[left])
            self.results[left] += self.results[right]


def _blocks(shapes: list[tuple[int, int]], dtype: np.dtype[Any]) -> tuple[list[Any], list[_Block]]:
    """Return a message for MPI, and its blocks, whose gradients have these shapes."""
    parts = [
        [_aligned(8), _aligned(16 * sums), _aligned(sums * width * dtype.itemsize)]
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
                views[0][:8].view(np.int64),
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
