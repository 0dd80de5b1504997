"""Networks for tables in what a model does: files, copies, resumption, solvers, freezing.

The networks are random ones with inputs, scales, mixes or members.
"""

from __future__ import annotations

import copy
import os
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear
from support import random_networks
from support.tolerance import assert_same_bits

SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())
CASES = 12
TABLE = {"inputs", "input_scaling", "members"}
RULES = ("sgd", "momentum", "adam", "nadam", "centred_rmsprop_momentum")
SETTINGS = {"momentum": 0.9, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "learning_rate": 0.01}


def drawn_case(seed: int) -> random_networks.Case:
    """Return a random case with one of the keywords of TABLE, and without a function as loss."""
    for number in range(200):
        case = random_networks.case(seed + 7919 * number)
        if TABLE & case.model.keys() and not callable(case.model["loss"]):
            return case
    raise AssertionError("no case has an input stage")


def model_of(case: random_networks.Case) -> fastmlp.MLP:
    options = dict(case.model)
    model = fastmlp.MLP(options.pop("layer_sizes"), **options)
    if case.frozen:
        model.freeze(case.frozen)
    return model


def assert_equal(actual: Any, expected: Any, what: str) -> None:
    assert actual.keys() == expected.keys(), what
    for name, array in expected.items():
        assert_same_bits(actual[name], array, f"{name}, {what}")


cases = pytest.mark.parametrize("number", range(CASES))


@cases
@pytest.mark.parametrize("way", ["copy", "pickle", "file"])
def test_a_copy_is_the_model(number: int, way: str, tmp_path: Any) -> None:
    case = drawn_case(SEED + number)
    what = f"FASTMLP_SEED={SEED}, {case}"
    model = model_of(case)
    if way == "file":
        model.save(tmp_path / "model")
        twin = fastmlp.load(tmp_path / "model")
    else:
        twin = copy.deepcopy(model) if way == "copy" else pickle.loads(pickle.dumps(model))
    assert twin.architecture == model.architecture, what
    assert_equal(twin.parameters(), model.parameters(), what)
    assert_same_bits(twin.forward(case.x), model.forward(case.x), what)


def core_run(model: fastmlp.MLP, case: random_networks.Case, rule: str, threads: int) -> Any:
    return model._core_run(case.fit["batch_size"], rule, threads)


