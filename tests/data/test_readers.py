"""Reading tables, and finding the source: what is in a file comes out of it, as written."""

import csv
import gzip
import hashlib
import io
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import Table, is_file_source, read, read_samples
from fastmlp.data.delimited import read_delimited
from fastmlp.data.jsonl import read_json
from fastmlp.data.table import Reading

pl = pytest.importorskip("polars")

RNG = np.random.Generator(np.random.PCG64(7))


def save(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def columns(table):
    """The columns as lists."""
    assert isinstance(table, Table)
    for name, column in table.columns.items():
        assert column.name == name
        assert len(column) == len(table)
    return {name: column.to_list() for name, column in table.columns.items()}


# ---------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,x\n-2.5e-3,y\n", {"a": ["1", "-2.5e-3"], "b": ["x", "y"]}),
        ("a;b\n1;x,y\n2;z\n", {"a": ["1", "2"], "b": ["x,y", "z"]}),
        ("a\tb\n1\tx y\n", {"a": ["1"], "b": ["x y"]}),
        ("a|b\n1|x\n", {"a": ["1"], "b": ["x"]}),
        ('"a,b;c;d",e\n1,2\n', {"a,b;c;d": ["1"], "e": ["2"]}),
        ("\ufeffa,b\r\n1,x\r\n2,y\r\n", {"a": ["1", "2"], "b": ["x", "y"]}),
        ("a,b\r1,x\r2,y\r", {"a": ["1", "2"], "b": ["x", "y"]}),
        ('a,b\n"1","x ""y"", z"\n', {"a": ["1"], "b": ['x "y", z']}),
        ('a,b\n1,5" pipe\n2,6" pipe\n', {"a": ["1", "2"], "b": ['5" pipe', '6" pipe']}),
        ('a,b\n1,"two\nlines"\n2,z\n', {"a": ["1", "2"], "b": ["two\nlines", "z"]}),
        ("a,b\n 1 , x \n\t2, y\n", {"a": [" 1 ", "\t2"], "b": [" x ", " y"]}),
        ("a\n1\n\n3\n\n\n", {"a": ["1", "", "3", "", ""]}),
        ('a\n1\n\n""\n\n\n', {"a": ["1", "", "", "", ""]}),
        ("a,b\nTrue,yes\n?,\n", {"a": ["True", "?"], "b": ["yes", ""]}),
        ("a\n9007199254740993\n1.50\n007\nNA\n", {"a": ["9007199254740993", "1.50", "007", "NA"]}),
        ("x^2,é\n1,ü\n", {"x^2": ["1"], "é": ["ü"]}),
        ("a,b\n" + "1,x\n" * 200_000, {"a": ["1"] * 200_000, "b": ["x"] * 200_000}),
        ("a,b\n\n1,x\n\n\n  \n2,y\n\t\n", {"a": ["1", "2"], "b": ["x", "y"]}),
        ("\n\na,b\n1,x\n", {"a": ["1"], "b": ["x"]}),
        ("a\tb\n\t\n1\tx\n", {"a": ["", "1"], "b": ["", "x"]}),
    ],
)
def test_csv(text, expected):
    table = read_delimited(text.encode(), "t.csv")
    assert columns(table) == expected
    assert list(table.columns) == list(expected)
    assert all(column.dtype == pl.String for column in table.columns.values())


def test_true_lines_are_known():
    def lines(text):
        table = read_delimited(text, "t.csv", Reading(separator=","))
        return table.first_line, None if table.lines is None else table.lines.tolist()

    assert lines(b"a,b\n1,2\n") == (2, None)
    assert lines(b'a,b\n1,5" pipe\n') == (2, None)
    assert lines(b'a,b\n1,"x\ny"\n2,z\n') == (None, [2, 4])
    assert lines(b"\na,b\n1,2\n") == (3, None)
    assert lines(b"a,b\n1,2\n\n# no row\n3,4\n5,6\n") == (None, [2, 5, 6])
    assert lines(b"a,b\n" + b"1,2\n" * 600_000 + b"\n3,4\n")[1][-2:] == [600_001, 600_003]


