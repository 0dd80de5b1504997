"""Pictures over time: the recorded parameters, and frames as an image program reads them."""

from __future__ import annotations

import io

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, ParameterRecorder, plot

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure  # noqa: E402
from PIL import Image, ImageSequence  # noqa: E402

X, Y = fastmlp.datasets.make("circles", 80)


def train(every=1, epochs=12, **options):
    model, recorder = MLP([2, 6, 2], seed=0), ParameterRecorder(every)
    history = model.fit(
        X, Y, epochs=epochs, batch_size=10, callbacks=[recorder], verbose=0, **options
    )
    return model, recorder, history


@pytest.fixture(scope="module")
def training():
    return train()


# ---------------------------------------------------------------- the recorder


def test_the_recorder_has_the_parameters_of_its_epochs():
    seen = [MLP([2, 6, 2], seed=0).parameters()]
    watch = fastmlp.LambdaCallback(
        on_epoch_end=lambda run, record: seen.append(run.model.parameters())
    )
    model, recorder = MLP([2, 6, 2], seed=0), ParameterRecorder(every=5)
    model.fit(X, Y, epochs=12, batch_size=10, callbacks=[watch, recorder], verbose=0)
    assert recorder.epochs == [0, 5, 10]
    for epoch, parameters in zip(recorder.epochs, recorder.parameters, strict=True):
        assert parameters.keys() == seen[epoch].keys()
        if epoch:  # the first fit may give the biases of the outputs their start
            for name, array in parameters.items():
                np.testing.assert_array_equal(array, seen[epoch][name])


def test_a_new_training_forgets_and_a_resumed_one_continues():
    model, recorder = MLP([2, 4, 2], seed=0), ParameterRecorder(2)
    model.fit(X, Y, epochs=3, callbacks=[recorder], total_epochs=6, verbose=0)
    assert recorder.epochs == [0, 2]
    other = ParameterRecorder(2)
    model.fit(X, Y, callbacks=[other], resume=True, verbose=0)
    assert other.epochs == [0, 2, 4, 6]
    np.testing.assert_array_equal(
        other.parameters[1]["layers.0.weights"], recorder.parameters[1]["layers.0.weights"]
    )
    model.fit(X, Y, epochs=2, callbacks=[other], verbose=0)
    assert other.epochs == [0, 2]


@pytest.mark.parametrize(("every", "error"), [(0, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_the_recorder_refuses(every, error):
    with pytest.raises(error, match="every must be"):
        ParameterRecorder(every)


# ---------------------------------------------------------------- panels


def test_panels_show_the_network_of_their_epoch(training):
    model, recorder, _ = training
    before = model.parameters()
    row = plot.decision_regions_over_time(model, X, Y, recorder, resolution=25)
    assert row == row[0].figure.axes
    epochs = [int(ax.get_title().removeprefix("epoch ")) for ax in row]
    assert (epochs[0], epochs[-1], len(epochs)) == (0, 12, 4)
    assert epochs == sorted(set(epochs))
    assert epochs[1] - epochs[0] < epochs[-1] - epochs[-2]
    other = MLP([2, 6, 2])
    shown = []
    for ax, epoch in zip(row, epochs, strict=True):
        other.set_parameters(recorder.parameters[epoch])
        other._standardization = model.standardization
        expected = plot.decision_regions(other, X, Y, resolution=25).images[0].get_array()
        np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        shown.append(np.asarray(expected).tobytes())
        assert ax.get_xlim() == row[0].get_xlim()
    assert len(set(shown)) > 1
    assert [ax.get_legend() is None for ax in row] == [True, True, True, False]
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])


def test_epochs_and_names_can_be_chosen(training):
    model, recorder, _ = training
    row = plot.decision_regions_over_time(
        model, X, Y, recorder, epochs=[1, 2], class_names=["in", "out"], title="Circles",
        resolution=10,
    )  # fmt: skip
    assert [ax.get_title() for ax in row] == ["epoch 1", "epoch 2"]
    legend = row[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["in", "out"]
    assert row[0].figure.get_suptitle() == "Circles"
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, recorder.parameters[-1][name])
    few = plot.decision_regions_over_time(model, X, Y, recorder, panels=40, resolution=5)
    assert len(few) <= 13


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model must be a fastmlp.MLP, got int"),
        ({"recorder": []}, TypeError, "recorder must be a fastmlp.ParameterRecorder, got list"),
        ({"recorder": ParameterRecorder()}, ValueError, "recorder must have records.*callbacks="),
        ({"epochs": [1, 99]}, ValueError, "epochs must be among the 13 recorded ones, 0 to 12,"),
        ({"epochs": []}, ValueError, "0 to 12, got none"),
        ({"epochs": 5}, TypeError, "epochs must be a sequence of epochs such as .*, got 5 .int."),
        ({"epochs": [1, True]}, TypeError, r"epochs\[1\] must be an integer, got True"),
        ({"panels": 1}, ValueError, "panels must be >= 2"),
        ({"model": MLP([2, 3, 2])}, ValueError, "layers.0.weights must have shape"),
        ({"x": [[1, 2, 3]]}, ValueError, r"x must have shape \(samples, 2\)"),
    ],
)  # fmt: skip
def test_panels_refuse(training, change, error, message):
    model, recorder, _ = training
    arguments = {"model": model, "x": X, "y": Y, "recorder": recorder, **change}
    with pytest.raises(error, match=message):
        plot.decision_regions_over_time(**arguments)


