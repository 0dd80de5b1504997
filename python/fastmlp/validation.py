"""Checks of arguments: each returns the value as the core needs it or raises.

A message names the argument, the requirement and the value that was passed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.ma import MaskedArray, is_masked

from fastmlp._scalars import choice, flag, integer, keep, real, shown

__all__ = [
    "bounded",
    "choice",
    "class_labels",
    "class_targets",
    "column_names",
    "core_array",
    "finite_array",
    "flag",
    "input_rows",
    "integer",
    "is_array",
    "keep",
    "label_array",
    "layer_sizes",
    "probability_targets",
    "real_array",
    "require_readable",
    "require_usable_weights",
    "real",
    "require_fields_held",
    "require_finite",
    "require_held",
    "sample_weights",
    "shown",
    "thread_count",
    "value_targets",
]

_MOST_THREADS = 1024
_OF_FRAMES = "fastmlp.Model takes columns of text, dates and missing values"
_NUMBERED = "np.unique({own}, return_inverse=True)[1]"
# Of a chunk, which need not have all classes: `names` are those of the whole data.
_NUMBERED_IN_CHUNK = "with names = sorted(all classes), np.searchsorted(names, {own})"
_OF_FILES = (
    "fastmlp.Model().fit(...) reads files and named data sets, and fastmlp.streams has sources of "
    'files: streams.Arrays("x.npy", "y.npy"), streams.Shards("folder"), '
    'streams.ParquetFiles("x.parquet", target="y")'
)
_NO_NUMBER = "must be an array of real numbers, got"

# Types of samples that the core reads.
_READ_TYPES = frozenset(map(np.dtype, ("uint8", "float16", "float32", "float64")))
# Types that end where NumPy reads them, and those of numbers.
_ENDING = frozenset((np.ndarray, list, tuple, int, float, bool))
_MOST_COPIED = 2**26  # bytes of samples
_BLOCK = 2**20


def require_held(
    name: str,
    value: float,
    dtype: npt.DTypeLike,
    *,
    below_one: bool = False,
    vanishes: bool = False,
    cure: str = 'dtype="float64"',
) -> None:
    """Require that `dtype`, in which the core computes, can represent a checked number.

    The number must stay finite. It must not become 0, unless it is 0 or `vanishes`, and must not
    become 1 if it has to be `below_one`.

    Raises
    ------
    ValueError
        The dtype cannot represent the number; the message names the cure.
    """
    if _is_surely_held(value):
        return
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.array(value, dtype))
    if not math.isfinite(held):
        wanted = "must be finite in"
    elif held == 0 and value != 0 and not vanishes:
        wanted = "must not be rounded to 0, as it is in"
    elif below_one and held >= 1:
        wanted = "must not be rounded to 1, as it is in"
    else:
        return
    name_of_type = np.dtype(dtype).name
    raise ValueError(f"{name} {wanted} {name_of_type}, got {value!r}; {cure} holds more numbers")


def _is_surely_held(value: float) -> bool:
    """Whether neither float32 nor float64 rounds a number to infinity, or to 0 or 1 from others."""
    return value == 0 or 1e-30 <= value <= 0.9999


def require_fields_held(
    owner: Any, dtype: npt.DTypeLike, below_one: Iterable[str] = (), vanishing: Iterable[str] = ()
) -> None:
    """Apply `require_held` to all floats in the fields of a dataclass."""
    for name, value in vars(owner).items():
        if value is None or (isinstance(value, float) and _is_surely_held(value)):
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, float):
                require_held(
                    name, item, dtype, below_one=name in below_one, vanishes=name in vanishing
                )


def thread_count(threads: int | None, name: str = "threads") -> int:
    """Return the number of threads as the core takes it; 0 lets the core choose."""
    return 0 if threads is None else integer(name, threads, 1, _MOST_THREADS)


def layer_sizes(value: object) -> list[int]:
    """Return layer sizes as a list of at least two positive ints."""
    form = "; features, units of each hidden layer, outputs are a list such as [4, 16, 3]"
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(
            "layer_sizes must be a sequence of integers, "
            f"got {shown(value)} ({type(value).__name__}){form}"
        )
    sizes = []
    for i, size in enumerate(value):
        try:
            sizes.append(integer(f"layer_sizes[{i}]", size, 1))
        except TypeError as error:
            raise TypeError(f"{error}{'' if isinstance(size, float) else form}") from None
    if len(sizes) < 2:
        raise ValueError(
            "layer_sizes must have at least 2 entries (features and outputs), "
            f"got {len(sizes)}{form}"
        )
    return sizes


# ---------------------------------------------------------------- arrays of any shape


def column_names(value: object) -> tuple[str, ...] | None:
    """Return the names of the columns of a data frame; None if they have no names.

    Columns of pandas that are numbered have no names.
    """
    names = getattr(value, "column_names", None)  # of Arrow
    if names is None:
        names = getattr(value, "columns", None)
    if names is None or callable(names):
        return None
    found = tuple(names)
    return found if found and all(isinstance(name, str) for name in found) else None


def _expression(name: str) -> str:
    """The argument as its user writes it, of a name such as "validation_data: x"."""
    return name.rpartition(": ")[2]


def _numbered(name: str) -> str:
    """What makes integers of labels, whose argument may be of a chunk by its name for messages."""
    return _NUMBERED_IN_CHUNK if ", chunk " in name else _NUMBERED


def require_readable(name: str, value: object) -> None:
    """Require that NumPy can read a tensor of another library.

    Raises
    ------
    TypeError
        The tensor requires gradients, or its numbers, layout or memory are unknown to NumPy; the
        message names the conversion.
    """
    if not hasattr(value, "__array__") or isinstance(value, np.ndarray):
        return
    try:
        np.asarray(value)
    except (RuntimeError, TypeError) as error:
        raise _unreadable(name, value, error) from None


def _unreadable(name: str, value: Any, error: Exception) -> TypeError:
    """The error for a tensor that NumPy cannot read, which its attributes of PyTorch explain."""
    reasons, calls = [], ""
    if getattr(value, "requires_grad", False):
        reasons.append("that requires gradients")
        calls += ".detach()"
    if "strided" not in str(getattr(value, "layout", "strided")):
        reasons.append("in a sparse layout")
        calls += ".to_dense()"
    if "bfloat16" in (dtype := str(getattr(value, "dtype", ""))) or "float8" in dtype:
        reasons.append(f"of {dtype}")
        calls += ".float()"
    if str(getattr(value, "device", "cpu")) != "cpu":
        reasons.append(f"on {value.device}")
        calls += ".cpu()"
    came = f"{name} {_NO_NUMBER} {_a(value)}"
    if not reasons:
        return TypeError(f"{came} that NumPy cannot read: {error}")
    return TypeError(f"{came} {' '.join(reasons)}; {_expression(name)}{calls}.numpy() is an array")


def is_array(value: object) -> bool:
    """Whether NumPy reads a value as a whole and not item by item, or it is a sparse matrix."""
    names = ("__array__", "__array_interface__", "__array_struct__", "__dataframe__", "tocsr")
    if any(hasattr(value, name) for name in names):
        return True
    try:
        memoryview(value).release()  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return False
    return True


def bounded(value: Any) -> Any:
    """Return a list in place of a sequence that NumPy would read item by item.

    Those of loaders have a length, but may give an item for every number, of which NumPy finds no
    end. Whatever else can be an array stays what it is.
    """
    if isinstance(value, (list, tuple)):
        kinds = {kind for kind in set(map(type, value)) if kind not in _ENDING}
        return [bounded(item) for item in value] if any(map(_is_sequence, kinds)) else value
    if type(value) in _ENDING or not _is_sequence(type(value)) or is_array(value):
        return value
    return list(islice(value, len(value)))


def _is_sequence(kind: type) -> bool:
    is_known = issubclass(kind, (np.ndarray, np.generic, str, bytes, Mapping))
    return not is_known and hasattr(kind, "__getitem__") and hasattr(kind, "__len__")


def real_array(name: str, value: object, *, text_cure: str = "") -> npt.NDArray[Any]:
    """Return `value` as an array of real numbers of any shape.

    Parameters
    ----------
    name : str
        Name of the argument in messages.
    value : array-like
        Numbers of the user.
    text_cure : str
        What helps if they are text, for the message; ``{own}`` stands for the argument.

    Raises
    ------
    TypeError, ValueError
        These are no real numbers, or elements are missing; the message names a cure.
    """
    try:
        array = np.asarray(bounded(value))
    except (RuntimeError, TypeError) as error:
        raise _unreadable(name, value, error) from None
    except ValueError:
        raise ValueError(f"{name} must be a rectangular array{_uneven(name, value)}") from None
    if isinstance(value, MaskedArray) and is_masked(value):
        raise ValueError(
            f"{name} must not have masked elements; np.ma.filled({_expression(name)}, 0) "
            "replaces them"
        )
    # Of ml_dtypes: a type of its own to NumPy. To build a name takes as long as all other checks.
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} {_NO_NUMBER} {_no_numbers(name, value, array, text_cure)}")
    return array


def _a(value: object) -> str:
    """The type of a value with its article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeio' else 'a'} {name}"


