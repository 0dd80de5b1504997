"""The routes of the service, as an application of FastAPI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastmlp._version import __version__
from fastmlp.extras import require
from fastmlp.service.description import answer_schema, describe, row_schema
from fastmlp.service.limits import RequestError
from fastmlp.service.page import page, security_policy
from fastmlp.service.predictor import Predictor
from fastmlp.service.samples import IMAGES

__all__ = ["application"]

# FastAPI is an extra, and its types are not known where it is absent.
Request = Any
Response = Any
App = Any

# A client that has sent too much reads no answer before it has sent all, so that the rest is taken
# and dropped, up to this size.
_MOST_DROPPED = 1 << 28
_LONGEST_ERROR = 4000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(predictor: Predictor, hosts: frozenset[str] | None = None) -> App:
    """Return the application that serves a model.

    Parameters
    ----------
    predictor : Predictor
    hosts : frozenset of str, optional
        Names in the header Host that are answered; by default all. A service for this machine
        alone refuses other names, because a page of the web can give its own name the address of
        this machine.

    Returns
    -------
    fastapi.FastAPI
    """
    fastapi = require("serve", "fastapi")
    made = fastapi.FastAPI(
        title=f"fastmlp: {predictor.name}",
        version=__version__,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    routes = _Routes(predictor)
    _add_routes(made, routes, fastapi.Request)
    errors = require("serve", "starlette.exceptions")
    made.add_exception_handler(RequestError, _on_refusal)
    made.add_exception_handler(errors.HTTPException, _on_http_error)
    made.add_exception_handler(Exception, _on_failure)
    if hosts is not None:
        made.add_middleware(_KnownHosts, hosts=hosts)
    return made


def _add_routes(made: App, routes: _Routes, request_type: Any) -> None:
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
        "/predict", _endpoint(routes.predict, request_type), methods=["POST"],
        operation_id="predict", summary="Predict for rows", openapi_extra=details,
    )  # fmt: skip
    made.add_api_route("/schema", _endpoint(routes.schema, request_type), summary="What a row is")
    made.add_api_route(
        "/health",
        _endpoint(routes.health, request_type),
        operation_id="health",
        summary="Whether the service runs",
    )
    made.add_api_route("/", _endpoint(routes.page, request_type), include_in_schema=False)


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


def _endpoint(
    handler: Callable[[Request], Awaitable[Response]], request_type: Any
) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that FastAPI passes the request to, which it does by its annotation."""

    async def endpoint(request: Request) -> Response:
        return await handler(request)

    endpoint.__annotations__ = {"request": request_type}
    return endpoint


# ---------------------------------------------------------------- routes


class _Routes:
    """The handlers. They run in one thread, and predictions in a few others."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._limits = predictor.limits
        self._workers = ThreadPoolExecutor(predictor.limits.predictions, "prediction")
        self._open = 0
        self._page = page(predictor.model, predictor.name).encode()
        self._policy = security_policy()
        self._description = json.dumps(describe(predictor.model, predictor.name)).encode()

    async def page(self, request: Request) -> Response:
        """Answer ``GET /``."""
        policy = {"Content-Security-Policy": self._policy}
        return _response(self._page, media_type="text/html", headers=policy)

    async def schema(self, request: Request) -> Response:
        """Answer ``GET /schema``."""
        return _response(self._description)

    async def health(self, request: Request) -> Response:
        """Answer ``GET /health``."""
        state = {"status": "ok", "model": self.predictor.name, "fastmlp": __version__}
        return _response(json.dumps(state).encode())

    async def predict(self, request: Request) -> Response:
        """Answer ``POST /predict``."""
        if self._open >= self._limits.waiting:
            raise _busy(f"{self._open} requests are being answered; try again later")
        probabilities = _truth(request.query_params.get("probabilities", "true"))
        self._open += 1
        try:
            body = await _body(request, self._limits.max_bytes, self._limits.timeout)
            content_type = request.headers.get("content-type", "")
            return _response(await self._answer(body, content_type, probabilities))
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


async def _body(request: Request, most: int, timeout: float) -> bytes:
    """Return the body of a request, of which no more than `most` bytes are kept."""
    length = request.headers.get("content-length", "")
    too_large = RequestError(413, f"body: must have {most} bytes at most", {"Connection": "close"})
    announced = int(length) if length.isascii() and length.isdigit() else 0
    waits = request.headers.get("expect", "").lower() == "100-continue"
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(415, "Content-Encoding: must be left out", {"Connection": "close"})
    if announced > most + _MOST_DROPPED or (announced > most and waits):
        raise too_large
    try:
        body = await asyncio.wait_for(_read(request, most), timeout)
    except asyncio.TimeoutError:
        message = f"body: must arrive within {timeout:g} s"
        raise RequestError(408, message, {"Connection": "close"}) from None
    if body is None:
        raise too_large
    return body


async def _read(request: Request, most: int) -> bytes | None:
    disconnect = require("serve", "starlette.requests").ClientDisconnect
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= most:
                parts.append(part)
            else:
                parts.clear()
            if size > most + _MOST_DROPPED:
                break
    except disconnect:
        raise RequestError(400, "body: ended too early") from None
    return None if size > most else b"".join(parts)


# ---------------------------------------------------------------- responses


def _response(
    content: bytes,
    status: int = 200,
    media_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Response:
    responses = require("serve", "starlette.responses")
    return responses.Response(
        content, status, headers=_HEADERS | (headers or {}), media_type=media_type
    )


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    if len(message) > _LONGEST_ERROR:
        message = f"{message[:_LONGEST_ERROR]}..."
    return _response(json.dumps({"error": message}).encode(), status, headers=headers)


async def _on_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _error(error.status, str(error), error.headers)


async def _on_http_error(request: Request, error: Any) -> Response:
    """Answer what no route answers: an unknown path, or another method."""
    routes = "POST /predict, GET /schema, GET /health, GET / and GET /openapi.json"
    message = f"{str(error.detail).lower()}; the service has {routes}"
    return _error(error.status_code, message, dict(error.headers or {}))


async def _on_failure(_request: Request, _error_raised: Exception) -> Response:
    return _error(500, "the service failed; its log says why")


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
        await _error(403, f"Host: must be one of {names}")(scope, receive, send)


def _host_name(value: str) -> str:
    name = value.lower()
    return (
        name[: name.index("]") + 1] if name.startswith("[") and "]" in name else name.split(":")[0]
    )
