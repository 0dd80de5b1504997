"""The directory of a run and its files."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastmlp._files import append, atomic_write, read_regular_file, require_no_file, sweep
from fastmlp.errors import FormatError
from fastmlp.experiment.checkpoint import CheckpointStore
from fastmlp.experiment.locking import is_empty, locked
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import read_settings, toml
from fastmlp.history import Record

__all__ = [
    "CROSS_VALIDATION_NAME",
    "MODELS_NAME",
    "RunDirectory",
    "clean_json",
    "holds_models",
    "model_path",
    "next_numbered",
]

# Files that mark a directory as a bag of models, and as a cross-validation.
MODELS_NAME = "models.json"
CROSS_VALIDATION_NAME = "cross-validation.json"
_MOST_SLUG_BYTES = 200
_NUMBERED = re.compile(r"(\d+)-")


def clean_json(value: Any) -> Any:
    """Return `value` with types that JSON has; NaN and infinities become null."""
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


class RunDirectory:
    """The directory of a run, with the paths of its files.

    Attributes
    ----------
    path : pathlib.Path
    config_path, environment_path, metrics_path, result_path, report_path, plots_path : Path
    learning_curve_path, tensorboard_path : Path
    best_model, last_model : Path
    checkpoints : CheckpointStore
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.toml"
        self.environment_path = path / "environment.json"
        self.metrics_path = path / "metrics.jsonl"
        self.result_path = path / "result.json"
        self.report_path = path / "report.html"
        self.plots_path = path / "plots"
        self.learning_curve_path = path / "learning_curve.json"
        self.tensorboard_path = path / "tensorboard"
        self.best_model = path / "best.safetensors"
        self.last_model = path / "last.safetensors"
        self.checkpoints = CheckpointStore(path / "checkpoints")

    @classmethod
    def create(
        cls,
        name: str,
        out: str | os.PathLike[str] | None = None,
        *,
        parent: str | os.PathLike[str] = "runs",
        overwrite: bool = False,
    ) -> RunDirectory:
        """Make the directory of a new run.

        Parameters
        ----------
        name : str
            Name of the data.
        out : str or os.PathLike, optional
            Path of the directory; by default ``parent/NNN-name``, where NNN is one above the
            highest existing number.
        parent : str or os.PathLike
            Directory of the numbered runs.
        overwrite : bool
            Whether `out` may hold an older run; its files are removed.

        Raises
        ------
        ValueError
            `out` is a file or not empty.
        DirectoryInUseError
            Another process trains the run in `out`.
        OSError
            The directory cannot be made.
        """
        if out is None:
            return cls(next_numbered(Path(parent), name))
        cls.require_free(out, overwrite=overwrite)
        run = cls(Path(out))
        run.path.mkdir(parents=True, exist_ok=True)
        with run.locked():
            run._remove_old()
        return run

    @staticmethod
    def require_free(out: str | os.PathLike[str], *, overwrite: bool) -> None:
        """Raise ValueError if `out` is a file, or is not empty and must not be overwritten."""
        path = Path(out)
        require_no_file(path)
        if path.is_dir() and not overwrite and not is_empty(path):
            raise ValueError(f"{out}: is not empty; allow to overwrite it or name another")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunDirectory:
        """Open the run in a directory.

        Raises
        ------
        FormatError
            The directory has no config.toml, or holds several networks.
        """
        run = cls(Path(path))
        if not run.config_path.is_file():
            if holds_models(run.path):
                raise FormatError(
                    f"{path}: holds several networks, expected the run of a single one; "
                    f"{_commands_for(run.path)}"
                )
            problem = "has no config.toml" if run.path.is_dir() else "is no directory"
            raise FormatError(f"{path}: {problem}; expected the directory of a run")
        return run

    def sweep(self) -> None:
        """Remove temporary files of writers that were killed."""
        sweep(self.path)
        self.checkpoints.sweep()

    def discard_unless_trained(self) -> None:
        """Remove the files of a run without an epoch; its lock is held."""
        if not (self.metrics_path.exists() or self.result_path.exists()):
            self._remove_old()

    def remove_if_empty(self) -> None:
        """Remove the directory if it is empty; its lock is not held, which is a file in it."""
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _remove_old(self) -> None:
        files = (
            self.config_path, self.environment_path, self.metrics_path, self.result_path,
            self.report_path, self.learning_curve_path, self.best_model, self.last_model,
        )  # fmt: skip
        for path in files:
            path.unlink(missing_ok=True)
        self.checkpoints.clear()
        if self.plots_path.is_dir():
            shutil.rmtree(self.plots_path)
        self.remove_events()

    def remove_events(self) -> None:
        """Remove the events for TensorBoard."""
        if self.tensorboard_path.is_dir():
            shutil.rmtree(self.tensorboard_path)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that locks the run, so that no other process trains it.

        Raises
        ------
        DirectoryInUseError
            Another process holds the lock.
        """
        return locked(self.path)

    # Writing

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Write a JSON document completely or not at all."""
        text = json.dumps(clean_json(content), indent=2, allow_nan=False) + "\n"
        atomic_write(path, text.encode())

    def write_config(self, config: Config) -> None:
        """Write the settings; the run can be repeated from them."""
        atomic_write(self.config_path, toml(config).encode())

    def append_record(self, record: Record) -> None:
        """Append the record of an epoch to metrics.jsonl."""
        # Rewriting the file and syncing the disk after every epoch would slow a long run down.
        append(self.metrics_path, _line(record))

    def write_records(self, records: Sequence[Record]) -> None:
        """Rewrite metrics.jsonl."""
        atomic_write(self.metrics_path, b"".join(map(_line, records)))

    # Reading

    def config(self) -> Config:
        """Return the resolved settings.

        Raises
        ------
        FormatError
            config.toml is damaged.
        """
        return Config.checked(read_settings(self.config_path))

    def records(self) -> list[Record]:
        """Return the records of the epochs without an incomplete last line."""
        try:
            content = read_regular_file(self.metrics_path, may_grow=True)
        except FileNotFoundError:
            return []
        records = []
        for line in content.splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if isinstance(record, dict):
                records.append(record)
        return records

    def environment(self) -> dict[str, Any]:
        """Return machine, versions and digests of the data; empty if the file is missing."""
        return _read_json(self.environment_path)

    def learning_curve(self) -> dict[str, Any]:
        """Return the content of learning_curve.json; empty if it was not measured.

        Raises
        ------
        FormatError
            The file is damaged.
        """
        return _read_json(self.learning_curve_path)

    def result(self) -> dict[str, Any]:
        """Return the result of the run; empty if the run has none yet."""
        return _read_json(self.result_path)

    def measured_part(self) -> str:
        """Return the name of the part on which the ``val_`` values of the records were measured.

        Returns
        -------
        {"validation", "test"}
            "validation" if the run has no result yet.
        """
        result = self.result()
        part = result.get("measured_on")
        if part in ("validation", "test"):
            return str(part)
        # Older results lack this entry. Without a selected epoch there was no validation part.
        on_test = result.get("evaluated_on") == "test" and result.get("selected") != "best"
        return "test" if on_test else "validation"

    def selected_model(self) -> Path:
        """Return the file of the best model if a validation part selected it, else the last one.

        Raises
        ------
        FormatError
            The run has no model yet.
        """
        chosen = self.best_model if self.result().get("selected") == "best" else self.last_model
        for path in (chosen, self.last_model, self.best_model):
            if path.is_file():
                return path
        raise FormatError(
            f"{self.path}: has no model yet; finish it with 'fastmlp train --resume {self.path}'"
        )


