"""The plan of a cross-validation: its data, divided into folds, and the settings of each fold."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import Options, Part, RawData, Reading, Table
from fastmlp.data.folds import (
    group_codes,
    grouped_folds,
    random_folds,
    require_column,
    time_blocks,
    time_values,
)
from fastmlp.data.table_targets import missing_targets
from fastmlp.data.targets import Targets, learn_targets
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment, prepare_experiment
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import with_absolute_paths
from fastmlp.extras import require
from fastmlp.validation import integer, keep

__all__ = [
    "Division",
    "Fold",
    "Plan",
    "digest",
    "fold_experiment",
    "fold_part",
    "make_plan",
    "reading_of_folds",
    "require_sensible",
]

_MOST_FOLDS = 10_000
# These settings do not change a result, so that a cross-validation may be continued with others.
_FREE = ("threads", "checkpoint_every", "min_accuracy")

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Division:
    """How samples are divided into folds.

    Attributes
    ----------
    folds : int
        Number of folds, at least 2.
    repeats : int
        Number of random divisions.
    group : str or None
        Column of a table whose cells name groups that no division separates.
    time : str or None
        Column of a table that orders the samples in time.
    chooses_epoch : bool
        Whether each fold chooses the epoch of its model, as in bagging, instead of a validation
        part of the other samples. Scores on folds then favor the models a little.
    """

    folds: int = 5
    repeats: int = 1
    group: str | None = None
    time: str | None = None
    chooses_epoch: bool = False

    def __post_init__(self) -> None:
        keep(
            self,
            folds=integer("folds", self.folds, 2),
            repeats=integer("repeats", self.repeats, 1),
        )
        if self.folds * self.repeats > _MOST_FOLDS:
            raise ValueError(
                f"folds x repeats must be at most {_MOST_FOLDS}, got {self.folds} x {self.repeats}"
            )
        for name in ("group", "time"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise TypeError(f"{name} must be the name of a column, got {value!r}")
        if self.time is not None and self.group is not None:
            raise ValueError(
                f"group and time exclude each other, got {self.group!r} and {self.time!r}: blocks "
                "of time separate the samples of a group"
            )
        if self.time is not None and self.repeats > 1:
            raise ValueError(
                f"repeats must be 1 with time, as there is one order of time, got {self.repeats}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that divide the samples and are no inputs."""
        return tuple(name for name in (self.group, self.time) if name is not None)


