"""Initial weights, shuffling, dropout and noise: functions of the seed, distributed as promised."""

from __future__ import annotations

from collections import Counter
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmlp
from fastmlp import _core
from support import reference_network
from support.elementwise import INVERSE_CDF_ERROR
from support.strategies import DTYPES, dtypes, edge, normals, seeds
from support.tolerance import assert_same_bits, assert_within, unit_roundoff

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


# ---------------------------------------------------------------- dropout and noise


# Groups of 16 columns, panels of 16 or 32, and what reaches one column beyond.
SHAPES = [(1, 1), (3, 15), (4, 16), (5, 17), (2, 31), (3, 32), (4, 33), (2, 48), (2, 65), (7, 100)]
# Seed, level and step; all are words of the counter or of the key.
PLACES = [(0, 0, 0), (1, 1, 0), (7 + 2**32, 2, 5), (2**63, 0, 1), (2**64 - 1, 9, 2**32 - 1)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
places = pytest.mark.parametrize(("seed", "level", "step"), PLACES)


def disturb(x, seed, level=0, step=0, rate=0.0, deviation=0.0, isa=None):
    """x after dropout and x after noise."""
    place = {"seed": seed, "level": level, "step": step}
    return _core.kernels.disturb(x, rate=rate, deviation=deviation, **place, isa=isa)


@shapes
@places
def test_dropout_is_the_mask_of_the_oracle(shape, seed, level, step, isa, dtype):
    x = normals(np.random.default_rng(0), shape, dtype)
    for rate in (0.1, 0.5, 0.97):
        mask = reference_network.dropout_mask(seed, level, step, *shape, rate)
        dropped = disturb(x, seed, level, step, rate=rate, isa=isa)[0]
        assert_same_bits(dropped, x * mask.astype(dtype), f"rate {rate}")


@shapes
@places
def test_noise_is_that_of_the_oracle(shape, seed, level, step, isa, dtype):
    """The deviates' own error, the rounded deviation, and one rounding of the sum."""
    deviation, u = 0.3, unit_roundoff(dtype)
    normal = reference_network.normal_noise(seed, step, *shape)
    alone = disturb(np.zeros(shape, dtype), seed, level, step, deviation=deviation, isa=isa)[1]
    bound = (INVERSE_CDF_ERROR[dtype] + 2 * u) * np.abs(deviation * normal)
    assert alone.dtype == dtype
    assert_within(alone, deviation * normal, bound, "noise")
    x = normals(np.random.default_rng(0), shape, dtype)
    exact = x + deviation * normal
    noisy = disturb(x, seed, level, step, deviation=deviation, isa=isa)[1]
    assert_within(noisy, exact, bound + u * np.abs(exact), "x and noise")


def test_the_threshold_of_dropout_is_exact(isa, dtype):
    """A word equal to it is kept, the next lower one is dropped."""
    x = np.ones((1, 33), dtype)
    words = reference_network.random_words(4, reference_network.DROPOUT, 0, 0, 1, 33)
    word = int(words[0, 32])
    for rate, kept in ((word / 2**32, True), ((word + 1) / 2**32, False)):
        dropped = disturb(x, 4, rate=rate, isa=isa)[0]
        assert (dropped[0, 32] != 0) == kept
        np.testing.assert_array_equal(dropped != 0, words >= int(rate * 2**32))


def test_nothing_is_dropped_or_added_at_zero(isa, dtype):
    x = normals(np.random.default_rng(0), (5, 33), dtype)
    for result in disturb(x, 3, isa=isa):
        assert_same_bits(result, x)


def test_dropout_keeps_the_expectation(isa, dtype):
    rate, shape = 0.3, (200, 100)
    dropped = disturb(np.ones(shape, dtype), 11, rate=rate, isa=isa)[0]
    sigma = np.sqrt(rate * (1 - rate) / dropped.size)
    assert abs(np.mean(dropped == 0) - rate) < 5 * sigma
    assert abs(dropped.mean(dtype=float) - 1) < 5 * sigma / (1 - rate)


@pytest.mark.parametrize("dtype_name", DTYPES)
def test_noise_is_standard_normal(dtype_name):
    noise = disturb(np.zeros((500, 100), dtype_name), 12, deviation=1.0)[1].astype(float).ravel()
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert noise.var() == pytest.approx(1, abs=5 * np.sqrt(2 / noise.size))
    assert np.mean(noise**3) == pytest.approx(0, abs=5 * np.sqrt(15 / noise.size))
    for lag in (1, 16, 100):
        assert abs(np.corrcoef(noise[:-lag], noise[lag:])[0, 1]) < 5 / np.sqrt(noise.size)


def test_seed_level_and_step_change_what_is_dropped(dtype):
    ones = np.ones((4, 33), dtype)
    places = [(s, level, step) for s in (0, 2**32) for level in (0, 1) for step in (0, 1)]
    masks = {disturb(ones, *place, rate=0.5)[0].tobytes() for place in places}
    assert len(masks) == len(places)
    noises = {disturb(ones, s, 0, step, deviation=1.0)[1].tobytes() for s, _, step in places}
    assert len(noises) == 4  # noise is added to the input alone: it has no level


def test_nan_is_neither_dropped_nor_drowned(isa, dtype):
    x = np.ones((40, 17), dtype)
    x[:, 16] = np.nan
    dropped, noisy = disturb(x, 5, rate=0.5, deviation=1.0, isa=isa)
    for result in (dropped, noisy):
        np.testing.assert_array_equal(np.isnan(result), np.isnan(x))


@given(
    rows=edge,
    columns=edge,
    seed=st.integers(0, 2**64 - 1),
    step=seeds,
    rate=st.floats(0, 0.99),
    name=dtypes,
)
def test_same_masks_and_noise_on_every_isa(rows, columns, seed, step, rate, name):
    x = normals(np.random.default_rng(0), (rows, columns), name)
    place = {"seed": seed, "level": 1, "step": step, "rate": rate, "deviation": 0.2}
    expected = disturb(x, **place)
    for isa in _core.isas():
        for one, other in zip(disturb(x, **place, isa=isa), expected, strict=True):
            assert_same_bits(one, other, isa)
