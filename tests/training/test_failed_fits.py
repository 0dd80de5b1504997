"""Fits that fail: what was trained before stays, whatever fails when, and whatever follows."""

from __future__ import annotations

import copy
import os
import pickle
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmlp
from support import random_networks

# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())
TINY_RATE = 1e-30  # its steps change nothing in float32


class StopError(Exception):
    """Raised by what the tests pass to `fit`."""


def fail(*_: object, **__: object) -> None:
    raise StopError


def failing_callback(name: str) -> fastmlp.Callback:
    return type("Failing", (fastmlp.Callback,), {name: fail})()


def interrupted(x: Any, y: Any) -> Any:
    raise KeyboardInterrupt
    yield x, y


def busy_fit(model: fastmlp.MLP, x: Any, y: Any, **settings: Any) -> None:
    """Fit while another thread predicts, which refuses it or not."""
    done = threading.Event()

    def predict() -> None:
        while not done.is_set():
            try:
                model.predict(x)
            except RuntimeError:
                continue

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        model.fit(x, y, optimizer=fastmlp.SGD(TINY_RATE), **settings)
    finally:
        done.set()
        thread.join()


FAILURES: dict[str, Callable[..., object]] = {
    "diverges": lambda model, x, y, **settings: model.fit(
        x, y, optimizer=fastmlp.SGD(1e30), **settings
    ),
    "a callback of an epoch": lambda model, x, y, **settings: model.fit(
        x, y, callbacks=[failing_callback("on_epoch_begin")], **settings
    ),
    "a callback of the training": lambda model, x, y, **settings: model.fit(
        x, y, callbacks=[failing_callback("on_train_begin")], **settings
    ),
    "its learning rate": lambda model, x, y, **settings: model.fit(
        x, y, optimizer=fastmlp.SGD(fail), **settings
    ),
    "progress": lambda model, x, y, **settings: model.fit(
        x, y, progress=lambda *_: fail(), **settings
    ),
    "a source": lambda model, x, y, **settings: model.fit(lambda: interrupted(x, y), **settings),
    "another thread": busy_fit,
    "wrong samples": lambda model, x, y, **settings: model.fit(x[:, :1], y, **settings),
}
EXPECTED = (
    StopError, KeyboardInterrupt, RuntimeError, ValueError, fastmlp.DivergedError,
    fastmlp.SourceError,
)  # fmt: skip
COPIES: dict[str, Callable[[fastmlp.MLP, Path], fastmlp.MLP]] = {
    "itself": lambda model, _: model,
    "a copy": lambda model, _: copy.deepcopy(model),
    "a pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "a file": lambda model, path: saved_and_loaded(model, path, training_state=False),
    "a file with state": lambda model, path: saved_and_loaded(model, path, training_state=True),
}


def saved_and_loaded(model: fastmlp.MLP, path: Path, *, training_state: bool) -> fastmlp.MLP:
    model.save(path / "model.safetensors", training_state=training_state)
    return fastmlp.MLP.load(path / "model.safetensors")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(60))
def test_a_fit_that_fails_loses_nothing(number: int, tmp_path: Path) -> None:
    """The fit that follows starts from the trained weights, with the scaling that they know."""
    chance, draw = random.Random(f"{SEED} {number}"), np.random.default_rng([SEED, number])
    regression = chance.random() < 0.3
    x = draw.normal(5, 3, (300, 3)).astype(np.float32)
    y = x[:, :1] * 2 + 1 if regression else (x[:, 0] > 5).astype(np.int64)
    model = fastmlp.MLP(
        [3, chance.choice([1, 8, 33]), 1 if regression else 2], seed=number,
        loss="mse" if regression else "softmax_cross_entropy",
        compute_dtype=chance.choice([None, "bfloat16"]),
    )  # fmt: skip
    settings = {"batch_size": chance.choice([7, 50, 100]), "epochs": 2, "verbose": 0,
                "diagnose": chance.random() < 0.5}  # fmt: skip
    model.fit(x, y, **settings)
    if chance.random() < 0.3:
        model.fit(x, y, **settings | {"resume": True})
    trained, scaling = model.parameters(), model.standardization
    told = [f"seed {SEED}, case {number}, {settings}"]
    for _ in range(chance.randrange(1, 4)):
        failure, kind = chance.choice(list(FAILURES)), chance.choice(list(COPIES))
        told.append(f"{failure}, then {kind}")
        try:
            FAILURES[failure](model, x, y, **settings)
        except EXPECTED:
            pass
        else:
            assert failure in ("another thread", "progress"), told
            if failure == "progress":  # a fit that is too short to call it
                trained = model.parameters()
        model = COPIES[kind](model, tmp_path)
        model.fit(x + 1000, y, optimizer=fastmlp.SGD(TINY_RATE), **settings)
        assert repr(model.standardization) == repr(scaling), told
        for name, value in model.parameters().items():
            np.testing.assert_array_equal(value, trained[name], err_msg=f"{told}")


def test_a_first_fit_that_diverges_is_as_if_it_had_not_been() -> None:
    x = np.random.default_rng(0).normal(5, 3, (300, 3)).astype(np.float32)
    y = (x[:, 0] > 5).astype(np.int64)
    model, other = fastmlp.MLP([3, 8, 2], seed=1), fastmlp.MLP([3, 8, 2], seed=1)
    with pytest.raises(fastmlp.DivergedError):
        model.fit(x * 7 + 100, y, epochs=2, optimizer=fastmlp.SGD(1e30), verbose=0)
    model.fit(x, y, epochs=2, verbose=0)
    other.fit(x, y, epochs=2, verbose=0)
    for name, value in model.parameters().items():
        np.testing.assert_array_equal(value, other.parameters()[name])


@pytest.mark.parametrize("number", range(20))
def test_what_is_left_of_a_training_is_trained(number: int) -> None:
    """`fit(resume=True)` without epochs ends where the interrupted fit would have ended."""
    chance, draw = random.Random(f"left {SEED} {number}"), np.random.default_rng([SEED, number])
    count = chance.choice([5, 130])
    x = draw.normal(5, 3, (count, 3)).astype(np.float32)
    y = (x[:, 0] > 5).astype(np.int64)
    epochs, every = chance.randrange(2, 6), chance.randrange(1, 4)
    calls, end = 0, chance.randrange(1, 8)

    def stop(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == end:
            raise StopError

    settings = {"batch_size": chance.choice([16, 40]), "optimizer": "adam", "verbose": 0,
                "shuffle": chance.random() < 0.5}  # fmt: skip
    kind = chance.choice(["arrays", "a list", "a function"])
    given = {"arrays": (x, y), "a list": ([(x, y)],), "a function": (lambda: iter([(x, y)]),)}[kind]
    whole, cut = fastmlp.MLP([3, 8, 2], seed=number), fastmlp.MLP([3, 8, 2], seed=number)
    looks = [fastmlp.LambdaCallback(on_step_end=lambda *_: None, every_steps=every)]
    whole.fit(*given, epochs=epochs, callbacks=looks, **settings)
    stops = [fastmlp.LambdaCallback(on_step_end=stop, every_steps=every)]
    try:
        cut.fit(*given, epochs=epochs, callbacks=stops, **settings)
    except StopError:
        cut.fit(*given, callbacks=stops, resume=True, **settings)
    told = f"seed {SEED}, case {number}: {kind}, {settings}, {epochs} epochs, cut at call {end}"
    assert len(cut.history.loss) == epochs, told
    for name, value in cut.parameters().items():
        np.testing.assert_array_equal(value, whole.parameters()[name], err_msg=told)
