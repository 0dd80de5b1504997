"""Download of a set's files over HTTP(S), with limits on time and size."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator

from fastmlp.datasets.cache import Verified, verify_download
from fastmlp.datasets.sources import SourceError, Wanted, files_from_npz, max_npz_bytes
from fastmlp.datasets.specs import DatasetSpec, Mirror

__all__ = ["bind_mirror"]

_TIMEOUT_SECONDS = 5.0  # for the name, for the connection, and for each wait for data
_TOTAL_SECONDS = 900.0  # per file: a server that trickles must not hold us for ever,
_SLOWEST_BYTES_PER_SECOND = 1 << 16  # but large files may take their time
_CHUNK_BYTES = 1 << 16


def bind_mirror(mirror: Mirror, spec: DatasetSpec) -> Callable[[Wanted], Iterable[Verified]]:
    """Return the source that downloads from one mirror."""

    def from_directory(wanted: Wanted) -> Iterator[Verified]:
        for file in wanted:
            content = _download(f"{mirror.url}{file.download_name}", file.max_download_bytes)
            yield verify_download(file, content, file.download_name)

    def from_archive(wanted: Wanted) -> Iterator[Verified]:
        limit = max_npz_bytes(spec)
        content = _download(mirror.url, limit)
        yield from files_from_npz(content, mirror.sha256, wanted, mirror.url.rpartition("/")[2])

    return from_archive if mirror.url.endswith(".npz") else from_directory


def _download(url: str, max_bytes: int) -> bytes:
    """Return what `url` serves; raise `SourceError` when it fails, stalls or is too large."""
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
    """Give the host's name five seconds to be found.

    A socket's timeout does not cover the resolver, which behind some firewalls takes half a minute
    to give up. A proxy resolves names itself.
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
