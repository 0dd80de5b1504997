"""Every measure on 500 random cases against scikit-learn: weights, ties, classes that are missing.

Equal means to 1e-12 of the larger of 1 and the value. A message names the seed of the case.
"""

from __future__ import annotations

import inspect
import math
import warnings
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from fastmlp import metrics
from fastmlp.metrics import METRICS, get_metric, measures

sklearn = pytest.importorskip("sklearn")
sk = pytest.importorskip("sklearn.metrics")
SEEDS = range(500)
TOLERANCE = 1e-12


# ---------------------------------------------------------------- cases


def drawn_weights(random, count):
    """None, whole numbers or exponential ones, in some cases with zeros, at least one above 0."""
    kind = random.integers(3)
    if kind == 0:
        return None
    weights = random.integers(1, 5, count) if kind == 1 else random.exponential(size=count)
    if random.random() < 0.5:
        weights = weights * (random.random(count) < 0.7)
    weights[random.integers(count)] = 1
    return weights.astype(float)


@cache
def classified(seed):
    """Classes of which some do not occur, and probabilities of which many are equal."""
    random = np.random.default_rng([seed, 1])
    count, classes = int(random.integers(1, 41)), int(random.integers(2, 7))
    present = random.permutation(classes)[: random.integers(1, classes + 1)]
    truth = random.choice(present, count)
    scores = random.integers(1, random.choice([3, 9, 1000]), (count, classes)).astype(float)
    scores[np.arange(count), truth] += random.integers(0, 4, count)
    likely = scores / scores.sum(axis=1, keepdims=True)
    predicted = likely.argmax(axis=1) if random.random() < 0.8 else np.full(count, present[0])
    return SimpleNamespace(
        truth=truth, likely=likely, predicted=predicted, classes=classes,
        weights=drawn_weights(random, count),
    )  # fmt: skip


@cache
def labeled(seed):
    random = np.random.default_rng([seed, 2])
    shape = int(random.integers(1, 41)), int(random.integers(1, 4))
    truth = (random.random(shape) < random.random(shape[1])).astype(np.int64)
    likely = random.integers(0, 9, shape) / 8
    return SimpleNamespace(
        truth=truth, likely=likely, predicted=(likely > 0.5).astype(np.int64), classes=2,
        weights=drawn_weights(random, shape[0]),
    )  # fmt: skip


@cache
def valued(seed):
    """Values with ties and exact predictions; some targets are constant, some rows are alone."""
    random = np.random.default_rng([seed, 3])
    count, targets = int(random.integers(1, 41)), int(random.integers(1, 4))
    truth = random.poisson(3, (count, targets)).astype(float)
    if random.random() < 0.5:
        truth *= random.exponential(size=(count, targets))
    if random.random() < 0.2:
        truth[:, 0] = 3.0
    predicted = np.abs(truth + random.integers(-2, 3, truth.shape) / 2)
    if random.random() < 0.5:
        predicted = np.abs(truth + random.normal(size=truth.shape))
    return SimpleNamespace(
        truth=truth, predicted=predicted, likely=None, weights=drawn_weights(random, count)
    )


def with_a_weight(case):
    """The samples whose weight is not 0, which scikit-learn does not always leave out."""
    if case.weights is None:
        return case
    kept = case.weights > 0
    arrays = {
        name: value[kept] for name, value in vars(case).items() if isinstance(value, np.ndarray)
    }
    return SimpleNamespace(**(vars(case) | arrays))


def weighted(case):
    return {"sample_weight": case.weights}


# ---------------------------------------------------------------- what scikit-learn computes


def of_decided(function, **options):
    return lambda case: function(case.truth, case.predicted, **options, **weighted(case))


def auc_of(case):
    case = with_a_weight(case)
    if case.classes == 2 and len(np.unique(case.truth)) == 2:
        return sk.roc_auc_score(case.truth, case.likely[:, 1], **weighted(case))
    return mean_over_classes(sk.roc_auc_score, case, both=True)


def average_precision_of(case):
    case = with_a_weight(case)
    if case.classes == 2:
        return sk.average_precision_score(case.truth == 1, case.likely[:, 1], **weighted(case))
    return mean_over_classes(sk.average_precision_score, case, both=False)


