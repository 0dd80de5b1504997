"""One training by several processes: equal bits, ends of all by the end of one, refusals."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment.locking import DirectoryInUseError, locked
from support import mpi_training, random_networks
from support.cli_process import answer_signals

TESTS = Path(__file__).resolve().parents[1]
# The wheel of mpich puts it beside the interpreter.
MPIEXEC = shutil.which("mpiexec") or shutil.which("mpiexec", path=Path(sys.executable).parent)
HUNG = 120  # seconds
# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())

pytestmark = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and mpiexec: pip install mpi4py mpich",
)


def environment() -> dict[str, str]:
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


def run_ranks(ranks: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Python in several processes, with a thread each."""
    return subprocess.run(
        [str(MPIEXEC), "-n", str(ranks), sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=HUNG,
        env=environment(),
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
    "own samples": {"fit": {"own_samples": True, "settings": {"clip_norm": 0.1}}},
    "own samples in order": {
        "weighs": False,
        "model": {"members": 2},
        "fit": {"own_samples": True, "shards": 5, "batch_size": 13, "shuffle": False},
    },
    "own samples of whole batches": {
        "model": {"dtype": "float64"},
        "fit": {"own_samples": True, "shards": 7, "drop_last": True},
    },
    "members": {"model": {"members": 3}, "patience": 1, "fit": {"epochs": 30, "batch_size": 13}},
}


@pytest.mark.parametrize("name", JOBS)
def test_bits_do_not_depend_on_the_number_of_ranks(name: str) -> None:
    job = JOBS[name]
    alone = mpi_training.train(job, None)
    for ranks in (1, 2, 3, 4):
        assert trained(ranks, **job) == alone, f"{ranks} ranks"


def test_each_rank_maps_its_samples_of_a_file_alone(tmp_path: Path) -> None:
    """The pages of the file that a rank has in memory are those of its samples."""
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.float32, (100_000, 256))
    x[:] = np.random.default_rng(1).standard_normal((1000, 256)).repeat(100, 0)
    x.flush()
    done = run_ranks(4, str(TESTS / "support" / "mpi_mapped.py"), str(path))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    share = path.stat().st_size / 4
    assert len(result["mapped"]) == 4
    assert all(0.9 * share < size < 1.1 * share for size in result["mapped"]), result
    alone = run_ranks(1, str(TESTS / "support" / "mpi_mapped.py"), str(path))
    assert json.loads(alone.stdout)["parameters"] == result["parameters"]


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
        ("raise", "RankError: rank 1 failed: ZeroDivisionError: an accident"),
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


@pytest.mark.parametrize(("rank", "epochs"), [(0, 3), (1, 4)])
def test_the_first_rank_decides_when_a_callback_ends_the_training(rank: int, epochs: int) -> None:
    """As one does whose time is over on one machine alone."""
    assert trained(3, event="stop", event_rank=rank)["epochs"] == epochs


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_bad_data_of_a_rank_ends_all(value: float) -> None:
    done = run_training(3, ranks={"1": {"bad": value}})
    assert done.returncode != 0
    assert done.stderr.count("RankError: rank 1 failed: ValueError: x ") == 2
    assert "Abort" not in done.stderr


@pytest.mark.parametrize("number", range(4))
def test_a_rank_that_runs_out_of_memory_ends_all(number: int) -> None:
    """A step needs some 500 MiB; where memory ends is drawn."""
    memory = int(np.random.default_rng([SEED, number]).integers(0, 600))
    job = {"model": {"hidden": [3000, 3000]}, "fit": {"epochs": 1, "shards": 2}}
    done = run_training(2, **job, ranks={"1": {"memory": memory}})
    if done.returncode:
        assert done.stderr, f"seed {SEED}, {memory} MiB"
    else:
        assert json.loads(done.stdout)["epochs"] == 1


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"fit": {"batch_size": 30}}, "batch_size is 40 on rank 0 and 30 on 1"),
        ({"model": {"seed": 6}}, "seed is 5 on rank 0 and 6 on 1"),
        ({"fit": {"samples": 140}}, "samples is 150 on rank 0 and 140 on 1"),
        ({"fit": {"shards": 4}}, "shards is 12 on rank 0 and 4 on 1"),
        ({"fit": {"settings": {"learning_rate": 0.5}}}, "optimizer is Adam("),
        ({"swaps": True}, "x is "),
        ({"fit": {"own_samples": True}}, "own_samples is False on rank 0 and True on 1"),
        ({"fit": {"epochs": 0}}, "rank 1 failed: ValueError: epochs"),
    ],
    ids=["batch_size", "seed", "samples", "shards", "optimizer", "order", "own", "invalid"],
)
def test_arguments_that_differ_are_refused_on_every_rank(own: dict[str, Any], message: str) -> None:
    done = run_training(2, ranks={"1": own})
    assert done.returncode != 0
    assert message in done.stderr
    assert "Abort" not in done.stderr


