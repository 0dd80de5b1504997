"""`BaseMLP`: fitting and predicting, common to the classifier and the regressor."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastmlp.callbacks import Callback, as_callbacks
from fastmlp.estimators.exchange import Exchange
from fastmlp.estimators.lbfgs import Iterations, minimize_loss
from fastmlp.estimators.network import NetworkSpec, Parameters, Predictor, draw_parameters
from fastmlp.estimators.parameters import (
    CONSTRAINTS,
    PARAMETER_TYPES,
    UsedParameters,
    hidden_layer_sizes,
    require_parameters_held,
)
from fastmlp.estimators.policy import (
    NON_FINITE,
    NonFiniteParametersError,
    Plateau,
    ScikitLearnPolicy,
)
from fastmlp.estimators.samples import (
    HeldOut,
    LossMeasure,
    core_data,
    core_rows,
    native,
    split_indices,
)
from fastmlp.estimators.session import Moment, Session, new_session
from fastmlp.estimators.states import as_live, as_plain
from fastmlp.estimators.tasks import CallbackSupport, ScikitLearnTasks
from fastmlp.model import MLP
from fastmlp.network import Network
from fastmlp.network.samples import Data, Rows
from fastmlp.training.continuation import Planned
from fastmlp.training.loop import TrainingLoop
from fastmlp.validation import core_array, thread_count

__all__ = ["BaseMLP", "Mode"]

Array = npt.NDArray[Any]
Mode = Literal["fit", "partial_fit", "resume"]


class BaseMLP(Exchange, CallbackSupport, BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators; subclasses define targets, losses and scores."""

    _parameter_constraints = CONSTRAINTS
    _numeric_targets: bool
    _has_accuracy: bool

    @property
    def _used(self) -> UsedParameters:
        """Parameters as plain Python values."""
        return UsedParameters(self)

    @property
    def _threads(self) -> int:
        return thread_count(self._used.n_threads)

    # ------------------------------------------------------------ what subclasses define

    def _check_targets(self, y: Any, mode: Mode) -> Any:
        """Check `y`, set the attributes that depend on it, such as ``classes_``, and return it."""
        raise NotImplementedError

    def _encode(self, y: Any, dtype: npt.DTypeLike) -> Array:
        """Return the core's targets, an array of shape (samples,) or (samples, outputs)."""
        raise NotImplementedError

    def _weigh(self, y: Any, sample_weight: Array | None, mode: Mode) -> Array | None:
        """Return the weights of the samples, multiplied with those of their classes."""
        return sample_weight

    def _count_outputs(self, targets: Array) -> int:
        return int(targets.shape[1])

    def _core_loss(self) -> Any:
        raise NotImplementedError

    def _loss_measure(self) -> LossMeasure:
        return LossMeasure()

    def _output_activation(self) -> str:
        raise NotImplementedError

    def _score_outputs(self, model: Network, data: Data) -> float:
        """Return the score that early stopping monitors; larger is better."""
        raise NotImplementedError

    def _stratifies(self) -> bool:
        """Return whether the split for early stopping is stratified by class."""
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
            if getattr(self, "_pending", False):  # an interrupted fit without a step starts again
                mode = "fit"
        first = not hasattr(self, "coefs_") or (mode == "fit" and not self._used.warm_start)
        if not first:
            self._require_same_type()
        X, y = self._validate(X, y, self._input_types(X, first), reset=first)
        y = self._check_targets(y, mode)
        targets, weights = self._encoded(X, y, sample_weight, first, mode)
        if mode == "fit":
            self._session: Session | None = None
            self._pending = self._is_stochastic()
        self.n_outputs_ = self._count_outputs(targets)
        layer_sizes = (X.shape[1], *hidden, self.n_outputs_)
        if mode != "resume":
            self._random_state = self._new_generator()
        if first:
            self._initialize(layer_sizes, X.dtype)
        elif layer_sizes != self._layer_sizes():
            raise ValueError(
                f"training can continue only with layers of sizes {self._layer_sizes()}, those of "
                f"the previous fit, got {layer_sizes}"
            )
        callbacks = [] if mode == "partial_fit" else as_callbacks(self.callbacks or ())
        if mode != "partial_fit" and hasattr(self, "_skl_callbacks"):
            callbacks.append(ScikitLearnTasks(self, X, y, sample_weight))
        if self._is_stochastic():
            self._fit_stochastic(X, targets, weights, validation, mode, callbacks, is_first=first)
        else:
            self._fit_lbfgs(core_data(X, targets, weights), callbacks)
        if not self._parameters().is_finite():
            raise ValueError(NON_FINITE)
        return self

    def _new_generator(self) -> Any:
        """Return scikit-learn's generator; one of a seed is seeded again, a tenth of the work."""
        made = self.__dict__.get("_seeded")
        if made is not None and isinstance(self.random_state, Integral):
            made.seed(self.random_state)
            return made
        made = check_random_state(self.random_state)
        self._seeded = made if isinstance(self.random_state, Integral) else None
        return made

    def _validate(self, X: Any, y: Any, types: list[Any], *, reset: bool) -> tuple[Any, Any]:
        X, y = self._checked(
            native("X", X),
            native("y", y),
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

    def _checked(self, *data: Any, **options: Any) -> Any:
        """Apply scikit-learn's checks; its message about text names no cure."""
        try:
            return validate_data(self, *data, **options)
        except ValueError as error:
            if "could not convert string to float" not in str(error):
                raise
            kind = "Classifier" if is_classifier(self) else "Regressor"
            cure = f"fastmlp.Tabular{kind} takes columns of text"
            raise ValueError(f"{error}; X must hold numbers, and {cure}") from None

    def _encoded(
        self, X: Any, y: Any, sample_weight: Any, first: bool, mode: Mode
    ) -> tuple[Array, Array | None]:
        """Return the core's targets, and the weights of the samples or None."""
        dtype = self._parameter_type(X.dtype, first)
        require_parameters_held(self, dtype)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
            _require_weights("sample_weight", sample_weight)
        weights = self._weigh(y, sample_weight, mode)
        if weights is not None:
            _require_weights("class_weight times sample_weight", weights)
            weights = core_array(weights, dtype)
        return self._encode(y, dtype), weights

    def _input_types(self, X: Any, first: bool) -> list[Any]:
        """Return the dtypes of inputs that are not converted; others become the first of these."""
        if first and self._used.compute_dtype is None:
            types: list[Any] = [np.float64, np.float32]
        else:
            types = [self._parameter_type(None, first)]
        return types if scipy.sparse.issparse(X) else [*types, np.uint8]

    def _parameter_type(self, row_type: npt.DTypeLike | None, first: bool) -> np.dtype[Any]:
        """Return the type of the parameters of a training on samples of a type."""
        if not first:
            return np.dtype(self.coefs_[0].dtype)
        asked = self._used.compute_dtype
        if asked is not None:
            return np.dtype(PARAMETER_TYPES[asked])
        return np.dtype("float32" if row_type == np.float32 else "float64")

    def _require_same_type(self) -> None:
        """Require that the earlier parameters have the type that `compute_dtype` needs."""
        asked, held = self._used.compute_dtype, self.coefs_[0].dtype
        if asked is not None and held != PARAMETER_TYPES[asked]:
            raise ValueError(
                f"compute_dtype={asked!r} needs parameters of {PARAMETER_TYPES[asked]}, and those "
                f"of the previous fit, which this one continues, are of {held}: leave "
                "compute_dtype as it was, or call fit with warm_start=False and without resume"
            )

    def _initialize(self, layer_sizes: tuple[int, ...], row_type: npt.DTypeLike) -> None:
        """Draw initial parameters and reset the counters."""
        self._session = None  # the old session belongs to other parameters
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_sizes)
        self.out_activation_ = self._output_activation()
        dtype = self._parameter_type(row_type, first=True)
        parameters = draw_parameters(layer_sizes, self.activation, self._random_state, dtype)
        self._set_parameters(parameters)
        self._seed = 0
        self.__dict__.pop("normalization_", None)
        if self._used.dropout or self._used.input_dropout:
            self._seed = int(self._random_state.randint(2**31))
        if self._used.batch_normalization:
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

    def _fit_stochastic(
        self,
        X: Any,
        targets: Array,
        weights: Array | None,
        validation: Any,
        mode: Mode,
        callbacks: list[Callback],
        *,
        is_first: bool,
    ) -> None:
        once, resumes = mode == "partial_fit", mode == "resume"
        if once and self._used.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        is_new = mode == "fit" or self._session is None
        if is_new:
            self._session = new_session(self)
        session = self._session
        assert session is not None
        if not hasattr(self, "_plateau"):  # the earlier fit used L-BFGS
            self._start_counting()
        moment = session.progress.others.get("moment")
        if resumes and moment is not None:
            moment.restore(self, session)
        data, held_out = self._hold_out(X, targets, weights, validation, session)
        self._start_curves(held_out)
        batch_size = self._batch_size(len(data))
        planned = Planned(len(data), batch_size, self._used.max_iter)
        parameters = self._parameters()
        if resumes:
            session.require_resumable(planned)
            parameters = session.latest(parameters)
            # The progress holds the parameters until the network, which may be new, has them.
            session.settle(session.progress.changed(kept=parameters.named()))
            session.is_ahead = False
        else:
            self.n_iter_ = 0
            session.order = np.arange(len(data))
        model = session.model_of(self._network_spec())
        parameters.write_to(model)
        run = session.run_of(model, batch_size, self._used.n_threads)
        if not resumes:
            session.count_orders(self, is_as_seeded=once and not is_first)
            session.begin_anew(run, Moment.of(self, session))
            self._pending = False
        session.is_ahead = True
        override = session.progress.override if callbacks else None
        session.settle(session.progress.changed(planned=planned, kept=None, override=override))
        policy = ScikitLearnPolicy(
            self, model, session, data, self._loss_measure(), held_out,
            resumes=resumes, tells=bool(callbacks),
        )  # fmt: skip
        loop = TrainingLoop(
            model,
            run,
            data,
            session.solver.with_penalty(self._used.alpha),
            continuation=session,
            callbacks=callbacks,
            resumes=not is_new,
            epochs=1 if once else self._used.max_iter - self.n_iter_,
            policy=policy,
            uncounted=session.progress.epoch - self.n_iter_,
        )
        try:
            loop.begin()
            if loop.run() and not once:
                self._warn_of_limit()
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        except NonFiniteParametersError as error:
            if not self._used.early_stopping:
                raise
            warnings.warn(policy.end_with_best(error), ConvergenceWarning, stacklevel=5)
        finally:
            last = Parameters.read_from(model)
            # The progress comes first, because an interrupt may occur between these statements.
            session.settle(session.progress.changed(kept=last.named()))
            self._set_parameters(last)
            session.is_ahead = False
        final = self._best_parameters if self._used.early_stopping else last
        if callbacks:
            final.write_to(model)
            loop.end()
            final = Parameters.read_from(model)
        if final is last:
            session.settle(session.progress.changed(kept=None))
        else:
            self._set_parameters(final)

    def _batch_size(self, samples: int) -> int:
        """Return the batch size, at most the number of samples, with scikit-learn's warning."""
        requested = self._used.batch_size
        if requested == "auto":
            return min(200, samples)
        if requested > samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=6,
            )
        return int(min(requested, samples))

    def _warn_of_limit(self) -> None:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({self._used.max_iter}) reached and the "
            "optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _start_curves(self, held_out: HeldOut | None) -> None:
        """Create the lists that early stopping and validation append to, unless they exist."""
        if held_out is not None and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []
        if self._used.early_stopping and self.validation_scores_ is None:
            self.validation_scores_ = []
            self.best_validation_score_ = -np.inf
            self.best_loss_ = None
            self._best_parameters = self._parameters().copy()
        if self._used.early_stopping:
            self._plateau.best = -self.best_validation_score_
        else:
            self.best_loss_ = np.inf if self.best_loss_ is None else self.best_loss_
            self._plateau.best = self.best_loss_

    def _hold_out(
        self, X: Any, targets: Array, weights: Array | None, validation: Any, session: Session
    ) -> tuple[Data, HeldOut | None]:
        """Return the training samples, and the samples held out or None."""
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together, got one of them")
        training, held_out = None, None
        if X_val is not None:
            measured = self._validation_data(X_val, y_val)
        elif self._used.early_stopping:
            if session.split is None:
                session.split = split_indices(
                    targets,
                    self._used.validation_fraction,
                    self._random_state,
                    # scikit-learn stratifies only classes in a single column of targets.
                    stratify=self._stratifies(),
                )
            training, held_out = session.split
            measured = core_data(X, targets, weights, held_out)
        else:
            return core_data(X, targets, weights), None
        score_name = "val_accuracy" if self._has_accuracy else "val_r2"
        return core_data(X, targets, weights, training), HeldOut(
            measured, self._loss_measure(), self._score_outputs, score_name, self._used.n_threads
        )

    def _validation_data(self, X: Any, y: Any) -> Data:
        """Return the validation samples that the user passed."""
        X, y = self._validate(X, y, self._input_types(X, first=False), reset=False)
        y = self._check_targets(y, "resume")
        return core_data(X, self._encode(y, self.coefs_[0].dtype), None)

    def _fit_lbfgs(self, data: Data, callbacks: list[Callback]) -> None:
        """Minimize in float64, because rounding in float32 would disturb the line search."""
        if self._used.dropout or self._used.input_dropout:
            raise ValueError("dropout and input_dropout must be 0 with solver 'lbfgs'")
        if self._used.compute_dtype == "bfloat16":
            raise ValueError(
                "solver 'lbfgs' needs exact gradients, got compute_dtype='bfloat16'; leave "
                "compute_dtype out, or use solver 'adam' or 'sgd'"
            )
        kept = self._parameters()
        model = self._network_spec(np.float64).build()
        kept.write_to(model)
        self.n_iter_ = 0
        iterations = Iterations(model, callbacks, self._used.max_iter)
        if not iterations.begin():
            data = data.in_double_precision()
            minimize_loss(self, model, data, self._loss_measure(), iterations)
        iterations.end()
        self._set_parameters(Parameters.read_from(model).astype(kept.coefs[0].dtype))

    def _check_resumable(self) -> None:
        if self._is_stochastic() and getattr(self, "_pending", False):
            return
        if not hasattr(self, "coefs_"):
            raise NotFittedError(
                f"resume=True continues an earlier fit, and this {type(self).__name__} has none; "
                "call fit without resume first"
            )
        if not self._is_stochastic():
            raise ValueError("resume=True requires solver 'sgd' or 'adam' or an optimizer")
        if self._session is None:
            raise ValueError(
                "resume=True requires solver 'sgd' or 'adam' or an optimizer in the fit that it "
                "continues, and the state of that fit, which pickles keep and files of `save` do "
                "not; fit with warm_start=True begins with the weights of that fit"
            )

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
        dtype = np.dtype(dtype or self.coefs_[0].dtype)
        rounds = self._used.compute_dtype == "bfloat16" and dtype == np.float32
        return NetworkSpec(
            self._layer_sizes(),
            self.activation,
            self._core_loss(),
            dtype.name,
            self._used.dropout,
            self._used.input_dropout,
            self._used.batch_normalization,
            "bfloat16" if rounds else None,
            self._seed,
        )

    def _network_and_rows(self, X: Any) -> tuple[MLP, Rows]:
        """Return a network with the present parameters, and the samples as rows of the core."""
        check_is_fitted(self)
        X = self._checked(
            native("X", X),
            accept_sparse="csr",
            dtype=self._input_types(X, first=False),
            order="C",
            reset=False,
        )
        return self._predictor.model(self._network_spec(), self._parameters()), core_rows(X)

    # ------------------------------------------------------------ copies

    def __getstate__(self) -> dict[str, Any]:
        return as_plain(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(as_live(state))

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
