"""What a training may go on from, and what is refused: files, other networks, other plans."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle

import numpy as np
import pytest

import fastmlp
from fastmlp.callbacks import Callback, EarlyStopping, ModelCheckpoint
from fastmlp.schedules import Cosine, Linear, OneCycle, ReduceOnPlateau, Schedule, StepDecay, WarmUp
from fastmlp.stored_model import state_in_file, state_of_file
from fastmlp.training.states import packed, unpacked

X = np.random.default_rng(0).standard_normal((60, 4))
Y = np.arange(60) % 3


def fit(model, epochs=2, rate=0.01, **options):
    options = {"batch_size": 16, "optimizer": fastmlp.Adam(rate), "verbose": 0, **options}
    return model.fit(X, Y, epochs=epochs, **options)


def trained(**options):
    model = fastmlp.MLP([4, 6, 3])
    fit(model, **options)
    return model


def assert_same_parameters(model, twin):
    for name, array in twin.parameters().items():
        np.testing.assert_array_equal(model.parameters()[name], array, name)


def assert_refused(model, match, **options):
    before = model.parameters()
    with pytest.raises(ValueError, match=match):
        fit(model, resume=True, **options)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])


# ---------------------------------------------------------------- files


def test_a_model_from_a_file_without_state_is_not_resumed(tmp_path):
    trained().save(tmp_path / "model.safetensors")
    model = fastmlp.load(tmp_path / "model.safetensors")
    assert_refused(
        model, r"without the state of the training, which save\(..., training_state=True"
    )
    assert_refused(pickle.loads(pickle.dumps(model)), "without the state of the training")
    model.save(tmp_path / "again.safetensors")
    assert_refused(fastmlp.load(tmp_path / "again.safetensors"), "without the state")
    with pytest.raises(ValueError, match="training_state: there is none to keep: its file was"):
        model.save(tmp_path / "again.safetensors", training_state=True)
    fit(model)
    fit(model, resume=True)


def test_a_new_model_from_a_file_may_begin_with_resume(tmp_path):
    fastmlp.MLP([4, 6, 3]).save(tmp_path / "model.safetensors")
    model = fastmlp.load(tmp_path / "model.safetensors")
    fit(model, resume=True)
    assert_same_parameters(model, trained())


def test_files_of_a_checkpoint_callback_go_on_where_they_were_written(tmp_path):
    whole = trained(epochs=4)
    path = tmp_path / "{epoch}.safetensors"
    options = {"monitor": "loss", "save_best_only": False}
    trained(total_epochs=4, callbacks=[ModelCheckpoint(path, **options)])
    assert_refused(fastmlp.load(tmp_path / "1.safetensors"), "without the state of the training")
    trained(total_epochs=4, callbacks=[ModelCheckpoint(path, **options, training_state=True)])
    model = fastmlp.load(tmp_path / "1.safetensors")
    fit(model, 3, resume=True)
    assert_same_parameters(model, whole)
    assert model.history.loss == whole.history.loss


STATES = {
    "specials": {"values": [None, True, 7, -0.0, float("inf"), float("nan"), "\u00e4", 1e-320]},
    "arrays": {
        "floats": np.array([1.5, -0.0]), "infinite": np.array([np.inf, np.nan], np.float32),
        "integers": np.array([[2**62, -1]]), "flags": np.array([True, False]),
        "half": np.float16([0.1]), "empty": np.zeros((0, 3)), "big": np.array([1, 2], ">i4"),
    },
    "hostile keys": {"$array": 1, "$items": {"$float": "x"}, "": {}},
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_states_come_back_to_the_last_bit(name, tmp_path):
    class StateTaker(Callback):
        def state(self):
            return STATES[name]

        def restore(self, state):
            self.restored = state

    model = trained(callbacks=[StateTaker()])
    model.save(tmp_path / "model.safetensors", training_state=True)
    taker = StateTaker()
    fit(fastmlp.load(tmp_path / "model.safetensors"), resume=True, callbacks=[taker])
    assert_same_state(taker.restored, STATES[name])


def assert_same_state(actual, expected):
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for key in expected:
            assert_same_state(actual[key], expected[key])
    elif isinstance(expected, np.ndarray):
        assert actual.shape == expected.shape
        assert actual.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        native = expected.astype(expected.dtype.newbyteorder("="))
        assert actual.astype(native.dtype).tobytes() == native.tobytes()
    else:
        assert repr(actual) == repr(expected)


@pytest.mark.parametrize("state", [3, {"f": print}, {"a": np.array([None])}, {1: 2}, {"s": {1}}])
def test_a_state_that_cannot_travel_is_named(state):
    class Odd(Callback):
        def state(self):
            return state

    with pytest.raises(TypeError, match=r"state\(\) of Odd must"):
        trained(callbacks=[Odd()])


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"dtype": "O", "shape": []}}', 3])
def test_a_damaged_state_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        state_of_file({"a": np.zeros(3, np.float32)}, text)


def test_packed_states_need_their_arrays():
    text, arrays = packed({"a": np.zeros(2)}, "watched.")
    assert list(arrays) == ["watched.0"]
    with pytest.raises(ValueError, match="is not the state of a training"):
        unpacked(text, {})
    tensors, described = state_in_file(arrays)
    np.testing.assert_array_equal(
        state_of_file({"watched.0": tensors["state.watched.0"]}, described)["watched.0"], 0
    )


# ---------------------------------------------------------------- what has nothing to go on from


@pytest.mark.filterwarnings("ignore::fastmlp.ConvergenceWarning")  # a few iterations do
def test_what_has_no_state_is_refused_with_the_reason():
    assert_refused(trained().replace_head(5 - 2), r"replace_head\(\) made this")
    assert_refused(trained().folded(), r"fold_batch_norm\(\) made this")
    fit(fastmlp.MLP([4, 6, 3]).replace_head(3), resume=True)
    model = trained()
    model.fit(X, Y, epochs=2, optimizer=fastmlp.LBFGS(), verbose=0)
    assert_refused(model, "by LBFGS, which leaves no state")
    assert_refused(copy.deepcopy(model), "by LBFGS, which leaves no state")


@pytest.mark.parametrize("way", [lambda model: model, copy.deepcopy])
def test_a_diverged_training_is_not_resumed(way):
    model = trained()
    with pytest.raises(fastmlp.DivergedError):
        fit(model, 5, rate=1e38)
    model = way(model)
    assert_refused(model, "the last training diverged, and its optimizer")
    fit(model)
    fit(model, resume=True)


def test_a_diverging_epoch_goes_back_to_its_start_where_it_was_cut_before():
    """The weights of the last epoch, not those of the cut."""

    class Stop(Callback):
        every_steps = 2

        def on_step_end(self, training, record):
            return training.step == 6

    model = fastmlp.MLP([4, 6, 3])
    fit(model, total_epochs=3, callbacks=[Stop()])
    for other in (pickle.loads(pickle.dumps(model)), model):
        with pytest.raises(fastmlp.DivergedError):
            fit(other, 1, rate=1e38, resume=True)
        assert_same_parameters(other, trained(epochs=1))


def test_a_state_of_the_old_form_is_gone_on_with():
    whole, model = trained(epochs=4), trained(epochs=2)
    names = [name for name in model.training_state() if name.startswith("slots")]
    state = {n: model.training_state()[n] for n in (*names, "moments", "rule", "shows_averages")}
    other = fastmlp.MLP([4, 6, 3])
    other.set_parameters(model.parameters())
    other.restore_training_state({**state, "epochs": np.array(2)})
    fit(other, 2, resume=True)
    assert_same_parameters(other, whole)


# ---------------------------------------------------------------- plans

PLANNED = {
    "cosine": lambda: Cosine(0.05),
    "linear": lambda: Linear(0.05, per="epoch"),
    "one cycle": lambda: OneCycle(0.05),
    "warm up": lambda: WarmUp(Cosine(0.05), 3),
}


class Own(Schedule):
    """One that a user wrote."""

    def rates(self, first, count, steps_per_epoch, epochs):
        return 0.05 * (1 - np.arange(first, first + count) / (steps_per_epoch * epochs))


@pytest.mark.parametrize("make", [*PLANNED.values(), Own], ids=[*PLANNED, "own"])
def test_a_schedule_keeps_the_length_that_it_was_planned_for(make):
    whole = trained(epochs=4, rate=make())
    model = trained(epochs=2, rate=make(), total_epochs=4)
    fit(model, 2, make(), resume=True)
    assert_same_parameters(model, whole)
    message = "planned for 4 epochs of 4 steps, and this fit plans 5 epochs of 4 steps.*total_epo"
    assert_refused(model, message, epochs=1, rate=make())
    fit(model, 1, make(), resume=True, total_epochs=5)


@pytest.mark.parametrize("rate", [0.05, StepDecay(0.05, every=1), Cosine(0.05, length=30)])
def test_what_does_not_depend_on_the_plan_goes_on_beyond_it(rate):
    model = trained(epochs=2, rate=rate)
    fit(model, 2, rate, resume=True)
    assert_same_parameters(model, trained(epochs=4, rate=rate))


def test_epochs_of_other_steps_do_not_move_a_schedule_in_silence():
    """By steps it would jump; by epochs, or by parts of the training, it goes on."""
    by_steps = Cosine(0.05, length=30)
    model = trained(epochs=2, rate=by_steps, total_epochs=4)
    assert_refused(model, "planned for 4 epochs of 4 steps.*8 steps", rate=by_steps, batch_size=8)
    for rate in (StepDecay(0.05, every=1), Cosine(0.05)):
        model = trained(epochs=2, rate=rate, total_epochs=4)
        fit(model, 2, rate, resume=True, batch_size=8)


def test_total_epochs_is_checked():
    with pytest.raises(ValueError, match="total_epochs must be >= 3, got 2"):
        fit(fastmlp.MLP([4, 3]), 3, total_epochs=2)
    assert_refused(trained(), "total_epochs must be >= 4, of which 2 are done", total_epochs=3)


def test_without_epochs_those_that_are_left_are_trained():
    options = {"batch_size": 8, "optimizer": fastmlp.SGD(Cosine(0.05)), "verbose": 0}
    whole, parts = fastmlp.MLP([4, 3], seed=1), fastmlp.MLP([4, 3], seed=1)
    whole.fit(X, Y, epochs=5, **options)
    parts.fit(X, Y, epochs=2, total_epochs=5, **options)
    parts.fit(X, Y, total_epochs=5, resume=True, **options)
    assert parts.history.loss == whole.history.loss
    with pytest.raises(ValueError, match="total_epochs must be more than the 5 epochs that"):
        parts.fit(X, Y, total_epochs=5, resume=True, **options)


def test_an_epoch_that_was_cut_needs_its_batches():
    class Stop(Callback):
        every_steps = 1

        def on_step_end(self, training, record):
            return training.step == 6

    model = trained(epochs=3, callbacks=[Stop()])
    assert_refused(
        model, "cut in epoch 2 after step 2 of 4; .* got batch_size 8 in place of 16", batch_size=8
    )


# ---------------------------------------------------------------- what watches


def test_a_rate_that_fell_stays_low_after_a_pickle():
    schedule = ReduceOnPlateau(0.5, 0.1, patience=0, minimum_change=0.9, monitor="loss")
    model = trained(epochs=3, rate=schedule)
    model = pickle.loads(pickle.dumps(model))
    seen = []
    fresh = ReduceOnPlateau(0.5, 0.1, patience=0, minimum_change=0.9, monitor="loss")
    fit(
        model, 1, fresh, resume=True,
        callbacks=[lambda model, record: seen.append(record["learning_rate"])],
    )  # fmt: skip
    assert seen[0] == pytest.approx(0.005)


def test_one_schedule_serves_two_trainings():
    """Its state is that of the training, not of the object."""

    def make():
        return ReduceOnPlateau(0.5, 0.5, patience=0, minimum_change=0.9, monitor="loss")

    shared, first, second = make(), fastmlp.MLP([4, 6, 3]), fastmlp.MLP([4, 6, 3], seed=1)
    for resume in (False, True):
        for model in (first, second):
            fit(model, 2, shared, resume=resume, total_epochs=None if resume else 4)
    assert_same_parameters(first, trained(epochs=4, rate=make()))


def test_patience_is_that_of_the_whole_training():
    options = {"validation_data": (X, Y[::-1]), "rate": 0.1}
    whole = EarlyStopping(patience=8)
    one = trained(epochs=60, callbacks=[whole], **options)
    assert whole.stopped_epoch < 60
    model = fastmlp.MLP([4, 6, 3])
    for number in range(60):
        stopping = EarlyStopping(patience=8)
        fit(
            model, 1, callbacks=[stopping], resume=number > 0,
            total_epochs=None if number else 60, **options,
        )  # fmt: skip
        model = pickle.loads(pickle.dumps(model))
        if stopping.stopped_epoch is not None:
            break
    assert vars(stopping)["stopped_epoch"] == whole.stopped_epoch
    assert (stopping.best_epoch, stopping.best_value) == (whole.best_epoch, whole.best_value)
    assert_same_parameters(model, one)


def test_a_state_that_nobody_claims_is_kept():
    first = EarlyStopping("loss", patience=50)
    model = trained(epochs=2, callbacks=[first])
    fit(model, 1, resume=True)
    second = EarlyStopping("loss", patience=50)
    fit(model, 1, resume=True, callbacks=[second])
    assert second.best_epoch is not None
    assert EarlyStopping("loss").state().keys() == second.state().keys()


def test_parameters_that_are_assigned_count():
    """Those of the best epoch are shown at the end; a user's own are where it goes on."""
    model = trained(epochs=4, callbacks=[EarlyStopping("loss", patience=50)])
    twin = copy.deepcopy(model)
    model.weights = [np.zeros_like(w) for w in model.weights]
    fit(model, 1, rate=0.0, resume=True)
    fit(twin, 1, rate=0.0, resume=True)
    assert not model.weights[0].any()
    assert twin.weights[0].any()


