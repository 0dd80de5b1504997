"""Losses, output units, penalties, information and measures of quality, as courses have them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SGD, metrics
from support.strategies import classification, normals


def fit(model, x, y, **options):
    return model.fit(x, y, **{"verbose": 0, "threads": 1, **options})


def passthrough(size, loss, dtype="float64", **options):
    """A network whose outputs are its inputs."""
    model = MLP([size, size], loss=loss, dtype=dtype, **options)
    model.weights = [np.eye(size, dtype=dtype)]
    return model


def loss_of(outputs, target, loss, dtype="float64"):
    model = passthrough(len(outputs), loss, dtype)
    return model.evaluate(np.array([outputs], dtype), np.array([target]))["loss"]


def in_base_10(nats):
    return nats / math.log(10)


# ---------------------------------------------------------------- linear classifiers


def test_hinge_and_cross_entropy_of_the_same_scores(dtype):
    """CS231n, notes on linear classification: a cat, class 0, among three classes."""
    scores = [0.6, -2.3, 1.9]
    assert loss_of(scores, 0, "hinge", dtype) == pytest.approx(2.3, rel=1e-6)
    model = passthrough(3, "softmax_cross_entropy", dtype)
    probabilities = model.predict_proba(np.array([scores], dtype))
    np.testing.assert_array_equal(np.round(probabilities.astype(float), 2), [[0.21, 0.01, 0.78]])
    loss = loss_of(scores, 0, "softmax_cross_entropy", dtype)
    assert round(in_base_10(loss), 2) == 0.67
    assert in_base_10(loss) == pytest.approx(-np.log10(probabilities[0, 0]), rel=1e-5)


# The lectures take the probability of B for 0.58, which makes 0.237 of 0.2395.
@pytest.mark.parametrize(
    ("scores", "digits", "base_10"),
    [((10, -2, -3), 6, 0.000004), ((10, 9, 9), 4, 0.2395), ((10, -100, -100), 4, 0)],
    ids="ABC",
)
def test_cross_entropy_tells_apart_what_the_hinge_does_not(scores, digits, base_10):
    assert loss_of(scores, 0, "hinge") == 0
    loss = in_base_10(loss_of(scores, 0, "softmax_cross_entropy"))
    assert round(loss, digits) == base_10
    assert loss == pytest.approx(-math.log10(1 / sum(math.exp(s - 10) for s in scores)), abs=1e-15)


def test_the_gradient_of_softmax_and_cross_entropy_is_p_minus_y():
    probabilities = np.array([[0.34, 0.46, 0.20]])
    model = passthrough(3, "softmax_cross_entropy")
    _, _, (dscores,) = model.loss_and_gradients(np.log(probabilities), [0])
    np.testing.assert_allclose(dscores, [0.34 - 1, 0.46, 0.20], rtol=1e-14)


def test_the_gradient_of_the_hinge_counts_violated_margins():
    """CS231n, notes on optimization: 1 for each class within the margin, minus their number."""
    model = passthrough(4, "hinge")
    scores = np.array([[1.0, 0.5, -0.5, 3.0]])  # the margin reaches down to 0
    loss, (dweights,), (dscores,) = model.loss_and_gradients(scores, [0])
    assert loss == pytest.approx(0.5 + 3.0, rel=1e-15)
    np.testing.assert_array_equal(dscores, [-2, 1, 0, 1])
    np.testing.assert_array_equal(dweights, np.outer(scores, dscores))


def test_the_hinge_is_content_and_cross_entropy_is_not():
    """Once all margins are kept the hinge loss is 0; cross-entropy goes on pulling."""
    x, y = classification(300, 10, 3, seed=1)
    measured = {}
    for loss in ("hinge", "softmax_cross_entropy"):
        model = MLP([10, 3], loss=loss, dtype="float64")
        fit(model, x, y, epochs=200, batch_size=30, optimizer=SGD(0.1))
        measured[loss] = model.evaluate(x, y) | {"norms": model.gradient_norms(x, y)}
    assert measured["hinge"] == {"loss": 0.0, "accuracy": 1.0, "norms": [0.0]}
    assert measured["softmax_cross_entropy"]["accuracy"] == 1.0
    assert measured["softmax_cross_entropy"]["loss"] > 0
    assert measured["softmax_cross_entropy"]["norms"][0] > 0


# ---------------------------------------------------------------- output units

# Output unit, loss, targets of 5 samples with 3 outputs: values, several labels, one class.
PAIRS = {
    "linear": ("identity", "half_mse", lambda rng: normals(rng, (5, 3), "float64")),
    "sigmoid": ("sigmoid", "binary_cross_entropy", lambda rng: rng.integers(0, 2, (5, 3))),
    "softmax": ("softmax", "softmax_cross_entropy", lambda rng: rng.integers(0, 3, 5)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_matching_unit_and_loss_have_the_error_as_gradient(pair):
    """C. Bishop, "Pattern recognition and machine learning", 2006, section 5.2: output - target."""
    output_activation, loss, make_targets = PAIRS[pair]
    rng = np.random.default_rng(2)
    x, targets = normals(rng, (5, 3), "float64"), make_targets(rng)
    model = passthrough(3, loss, output_activation=output_activation)
    values = np.eye(3)[targets] if targets.ndim == 1 else targets
    errors = model.forward(x) - values
    np.testing.assert_allclose(model.input_gradients(x, targets) * 5, errors, atol=1e-15)


def best_constant(loss, targets, epochs=500):
    """What a network that sees nothing learns to answer: its biases."""
    blind = MLP([1, np.shape(targets)[1]], loss=loss, dtype="float64")
    nothing = np.zeros((len(targets), 1))
    for rate in (1.0, fastmlp.schedules.Exponential(1.0, 1 - 10 / epochs)):
        fit(blind, nothing, targets, epochs=epochs, batch_size=len(targets), optimizer=SGD(rate))
    return blind.biases[0]


COUNTS = np.random.default_rng(4).poisson([[2.0, 5.0]], (101, 2)).astype(float)
FLAGS = (COUNTS > 2).astype(float)


@pytest.mark.parametrize(
    ("loss", "targets", "best", "tolerance", "epochs"),
    [
        ("mse", COUNTS, COUNTS.mean(axis=0), 1e-12, 500),
        ("poisson", COUNTS, np.log(COUNTS.mean(axis=0)), 1e-12, 500),
        (
            "binary_cross_entropy",
            FLAGS,
            np.log(FLAGS.mean(axis=0) / (1 - FLAGS.mean(axis=0))),
            1e-12,
            500,
        ),
        ("mae", COUNTS, np.median(COUNTS, axis=0), 1e-3, 1000),
        (fastmlp.Quantile(levels=0.9), COUNTS, np.quantile(COUNTS, 0.9, axis=0), 1e-3, 2000),
    ],
    ids=["mean", "log of the mean", "log odds", "median", "quantile"],
)
def test_what_a_loss_asks_for(loss, targets, best, tolerance, epochs):
    """Slopes that jump are followed for longer."""
    np.testing.assert_allclose(best_constant(loss, targets, epochs), best, atol=tolerance)


def test_huber_lies_between_mean_and_median():
    """P. Huber, "Robust estimation of a location parameter", 1964: an outlier counts as delta."""
    values = np.array([[0.0], [0.1], [0.2], [0.3], [100.0]])
    # Of four errors within delta = 1 and one beyond: sum (b - t) over the four = 1.
    assert best_constant("huber", values)[0] == pytest.approx((0.6 + 1) / 4, rel=1e-12)
    assert best_constant("mse", values)[0] == pytest.approx(20.12, rel=1e-12)


def test_weights_of_outputs_scale_their_share():
    rng = np.random.default_rng(5)
    x, y = normals(rng, (6, 2), "float64"), normals(rng, (6, 2), "float64")
    weighted = passthrough(2, fastmlp.MSE(output_weights=[1.0, 4.0])).loss_and_gradients(x, y)
    plain = passthrough(2, "mse").loss_and_gradients(x, y)
    np.testing.assert_allclose(weighted[1][0], plain[1][0] * [1, 4], rtol=1e-14)
    np.testing.assert_allclose(weighted[2][0], plain[2][0] * [1, 4], rtol=1e-14)
    shares = ((x - y) ** 2).mean(axis=0)
    assert weighted[0] == pytest.approx(shares[0] + 4 * shares[1], rel=1e-14)


def test_a_value_a_class_and_labels_are_learned_by_one_network():
    rng = np.random.default_rng(6)
    x = rng.uniform(-1, 1, (400, 2))
    values, classes = x[:, :1] * x[:, 1:], (x[:, 0] > x[:, 1]).astype(int)
    labels = (x > 0).astype(int)
    tasks = [
        fastmlp.MSE(outputs=1, weight=5.0),
        fastmlp.SoftmaxCrossEntropy(outputs=2),
        fastmlp.BinaryCrossEntropy(outputs=2, weight=0.5),
    ]
    model = MLP([2, 32, 5], activation="tanh", loss=tasks, seed=1)
    y = [values, classes, labels]
    optimizer = fastmlp.Adam(fastmlp.schedules.Cosine(0.01))
    fit(model, x, y, epochs=200, batch_size=20, optimizer=optimizer)
    predicted = model.predict(x)
    assert ((predicted[0] - values) ** 2).mean() < 0.01 * values.var()
    assert metrics.accuracy(classes, predicted[1]) > 0.97
    assert (labels == predicted[2]).mean() > 0.97


def squared_error(outputs, targets):
    """A loss as a user would write it."""
    errors = outputs - targets
    return (errors**2).sum() / len(errors), 2 * errors / len(errors)


def test_a_loss_of_ones_own_trains_like_the_built_in_one():
    rng = np.random.default_rng(7)
    x, y = normals(rng, (70, 4), "float64"), normals(rng, (70, 2), "float64")
    runs = []
    for loss in (squared_error, "mse"):
        model = MLP([4, 8, 2], activation="tanh", loss=loss, dtype="float64", seed=2)
        history = fit(model, x, y, epochs=5, batch_size=16, optimizer=SGD(0.05))
        runs.append((model, history))
    (own, own_history), (built_in, history) = runs
    np.testing.assert_allclose(own_history.loss, history.loss, rtol=1e-12)
    for a, b in zip(own.weights, built_in.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


# ---------------------------------------------------------------- overfitting


def noisy(samples, seed):
    """A function of two of twenty inputs, with noise of variance 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 20))
    return x, x[:, :1] + abs(x[:, 1:2]) + rng.standard_normal((samples, 1))


