"""Answers found in print, reproduced through the public interface."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def test_xor_network_of_the_deep_learning_book(dtype):
    """I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 6.1."""
    model = fastmlp.MLP([2, 2, 1], activation="relu", loss="mse", dtype=dtype)
    model.weights = [np.array([[1, 1], [1, 1]], dtype), np.array([[1], [-2]], dtype)]
    model.biases = [np.array([0, -1], dtype), np.array([0], dtype)]
    np.testing.assert_array_equal(model.forward(CORNERS), [[0], [1], [1], [0]])
    targets = np.array([[0], [1], [1], [0]])
    assert model.evaluate(CORNERS, targets)["loss"] == 0


def passthrough(size, dtype="float64", loss="softmax_cross_entropy"):
    """A network that returns its input as logits."""
    model = fastmlp.MLP([size, size], loss=loss, dtype=dtype)
    model.weights = [np.eye(size, dtype=dtype)]
    model.biases = [np.zeros(size, dtype)]
    return model


@pytest.mark.parametrize(
    ("logits", "probabilities", "digits"),
    [
        ([1, 2, 3, 4, 1, 2, 3], [0.024, 0.064, 0.175, 0.475, 0.024, 0.064, 0.175], 3),
        ([1.3, 5.1, 2.2, 0.7, 1.1], [0.02, 0.90, 0.05, 0.01, 0.02], 2),
    ],
)
def test_softmax(logits, probabilities, digits, dtype):
    proba = passthrough(len(logits), dtype).predict_proba(np.array([logits], dtype))[0]
    np.testing.assert_allclose(np.round(proba, digits), probabilities, rtol=1e-6)
    assert proba.sum() == pytest.approx(1, abs=1e-6)


def test_sparse_cross_entropy():
    logits = np.array([[8, 1, 1], [0, 9, 1], [2, 3, 5]], float)
    losses = [0.001822, 0.000459, 0.169846]
    model = passthrough(3)
    for row, expected in enumerate(losses):
        result = model.evaluate(logits[row : row + 1], np.array([row]))
        assert round(result["loss"], 6) == expected
        assert result["accuracy"] == 1
    result = model.evaluate(logits, np.arange(3))
    assert result["loss"] == pytest.approx(np.mean(losses), abs=1e-6)


def test_one_step_of_gradient_descent(dtype):
    """w = 1, gradient 0.5, learning rate 0.1 gives 0.95."""
    model = fastmlp.MLP([1, 1], loss="mse", dtype=dtype)
    model.weights = [np.ones((1, 1), dtype)]
    model.biases = [np.zeros(1, dtype)]
    # d (x w - y)^2 / dw = 2 x (x w - y) = 0.5 for x = 1, y = 0.75
    optimizer = fastmlp.SGD(learning_rate=0.1, momentum=0.0)
    y = np.array([[0.75]])
    model.fit(np.ones((1, 1)), y, epochs=1, batch_size=1, optimizer=optimizer, verbose=0)
    assert model.weights[0][0, 0] == pytest.approx(0.95, rel=1e-6)
    assert model.biases[0][0] == pytest.approx(-0.05, rel=1e-6)


def test_mse_is_summed_over_outputs_and_averaged_over_samples():
    model = passthrough(3, loss="mse")
    x = np.array([[1, 2, 3], [0, 0, 0]], float)
    # (1 + 4 + 9 + 0) / 2, neither halved nor divided by the number of outputs
    assert model.evaluate(x, np.zeros((2, 3)))["loss"] == 7


def test_a_linear_model_learns_a_line():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (64, 1))
    model = fastmlp.MLP([1, 1], loss="mse", dtype="float64", seed=0)
    optimizer = fastmlp.SGD(learning_rate=0.2, momentum=0.5)
    model.fit(x, 3 * x - 2, epochs=200, batch_size=64, optimizer=optimizer, verbose=0)
    assert model.weights[0][0, 0] == pytest.approx(3, abs=1e-8)
    assert model.biases[0][0] == pytest.approx(-2, abs=1e-8)
