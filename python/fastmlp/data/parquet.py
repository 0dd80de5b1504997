"""Parquet tables and Arrow files (Feather), read by polars in a process of its own.

A damaged file can make the decoder request more memory than any machine has, which aborts its
process. The separate process keeps this one alive. It writes some columns at a time to a file, as
Arrow, from which this process takes them, so that neither holds the table twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from fastmlp._bytes import most_bytes_from, require_ratio
from fastmlp._files import open_regular_file
from fastmlp.data.content import Content
from fastmlp.data.table import Reading, Table
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = [
    "ARROW_MAGIC",
    "MAGIC",
    "STREAM_MAGIC",
    "decode",
    "index_columns",
    "plain_cells",
    "read_arrow",
    "read_parquet",
]

MAGIC = b"PAR1"
ARROW_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
_FEATHER_1_MAGIC = b"FEA1"

# Run-length coding has no limit for a column of one value. Common writers begin new runs so often
# that they stay below half of this; files beyond it were made to fill the memory.
_MOST_CELLS_PER_BYTE = 1024
_SECONDS = 60.0
_BYTES_PER_SECOND = 1e6
# What the decoder may take besides the columns: polars, its threads and buffers.
_SPARE_BYTES = 1 << 32
_PART_BYTES = 1 << 23
_MOST_METADATA_BYTES = 1 << 26
_INDEX_LEVEL = "__index_level_"

_DECODER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from fastmlp.data.parquet import decode
decode(*json.loads(sys.argv[2]), sys.stdout)
"""


def read_parquet(source: bytes | Content, origin: str, reading: Reading | None = None) -> Table:
    """Read a table from a Parquet file.

    Parameters
    ----------
    source : bytes or Content
        The file.
    origin : str
        Name of the file for messages.
    reading : Reading, optional
        Only `wanted` has a meaning here.

    Returns
    -------
    Table
        Columns have the types of the file, except that categories become text and decimal numbers
        float64. Columns that pandas wrote for its index are named in `index`.

    Raises
    ------
    FormatError
        The file is damaged, has no rows, or has a column without a name.
    """
    content = Content(origin, data=source) if isinstance(source, bytes) else source
    size, head, tail = _ends(content)
    if size < 12 or not head.startswith(MAGIC) or not tail.endswith(MAGIC):
        raise FormatError(f"{origin}: magic: must be PAR1 at both ends; cut off or no Parquet file")
    footer = int.from_bytes(tail[-8:-4], "little")
    if footer > size - 12:
        raise FormatError(f"{origin}: footer: has {footer} bytes, the file {size}")
    return _read(content, origin, reading or Reading(), "Parquet")


def read_arrow(source: bytes | Content, origin: str, reading: Reading | None = None) -> Table:
    """Read a table from an Arrow file or stream; parameters and results of `read_parquet`."""
    content = Content(origin, data=source) if isinstance(source, bytes) else source
    size, head, tail = _ends(content)
    if head.startswith(_FEATHER_1_MAGIC):
        raise FormatError(f"{origin}: magic: is Feather of version 1; write it as version 2")
    if head.startswith(STREAM_MAGIC):
        return _read(content, origin, reading or Reading(), "Arrow stream")
    if size < 24 or not head.startswith(ARROW_MAGIC) or not tail.endswith(ARROW_MAGIC):
        raise FormatError(f"{origin}: magic: must be ARROW1 at both ends; cut off or no Arrow file")
    return _read(content, origin, reading or Reading(), "Arrow")


def _ends(content: Content) -> tuple[int, bytes, bytes]:
    """Return the size of a file, its first and its last bytes."""
    if content.path is None:
        data = content.raw()
        return len(data), data[:16], data[-16:]
    with open_regular_file(content.path) as (stream, size):
        head = stream.read(16)
        stream.seek(max(size - 16, 0))
        return size, head, stream.read(16)


def _read(content: Content, origin: str, reading: Reading, kind: str) -> Table:
    polars = require("data", "polars")
    with tempfile.TemporaryDirectory(prefix="fastmlp-") as folder:
        path = content.path
        if path is None:
            path = os.path.join(folder, "source")
            with open(path, "wb") as stream:
                stream.write(content.raw())
        wanted = None if reading.wanted is None else sorted(reading.wanted)
        description = _decode_elsewhere([path, kind, folder, wanted], path, origin, kind)
        if "error" in description:
            raise FormatError(f"{origin}: {description['error']}")
        columns = {}
        for part in range(description["parts"]):
            part_path = os.path.join(folder, f"{part}.arrow")
            source: Any = part_path
            if sys.platform == "win32":  # removes no file that polars has mapped
                with open(part_path, "rb") as stream:
                    source = stream.read()
            for series in polars.read_ipc(source).get_columns():
                columns[series.name] = series
            os.unlink(part_path)
    index = tuple(name for name in description["index"] if name in columns)
    notes = tuple(
        f"index: column {name!r} numbers the rows of the frame that was written and is no feature"
        for name in index
    )
    return Table(origin, columns, index=index, notes=notes, names=tuple(description["names"]))


