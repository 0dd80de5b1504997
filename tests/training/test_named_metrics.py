"""Metrics that have a name, against scikit-learn: ties, weights, absent classes, hostile input."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import fastmlp
from fastmlp import metrics
from fastmlp._logarithm import log
from fastmlp.history import BestValue
from fastmlp.metrics import METRICS, get_metric, is_greater_better, measures
from support.paths import ROOT

SEEDS = range(12)
seeds = pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed={seed}")
TOLERANCE = {"rel": 1e-12, "abs": 1e-14}


@pytest.fixture
def sklearn_metrics():
    return pytest.importorskip("sklearn.metrics")


def drawn(seed, count, classes):
    """Labels, scores with many ties, probabilities, and weights of which some are 0."""
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), random.integers(0, classes, count - classes)])
    coarse = random.integers(1, 6, (count, classes)).astype(float)
    coarse[np.arange(count), truth] += random.integers(0, 3, count)
    weights = random.exponential(size=count) * (random.random(count) < 0.8)
    weights[:classes] = 1.0
    probabilities = coarse / coarse.sum(axis=1, keepdims=True)
    return truth, probabilities, weights if seed % 2 else None


# ---------------------------------------------------------------- classes and probabilities


@seeds
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_metrics_of_classes_are_those_of_scikit_learn(seed, classes, sklearn_metrics):
    truth, probabilities, weights = drawn(seed, 60, classes)
    predicted = probabilities.argmax(axis=1)
    weighted = {"sample_weight": weights}
    likely = probabilities[:, 1] if classes == 2 else probabilities
    one_hot = np.eye(classes)[truth]
    squares = np.average(np.square(one_hot - probabilities).sum(axis=1), weights=weights)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(truth, predicted, **weighted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(truth, predicted, **weighted),
        "f1": sklearn_metrics.f1_score(truth, predicted, average="macro", **weighted),
        "auc": (
            sklearn_metrics.roc_auc_score(truth, likely, **weighted)
            if classes == 2
            else np.mean([
                sklearn_metrics.roc_auc_score(truth == k, probabilities[:, k], **weighted)
                for k in range(classes)
            ])
        ),
        "log_loss": sklearn_metrics.log_loss(truth, probabilities, **weighted),
        "brier": squares / 2 if classes == 2 else squares,
    }  # fmt: skip
    if classes > 2 and weights is None:
        area = sklearn_metrics.roc_auc_score(truth, probabilities, multi_class="ovr")
        assert expected["auc"] == pytest.approx(area)
    if classes == 2:
        score = sklearn_metrics.brier_score_loss(truth, likely, **weighted)
        assert expected["brier"] == pytest.approx(score)
    found = measures(
        expected, "classification", truth, predicted, probabilities=probabilities,
        sample_weight=weights,
    )  # fmt: skip
    assert found == pytest.approx(expected, **TOLERANCE)


@seeds
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
def test_weights_count_in_precision_recall_and_f1(seed, average, sklearn_metrics):
    truth, probabilities, _ = drawn(seed, 40, 4)
    predicted = probabilities.argmax(axis=1)
    weights = np.random.default_rng(seed).exponential(size=40)
    for name in ("precision", "recall", "f1"):
        expected = getattr(sklearn_metrics, f"{name}_score")(
            truth, predicted, average=average, sample_weight=weights, zero_division=0
        )
        found = getattr(metrics, name)(truth, predicted, average=average, sample_weight=weights)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@seeds
def test_auc_counts_pairs(seed):
    """The definition: pairs of a sample of the class and one of another; ties count one half."""
    random = np.random.default_rng(seed)
    truth, scores = random.integers(0, 2, 30), random.integers(-2, 3, 30) / 4
    weights = random.integers(0, 4, 30).astype(float)
    truth[:2], weights[:2] = (0, 1), 1.0
    ahead = np.sign(scores[truth == 1][:, None] - scores[truth == 0]) / 2 + 0.5
    pairs = weights[truth == 1][:, None] * weights[truth == 0]
    expected = (ahead * pairs).sum() / pairs.sum()
    assert metrics.auc(truth, scores, sample_weight=weights) == pytest.approx(expected, **TOLERANCE)
    # Only the order of the scores matters, and the classes can change places.
    assert metrics.auc(truth, np.exp(scores), sample_weight=weights) == pytest.approx(expected)
    assert metrics.auc(1 - truth, -scores, sample_weight=weights) == pytest.approx(expected)


def test_scores_that_are_all_equal_decide_nothing():
    assert metrics.auc([0, 1, 1], [0.5, 0.5, 0.5]) == 0.5
    assert metrics.auc([0, 1, 2, 2], np.full((4, 3), 1 / 3)) == 0.5


def test_absent_classes():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    truth = np.array([0, 1, 0])
    both = [metrics.auc(truth == k, probabilities[:, k]) for k in (0, 1)]
    assert metrics.auc(truth, probabilities, classes=3) == np.mean(both)
    found = measures(METRICS_OF_CLASSES, "classification", truth, [0, 1, 1],
                     probabilities=probabilities)  # fmt: skip
    assert all(map(math.isfinite, found.values())), found
    assert found["log_loss"] == pytest.approx(-np.log([0.6, 0.7, 0.3]).mean())
    with pytest.raises(ValueError, match="a column for each of 2 classes.*classes= names them"):
        metrics.auc(truth, probabilities)


def test_one_class_alone_has_no_auc():
    assert math.isnan(metrics.auc([1, 1], [0.2, 0.4], classes=2))
    assert math.isnan(metrics.auc([1, 1], [[0.2, 0.4, 0.4]] * 2, classes=3))
    # A weight of 0 is an absent sample.
    assert math.isnan(metrics.auc([0, 1], [0.2, 0.4], sample_weight=[0, 1]))


def test_labels_may_be_text():
    names = ["no", "yes", "yes", "no"]
    likely = np.array([0.25, 0.5, 0.75, 0.125])
    both = np.stack([1 - likely, likely], axis=1)
    for given in (likely, both):
        assert metrics.auc(names, given) == 1
        assert metrics.brier(names, given) == pytest.approx(np.mean([0.0625, 0.25, 0.0625, 1 / 64]))
    turned = both[:, ::-1]
    assert metrics.log_loss(names, turned, classes=["yes", "no"]) == metrics.log_loss(names, both)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_excluded_outcome_is_no_infinite_loss(dtype, sklearn_metrics):
    probabilities = np.array([[1, 0], [1, 0], [0, 1]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn_metrics.log_loss([0, 1, 1], probabilities)
    assert metrics.log_loss([0, 1, 1], probabilities) == pytest.approx(expected, rel=1e-6)


METRICS_OF_CLASSES = [name for name, m in METRICS.items() if "classification" in m.functions]


@seeds
def test_metrics_of_labels_are_means_over_the_labels(seed, sklearn_metrics):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, (40, 3))
    truth[:2] = [[0, 0, 0], [1, 1, 1]]
    likely = random.integers(0, 9, (40, 3)) / 8
    predicted = (likely > 0.5).astype(np.int64)
    weights = random.exponential(size=40)
    weighted = {"sample_weight": weights}
    columns = list(zip(truth.T, likely.T, strict=True))
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(truth, predicted, **weighted),
        "f1": sklearn_metrics.f1_score(
            truth, predicted, average="macro", zero_division=0, **weighted
        ),
        "auc": sklearn_metrics.roc_auc_score(truth, likely, average="macro", **weighted),
        "log_loss": np.mean([sklearn_metrics.log_loss(*c, **weighted) for c in columns]),
        "brier": np.mean([sklearn_metrics.brier_score_loss(*c, **weighted) for c in columns]),
    }
    found = measures(
        expected, "multilabel", truth.astype(np.float32), predicted, probabilities=likely,
        sample_weight=weights,
    )  # fmt: skip
    assert found == pytest.approx(expected, **TOLERANCE)
    single = measures(expected, "multilabel", truth[:, 0], predicted[:, 0],
                      probabilities=likely[:, :1])  # fmt: skip
    assert single["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(truth[:, 0], likely[:, 0]))


# ---------------------------------------------------------------- values


@seeds
@pytest.mark.parametrize("targets", [1, 3])
def test_metrics_of_values_are_those_of_scikit_learn(seed, targets, sklearn_metrics):
    random = np.random.default_rng(seed)
    truth = random.poisson(3, (50, targets)).astype(float)
    predicted = truth + random.normal(0, 2, (50, targets))
    predicted[::7] = truth[::7]
    weights = random.exponential(size=50) if seed % 2 else None
    rates = np.abs(predicted) + 0.01
    weighted = {"sample_weight": weights}
    names = {
        "mse": sklearn_metrics.mean_squared_error,
        "rmse": sklearn_metrics.root_mean_squared_error,
        "mae": sklearn_metrics.mean_absolute_error,
        "mape": sklearn_metrics.mean_absolute_percentage_error,
        "r2": sklearn_metrics.r2_score,
        "quantile_loss": sklearn_metrics.mean_pinball_loss,
    }
    expected = {name: function(truth, predicted, **weighted) for name, function in names.items()}
    pinball = sklearn_metrics.mean_pinball_loss(truth, predicted, alpha=0.9, **weighted)
    expected["quantile_loss:0.9"] = pinball
    found = measures(expected, "regression", truth, predicted, sample_weight=weights)
    assert found == pytest.approx(expected, **TOLERANCE)
    deviances = [
        sklearn_metrics.mean_poisson_deviance(*pair, **weighted)
        for pair in zip(truth.T, rates.T, strict=True)
    ]
    assert metrics.poisson_deviance(truth, rates, sample_weight=weights) == pytest.approx(
        np.mean(deviances), **TOLERANCE
    )


def test_rates_that_no_count_can_have_are_infinitely_bad():
    assert metrics.poisson_deviance([0.0, 1.0], [0.0, 1.0]) == 0
    for wrong in (0.0, -0.5, -1e300, math.inf):
        assert metrics.poisson_deviance([1.0, 1.0], [wrong, 1.0]) == math.inf
    assert metrics.poisson_deviance([0.0, 1.0], [-2.0, 1.0]) == math.inf
    with pytest.raises(ValueError, match="y_true must hold counts >= 0, got -1"):
        metrics.poisson_deviance([-1.0], [1.0])


def test_predictions_that_have_no_logarithm_are_infinitely_bad():
    for wrong in (-1.0, -2.0, -math.inf):
        assert metrics.rmsle([1.0, 1.0], [wrong, 1.0]) == math.inf
    assert math.isnan(metrics.rmsle([1.0], [math.nan]))
    tiny = metrics.rmsle([0.0], [1e-12])
    assert tiny == pytest.approx(math.log1p(1e-12), rel=1e-14)


def test_where_scikit_learn_has_no_value():
    # One class alone.
    assert metrics.mcc([1, 1], [1, 1]) == metrics.mcc([1, 1], [0, 1]) == 0
    assert metrics.mcc([0, 1], [1, 1]) == 0
    assert math.isnan(metrics.cohen_kappa([1, 1], [1, 1]))
    assert metrics.cohen_kappa([1, 1], [0, 1]) == 0
    assert metrics.average_precision([0, 0], [0.5, 0.25], classes=2) == 0
    assert metrics.average_precision([1, 1], [0.5, 0.25], classes=2) == 1
    # Classes that do not occur are left out of the mean.
    likely = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    both = [metrics.average_precision(np.array([0, 1, 0]) == k, likely[:, k]) for k in (0, 1)]
    assert metrics.average_precision([0, 1, 0], likely, classes=3) == np.mean(both)
    # As many classes as there are.
    assert metrics.top_k_accuracy([0, 1, 2], likely, k=3) == 1
    assert metrics.top_k_accuracy([0, 1], [0.1, 0.2], k=9) == 1
    # One sample.
    assert metrics.r2([2.0], [2.0]) == metrics.explained_variance([2.0], [5.0]) == 1
    assert metrics.r2([2.0], [2.5]) == 0
    # The mean of a constant is rounded.
    constant, weights = np.full(10, 0.1), np.arange(1.0, 11.0)
    assert metrics.r2(constant, constant + 1, sample_weight=weights) == 0
    assert metrics.explained_variance(constant, constant, sample_weight=weights) == 1


def test_a_weight_of_zero_is_an_absent_sample():
    weights = [1.0, 1.0, 0.0]
    for name in ("mse", "rmse", "mae", "max_error", "median_absolute_error", "r2", "rmsle"):
        function = getattr(metrics, name)
        found = function([1.0, 2.0, 3.0], [1.0, 3.0, math.inf], sample_weight=weights)
        assert found == function([1.0, 2.0], [1.0, 3.0]), name


def test_top_k_of_equal_scores_is_that_of_scikit_learn():
    equal = np.full((3, 3), 1 / 3)
    assert metrics.top_k_accuracy([0, 1, 2], equal, k=1) == pytest.approx(1 / 3)
    assert metrics.top_k_accuracy([2, 2, 2], equal, k=1, classes=3) == 1
    assert metrics.top_k_accuracy([0, 1], [0.5, 0.5], k=1) == 0.5
    assert metrics.top_k_accuracy([1, 1], [0.5, 0.5], k=1, classes=2) == 0
    assert metrics.top_k_accuracy([0, 1], [-2.0, 0.25], k=1) == 1  # no probabilities


def test_coverage():
    truth = [1.0, 2.0, 3.0]
    assert metrics.coverage(truth, [1.0, 3.0, 1.0], [1.0, 4.0, 2.0]) == pytest.approx(1 / 3)
    assert metrics.coverage(truth, [0, 0, math.nan], [9, 1, 9], sample_weight=[2, 1, 1]) == 0.5
    assert metrics.coverage([[1.0, 2.0]], [[0.0, 3.0]], [[1.0, 4.0]]) == 0.5
    assert metrics.coverage(truth, [-math.inf] * 3, [math.inf] * 3) == 1


def test_a_constant_target():
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1
    assert metrics.r2([2.0, 2.0], [2.0, 2.5]) == 0


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if "regression" in m.functions])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e308])
def test_values_that_are_no_numbers_are_never_the_best(name, wrong):
    metric = METRICS[name]
    found = metric("regression", [1.0, 2.0, 3.0], [1.0, wrong, -wrong])
    best = BestValue(f"val_{name}", "auto")
    assert best.update({f"val_{name}": metric("regression", [1.0, 2.0, 4.0], [3.0, 2.0, 9.0])})
    assert not best.update({f"val_{name}": found})


def test_probabilities_that_are_no_numbers_are_never_the_best():
    likely = np.array([[0.5, 0.5], [math.nan, math.nan]])
    found = measures(METRICS_OF_CLASSES, "classification", [0, 1], [0, 1], probabilities=likely)
    assert [name for name, value in found.items() if math.isnan(value)] == [
        "auc", "average_precision", "log_loss", "brier", "calibration_error", "top_k:5",
    ]  # fmt: skip


# ---------------------------------------------------------------- names and directions


def test_the_page_on_python_has_every_name_with_its_direction():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|.*?\| (larger|smaller) \|", page, re.MULTILINE)
    told = {name: direction for names, direction in rows for name in re.findall("`(.*?)`", names)}
    assert set(METRICS) <= set(told)
    assert {name: is_greater_better(name) for name in told} == {
        name: direction == "larger" for name, direction in told.items()
    }


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_prediction_is_the_best(name):
    metric = get_metric("top_k:1" if name == "top_k:5" else METRICS[name].name)
    for task in metric.functions:
        truth = np.array([1.0, 2.0, 4.0]) if task == "regression" else np.array([0, 1, 1])
        worse = np.array([1.0, 2.5, 3.0]) if task == "regression" else np.array([1, 0, 1])
        if task == "multilabel":
            truth, worse = truth[:, np.newaxis], worse[:, np.newaxis]
        if metric.needs == "probabilities":
            truth_given, worse_given = np.array([0.1, 0.9, 0.9]), np.array([0.4, 0.3, 0.6])
            if task == "classification":
                truth_given = np.stack([1 - truth_given, truth_given], axis=1)
                worse_given = np.stack([1 - worse_given, worse_given], axis=1)
        else:
            truth_given, worse_given = truth, worse
        good, bad = metric(task, truth, truth_given), metric(task, truth, worse_given)
        assert (good > bad) == metric.greater_is_better
        assert good != bad
    assert is_greater_better(name) == metric.greater_is_better


@pytest.mark.parametrize(
    ("monitor", "larger"),
    [
        ("val_auc", True), ("auc", True), ("val_balanced_accuracy", True), ("val_r2", True),
        ("val_f1", True), ("val_macro_f1", True), ("val_log_loss", False), ("val_brier", False),
        ("val_rmse", False), ("val_quantile_loss:0.9", False), ("val_loss", False),
        ("val_accuracy", True), ("my_auc", False),
    ],
)  # fmt: skip
def test_the_direction_follows_from_the_name(monitor, larger):
    best = BestValue(monitor, "auto")
    assert best.update({monitor: 0.5})
    assert best.update({monitor: 0.75}) is larger


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: get_metric("acuracy"), ValueError, "did you mean 'accuracy'"),
        (lambda: get_metric(3), TypeError, "metric must be a string, got int"),
        (lambda: get_metric("quantile_loss:1"), ValueError, r"a quantile in \(0, 1\)"),
        (lambda: get_metric("quantile_loss:nan"), ValueError, r"a quantile in \(0, 1\)"),
        (lambda: get_metric("quantile_loss:x"), ValueError, r"a quantile in \(0, 1\)"),
        (lambda: get_metric("top_k"), ValueError, "a number of classes >= 1 after the colon"),
        (lambda: get_metric("top_k:0"), ValueError, "a number of classes >= 1 after the colon"),
        (lambda: get_metric("top_k:1.5"), ValueError, "a number of classes >= 1 after the colon"),
        (lambda: get_metric("calibration_error:-1"), ValueError, "a number of bins >= 1 after"),
        (lambda: get_metric("auc:3"), ValueError, "did you mean 'auc'"),
        (lambda: metrics.top_k_accuracy([0, 1], [0.1, 0.2], k=0), ValueError, "k must be >= 1"),
        (lambda: metrics.calibration_error([0, 1], [0.1, 0.2], bins=0), ValueError, "bins must"),
        (lambda: metrics.cohen_kappa([0, 1], [0, 1], weights="linaer"), ValueError, "'linear'"),
        (lambda: metrics.rmsle([-1.0], [1.0]), ValueError, "y_true must hold values > -1, got -1"),
        (lambda: metrics.coverage([1.0], [0.0], [1.0, 2.0]), ValueError, "high must have the sha"),
        (lambda: metrics.coverage([1.0], [0.0, 1.0], [1.0]), ValueError, "low must have the shap"),
        (lambda: measures(["rmse"], "classification", [0], [0]), ValueError,
         "metric must be one of accuracy, balanced_accuracy, .*, auc, .* for classification, got"),
        (lambda: measures(["auc"], "classification", [0], [0]), ValueError, "needs probabilities"),
        (lambda: measures(["auc"], "regression", [0], [0]), ValueError, "one of mse, rmse, rmsle"),
        (lambda: metrics.auc([0, 1], [0.5]), ValueError, "y_score must have shape"),
        (lambda: metrics.auc([0, 2], [0.5, 1.0], classes=2), ValueError, "y_true must hold labels"),
        (lambda: metrics.auc([], []), ValueError, "at least one"),
        (lambda: metrics.auc([0, 1], [math.nan, 1]), ValueError, "y_score"),
        (lambda: metrics.log_loss([0, 1], [1.5, 0.5]), ValueError, "from 0 to 1"),
        (lambda: metrics.log_loss([0, 1], [[1, 1], [0, 1]]), ValueError, "sum to 1"),
        (lambda: metrics.brier([0, 1], [0.5, 0.5], sample_weight=[0, 0]), ValueError, "weight"),
        (lambda: metrics.rmse([1.0], [[1.0, 2.0]]), ValueError, "the shape of y_true"),
        (lambda: metrics.rmse([math.nan], [1.0]), ValueError, "y_true"),
        (lambda: metrics.rmse([], []), ValueError, "y_true must have shape"),
        (lambda: metrics.mae([1.0], [1.0], sample_weight=[1.0, 1.0]), ValueError, "sample_weight"),
        (lambda: metrics.quantile_loss([1.0], [1.0], quantile=0), ValueError, "quantile must be"),
        (lambda: metrics.quantile_loss([1.0], [1.0], quantile=1), ValueError, "quantile must be"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@seeds
def test_logarithms_are_right_and_the_same_on_every_machine(seed):
    random = np.random.default_rng(seed)
    for x in (
        random.random(2000), 1 + random.normal(0, 1e-6, 2000),
        10.0 ** random.uniform(-300, 300, 2000),
        np.array([5e-324, 1.0, 2.0, 0.5, math.sqrt(0.5), 1.7e308]),
    ):  # fmt: skip
        exact = np.log(x.astype(np.longdouble))
        assert (np.abs(log(x) - exact) <= 2**-50 * np.abs(exact)).all()
    assert log(np.array([1.0])) == 0


def test_same_bits_without_the_vector_instructions_of_numpy():
    code = """
