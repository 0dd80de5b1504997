"""MLPClassifier and MLPRegressor against scikit-learn's, step by step, and what they add."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import (
    load_iris,
)
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp.estimators import MLPClassifier, MLPRegressor
from support.estimator_data import (
    VERSION,
    digits,
    iris,
    one_output,
    peer_of,
    quietly,
    several_labels,
    three_outputs,
    two_classes,
)

# Trajectories of 15 epochs in double precision: rounding differs by the order of sums, 1e-16 each,
# and grows with the number of steps.
SAME = {"rtol": 1e-9, "atol": 1e-12}


def counts():
    x, _ = one_output()
    return x, np.random.RandomState(0).poisson(np.exp(0.5 * x[:, 2] + 0.5)).astype(float)


PROBLEMS = {
    "iris": (MLPClassifier, iris, {}),
    "two_classes": (MLPClassifier, two_classes, {}),
    "several_labels": (MLPClassifier, several_labels, {}),
    "digits": (MLPClassifier, digits, {}),
    "one_output": (MLPRegressor, one_output, {}),
    "three_outputs": (MLPRegressor, three_outputs, {}),
    "counts": (MLPRegressor, counts, {"loss": "poisson"}),
}
SETTINGS = {
    "adam": {},
    "adam, unshuffled": {"shuffle": False, "activation": "logistic", "beta_1": 0.8, "beta_2": 0.99},
    "adam, two layers": {"hidden_layer_sizes": [13, 7], "activation": "tanh", "batch_size": 32},
    "adam, early stopping": {"early_stopping": True, "n_iter_no_change": 3, "epsilon": 1e-4},
    "sgd": {"solver": "sgd", "alpha": 0.5, "hidden_layer_sizes": 9},
    "sgd, no momentum": {"solver": "sgd", "momentum": 0, "batch_size": 50},
    "sgd, momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02},
    "sgd, no hidden layer": {"solver": "sgd", "hidden_layer_sizes": (), "activation": "identity"},
    "sgd, inverse scaling": {
        "solver": "sgd",
        "learning_rate": "invscaling",
        "learning_rate_init": 0.1,
        "power_t": 0.3,
    },
    "sgd, adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.05,
        "n_iter_no_change": 1,
        "tol": 0.05,
    },
    "sgd, adaptive, early stopping": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "early_stopping": True,
        "n_iter_no_change": 1,
        "tol": 0.1,
        "batch_size": 37,
    },
    "lbfgs": {"solver": "lbfgs", "alpha": 0.1},
}
CURVES = ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_")
problems = pytest.mark.parametrize("problem", PROBLEMS)


def pair(problem, **parameters):
    """Both libraries' estimators, and the data."""
    if problem == "counts" and VERSION < (1, 7):
        pytest.skip("scikit-learn before 1.7 has no Poisson loss")
    estimator_type, data, own = PROBLEMS[problem]
    settings = {"random_state": 3, "max_iter": 15, "n_threads": 1, **own, **parameters}
    estimator = estimator_type(**settings)
    return estimator, peer_of(estimator), *data()


def assert_same_curve(actual, expected):
    assert (actual is None) == (expected is None)
    if expected is not None:
        np.testing.assert_allclose(actual, expected, **SAME)


def assert_same(estimator, peer, x):
    """Everything that users of scikit-learn read."""
    for name in ("coefs_", "intercepts_"):
        assert len(getattr(estimator, name)) == len(getattr(peer, name))
        for actual, expected in zip(getattr(estimator, name), getattr(peer, name), strict=True):
            assert actual.dtype == expected.dtype
            np.testing.assert_allclose(actual, expected, **SAME)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(estimator, name) == getattr(peer, name), name
    assert_same_curve(estimator.loss_, peer.loss_)
    for name in CURVES:
        if hasattr(peer, name):
            assert_same_curve(getattr(estimator, name), getattr(peer, name))
    if hasattr(peer, "classes_"):
        np.testing.assert_array_equal(estimator.classes_, peer.classes_)
        np.testing.assert_array_equal(estimator.predict(x), peer.predict(x))
        np.testing.assert_allclose(estimator.predict_proba(x), peer.predict_proba(x), **SAME)
    else:
        np.testing.assert_allclose(estimator.predict(x), peer.predict(x), **SAME)


