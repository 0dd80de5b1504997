"""Columns of text cells, collected block by block in little memory.

A column is kept as written while it has few different texts, as codes. Once it has more, a column
that holds plain numbers alone is kept as float64, and every other one as text.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import GROUPS_OF_THREE, LARGEST_INTEGER, read_numbers
from fastmlp.extras import require

__all__ = ["MOST_TEXTS", "TextColumn", "plain_numbers"]

MOST_TEXTS = 1000
_SEGMENT_ROWS = 1 << 17
_LEADING_ZERO = r"^\s*[+-]?0\d+\s*$"
_INTEGER = r"^\s*[+-]?\d+\s*$"


def plain_numbers(cells: Any) -> NDArray[np.float64] | None:
    """Return text cells as numbers if that loses nothing, or None.

    Parameters
    ----------
    cells : polars.Series
        Texts.

    Returns
    -------
    float64 array or None
        NaN where a value is missing. None if a cell is no plain number, or is an integer with a
        leading zero, such as 007, or one beyond 2**53, which are names.
    """
    polars = require("data", "polars")
    parsed = cells.cast(polars.Float64, strict=False)
    values: NDArray[np.float64] = parsed.to_numpy()
    if parsed.null_count() or not np.isfinite(values).all():
        numbers = read_numbers(cells)
        if numbers.bad.any():
            return None
        values = numbers.values
    whole = np.flatnonzero(values == np.floor(values))
    if len(whole):
        texts = cells if len(whole) == len(cells) else cells.gather(whole)
        if texts.str.contains(_LEADING_ZERO).any():
            return None
        large = np.abs(values[whole]) >= LARGEST_INTEGER
        if large.any() and _exceed(texts.filter(large)):
            return None
    return values


def _exceed(texts: Any) -> bool:
    """Return whether one of the integers is beyond 2**53, by its digits, which floats may lose."""
    digits = texts.filter(texts.str.contains(_INTEGER)).str.extract(r"(\d+)")
    most = str(LARGEST_INTEGER)
    length = digits.str.len_bytes()
    return bool(((length > len(most)) | ((length == len(most)) & (digits > most))).any())


class _Numbers:
    """Numbers that grow, in maps of memory of their own, which are given back when they are joined.

    Small arrays among the texts of a block would leave holes that nothing else fills.
    """

    def __init__(self) -> None:
        self._segments: list[NDArray[np.float64]] = []
        self._rows = 0

    def add(self, values: NDArray[np.float64]) -> None:
        while len(values):
            at = self._rows % _SEGMENT_ROWS
            if at == 0:
                memory = mmap.mmap(-1, _SEGMENT_ROWS * 8)
                self._segments.append(np.frombuffer(memory, np.float64))
            part = values[: _SEGMENT_ROWS - at]
            self._segments[-1][at : at + len(part)] = part
            self._rows += len(part)
            values = values[len(part) :]

    def joined(self) -> NDArray[np.float64]:
        whole = np.frombuffer(mmap.mmap(-1, max(self._rows, 1) * 8), np.float64)[: self._rows]
        for number, segment in enumerate(self._segments):
            start = number * _SEGMENT_ROWS
            part = whole[start : start + _SEGMENT_ROWS]
            part[:] = segment[: len(part)]
        return whole


class TextColumn:
    """A column of texts that grows.

    Parameters
    ----------
    name : str
        Name of the column.
    as_text : bool
        Whether cells are kept as written, whatever they hold.
    rows : int
        Number of rows before the first cells, in which the value is missing.

    Attributes
    ----------
    is_broken : bool
        Text followed after cells that were kept as numbers; the column must be read again as text.
    """

    def __init__(self, name: str, *, as_text: bool, rows: int = 0) -> None:
        polars = require("data", "polars")
        self._polars = polars
        self._name = name
        self._as_text = as_text
        self._texts = polars.Series(name, [], polars.String)  # the different texts
        self._type: Any = None
        self._is_short = True  # so few cells that they need no codes
        self._is_coded = True
        self._numbers: _Numbers | None = None
        self._chunks: list[Any] = []
        self.is_broken = False
        if rows:
            self.add(polars.Series(name, [None] * rows, polars.String))

    def add(self, cells: Any) -> None:
        """Append texts."""
        if self.is_broken:
            return
        if self._is_short:
            self._chunks.append(cells)
            if sum(map(len, self._chunks)) <= MOST_TEXTS:
                return
            cells, self._chunks = _joined(self._polars, self._chunks), []
            self._is_short = False
        if self._is_coded:
            new = cells.unique().drop_nulls()
            new = new.filter(~new.is_in(self._texts.implode())) if len(self._texts) else new
            if len(self._texts) + len(new) <= MOST_TEXTS:
                self._add_codes(cells, new)
                return
            self._decode(cells)
        if self._numbers is None:
            self._chunks.append(cells)
            return
        numbers = plain_numbers(cells)
        if numbers is None:
            self.is_broken, self._numbers = True, None
        else:
            self._numbers.add(numbers)

    def finish(self) -> Any:
        """Return the column as one series and forget it."""
        if self._numbers is not None:
            values, self._numbers = self._numbers.joined(), None
            series = self._polars.Series(self._name, values)
            return series.fill_nan(None) if np.isnan(values).any() else series
        chunks, self._chunks = self._chunks, []
        if self._is_coded and not self._is_short:
            return self._decoded(chunks).alias(self._name)
        return self._polars.concat(chunks, rechunk=False).alias(self._name)

    def _add_codes(self, cells: Any, new: Any) -> None:
        if len(new) or self._type is None:
            self._texts = self._texts.append(new.cast(self._polars.String)).rechunk()
            self._type = self._polars.Enum(self._texts)
        codes = cells.cast(self._type).to_physical().cast(self._polars.UInt16)
        self._chunks.append(codes)

    def _decoded(self, codes: Sequence[Any]) -> Any:
        if not codes:
            return self._texts.clear()
        return self._texts.gather(_joined(self._polars, codes))

    def _decode(self, cells: Any) -> None:
        """Leave the state of few texts; decide by all cells so far, of which `cells` are next."""
        self._is_coded = False
        codes, self._chunks = self._chunks, []
        numbers = None
        doubtful = _may_hold_groups(cells, self._texts)
        if not self._as_text and not doubtful and plain_numbers(cells) is not None:
            numbers = plain_numbers(self._texts)
        joined = _joined(self._polars, codes) if codes else None
        if numbers is not None:
            self._numbers = _Numbers()
            if joined is not None:
                self._numbers.add(_taken(numbers, joined))
        elif joined is not None:
            self._chunks.append(self._texts.gather(joined))


def _may_hold_groups(*parts: Any) -> bool:
    """Return whether all points among numbers may stand for thousands, which other columns tell."""
    points = [cells.filter(cells.str.contains(".", literal=True)) for cells in parts]
    are_groups = all(cells.str.contains(GROUPS_OF_THREE).all() for cells in points)
    return are_groups and any(map(len, points))


def _taken(numbers: NDArray[np.float64], codes: Any) -> NDArray[np.float64]:
    """Return the numbers of codes, NaN where there is no code."""
    places = codes.fill_null(len(numbers)).to_numpy()
    taken: NDArray[np.float64] = np.append(numbers, math.nan)[places]
    return taken


def _joined(polars: Any, chunks: Sequence[Any]) -> Any:
    return polars.concat(chunks, rechunk=True) if len(chunks) > 1 else chunks[0]
