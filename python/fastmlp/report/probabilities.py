"""The section of a report about the probabilities of classes: curves, thresholds, calibration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import metrics
from fastmlp.report import figures
from fastmlp.report.page import Block, Column, Section, Table, number, percent
from fastmlp.report.subject import Subject

__all__ = ["probability_sections"]

THRESHOLDS = tuple(i / 10 for i in range(1, 10))
# Below this share of a class, thresholds are such that these shares are called positive.
_RARE = 0.2
_CALLED = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


def probability_sections(subject: Subject) -> Iterator[Section]:
    """Yield the section about probabilities, if the model has them."""
    probabilities = subject.evaluation.probabilities
    if probabilities is None or not np.isfinite(probabilities).all():
        return
    shares = np.asarray(probabilities, np.float64)
    if subject.evaluation.task == "multilabel":
        yield from _of_labels(subject, shares)
    elif shares.shape[1] == 2:
        yield from _of_two(subject, shares)
    else:
        yield from _of_many(subject, shares)


def _of_two(subject: Subject, shares: NDArray[np.float64]) -> Iterator[Section]:
    """Yield the curves and the thresholds of two classes, of which the second is positive."""
    y, weight = np.asarray(subject.samples.y), subject.samples.weight
    positive = subject.outputs[1]
    scores = shares[:, 1]
    if len(np.unique(y)) < 2:
        return
    area = metrics.auc(y, shares, sample_weight=weight)
    false_rates, true_rates, _ = metrics.roc_curve(y, scores, sample_weight=weight)
    precision, recall, _ = metrics.precision_recall_curve(y, scores, sample_weight=weight)
    bins = metrics.calibration_curve(y, scores, sample_weight=weight)
    share = float(np.average(y == 1, weights=weight))
    blocks: list[Block] = [
        figures.roc_curve(false_rates, true_rates, area, positive),
        figures.precision_recall_curve(precision, recall, share, positive),
        figures.calibration_curve(*bins, f"the probability of {positive}"),
        _thresholds(subject, y, scores),
    ]
    text = (
        f"Positive is the class {positive}, the second one. A sample is called positive if its "
        f"probability reaches a threshold; predictions of the class use 0.5. A lower threshold "
        "finds more of the positives, a higher one is right more often when it says so."
        f"{_about_smoothing(subject)}",
    )
    yield Section("probabilities", "Probabilities and thresholds", text, blocks=tuple(blocks))


def _about_smoothing(subject: Subject) -> str:
    share = getattr(subject.model.architecture.losses[0], "smoothing", 0.0)
    if not share:
        return ""
    return (
        f" The training smooths its targets by {number(share)}, which improves decisions and keeps "
        "probabilities away from 0 and 1."
    )


def _limits(y: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return thresholds that call many and few samples positive, also if one class is rare."""
    share = float(np.mean(y == 1))
    if _RARE <= share <= 1 - _RARE:
        return np.array(THRESHOLDS)
    called = np.array(_CALLED if share < _RARE else [1 - each for each in _CALLED])
    return np.unique(np.append(np.quantile(scores, 1 - called).round(4), 0.5))


def _thresholds(subject: Subject, y: NDArray[Any], scores: NDArray[np.float64]) -> Table:
    limits, weight = _limits(y, scores), subject.samples.weight
    found = metrics.threshold_table(y, scores, limits, sample_weight=weight)
    heads = ("Threshold", "Precision", "Recall", "F1", "Called positive", "Accuracy")
    shares = zip(
        found.precisions.tolist(), found.recalls.tolist(), found.f1s.tolist(),
        found.positive_shares.tolist(), found.accuracies.tolist(), strict=True,
    )  # fmt: skip
    rows = tuple(
        (number(threshold), *map(percent, each))
        for threshold, each in zip(found.thresholds.tolist(), shares, strict=True)
    )
    columns = tuple(Column(head, numeric=True) for head in heads)
    return Table(f"What each threshold for {subject.outputs[1]} gives", columns, rows)


def _of_many(subject: Subject, shares: NDArray[np.float64]) -> Iterator[Section]:
    """Yield the calibration of the predicted class of several."""
    y = np.asarray(subject.samples.y)
    right = (shares.argmax(axis=1) == y).astype(np.int64)
    bins = metrics.calibration_curve(
        right, shares.max(axis=1), sample_weight=subject.samples.weight
    )
    text = (
        "How often the predicted class is right, by the probability that the model gives to it."
        f"{_about_smoothing(subject)}",
    )
    picture = figures.calibration_curve(*bins, "the probability of the predicted class")
    yield Section("probabilities", "Probabilities", text, blocks=(picture,))


def _of_labels(subject: Subject, shares: NDArray[np.float64]) -> Iterator[Section]:
    """Yield the calibration of all labels together."""
    y = np.asarray(subject.samples.y).reshape(shares.shape)
    weight = subject.samples.weight
    each = None if weight is None else np.repeat(weight, shares.shape[1])
    bins = metrics.calibration_curve(
        (y > 0.5).astype(np.int64).ravel(), shares.ravel(), sample_weight=each
    )
    text = ("How often a label is there, by the probability that the model gives to it.",)
    picture = figures.calibration_curve(*bins, "the probability of a label")
    yield Section("probabilities", "Probabilities", text, blocks=(picture,))
