"""Callbacks and schedules in real trainings, mostly against a twin trained without them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastmlp
from fastmlp.callbacks import (
    Callback,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    as_callbacks,
)
from fastmlp.schedules import Constant, Cosine, Linear, OneCycle, ReduceOnPlateau, WarmUp
from support.strategies import problem
from support.tolerance import assert_within, unit_roundoff

BATCH, STEPS_PER_EPOCH = 16, 4  # of 60 samples


@pytest.fixture
def noisy():
    """Samples with some wrong labels, so that the validation loss first falls and then rises."""
    x, y = problem("softmax_cross_entropy", 120, 4, 3, "float32")
    wrong = np.random.default_rng(1).random(120) < 0.3
    y = np.where(wrong, (y + 1) % 3, y)
    return {"x": x[:60], "y": y[:60], "validation_data": (x[60:], y[60:])}


def fit(data, callbacks=(), *, epochs, model=None, rate=0.3, **options):
    model = make_model() if model is None else model
    optimizer = fastmlp.SGD(learning_rate=rate)
    options = {**data, "batch_size": BATCH, "optimizer": optimizer, "verbose": 0, **options}
    return model, model.fit(epochs=epochs, callbacks=list(callbacks), **options)


def make_model():
    return fastmlp.MLP([4, 24, 3], seed=0)


def assert_same_parameters(model, twin):
    actual, expected = model.parameters(), twin.parameters()
    assert list(actual) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


class Rates(Callback):
    """Keeps the learning rate of each epoch's record."""

    def on_train_begin(self, training):
        self.seen = []

    def on_epoch_end(self, training, record):
        self.seen.append(record["learning_rate"])


# ---------------------------------------------------------------- hooks and functions


def test_functions_are_called_as_hooks(noisy):
    seen = []

    def note(name):
        return lambda training, *record: seen.append(
            (name, training.epoch, training.step, *(r.get("step", r["epoch"]) for r in record))
        )

    hooks = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_end")
    callback = LambdaCallback(every_steps=3, **{name: note(name) for name in hooks})
    fit(noisy, [callback], epochs=2)
    assert seen == [
        ("on_train_begin", 0, 0),
        ("on_epoch_begin", 0, 0),
        ("on_step_end", 0, 3, 3),
        ("on_epoch_end", 1, 4, 1),
        ("on_epoch_begin", 1, 4),
        ("on_step_end", 1, 6, 6),
        ("on_epoch_end", 2, 8, 2),
        ("on_train_end", 2, 8),
    ]


def test_a_step_hook_ends_the_training(noisy):
    ended = []
    callback = LambdaCallback(
        on_step_end=lambda training, record: record["step"] == 6,
        every_steps=2,
        on_train_end=lambda training: ended.append(training.step),
    )
    _, history = fit(noisy, [callback], epochs=5)
    assert ended == [6]
    assert len(history.loss) < 5


def test_a_plain_function_gets_the_model_and_the_record(noisy):
    calls = []

    def stop_after_two(model, record):
        calls.append((model, record))
        return record["epoch"] == 2

    model, history = fit(noisy, [stop_after_two, Callback()], epochs=5)
    assert [(m, r["epoch"]) for m, r in calls] == [(model, 1), (model, 2)]
    assert [record["val_loss"] for _, record in calls] == history.val_loss


def test_as_callbacks_keeps_callbacks_and_wraps_functions():
    callback = Callback()
    kept, wrapped = as_callbacks((callback, print))
    assert kept is callback
    assert isinstance(wrapped, Callback)


@pytest.mark.parametrize("callbacks", [3, None, "print", print, [3], [Callback], [print, "print"]])
def test_what_is_no_list_of_callbacks_is_refused(callbacks):
    message = "callbacks must be a list or tuple of callables or fastmlp.Callback, got "
    with pytest.raises(TypeError, match=message):
        as_callbacks(callbacks)


# ---------------------------------------------------------------- early stopping


