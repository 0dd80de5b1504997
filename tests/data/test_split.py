"""Which samples are set aside: shares of the classes, and the same draw everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.data.split import split

counts = st.lists(st.integers(1, 30), min_size=1, max_size=8)
fractions = st.floats(0, 1, exclude_max=True)
seeds = st.integers(0, 2**63 - 1)


def shuffled_labels(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed % 1000).permutation(labels)


@given(count=st.integers(1, 200), fraction=fractions, seed=seeds)
def test_every_sample_is_in_one_part(count, fraction, seed):
    rest, part = split(count, None, fraction, seed)
    assert sorted([*rest, *part]) == list(range(count))
    assert (np.diff(rest) > 0).all()
    assert (np.diff(part) > 0).all()
    wanted = max(1, int(np.floor(fraction * count + 0.5))) if fraction else 0
    assert len(part) == min(wanted, count - 1)


@given(sizes=counts, fraction=fractions, seed=seeds)
def test_classes_keep_their_shares(sizes, fraction, seed):
    labels = shuffled_labels(sizes, seed)
    rest, part = split(len(labels), labels, fraction, seed)
    assert sorted([*rest, *part]) == list(range(len(labels)))
    left = np.bincount(labels[rest], minlength=len(sizes))
    assert left.min() >= 1, "a class is lost for training"
    wanted = max(1, int(np.floor(fraction * len(labels) + 0.5))) if fraction else 0
    assert len(part) == min(wanted, len(labels) - len(sizes))
    ideal = len(part) * np.array(sizes) / len(labels)
    taken = np.bincount(labels[part], minlength=len(sizes))
    if (np.ceil(ideal) < sizes).all():  # no class is too small for its share
        assert (np.abs(taken - ideal) < 1).all()


@pytest.mark.parametrize(
    ("sizes", "fraction", "taken"),
    [
        ([98, 2], 0.2, [20, 0]),  # 19.6 and 0.4
        ([90, 10], 0.25, [23, 2]),  # of equal remainders the larger class is served first
        ([50, 30, 20], 0.1, [5, 3, 2]),
        ([2, 2], 0.5, [1, 1]),
        ([2, 2], 0.9, [1, 1]),
        ([1, 1, 8], 0.5, [0, 0, 5]),  # 0.5, 0.5 and 4, but two classes have nothing to spare
        ([1, 1], 0.5, [0, 0]),
        ([7], 0.5, [4]),
        ([5, 0, 5], 0.2, [1, 0, 1]),  # a class that does not occur
    ],
)
def test_largest_remainders(sizes, fraction, taken):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    _, part = split(len(labels), labels, fraction, 0)
    assert np.bincount(labels[part], minlength=len(sizes)).tolist() == taken


def pcg64(state, increment):
    """PCG XSL RR 128/64 (M. E. O'Neill, 2014)."""
    multiplier, mask = 0x2360ED051FC65DA44385DF649FCCF645, 2**128 - 1
    while True:
        state = (state * multiplier + increment) & mask
        word, turn = (state >> 64 ^ state) & (2**64 - 1), state >> 122
        yield (word >> turn | word << (64 - turn)) & (2**64 - 1)


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63 - 1])
def test_the_draw_is_that_of_the_published_generator(seed):
    start = np.random.PCG64([0x73706C6974, 0, seed]).state["state"]  # the word "split"
    stream = pcg64(start["state"], start["inc"])
    keys = [next(stream) for _ in range(50)]
    expected = sorted(sorted(range(50), key=keys.__getitem__)[:15])
    assert split(50, None, 0.3, seed)[1].tolist() == expected


def test_the_draw_of_a_seed_is_for_ever():
    labels = np.arange(12) % 3
    assert split(12, None, 0.25, 7)[1].tolist() == [2, 4, 6]
    assert split(12, labels, 0.25, 7)[1].tolist() == [2, 4, 6]
    assert split(12, None, 0.25, 7, draw=1)[1].tolist() == [0, 3, 9]


def test_samples_made_by_the_stream_of_the_seed_are_not_drawn_by_size():
    """Data is often made by default_rng(0), and split with the seed 0."""
    x = np.random.default_rng(0).uniform(size=1000)
    _, part = split(1000, None, 0.2, 0)
    # The mean of 200 has a deviation of 0.0183; that of the smallest 200 would be 0.1.
    assert abs(x[part].mean() - x.mean()) < 5 * 0.0183


def test_the_draw_depends_on_nothing_else():
    labels = shuffled_labels([40, 30, 3], 5)
    first = split(73, labels, 0.3, 11)
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.RandomState(3).random_sample()
    second = split(73, labels, 0.3, 11)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.random.random_sample() == expected  # noqa: NPY002
    assert not np.array_equal(split(73, labels, 0.3, 12)[1], first[1])


def test_what_was_spared_once_is_not_spared_again():
    """The rest of a draw, drawn from with the same numbers, would never yield its first sample."""
    hits = np.zeros(20)
    for seed in range(2000):
        rest, _ = split(20, None, 0.5, seed)
        _, part = split(10, None, 0.5, seed, draw=1)
        hits[rest[part]] += 1
    # Each sample is drawn second in a quarter of the cases: 500, standard deviation 19.4.
    assert np.abs(hits - 500).max() < 5 * 19.4


def test_every_sample_is_drawn_as_often():
    labels = np.repeat([0, 1], [15, 5])
    hits = np.zeros(20)
    for seed in range(2000):
        hits[split(20, labels, 0.2, seed)[1]] += 1
    assert np.abs(hits - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, None, 0.2, 0), ValueError, "count"),
        ((5, None, 1.0, 0), ValueError, "fraction"),
        ((5, None, -0.1, 0), ValueError, "fraction"),
        ((5, None, float("nan"), 0), ValueError, "fraction"),
        ((5, None, "0.2", 0), TypeError, "fraction"),
        ((5, None, 0.2, -1), ValueError, "seed"),
        ((5, None, 0.2, 2**63), ValueError, "seed"),
        ((5, None, 0.2, 0.5), TypeError, "seed"),
        ((5, np.zeros(4, int), 0.2, 0), ValueError, "labels"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        split(*arguments)
