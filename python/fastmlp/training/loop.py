"""The loop over epochs: rates, validation, averages, callbacks. The core computes the steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.averaging import Averaging
from fastmlp.callbacks import Callback
from fastmlp.errors import DivergedError
from fastmlp.history import History, Record, epoch_line
from fastmlp.metrics import is_greater_better
from fastmlp.metrics.chosen import ChosenMetrics
from fastmlp.network import Network
from fastmlp.network.chunks import Chunks
from fastmlp.network.samples import Data
from fastmlp.notebook import LiveTable, in_notebook
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Continuation, Progress
from fastmlp.training.dispatch import Dispatch
from fastmlp.training.processes import Group, digest
from fastmlp.training.run import Run, StepSums
from fastmlp.training.shares import Share
from fastmlp.training.states import checked_state, kind_of
from fastmlp.training.stream import UNKNOWN, Reading, Stream

__all__ = ["Policy", "ProgressFunction", "TrainingLoop"]

Array = npt.NDArray[Any]
ProgressFunction = Callable[[int, int, float, "float | None"], object]


class Policy:
    """Decisions on how epochs are ordered, measured, reported and ended. `MLP.fit` uses this class.

    Parameters
    ----------
    model : Network
        Model in training.
    validation : Data or Chunks, optional
        Samples measured after each epoch.
    threads : int
        Number of threads of the validation; 0 for the default.
    verbose : bool
        Whether to print lines about epochs to standard error.
    print_every : int
        Number of epochs for each line.
    metrics : ChosenMetrics
        Further measures of the validation samples.

    Attributes
    ----------
    with_penalty : bool
        Whether steps measure the penalty, which `totals` may use.
    step_limit : int or None
        Maximum number of steps between two calls of `totals`; None for no limit.
    has_accuracy : bool
        Whether records contain an accuracy.
    has_ended : bool
        Whether the training has ended.
    """

    with_penalty = False
    step_limit: int | None = None
    has_ended = False

    def __init__(
        self,
        model: Network,
        *,
        validation: Data | Chunks | None = None,
        threads: int = 0,
        verbose: bool = False,
        print_every: int = 1,
        metrics: ChosenMetrics = ChosenMetrics(),  # noqa: B008 - it is immutable
    ) -> None:
        self.has_accuracy = model._has_accuracy
        self._model = model
        self._validation = validation
        # Those of the argument, and from `require_measured` on those that are watched, too.
        self._metrics = metrics
        self._threads = threads
        self._verbose = verbose
        self._print_every = print_every

    def require_measured(self, watchers: Iterable[object]) -> None:
        """Raise ValueError if a callback or schedule needs a value that will not be measured."""
        wanted = [name for watcher in watchers for name in getattr(watcher, "watches", ())]
        metrics = [name for name in wanted if self._is_metric_of_validation(name)]
        # What the loop measures itself.
        own = ("loss", "accuracy") if self.has_accuracy else ("loss",)
        if self._validation is not None:
            for name in own:
                if name in self._metrics.functions:
                    raise ValueError(
                        f"metrics must not have the name {name!r}, which is that of another "
                        f'measure of every epoch; pass ("another_name", function)'
                    )
            chosen = self._metrics.with_names(name.removeprefix("val_") for name in metrics)
            names = tuple(name for name in chosen.names if name not in own)
            self._metrics = ChosenMetrics(names, chosen.functions)
            if self._metrics and isinstance(self._validation, Chunks):
                raise ValueError(
                    "metrics need all validation samples at once, got a source; pass "
                    "validation_data=(x, y)"
                )
            self._model._require_metrics(self._metrics)
            return
        if self._metrics:
            raise ValueError(
                "metrics are measured after each epoch on validation samples, got none; pass "
                "validation_data=(x, y)"
            )
        for name in wanted:
            if name in ("val_loss", "val_accuracy") or name in metrics:
                accuracy = "accuracy, " if self.has_accuracy else ""
                raise ValueError(
                    f"monitor must be one of epoch, epochs, loss, {accuracy}seconds, "
                    f"learning_rate, got {name!r}; val_ needs validation_data"
                )

    def _is_metric_of_validation(self, name: str) -> bool:
        known = is_greater_better(name.removeprefix("val_")) is not None
        return name.startswith("val_") and known

    def order(self) -> npt.NDArray[np.int64] | None:
        """Return the order of the samples in the running epoch; None for the core's own order."""
        return None

    def totals(self, run: Run, epoch: int) -> StepSums:
        """Return the sums over the completed steps of an epoch, in the units of the records.

        The loop may call it more than once after the same step.
        """
        return run.sums_in(epoch)

    def mean_loss(self, sums: StepSums) -> float:
        """Return the mean loss of the samples of these sums."""
        return sums.loss / (sums.weight or 1.0)

    def completed(self, record: Record) -> Record:
        """Return the record of an epoch with the measures of the validation added."""
        if self._validation is None:
            return record
        values = self._model._evaluate_data(self._validation, self._threads)
        if self._metrics and isinstance(self._validation, Data):
            values |= self._model._measure(self._metrics, self._validation, self._threads)
        return record | {f"val_{name}": value for name, value in values.items()}

    def observe(self, record: Record, now: Progress) -> dict[str, Any]:
        """Process the record of an epoch, and return the changes of the progress.

        It is called again for the same epoch if an exception occurs before the progress changes.
        """
        return now.with_measures(record)

    def announce(self, record: Record, *, stops: bool = False) -> None:
        """Print the record of an epoch if it is one to print.

        It is called again with `stops` if a callback ended the training with this epoch.
        """
        is_last = record["epoch"] == record["epochs"]
        is_shown = is_last or record["epoch"] % self._print_every == 0
        if self._verbose and is_shown != stops:
            print(epoch_line(record), file=sys.stderr, flush=True)

    def diverged(self, epoch: int, step: int, rate: float) -> DivergedError:
        """Return the error of a training that diverged; epoch and step count from 1."""
        return DivergedError(
            f"training diverged in epoch {epoch} at step {step}: the loss is NaN or infinite. "
            "The model keeps the weights it had before this epoch. Lower the learning rate (it "
            f"was {rate:g}) or scale the inputs.",
            epoch,
            step,
        )