def test_a_separator_that_is_given_is_not_guessed(tmp_path):
    path = save(tmp_path, "t.csv", "a:b,c\n1:x,y\n")
    assert columns(read(path, separator=":").train.x) == {"a": ["1"], "b,c": ["x,y"]}
    path = save(tmp_path, "t.tsv", "a,b,c\td\n1\t2\n")
    assert columns(read_samples(path)) == {"a,b,c": ["1"], "d": ["2"]}
    assert columns(read_samples(save(tmp_path, "t.psv", "a,b|c\n1|2\n"))) == {
        "a,b": ["1"],
        "c": ["2"],
    }
    for wrong in ("", ",,", "a", "1", '"', "\n", "é"):
        with pytest.raises(ValueError, match="separator must be one ASCII character"):
            read(path, separator=wrong)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
awkward = st.text(st.sampled_from('",;\t|\r\n x1.?é#'), max_size=6)
QUOTING = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "text": csv.QUOTE_NONNUMERIC}


@settings(max_examples=100)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.one_of(cells, awkward), min_size=width, max_size=width), min_size=1
        )
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(list(QUOTING)),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
)
def test_any_text_that_the_csv_module_writes_comes_back(
    rows, separator, line_end, quoting, encoding
):
    width = len(rows[0])
    if quoting == "minimal":
        # Before Python 3.13 the module quotes a CR or LF only if it is part of its line ends.
        unquoted = str.maketrans("", "", "".join(set("\r\n") - set(line_end)))
        rows = [[cell.translate(unquoted) for cell in row] for row in rows]
    stream = io.StringIO()
    writer = csv.writer(
        stream, delimiter=separator, lineterminator=line_end, quoting=QUOTING[quoting]
    )
    names = [f"column {i}" for i in range(width)]
    # Lines of blanks alone do not count, in a table of several columns.
    rows = [row for row in rows if width == 1 or separator.join(row).strip() or separator == "\t"]
    writer.writerows([names, ["word"] * width, *rows])
    given_encoding = encoding if encoding == "gb18030" else None
    reading = Reading(separator=separator, header=True, encoding=given_encoding)
    table = read_delimited(stream.getvalue().encode(encoding), "t.csv", reading)
    for i, name in enumerate(names):
        assert table.columns[name].to_list() == ["word", *(row[i] for row in rows)]


def test_rows_are_counted_right_across_blocks():
    """Lines of all lengths, quotes and line breaks among them, in more than one block."""
    texts = ["x" * int(size) for size in RNG.integers(0, 3000, 3500)]
    texts = [f"{text},{i}" if i % 3 else f'{text}"\n' for i, text in enumerate(texts)]
    stream = io.StringIO()
    csv.writer(stream).writerows([["i", "text"], *enumerate(texts)])
    content = stream.getvalue().encode()
    assert len(content) > 2 * (1 << 21)
    table = read_delimited(content, "t.csv", Reading(as_text=None))
    assert table.columns["i"].to_list() == list(map(str, range(3500)))
    assert table.columns["text"].to_list() == texts
    last = 2 + 3500 + len(range(0, 3500, 3))
    assert table.lines[-1] == last - 1
    with pytest.raises(FormatError, match=rf"t\.csv: line {last}, column 'text': is missing"):
        read_delimited(content + b"1\n", "t.csv")


# ---------------------------------------------------------------- long columns


ROWS = 20_000


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("fastmlp.data.content.BLOCK_BYTES", 1 << 14)


