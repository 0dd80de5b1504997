"""Files that claim, or grow to, more than their bytes can be: refused in little time and memory."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest

import fastmlp
from fastmlp._bytes import ALWAYS_ALLOWED_BYTES, MOST_RATIO
from fastmlp.datasets.idx import build_idx
from fastmlp.model_file import write_model
from support.hostile_files import png

pytest.importorskip("polars")

MOST_MEGABYTES = 160
MOST_SECONDS = 10.0

# Reads a file in a process of its own, whose memory is watched from the moment it can read.
CHILD = """
import json, resource, sys, time
import numpy, fastmlp
from fastmlp.data import read, read_samples
from fastmlp.experiment.checkpoint import Checkpoint
import polars, PIL.Image, fastmlp.data.delimited, fastmlp.data.images, fastmlp.data.parquet
import fastmlp.stored_model, fastmlp.data.numpy_files, pathlib
fastmlp.MLP([2, 2]).forward([[1.0, 2.0]])
reader = {"load": fastmlp.load, "read": read, "samples": read_samples,
          "checkpoint": lambda path: Checkpoint.load(pathlib.Path(path))}[sys.argv[1]]
megabytes = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = megabytes(), time.perf_counter()
try:
    reader(sys.argv[2])
    said = "accepted"
except fastmlp.FormatError as error:
    said = str(error)