def _decode_elsewhere(arguments: list[Any], path: str, origin: str, kind: str) -> dict[str, Any]:
    """Run `decode` in a new process and return what it says."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DECODER, json.dumps(sys.path), json.dumps(arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "RUST_BACKTRACE": "0"},
            timeout=_SECONDS + os.path.getsize(path) / _BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"{origin}: {kind}: decoding does not end, damaged") from error
    if done.returncode < 0:
        raise FormatError(
            f"{origin}: {kind}: is damaged, the decoder ended with signal {-done.returncode}"
        )
    if done.returncode > 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RuntimeError(f"{origin}: the {kind} decoder cannot be run: {lines[-1]}")
    description: dict[str, Any] = json.loads(done.stdout)
    return description


# ---------------------------------------------------------------- in the other process


def decode(path: str, kind: str, folder: str, wanted: list[str] | None, sink: Any) -> None:
    """Decode a file into files with some of its columns each.

    Parameters
    ----------
    path : str
        The file.
    kind : {"Parquet", "Arrow", "Arrow stream"}
        Format of the file.
    folder : str
        Directory in which 0.arrow, 1.arrow, ... are written.
    wanted : list of str or None
        Columns that are needed, as far as the file has them; None: all.
    sink : text stream
        Where to write a JSON object with the key "error", or else "parts", the number of files
        written, and "index", the columns of an index of pandas.
    """
    polars = require("data", "polars")
    _limit_memory(path)
    try:
        description = _write_parts(polars, path, kind, folder, wanted)
    except FormatError as error:
        description = {"error": str(error)}
    except (polars.exceptions.PolarsError, OSError, ValueError) as error:
        description = {"error": f"{kind}: {_first_line(error)}"}
    except MemoryError:
        description = {"error": f"{kind}: is damaged: asks for more memory than it can fill"}
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # polars raises it when Rust panics
            raise
        description = {"error": f"{kind}: is damaged: {_first_line(error)}"}
    sink.write(json.dumps(description))


def _limit_memory(path: str) -> None:
    """End this process, instead of others, if the file makes it take more than it can need.

    Windows has no such limits, and macOS does not keep that of memory; there the declared sizes,
    which are checked before anything is decoded, and the time limit must do.
    """
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = most_bytes_from(os.path.getsize(path))
    for limit, size in (
        (resource.RLIMIT_AS, 4 * most + _SPARE_BYTES),
        (resource.RLIMIT_FSIZE, 2 * most),
    ):
        _, hard = resource.getrlimit(limit)
        if hard == resource.RLIM_INFINITY or size < hard:
            with contextlib.suppress(
                ValueError
            ):  # macOS refuses a limit below what it maps already
                resource.setrlimit(limit, (size, hard))


def _write_parts(
    polars: Any, path: str, kind: str, folder: str, wanted: list[str] | None
) -> dict[str, Any]:
    size = os.path.getsize(path)
    frame: Any = None
    if kind == "Parquet":
        schema = polars.read_parquet_schema(path)
        rows = polars.scan_parquet(path).select(polars.len()).collect().item()
    elif kind == "Arrow":
        schema = polars.read_ipc_schema(path)
        rows = polars.scan_ipc(path).select(polars.len()).collect().item()
    else:
        frame = polars.read_ipc_stream(path)
        schema, rows = frame.schema, len(frame)
    names = list(schema)
    if rows == 0 or not names:
        raise FormatError("row count: is 0, there is nothing to read")
    if rows * len(names) > _MOST_CELLS_PER_BYTE * size:
        raise FormatError(
            f"row count: {rows} rows of {len(names)} columns are too many for {size} bytes"
        )
    require_ratio("row count", size, rows * len(names) * 8)
    for at, name in enumerate(names, 1):
        if not name.strip():
            raise FormatError(f"column {at}: has no name")
    needed = [name for name in names if wanted is None or name in wanted] or names
    step = max(1, _PART_BYTES // (8 * rows))
    bytes_so_far = 0
    for part, start in enumerate(range(0, len(needed), step)):
        some = needed[start : start + step]
        if frame is not None:
            read = frame.select(some)
        elif kind == "Parquet":
            read = polars.read_parquet(path, columns=some)
        else:
            read = polars.read_ipc(path, columns=some)
        columns = []
        for series in read.get_columns():
            # A dictionary stores a text once, so that a small file can hold it any number of times.
            bytes_so_far += _held_bytes(polars, series)
            require_ratio(f"column {series.name!r}", size, bytes_so_far)
            columns.append(plain_cells(polars, series))
        polars.DataFrame(columns).write_ipc(os.path.join(folder, f"{part}.arrow"))
    parts = len(range(0, len(needed), step))
    index = index_columns(polars, path, kind, names)
    return {"parts": parts, "names": names, "index": index}


def plain_cells(polars: Any, series: Any) -> Any:
    """Return categories as text and decimal numbers as float64; the others as they are."""
    if series.dtype in (polars.Categorical, polars.Enum):
        return series.cast(polars.String)
    return series.cast(polars.Float64) if series.dtype.is_decimal() else series


def _held_bytes(polars: Any, series: Any) -> int:
    """Return the number of bytes of text, bytes or lists of a column."""
    if series.dtype in (polars.Categorical, polars.Enum, polars.String):
        return int(series.cast(polars.String).str.len_bytes().sum() or 0)
    if series.dtype == polars.Binary:
        return int(series.bin.size().sum() or 0)
    return int(series.estimated_size()) if series.dtype.is_nested() else 0


def index_columns(polars: Any, path: str, kind: str, names: list[str]) -> list[str]:
    """Return the columns that hold the index of a pandas frame."""
    index = {name for name in names if name.startswith(_INDEX_LEVEL)}
    if kind == "Parquet":
        text = polars.read_parquet_metadata(path).get("pandas", "")
    else:
        # Metadata stand as text in the schema, with which the file begins.
        with open(path, "rb") as stream:
            head = stream.read(_MOST_METADATA_BYTES).decode("utf-8", "ignore")
        text = head[at:] if (at := head.find('{"index_columns"')) >= 0 else ""
    try:
        described, _ = json.JSONDecoder().raw_decode(text)
        index.update(name for name in described["index_columns"] if isinstance(name, str))
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return [name for name in names if name in index]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
