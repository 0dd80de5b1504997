"""Metrics of predicted classes and of probability distributions.

Labels may be integers, strings or anything else that NumPy can sort. Zero divided by zero is 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.validation import choice, finite_array, integer, real

__all__ = [
    "accuracy",
    "confusion_matrix",
    "cross_entropy",
    "entropy",
    "f1",
    "kl_divergence",
    "precision",
    "recall",
]


def __dir__() -> list[str]:
    return __all__


AVERAGES = ("macro", "micro", "weighted", "binary")

Array = NDArray[Any]
Floats = NDArray[np.float64]
Classes = int | ArrayLike | None


# ---------------------------------------------------------------- classes


def accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Fraction of samples whose predicted class is the true one.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        Labels.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Raises
    ------
    ValueError
        The shapes differ, are not one-dimensional, or hold no sample.

    Examples
    --------
    >>> accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """
    truth, predicted = _label_pair(y_true, y_pred)
    return float(np.average(truth == predicted, weights=_weights(sample_weight, len(truth))))


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    classes: Classes = None,
    *,
    sample_weight: ArrayLike | None = None,
) -> NDArray[np.int64] | Floats:
    """Count the samples of each class by predicted class, or add up their weights.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        Labels.
    classes : int or array, optional
        A number of classes, for the labels 0..classes-1, or an array of labels in the wanted order.
        The default is the sorted labels that occur.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    array of shape (classes, classes)
        Rows are true classes, columns predicted ones; int64 counts, or float64 sums of weights.

    Raises
    ------
    TypeError, ValueError
        Labels have a wrong shape or are not among `classes`.

    Examples
    --------
    >>> confusion_matrix(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    array([[1, 0],
           [1, 1]])
    """
    truth, predicted = _label_pair(y_true, y_pred)
    labels = _class_labels(classes, truth, predicted)
    rows = _positions("y_true", truth, labels)
    columns = _positions("y_pred", predicted, labels)
    size = len(labels)
    cells, weights = rows * size + columns, _weights(sample_weight, len(truth))
    return np.bincount(cells, weights, minlength=size * size).reshape(size, size)


def precision(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: str | None = "macro", classes: Classes = None
) -> float | Floats:
    """Compute the fraction of the samples predicted as a class that belong to it.

    It is ``tp / (tp + fp)`` with the true and false positives of the class.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        Labels.
    average : {"macro", "micro", "weighted", "binary"} or None
        - None: one value per class, in the order of `confusion_matrix`.
        - "macro": their mean; "weighted": their mean weighted by the samples of each class.
        - "micro": from the counts of all classes together, which for one label per sample is the
          accuracy.
        - "binary": the value of class 1, where the classes are 0 and 1.
    classes : int or array, optional
        As in `confusion_matrix`.

    Returns
    -------
    float, or float64 array of shape (classes,) without average

    Raises
    ------
    TypeError, ValueError
        Labels have a wrong shape or are not among `classes`, the average is unknown, or "binary" is
        used with other classes than 0 and 1.

    Notes
    -----
    C. J. van Rijsbergen, "Information retrieval", second edition, 1979, chapter 7.

    Examples
    --------
    >>> precision([0, 1, 1, 1], [0, 0, 1, 1], average=None)
    array([0.5, 1. ])
    """
    counts = _Counts(y_true, y_pred, classes)
    return counts.averaged(counts.hits, counts.predicted, average)


def recall(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: str | None = "macro", classes: Classes = None
) -> float | Floats:
    """Compute the fraction of the samples of a class that are predicted as it.

    It is ``tp / (tp + fn)`` with the true positives and false negatives of the class. Parameters,
    returned value and errors are those of `precision`.

    Examples
    --------
    >>> recall([0, 0, 1, 1], [0, 1, 1, 1], average=None)
    array([0.5, 1. ])
    """
    counts = _Counts(y_true, y_pred, classes)
    return counts.averaged(counts.hits, counts.true, average)


