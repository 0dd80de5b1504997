"""Faults of the lines of a file, collected so that all can be told at once."""

from __future__ import annotations

from collections.abc import Hashable

from fastmlp.errors import FormatError

__all__ = ["Faults"]

_MOST_SHOWN = 10
_MOST_ALIKE = 3
_MOST_COUNTED = 10_000


class Faults:
    """Faults of a file.

    Parameters
    ----------
    origin : str
        Name of the file.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._texts: list[tuple[str, Hashable]] = []  # with the kind
        self._alike: dict[Hashable, int] = {}
        self._cures: dict[Hashable, str] = {}
        self._count = 0

    def add(self, text: str, kind: Hashable = None, cure: str = "") -> None:
        """Note a fault with its place; raise the error if there are too many to go on.

        Parameters
        ----------
        text : str
            Place and fault.
        kind : hashable, optional
            What faults have in common. More than a few of one kind are told as one, with the cure.
        cure : str
            What helps against faults of this kind, to be appended.
        """
        self._count += 1
        self._alike[kind] = self._alike.get(kind, 0) + 1
        self._cures.setdefault(kind, cure)
        is_told = kind is None or self._alike[kind] <= _MOST_ALIKE
        if len(self._texts) < _MOST_SHOWN and is_told:
            self._texts.append((text, kind))
        if self._count >= _MOST_COUNTED:
            raise self._error()

    def require_none(self) -> None:
        """Raise one FormatError that tells the first faults and their number, if there are any."""
        if self._count:
            raise self._error()

    def _error(self) -> FormatError:
        if self._count == 1:
            return FormatError(f"{self._origin}: {self._texts[0][0]}")
        texts: list[str] = []
        told: set[Hashable] = set()
        more = self._count
        for text, kind in self._texts:
            alike = self._alike[kind]
            if kind is None or alike <= _MOST_ALIKE:
                texts.append(text)
                more -= 1
            elif kind not in told:
                told.add(kind)
                texts.append(f"{text}; {alike - 1:,} more are like it{self._cures[kind]}")
                more -= alike
        count = f"{self._count} or more" if self._count >= _MOST_COUNTED else str(self._count)
        lines = "".join(f"\n  {text}" for text in texts)
        rest = f"\n  and {more} more" if more else ""
        return FormatError(f"{self._origin}: {count} places cannot be read:{lines}{rest}")
