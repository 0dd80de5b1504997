"""The JSON form of a `Preprocessing`, which may come from a hostile file.

No value is used or printed before its type is checked, because nested lists may be huge as text.
Two versions are read: the present one, and that of release 0.1, which typed each file by its own
cells and kept only names, replacements and categories (`_LEGACY`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import NUMBER_MISSING, PLAIN, NumberFormat, as_number
from fastmlp.data.columns import (
    DATE_PARTS,
    MOST_CATEGORIES,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
)
from fastmlp.errors import did_you_mean

__all__ = ["ARRAY_NAMES", "preprocessing_config", "read_config"]

ARRAY_NAMES = (
    "input_mean", "input_scale", "input_quantiles", "normal_quantiles",
    "target_mean", "target_scale", "target_low", "target_high",
)  # fmt: skip

# Limits far above any real network, low enough that a small file cannot claim much memory.
_MOST_FEATURES = 1 << 31
_MOST_NAMES = 1 << 20
_MOST_DIMENSIONS = 8

_VERSION = 2
_COMMON_KEYS = (
    "task", "features", "columns", "unknown_categories", "feature_names", "image_shape",
    "class_names", "indexed_classes", "target_names", "arrays",
)  # fmt: skip
_KEYS = (
    *_COMMON_KEYS, "version", "label_type", "target_schema", "weight",
    "weight_format", "left_out", "source_names", "encoding", "separator", "lacks",
)  # fmt: skip
_LEGACY_KEYS = (*_COMMON_KEYS, "class_column")
_LEGACY_COLUMN_KEYS = ("name", "kind", "fill", "categories")
_LEGACY_MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
_LEGACY_LACKS = (
    "it was written by release 0.1, which did not keep how cells are read: numbers are read as "
    "plain numbers and names as text; train it again to keep formats, labels as written and "
    "treatment of missing values"
)


# ---------------------------------------------------------------- writing


def preprocessing_config(preprocessing: Any, arrays: list[str]) -> dict[str, Any]:
    """Return all fields of a `Preprocessing` as JSON can hold them; of arrays the names."""
    columns, schema = preprocessing.columns, preprocessing.target_schema
    return {
        "version": _VERSION,
        "task": preprocessing.task,
        "features": preprocessing.features,
        "columns": None if columns is None else [_column_config(c) for c in columns],
        "unknown_categories": preprocessing.unknown_categories,
        # The names of a table's inputs follow from its columns.
        "feature_names": None if columns is not None else _as_list(preprocessing.feature_names),
        "image_shape": _as_list(preprocessing.image_shape),
        "class_names": _as_list(preprocessing.class_names),
        "target_schema": None if schema is None else [_column_config(c) for c in schema],
        "indexed_classes": preprocessing.indexed_classes,
        "label_type": preprocessing.label_type,
        "target_names": _as_list(preprocessing.target_names),
        "weight": preprocessing.weight,
        "weight_format": _format_config(preprocessing.weight_format),
        "left_out": [list(entry) for entry in preprocessing.left_out],
        "source_names": _as_list(preprocessing.source_names),
        "encoding": preprocessing.encoding,
        "separator": preprocessing.separator,
        "lacks": preprocessing.lacks,
        "arrays": arrays,
    }


def _as_list(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _column_config(column: Column) -> dict[str, Any]:
    config: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if isinstance(column, NumberColumn):
        return config | {
            "format": _format_config(column.format),
            "missing": list(column.missing),
            "fill": column.fill,
            "indicator": column.indicator,
        }
    if isinstance(column, CategoryColumn):
        return config | {
            "categories": list(column.categories),
            "reads": column.reads,
            "missing": list(column.missing),
            "fill": column.fill,
            "missing_level": column.missing_level,
            **({"as_code": True} if column.as_code else {}),
            "refuses_missing": column.refuses_missing,
        }
    assert isinstance(column, DateColumn)
    return config | {
        "format": column.format,
        "parts": list(column.parts),
        "missing": list(column.missing),
        "fill": column.fill,
        "indicator": column.indicator,
    }


def _format_config(form: NumberFormat) -> list[str]:
    return [form.decimal, form.thousands, form.affix]


# ---------------------------------------------------------------- reading


def read_config(config: object, arrays: object) -> dict[str, Any]:
    """Read the arguments of `Preprocessing` from its JSON form and its arrays.

    Raises
    ------
    TypeError, ValueError
        A field is missing, unknown, of another type or out of range. `Preprocessing` checks
        whether the fields fit together.
    """
    legacy = isinstance(config, Mapping) and "version" not in config
    fields = _mapping("preprocessing", config, _LEGACY_KEYS if legacy else _KEYS)
    shape, tabular = fields["image_shape"], fields["columns"] is not None
    known = {
        "task": _text("task", fields["task"]),
        "features": _whole("features", fields["features"], _MOST_FEATURES),
        "unknown_categories": _text("unknown_categories", fields["unknown_categories"]),
        "feature_names": _optional_names("feature_names", fields["feature_names"], not tabular),
        "image_shape": None if shape is None else _shape(shape),
        "class_names": _optional_names("class_names", fields["class_names"]),
        "indexed_classes": _flag("indexed_classes", fields["indexed_classes"]),
        "target_names": _optional_names("target_names", fields["target_names"]),
        **_arrays(fields["arrays"], arrays),
    }
    return known | (_legacy_columns(fields, known) if legacy else _present_columns(fields))


def _present_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    if _whole("version", fields["version"], _MOST_NAMES) != _VERSION:
        raise ValueError(
            f"version must be {_VERSION}, got {fields['version']}: a newer release wrote it"
        )
    columns, schema = fields["columns"], fields["target_schema"]
    return {
        "columns": None if columns is None else _columns("columns", columns),
        "target_schema": None if schema is None else _columns("target_schema", schema),
        "label_type": _text("label_type", fields["label_type"]),
        "weight": _optional_text("weight", fields["weight"]),
        "weight_format": _number_format("weight_format", fields["weight_format"]),
        "left_out": _pairs("left_out", fields["left_out"]),
        "source_names": _optional_names("source_names", fields["source_names"]),
        "encoding": _encoding(fields["encoding"]),
        "separator": _separator(fields["separator"]),
        "lacks": _optional_text("lacks", fields["lacks"]),
    }


def _columns(field: str, value: object) -> tuple[Column, ...]:
    return tuple(
        _column(f"{field}[{i}]", item)
        for i, item in enumerate(_sequence(field, value, _MOST_NAMES))
    )


def _column(field: str, value: object) -> Column:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in _READERS:
        raise ValueError(f"{field}.kind must be one of {', '.join(_READERS)}")
    return _READERS[kind](field, value)


def _number_column(field: str, value: object) -> Column:
    keys = ("name", "kind", "format", "missing", "fill", "indicator")
    fields = _mapping(field, value, keys)
    return NumberColumn(
        _text(f"{field}.name", fields["name"]),
        _number_format(f"{field}.format", fields["format"]),
        _tokens(f"{field}.missing", fields["missing"]),
        _optional_number(f"{field}.fill", fields["fill"]),
        _flag(f"{field}.indicator", fields["indicator"]),
    )


def _number_format(field: str, value: object) -> NumberFormat:
    form = NumberFormat(*(_text(field, sign) for sign in _sequence(field, value, 3, 3)))
    if form.decimal not in (".", ",") or len(form.thousands) > 4 or len(form.affix) > 16:
        raise ValueError(f"{field} must be a decimal sign, signs of groups and an affix")
    return form


def _category_column(field: str, value: object) -> Column:
    keys = (
        "name", "kind", "categories", "reads", "missing", "fill", "missing_level",
        "refuses_missing",
    )  # fmt: skip
    as_code = isinstance(value, Mapping) and "as_code" in value
    fields = _mapping(field, value, (*keys, "as_code") if as_code else keys)
    known = _names(f"{field}.categories", fields["categories"], MOST_CATEGORIES)
    reads = _text(f"{field}.reads", fields["reads"])
    if reads not in ("text", "number", "boolean"):
        raise ValueError(f"{field}.reads must be text, number or boolean, got {reads[:40]!r}")
    if reads == "boolean" and len(known) != 2:
        raise ValueError(f"{field}.categories must be two for truth values, got {len(known)}")
    return CategoryColumn(
        _text(f"{field}.name", fields["name"]),
        known,
        reads,
        _tokens(f"{field}.missing", fields["missing"]),
        _category_fill(field, fields["fill"], known),
        _flag(f"{field}.missing_level", fields["missing_level"]),
        _flag(f"{field}.refuses_missing", fields["refuses_missing"]),
        as_code and _flag(f"{field}.as_code", fields["as_code"]),
    )


def _date_column(field: str, value: object) -> Column:
    keys = ("name", "kind", "format", "parts", "missing", "fill", "indicator")
    fields = _mapping(field, value, keys)
    parts = _names(f"{field}.parts", fields["parts"], len(DATE_PARTS))
    if not set(parts) <= set(DATE_PARTS):
        raise ValueError(f"{field}.parts must be of {', '.join(DATE_PARTS)}")
    form = _text(f"{field}.format", fields["format"])
    if len(form) > 64:
        raise ValueError(f"{field}.format must have at most 64 characters, got {len(form)}")
    return DateColumn(
        _text(f"{field}.name", fields["name"]),
        form,
        parts,
        _tokens(f"{field}.missing", fields["missing"]),
        _optional_number(f"{field}.fill", fields["fill"]),
        _flag(f"{field}.indicator", fields["indicator"]),
    )


_READERS: dict[str, Callable[[str, object], Column]] = {
    "number": _number_column,
    "category": _category_column,
    "date": _date_column,
}


# ---------------------------------------------------------------- release 0.1


def _legacy_columns(fields: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a file of release 0.1, which predict as they did there."""
    target = _optional_text("class_column", fields["class_column"])
    if fields["columns"] is None:
        if target is not None:
            raise ValueError("class_column must be null for samples in arrays")
        return {}
    columns = tuple(
        _legacy_column(f"columns[{i}]", item)
        for i, item in enumerate(_sequence("columns", fields["columns"], _MOST_NAMES))
    )
    schema: tuple[Column, ...]
    if target is not None:
        classes = known["class_names"] or ()
        schema = (_legacy_category(target, classes, None, numeric=True),)
    else:
        names = known["class_names"] or known["target_names"] or ()
        schema = tuple(NumberColumn(name) for name in names)
    return {"columns": columns, "target_schema": schema, "lacks": _LEGACY_LACKS}