def test_early_stopping_goes_back_to_the_best_weights(noisy):
    stopping = EarlyStopping(patience=3)
    model, history = fit(noisy, [stopping], epochs=60)
    best = int(np.argmin(history.val_loss)) + 1
    assert best > 1
    assert stopping.best_epoch == best
    assert stopping.stopped_epoch == len(history.val_loss) == best + 3 < 60
    assert stopping.best_value == min(history.val_loss)
    assert model.evaluate(*noisy["validation_data"])["loss"] == stopping.best_value
    assert_same_parameters(model, fit(noisy, epochs=best)[0])


def test_early_stopping_can_leave_the_last_weights(noisy):
    stopping = EarlyStopping(patience=3, restore_best=False)
    model, history = fit(noisy, [stopping], epochs=60)
    assert stopping.stopped_epoch == len(history.val_loss) == stopping.best_epoch + 3
    assert_same_parameters(model, fit(noisy, epochs=stopping.stopped_epoch)[0])


def test_the_best_weights_come_back_where_the_epochs_run_out(noisy):
    stopping = EarlyStopping(patience=1000)
    model, history = fit(noisy, [stopping], epochs=30)
    assert len(history.val_loss) == 30
    assert stopping.stopped_epoch is None
    assert 1 < stopping.best_epoch < 30
    assert_same_parameters(model, fit(noisy, epochs=stopping.best_epoch)[0])


def test_the_best_weights_come_back_where_another_callback_ends_the_training(noisy):
    stopping = EarlyStopping(patience=1000)
    model, _ = fit(noisy, [stopping, lambda _, record: record["epoch"] == 30], epochs=60)
    assert stopping.stopped_epoch is None
    assert 1 < stopping.best_epoch < 30
    assert_same_parameters(model, fit(noisy, epochs=stopping.best_epoch)[0])


def test_early_stopping_on_accuracy_takes_larger_values(noisy):
    stopping = EarlyStopping("val_accuracy", patience=4)
    _, history = fit(noisy, [stopping], epochs=60)
    assert stopping.best_epoch == int(np.argmax(history.val_accuracy)) + 1
    assert stopping.best_value == max(history.val_accuracy)
    assert stopping.stopped_epoch == stopping.best_epoch + 4


def test_early_stopping_asks_for_a_minimum_change(noisy):
    stopping = EarlyStopping(patience=2, minimum_change=10.0)
    fit(noisy, [stopping], epochs=9)
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 3)


def test_an_equal_value_is_no_better(noisy):
    stopping = EarlyStopping(patience=2)
    fit(noisy, [stopping], epochs=9, rate=0.0)
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 3)


def test_early_stopping_starts_anew_with_each_training(noisy):
    stopping = EarlyStopping(patience=3)
    fit(noisy, [stopping], epochs=60)
    expected = stopping.best_epoch, stopping.best_value, stopping.stopped_epoch
    fit(noisy, [stopping], epochs=60)
    assert (stopping.best_epoch, stopping.best_value, stopping.stopped_epoch) == expected
    fit(noisy, [stopping], epochs=1)
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, None)


def infinite_validation_loss():
    x, y = problem("mse", 60, 4, 2, "float32")
    return {"x": x, "y": y, "validation_data": (x, np.full_like(y, 1e30))}


def test_infinite_values_are_never_the_best():
    data = infinite_validation_loss()
    stopping = EarlyStopping(patience=2)
    model, history = fit(
        data, [stopping], epochs=9, model=fastmlp.MLP([4, 2], loss="mse", seed=0), rate=0.01
    )
    assert history.val_loss == [math.inf] * 2
    assert (stopping.best_epoch, stopping.best_value, stopping.stopped_epoch) == (None, None, 2)
    twin = fastmlp.MLP([4, 2], loss="mse", seed=0)
    assert_same_parameters(model, fit(data, epochs=2, model=twin, rate=0.01)[0])


