"""Single neurons and small networks worked out by hand in courses on neural networks."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SGD, LambdaCallback, LeakyReLU, Sign, Step
from support.strategies import small_integers

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
BIT = np.array([[0], [1]])
XOR = np.array([[0], [1], [1], [0]])
# Inputs, truth table, and the weights and threshold that McCulloch and Pitts would have chosen.
GATES = {
    "and": (CORNERS, [0, 0, 0, 1], [1, 1], -1.5),
    "or": (CORNERS, [0, 1, 1, 1], [1, 1], -0.5),
    "nand": (CORNERS, [1, 1, 1, 0], [-1, -1], 1.5),
    "not": (BIT, [1, 0], [-1], 0.5),
}


def neuron(inputs, activation, **options):
    return MLP([inputs, 1], output_activation=activation, **{"loss": "half_mse", **options})


def given(weights, biases, **options):
    """A network with these parameters in float64."""
    sizes = [len(weights[0]), *map(len, biases)]
    model = MLP(sizes, dtype="float64", **options)
    model.weights = [np.array(w, float) for w in weights]
    model.biases = [np.array(b, float) for b in biases]
    return model


def column(values):
    return np.reshape(values, (-1, 1))


# ---------------------------------------------------------------- the perceptron


@pytest.mark.parametrize("gate", GATES)
def test_threshold_neurons_compute_logical_functions(gate, dtype):
    """W. McCulloch and W. Pitts, "A logical calculus of the ideas immanent in nervous activity"."""
    x, truth, weights, threshold = GATES[gate]
    for activation, expected in (("step", column(truth)), ("sign", 2 * column(truth) - 1)):
        model = neuron(x.shape[1], activation, dtype=dtype)
        model.weights = [column(weights).astype(dtype)]
        model.biases = [np.array([threshold], dtype)]
        np.testing.assert_array_equal(model.forward(x), expected)


def perceptron_rule(model, x, targets, *, rate=1.0, epochs):
    """Weights and bias after each sample, and the number of mistakes in each epoch."""
    trace = []

    def keep(training, record):
        learned = training.model
        trace.append([*learned.weights[0][:, 0].tolist(), learned.biases[0].item()])

    history = model.fit(
        x,
        targets,
        epochs=epochs,
        batch_size=1,
        shuffle=False,
        optimizer=SGD(learning_rate=rate),
        callbacks=[LambdaCallback(on_step_end=keep, every_steps=1)],
        verbose=0,
    )
    cost = np.ptp(targets) ** 2 / 2  # of one mistake
    return trace, np.array(history.loss) * len(x) / cost


# w1, w2 and bias after each corner, by w += (t - o) x and b += t - o from zero.
AND_BY_HAND = [
    [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1],
    [1, 1, 0], [1, 0, -1], [1, 0, -1], [2, 1, 0],
    [2, 1, 0], [2, 0, -1], [1, 0, -2], [2, 1, -1],
    [2, 1, -1], [2, 1, -1], [1, 1, -2], [2, 2, -1],
    [2, 2, -1], [2, 1, -2], [2, 1, -2], [2, 1, -2],
    [2, 1, -2], [2, 1, -2], [2, 1, -2], [2, 1, -2],
]  # fmt: skip


def test_the_perceptron_rule_learns_and_by_hand(dtype):
    """F. Rosenblatt, "The perceptron", 1958; with 0 and 1, and with -1 and +1 at half the rate."""
    targets = column(GATES["and"][1])
    settings = {"initializer": "zeros", "dtype": dtype}
    binary = neuron(2, Step(straight_through=True), **settings)
    trace, mistakes = perceptron_rule(binary, CORNERS, targets, epochs=6)
    assert trace == AND_BY_HAND
    np.testing.assert_array_equal(mistakes, [1, 3, 3, 2, 1, 0])
    bipolar = neuron(2, Sign(straight_through=True), **settings)
    trace, mistakes = perceptron_rule(bipolar, CORNERS, 2 * targets - 1, rate=0.5, epochs=6)
    assert trace == AND_BY_HAND
    np.testing.assert_array_equal(mistakes, [1, 3, 3, 2, 1, 0])


@pytest.mark.parametrize("gate", GATES)
def test_perceptrons_learn_what_a_line_separates(gate):
    """A. Novikoff, "On convergence proofs on perceptrons", 1962: (R / margin)^2 mistakes."""
    x, truth, weights, threshold = GATES[gate]
    signs = 2 * np.array(truth) - 1
    augmented = np.column_stack([x, np.ones(len(x))])
    separator = np.array([*weights, threshold])
    margin = (signs * (augmented @ separator)).min() / np.linalg.norm(separator)
    most = (augmented**2).sum(axis=1).max() / margin**2
    model = neuron(x.shape[1], Step(straight_through=True), initializer="zeros")
    _, mistakes = perceptron_rule(model, x, column(truth), epochs=60)
    assert 0 < mistakes.sum() <= most
    assert mistakes[-1] == 0
    np.testing.assert_array_equal(model.forward(x), column(truth))


@pytest.mark.parametrize("seed", range(5))
def test_no_single_neuron_learns_xor(seed):
    """M. Minsky and S. Papert, "Perceptrons", 1969: no epoch goes by without a mistake."""
    right = []
    model = neuron(2, Step(straight_through=True), initializer=fastmlp.Normal(1.0), seed=seed)
    for _ in range(20):
        _, mistakes = perceptron_rule(model, CORNERS, XOR, epochs=10)
        assert mistakes.min() >= 1
        right.append((model.forward(CORNERS) == XOR).sum())
    assert max(right) <= 3


def test_the_best_line_through_xor_says_one_half():
    """I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 6.1."""
    model = neuron(2, "identity", dtype="float64", loss="mse")
    model.fit(CORNERS, XOR, epochs=400, batch_size=4, optimizer=SGD(0.5), verbose=0)
    np.testing.assert_allclose(model.forward(CORNERS), np.full((4, 1), 0.5), atol=1e-12)


# ---------------------------------------------------------------- two layers


def test_hidden_space_of_the_xor_network():
    """The two corners of class 1 become one point ("Deep learning", 2016, section 6.1)."""
    weights, biases = [[[1, 1], [1, 1]], [[1], [-2]]], [[0, -1], [0]]
    model = given(weights, biases, activation="relu", loss="mse")
    (hidden,) = model.hidden_activations(CORNERS)
    np.testing.assert_array_equal(hidden, [[0, 0], [1, 0], [1, 0], [2, 1]])
    np.testing.assert_array_equal(model.forward(CORNERS), XOR)
    product = given(weights, [[0, 0], [0]], activation="identity", loss="mse")
    (xw,) = product.hidden_activations(CORNERS)
    np.testing.assert_array_equal(xw, [[0, 0], [1, 1], [1, 1], [2, 2]])


@pytest.mark.parametrize(("activation", "seed"), [("relu", 6), ("tanh", 0), ("tanh", 1)])
def test_two_layers_learn_xor_by_making_it_separable(activation, seed):
    model = MLP([2, 2, 1], activation=activation, loss="mse", dtype="float64", seed=seed)
    optimizer = SGD(learning_rate=0.1, momentum=0.9)
    model.fit(CORNERS, XOR, epochs=1000, batch_size=4, optimizer=optimizer, verbose=0)
    np.testing.assert_allclose(model.forward(CORNERS), XOR, atol=1e-9)
    (hidden,) = model.hidden_activations(CORNERS)
    reader = neuron(2, Step(straight_through=True), dtype="float64", initializer="zeros")
    _, mistakes = perceptron_rule(reader, hidden, XOR, epochs=200)
    assert mistakes[-1] == 0


# ---------------------------------------------------------------- linear regression


@pytest.fixture
def plane():
    """Points, coefficients (a, b, c, d) of two planes, and noisy values on these."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 3))
    coefficients = np.array([[2.0, -1.0], [-3.0, 0.5], [0.5, 4.0], [1.0, -2.0]])
    y = x @ coefficients[:3] + coefficients[3]
    return x, coefficients, y, y + 0.1 * rng.standard_normal(y.shape)