def test_l2_leads_to_ridge_regression():
    """A. Hoerl and R. Kennard, "Ridge regression", 1970; the bias is not penalized."""
    x, y = noisy(100, seed=0)
    model = MLP([20, 1], loss="half_mse", dtype="float64")
    fit(model, x, y, epochs=300, batch_size=100, optimizer=SGD(0.3, l2=0.7))
    centred = x - x.mean(axis=0)
    ridge = np.linalg.solve(centred.T @ centred + 70 * np.eye(20), centred.T @ y)
    np.testing.assert_allclose(model.weights[0], ridge, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.biases[0], (y - x @ ridge).mean(axis=0), rtol=1e-9)


def test_weight_decay_is_l2_for_plain_descent_only():
    """I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019."""
    x, y = noisy(100, seed=0)

    def distance(rule):
        penalized, decayed = (MLP([20, 8, 1], loss="mse", dtype="float64") for _ in range(2))
        fit(penalized, x, y, epochs=5, optimizer=rule(0.01, l2=0.1))
        fit(decayed, x, y, epochs=5, optimizer=rule(0.01, decay=0.1))
        return np.abs(penalized.weights[0] - decayed.weights[0]).max()

    assert distance(SGD) < 1e-14
    assert distance(fastmlp.Adam) > 1e-3


