"""What a frame holds is what the network computes."""

from __future__ import annotations

import base64
import json
import random

import numpy as np
import pytest

from fastmlp.play.course import Course
from fastmlp.play.picture import REGION, UNIT, curve, findings, frame, input_pictures
from fastmlp.play.program import model_of, samples_of
from fastmlp.play.recipes import FEATURES, features_of
from fastmlp.play.settings import Phase, Settings, checked
from support.playground import random_settings

pytestmark = pytest.mark.filterwarnings("error")


def trained(settings, epoch=3):
    samples = samples_of(settings)
    course = Course(model_of(settings), samples.train, samples.test, settings)
    course.advance((epoch, 0), 60)
    return course, samples


def some_settings(seed):
    rng = random.Random(seed)
    while True:
        try:
            return Settings.model_validate(random_settings(rng), strict=False)
        except ValueError:
            continue


def values(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def place_of(side, row, column):
    """The point of the plane under a pixel: the first row is the top, where x2 is largest."""
    step = 12 / side
    return -6 + (column + 0.5) * step, 6 - (row + 0.5) * step


@pytest.mark.parametrize("seed", range(15), indirect=True)
def test_a_frame_is_what_the_network_computes(seed):
    settings = some_settings(seed)
    course, samples = trained(settings)
    model, shown = course.model, frame(course, settings, samples)
    _, gradients, bias_gradients = model.loss_and_gradients(*samples.train)
    for name, arrays in {
        "weights": model.weights,
        "biases": model.biases,
        "gradients": gradients,
        "bias_gradients": bias_gradients,
    }.items():
        flat = np.concatenate([array.ravel() for array in arrays])
        np.testing.assert_array_equal(values(shown[name], "<f4"), flat, err_msg=name)
    loss = model.evaluate(*samples.train)["loss"]
    assert shown["loss"][0] is None or abs(shown["loss"][0] - loss) <= 1e-4 * abs(loss)
    for part, share in zip((samples.train, samples.test), shown["accuracy"], strict=False):
        labels = part[1].argmax(axis=1) if part[1].ndim == 2 else part[1]
        assert share == np.mean(model.forward(part[0]).argmax(axis=1) == labels)


@pytest.mark.parametrize("seed", range(15), indirect=True)
def test_pixels_are_units_at_places_of_the_plane(seed):
    settings = some_settings(seed)
    course, samples = trained(settings)
    shown = frame(course, settings, samples)
    units = values(shown["units"], "u1").reshape(-1, UNIT, UNIT)
    regions = values(shown["region"], "u1").reshape(REGION, REGION)
    assert len(units) == sum(settings.hidden)
    rng = random.Random(seed)
    for _ in range(20):
        row, column = rng.randrange(UNIT), rng.randrange(UNIT)
        point = np.array([place_of(UNIT, row, column)])
        hidden = course.model.hidden_activations(features_of(settings.features, point))
        number = 0
        for layer, top in zip(hidden, shown["largest"], strict=True):
            for value in layer[0]:
                expected = 128 + 127 * value / top if top else 128
                assert abs(int(units[number, row, column]) - expected) <= 0.6
                number += 1
        row, column = rng.randrange(REGION), rng.randrange(REGION)
        point = np.array([place_of(REGION, row, column)])
        output = course.model.forward(features_of(settings.features, point))[0]
        pixel = int(regions[row, column])
        if settings.is_classification:
            assert pixel // 64 == output.argmax() or pixel % 64 <= 1
        else:
            assert abs(pixel - (128 + 127 * np.clip(output[0], -1, 1))) <= 0.6


@pytest.mark.parametrize("seed", range(15), indirect=True)
def test_steps_up_to_a_divergence_have_pictures(seed):
    """Also where an output is no finite number, which has a color of its own."""
    settings = some_settings(seed)
    phase = Phase(learning_rate=100, batch_size=2 * settings.phases[0].batch_size)
    settings = settings.model_copy(update={"phases": (phase,)})
    samples = samples_of(settings)
    course = Course(model_of(settings), samples.train, samples.test, settings)
    grid = np.array([place_of(REGION, row, 0) for row in range(REGION)])
    grid = features_of(settings.features, grid)
    for _ in range(12):
        course.advance(course.after_steps(1), 60)
        shown = frame(course, settings, samples)
        regions = values(shown["region"], "u1").reshape(REGION, REGION)
        finite = np.isfinite(course.model.forward(grid)).all(axis=1)
        no_number = regions == (255 if settings.is_classification else 0)
        np.testing.assert_array_equal(no_number[:, 0], ~finite)
        json.dumps(shown, allow_nan=False)


def test_pictures_of_inputs():
    pictures = values(input_pictures(tuple(FEATURES)), "u1").reshape(-1, UNIT, UNIT)
    names = list(FEATURES)
    x1, x2, product = (pictures[names.index(name)] for name in ("x1", "x2", "product"))
    assert x1[0, 0] < 10 < 245 < x1[0, -1]
    assert x2[-1, 0] < 10 < 245 < x2[0, 0]
    assert product[0, -1] > 245
    assert product[0, 0] < 10


def test_the_curve_keeps_its_places_and_its_end():
    course, _ = trained(Settings(samples=20, hidden=()), epoch=1000)
    seen: list[int] = []
    for count in range(1, 1001, 7):
        part = Course(course.model, course.train, course.test, course.settings)
        part.losses, part.test_losses = course.losses[:count], course.test_losses[:count]
        shown = curve(part)
        assert len(shown["epochs"]) <= 257
        assert shown["epochs"][-1] == count
        inner = shown["epochs"][:-1]
        assert set(inner) <= set(seen) | set(range(max(seen, default=0), count))
        seen = shown["epochs"]
    history = course.model.history
    for epoch, train, test in zip(shown["epochs"], shown["train"], shown["test"], strict=True):
        assert train == pytest.approx(history.loss[epoch - 1], rel=1e-4)
        assert test == pytest.approx(history["val_loss"][epoch - 1], rel=1e-4)


def test_findings_are_those_of_the_diagnosis():
    wrong = {"data": "hills", "loss": "mse", "activation": "relu", "hidden": (8, 8)}
    settings = checked(Settings, wrong)
    course, samples = trained(settings, 200)
    assert findings(Course(course.model, course.train, course.test, settings)) == []
    found = {each["code"]: each for each in findings(course)}
    assert "leaky_relu" in found["dead-units"]["cure"]
    dead = frame(course, settings, samples)["dead"]
    outputs = course.model.hidden_activations(samples.train[0])
    silent = np.concatenate([~layer.any(axis=0) for layer in outputs])
    assert dead == silent.nonzero()[0].tolist()
    assert f"{silent[8:].sum()} of 8 units" in found["dead-units"]["message"]
