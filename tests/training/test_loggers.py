"""What the loggers write is what `fit` returns."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.loggers import CSVLogger, JSONLogger, TensorBoard
from support.continuation_cases import Cut, Instructions
from support.strategies import problem

MEASURED = ("loss", "accuracy", "val_loss", "val_accuracy")


@pytest.fixture
def data():
    x, y = problem("softmax_cross_entropy", 60, 4, 3, "float32")
    return {"x": x, "y": y, "validation_data": (x[:20], y[:20])}


def fit(data, *callbacks, epochs=3, **options):
    model = fastmlp.MLP([4, 3], seed=0)
    return model.fit(epochs=epochs, callbacks=callbacks, verbose=0, **{**data, **options})


def csv_rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def json_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


FORMATS = {"csv": (CSVLogger, csv_rows), "json": (JSONLogger, json_rows)}
formats = pytest.mark.parametrize(("logger", "rows_of"), FORMATS.values(), ids=FORMATS)


def assert_rows_are(rows, history):
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(history.loss) + 1))
    for name in MEASURED:
        # Text keeps every digit of a double.
        assert [float(row[name]) for row in rows] == getattr(history, name)
    assert [float(row["seconds"]) for row in rows] == history.epoch_seconds


@formats
def test_rows_are_the_history(logger, rows_of, data, tmp_path):
    path = tmp_path / "made" / "log"
    history = fit(data, logger(path))
    assert_rows_are(rows_of(path), history)


@formats
def test_a_new_training_starts_the_file_again(logger, rows_of, data, tmp_path):
    path = tmp_path / "log"
    callback = logger(path)
    fit(data, callback, epochs=5)
    history = fit(data, callback, epochs=2)
    assert_rows_are(rows_of(path), history)


@formats
def test_a_new_training_can_be_appended(logger, rows_of, data, tmp_path):
    path = tmp_path / "log"
    histories = [fit(data, logger(path, append=True), epochs=n) for n in (2, 3)]
    rows = rows_of(path)
    assert_rows_are(rows[:2], histories[0])
    assert_rows_are(rows[2:], histories[1])


@formats
def test_rows_are_in_the_file_at_the_end_of_their_epoch(logger, rows_of, data, tmp_path):
    path = tmp_path / "log"

    def fail_in_the_second(model, record):
        assert [float(row["loss"]) for row in rows_of(path)][-1] == record["loss"]
        if record["epoch"] == 2:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(data, logger(path), fail_in_the_second)
    assert len(rows_of(path)) == 2


@formats
def test_a_file_that_cannot_be_written_is_noticed_before_the_first_epoch(
    logger, rows_of, data, tmp_path
):
    epochs = []
    with pytest.raises(IsADirectoryError):
        fit(data, logger(tmp_path), lambda model, record: epochs.append(record))
    assert epochs == []


@formats
def test_bad_settings_are_refused(logger, rows_of):
    with pytest.raises(TypeError, match="path must be a string or os.PathLike, got int"):
        logger(3)
    with pytest.raises(TypeError, match="append must be a bool, got str"):
        logger("log", append="yes")


def test_a_header_without_a_column_for_a_value_is_refused(data, tmp_path):
    path = tmp_path / "log"
    fit(data, CSVLogger(path), validation_data=None)
    with pytest.raises(ValueError, match=r"log: the header has no column val_loss, val_accuracy"):
        fit(data, CSVLogger(path, append=True))


def test_a_header_with_more_columns_leaves_them_empty(data, tmp_path):
    path = tmp_path / "log"
    fit(data, CSVLogger(path), epochs=1)
    fit(data, CSVLogger(path, append=True), epochs=1, validation_data=None)
    first, second = csv_rows(path)
    assert first["loss"] == second["loss"]
    assert (second["val_loss"], second["val_accuracy"]) == ("", "")


def test_json_has_null_for_infinity(tmp_path):
    x, y = problem("mse", 60, 4, 2, "float32")
    path = tmp_path / "log"
    model = fastmlp.MLP([4, 2], loss="mse", seed=0)
    history = model.fit(
        x,
        y,
        epochs=1,
        optimizer=fastmlp.SGD(0.01),
        validation_data=(x, np.full_like(y, 1e30)),
        callbacks=[JSONLogger(path)],
        verbose=0,
    )
    assert history.val_loss == [math.inf]
    assert json_rows(path)[0]["val_loss"] is None


# ---------------------------------------------------------------- TensorBoard


def scalars(directory):
    """All scalars by name, from frames of a length, its check sum, an event and its check sum."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in directory.iterdir():
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            content = content[size + 16 :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_gets_the_history(data, tmp_path):
    pytest.importorskip("tensorboardX")
    history = fit(data, TensorBoard(tmp_path / "run"))
    found = scalars(tmp_path / "run")
    assert set(found) == {*MEASURED, "seconds", "learning_rate"}
    for name in MEASURED:
        expected = [(i, float(np.float32(v))) for i, v in enumerate(getattr(history, name), 1)]
        assert found[name] == expected


def test_tensorboard_says_what_to_install(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"run \"pip install 'fastmlp\[tensorboard\]'\""):
        fit(data, TensorBoard(tmp_path))


def test_tensorboard_needs_a_directory():
    with pytest.raises(TypeError, match="log_dir must be a string or os.PathLike, got int"):
        TensorBoard(3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_writer_whose_closing_was_cut_is_not_closed_again(tmp_path):
    pytest.importorskip("tensorboardX")
    x, y = np.ones((4, 2)), np.zeros(4, int)

    def fit(logger):
        fastmlp.MLP([2, 2]).fit(x, y, epochs=1, callbacks=[logger], verbose=0)

    instructions = Instructions()
    with instructions.traced():
        fit(fastmlp.TensorBoard(tmp_path / "whole"))
    places = [place for place in instructions.visits if place[0].co_name == "_close"]
    assert len(places) > 5
    for number, place in enumerate(places):
        logger = fastmlp.TensorBoard(tmp_path / str(number))
        with contextlib.suppress(Cut), instructions.traced((place, instructions.visits[place])):
            fit(logger)
        fit(logger)
