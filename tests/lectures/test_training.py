"""What courses show of training: digits, descent and its rules, fine-tuning, depth and width."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SGD, datasets, schedules


def fit(model, x, y, **options):
    return model.fit(x, y, **{"verbose": 0, "threads": 1, **options})


def accuracy(model, x, y):
    return model.evaluate(x, y, threads=1)["accuracy"]


def spirals(samples, turns, seed):
    """Two arms around each other."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, samples)
    radius = np.sqrt(rng.random(samples))
    angle = 2 * np.pi * turns * radius + np.pi * y
    x = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return x + 0.03 * rng.standard_normal(x.shape), y


# ---------------------------------------------------------------- digits


@pytest.fixture(scope="module")
def digits():
    """MNIST: images and one-hot targets for training, images and labels for the test."""
    if datasets.path("mnist") is None:
        pytest.skip("MNIST is not in the cache")
    mnist = datasets.load("mnist")
    return mnist.x_train, np.eye(10)[mnist.y_train], mnist.x_test, mnist.y_test


def digit_network(loss, initializer, seed):
    """Sigmoids everywhere, and biases from N(0, 1)."""
    model = MLP(
        [784, 30, 10],
        activation="sigmoid",
        output_activation="sigmoid",
        loss=loss,
        initializer=initializer,
        input_scale=1 / 255,
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    model.biases = [rng.standard_normal(30), rng.standard_normal(10)]
    return model


def test_digits(digits):
    """M. Nielsen, "Neural networks and deep learning", 2015, chapter 1, on fewer images."""
    x, targets, x_test, y_test = digits
    model = digit_network("half_mse", fastmlp.Normal(1.0), seed=1)
    fit(model, x[:10000], targets[:10000], epochs=3, batch_size=10, optimizer=SGD(3.0))
    outputs = model.forward(x_test)
    assert (outputs.argmax(axis=1) == y_test).mean() > 0.88
    quadratic_cost = ((np.eye(10)[y_test] - outputs) ** 2).sum() / (2 * len(y_test))
    measured = model.evaluate(x_test, np.eye(10)[y_test], threads=1)
    assert measured["loss"] == pytest.approx(quadratic_cost, rel=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_small_initial_weights_are_a_head_start(digits, seed):
    """Nielsen, chapter 3: after one epoch under 87 % with N(0, 1), almost 93 % with N(0, 1/n)."""
    x, targets, x_test, y_test = digits
    right = []
    for initializer in (fastmlp.Normal(1.0), "lecun_normal"):
        model = digit_network("binary_cross_entropy", initializer, seed)
        optimizer = SGD(0.1, l2=5.0 / 50000)
        fit(model, x[:50000], targets[:50000], epochs=1, batch_size=10, optimizer=optimizer)
        right.append((model.forward(x_test, threads=1).argmax(axis=1) == y_test).mean())
    assert 0.84 < right[0] < 0.88
    assert 0.92 < right[1] < 0.94


@pytest.mark.parametrize(
    ("initializer", "deviation"), [(fastmlp.Normal(1.0), 501**0.5), ("lecun_normal", 1.5**0.5)]
)
def test_weighted_sums_of_a_thousand_inputs(initializer, deviation):
    """Nielsen, chapter 3: half the inputs are 1; sqrt(501) saturates a sigmoid, sqrt(3/2) not."""
    units = 4000
    model = MLP([1000, units, 1], activation="identity", loss="mse", initializer=initializer)
    model.biases = [np.random.default_rng(0).standard_normal(units), [0.0]]
    (sums,) = model.hidden_activations(np.repeat([[1.0, 0.0]], 500, axis=1), threads=1)
    # The deviation of n normal numbers has itself one of 1 / sqrt(2 n) of it; 4 of these.
    assert sums.std() == pytest.approx(deviation, rel=4 / (2 * units) ** 0.5)


# ---------------------------------------------------------------- gradient descent

RATE, EPS, MU, DECAY = 0.05, 1e-8, 0.9, 0.8


def fixed(g, t, s):
    return -RATE * g


def step_decay(g, t, s):
    return -RATE * 0.5 ** ((t - 1) // 2) * g


def momentum(g, t, s):
    s["v"] = MU * s.get("v", 0) - RATE * g
    return s["v"]


def nesterov(g, t, s):
    before = s.get("v", 0)
    s["v"] = MU * before - RATE * g
    return -MU * before + (1 + MU) * s["v"]


def adagrad(g, t, s):
    s["cache"] = s.get("cache", 0) + g**2
    return -RATE * g / (np.sqrt(s["cache"]) + EPS)


def rmsprop(g, t, s):
    s["cache"] = DECAY * s.get("cache", 0) + (1 - DECAY) * g**2
    return -RATE * g / (np.sqrt(s["cache"]) + EPS)


def adam(g, t, s):
    s["m"] = MU * s.get("m", 0) + (1 - MU) * g
    s["v"] = DECAY * s.get("v", 0) + (1 - DECAY) * g**2
    return -RATE * s["m"] / (1 - MU**t) / (np.sqrt(s["v"] / (1 - DECAY**t)) + EPS)


def follow_by_hand(model, batches, rule):
    """Change each parameter by a rule of its gradient, the time and a state of its own."""
    states = [{} for _ in range(2 * len(model.weights))]
    for t, (x, y) in enumerate(batches, start=1):
        _, dweights, dbiases = model.loss_and_gradients(x, y)
        gradients = zip(dweights + dbiases, states, strict=True)
        steps = iter([rule(gradient, t, state) for gradient, state in gradients])
        model.weights = [w + next(steps) for w in model.weights]
        model.biases = [b + next(steps) for b in model.biases]


def assert_lockstep(optimizer, rule, batch_size=10, epochs=1):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10, 3)), rng.integers(0, 2, 10)
    model, by_hand = (MLP([3, 4, 2], activation="tanh", dtype="float64") for _ in range(2))
    fit(model, x, y, epochs=epochs, batch_size=batch_size, optimizer=optimizer, shuffle=False)
    cuts = range(batch_size, 10, batch_size)
    batches = list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))
    follow_by_hand(by_hand, batches * epochs, rule)
    for name, expected in by_hand.parameters().items():
        np.testing.assert_allclose(model.parameters()[name], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 4, 10], ids=["stochastic", "mini-batch", "batch"])
