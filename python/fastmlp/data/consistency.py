"""Whether the fields of a `Preprocessing`, which may come from a hostile file, fit together."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from fastmlp.data.cells import as_number, listed
from fastmlp.data.columns import UNKNOWN_CATEGORIES, CategoryColumn
from fastmlp.data.options import TASKS

__all__ = ["require_consistent"]


def require_consistent(preprocessing: Any) -> None:
    """Raise ValueError, naming the field, unless the fields fit together."""
    _require_known_outputs(preprocessing)
    _require_matching_inputs(preprocessing)
    _require_usable_moments(preprocessing)
    _require_usable_quantiles(preprocessing)
    _require_usable_range(preprocessing)


def _require_known_outputs(preprocessing: Any) -> None:
    if preprocessing.task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {preprocessing.task[:40]!r}")
    regression = preprocessing.task == "regression"
    _require_given("target_names", preprocessing.target_names, regression)
    _require_given("class_names", preprocessing.class_names, not regression)
    fewest = 2 if preprocessing.task == "classification" else 1
    for field in ("class_names", "target_names"):
        names = getattr(preprocessing, field)
        if names is not None and (len(names) < fewest or len(set(names)) != len(names)):
            raise ValueError(
                f"{field} must hold {fewest} or more different names, got {listed(names)}"
            )
    tabular = preprocessing.columns is not None
    classes = preprocessing.task == "classification"
    _require_given("target_schema", preprocessing.target_schema, tabular)
    _require_matching_targets(preprocessing)
    if preprocessing.indexed_classes and (tabular or not classes):
        raise ValueError("indexed_classes must be false but for classes in arrays")
    _require_label_type(preprocessing)


def _require_label_type(preprocessing: Any) -> None:
    names = preprocessing.class_names or ()
    fits = {
        "text": True,
        "integer": all(map(_is_int64, names)),
        "number": all(as_number(name) is not None for name in names),
        "boolean": {name.lower() for name in names} == {"false", "true"},
    }
    if not fits.get(preprocessing.label_type):
        raise ValueError(
            f"label_type must fit the class_names, got {preprocessing.label_type[:40]!r}"
        )


def _is_int64(name: str) -> bool:
    return bool(re.fullmatch("-?[0-9]{1,19}", name)) and -(2**63) <= int(name) < 2**63


def _require_matching_targets(preprocessing: Any) -> None:
    schema = preprocessing.target_schema
    if schema is None:
        if preprocessing.weight is not None or preprocessing.left_out:
            raise ValueError("weight and left_out must be given for tables only")
        return
    names = tuple(column.name for column in schema)
    if preprocessing.task == "classification":
        known = [c.categories for c in schema if isinstance(c, CategoryColumn)]
        if len(schema) != 1 or known != [preprocessing.class_names]:
            raise ValueError("target_schema must be one column with the class_names")
    elif names != (preprocessing.class_names or preprocessing.target_names):
        raise ValueError("target_schema must have the names of the labels or targets")


def _require_matching_inputs(preprocessing: Any) -> None:
    features, shape = preprocessing.features, preprocessing.image_shape
    if features < 1:
        raise ValueError(f"features must be >= 1, got {features}")
    unknown = preprocessing.unknown_categories
    if unknown not in UNKNOWN_CATEGORIES:
        raise ValueError(
            f"unknown_categories must be one of {', '.join(UNKNOWN_CATEGORIES)}, "
            f"got {unknown[:40]!r}"
        )
    if preprocessing.columns is not None:
        names = [column.name for column in preprocessing.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"columns must have different names, got {listed(names)}")
        for name in preprocessing.target_columns or ():
            if name in names:
                raise ValueError(f"columns must not hold the target {name!r}")
        if shape is not None:
            raise ValueError("image_shape must be null for samples in tables")
        made = sum(len(column.feature_names) for column in preprocessing.columns)
        if made != features:
            raise ValueError(f"features must be the {made} of the columns, got {features}")
    named = preprocessing.feature_names
    if named is not None and len(named) != features:
        raise ValueError(f"feature_names must name {features} features, got {len(named)}")
    if shape is not None and math.prod(shape) != features:
        raise ValueError(f"image_shape must have {features} values, got {shape}")


def _require_usable_moments(preprocessing: Any) -> None:
    for kind, length in (("input", preprocessing.features), ("target", preprocessing.outputs)):
        mean = getattr(preprocessing, f"{kind}_mean")
        scale = getattr(preprocessing, f"{kind}_scale")
        if (mean is None) != (scale is None):
            raise ValueError(f"{kind}_mean and {kind}_scale must be given together")
        if mean is None:
            continue
        if kind == "target" and preprocessing.task != "regression":
            raise ValueError("target_mean must be given only for regression")
        for name, array in ((f"{kind}_mean", mean), (f"{kind}_scale", scale)):
            if array.shape != (length,):
                raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, got NaN or infinite values")
        if scale.min() <= 0:
            raise ValueError(f"{kind}_scale must be > 0, got {scale.min()}")


def _require_usable_quantiles(preprocessing: Any) -> None:
    known, normal = preprocessing.input_quantiles, preprocessing.normal_quantiles
    if (known is None) != (normal is None):
        raise ValueError("input_quantiles and normal_quantiles must be given together")
    if known is None:
        return
    if preprocessing.input_mean is None:
        raise ValueError("input_mean must be given where input_quantiles are")
    count = int(np.count_nonzero(preprocessing.quantities))
    for name, array in (("input_quantiles", known), ("normal_quantiles", normal)):
        if array.ndim != 2 or len(array) != count or array.shape[1] < 2:
            raise ValueError(
                f"{name} must have shape ({count}, points) with 2 or more points, got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinite values")
    if known.shape != normal.shape:
        raise ValueError(
            f"normal_quantiles must have shape {known.shape}, that of input_quantiles, "
            f"got {normal.shape}"
        )
    if (np.diff(known) <= 0).any():
        raise ValueError("input_quantiles must increase along each row")
    if (np.diff(normal) < 0).any():
        raise ValueError("normal_quantiles must not decrease along a row")


def _require_usable_range(preprocessing: Any) -> None:
    low, high = preprocessing.target_low, preprocessing.target_high
    if (low is None) != (high is None):
        raise ValueError("target_low and target_high must be given together")
    if low is None:
        return
    if preprocessing.task != "regression":
        raise ValueError("target_low must be given only for regression")
    for name, array in (("target_low", low), ("target_high", high)):
        if array.shape != (preprocessing.outputs,):
            raise ValueError(
                f"{name} must have shape ({preprocessing.outputs},), got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinite values")
    if (low > high).any():
        raise ValueError("target_high must be >= target_low")


def _require_given(field: str, value: object, wanted: bool) -> None:
    if (value is not None) != wanted:
        raise ValueError(f"{field} must {'be given' if wanted else 'be null'} for this task")
