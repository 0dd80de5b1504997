"""Samples that come after training, and what a network says of them."""

import datetime
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import Options, Part, Preprocessing, Table, prepare
from fastmlp.data.columns import CategoryColumn, NumberColumn
from support.preprocessing_examples import (
    COLUMNS,
    images,
    labels,
    numbers,
    quantities,
    source,
    table,
    tabular,
    text,
)


def test_rows_of_another_file():
    later = table(
        color=text("green", None, "red"), note=text("x", "y", "z"), age=numbers(50, 40, None)
    )
    result = tabular(input_mean=None, input_scale=None).inputs(later)
    np.testing.assert_array_equal(result, [[50, 0, 1, 0], [40, 0, 0, 1], [40, 0, 0, 1]])
    np.testing.assert_array_equal(
        tabular().inputs(later), (result - tabular().input_mean) / tabular().input_scale
    )
    assert later.columns["age"][2] is None  # the table is left as it was


NO_FILL = (
    NumberColumn("age"),
    CategoryColumn("color", ("b",), refuses_missing=True),
)
ERRORS = {
    "category": (
        COLUMNS,
        table(age=numbers(1, 2), color=text("red", "violet")),
        r"people\.csv: line 3, column 'color': 'violet' does not occur in the training part, "
        r"which has blue, green, red$",
    ),
    "text for a number": (
        COLUMNS,
        table(age=text("7", None, "old"), color=text("red", "red", "red")),
        r"people\.csv: line 4, column 'age': must be a number, got 'old'$",
    ),
    "infinite": (
        COLUMNS,
        table(age=numbers(1, -np.inf), color=text("red", "red")),
        r"people\.csv: line 3, column 'age': must be a number, got -inf$",
    ),
    "missing values": (
        NO_FILL,
        table(age=numbers(1, 2, None), color=text("b", None, None)),
        r"people\.csv: 3 values cannot be used:\n  line 3, column 'color': lacks a value\n"
        r"  line 4, column 'age': lacks a value\n  line 4, column 'color': lacks a value$",
    ),
    "one missing value": (
        NO_FILL,
        table(age=numbers(1, None), color=text("b", "b")),
        r"people\.csv: line 3, column 'age': lacks a value$",
    ),
    "no lines": (
        NO_FILL,
        Table("p.parquet", {"age": numbers(1, None), "color": text("b", "b")}),
        r"p\.parquet: row 2, column 'age': lacks a value$",
    ),
    "missing column": (
        COLUMNS,
        table(Age=numbers(1), color=text("red")),
        r"people\.csv: column 'age' is missing; did you mean 'Age'\?",
    ),
    "missing columns": (
        COLUMNS,
        table(Age=numbers(1), hue=text("red")),
        r"people\.csv: columns 'age', 'color' are missing; did you mean 'Age'\?",
    ),
    "column of another type": (
        COLUMNS,
        table(age=[datetime.date(2024, 1, 31)], color=text("red")),
        r"people\.csv: line 2, column 'age': must be a number, got datetime.date\(2024, 1, 31\)$",
    ),
}


@pytest.mark.parametrize(("columns", "later", "message"), ERRORS.values(), ids=ERRORS)
def test_an_unusable_row_is_named(columns, later, message):
    features = sum(len(column.feature_names) for column in columns)
    preprocessing = tabular(
        columns=columns, features=features, input_mean=None, input_scale=None,
        unknown_categories="error",
    )  # fmt: skip
    with pytest.raises(FormatError, match=message):
        preprocessing.inputs(later)


def test_unknown_categories_are_ignored():
    preprocessing = tabular(input_mean=None, input_scale=None)
    later = table(age=numbers(50, None, 1, 2), color=text("violet", None, "Red", "green"))
    np.testing.assert_array_equal(
        preprocessing.inputs(later), [[50, 0, 0, 0], [40, 0, 0, 1], [1, 0, 0, 0], [2, 0, 1, 0]]
    )
    np.testing.assert_array_equal(
        preprocessing.inputs(table(age=numbers(1, 2), color=numbers(7, None))),
        [[1, 0, 0, 0], [2, 0, 0, 1]],
    )


@pytest.mark.parametrize("case", sorted(ERRORS.keys() - {"category"}))
def test_nothing_else_is_ignored(case):
    columns, later, message = ERRORS[case]
    preprocessing = tabular(
        features=sum(len(column.feature_names) for column in columns),
        columns=columns,
        input_mean=None,
        input_scale=None,
    )
    with pytest.raises(FormatError, match=message):
        preprocessing.inputs(later)


