"""What a run's directory tells in a few values, whatever state the run is in."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp.experiment.rundir import RunDirectory

if TYPE_CHECKING:
    from fastmlp.experiment.schema import Config
    from fastmlp.history import Record

__all__ = ["Difference", "RunSummary", "differences", "files_of", "is_held", "summary_of"]

# The measure that says most about a task, of those that a result may have; larger is better.
MEASURES = ("accuracy", "subset_accuracy", "r2")


@dataclass(frozen=True)
class RunSummary:
    """A run in a few values; None is what is not known, or not yet.

    ``status`` is that of the result, "running" while a process trains, "cut off" without a result,
    or "damaged" with the ``problem``. ``measure`` names the ``value`` reached on ``part``.
    """

    name: str
    path: str
    status: str
    data: str | None = None
    task: str | None = None
    epochs_completed: int | None = None
    epochs: int | None = None
    measure: str | None = None
    value: float | None = None
    part: str | None = None
    monitor: str | None = None
    best_epoch: int | None = None
    best_value: float | None = None
    seconds: float | None = None
    started: str | None = None
    problem: str | None = None


def is_held(path: Path) -> bool:
    """Whether a process trains the run in this directory.

    Raises
    ------
    OSError
        The directory cannot be opened.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A shared lock: two that look at once do not take each other for a training.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(descriptor)
    return False


def summary_of(run: RunDirectory) -> RunSummary:
    """Sum up a run; one that cannot be read is told as damaged, not raised."""
    name, path, status = run.path.name, str(run.path), None
    try:
        status = "running" if is_held(run.path) else None
        config, result, records = run.config(), run.result(), run.records()
        started = run.environment().get("started")
    except (OSError, ValueError) as error:
        return RunSummary(name, path, status or "damaged", problem=str(error))
    test = result.get("test")
    measured = test if isinstance(test, Mapping) and status is None else {}
    measure = next((m for m in MEASURES if _number(measured.get(m)) is not None), None)
    best_epoch, best_value = _best(config.training.monitor or "loss", records)
    return RunSummary(
        name=name,
        path=path,
        status=status or str(result.get("status") or "cut off"),
        data=_text(result.get("dataset")) or Path(config.data.source or "").name or "?",
        task=config.data.task,
        epochs_completed=len(records),
        epochs=config.training.epochs,
        measure=measure,
        value=_number(measured.get(measure)),
        part=_text(result.get("evaluated_on")) if measure else None,
        monitor=config.training.monitor,
        best_epoch=best_epoch,
        best_value=best_value,
        seconds=sum(_number(record.get("seconds")) or 0.0 for record in records),
        started=_text(started),
    )


def _best(monitor: str, records: list[Record]) -> tuple[int | None, float | None]:
    """The best epoch so far, as the training chooses it."""
    from fastmlp.history import BestValue

    best, epoch = BestValue(monitor, "auto"), None
    for record in records:
        if _number(record.get(monitor)) is not None and best.update(record):
            epoch = _number(record.get("epoch"))
    return (None if epoch is None else int(epoch)), best.value


def _number(value: object) -> float | None:
    """A finite number of a JSON file, if it is one."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# ---------------------------------------------------------------- what is particular about a run


@dataclass(frozen=True)
class Difference:
    """A setting of a run that its recipe gives another value; None is none."""

    setting: str
    value: Any
    recipe: Any


def differences(run: RunDirectory) -> list[Difference]:
    """Settings of a run that are not what the recipe makes of the same data.

    Where another optimizer or schedule was chosen, its settings are compared with its defaults.

    Raises
    ------
    FormatError
        The settings cannot be read.
    ValueError
        They contradict each other.
    """
    from fastmlp.experiment.settings import resolve

    config = run.config()
    source = config.data.source
    choices = {name: {"name": getattr(config, name).name} for name in ("optimizer", "schedule")}
    recipe = resolve(source, []).model_dump(mode="json")
    usual = _as_completed(resolve(source, [choices]), run).model_dump(mode="json")
    for name in choices:
        usual[name]["name"] = recipe[name]["name"]
    actual = config.model_dump(mode="json")
    return [
        Difference(f"{section}.{name}", value, usual[section][name])
        for section, values in actual.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value != usual[section][name] and not _is_implied(f"{section}.{name}", value)
    ]


def _is_implied(setting: str, value: Any) -> bool:
    """Whether a run writes a value down that nobody has to ask for."""
    from fastmlp.data.options import TEST_FRACTION, VALIDATION_FRACTION

    implied = {
        "data.test_fraction": (0.0, TEST_FRACTION),
        "data.validation_fraction": (0.0, VALIDATION_FRACTION),
        "data.standardize": (True, False),
    }
    return value in implied.get(setting, ())


def _as_completed(config: Config, run: RunDirectory) -> Config:
    """With what the data of a run decided filled in, where the run's settings are so."""
    from fastmlp.experiment.build import completed

    task = run.config().data.task
    if task == "auto":
        return config
    measured = any("val_loss" in record for record in run.records())
    return completed(config, task, measured=measured)


def files_of(path: Path) -> Iterator[tuple[Path, int]]:
    """Files below a directory and their sizes in bytes; links are not followed."""
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent, name)
            yield file.relative_to(path), os.lstat(file).st_size
