"""Networks of sigmoid units that classify handwritten digits, beside published accuracies.

M. Nielsen, "Neural networks and deep learning", 2015: the first 50,000 images of MNIST for training
in batches of 10, 30 epochs, measured on the 10,000 test images after each. His first chapter draws
weights from N(0, 1), with which some runs end far below the published value, as he notes; his third
chapter draws them from N(0, 1 / inputs). Biases are drawn from N(0, 1).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastmlp

TRAINING_IMAGES = 50_000
LARGE = fastmlp.Normal(1.0)


@dataclass(frozen=True)
class Recipe:
    """A row of the table; `printed` is the published accuracy in percent, if any."""

    hidden: int
    loss: str
    learning_rate: float
    initializer: Any
    l2: float = 0.0
    printed: float | None = None


RECIPES = (
    Recipe(30, "half_mse", 3.0, LARGE, printed=95.42),
    Recipe(100, "half_mse", 3.0, LARGE, printed=96.59),
    Recipe(30, "half_mse", 3.0, "lecun_normal"),
    Recipe(100, "half_mse", 3.0, "lecun_normal"),
    Recipe(100, "binary_cross_entropy", 0.5, LARGE, l2=5.0 / TRAINING_IMAGES, printed=97.92),
    Recipe(100, "binary_cross_entropy", 0.5, "lecun_normal", l2=5.0 / TRAINING_IMAGES),
)


def network(recipe: Recipe, seed: int) -> fastmlp.MLP:
    """The untrained network of a recipe."""
    model = fastmlp.MLP(
        [784, recipe.hidden, 10],
        activation="sigmoid",
        output_activation="sigmoid",
        loss=recipe.loss,
        initializer=recipe.initializer,
        input_scale=1 / 255,
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    model.biases = [rng.standard_normal(recipe.hidden), rng.standard_normal(10)]
    return model


def accuracies(
    recipe: Recipe, data: fastmlp.datasets.Dataset, epochs: int, seed: int, threads: int
) -> NDArray[np.float64]:
    """Percentage of the test images that are classified correctly after each epoch."""
    right: list[float] = []

    def test(model: fastmlp.MLP, record: dict[str, Any]) -> None:
        guesses = model.forward(data.x_test, threads=threads).argmax(axis=1)
        right.append(100 * fastmlp.metrics.accuracy(data.y_test, guesses))

    network(recipe, seed).fit(
        data.x_train[:TRAINING_IMAGES],
        np.eye(10)[data.y_train[:TRAINING_IMAGES]],
        epochs=epochs,
        batch_size=10,
        optimizer=fastmlp.SGD(recipe.learning_rate, l2=recipe.l2),
        threads=threads,
        callbacks=[test],
        verbose=0,
    )
    return np.array(right)


def row(recipe: Recipe, right: NDArray[np.float64], seconds: float) -> str:
    """A line of the table."""
    weights = "N(0, 1)" if recipe.initializer is LARGE else "N(0, 1/n)"
    loss = recipe.loss + (" + L2" if recipe.l2 else "")
    printed = "" if recipe.printed is None else f"{recipe.printed:.2f}"
    return (
        f"784-{recipe.hidden}-10".ljust(12)
        + loss.ljust(27)
        + f"{weights:10}{right[0]:8.2f}{right[-1]:8.2f}{right.max():8.2f}"
        + f"{right.argmax() + 1:7}{printed:>9}{seconds:9.1f}"
    )


def main() -> None:
    """Train every network and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = fastmlp.datasets.load("mnist", report=lambda line: print(line, file=sys.stderr))
    print("network     loss                       weights    first    last    best  epoch", end="")
    print("  printed  seconds")
    for recipe in RECIPES:
        start = time.perf_counter()
        right = accuracies(recipe, data, options.epochs, options.seed, options.threads)
        print(row(recipe, right, time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
