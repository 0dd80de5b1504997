"""What a request may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Limits of requests.

    Attributes
    ----------
    max_bytes : int
        Size of a body.
    max_rows : int
        Rows of a request.
    timeout : float
        Seconds for the headers of a request, for its body, and for its answer, each.
    predictions : int
        Requests that are answered at the same time.
    waiting : int
        Requests that are read, wait or are answered at the same time; others are refused.
    connections : int
        Open connections; requests on others are refused.
    probabilities : int
        Probabilities of one answer.
    """

    max_bytes: int = 10_000_000
    max_rows: int = 10_000
    timeout: float = 30.0
    predictions: int = 4
    waiting: int = 64
    connections: int = 512
    probabilities: int = 1_000_000
