"""Searches of several processes that share nothing but a storage of Optuna; one is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from support import random_networks
from support.cli_process import TIMEOUT, environment

optuna = pytest.importorskip("optuna")
pytest.importorskip("sqlalchemy")

WORKER = Path(__file__).resolve().parents[1] / "support" / "optuna_worker.py"
TRIALS = 24
# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_processes_share_the_trials_of_a_storage(kind: str, tmp_path: Path) -> None:
    """The budget is that of both, and none of the trials that one completed is lost or repeated."""
    random = np.random.default_rng([SEED, kind == "journal"])
    before, delay = int(random.integers(1, 4)), float(random.uniform(0, 0.3))
    drawn = f"seed {SEED}: killed {delay:.3f} s after {before} trials"
    path = tmp_path / "study"
    storages = optuna.storages
    if kind == "journal":
        storage = storages.JournalStorage(storages.journal.JournalFileBackend(str(path)))
    else:
        storage = storages.RDBStorage(f"sqlite:///{path}")
    optuna.logging.disable_default_handler()
    study = optuna.create_study(study_name="rates", storage=storage)
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), kind, str(path), str(TRIALS)],
            stdout=subprocess.PIPE, text=True, env=environment(OMP_NUM_THREADS="1"),
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        killed, other = workers
        assert killed.stdout is not None
        printed = [killed.stdout.readline() for _ in range(before)]
        time.sleep(delay)
        killed.kill()
        printed += killed.communicate()[0].splitlines(keepends=True)
        output, _ = other.communicate(timeout=TIMEOUT)
        assert other.returncode == 0, drawn
        printed += output.splitlines(keepends=True)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    printed = [line for line in printed if line]
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert TRIALS <= len(complete) <= TRIALS + 1, drawn
    assert len(set(printed)) == len(printed), drawn
    # Of the killed process the last trial may have been trained, but not recorded.
    assert 0 <= len(printed) - len(complete) <= 1, drawn
