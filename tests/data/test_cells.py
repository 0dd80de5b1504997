"""Cells as numbers, truth values, dates and names: one by one, against Python's own reading."""

import datetime
import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastmlp.data import CategoryColumn, DateColumn, NumberColumn, Table
from fastmlp.data.cells import (
    FALSE_WORDS,
    NUMBER_MISSING,
    TRUE_WORDS,
    NumberFormat,
    read_dates,
    read_numbers,
    truth_codes,
)
from fastmlp.data.columns import date_parts
from fastmlp.data.table_inputs import encode_table

polars = pytest.importorskip("polars")

# Characters of which numbers, dates and their like are made, so that many texts almost are some.
MARKS = "0123456789+-.,eE '\u2019\u00a0\u202f$€%:/TZ_xXinfNaN\u2212\u0661\uff11"
TEXTS = st.one_of(
    st.text(MARKS, max_size=12),
    st.text(max_size=6),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.datetimes().map(str),
    st.sampled_from([*NUMBER_MISSING, *TRUE_WORDS, *FALSE_WORDS, "", " ", "\t", "1_000", "0x10"]),
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def series(texts):
    return polars.Series("x", texts, polars.String)


# ---------------------------------------------------------------- numbers


@given(st.lists(TEXTS, min_size=1, max_size=20))
@example(["1_000", "0x10", "\u0661", "\uff11", "1e", "1e5", ".", ".5", "5.", "+1", "--1", "1e999"])
@example(["inf", "Infinity", "-inf", "nan", "NaN", " 1 ", "\u00a01", "1\u00a0"])
def test_plain_numbers_are_those_of_python(texts):
    found = read_numbers(series(texts))
    for i, text in enumerate(texts):
        stripped = text.strip()
        if stripped in ("", *NUMBER_MISSING):
            assert (found.missing[i], found.bad[i]) == (True, False), text
            continue
        value = float(stripped) if NUMBER.fullmatch(stripped) else math.inf
        assert not found.missing[i], text
        assert found.bad[i] == (not math.isfinite(value)), text
        if math.isfinite(value):
            assert found.values[i] == value, text
        else:
            assert math.isnan(found.values[i]), text


GROUPS = {".": (",", "'", "\u2019", " ", "\u00a0", "\u202f", ""),
          ",": (".", "'", "\u2019", " ", "\u00a0", "\u202f", "")}  # fmt: skip


@given(
    value=st.decimals(-(10**12), 10**12, places=3, allow_nan=False),
    decimal=st.sampled_from([".", ","]),
    at=st.integers(0, 6),
    affix=st.sampled_from(["", "$", "€", "%", "USD", "kg"]),
    place=st.sampled_from(["before", "after", "apart"]),
    minus=st.sampled_from(["-", "\u2212"]),
)
def test_formatted_numbers_are_the_numbers_that_were_written(
    value, decimal, at, affix, place, minus
):
    group = GROUPS[decimal][at]
    digits = f"{abs(value):,.3f}".translate({ord(","): group, ord("."): decimal})
    text = {
        "before": f"{affix}{digits}", "after": f"{digits}{affix}", "apart": f"{digits} {affix}"
    }[place]  # fmt: skip
    text = f"{minus}{text}" if value < 0 else text
    form = NumberFormat.grouped(decimal, affix)
    found = read_numbers(series([text, "", "oops"]), form)
    assert found.values[0] == float(value), text
    assert found.missing.tolist() == [False, True, False]
    assert found.bad.tolist() == [False, False, True]


@pytest.mark.parametrize(
    "text",
    ["1,23", "12,34,5", ",123", "1,,234", "1234,567", "1,234,56", "1.2.3", "$$1", "$", "1 $ 2",
     "1,234.5,6", "- -1", "1e", "e5", "one"],
)  # fmt: skip
def test_what_is_no_number_in_groups_of_three(text):
    form = NumberFormat(".", ",", "$")
    assert read_numbers(series([text]), form).bad.all(), text


def test_groups_of_two_digits_are_those_of_india():
    form = NumberFormat.grouped(".", "₹")
    assert read_numbers(series(["₹12,34,567.5", "1,00,000"]), form).values.tolist() == [
        1234567.5, 100000.0,
    ]  # fmt: skip


# ---------------------------------------------------------------- truth values


@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_truth_values_are_the_words_for_them(texts):
    expected = [
        1
        if text.strip().lower() in TRUE_WORDS
        else 0
        if text.strip().lower() in FALSE_WORDS
        else -1
        for text in texts
    ]
    assert truth_codes(series(texts)).tolist() == expected


# ---------------------------------------------------------------- dates

MOMENTS = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59))
EPOCH = datetime.datetime(1970, 1, 1)


def seconds_of(moment):
    return (moment - EPOCH) / datetime.timedelta(microseconds=1) / 1e6


