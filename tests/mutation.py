"""A bug to be planted: where, what stands there, and what takes its place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutation"]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str
