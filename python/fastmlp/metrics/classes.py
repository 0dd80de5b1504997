"""Metrics of predicted classes.

Labels may be integers, strings or anything else that NumPy can sort. Zero divided by zero is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.validation import choice, finite_array, integer

__all__ = [
    "OF_COUNTS",
    "ClassPairs",
    "Counts",
    "accuracy",
    "balanced_accuracy",
    "class_labels",
    "cohen_kappa",
    "confusion_matrix",
    "f1",
    "label_positions",
    "mcc",
    "precision",
    "recall",
    "require_labels",
    "usable_weights",
]

AVERAGES = ("macro", "micro", "weighted", "binary")
_DISTANCES = ("linear", "quadratic")

Array = NDArray[Any]
Floats = NDArray[np.float64]
Classes = int | ArrayLike | None


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
    return float(np.average(truth == predicted, weights=usable_weights(sample_weight, len(truth))))


def balanced_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean over the classes of the fraction of their samples that are predicted right.

    It is the macro average of `recall` over the classes that occur in `y_true`, so that a rare
    class counts as much as a frequent one.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As for `accuracy`.

    Raises
    ------
    TypeError, ValueError
        As for `accuracy`.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    return _mean_recall(ClassPairs(y_true, y_pred).counts(sample_weight))


def mcc(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Matthews correlation coefficient: the correlation of true and predicted classes.

    It is 1 for perfect predictions and 0 for such that tell nothing about the class, also if only
    one class occurs or only one is predicted.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As for `accuracy`.

    Raises
    ------
    TypeError, ValueError
        As for `accuracy`.

    Notes
    -----
    B. W. Matthews, "Comparison of the predicted and observed secondary structure of T4 phage
    lysozyme", 1975; for more than two classes J. Gorodkin, "Comparing two K-category assignments by
    a K-category correlation coefficient", 2004.

    Examples
    --------
    >>> round(mcc([0, 0, 1, 1], [0, 1, 1, 1]), 4)
    0.5774
    """
    return _correlation(ClassPairs(y_true, y_pred).counts(sample_weight))


