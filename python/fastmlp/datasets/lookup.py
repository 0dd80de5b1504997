"""Search for the files of a set: in the user's directory, the cache, then all other sources."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastmlp.datasets.cache import (
    Verified,
    cache_directory,
    file_candidates,
    interprocess_lock,
    read_file,
    store_file,
)
from fastmlp.datasets.cifar import ExtractedArchive
from fastmlp.datasets.registry import ArchiveSpec, DatasetSpec, FileSpec
from fastmlp.errors import DataUnavailableError, FormatError

if TYPE_CHECKING:
    from fastmlp.datasets.sources import Source, Wanted

__all__ = ["Found", "read_cache", "resolve"]

Report = Callable[[str], None]
_OFF_WORDS = ("", "0", "false", "no", "off")


@dataclass
class Found:
    """Verified files by role, and the directory that holds them all.

    `directory` is None if the files are in memory only; `store_error` is then the reason.
    """

    files: dict[str, Verified] = field(default_factory=dict)
    directory: Path | None = None
    store_error: OSError | None = None


def resolve(
    spec: DatasetSpec, data_dir: str | os.PathLike[str] | None, report: Report | None
) -> Found:
    """Find all files of a set, and store them in the cache unless they are the user's own.

    Raises
    ------
    FormatError
        The user's directory holds a file of the set that is damaged.
    DataUnavailableError
        No source has the files.
    """
    attempts: list[str] = []
    own = _from_user_directory(spec, data_dir, attempts)
    if own is not None:
        return own
    cache = cache_directory(spec.name)
    found, _ = read_cache(spec, cache)
    if len(found) == len(spec.files):
        return Found(found, cache)
    with interprocess_lock(cache):
        # Another process may have filled the cache while this one waited for the lock.
        result = Found()
        result.files, damaged = read_cache(spec, cache)
        for problem in damaged:
            _warn(f"damaged file in the cache is ignored and will be replaced: {problem}")
        missing = _missing(spec, result)
        if missing:
            names = ", ".join(file.name for file in missing)
            attempts.append(f"cache {cache}: lacks {names}")
            _ask_sources(spec, cache, result, attempts, report)
    if _missing(spec, result):
        raise DataUnavailableError(_unavailable_message(spec, attempts))
    copies = [Path(f.origin) for f in result.files.values() if isinstance(f, ExtractedArchive)]
    if result.store_error is None:
        result.directory = copies[0] if copies else cache
    else:
        _warn(f"{spec.name} could not be kept in the cache: {result.store_error}")
    return result


def read_cache(spec: DatasetSpec, cache: Path) -> tuple[dict[str, Verified], list[str]]:
    """Return the valid files of the cache by role, and a message for each damaged one."""
    found: dict[str, Verified] = {}
    damaged: list[str] = []
    for file in spec.files:
        try:
            found[file.role] = read_file(cache, file, own=False)
        except FileNotFoundError:
            continue
        except (FormatError, OSError) as error:
            damaged.append(str(error))
    return found, damaged


def _from_user_directory(
    spec: DatasetSpec, data_dir: str | os.PathLike[str] | None, attempts: list[str]
) -> Found | None:
    """Read the set from `data_dir` or FASTMLP_DATA_DIR, or from the set's folder in it."""
    label = "data_dir"
    if data_dir is None:
        label = "FASTMLP_DATA_DIR"
        data_dir = os.environ.get("FASTMLP_DATA_DIR") or None
        if data_dir is None:
            attempts.append("data_dir, FASTMLP_DATA_DIR: not given")
            return None
    root = Path(os.path.expanduser(data_dir))
    for directory in (root / spec.name, root):
        present = [
            file
            for file in spec.files
            if any(os.path.exists(directory / name) for name in file_candidates(file))
        ]
        if present:
            break
    # A damaged file in the user's directory is an error even if other files are missing.
    files = {file.role: read_file(directory, file, own=True) for file in present}
    if len(files) == len(spec.files):
        return Found(files, directory)
    if not root.is_dir():
        problem = "no such directory"
    else:
        lacking = ", ".join(file.name for file in spec.files if file.role not in files)
        problem = f"lacks {lacking}"
    attempts.append(f"{label} {root}: {problem}")
    _warn(f"{label} {root}: {problem}; continuing with the other sources of {spec.name}", 5)
    return None


