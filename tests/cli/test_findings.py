"""What a run says of its worth: at its end, in between, in result.json and in the report."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment.rundir import RunDirectory

pytest.importorskip("sklearn")


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Commands in this process and a directory of their own."""
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> subprocess.CompletedProcess:
        code = main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return call


NOTHING = ("train", "iris", "--lr", "0", "--epochs", "60", "--batch-size", "16", "--no-report")


def test_a_run_that_learned_nothing_says_so(here):
    done = here(*NOTHING)
    assert done.returncode == 0
    assert "problem: the weights have moved by 0" in done.stderr
    assert "docs/findings.md#rate-too-low" in done.stderr
    assert "so far: the weights have moved by 0" in done.stderr
    assert "majority class" in done.stdout
    assert "linear model" in done.stdout


def test_quiet_tells_problems_only(here):
    done = here(*NOTHING, "--quiet")
    lines = done.stderr.splitlines()
    assert lines
    assert all(line.startswith("problem: ") for line in lines)
    done = here("train", "iris", "--epochs", "20", "--no-report", "--quiet")
    assert done.stderr == ""


def test_findings_and_baselines_are_part_of_the_result(here):
    document = json.loads(here(*NOTHING, "--json").stdout)
    kept = json.loads(RunDirectory(Path("runs/001-iris")).result_path.read_text())
    assert document["findings"] == kept["findings"]
    codes = {finding["code"] for finding in document["findings"]}
    assert {"rate-too-low", "no-better-than-linear"} <= codes
    constant, linear = document["baselines"]
    assert constant["name"] == "majority class"
    assert constant["metrics"]["accuracy"] == pytest.approx(1 / 3, abs=0.05)
    assert linear["name"] == "linear model"
    assert linear["metrics"]["accuracy"] > 0.8
    assert linear["metrics"]["loss"] < 1


def test_baselines_of_a_regression_are_those_of_numpy(here):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    y = 50 + 10 * (x @ [1.0, -2.0, 0.5]) + rng.standard_normal(400)
    rows = [",".join(f"{v:.6g}" for v in (*a, b)) for a, b in zip(x, y, strict=True)]
    train, test = rows[:300], rows[300:]
    head = "a,b,c,y\n"
    Path("t.csv").write_text(head + "\n".join(train) + "\n")
    Path("test.csv").write_text(head + "\n".join(test) + "\n")
    done = here("train", "t.csv", "--target", "y", "--test", "test.csv", "--epochs", "20",
                "--validation-fraction", "0", "--no-report", "--json")  # fmt: skip
    constant, linear = json.loads(done.stdout)["baselines"]
    error = np.sqrt(np.mean((y[300:] - y[:300].mean()) ** 2))
    assert constant["metrics"]["rmse"] == pytest.approx(error, rel=1e-4)
    design = np.column_stack([x, np.ones(400)])
    best, *_ = np.linalg.lstsq(design[:300], y[:300], rcond=None)
    error = np.sqrt(np.mean((y[300:] - design[300:] @ best) ** 2))
    assert linear["metrics"]["rmse"] == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_a_linear_model_stands_targets_of_any_scale(here, scale):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 3))
    y = scale * (3 + x @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(500))
    rows = [",".join(f"{v:.8g}" for v in (*a, b)) for a, b in zip(x, y, strict=True)]
    Path("t.csv").write_text("a,b,c,y\n" + "\n".join(rows) + "\n")
    for options in ((), ("--no-standardize-target", "--architecture", "mlp")):
        done = here("train", "t.csv", "--target", "y", "--epochs", "3", "--no-report", "--json",
                    *options)  # fmt: skip
        _, linear = json.loads(done.stdout)["baselines"]
        assert linear["metrics"]["r2"] > 0.97, options


def test_a_linear_model_of_counts(here):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((500, 3))
    y = rng.poisson(np.exp(6 + 0.5 * x[:, 0]))
    rows = [",".join(map(str, (*a, b))) for a, b in zip(x, y, strict=True)]
    Path("t.csv").write_text("a,b,c,y\n" + "\n".join(rows) + "\n")
    done = here("train", "t.csv", "--target", "y", "--loss", "poisson", "--epochs", "3",
                "--no-report", "--json")  # fmt: skip
    _, linear = json.loads(done.stdout)["baselines"]
    assert linear["metrics"]["r2"] > 0.9


def test_a_report_has_no_green_badge_with_problems(here):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    here(*NOTHING[:-1])
    text = RunDirectory(Path("runs/001-iris")).report_path.read_text()
    assert "completed, " in text
    assert "problem" in text
    assert "rate-too-low" in text


def test_a_report_with_a_learning_curve(here):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    here("train", "iris", "--epochs", "5", "--no-report", "-q")
    done = here("report", "1", "--learning-curve")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("samples: loss") == 4
    run = RunDirectory(Path("runs/001-iris"))
    assert len(json.loads(run.learning_curve_path.read_text())["points"]) == 4
    assert "Learning curve by data size" in run.report_path.read_text()


def test_the_bits_of_a_run_do_not_depend_on_the_look(here, monkeypatch):
    arguments = ("train", "iris", "--epochs", "12", "--no-report", "-q")
    here(*arguments)
    monkeypatch.setattr("fastmlp.diagnosis.checks.CHECKS", ())
    here(*arguments)
    runs = [RunDirectory(Path(f"runs/00{number}-iris")) for number in (1, 2)]
    first, second = (fastmlp.load(run.last_model).network for run in runs)
    for name, array in first.parameters().items():
        assert array.tobytes() == second.parameters()[name].tobytes()