def test_what_was_broken_off_after_the_last_epoch_is_finished(tmp_path):
    """No epoch is left, but callbacks were not told of the last one."""

    class Cut(fastmlp.Callback):
        cuts = True

        def on_epoch_end(self, training, record):
            if record["epoch"] == 3 and self.cuts:
                self.cuts = False
                raise KeyboardInterrupt

    def trained(cut, name):
        model = fastmlp.MLP([X.shape[1], 4, 3], seed=1)
        stopping = fastmlp.EarlyStopping("loss", patience=9, mode="max")
        callbacks = [cut, fastmlp.CSVLogger(tmp_path / name), stopping]
        fit = functools.partial(model.fit, X, Y, callbacks=callbacks, verbose=0)
        with contextlib.suppress(KeyboardInterrupt):
            fit(epochs=3)
        if cut.cuts is False:
            fit(epochs=0, resume=True)
        rows = [line.split(",")[:3] for line in (tmp_path / name).read_text().splitlines()]
        return model.parameters(), rows

    whole = Cut()
    whole.cuts = None
    expected, rows = trained(whole, "whole.csv")
    parameters, cut_rows = trained(Cut(), "cut.csv")
    assert cut_rows == rows
    assert all(np.array_equal(parameters[name], expected[name]) for name in expected)


