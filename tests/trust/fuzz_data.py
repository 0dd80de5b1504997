"""Damaged files of data: arrays, tables, pictures."""

from __future__ import annotations

import csv
import gzip
import io
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp import FormatError
from fastmlp.data import Table, read, read_samples
from trust import small_files
from trust.experiment import require
from trust.mutate import damaged, damaged_gzip, damaged_zip
from trust.small_files import scratch_file

_NAMES = {
    "idx": "f-ubyte", "idx_gz": "f-ubyte.gz", "npy": "f.npy", "npz": "f.npz", "csv": "f.csv",
    "tsv": "f.tsv", "csv_gz": "f.csv.gz", "parquet": "f.parquet",
}  # fmt: skip
_SAMPLES = ("idx", "idx_gz", "npy")

# ---------------------------------------------------------------- arrays


def _numpy_value(content: bytes) -> Any:
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:
        return error


def _read(kind: str, content: bytes) -> Any:
    path = scratch_file(_NAMES[kind], content)
    try:
        return (read_samples if kind in _SAMPLES else read)(str(path))
    except FormatError as error:
        require(str(error).startswith(f"{path}: "), f"the message does not name it: {error}")
        require(
            content not in small_files.valid_files(kind),
            f"a valid file was refused: {error}",
        )
        return None


def _require_rows(found: Any, wanted: Any) -> None:
    """Samples as fastmlp keeps them, one row each, against an array as another reader has it."""
    require(isinstance(wanted, np.ndarray), f"accepted, and by another reader refused: {wanted}")
    rows = np.asarray(wanted).reshape(len(wanted), -1)
    require(found.shape == rows.shape, f"shape {found.shape}, not {rows.shape}")
    require(np.array_equal(found, rows.astype(found.dtype)), "other values")


def _array_case(
    seed: int, kind: str, damage: Callable[..., bytes], value: Callable[[bytes], Any]
) -> None:
    """A damaged file of one array: what is accepted is what `value` reads."""
    chance = random.Random(seed)
    changed = damage(chance, *small_files.pick(chance, kind))
    found = _read(kind, changed)
    if found is not None:
        _require_rows(found, value(changed))


def npy_case(seed: int) -> None:
    _array_case(seed, "npy", damaged, _numpy_value)


def npz_case(seed: int) -> None:
    chance = random.Random(seed)
    changed = damaged_zip(chance, *small_files.pick(chance, "npz"))
    found = _read("npz", changed)
    if found is None:
        return
    if not changed.startswith(b"PK\x03\x04"):
        return  # an archive with something in front: NumPy takes it for a pickle
    archive = _numpy_value(changed)
    require(isinstance(archive, np.lib.npyio.NpzFile), f"refused by another reader: {archive}")
    train = next((n for n in ("x", "X", "x_train", "X_train") if n in archive.files), None)
    require(train is not None, f"accepted without samples: {archive.files}")
    _require_rows(found.train.x, archive[train])


_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _idx_value(content: bytes) -> Any:
    """The format in four lines, after its description."""
    dtype = np.dtype(_IDX_TYPES[content[2]])
    shape = np.frombuffer(content, ">u4", content[3], 4).astype(int)
    return np.frombuffer(content, dtype, -1, 4 + 4 * content[3]).reshape(shape)


def idx_case(seed: int) -> None:
    _array_case(seed, "idx", damaged, _idx_value)


def idx_gz_case(seed: int) -> None:
    _array_case(seed, "idx_gz", damaged_gzip, lambda content: _idx_value(gzip.decompress(content)))


# ---------------------------------------------------------------- tables


def _require_cells(found: Table, text: bytes, separator: str) -> None:
    """Every value against the csv module's."""
    lines = io.StringIO(text.decode("utf-8-sig"), newline="")
    rows = list(csv.reader(lines, delimiter=separator, strict=True))
    while not rows[0] or rows[0] == [""]:
        del rows[0]
    if len(rows[0]) > 1:  # lines of blanks do not count
        rows = [row for row in rows if len(row) > 1 or "".join(row).strip()]
    while not rows[-1]:
        del rows[-1]
    require(len(rows) - 1 == len(found), f"{len(found)} rows, not {len(rows) - 1}")
    for name, column in found.columns.items():
        at = rows[0].index(name)
        for value, row in zip(column.to_list(), rows[1:], strict=True):
            wanted = row[at] if row else ""
            require(value == wanted, f"{value!r} of {wanted!r}")


