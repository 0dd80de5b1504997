"""scikit-learn's rules for epochs: order, losses, early stopping, convergence and messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.errors import DivergedError
from fastmlp.estimators.network import Parameters
from fastmlp.estimators.samples import HeldOut, LossMeasure
from fastmlp.estimators.session import Moment, Session, SolverRate
from fastmlp.history import Record
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.training.continuation import Progress
from fastmlp.training.loop import Policy
from fastmlp.training.run import Run, StepSums

__all__ = ["NON_FINITE", "NonFiniteParametersError", "Plateau", "ScikitLearnPolicy"]

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
_ORDER_OF_RECORD = ("epoch", "epochs", "loss", "learning_rate", "accuracy")


class NonFiniteParametersError(DivergedError, ValueError):
    """Training diverged; the estimator keeps the finite weights of an earlier step.

    The error is a `DivergedError` of this library and a ValueError, which scikit-learn raises.
    """


class Plateau:
    """A counter of consecutive epochs that did not lower a cost by a tolerance.

    The cost of a score, for which larger is better, is the negative score.

    Attributes
    ----------
    best : float
        Lowest cost so far; infinity before the first epoch.
    count : int
        Number of epochs since the cost was last lower than the best one by at least the tolerance.
    """

    def __init__(self, best: float = math.inf, count: int = 0) -> None:
        self.best = best
        self.count = count

    def update(self, cost: float, tol: float) -> bool:
        """Process the cost of an epoch; return True if it is the lowest so far."""
        self.count = self.count + 1 if cost > self.best - tol else 0
        if cost < self.best:
            self.best = cost
            return True
        return False


class ScikitLearnPolicy(Policy):
    """Policy of scikit-learn's solvers `sgd` and `adam`.

    Updates the fitted attributes of the estimator after each epoch: ``n_iter_``, ``t_``, ``loss_``,
    ``loss_curve_``, ``best_loss_`` and those of the validation.

    Parameters
    ----------
    estimator : BaseMLP
        Estimator whose fitted attributes are updated.
    model : Network
        Network in training.
    session : Session
        Training session of the estimator.
    data : Data
        Training samples.
    measure : LossMeasure
        Conversion of the core's loss to scikit-learn's.
    held_out : HeldOut or None
        Samples held out, or None.
    resumes : bool
        Whether an earlier fit, which may have converged, is resumed.
    tells : bool
        Whether records contain the score on the samples held out even without early stopping.
    """

    with_penalty = True

    def __init__(
        self,
        estimator: Any,
        model: Network,
        session: Session,
        data: Data,
        measure: LossMeasure,
        held_out: HeldOut | None,
        *,
        resumes: bool,
        tells: bool,
    ) -> None:
        super().__init__(model)
        self.has_accuracy = estimator._has_accuracy
        self._estimator = estimator
        self._used = estimator._used
        self._session = session
        self._count = len(data)
        self._is_weighted = data.sample_weight is not None
        # scikit-learn weighs each batch's mean by its number of samples, not by their weights.
        self.step_limit = 1 if self._is_weighted else None
        self._loss_factor = measure.factor
        self._constants = measure.weighted_constants(data)
        self._held_out = held_out
        self._scores = self._used.early_stopping or tells
        self._identity = np.arange(self._count)
        self._permutation = np.arange(self._count)
        self._message = ""
        self.has_ended = resumes and self._has_converged

    @property
    def _has_converged(self) -> bool:
        return bool(self._estimator._plateau.count > self._used.n_iter_no_change)

    def require_measured(self, watchers: object) -> None:
        """Check nothing: callbacks raise an error if their value is missing."""

    def order(self) -> npt.NDArray[np.int64]:
        """Return the last order, permuted by scikit-learn's random numbers if `shuffle` is set."""
        session, permutation = self._session, self._permutation
        if self._used.shuffle:
            permutation[:] = self._identity
            self._estimator._random_state.shuffle(permutation)
            session.order = session.order.take(permutation)
            session.drawn += 1
        return session.order

    # ------------------------------------------------------------ losses

    def totals(self, run: Run, epoch: int) -> StepSums:
        """Return the sums with scikit-learn's loss, which includes the penalty."""
        sums = run.sums_in(epoch)
        if not self._is_weighted:
            return sums._replace(loss=self._loss_sum(sums, 0, sums.samples))
        session, step = self._session, run.steps_in(epoch)
        known, added, total = session.partial
        if known != epoch or step == 1:
            added, total = 0, 0.0
        if added < step:  # at most the last step is missing
            last = run.last_step()
            total += self._loss_sum(last, sums.samples - last.samples, sums.samples)
            session.partial = (epoch, step, total)
        return sums._replace(loss=total)

    def mean_loss(self, sums: StepSums) -> float:
        """Return the mean loss over the samples, without their weights."""
        return sums.loss / sums.samples

    def _loss_sum(self, sums: StepSums, first: int, last: int) -> float:
        """Return scikit-learn's loss of the samples at positions `first` to `last` of the order."""
        loss_sum = sums.loss
        if self._constants is not None:
            loss_sum += float(self._constants[self._session.order[first:last]].sum())
        loss_sum = loss_sum * self._loss_factor + sums.penalty
        if not self._is_weighted:
            return float(loss_sum)
        return float(loss_sum * (last - first) / sums.weight) if sums.weight else 0.0

    # ------------------------------------------------------------ ends of epochs

    def completed(self, record: Record) -> Record:
        """Return the record with loss and score of the samples held out."""
        values = {name: record[name] for name in _ORDER_OF_RECORD if name in record}
        if self._held_out is not None:
            values |= self._held_out.measure(self._model, scores=self._scores)
        return values | {"seconds": record["seconds"]}

    def observe(self, record: Record, now: Progress) -> dict[str, Any]:
        """Update the estimator's attributes and the rate; end the training after convergence."""
        estimator, used, session = self._estimator, self._used, self._session
        loss, rate = record["loss"], session.solver.learning_rate
        estimator.n_iter_ += 1
        estimator.t_ += self._count
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        self._message = f"Iteration {estimator.n_iter_}, loss = {loss:.8f}"
        held_out = self._held_out
        if held_out is not None:
            estimator.validation_loss_curve_.append(record["val_loss"])
        if used.early_stopping and held_out is not None:
            score = record[held_out.score_name]
            estimator.validation_scores_.append(score)
            self._message += f"\nValidation score: {score:f}"
            if estimator._plateau.update(-score, used.tol):
                estimator.best_validation_score_ = score
                estimator._best_parameters = Parameters.read_from(self._model)
        else:
            estimator._plateau.update(loss, used.tol)
            estimator.best_loss_ = estimator._plateau.best
        if isinstance(rate, SolverRate):
            rate.epoch_ended(estimator.t_)
        if self._has_converged:
            self._end_or_lower_rate(rate)
        return {"others": {"moment": Moment.of(estimator, session)}}

    def _end_or_lower_rate(self, rate: object) -> None:
        """End the training, or continue at a lower rate."""
        ends, consequence = (True, "Stopping.")
        if isinstance(rate, SolverRate):
            ends, consequence = rate.standstill()
        used = self._used
        measure = "Validation score" if used.early_stopping else "Training loss"
        self._message += (
            f"\n{measure} did not improve more than tol={used.tol:f} for "
            f"{used.n_iter_no_change:.0f} consecutive epochs. {consequence}"
        )
        self.has_ended = ends
        if not ends:
            self._estimator._plateau.count = 0

    def announce(self, record: Record, *, stops: bool = False) -> None:
        """Print scikit-learn's message of the epoch if `verbose` is set."""
        if self._used.verbose and not stops:
            print(self._message)

    # ------------------------------------------------------------ divergence

    def diverged(self, epoch: int, step: int, rate: float) -> DivergedError:
        """Return an error that is a `DivergedError` and scikit-learn's ValueError."""
        return NonFiniteParametersError(
            f"{NON_FINITE} It happened in epoch {epoch} at step {step}; the weights are those of "
            "an earlier step.",
            epoch,
            step,
        )

    def end_with_best(self, error: DivergedError) -> str:
        """Count the epoch that diverged as one whose loss and score are NaN, as scikit-learn does.

        Early stopping then restores the weights with the best score. Return the text of a warning.
        """
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.loss_ = np.nan
        for curve in (estimator.loss_curve_, estimator.validation_scores_):
            curve.append(np.nan)
        estimator.validation_loss_curve_.append(np.nan)
        scored = np.isfinite(estimator.best_validation_score_)
        kept = "with the best validation score" if scored else "from before the training"
        return (
            f"Stochastic Optimizer: training diverged in epoch {error.epoch} at step {error.step}; "
            f"the weights are those {kept}. A smaller learning rate may help."
        )
