"""`Model`: a network with all that lies between samples as they come and answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastmlp.callbacks import Callback
from fastmlp.data import Preprocessing, Samples, Table
from fastmlp.data.frames import are_rows
from fastmlp.diagnosis import Finding, tell
from fastmlp.experiment.evaluation import Evaluation, evaluate
from fastmlp.experiment.fitting import fit_network, raw_data
from fastmlp.experiment.keywords import settings_by_keyword, settings_by_section
from fastmlp.experiment.rundir import model_path
from fastmlp.experiment.serving import (
    Predictions,
    answers_for,
    complete_rows,
    evaluate_part,
    part_of,
    predict_samples,
    samples_of,
)
from fastmlp.history import History
from fastmlp.metrics.chosen import MetricLike
from fastmlp.model import MLP, load_mlp

if TYPE_CHECKING:
    from fastmlp.experiment.model_estimators import ModelClassifier, ModelRegressor

__all__ = ["Model", "schema_of"]

Array = npt.NDArray[Any]


class Model:
    """A network with all that lies between samples as they come and answers.

    A model is trained on a data frame, a file or a named data set. It learns a schema: what each
    column is, how its cells are read, what replaces missing values, which names there are. The
    schema stays with the network, in memory and in the file, and every later frame, file or row is
    read by it: the answer for a row does not depend on the rows beside it.

    Parameters
    ----------
    **settings
        The settings of ``fastmlp train``: ``target``, ``exclude``, ``categorical``, ``date``,
        ``missing``, ``hidden``, ``epochs``, ``lr`` and so on (``fastmlp train --help``;
        `fastmlp.Model.settings_available` lists them). A setting has the name of its option, so
        where a message says ``--missing-token``, ``missing_token=`` is meant. Several names or
        widths are a list, or a text with commas as on the command line. ``date`` also takes a
        mapping of columns to formats: ``date={"sold": "%d/%m/%Y"}``.

    Raises
    ------
    TypeError
        A setting has no such name, or means nothing for a model.
    ValueError
        A setting has a wrong value.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> random = numpy.random.default_rng(0)
    >>> frame = {
    ...     "size": random.uniform(20, 200, 300),
    ...     "town": random.choice(["Bonn", "Kiel"], 300),
    ... }
    >>> frame["price"] = 3000 * frame["size"] + 90_000 * (frame["town"] == "Kiel")
    >>> model = fastmlp.Model(target="price", epochs=40, seed=1).fit(frame, verbose=0)
    >>> answer = model.predict([{"size": "100", "town": "Kiel"}])
    >>> bool(abs(answer[0] - 390_000) < 20_000)
    True
    """

    def __init__(self, **settings: Any) -> None:
        self._keywords = dict(settings)
        settings_by_section(settings)
        self._network: MLP | None = None
        self._notes: tuple[str, ...] = ()
        self._findings: tuple[Finding, ...] = ()
        self._test: Samples | None = None
        self._has_samples = False

    @classmethod
    def of(cls, network: MLP) -> Model:
        """Return a model of a network that carries its preprocessing.

        Raises
        ------
        ValueError
            The network has no preprocessing.
        """
        if network.preprocessing is None:
            raise ValueError("network must have its preprocessing, got None")
        model = cls()
        model._network = network
        return model

    @staticmethod
    def load(path: str | PathLike[str]) -> Model:
        """Read a model with its preprocessing; `fastmlp.load` reads networks alone as well.

        Parameters
        ----------
        path : str or os.PathLike
            A file that `save` or a run wrote; or the directory of a run.

        Raises
        ------
        ValueError
            The file holds a network without preprocessing.
        FormatError, OSError
            The file is damaged, or cannot be opened.

        Examples
        --------
        >>> import fastmlp
        >>> model = fastmlp.Model(epochs=1).fit("moons", verbose=0)
        >>> model.save("moons.safetensors")
        >>> fastmlp.Model.load("moons.safetensors").task
        'classification'
        """
        network = load_mlp(model_path(path))
        if network.preprocessing is None:
            raise ValueError(
                "path must be the file of a model with its preprocessing, got "
                f"{os.fspath(path)!r}, a network alone; fastmlp.MLP.load reads it"
            )
        return Model.of(network)

    @staticmethod
    def settings_available() -> tuple[str, ...]:
        """Return the names of all settings."""
        return tuple(sorted(settings_by_keyword()))

    # ------------------------------------------------------------ contents

    @property
    def network(self) -> MLP:
        """The network behind the preprocessing."""
        if self._network is None:
            raise RuntimeError("this model must be trained with fit(...) before it is used")
        return self._network

    @property
    def preprocessing(self) -> Preprocessing:
        """What the model does with samples before the network, and with its outputs after it."""
        preprocessing = self.network.preprocessing
        assert preprocessing is not None  # `of` and `fit` require it
        return preprocessing

    @property
    def task(self) -> str:
        """The task: "classification", "multilabel" or "regression"."""
        return self.preprocessing.task

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes or labels as written; None for regression."""
        return self.preprocessing.class_names

    @property
    def classes(self) -> Array:
        """The labels that `predict` returns, in the order of the columns of `predict_proba`."""
        return self.preprocessing.labels(np.array(self.class_names or (), object))

    @property
    def history(self) -> History:
        """Measures of the epochs that the network was trained for."""
        return self.network.history

    @property
    def notes(self) -> tuple[str, ...]:
        """Decisions about the data that the settings left open, one line each."""
        return self._notes

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a look at the last training found, problems first; see docs/findings.md."""
        return self._findings

    def __repr__(self) -> str:
        if self._network is None:
            given = [f"{name}={value!r}" for name, value in self._keywords.items()]
            return f"Model({', '.join([*given, 'not trained'])})"
        return f"Model({self.preprocessing!r}, {self._network!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_test": None, "_has_samples": False}

    # ------------------------------------------------------------ training

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        test: Any = None,
        validation: Any = None,
        callbacks: Sequence[Callback] = (),
        metrics: Sequence[MetricLike] = (),
        verbose: int = 1,
    ) -> Model:
        """Learn the schema and train the network; the best epoch by validation is kept.

        Parameters
        ----------
        data : data frame, dict of columns, list of rows, str, os.PathLike or array
            Samples with their target, as a frame of pandas, polars, Arrow or another library; or
            the name of a data set or a file, as `fastmlp.data.read` takes it. An array of shape
            (samples, features) needs `y`.
        y : array, optional
            Targets, if they are not a column of `data`.
        test : as `data`, or tuple (samples, targets) beside `y`, optional
            Samples that are not trained on, for `evaluate` without an argument. By default the
            test part of a source that has one, or else the share ``test_fraction``: 0.2 of a file,
            none of a frame.
        validation : as `test`, optional
            Samples that are not trained on, by which the best epoch is chosen. By default the share
            ``validation_fraction`` of the samples.
        callbacks : sequence of Callback
            Callbacks of the training.
        metrics : sequence of str, callable or (str, callable), optional
            Further measures of the validation part after each epoch, as in `MLP.fit`.
        verbose : int
            0 prints nothing, 1 prints decisions, a line per epoch and the epoch that was kept to
            standard error.

        Returns
        -------
        Model
            The model itself.

        Raises
        ------
        FormatError
            The data is damaged, or values in it cannot be used.
        TypeError, ValueError
            The data does not fit the settings.
        """
        fitted = fit_network(
            self._keywords,
            data,
            y,
            test=test,
            validation=validation,
            callbacks=callbacks,
            metrics=metrics,
            verbose=verbose,
        )
        self._network, self._notes, self._test = fitted.network, fitted.notes, fitted.test
        self._findings, self._has_samples = fitted.findings, True
        tell(self._findings, verbose=verbose, stacklevel=3)
        return self

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
        x : data frame, dict of columns, list of rows, str, os.PathLike or array
            Samples; a file is read as `fastmlp.data.read_samples` does. Columns are found by name,
            in any order, and others are ignored. A row is a dict, of which absent keys are missing
            values; one row needs no list.
        probabilities : bool
            Whether to compute the probabilities of classes or labels as well.
        unknown_categories : {"ignore", "error"}, optional
            Treatment of names that the training part did not hold; the default is the setting of
            the training.
        threads : int, optional
            Worker threads; by default fastmlp chooses.

        Returns
        -------
        Predictions
            Columns of answers, and the problem of each row that has none.

        Raises
        ------
        FormatError
            A column is missing, or no row can be served.
        """
        return predict_samples(
            self.network,
            samples_of(self.network, x),
            probabilities=probabilities,
            unknown_categories=unknown_categories,
            threads=threads,
        )

    def predict(self, x: Any, *, threads: int | None = None) -> Array:
        """Return the answers for samples.

        Parameters
        ----------
        x : data frame, dict of columns, list of rows, str, os.PathLike or array
            Samples, see `predictions`.
        threads : int, optional
            Worker threads; by default fastmlp chooses.

        Returns
        -------
        array
            Labels as written, of shape (samples,): text, or numbers and booleans if the target had
            such values. For several labels 0 or 1, of shape (samples, labels). Quantities in the
            units of the target, float64 of shape (samples,) or (samples, targets).

        Raises
        ------
        FormatError
            A column is missing, or rows cannot be served; the message names the first of them.
        """
        return answers_for(self.network, x, threads=threads)

    def predict_proba(self, x: Any, *, threads: int | None = None) -> Array:
        """Return the probabilities of classes or labels, of shape (samples, outputs).

        Parameters
        ----------
        x, threads
            As for `predict`.

        Raises
        ------
        FormatError
            A column is missing, or rows cannot be served.
        ValueError
            The loss of the model defines no probabilities.
        """
        return self.network.predict_proba(self.inputs(x), threads=threads)

    def inputs(self, x: Any) -> Array:
        """Return the inputs of the network for samples, of shape (samples, features).

        Raises
        ------
        FormatError
            A column is missing, or rows cannot be read; the message names the first of them.
        """
        return self.preprocessing.inputs(samples_of(self.network, x))

    def evaluate(
        self, data: Any = None, y: Any = None, *, threads: int | None = None
    ) -> Evaluation:
        """Measure the model on samples with targets; weights count as in the training.

        Parameters
        ----------
        data : data frame, dict of columns, list of rows, str, os.PathLike or array, optional
            Samples with their target; of a source with a test part that part. By default the
            samples that the last `fit` set aside, which files and copies do not hold.
        y : array, optional
            Targets, if they are not a column of `data`.
        threads : int, optional
            Worker threads; by default fastmlp chooses.

        Returns
        -------
        Evaluation
            Loss, metrics, confusion matrix and more.

        Raises
        ------
        FormatError
            The samples do not fit the model, or have no targets.
        ValueError
            There is no data, and no samples were set aside.

        Examples
        --------
        >>> import fastmlp
        >>> model = fastmlp.Model(test_fraction=0.25, epochs=20).fit("moons", verbose=0)
        >>> measured = model.evaluate()
        >>> measured.samples, measured.accuracy > 0.9
        (250, True)
        """
        if data is None:
            return evaluate(self.network, self.samples_set_aside(y), threads=threads)
        names = self.preprocessing.target_columns
        raw = raw_data(data, y, self.preprocessing.reading(), None, names)
        part = part_of(raw, "auto")
        if are_rows(data) and isinstance(part.x, Table):
            part = replace(part, x=complete_rows(self.preprocessing, part.x))
        return evaluate_part(self.network, part, class_names=raw.class_names, threads=threads)

    def samples_set_aside(self, y: Any = None) -> Samples:
        """Return the samples that the last `fit` set aside, as the network takes them.

        Parameters
        ----------
        y : None
            Must be None: these samples have their targets.

        Raises
        ------
        ValueError
            None were set aside; the message says how they are.
        """
        if y is not None:
            raise ValueError("data must be given with y")
        if self._test is not None:
            return self._test
        why = (
            "the last fit set no samples aside, as fit(..., test=...) and Model(test_fraction=0.2) "
            "do"
            if self._has_samples
            else "a model from a file or a copy holds no samples of its training"
        )
        raise ValueError(f"data must be given, because {why}")

    # ------------------------------------------------------------ files and other forms

    def save(self, path: str | PathLike[str]) -> None:
        """Write network and schema to one file, atomically; `fastmlp.load` reads it.

        Parameters
        ----------
        path : str or os.PathLike
            File to create or replace.

        Raises
        ------
        OSError
            The file could not be written; an older one is unharmed.
        """
        self.network.save(path)

    def export(self, path: str | PathLike[str], *, name: str | None = None) -> None:
        """Write the model for other programs, by the suffix of the file.

        Parameters
        ----------
        path : str or os.PathLike
            A file that ends in .onnx, .h (C) or .npz.
        name : str, optional
            Prefix of all names in a C header.

        Raises
        ------
        ValueError
            The suffix is another one.
        """
        from fastmlp.export import to_c, to_npz, to_onnx

        suffix = Path(path).suffix.lower()
        if suffix == ".h":
            to_c(self.network, path, name=name)
            return
        writers: Mapping[str, Callable[..., None]] = {".onnx": to_onnx, ".npz": to_npz}
        if suffix not in writers:
            raise ValueError(f"path must end in .onnx, .h or .npz, got {os.fspath(path)!r}")
        if name is not None:
            raise ValueError("name is for C headers only")
        writers[suffix](self.network, path)

    def to_estimator(self) -> ModelClassifier | ModelRegressor:
        """Return a scikit-learn estimator with the settings of the model as its parameters.

        The estimator of a trained model is fitted and predicts as the model does. `fit` of the
        estimator, as in cross-validation, trains a new model with the same settings.

        Returns
        -------
        ModelClassifier or ModelRegressor

        Raises
        ------
        MissingExtraError
            scikit-learn is not installed.
        ValueError
            The model is not trained, and has no setting ``task``.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.Model(task="regression", epochs=5).to_estimator()
        ModelRegressor(epochs=5)
        """
        from fastmlp.experiment.model_estimators import estimator_of

        return estimator_of(self._network, self._keywords)

    def schema(self) -> dict[str, Any]:
        """Return the schema in types that JSON can represent: columns, targets, what is left out.

        Examples
        --------
        >>> import fastmlp
        >>> frame = {"x": ["1,5", "2,25", "7,0"] * 9, "y": ["a", "b", "b"] * 9}
        >>> model = fastmlp.Model(epochs=1).fit(frame, verbose=0)
        >>> model.schema()["columns"][0]["format"]["decimal"]
        ','
        """
        return schema_of(self.preprocessing)


def schema_of(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return what a preprocessing reads and answers in types that JSON can represent."""
    config = preprocessing.config()
    shown = ("task", "columns", "target_schema", "class_names", "target_names", "left_out")
    schema = {name: config[name] for name in shown}
    schema |= {"features": preprocessing.features, "image_shape": config["image_shape"]}
    for column in [*(schema["columns"] or ()), *(schema["target_schema"] or ())]:
        if column["kind"] == "number":
            decimal, thousands, affix = column["format"]
            column["format"] = {"decimal": decimal, "thousands": thousands, "affix": affix}
    return schema