@given(
    moment=MOMENTS,
    gap=st.sampled_from(["T", " "]),
    kind=st.sampled_from(["date", "slashes", "minutes", "seconds", "microseconds"]),
    zone=st.sampled_from(["", "Z", "+00:00", "+05:30", "-0800"]),
)
def test_iso_dates_are_those_of_python(moment, gap, kind, zone):
    day = f"{moment.year:04}-{moment.month:02}-{moment.day:02}"
    clock = {
        "minutes": moment.strftime("%H:%M"), "seconds": moment.strftime("%H:%M:%S"),
        "microseconds": moment.strftime("%H:%M:%S.%f"),
    }  # fmt: skip
    if kind in clock:
        text = f"{day}{gap}{clock[kind]}{zone}"
        fields = {"minutes": {"second": 0, "microsecond": 0}, "seconds": {"microsecond": 0}}
        expected = moment.replace(**fields.get(kind, {}))
        sign = {"+05:30": 330, "-0800": -480}.get(zone, 0)
        shifted = seconds_of(expected) - 60 * sign
    else:
        text = day if kind == "date" else day.replace("-", "/")
        shifted = seconds_of(moment.replace(hour=0, minute=0, second=0, microsecond=0))
    found = read_dates(series([text]))
    assert not found.bad.any(), text
    assert found.seconds[0] == pytest.approx(shifted, abs=1e-6), text


@given(moment=MOMENTS)
def test_the_parts_of_a_date_are_those_of_python(moment):
    seconds = np.array([seconds_of(moment)])
    parts = {name: values[0] for name, values in date_parts(seconds).items()}
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (midnight - EPOCH).days
    assert math.floor(parts["days"]) == days
    assert parts["month"] == moment.month
    assert parts["day"] == moment.day
    assert parts["weekday"] == moment.weekday()
    hour = (moment - midnight) / datetime.timedelta(hours=1)
    assert parts["hour"] == pytest.approx(hour, abs=1e-7)


@given(day=st.dates(datetime.date(1000, 1, 1), datetime.date(9999, 12, 31)))
@pytest.mark.parametrize(
    "form", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y.%m.%d", "%d %b %Y", "%B %d, %Y"]
)
def test_dates_of_a_format_are_those_of_python(form, day):
    text = day.strftime(form)
    found = read_dates(series([text, f"{text} 12:30", "32.13.2024", "", "NA"]), form)
    midnight = seconds_of(datetime.datetime(day.year, day.month, day.day))
    assert found.seconds[:2].tolist() == [midnight, midnight + 12.5 * 3600]
    assert found.bad.tolist() == [False, False, True, False, False]
    assert found.missing.tolist() == [False, False, False, True, True]


# ---------------------------------------------------------------- one by one

COLUMNS = [
    NumberColumn("x", fill=1.5, indicator=True),
    NumberColumn("x"),
    NumberColumn("x", NumberFormat.grouped(",", "€"), (*NUMBER_MISSING, "-999"), 2.0),
    NumberColumn("x", NumberFormat.grouped(".", "$")),
    CategoryColumn("x", ("1", "01", "1e0", "NA", "a", "True"), missing_level=True),
    CategoryColumn("x", ("1", "2.5", "-7", str(2**53 + 1)), "number", ("-999", "NA")),
    CategoryColumn("x", ("false", "true"), "boolean", refuses_missing=True),
    CategoryColumn("x", ("False", "True", "maybe"), fill="maybe"),
    DateColumn("x", fill=0.0, indicator=True),
    DateColumn("x", "%d.%m.%Y", ("days", "month", "weekday", "hour")),
]


@pytest.mark.parametrize("unknown", ["ignore", "error"])
@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.kind)
@given(cells=st.lists(st.one_of(TEXTS, st.none()), min_size=1, max_size=12))
def test_any_text_is_read_alone_as_among_others(column, unknown, cells):
    inputs, problems = encode_table(Table("t", {"x": series(cells)}), [column], unknown)
    assert np.isfinite(inputs).all()
    for row, cell in enumerate(cells):
        alone, problem = encode_table(Table("t", {"x": series([cell])}), [column], unknown)
        assert alone[0].tobytes() == inputs[row].tobytes(), cell
        assert problem.of_row(0) == problems.of_row(row), cell


@pytest.mark.parametrize("unknown", ["ignore", "error"])
@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.kind)
@given(
    values=st.one_of(
        st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=9),
        st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=9),
        st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=9),
        st.lists(st.one_of(st.none(), MOMENTS), min_size=1, max_size=9),
        st.lists(
            st.one_of(st.none(), st.sampled_from([1, 7, -7, -999, 0])), min_size=1, max_size=9
        ),
    )
)
def test_any_value_is_read_alone_as_among_others(column, unknown, values):
    cells = polars.Series("x", values, strict=False)
    inputs, problems = encode_table(Table("t", {"x": cells}), [column], unknown)
    assert np.isfinite(inputs).all()
    for row in range(len(values)):
        alone, problem = encode_table(Table("t", {"x": cells[row : row + 1]}), [column], unknown)
        assert alone[0].tobytes() == inputs[row].tobytes(), values[row]
        assert problem.of_row(0) == problems.of_row(row), values[row]
