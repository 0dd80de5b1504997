"""Damaged and hostile files: each gets an error that names file and place, none does harm."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import Table, read, read_samples
from fastmlp.data.arrays import as_inputs, data_of_arrays
from fastmlp.data.delimited import read_delimited
from fastmlp.data.jsonl import read_json
from fastmlp.data.numpy_files import parse_npy, parse_npz
from fastmlp.data.parquet import read_arrow, read_parquet
from fastmlp.data.table import Reading
from fastmlp.datasets.idx import gunzip_idx, parse_idx
from support import hostile_files as hostile

pytest.importorskip("polars")


def make(root, name, content):
    """Write a case below `root` and return its path."""
    path = root / name
    if isinstance(content, dict):
        path.mkdir()
        for inner, inner_content in content.items():
            make(root, inner, inner_content)
        return str(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(content):
        made = content(path) if content.__code__.co_argcount else content()
        if isinstance(made, bytes):
            path.write_bytes(made)
    else:
        path.write_bytes(content)
    return str(path)


def refusal(reader, path):
    with pytest.raises(FormatError) as caught:
        reader(path)
    return str(caught.value)


def cases(*groups):
    rows = [row for group in groups for row in group]
    identifiers = [re.sub(r"[^\w.,=<>()\[\] -]", "", f"{row[0]} {row[-1]}")[:60] for row in rows]
    return pytest.mark.parametrize(("name", "content", "message"), rows, ids=identifiers)


def named(name, rows):
    return [(name, content, message) for content, message in rows]


def test_there_are_enough():
    groups = (getattr(hostile, name) for name in dir(hostile) if name.isupper())
    assert sum(len(group) for group in groups if isinstance(group, list)) >= 150


@cases(hostile.TABLES, named("t.npz", hostile.NPZ), hostile.SPECIAL[:2], hostile.SPECIAL[3:])
def test_training_files(tmp_path, name, content, message):
    if "same_name" in str(content):
        pytest.importorskip("pyarrow")
    path = make(tmp_path, name, content)
    said = refusal(read, path)
    assert said.startswith(f"{path}: ")
    assert message in said


@cases(
    named("t.npy", hostile.NPY),
    named("t.idx", hostile.IDX),
    named("t-ubyte.gz", hostile.GZ_IDX),
    hostile.SPECIAL,
)
def test_files_of_samples(tmp_path, name, content, message):
    path = make(tmp_path, name, content)
    said = refusal(read_samples, path)
    assert said.startswith(f"{path}: ")
    assert message in said


@cases(hostile.DIRECTORIES)
def test_directories_of_images(tmp_path, name, content, message):
    pytest.importorskip("PIL")
    said = refusal(read, make(tmp_path, name, content))
    assert said.startswith(str(tmp_path / name))
    assert message in said


@pytest.mark.parametrize(("files", "message"), hostile.IDX_DIRECTORIES)
def test_directories_of_idx_files(tmp_path, files, message):
    make(tmp_path, "d", {f"d/{name}": content for name, content in files.items()})
    said = refusal(read, str(tmp_path / "d"))
    assert said.startswith(str(tmp_path / "d"))
    assert message in said


def test_inputs_alone_cannot_be_learnt_from(tmp_path):
    for name, hint in (("x.npy", "savez"), ("x-ubyte", "directory")):
        path = make(tmp_path, name, hostile.npy(hostile.X) if "npy" in name else hostile.idx(8, 1))
        assert hint in refusal(read, path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        read(str(tmp_path / "nowhere.csv"))
    with pytest.raises(ValueError, match="separator must be left out"):
        read(make(tmp_path, "t.npz", b""), separator=",")


# ---------------------------------------------------------------- memory and time

BOMBS = {
    "t.csv.gz": hostile.csv_bomb,
    "t.npy": lambda: hostile.raw_npy(hostile.descr("<f8", "(40000, 40000)")),
    "t.npz": lambda: hostile.archive(
        {"x.npy": hostile.raw_npy(hostile.descr("<f8", "(9999, 9999)"))}
    ),
    "t.idx": lambda: hostile.idx(8, 2**31, 2),
    "t.idx.gz": lambda: gzip.compress(hostile.idx(14, 2**31, 2)),
}
MEASURE = """
import json, re, sys
import polars
from fastmlp import FormatError
from fastmlp.data import read_samples
from fastmlp.data.delimited import read_delimited
from fastmlp.data.jsonl import read_json
read_delimited(b"a\\n1\\n", "all that is loaded on demand is loaded")
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024
taken = {}
for path in sys.argv[1:]:
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # the peak so far is forgotten
    before = peak()
    try:
        read_samples(path)
    except FormatError:
        taken[path] = peak() - before
