"""Random rows of a table, as cells for the model and as inputs for its ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data.cells import FALSE_WORDS, TRUE_WORDS
from fastmlp.data.columns import CategoryColumn, Column
from fastmlp.data.table import Table
from fastmlp.export.inference import Inference
from fastmlp.export.onnx_columns import input_names
from fastmlp.export.table_rows import category_numbers, form_of, missing_tokens
from fastmlp.extras import require

__all__ = ["RandomRows", "random_rows"]

Array = npt.NDArray[Any]

_MISSING_SHARE = 0.05
_UNKNOWN_SHARE = 0.05
_UNKNOWN = "\u2205 unknown"
_FIRST_DATE, _LAST_DATE = -2_208_988_800.0, 4_102_444_800.0  # years 1900 and 2100
_DAY = 86400.0


@dataclass(frozen=True, eq=False)
class RandomRows:
    """The same rows in two forms."""

    table: Table
    feeds: dict[str, Array]  # inputs of the graph by name, of shape (rows, 1)


def random_rows(inference: Inference, random: np.random.Generator, count: int) -> RandomRows:
    """Draw rows with known, unknown and missing values of all columns.

    Parameters
    ----------
    inference : Inference
        Description of a model of tables.
    random : numpy.random.Generator
        Source of the random numbers.
    count : int
        Number of rows.
    """
    assert inference.columns is not None
    cells, feeds = {}, {}
    first = 0
    for column, name in zip(inference.columns, input_names(inference.columns), strict=True):
        # A value that is refused makes its whole row say nothing, so these are rarer.
        share = _MISSING_SHARE / len(inference.columns)
        missing = random.random(count) < max(share, 2 / count)
        typical = _typical(inference, first)
        cells[column.name], values = _DRAWN[form_of(column)](column, typical, random, missing)
        feeds[name] = values[:, np.newaxis]
        first += len(column.feature_names)
    return RandomRows(Table("random rows", cells), feeds)


def _typical(inference: Inference, feature: int) -> tuple[float, float] | None:
    """Return mean and deviation of a feature in the training part, if they are known."""
    if inference.input_mean is None or inference.input_deviation is None:
        return None
    return float(inference.input_mean[feature]), float(inference.input_deviation[feature])


_Typical = tuple[float, float] | None
_Drawn = tuple[Any, Array]  # cells, and what the graph takes for them


def _numbers(
    column: Column, typical: _Typical, random: np.random.Generator, missing: Array
) -> _Drawn:
    mean, deviation = typical or (0.0, 1.0)
    limit = np.finfo(np.float64).max
    values = np.clip(mean + deviation * random.standard_normal(len(missing)), -limit, limit)
    values[missing] = np.nan
    return values, values


def _dates(
    column: Column, typical: _Typical, random: np.random.Generator, missing: Array
) -> _Drawn:
    polars = require("data", "polars")
    if typical is None:
        seconds = random.uniform(_FIRST_DATE, _LAST_DATE, len(missing))
    else:
        mean, deviation = typical
        seconds = (mean + deviation * random.standard_normal(len(missing))) * _DAY
    micros = np.clip(np.round(seconds * 1e6), -(2.0**62), 2.0**62)
    moments = polars.Series(column.name, micros.astype(np.int64)).cast(polars.Datetime("us"))
    values = micros / 1e6
    values[missing] = np.nan
    return moments.set(polars.Series(missing), None), values


def _category_numbers(
    column: Column, typical: _Typical, random: np.random.Generator, missing: Array
) -> _Drawn:
    assert isinstance(column, CategoryColumn)
    known = category_numbers(column)
    known = known[np.isfinite(known)]
    values = random.choice(known if len(known) else np.zeros(1), len(missing))
    values[random.random(len(missing)) < _UNKNOWN_SHARE] += 0.375
    values[missing] = np.nan
    return values, values


def _texts(
    column: Column, typical: _Typical, random: np.random.Generator, missing: Array
) -> _Drawn:
    assert isinstance(column, CategoryColumn)
    known = np.array(column.categories, object)
    return _spoiled(column, known[random.integers(0, len(known), len(missing))], random, missing)


def _truth_values(
    column: Column, typical: _Typical, random: np.random.Generator, missing: Array
) -> _Drawn:
    words = [*TRUE_WORDS, *FALSE_WORDS]
    words += [word.upper() for word in words] + [f" {word.title()}\u00a0" for word in words]
    known = np.array(words, object)
    return _spoiled(column, known[random.integers(0, len(known), len(missing))], random, missing)


def _spoiled(column: Column, texts: Array, random: np.random.Generator, missing: Array) -> _Drawn:
    """Return texts of which some are unknown, and some are missing in all spellings."""
    assert isinstance(column, CategoryColumn)
    texts[random.random(len(texts)) < _UNKNOWN_SHARE] = _UNKNOWN
    tokens = missing_tokens(column)
    empty = np.array(["", " ", *tokens, *(f"\t{token}\u3000" for token in tokens)], object)
    texts[missing] = empty[random.integers(0, len(empty), int(missing.sum()))]
    return texts, texts


_DRAWN = {
    "number": _numbers,
    "text": _texts,
    "boolean": _truth_values,
    "category number": _category_numbers,
    "date": _dates,
}
