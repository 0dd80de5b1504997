"""Metrics of predicted classes, probabilities and values, and measures of distributions.

`METRICS` has those that can choose the best epoch, by name.
"""

from __future__ import annotations

from fastmlp.metrics.bootstrap import BootstrapInterval, bootstrap_interval
from fastmlp.metrics.classes import (
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    f1,
    mcc,
    precision,
    recall,
)
from fastmlp.metrics.curves import (
    ThresholdTable,
    calibration_curve,
    precision_recall_curve,
    roc_curve,
    threshold_table,
)
from fastmlp.metrics.distributions import cross_entropy, entropy, kl_divergence
from fastmlp.metrics.probabilities import (
    auc,
    average_precision,
    brier,
    calibration_error,
    log_loss,
    top_k_accuracy,
)
from fastmlp.metrics.registry import METRICS, Metric, get_metric, is_greater_better, measures
from fastmlp.metrics.values import (
    coverage,
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

__all__ = [
    "METRICS",
    "BootstrapInterval",
    "Metric",
    "ThresholdTable",
    "accuracy",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_interval",
    "brier",
    "calibration_curve",
    "calibration_error",
    "cohen_kappa",
    "confusion_matrix",
    "coverage",
    "cross_entropy",
    "entropy",
    "explained_variance",
    "f1",
    "get_metric",
    "is_greater_better",
    "kl_divergence",
    "log_loss",
    "mae",
    "mape",
    "max_error",
    "mcc",
    "measures",
    "median_absolute_error",
    "mse",
    "poisson_deviance",
    "precision",
    "precision_recall_curve",
    "quantile_loss",
    "r2",
    "recall",
    "rmse",
    "rmsle",
    "roc_curve",
    "threshold_table",
    "top_k_accuracy",
]


def __dir__() -> list[str]:
    return __all__
