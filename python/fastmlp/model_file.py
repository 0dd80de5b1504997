"""Model files and checkpoints: safetensors files whose every byte is checked.

Metadata keys: ``format`` (the kind of file), ``format_version`` "1", ``config`` (JSON, sorted keys,
compact) and ``sha256``. The digest covers kind, config and every tensor; the header must equal the
header that `write_model` writes, byte for byte. Together they check every byte. This module does
not interpret config and tensors.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp._files import atomic_write, read_regular_file
from fastmlp.errors import FormatError

__all__ = ["FORMAT", "FORMAT_VERSION", "NoModelFileError", "read_model", "write_model"]

FORMAT = "fastmlp-model"
FORMAT_VERSION = 1

_ITEM_SIZES = {"F32": 4, "F64": 8}
_NUMPY_DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_METADATA_KEYS = ("config", "format", "format_version", "sha256")

# Far above any real model, low enough that a hostile header costs neither memory nor time.
_MAX_HEADER_BYTES = 1 << 20
_MAX_TENSORS = 10_000
_MAX_DIMENSIONS = 8
_MAX_JSON_DEPTH = 16

# Beginnings of files of other libraries, and what is said of them.
_WEIGHTS = "MLP(...).weights and .biases can be set to its arrays"
_OTHERS = (
    (re.compile(rb"\x89HDF"), f"an HDF5 file, as Keras writes; {_WEIGHTS}"),
    (
        re.compile(rb"PK\x03\x04.{0,400}?(metadata|config)\.json", re.DOTALL),
        f"a file of Keras; {_WEIGHTS}",
    ),
    (
        re.compile(rb"PK\x03\x04.{0,400}?data\.pkl", re.DOTALL),
        f"a file of PyTorch; {_WEIGHTS}, weights transposed",
    ),
    (re.compile(rb"PK\x03\x04.{0,400}?\.npy", re.DOTALL), "a NumPy file, which np.load reads"),
    (re.compile(rb"\x93NUMPY"), "a NumPy file, which np.load reads"),
    (re.compile(rb"\x80[\x02-\x05]"), "a pickle, which joblib.load or pickle.load reads"),
    (
        re.compile(rb"\x08[\x01-\x20][\x12\x3a\x42]"),
        "a file of ONNX, which onnxruntime runs; fastmlp writes such files but reads none",
    ),
)
_READERS = {
    "fastmlp-model": "fastmlp.load",
    "fastmlp-estimator": "MLPClassifier.load or MLPRegressor.load",
    "fastmlp-checkpoint": "fastmlp train --resume",
}

_LENGTH_BYTES = 8  # the file begins with the header's length, little-endian
_JSON_TOKEN = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


class NoModelFileError(FormatError):
    """A file that does not even begin like a model file."""


def write_model(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    config: Mapping[str, Any],
    *,
    kind: str = FORMAT,
) -> None:
    """Write tensors and their config as one file, atomically.

    The bytes written depend on the arguments alone: the same model gives the same file.

    Parameters
    ----------
    path : str or os.PathLike
        File to create or replace.
    tensors : mapping of str to ndarray
        Arrays of dtype float32 or float64, any shape and layout, all values finite.
    config : mapping of str to object
        JSON-like values: str keys; dict, list, str, int, finite float, bool and None as values.
        Tuples come back as lists.
    kind : str
        Format name that `read_model` has to ask for.

    Raises
    ------
    TypeError, ValueError
        An argument cannot be stored without loss. Nothing is written.
    OSError
        The file could not be written; an older file at `path` is unharmed.
    """
    from safetensors.numpy import save

    stored = {name: _storable(name, array) for name, array in tensors.items()}
    if len(stored) > _MAX_TENSORS:
        raise ValueError(f"tensors must hold at most {_MAX_TENSORS} arrays, got {len(stored)}")
    config_text = _config_text(config)
    metadata = {
        "config": config_text,
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "sha256": _digest(kind, config_text, stored),
    }
    # The library orders the metadata randomly, so a canonical header replaces its header.
    with _panics_as_memory_errors():
        serialized = save(stored, metadata=metadata)
    length = int.from_bytes(serialized[:_LENGTH_BYTES], "little")
    entries = json.loads(serialized[_LENGTH_BYTES : _LENGTH_BYTES + length])
    del entries["__metadata__"]
    header = _canonical_header(metadata, entries)
    if len(header) > _MAX_HEADER_BYTES:
        raise ValueError(f"config and tensor names take more than {_MAX_HEADER_BYTES} bytes")
    with _cures_of_paths(path):
        atomic_write(path, b"".join((header, memoryview(serialized)[_LENGTH_BYTES + length :])))


@contextlib.contextmanager
def _cures_of_paths(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors about the path of a file to write say what to type."""
    name = os.fsdecode(path)
    try:
        yield
    except FileNotFoundError as error:
        folder = os.path.dirname(name) or os.curdir
        cure = f"no such directory; os.makedirs({folder!r}, exist_ok=True) makes it"
        raise FileNotFoundError(error.errno, cure, name) from None
    except IsADirectoryError as error:
        within = os.path.join(name, "model.safetensors")
        cure = f"{error.strerror}; a file in it has a name, such as {within!r}"
        raise IsADirectoryError(error.errno, cure, name) from None


