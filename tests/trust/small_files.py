"""Small valid files of every kind that fastmlp reads, a few of each, always the same."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp.data import Options, Part, Preprocessing, RawData, Table, prepare
from fastmlp.datasets.idx import build_idx
from support.hostile_files import npy, npz, parquet, png
from support.small_checkpoint import checkpoint_of
from trust.small import Problem

SCRATCH = Path(tempfile.gettempdir())
_RNG = np.random.default_rng(5)


def scratch_file(name: str, content: bytes) -> Path:
    path = SCRATCH / name
    path.write_bytes(content)
    return path


def _written(write: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


def table() -> Table:
    columns = {
        "size": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        "hue": np.array(["red", "blue", "red", "blue", "red", "green"], object),
        "kind": np.array(["a", "b", "a", "b", "a", "b"], object),
    }
    return Table("t.csv", columns, 2)


def prepared_model() -> fastmlp.MLP:
    """A model with preprocessing of numbers and categories."""
    raw = RawData("t", Part(table(), None), None, None, None, None, None, {})
    options = Options(target=("kind",), test_fraction=0.0, validation_fraction=0.0)
    prepared = prepare(raw, options)
    pre: Preprocessing = prepared.preprocessing
    model = fastmlp.MLP([pre.features, 3, pre.outputs], seed=2)
    model.preprocessing = pre
    model.fit(prepared.train.x, prepared.train.y, epochs=2, verbose=0)
    return model


def _models() -> list[bytes]:
    problem = Problem(1, hidden=(4,))
    other = fastmlp.MLP([3, 2], loss=[fastmlp.Huber(outputs=1), fastmlp.MAE(outputs=1)], seed=3)
    return [_written(m.save) for m in (problem.trained(), prepared_model(), other)]


def _checkpoints() -> list[bytes]:
    return [_written(checkpoint_of(epochs).save) for epochs in (1, 3)]


def _idx() -> list[bytes]:
    return [
        build_idx(_RNG.integers(0, 256, (4, 3, 2), dtype=np.uint8)),
        build_idx(_RNG.integers(0, 256, (7, 1), dtype=np.uint8)),
        bytes((0, 0, 13, 2, 0, 0, 0, 2, 0, 0, 0, 3))
        + _RNG.standard_normal(6).astype(">f4").tobytes(),
    ]


def _npy() -> list[bytes]:
    return [
        npy(_RNG.standard_normal((3, 2))),
        npy(np.asfortranarray(_RNG.standard_normal((3, 2)).astype(np.float32))),
        npy(_RNG.integers(0, 9, (4, 2, 2)).astype(np.uint8)),
        npy(_RNG.standard_normal((2, 3)).astype(">f8")),
    ]


def _npz() -> list[bytes]:
    x, y = _RNG.standard_normal((6, 3)), np.arange(6) % 2
    return [npz(x=x, y=y), npz(x_train=x, y_train=y.astype(str), x_test=x, y_test=y.astype(str))]


_CSV = [
    b'size,hue,kind\n1.5,red,a\n2,"blue, dark",b\n,red,a\n4e3,green,b\n',
    b"a;b;label\r\n1;2;x\r\n3;4;y\r\n5;6;x\r\n",
    b"a,b\n" + b"".join(b"%d,%d.25\n" % (i, i * i) for i in range(40)),
]
_TSV = [text.replace(b",", b"\t").replace(b";", b"\t") for text in _CSV]


def _parquet() -> list[bytes]:
    return [
        parquet(a=[1.5, 2.5, None, 4.0], b=["x", "y", "z", "x"]),
        parquet(a=list(range(30)), b=[i % 2 == 0 for i in range(30)]),
    ]


def _images() -> list[bytes]:
    from PIL import Image

    files = [png(4, 3), png(4, 3, 3)]
    picture = Image.fromarray(_RNG.integers(0, 256, (4, 3), dtype=np.uint8))
    for form in ("PNG", "JPEG", "BMP"):
        stream = io.BytesIO()
        picture.save(stream, form)
        files.append(stream.getvalue())
    return files


_SETTINGS = b"""[data]
source = "moons"
validation_fraction = 0.2

[network]
hidden = [16, 8]
activation = "relu"
dropout = 0.1

[optimizer]
name = "adam"
learning_rate = 0.01

[schedule]
name = "plateau"
patience = 2

[training]
epochs = 3
batch_size = 32
"""
_RESULT: dict[str, Any] = {
    "status": "completed", "dataset": "moons", "selected": "best", "epochs_completed": 3,
    "evaluated_on": "test", "test": {"loss": 0.25, "accuracy": 0.9}, "best_epoch": 2,
}  # fmt: skip
_RECORDS = b"".join(
    json.dumps({"epoch": e, "epochs": 3, "loss": 1 / e, "seconds": 0.1, "accuracy": 0.5}).encode()
    + b"\n"
    for e in (1, 2, 3)
)
_SEARCH = {
    "dimensions": ["optimizer.learning_rate=0.0001..0.3:log", "network.hidden=16|32|32,16"],
    "trials": 8,
    "seed": 3,
    "prune": True,
    "data_sha256": {"moons": "0" * 64},
}


@functools.cache
def valid_files(kind: str) -> tuple[bytes, ...]:
    """The files of a kind; their bytes depend on nothing but fastmlp."""
    global _RNG
    _RNG = np.random.default_rng(5)
    makers: dict[str, Any] = {
        "model": _models, "checkpoint": _checkpoints, "idx": _idx, "npy": _npy, "npz": _npz,
        "parquet": _parquet, "images": _images,
        "idx_gz": lambda: [gzip.compress(content, mtime=0) for content in _idx()],
        "csv": lambda: _CSV, "tsv": lambda: _TSV,
        "csv_gz": lambda: [gzip.compress(content, mtime=0) for content in _CSV],
        "settings": lambda: [_SETTINGS],
        "result": lambda: [json.dumps(_RESULT).encode()],
        "records": lambda: [_RECORDS],
        "search": lambda: [json.dumps(_SEARCH).encode()],
    }  # fmt: skip
    return tuple(makers[kind]())


def pick(chance: random.Random, kind: str) -> tuple[bytes, bytes]:
    """A valid file of a kind, and another to splice it with."""
    files = valid_files(kind)
    return chance.choice(files), chance.choice(files)
