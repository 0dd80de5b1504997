"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutation"]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str
