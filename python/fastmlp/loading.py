"""From a model file to a model."""

from __future__ import annotations

from os import PathLike

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
    layers = range(len(tensors) // 2)
    try:
        model = MLP(config.pop("layer_sizes"), **config)
        names = {f"layers.{i}.{kind}" for i in layers for kind in ("weights", "biases")}
        if set(tensors) != names:
            raise ValueError(f"tensors {sorted(tensors)} are not those of a model")
        if any(tensor.dtype != model.dtype for tensor in tensors.values()):
            raise ValueError(f"a tensor is not {model.dtype}")
        model.weights = [tensors[f"layers.{i}.weights"] for i in layers]
        model.biases = [tensors[f"layers.{i}.biases"] for i in layers]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: field config does not describe a model: {error}") from error
    return model
