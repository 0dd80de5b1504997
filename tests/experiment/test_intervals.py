"""The interval of a mean over folds, against SciPy and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastmlp.experiment.intervals import score_of, t_quantile

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 9, 14, 29, 99, 1000, 9999])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.95, 0.975, 0.995])
def test_quantiles_of_student(freedom, probability):
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-9)


def test_published_quantiles():
    # W. S. Gosset's table in any textbook: 95 %, two-sided.
    known = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 29: 2.045}
    assert {n: round(t_quantile(0.975, n), 3) for n in known} == known


def test_the_interval_of_known_numbers():
    score = score_of([0.8, 0.9, 0.7, 0.8, 0.8], 0.25)
    assert score.mean == pytest.approx(0.8)
    assert score.std == pytest.approx(math.sqrt(0.02 / 4))
    # Variance of the mean: (1/5 + 1/4) * 0.005 = 0.00225; quantile of t with 4: 2.776445.
    margin = 2.7764451051977987 * math.sqrt(0.00225)
    assert score.low == pytest.approx(0.8 - margin)
    assert score.high == pytest.approx(0.8 + margin)


def test_the_interval_against_scipy():
    random = np.random.default_rng(0)
    for _ in range(50):
        values = random.normal(random.normal(), 2, int(random.integers(2, 40)))
        share = random.uniform(0.05, 1)
        score = score_of(values.tolist(), share)
        scale = np.sqrt((1 / len(values) + share) * values.var(ddof=1))
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), scale)
        assert (score.low, score.high) == pytest.approx((low, high), rel=1e-9)


def test_a_mean_of_what_is_not_finite_is_unknown():
    assert all(map(math.isnan, vars(score_of([1.0, math.nan, 2.0], 0.5)).values()))
    assert vars(score_of([2.0, 2.0], 0.5)) == {"mean": 2.0, "std": 0.0, "low": 2.0, "high": 2.0}
