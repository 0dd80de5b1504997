"""How an epoch is cut into batches, and what the weights of samples weigh."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import fastmlp
from fastmlp.network.samples import Data
from fastmlp.training.run import Run
from support.tolerance import assert_same_bits


def batch_sizes(samples, batch_size, *, normalized=False, drop_last=False):
    """Samples of each step of an epoch, as a callback of every step sees them."""
    model = fastmlp.MLP([3, 4, 2], batch_normalization=normalized)
    rng = np.random.default_rng(0)
    sums = []
    run = Run(model, min(batch_size, samples), "momentum", 1)
    x = rng.standard_normal((samples, 3)).astype(np.float32)
    data = Data(x, [rng.integers(0, 2, samples)])
    step = 0
    while True:
        report = run.epoch(data, {}, first_step=step, steps=1, drop_last=drop_last)
        if report.steps == 0:
            return sums
        sums.append(report.samples - sum(sums))
        step += 1


@pytest.mark.parametrize("seed", range(20), indirect=True)
def test_batches_cover_an_epoch(seed):
    rng = np.random.default_rng(seed)
    samples, size = int(rng.integers(2, 300)), int(rng.integers(2, 64))
    plain = batch_sizes(samples, size)
    assert sum(plain) == samples
    assert set(plain[:-1]) <= {min(size, samples)}
    even = batch_sizes(samples, size, normalized=True) if samples > 2 else [samples]
    assert sum(even) == samples
    assert len(even) == len(plain)
    assert max(even) <= size
    assert max(even) - min(even) <= 1
    for normalized in (False, True):
        dropped = batch_sizes(samples, size, normalized=normalized, drop_last=True)
        assert dropped == [min(size, samples)] * (samples // min(size, samples))


def assert_equal_models(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        assert_same_bits(array, expected[name], name)


def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order] / 16, y[order]


def accuracy_on_digits(samples, **options):
    x, y = digits()
    right = []
    for seed in range(3):
        model = fastmlp.MLP([64, 64, 64, 10], batch_normalization=True, seed=seed)
        model.fit(x[:samples], y[:samples], epochs=20, batch_size=128, verbose=0, **options)
        right.append(model.evaluate(x[1284:], y[1284:])["accuracy"])
    return float(np.mean(right))


def test_a_few_samples_more_than_whole_batches_do_not_hurt_batch_normalization():
    whole = accuracy_on_digits(1280)
    assert whole > 0.95
    for samples in (1281, 1282, 1284):
        assert accuracy_on_digits(samples) > whole - 0.005
        assert accuracy_on_digits(samples, drop_last=True) > whole - 0.005


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_of_one_sample_is_not_normalized(dtype):
    model = fastmlp.MLP([3, 4, 2], batch_normalization=True, dtype=dtype)
    before = model.parameters()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3)), np.array([0, 1, 0, 1, 1])
    with pytest.raises(ValueError, match="batch normalization needs batches of at least 2"):
        model.fit(x[:1], y[:1], verbose=0)
    with pytest.raises(ValueError, match="at least 2 samples, got one of 1.*larger batch_size"):
        model.fit(x, y, batch_size=1, verbose=0)
    with pytest.raises(ValueError, match="at least 2"):
        model.fit(x[:3], y[:3], batch_size=2, verbose=0)
    with pytest.raises(ValueError, match="at least 2"):
        model.loss_and_gradients(x[:1], y[:1], training=True)
    assert_equal_models(model.parameters(), before)
    model.loss_and_gradients(x[:1], y[:1])
    model.fit(x[:3], y[:3], batch_size=2, drop_last=True, verbose=0)
    model.fit(x[:2], y[:2], verbose=0)
    model.freeze(0)
    model.fit(x, y, batch_size=1, verbose=0)


def test_a_refused_fit_gives_nothing_up():
    model = fastmlp.MLP([3, 4, 2], batch_normalization=True)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 3)), rng.integers(0, 2, 6)
    model.fit(x, y, epochs=2, batch_size=3, verbose=0)
    with pytest.raises(ValueError, match="at least 2"):
        model.fit(x[:1], y[:1], resume=True, verbose=0)
    model.fit(x, y, epochs=2, batch_size=3, resume=True, verbose=0)
    longer = fastmlp.MLP([3, 4, 2], batch_normalization=True)
    longer.fit(x, y, epochs=4, batch_size=3, verbose=0)
    assert_equal_models(model.parameters(), longer.parameters())


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "hinge", "binary_cross_entropy"])
@pytest.mark.parametrize("threads", [1, 3])
def test_weights_weigh_every_measure(loss, threads):
    """A sample of weight 3 counts as three samples, one of weight 0 as none."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 5))
    outputs = 1 if loss == "binary_cross_entropy" else 4
    y = rng.integers(0, max(2, outputs), 60)
    weights = rng.integers(0, 4, 60)
    model = fastmlp.MLP([5, 8, outputs], loss=loss, dtype="float64")
    measured = model.evaluate(x, y, sample_weight=weights, threads=threads)
    repeated = model.evaluate(np.repeat(x, weights, 0), np.repeat(y, weights), threads=threads)
    assert measured["accuracy"] == pytest.approx(repeated["accuracy"], abs=1e-15)
    assert measured["loss"] == pytest.approx(repeated["loss"], rel=1e-13)
    history = model.fit(x, y, sample_weight=weights, epochs=1, batch_size=60, verbose=0)
    assert history.accuracy[0] == pytest.approx(repeated["accuracy"], abs=1e-15)


def test_weights_of_validation_data_choose_the_epoch():
    """Half of the rows are mislabeled, with weight 0: they must not be heard."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((400, 6))
    clean = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
    wrong = rng.random(400) < 0.5
    y, weights = np.where(wrong, 1 - clean, clean), np.where(wrong, 0.0, 1.0)

    def trained(validation):
        model = fastmlp.MLP([6, 16, 2], seed=3)
        stopping = fastmlp.EarlyStopping("val_accuracy", patience=4)
        model.fit(x[:200], clean[:200], epochs=40, batch_size=20, validation_data=validation,
                  callbacks=[stopping], verbose=0)  # fmt: skip
        return model

    weighted = trained((x[200:], y[200:], weights[200:]))
    alone = trained((x[200:][~wrong[200:]], y[200:][~wrong[200:]]))
    assert weighted.history.val_accuracy == pytest.approx(alone.history.val_accuracy, abs=1e-12)
    assert_equal_models(weighted.parameters(), alone.parameters())
    assert weighted.evaluate(x[200:], clean[200:])["accuracy"] > 0.9


def test_validation_data_is_checked():
    model = fastmlp.MLP([2, 2])
    x, y = np.zeros((4, 2)), np.zeros(4, int)
    with pytest.raises(TypeError, match=r"\(x, y\) or \(x, y, sample_weight\)"):
        model.fit(x, y, validation_data=(x,))
    with pytest.raises(ValueError, match="validation_data: sample_weight"):
        model.fit(x, y, validation_data=(x, y, np.ones(3)))


def test_gradients_are_computed_by_several_threads_at_once():
    model = fastmlp.MLP([50, 200, 10])
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((500, 50)), rng.integers(0, 10, 500)
    expected = model.loss_and_gradients(x, y)[0]
    losses, errors = [], []

    def work():
        try:
            for _ in range(30):
                losses.append(model.loss_and_gradients(x, y)[0])
                model.input_gradients(x, y)
        except RuntimeError as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    assert losses == [expected] * 90
