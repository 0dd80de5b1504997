"""Callbacks that write down what each epoch measured.

Files are opened, written and closed within an epoch: they are complete up to the last epoch at any
moment, also where the training ends by an exception.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
from typing import TYPE_CHECKING, Any

from fastmlp.callbacks import Callback, text_path
from fastmlp.history import Record
from fastmlp.validation import flag

if TYPE_CHECKING:
    from fastmlp.training import Training

__all__ = ["CSVLogger", "JSONLogger", "TensorBoard"]


class _FileLogger(Callback):
    """Starts a file with the training, or goes on with one that exists.

    Parameters
    ----------
    path : str or os.PathLike
        File to write; its directory is made as needed.
    append : bool
        Keep what the file holds already.

    Raises
    ------
    TypeError
        An argument is of the wrong kind.
    OSError
        During the training: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self._path = text_path("path", path)
        self._append = flag("append", append)

    def on_train_begin(self, training: Training) -> None:
        """Make sure that the file can be written before the first epoch is computed."""
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        with open(self._path, "a" if self._append else "w", encoding="utf-8"):
            pass


class CSVLogger(_FileLogger):
    """Writes a row per epoch under a header with the names of the record.

    Parameters
    ----------
    path : str or os.PathLike
        File to write; its directory is made as needed.
    append : bool
        Keep the rows that the file holds already; its header then has to name all values of the
        records. Values that it names in addition are left empty.

    Raises
    ------
    TypeError
        An argument is of the wrong kind.
    ValueError
        During the training: the header lacks a value of the record.
    OSError
        During the training: the file cannot be written.
    """

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Write the row."""
        with open(self._path, "a+", newline="", encoding="utf-8") as stream:
            stream.seek(0)
            header = next(csv.reader(stream), None)
            columns = header or list(record)
            lacking = [name for name in record if name not in columns]
            if lacking:
                raise ValueError(f"{self._path}: the header has no column {', '.join(lacking)}")
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            if not header:
                writer.writeheader()
            writer.writerow(record)


class JSONLogger(_FileLogger):
    """Writes the record of each epoch as one JSON object per line, the format JSON Lines.

    Values that JSON has no number for, NaN and the infinities, become null.

    Parameters
    ----------
    path : str or os.PathLike
        File to write; its directory is made as needed.
    append : bool
        Keep the lines that the file holds already.

    Raises
    ------
    TypeError
        An argument is of the wrong kind.
    OSError
        During the training: the file cannot be written.
    """

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Write the line."""
        values = {name: None if _is_no_number(value) else value for name, value in record.items()}
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class TensorBoard(Callback):
    """Writes the record of each epoch as scalars for TensorBoard, through tensorboardX.

    Parameters
    ----------
    log_dir : str or os.PathLike
        Directory of the run; a new file of events is added to it by each training.

    Raises
    ------
    TypeError
        `log_dir` is not a path.
    ImportError
        At the start of a training: tensorboardX is not installed.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = text_path("log_dir", log_dir)
        self._writer: Any = None

    def on_train_begin(self, training: Training) -> None:
        """Open the file of events."""
        try:
            tensorboard = importlib.import_module("tensorboardX")
        except ImportError:
            raise ImportError(
                "TensorBoard needs tensorboardX; run \"pip install 'fastmlp[tensorboard]'\""
            ) from None
        self._writer = tensorboard.SummaryWriter(self._log_dir)

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Write the values of the epoch."""
        for name, value in record.items():
            if name not in ("epoch", "epochs"):
                self._writer.add_scalar(name, value, record["epoch"])
        self._writer.flush()

    def on_train_end(self, training: Training) -> None:
        """Close the file of events."""
        self._writer.close()
