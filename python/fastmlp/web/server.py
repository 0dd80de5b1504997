"""The process of a service: its socket, its connections, its end."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Callable
from typing import Any

from fastmlp.extras import require
from fastmlp.web.answers import App
from fastmlp.web.hosts import add_known_hosts

__all__ = ["address_of", "listen", "run"]

_END_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        0: a free port.

    Raises
    ------
    OSError
        The address is unknown, or the port is used or forbidden.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return socket.create_server(address[:2], family=family, backlog=128)


def address_of(listener: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(
    made: App,
    listener: socket.socket,
    host: str,
    *,
    timeout: float,
    connections: int,
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; requests that are being answered are finished.

    Parameters
    ----------
    made : fastapi.FastAPI
    listener : socket.socket
        As `listen` returns it.
    host : str
        The name that it was opened with.
    timeout : float
        Seconds for the headers of a request.
    connections : int
        Open connections; requests on others are refused.
    on_end : callable, optional
        Called when the server begins to end.

    Raises
    ------
    KeyboardInterrupt
        SIGINT ended the service. After SIGTERM its handler runs, which may raise another one.
    """
    uvicorn = require("serve", "uvicorn")
    add_known_hosts(made, listener, host)
    config = uvicorn.Config(
        made,
        http=_protocol(timeout),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=connections,
        timeout_graceful_shutdown=_END_SECONDS,
    )
    with warnings.catch_warnings():  # filters belong to the process, so no request changes them
        warnings.simplefilter("ignore")
        _server(on_end)(config).run(sockets=[listener])
    # After a signal the server raises it again, which an event loop may take for its own end.
    raise KeyboardInterrupt


def _server(on_end: Callable[[], None]) -> Any:
    """Return the class of a server that says when it begins to end."""
    uvicorn = require("serve", "uvicorn")

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        async def shutdown(self, sockets: Any = None) -> None:
            on_end()
            await super().shutdown(sockets)

    return Server


def _protocol(timeout: float) -> Any:
    """Return the protocol of connections, which closes those that send no whole request."""
    h11_impl = require("serve", "uvicorn.protocols.http.h11_impl")

    class Protocol(h11_impl.H11Protocol):  # type: ignore[misc, name-defined]
        """HTTP/1.1 with a time limit for the headers of a request."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer: Any = None
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _watch(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_timer()
            elif self._timer is None:
                self._timer = self.loop.call_later(timeout, self._close_without_request)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _close_without_request(self) -> None:
            self._timer = None
            self.timeout_keep_alive_handler()

    return Protocol
