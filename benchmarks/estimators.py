"""fastmlp's estimators beside scikit-learn's: same settings, same seeds, scores and times.

    python benchmarks/estimators.py
    python benchmarks/estimators.py --mnist --json > estimators.json

The small data sets come with scikit-learn. Features are scaled to variance 1. A quarter of the
samples, a different one for each seed, is kept for the score: accuracy, or R^2 for diabetes. Both
libraries train with their default parameters, except `random_state` and `--max-iter`, and stop by
the same rule. With `--mnist` the default classifier of both is trained once on all of MNIST,
bytes divided by 255 in float32. Only `fit` is timed; the two take turns.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

TARGET_RATIO = 3.0


@dataclass(frozen=True)
class Split:
    """Samples to train on and to score."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """One fit of one library."""

    score: float
    seconds: float
    epochs: int


@dataclass(frozen=True)
class Row:
    """Both libraries on one data set, all seeds."""

    data: str
    samples: int
    features: int
    fastmlp: list[Outcome]
    sklearn: list[Outcome]

    @property
    def ratio(self) -> float:
        """How many times as long scikit-learn takes, median of the seeds."""
        pairs = zip(self.fastmlp, self.sklearn, strict=True)
        return median(theirs.seconds / ours.seconds for ours, theirs in pairs)


def small_sets() -> dict[str, Any]:
    from sklearn import datasets

    return {
        "digits": datasets.load_digits,
        "breast_cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "iris": datasets.load_iris,
        "diabetes": datasets.load_diabetes,
    }


def small_split(name: str, seed: int) -> Split:
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = small_sets()[name](return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, random_state=seed)
    scaler = StandardScaler().fit(x)
    if name == "diabetes":
        center, scale = y.mean(), y.std()
        y, y_test = (y - center) / scale, (y_test - center) / scale
    return Split(scaler.transform(x), y, scaler.transform(x_test), y_test)


def mnist_split() -> Split:
    import fastmlp

    data = fastmlp.datasets.load("mnist")
    pixels = [(images / np.float32(255)) for images in (data.x_train, data.x_test)]
    return Split(pixels[0], data.y_train, pixels[1], data.y_test)


def estimators(name: str, threads: int, **settings: Any) -> Iterator[Any]:
    """fastmlp's, then scikit-learn's."""
    from sklearn import neural_network

    import fastmlp.estimators

    kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"
    yield getattr(fastmlp.estimators, kind)(n_threads=threads, **settings)
    yield getattr(neural_network, kind)(**settings)


def timed_fit(estimator: Any, split: Split) -> Outcome:
    start = time.perf_counter()
    estimator.fit(split.x, split.y)
    seconds = time.perf_counter() - start
    return Outcome(estimator.score(split.x_test, split.y_test), seconds, estimator.n_iter_)


def compare(name: str, splits: list[Split], threads: int, max_iter: int) -> Row:
    from threadpoolctl import threadpool_limits

    outcomes: list[list[Outcome]] = [[], []]
    with threadpool_limits(threads, user_api="blas"):
        for seed, split in enumerate(splits):
            models = estimators(name, threads, random_state=seed, max_iter=max_iter)
            for found, model in zip(outcomes, models, strict=True):
                found.append(timed_fit(model, split))
    samples, features = splits[0].x.shape
    return Row(name, samples, features, *outcomes)


def print_table(rows: list[Row]) -> None:
    click.echo(
        f"{'':<32}{'epochs':>16}{'score':>20}{'seconds':>22}\n"
        f"{'data':<15}{'samples':>8}{'features':>9}{'fastmlp':>8}{'sklearn':>8}"
        f"{'fastmlp':>10}{'sklearn':>10}{'fastmlp':>11}{'sklearn':>11}{'ratio':>7}"
    )
    for row in rows:
        both = (row.fastmlp, row.sklearn)
        scores = "".join(f"{mean(o.score for o in found):>10.4f}" for found in both)
        seconds = "".join(f"{median(o.seconds for o in found):>11.4f}" for found in both)
        epochs = "".join(f"{median(o.epochs for o in found):>8.0f}" for found in both)
        click.echo(
            f"{row.data:<15}{row.samples:>8}{row.features:>9}{epochs}{scores}{seconds}"
            f"{row.ratio:>7.1f}"
        )
    slow = [row.data for row in rows if row.ratio < TARGET_RATIO]
    if slow:
        click.echo(f"below a ratio of {TARGET_RATIO:g}: {', '.join(slow)}", err=True)


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--seeds", default=5, show_default=True, help="How many, from 0.")
@click.option("--max-iter", default=200, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Of both libraries.")
@click.option("--mnist", is_flag=True, help="MNIST as well, one seed.")
@click.option("--json", "as_json", is_flag=True, help="All fits as one JSON object.")
def main(seeds: int, max_iter: int, threads: int, mnist: bool, as_json: bool) -> None:
    import sklearn

    import fastmlp

    warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
    rows = []
    for name in small_sets():
        splits = [small_split(name, seed) for seed in range(seeds)]
        rows.append(compare(name, splits, threads, max_iter))
    if mnist:
        rows.append(compare("mnist", [mnist_split()], threads, max_iter))
    if as_json:
        document = {
            "schema": "fastmlp.estimators",
            "schema_version": 1,
            "machine": fastmlp.info(),
            "sklearn": sklearn.__version__,
            "threads": threads,
            "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
        }
        click.echo(json.dumps(document))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
