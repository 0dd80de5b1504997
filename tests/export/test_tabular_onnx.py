"""Networks for tables in ONNX: inputs, factors, mixes and members, of random architectures."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Preprocessing
from fastmlp.export import check, to_npz, to_onnx
from fastmlp.export.check import _first_inputs, _pre_activations
from fastmlp.export.inference import describe
from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear
from fastmlp.network.architecture import architecture_from_config
from support.c_programs import C_COMPILER, rows_in_c
from support.export_models import predictions
from support.export_tables import served, subject
from support.tabular_networks import drawn, hostile_rows, saturated, shaken

# Of probabilities, and of other outputs by the largest of them. Seen in 1500 networks: 3.6e-6 and
# 5.0e-15.
TOLERANCES = {"float32": 1e-5, "float64": 1e-13}


@pytest.fixture
def onnx():
    return pytest.importorskip("onnx")


@pytest.fixture
def session_of(onnx):
    onnxruntime = pytest.importorskip("onnxruntime")

    def session(path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    return session


def run(session, x):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x}), strict=True))


def assert_same(found, expected, dtype, message):
    assert found.keys() == expected.keys(), message
    for name, values in expected.items():
        if name == "label":
            continue
        assert found[name].shape == values.shape, message
        size = 1.0 if name == "probabilities" else max(np.abs(values).max(), 1e-30)
        bound = TOLERANCES[str(dtype)] * size
        assert np.isfinite(found[name]).all(), message
        assert np.abs(found[name] - values).max() <= bound, f"{name}, {message}"


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_networks(first, session_of, tmp_path):
    for seed in range(first, first + 20):
        case = drawn(seed)
        to_onnx(case.model, tmp_path / "net.onnx")
        session = session_of(tmp_path / "net.onnx")
        expected = predictions(case.model, case.x)
        found = run(session, case.x)
        assert_same(found, expected, case.model.dtype, str(case))
        empty = run(session, case.x[:0])
        assert all(len(array) == 0 for array in empty.values()), case


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_networks_pass_the_check_for_users(first, session_of, tmp_path):
    for seed in range(first, first + 20):
        case = drawn(seed)
        to_onnx(case.model, tmp_path / "net.onnx")
        result = check(case.model, tmp_path / "net.onnx")
        assert result["passed"], f"{result}, {case}"


@pytest.mark.parametrize("sharing", ["tabm", "tabm-mini", "packed"])
def test_thresholds_of_members_are_left_out_of_the_check(sharing, session_of, tmp_path):
    groups = [Numbers(2, embedding=PiecewiseLinear([-1.0, 0.0, 2.0])), Category(4)]
    model = fastmlp.MLP(
        [3, 6, 5, 3], activation=["step", "sign"], inputs=groups, members=3, sharing=sharing, seed=2
    )
    shaken(model, np.random.default_rng(1))
    to_onnx(model, tmp_path / "net.onnx")
    result = check(model, tmp_path / "net.onnx")
    assert result["passed"]
    assert result["samples"] > 200


@pytest.mark.parametrize("seed", range(20))
def test_sums_whose_sign_the_check_looks_at(seed):
    """A step is 1 where the sum before it is above 0: of each member, scaled and normalized."""
    case = drawn(seed, activation="step", dtype="float64", parametric=False)
    hidden = case.model.hidden_activations(case.x)
    layers = describe(case.model).layers
    inputs = [_first_inputs(case.model, case.x), *hidden]
    for before, after, layer in zip(inputs, hidden, layers, strict=False):
        z, size = _pre_activations(before, layer)
        clear = np.abs(z) > 1e-9 * size
        assert clear.mean() > 0.5, case
        np.testing.assert_array_equal((z > 0)[clear], (after.reshape(z.shape) > 0)[clear])


def test_hostile_samples(session_of, tmp_path):
    """Large and tiny numbers in all columns, also where codes are expected."""
    for seed in range(40):
        case = drawn(seed, exact=True, input_scale=1.0)
        x = hostile_rows(case.model, case.model.dtype)
        to_onnx(case.model, tmp_path / "net.onnx")
        expected = predictions(case.model, x)
        assert_same(
            run(session_of(tmp_path / "net.onnx"), x), expected, case.model.dtype, str(case)
        )


@pytest.mark.parametrize("phases", [False, True])
def test_many_turns(phases, dtype, session_of, tmp_path):
    """A cosine of 1e5 turns; in float64 the sum of turns and phase rounds twice."""
    embedding = Periodic(
        bases=4, outputs=2, deviation=30.0, phases=phases, keeps_value=False
    )  # fmt: skip
    model = fastmlp.MLP(
        [2, 3], inputs=[Numbers(2, embedding=embedding)], loss="hinge", dtype=dtype, seed=1
    )
    x = np.random.default_rng(3).uniform(-3000, 3000, (50, 2)).astype(dtype)
    to_onnx(model, tmp_path / "net.onnx")
    found = run(session_of(tmp_path / "net.onnx"), x)["scores"]
    bound = 1e-5 if dtype == "float32" else 1e-10 if phases else 1e-13
    assert np.abs(found - model.forward(x)).max() <= bound * np.abs(found).max()


LOSSES = ["softmax_cross_entropy", "binary", "multilabel", "poisson", "several"]


@pytest.mark.parametrize("loss", LOSSES)
def test_members_that_are_certain(loss, dtype, session_of, tmp_path):
    """Means of probabilities of 0 and 1 have finite logits, also beyond what rounds to 1."""
    model, x = saturated(loss, dtype)
    to_onnx(model, tmp_path / "net.onnx")
    found = run(session_of(tmp_path / "net.onnx"), x)
    assert_same(found, predictions(model, x), dtype, loss)
    assert np.isfinite(model.forward(x)).all()


def test_unknown_codes_share_the_last_row(session_of, tmp_path):
    model = fastmlp.MLP([1, 2], inputs=[Category(3, size=2)], loss="mse")
    table = np.array([[[1.0, 0], [0, 1], [2, 2], [7, -7]]])
    parameters = {"inputs.0.tables": table, "layers.0.weights": np.eye(2)}
    model.set_parameters(model.parameters() | parameters)
    to_onnx(model, tmp_path / "net.onnx")
    x = np.array([[0], [1], [2.9], [3], [-0.1], [-1], [1e30], [-0.0]], np.float32)
    found = run(session_of(tmp_path / "net.onnx"), x)["y"]
    np.testing.assert_array_equal(found, table[0][[0, 1, 2, 3, 3, 3, 3, 0]])
    np.testing.assert_array_equal(found, model.forward(x))


def test_members_are_one_product(onnx, tmp_path):
    """One node per layer, whatever the number of members."""
    kinds = {}
    for members in (2, 9):
        model = fastmlp.MLP([4, 8, 6, 3], members=members, parametric=True)
        to_onnx(model, tmp_path / "net.onnx")
        graph = onnx.load(tmp_path / "net.onnx").graph
        kinds[members] = [node.op_type for node in graph.node]
    assert kinds[2] == kinds[9]
    assert kinds[9].count("MatMul") == 3


def test_only_standard_operators(onnx, tmp_path):
    for seed in range(30):
        to_onnx(drawn(seed).model, tmp_path / "net.onnx")
        proto = onnx.load(tmp_path / "net.onnx")
        assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 17)]
        assert {node.domain for node in proto.graph.node} == {""}


# ---------------------------------------------------------------- inside a table's export


def embedded(case, seed):
    """The case with a network of members whose numbers are embedded."""
    random = np.random.default_rng(seed)
    old, features = case.model, case.model.layer_sizes[0]
    first = features // 2
    edges = np.sort(random.standard_normal(5))
    groups = [
        Numbers(first, embedding=Periodic(bases=4, outputs=2), clip=3.0),
        Numbers(features - first, embedding=PiecewiseLinear(edges, outputs=2)),
    ]
    model = fastmlp.MLP(
        old.layer_sizes, loss=old.architecture.losses[0], dtype=old.dtype.name, inputs=groups,
        activation="mish", input_scaling=True, parametric=True, members=3,
        sharing=str(random.choice(["tabm", "tabm-mini", "packed"])),
    )  # fmt: skip
    shaken(model, random)
    model.preprocessing = old.preprocessing
    return dataclasses.replace(case, model=model)


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_rows_of_tables(task, dtype, session_of, tmp_path):
    pytest.importorskip("polars")
    for seed in range(3):
        case = embedded(subject(seed, task=task, dtype=dtype), seed)
        to_onnx(case.model, tmp_path / "net.onnx")
        result = check(case.model, tmp_path / "net.onnx")
        assert result["passed"], result


@pytest.mark.skipif(C_COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_rows_of_tables_in_c(task, dtype, tmp_path):
    pytest.importorskip("polars")
    case = embedded(subject(5, task=task, dtype=dtype), 5)
    kept, x = served(case)
    found = rows_in_c(case, tmp_path)
    expected = case.model.forward(x)
    if task == "regression":
        expected = case.model.preprocessing.decode(expected)
    bound = TOLERANCES[dtype] * np.abs(expected).max()
    np.testing.assert_array_equal(found["found"][:, 0] != 0, case.refused)
    assert np.abs(found["outputs"][kept] - expected).max() <= bound


def test_standardized_samples(session_of, tmp_path):
    """A preprocessing of arrays in front of an input stage."""
    model = fastmlp.MLP(
        [3, 6, 2], inputs=[Numbers(2, embedding=Periodic()), OneHot(3)], members=2, seed=4
    )
    mean, deviation = np.array([1900.123, 5.0, 0.0]), np.array([1.7, 0.3, 1.0])
    model.preprocessing = Preprocessing(
        "classification", 3, class_names=("a", "b"), input_mean=mean, input_scale=deviation
    )
    x = mean + deviation * np.random.default_rng(0).standard_normal((30, 3))
    x[:, 2] = np.arange(30) % 4
    x = x.astype(np.float32)
    to_onnx(model, tmp_path / "net.onnx")
    expected = predictions(model, model.preprocessing.inputs(x))
    assert_same(run(session_of(tmp_path / "net.onnx"), x), expected, "float32", "standardized")


# ---------------------------------------------------------------- NPZ


def test_npz_holds_all_parameters_under_their_names(tmp_path):
    for seed in range(20):
        case = drawn(seed)
        to_npz(case.model, tmp_path / "net.npz")
        with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
            for name, array in case.model.parameters().items():
                np.testing.assert_array_equal(arrays[name], array, err_msg=str(case))
            config = json.loads(str(arrays["config"]))
        arguments = architecture_from_config(config["model"])
        again = fastmlp.MLP(arguments.pop("layer_sizes"), **arguments)
        assert again.architecture.config() == case.model.architecture.config()
        again.set_parameters(case.model.parameters())
