"""The comment at the top of the C header: what it is, how to call it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from fastmlp._version import __version__
from fastmlp.export.c_functions import hidden_buffers
from fastmlp.export.c_source import comment_text
from fastmlp.export.inference import Inference

__all__ = ["introduction"]

_WIDTH = 96


def introduction(inference: Inference, prefix: str, file_name: str) -> Iterator[str]:
    """The comment, line by line."""
    yield "/*"
    yield from (f" * {line}".rstrip() for line in _paragraphs(inference, prefix, file_name))
    yield " */"


def _paragraphs(inference: Inference, prefix: str, file_name: str) -> Iterator[str]:
    sizes = "-".join(map(str, inference.layer_sizes))
    yield f"{prefix}: a multi-layer perceptron, {sizes}, written by fastmlp {__version__}."
    yield ""
    yield from textwrap.wrap(
        "C99 or C++11 with <math.h> alone (link with -lm). Nothing is allocated and no state is "
        "kept, so threads may call at the same time. Results must not overlap x. A call takes "
        f"about {_stack_bytes(inference)} bytes of stack.",
        _WIDTH,
    )
    yield ""
    yield from _usage(inference, prefix, file_name)
    yield ""
    yield from textwrap.wrap(f"{inference.input_meaning}.", _WIDTH)
    yield from _names("x", inference.feature_names)
    yield from _names("outputs", inference.class_names or inference.target_names)


def _stack_bytes(inference: Inference) -> int:
    decides = inference.kind in ("classes", "labels")
    numbers = sum(hidden_buffers(inference).values()) + (inference.outputs if decides else 0)
    return numbers * inference.dtype.itemsize


def _usage(inference: Inference, prefix: str, file_name: str) -> Iterator[str]:
    number = "float" if inference.dtype.itemsize == 4 else "double"
    yield f'    #include "{comment_text(file_name)}"'
    yield ""
    yield f"    {number} x[{prefix}_features];"
    yield f"    {number} outputs[{prefix}_outputs];"
    yield ""
    yield f"    {prefix}_predict(x, outputs);  // {_output_meaning(inference)}"
    if inference.link in ("softmax", "sigmoid"):
        yield f"    {prefix}_probabilities(x, outputs);"
    if inference.kind == "labels" and inference.outputs > 1:
        yield f"    int labels[{prefix}_outputs];"
        yield f"    {prefix}_classify(x, labels);  // 0 or 1 each"
    elif inference.kind in ("classes", "labels"):
        yield f"    int index = {prefix}_classify(x);"


def _output_meaning(inference: Inference) -> str:
    if inference.kind == "values":
        return "values in the units of the targets"
    if inference.softmax_output or inference.output_link != "none":
        return "probabilities"
    if inference.kind == "outputs":
        return "outputs of the last layer"
    return "scores" if inference.link == "none" else "logits"


def _names(array: str, names: Sequence[str] | None) -> Iterator[str]:
    if names:
        yield ""
        yield from (f"{array}[{i}]: {comment_text(name)}" for i, name in enumerate(names))
