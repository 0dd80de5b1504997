"""Names under which a service for this machine alone answers."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from fastmlp.web.answers import App, error

__all__ = ["add_known_hosts", "is_local"]


def is_local(listener: socket.socket) -> bool:
    """Return whether only this machine reaches a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def add_known_hosts(made: App, listener: socket.socket, host: str) -> None:
    """Let an application that this machine alone reaches refuse requests under other names.

    A page of the web can give its own name the address of this machine.

    Parameters
    ----------
    made : fastapi.FastAPI
    listener : socket.socket
        The socket of the application.
    host : str
        The name that it was opened with.
    """
    if is_local(listener):
        hosts = frozenset({"localhost", "127.0.0.1", "[::1]", host.lower()})
        made.add_middleware(_KnownHosts, hosts=hosts)


class _KnownHosts:
    """Refusal of requests whose header Host has another name; a layer around the application."""

    def __init__(self, app: App, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        named = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
        if all(_host_name(value) in self._hosts for value in named):
            await self._app(scope, receive, send)
            return
        names = ", ".join(sorted(self._hosts))
        await error(403, f"Host: must be one of {names}")(scope, receive, send)


def _host_name(value: str) -> str:
    name = value.lower()
    return (
        name[: name.index("]") + 1] if name.startswith("[") and "]" in name else name.split(":")[0]
    )
