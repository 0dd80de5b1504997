"""What a diagnosis looks at: records of the epochs, the network, and a few of its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._cached_property import cached_property
from fastmlp.errors import DivergedError
from fastmlp.losses import Loss, UserLoss
from fastmlp.network import Network
from fastmlp.network.architecture import checked_architecture
from fastmlp.network.samples import Data
from fastmlp.optimizers import Optimizer
from fastmlp.training.lr_finder import find_learning_rates

__all__ = ["Evidence", "initial_parameters"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
# Samples on which the network is examined: one of 100 that the training saw. A forward pass is a
# third of the work of a step, so it costs 0.3 % of the training.
_MOST_SAMPLES = 2_000
_SAMPLES_SEEN_FOR_ONE = 100
_MOST_OUTPUTS = 1 << 20  # of all units for all these samples
_FEWEST_SAMPLES = 50
_TESTED_STEPS = 100  # of a range test, after trainings whose rate seems wrong
_MOST_COPIED = 1 << 20  # parameters of which the initial values are kept
_MOST_VALUES = 5_000  # of which the loss of a constant is computed
_LOOKED_AT = 300  # samples whose inputs are looked at
_TINY = 1e-6


@dataclass(frozen=True)
class Evidence:
    """A training that has ended, and what it can be judged by.

    Parameters
    ----------
    network : Network
        The trained network.
    courses : mapping of str to sequence of float
        What was measured in each epoch: loss, and where they exist accuracy, val_loss and
        val_accuracy.
    train : Data
        Samples of the training.
    batch_size : int
        Samples per step.
    rate : float, optional
        Learning rate of the first step.
    validation : Data, optional
        Samples that were measured after each epoch.
    test : Data, optional
        Samples on which the result is measured.
    initial : Mapping of str to array, optional
        Parameters before the first step; None: unknown.
    selects_best : bool
        Whether the network is that of the best epoch of the validation samples.
    epoch : int, optional
        Epoch of the network, from 1; None: the last.
    threads : int
        Number of threads; 0 for the default.
    names : sequence of str, optional
        Names of the features.
    optimizer : Optimizer, optional
        Optimizer of the training, for a range test if its rate seems wrong.
    samples : int, optional
        Number of training samples, of which `train` may hold a part; None: all of them.
    """

    network: Network
    courses: Mapping[str, Sequence[float]]
    train: Data
    batch_size: int
    rate: float | None = None
    validation: Data | None = None
    test: Data | None = None
    initial: Mapping[str, Array] | None = field(default=None, repr=False)
    selects_best: bool = False
    epoch: int | None = None
    threads: int = 0
    names: Sequence[str] | None = None
    optimizer: Optimizer | None = None
    samples: int | None = None

    # Arrays are converted before they are combined: NumPy crashes if operands of two types get no
    # memory for its buffers.

    # ------------------------------------------------------------ the course of the training

    def course(self, name: str) -> list[float]:
        """Return a quantity of each epoch; empty if it was not measured."""
        return [float(value) for value in self.courses.get(name, ())]

    @property
    def epochs(self) -> int:
        """Number of epochs of the training."""
        return len(self.courses.get("loss", ()))

    @property
    def steps(self) -> int:
        """Number of steps of the training."""
        samples = len(self.train) if self.samples is None else self.samples
        return self.epochs * -(-samples // max(1, self.batch_size))

    @cached_property
    def movement(self) -> float | None:
        """Distance of the weights from the initial ones, by the size of these; None: unknown."""
        if self.initial is None:
            return None
        now = self.network.parameters()
        size = moved = 0.0
        with np.errstate(over="ignore"):
            for name in self.initial:
                if name.endswith(".weights"):
                    before = self.initial[name].astype(np.float64)
                    size += float(np.square(before).sum())
                    moved += float(np.square(now[name].astype(np.float64) - before).sum())
        return float(np.sqrt(moved / size)) if 0 < size < np.inf else None

    @cached_property
    def better_rate(self) -> float | None:
        """Learning rate that a short range test from the initial parameters suggests, or None."""
        if self.optimizer is None or self.initial is None or isinstance(self.loss, UserLoss):
            return None  # a function of the user is called by the training alone
        start = Network(self.network.architecture)
        start.set_parameters(self.initial)
        try:
            found = find_learning_rates(
                start,
                self.train,
                self.optimizer,
                steps=_TESTED_STEPS,
                batch_size=self.batch_size,
                threads=self.threads or None,
            )
        except (DivergedError, ValueError):
            return None
        return found.suggestion

    # ------------------------------------------------------------ what the result is worth

    @property
    def loss(self) -> Loss:
        """The first loss."""
        return self.network.architecture.losses[0]

    @property
    def task(self) -> str:
        """The task of the loss: "classification", "multilabel" or "regression"."""
        return self.network._task

    @property
    def held_out(self) -> Data | None:
        """Samples that were not trained, if there are any."""
        return self.test if self.test is not None else self.validation

    @cached_property
    def constant_losses(self) -> tuple[float, float] | None:
        """Loss of the best constant prediction: of the training samples, and where it is held out.

        It is None for losses that no constant is known for.
        """
        architecture = self.network.architecture
        if len(architecture.losses) > 1 or isinstance(self.loss, UserLoss):
            return None
        output = architecture.output_activation
        if (output if isinstance(output, str) else output.name) not in (
            "identity", "softmax", "sigmoid",
        ):  # fmt: skip
            return None
        outputs = architecture.layer_sizes[-1]
        biases = best_constant(self.loss, self.train, outputs)
        if biases is None:
            return None
        constant = Network(
            checked_architecture(
                [1, outputs],
                loss=self.loss,
                dtype="float64",
                output_activation=architecture.output_activation,
                initializer="zeros",
            )
        )
        constant.biases = [biases]

        def loss_on(data: Data) -> float:
            targets, weights = data.targets[0], data.sample_weight
            if targets.dtype == np.int64:  # one sample of each class, with the weight of all
                counts = np.bincount(labels_of(data, outputs), weights, minlength=outputs)
                data = Data(np.zeros((outputs, 1)), [np.arange(outputs)], counts.astype(np.float64))
            elif not isinstance(data.rows, tuple):
                data = _some(data, min(len(data), _MOST_VALUES))
            exact = replace(data, rows=np.zeros((len(data), 1))).in_double_precision()
            return constant._evaluate_data(exact, self.threads)["loss"]

        other = self.held_out
        of_training = loss_on(self.train)
        return of_training, of_training if other is None else loss_on(other)

    @cached_property
    def measured(self) -> dict[str, float]:
        """Loss and accuracy of the network on held-out samples, or else those of the last epoch."""
        names, other = ("loss", "accuracy"), self.held_out
        if other is None:
            return {name: self.course(name)[-1] for name in names if self.course(name)}
        if other is self.validation and not self.selects_best and self.course("val_loss"):
            return {n: self.course(f"val_{n}")[-1] for n in names if self.course(f"val_{n}")}
        return self.network._evaluate_data(other, self.threads)

    @cached_property
    def skill(self) -> float | None:
        """Share of the loss of a constant prediction that the network avoids, where it is measured.

        It is 1 for a loss of 0, and 0 or less if the network is no better than a constant.
        """
        return self._skill(self.measured.get("loss"), 1)

    @cached_property
    def training_skill(self) -> float | None:
        """The same on training samples, in the last epoch."""
        losses = self.course("loss")
        return self._skill(losses[(self.epoch or 0) - 1] if losses else None, 0)

    def _skill(self, loss: float | None, part: int) -> float | None:
        constants = self.constant_losses
        if constants is None or loss is None or not np.isfinite(loss):
            return None
        constant = constants[part]
        if self.loss.link == "exp":  # the loss of counts has no floor of 0
            return (constant - loss) / max(abs(constant), _TINY)
        return 1.0 - loss / constant if constant > 0 else None

    # ------------------------------------------------------------ a look into the network

    @cached_property
    def sample(self) -> Data | None:
        """Some training samples at equal distances; None if the training was too short for it.

        It is None for sparse samples, too.
        """
        if isinstance(self.train.rows, tuple):
            return None
        count = len(self.train)
        architecture = self.network.architecture
        units = architecture.members * sum(architecture.layer_sizes[1:])
        wanted = min(
            _MOST_SAMPLES,
            _MOST_OUTPUTS // units,
            count,
            count * self.epochs // _SAMPLES_SEEN_FOR_ONE,
        )
        if wanted < min(_FEWEST_SAMPLES, count):
            return None
        return _some(self.train, wanted)

    @cached_property
    def inputs(self) -> Array | None:
        """Some inputs as the first layer reads them; None if it does not read plain numbers."""
        rows = self.train.rows
        if self.network.architecture.inputs or isinstance(rows, tuple):
            return None
        places = np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows))).astype(np.int64)
        return rows[places].astype(np.float64) * self.network.architecture.input_scale

    @cached_property
    def activations(self) -> list[Array]:
        """Outputs of the hidden layers for the sample, members one after the other."""
        if self.sample is None:
            return []
        arrays = self.network._network.hidden_outputs(self.sample.rows, self.threads)
        return [array.reshape(-1, array.shape[-1]) for array in arrays]

    @cached_property
    def gradients(self) -> list[float]:
        """Root mean square of the gradient by the weights of each layer, for the sample."""
        if self.sample is None or isinstance(self.loss, UserLoss):
            return []
        _, arrays = self.network._gradients(self.sample, False, False, self.threads or None)
        with np.errstate(over="ignore"):
            return [
                float(np.sqrt(np.mean(np.square(array.astype(np.float64)))))
                for array in arrays["weights"]
            ]

    @property
    def classes(self) -> Array | None:
        """True classes where the result is measured; None if the targets are no classes."""
        data = self.train if self.held_out is None else self.held_out
        if not self.network.is_classifier or data.targets[0].dtype != np.int64:
            return None
        return labels_of(data, self.network.layer_sizes[-1])

    @property
    def frequent_class(self) -> int:
        """The class with the largest weight in the training part."""
        labels = labels_of(self.train, self.network.layer_sizes[-1])
        counts = np.bincount(labels, self.train.sample_weight)
        return int(counts.argmax())

    @cached_property
    def decided(self) -> tuple[Array, Array] | None:
        """True and predicted classes of some samples, held-out ones if there are any."""
        data = self.sample
        others = None if self.held_out is None else self.held_out.rows
        if self.classes is None or data is None or isinstance(others, tuple):
            return None
        if self.held_out is not None:
            data = _some(self.held_out, min(len(self.held_out), _MOST_SAMPLES, 5 * len(data)))
        predicted = self.network._classes_of(data.rows, self.threads).astype(np.int64)
        return labels_of(data, self.network.layer_sizes[-1]), predicted


def _some(data: Data, count: int) -> Data:
    """Return samples at equal distances."""
    places = np.linspace(0, len(data) - 1, count).astype(np.int64)
    rows, weights = data.rows, data.sample_weight
    assert not isinstance(rows, tuple)
    return Data(
        np.ascontiguousarray(rows[places]),
        [np.ascontiguousarray(targets[places]) for targets in data.targets],
        None if weights is None else np.ascontiguousarray(weights[places]),
    )


def initial_parameters(network: Network) -> dict[str, Array] | None:
    """Return the parameters before a training, for its evidence; None if they are too many."""
    shapes = network.architecture.parameter_shapes().values()
    return network.parameters() if sum(map(math.prod, shapes)) <= _MOST_COPIED else None


def labels_of(data: Data, classes: int) -> Array:
    """Return a copy of the labels, within the classes: another thread may change the originals."""
    labels: Array = np.clip(np.array(data.targets[0]), 0, classes - 1)
    return labels


def best_constant(loss: Loss, data: Data, outputs: int) -> Floats | None:
    """Return the outputs of the network that predicts best without looking at its inputs."""
    targets, weights = data.targets[0], data.sample_weight
    if loss.takes_classes and targets.dtype == np.int64:
        labels = labels_of(data, outputs)
        shares = np.bincount(labels, weights, minlength=outputs) / data.total_weight
        if loss.link != "softmax":  # scores, of which the largest counts
            return np.where(np.arange(outputs) == shares.argmax(), 1.0, 0.0)
        return np.log(np.maximum(shares, _TINY))
    values = np.asarray(targets, np.float64).reshape(len(targets), -1)
    if loss.link == "softmax":
        shares = np.average(values, axis=0, weights=weights)
        return np.log(np.maximum(shares, _TINY))
    if loss.name in ("mae", "huber"):
        return np.median(values, axis=0)
    if loss.name == "quantile":
        levels = np.broadcast_to(np.asarray(loss.levels, np.float64), (outputs,))  # type: ignore[attr-defined]
        return np.array([np.quantile(c, q) for c, q in zip(values.T, levels, strict=True)])
    mean = np.average(values, axis=0, weights=weights)
    if loss.link == "sigmoid":
        mean = np.clip(mean, _TINY, 1 - _TINY)
        return np.log(mean) - np.log1p(-mean)
    return np.log(np.maximum(mean, _TINY)) if loss.link == "exp" else mean
