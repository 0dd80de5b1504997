"""Callbacks that write the record of each epoch to files.

Files are opened, written and closed after each epoch, so that they hold all completed epochs even
if an exception ends the training.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import time
from collections.abc import Mapping
from typing import Any

from fastmlp._files import atomic_write, text_path
from fastmlp.callbacks import Callback, Training, shown_call
from fastmlp.history import Record
from fastmlp.validation import flag

__all__ = ["CSVLogger", "JSONLogger", "TensorBoard"]

_TAIL = 256  # number of last bytes by which a file of this training is recognized


class _FileLogger(Callback):
    """A callback that starts a file at the beginning of a training, or appends to one.

    A resumed training continues in the file and cuts off what was written after the point from
    which it continues. A file that is missing or was rewritten by another program is treated as at
    the start of a training.

    Parameters
    ----------
    path : str or os.PathLike
        File to write; its directory is created if it is missing.
    append : bool
        Whether to keep the present content of the file.

    Raises
    ------
    TypeError
        An argument is of the wrong kind.
    OSError
        During the training: the file cannot be written.
    """

    writes = True

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self._path = text_path("path", path)
        self._append = flag("append", append)
        self.reset()

    def __repr__(self) -> str:
        return shown_call(self, self._path, **({"append": True} if self._append else {}))

    def reset(self) -> None:
        """Reset the callback for a new training."""
        self._size = 0
        self._tail = b""
        self._continues = False

    def state(self) -> dict[str, Any]:
        """Return the path, the number of bytes written, and the last bytes."""
        tail = self._tail.decode("utf-8", "replace")
        return {"path": self._path, "size": self._size, "tail": tail}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state if its path is that of this callback."""
        self.reset()
        if state["path"] == self._path:
            self._size, self._tail = state["size"], state["tail"].encode()
            self._continues = True

    def on_train_begin(self, training: Training) -> None:
        """Open the file, so that an error occurs before the first epoch is computed."""
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        if self._continues and self._is_ours():
            os.truncate(self._path, self._size)
            return
        with open(self._path, "a" if self._append else "w", encoding="utf-8"):
            pass
        self._note_size()

    def _is_ours(self) -> bool:
        return _tail_of(self._path, self._size) == self._tail

    def _note_size(self) -> None:
        self._size = os.path.getsize(self._path)
        self._tail = _tail_of(self._path, self._size) or b""


def _tail_of(path: str, size: int) -> bytes | None:
    """Return the last bytes of the first `size` bytes of a file; None if the file is shorter."""
    try:
        with open(path, "rb") as stream:
            if stream.seek(0, os.SEEK_END) < size:
                return None
            stream.seek(max(0, size - _TAIL))
            return stream.read(min(size, _TAIL))
    except FileNotFoundError:
        return None