def f1(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: str | None = "macro", classes: Classes = None
) -> float | Floats:
    """Compute the harmonic mean of precision and recall, ``2 tp / (2 tp + fp + fn)``.

    "macro" is the mean over the classes, not the harmonic mean of the mean precision and recall.
    Parameters, returned value and errors are those of `precision`.

    Examples
    --------
    >>> f1([0, 1, 1, 1], [0, 0, 1, 1], average="binary")
    0.8
    """
    counts = _Counts(y_true, y_pred, classes)
    return counts.averaged(2 * counts.hits, counts.true + counts.predicted, average)


class _Counts:
    """True positives, true and predicted samples of each class."""

    def __init__(self, y_true: object, y_pred: object, classes: object) -> None:
        truth, predicted = _label_pair(y_true, y_pred)
        self.labels = _class_labels(classes, truth, predicted)
        matrix = confusion_matrix(truth, predicted, self.labels)
        self.hits = matrix.diagonal()
        self.true = matrix.sum(axis=1)
        self.predicted = matrix.sum(axis=0)

    def averaged(
        self, numerators: Array, denominators: Array, average: str | None
    ) -> float | Floats:
        if average is not None:
            average = choice("average", average, AVERAGES)
        if average == "micro":
            numerators, denominators = numerators.sum()[None], denominators.sum()[None]
        values = np.zeros(len(numerators))
        np.divide(numerators, denominators, out=values, where=denominators != 0)
        if average is None:
            return values
        if average == "binary":
            if not np.isin(self.labels, (0, 1)).all():
                raise ValueError(
                    f"average 'binary' must have the classes 0 and 1, got {self.labels.tolist()}"
                )
            return float(values[self.labels == 1].sum())
        return float(np.average(values, weights=self.true if average == "weighted" else None))


def _weights(sample_weight: ArrayLike | None, count: int) -> Floats | None:
    """Return checked weights as float64, or None."""
    if sample_weight is None:
        return None
    weights: Floats = finite_array("sample_weight", sample_weight, np.float64)
    if weights.shape != (count,) or weights.min() < 0 or not weights.any():
        raise ValueError(
            f"sample_weight must hold a weight >= 0 for each of {count} samples, not all 0"
        )
    return weights


def _label_pair(y_true: object, y_pred: object) -> tuple[Array, Array]:
    truth, predicted = np.asarray(y_true), np.asarray(y_pred)
    for name, labels in (("y_true", truth), ("y_pred", predicted)):
        if labels.ndim != 1:
            raise ValueError(
                f"{name} must have 1 dimension (one label per sample), got {labels.ndim}"
            )
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise ValueError(f"{name} must hold no NaN")
    if len(truth) != len(predicted):
        raise ValueError(
            f"y_pred must have one label per sample: {len(truth)} needed, got {len(predicted)}"
        )
    if len(truth) == 0:
        raise ValueError("y_true must have at least one sample, got 0")
    _require_same_kind("y_pred", predicted, truth)
    return truth, predicted


def _require_same_kind(name: str, labels: Array, truth: Array) -> None:
    # NumPy would compare the label 1 with the label "1" as text.
    if (labels.dtype.kind in "biuf") != (truth.dtype.kind in "biuf"):
        raise TypeError(
            f"{name} must hold labels of the kind of y_true, {truth.dtype}, got {labels.dtype}"
        )


def _class_labels(classes: object, truth: Array, predicted: Array) -> Array:
    if classes is None:
        return np.union1d(truth, predicted)
    labels = np.asarray(classes)
    if labels.ndim == 0:
        labels = np.arange(integer("classes", classes, 1))
    if labels.ndim != 1 or len(np.unique(labels)) != len(labels) or len(labels) == 0:
        raise ValueError(
            f"classes must be a number or distinct labels of shape (classes,), got {classes!r}"
        )
    _require_same_kind("classes", labels, truth)
    return labels


def _positions(name: str, values: Array, labels: Array) -> NDArray[np.int64]:
    order = np.argsort(labels)
    found = np.searchsorted(labels, values, sorter=order)
    positions: NDArray[np.int64] = order[found.clip(max=len(labels) - 1)]
    unknown = labels[positions] != values
    if unknown.any():
        raise ValueError(
            f"{name} must hold labels among classes, got {values[unknown][0].item()!r}"
        )
    return positions


