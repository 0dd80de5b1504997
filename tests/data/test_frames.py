"""Tables of Python callers: frames of every library, mappings, rows and structured arrays."""

import datetime
import io
import re
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.data import Table
from fastmlp.data.frames import are_rows, is_frame, table_of, with_absent_keys

pl = pytest.importorskip("polars")

OPEN = open(__file__)  # noqa: SIM115, its name is looked at
DAY = datetime.date(2024, 1, 2)
MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5)


def one(x):
    """The only column of a table: its type, without details, and its values."""
    table = table_of(x)
    (cells,) = table.columns.values()
    return str(cells.dtype).partition("(")[0], cells.to_list()


# ---------------------------------------------------------------- Python and NumPy


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([1, 2], "Int64", [1, 2]),
        ([1, None], "Int64", [1, None]),
        ([1, 2.5, None], "Float64", [1.0, 2.5, None]),
        ([1, float("nan")], "Int64", [1, None]),
        (["x", None], "String", ["x", None]),
        (["x", 1, 2.0, 2.5, True, None, float("nan")], "String",
         ["x", "1", "2", "2.5", "True", None, None]),
        ([1, True, 0.5], "String", ["1", "True", "0.5"]),
        ([True, None, False], "Boolean", [True, None, False]),
        ([np.True_, np.False_], "Boolean", [True, False]),
        ([np.float32(0.5), np.int8(3)], "Float64", [0.5, 3.0]),
        ([2**53 + 1, 1], "Int64", [2**53 + 1, 1]),
        ([2**70, 1], "String", [str(2**70), "1"]),
        ([Decimal("1.5"), Decimal("nan")], "Float64", [1.5, None]),
        ([None, None], "Null", [None, None]),
        ([DAY, None], "Date", [DAY, None]),
        ([MOMENT, None], "Datetime", [MOMENT, None]),
        ([np.datetime64("2024-01-02"), np.datetime64("NaT")], "Date", [DAY, None]),
        ([[1], [2, 3]], "List", [[1], [2, 3]]),
        ((1, 2), "Int64", [1, 2]),
        (range(3), "Int64", [0, 1, 2]),
        (np.array([1.5, np.nan]), "Float64", [1.5, None]),
        (np.array([1, 2], ">i2"), "Int16", [1, 2]),
        (np.array([1.5], np.float16), "Float64", [1.5]),
        (np.array([1.5], ">f4"), "Float32", [1.5]),
        (np.array([1, 2], np.uint8), "UInt8", [1, 2]),
        (np.array([True, False]), "Boolean", [True, False]),
        (np.array(["x", ""]), "String", ["x", ""]),
        (np.array(["x", 1.0, None], object), "String", ["x", "1", None]),
        (np.array(["2024-01-02", "NaT"], "M8[D]"), "Date", [DAY, None]),
        (np.array(["2024-01-02T03:04:05", "NaT"], "M8[s]"), "Datetime", [MOMENT, None]),
        (np.array(["2024-01-02T03:04:05"], "M8[ns]"), "Datetime", [MOMENT]),
        (np.ma.masked_array([1, 2], [False, True]), "Int64", [1, None]),
        (np.arange(6)[::2], "Int64", [0, 2, 4]),
        (pl.Series([1, None]), "Int64", [1, None]),
        (pl.Series(["x"], dtype=pl.Categorical), "String", ["x"]),
        (pl.Series(["x"], dtype=pl.Enum(["x"])), "String", ["x"]),
        (pl.Series([Decimal("1.5")]), "Float64", [1.5]),
        (pl.Series(["x", 1, None], dtype=pl.Object), "String", ["x", "1", None]),
    ],
)  # fmt: skip
def test_columns_of_a_mapping(cells, dtype, expected):
    assert one({"a": cells}) == (dtype, expected)
    frame = pl.DataFrame({"a": cells}) if isinstance(cells, pl.Series) else None
    if frame is not None:
        assert one(frame) == one(frame.lazy()) == (dtype, expected)