@pytest.mark.parametrize(
    "callback",
    [EarlyStopping(), ModelCheckpoint("model.safetensors")],
    ids=lambda c: type(c).__name__,
)
def test_a_missing_value_is_named_with_those_there_are(callback, noisy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = "monitor must be one of epoch, .*loss.*, got 'val_loss'; val_ needs validation_data"
    model = make_model()
    with pytest.raises(ValueError, match=message):
        fit(noisy, [callback], epochs=2, model=model, validation_data=None)
    assert list(tmp_path.iterdir()) == []
    fit(noisy, epochs=1, model=model)


# ---------------------------------------------------------------- checkpoints


def test_a_checkpoint_holds_the_best_model(noisy, tmp_path):
    path = tmp_path / "made" / "best.safetensors"
    checkpoint = ModelCheckpoint(path)
    _, history = fit(noisy, [checkpoint], epochs=30)
    best = int(np.argmin(history.val_loss)) + 1
    assert 1 < best < 30
    assert checkpoint.last_path == str(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["best.safetensors"]
    assert_same_parameters(fastmlp.load(path), fit(noisy, epochs=best)[0])


def test_a_checkpoint_of_every_epoch_is_named_by_its_record(noisy, tmp_path):
    path = tmp_path / "{epoch:02d}-{loss:.4f}.safetensors"
    checkpoint = ModelCheckpoint(path, save_best_only=False)
    _, history = fit(noisy, [checkpoint], epochs=3, validation_data=None)
    names = [f"{i:02d}-{loss:.4f}.safetensors" for i, loss in enumerate(history.loss, 1)]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == names
    assert checkpoint.last_path == str(tmp_path / names[-1])
    for i, name in enumerate(names, 1):
        assert_same_parameters(fastmlp.load(tmp_path / name), fit(noisy, epochs=i)[0])


def test_a_checkpoint_starts_anew_with_each_training(noisy, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.safetensors", "loss")
    fit(noisy, [checkpoint], epochs=3)
    for entry in tmp_path.iterdir():
        entry.unlink()
    fit(noisy, [checkpoint], epochs=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["1.safetensors"]


@pytest.mark.parametrize("path", ["{val_los}", "{}", "{epoch.real.x}", "{loss:d}", "{epoch[0]}"])
def test_a_path_that_the_record_cannot_fill_is_refused(path, noisy, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / path)
    with pytest.raises(ValueError, match="path must be a format of epoch, .*val_loss"):
        fit(noisy, [checkpoint], epochs=1)


# ---------------------------------------------------------------- learning rates


def test_a_scheduler_sets_the_rate_of_each_epoch(noisy):
    calls, rates = [], Rates()

    def halved(epoch, rate):
        calls.append((epoch, rate))
        return rate / 2

    model, _ = fit(noisy, [LearningRateScheduler(halved), rates], epochs=3)
    assert calls == [(0, 0.3), (1, 0.15), (2, 0.075)]
    assert rates.seen == [0.15, 0.075, 0.0375]
    twin, _ = fit(noisy, epochs=3, rate=lambda epoch: 0.15 / 2**epoch)
    assert_same_parameters(model, twin)


@pytest.mark.parametrize("rate", [-1, math.nan, None, "0.1"])
def test_a_scheduler_has_to_return_a_rate(rate, noisy):
    with pytest.raises((TypeError, ValueError), match="learning_rate must be "):
        fit(noisy, [LearningRateScheduler(lambda epoch, present: rate)], epochs=1)


@pytest.mark.parametrize(
    "schedule",
    [Constant(0.2), Cosine(0.3), Linear(0.3, 0.1, per="epoch"), WarmUp(OneCycle(0.3), 6)],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_schedule_reaches_every_step(schedule):
    """Where outputs are the bias b and targets 0, a step of mse takes 2 * rate * b from b."""
    model = fastmlp.MLP([1, 1], loss="mse", dtype="float64", seed=0)
    model.biases = [np.ones(1)]
    biases = [1.0]
    callback = LambdaCallback(
        on_step_end=lambda training, record: biases.append(float(training.model.biases[0][0])),
        every_steps=1,
    )
    zeros = {"x": np.zeros((60, 1)), "y": np.zeros((60, 1))}
    fit(zeros, [callback], epochs=3, model=model, rate=schedule)
    rates = (1 - np.divide(biases[1:], biases[:-1])) / 2
    expected = schedule.rates(0, 3 * STEPS_PER_EPOCH, STEPS_PER_EPOCH, 3)
    assert_within(rates, expected, 4 * unit_roundoff(np.float64))


def test_a_schedule_by_epochs_trains_as_the_function_of_the_epoch_does(noisy):
    model, _ = fit(noisy, epochs=4, rate=Linear(0.5, per="epoch"))
    twin, _ = fit(noisy, epochs=4, rate=lambda epoch: 0.5 * (1 - epoch / 4))
    assert_same_parameters(model, twin)


def test_a_plateau_lowers_the_rate(noisy):
    # No loss of these falls to a tenth, so only the first epoch is an improvement.
    schedule = ReduceOnPlateau(0.4, 0.5, patience=1, minimum_change=0.9)
    rates = Rates()
    for _ in range(2):
        fit(noisy, [rates], epochs=6, rate=schedule)
        assert rates.seen == [0.4, 0.4, 0.4, 0.2, 0.2, 0.1]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LambdaCallback(on_epoch_end=3), "on_epoch_end must be callable, got int"),
        (lambda: LambdaCallback(on_step_end=print), "on_step_end and every_steps must be given"),
        (lambda: LambdaCallback(every_steps=2), "on_step_end and every_steps must be given"),
        (lambda: LambdaCallback(on_step_end=print, every_steps=0), "every_steps must be >= 1"),
        (lambda: EarlyStopping(patience=0), "patience must be >= 1, got 0"),
        (lambda: EarlyStopping(minimum_change=-0.1), "minimum_change must be finite and >= 0"),
        (lambda: EarlyStopping(mode="lower"), "mode must be one of auto, min, max, got 'lower'"),
        (lambda: EarlyStopping(None), "monitor must be a string, got NoneType"),
        (lambda: EarlyStopping(restore_best=1), "restore_best must be a bool, got int"),
        (lambda: ModelCheckpoint(3), "path must be a string or os.PathLike, got int"),
        (lambda: ModelCheckpoint("{epoch"), "path must be a format string, got '{epoch'"),
        (lambda: ModelCheckpoint("a", save_best_only=None), "save_best_only must be a bool"),
        (lambda: ModelCheckpoint("a", mode=1), "mode must be a string"),
        (lambda: LearningRateScheduler(0.1), "function must be callable, got float"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("name", ["state", "restore", "reset", "on_epoch_end"])
def test_attributes_in_place_of_methods_are_named(name):
    class Taken(fastmlp.Callback):
        def __init__(self):
            setattr(self, name, "idle")

    with pytest.raises(TypeError, match=rf"Taken\.{name} must be a method.*another name"):
        fastmlp.MLP([2, 2]).fit(np.zeros((4, 2)), np.zeros(4, int), callbacks=[Taken()], verbose=0)


@pytest.mark.parametrize("value", [0, -3, 2.5, "5", True])
def test_every_steps_of_a_subclass_is_checked(value):
    class Often(fastmlp.Callback):
        every_steps = value

    with pytest.raises((TypeError, ValueError), match=r"Often\.every_steps must be"):
        fastmlp.MLP([2, 2]).fit(np.zeros((4, 2)), np.zeros(4, int), callbacks=[Often()], verbose=0)


def test_the_state_after_a_callback_that_is_not_there_is_refused():
    class Asks(fastmlp.Callback):
        def on_epoch_end(self, training, record):
            for other in (None, "x", fastmlp.Callback()):
                with pytest.raises(ValueError, match="callback must be one of this fit"):
                    training.state_after(other)
            assert training.state_after(self)["epochs"] == 1

    fastmlp.MLP([2, 2]).fit(np.ones((4, 2)), [0, 1, 0, 1], epochs=1, callbacks=[Asks()], verbose=0)
