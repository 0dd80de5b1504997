"""What the learning-rate finder suggests, on curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import LearningRates

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


def test_a_loss_that_only_grows_suggests_the_lowest_rate():
    assert LearningRates(RATES, 1 + RATES).suggestion == RATES[0]
    assert LearningRates(RATES[:2], np.array([2.0, 1.0])).suggestion == RATES[0]
