"""Epochs of mini-batches as scikit-learn's `sgd` and `adam` run them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp.errors import DivergedError
from fastmlp.estimators.hooks import Observers
from fastmlp.estimators.network import Parameters
from fastmlp.estimators.samples import HeldOut, LossMeasure, Samples
from fastmlp.estimators.session import Session
from fastmlp.estimators.stopping import standstill_message
from fastmlp.model import MLP

__all__ = ["NON_FINITE", "EpochLoop", "NonFiniteParametersError", "batch_size_for"]

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


class NonFiniteParametersError(DivergedError, ValueError):
    """Training diverged; the estimator keeps weights from before, which are finite.

    Both the `DivergedError` of this library and the ValueError that scikit-learn raises.
    """


def batch_size_for(requested: Any, samples: int) -> int:
    """Batch size within the number of samples, with scikit-learn's warning."""
    if requested == "auto":
        return min(200, samples)
    if requested > samples:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=7,
        )
    return int(min(requested, samples))


class EpochLoop:
    """Trains an estimator's network until it converges or `max_iter` epochs are over.

    What scikit-learn's users read is kept up to date on the estimator after each epoch:
    ``n_iter_``, ``t_``, ``loss_``, ``loss_curve_``, ``best_loss_`` and the validation's curves.

    Parameters
    ----------
    estimator : BaseMLP
    model : MLP
    session : Session
    samples : Samples
        To train on.
    measure : LossMeasure
    held_out : HeldOut or None
    """

    def __init__(
        self,
        estimator: Any,
        model: MLP,
        session: Session,
        samples: Samples,
        measure: LossMeasure,
        held_out: HeldOut | None,
    ) -> None:
        self._estimator = estimator
        self._model = model
        self._session = session
        self._samples = samples
        self._rows = samples.core_rows()
        self._held_out = held_out
        self._loss_factor = measure.factor
        self._constants = measure.weighted_constants(samples)
        self._count = samples.count
        self._batch_size = batch_size_for(estimator.used.batch_size, self._count)
        self.steps_per_epoch = -(-self._count // self._batch_size)
        self._run = session.run(model, self._batch_size, estimator.used.n_threads)
        self._identity = np.arange(self._count)
        self._permutation = np.arange(self._count)
        self._seen = 0
        self._accuracy = 0.0
        self._validation = (np.nan, np.nan)
        self._first_rate = 0.0
        self._stopped = False
        self._tells = False
        self.observers: Observers | None = None

    def next_rate(self) -> float:
        """Learning rate of the next step, unless a callback chooses another."""
        return self._session.rates(0, 1, self.steps_per_epoch, self._estimator.used.max_iter)[0]

    def train(self, *, once: bool = False) -> None:
        """Run epochs; with `once` a single one."""
        estimator = self._estimator
        self._tells = self.observers is not None or self._session.has_schedule
        try:
            if self.observers is not None and self.observers.begin():
                return
            while estimator.n_iter_ < estimator.used.max_iter:
                if self._epoch() or once:
                    return
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
            return
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({estimator.used.max_iter}) reached and the "
            "optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _epoch(self) -> bool:
        """Train for an epoch; True when training has come to its end."""
        estimator, session = self._estimator, self._session
        if self.observers is not None and self.observers.epoch_begin():
            return True
        if estimator.used.shuffle:
            self._shuffle()
        try:
            loss = self._train_once()
        except NonFiniteParametersError as error:
            if not self._keeps_best:
                raise
            self._end_with_best(error)
            return True
        session.epochs += 1
        estimator.n_iter_ += 1
        estimator.t_ += self._seen
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if estimator.used.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        self._observe(loss)
        session.rate.epoch_ended(estimator.t_)
        ends = self._tells and self._tell()
        if estimator._plateau.count > estimator.used.n_iter_no_change and self._stands_still():
            return True
        return ends or self._stopped

    @property
    def _keeps_best(self) -> bool:
        return bool(self._estimator.used.early_stopping) and self._held_out is not None

    def _end_with_best(self, error: NonFiniteParametersError) -> None:
        """Count the epoch that diverged as one whose loss and score are NaN, as scikit-learn does.

        Early stopping then puts back the weights with the best score.
        """
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.loss_ = np.nan
        for curve in (estimator.loss_curve_, estimator.validation_scores_):
            curve.append(np.nan)
        estimator.validation_loss_curve_.append(np.nan)
        scored = np.isfinite(estimator.best_validation_score_)
        kept = "with the best validation score" if scored else "from before the training"
        warnings.warn(
            f"Stochastic Optimizer: training diverged in epoch {error.epoch} at step {error.step}; "
            f"the weights are those {kept}. A smaller learning rate may help.",
            ConvergenceWarning,
            stacklevel=7,
        )

    def _shuffle(self) -> None:
        """Permute the last order by the random numbers that scikit-learn's `shuffle` draws."""
        session, permutation = self._session, self._permutation
        permutation[:] = self._identity
        self._estimator._random_state.shuffle(permutation)
        session.order = session.order.take(permutation)

    # ------------------------------------------------------------ steps

    def _train_once(self) -> float:
        """Loss over an epoch, each sample as seen before its step, with the penalty."""
        session, samples = self._session, self._samples
        total = 0.0
        step = done = correct = 0
        while step < self.steps_per_epoch and not self._stopped:
            steps = self._steps_at_once(step)
            report = self._run.epoch(
                self._rows,
                samples.targets,
                session.settings,
                order=session.order,
                epoch=session.epochs,
                learning_rates=self._set_rate(step, steps),
                sample_weight=samples.weights,
                penalty=True,
                first_step=step,
                steps=steps,
            )
            if report.status != "completed":
                self._give_up(report, step)
            first, done = done, done + report.samples
            loss_sum = self._loss_sum(report, first, done)
            total += loss_sum
            correct += report.correct
            step += steps
            if self.observers is not None:
                self._stopped = self.observers.steps_done(
                    steps, loss_sum, report.correct, done - first
                )
        self._seen = done
        self._accuracy = correct / done
        return total / done

    def _steps_at_once(self, step: int) -> int:
        """Steps until somebody looks at something."""
        rest = self.steps_per_epoch - step
        if self._samples.weights is not None:
            # scikit-learn weighs each batch's mean by its number of samples, not by their weights.
            return 1
        if self.observers is None:
            return rest
        return min(rest, self.observers.steps_to_next_call() or rest)

    def _loss_sum(self, report: Any, first: int, last: int) -> float:
        """Loss of consecutive samples of the order in scikit-learn's measure."""
        loss_sum = report.loss_sum
        if self._constants is not None:
            loss_sum += float(self._constants[self._session.order[first:last]].sum())
        loss_sum = loss_sum * self._loss_factor + report.penalty_sum
        if self._samples.weights is None:
            return float(loss_sum)
        return float(loss_sum * (last - first) / report.weight_sum) if report.weight_sum else 0.0

    def _set_rate(self, step: int, steps: int) -> Sequence[float]:
        """Put the rate into the settings, and return one for each step where there are several."""
        session = self._session
        chosen = None if self.observers is None else self.observers.training.chosen_rate
        if chosen is None:
            rates = session.rates(step, steps, self.steps_per_epoch, self._estimator.used.max_iter)
        else:
            rates = [chosen]
        session.settings["learning_rate"] = rates[0]
        if step == 0:
            self._first_rate = rates[0]
        return rates if len(rates) > 1 else ()

    def _give_up(self, report: Any, first_step: int) -> None:
        if report.status == "interrupted":
            raise KeyboardInterrupt
        # An update that overflows after the last step of an epoch belongs to that step.
        step = min(first_step + report.steps + 1, self.steps_per_epoch)
        epoch = self._estimator.n_iter_ + 1
        raise NonFiniteParametersError(
            f"{NON_FINITE} It happened in epoch {epoch} at step {step}; the weights are those of "
            "an earlier step.",
            epoch,
            step,
        )

    # ------------------------------------------------------------ what follows an epoch

    def _observe(self, loss: float) -> None:
        """Compare the epoch with the best so far, by the validation score or the loss."""
        estimator, held_out = self._estimator, self._held_out
        if held_out is not None:
            scores = estimator.used.early_stopping or self.observers is not None
            self._validation = held_out.measure(self._model, scores=scores)
            estimator.validation_loss_curve_.append(self._validation[0])
        if held_out is None or not self._keeps_best:
            estimator._plateau.update(loss, estimator.used.tol)
            estimator.best_loss_ = estimator._plateau.best
            return
        score = self._validation[1]
        estimator.validation_scores_.append(score)
        if estimator.used.verbose:
            print(f"Validation score: {score:f}")
        if estimator._plateau.update(-score, estimator.used.tol):
            estimator.best_validation_score_ = score
            estimator._best_parameters = Parameters.read_from(self._model)

    def _stands_still(self) -> bool:
        """Whether training ends for want of improvement, else it goes on at a lower rate."""
        estimator = self._estimator
        ends, consequence = self._session.rate.standstill()
        if estimator.used.verbose:
            used = estimator.used
            measure = "Validation score" if used.early_stopping else "Training loss"
            reason = standstill_message(measure, used.tol, used.n_iter_no_change)
            print(f"{reason} {consequence}")
        if not ends:
            estimator._plateau.count = 0
        return ends

    def _tell(self) -> bool:
        """Tell those who asked what the epoch measured; True when one of them ends training."""
        record = self._record()
        self._session.observe(record)
        return self.observers is not None and self.observers.epoch_end(record)

    def _record(self) -> dict[str, Any]:
        estimator = self._estimator
        record = {
            "epoch": estimator.n_iter_,
            "epochs": estimator.used.max_iter,
            "loss": estimator.loss_,
            "learning_rate": self._first_rate,
        }
        if estimator._tells_accuracy:
            record["accuracy"] = self._accuracy
        if self._held_out is not None:
            name = "val_accuracy" if estimator._tells_accuracy else "val_r2"
            record["val_loss"], record[name] = self._validation
        return record
