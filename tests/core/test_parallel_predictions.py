"""Predictions on several threads: no thread is waited for in vain, lost in a fork, or needed."""

import os
import threading

import numpy as np
import pytest

import fastmlp

MODEL = fastmlp.MLP([64, 128, 64, 5], seed=3, input_scale=1)
X = np.random.default_rng(4).standard_normal((3000, 64)).astype(np.float32)
EXPECTED = MODEL.forward(X, threads=1)


@pytest.mark.parametrize("threads", [2, 3, 5, 8, 40])
def test_any_number_of_threads_gives_the_same_bits(threads):
    for count in (1, 31, 32, 33, 127, 128, 500, 3000):
        np.testing.assert_array_equal(MODEL.forward(X[:count], threads=threads), EXPECTED[:count])


@pytest.mark.parametrize("row", [0, 1500, 2999])
def test_a_block_that_is_not_finite_ends_the_call(row):
    x = X.copy()
    x[row, 7] = np.nan
    for _ in range(20):
        with pytest.raises(ValueError, match=rf"\[{row}, 7\]"):
            MODEL.forward(x, threads=3)
        np.testing.assert_array_equal(MODEL.forward(X, threads=3), EXPECTED)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_at_any_time_predicts_on_threads_of_its_own():
    stop = threading.Event()

    def predict():
        while not stop.is_set():
            MODEL.forward(X[:600], threads=2)

    others = [threading.Thread(target=predict) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        for _ in range(30):
            child = os.fork()
            if child == 0:
                right = np.array_equal(MODEL.forward(X, threads=3), EXPECTED)
                os._exit(0 if right else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in others:
            thread.join()


def test_many_callers_share_the_helpers():
    wrong = []

    def predict(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            count = int(rng.integers(1, 3000))
            got = MODEL.forward(X[:count], threads=int(rng.integers(2, 6)))
            if not np.array_equal(got, EXPECTED[:count]):
                wrong.append((seed, count))

    callers = [threading.Thread(target=predict, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
