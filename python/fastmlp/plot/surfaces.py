"""Losses over two parameters, and the ways of optimizers down to their minima."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.callbacks import ParameterRecorder
from fastmlp.errors import DivergedError
from fastmlp.model import MLP
from fastmlp.network import Network
from fastmlp.network.parameters import checked_parameter
from fastmlp.optimizers import Optimizer
from fastmlp.plot.networks import in_float64, require_plain
from fastmlp.plot.plane import Limits, checked_limits, checked_resolution
from fastmlp.plot.style import (
    INK,
    OKABE_ITO,
    add_color_bar,
    add_legend_below,
    add_title,
    line_look,
    plain,
    short_number,
    styled_axes,
)
from fastmlp.validation import finite_array, integer, real, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LossPlane", "descend", "loss_surface"]

Floats = NDArray[np.float64]
Parameters: TypeAlias = Mapping[str, ArrayLike]
Direction: TypeAlias = "tuple[str, int | tuple[int, ...]] | Parameters"
PlainLoss: TypeAlias = Callable[[Any, Any], Any]

_DIFFERENCE = 6e-6  # about the cube root of the precision of float64
_LEVELS = 24
# What NumPy says where a function of single numbers is given arrays.
_ONE_NUMBER = re.compile("only (0-dimensional|length-1|size-1) arrays|truth value of an array")


class LossPlane:
    """The mean loss of a network over two of its parameters, or along two directions.

    It is a function of two numbers, or of two arrays element by element, for `loss_surface` and
    `descend`, in float64. The other parameters stay as they are.

    Parameters
    ----------
    model : MLP
        Network of plain layers, such as those of `computational_graph`. It is copied.
    x, y : arrays
        Samples and targets, as of `MLP.evaluate`.
    first, second : tuple of str and index, or mapping of str to array
        A parameter, such as ``("layers.0.weights", (0, 1))``: the number is then its value. Or a
        direction, with names and shapes of `MLP.parameters`, of which those may be left out that do
        not change: the number is then the distance from the parameters of `model`, in multiples of
        the direction.

    Attributes
    ----------
    labels : tuple of str
        Names of the two numbers.

    Raises
    ------
    TypeError, ValueError
        The model is not plain, or has not these parameters, or the directions are parallel.

    Examples
    --------
    >>> from fastmlp import MLP
    >>> from fastmlp.plot import LossPlane
    >>> model = MLP([1, 1], loss="half_mse")
    >>> weight, bias = ("layers.0.weights", (0, 0)), ("layers.0.biases", 0)
    >>> plane = LossPlane(model, [[3.0]], [[5.0]], weight, bias)
    >>> plane(2.0, 0.0), plane.gradient(2.0, 0.0)
    (0.5, (3.0, 1.0))
    >>> plane([1.0, 2.0], 0.0)
    array([2. , 0.5])
    """

    def __init__(
        self, model: Network, x: ArrayLike, y: Any, first: Direction, second: Direction
    ) -> None:
        self._model = in_float64(require_plain(model))
        self._x, self._y = x, y
        self._shapes = {name: a.shape for name, a in self._model.parameters().items()}
        origin = _flat(self._model.parameters())
        steps = []
        for name, direction in (("first", first), ("second", second)):
            step, is_parameter = self._step(name, direction)
            if is_parameter:
                origin = np.where(step == 0, origin, 0.0)
            steps.append(step)
        self._origin, self._steps = origin, np.stack(steps)
        if np.linalg.matrix_rank(self._steps) < 2:
            raise ValueError("first and second must be different directions, got parallel ones")
        self.labels = (_label(first, "direction 1"), _label(second, "direction 2"))
        self(0.0, 0.0)  # samples that do not fit are an error here

    @classmethod
    def of_path(cls, model: Network, x: ArrayLike, y: Any, path: Sequence[Parameters]) -> LossPlane:
        """Return the plane nearest to a path of parameters, through its end.

        Its directions are the first two principal components of the path (H. Li et al.,
        "Visualizing the loss landscape of neural nets", 2018), of length 1.

        Parameters
        ----------
        model, x, y
            As of the class.
        path : sequence of mappings of str to array
            Parameters at several times, such as ``ParameterRecorder.parameters``, at least three.

        Raises
        ------
        TypeError, ValueError
            The path has fewer than three different points that are not on a line, or does not fit
            the model.

        Examples
        --------
        >>> from fastmlp import MLP, ParameterRecorder
        >>> from fastmlp.plot import LossPlane
        >>> model, recorder = MLP([2, 4, 2], seed=0), ParameterRecorder()
        >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> history = model.fit(x, y, epochs=20, callbacks=[recorder], verbose=0)
        >>> plane = LossPlane.of_path(model, x, y, recorder.parameters)
        >>> plane.coordinates(recorder.parameters).shape
        (21, 2)
        """
        end = in_float64(require_plain(model))
        shapes = {name: array.shape for name, array in end.parameters().items()}
        points = _points_of_path(path, shapes, 3)
        _, sizes, directions = np.linalg.svd(points - points[-1], full_matrices=False)
        if sizes[1] <= 1e-12 * sizes[0]:
            raise ValueError(
                "path must not be on a line, got points of one line; a longer training leaves it"
            )
        end.set_parameters(_unflat(points[-1], shapes))
        first, second = (_unflat(direction, shapes) for direction in directions[:2])
        return cls(end, x, y, first, second)

    @overload
    def __call__(self, a: float, b: float) -> float: ...
    @overload
    def __call__(self, a: ArrayLike, b: ArrayLike) -> Any: ...
    def __call__(self, a: ArrayLike, b: ArrayLike) -> Any:
        """Return the mean loss; of arrays, which broadcast, an array of the losses."""
        points, shape = _points(a, b)
        losses = self._losses(points).reshape(shape)
        return losses if shape else float(losses)

    @overload
    def gradient(self, a: float, b: float) -> tuple[float, float]: ...
    @overload
    def gradient(self, a: ArrayLike, b: ArrayLike) -> tuple[Any, Any]: ...
    def gradient(self, a: ArrayLike, b: ArrayLike) -> tuple[Any, Any]:
        """Return the derivatives of the loss by both numbers, of backpropagation.

        Parameters
        ----------
        a, b : float or array
            Finite numbers; arrays broadcast.

        Returns
        -------
        tuple of two floats, or of two arrays
            Derivative by `a`, and by `b`.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> from fastmlp.plot import LossPlane
        >>> model = MLP([1, 1], loss="half_mse")
        >>> plane = LossPlane(
        ...     model, [[1.0]], [[0.0]], ("layers.0.weights", (0, 0)), ("layers.0.biases", 0)
        ... )
        >>> plane.gradient(1.0, 2.0)
        (3.0, 3.0)
        """
        points, shape = _points(a, b)
        first, second = (slopes.reshape(shape) for slopes in self._gradients(points).T)
        return (first, second) if shape else (float(first), float(second))

    def coordinates(self, path: Sequence[Parameters]) -> Floats:
        """Return the numbers of the points of the plane that are nearest to these parameters.

        Parameters
        ----------
        path : sequence of mappings of str to array
            Parameters, as `MLP.parameters` returns them.

        Returns
        -------
        array of shape (points, 2)

        Raises
        ------
        TypeError, ValueError
            The path is empty, or its parameters have not the names and shapes of the model.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> from fastmlp.plot import LossPlane
        >>> model = MLP([1, 1], loss="half_mse", initializer="zeros")
        >>> plane = LossPlane(
        ...     model, [[1.0]], [[0.0]], ("layers.0.weights", (0, 0)), ("layers.0.biases", 0)
        ... )
        >>> plane.coordinates([model.parameters()])
        array([[0., 0.]])
        """
        ways = _points_of_path(path, self._shapes, 1) - self._origin
        found, *_ = np.linalg.lstsq(self._steps.T, ways.T, rcond=None)
        return np.asarray(found.T + 0.0)  # no -0

    def _losses(self, points: Floats) -> Floats:
        """Return the loss at each point; infinity where parameters are too large for float64."""
        return np.array(
            [
                float(self._model.evaluate(self._x, self._y)["loss"])
                if self._move(point)
                else np.inf
                for point in points
            ]
        )

    def _gradients(self, points: Floats) -> Floats:
        """Return the derivatives at each point; NaN where parameters are too large for float64."""
        found = np.full((len(points), 2), np.nan)
        for place, point in enumerate(points):
            if not self._move(point):
                continue
            _, weights, biases = self._model.loss_and_gradients(self._x, self._y)
            arrays = {f"layers.{i}.weights": array for i, array in enumerate(weights)}
            arrays |= {f"layers.{i}.biases": array for i, array in enumerate(biases)}
            found[place] = self._steps @ _flat({name: arrays[name] for name in self._shapes})
        return found

    def _move(self, point: Floats) -> bool:
        """Give the model the parameters of a point, if they are finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            parameters = self._origin + point[0] * self._steps[0] + point[1] * self._steps[1]
        is_finite = bool(np.isfinite(parameters).all())
        if is_finite:
            self._model.set_parameters(_unflat(parameters, self._shapes))
        return is_finite

    def _step(self, name: str, direction: Direction) -> tuple[Floats, bool]:
        """Return a direction as one vector, and whether it is that of one parameter."""
        arrays = {key: np.zeros(shape) for key, shape in self._shapes.items()}
        if isinstance(direction, tuple) and len(direction) == 2:
            array, index = direction
            if not isinstance(array, str) or array not in arrays:
                raise ValueError(f"{name} must be of {', '.join(arrays)}, got {shown(array)}")
            arrays[array][_place(name, array, index, self._shapes[array])] = 1.0
            return _flat(arrays), True
        if not isinstance(direction, Mapping):
            raise TypeError(
                f"{name} must be a name and an index, or a mapping of names to arrays, got "
                f"{shown(direction)} ({type(direction).__name__})"
            )
        for key, values in direction.items():
            if key not in arrays:
                raise ValueError(f"{name} must be of {', '.join(arrays)}, got {shown(key)}")
            checked = finite_array(f"{name}[{key!r}]", values, np.float64)
            if checked.shape != self._shapes[key]:
                raise ValueError(
                    f"{name}[{key!r}] must have shape {self._shapes[key]}, got {checked.shape}"
                )
            arrays[key] = checked
        return _flat(arrays), False


