"""What a call of fit, evaluate, predict or partial_fit costs beside the work that it asks for.

A batch of 32 rows for a network of 20-64-64-3 is so little work that the time of a call is that of
checks, records and Python. All calls take turns, so that a slow moment of the machine meets all of
them, and the fastest call of each is shown; then the same for an epoch of 5,000 rows of 784.

    python benchmarks/call_costs.py [TURNS]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import validate_data

import fastmlp
from fastmlp.training.run import Run

Calls = dict[str, Callable[[], object]]
RATE = 0.001


def step(sizes: list[int], x: np.ndarray, y: np.ndarray, batch: int) -> Callable[[], object]:
    """Return a function that trains an epoch by the core alone."""
    model = fastmlp.MLP(sizes, input_scale=1, dtype=x.dtype.name)
    data = model._training_data(x, y, None, None)
    run = Run(model, batch, "adam")
    settings = fastmlp.Adam().settings() | {"learning_rate": RATE}
    epochs = iter(range(10**9))
    return lambda: run.epoch(data, settings, shuffle=False, epoch=next(epochs))


def continued(
    sizes: list[int], x: np.ndarray, y: np.ndarray, batch: int
) -> tuple[fastmlp.MLP, Callable[[], object]]:
    """Return a trained network, and a function that continues its training by an epoch."""
    model, adam = fastmlp.MLP(sizes, input_scale=1), fastmlp.Adam(RATE)
    model.fit(x, y, epochs=1, batch_size=batch, optimizer=adam, verbose=0)

    def call() -> None:
        model.fit(
            x, y, epochs=1, batch_size=batch, optimizer=adam, shuffle=False, resume=True, verbose=0
        )

    return model, call


def anew(sizes: list[int], x: np.ndarray, y: np.ndarray, **options: bool) -> Callable[[], object]:
    """Return a function that trains an epoch of one batch without continuing."""
    model, adam = fastmlp.MLP(sizes, input_scale=1), fastmlp.Adam(RATE)
    return lambda: model.fit(
        x, y, epochs=1, batch_size=len(x), optimizer=adam, shuffle=False, verbose=0, **options
    )


def small_calls() -> Calls:
    """Return calls for one batch."""
    random = np.random.default_rng(0)
    x = random.standard_normal((32, 20))
    y = random.integers(0, 3, 32)
    x32, sizes = x.astype(np.float32), [20, 64, 64, 3]
    model, resume = continued(sizes, x32, y, 32)
    ours, theirs = (
        kind((64, 64), random_state=0).partial_fit(x, y, classes=[0, 1, 2])
        for kind in (fastmlp.MLPClassifier, MLPClassifier)
    )

    def validate() -> None:
        ours._validate_params()
        checked = validate_data(ours, x, y, accept_sparse="csr", multi_output=True, reset=False)
        type_of_target(checked[1])
        unique_labels(checked[1])

    return {
        "the step itself": step(sizes, x32, y, 32),
        "MLP.fit(resume=True)": resume,
        "MLP.fit(diagnose=False)": anew(sizes, x32, y, diagnose=False),
        "MLP.fit": anew(sizes, x32, y),
        "MLP.evaluate": lambda: model.evaluate(x32, y),
        "MLP.predict": lambda: model.predict(x32),
        "the step in float64": step(sizes, x, y, 32),
        "scikit-learn's checks of X, y and parameters": validate,
        "MLPClassifier.partial_fit": lambda: ours.partial_fit(x, y),
        "scikit-learn's checks in its own partial_fit": lambda: (
            theirs._validate_params(),
            theirs._validate_input(x, y, incremental=True, reset=False),
        ),
        "scikit-learn's own partial_fit": lambda: theirs.partial_fit(x, y),
    }


def large_calls() -> Calls:
    """Return calls for an epoch of 5,000 rows of 784."""
    random = np.random.default_rng(0)
    x = random.standard_normal((5000, 784)).astype(np.float32)
    y = random.integers(0, 10, 5000)
    model, resume = continued([784, 30, 10], x, y, 128)
    rows, targets = model._rows(x), model._data(x, y)
    return {
        "the epoch itself": step([784, 30, 10], x, y, 128),
        "MLP.fit(resume=True)": resume,
        "the evaluation itself": lambda: model._evaluate_data(targets, 0),
        "MLP.evaluate": lambda: model.evaluate(x, y),
        "the prediction itself": lambda: model._predicted(rows, 0),
        "MLP.predict": lambda: model.predict(x),
    }


def fastest(calls: Calls, turns: int, repeats: int) -> dict[str, float]:
    """Return the microseconds of the fastest call of each."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(turns):
        for name, call in calls.items():
            for _ in range(repeats):
                start = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: seconds * 1e6 for name, seconds in best.items()}


def show(title: str, times: dict[str, float]) -> None:
    """Print a table."""
    print(f"\n{title}\n")
    for name, microseconds in times.items():
        print(f"{name:46}{microseconds:12,.1f} us")


def main(turns: int) -> None:
    """Print both tables."""
    warnings.simplefilter("ignore")
    show("one batch of 32 rows, 20-64-64-3", fastest(small_calls(), turns, 50))
    show("5,000 rows, 784-30-10, batches of 128", fastest(large_calls(), turns, 3))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
