"""Export to NPZ: parameters and their description, for NumPy without fastmlp."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.export.inference import TrainedModel, describe
from fastmlp.model import MLP
from fastmlp.network.architecture import NORMALIZATION_EPSILON

__all__ = ["to_npz", "write_npz"]

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # earliest date of ZIP; equal models write equal files


def to_npz(model: MLP | TrainedModel, path: str | PathLike[str]) -> None:
    """Write a model as arrays that ``numpy.load(path, allow_pickle=False)`` reads.

    The arrays are those of `MLP.parameters` under its names, ``preprocessing.<name>`` for the
    arrays of the preprocessing, ``standardization.mean`` and ``.deviation`` where the network
    standardizes its inputs, and ``config``: JSON text in an array without dimensions, with
    the keys ``format``, ``fastmlp_version``, ``model`` (arguments of `MLP`),
    ``batch_normalization_epsilon``, which layer normalization has too, and ``preprocessing`` (or
    null): all that `Preprocessing.config` returns, for a table each column with its format,
    categories and replacement. The same model writes the same bytes.

    Parameters
    ----------
    model : MLP, or an object with the attributes network and preprocessing
        Trained model.
    path : str or os.PathLike
        File to create or to replace atomically.

    Raises
    ------
    TypeError, ValueError
        `model` is not an MLP, or a parameter is NaN or infinite.
    OSError
        The file could not be written; an existing file is unchanged.

    Examples
    --------
    >>> import pathlib, tempfile, fastmlp, numpy
    >>> model = fastmlp.MLP([2, 3, 1], loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "net.npz"
    ...     fastmlp.export.to_npz(model, file)
    ...     with numpy.load(file, allow_pickle=False) as arrays:
    ...         print(arrays["layers.0.weights"].shape)
    (2, 3)
    """
    write_npz(model, path, {})


def write_npz(
    model: MLP | TrainedModel,
    path: str | PathLike[str],
    further: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Write what `to_npz` writes, and further arrays."""
    inference = describe(model)
    network, preprocessing = inference.network, inference.preprocessing
    arrays = {**network.parameters(), **further}
    if network.standardization is not None:
        for name, array in vars(network.standardization).items():
            arrays[f"standardization.{name}"] = array
    if preprocessing is not None:
        for name, array in preprocessing.arrays().items():
            arrays[f"preprocessing.{name}"] = array
    config = {
        "format": "fastmlp-npz",
        "fastmlp_version": __version__,
        "model": network.architecture.config(),
        "batch_normalization_epsilon": NORMALIZATION_EPSILON,
        "preprocessing": None if preprocessing is None else preprocessing.config(),
    }
    arrays["config"] = np.array(json.dumps(config, sort_keys=True))
    atomic_write(path, _zipped(arrays))


def _zipped(arrays: dict[str, npt.NDArray[Any]]) -> memoryview:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", _FIRST_DATE)
            entry.create_system = 3  # the default is the system that writes the file
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=arrays[name].nbytes >= 2**31) as entry_file:
                np.lib.format.write_array(entry_file, arrays[name], (1, 0), allow_pickle=False)
    return target.getbuffer()
