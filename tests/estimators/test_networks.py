"""Networks, losses and data that MLPClassifier and MLPRegressor take beyond scikit-learn's."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from sklearn.metrics import r2_score

import fastmlp
from fastmlp.activations import LeakyReLU
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators.regressor import r_squared
from fastmlp.losses import BinaryCrossEntropy, Huber, Quantile, SoftmaxCrossEntropy
from fastmlp.schedules import Cosine
from support.estimator_data import (
    assert_same_parameters,
    differs,
    digits,
    iris,
    one_output,
    quietly,
    three_outputs,
)

# ---------------------------------------------------------------- networks and losses


@pytest.mark.parametrize(
    "parameters", [{"dropout": 0.5}, {"input_dropout": 0.5}, {"batch_normalization": True}]
)
def test_regularized_networks_train_and_are_reproducible(parameters):
    x, y = digits()
    plain = quietly(MLPClassifier(random_state=0, max_iter=30).fit, x, y)
    classifier = MLPClassifier(random_state=0, max_iter=30, **parameters)
    quietly(classifier.fit, x, y)
    assert differs(classifier, plain)
    assert classifier.score(x, y) > 0.9
    assert_same_parameters(quietly(copy.deepcopy(classifier).fit, x, y), classifier)
    restored = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(restored.predict_proba(x), classifier.predict_proba(x))


def test_dropout_and_lbfgs_do_not_go_together():
    x, y = iris()
    with pytest.raises(ValueError, match="dropout and input_dropout must be 0 with solver 'lbfgs'"):
        MLPClassifier(solver="lbfgs", dropout=0.1).fit(x, y)


@pytest.mark.parametrize("activation", ["gelu", "softplus", "sigmoid", LeakyReLU(0.1)])
def test_activations_of_this_library(activation):
    x, y = iris()
    classifier = quietly(
        MLPClassifier(activation=activation, random_state=0, solver="lbfgs").fit, x, y
    )
    assert classifier.score(x, y) > 0.95


def test_the_logistic_function_has_two_names():
    x, y = iris()
    fits = [
        quietly(MLPClassifier(activation=name, random_state=0, max_iter=3).fit, x, y)
        for name in ("logistic", "sigmoid")
    ]
    assert_same_parameters(*fits)


def test_a_wide_huber_loss_is_half_the_squared_error():
    x, y = one_output()
    settings = {"random_state": 0, "max_iter": 5}
    squared = quietly(MLPRegressor(**settings).fit, x, y)
    huber = quietly(MLPRegressor(loss=Huber(delta=1e6), **settings).fit, x, y)
    np.testing.assert_allclose(huber.coefs_[0], squared.coefs_[0], rtol=1e-12, atol=1e-14)
    narrow = quietly(MLPRegressor(loss="huber", **settings).fit, x, y)
    assert differs(narrow, squared)


def test_the_median_loss_is_half_the_absolute_error():
    x, y = three_outputs()
    settings = {"random_state": 0, "max_iter": 5, "solver": "sgd", "momentum": 0, "alpha": 0}
    absolute = quietly(MLPRegressor("mae", learning_rate_init=0.01, **settings).fit, x, y)
    median = quietly(MLPRegressor("quantile", learning_rate_init=0.02, **settings).fit, x, y)
    np.testing.assert_allclose(median.coefs_[0], absolute.coefs_[0], rtol=1e-12, atol=1e-14)
    assert median.loss_ == pytest.approx(absolute.loss_ / 2, rel=1e-12)


def test_a_quantile_leaves_its_share_below():
    """Of a constant model, the best constant is the empirical quantile (Koenker, Bassett 1978)."""
    y = np.arange(1.0, 101.0)
    regressor = MLPRegressor(
        loss=Quantile(levels=0.9),
        hidden_layer_sizes=(),
        alpha=0,
        random_state=0,
        max_iter=3000,
        n_iter_no_change=3000,
        optimizer=fastmlp.SGD(Cosine(5.0, 0.01)),
    )
    quietly(regressor.fit, np.zeros((100, 1)), y)
    assert 90 <= regressor.predict([[0.0]])[0] <= 91


def test_fractions_have_a_logistic_output():
    x, y = one_output()
    fractions = 1 / (1 + np.exp(-y))
    regressor = quietly(
        MLPRegressor(BinaryCrossEntropy(), random_state=0, max_iter=300).fit, x, fractions
    )
    assert regressor.out_activation_ == "logistic"
    assert regressor.score(x, fractions) > 0.5
    with pytest.raises(ValueError, match="loss must be for real values"):
        MLPRegressor(SoftmaxCrossEntropy()).fit(x, fractions)


@pytest.mark.parametrize("weighted", [False, True])
def test_r_squared_is_that_of_scikit_learn(weighted):
    rng = np.random.default_rng(0)
    targets, predicted = rng.normal(size=(2, 30, 4))
    targets[:, 1:3] = 5.0
    predicted[:, 2] = 5.0
    weights = rng.uniform(size=30) if weighted else None
    expected = r2_score(targets, predicted, sample_weight=weights)
    assert r_squared(targets, predicted, weights) == pytest.approx(expected, rel=1e-14)


def test_counts_are_not_negative():
    x, y = one_output()
    with pytest.raises(ValueError, match="must be >= 0"):
        MLPRegressor("poisson").fit(x, y)


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_give_what_dense_ones_give(dtype, solver):
    x, y = digits()
    x = x.astype(dtype)
    settings = {"random_state": 0, "max_iter": 4, "solver": solver, "early_stopping": True}
    dense = quietly(MLPClassifier(**settings).fit, x, y)
    assert dense.coefs_[0].dtype == dtype
    for form in (scipy.sparse.csr_matrix, scipy.sparse.csc_array):
        sparse = quietly(MLPClassifier(**settings).fit, form(x), y)
        for mine, others in zip(sparse.coefs_, dense.coefs_, strict=True):
            np.testing.assert_allclose(mine, others, rtol=100 * np.finfo(dtype).eps, atol=1e-5)
        np.testing.assert_array_equal(sparse.predict(form(x)), sparse.predict(x))


def test_bytes_stay_bytes():
    x, y = digits()
    pixels = (x * 16).astype(np.uint8)
    settings = {"random_state": 0, "max_iter": 3}
    wide = quietly(MLPClassifier(**settings).fit, pixels.astype(np.float64), y)
    narrow = quietly(MLPClassifier(**settings).fit, pixels, y)
    assert_same_parameters(narrow, wide)
    np.testing.assert_array_equal(narrow.predict_proba(pixels), wide.predict_proba(x * 16))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads):
    x, y = digits()
    settings = {"random_state": 0, "max_iter": 3}
    expected = quietly(MLPClassifier(**settings).fit, x, y)
    assert_same_parameters(
        quietly(MLPClassifier(n_threads=threads, **settings).fit, x, y), expected
    )


def test_predictions_follow_weights_that_are_written_into():
    x, y = one_output()
    regressor = quietly(MLPRegressor(random_state=0, max_iter=2).fit, x, y)
    before = regressor.predict(x)
    regressor.intercepts_[-1][0] += 1.0
    np.testing.assert_allclose(regressor.predict(x), before + 1.0, rtol=1e-12)
    regressor.coefs_[-1][:] = 0.0
    np.testing.assert_array_equal(regressor.predict(x), regressor.intercepts_[-1][0])


def test_threads_may_predict_at_the_same_time():
    x, y = digits()
    classifier = quietly(MLPClassifier(random_state=0, max_iter=2).fit, x, y)
    expected = classifier.predict_proba(x)
    failures = []

    def predict():
        try:
            for _ in range(20):
                np.testing.assert_array_equal(classifier.predict_proba(x), expected)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