def _uneven(name: str, value: object) -> str:
    """Say what makes nested sequences irregular."""
    if isinstance(value, tuple) and len(value) == 2:
        return ", got a tuple of two; samples and targets are two arguments: fit(x, y)"
    if not isinstance(value, (list, tuple, np.ndarray)):
        own = _expression(name)
        return (
            f", got {_a(value)}; x, y = map(np.stack, zip(*map({own}.__getitem__, "
            f"range(len({own}))))) makes arrays of it"
        )
    sizes = [len(row) if hasattr(row, "__len__") else None for row in value]
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is None:
        return ", got rows whose entries have different lengths; every row needs as many numbers"
    found = [f"row {i} {'is a number' if sizes[i] is None else f'has {sizes[i]}'}"
             for i in (0, other)]  # fmt: skip
    return f": {', '.join(found)}; every row needs as many numbers"


def _collected(name: str) -> str:
    loader = _expression(name)
    return f"x, y = map(np.concatenate, zip(*{loader})) collects the batches of a loader"


def _no_numbers(name: str, value: object, array: npt.NDArray[Any], text_cure: str) -> str:
    """Say what an array holds in place of real numbers, and what helps."""
    own, kind = _expression(name), array.dtype.kind
    if value is None:
        return "None; each sample needs a label or value" if own == "y" else "None"
    if kind == "c":
        return f"dtype {array.dtype}; np.abs({own}) and np.real({own}) are real"
    if kind in "mM":
        unit = "timedelta64[D]" if kind == "m" else "datetime64[D]"
        return f'dtype {array.dtype}; {own}.astype("{unit}").astype(float) counts days'
    if kind == "V" and array.dtype.names is None:
        return f'dtype {array.dtype}; {own}.astype("float32") converts it'
    if kind == "V":
        fields = "np.lib.recfunctions.structured_to_unstructured"
        return f"a structured array; {fields}({own}) has a column for each field"
    if array.ndim == 0 and isinstance(value, (str, bytes)):
        return f"{shown(value)}; {_OF_FILES}"
    if array.ndim == 0 and isinstance(value, PathLike):
        return f"{shown(str(value))}; {_OF_FILES}"
    if array.ndim == 0 and isinstance(value, dict):
        return f"a dict; np.column_stack(list({own}.values())) makes columns of it"
    if array.ndim == 0:
        cure = _collected(name) if hasattr(value, "__iter__") else "a list of rows makes an array"
        return f"{_a(value)}; {cure}"
    return _no_number_among(name, value, array, text_cure)


