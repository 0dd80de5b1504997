"""Who looks on during `fit`: callbacks of this library, and of scikit-learn 1.9 and later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastmlp.callbacks import Callback
from fastmlp.estimators.network import Parameters, Predictor
from fastmlp.history import History, Record
from fastmlp.model import MLP
from fastmlp.validation import real

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
except ImportError:  # scikit-learn before 1.9

    class CallbackSupport:  # type: ignore[no-redef]
        """Without callbacks of scikit-learn."""


__all__ = ["CallbackSupport", "FitTraining", "Observers", "ScikitLearnTasks"]


class _StepSums:
    """Sums over some steps, from which the record of `Callback.on_step_end` is made."""

    __slots__ = ("correct", "loss_sum", "samples")

    def __init__(self) -> None:
        self.loss_sum = 0.0
        self.correct = 0
        self.samples = 0

    def add(self, loss_sum: float, correct: int, samples: int) -> None:
        self.loss_sum += loss_sum
        self.correct += correct
        self.samples += samples


class FitTraining:
    """What callbacks see of a `fit`: the attributes of `fastmlp.training.Training`.

    Attributes
    ----------
    model : MLP
    epoch, epochs : int
        Completed and planned, earlier fits that this one resumes included.
    step, steps_per_epoch : int
        Completed, and of one epoch.
    history : History
    learning_rate : float
        Of the next step; assign a float to set it from now on, or None to give it back.
    """

    def __init__(
        self, model: MLP, epoch: int, epochs: int, steps_per_epoch: int, rate: Callable[[], float]
    ) -> None:
        self.model = model
        self.epoch = epoch
        self.epochs = epochs
        self.step = epoch * steps_per_epoch
        self.steps_per_epoch = steps_per_epoch
        self.history = History()
        self.chosen_rate: float | None = None
        self._planned_rate = rate

    @property
    def learning_rate(self) -> float:
        return self._planned_rate() if self.chosen_rate is None else self.chosen_rate

    @learning_rate.setter
    def learning_rate(self, value: float | None) -> None:
        self.chosen_rate = None if value is None else real("learning_rate", value, 0.0)


class Observers:
    """All that look on during a `fit`.

    Parameters
    ----------
    training : FitTraining
    callbacks : list of Callback
    tasks : ScikitLearnTasks or None
    counts_correct : bool
        Whether predictions are right or wrong.
    """

    def __init__(
        self,
        training: FitTraining,
        callbacks: list[Callback],
        tasks: ScikitLearnTasks | None,
        counts_correct: bool,
    ) -> None:
        self.training = training
        self._callbacks = callbacks
        self._tasks = tasks
        self._counts_correct = counts_correct
        self._stepping = [(c, c.every_steps, _StepSums()) for c in callbacks if c.every_steps]
        self._epoch_start = 0.0

    def _call(self, name: str, *arguments: Any) -> bool:
        stops = [getattr(c, name)(self.training, *arguments) is True for c in self._callbacks]
        return any(stops)

    def begin(self) -> bool:
        if self._tasks is not None:
            self._tasks.begin()
        return self._call("on_train_begin")

    def end(self) -> None:
        self._call("on_train_end")
        if self._tasks is not None:
            self._tasks.end(self.training.model)

    def epoch_begin(self) -> bool:
        self._epoch_start = time.perf_counter()
        self._stepping = [(c, every, _StepSums()) for c, every, _ in self._stepping]
        if self._tasks is not None:
            self._tasks.epoch_begin(self.training.model)
        return self._call("on_epoch_begin")

    def steps_to_next_call(self) -> int | None:
        """Steps from now to the next one that a callback is called after."""
        done = self.training.step
        return min((every - done % every for _, every, _ in self._stepping), default=None)

    def steps_done(self, steps: int, loss_sum: float, correct: int, samples: int) -> bool:
        training = self.training
        training.step += steps
        stops = False
        for i, (callback, every, sums) in enumerate(self._stepping):
            sums.add(loss_sum, correct, samples)
            if training.step % every == 0:
                record = {"step": training.step, "epoch": training.epoch + 1} | self._means(sums)
                stops |= callback.on_step_end(training, record) is True  # type: ignore[arg-type]
                self._stepping[i] = (callback, every, _StepSums())
        return stops

    def _means(self, sums: _StepSums) -> Record:
        means: Record = {"loss": sums.loss_sum / sums.samples}
        if self._counts_correct:
            means["accuracy"] = sums.correct / sums.samples
        return means | {"learning_rate": self.training.learning_rate}

    def epoch_end(self, record: Record) -> bool:
        training = self.training
        training.epoch += 1
        record = record | {"seconds": time.perf_counter() - self._epoch_start}
        training.history.append(record)
        ends = self._call("on_epoch_end", record)
        return (self._tasks is not None and self._tasks.epoch_end(training.model)) or ends


class ScikitLearnTasks:
    """The callbacks that `set_callbacks` of scikit-learn gave to an estimator.

    `fit` is their root task, and each epoch a task under it.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._task = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._root = estimator._init_callback_context(max_subtasks=estimator.used.max_iter)
        self._epoch: Any = None

    def begin(self) -> None:
        self._root.call_on_fit_task_begin(**self._task)

    def epoch_begin(self, model: MLP) -> None:
        self._epoch = self._root.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(
            **self._task, reconstruction_attributes=lambda: fitted_attributes(model)
        )

    def epoch_end(self, model: MLP) -> bool:
        return bool(
            self._epoch.call_on_fit_task_end(
                **self._task, reconstruction_attributes=lambda: fitted_attributes(model)
            )
        )

    def end(self, model: MLP) -> None:
        self._root.call_on_fit_task_end(
            **self._task, reconstruction_attributes=lambda: fitted_attributes(model)
        )


def fitted_attributes(model: MLP) -> dict[str, Any]:
    """What makes an estimator predict as the network does at this moment."""
    coefs, intercepts, normalization = Parameters.read_from(model)
    attributes = {"coefs_": coefs, "intercepts_": intercepts, "_predictor": Predictor()}
    return attributes | ({"normalization_": normalization} if normalization else {})