import numpy as np
from fastmlp.metrics import METRICS
random = np.random.default_rng(0)
p = random.random((5001, 3)); p /= p.sum(axis=1, keepdims=True)
y, w, v = random.integers(0, 3, 5001), random.random(5001), random.normal(size=5001)
for m in METRICS.values():
    for task, data in (("classification", (y, p if m.needs == "probabilities" else p.argmax(1))),
                       ("regression", ((4 * v * v).round(), 1 + v * v))):
        if task in m.functions:
            for weights in (None, w):
                print(m.name, float(m(task, *data, weights)).hex())
"""
    features = np.show_config(mode="dicts")["SIMD Extensions"]["found"]

    def output(**changes):
        command, environment = [sys.executable, "-c", code], {**os.environ, **changes}
        return subprocess.check_output(command, env=environment, timeout=60)

    first = output()
    assert len(first.splitlines()) == 2 * len(METRICS)
    other = output(NPY_DISABLE_CPU_FEATURES=" ".join(features))
    assert other.splitlines() == first.splitlines()


def test_large_arrays_are_measured_at_once():
    """A million samples: seconds would mean a loop over them."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 1_000_000)
    likely = random.random(1_000_000)
    found = metrics.auc(truth, likely)
    assert abs(found - 0.5) < 0.005
    assert fastmlp.metrics.brier(truth, likely) == pytest.approx(1 / 3, abs=0.01)
