"""Export to C: a network as one header that needs only <math.h>."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.activations import FORMS
from fastmlp.export.inference import DenseLayer, Inference, describe
from fastmlp.losses import Link
from fastmlp.model import MLP

__all__ = ["to_c"]

Array = npt.NDArray[Any]
Lines = Iterator[str]

# Names have no underscores at the ends or in pairs, because C and C++ reserve such names.
_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*", re.ASCII)
_COMMENT_WIDTH = 96
_VALUES_PER_LINE = 6  # C99 guarantees lines of 4095 characters; short lines are readable
_BUFFERS = ("even", "odd")  # arrays that alternate as outputs of the hidden layers
# Patterns in C expressions of activations.
_NUMBER = re.compile(r"\d+\.\d+(e[+-]?\d+)?")
_FUNCTION = re.compile(r"[a-z]\w*(?=\()")


def to_c(model: MLP, path: str | PathLike[str], *, name: str | None = None) -> None:
    """Write a model as a header for C99 and C++11 without dependencies.

    The header holds ``static`` constant arrays and the functions

    - ``NAME_predict(x, outputs)`` computes the result of `MLP.forward`; regression values are in
      the units of the targets, and the Poisson loss has rates;
    - ``NAME_probabilities(x, probabilities)`` exists if the loss defines probabilities;
    - ``NAME_classify(x)`` returns the index of the class, or 0 or 1 for a single binary label; for
      several labels ``NAME_classify(x, labels)`` sets each label to 0 or 1.

    ``x`` is one raw sample: the code replaces missing values (NaN), standardizes and applies
    ``input_scale``. If the preprocessing has categories, ``x`` is a row of the array that
    ``model.preprocessing.inputs`` returns. Numbers are ``float``, or ``double`` for a float64
    model. Batch normalization is folded into weights and biases. The comment at the top shows the
    calls and the stack memory of a call: the outputs of two hidden layers.

    Parameters
    ----------
    model : MLP
        Trained model.
    path : str or os.PathLike
        File to create or to replace atomically.
    name : str, optional
        Prefix of all names in the header; by default derived from the file name.

    Raises
    ------
    TypeError, ValueError
        `model` is not an MLP, a parameter is NaN or infinite, or `name` is not a valid prefix of
        names in C.
    OSError
        The file could not be written; an existing file is unchanged.

    Examples
    --------
    >>> import pathlib, tempfile, fastmlp
    >>> model = fastmlp.MLP([2, 3, 1], activation="tanh", loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     header = pathlib.Path(folder) / "net.h"
    ...     fastmlp.export.to_c(model, header)
    ...     text = header.read_text()
    >>> "static inline void net_predict(const float *x, float *outputs)" in text
    True
    """
    prefix = _prefix_of(path) if name is None else _checked_name(name)
    inference = describe(model, folds=True)
    guard = f"FASTMLP_EXPORT_{prefix}_H"
    lines = (
        *_introduction(inference, prefix, Path(path).name),
        "",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <math.h>",
        *_constants(inference, prefix),
        *_functions(inference, prefix),
        "",
        f"#endif /* {guard} */",
        "",
    )
    atomic_write(path, "\n".join(lines).encode(errors="backslashreplace"))


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "name must be letters, digits and single underscores, begin with a letter and end "
            f"without an underscore, got {name!r}"
        )
    return name


def _prefix_of(path: str | PathLike[str]) -> str:
    words = re.findall(r"[A-Za-z0-9]+", Path(path).stem)
    joined = "_".join(words)
    return joined if _NAME.fullmatch(joined) else "_".join(("model", *words))


# ---------------------------------------------------------------- the comment at the top


def _introduction(inference: Inference, prefix: str, file_name: str) -> Iterator[str]:
    """Yield the lines of the comment."""
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
        _COMMENT_WIDTH,
    )
    yield ""
    yield from _usage(inference, prefix, file_name)
    yield ""
    yield from textwrap.wrap(f"{inference.input_meaning}.", _COMMENT_WIDTH)
    yield from _names("x", inference.feature_names)
    yield from _names("outputs", inference.class_names or inference.target_names)


def _stack_bytes(inference: Inference) -> int:
    decides = inference.kind in ("classes", "labels")
    numbers = sum(_hidden_buffers(inference).values()) + (inference.outputs if decides else 0)
    return numbers * inference.dtype.itemsize


def _usage(inference: Inference, prefix: str, file_name: str) -> Iterator[str]:
    number = "float" if inference.dtype.itemsize == 4 else "double"
    yield f'    #include "{_comment_text(file_name)}"'
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
        yield from (f"{array}[{i}]: {_comment_text(name)}" for i, name in enumerate(names))


# ---------------------------------------------------------------- constants and functions


def _hidden_buffers(inference: Inference) -> dict[str, int]:
    """Return the sizes of the arrays on the stack that hold outputs of hidden layers."""
    hidden = inference.layer_sizes[1:-1]
    parts = {name: hidden[first::2] for first, name in enumerate(_BUFFERS)}
    return {name: max(sizes) for name, sizes in parts.items() if sizes}


def _constants(inference: Inference, prefix: str) -> Lines:
    """Yield the constants: sizes, names of classes, parameters."""
    yield ""
    yield "enum {"
    yield f"    {prefix}_features = {inference.features},"
    yield f"    {prefix}_outputs = {inference.outputs}"
    yield "};"
    if inference.class_names is not None:
        yield ""
        yield from _names_lines(f"{prefix}_class_names", inference.class_names)
    for name, array in _arrays(inference):
        yield ""
        yield from _array_lines(f"{prefix}_{name}", array)


def _arrays(inference: Inference) -> Iterator[tuple[str, Array]]:
    for name in ("input_fill", "input_mean", "input_deviation", "target_mean", "target_scale"):
        array = getattr(inference, name)
        if array is not None:
            yield name, array
    for index, layer in enumerate(inference.layers):
        yield f"W{index}", layer.weights
        yield f"b{index}", layer.biases


def _functions(inference: Inference, prefix: str) -> Lines:
    """Yield the functions that users of the header call."""
    writer = _FunctionWriter(inference, prefix)
    yield from writer.predict()
    if inference.link in ("softmax", "sigmoid"):
        yield from writer.probabilities()
    if inference.kind == "classes":
        yield from writer.classify_by_largest()
    elif inference.kind == "labels":
        yield from writer.classify_by_threshold()


class _FunctionWriter:
    def __init__(self, inference: Inference, prefix: str) -> None:
        self._inference = inference
        self._prefix = prefix
        self._scalar = _Scalar(inference.dtype)
        self._number = self._scalar.type
        self._each_output = f"for (int j = 0; j < {prefix}_outputs; ++j)"

    def predict(self) -> Lines:
        """Yield NAME_predict: the layers in order, then the function of the outputs."""
        inference = self._inference
        yield from self._opening("void", "predict", f", {self._number} *outputs")
        for name, size in _hidden_buffers(inference).items():
            yield f"    {self._number} {name}[{size}];"
        source, last = "x", len(inference.layers) - 1
        for index, layer in enumerate(inference.layers):
            target = "outputs" if index == last else _BUFFERS[index % 2]
            yield from self._dense(index, layer, source, target)
            source = target
        if inference.softmax_output:
            yield from self._linked("softmax", "outputs")
        if inference.kind == "values":
            yield from self._linked(inference.link, "outputs")
            yield from self._in_units()
        else:
            yield from self._linked(inference.output_link, "outputs")
        yield "}"

    def probabilities(self) -> Lines:
        """Yield NAME_probabilities: NAME_predict, with the link if it does not apply it itself."""
        inference = self._inference
        yield from self._opening("void", "probabilities", f", {self._number} *probabilities")
        yield f"    {self._prefix}_predict(x, probabilities);"
        if inference.output_link == "none":
            yield from self._linked(inference.link, "probabilities")
        yield "}"

    def classify_by_largest(self) -> Lines:
        """Yield NAME_classify for classes: the index of the first largest output."""
        yield from self._opening("int", "classify")
        yield f"    {self._number} outputs[{self._prefix}_outputs];"
        yield "    int largest = 0;"
        yield f"    {self._prefix}_predict(x, outputs);"
        yield f"    {self._each_output}"
        yield "        if (outputs[j] > outputs[largest]) largest = j;"
        yield "    return largest;"
        yield "}"

    def classify_by_threshold(self) -> Lines:
        """Yield NAME_classify for labels: logits above 0, or probabilities above 1/2."""
        several = self._inference.outputs > 1
        logits = self._inference.output_link == "none"
        threshold = self._scalar.literal(0.0 if logits else 0.5)
        if several:
            yield from self._opening("void", "classify", ", int *labels")
        else:
            yield from self._opening("int", "classify")
        yield f"    {self._number} outputs[{self._prefix}_outputs];"
        yield f"    {self._prefix}_predict(x, outputs);"
        if several:
            yield f"    {self._each_output} labels[j] = outputs[j] > {threshold};"
        else:
            yield f"    return outputs[0] > {threshold};"
        yield "}"

    def _opening(self, result: str, name: str, further_arguments: str = "") -> Lines:
        yield ""
        arguments = f"const {self._number} *x{further_arguments}"
        yield f"static inline {result} {self._prefix}_{name}({arguments})"
        yield "{"

    def _dense(self, index: int, layer: DenseLayer, source: str, target: str) -> Lines:
        # The outer loop runs over rows of the weights, so that the inner loop reads consecutive
        # memory and each input is computed once.
        inputs, outputs = layer.weights.shape
        each = f"for (int j = 0; j < {outputs}; ++j)"
        yield ""
        yield f"    {each} {target}[j] = {self._scalar.literal(0)};"
        yield f"    for (int i = 0; i < {inputs}; ++i) {{"
        if index == 0:
            yield from self._encoded_input()
        else:
            yield f"        const {self._number} value = {source}[i];"
        yield f"        {each} {target}[j] += value * {self._prefix}_W{index}[i][j];"
        yield "    }"
        yield f"    {each} {{"
        yield f"        const {self._number} z = {target}[j] + {self._prefix}_b{index}[j];"
        value = self._scalar.expression(FORMS[layer.activation].c, layer.parameter)
        yield f"        {target}[j] = {value};"
        yield "    }"

    def _encoded_input(self) -> Lines:
        inference, prefix, number = self._inference, self._prefix, self._number
        value = "x[i]"
        if inference.encodes:
            value = "(double)x[i]"
            if inference.input_fill is not None:
                value = f"(x[i] == x[i] ? {value} : {prefix}_input_fill[i])"
            if inference.input_mean is not None:
                value = f"(({value} - {prefix}_input_mean[i]) / {prefix}_input_deviation[i])"
            value = f"({number}){value}"
        if inference.input_scale != 1:
            value += f" * {self._scalar.literal(inference.input_scale)}"
        yield f"        const {number} value = {value};"

    def _linked(self, link: Link, values: str) -> Lines:
        """Yield the conversion of outputs to probabilities or rates, in place."""
        if link == "none":
            return
        yield ""
        if link == "softmax":
            yield from self._softmax(values)
            return
        exp, one = f"exp{self._scalar.suffix}", self._scalar.literal(1)
        value = f"{values}[j]"
        result = f"{exp}({value})" if link == "exp" else f"{one} / ({one} + {exp}(-{value}))"
        yield f"    {self._each_output} {value} = {result};"

    def _softmax(self, values: str) -> Lines:
        number, zero = self._number, self._scalar.literal(0)
        yield "    {"
        yield f"        {number} largest = {values}[0];"
        yield f"        {number} sum = {zero};"
        yield f"        {self._each_output}"
        yield f"            if ({values}[j] > largest) largest = {values}[j];"
        yield f"        {self._each_output} {{"
        yield f"            {values}[j] = exp{self._scalar.suffix}({values}[j] - largest);"
        yield f"            sum += {values}[j];"
        yield "        }"
        yield f"        {self._each_output} {values}[j] /= sum;"
        yield "    }"

    def _in_units(self) -> Lines:
        if self._inference.target_mean is None:
            return
        mean, scale = f"{self._prefix}_target_mean[j]", f"{self._prefix}_target_scale[j]"
        yield ""
        yield f"    {self._each_output}"
        yield f"        outputs[j] = ({self._number})((double)outputs[j] * {scale} + {mean});"


# ---------------------------------------------------------------- pieces of C


class _Scalar:
    """The C type of the network's numbers, with its literals and functions.

    Parameters
    ----------
    dtype : dtype
        Dtype of the network, float32 or float64.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        single = np.dtype(dtype) == np.float32
        self.type = "float" if single else "double"
        self.suffix = "f" if single else ""
        self._format = "%.9g" if single else "%.17g"  # digits that identify each number

    def literal(self, value: float) -> str:
        """Return a C literal that a compiler reads as the same number."""
        if math.isnan(value):
            return "NAN"
        text = self._format % value
        point = "" if "." in text or "e" in text else ".0"
        return f"{text}{point}{self.suffix}"

    def expression(self, text: str, parameter: float) -> str:
        """Convert an expression of `fastmlp.activations.Form.c` to this type."""
        text = _NUMBER.sub(lambda match: self.literal(float(match.group())), text)
        text = _FUNCTION.sub(rf"\g<0>{self.suffix}", text)
        return re.sub(r"\bparameter\b", self.literal(parameter), text)


def _array_lines(name: str, array: npt.NDArray[Any]) -> Iterator[str]:
    """Yield the definition of a constant array of one or two dimensions."""
    scalar = _Scalar(array.dtype)
    dimensions = "".join(f"[{size}]" for size in array.shape)
    yield f"static const {scalar.type} {name}{dimensions} = {{"
    if array.ndim == 1:
        yield from _value_lines(scalar, array, "    ")
    else:
        for row in array:
            yield "    {"
            yield from _value_lines(scalar, row, "        ")
            yield "    },"
    yield "};"


def _value_lines(scalar: _Scalar, row: npt.NDArray[Any], indent: str) -> Iterator[str]:
    values = row.tolist()
    for start in range(0, len(values), _VALUES_PER_LINE):
        literals = map(scalar.literal, values[start : start + _VALUES_PER_LINE])
        yield f"{indent}{', '.join(literals)},"


def _comment_text(text: str) -> str:
    """Return the text on one line and without sequences that begin or end a comment."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def _string_literal(text: str) -> str:
    """Return the UTF-8 bytes of a text as an ASCII C string literal."""
    return f'"{"".join(map(_escaped, text.encode(errors="backslashreplace")))}"'


def _escaped(byte: int) -> str:
    if chr(byte) in '"\\?':  # question marks could form trigraphs
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def _names_lines(name: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the definition of an array of strings."""
    yield f"static const char *const {name}[{len(names)}] = {{"
    for item in names:
        yield f"    {_string_literal(item)},"
    yield "};"
