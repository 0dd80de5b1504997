"""Callback dispatch: calls of hooks, and the training that callbacks see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from fastmlp.callbacks import Callback
from fastmlp.history import History, Record
from fastmlp.network import Network
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Continuation, Progress
from fastmlp.training.processes import Group
from fastmlp.training.states import keyed, kind_of
from fastmlp.validation import real

__all__ = ["Dispatch"]

Array = npt.NDArray[Any]


class Dispatch:
    """The dispatcher of callbacks, and the `fastmlp.callbacks.Training` that they receive.

    `Progress` records which callbacks were called, so that a resumed training calls only the
    others.

    Parameters
    ----------
    model : Network
        Model that callbacks see.
    callbacks : sequence of Callback
        Callbacks in the order of their calls.
    continuation : Continuation
        State of the training. Its progress must have a plan, which gives epochs and steps.
    uncounted : int
        Number of completed epochs of the continuation that callbacks do not count.
    group : Group, optional
        Processes that train the model together.
    """

    def __init__(
        self,
        model: Network,
        callbacks: Sequence[Callback],
        continuation: Continuation,
        *,
        uncounted: int = 0,
        group: Group | None = None,
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
        self._group = group
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
        """Learning rate of the next step.

        An assigned rate applies until another is assigned; None returns to the optimizer's rates.
        """
        return self._next_rate() if self._override is None else self._override

    @learning_rate.setter
    def learning_rate(self, rate: float | None) -> None:
        self._override = None if rate is None else real("learning_rate", rate, 0.0)

    def show_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Give the model other parameters when the training ends.

        A resumed training continues from the parameters of the last step.
        """
        if self._now.kept is None:
            self._settle(kept=self.model.parameters())
        self.model._put_parameters(parameters)

    def state_after(self, callback: Callback) -> Mapping[str, Array]:
        """Return `MLP.training_state` as it will be after the running hook of `callback`."""
        key = next((key for key, other in self._callbacks.items() if other is callback), None)
        if key is None:
            raise ValueError(f"callback must be one of this fit's callbacks, got {callback!r}")
        now = self._now.with_told(key, callback, override=self._override)
        return self._continuation.state_at(now)

    # ------------------------------------------------------------ what subclasses define

    def _steps_done(self) -> int:
        """Return the number of completed steps of the running epoch."""
        return 0

    def _next_rate(self) -> float:
        """Return the learning rate of the next step if no callback has set one."""
        raise NotImplementedError

    # ------------------------------------------------------------ calls of callbacks

    @property
    def _now(self) -> Progress:
        return self._continuation.progress

    def _settle(self, **changes: Any) -> None:
        self._continuation.settle(self._now.changed(**changes))

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

    def _asked(self, callback: Callback, hook: str, *arguments: object) -> bool:
        """Call a hook, and return whether it ends the training.

        In a group of processes the first decides for all, also on the learning rate.
        """
        if self._group is None:
            return getattr(callback, hook)(self, *arguments) is True
        is_called = self._group.is_first or not callback.writes

        def called() -> tuple[bool, float | None]:
            stops = is_called and getattr(callback, hook)(self, *arguments) is True
            return stops, self._override

        stops, self._override = self._group.of_first(called)
        return stops

    def _call(self, hook: str) -> None:
        """Call a hook of all callbacks; the calls are not recorded."""
        stops = [self._asked(callback, hook) for callback in self._callbacks.values()]
        self._ends_at_once = any(stops)

    def _call_remaining(self, hook: str, record: Record | None = None) -> None:
        """Call a hook of the callbacks that were not called yet, and record each call."""
        for key, callback in self._callbacks.items():
            if key in self._now.told:
                continue
            arguments = () if record is None else (dict(record),)
            stops = self._asked(callback, hook, *arguments)
            self._record_call(key, callback, stops)

    def _record_call(self, key: str, callback: Callback, stops: bool, **changes: Any) -> None:
        now = self._now.with_told(key, callback, stops=stops, override=self._override, **changes)
        self._continuation.settle(now)

    def _call_epoch_end(self, record: Record) -> None:
        """Call `on_epoch_end` with the record of an epoch that the progress already counts."""
        self.history.append(record)
        self._call_remaining("on_epoch_end", record)
        self._settle(record=None, told=frozenset(), override=self._override)
