"""Trainings with products in bfloat16 beside the same ones in float32: scores and loss curves.

Both kinds have the same initial weights, batches and settings, for each of five seeds. Tables are
standardized and cut 75 : 25, stratified by class. Scores on the test part are accuracy, or R2 for
diabetes. With --curves PATH the losses of MNIST are drawn for all seeds.

    pip install . scikit-learn matplotlib
    python benchmarks/bfloat16.py --curves docs/images/bfloat16-loss.svg
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np

import fastmlp

SEEDS = range(5)
TYPES = {"float32": None, "bfloat16": "bfloat16"}
IMAGES = ("mnist", "fashion-mnist")
TABLES = ("iris", "wine", "breast_cancer", "digits", "diabetes", "clusters")


def classes_of_groups(seed: int) -> tuple[Any, Any]:
    """Return 12,000 rows of 54 columns in 7 classes that no plane separates, from a seed."""
    from sklearn.datasets import make_classification

    return make_classification(  # type: ignore[no-any-return]
        12_000, 54, n_informative=20, n_redundant=10, n_classes=7, n_clusters_per_class=3,
        random_state=seed,
    )  # fmt: skip


def table(name: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Return standardized parts to train on and to test."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    if name == "clusters":
        x, y = classes_of_groups(0)
    else:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    groups = None if name == "diabetes" else y
    x, x_test, y, y_test = train_test_split(x, y, stratify=groups, random_state=seed)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1
    if name == "diabetes":
        y_test, y = (y_test - y.mean()) / y.std(), (y - y.mean()) / y.std()
    x, x_test = ((part - mean) / deviation for part in (x, x_test))
    return x.astype(np.float32), x_test.astype(np.float32), y, y_test


def trained(name: str, compute_dtype: str | None, seed: int) -> tuple[float, list[float]]:
    """Return the score on the test part, and the loss of each epoch."""
    images = name in IMAGES
    if images:
        data = fastmlp.datasets.load(name)
        x, x_test, y, y_test = data.x_train, data.x_test, data.y_train, data.y_test
        hidden, epochs, batch, optimizer = [128], 5, 128, fastmlp.SGD(0.1, momentum=0.9)
    else:
        x, x_test, y, y_test = table(name, seed)
        hidden, epochs, batch, optimizer = [100], 60, 32, fastmlp.Adam(0.001)
    regression = name == "diabetes"
    if regression:
        y, y_test = (part.astype(np.float32).reshape(-1, 1) for part in (y, y_test))
    model = fastmlp.MLP(
        [x.shape[1], *hidden, 1 if regression else int(y.max()) + 1],
        loss="mse" if regression else "softmax_cross_entropy",
        input_scale=1 / 255 if images else 1.0,
        compute_dtype=compute_dtype,
        seed=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, epochs=epochs, batch_size=batch, optimizer=optimizer, verbose=0)
    if regression:
        residuals = y_test - model.predict(x_test).reshape(-1, 1)
        score = 1 - float(np.square(residuals).sum() / np.square(y_test - y_test.mean()).sum())
    else:
        score = float(np.mean(model.predict(x_test) == y_test))
    return score, list(model.history.loss)


def is_at_hand(name: str) -> bool:
    try:
        fastmlp.datasets.load(name)
    except fastmlp.DataUnavailableError:
        return False
    return True


def draw(curves: dict[str, list[list[float]]], path: str) -> None:
    """Draw the losses of all seeds over the epochs."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for (name, losses), style in zip(curves.items(), ("-", "--"), strict=True):
        for number, values in enumerate(losses):
            label = f"{name}, 5 seeds" if number == 0 else None
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, style, color=f"C{number}", label=label)
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log", title="MNIST, 784-128-10")
    axes.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", metavar="PATH", help="draw the losses of MNIST to this file")
    parser.add_argument("sets", nargs="*", default=[*IMAGES, *TABLES], help="names of data sets")
    arguments = parser.parse_args()
    print(f"fastmlp {fastmlp.__version__}, {fastmlp.info()['isa']}, {len(SEEDS)} seeds")
    print("| data | float32 | bfloat16 | difference of pairs | spread of seeds in float32 |")
    print("| --- | --- | --- | --- | --- |")
    curves: dict[str, list[list[float]]] = {name: [] for name in TYPES}
    for data in arguments.sets:
        if data in IMAGES and not is_at_hand(data):
            print(f"| {data} | not at hand | | | |")
            continue
        scores: dict[str, list[float]] = {name: [] for name in TYPES}
        for seed in SEEDS:
            for name, compute_dtype in TYPES.items():
                score, losses = trained(data, compute_dtype, seed)
                scores[name].append(100 * score)
                if data == "mnist":
                    curves[name].append(losses)
        plain, half = (np.array(scores[name]) for name in TYPES)
        print(
            f"| {data} | {plain.mean():.2f} | {half.mean():.2f} | {(half - plain).mean():+.2f} "
            f"({(half - plain).min():+.2f} to {(half - plain).max():+.2f}) | "
            f"{plain.std(ddof=1):.2f} |",
            flush=True,
        )
    if arguments.curves and "mnist" in arguments.sets:
        draw(curves, arguments.curves)


if __name__ == "__main__":
    main()