def test_a_rank_must_have_the_samples_of_its_shards() -> None:
    done = run_training(2, fit={"own_samples": True}, ranks={"1": {"more": -3}})
    assert done.returncode != 0
    message = "x must have the 66 samples of shards 6 to 11 with own_samples, of 147 in all"
    assert message in done.stderr


def test_ranks_that_pass_the_same_samples_as_their_own_are_refused() -> None:
    done = run_training(2, fit={"own_samples": True, "batch_size": 60}, forgets_rows=True)
    assert done.returncode != 0
    assert "x and y are the same on ranks 0 and 1" in done.stderr
    assert "rows = fastmlp.rows_of_rank(len(x)" in done.stderr
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


def write_table(path: Path, count: int) -> Path:
    x = np.random.default_rng(1).standard_normal((count, 4))
    rows = [
        ",".join(f"{v:.3f}" for v in row) + ("," + ("yes" if row[0] > 0 else "no")) for row in x
    ]
    path.write_text("\n".join(["a,b,c,d,label", *rows]) + "\n")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.csv", 300)


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


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of some seconds, with nothing in its way."""
    table = write_table(tmp_path_factory.mktemp("long") / "table.csv", 2000)
    whole = run_ranks(1, *train_command(table, "whole", *LONG))
    assert whole.returncode == 0, whole.stderr
    return table


LONG = ["--epochs", "200", "--batch-size", "24", "--shards", "5", "--checkpoint-every", "10"]
SIGNALS = {"interrupted": signal.SIGINT, "terminated": signal.SIGTERM, "killed": signal.SIGKILL}


@pytest.mark.parametrize("target", ["mpiexec", "rank"])
@pytest.mark.parametrize("end", SIGNALS)
def test_command_that_a_signal_ends_is_resumed_by_another_number_of_ranks(
    end: str, target: str, long_run: Path, tmp_path: Path
) -> None:
    """The moment and the rank are drawn; the bits are those of an uninterrupted training."""
    random = np.random.default_rng([SEED, SIGNALS[end], target == "rank"])
    ranks, delay = int(random.integers(2, 4)), float(random.uniform(0, 0.02))
    rank, epoch = int(random.integers(ranks)), int(random.integers(1, 150))
    drawn = f"seed {SEED}: {ranks} ranks, {end} {delay:.3f} s after epoch {epoch}, rank {rank}"
    run = tmp_path / "run"
    command = train_command(long_run, str(run), *LONG)
    with subprocess.Popen(
        [str(MPIEXEC), "-n", str(ranks), sys.executable, *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        preexec_fn=answer_signals,
    ) as mpiexec:  # fmt: skip
        try:
            assert mpiexec.stderr is not None
            done = 0
            while done < epoch:  # of some epochs no line is printed
                assert (line := mpiexec.stderr.readline()), drawn
                done = int(printed[1]) if (printed := re.match(r"epoch +(\d+)/", line)) else 0
            time.sleep(delay)
            hit = mpiexec.pid if target == "mpiexec" else process_of_rank(mpiexec.pid, rank)
            os.kill(hit, SIGNALS[end])
            _, errors = mpiexec.communicate(timeout=HUNG)
        finally:
            mpiexec.kill()
    if end != "killed":
        assert mpiexec.returncode == {"interrupted": 130, "terminated": 143}[end], drawn + errors
        assert errors.count("fastmlp: ") == 1, drawn + errors
        assert f"fastmlp: {end} (" in errors, drawn + errors
        assert f"continue with 'fastmlp train --resume {run}'" in errors
    else:
        assert mpiexec.returncode != 0, drawn
    if target == "mpiexec" and end == "killed":
        wait_until_free(run)
    other = int(random.integers(1, 3))
    rest = run_ranks(other, "-m", "fastmlp", "train", "--resume", str(run))
    assert rest.returncode == 0, drawn + rest.stderr
    whole = parameters_of(long_run.parent / "whole" / "last.safetensors")
    assert parameters_of(run / "last.safetensors") == whole, f"{drawn}, resumed by {other}"


@pytest.mark.parametrize("number", range(3))
def test_command_that_a_signal_ends_while_it_starts(number: int, table: Path) -> None:
    """No process waits for one that ended before MPI connected them."""
    random = np.random.default_rng([SEED, 7, number])
    end = ["interrupted", "terminated"][int(random.integers(2))]
    rank, delay = int(random.integers(2)), float(random.uniform(0.3, 2.5))
    drawn = f"seed {SEED}: rank {rank} {end} after {delay:.3f} s"
    command = train_command(table, "run", "--epochs", "100000")
    with subprocess.Popen(
        [str(MPIEXEC), "-n", "2", sys.executable, *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        preexec_fn=answer_signals,
    ) as mpiexec:  # fmt: skip
        try:
            time.sleep(delay)
            os.kill(process_of_rank(mpiexec.pid, rank), SIGNALS[end])
            _, errors = mpiexec.communicate(timeout=HUNG)
        finally:
            mpiexec.kill()
    assert mpiexec.returncode != 0, drawn
    assert errors.count("fastmlp: ") <= 1, drawn + errors


def process_of_rank(mpiexec: int, rank: int) -> int:
    """Wait for the process of a rank, a child of a child of mpiexec, and return it."""
    end = time.monotonic() + HUNG
    while time.monotonic() < end:
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                parent, rank_of = parent_of(int(entry.parent.name)), f"PMI_RANK={rank}".encode()
                if parent_of(parent) == mpiexec and rank_of in entry.read_bytes().split(b"\0"):
                    return int(entry.parent.name)
    raise AssertionError(f"mpiexec has no rank {rank}")


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until_free(run: Path) -> None:
    """Wait until the processes that a killed mpiexec has left have ended, too."""
    end = time.monotonic() + HUNG
    while time.monotonic() < end:
        try:
            with locked(run):
                return
        except DirectoryInUseError:
            time.sleep(0.05)
    raise AssertionError(f"{run} is still in use")


def test_command_whose_time_is_over_is_resumed(long_run: Path, tmp_path: Path) -> None:
    """The first rank alone looks at its clock."""
    run = tmp_path / "run"
    limit = ["--max-time", "0.2"]
    done = run_ranks(3, *train_command(long_run, str(run), *LONG, *limit))
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "result.json").read_text())["status"] == "time_limit"
    again = ["-m", "fastmlp", "train", "--resume", str(run), "--max-time", "1000"]
    rest = run_ranks(2, *again)
    assert rest.returncode == 0, rest.stderr
    whole = parameters_of(long_run.parent / "whole" / "last.safetensors")
    assert parameters_of(run / "last.safetensors") == whole


def test_command_whose_data_one_rank_lacks_reports_it_once(table: Path, tmp_path: Path) -> None:
    missing = train_command(tmp_path / "missing.csv", "run")
    parts = ["-n", "1", sys.executable, *train_command(table, "run"), ":"]
    parts += ["-n", "2", sys.executable, *missing]
    done = subprocess.run(
        [str(MPIEXEC), *parts], capture_output=True, text=True, timeout=HUNG, env=environment()
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("fastmlp: error:") == 1
    assert "fastmlp: error: rank 1 failed: " in done.stderr
    assert "missing.csv" in done.stderr
    assert not (table.parent / "run").exists()


def test_command_that_cannot_write_ends_all_ranks(table: Path) -> None:
    """After the first epochs the first rank has no space left for its files."""
    program = (
        "import os, resource, sys\n"
        "from fastmlp.training.loop import TrainingLoop\n"
        "import fastmlp.cli\n"
        "end = TrainingLoop._end_epoch\n"
        "def end_epoch(self, record):\n"
        "    if record['epoch'] == 3 and os.environ['PMI_RANK'] == '0':\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (100, -1))\n"
        "    end(self, record)\n"
        "TrainingLoop._end_epoch = end_epoch\n"
        "sys.argv[0] = 'fastmlp'\n"
        "sys.exit(fastmlp.cli.main())\n"
    )
    full = table.parent / "full.py"
    full.write_text(program)
    _, _, *arguments = train_command(table, "run", "--checkpoint-every", "1")
    done = run_ranks(2, str(full), *arguments)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("fastmlp: error:") == 1
    assert "cannot write to" in done.stderr
    rest = run_ranks(1, "-m", "fastmlp", "train", "--resume", str(table.parent / "run"))
    assert rest.returncode == 0, rest.stderr


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


@pytest.mark.parametrize(
    ("command", "cure"), [("cv", "--processes"), ("sweep", "--resume SWEEP joins")]
)
def test_a_command_that_each_rank_would_do_alone_is_refused_once(
    command: str, cure: str, table: Path
) -> None:
    place = table.parent / command
    done = run_ranks(2, "-m", "fastmlp", command, str(table), "--out", str(place))
    assert done.returncode == 2, done.stderr
    message = f"each of the 2 processes of mpiexec would do all of 'fastmlp {command}'"
    assert done.stderr.count("fastmlp: error:") == done.stderr.count(message) == 1
    assert cure in done.stderr
    assert not place.exists()
