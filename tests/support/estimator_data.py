"""Data for tests of estimators, and scikit-learn's estimators to compare with."""

from __future__ import annotations

import warnings

import numpy as np
import sklearn
from sklearn import neural_network
from sklearn.datasets import (
    load_diabetes,
    load_digits,
    load_iris,
    make_multilabel_classification,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])


def scaled(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def iris():
    return load_iris(return_X_y=True)


def two_classes():
    x, y = load_iris(return_X_y=True)
    return scaled(x[50:]), np.array([-1, 5])[y[50:] - 1]


def several_labels():
    x, y = make_multilabel_classification(120, 8, n_classes=4, random_state=0)
    return scaled(x), y


def digits():
    x, y = load_digits(return_X_y=True)
    return x[:450] / 16, y[:450]


def one_output():
    x, y = load_diabetes(return_X_y=True)
    return scaled(x), scaled(y)


def three_outputs():
    x, y = make_regression(250, 8, n_targets=3, random_state=0)
    return x, scaled(y)


def peer_of(estimator):
    """Return scikit-learn's estimator with the same parameters."""
    peer = getattr(neural_network, type(estimator).__name__)
    names = peer().get_params()
    return peer(**{k: v for k, v in estimator.get_params().items() if k in names})


def quietly(method, *arguments, **keywords):
    """Call a method without convergence warnings: the few epochs of tests do not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return method(*arguments, **keywords)


def assert_same_parameters(estimator, other):
    for mine, others in zip(
        estimator.coefs_ + estimator.intercepts_, other.coefs_ + other.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(mine, others)


def differs(estimator, other):
    return not np.array_equal(estimator.coefs_[0], other.coefs_[0])
