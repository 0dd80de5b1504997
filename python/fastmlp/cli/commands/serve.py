"""The command `fastmlp serve`: answer requests over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import (
    Choice,
    CommandBase,
    Number,
    Whole,
    common_options,
    state_of,
    threads_option,
)
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.runs import open_models, run_or_file
from fastmlp.cli.signals import stop_counting
from fastmlp.extras import require

if TYPE_CHECKING:
    import socket

__all__ = ["serve"]

EXAMPLES = """\
fastmlp serve runs/001-iris
fastmlp serve model.safetensors --port 0
curl -H 'Content-Type: application/json' -d '{"size": 80, "town": "Kiel"}' http://127.0.0.1:8000/predict
curl -H 'Content-Type: text/csv' --data-binary @houses.csv http://127.0.0.1:8000/predict"""
_GIGABYTE = 1_000_000_000


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@click.option(
    "--host", default="127.0.0.1", metavar="NAME",
    help="Address to listen on; others than this reach other machines.  [default: 127.0.0.1]",
)  # fmt: skip
@click.option(
    "--port", type=Whole(0, 65535), default=8000, metavar="N",
    help="Port to listen on, 0 for a free one.  [default: 8000]",
)  # fmt: skip
@click.option(
    "--max-bytes", type=Whole(1, _GIGABYTE), default=10_000_000, metavar="N",
    help="Largest body of a request.  [default: 10,000,000]",
)  # fmt: skip
@click.option(
    "--max-rows", type=Whole(1, _GIGABYTE), default=10_000, metavar="N",
    help="Most rows of a request.  [default: 10,000]",
)  # fmt: skip
@click.option(
    "--timeout", type=Number(0, 86400, open_low=True), default=30.0, metavar="SECONDS",
    help="Time for a request to arrive, and for its answer.  [default: 30]",
)  # fmt: skip
@click.option(
    "--unknown-categories", type=Choice(("ignore", "error")), default=None,
    help="Answer for rows with names that the training did not have, or report them.  "
    "[default: as in the training]",
)  # fmt: skip
@threads_option
@common_options()
@click.pass_context
def serve(
    ctx: click.Context, /, *, model: str, host: str, port: int, max_bytes: int, max_rows: int,
    timeout: float, unknown_categories: str | None, threads: int | None,
) -> int:  # fmt: skip
    """Answer requests over HTTP.

    MODEL is the directory or number of a run, the directory of a cross-validation, whose models
    answer together, or a model file. POST /predict takes rows as JSON,
    JSON lines, CSV or TSV, or an image, which are read like the files of 'fastmlp predict', and
    answers with JSON. GET /schema tells what a row is, GET /health whether the service runs, GET
    /openapi.json is for generators of clients, and GET / is a page with a form. The service knows
    no users and does not encrypt; put it behind a server that does before others reach it. Ctrl-C
    or SIGTERM ends it.
    """
    place = run_or_file(model)
    network, path = open_models(place)
    for package in ("fastapi", "uvicorn"):
        require("serve", package)
    require("data", "polars")
    from fastmlp.service.limits import Limits
    from fastmlp.service.predictor import Predictor
    from fastmlp.service.server import serve as run_server

    predictor = Predictor(
        network, _name_of(place), unknown_categories=unknown_categories, threads=threads,
        limits=Limits(max_bytes=max_bytes, max_rows=max_rows, timeout=timeout),
    )  # fmt: skip
    listener = _listen(host, port)
    stop_counting()  # the server raises a signal again when it has ended
    with listener:
        _announce(ctx, path, listener)
        run_server(predictor, listener, host)
    return int(ExitCode.OK)


def _name_of(place: Path) -> str:
    return place.resolve().name if place.is_dir() else place.stem


def _listen(host: str, port: int) -> socket.socket:
    from fastmlp.service.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        # The system's words alone; numbers of names that are not found are none of the system's.
        number = error.errno or 0
        problem = os.strerror(number) if number > 0 else error.strerror or error
        text = f"--host {host} --port {port}: {problem}"
        hint = "; --port 0 takes a free one" if port else ""
        raise ConfigError(f"{text}{hint}") from error


def _announce(ctx: click.Context, path: Path, listener: socket.socket) -> None:
    from fastmlp.service.server import address_of, is_local

    state, url = state_of(ctx), address_of(listener)
    if not is_local(listener):
        click.echo("fastmlp: warning: other machines can reach this service", err=True)
    if state.json:
        print_json(state, document_head("serve") | {"model": str(path), "url": url})
    else:
        click.echo(f"{'model':<8}{path}\n{'address':<8}{url}")
