"""Estimators whose fit was cut go on as if it had not been: parameters, curves and counters.

Random cases: FASTMLP_CONTINUATION_TRIALS and FASTMLP_CONTINUATION_SEED as in test_continuation.py.
"""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import time
import warnings
from contextlib import nullcontext

import numpy as np
import pytest

pytest.importorskip("sklearn")

import fastmlp
from fastmlp.callbacks import EarlyStopping, LearningRateScheduler
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.schedules import Cosine, OneCycle, ReduceOnPlateau, WarmUp
from support.continuation_cases import (
    Cut,
    Cutter,
    Halving,
    Instructions,
    Recorder,
    assert_equal,
    interrupted_after,
)

TRIALS = int(os.environ.get("FASTMLP_CONTINUATION_TRIALS", "12"))
SEED = int(os.environ.get("FASTMLP_CONTINUATION_SEED", time.time_ns() % 2**32))
EPOCHS = 8
SETTINGS = {
    "adam": {},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05,
        "n_iter_no_change": 1, "tol": 0.05,
    },
    "inverse scaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "learning_rate_init": 0.05},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1},
    "batch normalization": {"batch_normalization": True},
    "plateau": {"optimizer": lambda: fastmlp.SGD(ReduceOnPlateau(0.1, 0.5, 0, 0.05, "loss"), 0.9)},
    "warm up": {"optimizer": lambda: fastmlp.Nadam(WarmUp(Cosine(0.02, length=40), 3))},
    "cosine": {"optimizer": lambda: fastmlp.Lion(Cosine(0.01))},
    "one cycle": {"optimizer": lambda: fastmlp.Adam(OneCycle(0.05))},
}  # fmt: skip
PLANNED = ("cosine", "one cycle")  # by the number of epochs
CALLBACKS = {
    "EarlyStopping": lambda: EarlyStopping("loss", patience=2, minimum_change=0.01),
    "LearningRateScheduler": lambda: LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    "a user's": Halving,
}
COUNTERS = ("n_iter_", "t_", "loss_", "best_loss_", "best_validation_score_")
CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


class Case:
    def __init__(self, random: np.random.Generator, setting: str) -> None:
        self.setting = setting
        self.kind = MLPClassifier if random.integers(2) else MLPRegressor
        self.callbacks = [name for name in CALLBACKS if random.random() < 0.4]
        self.every_steps = [None, 1, 3][random.integers(3)]
        data = np.random.default_rng(int(random.integers(1000)))
        self.x = data.standard_normal((90, 4))
        noise = data.standard_normal(90)
        value = self.x[:, 0] + 0.5 * noise
        self.y = (value > 0) * 1 if self.kind is MLPClassifier else value
        self.weight = data.random(90) + 0.5 if random.integers(2) else None

    def __repr__(self) -> str:
        named = {k: v for k, v in vars(self).items() if not isinstance(v, np.ndarray)}
        return f"Case({named})"

    def estimator(self):
        settings = dict(SETTINGS[self.setting])
        if "optimizer" in settings:
            settings["optimizer"] = settings["optimizer"]()
        return self.kind(
            hidden_layer_sizes=8,
            batch_size=16,
            random_state=3,
            max_iter=EPOCHS,
            n_threads=1,
            tol=settings.pop("tol", 1e-9),
            **settings,
        )

    def watchers(self):
        return [*(CALLBACKS[name]() for name in self.callbacks), Recorder(self.every_steps)]

    def fit(self, estimator, watchers, **options):
        estimator.set_params(callbacks=watchers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(self.x, self.y, sample_weight=self.weight, **options)

    def result(self, estimator):
        found = {name: getattr(estimator, name) for name in (*COUNTERS, *CURVES)}
        found["coefs"] = dict(enumerate(map(np.ascontiguousarray, estimator.coefs_)))
        found["intercepts"] = dict(enumerate(estimator.intercepts_))
        # An estimator has no other plan than max_iter, which cuts it into pieces here.
        (key,) = [key for key in estimator._session.progress.states if "Recorder" in key]
        records = estimator._session.progress.states[key]["records"]
        records = [{k: v for k, v in record.items() if k != "epochs"} for record in records]
        return found | {"records": records}


def in_pieces(case, random, way, cut, seconds, instructions):
    estimator, watchers = case.estimator(), case.watchers()
    for number in range(300):
        if random.integers(2):
            watchers = case.watchers()
        used, interrupted, epochs = list(watchers), nullcontext(), EPOCHS
        # Of a first fit that was cut at its very beginning too: it goes on from its start.
        resumes = number > 0 and hasattr(estimator, "coefs_")
        if number < 6:
            if cut == "epochs":
                done = estimator.n_iter_ if resumes else 0
                epochs = int(random.integers(done, EPOCHS) + 1) if done < EPOCHS else EPOCHS
            elif cut == "signal":
                interrupted = interrupted_after(float(random.uniform(0, seconds)))
            elif cut == "instruction":
                interrupted = instructions.traced(instructions.chosen(random))
            else:
                cutter = Cutter(int(random.integers(1, 40)), raises=cut == "exception")
                used.insert(int(random.integers(len(used))), cutter)
        ended = False
        estimator.set_params(max_iter=epochs)
        try:
            with interrupted:
                case.fit(estimator, used, resume=resumes)
                ended = True
        except BaseException as error:  # what Cut becomes is the estimator's own matter
            if type(error).__name__ != "Cut":
                raise
        if ended and number >= 6 and len(used) == len(watchers):
            return case.result(estimator)
        estimator = WAYS[way](estimator)
    raise AssertionError("the fit never ends")


WAYS = {
    "the same object": lambda estimator: estimator,
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator.set_params(callbacks=None))),
    "copy": lambda estimator: copy.deepcopy(estimator.set_params(callbacks=None)),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut", ["epochs", "stop", "exception", "signal", "instruction"])
