"""What `MLP.fit` decides itself: the scale of inputs and targets, the optimizer, the epochs."""

import contextlib
import copy
import io
import pickle
import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.training.defaults import default_epochs
from support.c_programs import C_COMPILER, compiled

sparse = pytest.importorskip("scipy.sparse")
ADAM = fastmlp.Adam(0.002)


def table(seed, rows=200, features=5):
    """Return samples whose columns have means and deviations from 1e-3 to 1e6, and classes."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, features))
    deviations = 10.0 ** rng.uniform(-3, 6, features)
    deviations[0] = 10.0 ** rng.uniform(1, 6)
    means = deviations * rng.uniform(-50, 50, features)
    return z * deviations + means, (z[:, 0] + z[:, 1] > 0).astype(int)


def fitted(x, y, **options):
    given = {"layer_sizes": [x.shape[1], 16, int(np.max(y)) + 1], "seed": 0}
    network = {k: options.pop(k) for k in list(options) if k in ("input_scale", "dtype", "seed")}
    model = fastmlp.MLP(**(given | network))
    model.fit(x, y, **({"verbose": 0, "epochs": 30} | options))
    return model


@pytest.mark.parametrize("seed", range(12))
def test_tables_of_any_scale_are_learned(seed):
    x, y = table(seed)
    model = fitted(x[:150], y[:150], epochs=None)
    assert model.evaluate(x[150:], y[150:])["accuracy"] > 0.85, seed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(6))
def test_it_equals_a_network_that_gets_standardized_samples(seed, dtype):
    x, y = table(seed)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    model = fitted(x, y, dtype=dtype)
    plain = fitted((x - mean) / deviation, y, dtype=dtype, input_scale=1)
    np.testing.assert_allclose(model.standardization.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(model.standardization.deviation, deviation, rtol=1e-9)
    np.testing.assert_allclose(
        model.predict_proba(x), plain.predict_proba((x - mean) / deviation),
        atol=1e-3 if dtype == "float32" else 1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_inputs_of_unit_scale_stay_as_they_are(seed):
    rng = np.random.default_rng(seed)
    features = int(rng.integers(1, 30))
    x = [
        rng.standard_normal((60, features)) * rng.uniform(0.5, 2),
        rng.uniform(0, 1, (60, features)),
        rng.integers(0, 2, (60, features)),
        (rng.integers(0, 2, (60, features)) * 2 - 1).astype(np.float32),
        rng.integers(0, 4, (60, features)).astype(np.uint8),
    ][seed % 5]
    model = fitted(x, rng.integers(0, 3, 60), epochs=1)
    assert model.standardization is None, seed
    assert model.architecture.input_scale == 1


@pytest.mark.parametrize("seed", range(20))
def test_input_scale_leaves_inputs_as_they_are(seed):
    x, y = table(seed)
    model = fastmlp.MLP([5, 8, 2], input_scale=1)
    try:
        model.fit(x, y, epochs=1, verbose=0)
    except fastmlp.DivergedError:
        return
    assert model.standardization is None


def test_images_of_bytes_are_scaled_without_a_copy():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    x = rng.integers(0, 200, (300, 64)).astype(np.uint8)
    x[y == 1, :20] //= 2
    model = fitted(x[:200], y[:200], epochs=None)
    assert model.architecture.input_scale == 1 / 255
    assert model.standardization is None
    assert model.evaluate(x[200:], y[200:])["accuracy"] > 0.9
    given = fitted(x[:200], y[:200], epochs=None, input_scale=1 / 255)
    assert given.weights[0].tobytes() == model.weights[0].tobytes()


def test_few_columns_of_bytes_are_numbers():
    x = np.random.default_rng(0).integers(0, 100, (90, 3)).astype(np.uint8)
    model = fitted(x, (x[:, 0] > 50).astype(int), epochs=None)
    assert model.standardization is not None
    assert model.evaluate(x, x[:, 0] > 50)["accuracy"] > 0.95


def test_zeros_of_sparse_samples_stay_zeros():
    x = sparse.random(300, 40, density=0.1, random_state=0, format="csr") * 1000
    y = (np.asarray(x.sum(axis=1)).ravel() > 2000).astype(int)
    model = fitted(x, y, epochs=None)
    assert not model.standardization.mean.any()
    assert model.evaluate(x, y)["accuracy"] > 0.9
    np.testing.assert_array_equal(model.forward(x), model.forward(x.toarray()))


def test_a_network_of_dense_samples_takes_sparse_ones():
    x, y = table(3)
    x[:, 1] = 0.0
    model = fitted(x, y)
    np.testing.assert_array_equal(model.forward(sparse.csr_matrix(x)), model.forward(x))


def test_constant_columns_and_single_samples():
    x = np.full((20, 3), 1e6)
    x[:, 1] = np.arange(20) * 1e3
    model = fitted(x, np.arange(20) % 2, epochs=1)
    assert model.standardization.deviation[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isfinite(model.forward(x)).all()
    alone = fitted(np.full((400, 2), 1e6), np.arange(400) % 2, epochs=1)
    assert alone.history.loss[0] < 2


def test_samples_without_weight_do_not_count():
    x, _ = np.random.default_rng(0).standard_normal((400, 4)), None
    y = (x[:, 0] > 0).astype(int)
    wild = x.copy()
    wild[:200] *= 1e6
    weight = np.r_[np.zeros(200), np.ones(200)]
    model = fitted(wild, y, sample_weight=weight, epochs=None)
    assert model.evaluate(x[200:], y[200:])["accuracy"] > 0.95


def test_a_training_state_tells_how_inputs_are_scaled():
    for x, y in (table(14), ((np.arange(40 * 20) * 7 % 256).astype(np.uint8).reshape(40, 20),
                             np.arange(40) % 2)):  # fmt: skip
        whole, first, second = (fastmlp.MLP([x.shape[1], 8, 2]) for _ in range(3))
        whole.fit(x, y, epochs=5, verbose=0)
        first.fit(x, y, epochs=2, total_epochs=5, verbose=0)
        second.set_parameters(first.parameters())
        second.restore_training_state(first.training_state())
        second.fit(x, y, epochs=3, resume=True, verbose=0)
        assert second.weights[0].tobytes() == whole.weights[0].tobytes()
        np.testing.assert_array_equal(second.forward(x), whole.forward(x))


# ---------------------------------------------------------------- a part of the model


def copies(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    yield "file", fastmlp.load(path)
    yield "pickle", pickle.loads(pickle.dumps(model))
    yield "copy", copy.deepcopy(model)


def test_copies_and_files_predict_the_same(tmp_path):
    x, y = table(1)
    model = fitted(x, y)
    for kind, other in copies(model, tmp_path):
        assert other.standardization == model.standardization, kind
        np.testing.assert_array_equal(other.forward(x), model.forward(x))


def test_copies_of_a_new_network_decide_as_it_does(tmp_path):
    x, y = table(1)
    model = fastmlp.MLP([5, 16, 2])
    others = dict(copies(model, tmp_path))
    model.fit(x, y, epochs=3, verbose=0)
    for kind, other in others.items():
        other.fit(x, y, epochs=3, verbose=0)
        assert other.weights[0].tobytes() == model.weights[0].tobytes(), kind


def test_networks_made_from_it_keep_it():
    x, y = table(2)
    model = fitted(x, y)
    assert model.replace_head(4).standardization == model.standardization
    assert model.fold_batch_norm().standardization == model.standardization


def test_networks_made_from_a_new_one_decide_themselves():
    x, y = table(15)
    for new in (fastmlp.MLP([5, 16, 2], seed=0).replace_head(2, seed=1),
                fastmlp.MLP([5, 16, 2], members=4).keep_members([0, 2])):  # fmt: skip
        before = new.parameters()["layers.0.weights"]
        new.fit(x, y, epochs=1, optimizer=fastmlp.SGD(0.0), verbose=0, diagnose=False)
        assert new.standardization is not None
        np.testing.assert_array_equal(new.parameters()["layers.0.weights"], before)


def test_a_frozen_last_layer_stays_as_it_is():
    x = np.random.default_rng(0).standard_normal((80, 3))
    model = fastmlp.MLP([3, 8, 1], loss="mse")
    model.freeze(-1)
    before = model.weights[1].copy(), model.biases[1].copy()
    model.fit(x, x[:, :1] * 50 + 1000, epochs=2, verbose=0, diagnose=False)
    np.testing.assert_array_equal(model.weights[1], before[0])
    np.testing.assert_array_equal(model.biases[1], before[1])


def test_the_last_line_is_that_of_the_epoch_that_ended_the_training(capsys):
    x, y = table(16)
    model = fastmlp.MLP([5, 8, 2])
    model.fit(x, y, callbacks=[lambda _, record: record["epoch"] == 7], diagnose=False)
    assert capsys.readouterr().err.splitlines()[-1].startswith("epoch 7/500")
    model.fit(x, y, epochs=9, callbacks=[lambda _, record: record["epoch"] == 7], diagnose=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == [f"{n}/9" for n in range(1, 8)]


def test_later_fits_keep_the_first_decision():
    x, y = table(4)
    model = fitted(x, y, epochs=1)
    first = model.standardization
    model.fit(x * 3, y, epochs=1, verbose=0)
    assert model.standardization == first
    model.fit(x * 5, y, epochs=1, verbose=0, resume=True)
    assert model.standardization == first


def test_resumed_fits_end_with_the_bits_of_one():
    x, y = table(5)
    for targets, loss in ((y, "softmax_cross_entropy"), (x[:, :1] * 7, "mse")):
        outputs = 2 if loss != "mse" else 1
        whole, parts = (fastmlp.MLP([5, 8, outputs], loss=loss) for _ in range(2))
        whole.fit(x, targets, epochs=5, verbose=0)
        parts.fit(x, targets, epochs=2, total_epochs=5, verbose=0)
        parts.fit(x, targets, epochs=3, resume=True, verbose=0)
        assert parts.weights[0].tobytes() == whole.weights[0].tobytes()


def test_given_parameters_are_for_inputs_as_they_are():
    x, y = table(6)
    model = fastmlp.MLP([5, 8, 2])
    model.set_parameters(model.parameters())
    expected = model.forward(x)
    with contextlib.suppress(fastmlp.DivergedError):
        model.fit(x, y, epochs=1, optimizer=fastmlp.SGD(1e-30), verbose=0)
    assert model.standardization is None
    np.testing.assert_array_equal(model.forward(x), expected)


def test_a_fit_that_cannot_begin_changes_nothing():
    x, y = table(7)
    model = fastmlp.MLP([5, 8, 2])
    for bad in (y[:-1], y + 5):
        with pytest.raises(ValueError, match="y"):
            model.fit(x, bad, verbose=0)
        assert model.standardization is None
    images = (np.arange(40 * 20) % 256).astype(np.uint8).reshape(40, 20)
    other = fastmlp.MLP([20, 4, 2])
    with pytest.raises(ValueError, match="y"):
        other.fit(images, np.full(40, 7), verbose=0)
    assert other.architecture.input_scale == 1


def test_a_diverged_first_epoch_leaves_the_decision_open():
    x, y = table(8)
    model = fastmlp.MLP([5, 8, 1], loss="mse")
    target = np.where(y == 1, 1e15, -1e15)[:, None]
    with pytest.raises(fastmlp.DivergedError):
        model.fit(x, target, epochs=1, optimizer=fastmlp.SGD(1e8), verbose=0)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    model.fit(z, z[:, :1], epochs=3, verbose=0)
    assert model.standardization is None
    again = fastmlp.MLP([5, 8, 1], loss="mse")
    again.fit(z, z[:, :1], epochs=3, verbose=0)
    assert again.weights[0].tobytes() == model.weights[0].tobytes()


def test_gradients_by_inputs_are_those_of_the_samples():
    x, y = table(9, rows=40)
    model = fitted(x, y, dtype="float64")
    gradients = model.input_gradients(x, y)
    step = model.standardization.deviation * 1e-6
    for column in range(5):
        moved = [x.copy(), x.copy()]
        moved[0][0, column] += step[column]
        moved[1][0, column] -= step[column]
        high, low = (model.evaluate(m, y)["loss"] for m in moved)
        difference = (high - low) / (2 * step[column])
        assert gradients[0, column] == pytest.approx(difference, rel=1e-3, abs=1e-7)


def test_rate_tests_and_fitted_weights_look_at_the_samples():
    x, y = table(10)
    model = fastmlp.MLP([5, 8, 2])
    found = model.lr_find(x, y, batch_size=16)
    assert 1e-5 < found.suggestion < 10
    assert model.standardization is None
    model.initialize_from(x)
    assert model.standardization is not None
    assert np.abs(model.hidden_activations(x)[0]).max() < 50


def test_threads_and_number_types_decide_alike():
    x, y = table(11)
    models = [
        fitted(x, y, threads=1),
        fitted(x, y, threads=3),
        fitted(np.asfortranarray(x), y),
        fitted(x[::-1][::-1], y),
    ]
    assert len({model.weights[0].tobytes() for model in models}) == 1


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize("loss", ["mse", "half_mse", "mae", "huber", "quantile"])
@pytest.mark.parametrize(
    ("mean", "deviation"), [(0, 1), (150, 77), (2e5, 8e4), (3, 1e-3), (0, 1e-7), (0, 1e7)]
)
def test_targets_of_any_scale_are_learned(loss, mean, deviation):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((600, 4))
    z = x[:, 0] - 0.5 * x[:, 1] ** 2 + 0.5
    y = (mean + deviation * z / z.std())[:, None]
    named = fastmlp.Huber(delta=deviation) if loss == "huber" else loss
    model = fastmlp.MLP([4, 32, 1], loss=named, seed=0)
    model.fit(x, y, verbose=0)
    error = np.mean((model.predict(x) - y) ** 2) / y.var()
    assert error < 0.05


def test_several_targets_begin_at_their_means():
    x = np.random.default_rng(2).standard_normal((200, 3))
    y = np.stack([1e4 + 10 * x[:, 0], -5 + 0.1 * x[:, 1]], axis=1)
    model = fastmlp.MLP([3, 8, 2], loss="mse")
    model.fit(x, y, epochs=1, verbose=0)
    assert model.history.loss[0] < 10 * y.var(axis=0).sum()


def test_weights_count_in_the_mean_of_targets():
    x = np.zeros((4, 2))
    y = np.array([[1.0], [1.0], [9.0], [9.0]])
    model = fastmlp.MLP([2, 1], loss="mse")
    weight = [1.0, 1.0, 0.0, 0.0]
    model.fit(x, y, sample_weight=weight, epochs=1, verbose=0)
    assert model.biases[0][0] == pytest.approx(1.0, abs=0.1)


def test_counts_begin_at_the_logarithm_of_their_mean():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 3))
    y = rng.poisson(np.exp(6 + 0.3 * x[:, :1]))
    model = fastmlp.MLP([3, 16, 1], loss="poisson")
    model.fit(x, y, verbose=0)
    assert np.corrcoef(model.predict(x)[:, 0], np.exp(6 + 0.3 * x[:, 0]))[0, 1] > 0.85


def test_an_optimizer_that_is_given_leaves_targets_alone():
    x = np.random.default_rng(4).standard_normal((50, 2))
    model = fastmlp.MLP([2, 4, 1], loss="mse")
    start = model.biases[1].copy()
    model.fit(x, x[:, :1] + 100, optimizer=fastmlp.SGD(1e-12), epochs=1, verbose=0)
    np.testing.assert_allclose(model.biases[1], start, atol=1e-6)


# ---------------------------------------------------------------- epochs and the line


@pytest.mark.parametrize(
    ("samples", "batch", "epochs"),
    [(60_000, 128, 5), (178, 128, 500), (1, 1, 1000), (1000, 1000, 1000), (128_000, 128, 5)],
)
def test_the_default_number_of_epochs(samples, batch, epochs):
    assert default_epochs(samples, batch) == epochs
    if samples < 2000 and batch > 1:
        x = np.random.default_rng(0).standard_normal((samples, 2))
        model = fastmlp.MLP([2, 2])
        model.fit(x, np.zeros(samples, int), batch_size=batch, verbose=0)
        assert len(model.history.loss) == epochs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs.scale": [1.0]}, "inputs.scale of a training state must be a number"),
        ({"inputs.scale": np.nan}, "inputs.scale of a training state must be a number"),
        ({"inputs.scale": "1"}, "inputs.scale of a training state must be a number"),
        ({"inputs.scale": 0.0}, "input_scale must not be 0"),
        ({"inputs.scale": 1e300}, "input_scale must be"),
        ({"inputs.scalex": 1.0}, "must have mean and deviation, got deviation, mean, scalex"),
        ({"inputs.standardization.mean": [1.0, 2.0]}, "mean and deviation must have shape"),
        ({"inputs.standardization.deviation": np.zeros(5)}, "deviation not 0"),
        (
            {f"inputs.standardization.{name}": np.ones(7) for name in ("mean", "deviation")},
            "a standardization must be of 5 features, got 7",
        ),
    ],
)
def test_a_training_state_with_another_scaling_is_refused(changes, message):
    x, y = table(3)
    model, other = fitted(x, y), fitted(x, y)
    before = other.forward(x)
    with pytest.raises(ValueError, match=message):
        other.restore_training_state({**model.training_state(), **changes})
    np.testing.assert_array_equal(other.forward(x), before)


def test_a_training_state_without_standardization_takes_it_away():
    x, y = table(3)
    standardized, plain = fitted(x, y), fitted(x / 1e3, y, input_scale=1)
    assert standardized.standardization is not None
    standardized.set_parameters(plain.parameters())
    standardized.restore_training_state(plain.training_state())
    np.testing.assert_array_equal(standardized.forward(x), plain.forward(x))


def test_one_line_says_what_was_decided(capsys):
    x, y = table(12)
    fastmlp.MLP([5, 8, 2]).fit(x, y, diagnose=False)
    lines = capsys.readouterr().err.splitlines()
    assert "standardized" in lines[0]
    assert "input_scale=1" in lines[0]
    assert "500 epochs of Adam(0.002)" in lines[0]
    assert len(lines) == 21
    assert lines[-1].startswith("epoch 500/500")
    z = np.random.default_rng(0).standard_normal((200, 5))
    fastmlp.MLP([5, 8, 2]).fit(z, y, epochs=2, optimizer=ADAM, diagnose=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", "epoch"]
    fastmlp.MLP([5, 8, 2]).fit(x, y, verbose=0)
    assert capsys.readouterr().err == ""


def far_away(rows=120):
    """Return times in seconds, whose differences float32 does not hold, and classes."""
    rng = np.random.default_rng(17)
    z = rng.standard_normal((rows, 3))
    return 1.7e9 + 40 * z, (z[:, 0] > 0).astype(int)


@pytest.mark.parametrize("samples", [lambda: table(13), far_away], ids=["table", "times"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exports_to_onnx_standardize_too(tmp_path, samples, dtype):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    x, y = samples()
    model = fitted(x, y, dtype=dtype)
    path = tmp_path / "model.onnx"
    fastmlp.export.to_onnx(model, path)
    session = onnxruntime.InferenceSession(str(path))
    (probabilities,) = (o for o in session.run(None, {"x": x}) if o.ndim == 2)
    np.testing.assert_allclose(probabilities, model.predict_proba(x), atol=1e-5)
    assert fastmlp.export.check(model, path)["passed"]


@pytest.mark.parametrize("samples", [lambda: table(13), far_away], ids=["table", "times"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exports_to_c_standardize_too(tmp_path, samples, dtype):
    if C_COMPILER is None:
        pytest.skip("no C compiler")
    x, y = samples()
    model = fitted(x, y, dtype=dtype)
    fastmlp.export.to_c(model, tmp_path / "net.h")
    rows = ",".join("{" + ",".join(repr(float(v)) for v in row) + "}" for row in x)
    number = {"float32": "float", "float64": "double"}[dtype]
    program = compiled(
        tmp_path,
        f"""
