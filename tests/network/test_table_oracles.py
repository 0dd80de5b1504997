"""Networks for tables against other implementations, layer by layer and step by step.

From the same weights and samples the inputs, pre-activations, activations, loss, gradients and
parameters after 1, 5 and 20 steps are those of pytabkit's RealMLP and of TabM's package, to 1e-10
in float64 and 1e-6 in float32, relative to the largest element of an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.model_oracles import Factors, oracle_of
from support.pytabkit_values import TABM_CASES, RealMLPTask, under
from support.table_oracles import DType, RealMLP, TabM, input_places

Array = NDArray[Any]
BOUNDS: dict[str, float] = {"float32": 1e-6, "float64": 1e-10}
TASKS: tuple[RealMLPTask, ...] = ("classes", "regression")
STEPS = 20
PLAIN_CASES = ("tabm", "tabm-mini", "tabm-packed")
tasks = pytest.mark.parametrize("task", TASKS)
tabm_cases = pytest.mark.parametrize("case", TABM_CASES)


def assert_close(actual: Any, expected: Array, bound: float, what: str) -> None:
    expected = np.asarray(expected, np.float64)
    assert np.shape(actual) == expected.shape, what
    error = float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))
    assert error <= bound, f"{what}: {error:.3g} of {bound}"


def bound_of(dtype: str, exact: Array, single: Array) -> float:
    """Return the bound, or three times the error of the other implementation in float32.

    At RealMLP's rate for regressions, 0.2, its own float32 parameters are up to 4e-6 off after 20
    steps; sums of residuals that cancel, as the last biases' gradient, lose as much at once.
    """
    if dtype == "float64":
        return BOUNDS[dtype]
    distance = np.max(np.abs(single.astype(np.float64) - exact)) / np.max(np.abs(exact))
    return max(BOUNDS[dtype], 3 * float(distance))


def with_parameters(model: Any, parameters: dict[str, Array]) -> Any:
    """Set those that the model has."""
    own = model.parameters()
    model.set_parameters({name: parameters.get(name, array) for name, array in own.items()})
    return model


# ---------------------------------------------------------------- RealMLP


@tasks
def test_inputs_of_realmlp(task: RealMLPTask, dtype: DType) -> None:
    net = RealMLP(task, dtype)
    start, rows = net.parameters("start"), net.values["batches"][0]
    start["layers.0.weights"] = np.eye(33)
    for name, scaled in (("inputs", False), ("scaled", True)):
        model = with_parameters(net.model(inputs_only=True, scaled=scaled), start | zeros(33))
        expected = net.values[f"f64/stage/{name}"][:, input_places()]
        assert_close(model.forward(net.x[rows]), expected, BOUNDS[dtype], name)


def zeros(outputs: int) -> dict[str, Array]:
    return {"layers.0.biases": np.zeros(outputs)}


@tasks
def test_layers_of_realmlp(task: RealMLPTask, dtype: DType) -> None:
    net = RealMLP(task, dtype)
    start, rows = net.parameters("start"), net.values["batches"][0]
    stages = under(net.values, "f64/stage")
    for layers in range(1, 5):
        last = f"layers.{layers - 1}.biases"
        model = with_parameters(net.model(layers), start)
        shape = (len(rows), -1)
        expected = stages[f"preactivation{layers - 1}"].reshape(shape)
        assert_close(model.forward(net.x[rows]), expected, BOUNDS[dtype], f"layer {layers}")
        hidden = model.hidden_activations(net.x[rows])
        for layer, values in enumerate(hidden):
            expected = stages[f"activation{layer}"]
            assert_close(values, expected, BOUNDS[dtype], f"activation {layer}")
        model = with_parameters(net.model(layers), start | {last: 0 * start[last]})
        expected = stages[f"product{layers - 1}"].reshape(shape)
        assert_close(model.forward(net.x[rows]), expected, BOUNDS[dtype], f"product {layers}")
    y = net.values["y"].astype(np.float64)
    outputs = with_parameters(net.model(), start).forward(net.x[rows])
    if task == "regression":
        outputs = np.clip(outputs[:, 0] * y.std() + y.mean(), y.min(), y.max())
    expected = stages["prediction"].reshape(outputs.shape)
    assert_close(outputs, expected, BOUNDS[dtype], "prediction")


@tasks
def test_gradients_of_realmlp(task: RealMLPTask, dtype: DType) -> None:
    net = RealMLP(task, dtype)
    model = with_parameters(net.model(), net.parameters("start"))
    rows = net.values["batches"][0]
    data = model._data(net.x[rows], net.y[rows])
    loss, found = model._gradients(data, True, False, 1)
    assert loss == pytest.approx(net.values["f64/loss"][0], rel=BOUNDS[dtype])
    left = {kind: iter(arrays) for kind, arrays in found.items()}
    gradients, single = net.gradients("f64"), net.gradients("f32")
    assert gradients.keys() == model.parameters().keys()
    for name in model.parameters():
        actual = next(left[name.split(".")[2]])
        bound = bound_of(dtype, gradients[name], single[name])
        assert_close(actual, gradients[name], bound, name)


def trained(net: Any, model: Any, rule: str, settings: dict[str, float], factors: Any) -> Any:
    """Yield the number of steps, their losses and the parameters after 1, 5 and 20 steps."""
    run = model._core_run(32, rule, 2)
    rows = net.values["batches"].ravel()
    data = model._data(net.x[rows], net.y[rows])
    rates = [
        (name.split(".")[2], int(name.split(".")[1]), own.rate, own.decay, own.epsilon)
        for name, own in factors.items()
    ]
    stored = net.values
    first = 0
    for end in (1, 5, STEPS):
        by_step: dict[str, Any] = {}
        if "f64/rate" in stored:
            by_step["learning_rates"] = list(stored["f64/rate"][first:end])
            by_step["decays"] = list(stored["f64/decay"][first:end])
        report = run.run_epoch(
            data.rows, data.targets, settings, shuffle=False, first_step=first,
            steps=end - first, rates=rates, record_losses=True, **by_step,
        )  # fmt: skip
        assert report["steps"] == end - first
        yield end, np.array(report["step_losses"]), model.parameters()
        first = end


@tasks
def test_steps_of_realmlp(task: RealMLPTask, dtype: DType) -> None:
    net = RealMLP(task, dtype)
    model = with_parameters(net.model(), net.parameters("start"))
    settings = {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}
    for steps, losses, actual in trained(net, model, "adam", settings, net.factors()):
        first = steps - len(losses)
        both = [net.values[f"{kind}/loss"] for kind in ("f64", "f32")]
        assert_close(losses, both[0][first:steps], bound_of(dtype, *both), f"losses to {steps}")
        for name, array in actual.items():
            exact = net.parameters(f"f64/after{steps}")[name]
            bound = bound_of(dtype, exact, net.parameters(f"f32/after{steps}")[name])
            assert_close(array, exact, bound, f"{name} after {steps}")


# ---------------------------------------------------------------- TabM


@tabm_cases
def test_outputs_of_tabm(case: str, dtype: DType) -> None:
    """Those of each member are the outputs of a training step; the core gives their mean."""
    net = TabM(case, dtype)
    rows = net.values["batches"][0]
    model = with_parameters(net.model(), net.parameters(net.start) | net.embeddings())
    stored = net.values["f64/outputs"].transpose(1, 0, 2)
    if net.is_regression:
        expected = stored.mean(axis=0)
        assert_close(model.forward(net.x[rows]), expected, BOUNDS[dtype], "mean")
    else:
        shares = np.exp(stored) / np.exp(stored).sum(axis=2, keepdims=True)
        expected = shares.mean(axis=0)
        assert_close(model.predict_proba(net.x[rows]), expected, BOUNDS[dtype], "mean")
    _, outputs = oracle_of(model).trace(net.x[rows], False)
    assert_close(outputs, stored, 1e-6 if dtype == "float32" else 1e-10, "the oracle's members")
    # The last hidden layer of the core, through the heads.
    parameters = net.parameters(net.start)
    hidden = np.moveaxis(model.hidden_activations(net.x[rows])[-1].astype(np.float64), 1, 0)
    members = hidden @ parameters["layers.2.weights"] + parameters["layers.2.biases"][:, None]
    assert_close(members, stored, BOUNDS[dtype], "members")


@tabm_cases
def test_gradients_of_tabm(case: str, dtype: DType) -> None:
    net = TabM(case, dtype)
    rows = net.values["batches"][0]
    model = with_parameters(net.model(), net.parameters(net.start) | net.embeddings())
    loss, found = model._gradients(model._data(net.x[rows], net.y[rows]), True, False, 1)
    assert loss == pytest.approx(net.values["f64/loss"][0], rel=BOUNDS[dtype])
    left = {kind: iter(arrays) for kind, arrays in found.items()}
    gradients = net.gradients()
    assert gradients.keys() == model.parameters().keys()
    for name in model.parameters():
        assert_close(next(left[name.split(".")[2]]), gradients[name], BOUNDS[dtype], name)


@pytest.mark.parametrize("case", PLAIN_CASES)
def test_steps_of_tabm(case: str, dtype: DType) -> None:
    """Not of embedded cases, whose linear term there has weights of its own to train."""
    net = TabM(case, dtype)
    model = with_parameters(net.model(), net.parameters(net.start))
    settings = {
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "learning_rate": 0.002,
        "decay": 3e-4,
    }
    factors = {name: Factors(decay=1.0) for name in model.parameters()}
    for steps, losses, actual in trained(net, model, "adam", settings, factors):
        parts = [net.values[f"{kind}/loss"][steps - len(losses) : steps] for kind in ("f64", "f32")]
        assert_close(losses, parts[0], bound_of(dtype, *parts), f"losses to {steps}")
        if steps < STEPS:
            continue
        exact, single = (
            net.parameters(under(net.values, f"{kind}/after20")) for kind in ("f64", "f32")
        )
        for name, array in actual.items():
            bound = bound_of(dtype, exact[name], single[name])
            assert_close(array, exact[name], bound, f"{name} after {steps}")