def cohen_kappa(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    weights: str | None = None,
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Cohen's kappa: the agreement of true and predicted classes beyond that by chance.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        Labels.
    weights : {"linear", "quadratic"}, optional
        How much a confusion counts: as the distance of the two classes in their order, or its
        square. By default all confusions count the same.
    classes : int or array, optional
        As in `confusion_matrix`; their order matters with `weights`.
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    float
        1 for perfect predictions, 0 for an agreement by chance; NaN if only one class occurs and it
        alone is predicted.

    Raises
    ------
    TypeError, ValueError
        Labels have a wrong shape or are not among `classes`, or `weights` is unknown.

    Notes
    -----
    J. Cohen, "A coefficient of agreement for nominal scales", 1960.

    Examples
    --------
    >>> cohen_kappa([0, 0, 1, 1], [0, 1, 1, 1])
    0.5
    """
    if weights is not None:
        weights = choice("weights", weights, _DISTANCES)
    return _agreement(ClassPairs(y_true, y_pred, classes).counts(sample_weight), weights)


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
    return ClassPairs(y_true, y_pred, classes).matrix(sample_weight)


def precision(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str | None = "macro",
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
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
    sample_weight : array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0; samples are counted with them.

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
    return ClassPairs(y_true, y_pred, classes).counts(sample_weight).precision(average)


def recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str | None = "macro",
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Compute the fraction of the samples of a class that are predicted as it.

    It is ``tp / (tp + fn)`` with the true positives and false negatives of the class. Parameters,
    returned value and errors are those of `precision`.

    Examples
    --------
    >>> recall([0, 0, 1, 1], [0, 1, 1, 1], average=None)
    array([0.5, 1. ])
    """
    return ClassPairs(y_true, y_pred, classes).counts(sample_weight).recall(average)


def f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str | None = "macro",
    classes: Classes = None,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Compute the harmonic mean of precision and recall, ``2 tp / (2 tp + fp + fn)``.

    "macro" is the mean over the classes, not the harmonic mean of the mean precision and recall.
    Parameters, returned value and errors are those of `precision`.

    Examples
    --------
    >>> f1([0, 1, 1, 1], [0, 0, 1, 1], average="binary")
    0.8
    """
    return ClassPairs(y_true, y_pred, classes).counts(sample_weight).f1(average)


class Counts:
    """A confusion matrix, with true positives, true and predicted samples of each class.

    Parameters
    ----------
    labels : array of shape (classes,)
    matrix : array of shape (classes, classes)
        As `confusion_matrix` returns it.
    """

    def __init__(self, labels: Array, matrix: Array) -> None:
        self.labels = labels
        self.matrix = matrix
        self.hits = matrix.diagonal()
        self.true = matrix.sum(axis=1)
        self.predicted = matrix.sum(axis=0)

    def precision(self, average: str | None) -> float | Floats:
        """Return the precision of each class, or an average of them."""
        return self._averaged(self.hits, self.predicted, average)

    def recall(self, average: str | None) -> float | Floats:
        """Return the recall of each class, or an average of them."""
        return self._averaged(self.hits, self.true, average)

    def f1(self, average: str | None) -> float | Floats:
        """Return the F1 of each class, or an average of them."""
        return self._averaged(2 * self.hits, self.true + self.predicted, average)

    def _averaged(
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


class ClassPairs:
    """True and predicted classes of samples, which can be counted with several weights.

    Parameters are those of `confusion_matrix`, and so are the errors.
    """

    def __init__(self, y_true: object, y_pred: object, classes: object = None) -> None:
        truth, predicted = _label_pair(y_true, y_pred)
        self._labels = class_labels(classes, truth, predicted)
        rows = label_positions("y_true", truth, self._labels)
        columns = label_positions("y_pred", predicted, self._labels)
        self._cells = rows * len(self._labels) + columns

    def matrix(self, sample_weight: ArrayLike | None) -> NDArray[np.int64] | Floats:
        """Return the confusion matrix of these weights, or of counts without."""
        weights, size = usable_weights(sample_weight, len(self._cells)), len(self._labels)
        return np.bincount(self._cells, weights, minlength=size * size).reshape(size, size)

    def counts(self, sample_weight: ArrayLike | None) -> Counts:
        """Return the confusion matrix with its sums."""
        return Counts(self._labels, self.matrix(sample_weight))


def _mean_recall(counts: Counts) -> float:
    occurs = counts.true > 0
    return float(np.mean(counts.hits[occurs] / counts.true[occurs]))


def _correlation(counts: Counts) -> float:
    # Each by its own sum, so that the share of a class that is alone is 1 exactly.
    true, predicted = counts.true / counts.true.sum(), counts.predicted / counts.predicted.sum()
    spreads = (true * (1.0 - true)).sum() * (predicted * (1.0 - predicted)).sum()
    shared = counts.hits.sum() / counts.true.sum() - true @ predicted
    return float(shared / math.sqrt(spreads)) if spreads > 0 else 0.0


def _agreement(counts: Counts, weights: str | None = None) -> float:
    places = np.arange(len(counts.labels), dtype=np.float64)
    distances = np.abs(places[:, np.newaxis] - places)
    distances = distances**2 if weights == "quadratic" else distances
    if weights is None:
        distances = np.minimum(distances, 1.0)
    total = counts.matrix.sum()
    by_chance = (distances * np.outer(counts.true, counts.predicted / total)).sum()
    if by_chance == 0:
        return math.nan
    return float(1.0 - (distances * counts.matrix).sum() / by_chance)


# Measures of classes that the confusion matrix determines, by name.
OF_COUNTS: Mapping[str, Callable[[Counts], float]] = MappingProxyType(
    {
        "balanced_accuracy": _mean_recall,
        "precision": lambda counts: float(counts.precision("macro")),
        "recall": lambda counts: float(counts.recall("macro")),
        "f1": lambda counts: float(counts.f1("macro")),
        "mcc": _correlation,
        "cohen_kappa": _agreement,
    }
)


def usable_weights(sample_weight: ArrayLike | None, count: int) -> Floats | None:
    """Return checked weights as float64 of shape (count,), or None."""
    if sample_weight is None:
        return None
    weights: Floats = finite_array("sample_weight", sample_weight, np.float64)
    if weights.shape != (count,) or weights.min() < 0 or not weights.any():
        raise ValueError(
            f"sample_weight must hold a weight >= 0 for each of {count} samples, not all 0"
        )
    return weights


def _label_pair(y_true: object, y_pred: object) -> tuple[Array, Array]:
    truth, predicted = require_labels("y_true", y_true), require_labels("y_pred", y_pred)
    if len(truth) != len(predicted):
        raise ValueError(
            f"y_pred must have one label per sample: {len(truth)} needed, got {len(predicted)}"
        )
    if len(truth) == 0:
        raise ValueError("y_true must have at least one sample, got 0")
    _require_same_kind("y_pred", predicted, truth)
    return truth, predicted


def require_labels(name: str, value: object) -> Array:
    """Return labels of shape (samples,), none of them NaN."""
    labels = np.asarray(value)
    if labels.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension (one label per sample), got {labels.ndim}")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"{name} must hold no NaN")
    return labels


def _require_same_kind(name: str, labels: Array, truth: Array) -> None:
    # NumPy would compare the label 1 with the label "1" as text.
    if (labels.dtype.kind in "biuf") != (truth.dtype.kind in "biuf"):
        raise TypeError(
            f"{name} must hold labels of the kind of y_true, {truth.dtype}, got {labels.dtype}"
        )


def class_labels(classes: object, truth: Array, predicted: Array) -> Array:
    """Return the labels of the classes: those given, 0 up to a number, or those that occur."""
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


def label_positions(name: str, values: Array, labels: Array) -> NDArray[np.int64]:
    """Return the position of each value among the labels; raise ValueError if it has none."""
    order = np.argsort(labels)
    found = np.searchsorted(labels, values, sorter=order)
    positions: NDArray[np.int64] = order[found.clip(max=len(labels) - 1)]
    unknown = labels[positions] != values
    if unknown.any():
        raise ValueError(
            f"{name} must hold labels among classes, got {values[unknown][0].item()!r}"
        )
    return positions
