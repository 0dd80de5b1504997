"""The callbacks of scikit-learn 1.9 and later, called by a callback of this library."""

from __future__ import annotations

from typing import Any

from fastmlp.callbacks import Callback, Training
from fastmlp.estimators.network import Parameters, Predictor
from fastmlp.history import Record
from fastmlp.model import MLP

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
except ImportError:  # scikit-learn before 1.9

    class CallbackSupport:  # type: ignore[no-redef]
        """Base class without callbacks of scikit-learn."""


__all__ = ["CallbackSupport", "ScikitLearnTasks"]


class ScikitLearnTasks(Callback):
    """A callback that calls those that scikit-learn's `set_callbacks` set in an estimator.

    `fit` is the root task of these callbacks, and each epoch is a subtask.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._task = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._root = estimator._init_callback_context(max_subtasks=estimator._used.max_iter)
        self._epoch: Any = None

    def on_train_begin(self, training: Training) -> None:
        """Begin the root task."""
        self._root.call_on_fit_task_begin(**self._task)

    def on_epoch_begin(self, training: Training) -> None:
        """Begin the task of an epoch."""
        self._epoch = self._root.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._task_with(training.model))

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """End the task of the epoch."""
        if self._epoch is None:  # an interrupted fit called on_epoch_begin
            self.on_epoch_begin(training)
        return bool(self._epoch.call_on_fit_task_end(**self._task_with(training.model)))

    def on_train_end(self, training: Training) -> None:
        """End the root task."""
        self._root.call_on_fit_task_end(**self._task_with(training.model))

    def _task_with(self, model: MLP) -> dict[str, Any]:
        return self._task | {"reconstruction_attributes": lambda: fitted_attributes(model)}


def fitted_attributes(model: MLP) -> dict[str, Any]:
    """Return the fitted attributes with which an estimator predicts as the network does now."""
    coefs, intercepts, normalization = Parameters.read_from(model)
    attributes = {"coefs_": coefs, "intercepts_": intercepts, "_predictor": Predictor()}
    return attributes | ({"normalization_": normalization} if normalization else {})