@contextlib.contextmanager
def _panics_as_memory_errors() -> Iterator[None]:
    """Turn a panic of safetensors, which is no `Exception`, into a MemoryError.

    Tensors and headers are checked before, so that only missing memory makes it panic.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise MemoryError(f"safetensors got no memory: {error}") from error


def read_model(
    path: str | os.PathLike[str], *, kind: str = FORMAT
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a file of `write_model` and verify every byte of it.

    Parameters
    ----------
    path : str or os.PathLike
        File to read.
    kind : str
        Format name that it was written with.

    Returns
    -------
    tensors : dict of str to ndarray
        Writable arrays of dtype float32 or float64, sorted by name.
    config : dict
        The config.

    Raises
    ------
    FormatError
        The file is not a model file, is damaged, truncated or extended, comes from a newer
        version, or holds NaN or infinite values. The message names the file and the field.
    OSError
        The file cannot be opened or read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    name = os.fspath(path)
    content = read_regular_file(path)
    metadata, entries, header_size = _read_header(name, content)
    _check_metadata(name, metadata, kind)
    _check_entries(name, entries, len(content) - header_size)
    if content[:header_size] != _canonical_header(metadata, entries):
        _fail(name, "header", "is not as fastmlp writes it; the file was altered")
    try:
        with _panics_as_memory_errors():
            loaded = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{name}: tensors: {error}") from error
    del content  # the library copied it; large models need the memory
    if _digest(kind, metadata["config"], loaded) != metadata["sha256"]:
        _fail(name, "sha256", "does not match the content; the file is damaged")
    for key, array in loaded.items():
        if not np.isfinite(array).all():
            _fail(name, key, "holds NaN or infinite values")
    config = _parse_json(name, "config", metadata["config"])
    if not isinstance(config, dict):
        _fail(name, "config", "must be a JSON object")
    return {key: _native(loaded[key]) for key in sorted(loaded)}, config


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array contiguous and little-endian, or raise."""
    if not isinstance(name, str):
        raise TypeError(f"names of tensors must be str, got {type(name).__name__}")
    if not name or name == "__metadata__" or not (name.isascii() and name.isprintable()):
        raise ValueError(f"names of tensors must be printable ASCII, got {name!r}")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"tensor {name!r} must be a NumPy array, got {type(array).__name__}")
    if array.dtype.kind != "f" or array.dtype.itemsize not in _ITEM_SIZES.values():
        raise ValueError(f"tensor {name!r} must be float32 or float64, got {array.dtype}")
    if array.ndim > _MAX_DIMENSIONS:
        raise ValueError(f"tensor {name!r} must have at most {_MAX_DIMENSIONS} dimensions")
    if not np.isfinite(array).all():
        raise ValueError(f"tensor {name!r} must be finite, got NaN or infinite values")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)


