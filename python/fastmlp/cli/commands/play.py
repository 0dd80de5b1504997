"""The command `fastmlp play`: a playground in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from fastmlp.cli.errors import ExitCode
from fastmlp.cli.listening import address_options, listening, require_server
from fastmlp.cli.options import (
    CommandBase,
    Whole,
    common_options,
    data_dir_option,
    offline_option,
)

__all__ = ["play"]

EXAMPLES = """\
fastmlp play
fastmlp play --open
fastmlp play --port 0 --data-dir data"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@address_options
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--max-sessions", type=Whole(1, 1000), default=32, metavar="N",
    help="Most tabs at a time, each with a network of its own.  [default: 32]",
)  # fmt: skip
@data_dir_option
@offline_option
@common_options()
@click.pass_context
def play(
    ctx: click.Context, /, *, host: str, port: int, opens: bool, max_sessions: int,
    data_dir: str | None,
) -> int:  # fmt: skip
    """Open a playground: watch networks learn, in the browser.

    The page at / shows a network that learns to tell points of the plane apart: choose data,
    inputs, layers, activation, loss and optimizer, and see regions, losses, every unit and every
    weight while it is trained, a batch or an epoch at a time. The page at /digits trains a network
    on MNIST and tells what it thinks of a digit that you draw. The address of a page keeps all of
    its settings, and "Show the code" prints the Python program and the command line with the same
    result. All is computed here; the pages load nothing from elsewhere. Ctrl-C or SIGTERM ends it.
    """
    require_server()
    from fastmlp.play.application import application
    from fastmlp.play.live import Limits, Sessions
    from fastmlp.web.server import run

    limits = Limits(sessions=max_sessions)
    sessions = Sessions(limits)
    made = application(sessions, None if data_dir is None else Path(data_dir))
    with listening(ctx, host, port, {}) as (listener, url):
        if opens:
            webbrowser.open(url)
        run(
            made, listener, host,
            timeout=limits.timeout, connections=limits.connections, on_end=sessions.end_all,
        )  # fmt: skip
    return int(ExitCode.OK)
