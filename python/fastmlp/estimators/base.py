"""What the classifier and the regressor share: the order of events in `fit` and in predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastmlp.callbacks import as_callbacks
from fastmlp.estimators.hooks import (
    CallbackSupport,
    FitTraining,
    Observers,
    ScikitLearnTasks,
)
from fastmlp.estimators.lbfgs import minimize_loss
from fastmlp.estimators.network import NetworkSpec, Parameters, Predictor, draw_parameters
from fastmlp.estimators.parameters import (
    CONSTRAINTS,
    UsedParameters,
    hidden_layer_sizes,
    require_parameters_held,
)
from fastmlp.estimators.samples import (
    HeldOut,
    LossMeasure,
    Samples,
    core_rows,
    core_samples,
    native,
    split_indices,
)
from fastmlp.estimators.session import Session, new_session
from fastmlp.estimators.stochastic import NON_FINITE, EpochLoop, batch_size_for
from fastmlp.estimators.stopping import Plateau
from fastmlp.model import MLP
from fastmlp.network.samples import Rows
from fastmlp.validation import core_array

__all__ = ["BaseMLP", "Mode"]

Array = npt.NDArray[Any]
Mode = Literal["fit", "partial_fit", "resume"]


class BaseMLP(CallbackSupport, BaseEstimator):  # type: ignore[misc]
    """Common part of the estimators; subclasses know targets, losses and scores."""

    _parameter_constraints = CONSTRAINTS
    _numeric_targets: bool
    _tells_accuracy: bool

    @property
    def used(self) -> UsedParameters:
        """The parameters as plain values of Python."""
        return UsedParameters(self)

    # ------------------------------------------------------------ what subclasses define

    def _check_targets(self, y: Any, mode: Mode) -> Any:
        """`y` with what follows from it set, as ``classes_``."""
        raise NotImplementedError

    def _encode(self, y: Any, dtype: npt.DTypeLike) -> Array:
        """Targets as the core takes them, of shape (samples,) or (samples, outputs)."""
        raise NotImplementedError

    def _weigh(self, y: Any, sample_weight: Array | None, mode: Mode) -> Array | None:
        """Weights of the samples, those of their targets included."""
        return sample_weight

    def _count_outputs(self, targets: Array) -> int:
        return int(targets.shape[1])

    def _core_loss(self) -> Any:
        raise NotImplementedError

    def _loss_measure(self) -> LossMeasure:
        return LossMeasure()

    def _output_activation(self) -> str:
        raise NotImplementedError

    def _score_outputs(self, model: MLP, samples: Samples) -> float:
        """Score by which early stopping goes."""
        raise NotImplementedError

    # ------------------------------------------------------------ training

    def _is_stochastic(self) -> bool:
        return self.optimizer is not None or self.solver != "lbfgs"

    def _check_solver(self) -> bool:
        if not self._is_stochastic():
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Any, mode: Mode) -> Any:
        hidden = hidden_layer_sizes(self.hidden_layer_sizes)
        if mode == "resume":
            self._check_resumable()
            if self._is_pending():  # it goes on from its start
                mode = "fit"
        first = not hasattr(self, "coefs_") or (mode == "fit" and not self.used.warm_start)
        X, y = self._validate(X, y, self._input_types(X, first), reset=first)
        y = self._check_targets(y, mode)
        samples = self._training_samples(X, y, sample_weight, first, mode)
        if mode == "fit":
            self._session: Session | None = None
            self._pending = self._is_stochastic()
        self.n_outputs_ = self._count_outputs(samples.targets)
        layer_sizes = (samples.rows.shape[1], *hidden, self.n_outputs_)
        if mode != "resume":
            self._random_state = check_random_state(self.random_state)
        if first:
            self._initialize(layer_sizes, samples.rows.dtype)
        elif layer_sizes != self._layer_sizes():
            raise ValueError(
                f"training can go on only with layers of sizes {self._layer_sizes()}, those of the "
                f"previous fit, got {layer_sizes}"
            )
        tasks = None
        if mode != "partial_fit" and hasattr(self, "_skl_callbacks"):
            tasks = ScikitLearnTasks(self, X, y, sample_weight)
        if self._is_stochastic():
            self._fit_stochastic(samples, validation, mode, tasks)
        else:
            self._fit_lbfgs(samples, tasks)
        if not self._parameters().is_finite():
            raise ValueError(NON_FINITE)
        return self

    def _validate(self, X: Any, y: Any, types: list[Any], *, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            native(X),
            native(y),
            accept_sparse="csr",
            dtype=types,
            order="C",
            multi_output=True,
            y_numeric=self._numeric_targets,
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _training_samples(
        self, X: Any, y: Any, sample_weight: Any, first: bool, mode: Mode
    ) -> Samples:
        dtype = X.dtype if first else self.coefs_[0].dtype
        dtype = np.float32 if dtype == np.float32 else np.float64
        require_parameters_held(self, dtype)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
            _require_weights("sample_weight", sample_weight)
        weights = self._weigh(y, sample_weight, mode)
        if weights is not None:
            _require_weights("class_weight times sample_weight", weights)
            weights = core_array(weights, dtype)
        return core_samples(X, self._encode(y, dtype), weights)

    def _input_types(self, X: Any, first: bool) -> list[Any]:
        """Types of inputs that are left as they are; others become the first of them."""
        types = [np.float64, np.float32] if first else [self.coefs_[0].dtype]
        return types if scipy.sparse.issparse(X) else [*types, np.uint8]

    def _initialize(self, layer_sizes: tuple[int, ...], row_type: npt.DTypeLike) -> None:
        """Draw the parameters and start counting."""
        self._session = None  # of other parameters
        self._last_parameters: Parameters | None = None
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_sizes)
        self.out_activation_ = self._output_activation()
        dtype = np.float32 if row_type == np.float32 else np.float64
        parameters = draw_parameters(layer_sizes, self.activation, self._random_state, dtype)
        self._set_parameters(parameters)
        self._seed = 0
        self.__dict__.pop("normalization_", None)
        if self.used.dropout or self.used.input_dropout:
            self._seed = int(self._random_state.randint(2**31))
        if self.used.batch_normalization:
            model = self._network_spec().build()
            self.normalization_ = Parameters.read_from(model).normalization
        self._predictor = Predictor()
        if self._is_stochastic():
            self._start_counting()

    def _start_counting(self) -> None:
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: Any = None
        self.best_loss_: float | None = None
        self._plateau = Plateau()

    def _fit_stochastic(self, samples: Samples, validation: Any, mode: Mode, tasks: Any) -> None:
        once, resumes = mode == "partial_fit", mode == "resume"
        if once and self.used.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if mode == "fit" or self._session is None:
            self._session = new_session(self)
            self._last_parameters = None
        session = self._session
        if not hasattr(self, "_plateau"):  # the parameters are those of L-BFGS
            self._start_counting()
        moment = session.progress.others.get("moment")
        if resumes and moment is not None:
            moment.restore(self, session)
        samples, held_out = self._hold_out(samples, validation, session)
        self._start_curves(held_out)
        parameters = self._parameters()
        if resumes:
            session.check_order(samples.count)
            batch_size = batch_size_for(self.used.batch_size, samples.count)
            session.check_resumable(samples.count, batch_size, self.used.max_iter)
            parameters = session.latest(self._last_parameters or parameters)
            # These count until the network, which may be a new one, has them.
            self._last_parameters = parameters
            session.is_ahead = False
        else:
            self.n_iter_ = 0
            session.order = np.arange(samples.count)
        model = session.model(self._network_spec())
        parameters.write_to(model)
        session.set_penalty(self.used.alpha)
        loop = EpochLoop(self, model, session, samples, self._loss_measure(), held_out)
        if not once:
            loop.observers = self._observers(
                model, tasks, loop.steps_per_epoch, loop.next_rate, session
            )
        if not resumes:
            loop.settle(session.epochs)
            self._pending = False
        session.is_ahead = True
        try:
            loop.train(once=once, resumes=resumes)
        finally:
            last = Parameters.read_from(model)
            self._last_parameters = last  # first: an interrupt may come between any two of these
            self._set_parameters(last)
            session.is_ahead = False
        final = self._best_parameters if self.used.early_stopping else last
        if loop.observers is not None:
            final.write_to(model)
            loop.observers.end()
            final = Parameters.read_from(model)
        if final is last:
            self._last_parameters = None
        else:
            self._set_parameters(final)

    def _observers(
        self,
        model: MLP,
        tasks: Any,
        steps_per_epoch: int,
        rate: Callable[[], float],
        session: Session | None = None,
    ) -> Observers | None:
        """All callbacks, None without any."""
        callbacks = as_callbacks(self.callbacks or ())
        if not callbacks and tasks is None:
            return None
        training = FitTraining(model, self.n_iter_, self.used.max_iter, steps_per_epoch, rate)
        return Observers(training, callbacks, tasks, self._tells_accuracy, session)

    def _start_curves(self, held_out: HeldOut | None) -> None:
        """Make the lists that early stopping and validation append to, unless they go on."""
        if held_out is not None and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []
        if self.used.early_stopping and self.validation_scores_ is None:
            self.validation_scores_ = []
            self.best_validation_score_ = -np.inf
            self.best_loss_ = None
            self._best_parameters = self._parameters().copy()
        if self.used.early_stopping:
            self._plateau.best = -self.best_validation_score_
        else:
            self.best_loss_ = np.inf if self.best_loss_ is None else self.best_loss_
            self._plateau.best = self.best_loss_

    def _hold_out(
        self, samples: Samples, validation: Any, session: Session
    ) -> tuple[Samples, HeldOut | None]:
        """Samples to train on and to measure by."""
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together, got one of them")
        if X_val is not None:
            measured = self._validation_samples(X_val, y_val)
        elif self.used.early_stopping:
            if session.split is None:
                session.split = split_indices(
                    samples,
                    self.used.validation_fraction,
                    self._random_state,
                    # scikit-learn tells classes apart by a single column of targets.
                    stratify=self._stratifies(),
                )
            training, held_out = session.split
            measured, samples = samples.at(held_out), samples.at(training)
        else:
            return samples, None
        held_out_samples = HeldOut(
            measured, self._loss_measure(), self._score_outputs, self.used.n_threads
        )
        return samples, held_out_samples

    def _fit_lbfgs(self, samples: Samples, tasks: Any) -> None:
        """Minimize in double precision; a line search has no use for the rounding of single."""
        if self.used.dropout or self.used.input_dropout:
            raise ValueError("dropout and input_dropout must be 0 with solver 'lbfgs'")
        kept = self._parameters()
        model = self._network_spec(np.float64).build()
        kept.write_to(model)
        self.n_iter_ = 0
        observers = self._observers(model, tasks, 1, lambda: np.nan)
        if observers is None or not observers.begin():
            samples = samples.in_double_precision()
            minimize_loss(self, model, samples, self._loss_measure(), observers)
        if observers is not None:
            observers.end()
        self._set_parameters(Parameters.read_from(model).astype(kept.coefs[0].dtype))

    def _validation_samples(self, X: Any, y: Any) -> Samples:
        """Samples of the user's own to measure by."""
        X, y = self._validate(X, y, self._input_types(X, first=False), reset=False)
        y = self._check_targets(y, "resume")
        return core_samples(X, self._encode(y, self.coefs_[0].dtype), None)

    def _is_pending(self) -> bool:
        """Whether the last fit was cut before it had begun."""
        return getattr(self, "_pending", False)

    def _check_resumable(self) -> None:
        if self._is_stochastic() and self._is_pending():
            return
        if not hasattr(self, "coefs_"):
            raise NotFittedError(
                f"resume=True goes on with an earlier fit, and this {type(self).__name__} has none"
            )
        if not self._is_stochastic() or self._session is None:
            raise ValueError("resume=True requires solver 'sgd' or 'adam' or an optimizer")

    # ------------------------------------------------------------ parameters and predictions

    def _parameters(self) -> Parameters:
        return Parameters(self.coefs_, self.intercepts_, getattr(self, "normalization_", {}))

    def _set_parameters(self, parameters: Parameters) -> None:
        self.coefs_ = parameters.coefs
        self.intercepts_ = parameters.intercepts
        if parameters.normalization:
            self.normalization_ = parameters.normalization

    def _layer_sizes(self) -> tuple[int, ...]:
        return (*(len(coef) for coef in self.coefs_), self.coefs_[-1].shape[1])

    def _network_spec(self, dtype: npt.DTypeLike | None = None) -> NetworkSpec:
        return NetworkSpec(
            self._layer_sizes(),
            self.activation,
            self._core_loss(),
            np.dtype(dtype or self.coefs_[0].dtype).name,
            self.used.dropout,
            self.used.input_dropout,
            self.used.batch_normalization,
            self._seed,
        )

    def _network_and_rows(self, X: Any) -> tuple[MLP, Rows]:
        """What predictions need: a network with the present parameters, and rows of the core."""
        check_is_fitted(self)
        X = validate_data(
            self,
            native(X),
            accept_sparse="csr",
            dtype=self._input_types(X, first=False),
            order="C",
            reset=False,
        )
        return self._predictor.model(self._network_spec(), self._parameters()), core_rows(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _require_weights(name: str, weights: Array) -> None:
    if weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(
            f"{name} must be >= 0 and not all 0, got a minimum of {weights.min()}: leave samples "
            "out, or give them the weight 0"
        )
