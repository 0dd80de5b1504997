"""ONNX and NPZ: other programs must see what the model itself predicts."""

from __future__ import annotations

import datetime
import json
import sys
import zipfile

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Preprocessing
from fastmlp.export import check, to_npz, to_onnx
from fastmlp.extras import MissingExtraError
from support.export_models import (
    ALL_ACTIVATIONS,
    FEATURES,
    LOSSES,
    classes,
    far_and_near,
    predictions,
    quantiles_of,
    samples,
    trained,
)

# Of probabilities, and of other outputs by the largest of them. Seen: 3.0e-7 and 5.0e-16 of
# probabilities, 7.6e-7 and 1.3e-15 of the others.
TOLERANCES = {"float32": 1e-6, "float64": 1e-14}

EACH_KIND = ("softmax_cross_entropy", "softmax_output", "hinge", "binary", "multilabel", "mse")
batch_normalization = pytest.mark.parametrize("normalizes", [False, True], ids=["", "batch_norm"])


@pytest.fixture
def onnx():
    return pytest.importorskip("onnx")


@pytest.fixture
def onnxruntime():
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime")


def run_file(onnxruntime, path, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x}), strict=True))


def assert_same(found, expected, dtype):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        if name == "label":
            assert found[name].dtype == np.int64
            np.testing.assert_array_equal(found[name], values)
            continue
        assert found[name].dtype == dtype
        size = 1.0 if name == "probabilities" else np.abs(values).max()
        assert np.abs(found[name] - values).max() <= TOLERANCES[dtype] * size, name


# ---------------------------------------------------------------- ONNX: what is computed


@pytest.mark.parametrize("activation", ALL_ACTIVATIONS)
@batch_normalization
def test_onnxruntime_predicts_as_the_model(activation, normalizes, dtype, onnxruntime, tmp_path):
    x = samples(dtype, 64, seed=5)
    for loss in EACH_KIND if dtype == "float32" else ("softmax_output", "multilabel", "quantile"):
        model = trained(loss, activation, dtype=dtype, batch_normalization=normalizes)
        to_onnx(model, tmp_path / "model.onnx")
        found = run_file(onnxruntime, tmp_path / "model.onnx", x)
        assert_same(found, predictions(model, x), dtype)


@pytest.mark.parametrize("loss", LOSSES)
@batch_normalization
def test_every_loss(loss, normalizes, dtype, onnxruntime, tmp_path):
    x = samples(dtype, 64, seed=5)
    for activation in ("tanh", "leaky_relu"):
        model = trained(loss, activation, dtype=dtype, batch_normalization=normalizes)
        to_onnx(model, tmp_path / "model.onnx")
        found = run_file(onnxruntime, tmp_path / "model.onnx", x)
        assert_same(found, predictions(model, x), dtype)


@pytest.mark.parametrize("activation", ALL_ACTIVATIONS)
def test_the_standard_evaluator_agrees(activation, dtype, onnx, tmp_path):
    """A second reader of the file, which shares nothing with onnxruntime."""
    from onnx.reference import ReferenceEvaluator

    model = trained(activation=activation, dtype=dtype, batch_normalization=[True, False])
    to_onnx(model, tmp_path / "model.onnx")
    x = samples(dtype, 32, seed=5)
    found = ReferenceEvaluator(onnx.load(tmp_path / "model.onnx")).run(None, {"x": x})
    assert_same(
        dict(zip(("probabilities", "label"), found, strict=True)), predictions(model, x), dtype
    )


@pytest.mark.parametrize("activation", [fastmlp.LeakyReLU(slope=0.3), fastmlp.ELU(alpha=0.6)])
def test_parameters_of_activations_count(activation, dtype, onnxruntime, tmp_path):
    model = trained("mse", activation, dtype=dtype)
    to_onnx(model, tmp_path / "model.onnx")
    x = samples(dtype)
    assert_same(run_file(onnxruntime, tmp_path / "model.onnx", x), predictions(model, x), dtype)


@pytest.mark.parametrize("activation", ALL_ACTIVATIONS)
def test_activations_far_from_zero(activation, dtype, onnxruntime, tmp_path):
    """Saturated, at 0 and on both sides of every limit: no NaN, no overflow."""
    z = far_and_near(dtype)[:, np.newaxis]
    model = fastmlp.MLP([1, 1], loss="mse", output_activation=activation, dtype=dtype)
    model.weights = [np.ones((1, 1), dtype)]
    to_onnx(model, tmp_path / "model.onnx")
    found = run_file(onnxruntime, tmp_path / "model.onnx", z)["y"]
    bound = TOLERANCES[dtype] * np.maximum(1, np.abs(model.forward(z)))
    assert (np.abs(found - model.forward(z)) <= bound).all()


