"""A small network, its data, and what tells whether two networks are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

import fastmlp

__all__ = ["Problem", "digest", "model_digest"]

Array = npt.NDArray[Any]


def digest(arrays: Iterable[Any]) -> str:
    """Of the bits of some arrays, their types and their shapes."""
    total = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array)
        total.update(f"{values.dtype} {values.shape};".encode())
        total.update(values.tobytes())
    return total.hexdigest()[:16]


def model_digest(model: fastmlp.MLP) -> str:
    return digest(model.parameters().values())


class Problem:
    """Three classes in eight dimensions, and a network that keeps state of every kind.

    Parameters
    ----------
    seed : int
        Of network and data.
    samples : int
    hidden : tuple of int
    """

    def __init__(self, seed: int = 0, samples: int = 96, hidden: tuple[int, ...] = (12, 9)) -> None:
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.sizes = [8, *hidden, 3]
        self.y = rng.integers(0, 3, samples)
        self.x = (rng.standard_normal((samples, 8)) + self.y[:, None]).astype(np.float32)

    def model(self) -> fastmlp.MLP:
        return fastmlp.MLP(self.sizes, seed=self.seed % 1000, dropout=0.1, batch_normalization=True)

    def fit(self, model: fastmlp.MLP, epochs: int = 2, **options: Any) -> fastmlp.History:
        """With Adam and averages, on one thread, silently; unless told otherwise."""
        arguments: dict[str, Any] = {
            "batch_size": 32,
            "optimizer": fastmlp.Adam(0.01),
            "averaging": fastmlp.EMA(0.9),
            "threads": 1,
            "verbose": 0,
        }
        return model.fit(self.x, self.y, epochs=epochs, **{**arguments, **options})

    def trained(self, epochs: int = 2, **options: Any) -> fastmlp.MLP:
        model = self.model()
        self.fit(model, epochs, **options)
        return model