def gradient_descent(x, y, **options):
    model = MLP([x.shape[1], y.shape[1]], **{"loss": "half_mse", "dtype": "float64", **options})
    model.fit(x, y, epochs=400, batch_size=len(x), optimizer=SGD(0.8), shuffle=False, verbose=0)
    return model


def coefficients_of(model):
    return np.vstack([model.weights[0], model.biases[0]])


def test_gradient_descent_finds_the_plane(plane):
    x, coefficients, exact, noisy = plane
    np.testing.assert_allclose(coefficients_of(gradient_descent(x, exact)), coefficients, 1e-10)
    design = np.column_stack([x, np.ones(len(x))])
    least_squares = np.linalg.lstsq(design, noisy, rcond=None)[0]
    np.testing.assert_allclose(coefficients_of(gradient_descent(x, noisy)), least_squares, 1e-10)


def test_several_outputs_are_several_regressions(plane):
    x, _, _, y = plane
    together = coefficients_of(gradient_descent(x, y, initializer="zeros"))
    for output in range(2):
        alone = gradient_descent(x, y[:, output : output + 1], initializer="zeros")
        np.testing.assert_array_equal(together[:, output : output + 1], coefficients_of(alone))


def test_losses_of_several_tasks_are_added_with_their_weights(plane):
    x, _, _, y = plane
    targets = [y[:, :1], (y[:, 1:] > 0).astype(float)]
    tasks = [fastmlp.MSE(outputs=1, weight=2.0), fastmlp.BinaryCrossEntropy(outputs=1, weight=0.25)]
    model = MLP([3, 2], loss=tasks, dtype="float64", seed=3)
    total, (dweights,), (dbiases,) = model.loss_and_gradients(x, targets)
    expected = 0.0
    for task, name in enumerate(["mse", "binary_cross_entropy"]):
        single = MLP([3, 1], loss=name, dtype="float64")
        single.weights = [model.weights[0][:, task : task + 1]]
        loss, (dweight,), (dbias,) = single.loss_and_gradients(x, targets[task])
        expected += tasks[task].weight * loss
        np.testing.assert_allclose(dweights[:, task], tasks[task].weight * dweight[:, 0], 1e-12)
        np.testing.assert_allclose(dbiases[task], tasks[task].weight * dbias[0], 1e-12)
    assert total == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------- activations

