"""Training time until a test accuracy on MNIST: fastmlp, PyTorch and scikit-learn, several seeds.

    python benchmarks/time_to_accuracy.py
    python benchmarks/time_to_accuracy.py --hidden 256 --batch 64 --schedule cosine --epochs 8
    python benchmarks/time_to_accuracy.py --engine fastmlp --seeds 10 --json > times.json

`fastmlp`, `torch` and `sklearn` train the same network with the same settings from the same
weights on the same mini-batches, those of fastmlp for the seed. `torch-adam` and `sklearn-default`
use the defaults of these libraries: the same network with Adam at 1e-3 and batches of 64, and
MLPClassifier without arguments. Each run has its own process, and engines take turns. Only epochs
are timed, not loading, building and the evaluation after each epoch, which NumPy does for all.

With a schedule, the momentum of PyTorch differs: its velocity does not contain the learning rate.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fastmlp.bench.engines import ENGINES, Engine, ScikitLearn, Torch
from fastmlp.bench.runner import Process, WorkerError, draw_start
from fastmlp.bench.worker import limit_threads, serve
from fastmlp.bench.workloads import Start, Workload, forward
from fastmlp.optimizers import SGD, Adam
from fastmlp.schedules import Constant, Cosine, StepDecay

EPOCH_SECONDS = 600.0  # limit, after which an engine is stopped
SCHEDULES = {
    "constant": lambda rate, epochs: Constant(rate),
    "cosine": lambda rate, epochs: Cosine(rate, per="epoch"),
    "step": lambda rate, epochs: StepDecay(rate, every=-(-epochs // 3)),
}


class TorchAdam(Torch):
    """PyTorch with its defaults: its own initial weights, Adam, batches of 64."""

    def __init__(self, workload: Workload, start: Start, x: Any, y: Any, threads: int) -> None:
        workload = replace(workload, batch=64, optimizer=Adam())
        super().__init__(workload, start, x, y, threads)
        self.torch.manual_seed(start.seed)
        for layer in list(self.training.network)[::2]:
            layer.reset_parameters()

    def train(self, epochs: int, learning_rate: float) -> None:
        super().train(epochs, self.workload.learning_rate)


class ScikitLearnDefault(ScikitLearn):
    """scikit-learn with its defaults: one hidden layer of 100, Adam, batches of 200."""

    def __init__(self, workload: Workload, start: Start, x: Any, y: Any, threads: int) -> None:
        from sklearn.neural_network import MLPClassifier

        self.model = MLPClassifier(random_state=start.seed)
        self.x, self.y = x.astype(np.float32) * np.float32(workload.input_scale), y
        self.classes = np.arange(workload.layers[-1])

    def train(self, epochs: int, learning_rate: float) -> None:
        for _ in range(epochs):
            self.model.partial_fit(self.x, self.y, classes=self.classes)


SAME = {name: ENGINES[name] for name in ("fastmlp", "torch", "sklearn")}
CHOICES: dict[str, type[Engine]] = SAME | {
    "torch-adam": TorchAdam,
    "sklearn-default": ScikitLearnDefault,
}


@dataclass(frozen=True)
class Plan:
    """The settings of all runs; `epochs` is the limit, and the length of a schedule."""

    hidden: tuple[int, ...]
    batch: int
    lr: float
    schedule: str
    momentum: float
    epochs: int
    threads: int
    targets: tuple[float, ...]

    def workload(self) -> Workload:
        layers = (784, *self.hidden, 10)
        return Workload(layers, "relu", self.batch, 1, optimizer=SGD(self.lr, self.momentum))

    def rate(self, epoch: int) -> float:
        schedule = SCHEDULES[self.schedule](self.lr, self.epochs)
        return schedule(epoch) if callable(schedule) else schedule


# ---------------------------------------------------------------- the process of one run


def accuracy(parameters: list[NDArray], x: NDArray, y: NDArray) -> float:
    """Share of the test images whose largest output is that of their class."""
    return float(np.mean(forward("relu", parameters, x).argmax(axis=1) == y))


def make_run(name: str, plan: Plan, start_path: str) -> Any:
    """Facts and line handler for `serve`; each line is the number of an epoch."""
    import fastmlp

    data = fastmlp.datasets.load("mnist")
    workload = plan.workload()
    start = Start.load(start_path)
    engine = CHOICES[name](workload, start, data.x_train, data.y_train, plan.threads)
    x_test = data.x_test.astype(np.float32) * np.float32(workload.input_scale)

    def epoch(line: str) -> dict[str, float]:
        rate = plan.rate(int(line))
        begin = time.perf_counter()
        engine.train(1, rate)
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "accuracy": accuracy(engine.parameters(), x_test, data.y_test),
        }

    return {"version": engine.version()}, epoch


# ---------------------------------------------------------------- the parent


def run(name: str, plan: Plan, seed: int, directory: Path) -> dict[str, Any]:
    """Train until every target is reached or the epochs are over."""
    import fastmlp

    samples = len(fastmlp.datasets.load("mnist").y_train)
    start = directory / "start.npz"
    draw_start(plan.workload(), samples, plan.epochs, seed).save(start)
    command = [sys.executable, __file__, "--serve", name, json.dumps(asdict(plan)), str(start)]
    process = Process(command)
    epochs: list[dict[str, Any]] = []
    try:
        version = process.answer(EPOCH_SECONDS)["version"]
        while len(epochs) < plan.epochs:
            epochs.append(process.ask(str(len(epochs)), EPOCH_SECONDS))
            if epochs[-1]["accuracy"] >= max(plan.targets):
                break
    finally:
        process.close()
    return {
        "engine": name,
        "version": version,
        "seed": seed,
        "epochs": epochs,
        "seconds": {str(target): time_to(target, epochs) for target in plan.targets},
    }


def time_to(target: float, epochs: list[dict[str, Any]]) -> float | None:
    """Seconds of training up to the first epoch that ends at the target."""
    total = 0.0
    for epoch in epochs:
        total += epoch["seconds"]
        if epoch["accuracy"] >= target:
            return total
    return None


def print_table(plan: Plan, runs: list[dict[str, Any]], seeds: list[int]) -> None:
    for target in plan.targets:
        click.echo(f"seconds of training to {target:.2%}, seeds {', '.join(map(str, seeds))}")
        click.echo(f"{'engine':<17}{'median':>8}{'min':>8}{'max':>8}{'reached':>9}")
        for name in dict.fromkeys(r["engine"] for r in runs):
            all_times = [r["seconds"][str(target)] for r in runs if r["engine"] == name]
            times = [t for t in all_times if t is not None]
            cells = [median(times), min(times), max(times)] if times else []
            shown = "".join(f"{c:>8.2f}" for c in cells) or f"{'-':>8}" * 3
            click.echo(f"{name:<17}{shown}{f'{len(times)}/{len(all_times)}':>9}")
        click.echo()


def sizes(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    return tuple(int(part) for part in value.split(","))


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--engine", "engines", multiple=True, type=click.Choice(list(CHOICES)))
@click.option("--hidden", default="512,512", show_default=True, callback=sizes)
@click.option("--batch", default=128, show_default=True)
@click.option("--lr", default=0.1, show_default=True)
@click.option(
    "--schedule", default="constant", show_default=True, type=click.Choice(list(SCHEDULES))
)
@click.option("--momentum", default=0.9, show_default=True)
@click.option("--epochs", default=20, show_default=True, help="At most; a schedule ends there.")
@click.option("--seeds", default=5, show_default=True, help="How many, from 0.")
@click.option("--target", "targets", multiple=True, default=(0.98, 0.985), show_default=True)
@click.option("--threads", type=int, help="Of every engine.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="All runs as one JSON object.")
def main(
    engines: tuple[str, ...], seeds: int, threads: int | None, as_json: bool, **settings: Any
) -> None:
    import fastmlp

    facts = fastmlp.info()
    plan = Plan(threads=threads or facts["threads"], **settings)
    names = engines or tuple(name for name, engine in CHOICES.items() if engine.available())
    runs = []
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(seeds):
            for name in names:
                try:
                    runs.append(run(name, plan, seed, Path(directory)))
                except WorkerError as error:
                    raise click.ClickException(f"{name}: {error}") from error
                last = runs[-1]["epochs"][-1]["accuracy"]
                spent = sum(epoch["seconds"] for epoch in runs[-1]["epochs"])
                click.echo(
                    f"seed {seed}, {name}: {len(runs[-1]['epochs'])} epochs, {spent:.2f} s, "
                    f"{last:.2%}", err=True,
                )  # fmt: skip
    if as_json:
        document = {
            "schema": "fastmlp.time_to_accuracy",
            "schema_version": 1,
            "settings": asdict(plan),
            "machine": facts,
            "runs": runs,
        }
        click.echo(json.dumps(document))
    else:
        print_table(plan, runs, list(range(seeds)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        engine, settings, start = sys.argv[2:]
        plan = Plan(**json.loads(settings))
        limit_threads(plan.threads)
        sys.exit(serve(lambda: make_run(engine, plan, start)))
    main()
