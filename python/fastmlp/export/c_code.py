"""Export to C: a network as one header that needs only <math.h>, and <string.h> for tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp.activations import FORMS
from fastmlp.export.c_columns import RowWriter
from fastmlp.export.c_comment import introduction
from fastmlp.export.c_text import (
    NAME,
    Scalar,
    array_lines,
    names_lines,
)
from fastmlp.export.inference import DenseLayer, Inference, TrainedModel, describe
from fastmlp.losses import Link
from fastmlp.model import MLP

__all__ = ["to_c", "write_c"]

Array = npt.NDArray[Any]
Lines = Iterator[str]

_BUFFERS = ("even", "odd")  # arrays that alternate as outputs of the hidden layers


def to_c(model: MLP | TrainedModel, path: str | PathLike[str], *, name: str | None = None) -> None:
    """Write a model as a header for C99 and C++11 without dependencies.

    The header holds ``static`` constant arrays and the functions

    - ``NAME_predict(x, outputs)`` computes the result of `MLP.forward`; regression values are in
      the units of the targets, and the Poisson loss has rates;
    - ``NAME_probabilities(x, probabilities)`` exists if the loss defines probabilities;
    - ``NAME_classify(x)`` returns the index of the class, or 0 or 1 for a single binary label; for
      several labels ``NAME_classify(x, labels)`` sets each label to 0 or 1.

    For a model of arrays, ``x`` is one raw sample: the code standardizes and applies
    ``input_scale``. Numbers are ``float``, or ``double`` for a float64 model.

    For a model of tables there is a struct ``NAME_row`` with a field for each column: ``double``
    for numbers and for dates in seconds since 1970-01-01 UTC, NaN where a value is missing;
    ``const char *`` for categories, NULL or empty where one is missing. A field has the name of
    its column if that is possible in C, else a similar one. ``NAME_encode(row, x)`` makes the
    inputs of the network, equal to those of `Preprocessing.inputs` to the last bit, and
    ``NAME_predict_row``, ``NAME_probabilities_row`` and ``NAME_classify_row(row, result)`` do all.
    They return 0, or the number of the first column, from 1, whose value cannot be used.
    ``NAME_class_names`` has the names of classes.

    If the macro ``NAME_EXACT`` is defined before the header is included, and the compiler does not
    contract expressions (``-ffp-contract=off``), sums are added up with ``fma`` in the order of
    fastmlp. Networks with the activations relu, leaky_relu, identity, hard_sigmoid, step and sign
    then compute logits that are equal to those of `MLP.forward` to the last bit. Other activations
    and probabilities differ by the rounding of the C library's functions. Without the macro batch
    normalization is folded into weights and biases. Options such as ``-ffast-math`` break the
    treatment of missing values.

    The comment at the top shows the calls and the stack memory of a call.

    Parameters
    ----------
    model : MLP, or an object with the attributes network and preprocessing
        Trained model.
    path : str or os.PathLike
        File to create or to replace atomically.
    name : str, optional
        Prefix of all names in the header; by default derived from the file name.

    Raises
    ------
    TypeError, ValueError
        `model` is not an MLP, a parameter is NaN or infinite, its preprocessing is not one for its
        network, or `name` is not a valid prefix of names in C.
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
    write_c(describe(model, folds=True), describe(model), path, name=name)


def write_c(
    inference: Inference, unfolded: Inference, path: str | PathLike[str], *, name: str | None
) -> None:
    """Write the header of `to_c` for a model described with and without folding."""
    prefix = _prefix_of(path) if name is None else _checked_name(name)
    writer = None if inference.columns is None else RowWriter(inference, prefix)
    headers = ["math"] if writer is None else ["math", "string"]
    guard = f"FASTMLP_EXPORT_{prefix}_H"
    lines = (
        *introduction(inference, prefix, Path(path).name, _stack_numbers(inference)),
        "",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        *(f"#include <{header}.h>" for header in headers),
        *_multiply_add(inference, prefix),
        *_constants(inference, unfolded, prefix),
        *(() if writer is None else (*writer.constants(), *writer.struct(), *writer.functions())),
        *_functions(inference, unfolded, prefix),
        "",
        f"#undef {prefix}_MULTIPLY_ADD",
        "",
        f"#endif /* {guard} */",
        "",
    )
    atomic_write(path, "\n".join(lines).encode(errors="backslashreplace"))


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    if not NAME.fullmatch(name):
        raise ValueError(
            "name must be letters, digits and single underscores, begin with a letter and end "
            f"without an underscore, got {name!r}"
        )
    return name


def _prefix_of(path: str | PathLike[str]) -> str:
    words = re.findall(r"[A-Za-z0-9]+", Path(path).stem)
    joined = "_".join(words)
    return joined if NAME.fullmatch(joined) else "_".join(("model", *words))


# ---------------------------------------------------------------- constants and functions


def _hidden_buffers(inference: Inference) -> dict[str, int]:
    """Return the sizes of the arrays on the stack that hold outputs of hidden layers."""
    hidden = inference.layer_sizes[1:-1]
    parts = {name: hidden[first::2] for first, name in enumerate(_BUFFERS)}
    return {name: max(sizes) for name, sizes in parts.items() if sizes}


def _multiply_add(inference: Inference, prefix: str) -> Lines:
    yield ""
    yield f"#ifdef {prefix}_EXACT"
    yield f"#define {prefix}_MULTIPLY_ADD(a, b, c) fma{Scalar(inference.dtype).suffix}(a, b, c)"
    yield "#else"
    yield f"#define {prefix}_MULTIPLY_ADD(a, b, c) ((c) + (a) * (b))"
    yield "#endif"


