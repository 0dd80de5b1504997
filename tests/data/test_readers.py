"""Reading tables, and finding the source: what is in a file comes out of it."""

import csv
import gzip
import hashlib
import io
import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import Options, Table, is_file_source, prepare, read, read_samples
from fastmlp.data.delimited import read_delimited

pl = pytest.importorskip("polars")

MISSING = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"}
RNG = np.random.Generator(np.random.PCG64(7))


def save(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def columns(table):
    """The columns as lists in which a missing value is None."""
    assert isinstance(table, Table)
    lists = {name: column.tolist() for name, column in table.columns.items()}
    for name, column in table.columns.items():
        assert column.dtype in (np.float64, object), name
        assert column.shape == (len(table),)
    return {
        name: [None if value is None or value != value else value for value in values]
        for name, values in lists.items()
    }


# ---------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,x\n-2.5e-3,y\n", {"a": [1.0, -0.0025], "b": ["x", "y"]}),
        ("a;b\n1;x,y\n2;z\n", {"a": [1.0, 2.0], "b": ["x,y", "z"]}),
        ("a\tb\n1\tx y\n", {"a": [1.0], "b": ["x y"]}),
        ("a|b\n1|x\n", {"a": [1.0], "b": ["x"]}),
        ('"a,b;c;d",e\n1,2\n', {"a,b;c;d": [1.0], "e": [2.0]}),
        ("\ufeffa,b\r\n1,x\r\n2,y\r\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
        ("a,b\r1,x\r2,y\r", {"a": [1.0, 2.0], "b": ["x", "y"]}),
        ('a,b\n"1","x ""y"", z"\n', {"a": [1.0], "b": ['x "y", z']}),
        ('a,b\n1,5" pipe\n2,6" pipe\n', {"a": [1.0, 2.0], "b": ['5" pipe', '6" pipe']}),
        ('a,b\n1,"two\nlines"\n2,z\n', {"a": [1.0, 2.0], "b": ["two\nlines", "z"]}),
        ("a,b\n 1 , x \n\t2, y\n", {"a": [1.0, 2.0], "b": [" x ", " y"]}),
        ("a\n1\n\n3\n\n\n", {"a": [1.0, None, 3.0]}),
        ("a,b\nTrue,yes\nFALSE,no\n?,\n", {"a": ["true", "false", None], "b": ["yes", "no", None]}),
        ("a\n9007199254740992\n1\n", {"a": [2.0**53, 1.0]}),
        ("a\n9007199254740993\n1\n", {"a": ["9007199254740993", "1"]}),
        ("a\n-00000000000000000000012\n1e300\n", {"a": [-12.0, 1e300]}),
        ("a\nA\nB\n7\n", {"a": ["A", "B", "7"]}),
        ("a\n1_0\nx\n", {"a": ["1_0", "x"]}),
        ("a,b\n?,1\n ? ,2\n", {"a": [None, None], "b": [1.0, 2.0]}),
        ("x^2,é\n1,ü\n", {"x^2": [1.0], "é": ["ü"]}),
        ("a,b\n" + "1,x\n" * 200_000, {"a": [1.0] * 200_000, "b": ["x"] * 200_000}),
    ],
)
def test_csv(text, expected):
    table = read_delimited(text.encode(), "t.csv")
    assert columns(table) == expected
    assert list(table.columns) == list(expected)
    assert table.unsupported == {}


@pytest.mark.parametrize("token", sorted(MISSING))
def test_missing_values(token):
    table = read_delimited(f"a,b\n1,{token}\n{token},x\n".encode(), "t.csv")
    assert columns(table) == {"a": [1.0, None], "b": [None, "x"]}


def test_a_column_that_is_neither_numbers_nor_text_spoils_no_other():
    text = 'a,b,c,d\n1,2,5,"1,5"\n3,x,inf,"2,5"\n4,5,6,"3,5"\n'
    table = read_delimited(text.encode(), "t.csv")
    assert columns(table) == {"a": [1.0, 3.0, 4.0]}
    assert table.unsupported == {
        "b": "numbers mixed with text (line 3: 'x')",
        "c": "numbers that are infinite (line 3: 'inf')",
        "d": "numbers with a decimal comma (line 2: '1,5')",
    }
    lenient = read_delimited(text.encode(), "t.csv", strict=False)
    assert columns(lenient)["b"] == ["2", "x", "5"]
    assert list(lenient.unsupported) == ["c"]