def _no_number_among(name: str, value: object, array: npt.NDArray[Any], text_cure: str) -> str:
    """Say which entry of an array of texts or objects is no number, and what helps."""
    own = _expression(name)
    place, item = next(
        ((i, item) for i, item in enumerate(islice(array.flat, 10**6))
         if not isinstance(item, Real) or type(item).__name__ == "NaTType"),
        (0, None),
    )  # fmt: skip
    names = column_names(value)
    among = f" in column {names[place % len(names)]!r}" if names else ""
    if isinstance(item, (str, bytes)):
        try:
            float(item)
        except ValueError:
            helps = text_cure.format(own=own) or "text is no number"
            return f"strings such as {shown(str(item))}{among}; {helps}"
        return (
            f"numbers as text, such as {shown(str(item))}{among}; np.asarray({own}, float) converts"
        )
    if item is None and array.size and array.flat[place] is not None:
        return f"dtype object; np.asarray({own}, float) converts"
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return f"missing values{among}; {_missing_cure(own, array.ndim)}"
    return f"objects of type {type(item).__name__}{among}; {_OF_FRAMES}"


def _missing_cure(own: str, dimensions: int) -> str:
    if own == "x":
        return "fastmlp.Model replaces missing values"
    rows = "" if dimensions == 1 else ".all(axis=1)"
    return f"np.isfinite(np.asarray({own}, float)){rows} tells the samples to keep"


