"""`fastmlp evaluate`: a run on its own data, and any model on other data."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.experiment.rundir import RunDirectory
from support.cli_process import TIMEOUT, command, environment, run
from support.serving_models import models, table, train, write_csv

pytest.importorskip("polars")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Models in files, a table, and a run on a copy of it in runs/."""
    path = tmp_path_factory.mktemp("evaluate")
    for name, model in models().items():
        model.save(path / f"{name}.safetensors")
    write_csv(path / "t.csv", table())
    write_csv(path / "houses.csv", houses())
    train(path, "houses.csv", "--target", "dear", "--architecture", "mlp", "--epochs", 3)
    return path


def houses():
    """Two classes that three epochs cannot tell apart quite."""
    columns = {name: table()[name] * 3 for name in ("a", "b", "color")}
    noise = np.random.Generator(np.random.PCG64(8)).normal(size=120)
    dear = np.array(columns["a"]) + noise > 0
    return columns | {"dear": np.where(dear, "yes", "no").tolist()}


@pytest.fixture
def measure(work, monkeypatch, capsys):
    """A function that gives code, standard output and standard error."""
    monkeypatch.chdir(work)

    def measured(*args):
        code = main(["evaluate", *map(str, args)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return measured


def document(outcome):
    code, text, _ = outcome
    assert code == 0
    return json.loads(text)


# ---------------------------------------------------------------- a run on its own data


def test_a_run_reaches_what_it_reached(work):
    done = run("evaluate", "1", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("loading ")
    found = json.loads(done.stdout)
    result = RunDirectory.open(work / "runs/001-houses").result()
    assert result["selected"] == "best"
    assert result["test"]["accuracy"] < 1, "nothing to get wrong: this shows little"
    assert {key: found[key] for key in result["test"]} == result["test"]
    assert (found["data"], found["part"]) == ("houses", "test")
    assert found["model"] == "runs/001-houses/best.safetensors"


def test_every_part_is_the_one_of_the_training(work, measure):
    records = RunDirectory.open(work / "runs/001-houses").records()
    samples = {"training": 86, "validation": 10, "test": 24}
    for part, count in samples.items():
        found = document(measure("1", "--part", part, "--json", "-q"))
        assert (found["part"], found["samples"]) == (part, count)
        if part == "validation":
            # The selected model is the one of the best epoch.
            best = min(records, key=lambda record: record["val_loss"])
            assert found["loss"] == best["val_loss"]
            assert found["accuracy"] == best["val_accuracy"]


def test_the_text_says_the_same(measure):
    code, text, errors = measure("1", "-q")
    assert (code, errors) == (0, "")
    found = document(measure("1", "--json", "-q"))
    lines = text.splitlines()
    assert lines[0].split() == ["model", "runs/001-houses/best.safetensors"]
    assert lines[1].split(maxsplit=1) == ["data", "houses, test part: 24 samples"]
    assert f"{found['accuracy']:.2%}" in next(line for line in lines if line.startswith("acc"))
    rows = [line.split() for line in lines[lines.index("") + 2 :]]
    for row, expected in zip(rows, found["per_class"], strict=True):
        shares = [f"{expected[key]:.2%}" for key in ("precision", "recall", "f1")]
        assert row == [expected["class"], *shares, str(expected["support"])]


def test_data_that_has_changed_is_code_3(work, measure):
    content = (work / "houses.csv").read_bytes()
    (work / "houses.csv").write_bytes(content.replace(b"yes", b"no", 1))
    try:
        code, out, errors = measure("1", "-q")
    finally:
        (work / "houses.csv").write_bytes(content)
    assert (code, out) == (3, "")
    assert "the data has changed since the run began: houses.csv" in errors


def test_a_run_whose_data_came_through_a_pipe_takes_it_again(work, tmp_path):
    content = (work / "houses.csv").read_bytes()

    def process(*args):
        return subprocess.run(
            command(*args), cwd=tmp_path, env=environment(), timeout=TIMEOUT, check=False,
            input=content, capture_output=True,
        )  # fmt: skip

    settings = ("--target", "dear", "--epochs", "1", "--no-report", "-q", "--json")
    trained = process("train", "-", *settings, "--out", "piped")
    assert trained.returncode == 0, trained.stderr
    again = process("evaluate", "piped", "--json")
    assert again.returncode == 0, again.stderr
    test, found = json.loads(trained.stdout)["test"], json.loads(again.stdout)
    assert {key: found[key] for key in test} == test


# ---------------------------------------------------------------- other data


def test_a_file_with_targets_is_measured_whole(work, measure):
    found = document(measure("two.safetensors", "t.csv", "--json"))
    assert (found["data"], found["part"], found["samples"]) == ("t", "all", 40)
    assert [row["target"] for row in found["per_target"]] == ["price", "size"]
    lines = measure("two.safetensors", "t.csv")[1].splitlines()
    assert lines[1].split(maxsplit=1) == ["data", "t: 40 samples"]
    for line, row in zip(lines[-2:], found["per_target"], strict=True):
        assert line.split() == [
            row["target"],
            *(f"{row[k]:.6g}" for k in ("mse", "rmse", "mae", "r2")),
        ]


def test_arrays_for_a_model_of_the_api(work, measure):
    x = np.column_stack([table()["a"], table()["b"]]).astype(np.float32)
    y = np.arange(40) % 3
    np.savez(work / "xy.npz", x=x, y=y)
    np.savez(work / "parts.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    network = fastmlp.MLP.load(work / "plain.safetensors")
    found = document(measure("plain.safetensors", "xy.npz", "--json"))
    assert {"loss": found["loss"], "accuracy": found["accuracy"]} == network.evaluate(x, y)
    for part, rows in (("auto", slice(30, 40)), ("test", slice(30, 40)), ("training", slice(30))):
        found = document(measure("plain.safetensors", "parts.npz", "--part", part, "--json"))
        assert found["accuracy"] == network.evaluate(x[rows], y[rows])["accuracy"]
        assert found["part"] == ("test" if part == "auto" else part)


def test_samples_that_the_model_was_trained_on_are_warned_of(measure):
    code, _, errors = measure("1", "houses.csv")
    assert code == 0
    assert errors == (
        "fastmlp: warning: the model was trained on some of these samples; leave DATASET out to "
        "measure it on samples that were not used for the training\n"
    )
    assert measure("1", "houses.csv", "--quiet")[2] == ""
    assert measure("1", "houses.csv", "--part", "training")[2] == ""
    # A file alone does not know what it was trained on.
    assert measure("runs/001-houses/last.safetensors", "houses.csv")[2] == ""


# ---------------------------------------------------------------- checks, refusals


def test_min_accuracy_is_code_6_after_the_result(measure):
    reached = document(measure("1", "--json", "-q"))["accuracy"]
    assert measure("1", "--min-accuracy", reached, "-q")[0] == 0
    code, text, errors = measure("1", "--min-accuracy", "100%", "-q")
    assert code == 6
    assert "accuracy" in text
    assert errors == (
        f"fastmlp: error: accuracy is {100 * reached:.6g}%, --min-accuracy requires 100%\n"
    )
    code, text, _ = measure("1", "--min-accuracy", "100%", "--json", "-q")
    assert (code, json.loads(text)["status"]) == (6, "check_failed")
    assert measure("price.safetensors", "t.csv", "--min-accuracy", "0")[0] == 6


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("plain.safetensors",), 2, "a DATASET is needed"),
        (("1", "--separator", ";"), 2, "--separator needs a DATASET, got none"),
        (("1", "--data-dir", "."), 2, "--data-dir needs a DATASET, got none"),
        (("1", "--no-header"), 2, "--header needs a DATASET, got none"),
        (("1", "--encoding", "gbk"), 2, "--encoding needs a DATASET, got none"),
        (("1", "t.csv", "--part", "validation"), 2, "leave DATASET out"),
        (("price.safetensors", "t.csv", "--part", "test"), 2, "t has no test part of its own"),
        (("1", "--part", "tset"), 2, "--part"),
        (("1", "mnits"), 2, "mnits"),
        (("1", "none.csv"), 3, "none.csv: No such file or directory"),
        (("1", "t.csv"), 3, "t.csv: column 'dear', the target, is missing"),
        (("price.safetensors", "bare.csv"), 3, "'fastmlp predict' needs no targets"),
        (("plain.safetensors", "x.npy"), 3, "x.npy: targets: are missing"),
        (("plain.safetensors", "t.csv"), 3, "holds no targets for a model that was trained on"),
        (("plain.safetensors", "wide.npz"), 3, "wide.npz: x: must have 2 features, got 3"),
        (("labels.safetensors", "kinds.csv"), 3, "line 2, column 'sour': must be 0 or 1, got '7'"),
        (("losses.safetensors", "wide.npz"), 2, "several losses"),
        (
            ("t.csv", "t.csv"),
            4,
            "t.csv: is no model file of fastmlp; MODEL, the first",
        ),
        (("none", "t.csv"), 4, "none: is neither a run nor a file"),
        ((".",), 4, ".: has no config.toml"),
    ],
)
def test_what_cannot_be_measured_says_why(work, measure, args, code, message):
    np.save(work / "x.npy", np.zeros((3, 2)))
    np.savez(work / "wide.npz", x=np.zeros((4, 3)), y=np.zeros(4, int))
    write_csv(work / "bare.csv", {name: table()[name] for name in ("a", "b", "color")})
    write_csv(work / "kinds.csv", table() | {"sour": [7] + [1] * 39})
    found, out, errors = measure(*args)
    assert (found, out) == (code, "")
    lines = [line for line in errors.splitlines() if not line.startswith("loading ")]
    assert len(lines) == 1
    assert lines[0].startswith("fastmlp: error: ")
    assert message in lines[0]


def test_a_part_that_a_run_does_not_have(work, measure):
    settings = ("--target", "dear", "--epochs", "1", "--no-report", "-q", "--out", "whole")
    shares = ("--test-fraction", "0", "--validation-fraction", "0")
    assert main(["train", "houses.csv", *settings, *shares]) == 0
    assert document_part(measure("whole", "--json", "-q")) == "training"
    code, _, errors = measure("whole", "--part", "test", "-q")
    assert code == 2
    assert errors == "fastmlp: error: --part test: whole has no such part, only training\n"


def document_part(outcome):
    # The training above printed its result to the same place.
    return json.loads(outcome[1].splitlines()[-1])["part"]
