"""Importance of columns: how much worse a model predicts when the cells of one are permuted.

Because a model reads every cell by its schema, permuting the cells of a column is the same as
permuting the inputs that the column makes. A table is therefore encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._system import cpu_count
from fastmlp.data import Part, Preprocessing, RawData, Samples, Table
from fastmlp.data.frames import are_rows
from fastmlp.experiment.bagging import BaggedModel
from fastmlp.experiment.evaluation import has_probabilities
from fastmlp.experiment.fitting import raw_data
from fastmlp.experiment.pipeline import Model
from fastmlp.experiment.serving import (
    complete_rows,
    faults_of_samples,
    labeled_part,
    labeled_samples,
    part_of,
    plain_preprocessing,
    weights_of_part,
)
from fastmlp.metrics import Metric, get_metric
from fastmlp.model import MLP
from fastmlp.validation import finite_array, integer

__all__ = [
    "Importance",
    "affordable_samples",
    "importance_of",
    "importance_of_bag",
    "permutation_importance",
    "score_of",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Inputs = Sequence[Array]
Permutations = npt.NDArray[np.int64]

_USUAL_METRICS = {"classification": "accuracy", "multilabel": "accuracy", "regression": "r2"}
# Multiplications of a measurement that nobody asked for: less than a second on two cores.
_AFFORDABLE = 6e9
_MOST_AFFORDABLE_ROWS, _FEWEST_ROWS = 2000, 100
# Threads have a copy of the samples each.
_MOST_COPIED_BYTES = 1 << 29


@dataclass(frozen=True, repr=False, eq=False)
class Importance:
    """How much worse a model predicts when the cells of a column are permuted.

    Attributes
    ----------
    metric : str
        Name of the metric.
    score : float
        Value of the metric on the samples as they are.
    samples : int
        Number of samples.
    names : tuple of str
        Names of the columns, in their order.
    values : float64 array of shape (columns, repeats)
        Loss of score of each permutation: the score minus that of the permuted samples, or the
        reverse where smaller is better. Near 0 the column does not matter.
    """

    metric: str
    score: float
    samples: int
    names: tuple[str, ...]
    values: Floats

    @property
    def means(self) -> Floats:
        """Mean loss of score of each column, of shape (columns,)."""
        with np.errstate(invalid="ignore"):
            means: Floats = self.values.mean(axis=1)
        return means

    @property
    def deviations(self) -> Floats:
        """Population standard deviation of the loss of score of each column."""
        with np.errstate(invalid="ignore"):  # of infinite values it is NaN
            deviations: Floats = self.values.std(axis=1)
        return deviations

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Positions of the columns, the most important one first."""
        return np.argsort(-self.means, kind="stable")

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        """Return a table with a line for each column, the most important one first."""
        rows = [
            (self.names[i], f"{self.means[i]:.4f}", f"{self.deviations[i]:.4f}") for i in self.order
        ]
        width = max(len("column"), *(len(name) for name, _, _ in rows))
        head = f"loss of {self.metric} ({self.score:.4f} on {self.samples:,} samples)"
        lines = [f"{name:<{width}}  {mean:>8} ± {spread}" for name, mean, spread in rows]
        return "\n".join([head, *lines])

    def as_json(self) -> dict[str, Any]:
        """Return all in types that JSON can represent, the most important column first."""
        return {
            "metric": self.metric,
            "score": self.score,
            "samples": self.samples,
            "columns": [
                {
                    "column": self.names[i],
                    "mean": float(self.means[i]),
                    "deviation": float(self.deviations[i]),
                    "values": self.values[i].tolist(),
                }
                for i in self.order
            ],
        }


