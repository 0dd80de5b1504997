"""Plain networks of three sizes, and the digest of all results of their training."""

from __future__ import annotations

import hashlib

import numpy as np

import fastmlp
from support.strategies import problem

SMALL = ([37, 19, 23, 10], 200, 32)
# Wide enough that every thread gets work and every panel an edge.
LARGE = ([300, 257, 129, 10], 300, 97)
# Whole panels for two, three or four threads, which are then split by outputs; inputs mostly zero.
SPARSE = ([90, 96, 128, 10], 200, 32)
CASES = {"small": SMALL, "large": LARGE, "sparse": SPARSE}


def trained_digest(case, dtype, threads, loss="softmax_cross_entropy"):
    """Return the SHA-256 of all results of a training."""
    sizes, samples, batch_size = case
    x, y = problem(loss, samples, sizes[0], sizes[-1], dtype, seed=2)
    if case is SPARSE:
        x *= np.random.default_rng(3).random(x.shape) < 0.02
    model = fastmlp.MLP(sizes, dtype=dtype, loss=loss, activation="tanh", seed=7)
    optimizer = fastmlp.SGD(learning_rate=0.01, momentum=0.9, nesterov=True, l2=1e-3)
    history = model.fit(
        x, y, epochs=2, batch_size=batch_size, optimizer=optimizer, threads=threads, verbose=0
    )
    digest = hashlib.sha256()
    for array in [*model.weights, *model.biases, np.array(history.loss), model.forward(x)]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
