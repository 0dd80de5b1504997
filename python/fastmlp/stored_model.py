"""The content of a model file: parameters, history, preprocessing and the state of a training.

Tensors of a model file are finite floats. Arrays of a training state that are finite floats are
stored unchanged; of all other arrays each byte is stored as a float from 0 to 255.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastmlp._files import text_path
from fastmlp.data import Preprocessing
from fastmlp.errors import FormatError, did_you_mean
from fastmlp.history import History
from fastmlp.model_file import read_model, write_model
from fastmlp.network.architecture import (
    Architecture,
    architecture_from_config,
    checked_architecture,
)
from fastmlp.network.standardization import Standardization
from fastmlp.validation import flag, integer, layer_sizes

__all__ = [
    "StoredModel",
    "read_stored",
    "state_in_file",
    "state_of_file",
    "text_array",
    "write_stored",
]

Array = npt.NDArray[Any]
M = TypeVar("M")
_MAX_CHARACTERS = 2**28
# Beginnings of names of tensors.
_STATE = "state."
_HISTORY = "history."
_STANDARDIZATION = "standardization."
# The description of tensors of which each is stored as it is.
_ALL_FINITE = "{}"
# Of the history; without seconds, so that the same training writes the same bytes. Others are val_.
_MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class StoredModel:
    """A model without objects of the core, as files and pickles hold it.

    Attributes
    ----------
    architecture : Architecture
    parameters : dict of str to array
        All parameters, as `MLP.parameters` returns them.
    frozen : list of int
        Layers that are not trained.
    history : History
    preprocessing : Preprocessing or None
    was_trained : bool
        Whether a training stands behind the parameters.
    training_state : dict of str to array
        State as `MLP.training_state` returns it; empty if it is not stored.
    refusal : str or None
        Reason why ``fit(resume=True)`` is refused.
    feature_names : tuple of str or None
        Names of the columns of the frame that the network was trained with.
    standardization : Standardization or None
        Of the inputs of the network.
    scales_inputs : bool
        Whether the first training will decide how inputs are scaled.
    is_new : bool
        Whether the parameters are the initial ones, which no step has changed.
    """

    architecture: Architecture
    parameters: Mapping[str, Array]
    frozen: list[int]
    history: History
    preprocessing: Preprocessing | None
    was_trained: bool
    training_state: Mapping[str, Array] = field(default_factory=dict)
    refusal: str | None = None
    feature_names: tuple[str, ...] | None = None
    standardization: Standardization | None = None
    scales_inputs: bool = False
    is_new: bool = False


def write_stored(path: str | PathLike[str], stored: StoredModel) -> None:
    """Write a model to a file atomically.

    Raises
    ------
    ValueError
        A parameter is NaN or infinite.
    OSError
        The file could not be written; an older one is unharmed.
    """
    path = text_path("path", path)
    tensors = dict(stored.parameters)
    config = stored.architecture.config()
    measured = {name: np.array(stored.history[name], np.float64) for name in stored.history}
    history, forms = state_in_file(measured, _HISTORY)
    tensors |= history
    if forms != _ALL_FINITE:
        config["history"] = forms
    if stored.preprocessing is not None:
        config["preprocessing"] = stored.preprocessing.config()
        for name, array in stored.preprocessing.arrays().items():
            tensors[f"preprocessing.{name}"] = array
    if stored.frozen:
        config["frozen"] = stored.frozen
    if stored.was_trained:
        config["trained"] = True
    if stored.feature_names is not None:
        config["feature_names"] = list(stored.feature_names)
    if stored.standardization is not None:
        arrays = vars(stored.standardization)
        tensors |= {_STANDARDIZATION + name: array for name, array in arrays.items()}
    if stored.scales_inputs:
        config["scales_inputs"] = True
    if stored.is_new:
        config["new"] = True
    if stored.training_state:
        state, config["training_state"] = state_in_file(stored.training_state)
        tensors |= state
    write_model(path, tensors, config)


def read_stored(path: str | PathLike[str], make: Callable[[StoredModel], M]) -> M:
    """Read a file of `write_stored` and return what `make` makes from it.

    Errors are those of `fastmlp.load`. A TypeError or ValueError of `make` means that the file does
    not describe a model.
    """
    path = text_path("path", path)
    if os.path.isdir(path):
        raise FormatError(f"{path}: is a directory; fastmlp.load reads the directory of a run")
    try:
        tensors, config = read_model(path)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, _missing(path), path) from None
    try:
        return make(_stored(tensors, config))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: field config does not describe a model: {error}") from error


def _missing(path: str) -> str:
    """Say which file may be meant in place of one that does not exist."""
    text, (folder, name) = os.strerror(errno.ENOENT), os.path.split(path)
    with contextlib.suppress(OSError):
        text += did_you_mean(name, os.listdir(folder or os.curdir))
    return text


def _stored(tensors: dict[str, Array], config: dict[str, Any]) -> StoredModel:
    forms = config.pop("history", _ALL_FINITE)
    history = _history(state_of_file(_taken(tensors, _HISTORY), forms))
    preprocessing = _preprocessing(
        config.pop("preprocessing", None), _taken(tensors, "preprocessing.")
    )
    was_trained = config.pop("trained", bool(history.loss))
    frozen = [integer("frozen", layer, 0) for layer in config.pop("frozen", [])]
    feature_names = _feature_names(config.pop("feature_names", None))
    moments = _taken(tensors, _STANDARDIZATION)
    scales_inputs = flag("scales_inputs", config.pop("scales_inputs", False))
    is_new = flag("new", config.pop("new", False))
    state = state_of_file(_taken(tensors, _STATE), config.pop("training_state", None))
    arguments = architecture_from_config(config)
    sizes = layer_sizes(arguments.pop("layer_sizes"))
    architecture = checked_architecture(sizes, **arguments)
    _require_shapes(architecture, tensors)
    if any(tensor.dtype != architecture.dtype for tensor in tensors.values()):
        raise ValueError(f"a tensor is not {architecture.dtype}")
    if preprocessing and (preprocessing.features, preprocessing.outputs) != (sizes[0], sizes[-1]):
        raise ValueError(
            f"preprocessing is for another network than one from {sizes[0]} features to "
            f"{sizes[-1]} outputs"
        )
    refusal = None
    if was_trained and not state:
        refusal = (
            "its file was saved without the state of the training, which "
            "save(..., training_state=True) keeps"
        )
    if feature_names is not None and len(feature_names) != sizes[0]:
        raise ValueError(f"feature_names must be {sizes[0]}, got {len(feature_names)}")
    standardization = Standardization.from_arrays(moments, sizes[0]) if moments else None
    return StoredModel(
        architecture,
        tensors,
        frozen,
        history,
        preprocessing,
        was_trained,
        state,
        refusal,
        feature_names,
        standardization,
        scales_inputs,
        is_new,
    )


def _feature_names(names: object) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("feature_names must be a list of texts")
    if len(set(names)) != len(names):
        raise ValueError("feature_names must be different")
    return tuple(names)


def _require_shapes(architecture: Architecture, tensors: Mapping[str, Array]) -> None:
    """Require that the tensors match the layers, before memory is allocated for the layers.

    A few bytes suffice to describe layers that no machine can hold.
    """
    for name, shape in architecture.parameter_shapes().items():
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        if tensors[name].shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tensors[name].shape}")


def _taken(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Move the tensors whose names begin with `prefix` to a new mapping."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def _history(arrays: dict[str, Array]) -> History:
    lists = {name: array.tolist() for name, array in arrays.items()}
    metrics = {name: lists.pop(name) for name in arrays if name not in _MEASURES}
    wrong = any(array.ndim != 1 for array in arrays.values())
    if wrong or not all(name.startswith("val_") for name in metrics):
        raise ValueError(f"history must have lists of {', '.join(_MEASURES)} and others of val_")
    return History(**lists, metrics=metrics)


def _preprocessing(config: Any, arrays: dict[str, Array]) -> Preprocessing | None:
    if config is None:
        if arrays:
            raise ValueError("preprocessing has arrays but no description")
        return None
    return Preprocessing.from_config(config, arrays)


def text_array(texts: Any) -> npt.NDArray[np.str_]:
    """Return text, or lists of it, as an array, each of whose elements has the longest one's size.

    Raises
    ------
    ValueError
        A long text among many short ones takes far more memory than a file that holds them.
    """
    array = np.array(texts, object)
    longest = max((len(text) for text in array.flat), default=0)
    if longest * array.size > _MAX_CHARACTERS:
        raise ValueError(
            f"text must have at most {_MAX_CHARACTERS} characters as an array, got {array.size} "
            f"texts of up to {longest}"
        )
    return array.astype(np.str_)


def state_in_file(state: Mapping[str, Array], prefix: str = _STATE) -> tuple[dict[str, Array], str]:
    """Return the tensors of a state, and a JSON text that describes those of another type.

    Names of tensors begin with `prefix`.
    """
    tensors: dict[str, Array] = {}
    others: dict[str, Any] = {}
    for name, value in state.items():
        array = np.asarray(value)
        if array.dtype in (np.float32, np.float64) and np.isfinite(array).all():
            tensors[prefix + name] = array
            continue
        if array.dtype.kind == "U":
            others[name] = {"text": array.tolist()}
            continue
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
        others[name] = {"dtype": little.dtype.str, "shape": list(array.shape)}
        tensors[prefix + name] = little.view(np.uint8).astype(np.float32)
    return tensors, json.dumps(others)


def state_of_file(tensors: Mapping[str, Array], text: object) -> dict[str, Array]:
    """Return the training state that `state_in_file` stored; names come without their prefix.

    Raises
    ------
    ValueError
        Tensors and text do not belong together.
    """
    if text is None:
        if tensors:
            raise ValueError("a state has tensors but no description")
        return {}
    if not isinstance(text, str):
        raise ValueError("the description of a state must be a text")
    try:
        state = dict(tensors)
        for name, form in json.loads(text).items():
            if "text" in form:
                state[name] = text_array(form["text"])
                continue
            dtype = np.dtype(form["dtype"])
            if dtype.kind not in "biuf":
                raise ValueError(f"{name} must be numbers, got {dtype}")
            content = state[name].astype(np.uint8)
            if not np.array_equal(content, state[name]):
                raise ValueError(f"{name} must hold bytes")
            array = content.view(dtype).reshape(form["shape"])
            state[name] = array.astype(dtype.newbyteorder("="))
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"a state does not describe its tensors: {error!r}") from None
    return state
