"""The definition of a long training in its directory, by which the same call continues it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastmlp._files import atomic_write, read_regular_file, require_no_file, sweep
from fastmlp.errors import FormatError
from fastmlp.experiment.locking import is_empty

__all__ = ["first_difference", "has_begun", "read_json", "write_definition"]

_MAX_BYTES = 1 << 20


def has_begun(path: Path, wanted: Mapping[str, Any], what: str) -> bool:
    """Return whether a directory holds the definition; otherwise it is free for it.

    Parameters
    ----------
    path : pathlib.Path
        File of the definition.
    wanted : mapping
        The definition, of types that JSON has.
    what : str
        What the directory is for, such as "cross-validation".

    Raises
    ------
    FormatError
        The definition is damaged.
    ValueError
        The directory is a file, holds other files, or another definition.
    """
    directory = path.parent
    require_no_file(directory)
    if path.is_file():
        other = first_difference(read_json(path), wanted)
        if other:
            raise ValueError(f"{directory}: holds another {what}: {other}")
        return True
    sweep(directory)
    if directory.is_dir() and not is_empty(directory):
        raise ValueError(f"{directory}: is not empty, and holds no {what}")
    return False


def write_definition(path: Path, definition: Mapping[str, Any]) -> None:
    """Write a definition completely or not at all."""
    atomic_write(path, (json.dumps(definition, indent=2) + "\n").encode())


def first_difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return the first thing in which the held definition differs, or ""."""
    for name, value in wanted.items():
        there = held.get(name)
        if there == value:
            continue
        if name == "settings" and isinstance(there, dict):
            return _first_setting(there, value)
        if name == "data_sha256":
            return "the data has changed"
        return f"{name} is {there!r} there, and {value!r} here"
    return ""


def _first_setting(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    for section in {**held, **wanted}:
        mine, theirs = wanted.get(section), held.get(section)
        if mine == theirs:
            continue
        if not isinstance(mine, dict) or not isinstance(theirs, dict):
            return f"{section} is {theirs!r} there, and {mine!r} here"
        for name in {**theirs, **mine}:
            if mine.get(name) != theirs.get(name):
                return (
                    f"{section}.{name} is {theirs.get(name)!r} there, and {mine.get(name)!r} here"
                )
    return ""


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a file that holds a JSON object.

    Raises
    ------
    FormatError
        The file is damaged.
    """
    try:
        content = json.loads(read_regular_file(path, _MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise FormatError(f"{path}: must be a JSON object")
    return content
