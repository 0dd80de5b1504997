"""Where threads cannot be had, the team is smaller and the results are the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.child_process import run_child
from support.paths import TESTS

# Wide enough for both splits, batch normalization, own inputs and sparse rows; prints one digest.
WORK = """
def everything(threads):
    found = []
    data = np.random.default_rng(1)
    for sizes, batch, options in [
        ([40, 300, 10], 64, {}),
        ([40, 64, 64, 200], 33, {"batch_normalization": True}),
        ([300, 512, 5], 48, {"dropout": 0.2}),
    ]:
        x = data.standard_normal((3 * batch + 7, sizes[0])).astype(np.float32)
        y = data.integers(0, sizes[-1], len(x))
        model = fastmlp.MLP(sizes, seed=3, **options)
        model.fit(x, y, epochs=2, batch_size=batch, threads=threads, verbose=0)
        found += [*model.weights, model.forward(x, threads=threads)]
        found += [np.array(model.evaluate(x, y, threads=threads)["loss"])]
        found += model.loss_and_gradients(x, y, threads=threads)[1]
    import scipy.sparse
    sparse = scipy.sparse.random(150, 500, 0.01, format="csr", random_state=0, dtype=np.float32)
    y = data.integers(0, 3, 150)
    model = fastmlp.MLP([500, 30, 3], seed=1)
    model.fit(sparse, y, epochs=2, batch_size=50, threads=threads, verbose=0)
    a = data.standard_normal((70, 90)).astype(np.float32)
    kernels = _core.kernels
    found += [*model.weights, model.forward(sparse, threads=threads)]
    found += [kernels.gemm_nn(a, a.T.copy(), threads), kernels.gemm_tn(a, a, threads)]
    found += [kernels.gemm_nt(a, a, threads), kernels.gemm_nt_by_rows(a, a, threads)]
    return digest(*found)
"""

FEW_PROCESSES = """
import scipy.sparse
os.setgroups([])
os.setgid(54321)
everything(1)  # imports what the other user may not be allowed to read
os.setuid(54321 + {extra})
now = len(os.listdir("/proc/self/task"))
resource.setrlimit(resource.RLIMIT_NPROC, (now + {extra}, now + {extra}))
print(everything({threads}))
"""

FEW_PAGES = """
import scipy.sparse
everything(1)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + ({extra} << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, -1))
try:
    print(everything({threads}))
except MemoryError:
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(everything({threads}))
"""


@pytest.fixture(scope="module")
def expected():
    ended = run_child(WORK + "print(everything(1))")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a user without processes")
@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("extra", [0, 1, 2, 3])
def test_a_limit_on_processes_makes_the_team_smaller(extra, threads, expected):
    ended = run_child(WORK + FEW_PROCESSES.format(extra=extra, threads=threads))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == expected


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("extra", [1, 4, 10, 20, 40])
def test_a_limit_on_memory_makes_the_team_smaller(extra, threads, expected):
    ended = run_child(WORK + FEW_PAGES.format(extra=extra, threads=threads))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_THREAD_LIMIT": "1"},
        {"OMP_THREAD_LIMIT": "2"},
        {"OMP_THREAD_LIMIT": "3"},
        {"OMP_DYNAMIC": "true"},
        {"OMP_PROC_BIND": "true"},
        {"OMP_STACKSIZE": "4000G"},
        {"OMP_STACKSIZE": "64M"},
        {"OMP_STACKSIZE": "1B"},
        {"OMP_MAX_ACTIVE_LEVELS": "3", "OMP_NESTED": "true"},
    ],
    ids=lambda environment: "-".join(f"{k}={v}" for k, v in environment.items()),
)
def test_settings_of_openmp_change_no_result(environment, expected):
    ended = run_child(WORK + "print(everything(4), everything(2))", environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == 2 * expected.split()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_random_networks_on_teams_smaller_than_planned(limit):
    """Blocks, shares and memory were laid out for more members."""
    done = subprocess.run(
        [sys.executable, "-m", "support.random_networks", "40"],
        cwd=TESTS,
        env={**os.environ, "OMP_THREAD_LIMIT": str(limit)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
