"""Model files and runs of release 0.1: they predict as they did, and say what they lack."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

import fastmlp
from fastmlp.cli import main

pytest.importorskip("polars")

FILES = Path(__file__).parent / "models_0_1"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
TABLES = ("houses", "flowers", "numbered", "fruit")
each = pytest.mark.parametrize("name", EXPECTED)


def model_file(name):
    return (
        FILES / "houses" / "best.safetensors" if name == "houses" else FILES / f"{name}.safetensors"
    )


@pytest.fixture
def answer(capsys):
    """A function that gives what a command prints as JSON."""

    def answered(*args):
        code = main([*map(str, args), "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured
        return json.loads(captured.out)

    return answered


@each
def test_they_predict_as_they_did(name, answer):
    flags = () if name == "houses" else ("-p",)
    found = answer("predict", model_file(name), FILES / EXPECTED[name]["samples"], *flags)
    assert found["rows"] == EXPECTED[name]["rows"]


@pytest.mark.parametrize("name", TABLES)
def test_they_predict_so_row_by_row(name):
    import polars

    model = fastmlp.load(model_file(name))
    assert isinstance(model, fastmlp.Model)
    rows = polars.read_csv(FILES / EXPECTED[name]["samples"], infer_schema=False)
    whole = model.predictions(rows).columns["prediction"].tolist()
    assert whole == [row["prediction"] for row in EXPECTED[name]["rows"]]
    assert whole == [model.predictions(rows[i]).columns["prediction"][0] for i in range(len(rows))]


@each
def test_saved_again_they_are_the_same(name, answer, tmp_path):
    model = fastmlp.load(model_file(name))
    model.save(tmp_path / "again.safetensors")
    again = fastmlp.load(tmp_path / "again.safetensors")
    assert again.preprocessing == model.preprocessing
    assert pickle.loads(pickle.dumps(model)).preprocessing == model.preprocessing
    flags = () if name == "houses" else ("-p",)
    samples = FILES / EXPECTED[name]["samples"]
    found = answer("predict", tmp_path / "again.safetensors", samples, *flags)
    assert found["rows"] == EXPECTED[name]["rows"]


@each
def test_they_say_what_they_lack(name, capsys):
    lacks = fastmlp.load(model_file(name)).preprocessing.lacks
    assert main(["inspect", str(model_file(name))]) == 0
    text = capsys.readouterr().out
    if name == "arrays":
        assert lacks is None
        assert "release 0.1" not in text
        return
    for part in ("written by release 0.1", "how cells are read", "train it again"):
        assert part in lacks
    assert lacks in text


def test_a_run_is_measured_on_its_own_data(answer, tmp_path, monkeypatch):
    shutil.copytree(FILES / "houses", tmp_path / "run")
    shutil.copy(FILES / "houses.csv", tmp_path / "houses.csv")
    monkeypatch.chdir(tmp_path)
    found = answer("evaluate", "run", "-q")
    assert (found["part"], found["samples"]) == ("test", 24)
    assert found["loss"] == EXPECTED["houses"]["test_loss"]
    found = answer("evaluate", "run/best.safetensors", "houses.csv", "-q")
    assert (found["loss"], found["r2"]) == (EXPECTED["houses"]["loss"], EXPECTED["houses"]["r2"])


def test_what_was_an_error_is_the_problem_of_a_row(answer):
    """Of town Linz this model knows nothing, and was to refuse it."""
    rows = answer("predict", model_file("houses"), FILES / "unknown.csv")["rows"]
    good = answer("predict", model_file("houses"), FILES / "later.csv")["rows"]
    assert rows[4]["prediction"] is None
    assert rows[4]["problem"].startswith("column 'town': 'Linz' does not occur in the training")
    del rows[4], good[4]
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in good]


def test_missing_names_are_an_error_where_they_were(answer):
    """The classes of flowers were learned without a replacement for missing values."""
    rows = answer("predict", model_file("flowers"), FILES / "gaps.csv")["rows"]
    problems = [row["problem"] for row in rows]
    assert [i for i, problem in enumerate(problems) if problem is not None] == [3]
    assert problems[3] == "column 'size': lacks a value; column 'town': lacks a value"
