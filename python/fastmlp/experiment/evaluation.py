"""What a model is worth on samples it has not seen, in the terms of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp import metrics
from fastmlp.data.prepare import Samples
from fastmlp.model import MLP

__all__ = ["Evaluation", "evaluate"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Evaluation:
    """Measures of one model on one set of samples.

    Attributes
    ----------
    task : str
        "classification", "multilabel" or "regression".
    samples : int
    loss : float
        Mean loss, that of the training.
    metrics : dict of str to float
        Classification: accuracy, macro_precision, macro_recall, macro_f1. Multilabel:
        subset_accuracy (all labels right), label_accuracy, macro_precision, macro_recall, macro_f1.
        Regression, in the units of the targets: mse, rmse, mae, r2 (of several targets the mean).
    confusion : int64 array of shape (classes, classes) or None
        Of a classification; rows are true classes.
    per_class : list of dict or None
        class, precision, recall, f1, support of each class or label.
    predictions : array
        Class indices (samples,), labels 0 or 1 (samples, labels), values (samples, targets) in the
        units of the targets.
    probabilities : array of shape (samples, outputs) or None
        Where the loss makes some.
    """

    task: str
    samples: int
    loss: float
    metrics: dict[str, float]
    confusion: npt.NDArray[np.int64] | None
    per_class: list[dict[str, Any]] | None
    predictions: Array
    probabilities: Array | None

    def as_json(self) -> dict[str, Any]:
        """The measures without what belongs to single samples."""
        return {
            "task": self.task,
            "samples": self.samples,
            "loss": self.loss,
            **self.metrics,
            "per_class": self.per_class,
            "confusion_matrix": None if self.confusion is None else self.confusion.tolist(),
        }


def evaluate(model: MLP, samples: Samples, *, threads: int | None = None) -> Evaluation:
    """Measure a model that knows its preprocessing.

    Parameters
    ----------
    model : MLP
    samples : Samples
        As `fastmlp.data.prepare` or the model's preprocessing makes them.
    threads : int, optional

    Raises
    ------
    ValueError
        The model has no preprocessing, or the samples do not fit it.
    """
    pre = model.preprocessing
    if pre is None:
        raise ValueError("the model must have its preprocessing, got None")
    measured = model.evaluate(samples.x, samples.y, sample_weight=samples.weight, threads=threads)
    predicted = np.asarray(model.predict(samples.x, threads=threads))
    # The losses of margins have no probabilities, nor have several losses.
    link = model.architecture.losses[0].link
    probabilities = None
    if link in ("softmax", "sigmoid"):
        probabilities = model.predict_proba(samples.x, threads=threads)
    loss, count = measured["loss"], len(samples)
    if pre.task == "classification":
        names = list(pre.class_names or map(str, range(pre.outputs)))
        matrix = metrics.confusion_matrix(samples.y, predicted, pre.outputs)
        rows = _per_class(names, matrix)
        values = {"accuracy": metrics.accuracy(samples.y, predicted), **_macro(rows)}
        return Evaluation(pre.task, count, loss, values, matrix, rows, predicted, probabilities)
    if pre.task == "multilabel":
        predicted = predicted.reshape(count, -1)
        truth = np.asarray(samples.y).reshape(count, -1).astype(np.int64)
        names = list(pre.class_names or map(str, range(pre.outputs)))
        rows = [_row(name, *_counts(truth[:, i], predicted[:, i])) for i, name in enumerate(names)]
        right = truth == predicted
        values = {
            "subset_accuracy": float(right.all(axis=1).mean()),
            "label_accuracy": float(right.mean()),
            **_macro(rows),
        }
        return Evaluation(pre.task, count, loss, values, None, rows, predicted, probabilities)
    values_of = pre.decode(predicted.reshape(count, -1)).astype(np.float64)
    truth = pre.decode(np.asarray(samples.y).reshape(count, -1)).astype(np.float64)
    return Evaluation(
        pre.task, count, loss, _regression(truth, values_of), None, None, values_of, None
    )


def _per_class(names: list[str], matrix: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    hits, true, taken = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        _row(name, int(hit), int(support), int(predicted))
        for name, hit, support, predicted in zip(names, hits, true, taken, strict=True)
    ]


def _counts(truth: Array, predicted: Array) -> tuple[int, int, int]:
    return int((truth * predicted).sum()), int(truth.sum()), int(predicted.sum())


def _row(name: str, hits: int, support: int, predicted: int) -> dict[str, Any]:
    return {
        "class": name,
        "precision": hits / predicted if predicted else 0.0,
        "recall": hits / support if support else 0.0,
        "f1": 2 * hits / (support + predicted) if support + predicted else 0.0,
        "support": support,
    }


def _macro(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the classes, each of which counts the same."""
    return {
        f"macro_{name}": float(np.mean([row[name] for row in rows]))
        for name in ("precision", "recall", "f1")
    }


def _regression(truth: Array, predicted: Array) -> dict[str, float]:
    residuals = truth - predicted
    squared = (residuals**2).mean(axis=0)
    spread = truth.var(axis=0)
    # A target that does not vary has no variance to explain.
    explained = 1.0 - np.divide(squared, spread, out=np.ones_like(squared), where=spread > 0)
    return {
        "mse": float(squared.mean()),
        "rmse": float(np.sqrt(squared.mean())),
        "mae": float(np.abs(residuals).mean()),
        "r2": float(explained.mean()),
    }
