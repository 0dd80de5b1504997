"""Parquet tables, read by polars in a process of its own.

A damaged file can make the decoder request more memory than any machine has, which aborts its
process. The separate process keeps this one alive.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any

import numpy as np

from fastmlp._bytes import require_ratio
from fastmlp.data.cells import Column, UnusableColumn, column_of_values, unsupported_type
from fastmlp.data.table import Table, place, usable_table
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = ["MAGIC", "decode", "read_parquet"]

MAGIC = b"PAR1"

# Run-length coding has no limit for a column of one value. Common writers begin new runs so often
# that they stay below half of this; files beyond it were made to fill the memory.
_MOST_CELLS_PER_BYTE = 1024
_SECONDS = 60.0
_BYTES_PER_SECOND = 1e6

_DECODER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from fastmlp.data.parquet import decode
decode(sys.stdin.buffer, sys.stdout.buffer)
"""


def read_parquet(content: bytes, origin: str) -> Table:
    """Read a table from the bytes of a Parquet file.

    Parameters
    ----------
    content : bytes
        The whole file.
    origin : str
        Name of the file for messages.

    Returns
    -------
    Table
        Columns are typed as in `column_of_values`; times, lists, structures and bytes are
        unsupported.

    Raises
    ------
    FormatError
        The file is damaged, has no rows, or has no column that can be used.
    """
    if len(content) < 12 or not content.startswith(MAGIC) or not content.endswith(MAGIC):
        raise FormatError(f"{origin}: magic: must be PAR1 at both ends; cut off or no Parquet file")
    footer = int.from_bytes(content[-8:-4], "little")
    if footer > len(content) - 12:
        raise FormatError(f"{origin}: footer: has {footer} bytes, the file {len(content)}")
    require("data", "polars")
    description, numbers = _decode_elsewhere(content, origin)
    if "error" in description:
        raise FormatError(f"{origin}: {description['error']}")
    rows = description["rows"]
    columns: dict[str, Column] = {}
    for name, texts in description["columns"].items():
        if texts is None:
            columns[name] = np.frombuffer(numbers, np.float64, rows).copy()
            numbers = numbers[8 * rows :]
        else:
            columns[name] = np.empty(rows, object)
            columns[name][:] = texts
    return usable_table(origin, columns, description["unsupported"], None)


def _decode_elsewhere(content: bytes, origin: str) -> tuple[dict[str, Any], memoryview]:
    """Run `decode` on `content` in a new process; return the JSON object and the numbers."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DECODER, json.dumps(sys.path)],
            input=content,
            capture_output=True,
            env={**os.environ, "RUST_BACKTRACE": "0"},
            timeout=_SECONDS + len(content) / _BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"{origin}: Parquet: decoding does not end, damaged") from error
    if done.returncode < 0:
        raise FormatError(
            f"{origin}: Parquet: is damaged, the decoder ended with signal {-done.returncode}"
        )
    if done.returncode > 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RuntimeError(f"{origin}: the Parquet decoder cannot be run: {lines[-1]}")
    header, _, _ = done.stdout.partition(b"\n")
    return json.loads(header), memoryview(done.stdout)[len(header) + 1 :]


# ---------------------------------------------------------------- in the other process


def decode(source: Any, sink: Any) -> None:
    """Decode a Parquet file into a line of JSON and the numbers of all columns.

    Parameters
    ----------
    source, sink : binary streams
        The file, and where to write. The JSON object has the key "error", or else "rows",
        "unsupported" and "columns", which maps names to lists of texts, or to null for columns of
        numbers. The numbers follow as float64 in native byte order, column after column.
    """
    polars = require("data", "polars")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    content = source.read()
    numbers: list[Column] = []
    description: dict[str, Any]
    try:
        description = _describe(polars, content, numbers)
    except FormatError as error:
        description = {"error": str(error)}
    except (polars.exceptions.PolarsError, OSError, ValueError) as error:
        description = {"error": f"Parquet: {_first_line(error)}"}
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # polars raises it when Rust panics
            raise
        description = {"error": f"Parquet: is damaged: {_first_line(error)}"}
    sink.write(json.dumps(description).encode() + b"\n")
    for column in numbers:
        sink.write(column.tobytes())


def _describe(polars: Any, content: bytes, numbers: list[Column]) -> dict[str, Any]:
    schema = polars.read_parquet_schema(content)
    unsupported = {name: kind for name in schema if (kind := unsupported_type(schema[name]))}
    rows = polars.scan_parquet(content).select(polars.len()).collect().item()
    if rows == 0:
        raise FormatError("row count: is 0, there is nothing to read")
    if rows * len(schema) > _MOST_CELLS_PER_BYTE * len(content):
        raise FormatError(
            f"row count: {rows} rows of {len(schema)} columns are too many for {len(content)} bytes"
        )
    require_ratio("row count", len(content), rows * len(schema) * 8)
    for name in schema:
        if not name.strip():
            raise FormatError(f"column {list(schema).index(name) + 1}: has no name")
    usable = [name for name in schema if name not in unsupported]
    columns: dict[str, list[str | None] | None] = {}
    texts = 0
    for series in polars.read_parquet(content, columns=usable) if usable else ():
        # A dictionary stores a text once, so that a small file can hold it any number of times.
        texts += _text_bytes(polars, series)
        require_ratio(f"column {series.name!r}", len(content), texts)
        try:
            values = column_of_values(series)
        except UnusableColumn as fault:
            unsupported[series.name] = f"{fault.kind} ({place(fault.row, None)}: {fault.value})"
            continue
        if isinstance(values, list):
            columns[series.name] = values
        else:
            columns[series.name] = None
            numbers.append(values)
    return {"rows": rows, "unsupported": unsupported, "columns": columns}


def _text_bytes(polars: Any, series: Any) -> int:
    """Return the number of bytes of all texts of a column."""
    if series.dtype.is_numeric() or series.dtype in (polars.Boolean, polars.Null):
        return 0
    return int(series.cast(polars.String).str.len_bytes().sum() or 0)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
