"""Reading files into tables and arrays, and preparing them for a network.

>>> import fastmlp
>>> raw = fastmlp.data.read("moons")
>>> prepared = fastmlp.data.prepare(raw, fastmlp.data.Options(split_seed=1))
>>> prepared.train.x.shape, prepared.task
((720, 2), 'classification')

The modules, lowest first: `cells` reads single cells, `table` holds the contents of a source,
`arrays` checks arrays, `reading` finds the reader of a source (`delimited`, `parquet`, ... read
bytes, `frames` takes data frames), `columns` turns cells into inputs, `inference` finds what kind
of column cells make, `options` holds choices, `targets` finds targets and tasks (`table_targets`,
`array_targets`), `schema` learns the columns of a table and `table_inputs` applies it, `moments`
holds means and deviations, `preprocessing` applies what `preparation` learned from the training
part, and `split` draws parts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastmlp.data.cells import NumberFormat
    from fastmlp.data.columns import CategoryColumn, DateColumn, NumberColumn
    from fastmlp.data.options import Options
    from fastmlp.data.preparation import Prepared, Samples, prepare
    from fastmlp.data.preprocessing import Preprocessing
    from fastmlp.data.reading import is_file_source, read, read_samples
    from fastmlp.data.table import Part, RawData, Reading, Table

__all__ = [
    "CategoryColumn",
    "DateColumn",
    "NumberColumn",
    "NumberFormat",
    "Options",
    "Part",
    "Prepared",
    "Preprocessing",
    "RawData",
    "Reading",
    "Samples",
    "Table",
    "is_file_source",
    "prepare",
    "read",
    "read_samples",
]

# Names are loaded on first use, because a model needs `Preprocessing` only.
_HOMES = {
    "options": ("Options",),
    "columns": ("CategoryColumn", "DateColumn", "NumberColumn"),
    "cells": ("NumberFormat",),
    "preparation": ("Prepared", "Samples", "prepare"),
    "preprocessing": ("Preprocessing",),
    "reading": ("is_file_source", "read", "read_samples"),
    "table": ("Part", "RawData", "Reading", "Table"),
}


if not TYPE_CHECKING:  # type checkers use the imports above

    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names:
                value = getattr(importlib.import_module(f"fastmlp.data.{home}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'fastmlp.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
