"""The same bits of every setting, for any number of threads, instruction set, form and course.

Parameters, losses, outputs and gradients after two short epochs; samples dense or sparse; trained
in one go or resumed; with callbacks between the steps or without.
"""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from fastmlp.network.samples import Data
from fastmlp.training.run import Run
from support.child_process import run_python
from support.equal_bits import (
    ADAM,
    BATCH,
    FEATURES,
    SAMPLES,
    SETTINGS,
    digest,
    fit,
    new_model,
    restored,
    samples,
    targets,
    trained_digest,
)
from support.strategies import DTYPES
from support.tolerance import assert_same_bits

THREADS = (2, 3, 5)


settings = pytest.mark.parametrize("name", SETTINGS)


@cache
def expected_digest(name, dtype):
    return trained_digest(name, dtype, 1)


# ---------------------------------------------------------------- threads, sets, forms


@settings
def test_any_number_of_threads(name, dtype):
    digests = {threads: trained_digest(name, dtype, threads) for threads in THREADS}
    assert digests == dict.fromkeys(THREADS, expected_digest(name, dtype))


DIGESTS = """
import json
from support.strategies import DTYPES
from support.equal_bits import SETTINGS, trained_digest
print(json.dumps({f"{n}, {d}": trained_digest(n, d, 3) for n in SETTINGS for d in DTYPES}))
"""


def test_any_instruction_set(isa):
    done = run_python(DIGESTS, FASTMLP_ISA=isa)
    assert done.returncode == 0, done.stderr
    actual = json.loads(done.stdout)
    expected = {f"{n}, {d}": expected_digest(n, d) for n in SETTINGS for d in DTYPES}
    assert actual.keys() == expected.keys()
    different = [key for key in actual if actual[key] != expected[key]]
    assert not different, different


@settings
def test_sparse_samples_give_the_bits_of_dense_ones(name, dtype):
    sparse = pytest.importorskip("scipy.sparse")
    actual = trained_digest(name, dtype, 3, sparse.csr_matrix)
    assert actual == expected_digest(name, dtype)


def untidy(sparse, dense):
    """Compressed rows: every element in two halves, out of order, and a zero that is stored."""
    elements, columns, starts = [], [], [0]
    for row in dense:
        (places,) = np.nonzero(row)
        columns += [*places, *places[::-1], 0]
        elements += [*row[places] / 2, *row[places[::-1]] / 2, 0.0]
        starts.append(len(columns))
    parts = (np.array(elements, dense.dtype), np.array(columns), np.array(starts))
    return sparse.csr_array(parts, shape=dense.shape)


def test_every_form_of_sparse_samples(dtype):
    sparse = pytest.importorskip("scipy.sparse")
    dense = samples(dtype)
    forms = [untidy(sparse, dense)]
    forms += [make(dense) for make in (sparse.csc_matrix, sparse.lil_matrix, sparse.coo_array)]
    model = new_model("mixed layers", dtype)
    expected = model.forward(dense)
    for form in forms:
        stored = form.nnz
        assert_same_bits(model.forward(form), expected, str(type(form)))
        assert form.nnz == stored, "the caller's matrix was changed"
    scaled = fastmlp.MLP([FEATURES, 9, 3], dtype=dtype, input_scale=1 / 255)
    bytes_ = (100 * np.abs(dense)).astype(np.uint8)
    assert_same_bits(scaled.forward(sparse.csr_matrix(bytes_)), scaled.forward(bytes_))


OF_INPUTS = """
import numpy as np, scipy.sparse, fastmlp
x = np.zeros((3, 4000)); x[0, 3], x[1, 3500], x[2, 3999] = 1, 2, 3
model = fastmlp.MLP([4000, 7, 3], dtype="float64")
expected = model.input_gradients(x, [0, 1, 2])
for _ in range(10):
    actual = model.input_gradients(scipy.sparse.csr_matrix(x), [0, 1, 2])
    assert actual.tobytes() == expected.tobytes()
"""


def test_input_gradients_of_sparse_samples():
    """All columns count here: in a process of its own, as memory for the live ones is too small."""
    pytest.importorskip("scipy.sparse")
    done = run_python(OF_INPUTS)
    assert done.returncode == 0, done.stderr


WRONG = """
import numpy as np, fastmlp
answers = {"no pair": 1.0, "a text": ("much", np.ones((9, 2))), "a shape": (1.0, np.ones((9, 3)))}
for name, answer in answers.items():
    for threads in (1, 3):
        model = fastmlp.MLP([4, 2], loss=lambda outputs, targets: answer)
        try:
            model.fit(np.ones((9, 4)), np.ones((9, 2)), threads=threads, verbose=0)
        except Exception as error:
            print(name, type(error).__name__)
"""


def test_wrong_answers_of_a_function_raise_with_any_number_of_threads():
    """In a process of its own: an exception that leaves a team of threads ends it."""
    done = run_python(WRONG)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert lines[::2] == lines[1::2]


ALONE = ["mixed layers", "mse of softmax", "output groups", "hinge", "embedded tabm", "tabm-mini"]