def _stack_numbers(inference: Inference) -> int:
    decides = inference.kind in ("classes", "labels")
    numbers = sum(_hidden_buffers(inference).values()) + (inference.outputs if decides else 0)
    return numbers if inference.columns is None else numbers + inference.features


def _constants(inference: Inference, unfolded: Inference, prefix: str) -> Lines:
    """Yield the constants: sizes, names of classes, parameters."""
    yield ""
    yield "enum {"
    yield f"    {prefix}_features = {inference.features},"
    yield f"    {prefix}_outputs = {inference.outputs}"
    yield "};"
    if inference.class_names is not None:
        yield ""
        yield from names_lines(f"{prefix}_class_names", inference.class_names)
    for name in ("input_mean", "input_deviation", "target_mean", "target_scale"):
        array = getattr(inference, name)
        if array is not None:
            yield ""
            yield from array_lines(f"{prefix}_{name}", array)
    for index, pair in enumerate(zip(inference.layers, unfolded.layers, strict=True)):
        folded, exact = pair
        if exact.means is None:
            yield from _layer_arrays(prefix, index, folded)
            continue
        yield ""
        yield f"#ifdef {prefix}_EXACT"
        yield from _layer_arrays(prefix, index, exact)
        yield "#else"
        yield from _layer_arrays(prefix, index, folded)
        yield "#endif"


def _layer_arrays(prefix: str, index: int, layer: DenseLayer) -> Lines:
    arrays = {"W": layer.weights, "b": layer.biases, "means": layer.means}
    arrays |= {"inverses": layer.inverses, "scales": layer.scales}
    for name, array in arrays.items():
        if array is not None:
            yield ""
            yield from array_lines(f"{prefix}_{name}{index}", array)


def _functions(inference: Inference, unfolded: Inference, prefix: str) -> Lines:
    """Yield the functions that users of the header call."""
    normalizes = [layer.means is not None for layer in unfolded.layers]
    writer = _FunctionWriter(inference, normalizes, prefix)
    yield from writer.predict()
    if inference.link in ("softmax", "sigmoid"):
        yield from writer.probabilities()
    if inference.kind == "classes":
        yield from writer.classify_by_largest()
    elif inference.kind == "labels":
        yield from writer.classify_by_threshold()
    if inference.columns is not None:
        yield from writer.functions_of_rows()


class _FunctionWriter:
    def __init__(self, inference: Inference, normalizes: Sequence[bool], prefix: str) -> None:
        self._inference = inference
        self._normalizes = normalizes
        self._prefix = prefix
        self._scalar = Scalar(inference.dtype)
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
        weight = f"{self._prefix}_W{index}[i][j]"
        yield f"        {each}"
        product = f"{self._prefix}_MULTIPLY_ADD(value, {weight}, {target}[j])"
        yield f"            {target}[j] = {product};"
        yield "    }"
        if self._normalizes[index]:
            yield from self._normalized(index, each, target)
        yield f"    {each} {{"
        yield f"        const {self._number} z = {target}[j] + {self._prefix}_b{index}[j];"
        value = self._scalar.expression(FORMS[layer.activation].c, layer.parameter)
        yield f"        {target}[j] = {value};"
        yield "    }"

    def _normalized(self, index: int, each: str, target: str) -> Lines:
        prefix = self._prefix
        centered = f"({target}[j] - {prefix}_means{index}[j])"
        factors = f"{prefix}_inverses{index}[j] * {prefix}_scales{index}[j]"
        yield f"#ifdef {prefix}_EXACT"
        yield f"    {each} {target}[j] = {centered} * {factors};"
        yield "#endif"

    def functions_of_rows(self) -> Lines:
        """Yield NAME_predict_row and its like: NAME_encode, then the function of its result."""
        inference, number = self._inference, self._number
        yield from self._of_row("predict", f"{number} *outputs", "predict(x, outputs)")
        if inference.link in ("softmax", "sigmoid"):
            call = "probabilities(x, probabilities)"
            yield from self._of_row("probabilities", f"{number} *probabilities", call)
        if inference.kind == "labels" and inference.outputs > 1:
            yield from self._of_row("classify", "int *labels", "classify(x, labels)")
        elif inference.kind in ("classes", "labels"):
            result = "index" if inference.kind == "classes" else "label"
            yield from self._of_row("classify", f"int *{result}", "classify(x)", f"*{result} = ")

    def _of_row(self, name: str, result: str, call: str, assignment: str = "") -> Lines:
        prefix = self._prefix
        yield ""
        yield f"static inline int {prefix}_{name}_row(const {prefix}_row *row, {result})"
        yield "{"
        yield f"    {self._number} x[{prefix}_features];"
        yield f"    const int failed = {prefix}_encode(row, x);"
        yield "    if (failed) return failed;"
        yield f"    {assignment}{prefix}_{call};"
        yield "    return 0;"
        yield "}"

    def _encoded_input(self) -> Lines:
        inference, prefix, number = self._inference, self._prefix, self._number
        value = "x[i]"
        if inference.columns is None and inference.input_mean is not None:
            centered = f"((double)x[i] - {prefix}_input_mean[i])"
            value = f"({number})({centered} / {prefix}_input_deviation[i])"
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
