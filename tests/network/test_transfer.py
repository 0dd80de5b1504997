"""Models made from models, looked into, written and read, and trained by other means."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import fastmlp
from support import reference_activations as activations
from support.child_process import run_python
from support.differences import central_differences
from support.gradient_cases import INPUT_SCALE, PROBLEMS, Case
from support.strategies import DTYPES, problem
from support.tolerance import assert_same_bits, relative_error
from support.trained_models import SIZES, VALUES, squares, trained

BN = {"batch_normalization": True}


def assert_same_parameters(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        assert_same_bits(array, expected[name], name)


# ---------------------------------------------------------------- heads and frozen layers


def test_a_new_head_keeps_the_hidden_layers():
    model, x, _ = trained(dropout=0.2, **BN)
    model.freeze(0)
    new = model.replace_head(4, loss="mse", seed=8)
    assert new.layer_sizes == [6, 9, 7, 4]
    assert new.trainable == [True] * 3
    assert new.architecture.losses[0].name == "mse"
    assert new.architecture.dropout == (0.2, 0.2)
    for old, kept in zip(model.hidden_activations(x), new.hidden_activations(x), strict=True):
        assert_same_bits(kept, old)
    fresh = fastmlp.MLP([6, 9, 7, 4], loss="mse", dtype="float64", seed=8, **BN)
    assert_same_bits(new.weights[-1], fresh.weights[-1])
    assert not new.biases[-1].any()
    new.fit(x, x[:, :4], epochs=1, verbose=0)


def test_a_new_head_has_the_loss_and_the_seed_of_the_model_unless_told():
    model, _, _ = trained(fastmlp.SoftmaxCrossEntropy(smoothing=0.2), seed=5)
    new = model.replace_head(3)
    assert new.architecture.losses == model.architecture.losses
    assert new.architecture.seed == 5
    assert_same_bits(new.weights[-1], fastmlp.MLP(SIZES, dtype="float64", seed=5).weights[-1])
    assert np.any(model.replace_head(3, seed=6).weights[-1] != new.weights[-1])
    raw = fastmlp.MLP(SIZES, output_activation="softmax").replace_head(2, loss="mse")
    assert raw.architecture.link == "none"
    assert not raw.architecture.spec()["softmax_output"]
    with pytest.raises(ValueError, match=r"output_weights must have one entry per output: 2"):
        fastmlp.MLP(SIZES, loss=fastmlp.MSE(output_weights=(1, 2, 3))).replace_head(2)


def test_a_new_head_over_frozen_layers_trains_alone():
    model, x, y = trained(**BN)
    new = model.replace_head(3)
    new.freeze([0, 1])
    before = new.parameters()
    new.fit(x, y, epochs=2, optimizer=fastmlp.Adam(0.1, l2=0.1, decay=0.1), verbose=0)
    changed = {k for k, array in new.parameters().items() if np.any(array != before[k])}
    assert changed == {"layers.2.weights", "layers.2.biases"}


def test_layers_are_counted_from_both_ends():
    model = fastmlp.MLP(SIZES)
    model.freeze(-1)
    assert model.trainable == [True, True, False]
    model.freeze([0])
    model.unfreeze(2)
    assert model.trainable == [False, True, True]
    for layers in (3, -4, [0, 1, 2]):
        with pytest.raises(ValueError, match="layers must"):
            model.freeze(layers)
    assert model.trainable == [False, True, True]
    model.freeze(np.int64(1))
    assert model.trainable == [False, False, True]


def test_a_function_of_the_user_survives_in_models_made_of_models():
    model, x, y = trained(squares, y=VALUES, **BN)
    expected = model.evaluate(x, y)["loss"]
    assert model.folded().evaluate(x, y)["loss"] == pytest.approx(expected, rel=1e-12)
    assert model.replace_head(3).loss_and_gradients(x, y)[0] > 0


# ---------------------------------------------------------------- looking into a model


@pytest.mark.parametrize("normalized", [True, [False, True]])
def test_folded_normalization_leaves_the_outputs(normalized, dtype):
    model, x, _ = trained(epochs=10, batch_normalization=normalized, dtype=dtype, dropout=0.1)
    folded = model.folded()
    assert not any("scales" in name for name in folded.parameters())
    assert folded.architecture.dropout == (0.1, 0.1)
    moved = relative_error(folded.weights[1:2], model.weights[1:2])
    assert moved > 0.1, "the moments are still about 0 and 1: the comparison shows nothing"
    bound = 1e-13 if dtype == "float64" else 1e-5
    assert relative_error([folded.forward(x)], [model.forward(x)]) < bound
    assert relative_error(folded.hidden_activations(x), model.hidden_activations(x)) < bound


@pytest.mark.parametrize("normalized", [False, True, [True, False]])
def test_hidden_activations(normalized):
    options = {"dropout": 0.5, "input_noise": 0.3, "batch_normalization": normalized}
    case = Case(1, ["elu", "gelu"], PROBLEMS["mse"], **options)
    traces, outputs = case.net.trace(case.x * INPUT_SCALE, training=False)
    actual = case.model.hidden_activations(case.x)
    assert relative_error(actual, [trace.inputs for trace in traces[1:]]) < 1e-13
    assert relative_error([case.model.forward(case.x)], [outputs]) < 1e-13
    assert fastmlp.MLP([6, 3]).hidden_activations(np.ones((2, 6))) == []


@pytest.mark.parametrize("training", [False, True])
def test_gradient_norms(training):
    model, x, y = trained(dropout=0.3, **BN)
    _, dweights, _ = model.loss_and_gradients(x, y, training=training)
    expected = [np.sqrt((g**2).sum()) for g in dweights]
    np.testing.assert_allclose(model.gradient_norms(x, y, training=training), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("softmax_cross_entropy", {"input_scale": 0.3}),
        ("hinge", {**BN, "activation": "softplus"}),
        ("mse", {"output_activation": "softmax", "input_noise": 0.5, "dropout": 0.5}),
        (squares, {"input_dropout": 0.2}),
    ],
)
def test_input_gradients_match_central_differences(loss, options):
    x, y = problem("softmax_cross_entropy", 7, 6, 3)
    y = y if loss in ("softmax_cross_entropy", "hinge") else np.eye(3)[y]
    model = fastmlp.MLP(SIZES, loss=loss, dtype="float64", **{"activation": "tanh", **options})
    (numeric,) = central_differences(lambda: model.loss_and_gradients(x, y)[0], [x])
    assert relative_error([model.input_gradients(x, y)], [numeric]) < 1e-7


# ---------------------------------------------------------------- files

ROUND_TRIPS: dict[str, dict[str, Any]] = {
    **{name: {"activation": name} for name in activations.DEFAULT_PARAMETERS},
    "activations with parameters": {
        "activation": [fastmlp.LeakyReLU(0.2), fastmlp.ELU(0.3)],
        "output_activation": fastmlp.LeakyReLU(0.7), "loss": "mse", "y": VALUES,
    },
    "thresholds": {
        "activation": [fastmlp.Step(straight_through=True), fastmlp.Sign(straight_through=True)]
    },
    "probabilities": {"output_activation": "softmax"},
    "softmax of mse": {"output_activation": "softmax", "loss": "mse", "y": VALUES},
    "hinge": {"loss": "hinge"},
    "smoothing": {"loss": fastmlp.SoftmaxCrossEntropy(smoothing=0.1, weight=2.0)},
    "several answers": {
        "loss": fastmlp.BinaryCrossEntropy(output_weights=(1, 2, 3)), "y": VALUES,
        "output_activation": "sigmoid",
    },
    "half_mse": {"loss": fastmlp.HalfMSE(output_weights=[1.0, 0.0, 2.0]), "y": VALUES},
    "mae": {"loss": "mae", "y": VALUES},
    "huber": {"loss": fastmlp.Huber(delta=0.5), "y": VALUES},
    "poisson": {"loss": "poisson", "y": VALUES},
    "quantile": {"loss": fastmlp.Quantile(levels=[0.1, 0.5, 0.9]), "y": VALUES},
    "groups": {
        "loss": [fastmlp.Hinge(outputs=2), fastmlp.Quantile(outputs=1, levels=0.3, weight=0.5)],
        "y": [(VALUES[:, 0] > 0.5).astype(int), VALUES[:, :1]],
    },
    "normalized": BN,
    "some normalized": {"batch_normalization": [False, True], "dropout": [0.0, 0.4]},
    "disturbed": {"input_dropout": 0.1, "input_noise": 0.3, "dropout": 0.2, "input_scale": 0.5},
    "float32": {"dtype": "float32", **BN},
    "initializers": {"initializer": fastmlp.Orthogonal(gain=1.5)},
    "numbers of NumPy": {"activation": fastmlp.LeakyReLU(np.float32(0.25)), "seed": np.int64(3)},
    "no hidden layer": {"sizes": [6, 3]},
}  # fmt: skip


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_files_hold_all_of_a_model(name, tmp_path):
    model, x, y = trained(**ROUND_TRIPS[name])
    model.save(tmp_path / "model.safetensors")
    loaded = fastmlp.load(tmp_path / "model.safetensors")
    assert loaded.architecture.spec() == model.architecture.spec()
    configs = [json.dumps(each.architecture.config()) for each in (model, loaded)]
    assert configs[0] == configs[1]
    assert_same_parameters(loaded.parameters(), model.parameters())
    assert_same_bits(loaded.forward(x), model.forward(x))
    assert loaded.evaluate(x, y) == model.evaluate(x, y)
    for each in (model, loaded):
        each.fit(x, y, epochs=1, batch_size=16, verbose=0)
    assert_same_parameters(loaded.parameters(), model.parameters())


def test_a_loss_of_the_user_trains_and_stays_behind_when_the_model_is_saved(tmp_path):
    model, x, y = trained(squares, y=VALUES, epochs=3)
    expected, _, _ = trained("mse", y=VALUES, epochs=3)
    assert relative_error(model.weights, expected.weights) < 1e-12
    assert model.evaluate(x, y)["loss"] == pytest.approx(expected.evaluate(x, y)["loss"])
    model.save(tmp_path / "model.safetensors")
    loaded = fastmlp.load(tmp_path / "model.safetensors")
    assert_same_bits(loaded.predict(x), model.predict(x))
    for use in (loaded.fit, loaded.evaluate, loaded.loss_and_gradients, loaded.lr_find):
        with pytest.raises(ValueError, match="user-defined loss is not known"):
            use(x, y)


def test_the_weight_of_a_loss_counts_for_those_of_users():
    losses = (fastmlp.UserLoss(function=squares, weight=2.5), fastmlp.MSE(weight=2.5))
    (model, x, _), (expected, *_) = (trained(loss, y=VALUES) for loss in losses)
    assert relative_error(model.weights, expected.weights) < 1e-12
    assert model.evaluate(x, VALUES)["loss"] == pytest.approx(expected.evaluate(x, VALUES)["loss"])


# ---------------------------------------------------------------- L-BFGS and learning rates


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": fastmlp.SoftmaxCrossEntropy(smoothing=0.1), "dtype": "float32"},
        {"dropout": 0.5, "input_dropout": 0.2, "input_noise": 1.0},
    ],
)
def test_lbfgs_reaches_a_stationary_point(options):
    """There the penalty keeps the weights finite, and the gradient is zero without any masks."""
    pytest.importorskip("scipy.optimize")
    x, y = problem("softmax_cross_entropy", 40, 6, 3)
    model = fastmlp.MLP([6, 4, 3], activation="tanh", **{"dtype": "float64", **options})
    before, l2 = model.evaluate(x, y)["loss"], 0.01
    single = options.get("dtype") == "float32"
    optimizer = fastmlp.LBFGS(l2=l2, tolerance=1e-4 if single else 1e-7)
    history = model.fit(x, y, epochs=500, optimizer=optimizer, verbose=0)
    loss, dweights, dbiases = model.loss_and_gradients(x, y)
    total = loss + l2 / 2 * sum(float((w.astype(float) ** 2).sum()) for w in model.weights)
    assert history.loss[-1] == pytest.approx(total, rel=1e-6 if single else 1e-12)
    assert total < 0.8 * before
    assert all(np.diff(history.loss) <= 0)
    slopes = [g + l2 * w for g, w in zip(dweights, model.weights, strict=True)]
    largest = max(np.max(np.abs(g)) for g in [*slopes, *dbiases])
    assert largest < (1e-3 if single else 1e-6)


def test_lbfgs_of_least_squares():
    """The one minimum of a linear model is that of the normal equations."""
    pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(2)
    x, weight = rng.standard_normal((50, 6)), rng.uniform(0.1, 2, 50)
    y = rng.standard_normal((50, 2))
    model = fastmlp.MLP([6, 2], loss="mse", dtype="float64")
    optimizer = fastmlp.LBFGS(tolerance=1e-10)
    model.fit(x, y, epochs=200, optimizer=optimizer, sample_weight=weight, verbose=0)
    columns = np.hstack([x, np.ones((50, 1))]) * np.sqrt(weight)[:, None]
    exact, *_ = np.linalg.lstsq(columns, y * np.sqrt(weight)[:, None], rcond=None)
    np.testing.assert_allclose(np.vstack([model.weights[0], model.biases[0]]), exact, atol=1e-7)


@pytest.mark.parametrize(
    ("ending", "settings", "options"),
    [
        ("converged", {"tolerance": 1e-2}, {}),
        ("iterations", {"tolerance": 0.0}, {"epochs": 3}),
        ("evaluations", {"tolerance": 0.0, "evaluations": 3}, {}),
        ("line search", {"tolerance": 0.0}, {}),
    ],
)
def test_lbfgs_says_what_ended_it(ending, settings, options):
    """In float32 the last digits of the loss lead the line search nowhere."""
    pytest.importorskip("scipy.optimize")
    x, y = problem("softmax_cross_entropy", 40, 6, 3)
    model = fastmlp.MLP([6, 4, 3], activation="tanh", dtype="float32", seed=0)
    optimizer = fastmlp.LBFGS(l2=0.01, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(x, y, optimizer=optimizer, verbose=0, **{"epochs": 5000, **options})
    assert history.ending == model.history.ending == ending
    assert [w.category for w in caught] == [fastmlp.ConvergenceWarning] * (ending != "converged")
    assert all(w.filename == __file__ for w in caught)


OF_THE_USER = """
import numpy as np, fastmlp
from support.trained_models import squares, trained, VALUES
models = [trained(loss, y=VALUES) for loss in (squares, "mse")]
losses = [model.fit(x, y, epochs=5, optimizer=fastmlp.LBFGS(), verbose=0).loss
          for model, x, y in models]