def _legacy_column(field: str, value: object) -> Column:
    fields = _mapping(field, value, _LEGACY_COLUMN_KEYS)
    name = _text(f"{field}.name", fields["name"])
    kind = _text(f"{field}.kind", fields["kind"])
    fill, categories = fields["fill"], fields["categories"]
    if kind == "number":
        if categories is not None:
            raise ValueError(f"{field}.categories must be null for numbers")
        return NumberColumn(name, PLAIN, NUMBER_MISSING, _optional_number(f"{field}.fill", fill))
    if kind != "category":
        raise ValueError(f"{field}.kind must be number or category, got {kind[:40]!r}")
    known = _names(f"{field}.categories", categories, MOST_CATEGORIES)
    return _legacy_category(name, known, _category_fill(field, fill, known), numeric=False)


def _legacy_category(
    name: str, known: tuple[str, ...], fill: str | None, *, numeric: bool
) -> CategoryColumn:
    reads = "text"
    if numeric and all(as_number(category) is not None for category in known):
        reads = "number"
    elif set(known) == {"false", "true"}:
        reads = "boolean"
    return CategoryColumn(name, known, reads, _LEGACY_MISSING, fill, False, fill is None)


# ---------------------------------------------------------------- values


def _separator(value: object) -> str | None:
    separator = _optional_text("separator", value)
    if separator is not None and len(separator) != 1:
        raise ValueError(f"separator must be one character, got {separator[:40]!r}")
    return separator


