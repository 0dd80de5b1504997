"""The update kernel against the oracle, and the SGD settings object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmlp
from fastmlp import _core
from support import reference
from support.strategies import dtypes, normals, seeds
from support.tolerance import assert_same_bits, assert_within, unit_roundoff

kernels = _core.kernels
LENGTHS = (1, 7, 15, 16, 17, 31, 32, 33, 67)
RULES = {
    "plain": {"momentum": 0.0, "nesterov": False},
    "momentum": {"momentum": 0.9, "nesterov": False},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}
rules = pytest.mark.parametrize("rule", RULES)


def parameters(length, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [normals(rng, (length,), dtype) for _ in range(3)]


def assert_step(actual, w, v, g, learning_rate, momentum, nesterov, l2):
    """Every new value is the sum of at most eight rounded terms, each no larger than in `size`."""
    settings = [float(w.dtype.type(s)) for s in (learning_rate, momentum, l2)]
    rate, mu, decay = settings
    wide = [a.astype(np.longdouble) for a in (w, v, g)]
    expected = reference.sgd(*wide, rate, mu, nesterov, decay)
    step = rate * (np.abs(wide[2]) + decay * np.abs(wide[0]))
    size = np.abs(wide[0]) + np.abs(wide[1]) + 2 * step
    bound = 8 * unit_roundoff(w.dtype) * size
    for a, e, what in zip(actual, expected, ("w", "v"), strict=True):
        assert a.dtype == w.dtype
        assert_within(a, e, np.minimum(bound, 1e-3 * np.max(np.abs(e))), what)


@rules
@pytest.mark.parametrize("l2", [0.0, 0.25])
@pytest.mark.parametrize("length", LENGTHS)
def test_one_step(rule, l2, length, isa, dtype):
    w, v, g = parameters(length, dtype)
    settings = {"learning_rate": 0.1, "l2": l2, **RULES[rule]}
    assert_step(kernels.sgd(w, v, g, **settings, isa=isa), w, v, g, **settings)


@rules
@given(seed=seeds, length=st.sampled_from(LENGTHS), name=dtypes, rate=st.floats(1e-4, 1))
def test_same_bits_on_every_isa(rule, seed, length, name, rate):
    arrays = parameters(length, name, seed)
    settings = {"learning_rate": rate, "l2": 0.01, **RULES[rule]}
    expected = kernels.sgd(*arrays, **settings)
    for isa in _core.isas():
        for a, b in zip(kernels.sgd(*arrays, **settings, isa=isa), expected, strict=True):
            assert_same_bits(a, b, isa)


def test_without_momentum_the_velocity_is_left_alone(isa, dtype):
    w, v, g = parameters(17, dtype)
    settings = {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False, "l2": 0.0}
    assert_same_bits(kernels.sgd(w, v, g, **settings, isa=isa)[1], v)


def test_settings_are_kept_and_shown():
    sgd = fastmlp.SGD(learning_rate=0.05, momentum=0.8, nesterov=True, l2=1e-4)
    assert (sgd.learning_rate, sgd.momentum, sgd.nesterov, sgd.l2) == (0.05, 0.8, True, 1e-4)
    assert "0.05" in repr(sgd)
    assert "0.8" in repr(sgd)


def test_learning_rate_may_be_a_function_of_the_epoch():
    seen = []

    def schedule(epoch):
        seen.append(epoch)
        return 0.1 / (1 + epoch)

    x = np.zeros((4, 2))
    model = fastmlp.MLP([2, 2], seed=0)
    records = []
    model.fit(
        x,
        np.array([0, 1, 0, 1]),
        epochs=3,
        optimizer=fastmlp.SGD(learning_rate=schedule),
        callbacks=[lambda _, record: records.append(record["learning_rate"])],
        verbose=0,
    )
    assert sorted(set(seen)) == [0, 1, 2]
    assert records == pytest.approx([0.1, 0.05, 0.1 / 3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, "fast"])
def test_a_bad_rate_from_a_schedule_is_refused(value):
    model = fastmlp.MLP([2, 2], seed=0)
    optimizer = fastmlp.SGD(learning_rate=lambda epoch: value)
    with pytest.raises((ValueError, TypeError), match="learning_rate"):
        model.fit(np.zeros((4, 2)), np.zeros(4, int), epochs=1, optimizer=optimizer, verbose=0)
