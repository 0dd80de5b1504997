"""`fastmlp compare`: runs side by side, and beside other libraries called directly."""

from __future__ import annotations

import json
import re
import shutil
import sys
import warnings

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment.runner import load_experiment
from fastmlp.experiment.settings import resolve
from support.cli_process import run

SETTINGS = (
    "--architecture", "mlp", "--hidden", "6,5", "--batch-size", "20", "--epochs", "8",
    "--no-report", "-q",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with three runs: two of one data set, and a regression."""
    from fastmlp.cli import main

    directory = tmp_path_factory.mktemp("compare")
    for number, args in enumerate(
        (("moons", "--lr", "0.02"), ("moons", "--lr", "0.002", "--l2", "0.01"), ("sine",)), 1
    ):
        out = directory / "runs" / f"{number:03d}-{args[0]}"
        assert main(["train", *args, *SETTINGS, "--out", str(out)]) == 0
    return directory


@pytest.fixture
def compare(trained, monkeypatch, capsys):
    """`fastmlp compare` in this process, beside the runs: code, output, errors."""
    from fastmlp.cli import main

    monkeypatch.chdir(trained)
    monkeypatch.delenv("FASTMLP_RUNS", raising=False)

    def call(*args: str) -> tuple[int, str, str]:
        code = main(["compare", *args])
        return code, *capsys.readouterr()

    return call


def result(directory, name: str) -> dict:
    return json.loads((directory / "runs" / name / "result.json").read_text())


# ---------------------------------------------------------------- runs


def test_table_of_runs_and_of_the_settings_that_differ(trained):
    done = run("compare", "1", "002-moons", cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    runs, settings = done.stdout.split("\n\n")
    header, *rows = [re.split(r"  +", line) for line in runs.splitlines()]
    assert header == ["run", "epochs", "seconds", "accuracy", "macro f1", "loss"]
    for name, row in zip(("001-moons", "002-moons"), rows, strict=True):
        found = result(trained, name)
        assert row[0] == f"runs/{name}"
        assert row[1] == "8"
        assert float(row[2]) == pytest.approx(found["training_seconds"], rel=0.05)
        assert row[3] == f"{found['test']['accuracy']:.2%}"
        assert row[4] == f"{found['test']['macro_f1']:.2%}"
        assert float(row[5]) == pytest.approx(found["test"]["loss"], rel=1e-4)
    assert [line.split() for line in settings.splitlines()] == [
        ["setting", "runs/001-moons", "runs/002-moons"],
        ["optimizer.learning_rate", "0.02", "0.002"],
        ["optimizer.l2", "0", "0.01"],
    ]


def test_json_of_runs(compare, trained):
    code, out, err = compare("1", "2", "runs/003-sine", "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert content["schema"] == "fastmlp.compare"
    assert content["libraries"] == []
    names = ["001-moons", "002-moons", "003-sine"]
    assert [row["run"] for row in content["runs"]] == [f"runs/{name}" for name in names]
    for name, row in zip(names, content["runs"], strict=True):
        found = result(trained, name)
        assert row["status"] == "completed"
        assert (row["data"], row["layer_sizes"]) == (found["dataset"], found["layer_sizes"])
        assert (row["epochs"], row["evaluated_on"]) == (8, "test")
        for measure in ("accuracy", "macro_f1", "rmse", "r2", "loss"):
            assert row.get(measure) == found["test"].get(measure)
    differences = content["differences"]
    assert differences["data.source"] == ["moons", "moons", "sine"]
    assert differences["optimizer.learning_rate"] == [0.02, 0.002, 0.003]
    assert "training.epochs" not in differences


def test_runs_of_other_data_show_it(compare):
    _, out, _ = compare("1", "3")
    header, first, second = [re.split(r"  +", line) for line in out.split("\n\n")[0].splitlines()]
    assert header == [
        "run", "data", "epochs", "seconds", "accuracy", "macro f1", "rmse", "r2", "loss",
    ]  # fmt: skip
    assert (first[1], second[1]) == ("moons", "sine")
    assert first[6:8] == ["-", "-"]
    assert second[4:6] == ["-", "-"]


def test_one_run_differs_from_nothing(compare):
    code, out, _ = compare("1")
    assert code == 0
    assert len(out.splitlines()) == 2


def test_a_run_that_was_cut_off_has_no_result_yet(compare, trained, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(trained / "runs" / "001-moons", cut)
    (cut / "result.json").unlink()
    lines = (cut / "metrics.jsonl").read_text().splitlines()
    (cut / "metrics.jsonl").write_text("\n".join(lines[:3]) + "\n")
    _, out, _ = compare("1", str(cut))
    header, _, row = [re.split(r"  +", line) for line in out.splitlines()]
    shown = dict(zip(header, row, strict=True))
    assert (shown["status"], shown["epochs"], shown["accuracy"]) == ("unfinished", "3", "-")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("9",), 2, "no run 9 in runs; the latest is 003-sine"),
        (("nowhere",), 2, "nowhere: is no directory; expected the directory of a run"),
        (("runs",), 2, "runs: has no config.toml; expected the directory of a run"),
        ((), 2, "missing argument 'RUN...'"),
        (("1", "--with", "jax"), 2, "must be one of sklearn, torch, got 'jax'"),
    ],
)
def test_wrong_runs_are_named(args, code, message, compare):
    actual, out, err = compare(*args)
    assert (actual, out, err.count("\n")) == (code, "", 1)
    assert message in err


def test_a_damaged_result_is_named(compare, trained, tmp_path):
    shutil.copytree(trained / "runs" / "001-moons", tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text("{")
    code, _, err = compare(str(tmp_path / "run"))
    assert code == 2
    assert "result.json: is not valid JSON" in err


# ---------------------------------------------------------------- other libraries


def test_with_sklearn_is_sklearn_called_directly(compare):
    networks = pytest.importorskip("sklearn.neural_network")
    import sklearn

    code, out, err = compare("2", "1", "--with", "sklearn", "--json")
    assert (code, err) == (0, "loading moons\ntraining with sklearn\n")
    (library,) = json.loads(out)["libraries"]
    assert library["library"] == f"scikit-learn {sklearn.__version__}"
    assert library["epochs"] == 8
    assert library["seconds"] > 0
    assert library["left_out"] == ["schedule", "choice of the best epoch"]
    plain = {"network": {"architecture": "mlp"}}
    experiment = load_experiment(resolve("moons", [plain]))
    train, (_, test) = experiment.prepared.train, experiment.evaluated
    inputs = test.x.astype(np.float32)
    direct = networks.MLPClassifier(
        hidden_layer_sizes=(6, 5), activation="relu", solver="adam", learning_rate_init=0.002,
        alpha=0.01 * 20, batch_size=20, max_iter=8, n_iter_no_change=9, tol=0.0, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct.fit(train.x.astype(np.float32), train.y)
    assert library["metrics"]["accuracy"] == direct.score(inputs, test.y)
    assert library["metrics"]["macro_f1"] == fastmlp.metrics.f1(test.y, direct.predict(inputs))
    # The table has the same in a line of its own, and what the library could not do.
    _, table, _ = compare("2", "--with", "sklearn", "--with", "sklearn", "-q")
    name, epochs, _, accuracy, *_ = re.split(r"  +", table.splitlines()[2])
    assert (name, epochs) == (library["library"], "8")
    assert accuracy == f"{library['metrics']['accuracy']:.2%}"
    assert table.splitlines()[3] == f"{name}: without schedule, choice of the best epoch"


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("sklearn", "sklearn is needed; run \"pip install 'fastmlp[sklearn]'\""),
        ("torch", 'torch is needed; run "pip install torch"'),
    ],
)
def test_a_missing_library_is_named_before_anything_trains(library, message, compare, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert compare("1", "--with", library) == (7, "", f"fastmlp: error: {message}\n")


def test_libraries_train_on_the_data_of_the_run_or_not_at_all(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("polars")
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["a,class", *(f"{i},{i % 2}" for i in range(40))]) + "\n")
    assert main(["train", "table.csv", *SETTINGS, "--out", "run"]) == 0
    table.write_text(table.read_text() + "3,1\n")
    assert main(["compare", "run", "--with", "sklearn", "-q"]) == 3
    assert "the data has changed since the run began: table.csv" in capsys.readouterr().err


def test_torch_classifies(compare):
    pytest.importorskip("torch")
    code, out, _ = compare("1", "--with", "torch", "--json", "-q")
    assert code == 0
    (library,) = json.loads(out)["libraries"]
    assert library["library"].startswith("PyTorch ")
    assert library["metrics"]["accuracy"] > 0.8
