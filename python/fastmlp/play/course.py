"""A training that goes on step by step, with the bits of one that was never cut."""

from __future__ import annotations

import copy
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
        self.problem = settings.lack
        self._seconds_per_step = math.inf
        self._untrained = copy.deepcopy(model)
        self._kept = self.initial, model.training_state()  # at the last start of an epoch
        self._known = 0  # epochs in the history of the model, whose losses are taken

    def tune(self, settings: TrainSettings) -> None:
        """Take settings that differ in later phases alone, with which the training can go on."""
        self.settings = settings
        self.problem = settings.lack

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
        per_epoch = self.steps_per_epoch
        allowed = max(1, int(seconds / self._seconds_per_step))
        left = per_epoch - self.step
        wanted = goal[1] - self.step if goal[0] == self.epoch else left
        epochs, step = 1, 0
        if min(allowed, wanted) < left:
            step = self.step + min(allowed, wanted)
        else:
            later = [other.start for other in self.settings.phases if other.start > self.epoch]
            most = max(1, min([goal[0], MOST_EPOCHS, *later]) - self.epoch)
            epochs = min(most, 1 + (allowed - left) // per_epoch)
        if not self.step:
            self._kept = self.model.parameters(), self.model.training_state()
        start, before = time.perf_counter(), self.epoch * per_epoch + self.step
        try:
            self._fit(epochs, step)
        except (fastmlp.DivergedError, ValueError) as error:
            self.problem = f"{error} Then press Play, or Reset to begin anew."
            self._return_to_kept(epochs=len(self.model.history.loss) - self._known)
        done = self.epoch * per_epoch + self.step - before
        self._seconds_per_step = (time.perf_counter() - start) / max(1, done)

    def _fit(self, epochs: int, step: int = 0) -> None:
        """Call `fit` for epochs, or up to a step within the next one, and take its measures."""
        phase = phase_at(self.settings, self.epoch)
        end = self.epoch * self.steps_per_epoch + step
        self.model.fit(
            *self.train,
            epochs=epochs,
            batch_size=phase.batch_size,
            optimizer=optimizer_of(self.settings, phase),
            validation_data=self.test,
            resume=self.place != (0, 0),
            callbacks=[stop_at(end)] if step else [],
            diagnose=False,
            verbose=0,
        )
        history = self.model.history
        losses = history.loss
        self.losses.extend(losses[self._known :])
        self.test_losses.extend(history["val_loss"][self._known :] if losses else ())
        self._known = len(losses)
        self.epoch, self.step = len(self.losses), step

    def _return_to_kept(self, epochs: int) -> None:
        """Return to the last start of an epoch, and train so many epochs again.

        A training that diverged cannot be resumed: its optimizer went further than its parameters.
        """
        parameters, state = self._kept
        self.model = copy.deepcopy(self._untrained)
        self._known = 0
        if state:
            self.model.set_parameters(parameters)
            self.model.restore_training_state(state)
        self.step = 0
        if epochs:
            self._fit(epochs)

    def digest(self) -> str:
        """Return the SHA-256 of all parameters, in their order."""
        arrays = self.model.parameters().values()
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
