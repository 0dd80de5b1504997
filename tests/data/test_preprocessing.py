"""What a preprocessing holds: read-only, the same after a file, and no damage goes unnoticed."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import Preprocessing
from fastmlp.data.cells import NumberFormat
from fastmlp.data.columns import CategoryColumn, DateColumn, NumberColumn
from support.preprocessing_examples import (
    COLUMNS,
    EXAMPLES,
    classes,
    images,
    labels,
    limited,
    numbers,
    quantities,
    table,
    tabular,
    text,
)

examples = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


@examples
def test_config_and_arrays_hold_all(example):
    original = example()
    config = json.loads(json.dumps(original.config(), allow_nan=False))
    read = Preprocessing.from_config(config, {k: v.copy() for k, v in original.arrays().items()})
    assert read == original
    assert hash(read) == hash(original)
    assert read.config() == original.config()
    for field in ("task", "features", "outputs", "columns", "feature_names", "class_names"):
        assert getattr(read, field) == getattr(original, field)
    for name, array in original.arrays().items():
        assert array.dtype == np.float64
        assert read.arrays()[name].tobytes() == array.tobytes()


@examples
def test_copies_are_equal_and_as_read_only(example):
    for twin in (pickle.loads(pickle.dumps(example())), copy.deepcopy(example())):
        assert twin == example()
        assert not any(array.flags.writeable for array in twin.arrays().values())


def test_how_unknown_categories_are_taken_survives_a_file():
    original = tabular(unknown_categories="error")
    assert original.config()["unknown_categories"] == "error"
    assert tabular().config()["unknown_categories"] == "ignore"
    config = json.loads(json.dumps(original.config()))
    later = table(age=numbers(40), color=text("violet"))
    for read in (
        Preprocessing.from_config(config, original.arrays()),
        pickle.loads(pickle.dumps(original)),
    ):
        assert read == original
        with pytest.raises(FormatError, match="'violet' does not occur in the training part"):
            read.inputs(later)
    np.testing.assert_allclose(tabular().inputs(later), [[0, -0.5, -0.25, -5]], rtol=1e-15)


OTHERS = (
    NumberColumn("age", NumberFormat(",", ".", "€"), ("?", "none"), -2.5, indicator=True),
    CategoryColumn("color", ("1", "2", "30"), "number", ("-",), None, missing_level=True),
    CategoryColumn("paid", ("false", "true"), "boolean", (), "true"),
    CategoryColumn("size", ("S", "M"), refuses_missing=True),
    DateColumn("sold", "%d.%m.%Y", ("days", "month"), ("?",), 1e9, indicator=True),
    DateColumn("made"),
)


def test_every_kind_of_column_and_every_field_of_it_survives_a_file():
    def made(columns, **fields):
        features = sum(len(column.feature_names) for column in columns)
        known = {"features": features, "columns": columns, "input_mean": None, "input_scale": None}
        return tabular(**(known | fields))

    original = made(
        OTHERS, weight="w", left_out=(("id", "numbers the rows"), ("x,y", "is 1 in every row")),
        source_names=("column_1", "column_2"), lacks="something",
    )  # fmt: skip
    config = json.loads(json.dumps(original.config(), allow_nan=False))
    read = Preprocessing.from_config(config, {})
    assert read == original
    for field in ("columns", "target_schema", "weight", "left_out", "source_names", "lacks"):
        assert getattr(read, field) == getattr(original, field)
    # Equality is no help if it overlooks a field: each column differs from its plain form.
    for column in OTHERS[:-1]:
        plain = type(column)(
            column.name, *([column.categories] if "categor" in column.kind else [])
        )
        for name, value in vars(column).items():
            if name.startswith("_") or value == vars(plain)[name]:
                continue
            one = dataclasses.replace(column, **{name: vars(plain)[name]})
            assert made((one,)) != made((column,)), (column.kind, name)


def test_different_content_is_unequal():
    others = [
        tabular(class_names=("no", "Yes"), target_schema=(classes("label", "no", "Yes"),)),
        tabular(target_schema=(classes("class", "no", "yes"),)),
        tabular(target_schema=(classes("label", "no", "yes", reads="boolean"),)),
        tabular(unknown_categories="error"),
        tabular(columns=(COLUMNS[0], CategoryColumn("color", ("b", "g", "r")))),
        tabular(weight="w"),
        tabular(left_out=(("id", "is an identifier"),)),
        tabular(source_names=("column_1",)),
        tabular(lacks="much"),
        tabular(input_mean=np.array([40.0, 0.25, 0.25, np.nextafter(0.5, 1)])),
        tabular(input_mean=None, input_scale=None),
        images(),
        quantities(),
    ]
    for other in others:
        assert tabular() != other
    assert tabular() != "tabular"
    assert len({tabular(), tabular(), images()}) == 2


def test_nothing_can_be_changed():
    mean = np.array([40.0, 0.25, 0.25, 0.5])
    preprocessing = tabular(input_mean=mean)
    mean[0] = 7
    assert preprocessing == tabular()
    with pytest.raises(AttributeError):
        preprocessing.task = "regression"
    with pytest.raises(ValueError, match="read-only"):
        preprocessing.input_mean[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        preprocessing.arrays()["input_scale"][:] = 1


def changed(example, **fields):
    return lambda: (example().config() | fields, dict(example().arrays()))


def changed_column(at=1, **fields):
    """A changed column: 0 holds numbers, 1 categories."""
    config = tabular().config()
    config["columns"][at] |= fields
    return lambda: (config, dict(tabular().arrays()))


def changed_target(**fields):
    config = tabular().config()
    config["target_schema"][0] |= fields
    return lambda: (config, dict(tabular().arrays()))


def dated(**fields):
    """A preprocessing of one column of dates."""
    config = tabular().config() | {"features": 1, "arrays": []}
    column = {
        "name": "sold", "kind": "date", "format": "iso", "parts": ["days"], "missing": ["?"],
        "fill": 1.0, "indicator": False,
    }  # fmt: skip
    config["columns"] = [column | fields]
    return lambda: (config, {})


def changed_arrays(example, **arrays):
    kept = {k: v for k, v in (example().arrays() | arrays).items() if v is not None}
    return lambda: (example().config(), kept)


def without(key):
    return lambda: ({k: v for k, v in tabular().config().items() if k != key}, tabular().arrays())


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def quantities_column(name):
    return tabular().config()["columns"][0] | {"name": name}


FOUR = np.ones(4)
MALFORMED = {
    "no mapping": (lambda: ([], {}), "preprocessing"),
    "text": (lambda: ("{}", {}), "preprocessing"),
    "empty": (lambda: ({}, {}), "task"),
    "unknown key": (changed(tabular, tasks=1), "'tasks'; did you mean 'task'"),
    "key no text": (lambda: ({**tabular().config(), 3: 4}, tabular().arrays()), "keys"),
    "no task": (without("task"), "task"),
    "no columns": (without("columns"), "columns"),
    "no list of arrays": (without("arrays"), "arrays"),
    "task of another type": (changed(tabular, task=3), "task"),
    "unknown task": (changed(tabular, task="clustering"), "task"),
    "task deeply nested": (changed(tabular, task=nested(100_000)), "task"),
    "other task": (changed(tabular, task="regression"), "target_names"),
    "features no integer": (changed(images, features=6.0), "features"),
    "features true": (changed(images, features=True), "features"),
    "features zero": (changed(images, features=0), "features"),
    "features negative": (changed(images, features=-6), "features"),
    "features absurd": (changed(images, features=10**5000), "features"),
    "features not of the columns": (changed(tabular, features=5), "features must be the 4 of"),
    "columns a mapping": (changed(tabular, columns={}), "columns"),
    "columns empty": (changed(tabular, columns=[]), "columns"),
    "columns nested": (changed(tabular, columns=nested(100_000)), "columns[0]"),
    "columns of an image": (changed(tabular, image_shape=[2, 2]), "image_shape"),
    "columns gone": (changed(tabular, columns=None), "target_schema"),
    "version of the future": (changed(tabular, version=3), "version must be 2, got 3: a newer"),
    "version a text": (changed(tabular, version="2"), "version must be an integer"),
    "version true": (changed(tabular, version=True), "version must be an integer"),
    "version absurd": (changed(tabular, version=10**5000), "version must be from 1"),
    "no rule for unknown categories": (
        without("unknown_categories"),
        "lacks the key 'unknown_categories'",
    ),
    "unknown categories null": (
        changed(tabular, unknown_categories=None),
        "unknown_categories must be text",
    ),
    "unknown categories true": (
        changed(tabular, unknown_categories=True),
        "unknown_categories must be text",
    ),
    "unknown categories otherwise": (
        changed(tabular, unknown_categories="Ignore" * 100),
        "unknown_categories must be one of ignore, error, got 'Ignore",
    ),
    "same column twice": (changed_column(name="age"), "columns"),
    "target among the columns": (changed_column(name="label"), "columns"),
    "column of another type": (changed(tabular, columns=[1]), "columns[0]"),
    "column with more": (changed_column(width=3), "columns[1]"),
    "column without name": (changed_column(name=None), "columns[1].name"),
    "name with half a character": (changed_column(name="\ud800"), "columns[1].name"),
    "kind unknown": (changed_column(kind="image"), "columns[1].kind"),
    "kind of another type": (changed_column(kind=["number"]), "columns[1].kind"),
    "number with categories": (changed_column(0, categories=["a"]), "'categories'"),
    "number as a category": (changed_column(kind="number"), "columns[1] has the unknown key"),
    "number filled with text": (changed_column(0, fill="red"), "columns[0].fill"),
    "fill NaN": (changed_column(0, fill=float("nan")), "columns[0].fill"),
    "fill absurd": (changed_column(0, fill=10**400), "columns[0].fill"),
    "indicator a number": (changed_column(0, indicator=1), "columns[0].indicator"),
    "missing a text": (changed_column(0, missing="NA"), "columns[0].missing"),
    "missing a number": (changed_column(0, missing=["NA", 7]), "columns[0].missing"),
    "format a text": (changed_column(0, format=".,€"), "columns[0].format"),
    "format too short": (changed_column(0, format=[".", ""]), "columns[0].format"),
    "format of numbers": (changed_column(0, format=[".", "", 3]), "columns[0].format"),
    "decimal sign a letter": (changed_column(0, format=["x", "", ""]), "columns[0].format"),
    "signs of groups absurd": (changed_column(0, format=[".", "," * 9, ""]), "columns[0].format"),
    "affix absurd": (changed_column(0, format=[".", "", "$" * 99]), "columns[0].format"),
    "indicator without its input": (changed_column(0, indicator=True), "features must be the 5"),
    "reads otherwise": (changed_column(reads="numbers"), "columns[1].reads"),
    "reads null": (changed_column(reads=None), "columns[1].reads"),
    "truth of three": (changed_column(reads="boolean"), "columns[1].categories must be two"),
    "level a number": (changed_column(missing_level=0), "columns[1].missing_level"),
    "refusal a text": (changed_column(refuses_missing="no"), "columns[1].refuses_missing"),
    "date of no format": (dated(format=None), "columns[0].format"),
    "date of a long format": (dated(format="%d" * 40), "columns[0].format"),
    "date of unknown parts": (dated(parts=["days", "year"]), "columns[0].parts"),
    "date of no parts": (dated(parts=[]), "columns[0].parts"),
    "date of one part twice": (dated(parts=["days", "days"]), "columns[0].parts"),
    "date filled with text": (dated(fill="2024-01-01"), "columns[0].fill"),
    "date with more": (dated(zone="UTC"), "columns[0]"),
    "fill unknown": (changed_column(fill="violet"), "columns[1].fill"),
    "fill of another type": (changed_column(fill=1), "columns[1].fill"),
    "categories missing": (changed_column(categories=None), "columns[1].categories"),
    "categories empty": (changed_column(categories=[]), "columns[1].categories"),
    "categories text": (changed_column(categories="bgr"), "columns[1].categories"),
    "categories twice": (
        changed_column(categories=["red", "red", "blue"]),
        "columns[1].categories",
    ),
    "categories numbers": (changed_column(categories=["red", 1, 2]), "columns[1].categories[1]"),
    "too many categories": (
        changed_column(categories=[*map(str, range(1 << 16)), "red"]),
        "columns[1].categories",
    ),
    "feature names of columns": (changed(tabular, feature_names=list("abcd")), "feature_names"),
    "feature names too few": (changed(quantities, feature_names=["a"]), "feature_names"),
    "shape of other size": (changed(images, image_shape=[2, 2]), "image_shape"),
    "shape with zero": (changed(images, image_shape=[6, 0]), "image_shape[1]"),
    "shape a number": (changed(images, image_shape=6), "image_shape"),
    "shape of too many": (changed(images, image_shape=[1] * 8 + [6]), "image_shape"),
    "one class": (changed(tabular, class_names=["no"]), "class_names"),
    "no classes": (changed(tabular, class_names=None), "class_names"),
    "same class twice": (changed(tabular, class_names=["no", "no"]), "class_names"),
    "class no text": (changed(tabular, class_names=["no", None]), "class_names[1]"),
    "no target": (changed(tabular, target_schema=None), "target_schema"),
    "targets a text": (changed(tabular, target_schema="label"), "target_schema"),
    "target of an array": (
        changed(images, target_schema=tabular().config()["target_schema"]),
        "target_schema",
    ),
    "target twice": (
        changed(tabular, target_schema=tabular().config()["target_schema"] * 2),
        "target_schema",
    ),
    "target of other classes": (changed_target(categories=["no", "Yes"]), "target_schema"),
    "target of numbers": (
        changed(tabular, target_schema=[quantities_column("label")]),
        "target_schema",
    ),
    "targets of other names": (
        changed(labels, target_schema=[*map(quantities_column, ("round", "soft", "sour"))]),
        "target_schema",
    ),
    "weight a number": (changed(tabular, weight=3), "weight"),
    "weight of an array": (changed(images, weight="w"), "weight"),
    "left out a text": (changed(tabular, left_out="id"), "left_out"),
    "left out without a reason": (changed(tabular, left_out=[["id"]]), "left_out"),
    "left out of an array": (changed(images, left_out=[["id", "numbers"]]), "left_out"),
    "names of the source twice": (changed(tabular, source_names=["a", "a"]), "source_names"),
    "lacks a number": (changed(tabular, lacks=1), "lacks"),
    "indexed number": (changed(images, indexed_classes=1), "indexed_classes"),
    "indexed classes of a table": (changed(tabular, indexed_classes=True), "indexed_classes"),
    "targets of classes": (changed(tabular, target_names=["price"]), "target_names"),
    "targets empty": (changed(quantities, target_names=[]), "target_names"),
    "classes of quantities": (changed(quantities, class_names=["a", "b"]), "class_names"),
    "arrays unknown": (changed(tabular, arrays=["weights"]), "arrays"),
    "arrays twice": (changed(tabular, arrays=["input_mean", "input_mean"]), "arrays"),
    "arrays not listed": (changed(tabular, arrays=[]), "input_mean"),
    "arrays no mapping": (lambda: (tabular().config(), None), "arrays"),
    "array missing": (changed_arrays(tabular, input_mean=None), "input_mean"),
    "array unknown": (changed_arrays(tabular, weights=FOUR), "weights"),
    "array a list": (changed_arrays(tabular, input_mean=[1.0] * 4), "input_mean"),
    "array float32": (changed_arrays(tabular, input_mean=FOUR.astype("f4")), "input_mean"),
    "array of objects": (changed_arrays(tabular, input_mean=FOUR.astype("O")), "input_mean"),
    "array too short": (changed_arrays(tabular, input_mean=np.ones(3)), "input_mean"),
    "array of two dimensions": (changed_arrays(tabular, input_scale=np.ones((4, 1))), "scale"),
    "array of none": (changed_arrays(tabular, input_mean=np.array(1.0)), "input_mean"),
    "mean NaN": (changed_arrays(tabular, input_mean=FOUR * np.nan), "input_mean"),
    "scale infinite": (changed_arrays(tabular, input_scale=FOUR * np.inf), "input_scale"),
    "scale zero": (changed_arrays(tabular, input_scale=FOUR * 0), "input_scale"),
    "scale negative": (changed_arrays(quantities, target_scale=-np.ones(2)), "target_scale"),
    "mean alone": (
        lambda: (tabular().config() | {"arrays": ["input_mean"]}, {"input_mean": FOUR}),
        "input_scale",
    ),
    "low alone": (
        lambda: (quantities().config() | {"arrays": ["target_low"]}, {"target_low": np.ones(2)}),
        "target_high",
    ),
    "low NaN": (changed_arrays(limited, target_low=np.ones(2) * np.nan), "target_low"),
    "high infinite": (changed_arrays(limited, target_high=np.ones(2) * np.inf), "target_high"),
    "high too short": (changed_arrays(limited, target_high=np.ones(1)), "target_high"),
    "high below low": (changed_arrays(limited, target_high=np.array([0.0, 0.0])), "target_high"),
    "range of classes": (
        lambda: (
            images().config() | {"arrays": ["target_low", "target_high"]},
            {"target_low": np.ones(3), "target_high": np.ones(3)},
        ),
        "target_low",
    ),
    "target mean of classes": (
        lambda: (
            images().config() | {"arrays": ["target_mean", "target_scale"]},
            {"target_mean": np.ones(3), "target_scale": np.ones(3)},
        ),
        "target_mean",
    ),
}


@pytest.mark.parametrize(("make", "field"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_config_is_refused_by_field(make, field):
    with pytest.raises((TypeError, ValueError)) as refusal:
        Preprocessing.from_config(*make())
    assert field in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_the_examples_above_differ_from_good_ones_in_one_thing_alone():
    good = [
        changed(tabular), changed(images), changed(labels), changed_column(), changed_target(),
        dated(), changed_arrays(quantities),
    ]  # fmt: skip
    for make in good:
        Preprocessing.from_config(*make())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    example=st.sampled_from(list(EXAMPLES.values())),
    key=st.sampled_from(list(tabular().config())),
    value=JSON,
)
def test_any_value_of_a_field_is_read_or_refused(example, key, value):
    config = example().config() | {key: value}
    try:
        read = Preprocessing.from_config(config, example().arrays())
    except (TypeError, ValueError):
        return
    assert json.dumps(read.config()) == json.dumps(config)
