"""Random tables with columns of every kind, as texts and as typed values, and ways to give them.

A table is a mapping of names to lists of cells. None is a missing value.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.data.cells import FALSE_WORDS, NUMBER_MISSING, TRUE_WORDS

Cells = list[Any]
Columns = dict[str, Cells]
Random = np.random.Generator

ROWS = 60
NAMES = (
    "size", "zip code", "a,b", 'say "q"', "größe", "2020", "Straße", "x;y", "=1+1", "when", "Kind",
    "tab\tname", "col", "日本", "none",
)  # fmt: skip


# ---------------------------------------------------------------- texts


def _drawn(random: Random, values: Any, rows: int) -> list[str]:
    """Draw a few texts, each of them several times."""
    chosen = random.permutation(len(values))[: int(random.integers(2, 7))]
    return [str(values[chosen[i]]) for i in random.integers(0, len(chosen), rows)]


def _with_gaps(random: Random, cells: Cells, tokens: tuple[str, ...]) -> Cells:
    share = random.choice([0.0, 0.02, 0.3])
    gaps = random.random(len(cells)) < share
    gaps[0] = False  # the first cell tells how to read the others
    return [
        str(random.choice(tokens)) if gap else cell for cell, gap in zip(cells, gaps, strict=True)
    ]


def _grouped(value: float, group: str, point: str, digits: int = 2) -> str:
    text = f"{value:,.{digits}f}"
    return text.translate({ord(","): group, ord("."): point})


def _money(group: str, point: str, before: str = "", after: str = "") -> Callable[..., Cells]:
    def cells(random: Random, rows: int) -> Cells:
        values = random.lognormal(8, 3, rows)
        texts = [f"{before}{_grouped(value, group, point)}{after}" for value in values]
        signed = [f"-{text}" if random.random() < 0.2 else text for text in texts]
        return _with_gaps(random, signed, ("", *NUMBER_MISSING))

    return cells


def _plain_numbers(random: Random, rows: int) -> Cells:
    values = random.normal(0, 10.0 ** random.integers(-3, 9), rows)
    written = [repr, "{:.3f}".format, "{:e}".format, "{:+.1f}".format, " {:.2f} ".format]
    texts = [str(random.choice(written)(value)) for value in values.tolist()]
    return _with_gaps(random, texts, ("", " ", *NUMBER_MISSING))


def _counts(random: Random, rows: int) -> Cells:
    return _with_gaps(random, [str(i) for i in random.integers(-5, 90, rows)], NUMBER_MISSING)


def _dates(form: str) -> Callable[..., Cells]:
    def cells(random: Random, rows: int) -> Cells:
        start = datetime.datetime(1995, 1, 1)
        minutes = random.integers(0, 30 * 365 * 1440, rows)
        moments = [start + datetime.timedelta(minutes=int(m)) for m in minutes]
        moments[0] = datetime.datetime(2011, 12, 31, 22, 30)  # tells days from months
        texts = [moment.strftime(form) for moment in moments]
        return _with_gaps(random, texts, ("", *NUMBER_MISSING))

    return cells


def _names(*values: str) -> Callable[..., Cells]:
    def cells(random: Random, rows: int) -> Cells:
        return _with_gaps(random, _drawn(random, values, rows), ("", " "))

    return cells


def _truth(random: Random, rows: int) -> Cells:
    pair = int(random.integers(0, len(TRUE_WORDS) - 1))
    case = random.choice([str.lower, str.upper, str.title])
    words = [case(FALSE_WORDS[pair]), case(TRUE_WORDS[pair])]
    return _with_gaps(random, [words[i] for i in random.integers(0, 2, rows)], ("",))


TEXTS: dict[str, Callable[..., Cells]] = {
    "plain numbers": _plain_numbers,
    "counts": _counts,
    "decimal commas": _money("", ","),
    "points and commas": _money(".", ","),
    "commas and points": _money(",", "."),
    "apostrophes": _money("'", "."),
    "blanks": _money("\u202f", ","),
    "dollars": _money(",", ".", before="$"),
    "euros": _money(".", ",", after=" €"),
    "codes of currencies": _money(",", ".", before="USD "),
    "percents": _money("", ".", after="%"),
    "weights": _money("", ".", after=" kg"),
    "leading zeros": _names("0042", "42", "K7", "M9", "Q1", "007", "7"),
    "hexadecimal": _names("1e3", "1000", "a0f", "1E3", "00f", "0x1f"),
    "truth": _truth,
    "truth and words": _names("True", "FALSE", "yes", "Unsure", "no", "1", "t"),
    "mixed types": _names("1", "1.0", "one", "True", "2024-01-31", "$1", "inf", "nan"),
    "countries": _names("NA", "DE", "null", "None", "N/A", "nan", "-", "?", "NaT"),
    "quoted": _names('say "q"', "a,b", "a;b", "tab\there", "two\nlines", "=1+1", "'", '"'),
    "blanks around": _names(" lead", "lead", "trail ", "in  side", "\u00a0hard"),
    "unicode": _names("é", "e\u0301", "ß", "SS", "日本", "\U0001f600", "İ"),
    "large integers": _names(str(2**53 + 1), str(2**53), str(2**63), "9" * 30),
    "dates": _dates("%Y-%m-%d"),
    "moments": _dates("%Y-%m-%dT%H:%M:%S"),
    "moments with a zone": _dates("%Y-%m-%d %H:%M:%S+02:00"),
    "days first": _dates("%d.%m.%Y"),
    "months first": _dates("%m/%d/%Y"),
    "days and minutes": _dates("%d.%m.%Y %H:%M"),
    "names of months": _dates("%d %b %Y"),
}

LABELS: dict[str, tuple[str, ...]] = {
    "leading zeros": ("01", "1", "007"),
    "truth": ("True", "False"),
    "small truth": ("false", "true"),
    "yes and no": ("No", "Yes"),
    "points": ("1.0", "2.0", "10.0"),
    "digits": ("1", "2", "10"),
    "negative digits": ("-1", "0", "1"),
    "hexadecimal": ("1e3", "1000", "a0f"),
    "countries": ("NA", "DE", "null"),
    "unicode": ("é", "e\u0301", "=1+1", 'say "q"', "a,b"),
}


def text_table(random: Random, kinds: list[str], rows: int = ROWS) -> Columns:
    """Return columns of these kinds as texts, as they stand in a CSV file."""
    names = random.permutation(NAMES)[: len(kinds)].tolist()
    made = {name: TEXTS[kind](random, rows) for name, kind in zip(names, kinds, strict=True)}
    # Every table has a number, so that the classes can be told apart a little.
    return made | {"base": [f"{value:.4f}" for value in random.normal(0, 1, rows)]}


def label_cells(random: Random, labels: tuple[Any, ...], rows: int = ROWS) -> Cells:
    """Return a target: each label several times, in random order."""
    cells = [labels[i % len(labels)] for i in range(rows)]
    return [cells[i] for i in random.permutation(rows)]


# ---------------------------------------------------------------- typed values


def typed_table(random: Random, rows: int = ROWS) -> Columns:
    """Return columns of Python values of every type, some of which are missing."""
    day = datetime.date(1999, 12, 31)
    moment = datetime.datetime(2011, 12, 31, 22, 30, 15)
    columns: Columns = {
        "count": random.integers(-5, 90, rows).tolist(),
        "large": [2**53 + int(i) for i in random.integers(1, 4, rows)],
        "value": random.normal(0, 1e4, rows).tolist(),
        "truth": random.random(rows).__gt__(0.5).tolist(),
        "code": random.choice([7, 30, 1000], rows).tolist(),
        "level": random.choice([0.5, 1.0, 2.5], rows).tolist(),
        "name": random.choice(["NA", "0042", "1e3", "é", "a,b", "True"], rows).tolist(),
        "day": [day + datetime.timedelta(days=int(i)) for i in random.integers(0, 9000, rows)],
        "moment": [
            moment + datetime.timedelta(seconds=int(i)) for i in random.integers(0, 10**9, rows)
        ],
    }
    # Beside missing values pandas makes floats of integers, which cannot hold the large ones.
    for name in random.permutation([name for name in columns if name != "large"])[:4].tolist():
        for row in random.permutation(rows)[:7]:
            columns[name][row] = None
    return columns | {"base": random.normal(0, 1, rows).tolist()}


# ---------------------------------------------------------------- ways to hand a table over


def rows_of(columns: Columns, rows: Any) -> Columns:
    """Return some rows of a table."""
    return {name: [cells[row] for row in rows] for name, cells in columns.items()}


def dicts_of(columns: Columns) -> list[dict[str, Any]]:
    """Return a table as a list of rows."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def delimited(columns: Columns, separator: str = ",", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """Return a table as text: dates in ISO 8601, None as nothing."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(written, cells) for cells in columns.values()), strict=True))
    return stream.getvalue()


