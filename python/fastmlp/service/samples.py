"""Samples in the body of a request: JSON rows, JSON lines, CSV, TSV, or an image."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastmlp.data import Reading, Table
from fastmlp.data.cells import shown
from fastmlp.data.delimited import read_delimited
from fastmlp.data.images import image_pixels
from fastmlp.data.jsonl import TooManyRowsError, read_json, read_json_rows
from fastmlp.data.table import require_columns
from fastmlp.errors import FormatError
from fastmlp.experiment.bagging import BaggedModel
from fastmlp.experiment.serving import reading_for, with_missing_keys
from fastmlp.model import MLP
from fastmlp.service.limits import Limits
from fastmlp.web.refusal import RequestError

__all__ = ["IMAGES", "ORIGIN", "Given", "Served", "input_names", "read_body", "sizes_of"]

# The name of the body in messages.
ORIGIN = "body"
IMAGES = ("image/png", "image/jpeg", "image/bmp", "image/webp")
_JSON = ("application/json", "text/json")
_JSON_LINES = (
    "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
    "application/jsonlines",
)  # fmt: skip
_DELIMITED = {"text/csv": None, "text/tab-separated-values": "\t"}

Array = npt.NDArray[Any]
# One network, or several that answer together.
Served: TypeAlias = MLP | BaggedModel


@dataclass(frozen=True)
class Given:
    """Samples of a request.

    Attributes
    ----------
    samples : Table or array of shape (samples, features)
    problems : dict of int to str
        Problems of rows, counted from 0, whose samples mean nothing.
    notes : tuple of str
        Keys that the model does not know and that may be misspelled.
    """

    samples: Table | Array
    problems: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def sizes_of(model: Served) -> tuple[int, int]:
    """Return the numbers of features and outputs."""
    pre = model.preprocessing
    if pre is not None:
        return pre.features, pre.outputs
    assert isinstance(model, MLP)  # several networks together have a preprocessing
    return model.layer_sizes[0], model.layer_sizes[-1]


def input_names(model: Served) -> tuple[str, ...]:
    """Return the names of the inputs of a model of arrays, by default x0, x1, ..."""
    pre = model.preprocessing
    if pre is not None and pre.feature_names is not None:
        return pre.feature_names
    return tuple(f"x{i}" for i in range(sizes_of(model)[0]))


def read_body(model: Served, body: bytes, content_type: str, limits: Limits) -> Given:
    """Read the samples of a request as `fastmlp predict` reads them from a file.

    Parameters
    ----------
    model : MLP or BaggedModel
    body : bytes
        At most ``limits.max_bytes``.
    content_type : str
        The header, perhaps with a charset.
    limits : Limits

    Raises
    ------
    RequestError
        The body is of a type that the model does not take, holds too many rows, or cannot be read.
    """
    header = Message()
    header["content-type"] = content_type
    kind, charset = header.get_content_type(), header.get_content_charset()
    _require_type(model, kind if content_type else "")
    try:
        given = _read(model, body, kind, charset, limits.max_rows)
        if len(given.samples) > limits.max_rows:
            raise _too_many(limits.max_rows)
    except TooManyRowsError as error:
        raise RequestError(413, str(error)) from error
    except (FormatError, ValueError) as error:
        raise RequestError(400, str(error)) from error
    return given


def _require_type(model: Served, kind: str) -> None:
    known = [*_JSON, *_JSON_LINES, *_DELIMITED]
    if _image_shape(model) is not None:
        known += IMAGES
    if kind in known or kind.endswith("+json"):
        return
    if kind in IMAGES:
        raise RequestError(415, "Content-Type: this model takes no images")
    named = ", ".join(["application/json", "application/x-ndjson", *_DELIMITED])
    images = f", {', '.join(IMAGES)}" if _image_shape(model) is not None else ""
    got = f", got {shown(kind)}" if kind else ""
    raise RequestError(415, f"Content-Type: must be one of {named}{images}{got}")


def _image_shape(model: Served) -> tuple[int, ...] | None:
    return None if model.preprocessing is None else model.preprocessing.image_shape


def _read(model: Served, body: bytes, kind: str, charset: str | None, most: int) -> Given:
    reading = reading_for(model, Reading(encoding=charset))
    shape = _image_shape(model)
    if kind in IMAGES and shape is not None:
        return Given(image_pixels(body, ORIGIN, shape))
    if kind in _DELIMITED:
        reading = dataclasses.replace(reading, separator=_DELIMITED[kind])
        return Given(read_delimited(body, ORIGIN, reading))
    if kind in _JSON_LINES and body.lstrip()[:1] != b"[":
        if sum(bool(line.strip()) for line in body.splitlines()) > most:
            raise _too_many(most)
        return _of_objects(model, read_json(body, ORIGIN, reading))
    lists = None if _takes_tables(model) else _lists(model, body, most)
    if lists is not None:
        return lists
    return _of_objects(model, read_json_rows(body, ORIGIN, reading, most=most))


def _of_objects(model: Served, table: Table) -> Given:
    if not _takes_tables(model):
        return Given(_in_order(model, table))
    completed, notes = with_missing_keys(model.preprocessing, table)
    return Given(completed, notes=notes)


def _takes_tables(model: Served) -> bool:
    return model.preprocessing is not None and model.preprocessing.columns is not None


def _too_many(most: int) -> TooManyRowsError:
    return TooManyRowsError(f"{ORIGIN}: must hold {most} rows at most")


# ---------------------------------------------------------------- rows for models of arrays


def _in_order(model: Served, table: Table) -> Table:
    """Return the inputs of a model of arrays in their order, which keys of objects do not have."""
    names = input_names(model)
    try:
        require_columns(table, names)
    except FormatError as error:
        raise RequestError(422, str(error)) from error
    return dataclasses.replace(table, columns={name: table.columns[name] for name in names})


def _lists(model: Served, body: bytes, most: int) -> Given | None:
    """Return rows that are lists of numbers; None if there is none, or the text is broken."""
    try:
        document = json.loads(
            body.decode("utf-8-sig"),
            parse_float=float,
            parse_int=float,
            parse_constant=float,
            object_pairs_hook=_rows_of_object,
        )
    except (ValueError, RecursionError):
        return None
    rows = document.rows if isinstance(document, _Object) else document
    if not isinstance(rows, list) or not any(isinstance(row, list) for row in rows):
        return None
    if len(rows) > most:
        raise _too_many(most)
    names = input_names(model)
    x = np.zeros((len(rows), len(names)))
    problems = {}
    for i, row in enumerate(rows):
        problem = _problem_of(row, names)
        if problem is None:
            x[i] = row
        else:
            problems[i] = problem
    held = np.abs(x) <= np.finfo(model.dtype).max  # NaN is not
    for i in np.flatnonzero(~held.all(axis=1)).tolist():
        j = int(np.argmin(held[i]))
        problems[i] = f"column {names[j]!r}: must be finite in {model.dtype}, got {x[i, j]}"
        x[i] = 0.0
    return Given(x, problems)


@dataclass(frozen=True)
class _Object:
    """An object, of which only the rows matter here."""

    rows: Any


def _rows_of_object(pairs: list[tuple[str, Any]]) -> _Object:
    return _Object(next((value for key, value in pairs if key == "rows"), None))


def _problem_of(row: Any, names: tuple[str, ...]) -> str | None:
    if not isinstance(row, list):
        return f"must be a list of {len(names)} numbers, as other rows are"
    if len(row) != len(names):
        return f"must have {len(names)} numbers, got {len(row)}"
    if set(map(type, row)) == {float}:
        return None
    j = next(j for j, value in enumerate(row) if type(value) is not float)
    got = "an object" if isinstance(row[j], _Object) else shown(row[j])
    return f"column {names[j]!r}: must be a number, got {got}"
