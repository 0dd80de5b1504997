"""Trainings that are healthy, and trainings that are not, each with the findings it should have."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastmlp
from fastmlp import SGD, Adam
from fastmlp.diagnosis import Finding


@dataclass
class Situation:
    """A training and the codes of which one has to be found; none: the training is healthy."""

    name: str
    data: Callable[[], tuple[Any, ...]]  # x, y and perhaps x, y of a validation
    network: dict[str, Any]
    fit: dict[str, Any]
    codes: tuple[str, ...] = ()

    def findings(self) -> tuple[Finding, ...]:
        x, y, *held_out = self.data()
        options = {"verbose": 0, **self.fit}
        if held_out:
            options["validation_data"] = tuple(held_out)
        model = fastmlp.MLP(**({"seed": 1} | self.network))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastmlp.TrainingWarning)
            try:
                model.fit(x, y, **options)
            except fastmlp.DivergedError as error:
                return (Finding("diverged", "problem", str(error), "", ""),)
        return model.findings


# ---------------------------------------------------------------- data


def split(x, y, share=0.25, seed=0):
    order = np.random.default_rng(seed).permutation(len(x))
    cut = int(len(x) * share)
    return x[order[cut:]], y[order[cut:]], x[order[:cut]], y[order[:cut]]


def sklearn_set(name, scaled=True):
    def load():
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        if scaled:
            deviation = x.std(axis=0)
            x = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
        if name == "diabetes":
            y = ((y - y.mean()) / y.std())[:, None]
        return split(x, y)

    return load


def named_set(name, **options):
    def load():
        data = fastmlp.datasets.load(name)
        y = (
            data.y_train
            if data.task == "classification"
            else data.y_train.reshape(len(data.x_train), -1)
        )
        return split(np.asarray(data.x_train, np.float64), y)

    return load


def blobs(classes=3, features=8, rows=1200, distance=3.0, seed=0, counts=None, noise=1.0):
    def load():
        rng = np.random.default_rng(seed)
        centers = rng.standard_normal((classes, features))
        centers *= distance / np.linalg.norm(centers, axis=1, keepdims=True)
        y = rng.choice(classes, rows, p=counts)
        x = centers[y] + noise * rng.standard_normal((rows, features))
        return split(x, y)

    return load


def values(rows=1500, features=6, noise=0.3, seed=0, outputs=1, kind="smooth"):
    def load():
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((rows, features))
        goal = x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3]
        y = np.stack([goal * (i + 1) for i in range(outputs)], axis=1)
        y = y / y.std(axis=0) + noise * rng.standard_normal((rows, outputs))
        return split(x, y)

    return load


def counts(rows=1500, seed=0):
    def load():
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((rows, 4))
        y = rng.poisson(np.exp(1 + 0.5 * x[:, :1]))
        return split(x, y.astype(float))

    return load


def labels(rows=1500, seed=0):
    def load():
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((rows, 6))
        y = (x[:, :3] + 0.3 * rng.standard_normal((rows, 3)) > 0).astype(float)
        return split(x, y)

    return load


def noise(classes=2, rows=1200, seed=0):
    def load():
        rng = np.random.default_rng(seed)
        return split(rng.standard_normal((rows, 8)), rng.integers(0, classes, rows))

    return load


def no_validation(load):
    return lambda: load()[:2]


def changed(load, change):
    def changed_load():
        x, y, xv, yv = load()
        return change(x), y, change(xv), yv

    return changed_load


def leaking(load, column=0, noise=0.0):
    def leaking_load():
        x, y, xv, yv = load()
        rng = np.random.default_rng(5)

        def put(x, y):
            x = np.array(x)
            x[:, column] = np.ravel(y) + noise * rng.standard_normal(len(x))
            return x

        return put(x, y), y, put(xv, yv), yv

    return leaking_load


def digits_as_bytes():
    from sklearn import datasets

    x, y = datasets.load_digits(return_X_y=True)
    return split((x * 15).astype(np.uint8), y)


CE = {"layer_sizes": [8, 32, 3]}
TANH = {"activation": "tanh"}
MOMENTUM = SGD(0.1, momentum=0.9)

HEALTHY = [
    Situation("iris", sklearn_set("iris"), {"layer_sizes": [4, 16, 3]}, {}),
    Situation("iris as it comes", sklearn_set("iris", False), {"layer_sizes": [4, 16, 3]}, {}),
    Situation(
        "wine", sklearn_set("wine"), {"layer_sizes": [13, 32, 3]}, {"epochs": 30, "batch_size": 16}
    ),
    Situation("wine as it comes", sklearn_set("wine", False), {"layer_sizes": [13, 32, 3]}, {}),
    Situation(
        "breast cancer",
        sklearn_set("breast_cancer"),
        {"layer_sizes": [30, 32, 2]},
        {"epochs": 20, "batch_size": 32},
    ),
    Situation(
        "breast cancer, sigmoid",
        sklearn_set("breast_cancer"),
        {"layer_sizes": [30, 16, 1], "loss": "binary_cross_entropy", "activation": "sigmoid"},
        {"epochs": 60, "batch_size": 32, "optimizer": Adam(0.01)},
    ),
    Situation(
        "digits",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 64, 10], "input_scale": 1 / 16},
        {"epochs": 30, "batch_size": 32, "optimizer": MOMENTUM},
    ),
    Situation(
        "digits by default",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 100, 10]},
        {"epochs": 20},
    ),
    Situation("digits as bytes", digits_as_bytes, {"layer_sizes": [64, 64, 10]}, {"epochs": 30}),
    Situation(
        "digits, deep",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 64, 64, 64, 10], "input_scale": 1 / 16},
        {"epochs": 20, "batch_size": 32},
    ),
    Situation(
        "digits, dropout",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 128, 10], "input_scale": 1 / 16, "dropout": 0.3},
        {"epochs": 30, "batch_size": 32},
    ),
    Situation(
        "digits, batch normalization",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 64, 64, 10], "batch_normalization": True, "input_scale": 1 / 16},
        {"epochs": 20, "batch_size": 64},
    ),
    Situation(
        "digits, tanh",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 64, 10], "input_scale": 1 / 16, **TANH},
        {"epochs": 30, "batch_size": 32},
    ),
    Situation(
        "digits, no validation",
        no_validation(sklearn_set("digits", False)),
        {"layer_sizes": [64, 64, 10], "input_scale": 1 / 16},
        {"epochs": 30, "batch_size": 32},
    ),
    Situation(
        "digits, gelu",
        sklearn_set("digits", False),
        {"layer_sizes": [64, 64, 10], "input_scale": 1 / 16, "activation": "gelu"},
        {"epochs": 30, "batch_size": 32},
    ),
    Situation("xor", named_set("xor"), {"layer_sizes": [2, 16, 2]}, {}),
    Situation("circles", named_set("circles"), {"layer_sizes": [2, 16, 2]}, {}),
    Situation("moons", named_set("moons"), {"layer_sizes": [2, 32, 2]}, {}),
    Situation("gaussians", named_set("gaussians"), {"layer_sizes": [2, 8, 3]}, {}),
    Situation(
        "sine",
        named_set("sine"),
        {"layer_sizes": [1, 32, 32, 1], "loss": "mse"},
        {"epochs": 300, "batch_size": 32, "optimizer": Adam(0.005)},
    ),
    Situation("three blobs", blobs(), CE, {}),
    Situation(
        "three blobs, momentum",
        blobs(),
        CE,
        {"epochs": 20, "batch_size": 32, "optimizer": SGD(0.05, momentum=0.9)},
    ),
    Situation("blobs that overlap", blobs(distance=1.5), CE, {"epochs": 15, "batch_size": 32}),
    Situation("ten blobs", blobs(classes=10, distance=4.0), {"layer_sizes": [8, 64, 10]}, {}),
    Situation("unequal classes", blobs(counts=[0.85, 0.1, 0.05]), CE, {}),
    Situation(
        "two classes, 3 % positive",
        blobs(classes=2, counts=[0.97, 0.03], distance=4.0, rows=4000),
        {"layer_sizes": [8, 32, 2]},
        {"epochs": 20},
    ),
    Situation("hinge", blobs(), {**CE, "loss": "hinge"}, {}),
    Situation("smoothing", blobs(), {**CE, "loss": fastmlp.SoftmaxCrossEntropy(smoothing=0.1)}, {}),
    Situation("values", values(), {"layer_sizes": [6, 64, 1], "loss": "mse"}, {"epochs": 60}),
    Situation(
        "values in thousands",
        changed(values(), lambda x: x * 1000),
        {"layer_sizes": [6, 64, 1], "loss": "mse"},
        {"epochs": 60},
    ),
    Situation(
        "noisy values",
        values(noise=1.5),
        {"layer_sizes": [6, 16, 1], "loss": "mse"},
        {"epochs": 30},
    ),
    Situation(
        "mean absolute error", values(), {"layer_sizes": [6, 64, 1], "loss": "mae"}, {"epochs": 60}
    ),
    Situation("huber", values(), {"layer_sizes": [6, 64, 1], "loss": "huber"}, {"epochs": 60}),
    Situation(
        "quantiles",
        values(outputs=1),
        {"layer_sizes": [6, 64, 1], "loss": fastmlp.Quantile(levels=0.9)},
        {"epochs": 60},
    ),
    Situation(
        "two targets", values(outputs=2), {"layer_sizes": [6, 64, 2], "loss": "mse"}, {"epochs": 60}
    ),
    Situation("counts", counts(), {"layer_sizes": [4, 32, 1], "loss": "poisson"}, {"epochs": 60}),
    Situation(
        "several labels",
        labels(),
        {"layer_sizes": [6, 32, 3], "loss": "binary_cross_entropy"},
        {"epochs": 40},
    ),
    Situation(
        "diabetes",
        sklearn_set("diabetes"),
        {"layer_sizes": [10, 8, 1], "loss": "mse"},
        {"epochs": 30},
    ),
    Situation("members", blobs(), {**CE, "members": 4}, {"epochs": 20, "batch_size": 64}),
    Situation(
        "float64, L2",
        blobs(),
        {**CE, "dtype": "float64"},
        {"epochs": 20, "batch_size": 64, "optimizer": Adam(0.003, l2=1e-3)},
    ),
]

DIGITS = {"layer_sizes": [64, 64, 10], "input_scale": 1 / 16}
UNHEALTHY = [
    Situation(
        "inputs in hundreds",
        changed(sklearn_set("digits", False), lambda x: x * 20),
        {**DIGITS, "input_scale": 1},
        {"epochs": 20, "optimizer": MOMENTUM},
        ("input-scale",),
    ),
    Situation(
        "wine without standardization",
        sklearn_set("wine", False),
        {"layer_sizes": [13, 32, 3], "input_scale": 1},
        {"epochs": 300},
        ("input-scale",),
    ),
    Situation(
        "tiny inputs",
        changed(blobs(), lambda x: x * 1e-4),
        {**CE, "input_scale": 1},
        {"epochs": 50},
        ("input-scale",),
    ),
    Situation(
        "bytes without scale",
        digits_as_bytes,
        {**DIGITS, "input_scale": 1},
        {"epochs": 20, "optimizer": MOMENTUM},
        ("input-scale",),
    ),
    Situation("rate 0", blobs(), CE, {"epochs": 20, "optimizer": SGD(0.0)}, ("rate-too-low",)),
    Situation("rate 1e-7", blobs(), CE, {"epochs": 50, "optimizer": SGD(1e-7)}, ("rate-too-low",)),
    Situation(
        "rate 1e-5 of Adam",
        sklearn_set("digits", False),
        DIGITS,
        {"epochs": 20, "optimizer": Adam(1e-6)},
        ("rate-too-low",),
    ),
    Situation(
        "rate 5",
        sklearn_set("digits", False),
        DIGITS,
        {"epochs": 20, "optimizer": SGD(5.0, momentum=0.9)},
        ("rate-too-high", "dead-units"),
    ),
    Situation(
        "rate 1 of Adam",
        sklearn_set("digits", False),
        DIGITS,
        {"epochs": 20, "optimizer": Adam(1.0)},
        ("rate-too-high", "dead-units"),
    ),
    Situation(
        "dead units",
        sklearn_set("digits", False),
        {**DIGITS, "input_scale": 1},
        {"epochs": 20, "optimizer": SGD(1.0, momentum=0.9)},
        ("dead-units",),
    ),
    Situation(
        "saturated sigmoid",
        changed(blobs(), lambda x: x * 100),
        {**CE, "activation": "sigmoid", "input_scale": 1},
        {"epochs": 20},
        ("saturated-units", "input-scale"),
    ),
    Situation(
        "ten layers of sigmoid",
        blobs(),
        {"layer_sizes": [8, *[32] * 10, 3], "activation": "sigmoid"},
        {"epochs": 20, "optimizer": SGD(0.1)},
        ("vanishing-gradients",),
    ),
    Situation(
        "labels by chance",
        noise(),
        {"layer_sizes": [8, 32, 2]},
        {"epochs": 30},
        ("no-better-than-constant",),
    ),
    Situation(
        "five classes by chance",
        noise(classes=5),
        {"layer_sizes": [8, 32, 5]},
        {"epochs": 30},
        ("no-better-than-constant",),
    ),
    Situation(
        "values by chance",
        lambda: split(
            np.random.default_rng(0).standard_normal((1200, 6)),
            np.random.default_rng(1).standard_normal((1200, 1)),
        ),
        {"layer_sizes": [6, 16, 1], "loss": "mse"},
        {"epochs": 30},
        ("no-better-than-constant",),
    ),
    Situation(
        "overfit",
        blobs(distance=1.2, rows=300),
        {"layer_sizes": [8, 256, 3]},
        {"epochs": 300, "batch_size": 16},
        ("overfitting",),
    ),
    Situation(
        "overfit values",
        values(noise=1.5, rows=200),
        {"layer_sizes": [6, 256, 1], "loss": "mse"},
        {"epochs": 300, "batch_size": 16},
        ("overfitting",),
    ),
    Situation("a leak", leaking(blobs(distance=1.0)), CE, {"epochs": 30}, ("leaking-columns",)),
    Situation(
        "a leak of values",
        leaking(values(noise=1.0)),
        {"layer_sizes": [6, 32, 1], "loss": "mse"},
        {"epochs": 30},
        ("leaking-columns",),
    ),
    Situation(
        "a rare class",
        blobs(classes=2, counts=[0.97, 0.03], distance=1.0, rows=3000),
        {"layer_sizes": [8, 16, 2]},
        {"epochs": 10},
        ("missing-classes",),
    ),
    Situation("one epoch", blobs(), CE, {"epochs": 1}, ("few-epochs",)),
    Situation(
        "three epochs of a slow optimizer",
        sklearn_set("digits", False),
        DIGITS,
        {"epochs": 10, "optimizer": SGD(0.01)},
        ("few-epochs", "rate-too-low"),
    ),
    Situation("thirty rows tested", blobs(rows=120), CE, {"epochs": 100}, ("small-test",)),
    Situation(
        "a constant column",
        changed(blobs(), lambda x: np.hstack([x[:, :7], np.ones((len(x), 1))])),
        CE,
        {"epochs": 30},
        ("constant-columns",),
    ),
]


# ---------------------------------------------------------------- chosen after the checks


def relabeled(load, share, seed=3):
    """Return the set with a share of its training labels drawn anew."""

    def noisy():
        x, y, xv, yv = load()
        rng = np.random.default_rng(seed)
        wrong = rng.random(len(y)) < share
        return x, np.where(wrong, rng.permutation(y), y), xv, yv

    return noisy


def one_large_column(x):
    x = np.array(x)
    x[:, 0] *= 5000
    return x


def far_away(x):
    return x + 1000


LATER = [
    Situation(
        "one column in thousands",
        changed(blobs(), one_large_column),
        {**CE, "input_scale": 1},
        {"epochs": 40},
        ("input-scale",),
    ),
    Situation(
        "a mean of 1000",
        changed(blobs(), far_away),
        {**CE, "input_scale": 1},
        {"epochs": 40},
        ("input-scale",),
    ),
    Situation(
        "values of tiny inputs",
        changed(values(), lambda x: x / 1e5),
        {"layer_sizes": [6, 32, 1], "loss": "mse", "input_scale": 1},
        {"epochs": 40},
        ("input-scale",),
    ),
    Situation(
        "tanh, saturated",
        changed(sklearn_set("digits", False), lambda x: x * 3),
        {**DIGITS, **TANH, "input_scale": 1},
        {"epochs": 20, "optimizer": MOMENTUM},
        ("saturated-units", "input-scale"),
    ),
    Situation(
        "mse at rate 0.5",
        values(),
        {"layer_sizes": [6, 64, 1], "loss": "mse"},
        {"epochs": 40, "optimizer": SGD(0.35)},
        ("diverged",),
    ),
    Situation(
        "wine at rate 10 of Adam",
        sklearn_set("wine"),
        {"layer_sizes": [13, 32, 3]},
        {"epochs": 200, "batch_size": 16, "optimizer": Adam(10.0)},
        ("rate-too-high", "dead-units"),
    ),
    Situation(
        "values at rate 1e-6",
        values(),
        {"layer_sizes": [6, 32, 1], "loss": "mse"},
        {"epochs": 60, "optimizer": SGD(1e-6)},
        ("rate-too-low",),
    ),
    Situation(
        "momentum at rate 1e-8",
        sklearn_set("breast_cancer"),
        {"layer_sizes": [30, 32, 2]},
        {"epochs": 40, "batch_size": 32, "optimizer": SGD(1e-8, momentum=0.9)},
        ("rate-too-low",),
    ),
    Situation(
        "twelve layers of tanh, small weights",
        sklearn_set("digits", False),
        {
            "layer_sizes": [64, *[32] * 12, 10],
            **TANH,
            "initializer": fastmlp.Normal(0.05),
            "input_scale": 1 / 16,
        },
        {"epochs": 20, "optimizer": SGD(0.05)},
        ("vanishing-gradients",),
    ),
    Situation(
        "shuffled digits",
        relabeled(sklearn_set("digits", False), 1.0),
        {**DIGITS},
        {"epochs": 20},
        ("no-better-than-constant",),
    ),
    Situation(
        "half the labels wrong",
        relabeled(blobs(rows=600), 0.6),
        {"layer_sizes": [8, 256, 256, 3]},
        {"epochs": 200, "batch_size": 32},
        ("overfitting",),
    ),
    Situation(
        "one target of noise, mae",
        lambda: split(
            np.random.default_rng(4).standard_normal((1000, 5)),
            np.random.default_rng(5).standard_normal((1000, 1)),
        ),
        {"layer_sizes": [5, 16, 1], "loss": "mae"},
        {"epochs": 40},
        ("no-better-than-constant",),
    ),
    Situation(
        "counts by chance",
        lambda: split(
            np.random.default_rng(6).standard_normal((1200, 5)),
            np.random.default_rng(7).poisson(4.0, (1200, 1)).astype(float),
        ),
        {"layer_sizes": [5, 16, 1], "loss": "poisson"},
        {"epochs": 30},
        ("no-better-than-constant",),
    ),
    Situation(
        "labels of noise",
        lambda: split(
            np.random.default_rng(8).standard_normal((1200, 5)),
            np.random.default_rng(9).integers(0, 2, (1200, 3)).astype(float),
        ),
        {"layer_sizes": [5, 16, 3], "loss": "binary_cross_entropy"},
        {"epochs": 30},
        ("no-better-than-constant",),
    ),
    Situation(
        "a leak with noise",
        leaking(blobs(classes=2, distance=0.5), column=3, noise=0.05),
        {"layer_sizes": [8, 32, 2]},
        {"epochs": 30},
        ("leaking-columns",),
    ),
    Situation(
        "two rare classes of five",
        blobs(classes=5, counts=[0.4, 0.35, 0.22, 0.02, 0.01], distance=1.5, rows=3000),
        {"layer_sizes": [8, 16, 5]},
        {"epochs": 10},
        ("missing-classes",),
    ),
    Situation("two epochs", sklearn_set("digits", False), DIGITS, {"epochs": 2}, ("few-epochs",)),
    Situation(
        "a slow rate, still falling",
        values(),
        {"layer_sizes": [6, 32, 1], "loss": "mse"},
        {"epochs": 30, "optimizer": SGD(0.0005)},
        ("few-epochs", "rate-too-low"),
    ),
    Situation(
        "fifty rows tested",
        values(rows=200),
        {"layer_sizes": [6, 16, 1], "loss": "mse"},
        {"epochs": 100, "optimizer": Adam(0.003)},
        ("small-test",),
    ),
    Situation(
        "two constant columns",
        changed(values(), lambda x: np.hstack([x[:, :4], np.zeros((len(x), 2))])),
        {"layer_sizes": [6, 32, 1], "loss": "mse"},
        {"epochs": 40},
        ("constant-columns",),
    ),
]


def linear(rows=360, features=20, seed=0):
    def load():
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((rows, features))
        y = (x @ rng.standard_normal(features) + 0.1 * rng.standard_normal(rows))[:, None]
        return x[:60], y[:60], x[60:], y[60:]

    return load


def flagged(load, right=0.98, seed=6):
    """Return the set with a column that is the class, but for a few rows."""

    def flagged_load():
        x, y, xv, yv = load()
        rng = np.random.default_rng(seed)

        def put(x, y):
            x = np.array(x)
            x[:, 2] = np.where(rng.random(len(y)) < right, y, 1 - y)
            return x

        return put(x, y), y, put(xv, yv), yv

    return flagged_load


def unlike_targets():
    x, y, xv, yv = values()()
    other, other_v = (z[:, 4:5] * z[:, 5:6] for z in (x, xv))
    return x, np.hstack([y * 1e6, other]), xv, np.hstack([yv * 1e6, other_v])


# Found by others, who had not seen the checks: all of these were missed at first.
LATER += [
    Situation(
        "few rows of a linear truth",
        linear(),
        {"layer_sizes": [20, 128, 1], "loss": "mse"},
        {},
        ("overfitting",),
    ),
    Situation(
        "a flag that is nearly the class",
        flagged(blobs(classes=2, distance=0.5)),
        {"layer_sizes": [8, 32, 2]},
        {"epochs": 30},
        ("leaking-columns",),
    ),
    Situation(
        "two targets of unlike scale",
        unlike_targets,
        {"layer_sizes": [6, 32, 2], "loss": "mse"},
        {},
        ("lost-outputs",),
    ),
    Situation(
        "three epochs above the mean",
        values(rows=300),
        {"layer_sizes": [6, 32, 1], "loss": "mse"},
        {"epochs": 3},
        ("few-epochs",),
    ),
]


def healthy_at_random(seed: int) -> Situation:
    """Return a training with usual settings on data that can be learned."""
    rng = np.random.default_rng([2027, seed])
    hidden = [int(h) for h in rng.choice([16, 32, 64, 128], int(rng.integers(1, 4)))]
    rows = int(rng.integers(600, 4000))
    features = int(rng.integers(3, 25))
    batch = int(rng.choice([16, 32, 64, 128]))
    epochs = max(10, int(1500 * batch / rows * rng.uniform(0.7, 1.5)))
    optimizer = [None, Adam(0.002), Adam(0.005), SGD(0.05, momentum=0.9), fastmlp.RMSprop(0.001)][
        seed % 5
    ]
    network = {
        "activation": str(rng.choice(["relu", "tanh", "gelu", "silu", "elu"])),
        "dropout": float(rng.choice([0.0, 0.0, 0.1, 0.2])),
        "seed": seed,
    }
    fit = {"epochs": epochs, "batch_size": batch, "optimizer": optimizer}
    if seed % 3 == 2:
        if isinstance(optimizer, SGD):
            fit["optimizer"] = SGD(0.005, momentum=0.9)
        data = values(
            rows=rows, features=max(4, features), noise=float(rng.uniform(0.1, 0.6)), seed=seed
        )
        network |= {"layer_sizes": [max(4, features), *hidden, 1], "loss": "mse"}
    else:
        classes = int(rng.integers(2, 8))
        data = blobs(classes, features, rows, float(rng.uniform(3.0, 5.0)), seed)
        network |= {"layer_sizes": [features, *hidden, classes]}
    return Situation(f"random {seed}", data, network, fit)
