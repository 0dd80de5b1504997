"""Copies of estimators: what holds objects without knowing this library holds an estimator."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

pytest.importorskip("sklearn")

import joblib
from sklearn.base import clone

import fastmlp
from fastmlp.estimators import MLPClassifier, MLPRegressor
from support.estimator_data import assert_same_parameters, iris, quietly
from support.random_estimators import KINDS, SEED, assert_same_predictions, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CLASSES = {
    "fastmlp.estimators.classifier.MLPClassifier",
    "fastmlp.estimators.regressor.MLPRegressor",
}


def through_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def through_skops(estimator, trusted=None):
    skops = pytest.importorskip("skops.io")
    stored = skops.dumps(estimator)
    return skops.loads(stored, trusted=trusted or skops.get_untrusted_types(data=stored))


WAYS = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "skops": through_skops,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_predicts_the_same_bits(way, kind):
    for trial in range(3):
        estimator, x, words = fitted(SEED + trial, kind)
        other = WAYS[way](estimator)
        assert_same_predictions(estimator, other, x, words)
        assert not hasattr(clone(other), "coefs_")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("estimator", [MLPClassifier(alpha=0.5), MLPRegressor("huber")])
def test_an_estimator_that_is_not_fitted_has_copies(way, estimator):
    assert WAYS[way](estimator).get_params() == estimator.get_params()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1},
        {"early_stopping": True, "dropout": 0.2},
        {"batch_normalization": True},
        {"optimizer": fastmlp.SGD(fastmlp.schedules.ReduceOnPlateau(0.1, monitor="loss"), 0.9)},
    ],
)
def test_a_copy_continues_exactly(way, setting):
    x, y = iris()
    given = {"random_state": 1, "batch_size": 32, "max_iter": 9, **setting}
    whole = quietly(MLPClassifier(**given).fit, x, y)
    part = quietly(MLPClassifier(**given | {"max_iter": 4}).fit, x, y)
    part = WAYS[way](part).set_params(max_iter=9)
    assert_same_parameters(quietly(part.fit, x, y, resume=True), whole)
    assert part.loss_curve_ == whole.loss_curve_
    once, twice = WAYS[way](whole), copy.deepcopy(whole)
    if not setting.get("early_stopping"):
        assert_same_parameters(once.partial_fit(x, y), twice.partial_fit(x, y))


@pytest.mark.parametrize("kind", KINDS)
def test_skops_needs_trust_in_the_class_and_in_parameters_alone(kind):
    """Also when the attributes themselves are looked at, not only what `__getstate__` returns."""
    skops = pytest.importorskip("skops.io")
    estimator, _, words = fitted(SEED, kind)
    needed = set(skops.get_untrusted_types(data=skops.dumps(estimator)))
    parameters = set()
    for value in estimator.get_params().values():
        parameters |= set(skops.get_untrusted_types(data=skops.dumps(value)))
    assert needed - parameters <= CLASSES, words


def builtin_parts(value):
    """Yield the types of all objects inside of a state."""
    yield type(value)
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from builtin_parts(item)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_holds_builtin_objects_and_those_of_the_user(kind):
    estimator, _, words = fitted(SEED, kind)
    state = estimator.__getstate__()
    learned = {name: state[name] for name in state if name not in estimator.get_params()}
    learned.get("_session", {}) and learned["_session"]["solver"].pop("learning_rate")
    own = {kind for kind in builtin_parts(learned) if kind.__module__.startswith("fastmlp")}
    assert not own, words


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_a_fit_that_runs(way):
    """A callback copies the estimator, whose network is then ahead of its attributes."""
    x, y = iris()
    copies = []

    class Copying(fastmlp.Callback):
        def on_epoch_end(self, training, record):
            if record["epoch"] == 3:
                held, owner.callbacks = owner.callbacks, None
                copies.append(WAYS[way](owner))
                owner.callbacks = held

    owner = MLPClassifier(max_iter=7, random_state=0, callbacks=[Copying()])
    quietly(owner.fit, x, y)
    (part,) = copies
    assert_same_parameters(quietly(part.fit, x, y, resume=True), owner)