# ---------------------------------------------------------------- the same trajectory


@problems
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_is_that_of_scikit_learn(problem, setting, weighted):
    if weighted and VERSION < (1, 7):
        pytest.skip("scikit-learn before 1.7 has no weights of samples")
    estimator, peer, x, y = pair(problem, **SETTINGS[setting])
    weights = {}
    if weighted:
        weights["sample_weight"] = np.random.RandomState(1).uniform(0.2, 3, len(x))
    quietly(estimator.fit, x, y, **weights)
    quietly(peer.fit, x, y, **weights)
    assert_same(estimator, peer, x)


@problems
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_convergence_takes_as_many_epochs(problem, solver):
    estimator, peer, x, y = pair(
        problem, solver=solver, max_iter=400, tol=0.01, learning_rate_init=0.02
    )
    estimator.fit(x, y)
    peer.fit(x, y)
    assert 10 < estimator.n_iter_ == peer.n_iter_ < 400
    np.testing.assert_allclose(estimator.loss_, peer.loss_, rtol=1e-6)


@problems
@pytest.mark.parametrize("pickled", [False, True])
def test_partial_fit_is_that_of_scikit_learn(problem, pickled):
    estimator, peer, x, y = pair(problem, batch_size=16, solver="adam")
    first = {}
    if isinstance(estimator, MLPClassifier):
        first["classes"] = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
    for i, part in enumerate([slice(60), slice(60, 76), slice(76, 110), slice(60)]):
        keywords = first if i == 0 else {}
        estimator.partial_fit(x[part], y[part], **keywords)
        peer.partial_fit(x[part], y[part], **keywords)
        if pickled:
            estimator = pickle.loads(pickle.dumps(estimator))
    assert_same(estimator, peer, x)


@pytest.mark.parametrize("setting", ["adam", "sgd, inverse scaling", "sgd, adaptive", "lbfgs"])
@problems
def test_warm_start_is_that_of_scikit_learn(problem, setting):
    estimator, peer, x, y = pair(problem, warm_start=True, **SETTINGS[setting] | {"max_iter": 4})
    for _ in range(3):
        quietly(estimator.fit, x, y)
        quietly(peer.fit, x, y)
    assert_same(estimator, peer, x)


def test_a_second_fit_starts_afresh():
    estimator, peer, x, y = pair("iris")
    quietly(estimator.fit, x[:, :2], y)
    quietly(estimator.fit, x, y)
    quietly(peer.fit, x, y)
    assert_same(estimator, peer, x)


@pytest.mark.parametrize("setting", ["sgd, adaptive", "adam, early stopping", "adam"])
def test_verbose_prints_what_scikit_learn_prints(setting, capsys):
    estimator, peer, x, y = pair("iris", verbose=True, **SETTINGS[setting] | {"max_iter": 40})
    quietly(peer.fit, x, y)
    expected = capsys.readouterr()
    quietly(estimator.fit, x, y)
    assert capsys.readouterr() == expected
    assert expected.out.startswith("Iteration 1, loss = ")


def test_weights_set_by_the_user_are_where_training_goes_on():
    estimator, peer, x, y = pair("iris", warm_start=True)
    for each in (estimator, peer):
        quietly(each.fit, x, y)
        each.predict(x)
        each.coefs_[0] = each.coefs_[0] * 0.5
        each.intercepts_[1] += 0.25
    assert_same(estimator, peer, x)
    quietly(estimator.fit, x, y)
    quietly(peer.fit, x, y)
    assert_same(estimator, peer, x)


def test_a_warm_start_keeps_the_best_weights_of_all_fits():
    """scikit-learn trains on in the arrays that it keeps the best weights in."""
    x, y = iris()
    classifier = MLPClassifier(
        random_state=0,
        warm_start=True,
        early_stopping=True,
        max_iter=40,
        n_iter_no_change=40,
        learning_rate_init=0.01,
    )
    quietly(classifier.fit, x, y)
    best, score = classifier.coefs_[0].copy(), classifier.best_validation_score_
    assert score > 0.9
    quietly(classifier.set_params(max_iter=1, learning_rate_init=1.0).fit, x, y)
    assert classifier.validation_scores_[-1] < score == classifier.best_validation_score_
    np.testing.assert_array_equal(classifier.coefs_[0], best)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", [str, object, bool])
