"""The routes of the service, as an application of FastAPI."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastmlp._version import __version__
from fastmlp.extras import require
from fastmlp.service.description import answer_schema, describe, row_schema
from fastmlp.service.page import page, policy
from fastmlp.service.predictor import Predictor
from fastmlp.service.samples import IMAGES
from fastmlp.web.answers import App, Request, Response, add_refusals, endpoint, response
from fastmlp.web.bodies import read_body
from fastmlp.web.refusal import RequestError

__all__ = ["application"]

_ROUTES = "POST /predict, GET /schema, GET /health, GET / and GET /openapi.json"


def application(predictor: Predictor) -> App:
    """Return the application that serves a model, of FastAPI."""
    made = require("serve", "fastapi").FastAPI(
        title=f"fastmlp: {predictor.name}",
        version=__version__,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    _add_routes(made, _Routes(predictor))
    add_refusals(made, _ROUTES)
    return made


def _add_routes(made: App, routes: _Routes) -> None:
    model = routes.predictor.model
    body = {
        "required": True,
        "content": {
            "application/json": {"schema": _body_schema(row_schema(model))},
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "text/tab-separated-values": {"schema": {"type": "string"}},
        },
    }
    if model.preprocessing is not None and model.preprocessing.image_shape is not None:
        binary = {"schema": {"type": "string", "format": "binary"}}
        body["content"] |= dict.fromkeys(IMAGES, binary)  # type: ignore[operator]
    without = {
        "name": "probabilities",
        "in": "query",
        "schema": {"type": "boolean", "default": True},
        "description": "Whether answers have probabilities",
    }
    answers = {
        "200": {"description": "Answers", "content": {"application/json": {
            "schema": answer_schema(),
        }}},
        **{str(code): {"description": text} for code, text in _REFUSALS.items()},
    }  # fmt: skip
    details = {"requestBody": body, "parameters": [without], "responses": answers}
    made.add_api_route(
        "/predict", endpoint(routes.predict), methods=["POST"],
        operation_id="predict", summary="Predict for rows", openapi_extra=details,
    )  # fmt: skip
    made.add_api_route("/schema", endpoint(routes.schema), summary="What a row is")
    made.add_api_route(
        "/health",
        endpoint(routes.health),
        operation_id="health",
        summary="Whether the service runs",
    )
    made.add_api_route("/", endpoint(routes.page), include_in_schema=False)


_REFUSALS = {
    400: "The body cannot be read",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "The body has a type that the model does not take",
    422: "No row can be served",
    503: "The service has too many requests, or needs too long",
}


def _body_schema(row: dict[str, Any]) -> dict[str, Any]:
    rows = {"type": "array", "items": row}
    wrapped = {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}
    return {"anyOf": [wrapped, rows, row]}


# ---------------------------------------------------------------- routes


class _Routes:
    """The handlers. They run in one thread, and predictions in a few others."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._limits = predictor.limits
        self._workers = ThreadPoolExecutor(predictor.limits.predictions, "prediction")
        self._open = 0
        self._page = page(predictor.model, predictor.name).encode()
        self._policy = policy()
        self._description = json.dumps(describe(predictor.model, predictor.name)).encode()

    async def page(self, request: Request) -> Response:
        """Answer ``GET /``."""
        policy = {"Content-Security-Policy": self._policy}
        return response(self._page, media_type="text/html", headers=policy)

    async def schema(self, request: Request) -> Response:
        """Answer ``GET /schema``."""
        return response(self._description)

    async def health(self, request: Request) -> Response:
        """Answer ``GET /health``."""
        state = {"status": "ok", "model": self.predictor.name, "fastmlp": __version__}
        return response(json.dumps(state).encode())

    async def predict(self, request: Request) -> Response:
        """Answer ``POST /predict``."""
        if self._open >= self._limits.waiting:
            raise _busy(f"{self._open} requests are being answered; try again later")
        probabilities = _truth(request.query_params.get("probabilities", "true"))
        self._open += 1
        try:
            body = await read_body(request, self._limits.max_bytes, self._limits.timeout)
            content_type = request.headers.get("content-type", "")
            return response(await self._answer(body, content_type, probabilities))
        except asyncio.CancelledError:  # the server ends, and this took too long
            raise _busy("the service is ending") from None
        finally:
            self._open -= 1

    async def _answer(self, body: bytes, content_type: str, probabilities: bool) -> bytes:
        def answer() -> bytes:
            return self.predictor.answer(body, content_type, probabilities=probabilities)

        running = asyncio.get_running_loop().run_in_executor(self._workers, answer)
        try:
            return await asyncio.wait_for(running, self._limits.timeout)
        except asyncio.TimeoutError:
            seconds = f"{self._limits.timeout:g} s"
            raise _busy(f"the answer took longer than {seconds}; send fewer rows") from None


def _truth(text: str) -> bool:
    truths = {"true": True, "1": True, "false": False, "0": False}
    if text not in truths:
        raise RequestError(400, "probabilities: must be true or false")
    return truths[text]


def _busy(message: str) -> RequestError:
    return RequestError(503, message, {"Retry-After": "1"})