def test_cures_of_overfitting():
    data, validation, fresh = noisy(100, seed=0), noisy(500, seed=1), noisy(2000, seed=2)

    def errors(optimizer=None, callbacks=(), **options):
        model = MLP([20, 100, 1], loss="mse", **options)
        optimizer = optimizer or SGD(0.005, momentum=0.9)
        options = {"epochs": 300, "batch_size": 10, "validation_data": validation}
        history = fit(model, *data, optimizer=optimizer, callbacks=callbacks, **options)
        return history, *(model.evaluate(*d, threads=1)["loss"] for d in (data, fresh, validation))

    _, by_heart, overfitted, _ = errors()
    assert by_heart < 1e-9
    stopping = fastmlp.EarlyStopping("val_loss", patience=5)
    runs = {
        "L2": errors(SGD(0.005, momentum=0.9, l2=0.1)),
        "weight decay": errors(SGD(0.005, momentum=0.9, decay=0.1)),
        "dropout": errors(dropout=0.5),
        "early stopping": errors(callbacks=[stopping]),
    }
    for name, (_, training_error, error, _) in runs.items():
        assert training_error > 1e-3, name
        assert error < 0.9 * overfitted, name
    history, _, _, validation_error = runs["early stopping"]
    assert len(history.val_loss) == stopping.stopped_epoch == stopping.best_epoch + 5 < 50
    assert history.val_loss[stopping.best_epoch - 1] == min(history.val_loss) == validation_error


# ---------------------------------------------------------------- entropy


