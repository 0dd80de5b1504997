"""A trained model on new samples: from raw columns or arrays to answers that people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data.prepare import Samples
from fastmlp.data.read import Part, RawData
from fastmlp.data.table import Table
from fastmlp.errors import FormatError
from fastmlp.experiment.evaluation import Evaluation, evaluate
from fastmlp.model import MLP

__all__ = ["Predictions", "evaluate_part", "part_of", "predict_samples"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Answers for samples, in their order.

    Attributes
    ----------
    columns : dict of str to array
        By name, each of shape (samples,): "prediction" (name of the class, labels joined by ";"),
        or the values of each target in its units.
    probabilities : dict of str to float array or None
        By class or label, each of shape (samples,); None where the loss makes none.
    """

    columns: dict[str, Array]
    probabilities: dict[str, Array] | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def with_probabilities(self) -> dict[str, Array]:
        """All columns; those of probabilities are called ``p(class)``."""
        extra = {f"p({name})": values for name, values in (self.probabilities or {}).items()}
        return {**self.columns, **extra}

    def rows(self, columns: dict[str, Array]) -> Iterator[dict[str, Any]]:
        """The same as one mapping per sample, with Python's own types."""
        lists = {name: values.tolist() for name, values in columns.items()}
        for values in zip(*lists.values(), strict=True):
            yield dict(zip(lists, values, strict=True))


def predict_samples(
    model: MLP, samples: Table | Array, *, threads: int | None = None
) -> Predictions:
    """Predict for samples as they stand in a file.

    Parameters
    ----------
    model : MLP
        One without preprocessing takes columns of numbers as they are.
    samples : Table or array of shape (samples, features)
    threads : int, optional

    Raises
    ------
    FormatError
        A column is missing, or holds what the model cannot take; names line and column.
    ValueError
        The samples have another number of features.
    """
    x = network_inputs(model, samples)
    predicted = np.asarray(model.predict(x, threads=threads))
    names = output_names(model)
    probabilities = None
    if len(model.architecture.losses) == 1 and model.architecture.losses[0].link in (
        "softmax",
        "sigmoid",
    ):
        values = model.predict_proba(x, threads=threads)
        probabilities = {name: values[:, i] for i, name in enumerate(names)}
    pre = model.preprocessing
    if pre is not None:
        decoded = pre.decode(predicted)
        predicted = decoded if pre.task != "regression" else decoded.reshape(len(x), -1)
    if predicted.ndim == 1:
        return Predictions({"prediction": predicted}, probabilities)
    return Predictions({name: predicted[:, i] for i, name in enumerate(names)}, probabilities)


def network_inputs(model: MLP, samples: Table | Array) -> Array:
    """Raw samples as the network takes them."""
    if model.preprocessing is not None:
        return model.preprocessing.inputs(samples)
    if not isinstance(samples, Table):
        return samples
    for name, column in samples.columns.items():
        if column.dtype == object:
            raise FormatError(
                f"{samples.origin}: column {name!r}: must hold numbers for a model without "
                "preprocessing, got text"
            )
    return np.column_stack(list(samples.columns.values()))


def output_names(model: MLP) -> list[str]:
    """What the outputs of a model are called."""
    pre = model.preprocessing
    names = None if pre is None else (pre.class_names or pre.target_names)
    if names is not None:
        return list(names)
    return [str(i) for i in range(model.layer_sizes[-1])]


def part_of(raw: RawData, name: str) -> Part:
    """The test part of a source, or all of one that is not divided.

    Raises
    ------
    ValueError
        There is no such part.
    """
    if name == "auto":
        return raw.train if raw.test is None else raw.test
    if name == "training":
        return raw.train
    if raw.test is None:
        raise ValueError(f"{raw.name} has no test part of its own")
    return raw.test


def evaluate_part(
    model: MLP,
    part: Part,
    *,
    class_names: Sequence[str] | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Measure a model on samples with their targets as they stand in a file.

    Parameters
    ----------
    model : MLP
    part : Part
    class_names : sequence of str, optional
        What integers in ``part.y`` stand for in their source, which may have fewer classes than
        the model, or count them in another order.
    threads : int, optional

    Raises
    ------
    FormatError, ValueError
        The samples do not fit the model, or have no targets.
    """
    pre = model.preprocessing
    if pre is None:
        raise ValueError("the model has no preprocessing: it was not made by 'fastmlp train'")
    if not pre.has_targets(part):
        wanted = pre.target_names or pre.class_names
        raise ValueError(f"the samples have no targets ({', '.join(wanted or ())}): use predict")
    samples = Samples(pre.inputs(part.x), pre.targets(part, class_names))
    return evaluate(model, samples, threads=threads)