def _encoding(value: object) -> str | None:
    name = _optional_text("encoding", value)
    if name is not None and not re.fullmatch("[A-Za-z0-9_-]{1,40}", name):
        raise ValueError(f"encoding must be the name of one, got {name[:40]!r}")
    return name


def _category_fill(field: str, fill: object, known: tuple[str, ...]) -> str | None:
    if fill is None:
        return None
    text = _text(f"{field}.fill", fill)
    if text not in known:
        raise ValueError(f"{field}.fill must be one of its categories, got {text[:40]!r}")
    return text


def _tokens(field: str, value: object) -> tuple[str, ...]:
    return tuple(_text(field, token) for token in _sequence(field, value, _MOST_NAMES, fewest=0))


def _pairs(field: str, value: object) -> tuple[tuple[str, str], ...]:
    found = []
    for entry in _sequence(field, value, _MOST_NAMES, fewest=0):
        name, reason = _sequence(field, entry, 2, fewest=2)
        found.append((_text(field, name), _text(field, reason)))
    return tuple(found)


def _optional_number(field: str, value: object) -> float | None:
    return None if value is None else _number(field, value)


def _shape(value: object) -> tuple[int, ...]:
    sizes = _sequence("image_shape", value, _MOST_DIMENSIONS)
    return tuple(_whole(f"image_shape[{i}]", size, _MOST_FEATURES) for i, size in enumerate(sizes))


def _arrays(expected: object, arrays: object) -> dict[str, NDArray[np.float64]]:
    texts = _sequence("arrays", expected, len(ARRAY_NAMES), fewest=0)
    names = [_text(f"arrays[{i}]", name) for i, name in enumerate(texts)]
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
        # Python refuses to convert integers of thousands of digits to text.
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