def _ask_sources(
    spec: DatasetSpec, cache: Path, result: Found, attempts: list[str], report: Report | None
) -> None:
    """Request missing files from one source after another, and store each file at once."""
    from fastmlp.datasets.sources import SourceError, sources_of  # loads the HTTP client

    absent: list[str] = []
    position = len(attempts)
    for source in sources_of(spec, offline=is_offline()):
        try:
            problem = _ask(spec, source, cache, result, report)
        except (SourceError, FormatError, OSError) as error:
            problem = str(error)
        if problem == "absent":
            absent.append(source.label.removeprefix("copy "))
        elif problem:
            attempts.append(f"{source.label}: {problem}")
        if not _missing(spec, result):
            return
    if absent:
        attempts.insert(position, f"copies of other tools: none at {', '.join(absent)}")
    if is_offline():
        attempts.append("mirrors and Python packages: not tried, FASTMLP_OFFLINE is set")


def _ask(
    spec: DatasetSpec, source: Source, cache: Path, result: Found, report: Report | None
) -> str | None:
    """Read the missing files that a source has, and return which it lacks; do not catch errors."""
    wanted = _missing(spec, result)
    if report is not None and not source.local:
        report(f"{spec.name}: trying {source.label}")
    for verified in source.files(wanted):
        result.files[verified.file.role] = verified
        _keep(cache, verified, result)
        if report is not None:
            report(f"{spec.name}: {verified.file.name} from {source.label}")
    lacking = ", ".join(file.name for file in _missing(spec, result))
    return f"lacks {lacking}" if lacking else None


def _keep(cache: Path, verified: Verified, result: Found) -> None:
    if result.store_error is None:
        try:
            store_file(cache, verified)
        except OSError as error:  # a full or read-only disk; the data in memory is valid
            result.store_error = error


def _missing(spec: DatasetSpec, result: Found) -> Wanted:
    return [file for file in spec.files if file.role not in result.files]


def _unavailable_message(spec: DatasetSpec, attempts: list[str]) -> str:
    lines = [f"{spec.name} was found in none of its sources:"]
    lines += [f"  - {attempt}" for attempt in attempts]
    archive = spec.archive
    if archive is None:
        lines.append("Files wanted, unpacked, or compressed with .gz appended to the name:")
    else:
        lines.append(f"File wanted, packed or extracted to {archive.folder}:")
    lines += [f"  {_describe(file)}" for file in spec.files]
    places = [mirror.url for mirror in spec.mirrors] or [spec.homepage]
    where = f" from {places[0]}" if places[0] else ""
    lines.append(
        f"What to do: on a machine with a network, download these files{where}; copy them into a "
        "directory here and name it with data_dir (--data-dir) or FASTMLP_DATA_DIR."
    )
    return "\n".join(lines)


def _describe(file: FileSpec | ArchiveSpec) -> str:
    if isinstance(file, ArchiveSpec):
        return f"{file.name}  {file.size} bytes  sha256 {file.sha256}"
    digest = f"sha256 {file.sha256}"
    if file.sha256 is None:
        digest = f".gz sha256 {file.gz_sha256}" if file.gz_sha256 else "sha256 unknown"
    return f"{file.name}  {file.raw_bytes} bytes  {digest}"


def _warn(message: str, depth: int = 4) -> None:
    """Issue a warning for the line that called `load` or `fetch`."""
    warnings.warn(message, UserWarning, stacklevel=depth)


def is_offline() -> bool:
    """Return whether FASTMLP_OFFLINE forbids the network."""
    return os.environ.get("FASTMLP_OFFLINE", "").strip().lower() not in _OFF_WORDS
