"""Gradients of the core, in float64, for every layer type, activation and loss together.

Each is compared twice: with the oracle, element by element, under the masks and the noise that the
seed fixes; and with central differences of the core's own loss. The thresholds have no derivative
that differences could show, so theirs is compared with the slope they pretend to have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmlp
from support.gradient_cases import (
    ACTIVATIONS,
    INPUT_SCALE,
    NOISE,
    PROBLEMS,
    ROWS,
    Case,
)

BOUNDS = {"the oracle": 1e-11, "differences": 1e-6}

LAYERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch normalization": {"batch_normalization": True},
    "layer normalization": {"layer_normalization": True},
    "dropout and layer normalization": {"dropout": [0.3, 0.2], "layer_normalization": True},
    "both": {"dropout": [0.3, 0.2], "batch_normalization": True},
    "input dropout": {"input_dropout": 0.25},
    "input noise": {"input_noise": NOISE},
}
THRESHOLDS = ("step", "sign")


# ---------------------------------------------------------------- losses with their targets


# ---------------------------------------------------------------- one model, twice


def smooth_case(training, hidden, problem, **options):
    for seed in range(100):
        case = Case(seed, hidden, problem, **options)
        if case.is_smooth(training):
            return case
    raise AssertionError("no seed keeps the samples away from the kinks")


# ---------------------------------------------------------------- the comparison


class Worst:
    """The largest relative errors met, and where."""

    def __init__(self):
        self.errors = dict.fromkeys(BOUNDS, (0.0, ""))
        self.count = 0

    def add(self, against, what, actual, expected, scale):
        assert actual.shape == expected.shape, what
        error = float(np.max(np.abs(actual - expected)) / scale)
        assert error < BOUNDS[against], f"{against}, {what}: relative error {error:.2g}"
        self.count += 1
        self.errors[against] = max(self.errors[against], (error, what))


@pytest.fixture(scope="module")
def worst():
    return Worst()


def check(case, training, label, worst):
    loss, dweights, dbiases = case.model.loss_and_gradients(
        case.x,
        case.targets if len(case.targets) > 1 else case.targets[0],
        sample_weight=case.sample_weight,
        training=training,
    )
    exact = case.net.loss_and_gradients(
        case.x * INPUT_SCALE, case.targets, case.sample_weight, **case.surroundings(training)
    )
    assert loss == pytest.approx(exact.loss, rel=1e-12), label
    _, arrays = case.compute(training)
    kept = {kind: arrays[kind] for kind in ("scales", "shifts")}
    actual = {"weights": dweights, "biases": dbiases, **kept}
    oracle = {
        "weights": exact.dweights,
        "biases": exact.dbiases,
        "scales": [d for d in exact.dscales if d is not None],
        "shifts": [d for d in exact.dshifts if d is not None],
    }
    largest = max(np.max(np.abs(g)) for g in exact.dweights)
    *_, last = activations = case.net.activations
    has_thresholds = any(name in THRESHOLDS for name in activations)
    for kind, gradients in actual.items():
        layers = [layer for layer, _ in case.model._layer_arrays(kind)]
        for layer, g, expected in zip(layers, gradients, oracle[kind], strict=True):
            what = f"{label}: {kind}[{layer}]"
            scale = np.max(np.abs(expected))
            # Mathematically zero, like that of a shift before a normalization: rounding is left.
            scale = largest or 1.0 if scale <= 1e-9 * largest else scale
            worst.add("the oracle", what, g, expected, scale)
            if not has_thresholds or (layer == len(dweights) - 1 and last not in THRESHOLDS):
                worst.add("differences", what, g, case.differences(kind, layer, training), scale)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", LAYERS)
def test_gradients_of_all_losses(layers, activation, worst):
    for training in (False, True):
        for name, problem in PROBLEMS.items():
            case = smooth_case(training, [activation] * 2, problem, **LAYERS[layers])
            check(case, training, f"{layers}, {activation}, {name}, training {training}", worst)


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_without_hidden_layers(name, worst):
    for training in (False, True):
        case = smooth_case(training, [], PROBLEMS[name], sizes=(), input_dropout=0.25)
        check(case, training, f"no hidden layer, {name}, training {training}", worst)


@pytest.mark.parametrize("loss", ["mse", "weighted half_mse", "mae"])
@pytest.mark.parametrize("output", ACTIVATIONS)
def test_gradients_of_output_activations(output, loss, worst):
    case = smooth_case(True, ["silu"], PROBLEMS[loss], sizes=(6,), output=output)
    check(case, True, f"output {output}, {loss}", worst)


def test_gradients_where_every_layer_is_another(worst):
    options = {
        "sizes": (5, 17, 4, 6),
        "dropout": [0.0, 0.3, 0.2, 0.0],
        "batch_normalization": [True, False, True, False],
        "input_dropout": 0.2,
        "input_noise": NOISE,
    }
    hidden = ["gelu", "leaky_relu", "tanh", "softplus"]
    for training in (False, True):
        for name, problem in PROBLEMS.items():
            case = smooth_case(training, hidden, problem, **options)
            check(case, training, f"mixed, {name}, training {training}", worst)


RESIDUAL: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": [0.2, 0.3, 0.25, 0.1, 0.3]},
    "normalized": {"layer_normalization": [True, False, True, False, True]},
    "all": {"layer_normalization": True, "dropout": 0.2, "input_noise": NOISE},
    "one block": {"residual": [False, False, False, False, True], "dropout": 0.2},
    "interleaved": {
        "residual": [False, False, True, True, True],
        "layer_normalization": [False, True, True, False, False],
        "sizes": (5, 5, 5, 5, 5),
        "dropout": [0.0, 0.2, 0.0, 0.2, 0.3],
    },
}


@pytest.mark.parametrize("layers", RESIDUAL)
def test_gradients_of_residual_blocks(layers, worst):
    hidden = ["identity", "gelu", "softplus", "leaky_relu", "tanh"]
    options = {"residual": True, "sizes": (6, 9, 6, 11, 6)} | RESIDUAL[layers]
    for training in (False, True):
        for name, problem in PROBLEMS.items():
            case = smooth_case(training, hidden, problem, **options)
            check(case, training, f"residual, {layers}, {name}, training {training}", worst)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("penalties", [{}, {"l2": 0.3}, {"l1": 0.2}, {"l1": 0.2, "l2": 0.3}])
def test_penalties_are_part_of_a_step(penalties, layers):
    """w - lr (g + l2 w + l1 sign w) for weights, lr g for the rest: step 0 of a training."""
    case = Case(1, ["silu"] * 2, PROBLEMS["weighted mse"], **LAYERS[layers])
    some_zero = case.model.weights[1].copy()
    some_zero[0] = 0  # l1 has slope 0 there
    case.model.weights[1] = some_zero
    _, gradients = case.compute(True)
    before = {kind: [array for _, array in case.model._layer_arrays(kind)] for kind in gradients}
    rate, l1, l2 = 0.1, penalties.get("l1", 0.0), penalties.get("l2", 0.0)
    case.model.fit(
        case.x, case.targets[0], sample_weight=case.sample_weight, epochs=1, batch_size=ROWS,
        shuffle=False, optimizer=fastmlp.SGD(rate, **penalties), verbose=0,
    )  # fmt: skip
    for kind, arrays in before.items():
        after = [array for _, array in case.model._layer_arrays(kind)]
        for w, g, actual in zip(arrays, gradients[kind], after, strict=True):
            penalty = l2 * w + l1 * np.sign(w) if kind == "weights" else 0.0
            np.testing.assert_allclose(actual, w - rate * (g + penalty), rtol=1e-13, atol=1e-15)


def test_worst_relative_error(worst, capsys):
    if not worst.count:
        pytest.skip("no gradient was compared in this run")
    with capsys.disabled():
        print(f"\n{worst.count} gradients compared; worst relative errors:")
        for against, (error, what) in worst.errors.items():
            print(f"  against {against}: {error:.2g} ({what})")
