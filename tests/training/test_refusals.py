"""What the features of training refuse, and how: argument, requirement, what came."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 24)
VALUES = RNG.random((24, 3)).astype(np.float32)


def fitted(optimizer=None, **options):
    model = fastmlp.MLP([5, 4, 3])
    model.fit(X, LABELS, epochs=1, optimizer=optimizer, verbose=0, **options)
    return model


@pytest.mark.parametrize("losses", [0, 1])
def test_output_activation_with_several_losses(losses):
    parts = [fastmlp.BinaryCrossEntropy(outputs=1), fastmlp.MSE(outputs=2)]
    with pytest.raises(ValueError, match=r"output_activation must be 'identity'.*'sigmoid'"):
        fastmlp.MLP([5, 3], loss=parts[losses:] + parts[:losses], output_activation="sigmoid")


@pytest.mark.parametrize("label", [True, 1.0, 3, -1, "one"])
def test_class_weights_of_classes_that_do_not_exist(label):
    with pytest.raises(ValueError, match="class_weight must name classes 0 to 2"):
        fitted(class_weight={label: 2.0})


def test_class_weights_of_values():
    model = fastmlp.MLP([5, 3], loss="mse")
    with pytest.raises(ValueError, match="class_weight needs targets that are classes"):
        model.fit(X, VALUES, epochs=1, class_weight="balanced", verbose=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(23), r"sample_weight must have shape \(24,\)"),
        (-np.ones(24), "sample_weight must be >= 0"),
        (np.zeros(24), "not all 0"),
        (np.full(24, np.nan), "sample_weight must be finite"),
    ],
)
def test_sample_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        fitted(sample_weight=weights)


def test_resuming_with_another_rule_keeps_what_was_there():
    model = fitted(fastmlp.Adam())
    before = model.training_state()
    with pytest.raises(ValueError, match="resume needs the optimizer that was used before, adam"):
        model.fit(X, LABELS, epochs=1, optimizer=fastmlp.Adamax(), resume=True, verbose=0)
    after = model.training_state()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_state_that_is_none():
    with pytest.raises(ValueError, match="state must be what training_state"):
        fitted().restore_training_state({"moments": np.zeros(4)})


@pytest.mark.parametrize("options", [{"resume": True}, {"averaging": fastmlp.EMA(0.9)}])
def test_what_lbfgs_does_not_take(options):
    with pytest.raises(ValueError, match="LBFGS takes neither callbacks"):
        fitted(fastmlp.LBFGS(), **options)


def test_a_search_for_a_rate_that_diverges_at_once():
    model = fastmlp.MLP([5, 3], loss="mse", initializer=fastmlp.Constant(1e30))
    with pytest.raises(fastmlp.DivergedError, match="not finite at the rate 1e-06"):
        model.lr_find(X, VALUES)


def test_a_callback_that_ends_an_epoch_before_it_begins_leaves_the_averages():
    class Stop(fastmlp.Callback):
        def on_epoch_begin(self, training):
            return training.epoch == 2

    expected = fitted(averaging=fastmlp.EMA(0.9))
    expected.fit(X, LABELS, epochs=2, averaging=fastmlp.EMA(0.9), verbose=0)
    model = fitted(averaging=fastmlp.EMA(0.9))
    model.fit(X, LABELS, epochs=5, averaging=fastmlp.EMA(0.9), callbacks=[Stop()], verbose=0)
    for actual, wanted in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("averaging", [fastmlp.EMA(0.9), fastmlp.SWA()])
def test_an_epoch_that_was_broken_off_is_no_part_of_the_averages_of_epochs(averaging):
    class Stop(fastmlp.Callback):
        every_steps = 1

        def on_step_end(self, training, record):
            return training.step == 8  # of 6 in each epoch

    model = fastmlp.MLP([5, 4, 3])
    settings = {"batch_size": 4, "averaging": averaging, "verbose": 0}
    history = model.fit(X, LABELS, epochs=3, callbacks=[Stop()], **settings)
    assert len(history.loss) == 1
    expected = fastmlp.MLP([5, 4, 3])
    expected.fit(X, LABELS, epochs=1, **settings)
    same = [np.array_equal(a, b) for a, b in zip(model.weights, expected.weights, strict=True)]
    assert all(same) == isinstance(averaging, fastmlp.SWA)  # the other one moves with steps


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_weights_and_levels_of_outputs_in_any_sequence(kind):
    loss = fastmlp.Quantile(levels=kind([0.1, 0.5, 0.9]), output_weights=kind([1.0, 2.0, 3.0]))
    same = fastmlp.Quantile(levels=(0.1, 0.5, 0.9), output_weights=(1.0, 2.0, 3.0))
    assert loss == same
    with pytest.raises(ValueError, match="output_weights must have one entry per output: 2"):
        fastmlp.MLP([5, 2], loss=loss)


@pytest.mark.parametrize("rates", [(0.1, 0.2), 1.0, -0.1, (1.5,)])
def test_rates_of_dropout(rates):
    with pytest.raises(ValueError, match="dropout"):
        fastmlp.MLP([5, 4, 3], dropout=rates)


FOUR_ROWS, FOUR_LABELS = np.zeros((4, 3)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: m.fit(FOUR_ROWS, FOUR_LABELS[:, None]),
            r"y must have 1 dimension .*got shape \(4, 1\); np.ravel\(y\)",
        ),
        (lambda m: m.fit(FOUR_ROWS, None), "y must be an array of real numbers, got None"),
        (lambda m: m.fit(None, FOUR_LABELS), "x must be an array of real numbers, got None"),
        (
            lambda m: m.fit(FOUR_ROWS, ["a", "b", "a", "b"]),
            "y must be .*'a'; .* numbers them from 0",
        ),
        (lambda m: m.fit(FOUR_ROWS, [0, np.nan, 1, 0]), "y must hold integer labels, got nan"),
        (lambda m: m.save(None), "path must be a string or os.PathLike, got NoneType"),
        (lambda m: fastmlp.load(3), "path must be a string or os.PathLike, got int"),
        (lambda m: m.restore_training_state(None), "state must be a mapping, got NoneType"),
        (lambda m: m.restore_training_state({}), "training_state.* returns, got nothing"),
        (lambda m: m.set_parameters({}), "parameters must be .*, got none"),
        (lambda m: fastmlp.MLP([3, 2], input_scale=0), "input_scale must not be 0"),
        (lambda m: fastmlp.MLP([3, 2], input_scale=np.nan), "input_scale must be finite, got nan"),
    ],
)
def test_what_came_is_said_with_the_name_of_the_argument(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(fastmlp.MLP([3, 2]))
