"""The small named sets: what `fastmlp train NAME` reaches at its defaults, beside scikit-learn.

    python benchmarks/defaults/named.py                      # all sets, five splits
    python benchmarks/defaults/named.py --set spirals --splits 1
    python benchmarks/defaults/named.py --references         # measure scikit-learn again

Split and network have the seeds 0 to 4; a fifth of the samples is the test part. fastmlp takes a
tenth of the rest to select an epoch. scikit-learn gets the whole rest, standardized: linear or
logistic regression, its MLP with early stopping off and 2,000 iterations at most, and gradient
boosting (`HistGradientBoosting`). Scores are the accuracy or R2 of the test part.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp.data import Options, prepare, read

SETS = (
    "digits", "iris", "wine", "breast-cancer", "diabetes", "xor", "circles", "moons", "spirals",
    "gaussians", "sine",
)  # fmt: skip
SPLITS = 5
REFERENCES = Path(__file__).parent / "results" / "named-scikit-learn.json"


def models(task: str, seed: int) -> dict[str, object]:
    """Return the references of a task."""
    if task == "regression":
        return {
            "linear": LinearRegression(),
            "MLP": MLPRegressor(max_iter=2000, random_state=seed),
            "boosting": HistGradientBoostingRegressor(random_state=seed),
        }
    return {
        "linear": LogisticRegression(max_iter=1000),
        "MLP": MLPClassifier(max_iter=2000, random_state=seed),
        "boosting": HistGradientBoostingClassifier(random_state=seed),
    }


def scores_of_scikit_learn(name: str, split: int) -> dict[str, float]:
    """Return the score of each reference on the test part of a split."""
    options = Options(split_seed=split, validation_fraction=0.0, standardize_target=False)
    data = prepare(read(name), options)
    assert data.test is not None
    y, y_test = (
        part.y.ravel() if data.task == "regression" else part.y for part in (data.train, data.test)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of iterations that are used up
        return {
            key: make_pipeline(StandardScaler(), model)
            .fit(data.train.x, y)
            .score(data.test.x, y_test)
            for key, model in models(data.task, split).items()
        }


def references(names: list[str], *, again: bool) -> dict[str, dict[str, float]]:
    """Return the mean scores of scikit-learn over five splits, measured once."""
    known = json.loads(REFERENCES.read_text()) if REFERENCES.exists() else {}
    for name in names:
        if name not in known or again:
            rows = [scores_of_scikit_learn(name, split) for split in range(SPLITS)]
            known[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            REFERENCES.write_text(json.dumps(known, indent=1) + "\n")
    return known


def score_at_defaults(name: str, split: int, arguments: list[str]) -> tuple[float, float]:
    """Return the score of `fastmlp train NAME`, and the seconds of its epochs."""
    command = [sys.executable, "-m", "fastmlp", "train", name, "--json"]
    command += ["--seed", str(split), "--split-seed", str(split), *arguments]
    with tempfile.TemporaryDirectory() as root:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result = json.loads(done.stdout)
    test = result["test"]
    score = test["r2"] if result["task"] == "regression" else test["accuracy"]
    return score, result["training_seconds"]


def main() -> None:
    """Print a table of all sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--references", action="store_true", help="measure scikit-learn again")
    parser.add_argument("--flag", action="append", default=[], help="argument of fastmlp train")
    arguments = parser.parse_args()
    names = arguments.set or list(SETS)
    known = references(names, again=arguments.references)
    print("| set | linear | MLP of scikit-learn | boosting | fastmlp | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        runs = [score_at_defaults(name, split, arguments.flag) for split in range(arguments.splits)]
        score, seconds = np.mean(runs, axis=0)
        columns = " | ".join(f"{known[name][key]:.3f}" for key in ("linear", "MLP", "boosting"))
        print(f"| {name} | {columns} | {score:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
