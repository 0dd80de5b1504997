"""Trainings whose numbers lie around the smallest normal one, drawn from a seed."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any, NamedTuple

import numpy as np

import fastmlp
from support.random_networks import forced, ways

__all__ = ["Training", "digests", "is_subnormal", "train"]

OPTIMIZERS = [
    lambda rate: fastmlp.SGD(rate, momentum=0.9),
    lambda rate: fastmlp.SGD(rate, momentum=0.5, l2=0.1, clip_norm=1e-3),
    lambda rate: fastmlp.Adam(rate),
    lambda rate: fastmlp.RMSprop(rate),
]


class Training(NamedTuple):
    """A training: the parameters that it was given, and what it left."""

    given: list[Any]
    parameters: list[Any]
    others: list[Any]
    """State of the optimizer, outputs, gradients of the inputs."""
    diverged_in: int | None
    """The epoch in which it diverged; the parameters are those before that epoch."""


def is_subnormal(array: Any) -> Any:
    """Return a mask of the subnormal elements."""
    size = np.abs(array)
    return (size > 0) & (size < np.finfo(array.dtype).smallest_normal)


def train(seed: int, threads: int) -> Training:
    """Train the network that the seed draws."""
    rng = np.random.default_rng([seed, 0])
    dtype = np.dtype(rng.choice(["float32", "float64"]))
    low = float(np.finfo(dtype).minexp)  # of the smallest normal number
    sizes = [int(rng.integers(1, 80)) for _ in range(int(rng.integers(2, 5)))]
    rows = int(rng.integers(3, 90))

    def tiny(*shape: int) -> Any:
        return rng.standard_normal(shape) * 2.0 ** (low + rng.uniform(-10, 40, shape))

    activation = str(rng.choice(["relu", "tanh", "identity"]))
    model = fastmlp.MLP(
        sizes, dtype=dtype.name, loss="mse", activation=activation,
        compute_dtype="bfloat16" if dtype == "float32" and rng.random() < 0.5 else None,
        input_scale=1.0, seed=0,
    )  # fmt: skip
    for layer, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        if rng.random() < 0.5:
            model.weights[layer] = tiny(inputs, outputs)
        if rng.random() < 0.5:
            model.biases[layer] = tiny(outputs)
    x = tiny(rows, sizes[0]) if rng.random() < 0.5 else rng.standard_normal((rows, sizes[0]))
    y = tiny(rows, sizes[-1])
    optimizer = OPTIMIZERS[rng.integers(len(OPTIMIZERS))](float(rng.choice([1e-3, 0.5])))
    shards = int(rng.choice([1, 1, 3]))
    given, diverged_in = list(model.parameters().values()), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastmlp.TrainingWarning)
        try:
            model.fit(
                x, y, epochs=3, batch_size=int(rng.integers(shards, rows + 1)), optimizer=optimizer,
                threads=threads, shards=shards, verbose=0,
            )  # fmt: skip
        except fastmlp.DivergedError as error:
            diverged_in = error.epoch
    state = model.training_state()
    others = [state[k] for k in sorted(state) if "slots" in k]
    others.append(model.forward(x, threads=threads))
    others.append(model.input_gradients(x, y, threads=threads))
    return Training(given, list(model.parameters().values()), others, diverged_in)


def digests(seed: int) -> set[str]:
    """Return the digests of a training under several plans, of which there should be one."""
    found = set()
    for way in ways(seed, 2):
        for threads, overrides in ((1, {}), (way.threads, way.overrides)):
            with forced(overrides):
                done = train(seed, threads)
            arrays = (array.tobytes() for array in (*done.parameters, *done.others))
            found.add(hashlib.sha256(b"".join(arrays)).hexdigest())
    return found
