"""What a row of a model is: its schema, an example, and a JSON Schema."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Sequence
from typing import Any

from fastmlp.data.cells import PLAIN, read_dates
from fastmlp.data.columns import CategoryColumn, Column, DateColumn, NumberColumn
from fastmlp.data.table import series_of
from fastmlp.experiment.pipeline import Model
from fastmlp.model import MLP
from fastmlp.service.samples import IMAGES, Served, input_names, sizes_of

__all__ = ["accepts_missing", "answer_schema", "describe", "example_row", "row_schema"]

Json = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EPOCH = datetime.datetime(1970, 1, 1)
_USUAL_MOMENT = datetime.datetime(2024, 1, 31, 12)


def describe(model: Served, name: str) -> Json:
    """Return the description of a model that clients read.

    Parameters
    ----------
    model : MLP or BaggedModel
    name : str
        Name of the model for users.

    Returns
    -------
    dict
        What `fastmlp.Model.schema` returns, of a model without preprocessing with None where
        nothing is known; and "name", "example" (a row), "row_schema" (a JSON Schema of rows) and
        "images" (types of images that the model takes).
    """
    if isinstance(model, MLP) and model.preprocessing is None:
        absent = ("task", "columns", "target_schema", "class_names", "target_names", "image_shape")
        schema: Json = dict.fromkeys(absent) | {"left_out": [], "features": model.layer_sizes[0]}
        schema["outputs"] = model.layer_sizes[-1]
    else:
        schema = (Model.of(model) if isinstance(model, MLP) else model).schema()
    shape = schema["image_shape"]
    return {
        "name": name,
        **schema,
        "example": example_row(model),
        "row_schema": row_schema(model),
        "images": [] if shape is None else list(IMAGES),
    }


# ---------------------------------------------------------------- an example


def example_row(model: Served) -> Any:
    """Return a row that the model answers: an object, or a list for a model of arrays."""
    pre = model.preprocessing
    if pre is None or pre.columns is None:
        means = None if pre is None else pre.input_mean
        return [0] * sizes_of(model)[0] if means is None else [_rounded(v) for v in means]
    row: Json = {}
    position = 0
    for column in pre.columns:
        mean = 0.0 if pre.input_mean is None else float(pre.input_mean[position])
        row[column.name] = _example(column, mean)
        position += len(column.feature_names)
    return row


def _example(column: Column, mean: float) -> Any:
    if isinstance(column, NumberColumn):
        return _example_number(column, mean if column.fill is None else column.fill)
    if isinstance(column, CategoryColumn):
        return _example_category(column)
    assert isinstance(column, DateColumn)
    return _example_date(column)


def _rounded(value: float) -> float | int:
    short = float(f"{float(value):.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _example_number(column: NumberColumn, value: float) -> Any:
    short = _rounded(value)
    return short if column.format == PLAIN else str(short).replace(".", column.format.decimal)


def _example_category(column: CategoryColumn) -> Any:
    name = column.categories[0] if column.fill is None else column.fill
    if column.reads == "boolean":
        return name == "true"
    if column.reads == "number":
        try:
            value = json.loads(name)
        except ValueError:
            return name
        return value if str(value) == name else name
    return name


def _example_date(column: DateColumn) -> str:
    """Return the date that replaces missing ones, or another, in the format of the column."""
    moments = [_USUAL_MOMENT]
    if column.fill is not None:
        with contextlib.suppress(OverflowError):  # a year that datetime lacks
            moments.insert(0, _EPOCH + datetime.timedelta(seconds=round(column.fill)))
    texts = [_date_text(column, moment) for moment in moments]
    bad = read_dates(series_of(column.name, texts), column.format).bad
    return next((text for text, is_bad in zip(texts, bad, strict=True) if not is_bad), texts[-1])


def _date_text(column: DateColumn, moment: datetime.datetime) -> str:
    has_time = "hour" in column.parts
    if column.format == "iso":
        return moment.isoformat() if has_time else moment.date().isoformat()
    return moment.strftime(f"{column.format} %H:%M:%S" if has_time else column.format)


# ---------------------------------------------------------------- JSON Schemas


def row_schema(model: Served) -> Json:
    """Return a JSON Schema of the rows that a model takes."""
    pre = model.preprocessing
    if pre is not None and pre.columns is not None:
        strict = pre.unknown_categories == "error"
        properties = {column.name: _cell_schema(column, strict) for column in pre.columns}
        needed = [column.name for column in pre.columns if not accepts_missing(column)]
        return {"$schema": _DIALECT, **_object(properties, needed)}
    names = input_names(model)
    numbers = {"type": "number"}
    values = {"type": "array", "items": numbers, "minItems": len(names), "maxItems": len(names)}
    cell = {"type": ["number", "string"]}
    return {"$schema": _DIALECT, "anyOf": [values, _object(dict.fromkeys(names, cell), names)]}


def _object(properties: Json, needed: Sequence[str]) -> Json:
    """Return the schema of objects that have the needed keys, or any of all if none is needed."""
    schema: Json = {"type": "object", "properties": properties, "required": list(needed)}
    if not needed:
        schema["anyOf"] = [{"required": [name]} for name in properties]
    return schema


def accepts_missing(column: Column) -> bool:
    """Return whether a row may have null in a column, or lack it."""
    if isinstance(column, CategoryColumn):
        return not column.refuses_missing
    return isinstance(column, (NumberColumn, DateColumn)) and column.fill is not None


def _cell_schema(column: Column, strict: bool) -> Json:
    empty = ["null"] if accepts_missing(column) else []
    if isinstance(column, NumberColumn):
        written = "" if column.format == PLAIN else f", as text such as {column.format.example}"
        return {"type": ["number", "string", *empty], "description": f"a number{written}"}
    if isinstance(column, DateColumn):
        written = "as in ISO 8601" if column.format == "iso" else f"in the format {column.format}"
        return {"type": ["string", *empty], "description": f"a date {written}"}
    assert isinstance(column, CategoryColumn)
    values = list(column.categories)
    if strict and column.reads == "text":
        return {"enum": [*values, *([None] if empty else [])]}
    kinds = ["string", "number", "boolean", *empty]
    return {"type": kinds, "description": "a name", "examples": values[:20]}


def answer_schema() -> Json:
    """Return a JSON Schema of the answer to a request."""
    answer = {
        "type": "object",
        "properties": {
            "prediction": {"description": "class as written, list of labels, value, or values"},
            "probabilities": {
                "type": "object", "additionalProperties": {"type": ["number", "null"]},
            },
            "problem": {"type": "string", "description": "why the row has no answer"},
        },
    }  # fmt: skip
    rows = {"type": "array", "items": answer}
    told = {
        "type": "array", "items": {"type": "string"}, "description": "keys that may be misspelled",
    }  # fmt: skip
    return {
        "type": "object", "properties": {"rows": rows, "warnings": told}, "required": ["rows"],
    }  # fmt: skip
