"""Settings of the playground and of the page of digits: immutable, and checked where they enter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from fastmlp.activations import ACTIVATIONS
from fastmlp.errors import did_you_mean
from fastmlp.initializers import INITIALIZERS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.play.recipes import FEATURES, RECIPES

__all__ = [
    "CLASS_LOSSES",
    "MOST_EPOCHS",
    "VALUE_LOSSES",
    "DigitSettings",
    "Phase",
    "Point",
    "Settings",
    "TrainSettings",
    "checked",
]

MOST_EPOCHS = 100_000
CLASS_LOSSES = ("softmax_cross_entropy", "hinge", "mse")
VALUE_LOSSES = ("mse", "half_mse", "mae", "huber")
_WITH_MOMENTUM = ("sgd", "rmsprop")
_FEWEST_POINTS = 4
_LEAST = 1e-10  # of rates and penalties, far from where float32 ends


def _one_of(known: Mapping[str, object]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(
                f"must be one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
            )
        return name

    return AfterValidator(check)


Name = Annotated[str, StringConstraints(max_length=40)]
Seed = Annotated[int, Field(ge=0, le=999_999)]
Model = TypeVar("Model", bound=BaseModel)


def _require_zero_or_least(value: float) -> float:
    if 0 < value < _LEAST:
        raise ValueError(f"must be 0 or at least {_LEAST:g}, got {value:g}")
    return value


Momentum = Annotated[float, Field(ge=0, le=0.9999)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Phase(_Frozen):
    """Settings that may change while a training goes on, from the start of an epoch.

    Attributes
    ----------
    start : int
        Epochs that are completed before.
    learning_rate, l2 : float
    batch_size : int
    """

    start: Annotated[int, Field(ge=0, le=MOST_EPOCHS)] = 0
    learning_rate: Annotated[float, Field(ge=_LEAST, le=100)] = 0.03
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 10
    l2: Annotated[float, Field(ge=0, le=100), AfterValidator(_require_zero_or_least)] = 0.0


class Point(_Frozen):
    """A point that was drawn."""

    x1: Annotated[float, Field(ge=-6, le=6)]
    x2: Annotated[float, Field(ge=-6, le=6)]
    label: Annotated[int, Field(ge=0, le=2)]


class TrainSettings(_Frozen):
    """What the settings of both pages have alike: the network and its training."""

    hidden: tuple[int, ...]
    activation: Annotated[Name, _one_of(ACTIVATIONS)] = "tanh"
    optimizer: Annotated[Name, _one_of(OPTIMIZERS)] = "sgd"
    momentum: Momentum = 0.0
    dropout: Annotated[float, Field(ge=0, le=0.9), AfterValidator(_require_zero_or_least)] = 0.0
    batch_normalization: bool = False
    initializer: Annotated[Name, _one_of(INITIALIZERS)] | None = None
    seed: Seed = 0
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _check_training(self) -> TrainSettings:
        starts = [phase.start for phase in self.phases]
        if starts[0] != 0 or any(b <= a for a, b in zip(starts, starts[1:], strict=False)):
            raise ValueError(f"phases: must start at growing epochs, the first at 0, got {starts}")
        if self.momentum and self.optimizer not in _WITH_MOMENTUM:
            raise ValueError(f"momentum: must be 0 for {self.optimizer}, got {self.momentum}")
        return self

    @property
    def trained(self) -> int:
        """Number of samples of the training part."""
        raise NotImplementedError

    @property
    def lack(self) -> str:
        """What is missing for a training; empty if nothing is."""
        return ""

    def _sizes_without_moments(self) -> list[int]:
        """Return the batch sizes that leave a batch of one sample to batch normalization."""
        if not self.batch_normalization:
            return []
        sizes = [phase.batch_size for phase in self.phases]
        return [size for size in sizes if self.trained // math.ceil(self.trained / size) < 2]

    def _require_moments(self) -> None:
        """Refuse batches of one sample, which batch normalization cannot normalize."""
        if sizes := self._sizes_without_moments():
            raise ValueError(
                f"batch_size: must leave no batch of one sample with batch_normalization, got "
                f"{sizes[0]} for {self.trained} samples"
            )

    def begun_anew(self: Settled) -> Settled:
        """Return these settings without earlier phases: the last one counts from the start."""
        last = self.phases[-1].model_copy(update={"start": 0})
        return self.model_copy(update={"phases": (last,)})

    def tuned(self: Settled, start: int, changes: Mapping[str, Any]) -> Settled:
        """Return these settings with others from the start of an epoch on.

        Parameters
        ----------
        start : int
            Epochs that are completed before; phases that start then or later are replaced.
        changes : mapping of str to object
            Settings of a `Phase`.
        """
        last = checked(Phase, self.phases[-1].model_dump() | dict(changes) | {"start": start})
        kept = [phase.model_dump() for phase in self.phases if phase.start < start]
        values = self.model_dump() | {"phases": (*kept, last.model_dump())}
        return checked(type(self), values)


Settled = TypeVar("Settled", bound=TrainSettings)


class Settings(TrainSettings):
    """All settings of the playground.

    Attributes
    ----------
    data : str
        Name of a recipe.
    drawn : tuple of Point
        Points of the data set "drawn".
    samples : int
        Number of points; those of "drawn" are counted.
    noise : float
        Standard deviation of the noise, in units of the plane.
    data_seed : int
        Seed of the points, or of the order of those that were drawn.
    share : int
        Percentage of the points that are trained; the others are the test part.
    features : tuple of str
        Inputs of the network.
    loss : str
    """

    data: Annotated[Name, _one_of(RECIPES)] = "circles"
    drawn: Annotated[tuple[Point, ...], Field(max_length=500)] = ()
    samples: Annotated[int, Field(ge=20, le=1000)] = 300
    noise: Annotated[float, Field(ge=0, le=3)] = 0.3
    data_seed: Seed = 0
    share: Annotated[int, Field(ge=10, le=90)] = 70
    features: Annotated[
        tuple[Annotated[Name, _one_of(FEATURES)], ...], Field(min_length=1, max_length=7)
    ] = ("x1", "x2")
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=12)], ...], Field(max_length=6)] = (6, 4)
    loss: Name = "softmax_cross_entropy"
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=100)] = (Phase(),)

    @model_validator(mode="after")
    def _check_data(self) -> Settings:
        if len(set(self.features)) < len(self.features):
            raise ValueError(f"features: must be different, got {', '.join(self.features)}")
        known = CLASS_LOSSES if self.is_classification else VALUE_LOSSES
        if self.loss not in known:
            raise ValueError(
                f"loss: must be one of {', '.join(known)} for the data set {self.data!r}, got "
                f"{self.loss!r}"
            )
        if not self.lack:
            self._require_moments()
        return self

    @property
    def is_classification(self) -> bool:
        """Whether the points have classes."""
        return RECIPES[self.data].classes is not None

    @property
    def classes(self) -> int:
        """Number of classes; 0 for values."""
        if self.data == "drawn":
            return max([2, *(1 + point.label for point in self.drawn)])
        return RECIPES[self.data].classes or 0

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.drawn) if self.data == "drawn" else self.samples

    @property
    def lack(self) -> str:
        """What is missing for a training: points, of those that are drawn."""
        if self._has_too_few_points:
            return f"Draw {_FEWEST_POINTS} points or more: the training waits for them."
        if self.data == "drawn" and self._sizes_without_moments():
            return (
                "Draw more points, or choose a larger share of training or other batches: batch "
                "normalization needs two samples in each batch."
            )
        return ""

    @property
    def _has_too_few_points(self) -> bool:
        return self.data == "drawn" and len(self.drawn) < _FEWEST_POINTS

    @property
    def trained(self) -> int:
        """Number of points that are trained; at least one is left for the test.

        Too few points for a training count as those of the training.
        """
        if self._has_too_few_points:
            return self.count
        return min(max(1, self.count * self.share // 100), self.count - 1)


class DigitSettings(TrainSettings):
    """All settings of the page of digits."""

    hidden: Annotated[
        tuple[Annotated[int, Field(ge=2, le=128)], ...], Field(min_length=1, max_length=3)
    ] = (32,)
    activation: Annotated[Name, _one_of(ACTIVATIONS)] = "relu"
    momentum: Momentum = 0.9
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=100)] = (
        Phase(learning_rate=0.05, batch_size=100),
    )

    @model_validator(mode="after")
    def _check_batches(self) -> DigitSettings:
        self._require_moments()
        return self

    @property
    def trained(self) -> int:
        """Number of samples of the training part of MNIST."""
        return 60_000


def checked(kind: type[Model], values: object) -> Model:
    """Return settings, or raise an error whose message is one line about the first wrong one.

    Parameters
    ----------
    kind : type
    values : bytes, or mapping of str to object
        JSON, or values.

    Raises
    ------
    ValueError
        A setting is unknown, of the wrong type or out of range.
    """
    try:
        if isinstance(values, bytes):
            return kind.model_validate_json(values)
        return kind.model_validate(values)
    except ValidationError as error:
        raise ValueError(_message(kind, error)) from None


def _message(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(kind.model_fields)
        return f"{place}: is not known{did_you_mean(place, known)}; known: {', '.join(known)}"
    text = first["msg"].removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    if first["type"] == "value_error" and not place:
        return text  # of a check of several settings, which names them itself
    return f"{place or 'body'}: {text}"
