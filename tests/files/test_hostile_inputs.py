"""Model files with wrong settings of inputs, mixes and members: a FormatError that says what."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear
from fastmlp.model_file import read_model, write_model
from fastmlp.network.network import Network
from support.tabular_networks import drawn

NESTED: list = []
for _ in range(9):
    NESTED = [NESTED]
PIECES = {"kind": "piecewise_linear", "edges": [[0.0, 1.0]]}
PERIODIC = {"kind": "periodic", "bases": 2, "outputs": 1}
BAD_GROUPS = [
    None, [], 3, "numbers", {}, {"kind": "tree"}, {"kind": ["numbers"]}, {"kind": None},
    {"kind": "numbers"} | {"columns": 0}, {"kind": "numbers", "columns": -1},
    {"kind": "numbers", "columns": 1.5}, {"kind": "numbers", "columns": True},
    {"kind": "numbers", "columns": 10**30}, {"kind": "numbers", "columns": "1"},
    {"kind": "numbers", "columns": 1, "clip": -1.0}, {"kind": "numbers", "columns": 1, "clip": "x"},
    {"kind": "numbers", "columns": 1, "clip": 1e300},
    {"kind": "numbers", "columns": 1, "clip": 1e-60},
    {"kind": "numbers", "columns": 1, "clip": 10**400}, {"kind": "numbers", "clips": 1.0},
    {"kind": "numbers", "embedding": 3}, {"kind": "numbers", "embedding": {"kind": "numbers"}},
    {"kind": "numbers", "embedding": {"kind": "spline"}}, {"kind": "numbers", "embedding": []},
    {"kind": "one_hot"}, {"kind": "one_hot", "levels": 0}, {"kind": "one_hot", "levels": 2**24 + 1},
    {"kind": "one_hot", "levels": 2.0}, {"kind": "one_hot", "levels": 3, "values": [1.0]},
    {"kind": "one_hot", "levels": 2, "values": [0.0, 1.0, 1e300]},
    {"kind": "one_hot", "levels": 2, "values": ["0", "1", "2"]},
    {"kind": "one_hot", "levels": 2, "values": 3}, {"kind": "one_hot", "levels": 3, "columns": 2},
    {"kind": "one_hot", "levels": 3, "embedding": PERIODIC},
    {"kind": "category"}, {"kind": "category", "levels": -1}, {"kind": "category", "levels": 2**40},
    {"kind": "category", "levels": 3, "size": 0}, {"kind": "category", "levels": 3, "size": None},
    {"kind": "category", "levels": 10**400},
]  # fmt: skip
BAD_EMBEDDINGS = [
    PIECES | {"edges": []}, PIECES | {"edges": [[]]}, PIECES | {"edges": [0.0]},
    PIECES | {"edges": [1.0, 0.0]}, PIECES | {"edges": [1.0, 1.0]}, PIECES | {"edges": None},
    PIECES | {"edges": "many"}, PIECES | {"edges": {}}, PIECES | {"edges": [[0.0, 1.0], [0.0]]},
    PIECES | {"edges": [0.0, 10**400]}, PIECES | {"edges": [[[0.0, 1.0]]]},
    PIECES | {"edges": NESTED},
    PIECES | {"edges": [[0.0, 1.0], [0.0, 2.0]]}, PIECES | {"edges": [1.0, 1.0 + 1e-12]},
    PIECES | {"edges": [0.0, 1e-60]}, PIECES | {"edges": [0.0, 1e300]},
    PIECES | {"edges": [-3e38, 3e38]}, PIECES | {"edges": [0.0, 1e-42]}, PIECES | {"outputs": -1},
    PIECES | {"relu": 1}, PIECES | {"bins": 3}, {"kind": "piecewise_linear"},
    PERIODIC | {"bases": 0}, PERIODIC | {"bases": 3, "phases": False}, PERIODIC | {"bases": 2.5},
    PERIODIC | {"deviation": -1.0}, PERIODIC | {"deviation": 1e300}, PERIODIC | {"deviation": None},
    PERIODIC | {"phases": "yes"}, PERIODIC | {"keeps_value": None}, PERIODIC | {"frequency": 1.0},
]  # fmt: skip
BAD_INPUTS = [
    *([group] for group in BAD_GROUPS),
    *([{"kind": "numbers", "columns": 1, "embedding": item}] for item in BAD_EMBEDDINGS),
    [{"kind": "numbers", "columns": 2}], [{"kind": "numbers"}, {"kind": "numbers"}], "numbers", 3,
    {"kind": "numbers"}, {"0": {"kind": "numbers"}},
]  # fmt: skip
BAD_FURTHER = [
    {"input_scaling": 1}, {"input_scaling": "yes"}, {"input_scaling": [True]},
    {"parametric": 1}, {"parametric": [True, True, True]}, {"parametric": "all"},
    {"members": 0}, {"members": -1}, {"members": 2**16 + 1}, {"members": 1.5}, {"members": "2"},
    {"members": 10**400}, {"sharing": "nothing"}, {"sharing": 3}, {"sharing": ["tabm"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Tensors and config of a model with one number, one hidden layer and two outputs."""
    model = fastmlp.MLP([1, 3, 2], inputs=[Numbers(1)], input_scaling=True, parametric=True)
    path = tmp_path_factory.mktemp("inputs") / "m.fastmlp"
    model.save(path)
    return read_model(path)


