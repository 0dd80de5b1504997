"""Bodies of requests, of which no more is kept than is allowed."""

from __future__ import annotations

import asyncio

from fastmlp.extras import require
from fastmlp.web.answers import Request
from fastmlp.web.refusal import RequestError

__all__ = ["read_body"]

# A client that has sent too much reads no answer before it has sent all, so that the rest is taken
# and dropped, up to this size.
_MOST_DROPPED = 1 << 28


async def read_body(request: Request, most: int, timeout: float) -> bytes:
    """Return the body of a request.

    Parameters
    ----------
    request : fastapi.Request
    most : int
        Its largest size in bytes.
    timeout : float
        Seconds within which it has to arrive.

    Raises
    ------
    RequestError
        It is too large, too slow, encoded or cut.
    """
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