print(json.dumps([said, megabytes() - before, time.perf_counter() - start]))
"""


def model_file(path, sizes, tensors, **config):
    write_model(
        path,
        {name: np.zeros(shape, np.float32) for name, shape in tensors.items()},
        {"layer_sizes": sizes, "loss": "mse", "dtype": "float32", **config},
    )


def claimed_layers(path):
    model_file(path, [20_000, 16_384, 2], {"layers.0.biases": (2,)})


def claimed_layers_and_all_names(path):
    names = ["layers.0.weights", "layers.0.biases", "layers.1.weights", "layers.1.biases"]
    model_file(path, [20_000, 16_384, 2], dict.fromkeys(names, (1,)))


def claimed_outputs(path):
    model_file(path, [2, 1 << 29], {"layers.0.weights": (2, 2), "layers.0.biases": (2,)})


def claimed_depth(path):
    model_file(path, [1] * 60_000, {"layers.0.weights": (1, 1), "layers.0.biases": (1,)})


def claimed_normalization(path):
    model_file(
        path,
        [2, 1 << 28, 2],
        {"layers.0.weights": (2, 2), "layers.0.biases": (2,), "layers.0.scales": (2,)},
        batch_normalization=True,
    )


_PAIR = {"layers.0.weights": (2, 2), "layers.0.biases": (2,)}


def claimed_input_levels(path):
    model_file(path, [2, 2], _PAIR, inputs=[{"kind": "one_hot", "levels": 1 << 24}] * 2)


def claimed_input_table(path):
    group = {"kind": "category", "levels": 1 << 24, "size": 1 << 40}
    model_file(path, [1, 2], _PAIR, inputs=[group])


def claimed_input_columns(path):
    bins = {"kind": "piecewise_linear", "edges": [[0.0, 1.0, 2.0]], "outputs": 1 << 20}
    group = {"kind": "numbers", "columns": 1 << 30, "embedding": bins}
    model_file(path, [1 << 30, 2], _PAIR, inputs=[group])


def claimed_input_bases(path):
    embedding = {"kind": "periodic", "bases": 1 << 40, "outputs": 0}
    group = {"kind": "numbers", "columns": 1, "embedding": embedding}
    model_file(path, [1, 2], _PAIR, inputs=[group])


def claimed_input_groups(path):
    model_file(path, [25_000, 2], _PAIR, inputs=[{"kind": "category", "levels": 9}] * 25_000)


def claimed_members(path):
    sizes = [2, 1 << 13, 1 << 13, 2]
    names = ("layers.0.weights", "layers.0.biases", "layers.1.weights")
    model_file(path, sizes, dict.fromkeys(names, (2, 2)), members=1 << 16, sharing="packed")


def claimed_features_of_preprocessing(path):
    from fastmlp.data import Preprocessing

    known = Preprocessing(task="regression", features=2, target_names=("y",))
    config = {**known.config(), "features": 1 << 30}
    tensors = {"layers.0.weights": (2, 1), "layers.0.biases": (1,)}
    model_file(path, [2, 1], tensors, preprocessing=config)


def claimed_image_of_preprocessing(path):
    from fastmlp.data import Preprocessing

    known = Preprocessing(task="regression", features=2, target_names=("y",))
    config = {**known.config(), "image_shape": [1 << 15, 1 << 15], "features": 1 << 30}
    tensors = {"layers.0.weights": (2, 1), "layers.0.biases": (1,)}
    model_file(path, [2, 1], tensors, preprocessing=config)


def claimed_epochs(path):
    config = {"epoch": 10**12, "best_epoch": 0, "training_state": None}
    write_model(path, {"records.loss": np.zeros(1)}, config, kind="fastmlp-checkpoint")


def claimed_header(path):
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")


def npy_header(shape, descr="<f8"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def claimed_npy(path):
    path.write_bytes(npy_header("(1000000, 100000)") + bytes(80))


def claimed_npz(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_header("(1000000, 100000)") + bytes(80))
        archive.writestr("y.npy", npy_header("(1000000,)") + bytes(80))


def claimed_text_npz(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_header("(2,)", "<U999999999"))


def grown_npz(path):
    with path.open("wb") as file:
        np.savez_compressed(file, x=np.zeros((400, 100_000)), y=np.zeros(400, np.int64))


def claimed_idx(path):
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 1 << 31, 1 << 10, 1 << 10) + bytes(9))


def grown_idx(path):
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">BBBBII", 0, 0, 8, 2, 300_000, 1000))
        for _ in range(300):
            file.write(bytes(1_000_000))


def grown_csv(path):
    with gzip.open(path, "wb") as file:
        file.write(b"a,y\n")
        for _ in range(100):
            file.write(b"0,0\n" * 1_000_000)


def wide_csv(path):
    path.write_bytes(b"a," * 500_000 + b"y\n1\n")


def ragged_csv(path):
    path.write_bytes(b"a,y\n1,2\n" + b"1," * 2_000_000 + b"1\n")


def repeated_parquet(path):
    import polars

    polars.DataFrame({"a": ["x" * 20_000] * 20_000, "y": [1] * 20_000}).write_parquet(path)


def constant_parquet(path):
    import polars

    columns = {f"c{i}": np.zeros(300_000) for i in range(40)}
    polars.DataFrame(columns).write_parquet(path, row_group_size=300_000, compression="zstd")


def grown_images(path):
    for name in ("a", "b"):
        folder = path / name
        folder.mkdir(parents=True)
        for i in range(30):
            (folder / f"{i}.png").write_bytes(png(4000, 4000))


def claimed_image(path):
    folder = path / "a"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(png(60_000, 60_000, pixels=False))


CASES = [
    ("load", "m.fastmlp", claimed_layers, "layers.0.weights is missing"),
    ("load", "m.fastmlp", claimed_layers_and_all_names, "layers.0.weights must have shape"),
    ("load", "m.fastmlp", claimed_outputs, "layers.0.weights must have shape"),
    ("load", "m.fastmlp", claimed_depth, "layers.1.weights is missing"),
    ("load", "m.fastmlp", claimed_normalization, "layers.0.weights must have shape"),
    ("load", "m.fastmlp", claimed_input_levels, "layers.0.weights must have shape (33554432, 2)"),
    ("load", "m.fastmlp", claimed_input_table, "must have shape"),
    ("load", "m.fastmlp", claimed_input_columns, "must have shape"),
    ("load", "m.fastmlp", claimed_input_bases, "must have shape"),
    ("load", "m.fastmlp", claimed_input_groups, "must have shape"),
    ("load", "m.fastmlp", claimed_members, "must have shape (65536, 2, 8192)"),
    ("load", "m.fastmlp", claimed_features_of_preprocessing, "preprocessing"),
    ("load", "m.fastmlp", claimed_image_of_preprocessing, ""),
    ("load", "m.fastmlp", claimed_header, "header"),
    ("checkpoint", "c.safetensors", claimed_epochs, "records: must be"),
    ("samples", "x.npy", claimed_npy, "truncated"),
    ("read", "x.npz", claimed_npz, "truncated"),
    ("read", "x.npz", claimed_text_npz, ": x: "),
    ("read", "x.npz", grown_npz, "decompressed size"),
    ("samples", "x.idx", claimed_idx, "truncated"),
    ("samples", "x.idx.gz", grown_idx, "decompressed size"),
    ("read", "x.csv.gz", grown_csv, "decompressed size"),
    ("read", "x.csv", wide_csv, ""),
    ("read", "x.csv", ragged_csv, "line 3"),
    ("read", "x.parquet", repeated_parquet, "decompressed size"),
    ("read", "x.parquet", constant_parquet, "decompressed size"),
    ("read", "images", grown_images, "decompressed size"),
    ("read", "images", claimed_image, "pixels"),
]


@pytest.mark.parametrize(
    ("reader", "name", "make", "message"), CASES, ids=[case[2].__name__ for case in CASES]
)
def test_claims_are_compared_with_the_bytes(tmp_path, reader, name, make, message):
    path = tmp_path / name
    make(path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, reader, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, megabytes, seconds = json.loads(done.stdout)
    assert said != "accepted"
    assert str(path) in said
    assert message in said
    assert megabytes < MOST_MEGABYTES, said
    assert seconds < MOST_SECONDS, said


def test_the_message_names_file_ratio_limit_and_cure(tmp_path):
    path = tmp_path / "x.npz"
    grown_npz(path)
    with pytest.raises(fastmlp.FormatError) as caught:
        fastmlp.data.read(str(path))
    said = str(caught.value)
    for part in (str(path), "10", str(MOST_RATIO), "16 MiB", "without compression"):
        assert part in said


# ---------------------------------------------------------------- what is still read


def sparse_images(count):
    rng = np.random.default_rng(0)
    shape = (count, 28, 28)
    return (rng.integers(0, 256, shape) * (rng.random(shape) < 0.1)).astype(np.uint8)


def test_ordinary_ratios_are_read(tmp_path):
    images = sparse_images(2000)
    packed = gzip.compress(build_idx(images))
    assert 3 < images.size / len(packed) < 20
    (tmp_path / "x.idx.gz").write_bytes(packed)
    got = fastmlp.data.read_samples(str(tmp_path / "x.idx.gz"))
    np.testing.assert_array_equal(np.asarray(got).reshape(images.shape), images)


def test_labels_of_one_class_are_read(tmp_path):
    """A thousand to one, and still nothing that needs a limit."""
    labels = np.zeros(1_000_000, np.int64)
    x = np.random.default_rng(0).integers(0, 256, (1_000_000, 1)).astype(np.uint8)
    labels[0] = 1
    with (tmp_path / "x.npz").open("wb") as file:
        np.savez_compressed(file, x=x, y=labels)
    assert labels.nbytes < ALWAYS_ALLOWED_BYTES
    assert len(fastmlp.data.read(str(tmp_path / "x.npz")).train.y) == 1_000_000


def test_large_arrays_without_compression_are_read(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.savez(file, x=np.zeros((200, 20_000)), y=np.arange(200) % 2)
    assert fastmlp.data.read(str(tmp_path / "x.npz")).train.x.shape == (200, 20_000)


def test_archives_of_data_sets_are_not_believed():
    from fastmlp.datasets.registry import get_spec
    from fastmlp.datasets.sources import files_from_npz

    spec = get_spec("mnist")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x_train.npy", npy_header("(1000000, 100000)", "|u1") + bytes(80))
    with pytest.raises(fastmlp.FormatError, match="x_train is uint8"):
        list(files_from_npz(stream.getvalue(), None, spec.files[:1], "mnist.npz"))


def test_one_constant_and_one_function():
    """Every reader that decompresses takes its limit from one place."""
    from pathlib import Path

    folder = Path(fastmlp.__file__).parent / "data"
    for path in [*folder.glob("*.py"), folder.parent / "datasets" / "idx.py"]:
        text = path.read_text(encoding="utf-8")
        assert "gzip." not in text, path.name
        # `gunzip` and `gunzip_blocks` keep the limit themselves.
        words = ("gunzip_exactly", "gunzip_start", "zipfile.", "PIL.Image", "read_parquet(")
        if any(word in text for word in words) and path.name != "reading.py":
            assert "require_ratio(" in text, path.name


def test_zlib_is_what_the_limit_is_for():
    bomb = zlib.compress(bytes(1 << 25), 9)
    assert (1 << 25) / len(bomb) > MOST_RATIO
