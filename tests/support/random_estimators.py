"""Fitted estimators with random settings, samples and labels of every kind."""

from __future__ import annotations

import os
import random

import numpy as np
import scipy.sparse

import fastmlp
from fastmlp.schedules import Cosine, ReduceOnPlateau, WarmUp
from support.estimator_data import quietly

SEED = int(os.environ.get("FASTMLP_TEST_SEED") or random.SystemRandom().getrandbits(32))
LABELS = {
    "integers": lambda draw, n: draw.integers(0, 4, n),
    "negative int8": lambda draw, n: draw.integers(-3, 0, n).astype(np.int8),
    "uint16": lambda draw, n: draw.integers(7, 10, n).astype(np.uint16),
    "two integers": lambda draw, n: np.array([-1, 1])[draw.integers(0, 2, n)],
    "text": lambda draw, n: np.array(["", "é", "long label"])[draw.integers(0, 3, n)],
    "two texts": lambda draw, n: np.array(["yes", "no"])[draw.integers(0, 2, n)],
    "texts as objects": lambda draw, n: np.array(["a", "bc"], object)[draw.integers(0, 2, n)],
    "flags": lambda draw, n: draw.random(n) < 0.5,
    "floats": lambda draw, n: draw.integers(0, 3, n).astype(float),
    "one class": lambda draw, n: np.full(n, "only"),
    "several labels": lambda draw, n: draw.integers(0, 2, (n, 3)),
    "several sparse labels": lambda draw, n: scipy.sparse.csr_matrix(draw.integers(0, 2, (n, 3))),
}
TARGETS = {
    "one value": ("squared_error", 1),
    "three values": ("squared_error", 3),
    "counts": ("poisson", 1),
    "two counts": ("poisson", 2),
    "quantiles": (fastmlp.Quantile(levels=(0.1, 0.9)), 2),
    "shares": (fastmlp.BinaryCrossEntropy(), 2),
    "huber": (fastmlp.Huber(delta=0.5), 1),
}
KINDS = [*LABELS, *TARGETS]
SETTINGS = (
    {},
    {"solver": "lbfgs"},
    {"solver": "sgd", "learning_rate": "adaptive", "momentum": np.float32(0.5)},
    {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": np.inf},
    {"batch_normalization": True, "activation": fastmlp.ELU(0.5)},
    {"dropout": 0.3, "input_dropout": 0.1, "activation": "gelu"},
    {"optimizer": fastmlp.AdamW(WarmUp(Cosine(0.01), length=2), decay=0.1)},
    {"optimizer": fastmlp.SGD(ReduceOnPlateau(0.05, monitor="loss"), 0.9)},
)
SIZES = ((), (5,), [6, 4], np.array([3, 7]), 8, np.int64(4))


def fitted(seed, kind):
    """Return a fitted estimator of a kind of targets, its samples, and the case in words."""
    draw = np.random.default_rng([seed, KINDS.index(kind)])
    setting = SETTINGS[draw.integers(len(SETTINGS))]
    samples, features = int(draw.integers(40, 80)), int(draw.integers(1, 6))
    dtype = (np.float32, np.float64)[draw.integers(2)]
    x = draw.normal(size=(samples, features)).astype(dtype)
    if draw.random() < 0.3:
        x = scipy.sparse.csr_matrix(np.where(draw.random(x.shape) < 0.5, 0, x).astype(dtype))
    given = {
        "hidden_layer_sizes": SIZES[draw.integers(len(SIZES))],
        "max_iter": int(draw.integers(3, 7)),
        "random_state": (int(draw.integers(99)), np.random.RandomState(3))[draw.integers(2)],
        **setting,
    }
    words = f"FASTMLP_TEST_SEED={seed}, {kind}: {given}, {type(x).__name__} of {dtype.__name__}"
    if kind in LABELS:
        y = LABELS[kind](draw, samples)
        if "early_stopping" in given and not scipy.sparse.issparse(y):
            y[:8] = y[8:16]  # at least two samples of each class, which the split needs
        estimator = fastmlp.MLPClassifier(**given)
    else:
        loss, outputs = TARGETS[kind]
        y = draw.random((samples, outputs))
        estimator = fastmlp.MLPRegressor(loss, **given)
        y = y[:, 0] if outputs == 1 else y
    return quietly(estimator.fit, x, y), x, words


def dense(x):
    return x.toarray() if scipy.sparse.issparse(x) else x


def assert_same_predictions(estimator, other, x, words):
    """Require equal bits and types of all predictions."""
    names = ["predict"]
    names += [name for name in ("predict_proba", "predict_log_proba") if hasattr(estimator, name)]
    for name in names:
        with np.errstate(divide="ignore"):
            mine, others = dense(getattr(estimator, name)(x)), dense(getattr(other, name)(x))
        assert mine.dtype == others.dtype, f"{name}, {words}"
        np.testing.assert_array_equal(mine, others, err_msg=f"{name}, {words}")