@pytest.mark.parametrize("way", WAYS)
def test_a_fit_in_pieces_is_one_in_one_piece(way, cut):
    for trial in range(TRIALS):
        random = np.random.default_rng([SEED, trial, len(way), ord(cut[0])])
        case = Case(random, list(SETTINGS)[trial % len(SETTINGS)])
        # A stop that a callback asked for is taken back by going on.
        if cut == "epochs" and case.setting in PLANNED:
            continue
        case.callbacks = [name for name in case.callbacks if name != "EarlyStopping"]
        estimator, watchers = case.estimator(), case.watchers()
        instructions = Instructions()
        start = time.perf_counter()
        with instructions.traced() if cut == "instruction" else nullcontext():
            case.fit(estimator, watchers)
        seconds = time.perf_counter() - start
        actual = in_pieces(case, random, way, cut, seconds, instructions)
        try:
            assert_equal(actual, case.result(estimator))
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, trial {trial}, {case}: {error}") from error


def test_a_schedule_by_the_number_of_epochs_is_not_stretched():
    case = Case(np.random.default_rng(0), "cosine")
    estimator = case.estimator().set_params(max_iter=3)
    case.fit(estimator, case.watchers())
    before = [coef.copy() for coef in estimator.coefs_]
    with pytest.raises(ValueError, match="planned for 3 epochs of 6 steps, .* Leave max_iter as"):
        case.fit(estimator.set_params(max_iter=8), case.watchers(), resume=True)
    assert_equal(dict(enumerate(estimator.coefs_)), dict(enumerate(before)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", WAYS)
def test_a_cut_before_an_instruction_of_the_fit_itself(way):
    """Every third of them in a fit of three epochs, and one where the next fit begins."""
    random = np.random.default_rng([SEED, len(way)])
    case = Case(np.random.default_rng(SEED), "early stopping")
    case.callbacks = []
    instructions, estimator = Instructions(), case.estimator()
    case.fit(estimator, case.watchers())
    expected = case.result(estimator)
    with instructions.traced():
        case.fit(case.estimator().set_params(max_iter=3), case.watchers())
    own = ("_fit_stochastic", "_set_parameters", "run", "_start_curves", "write_to", "of")
    places = [place for place in instructions.visits if place[0].co_name in own]
    beginnings = [place for place in places if place[0].co_name == "write_to"]
    for place in places[int(random.integers(3)) :: 3]:
        estimator, watchers = case.estimator(), case.watchers()
        other = beginnings[random.integers(len(beginnings))]
        for cut, epochs in ((place, 3), (other, EPOCHS), (None, EPOCHS)):
            estimator = WAYS[way](estimator.set_params(max_iter=epochs))
            with contextlib.suppress(Cut):
                last = cut and (cut, instructions.visits[cut] if cut is place else 1)
                with instructions.traced(last) if last else nullcontext():
                    case.fit(estimator, watchers, resume=hasattr(estimator, "coefs_"))
        assert_equal(case.result(estimator), expected, f"seed {SEED}, {place}, {other}")