def test_rows_and_structured_arrays():
    table = table_of([{"a": 1, "b": "x"}, {"b": None, "c": 2.5}], "rows")
    assert {name: cells.to_list() for name, cells in table.columns.items()} == {
        "a": [1, None],
        "b": ["x", None],
        "c": [None, 2.5],
    }
    array = np.array([(1, "x", 0.5)], [("a", "i4"), ("b", "U2"), ("c", ">f8")])
    table = table_of(array)
    assert [str(cells.dtype) for cells in table.columns.values()] == ["Int32", "String", "Float64"]
    assert one(array[["a"]]) == ("Int32", [1])


@pytest.mark.parametrize(
    "value", [1, "text", b"b", None, True, 0.5, float("nan"), DAY, MOMENT, Decimal("1.5"),
              np.float32(2), np.str_("x"), np.datetime64("2024-01-02")],
    ids=repr,
)  # fmt: skip
def test_a_mapping_of_values_is_one_row(value):
    assert are_rows({"a": value})
    if not isinstance(value, bytes):
        assert one({"a": value}) == one([{"a": value}]) == one({"a": [value]})


@pytest.mark.parametrize(
    "cells", [[1], (1,), range(2), np.zeros(2), pl.Series([1]), {1: 2}.values(), {1, 2}, iter([1])],
    ids=lambda cells: type(cells).__name__,
)  # fmt: skip
def test_a_mapping_of_columns_is_no_row(cells):
    assert not are_rows({"a": cells})
    assert not are_rows({"a": 1, "b": cells})


def test_keys_that_no_row_has():
    rows = [{"a": 1, "kolor": "x", "sise": 2, "t": 5}, {"a": 2, "kolor": "y"}]
    table, notes = with_absent_keys(table_of(rows), ["a", "color", "size"], ["t"])
    assert table.columns["color"].to_list() == table.columns["size"].to_list() == [None, None]
    assert table.names == ("a", "kolor", "sise", "t")
    assert notes == (
        "'kolor' is no column of the model; did you mean 'color'?",
        "'sise' is no column of the model; did you mean 'size'?",
    )
    known, none = with_absent_keys(table_of(rows), ["a", "size"], ["sise", "t"])
    assert none == ()
    assert "size" in known.columns
    assert with_absent_keys(table_of([{"rent": 1, "a": 2}]), ["a", "garden"])[1] == ()
    for names in (["a", "t"], ["b", "c"]):
        same = table_of(rows)
        assert with_absent_keys(same, names) == (same, ())


def test_a_table_passes_through():
    table = Table("t", {"a": [1]})
    assert table_of(table) is table
    assert table_of({"a": [1]}, "X").origin == "X"
    assert table_of({1: [2], None: [3]}).columns.keys() == {"1", "None"}


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            np.zeros((2, 3)),
            TypeError,
            r"x must be a table .* got an array of shape \(2, 3\); name th",
        ),
        (np.zeros(2), TypeError, r"array of shape \(2,\)"),
        ([[1, 2]], TypeError, "a frame of pandas, .* got a list that holds a list; pass a dict"),
        ([{"a": 1}, (2,)], TypeError, "got a list that holds a tuple; pass a dict for each row"),
        ([1, 2], TypeError, "got a list that holds an int; pass a dict for each row"),
        ([], TypeError, "got an empty list, which has no rows"),
        ((), TypeError, "got an empty tuple, which has no rows"),
        (io.StringIO("a\n1\n"), TypeError, "got an open file; pass its path, 'file.csv'"),
        (OPEN, TypeError, f"got an open file; pass its path, '{re.escape(__file__)}'"),
        ("a", TypeError, "got str"),
        (3, TypeError, "got int"),
        (None, TypeError, "got NoneType"),
        (pl.Series([1]), TypeError, "got Series; pass a frame"),
        ({}, ValueError, "x: must have columns, got none"),
        ({"a": [1, 2], "b": [1]}, ValueError, "the same number of rows, got 'a' 2, 'b' 1"),
        ({1: [1], "1": [2]}, ValueError, "the names of columns must differ, got '1' twice"),
        ({" ": [1]}, ValueError, "column 1 must have a name, got ' '"),
        ({"a": "text", "b": [1]}, TypeError, "'a' must be an array or list, got str; one row is"),
        ({"b": [1], "a": 3}, TypeError, "column 'a' must be an array or list, got int"),
        (
            {"a": np.zeros((2, 2))},
            ValueError,
            r"column 'a' must have shape \(rows,\), got \(2, 2\)",
        ),
        ({"a": [object()]}, TypeError, "column 'a' must hold numbers, text, dates .* type object"),
        (np.zeros((2, 2), [("a", "f8")]), ValueError, r"must have shape \(rows,\), got \(2, 2\)"),
    ],
)
def test_what_is_no_table_is_said(x, error, message):
    with pytest.raises(error, match=message):
        table_of(x)


