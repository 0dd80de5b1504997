"""The comment at the top of a C header: what it computes, how it is called, what its names mean."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from fastmlp._version import __version__
from fastmlp.export.c_columns import field_names
from fastmlp.export.c_text import comment_text
from fastmlp.export.inference import Inference

__all__ = ["introduction"]

_COMMENT_WIDTH = 96
# Activations that C computes without functions of its library.
_EXACT = ("relu", "leaky_relu", "identity", "hard_sigmoid", "step", "sign")


def introduction(inference: Inference, prefix: str, file_name: str, stack: int) -> Iterator[str]:
    """Yield the lines of the comment.

    Parameters
    ----------
    inference : Inference
        Description of the model.
    prefix : str
        Prefix of all names.
    file_name : str
        Name of the header.
    stack : int
        Numbers of the network's type that a call keeps on the stack.
    """
    yield "/*"
    yield from (f" * {line}".rstrip() for line in _paragraphs(inference, prefix, file_name, stack))
    yield " */"


def _paragraphs(inference: Inference, prefix: str, file_name: str, stack: int) -> Iterator[str]:
    sizes = "-".join(map(str, inference.layer_sizes))
    yield f"{prefix}: a multi-layer perceptron, {sizes}, written by fastmlp {__version__}."
    yield ""
    yield from textwrap.wrap(
        f"C99 or C++11 with {_headers(inference)} alone (link with -lm). Nothing is allocated and "
        "no state is kept, so threads may call at the same time. Results must not overlap x. A "
        f"call takes about {stack * inference.dtype.itemsize} bytes of stack.",
        _COMMENT_WIDTH,
    )
    yield ""
    yield from textwrap.wrap(
        f"With {prefix}_EXACT defined before the header is included, and -ffp-contract=off, sums "
        f"are those of fastmlp to the last bit; {_exactness(inference)}.",
        _COMMENT_WIDTH,
    )
    yield ""
    yield from _usage(inference, prefix, file_name)
    yield ""
    yield from textwrap.wrap(f"{inference.input_meaning}.", _COMMENT_WIDTH)
    if inference.columns is not None:
        yield ""
        yield from textwrap.wrap(
            "The functions of a row return 0, or the number (from 1) of the first field of "
            f"{prefix}_row that cannot be used: an infinite number, or a value that is missing or "
            "unknown where the model refuses that. Results then mean nothing.",
            _COMMENT_WIDTH,
        )
    yield from _names("x", inference.feature_names)
    names = inference.class_names or inference.target_names
    # One output decides between two classes, whose names it does not have.
    yield from _names("outputs", names if len(names or ()) == inference.outputs else None)


def _headers(inference: Inference) -> str:
    return "<math.h>" if inference.columns is None else "<math.h> and <string.h>"


def _exactness(inference: Inference) -> str:
    library = [layer.activation for layer in inference.layers if layer.activation not in _EXACT]
    if any(group.basis in ("cosine", "periodic") for group in inference.inputs):
        library.append("the cosines and sines of the inputs")
    if inference.members > 1 and any(link != "none" for link, _ in inference.groups):
        library.append("the means of the members")
    if library:
        functions = ", ".join(dict.fromkeys(library))
        return f"{functions} are made with functions of the C library, which round otherwise"
    if inference.link in ("softmax", "sigmoid", "exp") or inference.softmax_output:
        return "so are the logits; exp of the C library rounds otherwise"
    return "so are the outputs"


def _usage(inference: Inference, prefix: str, file_name: str) -> Iterator[str]:
    number = "float" if inference.dtype.itemsize == 4 else "double"
    yield f'    #include "{comment_text(file_name)}"'
    yield ""
    if inference.columns is not None:
        yield from _row_usage(inference, prefix, number)
        return
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


def _row_usage(inference: Inference, prefix: str, number: str) -> Iterator[str]:
    assert inference.columns is not None
    first = field_names(inference.columns)[0]
    yield f"    {prefix}_row row = {{0}};  // then set all its fields, such as row.{first}"
    yield f"    {number} outputs[{prefix}_outputs];"
    yield f"    int failed = {prefix}_predict_row(&row, outputs);  // {_output_meaning(inference)}"
    if inference.link in ("softmax", "sigmoid"):
        yield f"    failed = {prefix}_probabilities_row(&row, outputs);"
    if inference.kind == "labels":
        yield f"    int labels[{prefix}_outputs];"
        yield f"    failed = {prefix}_classify_row(&row, labels);  // 0 or 1 each"
    elif inference.kind == "classes":
        yield "    int index;"
        yield f"    failed = {prefix}_classify_row(&row, &index);"
        yield f"    const char *name = failed ? NULL : {prefix}_class_names[index];"


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
