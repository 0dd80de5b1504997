"""Products in bfloat16: each product of a step against exact arithmetic, and what surrounds it.

A user's loss function sees the outputs of a network and decides their gradient. So a single layer
shows all three products alone: its outputs, the gradient of its weights, and that of its inputs.
"""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp.cli import main
from support import random_networks
from support.estimator_data import quietly

SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())
SMALLEST = 2.0**-126  # normal number of float32


def rounded(x):
    """Return the nearest bfloat16, ties to even, as float32."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def to_float32(exact: Fraction) -> float:
    """Round once to float32; what is subnormal after it is 0."""
    scaled = exact * 2**200  # so that no double on the way is subnormal
    nearest = float(scaled)
    if Fraction(nearest) != scaled:  # round to odd, then to float32: one rounding
        toward = math.inf if scaled > Fraction(nearest) else -math.inf
        if np.float64(nearest).view(np.uint64) & 1 == 0:
            nearest = math.nextafter(nearest, toward)
    mantissa, exponent = math.frexp(nearest)
    single = float(np.float32(mantissa))
    result = math.ldexp(single, exponent - 200)
    return 0.0 if abs(result) < SMALLEST else result


def flushed(x: float) -> float:
    return 0.0 if abs(x) < SMALLEST else x


def dot(a, b) -> float:
    """Return the sum of the products of two vectors in the order that `Bfloat16Kernels` states."""
    a, b = [[flushed(float(v)) for v in rounded(side)] for side in (a, b)]
    if len(a) % 2:
        a, b = [*a, 0.0], [*b, 0.0]
    total = 0.0
    for k in range(0, len(a), 2):
        for place in (k + 1, k):
            total = to_float32(Fraction(a[place]) * Fraction(b[place]) + Fraction(total))
    return total


def product(a, b):
    return np.array([[dot(row, column) for column in b.T] for row in a], np.float32)


class Shown:
    """A loss that keeps the outputs and has a given gradient."""

    def __init__(self, gradient):
        self.gradient = gradient

    def __call__(self, outputs, wanted):
        self.outputs = outputs.copy()
        return 0.0, self.gradient


def products_of_a_step(x, weights, dz, threads=1):
    """Return x W, x^T dz and dz W^T as a step computes them."""
    shown = Shown(dz)
    model = fastmlp.MLP(
        list(weights.shape),
        loss=shown,
        compute_dtype="bfloat16",
        input_scale=1.0,
        activation="identity",
    )
    model.weights[0] = weights
    data = model._data(x, np.zeros_like(dz), None)
    _, gradients = model._gradients(data, True, True, threads)
    return shown.outputs, gradients["weights"][0], gradients["input"]


def drawn(rng, shape, spread):
    """Return numbers whose magnitudes spread over 2^-spread to 2^spread, zeros among them."""
    numbers = rng.standard_normal(shape) * 2.0 ** rng.integers(-spread, spread + 1, shape)
    return np.where(rng.random(shape) < 0.1, 0, numbers).astype(np.float32)


@pytest.mark.parametrize("spread", [2, 20, 58])
@pytest.mark.parametrize("case", range(6))
def test_every_product_against_exact_arithmetic(case, spread):
    rng = np.random.default_rng([SEED, case, spread])
    rows, inputs, outputs = (int(n) for n in rng.integers(1, 40, 3))
    x = drawn(rng, (rows, inputs), spread)
    weights, dz = drawn(rng, (inputs, outputs), spread), drawn(rng, (rows, outputs), spread)
    forward, dweights, dx = products_of_a_step(x, weights, dz)
    message = f"FASTMLP_SEED={SEED}, {rows} x {inputs} x {outputs}"
    np.testing.assert_array_equal(forward, product(x, weights), message)
    np.testing.assert_array_equal(dweights, product(x.T, dz), message)
    np.testing.assert_array_equal(dx, product(dz, weights.T), message)


def test_ties_go_to_even_and_subnormal_numbers_count_as_zero():
    tie_down, tie_up = 1 + 2.0**-8, 1 + 3 * 2.0**-8  # half way: to 1 and to 1 + 2^-6
    x = np.array([[tie_down, tie_up, 1e-40, 2.0**-126]], np.float32)
    weights = np.diag(np.ones(4, np.float32))
    forward, _, _ = products_of_a_step(x, weights, np.ones((1, 4), np.float32))
    np.testing.assert_array_equal(forward, [[1.0, 1 + 2.0**-6, 0.0, 2.0**-126]])
    tiny = np.full((1, 2), 2.0**-70, np.float32)  # the product, 2^-140, is subnormal
    forward, _, _ = products_of_a_step(tiny, tiny.T.copy(), np.ones((1, 1), np.float32))
    assert forward[0, 0] == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_integers_give_the_bits_of_float32(threads):
    """Integers up to 256 are numbers in bfloat16, and their sums are exact in any order."""
    rng = np.random.default_rng([SEED, threads])
    for _ in range(10):
        rows, inputs, hidden, outputs = (int(n) for n in rng.integers(1, 256, 4))

        def signs(*shape):
            return rng.integers(-1, 2, shape).astype(np.float32)  # noqa: B023

        x, dz = signs(rows, inputs), signs(rows, outputs)
        weights = signs(inputs, hidden), signs(hidden, outputs)
        found = []
        for compute_dtype in (None, "bfloat16"):
            model = fastmlp.MLP(
                [inputs, hidden, outputs], loss=Shown(dz), compute_dtype=compute_dtype,
                input_scale=1.0,
            )  # fmt: skip
            model.weights[0], model.weights[1] = weights
            data = model._data(x, np.zeros_like(dz), None)
            _, gradients = model._gradients(data, True, True, threads)
            found.append([*gradients["weights"], *gradients["biases"], gradients["input"]])
        for plain, half in zip(*found, strict=True):
            np.testing.assert_array_equal(plain, half, f"FASTMLP_SEED={SEED}")


def test_gradients_stay_within_the_bound_of_the_rounding():
    """Each factor has a relative error of 2^-9 at most, so a product of two of 2^-8 + 2^-18."""
    rng = np.random.default_rng([SEED, 77])
    x, weights = rng.standard_normal((60, 50)), rng.standard_normal((50, 40))
    dz = rng.standard_normal((60, 40))
    x, weights, dz = (a.astype(np.float32) for a in (x, weights, dz))
    exact = [(x, weights), (x.T, dz), (dz, weights.T)]
    for found, (a, b) in zip(products_of_a_step(x, weights, dz), exact, strict=True):
        a, b = a.astype(np.float64), b.astype(np.float64)
        magnitudes = np.abs(a) @ np.abs(b)
        of_sums = 2 * a.shape[1] * 2.0**-24
        error = np.abs(found - a @ b)
        assert (error <= magnitudes * (2.0**-8 + 2.0**-18 + of_sums)).all()
        assert (error > magnitudes * 2.0**-20).any()  # the operands are rounded at all


def test_every_instruction_set_gives_the_same_weights(isa):
    code = """
