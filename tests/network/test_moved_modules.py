"""Modules that have moved are still found under their old names, by pickles too."""

from __future__ import annotations

import importlib
import pickle
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp._moved_modules import MOVED
from support.child_process import run_python


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_new_module(old):
    module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old])
    assert module.__spec__.name == MOVED[old]
    assert sys.modules[old] is module


def test_old_names_are_loaded_only_when_asked_for():
    run_python(f"""
import sys, fastmlp
fastmlp.MLP([2, 2]).plan()
assert not set({list(MOVED)}) & set(sys.modules)
from fastmlp.lbfgs import LBFGS
assert LBFGS is fastmlp.LBFGS
try:
    import fastmlp.nonsense
except ModuleNotFoundError as error:
    assert "fastmlp.nonsense" in str(error)
else:
    raise AssertionError
""")


def test_a_pickle_with_old_names_is_read():
    model = fastmlp.MLP([3, 4, 2], seed=1)
    model.fit(np.eye(3), [0, 1, 0], epochs=2, verbose=0)
    for value in (model, fastmlp.LBFGS(), fastmlp.EarlyStopping(), model.plan()):
        content = pickle.dumps(value, protocol=0)
        for old, new in MOVED.items():
            content = content.replace(f"c{new}\n".encode(), f"c{old}\n".encode())
        assert type(pickle.loads(content)) is type(value)
    assert (pickle.loads(content).threads, type(value)) == (value.threads, fastmlp.Plan)
