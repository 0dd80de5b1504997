"""What a run adds to the time of its training: live display, metrics, checkpoints, best models.

`MLP.fit` alone and a run of the command line with its display on a terminal train the same epochs
of MNIST in turns. Medians of the wall time are compared, without the report that follows a run.

    python benchmarks/run_overhead.py [TURNS]
"""

from __future__ import annotations

import os
import pty
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from fastmlp.cli.progress import Display
from fastmlp.experiment import build, runner, settings
from fastmlp.experiment.rundir import RunDirectory

EPOCHS = 6


def by_fit(experiment: runner.Experiment) -> float:
    """Seconds of the training alone, with its validation after each epoch."""
    model, training = experiment.new_model(), experiment.config.training
    train, test = experiment.prepared.train, experiment.prepared.test
    start = time.perf_counter()
    model.fit(
        train.x, train.y, epochs=EPOCHS, batch_size=training.batch_size,
        optimizer=build.optimizer(experiment.config), validation_data=(test.x, test.y), verbose=0,
    )  # fmt: skip
    return time.perf_counter() - start


def by_run(experiment: runner.Experiment, folder: Path) -> float:
    """Seconds of the same as a run, until its models are saved."""
    run = RunDirectory.create("mnist", folder)
    model, outcome = experiment.new_model(), runner.Outcome()
    start = time.perf_counter()
    samples = len(experiment.prepared.train)
    with Display(EPOCHS, samples, quiet=False, no_color=False) as display:
        runner.train(
            experiment, model, run, outcome,
            listener=lambda record, best: display.epoch_end(record, best=best),
            progress=display.progress,
        )  # fmt: skip
    runner.save_models(model, run, outcome)
    return time.perf_counter() - start


def main(turns: int) -> None:
    """Print a line per way and the difference."""
    config = settings.resolve("mnist", [{"training": {"epochs": EPOCHS}}])
    experiment = runner.load_experiment(config)
    controller, terminal = pty.openpty()
    threading.Thread(target=_drain, args=(controller,), daemon=True).start()
    out, sys.stderr = sys.stderr, os.fdopen(terminal, "w")
    fits, runs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            fits.append(by_fit(experiment))
            runs.append(by_run(experiment, Path(folder) / str(turn)))
            print(f"turn {turn}: fit {fits[-1]:.3f} s, run {runs[-1]:.3f} s", file=out)
    for name, of in (("medians", statistics.median), ("minima", min)):
        fit, run = of(fits), of(runs)
        print(f"{name} of {turns}: fit {fit:.3f} s, run {run:.3f} s: {run / fit - 1:+.1%}")


def _drain(descriptor: int) -> None:
    while os.read(descriptor, 65536):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