@pytest.mark.parametrize("name", [*ALONE, "packed", "tabm of groups"])
def test_a_row_has_the_bits_alone_that_it_has_in_a_batch(name, dtype):
    x, model = samples(dtype), new_model(name, dtype)
    fit(model, name, 1)
    together = [model.forward(x), *model.hidden_activations(x)]
    for row in range(0, SAMPLES, 9):
        alone = [model.forward(x[row : row + 1]), *model.hidden_activations(x[row : row + 1])]
        for one, all_rows in zip(alone, together, strict=True):
            assert_same_bits(one, all_rows[row : row + 1], f"row {row}")


# ---------------------------------------------------------------- the course of a training


class Curious(fastmlp.Callback):
    """Uses the model between steps in every way that does not change it."""

    def __init__(self, every_steps):
        self.every_steps = every_steps
        self.calls = 0

    def on_step_end(self, training, record):
        self.calls += 1
        x = samples(training.model.dtype)[:10]
        training.model.predict(x)
        training.model.loss_and_gradients(x, np.zeros(10, int), training=True)
        training.model.lr_find(x, np.zeros(10, int), steps=2)
        training.model.set_parameters(training.model.parameters())


ONE_LOSS = ["mixed layers", "clips", "EMA", "SWA", "frozen", "rates by step"]


@pytest.mark.parametrize("every_steps", [1, 2, 3, 7])
@pytest.mark.parametrize("name", ONE_LOSS)
def test_callbacks_between_steps_change_nothing(name, every_steps, dtype):
    model, undisturbed = new_model(name, dtype), new_model(name, dtype)
    callback = Curious(every_steps)
    history = fit(model, name, 2, callbacks=[callback], progress=lambda *state: None)
    expected = fit(undisturbed, name, 1)
    assert callback.calls == 2 * -(-SAMPLES // BATCH) // every_steps
    assert digest(model.parameters().values()) == digest(undisturbed.parameters().values())
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-14)


@pytest.mark.parametrize("pieces", [[1, 1, 1, 1, 1], [2, 3], [4, -1], [0, 5]])
def test_an_epoch_in_pieces(pieces, dtype):
    """In an order that is given or drawn, which is the same one."""
    data = Data(samples(dtype), [targets("classes")])
    whole, parted = new_model("mixed layers", dtype), new_model("mixed layers", dtype)
    settings = ADAM.settings() | {"learning_rate": 0.01}
    order = _core.permutation(SAMPLES, 7, 0)
    Run(whole, BATCH, "adam", 1).epoch(data, settings)
    run, first = Run(parted, BATCH, "adam", 3), 0
    for steps in pieces:
        report = run.epoch(data, settings, order=order, first_step=first, steps=steps)
        first += report.steps
    assert first == -(-SAMPLES // BATCH)
    assert digest(parted.parameters().values()) == digest(whole.parameters().values())


RESUMED = ["mixed layers", "clips", "clipped RMSprop", "frozen in the middle", "output groups"]
RESUMED += [
    "EMA",
    "SWA",
    "frozen",
    "embedded tabm",
    "tabm-mini",
    "packed, clipped",
    "frozen inputs",
]


@cache
def in_one_go(name, dtype):
    model = new_model(name, dtype)
    history = fit(model, name, 1, epochs=4)
    return digest(model.parameters().values()), history.loss


@pytest.mark.parametrize("name", RESUMED)
def test_resumed_training_is_one_longer_training(name, dtype):
    expected, losses = in_one_go(name, dtype)
    model = new_model(name, dtype)
    history = fit(model, name, 2)
    assert history.loss == losses[:2]
    history = fit(model, name, 3, resume=True)
    assert history.loss == losses[2:]
    assert int(model.training_state()["epochs"]) == 4
    assert digest(model.parameters().values()) == expected


@pytest.mark.parametrize("averaging", [fastmlp.EMA(0.9), fastmlp.SWA(start=2)])
def test_resumed_training_goes_on_from_the_parameters_behind_the_averages(averaging):
    once, twice = new_model("mixed layers", "float64"), new_model("mixed layers", "float64")
    fit(once, "mixed layers", 1, epochs=4, averaging=averaging)
    for resume in (False, True):
        fit(twice, "mixed layers", 1, averaging=averaging, resume=resume)
    assert digest(twice.parameters().values()) == digest(once.parameters().values())


def saved(model, folder):
    model.save(folder / "model.safetensors")
    np.savez(folder / "state.npz", **model.training_state())


@pytest.mark.parametrize("name", RESUMED)
def test_training_resumed_from_files(name, dtype, tmp_path):
    expected, losses = in_one_go(name, dtype)
    model = new_model(name, dtype)
    fit(model, name, 2)
    saved(model, tmp_path)
    other = restored(tmp_path, name)
    assert fit(other, name, 3, resume=True).loss == losses[2:]
    assert digest(other.parameters().values()) == expected


def test_training_resumed_on_another_instruction_set(isa, tmp_path):
    expected, _ = in_one_go("mixed layers", "float32")
    model = new_model("mixed layers", "float32")
    fit(model, "mixed layers", 1)
    saved(model, tmp_path)
    code = f"""
from pathlib import Path
from support.equal_bits import digest, fit, restored
model = restored(Path({str(tmp_path)!r}), "mixed layers")
fit(model, "mixed layers", 2, resume=True)
print(model.isa, digest(model.parameters().values()))
"""
    done = run_python(code, FASTMLP_ISA=isa)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [isa, expected]