import hashlib, numpy as np, fastmlp
rng = np.random.default_rng(5)
x = rng.standard_normal((301, 77)) * 2.0 ** rng.integers(-40, 41, (301, 77))
x[:, ::3] /= 2.0 ** 70
y = rng.integers(0, 5, 301)
found = hashlib.sha256()
for sizes in ([77, 5], [77, 64, 33, 5], [77, 3, 129, 5]):
    for rule, options in ((fastmlp.SGD, {"momentum": 0.9}), (fastmlp.Adam, {"clip_norm": 1.0})):
        model = fastmlp.MLP(sizes, compute_dtype="bfloat16", activation="tanh", input_scale=1.0)
        model.fit(x, y, epochs=3, batch_size=37, optimizer=rule(1e-3, **options), verbose=0)
        for array in model.parameters().values():
            assert np.isfinite(array).all()
            found.update(array.tobytes())
print(fastmlp.info()["isa"], found.hexdigest())
"""
    lines = []
    for forced in (isa, "generic"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "FASTMLP_ISA": forced},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        lines.append(done.stdout.split())
    assert [line[0] for line in lines] == [isa, "generic"]
    assert lines[0][1] == lines[1][1]


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9},
        {"clip_norm": 0.05},
        {"max_norm": 0.2},
        {"clip_value": 1e-3, "max_norm": 0.2, "momentum": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize("shards", [1, 3])
def test_every_way_of_updating_rounds_the_weights_anew(options, shards):
    """Each call of the core begins by rounding all weights; one step to a call hides nothing."""
    x = np.random.default_rng(0).standard_normal((96, 20)).astype(np.float32)

    def trained(callbacks):
        model = fastmlp.MLP([20, 40, 33, 3], loss="mse", compute_dtype="bfloat16", seed=1)
        optimizer = fastmlp.SGD(0.05, **options)
        fit = {"batch_size": 16, "optimizer": optimizer, "shards": shards, "threads": 2}
        model.fit(x, 5 * x[:, :3], epochs=3, callbacks=callbacks, verbose=0, **fit)
        return model.parameters()

    looks = fastmlp.LambdaCallback(on_step_end=lambda *_: None, every_steps=1)
    one, stepwise = trained([]), trained([looks])
    assert all(np.array_equal(one[name], stepwise[name]) for name in one)


def test_weights_that_the_program_changes_between_calls_count():
    """The rounded form of weights belongs to a run, and is made anew in every call."""
    x = np.random.default_rng(0).standard_normal((32, 6)).astype(np.float32)
    y = x[:, :2] * 3

    def trained(stops):
        model = fastmlp.MLP([6, 16, 2], loss="mse", compute_dtype="bfloat16", seed=1)
        options = {"batch_size": 8, "optimizer": fastmlp.SGD(0.01, momentum=0.9), "verbose": 0}
        model.fit(x, y, epochs=2, **options)
        if stops:
            weights = model.weights[0].copy()
            model.weights[0] = weights * 0
            model.weights[0] = weights
        model.fit(x, y, epochs=2, resume=True, **options)
        return model.parameters()

    one, other = trained(False), trained(True)
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"compute_dtype": "float16"}, ValueError, "bfloat16"),
        ({"compute_dtype": "bfloat16", "dtype": "float64"}, ValueError, "needs dtype='float32'"),
        ({"compute_dtype": "float64"}, ValueError, "give dtype='float64' instead"),
        ({"compute_dtype": "bfloat16", "members": 4}, ValueError, "without members"),
        ({"compute_dtype": 3}, TypeError, "compute_dtype"),
        ({"compute_dtype": "bf16"}, ValueError, "did you mean 'bfloat16'"),
        ({"dtype": "bfloat16"}, ValueError, r"got 'bfloat16'; it is a compute_dtype \(--compute"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        fastmlp.MLP([4, 8, 3], **options)


def test_the_type_of_the_products_belongs_to_the_model(tmp_path):
    model = fastmlp.MLP([4, 8, 3], compute_dtype="bfloat16")
    assert "products in bfloat16" in repr(model)
    assert model.compute_dtype == "bfloat16"
    model.save(tmp_path / "m.safetensors")
    assert fastmlp.load(tmp_path / "m.safetensors").compute_dtype == "bfloat16"
    assert fastmlp.MLP([4, 3], dtype="float64").compute_dtype == "float64"
    assert "bfloat16" not in repr(fastmlp.MLP([4, 8, 3], compute_dtype="float32"))
    assert "compute_dtype" not in fastmlp.MLP([4, 8, 3]).architecture.config()


def test_the_plan_tells():
    plan = fastmlp.MLP([20, 8, 3], compute_dtype="bfloat16").plan()
    assert (plan.dtype, plan.compute_dtype) == ("float32", "bfloat16")
    assert "factors in bfloat16" in str(plan)
    assert "bfloat16" not in str(fastmlp.MLP([20, 8, 3]).plan())


def test_predictions_stay_in_float32():
    x = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32)
    plain, half = (fastmlp.MLP([5, 7, 3], compute_dtype=t) for t in (None, "bfloat16"))
    np.testing.assert_array_equal(plain.forward(x), half.forward(x))


def test_samples_may_be_in_bfloat16_or_float16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    y = np.arange(40) % 3
    for dtype in (ml_dtypes.bfloat16, np.float16):
        narrow = x.astype(dtype)
        found = []
        for samples in (narrow, narrow.astype(np.float32)):
            model = fastmlp.MLP([5, 8, 3], compute_dtype="bfloat16")
            model.fit(samples, y, epochs=3, batch_size=16, verbose=0)
            found.append([*model.parameters().values(), model.forward(samples)])
        assert all(map(np.array_equal, *found))


def test_limited_memory_bfgs_refuses_rounded_gradients():
    model = fastmlp.MLP([5, 8, 1], loss="mse", compute_dtype="bfloat16")
    x = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    with pytest.raises(ValueError, match="LBFGS needs exact gradients"):
        model.fit(x, x[:, :1], epochs=3, optimizer=fastmlp.LBFGS(), verbose=0)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_estimators_take_it(kind):
    estimator = getattr(fastmlp, kind)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int) if kind == "MLPClassifier" else x[:, 0]
    options = {"random_state": 0, "max_iter": 5, "hidden_layer_sizes": (16,)}
    half, plain = (
        quietly(estimator(compute_dtype=name, **options).fit, x, y) for name in ("bfloat16", None)
    )
    assert not np.array_equal(half.coefs_[0], plain.coefs_[0])
    np.testing.assert_allclose(half.coefs_[0], plain.coefs_[0], atol=0.01)


def estimated(kind, x, y, **changes):
    options = {"random_state": 0, "max_iter": 4, "hidden_layer_sizes": (9,), **changes}
    return quietly(getattr(fastmlp, kind)(**options).fit, x, y)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize(
    "form", ["float64", "float16", "bfloat16", "int64", "uint8", "list", "polars", "sparse"]
)
def test_estimators_convert_samples_of_any_type(kind, form):
    """Small integers are numbers in all these types, so the bits are those of float32."""
    rng = np.random.default_rng(SEED)
    x = rng.integers(0, 5, (120, 6)).astype(np.float32)
    y = rng.integers(0, 3, 120)
    if form == "bfloat16":
        samples = x.astype(pytest.importorskip("ml_dtypes").bfloat16)
    elif form == "polars":
        samples = pytest.importorskip("polars").DataFrame(x.astype(np.float64))
    elif form == "sparse":
        samples = scipy.sparse.csr_matrix(x.astype(np.float64))
    else:
        samples = x.tolist() if form == "list" else x.astype(form)
    model = estimated(kind, samples, y, compute_dtype="bfloat16")
    dense = estimated(kind, x, y, compute_dtype="bfloat16")
    for one in (model, dense):
        assert one.coefs_[0].dtype == np.float32
        quietly(one.partial_fit, samples if one is model else x, y)
    for found, expected in zip(model.coefs_, dense.coefs_, strict=True):
        np.testing.assert_array_equal(found, expected, f"FASTMLP_SEED={SEED}")
    np.testing.assert_array_equal(model.predict(samples), dense.predict(x))


def test_estimators_compute_in_the_type_that_they_are_told():
    x = np.random.default_rng(SEED).standard_normal((90, 4))
    y = np.arange(90) % 2
    single = x.astype(np.float32)
    for samples, named, alike in ((x, "float32", single), (single, "float64", single.astype("d"))):
        told = estimated("MLPClassifier", samples, y, compute_dtype=named)
        plain = estimated("MLPClassifier", alike, y)
        assert told.coefs_[0].dtype == named
        np.testing.assert_array_equal(told.coefs_[0], plain.coefs_[0])
        np.testing.assert_array_equal(told.predict_proba(samples), plain.predict_proba(alike))
    exact = estimated("MLPClassifier", x, y, compute_dtype="float64", solver="lbfgs")
    assert exact.coefs_[0].dtype == np.float64


def test_a_pipeline_with_a_scaler_takes_bfloat16_on_ordinary_data():
    x = np.random.default_rng(SEED).standard_normal((90, 4))
    classifier = fastmlp.MLPClassifier(compute_dtype="bfloat16", max_iter=3)
    pipeline = make_pipeline(StandardScaler(), classifier)
    quietly(pipeline.fit, x, x[:, 0] > 0)
    assert pipeline.predict_proba(x).dtype == np.float32


@pytest.mark.parametrize("way", ["warm_start", "resume", "partial_fit"])
def test_an_estimator_goes_on_in_the_type_of_its_parameters(way):
    x = np.random.default_rng(SEED).standard_normal((90, 4))
    y = np.arange(90) % 2

    def goes_on(model, samples):
        if way == "warm_start":
            return quietly(model.set_params(warm_start=True).fit, samples, y)
        if way == "resume":
            return quietly(lambda: model.set_params(max_iter=8).fit(samples, y, resume=True))
        return quietly(model.partial_fit, samples, y)

    made = [estimated("MLPClassifier", x, y, compute_dtype="bfloat16") for _ in range(2)]
    for model, samples in zip(made, (x, x.astype(np.float32)), strict=True):
        goes_on(model, samples)
    np.testing.assert_array_equal(made[0].coefs_[0], made[1].coefs_[0])
    double = estimated("MLPClassifier", x, y).set_params(compute_dtype="bfloat16")
    double.predict(x)  # needs no products of a step
    with pytest.raises(ValueError, match="parameters of float32, and those of the previous fit"):
        goes_on(double, x)


def test_limited_memory_bfgs_of_an_estimator_refuses_rounded_gradients():
    x = np.zeros((8, 2))
    model = fastmlp.MLPRegressor(compute_dtype="bfloat16", solver="lbfgs")
    with pytest.raises(ValueError, match="exact gradients.*leave compute_dtype out, or use"):
        model.fit(x, x[:, 0])


def test_the_command_line_says_what_it_rounds_to(tmp_path, capsys):
    command = ["train", "moons", "--epochs", "1", "--no-report", "--hidden", "8"]
    assert main([*command, "--compute-dtype", "bfloat16", "--out", str(tmp_path / "half")]) == 0
    assert "float32, products in bfloat16; " in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    assert "float32; " in capsys.readouterr().err
    assert main([*command, "--dtype", "bfloat16"]) == 2
    assert "it is a compute_dtype (--compute-dtype)" in capsys.readouterr().err


@pytest.mark.parametrize("compute_dtype", [None, "bfloat16"])
def test_several_losses_leave_nothing_behind_the_last_output(compute_dtype):
    """A training that begins with fresh memory in the middle ends with the bits of the whole.

    An odd number of outputs has a pair of which one is padding; batches of several sizes put their
    rows in other places.
    """
    for number in range(20):
        rng = np.random.default_rng([SEED, 91, number])
        widths = [int(n) for n in rng.integers(1, 40, int(rng.integers(2, 4)))]
        rows, batch = int(rng.integers(3, 60)), int(rng.integers(2, 30))
        x = rng.standard_normal((rows, 3)).astype(np.float32)
        y = [rng.standard_normal((rows, width)) for width in widths]
        sizes = [3, int(rng.integers(1, 40)), sum(widths)]
        ends = []
        for cut in (False, True):
            losses = [fastmlp.MSE(outputs=width) for width in widths]
            model = fastmlp.MLP(
                sizes, loss=losses, compute_dtype=compute_dtype, activation="tanh",
                input_scale=1.0,
            )  # fmt: skip
            options = {"batch_size": batch, "optimizer": fastmlp.SGD(0.05, momentum=0.9)}
            if cut:
                model.fit(x, y, epochs=3, verbose=0, **options)
                model = pickle.loads(pickle.dumps(model))
                model.fit(x, y, epochs=3, verbose=0, resume=True, **options)
            else:
                model.fit(x, y, epochs=6, verbose=0, **options)
            ends.append(list(model.parameters().values()))
        for whole, resumed in zip(*ends, strict=True):
            np.testing.assert_array_equal(whole, resumed, f"FASTMLP_SEED={SEED}, {number}")