def mean_over_classes(function, case, *, both):
    """scikit-learn refuses classes that do not occur."""
    values = [
        function(case.truth == k, case.likely[:, k], **weighted(case))
        for k in range(case.classes)
        if (case.truth == k).any() and not (both and (case.truth == k).all())
    ]
    return np.mean(values) if values else math.nan


def log_loss_of(case):
    labels = range(case.classes)
    return sk.log_loss(case.truth, case.likely, labels=labels, **weighted(case))


def brier_of(case):
    if "labels" not in inspect.signature(sk.brier_score_loss).parameters:
        pytest.skip("this scikit-learn has the Brier score of two classes only")
    labels, likely = range(case.classes), case.likely
    return sk.brier_score_loss(case.truth, likely, labels=labels, **weighted(case))


def top_k_of(k):
    def expected(case):
        scores = case.likely[:, 1] if case.classes == 2 else case.likely
        return sk.top_k_accuracy_score(
            case.truth, scores, k=k, labels=range(case.classes), **weighted(case)
        )

    return expected


def calibration_error_of(bins):
    """There is no such number in scikit-learn: the definition, bin by bin."""

    def expected(case):
        binary = case.classes == 2
        expected = case.likely[:, 1] if binary else case.likely.max(axis=1)
        happened = case.truth == (1 if binary else case.likely.argmax(axis=1))
        weights = np.ones(len(expected)) if case.weights is None else case.weights
        edges, error = np.linspace(0, 1, bins + 1), 0.0
        for k in range(bins):
            inside = (expected <= edges[k + 1]) & ((expected > edges[k]) | (k == 0))
            if weights[inside].sum() > 0:
                means = [
                    np.average(v[inside], weights=weights[inside]) for v in (expected, happened)
                ]
                error += weights[inside].sum() / weights.sum() * abs(means[0] - means[1])
        return error

    return expected


def mean_over_labels(expected):
    def mean(case):
        values = []
        for truth, likely, predicted in zip(
            case.truth.T, case.likely.T, case.predicted.T, strict=True
        ):
            both = np.stack([1 - likely, likely], axis=1)
            values.append(expected(SimpleNamespace(
                truth=truth, likely=both, predicted=predicted, classes=2, weights=case.weights,
            )))  # fmt: skip
        known = [value for value in values if not math.isnan(value)]
        return np.mean(known) if known else math.nan

    return mean


def mean_over_targets(function):
    def mean(case):
        case = with_a_weight(case)
        pairs = zip(case.truth.T, case.predicted.T, strict=True)
        return np.mean([function(*pair) for pair in pairs])

    return mean


def from_the_first(function, *, shifts_errors):
    """scikit-learn takes the rounding of the mean of a constant target for its variance."""

    def shifted(case):
        case = with_a_weight(case)
        errors = case.truth - case.predicted
        if len(errors) == 1:  # for which scikit-learn has no r2
            return 1.0 if shifts_errors else (errors == 0).mean()
        errors = errors - errors[0] if shifts_errors else errors
        truth = case.truth - case.truth[0]
        return function(truth, truth - errors, **weighted(case))

    return shifted


def deviance_of(case):
    pairs = zip(case.truth.T, case.predicted.T + 0.25, strict=True)
    return np.mean([sk.mean_poisson_deviance(*pair, **weighted(case)) for pair in pairs])


