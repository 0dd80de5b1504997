"""The oracle is checked without fastmlp: by central differences and published results."""

from __future__ import annotations

import numpy as np
import pytest

from support import reference
from support.differences import central_differences
from support.strategies import ACTIVATIONS, LOSSES, oracle_network, problem


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output_activation", ACTIVATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_match_central_differences(activation, output_activation, loss):
    net = oracle_network(activation, output_activation, loss)
    x, y = problem(loss, 11, 5, 3, seed=3)
    value, dweights, dbiases = net.loss_and_gradients(x, y)
    assert value == pytest.approx(net.row_losses(x, y).mean(), rel=1e-15)
    parameters = net.weights + net.biases
    numeric = central_differences(lambda: float(net.row_losses(x, y).mean()), parameters)
    for analytic, expected in zip(dweights + dbiases, numeric, strict=True):
        scale = np.max(np.abs(expected))
        assert scale > 0
        assert np.max(np.abs(analytic - expected)) < 1e-7 * scale


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_from_output_matches_central_differences(name):
    z = np.concatenate([np.linspace(-4, -0.1, 40), np.linspace(0.1, 4, 40)])
    numeric = (reference.activate(name, z + 1e-6) - reference.activate(name, z - 1e-6)) / 2e-6
    analytic = reference.activation_derivative(name, reference.activate(name, z))
    np.testing.assert_allclose(analytic, numeric, rtol=0, atol=1e-9)


def test_softmax_of_published_examples():
    for logits, expected in (
        ([1, 2, 3, 4, 1, 2, 3], [0.024, 0.064, 0.175, 0.475, 0.024, 0.064, 0.175]),
        ([1.3, 5.1, 2.2, 0.7, 1.1], [0.02, 0.90, 0.05, 0.01, 0.02]),
    ):
        digits = 3 if len(logits) == 7 else 2
        np.testing.assert_array_equal(
            np.round(reference.softmax(np.array([logits], float))[0], digits), expected
        )


def test_softmax_survives_huge_logits():
    loss, dlogits = reference.softmax_cross_entropy(np.array([[1e4, -1e4]]), np.array([1]))
    np.testing.assert_array_equal(loss, [2e4])
    np.testing.assert_array_equal(dlogits, [[1, -1]])


def test_momentum_by_hand():
    # v = 0.9 * 2 - 0.1 * (3 + 0.5 * 4) = 1.3
    w, v, g = np.array([4.0]), np.array([2.0]), np.array([3.0])
    classical = reference.sgd(w, v, g, 0.1, 0.9, l2=0.5)
    np.testing.assert_allclose(classical, [[5.3], [1.3]], rtol=1e-15)
    nesterov = reference.sgd(w, v, g, 0.1, 0.9, nesterov=True, l2=0.5)
    np.testing.assert_allclose(nesterov, [[4 + 0.9 * 1.3 - 0.5], [1.3]], rtol=1e-15)
    plain = reference.sgd(w, v, g, 0.1, l2=0.5)
    np.testing.assert_allclose(plain, [[3.5], [2.0]], rtol=1e-15)


def test_step_descends_and_spares_biases_from_l2():
    x, y = problem("mse", 8, 5, 3)
    net = oracle_network("tanh", "identity", "mse")
    plain = oracle_network("tanh", "identity", "mse")
    before = net.step(x, y, 1e-4, l2=1.0)
    assert float(net.row_losses(x, y).mean()) < before
    plain.step(x, y, 1e-4)
    for a, b in zip(net.biases, plain.biases, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(net.weights[0], plain.weights[0])


def test_minibatches_cover_every_sample_once():
    batches = list(reference.minibatches(np.arange(10), 4))
    assert [len(b) for b in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(10))


def test_epoch_loss_weighs_a_short_batch_by_its_samples():
    x, y = problem("mse", 10, 5, 3)
    net = oracle_network("relu", "identity", "mse")
    expected = float(net.row_losses(x, y).mean())
    (loss,) = reference.train(net, x, y, [np.arange(10)], 4, [0.0])
    assert loss == pytest.approx(expected, rel=1e-14)
