"""What training measures, epoch by epoch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

__all__ = ["History", "Record", "epoch_line"]

Record = dict[str, Any]


@dataclass
class History:
    """What training measured, one entry per epoch.

    ``loss`` and ``accuracy`` are means over the samples as they were seen, each before the step
    that it caused. A list stays empty when its quantity does not exist: accuracy for regression,
    ``val_*`` without validation data. ``epoch_seconds`` excludes validation and callbacks.
    ``ending`` tells what ended `LBFGS`, see there; it is empty for other optimizers. Neither is
    part of a saved model, so that the same training makes the same file: after `fastmlp.load`
    ``epoch_seconds`` has the epochs since.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    ending: str = ""

    def append(self, record: Record) -> None:
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            if name in record:
                getattr(self, name).append(record[name])
        self.epoch_seconds.append(record["seconds"])

    def with_record(self, record: Record) -> History:
        """This history and one epoch more; it is not changed itself."""
        longer = copy.deepcopy(self)
        longer.append(record)
        return longer


def epoch_line(record: Record) -> str:
    """One line of text for a record, as `MLP.fit` prints it."""
    parts = [f"epoch {record['epoch']}/{record['epochs']}", f"{record['seconds']:.2f} s"]
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    parts += [f"{name} {record[name]:.4f}" for name in names if name in record]
    return "  ".join(parts)
