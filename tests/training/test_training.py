"""Whole networks: lockstep with the oracle, gradients, learning, what fit records and calls."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support import reference
from support.strategies import ACTIVATIONS, LOSSES, problem
from support.tolerance import RunningErrorBound, assert_within, relative_error

SIZES = [20, 17, 9, 5]
# mse takes long steps, so it gets a smaller rate.
RATES = {"softmax_cross_entropy": 0.05, "mse": 0.01}
OPTIMIZERS = {
    "plain": {"momentum": 0.0},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "l2": {"momentum": 0.0, "l2": 0.1},
    "everything": {"momentum": 0.9, "nesterov": True, "l2": 0.1},
}


def make_pair(sizes=SIZES, *, dtype="float64", seed=0, **options):
    """A model with biases off zero, and the oracle started from the same parameters."""
    model = fastmlp.MLP(sizes, dtype=dtype, seed=seed, **options)
    rng = np.random.default_rng(seed + 1)
    model.biases = [0.1 * rng.standard_normal(n).astype(dtype) for n in sizes[1:]]
    options.pop("initializer", None)
    oracle = reference.Network(
        [w.astype(np.float64) for w in model.weights],
        [b.astype(np.float64) for b in model.biases],
        **options,
    )
    return model, oracle


def parameters(network):
    return list(network.weights) + list(network.biases)


# ---------------------------------------------------------------- lockstep with the oracle


def assert_lockstep(options, settings, samples=32 * 99 + 13, epochs=1, **fit_options):
    """100 steps in float64 (the last batch is short) end within 1e-10 of the oracle."""
    loss = options.get("loss", "softmax_cross_entropy")
    x, y = problem(loss, samples, SIZES[0], SIZES[-1], seed=5)
    model, oracle = make_pair(**options)
    rate = RATES[loss]
    shuffle = fit_options.pop("shuffle", False)
    orders = [
        _core.permutation(samples, 0, epoch) if shuffle else np.arange(samples)
        for epoch in range(epochs)
    ]
    expected = reference.train(oracle, x, y, orders, 32, [rate] * epochs, **settings)
    history = model.fit(
        x,
        y,
        epochs=epochs,
        batch_size=32,
        optimizer=fastmlp.SGD(learning_rate=rate, **{"momentum": 0.0, **settings}),
        shuffle=shuffle,
        verbose=0,
        **fit_options,
    )
    assert relative_error(parameters(model), parameters(oracle)) < 1e-10
    np.testing.assert_allclose(history.loss, expected, rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lockstep_of_every_activation_and_loss(activation, loss):
    assert_lockstep({"activation": activation, "loss": loss}, {"momentum": 0.9})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lockstep_of_every_optimizer(name):
    assert_lockstep({}, OPTIMIZERS[name])


@pytest.mark.parametrize("output_activation", ACTIVATIONS)
def test_lockstep_of_every_output_activation(output_activation):
    options = {"activation": "tanh", "output_activation": output_activation, "loss": "mse"}
    assert_lockstep(options, {"momentum": 0.5})


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_lockstep_for_any_threads(threads):
    assert_lockstep({}, {"momentum": 0.9}, threads=threads)


def test_lockstep_over_shuffled_epochs():
    assert_lockstep({}, {"momentum": 0.9}, samples=301, epochs=4, shuffle=True)


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 64])
def test_lockstep_around_the_batch_size(samples):
    """A short last batch is divided by its own size, not by that of a full one."""
    assert_lockstep({}, {"momentum": 0.9, "l2": 0.01}, samples=samples, epochs=3)


@pytest.mark.parametrize("kind", ["uint8", "float64"])
def test_input_scale_is_applied_once(kind):
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 256, (70, 20)).astype(kind), rng.integers(0, 5, 70)
    model, oracle = make_pair(input_scale=1 / 255)
    np.testing.assert_allclose(model.forward(x), oracle.forward(x), rtol=1e-12)
    reference.train(oracle, x, y, [np.arange(70)], 32, [0.1])
    model.fit(
        x,
        y,
        epochs=1,
        batch_size=32,
        optimizer=fastmlp.SGD(learning_rate=0.1, momentum=0.0),
        shuffle=False,
        verbose=0,
    )
    assert relative_error(parameters(model), parameters(oracle)) < 1e-12
    np.testing.assert_allclose(model.forward(x), oracle.forward(x), rtol=1e-10)


def test_each_fit_starts_with_zero_velocity():
    x, y = problem("softmax_cross_entropy", 96, SIZES[0], SIZES[-1])
    model, oracle = make_pair()
    optimizer = fastmlp.SGD(learning_rate=0.05, momentum=0.9)
    for _ in range(2):
        reference.train(oracle, x, y, [np.arange(96)], 32, [0.05], 0.9)
        model.fit(x, y, epochs=1, batch_size=32, optimizer=optimizer, shuffle=False, verbose=0)
    assert relative_error(parameters(model), parameters(oracle)) < 1e-12


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_lockstep_in_float32_within_the_running_bound(activation, loss):
    """The bound is derived step by step (tolerance.RunningErrorBound) and grows with the steps."""
    sizes, samples = [12, 9, 7, 4], 32 * 4 + 5
    rate = RATES[loss] / 2
    settings = {"momentum": 0.5, "l2": 0.01}
    x, y = problem(loss, samples, sizes[0], sizes[-1], "float32", seed=6)
    model, oracle = make_pair(
        sizes, dtype="float32", activation=activation, loss=loss, initializer="glorot_uniform"
    )
    oracle.reset_velocities()
    bound = RunningErrorBound(oracle, "float32")
    for rows in reference.minibatches(np.arange(samples), 32):
        bound.step(oracle, x[rows], y[rows], rate, **settings)
        oracle.step(x[rows], y[rows], rate, **settings)
    optimizer = fastmlp.SGD(learning_rate=rate, **settings)
    model.fit(x, y, epochs=1, batch_size=32, optimizer=optimizer, shuffle=False, verbose=0)
    for actual, exact, allowed in zip(
        parameters(model), parameters(oracle), bound.weights + bound.biases, strict=True
    ):
        assert actual.dtype == np.float32
        assert_within(actual, exact, allowed)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output_activation", ACTIVATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_match_central_differences(activation, output_activation, loss):
    sizes = [5, 7, 6, 3]
    if loss == "softmax_cross_entropy" and output_activation != "identity":
        with pytest.raises(ValueError, match="output_activation"):
            fastmlp.MLP(sizes, output_activation=output_activation, loss=loss)
        return
    options = {"activation": activation, "output_activation": output_activation, "loss": loss}
    model, oracle = make_pair(sizes, **options)
    x, y = problem(loss, 11, 5, 3, seed=3)
    value, dweights, dbiases = model.loss_and_gradients(x, y)
    assert value == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-14)
    assert value == pytest.approx(oracle.row_losses(x, y).mean(), rel=1e-13)
    for kind, analytic in (("weights", dweights), ("biases", dbiases)):
        for layer, gradient in enumerate(analytic):
            numeric = central_differences(model, kind, layer, x, y)
            scale = np.max(np.abs(numeric))
            assert scale > 0
            assert np.max(np.abs(gradient - numeric)) < 1e-7 * scale, f"{kind}[{layer}]"


def central_differences(model, kind, layer, x, y, step=1e-5):
    """Derivatives of the model's own loss by one of its tensors."""
    start = [p.copy() for p in getattr(model, kind)]
    numeric = np.empty_like(start[layer])
    for i in np.ndindex(numeric.shape):
        losses = []
        for shift in (step, -step):
            moved = [p.copy() for p in start]
            moved[layer][i] += shift
            setattr(model, kind, moved)
            losses.append(model.evaluate(x, y)["loss"])
        numeric[i] = (losses[0] - losses[1]) / (2 * step)
    setattr(model, kind, start)
    return numeric


def test_loss_and_gradients_leave_the_model_alone():
    model, _ = make_pair()
    x, y = problem("softmax_cross_entropy", 40, SIZES[0], SIZES[-1])
    before = [p.copy() for p in parameters(model)]
    model.loss_and_gradients(x, y)
    for a, b in zip(parameters(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- learning


def test_it_learns_a_small_random_set_by_heart():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 20)), rng.integers(0, 10, 40)
    model = fastmlp.MLP([20, 64, 10], seed=0)
    optimizer = fastmlp.SGD(learning_rate=0.1, momentum=0.9)
    history = model.fit(x, y, epochs=150, batch_size=8, optimizer=optimizer, verbose=0)
    assert history.loss[-1] < 0.01 < history.loss[0]
    assert model.evaluate(x, y)["accuracy"] == 1
    np.testing.assert_array_equal(model.predict(x), y)


def test_it_learns_xor():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    y = np.array([0, 1, 1, 0])
    model = fastmlp.MLP([2, 8, 2], activation="tanh", seed=1)
    optimizer = fastmlp.SGD(learning_rate=0.5, momentum=0.9)
    model.fit(x, y, epochs=200, batch_size=4, optimizer=optimizer, verbose=0)
    np.testing.assert_array_equal(model.predict(x), y)