def test_descent_follows_the_gradient_of_each_batch(batch_size):
    assert_lockstep(SGD(RATE), fixed, batch_size)


def order_of_visits(seed, batch_size, **options):
    """Numbers of the samples of 50 as a training of three epochs sees them, and its batches."""
    batches = []

    def note(outputs, targets):
        batches.append(targets[:, 0].copy())
        return 0.0, np.zeros_like(outputs)

    model = MLP([1, 1], loss=note, seed=seed)
    numbers = np.arange(50.0)[:, None]
    fit(model, numbers, numbers, epochs=3, batch_size=batch_size, **options)
    return np.concatenate(batches).reshape(3, 50), [len(batch) for batch in batches]


def test_every_epoch_has_an_order_of_its_own():
    epochs, _ = order_of_visits(seed=0, batch_size=1)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [np.arange(50)] * 3)
    for a, b in itertools.combinations([*epochs, np.arange(50)], 2):
        assert (a != b).mean() > 0.8
    assert (epochs != order_of_visits(seed=1, batch_size=1)[0]).mean() > 0.8
    batched, sizes = order_of_visits(seed=0, batch_size=20)
    np.testing.assert_array_equal(batched, epochs)
    assert sizes == [20, 20, 10] * 3
    in_order, _ = order_of_visits(seed=0, batch_size=1, shuffle=False)
    np.testing.assert_array_equal(in_order, [np.arange(50)] * 3)


@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [
        (step_decay, SGD(schedules.StepDecay(RATE, 0.5, every=2))),
        (momentum, SGD(RATE, momentum=MU)),
        (nesterov, SGD(RATE, momentum=MU, nesterov=True)),
        (adagrad, fastmlp.Adagrad(RATE, epsilon=EPS)),
        (rmsprop, fastmlp.RMSprop(RATE, rho=DECAY, epsilon=EPS)),
        (adam, fastmlp.Adam(RATE, beta1=MU, beta2=DECAY, epsilon=EPS)),
    ],
)
def test_update_rules_as_on_the_slides(rule, optimizer):
    """CS231n, notes on neural networks 3: six steps from the gradients of the library."""
    assert_lockstep(optimizer, rule, epochs=6)


# A bowl, 10 times as long as wide: the loss is (e1^2 + e2^2 / 100) / 2 for errors e of the weights.
BOWL = np.sqrt(2) * np.array([[1, 0], [-1, 0], [0, 0.1], [0, -0.1]])


def roll_down(optimizer):
    model = MLP([2, 1], loss="half_mse", initializer="zeros", dtype="float64")
    heights = BOWL.sum(axis=1, keepdims=True)
    options = {"epochs": 101, "batch_size": 4, "shuffle": False}
    return np.array(fit(model, BOWL, heights, optimizer=optimizer, **options).loss)


