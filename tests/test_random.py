"""Initial weights and shuffling: functions of the seed alone, with the promised distributions."""

from __future__ import annotations

from collections import Counter
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmlp
from fastmlp import _core
from strategies import seeds

SIZES = [300, 200, 100]
VARIANCES = {
    "glorot_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "glorot_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "he_normal": lambda fan_in, fan_out: 2 / fan_in,
}
initializers = pytest.mark.parametrize("name", VARIANCES)


# ---------------------------------------------------------------- initial weights


@initializers
def test_initial_weights_have_the_promised_distribution(name, dtype):
    """X. Glorot and Y. Bengio, AISTATS 2010; K. He et al., ICCV 2015."""
    model = fastmlp.MLP(SIZES, initializer=name, dtype=dtype, seed=4)
    for w, fans in zip(model.weights, [(300, 200), (200, 100)], strict=True):
        assert w.shape == fans
        assert w.dtype == dtype
        sigma = np.sqrt(VARIANCES[name](*fans))
        # Five standard deviations of the sample's own mean and variance.
        assert abs(w.mean()) < 5 * sigma / np.sqrt(w.size)
        assert w.std() == pytest.approx(sigma, rel=5 / np.sqrt(2 * w.size))
        share = np.mean(np.abs(w) > 1.6 * sigma)
        if name.endswith("uniform"):
            limit = np.sqrt(3) * sigma
            assert np.abs(w).max() <= limit * (1 + 1e-6)
            assert np.abs(w).max() > 0.99 * limit
            assert share == pytest.approx(1 - 1.6 / np.sqrt(3), abs=0.01)
        else:
            assert share == pytest.approx(0.1096, abs=0.01)
            assert 3 * sigma < np.abs(w).max() < 6 * sigma


@initializers
def test_initial_weights_are_uncorrelated_within_and_between_layers(name):
    model = fastmlp.MLP([200, 200, 200], initializer=name, seed=4)
    first, second = (w.astype(float).ravel() for w in model.weights)
    limit = 5 / np.sqrt(first.size)
    assert abs(np.corrcoef(first, second)[0, 1]) < limit
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < limit
    assert abs(np.corrcoef(first[:-200], first[200:])[0, 1]) < limit


def test_biases_start_at_zero(dtype):
    for bias, size in zip(fastmlp.MLP(SIZES, dtype=dtype).biases, SIZES[1:], strict=True):
        assert bias.dtype == dtype
        np.testing.assert_array_equal(bias, np.zeros(size))


def test_initial_weights_depend_on_the_seed_alone():
    np.random.seed(0)  # noqa: NPY002  (the global generator must have no influence)
    first = fastmlp.MLP(SIZES, seed=11).weights
    np.random.seed(1)  # noqa: NPY002
    again = fastmlp.MLP(SIZES, seed=11).weights
    other = fastmlp.MLP(SIZES, seed=12).weights
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_seeds_beyond_32_bits_differ():
    models = [fastmlp.MLP([3, 3], seed=seed).weights[0] for seed in (5, 5 + 2**32, 5 + 2**63)]
    assert not np.array_equal(models[0], models[1])
    assert not np.array_equal(models[0], models[2])


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    model = fastmlp.MLP([3, 3], seed=0)
    model.fit(np.zeros((9, 3)), np.zeros(9, int), epochs=1, verbose=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# ---------------------------------------------------------------- shuffling


@given(n=st.integers(1, 300), seed=seeds, epoch=st.integers(0, 1000))
def test_an_order_is_a_permutation(n, seed, epoch):
    order = _core.permutation(n, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(order, _core.permutation(n, seed, epoch))


def test_orders_differ_by_seed_and_by_epoch():
    orders = [_core.permutation(100, s, e) for s in (0, 1, 2**32) for e in (0, 1, 2)]
    assert len({order.tobytes() for order in orders}) == len(orders)


def test_every_order_of_four_is_equally_likely():
    """Chi-square over the 24 orders; 60 is exceeded by chance once in 30,000 seeds."""
    draws = 24 * 200
    counts = Counter(_core.permutation(4, 9, epoch).tobytes() for epoch in range(draws))
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 60


def test_a_place_is_equally_likely_for_every_sample():
    n, draws = 50, 2000
    places = np.array([_core.permutation(n, 3, epoch) for epoch in range(draws)])
    expected = (n - 1) / 2
    sigma = np.sqrt((n * n - 1) / 12 / draws)
    assert np.all(np.abs(places.mean(axis=0) - expected) < 5 * sigma)


def test_normal_quantiles_match_the_standard_library():
    # statistics.NormalDist uses the same algorithm AS 241; only the logarithm in the tails differs.
    quantile = NormalDist().inv_cdf
    for p in (1e-300, 1e-20, 1e-9, 1e-3, 0.074, 0.076, 0.3, 0.5, 0.7, 0.925, 0.999, 1 - 2**-53):
        assert _core.inverse_normal_cdf(p) == pytest.approx(quantile(p), rel=1e-14, abs=0)
