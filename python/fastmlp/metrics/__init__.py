"""Metrics of predicted classes, probabilities and values, and measures of distributions.

`METRICS` has those that can choose the best epoch, by name.
"""

from __future__ import annotations

from fastmlp.metrics.classes import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
)
from fastmlp.metrics.distributions import cross_entropy, entropy, kl_divergence
from fastmlp.metrics.probabilities import auc, brier, log_loss
from fastmlp.metrics.registry import METRICS, Metric, get_metric, is_greater_better, measures
from fastmlp.metrics.values import mae, mape, mse, poisson_deviance, quantile_loss, r2, rmse

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "brier",
    "confusion_matrix",
    "cross_entropy",
    "entropy",
    "f1",
    "get_metric",
    "is_greater_better",
    "kl_divergence",
    "log_loss",
    "mae",
    "mape",
    "measures",
    "mse",
    "poisson_deviance",
    "precision",
    "quantile_loss",
    "r2",
    "recall",
    "rmse",
]


def __dir__() -> list[str]:
    return __all__
