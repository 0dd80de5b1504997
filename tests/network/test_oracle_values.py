"""The stored values of other implementations are what their README says they are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.paths import ROOT
from support.pytabkit_values import (
    FOLDER,
    TABM_CASES,
    RealMLPTask,
    Values,
    realmlp_values,
    stored,
    tabm_values,
    under,
)

TASKS: tuple[RealMLPTask, ...] = ("classes", "regression")
Array = NDArray[Any]
BOUND = 1e-12


def clipped(values: Values) -> tuple[Array, Array]:
    """Centered, scaled and clipped numbers and one-hot columns of all rows."""
    columns = np.concatenate([values["x_numeric"], values["one_hot"]], axis=1, dtype=np.float64)
    z = (columns - values["f64/center"]) * values["f64/factor"]
    z /= np.sqrt(1 + (z / 3) ** 2)
    return z[:, :5], z[:, 5:]


def inputs(values: Values, weights: Values, rows: Array) -> Array:
    """Inputs of the first layer, before the trainable scale."""
    numeric, one_hot = (part[rows] for part in clipped(values))
    angles = 2 * np.pi * numeric[:, :, None] * weights["numeric/frequencies"]
    waves = np.cos(angles + weights["numeric/phases"])
    linear = np.einsum("rfh,fhe->rfe", waves, weights["numeric/weights"])
    embedded = (linear + weights["numeric/biases"]).reshape(len(rows), -1)
    looked_up = weights["category2/embedding"][values["x_categories"][rows, 2]]
    return np.concatenate([embedded, numeric, one_hot, looked_up], axis=1)


def activation(task: RealMLPTask, x: Array) -> Array:
    if task == "regression":
        return np.asarray(x * np.tanh(np.log1p(np.exp(x))))
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return np.asarray(scale * np.where(x > 0, x, alpha * np.expm1(x)))


def double(values: Values) -> Values:
    return {name: value.astype(np.float64) for name, value in values.items()}


@pytest.mark.parametrize("task", TASKS)
def test_center_and_factor_are_medians_and_quartile_distances(task: RealMLPTask) -> None:
    values = realmlp_values(task)
    columns = np.concatenate([values["x_numeric"], values["one_hot"]], axis=1, dtype=np.float64)
    low, center, high = np.quantile(columns, [0.25, 0.5, 0.75], axis=0)
    width = np.where(high > low, high - low, np.ptp(columns, axis=0) / 2)
    with np.errstate(divide="ignore"):
        factor = np.where(width > 0, 1 / width, 0)
    np.testing.assert_array_equal(values["f64/center"], center)
    np.testing.assert_allclose(values["f64/factor"], factor, rtol=BOUND)
    assert (high == low).any()
    assert (width == 0).any()


@pytest.mark.parametrize("task", TASKS)
def test_each_stage_follows_from_the_one_before(task: RealMLPTask) -> None:
    values, start = realmlp_values(task), double(under(realmlp_values(task), "start"))
    stages = under(values, "f64/stage")
    rows = values["batches"][0]

    def close(name: str, value: Array) -> None:
        np.testing.assert_allclose(value.reshape(stages[name].shape), stages[name], atol=BOUND)

    close("inputs", inputs(values, start, rows))
    x = stages["inputs"] * start["scale"]
    close("scaled", x)
    for layer in range(4):
        weights = start[f"layer{layer}/weights"].reshape(x.shape[1], -1)
        x = x @ weights / np.sqrt(len(weights))
        close(f"product{layer}", x)
        x = x + start[f"layer{layer}/biases"]
        close(f"preactivation{layer}", x)
        if layer < 3:
            x = x + (activation(task, x) - x) * start[f"layer{layer}/mix"]
            close(f"activation{layer}", x)
    y = values["y"].astype(np.float64)
    if task == "classes":
        close("prediction", x)
        close("target", 0.9 * np.eye(3)[values["y"][rows]] + 0.1 / 3)
    else:
        close("prediction", np.clip(x * y.std() + y.mean(), y.min(), y.max()))
        close("target", (y[rows] - y.mean()) / y.std())


@pytest.mark.parametrize("task", TASKS)
def test_the_start_follows_from_the_draws(task: RealMLPTask) -> None:
    values = realmlp_values(task)
    drawn = under(values, "drawn")
    x = inputs(values, drawn, np.arange(len(values["y"])))
    for layer in range(4):
        draws = values[f"draws/weights{layer}"]
        weights = draws / (x @ draws / np.sqrt(len(draws))).std(axis=0)
        products = x @ weights / np.sqrt(len(draws))
        shares = values[f"draws/bias_exponentials{layer}"]
        shares = shares / shares.sum(axis=1, keepdims=True)
        chosen = products[values[f"draws/bias_rows{layer}"], np.arange(len(shares))[:, None]]
        biases = -(chosen * shares).sum(axis=1)
        np.testing.assert_allclose(weights.squeeze(), drawn[f"layer{layer}/weights"], atol=BOUND)
        np.testing.assert_allclose(biases.squeeze(), drawn[f"layer{layer}/biases"], atol=BOUND)
        x = activation(task, products + biases)
    for name, value in under(values, "start").items():
        expected = drawn.get(name, np.ones(value.shape)).astype(np.float32)
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("task", TASKS)
def test_rate_decay_and_their_factors(task: RealMLPTask) -> None:
    values = realmlp_values(task)
    t = np.arange(20) / 20
    rate = (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2
    decay = np.where(t < 0.5, 1, (1 + np.cos(np.pi * (2 * t - 1))) / 2)
    base = 0.04 if task == "classes" else 0.2
    np.testing.assert_allclose(values["f64/rate"], base * rate, atol=BOUND)
    np.testing.assert_allclose(values["f64/decay"], 0.02 * decay, atol=BOUND)
    for name, value in under(values, "start").items():
        slow = name.startswith("numeric/") or name.endswith(("/mix", "/biases"))
        factor = 6 if name == "scale" else 0.1 if slow else 1
        decays = 0 if name.startswith("layer") and name.endswith("/biases") else 1
        assert values[f"factor/rate/{name}"] == pytest.approx(factor)
        assert values[f"factor/decay/{name}"] == decays
        # The rate of the first step is 0.
        np.testing.assert_array_equal(values[f"f64/after1/{name}"], value)


def member_layer(start: Values, name: str, x: Array) -> Array:
    """One linear layer of all members: x is rows x members x inputs."""
    weight, bias = start[f"{name}.weight"], start[f"{name}.bias"]
    if weight.ndim == 3:
        return np.asarray(np.einsum("rki,kio->rko", x, weight) + bias)
    if f"{name}.r" in start:
        return np.asarray(x * start[f"{name}.r"] @ weight.T * start[f"{name}.s"] + bias)
    return np.asarray(x @ weight.T + bias)


def encoded(values: Values, x: Array) -> Array:
    """Piecewise-linear encoding; the last bin of each column comes last."""
    edges = [values[f"f64/bins{i}"] for i in range(x.shape[1])]
    out = np.zeros((*x.shape, max(map(len, edges)) - 1))
    for column, ends in enumerate(edges):
        share = (x[:, column, None] - ends[:-1]) / np.diff(ends)
        share[:, 1:] = np.maximum(share[:, 1:], 0)
        share[:, :-1] = np.minimum(share[:, :-1], 1)
        out[:, column, : len(ends) - 2], out[:, column, -1] = share[:, :-1], share[:, -1]
    return out


@pytest.mark.parametrize("case", TABM_CASES)
def test_outputs_of_the_members(case: str) -> None:
    values = tabm_values(case)
    start = double(under(values, "start"))
    rows = values["batches"][0]
    x = values["x_numeric"][rows].astype(np.float64)
    if "f64/encoded" in values:
        code = encoded(values, x)
        np.testing.assert_allclose(code, values["f64/encoded"], atol=BOUND)
        linear = x[:, :, None] * start["num_module.linear0.weight"]
        linear += start["num_module.linear0.bias"]
        x = linear + np.einsum("rfb,fbe->rfe", code, start["num_module.linear.weight"])
        np.testing.assert_allclose(x, values["f64/embedded"], atol=BOUND)
        x = x.reshape(len(rows), -1)
    x = np.concatenate([x, np.eye(3)[values["x_categories"][rows, 0]]], axis=1)
    x = np.repeat(x[:, None], 4, axis=1) * start.get("backbone.affine.weight", np.ones(1))
    for block in range(2):
        x = np.maximum(member_layer(start, f"backbone.blocks.{block}.0", x), 0)
    x = member_layer(start, "output", x)
    np.testing.assert_allclose(x, values["f64/outputs"], atol=BOUND)


@pytest.mark.parametrize("name", ["realmlp_classes", "realmlp_regression", "tabm"])
def test_both_precisions_agree(name: str) -> None:
    values = stored(name)
    pairs = [(key, key.replace("f64/", "f32/", 1)) for key in values if "f64/" in key]
    assert pairs
    for double_name, single_name in pairs:
        expected, found = values[double_name], values[single_name]
        # 20 steps of the regression, at its high rate, carry rounding furthest.
        np.testing.assert_allclose(found, expected, rtol=3e-5, atol=3e-5, err_msg=double_name)


def test_the_packages_compute_these_values_today(tmp_path: Any) -> None:
    for package in ("torch", "pytabkit", "tabm", "rtdl_num_embeddings"):
        pytest.importorskip(package)
    program = ROOT / "benchmarks" / "tables" / "make_oracles.py"
    call = [sys.executable, str(program), "--folder", str(tmp_path)]
    subprocess.run(call, check=True, capture_output=True)
    for path in sorted(FOLDER.glob("*.npz")):
        with np.load(tmp_path / path.name) as today:
            for name, value in stored(path.stem).items():
                bound = 1e-4 if "f32/" in name else 1e-9
                np.testing.assert_allclose(today[name], value, atol=bound, err_msg=name)