def test_momentum_in_a_long_bowl():
    """B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    At the best settings an error shrinks by (k - 1) / (k + 1) a step, and with momentum by
    r = (sqrt(k) - 1) / (sqrt(k) + 1) times a linear function, for k = 100.
    """
    t = np.arange(101)
    plain = roll_down(SGD(2 / 1.01))
    np.testing.assert_allclose(plain, 0.505 * (99 / 101) ** (2 * t), rtol=1e-10)
    r, rate = 9 / 11, 4 / 1.1**2
    heavy = roll_down(SGD(rate, momentum=r**2))
    steep = (1 + ((1 - rate) / -r - 1) * t) * (-r) ** t
    flat = (1 + ((1 - rate / 100) / r - 1) * t) * r**t
    expected = (steep**2 + flat**2 / 100) / 2
    np.testing.assert_allclose(heavy[:60], expected[:60], rtol=1e-6)
    assert heavy[-1] < 1e-10 * plain[-1]


def test_race_of_the_rules():
    x, y = spirals(400, turns=1, seed=0)
    racers = {
        "plain": SGD(0.1),
        "momentum": SGD(0.1, momentum=0.9),
        "Nesterov": SGD(0.1, momentum=0.9, nesterov=True),
        "Adagrad": fastmlp.Adagrad(0.1),
        "RMSprop": fastmlp.RMSprop(0.01),
        "Adam": fastmlp.Adam(0.01),
    }
    curves = {
        name: fit(MLP([2, 20, 2]), x, y, epochs=100, batch_size=20, optimizer=optimizer).loss
        for name, optimizer in racers.items()
    }
    slowest = curves.pop("plain")
    assert slowest[-1] < 0.2 * slowest[0]
    for name, curve in curves.items():
        assert curve[-1] < 0.5 * slowest[-1], name


# ---------------------------------------------------------------- fine-tuning


def sectors(samples, seed, classes):
    """Directions in a plane of a 20-dimensional space in 8 sectors, or which of two kinds."""
    x = np.random.default_rng(seed).standard_normal((samples, 20))
    angle = np.arctan2(x[:, 0] + x[:, 1], x[:, 2] + x[:, 3])
    return x, np.floor((angle / (2 * np.pi) + 0.5) * 8).astype(int) % classes


def test_frozen_layers_carry_over_what_they_learned(tmp_path):
    options = {"batch_size": 20, "optimizer": SGD(0.05, momentum=0.9)}
    teacher = MLP([20, 64, 32, 8])
    fit(teacher, *sectors(4000, 0, 8), epochs=20, **options)
    teacher.save(tmp_path / "teacher.safetensors")
    few, fresh = sectors(60, 1, 2), sectors(1000, 2, 2)

    student = fastmlp.load(tmp_path / "teacher.safetensors").replace_head(2)
    student.freeze([0, 1])
    fit(student, *few, epochs=50, **options)
    for layer in range(2):
        np.testing.assert_array_equal(student.weights[layer], teacher.weights[layer])
        np.testing.assert_array_equal(student.biases[layer], teacher.biases[layer])
    beginner = MLP([20, 64, 32, 2])
    fit(beginner, *few, epochs=50, **options)
    assert accuracy(beginner, *fresh) < 0.6
    assert accuracy(student, *fresh) > 0.65

    student.unfreeze()
    fit(student, *few, epochs=20, batch_size=20, optimizer=SGD(0.005))
    assert (student.weights[0] != teacher.weights[0]).any()
    assert accuracy(student, *fresh) > 0.65


# ---------------------------------------------------------------- vanishing gradients


def test_each_sigmoid_layer_passes_on_a_quarter_at_most():
    """The gradient of a sum of inputs is that of the next layer times W and sigmoid' <= 1/4."""
    x = np.random.default_rng(0).standard_normal((1, 20))
    model = MLP([20, *[30] * 5, 2], activation="sigmoid", dtype="float64")
    _, dweights, dbiases = model.loss_and_gradients(x, [0])
    for layer in range(5):
        bound = np.linalg.norm(model.weights[layer + 1], 2) / 4
        assert np.linalg.norm(dbiases[layer]) <= bound * np.linalg.norm(dbiases[layer + 1])
    norms = [float(np.linalg.norm(gradient)) for gradient in dweights]
    assert model.gradient_norms(x, [0]) == pytest.approx(norms, rel=1e-14)


