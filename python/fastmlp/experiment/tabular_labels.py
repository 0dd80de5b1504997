"""Labels of an estimator for tables: their codes, and their names in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import as_texts
from fastmlp.data.table import series_of
from fastmlp.extras import require

require("sklearn", "sklearn")
from sklearn.utils import assert_all_finite  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import column_or_1d  # noqa: E402

__all__ = ["distinct_labels", "names_of_labels"]

Array = NDArray[Any]
Indices = NDArray[np.int64]
# Integers up to here are exact as float64.
_MOST_EXACT = 2**53


def distinct_labels(y: Any, name: str) -> tuple[Array, Indices]:
    """Return the different labels of an argument in order, and the position of each label."""
    if y is None:
        raise ValueError(f"requires y to be passed, but the target {name} is None")
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name=name)
    try:
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise ValueError(
            f"{name} must hold labels of one type, all text or all numbers, and no missing "
            f"values: {error}"
        ) from None
    for label in classes.tolist() if classes.dtype.kind in "OU" else ():
        try:
            str(label).encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} must hold text that UTF-8 can hold, got {label!r}") from None
    return classes, codes.reshape(-1).astype(np.int64)


def names_of_labels(classes: Array) -> tuple[tuple[str, ...], str, str]:
    """Return names of labels, the type that makes labels of names, and how cells are compared."""
    kind = classes.dtype.kind
    if kind == "b":
        return ("false", "true"), "boolean", "boolean"
    if kind == "f":
        return tuple(as_texts(series_of("", classes.astype(np.float64)))), "number", "number"
    names = tuple(map(str, classes.tolist()))
    if kind not in "iu":
        return names, "text", "text"
    low, high = int(classes[0]), int(classes[-1])
    label_type = "integer" if high < 2**63 else "text"
    return names, label_type, "number" if max(high, -low) < _MOST_EXACT else "text"