def model_path(argument: str | os.PathLike[str]) -> Path:
    """Return the model file that a path denotes: the file itself, or the selected model of a run.

    Raises
    ------
    FormatError
        The directory holds no run, or the run has no model.
    """
    path = Path(os.path.expanduser(argument))
    if not path.is_dir():
        return path
    if holds_models(path):
        raise FormatError(
            f"{path}: holds several networks, of which one is needed here; {_commands_for(path)}"
        )
    return RunDirectory.open(path).selected_model()


def holds_models(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is the directory of a bag of models or of a cross-validation."""
    directory = Path(os.path.expanduser(path))
    return any((directory / name).is_file() for name in (MODELS_NAME, CROSS_VALIDATION_NAME))


def _commands_for(directory: Path) -> str:
    """Return the end of a message: what takes one network of a directory, and what takes all."""
    files = sorted(directory.glob("folds/*/model.safetensors")) or sorted(
        directory.glob("*.safetensors")
    )
    together = (
        "'fastmlp predict', 'evaluate', 'importance' and 'serve' and fastmlp.load take all of them "
        "together"
    )
    if not files:
        return together
    return f"'fastmlp inspect' and 'export' take the file of one, such as {files[0]}; {together}"


def _line(record: Record) -> bytes:
    return (json.dumps(clean_json(record), allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular_file(path))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise FormatError(f"{path}: must be a JSON object")
    return content


def _slug(name: str) -> str:
    """Return a name with the letters and digits of any script, and no other signs than ._-"""
    kept = (c if c in "._-" or unicodedata.category(c)[0] in "LMN" else " " for c in name)
    slug = "-".join("".join(kept).split())
    # Names of files have 255 bytes at most, of which the number takes some.
    return slug.encode()[:_MOST_SLUG_BYTES].decode(errors="ignore").strip("-.") or "data"


def next_numbered(parent: Path, name: str) -> Path:
    """Make the directory ``NNN-name``, where NNN is one above the highest existing number."""
    parent.mkdir(parents=True, exist_ok=True)
    slug = _slug(name)
    numbers = (_NUMBERED.match(entry.name) for entry in parent.iterdir())
    number = max((int(match[1]) for match in numbers if match), default=0) + 1
    while True:
        directory = parent / f"{number:03d}-{slug}"
        try:
            directory.mkdir()
        except FileExistsError:
            number += 1  # another process used this number after the listing
        else:
            return directory
