"""Exported models of tables: raw rows must give what `Preprocessing` and the network give."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

import fastmlp
from fastmlp.data.columns import (
    DATE_PARTS,
    KINDS,
    CategoryColumn,
    DateColumn,
    NumberColumn,
    date_parts,
)
from fastmlp.data.preprocessing import Preprocessing
from fastmlp.data.table import Table
from fastmlp.export import check, onnx_columns, random_rows, to_c, to_npz, to_onnx
from fastmlp.export.c_columns import field_names
from fastmlp.export.onnx_columns import input_names
from fastmlp.export.table_rows import LATEST, MEANINGS, WHITE_SPACE
from support import pages
from support.c_programs import C_COMPILER, compiled, rows_in_c
from support.export_tables import TASKS, TOLERANCES, Subject, cases, limited, served, subject

pytest.importorskip("polars")

needs_c = pytest.mark.skipif(C_COMPILER is None, reason="needs a C compiler")

# ---------------------------------------------------------------- ONNX


def graph_of(onnx, path, dtype, features):
    """The file with the inputs of the network as one more output."""
    proto = onnx.load(path)
    kind = onnx.TensorProto.FLOAT if dtype == "float32" else onnx.TensorProto.DOUBLE
    value = onnx.helper.make_tensor_value_info("inputs.encoded", kind, ["N", features])
    proto.graph.output.append(value)
    return proto


def feeds(case):
    names = input_names(case.model.preprocessing.columns)
    values = [case.values[column.name] for column in case.model.preprocessing.columns]
    return {name: cells[:, np.newaxis] for name, cells in zip(names, values, strict=True)}


def run_proto(onnxruntime, proto, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@cases
def test_onnxruntime_reads_raw_rows_as_the_model(seed, chosen, tmp_path):
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    case = subject(seed, **chosen)
    path, dtype = tmp_path / "model.onnx", case.model.dtype
    to_onnx(case.model, path)
    proto = graph_of(onnx, path, dtype, case.inputs.shape[1])
    found = run_proto(onnxruntime, proto, feeds(case))
    np.testing.assert_array_equal(found["problem"], case.refused)
    np.testing.assert_array_equal(found["inputs.encoded"], case.inputs.astype(dtype))
    kept, x = served(case)
    name, expected = expected_outputs(case.model, x)
    size = 1.0 if name == "probabilities" else np.abs(expected).max()
    assert np.abs(found[name][kept] - expected).max() <= TOLERANCES[dtype.name] * size
    if chosen["task"] != "regression":
        labels = case.model.predict(x)
        if chosen["task"] == "classification":
            labels = case.model.preprocessing.decode(labels)
        np.testing.assert_array_equal(found["label"][kept], labels)
    assert check(case.model, path)["passed"]


@pytest.mark.parametrize("standardizes", [True, False])
def test_predictions_are_limited_to_the_range_of_the_targets(standardizes, dtype, tmp_path):
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    case = limited(subject(11, task="regression", dtype=dtype, standardize_target=standardizes))
    path = tmp_path / "model.onnx"
    to_onnx(case.model, path)
    proto = graph_of(onnx, path, case.model.dtype, case.inputs.shape[1])
    kept, x = served(case)
    expected = case.model.preprocessing.decode(case.model.predict(x))
    found = run_proto(onnxruntime, proto, feeds(case))["y"][kept]
    assert np.abs(found - expected).max() <= TOLERANCES[dtype] * np.abs(expected).max()
    pre = case.model.preprocessing
    for limit in (pre.target_low, pre.target_high):
        np.testing.assert_array_equal(
            (found == limit.astype(dtype)).sum(axis=0), (expected == limit).sum(axis=0)
        )
    assert check(case.model, path)["passed"]


def expected_outputs(model, x):
    if model.preprocessing.task == "regression":
        return "y", model.preprocessing.decode(model.predict(x))
    return "probabilities", model.predict_proba(x)


@pytest.mark.parametrize("seed", range(3))
def test_the_standard_evaluator_agrees(seed, tmp_path):
    """A second reader of the file, which shares nothing with onnxruntime."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    case = subject(seed, task=TASKS[seed], dtype="float64")
    to_onnx(case.model, tmp_path / "model.onnx")
    proto = graph_of(onnx, tmp_path / "model.onnx", "float64", case.inputs.shape[1])
    found = ReferenceEvaluator(proto).run(None, feeds(case))
    by_name = dict(zip((output.name for output in proto.graph.output), found, strict=True))
    np.testing.assert_array_equal(by_name["inputs.encoded"], case.inputs)
    np.testing.assert_array_equal(by_name["problem"], case.refused)


