"""Options, socket and first lines of commands that answer over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastmlp.cli.errors import ConfigError
from fastmlp.cli.options import Whole, state_of
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.signals import stop_counting
from fastmlp.extras import require

if TYPE_CHECKING:
    import socket

__all__ = ["address_options", "listening", "require_server"]

F = TypeVar("F", bound=Callable[..., Any])


def address_options(function: F) -> F:
    """Add the options --host and --port."""
    host = click.option(
        "--host", default="127.0.0.1", metavar="NAME",
        help="Address to listen on; others than this reach other machines.  [default: 127.0.0.1]",
    )  # fmt: skip
    port = click.option(
        "--port", type=Whole(0, 65535), default=8000, metavar="N",
        help="Port to listen on, 0 for a free one.  [default: 8000]",
    )  # fmt: skip
    return host(port(function))


def require_server() -> None:
    """Raise an error that says what to install, if the server is missing."""
    for package in ("fastapi", "uvicorn"):
        require("serve", package)


@contextmanager
def listening(
    ctx: click.Context, host: str, port: int, about: Mapping[str, str]
) -> Iterator[tuple[socket.socket, str]]:
    """Open a socket, and print what is served there and the address.

    Parameters
    ----------
    ctx : click.Context
    host, port : str, int
        Values of the options.
    about : mapping of str to str
        Names and values that are printed before the address.

    Yields
    ------
    socket, str
        The socket and its URL. A signal ends the command from here on as the server decides.
    """
    from fastmlp.web.hosts import is_local
    from fastmlp.web.server import address_of

    listener = _listen(host, port)
    stop_counting()  # the server raises a signal again when it has ended
    with listener:
        state, url = state_of(ctx), address_of(listener)
        if not is_local(listener):
            click.echo("fastmlp: warning: other machines can reach this service", err=True)
        lines = {**about, "url": url}
        if state.json:
            print_json(state, document_head(ctx.command.name or "") | lines)
        else:
            shown = {**about, "address": url}
            click.echo("\n".join(f"{name:<8}{value}" for name, value in shown.items()))
        yield listener, url


def _listen(host: str, port: int) -> socket.socket:
    from fastmlp.web.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        # The system's words alone; numbers of names that are not found are none of the system's.
        number = error.errno or 0
        problem = os.strerror(number) if number > 0 else error.strerror or error
        text = f"--host {host} --port {port}: {problem}"
        hint = "; --port 0 takes a free one" if port else ""
        raise ConfigError(f"{text}{hint}") from error
