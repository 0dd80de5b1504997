"""The result of a cross-validation: measures of folds, and answers of models for unseen samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import Part, Preprocessing, Samples, Table
from fastmlp.data.array_targets import target_arrays, value_matrix
from fastmlp.data.table_targets import values_of_columns
from fastmlp.errors import FormatError
from fastmlp.experiment.bagging import Averages, BaggedModel
from fastmlp.experiment.evaluation import evaluation_of
from fastmlp.experiment.fold_training import fold_directory, fold_model_path
from fastmlp.experiment.folds import Fold, Plan, fold_part
from fastmlp.experiment.intervals import Score, score_of
from fastmlp.experiment.serving import evaluate_part
from fastmlp.model import load_mlp

__all__ = ["Answers", "CrossValidation", "FoldResult", "answer_fold", "result_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FoldResult:
    """Measures of one fold on the samples that it was tested on.

    Attributes
    ----------
    repeat, fold : int
        Numbers of the repeat and of the fold, from 1.
    training, test : int
        Numbers of samples, those that choose the epoch among the first.
    epochs : int
        Number of epochs.
    best_epoch : int or None
        The epoch that was kept, if a validation part chose it.
    seconds : float
        Time of the epochs.
    measures : dict of str to float
        Loss and metrics, as `Evaluation` names them.
    unknown : tuple of str
        Classes of the test part that the training part lacks. Their samples count as errors, and
        not in the loss.
    """

    repeat: int
    fold: int
    training: int
    test: int
    epochs: int
    best_epoch: int | None
    seconds: float
    measures: dict[str, float]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """The result of a cross-validation.

    Attributes
    ----------
    task : str
        "classification", "multilabel" or "regression".
    folds : tuple of FoldResult
        In the order of repeats and folds.
    scores : dict of str to Score
        Mean, standard deviation and 95 % interval of each measure over the folds.
    out_of_fold : dict of str to array
        A row for each test of a sample, in the order of the samples and repeats: columns row
        (counted from 1), repeat, fold, target, prediction, and p(class) for each class or label.
    predictions : dict of str to array
        A row for each sample that was tested: the same columns without repeat and fold, with the
        means over the repeats.
    model : BaggedModel
        The models of all folds together.
    directory : pathlib.Path or None
        Where its files are; None if it kept none.
    notes : tuple of str
        Decisions about the data that the settings left open, one line each.

    Examples
    --------
    >>> import fastmlp
    >>> settings = {"epochs": 5, "processes": 1, "verbose": 0}
    >>> result = fastmlp.cross_validate("iris", folds=3, **settings)
    >>> list(result.out_of_fold)[:5], len(result.predictions["row"])
    (['row', 'repeat', 'fold', 'target', 'prediction'], 150)
    >>> score = result.scores["accuracy"]
    >>> score.low < score.mean < score.high
    True
    """

    task: str
    folds: tuple[FoldResult, ...]
    scores: dict[str, Score]
    out_of_fold: dict[str, Array]
    predictions: dict[str, Array]
    model: BaggedModel
    directory: Path | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={score.mean:.6g} [{score.low:.6g}, {score.high:.6g}]"
            for name, score in self.scores.items()
        )
        return f"CrossValidation({self.task}, {len(self.folds)} folds, {shown})"

    def as_json(self) -> dict[str, Any]:
        """Return scores and folds in types that JSON can represent."""
        return {
            "task": self.task,
            "scores": {name: vars(score) for name, score in self.scores.items()},
            "folds": [{**vars(one), "unknown": list(one.unknown)} for one in self.folds],
        }


# ---------------------------------------------------------------- answers


@dataclass
class Answers:
    """The answers of the folds so far, and their measures."""

    results: dict[Fold, FoldResult] = field(default_factory=dict)
    averages: dict[Fold, Averages] = field(default_factory=dict)


def answer_fold(plan: Plan, fold: Fold, path: Path, answers: Answers) -> None:
    """Let the model of a finished fold answer for its test part, and measure it."""
    network = load_mlp(fold_model_path(path, fold))
    bag = BaggedModel([network])
    part = fold_part(plan.raw, fold.test)
    try:
        averages = bag.averages(part.x)
        if averages.problems is not None and len(averages.problems):
            raise averages.problems.error()
        measures, unknown = _measures(plan, fold, bag, averages, part)
    except FormatError as error:
        raise FormatError(f"{fold.label}: {error}") from error
    stored = fold_directory(path, fold).result()
    answers.averages[fold] = _for_all_classes(plan, bag, averages)
    answers.results[fold] = FoldResult(
        fold.repeat, fold.number, len(fold.train), len(fold.test),
        int(stored.get("epochs", 0)),
        stored.get("best_epoch") if stored.get("selected") == "best" else None,
        float(stored.get("training_seconds") or 0.0),
        measures, unknown,
    )  # fmt: skip


def _measures(
    plan: Plan, fold: Fold, bag: BaggedModel, averages: Averages, part: Part
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return loss and metrics of a fold, and the classes that its model does not know."""
    network, names = bag.networks[0], plan.raw.class_names
    if plan.targets.codes is None:
        measured = evaluate_part(network, part, class_names=names)
        return {"loss": measured.loss, **measured.metrics}, ()
    every = plan.targets.class_names or ()
    known = np.isin(np.array(every, object), np.array(bag.class_names, object))
    codes = plan.targets.codes[fold.test]
    is_known = known[codes]
    if is_known.all():
        measured = evaluate_part(network, part, class_names=names)
        return {"loss": measured.loss, **measured.metrics}, ()
    loss = math.nan
    if is_known.any():
        rows = fold.test[is_known]
        loss = evaluate_part(network, fold_part(plan.raw, rows), class_names=names).loss
    whole = _for_all_classes(plan, bag, averages)
    metrics = _metrics_of_classes(plan, bag, whole, part, codes)
    unknown = sorted({str(every[code]) for code in codes[~is_known].tolist()})
    return {"loss": loss, **metrics}, tuple(unknown)


