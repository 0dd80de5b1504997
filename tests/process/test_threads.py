"""Python threads that use models at the same time, with or without the GIL."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
import threading
import time

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support.child_process import run_python

SECONDS = 2.0
X = np.random.default_rng(0).standard_normal((400, 12)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 4, 400)
# Python's packages for sub-interpreters, newest first.
INTERPRETERS = ("_interpreters", "_xxsubinterpreters")


def new_model(seed=0):
    return fastmlp.MLP([12, 24, 16, 4], seed=seed)


def fit(model, **options):
    return model.fit(
        X, Y, epochs=6, batch_size=32, optimizer=fastmlp.Adam(0.01), averaging=fastmlp.SWA(start=2),
        verbose=0, **options,
    )  # fmt: skip


def numbers(model):
    return [array.copy() for array in model.parameters().values()]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def run_together(works):
    """Run each function in a thread of its own; return what they raised."""
    raised = []

    def attempt(work):
        try:
            work()
        except BaseException as error:  # reported by the test
            raised.append(error)

    threads = [threading.Thread(target=attempt, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return raised


def test_models_of_their_own_are_trained_at_the_same_time():
    wanted = []
    for seed in range(3):
        model = new_model(seed)
        fit(model)
        wanted.append(numbers(model))

    def train(seed, threads):
        for _ in range(4):
            model = new_model(seed)
            fit(model, threads=threads)
            assert same(numbers(model), wanted[seed])

    works = [lambda s=s, t=t: train(s, t) for s in range(3) for t in (1, 2)]
    assert run_together(works) == []


def test_a_model_is_looked_at_while_it_is_trained():
    """Every look is answered or refused, and the training has the bits of an undisturbed one."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    undisturbed = new_model()
    fit(undisturbed)
    model, until, ends = new_model(), time.monotonic() + SECONDS, threading.Event()
    fit(model, resume=False)  # a run to look at from the start
    looks = {
        "plan": lambda: model.plan(),
        "predict": lambda: model.predict(X, threads=2),
        "evaluate": lambda: model.evaluate(X, Y),
        "state": lambda: model.training_state(),
        "parameters": lambda: model.parameters(),
        "gradients": lambda: model.loss_and_gradients(X[:8], Y[:8]),
        "history": lambda: list(model.history.loss),
    }
    refused = []

    completed = []

    def train():
        try:
            while time.monotonic() < until:
                try:
                    model.set_parameters(new_model().parameters())
                    fit(model)
                except RuntimeError as error:  # a look held the model at that moment
                    refused.append(error)
                else:
                    completed.append(same(numbers(model), numbers(undisturbed)))
        finally:
            ends.set()

    def look(chance):
        while not ends.is_set():
            try:
                looks[chance.choice(sorted(looks))]()
            except RuntimeError as error:
                refused.append(error)

    chances = [random.Random(seed + i) for i in range(5)]
    raised = run_together([train, *(lambda c=c: look(c) for c in chances)])
    assert raised == []
    assert all(completed)
    words = ("in use", "being trained", "by another thread")
    assert not [error for error in refused if not any(word in str(error) for word in words)]


@pytest.mark.skipif(not hasattr(sys, "_is_gil_enabled"), reason="needs Python 3.13")
def test_the_core_does_not_turn_the_gil_on():
    code = "import sys; before = sys._is_gil_enabled(); import numpy, fastmlp; fastmlp.info()"
    ended = run_python(code + "; print(before == sys._is_gil_enabled())")
    assert ended.stdout == "True\n", ended.stderr


@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in INTERPRETERS), reason="needs an own module"
)
def test_a_second_interpreter_is_refused():
    """By NumPy, or by the core: with an exception, and the process goes on."""
    ended = run_python(f"""
import faulthandler, importlib, importlib.util
faulthandler.dump_traceback_later(60, exit=True)
name = next(name for name in {INTERPRETERS} if importlib.util.find_spec(name))
interpreters = importlib.import_module(name)
import fastmlp
fastmlp.info()
second = interpreters.create()
code = "import fastmlp._core"
try:
    failed = (getattr(interpreters, "exec", None) or interpreters.run_string)(second, code)
    print("refused" if failed is not None else "imported")
except Exception as error:
    print("refused")
print(fastmlp.info()["version"])
""")
    assert ended.stdout.split() == ["refused", fastmlp.__version__], ended.stdout + ended.stderr


FORKS = """
import os, signal, threading, time
import numpy as np
import fastmlp
rng = np.random.default_rng(0)
x, y = rng.standard_normal((60, 4)), rng.integers(0, 2, 60)

def fit():
    fastmlp.MLP([4, 5, 2], seed=0).fit(x, y, epochs=2, batch_size=20, threads=2, verbose=0)

fit()
ends = threading.Event()

def repeat():
    while not ends.is_set():
        fit()

threads = [threading.Thread(target=repeat) for _ in range(3)]
for thread in threads:
    thread.start()
hung = 0
for _ in range(30):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        fit()
        os._exit(0)
    hung += os.waitpid(child, 0)[1] != 0
ends.set()
for thread in threads:
    thread.join()
print(hung)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_trains_that_was_forked_while_threads_trained():
    """No lock that another thread held at the fork is in the way, of the core or of Python."""
    ended = run_python("import warnings; warnings.simplefilter('ignore')\n" + FORKS)
    assert ended.stdout == "0\n", ended.stdout + ended.stderr


@pytest.mark.skipif(
    bool(_core.openmp) and "Clang" in _core.compiler, reason="Clang's OpenMP ends the process"
)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1", 1), (" 1 ", 1), ("1,2", 1), ("0", None), ("-1", None), ("abc", None), ("1.5", None)],
)
def test_a_number_of_threads_that_is_none_counts_as_none(text, wanted):
    """OMP_NUM_THREADS means the same with GCC's OpenMP and threads of the C++ library."""
    code = "from fastmlp import _core; print(_core.available_threads())"
    unset = "import os; del os.environ['OMP_NUM_THREADS'];"  # before the core is loaded
    usual = int(run_python(unset + code, OMP_NUM_THREADS="1").stdout)
    done = run_python(code, OMP_NUM_THREADS=text)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == (usual if wanted is None else wanted)