def _config_text(config: Mapping[str, Any]) -> str:
    if not isinstance(config, Mapping):
        raise TypeError(f"config must be a mapping, got {type(config).__name__}")
    try:
        text = json.dumps(dict(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except RecursionError as error:
        raise ValueError(f"config must nest at most {_MAX_JSON_DEPTH} levels") from error
    if _json_depth(text) > _MAX_JSON_DEPTH:
        raise ValueError(f"config must nest at most {_MAX_JSON_DEPTH} levels")
    return text


def _digest(kind: str, config_text: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over version, config and, sorted by name, each tensor's name, dtype, shape, bytes."""
    digest = hashlib.sha256()

    def add(field: bytes | memoryview) -> None:
        # Without lengths, two different lists of fields could have the same bytes.
        digest.update(len(field).to_bytes(8, "little"))
        digest.update(field)

    add(f"{kind} {FORMAT_VERSION}".encode())
    add(config_text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        add(name.encode())
        add(f"F{array.dtype.itemsize * 8}".encode())
        add(",".join(map(str, array.shape)).encode())
        add(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def _canonical_header(metadata: Mapping[str, str], entries: Mapping[str, Any]) -> bytes:
    """Length and JSON of the header: sorted metadata, then tensors in the order of their data."""
    header: dict[str, Any] = {"__metadata__": {key: metadata[key] for key in sorted(metadata)}}
    for name in sorted(entries, key=lambda key: (*entries[key]["data_offsets"], key)):
        entry = entries[name]
        header[name] = {key: entry[key] for key in ("dtype", "shape", "data_offsets")}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin on a multiple of 8 bytes
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _read_header(name: str, content: bytes) -> tuple[dict[str, str], dict[str, Any], int]:
    """Return the metadata, the tensor entries and the number of bytes before the data."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    fits = length <= min(_MAX_HEADER_BYTES, len(content) - _LENGTH_BYTES)
    if not fits and content[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        known = next((what for start, what in _OTHERS if start.match(content)), None)
        but = f", but {known}" if known else ""
        raise NoModelFileError(f"{name}: is no model file of fastmlp{but}")
    if length > _MAX_HEADER_BYTES:
        _fail(name, "header length", f"is {length}, at most {_MAX_HEADER_BYTES} is allowed")
    if length > len(content) - _LENGTH_BYTES:
        _fail(name, "header length", f"is {length}, the file has {len(content)} bytes: truncated")
    end = _LENGTH_BYTES + length
    try:
        text = content[_LENGTH_BYTES:end].decode("ascii")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: header: is not ASCII text") from error
    header = _parse_json(name, "header", text)
    if not isinstance(header, dict):
        _fail(name, "header", "must be a JSON object")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict):
        _fail(
            name,
            "__metadata__",
            "is missing; this is not a fastmlp model file: safetensors.numpy.load_file reads it, "
            f"and {_WEIGHTS}",
        )
    return metadata, header, end


def _check_metadata(name: str, metadata: Mapping[str, Any], kind: str) -> None:
    for key in _METADATA_KEYS:
        if not isinstance(metadata.get(key), str):
            _fail(name, key, "is missing; this is not a fastmlp model file")
    for key in metadata:
        if key not in _METADATA_KEYS:
            _fail(name, key, "is no metadata of a fastmlp model file")
    if metadata["format"] != kind:
        reader = _READERS.get(metadata["format"])
        cure = f"; {reader} reads it" if reader else ""
        _fail(name, "format", f"must be {kind!r}, got {metadata['format'][:40]!r}{cure}")
    version = metadata["format_version"]
    if version != str(FORMAT_VERSION):
        newer = version.isascii() and version.isdigit() and len(version) < 10
        newer = newer and int(version) > FORMAT_VERSION
        hint = "; a newer fastmlp wrote this file" if newer else ""
        _fail(name, "format_version", f"must be {FORMAT_VERSION}, got {version[:40]!r}{hint}")


def _check_entries(name: str, entries: Mapping[str, Any], data_bytes: int) -> None:
    """Check that the tensors fill the data without overlap, hole or rest."""
    if len(entries) > _MAX_TENSORS:
        _fail(name, "header", f"lists {len(entries)} tensors, at most {_MAX_TENSORS} are allowed")
    position = 0
    for key, entry in entries.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            _fail(name, key, "must have dtype, shape and data_offsets, and nothing else")
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in _ITEM_SIZES:
            _fail(name, key, f"dtype must be F32 or F64, got {str(entry['dtype'])[:20]!r}")
        shape, offsets = entry["shape"], entry["data_offsets"]
        if not _is_count_list(shape) or len(shape) > _MAX_DIMENSIONS:
            _fail(name, key, "shape must be a list of a few sizes")
        if not _is_count_list(offsets) or len(offsets) != 2:
            _fail(name, key, "data_offsets must be two positions")
        size = _ITEM_SIZES[entry["dtype"]]
        for extent in shape:
            size *= extent  # Python integers do not overflow
        if offsets != [position, position + size]:
            expected = [position, position + size]
            _fail(name, key, f"data_offsets must be {expected} for this shape, got {offsets}")
        position += size
    if position != data_bytes:
        kind = "truncated" if data_bytes < position else "trailing bytes"
        _fail(name, "data", f"must have {position} bytes, the file holds {data_bytes}: {kind}")


def _is_count_list(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(type(item) is int and 0 <= item < 2**62 for item in value)


def _parse_json(name: str, field: str, text: str) -> Any:
    if _json_depth(text) > _MAX_JSON_DEPTH:
        _fail(name, field, f"nests deeper than {_MAX_JSON_DEPTH} levels")
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite_float,
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: {field}: is not valid JSON ({error})") from error


def _json_depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, found in one pass without recursion."""
    depth = deepest = 0
    in_string = False
    for match in _JSON_TOKEN.finditer(text):
        token = match.group()
        if token == '"':
            in_string = not in_string
        elif not in_string and token in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not in_string and token in "]}":
            depth -= 1
    return deepest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:60]!r} appears twice")
        found[key] = value
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _fail(name: str, field: str, problem: str) -> NoReturn:
    raise FormatError(f"{name}: {field}: {problem}")
