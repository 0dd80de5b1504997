"""Directories that hold several models: the list that says which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastmlp._files import atomic_write, read_regular_file
from fastmlp.errors import FormatError
from fastmlp.experiment.rundir import CROSS_VALIDATION_NAME, MODELS_NAME

__all__ = ["listed_models", "write_list"]

_FORMAT = "fastmlp bagged model"
_MAX_BYTES = 1 << 20
_MOST_MODELS = 10_000


def write_list(directory: Path, names: Sequence[str]) -> None:
    """Write the list of the models of a directory, which makes it a bag of models."""
    content = {"format": _FORMAT, "version": 1, "models": list(names)}
    atomic_write(directory / MODELS_NAME, (json.dumps(content, indent=2) + "\n").encode())


def listed_models(directory: Path) -> list[Path]:
    """Return the files of the models of a directory.

    Raises
    ------
    FormatError
        The directory holds no list of models, or a damaged one.
    """
    place = directory / MODELS_NAME
    if not place.is_file() and (directory / CROSS_VALIDATION_NAME).is_file():
        raise FormatError(
            f"{directory}: the cross-validation is not finished; the command that began it "
            "continues it"
        )
    try:
        content = json.loads(read_regular_file(place, _MAX_BYTES))
        names: Any = content["models"] if content["format"] == _FORMAT else None
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(f"{place}: is not the list of a bag of models: {error}") from None
    listed = names if isinstance(names, list) else []
    valid = all(isinstance(name, str) and _is_inside(name) for name in listed)
    if not valid or not 0 < len(listed) <= _MOST_MODELS:
        raise FormatError(f"{place}: models: must be a list of files in this directory")
    return [directory / name for name in listed]


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    is_plain = not set(name) & set("\0\\:")  # which Windows takes for folders and drives
    return is_plain and all(part not in ("", ".", "..") for part in parts)