def _table_case(kind: str, seed: int, separator: str | None) -> None:
    chance = random.Random(seed)
    change = damaged_gzip if kind == "csv_gz" else damaged
    changed = change(chance, *small_files.pick(chance, kind))
    found = _read(kind, changed)
    if found is None:
        return
    text = gzip.decompress(changed) if kind == "csv_gz" else changed
    table = found.train.x
    require(isinstance(table, Table), f"a {type(table).__name__}, not a table")
    if table.notes or text.startswith((b"\xff\xfe", b"\xfe\xff", b"sep=", b'"sep=')):
        return  # what the reader decided is not what the csv module would have
    if separator is None:
        first = text.split(b"\n")[0].split(b"\r")[0].decode("utf-8-sig")
        separator = max(",;\t|", key=first.count)
        if '"' in first or sum(first.count(s) > 0 for s in ",;\t|") != 1:
            return  # which one it is, is the reader's choice
    _require_cells(table, text, separator)


def csv_case(seed: int) -> None:
    _table_case("csv", seed, None)


def csv_gz_case(seed: int) -> None:
    _table_case("csv_gz", seed, None)


def tsv_case(seed: int) -> None:
    _table_case("tsv", seed, "\t")


def parquet_case(seed: int) -> None:
    """Decoded in a process of its own, which may die; what comes back has the shape it claims."""
    chance = random.Random(seed)
    changed = damaged(chance, *small_files.pick(chance, "parquet"))
    found = _read("parquet", changed)
    if found is not None:
        table = found.train.x
        sizes = {len(column) for column in table.columns.values()}
        require(sizes == {len(table)}, f"columns of {sizes} rows")


def images_case(seed: int) -> None:
    """A folder of two classes, one picture of it damaged."""
    chance = random.Random(seed)
    content, other = small_files.pick(chance, "images")
    with tempfile.TemporaryDirectory(dir=small_files.SCRATCH) as folder:
        for label, picture in (("b", content), ("a", damaged(chance, content, other))):
            directory = Path(folder) / label
            directory.mkdir()
            (directory / "p.png").write_bytes(picture)
        try:
            found = read(folder)
        except FormatError as error:
            require(folder in str(error), f"the message does not name it: {error}")
            require(picture != content, f"a valid picture was refused: {error}")
            return
        require(found.train.x.shape[0] == 2, f"{found.train.x.shape} of two pictures")
        require(found.train.x.dtype == np.uint8, f"{found.train.x.dtype}")


# ---------------------------------------------------------------- planted faults


def _plant_wrong_value(module_name: str, name: str) -> None:
    """A reader that loses the last byte of what it is given."""
    import importlib

    module = importlib.import_module(module_name)
    original = getattr(module, name)

    def wrong(*arguments: Any, **options: Any) -> Any:
        value = original(*arguments, **options)
        if isinstance(value, np.ndarray) and value.size:
            value = value.copy()
            value.flat[-1] += 1
        return value

    setattr(module, name, wrong)


def plant_npy() -> None:
    _plant_wrong_value("fastmlp.data.numpy_files", "map_npy")


def plant_idx() -> None:
    _plant_wrong_value("fastmlp.datasets.idx", "parse_idx")


def plant_npz() -> None:
    """Members are trusted to be what they say: NumPy's own errors come through."""
    from fastmlp.data import numpy_files as module

    original = module.parse_npz

    def careless(content: bytes, *arguments: Any) -> Any:
        np.load(io.BytesIO(content)).files  # noqa: B018
        return original(content, *arguments)

    module.parse_npz = careless


def plant_memory() -> None:
    """A reader that takes memory by what the file claims."""
    from fastmlp.datasets import idx as module

    original = module.gunzip_idx

    def greedy(content: bytes, *arguments: Any) -> Any:
        bytearray(1 << 30)
        return original(content, *arguments)

    module.gunzip_idx = greedy


def plant_hang() -> None:
    """A reader of text that never ends where a quote is open."""
    from fastmlp.data import delimited as module

    original = module.read_delimited

    def endless(files: Any, *arguments: Any, **options: Any) -> Any:
        while files[0].raw().count(b'"') % 2:
            pass
        return original(files, *arguments, **options)

    module.read_delimited = endless


def plant_lost_row() -> None:
    """A reader of text that leaves out the last row."""
    from fastmlp.data import delimited as module

    original = module.read_delimited

    def short(files: Any, *arguments: Any, **options: Any) -> Any:
        lines = b"".join(files[0].blocks()).rstrip(b"\r\n").splitlines(keepends=True)
        return original(b"".join(lines[:-1]), *arguments, **options)

    module.read_delimited = short


def plant_death() -> None:
    """A reader that is ended by a signal where the content is not to its liking."""
    import os
    import signal

    from fastmlp.data import parquet

    original = parquet.read_parquet

    def deadly(*arguments: Any) -> Any:
        try:
            return original(*arguments)
        except FormatError:
            os.kill(os.getpid(), signal.SIGSEGV)
            raise

    parquet.read_parquet = deadly


def plant_pillow() -> None:
    """The library's own errors come through."""
    from fastmlp.data import images

    def bare(content: bytes, path: str) -> Any:
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(content)))

    images._decode = bare
