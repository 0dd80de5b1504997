"""What kind of column cells make: numbers and their format, names, truth values, dates, text.

`find_kind` looks at all cells of a column, once, when a model is made. The result is kept in the
model (`columns`), which reads the cells of every later file by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastmlp.data.cells import (
    AFFIXES,
    FALSE_WORDS,
    LARGEST_INTEGER,
    NUMBER_MISSING,
    PLAIN,
    TRUE_WORDS,
    NumberFormat,
    are_usable,
    as_texts,
    is_text,
    missing_cells,
    read_dates,
    read_numbers,
    shown,
    trimmed,
)
from fastmlp.data.columns import MAX_CATEGORIES
from fastmlp.extras import require

__all__ = ["Finding", "date_formats", "find_kind", "number_formats"]

# Text with more distinct values than this share of its cells is not a category.
_DISTINCT_SHARE = 0.5
# Columns with at most this many distinct values are categories whatever their share.
_FEW = 20
_FEWEST_IDENTIFIERS = 10
_LEADING_ZERO = r"^[+-]?0\d"
_INTEGER = r"^[+-]?\d+$"
_IDENTIFIER_NAME = re.compile(
    r"(?i)(id|idx|index|no|nr|number|row|key|uuid|guid|row[ _]?(id|no|nr|number))|.*[ _-]id"
)
_CAMEL_ID = re.compile(r".*[a-z]I[dD]")
_DATES = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y",
    "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y", "%Y年%m月%d日",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d %b %y", "%d-%b-%y",
)  # fmt: skip
_FEWEST_DATES = 5
_OTHER_DATES_SHARE = 0.2
# Text that may be dates or times, of which the user has to name the format.
_DATE_LIKE = r"^\d{1,4}[-/.:]\d{1,2}([-/.: ]\d{1,4})*$"
_SAMPLE = 200
_MOST_UNITS = 5
# Beside many different numbers, words in a column ask for a decision.
_NUMBER_SHARE = 0.1
_UNIT = r"^([+-]?\d[\d.,' ]*)\s*([^\d\s.,'+\-][^\d\s]{0,7})$"


@dataclass(frozen=True)
class Finding:
    """What the cells of a column are.

    Attributes
    ----------
    kind : str
        "number", "boolean", "category" or "date"; or, if the column is no use as a feature,
        "text" (many different texts), "identifier", "constant", "empty" or "unusable"; or
        "unclear" if only the user knows.
    detail : str
        Reason or explanation, for messages; for "unclear" with the options that decide.
    format : NumberFormat
        Format of numbers.
    date_format : str
        Format of dates.
    distinct, missing, cells : int
        Numbers of distinct values, of missing values, and of all cells.
    """

    kind: str
    detail: str = ""
    format: NumberFormat = PLAIN
    date_format: str = "iso"
    distinct: int = 0
    missing: int = 0
    cells: int = 0

    @property
    def is_feature(self) -> bool:
        """Whether the column can be used as it is."""
        return self.kind in ("number", "boolean", "category", "date")


def find_kind(
    name: str, cells: Any, tokens: Sequence[str] = (), form: NumberFormat | None = None
) -> Finding:
    """Find out what the cells of a column are.

    Parameters
    ----------
    name : str
        Name of the column, which helps to recognize identifiers.
    cells : polars.Series
        All cells as they came.
    tokens : sequence of str
        Texts that stand for a missing value besides the usual ones.
    form : NumberFormat, optional
        Format of all numbers of the file, if the user named it.
    """
    finding = _of_texts(name, cells, tokens, form) if is_text(cells) else _of_values(name, cells)
    if finding.kind in ("number", "date", "empty", "unclear"):
        tokens = (*tokens, *NUMBER_MISSING)
    return replace(finding, missing=int(missing_cells(cells, tokens).sum()), cells=len(cells))


# ---------------------------------------------------------------- typed cells


def _of_values(name: str, cells: Any) -> Finding:
    polars = require("data", "polars")
    present = cells.drop_nulls()
    if cells.dtype.is_float():
        present = present.drop_nans()
    if len(present) == 0 or cells.dtype == polars.Null:
        return Finding("empty", "has no values")
    if not are_usable(cells):
        return Finding("unusable", f"holds {cells.dtype.base_type()}".lower())
    distinct = present.n_unique()
    if cells.dtype == polars.Boolean:
        kind = "boolean"
    elif cells.dtype in (polars.Date, polars.Datetime):
        kind = "date"
    elif cells.dtype == polars.Time or _exceeds_integers(present):
        return _names(name, as_texts(present), present)
    else:
        kind = "number"
    if distinct == 1 and len(present) == len(cells):
        return Finding("constant", f"is {shown(present[0])} in every row", distinct=1)
    if kind == "number" and _is_identifier(name, present, distinct, len(cells)):
        return Finding("identifier", "numbers the rows", distinct=distinct)
    return Finding(kind, distinct=distinct)


def _exceeds_integers(present: Any) -> bool:
    if not present.dtype.is_integer():
        return False
    return max(int(present.max()), -int(present.min())) > LARGEST_INTEGER


def _is_identifier(name: str, present: Any, distinct: int, count: int) -> bool:
    """Return whether integers, all different, have a name that says that they number the rows."""
    if distinct != count or count < _FEWEST_IDENTIFIERS:
        return False
    if not (_IDENTIFIER_NAME.fullmatch(name) or _CAMEL_ID.fullmatch(name)):
        return False
    values = present.to_numpy()
    return bool((values == np.floor(values)).all())


# ---------------------------------------------------------------- texts


def _of_texts(name: str, cells: Any, tokens: Sequence[str], form: NumberFormat | None) -> Finding:
    texts = trimmed(cells)
    counts = texts.value_counts(name="count")
    counts = counts.sort(counts.columns[0])  # so that messages do not depend on hashing
    distinct = counts[counts.columns[0]]
    keep = (distinct != "") & ~distinct.is_in(list(tokens))
    distinct, weights = distinct.filter(keep), counts["count"].filter(keep)
    quantities = ~distinct.is_in(list(NUMBER_MISSING))
    if len(distinct) == 0 or not quantities.any():
        return Finding("empty", "has no values", distinct=len(distinct))
    if len(distinct) == 1 and int(weights.sum()) == len(cells):
        return Finding("constant", f"is {shown(distinct[0])} in every row", distinct=1)
    if _are_truth_values(distinct):
        return Finding("boolean", distinct=len(distinct))
    found = _number_finding(name, distinct.filter(quantities), form, len(cells))
    found = found or _date_finding(name, distinct.filter(quantities))
    found = found or _mixed_finding(name, cells, distinct, weights, form)
    if found is not None:
        return replace(found, distinct=int(quantities.sum()))
    return _names(name, distinct, cells, int(weights.sum()))


def _are_truth_values(distinct: Any) -> bool:
    words = set(distinct.str.to_lowercase().to_list()) if len(distinct) <= 8 else set()
    pairs = [{yes, no} for yes, no in zip(TRUE_WORDS, FALSE_WORDS, strict=True) if yes.isalpha()]
    return any(words == pair for pair in pairs)


def _number_finding(
    name: str, distinct: Any, form: NumberFormat | None, count: int
) -> Finding | None:
    """Return a finding if all texts are numbers in one format, or in several that disagree."""
    formats = number_formats(distinct) if form is None else _with_affix(distinct, form)
    if not formats:
        doubt = _contradiction(name, distinct, form) or _several_units(name, distinct)
        return doubt or _several_formats(name, distinct)
    if len(formats) > 1:
        readings = [read_numbers(distinct, one, ()).values for one in formats]
        text = str(distinct[int(np.argmax(readings[0] != readings[1]))])
        first, second = (_number_shown(text, one) for one in formats[:2])
        return Finding(
            "unclear",
            f"writes numbers such as {text!r}, which can be {first} or {second}; say which with "
            '--decimal "." or --decimal ","',
        )
    (chosen,) = formats
    if chosen.affix in ("%", "‰") and not distinct.str.contains(chosen.affix, literal=True).all():
        plain = next(t for t in distinct.to_list() if chosen.affix not in t)
        return Finding(
            "unclear",
            f"holds percentages beside plain numbers such as {plain!r}; bring them to one scale, "
            f'or leave the column out with --exclude "{name}"',
        )
    values = require("data", "polars").Series(name, read_numbers(distinct, chosen, ()).values)
    if _is_identifier(name, values, len(distinct), count):
        return Finding("identifier", "numbers the rows")
    if chosen == PLAIN:
        return Finding("number")
    return Finding("number", f"reads {_widest(distinct)!r} as a number", chosen)


def _contradiction(name: str, distinct: Any, form: NumberFormat | None) -> Finding | None:
    """Return a finding if texts are numbers, but not in the format that the user named."""
    formats = [] if form is None else number_formats(distinct)
    if form is None or not formats or formats == [PLAIN]:
        return None
    text = next((t for t in distinct.to_list() if read_numbers(_one(t), form).bad.any()), "")
    return Finding(
        "unclear",
        f'holds numbers such as {text!r}, which --decimal "{form.decimal}" does not read; leave '
        f'the option out, or take them as names with --categorical "{name}"',
    )


def _one(text: str) -> Any:
    return require("data", "polars").Series([text])


def _several_units(name: str, distinct: Any) -> Finding | None:
    """Return a finding if texts are numbers with different currencies or units."""
    signs = _signs_of(distinct)
    if len(signs) >= 2:
        bare = distinct
        for sign in signs:
            bare = bare.str.replace(sign, "", literal=True).str.strip_chars()
    else:
        units = distinct.str.extract(_UNIT, 2)
        signs = sorted(units.drop_nulls().unique().to_list())
        if units.is_null().any() or not 2 <= len(signs) <= _MOST_UNITS:
            return None
        alike = len({sign.casefold() for sign in signs}) == 1
        if len(distinct) <= _FEW and not alike and not distinct.str.contains(r"\d\s").all():
            return None  # such as seats, 12A and 12B
        bare = distinct.str.extract(_UNIT, 1).str.strip_chars()
    if not number_formats(bare):
        return None
    return Finding(
        "unclear",
        f"holds amounts in several units: {', '.join(signs)}; bring them to one unit, or leave the "
        f'column out with --exclude "{name}"',
    )


def _several_formats(name: str, distinct: Any) -> Finding | None:
    """Return a finding if all texts are numbers, some with points and some with commas."""
    affix = _affix_of(distinct)
    forms = [NumberFormat.grouped(decimal, affix) for decimal in (".", ",")]
    bad = [read_numbers(distinct, form, ()).bad for form in forms]
    codes = distinct.str.contains(_LEADING_ZERO) & ~distinct.str.contains(r"^[+-]?0[.,]")
    if (bad[0] & bad[1]).any() or codes.any():
        return None
    if _are_large_integers(distinct):
        return None
    comma, point = (
        next((str(t) for t, no in zip(distinct.to_list(), one, strict=True) if no), "")
        for one in bad
    )
    return Finding(
        "unclear",
        f"writes numbers in two ways: {point!r} and {comma!r}; bring them to one, or leave the "
        f'column out with --exclude "{name}"',
    )


def _widest(texts: Any) -> str:
    return str(texts[int(texts.str.len_chars().arg_max())])


def _number_shown(text: str, form: NumberFormat) -> str:
    polars = require("data", "polars")
    value = read_numbers(polars.Series([text]), form).values[0]
    return f"{value:.15g}"


def _with_affix(texts: Any, form: NumberFormat) -> list[NumberFormat]:
    """Return the format of the file with the affix of these texts, if it reads them all."""
    if _has_leading_zeros(texts):
        return []
    one = NumberFormat.grouped(form.decimal, _affix_of(texts))
    if form.thousands:
        one = replace(one, thousands=form.thousands)
    if one.decimal == "." and _is_plain(texts):
        return [PLAIN]
    return [one] if _reads_all(texts, one) and not _are_large_integers(texts) else []


def _has_leading_zeros(texts: Any) -> bool:
    """Return whether texts are names such as 0042, not numbers such as 0,5."""
    fractions = texts.str.contains(r"^[+-]?0[.,]").any()
    return bool(texts.str.contains(_LEADING_ZERO).any()) and not fractions


def number_formats(texts: Any) -> list[NumberFormat]:
    """Return the formats that read all texts as numbers, one for each possible meaning.

    Plain numbers have one meaning, the plain one. Integers with leading zeros or beyond 2**53 are
    names, which have none.

    Parameters
    ----------
    texts : polars.Series of str
        Distinct texts without blanks around them, none of them missing.
    """
    if _is_plain(texts):
        return [PLAIN]
    if _has_leading_zeros(texts):
        return []
    affix = _affix_of(texts)
    if affix and _reads_all(texts, NumberFormat(affix=affix)):
        return [NumberFormat.grouped(".", affix)]
    found: list[NumberFormat] = []
    for decimal in (".", ","):
        form = NumberFormat.grouped(decimal, affix)
        if _reads_all(texts, form) and not _are_large_integers(texts):
            found.append(form)
    if len(found) == 2:
        first, second = (read_numbers(texts, form).values for form in found)
        return found[:1] if np.array_equal(first, second) else found
    return found


def _is_plain(texts: Any) -> bool:
    if read_numbers(texts, PLAIN, ()).bad.any() or texts.str.contains(_LEADING_ZERO).any():
        return False
    return not _are_large_integers(texts)


def _are_large_integers(texts: Any) -> bool:
    """Return whether an integer is beyond 2**53, by its digits: its float64 may be just that."""
    digits = texts.filter(texts.str.contains(_INTEGER)).str.strip_chars_start("+-0")
    length, limit = digits.str.len_chars(), str(LARGEST_INTEGER)
    return bool(((length > len(limit)) | ((length == len(limit)) & (digits > limit))).any())


def _reads_all(texts: Any, form: NumberFormat) -> bool:
    head = texts.head(_SAMPLE)
    if read_numbers(head, form, ()).bad.any():
        return False
    return not read_numbers(texts, form, ()).bad.any()


def _affix_of(texts: Any) -> str:
    """Return the currency, percent sign or unit of the texts; empty if they have none or several.

    A unit is a word behind a blank, as in 12 kg, or behind the digits of many different numbers.
    """
    found = _signs_of(texts)
    if found:
        return found[0] if len(found) == 1 else ""
    units = texts.str.extract(_UNIT, 2)
    if units.is_null().any() or units.n_unique() != 1:
        return ""
    unit = str(units[0])
    apart = texts.str.contains(r"\d\s").any() or not unit[0].isalpha() or len(texts) > _FEW
    return unit if apart else ""


def _signs_of(texts: Any) -> list[str]:
    head = texts.head(_SAMPLE)
    return [affix for affix in AFFIXES if head.str.contains(affix, literal=True).any()]


# ---------------------------------------------------------------- dates


def _date_finding(name: str, distinct: Any) -> Finding | None:
    with_digits = distinct.head(_SAMPLE).str.contains(r"\d{1,4}\D+\d|\d\d")
    if with_digits.sum() < 0.8 * len(with_digits):
        return None
    formats = date_formats(distinct)
    if not formats:
        return _mixed_dates(name, distinct)
    if len(formats) > 1:
        choices = " or ".join(f'--date "{name}={form}"' for form in formats)
        return Finding(
            "unclear", f"holds dates such as {distinct[0]!r}; say how to read them: {choices}"
        )
    return Finding("date", date_format=formats[0])


def _mixed_dates(name: str, distinct: Any) -> Finding | None:
    """Return a finding if most texts are dates in one format, and a few are not."""
    if len(distinct) < _FEWEST_DATES:
        return None
    for form in ("iso", *_DATES):
        bad = read_dates(distinct, form, ()).bad
        others = distinct.filter(bad).to_list()
        if 0 < len(others) <= _OTHER_DATES_SHARE * len(distinct):
            texts, tokens = _told(others)
            shape = "" if form == "iso" else f" in the format {form}"
            return Finding(
                "unclear",
                f"holds dates{shape}, and others such as {texts}; say what stands for a missing "
                f'value with --missing-token "{tokens}", or leave the column out with '
                f'--exclude "{name}"',
            )
    return None


def date_formats(texts: Any) -> list[str]:
    """Return the formats that read all texts as dates, one for each possible meaning.

    Parameters
    ----------
    texts : polars.Series of str
        Distinct texts without blanks around them, none of them missing.
    """
    found: list[str] = []
    seconds: list[Any] = []
    for form in ("iso", *_DATES):
        if read_dates(texts.head(_SAMPLE), form, ()).bad.any():
            continue
        dates = read_dates(texts, form, ())
        if dates.bad.any() or any(np.array_equal(dates.seconds, other) for other in seconds):
            continue
        found.append(form)
        seconds.append(dates.seconds)
        if form == "iso":
            break
    return found


# ---------------------------------------------------------------- mixtures and names


def _mixed_finding(
    name: str, cells: Any, distinct: Any, weights: Any, form: NumberFormat | None
) -> Finding | None:
    """Return a finding if cells are numbers, of many values, and the others a few words."""
    numbers = read_numbers(distinct, form or PLAIN, NUMBER_MISSING)
    is_word = numbers.bad
    words = int(weights.filter(is_word).sum())
    values = int((~is_word & ~numbers.missing).sum())
    numeric = int(weights.sum()) - words
    if values <= _FEW or int(is_word.sum()) > _FEW or numeric < _NUMBER_SHARE * len(cells):
        return None
    if distinct.str.contains(_LEADING_ZERO).any():
        return None
    others = distinct.filter(is_word).to_list()
    texts, tokens = _told(others)
    return Finding(
        "unclear",
        f"mixes numbers with text: {texts} in {words} of {len(cells)} rows; say what stands for a "
        f'missing value with --missing-token "{tokens}", or take all values as names with '
        f'--categorical "{name}"',
    )


def _told(others: list[str]) -> tuple[str, str]:
    """Return the first texts for a message, and the argument of --missing-token for all of them."""
    if len(others) > 3:
        return f"{', '.join(map(shown, others[:3]))}, ...", "TEXT"
    return ", ".join(map(shown, others)), ",".join(others)


def _names(name: str, distinct: Any, cells: Any, present: int | None = None) -> Finding:
    """Return the finding for names: a category, or text with too many of them."""
    count = distinct.n_unique()
    like_dates = bool(distinct.str.contains(_DATE_LIKE).all())
    hint = "; if these are dates or times, name their format with --date" if like_dates else ""
    present = len(cells) if present is None else present
    if count == present and count > 1:
        named = bool(_IDENTIFIER_NAME.fullmatch(name) or _CAMEL_ID.fullmatch(name))
        kind = "identifier" if named else "text"
        return Finding(kind, f"is text that differs in every row{hint}", distinct=count)
    many = count > _FEW and count > _DISTINCT_SHARE * present
    if count > MAX_CATEGORIES or many:
        detail = f"is text with {count} distinct values in {present} rows{hint}"
        return Finding("text", detail, distinct=count)
    return Finding("category", distinct=count)