def long_table(**cells):
    """A table in many blocks."""
    lines = [",".join(cells)]
    lines += [",".join(str(make(i)) for make in cells.values()) for i in range(ROWS)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda i: i, "Float64"),
        (lambda i: i / 7, "Float64"),
        (lambda i: f"{i % 1000}.50", "String"),
        (lambda i: f"{i % 1001}.50", "Float64"),
        (lambda i: i if i % 5 else "NA", "Float64"),
        (lambda i: i if i % 5 else "", "Float64"),
        (lambda i: f"{i:07}", "String"),
        (lambda i: 2**53 - 5 + i, "String"),
        (lambda i: f"n{i}", "String"),
        (lambda i: i if i < ROWS - 1 else "word", "String"),
        (lambda i: i if i < ROWS - 1 else "007", "String"),
        (lambda i: i if i < ROWS - 1 else "inf", "String"),
        (lambda i: "word" if i < 10 else i, "String"),
        (lambda i: "x" if i < ROWS - 1000 else i, "String"),
        (lambda i: f"{i},5", "String"),
    ],
)
def test_a_long_column_is_numbers_only_where_that_loses_nothing(small_blocks, make, dtype):
    content = long_table(a=lambda i: f'"{make(i)}"', b=lambda i: i % 7)
    table = read_delimited(content, "t.csv")
    cells = table.columns["a"]
    assert str(cells.dtype) == dtype
    texts = [str(make(i)) for i in range(ROWS)]
    if dtype == "String":
        assert cells.to_list() == texts
    else:
        assert cells.to_list() == [None if t in ("", "NA") else float(t) for t in texts]
    assert table.columns["b"].dtype == pl.String
    kept = read_delimited(content, "t.csv", Reading(as_text=frozenset("a")))
    assert kept.columns["a"].to_list() == texts


def test_only_wanted_columns_are_kept(small_blocks):
    content = long_table(a=lambda i: i, b=lambda i: i / 3, c=lambda i: f"w{i}")

    def names(wanted):
        return list(read_delimited(content, "t", Reading(wanted=frozenset(wanted))).columns)

    assert names({"b"}) == ["b"]
    assert names({"c", "a"}) == ["a", "c"]
    assert names({"c", "z"}) == ["c"]
    assert names({"z"}) == ["a", "b", "c"], "else no message could say what there is"


@given(st.lists(st.floats(allow_infinity=False), min_size=1), st.sampled_from(["r", ".17e", "f"]))
def test_numbers_are_rounded_as_python_does(values, form):
    texts = [repr(value) if form == "r" else format(value, form) for value in values]
    padding = [f"{i}.5" for i in range(1200)]
    table = read_delimited("\n".join(["a", *texts, *padding]).encode(), "t.csv")
    numbers = table.columns["a"].to_numpy()[: len(texts)]
    np.testing.assert_array_equal(numbers, [float(text) for text in texts])


# ---------------------------------------------------------------- JSON


def test_json_holds_the_same_cells_as_csv(tmp_path):
    lines = '{"a": 1.50, "b": "x"}\n\n{"b": null, "c": true, "a": 1e3}\r\n{"a": NaN, "c": ""}\n'
    expected = {"a": ["1.50", "1e3", "NaN"], "b": ["x", None, None], "c": [None, "true", ""]}
    for name in ("t.jsonl", "t.ndjson", "t.json"):
        table = read_samples(save(tmp_path, name, lines))
        assert columns(table) == expected
        assert table.lines.tolist() == [1, 3, 4]
    packed = save(tmp_path, "t.jsonl.gz", gzip.compress(lines.encode()))
    assert columns(read_samples(packed)) == expected
    array = "\ufeff [" + ",\n".join(line for line in lines.split("\n") if line) + "]\n"
    table = read_samples(save(tmp_path, "t.json", array))
    assert columns(table) == expected
    assert (table.first_line, table.lines) == (None, None)
    assert read_json(b'{"a": 1}\n{"a": 2}\n', "t").first_line == 1


def test_json_may_hold_lists_where_they_are_not_wanted():
    text = b'{"a": 1, "tags": ["x"]}\n{"a": 2, "tags": {"y": 1}}\n'
    assert columns(read_json(text, "t", Reading(wanted=frozenset("a")))) == {"a": ["1", "2"]}
    with pytest.raises(FormatError, match="2 places"):
        read_json(text, "t")