class CSVLogger(_FileLogger):
    """A callback that writes a CSV row per epoch under a header with the names of the record.

    Parameters
    ----------
    path : str or os.PathLike
        File to write; its directory is created if it is missing.
    append : bool
        Whether to keep the present rows of the file. Its header must then name all values of the
        records; other columns are left empty. A resumed training always continues in the file,
        after the rows of the epochs that it continues from; later rows are cut off.

    Raises
    ------
    TypeError
        An argument is of the wrong kind.
    ValueError
        During the training: the header lacks a value of the record.
    OSError
        During the training: the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.csv")
    ...     history = model.fit(x, y, epochs=2, callbacks=[fastmlp.CSVLogger(path)], verbose=0)
    ...     with open(path) as stream:
    ...         print(stream.readline().strip())
    epoch,loss,accuracy,seconds,learning_rate,epochs
    """

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Write the row of the epoch."""
        with open(self._path, "a+", newline="", encoding="utf-8") as stream:
            stream.seek(0)
            header = next(csv.reader(stream), None)
            columns = header or list(record)
            lacking = [name for name in record if name not in columns]
            if lacking:
                raise ValueError(
                    f"{self._path}: the header has no column {', '.join(lacking)}; write to "
                    "another file, or set append=False"
                )
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            if not header:
                writer.writeheader()
            writer.writerow(record)
        self._note_size()


class JSONLogger(_FileLogger):
    """A callback that writes the record of each epoch as a line of JSON (format JSON Lines).

    NaN and infinities, which JSON cannot represent, become null.

    Parameters
    ----------
    path : str or os.PathLike
        File to write; its directory is created if it is missing.
    append : bool
        Whether to keep the present lines of the file.

    Raises
    ------
    TypeError
        An argument is of the wrong kind.
    OSError
        During the training: the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> import json, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.jsonl")
    ...     history = model.fit(x, y, epochs=2, callbacks=[fastmlp.JSONLogger(path)], verbose=0)
    ...     with open(path) as stream:
    ...         epochs = [json.loads(line)["epoch"] for line in stream]
    >>> epochs
    [1, 2]
    """

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Write the line of the epoch."""
        values = {name: None if _is_no_number(value) else value for name, value in record.items()}
        with open(self._path, "a", newline="\n", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")
        self._note_size()


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class TensorBoard(Callback):
    """A callback that writes the record of each epoch for TensorBoard, through tensorboardX.

    Parameters
    ----------
    log_dir : str or os.PathLike
        Directory of the run. Each training adds a file of events. A resumed training removes from
        earlier files the epochs that it trains again.

    Raises
    ------
    TypeError
        `log_dir` is not a path.
    ImportError
        At the start of a training: tensorboardX is not installed.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.TensorBoard("runs/first")  # for the callbacks of `fit`; needs tensorboardX
    TensorBoard('runs/first')
    """

    writes = True

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = text_path("log_dir", log_dir)
        self._writer: Any = None
        self._file = ""
        self.reset()

    def __repr__(self) -> str:
        return shown_call(self, self._log_dir)

    def reset(self) -> None:
        """Start a new set of files."""
        self._name = os.urandom(6).hex()  # tensorboardX names files by second and machine
        self._files: dict[str, int] = {}

    def state(self) -> dict[str, Any]:
        """Return the name of this training, and its files of events with their sizes."""
        return {"name": self._name, "files": self._files}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._name, self._files = state["name"], dict(state["files"])

    def on_train_begin(self, training: Training) -> None:
        """Open a file of events."""
        try:
            importlib.import_module("tensorboardX")
            files = importlib.import_module("tensorboardX.event_file_writer")
        except ImportError:
            raise ImportError(
                "TensorBoard needs tensorboardX; run \"pip install 'fastmlp[tensorboard]'\""
            ) from None
        self._close()
        self._cut_off()
        suffix = f".{self._name}.{len(self._files)}"
        # Not SummaryWriter: it writes in a thread and does not report when data is written.
        os.makedirs(self._log_dir, exist_ok=True)
        self._writer = files.EventsWriter(os.path.join(self._log_dir, "events"), suffix)
        self._writer.flush()
        self._file = next(name for name in os.listdir(self._log_dir) if name.endswith(suffix))
        self._note_size()

    def _cut_off(self) -> None:
        """Remove the events of this training that follow the point from which it continues."""
        names = os.listdir(self._log_dir) if os.path.isdir(self._log_dir) else []
        for name in names:
            path = os.path.join(self._log_dir, name)
            if f".{self._name}." not in name:
                continue
            if name not in self._files:
                os.unlink(path)
            else:
                # Write a new file: a writer left over from an exception may have the old one open.
                with open(path, "rb") as stream:
                    content = stream.read(self._files[name])
                atomic_write(path, content)

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Write the values of the epoch."""
        summaries = importlib.import_module("tensorboardX.summary")
        event = importlib.import_module("tensorboardX.proto.event_pb2").Event
        for name, value in record.items():
            if name not in ("epoch", "epochs"):
                summary = summaries.scalar(name, value)
                now = time.time()
                self._writer.write_event(
                    event(wall_time=now, step=record["epoch"], summary=summary)
                )
        self._writer.flush()
        self._note_size()

    def on_train_end(self, training: Training) -> None:
        """Close the file of events."""
        self._close()

    def __del__(self) -> None:
        self._close()

    def _note_size(self) -> None:
        size = os.path.getsize(os.path.join(self._log_dir, self._file))
        self._files = {**self._files, self._file: size}

    def _close(self) -> None:
        # Clear the attribute first: an exception may follow, and a writer is closed only once.
        writer, self._writer = getattr(self, "_writer", None), None
        if writer is not None:
            writer.close()