# ---------------------------------------------------------------- distributions


def entropy(p: ArrayLike, *, base: float = math.e) -> np.float64 | Floats:
    """Compute the entropy of a distribution, ``-sum(p log p)`` along the last axis.

    Parameters
    ----------
    p : array of shape (..., outcomes)
        Probabilities: >= 0 and with a sum of 1. ``0 log 0`` counts as 0.
    base : float
        Base > 1 of the logarithm: e for nats, 2 for bits.

    Returns
    -------
    float64 array of shape (...), a number for one distribution

    Raises
    ------
    TypeError, ValueError
        The last axis holds no distribution, or the base is wrong.

    Notes
    -----
    C. E. Shannon, "A mathematical theory of communication", 1948.

    Examples
    --------
    >>> float(entropy([0.5, 0.25, 0.25], base=2))
    1.5
    """
    probabilities = _distribution("p", p)
    return _expectation(probabilities, -_log(probabilities), base)


def cross_entropy(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> np.float64 | Floats:
    """Compute the cross-entropy of two distributions, ``-sum(p log q)`` along the last axis.

    It is the mean code length of outcomes of `p` with a code made for `q`.

    Parameters
    ----------
    p, q : array of shape (..., outcomes)
        Probabilities as in `entropy`; the shapes are broadcast against each other.
    base : float
        As in `entropy`.

    Returns
    -------
    float64 array of shape (...), a number for one distribution
        Infinite where an outcome that `q` excludes is possible in `p`.

    Raises
    ------
    TypeError, ValueError
        As in `entropy`, or the shapes cannot be broadcast.

    Examples
    --------
    >>> float(cross_entropy([1.0, 0.0], [0.25, 0.75], base=2))
    2.0
    """
    truth, model = _distribution_pair(p, q)
    return _expectation(truth, -_log(model), base)


def kl_divergence(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> np.float64 | Floats:
    """Compute the Kullback-Leibler divergence, ``sum(p log(p / q))`` along the last axis.

    Parameters, returned value and errors are those of `cross_entropy`.

    Notes
    -----
    S. Kullback, R. A. Leibler, "On information and sufficiency", 1951.

    Examples
    --------
    >>> float(kl_divergence([1.0, 0.0], [0.25, 0.75], base=2))
    2.0
    """
    truth, model = _distribution_pair(p, q)
    with np.errstate(invalid="ignore"):  # 0 and 0: the difference of two infinities is not used
        lost = _log(truth) - _log(model)
    return _expectation(truth, lost, base)


def _log(probabilities: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def _expectation(probabilities: Floats, values: Floats, base: float) -> np.float64 | Floats:
    base = real("base", base, 1.0)
    if base == 1.0:
        raise ValueError(f"base must be > 1, got {base}")
    terms = np.zeros(np.broadcast_shapes(probabilities.shape, values.shape))
    np.multiply(probabilities, values, out=terms, where=probabilities > 0)
    return np.asarray(terms.sum(axis=-1) / math.log(base))[()]


def _distribution(name: str, value: object) -> Floats:
    array: Floats = finite_array(name, value, np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have outcomes along its last axis, got shape {array.shape}")
    if array.min(initial=0.0) < 0:
        raise ValueError(f"{name} must be >= 0, got {array.min()}")
    # As numpy.random.Generator.choice: half the digits of the dtype that was passed.
    given = np.asarray(value).dtype
    tolerance = math.sqrt(np.finfo(given if given.kind == "f" else np.float64).eps)
    sums = array.sum(axis=-1)
    wrong = np.abs(sums - 1) > tolerance
    if wrong.any():
        raise ValueError(f"{name} must sum to 1 along its last axis, got {sums[wrong].flat[0]}")
    return array


def _distribution_pair(p: object, q: object) -> tuple[Floats, Floats]:
    truth, model = _distribution("p", p), _distribution("q", q)
    if truth.shape[-1] != model.shape[-1]:
        raise ValueError(
            f"q must have as many outcomes as p: {truth.shape[-1]} needed, got {model.shape[-1]}"
        )
    return truth, model
