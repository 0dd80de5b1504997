"""The sessions of a server: their number, their end, and the events that their tabs read."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastmlp.play.session import Session
from fastmlp.web.refusal import RequestError

__all__ = ["Limits", "Live", "Sessions"]

_T = TypeVar("_T")
_SHARE = 0.6  # of the time of a frame, for its training
_HEARTBEAT = 15.0  # seconds after which an idle stream says that it is there


@dataclass(frozen=True)
class Limits:
    """Limits of the playground.

    Attributes
    ----------
    sessions : int
        Sessions at a time; each tab has one.
    idle : float
        Seconds after which a session ends that no tab reads.
    body : int
        Bytes of a request.
    timeout : float
        Seconds for a request to arrive.
    connections : int
        Open connections.
    workers : int
        Sessions that compute at the same time.
    """

    sessions: int = 32
    idle: float = 600.0
    body: int = 200_000
    timeout: float = 30.0
    connections: int = 256
    workers: int = 2


class Live:
    """A session that requests reach one after the other.

    Parameters
    ----------
    session : Session
    workers : ThreadPoolExecutor
        Threads that compute.
    """

    def __init__(self, session: Session, workers: ThreadPoolExecutor) -> None:
        self.session = session
        self.streams = 0  # that were opened; the last one alone goes on
        self.readers = 0  # streams that are open
        self.has_ended = False
        self.timer: asyncio.TimerHandle | None = None
        self._workers = workers
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()

    async def do(self, work: Callable[[], _T]) -> _T:
        """Do something with the session, and let its stream look for what changed.

        Raises
        ------
        RequestError
            The session cannot do it.
        """
        try:
            return await self.read(work)
        except ValueError as error:
            raise RequestError(422, str(error)) from None
        finally:
            self._changed.set()

    async def read(self, work: Callable[[], _T]) -> _T:
        """Return something of the session, which does not change.

        A client that leaves does not stop what is computed, which keeps others out until its end.
        """
        return await asyncio.shield(self._alone(work))

    async def _alone(self, work: Callable[[], _T]) -> _T:
        async with self._lock:
            return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    def end(self) -> None:
        """Let the stream end."""
        self.has_ended = True
        self._changed.set()

    async def events(self, frames_per_second: float) -> AsyncIterator[bytes]:
        """Yield server-sent events: "start" with each version, "frame" with each change."""
        loop = asyncio.get_running_loop()
        seconds = _SHARE / frames_per_second
        self.streams += 1
        number, version, has_news, due = self.streams, 0, True, loop.time()
        while self.streams == number and not self.has_ended:
            if has_news:
                self._changed.clear()
                text, version = await self.read(partial(_news, self.session, version, seconds))
                yield text
            else:
                yield b": nothing new\n\n"
            has_news = True
            if self.session.is_active:
                due = max(due + 1 / frames_per_second, loop.time())
                await asyncio.sleep(due - loop.time())
                continue
            try:
                await asyncio.wait_for(self._changed.wait(), _HEARTBEAT)
            except asyncio.TimeoutError:
                has_news = False
            due = loop.time()


def _news(session: Session, version: int, seconds: float) -> tuple[bytes, int]:
    """Return the events that follow those of a version, and the present version."""
    start = _event("start", session.start()) if version != session.version else b""
    try:
        news = _event("frame", session.tick(seconds))
    except ValueError as error:  # which must not end the stream: the page would open it again
        session.rest()
        news = _event("failure", {"problem": str(error)})
    return start + news, session.version


def _event(name: str, content: dict[str, Any]) -> bytes:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode()


class Sessions:
    """The sessions by their names, which nobody can guess."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._workers = ThreadPoolExecutor(limits.workers, "playground")
        self._live: dict[str, Live] = {}
        self._opening = 0  # sessions that are being made, which count as open

    async def open(self, made: Callable[[], Session]) -> tuple[str, Live]:
        """Open a session.

        Raises
        ------
        RequestError
            There are too many, or the settings are wrong.
        """
        if len(self._live) + self._opening >= self.limits.sessions:
            unread = [name for name, live in self._live.items() if not live.readers]
            if not unread:
                raise RequestError(
                    503, f"{self.limits.sessions} sessions are open; close another tab first"
                )
            self.end(unread[0])
        name = secrets.token_urlsafe(16)
        loop = asyncio.get_running_loop()
        self._opening += 1
        try:
            session = await loop.run_in_executor(self._workers, made)
        except ValueError as error:
            raise RequestError(422, str(error)) from None
        finally:
            self._opening -= 1
        self._live[name] = Live(session, self._workers)
        return name, self.get(name)

    def get(self, name: str) -> Live:
        """Return a session.

        Raises
        ------
        RequestError
            There is none, or it has ended.
        """
        if name not in self._live:
            raise RequestError(404, "the session has ended; open a new one")
        self._wait(name)
        return self._live[name]

    def end(self, name: str) -> None:
        """End a session, if it has not ended."""
        live = self._live.pop(name, None)
        if live is not None:
            if live.timer is not None:
                live.timer.cancel()
            live.end()

    def end_all(self) -> None:
        """End all sessions, so that no stream keeps the server."""
        for name in list(self._live):
            self.end(name)

    async def events(self, name: str, frames_per_second: float) -> AsyncIterator[bytes]:
        """Yield the events of a session, which does not end meanwhile."""
        live = self.get(name)
        live.readers += 1
        try:
            async for event in live.events(frames_per_second):
                yield event
        finally:
            live.readers -= 1
            if name in self._live:
                self._wait(name)

    def _wait(self, name: str) -> None:
        """Let a session end if nothing asks for it for a while."""
        live = self._live[name]
        if live.timer is not None:
            live.timer.cancel()
        loop = asyncio.get_running_loop()
        live.timer = loop.call_later(self.limits.idle, self._end_if_idle, name)

    def _end_if_idle(self, name: str) -> None:
        if not self._live[name].readers:
            self.end(name)