def test_inputs_have_the_names_of_their_columns(tmp_path):
    onnx = pytest.importorskip("onnx")
    case = subject(1, task="classification", missing="error")
    to_onnx(case.model, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    metadata = {p.key: p.value for p in proto.metadata_props}
    columns = json.loads(metadata["input_columns"])
    assert list(columns.values()) == [c.name for c in case.model.preprocessing.columns]
    graph = proto.graph
    assert list(columns) == [value.name for value in graph.input]
    for name, column in columns.items():
        assert name.isascii()
        assert name.isidentifier()
        plain = column.isascii() and column.isidentifier() and column != "label"
        assert (name == column) == plain
    outputs = [value.name for value in graph.output]
    assert outputs == ["probabilities", "label", "problem"]
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    assert kinds["label"] == onnx.TensorProto.STRING
    inner = {name for node in graph.node for name in node.output}
    inner |= {tensor.name for tensor in graph.initializer}
    assert not inner & set(columns)
    for value in graph.input:
        assert repr(columns[value.name]) in value.doc_string
    assert metadata["inputs"] == "raw"


def write_two_columns(tmp_path, columns, dtype="float32", **arguments):
    features = sum(len(column.feature_names) for column in columns)
    model = fastmlp.MLP([features, 3, 2], seed=1, dtype=dtype)
    schema = (CategoryColumn("kind", ("a", "b")),)
    model.preprocessing = Preprocessing(
        "classification", features, columns=tuple(columns), class_names=("a", "b"),
        target_schema=schema, **arguments,
    )  # fmt: skip
    to_onnx(model, tmp_path / "model.onnx")
    return model


def test_a_table_of_texts_alone_has_no_problems(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    model = write_two_columns(tmp_path, [CategoryColumn("color", ("red", "blue"))])
    texts = np.array([["red"], ["green"], [""]], object)
    found = run_proto(onnxruntime, onnx.load(tmp_path / "model.onnx"), {"color": texts})
    assert found["problem"].tolist() == [False, False, False]
    x = np.array([[1.0, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), rtol=0, atol=1e-6)
    assert check(model, tmp_path / "model.onnx")["passed"]


CHANGES = {
    "columns.0.missing": 0.01,
    "columns.1.categories": 1,
    "inputs.mean": 0.01,
}


@pytest.mark.parametrize("tensor", CHANGES)
def test_check_sees_another_encoding(tensor, tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    columns = [NumberColumn("age", fill=3.0), CategoryColumn("color", ("red", "blue"))]
    moments = {"input_mean": np.zeros(3), "input_scale": np.ones(3)}
    model = write_two_columns(tmp_path, columns, **moments)
    path = tmp_path / "model.onnx"
    assert check(model, path)["passed"]
    proto = onnx.load(path)
    for index, old in enumerate(proto.graph.initializer):
        if old.name == tensor:
            array = onnx.numpy_helper.to_array(old) + np.array(CHANGES[tensor]).astype(
                int if "cat" in tensor else float
            )
            proto.graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(array, tensor))
    onnx.save(proto, path)
    assert not check(model, path)["passed"]


def test_check_sees_rows_refused_otherwise(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    columns = [NumberColumn("age"), CategoryColumn("color", ("red", "blue"))]
    model = write_two_columns(tmp_path, columns)
    schema = model.preprocessing.target_schema
    model.preprocessing = Preprocessing(
        "classification", 3, columns=tuple(columns), class_names=("a", "b"), target_schema=schema,
        unknown_categories="error",
    )  # fmt: skip
    with pytest.raises(fastmlp.FormatError, match=r"accepts \d+ rows against the model.*unknown"):
        check(model, tmp_path / "model.onnx")


@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e13])
def test_infinite_numbers_and_dates_far_away_are_refused(number, tmp_path):
    onnxruntime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    columns = [NumberColumn("age", fill=3.0), DateColumn("sold", parts=DATE_PARTS, fill=0.0)]
    model = write_two_columns(tmp_path, columns)
    ages, dates = np.array([[number], [1.0], [1.0]]), np.array([[0.0], [number], [1e12]])
    proto = onnx.load(tmp_path / "model.onnx")
    found = run_proto(onnxruntime, proto, {"age": ages, "sold": dates})
    assert found["problem"].tolist() == [bool(np.isinf(number)), True, False]
    assert np.isfinite(found["probabilities"]).all()
    values = {"age": ages[:, 0], "sold": dates[:, 0]}
    inputs = np.zeros((3, model.layer_sizes[0]))
    if C_COMPILER is not None:
        case = Subject(model, Table("rows", values), inputs, found["problem"], values)
        refused = rows_in_c(case, tmp_path)["found"][:, 0].tolist()
        assert refused == [int(np.isinf(number)), 2, 0]


def test_the_calendar_is_right_in_all_years(tmp_path):
    """From 290,000 years before our time to as many after it, with parts of seconds."""
    onnxruntime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    random = np.random.Generator(np.random.PCG64(11))
    days = np.concatenate([random.integers(-(10**8), 10**8, 3000), np.arange(-720000, 720000, 487)])
    edges = (days[:, np.newaxis] * 86400.0 + [0.0, -1e-6, 43200.5, 86399.999]).ravel()
    seconds = np.concatenate([edges, random.uniform(-LATEST, LATEST, 3000), [LATEST, -LATEST]])
    parts = date_parts(seconds)
    expected = np.stack([parts[part] for part in DATE_PARTS], axis=1)
    model = write_two_columns(tmp_path, [DateColumn("sold", parts=DATE_PARTS)], "float64")
    proto = graph_of(onnx, tmp_path / "model.onnx", "float64", len(DATE_PARTS))
    found = run_proto(onnxruntime, proto, {"sold": seconds[:, np.newaxis]})
    assert not found["problem"].any()
    np.testing.assert_array_equal(found["inputs.encoded"], expected)
    if C_COMPILER is not None:
        values = {"sold": seconds}
        case = Subject(model, Table("rows", values), expected, found["problem"], values)
        rows = rows_in_c(case, tmp_path)
        assert not rows["found"][:, 0].any()
        assert rows["x"].tobytes() == expected.tobytes()


# ---------------------------------------------------------------- both formats


def test_names_that_collide_are_told_apart():
    names = [
        "a b",
        "a-b",
        "a_b",
        "A b",
        "int",
        "column_int",
        "\u96ea",
        "",
        "1",
        "_x",
        "e\u0301t\u00e9",
    ]
    columns = [SimpleNamespace(name=name) for name in names]
    assert field_names(columns) == [
        "a_b_2", "a_b_3", "a_b", "A_b", "column_int_2", "column_int", "column_7", "column_8",
        "column_1", "x", "ete",
    ]  # fmt: skip
    assert input_names(columns) == [
        "a_b_2", "a_b_3", "a_b", "A_b", "int", "column_int", "column_7", "column_8", "column_1",
        "_x", "ete",
    ]  # fmt: skip


def test_every_kind_of_column_is_exported():
    """A kind that is added to `KINDS` needs a counterpart in both formats, and in the check."""
    assert set(onnx_columns._ADDERS) == set(random_rows._DRAWN) == set(MEANINGS)
    forms = {"category": {"text", "boolean", "category number"}}
    known = {form for kind in KINDS for form in forms.get(kind, {kind})}
    assert known == set(MEANINGS)


def test_every_white_space_is_trimmed():
    """The list is that of the texts that polars trims."""
    import polars

    characters = [chr(code) for code in range(1, 0x3100)]
    trimmed = polars.Series(characters).str.strip_chars()
    blank = {ord(c) for c, text in zip(characters, trimmed, strict=True) if text == ""}
    assert blank == {code for low, high in WHITE_SPACE for code in range(low, high + 1)}


@needs_c
def test_the_documentation_shows_programs_that_work(tmp_path, monkeypatch):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names, commands = pages.run("export.md", tmp_path)
    source = (tmp_path / "homes.c").read_text(encoding="utf-8")
    program = compiled(tmp_path, source, flags=("-ffp-contract=off",))
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == commands[-1].said.strip() == names["label"][0]


# ---------------------------------------------------------------- all formats


def test_a_network_with_its_preprocessing_beside_it(tmp_path):
    """What has the attributes network and preprocessing is a model too."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = subject(2, task="classification").model
    writers = {"onnx": to_onnx, "npz": to_npz, "h": to_c}
    for suffix, write in writers.items():
        write(model, tmp_path / f"one.{suffix}", **({"name": "net"} if suffix == "h" else {}))
    apart = SimpleNamespace(network=model.folded(), preprocessing=model.preprocessing)
    apart.network.preprocessing = None
    for suffix, write in writers.items():
        write(apart, tmp_path / f"two.{suffix}", **({"name": "net"} if suffix == "h" else {}))
        one, two = ((tmp_path / f"{n}.{suffix}").read_bytes() for n in ("one", "two"))
        assert one.replace(b"one.h", b"two.h") == two
    assert check(apart, tmp_path / "two.onnx")["passed"]
    with pytest.raises(TypeError, match=r"model must be a fastmlp\.MLP, got SimpleNamespace"):
        to_npz(SimpleNamespace(network="net", preprocessing=None), tmp_path / "x.npz")


def test_npz_holds_the_whole_preprocessing(tmp_path):
    model = subject(4, task="regression").model
    to_npz(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    config = json.loads(str(arrays["config"]))["preprocessing"]
    moments = {n.split(".")[1]: a for n, a in arrays.items() if n.startswith("preprocessing.")}
    assert Preprocessing.from_config(config, moments) == model.preprocessing


@pytest.mark.parametrize("write", [to_onnx, to_npz, to_c])
def test_a_preprocessing_of_another_network_is_refused(write, tmp_path):
    pytest.importorskip("onnx")
    model = subject(5, task="classification").model
    other = fastmlp.MLP([3, 4])
    other.preprocessing = model.preprocessing
    with pytest.raises(ValueError, match="must make the 3 inputs of the network, got"):
        write(other, tmp_path / "file")
    other = fastmlp.MLP([model.layer_sizes[0], 3])
    other.preprocessing = model.preprocessing
    with pytest.raises(ValueError, match="must name the 3 outputs of the network, got 4"):
        write(other, tmp_path / "file")
    assert not list(tmp_path.iterdir())