EPSILON = np.finfo(float).eps
Z = np.linspace(-6, 6, 241)


def curve(activation):
    """Values and slopes of an activation at the points Z."""
    model = given([[[1]]], [[0]], output_activation=activation, loss="mae")
    below = np.full((len(Z), 1), -100.0)  # where the loss has slope 1 everywhere
    slopes = model.input_gradients(column(Z), below) * len(Z)
    return model.forward(column(Z))[:, 0], slopes[:, 0]


def test_sigmoid_and_tanh_are_one_curve():
    sigmoid, sigmoid_slope = curve("sigmoid")
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-Z)), rtol=8 * EPSILON)
    np.testing.assert_allclose(sigmoid_slope, sigmoid * (1 - sigmoid), rtol=8 * EPSILON)
    tanh, tanh_slope = curve("tanh")
    doubled = given([[[2]]], [[0]], output_activation="sigmoid", loss="mse")
    np.testing.assert_allclose(tanh, 2 * doubled.forward(column(Z))[:, 0] - 1, atol=8 * EPSILON)
    np.testing.assert_allclose(tanh_slope, 1 - tanh**2, atol=8 * EPSILON)


def test_the_sigmoid_is_nowhere_steeper_than_a_quarter():
    _, slopes = curve("sigmoid")
    middle = len(Z) // 2
    assert slopes[middle] == pytest.approx(0.25, rel=8 * EPSILON)
    assert slopes.argmax() == middle
    assert (slopes > 0).all()
    _, steepest = curve("tanh")
    assert steepest.max() == pytest.approx(1, rel=8 * EPSILON)


@pytest.mark.parametrize(
    ("activation", "function", "slope_below", "slope_above"),
    [
        ("relu", lambda z: np.maximum(z, 0), 0, 1),
        ("leaky_relu", lambda z: np.maximum(z, 0.01 * z), 0.01, 1),
        (LeakyReLU(slope=0.1), lambda z: np.maximum(z, 0.1 * z), 0.1, 1),
        ("step", lambda z: z > 0, 0, 0),
        ("sign", lambda z: np.where(z > 0, 1, -1), 0, 0),
        (Sign(straight_through=True), lambda z: np.where(z > 0, 1, -1), 1, 1),
    ],
)
def test_activations_with_a_corner(activation, function, slope_below, slope_above):
    values, slopes = curve(activation)
    np.testing.assert_allclose(values, function(Z), rtol=EPSILON)
    expected = np.where(Z > 0, slope_above, slope_below)
    np.testing.assert_allclose(slopes, expected, rtol=8 * EPSILON)


def test_softmax_is_a_distribution_that_shifts_do_not_change():
    rng = np.random.default_rng(0)
    scores = 3 * rng.standard_normal((20, 4))
    model = given([np.eye(4)], [np.zeros(4)], output_activation="softmax")
    probabilities = model.forward(scores)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=8 * EPSILON)
    np.testing.assert_array_equal(probabilities.argsort(axis=1), scores.argsort(axis=1))
    np.testing.assert_allclose(model.forward(scores + 8), probabilities, rtol=64 * EPSILON)
    two = given([np.eye(2)], [np.zeros(2)], output_activation="softmax")
    sigmoid, _ = curve("sigmoid")
    of_two = two.forward(np.column_stack([Z, 0 * Z]))
    np.testing.assert_allclose(of_two[:, 0], sigmoid, rtol=32 * EPSILON)