def core_array(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return `array` in the form that the core reads: C-contiguous, aligned, native byte order.

    Every array that reaches the core goes through this function. A view into a buffer or a record
    may be unaligned, which `numpy.ascontiguousarray` does not change.
    """
    wanted = np.dtype(dtype).newbyteorder("=")
    result = np.asarray(array, dtype=wanted, order="C")
    flags = result.flags
    return result if flags.aligned and flags.c_contiguous else result.copy("C")


def finite_array(
    name: str, value: object, dtype: npt.DTypeLike, *, text_cure: str = ""
) -> npt.NDArray[Any]:
    """Return `value` as a C-contiguous array of `dtype` without NaN, infinity or overflow."""
    array = real_array(name, value, text_cure=text_cure)
    if array.dtype == dtype:
        converted = core_array(array, dtype)
    else:
        with np.errstate(over="ignore"):
            converted = core_array(array, dtype)
    if array.dtype.kind == "f":
        require_finite(name, converted, dtype, array)
    return converted


def require_finite(
    name: str,
    array: npt.NDArray[Any],
    dtype: npt.DTypeLike,
    given: npt.NDArray[Any] | None = None,
) -> None:
    """Require that an array that the core reads is finite in `dtype`; `given` is the user's own."""
    import fastmlp._core as _core  # commands that compute nothing do without it

    wanted = np.dtype(dtype)
    if (_core.all_finite32 if wanted == np.float32 else _core.all_finite64)(array):
        return
    given = array if given is None else given
    with np.errstate(over="ignore"):
        places = next(
            start + np.flatnonzero(~np.isfinite(block.astype(wanted)))[:1]
            for start, block in _blocks(array.reshape(-1))
            if not np.isfinite(block.astype(wanted)).all()
        )
    where = np.unravel_index(int(places[0]), given.shape)
    position = ", ".join(str(int(i)) for i in where)
    found, own = given[where], _expression(name)
    if np.isfinite(found):
        cure = 'dtype="float64" holds more numbers'
    elif np.isnan(found) and own in ("x", "y"):
        cure = _missing_cure(own, given.ndim)
    else:
        cure = f"np.nan_to_num({own}, nan=0, posinf=0, neginf=0) makes 0 of such values"
    raise ValueError(f"{name} must be finite in {wanted.name}, got {found} at [{position}]; {cure}")


def _blocks(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    for start in range(0, len(array), _BLOCK):
        yield start, array[start : start + _BLOCK]


# ---------------------------------------------------------------- samples and their targets


def input_rows(
    name: str, value: object, features: int, dtype: npt.DTypeLike, *, one_pass: bool = False
) -> npt.NDArray[Any]:
    """Return samples as a C-contiguous array (n, features) that the core reads.

    Large arrays keep their type, which the core converts while it reads them; others are converted
    once. For `one_pass` none is converted, and none is looked at: the core finds what is not
    finite.
    """
    array = real_array(name, value, text_cure=_OF_FRAMES)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have shape (samples, {features}), got {array.shape}"
            f"{_rows_cure(_expression(name), array.shape, features)}"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} must have at least one sample, got shape {array.shape}")
    if array.shape[1] != features:
        own = _expression(name)
        if array.size == features:
            cure = f"np.reshape({own}, (1, -1)) is one sample"
        elif array.shape[0] == features:
            cure = f"np.transpose({own}) has a row for each sample"
        else:
            cure = f"layer_sizes[0] is the number of columns of {own}"
        raise ValueError(
            f"{name} must have {features} features to match the model, got shape {array.shape}; "
            f"{cure}"
        )
    if array.dtype not in _READ_TYPES:
        return finite_array(name, value, dtype)
    keeps_type = one_pass or array.dtype in (np.uint8, dtype)
    if keeps_type or array.size * np.dtype(dtype).itemsize > _MOST_COPIED:
        rows = core_array(array, array.dtype)
    else:
        with np.errstate(over="ignore"):
            rows = core_array(array, dtype)
    if not one_pass:
        require_finite(name, rows, dtype, array)
    return rows


def _rows_cure(own: str, shape: tuple[int, ...], features: int) -> str:
    """The end of a message: how an array gets a row for each sample."""
    if len(shape) == 1 and shape[0] == features:
        return f"; np.reshape({own}, (1, -1)) is one sample"
    if len(shape) == 1 and features == 1:
        return f"; np.reshape({own}, (-1, 1)) has a sample in each row"
    if len(shape) < 2 or 0 in shape:
        return "; each sample is a row"
    if math.prod(shape[1:]) != features and shape[-1] == features:
        return f"; np.reshape({own}, (-1, {features})) has a sample in each row"
    size = math.prod(shape[1:])
    others = "" if size == features else f" of {size} features, which layer_sizes[0] counts"
    return f"; np.reshape({own}, (len({own}), -1)) makes a row of each sample{others}"


def _require_length(name: str, array: npt.NDArray[Any], samples: int) -> None:
    if array.shape[0] != samples:
        raise ValueError(
            f"{name} must have one entry per sample: {samples} needed, got {array.shape[0]}; "
            "take samples and targets of the same rows"
        )


def label_array(name: str, value: object) -> npt.NDArray[Any]:
    """Return labels, or rows of probabilities, as an array of real numbers of any shape."""
    cure = f"{_numbered(name)} numbers them from 0, and fastmlp.MLPClassifier takes names"
    return real_array(name, value, text_cure=cure)


def class_targets(
    name: str, value: object, samples: int, classes: int, *, fraction_cure: str = ""
) -> npt.NDArray[np.int64]:
    """Return labels as int64 (samples,), each in 0..classes-1.

    `fraction_cure` is what helps if they are no integers, for the message.
    """
    return class_labels(
        name, label_array(name, value), samples, classes, fraction_cure=fraction_cure
    )


def class_labels(
    name: str, array: npt.NDArray[Any], samples: int, classes: int, *, fraction_cure: str = ""
) -> npt.NDArray[np.int64]:
    """Apply `class_targets` to an array of real numbers."""
    own = _expression(name)
    if array.ndim != 1:
        cure = "; each sample has one integer"
        if array.ndim == 2 and array.shape[1] == 1:
            cure = f"; np.ravel({own}) has one dimension"
        elif array.ndim == 2 and array.shape[1] == classes:
            cure = f"; np.argmax({own}, axis=1) makes labels of one-hot rows"
        raise ValueError(
            f"{name} must have 1 dimension (one label per sample), got shape {array.shape}{cure}"
        )
    _require_length(name, array, samples)
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        wrong = array[~(np.isfinite(array) & (array == np.floor(array)))][0]
        cure = _missing_cure(own, 1) if np.isnan(wrong) else fraction_cure
        raise ValueError(f"{name} must hold integer labels, got {wrong}{cure and '; '}{cure}")
    low, high = array.min(), array.max()
    if low < 0 or high >= classes:
        if low == 1 and high == classes:
            cure = f"np.subtract({own}, 1) counts from 0"
        elif low == -1 and np.isin(array, (-1, 1)).all():
            cure = f"np.greater({own}, 0) makes 0 and 1 of -1 and 1"
        elif low >= 0 and high < 2 * classes + 10:
            needed = int(high) + 1
            cure = f"labels up to {needed - 1} need {needed} outputs, the last of layer_sizes"
        else:
            cure = f"{_numbered(name)} numbers classes from 0".format(own=own)
        raise ValueError(
            f"{name} must hold labels from 0 to {classes - 1}, got "
            f"{low if low < 0 else high}; {cure}"
        )
    return core_array(array, np.int64)


def value_targets(
    name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Return targets as (samples, outputs) of `dtype`; one output may have one dimension."""
    own = _expression(name)
    array = finite_array(
        name,
        value,
        dtype,
        text_cure=f'{_numbered(name)} numbers classes for loss="softmax_cross_entropy", and '
        "fastmlp.MLPClassifier takes names",
    )
    if array.ndim == 1 and outputs == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != outputs:
        raise ValueError(
            f"{name} must have shape (samples, {outputs}) for this loss, got {array.shape}"
            f"{_values_cure(own, array, samples, outputs)}"
        )
    _require_length(name, array, samples)
    return array


def _values_cure(own: str, array: npt.NDArray[Any], samples: int, outputs: int) -> str:
    """The end of a message: how targets and outputs of a network match."""
    if array.ndim == 1 and len(array) == samples:
        if np.isin(array, np.arange(outputs)).all():
            return (
                f"; np.eye({outputs})[{own}] has a column for each class, and "
                'loss="softmax_cross_entropy" takes labels'
            )
        return "; one value per sample needs 1 output, the last of layer_sizes"
    if array.ndim == 2 and array.shape == (outputs, samples):
        return f"; np.transpose({own}) has a row for each sample"
    if array.ndim == 2 and len(array) == samples:
        return f"; {array.shape[1]} columns need {array.shape[1]} outputs, the last of layer_sizes"
    if array.ndim > 2 and array.size == samples * outputs:
        return f"; np.reshape({own}, (len({own}), -1)) has a row for each sample"
    return "; each sample has a row of targets"


def probability_targets(
    name: str, value: object, samples: int, outputs: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Return probabilities of the classes as (samples, outputs) of `dtype`, none negative."""
    array = value_targets(name, value, samples, outputs, dtype)
    if array.min() < 0:
        raise ValueError(
            f"{name} must hold probabilities, got {array.min()}; "
            f"np.argmax({_expression(name)}, axis=1) makes labels of scores"
        )
    return array


def sample_weights(
    name: str, value: object, samples: int, dtype: npt.DTypeLike, *, of_part: bool = False
) -> npt.NDArray[Any] | None:
    """Return one finite weight >= 0 per sample, of `dtype`; None stays None.

    Those of a part of all samples may all be 0.
    """
    if value is None:
        return None
    if isinstance(value, dict):
        raise TypeError(
            f"{name} must be an array with one weight per sample, got a dict; class_weight takes "
            "the weights of classes"
        )
    array = finite_array(name, value, dtype)
    if array.shape != (samples,):
        cure = f"; np.ravel({_expression(name)}) has one" if array.shape == (samples, 1) else ""
        raise ValueError(
            f"{name} must have shape ({samples},), one weight per sample, got {array.shape}{cure}"
        )
    if array.min() < 0 or not (of_part or array.any()):
        raise ValueError(f"{name} must be >= 0 and not all 0, got a minimum of {array.min()}")
    require_usable_weights(name, array)
    return array


def require_usable_weights(name: str, weights: npt.NDArray[Any]) -> None:
    """Require that the core can divide by the sum of any of the weights, which are >= 0."""
    least = float(np.finfo(weights.dtype).tiny)
    with np.errstate(over="ignore"):
        total = float(weights.sum(dtype=np.float64))
    smallest = float(weights.min(initial=np.inf, where=weights > 0))
    if not total <= 1 / least or smallest < least:
        raise ValueError(
            f"{name} must be 0 or at least {least:.3g} in {weights.dtype.name} and add up to at "
            f"most {1 / least:.3g}, got a minimum of {smallest:.3g} and a sum of {total:.3g}; "
            "divide all of them by their mean"
        )