# ---------------------------------------------------------------- inference


def test_forward_evaluate_and_predict_agree_with_the_oracle():
    model, oracle = make_pair(activation="tanh")
    x, y = problem("softmax_cross_entropy", 333, SIZES[0], SIZES[-1])
    exact = oracle.forward(x)
    np.testing.assert_allclose(model.forward(x), exact, rtol=1e-11, atol=1e-13)
    proba = model.predict_proba(x)
    np.testing.assert_allclose(proba, reference.softmax(exact), rtol=1e-11)
    np.testing.assert_array_equal(model.predict(x), exact.argmax(axis=1))
    result = model.evaluate(x, y)
    assert result["loss"] == pytest.approx(oracle.row_losses(x, y).mean(), rel=1e-12)
    assert result["accuracy"] == np.mean(exact.argmax(axis=1) == y)


# ---------------------------------------------------------------- what fit records and calls


@pytest.fixture
def blobs():
    return problem("softmax_cross_entropy", 90, 4, 3, "float32")


def test_history_and_records(blobs, capfd):
    x, y = blobs
    model = fastmlp.MLP([4, 6, 3], seed=0)
    records = []

    def keep(given_model, record):
        assert given_model is model
        records.append((record, given_model.evaluate(x[:30], y[:30])))

    history = model.fit(
        x, y, epochs=3, batch_size=32, validation_data=(x[:30], y[:30]), callbacks=[keep], verbose=0
    )
    assert capfd.readouterr() == ("", "")
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "epoch_seconds"):
        assert len(getattr(history, name)) == 3, name
    assert [record["epoch"] for record, _ in records] == [1, 2, 3]
    for i, (record, evaluated) in enumerate(records):
        assert record["epochs"] == 3
        assert record["loss"] == history.loss[i]
        assert record["accuracy"] == history.accuracy[i]
        assert record["val_loss"] == history.val_loss[i] == evaluated["loss"]
        assert record["val_accuracy"] == history.val_accuracy[i] == evaluated["accuracy"]
        assert record["seconds"] >= 0


def test_accuracy_is_counted_before_each_step(blobs):
    x, y = blobs
    model = fastmlp.MLP([4, 6, 3], seed=0)
    expected = model.evaluate(x, y)["accuracy"]
    optimizer = fastmlp.SGD(learning_rate=0.0)
    history = model.fit(x, y, epochs=1, batch_size=32, optimizer=optimizer, verbose=0)
    assert history.accuracy == [pytest.approx(expected)]