np.testing.assert_allclose(*losses, rtol=1e-9)
"""


def test_lbfgs_with_a_loss_of_the_user():
    """In a process of its own: without the function the core has nothing to call."""
    pytest.importorskip("scipy.optimize")
    done = run_python(OF_THE_USER)
    assert done.returncode == 0, done.stderr


def test_lbfgs_leaves_frozen_layers_alone():
    pytest.importorskip("scipy.optimize")
    model, x, y = trained(**BN)
    model.freeze([0])
    before = model.parameters()
    with pytest.warns(fastmlp.ConvergenceWarning, match="limit of iterations, 5;"):
        model.fit(x, y, epochs=5, optimizer=fastmlp.LBFGS(), verbose=0)
    kept = {name for name, array in model.parameters().items() if np.all(array == before[name])}
    moments = {f"layers.1.{kind}" for kind in ("means", "variances")}
    assert kept == moments | {name for name in before if name.startswith("layers.0")}


@pytest.mark.parametrize("optimizer", [fastmlp.SGD(0.1, 0.9, clip_norm=1.0), fastmlp.Adam()])
def test_the_search_for_a_rate_leaves_the_model_as_it_was(optimizer, dtype):
    model, x, y = trained(dtype=dtype, dropout=0.3, **BN)
    twin, *_ = trained(dtype=dtype, dropout=0.3, **BN)
    before, state = model.parameters(), model.training_state()
    texts = [str(state.pop(name)) for name in ("rule", "progress")]
    found = model.lr_find(
        x, y, optimizer=optimizer, lowest=1e-5, highest=100.0, steps=60, batch_size=16
    )
    assert_same_parameters(model.parameters(), before)
    after = model.training_state()
    assert [str(after.pop(name)) for name in ("rule", "progress")] == texts
    assert_same_parameters(after, state)
    assert found.rates.shape == found.losses.shape
    assert 10 < len(found.rates) <= 60
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e7) / 59, rtol=1e-9)
    assert found.rates[0] == pytest.approx(1e-5)
    # A model that is trained already may have no rate to suggest.
    assert (found.suggestion is None) == (found.problem is not None)
    assert np.isfinite(found.losses).all()
    for each in (model, twin):
        each.fit(x, y, epochs=1, optimizer=fastmlp.SGD(0.05, 0.9), resume=True, verbose=0)
    assert_same_parameters(model.parameters(), twin.parameters())


# ---------------------------------------------------------------- initial weights

INPUTS, UNITS = 300, 500
VARIANCES = {
    "glorot_uniform": 2 / (INPUTS + UNITS),
    "glorot_normal": 2 / (INPUTS + UNITS),
    "he_uniform": 2 / INPUTS,
    "he_normal": 2 / INPUTS,
    "lecun_uniform": 1 / INPUTS,
    "lecun_normal": 1 / INPUTS,
    fastmlp.Uniform(0.3): 0.3**2 / 3,
    fastmlp.Normal(0.2): 0.2**2,
    "uniform": 0.05**2 / 3,
    "normal": 1.0,
}


@pytest.mark.parametrize("initializer", VARIANCES, ids=str)
def test_distributions_of_initial_weights(initializer, dtype):
    """Moments up to the fourth within 5 standard errors of theirs."""
    model = fastmlp.MLP([INPUTS, UNITS, 2], initializer=initializer, dtype=dtype, seed=11, **BN)
    z = model.weights[0].astype(np.float64).ravel() / np.sqrt(VARIANCES[initializer])
    is_uniform = "uniform" in str(initializer).lower()
    # Second, fourth and eighth moment of either distribution with variance 1.
    exact = {2: 1, 4: 9 / 5, 8: 9} if is_uniform else {2: 1, 4: 3, 8: 105}
    for k in (2, 4):
        error = np.sqrt((exact[2 * k] - exact[k] ** 2) / z.size)
        assert np.mean(z**k) == pytest.approx(exact[k], abs=5 * error)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    if is_uniform:
        assert 0.999 * np.sqrt(3) < np.max(np.abs(z)) < np.sqrt(3) * (1 + 1e-6)
    neighbors = np.corrcoef(z[:-1], z[1:])[0, 1]
    assert abs(neighbors) < 5 / np.sqrt(z.size)
    assert not any(b.any() for b in model.biases)
    start = {"scales": 1, "means": 0, "variances": 1}
    assert all(np.all(model.parameters()[f"layers.0.{k}"] == v) for k, v in start.items())


def test_initial_weights_depend_on_seed_and_layer_and_not_on_the_type():
    sizes = [20, 20, 20]
    single, double = (fastmlp.MLP(sizes, seed=4, dtype=dtype) for dtype in DTYPES)
    for narrow, wide in zip(single.weights, double.weights, strict=True):
        assert_same_bits(narrow, wide.astype(np.float32))
    assert np.all(double.weights[0] != double.weights[1])
    assert np.all(double.weights[0] != fastmlp.MLP(sizes, seed=5, dtype="float64").weights[0])


@pytest.mark.parametrize("sizes", [[40, 40], [70, 30], [30, 70], [1, 5], [5, 1]])
def test_orthogonal_weights(sizes, dtype):
    (weights,) = fastmlp.MLP(
        sizes, initializer=fastmlp.Orthogonal(gain=1.5), loss="mse", dtype=dtype
    ).weights
    w = weights.astype(np.float64) / 1.5
    product = w.T @ w if sizes[0] >= sizes[1] else w @ w.T
    bound = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(product, np.eye(min(sizes)), rtol=0, atol=bound)


def test_weights_without_chance():
    for initializer, value in (("zeros", 0), (fastmlp.Constant(-0.25), -0.25)):
        model = fastmlp.MLP(SIZES, initializer=initializer)
        assert all(np.all(w == value) for w in model.weights)
        assert not any(b.any() for b in model.biases)


def test_initial_weights_by_default():
    for activation in ("relu", "silu", "selu", "tanh", ["elu", "tanh"]):
        names = {"selu": "lecun_normal", "tanh": "glorot_uniform"}
        name = names.get(str(activation), "he_normal")
        expected = fastmlp.MLP(SIZES, activation=activation, initializer=name).parameters()
        assert_same_parameters(fastmlp.MLP(SIZES, activation=activation).parameters(), expected)