print(json.dumps(taken))
"""


def test_bombs_do_not_go_off(tmp_path):
    paths = [make(tmp_path, name, content) for name, content in BOMBS.items()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", MEASURE, *paths],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    taken = json.loads(done.stdout)
    assert list(taken) == paths, "one was accepted"
    for path, size in taken.items():
        allowed = 2 * os.path.getsize(path) + (1 << 20)
        if path.endswith(".csv.gz"):  # nothing says how long a text is: 16 MB are always allowed
            allowed += 1.125 * (200 * os.path.getsize(path) + (16 << 20))
        assert size < allowed, path


# ---------------------------------------------------------------- anything at all

SEEDS = {
    "csv": b'a,b\n1,"x, y"\n2.5,?\r\n',
    "json": b'{"a": 1, "b": "x"}\n\n{"b": null, "a": 2.5}\n',
    "json array": b'[{"a": 1, "b": "x"},\n {"b": null, "a": 2.5}]',
    "npz": hostile.npz(x=hostile.X, y=hostile.Y, x_test=hostile.X, y_test=hostile.Y),
    "npy": hostile.npy(hostile.X),
    "idx": hostile.idx(13, 2, 1, data=bytes(8)),
    "idx.gz": gzip.compress(hostile.idx(8, 2, 1, data=b"ab"), mtime=0),
}
READERS = {
    "csv": lambda content: read_delimited(content, "f"),
    "json": lambda content: read_json(content, "f"),
    "json array": lambda content: read_json(content, "f"),
    "npz": lambda content: data_of_arrays(
        parse_npz(content, "f", ("x", "y", "x_train", "y_train", "x_test", "y_test")),
        "f",
        name="f",
        sha256={},
    ),
    "npy": lambda content: as_inputs(parse_npy(content, "f"), "f"),
    "idx": lambda content: as_inputs(parse_idx(content, "f"), "f"),
    "idx.gz": lambda content: gunzip_idx(content, "f"),
}
edits = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 3), st.binary(max_size=4)), max_size=4
)


def edited(content, changes):
    for place, removed, added in changes:
        place %= len(content) + 1
        content = content[:place] + added + content[place + removed :]
    return content


def result_or_format_error(reader, content):
    message = None
    try:
        return reader(content)
    except FormatError as error:
        message = str(error)
    assert message.startswith("f: ")
    return None


@pytest.mark.parametrize("form", READERS)
@settings(max_examples=100)
@given(st.data())
def test_anything_is_read_or_refused(form, data):
    reader = READERS[form]
    assert result_or_format_error(reader, SEEDS[form]) is not None
    result_or_format_error(reader, data.draw(st.binary(max_size=60)))
    result_or_format_error(reader, SEEDS[form][:10] + data.draw(st.binary(max_size=60)))
    result_or_format_error(reader, edited(SEEDS[form], data.draw(edits)))


@pytest.mark.parametrize("reader", [read_parquet, read_arrow])
@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_anything_is_no_parquet_file(reader, content):
    if not content.startswith(b"\xff\xff\xff\xff"):
        assert result_or_format_error(lambda c: reader(c, "f"), content) is None


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
@settings(max_examples=5)
@given(edits)
def test_a_damaged_parquet_file_is_read_or_refused(form, changes):
    content = hostile.arrow(form, a=[1.5, 2.5, None], b=["x", "y", "z"])
    reader = read_parquet if form == "parquet" else read_arrow
    assert result_or_format_error(lambda c: reader(c, "f"), content) is not None
    result_or_format_error(lambda c: reader(c, "f"), edited(content, changes))


fields = st.text(st.sampled_from('ab",\r\n \0é1'), max_size=4)


@settings(max_examples=200)
@given(st.lists(fields, max_size=12), st.sampled_from([",", "\n", "\r\n", "\r"]))
def test_whatever_is_accepted_is_what_the_csv_module_reads(parts, glue):
    """Also where the fast way took it: the two must agree on any text that one of them accepts."""
    content = "p,q\n" + glue.join(parts)
    reading = Reading(separator=",", header=True)
    table = result_or_format_error(lambda c: read_delimited(c, "f", reading), content.encode())
    if table is None:
        return
    assert isinstance(table, Table)
    rows = list(csv.reader(io.StringIO(content, newline=""), strict=True))[1:]
    # Lines of blanks do not count.
    rows = [row for row in rows if len(row) == 2]
    assert len(table) == len(rows)
    for column, cells in zip(table.columns.values(), zip(*rows, strict=True), strict=True):
        assert column.to_list() == list(cells)
