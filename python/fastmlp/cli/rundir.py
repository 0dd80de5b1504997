"""The files of a run: a numbered directory that is never overwritten, or one that --out names."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

from fastmlp.cli.errors import ConfigError

__all__ = ["RunFiles", "check_out", "clean_json", "create_run"]

MODEL_NAME = "model.safetensors"


def clean_json(value: Any) -> Any:
    """Return `value` with what JSON cannot express replaced: NaN and infinities become null."""
    if isinstance(value, dict):
        return {str(key): clean_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_json(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) or hasattr(value, "__float__"):
        number = float(value)
        return number if math.isfinite(number) else None
    return str(value)


class RunFiles:
    """Writes what a run leaves behind; with `directory` None the model alone is written."""

    def __init__(self, model: Path, directory: Path | None) -> None:
        self.model = model
        self.directory = directory

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write one JSON document, whole or not at all."""
        if self.directory is None:
            return
        from fastmlp._files import atomic_write

        text = json.dumps(clean_json(content), indent=2, allow_nan=False) + "\n"
        atomic_write(self.directory / name, text.encode())

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        if self.directory is None:
            return
        line = json.dumps(clean_json(record), allow_nan=False) + "\n"
        # One O_APPEND write of a whole line: readers never see half a record, and a long run does
        # not rewrite its history (and sync the disk) after every epoch.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.directory / "metrics.jsonl", flags, 0o666)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def check_out(out: str | None, *, overwrite: bool) -> None:
    """Refuse, before any work is done, an --out that would destroy something or cannot be used."""
    if out is None:
        return
    path = Path(out)
    if _is_model_file(path):
        if path.is_dir():
            raise ConfigError(f"--out {out}: is a directory, expected a file name")
        if path.exists() and not overwrite:
            raise ConfigError(f"--out {out}: exists already; add --overwrite or name another file")
    elif path.is_dir():
        if any(path.iterdir()) and not overwrite:
            raise ConfigError(f"--out {out}: not empty; add --overwrite or name another directory")
    elif path.exists():
        raise ConfigError(f"--out {out}: a file without the .safetensors of a model")


def create_run(name: str, out: str | None, *, overwrite: bool) -> RunFiles:
    """Make the directory of a run and return its files.

    Without --out it is `runs/NNN-name`, numbered one above the highest that exists.
    """
    check_out(out, overwrite=overwrite)
    try:
        if out is None:
            directory = _next_numbered(Path("runs"), name)
        elif _is_model_file(Path(out)):
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            if not os.access(Path(out).parent, os.W_OK):
                raise ConfigError(f"--out {out}: cannot write to {Path(out).parent}")
            return RunFiles(Path(out), None)
        else:
            directory = Path(out)
            directory.mkdir(parents=True, exist_ok=True)
            # An overwritten run must not keep the lines of the previous one.
            (directory / "metrics.jsonl").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create the run's directory: {error}") from error
    return RunFiles(directory / MODEL_NAME, directory)


def _is_model_file(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _next_numbered(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "data"
    numbers = (re.match(r"(\d+)-", entry.name) for entry in parent.iterdir())
    number = max((int(match[1]) for match in numbers if match), default=0) + 1
    while True:
        directory = parent / f"{number:03d}-{slug}"
        try:
            directory.mkdir()
        except FileExistsError:
            number += 1  # another run took this number between the listing and now
        else:
            return directory
