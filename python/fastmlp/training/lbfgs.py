"""L-BFGS by SciPy on the core's loss and gradient of all samples."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.errors import ConvergenceWarning
from fastmlp.history import History
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.training.objective import Objective
from fastmlp.validation import integer, keep, real

__all__ = ["LBFGS", "fit_lbfgs", "minimize"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the whole data set, without mini-batches, dropout and noise.

    Source: D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization",
    1989. Batch normalization keeps its running moments. L-BFGS needs SciPy.

    ``history.ending`` is the reason why the training ended: ``"converged"``; or, with a
    `ConvergenceWarning`, ``"iterations"`` or ``"evaluations"`` if a limit was reached, or
    ``"line search"`` if no step along the last direction lowered the loss.

    Parameters
    ----------
    l2 : float
        Coefficient of the penalty, >= 0: the objective adds ``l2 / 2`` times the sum of the squared
        weights.
    memory : int
        Number of pairs of steps and gradient changes that are kept, >= 1.
    tolerance : float
        Largest magnitude of an element of the gradient at which the training has converged; >= 0.
    evaluations : int
        Maximum number of evaluations of the loss, >= 1.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 1], loss="mse", dtype="float64", seed=0)
    >>> history = model.fit(x, x**2, epochs=200, optimizer=fastmlp.LBFGS(), verbose=0)
    >>> history.ending, history.loss[-1] < 1e-3
    ('converged', True)
    """

    l2: float = 0.0
    memory: int = 10
    tolerance: float = 1e-5
    evaluations: int = 15000

    def __post_init__(self) -> None:
        keep(
            self,
            l2=real("l2", self.l2, 0.0),
            memory=integer("memory", self.memory, 1),
            tolerance=real("tolerance", self.tolerance, 0.0),
            evaluations=integer("evaluations", self.evaluations, 1),
        )


_CURES = {
    "iterations": "it reached its limit of iterations, {iterations}; raise epochs, or scale the "
    "inputs",
    "evaluations": "it reached its limit of evaluations, {evaluations}; raise it",
    "line search": "no further step lowered the loss; raise tolerance of LBFGS, scale the inputs, "
    "or train in float64",
}


def _scipy_minimize() -> Callable[..., Any]:
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("LBFGS needs SciPy: pip install 'fastmlp[sklearn]'") from None
    function: Callable[..., Any] = minimize
    return function


def minimize(
    objective: Objective,
    function: Callable[[Floats], tuple[float, Floats]],
    *,
    callback: Callable[[Any], object] | None,
    **options: Any,
) -> Any:
    """Minimize a function of a model's parameters by SciPy; the model gets the best parameters.

    Source: C. Zhu, R. Byrd, P. Lu, J. Nocedal, "Algorithm 778: L-BFGS-B", 1997.

    Parameters
    ----------
    objective : Objective
        Objective of the model, which reads and assigns its parameters.
    function : callable
        Function of the flat parameters that returns the value and the gradient: `objective`, or a
        function derived from it.
    callback : callable, optional
        Function called with SciPy's intermediate result after each iteration.
    options
        Options of SciPy's method "L-BFGS-B".

    Returns
    -------
    scipy.optimize.OptimizeResult
    """
    result = _scipy_minimize()(
        function,
        objective.flat(),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options=options,
    )
    objective.assign(result.x)
    return result


def _ending(result: Any, iterations: int) -> str:
    """Return `History.ending` for a result of SciPy: status 1 is a limit, 2 the line search."""
    if result.status == 0:
        return "converged"
    if result.status == 1:
        return "iterations" if result.nit >= iterations else "evaluations"
    return "line search"


def fit_lbfgs(
    model: Network,
    data: Data,
    optimizer: LBFGS,
    iterations: int,
    threads: int | None,
    begin: Callable[[History], object],
) -> History:
    """Train for at most `iterations` iterations and return a history with one entry for each.

    `begin` is called with the history before the parameters change for the first time.
    ``History.accuracy`` stays empty, and ``History.loss`` includes the penalty.

    Warns
    -----
    ConvergenceWarning
        A limit was reached, or the line search failed, before the gradient met the tolerance.

    Raises
    ------
    ImportError
        SciPy is not installed.
    ValueError
        The products of the network round their factors.
    """
    if model.architecture.compute_dtype:
        raise ValueError(
            f"LBFGS needs exact gradients, got compute_dtype={model.architecture.compute_dtype!r}; "
            "leave it out, or train with another optimizer"
        )
    objective = Objective(model, data, threads, l2=optimizer.l2)
    history = History()
    start = time.perf_counter()

    def record(intermediate_result: object) -> None:
        nonlocal start
        now = time.perf_counter()
        loss = float(intermediate_result.fun)  # type: ignore[attr-defined]
        history.append({"loss": loss, "seconds": now - start})
        start = now

    _scipy_minimize()  # raises before `begin` discards the state of the last training
    begin(history)
    result = minimize(
        objective,
        objective,
        callback=record,
        maxiter=iterations,
        maxcor=min(optimizer.memory, iterations),  # there are no more pairs than iterations
        gtol=optimizer.tolerance,
        maxfun=optimizer.evaluations,
        ftol=64 * 2.220446049250313e-16,
    )
    history.ending = _ending(result, iterations)
    if history.ending != "converged":
        cure = _CURES[history.ending].format(
            iterations=iterations, evaluations=optimizer.evaluations
        )
        warnings.warn(f"LBFGS ended before it converged: {cure}", ConvergenceWarning, stacklevel=6)
    return history