def test_labels_of_any_type(kind, early_stopping):
    x, y = two_classes()
    names = {str: ["no", "yes"], object: ["no", "yes"], bool: [False, True]}[kind]
    labels = np.array(names, dtype=kind)[(y > 0).astype(int)]
    settings = {"random_state": 0, "max_iter": 30, "early_stopping": early_stopping}
    expected = quietly(MLPClassifier(**settings).fit, x, y)
    classifier = quietly(MLPClassifier(**settings).fit, x, labels)
    np.testing.assert_array_equal(classifier.coefs_[0], expected.coefs_[0])
    assert classifier.classes_.tolist() == names
    np.testing.assert_array_equal(classifier.predict(x) == names[1], expected.predict(x) == 5)
    assert classifier.score(x, labels) > 0.8


# ---------------------------------------------------------------- the same messages


def outcome(estimator, act):
    """Type and text of the exception or the warnings that an action ends with."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            act(estimator)
        except Exception as error:
            return type(error).__name__, str(error)
    return [(w.category.__name__, str(w.message)) for w in caught]


X, Y = load_iris(return_X_y=True)
MISUSES = {
    "sizes": ({"hidden_layer_sizes": (3, -1)}, lambda e: e.fit(X, Y)),
    "zero size": ({"hidden_layer_sizes": [0]}, lambda e: e.fit(X, Y)),
    "parameter": ({"alpha": -1}, lambda e: e.fit(X, Y)),
    "momentum": ({"momentum": 2}, lambda e: e.fit(X, Y)),
    "one-dimensional input": ({}, lambda e: e.fit(X[:, 0], Y)),
    "lengths": ({}, lambda e: e.fit(X, Y[:-1])),
    "NaN": ({}, lambda e: e.fit(np.full_like(X, np.nan), Y)),
    "weights": ({}, lambda e: e.fit(X, Y, sample_weight=np.ones(3))),
    "features": ({"max_iter": 1}, lambda e: e.fit(X, Y).predict(X[:, :2])),
    "not fitted": ({}, lambda e: e.predict(X)),
    "batch size": ({"batch_size": 200, "max_iter": 1}, lambda e: e.fit(X, Y)),
    "no convergence": ({"max_iter": 2}, lambda e: e.fit(X, Y)),
    "no convergence of lbfgs": ({"max_iter": 2, "solver": "lbfgs"}, lambda e: e.fit(X, Y)),
    "column": ({"max_iter": 1}, lambda e: e.fit(X, Y.reshape(-1, 1))),
    "held out too few": (
        {"early_stopping": True, "validation_fraction": 0.001},
        lambda e: e.fit(X, Y),
    ),
    "early stopping of a part": (
        {"early_stopping": True},
        lambda e: e.partial_fit(
            X, Y, **({"classes": [0, 1, 2]} if hasattr(e, "predict_proba") else {})
        ),
    ),
}
CLASSIFIER_MISUSES = {
    "no classes": ({}, lambda e: e.partial_fit(X, Y)),
    "new class": ({}, lambda e: e.partial_fit(X, Y, classes=[0, 1])),
    "other classes": (
        {},
        lambda e: e.partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y, classes=[0, 1]),
    ),
    "part of lbfgs": ({"solver": "lbfgs"}, lambda e: e.partial_fit(X, Y, classes=[0, 1, 2])),
    "several classes at once": ({}, lambda e: e.fit(X, np.stack([Y, Y + 1], axis=1))),
    "changed classes": (
        {"warm_start": True, "max_iter": 200, "tol": 1.0},
        lambda e: e.fit(X, Y).fit(X[:100], Y[:100]),
    ),
}


@pytest.mark.skipif(VERSION < (1, 7), reason="other words in older releases")
@pytest.mark.parametrize("name", MISUSES)
@pytest.mark.parametrize("estimator_type", [MLPClassifier, MLPRegressor])
def test_misuse_is_answered_as_by_scikit_learn(name, estimator_type):
    parameters, act = MISUSES[name]
    estimator = estimator_type(random_state=0, **parameters)
    expected = outcome(peer_of(estimator), act)
    assert expected
    assert outcome(estimator, act) == expected


@pytest.mark.parametrize("name", CLASSIFIER_MISUSES)
def test_misuse_of_a_classifier_is_answered_as_by_scikit_learn(name):
    parameters, act = CLASSIFIER_MISUSES[name]
    estimator = MLPClassifier(random_state=0, **parameters)
    expected = outcome(peer_of(estimator), act)
    assert expected
    assert outcome(estimator, act) == expected


def test_real_targets_of_a_classifier_name_the_regressor():
    """scikit-learn's message begins alike, and goes on with all targets."""
    estimator = MLPClassifier(random_state=0)
    kind, message = outcome(peer_of(estimator), lambda e: e.fit(X, X[:, 0]))[:2]
    ours = outcome(estimator, lambda e: e.fit(X, X[:, 0]))
    assert (ours[0], ours[1][:18]) == (kind, message[:18]) == ("ValueError", "Unknown label type")
    assert ours[1].endswith("fastmlp.MLPRegressor takes quantities")