def test_a_row_that_cannot_be_read_does_not_stop_the_others():
    preprocessing = tabular(unknown_categories="error")
    later = table(age=text("7", "old", "", "9"), color=text("red", "pink", "pink", "blue"))
    inputs, problems = preprocessing.served_inputs(later)
    assert problems.mask.tolist() == [False, True, True, False]
    has = "does not occur in the training part, which has blue, green, red"
    assert [problems.of_row(row) for row in range(4)] == [
        None,
        f"column 'age': must be a number, got 'old'; column 'color': 'pink' {has}",
        f"column 'color': 'pink' {has}",
        None,
    ]
    good = table(age=text("7", "9"), color=text("red", "blue"))
    np.testing.assert_array_equal(inputs[[0, 3]], preprocessing.inputs(good))
    ignored, problems = preprocessing.served_inputs(later, unknown_categories="ignore")
    assert problems.mask.tolist() == [False, True, False, False]
    np.testing.assert_array_equal(ignored[[0, 3]], inputs[[0, 3]])


@pytest.mark.parametrize("unknown_categories", ["error", "ignore"])
@pytest.mark.parametrize(
    ("missing", "age"), [("auto", 2.0), ("mean", 3.0), ("median", 2.0), ("most_frequent", 1)]
)
def test_later_gaps_are_filled_though_training_had_none(missing, age, unknown_categories):
    raw = table(age=numbers(1, 1, 7, 4, 2), color=text(*"xzzxx"), label=text(*"pqpqp"))
    options = Options(
        missing=missing,
        unknown_categories=unknown_categories,
        standardize=False,
        test_fraction=0,
        validation_fraction=0,
    )
    preprocessing = prepare(source(raw), options).preprocessing
    later = table(age=numbers(None, 5), color=text("z", None))
    color = [0, 0] if missing == "auto" else [1, 0]  # of the training part no row had a gap
    np.testing.assert_array_equal(preprocessing.inputs(later), [[age, 0, 1], [5, *color]])
    # A reader cannot tell what a column without any value would have held.
    empty = table(age=text(None), color=numbers(None))
    np.testing.assert_array_equal(preprocessing.inputs(empty), [[age, *color]])


@pytest.mark.parametrize("unknown_categories", ["error", "ignore"])
def test_later_gaps_are_errors_where_gaps_were_to_be(unknown_categories):
    raw = table(age=numbers(1, 1, 7, 4), color=text(*"xzzx"), label=text(*"pqpq"))
    options = Options(
        missing="error",
        unknown_categories=unknown_categories,
        test_fraction=0,
        validation_fraction=0,
    )
    preprocessing = prepare(source(raw), options).preprocessing
    for later, problems in (
        (table(age=numbers(None, 5), color=text("z", None)), ((2, "age"), (3, "color"))),
        (table(age=numbers(1), color=text(None)), ((2, "color"),)),
        (table(age=numbers(1), color=numbers(None)), ((2, "color"),)),
    ):
        with pytest.raises(FormatError) as error:
            preprocessing.inputs(later)
        found = re.findall(r"line (\d+), column '(\w+)': lacks a value", str(error.value))
        assert [(int(line), name) for line, name in found] == list(problems)


def coded(*categories, **fields):
    """A preprocessing of one column of categories, which refuses others."""
    column = CategoryColumn("code", categories, **fields)
    return tabular(
        features=len(categories), columns=(column,), input_mean=None, input_scale=None,
        unknown_categories="error",
    )  # fmt: skip


def test_names_are_compared_as_written_and_numbers_as_numbers():
    preprocessing = coded("01", "1.50", "2", "x", "02")
    read_as_text = preprocessing.inputs(table(code=text("01", "1.50", "x")))
    np.testing.assert_array_equal(read_as_text.argmax(axis=1), [0, 1, 3])
    read_as_numbers = preprocessing.inputs(table(code=numbers(1.5, 1, 2)))
    np.testing.assert_array_equal(read_as_numbers.argmax(axis=1), [1, 0, 2])
    with pytest.raises(FormatError, match="line 3, column 'code': 3.0 does not occur"):
        preprocessing.inputs(table(code=numbers(1, 3)))
    # Whether other rows hold numbers changes nothing.
    for others in ((), ("2",), ("x",)):
        with pytest.raises(FormatError, match="line 2, column 'code': '1' does not occur"):
            preprocessing.inputs(table(code=text("1", *others)))


def test_names_that_came_from_numbers_are_compared_as_numbers():
    preprocessing = coded("1", "2.5", "30", reads="number")
    for cells in (text("01", "2.50", "3e1"), numbers(1, 2.5, 30), text("1", " 2.5 ", "30")):
        np.testing.assert_array_equal(preprocessing.inputs(table(code=cells)), np.eye(3))
    with pytest.raises(FormatError, match="'x' does not occur"):
        preprocessing.inputs(table(code=text("x", "1")))


