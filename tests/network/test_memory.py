"""Memory: nothing is allocated inside a step, and the high-water mark is what the plan says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastmlp

PATHS = os.pathsep.join(filter(None, sys.path))
COMPILER = shutil.which("cc") or shutil.which("gcc")

# Counts every way in which the core could ask for memory.
COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/types.h>
static long calls;
long allocation_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }
static void count(void) { __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST); }
static void *next(const char *name) {
  count();
  return dlsym(RTLD_NEXT, name);
}
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *malloc(size_t n) { count(); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { count(); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { count(); return __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) {
  return ((void *(*)(size_t, size_t))next("aligned_alloc"))(a, n);
}
int posix_memalign(void **p, size_t a, size_t n) {
  return ((int (*)(void **, size_t, size_t))next("posix_memalign"))(p, a, n);
}
void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  return ((void *(*)(void *, size_t, int, int, int, off_t))next("mmap"))(p, n, prot, flags, fd, at);
}
"""

EPOCHS = """
import ctypes, json, sys
import numpy as np
import fastmlp
from fastmlp.network.samples import Data
from fastmlp.training.run import Run

from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear

threads, sparse, sizes, options, settings = json.loads(sys.argv[1])
if options.pop("embeds", False):
    periodic, linear = Periodic(), PiecewiseLinear([0.0, 0.1, 0.5], outputs=2)
    inputs = [Numbers(5, embedding=periodic, clip=3.0), Numbers(4, embedding=linear), OneHot(3)]
    options["inputs"] = [*inputs, Category(5), Numbers(sizes[0] - 11)]
calls = ctypes.CDLL(None).allocation_calls
calls.restype = ctypes.c_long
rng = np.random.default_rng(0)
x = rng.integers(0, 256, (4000, sizes[0]), np.uint8)
if sparse:
    x *= rng.random(x.shape) < 0.01
y = rng.integers(0, sizes[-1], 4000)
scale = 1 if "inputs" in options else 1 / 255  # codes are not scaled
run = Run(fastmlp.MLP(sizes, input_scale=scale, **options), 20, "momentum", threads)

def count(samples):
    before = calls()
    data = Data(x[:samples], [y[:samples]])
    run.epoch(data, {"learning_rate": 0.01, "momentum": 0.9, **settings})
    return calls() - before

count(4000)  # the thread pool and the lists of columns take what they need once
before = calls()
bytearray(100_000)
print(json.dumps({"short": count(200), "long": count(4000), "sees": calls() - before > 0}))
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("needs a C compiler to build the counter of allocations")
    folder = tmp_path_factory.mktemp("counter")
    source, library = folder / "counter.c", folder / "counter.so"
    source.write_text(COUNTER)
    command = [COMPILER, "-O1", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        pytest.skip(f"the counter of allocations does not build here: {built.stderr[-200:]}")
    return library


TABLE = {"embeds": True, "input_scaling": True, "parametric": True, "dropout": 0.1}
CLIPPED = {"clip_norm": 1.0, "max_norm": 2.0, "average_decay": 0.9}
FEATURES = {
    "plain": ({}, {}),
    "table": (TABLE, {}),
    "tabm": ({**TABLE, "members": 4, "sharing": "tabm"}, CLIPPED),
    "tabm-mini": ({"members": 3, "sharing": "tabm-mini", "batch_normalization": True}, {}),
    "own batches": ({**TABLE, "members": 4, "own_batches": True}, {}),
    "packed": ({**TABLE, "members": 3, "sharing": "packed"}, CLIPPED),
    "regularized": (
        {"dropout": 0.3, "input_dropout": 0.1, "input_noise": 0.1, "batch_normalization": True},
        {"clip_norm": 1.0, "clip_value": 0.1, "max_norm": 2.0, "average_decay": 0.9},
    ),
}


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", [[50, 20, 10], [300, 128, 64, 10]], ids=["small", "deep"])
def test_no_allocation_inside_a_step(counter, sizes, threads, sparse, features):
    """An epoch of 200 steps allocates exactly as often as one of 10."""
    settings = json.dumps([threads, sparse, sizes, *FEATURES[features]])
    done = subprocess.run(
        [sys.executable, "-c", EPOCHS, settings],
        env={**os.environ, "LD_PRELOAD": str(counter), "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["sees"], "the counter counts nothing"
    assert result["long"] == result["short"]


HIGH_WATER = """
import json, re, sys
from pathlib import Path
import numpy as np
import fastmlp

def kib(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

sizes, batch, samples, momentum = json.loads(sys.argv[1])
x = np.random.default_rng(0).random((samples, sizes[0]), np.float32)
y = np.zeros(samples, np.int64)
fastmlp.MLP([4, 3, 2]).fit(x[:8, :4], y[:8], epochs=1, verbose=0, threads=2)  # code and threads
Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
before = kib("VmRSS")
model = fastmlp.MLP(sizes)
optimizer = fastmlp.SGD(0.01, momentum)
model.fit(x, y, epochs=2, batch_size=batch, optimizer=optimizer, threads=2, verbose=0)
plan = model.plan(batch_size=batch, optimizer=optimizer, threads=2)
print(json.dumps([(kib("VmHWM") - before) * 1024, plan.parameter_bytes, plan.run_bytes]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize(
    "case",
    [
        ([784, 1500, 1000, 10], 128, 2000, 0.9),  # parameters and their state dominate
        ([784, 1500, 1000, 10], 128, 2000, 0.0),
        ([200, 300, 10], 8192, 16384, 0.9),  # activations dominate
    ],
    ids=["momentum", "sgd", "activations"],
)
def test_the_high_water_mark_is_what_the_plan_says(case):
    """parameters x (2 + optimizer slots) + activations and gradients of a batch + 32 MiB.

    The second set of parameters is that of the epoch's start, which a diverging run returns to.
    """
    done = subprocess.run(
        [sys.executable, "-c", HIGH_WATER, json.dumps(case)],
        env={**os.environ, "PYTHONPATH": PATHS, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "clear_refs" in done.stderr:
        pytest.skip("this system does not let a process reset its high-water mark")
    assert done.returncode == 0, done.stderr
    grown, parameter_bytes, run_bytes = json.loads(done.stdout)
    sizes, batch, _, momentum = case
    exact = sum(4 * (a * b + b) for a, b in zip(sizes, sizes[1:], strict=False))
    slots = 1 if momentum else 0
    activations = 4 * batch * sum(sizes)
    formula = exact * (2 + slots) * 1.15 + 2 * activations + 32 * 2**20
    planned = parameter_bytes + run_bytes
    assert planned <= formula
    assert 0.9 * planned - 2**20 <= grown <= formula


def test_a_plan_touches_no_memory_of_the_run():
    """It may be asked for a run that would not fit."""
    huge = fastmlp.MLP([8, 4, 2]).plan(batch_size=10**7)
    assert huge.run_bytes > 10**8
