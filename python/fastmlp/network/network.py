"""`Network`: parameters, predictions, losses and gradients; all of a model but its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.linalg import norm

from fastmlp import _core
from fastmlp._argument_names import suggests_names
from fastmlp._method_names import missing_attribute
from fastmlp.errors import did_you_mean
from fastmlp.losses import Loss, UserLoss, core_function
from fastmlp.metrics import get_metric, measures
from fastmlp.metrics.chosen import ChosenMetrics
from fastmlp.network.architecture import NORMALIZATION_EPSILON, Architecture
from fastmlp.network.chunks import Chunks
from fastmlp.network.destination import Destination, blocks_of
from fastmlp.network.parameters import (
    Parameters,
    checked_parameter,
    checked_parameters,
    parameter_place,
)
from fastmlp.network.samples import (
    Data,
    Rows,
    StandardizedRows,
    class_weighted,
    in_named_order,
    row_count,
    samples,
)
from fastmlp.network.standardization import InputScaling, Standardization, fitting_scale
from fastmlp.streams import OneShot, Source, as_source, as_source_of_samples
from fastmlp.validation import core_array, integer, require_finite, sample_weights, thread_count

__all__ = ["Network", "folded_parameters", "head_arguments", "hidden_parameters"]

Array = npt.NDArray[Any]
_Result = TypeVar("_Result")
_SAFE_PARAMETER = 1e30  # of an initializer: no weight is a hundred million times larger
_SET_BY_USERS = ("weights", "biases", "feature_names", "preprocessing")


class Network:
    """A network without its training: the base class of `fastmlp.MLP`."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._trainable = [True] * architecture.layers
        self._shapes = architecture.parameter_shapes()
        # Names of the columns of the frame that the network was trained with, in its order.
        self.feature_names: tuple[str, ...] | None = None
        self._standardization: Standardization | None = None
        single = architecture.dtype == np.float32
        network_type = _core.Network32 if single else _core.Network64
        self._run_type = _core.Run32 if single else _core.Run64
        self._gradient_type = _core.Gradient32 if single else _core.Gradient64
        self._network = network_type(architecture.spec())
        self._draw_parameters()
        if abs(architecture.initializer.parameter) > _SAFE_PARAMETER:
            self._require_finite_weights()

    def _draw_parameters(self) -> None:
        """Set all parameters to their initial values."""
        architecture, initializer = self._architecture, self._architecture.initializer
        self._network.initialize(initializer.name, initializer.parameter, architecture.seed)

    def _require_finite_weights(self) -> None:
        initializer = self._architecture.initializer
        for layer, weights in self._layer_arrays("weights"):
            if not np.isfinite(weights).all():
                names = [f.name for f in dataclasses.fields(initializer) if f.name != "name"]
                raise ValueError(
                    f"initializer: {names[0]} must give weights that are finite in "
                    f"{self.dtype.name}, got {initializer.parameter!r}, too much for layer {layer}"
                )

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    @property
    def architecture(self) -> Architecture:
        """Checked arguments of the network."""
        return self._architecture

    @property
    def layer_sizes(self) -> list[int]:
        """Features, units of each hidden layer, outputs."""
        return list(self._architecture.layer_sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Scalar type in which parameters are stored and all arithmetic is done."""
        return self._architecture.dtype

    @property
    def compute_dtype(self) -> str:
        """Name of the type of the factors of a training step's products: "bfloat16", or `dtype`."""
        return self._architecture.compute_dtype or self.dtype.name

    @property
    def is_classifier(self) -> bool:
        """Whether the loss takes class labels."""
        losses = self._architecture.losses
        return len(losses) == 1 and losses[0].takes_classes

    @property
    def _has_accuracy(self) -> bool:
        """Whether training and `evaluate` measure an accuracy; the first loss decides."""
        return self._architecture.losses[0].has_accuracy

    @property
    def standardization(self) -> Standardization | None:
        """How the network standardizes its samples; None: it takes them as they are.

        The first `fit` decides it, unless ``input_scale`` was given.
        """
        return self._standardization

    @property
    def isa(self) -> str:
        """Instruction set of the kernels in use, one of ``info()["isas_available"]``."""
        return str(self._network.isa)

    # Frozen layers

    @property
    def trainable(self) -> list[bool]:
        """Whether `fit` changes each layer."""
        return list(self._trainable)

    def _trainable_flags(self) -> list[bool]:
        """`trainable` as the core takes it: empty if all layers are trained."""
        return [] if all(self._trainable) else list(self._trainable)

    def freeze(self, layers: int | Sequence[int]) -> None:
        """Exclude layers from training.

        A frozen layer with batch normalization uses its running moments.

        Parameters
        ----------
        layers : int or sequence of int
            Indices of layers, from 0; negative ones count from the last layer.

        Raises
        ------
        ValueError
            A layer does not exist, or no layer would be trained.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([4, 8, 8, 3])
        >>> model.freeze([0, 1])
        >>> model.trainable
        [False, False, True]
        """
        self._set_trainable(layers, False)

    def unfreeze(self, layers: int | Sequence[int] | None = None) -> None:
        """Include layers in training again.

        Parameters
        ----------
        layers : int or sequence of int, optional
            Indices of layers, as in `freeze`; all layers by default.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([4, 8, 3])
        >>> model.freeze(0)
        >>> model.unfreeze()
        >>> model.trainable
        [True, True]
        """
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

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that is nearly `weights` or another of these is a slip."""
        is_own = name.startswith("_") or name in vars(self) or hasattr(type(self), name)
        if not (is_own or name in _SET_BY_USERS) and (meant := did_you_mean(name, _SET_BY_USERS)):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{meant}")
        super().__setattr__(name, value)

    @property
    def weights(self) -> list[Array]:
        """Read-only copies of the weights, shape (in, out), or (members, in, out) if each has own.

        Assigning a list, or one item of the list, sets the weights of the network.

        Examples
        --------
        >>> import numpy as np
        >>> from fastmlp import MLP
        >>> model = MLP([2, 3, 1], loss="mse")
        >>> model.weights[0] = np.ones((2, 3))
        >>> float(model.weights[0].sum())
        6.0
        """
        return self._list("weights")

    @weights.setter
    def weights(self, values: Sequence[npt.ArrayLike]) -> None:
        self._set_list("weights", values)

    @property
    def biases(self) -> list[Array]:
        """Read-only copies of the biases, shape (out,), or (members, out) if each has its own.

        Assigning a list, or one item of the list, sets the biases of the network.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([2, 3, 1], loss="mse")
        >>> model.biases = [[1, 2, 3], [4]]
        >>> model.biases
        [array([1., 2., 3.], dtype=float32), array([4.], dtype=float32)]
        """
        return self._list("biases")

    @biases.setter
    def biases(self, values: Sequence[npt.ArrayLike]) -> None:
        self._set_list("biases", values)

    def _list(self, kind: str) -> list[Array]:
        def assign(layer: int, value: object) -> None:
            shape = self._shapes[f"layers.{layer}.{kind}"]
            checked = checked_parameter(f"{kind}[{layer}]", value, shape, self.dtype)
            self._assign(kind, layer, checked)

        return Parameters((array for _, array in self._layer_arrays(kind)), assign)

    def _set_list(self, kind: str, values: object) -> None:
        layers = range(self._architecture.layers)
        shapes = [self._shapes[f"layers.{layer}.{kind}"] for layer in layers]
        checked = checked_parameters(kind, values, shapes, self.dtype)
        self._assign_all([(kind, layer, value) for layer, value in enumerate(checked)])

    def _layer_arrays(self, kind: str) -> Iterator[tuple[int, Array]]:
        """Yield each index that has an array of this kind, and a copy of the array."""
        for name in self._shapes:
            own, index = parameter_place(name)
            if own == kind:
                yield index, self._network.get(kind, index)

    def _assign(self, kind: str, layer: int, values: Array) -> None:
        """Set one array, whose shape has been checked."""
        self._assign_all([(kind, layer, values)])

    def _assign_all(self, arrays: list[tuple[str, int, Array]]) -> None:
        """Set arrays in one call of the core, which no signal interrupts halfway."""
        self._network.set_all(
            [(kind, layer, core_array(values, self.dtype)) for kind, layer, values in arrays]
        )

    def parameters(self) -> dict[str, Array]:
        """Copies of all parameters.

        Returns
        -------
        dict of str to array
            ``layers.<i>.weights`` of shape (in, out) and ``layers.<i>.biases`` of shape (out,) of
            each layer i; ``scales``, (out,), with normalization or members, ``shifts``, (out,), of
            layer normalization, ``mixes``, (out,), of parametric activations, ``input_scales``,
            (in,), and running ``means`` and ``variances``, (out,), of batch normalization, where a
            layer has them. What each member
            has for itself has the members as its first dimension. Of group g of ``inputs`` the
            arrays ``inputs.<g>.frequencies``, ``phases``, ``maps``, ``map_biases`` and ``tables``,
            whose first dimension is the column.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> {name: array.shape for name, array in MLP([2, 3]).parameters().items()}
        {'layers.0.weights': (2, 3), 'layers.0.biases': (3,)}
        """
        return {name: self._network.get(*parameter_place(name)) for name in self._shapes}

    def set_parameters(self, parameters: Mapping[str, npt.ArrayLike]) -> None:
        """Set all parameters.

        Parameters
        ----------
        parameters : mapping of str to array
            Names and shapes as `parameters` returns them.

        Raises
        ------
        TypeError, ValueError
            Names, shapes or values do not fit the network. Nothing is changed.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([2, 3], seed=1)
        >>> model.set_parameters(MLP([2, 3], seed=2).parameters())
        """
        checked = self._checked_parameters(parameters)
        self._assign_all([(*parameter_place(name), array) for name, array in checked.items()])

    def _checked_parameters(self, parameters: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Return the arrays in the model's dtype, or raise."""
        if not isinstance(parameters, Mapping):
            raise TypeError(f"parameters must be a mapping, got {type(parameters).__name__}")
        if set(parameters) != set(self._shapes):
            raise ValueError(
                f"parameters must be {', '.join(sorted(self._shapes))}, got "
                f"{', '.join(sorted(map(str, parameters))) or 'none'}"
            )
        return {
            name: checked_parameter(name, parameters[name], shape, self.dtype)
            for name, shape in self._shapes.items()
        }

    def _put_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Set parameters without changing what a resumed training continues from."""
        self._network.set_all(
            [(*parameter_place(name), array) for name, array in parameters.items()]
        )

    # Samples

    def _rows(self, x: object, name: str = "x", *, one_pass: bool = False) -> Rows:
        if self.feature_names is not None:
            x = in_named_order(name, x, self.feature_names)
        features = self._architecture.layer_sizes[0]
        if self._standardization is None:
            return samples(name, x, features, self.dtype, one_pass=one_pass)
        rows = samples(name, x, features, _exact_dtype(x), one_pass=one_pass)
        return self._standardization.of_rows(name, rows, self.dtype, one_pass=one_pass)

    def _in_one_pass(self, x: object, compute: Callable[[Rows], _Result]) -> _Result:
        """Return what the core computes of samples, which it checks as it reads them."""
        try:
            return compute(self._rows(x, one_pass=True))
        except ValueError:
            self._rows(x)  # names what is not finite
            raise

    def _of_samples(self, x: Any, compute: Callable[[Rows], Any], out: Any = None) -> Any:
        """Return what the core computes of samples, or of all chunks of a source of them.

        With `out`, it is written there block by block.
        """
        source = as_source_of_samples(x)
        if out is not None:
            return self._written(x, source, compute, out)
        if source is None:
            return self._in_one_pass(x, compute)
        return _joined(compute(rows) for rows in self._rows_of_source(source))

    def _written(
        self, x: Any, source: Source | None, compute: Callable[[Rows], Any], out: Any
    ) -> Any:
        """Write what the core computes of samples to `out`, and return it."""

        def write(rows: Rows, destination: Destination) -> None:
            destination.require_apart(rows)
            for block in blocks_of(rows):
                destination.write(compute(block))

        def write_all(rows: Rows) -> Any:
            destination = Destination(out, row_count(rows))
            write(rows, destination)
            return destination.complete()

        if source is None:
            return self._in_one_pass(x, write_all)
        destination = Destination(out, Chunks(source, self._data).samples)
        for rows in self._rows_of_source(source):
            write(rows, destination)
        return destination.complete()

    def _choose_scale(self, x: object, sample_weight: object = None) -> None:
        """Decide by samples that count how the network scales its inputs."""
        self._standardization = None
        features = self._architecture.layer_sizes[0]
        rows = samples("x", x, features, _exact_dtype(x))
        if sample_weight is not None and not isinstance(rows, tuple):
            weights = sample_weights("sample_weight", sample_weight, len(rows), self.dtype)
            if weights is not None and not weights.all():
                rows = rows[weights != 0]
        scale = fitting_scale(rows, features)
        if isinstance(scale, Standardization):
            samples("x", x, features, self.dtype)  # refuses numbers beyond the dtype of the network
            self._standardization = scale
        factor = scale if isinstance(scale, float) else 1.0
        self._put_scaling(InputScaling(factor, self._standardization))

    @property
    def _scaling(self) -> InputScaling:
        return InputScaling(self._architecture.input_scale, self._standardization)

    def _put_scaling(self, scaling: InputScaling) -> None:
        self._architecture = self._architecture.with_input_scale(scaling.factor)
        self._network.set_input_scale(scaling.factor)
        self._standardization = scaling.standardization

    def _data(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: object = None,
        prefix: str = "",
    ) -> Data:
        self._refuse_swapped(x, y, prefix)
        rows = self._rows(x, f"{prefix}x")
        return self._data_of(rows, x, y, sample_weight, class_weight, prefix)

    def _data_of(
        self,
        rows: Rows,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: object = None,
        prefix: str = "",
        *,
        of_part: bool = False,
    ) -> Data:
        """`_data` for samples x that the core can read."""
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
        weights = sample_weights(
            f"{prefix}sample_weight", sample_weight, count, self.dtype, of_part=of_part
        )
        if class_weight is not None:
            labels = checked[0]
            if labels.dtype != np.int64:
                raise ValueError("class_weight needs targets that are classes")
            classes = groups[0].stop
            weights = class_weighted(weights, class_weight, labels, classes, self.dtype)
        if weights is not None and isinstance(losses[0], UserLoss):
            raise ValueError("a user-defined loss gets no weights of samples or classes")
        return Data(rows, checked, weights)

    def _refuse_swapped(self, x: object, y: object, prefix: str = "") -> None:
        features = self._architecture.layer_sizes[0]
        came: Any = getattr(x, "shape", ())
        if features > 1 and len(came) == 1 and getattr(y, "shape", ()) == (came[0], features):
            raise ValueError(
                f"{prefix}x must have shape (samples, {features}), got {tuple(came)}; y is of that "
                "shape: write x before y"
            )

    def _refuse_targets_of_source(self, method: str, x: object) -> None:
        """Raise TypeError if samples that come with targets are a source, which has its own."""
        if as_source_of_samples(x) is not None:
            raise TypeError(
                f"y must be left out with a source of batches (x, y), got one of type "
                f"{type(x).__name__} and y; MLP.{method}(x) takes the targets from the source"
            )

    def _training_data(
        self, x: object, y: object, sample_weight: object, class_weight: object
    ) -> Data:
        core_function(self._architecture.losses)  # is known, or an error
        return self._data(x, y, sample_weight, class_weight)

    def _chunks(
        self,
        method: str,
        source: object,
        sample_weight: object = None,
        class_weight: object = None,
        prefix: str = "",
    ) -> Chunks:
        """Return the chunks of a source, which is what comes without y to a method."""
        found = as_source(source)
        if found is None:
            self._rows(source, f"{prefix}x")  # says what is wrong with them, if something is
            raise TypeError(
                f"{prefix}y must be an array of real numbers, got None; MLP.{method}() needs y, as "
                f"in MLP.{method}(x, y), or a source of batches (x, y) alone"
            )
        if sample_weight is not None:
            raise ValueError(
                f"{prefix}sample_weight must come from the source, in batches (x, y, sample_weight)"
            )
        if class_weight is not None and not isinstance(class_weight, Mapping):
            raise ValueError(
                f"{prefix}class_weight must be a mapping with a source, which cannot be counted, "
                f"got {class_weight!r}"
            )

        def check(x: object, y: object, weights: object = None, *, prefix: str) -> Data:
            self._refuse_swapped(x, y, prefix)
            rows = self._rows(x, f"{prefix}x")
            if isinstance(rows, StandardizedRows):
                rows = rows[:]
                require_finite(f"{prefix}x, standardized,", rows, self.dtype)
            if isinstance(rows, np.ndarray) and rows.dtype != np.uint8:
                rows = core_array(rows, self.dtype)  # one type for all chunks
            return self._data_of(rows, x, y, weights, class_weight, prefix, of_part=True)

        return Chunks(found, check, prefix, several=len(self.architecture.losses) > 1)

    def _rows_of_source(self, source: Source) -> Iterator[Rows]:
        """Iterate over the samples of a source, chunk by chunk."""
        chunks = Chunks(source, self._data)
        count = 0
        for count, (name, x) in enumerate(chunks.samples_alone(), 1):  # noqa: B007
            yield self._rows(x, name)
        if count == 0:
            raise ValueError(f"{chunks.name} has no samples")

    def _checked_validation(self, data: object) -> Data | Chunks | None:
        if data is None:
            return None
        if not isinstance(data, (tuple, list)) and as_source(data) is not None:
            chunks = self._chunks("fit", data, prefix="validation_data: ")
            if isinstance(chunks.source, OneShot):
                raise ValueError(
                    "validation_data must be a source that can be read after each epoch, got an "
                    "iterator; pass a function that returns one"
                )
            return chunks
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise TypeError(
                "validation_data must be (x, y) or (x, y, sample_weight), got "
                f"{type(data).__name__}; validation_data=(x_validation, y_validation)"
            )
        weights = data[2] if len(data) == 3 else None
        return self._data(data[0], data[1], weights, prefix="validation_data: ")

    # Computing

    def forward(self, x: Any, *, threads: int | None = None, out: Array | None = None) -> Array:
        """Compute the outputs of the last layer: logits for classification.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features), or source
            Samples, as in `predict`.
        threads : int, optional
            Number of threads, as in `MLP.fit`.
        out : array of shape (samples, outputs), optional
            Where to write the outputs, as in `predict`, in the dtype of the model.

        Returns
        -------
        array of shape (samples, outputs)
            `out`, if it was given.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> MLP([2, 3, 1], loss="mse").forward([[0.0, 0.0]])
        array([[0.]], dtype=float32)
        """
        link, team = self._architecture.link, thread_count(threads)
        outputs: Array = self._of_samples(x, lambda rows: self._outputs_of(rows, link, team), out)
        return outputs

    def hidden_activations(self, x: npt.ArrayLike, *, threads: int | None = None) -> list[Array]:
        """Compute the outputs of each hidden layer, without dropout.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features)
            Samples.
        threads : int, optional
            Number of threads, as in `MLP.fit`.

        Returns
        -------
        list of arrays of shape (samples, units)
            Of a network with members, of shape (samples, members, units).

        Examples
        --------
        >>> from fastmlp import MLP
        >>> [array.shape for array in MLP([2, 8, 4, 1]).hidden_activations([[0.0, 1.0]])]
        [(1, 8), (1, 4)]
        """
        team = thread_count(threads)
        arrays: list[Array] = self._in_one_pass(
            x, lambda rows: self._network.hidden_outputs(rows, team)
        )
        if self._architecture.members == 1:
            return arrays
        return [np.ascontiguousarray(array.swapaxes(0, 1)) for array in arrays]

    def predict(self, x: Any, *, threads: int | None = None, out: Any = None) -> Any:
        """Predict classes or values.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features), or source
            Samples, or a source of them in chunks ``x``, ``(x, y)`` or ``(x, y, sample_weight)``:
            all that `MLP.fit` takes, and chunks without ``y``. A chunk is in memory at once, and
            all predictions.
        threads : int, optional
            Number of threads, as in `MLP.fit`.
        out : array, or list of arrays with several losses, optional
            Where to write the predictions, block by block, so that they take no further memory: a
            writable, C-contiguous array such as a memory map, of the shape and dtype of what is
            returned else, that shares no memory with `x`. After an error some rows are written.

        Returns
        -------
        array, or list of arrays with several losses
            Class indices, int64 of shape (samples,), for losses of classes; 0 or 1, int64 of shape
            (samples,) or (samples, outputs), for binary cross-entropy; expected counts for Poisson;
            otherwise the outputs, shape (samples, outputs). `out`, if it was given.

        Raises
        ------
        TypeError, ValueError
            `x` holds no samples of the model, or `out` cannot take its predictions.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([1, 2])
        >>> model.set_parameters({"layers.0.weights": [[-1.0, 1.0]], "layers.0.biases": [0, 0]})
        >>> model.predict([[-3.0], [3.0]])
        array([0, 1])
        """
        team = thread_count(threads)
        return self._of_samples(x, lambda rows: self._predicted(rows, team), out)

    def _predicted(self, rows: Rows, team: int) -> Array | list[Array]:
        """`predict` for samples that the core can read."""
        if self.is_classifier:
            return self._classes_of(rows, team).astype(np.int64)
        losses = self._architecture.losses
        if len(losses) == 1:
            link = "exp" if losses[0].link == "exp" else "none"
            outputs = self._outputs_of(rows, link, team)
            return _decided(losses[0].link, False, outputs)
        outputs = self._outputs_of(rows, "none", team)
        return [
            _decided(loss.link, loss.takes_classes, outputs[:, group])
            for loss, group in zip(losses, self._architecture.groups, strict=True)
        ]

    def predict_proba(
        self, x: Any, *, threads: int | None = None, out: Array | None = None
    ) -> Array:
        """Predict probabilities: softmax or, with binary cross-entropy, sigmoid of the outputs.

        Parameters
        ----------
        x : array or SciPy sparse matrix of shape (samples, features), or source
            Samples, as in `predict`.
        threads : int, optional
            Number of threads, as in `MLP.fit`.
        out : array of shape (samples, outputs), optional
            Where to write the probabilities, as in `predict`, in the dtype of the model.

        Returns
        -------
        array of shape (samples, outputs)
            `out`, if it was given.

        Raises
        ------
        TypeError, ValueError
            The loss does not define probabilities, or `out` cannot take them.

        Examples
        --------
        >>> import numpy as np
        >>> from fastmlp import MLP
        >>> MLP([2, 4]).predict_proba([[0.0, 0.0]])
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
        >>> x = np.zeros((1000, 2), np.float32)
        >>> file = np.lib.format.open_memmap("p.npy", "w+", np.float32, (1000, 4))
        >>> MLP([2, 4]).predict_proba(x, out=file) is file
        True
        """
        losses = self._architecture.losses
        link = losses[0].link
        if len(losses) > 1 or link not in ("softmax", "sigmoid"):
            raise ValueError(
                "predict_proba requires a classification loss that makes probabilities, this is "
                f"{', '.join(loss.name for loss in losses)}; "
                f"{_instead_of_probabilities(losses)}"
            )
        team = thread_count(threads)
        probabilities: Array = self._of_samples(
            x, lambda rows: self._outputs_of(rows, link, team), out
        )
        return probabilities

    @suggests_names
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> dict[str, float]:
        """Compute the mean loss and, for classification, the accuracy.

        Parameters
        ----------
        x, y, sample_weight, threads
            As in `MLP.fit`, which takes a source too; the weights count in loss and accuracy.

        Returns
        -------
        dict of str to float
            ``loss`` and, for classification, ``accuracy``.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> MLP([2, 1], loss="mse").evaluate([[0.0, 0.0]], [[3.0]])
        {'loss': 9.0}
        """
        team = thread_count(threads)
        if y is None:
            return self._evaluate_data(self._chunks("evaluate", x, sample_weight), team)
        self._refuse_targets_of_source("evaluate", x)
        self._refuse_swapped(x, y)
        return self._in_one_pass(
            x, lambda rows: self._evaluate_data(self._data_of(rows, x, y, sample_weight), team)
        )

    def _evaluate_data(self, data: Data | Chunks, threads: int) -> dict[str, float]:
        """`evaluate` for samples that have been checked, or for chunks that are when read."""
        function = core_function(self._architecture.losses)
        sums = np.zeros(3)  # losses, weights, weights of correct predictions
        for part in [data] if isinstance(data, Data) else data.data():
            if function is None:
                sums += self._network.evaluate(part.rows, part.targets, part.sample_weight, threads)
                continue
            outputs = self._outputs_of(part.rows, "none", threads)
            loss = float(function(outputs, part.targets[0])[0])
            if part is data:
                return {"loss": loss}
            sums += loss * len(part), len(part), 0.0
        loss_sum, weight_sum, correct = sums.tolist()
        if weight_sum == 0 and isinstance(data, Chunks):
            raise ValueError(f"{data.name} has no samples that count")
        measured = {"loss": loss_sum / weight_sum}
        if self._has_accuracy:
            measured["accuracy"] = correct / weight_sum
        return measured

    @property
    def _task(self) -> str:
        """The task of the loss, as metrics know it."""
        loss = self._architecture.losses[0]
        if loss.takes_classes:
            return "classification"
        return "multilabel" if loss.link == "sigmoid" else "regression"

    def _require_metrics(self, chosen: ChosenMetrics) -> None:
        """Raise ValueError if a metric is not one of this network's task and outputs."""
        losses = self._architecture.losses
        if chosen and len(losses) > 1:
            name = [*chosen.names, *chosen.functions][0]
            raise ValueError(f"metric must be left out with several losses, got {name!r}")
        for name in chosen.names:
            metric = get_metric(name)
            metric.require(self._task)
            if metric.needs == "probabilities" and losses[0].link not in ("softmax", "sigmoid"):
                raise ValueError(
                    f"metric {name} needs probabilities, which loss {losses[0].name} does not make"
                )

    def _measure(self, chosen: ChosenMetrics, data: Data, threads: int) -> dict[str, float]:
        """Compute metrics that `_require_metrics` accepted for samples that have been checked.

        Targets that are probabilities count as what they make most likely, as in the accuracy.
        """
        loss, task = self._architecture.losses[0], self._task
        truth, predicted = data.targets[0], None
        probabilities = None
        if any(get_metric(name).needs == "probabilities" for name in chosen.names):
            probabilities = self._outputs_of(data.rows, loss.link, threads)
        if task == "classification":
            predicted = self._classes_of(data.rows, threads).astype(np.int64)
            truth = truth if truth.ndim == 1 else truth.argmax(axis=1)
        elif task == "multilabel":
            predicted = _decided(loss.link, False, self._outputs_of(data.rows, "none", threads))
            truth = (truth > 0.5).astype(np.int64).reshape(predicted.shape)
        else:
            link = "exp" if loss.link == "exp" else "none"
            outputs = self._outputs_of(data.rows, link, threads)
            truth, predicted = self._in_units(truth, outputs)
        found = measures(
            chosen.names, task, truth, predicted, probabilities=probabilities,
            sample_weight=data.sample_weight,
        )  # fmt: skip
        truth = truth.view()
        truth.flags.writeable = False  # functions of the user get it
        return found | chosen.values_of_functions(truth, predicted)

    def _in_units(self, targets: Array, outputs: Array) -> tuple[Array, Array]:
        """Return targets and outputs of a regression in the units of the data."""
        return targets, outputs

    def _gradients(
        self, data: Data, training: bool, wants_input: bool, threads: int | None
    ) -> tuple[float, dict[str, Any]]:
        gradient = self._core_gradient(len(data), thread_count(threads))
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
        """Compute the mean loss over the samples and its gradient, without changing the model.

        Parameters
        ----------
        x, y, sample_weight, threads
            As in `MLP.fit`.
        training : bool
            Use dropout, noise, and the samples' own moments in batch normalization.

        Returns
        -------
        loss : float
            Mean loss, without penalties.
        dweights, dbiases : list of arrays
            Gradients of the shapes of `weights` and `biases`, without penalties.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([1, 1], loss="half_mse")
        >>> model.weights = [[[2.0]]]
        >>> model.loss_and_gradients([[3.0]], [[5.0]])
        (0.5, [array([[3.]], dtype=float32)], [array([1.], dtype=float32)])
        """
        loss, arrays = self._gradients(self._data(x, y, sample_weight), training, False, threads)
        return loss, arrays["weights"], arrays["biases"]

    def input_gradients(self, x: npt.ArrayLike, y: Any, *, threads: int | None = None) -> Array:
        """Compute the gradient of the mean loss with respect to the inputs.

        Parameters
        ----------
        x, y, threads
            As in `MLP.fit`.

        Returns
        -------
        array of shape (samples, features)

        Raises
        ------
        ValueError
            The network has ``inputs``, which make other numbers of the features.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([1, 1], loss="half_mse")
        >>> model.weights = [[[2.0]]]
        >>> model.input_gradients([[3.0]], [[5.0]])
        array([[2.]], dtype=float32)
        """
        if self._architecture.inputs:
            raise ValueError(
                "input_gradients needs a network without inputs=[...], whose codes and bins have "
                "no gradient; pass the numbers that they become to a network without inputs"
            )
        _, arrays = self._gradients(self._data(x, y), False, True, threads)
        scaled: Array = arrays["input"] * self.dtype.type(self._architecture.input_scale)
        if self._standardization is not None:
            scaled = (scaled / self._standardization.deviation).astype(self.dtype)
        return scaled

    def gradient_norms(
        self, x: npt.ArrayLike, y: Any, *, training: bool = False, threads: int | None = None
    ) -> list[float]:
        """Compute the Euclidean norm of the gradient with respect to each layer's weights.

        Parameters
        ----------
        x, y, threads
            As in `MLP.fit`.
        training : bool
            As in `loss_and_gradients`.

        Returns
        -------
        list of float
            One norm per layer.

        Examples
        --------
        >>> from fastmlp import MLP
        >>> model = MLP([1, 1], loss="half_mse")
        >>> model.weights = [[[2.0]]]
        >>> model.gradient_norms([[3.0]], [[5.0]])
        [3.0]
        """
        _, arrays = self._gradients(self._data(x, y), training, False, threads)
        return [float(norm(array)) for array in arrays["weights"]]

    def _outputs_of(self, rows: Rows, link: str, threads: int) -> Array:
        """Compute outputs, with the function `link` applied, of rows that have been checked."""
        return self._network.forward(rows, link, threads)

    def _classes_of(self, rows: Rows, threads: int) -> npt.NDArray[np.int32]:
        """Compute the index of the largest output of rows that have been checked."""
        return self._network.predict_classes(rows, threads)

    def _core_gradient(self, batch_size: int, threads: int) -> _core.Gradient32 | _core.Gradient64:
        """Make a gradient computation of the core; with 0 threads the core chooses their number."""
        return self._gradient_type(self._network, integer("samples", batch_size, 1), threads)

    def _core_run(
        self, batch_size: int, rule: str, threads: int, shards: tuple[int, int, int] = (1, 0, 1)
    ) -> _core.Run32 | _core.Run64:
        """Make a training run of the core; with 0 threads the core chooses their number.

        shards: number of shards of a batch, and first and last of those of this process.
        """
        return self._run_type(self._network, batch_size, rule, threads, *shards)


