"""The constants and functions of the C header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from fastmlp.export.c_source import Scalar, array_lines, names_lines
from fastmlp.export.inference import DenseLayer, Inference
from fastmlp.losses import Link

__all__ = ["constants", "functions", "hidden_buffers"]

Array = npt.NDArray[Any]
Lines = Iterator[str]
_BUFFERS = ("even", "odd")  # of the hidden layers in turn


def hidden_buffers(inference: Inference) -> dict[str, int]:
    """Sizes of the arrays on the stack that hold outputs of hidden layers."""
    hidden = inference.layer_sizes[1:-1]
    parts = {name: hidden[first::2] for first, name in enumerate(_BUFFERS)}
    return {name: max(sizes) for name, sizes in parts.items() if sizes}


def constants(inference: Inference, prefix: str) -> Lines:
    """Sizes, names of classes, parameters."""
    yield ""
    yield "enum {"
    yield f"    {prefix}_features = {inference.features},"
    yield f"    {prefix}_outputs = {inference.outputs}"
    yield "};"
    if inference.class_names is not None:
        yield ""
        yield from names_lines(f"{prefix}_class_names", inference.class_names)
    for name, array in _arrays(inference):
        yield ""
        yield from array_lines(f"{prefix}_{name}", array)


def _arrays(inference: Inference) -> Iterator[tuple[str, Array]]:
    for name in ("input_fill", "input_mean", "input_deviation", "target_mean", "target_scale"):
        array = getattr(inference, name)
        if array is not None:
            yield name, array
    for index, layer in enumerate(inference.layers):
        yield f"W{index}", layer.weights
        yield f"b{index}", layer.biases


def functions(inference: Inference, prefix: str) -> Lines:
    """What the users of the header call."""
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
        self._scalar = Scalar(inference.dtype)
        self._number = self._scalar.type
        self._each_output = f"for (int j = 0; j < {prefix}_outputs; ++j)"

    def predict(self) -> Lines:
        """Layer after layer, and what follows the last."""
        inference = self._inference
        yield from self._opening("void", "predict", f", {self._number} *outputs")
        for name, size in hidden_buffers(inference).items():
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
        """What `predict` gives, made probabilities where it is not yet."""
        inference = self._inference
        yield from self._opening("void", "probabilities", f", {self._number} *probabilities")
        yield f"    {self._prefix}_predict(x, probabilities);"
        if inference.output_link == "none":
            yield from self._linked(inference.link, "probabilities")
        yield "}"

    def classify_by_largest(self) -> Lines:
        """The first of the largest outputs."""
        yield from self._opening("int", "classify")
        yield f"    {self._number} outputs[{self._prefix}_outputs];"
        yield "    int largest = 0;"
        yield f"    {self._prefix}_predict(x, outputs);"
        yield f"    {self._each_output}"
        yield "        if (outputs[j] > outputs[largest]) largest = j;"
        yield "    return largest;"
        yield "}"

    def classify_by_threshold(self) -> Lines:
        """Logits above 0, or probabilities above 1/2."""
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
        # Rows of the weights outside: the inner loop runs along memory, and x is read once.
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
        yield f"        {target}[j] = {self._scalar.activation(layer.activation, layer.parameter)};"
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
        """From outputs to probabilities or rates, in place."""
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
