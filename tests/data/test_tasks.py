"""What the columns are for, which task the targets make, and every wrong wish by its name."""

import datetime

import numpy as np
import pytest

from fastmlp import FormatError
from fastmlp.data import Options, Table, prepare
from support.preprocessing_examples import numbers, source, table, text

WHOLE = {"test_fraction": 0, "validation_fraction": 0}


def four(**columns):
    return table(a=numbers(1, 2, 3, 5), **columns)


def prepared_from(raw, **options):
    return prepare(raw if hasattr(raw, "train") else source(raw), Options(**WHOLE, **options))


# ---------------------------------------------------------------- roles


@pytest.mark.parametrize("name", ["target", "label", "class", "y", "Y", "Target", "LABEL"])
def test_the_target_by_its_usual_name(name):
    prepared = prepared_from(four(**{name: text(*"ppqq")}))
    assert prepared.preprocessing.target_columns == (name,)
    assert prepared.preprocessing.feature_names == ("a",)
    assert prepared.notes[0] == f"target: column {name!r}"


def test_the_target_must_be_named_where_it_cannot_be_guessed():
    with pytest.raises(ValueError, match=r"target \(--target\) must name .* columns a, species, "):
        prepared_from(four(species=text(*"ppqq")))
    with pytest.raises(ValueError, match="several are: y, Class"):
        prepared_from(four(y=text(*"ppqq"), Class=text(*"ppqq")))
    prepared = prepared_from(four(y=numbers(1, 0, 1, 1), Class=text(*"ppqq")), target=("Class",))
    assert prepared.preprocessing.feature_names == ("a", "y")
    weighted = prepared_from(
        four(y=text(*"ppqq"), label=numbers(1, 2, 3, 4)), sample_weight="label"
    )
    assert weighted.preprocessing.target_columns == ("y",)
    assert weighted.preprocessing.weight == "label"


def test_features_stay_in_the_order_of_the_file():
    raw = four(b=numbers(1, 2, 3, 4), c=numbers(4, 3, 2, 1), y=text(*"ppqq"))
    prepared = prepared_from(raw, features=("c", "a"))
    assert prepared.preprocessing.feature_names == ("a", "c")


WRONG = {
    "target unknown": ({"target": ("yy",)}, "target must name .* got 'yy'; did you mean 'y'"),
    "feature unknown": ({"features": ("A",)}, "features must .* got 'A'; did you mean 'a'"),
    "weight unknown": ({"sample_weight": "weigth"}, "sample_weight must name .* mean 'weight'"),
    "excluded unknown": ({"exclude": ("A",)}, "exclude must name .* got 'A'; did you mean 'a'"),
    "date unknown": ({"date": ("wen=%d.%m.%Y",)}, "date must name .* got 'wen'; .* 'when'"),
    "several unknown": (
        {"numeric": ("A",), "id": ("ids",)},
        "numeric must name columns .* got 'A'; did you mean 'a'.*, and 'ids'",
    ),
    "target unsupported": ({"target": ("when",)}, "target column 'when' must hold numbers or"),
    "feature unsupported": ({"features": ("when",)}, "column 'when' holds duration; leave it out"),
    "feature excluded": ({"features": ("a",), "exclude": ("a",)}, "exclude must not hold 'a'"),
    "two kinds": ({"numeric": ("a",), "id": ("a",)}, "'a' must be in one of numeric and id"),
    "target as feature": ({"features": ("a", "y")}, "features must not hold the target 'y'"),
    "no feature": (
        {"target": ("y", "a", "id"), "features": ("weight",), "sample_weight": "weight"},
        "sample_weight must be a column of its own",
    ),
    "names": ({"features": ("id",)}, "column 'id' is text that differs in every row; leave it"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_wishes_that_a_table_cannot_meet(options, message):
    raw = Table(
        "people.csv",
        {
            "a": numbers(1, 2, 3, 5),
            "id": text("k1", "k2", "k3", "k4"),
            "weight": numbers(1, 1, 2, 2),
            "y": numbers(0, 1, 0, 1),
            "when": [datetime.timedelta(days=day) for day in range(4)],
        },
        first_line=2,
    )
    with pytest.raises(ValueError, match=message):
        prepared_from(raw, **options)
    left_out = dict(prepared_from(raw).preprocessing.left_out)
    assert left_out == {"id": "is text that differs in every row", "when": "holds duration"}


def test_weights_that_are_no_numbers():
    when = [datetime.timedelta(days=day) for day in range(4)]
    with pytest.raises(FormatError, match="4 values cannot be used.*\n  line 2, column 'when': a"):
        prepared_from(four(when=when, y=text(*"ppqq")), sample_weight="when")


def test_numbers_of_rows_are_features_where_they_are_named_so():
    raw = table(id=np.arange(12.0), a=np.arange(12.0) % 5, y=np.arange(12.0) % 2)
    prepared = prepared_from(raw)
    assert prepared.preprocessing.left_out == (("id", "numbers the rows"),)
    assert prepared_from(raw, features=("id", "a")).preprocessing.feature_names == ("id", "a")
    assert prepared_from(raw, numeric=("id",)).preprocessing.feature_names == ("id", "a")


def test_no_column_left_to_predict_from():
    with pytest.raises(ValueError, match="features must leave a column to predict y from"):
        prepared_from(table(y=numbers(0, 1, 0, 1)))


def test_text_with_too_many_values():
    words = [f"w{i}" for i in range(1001)]
    y = np.arange(2002) % 2.0
    raw = table(a=text(*words, *words), b=y + 1, y=y)
    prepared = prepared_from(raw)
    reason = "is text with 1001 distinct values in 2002 rows"
    assert prepared.preprocessing.left_out == (("a", reason),)
    assert f"left out: 'a' ({reason})" in prepared.notes
    message = f"column 'a' {reason}; leave it out, or take it as it is with --categorical"
    with pytest.raises(ValueError, match=message):
        prepared_from(raw, features=("a",))
    assert prepared_from(raw, categorical=("a",)).preprocessing.features == 1002
    prepared = prepared_from(
        table(a=text(*words[:1000], *words[:1000], None, None), y=y), missing="most_frequent"
    )
    assert prepared.preprocessing.features == 1000


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (numbers(1, -0.5, 1, 1), FormatError, "line 3, column 'w': .*must be >= 0, got -0.5"),
        (numbers(1, 1, None, 1), FormatError, "line 4, column 'w': lacks a weight"),
        (numbers(1, 1, 1, np.inf), FormatError, "line 5, column 'w': .*must be a number, got inf"),
        (text("1", "1", "a", "1"), FormatError, "line 4, column 'w': .*must be a number, got 'a'"),
        (numbers(0, 0, 0, 0), ValueError, "sample_weight must not be 0 throughout: 'w' is"),
    ],
)
def test_weights_that_are_none(weights, error, message):
    with pytest.raises(error, match=message):
        prepared_from(four(w=weights, y=text(*"ppqq")), sample_weight="w")


