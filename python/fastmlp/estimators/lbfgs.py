"""Solver "lbfgs": L-BFGS on scikit-learn's loss of all samples, with callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.callbacks import Callback
from fastmlp.estimators.samples import LossMeasure
from fastmlp.estimators.session import Unsaved
from fastmlp.history import Record
from fastmlp.model import MLP
from fastmlp.network.samples import Data
from fastmlp.training.continuation import Planned, Progress
from fastmlp.training.dispatch import Dispatch
from fastmlp.training.lbfgs import minimize
from fastmlp.training.objective import Objective

__all__ = ["Iterations", "minimize_loss"]

_STOPPED_BY_CALLBACK = 99  # SciPy's status after StopIteration in a callback

Floats = npt.NDArray[np.float64]


class Iterations(Dispatch):
    """The dispatcher of callbacks of L-BFGS: each iteration is an epoch of one step.

    The iterations cannot be resumed.

    Parameters
    ----------
    model : MLP
        Model that callbacks see.
    callbacks : sequence of Callback
        Callbacks in the order of their calls.
    planned : int
        Maximum number of iterations.
    """

    def __init__(self, model: MLP, callbacks: Sequence[Callback], planned: int) -> None:
        super().__init__(model, callbacks, Unsaved(Progress(planned=Planned(1, 1, planned))))
        self.has_callbacks = bool(callbacks)
        self._start = 0.0

    def _next_rate(self) -> float:
        return math.nan

    def begin(self) -> bool:
        """Call `on_train_begin`; return True if a callback ends the training at once."""
        self._restore(None, resumes=False)
        self._call("on_train_begin")
        self._start = time.perf_counter()
        return self._stops

    def ended(self, loss: float) -> bool:
        """Call the hooks of one iteration; return True if a callback ends the training."""
        self._call_remaining("on_epoch_begin")
        now = time.perf_counter()
        record: Record = {"epoch": self.epoch + 1, "epochs": self.epochs, "loss": loss}
        record |= {"learning_rate": math.nan, "seconds": now - self._start}
        self._start = now
        self._continuation.settle(self._now.with_epoch(record))
        self._call_epoch_end(record)
        return self._stops

    def end(self) -> None:
        """Call `on_train_end`."""
        self._call("on_train_end")


class _MeasuredLoss:
    """The objective, with scikit-learn's value of the loss."""

    def __init__(
        self, objective: Objective, data: Data, measure: LossMeasure, l2: float, weights: int
    ) -> None:
        self._objective = objective
        self._factor = measure.factor
        self._offset = measure.offset(data)
        self._l2 = l2
        self._weights = weights

    def __call__(self, flat: Floats) -> tuple[float, Floats]:
        loss, gradient = self._objective(flat)
        if self._factor != 1.0:
            # scikit-learn returns the mean over outputs, but the gradient of their sum.
            coefs = flat[: self._weights]
            penalty = 0.5 * self._l2 * float(coefs @ coefs)
            loss = (loss - penalty) * self._factor + penalty
        return loss + self._offset, gradient


def minimize_loss(
    estimator: Any, model: MLP, data: Data, measure: LossMeasure, iterations: Iterations
) -> None:
    """Minimize the loss from the network's present parameters; it gets the best parameters.

    Sets ``n_iter_`` and ``loss_`` of the estimator.
    """
    used = estimator._used
    l2 = used.alpha / data.total_weight
    objective = Objective(model, data, threads=used.n_threads, l2=l2)
    weights = sum(coef.size for coef in model.weights)

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        estimator.n_iter_ += 1
        objective.assign(intermediate_result.x)
        if iterations.ended(float(intermediate_result.fun)):
            raise StopIteration

    result = minimize(
        objective,
        _MeasuredLoss(objective, data, measure, l2, weights),
        callback=after_iteration if iterations.has_callbacks else None,
        maxfun=used.max_fun,
        maxiter=used.max_iter,
        gtol=used.tol,
    )
    if result.status == _STOPPED_BY_CALLBACK:
        estimator.n_iter_ = result.nit
    else:
        estimator.n_iter_ = _check_optimize_result("lbfgs", result, used.max_iter)
    estimator.loss_ = float(result.fun)
