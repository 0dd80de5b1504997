"""The columns of a table in an ONNX graph: one input for each, and what `encode_table` makes of it.

Texts are compared by LabelEncoder and RegexFullMatch, numbers in float64, and calendars in int64,
so that the inputs of the network are those of `Preprocessing.inputs` to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data.cells import FALSE_WORDS, TRUE_WORDS
from fastmlp.data.columns import CategoryColumn, Column, DateColumn, NumberColumn
from fastmlp.export.graph import ML_DOMAIN, Graph
from fastmlp.export.table_rows import (
    LATEST,
    MEANINGS,
    WHITE_SPACE,
    category_numbers,
    form_of,
    identifiers,
    missing_inputs,
    missing_tokens,
)

__all__ = ["add_columns", "input_names"]

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OUTPUTS = ("label", "outputs", "probabilities", "problem", "scores", "y")
_LARGEST = float(np.finfo(np.float64).max)
_DAY = 86400.0


def input_names(columns: Sequence[Column]) -> list[str]:
    """Return the name of the input for each column: its own if it is a C identifier."""
    return identifiers(
        [column.name for column in columns],
        lambda name: bool(_NAME.fullmatch(name)) and name not in _OUTPUTS,
    )


def add_columns(graph: Graph, columns: Sequence[Column], refuses_unknown: bool) -> tuple[str, str]:
    """Add the inputs of a table and their encoding.

    Parameters
    ----------
    graph : Graph
        Graph without inputs.
    columns : sequence of Column
        Columns in the order of their inputs.
    refuses_unknown : bool
        Whether an unknown category is a problem.

    Returns
    -------
    inputs : str
        Float64 tensor (N, features), not yet standardized; zeros where there is a problem.
    problem : str
        Bool tensor (N, 1): whether a row has a value that cannot be used.
    """
    blocks, problems = [], []
    for number, (column, name) in enumerate(zip(columns, input_names(columns), strict=True)):
        graph.scope = f"columns.{number}"
        form = form_of(column)
        dtype = object if form in ("text", "boolean") else np.float64
        meaning = f"Column {column.name!r}: {MEANINGS[form]}."
        cells = graph.input(name, dtype, 1, meaning=meaning)
        with graph.numbers(np.float64):
            block, bad = _ADDERS[form](graph, column, cells, refuses_unknown)
        blocks.append(block)
        problems += bad
    graph.scope = "inputs"
    with graph.numbers(np.float64):
        inputs = graph.add("Concat", *blocks, axis=1)
        if not problems:  # a mask of the right length that is false throughout
            problems = [
                graph.add("IsNaN", graph.add("ReduceMax", inputs, _axis(graph), keepdims=1))
            ]
            graph.scope = "problems"
        problem = _any(graph, problems)
        return graph.add("Where", problem, 0.0, inputs), problem


def _any(graph: Graph, masks: Sequence[str]) -> str:
    """Add the disjunction of bool tensors (N, 1)."""
    # ReduceMax of bool came with opset 20, and not every runtime of that opset has it.
    marks = graph.cast(graph.add("Concat", *masks, axis=1), np.float32)
    most = graph.add("ReduceMax", marks, _axis(graph), keepdims=1)
    return graph.cast(most, np.bool_)


def _axis(graph: Graph) -> str:
    return graph.constant(f"{graph.scope}.axis", np.array([1]))


def _with_missing(
    graph: Graph, column: Column, missing: str, present: str, problems: Iterable[str]
) -> tuple[str, list[str]]:
    """Add the choice between the inputs of a present and of a missing value."""
    replacement = missing_inputs(column)
    if replacement is None:
        return present, [missing, *problems]
    row = graph.constant(f"{graph.scope}.missing", replacement[np.newaxis])
    return graph.add("Where", missing, row, present), list(problems)


# ---------------------------------------------------------------- numbers


def _add_number(
    graph: Graph, column: Column, cells: str, refuses_unknown: bool
) -> tuple[str, list[str]]:
    assert isinstance(column, NumberColumn)
    infinite = graph.add("Greater", graph.add("Abs", cells), _LARGEST)
    missing, present = graph.add("IsNaN", cells), cells
    if column.indicator:
        present = graph.add("Concat", cells, graph.cast(missing, np.float64), axis=1)
    return _with_missing(graph, column, missing, present, [infinite])


# ---------------------------------------------------------------- categories


def _add_category_number(
    graph: Graph, column: Column, cells: str, refuses_unknown: bool
) -> tuple[str, list[str]]:
    assert isinstance(column, CategoryColumn)
    numbers = category_numbers(column)
    return _category_inputs(
        graph, column, graph.add("IsNaN", cells), cells, numbers, refuses_unknown
    )


def _add_text(
    graph: Graph, column: Column, cells: str, refuses_unknown: bool
) -> tuple[str, list[str]]:
    assert isinstance(column, CategoryColumn)
    codes = graph.add(
        "LabelEncoder", cells, domain=ML_DOMAIN,
        keys_strings=[text.encode() for text in column.texts],
        values_int64s=list(column.texts.values()), default_int64=-1,
    )  # fmt: skip
    missing = _matches(graph, cells, ["", *map(_quoted, missing_tokens(column))])
    numbers = np.arange(len(column.categories))
    return _category_inputs(graph, column, missing, codes, numbers, refuses_unknown)


def _add_boolean(
    graph: Graph, column: Column, cells: str, refuses_unknown: bool
) -> tuple[str, list[str]]:
    assert isinstance(column, CategoryColumn)
    missing = _matches(graph, cells, ["", *map(_quoted, missing_tokens(column))])
    yes = _matches(graph, cells, map(_in_any_case, TRUE_WORDS))
    no = _matches(graph, cells, map(_in_any_case, FALSE_WORDS))
    codes = graph.add("Where", yes, 1.0, graph.add("Where", no, 0.0, -1.0))
    return _category_inputs(graph, column, missing, codes, np.arange(2.0), refuses_unknown)


def _category_inputs(
    graph: Graph,
    column: CategoryColumn,
    missing: str,
    codes: str,
    numbers: npt.NDArray[Any],
    refuses_unknown: bool,
) -> tuple[str, list[str]]:
    """Add one input for each number, which is 1 where the code is equal to it, or its place."""
    known = graph.constant(f"{graph.scope}.categories", numbers[np.newaxis])
    ones = graph.cast(graph.add("Equal", codes, known), np.float64)
    problems = []
    if refuses_unknown:
        most = graph.add("ReduceMax", ones, _axis(graph), keepdims=1)
        unknown = graph.add("Less", most, 0.5)
        problems = [graph.add("And", unknown, graph.add("Not", missing))]
    if column.as_code:
        places = graph.constant(f"{graph.scope}.places", np.arange(1.0, len(numbers) + 1)[:, None])
        ones = graph.add("Sub", graph.add("MatMul", ones, places), 1.0)
    elif column.missing_level:
        ones = graph.add("Concat", ones, graph.cast(missing, np.float64), axis=1)
    return _with_missing(graph, column, missing, ones, problems)


def _matches(graph: Graph, cells: str, patterns: Iterable[str]) -> str:
    """Add whether texts without blanks around them match one of the patterns."""
    return graph.add("RegexFullMatch", cells, pattern=f"{_BLANKS}(?:{'|'.join(patterns)}){_BLANKS}")


def _quoted(text: str) -> str:
    """Return a regular expression of RE2, and of Python, that matches a text alone."""
    return "".join(map(_quoted_character, text))


def _quoted_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    # Beyond this the notations of RE2 and Python differ; there are no special characters there.
    return f"\\x{ord(character):02x}" if ord(character) < 256 else character


def _in_any_case(word: str) -> str:
    # Not the flag i, for which the long s is a letter s.
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)


_BLANKS = (
    "["
    + "".join(f"{_quoted_character(chr(a))}-{_quoted_character(chr(b))}" for a, b in WHITE_SPACE)
    + "]*"
)


# ---------------------------------------------------------------- dates


def _add_date(
    graph: Graph, column: Column, cells: str, refuses_unknown: bool
) -> tuple[str, list[str]]:
    assert isinstance(column, DateColumn)
    missing = graph.add("IsNaN", cells)
    late = graph.add("Greater", graph.add("Abs", cells), LATEST)
    seconds = graph.add("Where", graph.add("Or", missing, late), 0.0, cells)
    parts = _date_parts(graph, seconds)
    blocks = [parts[part] for part in column.parts]
    if column.indicator:
        blocks.append(graph.cast(missing, np.float64))
    return _with_missing(graph, column, missing, graph.add("Concat", *blocks, axis=1), [late])


def _date_parts(graph: Graph, seconds: str) -> dict[str, str]:
    """Add the parts of points in time, as `fastmlp.data.columns.date_parts` computes them."""
    whole = graph.add("Floor", graph.add("Div", seconds, _DAY))
    days = graph.cast(whole, np.int64)
    with graph.numbers(np.int64):
        # Mod has the sign of the divisor; the operands of Div are not negative.
        day_of_era = graph.add("Mod", graph.add("Add", days, 719468), 146097)
        leap = graph.add("Sub", day_of_era, graph.add("Div", day_of_era, 1460))
        leap = graph.add("Add", leap, graph.add("Div", day_of_era, 36524))
        leap = graph.add("Sub", leap, graph.add("Div", day_of_era, 146096))
        year = graph.add("Div", leap, 365)
        before = graph.add("Add", graph.add("Mul", year, 365), graph.add("Div", year, 4))
        before = graph.add("Sub", before, graph.add("Div", year, 100))
        day_of_year = graph.add("Sub", day_of_era, before)
        from_march = graph.add("Div", graph.add("Add", graph.add("Mul", day_of_year, 5), 2), 153)
        month = graph.add(
            "Where",
            graph.add("Less", from_march, 10),
            graph.add("Add", from_march, 3),
            graph.add("Sub", from_march, 9),
        )
        start = graph.add("Div", graph.add("Add", graph.add("Mul", from_march, 153), 2), 5)
        day = graph.add("Add", graph.add("Sub", day_of_year, start), 1)
        weekday = graph.add("Mod", graph.add("Add", days, 3), 7)
    seconds_of_day = graph.add("Sub", seconds, graph.add("Mul", whole, _DAY))
    return {
        "days": graph.add("Div", seconds, _DAY),
        "month": graph.cast(month, np.float64),
        "day": graph.cast(day, np.float64),
        "weekday": graph.cast(weekday, np.float64),
        "hour": graph.add("Div", seconds_of_day, 3600.0),
    }


_Adder = Callable[[Graph, Column, str, bool], tuple[str, list[str]]]
_ADDERS: dict[str, _Adder] = {
    "number": _add_number,
    "text": _add_text,
    "boolean": _add_boolean,
    "category number": _add_category_number,
    "date": _add_date,
}
