"""One training by several processes: equal bits, ends of all by the end of one, refusals."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmlp
from support import mpi_training

TESTS = Path(__file__).resolve().parents[1]
# The wheel of mpich puts it beside the interpreter.
MPIEXEC = shutil.which("mpiexec") or shutil.which("mpiexec", path=Path(sys.executable).parent)
HUNG = 120  # seconds

pytestmark = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and mpiexec: pip install mpi4py mpich",
)


def run_ranks(ranks: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Python in several processes, with a thread each."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [str(MPIEXEC), "-n", str(ranks), sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=HUNG,
        env=environment,
    )


def run_training(ranks: int, /, **job: Any) -> subprocess.CompletedProcess[str]:
    return run_ranks(ranks, str(TESTS / "support" / "mpi_training.py"), json.dumps(job))


def trained(ranks: int, /, **job: Any) -> dict[str, Any]:
    done = run_training(ranks, **job)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


JOBS: dict[str, dict[str, Any]] = {
    "adam": {"fit": {"settings": {"clip_norm": 0.1}}},
    "float64": {
        "model": {"dtype": "float64", "input_noise": 0.1},
        "fit": {"rule": "SGD", "settings": {"momentum": 0.9}, "averages": True, "shards": 7},
    },
    "members": {"model": {"members": 3}, "patience": 1, "fit": {"epochs": 30, "batch_size": 13}},
}


@pytest.mark.parametrize("name", JOBS)
def test_bits_do_not_depend_on_the_number_of_ranks(name: str) -> None:
    job = JOBS[name]
    alone = mpi_training.train(job, None)
    for ranks in (1, 2, 3, 4):
        assert trained(ranks, **job) == alone, f"{ranks} ranks"


def test_the_default_is_a_shard_for_each_rank() -> None:
    assert trained(3, fit={"shards": None}) == mpi_training.train({"fit": {"shards": 3}}, None)


def test_one_rank_writes(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    done = run_training(3, log=str(log), fit={"verbose": 1})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 4/4") == 1
    assert len(log.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("die", ""),
        ("raise", "rank 1 failed (ZeroDivisionError: an accident): all ranks end"),
        ("move", "the parameters of rank 1 differ from those of rank 0"),
    ],
)
def test_the_end_of_a_rank_ends_all_and_another_number_of_ranks_resumes(
    kind: str, message: str, tmp_path: Path
) -> None:
    """The checkpoint after epoch 2 or 3 continues with the bits of an uninterrupted training."""
    path = str(tmp_path / "model.safetensors")
    done = run_training(3, event=kind, save=path, fit={"epochs": 5, "total_epochs": 5})
    assert done.returncode != 0
    assert message in done.stderr + done.stdout
    whole = mpi_training.train({"fit": {"epochs": 5, "total_epochs": 5}}, None)
    left = 5 - len(fastmlp.MLP.load(path).history.loss)
    assert left in (2, 3, 1)
    rest = trained(2, load=path, fit={"epochs": left, "resume": True})
    assert rest["parameters"] == whole["parameters"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"fit": {"batch_size": 30}}, "batch_size is 40 on rank 0 and 30 on 1"),
        ({"model": {"seed": 6}}, "seed is 5 on rank 0 and 6 on 1"),
        ({"fit": {"samples": 140}}, "samples is 150 on rank 0 and 140 on 1"),
        ({"fit": {"shards": 4}}, "shards is 12 on rank 0 and 4 on 1"),
        ({"fit": {"settings": {"learning_rate": 0.5}}}, "optimizer is Adam("),
        ({"swaps": True}, "x is "),
        ({"fit": {"epochs": 0}}, "rank 1 failed before the training began: ValueError: epochs"),
    ],
    ids=["batch_size", "seed", "samples", "shards", "optimizer", "order", "invalid"],
)
def test_arguments_that_differ_are_refused_on_every_rank(own: dict[str, Any], message: str) -> None:
    done = run_training(2, ranks={"1": own})
    assert done.returncode != 0
    assert message in done.stderr
    assert "Abort" not in done.stderr


def test_there_are_no_more_ranks_than_shards() -> None:
    done = run_training(3, fit={"shards": 2})
    assert done.returncode != 0
    assert "shards must be >= 3, the number of processes of the communicator, got 2" in done.stderr


@pytest.mark.parametrize(
    "job",
    [
        {"fit": {"rule": "SGD", "settings": {"learning_rate": 1e30}}},
        {"model": {"input_scale": 1}, "large": 3e38},  # a sample, that is of one rank
    ],
    ids=["rate", "sample"],
)
def test_a_diverging_training_ends_alike_on_every_rank(job: dict[str, Any]) -> None:
    done = run_training(2, **job)
    assert done.returncode != 0
    assert done.stderr.count("DivergedError: training diverged in epoch 1 at step") == 2


# ---------------------------------------------------------------- the command line


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 4))
    rows = [
        ",".join(f"{v:.3f}" for v in row) + ("," + ("yes" if row[0] > 0 else "no")) for row in x
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,d,label", *rows]) + "\n")
    return path


def train_command(table: Path, out: str, *more: str) -> list[str]:
    settings = ["--architecture", "mlp", "--epochs", "6", "--threads", "1", "--no-report"]
    run = str(table.parent / out)
    return ["-m", "fastmlp", "train", str(table), "--out", run, *settings, *more]


def test_command_shares_one_run(table: Path) -> None:
    """Three processes write the files of one with as many shards, and print once."""
    together = run_ranks(3, *train_command(table, "together"))
    assert together.returncode == 0, together.stderr
    assert together.stderr.count("epoch 6/6") == 1
    assert together.stdout.count("test accuracy") == 1
    alone = run_ranks(1, *train_command(table, "alone", "--shards", "3"))
    assert alone.returncode == 0, alone.stderr
    one, other = (table.parent / name for name in ("together", "alone"))
    for name in ("best.safetensors", "last.safetensors", "config.toml"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert sorted(path.name for path in one.iterdir()) == sorted(
        path.name for path in other.iterdir()
    )


def test_command_whose_rank_was_killed_is_resumed_by_another_number_of_ranks(table: Path) -> None:
    whole = run_ranks(1, *train_command(table, "whole", "--shards", "4"))
    assert whole.returncode == 0, whole.stderr
    program = (
        "import os, signal, sys\n"
        "from fastmlp.callbacks import EarlyStopping\n"
        "from fastmlp.training.loop import TrainingLoop\n"
        "import fastmlp.cli\n"
        "end = TrainingLoop._end_epoch\n"
        "def end_epoch(self, record):\n"
        "    if record['epoch'] == 4 and os.environ.get('PMI_RANK') == '1':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    end(self, record)\n"
        "TrainingLoop._end_epoch = end_epoch\n"
        "sys.argv[0] = 'fastmlp'\n"
        "sys.exit(fastmlp.cli.main())\n"
    )
    killed = table.parent / "killed.py"
    killed.write_text(program)
    more = ["--shards", "4", "--checkpoint-every", "1"]
    _, _, *arguments = train_command(table, "parted", *more)
    done = run_ranks(2, str(killed), *arguments)
    assert done.returncode != 0
    rest = run_ranks(3, "-m", "fastmlp", "train", "--resume", str(table.parent / "parted"))
    assert rest.returncode == 0, rest.stderr
    one, other = (table.parent / name / "last.safetensors" for name in ("whole", "parted"))
    assert parameters_of(one) == parameters_of(other)


def parameters_of(path: Path) -> dict[str, bytes]:
    model = fastmlp.MLP.load(path)
    return {name: array.tobytes() for name, array in model.parameters().items()}


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--epochs", "0"], 2, "--epochs"),
        (["--folds", "3"], 2, "--folds must be left out with several processes of mpiexec"),
        (["--set", "optimizer.name=lbfgs"], 2, "shards and communicator"),
        (["--shards", "1"], 2, "shards must be >= 2, the number of processes"),
    ],
    ids=["epochs", "folds", "lbfgs", "shards"],
)
def test_command_reports_an_error_once(
    more: list[str], code: int, message: str, table: Path
) -> None:
    done = run_ranks(2, *train_command(table, "run", *more))
    assert done.returncode == code, done.stderr
    assert done.stderr.count("fastmlp: error:") == 1
    assert message in done.stderr
