"""Arrays of samples and targets, checked: one dtype per purpose, all values finite.

Arrays from files are copied, and errors name the file (`as_inputs`, `as_targets`,
`data_of_arrays`). Arrays from callers are not copied if their dtype is suitable (`plain_inputs`).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import LARGEST_INTEGER
from fastmlp.data.table import Part, RawData
from fastmlp.errors import FormatError
from fastmlp.validation import real_array

__all__ = ["as_inputs", "as_targets", "data_of_arrays", "plain_inputs", "refuse_non_finite"]


# ---------------------------------------------------------------- from files


def data_of_arrays(
    arrays: dict[str, NDArray[Any]],
    origin: str,
    *,
    name: str,
    sha256: dict[str, str],
    task: str | None = None,
) -> RawData:
    """Combine the arrays of a file into samples with targets.

    Parameters
    ----------
    arrays : dict of str to array
        Arrays as stored: x and y, or x_train and y_train, optionally with x_test and y_test.
    origin : str
        Name of the file, for messages.
    name, sha256, task
        Attributes of the result, see `RawData`.

    Raises
    ------
    FormatError
        An array cannot hold samples or targets, or two arrays do not match.
    """
    x, y = ("x_train", "y_train") if "x_train" in arrays else ("x", "y")
    if set(arrays) not in ({x, y}, {x, y, "x_test", "y_test"}):
        raise FormatError(
            f"{origin}: must hold x and y, or x_train and y_train, perhaps x_test and y_test; "
            f"got {', '.join(arrays)}"
        )
    train = _part(arrays, x, y, origin)
    test = None
    if "x_test" in arrays:
        test = _part(arrays, "x_test", "y_test", origin)
        _require_alike(test.x, train.x, f"{origin}: x_test", x)
        _require_alike(test.y, train.y, f"{origin}: y_test", y)
    shape = _image_shape(arrays[x].shape)
    return RawData(name, train, test, image_shape=shape, task=task, sha256=sha256)


def as_inputs(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Copy samples into an array of shape (samples, features): uint8, float32 or float64.

    Bytes stay bytes; other types become the smaller floating-point type that holds their values.
    Further dimensions are flattened.

    Raises
    ------
    FormatError
        There are no samples, or they are not real and finite numbers.
    """
    if values.dtype.kind not in "buif":
        raise FormatError(f"{where}: must hold real numbers, got dtype {values.dtype}")
    if values.ndim < 2 or values.size == 0:
        raise FormatError(
            f"{where}: must have shape (samples, features), none of them 0, got {values.shape}"
        )
    values = values.reshape(len(values), -1)
    if values.dtype == np.uint8:
        return np.array(values, order="C")
    return _as_floats(values, np.result_type(values.dtype, np.float32), where)


