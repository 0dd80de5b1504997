"""The page of digits: a network that is trained on MNIST, and what it thinks of a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

import fastmlp
from fastmlp.play.course import Course
from fastmlp.play.picture import encoded, short
from fastmlp.play.program import digit_model, digit_program
from fastmlp.play.session import Session
from fastmlp.play.settings import DigitSettings

__all__ = ["Drawing", "Digits", "Images", "as_digit", "mnist"]

Array = npt.NDArray[Any]
SIDE = 28
_DRAWN = 112  # pixels of a side of a drawing
_BOX, _CENTER = 20, 14.5  # of a digit of MNIST, whose center of mass is in pixel 14
_MEASURED = 1000  # samples of each part that a frame measures
_EXAMPLES = 12
_SEARCHED = 10_000  # samples among which the examples are the nearest ones
_MOST_OF_CURVE = 256


class Drawing(BaseModel):
    """What the network is asked about: a drawing, or a test image.

    Attributes
    ----------
    pixels : list of int, optional
        Ink from 0 to 255 of an image of 112 x 112 pixels, row by row.
    test : int, optional
        Number of a test image.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    pixels: Annotated[
        list[Annotated[int, Field(ge=0, le=255)]] | None,
        Field(min_length=_DRAWN**2, max_length=_DRAWN**2),
    ] = None
    test: Annotated[int, Field(ge=0, lt=10_000)] | None = None


@dataclass(frozen=True)
class Images:
    """Images of digits, as bytes, and their labels."""

    train: tuple[Array, Array]
    test: tuple[Array, Array]


@lru_cache(maxsize=1)
def mnist(data_dir: str | None) -> Images:
    """Return MNIST, which all sessions share."""
    data = fastmlp.datasets.load("mnist", data_dir)
    assert data.x_test is not None
    assert data.y_test is not None
    return Images((data.x_train, data.y_train), (data.x_test, data.y_test))


class Digits(Session):
    """A session of the page of digits.

    Parameters
    ----------
    settings, goal
        As in `Session`.
    images : Images
        MNIST.
    """

    kind = DigitSettings
    first_speed = "fast"

    def __init__(self, settings: DigitSettings, goal: tuple[int, int], images: Images) -> None:
        self._images = images
        self._image: Array | None = None
        self._label: int | None = None
        super().__init__(settings, goal)

    def _course(self, settings: Any) -> Course:
        course = Course(digit_model(settings), self._images.train, self._images.test, settings)
        self._marks: list[tuple[float, float | None, float | None]] = []
        return course

    def look_at(self, drawing: Drawing) -> None:
        """Show the network another image, which belongs to all later frames."""
        self._image = self._label = None
        if drawing.test is not None:
            images, labels = self._images.test
            self._image, self._label = images[drawing.test], int(labels[drawing.test])
        elif drawing.pixels is not None:
            pixels = np.array(drawing.pixels, np.float64).reshape(_DRAWN, _DRAWN)
            self._image = as_digit(pixels).ravel()

    # ------------------------------------------------------------ frames

    def _frame(self) -> dict[str, Any]:
        train, test = self._measured()
        weights = self.course.model.weights[0]
        top = float(np.abs(weights).max()) or 1.0
        return {
            "loss": [short(train["loss"]), short(test["loss"])],
            "accuracy": [train["accuracy"], test["accuracy"]],
            "curve": {
                "epochs": [mark[0] for mark in self._marks],
                "train": [mark[1] for mark in self._marks],
                "test": [mark[2] for mark in self._marks],
            },
            "templates": encoded(np.rint(128 + 127 * weights.T / top), "u1"),
            "opinion": None if self._image is None else self._opinion(self._image),
        }

    def _measured(self) -> tuple[dict[str, float], dict[str, float]]:
        """Measure the network and mark its losses, at fewer places the more there are."""
        course = self.course
        train, test = (
            course.model.evaluate(x[:_MEASURED], y[:_MEASURED])
            for x, y in (self._images.train, self._images.test)
        )
        done = round(course.epoch + course.step / course.steps_per_epoch, 4)
        if not self._marks or done > self._marks[-1][0]:
            self._marks.append((done, short(train["loss"]), short(test["loss"])))
        if len(self._marks) > _MOST_OF_CURVE:
            del self._marks[1::2]
        return train, test

    def _opinion(self, image: Array) -> dict[str, Any]:
        row = image[None]
        model = self.course.model
        return {
            "image": encoded(image, "u1"),
            "label": self._label,
            "probabilities": [short(p) for p in model.predict_proba(row)[0]],
            "hidden": [
                [short(value) for value in layer[0]] for layer in model.hidden_activations(row)
            ],
        }

    def _look(self) -> dict[str, Any]:
        """Return the samples of the training that the network finds most like the image."""
        if self._image is None:
            return {"examples": None}
        model, (x, labels) = self.course.model, self._images.train
        rows = x[:_SEARCHED]
        seen = model.hidden_activations(rows)[-1]
        here = model.hidden_activations(self._image[None])[-1]
        distances = np.square(seen.astype(np.float64) - here).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:_EXAMPLES]
        return {"examples": _shown(rows[nearest], labels[nearest])}

    def _about(self) -> dict[str, Any]:
        images, labels = self._images.train
        return {
            "samples": _shown(images[: 3 * _EXAMPLES], labels[: 3 * _EXAMPLES]),
            "counts": [len(images), len(self._images.test[0])],
            "sizes": self.course.model.layer_sizes,
        }

    def _code(self) -> dict[str, Any]:
        return {"python": digit_program(self.settings, *self.course.place)}


def _shown(images: Array, labels: Array) -> dict[str, Any]:
    return {"images": encoded(images, "u1"), "labels": labels.tolist()}


def as_digit(pixels: Array) -> Array:
    """Return a drawing as MNIST has it: 28 x 28 bytes, in a box of 20, around its center of mass.

    Parameters
    ----------
    pixels : array of float64
        Ink from 0 to 255.
    """
    rows, columns = pixels.any(axis=1).nonzero()[0], pixels.any(axis=0).nonzero()[0]
    digit = np.zeros((SIDE, SIDE))
    if len(rows):
        cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = _BOX / max(cut.shape)
        height, width = (max(1, round(scale * side)) for side in cut.shape)
        small = _shares(cut.shape[0], height) @ cut @ _shares(cut.shape[1], width).T
        places = [
            int(np.clip(np.rint(_CENTER - center), 0, SIDE - side))
            for center, side in zip(_center(small), (height, width), strict=True)
        ]
        digit[places[0] : places[0] + height, places[1] : places[1] + width] = small
    return np.rint(digit).astype(np.uint8)


def _shares(pixels: int, fewer: int) -> Array:
    """Return the share of each pixel of a line in each of fewer or more, which add up to 1."""
    edges = np.linspace(0, pixels, fewer + 1)
    low, high = edges[:-1, None], edges[1:, None]
    places = np.arange(pixels)
    covered = np.clip(np.minimum(high, places + 1) - np.maximum(low, places), 0, 1)
    shares: Array = covered / covered.sum(axis=1, keepdims=True)
    return shares


def _center(image: Array) -> tuple[float, float]:
    mass = image.sum()
    down = (image.sum(axis=1) * (np.arange(image.shape[0]) + 0.5)).sum() / mass
    right = (image.sum(axis=0) * (np.arange(image.shape[1]) + 0.5)).sum() / mass
    return float(down), float(right)