MACRO = {"average": "macro", "zero_division": 0}
DECIDED = {
    "accuracy": of_decided(sk.accuracy_score),
    "balanced_accuracy": of_decided(sk.balanced_accuracy_score),
    "precision": of_decided(sk.precision_score, **MACRO),
    "recall": of_decided(sk.recall_score, **MACRO),
    "f1": of_decided(sk.f1_score, **MACRO),
    "mcc": of_decided(sk.matthews_corrcoef),
    "cohen_kappa": of_decided(sk.cohen_kappa_score),
}
LIKELY = {
    "auc": auc_of,
    "average_precision": average_precision_of,
    "log_loss": log_loss_of,
    "brier": brier_of,
    "calibration_error": calibration_error_of(10),
    "calibration_error:3": calibration_error_of(3),
}
CLASSES = DECIDED | LIKELY | {f"top_k:{k}": top_k_of(k) for k in (1, 2, 5)}
LABELS = {
    **{name: mean_over_labels(LIKELY[name]) for name in LIKELY},
    **{n: mean_over_labels(DECIDED[n]) for n in ("balanced_accuracy", "mcc", "cohen_kappa")},
    "accuracy": DECIDED["accuracy"],
    "precision": mean_over_labels(of_decided(sk.precision_score, zero_division=0)),
    "recall": mean_over_labels(of_decided(sk.recall_score, zero_division=0)),
    "f1": mean_over_labels(of_decided(sk.f1_score, zero_division=0)),
}  # fmt: skip
VALUES = {
    "mse": of_decided(sk.mean_squared_error),
    "rmse": of_decided(sk.root_mean_squared_error),
    "rmsle": of_decided(sk.root_mean_squared_log_error),
    "mae": of_decided(sk.mean_absolute_error),
    "mape": of_decided(sk.mean_absolute_percentage_error),
    "median_absolute_error": of_decided(sk.median_absolute_error),
    "max_error": mean_over_targets(sk.max_error),
    "r2": from_the_first(sk.r2_score, shifts_errors=False),
    "explained_variance": from_the_first(sk.explained_variance_score, shifts_errors=True),
    "poisson_deviance": deviance_of,
    "quantile_loss": of_decided(sk.mean_pinball_loss),
    "quantile_loss:0.9": of_decided(sk.mean_pinball_loss, alpha=0.9),
}
TASKS = {
    "classification": (classified, CLASSES),
    "multilabel": (labeled, LABELS),
    "regression": (valued, VALUES),
}
CASES = [(task, name) for task, (_, expected) in TASKS.items() for name in expected]


# ---------------------------------------------------------------- tests


def assert_same(found, expected, place):
    both_nan = math.isnan(found) and math.isnan(expected)
    close = abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))
    assert both_nan or close, f"{place}: {found!r}, not {expected!r}"


def test_every_metric_with_a_name_is_checked():
    checked = {(task, name) for task, name in CASES}
    assert checked >= {(task, name) for name, m in METRICS.items() for task in m.functions}


@pytest.mark.parametrize(("task", "name"), CASES)
def test_named_metrics_are_those_of_scikit_learn(task, name):
    drawn, expected = TASKS[task][0], TASKS[task][1][name]
    for seed in SEEDS:
        case = drawn(seed)
        predicted = case.predicted
        if name == "poisson_deviance":
            predicted = predicted + 0.25
        found = measures(
            [name], task, case.truth, predicted, probabilities=case.likely,
            sample_weight=case.weights,
        )[name]  # fmt: skip
        with warnings.catch_warnings(), sklearn.config_context(skip_parameter_validation=True):
            warnings.simplefilter("ignore")
            wanted = float(expected(case))
        assert_same(found, wanted, f"{name} of {task}, seed {seed}")


@pytest.mark.parametrize(("task", "name"), CASES)
def test_whole_weights_are_repeated_samples(task, name):
    for seed in range(60):
        case = TASKS[task][0](seed)
        weights = np.random.default_rng([seed, 4]).integers(0, 4, len(case.truth))
        weights[0] = 2
        given = case.likely if get_metric(name).needs == "probabilities" else case.predicted
        if name == "poisson_deviance":
            given = given + 0.25
        metric = get_metric(name)
        found = metric(task, case.truth, given, weights)
        repeated = metric(task, case.truth.repeat(weights, 0), given.repeat(weights, 0))
        if name in ("precision", "recall", "f1") and task == "classification":
            continue  # of a class that has no weight there is a value
        assert_same(found, repeated, f"{name} of {task}, seed {seed}")


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_kappa_with_distances_is_that_of_scikit_learn(weights):
    for seed in SEEDS:
        case = classified(seed)
        options = {"weights": weights, **weighted(case)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = sk.cohen_kappa_score(case.truth, case.predicted, **options)
        found = metrics.cohen_kappa(case.truth, case.predicted, **options)
        assert_same(found, expected, f"seed {seed}")


def test_coverage_counts_what_is_inside():
    for seed in SEEDS:
        case = valued(seed)
        low, high = case.predicted - 0.5, case.predicted + 1.0
        inside = [[low[i, j] <= y <= high[i, j] for j, y in enumerate(row)]
                  for i, row in enumerate(case.truth)]  # fmt: skip
        expected = np.average(np.mean(inside, axis=1), weights=case.weights)
        found = metrics.coverage(case.truth, low, high, sample_weight=case.weights)
        assert_same(found, expected, f"seed {seed}")
