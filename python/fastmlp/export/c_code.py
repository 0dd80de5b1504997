"""Export to C: a network as one header that needs only <math.h>, and <string.h> for tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp._files import atomic_write
from fastmlp.activations import FORMS
from fastmlp.export.c_columns import RowWriter
from fastmlp.export.c_comment import introduction
from fastmlp.export.c_inputs import InputWriter
from fastmlp.export.c_normal_map import normal_map
from fastmlp.export.c_text import (
    NAME,
    Scalar,
    array_lines,
    names_lines,
)
from fastmlp.export.inference import DenseLayer, Inference, TrainedModel, describe
from fastmlp.losses import Link
from fastmlp.model import MLP
from fastmlp.network.architecture import NORMALIZATION_EPSILON

__all__ = ["to_c", "write_c"]

Array = npt.NDArray[Any]
Lines = Iterator[str]

_BUFFERS = ("even", "odd")  # arrays that alternate as outputs of the hidden layers
_SKIPS = ("even_skip", "odd_skip")  # and what residual blocks add, where they begin


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
    then compute logits that are equal to those of `MLP.forward` to the last bit; so do clips, bins,
    codes, tables, factors and mixes, layer normalization and residual blocks, and members whose
    values are averaged. Other activations, cosines of inputs, and probabilities, also those that
    members average, differ by the rounding of the C library's functions: by 1e-5 in float32 and
    1e-13 in float64 of the largest output, where no sum cancels.
    Without the macro batch normalization is folded into weights and biases. Options such as
    ``-ffast-math`` break the treatment of missing values.

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
        *normal_map(inference, prefix),
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
    layers = [layer for layer in range(len(hidden)) if inference.begins_block(layer)]
    parts |= {
        name: tuple(hidden[layer] for layer in layers if layer % 2 == first)
        for first, name in enumerate(_SKIPS)
    }
    return {name: max(sizes) for name, sizes in parts.items() if sizes}


def _multiply_add(inference: Inference, prefix: str) -> Lines:
    yield ""
    yield f"#ifdef {prefix}_EXACT"
    yield f"#define {prefix}_MULTIPLY_ADD(a, b, c) fma{Scalar(inference.dtype).suffix}(a, b, c)"
    yield "#else"
    yield f"#define {prefix}_MULTIPLY_ADD(a, b, c) ((c) + (a) * (b))"
    yield "#endif"


def _has_stage(inference: Inference) -> bool:
    """Whether the inputs of the first layer are computed once, before the layers."""
    return bool(inference.inputs) or inference.members > 1


def _stack_numbers(inference: Inference) -> int:
    decides = inference.kind in ("classes", "labels")
    numbers = sum(_hidden_buffers(inference).values()) + (inference.outputs if decides else 0)
    numbers += inference.first_inputs if _has_stage(inference) else 0
    numbers += inference.outputs if inference.members > 1 else 0
    return numbers if inference.columns is None else numbers + inference.features


def _constants(inference: Inference, unfolded: Inference, prefix: str) -> Lines:
    """Yield the constants: sizes, names of classes, parameters."""
    yield ""
    yield "enum {"
    yield f"    {prefix}_features = {inference.features},"
    if inference.members > 1:
        yield f"    {prefix}_members = {inference.members},"
    yield f"    {prefix}_outputs = {inference.outputs}"
    yield "};"
    if inference.class_names is not None:
        yield ""
        yield from names_lines(f"{prefix}_class_names", inference.class_names)
    for name in (
        "input_mean", "input_deviation", "target_mean", "target_scale", "target_low", "target_high",
    ):  # fmt: skip
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
    arrays |= {"inverses": layer.inverses, "scales": layer.scales, "mixes": layer.mixes}
    arrays |= {"input_scales": layer.input_scales}
    if layer.layer_normalization is not None:
        arrays |= {
            "norm_scales": layer.layer_normalization.scales,
            "shifts": layer.layer_normalization.shifts,
        }
    for name, array in arrays.items():
        if array is not None:
            yield ""
            yield from array_lines(f"{prefix}_{name}{index}", array)


def _functions(inference: Inference, unfolded: Inference, prefix: str) -> Lines:
    """Yield the functions that users of the header call."""
    normalizes = [layer.means is not None for layer in unfolded.layers]
    writer = _FunctionWriter(inference, normalizes, prefix)
    if _has_stage(inference):
        stage = InputWriter(inference, prefix, writer.sample())
        yield from stage.constants()
        yield from stage.function()
    yield from writer.predict()
    if inference.link in ("softmax", "sigmoid"):
        yield from writer.probabilities()
    if inference.kind == "classes":
        yield from writer.classify_by_largest()
    elif inference.kind == "labels":
        yield from writer.classify_by_threshold()
    if inference.columns is not None:
        yield from writer.functions_of_rows()


def _indented(lines: Lines) -> Lines:
    """Yield lines one level deeper; lines of the preprocessor stay where they are."""
    yield from (line if line.startswith("#") or not line else f"    {line}" for line in lines)


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
        inference, number = self._inference, self._number
        ensemble = inference.members > 1
        yield from self._opening("void", "predict", f", {number} *outputs")
        if _has_stage(inference):
            yield f"    {number} inputs[{inference.first_inputs}];"
        for name, size in _hidden_buffers(inference).items():
            yield f"    {number} {name}[{size}];"
        if ensemble:
            yield f"    {number} own[{self._prefix}_outputs];"
        if _has_stage(inference):
            yield f"    {self._prefix}_inputs(x, inputs);"
        if ensemble:
            yield from self._members()
        else:
            yield from self._layers("outputs")
        if inference.kind == "values":
            yield from self._linked(inference.link, "outputs")
            yield from self._in_units()
        else:
            yield from self._linked(inference.output_link, "outputs")
        yield "}"

    def _layers(self, result: str) -> Lines:
        """Yield the layers in order; the outputs of the last go to `result`."""
        inference = self._inference
        source, last = "inputs" if _has_stage(inference) else "x", len(inference.layers) - 1
        for index, layer in enumerate(inference.layers):
            target = result if index == last else _BUFFERS[index % 2]
            yield from self._dense(index, layer, source, target)
            source = target
        if inference.softmax_output:
            yield from self._linked("softmax", result)

    # ------------------------------------------------------------ members

    def _members(self) -> Lines:
        """Yield the mean of the members' values, probabilities or rates, as `forward` has it."""
        prefix = self._prefix
        yield ""
        yield f"    {self._each_output} outputs[j] = {self._scalar.literal(0)};"
        yield f"    for (int m = 0; m < {prefix}_members; ++m) {{"
        yield from _indented(self._layers("own"))
        for link, group in self._inference.groups:
            yield from _indented(self._linked(link, "own", group))
        yield f"        {self._each_output} outputs[j] += own[j];"
        yield "    }"
        members = self._scalar.literal(self._inference.members)
        yield f"    {self._each_output} outputs[j] /= {members};"
        for link, group in self._inference.groups:
            yield from self._unlinked(link, group)

    def _unlinked(self, link: Link, group: slice) -> Lines:
        """Yield the conversion of a mean of probabilities or rates to what the loss reads."""
        if link == "none":
            return
        limits, literal = np.finfo(self._inference.dtype), self._scalar.literal
        log, one = f"log{self._scalar.suffix}", literal(1)
        least, least_other = literal(float(limits.tiny)), literal(float(limits.eps) / 2)
        yield f"    {self._each(group)} {{"
        if link == "sigmoid":
            yield f"        const {self._number} other = {one} - outputs[j];"
        yield f"        outputs[j] = {log}(outputs[j] > {least} ? outputs[j] : {least});"
        if link == "sigmoid":
            yield f"        outputs[j] -= {log}(other > {least_other} ? other : {least_other});"
        yield "    }"

    def _each(self, group: slice | None) -> str:
        """Return the loop over the outputs of one loss; None: all."""
        if group is None or len(self._inference.groups) == 1:
            return self._each_output
        return f"for (int j = {group.start}; j < {group.stop}; ++j)"

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
        sample = "double" if self._inference.sample_dtype == np.float64 else self._number
        arguments = f"const {sample} *x{further_arguments}"
        yield f"static inline {result} {self._prefix}_{name}({arguments})"
        yield "{"

    def _dense(self, index: int, layer: DenseLayer, source: str, target: str) -> Lines:
        # The outer loop runs over rows of the weights, so that the inner loop reads consecutive
        # memory and each input is computed once.
        inputs, outputs = layer.weights.shape[-2:]
        each = f"for (int j = 0; j < {outputs}; ++j)"
        yield ""
        yield f"    {each} {target}[j] = {self._scalar.literal(0)};"
        yield f"    for (int i = 0; i < {inputs}; ++i) {{"
        value = self.sample() if source == "x" else f"{source}[i]"
        if layer.input_scales is not None:
            value += f" * {self._element('input_scales', index, layer.input_scales, 'i')}"
        yield f"        const {self._number} value = {value};"
        weight = self._element("W", index, layer.weights, "i][j", 2)
        yield f"        {each}"
        product = f"{self._prefix}_MULTIPLY_ADD(value, {weight}, {target}[j])"
        yield f"            {target}[j] = {product};"
        yield "    }"
        yield from self._scaled(index, layer, each, target)
        bias = self._element("b", index, layer.biases)
        value = f"{target}[j] + {bias}"
        if layer.ends_block or layer.layer_normalization or self._inference.begins_block(index):
            yield from self._finished_rows(index, layer, each, target, value)
            value = f"{target}[j]"
        yield f"    {each} {{"
        yield f"        const {self._number} z = {value};"
        value = self._scalar.expression(FORMS[layer.activation].c, layer.parameter)
        if layer.mixes is None:
            yield f"        {target}[j] = {value};"
        else:
            mix, add = self._element("mixes", index, layer.mixes), f"{self._prefix}_MULTIPLY_ADD"
            yield f"        const {self._number} value = {value};"
            yield f"        {target}[j] = {add}({mix}, value, {add}(-{mix}, z, z));"
        yield "    }"

    def _finished_rows(
        self, index: int, layer: DenseLayer, each: str, target: str, value: str
    ) -> Lines:
        """Yield the sums of residual blocks and layer normalization, which end in `target`."""
        skip = f"{_SKIPS[index % 2]}[j]"
        if layer.ends_block:
            value = f"{value} + {skip}"
        yield f"    {each} {target}[j] = {value};"
        if self._inference.begins_block(index):
            yield f"    {each} {skip} = {target}[j];"
        if layer.layer_normalization is None:
            return
        number, literal = self._number, self._scalar.literal
        units, zero = len(layer.layer_normalization.scales), literal(0)
        add = f"{self._prefix}_MULTIPLY_ADD"
        root = f"sqrt{self._scalar.suffix}"
        # Sums of 16 lanes and their tree are those of fastmlp.
        yield "    {"
        yield f"        {number} lanes[16] = {{{zero}}}, mean, inverse;"
        tree = [
            "        for (int half = 8; half > 0; half /= 2)",
            "            for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];",
        ]
        yield f"        {each} lanes[j % 16] += {target}[j];"
        yield from tree
        yield f"        mean = lanes[0] / {literal(units)};"
        yield f"        {each} {target}[j] -= mean;"
        yield f"        for (int i = 0; i < 16; ++i) lanes[i] = {zero};"
        yield f"        {each}"
        yield f"            lanes[j % 16] = {add}({target}[j], {target}[j], lanes[j % 16]);"
        yield from tree
        variance = f"lanes[0] / {literal(units)} + {literal(NORMALIZATION_EPSILON)}"
        yield f"        inverse = {literal(1)} / {root}({variance});"
        scale, shift = (f"{self._prefix}_{name}{index}[j]" for name in ("norm_scales", "shifts"))
        yield f"        {each} {target}[j] = {scale} * ({target}[j] * inverse) + {shift};"
        yield "    }"

    def _element(
        self, kind: str, index: int, array: Array, place: str = "j", dimensions: int = 1
    ) -> str:
        """Return an element of an array of a layer, of member m where each has its own."""
        member = "[m]" if array.ndim > dimensions else ""
        return f"{self._prefix}_{kind}{index}{member}[{place}]"

    def _scaled(self, index: int, layer: DenseLayer, each: str, target: str) -> Lines:
        """Yield the normalization of products, and their factors where members have them."""
        scaled = ""
        if layer.scales is not None:
            factor = self._element("scales", index, layer.scales)
            scaled = f"    {each} {target}[j] *= {factor};"
        if not self._normalizes[index]:
            yield from [scaled] if scaled else []
            return
        own = "[m]" if layer.biases.ndim > 1 else ""
        array = f"{self._prefix}_{{}}{index}{own}[j]".format
        centered = f"({target}[j] - {array('means')})"
        yield f"#ifdef {self._prefix}_EXACT"
        yield f"    {each} {target}[j] = {centered} * {array('inverses')} * {array('scales')};"
        if scaled:
            yield "#else"
            yield scaled
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

    def sample(self) -> str:
        """Return the expression of feature i of a sample, standardized and scaled."""
        inference, prefix, number = self._inference, self._prefix, self._number
        value = "x[i]"
        if inference.columns is None and inference.input_mean is not None:
            centered = f"((double)x[i] - {prefix}_input_mean[i])"
            value = f"({centered} / {prefix}_input_deviation[i])"
            if inference.input_quantiles is not None:
                value = f"{prefix}_normal(i, {value})"
            value = f"({number}){value}"
        if inference.input_scale != 1:
            value += f" * {self._scalar.literal(inference.input_scale)}"
        return value

    def _linked(self, link: Link, values: str, group: slice | None = None) -> Lines:
        """Yield the conversion of outputs to probabilities or rates, in place."""
        if link == "none":
            return
        yield ""
        if link == "softmax":
            yield from self._softmax(values, group)
            return
        exp, one = f"exp{self._scalar.suffix}", self._scalar.literal(1)
        value = f"{values}[j]"
        result = f"{exp}({value})" if link == "exp" else f"{one} / ({one} + {exp}(-{value}))"
        yield f"    {self._each(group)} {value} = {result};"

    def _softmax(self, values: str, group: slice | None) -> Lines:
        number, zero, each = self._number, self._scalar.literal(0), self._each(group)
        yield "    {"
        yield f"        {number} largest = {values}[{0 if group is None else group.start}];"
        yield f"        {number} sum = {zero};"
        yield f"        {each}"
        yield f"            if ({values}[j] > largest) largest = {values}[j];"
        yield f"        {each} {{"
        yield f"            {values}[j] = exp{self._scalar.suffix}({values}[j] - largest);"
        yield f"            sum += {values}[j];"
        yield "        }"
        yield f"        {each} {values}[j] /= sum;"
        yield "    }"

    def _in_units(self) -> Lines:
        inference, prefix = self._inference, self._prefix
        if inference.target_mean is None and inference.target_low is None:
            return
        value = "(double)outputs[j]"
        if inference.target_mean is not None:
            value += f" * {prefix}_target_scale[j] + {prefix}_target_mean[j]"
        yield ""
        if inference.target_low is None:
            yield f"    {self._each_output}"
            yield f"        outputs[j] = ({self._number})({value});"
            return
        yield f"    {self._each_output} {{"
        yield f"        double value = {value};"
        for sign, limit in (("<", f"{prefix}_target_low[j]"), (">", f"{prefix}_target_high[j]")):
            yield f"        if (value {sign} {limit}) value = {limit};"
        yield f"        outputs[j] = ({self._number})value;"
        yield "    }"