@cases
def test_a_run_goes_on_at_any_step(number: int) -> None:
    """In a new run of a new model, from the arrays of the state: also within an epoch."""
    case = drawn_case(SEED + number)
    rng = np.random.default_rng([SEED + number, 9])
    rule = str(rng.choice(RULES))
    settings = SETTINGS | ({"clip_norm": 0.5} if rng.integers(2) else {})
    settings |= {"average_decay": 0.9} if rng.integers(2) else {}
    model = model_of(case)
    data = model._data(case.x, case.y, case.fit.get("sample_weight"))
    steps = -(-len(data) // case.fit["batch_size"])
    names = [name for name in model.parameters() if rng.random() < 0.5]
    rates = [
        (name.split(".")[2], int(name.split(".")[1]), 0.5, 1.0, 2.0)
        for name in names
        if not name.endswith((".means", ".variances"))
    ]
    by_step = rng.uniform(0, 1.5, (2, steps))

    def train(run: Any, trained: fastmlp.MLP, epoch: int, first: int, count: int) -> Any:
        return run.run_epoch(
            data.rows, data.targets, settings, sample_weight=data.sample_weight, epoch=epoch,
            seed=trained.architecture.seed, first_step=first, steps=count,
            trainable=trained._trainable_flags(), rates=rates,
            learning_rates=list(0.01 * by_step[epoch, first:]),
            decays=list(by_step[epoch, first:]), dropout_factors=list(by_step[epoch, first:]),
        )  # fmt: skip

    whole = core_run(model, case, rule, 1)
    reports = [train(whole, model, epoch, 0, -1) for epoch in range(2)]
    what = f"FASTMLP_SEED={SEED}, {rule}, {case}"
    if any(report["status"] != "completed" for report in reports):
        pytest.skip("the training diverges")
    other = model_of(case)
    run = core_run(other, case, rule, 2)
    for epoch in range(2):
        done = 0
        while done < steps:
            count = int(rng.integers(1, steps - done + 1))
            report = train(run, other, epoch, done, count)
            done += count
            fresh = model_of(case)
            fresh.set_parameters(other.parameters())
            state = run.state(with_start=True)
            other, run = fresh, core_run(fresh, case, rule, int(rng.integers(1, 4)))
            run.restore(state)
        assert report["loss_sum"] == reports[epoch]["loss_sum"], what
        assert report["correct"] == reports[epoch]["correct"], what
    assert_equal(other.parameters(), model.parameters(), what)
    assert_equal(run.state(), whole.state(), what)


@pytest.mark.filterwarnings("ignore:LBFGS ended before")
@cases
def test_lbfgs_descends(number: int) -> None:
    """Along the gradient of all parameters: its loss is that of the model it leaves."""
    pytest.importorskip("scipy")
    case = drawn_case(SEED + number)
    options = {**case.model, "dtype": "float64", "compute_dtype": None, "dropout": 0.0}
    case = replace(case, model=options, frozen=[])
    model = model_of(case)
    if any(model.architecture.batch_normalization):
        model.freeze([i for i, own in enumerate(model.architecture.batch_normalization) if own])
    data = model._data(case.x, case.y, None)
    before = model._gradients(data, False, False, 1)[0]
    start = model.parameters()
    model.fit(case.x, case.y, epochs=3, optimizer=fastmlp.LBFGS(), verbose=0)
    after = model._gradients(data, False, False, 1)[0]
    what = f"FASTMLP_SEED={SEED}, {before} -> {after}, {case}"
    assert after <= before, what
    moved = {n for n, array in model.parameters().items() if not np.array_equal(array, start[n])}
    gradients = model._gradients(data, False, False, 1)[1]
    if after < before * (1 - 1e-9) and not any(model.architecture.batch_normalization):
        for kind in ("tables", "maps", "input_scales", "mixes"):
            trained = any(np.any(g) for g in gradients[kind])
            assert not trained or any(kind in name for name in moved), f"{kind}, {what}"


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_frozen_first_layer_keeps_its_inputs(members: int, threads: int) -> None:
    inputs = [Numbers(3, embedding=Periodic()), OneHot(4), Category(5, 3)]
    rng = np.random.default_rng(0)
    x = np.hstack([rng.standard_normal((50, 3)), rng.integers(-1, 5, (50, 2))])
    y = rng.integers(0, 3, 50)
    model = fastmlp.MLP(
        [5, 8, 7, 3], inputs=inputs, input_scaling=True, parametric=True, members=members
    )
    model.freeze(0)
    before = model.parameters()
    model.fit(x, y, epochs=2, batch_size=16, threads=threads, verbose=0)
    for name, array in model.parameters().items():
        first = name.startswith(("layers.0.", "inputs."))
        assert np.array_equal(array, before[name]) == first, name
    model.unfreeze(0)
    model.fit(x, y, epochs=2, batch_size=16, threads=threads, verbose=0)
    for name, array in model.parameters().items():
        assert not np.array_equal(array, before[name]), name


@cases
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batches_smaller_than_the_team(number: int, batch: int) -> None:
    case = drawn_case(SEED + number)
    samples = min(case.x.shape[0], 7)
    y = [own[:samples] for own in case.y] if isinstance(case.y, list) else case.y[:samples]
    model = dict(case.model)
    if batch < 3 or samples < 3:  # no batch of one sample
        model["batch_normalization"] = False
    case = replace(case, model=model)
    trained = []
    for threads in (1, 7):
        own = model_of(case)
        try:
            own.fit(
                case.x[:samples], y, epochs=2, batch_size=batch, threads=threads, verbose=0,
                optimizer=fastmlp.Adam(0.001),
            )  # fmt: skip
        except fastmlp.DivergedError:
            pytest.skip("the training diverges")
        trained.append(own.parameters())
    assert_equal(trained[1], trained[0], f"FASTMLP_SEED={SEED}, {case}")


def test_codes_that_are_none_share_the_last_row() -> None:
    """Of the table; a fraction is cut off, and one-hot inputs are the values for unknown codes."""
    codes = np.array([[0.0], [1.0], [2.0], [-1.0], [3.0], [1e9], [1.5], [-0.5], [2.999]])
    rows = [0, 1, 2, 3, 3, 3, 1, 3, 2]
    model = fastmlp.MLP([1, 2], inputs=[Category(3, 2)], dtype="float64", initializer="zeros")
    table = np.arange(8.0).reshape(1, 4, 2)
    weights = {"layers.0.weights": np.eye(2), "layers.0.biases": np.zeros(2)}
    model.set_parameters({"inputs.0.tables": table, **weights})
    np.testing.assert_array_equal(model.forward(codes), table[0, rows])
    model = fastmlp.MLP([1, 3], inputs=[OneHot(3)], dtype="float64")
    weights = {"layers.0.weights": np.eye(3), "layers.0.biases": np.zeros(3)}
    model.set_parameters(weights)
    np.testing.assert_array_equal(model.forward(codes), np.eye(4, 3)[rows])
    core = _core.Network64(model.architecture.spec())
    for kind, index, array in [("weights", 0, np.eye(3)), ("biases", 0, np.zeros(3))]:
        core.set(kind, index, array)
    run = _core.Run64(core, 1, "sgd", 1)
    for code in (np.nan, np.inf, -np.inf):  # of a program that changes samples while they are read
        run.run_epoch(np.array([[code]]), [np.zeros(1, np.int64)], {"learning_rate": 0.0})
        with pytest.raises(ValueError, match="x must be finite"):
            core.forward(np.array([[code]]), "none", 1)


def test_samples_of_bytes_and_floats_have_the_same_codes() -> None:
    inputs = [Category(200, 3), OneHot(5), Numbers(1)]
    x = np.random.default_rng(0).integers(0, 256, (60, 3)).astype(np.uint8)
    x[:, 1] %= 7
    for dtype in ("float32", "float64"):
        model = fastmlp.MLP([3, 8, 2], inputs=inputs, dtype=dtype)
        assert_same_bits(model.forward(x), model.forward(x.astype(dtype)))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (Numbers(embedding=PiecewiseLinear([1.0, 1.0 + 1e-9, 2.0])), "edges must be apart"),
        (Numbers(embedding=PiecewiseLinear([0.0, 1e-40])), "edges must be apart"),
        (Numbers(embedding=PiecewiseLinear([0.0, 1e300])), "edges must be apart, and not too far"),
        (Numbers(clip=1e-300), "clip must not be rounded to 0"),
        (Numbers(clip=1e300), "clip must be finite in float32"),
        (Numbers(embedding=Periodic(deviation=1e300)), "deviation must be finite in float32"),
        (OneHot(2, values=(1e300, 0.0, 0.0)), "values must be finite in float32"),
    ],
)
def test_numbers_of_inputs_fit_the_dtype(group: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fastmlp.MLP([1, 2], inputs=[group])
    model = fastmlp.MLP([1, 2], inputs=[group], dtype="float64")
    assert np.isfinite(model.forward(np.array([[-1.0], [1.5], [1e3]]))).all()


def test_codes_are_not_scaled() -> None:
    for group in (OneHot(3), Category(3)):
        with pytest.raises(ValueError, match="input_scale must be 1"):
            fastmlp.MLP([1, 2], inputs=[group], input_scale=0.5)
    fastmlp.MLP([1, 2], inputs=[Numbers()], input_scale=0.5)