def test_weights():
    prepared = prepared_from(four(w=numbers(0, 0.5, 2, 1), y=text(*"ppqq")), sample_weight="w")
    np.testing.assert_array_equal(prepared.train.weight, [0, 0.5, 2, 1])
    assert prepared.preprocessing.feature_names == ("a",)


# ---------------------------------------------------------------- tasks


def column(*values):
    return {"y": numbers(*values)}


TASKS = {
    "text": ({"y": text(*"ppqq")}, "classification"),
    "whole numbers": (column(3, 7, 3, 7), "classification"),
    "a whole number once": (column(3, 7, 3, 8), "regression"),
    "fractions": (column(0.5, 0.5, 1, 1), "regression"),
    "negative whole numbers": (column(-1, 1, 1, -1), "classification"),
    "two binary columns": ({"y": numbers(0, 1, 1, 1), "z": numbers(1, 0, 0, 1)}, "multilabel"),
    "two columns": ({"y": numbers(0, 1, 1, 1), "z": numbers(1, 0, 0, 2)}, "regression"),
}


@pytest.mark.parametrize(("targets", "task"), TASKS.values(), ids=TASKS)
def test_the_task_of_a_table(targets, task):
    prepared = prepared_from(four(**targets), target=tuple(targets))
    assert prepared.task == prepared.preprocessing.task == task
    assert prepared.notes[0].startswith(f"task: {task}")


@pytest.mark.parametrize(("distinct", "task"), [(20, "classification"), (21, "regression")])
def test_twenty_different_whole_numbers_are_classes(distinct, task):
    y = np.arange(2 * distinct) % distinct * 1.0
    assert prepared_from(table(a=y * 2, y=y)).task == task


ARRAYS = {
    "integers": (np.array([0, 1, 1, 0]), "classification"),
    "integers, each once": (np.array([0, 1, 2, 3]), "regression"),
    "text": (text(*"ppqq"), "classification"),
    "column of few whole numbers": (np.array([[0.0], [1], [1], [0]]), "classification"),
    "column of floats": (np.array([[0.5], [1], [1], [0]]), "regression"),
    "floats": (np.array([0.5, 1, 1, 0]), "regression"),
    "0 and 1": (np.array([[0.0, 1], [1, 1], [0, 0], [0, 1]]), "multilabel"),
    "integers 0 and 1": (np.array([[0, 1], [1, 1], [0, 0], [0, 1]]), "multilabel"),
    "several floats": (np.array([[0.0, 1], [1, 1], [0, 2], [0, 1]]), "regression"),
}


@pytest.mark.parametrize(("y", "task"), ARRAYS.values(), ids=ARRAYS)
def test_the_task_of_arrays(y, task):
    raw = source(np.arange(8.0).reshape(4, 2), y)
    prepared = prepared_from(raw)
    assert prepared.task == task
    names = {
        "multilabel": prepared.preprocessing.class_names == ("0", "1"),
        "regression": prepared.preprocessing.target_names in (("y",), ("y[0]", "y[1]")),
        "classification": prepared.preprocessing.target_names is None,
    }
    assert names[task]


