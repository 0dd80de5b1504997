"""`TabularClassifier` and `TabularRegressor`: the best networks for tables, as estimators."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastmlp._named import as_config
from fastmlp._scalars import shown
from fastmlp._system import cpu_count
from fastmlp.data import CategoryColumn, Part, Samples
from fastmlp.data.folds import random_folds
from fastmlp.data.frames import is_frame, table_of
from fastmlp.data.split import split
from fastmlp.data.table import Table
from fastmlp.errors import FormatError
from fastmlp.experiment.bagging import BaggedModel
from fastmlp.experiment.fit_directory import FitDirectory
from fastmlp.experiment.folds import digest
from fastmlp.experiment.importance import importance_of
from fastmlp.experiment.pipeline import Model
from fastmlp.experiment.rundir import clean_json
from fastmlp.experiment.tabular_labels import distinct_labels, names_of_labels
from fastmlp.experiment.tabular_training import (
    AddedNames,
    TrainedNetwork,
    TrainingJob,
    free_name,
)
from fastmlp.extras import require
from fastmlp.history import History
from fastmlp.losses import Loss
from fastmlp.metrics import get_metric
from fastmlp.model import MLP, load_mlp
from fastmlp.network.architecture import dtype_name
from fastmlp.validation import integer, real, sample_weights

require("sklearn", "sklearn")
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.metrics import d2_pinball_score  # noqa: E402
from sklearn.utils import check_random_state  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402
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
E = TypeVar("E", bound="_TabularEstimator")


class _TabularEstimator(BaseEstimator):  # type: ignore[misc]
    """Parts of both estimators."""

    model_: BaggedModel
    n_features_in_: int
    histories_: list[History]
    validation_scores_: list[float] | None
    _columns: tuple[str, ...]
    _has_names: bool
    _has_order: bool
    _numeric: bool
    _held_out: Samples | None

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
            Labels, which are taken as they are, or numbers.
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
        if self.metric is not None:
            get_metric(str(self.metric)).require(self._task)
        table = self._table(X, reset=True)
        y = self._learned_targets(y)
        check_consistent_length(table, y)
        weights = self._weights(y, sample_weight)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together")
        if X_val is not None and n_cv > 1:
            raise ValueError("X_val must be left out with n_cv > 1, whose folds choose the epochs")
        held = None
        if X_val is not None:
            held = (self._table(X_val, reset=False, name="X_val"), self._held_targets(y_val, y))
            check_consistent_length(*held)
        place = self._place()
        seed = place.seed if place is not None and self.random_state is None else None
        if seed is None:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        jobs = self._jobs(table, y, weights, held, n_cv, n_ens, seed)
        if self.metric is not None and jobs[0].held is None:
            raise ValueError(
                "metric must be None without samples that choose the epoch, got "
                f"{self.metric!r} with validation_fraction=0"
            )
        if place is None:
            trained = self._trained(jobs)
        else:
            with place.held(self._definition(jobs, seed)):
                trained = self._trained(jobs, place)
        networks = [one.network for one in trained]
        for network in networks:
            self._name_outputs(network)
        self._take(BaggedModel(networks))
        self._warn_of_unused_columns()
        scores = [one.score for one in trained if one.score is not None]
        self.validation_scores_ = scores or None
        self._held_out = trained[0].held
        return self

    def _warn_of_unused_columns(self) -> None:
        """Warn if columns of a frame hold what no network reads."""
        unused = self.model_.preprocessing.left_out if self._has_names else ()
        if unused:
            reasons = ", ".join(f"{name!r} {reason}" for name, reason in unused[:10])
            more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""
            warnings.warn(f"columns of X are not used: {reasons}{more}", UserWarning, stacklevel=3)

    def _take(self, model: BaggedModel) -> None:
        """Keep the trained networks and what they tell of their training."""
        self.model_ = model
        self.histories_ = [network.history for network in model.networks]
        self.n_iter_ = [len(history.loss) for history in self.histories_]

    def _jobs(
        self,
        table: Table,
        y: Array,
        weights: Array | None,
        held: tuple[Table, Array] | None,
        n_cv: int,
        n_ens: int,
        seed: int,
    ) -> list[TrainingJob]:
        """Return the trainings, one for each fold and repetition."""
        names = self._added_names(table, y)
        whole = names.added_to(table, y, weights)
        pairs: list[tuple[Table, Table | None]] = []
        if held is not None:
            own = None if weights is None else self._weights(held[1], None)
            if weights is not None and own is None:
                own = np.ones(len(held[1]))
            pairs = [(whole, names.added_to(*held, own))]
        else:
            for rows, inside in self._parts(y, n_cv, seed):
                self._require_weights(weights, rows, inside, n_cv)
                pairs.append((whole.rows(rows), whole.rows(inside) if len(inside) else None))
        jobs: list[TrainingJob] = []
        for data, validation in pairs:
            weight = None if weights is None else names.weight
            jobs += [
                TrainingJob(data, validation, names.targets, weight, seed + len(jobs) + e)
                for e in range(n_ens)
            ]
        return jobs

    def _added_names(self, table: Table, y: Array) -> AddedNames:
        """Return names for targets and weights that no column of the samples has."""
        taken = set(table.columns)
        targets: list[str] = []
        for name in self._target_names(y):
            targets.append(free_name(name, taken))
            taken.add(targets[-1])
        return AddedNames(tuple(targets), free_name("sample weight", taken))

    def _target_names(self, y: Array) -> list[str]:
        return ["target"] if y.ndim == 1 else [f"target_{j}" for j in range(y.shape[1])]

    def _parts(self, y: Array, n_cv: int, seed: int) -> list[tuple[Indices, Indices]]:
        """Return the samples of each training, and those that choose its epoch."""
        share = real("validation_fraction", self.validation_fraction, 0.0, 1.0, below=True)
        if n_cv == 1:
            rows, inside = split(len(y), self._strata(y), share, seed)
            if share and not len(inside):
                shown = f"{len(y)} sample{'s' if len(y) > 1 else ''}"
                if self._strata(y) is not None:
                    shown += ", each the only one of its class"
                raise ValueError(
                    f"validation_fraction must be 0 for {shown}, got {self.validation_fraction}"
                )
            return [(rows, inside)]
        # The only sample of a class is in the training part of all folds.
        strata = self._strata(y)
        free = np.ones(len(y), bool) if strata is None else np.bincount(strata)[strata] > 1
        if free.sum() < n_cv:
            others = "" if free.all() else " that are not the only one of their class"
            raise ValueError(f"n_cv must be at most {free.sum()}, the samples{others}, got {n_cv}")
        fold_of = np.full(len(y), -1)
        labels = None if strata is None else strata[free]
        fold_of[free] = random_folds(int(free.sum()), labels, n_cv, seed)
        return [
            (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold))
            for fold in range(n_cv)
        ]

    def _require_weights(
        self, weights: Array | None, rows: Indices, inside: Indices, n_cv: int
    ) -> None:
        """Raise ValueError if all samples that train, or all that choose the epoch, weigh 0."""
        if weights is None:
            return
        for part, does in ((rows, "train a network"), (inside, "choose an epoch")):
            if len(part) and not weights[part].any():
                origin = f"n_cv={n_cv}"
                if n_cv == 1:
                    origin = f"validation_fraction={self.validation_fraction}"
                raise ValueError(
                    f"sample_weight must not be 0 for all of the {len(part)} samples that {does} "
                    f"({origin}); leave samples of weight 0 out, or give X_val and y_val"
                )

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

    def _definition(self, jobs: list[TrainingJob], seed: int) -> dict[str, Any]:
        """Return what two fits must have in common so that one goes on where the other stopped."""
        from fastmlp._version import __version__

        digests = [
            {
                "training": digest(Part(job.data)),
                "validation": None if job.held is None else digest(Part(job.held)),
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

    def _trained(
        self, jobs: list[TrainingJob], place: FitDirectory | None = None
    ) -> list[TrainedNetwork]:
        """Return what the trainings leave, of which several run at the same time."""
        workers = cpu_count() if self.n_jobs in (None, -1) else integer("n_jobs", self.n_jobs, 1)
        workers = max(1, min(len(jobs), workers))
        settings = self._settings(jobs[0], -(-len(jobs) // workers))
        if len(jobs) > 1:
            settings["threads"] = 1
        elif self.n_jobs not in (None, -1):
            settings["threads"] = self.n_jobs
        places = [None if place is None else place.network(n) for n in range(1, len(jobs) + 1)]
        if workers == 1:
            return [
                job.run(settings, self.verbose, place, self.metric)
                for job, place in zip(jobs, places, strict=True)
            ]
        with ThreadPoolExecutor(workers) as pool:
            return list(
                pool.map(lambda job, place: job.run(settings, 0, place, self.metric), jobs, places)
            )

    def _settings(self, job: TrainingJob, rounds: int) -> dict[str, Any]:
        """Return the settings of `fastmlp.Model` for one of `rounds` trainings after another."""
        given = {
            "architecture": self.architecture,
            "monitor": None if self.metric is None else f"val_{self.metric}",
            "loss": self._loss(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "members": self.members,
            "patience": self.patience,
            "dtype": dtype_name(self.dtype),
            "task": self._task,
            "sample_weight": job.weight,
        }
        settings = {name: value for name, value in given.items() if value is not None}
        if self._numeric:
            settings["numeric"] = list(self._columns)
        if self.time_limit is not None:
            settings["time_limit"] = real("time_limit", self.time_limit, 0.0) / rounds
        return settings

    def _loss(self) -> Any:
        if callable(self.loss) and not isinstance(self.loss, Loss):
            raise TypeError(
                "loss must be a name or an object such as fastmlp.Huber(), got "
                f"{shown(self.loss)}; fastmlp.MLP takes functions"
            )
        return as_config(self.loss) if isinstance(self.loss, Loss) else self.loss

    # ------------------------------------------------------------ data

    def _table(self, X: Any, *, reset: bool, name: str = "X") -> Table:
        """Return samples as a table, after scikit-learn's checks of arrays and names."""
        if hasattr(X, "tocsr"):
            raise TypeError(
                f"{name} must be dense, got a sparse matrix: use fastmlp.MLPClassifier for it"
            )
        if not isinstance(X, Table) and not is_frame(X):
            return self._table_of_array(X, reset=reset, name=name)
        table = table_of(X, name, blank_names=True)
        if not len(table):
            raise ValueError(
                f"Found a table with 0 sample(s) in {name} while a minimum of 1 is required by "
                f"{type(self).__name__}."
            )
        if reset:
            self._numeric = False
            self._has_names = self._has_order = True
            self._columns = tuple(table.columns)
            self.n_features_in_ = len(self._columns)
            self.feature_names_in_ = np.array(self._columns, object)
        elif not self._has_names and not set(self._columns) <= set(table.columns):
            return self._without_names(table)
        return table

    def _table_of_array(self, X: Any, *, reset: bool, name: str) -> Table:
        array = check_array(X, dtype=None, ensure_all_finite=False, estimator=self, input_name=name)
        if array.dtype.kind in "OUS":
            array = np.asarray(array, object)
        elif array.dtype.kind == "c":
            raise ValueError("Complex data not supported")
        validate_data(self, array, reset=reset, skip_check_array=True)
        if array.dtype.kind == "f" and np.isinf(array).any():
            row, column = np.argwhere(np.isinf(array))[0].tolist()
            raise ValueError(
                f"Input {name} contains infinity or a value too large, first in row {row + 1}, "
                f"column {column + 1}"
            )
        if reset:
            self._numeric = array.dtype.kind in "fiub"
            self._has_names, self._has_order = False, True
            self._columns = tuple(f"x{i}" for i in range(array.shape[1]))
        elif not self._has_order:
            raise ValueError(
                f"{name} must be a frame with the columns {', '.join(self._columns)}, got an array"
            )
        elif array.dtype.kind in "fiub":
            self._require_numbers(name)
        return table_of({text: array[:, i] for i, text in enumerate(self._columns)}, name)

    def _require_numbers(self, name: str) -> None:
        """Raise ValueError if a column of the fit holds no numbers, unlike an array."""
        model = getattr(self, "model_", None)
        for column in () if model is None else model.preprocessing.columns or ():
            names = column.categories if isinstance(column, CategoryColumn) else ()
            if column.kind == "date" or (names and not any(map(_is_number, names))):
                raise ValueError(
                    f"{name} must be a frame, or an array of objects, because column "
                    f"{column.name!r} holds {'dates' if column.kind == 'date' else 'text'}; got "
                    "an array of numbers"
                )

    def _without_names(self, table: Table) -> Table:
        """Return a table whose columns have the places of those of the array of the fit."""
        if len(table.columns) != self.n_features_in_:
            raise ValueError(
                f"{table.origin} has {len(table.columns)} features, but {type(self).__name__} is "
                f"expecting {self.n_features_in_} features as input"
            )
        warnings.warn(
            f"{table.origin} has feature names, but {type(self).__name__} was fitted without "
            "feature names",
            UserWarning,
            stacklevel=4,
        )
        cells = zip(self._columns, table.columns.values(), strict=True)
        return replace(table, columns=dict(cells), names=self._columns)

    def _learned_targets(self, y: Any) -> Array:
        """Return the targets of the training as numbers: classes counted from 0, or quantities."""
        raise NotImplementedError

    def _held_targets(self, y_val: Any, y: Array) -> Array:
        """Return the targets of the samples that choose the epoch as those of the training."""
        raise NotImplementedError

    def _name_outputs(self, network: MLP) -> None:
        """Give the outputs of a trained network the names that files shall hold."""

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
        found = importance_of(self.model_.networks[0], self._held_out, metric=self.metric)
        means = dict(zip(found.names, found.means, strict=True))
        return np.array([means.get(name, 0.0) for name in self._columns])

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model: a file of one network, a directory of several.

        `fastmlp.load`, ``fastmlp predict`` and ``fastmlp serve`` take it.
        """
        check_is_fitted(self, "model_")
        if len(self.model_) == 1:
            self.model_.networks[0].save(path)
        else:
            self.model_.save(path)

    @classmethod
    def load(cls: type[E], path: str | PathLike[str]) -> E:
        """Read a fitted estimator from what `save` wrote; nothing in the files is executed.

        Predictions are those of the saved estimator, to the last bit. Parameters are not saved:
        those of the estimator have their defaults. A classifier has its labels as int64, float64,
        bool or str.

        Parameters
        ----------
        path : str or os.PathLike
            File or directory.

        Returns
        -------
        estimator
            An estimator of the class on which the method is called.

        Raises
        ------
        FormatError
            The file is damaged, or holds no model of this kind.
        OSError
            A file cannot be opened.

        Examples
        --------
        >>> import fastmlp
        >>> x, y = [[0.0], [1.0]] * 20, ["low", "high"] * 20
        >>> fastmlp.TabularClassifier(epochs=2, random_state=0).fit(x, y).save("m.safetensors")
        >>> fastmlp.TabularClassifier.load("m.safetensors").classes_
        array(['high', 'low'], dtype='<U4')
        """
        if os.path.isdir(path):
            found = BaggedModel.load(path)
        else:
            network = load_mlp(path)
            if network.preprocessing is None:
                raise FormatError(f"{path}: must hold a model of a table, got a network alone")
            found = BaggedModel([network])
        if found.preprocessing.columns is None:
            raise FormatError(f"{path}: must hold a model of a table, got one of arrays")
        if found.task != cls._task:
            raise FormatError(f"{path}: must hold a model of {cls._task}, got one of {found.task}")
        estimator = cls()
        estimator._take(found)
        estimator._held_out = None
        estimator.validation_scores_ = None
        pre = found.preprocessing
        used = [column.name for column in pre.columns or ()]
        left_out = [name for name, _ in pre.left_out]
        estimator._numeric = False
        estimator._columns = tuple(used + left_out)
        estimator.n_features_in_ = len(estimator._columns)
        numbered = {f"x{i}": i for i in range(estimator.n_features_in_)}
        estimator._has_names = set(estimator._columns) != set(numbered)
        if estimator._has_names:
            estimator.feature_names_in_ = np.array(estimator._columns, object)
        else:
            estimator._columns = tuple(numbered)
        # The place of a column that is left out is not known.
        estimator._has_order = not (estimator._has_names and left_out)
        return estimator

    def export(self, path: str | PathLike[str]) -> None:
        """Write the model as ONNX, C or NPZ, by the suffix of the path; of one network only.

        Several networks (n_cv, n_ens) are exported one by one: ``model_.models[0].export(path)``.
        """
        check_is_fitted(self, "model_")
        if len(self.model_) > 1:
            raise ValueError(
                f"export needs a single network, got {len(self.model_)} (n_cv, n_ens); "
                "model_.models[0].export(path) writes one of them"
            )
        Model.of(self.model_.networks[0]).export(path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
        trains one network. The only sample of a class is in no fold: all networks train on it.
    n_ens : int
        Networks of different seeds for each of these; predictions are averaged.
    validation_fraction : float
        Share of the samples in [0, 1) that chooses the epoch, with ``n_cv=1``; 0 keeps the last
        epoch.
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
    histories_ : list of History
        Losses of the epochs of each network.
    validation_scores_ : list of float or None
        Score of each network on the samples that chose its epoch: `metric`, by default accuracy.
        None without such samples, and after `load`.
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

    def _learned_targets(self, y: Any) -> Array:
        self.classes_, codes = distinct_labels(y, "y")
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold two or more classes, got {len(self.classes_)} class")
        return codes

    def _held_targets(self, y_val: Any, y: Array) -> Array:
        labels, codes = distinct_labels(y_val, "y_val")
        code_of = {label: code for code, label in enumerate(self.classes_.tolist())}
        for label in labels.tolist():
            if label not in code_of:
                raise ValueError(f"y_val must hold labels that y holds, got {label!r}")
        return np.array([code_of[label] for label in labels.tolist()], np.int64)[codes]

    def _take(self, model: BaggedModel) -> None:
        super()._take(model)
        if not hasattr(self, "classes_"):
            labels = model.classes
            self.classes_ = np.array(labels.tolist(), str) if labels.dtype == object else labels

    def _name_outputs(self, network: MLP) -> None:
        pre = network.preprocessing
        assert pre is not None
        assert pre.target_schema is not None
        names, label_type, reads = names_of_labels(self.classes_)
        schema = CategoryColumn(pre.target_schema[0].name, names, reads, refuses_missing=True)
        network.preprocessing = replace(
            pre, class_names=names, target_schema=(schema,), label_type=label_type
        )

    def _strata(self, y: Array) -> Indices | None:
        return y

    def _weights(self, y: Array, given: Any) -> Array | None:
        weights = super()._weights(y, given)
        if self.class_weight is None:
            return weights
        class_weight = self.class_weight
        if isinstance(class_weight, Mapping):
            most = float(np.finfo(np.float32).max)
            class_weight = {
                label: real(f"class_weight[{label!r}]", value, 0.0, most)
                for label, value in class_weight.items()
            }
        of_class = compute_sample_weight(class_weight, self.classes_[y])
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
        check_is_fitted(self, "model_")
        averages = self.model_.complete_averages(self._table(X, reset=False))
        if self.model_.has_probabilities:
            best = averages.values.argmax(axis=1)
        else:
            best = self.model_.decided(averages)
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
        return self.model_.predict_proba(self._table(X, reset=False))


class TabularRegressor(RegressorMixin, _TabularEstimator):  # type: ignore[misc]
    """A regressor for tables: RealMLP or TabM, trained in seconds on a CPU.

    Targets are scaled, and predictions limited to the range of the targets of the training, except
    by ``architecture="mlp"``.

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
        Share of the samples in [0, 1) that chooses the epoch, with ``n_cv=1``; 0 keeps the last
        epoch.
    metric : str, optional
        Metric by which the epoch is chosen, one of `fastmlp.metrics.METRICS`; the default is the
        loss.
    loss : str or Loss, optional
        Another loss: "mae", "poisson", ``fastmlp.Quantile(levels=0.9)`` ... With several levels,
        such as ``fastmlp.Quantile(levels=[0.1, 0.9])``, a single target has so many quantiles, and
        `predict` returns an array of shape (samples, levels).
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
    histories_ : list of History
        Losses of the epochs of each network.
    validation_scores_ : list of float or None
        Score of each network on the samples that chose its epoch: `metric`, by default R2. None
        without such samples, and after `load`.
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

    def _learned_targets(self, y: Any) -> Array:
        return self._quantities(y, "y")

    def _held_targets(self, y_val: Any, y: Array) -> Array:
        held = self._quantities(y_val, "y_val")
        if held.shape[1:] != y.shape[1:]:
            raise ValueError(
                f"y_val must have as many targets as y, whose shape is {y.shape}, got {held.shape}"
            )
        return held

    def _quantities(self, y: Any, name: str) -> Array:
        if y is None:
            raise ValueError(f"requires y to be passed, but the target {name} is None")
        kind = getattr(getattr(y, "dtype", None), "kind", "")
        if kind in ("m", "M"):
            raise TypeError(f"{name} must be numbers, got {y.dtype}; subtract a date and divide")
        array = check_array(y, ensure_2d=False, dtype="numeric", input_name=name, estimator=self)
        if array.ndim == 2 and array.shape[1] == 1:
            array = column_or_1d(array, warn=True)
        return np.asarray(array, np.float64)

    def _target_names(self, y: Array) -> list[str]:
        loss = self._loss()
        levels = loss.get("levels") if isinstance(loss, Mapping) else None
        if y.ndim == 1 and isinstance(levels, Sequence) and len(levels) > 1:
            return [f"quantile {level}" for level in levels]
        return super()._target_names(y)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R2; of several quantiles of one target, the mean of their D2.

        D2 is the share of the quantile loss that the predictions save, beside that of the quantile
        of `y`: ``sklearn.metrics.d2_pinball_score``.
        """
        check_is_fitted(self, "model_")
        levels = getattr(self.model_.networks[0].architecture.losses[0], "levels", None)
        y = self._quantities(y, "y")
        if y.ndim > 1 or not isinstance(levels, Sequence) or len(levels) < 2:
            return float(super().score(X, y, sample_weight))
        scores = [
            d2_pinball_score(y, values, sample_weight=sample_weight, alpha=level)
            for level, values in zip(levels, self.predict(X).T, strict=True)
        ]
        return float(np.mean(scores))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
