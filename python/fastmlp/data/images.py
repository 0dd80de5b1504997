"""Images in directories, one directory per class, read with Pillow.

The layout is DIR/CLASS/*.png, or DIR/train/CLASS/*.png and DIR/test/CLASS/*.png.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._bytes import require_ratio
from fastmlp._files import read_regular_file
from fastmlp.data.shards import holds_arrays
from fastmlp.data.table import Part, RawData
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = ["holds_images", "image_pixels", "read_image_directory", "read_images"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# Pillow tries the decoders of these formats and no others, whatever the name of the file says.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_MOST_PIXELS = 1 << 24
_DEEP_MODES = ("I", "F")


@dataclass(frozen=True)
class _Picture:
    """Path of an image and the number of its class."""

    path: str
    label: int


def read_image_directory(directory: str) -> RawData:
    """Read all images of a directory. Hidden files and directories are ignored.

    Returns
    -------
    RawData
        x is uint8 of shape (samples, height * width) for gray images, (samples, height * width * 3)
        for others: row by row, the channels red, green and blue of a pixel side by side. Classes
        are the names of the directories, sorted. `sha256` has one entry, the digest of the sorted
        paths and digests of the images.

    Raises
    ------
    FormatError
        The directory is laid out in another way, an image cannot be read, or the images differ in
        size or mode.
    OSError
        A file or directory cannot be opened.
    """
    splits = [name for name in ("train", "test") if _subdirectories(os.path.join(directory, name))]
    root = os.path.join(directory, "train") if splits else directory
    if splits:
        _require_only(directory, ("train", "test"))
    class_names = tuple(_subdirectories(root))
    if not class_names:
        cure = "; --stream reads a directory of arrays" if holds_arrays(root) else ""
        raise FormatError(
            f"{root}: must hold a directory of images for each class, the four files of an IDX "
            f"set, or tables of one format{cure}"
        )
    pictures = _pictures(root, class_names)
    reader = _ImageReader(directory)
    train = reader.read(pictures)
    test = None
    if "test" in splits:
        test = reader.read(_pictures(os.path.join(directory, "test"), class_names))
    name = os.path.basename(os.path.abspath(directory))
    return RawData(
        name=name or "data",
        train=train,
        test=test,
        class_names=class_names,
        image_shape=reader.shape,
        task="classification",
        sha256={name: reader.digest()},
    )


def _visible(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _subdirectories(directory: str) -> list[str]:
    """Return the names of the visible directories in a directory; none if it does not exist."""
    if not os.path.isdir(directory):
        return []
    return [entry.name for entry in _visible(directory) if entry.is_dir()]


def _require_only(directory: str, names: tuple[str, ...]) -> None:
    for name in _subdirectories(directory):
        if name not in names:
            raise FormatError(
                f"{os.path.join(directory, name)}: must not be beside train and test, the only "
                "parts that a directory of images can have; move or remove it"
            )


def _pictures(root: str, class_names: tuple[str, ...]) -> list[_Picture]:
    labels = {name: label for label, name in enumerate(class_names)}
    pictures: list[_Picture] = []
    for entry in _visible(root):
        if not entry.is_dir():
            if entry.name.lower().endswith(_SUFFIXES):
                raise FormatError(f"{entry.path}: must lie in the directory of its class")
            continue
        if entry.name not in labels:
            raise FormatError(
                f"{entry.path}: must be one of the classes of the training part: "
                f"{', '.join(class_names[:8])}"
            )
        if not entry.name.isprintable():
            raise FormatError(f"{entry.path!r}: the name of a class must be printable text")
        files = _visible(entry.path)
        if not files:
            raise FormatError(f"{entry.path}: must hold images, got nothing")
        for file in files:
            if not file.name.lower().endswith(_SUFFIXES):
                raise FormatError(f"{file.path}: must be an image, one of {', '.join(_SUFFIXES)}")
            pictures.append(_Picture(file.path, labels[entry.name]))
    if not pictures:
        raise FormatError(f"{root}: must hold a directory of images for each class")
    return pictures


class _ImageReader:
    """Reader of images that must all have the size and mode of the first one."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._digest = hashlib.sha256()
        self._first = ""
        self.shape: tuple[int, ...] = ()

    def read(self, pictures: list[_Picture]) -> Part:
        """Return the pixels (samples, features) and classes (samples,) of images."""
        labels = np.array([picture.label for picture in pictures], np.int64)
        # Warning filters belong to the process, so they are changed once for the whole loop.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = (self._read_one(picture.path) for picture in pictures)
            first = next(images)
            packed = sum(os.path.getsize(picture.path) for picture in pictures)
            require_ratio(self._directory, packed, len(pictures) * first.size)
            pixels = np.empty((len(pictures), *first.shape), np.uint8)
            pixels[0] = first
            for i, image in enumerate(images, 1):
                pixels[i] = image
        return Part(pixels.reshape(len(pictures), -1), labels)

    def digest(self) -> str:
        """Return the SHA-256 of the paths and contents read so far."""
        return self._digest.hexdigest()

    def _read_one(self, path: str) -> NDArray[np.uint8]:
        content = read_regular_file(path)
        relative = os.fsencode(os.path.relpath(path, self._directory))
        self._digest.update(relative + b"\0" + hashlib.sha256(content).digest())
        image = _decode(content, path)
        if not self._first:
            self._first, self.shape = path, image.shape
        elif image.shape != self.shape:
            raise FormatError(
                f"{path}: size: must be {_kind(self.shape)} like {self._first}, "
                f"got {_kind(image.shape)}"
            )
        return image


