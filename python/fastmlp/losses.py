"""Losses that the core minimizes, by name or with parameters, and the targets of each.

A loss is the mean over the samples of the sum over the outputs; samples with weights w have the
factor w / sum of w. A new loss needs a class in this module, with its name, targets and link, and a
kernel, for which cpp/kernels/kernel_table.hpp names the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from fastmlp._named import as_config, from_config, kinds_of, named
from fastmlp._scalars import integer, keep, real

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "HalfMSE",
    "Hinge",
    "Huber",
    "Loss",
    "Poisson",
    "Quantile",
    "SoftmaxCrossEntropy",
    "UserLoss",
]

Array: TypeAlias = "npt.NDArray[Any]"
Link = Literal["none", "softmax", "sigmoid", "exp"]
_QUANTITIES = 'loss="mse" with one output takes quantities'


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Base class of the losses.

    Parameters
    ----------
    outputs : int, optional
        Number of outputs of the loss; required if a model has several losses, which apply to
        consecutive outputs in their order.
    weight : float
        Factor of the whole loss, >= 0.

    Examples
    --------
    >>> import fastmlp
    >>> losses = [fastmlp.MSE(outputs=2), fastmlp.Hinge(outputs=3, weight=0.5)]
    >>> fastmlp.MLP([4, 8, 5], loss=losses)
    MLP(4-8-5, activation='relu', loss='mse + hinge', float32)
    """

    name: str = field(default="", init=False)
    outputs: int | None = None
    weight: float = 1.0

    link: ClassVar[Link] = "none"  # function from outputs to predictions
    takes_classes: ClassVar[bool] = False  # whether targets are integer labels
    has_accuracy: ClassVar[bool] = False

    @property
    def fused_activation(self) -> str | None:
        """Output activation that the loss computes from logits; None if there is none."""
        return self.link if self.link in ("softmax", "sigmoid") else None

    def __post_init__(self) -> None:
        if self.outputs is not None:
            keep(self, outputs=integer("outputs", self.outputs, 1))
        keep(self, weight=real("weight", self.weight, 0.0))

    def parameters(self, outputs: int) -> list[float]:
        """Return the core's parameter of each output, or a single one for all."""
        return [0.0]

    def spec(self, outputs: int) -> dict[str, Any]:
        """Return the core's description of the loss."""
        weights = getattr(self, "output_weights", None)
        if weights is not None and len(weights) != outputs:
            raise ValueError(
                f"output_weights must have one entry per output: {outputs} needed, "
                f"got {len(weights)}"
            )
        return {
            "loss": self.name,
            "outputs": outputs,
            "weight": self.weight,
            "smoothing": float(getattr(self, "smoothing", 0.0)),
            "parameters": self.parameters(outputs),
            "output_weights": [1.0] if weights is None else list(weights),
        }

    def targets(
        self, name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
    ) -> Array:
        """Check targets and convert them for the core.

        Parameters
        ----------
        name : str
            Name of the argument in error messages.
        value : array-like
            Targets of the user.
        samples, outputs : int
            Number of samples, and number of outputs of this loss.
        dtype : dtype
            Dtype of the model.

        Raises
        ------
        TypeError, ValueError
            The targets have a type, shape or value that this loss does not allow.
        """
        from fastmlp.validation import value_targets

        return value_targets(name, value, samples, outputs, dtype)


@dataclass(frozen=True, kw_only=True)
class _Elementwise(Loss):
    """Base class of losses that are sums over outputs, each with a factor in `output_weights`."""

    output_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output_weights is not None:
            weights = tuple(
                real(f"output_weights[{i}]", weight, 0.0)
                for i, weight in enumerate(self.output_weights)
            )
            keep(self, output_weights=weights)


