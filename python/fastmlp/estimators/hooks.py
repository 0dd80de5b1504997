"""Who looks on during `fit`: callbacks of this library, and of scikit-learn 1.9 and later."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastmlp.callbacks import Callback
from fastmlp.estimators.network import Parameters, Predictor
from fastmlp.history import History, Record
from fastmlp.model import MLP
from fastmlp.training.continuation import Progress, begin_watching
from fastmlp.training.run import StepSums
from fastmlp.training.states import keyed
from fastmlp.validation import real

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
except ImportError:  # scikit-learn before 1.9

    class CallbackSupport:  # type: ignore[no-redef]
        """Without callbacks of scikit-learn."""


__all__ = ["CallbackSupport", "FitTraining", "Observers", "ScikitLearnTasks", "Watched"]


class Watched:
    """What observers look on: something that is at some point of a training."""

    def __init__(self) -> None:
        self.progress = Progress()


class FitTraining:
    """What callbacks see of a `fit`: see `fastmlp.callbacks.Training`.

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

    def show_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Give the model other parameters for the end; a resumed fit goes on from its own."""
        self.model.put_parameters(parameters)

    def state_after(self, callback: Callback) -> Mapping[str, Any]:
        """An estimator is pickled instead."""
        raise ValueError(
            "training_state must be False in an estimator, whose pickles keep the state"
        )

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
    session : Session or None
        Whose progress says who was told of what; None where nothing can be resumed.
    """

    def __init__(
        self,
        training: FitTraining,
        callbacks: list[Callback],
        tasks: ScikitLearnTasks | None,
        counts_correct: bool,
        session: Watched | None = None,
    ) -> None:
        self.training = training
        self._callbacks = keyed(callbacks)
        self._tasks = tasks
        self._counts_correct = counts_correct
        self._forgets = session is None
        self._session = Watched() if session is None else session
        self._epoch_start = 0.0

    def begin(self, *, resumes: bool = False) -> bool:
        """Before the first epoch; True where somebody ends the training at once."""
        training, progress = self.training, self._session.progress
        if self._tasks is not None:
            self._tasks.begin()
        begin_watching(progress, self._callbacks, None, resumes=resumes)
        training.chosen_rate = progress.override
        stops = [c.on_train_begin(training) is True for c in self._callbacks.values()]
        return any(stops)

    def end(self) -> None:
        for callback in self._callbacks.values():
            callback.on_train_end(self.training)
        if self._tasks is not None:
            self._tasks.end(self.training.model)

    def _take_note(self, key: str, stops: bool, **changes: Any) -> None:
        """A callback was told: from now on it is not told again."""
        session, override = self._session, self.training.chosen_rate
        session.progress = session.progress.with_told(
            key, self._callbacks[key], stops=stops, override=override, **changes
        )

    def _tell(self, hook: str, *arguments: Record) -> bool:
        for key, callback in self._callbacks.items():
            if key not in self._session.progress.told:
                self._take_note(key, getattr(callback, hook)(self.training, *arguments) is True)
        return self._session.progress.stops

    def epoch_begin(self) -> bool:
        self._epoch_start = time.perf_counter()
        if self._tasks is not None:
            self._tasks.epoch_begin(self.training.model)
        if self._session.progress.record is not None:  # it is over, and not all know
            return False
        return self._tell("on_epoch_begin")

    def steps_to_next_call(self) -> int | None:
        """Steps from now to the next one that a callback is called after."""
        done = self.training.step
        everies = [c.every_steps for c in self._callbacks.values() if c.every_steps is not None]
        return min((every - done % every for every in everies), default=None)

    def steps_done(self, step: int, loss_sum: float, sums: StepSums) -> bool:
        """After `step` steps of this epoch, over which the sums are."""
        training, session = self.training, self._session
        training.step = training.epoch * training.steps_per_epoch + step
        for key, callback in self._callbacks.items():
            if callback.every_steps is None or training.step % callback.every_steps:
                continue
            told = session.progress.told
            before = session.progress.seen.get(key, (0, 0, 0.0, 0.0, 0.0))
            if before[0] == training.step or session.progress.record is not None:
                continue
            count = sums.samples - before[1]
            means: Record = {"loss": (loss_sum - before[3]) / count}
            if self._counts_correct:
                means["accuracy"] = (sums.correct - before[4]) / ((sums.weight - before[2]) or 1.0)
            record: Record = {"step": training.step, "epoch": training.epoch + 1} | means
            record["learning_rate"] = training.learning_rate
            stops = callback.on_step_end(training, record) is True
            now = (training.step, sums.samples, sums.weight, loss_sum, sums.correct)
            self._take_note(key, stops, seen={**session.progress.seen, key: now}, told=told)
        return session.progress.stops

    def epoch_end(self, record: Record) -> bool:
        training, session = self.training, self._session
        training.epoch += 1
        training.step = training.epoch * training.steps_per_epoch
        if session.progress.record is None:
            record = record | {"seconds": time.perf_counter() - self._epoch_start}
            session.progress = replace(session.progress, record=record, told=frozenset(), seen={})
        else:  # the same, and some know it already
            record = session.progress.record
        training.history.append(record)
        ends = self._tell("on_epoch_end", dict(record))
        if self._forgets:
            session.progress = replace(session.progress, record=None, told=frozenset())
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
