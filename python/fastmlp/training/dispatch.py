"""Callback dispatch: calls each hook once, and is the training that callbacks see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from fastmlp.callbacks import Callback
from fastmlp.history import History, Record
from fastmlp.network import Network
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Continuation, Progress
from fastmlp.training.states import keyed, kind_of
from fastmlp.validation import real

__all__ = ["Dispatch"]

Array = npt.NDArray[Any]


class Dispatch:
    """The callbacks of a training, and the `fastmlp.callbacks.Training` that they are given.

    `Progress` notes which callbacks were called: when a training that was cut is resumed, only the
    others are called.

    Parameters
    ----------
    model : Network
        As callbacks see it.
    callbacks : sequence of Callback
    continuation : Continuation
        Where the training is. Its plan tells the epochs and their steps.
    uncounted : int
        Epochs of the continuation that callbacks do not count.
    """

    def __init__(
        self,
        model: Network,
        callbacks: Sequence[Callback],
        continuation: Continuation,
        *,
        uncounted: int = 0,
    ) -> None:
        planned = continuation.progress.planned
        assert planned is not None
        self.model = model
        self.epochs = planned.epochs
        self.steps_per_epoch = planned.steps_per_epoch
        self.history = History()
        self._planned = planned
        self._callbacks = keyed(callbacks)
        self._continuation = continuation
        self._uncounted = uncounted
        self._override = continuation.progress.override
        self._ends_at_once = False

    # ------------------------------------------------------------ what callbacks see

    @property
    def epoch(self) -> int:
        return self._now.epoch - self._uncounted

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch + self._steps_done()

    @property
    def learning_rate(self) -> float:
        """Rate of the next step. Assigned, it holds until it is assigned again, or None is."""
        return self._next_rate() if self._override is None else self._override

    @learning_rate.setter
    def learning_rate(self, rate: float | None) -> None:
        self._override = None if rate is None else real("learning_rate", rate, 0.0)

    def show_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Give the model other parameters when the training ends.

        A resumed training continues from its own.
        """
        if self._now.kept is None:
            self._settle(kept=self.model.parameters())
        self.model._put_parameters(parameters)

    def state_after(self, callback: Callback) -> Mapping[str, Array]:
        """`MLP.training_state` as it will be after the hook of `callback` that calls this."""
        key = next((key for key, other in self._callbacks.items() if other is callback), None)
        if key is None:
            raise ValueError(f"callback must be one of this fit, got {callback!r}")
        now = self._now.with_told(key, callback, override=self._override)
        return self._continuation.state_at(now)

    # ------------------------------------------------------------ what a kind of training defines

    def _steps_done(self) -> int:
        """Steps of the running epoch."""
        return 0

    def _next_rate(self) -> float:
        """Rate of the next step, where no callback has set one."""
        raise NotImplementedError

    # ------------------------------------------------------------ calls of callbacks

    @property
    def _now(self) -> Progress:
        return self._continuation.progress

    def _settle(self, **changes: Any) -> None:
        self._continuation.settle(replace(self._now, **changes))

    @property
    def _stops(self) -> bool:
        return self._now.stops or self._ends_at_once

    def _restore(self, schedule: object, *, resumes: bool) -> None:
        """Restore the states of callbacks and schedule, or reset them."""
        now = self._now
        for key, callback in self._callbacks.items():
            if resumes and key in now.states:
                callback.restore(now.states[key])
            else:
                callback.reset()
        if not isinstance(schedule, Schedule):
            return
        saved = now.schedule
        if resumes and saved is not None and saved[0] == kind_of(schedule):
            schedule.restore(saved[1])
        elif not resumes or now.planned is not None or now.epoch == 0:
            schedule.reset()

    def _call(self, hook: str) -> None:
        """Call a hook of all callbacks."""
        stops = [getattr(callback, hook)(self) is True for callback in self._callbacks.values()]
        self._ends_at_once = any(stops)

    def _tell(self, hook: str, record: Record | None = None) -> None:
        """Call a hook of the callbacks that were not called yet, and note each call."""
        for key, callback in self._callbacks.items():
            if key in self._now.told:
                continue
            arguments = () if record is None else (dict(record),)
            stops = getattr(callback, hook)(self, *arguments) is True
            self._take_note(key, callback, stops)

    def _take_note(self, key: str, callback: Callback, stops: bool, **changes: Any) -> None:
        now = self._now.with_told(key, callback, stops=stops, override=self._override, **changes)
        self._continuation.settle(now)

    def _tell_of_epoch(self, record: Record) -> None:
        """Call `on_epoch_end` for an epoch that is part of the progress."""
        self.history.append(record)
        self._tell("on_epoch_end", record)
        self._settle(record=None, told=frozenset(), override=self._override)
