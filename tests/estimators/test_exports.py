"""Estimators in other programs: ONNX files, pipelines by skl2onnx, C headers, NPZ files, mlflow."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp.estimators import MLPClassifier, MLPRegressor, register_skl2onnx
from fastmlp.extras import MissingExtraError
from support.estimator_data import iris, quietly
from support.random_estimators import KINDS, LABELS, SEED, TARGETS, dense, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# Probabilities differ by rounding; the label of a sample depends on it if two are nearly equal.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def session_of(content):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def is_decided(probabilities, several, reach):
    """Mark the samples whose labels do not depend on rounding."""
    if several:
        return (np.abs(probabilities - 0.5) > reach).all(axis=1)
    largest = np.sort(probabilities, axis=1)
    return largest[:, -1] - largest[:, -2] > reach


def assert_predictions(estimator, found, x, words, tolerance):
    """Compare what an ONNX graph computes with what the estimator predicts."""
    expected = dense(estimator.predict(x))
    if "label" not in found:
        (values,) = found.values()
        expected = expected.reshape(len(expected), -1)
        assert values.shape == expected.shape, words
        size = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(values, expected, rtol=0, atol=size * tolerance, err_msg=words)
        return
    label, probabilities = found["label"], found["probabilities"]
    assert label.dtype == (object if expected.dtype.kind in "OU" else np.int64), words
    assert label.shape == expected.shape, words
    wanted = estimator.predict_proba(x)
    np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=tolerance, err_msg=words)
    clear = is_decided(wanted, expected.ndim == 2, tolerance)
    assert clear.mean() > 0.9, words
    np.testing.assert_array_equal(label[clear], expected[clear], err_msg=words)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("kind", KINDS)
def test_an_onnx_file_predicts_as_the_estimator(kind, tmp_path):
    pytest.importorskip("onnx")
    for trial in range(4):
        estimator, x, words = fitted(SEED + trial, kind)
        estimator.export(tmp_path / "model.ONNX")
        session = session_of(tmp_path / "model.ONNX")
        (given,) = session.get_inputs()
        assert (given.name, given.shape) == ("x", ["N", x.shape[1]])
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(names, {"x": dense(x)}), strict=True))
        assert names == (["label", "probabilities"] if kind in LABELS else ["y"])
        assert_predictions(estimator, found, x, words, TOLERANCE[x.dtype.name])


def test_names_are_in_the_metadata_of_an_onnx_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("onnx")
    x, y = iris()
    frame = pandas.DataFrame(x, columns=["a", "b", "ü", "d"])
    MLPClassifier(max_iter=3).fit(frame, np.array(["x", "y", "z"])[y]).export(tmp_path / "n.onnx")
    metadata = session_of(tmp_path / "n.onnx").get_modelmeta().custom_metadata_map
    assert metadata["class_names"] == '["x", "y", "z"]'
    assert metadata["feature_names"] == '["a", "b", "\\u00fc", "d"]'


@pytest.mark.parametrize("kind", KINDS)
def test_an_npz_file_holds_labels_and_parameters(kind, tmp_path):
    estimator, _, words = fitted(SEED, kind)
    estimator.export(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        for i, coef in enumerate(estimator.coefs_):
            np.testing.assert_array_equal(arrays[f"layers.{i}.weights"], coef)
        if kind in LABELS:
            assert arrays["classes"].tolist() == estimator.classes_.tolist(), words
        else:
            assert "classes" not in arrays


@pytest.mark.parametrize("kind", ["text", "two texts", "flags", "several labels", *TARGETS])
def test_a_c_header_predicts_as_the_estimator(kind, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    estimator, x, words = fitted(SEED, kind)
    estimator.export(tmp_path / "model.h", name="net")
    outputs, several = estimator.n_outputs_, kind == "several labels"
    number, is_value = ("float" if x.dtype == np.float32 else "double"), kind in TARGETS
    result = "net_predict(x, y)" if is_value else "net_probabilities(x, y)"
    decide = "net_classify(x, c)" if several else "*c = net_classify(x)"
    names = "0" if is_value or several else "net_class_names[i]"
    program = f"""#include "model.h"
