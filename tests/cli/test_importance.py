"""`fastmlp importance`: which columns the predictions of a run or a model file depend on."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from support.serving_models import train, write_csv

pytest.importorskip("polars")


def houses(seed):
    random = np.random.default_rng(seed)
    size, town = random.uniform(20, 200, 300), random.choice(["Bonn", "Kiel"], 300)
    price = 3000 * size + 90_000 * (town == "Kiel")
    columns = {"noise": random.normal(size=300), "town": town, "size": size, "price": price}
    return {name: values.tolist() for name, values in columns.items()}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run on a table and one on arrays in runs/, and another table."""
    path = tmp_path_factory.mktemp("importance")
    write_csv(path / "houses.csv", houses(0))
    write_csv(path / "later.csv", houses(1))
    train(path, "houses.csv", "--target", "price", "--architecture", "mlp", "--epochs", 30)
    train(path, "moons", "--epochs", 20)
    return path


@pytest.fixture
def measure(work, monkeypatch, capsys):
    """A function that gives code, standard output and standard error."""
    monkeypatch.chdir(work)

    def measured(*args):
        capsys.readouterr()
        code = main(["importance", *map(str, args)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return measured


def test_a_table_with_a_line_for_each_column(measure):
    code, text, _ = measure(1)
    assert code == 0
    assert re.search(r"^data +houses, test part: 60 samples$", text, re.MULTILINE)
    rows = text.split("\n\n")[1].splitlines()
    assert rows[0].split() == ["column", "loss", "of", "r2", "deviation"]
    assert [row.split()[0] for row in rows[1:]] == ["size", "town", "noise"]
    assert rows[1].count("█") == 24 > rows[2].count("█") > rows[3].count("█")


def test_the_numbers_are_those_of_the_library(measure, work):
    options = ("--metric", "rmse", "--repeats", 3, "--seed", 7, "--json")
    code, text, _ = measure(1, "later.csv", *options)
    assert code == 0
    document = json.loads(text)
    model = fastmlp.Model.load(work / "runs" / "001-houses")
    found = fastmlp.permutation_importance(
        model, work / "later.csv", metric="rmse", repeats=3, seed=7
    )
    assert document["samples"] == 300
    assert {k: document[k] for k in found.as_json()} == found.as_json()
    # A model file, which records no data, and another number of threads.
    other = measure("runs/001-houses/best.safetensors", "later.csv", *options, "--threads", 2)
    assert json.loads(other[1])["columns"] == document["columns"]


def test_scores_that_are_infinite_are_shown_without_a_bar(measure, work):
    """A rate below 0 is infinitely bad; so some of the permuted houses are predicted."""
    rows = houses(2)
    rows["size"] = [-value for value in rows["size"]]
    rows["price"] = [abs(value) for value in rows["price"]]
    write_csv(work / "turned.csv", rows)
    options = ("turned.csv", "--metric", "poisson_deviance")
    code, text, _ = measure(1, *options)
    assert code == 0
    assert "inf" in text
    code, text, _ = measure(1, *options, "--json")
    assert code == 0
    assert json.loads(text)["score"] is None


def test_features_of_arrays_are_columns(measure):
    code, text, _ = measure(2, "--metric", "log_loss")
    assert code == 0
    assert "loss of log_loss" in text
    assert len(text.split("\n\n")[1].splitlines()) == 3


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((1, "--metric", "auc"), 2, "metric must be one of mse, rmse"),
        ((1, "--metric", "rmsee"), 2, "did you mean 'rmse'?"),
        ((1, "--repeats", 0), 2, "repeats"),
        ((1, "--seed", -1), 2, "seed"),
        ((1, "--header"), 2, "--header needs a DATASET, got none"),
        (("runs/001-houses/best.safetensors",), 2, "a DATASET is needed for a model file"),
        ((1, "none.csv"), 3, "none.csv"),
        ((9,), 2, "no run 9"),
    ],
)
def test_wrong_calls_are_explained(measure, args, code, message):
    found, _, text = measure(*args)
    assert (found, message in text) == (code, True), text


def test_a_picture_of_the_run(work, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(work)
    assert main(["plot", "1", "importance", "-o", str(tmp_path / "a.png"), "-q"]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", "1", "-o", str(tmp_path / "all"), "-q"]) == 0
    assert (tmp_path / "all" / "importance.svg").exists()