@pytest.mark.parametrize("count", [1, 2, 300])
def test_any_number_of_samples(count, onnxruntime, tmp_path):
    model = trained()
    to_onnx(model, tmp_path / "model.onnx")
    x = samples("float32", count)
    assert_same(run_file(onnxruntime, tmp_path / "model.onnx", x), predictions(model, x), "float32")


def test_a_network_without_hidden_layers(onnxruntime, tmp_path, dtype):
    model = trained(hidden=(), dtype=dtype)
    to_onnx(model, tmp_path / "model.onnx")
    x = samples(dtype)
    assert_same(run_file(onnxruntime, tmp_path / "model.onnx", x), predictions(model, x), dtype)


# ---------------------------------------------------------------- ONNX: preprocessing


def test_bytes_are_scaled(onnxruntime, tmp_path):
    model = trained(input_scale=1 / 255)
    pixels = np.random.Generator(np.random.PCG64(4)).integers(0, 256, (50, FEATURES), np.uint8)
    to_onnx(model, tmp_path / "model.onnx")
    found = run_file(onnxruntime, tmp_path / "model.onnx", pixels.astype(np.float32))
    assert_same(found, predictions(model, pixels), "float32")


def test_standardization_keeps_digits_that_single_precision_loses(onnxruntime, tmp_path):
    """Years around 2000: float32 has 1e-4 left after the subtraction of a rounded mean."""
    mean = np.linspace(1900.123, 2100.456, FEATURES)
    model = trained()
    model.preprocessing = classes(4, input_mean=mean, input_scale=np.full(FEATURES, 1.7))
    raw = (mean + 1.7 * samples("float64")).astype(np.float32)
    to_onnx(model, tmp_path / "model.onnx")
    found = run_file(onnxruntime, tmp_path / "model.onnx", raw)
    assert_same(found, predictions(model, model.preprocessing.inputs(raw)), "float32")


@pytest.mark.parametrize("rows", [1, 2, 3, 40, 3000])
def test_normal_quantiles(rows, dtype, onnxruntime, tmp_path):
    """Some columns have ties, one is constant; samples lie on quantiles, between and beyond."""
    mean, scale = np.linspace(-2, 3, FEATURES), np.linspace(0.5, 3, FEATURES)
    scaled = samples("float64", rows, seed=6)
    scaled[:, 1], scaled[:, 2] = 0.0, np.round(scaled[:, 2])
    model = trained(dtype=dtype)
    model.preprocessing = classes(4, input_mean=mean, input_scale=scale, **quantiles_of(scaled))
    raw = mean + scale * np.concatenate([scaled[:500], 2 * samples("float64", 500, seed=7)])
    raw = raw.astype(dtype)
    to_onnx(model, tmp_path / "model.onnx")
    found = run_file(onnxruntime, tmp_path / "model.onnx", raw)
    assert_same(found, predictions(model, model.preprocessing.inputs(raw)), dtype)
    assert check(model, tmp_path / "model.onnx")["passed"]


@pytest.mark.parametrize("loss", ["mse", "poisson", "user_defined"])
def test_regression_answers_in_units(loss, dtype, onnxruntime, tmp_path):
    model = trained(loss, dtype=dtype)
    outputs = model.layer_sizes[-1]
    model.preprocessing = Preprocessing(
        "regression", FEATURES, target_names=("price", "age")[:outputs],
        target_mean=np.array([1200.5, 4.0])[:outputs], target_scale=np.array([300, 0.1])[:outputs],
    )  # fmt: skip
    to_onnx(model, tmp_path / "model.onnx")
    x = samples(dtype)
    expected = {"y": model.preprocessing.decode(model.predict(x))}
    assert_same(run_file(onnxruntime, tmp_path / "model.onnx", x), expected, dtype)


# ---------------------------------------------------------------- ONNX: what the file says


