"""Checking and writing of the files named by --output."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastmlp
from fastmlp._files import atomic_write
from fastmlp.cli.errors import ConfigError
from fastmlp.cli.options import unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PICTURE_FORMATS", "require_free", "require_picture", "write_picture"]

PICTURE_FORMATS = ("svg", "png", "pdf")


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError if `path` is a directory, or exists and must not be replaced."""
    if path.is_dir():
        raise ConfigError(f"--output {path}: is a directory, expected a file name")
    if os.path.lexists(path) and not overwrite:
        raise ConfigError(f"--output {path}: exists already; add --overwrite")


def require_picture(path: Path) -> str:
    """Return the format of a picture from the suffix of its file.

    Raises
    ------
    ConfigError
        The suffix denotes no known format.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in PICTURE_FORMATS:
        raise ConfigError(f"--output {path}: {unknown('format', kind, PICTURE_FORMATS)}")
    return kind


def write_picture(ax: Axes, path: Path) -> None:
    """Write matplotlib Axes to a file, completely or not at all, in the format of its suffix.

    Raises
    ------
    ConfigError
        The suffix denotes no known format.
    OSError
        The file cannot be written.
    """
    kind = require_picture(path)
    if kind == "svg":
        atomic_write(path, fastmlp.plot.svg(ax).encode())
        return
    stream = io.BytesIO()
    # Without the date, the same picture always has the same bytes.
    metadata = {"CreationDate": None} if kind == "pdf" else None
    figure: Any = ax.figure
    figure.savefig(stream, format=kind, dpi=150, metadata=metadata)
    atomic_write(path, stream.getvalue())
