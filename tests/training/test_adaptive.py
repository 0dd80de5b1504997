"""Every optimizer: lockstep with its NumPy rule and with PyTorch, published answers, equal bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastmlp
from support import adaptive_rules as rules
from support import reference
from support.optimizer_net import BATCH, STEPS, TRAJECTORIES, data, small_model
from support.tolerance import relative_error

# name: optimizer, the oracle's rule, its settings
CASES = {
    "sgd": (fastmlp.SGD(0.05), rules.sgd, {}),
    "momentum": (fastmlp.SGD(0.02, 0.9), rules.sgd, {"momentum": 0.9}),
    "nesterov": (fastmlp.SGD(0.02, 0.9, True), rules.sgd, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (fastmlp.Adagrad(0.05), rules.adagrad, {"epsilon": 1e-10}),
    "rmsprop": (fastmlp.RMSprop(0.001), rules.rmsprop, {"rho": 0.99, "epsilon": 1e-8}),
    "rmsprop momentum": (
        fastmlp.RMSprop(0.001, 0.95, 0.8), rules.rmsprop,
        {"rho": 0.95, "momentum": 0.8, "epsilon": 1e-8},
    ),
    "rmsprop centred": (
        fastmlp.RMSprop(0.001, centred=True, epsilon=1e-3), rules.rmsprop,
        {"rho": 0.99, "epsilon": 1e-3, "centred": True},
    ),
    "rmsprop centred momentum": (
        fastmlp.RMSprop(0.001, momentum=0.5, centred=True, epsilon=1e-3), rules.rmsprop,
        {"rho": 0.99, "epsilon": 1e-3, "centred": True, "momentum": 0.5},
    ),
    "adam": (
        fastmlp.Adam(0.003), rules.adam, {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    ),
    "amsgrad": (
        fastmlp.Adam(0.003, 0.8, 0.99, amsgrad=True), rules.adam,
        {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-8, "amsgrad": True},
    ),
    "adamw": (
        fastmlp.AdamW(0.003, decay=0.1), rules.adam,
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "decay": 0.1},
    ),
    "adamax": (
        fastmlp.Adamax(0.003), rules.adamax, {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    ),
    "nadam": (
        fastmlp.Nadam(0.003), rules.nadam, {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    ),
    "lion": (fastmlp.Lion(0.0003), rules.lion, {"beta1": 0.9, "beta2": 0.99}),
}  # fmt: skip
cases = pytest.mark.parametrize("name", CASES)


def trained(optimizer, dtype="float64", threads=None, epochs=STEPS * BATCH // 400):
    x, y = data()
    model = small_model(dtype)
    model.fit(
        x.astype(dtype), y, epochs=epochs, batch_size=BATCH, optimizer=optimizer, shuffle=False,
        threads=threads, verbose=0,
    )  # fmt: skip
    return [*model.weights, *model.biases]


def oracle():
    model = small_model()
    return reference.Network(
        [np.array(w) for w in model.weights],
        [np.array(b) for b in model.biases],
        activation="sigmoid",
    )


@cases
def test_a_thousand_steps_in_lockstep_with_the_rule(name):
    optimizer, rule, settings = CASES[name]
    net = oracle()
    start = [*net.weights, *net.biases]
    rate = optimizer.learning_rate
    rules.train(net, *data(), BATCH, STEPS, rule, learning_rate=rate, **settings)
    expected = [*net.weights, *net.biases]
    assert relative_error(start, expected) > 0.1, "hardly moved: the comparison shows nothing"
    assert relative_error(trained(optimizer), expected) < 1e-9


@pytest.mark.parametrize("penalty", ["l1", "l2", "decay"])
@pytest.mark.parametrize("make", [fastmlp.SGD, fastmlp.Adam, fastmlp.Lion])
def test_penalties_act_on_weights_and_not_on_biases(make, penalty):
    rule = {fastmlp.SGD: rules.sgd, fastmlp.Adam: rules.adam, fastmlp.Lion: rules.lion}[make]
    settings = {
        fastmlp.SGD: {},
        fastmlp.Adam: {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        fastmlp.Lion: {"beta1": 0.9, "beta2": 0.99},
    }[make]
    net = oracle()
    rules.train(net, *data(), BATCH, 50, rule, learning_rate=0.003, **settings, **{penalty: 0.05})
    plain = oracle()
    rules.train(plain, *data(), BATCH, 50, rule, learning_rate=0.003, **settings)
    assert relative_error(plain.weights, net.weights) > 1e-5
    actual = trained(make(0.003, **{penalty: 0.05}), epochs=1)
    assert relative_error(actual, [*net.weights, *net.biases]) < 1e-9


@cases
def test_same_bits_on_any_number_of_threads(name, dtype):
    optimizer = CASES[name][0]
    expected = trained(optimizer, dtype, 1, 2)
    for threads in (2, 3):
        for actual, wanted in zip(trained(optimizer, dtype, threads, 2), expected, strict=True):
            assert actual.tobytes() == wanted.tobytes()


@cases
def test_the_state_lives_across_epochs_and_single_precision_follows(name):
    optimizer = CASES[name][0]
    wide = trained(optimizer, "float64", epochs=2)
    assert relative_error(trained(optimizer, "float32", epochs=2), wide) < 2e-3


def test_the_first_step_of_adam_is_the_learning_rate():
    """Kingma and Ba, section 2.1: m' / sqrt(s') is the sign of the gradient in step 1."""
    model = fastmlp.MLP([3, 2], dtype="float64", loss="mse")
    before = model.weights[0]
    x, y = np.array([[1.0, -2.0, 3.0]]), np.array([[9.0, -9.0]])
    _, gradient, _ = model.loss_and_gradients(x, y)
    model.fit(x, y, epochs=1, batch_size=1, optimizer=fastmlp.Adam(0.01, epsilon=1e-30), verbose=0)
    np.testing.assert_allclose(model.weights[0] - before, -0.01 * np.sign(gradient[0]), rtol=1e-12)


@cases
def test_trajectories_of_pytorch(name):
    """Written by `support/torch_trajectories.py`; conventions that differ are mapped there."""
    recorded = json.loads(TRAJECTORIES.read_text(encoding="utf-8"))
    if name not in recorded["trajectories"]:
        pytest.skip("PyTorch has no such rule")
    expected = [np.array(p) for p in recorded["trajectories"][name]]
    assert relative_error(trained(CASES[name][0]), expected) < 1e-9


@cases
def test_pytorch_itself(name):
    pytest.importorskip("torch")
    from support import torch_trajectories

    if name not in torch_trajectories.OPTIMIZERS:
        pytest.skip("PyTorch has no such rule")
    assert relative_error(trained(CASES[name][0]), torch_trajectories.trajectory(name)) < 1e-9


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fastmlp.Adam(-1.0), ValueError, "learning_rate"),
        (lambda: fastmlp.Adam(beta1=1.0), ValueError, "beta1"),
        (lambda: fastmlp.Adam(beta2="x"), TypeError, "beta2"),
        (lambda: fastmlp.Adam(amsgrad=1), TypeError, "amsgrad"),
        (lambda: fastmlp.RMSprop(rho=1.5), ValueError, "rho"),
        (lambda: fastmlp.RMSprop(centred=None), TypeError, "centred"),
        (lambda: fastmlp.Adagrad(epsilon=-1e-3), ValueError, "epsilon"),
        (lambda: fastmlp.Adam(epsilon=0.0), ValueError, "epsilon"),
        (lambda: fastmlp.Lion(l1=-0.1), ValueError, "l1"),
        (lambda: fastmlp.SGD(decay=float("nan")), ValueError, "decay"),
    ],
)
def test_bad_settings(make, error, message):
    with pytest.raises(error, match=message):
        make()