def test_truth_values_in_every_spelling():
    preprocessing = coded("false", "true", reads="boolean")
    spellings = (
        ("true", "T", "Yes", "y", "ON", "1", " True "),
        ("false", "F", "No", "n", "oFF", "0"),
    )
    for expected, words in zip(([0, 1], [1, 0]), spellings, strict=True):
        x = preprocessing.inputs(table(code=text(*words)))
        np.testing.assert_array_equal(x, [expected] * len(words))
    for cells in (numbers(0, 1), np.array([0, 1]), np.array([False, True]), [False, True]):
        np.testing.assert_array_equal(preprocessing.inputs(table(code=cells)), np.eye(2))
    for wrong in (text("maybe"), numbers(2), numbers(0.5)):
        with pytest.raises(FormatError, match="does not occur in the training part"):
            preprocessing.inputs(table(code=wrong))


def test_numbers_that_stand_for_two_names_are_unknown():
    with pytest.raises(FormatError, match="1.0 does not occur"):
        coded("01", "001").inputs(table(code=numbers(1.0)))
    # The shortest text decides if it is one of them.
    np.testing.assert_array_equal(coded("01", "1").inputs(table(code=numbers(1.0))), [[0, 1]])


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("uint8", "uint8"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("float16", "float32"),
        ("int16", "float64"),
        ("bool", "float64"),
        (">f4", "float32"),
        (">f8", "float64"),
    ],
)
def test_types_of_arrays(given, taken):
    x = np.arange(12).reshape(2, 6).astype(given)
    result = images().inputs(x)
    assert result.dtype == taken
    assert result.dtype.isnative
    assert (result is x) == (given == taken)
    np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 5)), FormatError, "x: must have 6 features, got 5"),
        (np.ones(6), ValueError, r"x must have shape \(samples, features\), got \(6,\)"),
        (np.ones((0, 6)), ValueError, "x must have shape"),
        (np.full((2, 6), np.nan), FormatError, r"x: must be finite, got nan at \[0, 0\]"),
        (np.array([["a"] * 6]), TypeError, "x must be an array of real numbers"),
        (np.ones((2, 6), complex), TypeError, "x must be an array of real numbers"),
    ],
)
def test_arrays_that_do_not_fit(x, error, message):
    with pytest.raises(error, match=message):
        images().inputs(x)


def test_an_array_stands_for_a_table_of_numbers():
    columns = (NumberColumn("a", fill=5.0), NumberColumn("b"))
    preprocessing = tabular(
        features=2, columns=columns, input_mean=np.zeros(2), input_scale=np.full(2, 2.0)
    )
    x = np.array([[1, 2], [np.nan, 4]])
    np.testing.assert_array_equal(preprocessing.inputs(x), [[0.5, 1], [2.5, 2]])
    assert np.isnan(x[1, 0])
    with pytest.raises(FormatError, match="x: row 2, column 'b': lacks a value"):
        preprocessing.inputs(np.array([[1, 2], [3, np.nan]]))
    with pytest.raises(ValueError, match="columns a, b, got an array of shape"):
        preprocessing.inputs(np.ones((2, 3)))
    with pytest.raises(ValueError, match="columns age, color"):
        tabular().inputs(np.ones((2, 2)))


def test_a_table_of_numbers_stands_for_an_array():
    named = table(width=numbers(1, 2), length=numbers(3, 4), other=text("a", "b"))
    np.testing.assert_array_equal(quantities().inputs(named), [[3, 1], [4, 2]])
    pixels = table(**{f"p{i}": numbers(i, 0) for i in range(6)})
    np.testing.assert_array_equal(images().inputs(pixels), [range(6), [0] * 6])
    with pytest.raises(FormatError, match="people.csv: columns: must be the 6 features"):
        images().inputs(named)
    with pytest.raises(FormatError, match="columns 'length', 'width' are missing"):
        quantities().inputs(pixels)


# ---------------------------------------------------------------- targets and outputs


