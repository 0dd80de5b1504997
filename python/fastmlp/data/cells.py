"""How one cell is read: as a number, a truth value, a date, or a name.

Every function here decides cell by cell. What a cell means depends on the cell and on the way of
reading that is passed in, never on the other cells of its column; which way of reading a column
needs is decided once, in `inference`, and kept in the model.

Cells are a polars.Series: text as written (dtype String), or values of any other dtype. An empty
text, a text of blanks and null are missing whatever the column is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = [
    "GROUPS_OF_THREE",
    "LARGEST_INTEGER",
    "NUMBER_MISSING",
    "PLAIN",
    "Dates",
    "NumberFormat",
    "Numbers",
    "as_number",
    "as_texts",
    "finite_numbers",
    "is_text",
    "listed",
    "missing_cells",
    "name_of",
    "numeric_order",
    "read_dates",
    "read_numbers",
    "shown",
    "trimmed",
    "truth_codes",
    "truth_names",
]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Texts that stand for a missing value where numbers or dates are expected; in a column of names
# they are names, such as NA for Namibia. The first 17 are those of pandas.
NUMBER_MISSING = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "Null", "none", "n.a.", "N.A.",
    "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#REF!", "NaT", "?", ".", "-", "--",
)  # fmt: skip
# Beyond this, several integers share a float64. Such integers are names, not quantities.
LARGEST_INTEGER = 2**53
TRUE_WORDS = ("true", "t", "yes", "y", "on", "1", "1.0")
FALSE_WORDS = ("false", "f", "no", "n", "off", "0", "0.0")
CURRENCIES = "$€£¥₹₽₩₺₫₴₪฿"
CURRENCY_CODES = (
    "USD", "EUR", "GBP", "JPY", "CNY", "CHF", "CAD", "AUD", "INR", "BRL", "SEK", "NOK", "DKK",
    "PLN", "CZK",
)  # fmt: skip
AFFIXES = (*CURRENCIES, "%", "‰", *CURRENCY_CODES)
# Numbers whose points can stand for thousands; those that begin with 0 are fractions.
GROUPS_OF_THREE = r"^\s*[+-]?[1-9]\d{0,2}(\.\d{3})+\s*$"
# Blanks that stand between groups of digits.
_SPACES = " \u00a0\u202f\u2009"
_APOSTROPHES = "'\u2019"
_DAY_SECONDS = 86400
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOST_CHARACTERS = 40
_MOST_LISTED = 10
_LONGEST_LISTED = 60


# ---------------------------------------------------------------- text and missing cells


def is_text(cells: Any) -> bool:
    """Return whether cells are text as written."""
    polars = require("data", "polars")
    return bool(cells.dtype == polars.String)


def are_usable(cells: Any) -> bool:
    """Return whether cells are of a type of which a column can be: no lists, objects or bytes."""
    polars = require("data", "polars")
    others = (polars.String, polars.Boolean, polars.Date, polars.Datetime, polars.Time, polars.Null)
    return bool(cells.dtype.is_numeric() or cells.dtype in others)


def trimmed(cells: Any) -> Any:
    """Return texts without blanks around them; null becomes the empty text."""
    return cells.fill_null("").str.strip_chars()


def as_texts(cells: Any) -> Any:
    """Return cells of any dtype as texts; a number is its shortest text, as in `name_of`.

    Cells that are not usable have texts for messages.
    """
    polars = require("data", "polars")
    if is_text(cells):
        return cells
    if cells.dtype.is_float():
        names = [None if v is None or math.isnan(v) else name_of(v) for v in cells.to_list()]
        return polars.Series(cells.name, names, polars.String)
    if not are_usable(cells):
        texts = [None if value is None else shown(value) for value in cells.to_list()]
        return polars.Series(cells.name, texts, polars.String)
    return cells.cast(polars.String)


def missing_cells(cells: Any, tokens: Sequence[str]) -> Mask:
    """Return a mask of the cells that hold no value: null, NaN, blanks, or one of the tokens.

    A token such as -999 also stands for the number.
    """
    if cells.dtype.is_numeric():
        return _missing_numbers(cells, tokens)
    missing = cells.is_null()
    if is_text(cells):
        texts = trimmed(cells)
        missing = (texts == "") | texts.is_in(list(tokens))
    mask: Mask = np.array(missing.to_numpy(), bool)
    return mask


def _missing_numbers(cells: Any, tokens: Sequence[str]) -> Mask:
    """Return a mask of the cells of numbers that hold no value; see `missing_cells`."""
    missing: Mask = np.zeros(len(cells), bool)
    if cells.dtype.is_float():
        missing = np.isnan(cells.to_numpy())  # null is NaN there
    elif cells.null_count():
        missing = np.array(cells.is_null().to_numpy(), bool)
    if numbers := _numbers_among(tokens):
        values = cells.cast(require("data", "polars").Float64)
        missing |= np.isin(values.to_numpy(), numbers)
    return missing


def _numbers_among(tokens: Sequence[str]) -> list[float]:
    return [number for token in tokens if (number := as_number(token)) is not None]


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class NumberFormat:
    """The way in which the texts of a column write numbers.

    Attributes
    ----------
    decimal : {".", ","}
        Sign between whole numbers and fractions.
    thousands : str
        Signs that may stand between groups of digits; empty: none. A blank stands for every
        kind of blank, an apostrophe for both kinds.
    affix : str
        Currency or percent sign that may stand before or after the digits. It does not change the
        number: 12.5% is 12.5.

    Examples
    --------
    >>> import polars
    >>> from fastmlp import data
    >>> euros = data.NumberFormat(",", thousands=".", affix="€")
    >>> data.NumberColumn("price", euros).read(polars.Series(["1.234,50 €", "€9,99"])).values
    array([1234.5 ,    9.99])
    """

    decimal: str = "."
    thousands: str = ""
    affix: str = ""

    @staticmethod
    def grouped(decimal: str, affix: str = "") -> NumberFormat:
        """Return the format with this decimal sign in which digits may stand in groups."""
        return NumberFormat(decimal, (",' " if decimal == "." else ".' "), affix)

    @property
    def example(self) -> str:
        """How this format writes -1234.5."""
        group = self.thousands[:1]
        return f"-1{group}234{self.decimal}5{self.affix if self.affix in '%‰' else ''}"


PLAIN = NumberFormat()


@dataclass(frozen=True)
class Numbers:
    """Cells read as numbers: NaN where a value is missing, or where it cannot be read."""

    values: Floats
    missing: Mask
    bad: Mask


def read_numbers(
    cells: Any, form: NumberFormat = PLAIN, tokens: Sequence[str] = NUMBER_MISSING
) -> Numbers:
    """Read cells as numbers.

    Parameters
    ----------
    cells : polars.Series
        Texts as written, or values: numbers, or booleans, which become 0 and 1.
    form : NumberFormat
        How texts write numbers. Every format also reads plain numbers with its decimal sign.
    tokens : sequence of str
        Texts that stand for a missing value.

    Returns
    -------
    Numbers
        Infinite numbers, and values of other types, are bad.
    """
    polars = require("data", "polars")
    missing = missing_cells(cells, tokens)
    if is_text(cells):
        texts = trimmed(cells) if form == PLAIN else _plain_texts(trimmed(cells), form)
        parsed = texts.cast(polars.Float64, strict=False)
    elif cells.dtype == polars.Float32:
        # As its shortest text, so that 0.1 is what it is in a text file.
        parsed = cells.cast(polars.String).cast(polars.Float64, strict=False)
    elif cells.dtype.is_numeric() or cells.dtype in (polars.Boolean, polars.Null):
        parsed = cells.cast(polars.Float64)
    else:
        parsed = polars.Series(cells.name, [None] * len(cells), polars.Float64)
    values: Floats = np.array(parsed.to_numpy(), np.float64)  # null is NaN there
    if numbers := _numbers_among(tokens):
        missing |= np.isin(values, numbers)
    values[missing] = math.nan
    bad: Mask = ~np.isfinite(values) & ~missing
    values[bad] = math.nan
    return Numbers(values, missing, bad)


def _plain_texts(texts: Any, form: NumberFormat) -> Any:
    """Return trimmed texts in plain form; those that are not in the format become null."""
    polars = require("data", "polars")
    texts = texts.str.replace_all("\u2212", "-", literal=True)
    texts = texts.str.replace(r"^\(\s*([^()]*?)\s*\)$", "-$1")  # as accounts write losses
    if form.affix:
        affix = re.escape(form.affix)
        pattern = rf"^([+-]?)\s*{affix}\s*([+-]?)|\s*{affix}$"
        texts = texts.str.replace(pattern, "$1$2")
    point = re.escape(form.decimal)
    whole = r"\d+"
    groups = _group_signs(form.thousands)
    if groups:
        # Commas around groups of two digits are how India writes lakhs.
        size = "{2,3}" if "," in form.thousands else "{3}"
        whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:[{groups}]\d{size})*[{groups}]\d{{3}})"
    number = rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"
    fits = texts.str.contains(number)
    if groups:
        texts = texts.str.replace_all(rf"[{groups}]", "")
    texts = texts.str.replace_all(form.decimal, ".", literal=True)
    return texts.set(~fits, None) if not fits.all() else texts.cast(polars.String)


def _group_signs(thousands: str) -> str:
    signs = thousands.replace(" ", _SPACES).replace("'", _APOSTROPHES)
    return re.escape(signs) if signs else ""


# ---------------------------------------------------------------- truth values


def truth_codes(cells: Any) -> NDArray[np.int64]:
    """Return 1 for true, 0 for false and -1 for everything else, of texts and of values."""
    polars = require("data", "polars")
    if cells.dtype == polars.Boolean:
        codes = cells.cast(polars.Int64)
    elif is_text(cells):
        words = dict.fromkeys(TRUE_WORDS, 1) | dict.fromkeys(FALSE_WORDS, 0)
        texts = trimmed(cells).str.to_lowercase()
        codes = texts.replace_strict(words, default=-1, return_dtype=polars.Int64)
    elif cells.dtype.is_numeric():
        numbers = cells.cast(polars.Float64)
        codes = numbers.replace_strict({0.0: 0, 1.0: 1}, default=-1, return_dtype=polars.Int64)
    else:
        return np.full(len(cells), -1)
    found: NDArray[np.int64] = codes.fill_null(-1).to_numpy().astype(np.int64)
    return found


def truth_names(present: Any) -> tuple[str, str]:
    """Return the most frequent spellings of false and true among truth values."""
    texts = as_texts(present)
    codes = truth_codes(present)
    names = []
    for code in (0, 1):
        spellings = texts.filter(codes == code).value_counts(name="count")
        best = spellings.filter(spellings["count"] == spellings["count"].max())
        names += sorted(best[best.columns[0]].to_list())[:1]
    return names[0], names[1]


# ---------------------------------------------------------------- dates


@dataclass(frozen=True)
class Dates:
    """Cells read as points in time: seconds since 1970-01-01 UTC, NaN where there is none."""

    seconds: Floats
    missing: Mask
    bad: Mask


# Formats of `read_dates` with the name "iso": ISO 8601 with its usual variations.
_ISO_DATES = ("%Y-%m-%d", "%Y/%m/%d")
_ISO_TIMES = ("%H:%M:%S%.f", "%H:%M:%S", "%H:%M")
_OTHER_TIMES = (*_ISO_TIMES, "%I:%M:%S %p", "%I:%M %p")


def read_dates(cells: Any, form: str = "iso", tokens: Sequence[str] = NUMBER_MISSING) -> Dates:
    """Read cells as dates or points in time.

    Parameters
    ----------
    cells : polars.Series
        Texts as written, or values of a date type.
    form : str
        "iso" for ISO 8601, with a blank or T before the time and an optional zone; or a format of
        strptime for the date, such as ``%d.%m.%Y``, to which ``%H:%M`` or ``%H:%M:%S`` may be
        added in the texts. A time without a zone is one of UTC.
    tokens : sequence of str
        Texts that stand for a missing value.
    """
    polars = require("data", "polars")
    missing = missing_cells(cells, tokens)
    if is_text(cells):
        moments = _parsed_dates(trimmed(cells), form)
    elif cells.dtype == polars.Date or cells.dtype == polars.Datetime:
        moments = _utc_microseconds(cells)
    else:
        moments = polars.Series(cells.name, [None] * len(cells), polars.Int64)
    micros = moments.cast(polars.Float64).fill_null(math.nan).to_numpy()
    seconds: Floats = np.array(micros, np.float64) / 1e6
    seconds[missing] = math.nan
    return Dates(seconds, missing, np.isnan(seconds) & ~missing)


def _utc_microseconds(cells: Any) -> Any:
    polars = require("data", "polars")
    if cells.dtype == polars.Datetime and cells.dtype.time_zone is not None:
        cells = cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return cells.cast(polars.Datetime("us")).cast(polars.Int64)


def _parsed_dates(texts: Any, form: str) -> Any:
    """Return microseconds since 1970 in UTC; null where a text has none of the formats."""
    polars = require("data", "polars")
    dates = _ISO_DATES if form == "iso" else (form,)
    times = _ISO_TIMES if form == "iso" else _OTHER_TIMES
    naive = [*dates, *(f"{d}{gap}{t}" for d in dates for gap in (" ", "T") for t in times)]
    found = polars.Series(texts.name, [None] * len(texts), polars.Int64)
    if form == "iso" or "%Y" in form:  # else 1.2.24 would be a day of the year 24
        four_digits = texts.str.contains(r"\d{4}")
        texts = texts.set(~four_digits, None) if not four_digits.all() else texts
    elif "%y" in form:  # else 1.2.3 would be a day of 2003
        two_digits = texts.str.contains(r"\D\d{2}(?:[ T]|$)")
        texts = texts.set(~two_digits, None) if not two_digits.all() else texts
    # "Z" and offsets; polars reads an offset with or without a colon.
    offset = r"\d(?:Z|[+-]\d{2}:?\d{2})$"
    zoned = (texts.str.contains(offset) & texts.str.contains(":")).fill_null(value=False)
    local = texts.set(zoned, None) if zoned.any() else texts
    for one in naive:
        if not found.is_null().any():
            break
        found = found.fill_null(_moments(local, one))
    if zoned.any():
        marked = texts.set(~zoned, None).str.replace("Z$", "+0000")
        for one in (f"{d}{gap}{t}%z" for d in dates for gap in (" ", "T") for t in _ISO_TIMES):
            found = found.fill_null(_moments(marked, one))
    return found


def _moments(texts: Any, form: str) -> Any:
    polars = require("data", "polars")
    moments = texts.str.to_datetime(form, time_unit="us", strict=False, exact=True)
    return _utc_microseconds(moments.cast(polars.Datetime("us")))


# ---------------------------------------------------------------- names


def as_number(text: str) -> float | None:
    """Return the finite number that a text stands for, or None."""
    stripped = text.strip()
    number = float(stripped) if _NUMBER.fullmatch(stripped) else math.inf
    return number if math.isfinite(number) else None


def name_of(value: Any) -> str:
    """Return a text unchanged, a number as its shortest text, without a point if it is whole."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def numeric_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names by the numbers they stand for if all stand for numbers, else as texts."""
    texts = sorted(names)
    numbers = [as_number(text) for text in texts]
    numeric = all(number is not None for number in numbers)
    return tuple(sorted(texts, key=float) if numeric else texts)