def test_divergence_is_an_error_and_leaves_finite_weights():
    x, y = one_output()
    regressor = MLPRegressor(
        solver="sgd", learning_rate_init=1e6, activation="identity", random_state=0
    )
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        regressor.fit(x, y)
    assert all(np.isfinite(coef).all() for coef in regressor.coefs_)
    with pytest.raises(fastmlp.DivergedError) as caught:
        regressor.fit(x, y)
    assert caught.value.epoch == regressor.n_iter_ + 1


@pytest.mark.parametrize(
    ("estimator", "rate"), [(MLPRegressor, 1.0), (MLPRegressor, 1e9), (MLPClassifier, 1e200)]
)
def test_divergence_under_early_stopping_returns_with_the_best_weights(estimator, rate):
    """Of the epoch with the best score, or those at the start; scikit-learn returns too."""
    x, y = iris()
    settings = {"solver": "sgd", "activation": "identity", "learning_rate_init": rate}
    settings |= {"early_stopping": True, "max_iter": 20, "random_state": 0}
    diverging = estimator(**settings)
    with (
        pytest.warns(ConvergenceWarning, match=r"diverged in epoch \d+.*learning rate"),
        np.errstate(all="ignore"),
    ):
        diverging.fit(x, y)
    assert np.isnan(diverging.validation_scores_[-1])
    assert np.isnan(diverging.loss_)
    assert len(diverging.validation_scores_) == len(diverging.loss_curve_) == diverging.n_iter_
    assert all(np.isfinite(coef).all() for coef in diverging.coefs_)
    best = diverging.best_validation_score_
    scores = [score for score in diverging.validation_scores_ if np.isfinite(score)]
    assert best == max(scores, default=-np.inf)
    epochs = 1 + diverging.validation_scores_.index(best) if scores else 1
    shorter = estimator(**settings | {"max_iter": epochs})
    expected = quietly(shorter.fit, x, y) if scores else None
    if expected is not None:
        np.testing.assert_array_equal(diverging.coefs_[0], expected.coefs_[0])


def test_interruption_keeps_what_was_reached():
    def interrupt(model, record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    x, y = iris()
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        classifier = MLPClassifier(random_state=0, callbacks=[interrupt]).fit(x, y)
    assert classifier.n_iter_ == 3
    np.testing.assert_array_equal(
        classifier.coefs_[0],
        quietly(MLPClassifier(random_state=0, max_iter=3).fit, x, y).coefs_[0],
    )


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", [fastmlp.MLPClassifier, fastmlp.MLPRegressor])
@pytest.mark.parametrize("weights", [[-1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
def test_weights_that_do_not_weigh_are_refused(kind, solver, weights):
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])
    with pytest.raises(ValueError, match="sample_weight must be >= 0 and not all 0"):
        kind(solver=solver).fit(x, y, sample_weight=np.array(2 * weights))
    if solver != "lbfgs":
        known = {"classes": [0, 1]} if kind is fastmlp.MLPClassifier else {}
        with pytest.raises(ValueError, match="sample_weight must be >= 0"):
            kind(solver=solver).partial_fit(x, y, sample_weight=np.array(2 * weights), **known)
    if kind is fastmlp.MLPClassifier:
        with pytest.raises(ValueError, match="class_weight times sample_weight must be >= 0"):
            kind(solver=solver, class_weight={0: -1, 1: 1}).fit(x, y)
