"""A training that goes on step by step, with the bits of one that was never cut."""

from __future__ import annotations

import hashlib
import math
import time
from array import array
from typing import Any

import numpy.typing as npt

import fastmlp
from fastmlp.play.program import optimizer_of, phase_at, steps_per_epoch, stop_at
from fastmlp.play.settings import MOST_EPOCHS, TrainSettings

__all__ = ["Course", "Place"]

Array = npt.NDArray[Any]
Place = tuple[int, int]
"""Completed epochs, and completed steps of the next one."""


class Course:
    """A training at one of its steps.

    It may be cut at any step and its phases may change at any epoch: the parameters are those of
    the calls of `fit` that `program.stretches` names.

    Parameters
    ----------
    model : MLP
        Network before its training.
    train, test : pair of arrays
        Inputs and targets.
    settings : TrainSettings

    Attributes
    ----------
    settings : TrainSettings
        May be replaced by others that differ in later phases alone.
    epoch, step : int
        Completed epochs, and completed steps of the next one.
    losses, test_losses : array of float
        Measures of each completed epoch: the mean over its steps, and of the test part after it.
    initial : dict of str to array
        Parameters before the training.
    problem : str
        Why the training cannot go on; empty if it can.
    """

    def __init__(
        self,
        model: fastmlp.MLP,
        train: tuple[Array, Array],
        test: tuple[Array, Array],
        settings: TrainSettings,
    ) -> None:
        self.model = model
        self.initial = model.parameters()
        self.settings = settings
        self.train = train
        self.test = test
        self.epoch = 0
        self.step = 0
        self.losses = array("d")
        self.test_losses = array("d")
        self.problem = ""
        self._seconds_per_step = math.inf

    @property
    def place(self) -> Place:
        """Where the training is."""
        return self.epoch, self.step

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of the epoch that goes on."""
        return steps_per_epoch(self.settings, self.epoch)

    def after_steps(self, count: int) -> Place:
        """Return the place after so many steps, no further than the end of the epoch."""
        step = self.step + count
        return (self.epoch + 1, 0) if step >= self.steps_per_epoch else (self.epoch, step)

    def advance(self, goal: Place, seconds: float) -> None:
        """Train up to a place, or about as far as the time allows, but at least one step.

        Parameters
        ----------
        goal : (int, int)
        seconds : float
        """
        end = time.perf_counter() + seconds
        while self.place < goal and not self.problem:
            if self.epoch >= MOST_EPOCHS:
                self.problem = f"The training ends at {MOST_EPOCHS:,} epochs."
                return
            self._fit_towards(goal, end - time.perf_counter())
            if time.perf_counter() >= end:
                return

    def _fit_towards(self, goal: Place, seconds: float) -> None:
        """Call `fit` once: for whole epochs of one phase, or up to a step within the next one."""
        per_epoch, phase = self.steps_per_epoch, phase_at(self.settings, self.epoch)
        allowed = max(1, int(seconds / self._seconds_per_step))
        left = per_epoch - self.step
        wanted = goal[1] - self.step if goal[0] == self.epoch else left
        epochs, step = 1, 0
        if min(allowed, wanted) < left:
            step = self.step + min(allowed, wanted)
        else:
            later = [other.start for other in self.settings.phases if other.start > self.epoch]
            most = min([goal[0], MOST_EPOCHS, *later]) - self.epoch
            epochs = min(most, 1 + (allowed - left) // per_epoch)
        start = time.perf_counter()
        try:
            self.model.fit(
                *self.train,
                epochs=epochs,
                batch_size=phase.batch_size,
                optimizer=optimizer_of(self.settings, phase),
                validation_data=self.test,
                resume=self.place != (0, 0),
                callbacks=[stop_at(self.epoch * per_epoch + step)] if step else [],
                diagnose=False,
                verbose=0,
            )
        except fastmlp.DivergedError as error:
            # The parameters are those of the end of the last epoch that was completed.
            self.problem, step = str(error), 0
        before = self.epoch * per_epoch + self.step
        history = self.model.history
        self.losses.extend(history.loss[self.epoch :])
        self.test_losses.extend(history["val_loss"][self.epoch :] if history.loss else ())
        self.epoch, self.step = len(self.losses), step
        done = self.epoch * per_epoch + self.step - before
        self._seconds_per_step = (time.perf_counter() - start) / max(1, done)

    def digest(self) -> str:
        """Return the SHA-256 of all parameters, in their order."""
        arrays = self.model.parameters().values()
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