def _joined(parts: Iterable[Any]) -> Any:
    """Return the predictions of all chunks as one array, or as one for each loss."""
    found = list(parts)
    if isinstance(found[0], list):
        return [np.concatenate(each) for each in zip(*found, strict=True)]
    return np.concatenate(found)


def _exact_dtype(x: object) -> np.dtype[Any]:
    """Return the dtype that holds all numbers of the samples."""
    return np.dtype(np.float32 if getattr(x, "dtype", None) == np.float32 else np.float64)


def _decided(link: str, takes_classes: bool, outputs: Array) -> Array:
    """Turn the outputs of one loss into predictions."""
    if takes_classes:
        classes: Array = np.argmax(outputs, axis=1).astype(np.int64)
        return classes
    if link != "sigmoid":
        return outputs
    yes = (outputs > 0).astype(np.int64)
    return yes.reshape(-1) if yes.shape[1] == 1 else yes


def head_arguments(network: Network, loss: str | Loss | None, seed: int | None) -> dict[str, Any]:
    """Return arguments of `fastmlp.MLP` for the same hidden layers and another last layer."""
    arguments = network.architecture.arguments()
    if loss is not None:
        arguments |= {"loss": loss, "output_activation": "identity"}
    return arguments if seed is None else arguments | {"seed": seed}


