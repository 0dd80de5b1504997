"""From a model file to a model."""

from __future__ import annotations

from os import PathLike

from fastmlp.architecture import architecture_from_config
from fastmlp.errors import FormatError
from fastmlp.model import MLP
from fastmlp.model_file import read_model

__all__ = ["load"]


def load(path: str | PathLike[str]) -> MLP:
    """Read a model that `MLP.save` wrote.

    Raises
    ------
    FormatError
        The file is damaged, hostile, or of a version this release cannot read.
    OSError
        The file cannot be opened.
    """
    tensors, config = read_model(path)
    try:
        arguments = architecture_from_config(config)
        model = MLP(arguments.pop("layer_sizes"), **arguments)
        if any(tensor.dtype != model.dtype for tensor in tensors.values()):
            raise ValueError(f"a tensor is not {model.dtype}")
        model.set_parameters(tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: field config does not describe a model: {error}") from error
    return model