def test_whoever_uses_such_a_column_is_told_the_line(tmp_path):
    raw = read(save(tmp_path, "t.csv", "a,b,y\n" + "1,2,p\n2,x,q\n3,5,p\n4,6,q\n" * 8))
    with pytest.raises(ValueError, match=r"'b'.* numbers mixed with text \(line 3: 'x'\)"):
        prepare(raw, Options())
    assert prepare(raw, Options(features=("a",))).preprocessing.feature_names == ("a",)


def test_lines_are_known_where_rows_are_lines():
    assert read_delimited(b"a,b\n1,2\n", "t.csv").first_line == 2
    assert read_delimited(b'a,b\n1,5" pipe\n', "t.csv").first_line == 2
    assert read_delimited(b'a,b\n1,"x\ny"\n2,z\n', "t.csv").first_line is None


def test_a_separator_that_is_given_is_not_guessed(tmp_path):
    path = save(tmp_path, "t.csv", "a:b,c\n1:x,y\n")
    assert columns(read(path, separator=":").train.x) == {"a": [1.0], "b,c": ["x,y"]}
    path = save(tmp_path, "t.tsv", "a,b,c\td\n1\t2\n")
    assert columns(read_samples(path)) == {"a,b,c": [1.0], "d": [2.0]}
    for wrong in ("", ",,", "a", "1", '"', "\n", "é"):
        with pytest.raises(ValueError, match="separator must be one ASCII character"):
            read(path, separator=wrong)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
awkward = st.text(st.sampled_from('",;\t|\r\n x1.?é'), max_size=6)


@settings(max_examples=80)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.one_of(cells, awkward), min_size=width, max_size=width), min_size=1
        )
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_any_text_that_the_csv_module_writes_comes_back(rows, separator, line_end, quote_all):
    width = len(rows[0])
    if not quote_all:
        # Before Python 3.13 the module quotes a CR or LF only if it is part of its line ends.
        unquoted = str.maketrans("", "", "".join(set("\r\n") - set(line_end)))
        rows = [[cell.translate(unquoted) for cell in row] for row in rows]
    stream = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(stream, delimiter=separator, lineterminator=line_end, quoting=quoting)
    names = [f"column {i}" for i in range(width)]
    # The word in each column makes all of them text, whatever hypothesis thinks of.
    writer.writerows([names, ["word"] * width, *rows])
    table = read_delimited(stream.getvalue().encode(), "t.csv", separator, strict=False)
    for i, name in enumerate(names):
        expected = [None if row[i].strip(" \t") in MISSING else row[i] for row in rows]
        assert table.columns[name].tolist() == ["word", *expected]


@given(st.lists(st.floats(allow_infinity=False), min_size=1), st.sampled_from(["r", ".17e", "f"]))
def test_numbers_are_rounded_as_python_does(values, form):
    texts = [repr(value) if form == "r" else format(value, form) for value in values]
    whole = any(abs(v) > 2**53 for v in values) and form == "f"
    table = read_delimited("\n".join(["a", *texts]).encode(), "t.csv")
    if not whole:
        np.testing.assert_array_equal(table.columns["a"], [float(text) for text in texts])


def test_rows_are_counted_right_across_blocks_of_the_scan():
    """Lines of all lengths, quotes among them, far more than the scan looks at in one go."""
    texts = ["x" * int(size) for size in RNG.integers(0, 3000, 700)]
    texts = [f"{text},{i}" if i % 3 else text + '"' for i, text in enumerate(texts)]
    stream = io.StringIO()
    csv.writer(stream).writerows([["i", "text"], *enumerate(texts)])
    table = read_delimited(stream.getvalue().encode(), "t.csv")
    assert table.columns["i"].tolist() == list(range(700))
    assert table.columns["text"].tolist() == texts
    with pytest.raises(FormatError, match=r"t\.csv: line 702, column 'text': is missing"):
        read_delimited(stream.getvalue().encode() + b"1\n", "t.csv")


# ---------------------------------------------------------------- Parquet


