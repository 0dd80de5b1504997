"""The update rules on flat arrays, copies of parameters and state included on both sides."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fastmlp import _core
from machine import FAST_ISAS
from support import reference
from support.tolerance import assert_within, unit_roundoff

LEARNING_RATE, L2 = 0.1, 1e-4
RULES = {"sgd": (0.0, False), "momentum": (0.9, False), "nesterov": (0.9, True)}
# Multiplications and additions per parameter, with the two of the L2 term.
FLOPS = {"sgd": 4, "momentum": 6, "nesterov": 8}
LENGTHS = {"65536": ("numpy", *FAST_ISAS), "1048576": ("numpy", *FAST_ISAS), "4096": ("generic",)}
CASES = [(size, isa) for size, isas in LENGTHS.items() for isa in isas]


@cache
def parameters(length: int):
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(length, np.float32) for _ in range(3))


def numpy_sgd(w, v, g, learning_rate, momentum, nesterov, l2):
    """New (w, v), in place on copies as the hook of the kernel works."""
    w, v, g = w.copy(), v.copy(), g.copy()
    g += l2 * w
    g *= learning_rate
    if momentum == 0:
        w -= g
        return w, v
    v *= momentum
    v -= g
    if nesterov:
        w += momentum * v
        w -= g
    else:
        w += v
    return w, v


def assert_step(actual, w, v, g, momentum, nesterov):
    """Each new value is a sum of at most eight rounded terms, none larger than in `size`."""
    single = np.float32
    rate, mu, l2 = (float(single(s)) for s in (LEARNING_RATE, momentum, L2))
    wide = [a.astype(np.float64) for a in (w, v, g)]
    expected = reference.sgd(*wide, rate, mu, nesterov, l2)
    size = np.abs(wide[0]) + np.abs(wide[1]) + 2 * rate * (np.abs(wide[2]) + l2 * np.abs(wide[0]))
    for new, exact, what in zip(actual, expected, ("w", "v"), strict=True):
        assert_within(new, exact, 8 * unit_roundoff(single) * size, what)


@pytest.mark.parametrize(("size", "isa"), CASES, ids=["-".join(case) for case in CASES])
@pytest.mark.parametrize("rule", RULES)
def test_update(benchmark, record, rule, size, isa):
    w, v, g = parameters(int(size))
    momentum, nesterov = RULES[rule]
    arguments = (w, v, g, LEARNING_RATE, momentum, nesterov, L2)
    run = numpy_sgd if isa == "numpy" else _core.kernels.sgd
    settings = {} if isa == "numpy" else {"isa": isa}
    assert_step(run(*arguments, **settings), w, v, g, momentum, nesterov)
    benchmark.group = f"{rule} {size}"
    benchmark(run, *arguments, **settings)
    # Read w, v, g and write w, v; without momentum v stays where it is.
    arrays = 3 if rule == "sgd" else 5
    record(flops=FLOPS[rule] * w.size, bytes_moved=4 * arrays * w.size, samples=w.size, isa=isa)
