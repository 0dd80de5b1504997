"""Divisions into folds: every sample is tested once, groups stay together, time goes forward."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.data import Options, Table
from fastmlp.data.folds import group_codes, grouped_folds, random_folds, time_blocks, time_values

SEEDS = range(60)


def chance(seed: int) -> np.random.Generator:
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def sizes_of(assigned, folds):
    assert assigned.min() >= 0
    assert assigned.max() < folds
    return np.bincount(assigned, minlength=folds)


# ---------------------------------------------------------------- random


@pytest.mark.parametrize("seed", SEEDS)
def test_random_folds_are_equal_in_size_and_in_each_class(seed):
    random = chance(seed)
    folds, count = int(random.integers(2, 9)), int(random.integers(9, 300))
    labels = random.integers(0, random.integers(1, 6), count)
    for classes in (None, labels):
        assigned = random_folds(count, classes, folds, seed, draw=3)
        sizes = sizes_of(assigned, folds)
        assert np.ptp(sizes) <= 1
        assert len(assigned) == count
        for label in np.unique(labels) if classes is not None else ():
            assert np.ptp(sizes_of(assigned[labels == label], folds)) <= 1
        assert (assigned == random_folds(count, classes, folds, seed, draw=3)).all()
    others = [random_folds(count, labels, folds, seed, draw=draw) for draw in range(4)]
    assert len({other.tobytes() for other in others}) > 1


def test_the_folds_of_a_seed_are_those_of_every_release():
    labels = np.array([0, 1, 1, 0, 0, 1, 0, 1, 0, 0])
    assert random_folds(10, None, 3, 5).tolist() == [0, 0, 1, 2, 2, 0, 0, 1, 1, 2]
    assert random_folds(10, labels, 3, 5, draw=1).tolist() == [0, 0, 2, 1, 2, 0, 0, 1, 2, 1]
    groups = labels * 2 + np.arange(10) % 2
    assert grouped_folds(groups, None, 2, 5).tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_samples_are_spread_without_a_trace_of_their_order():
    together = np.zeros((60, 60))
    for seed in range(400):
        assigned = random_folds(60, None, 3, seed)
        together += assigned[:, None] == assigned[None, :]
    apart = together[~np.eye(60, dtype=bool)] / 400
    # A pair is in the same fold in 19 of 59 cases; five standard deviations around it.
    assert abs(apart.mean() - 19 / 59) < 1e-9
    assert np.abs(apart - 19 / 59).max() < 5 * np.sqrt(0.22 / 400)


# ---------------------------------------------------------------- groups


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_stay_together_and_folds_are_balanced(seed):
    random = chance(seed)
    folds = int(random.integers(2, 7))
    number = int(random.integers(folds, 60))
    sizes = 1 + random.geometric(0.3, number)
    groups = random.permutation(np.repeat(np.arange(number), sizes))
    assigned = grouped_folds(groups, None, folds, seed)
    for group in range(number):
        assert len(np.unique(assigned[groups == group])) == 1
    held = sizes_of(assigned, folds)
    assert held.min() > 0
    # The largest first, each into the emptiest fold: none is fuller by more than a whole group.
    assert np.ptp(held) <= sizes.max()


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_are_stratified_as_far_as_they_allow(seed):
    random = chance(seed)
    number = 80
    groups = random.permutation(np.repeat(np.arange(number), random.integers(1, 5, number)))
    kinds = random.integers(0, 3, number)
    labels = kinds[groups]
    assigned = grouped_folds(groups, labels, 4, seed)
    largest = np.bincount(groups).max()
    for label in range(3):
        assert np.ptp(sizes_of(assigned[labels == label], 4)) <= 2 * largest
    for group in range(number):
        assert len(np.unique(assigned[groups == group])) == 1


def test_cells_of_a_group_are_compared_as_written():
    cells = ["b", "7", "07", " b ", "7.0", "a", "7"]
    table = Table("t.csv", {"who": cells})
    assert group_codes(table, "who", Options()).tolist() == [0, 1, 2, 0, 3, 4, 1]
    numbers = Table("t", {"who": np.array([2.0, 1.0, 2.0])})
    assert group_codes(numbers, "who", Options()).tolist() == [0, 1, 0]


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_go_forward_in_time_and_never_part_a_time(seed):
    random = chance(seed)
    folds = int(random.integers(2, 8))
    distinct = int(random.integers(folds + 1, 200))
    times = random.choice(random.normal(0, 1e9, distinct), 300)
    times[:distinct] = np.unique(times)[0] + np.arange(distinct)
    blocks = time_blocks(times, folds)
    assert set(blocks.tolist()) == set(range(folds + 1))
    for fold in range(1, folds + 1):
        assert times[blocks < fold].max() < times[blocks == fold].min()


def test_blocks_of_different_times_are_equal():
    order = np.random.default_rng(0).permutation(100)
    blocks = time_blocks(order.astype(float), 4)
    assert np.bincount(blocks).tolist() == [20] * 5
    assert (blocks == order // 20).all()


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        (["2020-01-02", "2020-01-01", "2020-01-01T12:00"], {}, [86400.0, 0.0, 43200.0]),
        (["31/01/2020", "01/02/2020", "31/01/2020"], {}, [0.0, 86400.0, 0.0]),
        (["01-2020", "02-2020", "12-2019"], {"date": ("t=%m-%Y",)}, [2678400.0, 5356800.0, 0.0]),
        (["3", "1", "2"], {}, [2.0, 0.0, 1.0]),
        (["1.234,5", "1,5", "2"], {}, [1233.0, 0.0, 0.5]),
        (np.array([2021, 2019, 2020]), {}, [2.0, 0.0, 1.0]),
    ],
)
def test_times_are_read_as_the_schema_reads_them(cells, options, expected):
    values = time_values(Table("t.csv", {"t": cells}), "t", Options(**options))
    assert (values - values.min()).tolist() == expected


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: group_codes(t, "whom", Options()), "did you mean 'who'"),
        (lambda t: group_codes(t, "who", Options()), "line 3, column 'who': lacks a group"),
        (lambda t: time_values(t, "when", Options()), "line 4, column 'when': lacks a time"),
        (lambda t: time_values(t, "name", Options()), "must name a column of dates or numbers"),
        (lambda t: time_values(t, "doubt", Options()), '--date "doubt=%d/%m/%Y"'),
        (lambda t: time_values(t, "mixed", Options()), "mixed"),
        (lambda t: random_folds(3, None, 4, 0), "folds must be at most 3"),
        (lambda t: random_folds(3, None, 1, 0), "folds must be >= 2"),
        (lambda t: grouped_folds(np.array([0, 1, 1]), None, 3, 0), "the number of groups, got 3"),
        (lambda t: time_blocks(np.array([1.0, 1.0, 2.0]), 2), "less than 2, the number of differe"),
    ],
)
def test_errors_name_the_column_the_place_and_the_cure(call, message):
    table = Table(
        "t.csv",
        {
            "who": ["a", "", "b", "b"],
            "when": ["2020-01-01", "2020-01-02", "n/a", "2020-01-04"],
            "name": ["red", "red", "blue", "blue"],
            "doubt": ["01/02/2020", "02/03/2020", "04/05/2020", "05/06/2020"],
            "mixed": ["2020-01-01", "soon", "2020-01-03", "2020-01-04"],
        },
        first_line=2,
    )
    with pytest.raises(ValueError, match=".*") as caught:
        call(table)
    assert message in str(caught.value), str(caught.value)
