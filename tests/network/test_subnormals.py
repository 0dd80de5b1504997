"""Subnormal numbers count as zero in the core, whichever way it computes, and there alone."""

from __future__ import annotations

import ctypes
import hashlib
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
DIVERGES_IN_EPOCH_1 = 236133353  # a seed
COMPUTE_DTYPES = (None, "bfloat16")


def test_no_subnormal_number_leaves_the_core():
    """But those that the user set, where the first epoch diverged and was taken back."""
    for seed in (DIVERGES_IN_EPOCH_1, *range(SEED, SEED + CASES)):
        done = train(seed, 2)
        computed = done.others
        if done.diverged_in == 1:
            for given, kept in zip(done.given, done.parameters, strict=True):
                np.testing.assert_array_equal(kept, given, err_msg=f"FASTMLP_SEED={seed}")
        else:
            computed = [*done.parameters, *done.others]
        found = [array[is_subnormal(array)] for array in computed]
        assert not any(part.size for part in found), f"FASTMLP_SEED={seed}: {found}"


def test_a_first_epoch_that_diverges_is_among_the_cases():
    done = train(DIVERGES_IN_EPOCH_1, 2)
    assert done.diverged_in == 1
    assert any(is_subnormal(array).any() for array in done.parameters)


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


# ---------------------------------------------------------------- what the program sets itself

_MATH = ctypes.CDLL(None)
_NEAREST, _UP = _MATH.fegetround(), {"x86_64": 0x800, "aarch64": 0x400000}[os.uname().machine]


def rounds_up():
    """Whether this thread does, by what it computes; fegetround reads another register."""
    one, three = float("1"), float("3")
    return one / three > float.fromhex("0x1.5555555555555p-2")


@pytest.fixture
def rounding():
    """Leaves the way that this thread rounds as it was."""
    yield
    _MATH.fesetround(_NEAREST)


def test_a_call_inside_a_callback_leaves_the_arithmetic_around_it(rounding):
    seen = []
    x = np.ones((64, 5), np.float32)
    other = fastmlp.MLP([5, 2], loss="mse")

    def loss(outputs, wanted):
        seen.append(rounds_up())
        _MATH.fesetround(_UP)
        other.predict(x[:3])
        seen.append(rounds_up())
        _MATH.fesetround(_NEAREST)
        return 0.0, outputs * 0

    fastmlp.MLP([5, 4, 2], loss=loss).fit(x, x[:, :2], epochs=1, batch_size=16, verbose=0)
    assert seen == [False, True] * 4
    assert not rounds_up()


def test_what_a_loss_function_changes_stays_changed(rounding):
    seen = []

    def loss(outputs, wanted):
        seen.append(rounds_up())
        _MATH.fesetround(_UP)
        return 0.0, outputs * 0

    x = np.ones((32, 5), np.float32)
    model = fastmlp.MLP([5, 4, 2], loss=loss)
    model.fit(x, x[:, :2], epochs=1, batch_size=16, verbose=0)
    assert seen == [False, True]
    assert rounds_up()


def test_the_program_may_round_as_it_likes(rounding):
    x = np.random.default_rng(0).standard_normal((100, 7)).astype(np.float32)
    found = set()
    for way in (_NEAREST, _UP):
        for threads in (1, 2, 3):
            model = fastmlp.MLP([7, 40, 3], loss="mse", input_scale=1.0)
            _MATH.fesetround(way)
            model.fit(
                x, x[:, :3], epochs=2, batch_size=32, threads=threads, shuffle=False, verbose=0,
                optimizer=fastmlp.SGD(0.0625),
            )  # fmt: skip
            outputs = model.forward(x, threads=threads)
            _MATH.fesetround(_NEAREST)
            arrays = [*model.parameters().values(), outputs]
            found.add(hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
    assert len(found) == 1


# ---------------------------------------------------------------- samples and weights of the user


@pytest.mark.filterwarnings("ignore::fastmlp.TrainingWarning")
@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e-39), ("float64", 1e-309)])
def test_subnormal_samples_are_standardized_alike_everywhere(dtype, size):
    rows = np.random.default_rng(0).standard_normal((200, 2))
    x, y = (rows * size).astype(dtype), (rows[:, 0] > 0).astype(int)
    model = fastmlp.MLP([2, 8, 2], seed=0)
    rule = fastmlp.Adam(0.01)
    history = model.fit(x, y, epochs=20, batch_size=20, optimizer=rule, verbose=0)
    assert history.accuracy[-1] > 0.9
    assert model.evaluate(x, y)["accuracy"] > 0.9
    np.testing.assert_array_equal(model.forward(x), model.forward(x.astype(np.float64)))


def test_a_subnormal_weight_counts_as_zero_in_bfloat16():
    """Though the nearest bfloat16 is the smallest normal number."""
    for compute_dtype in COMPUTE_DTYPES:
        model = fastmlp.MLP([1, 1], loss="mse", compute_dtype=compute_dtype, input_scale=1.0)
        model.weights[0] = np.full((1, 1), 2.0**-126 * (1 - 2.0**-10), np.float32)
        found = model.input_gradients(np.ones((1, 1)), np.ones((1, 1)))
        assert found[0, 0] == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_have_no_subnormal_numbers(dtype):
    """Of links, of which a probability may be too small, and of layers without a product."""
    least = np.finfo(dtype).smallest_normal
    logits = np.linspace(1.2, 0.8, 60) * np.log(least)
    models = {
        "softmax": fastmlp.MLP([1, 200], dtype=dtype, input_scale=1),
        "sigmoid": fastmlp.MLP([1, 60], loss="binary_cross_entropy", dtype=dtype, input_scale=1),
        "exp": fastmlp.MLP([1, 60], loss="poisson", dtype=dtype, input_scale=1),
    }
    for name, model in models.items():
        model.weights = [np.resize(logits, model.weights[0].shape)]
        if name == "softmax":  # one output has all of the probability
            model.biases = [np.where(np.arange(200) == 0, -model.weights[0][0, 0], 0)]
        ask = model.predict if name == "exp" else model.predict_proba
        found = ask(np.ones((150, 1), dtype))
        assert not is_subnormal(found).any(), name
        assert (found == 0).any(), name
        assert (found > 0).any(), name
