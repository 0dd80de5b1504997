"""What all exported forms of a table's row have in common: names, missing values, categories.

The rules are those of `fastmlp.data.columns` for a row in which a quantity is a float64, NaN where
it is missing, a name is text, empty where it is missing, and a point in time is the number of
seconds since 1970-01-01 UTC, NaN where it is missing. Names that were learned from numbers are
float64 too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fastmlp.data.cells import as_number, name_of
from fastmlp.data.columns import (
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    codes_of_numbers,
    date_parts,
)

__all__ = [
    "LATEST",
    "MEANINGS",
    "WHITE_SPACE",
    "category_numbers",
    "form_of",
    "identifiers",
    "missing_inputs",
    "missing_tokens",
]

Floats = npt.NDArray[np.float64]

# Characters that Unicode calls white space, first and last of each range; they are trimmed.
WHITE_SPACE = (
    (0x09, 0x0D), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
# Seconds before and after 1970 that a date may have: int64 microseconds hold as many.
LATEST = 2.0**63 / 1e6
_WORDS = re.compile(r"[A-Za-z0-9]+")
_LONGEST_CLEANED = 48

MEANINGS = {
    "number": "number, NaN where it is missing",
    "text": "text in UTF-8, empty where it is missing",
    "boolean": "text such as true, no or 1, empty where it is missing",
    "category number": "number, of which each is a category, NaN where it is missing",
    "date": "seconds since 1970-01-01 UTC, NaN where it is missing",
}


def form_of(column: Column) -> str:
    """Return the key of `MEANINGS` for the cells of a column."""
    if isinstance(column, CategoryColumn):
        return "category number" if column.reads == "number" else column.reads
    return column.kind


# ---------------------------------------------------------------- cells


def missing_inputs(column: Column) -> Floats | None:
    """Return the inputs of a missing value, not yet standardized; None if it is refused."""
    width = len(column.feature_names)
    inputs = np.zeros(width)
    if isinstance(column, CategoryColumn):
        if column.refuses_missing:
            return None
        if column.as_code:
            known = column.fill is not None or column.missing_level
            places = (*column.categories, None)
            inputs[0] = places.index(column.fill) if known else -1.0
            return inputs
        if column.fill is not None:
            inputs[column.categories.index(column.fill)] = 1.0
        elif column.missing_level:
            inputs[-1] = 1.0
        return inputs
    assert isinstance(column, (NumberColumn, DateColumn))
    if column.fill is None:
        return None
    if isinstance(column, DateColumn):
        parts = date_parts(np.array([column.fill]))
        inputs[: len(column.parts)] = [parts[part][0] for part in column.parts]
    else:
        inputs[0] = column.fill
    if column.indicator:
        inputs[-1] = 1.0
    return inputs


def missing_tokens(column: CategoryColumn) -> tuple[str, ...]:
    """Return the texts that a trimmed cell may be compared with, which have no blanks around."""
    tokens = dict.fromkeys(column.missing)
    return tuple(t for t in tokens if t and not _is_blank(t[0]) and not _is_blank(t[-1]))


def _is_blank(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in WHITE_SPACE)


def category_numbers(column: CategoryColumn) -> Floats:
    """Return the number that is each category of a column of numbers; NaN where none is.

    Where several categories stand for one number, such as 1 and 01, it is the shortest text.
    """
    numbers = np.full(len(column.categories), np.nan)
    single, codes = codes_of_numbers(column.categories)
    numbers[codes] = single
    known = set(single.tolist())
    for code, category in enumerate(column.categories):
        number = as_number(category)
        if number is not None and number not in known and name_of(number) == category:
            numbers[code] = number
    return numbers


# ---------------------------------------------------------------- names


def identifiers(names: Sequence[str], keeps: Callable[[str], bool]) -> list[str]:
    """Return an identifier of ASCII letters, digits and underscores for each name, all different.

    Parameters
    ----------
    names : sequence of str
        Names of columns, all different.
    keeps : callable
        Whether a name can stay as it is. Names such as ``column_1`` must be among them.

    Examples
    --------
    >>> from fastmlp.export.table_rows import identifiers
    >>> identifiers(["age", "prix (€)", "prix-", "Größe", "2024"], str.isidentifier)
    ['age', 'prix', 'prix_2', 'Größe', 'column_2024']
    """
    taken = {name for name in names if keeps(name)}
    return [
        name if keeps(name) else _cleaned(name, number, taken, keeps)
        for number, name in enumerate(names, 1)
    ]


def _cleaned(name: str, number: int, taken: set[str], keeps: Callable[[str], bool]) -> str:
    # Letters lose their accents rather than to become underscores.
    words = "_".join(_WORDS.findall(_without_accents(name)))[:_LONGEST_CLEANED].rstrip("_")
    base = words if keeps(words) else f"column_{words or number}"
    found, count = base, 1
    while found in taken:
        count += 1
        found = f"{base}_{count}"
    taken.add(found)
    return found


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text)
    return "".join(character for character in apart if not unicodedata.combining(character))
