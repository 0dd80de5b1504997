"""Measures of a model on samples: accuracy, F1, confusion matrix, regression errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fastmlp.metrics as metrics
from fastmlp.data import Preprocessing, Samples
from fastmlp.model import MLP

__all__ = ["Evaluation", "evaluate", "evaluation_of", "has_probabilities", "regression_metrics"]

Array = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Measures of one model on one set of samples.

    Attributes
    ----------
    task : str
        "classification", "multilabel" or "regression".
    samples : int
        Number of samples.
    loss : float
        Mean value of the training loss; of cross-entropy without the smoothing of its targets, so
        that it compares with models that are trained without.
    metrics : dict of str to float
        If the samples have weights, these and the loss are weighted means.
        Classification: accuracy, macro_precision, macro_recall, macro_f1, the last three as means
        over the classes that occur. Multilabel: subset_accuracy (all labels of a sample right),
        label_accuracy, macro_precision, macro_recall, macro_f1. Regression, in the units of the
        targets: mse, rmse, mae, r2; for several targets their means.
    confusion : int64 or float64 array of shape (classes, classes) or None
        Counts of a classification, or sums of weights if the samples have weights; rows are true
        classes, columns predicted ones.
    per_class : list of dict or None
        class, precision, recall, f1, support of each class or label; 0 divided by 0 is 0. The
        support is a count or a sum of weights. None for a regression.
    predictions : array
        Class indices of shape (samples,), labels 0 or 1 of shape (samples, labels), or values of
        shape (samples, targets) in the units of the targets.
    probabilities : array of shape (samples, outputs) or None
        Probabilities of classes or labels; None if the loss defines none.
    per_target : list of dict or None
        target, mse, rmse, mae, r2 of each target of a regression; None for other tasks.
    """

    task: str
    samples: int
    loss: float
    metrics: dict[str, float]
    confusion: Counts | Floats | None
    per_class: Rows | None
    predictions: Array
    probabilities: Array | None
    per_target: Rows | None = None

    @property
    def is_finite(self) -> bool:
        """Whether all outputs and the loss are finite; a network that diverged has others."""
        outputs = self.predictions if self.probabilities is None else self.probabilities
        return bool(np.isfinite(self.loss) and np.isfinite(outputs).all())

    def __repr__(self) -> str:
        measures = {"loss": self.loss, **self.metrics}
        shown = ", ".join(f"{name}={value:.6g}" for name, value in measures.items())
        return f"Evaluation({self.task!r}, samples={self.samples}, {shown})"

    @property
    def accuracy(self) -> float | None:
        """The share of samples predicted without an error; None for a regression."""
        return self.metrics.get("accuracy", self.metrics.get("subset_accuracy"))

    def as_json(self) -> dict[str, Any]:
        """Return the measures without predictions and probabilities."""
        return {
            "task": self.task,
            "samples": self.samples,
            "loss": self.loss,
            **self.metrics,
            "per_class": self.per_class,
            "per_target": self.per_target,
            "confusion_matrix": None if self.confusion is None else self.confusion.tolist(),
        }