def test_frames_are_known_from_arrays():
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return pl.DataFrame({"a": [1]}).__arrow_c_stream__(requested_schema)

    assert one(Stream()) == ("Int64", [1])
    frames = [pl.DataFrame(), pl.LazyFrame(), {}, [{}], Table("t", {"a": [1]}), Stream()]
    assert all(map(is_frame, frames))
    others = [np.zeros((2, 2)), [[1]], [], (), "x", None, 3, pl.Series([1])]
    assert not any(map(is_frame, others))


def test_no_library_of_frames_is_imported():
    code = """
import sys
from fastmlp.data.frames import are_rows, is_frame, table_of, with_absent_keys
table_of({"a": [1, "x"]}), table_of([{"a": 1}]), is_frame([[1]])
assert not {"pandas", "pyarrow"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---------------------------------------------------------------- pandas


def pandas_columns(pd):
    text = pd.Series(["x", None, "y"])
    moments = pd.to_datetime(["2024-01-02 03:04:05", None, "2024-01-02 00:00:00"])
    zoned = moments.tz_localize("Europe/Berlin")
    utc = datetime.timezone.utc
    return [
        (pd.Series([1, 2, 3]), "Int64", [1, 2, 3]),
        (pd.Series([1.5, None, 2]), "Float64", [1.5, None, 2.0]),
        (pd.Series([1, 2, 3], dtype="uint8"), "UInt8", [1, 2, 3]),
        (pd.Series([True, False, True]), "Boolean", [True, False, True]),
        (text, "String", ["x", None, "y"]),
        (text.astype(object), "String", ["x", None, "y"]),
        (text.astype("string"), "String", ["x", None, "y"]),
        (pd.Series([1, "x", 2.5], dtype=object), "String", ["1", "x", "2.5"]),
        (pd.Series([1, pd.NA, 2.5], dtype=object), "Float64", [1.0, None, 2.5]),
        (pd.Series([True, pd.NaT, None], dtype=object), "Boolean", [True, None, None]),
        (pd.Series([1, True, 2.0], dtype=object), "String", ["1", "True", "2"]),
        (pd.Series([1, None, 3], dtype="Int64"), "Int64", [1, None, 3]),
        (pd.Series([2**53 + 1, None, 3], dtype="Int64"), "Int64", [2**53 + 1, None, 3]),
        (pd.Series([1.5, None, 3], dtype="Float32"), "Float32", [1.5, None, 3.0]),
        (pd.Series([True, None, False], dtype="boolean"), "Boolean", [True, None, False]),
        (text.astype("category"), "String", ["x", None, "y"]),
        (pd.Series([3, 1, 3], dtype="category"), "String", ["3", "1", "3"]),
        (pd.Series([1.0, 2.5, None], dtype="category"), "String", ["1", "2.5", None]),
        (pd.Series([None, None, None], dtype="category"), "String", [None] * 3),
        (pd.Series([True, False, True], dtype="category"), "String", ["True", "False", "True"]),
        (pd.Series(moments), "Datetime", [MOMENT, None, datetime.datetime(2024, 1, 2)]),
        (
            pd.Series(zoned),
            "Datetime",
            [
                MOMENT.replace(hour=2, tzinfo=utc),
                None,
                datetime.datetime(2024, 1, 1, 23, tzinfo=utc),
            ],
        ),
        (pd.Series([DAY, None, DAY]), "Date", [DAY, None, DAY]),
        (pd.Series(pd.period_range("2024-01", periods=1, freq="M")), "String", ["2024-01"]),
        (pd.Series([0.0, 1.5], dtype=pd.SparseDtype(float)), "Float64", [0.0, 1.5]),
        (pd.Series([None, None], dtype=object), "Null", [None, None]),
    ]  # fmt: skip


def test_every_kind_of_pandas_column():
    pd = pytest.importorskip("pandas")
    for cells, dtype, expected in pandas_columns(pd):
        assert one(cells.to_frame("a")) == (dtype, expected), cells.dtype
        assert one({"a": cells}) == (dtype, expected), cells.dtype
        shuffled = cells.set_axis(range(10, 10 + len(cells))).to_frame("a").iloc[::-1]
        assert one(shuffled) == (dtype, expected[::-1]), "the index is no order"


def test_pandas_columns_backed_by_arrow():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for values, backing, dtype in [
        ([1, None], "int64[pyarrow]", "Int64"),
        ([1.5, None], "double[pyarrow]", "Float64"),
        (["x", None], "string[pyarrow]", "String"),
        ([True, None], "bool[pyarrow]", "Boolean"),
        ([DAY, None], "date32[pyarrow]", "Date"),
        ([MOMENT, None], "timestamp[us][pyarrow]", "Datetime"),
    ]:
        assert one(pd.DataFrame({"a": pd.array(values, backing)})) == (dtype, values), backing


def test_names_and_index_of_pandas_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.zeros((2, 2)), index=pd.Index([5, 6], name="id"))
    table = table_of(frame)
    assert list(table.columns) == ["0", "1"]
    assert table.index == ()
    assert list(table_of(frame.set_axis([("a", 1), "b"], axis=1)).columns) == ["('a', 1)", "b"]
    with pytest.raises(ValueError, match="must differ, got 'a' twice"):
        table_of(frame.set_axis(["a", "a"], axis=1))
    assert is_frame(frame)
    assert not is_frame(frame[0])


def test_pandas_needs_no_pyarrow():
    pytest.importorskip("pandas")
    code = """