def permutation_importance(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    metric: str | None = None,
    repeats: int = 5,
    seed: int = 0,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Importance:
    """Measure how much worse a model predicts when the cells of one column are permuted.

    A column as a whole is permuted, not each of the inputs that its categories make. Two columns
    that tell the same can both seem unimportant. Measure it on samples that the model was not
    trained on.

    Parameters
    ----------
    model : Model, BaggedModel, MLP, or estimator
        Trained model; an estimator of fastmlp or another one with scikit-learn's conventions.
    x : data frame, dict of columns, list of rows, str, os.PathLike or array, optional
        Samples as the model takes them: for a `Model` with their target, or a file; for an `MLP`
        its inputs. The default for a `Model` are the samples that its last `fit` set aside.
    y : array, optional
        Targets, if they are not in `x`.
    metric : str, optional
        One of `fastmlp.metrics.METRICS`; by default accuracy for classes and labels, and r2.
    repeats : int
        Number of permutations, >= 1, the same for every column.
    seed : int
        Seed of the permutations, >= 0 and < 2**32. They are those that
        ``sklearn.inspection.permutation_importance`` makes with this ``random_state``.
    sample_weight : array of shape (samples,), optional
        Weights of the samples; a `Model` finds its column of weights itself.
    threads : int, optional
        Number of columns that are measured at the same time; by default one for each CPU. The
        result does not depend on it.

    Returns
    -------
    Importance
        Means and deviations by column; it prints as a table.

    Raises
    ------
    TypeError, ValueError
        The model cannot predict, the metric does not fit its task, or the samples do not fit it.
    FormatError
        Rows of a table cannot be read, or have no targets.

    Notes
    -----
    L. Breiman, "Random forests", 2001, section 10.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> random = numpy.random.default_rng(0)
    >>> frame = {"size": random.uniform(20, 200, 300), "town": random.choice(["A", "B"], 300)}
    >>> frame["price"] = 3000 * frame["size"]
    >>> model = fastmlp.Model(target="price", epochs=40, seed=1).fit(frame, verbose=0)
    >>> found = fastmlp.permutation_importance(model, frame, repeats=3)
    >>> found.names, bool(found.means[0] > 1), bool(abs(found.means[1]) < 0.1)
    (('size', 'town'), True, True)
    """
    options: dict[str, Any] = {"metric": metric, "repeats": repeats, "seed": seed}
    network = getattr(model, "network_", None)
    if isinstance(network, MLP) and network.preprocessing is not None:
        model = Model.of(network)  # of an estimator of frames
        if isinstance(x, np.ndarray) and x.dtype.names is None:
            x = {f"x{i}": column for i, column in enumerate(np.asarray(x).T)}
    if isinstance(model, Model):
        samples = _samples_of_model(model, x, y)
        if sample_weight is not None:
            samples = replace(samples, weight=finite_array("sample_weight", sample_weight, "f8"))
        return importance_of(model.network, samples, threads=threads, **options)
    if isinstance(model, BaggedModel):
        if sample_weight is not None:
            raise ValueError("sample_weight must be None for a BaggedModel, which finds its column")
        raw = _raw_of(model.preprocessing, x, y)
        part = _part_of(model.preprocessing, raw, x)
        return importance_of_bag(
            model, part, class_names=raw.class_names, threads=threads, **options
        )
    if x is None or y is None:
        raise ValueError("x and y must be given for a model that holds no samples")
    if isinstance(model, MLP):
        samples = _samples_of_network(x, y, sample_weight)
        return importance_of(model, samples, threads=threads, **options)
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"model must have a method predict, got {type(model).__name__}")
    return _of_estimator(model, x, y, sample_weight, **options)


def importance_of(
    network: MLP,
    samples: Samples,
    *,
    metric: str | None = None,
    repeats: int = 5,
    seed: int = 0,
    threads: int | None = None,
) -> Importance:
    """Measure the importance of columns on inputs that the preprocessing has made.

    Parameters
    ----------
    network : MLP
        Network; its preprocessing tells the columns and the task.
    samples : Samples
        Inputs with targets as the network takes them.
    metric, repeats, seed, threads
        As for `permutation_importance`.
    """
    pre = network.preprocessing or plain_preprocessing(network)
    chosen = _chosen(metric, pre.task, has_probabilities(network))
    x = _as_taken(network, samples.x)

    def answers(inputs: Inputs, team: int | None) -> Array:
        return _answers(network, pre, chosen, inputs[0], team)

    parts = [(x, _blocks(pre))]
    return _importance(pre, chosen, samples, parts, answers, repeats, seed, threads)