def test_integers_count_the_classes_or_name_them():
    x = np.ones((3, 6), np.uint8)
    np.testing.assert_array_equal(images().targets(Part(x, np.array([1, 0, 2]))), [1, 0, 2])
    named = Preprocessing(task="classification", features=6, class_names=("2", "5", "10"))
    np.testing.assert_array_equal(named.targets(Part(x, np.array([10, 2, 5]))), [2, 0, 1])
    np.testing.assert_array_equal(named.targets(Part(x, text("10", "2", "5"))), [2, 0, 1])
    np.testing.assert_array_equal(images().targets(Part(x, text("dog", "0", "cat"))), [1, 2, 0])
    with pytest.raises(FormatError, match=r"y: '1' is none of the 3 classes: 2, 5, 10 at \[1\]"):
        named.targets(Part(x, np.array([10, 1, 5])))
    for wrong in (-1, -2, 3):
        with pytest.raises(FormatError, match=f"'{wrong}' is none of the 3 classes"):
            images().targets(Part(x, np.array([0, wrong, 1])))


def test_classes_of_a_source_that_counts_them_otherwise():
    x = np.ones((3, 6), np.uint8)
    y = images().targets(Part(x, np.array([0, 1, 0])), class_names=("dog", "cat"))
    np.testing.assert_array_equal(y, [1, 0, 1])
    with pytest.raises(FormatError, match="'fish' is none of the 3 classes"):
        images().targets(Part(x, np.array([0, 1, 1])), class_names=("dog", "fish"))


def test_targets_in_columns():
    part = Part(table(label=text("yes", "no", "yes")), None)
    assert tabular().has_targets(part)
    np.testing.assert_array_equal(tabular().targets(part), [1, 0, 1])
    assert tabular().targets(part).dtype == np.int64
    assert not tabular().has_targets(Part(table(age=numbers(1)), None))
    with pytest.raises(FormatError, match=r"people\.csv: line 3, column 'label': 'Yes' is none"):
        tabular().targets(Part(table(label=text("yes", "Yes")), None))
    with pytest.raises(FormatError, match="line 4, column 'label': lacks a target"):
        tabular().targets(Part(table(label=text("yes", "no", None)), None))

    part = Part(table(sweet=numbers(0, 1), round=numbers(1, 1), soft=numbers(0, 0)), None)
    np.testing.assert_array_equal(labels().targets(part), [[1, 0, 0], [1, 0, 1]])
    with pytest.raises(FormatError, match="line 3, column 'soft': must be 0 or 1, got 0.5"):
        labels().targets(
            Part(table(sweet=numbers(0, 1), round=numbers(1, 1), soft=numbers(0, 0.5)), None)
        )


def test_targets_in_arrays():
    x = np.ones((2, 2))
    assert quantities().has_targets(Part(x, np.ones((2, 2))))
    assert not quantities().has_targets(Part(x, None))
    values = np.array([[1e6, 4.0], [1e6 + 1, -3.0]])
    np.testing.assert_array_equal(
        quantities().targets(Part(x, values)),
        (values - quantities().target_mean) / quantities().target_scale,
    )
    for wrong, message in (
        (None, "no targets"),
        (np.ones(2), "y must have 2 columns of targets, got 1"),
        (np.ones((3, 2)), r"for each of 2 samples, got float64 of shape \(3, 2\)"),
        (np.array([[1, np.nan], [1, 1]]), r"y\[1\]: lacks a target at \[0\]"),
        (np.array([[1, 1], [np.inf, 1]]), r"y\[0\]: must be finite, got inf at \[1\]"),
        (np.array([["1", "a"], ["2", "3"]]), r"y\[1\]: must be a number, got 'a' at \[0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            quantities().targets(Part(x, wrong))


def test_outputs_in_words():
    assert tabular().decode(np.array([1, 0, 1])).tolist() == ["yes", "no", "yes"]
    labeled = labels().decode(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.uint8))
    assert labeled.tolist() == ["round;sweet", "", "soft"]
    single = Preprocessing(task="regression", features=1, target_names=("y",))
    np.testing.assert_array_equal(single.decode(np.array([1.5, 2])), [[1.5], [2]])


@given(st.lists(st.sampled_from(["b", "a", "10", "9", "é", " a"]), min_size=1))
def test_classes_come_back_exactly(names):
    y = text("a", "b", *names)
    options = Options(test_fraction=0, validation_fraction=0)
    prepared = prepare(source(np.ones((len(y), 1)), y), options)
    assert prepared.preprocessing.decode(prepared.train.y).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("example", "predicted"),
    [
        (tabular, np.array([0, 2])),
        (tabular, np.array([-1, 1])),
        (tabular, np.array([0.0, 1.0])),
        (tabular, np.array([[0, 1]])),
        (labels, np.array([[0, 1]])),
        (labels, np.array([[0, 1, 0.5]])),
        (quantities, np.ones((2, 3))),
        (quantities, np.ones(2)),
    ],
)
def test_outputs_of_another_network_are_refused(example, predicted):
    with pytest.raises(ValueError, match="predicted must"):
        example().decode(predicted)
