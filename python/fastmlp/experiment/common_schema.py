"""What models of the same task know together: columns and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import CategoryColumn, Preprocessing
from fastmlp.data.cells import numeric_order

__all__ = ["class_positions", "common_preprocessing", "require_alike"]


def require_alike(first: Preprocessing, other: Preprocessing, position: int) -> None:
    """Raise ValueError unless a model has the task, targets and kind of samples of the first."""
    facts: dict[str, tuple[Any, Any]] = {
        "task": (first.task, other.task),
        "target": (first.target_columns, other.target_columns),
        "targets": (first.target_names, other.target_names),
        "kind of samples": (first.columns is None, other.columns is None),
        "weights": (first.weight, other.weight),
    }
    if first.task == "multilabel":
        facts["labels"] = (first.class_names, other.class_names)
    if first.columns is None:
        facts["number of inputs"] = (first.features, other.features)
        facts["shape of an image"] = (first.image_shape, other.image_shape)
    for what, (mine, theirs) in facts.items():
        if mine != theirs:
            raise ValueError(
                f"models must have one {what}, got {mine!r} and, of model {position}, {theirs!r}"
            )


def common_preprocessing(pres: Sequence[Preprocessing]) -> Preprocessing:
    """Return the columns and classes that models know together."""
    first = pres[0]
    names = first.class_names
    if any(pre.class_names != names for pre in pres):
        names = numeric_order({name for pre in pres for name in pre.class_names or ()})
    schema = first.target_schema
    if schema is not None and first.task == "classification":
        assert isinstance(schema[0], CategoryColumn)
        assert names is not None
        schema = (replace(schema[0], categories=names),)
    columns = None
    features = first.features
    if first.columns is not None:
        known = {column.name: column for pre in reversed(pres) for column in pre.columns or ()}
        columns = tuple(known.values())
        features = sum(len(column.feature_names) for column in columns)
    left_out = {name: why for pre in pres for name, why in pre.left_out}
    used = {column.name for column in columns or ()}
    return replace(
        first,
        features=features,
        columns=columns,
        class_names=names,
        target_schema=schema,
        input_mean=None,
        input_scale=None,
        input_quantiles=None,
        normal_quantiles=None,
        target_mean=None,
        target_scale=None,
        left_out=tuple(pair for pair in left_out.items() if pair[0] not in used),
    )


def class_positions(common: Preprocessing, own: Preprocessing) -> npt.NDArray[np.int64]:
    """Return the position of each class of a model among those of all models."""
    names = list(common.class_names or ())
    return np.array([names.index(name) for name in own.class_names or ()], np.int64)
