"""The command `fastmlp serve`: answer requests over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import ExitCode
from fastmlp.cli.listening import address_options, listening, require_server
from fastmlp.cli.options import (
    Choice,
    CommandBase,
    Number,
    Whole,
    common_options,
    threads_option,
)
from fastmlp.cli.runs import open_models, run_or_file
from fastmlp.extras import require

__all__ = ["serve"]

EXAMPLES = """\
fastmlp serve runs/001-iris
fastmlp serve model.safetensors --port 0
curl -H 'Content-Type: application/json' -d '{"size": 80, "town": "Kiel"}' http://127.0.0.1:8000/predict
curl -H 'Content-Type: text/csv' --data-binary @houses.csv http://127.0.0.1:8000/predict"""
_GIGABYTE = 1_000_000_000


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@address_options
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
    require_server()
    require("data", "polars")
    from fastmlp.service.application import application
    from fastmlp.service.limits import Limits
    from fastmlp.service.predictor import Predictor
    from fastmlp.web.server import run

    limits = Limits(max_bytes=max_bytes, max_rows=max_rows, timeout=timeout)
    predictor = Predictor(
        network, _name_of(place), unknown_categories=unknown_categories, threads=threads,
        limits=limits,
    )  # fmt: skip
    with listening(ctx, host, port, {"model": str(path)}) as (listener, _):
        run(
            application(predictor), listener, host,
            timeout=limits.timeout, connections=limits.connections,
        )  # fmt: skip
    return int(ExitCode.OK)


def _name_of(place: Path) -> str:
    return place.resolve().name if place.is_dir() else place.stem
