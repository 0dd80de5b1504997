"""What a preprocessing holds: read-only, the same after a file, and no damage goes unnoticed."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.data import Preprocessing
from fastmlp.data.columns import ColumnEncoding
from support.preprocessing_examples import (
    COLUMNS,
    EXAMPLES,
    images,
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
    original = tabular(unknown_categories="ignore")
    assert original.config()["unknown_categories"] == "ignore"
    assert tabular().config()["unknown_categories"] == "error"
    config = json.loads(json.dumps(original.config()))
    for read in (
        Preprocessing.from_config(config, original.arrays()),
        pickle.loads(pickle.dumps(original)),
    ):
        assert read == original
        later = table(age=numbers(40), color=text("violet"))
        np.testing.assert_allclose(read.inputs(later), [[0, -0.5, -0.25, -5]], rtol=1e-15)


def test_different_content_is_unequal():
    others = [
        tabular(class_names=("no", "Yes")),
        tabular(class_column="class"),
        tabular(unknown_categories="ignore"),
        tabular(columns=(COLUMNS[0], ColumnEncoding("color", "category", None, ("b", "g", "r")))),
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


def changed_column(**fields):
    config = tabular().config()
    config["columns"][1] |= fields
    return lambda: (config, dict(tabular().arrays()))


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
    "columns gone": (changed(tabular, columns=None), "class_column"),
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
        "unknown_categories must be one of error, ignore, got 'Ignore",
    ),
    "unknown categories of an array": (
        changed(images, unknown_categories="ignore"),
        "unknown_categories must be error for samples in arrays",
    ),
    "same column twice": (changed_column(name="age"), "columns"),
    "target among the columns": (changed_column(name="label"), "columns"),
    "column of another type": (changed(tabular, columns=[1]), "columns[0]"),
    "column with more": (changed_column(width=3), "columns[1]"),
    "column without name": (changed_column(name=None), "columns[1].name"),
    "name with half a character": (changed_column(name="\ud800"), "columns[1].name"),
    "kind unknown": (changed_column(kind="date"), "columns[1].kind"),
    "kind of another type": (changed_column(kind=["number"]), "columns[1].kind"),
    "number with categories": (changed_column(kind="number"), "columns[1].categories"),
    "number filled with text": (
        changed_column(kind="number", categories=None),
        "columns[1].fill",
    ),
    "fill NaN": (
        changed_column(kind="number", categories=None, fill=float("nan")),
        "columns[1].fill",
    ),
    "fill absurd": (
        changed_column(kind="number", categories=None, fill=10**400),
        "columns[1].fill",
    ),
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
        changed_column(categories=[*map(str, range(1000)), "red"]),
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
    "no class column": (changed(tabular, class_column=None), "class_column"),
    "class column of an array": (changed(images, class_column="label"), "class_column"),
    "class column a list": (changed(tabular, class_column=["label"]), "class_column"),
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
    for good in (changed(tabular), changed(images), changed_column(), changed_arrays(quantities)):
        Preprocessing.from_config(*good())
    number = changed_column(kind="number", categories=None, fill=2, name="size")
    config, arrays = number()
    config["features"] = 2
    arrays = {name: np.ones(2) for name in arrays}
    assert Preprocessing.from_config(config, arrays).columns[1].fill == 2.0


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