void run(const {number} *x, {number} *y, int *c) {{ {result}; {"" if is_value else decide}; }}
const char *name(int i) {{ (void)i; return {names}; }}
"""
    (tmp_path / "run.c").write_text(program)
    library = tmp_path / "run.so"
    command = [compiler, "-std=c99", "-O1", "-shared", "-fPIC", "-o", library, tmp_path / "run.c"]
    subprocess.run([*command, "-lm"], check=True, timeout=120)
    loaded = ctypes.CDLL(str(library))
    loaded.name.restype = ctypes.c_char_p
    rows = np.ascontiguousarray(dense(x))
    values = np.zeros((len(rows), outputs), x.dtype)
    classes = np.zeros((len(rows), outputs), np.intc)
    for row, value, index in zip(rows, values, classes, strict=True):
        loaded.run(*(array.ctypes.data_as(ctypes.c_void_p) for array in (row, value, index)))
    if is_value:
        assert_predictions(estimator, {"y": values}, x, words, TOLERANCE[x.dtype.name])
        return
    probabilities = np.hstack([1 - values, values]) if outputs == 1 else values
    labels = classes.astype(np.int64)
    if not several:
        names = [loaded.name(i).decode() for i in range(len(estimator.classes_))]
        assert names == [str(label) for label in estimator.classes_.tolist()]
        labels = estimator.classes_[classes[:, 0]]
        labels = labels.astype(np.int64) if kind == "flags" else labels.astype(object)
    found = {"label": labels, "probabilities": probabilities}
    assert_predictions(estimator, found, x, words, TOLERANCE[x.dtype.name])


def test_what_has_no_export(tmp_path):
    estimator = MLPClassifier(max_iter=3).fit(*iris())
    with pytest.raises(ValueError, match=r"path must end with .onnx, .npz, .h, got .*net.pt"):
        estimator.export(tmp_path / "net.pt")
    with pytest.raises(ValueError, match="name is the prefix of names in C"):
        estimator.export(tmp_path / "net.npz", name="net")
    one = MLPClassifier(max_iter=3).fit([[0.0], [1.0]], ["a", "a"])
    with pytest.raises(ValueError, match="two classes or more"):
        one.export(tmp_path / "net.h")
    estimator.coefs_[0][0, 0] = np.inf
    with pytest.raises(ValueError, match="finite"):
        estimator.export(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- skl2onnx


@pytest.fixture
def skl2onnx():
    module = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    return module


def converted(skl2onnx, model, given, first=None, **options):
    """Return the results of a converted model by name; `first` is a row as the model takes it."""
    first = given[:1] if first is None else first
    given = given if isinstance(given, dict) else {"X": given}
    options = {"zipmap": False, **options} if hasattr(model, "classes_") else None
    proto = skl2onnx.to_onnx(model, first, options=options)
    session = session_of(proto.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    shapes = [output.shape for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, given), strict=True))
    for name, shape in zip(names, shapes, strict=True):
        assert len(shape) == found[name].ndim
        assert shape[1:] == list(found[name].shape[1:])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_skl2onnx_converts_an_estimator(kind, skl2onnx):
    for trial in range(3):
        estimator, x, words = fitted(SEED + trial, kind)
        found = converted(skl2onnx, estimator, dense(x))
        assert_predictions(estimator, found, x, words, TOLERANCE[x.dtype.name])
        single = dense(x).astype(np.float32)  # what most services take, whatever trained
        found = converted(skl2onnx, estimator, single)
        assert {array.dtype for array in found.values()} <= {
            np.dtype(allowed) for allowed in (np.float32, np.int64, object)
        }
        assert_predictions(estimator, found, single, words, 1e-5)


@pytest.mark.parametrize("kind", ["text", "two integers", "several labels", "three values"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_skl2onnx_converts_a_pipeline(kind, dtype, skl2onnx):
    estimator, _, words = fitted(SEED, kind)
    draw = np.random.default_rng(SEED)
    x = (draw.normal(size=(60, 4)) * [1, 10, 100, 0.1] + 5).astype(dtype)
    y = LABELS[kind](draw, 60) if kind in LABELS else draw.random((60, 3))
    model = quietly(make_pipeline(StandardScaler(), type(estimator)(max_iter=9)).fit, x, y)
    assert_predictions(model, converted(skl2onnx, model, x), x, words, 1e-5)


def test_skl2onnx_converts_columns_of_numbers_and_categories(skl2onnx):
    pandas = pytest.importorskip("pandas")
    draw = np.random.default_rng(SEED)
    frame = pandas.DataFrame(
        {
            "size": draw.normal(size=80).astype(np.float32),
            "age": draw.normal(40, 9, 80).astype(np.float32),
            "hue": np.array(["red", "blue", "green"])[draw.integers(0, 3, 80)],
        }
    )
    y = np.where(frame["size"] > 0, "large", "small")
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["size", "age"]), ("categories", OneHotEncoder(), ["hue"])]
    )
    model = quietly(make_pipeline(columns, MLPClassifier(max_iter=30)).fit, frame, y)
    given = {name: frame[[name]].to_numpy() for name in frame}
    found = converted(skl2onnx, model, given, frame[:1])
    assert_predictions(model, found, frame, f"FASTMLP_TEST_SEED={SEED}", 1e-5)


def test_skl2onnx_converts_two_estimators_in_one_graph(skl2onnx):
    x, y = iris()
    parts = [("a", MLPClassifier(4, max_iter=9)), ("b", MLPClassifier(8, max_iter=9))]
    model = VotingClassifier(parts, voting="soft", flatten_transform=False).fit(x, y)
    assert_predictions(model, converted(skl2onnx, model, x), x, "", 1e-12)


def test_options_of_skl2onnx(skl2onnx):
    x, y = iris()
    x = x.astype(np.float32)
    model = MLPClassifier(max_iter=9).fit(x, np.array(["a", "b", "c"])[y])
    found = converted(skl2onnx, model, x, nocl=True)
    np.testing.assert_array_equal(model.classes_[found["label"]], model.predict(x))
    found = converted(skl2onnx, model, x, output_class_labels=True)
    assert found["class_labels"].tolist() == ["a", "b", "c"]
    session = session_of(skl2onnx.to_onnx(model, x[:1]).SerializeToString())
    _, maps = session.run(None, {"X": x[:2]})
    assert list(maps[0]) == ["a", "b", "c"]
    assert maps[0]["b"] == pytest.approx(model.predict_proba(x[:1])[0, 1], abs=1e-6)
    with pytest.raises(ValueError, match="target_opset must be at least 17 .*, got 15"):
        skl2onnx.to_onnx(model, x[:1], target_opset=15)


def test_a_missing_skl2onnx_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(MissingExtraError, match="skl2onnx is needed"):
        register_skl2onnx()


# ---------------------------------------------------------------- mlflow


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    module = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    before = module.get_tracking_uri()
    module.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield module
    module.sklearn.autolog(disable=True)
    module.set_tracking_uri(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["cloudpickle", "skops"])
def test_mlflow_stores_estimators(form, mlflow):
    """Models of mlflow predict the same bits, also through its interface for services."""
    trusted = [f"{kind.__module__}.{kind.__name__}" for kind in (MLPClassifier, MLPRegressor)]
    x, y = iris()
    for model, targets in (
        (MLPClassifier(max_iter=5), np.array(["a", "b", "c"])[y]),
        (MLPRegressor(max_iter=5), x[:, :2]),
        (make_pipeline(StandardScaler(), MLPClassifier(max_iter=5)), y),
    ):
        model.fit(x, targets)
        given = {"skops_trusted_types": trusted} if form == "skops" else {}
        with mlflow.start_run():
            stored = mlflow.sklearn.log_model(
                model, name="model", serialization_format=form, pip_requirements=[], **given
            )
        loaded = mlflow.sklearn.load_model(stored.model_uri)
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
        served = mlflow.pyfunc.load_model(stored.model_uri)
        np.testing.assert_array_equal(served.predict(x), model.predict(x))


@pytest.mark.filterwarnings("ignore")
def test_mlflow_logs_a_fit(mlflow):
    """It watches the estimators that are in scikit-learn, so a pipeline with ours."""
    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    x, y = iris()
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=5, alpha=0.5))
    with mlflow.start_run() as run:
        model.fit(x, y)
    data = mlflow.get_run(run.info.run_id).data
    assert data.params["mlpclassifier__alpha"] == "0.5"
    assert data.metrics["training_accuracy_score"] == pytest.approx(model.score(x, y))
    probabilities = model.predict_proba(x)
    loss = -np.log(probabilities[np.arange(len(y)), y]).mean()
    assert data.metrics["training_log_loss"] == pytest.approx(loss, rel=1e-6)
