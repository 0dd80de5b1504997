"""Models in files: everything that prediction needs, and what training measured."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastmlp.architecture import architecture_from_config
from fastmlp.callbacks import text_path
from fastmlp.errors import FormatError
from fastmlp.history import History
from fastmlp.model import MLP
from fastmlp.model_file import read_model, write_model
from fastmlp.parameters import parameter_shape
from fastmlp.state_file import STATE, state_in_file, state_of_file
from fastmlp.validation import integer, layer_sizes

if TYPE_CHECKING:
    from fastmlp.data.preprocessing import Preprocessing

__all__ = ["load", "save"]

Array = npt.NDArray[Any]
# Seconds stay out: the same training writes the same bytes.
_MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")


def save(
    model: MLP,
    path: str | PathLike[str],
    *,
    parameters: Mapping[str, Array] | None = None,
    training_state: bool | Mapping[str, Array] = False,
) -> None:
    """Write a model to a file.

    Parameters
    ----------
    model : MLP
    path : str or os.PathLike
        File to create or replace, whole or not at all.
    parameters : mapping of str to array, optional
        In place of the model's own, as `MLP.parameters` gives them.
    training_state : bool or mapping of str to array
        Keep the model's, or this one, so that ``fit(resume=True)`` can go on after `load`.

    Raises
    ------
    ValueError
        A parameter is NaN or infinite; or there is no state to keep, although the model was
        trained.
    OSError
        The file could not be written; an older one is unharmed.
    """
    path = text_path("path", path)
    tensors = dict(model.parameters() if parameters is None else parameters)
    config = model.architecture.config()
    for name in _MEASURES:
        values = np.array(getattr(model.history, name), np.float64)
        if values.size:
            tensors[f"history.{name}"] = values
    if model.preprocessing is not None:
        config["preprocessing"] = model.preprocessing.config()
        for name, array in model.preprocessing.arrays().items():
            tensors[f"preprocessing.{name}"] = array
    frozen = [layer for layer, trains in enumerate(model.trainable) if not trains]
    if frozen:
        config["frozen"] = frozen
    if model.was_trained:
        config["trained"] = True
    if training_state is True and model.refusal is not None:
        raise ValueError(f"training_state: there is none to keep: {model.refusal}")
    if training_state is not False:
        state = model.training_state() if training_state is True else training_state
        stored, config["training_state"] = state_in_file(state)
        tensors |= stored
    write_model(path, tensors, config)


def load(path: str | PathLike[str]) -> MLP:
    """Read a model that `MLP.save` wrote; nothing in the file is executed.

    Raises
    ------
    FormatError
        The file is damaged, hostile, or of a version this release cannot read.
    OSError
        The file cannot be opened.
    """
    path = text_path("path", path)
    tensors, config = read_model(path)
    try:
        history = _history(_taken(tensors, "history."))
        preprocessing = _preprocessing(
            config.pop("preprocessing", None), _taken(tensors, "preprocessing.")
        )
        trained = config.pop("trained", bool(history.loss))
        frozen = config.pop("frozen", [])
        state = state_of_file(_taken(tensors, STATE), config.pop("training_state", None))
        arguments = architecture_from_config(config)
        sizes = layer_sizes(arguments.pop("layer_sizes"))
        _require_shapes(sizes, tensors)
        model = MLP(sizes, **arguments)
        if any(tensor.dtype != model.dtype for tensor in tensors.values()):
            raise ValueError(f"a tensor is not {model.dtype}")
        model.set_parameters(tensors)
        model.freeze([integer("frozen", layer, 0) for layer in frozen])
        if preprocessing and (preprocessing.features, preprocessing.outputs) != (
            sizes[0],
            sizes[-1],
        ):
            raise ValueError(f"preprocessing is for another network than one from {sizes[0]} "
                             f"features to {sizes[-1]} outputs")  # fmt: skip
        if state:
            model.restore_training_state(state)
        elif trained:
            model.refuse_resume(
                "its file was saved without the state of the training, which "
                "save(..., training_state=True) keeps"
            )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: field config does not describe a model: {error}") from error
    model.history = history
    model.preprocessing = preprocessing
    return model


def _require_shapes(sizes: list[int], tensors: Mapping[str, Array]) -> None:
    """Compare the layers with the tensors that are there, before memory is taken for the former.

    A few bytes are enough to claim layers that no machine can hold.
    """
    for layer in range(len(sizes) - 1):
        for kind in ("weights", "biases"):
            name = f"layers.{layer}.{kind}"
            shape = parameter_shape(kind, layer, sizes)
            if name not in tensors:
                raise ValueError(f"{name} is missing")
            if tensors[name].shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {tensors[name].shape}")


def _taken(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Move the tensors whose names begin so to a mapping of their own."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def _history(arrays: dict[str, Array]) -> History:
    if any(name not in _MEASURES or array.ndim != 1 for name, array in arrays.items()):
        raise ValueError(f"history must have lists of {', '.join(_MEASURES)}")
    return History(**{name: array.tolist() for name, array in arrays.items()})


def _preprocessing(config: Any, arrays: dict[str, Array]) -> Preprocessing | None:
    if config is None:
        if arrays:
            raise ValueError("preprocessing has arrays but no description")
        return None
    from fastmlp.data.preprocessing import Preprocessing

    return Preprocessing.from_config(config, arrays)