def finite_numbers(
    values: NDArray[Any], error: Callable[[int, str], FormatError]
) -> NDArray[np.float64]:
    """Return an array of targets as finite numbers, NaN where a value is missing.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, or an object array of str, None where a value is missing.
    error : callable
        Returns the error for a position and a problem.

    Raises
    ------
    FormatError
        A value is text that is no number, or is infinite.
    """
    if values.dtype.kind == "O":
        numbers = np.full(len(values), np.nan)
        for row, text in enumerate(values.tolist()):
            if text is None:
                continue
            number = as_number(text)
            if number is None:
                raise error(row, f"must be a number, got {text!r}")
            numbers[row] = number
        return numbers
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise error(row, f"must be finite, got {values[row]}")
    return values.astype(np.float64, copy=False)


# ---------------------------------------------------------------- in messages


def shown(value: Any) -> str:
    """Return the repr of a value for a message, cut if it is long; that of a list for a series."""
    text = repr(value.to_list() if hasattr(value, "to_list") else value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def listed(names: Iterable[str]) -> str:
    """Return the first names, shortened, and the number of the others, for a message."""
    texts = list(names)
    more = len(texts) - _MOST_LISTED
    shown = ", ".join(
        text if len(text) <= _LONGEST_LISTED else f"{text[:_LONGEST_LISTED]}..."
        for text in texts[:_MOST_LISTED]
    )
    return f"{shown} and {more} more" if more > 0 else shown