def test_a_source_may_know_its_task():
    raw = source(np.ones((4, 1)), np.array([0, 1, 1, 0]), task="regression")
    prepared = prepared_from(raw)
    assert prepared.task == "regression"
    assert not any(note.startswith("task") for note in prepared.notes)
    assert prepared_from(raw, task="classification").task == "classification"


EXPLICIT = {
    "classes of floats": ("classification", column(1, 2, 3, 1), ("1", "2", "3")),
    "classes of digits": ("classification", {"y": text("1", "0", "1", "10")}, ("0", "1", "10")),
    "quantities of classes": ("regression", column(1, 2, 1, 2), ("y",)),
    "quantities of 0 and 1": ("regression", {"y": numbers(0, 1, 1, 0)}, ("y",)),
    "one label": ("multilabel", column(0, 1, 1, 0), ("y",)),
    "quantities in text": ("regression", {"y": text("1", "2.5", "1e3", "4")}, ("y",)),
}


@pytest.mark.parametrize(("task", "targets", "names"), EXPLICIT.values(), ids=EXPLICIT)
def test_a_task_that_was_asked_for(task, targets, names):
    prepared = prepared_from(four(**targets), task=task)
    assert prepared.task == task
    p = prepared.preprocessing
    assert (p.class_names or p.target_names) == names
    assert prepared.train.y.shape == ((4,) if task == "classification" else (4, 1))


IMPOSSIBLE = {
    "quantities of text": ("regression", {"y": text(*"ppqq")}, "numbers .* 'y', such as 'p'"),
    "labels of text": ("multilabel", {"y": text(*"ppqq")}, "numbers as targets, got text"),
    "labels of numbers": ("multilabel", column(0, 1, 2, 1), "only 0 and 1 in .*'y'"),
    "classes of fractions": ("classification", column(1, 2, 2.5, 1), "whole numbers .* got 2.5"),
    "classes of two columns": (
        "classification",
        {"y": numbers(0, 1, 1, 0), "z": numbers(0, 1, 1, 0)},
        "one target, got 2: y, z",
    ),
    "text among several": (
        "auto",
        {"y": numbers(0, 1, 1, 0), "z": text(*"ppqq")},
        "numbers as targets, got text in people.csv: column 'z'",
    ),
    "one class": ("auto", {"y": text(*"pppp")}, "two or more classes, got 'p'"),
}


@pytest.mark.parametrize(("task", "targets", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_task_that_the_targets_do_not_make(task, targets, message):
    with pytest.raises(ValueError, match=message):
        prepared_from(four(**targets), task=task, target=tuple(targets))


def test_names_are_no_classes():
    y = text(*(f"name {i}" for i in range(21)))
    with pytest.raises(ValueError, match="21 different values in 21 samples of .* 'y'"):
        prepared_from(table(a=np.arange(21.0), y=y))


def test_several_targets():
    raw = four(price=numbers(10, 20, 30, 40), size=numbers(1, 0, 1, 0))
    prepared = prepared_from(raw, target=("size", "price"))
    assert prepared.preprocessing.target_names == ("size", "price")
    decoded = prepared.preprocessing.decode(prepared.train.y)
    np.testing.assert_allclose(decoded, [[1, 10], [0, 20], [1, 30], [0, 40]], atol=1e-15)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"target": "y"}, TypeError),
        ({"target": (1,)}, TypeError),
        ({"target": ("y", "y")}, ValueError),
        ({"features": ("a", "a")}, ValueError),
        ({"features": ("y",), "target": ("y",)}, ValueError),
        ({"task": "clustering"}, ValueError),
        ({"task": None}, TypeError),
        ({"test_fraction": 1.0}, ValueError),
        ({"test_fraction": True}, TypeError),
        ({"validation_fraction": -0.1}, ValueError),
        ({"validation_fraction": float("nan")}, ValueError),
        ({"stratify": 1}, TypeError),
        ({"split_seed": -1}, ValueError),
        ({"split_seed": 1.0}, TypeError),
        ({"standardize": "yes"}, TypeError),
        ({"standardize_target": None}, TypeError),
        ({"missing": "zero"}, ValueError),
        ({"decimal": "x"}, ValueError),
        ({"thousands": "x"}, ValueError),
        ({"thousands": ",", "decimal": ","}, ValueError),
        ({"exclude": "a"}, TypeError),
        ({"unknown_categories": "drop"}, ValueError),
        ({"unknown_categories": None}, TypeError),
        ({"sample_weight": ("w",)}, TypeError),
        ({"sample_weight": "y", "target": ("y",)}, ValueError),
    ],
)
def test_an_option_out_of_range_is_named(options, error):
    with pytest.raises(error, match=f"^{next(iter(options))} (and decimal )?must"):
        Options(**options)