@pytest.mark.parametrize(
    ("p", "bits"),
    [
        ([0.5, 0.5], 1),
        ([1, 0], 0),
        ([0.5, 0.25, 0.125, 0.125], 1.75),
        ([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 64, 1 / 64, 1 / 64, 1 / 64], 2),
        (np.full(8, 1 / 8), 3),
    ],
)
def test_entropy_in_bits(p, bits):
    """T. Cover and J. Thomas, "Elements of information theory", 2006, sections 1.1 and 2.1."""
    assert metrics.entropy(p, base=2) == pytest.approx(bits, rel=1e-15)


def test_kl_divergence_depends_on_the_direction():
    """Cover and Thomas, example 2.3.1, with r = 1/2 and s = 1/4, in bits."""
    p, q = [1 / 2, 1 / 2], [3 / 4, 1 / 4]
    assert metrics.kl_divergence(p, q, base=2) == pytest.approx(1 - math.log2(3) / 2, rel=1e-14)
    expected = 3 / 4 * math.log2(3) - 1
    assert metrics.kl_divergence(q, p, base=2) == pytest.approx(expected, rel=1e-14)


def test_the_loss_of_a_network_is_entropy_plus_divergence():
    rng = np.random.default_rng(8)
    p = rng.dirichlet(np.ones(4), 30)
    scores = normals(rng, (30, 4), "float64")
    model = passthrough(4, "softmax_cross_entropy")
    q = model.predict_proba(scores)
    loss = model.evaluate(scores, p)["loss"]
    assert loss == pytest.approx(metrics.cross_entropy(p, q).mean(), rel=1e-13)
    parts = metrics.entropy(p) + metrics.kl_divergence(p, q)
    np.testing.assert_allclose(metrics.cross_entropy(p, q), parts, rtol=1e-13)


def test_no_network_gets_below_the_entropy_of_its_targets():
    p = np.array([[0.7, 0.2, 0.1]])
    model = MLP([1, 3], dtype="float64", seed=3)
    history = fit(model, np.ones((1, 1)), p, epochs=500, optimizer=SGD(1.0))
    assert min(history.loss) >= metrics.entropy(p[0]) * (1 - 1e-15)
    assert history.loss[-1] == pytest.approx(metrics.entropy(p[0]), rel=1e-13)
    np.testing.assert_allclose(model.predict_proba(np.ones((1, 1))), p, rtol=1e-6)


# ---------------------------------------------------------------- metrics


def test_measures_of_a_test_for_an_illness():
    """35 of 40 ill and 50 of 60 healthy people recognized, by a network's own decisions."""
    ill = np.repeat([0, 0, 1, 1], [50, 10, 5, 35])
    found = np.repeat([0, 1, 0, 1], [50, 10, 5, 35])
    model = MLP([1, 1], loss="binary_cross_entropy")
    model.weights = [[[2.0]]]
    model.biases = [[-1.0]]
    predicted = model.predict(found.reshape(-1, 1))
    np.testing.assert_array_equal(metrics.confusion_matrix(ill, predicted), [[50, 10], [5, 35]])
    assert metrics.accuracy(ill, predicted) == 0.85
    assert model.evaluate(found.reshape(-1, 1), ill)["accuracy"] == 0.85
    assert metrics.precision(ill, predicted, average="binary") == 35 / 45
    assert metrics.recall(ill, predicted, average="binary") == 35 / 40
    precision, recall = 35 / 45, 35 / 40
    f1 = metrics.f1(ill, predicted, average="binary")
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), rel=1e-15)


def test_measures_of_a_classifier_agree_with_each_other():
    x, y = classification(500, 6, 4, seed=9)
    x += 0.8 * np.random.default_rng(9).standard_normal(x.shape)
    model = MLP([6, 16, 4])
    fit(model, x[:300], y[:300], epochs=20, batch_size=20)
    x, y = x[300:], y[300:]
    predicted = model.predict(x)
    matrix = metrics.confusion_matrix(y, predicted, classes=4)
    accuracy = model.evaluate(x, y)["accuracy"]
    assert 0.5 < accuracy < 1
    assert matrix.trace() / matrix.sum() == accuracy == metrics.accuracy(y, predicted)
    for measure, totals in ((metrics.precision, matrix.sum(0)), (metrics.recall, matrix.sum(1))):
        expected = matrix.diagonal() / totals
        np.testing.assert_allclose(measure(y, predicted, average=None), expected, rtol=1e-15)
        assert measure(y, predicted) == pytest.approx(expected.mean(), rel=1e-15)
        assert measure(y, predicted, average="micro") == pytest.approx(accuracy, rel=1e-15)
