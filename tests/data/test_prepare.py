"""From a source to training, validation and test parts: roles of columns, tasks, parts, notes."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import Options, Part, prepare
from fastmlp.data.split import split
from support.preprocessing_examples import numbers, source, table, text

WHOLE = {"test_fraction": 0, "validation_fraction": 0}


def flowers(rows=60, seed=0):
    """Numbers, a text column with gaps, three classes of unequal size."""
    rng = np.random.default_rng(seed)
    species = np.repeat(["setosa", "versicolor", "virginica"], [rows // 2, rows // 3, rows // 6])
    color = rng.choice(["blue", "white", "red"], len(species)).astype(object)
    color[::7] = None
    width = rng.normal(3, 1, len(species))
    width[3::11] = np.nan
    return table(
        length=rng.normal(5, 2, len(species)), color=color, width=width, label=text(*species)
    )


# ---------------------------------------------------------------- parts


def test_parts_of_a_table():
    prepared = prepare(source(flowers()), Options(missing="mean"))
    assert prepared.task == "classification"
    assert [len(p) for p in (prepared.train, prepared.validation, prepared.test)] == [43, 5, 12]
    assert prepared.preprocessing.class_names == ("setosa", "versicolor", "virginica")
    assert np.bincount(prepared.test.y).tolist() == [6, 4, 2]
    assert prepared.train.x.shape == (43, 5)
    assert prepared.train.x.dtype == np.float64
    assert prepared.train.y.dtype == np.int64
    assert prepared.train.weight is None
    assert prepared.input_scale == 1.0
    np.testing.assert_allclose(prepared.train.x.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(prepared.train.x.std(axis=0), 1)
    assert prepared.notes == (
        "target: column 'label'",
        "task: classification, 3 classes of 'label'",
        "split: 43 samples for training, 5 for validation, 12 for test",
        "categories: 'color' (3 values)",
        "missing values: 'color' 9, 'width' 6",
        "inputs: standardized to mean 0 and standard deviation 1",
    )


def test_what_was_asked_for_is_not_noted():
    asked = Options(
        target=("label",),
        task="classification",
        test_fraction=0.3,
        validation_fraction=0.2,
        standardize=True,
        features=("length",),
    )
    assert prepare(source(flowers()), asked).notes == ()


def test_an_indicator_and_a_level_for_missing_values():
    prepared = prepare(source(flowers()), Options(standardize=False))
    names = ("length", "color=blue", "color=red", "color=white", "color is missing")
    assert prepared.preprocessing.feature_names == (*names, "width", "width is missing")
    median = prepared.preprocessing.columns[2].fill
    x = np.concatenate([p.x for p in (prepared.train, prepared.validation, prepared.test)])
    assert x[:, 4].sum() == 9
    assert x[:, 6].sum() == 6
    np.testing.assert_array_equal(x[:, 1:5].sum(axis=1), 1)
    np.testing.assert_array_equal(x[x[:, 6] == 1, 5], np.full(6, median))
    assert median == np.median(prepared.train.x[prepared.train.x[:, 6] == 0, 5])


def part_rows(prepared, raw):
    """Rows of the table that each part holds, by the column that is different in every row."""
    p = prepared.preprocessing
    first = raw.columns["length"].to_numpy()
    found = {}
    for name in ("train", "validation", "test"):
        x = getattr(prepared, name).x[:, 0] * p.input_scale[0] + p.input_mean[0]
        found[name] = [int(np.argmin(np.abs(first - value))) for value in x]
    return found


def test_each_row_keeps_its_target_and_its_weight():
    raw = flowers()
    columns = raw.columns | {"w": np.arange(60.0)}
    raw = dataclasses.replace(raw, columns=columns)
    prepared = prepare(source(raw), Options(missing="median", sample_weight="w"))
    rows = part_rows(prepared, raw)
    assert sorted(sum(rows.values(), [])) == list(range(60))
    assert "w" not in prepared.preprocessing.feature_names
    for name, indices in rows.items():
        part = getattr(prepared, name)
        np.testing.assert_array_equal(part.weight, indices)
        names = prepared.preprocessing.decode(part.y)
        assert names.tolist() == columns["label"][indices].to_list()


@pytest.mark.parametrize("missing", ["auto", "mean"])
def test_statistics_come_from_the_training_part_alone(missing):
    raw = flowers()
    options = Options(missing=missing, validation_fraction=0.2)
    prepared = prepare(source(raw), options)
    rows = part_rows(prepared, raw)
    columns = {name: column.to_numpy().copy() for name, column in raw.columns.items()}
    for row in rows["test"] + rows["validation"]:
        columns["length"][row] = 1e9 + row
        columns["width"][row] = np.nan
        columns["color"][row] = "red"
    again = prepare(source(table(**columns)), options)
    assert again.preprocessing == prepared.preprocessing
    np.testing.assert_array_equal(again.train.x, prepared.train.x)
    assert not np.array_equal(again.test.x, prepared.test.x)

    columns["length"][rows["train"][0]] += 1e-3
    assert prepare(source(table(**columns)), options).preprocessing != prepared.preprocessing


def test_regression_targets_are_learned_from_the_training_part_alone():
    raw = table(a=np.arange(50.0), y=np.sin(np.arange(50.0)))
    prepared = prepare(source(raw), Options(stratify=True))
    p = prepared.preprocessing
    assert prepared.task == "regression"
    np.testing.assert_allclose(prepared.train.y.mean(), 0, atol=1e-15)
    np.testing.assert_allclose(prepared.train.y.std(), 1)
    together = np.concatenate([prepared.train.y, prepared.validation.y, prepared.test.y])
    np.testing.assert_allclose(
        np.sort(p.decode(together)[:, 0]), np.sort(raw.columns["y"].to_numpy())
    )
    plain = prepare(source(raw), Options(standardize_target=False))
    assert plain.preprocessing.target_mean is None
    np.testing.assert_allclose(p.decode(prepared.train.y), plain.train.y, rtol=1e-12)


def test_the_test_part_does_not_depend_on_the_validation_part():
    raw = source(flowers())
    options = Options(features=("length",), standardize=False)
    tests = [
        prepare(raw, dataclasses.replace(options, validation_fraction=f)).test.x
        for f in (0, 0.1, 0.5)
    ]
    np.testing.assert_array_equal(tests[0], tests[1])
    np.testing.assert_array_equal(tests[0], tests[2])
    other = prepare(raw, dataclasses.replace(options, split_seed=1)).test.x
    assert not np.array_equal(tests[0], other)


def test_a_source_with_a_test_part_of_its_own():
    test = Part(table(a=numbers(9, 10), label=text("y", "x")), None)
    raw = source(table(a=numbers(1, 2, 3, 4), label=text("x", "y", "x", "y")), test=test)
    prepared = prepare(raw, Options())
    assert len(prepared.train) == 4
    assert prepared.validation is None
    assert prepared.test.y.tolist() == [1, 0]
    np.testing.assert_allclose(prepared.test.x[:, 0], (np.array([9, 10]) - 2.5) / np.sqrt(1.25))
    assert len(prepare(raw, Options(validation_fraction=0.25)).validation) == 1
    assert len(prepare(raw, Options(test_fraction=0)).test) == 2
    with pytest.raises(ValueError, match="test_fraction must be 0 or left out"):
        prepare(raw, Options(test_fraction=0.2))


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (table(a=numbers(1), label=text("z")), "line 2, column 'label': 'z' is none of the 2"),
        (table(a=numbers(1)), "people.csv: column 'label', the target, is missing"),
        (table(b=numbers(1), label=text("x")), "people.csv: column 'a' is missing"),
        (table(a=text("b"), label=text("x")), "line 2, column 'a': must be a number, got 'b'"),
    ],
)
def test_a_test_part_that_does_not_fit(test, message):
    raw = source(table(a=numbers(1, 2), label=text("x", "y")), test=Part(test, None))
    with pytest.raises(FormatError, match=message):
        prepare(raw, Options())


def test_two_rows_of_a_class():
    raw = table(a=np.arange(20.0), label=text("rare", *["usual"] * 18, "rare"))
    for seed in range(20):
        prepared = prepare(source(raw), Options(test_fraction=0.5, split_seed=seed))
        assert prepared.preprocessing.class_names == ("rare", "usual")
        assert (prepared.train.y == 0).any()


def test_without_stratification_a_class_can_be_lost():
    raw = source(table(a=np.arange(20.0), label=text("rare", *["usual"] * 10, *["other"] * 9)))
    message = "line 2, column 'label': class 'rare' does not occur in the training part; with strat"
    lost = 0
    for seed in range(8):
        options = Options(
            test_fraction=0.5, validation_fraction=0.0, stratify=False, split_seed=seed
        )
        if 0 in split(20, None, 0.5, seed)[1]:
            lost += 1
            with pytest.raises(FormatError, match=message):
                prepare(raw, options)
        else:
            names = prepare(raw, options).preprocessing.class_names
            assert names == ("other", "rare", "usual")
    assert 0 < lost < 8


def test_too_few_samples_for_parts():
    raw = source(table(a=numbers(1, 2), label=text("x", "y")))
    prepared = prepare(raw, Options())
    assert prepared.test is None
    assert prepared.validation is None
    assert "split: no sample can be spared for test" in prepared.notes
    with pytest.raises(ValueError, match="validation_fraction must be 0: of 2 samples none"):
        prepare(raw, Options(validation_fraction=0.5))


# ---------------------------------------------------------------- gaps


def test_gaps_are_refused_where_they_are_to_be():
    with pytest.raises(
        FormatError, match=r"people\.csv: 15 values .* with --missing auto:"
    ) as error:
        prepare(source(flowers()), Options(missing="error"))
    places = str(error.value).splitlines()[1:]
    assert places == [
        "  line 2, column 'color': lacks a value, and so in 8 more rows",
        "  line 5, column 'width': lacks a value, and so in 5 more rows",
    ]
    with pytest.raises(FormatError, match="6 values cannot be used"):
        prepare(source(flowers()), Options(features=("width", "length"), missing="error"))
    prepare(source(flowers()), Options(features=("length",), missing="error"))


@pytest.mark.parametrize(
    ("missing", "number"), [("mean", 13 / 4), ("median", 2.5), ("most_frequent", 1.0)]
)
def test_what_fills_a_gap(missing, number):
    raw = table(a=numbers(1, None, 7, 4, 1), b=text("x", "z", None, "z", "x"), y=text(*"pqpqp"))
    prepared = prepare(source(raw), Options(missing=missing, standardize=False, **WHOLE))
    assert prepared.preprocessing.columns[0].fill == number
    assert prepared.preprocessing.columns[1].fill == "x"  # of equally frequent ones the smallest
    np.testing.assert_array_equal(prepared.train.x[1], [number, 0, 1])
    np.testing.assert_array_equal(prepared.train.x[2], [7, 1, 0])


@pytest.mark.parametrize("missing", ["auto", "error", "mean"])
@pytest.mark.parametrize("column", [numbers(None, None, None, None), text(None, None, None, None)])
def test_a_column_without_values(column, missing):
    raw = table(a=column, b=numbers(1, 2, 3, 4), y=text(*"pqpq"))
    prepared = prepare(source(raw), Options(missing=missing, **WHOLE))
    assert prepared.preprocessing.left_out == (("a", "has no values"),)
    with pytest.raises(ValueError, match="column 'a' has no values; leave it out"):
        prepare(source(raw), Options(missing=missing, features=("a", "b"), **WHOLE))


def test_a_column_without_values_in_the_training_part():
    options = Options(validation_fraction=0)
    a = np.full(20, np.nan)
    b = np.arange(20.0)
    raw = table(a=a, b=b, y=text(*"pq" * 10))
    test = prepare(source(raw), dataclasses.replace(options, standardize=False)).test.x[0, 0]
    a[int(test)] = 1.0
    p = prepare(source(table(a=a, b=b, y=text(*"pq" * 10))), options).preprocessing
    assert p.left_out == (("a", "has no value in the training part"),)


def test_rows_without_a_target_are_left_out_or_refused():
    for y in (text("a", None, "b", None, "a", "b"), numbers(0, None, 1, None, 1.5, 2)):
        raw = source(table(a=numbers(1, 2, 3, 4, 5, 6), y=y))
        with pytest.raises(FormatError, match="2 values cannot be used.*\n  line 3, column 'y': l"):
            prepare(raw, Options(missing="error"))
        for missing in ("auto", "mean"):
            prepared = prepare(raw, Options(missing=missing, test_fraction=0.0))
            assert "target: 2 of 6 rows have none and are left out" in prepared.notes
            assert len(prepared.train) + len(prepared.validation or ()) == 4
            again = prepare(raw, Options(missing=missing), prepared.preprocessing)
            assert "target: 2 of 6 rows have none and are left out" in again.notes
    with pytest.raises(ValueError, match="target column 'y' has no values"):
        prepare(source(table(a=numbers(1, 2), y=text(None, ""))), Options(target=("y",)))


# ---------------------------------------------------------------- arrays


def test_bytes_are_passed_on_without_a_copy():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (300, 50), np.uint8), rng.integers(0, 10, 300)
    test = Part(x[:10].copy(), y[:10].copy())
    digits = tuple(map(str, range(10)))
    raw = source(x, y, test=test, class_names=digits, image_shape=(5, 10), task="classification")
    prepared = prepare(raw, Options())
    assert prepared.train.x is x
    assert prepared.test.x is test.x
    assert prepared.input_scale == 1 / 255
    assert prepared.preprocessing.input_mean is None
    assert prepared.preprocessing.image_shape == (5, 10)
    assert prepared.notes == ()

    scaled = prepare(raw, Options(standardize=True))
    assert scaled.input_scale == 1.0
    assert scaled.train.x.dtype == np.float32
    np.testing.assert_allclose(scaled.train.x.std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_are_standardized_in_their_type_and_never_overwritten(dtype):
    x = np.random.default_rng(0).normal(100, 3, (90, 4)).astype(dtype)
    x[:, 2] = 0.1
    before = x.copy()
    for options in (Options(**WHOLE), Options()):
        prepared = prepare(source(x, np.arange(90) % 3), options)
        np.testing.assert_array_equal(x, before)
        assert prepared.train.x.dtype == dtype
        np.testing.assert_allclose(prepared.train.x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_array_equal(prepared.train.x[:, 2], 0)
    plain = prepare(source(x, np.arange(90) % 3), Options(standardize=False, **WHOLE))
    assert plain.train.x is x


@pytest.mark.parametrize(
    ("dtype", "options", "copies"),
    [
        ("uint8", Options(**WHOLE), 0),
        ("uint8", Options(), 1),
        ("float64", Options(standardize=False, **WHOLE), 0.125),  # what is finite, in bytes
        ("float64", Options(**WHOLE), 1),
        ("float32", Options(), 1),
    ],
)
def test_memory(dtype, options, copies):
    x = np.random.default_rng(0).integers(0, 255, (20_000, 784)).astype(dtype)
    y = np.arange(len(x)) % 10
    raw = source(x, y)
    prepare(source(x[:50], y[:50]), options)
    tracemalloc.start()
    prepare(raw, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < copies * x.nbytes + 8e6


def test_memory_of_a_table():
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.standard_normal(20_000) for i in range(100)}
    raw = source(table(**columns, y=np.arange(20_000) % 2.0))
    tracemalloc.start()
    prepare(raw, Options())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 20_000 * 100 * 8 + 8e6


@pytest.mark.parametrize(
    ("y", "names", "codes"),
    [
        (np.array([0, 1, 2, 1]), ("0", "1", "2"), [0, 1, 2, 1]),
        (np.array([7, -3, 100, 7]), ("-3", "7", "100"), [1, 0, 2, 1]),
        (np.array([2**62, 1, 2**62 + 1, 1]), ("1", str(2**62), str(2**62 + 1)), [1, 0, 2, 0]),
        (text("10", "9", "9", "10"), ("9", "10"), [1, 0, 0, 1]),
        (text("10", "9", "9", "x"), ("10", "9", "x"), [0, 1, 1, 2]),
        (np.array(["b", "a", "b", "b"]), ("a", "b"), [1, 0, 1, 1]),
        (np.array([True, False, True, True]), ("false", "true"), [1, 0, 1, 1]),
        (np.array([[1.0], [0], [1], [0]]), ("0", "1"), [1, 0, 1, 0]),
    ],
)
def test_classes_of_arrays(y, names, codes):
    prepared = prepare(source(np.ones((4, 2)), y), Options(task="classification", **WHOLE))
    assert prepared.task == "classification"
    assert prepared.preprocessing.class_names == names
    assert prepared.train.y.tolist() == codes
    assert prepared.preprocessing.decode(prepared.train.y).tolist() == [names[c] for c in codes]


@pytest.mark.parametrize(
    "option", ["target", "features", "exclude", "categorical", "numeric", "date", "id"]
)
def test_columns_of_arrays_do_not_exist(option):
    message = rf"{option} names columns of a table \('a'\), but people holds arrays"
    with pytest.raises(ValueError, match=message):
        prepare(source(np.ones((4, 2)), np.arange(4)), Options(**{option: ("a",)}))


@pytest.mark.parametrize(
    "options",
    [{"missing": "mean"}, {"missing_token": ("x",)}, {"decimal": ","}, {"thousands": "."}],
)
def test_options_for_cells_are_none_for_arrays(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is for tables"):
        prepare(source(np.ones((4, 2)), np.arange(4)), Options(**options))


def test_arrays_need_targets():
    with pytest.raises(ValueError, match="y must be given"):
        prepare(source(np.ones((4, 2))), Options())


def test_numbers_too_large_for_a_mean():
    x = np.array([[1e308, 1], [1.7e308, 2], [-1.7e308, 3], [0, 1]])
    with pytest.raises(ValueError, match=r"standardize must be off .+ input 0 \(counted"):
        prepare(source(x, np.array([0, 1, 0, 1])), Options(**WHOLE))
    prepare(source(x, np.array([0, 1, 0, 1])), Options(standardize=False, **WHOLE))


@given(rows=st.integers(4, 40), fraction=st.floats(0, 0.9), seed=st.integers(0, 100))
def test_no_sample_is_lost_or_doubled(rows, fraction, seed):
    x = np.arange(rows, dtype=np.float64).reshape(-1, 1)
    options = Options(test_fraction=fraction, split_seed=seed, standardize=False)
    prepared = prepare(source(x, np.arange(rows) % 2), options)
    parts = [p for p in (prepared.train, prepared.validation, prepared.test) if p is not None]
    assert sorted(np.concatenate([part.x for part in parts])[:, 0]) == list(range(rows))
    for part in parts:
        np.testing.assert_array_equal(part.y, part.x[:, 0] % 2)
