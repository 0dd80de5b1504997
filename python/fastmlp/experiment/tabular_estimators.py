"""`TabularClassifier` and `TabularRegressor`: the best networks for tables, as estimators."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._named import as_config
from fastmlp.data import Part
from fastmlp.data.folds import random_folds
from fastmlp.data.frames import table_of
from fastmlp.data.table import Table
from fastmlp.experiment.architectures import ARCHITECTURES
from fastmlp.experiment.bagging import BaggedModel
from fastmlp.experiment.fit_directory import FitDirectory
from fastmlp.experiment.fitting import fit_network, target_columns
from fastmlp.experiment.folds import digest
from fastmlp.experiment.importance import permutation_importance
from fastmlp.experiment.pipeline import Model
from fastmlp.experiment.rundir import clean_json
from fastmlp.extras import require
from fastmlp.losses import Loss
from fastmlp.metrics import get_metric
from fastmlp.model import MLP
from fastmlp.validation import integer, real, sample_weights

require("sklearn", "sklearn")
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.utils import assert_all_finite, check_random_state  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import (  # noqa: E402
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

__all__ = ["TabularClassifier", "TabularRegressor"]

Array = NDArray[Any]
Indices = NDArray[np.int64]
# Name of the column of weights in the tables that networks are trained on.
_WEIGHT = "fastmlp sample weight"
_FEWEST_EPOCHS = 8
_CALIBRATION_EPOCHS = 2


class _TabularEstimator(BaseEstimator):  # type: ignore[misc]
    """Parts of both estimators."""

    model_: BaggedModel
    n_features_in_: int

    def __init__(
        self,
        architecture: str = "realmlp",
        *,
        n_cv: int = 1,
        n_ens: int = 1,
        validation_fraction: float = 0.2,
        metric: str | None = None,
        loss: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        hidden: Any = None,
        dropout: float | None = None,
        members: int | None = None,
        patience: int | None = None,
        time_limit: float | None = None,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        directory: Any = None,
    ) -> None:
        self.architecture = architecture
        self.n_cv = n_cv
        self.n_ens = n_ens
        self.validation_fraction = validation_fraction
        self.metric = metric
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.hidden = hidden
        self.dropout = dropout
        self.members = members
        self.patience = patience
        self.time_limit = time_limit
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.directory = directory

    # ------------------------------------------------------------ training

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight: Any = None,
    ) -> Any:
        """Train on a frame or an array and its targets.

        Parameters
        ----------
        X : data frame, dict of columns, list of rows, or array of shape (samples, features)
            Samples. Columns of frames are numbers, categories, truth values or dates, as
            `fastmlp.Model` finds them; cells may be missing. Arrays hold numbers.
        y : array of shape (samples,), for several targets of a regression (samples, targets)
            Labels or numbers.
        X_val, y_val : as `X` and `y`, optional
            Samples that choose the epoch; by default a part of `X`, or its folds.
        sample_weight : array of shape (samples,), optional
            Factor >= 0 of each sample's loss.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            A parameter or an argument is wrong; the message names it. Or `directory` holds the
            fit of other data or settings.
        DirectoryInUseError
            Another process fits in `directory`.
        """
        n_cv, n_ens = integer("n_cv", self.n_cv, 1), integer("n_ens", self.n_ens, 1)
        table = self._table(X, reset=True)
        y = self._checked_targets(y, table)
        weights = self._weights(y, sample_weight)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together")
        if X_val is not None and n_cv > 1:
            raise ValueError("X_val must be left out with n_cv > 1, whose folds choose the epochs")
        held = None
        if X_val is not None:
            held = (self._table(X_val, reset=False), np.asarray(y_val))
            check_consistent_length(*held)
        place = self._place()
        seed = place.seed if place is not None and self.random_state is None else None
        if seed is None:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        jobs = self._jobs(table, y, weights, held, n_cv, n_ens, seed)
        if place is None:
            networks = self._trained(jobs)
        else:
            with place.held(self._definition(jobs, seed)):
                networks = self._trained(jobs, place)
        self.model_ = BaggedModel(networks)
        self._held_out = jobs[0].held
        self.n_iter_ = [len(network.history.loss) for network in networks]
        return self

    def _jobs(
        self,
        table: Table,
        y: Array,
        weights: Array | None,
        held: tuple[Table, Array] | None,
        n_cv: int,
        n_ens: int,
        seed: int,
    ) -> list[_Job]:
        """Return the trainings, one for each fold and repetition."""
        everything = np.arange(len(table))
        parts: list[tuple[Indices, dict[str, Any] | None]] = []

        def part(rows: Indices) -> dict[str, Any]:
            return _frame(_rows(table, rows), y[rows], None if weights is None else weights[rows])

        if held is not None:
            own = None if weights is None else self._weights(held[1], None)
            if weights is not None and own is None:
                own = np.ones(len(held[1]))
            parts = [(everything, _frame(*held, own))]
        else:
            share = real("validation_fraction", self.validation_fraction, 0.0, 1.0, below=True)
            folds = n_cv if n_cv > 1 else max(2, round(1 / share)) if share else 1
            if folds > 1 and len(table) >= folds:
                fold_of = random_folds(len(table), self._strata(y), folds, seed)
                for fold in range(n_cv):
                    inside = np.flatnonzero(fold_of == fold)
                    rows = np.flatnonzero(fold_of != fold)
                    parts.append((rows, part(inside)))
            elif n_cv > 1:
                raise ValueError(f"n_cv must be at most {len(table)}, the samples, got {n_cv}")
            else:
                parts.append((everything, None))
        jobs: list[_Job] = []
        for rows, validation in parts:
            data = part(rows)
            jobs += [_Job(data, validation, seed + len(jobs) + e) for e in range(n_ens)]
        return jobs

    def _place(self) -> FitDirectory | None:
        """Return the directory of the fit, or None."""
        if self.directory is None:
            return None
        if self.time_limit is not None:
            raise ValueError(
                "time_limit must be None with a directory, because a fit that goes on cannot have "
                f"the epochs that the clock chose before, got {self.time_limit!r}; give epochs"
            )
        return FitDirectory(Path(os.path.expanduser(self.directory)))

    def _definition(self, jobs: list[_Job], seed: int) -> dict[str, Any]:
        """Return what two fits must have in common so that one goes on where the other stopped."""
        from fastmlp._version import __version__

        digests = [
            {
                "training": digest(Part(table_of(job.data, "X"))),
                "validation": None if job.held is None else digest(Part(table_of(job.held, "X"))),
            }
            for job in jobs[:: integer("n_ens", self.n_ens, 1)]
        ]
        return {
            "version": __version__,
            "n_cv": self.n_cv,
            "n_ens": self.n_ens,
            "validation_fraction": self.validation_fraction,
            "random_state": seed,
            "settings": clean_json(self._settings(jobs[0], 1)),
            "data_sha256": digests,
        }

    def _trained(self, jobs: list[_Job], place: FitDirectory | None = None) -> list[MLP]:
        """Return the networks of the trainings, of which several run at the same time."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        workers = cores if self.n_jobs in (None, -1) else integer("n_jobs", self.n_jobs, 1)
        workers = max(1, min(len(jobs), workers or 1))
        settings = self._settings(jobs[0], -(-len(jobs) // workers))
        if len(jobs) > 1:
            settings["threads"] = 1
        elif self.n_jobs not in (None, -1):
            settings["threads"] = self.n_jobs
        places = [None if place is None else place.network(n) for n in range(1, len(jobs) + 1)]
        if workers == 1:
            return [
                job.run(settings, self.verbose, place)
                for job, place in zip(jobs, places, strict=True)
            ]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda job, place: job.run(settings, 0, place), jobs, places))

    def _settings(self, job: _Job, rounds: int) -> dict[str, Any]:
        """Return the settings of `fastmlp.Model` for one of `rounds` trainings after another."""
        given = {
            "architecture": self.architecture,
            "monitor": None if self.metric is None else self._monitor(),
            "loss": as_config(self.loss) if isinstance(self.loss, Loss) else self.loss,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "members": self.members,
            "patience": self.patience,
            "dtype": self.dtype,
            "task": self._task,
            "sample_weight": _WEIGHT if _WEIGHT in job.data else None,
        }
        settings = {name: value for name, value in given.items() if value is not None}
        if getattr(self, "_numeric", False):
            settings["numeric"] = [name for name in job.data if name.startswith("x")]
        if self.time_limit is not None:
            limit = real("time_limit", self.time_limit, 0.0) / rounds
            settings |= self._fitting_into(limit, job, settings)
        return settings

    def _fitting_into(self, limit: float, job: _Job, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of epochs that take `limit` seconds, by the time of a few."""
        start = time.perf_counter()
        trial = job.run({**settings, "epochs": _CALIBRATION_EPOCHS}, 0)
        epoch = (time.perf_counter() - start) / _CALIBRATION_EPOCHS
        left = max(limit - (time.perf_counter() - start), 0.0)
        architecture = ARCHITECTURES.get(self.architecture)
        usual = self.epochs or (256 if architecture is None else architecture.epochs)
        del trial
        epochs = int(np.clip(left / epoch, min(_FEWEST_EPOCHS, usual), usual))
        return {"epochs": epochs, "max_time": max(limit, 1e-3)}

    def _monitor(self) -> str:
        get_metric(str(self.metric))
        return f"val_{self.metric}"

    # ------------------------------------------------------------ data

    def _table(self, X: Any, *, reset: bool) -> Table:
        """Return samples as a table, after scikit-learn's checks of arrays and names."""
        if hasattr(X, "tocsr"):
            raise TypeError(
                "X must be dense, got a sparse matrix: use fastmlp.MLPClassifier for it"
            )
        is_array = not hasattr(X, "columns") and not isinstance(X, (Mapping, Table))
        rows = isinstance(X, list) and X and isinstance(X[0], Mapping)
        if is_array and not rows and not hasattr(X, "__arrow_c_stream__"):
            array = check_array(
                X, dtype=None, ensure_all_finite=False, estimator=self, input_name="X"
            )
            if array.dtype.kind in "OUS":
                array = np.asarray(array, object)
            elif array.dtype.kind == "c":
                raise ValueError("Complex data not supported")
            validate_data(self, array, reset=reset, skip_check_array=True)
            if array.dtype.kind == "f" and np.isinf(array).any():
                raise ValueError("Input X contains infinity or a value too large")
            if reset:
                self._numeric = array.dtype.kind in "fiub"
            return table_of({f"x{i}": array[:, i] for i in range(array.shape[1])}, "X")
        table = table_of(X, "X")
        if reset:
            self._numeric = False
            self.n_features_in_ = len(table.names)
            self.feature_names_in_ = np.array(table.names, object)
        return table

    def _checked_targets(self, y: Any, table: Table) -> Array:
        raise NotImplementedError

    def _weights(self, y: Array, given: Any) -> Array | None:
        """Return the weights of samples; None if all are equal."""
        if given is None:
            return None
        weights = np.asarray(given)
        if weights.ndim == 1 and weights.dtype.kind in "fiub" and not weights.any():
            raise ValueError("sample_weight must not be zero for all samples")
        return sample_weights("sample_weight", weights, len(y), np.float64)

    def _strata(self, y: Array) -> Indices | None:
        """Return the classes by which parts are balanced, or None."""
        return None

    _task = ""

    # ------------------------------------------------------------ answers

    def predict(self, X: Any) -> Array:
        """Return the answers for samples.

        Parameters
        ----------
        X : as in `fit`
        """
        check_is_fitted(self, "model_")
        return self.model_.predict(self._table(X, reset=False))

    @property
    def feature_importances_(self) -> Array:
        """Loss of score on held-out samples when the cells of a column are permuted.

        A float64 array with one number per column of `X`, of the first network; see
        `fastmlp.permutation_importance`.
        """
        check_is_fitted(self, "model_")
        if self._held_out is None:
            raise AttributeError("feature_importances_ needs held-out samples, there are none")
        network = Model.of(self.model_.networks[0])
        found = permutation_importance(network, self._held_out, metric=self.metric)
        means = dict(zip(found.names, found.means, strict=True))
        names = self._names()
        return np.array([means.get(name, 0.0) for name in names])

    def _names(self) -> list[str]:
        named = getattr(self, "feature_names_in_", None)
        if named is not None and not self._numeric:
            return [str(name) for name in named]
        return [f"x{i}" for i in range(self.n_features_in_)]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model: a file of one network, a directory of several.

        `fastmlp.load`, ``fastmlp predict`` and ``fastmlp serve`` take it.
        """
        check_is_fitted(self, "model_")
        if len(self.model_) == 1:
            self.model_.networks[0].save(path)
        else:
            self.model_.save(path)

    def export(self, path: str | PathLike[str]) -> None:
        """Write the model as ONNX, C or NPZ, by the suffix of the path; of one network only."""
        check_is_fitted(self, "model_")
        if len(self.model_) > 1:
            raise ValueError(f"export needs a single network, got {len(self.model_)} (n_cv, n_ens)")
        Model.of(self.model_.networks[0]).export(path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags


class _Job:
    """One training: its samples with their targets, those that choose the epoch, its seed."""

    def __init__(self, data: dict[str, Any], held: dict[str, Any] | None, seed: int) -> None:
        self.data = data
        self.held = held
        self.seed = seed

    def run(self, settings: Mapping[str, Any], verbose: int, directory: Path | None = None) -> MLP:
        """Return the trained network with its preprocessing."""
        targets = [name for name in self.data if name.startswith("target")]
        own = {**settings, "seed": self.seed, "target": targets}
        if self.held is None:
            own |= {"validation_fraction": 0.0, "test_fraction": 0.0}
        fitted = fit_network(
            own, self.data, validation=self.held, verbose=verbose, directory=directory
        )
        return fitted.network


def _rows(table: Table, rows: Indices) -> Table:
    """Return some rows of a table."""
    return table_of({name: table.columns[name][rows] for name in table.names}, "X")


def _frame(table: Table, y: Array, weights: Array | None = None) -> dict[str, Any]:
    """Return the columns of a table with targets and weights."""
    data: dict[str, Any] = {name: table.columns[name] for name in table.names}
    data |= target_columns(y, ["target"] if np.ndim(y) == 1 else None)
    if weights is not None:
        data[_WEIGHT] = weights
    return data


class TabularClassifier(ClassifierMixin, _TabularEstimator):  # type: ignore[misc]
    """A classifier for tables: RealMLP or TabM, trained in seconds on a CPU.

    Parameters
    ----------
    architecture : {"realmlp", "realmlp-s", "tabm", "resnet", "mlp"}
        Network: RealMLP and its simple form (Holzmueller, Grinsztajn and Steinwart, NeurIPS 2024),
        TabM (Gorishniy, Kotelnikov and Babenko, ICLR 2025), residual blocks (Gorishniy, Rubachev,
        Khrulkov and Babenko, NeurIPS 2021), or a plain network.
    n_cv : int
        Networks that are trained each without one of so many folds, which chooses its epoch; 1
        trains one network.
    n_ens : int
        Networks of different seeds for each of these; predictions are averaged.
    validation_fraction : float
        Share of the samples that chooses the epoch, with ``n_cv=1``; 0 keeps the last epoch.
    metric : str, optional
        Metric by which the epoch is chosen, one of `fastmlp.metrics.METRICS`; the default is the
        loss.
    loss : str or Loss, optional
        Another loss than that of the architecture.
    epochs, batch_size, learning_rate, hidden, dropout, members, patience : optional
        Other values than those of the architecture.
    time_limit : float, optional
        Seconds that the training should take. Epochs are chosen by the time of the first ones, so
        results depend on the machine.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    n_jobs : int, optional
        Networks that are trained at the same time, or threads of a single one; by default as many
        as there are CPUs. Results do not depend on it.
    random_state : int, RandomState or None
        Seed of folds and initial weights.
    verbose : int
        Whether to print a line per epoch.
    directory : str or os.PathLike, optional
        Directory for checkpoints. A fit that was stopped, however that was, goes on when the same
        estimator is fitted to the same data again, and ends with the same bits as one that was
        never stopped. Without ``random_state``, the seed is that of the directory.
    class_weight : dict or "balanced", optional
        Factors of the classes' losses.

    Attributes
    ----------
    classes_ : array of shape (classes,)
        Labels.
    model_ : BaggedModel
        The trained networks.
    feature_importances_ : array of shape (features,)
        Importance of the columns by permutation on held-out samples, computed when it is read.
    n_features_in_, feature_names_in_, n_iter_
        As in scikit-learn; epochs of each network.

    Examples
    --------
    >>> import fastmlp
    >>> frame = {"size": [1.0, 2.0, 7.0, 8.0] * 25, "color": ["red", "blue"] * 50}
    >>> labels = ["small", "small", "large", "large"] * 25
    >>> classifier = fastmlp.TabularClassifier(epochs=20, random_state=0).fit(frame, labels)
    >>> classifier.predict([{"size": 7.5, "color": "red"}])
    array(['large'], dtype='<U5')
    """

    _task = "classification"

    def __init__(
        self,
        architecture: str = "realmlp",
        *,
        n_cv: int = 1,
        n_ens: int = 1,
        validation_fraction: float = 0.2,
        metric: str | None = None,
        loss: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        hidden: Any = None,
        dropout: float | None = None,
        members: int | None = None,
        patience: int | None = None,
        time_limit: float | None = None,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        directory: Any = None,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            architecture,
            n_cv=n_cv,
            n_ens=n_ens,
            validation_fraction=validation_fraction,
            metric=metric,
            loss=loss,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            hidden=hidden,
            dropout=dropout,
            members=members,
            patience=patience,
            time_limit=time_limit,
            dtype=dtype,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
            directory=directory,
        )
        self.class_weight = class_weight

    def _checked_targets(self, y: Any, table: Table) -> Array:
        y = column_or_1d(y, warn=True)
        check_consistent_length(table, y)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold two or more classes, got {len(self.classes_)} class")
        return np.asarray(y)

    def _strata(self, y: Array) -> Indices | None:
        codes: Indices = np.searchsorted(self.classes_, y).astype(np.int64)
        return codes

    def _weights(self, y: Array, given: Any) -> Array | None:
        weights = super()._weights(y, given)
        if self.class_weight is None:
            return weights
        of_class = compute_sample_weight(self.class_weight, y)
        return np.asarray(of_class if weights is None else of_class * weights, np.float64)

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each sample.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        array of shape (samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of `classes_`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        array of shape (samples, classes)
        """
        check_is_fitted(self, "model_")
        found = self.model_.predict_proba(self._table(X, reset=False))
        column_of = {label: at for at, label in enumerate(self.classes_.tolist())}
        probabilities = np.zeros((len(found), len(self.classes_)), found.dtype)
        for at, label in enumerate(self.model_.classes.tolist()):
            probabilities[:, column_of[label]] = found[:, at]
        return probabilities


class TabularRegressor(RegressorMixin, _TabularEstimator):  # type: ignore[misc]
    """A regressor for tables: RealMLP or TabM, trained in seconds on a CPU.

    Targets are scaled, and predictions limited to the range of the targets.

    Parameters
    ----------
    architecture : {"realmlp", "realmlp-s", "tabm", "resnet", "mlp"}
        Network: RealMLP and its simple form (Holzmueller, Grinsztajn and Steinwart, NeurIPS 2024),
        TabM (Gorishniy, Kotelnikov and Babenko, ICLR 2025), residual blocks (Gorishniy, Rubachev,
        Khrulkov and Babenko, NeurIPS 2021), or a plain network.
    n_cv : int
        Networks that are trained each without one of so many folds, which chooses its epoch; 1
        trains one network.
    n_ens : int
        Networks of different seeds for each of these; predictions are averaged.
    validation_fraction : float
        Share of the samples that chooses the epoch, with ``n_cv=1``; 0 keeps the last epoch.
    metric : str, optional
        Metric by which the epoch is chosen, one of `fastmlp.metrics.METRICS`; the default is the
        loss.
    loss : str or Loss, optional
        Another loss: "mae", "poisson", ``fastmlp.Quantile(0.9)`` ...
    epochs, batch_size, learning_rate, hidden, dropout, members, patience : optional
        Other values than those of the architecture.
    time_limit : float, optional
        Seconds that the training should take. Epochs are chosen by the time of the first ones, so
        results depend on the machine.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    n_jobs : int, optional
        Networks that are trained at the same time, or threads of a single one; by default as many
        as there are CPUs. Results do not depend on it.
    random_state : int, RandomState or None
        Seed of folds and initial weights.
    verbose : int
        Whether to print a line per epoch.
    directory : str or os.PathLike, optional
        Directory for checkpoints. A fit that was stopped, however that was, goes on when the same
        estimator is fitted to the same data again, and ends with the same bits as one that was
        never stopped. Without ``random_state``, the seed is that of the directory.

    Attributes
    ----------
    model_ : BaggedModel
        The trained networks.
    feature_importances_ : array of shape (features,)
        Importance of the columns by permutation on held-out samples, computed when it is read.
    n_features_in_, feature_names_in_, n_iter_
        As in scikit-learn; epochs of each network.

    Examples
    --------
    >>> import fastmlp
    >>> frame = {"size": [float(i % 50) for i in range(200)]}
    >>> price = [3.0 * size for size in frame["size"]]
    >>> regressor = fastmlp.TabularRegressor(random_state=0).fit(frame, price)
    >>> bool(abs(regressor.predict({"size": [30.0]})[0] - 90.0) < 5.0)
    True
    """

    _task = "regression"

    def _checked_targets(self, y: Any, table: Table) -> Array:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        array = check_array(y, ensure_2d=False, dtype="numeric", input_name="y", estimator=self)
        check_consistent_length(table, array)
        if array.ndim == 2 and array.shape[1] == 1:
            array = column_or_1d(array, warn=True)
        return np.asarray(array, np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
