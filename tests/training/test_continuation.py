"""A training that was cut goes on as one that was not: to the last bit, in parameters and records.

Random cases: FASTMLP_CONTINUATION_TRIALS and FASTMLP_CONTINUATION_SEED make a longer run, or the
same one again.
"""

from __future__ import annotations

import inspect
import os
import time
from contextlib import nullcontext

import numpy as np
import pytest

import fastmlp
import fastmlp.averaging
import fastmlp.callbacks
import fastmlp.loggers
import fastmlp.notebook
import fastmlp.optimizers
import fastmlp.schedules
from support.continuation_cases import (
    AVERAGINGS,
    CALLBACKS,
    EPOCHS,
    OPTIMIZERS,
    SCHEDULES,
    WAYS,
    Case,
    Cut,
    Cutter,
    Instructions,
    assert_equal,
    interrupted_after,
    result,
    stopped,
)

pytest.importorskip("tensorboardX")
TRIALS = int(os.environ.get("FASTMLP_CONTINUATION_TRIALS", "12"))
SEED = int(os.environ.get("FASTMLP_CONTINUATION_SEED", time.time_ns() % 2**32))


def whole(case, path, traced=nullcontext):
    path.mkdir()
    model, watchers = case.model(), case.watchers(path)
    start = time.perf_counter()
    with traced():
        case.fit(model, watchers, EPOCHS)
    return result(case, model, watchers, path), time.perf_counter() - start


def in_pieces(case, path, random, way, cut, seconds, instructions):
    """The same training, cut again and again; None where it was cut after its last epoch."""
    path.mkdir()
    model, watchers = case.model(), case.watchers(path)
    for number in range(200):
        done = len(model.history.loss)
        if done == EPOCHS or (done and stopped(watchers)):
            return None
        if random.integers(2):
            watchers = case.watchers(path)
        epochs = EPOCHS - done
        used, interrupted = list(watchers), nullcontext()
        if number < 8:
            if cut == "epochs":
                epochs = int(random.integers(1, epochs + 1))
            elif cut == "signal":
                interrupted = interrupted_after(float(random.uniform(0, seconds)))
            elif cut == "instruction":
                interrupted = instructions.traced(instructions.chosen(random))
            else:
                cutter = Cutter(int(random.integers(1, 30)), raises=cut == "exception")
                used.insert(int(random.integers(len(used))), cutter)
        begun = model.was_trained
        ended = False
        try:
            with interrupted:
                case.fit(model, used, epochs, resume=begun, total_epochs=None if begun else EPOCHS)
                ended = True
        except Cut:
            pass
        complete = len(model.history.loss) == EPOCHS or stopped(watchers)
        if ended and complete:
            return result(case, model, watchers, path)
        if complete:
            return None
        model = WAYS[way](model, case, path)
    raise AssertionError("the training never ends")


CUTS = ("epochs", "stop", "exception", "signal", "instruction")
CHOSEN = [
    *({"schedule": name} for name in SCHEDULES),
    *({"optimizer": name} for name in OPTIMIZERS),
    *({"averaging": name} for name in AVERAGINGS),
    *({"callback": name} for name in CALLBACKS),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_training_in_pieces_is_one_in_one_piece(way, cut, tmp_path):
    compared = 0
    for trial in range(TRIALS):
        # Every schedule, optimizer, averaging and callback in turn, over all ways and cuts; the
        # rest by chance.
        cell = list(WAYS).index(way) * len(CUTS) + CUTS.index(cut)
        random = np.random.default_rng([SEED, trial, cell])
        case = Case(random, **CHOSEN[(cell * TRIALS + trial) % len(CHOSEN)])
        instructions = Instructions()
        traced = instructions.traced if cut == "instruction" else nullcontext
        expected, seconds = whole(case, tmp_path / f"{trial}-whole", traced)
        actual = in_pieces(case, tmp_path / f"{trial}", random, way, cut, seconds, instructions)
        if actual is None:
            continue
        compared += 1
        try:
            assert_equal(actual, expected)
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, trial {trial}, {case}: {error}") from error
    assert compared > TRIALS // 4


MODULES = {
    fastmlp.schedules: (fastmlp.schedules.Schedule, SCHEDULES),
    fastmlp.callbacks: (fastmlp.callbacks.Callback, CALLBACKS),
    fastmlp.loggers: (fastmlp.callbacks.Callback, CALLBACKS),
    fastmlp.notebook: (fastmlp.callbacks.Callback, {**CALLBACKS, "LiveTable": None}),
    fastmlp.averaging: (fastmlp.averaging.Averaging, AVERAGINGS),
    fastmlp.optimizers: (fastmlp.optimizers.Optimizer, OPTIMIZERS),
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_class_has_a_case(module):
    base, cases = MODULES[module]
    public = {
        name
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
        and issubclass(getattr(module, name), base)
        and getattr(module, name) is not base
    }
    assert public <= set(cases), "add a case to continuation_cases.py"
