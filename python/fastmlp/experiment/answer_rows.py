"""Columns of answers as lines of text with separators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastmlp.experiment.serving import plain_values

__all__ = ["delimited_lines"]


def delimited_lines(columns: Mapping[str, Any], separator: str) -> Iterator[str]:
    """Yield lines in the format of RFC 4180, but with line feeds as line ends.

    Parameters
    ----------
    columns : mapping of str to array of shape (rows,)
        Columns by name; None is an empty field.
    separator : str
        Character between the fields.
    """

    def field(value: object) -> str:
        if value is None:
            return ""
        text = str(value)
        # Readers skip empty lines, so a single empty text must be quoted.
        quoted = not text or any(mark in text for mark in (separator, '"', "\n", "\r"))
        return '"' + text.replace('"', '""') + '"' if quoted else text

    yield separator.join(map(field, columns)) + "\n"
    for row in zip(*map(plain_values, columns.values()), strict=True):
        yield separator.join(map(field, row)) + "\n"
