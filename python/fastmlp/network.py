"""A network as users see it: its parameters, and what can be computed without changing them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.linalg import norm

from fastmlp import _core
from fastmlp.architecture import Architecture
from fastmlp.losses import UserLoss, core_function
from fastmlp.parameters import Parameters, checked_parameter, checked_parameters
from fastmlp.samples import Data, Rows, class_weighted, row_count, samples
from fastmlp.validation import core_array, integer, sample_weights, thread_count

__all__ = ["Network"]

Array = npt.NDArray[Any]
_KINDS = ("weights", "biases", "scales", "means", "variances")
_SAFE_PARAMETER = 1e30  # of an initializer: no weight is a hundred million times larger


class Network:
    """What `fastmlp.MLP` is apart from its training."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._trainable = [True] * architecture.layers
        single = architecture.dtype == np.float32
        network_type = _core.Network32 if single else _core.Network64
        self._run_type = _core.Run32 if single else _core.Run64
        self._gradient_type = _core.Gradient32 if single else _core.Gradient64
        self._network = network_type(architecture.spec())
        initializer = architecture.initializer
        self._network.initialize(initializer.name, initializer.parameter, architecture.seed)
        if abs(initializer.parameter) > _SAFE_PARAMETER:
            self._require_finite_weights()

    def _require_finite_weights(self) -> None:
        initializer = self._architecture.initializer
        for layer, weights in self.layer_arrays("weights"):
            if not np.isfinite(weights).all():
                names = [f.name for f in dataclasses.fields(initializer) if f.name != "name"]
                raise ValueError(
                    f"initializer: {names[0]} must give weights that are finite in "
                    f"{self.dtype.name}, got {initializer.parameter!r}, too much for layer {layer}"
                )

    @property
    def architecture(self) -> Architecture:
        """What the network is, as it was checked."""
        return self._architecture

    @property
    def layer_sizes(self) -> list[int]:
        """Features, hidden layers, outputs."""
        return list(self._architecture.layer_sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Scalar type of parameters and arithmetic."""
        return self._architecture.dtype

    @property
    def is_classifier(self) -> bool:
        """Whether the loss takes class labels."""
        losses = self._architecture.losses
        return len(losses) == 1 and losses[0].takes_classes

    @property
    def tells_accuracy(self) -> bool:
        """Whether training and `evaluate` measure an accuracy, with several losses the first's."""
        return self._architecture.losses[0].tells_accuracy

    @property
    def isa(self) -> str:
        """Instruction set whose kernels this model runs on."""
        return str(self._network.isa)

    # Frozen layers

    @property
    def trainable(self) -> list[bool]:
        """Of each layer, whether `fit` changes it."""
        return list(self._trainable)

    def trainable_flags(self) -> list[bool]:
        """The same as the core takes it: empty where all are."""
        return [] if all(self._trainable) else list(self._trainable)

    def freeze(self, layers: int | Sequence[int]) -> None:
        """Keep layers as they are: from the first where >= 0, from the last where negative.

        A frozen layer with batch normalisation uses its running moments.

        Raises
        ------
        ValueError
            No such layer, or none would be left to train.
        """
        self._set_trainable(layers, False)

    def unfreeze(self, layers: int | Sequence[int] | None = None) -> None:
        """Train layers again, all of them by default."""
        everything = list(range(len(self._trainable)))
        self._set_trainable(everything if layers is None else layers, True)

    def _set_trainable(self, layers: int | Sequence[int], value: bool) -> None:
        count = len(self._trainable)
        changed = list(self._trainable)
        for layer in [layers] if np.ndim(layers) == 0 else layers:  # type: ignore[union-attr]
            changed[integer("layers", layer, -count, count - 1)] = value
        if not any(changed):
            raise ValueError("layers must leave one to be trained, got all of them")
        self._trainable = changed

    # Parameters

    @property
    def weights(self) -> list[Array]:
        """Copies of the weights, (in, out) each; assign a list, or one item, to set them."""
        return self._list("weights")

    @weights.setter
    def weights(self, values: Sequence[npt.ArrayLike]) -> None:
        self._set_list("weights", values)

    @property
    def biases(self) -> list[Array]:
        """Copies of the biases, (out,) each; assign a list, or one item, to set them."""
        return self._list("biases")

    @biases.setter
    def biases(self, values: Sequence[npt.ArrayLike]) -> None:
        self._set_list("biases", values)

    def _list(self, kind: str) -> list[Array]:
        def assign(layer: int, value: object) -> None:
            sizes = self._architecture.layer_sizes
            self.assign(kind, layer, checked_parameter(kind, layer, value, sizes, self.dtype))

        return Parameters((array for _, array in self.layer_arrays(kind)), assign)

    def _set_list(self, kind: str, values: object) -> None:
        sizes = self._architecture.layer_sizes
        checked = checked_parameters(kind, values, sizes, self.dtype)
        self._assign_all([(kind, layer, value) for layer, value in enumerate(checked)])

    def layer_arrays(self, kind: str) -> Iterator[tuple[int, Array]]:
        """Layers that have arrays of this kind, and copies of these."""
        normalises = (*self._architecture.batch_normalization, False)
        for layer in range(self._architecture.layers):
            if kind in ("weights", "biases") or normalises[layer]:
                yield layer, self._network.get(kind, layer)

    def assign(self, kind: str, layer: int, values: Array) -> None:
        """Set one array, which has its shape."""
        self._assign_all([(kind, layer, values)])

    def _assign_all(self, arrays: list[tuple[str, int, Array]]) -> None:
        """Set them in one call of the core, which no signal can cut in two."""
        self._network.set_all(
            [(kind, layer, core_array(values, self.dtype)) for kind, layer, values in arrays]
        )

    def parameters(self) -> dict[str, Array]:
        """Copies of all that makes the network what it is.

        Returns
        -------
        dict of str to array
            ``layers.<i>.weights`` (in, out) and ``layers.<i>.biases`` (out,) and, where layer i has
            batch normalisation, its ``scales``, running ``means`` and ``variances`` (out,).
        """
        return {
            f"layers.{layer}.{kind}": array
            for kind in _KINDS
            for layer, array in self.layer_arrays(kind)
        }

    def set_parameters(self, parameters: Mapping[str, npt.ArrayLike]) -> None:
        """Set all that `parameters` gives.

        Raises
        ------
        ValueError
            Names, shapes or values do not fit the network; nothing is changed then.
        """
        checked = self._checked_parameters(parameters)
        places = (name.split(".") for name in checked)
        self._assign_all(
            [(kind, int(layer), checked[f"layers.{layer}.{kind}"]) for _, layer, kind in places]
        )

    def _checked_parameters(self, parameters: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Arrays of the model's type, or an error."""
        places = {
            f"layers.{layer}.{kind}": (kind, layer)
            for kind in _KINDS
            for layer, _ in self.layer_arrays(kind)
        }
        if not isinstance(parameters, Mapping):
            raise TypeError(f"parameters must be a mapping, got {type(parameters).__name__}")
        if set(parameters) != set(places):
            raise ValueError(
                f"parameters must be {', '.join(sorted(places))}, got "
                f"{', '.join(sorted(map(str, parameters))) or 'none'}"
            )
        sizes = self._architecture.layer_sizes
        return {
            name: checked_parameter(kind, layer, parameters[name], sizes, self.dtype)
            for name, (kind, layer) in places.items()
        }

    def put_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Set all that `parameters` gives, without a word to what a training goes on from."""
        places = (name.split(".") for name in parameters)
        arrays = [(kind, int(layer)) for _, layer, kind in places]
        self._network.set_all([(*p, a) for p, a in zip(arrays, parameters.values(), strict=True)])

    # Samples

    def _rows(self, x: object, name: str = "x") -> Rows:
        return samples(name, x, self._architecture.layer_sizes[0], self.dtype)

    def _data(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: object = None,
        prefix: str = "",
    ) -> Data:
        rows = self._rows(x, f"{prefix}x")
        count = row_count(rows)
        architecture = self._architecture
        losses = architecture.losses
        groups = architecture.groups
        targets = [y] if len(losses) == 1 else y
        if not isinstance(targets, (list, tuple)) or len(targets) != len(losses):
            raise TypeError(f"{prefix}y must be a list of {len(losses)} arrays, one per loss")
        checked = [
            loss.targets(
                f"{prefix}y" if len(losses) == 1 else f"{prefix}y[{i}]",
                target,
                count,
                group.stop - group.start,
                self.dtype,
            )
            for i, (loss, group, target) in enumerate(zip(losses, groups, targets, strict=True))
        ]
        weights = sample_weights(f"{prefix}sample_weight", sample_weight, count, self.dtype)
        if class_weight is not None:
            labels = checked[0]
            if labels.dtype != np.int64:
                raise ValueError("class_weight needs targets that are classes")
            classes = groups[0].stop
            weights = class_weighted(weights, class_weight, labels, classes, self.dtype)
        if weights is not None and isinstance(losses[0], UserLoss):
            raise ValueError("a user-defined loss gets no weights of samples or classes")
        return Data(rows, checked, weights)

    def _training_data(
        self, x: object, y: object, sample_weight: object, class_weight: object
    ) -> Data:
        core_function(self._architecture.losses)  # is known, or an error
        return self._data(x, y, sample_weight, class_weight)

    def _checked_validation(self, data: object) -> Data | None:
        if data is None:
            return None
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise TypeError("validation_data must be (x, y) or (x, y, sample_weight)")
        weights = data[2] if len(data) == 3 else None
        return self._data(data[0], data[1], weights, prefix="validation_data: ")

    # Computing

    def forward(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Outputs of the last layer, (samples, outputs): logits for classification.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features)
        threads : int, optional
        """
        return self.outputs_of(self._rows(x), self._architecture.link, thread_count(threads))

    def hidden_activations(self, x: npt.ArrayLike, *, threads: int | None = None) -> list[Array]:
        """Outputs of each hidden layer, (samples, units) each, as predictions see them."""
        return self._network.hidden_outputs(self._rows(x), thread_count(threads))

    def predict(self, x: npt.ArrayLike, *, threads: int | None = None) -> Any:
        """What the outputs say.

        Returns
        -------
        array
            Class indices, int64 (samples,), for losses of classes; 0 or 1, int64 (samples,) or
            (samples, outputs), for binary cross-entropy; rates for Poisson; else the outputs,
            (samples, outputs). With several losses a list of these.
        """
        rows = self._rows(x)
        team = thread_count(threads)
        if self.is_classifier:
            return self.classes_of(rows, team).astype(np.int64)
        losses = self._architecture.losses
        if len(losses) == 1:
            link = "exp" if losses[0].link == "exp" else "none"
            outputs = self.outputs_of(rows, link, team)
            return _decided(losses[0].link, False, outputs)
        outputs = self.outputs_of(rows, "none", team)
        return [
            _decided(loss.link, loss.takes_classes, outputs[:, group])
            for loss, group in zip(losses, self._architecture.groups, strict=True)
        ]

    def predict_proba(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Probabilities, (samples, outputs): softmax or, for yes or no, sigmoid of the outputs.

        Raises
        ------
        ValueError
            The loss does not make probabilities of outputs.
        """
        losses = self._architecture.losses
        link = losses[0].link
        if len(losses) > 1 or link not in ("softmax", "sigmoid"):
            raise ValueError(
                "predict_proba requires a classification loss that makes probabilities, this is "
                f"{', '.join(loss.name for loss in losses)}"
            )
        return self.outputs_of(self._rows(x), link, thread_count(threads))

    def evaluate(
        self,
        x: npt.ArrayLike,
        y: Any,
        *,
        sample_weight: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> dict[str, float]:
        """Mean loss and, for classification, accuracy over samples of the shapes `fit` takes.

        `sample_weight` weighs both.
        """
        return self.evaluate_data(self._data(x, y, sample_weight), thread_count(threads))

    def evaluate_data(self, data: Data, threads: int) -> dict[str, float]:
        """The same for samples that have been checked."""
        function = core_function(self._architecture.losses)
        if function is not None:
            outputs = self.outputs_of(data.rows, "none", threads)
            return {"loss": float(function(outputs, data.targets[0])[0])}
        loss_sum, weight_sum, correct = self._network.evaluate(
            data.rows, data.targets, data.sample_weight, threads
        )
        measured = {"loss": loss_sum / weight_sum}
        if self.tells_accuracy:
            measured["accuracy"] = correct / weight_sum
        return measured

    def _gradients(
        self, data: Data, training: bool, wants_input: bool, threads: int | None
    ) -> tuple[float, dict[str, Any]]:
        gradient = self.core_gradient(len(data), thread_count(threads))
        return gradient.compute(
            data.rows,
            data.targets,
            sample_weight=data.sample_weight,
            training=training,
            seed=self._architecture.seed,
            with_input=wants_input,
            loss_function=core_function(self._architecture.losses),
        )

    def loss_and_gradients(
        self,
        x: npt.ArrayLike,
        y: Any,
        *,
        sample_weight: npt.ArrayLike | None = None,
        training: bool = False,
        threads: int | None = None,
    ) -> tuple[float, list[Array], list[Array]]:
        """Mean loss over the samples and its gradient, without changing the model.

        Parameters
        ----------
        x, y, sample_weight
            As `fit` takes them.
        training : bool
            With dropout, noise, and the samples' own moments in batch normalisation.
        threads : int, optional

        Returns
        -------
        loss : float
        dweights, dbiases : list of arrays
            Shapes of ``weights`` and ``biases``. Penalties are not part of either.
        """
        loss, arrays = self._gradients(self._data(x, y, sample_weight), training, False, threads)
        return loss, arrays["weights"], arrays["biases"]

    def input_gradients(self, x: npt.ArrayLike, y: Any, *, threads: int | None = None) -> Array:
        """Gradient of the mean loss by the inputs, (samples, features)."""
        _, arrays = self._gradients(self._data(x, y), False, True, threads)
        scaled: Array = arrays["input"] * self.dtype.type(self._architecture.input_scale)
        return scaled

    def gradient_norms(
        self, x: npt.ArrayLike, y: Any, *, training: bool = False, threads: int | None = None
    ) -> list[float]:
        """Euclidean norm of the gradient by each layer's weights."""
        _, arrays = self._gradients(self._data(x, y), training, False, threads)
        return [float(norm(array)) for array in arrays["weights"]]

    def outputs_of(self, rows: Rows, link: str, threads: int) -> Array:
        """Outputs after the function `link` for rows that have been checked."""
        return self._network.forward(rows, link, threads)

    def classes_of(self, rows: Rows, threads: int) -> npt.NDArray[np.int32]:
        """Index of the largest output for rows that have been checked."""
        return self._network.predict_classes(rows, threads)

    def core_gradient(self, batch_size: int, threads: int) -> _core.Gradient32 | _core.Gradient64:
        """The core's loss and gradient of up to `batch_size` samples; 0 threads: its choice."""
        return self._gradient_type(self._network, integer("samples", batch_size, 1), threads)

    def core_run(self, batch_size: int, rule: str, threads: int) -> _core.Run32 | _core.Run64:
        """The core's training run; 0 threads: its choice."""
        return self._run_type(self._network, batch_size, rule, threads)


def _decided(link: str, takes_classes: bool, outputs: Array) -> Array:
    """Predictions from outputs of one loss."""
    if takes_classes:
        classes: Array = np.argmax(outputs, axis=1).astype(np.int64)
        return classes
    if link != "sigmoid":
        return outputs
    yes = (outputs > 0).astype(np.int64)
    return yes.reshape(-1) if yes.shape[1] == 1 else yes
