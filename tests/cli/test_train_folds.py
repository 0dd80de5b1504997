"""`fastmlp train --folds` and `--time-limit`: what is trained on what, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.data import read
from fastmlp.experiment.fold_bagging import make_bagging
from fastmlp.experiment.folds import fold_experiment
from fastmlp.experiment.importance import _permutations
from fastmlp.experiment.settings import resolve
from support.cli_process import TIMEOUT, answer_signals, environment

pytest.importorskip("polars")

QUICK = ("--architecture", "mlp", "--epochs", 3, "--hidden", 4, "--no-report")


def homes(path: Path, rows: int, seed: int = 0) -> Path:
    draw = np.random.default_rng(seed)
    size = draw.uniform(20, 200, rows)
    town = draw.choice(["Bonn", "Kiel", "Jena"], rows)
    kind = np.where(size + draw.normal(0, 20, rows) > 110, "large", "small")
    kind[draw.choice(rows, rows // 10, replace=False)] = ""
    lines = [
        f"{number},{s:.1f},{t},{k}"
        for number, (s, t, k) in enumerate(zip(size, town, kind, strict=True), 1)
    ]
    path.write_text("number,size,town,kind\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> subprocess.CompletedProcess:
        code = main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return call


def rows_of(place: Path) -> list[dict[str, str]]:
    with place.open() as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- folds


@pytest.mark.parametrize("seed", range(4))
def test_folds_and_the_test_part_divide_the_samples(tmp_path, seed):
    """Every row with a target is in the test part or in one fold, which is no training of its own.

    The test part is that of a single training.
    """
    draw = np.random.default_rng(seed)
    rows, folds = int(draw.integers(60, 200)), int(draw.integers(2, 6))
    share = float(draw.choice([0.0, 0.1, 0.3]))
    path = homes(tmp_path / "homes.csv", rows, seed)
    print(f"{rows=} {folds=} {share=}")
    own = {"target": ["kind"], "test_fraction": share, "split_seed": seed, "id": ["number"]}
    config = resolve(str(path), [{"data": own}])
    bagging = make_bagging(config, read(str(path)), folds)
    table = rows_of(path)
    labeled = {number for number, row in enumerate(table, 1) if row["kind"]}

    tested = [set(bagging.plan.rows[fold.test].tolist()) for fold in bagging.plan.folds]
    held_out = labeled - set().union(*tested)
    assert sum(map(len, tested)) == len(set().union(*tested))
    assert set().union(*tested) <= labeled
    assert (0 if bagging.test is None else len(bagging.test.x)) == len(held_out)

    data = {**own, "validation_fraction": 0.0}
    single = fastmlp.data.prepare(
        read(str(path)), fastmlp.data.Options(**{**data, "target": ("kind",), "id": ("number",)})
    )
    assert len(held_out) == (0 if single.test is None else len(single.test))

    for fold, own_rows in zip(bagging.plan.folds, tested, strict=True):
        trained = set(bagging.plan.rows[fold.train].tolist())
        assert trained == labeled - held_out - own_rows
        experiment = fold_experiment(bagging.plan, fold)
        assert len(experiment.prepared.train) == len(trained)
        assert experiment.prepared.validation is not None
        assert len(experiment.prepared.validation) == len(own_rows)
        assert experiment.prepared.test is None


def test_what_it_prints_and_the_commands_that_take_it(here, tmp_path):
    homes(tmp_path / "homes.csv", 150)
    arguments = ("train", "homes.csv", "--target", "kind", "--id", "number", *QUICK, "--folds", 3)
    done = here(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test accuracy ")
    place = tmp_path / "runs" / "001-homes"
    result = json.loads((place / "result.json").read_text())
    model = fastmlp.load(place)
    assert len(model.networks) == 3
    assert result["chooses_epoch"] is True
    # The folds have chosen the epochs, so their scores get no interval, and stand below the test.
    assert result["scores"] == {}
    assert set(result["validation"]["accuracy"]) == {"mean", "std"}
    measured = [fold["measures"]["accuracy"] for fold in result["folds"]]
    assert result["validation"]["accuracy"]["mean"] == pytest.approx(np.mean(measured), abs=1e-12)
    assert "interval" not in done.stdout
    assert done.stdout.index("test accuracy") < done.stdout.index("which chose the epochs")

    table = rows_of(tmp_path / "homes.csv")
    seen = {int(row["row"]) for row in rows_of(place / "out-of-fold.csv")}
    rest = [row for number, row in enumerate(table, 1) if row["kind"] and number not in seen]
    assert result["test"]["samples"] == len(rest) > 0
    answers = model.predict([{k: v for k, v in row.items() if k != "kind"} for row in rest])
    accuracy = np.mean(answers == np.array([row["kind"] for row in rest]))
    assert result["test"]["accuracy"] == pytest.approx(accuracy, abs=1e-12)

    assert here("evaluate", "runs/001-homes").stdout == done.stdout
    again = here(*arguments, "--out", "runs/001-homes")
    assert again.stdout == done.stdout
    answered = here("predict", "runs/001-homes", "homes.csv")
    assert answered.stdout.splitlines()[0] == "prediction"


def test_the_epoch_of_a_fold_is_the_best_of_its_own_samples(here, tmp_path):
    homes(tmp_path / "homes.csv", 150)
    arguments = ("train", "homes.csv", "--target", "kind", "--id", "number", "--folds", 2)
    plain = ("--architecture", "mlp", "--hidden", 4, "--epochs", 12)
    assert here(*arguments, *plain, "--quiet").returncode == 0
    place = tmp_path / "runs" / "001-homes"
    result = json.loads((place / "result.json").read_text())
    for fold in result["folds"]:
        records = [
            json.loads(line)
            for line in (place / "folds" / f"1-{fold['fold']}" / "metrics.jsonl")
            .read_text()
            .splitlines()
        ]
        best = min(record["val_loss"] for record in records)
        assert records[fold["best_epoch"] - 1]["val_loss"] == best
        assert fold["measures"]["loss"] == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--validation-fraction", 0.2), "validation_fraction must be 0 or left out"),
        (("--report",), "--report must be left out with --folds"),
        (("--time-limit", "5s", "--optimizer", "lbfgs"), "time_limit must be left out with lbfgs"),
        (("--folds", 1), "--folds"),
        (("--folds", 70), "folds must be at most"),
        (("--min-accuracy", "100%"), "test accuracy is"),
    ],
)
def test_what_folds_refuse(here, tmp_path, flags, message):
    homes(tmp_path / "homes.csv", 120)
    folds = () if "--folds" in flags else ("--folds", 2)
    given = ("--target", "kind", "--id", "number", *folds, *QUICK[:-1], *flags)
    done = here("train", "homes.csv", *given)
    assert done.returncode in (2, 6)
    assert message in done.stderr


# ---------------------------------------------------------------- a run among others


@pytest.fixture
def trained(here, tmp_path):
    homes(tmp_path / "homes.csv", 150)
    given = ("train", "homes.csv", "--target", "kind", "--id", "number", *QUICK, "--quiet")
    assert here(*given).returncode == 0
    assert here(*given, "--folds", 3).returncode == 0
    return here


def test_a_directory_of_folds_is_a_run_with_a_number(trained, tmp_path):
    place = tmp_path / "runs" / "002-homes"
    result = json.loads((place / "result.json").read_text())
    listed = json.loads(trained("runs", "list", "--json").stdout)["runs"]
    assert [row["name"] for row in listed] == ["001-homes", "002-homes"]
    assert [row["folds"] for row in listed] == [None, 3]
    assert listed[1]["status"] == "completed"
    assert listed[1]["folds_completed"] == 3
    assert (listed[1]["part"], listed[1]["measure"]) == ("test", "accuracy")
    assert listed[1]["value"] == result["test"]["accuracy"]
    assert "3/3 folds" in trained("runs", "list").stdout

    shown = trained("runs", "show", 2)
    assert shown.returncode == 0, shown.stderr
    assert "3 of 3, each without one fold" in shown.stdout
    document = json.loads(trained("runs", "show", 2, "--json").stdout)
    assert document["result"]["test"] == result["test"]
    changed = {each["setting"] for each in document["settings_changed"]}
    assert {"network.hidden", "training.epochs", "data.target"} <= changed

    assert trained("predict", 2, "homes.csv").returncode == 0
    assert trained("evaluate", 2, "--part", "test").stdout.startswith("test accuracy ")
    assert trained("evaluate", 2, "homes.csv").returncode == 0
    assert "measured on their test part" in trained("evaluate", 2, "--part", "training").stderr

    (place / "models.json").rename(tmp_path / "models.json")
    row = json.loads(trained("runs", "list", "--json").stdout)["runs"][1]
    assert (row["status"], row["folds_completed"], row["value"]) == ("cut off", 3, None)
    (place / "settings.toml").write_text("?")
    assert "damaged" in trained("runs", "list").stdout

    assert "would remove" in trained("runs", "rm", 2, "--dry-run").stdout
    assert trained("runs", "rm", 2, "--yes").returncode == 0
    assert not place.exists()


@pytest.mark.parametrize("file", [None, "cross-validation.json", "result.json", "settings.toml"])
def test_removal_spares_directories_with_foreign_ones(trained, tmp_path, file):
    place = tmp_path / "runs" / "002-homes"
    (place / "mine").mkdir()
    if file is not None:
        (place / file).write_text("[]")
    done = trained("runs", "rm", 2, "--yes")
    assert done.returncode == 2
    assert "holds mine/, which is no part of a run" in done.stderr
    assert place.exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("report", 2), "expected the run of a single one"),
        (("plot", 2), "expected the run of a single one"),
        (("compare", 1, 2), "expected the run of a single one"),
        (("inspect", 2), "of which one is needed here"),
        (("export", 2, "--format", "onnx"), "of which one is needed here"),
        (("train", "--resume", 2), "the command that began them continues them"),
    ],
)
def test_commands_for_one_network_name_the_file_of_one(trained, command, message):
    done = trained(*command)
    assert done.returncode in (2, 4)
    assert message in done.stderr
    file = Path("runs/002-homes/folds/1-1/model.safetensors")
    assert file.is_file()
    if "--resume" not in command:
        assert f"such as {file}" in done.stderr
        assert trained("inspect", file).returncode == 0


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_importance_of_networks_together(trained, tmp_path, metric):
    """On the rows set aside, and on a file; each cell is permuted for all networks at once."""
    place = tmp_path / "runs" / "002-homes"
    found = json.loads(
        trained("importance", 2, "--metric", metric, "--repeats", 3, "--seed", 4, "--json").stdout
    )
    model = fastmlp.load(place)
    seen = {int(row["row"]) for row in rows_of(place / "out-of-fold.csv")}
    rest = [
        row
        for number, row in enumerate(rows_of(tmp_path / "homes.csv"), 1)
        if row["kind"] and number not in seen
    ]
    truth = np.array([list(model.classes).index(row["kind"]) for row in rest])

    def score(rows: list[dict[str, str]]) -> float:
        shares = model.predict_proba([{"size": r["size"], "town": r["town"]} for r in rows])
        if metric == "accuracy":
            return float(np.mean(shares.argmax(axis=1) == truth))
        return float(np.mean(-np.log(shares[np.arange(len(truth)), truth])))

    assert found["samples"] == len(rest)
    assert found["score"] == pytest.approx(score(rest), rel=1e-6)
    sign = 1 if metric == "accuracy" else -1
    assert {column["column"] for column in found["columns"]} == {"size", "town"}
    for column in found["columns"]:
        name = column["column"]
        for order, loss in zip(_permutations(len(rest), 3, 4), column["values"], strict=True):
            permuted = [
                {**row, name: rest[j][name]} for row, j in zip(rest, order.tolist(), strict=True)
            ]
            assert loss == pytest.approx(sign * (score(rest) - score(permuted)), abs=1e-6)

    given = [{name: row[name] for name in ("size", "town", "kind")} for row in rest]
    own = fastmlp.permutation_importance(model, given, metric=metric, repeats=3, seed=4)
    assert own.as_json() == {k: found[k] for k in own.as_json()}
    on_file = json.loads(trained("importance", 2, "homes.csv", "--quiet", "--json").stdout)
    assert on_file["samples"] > len(rest)


def test_importance_of_models_that_set_nothing_aside(trained, tmp_path):
    arguments = ("homes.csv", "--target", "kind", "--id", "number", *QUICK[:-1])
    assert trained("cv", *arguments, "--folds", 2, "--quiet").returncode == 0
    done = trained("importance", "cv/001-homes")
    assert done.returncode == 2
    assert "a DATASET is needed" in done.stderr
    assert trained("importance", "cv/001-homes", "homes.csv").returncode == 0
    fastmlp.load("cv/001-homes").save("saved")
    assert "a DATASET is needed" in trained("importance", "saved").stderr
    first = trained("importance", "cv/001-homes", "homes.csv", "--json").stdout
    again = trained("importance", "saved", "homes.csv", "--json").stdout
    assert json.loads(again)["columns"] == json.loads(first)["columns"]

    homes(tmp_path / "homes.csv", 150, seed=1)
    assert "the data has changed" in trained("importance", 2).stderr


# ---------------------------------------------------------------- interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_same_command_continues_what_was_interrupted_and_no_more(tmp_path, number):
    homes(tmp_path / "homes.csv", 150)
    flags = "--target kind --id number --architecture mlp --hidden 4 --epochs 5000 --folds 2"
    command = [sys.executable, "-m", "fastmlp", "train", "homes.csv", *flags.split()]
    first = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=answer_signals,
    )  # fmt: skip
    while first.poll() is None and not list(tmp_path.glob("runs/*/folds/*/metrics.jsonl")):
        time.sleep(0.01)
    first.send_signal(number)
    _, told = first.communicate(timeout=TIMEOUT)
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
    assert first.returncode == codes[number], told
    assert number == signal.SIGKILL or b"the same command continues" in told

    def again() -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True,
            timeout=TIMEOUT, check=True,
        )  # fmt: skip
        return done.stderr

    assert "continues runs/001-homes" in again()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["001-homes"]
    if number == signal.SIGINT:
        assert "continues" not in again()
        names = sorted(path.name for path in (tmp_path / "runs").iterdir())
        assert names == ["001-homes", "002-homes"]
        texts = {(tmp_path / "runs" / name / "predictions.csv").read_text() for name in names}
        assert len(texts) == 1  # the interrupted one has the same bits


# ---------------------------------------------------------------- time


def test_a_time_limit_sets_the_number_of_epochs(here, tmp_path):
    flags = ("--hidden", 256, "--epochs", 100_000, "--time-limit", "1s", "--no-report", "--json")
    done = here("train", "moons", *flags)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    epochs = document["config"]["training"]["epochs"]
    assert 1 <= epochs < 100_000
    assert document["epochs_completed"] == epochs
    assert "time_limit" not in document["config"]["training"]
    assert f"time limit: {epochs} of 100000 epochs" in done.stderr

    again = here("train", "--config", f"{document['directory']}/config.toml", "--json")
    assert json.loads(again.stdout)["test"] == document["test"]


def test_a_time_limit_sets_the_epochs_of_all_folds_once(here, tmp_path):
    homes(tmp_path / "homes.csv", 150)
    flags = ("--target", "kind", "--id", "number", "--architecture", "mlp", "--hidden", 256)
    command = ("train", "homes.csv", *flags, "--epochs", 100_000, "--folds", 3)
    done = here(*command, "--time-limit", "1s")
    assert done.returncode == 0, done.stderr
    place = tmp_path / "runs" / "001-homes"
    epochs = json.loads((place / "cross-validation.json").read_text())["epochs"]
    assert 1 <= epochs < 100_000
    assert f"time limit: {epochs} of 100000 epochs" in done.stderr
    result = json.loads((place / "result.json").read_text())
    assert [fold["epochs"] for fold in result["folds"]] == [epochs] * 3
    settings = (place / "settings.toml").read_text()
    assert f"epochs = {epochs}" in settings
    assert "\ntime_limit" not in settings
    assert here("importance", 1).returncode == 0

    (place / "models.json").unlink()
    shutil.rmtree(place / "folds" / "1-2")
    again = here(*command, "--time-limit", "1s")
    assert "continues runs/001-homes" in again.stderr
    assert "time limit:" not in again.stderr
    assert again.stdout == done.stdout
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["001-homes"]


def test_few_epochs_stay_within_a_long_limit():
    settings = {"architecture": "mlp", "hidden": [4], "epochs": 3}
    limited = fastmlp.Model(**settings, time_limit=60).fit("moons", verbose=0)
    free = fastmlp.Model(**settings).fit("moons", verbose=0)
    x = np.random.default_rng(0).normal(size=(20, 2))
    assert np.array_equal(limited.predict_proba(x), free.predict_proba(x))


def test_lbfgs_has_no_epochs_to_choose():
    with pytest.raises(ValueError, match="time_limit must be left out with lbfgs"):
        fastmlp.Model(optimizer="lbfgs", time_limit=5).fit("moons", verbose=0)
