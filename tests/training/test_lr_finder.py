"""What the learning-rate finder suggests, on curves whose answer is known."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import DivergedError, LearningRates
from fastmlp.training.lr_finder import _smoothed

RATES = np.geomspace(1e-6, 10, 141)


def falling_at(rate: float) -> np.ndarray:
    """A loss that falls from 2 to 1, most steeply at a rate, and explodes beyond it."""
    way = np.log10(RATES / rate)
    return 1 + 1 / (1 + np.exp(4 * way)) + np.maximum(way - 1.5, 0) ** 2


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 1e-2])
def test_the_steepest_descent_is_suggested(rate):
    assert LearningRates(RATES, falling_at(rate)).suggestion == pytest.approx(rate, rel=0.13)


@pytest.mark.parametrize("first", [3.0, 1.2])
def test_the_chance_of_the_first_batches_is_not_taken_for_a_descent(first):
    losses = falling_at(1e-2)
    losses[:3] = first, 2.3, 1.8
    assert LearningRates(RATES, losses).suggestion == pytest.approx(1e-2, rel=0.13)


@pytest.mark.parametrize(
    ("losses", "problem"),
    [
        (1 + RATES, "the loss does not fall by 5 % .* from 1 to 1 at best, .*an untrained model"),
        (np.where(RATES < 1, 1.0, 0.96), "the loss does not fall by 5 %"),
        (1 / (1 + RATES), "the loss still falls at the highest rate, 10; a larger highest"),
        (np.exp(2 * RATES), "the loss does not fall"),
        (
            np.array([1.0, 2.0, 8.0]),
            "the loss grows from 1 to 8 in 3 steps, from the rate 1e-06 on",
        ),
        (np.array([2.0, 1.0]), "steps must be 20 or more to tell a fall from noise, got 2"),
    ],
)
def test_a_curve_that_tells_no_rate_says_why(losses, problem):
    found = LearningRates(RATES[: len(losses)], losses, diverged=losses[-1] > 4 * losses.min())
    assert found.suggestion is None
    assert re.match(problem, found.problem)
    assert f"suggestion=None, problem={found.problem!r})" in repr(found)


def test_a_fall_within_the_noise_of_the_batches_is_none():
    answers = 0
    for seed in range(200):
        batches = 1 + 0.2 * np.random.default_rng(seed).standard_normal(len(RATES))
        answers += _smoothed(RATES, batches, False).suggestion is not None
    assert answers <= 6  # of 200; a fall by chance


def test_none_is_refused_as_a_rate_with_the_reason():
    with pytest.raises(TypeError, match=r"got None; .*LearningRates.problem"):
        fastmlp.SGD(LearningRates(RATES, 1 + RATES).suggestion)


# ---------------------------------------------------------------- trainings

OPTIMIZERS = [fastmlp.SGD(0.1, momentum=0.9), fastmlp.SGD(0.1), fastmlp.Adam(), fastmlp.RMSprop()]


def random_case(seed: int):
    """Data, a network for it and an optimizer, by seed."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((600, 6)).astype("float32")
    hidden = [int(2 ** random.integers(3, 7)) for _ in range(random.integers(1, 3))]
    activation = str(random.choice(["relu", "tanh", "gelu"]))
    if seed % 2:
        y = np.argmax(x[:, :3] + 0.3 * random.standard_normal((600, 3)), axis=1)
        model = fastmlp.MLP([6, *hidden, 3], activation=activation, seed=seed)
    else:
        y = x[:, :1] * x[:, 1:2] + x[:, 2:3] + 0.1 * random.standard_normal((600, 1))
        model = fastmlp.MLP([6, *hidden, 1], activation=activation, loss="mse", seed=seed)
    return model, x, y, OPTIMIZERS[random.integers(4)], int(random.choice([16, 32, 64]))


def loss_at(rate: float, seed: int) -> float:
    model, x, y, optimizer, batch_size = random_case(seed)
    optimizer = dataclasses.replace(optimizer, learning_rate=rate)
    try:
        model.fit(x, y, epochs=8, batch_size=batch_size, optimizer=optimizer, verbose=0)
    except DivergedError:
        return math.inf
    return model.evaluate(x, y)["loss"]


def test_untrained_networks_get_a_rate_that_beats_a_tenth_of_it():
    worse, none = [], []
    for seed in range(24):
        model, x, y, optimizer, batch_size = random_case(seed)
        found = model.lr_find(x, y, optimizer=optimizer, batch_size=batch_size)
        if found.suggestion is None:
            none.append((seed, found.problem))
            continue
        loss = loss_at(found.suggestion, seed)
        if not loss < min(loss_at(found.suggestion / 10, seed), model.evaluate(x, y)["loss"]):
            worse.append((seed, found.suggestion))
    assert len(none) <= 2, none
    assert len(worse) <= 4, worse


def test_trained_and_dead_networks_get_none():
    answers = []
    for seed in range(12):
        model, x, y, optimizer, batch_size = random_case(seed)
        slower = fastmlp.Adam(fastmlp.schedules.Cosine(0.005))
        model.fit(x, y, epochs=60, batch_size=batch_size, optimizer=slower, verbose=0)
        dead = fastmlp.MLP([6, 8, 3])
        dead.biases = [np.full(8, -1e3), np.zeros(3)]
        labels = np.arange(600) % 3
        for network, targets in ((model, y), (dead, labels)):
            found = network.lr_find(x, targets, optimizer=optimizer, batch_size=batch_size)
            if found.suggestion is not None:
                answers.append((seed, network, found))
    assert len(answers) <= 1, answers
