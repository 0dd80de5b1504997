"""Bootstrap intervals: against resamples drawn by hand, theory, seeds, undefined resamples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastmlp import metrics
from fastmlp.metrics import METRICS, bootstrap_interval, get_metric

TASKS = [(task, name) for name, m in METRICS.items() for task in m.functions]


def samples(task, seed=0, count=50):
    random = np.random.default_rng(seed)
    if task == "regression":
        truth = random.poisson(4, count) + 1.0
        return truth, truth * random.uniform(0.5, 1.5, count), None
    if task == "multilabel":
        truth = random.integers(0, 2, (count, 3))
        likely = (truth + random.integers(0, 9, truth.shape) / 8) / 2
        return truth, (likely > 0.5).astype(np.int64), likely
    truth = random.integers(0, 3, count)
    scores = random.integers(1, 6, (count, 3)).astype(float)
    scores[np.arange(count), truth] += 2
    return truth, scores.argmax(axis=1), scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("task", "name"), TASKS)
def test_the_ends_are_values_of_resamples(task, name, weighted):
    """Resamples as rows, not as weights, with the same random numbers."""
    truth, predicted, likely = samples(task)
    weights = np.random.default_rng(1).exponential(size=len(truth)) if weighted else None
    found = bootstrap_interval(
        name, task, truth, predicted, probabilities=likely, sample_weight=weights,
        confidence=0.8, resamples=40, seed=7,
    )  # fmt: skip
    given = likely if METRICS[name].needs == "probabilities" else predicted
    random, values = np.random.default_rng(7), []
    for _ in range(40):
        rows = random.integers(0, len(truth), len(truth))
        weight = None if weights is None else weights[rows]
        values.append(get_metric(name)(task, truth[rows], given[rows], weight))
    ordered = sorted(values)
    assert found == pytest.approx((ordered[3], ordered[-4]), rel=1e-12)
    assert found.undefined == 0


def test_the_same_seed_gives_the_same_bits():
    truth, predicted, likely = samples("classification")
    options = {"probabilities": likely, "resamples": 200}
    intervals = [
        bootstrap_interval("auc", "classification", truth, predicted, seed=seed, **options)
        for seed in (3, 3, 4)
    ]
    assert intervals[0] == intervals[1] != intervals[2]
    np.random.seed(0)  # noqa: NPY002 - the generator of the process has no part in it
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    bootstrap_interval("auc", "classification", truth, predicted, **options)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_the_interval_is_that_of_the_binomial_distribution():
    truth = np.ones(2000, np.int64)
    predicted = (np.arange(2000) >= 400).astype(np.int64)
    low, high = bootstrap_interval("accuracy", "classification", truth, predicted, resamples=4000)
    error = 1.96 * math.sqrt(0.8 * 0.2 / 2000)
    assert (low, high) == pytest.approx((0.8 - error, 0.8 + error), abs=0.0025)
    narrow = bootstrap_interval("accuracy", "classification", truth, predicted, confidence=0.5)
    assert low < narrow.low < 0.8 < narrow.high < high


def test_intervals_contain_the_value_of_the_population_as_often_as_they_should():
    """200 samples of a normal distribution, whose root mean squared error is 1."""
    inside = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=200)
        low, high = bootstrap_interval(
            "rmse", "regression", values, np.zeros(200), confidence=0.9, resamples=200, seed=seed
        )
        inside += low <= 1 <= high
    assert 0.8 < inside / 200 < 0.96  # binomial: five deviations are 0.1


def test_resamples_of_one_class_are_left_out_and_counted():
    truth, likely = np.array([0, 0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.6, 0.5])
    both = np.stack([1 - likely, likely], axis=1)
    found = bootstrap_interval(
        "auc", "classification", truth, truth, probabilities=both, resamples=2000
    )
    missing = 0.8**5 + 0.2**5
    assert found.undefined / 2000 == pytest.approx(missing, abs=0.05)
    assert 0 <= found.low < found.high <= 1
    alone = bootstrap_interval(
        "auc", "classification", truth[:4], truth[:4], probabilities=both[:4], resamples=10
    )
    assert np.isnan(alone).all()
    assert alone.undefined == 10
    # Only one sample has a weight, and some resamples lack it.
    found = bootstrap_interval(
        "mae", "regression", [1.0, 2.0], [1.0, 4.0], sample_weight=[0, 1], resamples=400
    )
    assert found == (2.0, 2.0)
    assert found.undefined / 400 == pytest.approx(0.25, abs=0.1)


def test_what_is_not_finite():
    likely = np.full((3, 2), np.nan)
    found = bootstrap_interval("auc", "classification", [0, 1, 1], [0, 1, 1], probabilities=likely)
    assert np.isnan(found).all()
    found = bootstrap_interval("poisson_deviance", "regression", [1.0, 2.0], [1.0, -1.0])
    assert found == (0.0, math.inf)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"confidence": 1.0}, ValueError, "confidence must be"),
        ({"confidence": 0.0}, ValueError, "confidence must be > 0"),
        ({"resamples": 0}, ValueError, "resamples must be >= 1"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight must hold"),
        ({"name": "acuracy"}, ValueError, "did you mean 'accuracy'"),
        ({"name": "rmse"}, ValueError, "metric must be one of .* for classification"),
        ({"name": "auc"}, ValueError, "needs probabilities"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    arguments = {"name": "accuracy", "task": "classification", "y_true": [0, 1]} | options
    with pytest.raises(error, match=message):
        metrics.bootstrap_interval(predictions=[0, 1], **arguments)