def _place(name: str, array: str, index: object, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index of one number in an array of parameters."""
    indices = index if isinstance(index, tuple) else (index,)
    try:
        if len(indices) != len(shape):
            raise ValueError
        return tuple(
            integer("index", i, -size, size - 1) for i, size in zip(indices, shape, strict=True)
        )
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must have the index of one number in {array} of shape {shape}, got "
            f"{shown(index)}; write ({array!r}, {(0,) * len(shape)})"
        ) from None


def _points(a: object, b: object) -> tuple[Floats, tuple[int, ...]]:
    """Return points of a plane, (points, 2), and the shape of numbers or arrays that gave them."""
    first, second = _numbers("a", a), _numbers("b", b)
    try:
        both = np.stack(np.broadcast_arrays(first, second), axis=-1)
    except ValueError:
        raise ValueError(
            f"a and b must have shapes that broadcast, got {first.shape} and {second.shape}; "
            "np.meshgrid(a, b) pairs each number with each"
        ) from None
    return both.reshape(-1, 2), both.shape[:-1]


def _numbers(name: str, value: object) -> Floats:
    is_several = isinstance(value, (list, tuple)) or hasattr(value, "__array__")
    if is_several and not isinstance(value, np.generic):
        return finite_array(name, value, np.float64)
    return np.array(real(name, value, -np.inf))


def _points_of_path(path: object, shapes: Mapping[str, tuple[int, ...]], least: int) -> Floats:
    """Return parameters as an array with a row for each point, in the order of `shapes`."""
    if isinstance(path, Mapping) or not isinstance(path, Iterable):
        raise TypeError(
            "path must be a sequence of parameters such as recorder.parameters or "
            f"[model.parameters()], got {type(path).__name__}"
        )
    points = []
    for i, parameters in enumerate(path):
        if not isinstance(parameters, Mapping):
            raise TypeError(
                f"path[{i}] must be a mapping of names to arrays such as model.parameters(), got "
                f"{type(parameters).__name__}"
            )
        if set(parameters) != set(shapes):
            raise ValueError(
                f"path[{i}] must have the parameters {', '.join(shapes)}, got "
                f"{', '.join(map(str, parameters)) or 'none'}"
            )
        points.append(
            _flat(
                {
                    name: checked_parameter(
                        f"path[{i}][{name!r}]", parameters[name], shape, np.dtype(np.float64)
                    )
                    for name, shape in shapes.items()
                }
            )
        )
    if len(points) < least:
        raise ValueError(
            f"path must have at least {least} point{'s' * (least > 1)}, got {len(points)}"
        )
    return np.stack(points)


def _flat(parameters: Parameters) -> Floats:
    return np.concatenate([np.ravel(np.asarray(a, np.float64)) for a in parameters.values()])


def _unflat(vector: Floats, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Floats]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(vector, ends[:-1])
    return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}


def _label(direction: Direction, otherwise: str) -> str:
    if isinstance(direction, Mapping):
        return otherwise
    name, index = direction
    return f"{name}[{', '.join(map(str, np.atleast_1d(index)))}]"


# ---------------------------------------------------------------- paths


def descend(
    loss: LossPlane | PlainLoss, start: Sequence[float], optimizer: Optimizer, steps: int = 50
) -> Floats:
    """Return the path of an optimizer down a function of two numbers.

    The optimizer is that of trainings: the two numbers are the weights of a network without hidden
    layers, whose loss is the function, and the steps are those of `MLP.fit`.

    Parameters
    ----------
    loss : LossPlane or callable
        Function of two arrays of numbers, element by element, such as operators and functions of
        NumPy make it. The derivatives of a `LossPlane` are exact, those of others are central
        differences of float64.
    start : pair of float
        Where the path begins.
    optimizer : Optimizer
        Such as ``fastmlp.SGD(0.1, momentum=0.9)``; an epoch of its schedule is a step.
    steps : int
        Number of steps, >= 1.

    Returns
    -------
    array of shape (steps + 1, 2)
        The path with its start. It ends before the first point at which loss or derivatives are not
        finite: such a training has diverged.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind, or the loss is not finite at the start.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp import plot
    >>> plot.descend(lambda a, b: (a**2 + b**2) / 2, (1.0, -2.0), fastmlp.SGD(0.5), 2).round(6)
    array([[ 1.  , -2.  ],
           [ 0.5 , -1.  ],
           [ 0.25, -0.5 ]])
    """
    _require_function(loss)
    is_array = isinstance(start, Sequence) or hasattr(start, "__array__")
    if isinstance(start, (str, bytes)) or not is_array:
        raise TypeError(
            "start must be a pair of numbers such as (1.0, -2.0), got "
            f"{shown(start)} ({type(start).__name__})"
        )
    point = finite_array("start", start, np.float64)
    if point.shape != (2,):
        raise ValueError(f"start must have shape (2,), got {point.shape}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            "optimizer must be an optimizer of steps such as fastmlp.SGD(0.1), got "
            f"{shown(optimizer)} ({type(optimizer).__name__})"
        )
    steps = integer("steps", steps, 1)
    if not np.isfinite(_values(loss, *point[:, None])).all():
        raise ValueError(f"loss must be finite at the start, {shown(start)}; choose another start")

    def of_batch(outputs: Floats, signs: Floats) -> tuple[float, Floats]:
        """Of the samples 1 and -1 with the point and its opposite as outputs.

        By this pair the derivative by the biases, which are no part of the function, is exactly 0.
        """
        at = (signs * outputs).mean(axis=0)
        return float(_values(loss, *at[:, None])[0]), signs * _slopes(loss, at) / 2

    model = MLP([1, 2], loss=of_batch, dtype="float64", input_scale=1.0)
    model.weights = [point[None]]
    model.biases = [np.zeros(2)]
    recorder = ParameterRecorder()
    samples = np.array([[1.0], [-1.0]])
    with suppress(DivergedError):
        model.fit(
            samples, np.repeat(samples, 2, axis=1), epochs=steps, batch_size=2,
            optimizer=optimizer, callbacks=[recorder], verbose=0, diagnose=False,
        )  # fmt: skip
    path = np.stack([parameters["layers.0.weights"][0] for parameters in recorder.parameters])
    with np.errstate(over="ignore", invalid="ignore"):
        good = np.isfinite(path).all(axis=1) & np.isfinite(_values(loss, *path.T))
    return path[: len(path) if good.all() else int(np.argmin(good))]


def _require_function(loss: object) -> None:
    if not callable(loss):
        raise TypeError(
            "loss must be a function of two arrays of numbers, got "
            f"{type(loss).__name__}; lambda a, b: a**2 + b**2 is one"
        )


def _values(loss: LossPlane | PlainLoss, a: Floats, b: Floats) -> Floats:
    """Return the loss at several points."""
    if isinstance(loss, LossPlane):
        return loss._losses(np.stack([a, b], axis=-1))
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            found = loss(a, b)
        except (TypeError, ValueError) as error:
            if not _ONE_NUMBER.search(str(error)):
                raise
            raise TypeError(
                "loss must be a function of two arrays of numbers, got one of single numbers: "
                f"{error}; use functions of NumPy, such as np.exp or np.where, or "
                "np.vectorize(loss, otypes=[float])"
            ) from error
    try:
        values = np.asarray(found)
    except ValueError:  # rows of different lengths
        values = np.array(None)
    if values.dtype.kind not in "iuf":
        came = (
            f"dtype {values.dtype}" if values.ndim else f"{shown(found)} ({type(found).__name__})"
        )
        raise TypeError(
            f"loss must return an array of real numbers, got {came}; np.real(...) or "
            "np.asarray(..., float) converts"
        )
    if values.shape != a.shape:
        raise ValueError(
            f"loss must return an array of the shape {a.shape} of its arguments, got "
            f"{values.shape}; use operators and functions of NumPy, or np.full_like(a, ...)"
        )
    return values.astype(np.float64)


def _slopes(loss: LossPlane | PlainLoss, at: Floats) -> Floats:
    if isinstance(loss, LossPlane):
        return np.asarray(loss._gradients(at[None])[0])
    step = _DIFFERENCE * np.maximum(1.0, np.abs(at))
    sides = at + np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]) * step
    values = _values(loss, *sides.T)
    with np.errstate(invalid="ignore"):
        return np.asarray((values[::2] - values[1::2]) / (2 * step))


# ---------------------------------------------------------------- drawing


def loss_surface(
    loss: LossPlane | PlainLoss,
    limits: Limits = ((-1.0, 1.0), (-1.0, 1.0)),
    *,
    paths: Mapping[str, ArrayLike] | None = None,
    labels: Sequence[str] | None = None,
    resolution: int = 60,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a loss over two parameters by lines of equal loss, and paths of optimizers over it.

    Parameters
    ----------
    loss : LossPlane or callable
        Function of two arrays of numbers, element by element, as of `descend`.
    limits : pair of pairs of float
        Smallest and largest value of the first number, and of the second one.
    paths : mapping of str to array of shape (points, 2), optional
        Paths by their names, such as those of `descend`. A ring marks the start, a star the end.
    labels : sequence of str, optional
        Names of the two numbers; by default those of a `LossPlane`.
    resolution : int
        Number of grid points along each axis, 2 to 10000.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with the filled contours, which are closer to each other near the smallest loss, and a
        line for each path.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind, or the loss is finite nowhere or not an array of numbers.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp import plot
    >>> def valley(a, b):
    ...     return (a**2 + 10 * b**2) / 2
    >>> path = plot.descend(valley, (-0.9, 0.8), fastmlp.SGD(0.15), 20)
    >>> ax = plot.loss_surface(valley, paths={"plain": path})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['plain']
    """
    _require_function(loss)
    ends = checked_limits(limits)
    resolution = checked_resolution(resolution)
    names = labels if labels is not None else getattr(loss, "labels", ("a", "b"))
    if isinstance(names, str) or not isinstance(names, (Sequence, np.ndarray)):
        raise TypeError(
            'labels must be a sequence of two names such as ("a", "b"), got '
            f"{shown(names)} ({type(names).__name__})"
        )
    if len(names) != 2:
        raise ValueError(f"labels must have 2 names, got {len(names)}")
    if not isinstance(paths, Mapping | None):
        raise TypeError(
            f"paths must be a mapping of names to paths, got {type(paths).__name__}; "
            'write {"path": ...}'
        )
    checked = {str(name): _path(str(name), path) for name, path in (paths or {}).items()}
    lines = [np.linspace(low, high, resolution) for low, high in ends]
    grid = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)
    values = _values(loss, *grid.T).reshape(resolution, resolution)
    if not np.isfinite(values).any():
        raise ValueError("loss must be finite somewhere within the limits, got no finite value")
    ax = styled_axes(ax, (6.4, 4.6), grid=False)
    _fill(ax, lines, np.ma.masked_invalid(values))
    for index, (name, path) in enumerate(checked.items()):
        _draw_path(ax, path, name, index)
    ax.set(xlim=ends[0], ylim=ends[1], xlabel=plain(names[0]), ylabel=plain(names[1]))
    add_title(ax, title, "Loss over two parameters" if not checked else "Descent on a loss surface")
    add_legend_below(ax)
    return ax


