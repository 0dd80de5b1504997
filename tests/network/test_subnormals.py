"""Subnormal numbers count as zero in the core, whichever way it computes, and there alone."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support import random_networks
from support.child_process import run_python
from support.tiny_trainings import digests, is_subnormal, train

SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())
CASES = 25
COMPUTE_DTYPES = (None, "bfloat16")


def test_no_subnormal_number_leaves_the_core():
    for seed in range(SEED, SEED + CASES):
        left = train(seed, 2)
        found = [array[is_subnormal(array)] for array in left]
        assert not any(part.size for part in found), f"FASTMLP_SEED={seed}: {found}"


def test_tiny_numbers_have_the_same_bits_under_every_plan():
    for seed in range(SEED, SEED + CASES):
        assert len(digests(seed)) == 1, f"FASTMLP_SEED={seed}"


DIGESTS = """
import json, sys
from support.tiny_trainings import digests
print(json.dumps([sorted(digests(seed)) for seed in range({seed}, {seed} + 8)]))
"""


def test_tiny_numbers_have_the_same_bits_on_every_instruction_set(isa):
    done = run_python(DIGESTS.format(seed=SEED), FASTMLP_ISA=isa)
    assert done.returncode == 0, done.stderr
    expected = [sorted(digests(seed)) for seed in range(SEED, SEED + 8)]
    assert json.loads(done.stdout) == expected, f"FASTMLP_SEED={SEED}"


@pytest.mark.filterwarnings("ignore::fastmlp.TrainingWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_velocities_of_dead_units_reach_zero(dtype):
    """They shrink in each step, and would rest at a few units of the smallest number."""
    model = fastmlp.MLP([3, 4, 2], loss="mse", dtype=dtype, seed=0)
    options = {"optimizer": fastmlp.SGD(1e-3, momentum=0.5), "batch_size": 1, "verbose": 0}
    x, y = np.ones((100, 3)), np.ones((100, 2))
    model.fit(x, y, epochs=1, **options)
    assert model.training_state()["slots.0.0.weights"].any()
    model.biases[0] = np.full(4, -1e6)
    model.fit(x, y, epochs=15, resume=True, **options)
    assert not model.training_state()["slots.0.0.weights"].any()


def test_sums_of_shards_over_processes_are_those_of_one():
    rng = np.random.default_rng(SEED)
    for dtype in (np.float32, np.float64):
        tiny = np.finfo(dtype).smallest_normal
        total, part = (rng.integers(-9, 10, 1000) * (tiny / 4) for _ in range(2))
        total, part = total.astype(dtype), part.astype(dtype)
        normal = [np.where(is_subnormal(a), 0, a) for a in (total, part)]
        expected = normal[0] + normal[1]
        expected[is_subnormal(expected)] = 0
        _core.add_sum(total, part)
        np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("compute_dtype", COMPUTE_DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_program_keeps_its_arithmetic(compute_dtype, threads):
    """In callbacks and loss functions, in handlers of signals, and after every kind of call."""
    subnormal = np.float32(1e-40)
    seen = []

    def look(*_):
        seen.append(float(subnormal * np.float32(1)))

    def loss(outputs, wanted):
        look()
        return float(np.square(outputs - wanted).mean()), 2 * (outputs - wanted) / outputs.size

    def step(*_):
        os.kill(os.getpid(), signal.SIGUSR1)
        model.predict(x[:3])
        look()

    x = np.random.default_rng(0).standard_normal((64, 20)).astype(np.float32)
    before = signal.signal(signal.SIGUSR1, look)
    try:
        for chosen in (loss, "mse"):
            model = fastmlp.MLP([20, 30, 3], loss=chosen, compute_dtype=compute_dtype)
            callback = fastmlp.LambdaCallback(on_step_end=step, every_steps=1)
            options = {"batch_size": 16, "callbacks": [callback], "threads": threads}
            model.fit(x, x[:, :3], epochs=2, averaging=fastmlp.EMA(0.9), verbose=0, **options)
            for call in (model.predict, model.forward, model.hidden_activations):
                call(x, threads=threads)
                look()
            model.evaluate(x, x[:, :3], threads=threads)
            look()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(seen) > 30
    assert set(seen) == {float(subnormal)}
