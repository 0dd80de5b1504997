"""What the playground draws of a training: pictures of all units, losses, gradients, findings.

Pictures are bytes, one for each point of a grid over the plane, row by row from the top; a byte of
its own says that an output is no finite number, as those of a training that is about to diverge.
Numbers of weights are little-endian float32. Both are text in base64, which a browser decodes fast.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.diagnosis import Evidence, diagnose
from fastmlp.diagnosis.units import dead_units, saturated_units
from fastmlp.play.course import Course
from fastmlp.play.program import Samples, optimizer_of, phase_at
from fastmlp.play.recipes import PLANE, features_of
from fastmlp.play.settings import Settings

__all__ = ["REGION", "UNIT", "curve", "encoded", "findings", "frame", "input_pictures", "short"]

Array = npt.NDArray[Any]
UNIT, REGION = 50, 100
"""Points of a row of the picture of a unit, and of the regions."""
_MOST_OF_CURVE = 256
_MOST_POINTS = 1_000  # on which units are examined
_STRENGTHS = 63
_NO_VALUE, _NO_CLASS = 0, 255


def frame(course: Course, settings: Settings, samples: Samples) -> dict[str, Any]:
    """Return all that changes while a network is trained, as JSON."""
    model = course.model
    units, top = _unit_pictures(model.hidden_activations(_inputs(settings.features, UNIT)))
    return {
        "curve": curve(course),
        "weights": encoded(_flat(model.weights), "<f4"),
        "biases": encoded(_flat(model.biases), "<f4"),
        "units": encoded(units, "u1"),
        "largest": top,
        "region": encoded(_region(course, settings), "u1"),
        **(_no_measures(course) if settings.lack else _measures(course, samples)),
    }


def _no_measures(course: Course) -> dict[str, Any]:
    """Return what depends on the points while there are too few."""
    model = course.model
    return {
        "loss": None,
        "accuracy": [],
        "gradients": encoded(np.zeros_like(_flat(model.weights)), "<f4"),
        "bias_gradients": encoded(np.zeros_like(_flat(model.biases)), "<f4"),
        "dead": [],
        "saturated": [],
    }


def _measures(course: Course, samples: Samples) -> dict[str, Any]:
    """Return what depends on the points."""
    model, (x, y) = course.model, samples.train
    _, weights, biases = model.loss_and_gradients(x, y)
    dead, saturated = _idle(course, x[:_MOST_POINTS])
    train, test = model.evaluate(x, y), model.evaluate(*samples.test)
    return {
        "loss": [short(train["loss"]), short(test["loss"])],
        "accuracy": _accuracies(course, samples),
        "gradients": encoded(_flat(weights), "<f4"),
        "bias_gradients": encoded(_flat(biases), "<f4"),
        "dead": dead,
        "saturated": saturated,
    }


def _accuracies(course: Course, samples: Samples) -> list[float]:
    """Return the shares of right classes in both parts; empty for values."""
    if samples.labels.ndim == 2:
        return []
    parts = slice(None, samples.trained), slice(samples.trained, None)
    right = [
        _winners(course.model.forward(samples.x[part])) == samples.labels[part] for part in parts
    ]
    return [float(np.mean(each)) for each in right]


def _winners(outputs: Array) -> Array:
    winners: Array = outputs.argmax(axis=1)
    return winners


def curve(course: Course) -> dict[str, Any]:
    """Return the losses of some epochs, of which the places stay where they are."""
    count = len(course.losses)
    stride = 1
    while count > stride * _MOST_OF_CURVE:
        stride *= 2
    places = [*range(stride - 1, count, stride)]
    if count and (not places or places[-1] != count - 1):
        places.append(count - 1)
    return {
        "epochs": [place + 1 for place in places],
        "train": [short(course.losses[place]) for place in places],
        "test": [short(course.test_losses[place]) for place in places],
    }


def short(value: float) -> float | None:
    """Return a number with five digits; None if it is not finite."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def findings(course: Course) -> list[dict[str, str]]:
    """Return what fastmlp's diagnosis says about a training so far, problems first."""
    if not course.epoch:
        return []
    model = course.model
    phase = phase_at(course.settings, course.epoch - 1)
    evidence = Evidence(
        model,
        {"loss": course.losses, "val_loss": course.test_losses},
        model._training_data(*course.train, None, None),
        phase.batch_size,
        rate=optimizer_of(course.settings, phase).learning_rate,  # type: ignore[arg-type]
        validation=model._training_data(*course.test, None, None),
        initial=course.initial,
    )
    found = [
        each for each in diagnose(evidence) if each.level != "hint" and each.code != "few-epochs"
    ]
    return [
        {"code": each.code, "level": each.level, "message": each.message, "cure": each.cure}
        for each in found
    ]


# ---------------------------------------------------------------- pictures


@lru_cache(maxsize=64)
def _inputs(features: tuple[str, ...], size: int) -> Array:
    """Return the inputs at the points of a grid, from the top left."""
    step = 2 * PLANE / size
    along = np.linspace(-PLANE + step / 2, PLANE - step / 2, size)
    x1, x2 = np.meshgrid(along, along[::-1])
    return features_of(features, np.column_stack([x1.ravel(), x2.ravel()]))


def input_pictures(features: tuple[str, ...]) -> str:
    """Return the pictures of the inputs."""
    return encoded(_unit_pictures([_inputs(features, UNIT)])[0], "u1")


def _unit_pictures(layers: Sequence[Array]) -> tuple[Array, list[float | None]]:
    """Return a picture of each unit, and the largest magnitude of each layer."""
    pictures: list[Array] = [np.empty(0)]
    tops: list[float | None] = []
    for outputs in layers:
        top = float(np.abs(outputs).max())
        tops.append(short(top))
        pictures.append(_values(outputs.T, top).ravel())
    return np.concatenate(pictures), tops


def _values(outputs: Array, top: float) -> Array:
    """Return bytes of values: 128 for 0, 1 and 255 for the ends of the range up to `top`."""
    if not 0 < top < np.inf:
        top = 1.0
    finite = np.isfinite(outputs)
    shares = np.clip(np.where(finite, outputs, 0) / top, -1, 1)
    return np.where(finite, np.rint(128 + 127 * shares), _NO_VALUE)


def _region(course: Course, settings: Settings) -> Array:
    """Return the picture of the output: values, or 64 times the class plus how clear it is."""
    outputs = course.model.forward(_inputs(settings.features, REGION)).astype(np.float64)
    if not settings.is_classification:
        return _values(outputs[:, 0], 1.0)
    finite = np.all(np.isfinite(outputs), axis=1)
    outputs = np.where(finite[:, None], outputs, 0)
    if settings.loss == "softmax_cross_entropy":
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    ordered = np.sort(outputs, axis=1)
    lead = np.clip(ordered[:, -1] - ordered[:, -2], 0, 1)
    return np.where(finite, 64 * _winners(outputs) + np.rint(_STRENGTHS * lead), _NO_CLASS)


def _idle(course: Course, x: Array) -> tuple[list[int], list[int]]:
    """Return the numbers of dead and of saturated hidden units, counted over all layers."""
    activations = course.model.architecture.activations
    layers = course.model.hidden_activations(x)
    masks = [
        np.concatenate([np.empty(0, bool), *map(judge, activations, layers)])
        for judge in (dead_units, saturated_units)
    ]
    return masks[0].nonzero()[0].tolist(), masks[1].nonzero()[0].tolist()


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays])


def encoded(values: Array, dtype: str) -> str:
    """Return numbers of a type as base64."""
    return base64.b64encode(values.astype(dtype).tobytes()).decode()