def affordable_samples(network: MLP, samples: Samples, repeats: int = 5) -> Samples | None:
    """Return as many evenly spaced samples as `importance_of` measures in less than a second.

    Parameters
    ----------
    network : MLP
    samples : Samples
    repeats : int
        Number of permutations.

    Returns
    -------
    Samples or None
        None if fewer than 100 of more samples would be left, which tell too little.
    """
    pre = network.preprocessing or plain_preprocessing(network)
    parameters = sum(int(np.size(array)) for array in network.parameters().values())
    most = int(_AFFORDABLE / (parameters * len(_blocks(pre)) * repeats))
    most = min(most, _MOST_AFFORDABLE_ROWS)
    if len(samples) <= most:
        return samples
    if most < _FEWEST_ROWS:
        return None
    rows = np.linspace(0, len(samples) - 1, most).round().astype(np.int64)
    weight = None if samples.weight is None else samples.weight[rows]
    return Samples(samples.x[rows], samples.y[rows], weight)


def importance_of_bag(
    bag: BaggedModel,
    part: Part,
    *,
    class_names: Sequence[str] | None = None,
    metric: str | None = None,
    repeats: int = 5,
    seed: int = 0,
    threads: int | None = None,
) -> Importance:
    """Measure the importance of columns for models that answer together.

    Each model reads the samples by its own schema; a column is permuted for all at once.

    Parameters
    ----------
    bag : BaggedModel
    part : Part
        Samples with targets as they come.
    class_names : sequence of str, optional
        Names of the integers in ``part.y``, if the source has names.
    metric, repeats, seed, threads
        As for `permutation_importance`.
    """
    pre = bag.preprocessing
    chosen = _chosen(metric, pre.task, bag.has_probabilities)
    part = labeled_part(pre, part)
    parts = []
    for network in bag.networks:
        own = network.preprocessing
        assert own is not None  # of every model of a bag
        with faults_of_samples():
            parts.append((_as_taken(network, own.inputs(part.x)), _blocks(own)))
    with faults_of_samples():
        targets, weight = pre.targets(part, class_names), weights_of_part(pre, part)
    samples = Samples(parts[0][0], targets, weight)

    def answers(inputs: Inputs, team: int | None) -> Array:
        means = bag.averages_of_inputs(inputs, threads=team)
        if pre.task == "regression":
            return means.values
        if chosen.needs == "probabilities":
            return means.values.astype(bag.dtype)  # their sums are exact only to that precision
        return bag.decided(means)

    return _importance(pre, chosen, samples, parts, answers, repeats, seed, threads)


def _as_taken(network: MLP, x: Array) -> Array:
    return x if x.dtype == np.uint8 else x.astype(network.dtype, copy=False)


def _importance(
    pre: Preprocessing,
    metric: Metric,
    samples: Samples,
    parts: Sequence[tuple[Array, Mapping[str, slice]]],
    answers: Callable[[Inputs, int | None], Array],
    repeats: int,
    seed: int,
    threads: int | None,
) -> Importance:
    """Measure importance on inputs of one network or of several, with the places of columns."""
    permutations = _permutations(len(samples), repeats, seed)
    truth = pre.in_units(samples.y) if pre.task == "regression" else samples.y

    def score(inputs: Inputs, team: int | None = 1) -> float:
        return metric(pre.task, truth, answers(inputs, team), samples.weight)

    inputs = [x for x, _ in parts]
    before = score(inputs, threads)
    names = tuple(dict.fromkeys(name for _, places in parts for name in places))
    blocks = [[places.get(name) for _, places in parts] for name in names]
    values = _losses(inputs, blocks, permutations, score, before, _team(threads, inputs))
    sign = 1.0 if metric.greater_is_better else -1.0
    return Importance(metric.name, before, len(samples), names, sign * values)


def score_of(
    network: MLP, samples: Samples, *, metric: str | None = None, threads: int | None = None
) -> float:
    """Return the score of a network on inputs that the preprocessing has made.

    Parameters
    ----------
    network, samples, metric, threads
        As for `importance_of`.
    """
    pre = network.preprocessing or plain_preprocessing(network)
    chosen = _chosen(metric, pre.task, has_probabilities(network))
    x = _as_taken(network, samples.x)
    truth = pre.in_units(samples.y) if pre.task == "regression" else samples.y
    return chosen(pre.task, truth, _answers(network, pre, chosen, x, threads), samples.weight)


