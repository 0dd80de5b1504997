"""Pictures inside the page: SVG elements without foreign references, PNG as data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastmlp.extras import require

__all__ = ["inline_svg", "png_uri"]

# A style sheet inside a picture would apply to the whole page, whose own sheet stands in for it.
_LEFT_OUT = ("metadata", "style", "title")


def inline_svg(svg: str, description: str) -> str:
    """An SVG document of `fastmlp.plot.svg` as an element of an HTML page.

    Namespaces and metadata, which HTML does not need, go, and with them every web address.

    Parameters
    ----------
    svg : str
    description : str
        What a screen reader says instead of the picture.

    Returns
    -------
    str
        One `svg` element, no wider than the picture was drawn.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
    width = root.attrib.pop("width")
    for name in ("height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": description, "style": f"max-width:{width}"}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def png_uri(pixels: NDArray[Any]) -> str:
    """A data URI of a picture.

    Parameters
    ----------
    pixels : uint8 array of shape (height, width) or (height, width, 3)
    """
    image = require("plot", "PIL.Image").fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
