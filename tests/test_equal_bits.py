"""The same bits of every setting, for any number of threads, instruction set, form and course.

Parameters, losses, outputs and gradients after two short epochs; samples dense or sparse; trained
in one go or resumed; with callbacks between the steps or without.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp import _core, schedules
from fastmlp.network.samples import Data
from fastmlp.training.run import Run
from strategies import DTYPES
from test_reproducible import run_python
from tolerance import assert_same_bits

# For two threads the first layer is split by outputs, the others by rows; the last batch is short.
FEATURES, HIDDEN, OUTPUTS = 70, (64, 33), 5
SAMPLES, BATCH = 109, 24
THREADS = (2, 3, 5)


def samples(dtype):
    """Mostly zeros: in every batch about half of the columns, and some rows are."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((SAMPLES, FEATURES)) * (rng.random((SAMPLES, FEATURES)) < 0.03)
    return x.astype(dtype)


def targets(kind, outputs=OUTPUTS):
    rng = np.random.default_rng(2)
    if kind == "classes":
        return rng.integers(0, outputs, SAMPLES)
    if kind == "probabilities":
        return rng.dirichlet(np.ones(outputs), SAMPLES)
    return rng.uniform(0, 1, (SAMPLES, outputs))


def log_cosh(outputs, wanted):
    """Elementwise, so its sums are NumPy's: the same for any split of the work."""
    distance = outputs - wanted
    return np.log(np.cosh(distance)).sum() / len(wanted), np.tanh(distance) / len(wanted)


@dataclass(frozen=True)
class Setting:
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: Any = field(default_factory=lambda: fastmlp.SGD(0.05, 0.9, True))
    fit: dict[str, Any] = field(default_factory=dict)
    frozen: tuple[int, ...] = ()
    targets: Any = "classes"


def of_loss(loss, kind="values", **model):
    return Setting({"loss": loss, **model}, fastmlp.SGD(0.01, 0.9), targets=kind)


WEIGHTS = {"sample_weight": np.random.default_rng(3).uniform(0, 2, SAMPLES)}
OF_OUTPUTS = {"output_weights": (1.0, 0.5, 2.0, 0.0, 1.5)}
BN = {"batch_normalization": True}
MIXED = {**BN, "dropout": [0.4, 0.2], "input_dropout": 0.1, "input_noise": 0.2}
CLIPS = {"clip_norm": 0.3, "clip_value": 0.02}
ADAM = fastmlp.Adam(0.01, l1=1e-4, l2=1e-3, decay=0.1, max_norm=1.5)
GROUPS = [
    fastmlp.SoftmaxCrossEntropy(outputs=2, smoothing=0.1),
    fastmlp.Quantile(outputs=2, weight=0.7, levels=(0.2, 0.8)),
    fastmlp.BinaryCrossEntropy(outputs=1, weight=2.0),
]
STRAIGHT = [fastmlp.Step(straight_through=True), fastmlp.Sign(straight_through=True)]
SETTINGS = {
    "dropout": Setting({"dropout": 0.4}),
    "disturbed input": Setting({"input_dropout": 0.3, "input_noise": 0.5}),
    "batch normalisation": Setting(BN),
    "mixed layers": Setting(MIXED, ADAM),
    "thresholds": Setting({"activation": STRAIGHT}),
    "elu and selu": Setting({"activation": [fastmlp.ELU(0.5), "selu"], "dropout": 0.2}),
    "both gelus": Setting({"activation": ["gelu", "gelu_tanh"]}),
    "silu and softplus": Setting({"activation": ["silu", "softplus"], **BN}),
    "piecewise": Setting({"activation": ["hard_sigmoid", fastmlp.LeakyReLU(0.2)]}),
    "smoothing": of_loss(fastmlp.SoftmaxCrossEntropy(smoothing=0.1), "classes"),
    "probabilities": of_loss("softmax_cross_entropy", "probabilities"),
    "hinge": of_loss("hinge", "classes"),
    "several answers": of_loss(fastmlp.BinaryCrossEntropy(**OF_OUTPUTS)),
    "half_mse": of_loss(fastmlp.HalfMSE(weight=0.5)),
    "mae": of_loss(fastmlp.MAE(**OF_OUTPUTS)),
    "huber": of_loss(fastmlp.Huber(delta=0.3)),
    "poisson": of_loss("poisson"),
    "mse of softmax": of_loss("mse", output_activation="softmax"),
    "user-defined": of_loss(log_cosh),
    "output groups": of_loss(GROUPS, ("classes", "values", "values"), **BN),
    "clips": Setting(MIXED, fastmlp.SGD(0.1, 0.9, **CLIPS)),
    "clipped RMSprop": Setting({}, fastmlp.RMSprop(0.01, momentum=0.5, centred=True, **CLIPS)),
    "EMA": Setting(MIXED, ADAM, {"averaging": fastmlp.EMA(0.9)}),
    "SWA": Setting(MIXED, ADAM, {"averaging": fastmlp.SWA()}),
    "weights": Setting(BN, fit={**WEIGHTS, "class_weight": "balanced"}),
    "frozen": Setting(MIXED, ADAM, {"averaging": fastmlp.EMA(0.9)}, frozen=(0,)),
    "frozen in the middle": Setting(BN, fastmlp.SGD(0.1, 0.9, **CLIPS), frozen=(1,)),
    "rates by step": Setting(MIXED, fastmlp.Nadam(schedules.Cosine(0.02))),
}
settings = pytest.mark.parametrize("name", SETTINGS)