@dataclass(frozen=True, kw_only=True)
class SoftmaxCrossEntropy(Loss):
    """-sum of t log softmax(z) with logits z as outputs and classes or probabilities t as targets.

    Parameters
    ----------
    smoothing : float
        Fraction of every target that is spread evenly over all classes, in [0, 1) (Szegedy et al.
        2016).
    outputs, weight
        Number of outputs and factor of the loss, described at `Loss`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], loss=fastmlp.SoftmaxCrossEntropy(smoothing=0.1))
    MLP(4-8-3, activation='relu', loss='softmax_cross_entropy', float32)
    """

    name: str = field(default="softmax_cross_entropy", init=False)
    smoothing: float = 0.0

    link: ClassVar[Link] = "softmax"
    takes_classes: ClassVar[bool] = True
    has_accuracy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, smoothing=real("smoothing", self.smoothing, 0.0, 1.0, below=True))

    def targets(
        self, name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
    ) -> Array:
        """Convert labels to int64 (samples,); check probabilities of shape (samples, outputs)."""
        from fastmlp.validation import class_labels, label_array, probability_targets

        array = label_array(name, value)
        only = 1.0 if array.ndim == 2 else 0.0  # a share, up to rounding, or a class
        if outputs == 1 and (abs(array.astype("float64") - only) > 1e-3).any():
            raise ValueError(
                f"loss {self.name!r} needs 2 outputs or more, because a single one always has "
                f"probability 1, got 1 for {name}; labels 0 and 1 need 2 outputs or "
                'loss="binary_cross_entropy", quantities loss="mse"'
            )
        if array.ndim == 2 and (array.shape[1] > 1 or outputs == 1):
            return probability_targets(name, array, samples, outputs, dtype)
        return class_labels(name, array, samples, outputs, fraction_cure=_QUANTITIES)


@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """Sum over the wrong classes of max(0, z_j - z_y + 1) (Weston and Watkins 1999).

    Parameters
    ----------
    outputs, weight
        Number of outputs and factor of the loss, described at `Loss`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3], loss=fastmlp.Hinge())
    MLP(4-8-3, activation='relu', loss='hinge', float32)
    """

    name: str = field(default="hinge", init=False)

    takes_classes: ClassVar[bool] = True
    has_accuracy: ClassVar[bool] = True

    def targets(
        self, name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
    ) -> Array:
        """Check labels and convert them to int64 (samples,)."""
        from fastmlp.validation import class_targets

        return class_targets(name, value, samples, outputs, fraction_cure=_QUANTITIES)


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(_Elementwise):
    """-t log s - (1 - t) log(1 - s) with s = sigmoid(z), for a binary label or several labels.

    Parameters
    ----------
    output_weights : sequence of float, optional
        Factor of each output, >= 0; 1 by default.
    outputs, weight
        Number of outputs and factor of the loss, described at `Loss`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss=fastmlp.BinaryCrossEntropy())
    MLP(4-8-2, activation='relu', loss='binary_cross_entropy', float32)
    """

    name: str = field(default="binary_cross_entropy", init=False)

    link: ClassVar[Link] = "sigmoid"
    has_accuracy: ClassVar[bool] = True

    def targets(
        self, name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
    ) -> Array:
        """Check values in [0, 1] and convert them to (samples, outputs)."""
        from fastmlp.validation import value_targets

        array = value_targets(name, value, samples, outputs, dtype)
        if array.min() < 0 or array.max() > 1:
            raise ValueError(
                f"{name} must lie in [0, 1], got {array.min():g} to {array.max():g}; "
                f"{_binary_cure(name, array)}"
            )
        return array


def _binary_cure(name: str, array: Array) -> str:
    """Say what makes targets of the binary cross-entropy, or which loss takes these."""
    import numpy as np

    if np.isin(array, (-1, 1)).all():
        return f"np.greater({name.rpartition(': ')[2]}, 0) makes 0 and 1 of -1 and 1"
    classes = int(min(array.max(), 1e9)) + 1
    if array.min() >= 0 and (array == np.floor(array)).all() and classes <= 1000:
        return (
            f'loss="softmax_cross_entropy" with {classes} outputs takes labels 0 to {classes - 1}'
        )
    return 'loss="mse" takes quantities'


@dataclass(frozen=True, kw_only=True)
class MSE(_Elementwise):
    """(o - t)^2 summed over the outputs.

    Parameters
    ----------
    output_weights, outputs, weight
        Settings of all elementwise losses, described at `BinaryCrossEntropy`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss=fastmlp.MSE(output_weights=[1, 10]))
    MLP(4-8-2, activation='relu', loss='mse', float32)
    """

    name: str = field(default="mse", init=False)


