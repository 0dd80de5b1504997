"""Metrics by name, as the choice of the best epoch and other comparisons of models use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.errors import did_you_mean
from fastmlp.metrics.classes import OF_COUNTS, ClassPairs, Counts, accuracy
from fastmlp.metrics.probabilities import (
    Statistic,
    area_statistic,
    average_precision_statistic,
    brier_statistic,
    calibration_statistic,
    log_loss_statistic,
    top_k_statistic,
)
from fastmlp.metrics.values import (
    explained_variance,
    mae,
    mape,
    max_error,
    median_absolute_error,
    mse,
    poisson_deviance,
    quantile_loss,
    r2,
    rmse,
    rmsle,
)

__all__ = ["METRICS", "Metric", "get_metric", "is_greater_better", "measures"]

Array = NDArray[Any]
# Of targets and of predictions or probabilities.
Prepared = Callable[[Array, Array], Statistic]
CLASSES, LABELS, VALUES = "classification", "multilabel", "regression"


@dataclass(frozen=True)
class Metric:
    """A measure of predictions that has a name.

    Attributes
    ----------
    name : str
        Name, as in ``val_`` with the name for the validation part.
    greater_is_better : bool
        Whether a larger value is better.
    needs : {"predictions", "probabilities"}
        What it compares with the targets.
    functions : mapping of str to callable
        For each task that it measures, "classification", "multilabel" or "regression", a function
        of targets and of predictions or probabilities that returns a function of weights or None.
        What does not depend on the weights is computed once.

    Examples
    --------
    >>> from fastmlp.metrics import METRICS
    >>> metric = METRICS["accuracy"]
    >>> metric("classification", [0, 1, 1], [0, 1, 0], [1.0, 2.0, 1.0])
    0.75
    >>> metric.greater_is_better, metric.needs
    (True, 'predictions')
    """

    name: str
    greater_is_better: bool
    needs: str
    functions: Mapping[str, Prepared]

    def __call__(
        self, task: str, y_true: ArrayLike, y_pred: ArrayLike, weight: ArrayLike | None = None
    ) -> float:
        """Measure predictions or probabilities of a task.

        Parameters
        ----------
        task : {"classification", "multilabel", "regression"}
            Kind of the targets.
        y_true : array of shape (samples,) or (samples, outputs)
            Classes counted from 0; labels 0 and 1; or values.
        y_pred : array of shape (samples,) or (samples, outputs)
            Classes, labels or values; or probabilities (samples, outputs).
        weight : array of shape (samples,), optional
            Weights of the samples.

        Raises
        ------
        ValueError
            The metric does not measure this task, or the arrays do not fit.
        """
        return self.statistic(task, y_true, y_pred)(weight)

    def statistic(self, task: str, y_true: ArrayLike, y_pred: ArrayLike) -> Statistic:
        """Return the measure of predictions as a function of weights; see `__call__`."""
        self.require(task)
        return self.functions[task](np.asarray(y_true), np.asarray(y_pred))

    def given(
        self, task: str, predictions: ArrayLike, probabilities: ArrayLike | None
    ) -> ArrayLike | None:
        """Return what the metric compares with the targets; None if it is not finite.

        Raises
        ------
        ValueError
            The metric is for another task, or needs probabilities that were not given.
        """
        self.require(task)
        if self.needs != "probabilities":
            return predictions
        if probabilities is None:
            raise ValueError(
                f"metric {self.name} needs probabilities, which the loss does not define"
            )
        return probabilities if np.isfinite(np.asarray(probabilities)).all() else None

    def require(self, task: str) -> None:
        """Raise ValueError if the metric does not measure a task."""
        if task not in self.functions:
            known = ", ".join(name for name, m in METRICS.items() if task in m.functions)
            raise ValueError(
                f"metric must be one of {known} for {task}, got {self.name!r}, which is for "
                f"{' and '.join(self.functions)}"
            )


def _of_each_label(prepare: Prepared) -> Prepared:
    """Return the mean of a metric of the classes 0 and 1 over labels, which are columns."""

    def of_labels(y_true: Array, given: Array) -> Statistic:
        pairs = zip(_columns(y_true).T, _columns(given).T, strict=True)
        statistics = [prepare(truth.astype(np.int64), values) for truth, values in pairs]

        def mean(weight: ArrayLike | None) -> float:
            values = [statistic(weight) for statistic in statistics]
            known = [value for value in values if not math.isnan(value)]
            return float(np.mean(known)) if known else math.nan

        return mean

    return of_labels


def _columns(values: Array) -> Array:
    return values[:, np.newaxis] if values.ndim == 1 else values


def _plain(function: Callable[..., float], **options: Any) -> Prepared:
    """Return a function of which nothing is computed once."""

    def prepare(y_true: Array, given: Array) -> Statistic:
        return lambda weight: function(y_true, given, sample_weight=weight, **options)

    return prepare


def _all_labels_right(y_true: Array, y_pred: Array) -> Statistic:
    right = (_columns(y_true) == _columns(y_pred)).all(axis=1).astype(np.int64)
    return lambda weight: accuracy(np.ones_like(right), right, sample_weight=weight)


def _of_counts(measure: Callable[[Counts], float]) -> Prepared:
    """Return a measure of the confusion matrix of the classes that occur."""

    def prepare(y_true: Array, y_pred: Array) -> Statistic:
        pairs = ClassPairs(y_true, y_pred)
        return lambda weight: measure(pairs.counts(weight))

    return prepare


def _of_positives(name: str) -> Prepared:
    """Return precision, recall or F1 of the class 1."""

    def prepare(y_true: Array, y_pred: Array) -> Statistic:
        pairs = ClassPairs(y_true, y_pred.astype(np.int64), 2)
        return lambda weight: float(getattr(pairs.counts(weight), name)("binary"))

    return prepare


def _of_probabilities(prepare: Callable[..., Statistic], **options: Any) -> dict[str, Prepared]:
    """Return a metric of classes that count from 0 to the number of columns, and of labels."""

    def of_classes(y_true: Array, given: Array) -> Statistic:
        return prepare(y_true, given, max(2, _columns(given).shape[1]), **options)

    return {CLASSES: of_classes, LABELS: _of_each_label(of_classes)}


def _metrics() -> list[Metric]:
    decided, likely = "predictions", "probabilities"
    found = [
        Metric("accuracy", True, decided, {CLASSES: _plain(accuracy), LABELS: _all_labels_right})
    ]
    for name, measure in OF_COUNTS.items():
        of_classes = _of_counts(measure)
        of_label = _of_positives(name) if hasattr(Counts, name) else of_classes
        by_task = {CLASSES: of_classes, LABELS: _of_each_label(of_label)}
        found.append(Metric(name, True, decided, by_task))
    found += [
        Metric("auc", True, likely, _of_probabilities(area_statistic)),
        Metric("average_precision", True, likely, _of_probabilities(average_precision_statistic)),
        Metric("log_loss", False, likely, _of_probabilities(log_loss_statistic)),
        Metric("brier", False, likely, _of_probabilities(brier_statistic)),
        _calibration_error("calibration_error"),
        _top_k("top_k:5", 5),
    ]
    values: dict[str, Callable[..., float]] = {
        "mse": mse, "rmse": rmse, "rmsle": rmsle, "mae": mae, "mape": mape,
        "median_absolute_error": median_absolute_error, "max_error": max_error, "r2": r2,
        "explained_variance": explained_variance, "poisson_deviance": poisson_deviance,
    }  # fmt: skip
    greater = ("r2", "explained_variance")
    found += [
        Metric(name, name in greater, decided, {VALUES: _plain(function)})
        for name, function in values.items()
    ]
    return [*found, _quantile_loss("quantile_loss")]


def _calibration_error(name: str, bins: int = 10) -> Metric:
    by_task = _of_probabilities(calibration_statistic, bins=bins)
    return Metric(name, False, "probabilities", by_task)


def _top_k(name: str, k: int) -> Metric:
    by_task = _of_probabilities(top_k_statistic, k=k)
    return Metric(name, True, "probabilities", {CLASSES: by_task[CLASSES]})


def _quantile_loss(name: str, level: float = 0.5) -> Metric:
    return Metric(name, False, "predictions", {VALUES: _plain(quantile_loss, quantile=level)})


METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _metrics()})


class _Family(NamedTuple):
    """Metrics that have a number after the colon in their name."""

    make: Callable[[str, Any], Metric]
    kind: Callable[[str], float]
    described: str
    low: float
    high: float = math.inf


# The number is above the low end and below the high one.
_FAMILIES: Mapping[str, _Family] = {
    "quantile_loss": _Family(_quantile_loss, float, "a quantile in (0, 1)", 0.0, 1.0),
    "top_k": _Family(_top_k, int, "a number of classes >= 1", 0),
    "calibration_error": _Family(_calibration_error, int, "a number of bins >= 1", 0),
}


def get_metric(name: str) -> Metric:
    """Return the metric of a name.

    Parameters
    ----------
    name : str
        One of `METRICS`; or ``quantile_loss:0.9`` for the quantile 0.9, ``top_k:3`` for the three
        most likely classes, ``calibration_error:15`` for 15 bins.

    Raises
    ------
    TypeError, ValueError
        There is no such metric.

    Examples
    --------
    >>> from fastmlp.metrics import get_metric
    >>> get_metric("quantile_loss:0.75")("regression", [1.0, 3.0], [2.0, 2.0])
    0.5
    """
    if not isinstance(name, str):
        raise TypeError(f"metric must be a string, got {type(name).__name__}")
    if name in METRICS:
        return METRICS[name]
    base, _, text = name.partition(":")
    if base in _FAMILIES:
        family = _FAMILIES[base]
        try:
            number = family.kind(text)
        except ValueError:
            number = math.nan
        if family.low < number < family.high:
            return family.make(name, number)
        raise ValueError(f"metric must have {family.described} after the colon, got {name!r}")
    hint = did_you_mean(name, METRICS)
    raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {name!r}{hint}")


def is_greater_better(name: str) -> bool | None:
    """Return whether a larger value of a metric is better; None if there is no such metric.

    Examples
    --------
    >>> from fastmlp.metrics import is_greater_better
    >>> is_greater_better("auc"), is_greater_better("rmse"), is_greater_better("loss")
    (True, False, None)
    """
    try:
        return get_metric(name).greater_is_better
    except (TypeError, ValueError):
        return None


def measures(
    names: Iterable[str],
    task: str,
    y_true: ArrayLike,
    predictions: ArrayLike,
    *,
    probabilities: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> dict[str, float]:
    """Compute several metrics of the same predictions.

    Parameters
    ----------
    names : iterable of str
        Names as `get_metric` takes them.
    task : {"classification", "multilabel", "regression"}
        Kind of the targets.
    y_true : array of shape (samples,) or (samples, outputs)
        Classes counted from 0; labels 0 and 1; or values.
    predictions : array of shape (samples,) or (samples, outputs)
        Classes, labels or values.
    probabilities : array of shape (samples,) or (samples, outputs), optional
        Probabilities of classes or labels.
    sample_weight : array of shape (samples,), optional
        Weights of the samples.

    Returns
    -------
    dict of str to float
        A metric of probabilities is NaN if one of them is not finite, as those of a network whose
        training diverges; NaN is never the best.

    Raises
    ------
    ValueError
        A metric is unknown, is for another task, or needs probabilities that were not given.

    Examples
    --------
    >>> from fastmlp.metrics import measures
    >>> measures(["mae", "r2"], "regression", [1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    {'mae': 0.3333333333333333, 'r2': 0.5}
    """
    found = {}
    for name in names:
        metric = get_metric(name)
        given = metric.given(task, predictions, probabilities)
        found[name] = math.nan if given is None else metric(task, y_true, given, sample_weight)
    return found