CURES = {
    "ReLU and He": {"activation": "relu", "initializer": "he_normal"},
    "tanh and Glorot": {"activation": "tanh", "initializer": "glorot_uniform"},
    "batch normalization": {"activation": "sigmoid", "batch_normalization": True},
}


def first_gradient(layers, **options):
    x = np.random.default_rng(0).standard_normal((256, 20))
    model = MLP([20, *[30] * layers, 2], dtype="float64", **options)
    return model.gradient_norms(x, (x[:, 0] * x[:, 1] > 0).astype(int), training=True)[0]


def test_gradients_vanish_with_sigmoids_and_have_cures():
    vanishing = [first_gradient(layers, activation="sigmoid") for layers in range(1, 6)]
    for shallow, deep in itertools.pairwise(vanishing):
        assert deep < shallow / 2
    for name, options in CURES.items():
        norms = [first_gradient(layers, **options) for layers in range(1, 6)]
        assert min(norms) > 100 * vanishing[-1], name
        assert min(norms) > max(norms) / 10, name


def test_deep_networks_learn_once_gradients_arrive():
    x, y = spirals(400, turns=0.75, seed=0)

    def learned(**settings):
        model = MLP([2, *[30] * 5, 2], **settings)
        fit(model, x, y, epochs=60, batch_size=20, optimizer=SGD(0.1))
        return accuracy(model, x, y)

    assert learned(activation="sigmoid") < 0.6
    for name, settings in CURES.items():
        assert learned(**settings) > 0.8, name


# Of relu(z), z of variance 2: E relu^2 = 1 and (E relu)^2 = 1 / pi.
@pytest.mark.parametrize(
    ("activation", "initializer", "deviations"),
    [
        ("tanh", fastmlp.Normal(0.01), [0.213081, 0.047551, 0.010630, 0.002378, 0.000532]),
        ("tanh", "glorot_normal", [0.627953, 0.486051, 0.407723, 0.357108, 0.320917]),
        ("relu", "he_normal", [(1 - 1 / np.pi) ** 0.5] * 5),
    ],
)
def test_signals_through_five_layers(activation, initializer, deviations):
    """CS231n, lecture on initialization: deviations of the activations of layers of 500 units."""
    x = np.random.default_rng(0).standard_normal((300, 500))
    settings = {"activation": activation, "initializer": initializer}
    levels = MLP([500] * 6 + [1], **settings).hidden_activations(x, threads=1)
    np.testing.assert_allclose([level.std() for level in levels], deviations, rtol=0.08)


# ---------------------------------------------------------------- what networks can fit


def test_wider_and_deeper_networks_fit_a_curve_better():
    x = np.linspace(-1, 1, 101)[:, None]
    y = np.sin(4 * x) + 0.5 * np.cos(9 * x) + 0.3 * abs(x)

    def worst_error(hidden, seed):
        model = MLP([1, *hidden, 1], activation="tanh", loss="mse", seed=seed)
        rng = np.random.default_rng(seed)
        model.biases = [*(rng.uniform(-2, 2, units) for units in hidden), [0.0]]
        fit(model, x, y, epochs=500, batch_size=20, optimizer=fastmlp.Adam(schedules.Cosine(0.03)))
        return np.abs(model.forward(x) - y).max()

    sizes = ([1], [2], [4], [16], [16, 16])
    errors = [min(worst_error(hidden, seed) for seed in range(3)) for hidden in sizes]
    for narrow, wide in itertools.pairwise(errors):
        assert wide < 0.9 * narrow
    assert errors[-1] < 0.1


def test_decision_regions():
    """Along a line the score of n ReLUs has n corners, so that the class changes n + 1 times."""
    data, fresh = spirals(400, turns=1.25, seed=0), spirals(2000, turns=1.25, seed=1)
    line = np.linspace(-1.5, 1.5, 201)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)

    def recognized(hidden, seed):
        model = MLP([2, *hidden, 2], seed=seed)
        fit(model, *data, epochs=150, batch_size=10, optimizer=fastmlp.Adam(schedules.Cosine(0.02)))
        regions = model.predict(grid, threads=1).reshape(201, 201)
        assert set(regions.flat) == {0, 1}
        if len(hidden) < 2:
            assert np.abs(np.diff(regions, axis=1)).sum(axis=1).max() <= sum(hidden) + 1
        return accuracy(model, *fresh)

    sizes = ([], [3], [6], [20], [20, 20], [20, 20, 20])
    linear, three, six, twenty, *deep = (max(recognized(h, s) for s in range(3)) for h in sizes)
    assert linear < 0.7 < three < 0.88 < six < 0.99 < min(twenty, *deep)
