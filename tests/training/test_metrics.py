"""Measures of classes and distributions: by hand, by their laws, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import metrics
from fastmlp.history import BestValue
from support.tolerance import gamma

QUOTIENTS = {"precision": metrics.precision, "recall": metrics.recall, "f1": metrics.f1}
AVERAGES = (None, "macro", "micro", "weighted")
# Of class 0 both samples are found, of class 1 one of three, of class 2 none of the one.
TRUE = [0, 0, 1, 1, 1, 2]
PREDICTED = [0, 0, 1, 0, 2, 1]
quotients = pytest.mark.parametrize("name", QUOTIENTS)

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


# ---------------------------------------------------------------- classes, by hand


def test_accuracy():
    assert metrics.accuracy(TRUE, PREDICTED) == 0.5
    assert metrics.accuracy(np.array(["a", "b"]), np.array(["a", "b"])) == 1
    assert isinstance(metrics.accuracy([1], [0]), float)


def test_confusion_matrix():
    matrix = metrics.confusion_matrix(TRUE, PREDICTED)
    np.testing.assert_array_equal(matrix, [[2, 0, 0], [1, 1, 1], [0, 1, 0]])
    assert matrix.dtype == np.int64


def test_classes_that_do_not_occur_have_a_row_and_a_column():
    matrix = metrics.confusion_matrix([0, 2], [2, 2], classes=4)
    expected = np.zeros((4, 4))
    expected[0, 2] = expected[2, 2] = 1
    np.testing.assert_array_equal(matrix, expected)


def test_classes_come_in_the_order_given():
    matrix = metrics.confusion_matrix(["b", "a", "b"], ["b", "b", "c"], classes=["c", "b", "a"])
    np.testing.assert_array_equal(matrix, [[0, 0, 0], [1, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, str, object])
def test_labels_of_any_type(kind):
    matrix = metrics.confusion_matrix(np.array([7, 3, 7], kind), np.array([3, 3, 7], kind))
    np.testing.assert_array_equal(matrix, [[1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("name", "per_class", "macro", "weighted"),
    [
        ("precision", [2 / 3, 1 / 2, 0], 7 / 18, 17 / 36),
        ("recall", [1, 1 / 3, 0], 4 / 9, 1 / 2),
        ("f1", [4 / 5, 2 / 5, 0], 2 / 5, 7 / 15),
    ],
)
def test_quotients_by_hand(name, per_class, macro, weighted):
    function = QUOTIENTS[name]
    values = function(TRUE, PREDICTED, average=None)
    np.testing.assert_allclose(values, per_class, rtol=1e-15)
    assert values.dtype == np.float64
    assert function(TRUE, PREDICTED) == pytest.approx(macro, rel=1e-15)
    assert function(TRUE, PREDICTED, average="weighted") == pytest.approx(weighted, rel=1e-15)
    assert function(TRUE, PREDICTED, average="micro") == 0.5


@pytest.mark.parametrize(("name", "value"), [("precision", 2 / 3), ("recall", 0.5), ("f1", 4 / 7)])
def test_the_value_of_the_positive_class(name, value):
    truth, predicted = [1, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 1, 0, 0]
    function = QUOTIENTS[name]
    assert function(truth, predicted, average="binary") == value
    booleans = np.array(truth, bool), np.array(predicted, bool)
    assert function(*booleans, average="binary") == value
    assert function(truth, predicted, average="binary", classes=2) == value
    assert function(truth, predicted, average="binary", classes=[1, 0]) == value


@quotients
def test_nothing_divided_by_nothing_is_zero(name):
    function = QUOTIENTS[name]
    assert function([0, 0], [0, 0], average="binary") == 0
    assert function([0, 0], [0, 1], average="binary") == 0
    np.testing.assert_array_equal(function([0, 0], [0, 0], average=None, classes=3), [1, 0, 0])
    assert function([0, 0], [0, 0], classes=4) == 0.25


# ---------------------------------------------------------------- classes, by law


@given(pairs=labels)
def test_laws_of_the_confusion_matrix(pairs):
    truth, predicted = np.array(pairs).T
    matrix = metrics.confusion_matrix(truth, predicted, classes=5)
    np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(truth, minlength=5))
    np.testing.assert_array_equal(matrix.sum(axis=0), np.bincount(predicted, minlength=5))
    np.testing.assert_array_equal(matrix.T, metrics.confusion_matrix(predicted, truth, classes=5))
    assert np.trace(matrix) / len(truth) == metrics.accuracy(truth, predicted)


@given(pairs=labels)
def test_laws_of_the_quotients(pairs):
    truth, predicted = np.array(pairs).T
    accuracy = metrics.accuracy(truth, predicted)
    for function in QUOTIENTS.values():
        assert function(truth, predicted, average="micro") == accuracy
    # Each class recalls its hits of its samples, and is weighted with these.
    weighted = metrics.recall(truth, predicted, average="weighted")
    assert weighted == pytest.approx(accuracy, rel=gamma(20, np.float64))
    swapped = metrics.precision(predicted, truth, average=None)
    np.testing.assert_array_equal(metrics.recall(truth, predicted, average=None), swapped)


@pytest.mark.parametrize("average", AVERAGES)
@quotients
@given(pairs=labels)
def test_quotients_agree_with_scikit_learn(name, average, pairs):
    peer = pytest.importorskip("sklearn.metrics")
    truth, predicted = np.array(pairs).T
    theirs = getattr(peer, f"{name}_score")(truth, predicted, average=average, zero_division=0)
    ours = QUOTIENTS[name](truth, predicted, average=average)
    np.testing.assert_allclose(ours, theirs, rtol=gamma(20, np.float64))
    theirs = peer.confusion_matrix(truth, predicted, labels=range(5))
    np.testing.assert_array_equal(metrics.confusion_matrix(truth, predicted, 5), theirs)
    assert metrics.accuracy(truth, predicted) == peer.accuracy_score(truth, predicted)


@quotients
@given(pairs=labels)
def test_the_positive_class_agrees_with_scikit_learn(name, pairs):
    peer = pytest.importorskip("sklearn.metrics")
    truth, predicted = np.array(pairs).T % 2
    theirs = getattr(peer, f"{name}_score")(truth, predicted, average="binary", zero_division=0)
    ours = QUOTIENTS[name](truth, predicted, average="binary")
    assert ours == pytest.approx(theirs, rel=gamma(4, np.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([], []), "y_true must have at least one sample, got 0"),
        (lambda: metrics.accuracy([1, 2], [1]), "y_pred must have one label per sample: 2 needed"),
        (lambda: metrics.accuracy([[1]], [[1]]), "y_true must have 1 dimension .* got 2"),
        (lambda: metrics.accuracy([1], [[0, 1]]), "y_pred must have 1 dimension .* got 2"),
        (lambda: metrics.accuracy([1], ["1"]), "y_pred must hold labels of the kind of y_true"),
        (lambda: metrics.accuracy([math.nan], [1]), "y_true must hold no NaN"),
        (lambda: metrics.f1([1], [1], average="mean"), "average must be one of .* got 'mean'"),
        (lambda: metrics.f1([1], [1], average=2), "average must be a string"),
        (lambda: metrics.f1([1, 2], [1, 2], average="binary"), r"classes 0 and 1, got \[1, 2\]"),
        (lambda: metrics.f1([1], [1], average="binary", classes=3), r"got \[0, 1, 2\]"),
        (lambda: metrics.confusion_matrix([3], [0], 3), "y_true must hold labels among .* got 3"),
        (lambda: metrics.confusion_matrix([0], [-1], 3), "y_pred must hold labels among .* got -1"),
        (lambda: metrics.confusion_matrix([0.5], [0.0], 3), "y_true must hold labels .* got 0.5"),
        (lambda: metrics.confusion_matrix(["a"], ["b"], ["b"]), "y_true must hold .* got 'a'"),
        (lambda: metrics.confusion_matrix(["1"], ["1"], [1]), "classes must hold labels of the"),
        (lambda: metrics.confusion_matrix([0], [0], 0), "classes must be >= 1, got 0"),
        (lambda: metrics.confusion_matrix([0], [0], 1.5), "classes must be an integer"),
        (lambda: metrics.confusion_matrix([0], [0], [0, 0]), "classes must be .* distinct labels"),
        (lambda: metrics.confusion_matrix([0], [0], [[0]]), "classes must be .* of shape"),
    ],
)
def test_bad_labels_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# ---------------------------------------------------------------- distributions


LN2, LN3 = math.log(2), math.log(3)


@pytest.mark.parametrize(
    ("p", "nats"),
    [
        ([1.0], 0),
        ([0, 1, 0], 0),
        ([0.5, 0.5], LN2),
        ([0.25] * 4, 2 * LN2),
        ([0.5, 0.25, 0.125, 0.125], 1.75 * LN2),
        ([0.75, 0.25], 2 * LN2 - 0.75 * LN3),
    ],
)
def test_entropy_by_hand(p, nats):
    value = metrics.entropy(p)
    assert value == pytest.approx(nats, rel=1e-15)
    assert math.copysign(1, value) == 1
    assert metrics.entropy(p, base=2) == pytest.approx(nats / LN2, rel=1e-15)


@pytest.mark.parametrize(
    ("p", "q", "cross", "divergence"),
    [
        ([0.5, 0.5], [0.25, 0.75], 2 * LN2 - 0.5 * LN3, LN2 - 0.5 * LN3),
        ([1, 0], [0.5, 0.5], LN2, LN2),
        ([0.5, 0.5], [1, 0], math.inf, math.inf),
        ([1, 0], [1, 0], 0, 0),
        ([0.5, 0.5, 0], [0.25, 0.25, 0.5], 2 * LN2, LN2),
        ([0.75, 0.25], [0.5, 0.5], LN2, 0.75 * LN3 - LN2),
    ],
)
def test_cross_entropy_and_divergence_by_hand(p, q, cross, divergence):
    for value, expected in (
        (metrics.cross_entropy(p, q), cross),
        (metrics.kl_divergence(p, q), divergence),
    ):
        assert value == pytest.approx(expected, rel=4e-15)
        assert math.copysign(1, value) == 1
    assert metrics.cross_entropy(p, q, base=2) == pytest.approx(cross / LN2, rel=4e-15)
    assert metrics.kl_divergence(p, q, base=2) == pytest.approx(divergence / LN2, rel=4e-15)


def test_the_smallest_probabilities_neither_overflow_nor_vanish():
    tiny = 5e-324
    assert metrics.cross_entropy([0, 1], [1, tiny]) == pytest.approx(-math.log(tiny))
    assert metrics.kl_divergence([tiny, 1], [1, tiny]) == pytest.approx(-math.log(tiny))


def test_distributions_lie_along_the_last_axis():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(5), (3, 4)), rng.dirichlet(np.ones(5), 4)
    for function in (metrics.cross_entropy, metrics.kl_divergence):
        values = function(p, q)
        assert values.shape == (3, 4)
        assert values.dtype == np.float64
        for i in np.ndindex(3, 4):
            assert values[i] == pytest.approx(function(p[i], q[i[1]]), rel=1e-14)
    assert metrics.entropy(p).shape == (3, 4)
    assert isinstance(metrics.entropy(p[0, 0]), float)
    assert metrics.entropy(np.zeros((0, 5))).shape == (0,)


@given(seed=st.integers(0, 2**32 - 1), outcomes=st.integers(1, 50))
def test_laws_of_the_divergence(seed, outcomes):
    p, q = np.random.default_rng(seed).dirichlet(np.ones(outcomes), 2)
    cross, own = metrics.cross_entropy(p, q), metrics.entropy(p)
    # The 1 is for probabilities whose sum is 1 but for rounding.
    bound = gamma(outcomes + 8, np.float64) * (cross + own + 1)
    lost = cross - own
    assert abs(metrics.kl_divergence(p, q) - lost) <= bound
    assert metrics.kl_divergence(p, q) >= -bound  # Gibbs' inequality
    assert metrics.kl_divergence(p, p) == 0
    assert own <= math.log(outcomes) + bound


def test_probabilities_in_single_precision_need_not_sum_to_one_in_double():
    p = np.array([1, 1, 1], np.float32) / np.float32(3.0001)
    assert metrics.entropy(p) == pytest.approx(LN3, rel=1e-4)
    with pytest.raises(ValueError, match="p must sum to 1"):
        metrics.entropy(p.astype(np.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.entropy([0.5, 0.4]), "p must sum to 1 along its last axis, got 0.9"),
        (lambda: metrics.entropy([[0.5, 0.5], [1, 1]]), "p must sum to 1 .* got 2"),
        (lambda: metrics.entropy([1.5, -0.5]), "p must be >= 0, got -0.5"),
        (lambda: metrics.entropy([math.nan, 1]), r"p must be finite in float64, got nan at \[0\]"),
        (lambda: metrics.entropy([math.inf, 0]), "p must be finite"),
        (lambda: metrics.entropy(["a"]), "p must be an array of real numbers"),
        (lambda: metrics.entropy([]), "p must have outcomes along its last axis"),
        (lambda: metrics.entropy(1.0), "p must have outcomes along its last axis"),
        (lambda: metrics.entropy([1.0], base=1), "base must be > 1, got 1"),
        (lambda: metrics.entropy([1.0], base=0.5), "base must be finite and >= 1, got 0.5"),
        (lambda: metrics.entropy([1.0], base="2"), "base must be a real number"),
        (lambda: metrics.kl_divergence([1, 0], [0.5, 0.4]), "q must sum to 1"),
        (lambda: metrics.kl_divergence([1, 0], [1.5, -0.5]), "q must be >= 0, got -0.5"),
        (lambda: metrics.cross_entropy([1], [0.5, 0.5]), "q must have as many outcomes as p: 1"),
    ],
)
def test_what_is_no_distribution_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# ---------------------------------------------------------------- the best value


@pytest.mark.parametrize(
    ("monitor", "mode", "larger"),
    [
        ("loss", "auto", False),
        ("val_accuracy", "auto", True),
        ("val_f1", "auto", True),
        ("recall", "auto", True),
        ("seconds", "auto", False),
        ("accuracy_loss", "auto", False),
        ("loss", "max", True),
        ("accuracy", "min", False),
    ],
)
def test_which_way_is_better(monitor, mode, larger):
    best = BestValue(monitor, mode)
    seen = [best.update({monitor: value}) for value in (2.0, 2.0, 3.0, 1.0)]
    assert seen == [True, False, larger, not larger]
    assert best.value == (3.0 if larger else 1.0)


def test_small_changes_are_measured_from_the_best_value_not_from_the_last():
    best = BestValue("loss", "auto", 1.0)
    values = (10.0, 9.5, 9.0, 8.5, 8.0, 7.0)
    seen = [best.update({"loss": value}) for value in values]
    assert seen == [True, False, False, True, False, True]
