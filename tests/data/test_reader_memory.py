"""The memory that reading takes, measured in a process of its own, beside that of its result."""

import json
import subprocess
import sys

import numpy as np
import pytest

from fastmlp.data.columns import CategoryColumn, NumberColumn
from fastmlp.data.table import Table
from fastmlp.data.table_inputs import encode_table

pl = pytest.importorskip("polars")

ROWS, COLUMNS = 250_000, 16
RESULT_BYTES = 8 * ROWS * COLUMNS
# Blocks, joining one column at a time, and what polars and the allocator keep.
SPARE_BYTES = 40 << 20

CHILD = """
import json, re, sys
from fastmlp.data import read_samples
def status(key):
    text = open("/proc/self/status").read()
    return int(re.search(key + r":\\s*(\\d+)", text)[1]) * 1024
read_samples(sys.argv[1])  # a small file: all code is loaded, all threads are started
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")  # the peak so far is forgotten
before = status("VmRSS")
table = read_samples(sys.argv[2])
print(json.dumps([status("VmHWM") - before, len(table)]))
"""


@pytest.fixture(scope="module")
def numbers():
    return np.random.Generator(np.random.PCG64(3)).normal(size=(ROWS, COLUMNS))


def measured(tmp_path, name, small, large):
    """Return the memory that reading a large file takes at its peak."""
    (tmp_path / f"small{name}").write_bytes(small)
    paths = [str(tmp_path / f"small{name}"), str(large)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *paths],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak, rows = json.loads(done.stdout)
    assert rows == ROWS
    return peak


def written(numbers, path):
    frame = pl.DataFrame(numbers, schema=[f"c{i}" for i in range(COLUMNS)])
    getattr(
        frame, {".csv": "write_csv", ".parquet": "write_parquet"}.get(path.suffix, "write_ipc")
    )(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_numbers_take_little_more_than_their_arrays(tmp_path, numbers, suffix):
    large = written(numbers, tmp_path / f"large{suffix}")
    small = written(numbers[:3000], tmp_path / f"few{suffix}").read_bytes()
    file_bytes = large.stat().st_size
    assert file_bytes > RESULT_BYTES * 0.9
    peak = measured(tmp_path, suffix, small, large)
    assert peak < RESULT_BYTES + SPARE_BYTES, (peak, RESULT_BYTES, file_bytes)
    assert peak < RESULT_BYTES + file_bytes, "the file was held beside the table"


def test_wanted_columns_alone_take_memory(tmp_path, numbers):
    code = CHILD.replace(
        "read_samples(sys.argv[2])",
        "read_samples(sys.argv[2], reading=Reading(wanted=frozenset({'c3'})))",
    ).replace("import json", "from fastmlp.data.table import Reading\nimport json")
    large = written(numbers, tmp_path / "large.csv")
    few = written(numbers[:3000], tmp_path / "few.csv")
    done = subprocess.run(
        [sys.executable, "-c", code, str(few), str(large)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    peak, _ = json.loads(done.stdout)
    assert peak < RESULT_BYTES / COLUMNS + SPARE_BYTES / 2 < RESULT_BYTES


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile"])
def test_prepared_tables_take_less_than_three_times_their_arrays(tmp_path, scaling):
    """Numbers and a target of two texts: the table, its arrays, and little on the way to them."""
    rows, columns = 1_000_000, 11
    values = np.random.Generator(np.random.PCG64(4)).normal(size=(1000, columns))
    lines = [",".join(map(repr, row)) for row in values.tolist()]
    block = "".join(f"{line},{'01'[at % 2]}\n" for at, line in enumerate(lines))
    head = ",".join(f"c{i}" for i in range(columns)) + ",target\n"
    (tmp_path / "few.csv").write_text(head + block)
    with open(tmp_path / "large.csv", "w") as stream:
        stream.write(head)
        for at in range(rows // 1000):  # numbers that differ, so that they are kept as numbers
            stream.write(block.replace(".", f".{at:03d}"))
    options = f"Options(target=('target',), scaling={scaling!r})"
    code = CHILD.replace("read_samples(sys.argv[1])", f"prepare(read(sys.argv[1]), {options})")
    code = code.replace(
        "table = read_samples(sys.argv[2])",
        f"table = prepare(read(sys.argv[2]), {options})\n"
        "parts = (table.train, table.validation, table.test)\n"
        "table = range(sum(part.x.nbytes + part.y.nbytes for part in parts))",
    ).replace("import read_samples", "import Options, prepare, read")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "few.csv"), str(tmp_path / "large.csv")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak, arrays = json.loads(done.stdout)
    assert arrays == rows * (columns + 1) * 8
    assert peak < 3 * arrays, (peak, arrays, peak / arrays)


@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_blocks_of_any_size_encode_alike(monkeypatch, block_rows):
    for module in ("columns", "table_inputs"):
        monkeypatch.setattr(f"fastmlp.data.{module}.BLOCK_ROWS", block_rows)
    cells = {"a": ["1", "x", "3", "4", "", "6", "7"], "b": list("ppqqrpz")}
    table = Table("t", cells, first_line=2)
    columns = [NumberColumn("a"), CategoryColumn("b", ("p", "q"))]
    for rows in (None, np.array([6, 4, 2, 0, 1])):
        x, problems = encode_table(table, columns, "error", rows)
        order = range(7) if rows is None else rows.tolist()
        bad = [row in (1, 4, 6) for row in order]
        assert problems.mask.tolist() == bad
        assert x[:, 0].tolist() == [
            0.0 if row in (1, 4, 6) else float(cells["a"][row]) for row in order
        ]
        assert problems.of_row(4) == (
            "column 'a': lacks a value; column 'b': 'r' does not occur in the training part, "
            "which has p, q"
        )
