"""The model: a network of the core with names, defaults, messages and a history."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastmlp import _core
from fastmlp.errors import DivergedError
from fastmlp.history import History, Record, epoch_line
from fastmlp.optimizers import Optimizer, checked_optimizer
from fastmlp.parameters import Parameters, checked_parameter, checked_parameters
from fastmlp.plan import Plan
from fastmlp.validation import (
    choice,
    class_targets,
    input_rows,
    integer,
    real,
    thread_count,
    value_targets,
)
from fastmlp.validation import (
    layer_sizes as checked_layer_sizes,
)

__all__ = ["MLP", "History"]

ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")
LOSSES = ("softmax_cross_entropy", "mse")
INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal")
_CLASSIFICATION_LOSSES = ("softmax_cross_entropy",)

Array = npt.NDArray[Any]
Progress = Callable[[int, int, float, "float | None"], object]


class Callback(Protocol):
    """Called after each epoch; returning True ends the training."""

    def __call__(self, model: MLP, record: Record) -> object: ...


class MLP:
    """A multi-layer perceptron.

    Layer ``l`` computes ``act(x W + b)`` with ``W`` of shape (in, out); all arithmetic is done by
    the C++ core, with the same bits for any number of threads and on any instruction set.

    Parameters
    ----------
    layer_sizes : sequence of int
        Features, hidden layers, outputs: at least two positive numbers.
    activation : {"relu", "sigmoid", "tanh", "identity"}
        Of the hidden layers.
    loss : {"softmax_cross_entropy", "mse"}
        ``softmax_cross_entropy`` takes class labels 0..outputs-1 and reads the outputs as logits.
        ``mse`` takes values of shape (samples, outputs): the mean over samples of the sum over
        outputs of the squared error.
    input_scale : float
        Every input is multiplied by it, 1/255 for bytes to [0, 1].
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int
        Of the initial weights and of the shuffling, >= 0.
    initializer : {"he_normal", "he_uniform", "glorot_normal", "glorot_uniform"}, optional
        He et al. (2015) by default for ReLU, Glorot and Bengio (2010) for the others. Biases are 0.
    output_activation : {"identity", "relu", "sigmoid", "tanh"}
        Of the last layer; ``softmax_cross_entropy`` requires ``identity``.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range.
    MemoryError
        The parameters do not fit into memory.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str = "relu",
        loss: str = "softmax_cross_entropy",
        input_scale: float = 1.0,
        dtype: str = "float32",
        seed: int = 0,
        initializer: str | None = None,
        output_activation: str = "identity",
    ) -> None:
        self._layer_sizes = checked_layer_sizes(layer_sizes)
        self._activation = choice("activation", activation, ACTIVATIONS)
        self._loss = choice("loss", loss, LOSSES)
        self._input_scale = real("input_scale", input_scale, -np.inf)
        dtype_name = dtype if isinstance(dtype, str) else _dtype_name(dtype)
        self._dtype = np.dtype(choice("dtype", dtype_name, ("float32", "float64")))
        self._seed = integer("seed", seed, 0, 2**64 - 1)
        default = "he_normal" if activation == "relu" else "glorot_uniform"
        self._initializer = choice(
            "initializer", default if initializer is None else initializer, INITIALIZERS
        )
        self._output_activation = choice("output_activation", output_activation, ACTIVATIONS)
        if self.is_classifier and output_activation != "identity":
            raise ValueError(
                "output_activation must be 'identity' with softmax_cross_entropy, which reads the "
                f"outputs as logits, got {output_activation!r}"
            )
        single = self._dtype == np.float32
        activations = [activation] * (len(self._layer_sizes) - 2) + [output_activation]
        network_type = _core.Network32 if single else _core.Network64
        self._run_type = _core.Run32 if single else _core.Run64
        self._network = network_type(self._layer_sizes, activations, loss, self._input_scale)
        self._network.initialize(self._initializer, self._seed)
        self._fitting = threading.Lock()

    def __repr__(self) -> str:
        sizes = "-".join(str(size) for size in self._layer_sizes)
        return f"MLP({sizes}, activation={self._activation!r}, loss={self._loss!r}, {self._dtype})"

    @property
    def layer_sizes(self) -> list[int]:
        """Features, hidden layers, outputs."""
        return list(self._layer_sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Scalar type of parameters and arithmetic."""
        return self._dtype

    @property
    def is_classifier(self) -> bool:
        """Whether the loss takes class labels."""
        return self._loss in _CLASSIFICATION_LOSSES

    @property
    def isa(self) -> str:
        """Instruction set whose kernels this model runs on."""
        return str(self._network.isa)

    @property
    def weights(self) -> list[Array]:
        """Copies of the weights, (in, out) each; assign a list, or one item, to set them."""
        layers = range(len(self._layer_sizes) - 1)
        return Parameters((self._network.get_weights(i) for i in layers), self._set_weights)

    @weights.setter
    def weights(self, values: Sequence[npt.ArrayLike]) -> None:
        for i, value in enumerate(self._checked_parameters("weights", values)):
            self._network.set_weights(i, value)

    @property
    def biases(self) -> list[Array]:
        """Copies of the biases, (out,) each; assign a list, or one item, to set them."""
        layers = range(len(self._layer_sizes) - 1)
        return Parameters((self._network.get_biases(i) for i in layers), self._set_biases)

    @biases.setter
    def biases(self, values: Sequence[npt.ArrayLike]) -> None:
        for i, value in enumerate(self._checked_parameters("biases", values)):
            self._network.set_biases(i, value)

    def _set_weights(self, layer: int, value: object) -> None:
        self._network.set_weights(layer, self._checked_parameter("weights", layer, value))

    def _set_biases(self, layer: int, value: object) -> None:
        self._network.set_biases(layer, self._checked_parameter("biases", layer, value))

    def _checked_parameter(self, name: str, layer: int, value: object) -> Array:
        return checked_parameter(name, layer, value, self._layer_sizes, self._dtype)

    def _checked_parameters(self, name: str, values: object) -> list[Array]:
        return checked_parameters(name, values, self._layer_sizes, self._dtype)

    def _checked_samples(self, x: object, y: object, prefix: str = "") -> tuple[Array, Array]:
        rows = input_rows(f"{prefix}x", x, self._layer_sizes[0], self._dtype)
        outputs = self._layer_sizes[-1]
        if self.is_classifier:
            return rows, class_targets(f"{prefix}y", y, len(rows), outputs)
        return rows, value_targets(f"{prefix}y", y, len(rows), outputs, self._dtype)

    def _checked_validation(self, data: object) -> tuple[Array, Array] | None:
        if data is None:
            return None
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError("validation_data must be a pair (x, y)")
        return self._checked_samples(data[0], data[1], "validation_data: ")

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        validation_data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        shuffle: bool = True,
        threads: int | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
        progress: Progress | None = None,
    ) -> History:
        """Train on mini-batches; the state of the optimizer starts at zero.

        Parameters
        ----------
        x : array of shape (samples, features)
            uint8 is used as it is; other real types are converted to the model's dtype.
        y : array
            Labels of shape (samples,), or values of shape (samples, outputs), by the loss.
        epochs, batch_size : int
            At least 1. The last batch of an epoch may be smaller and is averaged over its own size.
        optimizer : Optimizer, optional
            ``SGD(learning_rate=0.1, momentum=0.9)`` by default.
        validation_data : pair of arrays, optional
            Evaluated after each epoch.
        shuffle : bool
            A new order each epoch, a function of the model's seed and the epoch alone.
        threads : int, optional
            By default chosen by the work of a step and the CPUs of the process. The result does
            not depend on it.
        callbacks : sequence of callables
            Called as ``callback(model, record)`` after each epoch; True ends the training.
            ``record`` holds epoch (from 1), epochs, loss, seconds, learning_rate and, where they
            exist, accuracy, val_loss, val_accuracy.
        verbose : int
            0 is silent, 1 prints a line per epoch to standard error.
        progress : callable, optional
            Called at most every 25 ms as ``progress(samples_done, samples, mean_loss, accuracy)``.

        Returns
        -------
        History

        Raises
        ------
        TypeError, ValueError
            An argument is of the wrong kind, shape or range.
        DivergedError
            The loss became NaN or infinite; the model has the weights of the last completed epoch.
        RuntimeError
            Another thread is training this model.
        """
        epochs = integer("epochs", epochs, 1)
        batch_size = integer("batch_size", batch_size, 1)
        team = thread_count(threads)
        optimizer = checked_optimizer(optimizer)
        if not isinstance(callbacks, (list, tuple)) or not all(map(callable, callbacks)):
            raise TypeError(f"callbacks must be a list or tuple of callables, got {callbacks!r}")
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable, got {type(progress).__name__}")
        rows, targets = self._checked_samples(x, y)
        validation = self._checked_validation(validation_data)
        if not self._fitting.acquire(blocking=False):
            raise RuntimeError("the model is being trained by another thread")
        try:
            run = self._run_type(self._network, min(batch_size, len(rows)), optimizer.rule, team)
            history = History()
            for epoch in range(epochs):
                record = self._fit_epoch(run, rows, targets, optimizer, epoch, shuffle, progress)
                record["epochs"] = epochs
                if validation is not None:
                    measured = self._evaluate_checked(*validation, team)
                    record.update({f"val_{name}": value for name, value in measured.items()})
                history.append(record)
                if verbose:
                    print(epoch_line(record), file=sys.stderr, flush=True)
                stops = [callback(self, dict(record)) is True for callback in callbacks]
                if any(stops):
                    break
            return history
        finally:
            self._fitting.release()

    def plan(
        self,
        *,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        threads: int | None = None,
    ) -> Plan:
        """How `fit` would compute a step: print it to read it in words.

        Parameters
        ----------
        batch_size, optimizer, threads
            As in `fit`.

        Returns
        -------
        Plan

        Raises
        ------
        TypeError, ValueError
            An argument is of the wrong kind or out of range.
        MemoryError
            The run would not fit into memory.
        """
        batch_size = integer("batch_size", batch_size, 1)
        optimizer = checked_optimizer(optimizer)
        run = self._run_type(self._network, batch_size, optimizer.rule, thread_count(threads))
        return Plan(
            layer_sizes=tuple(self._layer_sizes),
            batch_size=batch_size,
            dtype=str(self._dtype),
            optimizer=optimizer.rule,
            **run.plan,
        )

    def _fit_epoch(
        self,
        run: _core.Run32 | _core.Run64,
        rows: Array,
        targets: Array,
        optimizer: Optimizer,
        epoch: int,
        shuffle: bool,
        progress: Progress | None,
    ) -> Record:
        settings = optimizer.settings_at(epoch)
        rate = settings["learning_rate"]
        report: Callable[[int, float, int], object] | None = None
        if progress is not None:

            def report(done: int, loss_sum: float, correct: int) -> None:
                accuracy = correct / max(done, 1) if self.is_classifier else None
                progress(done, len(rows), loss_sum / max(done, 1), accuracy)

        start = time.perf_counter()
        result = run.run_epoch(rows, targets, settings, bool(shuffle), self._seed, epoch, report)
        seconds = time.perf_counter() - start
        if result["status"] == "diverged":
            # An update that overflows after the last step of an epoch belongs to that step.
            step = result["steps"] + (result["samples"] < len(rows))
            raise DivergedError(
                f"training diverged in epoch {epoch + 1} at step {step}: the loss is NaN or "
                "infinite. The model keeps the weights it had before this epoch. Lower the "
                f"learning rate (it was {rate:g}) or scale the inputs.",
                epoch + 1,
                step,
            )
        record: Record = {"epoch": epoch + 1, "loss": result["loss_sum"] / len(rows)}
        if self.is_classifier:
            record["accuracy"] = result["correct"] / len(rows)
        return record | {"seconds": seconds, "learning_rate": rate}

    def evaluate(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, threads: int | None = None
    ) -> dict[str, float]:
        """Mean loss and, for classification, accuracy over samples of the shapes `fit` takes."""
        return self._evaluate_checked(*self._checked_samples(x, y), thread_count(threads))

    def _evaluate_checked(self, rows: Array, targets: Array, threads: int) -> dict[str, float]:
        loss_sum, correct = self._network.evaluate(rows, targets, threads)
        measured = {"loss": loss_sum / len(rows)}
        if self.is_classifier:
            measured["accuracy"] = correct / len(rows)
        return measured

    def _rows(self, x: npt.ArrayLike) -> Array:
        return input_rows("x", x, self._layer_sizes[0], self._dtype)

    def forward(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Outputs of the last layer, (samples, outputs): logits for classification."""
        return self._network.forward(self._rows(x), False, thread_count(threads))

    def predict(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Class indices, int64 (samples,), or for regression the outputs, (samples, outputs)."""
        if not self.is_classifier:
            return self.forward(x, threads=threads)
        classes = self._network.predict_classes(self._rows(x), thread_count(threads))
        return classes.astype(np.int64)

    def predict_proba(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Class probabilities, (samples, outputs): the softmax of the outputs.

        Raises
        ------
        ValueError
            The loss is not a classification loss.
        """
        if not self.is_classifier:
            raise ValueError(f"predict_proba requires a classification loss, this is {self._loss}")
        return self._network.forward(self._rows(x), True, thread_count(threads))

    def loss_and_gradients(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, threads: int | None = None
    ) -> tuple[float, list[Array], list[Array]]:
        """Mean loss over the samples and its gradient, without changing the model.

        Returns
        -------
        loss : float
        dweights, dbiases : list of arrays
            Shapes of ``weights`` and ``biases``. Regularisation is not part of either.
        """
        rows, targets = self._checked_samples(x, y)
        return self._network.loss_and_gradients(rows, targets, thread_count(threads))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to a safetensors file, atomically and with a digest over all of it."""
        from fastmlp.model_file import write_model

        tensors = {}
        for i, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors[f"layers.{i}.weights"] = weights
            tensors[f"layers.{i}.biases"] = biases
        config = {
            "layer_sizes": self._layer_sizes,
            "activation": self._activation,
            "loss": self._loss,
            "input_scale": self._input_scale,
            "dtype": self._dtype.name,
            "seed": self._seed,
            "initializer": self._initializer,
            "output_activation": self._output_activation,
        }
        write_model(path, tensors, config)


def _dtype_name(dtype: object) -> str:
    try:
        return np.dtype(dtype).name  # type: ignore[call-overload, no-any-return]
    except TypeError:
        raise TypeError(f"dtype must be 'float32' or 'float64', got {dtype!r}") from None
