"""`History`: names, lists, data frames, files, and epochs in which something was not measured."""

from __future__ import annotations

import copy
import math
import pickle
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.extras import MissingExtraError

random = np.random.default_rng(0)
X = random.normal(size=(60, 3))
Y = (X[:, 0] + 0.3 * random.normal(size=60) > 0).astype(int)
USUAL = ["loss", "accuracy", "val_loss", "val_accuracy"]


def fitted(**options):
    model = fastmlp.MLP([3, 4, 2], seed=0)
    arguments = {"epochs": 3, "validation_data": (X, Y), "metrics": ["auc", "brier"], "verbose": 0}
    return model, model.fit(X, Y, **(arguments | options))


def test_it_is_a_mapping_of_what_was_measured():
    model, history = fitted()
    names = [*USUAL, "val_auc", "val_brier"]
    assert list(history) == list(history.keys()) == names
    assert dict(history) == {name: history[name] for name in names}
    assert all(len(values) == 3 for values in dict(history).values())
    assert history["loss"] is history.loss
    assert history["val_auc"] is history.metrics["val_auc"]
    assert "val_auc" in history
    assert "val_f1" not in history
    assert model.history == history
    _, plain = fitted(validation_data=None, metrics=())
    assert list(plain) == ["loss", "accuracy"]
    assert "val_loss" not in plain
    assert plain.val_loss == []


def test_the_error_about_a_name_tells_the_others():
    _, history = fitted()
    with pytest.raises(KeyError, match="'val_auk' was not measured; .*did you mean 'val_auc'"):
        history["val_auk"]
    with pytest.raises(KeyError, match="the history has nothing"):
        fastmlp.History()["loss"]


def test_what_a_callback_watches_is_kept():
    _, history = fitted(metrics=(), callbacks=[fastmlp.EarlyStopping("val_mcc")])
    assert list(history) == [*USUAL, "val_mcc"]


def test_epochs_without_a_measure_have_nan():
    model, _ = fitted(epochs=2, metrics=["auc"])
    model.fit(X, Y, epochs=1, resume=True, validation_data=(X, Y), metrics=["f1"], verbose=0)
    model.fit(X, Y, epochs=2, resume=True, verbose=0)
    known = {name: [not math.isnan(v) for v in model.history[name]] for name in model.history}
    assert known == {
        "loss": [True] * 5,
        "accuracy": [True] * 5,
        "val_loss": [True, True, True, False, False],
        "val_accuracy": [True, True, True, False, False],
        "val_auc": [True, True, False, False, False],
        "val_f1": [False, False, True, False, False],
    }
    frame = model.history.to_frame()
    assert len(frame) == 5


def test_a_resumed_training_goes_on(tmp_path):
    model, whole = fitted(epochs=4)
    first, _ = fitted(epochs=2, total_epochs=4)
    first.save(tmp_path / "model.safetensors", training_state=True)
    again = fastmlp.load(tmp_path / "model.safetensors")
    for other in (first, again, pickle.loads(pickle.dumps(first)), copy.deepcopy(first)):
        other.fit(X, Y, epochs=2, resume=True, validation_data=(X, Y),
                  metrics=["auc", "brier"], verbose=0)  # fmt: skip
        assert dict(other.history) == dict(whole)
    assert dict(model.history) == dict(whole)


def test_files_keep_all_measures(tmp_path):
    def nothing(y_true, y_pred):
        return math.nan

    model, history = fitted(metrics=["auc", nothing])
    paths = [tmp_path / name for name in ("one.safetensors", "two.safetensors")]
    for path in paths:
        model.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded = fastmlp.load(paths[0]).history
    assert set(loaded) == set(history)
    for name in history:
        np.testing.assert_array_equal(loaded[name], history[name])
    assert loaded.epoch_seconds == []


def test_a_file_with_a_list_of_another_name_is_refused(tmp_path):
    from fastmlp.model_file import read_model, write_model

    path = tmp_path / "model.safetensors"
    model, _ = fitted()
    model.save(path)
    tensors, config = read_model(path)
    for name, array in (("history.seconds", np.zeros(3)), ("history.val_f1", np.zeros((3, 1)))):
        write_model(path, tensors | {name: array}, config)
        with pytest.raises(fastmlp.FormatError, match="history must have lists of loss, accuracy"):
            fastmlp.load(path)


def test_a_data_frame_of_pandas():
    pandas = pytest.importorskip("pandas")
    _, history = fitted()
    frame = history.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.name == "epoch"
    assert frame.index.to_list() == [1, 2, 3]
    assert frame.columns.to_list() == list(history)
    for name in history:
        assert frame[name].to_list() == history[name]
    uneven = fastmlp.History(loss=[1.0, 2.0], val_loss=[1.0]).to_frame()
    np.testing.assert_array_equal(uneven["val_loss"], [1.0, math.nan])
    assert len(fastmlp.History().to_frame()) == 0


def without(monkeypatch, *packages):
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed


def test_a_data_frame_of_polars(monkeypatch):
    polars = pytest.importorskip("polars")
    without(monkeypatch, "pandas")
    _, history = fitted()
    frame = history.to_frame()
    assert isinstance(frame, polars.DataFrame)
    assert frame.columns == ["epoch", *history]
    assert frame["epoch"].to_list() == [1, 2, 3]
    assert frame["val_auc"].to_list() == history["val_auc"]


def test_without_a_library_of_frames_the_error_tells_what_to_install(monkeypatch):
    without(monkeypatch, "pandas", "polars")
    with pytest.raises(MissingExtraError, match=r"needs pandas or polars; run .*fastmlp\[data\]"):
        fastmlp.History(loss=[1.0]).to_frame()
