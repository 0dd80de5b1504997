"""Input columns that are zero in a whole batch are left out, and nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support import reference
from support.tolerance import assert_same_bits, relative_error

CLASSES = 5
HIDDEN = 40


def samples(count, features, dtype, seed=0, share=0.03):
    """Mostly zeros: in a batch of 16 about 40 % of the columns are zero."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 256, (count, features)) * (rng.random((count, features)) < share)
    if np.dtype(dtype) == np.uint8:
        return x.astype(np.uint8), rng.integers(0, CLASSES, count)
    return (x / 64 - 1.0 * (x > 0)).astype(dtype), rng.integers(0, CLASSES, count)


def live_share(x, batch):
    shares = [np.any(x[i : i + batch] != 0, axis=0).mean() for i in range(0, len(x), batch)]
    return np.min(shares), np.max(shares)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("input_dtype", ["uint8", "float"])
def test_gradients_and_outputs_have_the_bits_of_the_dense_computation(dtype, input_dtype, threads):
    """Columns that are never zero, with weights of zero, turn the short cut off and add nothing."""
    input_dtype = dtype if input_dtype == "float" else input_dtype
    features, filler = 60, 600
    x, y = samples(16, features, input_dtype)
    assert live_share(x, 16)[1] < 0.9
    dense_x = np.hstack([x, np.ones((len(x), filler), x.dtype)])
    assert live_share(dense_x, 16)[0] > 0.9
    options = {"dtype": dtype, "input_scale": 1 / 255, "activation": "tanh"}
    short = fastmlp.MLP([features, HIDDEN, CLASSES], seed=4, **options)
    dense = fastmlp.MLP([features + filler, HIDDEN, CLASSES], **options)
    first = np.vstack([short.weights[0], np.zeros((filler, HIDDEN), dtype)])
    dense.weights = [first, short.weights[1]]
    assert_same_bits(short.forward(x, threads=threads), dense.forward(dense_x, threads=threads))
    loss, weights, biases = short.loss_and_gradients(x, y, threads=threads)
    dense_loss, dense_weights, dense_biases = dense.loss_and_gradients(dense_x, y, threads=threads)
    assert loss == dense_loss
    assert_same_bits(weights[0], dense_weights[0][:features])
    for actual, expected in zip(
        [weights[1], *biases], [dense_weights[1], *dense_biases], strict=True
    ):
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "settings", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "l2": 0.1}]
)
def test_weights_of_columns_left_out_keep_moving(settings, threads):
    """Their velocity and their decay go on: lockstep with the oracle over batches that differ."""
    features, batch, count = 50, 16, 16 * 60 + 5
    x, y = samples(count, features, "float64", seed=1)
    low, high = live_share(x, batch)
    assert low < 0.7
    assert high < 0.95
    model = fastmlp.MLP([features, HIDDEN, CLASSES], dtype="float64", activation="tanh")
    oracle = reference.Network(
        [np.array(w) for w in model.weights], [np.array(b) for b in model.biases], activation="tanh"
    )
    expected = reference.train(oracle, x, y, [np.arange(count)], batch, [0.1], **settings)
    history = model.fit(
        x, y, epochs=1, batch_size=batch, optimizer=fastmlp.SGD(0.1, **settings),
        shuffle=False, threads=threads, verbose=0,
    )  # fmt: skip
    assert (
        relative_error([*model.weights, *model.biases], [*oracle.weights, *oracle.biases]) < 1e-10
    )
    np.testing.assert_allclose(history.loss, expected, rtol=1e-10)


def test_data_may_turn_from_dense_to_sparse_and_back(dtype):
    """After some dense batches an epoch looks no further; before, each batch decides for itself."""
    rng = np.random.default_rng(2)
    x, y = samples(160, 50, dtype, seed=3)
    for first in (0, 48, 80):
        x[first : first + 16] = rng.standard_normal((16, 50))
    digests = []
    for threads in (1, 3):
        model = fastmlp.MLP([50, HIDDEN, CLASSES], dtype=dtype)
        optimizer = fastmlp.SGD(0.1, momentum=0.9)
        model.fit(
            x, y, batch_size=16, epochs=2, optimizer=optimizer, shuffle=False, threads=threads,
            verbose=0,
        )  # fmt: skip
        digests.append([w.tobytes() for w in model.weights])
    assert digests[0] == digests[1]
    oracle = reference.Network(
        [np.array(w, float) for w in fastmlp.MLP([50, HIDDEN, CLASSES], dtype=dtype).weights],
        [np.zeros(HIDDEN), np.zeros(CLASSES)],
        activation="relu",
    )
    reference.train(oracle, x, y, [np.arange(160)] * 2, 16, [0.1] * 2, momentum=0.9)
    assert relative_error(model.weights, oracle.weights) < (1e-10 if dtype == "float64" else 1e-3)


def test_a_batch_of_zeros(dtype):
    x = np.zeros((8, 30), dtype)
    model = fastmlp.MLP([30, 10, CLASSES], dtype=dtype)
    model.biases = [np.linspace(-1, 1, 10), np.linspace(0, 1, CLASSES)]
    hidden = np.maximum(model.biases[0], 0)
    expected = hidden @ model.weights[1] + model.biases[1]
    np.testing.assert_allclose(model.forward(x), np.tile(expected, (8, 1)), rtol=1e-5)
    _, weights, biases = model.loss_and_gradients(x, np.zeros(8, int))
    assert not weights[0].any()
    assert biases[0].any()


def test_a_row_alone_has_the_bits_it_has_in_a_batch(dtype):
    """Alone it leaves out other columns than in the batch."""
    x, _ = samples(300, 60, np.uint8, seed=5)
    model = fastmlp.MLP([60, HIDDEN, CLASSES], dtype=dtype, input_scale=1 / 255)
    together = model.forward(x)
    for row in range(0, 300, 37):
        assert_same_bits(model.forward(x[row : row + 1]), together[row : row + 1])


def test_shuffled_rows():
    """Shuffled epochs gather the live columns of the shuffled rows."""
    x, y = samples(320, 60, "float64", seed=6)
    model = fastmlp.MLP([60, HIDDEN, CLASSES], dtype="float64", seed=9)
    oracle = reference.Network(
        [np.array(w) for w in model.weights], [np.array(b) for b in model.biases], activation="relu"
    )
    order = _core.permutation(len(x), 9, 0)
    reference.train(oracle, x, y, [order], 16, [0.05], momentum=0.9)
    model.fit(x, y, epochs=1, batch_size=16, optimizer=fastmlp.SGD(0.05, 0.9), verbose=0)
    assert relative_error(model.weights, oracle.weights) < 1e-10