# ---------------------------------------------------------------- samples


def _samples_of_model(model: Model, x: Any, y: Any) -> Samples:
    if x is None:
        return model.samples_set_aside(y)
    pre = model.preprocessing
    raw = _raw_of(pre, x, y)
    return labeled_samples(pre, _part_of(pre, raw, x), class_names=raw.class_names)


def _raw_of(pre: Preprocessing, x: Any, y: Any) -> RawData:
    if x is None:
        raise ValueError("x must be given for several models together, which hold no samples")
    return raw_data(x, y, pre.reading(), None, pre.target_columns)


def _part_of(pre: Preprocessing, raw: RawData, x: Any) -> Part:
    part = part_of(raw, "auto")
    if are_rows(x) and isinstance(part.x, Table):
        part = replace(part, x=complete_rows(pre, part.x))
    return part


def _samples_of_network(x: Any, y: Any, sample_weight: npt.ArrayLike | None) -> Samples:
    weight = None
    if sample_weight is not None:
        weight = finite_array("sample_weight", sample_weight, np.float64)
    return Samples(_dense(x), np.asarray(y), weight)


def _dense(x: Any) -> Array:
    if hasattr(x, "tocsr"):
        raise TypeError("x must be a dense array, got a sparse matrix; x.toarray() makes one")
    rows = np.asarray(x)
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(f"x must have shape (samples, features), at least one, got {rows.shape}")
    return rows


def _blocks(pre: Preprocessing) -> dict[str, slice]:
    """Return the inputs of each column by its name."""
    if pre.columns is None:
        names = pre.feature_names or tuple(f"x{i}" for i in range(pre.features))
        return {name: slice(i, i + 1) for i, name in enumerate(names)}
    ends = np.cumsum([len(column.feature_names) for column in pre.columns]).tolist()
    starts = [0, *ends[:-1]]
    return {
        column.name: slice(start, end)
        for column, start, end in zip(pre.columns, starts, ends, strict=True)
    }


# ---------------------------------------------------------------- scores


def _chosen(name: str | None, task: str, probable: bool) -> Metric:
    """Return the metric, checked against the task before anything is computed."""
    metric = get_metric(_USUAL_METRICS[task] if name is None else name)
    metric.require(task)
    if metric.needs == "probabilities" and not probable:
        raise ValueError(
            f"metric must be one of predictions, such as {_USUAL_METRICS[task]}, for a model "
            f"without probabilities, got {metric.name!r}"
        )
    return metric


def _answers(
    network: MLP, pre: Preprocessing, metric: Metric, rows: Array, threads: int | None
) -> Array:
    if metric.needs == "probabilities":
        return network.predict_proba(rows, threads=threads)
    predicted = np.asarray(network.predict(rows, threads=threads))
    return pre.decode(predicted) if pre.task == "regression" else predicted


def _permutations(count: int, repeats: int, seed: int) -> Permutations:
    """Return permutations of the samples, of shape (repeats, samples).

    They are those of scikit-learn, the same for all columns: positions are shuffled again and
    again, and each time applied to the samples as they were permuted before.
    """
    repeats = integer("repeats", repeats, 1)
    first = np.random.RandomState(integer("seed", seed, 0, 2**32 - 1))
    random = np.random.RandomState(first.randint(np.iinfo(np.int32).max + 1, dtype=np.int64))
    order, found = np.arange(count), np.empty((repeats, count), np.int64)
    before = order.copy()
    for permutation in found:
        random.shuffle(order)
        permutation[:] = before = before[order]
    return found


