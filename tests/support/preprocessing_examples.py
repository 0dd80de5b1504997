"""Small tables and one preprocessing of each kind, for tests of data."""

from __future__ import annotations

import dataclasses

import numpy as np

from fastmlp.data import Part, Preprocessing, RawData, Table
from fastmlp.data.columns import CategoryColumn, NumberColumn


def text(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def numbers(*values):
    return np.array([np.nan if value is None else value for value in values], np.float64)


def table(**columns):
    return Table("people.csv", columns, first_line=2)


def source(x, y=None, **fields):
    others = ("test", "class_names", "feature_names", "image_shape", "task")
    known = dict.fromkeys(others) | {"name": "people", "sha256": {}}
    return RawData(train=Part(x, y), **(known | fields))


COLUMNS = (
    NumberColumn("age", fill=40.0),
    CategoryColumn("color", ("blue", "green", "red"), fill="red"),
)


def classes(name, *categories, **fields):
    """The column of a target with these classes."""
    return CategoryColumn(name, categories, refuses_missing=True, **fields)


def tabular(**changes):
    fields = {
        "task": "classification",
        "features": 4,
        "columns": COLUMNS,
        "input_mean": np.array([40.0, 0.25, 0.25, 0.5]),
        "input_scale": np.array([10.0, 0.5, 1.0, 0.1]),
        "class_names": ("no", "yes"),
        "target_schema": (classes("label", "no", "yes"),),
    }
    return Preprocessing(**(fields | changes))


def images():
    return Preprocessing(
        task="classification",
        features=6,
        image_shape=(2, 3),
        class_names=("cat", "dog", "0"),
        indexed_classes=True,
    )


def quantities():
    return Preprocessing(
        task="regression",
        features=2,
        feature_names=("length", "width"),
        target_names=("price", "age"),
        target_mean=np.array([1e6, -3.0]),
        target_scale=np.array([0.1, 7.0]),
    )


def limited():
    """Quantities with the range of the training part."""
    return dataclasses.replace(
        quantities(), target_low=np.array([1e5, -3.0]), target_high=np.array([2e6, -3.0])
    )


def mapped():
    """Numbers whose quantiles are mapped to those of the normal distribution."""
    return tabular(
        input_mean=np.array([40.0, 0.0, 0.0, 0.0]),
        input_scale=np.array([10.0, 1.0, 1.0, 1.0]),
        input_quantiles=np.array([[-2.0, 0.0, 0.5, 6.0]]),
        normal_quantiles=np.array([[-5.0, 0.0, 1.0, 1.0]]),
    )


def labels():
    return Preprocessing(
        task="multilabel",
        features=1,
        columns=(NumberColumn("size"),),
        class_names=("round", "soft", "sweet"),
        target_schema=tuple(map(NumberColumn, ("round", "soft", "sweet"))),
    )


EXAMPLES = {
    "tabular": tabular, "images": images, "quantities": quantities, "limited": limited,
    "labels": labels, "mapped": mapped,
}  # fmt: skip
