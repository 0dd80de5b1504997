"""Arrays that change while the core computes lead it to no memory but their own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from support.child_process import run_child
from support.paths import TESTS

WORKS = ("fit", "serve", "measure", "estimator", "core", "values", "own loss", "kernels")
SCRIPT = TESTS / "support" / "changing_arrays.py"


@pytest.mark.parametrize("threads", [2, 3])
def test_arrays_that_change_end_no_process(threads):
    """One process for all kinds of work, as starting one takes longer than each of them."""
    seed = int(np.random.default_rng().integers(2**31))
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(seed), str(threads), *WORKS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert tuple(told) == WORKS
    for work, outcome in told.items():
        answered, refused = map(int, outcome.split()[:2])
        assert answered + refused > 2, work
    assert done.stderr == "", command


@pytest.mark.parametrize("what", ["y", "order", "columns", "starts"])
def test_what_a_callback_writes_is_not_read_as_an_index(what):
    ended = run_child(
        f"""
import scipy.sparse
x, y = problem(2000, [50, 300, 10])
order = rng.permutation(2000)
dense = rng.standard_normal((2000, 50)) * (rng.random((2000, 50)) < 0.1)
sparse = scipy.sparse.csr_matrix(dense.astype(np.float32))
columns, starts = sparse.indices.astype(np.int32), sparse.indptr.astype(np.int64)
samples = (sparse.data, columns, starts) if {what!r} in ("columns", "starts") else x
def trained(progress):
    model = fastmlp.MLP([50, 300, 10], seed=1)
    run = model._core_run(16, "sgd", 2)
    for epoch in range(2):
        for part in range(3):
            run.run_epoch(samples, [y], {{"learning_rate": 0.01}}, order=order,
                          first_step=40 * part, steps=40, progress=progress)
            for array, whole in kept:
                array[:] = whole
    return digest(*model.weights)
kept = [(a, a.copy()) for a in (y, order, columns, starts)]
def change(*state):
    target = {what}
    target[:] = np.int64(label).astype(target.dtype)
expected = trained(None)
for label in (10**6, -100, 2**62, -(2**62)):
    print(trained(change) == expected, flush=True)
""",
        timeout=240,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    # Columns are too many to be copied: they are bounded where they are read.
    assert ended.stdout == 4 * "True\n" or (what == "columns" and ended.stdout.count("\n") == 4)
