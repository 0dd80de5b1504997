"""Pictures of a training over its epochs: side by side, and as an animation."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp import extras
from fastmlp.callbacks import ParameterRecorder
from fastmlp.history import History
from fastmlp.model import MLP
from fastmlp.plot.curves import learning_curves
from fastmlp.plot.networks import require_network
from fastmlp.plot.output import figure_of
from fastmlp.plot.regions import decision_regions
from fastmlp.plot.style import INK, STYLE, new_figure, styled_subplot, take_from_pyplot
from fastmlp.validation import choice, integer, real, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["animation", "decision_regions_over_time", "training_frames"]

_PANEL, _BESIDE = 2.6, 1.0  # inches of a panel, and of the legend beside the last one
_SMALLER = 0.7  # markers in a panel
_FRAME = (9.0, 4.0)
_LAST = 1000  # milliseconds that the last picture stays longer
_LONGEST = 60.0  # seconds of a picture; a PNG has 16 bits for its milliseconds
# Options of Pillow, by the name of the format.
_OPTIONS: dict[str, dict[str, Any]] = {
    "webp": {"lossless": True, "method": 1, "quality": 40},  # half the size in twice the time
    "gif": {},
    "png": {},
}


def decision_regions_over_time(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    recorder: ParameterRecorder,
    *,
    epochs: Sequence[int] | None = None,
    panels: int = 4,
    title: str | None = None,
    **options: Any,
) -> list[Axes]:
    """Draw the decision regions of a network at several epochs of its training, side by side.

    Parameters
    ----------
    model, x, y, **options
        As of `decision_regions`: ``preprocessing``, ``class_names`` and ``resolution``.
    recorder : ParameterRecorder
        Callback of the training of `model`.
    epochs : sequence of int, optional
        Epochs to draw, which were recorded. By default `panels` of them: the first and the last
        one, and others between, closer to each other at the beginning, where most happens.
    panels : int
        Number of panels at most, >= 2.
    title : str, optional
        Title of the figure; by default it has none.

    Returns
    -------
    list of Axes
        Axes of a new figure in a row, each with its epoch as title; 0 is before the training.

    Raises
    ------
    TypeError, ValueError
        The recorder has no records, or not those of the epochs, or arguments do not fit.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp import plot
    >>> x, y = fastmlp.datasets.make("circles", 100)
    >>> model, recorder = fastmlp.MLP([2, 8, 2], seed=0), fastmlp.ParameterRecorder()
    >>> history = model.fit(x, y, epochs=30, callbacks=[recorder], verbose=0)
    >>> row = plot.decision_regions_over_time(model, x, y, recorder, resolution=40)
    >>> [ax.get_title() for ax in row]
    ['epoch 0', 'epoch 3', 'epoch 13', 'epoch 30']
    """
    recorded = _recorded_epochs(recorder)
    panels = integer("panels", panels, 2)
    chosen = _spread(recorded, panels) if epochs is None else _checked_epochs(epochs)
    unknown = [epoch for epoch in chosen if epoch not in recorded]
    if unknown or not chosen:
        raise ValueError(
            f"epochs must be among the {len(recorded)} recorded ones, {recorded[0]} to "
            f"{recorded[-1]}, got {unknown[0] if unknown else 'none'}"
        )
    networks = _networks(model, recorder)
    size = _PANEL * len(chosen) + _BESIDE, _PANEL + 0.3 + 0.3 * bool(title)
    figure = new_figure(size, layout="constrained")
    for place, epoch in enumerate(chosen, start=1):
        ax = styled_subplot(figure, 1, len(chosen), place, grid=False)
        network = networks(recorded.index(epoch))
        decision_regions(network, x, y, title=f"epoch {epoch}", ax=ax, **options)
        for line in ax.lines:
            line.set_markersize(_SMALLER * line.get_markersize())
        legend = ax.get_legend()
        if legend is not None and place < len(chosen):
            legend.remove()
        ax.label_outer()
    if title:
        figure.suptitle(title, size=STYLE["axes.titlesize"], color=INK)
    return list(figure.axes)


def training_frames(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    recorder: ParameterRecorder,
    history: History,
    **options: Any,
) -> Iterator[Figure]:
    """Yield a figure for each recorded epoch: the decision regions, and the loss until then.

    Parameters
    ----------
    model, x, y, **options
        As of `decision_regions`: ``preprocessing``, ``class_names`` and ``resolution``.
    recorder : ParameterRecorder
        Callback of the training of `model`.
    history : History
        Losses of the training, which `MLP.fit` returned.

    Yields
    ------
    Figure
        Figure of two axes, whose limits are the same for all epochs.

    Raises
    ------
    TypeError, ValueError
        The recorder has no records, or arguments do not fit.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp import plot
    >>> x, y = fastmlp.datasets.make("circles", 100)
    >>> model, recorder = fastmlp.MLP([2, 8, 2], seed=0), fastmlp.ParameterRecorder(every=10)
    >>> history = model.fit(x, y, epochs=30, callbacks=[recorder], verbose=0)
    >>> frames = plot.training_frames(model, x, y, recorder, history, resolution=40)
    >>> data = plot.animation(frames, seconds=0.5)
    >>> data[8:12]
    b'WEBP'
    """
    epochs = _recorded_epochs(recorder)
    if not isinstance(history, History):
        raise TypeError(
            f"history must be the History that fit returns, got {type(history).__name__}; "
            "model.history is one"
        )
    if len(history.loss) < epochs[-1]:
        raise ValueError(
            f"history must have the {epochs[-1]} epochs that were recorded, got "
            f"{len(history.loss)}; of a resumed training, model.history has all"
        )
    return _frames(_networks(model, recorder), x, y, epochs, history, options)


def _frames(
    networks: Callable[[int], MLP],
    x: ArrayLike,
    y: ArrayLike,
    epochs: Sequence[int],
    history: History,
    options: Mapping[str, Any],
) -> Iterator[Figure]:
    losses = np.array([*history.loss, *history.val_loss])
    low, high = (f(losses, initial=0.0, where=np.isfinite(losses)) for f in (np.min, np.max))
    for index, epoch in enumerate(epochs):
        figure = new_figure(_FRAME, layout="constrained", shown=False)
        left, right = (styled_subplot(figure, 1, 2, i + 1, grid=i == 1) for i in range(2))
        decision_regions(networks(index), x, y, title=f"epoch {epoch}", ax=left, **options)
        until = History(loss=_until(history.loss, epoch), val_loss=_until(history.val_loss, epoch))
        learning_curves(until, title="Loss", ax=right)
        right.set(xlim=(0, epochs[-1] + 1), ylim=(low, low + 1.05 * (high - low)))
        legend = right.get_legend()
        if legend is not None:
            legend.set_loc("upper right")
        yield figure


def _until(values: Sequence[float], epoch: int) -> list[float]:
    """Return values with NaN behind an epoch, so that each frame has the same axes."""
    return [value if index < epoch else math.nan for index, value in enumerate(values)]


def _recorded_epochs(recorder: object) -> list[int]:
    if not isinstance(recorder, ParameterRecorder):
        raise TypeError(
            f"recorder must be a fastmlp.ParameterRecorder, got {type(recorder).__name__}"
        )
    if not recorder.epochs:
        raise ValueError(
            "recorder must have records, got none; give fit(callbacks=[recorder]) first"
        )
    return recorder.epochs


def _checked_epochs(epochs: object) -> list[int]:
    if isinstance(epochs, (str, bytes)) or not isinstance(epochs, Iterable):
        raise TypeError(
            f"epochs must be a sequence of epochs such as [0, 10], got {shown(epochs)} "
            f"({type(epochs).__name__})"
        )
    return [integer(f"epochs[{i}]", epoch, 0) for i, epoch in enumerate(epochs)]


def _spread(epochs: Sequence[int], count: int) -> list[int]:
    """Return so many epochs at most, the first and the last one among them."""
    shares = np.linspace(0, 1, count) ** 2
    places = np.rint(shares * (len(epochs) - 1)).astype(int)
    return [epochs[place] for place in dict.fromkeys(places.tolist())]


def _networks(model: MLP, recorder: ParameterRecorder) -> Callable[[int], MLP]:
    """Return a function that gives a copy of a model the parameters of a record."""
    require_network(model)
    copied = deepcopy(model)

    def at(index: int) -> MLP:
        copied.set_parameters(recorder.parameters[index])
        return copied

    return at


def animation(
    pictures: Iterable[Axes | Figure],
    *,
    seconds: float = 0.1,
    format: str = "webp",
    dpi: int = 100,
) -> bytes:
    """Return pictures as one animated image, which browsers and notebooks show.

    Parameters
    ----------
    pictures : iterable of Axes or Figure
        Pictures of equal size, such as those of `training_frames`. The last one stays for a second
        longer before the animation begins again.
    seconds : float
        Time of each picture, > 0 and at most 60.
    format : {"webp", "gif", "png"}
        Format of the image; "webp" is the smallest one and has all colors.
    dpi : int
        Pixels per inch.

    Returns
    -------
    bytes
        Content of a file; in a notebook ``IPython.display.Image(data=...)`` shows it.

    Raises
    ------
    TypeError, ValueError
        There are no pictures, they differ in size, or an argument is of the wrong kind.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from fastmlp import plot
    >>> names = ("sigmoid", "tanh", "relu")
    >>> data = plot.animation((plot.activation_functions(name) for name in names), seconds=1)
    >>> data[:4], data[8:12]
    (b'RIFF', b'WEBP')
    """
    seconds = real("seconds", seconds, 0.0, _LONGEST)
    if seconds == 0:
        raise ValueError("seconds must be > 0, got 0")
    format = choice("format", format, _OPTIONS)
    dpi = integer("dpi", dpi, 10)
    if isinstance(pictures, (str, bytes)) or not isinstance(pictures, Iterable):
        raise TypeError(
            f"pictures must be an iterable of pictures such as [ax], got {type(pictures).__name__}"
        )
    image = extras.require("plot", "PIL.Image")
    frames = []
    for picture in pictures:
        figure = figure_of(picture)
        take_from_pyplot(figure)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=dpi)
        frames.append(image.open(content).convert("RGB"))
        if frames[-1].size != frames[0].size:
            raise ValueError(
                f"pictures must have equal sizes, got {frames[0].size} and {frames[-1].size} "
                f"pixels, of picture {len(frames)}"
            )
    if not frames:
        raise ValueError("pictures must have at least one picture, got none")
    times = [round(1000 * seconds)] * len(frames)
    times[-1] += _LAST
    whole = io.BytesIO()
    try:
        frames[0].save(
            whole, format, save_all=True, append_images=frames[1:], duration=times, loop=0,
            **_OPTIONS[format],
        )  # fmt: skip
    except (OverflowError, struct.error):  # equal pictures in a row become one
        raise ValueError(
            f"pictures must not be equal for longer than a {format} can tell, got {len(frames)} "
            f'of {seconds:g} seconds; take fewer of them or format="webp"'
        ) from None
    return whole.getvalue()