def _metrics_of_classes(
    plan: Plan, bag: BaggedModel, averages: Averages, part: Part, codes: Array
) -> dict[str, float]:
    names = plan.targets.class_names
    pre = Preprocessing("classification", 1, class_names=names)
    assert averages.decided is not None
    weight = bag.preprocessing.weights(part)
    samples = Samples(averages.values, codes, weight)
    return evaluation_of(pre, samples, averages.decided).metrics


def _for_all_classes(plan: Plan, bag: BaggedModel, averages: Averages) -> Averages:
    """Return outputs for all classes of the data, of which a fold may not know some."""
    every = plan.targets.class_names
    if plan.targets.codes is None or bag.class_names == every or every is None:
        return averages
    places = np.array([every.index(name) for name in bag.class_names or ()], np.int64)
    values = np.zeros((len(averages.values), len(every)), averages.values.dtype)
    values[:, places] = averages.values
    assert averages.decided is not None
    return Averages(values, places[averages.decided])


# ---------------------------------------------------------------- putting together


def result_of(plan: Plan, path: Path, answers: Answers) -> CrossValidation:
    results = tuple(answers.results[fold] for fold in plan.folds)
    share = math.fsum(len(f.test) / len(f.train) for f in plan.folds) / len(plan.folds)
    scores = {
        name: score_of([one.measures[name] for one in results], share, _bounds(name))
        for name in results[0].measures
    }
    bag = BaggedModel([load_mlp(fold_model_path(path, fold)) for fold in plan.folds])
    return CrossValidation(
        plan.targets.task,
        results,
        scores,
        _out_of_fold(plan, bag, answers),
        _mean_over_repeats(plan, bag, answers),
        bag,
        path,
    )


def _out_of_fold(plan: Plan, bag: BaggedModel, answers: Answers) -> dict[str, Array]:
    averages = [answers.averages[fold] for fold in plan.folds]
    decided = None
    if averages[0].decided is not None:
        decided = np.concatenate([one.decided for one in averages if one.decided is not None])
    values = np.concatenate([one.values for one in averages])
    tested = np.concatenate([fold.test for fold in plan.folds])
    repeats = np.concatenate([np.full(len(f.test), f.repeat) for f in plan.folds])
    numbers = np.concatenate([np.full(len(f.test), f.number) for f in plan.folds])
    order = np.lexsort((numbers, repeats, tested))
    ordered = Averages(values[order], None if decided is None else decided[order])
    return {
        "row": plan.rows[tested[order]],
        "repeat": repeats[order],
        "fold": numbers[order],
        **_targets(plan, tested[order]),
        **_columns(plan, bag, ordered),
    }


def _mean_over_repeats(plan: Plan, bag: BaggedModel, answers: Answers) -> dict[str, Array]:
    first = answers.averages[plan.folds[0]]
    if plan.division.repeats == 1:
        table = _out_of_fold(plan, bag, answers)
        return {name: held for name, held in table.items() if name not in ("repeat", "fold")}
    total = np.zeros((len(plan.raw.train.x), first.values.shape[1]))
    count = np.zeros(len(total), np.int64)
    for fold in plan.folds:  # in a fixed order, so that sums have the same bits
        total[fold.test] += answers.averages[fold].values
        count[fold.test] += 1
    tested = np.flatnonzero(count)
    means = Averages(total[tested] / count[tested, None])
    return {
        "row": plan.rows[tested], **_targets(plan, tested), **_columns(plan, bag, means)
    }  # fmt: skip


def _columns(plan: Plan, bag: BaggedModel, averages: Averages) -> dict[str, Array]:
    """Return mean outputs for all classes of the data as columns."""
    answers = bag.answers(
        averages, probabilities=bag.has_probabilities, class_names=plan.targets.class_names
    )
    return {**answers.columns, **(answers.probabilities or {})}


def _targets(plan: Plan, rows: Array) -> dict[str, Array]:
    """Return the targets of samples in the form of the predictions beside them."""
    targets = plan.targets
    if targets.codes is not None:
        names = np.array(targets.class_names, object)
        return {"target": names[targets.codes[rows]]}
    values = _values(plan)[rows]
    if targets.task == "multilabel":
        names = np.array(targets.class_names, object)
        joined = [";".join(names[row > 0]) for row in values]
        return {"target": np.array(joined, object)}
    if values.shape[1] == 1:
        return {"target": values[:, 0]}
    columns = zip(targets.names, values.T, strict=True)
    return {f"target({name})": column for name, column in columns}


def _values(plan: Plan) -> Array:
    """Return labels or quantities of all samples as they are in the source."""
    if isinstance(plan.raw.train.x, Table):
        return values_of_columns(plan.raw.train.x, plan.targets.schema or ())[0]
    return value_matrix(target_arrays(plan.raw.train))


def _bounds(name: str) -> tuple[float, float]:
    """Return the range of a measure of a result."""
    if name.endswith(("accuracy", "precision", "recall", "f1")):
        return 0.0, 1.0
    if name == "r2":
        return -math.inf, 1.0
    return (-math.inf if name == "loss" else 0.0), math.inf