def test_parquet_of_another_writer(tmp_path):
    import datetime

    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "double": [1.5, None, float("nan")],
            "float": pa.array([0.5, 1, 2], pa.float32()),
            "byte": pa.array([1, None, 255], pa.uint8()),
            "large": pa.array([1, 2, 2**63], pa.uint64()),
            "exact": pa.array([1, 2, -(2**53)], pa.int64()),
            "decimal": [Decimal("1.25"), None, Decimal("-3.50")],
            "flag": [True, None, False],
            "text": ["x", "", None],
            "code": pa.array(["p", "q", "p"]).dictionary_encode(),
            "infinite": [0.0, float("-inf"), 1],
            "nothing": pa.array([None] * 3, pa.null()),
            "when": [datetime.datetime(2024, 1, 2)] * 3,
            "day": [datetime.date(2024, 1, 2)] * 3,
            "list": [[1], [2, 3], []],
            "record": [{"a": 1}] * 3,
            "bytes": [b"a"] * 3,
        }
    )
    path = str(tmp_path / "t.parquet")
    parquet.write_table(table, path, compression="zstd")
    read_back = read_samples(path)
    assert columns(read_back) == {
        "double": [1.5, None, None],
        "float": [0.5, 1, 2],
        "byte": [1, None, 255],
        "large": ["1", "2", str(2**63)],
        "exact": [1, 2, -(2**53)],
        "decimal": [1.25, None, -3.5],
        "flag": ["true", None, "false"],
        "text": ["x", "", None],
        "code": ["p", "q", "p"],
        "nothing": [None, None, None],
    }
    assert read_back.unsupported == {
        "when": "datetime",
        "day": "date",
        "list": "list",
        "record": "struct",
        "bytes": "binary",
        "infinite": "numbers that are infinite (row 2: -inf)",
    }
    assert read_back.first_line is None
    assert read_back.origin == path


# ---------------------------------------------------------------- sources


def test_named_sets():
    raw = read("moons")
    assert raw.train.x.shape == (1000, 2)
    assert (raw.name, raw.task, raw.test) == ("moons", "classification", None)
    raw = read("sine")
    assert raw.train.y.shape == (1000, 1)
    assert (raw.task, raw.class_names) == ("regression", None)


def test_a_known_name_wins_over_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path, "moons/x.csv", "a\n1\n")
    assert not is_file_source("moons")
    assert is_file_source("./moons")
    assert read("moons").train.x.shape == (1000, 2)
    assert [is_file_source(name) for name in ("-", "t.csv", "x/y", "labels-ubyte.gz")] == [True] * 4
    for name in ("breast_cancer", "MNIST", "Fashion MNIST"):
        save(tmp_path, f"{name}/x.csv", "a\n1\n")
        assert not is_file_source(name)
        assert is_file_source(f"./{name}")
    assert read("MOONS").name == "moons"
    assert not is_file_source("mons")
    save(tmp_path, "mons", "")
    assert is_file_source("mons")
    os.remove("mons")
    with pytest.raises(ValueError, match="moons"):
        read("mons")


def test_a_compressed_table_is_the_table(tmp_path):
    raw = read(save(tmp_path, "Sales.csv.gz", gzip.compress(b"a,b\n1,x\n")))
    assert raw.name == "Sales"
    assert raw.sha256 == {"Sales.csv": hashlib.sha256(b"a,b\n1,x\n").hexdigest()}
    assert columns(raw.train.x) == {"a": [1.0], "b": ["x"]}
    assert raw.train.y is None


READ_STANDARD_INPUT = """
import sys
from fastmlp.data import read, read_samples
raw = read("-") if sys.argv[1] == "read" else None
table = raw.train.x if raw else read_samples("-")
print({name: column.tolist() for name, column in table.columns.items()}, raw and raw.name)
"""


@pytest.mark.parametrize("form", ["csv", "gz", "parquet", "nothing"])
def test_standard_input(form):
    content = {"csv": b"a,b\n1,x\n", "gz": gzip.compress(b"a,b\n1,x\n"), "nothing": b""}
    stream = io.BytesIO()
    pl.DataFrame({"a": [1], "b": ["x"]}).write_parquet(stream)
    content["parquet"] = stream.getvalue()
    way = "samples" if form == "gz" else "read"
    done = subprocess.run(
        [sys.executable, "-c", READ_STANDARD_INPUT, way],
        input=content[form],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=60,
        check=False,
    )
    if form == "nothing":
        assert done.returncode == 1
        assert b"FormatError: standard input: is empty" in done.stderr
    else:
        name = "stdin" if way == "read" else None
        assert done.stdout.decode().strip() == f"{{'a': [1.0], 'b': ['x']}} {name}", done.stderr


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    path = save(tmp_path, "t.csv", "a\n1\n")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"polars is needed; run \"pip install 'fastmlp\[data\]'"):
        read(path)


def test_importing_is_light():
    code = """
import sys
import fastmlp.data
heavy = {"polars", "PIL", "sklearn", "scipy", "pandas", "pyarrow", "pydantic", "click"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
