"""`ReadAhead`: items of a generator that a thread makes while the caller works on others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["ReadAhead"]

T = TypeVar("T")
_THREAD = "fastmlp-read-ahead"


class ReadAhead(Generic[T]):
    """An iterator over the items of a generator, which runs in a thread.

    At most `ahead` items exist at once: the thread makes the next one when the caller asks for an
    item, because it is then done with the one before. An exception of the generator is raised
    by `__next__`. The thread begins with the first item that is asked for, and ends with the
    generator, or with `close`, which waits for it; both close the generator in the thread.

    Parameters
    ----------
    items : generator
    ahead : int
        Number of items, including the one that the caller has.

    Examples
    --------
    >>> with_thread = ReadAhead(i * i for i in range(3))
    >>> list(with_thread)
    [0, 1, 4]
    """

    def __init__(self, items: Generator[T, None, None], ahead: int = 2) -> None:
        self._free = threading.Semaphore(ahead)
        self._made: queue.SimpleQueue[tuple[list[T], BaseException | None]] = queue.SimpleQueue()
        self._has_begun = self._has_ended = self._is_closed = self._holds = False
        self._thread = threading.Thread(target=self._make, args=(items,), name=_THREAD, daemon=True)

    def _make(self, items: Generator[T, None, None]) -> None:
        error: BaseException | None = None
        try:
            while True:
                self._free.acquire()
                if self._is_closed:
                    break
                # The queue alone holds the item.
                self._made.put(([next(items)], None))
        except StopIteration:
            pass
        except BaseException as raised:  # noqa: BLE001 - the caller gets it
            error = raised
        try:
            items.close()
        except BaseException as raised:  # noqa: BLE001
            error = error or raised
        self._made.put(([], error))

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._has_ended:
            raise StopIteration
        if not self._has_begun:
            self._has_begun = True
            self._thread.start()
        if self._holds:
            self._free.release()
            self._holds = False
        item, error = self._made.get()
        if item:
            self._holds = True
            return item.pop()
        self._has_ended = True
        self._thread.join()
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the thread, after the item that it is making."""
        self._is_closed = self._has_ended = True
        self._free.release()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> ReadAhead[T]:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