import sys
sys.modules["pyarrow"] = None
import pandas, numpy
from fastmlp.data.frames import table_of
frame = pandas.DataFrame({"a": [1.5, None], "b": ["x", None], "c": pandas.Categorical(["u", "v"]),
                          "d": pandas.array([1, None], "Int64"),
                          "e": pandas.to_datetime(["2024-01-02", None])})
table = table_of(frame)
assert table.columns["b"].to_list() == ["x", None], table.columns
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---------------------------------------------------------------- other libraries


def test_pyarrow_tables():
    pa = pytest.importorskip("pyarrow")
    arrays = {
        "a": pa.array([1, None]),
        "b": pa.array(["x", None]).dictionary_encode(),
        "c": pa.array([Decimal("1.5"), None]),
        "d": pa.array([1.5, None], pa.float32()),
    }
    table = table_of(pa.table(arrays))
    assert [str(cells.dtype) for cells in table.columns.values()] == [
        "Int64", "String", "Float64", "Float32",
    ]  # fmt: skip
    assert [cells.to_list() for cells in table.columns.values()] == [
        [1, None], ["x", None], [1.5, None], [1.5, None],
    ]  # fmt: skip
    assert one(pa.record_batch({"a": [1]})) == ("Int64", [1])
    assert one({"a": pa.chunked_array([[1], [2]])}) == ("Int64", [1, 2])
    with pytest.raises(ValueError, match="must differ, got 'a' twice"):
        table_of(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    assert not is_frame(pa.chunked_array([[1]]))


def test_a_frame_of_duckdb():
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql("select 1 as a, 'x' as b union all select 2, null")
    table = table_of(relation)
    assert {name: cells.to_list() for name, cells in table.columns.items()} == {
        "a": [1, 2],
        "b": ["x", None],
    }


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=8))
def test_the_same_text_comes_from_every_library(texts):
    found = [one({"a": texts}), one([{"a": text} for text in texts])]
    found.append(one(pl.DataFrame({"a": pl.Series(texts, dtype=pl.String)})))
    try:
        import pandas as pd
        import pyarrow as pa
    except ImportError:
        pass
    else:
        found.append(one(pd.DataFrame({"a": pd.Series(texts, dtype=object)})))
        found.append(one(pd.DataFrame({"a": pd.Series(texts, dtype="string")})))
        found.append(one(pa.table({"a": pa.array(texts, pa.string())})))
    for _, cells in found:
        assert cells == texts
