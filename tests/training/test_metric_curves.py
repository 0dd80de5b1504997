"""Curves over thresholds and of calibration against scikit-learn: weights, ties, one class."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastmlp import metrics

sk = pytest.importorskip("sklearn.metrics")
SEEDS = range(500)


def drawn(seed):
    """Labels and scores with ties; weights are eighths, so that sums of them are exact."""
    random = np.random.default_rng([seed, 5])
    count = int(random.integers(1, 41))
    truth = (random.random(count) < random.random()).astype(np.int64)
    scores = random.integers(0, random.choice([3, 9, 1000]), count) / 1000
    scores = np.clip(scores * random.choice([1, 100]), 0, 1)
    if seed % 3 == 0:
        return truth, scores, None
    weights = random.integers(0 if seed % 3 == 1 else 1, 9, count) / 8
    weights[random.integers(count)] = 1
    return truth, scores, weights


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@pytest.mark.parametrize("name", ["roc_curve", "precision_recall_curve"])
def test_curves_over_thresholds_are_those_of_scikit_learn(name):
    for seed in SEEDS:
        truth, scores, weights = drawn(seed)
        options = {"sample_weight": weights}
        expected = quiet(getattr(sk, name), truth, scores, pos_label=1, **options)
        found = getattr(metrics, name)(truth, scores, **options)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12, err_msg=f"seed {seed}")
            assert one.dtype == np.float64


def test_the_areas_under_the_curves_are_the_metrics():
    for seed in SEEDS[:100]:
        truth, scores, weights = drawn(seed)
        options = {"sample_weight": weights}
        x, y, _ = metrics.roc_curve(truth, scores, **options)
        area = metrics.auc(truth, scores, classes=2, **options)
        trapezoids = float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())
        assert area == pytest.approx(trapezoids, rel=1e-12, nan_ok=True), f"seed {seed}"
        precisions, recalls, _ = metrics.precision_recall_curve(truth, scores, **options)
        steps = float(-(np.diff(recalls) * precisions[:-1]).sum())
        mean = metrics.average_precision(truth, scores, classes=2, **options)
        assert mean == pytest.approx(steps, rel=1e-12, abs=1e-15), f"seed {seed}"


def test_the_calibration_curve_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    for seed in SEEDS:
        truth, likely, weights = drawn(seed)
        bins = int(np.random.default_rng([seed, 6]).integers(1, 12))
        means, shares, found = metrics.calibration_curve(truth, likely, bins, weights)
        # scikit-learn knows no weights; those here are numbers of samples.
        repeats = np.ones(len(truth)) if weights is None else 8 * weights
        repeated = truth.repeat(repeats.astype(int)), likely.repeat(repeats.astype(int))
        expected = calibration_curve(*repeated, n_bins=bins, pos_label=1)
        message = f"seed {seed}"
        np.testing.assert_allclose(shares, expected[0], rtol=1e-12, err_msg=message)
        np.testing.assert_allclose(means, expected[1], rtol=1e-12, err_msg=message)
        total = len(truth) if weights is None else weights.sum()
        assert found.sum() == pytest.approx(total, rel=1e-12), message
        error = metrics.calibration_error(
            truth, likely, bins=bins, classes=2, sample_weight=weights
        )
        by_bin = (found * np.abs(means - shares)).sum() / found.sum()
        assert error == pytest.approx(by_bin, rel=1e-11, abs=1e-15), message


def test_the_table_has_the_measures_of_each_decision():
    for seed in SEEDS[:60]:
        truth, likely, weights = drawn(seed)
        thresholds = np.random.default_rng([seed, 7]).permutation([0, 0.05, *likely[:3], 0.5, 1])
        table = metrics.threshold_table(truth, likely, thresholds, weights)
        for i, threshold in enumerate(thresholds):
            predicted = (likely >= threshold).astype(int)
            options = {"sample_weight": weights}
            binary = options | {"zero_division": 0}
            expected = [
                threshold,
                sk.precision_score(truth, predicted, **binary),
                sk.recall_score(truth, predicted, **binary),
                sk.f1_score(truth, predicted, **binary),
                np.average(predicted, weights=weights),
                sk.accuracy_score(truth, predicted, **options),
            ]
            row = [column[i] for column in table]
            np.testing.assert_allclose(row, expected, rtol=1e-12, atol=1e-14, err_msg=f"{seed}")


def test_the_usual_thresholds():
    table = metrics.threshold_table([0, 1], [0.25, 0.75])
    np.testing.assert_allclose(table.thresholds, np.arange(0.05, 0.96, 0.05))
    assert table.accuracies[table.thresholds == 0.5] == 1
    empty = metrics.threshold_table([0, 1], [0.25, 0.75], [])
    assert all(len(column) == 0 for column in empty)


def test_which_label_is_positive():
    for truth in (
        ["no", "yes", "yes"],
        [False, True, True],
        [-1, 1, 1],
        [1, 2, 2],
        [0.0, 1.0, 1.0],
    ):
        false_positives, true_positives, _ = metrics.roc_curve(truth, [0.1, 0.5, 0.3])
        assert true_positives.tolist() == [0, 0.5, 1, 1]
        assert false_positives.tolist() == [0, 0, 0, 1]


def test_one_class_alone():
    false_positives, true_positives, _ = metrics.roc_curve([1, 1], [0.1, 0.5])
    assert np.isnan(false_positives).all()
    assert true_positives.tolist() == [0, 0.5, 1]
    _, true_positives, _ = metrics.roc_curve([0, 0], [0.1, 0.5])
    assert np.isnan(true_positives).all()
    precisions, recalls, _ = metrics.precision_recall_curve([0, 0], [0.1, 0.5])
    assert precisions.tolist() == [0, 0, 1]
    assert recalls.tolist() == [1, 1, 0]
    # A weight of 0 is an absent sample.
    false_positives, _, thresholds = metrics.roc_curve([0, 1], [0.1, 0.5], [0, 1])
    assert np.isnan(false_positives).all()
    assert thresholds.tolist() == [np.inf, 0.5]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.roc_curve([0, 1, 2], [0.1, 0.2, 0.3]), ValueError, "two classes, got 3"),
        (lambda: metrics.roc_curve(["a", "a"], [0.1, 0.2]), ValueError, "two labels, or one of 0"),
        (lambda: metrics.roc_curve([3, 3], [0.1, 0.2]), ValueError, "two labels, or one of 0"),
        (lambda: metrics.roc_curve([0, 1], [[0.1, 0.2]]), ValueError, "scores must have shape"),
        (lambda: metrics.roc_curve([], []), ValueError, "at least one"),
        (lambda: metrics.roc_curve([0, 1], [np.nan, 0.2]), ValueError, "scores"),
        (lambda: metrics.precision_recall_curve([0, 1], [0, 1], [0, 0]), ValueError, "weight"),
        (lambda: metrics.calibration_curve([0, 1], [0.1, 1.2]), ValueError, "from 0 to 1"),
        (lambda: metrics.calibration_curve([0, 1], [0.1, 0.2], 0), ValueError, "bins must be"),
        (lambda: metrics.threshold_table([0, 1], [0.1, 0.2], 0.5), ValueError, "thresholds must"),
        (lambda: metrics.threshold_table([0, 1], [0.1, 0.2], [np.nan]), ValueError, "thresholds"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