def new_model(name, dtype):
    setting = SETTINGS[name]
    options = {"activation": "tanh", **setting.model}
    model = fastmlp.MLP([FEATURES, *HIDDEN, OUTPUTS], dtype=dtype, seed=7, **options)
    if setting.frozen:
        model.freeze(setting.frozen)
    return model


def targets_of(name):
    kinds = SETTINGS[name].targets
    if isinstance(kinds, str):
        return targets(kinds)
    losses = SETTINGS[name].model["loss"]
    return [targets(kind, loss.outputs) for kind, loss in zip(kinds, losses, strict=True)]


def fit(model, name, threads, x=None, **options):
    setting = SETTINGS[name]
    arguments = {"epochs": 2, "batch_size": BATCH, "verbose": 0, **setting.fit, **options}
    x = samples(model.dtype) if x is None else x
    return model.fit(x, targets_of(name), optimizer=setting.optimizer, threads=threads, **arguments)


def digest(arrays):
    joined = hashlib.sha256()
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()


def trained_digest(name, dtype, threads, make=np.asarray):
    """SHA-256 of everything that training, prediction and differentiation compute."""
    x, model = make(samples(dtype)), new_model(name, dtype)
    history = fit(model, name, threads, x)
    loss, dweights, dbiases = model.loss_and_gradients(
        x, targets_of(name), training=True, threads=threads
    )
    measured = model.evaluate(x, targets_of(name), threads=threads)
    numbers = [history.loss, loss, *measured.values()]
    outputs = [model.forward(x, threads=threads), *model.hidden_activations(x, threads=threads)]
    arrays = [*model.parameters().values(), *dweights, *dbiases, *outputs]
    return digest([*arrays, *map(np.array, numbers)])


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
from strategies import DTYPES
from test_equal_bits import SETTINGS, trained_digest
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


@pytest.mark.parametrize("name", ["mixed layers", "mse of softmax", "output groups", "hinge"])
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
RESUMED += ["EMA", "SWA", "frozen"]


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


def restored(folder, name):
    model = fastmlp.load(folder / "model.safetensors")
    if SETTINGS[name].frozen:
        model.freeze(SETTINGS[name].frozen)
    with np.load(folder / "state.npz") as state:
        model.restore_training_state(state)
    return model


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
from test_equal_bits import digest, fit, restored
model = restored(Path({str(tmp_path)!r}), "mixed layers")
fit(model, "mixed layers", 2, resume=True)
print(model.isa, digest(model.parameters().values()))
"""
    done = run_python(code, FASTMLP_ISA=isa)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [isa, expected]