@dataclass(frozen=True, eq=False)
class Fold:
    """One training: the samples that it learns from, and those that it is tested on.

    `repeat` and `number` count from 1; `train` and `test` are positions in ascending order.
    """

    repeat: int
    number: int
    train: Indices
    test: Indices

    @property
    def name(self) -> str:
        """Name of its directory."""
        return f"{self.repeat}-{self.number}"

    @property
    def label(self) -> str:
        """Name in messages."""
        return f"fold {self.number} of repeat {self.repeat}"


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that the trainings of a cross-validation depend on.

    Attributes
    ----------
    config : Config
        Settings of each fold.
    division : Division
    raw : RawData
        The samples that have targets.
    rows : int64 array of shape (samples,)
        Number of each sample in the source, counted from 1.
    targets : Targets
        The targets of all samples.
    folds : tuple of Fold
        In the order of repeats and numbers.
    definition : dict
        What two cross-validations with equal results have in common, in types of JSON.
    """

    config: Config
    division: Division
    raw: RawData
    rows: Indices
    targets: Targets
    folds: tuple[Fold, ...]
    definition: dict[str, Any]


# ---------------------------------------------------------------- settings


def require_sensible(config: Config, division: Division) -> None:
    """Raise ValueError if settings of a training mean nothing for folds, or contradict them."""
    data = config.data
    if data.test is not None:
        raise ValueError(
            f"test must be left out, as each fold is tested on its own samples, got {data.test!r}; "
            "'fastmlp evaluate' measures the models on further samples"
        )
    if data.test_fraction:
        raise ValueError(
            "test_fraction must be 0 or left out, as each fold is tested on its own samples, got "
            f"{data.test_fraction}"
        )
    if division.chooses_epoch and data.validation_fraction:
        raise ValueError(
            "validation_fraction must be 0 or left out, as each fold chooses the epoch of its "
            f"model, got {data.validation_fraction}"
        )
    if config.training.time_limit is not None and not division.chooses_epoch:
        raise ValueError(
            "time_limit must be left out, as the same number of epochs holds for all folds; epochs "
            "sets it"
        )
    if config.training.tensorboard:
        raise ValueError("tensorboard must be off: the events of folds are not written")
    if division.time is not None and data.stratify and "stratify" in data.model_fields_set:
        raise ValueError("stratify must be left out with time, which alone decides on the folds")
    roles = {
        "the target": data.target, "among the features": data.features,
        "the sample weight": (data.sample_weight,),
    }  # fmt: skip
    for what, name in (("group", division.group), ("time", division.time)):
        for role, names in roles.items():
            if name is not None and name in names:
                raise ValueError(f"{what} must be a column of its own, {name!r} is {role}")


def reading_of_folds(config: Config, division: Division) -> Reading:
    """Return how the data is read: as for a training, with the columns that divide it as text."""
    reading = build.reading(config.data, "a cross-validation")
    columns = frozenset(division.columns)
    texts, used = reading.as_text, reading.used
    return replace(
        reading,
        as_text=None if texts is None else texts | columns,
        unused=reading.unused - columns,
        used=None if used is None else used | columns,
    )


def _settings_of_folds(config: Config, division: Division, raw: RawData) -> Config:
    data = config.data
    others = [name for name in division.columns if name not in data.exclude]
    validation = data.validation_fraction
    if division.chooses_epoch:
        validation = 0.0
    elif validation is None and raw.test is not None:
        validation = 0.0  # as in a training on a source with a test part of its own
    changed = data.model_copy(
        update={
            "exclude": (*data.exclude, *others),
            "test_fraction": 0.0,
            "validation_fraction": validation,
        }
    )
    return with_absolute_paths(config.model_copy(update={"data": changed}))


# ---------------------------------------------------------------- division


def make_plan(config: Config, raw: RawData, division: Division) -> Plan:
    """Divide the samples of a source into folds.

    Parameters
    ----------
    config : Config
        Settings of a training.
    raw : RawData
        Contents of the source, read with `reading_of_folds`. A test part of its own is left out.
    division : Division

    Raises
    ------
    FormatError
        A target, group or time is missing or cannot be read.
    ValueError
        The settings or the division do not fit the data.
    """
    require_sensible(config, division)
    for what, name in (("group", division.group), ("time", division.time)):
        if name is not None:
            require_column(_table(raw, what, name), what, name)
    settings = _settings_of_folds(config, division, raw)
    options = build.data_options(build.with_targets_as_needed(settings))
    digests = raw.sha256 or {"data": digest(raw.train)}
    all_rows = raw.train
    raw, targets = learn_targets(replace(raw, test=None), options, [])
    rows = np.arange(1, len(all_rows.x) + 1)
    if isinstance(all_rows.x, Table) and len(raw.train.x) != len(all_rows.x):
        tokens = {column.name: column.missing for column in targets.schema or ()}
        rows = rows[~missing_targets(all_rows.x, tokens)]
    folds = _folds(raw, options, targets, division)
    definition = _definition(settings, division, digests)
    return Plan(settings, division, raw, rows, targets, folds, definition)


def _folds(
    raw: RawData, options: Options, targets: Targets, division: Division
) -> tuple[Fold, ...]:
    if division.time is not None:
        times = time_values(_table(raw, "time", division.time), division.time, options)
        blocks = time_blocks(times, division.folds)
        return tuple(
            Fold(1, number, np.flatnonzero(blocks < number), np.flatnonzero(blocks == number))
            for number in range(1, division.folds + 1)
        )
    groups = None
    if division.group is not None:
        groups = group_codes(_table(raw, "group", division.group), division.group, options)
    labels = targets.codes if options.stratify else None
    if labels is not None and groups is None:
        _require_members(labels, targets, division.folds)
    folds = []
    for repeat in range(1, division.repeats + 1):
        if groups is None:
            assigned = random_folds(
                len(raw.train.x), labels, division.folds, options.split_seed, draw=repeat
            )
        else:
            assigned = grouped_folds(
                groups, labels, division.folds, options.split_seed, draw=repeat
            )
        for number in range(division.folds):
            test = assigned == number
            fold = Fold(repeat, number + 1, np.flatnonzero(~test), np.flatnonzero(test))
            folds.append(fold)
    return tuple(folds)


def _table(raw: RawData, what: str, name: str) -> Table:
    if not isinstance(raw.train.x, Table):
        raise ValueError(
            f"{what} names a column of a table ({name!r}), but {raw.name} holds arrays"
        )
    return raw.train.x


def _require_members(labels: Indices, targets: Targets, folds: int) -> None:
    counts = np.bincount(labels, minlength=len(targets.class_names or ()))
    present = np.flatnonzero(counts)
    if folds > len(labels):
        return  # told by `random_folds`
    rarest = int(present[np.argmin(counts[present])])
    if counts[rarest] < folds:
        name = (targets.class_names or ())[rarest]
        raise ValueError(
            f"folds must be at most {counts[rarest]}, the number of samples of the class {name!r}, "
            f"so that each fold has one, got {folds}; --no-stratify allows folds without it"
        )


# ---------------------------------------------------------------- folds


def fold_part(raw: RawData, rows: Indices) -> Part:
    """Return some of the samples of a source."""
    part = raw.train
    x = part.x.rows(rows) if isinstance(part.x, Table) else part.x[rows]
    return Part(x, None if part.y is None else part.y[rows])


def fold_experiment(plan: Plan, fold: Fold) -> Experiment:
    """Return the experiment of a fold, which holds nothing of the samples that it is tested on.

    If the fold chooses the epoch, its samples are the validation part, and serve nothing else.

    Raises
    ------
    FormatError, ValueError
        The training part of the fold cannot be learned from.
    """
    raw = replace(plan.raw, train=fold_part(plan.raw, fold.train), test=None)
    if not plan.division.chooses_epoch:
        return prepare_experiment(plan.config, raw, whole=plan.raw.train)
    data = plan.config.data.model_copy(update={"test_fraction": None})
    config = plan.config.model_copy(update={"data": data})
    raw = replace(raw, test=fold_part(plan.raw, fold.test))
    return prepare_experiment(config, raw, whole=plan.raw.train).with_test_as_validation()


# ---------------------------------------------------------------- definition


def _definition(config: Config, division: Division, digests: Mapping[str, str]) -> dict[str, Any]:
    from fastmlp._version import __version__

    settings = config.values()
    for name in _FREE:
        settings["training"].pop(name, None)
    content = {
        "version": __version__,
        **vars(division),
        "data_sha256": dict(digests),
        "settings": settings,
    }
    return dict(json.loads(json.dumps(content)))


def digest(part: Part) -> str:
    """Return a digest of samples in memory; of a table with all its columns."""
    found = hashlib.sha256()
    if isinstance(part.x, Table):
        polars = require("data", "polars")
        buffer = io.BytesIO()
        polars.DataFrame(list(part.x.columns.values())).rechunk().write_ipc(buffer)
        found.update(buffer.getbuffer())
        return found.hexdigest()
    for array in (part.x, part.y):
        values = np.asarray(array)
        found.update(f"{values.dtype.str} {values.shape}".encode())
        if values.dtype == object:
            found.update(repr(values.tolist()).encode())
        else:
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
