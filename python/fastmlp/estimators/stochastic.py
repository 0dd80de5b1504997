"""Epochs of mini-batches as scikit-learn's `sgd` and `adam` run them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp.errors import DivergedError
from fastmlp.estimators.hooks import Observers
from fastmlp.estimators.moment import Moment
from fastmlp.estimators.network import Parameters
from fastmlp.estimators.samples import HeldOut, LossMeasure, Samples
from fastmlp.estimators.session import Session
from fastmlp.estimators.stopping import standstill_message
from fastmlp.model import MLP
from fastmlp.training.continuation import Planned
from fastmlp.training.run import StepSums

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
        self._accuracy = 0.0
        self._validation = (np.nan, np.nan)
        self._goes_on = False
        self._tells = False
        self.observers: Observers | None = None

    def next_rate(self) -> float:
        """Learning rate of the next step, unless a callback chooses another."""
        return self._session.rates(0, 1, self.steps_per_epoch, self._estimator.used.max_iter)[0]

    def train(self, *, once: bool = False, resumes: bool = False) -> None:
        """Run epochs; with `once` a single one, and where it `resumes` those that are left."""
        estimator = self._estimator
        self._tells = self.observers is not None or self._session.has_schedule
        self._goes_on = resumes
        try:
            if self.observers is not None and self.observers.begin(resumes=resumes):
                return
            if resumes and self._has_converged:
                return
            while estimator.n_iter_ < estimator.used.max_iter:
                if self._epoch() or once:
                    self._session.progress = replace(self._session.progress, stops=False)
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
        if loss is None:
            return True
        epoch = session.epochs
        estimator.n_iter_ += 1
        estimator.t_ += self._count
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if estimator.used.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        self._observe(loss)
        session.rate.epoch_ended(estimator.t_)
        ends = self._tells and self._tell()
        if self._has_converged and self._stands_still():
            ends = True
        self.settle(epoch + 1)
        return ends

    def settle(self, epochs: int) -> None:
        """Take note of an epoch, in one assignment: what a resumed fit goes on from."""
        session = self._session
        moment = Moment.of(self._estimator, session, epochs)
        chosen = None if self.observers is None else self.observers.training.chosen_rate
        session.progress = replace(
            session.progress, epoch=epochs, record=None, told=frozenset(), stops=False, seen={},
            override=chosen, others={"moment": moment},
            planned=Planned(self._count, self._batch_size, self._estimator.used.max_iter),
        )  # fmt: skip
        session.epochs = epochs

    @property
    def _has_converged(self) -> bool:
        estimator = self._estimator
        return bool(estimator._plateau.count > estimator.used.n_iter_no_change)

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

    def _train_once(self) -> float | None:
        """Loss over an epoch, each sample as seen before its step, with the penalty.

        None where a callback broke it off, to be gone on with.
        """
        session, samples, run = self._session, self._samples, self._run
        step = run.steps_in(session.epochs) if self._goes_on else 0
        self._goes_on = True
        stopped = step > 0 and self._measured(step)
        while step < self.steps_per_epoch and not stopped:
            steps = self._steps_at_once(step)
            report = run.epoch(
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
            step = run.steps_in(session.epochs)
            stopped = self._measured(step)
        if step < self.steps_per_epoch:
            return None
        sums = run.sums_in(session.epochs)
        self._accuracy = sums.correct / (sums.weight or 1.0)
        return self._total(sums) / sums.samples

    def _measured(self, step: int) -> bool:
        """Take note of what the steps up to this one measured, and tell of it.

        True where somebody ends the training.
        """
        session, run = self._session, self._run
        sums = run.sums_in(session.epochs)
        if self._samples.weights is not None:
            # scikit-learn weighs each batch's mean by its number of samples: step by step. The
            # last one is not added yet.
            epoch, added, total = session.partial
            if epoch != session.epochs or step == 1:
                added, total = 0, 0.0
            if added < step:
                last = run.last_step()
                total += self._loss_sum(last, sums.samples - last.samples, sums.samples)
                session.partial = (session.epochs, step, total)
        if self.observers is None:
            return False
        return self.observers.steps_done(step, self._total(sums), sums)

    def _total(self, sums: StepSums) -> float:
        """Sum of the losses of an epoch so far in scikit-learn's measure."""
        if self._samples.weights is not None:
            return self._session.partial[2]
        return self._loss_sum(sums, 0, sums.samples)

    def _steps_at_once(self, step: int) -> int:
        """Steps until somebody looks at something."""
        rest = self.steps_per_epoch - step
        if self._samples.weights is not None:
            # scikit-learn weighs each batch's mean by its number of samples, not by their weights.
            return 1
        if self.observers is None:
            return rest
        return min(rest, self.observers.steps_to_next_call() or rest)

    def _loss_sum(self, sums: StepSums, first: int, last: int) -> float:
        """Loss of consecutive samples of the order in scikit-learn's measure."""
        loss_sum = sums.loss
        if self._constants is not None:
            loss_sum += float(self._constants[self._session.order[first:last]].sum())
        loss_sum = loss_sum * self._loss_factor + sums.penalty
        if self._samples.weights is None:
            return float(loss_sum)
        return float(loss_sum * (last - first) / sums.weight) if sums.weight else 0.0

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
            session.first_rate = rates[0]
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
            "learning_rate": self._session.first_rate,
        }
        if estimator._tells_accuracy:
            record["accuracy"] = self._accuracy
        if self._held_out is not None:
            name = "val_accuracy" if estimator._tells_accuracy else "val_r2"
            record["val_loss"], record[name] = self._validation
        return record