# ---------------------------------------------------------------- images to predict


def holds_images(source: str) -> bool:
    """Return whether a source is an image, or a directory that holds images and nothing else.

    The images may lie in directories inside it, as those of a training do.
    """
    path = os.path.expanduser(source)
    if not os.path.isdir(path):
        return path.lower().endswith(_SUFFIXES)
    found = False
    for each in _files_below(path):
        if not each.lower().endswith(_SUFFIXES):
            return False
        found = True
    return found


def _files_below(directory: str, depth: int = 2) -> Iterator[str]:
    """Yield the visible files in a directory and in those inside it, by name.

    Directories deeper than those of a training, PART/CLASS, come as they are.
    """
    for entry in _visible(directory):
        if entry.is_dir() and depth:
            yield from _files_below(entry.path, depth - 1)
        else:
            yield entry.path


def read_images(
    source: str, shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.object_]]:
    """Read an image, or all images of a directory, in the form of the images of a training.

    Parameters
    ----------
    source : str
        An image, or a directory of images, which are sorted by their paths.
    shape : tuple of int
        (height, width) of gray images or (height, width, 3) of others. Images of another size are
        resized, and colors become gray or gray becomes colors.

    Returns
    -------
    pixels : uint8 array of shape (images, features)
        As `read_image_directory` returns them.
    names : object array of str of shape (images,)
        Names of the files, with those of the directories inside the source.

    Raises
    ------
    FormatError
        An image cannot be read.
    OSError
        A file cannot be opened.
    """
    path = os.path.expanduser(source)
    is_directory = os.path.isdir(path)
    paths = list(_files_below(path)) if is_directory else [path]
    pixels = np.empty((len(paths), *shape), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, each in enumerate(paths):
            pixels[i] = _decode(read_regular_file(each), each, shape)
    root = path if is_directory else os.path.dirname(path)
    names = np.array([os.path.relpath(each, root or ".") for each in paths], object)
    return pixels.reshape(len(paths), -1), names


def image_pixels(content: bytes, origin: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of one image in memory, of shape (1, features), as `read_images` does.

    Parameters
    ----------
    content : bytes
        The file.
    origin : str
        Name of the image for messages.
    shape : tuple of int
        As for `read_images`.

    Raises
    ------
    FormatError
        The image cannot be read.
    """
    return _decode(content, origin, shape).reshape(1, -1)


def _decode(content: bytes, path: str, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Return the pixels of an image: (height, width) if it is gray, else (height, width, 3).

    With a shape the image gets it: it is converted, and resized with all its pixels weighted.
    """
    pillow: Any = require("data", "PIL.Image")
    try:
        with pillow.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise FormatError(
                    f"{path}: size: must be {_MOST_PIXELS} pixels at most, got {width} x {height}"
                )
            if image.mode.startswith(_DEEP_MODES):
                raise FormatError(f"{path}: mode: must have 8 bits per channel, got {image.mode!r}")
            gray = image.mode in ("1", "L") if shape is None else len(shape) == 2
            converted = image.convert("L" if gray else "RGB")
            if shape is not None and converted.size != (shape[1], shape[0]):
                bilinear = pillow.Resampling.BILINEAR
                converted = converted.resize((shape[1], shape[0]), bilinear)
            return np.asarray(converted, np.uint8)
    except (FormatError, MemoryError):
        raise
    except pillow.UnidentifiedImageError as error:
        formats = ", ".join(_FORMATS)
        raise FormatError(f"{path}: image: begins like none of {formats}") from error
    except Exception as error:  # decoders raise a dozen types for damaged files
        raise FormatError(f"{path}: image: cannot be read: {error}") from error


def _kind(shape: tuple[int, ...]) -> str:
    height, width = shape[:2]
    return f"{width} x {height} pixels in {'color' if len(shape) == 3 else 'gray'}"
