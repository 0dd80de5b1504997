"""Metrics by name, as the choice of the best epoch and other comparisons of models use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.errors import did_you_mean
from fastmlp.metrics.classes import accuracy, balanced_accuracy, f1
from fastmlp.metrics.probabilities import auc, brier, log_loss
from fastmlp.metrics.values import mae, mape, mse, poisson_deviance, quantile_loss, r2, rmse

__all__ = ["METRICS", "Metric", "get_metric", "is_greater_better", "measures"]

Array = NDArray[Any]
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
        of targets, predictions or probabilities, and weights or None.

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
    functions: Mapping[str, Callable[..., float]]

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
        self.require(task)
        return self.functions[task](y_true, y_pred, weight)

    def require(self, task: str) -> None:
        """Raise ValueError if the metric does not measure a task."""
        if task not in self.functions:
            known = ", ".join(name for name, m in METRICS.items() if task in m.functions)
            raise ValueError(
                f"metric must be one of {known} for {task}, got {self.name!r}, which is for "
                f"{' and '.join(self.functions)}"
            )


def _of_labels(function: Callable[..., float]) -> Callable[..., float]:
    """Return the mean of a metric over labels, which are columns."""

    def mean(y_true: ArrayLike, y_pred: ArrayLike, weight: ArrayLike | None) -> float:
        truth, given = _columns(y_true), _columns(y_pred)
        values = [function(*pair, weight) for pair in zip(truth.T, given.T, strict=True)]
        known = [value for value in values if not math.isnan(value)]
        return float(np.mean(known)) if known else math.nan

    return mean


def _columns(values: ArrayLike) -> Array:
    array = np.asarray(values)
    return array[:, np.newaxis] if array.ndim == 1 else array


def _all_labels_right(y_true: ArrayLike, y_pred: ArrayLike, weight: ArrayLike | None) -> float:
    right = (_columns(y_true) == _columns(y_pred)).all(axis=1)
    return accuracy(np.ones(len(right), np.int64), right.astype(np.int64), sample_weight=weight)


def _of_classes(function: Callable[..., float], **options: Any) -> Callable[..., float]:
    def measure(y_true: ArrayLike, y_pred: ArrayLike, weight: ArrayLike | None) -> float:
        return function(y_true, y_pred, sample_weight=weight, **options)

    return measure


def _of_probabilities(function: Callable[..., float]) -> dict[str, Callable[..., float]]:
    """Return a metric of classes that count from 0 to the number of columns, and of labels."""

    def of_classes(y_true: ArrayLike, given: ArrayLike, weight: ArrayLike | None) -> float:
        classes = max(2, _columns(given).shape[1])
        return function(y_true, given, classes=classes, sample_weight=weight)

    def of_label(y_true: Array, given: Array, weight: ArrayLike | None) -> float:
        return function(y_true.astype(np.int64), given, classes=2, sample_weight=weight)

    return {CLASSES: of_classes, LABELS: _of_labels(of_label)}


def _macro_f1(y_true: ArrayLike, y_pred: ArrayLike, weight: ArrayLike | None) -> float:
    return float(f1(y_true, y_pred, sample_weight=weight))


def _f1_of_label(y_true: Array, y_pred: Array, weight: ArrayLike | None) -> float:
    labels = y_true.astype(np.int64), y_pred.astype(np.int64)
    return float(f1(*labels, average="binary", classes=2, sample_weight=weight))


def _metrics() -> list[Metric]:
    decided, likely = "predictions", "probabilities"
    by_classes = {CLASSES: _of_classes(accuracy), LABELS: _all_labels_right}
    f1s = {CLASSES: _macro_f1, LABELS: _of_labels(_f1_of_label)}
    found = [
        Metric("accuracy", True, decided, by_classes),
        Metric("balanced_accuracy", True, decided, {CLASSES: _of_classes(balanced_accuracy)}),
        Metric("f1", True, decided, f1s),
        Metric("auc", True, likely, _of_probabilities(auc)),
        Metric("log_loss", False, likely, _of_probabilities(log_loss)),
        Metric("brier", False, likely, _of_probabilities(brier)),
    ]
    values: dict[str, Callable[..., float]] = {
        "mse": mse, "rmse": rmse, "mae": mae, "mape": mape, "r2": r2,
        "quantile_loss": quantile_loss, "poisson_deviance": poisson_deviance,
    }  # fmt: skip
    found += [
        Metric(name, name == "r2", decided, {VALUES: _of_classes(function)})
        for name, function in values.items()
    ]
    return found


METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _metrics()})
_QUANTILE = "quantile_loss:"


def get_metric(name: str) -> Metric:
    """Return the metric of a name.

    Parameters
    ----------
    name : str
        One of `METRICS`; or ``quantile_loss:0.9`` for the quantile 0.9.

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
    if name.startswith(_QUANTILE):
        try:
            level = float(name.removeprefix(_QUANTILE))
        except ValueError:
            level = math.nan
        if 0.0 < level < 1.0:
            measure = _of_classes(quantile_loss, quantile=level)
            return Metric(name, False, "predictions", {VALUES: measure})
        raise ValueError(f"metric must have a quantile in (0, 1) after the colon, got {name!r}")
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
        given: ArrayLike = predictions
        if metric.needs == "probabilities" and task in metric.functions:
            if probabilities is None:
                raise ValueError(
                    f"metric {name} needs probabilities, which the loss does not define"
                )
            given = probabilities
            if not np.isfinite(np.asarray(given)).all():
                found[name] = math.nan
                continue
        found[name] = metric(task, y_true, given, sample_weight)
    return found