@pytest.fixture
def changed(stored, tmp_path):
    """A function that writes the model with a changed config."""
    tensors, config = stored

    def write(**changes):
        path = tmp_path / "m.fastmlp"
        write_model(path, dict(tensors), config | changes)
        return path

    return write


@pytest.fixture
def _no_network(monkeypatch):
    """Let no network be made, so that nothing is allocated for one that is refused."""

    def forbidden(self, architecture):
        raise AssertionError(f"a network of {architecture} was made")

    monkeypatch.setattr(Network, "__init__", forbidden)


def test_the_unchanged_model_is_read(changed):
    assert fastmlp.load(changed()).architecture.input_scaling


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("inputs", BAD_INPUTS, ids=lambda value: repr(value)[:70])
def test_wrong_inputs(inputs, changed):
    with pytest.raises(fastmlp.FormatError, match="does not describe a model"):
        fastmlp.load(changed(inputs=inputs))


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("further", BAD_FURTHER, ids=lambda value: repr(value)[:70])
def test_wrong_settings(further, changed):
    with pytest.raises(fastmlp.FormatError, match="does not describe a model"):
        fastmlp.load(changed(**further))


# ---------------------------------------------------------------- what is right comes back


@pytest.mark.parametrize("seed", range(40), indirect=True)
def test_random_networks_come_back(seed, tmp_path):
    case = drawn(seed)
    path = tmp_path / "m.fastmlp"
    case.model.save(path)
    loaded = fastmlp.load(path)
    loaded = getattr(loaded, "network", loaded)
    assert loaded.architecture.config() == case.model.architecture.config()
    for name, array in case.model.parameters().items():
        np.testing.assert_array_equal(loaded.parameters()[name], array)


@pytest.mark.parametrize("seed", range(40), indirect=True)
def test_each_missing_or_misshapen_tensor_is_named(seed, tmp_path):
    case = drawn(seed)
    path = tmp_path / "m.fastmlp"
    case.model.save(path)
    tensors, config = read_model(path)
    for name in case.model.parameters():
        write_model(path, {n: a for n, a in tensors.items() if n != name}, dict(config))
        with pytest.raises(fastmlp.FormatError, match=f"{name} is missing"):
            fastmlp.load(path)
        write_model(path, tensors | {name: np.zeros((1, 1, 1, 1), case.model.dtype)}, dict(config))
        with pytest.raises(fastmlp.FormatError, match=f"{name} must have shape"):
            fastmlp.load(path)


# ---------------------------------------------------------------- the same for arguments


@pytest.mark.parametrize(
    "group",
    [
        lambda: Numbers(1, clip=1e-60),
        lambda: Numbers(1, clip=1e300),
        lambda: Numbers(1, embedding=Periodic(deviation=1e300)),
        lambda: Numbers(1, embedding=PiecewiseLinear([1.0, 1.0 + 1e-12])),
        lambda: Numbers(1, embedding=PiecewiseLinear([-3e38, 3e38])),
        lambda: OneHot(2, values=(0.0, 1.0, 1e300)),
    ],
)
def test_numbers_that_single_precision_cannot_hold(group):
    """They would be infinite, 0, or bins of no width, and make NaN; double precision has them."""
    with pytest.raises(ValueError, match='float32.*dtype="float64"'):
        fastmlp.MLP([1, 2], inputs=[group()])
    model = fastmlp.MLP([1, 2], inputs=[group()], dtype="float64")
    assert np.isfinite(model.forward([[1.0], [0.0], [-5.0]])).all()


def test_large_columns_take_no_memory_to_describe():
    group = Numbers(10**9, embedding=PiecewiseLinear([0.0, 1.0, 2.0], outputs=3))
    assert group.width == 3 * 10**9
    assert group.parameter_shapes() == {"maps": (2, 3), "map_biases": (3,)}
    assert Category(2**24, size=10**9).width == 10**9
