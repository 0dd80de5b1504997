"""From the DATASET argument to arrays: a set by name, or a directory of the user's IDX files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, DataError
from fastmlp.cli.options import unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Samples",
    "Source",
    "canonical_name",
    "find_source",
    "go_offline",
    "load_source",
    "plain_warnings",
]

# Names of the four files, in the order x_train, y_train, x_test, y_test.  Each may end in .gz, and
# the second dot that some archives use (train-images.idx3-ubyte) is accepted too.
IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Source:
    """Where the samples of a run come from; `directory` is None for a set known by name."""

    name: str
    directory: Path | None


@dataclass(frozen=True)
class Samples:
    """Arrays of one data set: x is (samples, features), y is (samples,) with labels 0..classes-1.

    `sha256` holds the digest of each decompressed file, by file name.
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    classes: int
    sha256: dict[str, str]

    @property
    def features(self) -> int:
        """Number of values of one sample."""
        return int(self.x_train.shape[1])

    @property
    def input_scale(self) -> float:
        """Factor that brings the inputs to the unit interval: 1/255 for bytes, else 1."""
        return 1.0 / 255.0 if self.x_train.dtype == "uint8" else 1.0


def go_offline() -> None:
    """Keep `fastmlp.datasets` from using the network in this process."""
    os.environ["FASTMLP_OFFLINE"] = "1"


@contextmanager
def plain_warnings(*, quiet: bool = False) -> Iterator[None]:
    """Print Python warnings as one line each, without the source line that raised them."""

    def show(message: Warning | str, *_rest: Any, **_more: Any) -> None:
        click.echo(f"fastmlp: warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", UserWarning)
        warnings.showwarning = show
        yield


def canonical_name(name: str) -> str:
    """Return the registered name of a data set, or raise with the nearest one."""
    from fastmlp.datasets.registry import REGISTRY, get_spec

    try:
        return get_spec(name).name
    except ValueError as error:
        raise ConfigError(unknown("data set", name, list(REGISTRY))) from error


def find_source(argument: str) -> Source:
    """Decide whether the argument names a known set or a directory; a known name wins."""
    from fastmlp import datasets

    path = Path(argument).expanduser()
    if argument not in datasets.available():
        if path.is_dir():
            return Source(path.resolve().name or "data", path)
        if os.sep in argument or path.exists():
            problem = "is not a directory" if path.exists() else "does not exist"
            wanted = ", ".join(IDX_NAMES)
            raise DataError(f"{argument} {problem}; expected a directory with {wanted}")
    return Source(canonical_name(argument), None)


def load_source(
    source: Source, data_dir: str | None, report: Callable[[str], None] | None = None
) -> Samples:
    """Read the arrays; every fault of the data becomes an error with exit code 3."""
    from fastmlp import datasets
    from fastmlp.errors import FormatError

    try:
        if source.directory is not None:
            return _load_directory(source.directory)
        data = datasets.load(source.name, data_dir=data_dir, report=report)
    except (FormatError, OSError) as error:
        raise DataError(str(error)) from error
    return Samples(
        data.x_train, data.y_train, data.x_test, data.y_test, len(data.class_names), data.sha256
    )


def _load_directory(directory: Path) -> Samples:
    digests: dict[str, str] = {}
    x_train, y_train, x_test, y_test = (_read_idx(directory, name, digests) for name in IDX_NAMES)
    for part, x, y in (("training", x_train, y_train), ("test", x_test, y_test)):
        _check_pair(directory, part, x, y)
    x_train, x_test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)
    if x_train.shape[1] != x_test.shape[1]:
        raise DataError(
            f"{directory}: training samples have {x_train.shape[1]} values, "
            f"test samples {x_test.shape[1]}"
        )
    y_train, y_test = y_train.astype("int64"), y_test.astype("int64")
    classes = int(y_train.max()) + 1
    if classes < 2:
        raise DataError(f"{directory}: training labels hold a single class, need two or more")
    if int(y_test.max()) >= classes:
        raise DataError(
            f"{directory}: test label {int(y_test.max())} does not occur in the training set, "
            f"whose labels end at {classes - 1}"
        )
    return Samples(x_train, y_train, x_test, y_test, classes, digests)


def _read_idx(directory: Path, name: str, digests: dict[str, str]) -> NDArray[Any]:
    import hashlib

    from fastmlp._files import read_regular_file
    from fastmlp.datasets.idx import parse_idx

    for candidate in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = directory / f"{candidate}{suffix}"
            if not path.exists():
                continue
            content = read_regular_file(path)
            raw = _gunzip_idx(content, str(path)) if suffix else content
            digests[name] = hashlib.sha256(raw).hexdigest()
            values = parse_idx(raw, str(path))
            return values.astype(values.dtype.newbyteorder("="))  # a writable copy, native order
    raise DataError(f"{directory} holds neither {name} nor {name}.gz")


def _gunzip_idx(content: bytes, origin: str) -> bytes:
    """Decompress an IDX file of unknown size without letting a gzip bomb fill the memory."""
    import gzip
    import io
    import math
    import zlib

    from fastmlp.datasets.idx import gunzip

    # The header inside says how many bytes must follow; deflate cannot shrink data by more than
    # a factor of about 1032, which bounds what an honest header may claim.
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            head = stream.read(4 + 4 * 8)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{origin}: gzip data: {error}") from error
    dimensions = head[3] if len(head) > 3 else 0
    item = {0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}.get(head[2] if len(head) > 2 else 0, 1)
    sizes = [int.from_bytes(head[4 + 4 * i : 8 + 4 * i], "big") for i in range(min(dimensions, 8))]
    size = 4 + 4 * dimensions + math.prod(sizes) * item
    if size > 1100 * len(content) + 1024:
        raise DataError(f"{origin}: sizes: {tuple(sizes)} cannot come from {len(content)} bytes")
    return gunzip(content, size, origin)


def _check_pair(directory: Path, part: str, x: NDArray[Any], y: NDArray[Any]) -> None:
    if x.ndim < 2:
        raise DataError(f"{directory}: {part} samples must have 2 dimensions or more, got {x.ndim}")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DataError(
            f"{directory}: {part} labels must be a list of integers, got {y.ndim}-d {y.dtype}"
        )
    if x.dtype.kind == "f" and not bool(abs(x).max() < float("inf")):  # false for NaN, too
        raise DataError(f"{directory}: {part} samples must be finite, got NaN or infinite values")
    if len(x) != len(y):
        raise DataError(f"{directory}: {len(x)} {part} samples but {len(y)} labels")
    if y.min() < 0:
        raise DataError(f"{directory}: {part} labels must not be negative, got {y.min()}")
