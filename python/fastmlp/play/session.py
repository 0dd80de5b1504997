"""A session: the network of one tab, its training, and what the tab asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from fastmlp.play.course import Course, Place
from fastmlp.play.picture import findings, frame, input_pictures
from fastmlp.play.program import command, model_of, program, samples_of, table
from fastmlp.play.settings import MOST_EPOCHS, Settings, TrainSettings

__all__ = ["Order", "Playground", "Session", "Tuning"]

_FRAMES_PER_LOOK = 15  # of the diagnosis, while the training goes on


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Order(_Body):
    """What a session shall do.

    Attributes
    ----------
    order : str
        "play" and "pause"; "step" and "epoch", which end after a batch or with the epoch; "reset".
    speed : str, optional
        How far a frame of "play" goes: a step, an epoch, ten epochs, or as far as time allows.
    """

    order: Literal["play", "pause", "step", "epoch", "reset", "speed"]
    speed: Literal["step", "epoch", "ten", "fast"] | None = None


class Tuning(_Body):
    """Settings that change while the training goes on; those that are absent stay."""

    learning_rate: float | None = None
    batch_size: int | None = None
    l2: float | None = None


class Session(ABC):
    """A network in training, with the settings from which it began.

    One thread at a time may call it.

    Parameters
    ----------
    settings : TrainSettings
    goal : (int, int)
        Place up to which it trains at first, as a tab that is opened by an address wants it. A step
        that the epoch does not have stands for its end.

    Attributes
    ----------
    version : int
        Number that grows when `start` changes.
    is_playing : bool
    """

    kind: ClassVar[type[TrainSettings]]
    first_speed: ClassVar[str] = "epoch"

    def __init__(self, settings: TrainSettings, goal: Place = (0, 0)) -> None:
        self.version = 0
        self.speed = self.first_speed
        self.is_playing = False
        self.goal: Place | None = None
        self._frames = 0
        self._begin(settings)
        if goal > (0, 0):
            if goal[0] > MOST_EPOCHS:
                raise ValueError(f"epoch: must be at most {MOST_EPOCHS:,}, got {goal[0]}")
            self.goal = goal

    @property
    def is_active(self) -> bool:
        """Whether the next frame will differ from the last one without an order."""
        return (self.is_playing or self.goal is not None) and not self.course.problem

    @property
    def settings(self) -> Any:
        """The settings, with all phases so far."""
        return self.course.settings

    # ------------------------------------------------------------ orders

    def obey(self, order: Order) -> None:
        """Do what a tab asked for."""
        if order.speed is not None:
            self.speed = order.speed
        if order.order == "play":
            self.is_playing = True  # once the goal of the address is reached
        elif order.order == "pause":
            self.rest()
        elif order.order == "step":
            self.is_playing, self.goal = False, self.course.after_steps(1)
        elif order.order == "epoch":
            self.is_playing, self.goal = False, (self.course.epoch + 1, 0)
        elif order.order == "reset":
            self.begin_anew(self.settings.begun_anew())

    def rest(self) -> None:
        """Train no further."""
        self.is_playing, self.goal = False, None

    def begin_anew(self, settings: TrainSettings) -> None:
        """Begin with the initial network of some settings."""
        self._begin(settings)
        self.rest()

    def tune(self, tuning: Tuning) -> None:
        """Change settings of the training from the next epoch that begins."""
        changes = tuning.model_dump(exclude_none=True)
        course = self.course
        start = course.epoch + (1 if course.step else 0)
        course.tune(course.settings.tuned(start, changes))
        self.version += 1

    # ------------------------------------------------------------ frames

    def tick(self, seconds: float) -> dict[str, Any]:
        """Train as far as one frame goes, which has so many seconds, and return the frame."""
        course = self.course
        if self.goal is not None:
            course.advance(self.goal, seconds)
            if course.place >= self.goal:
                self.goal = None
        elif self.is_playing:
            course.advance(self._next_place(), seconds)
        if course.problem:
            self.rest()
        self._frames += 1
        looks = not self.is_active or self._frames % _FRAMES_PER_LOOK == 0
        return self.state() | self._frame() | (self._look() if looks else {})

    def _next_place(self) -> Place:
        epoch = self.course.epoch
        if self.speed == "step":
            return self.course.after_steps(1)
        return {"epoch": epoch + 1, "ten": epoch + 10, "fast": MOST_EPOCHS + 1}[self.speed], 0

    def state(self) -> dict[str, Any]:
        """Return where the training is."""
        course = self.course
        return {
            "version": self.version,
            "epoch": course.epoch,
            "step": course.step,
            "steps": course.steps_per_epoch,
            "playing": self.is_playing,
            "busy": self.goal is not None,
            "goal": self.goal,
            "speed": self.speed,
            "problem": course.problem,
        }

    def start(self) -> dict[str, Any]:
        """Return what stays the same in all frames of a version."""
        settings = self.settings.model_dump()
        return {"version": self.version, "settings": settings} | self._about()

    def code(self) -> dict[str, Any]:
        """Return what does the same without the page, and the digest that it ends with."""
        return self.state() | {"digest": self.course.digest()} | self._code()

    # ------------------------------------------------------------ what subclasses define

    def _begin(self, settings: TrainSettings) -> None:
        self.course = self._course(settings)
        self.version += 1

    @abstractmethod
    def _course(self, settings: Any) -> Course:
        """Return a new training."""

    @abstractmethod
    def _frame(self) -> dict[str, Any]:
        """Return the pictures and measures of a frame."""

    @abstractmethod
    def _about(self) -> dict[str, Any]:
        """Return what belongs to `start`."""

    @abstractmethod
    def _code(self) -> dict[str, Any]:
        """Return what belongs to `code`."""

    def _look(self) -> dict[str, Any]:
        """Return what is worth a look now and then."""
        return {}


class Playground(Session):
    """A session of the plane."""

    kind = Settings

    def _course(self, settings: Any) -> Course:
        samples = samples_of(settings)
        course = Course(model_of(settings), samples.train, samples.test, settings)
        self.samples = samples
        return course

    def _frame(self) -> dict[str, Any]:
        return frame(self.course, self.settings, self.samples)

    def _about(self) -> dict[str, Any]:
        samples = self.samples
        return {
            "points": samples.points.round(3).tolist(),
            "labels": samples.labels.ravel().round(4).tolist(),
            "trained": samples.trained,
            "classes": self.settings.classes,
            "inputs": input_pictures(self.settings.features),
            "sizes": self.course.model.layer_sizes,
        }

    def _look(self) -> dict[str, Any]:
        return {"findings": findings(self.course)}

    def _code(self) -> dict[str, Any]:
        if self.settings.lack:
            return {"python": "", "command": "", "reason": self.settings.lack}
        losses = [*self.course.losses, *self.course.test_losses]
        line, reason = command(self.settings, self.samples, *self.course.place, losses)
        text = program(self.settings, *self.course.place)
        return {"python": text, "command": line, "reason": reason}

    def table(self, *, trained: bool) -> str:
        """Return one part of the samples as CSV."""
        return table(self.settings, self.samples, trained=trained)
