"""`fastmlp train --folds` and `--time-limit`: what is trained on what, and what is refused."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.data import read
from fastmlp.experiment.fold_bagging import make_bagging
from fastmlp.experiment.folds import fold_experiment
from fastmlp.experiment.settings import resolve

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
    assert here(*arguments, "--hidden", 4, "--epochs", 12, "--quiet").returncode == 0
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
        (("--time-limit", "5s"), "time_limit must be left out"),
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


def test_few_epochs_stay_within_a_long_limit():
    settings = {"architecture": "mlp", "hidden": [4], "epochs": 3}
    limited = fastmlp.Model(**settings, time_limit=60).fit("moons", verbose=0)
    free = fastmlp.Model(**settings).fit("moons", verbose=0)
    x = np.random.default_rng(0).normal(size=(20, 2))
    assert np.array_equal(limited.predict_proba(x), free.predict_proba(x))


def test_lbfgs_has_no_epochs_to_choose():
    with pytest.raises(ValueError, match="time_limit must be left out with lbfgs"):
        fastmlp.Model(optimizer="lbfgs", time_limit=5).fit("moons", verbose=0)