def as_targets(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Copy targets into an array whose dtype shows what they are.

    Returns
    -------
    int64 array of shape (samples,)
        From integers in one column.
    object array of str, shape (samples,)
        From text, and from booleans in one column, which become "false" and "true".
    float64 array of shape (samples, targets)
        From everything else.

    Raises
    ------
    FormatError
        The values are neither finite numbers nor text, or the array has another shape.
    """
    if values.dtype.kind not in "buifSU":
        raise FormatError(f"{where}: must hold numbers or text, got dtype {values.dtype}")
    if values.ndim not in (1, 2) or values.size == 0:
        raise FormatError(
            f"{where}: must have shape (samples,) or (samples, targets), got {values.shape}"
        )
    if values.ndim == 2 and values.shape[1] > 1:
        if values.dtype.kind in "SU":
            raise FormatError(f"{where}: must be one column of text, got shape {values.shape}")
        return _as_floats(values, np.dtype(np.float64), where)
    values = values.reshape(-1)
    if values.dtype.kind == "b":
        return np.array(["false", "true"], object)[values.astype(np.intp)]
    if values.dtype.kind in "SU":
        return _as_texts(values, where)
    if values.dtype.kind == "f":
        return _as_floats(values.reshape(-1, 1), np.dtype(np.float64), where)
    if values.dtype.kind == "u" and int(values.max()) > np.iinfo(np.int64).max:
        raise FormatError(f"{where}: must fit into int64, got {values.max()}")
    return values.astype(np.int64)


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the image shape of samples (n, height, width) or (n, height, width, 1 or 3)."""
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
        return shape[1:3]
    return shape[1:] if len(shape) == 4 and shape[3] == 3 else None


def _part(arrays: dict[str, NDArray[Any]], x: str, y: str, origin: str) -> Part:
    samples = as_inputs(arrays[x], f"{origin}: {x}")
    targets = as_targets(arrays[y], f"{origin}: {y}")
    if len(samples) != len(targets):
        raise FormatError(
            f"{origin}: {y}: must have a target for each of {len(samples)} samples of {x}, "
            f"got {len(targets)}"
        )
    return Part(samples, targets)


def _as_floats(values: NDArray[Any], dtype: np.dtype[Any], where: str) -> NDArray[Any]:
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        extreme = max(int(values.max()), -int(values.min()))
        if extreme > LARGEST_INTEGER:
            raise FormatError(f"{where}: integers must be 2**53 at most, got {extreme}")
    with np.errstate(over="ignore"):
        floats = np.array(values, np.float64 if dtype.itemsize > 8 else dtype, order="C")
    finite = np.isfinite(floats)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), floats.shape)
        position = ", ".join(str(int(i)) for i in place)
        raise FormatError(f"{where}: must be finite, got {values[place]} at [{position}]")
    return floats


def _as_texts(values: NDArray[Any], where: str) -> NDArray[Any]:
    texts = np.empty(len(values), object)
    try:
        if values.dtype.kind == "S":
            texts[:] = [text.decode() for text in values.tolist()]
            return texts
        code_points = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if code_points.max() > sys.maxunicode:
            raise ValueError(f"there is no character {code_points.max()}")
        texts[:] = values.tolist()
        "".join(texts).encode()  # half of a surrogate pair is no text
    except ValueError as error:
        raise FormatError(f"{where}: must be Unicode text: {error}") from error
    return texts


def _require_alike(test: Any, train: Any, where: str, name: str) -> None:
    same_kind = test.dtype == train.dtype or {test.dtype.kind, train.dtype.kind} == {"f"}
    if test.shape[1:] != train.shape[1:] or not same_kind:
        raise FormatError(
            f"{where}: must be like {name}, which has {_kind(train)}, got {_kind(test)}"
        )


def _kind(array: NDArray[Any]) -> str:
    columns = array.shape[1] if array.ndim == 2 else 1
    kind = "text" if array.dtype == object else array.dtype
    return f"{columns} columns of {kind}" if columns > 1 else f"1 column of {kind}"


# ---------------------------------------------------------------- from callers


def plain_inputs(x: object) -> NDArray[Any]:
    """Return samples as uint8, float32 or float64; of these types without a copy.

    Raises
    ------
    TypeError, ValueError
        `x` is not an array of real numbers of this shape.
    """
    array = real_array("x", x)
    if array.ndim != 2 or array.size == 0:
        cure = "; np.reshape(x, (len(x), -1)) makes a row of each sample" * (array.ndim > 2)
        raise ValueError(f"x must have shape (samples, features), got {array.shape}{cure}")
    if array.dtype == np.uint8:
        return array
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return array.astype(np.float32 if single else np.float64, copy=False)


def refuse_non_finite(x: NDArray[Any]) -> None:
    """Raise FormatError at the first NaN or infinity of an array of samples."""
    if x.dtype.kind != "f":
        return
    finite = np.isfinite(x)
    if not finite.all():
        row, column = np.unravel_index(int(np.argmin(finite)), x.shape)
        raise FormatError(f"x: must be finite, got {x[row, column]} at [{row}, {column}]")
