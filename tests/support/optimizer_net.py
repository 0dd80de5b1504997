"""The small network that every optimizer trains, and the results of PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastmlp

TRAJECTORIES = Path(__file__).with_name("torch_trajectories.json")
SIZES = [12, 9, 4]
BATCH, STEPS = 8, 1000


def data():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((BATCH * 50, SIZES[0]))
    return x, (x[:, : SIZES[-1]] + 0.3 * rng.standard_normal((len(x), SIZES[-1]))).argmax(axis=1)


def small_model(dtype="float64"):
    return fastmlp.MLP(SIZES, activation="sigmoid", dtype=dtype, seed=3)
