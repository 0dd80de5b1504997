"""Names of columns, categories and classes: their order, finding them, and listing them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MISSING",
    "UNKNOWN",
    "as_number",
    "distinct_names",
    "listed",
    "name_of",
    "numeric_order",
    "positions",
]

# What `positions` gives in place of a position.
UNKNOWN = -1
MISSING = -2

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOST_LISTED = 10
_LONGEST_LISTED = 60


def as_number(text: str) -> float | None:
    """The finite number that a text stands for, or None."""
    stripped = text.strip()
    number = float(stripped) if _NUMBER.fullmatch(stripped) else math.inf
    return number if math.isfinite(number) else None


def name_of(value: Any) -> str:
    """A text, or the shortest text of a number, whole numbers without a point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def numeric_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted by the numbers they stand for where all do, else as texts."""
    texts = sorted(names)
    numeric = all(as_number(text) is not None for text in texts)
    return tuple(sorted(texts, key=float) if numeric else texts)


def distinct_names(values: NDArray[Any]) -> set[str]:
    """Names of the values that occur; None and NaN are no values.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, or an object array of str.
    """
    if values.dtype.kind == "O":
        return set(values.tolist()) - {None}
    return {name_of(value) for value in np.unique(values).tolist() if not math.isnan(value)}


def positions(values: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Where each value stands among the names.

    Parameters
    ----------
    values : array of shape (n,)
        An object array of str is compared as text. A number is compared with the numbers that the
        names stand for: a reader cannot know that a column of digits means names.
    names : sequence of str
        All different.

    Returns
    -------
    int64 array of shape (n,)
        0 to len(names) - 1; `MISSING` for None and NaN, `UNKNOWN` for what is not among the names
        or stands for several of them.
    """
    known: dict[Any, int] = {name: i for i, name in enumerate(names)}
    if values.dtype.kind == "O":
        known[None] = MISSING
        found = (known.get(value, UNKNOWN) for value in values.tolist())
        return np.fromiter(found, np.int64, len(values))
    by_number: dict[float, int] = {}
    for i, name in enumerate(names):
        number = as_number(name)
        if number is not None:
            by_number[number] = UNKNOWN if number in by_number else i
    distinct, inverse = np.unique(values, return_inverse=True)
    codes = [
        MISSING if math.isnan(value) else known.get(name_of(value), by_number.get(value, UNKNOWN))
        for value in distinct.tolist()
    ]
    return np.array(codes, np.int64)[inverse.reshape(-1)]


def listed(names: Iterable[str]) -> str:
    """The first few names, shortened, and how many more there are."""
    texts = list(names)
    more = len(texts) - _MOST_LISTED
    shown = ", ".join(
        text if len(text) <= _LONGEST_LISTED else f"{text[:_LONGEST_LISTED]}..."
        for text in texts[:_MOST_LISTED]
    )
    return f"{shown} and {more} more" if more > 0 else shown
