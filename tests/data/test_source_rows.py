"""Samples know their lines in the file and which of their cells were missing."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import fastmlp

pytest.importorskip("polars")


@pytest.mark.parametrize("seed", range(4), indirect=True)
def test_each_sample_knows_its_line_and_its_gaps(tmp_path, seed):
    random = np.random.default_rng(seed)
    rows = 120
    cells = {
        "size": [f"{v:.4f}" for v in random.normal(size=rows)],
        "town": random.choice(["Athens", "Bonn"], rows).tolist(),
        "day": [f"2020-01-{1 + i % 28:02d}" for i in range(rows)],
        "number": [str(i) for i in random.permutation(rows) + 0.5],
    }
    for name in ("size", "town", "day"):
        for row in np.flatnonzero(random.random(rows) < 0.1):
            cells[name][row] = random.choice(["", " ", "NA" if name == "size" else ""])
    cells["y"] = random.choice(["a", "b"], rows).tolist()
    path = tmp_path / "t.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(cells)
        for row in zip(*cells.values(), strict=True):
            writer.writerow(row)
            if random.random() < 0.1:
                stream.write("\r\n")  # blank lines count
    lines = path.read_text().split("\n")
    prepared = fastmlp.data.prepare(
        fastmlp.data.read(str(path)), fastmlp.data.Options(target=("y",))
    )
    pre = prepared.preprocessing
    place = [column.name for column in pre.columns].index("number")
    start = sum(len(column.feature_names) for column in pre.columns[:place])
    seen = []
    for samples in (prepared.train, prepared.validation, prepared.test):
        source = samples.source
        assert source.are_lines
        numbers = pre.original_inputs(samples.x)[:, start]
        for i, line in enumerate(source.numbers.tolist()):
            written = dict(zip(cells, next(csv.reader([lines[line - 1].strip("\r")])), strict=True))
            assert float(written["number"]) == pytest.approx(numbers[i], rel=1e-6)
            for name in ("size", "town", "day", "number"):
                missing = written[name].strip() in ("", "NA")
                assert source.has_gap(name, i) == missing, (seed, name, line)
            seen.append(line)
    assert len(seen) == len(set(seen)) == rows


def test_arrays_have_no_source_rows():
    prepared = fastmlp.data.prepare(fastmlp.data.read("moons"), fastmlp.data.Options())
    assert prepared.train.source is None