@pytest.mark.parametrize("change", [{"shuffle": False}, {"drop_last": True}, {"batch_size": 5}])
def test_an_epoch_goes_on_with_its_settings_alone(change):
    model = fastmlp.MLP([X.shape[1], 4, 3], seed=1)
    stop = fastmlp.LambdaCallback(on_step_end=lambda *_: True, every_steps=1)
    options = {"epochs": 1, "batch_size": 4, "verbose": 0}
    model.fit(X, Y, callbacks=[stop], **options)
    with pytest.raises(ValueError, match=f"got {next(iter(change))} .* in place of"):
        model.fit(X, Y, resume=True, **{**options, **change})
    model.fit(X, Y, resume=True, **options)


def test_frozen_layers_stay_frozen_in_files(tmp_path):
    def new():
        model = fastmlp.MLP([X.shape[1], 4, 3], seed=1)
        model.freeze(0)
        return model

    whole, cut = new(), new()
    whole.fit(X, Y, epochs=4, verbose=0)
    cut.fit(X, Y, epochs=2, total_epochs=4, verbose=0)
    cut.save(tmp_path / "m.safetensors", training_state=True)
    loaded = fastmlp.load(tmp_path / "m.safetensors")
    assert loaded.trainable == [False, True]
    loaded.fit(X, Y, epochs=2, resume=True, verbose=0)
    expected = whole.parameters()
    assert all(np.array_equal(loaded.parameters()[name], expected[name]) for name in expected)


