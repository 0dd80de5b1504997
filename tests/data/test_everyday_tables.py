"""Real-life tables train and predict with one command each, on the first try."""

from __future__ import annotations

import csv
import json

import pytest

from support import everyday_tables
from support.cli_process import run

pytest.importorskip("polars")

TABLES = {
    "passengers.csv": (everyday_tables.write_passengers, "Survived", "accuracy", 0.78),
    "houses.csv": (everyday_tables.write_houses, "price", "r2", 0.97),
    "wines.csv": (everyday_tables.write_wines, "Güte", "r2", 0.9),
    "long.csv": (lambda path: everyday_tables.write_long(path, 5_000), "y", "r2", 0.98),
}


@pytest.mark.parametrize("name", TABLES)
def test_trains_and_predicts_on_the_first_try(name, tmp_path):
    write, target, measure, least = TABLES[name]
    write(tmp_path / name)
    done = run("train", name, "--target", target, "--json", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"][measure] > least
    answers = run("predict", "1", name, "--keep", target, cwd=tmp_path)
    assert answers.returncode == 0
    assert "warning" not in answers.stderr
    rows = list(csv.DictReader(answers.stdout.splitlines()))
    with (tmp_path / name).open("rb") as file:
        assert len(rows) == sum(1 for _ in file) - 1
    assert all(row["prediction"] for row in rows)


def test_the_index_of_pandas_is_no_feature(tmp_path):
    pytest.importorskip("pyarrow")
    everyday_tables.write_indexed_parquet(tmp_path / "indexed.parquet")
    done = run("train", "indexed.parquet", "--json", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "__index_level_0__" in done.stderr
    assert json.loads(done.stdout)["test"]["accuracy"] < 0.6
    assert run("predict", "1", "indexed.parquet", cwd=tmp_path).returncode == 0