@dataclass(frozen=True, kw_only=True)
class HalfMSE(_Elementwise):
    """(o - t)^2 / 2 summed over the outputs: the quadratic cost of textbooks.

    Parameters
    ----------
    output_weights, outputs, weight
        Settings of all elementwise losses, described at `BinaryCrossEntropy`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss="half_mse")
    MLP(4-8-2, activation='relu', loss='half_mse', float32)
    """

    name: str = field(default="half_mse", init=False)


@dataclass(frozen=True, kw_only=True)
class MAE(_Elementwise):
    """Absolute error summed over the outputs; its derivative at 0 is 0.

    Parameters
    ----------
    output_weights, outputs, weight
        Settings of all elementwise losses, described at `BinaryCrossEntropy`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss="mae")
    MLP(4-8-2, activation='relu', loss='mae', float32)
    """

    name: str = field(default="mae", init=False)


@dataclass(frozen=True, kw_only=True)
class Huber(_Elementwise):
    """``d^2 / 2`` for errors up to ``delta``, ``delta (|d| - delta / 2)`` beyond (Huber 1964).

    Parameters
    ----------
    delta : float
        Largest error with a quadratic loss, > 0.
    output_weights, outputs, weight
        Settings of all elementwise losses, described at `BinaryCrossEntropy`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss=fastmlp.Huber(delta=2.0))
    MLP(4-8-2, activation='relu', loss='huber', float32)
    """

    name: str = field(default="huber", init=False)
    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        delta = real("delta", self.delta, 0.0)
        if delta == 0:
            raise ValueError("delta must be > 0, got 0")
        keep(self, delta=delta)

    def parameters(self, outputs: int) -> list[float]:
        """Return `delta`."""
        return [self.delta]


@dataclass(frozen=True, kw_only=True)
class Poisson(_Elementwise):
    """exp(z) - t z for counts t, with logarithms of rates z as outputs.

    Parameters
    ----------
    output_weights, outputs, weight
        Settings of all elementwise losses, described at `BinaryCrossEntropy`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss="poisson")
    MLP(4-8-2, activation='relu', loss='poisson', float32)
    """

    name: str = field(default="poisson", init=False)

    link: ClassVar[Link] = "exp"

    def targets(
        self, name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
    ) -> Array:
        """Check values >= 0 and convert them to (samples, outputs)."""
        from fastmlp.validation import value_targets

        array = value_targets(name, value, samples, outputs, dtype)
        if array.min() < 0:
            raise ValueError(
                f"{name} must be >= 0 for this loss, got {array.min()}; "
                'loss="mse" takes all numbers'
            )
        return array


@dataclass(frozen=True, kw_only=True)
class Quantile(_Elementwise):
    """Pinball loss: max(q (t - o), (q - 1) (t - o)) (Koenker and Bassett 1978).

    Parameters
    ----------
    levels : float or sequence of float
        Levels q in (0, 1): one for all outputs or one for each output.
    output_weights, outputs, weight
        Settings of all elementwise losses, described at `BinaryCrossEntropy`.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 2], loss=fastmlp.Quantile(levels=[0.1, 0.9]))
    MLP(4-8-2, activation='relu', loss='quantile', float32)
    """

    name: str = field(default="quantile", init=False)
    levels: float | Sequence[float] = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        import numpy as np

        one = np.ndim(self.levels) == 0
        levels = tuple(
            real("levels", level, 0.0, 1.0, below=True)
            for level in ([self.levels] if one else self.levels)  # type: ignore[union-attr]
        )
        if 0 in levels:
            raise ValueError("levels must be > 0, got 0")
        keep(self, levels=levels[0] if one else levels)

    def parameters(self, outputs: int) -> list[float]:
        """Return the levels."""
        if not isinstance(self.levels, Sequence):
            return [float(self.levels)]
        if len(self.levels) != outputs:
            raise ValueError(
                f"levels must have one entry per output: {outputs} needed, got {len(self.levels)}"
            )
        return [float(level) for level in self.levels]


UserFunction: TypeAlias = "Callable[[Array, Array], tuple[float, npt.ArrayLike]]"


