"""Metrics that a callback or schedule watches, measured after each epoch on validation samples."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastmlp
from fastmlp import metrics
from fastmlp.metrics import METRICS
from fastmlp.schedules import ReduceOnPlateau

SEEDS = range(3)
seeds = pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed={seed}")


def samples(seed, task, count=90):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3))
    value = x @ [1.0, -1.0, 0.3] + random.normal(size=count)
    if task == "classification":
        return x, np.digitize(value, [-1, 1])
    if task == "multilabel":
        return x, np.stack([value > 0, x[:, 2] > 0.5], axis=1).astype(float)
    return x, np.exp(value)[:, np.newaxis]


LOSSES = {
    "classification": "softmax_cross_entropy", "multilabel": "binary_cross_entropy",
    "regression": "mse",
}  # fmt: skip
OUTPUTS = {"classification": 3, "multilabel": 2, "regression": 1}
CASES = [(task, name) for task in LOSSES for name, m in METRICS.items() if task in m.functions]


class Watcher(fastmlp.Callback):
    def __init__(self, *names):
        self._names, self.records, self.answers = names, [], []

    @property
    def watches(self):
        return self._names

    def on_epoch_end(self, training, record):
        self.records.append(record)


@seeds
@pytest.mark.parametrize(("task", "name"), CASES)
def test_the_record_has_the_metric_of_the_model_after_the_epoch(task, name, seed):
    x, y = samples(seed, task)
    x_val, y_val = samples(seed + 100, task)
    weights = np.random.default_rng(seed).exponential(size=90)
    model = fastmlp.MLP([3, 5, OUTPUTS[task]], loss=LOSSES[task], seed=seed, dtype="float64")
    watcher, kept = Watcher(f"val_{name}"), []

    class Copies(fastmlp.Callback):
        def on_epoch_end(self, training, record):
            network = training.model
            given = (
                network.predict_proba(x_val)
                if METRICS[name].needs == "probabilities"
                else network.predict(x_val)
            )
            kept.append(METRICS[name](task, y_val, given, weights))

    model.fit(x, y, epochs=3, callbacks=[watcher, Copies()], verbose=0,
              validation_data=(x_val, y_val, weights))  # fmt: skip
    found = [record[f"val_{name}"] for record in watcher.records]
    assert found == pytest.approx(kept, rel=1e-12)


@pytest.mark.parametrize("name", ["val_auc", "val_log_loss", "val_f1"])
def test_the_best_epoch_is_chosen_by_it(name):
    x, y = samples(0, "classification")
    validation = samples(1, "classification")
    stopping, watcher = fastmlp.EarlyStopping(name, patience=30), Watcher(name)
    model = fastmlp.MLP([3, 16, 3], seed=0)
    model.fit(x, y, epochs=25, optimizer=fastmlp.Adam(0.05), callbacks=[stopping, watcher],
              validation_data=validation, verbose=0)  # fmt: skip
    values = [record[name] for record in watcher.records]
    best = np.argmin(values) if name == "val_log_loss" else np.argmax(values)
    assert stopping.best_epoch == best + 1
    assert stopping.best_value == values[best]


def test_a_plateau_of_a_metric_lowers_the_rate():
    x, y = samples(0, "regression")
    schedule = ReduceOnPlateau(0.05, 0.5, patience=0, monitor="val_r2", minimum_change=1e9)
    watcher = Watcher("val_r2")
    model = fastmlp.MLP([3, 5, 1], loss="mse", seed=0)
    model.fit(x, y, epochs=4, optimizer=fastmlp.SGD(schedule), callbacks=[watcher],
              validation_data=(x, y), verbose=0)  # fmt: skip
    assert [r["learning_rate"] for r in watcher.records] == [0.05, 0.05, 0.025, 0.0125]


def test_what_nobody_watches_is_not_measured():
    x, y = samples(0, "classification")
    watcher = Watcher()
    fastmlp.MLP([3, 3]).fit(x, y, epochs=1, callbacks=[watcher], validation_data=(x, y), verbose=0)
    names = {"epoch", "epochs", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert watcher.records[0].keys() == names | {"learning_rate"}


@pytest.mark.parametrize(
    ("loss", "name", "validates", "message"),
    [
        ("softmax_cross_entropy", "val_rmse", True, "metric must be one of accuracy, balanced"),
        ("mse", "val_auc", True, "metric must be one of mse, rmse"),
        ("hinge", "val_auc", True, "metric auc needs probabilities, which loss hinge does not"),
        ("softmax_cross_entropy", "val_auc", False, "got 'val_auc'; val_ needs validation_data"),
        ("softmax_cross_entropy", "val_auk", True, "monitor must be one of epoch, .*got 'val_auk'"),
    ],
)
def test_what_cannot_be_measured_is_refused(loss, name, validates, message):
    x, y = samples(0, "regression" if loss == "mse" else "classification")
    model = fastmlp.MLP([3, 1 if loss == "mse" else 3], loss=loss, seed=0)
    before = model.parameters()
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, epochs=1, callbacks=[fastmlp.EarlyStopping(name)], verbose=0,
                  validation_data=(x, y) if validates else None)  # fmt: skip
    if not name.endswith("k"):  # others are refused before the training
        for key, array in model.parameters().items():
            np.testing.assert_array_equal(array, before[key])


@seeds
def test_a_resumed_training_has_the_same_records(seed):
    x, y = samples(seed, "classification")

    def records(parts):
        model, watcher = fastmlp.MLP([3, 5, 3], seed=seed), Watcher("val_auc", "val_brier")
        for i, epochs in enumerate(parts):
            model.fit(x, y, epochs=epochs, total_epochs=6, resume=i > 0, callbacks=[watcher],
                      validation_data=(x, y), verbose=0)  # fmt: skip
        return [{k: v for k, v in r.items() if k.startswith("val_")} for r in watcher.records]

    assert records([6]) == records([2, 1, 3])


# ---------------------------------------------------------------- models and runs


def table():
    random = np.random.default_rng(3)
    frame = {"size": random.uniform(20, 200, 200), "town": random.choice(["Bonn", "Kiel"], 200)}
    price = 3000 * frame["size"] + 50_000 * random.normal(size=200)
    return frame | {"price": np.abs(price)}


@pytest.mark.parametrize("monitor", ["val_mae", "val_mape", "val_quantile_loss:0.9"])
def test_models_measure_in_the_units_of_the_target(monitor, capsys):
    pytest.importorskip("polars")
    watcher = Watcher()
    settings = {"target": "price", "architecture": "mlp", "clamp_target": True}
    model = fastmlp.Model(**settings, epochs=6, monitor=monitor)
    model.fit(table(), callbacks=[watcher], verbose=1)
    values = [record[monitor] for record in watcher.records]
    assert max(values) > 5000 if monitor != "val_mape" else max(values) < 100
    best = 1 + values.index(min(values))
    assert f"kept epoch {best}, the best by {monitor}" in capsys.readouterr().err


def test_a_run_is_chosen_by_a_metric(tmp_path, monkeypatch, capsys):
    pytest.importorskip("polars")
    from fastmlp.cli import main
    from fastmlp.experiment.rundir import RunDirectory

    monkeypatch.chdir(tmp_path)
    arguments = ["train", "moons", "--epochs", "6", "--monitor", "val_auc", "--no-report"]
    assert main(arguments) == 0
    assert "best epoch" in capsys.readouterr().out
    run = RunDirectory.open(tmp_path / "runs" / "001-moons")
    values = [record["val_auc"] for record in run.records()]
    result = json.loads(run.result_path.read_text())
    assert (result["monitor"], result["best_value"]) == ("val_auc", max(values))
    assert result["best_epoch"] == 1 + values.index(max(values))
    assert main([*arguments[:-3], "--monitor", "val_rmse"]) == 2
    assert "metric must be one of accuracy, balanced_accuracy" in capsys.readouterr().err
    assert metrics.is_greater_better("auc")
