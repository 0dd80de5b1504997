"""What optimizers, regularization and activations add to a step of plain momentum SGD.

    python benchmarks/feature_costs.py                    # the mnist workload, one and two threads
    python benchmarks/feature_costs.py --rounds 20 --threads 1 --feature adam --feature dropout

All variants take turns of one epoch, so that a slow minute of the machine meets all of them; the
table shows the fastest turn and the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastmlp
from fastmlp.bench.workloads import WORKLOADS
from fastmlp.network.samples import Data
from fastmlp.training.run import Run

STEPS = 20
MOMENTUM = {"learning_rate": 0.01, "momentum": 0.9}
MOMENTS = {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


@dataclass(frozen=True)
class Variant:
    """Arguments of the model, the update rule, and additions to its settings."""

    model: dict[str, Any] = field(default_factory=dict)
    rule: str = "momentum"
    settings: dict[str, float] = field(default_factory=dict)


VARIANTS = {
    "momentum": Variant(),
    "adam": Variant(rule="adam"),
    "rmsprop": Variant(rule="rmsprop"),
    "lion": Variant(rule="lion"),
    "dropout 0.5": Variant({"dropout": 0.5}),
    "dropout 0.5, input 0.2": Variant({"dropout": 0.5, "input_dropout": 0.2}),
    "batch normalization": Variant({"batch_normalization": True}),
    "max-norm": Variant(settings={"max_norm": 3.0}),
    "clipping by norm": Variant(settings={"clip_norm": 1.0}),
    "moving average": Variant(settings={"average_decay": 0.999}),
    "input noise": Variant({"input_noise": 0.1}),
    "leaky_relu": Variant({"activation": "leaky_relu"}),
    "tanh": Variant({"activation": "tanh"}),
    "elu": Variant({"activation": "elu"}),
    "gelu": Variant({"activation": "gelu"}),
    "silu": Variant({"activation": "silu"}),
}


def measure(names: list[str], threads: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds per step of each variant in each round."""
    workload = WORKLOADS["mnist"]
    samples = workload.batch * STEPS
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (samples, workload.layers[0]), dtype=np.uint8)
    data = Data(x, [rng.integers(0, workload.layers[-1], samples)])
    runs = {}
    for name in names:
        variant = VARIANTS[name]
        model = fastmlp.MLP(workload.layers, input_scale=workload.input_scale, **variant.model)
        runs[name] = Run(model, workload.batch, variant.rule, threads)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            shared = MOMENTS if VARIANTS[name].rule in ("adam", "rmsprop", "lion") else MOMENTUM
            start = time.perf_counter()
            report = run.epoch(data, shared | VARIANTS[name].settings, epoch=turn)
            elapsed = time.perf_counter() - start
            assert report.status == "completed", (name, report)
            if turn > 0:  # the first warms up
                times[name].append(elapsed / STEPS * 1e6)
    return times


def table(times: dict[str, list[float]]) -> str:
    """Markdown; the others are compared with the first variant."""
    base = next(iter(times.values()))
    lines = ["| variant | us/step | cost |", "| --- | --- | --- |"]
    for name, values in times.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        lines.append(f"| {name} | {min(values):,.0f} | {100 * (ratio - 1):+.1f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--feature", action="append", choices=list(VARIANTS)[1:])
    arguments = parser.parse_args()
    names = ["momentum", *(arguments.feature or list(VARIANTS)[1:])]
    for threads in arguments.threads or (1, 2):
        print(f"\n{threads} thread(s)\n\n{table(measure(names, threads, arguments.rounds))}")


if __name__ == "__main__":
    main()