def evaluate(
    model: MLP,
    samples: Samples,
    *,
    preprocessing: Preprocessing | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Measure a model on samples.

    Parameters
    ----------
    model : MLP
        A model with one loss.
    samples : Samples
        Samples as `fastmlp.data.prepare` or the preprocessing returns them.
    preprocessing : Preprocessing, optional
        Preprocessing that determines the task; by default that of the model.
    threads : int, optional
        Worker threads; by default fastmlp chooses.

    Raises
    ------
    ValueError
        The model has no preprocessing or several losses, its loss is for another task, or the
        samples do not fit it.
    """
    pre = model.preprocessing if preprocessing is None else preprocessing
    if pre is None:
        raise ValueError("the model must have its preprocessing, got None")
    if len(model.architecture.losses) > 1:
        raise ValueError("a model with several losses has no single task to be measured by")
    measured = model.evaluate(samples.x, samples.y, sample_weight=samples.weight, threads=threads)
    loss = measured["loss"]
    predicted = np.asarray(model.predict(samples.x, threads=threads))
    probabilities = None
    if pre.task != "regression":
        if predicted.dtype.kind != "i":
            name = model.architecture.losses[0].name
            raise ValueError(f"loss {name} predicts quantities, not the classes of a {pre.task}")
        if has_probabilities(model):
            probabilities = model.predict_proba(samples.x, threads=threads)
            if getattr(model.architecture.losses[0], "smoothing", 0.0):
                loss = metrics.log_loss(
                    samples.y,
                    probabilities,
                    classes=np.arange(pre.outputs),
                    sample_weight=samples.weight,
                )
    return evaluation_of(pre, samples, predicted, loss=loss, probabilities=probabilities)


def evaluation_of(
    preprocessing: Preprocessing,
    samples: Samples,
    predicted: Array,
    *,
    loss: float = math.nan,
    probabilities: Array | None = None,
) -> Evaluation:
    """Measure predictions.

    Parameters
    ----------
    preprocessing : Preprocessing
        Preprocessing that determines the task.
    samples : Samples
        Samples with their targets.
    predicted : array of shape (samples,) or (samples, outputs)
        Class indices, labels 0 or 1, or values in the scale of ``samples.y``, as `MLP.predict`
        returns them.
    loss : float
        Mean loss of the samples.
    probabilities : array of shape (samples, outputs), optional
        Probabilities of classes or labels.
    """
    if preprocessing.task == "regression":
        return _regression(preprocessing, samples, loss, predicted)
    measure = _classification if preprocessing.task == "classification" else _multilabel
    return measure(preprocessing, samples, loss, predicted, probabilities)


def has_probabilities(model: MLP) -> bool:
    """Return whether the outputs of a model are probabilities of classes or labels."""
    losses = model.architecture.losses
    return len(losses) == 1 and losses[0].link in ("softmax", "sigmoid")


def _classification(
    pre: Preprocessing, samples: Samples, loss: float, predicted: Array, probabilities: Array | None
) -> Evaluation:
    weight = samples.weight
    matrix = metrics.confusion_matrix(samples.y, predicted, pre.outputs, sample_weight=weight)
    hits, support, taken = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    rows = _per_class(pre.class_names or (), hits, support, taken)
    occurring = [rows[i] for i in np.flatnonzero(support + taken)]
    accuracy = metrics.accuracy(samples.y, predicted, sample_weight=weight)
    values = {"accuracy": accuracy, **_macro(occurring)}
    return Evaluation(
        pre.task, len(samples), loss, values, matrix, rows, predicted, probabilities
    )  # fmt: skip


def _multilabel(
    pre: Preprocessing, samples: Samples, loss: float, predicted: Array, probabilities: Array | None
) -> Evaluation:
    predicted = predicted.reshape(len(samples), -1)
    truth = np.asarray(samples.y).reshape(predicted.shape).astype(np.int64)
    weight = samples.weight
    counted = [truth & predicted, truth, predicted]
    sums = [labels.sum(axis=0) if weight is None else weight @ labels for labels in counted]
    rows = _per_class(pre.class_names or (), *sums)
    right = truth == predicted
    values = {
        "subset_accuracy": float(np.average(right.all(axis=1), weights=weight)),
        "label_accuracy": float(np.average(right.mean(axis=1), weights=weight)),
        **_macro(rows),
    }
    return Evaluation(pre.task, len(samples), loss, values, None, rows, predicted, probabilities)


def _regression(pre: Preprocessing, samples: Samples, loss: float, predicted: Array) -> Evaluation:
    count = len(samples)
    values = pre.decode(predicted.reshape(count, -1))
    truth = pre.in_units(np.asarray(samples.y).reshape(count, -1))
    rows = [
        {"target": name, **regression_metrics(truth[:, i], values[:, i], samples.weight)}
        for i, name in enumerate(pre.target_names or ())
    ]
    means = regression_metrics(truth, values, samples.weight)
    return Evaluation(pre.task, count, loss, means, None, None, values, None, rows)


def _per_class(names: Sequence[str], hits: Array, support: Array, predicted: Array) -> Rows:
    columns = (hits.tolist(), support.tolist(), predicted.tolist())
    return [
        {
            "class": name,
            "precision": hit / taken if taken else 0.0,
            "recall": hit / true if true else 0.0,
            "f1": 2 * hit / (true + taken) if true + taken else 0.0,
            "support": true,
        }
        for name, hit, true, taken in zip(names, *columns, strict=True)
    ]


def _macro(rows: Rows) -> dict[str, float]:
    """Return the unweighted means of the measures over the classes."""
    return {
        f"macro_{name}": float(np.mean([row[name] for row in rows]))
        for name in ("precision", "recall", "f1")
    }


def regression_metrics(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: Floats | None = None
) -> dict[str, float]:
    """Compute the errors of predicted values.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,) or (samples, targets)
        True and predicted values.
    sample_weight : float64 array of shape (samples,), optional
        Weights >= 0 of the samples, not all 0.

    Returns
    -------
    dict
        mse, rmse, mae in the units of the targets, and r2 (``1 - mse / variance``); for several
        targets the mean of each. For a constant target r2 is 1 if all predictions are equal to it,
        else 0.
    """
    functions = {
        "mse": metrics.mse, "rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2,
    }  # fmt: skip
    return {
        name: function(y_true, y_pred, sample_weight=sample_weight)
        for name, function in functions.items()
    }
