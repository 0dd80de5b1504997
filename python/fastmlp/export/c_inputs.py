"""The input stage of a network in C: a function that makes the inputs of the first layer."""

from __future__ import annotations

from collections.abc import Iterator

from fastmlp.export.c_text import Scalar, array_lines
from fastmlp.export.inference import Inference
from fastmlp.export.input_columns import InputColumns

__all__ = ["InputWriter"]

Lines = Iterator[str]
_ARRAYS = (
    "frequencies", "turns", "lower", "slopes", "maps", "map_biases", "values", "table",
)  # fmt: skip


class InputWriter:
    """Writer of the constants and the function of an input stage.

    Parameters
    ----------
    inference : Inference
        Description of a network whose first layer reads other inputs than the samples.
    prefix : str
        Prefix of all names.
    sample : str
        Expression of sample ``i``, standardized and scaled.
    """

    def __init__(self, inference: Inference, prefix: str, sample: str) -> None:
        self._inference = inference
        self._prefix = prefix
        self._sample = sample
        self._scalar = Scalar(inference.dtype)
        self._number = self._scalar.type

    def constants(self) -> Lines:
        """Yield the arrays of all groups of inputs, such as NAME_table0."""
        for number, group in enumerate(self._inference.inputs):
            for kind in _ARRAYS:
                array = getattr(group, kind)
                if array is not None:
                    yield ""
                    yield from array_lines(f"{self._prefix}_{kind}{number}", array)

    def function(self) -> Lines:
        """Yield NAME_inputs."""
        number = self._number
        yield ""
        yield (f"static inline void {self._prefix}_inputs(const {number} *x, {number} *inputs)")
        yield "{"
        for index, group in enumerate(self._inference.inputs):
            yield from self._group(index, group)
        if not self._inference.inputs:
            yield f"    for (int i = 0; i < {self._prefix}_features; ++i)"
            yield f"        inputs[i] = {self._sample};"
        yield "}"

    def _group(self, index: int, group: InputColumns) -> Lines:
        yield f"    for (int c = 0; c < {group.columns}; ++c) {{"
        yield f"        const int i = {group.first_column} + c;"
        place = f"{group.first_input} + c * {group.width}"
        yield f"        {self._number} *const to = inputs + {place};"
        if group.kind == "number":
            yield f"        {'' if group.clip else 'const '}{self._number} value = {self._sample};"
            yield from self._clip(group.clip)
            yield from self._numbers(index, group)
        else:
            yield f"        const {self._number} value = {self._sample};"
            yield from self._codes(index, group)
        yield "    }"

    # ------------------------------------------------------------ numbers

    def _clip(self, clip: float) -> Lines:
        if not clip:
            return
        number, suffix, bound = self._number, self._scalar.suffix, self._scalar.literal(clip)
        one = self._scalar.literal(1)
        square = f"{self._prefix}_MULTIPLY_ADD(ratio, ratio, {one})"
        yield "        {"
        yield f"            const {number} size = fabs{suffix}(value);"
        yield f"            const {number} smaller = size > {bound} ? {bound} : size;"
        yield f"            const {number} ratio = smaller / (size > {bound} ? size : {bound});"
        yield f"            value = copysign{suffix}(smaller / sqrt{suffix}({square}), value);"
        yield "        }"

    def _numbers(self, index: int, group: InputColumns) -> Lines:
        zero = self._scalar.literal(0)
        if group.is_plain:
            yield "        to[0] = value;"
            return
        outputs = f"for (int j = 0; j < {group.outputs}; ++j)"
        if group.maps is not None:
            yield f"        {outputs} to[j] = {zero};"
        yield f"        for (int k = 0; k < {group.bases}; ++k) {{"
        yield from self._basis(index, group)
        if group.maps is not None:
            weight = f"{self._prefix}_maps{index}[c][k][j]"
            sum_ = f"{self._prefix}_MULTIPLY_ADD({weight}, basis, to[j])"
            yield f"            {outputs} to[j] = {sum_};"
        else:
            yield "            to[k] = basis;"
        yield "        }"
        if group.map_biases is not None:
            yield f"        {outputs} to[j] += {self._prefix}_map_biases{index}[c][j];"
            if group.relu:
                yield f"        {outputs} to[j] = to[j] > {zero} ? to[j] : {zero};"
        if group.keeps_value:
            yield f"        to[{group.width - 1}] = value;"

    def _basis(self, index: int, group: InputColumns) -> Lines:
        if group.basis == "value":
            yield f"            const {self._number} basis = value;"
        elif group.basis == "piecewise_linear":
            yield from self._share_of_bin(index, group)
        else:
            yield from self._periodic(index, group)

    def _share_of_bin(self, index: int, group: InputColumns) -> Lines:
        prefix, zero, one = self._prefix, self._scalar.literal(0), self._scalar.literal(1)
        lower, slope = f"{prefix}_lower{index}[c][k]", f"{prefix}_slopes{index}[c][k]"
        share = f"(value - {lower}) * {slope}"
        last = group.bases - 1
        yield f"            {'const ' if last == 0 else ''}{self._number} basis = {share};"
        if last > 0:  # the first and the last bin have no limit outside
            yield f"            if (k > 0 && basis < {zero}) basis = {zero};"
            yield f"            if (k < {last} && basis > {one}) basis = {one};"

    def _periodic(self, index: int, group: InputColumns) -> Lines:
        # A product of two floats is exact in double; turns are rounded as fastmlp rounds them, and
        # without their whole part lose no digits.
        prefix, number = self._prefix, self._number
        half = group.bases // 2
        k = "k" if group.basis == "cosine" else f"k % {half}"
        wide = "(double)" if number == "float" else ""
        turns = f"{wide}value * {wide}{prefix}_frequencies{index}[c][{k}]"
        if group.basis == "cosine":
            phase = f"{prefix}_turns{index}[c][k]"
            turns += f" + {wide}{phase}"
            if number == "double":
                turns = f"fma(value, {prefix}_frequencies{index}[c][k], {phase})"
        if number == "float":
            turns = f"(float)({turns})"
        yield f"            const double turns = {wide}{turns};"
        yield "            const double angle = 6.283185307179586 * (turns - rint(turns));"
        value = "cos(angle)" if group.basis == "cosine" else f"k < {half} ? cos(angle) : sin(angle)"
        cast = "(float)" if number == "float" else ""
        yield f"            const {number} basis = {cast}({value});"

    # ------------------------------------------------------------ codes

    def _codes(self, index: int, group: InputColumns) -> Lines:
        zero, levels = self._scalar.literal(0), self._scalar.literal(group.levels)
        known = f"value >= {zero} && value < {levels}"
        if group.kind == "category":
            yield f"        const int row = {known} ? (int)value : {group.levels};"
            entry = f"{self._prefix}_table{index}[row][j]"
            yield f"        for (int j = 0; j < {group.width}; ++j) to[j] = {entry};"
            return
        values = f"{self._prefix}_values{index}"
        yield f"        const int level = {known} ? (int)value : -1;"
        if group.levels == 2:
            yield f"        to[0] = {values}[level < 0 ? 2 : level];"
        else:
            yield f"        for (int j = 0; j < {group.levels}; ++j)"
            yield f"            to[j] = {values}[2 * j + (level == j)];"
