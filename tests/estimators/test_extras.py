"""Ways to train MLPClassifier and MLPRegressor that scikit-learn's do not have."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import NotFittedError

import fastmlp
from fastmlp.callbacks import Callback, EarlyStopping, LearningRateScheduler
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.schedules import Cosine, ReduceOnPlateau
from support.estimator_data import (
    assert_same_parameters,
    iris,
    one_output,
    quietly,
    several_labels,
    three_outputs,
    two_classes,
)

CLASSES = (iris, two_classes, several_labels)


# ---------------------------------------------------------------- going on

CONTINUED = {
    "adam": {},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.05,
        "n_iter_no_change": 1,
        "tol": 0.05,
    },
    "inverse scaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.01},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1},
    "batch normalization": {"batch_normalization": True},
    "schedule": {"optimizer": fastmlp.SGD(ReduceOnPlateau(0.1, patience=1, monitor="loss"), 0.9)},
}


@pytest.mark.parametrize("setting", CONTINUED)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_resumed_fit_is_one_without_interruption(setting, pickled):
    x, y = iris()
    parameters = {"random_state": 0, "batch_size": 32, **CONTINUED[setting]}
    whole = quietly(MLPClassifier(max_iter=30, **parameters).fit, x, y)
    parts = quietly(MLPClassifier(max_iter=7, **parameters).fit, x, y)
    for epochs in (8, 19, 30):
        if pickled:
            parts = pickle.loads(pickle.dumps(parts))
        quietly(parts.set_params(max_iter=epochs).fit, x, y, resume=True)
    assert parts.n_iter_ == whole.n_iter_
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.validation_scores_ == whole.validation_scores_
    assert_same_parameters(parts, whole)
    np.testing.assert_array_equal(parts.predict_proba(x), whole.predict_proba(x))


def test_resuming_a_converged_fit_changes_nothing():
    x, y = iris()
    classifier = MLPClassifier(random_state=0, tol=0.1).fit(x, y)
    assert classifier.n_iter_ < 200
    again = copy.deepcopy(classifier).fit(x, y, resume=True)
    assert again.loss_curve_ == classifier.loss_curve_
    assert_same_parameters(again, classifier)


def test_resuming_requires_a_fit_on_these_samples():
    x, y = iris()
    with pytest.raises(NotFittedError, match="resume=True continues an earlier fit"):
        MLPClassifier().fit(x, y, resume=True)
    with pytest.raises(ValueError, match="resume=True requires solver 'sgd' or 'adam'"):
        quietly(MLPClassifier(solver="lbfgs", max_iter=2).fit, x, y).fit(x, y, resume=True)
    classifier = quietly(MLPClassifier(max_iter=2).fit, x, y)
    with pytest.raises(ValueError, match="150 to train on, got 149"):
        classifier.fit(x[1:], y[1:], resume=True)


def test_a_warm_start_requires_the_same_layers():
    x, y = iris()
    classifier = quietly(MLPClassifier(warm_start=True, max_iter=2).fit, x, y)
    with pytest.raises(ValueError, match=r"sizes \(4, 100, 3\), .* got \(4, 7, 3\)"):
        classifier.set_params(hidden_layer_sizes=7).fit(x, y)


def test_epochs_may_follow_lbfgs():
    x, y = iris()
    classifier = MLPClassifier(solver="lbfgs", random_state=0, max_iter=5, warm_start=True)
    quietly(classifier.fit, x, y)
    loss = classifier.loss_
    quietly(classifier.set_params(solver="adam").fit, x, y)
    assert classifier.loss_curve_[0] == pytest.approx(loss, rel=1e-9)
    assert classifier.loss_curve_[-1] < loss


# ---------------------------------------------------------------- validation data


@pytest.mark.parametrize("data", CLASSES)
def test_the_users_validation_data_take_the_place_of_the_split(data):
    x, y = data()
    parameters = {"random_state": 0, "max_iter": 12, "early_stopping": True}
    classifier = quietly(MLPClassifier(**parameters).fit, x[::2], y[::2], X_val=x, y_val=y)
    assert max(classifier.validation_scores_) == classifier.best_validation_score_
    assert classifier.score(x, y) == classifier.best_validation_score_
    assert classifier.t_ == classifier.n_iter_ * len(x[::2])


def test_the_validation_loss_is_the_loss_on_these_samples():
    x, y = three_outputs()
    held_x, held_y = x[:40], y[:40]
    regressor = MLPRegressor(random_state=0, max_iter=3)
    quietly(regressor.fit, x[40:], y[40:], X_val=held_x, y_val=held_y)
    assert len(regressor.validation_loss_curve_) == 3
    expected = 0.5 * np.mean((regressor.predict(held_x) - held_y) ** 2)
    assert regressor.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)
    untouched = quietly(MLPRegressor(random_state=0, max_iter=3).fit, x[40:], y[40:])
    assert_same_parameters(regressor, untouched)
    assert untouched.validation_loss_curve_ is None


def test_validation_data_come_in_pairs():
    x, y = iris()
    with pytest.raises(ValueError, match="X_val and y_val must be given together"):
        MLPClassifier().fit(x, y, X_val=x)
    with pytest.raises(ValueError, match="'y' has"):
        MLPClassifier().fit(x, y, X_val=x, y_val=y + 1)


# ---------------------------------------------------------------- classes and weights


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", [iris, two_classes])
def test_class_weights_are_weights_of_the_samples(data, weighted):
    x, y = data()
    x, y = x[:-30], y[:-30]
    weights = np.linspace(0.5, 2, len(x)) if weighted else None
    labels, counts = np.unique(y, return_counts=True)
    factors = len(y) / (len(labels) * counts)
    by_hand = factors[np.searchsorted(labels, y)] * (1 if weights is None else weights)
    expected = quietly(MLPClassifier(random_state=0, max_iter=5).fit, x, y, by_hand)
    table = dict(zip(labels.tolist(), factors.tolist(), strict=True))
    for class_weight in ("balanced", table):
        classifier = MLPClassifier(random_state=0, max_iter=5, class_weight=class_weight)
        assert_same_parameters(quietly(classifier.fit, x, y, weights), expected)


def test_balanced_weights_need_all_samples():
    x, y = iris()
    with pytest.raises(ValueError, match="class_weight='balanced' needs all samples"):
        MLPClassifier(class_weight="balanced").partial_fit(x, y, classes=[0, 1, 2])


def test_a_batch_without_weight_changes_nothing_but_the_penalty():
    x, y = one_output()
    weights = np.ones(len(x))
    weights[200:400] = 0
    regressor = MLPRegressor(random_state=0, max_iter=1, shuffle=False, solver="sgd", alpha=0)
    quietly(regressor.fit, x, y, weights)
    assert np.isfinite(regressor.loss_)


# ---------------------------------------------------------------- optimizers and callbacks


def test_an_optimizer_of_this_library_does_what_the_solver_does():
    x, y = iris()
    settings = {"random_state": 0, "max_iter": 5, "batch_size": 40, "alpha": 0.3}
    solver = {"solver": "sgd", "learning_rate_init": 0.02}
    expected = quietly(MLPClassifier(**solver, **settings).fit, x, y)
    optimizer = fastmlp.SGD(0.02, momentum=0.9, nesterov=True)
    classifier = quietly(MLPClassifier(optimizer=optimizer, **settings).fit, x, y)
    assert_same_parameters(classifier, expected)
    partial = MLPClassifier(optimizer=optimizer, solver="lbfgs", **settings | {"shuffle": False})
    for _ in range(5):
        partial.partial_fit(x, y, classes=[0, 1, 2])
    unshuffled = MLPClassifier(**solver, **settings | {"shuffle": False})
    assert_same_parameters(partial, quietly(unshuffled.fit, x, y))


def test_the_penalty_of_an_optimizer_takes_the_place_of_alpha():
    x, y = iris()
    settings = {"random_state": 0, "max_iter": 5}
    own = fastmlp.SGD(0.1, l2=0.01)
    first = quietly(MLPClassifier(optimizer=own, alpha=0, **settings).fit, x, y)
    second = quietly(MLPClassifier(optimizer=own, alpha=9, **settings).fit, x, y)
    assert_same_parameters(first, second)
    # One batch of 150: alpha / 150 = 0.01.
    third = MLPClassifier(optimizer=fastmlp.SGD(0.1), alpha=1.5, **settings)
    np.testing.assert_allclose(
        quietly(third.fit, x, y).coefs_[0], first.coefs_[0], rtol=1e-12, atol=1e-15
    )


def test_schedules_run_over_the_epochs():
    x, y = iris()
    rates = []
    classifier = MLPClassifier(
        optimizer=fastmlp.SGD(Cosine(0.1, per="epoch")),
        max_iter=4,
        random_state=0,
        callbacks=[lambda model, record: rates.append(record["learning_rate"])],
    )
    quietly(classifier.fit, x, y)
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(np.pi * np.arange(4) / 4)), rtol=1e-12)


class Recorder(Callback):
    """Writes down what it is called with."""

    every_steps = 2

    def __init__(self):
        self.calls = []
        self.epochs = []
        self.steps = []

    def on_train_begin(self, training):
        self.calls.append(("begin", training.epoch, training.step))

    def on_train_end(self, training):
        self.calls.append(("end", training.epoch, training.step))

    def on_epoch_end(self, training, record):
        self.epochs.append(record)

    def on_step_end(self, training, record):
        self.steps.append(record)


@pytest.mark.parametrize("weighted", [False, True])
def test_callbacks_see_epochs_and_steps(weighted):
    x, y = iris()
    recorder = Recorder()
    settings = {"random_state": 0, "max_iter": 3, "batch_size": 40}
    weights = np.linspace(1, 2, len(x)) if weighted else None
    classifier = MLPClassifier(callbacks=[recorder], **settings)
    quietly(classifier.fit, x, y, weights, X_val=x, y_val=y)
    assert_same_parameters(classifier, quietly(MLPClassifier(**settings).fit, x, y, weights))
    assert recorder.calls == [("begin", 0, 0), ("end", 3, 12)]
    assert [r["epoch"] for r in recorder.epochs] == [1, 2, 3]
    assert [r["loss"] for r in recorder.epochs] == classifier.loss_curve_
    assert [r["val_loss"] for r in recorder.epochs] == classifier.validation_loss_curve_
    assert recorder.epochs[-1]["val_accuracy"] == classifier.score(x, y)
    assert [(r["step"], r["epoch"]) for r in recorder.steps] == [
        (2, 1), (4, 1), (6, 2), (8, 2), (10, 3), (12, 3),
    ]  # fmt: skip
    # Batches of 40, 40, 40 and 30 samples.
    first, second = recorder.steps[0]["loss"], recorder.steps[1]["loss"]
    assert (80 * first + 70 * second) / 150 == pytest.approx(classifier.loss_curve_[0], rel=1e-12)


def test_callbacks_of_this_library_stop_and_steer():
    x, y = iris()
    stopping = EarlyStopping("val_loss", patience=2)
    classifier = MLPClassifier(
        random_state=0, max_iter=100, learning_rate_init=0.3, callbacks=[stopping]
    ).fit(x[::2], y[::2], X_val=x[1::2], y_val=y[1::2])
    assert classifier.n_iter_ == stopping.stopped_epoch < 100
    best = classifier.validation_loss_curve_[stopping.best_epoch - 1]
    again = quietly(
        MLPClassifier(random_state=0, max_iter=stopping.best_epoch, learning_rate_init=0.3).fit,
        x[::2],
        y[::2],
    )
    assert best == min(classifier.validation_loss_curve_) == stopping.best_value
    assert_same_parameters(classifier, again)

    still = LearningRateScheduler(lambda epoch, rate: 0.0 if epoch else rate)
    one = quietly(MLPClassifier(random_state=0, max_iter=1).fit, x, y)
    steered = MLPClassifier(random_state=0, max_iter=4, callbacks=[still])
    assert_same_parameters(quietly(steered.fit, x, y), one)


def test_callbacks_follow_the_iterations_of_lbfgs():
    x, y = iris()
    recorder = Recorder()
    recorder.every_steps = None
    classifier = quietly(
        MLPClassifier(solver="lbfgs", random_state=0, max_iter=6, callbacks=[recorder]).fit, x, y
    )
    losses = [record["loss"] for record in recorder.epochs]
    assert len(losses) == classifier.n_iter_ == 6
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == classifier.loss_
    stopped = MLPClassifier(
        solver="lbfgs", random_state=0, callbacks=[lambda model, record: record["epoch"] == 3]
    ).fit(x, y)
    assert stopped.n_iter_ == 3
    assert stopped.loss_ == losses[2]
