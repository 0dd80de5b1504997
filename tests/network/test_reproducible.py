"""The same bits for any number of threads, for every instruction set, alone or in a batch."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support.child_process import run_python
from support.plain_trainings import CASES, SMALL, trained_digest
from support.strategies import LOSSES, problem
from support.tolerance import assert_same_bits

THREADS = (1, 2, 3, 4, 7)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_any_number_of_threads(case, loss, dtype):
    digests = {threads: trained_digest(case, dtype, threads, loss) for threads in THREADS}
    assert len(set(digests.values())) == 1, digests


DIGESTS = """
import json, fastmlp
from support.plain_trainings import CASES, trained_digest
digests = [trained_digest(c, d, 2) for c in CASES.values() for d in ("float32", "float64")]
print(json.dumps([fastmlp.info()["isa"], digests]))
"""


def test_a_forced_isa_really_runs_and_gives_the_same_bits(isa):
    done = run_python(DIGESTS, FASTMLP_ISA=isa)
    assert done.returncode == 0, done.stderr
    name, digests = json.loads(done.stdout)
    assert name == isa
    expected = [trained_digest(c, d, 1) for c in CASES.values() for d in ("float32", "float64")]
    assert digests == expected


def test_a_forced_isa_that_does_not_exist_fails_loudly():
    code = "import fastmlp; fastmlp.MLP([2, 2]).forward([[0.0, 0.0]])"
    done = run_python(code, FASTMLP_ISA="mmx")
    assert done.returncode == 1
    assert "FASTMLP_ISA" in done.stderr
    assert "mmx" in done.stderr
    assert "generic" in done.stderr


def test_isas_are_listed_best_first():
    isas = _core.isas()
    # Intel's CPUs are faster without the instruction for bfloat16.
    for best in (("avx512_bf16", "avx512"), ("avx512", "avx512_bf16")):
        if isas == tuple(name for name in (*best, "avx2", "generic") if name in isas):
            break
    else:
        pytest.fail(f"{isas} is no order of preference")
    assert len(set(isas)) == len(isas)
    assert "generic" in isas
    assert _core.active_isa() in isas


@pytest.mark.parametrize("name", ["forward", "predict", "predict_proba"])
def test_a_row_gets_the_same_bits_alone_and_in_any_batch(name, dtype):
    x, _ = problem("softmax_cross_entropy", 1500, 37, 10, dtype)
    model = fastmlp.MLP([37, 19, 23, 10], dtype=dtype, seed=3)
    method = getattr(model, name)
    whole = method(x)
    for row in (0, 1, 13, 63, 64, 500, 1023, 1024, 1499):
        assert_same_bits(method(x[row : row + 1])[0:1], whole[row : row + 1], f"row {row}")
    for size in (7, 64, 100, 128, 511, 1000):
        pieces = [method(x[start : start + size]) for start in range(0, len(x), size)]
        assert_same_bits(np.concatenate(pieces), whole, f"pieces of {size}")


def test_training_twice_gives_the_same_bits(dtype):
    assert trained_digest(SMALL, dtype, 2) == trained_digest(SMALL, dtype, 2)


def test_another_seed_gives_other_bits():
    x, y = problem("softmax_cross_entropy", 60, 5, 3)
    models = [fastmlp.MLP([5, 4, 3], seed=seed) for seed in (0, 1)]
    for model in models:
        model.fit(x, y, epochs=1, verbose=0)
    assert not np.array_equal(models[0].weights[0], models[1].weights[0])


def test_the_shuffle_alone_depends_on_the_seed_and_the_epoch():
    x, y = problem("softmax_cross_entropy", 60, 5, 3)
    results = []
    for seed in (0, 1):
        model = fastmlp.MLP([5, 4, 3], seed=seed)
        model.weights = [np.full(w.shape, 0.1, w.dtype) for w in model.weights]
        model.fit(x, y, epochs=1, batch_size=7, verbose=0)
        results.append(model.weights[0])
    assert not np.array_equal(*results)
