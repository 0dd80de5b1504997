"""Run methods on the tables and store each result as a line of JSON.

    python benchmarks/tables/run.py                  # all opponents, development half
    python benchmarks/tables/run.py --half test --method lightgbm
    python benchmarks/tables/run.py --method fastmlp-estimator --output ours.jsonl --note x

A job is a method, a table and a seed. Jobs whose result is in the file are skipped, so a run that
was stopped goes on. Results of the test half go to a file of their own and are not printed.
"""

from __future__ import annotations

import json
import platform
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import opponents
import ours
from numpy.typing import NDArray
from opponents import Method

import datasets
from datasets import Half, Split

RESULTS = Path(__file__).parent / "results"
METHODS: dict[str, Method] = opponents.METHODS | ours.METHODS


@dataclass(frozen=True)
class Job:
    """One fit."""

    method: str
    table: str
    seed: int


def scores(split: Split, values: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy, AUC (one against the rest, mean of the classes) and log-loss; or R2 and RMSE."""
    from sklearn import metrics

    y = split.test[split.table.target].to_numpy()
    if split.table.task == "regression":
        return {
            "r2": float(metrics.r2_score(y, values)),
            "rmse": float(metrics.root_mean_squared_error(y, values)),
        }
    labels = np.unique(split.table.frame[split.table.target])
    probabilities = values / values.sum(axis=1, keepdims=True)
    column = probabilities[:, 1] if len(labels) == 2 else probabilities
    return {
        "accuracy": float(np.mean(labels[values.argmax(axis=1)] == y)),
        "auc": float(metrics.roc_auc_score(y, column, multi_class="ovr", labels=labels)),
        "log_loss": float(metrics.log_loss(y, probabilities, labels=labels)),
    }


def versions(method: str) -> dict[str, str]:
    found = opponents.versions() | {"python": platform.python_version()}
    if method in ours.METHODS:
        import fastmlp

        found["fastmlp"] = fastmlp.__version__
    return found


def run(job: Job, note: str = "") -> dict[str, Any]:
    """The stored line of one job: its scores, or the error that it ended with."""
    split = datasets.split(job.table, job.seed)
    line: dict[str, Any] = {
        "method": job.method,
        "table": job.table,
        "seed": job.seed,
        "half": datasets.half_of(job.table),
        "task": split.table.task,
        "rows": [len(split.train), len(split.validation), len(split.test)],
        "columns": split.table.frame.shape[1] - 1,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prediction = METHODS[job.method](split, job.seed)
        line |= {"scores": scores(split, prediction.values)}
        line |= {"fit_seconds": round(prediction.fit_seconds, 3)}
    except Exception:  # one method that fails on one table must not end the run
        line |= {"error": traceback.format_exc()}
    return (
        line
        | ({"note": note} if note else {})
        | {
            "threads": opponents.THREADS,
            "versions": versions(job.method),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        }
    )


def stored(path: Path) -> set[Job]:
    """Jobs whose scores are in the file. Those that ended with an error run again."""
    if not path.exists():
        return set()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {Job(d["method"], d["table"], d["seed"]) for d in lines if "error" not in d}


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--half", type=click.Choice(["development", "test"]), default="development")
@click.option("--method", "methods", multiple=True, type=click.Choice(sorted(METHODS)))
@click.option("--table", "tables", multiple=True, help="Default: all of the half.")
@click.option("--seed", "seeds", multiple=True, type=int, default=datasets.SEEDS)
@click.option("--output", type=click.Path(path_type=Path), help="Default: in results/.")
@click.option("--note", default="", help="Text stored with each result, such as a commit.")
def main(
    half: Half,
    methods: tuple[str, ...],
    tables: tuple[str, ...],
    seeds: tuple[int, ...],
    output: Path | None,
    note: str,
) -> None:
    suffix = "" if half == "development" else "-test"
    path = output or RESULTS / f"opponents{suffix}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    jobs = [
        Job(method, table, seed)
        for method in methods or opponents.METHODS
        for table in tables or datasets.HALVES[half]
        for seed in seeds
    ]
    done = stored(path)
    for job in jobs:
        if job in done:
            continue
        line = run(job, note)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        shown = line.get("scores", {}) if half == "development" else {}
        note = "failed" if "error" in line else f"{line['fit_seconds']:.1f} s"
        click.echo(f"{job.method} {job.table} {job.seed} {note} {shown}")


if __name__ == "__main__":
    main()
