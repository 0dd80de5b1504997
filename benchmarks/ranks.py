"""Steps of one training by several processes, beside those of one process by several threads.

Every way trains the same networks in turns, so that what else the machine does meets all alike; the
medians over the turns are printed as tables for docs/mpi.md: steps, and exchanges of gradients
alone. Another program on the machine, or more processes than cores, makes processes wait for each
other: run it on a machine that is otherwise idle.

    python benchmarks/ranks.py [TURNS]
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp import _core
from fastmlp.training.processes import Group, Shards

# Layers, rows of a batch and steps of an epoch.
NETWORKS: dict[str, tuple[list[int], int, int]] = {
    "784-512-512-10, 256 rows": ([784, 512, 512, 10], 256, 12),
    "784-512-512-10, 2,048 rows": ([784, 512, 512, 10], 2048, 3),
    "784-30-10, 24 rows": ([784, 30, 10], 24, 200),
}
# Processes and threads of each. The first way is the one that others are compared with.
WAYS = [(1, 1), (1, 2), (2, 1), (3, 1), (4, 1)]
SHARDS = 12
EPOCHS = 6
SIZES = (1_000, 25_000, 100_000, 700_000, 5_000_000)
EXCHANGES = 20


def step_seconds(name: str, threads: int) -> float:
    """Return the median time of a step over the epochs after the first; run by every process."""
    from mpi4py import MPI

    layers, rows, steps = NETWORKS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows * steps, layers[0]), np.float32)
    y = rng.integers(0, layers[-1], len(x))
    model = fastmlp.MLP(layers, seed=1, input_scale=1)
    history = model.fit(
        x, y, epochs=EPOCHS, batch_size=rows, optimizer=fastmlp.SGD(0.01, momentum=0.9),
        shards=SHARDS, communicator=MPI.COMM_WORLD, threads=threads, diagnose=False, verbose=0,
    )  # fmt: skip
    return statistics.median(history.epoch_seconds[1:]) / steps


def exchange_seconds(elements: int) -> float:
    """Return the median time of an exchange of so many parameters; run by every process."""
    from mpi4py import MPI

    shards = Shards(SHARDS, Group(MPI.COMM_WORLD))
    assert shards.exchange is not None
    sums = np.zeros((len(_core.shard_sums(SHARDS, shards.begin, shards.end)), 2))
    gradients = np.ones((len(sums), elements), np.float32)
    seconds = []
    for _ in range(EXCHANGES):
        MPI.COMM_WORLD.Barrier()
        start = time.perf_counter()
        shards.exchange(gradients, sums, 0)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def measured(ranks: int, threads: int, *what: object) -> float:
    """Measure in processes of their own, and return what the first says."""
    beside = Path(sys.executable).parent
    mpiexec = shutil.which("mpiexec") or shutil.which("mpiexec", path=beside)
    if mpiexec is None:
        raise SystemExit("needs mpiexec: pip install mpi4py mpich")
    done = subprocess.run(
        [mpiexec, "-n", str(ranks), sys.executable, __file__, "measure", *map(str, what)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(json.loads(done.stdout))


def measure(kind: str, *arguments: str) -> None:
    """Measure as one of the processes; the first prints."""
    from mpi4py import MPI

    if kind == "step":
        seconds = step_seconds(arguments[0], int(arguments[1]))
    else:
        seconds = exchange_seconds(int(arguments[0]))
    if MPI.COMM_WORLD.Get_rank() == 0:
        print(json.dumps(seconds), flush=True)


def main(turns: int) -> None:
    """Print both tables."""
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    print(f"{cores} cores, {fastmlp.info()['isa']}, load {load:.1f}; medians of {turns} turns")
    ways = [(name, *way) for name in NETWORKS for way in WAYS]
    steps: dict[tuple[str, int, int], list[float]] = {way: [] for way in ways}
    exchanges: dict[int, list[float]] = {size: [] for size in SIZES}
    for turn in range(turns):
        for name, ranks, threads in ways:
            print(f"turn {turn}: {name}, {ranks} x {threads}", file=sys.stderr)
            steps[name, ranks, threads].append(measured(ranks, threads, "step", name, threads))
        for size in SIZES:
            exchanges[size].append(measured(2, 1, "exchange", size))
    print("\n| network | processes x threads | step | speedup | efficiency |")
    print("| --- | --- | --- | --- | --- |")
    for name, ranks, threads in ways:
        seconds = statistics.median(steps[name, ranks, threads])
        speedup = statistics.median(steps[(name, *WAYS[0])]) / seconds
        efficiency = speedup / (ranks * threads)
        print(
            f"| {name} | {ranks} x {threads} | {1e3 * seconds:.3g} ms | {speedup:.2f} | "
            f"{efficiency:.0%} |"
        )
    print(f"\n| parameters | exchange of 2 processes, {SHARDS} shards |\n| --- | --- |")
    for size, seconds_of in exchanges.items():
        print(f"| {size:,} | {1e3 * statistics.median(seconds_of):.3g} ms |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
