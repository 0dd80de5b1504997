"""The JSON form of a preprocessing, read as if an enemy had written it.

Nothing that was read is looked into, or shown, before its type is known: a text form of a list of
lists may be endless.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.columns import MAX_CATEGORIES, ColumnEncoding
from fastmlp.errors import did_you_mean

__all__ = ["ARRAY_NAMES", "as_list", "column_config", "read_config"]

ARRAY_NAMES = ("input_mean", "input_scale", "target_mean", "target_scale")

# Far above any real network, low enough that a few bytes cannot ask for much memory.
_MOST_FEATURES = 1 << 31
_MOST_NAMES = 1 << 20
_MOST_DIMENSIONS = 8

_KEYS = (
    "task",
    "features",
    "columns",
    "unknown_categories",
    "feature_names",
    "image_shape",
    "class_names",
    "class_column",
    "indexed_classes",
    "target_names",
    "arrays",
)
_COLUMN_KEYS = ("name", "kind", "fill", "categories")


def read_config(config: object, arrays: object) -> dict[str, Any]:
    """The arguments of `Preprocessing` from its JSON form and its arrays.

    Raises
    ------
    TypeError, ValueError
        A field is missing, unknown, of another type or out of range. Whether the fields fit
        together is for `Preprocessing` to say.
    """
    fields = _mapping("preprocessing", config, _KEYS)
    columns, shape = fields["columns"], fields["image_shape"]
    return {
        "task": _text("task", fields["task"]),
        "features": _whole("features", fields["features"], _MOST_FEATURES),
        "columns": None if columns is None else _columns(columns),
        "unknown_categories": _text("unknown_categories", fields["unknown_categories"]),
        "feature_names": _optional_names("feature_names", fields["feature_names"], columns is None),
        "image_shape": None if shape is None else _shape(shape),
        "class_names": _optional_names("class_names", fields["class_names"]),
        "class_column": _optional_text("class_column", fields["class_column"]),
        "indexed_classes": _flag("indexed_classes", fields["indexed_classes"]),
        "target_names": _optional_names("target_names", fields["target_names"]),
        **_arrays(fields["arrays"], arrays),
    }


def as_list(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


def column_config(column: ColumnEncoding) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind,
        "fill": column.fill,
        "categories": as_list(column.categories),
    }


# ---------------------------------------------------------------- parts of it


def _columns(value: object) -> tuple[ColumnEncoding, ...]:
    return tuple(
        _column(f"columns[{i}]", item)
        for i, item in enumerate(_sequence("columns", value, _MOST_NAMES))
    )


def _column(field: str, value: object) -> ColumnEncoding:
    fields = _mapping(field, value, _COLUMN_KEYS)
    name = _text(f"{field}.name", fields["name"])
    kind = _text(f"{field}.kind", fields["kind"])
    fill, categories = fields["fill"], fields["categories"]
    if kind == "number":
        if categories is not None:
            raise ValueError(f"{field}.categories must be null for numbers")
        return ColumnEncoding(name, kind, None if fill is None else _number(f"{field}.fill", fill))
    if kind != "category":
        raise ValueError(f"{field}.kind must be number or category, got {kind[:40]!r}")
    known = _names(f"{field}.categories", categories, MAX_CATEGORIES)
    if fill is not None and _text(f"{field}.fill", fill) not in known:
        raise ValueError(f"{field}.fill must be one of its categories, got {fill[:40]!r}")
    return ColumnEncoding(name, kind, fill, known)


def _shape(value: object) -> tuple[int, ...]:
    sizes = _sequence("image_shape", value, _MOST_DIMENSIONS)
    return tuple(_whole(f"image_shape[{i}]", size, _MOST_FEATURES) for i, size in enumerate(sizes))


def _arrays(expected: object, arrays: object) -> dict[str, NDArray[np.float64]]:
    listed = _sequence("arrays", expected, len(ARRAY_NAMES), fewest=0)
    names = [_text(f"arrays[{i}]", name) for i, name in enumerate(listed)]
    if not isinstance(arrays, Mapping):
        raise TypeError(f"arrays must be a mapping, got {type(arrays).__name__}")
    if len(set(names)) != len(names) or not set(names) <= set(ARRAY_NAMES):
        raise ValueError(f"arrays must name some of {', '.join(ARRAY_NAMES)}, each once")
    for name in names:
        if name not in arrays:
            raise ValueError(f"{name} is missing")
    for name, array in arrays.items():
        if name not in names:
            raise ValueError(f"arrays do not list {str(name)[:40]!r}, which was given")
        if not isinstance(array, np.ndarray) or array.dtype != np.float64:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{name} must be a float64 array, got {kind}")
    return dict(arrays)


# ---------------------------------------------------------------- single values


def _mapping(field: str, value: object, keys: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} must be a mapping, got {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{field} must have text as keys, got {type(key).__name__}")
        if key not in keys:
            raise ValueError(
                f"{field} has the unknown key {key[:40]!r}{did_you_mean(key[:40], keys)}"
            )
    for key in keys:
        if key not in value:
            raise ValueError(f"{field} lacks the key {key!r}")
    return value


def _sequence(field: str, value: object, most: int, fewest: int = 1) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{field} must be a list, got {type(value).__name__}")
    if not fewest <= len(value) <= most:
        raise ValueError(f"{field} must have {fewest} to {most} entries, got {len(value)}")
    return value


def _names(field: str, value: object, most: int = _MOST_NAMES) -> tuple[str, ...]:
    texts = [_text(f"{field}[{i}]", text) for i, text in enumerate(_sequence(field, value, most))]
    if len(set(texts)) != len(texts):
        raise ValueError(f"{field} must hold different names")
    return tuple(texts)


def _optional_names(field: str, value: object, allowed: bool = True) -> tuple[str, ...] | None:
    if value is not None and not allowed:
        raise ValueError(f"{field} must be null where columns are given")
    return None if value is None else _names(field, value)


def _optional_text(field: str, value: object) -> str | None:
    return None if value is None else _text(field, value)


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} must be text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{field} must be text that UTF-8 can hold, got {value[:40]!r}") from None
    return value


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{field} must be true or false, got {type(value).__name__}")
    return value


def _whole(field: str, value: object, most: int) -> int:
    if type(value) is not int:
        raise TypeError(f"{field} must be an integer, got {type(value).__name__}")
    if not 1 <= value <= most:
        # The text of an int of any length may itself be refused.
        shown = f", got {value}" if abs(value) < 1 << 64 else ""
        raise ValueError(f"{field} must be from 1 to {most}{shown}")
    return value


def _number(field: str, value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{field} must be a number, got {type(value).__name__}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{field} must be finite")
    return number
