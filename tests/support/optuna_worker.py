"""A process of a search by Optuna whose trials train a network, as docs/mpi.md shows it.

    python tests/support/optuna_worker.py journal study.log 8

Prints a line for each trial that it completes.
"""

from __future__ import annotations

import sys

import numpy as np
import optuna
from optuna.storages import JournalStorage, RDBStorage, journal

import fastmlp

EPOCHS = 20


def objective(trial: optuna.Trial) -> float:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 20)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    model = fastmlp.MLP([20, trial.suggest_int("hidden", 8, 64, log=True), 2], seed=1)
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    model.fit(x, y, epochs=EPOCHS, optimizer=fastmlp.Adam(rate), threads=1, verbose=0)
    loss = model.evaluate(x, y)["loss"]
    print(f"trial {trial.number}", flush=True)
    return loss


def main(kind: str, path: str, trials: str) -> None:
    optuna.logging.disable_default_handler()
    if kind == "journal":
        storage = JournalStorage(journal.JournalFileBackend(path))
    else:
        storage = RDBStorage(f"sqlite:///{path}", heartbeat_interval=1, grace_period=3)
    study = optuna.create_study(study_name="rates", storage=storage, load_if_exists=True)
    limit = optuna.study.MaxTrialsCallback(int(trials), states=(optuna.trial.TrialState.COMPLETE,))
    study.optimize(objective, callbacks=[limit])


if __name__ == "__main__":
    main(*sys.argv[1:])
