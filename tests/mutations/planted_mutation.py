"""One bug to plant: a part of a file, and what stands there instead."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutation"]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str
