"""Signals at any moment: no model stays locked, and none is anything but weights or averages."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import fastmlp
from support.cli_process import environment
from support.continuation_cases import Cut, interrupted_after
from support.systems import needs_kill

pytestmark = needs_kill

FITS = int(os.environ.get("FASTMLP_INTERRUPTED_FITS", "1500"))
SEED = int(os.environ.get("FASTMLP_CONTINUATION_SEED", time.time_ns() % 2**32))
X = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
Y = np.arange(40) % 3


def fit(model, **options):
    options = {"epochs": 2, "batch_size": 16, "threads": 1, "verbose": 0, **options}
    return model.fit(X, Y, **options)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("averaging", [None, fastmlp.EMA(0.5), fastmlp.SWA()])
def test_no_signal_leaves_a_model_locked_or_between_weights_and_averages(averaging):
    random = np.random.default_rng(SEED)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        fit(fastmlp.MLP([5, 8, 3]), averaging=averaging)
        times.append(time.perf_counter() - start)
    seconds = float(np.median(times))
    # Averages of what does not move are its weights: whatever a model shows, it shows these.
    optimizer = fastmlp.SGD(0.0)
    cuts = 0
    for number in range(FITS // 3):
        model = fastmlp.MLP([5, 8, 3], seed=number)
        before = model.parameters()
        try:
            with interrupted_after(float(random.uniform(0, 1.2 * seconds))):
                fit(model, averaging=averaging, optimizer=optimizer)
        except Cut:
            cuts += 1
        for name, array in model.parameters().items():
            np.testing.assert_array_equal(array, before[name], f"seed {SEED}, fit {number}")
        model.predict(X)
        fit(model, averaging=averaging, resume=model.was_trained, optimizer=optimizer)
        fit(model, averaging=averaging, epochs=1)
    assert cuts > FITS // 10, "the signals came too late to show anything"


def test_fit_is_not_entered_twice():
    model = fastmlp.MLP([5, 8, 3])
    with pytest.raises(RuntimeError, match="the model is being trained"):
        fit(model, callbacks=[lambda model, record: fit(model)])
    fit(model)


SCRIPT = """
import resource
import numpy as np
import fastmlp

x = np.random.default_rng(0).standard_normal((20000, 5)).astype(np.float32)
y = np.arange(20000) % 3
options = dict(batch_size=16, threads=1, verbose=0, optimizer=fastmlp.Adam())
model, twin = (fastmlp.MLP([5, 2000, 3]) for _ in range(2))
twin.fit(x[:40], y[:40], epochs=4, **options)
model.fit(x[:40], y[:40], epochs=2, total_epochs=4, **options)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), before[1]))
for resume in (True, False):
    try:  # activations of 20000 rows are 320 MB
        model.fit(x, y, epochs=2, resume=resume, **options | {"batch_size": 20000})
    except MemoryError:
        print("MemoryError")
resource.setrlimit(resource.RLIMIT_AS, before)
model.fit(x[:40], y[:40], epochs=2, resume=True, **options)
for name, array in twin.parameters().items():
    assert np.array_equal(model.parameters()[name], array), name
print("equal")
"""


def test_a_fit_without_memory_gives_nothing_up():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["MemoryError", "MemoryError", "equal"], done.stderr