def written(value: Any) -> Any:
    """Return a value as it is written into a text file."""
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, bool)) else repr(value)


def json_lines(columns: Columns) -> str:
    """Return a table as JSON lines: a missing value is null, or has no key in every third row."""
    lines = []
    for at, row in enumerate(dicts_of(columns)):
        plain = {name: _json_value(value) for name, value in row.items()}
        if at % 3 == 2:
            plain = {name: value for name, value in plain.items() if value is not None}
        lines.append(json.dumps(plain, ensure_ascii=at % 2 == 0) + "\n")
    return "".join(lines)


def _json_value(value: Any) -> Any:
    return written(value) if isinstance(value, datetime.date) else value


def written_files(columns: Columns, directory: Path) -> Iterator[Path]:
    """Write a table in every format and yield the files."""
    import polars

    rows = [{name: _json_value(value) for name, value in row.items()} for row in dicts_of(columns)]
    texts = {
        "t.csv": delimited(columns),
        "quoted.csv": delimited(columns, quoting=csv.QUOTE_ALL),
        "semicolons.csv": delimited(columns, ";"),
        "t.tsv": delimited(columns, "\t"),
        "t.jsonl": json_lines(columns),
        "t.json": json.dumps(rows),
    }
    for name, text in texts.items():
        path = directory / name
        path.write_bytes(text.encode())
        yield path
    frame = polars.DataFrame(columns, strict=False)
    frame.write_parquet(directory / "t.parquet")
    yield directory / "t.parquet"
    frame.write_ipc(directory / "t.feather")
    yield directory / "t.feather"


def frames(columns: Columns) -> Iterator[tuple[str, Any]]:
    """Yield a table as an object of every kind whose library is installed."""
    import polars

    n = len(next(iter(columns.values())))
    yield "dict", columns
    yield "tuples", {name: tuple(cells) for name, cells in columns.items()}
    yield "list of dict", dicts_of(columns)
    frame = polars.DataFrame(columns, strict=False)
    yield "polars", frame
    yield "lazy", frame.lazy()
    try:
        import pyarrow
    except ImportError:
        return
    yield "Arrow", pyarrow.table(columns)
    try:
        import pandas
    except ImportError:
        return
    yield "pandas", pandas.DataFrame(columns)
    yield "pandas objects", pandas.DataFrame(columns, dtype=object)
    index = [f"i{i % 7}" for i in range(n)]
    yield "pandas with an index", pandas.DataFrame(columns).set_index(pandas.Index(index))
    yield "pandas on Arrow", frame.to_pandas(use_pyarrow_extension_array=True)
