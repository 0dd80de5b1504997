"""`load`: a model from a file, as a network or with the preprocessing that it carries."""

from __future__ import annotations

import os
from os import PathLike
from typing import TYPE_CHECKING

from fastmlp._files import text_path
from fastmlp.model import MLP, load_mlp

if TYPE_CHECKING:
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.pipeline import Model

__all__ = ["load"]


def load(path: str | PathLike[str]) -> MLP | Model | BaggedModel:
    """Read a model: what was saved comes back, and applies what it carries.

    Parameters
    ----------
    path : str or os.PathLike
        A file that `MLP.save`, `Model.save` or a run wrote; the directory of a run, of which the
        selected model is read; or that of a cross-validation or of `BaggedModel.save`. Nothing in
        a file is executed.

    Returns
    -------
    MLP, Model or BaggedModel
        A `Model` if the file holds a preprocessing, as those of ``fastmlp train`` do, else a
        network. ``fastmlp.MLP.load`` returns the network alone. A `BaggedModel` of a directory
        with several models.

    Raises
    ------
    FormatError
        The file is damaged, hostile, or of a version this release cannot read.
    OSError
        The file cannot be opened.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.MLP([4, 8, 3]).save("model.safetensors")
    >>> fastmlp.load("model.safetensors").layer_sizes
    [4, 8, 3]
    """
    path = text_path("path", path)
    if os.path.isdir(path):
        from fastmlp.experiment.bagging import BaggedModel
        from fastmlp.experiment.rundir import holds_models, model_path

        if holds_models(path):
            return BaggedModel.load(path)
        path = model_path(path)
    network = load_mlp(path)
    if network.preprocessing is None:
        return network
    from fastmlp.experiment.pipeline import Model

    return Model.of(network)
