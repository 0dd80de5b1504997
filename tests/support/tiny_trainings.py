"""Trainings whose numbers lie around the smallest normal one, drawn from a seed."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from typing import Any

import numpy as np

import fastmlp
from support.random_networks import forced, ways

__all__ = ["digests", "is_subnormal", "train"]

OPTIMIZERS = [
    lambda rate: fastmlp.SGD(rate, momentum=0.9),
    lambda rate: fastmlp.SGD(rate, momentum=0.5, l2=0.1, clip_norm=1e-3),
    lambda rate: fastmlp.Adam(rate),
    lambda rate: fastmlp.RMSprop(rate),
]


def is_subnormal(array: Any) -> Any:
    """Return a mask of the subnormal elements."""
    size = np.abs(array)
    return (size > 0) & (size < np.finfo(array.dtype).smallest_normal)


def train(seed: int, threads: int) -> list[Any]:
    """Return what a training leaves: parameters, state of the optimizer, outputs, gradients."""
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
    # A training that diverges leaves the parameters before that epoch, which count like others.
    with warnings.catch_warnings(), contextlib.suppress(fastmlp.DivergedError):
        warnings.simplefilter("ignore", fastmlp.TrainingWarning)
        model.fit(
            x, y, epochs=3, batch_size=int(rng.integers(shards, rows + 1)), optimizer=optimizer,
            threads=threads, shards=shards, verbose=0,
        )  # fmt: skip
    state = model.training_state()
    left = [*model.parameters().values(), *(state[k] for k in sorted(state) if "slots" in k)]
    return [*left, model.forward(x, threads=threads), model.input_gradients(x, y, threads=threads)]


def digests(seed: int) -> set[str]:
    """Return the digests of a training under several plans, of which there should be one."""
    found = set()
    for way in ways(seed, 2):
        for threads, overrides in ((1, {}), (way.threads, way.overrides)):
            with forced(overrides):
                arrays = train(seed, threads)
            found.add(hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
    return found
