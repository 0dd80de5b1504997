"""Calls of fit that continue one another: the run of the core that they keep changes no bit.

Random sequences of calls: FASTMLP_CALLS_TRIALS and FASTMLP_CALLS_SEED make a longer run, or the
same one again.
"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import time
import tracemalloc
import weakref

import numpy as np
import pytest

import fastmlp

TRIALS = int(os.environ.get("FASTMLP_CALLS_TRIALS", "40"))
SEED = int(os.environ.get("FASTMLP_CALLS_SEED", time.time_ns() % 2**32))
FEATURES, CLASSES, CALLS = 12, 3, 25

pytestmark = pytest.mark.filterwarnings("ignore::fastmlp.TrainingWarning")


def new_run(model):
    """Let the next call of `model` make a run of the core."""
    state = model.training_state()
    if state:
        model.restore_training_state(state)


def samples(random, rows):
    """Samples of one of the types that the core reads, often with columns of zeros."""
    x = random.standard_normal((rows, FEATURES)) * (random.random(FEATURES) < 0.7)
    kind = random.integers(4)
    if kind == 0:
        return np.clip(x * 50 + 100, 0, 255).astype(np.uint8)
    if kind == 1:
        return pytest.importorskip("scipy.sparse").csr_matrix(x * (random.random(x.shape) < 0.4))
    return x.astype(np.float32 if kind == 2 else np.float64)


class Stopped(Exception):
    """What a callback of these tests raises."""


class AtStep(fastmlp.Callback):
    """Raises an error or an interrupt after a step."""

    every_steps = 1

    def __init__(self, step, interrupts):
        self.left, self.interrupts = step, interrupts

    def on_step_end(self, training, record):
        self.left -= 1
        if self.left == 0 and self.interrupts:
            signal.raise_signal(signal.SIGINT)
        elif self.left == 0:
            raise Stopped


def random_fit(random, rule):
    """Arguments of a call of fit, often those of another call."""
    rows = int(random.choice([24, 24, 24, 32, 61]))
    seed = int(random.integers(2**31))
    rate = float(random.choice([0.01, 0.01, 0.003]))
    if random.random() < 0.03:
        rate = 1e30  # diverges
    options = {
        "epochs": int(random.integers(1, 3)),
        "batch_size": int(random.choice([8, 8, 8, 12, 100])),
        "threads": [1, 1, 2, None][random.integers(4)],
        "shards": [None, None, None, 2][random.integers(4)],
        "shuffle": bool(random.integers(2)),
        "drop_last": random.random() < 0.1,
        "optimizer": type(rule)(rate, **({"l2": 0.01} if random.integers(2) else {})),
        "resume": random.random() < 0.85,
        "averaging": fastmlp.EMA(0.9) if random.random() < 0.2 else None,
        "verbose": 0,
        "diagnose": rate < 1 and bool(random.integers(2)),
    }
    if random.random() < 0.05:
        options["optimizer"] = fastmlp.SGD(0.01) if rule.rule != "sgd" else fastmlp.Adam(0.01)
    cut = (int(random.integers(1, 8)), bool(random.integers(2))) if random.random() < 0.2 else None
    weighted = random.random() < 0.2

    def call(model):
        drawn = np.random.default_rng(seed)
        x, y = samples(drawn, rows), drawn.integers(0, CLASSES, rows)
        if weighted:
            options["sample_weight"] = drawn.random(rows) + 0.1
        callbacks = [] if cut is None else [AtStep(*cut)]
        model.fit(x, y, callbacks=callbacks, **options)
        return model

    return call


def random_call(random, rule, folder):
    """A call that changes a model or looks at it; it returns the model to go on with."""
    kind, seed = random.random(), int(random.integers(2**31))

    def assign(model):
        drawn = np.random.default_rng(seed)
        parameters = model.parameters()
        name = str(drawn.choice(list(parameters)))
        changed = parameters[name] + 0.1 * drawn.standard_normal(parameters[name].shape)
        model.set_parameters({**parameters, name: np.abs(changed) + 0.1})
        return model

    def save_and_load(model):
        path = folder / "model.safetensors"
        model.save(path, training_state=seed % 4 > 0 and model.was_trained)
        return fastmlp.load(path)

    def look(model):
        x = np.random.default_rng(seed).standard_normal((9, FEATURES))
        model.predict(x)
        model.evaluate(x, np.zeros(9, int))
        model.plan(batch_size=8)
        return model

    def freeze(model):
        model.unfreeze()
        if seed % 3:
            model.freeze(0)
        return model

    others = [assign, save_and_load, look, freeze, copy.deepcopy,
              lambda model: pickle.loads(pickle.dumps(model))]  # fmt: skip
    return random_fit(random, rule) if kind < 0.7 else others[random.integers(len(others))]


def outcome(call, model):
    """Return the model after a call, and what the call raised."""
    try:
        return call(model), None
    except (Stopped, KeyboardInterrupt, ValueError, fastmlp.DivergedError) as error:
        return model, f"{type(error).__name__}: {error}"


def assert_same(kept, made, where):
    for name, array in kept.parameters().items():
        assert array.tobytes() == made.parameters()[name].tobytes(), (where, name)
    assert (kept.history.loss, kept.history.accuracy) == (made.history.loss, made.history.accuracy)
    states = kept.training_state(), made.training_state()
    assert states[0].keys() == states[1].keys(), where
    for name in set(states[0]) - {"progress"}:  # which tells the time of an epoch
        assert states[0][name].tobytes() == states[1][name].tobytes(), (where, name)


@pytest.mark.parametrize("trial", range(TRIALS))
def test_calls_that_keep_their_run_equal_calls_that_make_one(trial, tmp_path):
    random = np.random.default_rng([SEED, trial])
    rule = [fastmlp.Adam(), fastmlp.SGD(), fastmlp.RMSprop(), fastmlp.Adagrad()][trial % 4]
    options = {
        "dtype": str(random.choice(["float32", "float64"])),
        "dropout": float(random.choice([0.0, 0.3])),
        "batch_normalization": random.random() < 0.3,
        "members": int(random.choice([1, 1, 3])),
        "input_scale": None if random.integers(2) else 1.0,
        "seed": int(random.integers(99)),
    }
    kept, made = (fastmlp.MLP([FEATURES, 9, 7, CLASSES], **options) for _ in range(2))
    for number in range(CALLS):
        where = f"FASTMLP_CALLS_SEED={SEED}, trial {trial}, call {number}"
        call = random_call(random, rule, tmp_path)
        kept, raised = outcome(call, kept)
        new_run(made)
        made, other = outcome(call, made)
        assert raised == other, where
        assert_same(kept, made, where)


# ---------------------------------------------------------------- the run that is kept


def batches(count, rows=32, dtype=np.float32):
    random = np.random.default_rng(0)
    for _ in range(count):
        yield random.standard_normal((rows, FEATURES)).astype(dtype), random.integers(0, 3, rows)


def runs_of(model, calls):
    """Return the runs of the core that calls of fit have used, one for each call."""
    runs = []
    for x, y in batches(calls):
        model.fit(x, y, epochs=1, batch_size=32, resume=True, shuffle=False, verbose=0)
        runs.append(model._continuation.run)
    return runs


def test_continued_calls_make_one_run():
    model = fastmlp.MLP([FEATURES, 8, 3])
    runs = runs_of(model, 20)
    assert all(run is runs[0] for run in runs)
    model.set_parameters(model.parameters())
    assert runs_of(model, 1)[0] is runs[0]
    x, y = next(batches(1))
    model.fit(x, y, epochs=1, batch_size=16, resume=True, verbose=0)
    assert model._continuation.run is not runs[0]
    assert runs_of(model, 2)[1] is not runs[0]


def test_copies_have_runs_of_their_own():
    model = fastmlp.MLP([FEATURES, 8, 3])
    run = runs_of(model, 1)[0]
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other._continuation.run is None
        assert runs_of(other, 2)[0] is not run
    assert model._continuation.run is run


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float64])
def test_a_kept_run_lets_the_data_go(dtype):
    model = fastmlp.MLP([FEATURES, 8, 3], input_scale=1)
    for resume in (False, True, True):
        x, y = next(batches(1, rows=64, dtype=dtype))
        weights = np.ones(64, np.float32)
        references = [weakref.ref(array) for array in (x, y, weights)]
        model.fit(x, y, sample_weight=weights, epochs=1, resume=resume, verbose=0)
        del x, y, weights
        gc.collect()
        assert [reference() for reference in references] == [None] * 3
    assert model._continuation.run is not None


def test_a_continued_call_copies_no_state():
    """Each copy of the state of Adam has twice the size of the parameters."""
    model = fastmlp.MLP([FEATURES, 700, 700, 3], input_scale=1)
    parameters = sum(array.nbytes for array in model.parameters().values())
    x, y = next(batches(1))
    model.fit(x, y, epochs=1, verbose=0)
    model.fit(x, y, epochs=1, resume=True, verbose=0)
    tracemalloc.start()
    try:
        model.fit(x, y, epochs=1, resume=True, verbose=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < parameters / 10


def test_a_continued_call_of_few_steps_is_not_examined():
    model = fastmlp.MLP([FEATURES, 8, 3])
    x, y = next(batches(1))
    model.fit(x, y, epochs=1, verbose=0)
    assert model.findings
    model.fit(x, y, epochs=199, batch_size=32, resume=True, verbose=0)
    assert model.findings == ()
    model.fit(x, y, epochs=200, batch_size=32, resume=True, verbose=0)
    assert model.findings


def test_calls_do_not_copy_the_history():
    """A copy for each call would make many calls quadratic in their number."""
    model = fastmlp.MLP([FEATURES, 8, 3])
    parts, losses, states = set(), [], []
    for x, y in batches(200):
        history = model.fit(x, y, epochs=1, batch_size=32, resume=True, verbose=0)
        losses += history.loss
        part = model._continuation.progress.history
        if id(part) not in parts:
            states.append(part)  # which keeps the identity in use
            parts.add(id(part))
    assert len(states) <= 5
    assert model.history.loss == losses
    assert len(model.history.epoch_seconds) == 200
    assert pickle.loads(pickle.dumps(model)).history.loss == losses
    model.history = fastmlp.History()
    assert runs_of(model, 1)
    assert len(model.history.loss) == 1
