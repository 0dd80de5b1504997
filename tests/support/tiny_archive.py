"""A set of a few bytes in the form of CIFAR-10's binary version, written value by value."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np

from fastmlp.datasets import ArchiveSpec, DatasetSpec, MemberSpec

FOLDER = "tiny-batches-bin"
NAME = "tiny-binary.tar.gz"
PARTS = {"data_batch_1.bin": "train", "data_batch_2.bin": "train", "test_batch.bin": "test"}
COUNTS = {"data_batch_1.bin": 5, "data_batch_2.bin": 3, "test_batch.bin": 4}
HEIGHT, WIDTH, CHANNELS = 3, 2, 3
RNG = np.random.Generator(np.random.PCG64(4))
IMAGES = {
    name: RNG.integers(0, 256, (count, HEIGHT, WIDTH, CHANNELS), dtype=np.uint8)
    for name, count in COUNTS.items()
}
LABELS = {name: [int(v) for v in RNG.integers(0, 4, count)] for name, count in COUNTS.items()}


def records(name):
    """Return a member's bytes as the publisher describes them: label, red, green, blue plane."""
    result = bytearray()
    for image, label in zip(IMAGES[name], LABELS[name], strict=True):
        result.append(label)
        for channel in range(CHANNELS):
            for row in range(HEIGHT):
                for column in range(WIDTH):
                    result.append(int(image[row, column, channel]))
    return bytes(result)


MEMBERS = {name: records(name) for name in PARTS}


def entry(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def plain_entries(members=MEMBERS):
    """Return entries like the real archive: a folder, unordered members, unneeded files."""
    content = {"readme.html": b"<p>tiny</p>", **dict(reversed(members.items()))}
    return [
        (entry(FOLDER, type=tarfile.DIRTYPE), b""),
        *(
            (entry(f"{FOLDER}/{name}", size=len(data), mtime=1244061120), data)
            for name, data in content.items()
        ),
    ]


def tar(entries, **options):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def sha(content):
    return hashlib.sha256(content).hexdigest()


ARCHIVE = gzip.compress(tar(plain_entries()), mtime=0)
TINY_FILE = ArchiveSpec(
    name=NAME,
    size=len(ARCHIVE),
    sha256=sha(ARCHIVE),
    folder=FOLDER,
    members=tuple(
        MemberSpec(name, part, COUNTS[name], sha(MEMBERS[name])) for name, part in PARTS.items()
    ),
    image_shape=(HEIGHT, WIDTH, CHANNELS),
)
TINY_CIFAR = DatasetSpec("tiny-cifar", (TINY_FILE,), ("a", "b", "c", "d"))


def described_by(content):
    """Return a set with `content` as its archive, valid or not."""
    return replace(TINY_CIFAR, files=(replace(TINY_FILE, size=len(content), sha256=sha(content)),))


def write_archive(directory, content=ARCHIVE):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / NAME).write_bytes(content)
    return directory


def write_members(directory, members=MEMBERS):
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in members.items():
        (directory / name).write_bytes(content)
    return directory


def check_archive(data):
    images = [IMAGES[name].reshape(COUNTS[name], -1) for name in PARTS]
    labels = [LABELS[name] for name in PARTS]
    np.testing.assert_array_equal(data.x_train, np.concatenate(images[:2]))
    np.testing.assert_array_equal(data.x_test, images[2])
    np.testing.assert_array_equal(data.y_train, labels[0] + labels[1])
    np.testing.assert_array_equal(data.y_test, labels[2])
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.image_shape == (HEIGHT, WIDTH, CHANNELS)
    assert data.class_names == ("a", "b", "c", "d")
    assert (data.task, data.feature_names) == ("classification", None)
    assert data.sha256 == {name: sha(MEMBERS[name]) for name in PARTS}
