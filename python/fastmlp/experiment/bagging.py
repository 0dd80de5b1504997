"""`BaggedModel`: models of the same task that answer together, as those of a cross-validation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import Part, Preprocessing, Samples, Table
from fastmlp.data.frames import are_rows
from fastmlp.data.table import Problems
from fastmlp.errors import FormatError
from fastmlp.experiment.common_schema import (
    class_positions,
    common_preprocessing,
    require_alike,
)
from fastmlp.experiment.evaluation import Evaluation, evaluation_of, has_probabilities
from fastmlp.experiment.fitting import raw_data
from fastmlp.experiment.model_lists import listed_models, write_list
from fastmlp.experiment.pipeline import Model, schema_of
from fastmlp.experiment.serving import (
    Predictions,
    columns_of,
    complete_rows,
    faults_of_samples,
    labeled_part,
    network_inputs,
    part_of,
    predict_samples,
    samples_of,
    weights_of_part,
    with_blanks,
)
from fastmlp.model import MLP, load_mlp

__all__ = ["Averages", "BaggedModel", "predictions_of"]

# A probability below this counts as this in the logarithm of a loss.
_SMALLEST = 1e-15

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Averages:
    """Mean outputs for samples.

    Attributes
    ----------
    values : array of shape (samples, outputs)
        Probabilities of classes or labels; votes for classes if the loss defines no probabilities;
        or quantities in the units of the targets. The values of one model have its type, means of
        several are float64.
    decided : int64 array or None
        Classes (samples,) or labels (samples, labels) of a single model, which decides by its
        outputs before they are rounded to probabilities.
    problems : Problems or None
        Rows that cannot be served.
    """

    values: Array
    decided: Array | None = None
    problems: Problems | None = None


class BaggedModel:
    """Models of the same task as one: their mean probabilities, or their mean predictions.

    Each model reads samples by its own schema. Classes are those of all models; where a model does
    not know a class, its probability is 0. Models whose loss defines no probabilities vote.

    Parameters
    ----------
    models : sequence of Model or MLP
        At least one; networks need their preprocessing.

    Raises
    ------
    TypeError, ValueError
        A model is missing, or has another task or other targets than the first.

    Examples
    --------
    >>> import fastmlp
    >>> models = [fastmlp.Model(epochs=9, seed=s).fit("moons", verbose=0) for s in range(3)]
    >>> bag = fastmlp.BaggedModel(models)
    >>> bag, bag.predict_proba([[0.0, 1.0]]).shape
    (BaggedModel(classification, 3 models), (1, 2))
    """

    def __init__(self, models: Sequence[Model | MLP]) -> None:
        networks = [_network_of(model) for model in models]
        if not networks:
            raise ValueError("models must hold at least one model, got none")
        self._networks = tuple(networks)
        pres = [_preprocessing_of(network) for network in networks]
        for position, pre in enumerate(pres):
            require_alike(pres[0], pre, position)
        self._preprocessing = common_preprocessing(pres)
        self._positions = [class_positions(self._preprocessing, pre) for pre in pres]

    # ------------------------------------------------------------ contents

    @property
    def networks(self) -> tuple[MLP, ...]:
        """The networks, each with its own preprocessing."""
        return self._networks

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, each for itself."""
        return tuple(Model.of(network) for network in self._networks)

    @property
    def preprocessing(self) -> Preprocessing:
        """Which columns and classes the models know together; it does not make their inputs."""
        return self._preprocessing

    @property
    def task(self) -> str:
        """The task: "classification", "multilabel" or "regression"."""
        return self._preprocessing.task

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes or labels as written; None for regression."""
        return self._preprocessing.class_names

    @property
    def classes(self) -> Array:
        """The labels that `predict` returns, in the order of the columns of `predict_proba`."""
        return self._preprocessing.labels(np.array(self.class_names or (), object))

    @property
    def has_probabilities(self) -> bool:
        """Whether the losses of all models define probabilities of classes or labels."""
        return all(map(has_probabilities, self._networks))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest scalar type of the networks."""
        return min((network.dtype for network in self._networks), key=lambda kind: kind.itemsize)

    def schema(self) -> dict[str, Any]:
        """Return what the models read together, as `Model.schema` does."""
        return schema_of(self._preprocessing)

    def __len__(self) -> int:
        return len(self._networks)

    def __repr__(self) -> str:
        count = len(self)
        return f"BaggedModel({self.task}, {count} model{'s' if count > 1 else ''})"

    # ------------------------------------------------------------ answers

    def predictions(
        self,
        x: Any,
        *,
        probabilities: bool = False,
        unknown_categories: str | None = None,
        threads: int | None = None,
    ) -> Predictions:
        """Answer row by row; rows that cannot be served do not stop the others.

        Parameters
        ----------
        x, probabilities, unknown_categories, threads
            As for `Model.predictions`.

        Raises
        ------
        FormatError
            A column is missing, or no row can be served.
        ValueError
            The loss of the models defines no probabilities.
        """
        return self.predict_table(
            samples_of(self, x),
            probabilities=probabilities,
            unknown_categories=unknown_categories,
            threads=threads,
        )

    def predict_table(
        self,
        samples: Table | Array,
        *,
        probabilities: bool = False,
        unknown_categories: str | None = None,
        threads: int | None = None,
    ) -> Predictions:
        """Answer for samples that are read already; see `predictions`."""
        if probabilities:
            self._require_probabilities()
        averages = self.averages(samples, unknown_categories=unknown_categories, threads=threads)
        return with_blanks(self.answers(averages, probabilities=probabilities), averages.problems)

    def predict(self, x: Any, *, threads: int | None = None) -> Array:
        """Return the answers for samples, as `Model.predict` does.

        Raises
        ------
        FormatError
            A column is missing, or rows cannot be served; the message names the first of them.
        """
        averages = self.complete_averages(samples_of(self, x), threads)
        if self.task == "classification":
            return self._preprocessing.labels(self._preprocessing.decode(self.decided(averages)))
        if self.task == "multilabel":
            return self.decided(averages)
        values = averages.values
        return values[:, 0] if values.shape[1] == 1 else values

    def predict_proba(self, x: Any, *, threads: int | None = None) -> Array:
        """Return mean probabilities of classes or labels, of shape (samples, outputs).

        Raises
        ------
        FormatError
            A column is missing, or rows cannot be served.
        ValueError
            The loss of the models defines no probabilities.
        """
        self._require_probabilities()
        return self.complete_averages(samples_of(self, x), threads).values

    def evaluate(self, data: Any, y: Any = None, *, threads: int | None = None) -> Evaluation:
        """Measure the models together on samples with targets, as `Model.evaluate` does.

        The loss is the log-loss of the mean probabilities of classes, and NaN for other tasks.

        Parameters
        ----------
        data, y, threads
            As for `Model.evaluate`.

        Raises
        ------
        FormatError
            The samples do not fit the models, or have no targets.
        """
        pre = self._preprocessing
        raw = raw_data(data, y, pre.reading(), None, pre.target_columns)
        part = part_of(raw, "auto")
        if are_rows(data) and isinstance(part.x, Table):
            part = replace(part, x=complete_rows(pre, part.x))
        return self.evaluate_part(part, class_names=raw.class_names, threads=threads)

    def evaluate_part(
        self,
        part: Part,
        *,
        class_names: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> Evaluation:
        """Measure the models together on raw samples; see `Model.evaluate`."""
        part = labeled_part(self._preprocessing, part)
        return self.measure(self.complete_averages(part.x, threads), part, class_names)

    def export(self, path: str | PathLike[str], *, name: str | None = None) -> None:
        """Refuse to write the models for other programs; each of `models` can be exported.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            f"path cannot be written: a bag of {len(self)} models has no export, got "
            f"{os.fspath(path)!r}; export one of its models: bag.models[0].export(...)"
        )

    # ------------------------------------------------------------ averages

    def averages(
        self,
        samples: Table | Array,
        *,
        unknown_categories: str | None = None,
        threads: int | None = None,
    ) -> Averages:
        """Return the mean outputs of the models for samples as they come."""
        problems: Problems | None = None

        def inputs() -> Iterator[Array]:
            nonlocal problems
            for network in self._networks:
                x, found = network_inputs(network, samples, unknown_categories)
                if problems is None:
                    problems = found
                elif found is not None:
                    problems.absorb(found)
                yield x

        means = self.averages_of_inputs(inputs(), threads=threads)
        return replace(means, problems=problems)

    def averages_of_inputs(
        self, inputs: Iterable[Array], *, threads: int | None = None
    ) -> Averages:
        """Return the mean outputs of the models for inputs that each one's preprocessing made."""
        total: Array | None = None
        decided: Array | None = None
        for network, positions, x in zip(self._networks, self._positions, inputs, strict=True):
            values, decided = self._outputs(network, positions, x, threads)
            # The sum goes in the order of the models, so that its bits are always the same.
            total = values if total is None else total + values
        assert total is not None
        if len(self) == 1:
            return Averages(total, decided)
        return Averages(total / len(self))

    def _outputs(
        self, network: MLP, positions: Array, x: Array, threads: int | None
    ) -> tuple[Array, Array | None]:
        """Return what one model adds to the sum, and its own decisions."""
        pre = _preprocessing_of(network)
        single = len(self) == 1
        if self.task == "regression":
            predicted = network.predict(x, threads=threads)
            return pre.decode(np.asarray(predicted).reshape(len(x), -1)), None
        if not self.has_probabilities:
            votes = positions[network.predict(x, threads=threads)]
            return np.eye(self._preprocessing.outputs)[votes], votes
        shares = network.predict_proba(x, threads=threads).reshape(len(x), -1)
        decided = None
        if single:
            decided = np.asarray(network.predict(x, threads=threads))
            if self.task == "classification":
                decided = positions[decided]
            else:
                decided = decided.reshape(len(x), -1)
        else:
            shares = shares.astype(np.float64)
            if self.task == "classification":  # to the precision of float64
                shares /= shares.sum(axis=1, keepdims=True)
        spread = np.zeros((len(x), self._preprocessing.outputs), shares.dtype)
        spread[:, positions] = shares
        return spread, decided

    def decided(self, averages: Averages) -> Array:
        """Return classes (samples,) counted from 0, or labels 0 and 1 (samples, labels)."""
        if averages.decided is not None:
            return averages.decided
        if self.task == "classification":
            return np.asarray(averages.values.argmax(axis=1))
        return (averages.values > 0.5).astype(np.int64)

    def answers(
        self,
        averages: Averages,
        *,
        probabilities: bool = False,
        class_names: Sequence[str] | None = None,
    ) -> Predictions:
        """Return mean outputs as columns with the names of the data.

        `class_names` are those of the outputs, by default those of the models.
        """
        pre = self._preprocessing
        if self.task == "regression":
            return Predictions(columns_of(averages.values, names=pre.target_names))
        names = tuple(pre.class_names or ()) if class_names is None else tuple(class_names)
        decided = self.decided(averages)
        labels = decided if self.task == "multilabel" else None
        shares = None
        if probabilities:
            columns = zip(names, averages.values.T, strict=True)
            shares = {f"p({name})": share for name, share in columns}
        if self.task == "classification":
            named = np.array(names, object)[decided]
        else:
            named = pre.decode(decided)
        return Predictions({"prediction": named}, shares, labels=labels)

    def measure(
        self, averages: Averages, part: Part, class_names: Sequence[str] | None
    ) -> Evaluation:
        """Measure mean outputs for a part whose rows all have targets."""
        pre = self._preprocessing
        with faults_of_samples():
            y = pre.targets(part, class_names)
            weight = weights_of_part(pre, part)
        samples = Samples(averages.values, y, weight)
        if self.task == "regression":
            return evaluation_of(pre, samples, averages.values)
        shares = averages.values if self.has_probabilities else None
        loss = float("nan")
        if shares is not None and self.task == "classification":
            true = np.take_along_axis(shares, y[:, None], axis=1)[:, 0].astype(np.float64)
            loss = float(np.average(-np.log(np.maximum(true, _SMALLEST)), weights=weight))
        return evaluation_of(pre, samples, self.decided(averages), loss=loss, probabilities=shares)

    def complete_averages(self, samples: Table | Array, threads: int | None = None) -> Averages:
        """Return the mean outputs for samples that all can be served.

        Raises
        ------
        FormatError
            Rows cannot be served; the message names the first of them.
        """
        averages = self.averages(samples, threads=threads)
        if averages.problems is not None and len(averages.problems):
            raise averages.problems.error()
        return averages

    def _require_probabilities(self) -> None:
        if not self.has_probabilities:
            raise ValueError("probabilities must be False: the loss of the models defines none")

    # ------------------------------------------------------------ files

    def save(self, path: str | PathLike[str]) -> None:
        """Write the models to a directory; `fastmlp.load` reads it.

        Parameters
        ----------
        path : str or os.PathLike
            Directory, which is made unless it exists and is empty.

        Raises
        ------
        ValueError
            The path is a file, or a directory that is not empty.
        OSError
            The files cannot be written.
        """
        directory = Path(path)
        if directory.exists() and not directory.is_dir():
            raise ValueError(f"path must be a directory, got the file {os.fspath(path)!r}")
        if directory.is_dir() and any(directory.iterdir()):
            raise ValueError(f"path must be an empty directory, {os.fspath(path)!r} is not empty")
        directory.mkdir(parents=True, exist_ok=True)
        names = [f"model-{number:03d}.safetensors" for number in range(1, len(self) + 1)]
        for network, name in zip(self._networks, names, strict=True):
            network.save(directory / name)
        write_list(directory, names)

    @staticmethod
    def load(path: str | PathLike[str]) -> BaggedModel:
        """Read the models of a directory that `save` or a cross-validation wrote.

        Raises
        ------
        FormatError
            The directory holds no models, or a file is damaged.
        OSError
            A file cannot be opened.

        Examples
        --------
        >>> import fastmlp
        >>> model = fastmlp.Model(epochs=1).fit("moons", verbose=0)
        >>> fastmlp.BaggedModel([model, model]).save("bag")
        >>> fastmlp.BaggedModel.load("bag")
        BaggedModel(classification, 2 models)
        """
        directory = Path(os.path.expanduser(path))
        networks = []
        for place in listed_models(directory):
            network = load_mlp(place)
            if network.preprocessing is None:
                raise FormatError(
                    f"{place}: must hold a preprocessing, which a bag of models needs"
                )
            networks.append(network)
        try:
            return BaggedModel(networks)
        except ValueError as error:
            raise FormatError(f"{directory}: {error}") from None


def predictions_of(
    model: MLP | BaggedModel,
    samples: Table | Array,
    *,
    probabilities: bool = False,
    unknown_categories: str | None = None,
    threads: int | None = None,
) -> Predictions:
    """Predict for samples as they come with one network or with several; see `predict_samples`."""
    predict = (
        model.predict_table if isinstance(model, BaggedModel) else partial(predict_samples, model)
    )
    return predict(
        samples,
        probabilities=probabilities,
        unknown_categories=unknown_categories,
        threads=threads,
    )


# ---------------------------------------------------------------- models that fit together


def _network_of(model: object) -> MLP:
    if isinstance(model, Model):
        return model.network
    if isinstance(model, MLP):
        if model.preprocessing is None:
            raise ValueError("models must have their preprocessing, got a network without one")
        return model
    raise TypeError(f"models must hold models of fastmlp, got {type(model).__name__}")


def _preprocessing_of(network: MLP) -> Preprocessing:
    assert network.preprocessing is not None  # the constructor has checked it
    return network.preprocessing
