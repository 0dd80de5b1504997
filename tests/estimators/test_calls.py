"""Calls of partial_fit and fit that continue one another: what they keep changes no bit.

Random sequences of calls: FASTMLP_CALLS_TRIALS and FASTMLP_CALLS_SEED make a longer run, or the
same one again.
"""

from __future__ import annotations

import copy
import os
import pickle
import time

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.neural_network import MLPClassifier as Reference

import fastmlp

TRIALS = int(os.environ.get("FASTMLP_CALLS_TRIALS", "20"))
SEED = int(os.environ.get("FASTMLP_CALLS_SEED", time.time_ns() % 2**32))
CLASSES = np.arange(3)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def batch(seed, rows, dtype="float64"):
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 5)).astype(dtype)
    return x, np.concatenate([CLASSES, random.integers(0, 3, rows - 3)])


def random_call(random):
    """A call that trains or changes an estimator; it returns the estimator to go on with."""
    seed, kind = int(random.integers(2**31)), random.random()
    rows = int(random.choice([16, 16, 40]))

    def train(estimator):
        return estimator.partial_fit(*batch(seed, rows), classes=CLASSES)

    def fit(estimator):
        return estimator.fit(*batch(seed, rows))

    def assign(estimator):
        if hasattr(estimator, "coefs_"):
            estimator.coefs_[0][seed % 5] += 0.1  # in the array itself
            estimator.intercepts_[1] = estimator.intercepts_[1] * 2
        return estimator

    def set_parameters(estimator):
        values = {
            "alpha": 10.0 ** -(seed % 4),
            "batch_size": 4 + seed % 9,
            "shuffle": seed % 3 > 0,
            "random_state": seed % 5,
            "n_threads": 1 + seed % 2,
        }
        name = list(values)[seed // 7 % len(values)]
        return estimator.set_params(**{name: values[name]})

    def look(estimator):
        if hasattr(estimator, "coefs_"):
            estimator.predict_proba(batch(seed, 9)[0])
        return estimator

    others = [fit, assign, set_parameters, look, copy.deepcopy,
              lambda estimator: pickle.loads(pickle.dumps(estimator))]  # fmt: skip
    return train if kind < 0.7 else others[random.integers(len(others))]


@pytest.mark.parametrize("trial", range(TRIALS))
def test_calls_equal_those_of_copies(trial):
    random = np.random.default_rng([SEED, trial])
    options = {
        "hidden_layer_sizes": (7, 6),
        "max_iter": 3,
        "solver": str(random.choice(["adam", "sgd"])),
        "random_state": int(random.integers(5)),
        "dropout": float(random.choice([0.0, 0.3])),
        "batch_normalization": random.random() < 0.3,
    }
    kept, copied = (fastmlp.MLPClassifier(**options) for _ in range(2))
    for number in range(25):
        where = f"FASTMLP_CALLS_SEED={SEED}, trial {trial}, call {number}"
        call = random_call(random)
        kept, copied = call(kept), call(pickle.loads(pickle.dumps(copied)))
        if not hasattr(kept, "coefs_"):
            continue
        pairs = zip(kept._parameters().arrays(), copied._parameters().arrays(), strict=True)
        assert all(a.tobytes() == b.tobytes() for a, b in pairs), where
        assert kept.loss_curve_ == copied.loss_curve_, where


@pytest.mark.parametrize("seed", range(3))
def test_partial_fit_follows_scikit_learn(seed):
    """The order of samples is drawn anew in each call, from the same numbers."""
    settings = {"hidden_layer_sizes": (6,), "random_state": seed, "batch_size": 5}
    ours, theirs = fastmlp.MLPClassifier(**settings), Reference(**settings)
    for number in range(12):
        x, y = batch([seed, number], 23)
        ours.partial_fit(x, y, classes=CLASSES)
        theirs.partial_fit(x, y, classes=CLASSES)
        for mine, other in zip(ours.coefs_, theirs.coefs_, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


def test_continued_calls_make_one_run():
    estimator, runs = fastmlp.MLPClassifier((6,), random_state=0), []
    for number in range(10):
        estimator.partial_fit(*batch(number, 32), classes=CLASSES)
        runs.append(estimator._session.run)
    assert all(run is runs[0] for run in runs)


class Stopped(Exception):
    """What the callback of the next test raises."""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("source", ["seed", "generator", "generator that others use"])
@pytest.mark.parametrize("cut", [1, 37, 51, 52, 53, 110])
def test_orders_are_drawn_again_after_an_interruption(cut, source):
    """Wherever a fit is cut, the generator is brought to where the epoch began."""
    x, y = batch(0, 20)
    results = []
    for stops in (False, True):
        generator = 3 if source == "seed" else np.random.RandomState(3)
        cuts = [cut] if stops else []

        def after_epoch(model, record, generator=generator, cuts=cuts):
            if source == "generator that others use":
                generator.random_sample()
            if record["epoch"] in cuts:
                cuts.clear()
                raise Stopped

        estimator = fastmlp.MLPClassifier(
            (4,), random_state=generator, max_iter=120, tol=0, n_iter_no_change=1000, batch_size=7,
            callbacks=[after_epoch],
        )  # fmt: skip
        try:
            estimator.fit(x, y)
        except Stopped:
            estimator.fit(x, y, resume=True)
        results.append(estimator)
    whole, parts = results
    assert whole.loss_curve_ == parts.loss_curve_
    for mine, other in zip(whole.coefs_, parts.coefs_, strict=True):
        assert mine.tobytes() == other.tobytes()
