"""Small trained networks of every kind, for the tests of exports."""

from __future__ import annotations

import numpy as np

import fastmlp
from fastmlp.activations import ACTIVATIONS
from fastmlp.data import Preprocessing
from fastmlp.data.normal_map import NormalMap

FEATURES = 7
SAMPLES = 120

ALL_ACTIVATIONS = tuple(ACTIVATIONS)
# Name -> outputs and arguments of the model.
LOSSES = {
    "softmax_cross_entropy": (4, {"loss": "softmax_cross_entropy"}),
    "softmax_output": (4, {"loss": "softmax_cross_entropy", "output_activation": "softmax"}),
    "hinge": (3, {"loss": "hinge"}),
    "binary": (1, {"loss": "binary_cross_entropy"}),
    "logits": (3, {"loss": "binary_cross_entropy"}),
    "multilabel": (3, {"loss": "binary_cross_entropy", "output_activation": "sigmoid"}),
    "mse": (2, {"loss": "mse"}),
    "mse_softmax": (3, {"loss": "mse", "output_activation": "softmax"}),
    "huber_tanh": (2, {"loss": "huber", "output_activation": "tanh"}),
    "poisson": (1, {"loss": "poisson"}),
    "quantile": (1, {"loss": fastmlp.Quantile(levels=0.9)}),
    "several": (
        5,
        {"loss": [fastmlp.SoftmaxCrossEntropy(outputs=3), fastmlp.MSE(outputs=2)]},
    ),
    "user_defined": (
        2,
        {"loss": lambda outputs, targets: (float(np.mean(outputs**2)), outputs / outputs.size)},
    ),
}


def samples(dtype, count=SAMPLES, seed=1):
    random = np.random.Generator(np.random.PCG64(seed))
    return random.standard_normal((count, FEATURES)).astype(dtype)


def quantiles_of(scaled):
    """Fields of a preprocessing that map scaled samples to normal quantiles."""
    found = NormalMap.of(scaled.astype(np.float64).T)
    return {"input_quantiles": found.quantiles, "normal_quantiles": found.normal_quantiles}


def far_and_near(dtype):
    """Return arguments of activations: around 0, around all limits, and where powers overflow."""
    huge = float(np.finfo(dtype).max) ** 0.9
    sizes = [0.0, 1e-30, 0.4, 0.7, 3, 5.6, 5.7, 6, 20, 60, 88, 105, 750, 1e9, 1e18, huge]
    return np.array([sign * size for size in sizes for sign in (1, -1)], dtype)


def targets(name, outputs, count=SAMPLES):
    random = np.random.Generator(np.random.PCG64(2))
    if name in ("softmax_cross_entropy", "softmax_output", "hinge"):
        return random.integers(0, outputs, count)
    values = random.integers(0, 2, (count, outputs)).astype(float)
    return [random.integers(0, 3, count), values[:, 3:]] if name == "several" else values


def trained(
    loss="softmax_cross_entropy", activation="relu", *, dtype="float32", hidden=(9, 6), **arguments
):
    """Return a network after two epochs, whose moments and biases differ from initial ones."""
    outputs, chosen = LOSSES[loss]
    model = fastmlp.MLP(
        [FEATURES, *hidden, outputs], activation=activation, dtype=dtype, seed=3,
        **(chosen | arguments),
    )  # fmt: skip
    optimizer = fastmlp.SGD(learning_rate=0.05)
    x = samples(dtype) / abs(model.architecture.input_scale)
    y = targets(loss, outputs)
    model.fit(x, y, epochs=2, batch_size=20, optimizer=optimizer, threads=1, verbose=0)
    return model


def predictions(model, x):
    """Return the outputs that the documentation of `to_onnx` promises, by name."""
    losses = model.architecture.losses
    if len(losses) > 1 or losses[0].name == "user_defined":
        return {"outputs": model.forward(x)}
    if losses[0].name == "hinge":
        return {"scores": model.forward(x), "label": model.predict(x)}
    if losses[0].has_accuracy:
        return {"probabilities": model.predict_proba(x), "label": model.predict(x)}
    return {"y": model.predict(x)}


def classes(count, **arguments):
    """Return a preprocessing of classes, for samples in arrays."""
    names = tuple(f"class {i}" for i in range(count))
    return Preprocessing("classification", FEATURES, class_names=names, **arguments)
