"""Cross-validation: the folds of a plan trained, measured and put together."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp import _core
from fastmlp.data import Table
from fastmlp.experiment.bagging import BaggedModel
from fastmlp.experiment.cross_validation_directory import CrossValidationDirectory
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.fitting import config_of, raw_data, refuse_file_settings, targets_apart
from fastmlp.experiment.fold_results import (
    Answers,
    CrossValidation,
    FoldResult,
    answer_fold,
    result_of,
)
from fastmlp.experiment.fold_training import is_trained, train_folds
from fastmlp.experiment.folds import (
    Division,
    Fold,
    Plan,
    fold_experiment,
    make_plan,
    reading_of_folds,
    require_sensible,
)
from fastmlp.experiment.keywords import (
    columns_to_keep_as_text,
    require_known,
    settings_by_keyword,
)
from fastmlp.experiment.sweep import sharing_threads
from fastmlp.validation import integer

__all__ = ["CrossValidation", "cross_validate", "fold_line", "run_folds"]


# The measures of a line about a fold, and how they are shown.
_SHOWN = {"accuracy": ".2%", "subset_accuracy": ".2%", "rmse": ".6g", "r2": ".6g", "loss": ".6g"}
# Beginnings of notes that hold for one fold alone.
_OF_ONE_FOLD = ("split:", "unknown categories:")


# ---------------------------------------------------------------- running


def usual_processes(folds: int) -> int:
    """Return how many folds are trained at a time by default: one for each CPU."""
    return max(1, min(folds, _core.available_threads()))


def run_folds(
    plan: Plan,
    directory: CrossValidationDirectory,
    *,
    processes: int | None = None,
    listener: Callable[[FoldResult], object] = lambda result: None,
    announce: Callable[[tuple[str, ...]], object] = lambda notes: None,
    measure: Callable[[BaggedModel], Evaluation | None] = lambda model: None,
) -> CrossValidation:
    """Train the folds that are not trained yet, measure all, and write the result.

    Parameters
    ----------
    plan : Plan
    directory : CrossValidationDirectory
        Directory that `begin` has prepared; it must be locked.
    processes : int, optional
        Number of folds at a time; by default one for each CPU. The result does not depend on it.
    listener : callable
        Function that is called with the result of each fold, finished ones first.
    announce : callable
        Function that is called with the decisions about the data, before anything is trained.
    measure : callable
        Function that measures the models together on samples that none of them has seen.

    Raises
    ------
    WorkerError
        A process was ended from outside.
    DivergedError, FormatError, OSError, ValueError
        A training failed. Finished folds stay, and the same call continues.
    """
    path, answers = directory.path, Answers()

    def answer(fold: Fold) -> None:
        answer_fold(plan, fold, path, answers)
        listener(answers.results[fold])

    # Errors of settings are raised here, before processes start.
    first = fold_experiment(plan, plan.folds[0])
    first.new_model()
    notes = tuple(note for note in first.prepared.notes if not note.startswith(_OF_ONE_FOLD))
    announce(notes)
    trained = [fold for fold in plan.folds if is_trained(path, fold)]
    for fold in trained:
        answer(fold)
    pending = [fold for fold in plan.folds if fold not in trained]
    if pending:
        count = min(usual_processes(len(pending)) if processes is None else processes, len(pending))
        shared = plan
        if count > 1:
            shared = replace(plan, config=sharing_threads(plan.config, count))
        train_folds(shared, pending, path, count, answer)
    result = replace(result_of(plan, path, answers), notes=notes)
    measured = measure(result.model)
    directory.write(plan, result, None if measured is None else measured.as_json())
    return result


# ---------------------------------------------------------------- the function


def cross_validate(
    data: Any,
    y: Any = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    group: str | None = None,
    time: str | None = None,
    processes: int | None = None,
    directory: str | PathLike[str] | None = None,
    verbose: int = 1,
    **settings: Any,
) -> CrossValidation:
    """Train and test a model on each fold of the data.

    Every fold learns its preprocessing from its own training part and is trained as `Model.fit`
    would train on that part; its share ``validation_fraction`` chooses the epoch. The samples that
    it is tested on play no part in it.

    Parameters
    ----------
    data, y
        Samples with their target, as for `Model.fit`. Of a source with a test part of its own, the
        training part is divided.
    folds : int
        Number of folds, at least 2.
    repeats : int
        Number of random divisions into folds, each another one.
    group : str, optional
        Column whose cells name groups, such as patients; no fold is tested on a group that it was
        trained on. The column is no input.
    time : str, optional
        Column of dates or numbers that orders the samples: each fold is trained on the past and
        tested on the time that follows. The column is no input.
    processes : int, optional
        Number of folds that are trained at the same time; by default one for each CPU. The result
        is the same for any number.
    directory : str or os.PathLike, optional
        Directory for models, tables and the state of the trainings. The same call continues what
        was interrupted. By default nothing is kept.
    verbose : int
        0 prints nothing, 1 prints decisions and a line per fold to standard error.
    **settings
        The settings of `Model`. Folds of classes hold equal shares of each unless
        ``stratify=False``; ``split_seed`` draws the folds.

    Returns
    -------
    CrossValidation
        Scores with their intervals, predictions for each sample by a model that has not seen it,
        and the models of the folds as one.

    Raises
    ------
    FormatError
        The data is damaged, or values in it cannot be used.
    TypeError, ValueError
        The data does not fit the settings or the folds.
    DivergedError
        A training diverged.

    Examples
    --------
    >>> import fastmlp
    >>> result = fastmlp.cross_validate("moons", folds=3, epochs=10, processes=1, verbose=0)
    >>> [fold.test for fold in result.folds], result.scores["accuracy"].mean > 0.8
    ([334, 333, 333], True)
    >>> result.model
    BaggedModel(classification, 3 models)
    """
    own = inspect.signature(cross_validate).parameters
    require_known(settings, {*settings_by_keyword(), *own}, "cross_validate")
    division = Division(folds, repeats, group, time)
    if processes is not None:
        processes = integer("processes", processes, 1)
    plan = _plan_of(data, y, division, settings)
    with _place(directory) as place:
        place.begin(plan)
        with place.locked():
            result = run_folds(plan, place, processes=processes, **_reports(plan, verbose))
    return result if directory is not None else replace(result, directory=None)


def _plan_of(data: Any, y: Any, division: Division, settings: Mapping[str, Any]) -> Plan:
    source = os.fspath(data) if isinstance(data, (str, PathLike)) else None
    if source is None:
        refuse_file_settings(settings)
    targets = targets_apart(data, y)
    arrays = isinstance(data, np.ndarray)
    config = config_of(settings, source, targets, arrays=arrays, tests=True)
    require_sensible(config, division)
    reading = reading_of_folds(config, division)
    if reading.as_text is not None:
        reading = replace(reading, as_text=reading.as_text | columns_to_keep_as_text(settings))
    raw = raw_data(data, y, reading, config.data.data_dir)
    if isinstance(raw.train.x, Table):
        config = config_of(settings, source, targets, raw.train.x.names, tests=True)
    return make_plan(config, raw, division)


@contextlib.contextmanager
def _place(directory: str | PathLike[str] | None) -> Iterator[CrossValidationDirectory]:
    if directory is not None:
        yield CrossValidationDirectory(Path(os.path.expanduser(directory)))
        return
    with tempfile.TemporaryDirectory(prefix="fastmlp-") as path:
        yield CrossValidationDirectory(Path(path))


def _reports(plan: Plan, verbose: int) -> dict[str, Any]:
    if not verbose:
        return {}

    def announce(notes: tuple[str, ...]) -> None:
        for note in notes:
            print(note, file=sys.stderr)

    def show(result: FoldResult) -> None:
        print(fold_line(result, plan.division), file=sys.stderr)

    return {"announce": announce, "listener": show}


def fold_line(result: FoldResult, division: Division) -> str:
    """Return the line about a fold that is finished."""
    which = f"fold {result.fold}"
    if division.repeats > 1:
        which += f" of repeat {result.repeat}"
    which += ": validation " if division.chooses_epoch else ": "
    shown = ", ".join(
        f"{name.replace('_', ' ')} {result.measures[name]:{form}}"
        for name, form in _SHOWN.items()
        if name in result.measures
    )
    line = f"{which}{shown}; {result.epochs} epochs, {result.seconds:.1f} s"
    if result.unknown:
        line += f"; its training part lacks the classes {', '.join(result.unknown)}"
    return line
