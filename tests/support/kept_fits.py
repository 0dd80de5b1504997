"""Small fits of estimators for tables, for tests that stop them."""

from __future__ import annotations

import numpy as np

import fastmlp


def data(task: str, rows: int = 160):
    made = np.random.default_rng(1)
    size, town = made.gamma(4.0, 25.0, rows), made.choice(["Ada", "Bo", "Cy"], rows)
    value = size * np.where(town == "Cy", 2.0, 1.0) + made.normal(0, 5, rows)
    labels = np.where(value > 100, "much", "little")
    return {"size": size, "town": town}, labels if task == "classification" else value


def estimator(task: str = "classification", **settings):
    kinds = {
        "classification": fastmlp.TabularClassifier, "regression": fastmlp.TabularRegressor,
    }  # fmt: skip
    own = {"epochs": 80, "hidden": [32, 32], "batch_size": 8, "random_state": 3}
    return kinds[task](**{**own, **settings})