def _path(name: str, path: ArrayLike) -> Floats:
    if isinstance(path, (str, bytes)):
        raise TypeError(
            f"paths[{name!r}] must be an array of shape (points, 2), got {shown(path)}; descend "
            "returns one"
        )
    points: Floats = finite_array(f"paths[{name!r}]", path, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"paths[{name!r}] must have shape (points, 2), got {points.shape}")
    return points


def _fill(ax: Axes, lines: Sequence[Floats], values: Any) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1.0
    # Equal distances of the roots: lines of a parabola at equal distances.
    levels = low + (high - low) * np.linspace(0, 1, _LEVELS + 1) ** 2
    shades = LinearSegmentedColormap.from_list("loss", ["#FFFFFF", "#C9D3DC", "#7F8FA0"])
    norm = PowerNorm(0.5, low, high)
    ax.contourf(*lines, values, levels=levels, cmap=shades, norm=norm)
    ax.contour(*lines, values, levels=levels[1:-1], colors="#5F6F80", linewidths=0.4)
    bar = add_color_bar(ax, ScalarMappable(norm, shades), "loss")
    bar.set_ticks([low + (high - low) * share for share in (0.0, 0.1, 0.3, 0.6, 1.0)])
    bar.ax.set_yticklabels([short_number(tick) for tick in bar.get_ticks()])
    bar.ax.minorticks_off()


def _draw_path(ax: Axes, path: Floats, name: str, index: int) -> None:
    look = line_look(index, points=len(path)) | {"markevery": 1}
    look["markersize"] *= 0.6 if len(path) < 60 else 0.35
    ax.plot(*path.T, label=plain(name), **look)
    color = OKABE_ITO[index % len(OKABE_ITO)]
    ax.plot(*path[0], "o", markersize=9, markerfacecolor="none", markeredgecolor=INK, zorder=4)
    ax.plot(*path[-1], "*", markersize=11, color=color, markeredgecolor=INK,
            markeredgewidth=0.6, zorder=5)  # fmt: skip
