"""Bagging over folds: models that are each trained without one fold, which chooses their epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastmlp.data import Part, RawData, Table
from fastmlp.data.options import TEST_FRACTION, Options
from fastmlp.data.split import split
from fastmlp.data.table_targets import missing_targets
from fastmlp.data.targets import learn_targets
from fastmlp.errors import FormatError
from fastmlp.experiment import build
from fastmlp.experiment.bagging import BaggedModel
from fastmlp.experiment.cross_validation import usual_processes
from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.folds import (
    Division,
    Indices,
    Plan,
    fold_experiment,
    fold_part,
    make_plan,
)
from fastmlp.experiment.runner import read_data
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import read_settings, with_absolute_paths
from fastmlp.experiment.sweep import sharing_threads
from fastmlp.experiment.time_limit import within_time_limit

__all__ = ["Bagging", "bagging_of", "make_bagging", "plan_within_time_limit", "sets_aside"]


@dataclass(frozen=True, eq=False)
class Bagging:
    """A plan of trainings on folds, and the samples that none of them sees.

    Attributes
    ----------
    plan : Plan
    test : Part or None
        Samples to measure the models together on; None if there are none.
    """

    plan: Plan
    test: Part | None

    def measured(self, model: BaggedModel) -> Evaluation | None:
        """Measure the models together on the test part."""
        if self.test is None:
            return None
        return model.evaluate_part(self.test, class_names=self.plan.raw.class_names)


def make_bagging(config: Config, raw: RawData, folds: int) -> Bagging:
    """Set aside the test part as for a single training, and divide the rest into folds.

    Parameters
    ----------
    config : Config
        Settings of a training.
    raw : RawData
        Contents of its source, with a test part of its own or without.
    folds : int

    Raises
    ------
    FormatError
        A target is missing or cannot be read.
    ValueError
        The settings or the folds do not fit the data.
    """
    data = config.data
    options = build.data_options(build.with_targets_as_needed(config))
    if raw.test is not None and data.test_fraction:
        raise ValueError(
            f"test_fraction must be 0 or left out, as {raw.name} has a test part of its own, got "
            f"{data.test_fraction}"
        )
    rest, test, rows = raw, raw.test, None
    share = 0.0
    if raw.test is None:
        share = TEST_FRACTION if data.test_fraction is None else data.test_fraction
        rest, test, rows = _without_test_part(raw, options, share)
    own = data.model_copy(update={"test": None, "test_fraction": 0.0})
    plan = make_plan(
        config.model_copy(update={"data": own}), rest, Division(folds, chooses_epoch=True)
    )
    if rows is not None:
        plan = replace(plan, rows=rows[plan.rows - 1])
    test_file = with_absolute_paths(config).data.test
    held_out = {"test_fraction": share, "split_seed": data.split_seed, "test": test_file}
    definition = {**plan.definition, **json.loads(json.dumps({"test_part": held_out}))}
    return Bagging(replace(plan, definition=definition), test)


def sets_aside(directory: CrossValidationDirectory) -> bool:
    """Return whether the networks of a directory were trained without a test part."""
    return isinstance(directory.definition().get("test_part"), dict)


def bagging_of(
    directory: CrossValidationDirectory, report: Callable[[str], None] | None = None
) -> Bagging:
    """Read the data of a directory again, and divide it as for its trainings.

    Raises
    ------
    FormatError
        A file of the directory is damaged, or the data has changed.
    OSError
        The data cannot be read.
    ValueError
        The directory set no samples aside.
    """
    definition = directory.definition()
    held_out = definition.get("test_part")
    if not isinstance(held_out, dict):
        raise ValueError(f"{directory.path}: a cross-validation sets no samples aside")
    settings = dict(read_settings(directory.config_path))
    parts = {name: value for name, value in held_out.items() if value is not None}
    settings["data"] = {**settings["data"], **parts}
    config = Config.checked(settings)
    bagging = make_bagging(config, read_data(config, report), int(definition["folds"]))
    if definition.get("data_sha256") != bagging.plan.definition["data_sha256"]:
        raise FormatError(f"{directory.path}: the data has changed since the training")
    return bagging


def plan_within_time_limit(plan: Plan, directory: CrossValidationDirectory) -> tuple[Plan, str]:
    """Choose the number of epochs by ``training.time_limit``, once for a directory.

    The networks are trained in rounds, of one network for each process, which share the time.

    Returns
    -------
    plan : Plan
        The same plan with the number of epochs in place of the limit.
    note : str
        What was chosen; empty without a limit, or if it was chosen before.
    """
    limit = plan.config.training.time_limit
    if limit is None:
        return plan, ""
    epochs, note = directory.epochs, ""
    if epochs is None:
        processes = usual_processes(len(plan.folds))
        rounds = math.ceil(len(plan.folds) / processes)
        training = plan.config.training.model_copy(update={"time_limit": limit / rounds})
        config = plan.config.model_copy(update={"training": training})
        trial = replace(plan, config=sharing_threads(config, processes))
        experiment, note = within_time_limit(fold_experiment(trial, plan.folds[0]))
        epochs = experiment.config.training.epochs or 1
    return directory.set_epochs(plan, epochs), note


def _without_test_part(
    raw: RawData, options: Options, share: float
) -> tuple[RawData, Part | None, Indices]:
    """Return the source without a test part, that part, and the numbers of the rows left."""
    whole = raw.train
    raw, targets = learn_targets(raw, options, [])
    numbers = np.arange(1, len(whole.x) + 1)
    if isinstance(whole.x, Table) and len(raw.train.x) != len(whole.x):
        tokens = {column.name: column.missing for column in targets.schema or ()}
        numbers = numbers[~missing_targets(whole.x, tokens)]
    labels = targets.codes if options.stratify else None
    rest, taken = split(len(raw.train.x), labels, share, options.split_seed, draw=0)
    test = fold_part(raw, taken) if len(taken) else None
    return replace(raw, train=fold_part(raw, rest)), test, numbers[rest]
