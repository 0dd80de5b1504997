"""All samples at once: L-BFGS of SciPy on the loss and gradient of the core."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, minimize
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.estimators.hooks import Observers
from fastmlp.estimators.samples import LossMeasure, Samples
from fastmlp.model import MLP
from fastmlp.objective import Objective

__all__ = ["minimize_loss"]

_STOPPED_BY_CALLBACK = 99  # status of SciPy

Floats = npt.NDArray[np.float64]


def minimize_loss(
    estimator: Any,
    model: MLP,
    samples: Samples,
    measure: LossMeasure,
    observers: Observers | None,
) -> None:
    """Lower the loss from the network's present parameters, and leave it at the best.

    Sets ``n_iter_`` and ``loss_`` of the estimator. The algorithm is that of C. Zhu, R. Byrd,
    P. Lu, J. Nocedal, "Algorithm 778: L-BFGS-B", 1997.
    """
    l2 = estimator.alpha / samples.total_weight
    objective = Objective(
        model,
        samples.core_rows(),
        samples.targets,
        sample_weight=samples.weights,
        threads=estimator.n_threads,
        l2=l2,
    )
    weights = sum(coef.size for coef in model.weights)
    offset = measure.offset(samples)

    def loss_and_gradient(flat: Floats) -> tuple[float, Floats]:
        loss, gradient = objective(flat)
        if measure.factor != 1.0:
            # scikit-learn's value is the mean over outputs, and its gradient that of their sum.
            penalty = 0.5 * l2 * float(flat[:weights] @ flat[:weights])
            loss = (loss - penalty) * measure.factor + penalty
        return loss + offset, gradient

    def tell(intermediate_result: OptimizeResult) -> None:
        estimator.n_iter_ += 1
        objective.assign(intermediate_result.x)
        if observers is not None and _tells_to_stop(estimator, observers, intermediate_result.fun):
            raise StopIteration

    if observers is not None and observers.begin():
        return
    result = minimize(
        loss_and_gradient,
        objective.flat(),
        method="L-BFGS-B",
        jac=True,
        callback=None if observers is None else tell,
        options={"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol},
    )
    if result.status == _STOPPED_BY_CALLBACK:
        estimator.n_iter_ = result.nit
    else:
        estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = float(result.fun)
    objective.assign(result.x)
    if observers is not None:
        observers.end()


def _tells_to_stop(estimator: Any, observers: Observers, loss: float) -> bool:
    """Report an iteration as an epoch of one step."""
    ends = observers.epoch_begin()
    record = {"epoch": estimator.n_iter_, "epochs": estimator.max_iter, "loss": float(loss)}
    return observers.epoch_end(record | {"learning_rate": np.nan}) or ends