def test_absent_quantities_have_no_key():
    x, y = problem("mse", 20, 4, 2)
    records = []
    model = fastmlp.MLP([4, 3, 2], loss="mse", seed=0)
    model.fit(x, y, epochs=1, callbacks=[lambda _, record: records.append(record)], verbose=0)
    assert not {"accuracy", "val_loss", "val_accuracy"} & set(records[0])


def test_a_callback_stops_training_with_true(blobs):
    model = fastmlp.MLP([4, 3], seed=0)
    history = model.fit(
        *blobs, epochs=9, callbacks=[lambda _, record: record["epoch"] == 2], verbose=0
    )
    assert len(history.loss) == 2


def test_an_exception_from_a_callback_comes_through_and_the_model_stays_usable(blobs):
    def fail(_, record):
        raise KeyError("mine")

    model = fastmlp.MLP([4, 3], seed=0)
    with pytest.raises(KeyError, match="mine"):
        model.fit(*blobs, epochs=2, callbacks=[fail], verbose=0)
    model.fit(*blobs, epochs=1, verbose=0)
    assert np.isfinite(model.forward(blobs[0])).all()


def test_progress_counts_up_to_the_total(blobs):
    calls = []
    model = fastmlp.MLP([4, 3], seed=0)
    model.fit(*blobs, epochs=2, batch_size=8, progress=lambda *call: calls.append(call), verbose=0)
    assert all(0 <= done <= total == 90 for done, total, *_ in calls)
    assert all(np.isfinite(loss) and 0 <= accuracy <= 1 for *_, loss, accuracy in calls)


def test_an_exception_from_progress_comes_through():
    def fail(*_):
        raise KeyError("mine")

    x, y = problem("softmax_cross_entropy", 20_000, 64, 10, "float32")
    model = fastmlp.MLP([64, 64, 10], seed=0)
    # Enough work for the 20 calls a second to happen at least once.
    with pytest.raises(KeyError, match="mine"):
        model.fit(x, y, epochs=100, progress=fail, verbose=0)
    assert all(np.isfinite(p).all() for p in parameters(model))
    model.fit(x[:100], y[:100], epochs=1, verbose=0)


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize(
    # In float64 a cross-entropy this badly off stays finite: its gradients are bounded.
    ("loss", "dtype"),
    [("mse", "float32"), ("mse", "float64"), ("softmax_cross_entropy", "float32")],
)
def test_divergence_is_reported_and_the_weights_stay_finite(loss, dtype):
    x, y = problem(loss, 200, 4, 3, dtype)
    model = fastmlp.MLP([4, 16, 16, 3], loss=loss, dtype=dtype, seed=0)
    optimizer = fastmlp.SGD(learning_rate=1e6, momentum=0.9)
    with pytest.raises(fastmlp.DivergedError) as caught:
        model.fit(100 * x, y, epochs=200, batch_size=10, optimizer=optimizer, verbose=0)
    assert caught.value.epoch >= 1
    assert caught.value.step >= 1
    assert all(np.isfinite(p).all() for p in parameters(model))


def test_divergence_keeps_the_weights_of_the_last_finished_epoch():
    x, y = problem("mse", 64, 4, 3)
    options = {"batch_size": 8, "verbose": 0}
    model, twin = (fastmlp.MLP([4, 6, 3], loss="mse", seed=0) for _ in range(2))
    optimizer = fastmlp.SGD(learning_rate=lambda epoch: [0.01, 1e30][epoch])
    with pytest.raises(fastmlp.DivergedError) as caught:
        model.fit(x, y, epochs=2, optimizer=optimizer, **options)
    assert caught.value.epoch == 2
    twin.fit(x, y, epochs=1, optimizer=fastmlp.SGD(learning_rate=0.01), **options)
    for a, b in zip(parameters(model), parameters(twin), strict=True):
        np.testing.assert_array_equal(a, b)