def test_the_file_describes_itself(onnx, tmp_path):
    model = trained(dtype="float64")
    model.preprocessing = classes(
        4, feature_names=tuple("abcdefg"), input_mean=np.zeros(7), input_scale=np.ones(7)
    )
    to_onnx(model, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]
    assert proto.ir_version <= 10
    assert (proto.producer_name, proto.producer_version) == ("fastmlp", fastmlp.__version__)
    metadata = {p.key: p.value for p in proto.metadata_props}
    assert metadata["fastmlp_version"] == fastmlp.__version__
    assert (metadata["task"], metadata["inputs"]) == ("classification", "raw")
    assert json.loads(metadata["class_names"]) == [f"class {i}" for i in range(4)]
    assert json.loads(metadata["feature_names"]) == list("abcdefg")
    content = json.loads(metadata["preprocessing"])
    arrays = {name: np.array(values) for name, values in content["arrays"].items()}
    assert Preprocessing.from_config(content["config"], arrays) == model.preprocessing


def test_shapes_and_types_are_declared(onnx, tmp_path):
    to_onnx(trained("multilabel"), tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    declared = {
        value.name: (
            value.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    }
    single, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    assert declared == {
        "x": (single, ["N", FEATURES]),
        "probabilities": (single, ["N", 3]),
        "label": (whole, ["N", 3]),
    }


def test_the_same_model_gives_the_same_bytes(onnx, tmp_path):
    for name in ("one", "two"):
        to_onnx(trained(activation="gelu"), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# ---------------------------------------------------------------- NPZ


def evaluated(arrays):
    """A forward pass by NumPy from the file alone."""
    config = json.loads(str(arrays["config"]))
    x = (samples("float64") - arrays["preprocessing.input_mean"]) / arrays[
        "preprocessing.input_scale"
    ]
    layers = len(config["model"]["layer_sizes"]) - 1
    for layer in range(layers):
        get = {name.split(".")[-1]: a for name, a in arrays.items() if f"layers.{layer}." in name}
        x = x @ get["weights"]
        if "scales" in get:
            deviations = np.sqrt(get["variances"] + config["batch_normalization_epsilon"])
            x = (x - get["means"]) / deviations * get["scales"]
        x = x + get["biases"]
        if layer < layers - 1:
            x = np.maximum(x, 0)
    return x


@batch_normalization
def test_numpy_alone_can_use_an_npz_file(normalizes, dtype, tmp_path):
    model = trained(dtype=dtype, batch_normalization=normalizes)
    model.preprocessing = classes(4, input_mean=np.arange(7.0), input_scale=np.full(7, 2.5))
    to_npz(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    for name, array in model.parameters().items():
        assert arrays[name].dtype == dtype
        np.testing.assert_array_equal(arrays[name], array)
    expected = model.forward(model.preprocessing.inputs(samples("float64")))
    bound = 4 * TOLERANCES[dtype] * np.abs(expected).max()
    assert np.abs(evaluated(arrays) - expected).max() <= bound
    assert arrays["config"].shape == ()
    config = json.loads(str(arrays["config"]))
    assert (config["format"], config["fastmlp_version"]) == ("fastmlp-npz", fastmlp.__version__)
    assert config["model"] == json.loads(json.dumps(model.architecture.config()))
    moments = {n.split(".")[1]: a for n, a in arrays.items() if n.startswith("preprocessing.")}
    assert Preprocessing.from_config(config["preprocessing"], moments) == model.preprocessing


def test_npz_bytes_depend_on_the_model_alone(tmp_path, monkeypatch):
    to_npz(trained(), tmp_path / "one.npz")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    to_npz(trained(), tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert datetime.datetime(*entry.date_time) == datetime.datetime(1980, 1, 1)
            assert entry.external_attr >> 16 == 0o644


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("write", [to_onnx, to_npz])
def test_only_finite_networks_are_written(write, onnx, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    model = trained()
    model._assign("weights", 1, np.full((9, 6), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"finite parameters, layers\.1\.weights holds NaN"):
        write(model, path)
    with pytest.raises(TypeError, match=r"model must be a fastmlp\.MLP, got str"):
        write("model", path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_files_beyond_the_limit_of_onnx_are_refused(onnx, tmp_path, monkeypatch):
    from fastmlp.export import onnx_graph

    monkeypatch.setattr(onnx_graph, "_MAX_BYTES", 4 * (7 * 9 + 9 * 6 + 6 * 4) - 1)
    with pytest.raises(ValueError, match="2 GiB, the limit of ONNX; its weights have 564 bytes"):
        to_onnx(trained(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    model = trained()
    for package, use in (("onnx", to_onnx), ("onnxruntime", check)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=rf"{package} is needed; .*fastmlp\[export\]"):
            use(model, tmp_path / "model.onnx")
