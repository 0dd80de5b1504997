"""`fastmlp predict`: files and pipes in, files and pipes out, answers that are those of the API."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess

import numpy as np
import pytest

import fastmlp
from cli_process import TIMEOUT, command, environment, run
from fastmlp.data.read import read_samples
from fastmlp.datasets.idx import build_idx
from serving_models import HOSTILE, SAMPLES, models, read_csv, table, write_csv

pytest.importorskip("polars")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Models and samples in files, and a run in runs/."""
    path = tmp_path_factory.mktemp("predict")
    for name, model in models().items():
        model.save(path / f"{name}.safetensors")
    write_csv(path / "t.csv", table())
    flowers = {name: table()[name] for name in ("b", "a", "colour", "kind")}
    write_csv(path / "flowers.csv", flowers)
    settings = ("--target", "kind", "--epochs", "3", "--no-report", "-q")
    done = run("train", "flowers.csv", *settings, cwd=path)
    assert done.returncode == 0, done.stderr
    return path


def ask(work, *args, **options):
    """Standard output of a prediction that must succeed."""
    done = run("predict", *args, cwd=work, **options)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def api(work, model="runs/001-flowers/best.safetensors", samples="t.csv"):
    """A model, and what it takes."""
    network = fastmlp.load(work / model)
    return network, network.preprocessing.inputs(read_samples(work / samples))


def shortest(values):
    """Every float32 as NumPy shows it: the shortest decimal that gives it back."""
    assert values.dtype == np.float32
    return [str(value) for value in values]


# ---------------------------------------------------------------- answers


def test_answers_and_probabilities_of_a_run_are_those_of_the_api(work):
    rows = read_csv(ask(work, "runs/001-flowers", "t.csv", "--probabilities"))
    model, x = api(work)
    names = model.preprocessing.class_names
    assert list(rows[0]) == ["prediction", *(f"p({name})" for name in names)]
    assert [row["prediction"] for row in rows] == [names[i] for i in model.predict(x)]
    for name, values in zip(names, model.predict_proba(x).T, strict=True):
        assert [row[f"p({name})"] for row in rows] == shortest(values)
    assert len(rows) == SAMPLES
    # The number of the run is another name of it.
    assert read_csv(ask(work, "1", "t.csv", "-p", "--threads", "1")) == rows


def test_columns_are_found_by_name(work, tmp_path):
    columns = {name: values for name, values in table().items() if name in ("colour", "b", "a")}
    write_csv(tmp_path / "few.csv", dict(reversed(columns.items())))
    asked = ("runs/001-flowers", "-p")
    assert ask(work, *asked, tmp_path / "few.csv") == ask(work, *asked, "t.csv")


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl"])
def test_names_of_classes_survive_every_format(work, kind):
    text = ask(work, "hostile.safetensors", "t.csv", "--format", kind)
    model, x = api(work, "hostile.safetensors")
    expected = [HOSTILE[i] for i in model.predict(x)]
    assert len(set(expected)) >= 4, "too few kinds of names to show anything"
    if kind in ("csv", "tsv"):
        stream = io.StringIO(text, newline="")
        rows = read_csv(stream.getvalue(), "\t" if kind == "tsv" else ",")
    else:
        rows = json.loads(text) if kind == "json" else [*map(json.loads, text.splitlines())]
    assert [row["prediction"] for row in rows] == expected