@pytest.mark.parametrize("rate", [WarmUp(Cosine(0.1), 500), lambda epoch: "fast"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_rate_that_cannot_be_had_gives_nothing_up(rate, resume):
    def new():
        model = fastmlp.MLP([X.shape[1], 4, 3], seed=1)
        model.fit(X, Y, epochs=2, total_epochs=4, verbose=0)
        return model

    model = new()
    with pytest.raises((TypeError, ValueError)):
        model.fit(X, Y, epochs=2, resume=resume, optimizer=fastmlp.SGD(rate, 0.9), verbose=0)
    assert len(model.history.loss) == 2
    model.fit(X, Y, epochs=2, resume=True, verbose=0)
    whole = fastmlp.MLP([X.shape[1], 4, 3], seed=1)
    whole.fit(X, Y, epochs=4, verbose=0)
    expected = whole.parameters()
    assert all(np.array_equal(model.parameters()[name], expected[name]) for name in expected)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "watcher", [EarlyStopping(), ModelCheckpoint("x"), WarmUp(ReduceOnPlateau(0.1), 1)]
)
def test_what_is_not_measured_is_refused_before_anything_changes(watcher, resume):
    model = fastmlp.MLP([X.shape[1], 4, 3], seed=1)
    momentum = fastmlp.SGD(0.1, 0.9)
    model.fit(X, Y, epochs=2, total_epochs=4, optimizer=momentum, verbose=0)
    before = model.training_state(), model.parameters(), model.history
    options = {"callbacks": [watcher], "optimizer": momentum}
    if isinstance(watcher, Schedule):
        options = {"optimizer": fastmlp.SGD(watcher, 0.9)}
    with pytest.raises(ValueError, match="got 'val_loss'; val_ needs validation_data"):
        model.fit(X, Y, epochs=2, resume=resume, verbose=0, **options)
    after = model.training_state(), model.parameters(), model.history
    for old, new in zip(before[:2], after[:2], strict=True):
        assert all(np.array_equal(new[name], old[name]) for name in old if name != "progress")
    assert after[2] == before[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_that_is_not_finite_is_kept_as_it_was(tmp_path, dtype):
    """A sample far from the others makes the loss of the validation part infinite, no other."""
    model = fastmlp.MLP([2, 4, 1], loss="mse", dtype=dtype)
    x, y = np.zeros((8, 2), dtype), np.zeros(8)
    far = np.full((1, 2), np.finfo(dtype).max / 4, dtype)
    model.fit(x, y, epochs=3, validation_data=(far, np.zeros(1)))
    assert np.isinf(model.history.val_loss).all()
    assert np.isfinite(model.history.loss).all()
    for state in (False, True):
        model.save(tmp_path / "model.safetensors", training_state=state)
        kept = fastmlp.load(tmp_path / "model.safetensors").history
        assert kept.val_loss == model.history.val_loss
        assert kept.loss == model.history.loss
