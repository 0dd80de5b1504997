"""Problems of many cells in one message."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import FormatError
from fastmlp.data import Options, Table, prepare
from fastmlp.data.table import Part, Problems, RawData

DATES = [*["2024-01-31"] * 3, *["05/11/23"] * 500]


def message(columns, options):
    with pytest.raises(FormatError) as error:
        prepare(RawData("t", Part(Table("t.csv", columns, 2))), options)
    return str(error.value).splitlines()


def test_a_problem_of_many_rows_is_told_once():
    columns = {"when": DATES, "amt": ["1", "none at all"] * 251 + ["2"], "y": ["a", *["b"] * 502]}
    found = message(columns, Options(date=("when=%Y-%m-%d",), numeric=("amt",)))
    assert found == [
        "t.csv: 751 values cannot be used:",
        "  line 3, column 'amt': must be a number, got 'none at all', and so in 250 more rows",
        "  line 5, column 'when': must be a %Y-%m-%d date, got '05/11/23', and so in 499 more rows",
    ]


def test_rows_without_a_target_are_told_once():
    found = message({"x": ["1", "2"] * 50, "y": ["", "a"] * 50}, Options(missing="error"))
    assert len(found) == 2
    assert found[1] == "  line 2, column 'y': lacks a target, and so in 49 more rows"


@pytest.mark.parametrize("count", [1, 2, 5, 6, 30])
def test_a_few_are_told_one_by_one(count):
    table = Table("t.csv", {"a": [str(i) for i in range(40)], "b": ["x"] * 40}, 2)
    problems = Problems(table)
    problems.add(np.arange(40) < count, "a", "must not be {}")
    problems.add(np.arange(40) == 1, "b", "must not be {} either")
    _, *lines = str(problems.error()).splitlines()
    told = [f"  line {2 + i}, column 'a': must not be '{i}'" for i in range(count)]
    if count > 5:
        told = [f"{told[0]}, and so in {count - 1} more rows"]
    told.insert(2, "  line 3, column 'b': must not be 'x' either")
    assert lines == told


def test_problems_that_are_not_told_are_counted():
    table = Table("t.csv", {"a": ["1"] * 40}, 2)
    problems = Problems(table)
    for number in range(12):
        problems.add(np.arange(40) < 6, "a", f"is wrong {number}")
    lines = str(problems.error()).splitlines()
    assert lines[0] == "t.csv: 72 values cannot be used:"
    assert len(lines) == 12
    assert lines[-1] == "  and 12 more"
