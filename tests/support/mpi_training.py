"""A training that several processes share, as a program of tests/process/test_mpi.py.

    mpiexec -n 4 python tests/support/mpi_training.py '{"fit": {"epochs": 3}}'

Prints a line of JSON from the first rank: digests of parameters and history. The argument may hold
options of the model and of `fit`, both for single ranks too, a large sample, an event ("die",
"raise", "move" or "stop": of rank 1 after epoch 3, unless a rank is given), the memory of rank 1,
whether all pass all samples as their own, and files to load from and to save to.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import numpy as np

import fastmlp
from support.digest import sha
from support.limits import limit_address_space

SAMPLES = 150


def data() -> Any:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((SAMPLES, 9)).astype("float32")
    return x, (x[:, 0] + x[:, 1] > 0).astype(int), rng.uniform(0.5, 2, SAMPLES)


def event(kind: str, happens: bool) -> Any:
    def happen(model: fastmlp.MLP, record: Any) -> bool:
        if not happens or record["epoch"] != 3:
            return False
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "raise":
            raise ZeroDivisionError("an accident")
        if kind == "move":
            first = next(iter(model.parameters()))
            model.set_parameters({**model.parameters(), first: model.parameters()[first] + 1})
        return kind == "stop"

    return happen


def train(job: dict[str, Any], communicator: Any) -> dict[str, Any]:
    """Train as a job says; in one process without a communicator."""
    rank = 0 if communicator is None else communicator.Get_rank()
    own = job.get("ranks", {}).get(str(rank), {})
    x, y, weights = data()
    if own.get("swaps"):
        x[:2] = x[1::-1].copy()
    if "bad" in own:
        x[100] = own["bad"]
    if "large" in job:
        x[70] = job["large"]
    fit = {"epochs": 4, "batch_size": 40, "shards": 12, "verbose": 0, **job.get("fit", {})}
    fit |= own.get("fit", {})
    fit["optimizer"] = getattr(fastmlp, fit.pop("rule", "Adam"))(**fit.pop("settings", {}))
    if fit.pop("averages", False):
        fit["averaging"] = fastmlp.EMA(0.9)
    samples = fit.pop("samples", SAMPLES)
    callbacks = [fastmlp.EarlyStopping("val_loss", patience=job.get("patience", 100))]
    if "save" in job:
        callbacks.append(fastmlp.ModelCheckpoint(job["save"], training_state=True))
    if "log" in job:
        callbacks.append(fastmlp.CSVLogger(job["log"]))
    if "event" in job:
        callbacks.append(event(job["event"], rank == job.get("event_rank", 1)))
    if "load" in job:
        model = fastmlp.MLP.load(job["load"])
    else:
        options = {"dropout": 0.2, "seed": 5, **job.get("model", {}), **own.get("model", {})}
        model = fastmlp.MLP([9, *options.pop("hidden", [17]), 2], **options)
    if "memory" in own:
        limit_address_space(own["memory"] << 20)
    rows = slice(samples)
    if fit.get("own_samples"):
        sizes = {name: fit[name] for name in ("batch_size", "shards")}
        rows = fastmlp.rows_of_rank(samples, **sizes, communicator=communicator)
        rows = slice(rows.start, rows.stop + own.get("more", 0))
        rows = slice(SAMPLES) if job.get("forgets_rows") else rows
    history = model.fit(
        x[rows],
        y[rows],
        sample_weight=weights[rows] if job.get("weighs", True) else None,
        validation_data=(x[:30], y[:30]),
        callbacks=callbacks,
        communicator=communicator,
        **fit,
    )
    measured = [np.array(history[name]) for name in ("loss", "accuracy", "val_loss")]
    parameters = sha(*model.parameters().values())
    return {"parameters": parameters, "history": sha(*measured), "epochs": len(history.loss)}


def main() -> None:
    from mpi4py import MPI

    result = train(json.loads(sys.argv[1]), MPI.COMM_WORLD)
    if MPI.COMM_WORLD.Get_rank() == 0:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
