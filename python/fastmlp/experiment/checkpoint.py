"""Checkpoints, from which an interrupted training is resumed; the last two of a run are kept.

A checkpoint is written completely or not at all (`fastmlp._files.atomic_write`), and a digest
covers every byte of it (`fastmlp.model_file`). An older checkpoint is removed only after the newer
one is on disk.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import sweep
from fastmlp.data import Preprocessing
from fastmlp.errors import FormatError
from fastmlp.history import History, Record
from fastmlp.model import MLP
from fastmlp.model_file import read_model, write_model
from fastmlp.stored_model import state_in_file, state_of_file

__all__ = ["Checkpoint", "CheckpointStore"]

Array = npt.NDArray[Any]
KIND = "fastmlp-checkpoint"
GENERATIONS = 2
_NAME = re.compile(r"epoch-(\d{8})\.safetensors")
_WHOLE = ("epoch", "epochs")  # values of a record that are integers
_ALWAYS = ("epoch", "epochs", "loss", "seconds", "learning_rate")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch, or within the next one.

    Attributes
    ----------
    epoch : int
        Number of completed epochs, which may be 0.
    parameters, state : dict of str to array
        Results of `MLP.parameters` and of `MLP.training_state`.
    records : list of dict
        Records of all completed epochs.
    best : dict of str to array or None
        Parameters of the best epoch; None if the best epoch is `epoch`.
    best_epoch : int
        Number of the best epoch; 0 if no epoch was measured.
    preprocessing : Preprocessing or None
        Preprocessing of the model, by which the data of a resumed training is read.
    """

    epoch: int
    parameters: dict[str, Array]
    state: dict[str, Array]
    records: list[Record]
    best: dict[str, Array] | None
    best_epoch: int
    preprocessing: Preprocessing | None = None

    @classmethod
    def of(
        cls,
        model: MLP,
        state: Mapping[str, Array],
        records: Sequence[Record],
        best: dict[str, Array] | None,
        best_epoch: int,
    ) -> Checkpoint:
        """Return a checkpoint of the model after the last of `records`.

        Parameters
        ----------
        model : MLP
        state : mapping of str to array
            Result of `MLP.training_state`.
        records : sequence of dict
            Records of all completed epochs.
        best : dict of str to array or None
            Parameters of the best epoch.
        best_epoch : int
            Number of the best epoch; 0 if no epoch was measured.
        """
        epoch = int(records[-1]["epoch"]) if records else 0
        other = best if best_epoch != epoch else None
        return cls(
            epoch,
            model.parameters(),
            dict(state),
            list(records),
            other,
            best_epoch,
            model.preprocessing,
        )

    def restore(self, model: MLP) -> None:
        """Set this state in a model; ``MLP.fit(resume=True)`` then continues from it.

        Raises
        ------
        ValueError
            The model has another architecture.
        """
        model.set_parameters(self.parameters)
        history = History()
        for record in self.records:
            history.append(record)
        model.history = history
        model.restore_training_state(self.state)

    def save(self, path: Path) -> None:
        """Write the checkpoint to a file."""
        groups = {"parameters": self.parameters, "best": self.best or {}}
        tensors, training_state = state_in_file(self.state)
        tensors |= {
            f"{group}.{name}": array
            for group, arrays in groups.items()
            for name, array in arrays.items()
        }
        for name in self.records[0] if self.records else ():
            tensors[f"records.{name}"] = np.array([r[name] for r in self.records], np.float64)
        config: dict[str, Any] = {
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "training_state": training_state,
        }
        if self.preprocessing is not None:
            config["preprocessing"] = self.preprocessing.config()
            for name, array in self.preprocessing.arrays().items():
                tensors[f"preprocessing.{name}"] = array
        write_model(path, tensors, config, kind=KIND)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint from a file written by `save`.

        Raises
        ------
        FormatError
            The file is damaged or not a checkpoint.
        OSError
            The file cannot be read.
        """
        tensors, config = read_model(path, kind=KIND)
        groups: dict[str, dict[str, Array]] = {
            "parameters": {}, "best": {}, "state": {}, "preprocessing": {},
        }  # fmt: skip
        columns: dict[str, list[float]] = {}
        for name, array in tensors.items():
            group, _, key = name.partition(".")
            if group == "records":
                columns[key] = array.tolist()
            elif group in groups:
                groups[group][key] = array
            else:
                raise FormatError(f"{path}: {name}: is no part of a checkpoint")
        try:
            epoch, best_epoch = int(config["epoch"]), int(config["best_epoch"])
            if "rule" in config:
                raise FormatError(
                    f"{path}: is a checkpoint of an earlier release, without the state of "
                    "schedules and callbacks; resume the run with that release, or train it anew"
                )
            state = state_of_file(groups["state"], config["training_state"])
            preprocessing = None
            if "preprocessing" in config:
                preprocessing = Preprocessing.from_config(
                    config["preprocessing"], groups["preprocessing"]
                )
            rows = zip(*columns.values(), strict=True)
            records = [_record(dict(zip(columns, row, strict=True))) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path}: config: is not that of a checkpoint: {error}") from None
        if len(records) != epoch:
            raise FormatError(f"{path}: records: must be {epoch}, got {len(records)}")
        for name in _ALWAYS:
            if records and name not in columns:
                raise FormatError(f"{path}: records: have no {name}")
        best = groups["best"] or None
        return cls(epoch, groups["parameters"], state, records, best, best_epoch, preprocessing)


def _record(values: dict[str, float]) -> Record:
    return {name: int(value) if name in _WHOLE else value for name, value in values.items()}


class CheckpointStore:
    """The checkpoints of one run.

    Parameters
    ----------
    directory : pathlib.Path
        Directory of the checkpoints; it is created when the first checkpoint is written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove all but the newest two.

        Raises
        ------
        OSError
            The file cannot be written; earlier checkpoints are unchanged.
        """
        self.directory.mkdir(exist_ok=True)
        checkpoint.save(self.directory / f"epoch-{checkpoint.epoch:08d}.safetensors")
        for path in self._files()[GENERATIONS:]:
            with contextlib.suppress(OSError):  # an extra checkpoint is harmless
                path.unlink()

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the latest intact checkpoint, or None, and the errors of damaged ones."""
        problems: list[str] = []
        found: Checkpoint | None = None
        for path in self._files():
            try:
                candidate = Checkpoint.load(path)
            except (FormatError, OSError) as error:
                problems.append(str(error))
                continue
            # A file may have been renamed, so the epoch stored in it is compared.
            if found is None or candidate.epoch > found.epoch:
                found = candidate
        return found, problems

    def clear(self) -> None:
        """Remove all checkpoints and temporary files."""
        for path in self._files():
            path.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove temporary files of writers that were killed."""
        sweep(self.directory)

    def _files(self) -> list[Path]:
        """Return the files of checkpoints, sorted by the epoch in their names, latest first."""
        names = [name for name in self._names() if _NAME.fullmatch(name)]
        return [self.directory / name for name in sorted(names, reverse=True)]

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []
