"""The loop over epochs: rates, validation, callbacks, averages, history. Steps are the core's."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastmlp.averaging import Averaging
from fastmlp.callbacks import Callback
from fastmlp.errors import DivergedError
from fastmlp.history import History, Record, epoch_line
from fastmlp.notebook import LiveTable, in_notebook
from fastmlp.optimizers import Optimizer
from fastmlp.run import Report, Run
from fastmlp.samples import Rows, row_count
from fastmlp.schedules import Schedule
from fastmlp.validation import real

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["Data", "Training"]

Array = npt.NDArray[Any]
Progress = Callable[[int, int, float, "float | None"], object]


@dataclass(frozen=True)
class Data:
    """Samples with their targets, one array per loss, and weights, as the core takes them."""

    rows: Rows
    targets: list[Array]
    sample_weight: Array | None = None

    def __len__(self) -> int:
        return row_count(self.rows)


class Training:
    """A training as callbacks see it.

    Attributes
    ----------
    model : MLP
        May be used freely: predict, evaluate, save, read and set parameters.
    epoch, epochs : int
        Epochs completed, and those planned.
    step, steps_per_epoch : int
        Steps completed, and those of one epoch.
    history : History
        What was measured so far.
    """

    def __init__(
        self,
        model: MLP,
        run: Run,
        data: Data,
        optimizer: Optimizer,
        *,
        first_epoch: int,
        epochs: int,
        shuffle: bool,
        callbacks: Sequence[Callback],
        validation: Data | None = None,
        averaging: Averaging | None = None,
        threads: int = 0,
        verbose: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if verbose and in_notebook():
            verbose = False
            if not any(isinstance(callback, LiveTable) for callback in callbacks):
                callbacks = [LiveTable(), *callbacks]
        self.model = model
        self.epoch = first_epoch
        self.epochs = first_epoch + epochs
        self.steps_per_epoch = math.ceil(len(data) / run.batch_size)
        self.step = first_epoch * self.steps_per_epoch
        self.history = History()
        self._run = run
        self._data = data
        self._optimizer = optimizer
        self._settings = optimizer.settings()
        self._shuffle = shuffle
        self._callbacks = callbacks
        self._step_callbacks = [c for c in callbacks if c.every_steps is not None]
        self._validation = validation
        self._averaging = averaging
        self._settings["average_decay"] = averaging.step_decay if averaging is not None else 0.0
        self._threads = threads
        self._verbose = verbose
        self._progress = progress
        self._override: float | None = None
        self._last_rate = 0.0
        self._stops = False

    @property
    def learning_rate(self) -> float:
        """Rate of the next step. Assigned, it holds until it is assigned again, or None is."""
        if self._override is not None:
            return self._override
        return float(self._rates(self.step, 1)[0])

    @learning_rate.setter
    def learning_rate(self, rate: float | None) -> None:
        self._override = None if rate is None else real("learning_rate", rate, 0.0)

    def _rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        if self._override is not None:
            return np.full(count, self._override)
        return self._optimizer.rates(first, count, self.steps_per_epoch, self.epochs)

    def _call(self, hook: str, *arguments: object) -> None:
        stops = [getattr(callback, hook)(self, *arguments) is True for callback in self._callbacks]
        self._stops = self._stops or any(stops)

    def fit(self) -> History:
        """Run all epochs.

        Raises
        ------
        DivergedError
            The loss became NaN or infinite.
        """
        schedule = self._optimizer.learning_rate
        if isinstance(schedule, Schedule) and self.epoch == 0:
            schedule.reset()
        self._run.hide_averages()
        self._call("on_train_begin")
        while self.epoch < self.epochs and not self._stops:
            self._call("on_epoch_begin")
            if self._stops:
                break
            record = self._fit_epoch()
            if record is None:
                break
            self.epoch += 1
            if isinstance(schedule, Schedule):
                schedule.observe(record)
            self.history.append(record)
            self.model.history.append(record)
            if self._verbose:
                print(epoch_line(record), file=sys.stderr, flush=True)
            self._call("on_epoch_end", dict(record))
            if self.epoch < self.epochs and not self._stops:
                self._run.hide_averages()
        if self._averaging is not None and self._run.has_averages:
            self._run.show_averages()
        self._call("on_train_end")
        return self.history

    def _fit_epoch(self) -> Record | None:
        """Measures of an epoch; None where a callback broke it off, so that it does not count."""
        start = time.perf_counter()
        rate = self.learning_rate
        totals = _Totals()
        done = 0
        while done < self.steps_per_epoch and not self._stops:
            count = self._steps_to_next_call(self.steps_per_epoch - done)
            report = self._steps(done, count, totals)
            totals.add(report)
            done += count
            self.step += count
            self._call_step_callbacks(totals)
        seconds = time.perf_counter() - start
        if done < self.steps_per_epoch:
            return None
        self._show_averages()
        measured = totals.means(self.model.tells_accuracy)
        record: Record = {"epoch": self.epoch + 1, **measured}
        record |= {"seconds": seconds, "learning_rate": rate, "epochs": self.epochs}
        if self._validation is not None:
            values = self.model.evaluate_data(self._validation, self._threads)
            record.update({f"val_{name}": value for name, value in values.items()})
        return record

    def _steps_to_next_call(self, left: int) -> int:
        """Steps until a callback wants to be called, or the epoch ends."""
        distances = [
            callback.every_steps - self.step % callback.every_steps
            for callback in self._step_callbacks
            if callback.every_steps is not None
        ]
        return min([left, *distances])

    def _steps(self, first: int, count: int, before: _Totals) -> Report:
        rates = self._rates(self.step, count)
        constant = bool((rates == rates[0]).all())
        self._settings["learning_rate"] = float(rates[0])
        report: Callable[[int, float, float, int], object] | None = None
        progress = self._progress
        if progress is not None:

            def report(samples: int, weight: float, loss: float, correct: int) -> None:
                done = samples + before.samples
                mean = (loss + before.loss_sum) / max(weight + before.weight_sum, 1e-300)
                accuracy = (correct + before.correct) / max(done, 1)
                shown = accuracy if self.model.tells_accuracy else None
                progress(done, len(self._data), mean, shown)

        self._last_rate = float(rates[-1])
        result = self._run.epoch(
            self._data.rows,
            self._data.targets,
            self._settings,
            shuffle=self._shuffle,
            epoch=self.epoch,
            first_step=first,
            steps=count,
            learning_rates=() if constant else rates.tolist(),
            sample_weight=self._data.sample_weight,
            trainable=self.model.trainable_flags(),
            progress=report,
        )
        if result.status == "diverged":
            self._raise_diverged(first, result, float(rates[0]))
        return result

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

    def _call_step_callbacks(self, totals: _Totals) -> None:
        for callback in self._step_callbacks:
            if callback.every_steps is None or self.step % callback.every_steps:
                continue
            means = totals.means_since(callback, self.model.tells_accuracy)
            record: Record = {"step": self.step, "epoch": self.epoch + 1, **means}
            record["learning_rate"] = self._last_rate
            self._stops = callback.on_step_end(self, record) is True or self._stops

    def _show_averages(self) -> None:
        """The model gets its averages, where there are any, and the run keeps the parameters."""
        if self._averaging is None:
            return
        decay = self._averaging.epoch_decay(self.epoch)
        if decay is not None:
            self._run.average(decay)
        if self._run.has_averages:
            self._run.show_averages()


class _Totals:
    """Sums over the steps of an epoch, and what they were when each callback was last called."""

    def __init__(self) -> None:
        self.samples = 0
        self.weight_sum = 0.0
        self.loss_sum = 0.0
        self.correct = 0
        self._seen: dict[int, tuple[int, float, float, int]] = {}

    def add(self, report: Report) -> None:
        self.samples += report.samples
        self.weight_sum += report.weight_sum
        self.loss_sum += report.loss_sum
        self.correct += report.correct

    def means(self, with_accuracy: bool) -> dict[str, float]:
        return _means(self.samples, self.weight_sum, self.loss_sum, self.correct, with_accuracy)

    def means_since(self, callback: Callback, with_accuracy: bool) -> dict[str, float]:
        now = (self.samples, self.weight_sum, self.loss_sum, self.correct)
        before = self._seen.get(id(callback), (0, 0.0, 0.0, 0))
        self._seen[id(callback)] = now
        return _means(
            now[0] - before[0],
            now[1] - before[1],
            now[2] - before[2],
            now[3] - before[3],
            with_accuracy,
        )


def _means(
    samples: int, weight: float, loss: float, correct: int, with_accuracy: bool
) -> dict[str, float]:
    means = {"loss": loss / weight if weight else 0.0}
    return means | ({"accuracy": correct / max(samples, 1)} if with_accuracy else {})
