"""The refusal of a request."""

from __future__ import annotations

__all__ = ["RequestError"]


class RequestError(Exception):
    """A request that is refused, with the status of the response."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
