"""Tables of Python callers: frames of pandas, polars, PyArrow and others, and plain columns.

Frames are read through narwhals, which knows each library by what the caller has imported already;
none of them has to be installed. The index of a pandas frame is never a column.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.table import Table
from fastmlp.extras import require
from fastmlp.validation import require_readable

__all__ = ["are_rows", "is_frame", "table_of", "with_absent_keys"]

# A column beside those of the model is usual, so that only what is very alike is told.
_LIKENESS = 0.7
_LONGEST_NAME = 100
_MOST_NAMES = 50


def table_of(
    x: Any,
    origin: str = "x",
    *,
    decimal_comma: Collection[str] = (),
    blank_names: bool = False,
) -> Table:
    """Return a frame, or columns or rows of Python, as a table.

    Parameters
    ----------
    x : Table, frame, mapping, sequence of mappings, or structured array
        A frame of pandas, polars (also lazy), PyArrow or another library that narwhals knows; an
        object with ``__arrow_c_stream__``; a mapping of names to arrays or lists; rows as mappings
        of names to values, or one such row; or a structured array of NumPy.
    origin : str
        Name of the argument, for messages.
    decimal_comma : collection of str
        Columns whose texts have decimal commas: numbers beside texts are written so.
    blank_names : bool
        Whether names of columns may be blank.

    Returns
    -------
    Table
        Columns keep their types. A column of Python objects becomes text if it holds any text, or
        truth values beside numbers: numbers as in `str`, whole ones without a point.

    Raises
    ------
    TypeError
        The object is no table.
    ValueError
        Two columns have the same name, columns differ in length, or there are no columns.

    Examples
    --------
    >>> import fastmlp.data.frames
    >>> fastmlp.data.frames.table_of({"age": [31, 45], "color": ["red", None]})
    Table('x', rows=2, columns=['age', 'color'])
    """
    if isinstance(x, Table):
        return x
    require("data", "polars")
    if isinstance(x, np.ndarray):
        columns = _columns_of_array(x, origin)
    elif are_rows(x):
        rows = [x] if isinstance(x, Mapping) else x
        columns = _columns_of_rows(_with_commas(rows, decimal_comma), origin)
    elif isinstance(x, Mapping):
        columns = [(name, _series(str(name), cells, origin)) for name, cells in x.items()]
    else:
        columns = _columns_of_frame(x, origin)
    return Table(origin, _named(columns, origin, blank_names))


def is_frame(x: Any) -> bool:
    """Return whether `table_of` takes an object for a table rather than an array of numbers.

    Examples
    --------
    >>> import fastmlp.data.frames, numpy
    >>> fastmlp.data.frames.is_frame({"a": [1]}), fastmlp.data.frames.is_frame(numpy.zeros((2, 2)))
    (True, False)
    """
    if isinstance(x, np.ndarray):
        return x.dtype.names is not None
    if isinstance(x, (Table, Mapping)) or are_rows(x):
        return True
    return _is_known_frame(x)


def are_rows(x: Any) -> bool:
    """Return whether an object is a sequence of rows, or one row, rather than columns.

    Examples
    --------
    >>> import fastmlp.data.frames
    >>> [fastmlp.data.frames.are_rows(x) for x in ([{"a": 1}], {"a": 1}, {"a": [1]})]
    [True, True, False]
    """
    if isinstance(x, Mapping):
        return len(x) > 0 and all(_is_cell(value) for value in x.values())
    is_sequence = isinstance(x, Sequence) and not isinstance(x, (str, bytes))
    return is_sequence and len(x) > 0 and all(isinstance(row, Mapping) for row in x)


def _is_cell(value: Any) -> bool:
    """Return whether an object is one value rather than a column."""
    column = hasattr(value, "__iter__") or hasattr(value, "__arrow_c_stream__")
    return isinstance(value, (str, bytes)) or not (column or hasattr(value, "__arrow_c_array__"))


def with_absent_keys(
    table: Table, names: Sequence[str], others: Collection[str] = ()
) -> tuple[Table, tuple[str, ...]]:
    """Return a table of rows with columns of missing values for keys that no row has.

    Parameters
    ----------
    table : Table
        Table of rows, in which an absent key is a missing value.
    names : sequence of str
        Columns that are needed. If the table has none of them, it stays as it is.
    others : collection of str
        Further columns that are known, and not needed.

    Returns
    -------
    table : Table
    notes : tuple of str
        Keys that nobody knows and that are spelled nearly as an absent one.

    Examples
    --------
    >>> from fastmlp.data.frames import table_of, with_absent_keys
    >>> with_absent_keys(table_of([{"agee": 31, "color": "red"}]), ["age", "color"])[1]
    ("'agee' is no column of the model; did you mean 'age'?",)
    """
    absent = [name for name in names if name not in table.columns]
    if not absent or len(absent) == len(names):
        return table, ()
    known = {*names, *others, *table.index}
    # Requests of strangers come here, and the comparison of many or long names takes long.
    unknown = [name for name in table.names if name not in known and len(name) <= _LONGEST_NAME]
    near = {name: _misspelled(name, absent) for name in unknown[:_MOST_NAMES]}
    notes = tuple(
        f"{name!r} is no column of the model; did you mean {meant!r}?"
        for name, meant in near.items()
        if meant is not None
    )
    polars = require("data", "polars")
    nulls = {name: polars.Series(name, [None] * len(table), polars.Null) for name in absent}
    return dataclasses.replace(table, columns={**table.columns, **nulls}), notes


def _misspelled(name: str, absent: Sequence[str]) -> str | None:
    """Return the absent name of which a name is a misspelling, or None."""
    import difflib  # only where keys are absent: it is slow to load

    lowered = {text.lower(): text for text in absent}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=_LIKENESS)
    return lowered[near[0]] if near else None


def _named(columns: list[tuple[Any, Any]], origin: str, blank_names: bool) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, cells in columns:
        text = str(name)
        if not (text.strip() or blank_names):
            raise ValueError(f"{origin}: column {len(named) + 1} must have a name, got {name!r}")
        if text in named:
            raise ValueError(f"{origin}: the names of columns must differ, got {text!r} twice")
        named[text] = cells.alias(text)
    if not named:
        raise ValueError(f"{origin}: must have columns, got none")
    lengths = {len(cells) for cells in named.values()}
    if len(lengths) > 1:
        found = ", ".join(f"{name!r} {len(cells)}" for name, cells in list(named.items())[:8])
        raise ValueError(f"{origin}: columns must have the same number of rows, got {found}")
    return named


# ---------------------------------------------------------------- kinds of tables


def _with_commas(rows: Any, names: Collection[str]) -> Any:
    """Return rows in which numbers of these columns are texts with decimal commas."""
    if not names:
        return rows

    def written(name: Any, value: Any) -> Any:
        is_number = _is_number_type(type(value)) and not isinstance(value, bool)
        if name not in names or not is_number or _is_missing(value):
            return value
        return _text_of(value).replace(".", ",")

    return [{name: written(name, value) for name, value in row.items()} for row in rows]


def _columns_of_rows(rows: Sequence[Mapping[Any, Any]], origin: str) -> list[tuple[Any, Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [(name, _series(str(name), [row.get(name) for row in rows], origin)) for name in names]


def _columns_of_array(x: NDArray[Any], origin: str) -> list[tuple[Any, Any]]:
    if x.dtype.names is None:
        raise TypeError(
            f"{origin} must be a table with named columns, got an array of shape {x.shape}; name "
            f"them: {{'a': {origin}[:, 0], ...}}, or use MLP.fit, which takes arrays"
        )
    if x.ndim != 1:
        raise ValueError(f"{origin}: a structured array must have shape (rows,), got {x.shape}")
    return [(name, _series(name, x[name], origin)) for name in x.dtype.names]


def _is_known_frame(x: Any) -> bool:
    polars = sys.modules.get("polars")
    pandas = sys.modules.get("pandas")
    if polars is not None and isinstance(x, (polars.DataFrame, polars.LazyFrame, polars.Series)):
        return not isinstance(x, polars.Series)
    if pandas is not None and isinstance(x, (pandas.DataFrame, pandas.Series)):
        return isinstance(x, pandas.DataFrame)
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(x, (arrow.Table, arrow.RecordBatch)):
        return True
    try:
        narwhals: Any = require("data", "narwhals")
    except ImportError:
        return hasattr(x, "__arrow_c_stream__")
    known = narwhals.from_native(x, pass_through=True, allow_series=True)
    if isinstance(known, narwhals.Series):
        return False
    return isinstance(known, (narwhals.DataFrame, narwhals.LazyFrame)) or hasattr(
        x, "__arrow_c_stream__"
    )


def _array_cure(origin: str, x: Any) -> str:
    """The end of a message: tensors have to be arrays."""
    if not hasattr(x, "__array__"):
        return ""
    require_readable(origin, x)
    return f"; np.asarray({origin}) is an array"


def _columns_of_frame(x: Any, origin: str) -> list[tuple[Any, Any]]:
    polars = require("data", "polars")
    if not _is_known_frame(x):
        raise TypeError(
            f"{origin} must be a table: a frame of pandas, polars or PyArrow, columns as "
            f"{{'age': [31, 45]}}, or rows as [{{'age': 31}}, {{'age': 45}}], got {_described(x)}"
            f"{_array_cure(origin, x)}"
        )
    if isinstance(x, polars.LazyFrame):
        x = x.collect()
    if isinstance(x, polars.DataFrame):
        return [(cells.name, _plain(cells, origin)) for cells in x.get_columns()]
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(x, pandas.DataFrame):
        return [(name, _of_pandas(x.iloc[:, at], origin)) for at, name in enumerate(x.columns)]
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(x, (arrow.Table, arrow.RecordBatch)):
        return _of_arrow_stream(x, list(x.schema.names), origin)
    narwhals: Any = require("data", "narwhals")
    frame = narwhals.from_native(x, pass_through=True)
    if isinstance(frame, narwhals.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, narwhals.DataFrame):
        if frame.implementation.is_pandas_like():
            return [(name, _of_pandas(frame[name].to_native(), origin)) for name in frame.columns]
        x = frame.to_native()
    return _of_arrow_stream(x, None, origin)


def _described(x: Any) -> str:
    """Return what an object is that is no table, and the cure if it is clear."""
    if hasattr(x, "read") and (hasattr(x, "readline") or hasattr(x, "seek")):
        name = getattr(x, "name", None)
        path = name if isinstance(name, str) else "file.csv"
        return f"an open file; pass its path, {path!r}"
    if isinstance(x, (list, tuple)):
        if not x:
            return f"an empty {type(x).__name__}, which has no rows"
        wrong = next(row for row in x if not isinstance(row, Mapping))
        cure = "; pass a dict for each row, or numpy.array(...) where arrays are taken"
        return f"a {type(x).__name__} that holds {_with_article(wrong)}{cure}"
    if type(x).__name__ == "Series":
        return "Series; pass a frame: frame[['age']], or frame.iloc[[0]] for one row"
    return type(x).__name__


def _with_article(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _of_arrow_stream(x: Any, names: list[str] | None, origin: str) -> list[tuple[Any, Any]]:
    polars = require("data", "polars")
    if names is not None and len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ValueError(f"{origin}: the names of columns must differ, got {twice!r} twice")
    frame = polars.DataFrame(x)
    return [(cells.name, _plain(cells, origin)) for cells in frame.get_columns()]


# ---------------------------------------------------------------- columns


def _plain(cells: Any, origin: str) -> Any:
    """Return a polars.Series with categories as text, decimal numbers as float64."""
    polars = require("data", "polars")
    if cells.dtype in (polars.Categorical, polars.Enum):
        return cells.cast(polars.String)
    if cells.dtype.is_decimal():
        return cells.cast(polars.Float64)
    if cells.dtype == polars.Object:
        return _of_objects(cells.name, cells.to_list(), origin)
    return cells


def _series(name: str, cells: Any, origin: str) -> Any:
    """Return a column of a mapping as a polars.Series."""
    polars = require("data", "polars")
    if isinstance(cells, polars.Series):
        return _plain(cells, origin)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(cells, (pandas.Series, pandas.Index)):
        return _of_pandas(cells.to_series() if isinstance(cells, pandas.Index) else cells, origin)
    if isinstance(cells, np.ndarray):
        return _of_array(name, cells, origin)
    if hasattr(cells, "__arrow_c_stream__") or hasattr(cells, "__arrow_c_array__"):
        return _plain(polars.Series(name, cells), origin)
    if isinstance(cells, (str, bytes, Mapping)) or not hasattr(cells, "__iter__"):
        raise TypeError(
            f"{origin}: column {name!r} must be an array or list, got {type(cells).__name__}; one "
            "row is a mapping of names to values alone"
        )
    return _of_objects(name, list(cells), origin)


def _of_array(name: str, values: NDArray[Any], origin: str) -> Any:
    """Return an array of shape (rows,) as a polars.Series."""
    polars = require("data", "polars")
    if values.ndim != 1:
        raise ValueError(f"{origin}: column {name!r} must have shape (rows,), got {values.shape}")
    kind = values.dtype.kind
    if np.ma.isMaskedArray(values):
        return _of_objects(name, values.tolist(), origin)
    if kind == "O":
        return _of_objects(name, values.tolist(), origin)
    if kind == "U":
        return polars.Series(name, values.tolist(), polars.String)
    if kind == "f":
        # Half and extended precision have no counterpart.
        exact = values if values.dtype.itemsize in (4, 8) else values.astype(np.float64)
        native = np.ascontiguousarray(exact, exact.dtype.newbyteorder("="))
        return polars.Series(name, native).fill_nan(None)
    if kind in "biu":
        return polars.Series(name, np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
    if kind == "M":
        unit = np.datetime_data(values.dtype)[0]
        scale = unit if unit in ("ms", "us", "ns") else "us"
        moments = values.astype(f"M8[{scale}]").astype(np.int64)
        cells = polars.Series(name, moments).cast(polars.Datetime(scale))
        cells = cells.set(polars.Series(np.isnat(values)), None)
        return cells.cast(polars.Date) if unit in ("Y", "M", "W", "D") else cells
    return polars.Series(name, values.tolist(), strict=False)


def _of_pandas(cells: Any, origin: str) -> Any:
    """Return a pandas.Series, of whatever backing, as a polars.Series."""
    polars = require("data", "polars")
    name, dtype = str(cells.name), cells.dtype
    kind = str(dtype)
    if isinstance(dtype, np.dtype):
        if dtype.kind == "m":
            return _of_array(name, cells.to_numpy().astype("m8[us]"), origin)
        return _of_array(name, cells.to_numpy(), origin)
    if kind == "category":
        categories = _of_pandas(cells.cat.categories.to_series(), origin)
        codes = cells.cat.codes.to_numpy()
        texts = _as_names(categories)
        places = polars.Series(np.where(codes < 0, 0, codes).astype(np.uint32))
        if not len(texts):
            return polars.Series(name, [None] * len(codes), polars.String)
        return texts.gather(places).set(polars.Series(codes < 0), None).alias(name)
    if kind.startswith("datetime64"):  # with a zone: the moments, which are those of UTC
        moments = cells.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return _of_array(name, moments, origin).dt.replace_time_zone("UTC")
    missing = cells.isna().to_numpy(bool)
    base = getattr(dtype, "numpy_dtype", None)
    if base is not None and np.dtype(base).kind in "biuf":
        base = np.dtype(base)
        values = cells.to_numpy(dtype=base, na_value=base.type(0))
        return _of_array(name, values, origin).set(polars.Series(missing), None)
    values = cells.tolist()
    if kind.startswith("period"):
        values = list(map(str, values))
    return _of_objects(
        name,
        [None if gone else value for gone, value in zip(missing.tolist(), values, strict=True)],
        origin,
    )


def _as_names(cells: Any) -> Any:
    """Return values as text, whole numbers without a point."""
    polars = require("data", "polars")
    if cells.dtype == polars.String:
        return cells
    texts = [None if value is None else _text_of(value) for value in cells.to_list()]
    return polars.Series(cells.name, texts, polars.String)


def _of_objects(name: str, values: list[Any], origin: str) -> Any:
    """Return Python objects as a polars.Series: text if any is text, else values of one type."""
    polars = require("data", "polars")
    values = [None if _is_missing(value) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return polars.Series(name, values, polars.Null)
    texts = any(issubclass(kind, str) for kind in kinds)
    truths = {kind for kind in kinds if issubclass(kind, (bool, np.bool_))}
    if texts or (truths and len(truths) < len(kinds)):
        cells = [None if value is None else _text_of(value) for value in values]
        return polars.Series(name, cells, polars.String)
    if truths:
        return polars.Series(name, [None if v is None else bool(v) for v in values], polars.Boolean)
    if all(_is_number_type(kind) for kind in kinds):
        return _of_numbers(name, values)
    if kinds == {np.datetime64}:
        return _of_array(name, np.array(["NaT" if v is None else v for v in values], "M8"), origin)
    try:
        series = polars.Series(name, values, strict=False)
    except (TypeError, ValueError, polars.exceptions.PolarsError):
        series = None
    if series is None or series.dtype == polars.Object:
        named = ", ".join(sorted(kind.__name__ for kind in kinds)[:4])
        raise TypeError(
            f"{origin}: column {name!r} must hold numbers, text, dates or truth values, got "
            f"objects of type {named}; leave it out or convert it"
        )
    return series


def _of_numbers(name: str, values: list[Any]) -> Any:
    polars = require("data", "polars")
    whole = all(value is None or isinstance(value, (int, np.integer)) for value in values)
    if whole and all(value is None or -(2**63) <= int(value) < 2**63 for value in values):
        cells = [None if value is None else int(value) for value in values]
        return polars.Series(name, cells, polars.Int64)
    if whole:  # names rather than numbers, which float64 would merge
        texts = [None if value is None else str(int(value)) for value in values]
        return polars.Series(name, texts, polars.String)
    return polars.Series(name, [None if v is None else float(v) for v in values], polars.Float64)


def _is_number_type(kind: type) -> bool:
    from decimal import Decimal
    from fractions import Fraction

    return issubclass(kind, (int, float, np.integer, np.floating, Decimal, Fraction))


def _is_missing(value: Any) -> bool:
    """Return whether an object is None, NaN, pandas.NA or NaT."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    if type(value).__name__ == "Decimal":
        return bool(math.isnan(value))
    return False


def _text_of(value: Any) -> str:
    """Return an object as the text of a cell."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(value)