def _team(threads: int | None, inputs: Inputs) -> int:
    """Return the number of threads; each has a copy of the samples."""
    if threads is not None:
        return integer("threads", threads, 1)
    size = sum(x.nbytes for x in inputs)
    return max(1, min(cpu_count(), _MOST_COPIED_BYTES // max(1, size)))


def _losses(
    inputs: Inputs,
    blocks: Sequence[Sequence[slice | None]],
    permutations: Permutations,
    score: Callable[[Inputs], float],
    before: float,
    team: int,
) -> Floats:
    """Return the score before minus that after each permutation, of shape (columns, repeats).

    `blocks` holds, for each column, its place in each of the inputs; None where it has none.
    """
    values = np.empty((len(blocks), len(permutations)))
    team = min(team, len(blocks))

    def measure(first: int) -> None:
        own = [x.copy() for x in inputs]
        for i in range(first, len(blocks), team):
            places = [
                (mine[:, block], x[:, block])
                for mine, x, block in zip(own, inputs, blocks[i], strict=True)
                if block is not None
            ]
            for repeat, order in enumerate(permutations):
                for mine, given in places:
                    mine[:] = given[order]
                values[i, repeat] = score(own)
            for mine, given in places:
                mine[:] = given

    # Predictions release the GIL, and each is computed by one thread of the core.
    with ThreadPoolExecutor(team) as pool:
        list(pool.map(measure, range(team)))
    with np.errstate(invalid="ignore"):  # the difference of two infinite scores is NaN
        return before - values


# ---------------------------------------------------------------- estimators


def _of_estimator(
    model: Any, x: Any, y: Any, weight: npt.ArrayLike | None,
    *, metric: str | None, repeats: int, seed: int,
) -> Importance:  # fmt: skip
    """Measure an estimator with scikit-learn's conventions, column by column of a frame."""
    rows = _Rows(x)
    task, truth, answers = _conventions(model, np.asarray(y))
    chosen = _chosen(metric, task, hasattr(model, "predict_proba"))
    permutations = _permutations(len(rows.held), repeats, seed)
    sign = 1.0 if chosen.greater_is_better else -1.0
    before = chosen(task, truth, answers(chosen, rows.held), weight)
    values = np.empty((len(rows.names), repeats))
    for i in range(len(rows.names)):
        for repeat, order in enumerate(permutations):
            rows.permute(i, order)
            after = chosen(task, truth, answers(chosen, rows.held), weight)
            values[i, repeat] = sign * (before - after)
        rows.permute(i, None)
    return Importance(chosen.name, before, len(rows.held), rows.names, values)


class _Rows:
    """A copy of an array or of a pandas frame, of which one column can be permuted."""

    def __init__(self, x: Any) -> None:
        self._given: Any = x if hasattr(x, "iloc") else _dense(x)
        self.held: Any = self._given.copy()
        names = x.columns if hasattr(x, "iloc") else range(self._given.shape[1])
        self.names = tuple(name if isinstance(name, str) else f"x{name}" for name in names)

    def permute(self, i: int, order: Array | None) -> None:
        """Permute the cells of a column; None puts them back."""
        if not hasattr(self.held, "iloc"):
            self.held[:, i] = self._given[:, i] if order is None else self._given[order, i]
            return
        column = self._given.iloc[:, i]
        if order is not None:
            column = column.take(order).set_axis(self._given.index)
        self.held.isetitem(i, column)


def _conventions(model: Any, y: Array) -> tuple[str, Array, Callable[[Metric, Any], Array]]:
    """Return the task, the targets as metrics take them, and the answers of an estimator."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        return "regression", y, lambda _, rows: np.asarray(model.predict(rows))
    if y.ndim == 2 and y.shape[1] > 1:

        def of_labels(metric: Metric, rows: Any) -> Array:
            likely = metric.needs == "probabilities"
            return np.asarray(model.predict_proba(rows) if likely else model.predict(rows))

        return "multilabel", y, of_labels
    known = np.asarray(classes)

    def of_classes(metric: Metric, rows: Any) -> Array:
        if metric.needs == "probabilities":
            return np.asarray(model.predict_proba(rows))
        return _codes("predictions", np.asarray(model.predict(rows)), known)

    return "classification", _codes("y", y.reshape(-1), known), of_classes


def _codes(name: str, labels: Array, classes: Array) -> Array:
    order = np.argsort(classes)
    at = np.searchsorted(classes, labels, sorter=order).clip(max=len(classes) - 1)
    codes: Array = order[at]
    unknown = classes[codes] != labels
    if unknown.any():
        raise ValueError(f"{name} must hold classes of the model, got {labels[unknown][0]!r}")
    return codes
