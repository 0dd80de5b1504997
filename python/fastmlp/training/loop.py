"""The loop over epochs: rates, validation, callbacks, averages, history. Steps are the core's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.averaging import Averaging
from fastmlp.callbacks import Callback
from fastmlp.errors import DivergedError
from fastmlp.history import History, Record, epoch_line
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.notebook import LiveTable, in_notebook
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Continuation, Progress, begin_watching
from fastmlp.training.run import Report, Run, StepSums
from fastmlp.training.states import checked_state, keyed, kind_of
from fastmlp.validation import real

__all__ = ["ProgressFunction", "TrainingLoop"]

Array = npt.NDArray[Any]
ProgressFunction = Callable[[int, int, float, "float | None"], object]


class TrainingLoop:
    """Epochs of a network, and what `fastmlp.callbacks.Training` shows of them.

    Parameters
    ----------
    model : Network
    run : Run
    data, validation : Data
    optimizer : Optimizer
    continuation : Continuation
        Where the training is; `run` is its run.
    begin : callable
        Called without arguments before anything of the model changes.
    """

    def __init__(
        self,
        model: Network,
        run: Run,
        data: Data,
        optimizer: Optimizer,
        *,
        continuation: Continuation,
        begin: Callable[[], object],
        resumes: bool,
        epochs: int,
        shuffle: bool,
        callbacks: Sequence[Callback],
        validation: Data | None = None,
        averaging: Averaging | None = None,
        threads: int = 0,
        verbose: bool = False,
        progress: ProgressFunction | None = None,
    ) -> None:
        if verbose and in_notebook():
            verbose = False
            if not any(isinstance(callback, LiveTable) for callback in callbacks):
                callbacks = [LiveTable(), *callbacks]
        planned = continuation.progress.planned
        assert planned is not None
        self.model = model
        self.epochs = planned.epochs
        self.steps_per_epoch = planned.steps_per_epoch
        self.history = History()
        self._last_epoch = continuation.progress.epoch + epochs
        self._continuation = continuation
        self._begin = begin
        self._resumes = resumes
        self._run = run
        self._data = data
        self._optimizer = optimizer
        self._settings = optimizer.settings()
        self._shuffle = shuffle
        self._drop_last = planned.drop_last
        self._callbacks = keyed(callbacks)
        self._validation = validation
        self._averaging = averaging
        self._settings["average_decay"] = averaging.step_decay if averaging is not None else 0.0
        self._threads = threads
        self._verbose = verbose
        self._progress = progress
        self._override = continuation.progress.override
        self._ends_at_once = False

    @property
    def epoch(self) -> int:
        return self._now.epoch

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch + self._run.steps_in(self.epoch)

    @property
    def learning_rate(self) -> float:
        """Rate of the next step. Assigned, it holds until it is assigned again, or None is."""
        if self._override is not None:
            return self._override
        return float(self._rates(self.step, 1)[0])

    @learning_rate.setter
    def learning_rate(self, rate: float | None) -> None:
        self._override = None if rate is None else real("learning_rate", rate, 0.0)

    def show_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Give the model other parameters for the end; a resumed training goes on from its own."""
        if self._now.kept is None:
            self._settle(kept=self.model.parameters())
        self.model.put_parameters(parameters)

    def state_after(self, callback: Callback) -> dict[str, Array]:
        """`MLP.training_state` as it will be when a callback has done what it is doing."""
        key = next((key for key, other in self._callbacks.items() if other is callback), None)
        if key is None:
            raise ValueError(f"callback must be one of this fit, got {callback!r}")
        now = self._now.with_told(key, callback, override=self._override)
        return {**(self._continuation.run_state() or {}), **now.to_arrays()}

    @property
    def _stops(self) -> bool:
        return self._now.stops or self._ends_at_once

    @property
    def _now(self) -> Progress:
        return self._continuation.progress

    def _settle(self, **changes: Any) -> None:
        self._continuation.settle(replace(self._now, **changes))

    def _rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        if self._override is not None:
            return np.full(count, self._override)
        return self._optimizer.rates(first, count, self.steps_per_epoch, self.epochs)

    def _call(self, hook: str) -> None:
        stops = [getattr(callback, hook)(self) is True for callback in self._callbacks.values()]
        self._ends_at_once = any(stops)

    def _tell(self, hook: str, record: Record | None = None) -> None:
        """Call a hook of those that were not told yet, and take note of each that was."""
        for key, callback in self._callbacks.items():
            if key in self._now.told:
                continue
            arguments = () if record is None else (dict(record),)
            stops = getattr(callback, hook)(self, *arguments) is True
            self._take_note(key, callback, stops)

    def _take_note(self, key: str, callback: Callback, stops: bool, **changes: Any) -> None:
        now = self._now.with_told(key, callback, stops=stops, override=self._override, **changes)
        self._continuation.settle(now)

    def fit(self) -> History:
        """Run all epochs.

        Raises
        ------
        DivergedError
            The loss became NaN or infinite.
        """
        schedule = self._optimizer.learning_rate
        self._require_measured(schedule)
        begin_watching(self._now, self._callbacks, schedule, resumes=self._resumes)
        self._call("on_train_begin")
        self._rates(self.step, 1)  # can be had, or an error before the last training is given up
        self._begin()
        if self._now.kept is not None:
            self.model.put_parameters(self._now.kept)
            self._settle(kept=None)
        if isinstance(schedule, Schedule):
            self._settle(schedule=(kind_of(schedule), checked_state(schedule, schedule.state())))
        self._catch_up()
        while self.epoch < self._last_epoch and not self._stops:
            self._run.hide_averages()
            self._tell("on_epoch_begin")
            if self._stops:
                break
            record = self._fit_epoch()
            if record is None:
                break
            self._end_epoch(record)
        if self._averaging is not None and self._run.has_averages:
            self._run.show_averages()
        self._settle(stops=False)
        self._call("on_train_end")
        return self.history

    def _require_measured(self, schedule: object) -> None:
        """Raise ValueError where somebody watches what will not be measured."""
        if self._validation is not None:
            return
        for watcher in (*self._callbacks.values(), schedule):
            for name in getattr(watcher, "watches", ()):
                if name in ("val_loss", "val_accuracy"):
                    accuracy = "accuracy, " if self.model.tells_accuracy else ""
                    raise ValueError(
                        f"monitor must be one of epoch, epochs, loss, {accuracy}seconds, "
                        f"learning_rate, got {name!r}; val_ needs validation_data"
                    )

    def _catch_up(self) -> None:
        """Tell those who were not told before something ended the last fit."""
        now = self._now
        if now.record is not None:
            self._end_epoch(now.record)
        elif now.told:
            self._run.hide_averages()
            if self._run.steps_in(now.epoch):
                self._tell_of_steps()
            else:
                self._tell("on_epoch_begin")

    def _end_epoch(self, record: Record) -> None:
        """Take note of an epoch, once, and tell of it."""
        self.history.append(record)
        if self._now.record is None:
            history = self._now.history.with_record(record)
            schedule = self._optimizer.learning_rate
            changes: dict[str, Any] = {}
            if isinstance(schedule, Schedule):
                schedule.observe(record)
                state = checked_state(schedule, schedule.state())
                changes["schedule"] = (kind_of(schedule), state)
            self._settle(
                epoch=self.epoch + 1, history=history, record=record, told=frozenset(), seen={},
                seconds=0.0, rate=None, **changes,
            )  # fmt: skip
            if self._verbose:
                print(epoch_line(record), file=sys.stderr, flush=True)
        self._tell("on_epoch_end", record)
        self._settle(record=None, told=frozenset(), override=self._override)

    def _fit_epoch(self) -> Record | None:
        """Measures of an epoch; None where a callback broke it off, to be gone on with."""
        if self._now.rate is None:
            self._settle(rate=self.learning_rate)
        self._tell_of_steps()
        while self._run.steps_in(self.epoch) < self.steps_per_epoch and not self._stops:
            start = time.perf_counter()
            try:
                self._steps()
            finally:
                self._settle(seconds=self._now.seconds + time.perf_counter() - start)
            self._tell_of_steps()
        if self._run.steps_in(self.epoch) < self.steps_per_epoch:
            return None
        self._show_averages()
        measured = _means(self._run.sums_in(self.epoch), self.model.tells_accuracy)
        record: Record = {"epoch": self.epoch + 1, **measured, "seconds": self._now.seconds}
        record |= {"learning_rate": self._now.rate, "epochs": self.epochs}
        if self._validation is not None:
            values = self.model.evaluate_data(self._validation, self._threads)
            record.update({f"val_{name}": value for name, value in values.items()})
        return record

    def _steps_to_next_call(self, left: int) -> int:
        """Steps until a callback wants to be called, or the epoch ends."""
        distances = [
            callback.every_steps - self.step % callback.every_steps
            for callback in self._callbacks.values()
            if callback.every_steps is not None
        ]
        return min([left, *distances])

    def _steps(self) -> None:
        """Steps up to the next that somebody wants to be told of."""
        first = self._run.steps_in(self.epoch)
        count = self._steps_to_next_call(self.steps_per_epoch - first)
        rates = self._rates(self.step, count)
        constant = bool((rates == rates[0]).all())
        self._settings["learning_rate"] = float(rates[0])
        report: Callable[[int, float, float, float], object] | None = None
        progress = self._progress
        if progress is not None:

            def report(done: int, weight: float, loss: float, correct: float) -> None:
                total = max(weight, 1e-300)
                shown = correct / total if self.model.tells_accuracy else None
                progress(done, len(self._data), loss / total, shown)

        self._settle(step_rate=float(rates[-1]))
        result = self._run.epoch(
            self._data.rows,
            self._data.targets,
            self._settings,
            shuffle=self._shuffle,
            epoch=self.epoch,
            first_step=first,
            steps=count,
            drop_last=self._drop_last,
            learning_rates=() if constant else rates.tolist(),
            sample_weight=self._data.sample_weight,
            trainable=self.model.trainable_flags(),
            progress=report,
        )
        if result.status == "diverged":
            self._raise_diverged(first, result, float(rates[0]))

    def _raise_diverged(self, first: int, report: Report, rate: float) -> None:
        # An update that overflows after the last step of an epoch belongs to that step.
        step = first + report.steps
        step += step < self.steps_per_epoch
        raise DivergedError(
            f"training diverged in epoch {self.epoch + 1} at step {step}: the loss is NaN or "
            "infinite. The model keeps the weights it had before this epoch. Lower the "
            f"learning rate (it was {rate:g}) or scale the inputs.",
            self.epoch + 1,
            step,
        )

    def _tell_of_steps(self) -> None:
        """Call those that want to know of the last step, unless they were called already."""
        step, done = self.step, self._run.steps_in(self.epoch)
        if done == 0:
            return
        sums = self._run.sums_in(self.epoch)
        for key, callback in self._callbacks.items():
            if callback.every_steps is None or step % callback.every_steps:
                continue
            before = self._now.seen.get(key, (0, 0, 0.0, 0.0, 0.0))
            if before[0] == step:
                continue
            since = StepSums(
                sums.samples - before[1],
                sums.weight - before[2],
                sums.loss - before[3],
                correct=sums.correct - before[4],
            )
            means = _means(since, self.model.tells_accuracy)
            record: Record = {"step": step, "epoch": self.epoch + 1, **means}
            record["learning_rate"] = self._now.step_rate
            stops = callback.on_step_end(self, record) is True
            seen = {**self._now.seen, key: (step, *_counted(sums))}
            self._take_note(key, callback, stops, seen=seen, told=self._now.told)

    def _show_averages(self) -> None:
        """The model gets its averages, where there are any, and the run keeps the parameters."""
        if self._averaging is None:
            return
        decay = self._averaging.epoch_decay(self.epoch)
        if decay is not None:
            self._run.average(decay)
        if self._run.has_averages:
            self._run.show_averages()


def _counted(sums: StepSums) -> tuple[int, float, float, float]:
    return sums.samples, sums.weight, sums.loss, sums.correct


def _means(sums: StepSums, with_accuracy: bool) -> dict[str, float]:
    weight = sums.weight or 1.0
    means = {"loss": sums.loss / weight}
    return means | ({"accuracy": sums.correct / weight} if with_accuracy else {})
