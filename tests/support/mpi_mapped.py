"""A training on the samples of a file of which each rank maps its own.

    mpiexec -n 4 python tests/support/mpi_mapped.py x.npy

Prints a line of JSON from the first rank: digest of the parameters, and bytes of the file that each
rank has in memory.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import fastmlp
from support.digest import sha

SIZES = {"batch_size": 100, "shards": 8}


def mapped_bytes(path: str) -> int:
    """Return how much of a file this process has in memory."""
    maps = Path("/proc/self/smaps").read_text()
    found = re.findall(rf"{re.escape(path)}\n.*?Rss: +(\d+) kB", maps, re.DOTALL)
    return sum(map(int, found)) * 1024


def main(path: str) -> None:
    ranks = MPI.COMM_WORLD
    x = np.load(path, mmap_mode="r")
    rows = fastmlp.rows_of_rank(len(x), **SIZES, communicator=ranks)
    y = (np.arange(len(x)) // 100 % 3)[rows]
    model = fastmlp.MLP([x.shape[1], 8, 3], seed=1)
    model.fit(
        x[rows], y, epochs=1, **SIZES, own_samples=True, communicator=ranks, threads=1, verbose=0
    )
    sizes = ranks.gather(mapped_bytes(path))
    if ranks.Get_rank() == 0:
        print(json.dumps({"parameters": sha(*model.parameters().values()), "mapped": sizes}))


if __name__ == "__main__":
    main(sys.argv[1])