# ---------------------------------------------------------------- stacked linear layers


def test_linear_layers_collapse_into_one(dtype):
    """W2 W1 W0 x = W3 x, to the bit: all numbers are small integers."""
    rng = np.random.default_rng(0)
    sizes = [6, 5, 4, 3]
    deep = MLP(sizes, activation="identity", loss="mse", dtype=dtype)
    deep.weights = [
        small_integers(rng, shape, dtype) for shape in zip(sizes, sizes[1:], strict=False)
    ]
    deep.biases = [small_integers(rng, (size,), dtype) for size in sizes[1:]]
    w0, w1, w2 = deep.weights
    b0, b1, b2 = deep.biases
    flat = MLP([6, 3], loss="mse", dtype=dtype)
    flat.weights = [w0 @ w1 @ w2]
    flat.biases = [(b0 @ w1 + b1) @ w2 + b2]
    x = small_integers(rng, (50, 6), dtype)
    np.testing.assert_array_equal(deep.forward(x), flat.forward(x))
    bent = MLP(sizes, activation="relu", loss="mse", dtype=dtype)
    bent.set_parameters(deep.parameters())
    assert (bent.forward(x) != flat.forward(x)).any(axis=1).mean() > 0.9


# ---------------------------------------------------------------- steps as building blocks


@pytest.mark.parametrize("units", [10, 20, 80])
def test_steps_approximate_any_curve(units):
    """Nielsen, chapter 4: a step per cell, so that a slope of L costs at most L / (2 units)."""
    edges = np.arange(1, units) / units
    values = np.sin(5 * (np.arange(units) + 0.5) / units)
    model = MLP([1, units - 1, 1], activation="step", loss="mse", dtype="float64")
    model.weights = [np.ones((1, units - 1)), np.diff(values)[:, None]]
    model.biases = [-edges, values[:1]]
    x = np.linspace(0, 1, 1001)[:, None]
    worst = np.abs(model.forward(x) - np.sin(5 * x)).max()
    assert 0.9 * 5 / (2 * units) < worst <= 5 / (2 * units)


# ---------------------------------------------------------------- backpropagation by hand


def test_one_neuron_backwards():
    """CS231n, notes on backpropagation: f = sigmoid(w0 x0 + w1 x1 + w2)."""
    model = given([[[2], [-3]]], [[-3]], output_activation="sigmoid", loss="mae")
    x, zero = np.array([[-1, -2]]), np.zeros((1, 1))
    f, (dweights,), (dbiases,) = model.loss_and_gradients(x, zero)  # |f - 0| has slope 1 by f
    assert round(f, 2) == 0.73
    np.testing.assert_array_equal(np.round(dweights[:, 0], 2), [-0.20, -0.39])
    np.testing.assert_array_equal(np.round(dbiases, 2), [0.20])
    np.testing.assert_array_equal(np.round(model.input_gradients(x, zero), 2), [[0.39, -0.59]])


def test_two_by_two_by_two_backwards():
    """A course's exercise on 1/2 sum (o - y)^2; it prints w1's -0.0084 as -0.009."""
    weights = [[[0.20, -0.40], [0.50, 0.60]], [[0.10, -0.50], [-0.30, 0.80]]]
    settings = {"activation": "sigmoid", "output_activation": "sigmoid", "loss": "half_mse"}
    model = given(weights, [[0, 0], [0, 0]], **settings)
    x, y = np.array([[0.5, 0.3]]), np.array([[0.23, -0.07]])
    (hidden,) = model.hidden_activations(x)
    np.testing.assert_array_equal(np.round(hidden, 2), [[0.56, 0.50]])
    np.testing.assert_array_equal(np.round(model.forward(x), 2), [[0.48, 0.53]])
    error, (first, second), _ = model.loss_and_gradients(x, y)
    assert round(error, 2) == 0.21
    np.testing.assert_array_equal(np.round(second, 2), [[0.03, 0.08], [0.03, 0.07]])
    np.testing.assert_array_equal(np.round(first[0], 4), [-0.0084, 0.0126])
    assert round(first[1, 1], 4) == 0.0076