#include <stdio.h>
#include "net.h"
static const double x[{len(x)}][{x.shape[1]}] = {{{rows}}};
int main(void)
{{
    for (int n = 0; n < {len(x)}; ++n) {{
        {number} outputs[2];
        net_predict(x[n], outputs);
        fwrite(outputs, sizeof outputs, 1, stdout);
    }}
    return 0;
}}
""",
    )
    told = subprocess.run([program], capture_output=True, check=True).stdout
    outputs = np.frombuffer(told, dtype).reshape(len(x), 2)
    np.testing.assert_allclose(outputs, model.forward(x), atol=1e-4)


def test_exports_to_npz_hold_means_and_deviations(tmp_path):
    x, y = table(13)
    model = fitted(x, y)
    fastmlp.export.to_npz(model, tmp_path / "model.npz")
    with np.load(io.BytesIO((tmp_path / "model.npz").read_bytes())) as arrays:
        np.testing.assert_array_equal(arrays["standardization.mean"], model.standardization.mean)


def test_the_graph_of_a_network_shows_what_it_computes():
    pytest.importorskip("matplotlib")
    from fastmlp.plot.graph import backpropagate

    x, y = table(18)
    model = fitted(x, y, dtype="float64")
    shown = backpropagate(model, x[0], y[0])
    np.testing.assert_allclose(shown.values[-1], model.forward(x[:1])[0])
    np.testing.assert_allclose(shown.prediction, model.predict_proba(x[:1])[0])
    assert shown.loss == pytest.approx(model.evaluate(x[:1], y[:1])["loss"])
