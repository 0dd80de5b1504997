"""The state of a training in a model file, whose tensors are finite floats.

Such arrays are stored as they are. The bytes of all others are: each a number from 0 to 255.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STATE", "state_in_file", "state_of_file"]

Array = npt.NDArray[Any]
STATE = "state."  # begins the names of the tensors


def state_in_file(state: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
    """Tensors, and a text that says what they are, of what `MLP.training_state` gives."""
    tensors: dict[str, Array] = {}
    others: dict[str, Any] = {}
    for name, value in state.items():
        array = np.asarray(value)
        if array.dtype in (np.float32, np.float64) and np.isfinite(array).all():
            tensors[STATE + name] = array
            continue
        if array.dtype.kind == "U":
            others[name] = {"text": array.tolist()}
            continue
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
        others[name] = {"dtype": little.dtype.str, "shape": list(array.shape)}
        tensors[STATE + name] = little.view(np.uint8).astype(np.float32)
    return tensors, json.dumps(others)


def state_of_file(tensors: Mapping[str, Array], text: object) -> dict[str, Array]:
    """What `state_in_file` was given, from tensors whose names begin without `STATE`.

    Raises
    ------
    ValueError
        They do not belong together.
    """
    if text is None:
        if tensors:
            raise ValueError("a state has tensors but no description")
        return {}
    if not isinstance(text, str):
        raise ValueError("training_state must be a text")
    try:
        state = dict(tensors)
        for name, form in json.loads(text).items():
            if "text" in form:
                state[name] = np.array(form["text"], np.str_)
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
        raise ValueError(f"training_state does not describe its tensors: {error!r}") from None
    return state