def hidden_parameters(network: Network) -> dict[str, npt.NDArray[Any]]:
    """Return the parameters of all layers but the last."""
    head = f"layers.{network.architecture.layers - 1}."
    return {k: v for k, v in network.parameters().items() if not k.startswith(head)}


def folded_parameters(network: Network) -> dict[str, npt.NDArray[Any]]:
    """Return parameters that include batch normalization, computed in float64.

    Weights take it, or the factors of outputs where members have their own but share the weights.
    """
    parameters = network.parameters()
    for layer, normalized in enumerate(network.architecture.batch_normalization):
        if not normalized:
            continue
        name = f"layers.{layer}."
        weights, biases, scales, means, variances = (
            parameters.pop(name + kind).astype(np.float64)
            for kind in ("weights", "biases", "scales", "means", "variances")
        )
        factors = scales / np.sqrt(variances + NORMALIZATION_EPSILON)
        if factors.ndim == weights.ndim:  # of the members, whose weights are shared
            parameters[name + "scales"] = factors
        else:
            weights = weights * factors[..., np.newaxis, :]
        parameters[name + "weights"] = weights
        parameters[name + "biases"] = biases - means * factors
    return parameters


def _instead_of_probabilities(losses: Sequence[Loss]) -> str:
    """Say what a model with other losses predicts, or which loss makes probabilities."""
    if any(loss.takes_classes for loss in losses):
        return 'loss="softmax_cross_entropy" makes them of classes'
    return "predict returns its values"