# ---------------------------------------------------------------- Parquet and Arrow


@pytest.mark.parametrize("form", ["parquet", "feather", "arrow stream"])
def test_typed_files_of_another_writer(tmp_path, form):
    import datetime

    pa = pytest.importorskip("pyarrow")
    day = datetime.date(2024, 1, 2)
    expected = {
        "double": [1.5, None, float("nan")],
        "float": pa.array([0.5, 1, 2], pa.float32()),
        "byte": pa.array([1, None, 255], pa.uint8()),
        "large": pa.array([1, 2, 2**63], pa.uint64()),
        "decimal": [Decimal("1.25"), None, Decimal("-3.50")],
        "flag": [True, None, False],
        "text": ["x", "", None],
        "code": pa.array(["p", "q", None]).dictionary_encode(),
        "infinite": [0.0, float("-inf"), 1],
        "nothing": pa.array([None] * 3, pa.null()),
        "when": [datetime.datetime(2024, 1, 2)] * 3,
        "day": [day] * 3,
        "list": [[1], [2, 3], []],
        "record": [{"a": 1}] * 3,
        "bytes": [b"a"] * 3,
    }
    path = str(tmp_path / f"t.{form.split()[0]}")
    write(pa.table(expected), path, form)
    table = read_samples(path)
    assert {name: str(cells.dtype).partition("(")[0] for name, cells in table.columns.items()} == {
        "double": "Float64", "float": "Float32", "byte": "UInt8", "large": "UInt64",
        "decimal": "Float64", "flag": "Boolean", "text": "String", "code": "String",
        "infinite": "Float64", "nothing": "Null", "when": "Datetime", "day": "Date",
        "list": "List", "record": "Struct", "bytes": "Binary",
    }  # fmt: skip
    read_back = columns(table)
    assert read_back["large"] == [1, 2, 2**63]
    assert read_back["decimal"] == [1.25, None, -3.5]
    assert read_back["code"] == ["p", "q", None]
    assert read_back["text"] == ["x", "", None]
    assert read_back["day"] == [day] * 3
    assert (table.first_line, table.lines, table.index, table.origin) == (None, None, (), path)


def write(table, path, form):
    """Write a pyarrow.Table."""
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path, compression="zstd")
    elif form == "feather":
        pytest.importorskip("pyarrow.feather").write_feather(table, path)
    else:
        ipc = pytest.importorskip("pyarrow.ipc")
        with ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)


@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_the_index_of_a_frame_is_no_feature(tmp_path, form):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    path = str(tmp_path / f"t.{form}")

    def index_of(frame):
        getattr(frame, f"to_{form}")(path)
        return read_samples(path).index

    assert index_of(frame) == ()
    if form == "parquet":  # Feather takes a default index only
        assert index_of(frame.set_index("b")) == ("b",)
        assert index_of(frame.set_axis([7, 9])) == ("__index_level_0__",)
        assert index_of(frame.set_index(["a", "b"]).assign(c=1)) == ("a", "b")


def test_an_index_in_the_metadata_of_an_arrow_file(tmp_path):
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}).set_index("b")
    for form in ("feather", "arrow stream"):
        path = str(tmp_path / f"t.{form.split()[0]}")
        write(pa.Table.from_pandas(frame), path, form)
        assert read_samples(path).index == ("b",)


def test_typed_files_of_polars(tmp_path):
    frame = pl.DataFrame(
        {"a": [1, None], "b": pl.Series(["x", "y"], dtype=pl.Categorical), "c": [None, 0.5]}
    )
    expected = {"a": [1, None], "b": ["x", "y"], "c": [None, 0.5]}
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ipc(tmp_path / "t.feather", compression="lz4")
    frame.write_ipc(tmp_path / "t.ipc")
    frame.write_ipc_stream(tmp_path / "t.arrow")
    for name in ("t.parquet", "t.feather", "t.ipc", "t.arrow"):
        path = str(tmp_path / name)
        assert columns(read_samples(path)) == expected
        wanted = Reading(wanted=frozenset({"b", "z"}))
        assert columns(read_samples(path, reading=wanted)) == {"b": ["x", "y"]}
        assert list(read_samples(path, reading=Reading(wanted=frozenset("z"))).columns) == [*"abc"]