# ---------------------------------------------------------------- frames


def test_frames_show_the_loss_until_their_epoch():
    model, recorder, history = train(every=4, validation_data=(X, Y))
    figures = list(plot.training_frames(model, X, Y, recorder, history, resolution=10))
    assert [figure.axes[0].get_title() for figure in figures] == [
        "epoch 0", "epoch 4", "epoch 8", "epoch 12",
    ]  # fmt: skip
    row = plot.decision_regions_over_time(
        model, X, Y, recorder, epochs=recorder.epochs, resolution=10
    )
    for figure, ax, epoch in zip(figures, row, recorder.epochs, strict=True):
        regions = [one.images[0].get_array() for one in (figure.axes[0], ax)]
        np.testing.assert_array_equal(*regions)
        loss = figure.axes[1].lines[0]
        assert np.isfinite(loss.get_ydata()).sum() == epoch
        np.testing.assert_array_equal(loss.get_ydata()[:epoch], history.loss[:epoch])
        np.testing.assert_array_equal(
            figure.axes[1].lines[1].get_ydata()[:epoch], history.val_loss[:epoch]
        )
        for one, first in zip(figure.axes, figures[0].axes, strict=True):
            assert one.get_xlim() + one.get_ylim() == first.get_xlim() + first.get_ylim()
    low, high = figures[0].axes[1].get_ylim()
    assert low <= min(history.loss + history.val_loss)
    assert high >= max(history.loss + history.val_loss)


def test_frames_need_the_whole_history(training):
    model, recorder, history = training
    short = fastmlp.History(loss=history.loss[:5])
    with pytest.raises(ValueError, match="history must have the 12 epochs .* got 5; .*model.hist"):
        plot.training_frames(model, X, Y, recorder, short)
    with pytest.raises(TypeError, match="history must be the History that fit returns, got list"):
        plot.training_frames(model, X, Y, recorder, [1])


# ---------------------------------------------------------------- animations


def picture(number):
    ax = Figure(figsize=(1.5, 1)).add_subplot()
    ax.plot([0, number])
    ax.set_ylim(0, 5)
    return ax


def decoded(data):
    image = Image.open(io.BytesIO(data))
    frames, times = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(np.asarray(frame.convert("RGB"), int))
        times.append(frame.info.get("duration"))
    return image, frames, times


@pytest.mark.parametrize("kind", ["webp", "gif", "png"])
def test_animations_have_every_picture(kind):
    data = plot.animation(map(picture, range(1, 5)), seconds=0.2, format=kind, dpi=60)
    image, frames, times = decoded(data)
    assert image.format.lower() == kind
    assert image.info.get("loop") == 0
    assert [frame.shape for frame in frames] == [(60, 90, 3)] * 4
    for number, frame in enumerate(frames, start=1):
        alone = io.BytesIO()
        picture(number).figure.savefig(alone, format="png", dpi=60)
        expected = np.asarray(Image.open(alone).convert("RGB"), int)
        assert np.abs(frame - expected).mean() < (3 if kind == "gif" else 1)
    assert times == [200, 200, 200, 1200]


@pytest.mark.parametrize("kind", ["webp", "gif", "png"])
def test_animations_have_the_longest_pictures(kind):
    data = plot.animation([picture(1), picture(2)], seconds=60, format=kind, dpi=60)
    assert decoded(data)[2] == [60_000, 61_000]


def test_animations_of_axes_of_this_package_and_of_one_picture():
    assert plot.animation([plot.activation_functions("relu")], dpi=20)[8:12] == b"WEBP"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pictures": []}, ValueError, "pictures must have at least one picture, got none"),
        ({"pictures": [3]}, TypeError, "picture must be matplotlib Axes or a Figure, got int"),
        (
            {"pictures": [picture(1), Figure(figsize=(2, 2))]},
            ValueError,
            "pictures must have equal sizes, .* of picture 2",
        ),
        ({"pictures": 3}, TypeError, "pictures must be an iterable of pictures .* got int"),
        ({"seconds": 0}, ValueError, "seconds must be > 0, got 0"),
        ({"seconds": 700, "format": "gif"}, ValueError, "seconds must be <= 60, got 700"),
        (
            {"pictures": [picture(1)] * 12 + [picture(2)], "seconds": 60, "format": "gif"},
            ValueError,
            'pictures must not be equal for longer than a gif .* got 13 of 60 .*; .*format="webp"',
        ),
        ({"format": "mp4"}, ValueError, "format must be one of webp, gif, png, got 'mp4'"),
        ({"dpi": 0.5}, TypeError, "dpi must be an integer"),
    ],
)
def test_animations_refuse(arguments, error, message):
    with pytest.raises(error, match=message):
        plot.animation(**{"pictures": [picture(1)], **arguments})