@dataclass(frozen=True, kw_only=True)
class UserLoss(Loss):
    """A Python function ``(outputs, targets) -> (loss, gradient)``, called once per batch.

    Parameters
    ----------
    function : callable
        Function of the outputs, of shape (batch, outputs), and the targets of a batch. It returns
        the mean loss of the batch and its gradient by the outputs, of shape (batch, outputs). None
        in a model loaded from a file, which can predict but not train.

    Examples
    --------
    >>> import fastmlp
    >>> def cubic(outputs, targets):
    ...     error = outputs - targets
    ...     size = abs(error)
    ...     return (size**3).sum() / len(error), 3 * error * size / len(error)
    >>> fastmlp.MLP([4, 8, 2], loss=fastmlp.UserLoss(function=cubic))
    MLP(4-8-2, activation='relu', loss='user_defined', float32)
    """

    name: str = field(default="user_defined", init=False)
    function: UserFunction | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.function is not None and not callable(self.function):
            raise TypeError(f"function must be callable, got {type(self.function).__name__}")

    def targets(
        self, name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
    ) -> Array:
        """Check targets: one-dimensional integers are labels, all others are values."""
        from fastmlp.validation import class_targets, real_array, value_targets

        array = real_array(name, value)
        if array.ndim == 1 and array.dtype.kind in "iu":
            return class_targets(name, array, samples, outputs)
        return value_targets(name, value, samples, outputs, dtype)

    def weighted_function(self) -> UserFunction:
        """Return the function with its results multiplied by `weight`.

        Raises
        ------
        ValueError
            The function is None.
        """
        function, weight = self.function, self.weight
        if function is None:
            raise ValueError("a model whose user-defined loss is not known can only predict")
        if weight == 1:
            return function

        import numpy as np

        def weighted(outputs: Array, targets: Array) -> tuple[float, Array]:
            loss, gradient = function(outputs, targets)
            return weight * loss, weight * np.asarray(gradient)

        return weighted


def core_function(losses: Sequence[Loss]) -> UserFunction | None:
    """Return the function that the core calls for the loss of a batch; None if it has a kernel."""
    return losses[0].weighted_function() if isinstance(losses[0], UserLoss) else None


LOSSES: Mapping[str, Callable[..., Loss]] = {
    name: kind for name, kind in kinds_of(Loss, globals()).items() if kind is not UserLoss
}


def checked_losses(value: object, outputs: int) -> tuple[Loss, ...]:
    """Check the argument `loss`: one loss for all outputs, or several that cover them all."""
    if not isinstance(value, (list, tuple)):
        loss = _one_loss("loss", value)
        if loss.outputs not in (None, outputs):
            raise ValueError(f"loss must have {outputs} outputs, the model's, got {loss.outputs}")
        return (loss,)
    losses = tuple(_one_loss(f"loss[{i}]", item) for i, item in enumerate(value))
    counts = [loss.outputs for loss in losses]
    if not losses or None in counts:
        raise ValueError(
            "loss must be a list of losses with their numbers of outputs, such as "
            "fastmlp.MSE(outputs=2)"
        )
    if sum(count or 0 for count in counts) != outputs:
        raise ValueError(f"losses must have {outputs} outputs, the model's, got {counts}")
    if len(losses) > 1 and any(isinstance(loss, UserLoss) for loss in losses):
        raise ValueError("a user-defined loss must be the only one of a model")
    return losses


def _one_loss(argument: str, value: object) -> Loss:
    of_torch = type(value).__module__.startswith("torch.")  # its losses take tensors
    if callable(value) and not of_torch and not isinstance(value, (Loss, type)):
        return UserLoss(function=value)
    return named(argument, value, Loss, LOSSES)


def losses_as_config(losses: Sequence[Loss]) -> object:
    """Return the losses in the form that model files contain."""
    configs = [loss.name if isinstance(loss, UserLoss) else as_config(loss) for loss in losses]
    return configs[0] if len(configs) == 1 else configs


def losses_from_config(config: object) -> object:
    """Return the argument `loss` of a model from the form in files."""
    known = {**LOSSES, "user_defined": UserLoss}
    if isinstance(config, list):
        return [from_config("loss", item, known) for item in config]
    return from_config("loss", config, known)