tables = st.integers(1, 20).flatmap(
    lambda rows: st.dictionaries(
        st.text(st.sampled_from("abcxyz é"), min_size=1, max_size=4).map(lambda name: f"c{name}"),
        st.lists(
            st.text(st.sampled_from('aé ,"\n1.0#?'), max_size=5), min_size=rows, max_size=rows
        ),
        min_size=1,
        max_size=4,
    )
)


@settings(max_examples=6)
@given(tables)
def test_every_format_holds_the_same_text(tmp_path_factory, table):
    import json

    folder = tmp_path_factory.mktemp("formats")
    frame = pl.DataFrame(table)
    frame.write_parquet(folder / "t.parquet")
    frame.write_ipc(folder / "t.feather")
    frame.write_ipc_stream(folder / "t.arrow")
    names, rows = list(table), list(zip(*table.values(), strict=True))
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    (folder / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for path in sorted(folder.iterdir()):
        text = path.suffix == ".csv"
        reading = Reading(header=True, separator=",") if text else None
        assert columns(read_samples(path, reading=reading)) == table, path.name


# ---------------------------------------------------------------- several files


def test_files_with_the_same_columns_are_one_table(tmp_path):
    first = save(tmp_path, "d/part-1.csv", "a,b\n1,x\n")
    second = save(tmp_path, "d/part-2.csv", "b,a\ny,2\n\nz,3\n")
    save(tmp_path, "d/.hidden", "")
    save(tmp_path, "d/_SUCCESS", "")
    for source in (str(tmp_path / "d"), str(tmp_path / "d" / "part-*.csv")):
        raw = read(source)
        assert columns(raw.train.x) == {"a": ["1", "2", "3"], "b": ["x", "y", "z"]}
        assert [raw.train.x.place(row) for row in range(3)] == [
            "part-1.csv, line 2", "part-2.csv, line 2", "part-2.csv, line 4",
        ]  # fmt: skip
        assert raw.train.x.rows(np.array([2, 0])).place(0) == "part-2.csv, line 4"
        assert f"{source}: part-2.csv, line 4, column 'a': no" in str(
            raw.train.x.error(2, "a", "no")
        )
        digests = [hashlib.sha256(Path(one).read_bytes()).hexdigest() for one in (first, second)]
        assert raw.sha256 == dict(zip(("part-1.csv", "part-2.csv"), digests, strict=True))
        assert raw.name == ("d" if source.endswith("d") else "part")
    save(tmp_path, "d/part-3.csv", "a,c\n4,w\n")
    with pytest.raises(FormatError, match=r"part-3\.csv: columns: must be .*lacks 'b' and"):
        read(str(tmp_path / "d"))
    save(tmp_path, "d/part-3.csv", "a,b\n4\n")
    with pytest.raises(FormatError, match=r"part-3\.csv: line 2, column 'b'"):
        read(str(tmp_path / "d"))
    save(tmp_path, "d/part-3.tsv", "a\tb\n")
    with pytest.raises(FormatError, match=r"must mean files of one format, got part-1\.csv and"):
        read(str(tmp_path / "d"))
    with pytest.raises(FormatError, match="no file has a name like this"):
        read(str(tmp_path / "x*.csv"))


def test_typed_files_and_json_in_several_files(tmp_path):
    for name, cells in (("p1", [1.5]), ("p2", [1, 2])):
        pl.DataFrame({"a": cells}).write_parquet(tmp_path / f"{name}.parquet")
    table = read_samples(str(tmp_path / "p?.parquet"))
    assert columns(table) == {"a": [1.5, 1.0, 2.0]}
    assert table.place(2) == "p2.parquet, row 2"
    pl.DataFrame({"a": ["x"]}).write_parquet(tmp_path / "p3.parquet")
    with pytest.raises(FormatError, match=r"p3\.parquet: column 'a': has values of type String"):
        read_samples(str(tmp_path / "p?.parquet"))
    save(tmp_path, "j1.jsonl", '{"a": 1, "b": 2}\n')
    save(tmp_path, "j2.jsonl", '{"b": 1}\n{"a": 3}\n')
    table = read_samples(str(tmp_path / "j*.jsonl"))
    assert columns(table) == {"a": ["1", None, "3"], "b": ["2", "1", None]}
    assert table.place(2) == "j2.jsonl, line 2"
    np.save(tmp_path / "a1.npy", np.zeros((2, 2)))
    np.save(tmp_path / "a2.npy", np.zeros((2, 2)))
    with pytest.raises(FormatError, match="only tables have parts"):
        read_samples(str(tmp_path / "a*.npy"))


def test_a_long_column_over_several_files_has_one_type(tmp_path):
    save(tmp_path, "p1.csv", "a,b\n" + "".join(f"{i},{i}\n" for i in range(2000)))
    save(tmp_path, "p2.csv", "b,a\nword,5\n")
    table = read_samples(str(tmp_path / "p*.csv"))
    assert table.columns["a"].dtype == pl.Float64
    assert table.columns["b"].to_list() == [*map(str, range(2000)), "word"]


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
    assert columns(raw.train.x) == {"a": ["1"], "b": ["x"]}
    assert raw.train.y is None


def test_an_option_of_text_does_not_fit_other_formats(tmp_path):
    path = str(tmp_path / "t.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(path)
    for name, value in {
        "separator": ",",
        "encoding": "latin-1",
        "header": True,
    }.items():
        for source in (path, "moons"):
            with pytest.raises(ValueError, match=f"{name} must be left out, because .* is not"):
                read(source, reading=Reading(**{name: value}))
    with pytest.raises(ValueError, match="header must be left out"):
        read_samples(save(tmp_path, "t.jsonl", '{"a": 1}'), reading=Reading(header=True))


READ_STANDARD_INPUT = """
import sys
from fastmlp.data import read, read_samples
raw = read("-") if sys.argv[1] == "read" else None
table = raw.train.x if raw else read_samples("-")
print({name: column.to_list() for name, column in table.columns.items()}, raw and raw.name)
"""


def standard_inputs():
    frame = pl.DataFrame({"a": ["1"], "b": ["x"]})
    made = {"nothing": b"", "csv": b"a,b\n1,x\n", "gz": gzip.compress(b"a,b\n1,x\n")}
    made["json"] = b' \n{"a": 1, "b": "x"}\n'
    made["json array"] = b'\xef\xbb\xbf[{"a": 1, "b": "x"}]'
    made["packed json"] = gzip.compress(made["json"])
    for form in ("parquet", "ipc", "ipc_stream"):
        stream = io.BytesIO()
        getattr(frame, f"write_{form}")(stream)
        made[form] = stream.getvalue()
    return made


@pytest.mark.parametrize("form", standard_inputs())
def test_standard_input(form):
    way = "samples" if form == "gz" else "read"
    done = subprocess.run(
        [sys.executable, "-c", READ_STANDARD_INPUT, way],
        input=standard_inputs()[form],
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
        assert done.stdout.decode().strip() == f"{{'a': ['1'], 'b': ['x']}} {name}", done.stderr


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    path = save(tmp_path, "t.csv", "a\n1\n")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"polars is needed; run \"pip install 'fastmlp\[data\]'"):
        read(path)


def test_importing_is_light():
    code = """
import sys
import fastmlp.data, fastmlp.data.reading, fastmlp.data.frames
heavy = {"polars", "PIL", "sklearn", "scipy", "pandas", "pyarrow", "narwhals", "pydantic", "click"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
