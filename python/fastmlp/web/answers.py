"""Responses, and those to what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastmlp.extras import require
from fastmlp.web.refusal import RequestError

__all__ = ["HEADERS", "App", "Request", "Response", "add_refusals", "endpoint", "error", "response"]

# FastAPI is an extra, and its types are not known where it is absent.
Request = Any
Response = Any
App = Any

_LONGEST_ERROR = 4000
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def response(
    content: bytes,
    status: int = 200,
    media_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a response with the headers that all have."""
    responses = require("serve", "starlette.responses")
    return responses.Response(
        content, status, headers=HEADERS | (headers or {}), media_type=media_type
    )


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return a response whose body is ``{"error": message}``."""
    if len(message) > _LONGEST_ERROR:
        message = f"{message[:_LONGEST_ERROR]}..."
    return response(json.dumps({"error": message}).encode(), status, headers=headers)


def endpoint(handler: Callable[[Request], Awaitable[Response]]) -> Any:
    """Return a handler that FastAPI passes the request to, which it does by its annotation."""

    async def answer(request: Request) -> Response:
        return await handler(request)

    answer.__annotations__ = {"request": require("serve", "fastapi").Request}
    return answer


def add_refusals(made: App, routes: str) -> None:
    """Let an application answer what goes wrong.

    Parameters
    ----------
    made : fastapi.FastAPI
    routes : str
        What the application has, for requests of something else.
    """

    async def on_refusal(_request: Request, raised: Exception) -> Response:
        assert isinstance(raised, RequestError)
        return error(raised.status, str(raised), raised.headers)

    async def on_http_error(_request: Request, raised: Any) -> Response:
        """Answer what no route answers: an unknown path, or another method."""
        message = f"{str(raised.detail).lower()}; the service has {routes}"
        return error(raised.status_code, message, dict(raised.headers or {}))

    async def on_failure(_request: Request, _raised: Exception) -> Response:
        return error(500, "the service failed; its log says why")

    errors = require("serve", "starlette.exceptions")
    made.add_exception_handler(RequestError, on_refusal)
    made.add_exception_handler(errors.HTTPException, on_http_error)
    made.add_exception_handler(Exception, on_failure)