class TrainingLoop(Dispatch):
    """The loop that trains a network for a number of epochs.

    Parameters
    ----------
    model : Network
        Network to train.
    run : Run
        Run of the core with this model.
    data : Data or Stream
        Samples, targets and weights, or what reads them.
    optimizer : Optimizer
        Settings and learning rates.
    continuation : Continuation
        State of the training, whose run is `run`.
    callbacks : sequence of Callback
        Callbacks in the order of their calls.
    resumes : bool
        Whether callbacks and schedule continue from the states in the continuation.
    epochs : int
        Number of epochs to train after those of the continuation.
    begin : callable
        Function called without arguments before the model changes.
    policy : Policy, optional
        Policy of the training; by default a `Policy` with `validation`, `threads`, `verbose`,
        `print_every` and `metrics`.
    averaging : Averaging, optional
        Averages of the parameters that validation, callbacks and the trained model use.
    progress : callable, optional
        Function called during an epoch with the samples completed, the samples of an epoch, the
        mean loss and the accuracy or None.
    uncounted : int
        Number of completed epochs of the continuation that callbacks do not count.
    dropout_schedule : Schedule, optional
        Factor of the rates of dropout for every step.
    group : Group, optional
        Processes that train the network together. The first measures, prints and decides.
    share : Share, optional
        `data` as the samples of the shards of this process alone.
    """

    def __init__(
        self,
        model: Network,
        run: Run,
        data: Data | Stream,
        optimizer: Optimizer,
        *,
        continuation: Continuation,
        callbacks: Sequence[Callback],
        resumes: bool,
        epochs: int,
        begin: Callable[[], object] = lambda: None,
        policy: Policy | None = None,
        validation: Data | Chunks | None = None,
        averaging: Averaging | None = None,
        threads: int = 0,
        verbose: bool = False,
        print_every: int = 1,
        metrics: ChosenMetrics = ChosenMetrics(),  # noqa: B008 - it is immutable
        progress: ProgressFunction | None = None,
        uncounted: int = 0,
        dropout_schedule: Schedule | None = None,
        group: Group | None = None,
        share: Share | None = None,
    ) -> None:
        if verbose and in_notebook():
            verbose = False
            if not any(isinstance(callback, LiveTable) for callback in callbacks):
                callbacks = [LiveTable(), *callbacks]
        super().__init__(model, callbacks, continuation, uncounted=uncounted, group=group)
        if policy is None:
            policy = Policy(
                model,
                validation=validation,
                threads=threads,
                verbose=verbose,
                print_every=print_every,
                metrics=metrics,
            )
        self._policy = policy
        self._last_epoch = continuation.progress.epoch + epochs
        self._begin = begin
        self._resumes = resumes
        self._run = run
        self._data = data
        self._share = share
        self._optimizer = optimizer
        self._settings = optimizer.settings()
        self._averaging = averaging
        self._settings["average_decay"] = averaging.step_decay if averaging is not None else 0.0
        self._progress = progress
        self._dropout_schedule = dropout_schedule
        self._array_rates = optimizer.array_rates(model._shapes)

    def fit(self) -> History:
        """Train all epochs and return the history.

        Raises
        ------
        DivergedError
            The loss became NaN or infinite.
        """
        self.begin()
        self.run()
        self.end()
        return self.history

    def begin(self) -> None:
        """Restore or reset callbacks and schedule; call `on_train_begin` and then `begin`."""
        schedule = self._optimizer.learning_rate
        self._policy.require_measured((*self._callbacks.values(), schedule))
        self._restore(schedule, resumes=self._resumes)
        self._call("on_train_begin")
        if not isinstance(schedule, float):
            self._next_rate()  # raises its errors before the last training is discarded
        self._begin()
        if self._now.kept is not None:
            self.model._put_parameters(self._now.kept)
            self._settle(kept=None)
        if isinstance(schedule, Schedule):
            self._settle(**_schedule_state(schedule))

    def run(self) -> bool:
        """Train; return False if a callback or the policy ended the training early."""
        self._call_missed()
        while self._now.epoch < self._last_epoch and not self._has_ended:
            self._run.hide_averages()
            self._call_remaining("on_epoch_begin")
            if self._stops:
                break
            record = self._fit_epoch()
            if record is None:
                break
            self._end_epoch(record)
        completed = not self._has_ended
        if self._averaging is not None and self._run.has_averages:
            self._run.show_averages()
        if self._now.stops:
            self._settle(stops=False)
        return completed

    def end(self) -> None:
        """Call `on_train_end`."""
        self._call("on_train_end")

    @property
    def _has_ended(self) -> bool:
        return self._stops or self._policy.has_ended

    def _steps_done(self) -> int:
        return self._run.steps_in(self._now.epoch)

    def _next_rate(self) -> float:
        return float(self._rates(self._times(self._steps_done(), 1))[0])

    def _rates(self, times: tuple[int, int, int, int]) -> npt.NDArray[np.float64]:
        """Return the learning rates of the steps of `_times`."""
        if self._override is not None:
            return np.full(times[1], self._override)
        return self._optimizer.rates(*times)

    def _times(self, first: int, count: int) -> tuple[int, int, int, int]:
        """Return the arguments of a schedule for `count` steps from step `first` of the epoch."""
        before = self._now.epoch * self.steps_per_epoch
        return before + first, count, self.steps_per_epoch, self.epochs

    def _dropout_factors(self, times: tuple[int, int, int, int]) -> list[float]:
        if self._dropout_schedule is None:
            return []
        return [float(f) for f in self._dropout_schedule.rates(*times)]

    def _call_missed(self) -> None:
        """Call the callbacks that were not called because of an exception in the last fit."""
        now = self._now
        if now.record is not None:
            self._call_epoch_end(now.record)
        elif now.told:
            self._run.hide_averages()
            if done := self._steps_done():
                self._call_step_end(done)
            else:
                self._call_remaining("on_epoch_begin")

    def _end_epoch(self, record: Record) -> None:
        """Add an epoch to the progress in one assignment, and call `on_epoch_end`."""
        changes = self._policy.observe(record, self._now)
        schedule = self._optimizer.learning_rate
        if isinstance(schedule, Schedule):
            schedule.observe(record)
            changes |= _schedule_state(schedule)
        self._continuation.settle(self._now.with_epoch(record, **changes))
        self._policy.announce(record)
        self._call_epoch_end(record)
        if self._stops:
            self._policy.announce(record, stops=True)

    def _fit_epoch(self) -> Record | None:
        """Train an epoch and return its record; None if a callback ended the training within it."""
        places: Mapping[str, Any] = {"order": self._policy.order()}
        if self._share is not None:
            places = self._share.places(self._planned, self._now.epoch)
        done = self._steps_done()
        self._call_step_end(done)
        with self._reading(done) as reading:
            while done < self.steps_per_epoch and not self._stops:
                start = time.perf_counter()
                try:
                    self._steps(done, places, reading)
                finally:
                    self._settle(seconds=self._now.seconds + time.perf_counter() - start)
                done = self._steps_done()
                self._call_step_end(done)
        if done < self.steps_per_epoch:
            return None
        self._show_averages()
        now = self._now
        measured = self._means(self._policy.totals(self._run, now.epoch))
        record: Record = {"epoch": self.epoch + 1, **measured, "seconds": now.seconds}
        record |= {"learning_rate": now.rate, "epochs": self.epochs}
        if self._group is None:
            return self._policy.completed(record)
        parameters = self.model.parameters().values()
        self._group.require_equal("the parameters", digest(*parameters))
        is_first = self._group.is_first
        return self._group.of_first(lambda: self._policy.completed(record) if is_first else record)

    def _reading(self, done: int) -> Reading | nullcontext[None]:
        """Begin to read the rest of the epoch, if the samples are not in memory."""
        if not isinstance(self._data, Stream) or done == self.steps_per_epoch:
            return nullcontext()
        return self._data.read(self._planned, self._now.epoch, done)

    def _steps_read(self, first: int, reading: Reading) -> int:
        """Wait for samples, and return how many steps from `first` on have them."""
        steps = reading.steps_from(first)
        if reading.planned != self._planned:
            self._planned = reading.planned
            self.steps_per_epoch = self._planned.steps_per_epoch
            self._settle(planned=self._planned)
        return steps

    def _steps_to_next_call(self, left: int) -> int:
        """Return the number of steps until the next call of a callback or of the policy."""
        distances = [
            callback.every_steps - self.step % callback.every_steps
            for callback in self._callbacks.values()
            if callback.every_steps is not None
        ]
        return min([left, self._policy.step_limit or left, *distances])

    def _steps(self, first: int, places: Mapping[str, Any], reading: Reading | None) -> None:
        """Train up to the next call of a callback or of the policy, or as far as is read."""
        left = self.steps_per_epoch - first
        if reading is not None:
            left = self._steps_read(first, reading)
            if left == 0:
                return
        count = self._steps_to_next_call(left)
        data: Any = self._data if reading is None else reading.data(first + count)
        times = self._times(first, count)
        rates = self._rates(times)
        constant = count == 1 or bool((rates == rates[0]).all())
        report: Callable[[int, float, float, float], object] | None = None
        progress = self._progress
        samples = self._planned.samples
        if progress is not None:

            def report(done: int, weight: float, loss: float, correct: float) -> None:
                total = max(weight, 1e-300)
                shown = correct / total if self._policy.has_accuracy else None
                progress(done, done if samples == UNKNOWN else samples, loss / total, shown)

        now, first_rate, last_rate = self._now, float(rates[0]), float(rates[-1])
        if now.rate is None or now.step_rate != last_rate:
            rate = first_rate if now.rate is None else now.rate
            self._settle(rate=rate, step_rate=last_rate)
        self._settings["learning_rate"] = first_rate
        result = self._run.epoch(
            data,
            self._settings,
            **places,
            shuffle=self._planned.shuffle and reading is None,
            epoch=now.epoch,
            first_step=first,
            steps=count,
            drop_last=self._planned.drop_last,
            learning_rates=() if constant else rates.tolist(),
            decays=self._optimizer.decays(*times),
            dropout_factors=self._dropout_factors(times),
            rates=self._array_rates,
            trainable=self.model._trainable_flags(),
            with_penalty=self._policy.with_penalty,
            progress=report,
        )
        if result.status == "diverged":
            # An update that overflows after the last step of an epoch belongs to that step.
            step = min(first + result.steps + 1, self.steps_per_epoch)
            raise self._policy.diverged(self.epoch + 1, step, first_rate)
        if reading is not None:
            reading.release(first + count)

    def _call_step_end(self, done: int) -> None:
        """Call `on_step_end` of each callback that is due and was not called after this step."""
        if done == 0 or not (self._callbacks or self._policy.step_limit):
            return
        step, sums = self.step, self._policy.totals(self._run, self._now.epoch)
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
            record: Record = {"step": step, "epoch": self.epoch + 1, **self._means(since)}
            record["learning_rate"] = self._now.step_rate
            stops = self._asked(callback, "on_step_end", record)
            counted = (step, sums.samples, sums.weight, sums.loss, sums.correct)
            seen = {**self._now.seen, key: counted}
            self._record_call(key, callback, stops, seen=seen, told=self._now.told)

    def _means(self, sums: StepSums) -> dict[str, float]:
        means = {"loss": self._policy.mean_loss(sums)}
        if self._policy.has_accuracy:
            means["accuracy"] = sums.correct / (sums.weight or 1.0)
        return means

    def _show_averages(self) -> None:
        """Update the averages and put them into the model; the run keeps the parameters."""
        if self._averaging is None:
            return
        decay = self._averaging.epoch_decay(self._now.epoch)
        if decay is not None:
            self._run.average(decay)
        if self._run.has_averages:
            self._run.show_averages()


def _schedule_state(schedule: Schedule) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the change of the progress that contains the state of a schedule."""
    return {"schedule": (kind_of(schedule), checked_state(schedule, schedule.state()))}
