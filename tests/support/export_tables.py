"""Small networks on random tables with columns of every kind, for the tests of exports."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp.data.cells import read_dates
from fastmlp.data.columns import CategoryColumn, DateColumn, NumberColumn
from fastmlp.data.options import Options
from fastmlp.data.preparation import prepare
from fastmlp.data.table import Part, RawData, Table
from fastmlp.experiment.architectures import network_arguments
from fastmlp.experiment.settings import resolve

TASKS = ("classification", "multilabel", "regression")
POLICIES = ("auto", "error", "median", "most_frequent")
TOKENS = ("n/k", "**", 'say "?"', "\u96ea x")
COLORS = (
    "red", "blau", "gr\u00fcn \u96ea", '"quoted"', "back\\slash", "tri??/graph", " blank", "*/ x",
    "new\nline", "NA", "\U0001f600", "%s\x017", "re", "redd", "\u00e9", "e\u0301",
)  # fmt: skip
CLASSES = ("no \u96ea", 'a "b"', "\\n??/", "d\u00e9j\u00e0")
SPELLINGS = ("yes", "No", "TRUE", " f ", "on", "OFF", "\u3000y", "1", "0\u00a0", "fAlSe")
# Names that collide after cleaning, that are words of C and C++, that are outputs of the graph.
NAMES = {
    "number": ("age", "prix (\u20ac)", "int", "2024", "NAN"),
    "amount": ("prix-", "\u96ea", "a__b"),
    "text": ("color", "label", 'say "x"', "*/ int y;"),
    "boolean": ("flag", "new"),
    "code": ("code", "prix "),
    "date": ("sold", "x", "Gr\u00f6\u00dfe"),
    "time": ("seen at", "row"),
}
BLANKS = ("", " ", "\u2003", "\t\r")


# Of the largest output. Seen: 1.8e-7 and 5.5e-16.
TOLERANCES = {"float32": 1e-6, "float64": 1e-14}
# Every task, every treatment of missing values, every dtype, known and unknown categories, every
# scaling.
CASES = [
    (
        100 * i + seed,
        {"task": task, "missing": missing, "unknown": unknown, "dtype": dtype, "scaling": scaling},
    )
    for i, (task, missing) in enumerate(itertools.product(TASKS, POLICIES))
    for seed, (unknown, dtype) in enumerate((("ignore", "float32"), ("error", "float64")))
    for scaling in (("standard", "robust", "quantile")[(i + seed) % 3],)
]
# Categories as codes, which a network embeds or spreads over inputs.
CASES += [(seed + 100, chosen | {"category_inputs": "code"}) for seed, chosen in CASES]
cases = pytest.mark.parametrize(
    ("seed", "chosen"), CASES, ids=lambda v: "-".join(v.values()) if isinstance(v, dict) else v
)


def served(case):
    """Return a mask of the rows that are not refused, which are many, and their inputs."""
    kept = ~case.refused
    assert kept.sum() > 20
    return kept, np.ascontiguousarray(case.inputs[kept], case.model.dtype)


@dataclass(frozen=True)
class Subject:
    """A network on a random table, and rows that it has not seen, in three forms."""

    model: fastmlp.MLP
    rows: Table
    inputs: np.ndarray  # what the preprocessing makes of the rows
    refused: np.ndarray  # mask of the rows that it refuses
    values: dict[str, np.ndarray]  # by name of the column: float64, or object of str


def subject(
    seed: int, *, task: str, dtype: str = "float32", missing: str = "auto",
    unknown: str = "ignore", activation: Any = "relu", standardize: bool = True,
    scaling: str = "standard", standardize_target: bool = True, category_inputs: str = "one_hot",
    **arguments: Any,
) -> Subject:  # fmt: skip
    """Return a random network on a random table."""
    random = np.random.Generator(np.random.PCG64(seed))
    kinds = {name: kind for kind, names in NAMES.items() for name in names}
    names = random.permutation(list(kinds)).tolist()
    table = _table(random, {name: kinds[name] for name in names}, 90, holes=missing != "error")
    targets = _targets(random, task, 90)
    train = Table("train", table | targets)
    options = Options(
        target=tuple(targets), task=task, missing=missing, missing_token=TOKENS,
        unknown_categories=unknown, standardize=standardize, scaling=scaling,
        standardize_target=standardize_target, category_inputs=category_inputs,
        test_fraction=0.0, validation_fraction=0.0,
        categorical=tuple(n for n in names if kinds[n] == "code"),
    )  # fmt: skip
    prepared = prepare(RawData("random", Part(train)), options)
    preprocessing = prepared.preprocessing
    loss = {"classification": "softmax_cross_entropy", "multilabel": "binary_cross_entropy"}
    if category_inputs == "code":
        sections = {"data": {"scaling": scaling}, "network": {"architecture": "realmlp"}}
        config = resolve("table.csv", [sections])
        arguments["inputs"] = network_arguments(config, prepared)["inputs"]
    model = fastmlp.MLP(
        [preprocessing.features, 11, 8, preprocessing.outputs], loss=loss.get(task, "mse"),
        dtype=dtype, activation=activation, seed=seed, **arguments,
    )  # fmt: skip
    model.biases = [random.normal(0, 0.3, bias.shape).astype(dtype) for bias in model.biases]
    model.preprocessing = preprocessing
    kept = {c.name: kinds[c.name] for c in preprocessing.columns}
    strange = 0.01 if unknown == "error" else 0.3
    rows = Table("rows", _table(random, kept, 60, holes=True, strange=strange))
    inputs, problems = preprocessing.served_inputs(rows)
    values = {c.name: _values(c, rows.columns[c.name]) for c in preprocessing.columns}
    return Subject(model, rows, inputs, problems.mask, values)


def limited(case):
    """Return a subject of a regression with a range that cuts off many of its predictions."""
    preprocessing = case.model.preprocessing
    _, x = served(case)
    values = preprocessing.decode(case.model.predict(x))
    low, high = np.quantile(values, (0.3, 0.6), axis=0)
    case.model.preprocessing = replace(preprocessing, target_low=low, target_high=high)
    cut = case.model.preprocessing.decode(case.model.predict(x))
    assert (cut.min(axis=0) == low).all()
    assert (cut.max(axis=0) == high).all()
    assert 0.5 < (cut != values).mean() < 0.9
    return case


def _values(column, cells):
    """Return cells in the form that exported models take."""
    if isinstance(column, NumberColumn):
        return column.read(cells).values
    if isinstance(column, DateColumn):
        return read_dates(cells, column.format, column.missing).seconds
    assert isinstance(column, CategoryColumn)
    if column.reads == "number":
        return np.array([np.nan if value is None else float(value) for value in cells.to_list()])
    return np.array(cells.fill_null("").to_list(), object)


# ---------------------------------------------------------------- cells


def _table(random, kinds, count, *, holes, strange=0.0):
    """Return columns; `strange` is the share of cells unlike those of training, 0 in training."""
    columns = {}
    for name, kind in kinds.items():
        share = 0.01 if strange else random.choice([0.0, 0.1, 0.3]) if holes else 0.0
        missing = random.random(count) < share
        columns[name] = _MAKERS[kind](random, count, missing, strange)
    return columns


def _targets(random, task, count):
    if task == "classification":
        return {"kind": [CLASSES[i] for i in _each(random, len(CLASSES), count)]}
    if task == "multilabel":
        return {name: random.integers(0, 2, count) for name in ("big", "old \u96ea")}
    return {"price": random.normal(1e5, 3e4, count), "rooms/2": random.normal(3, 0.1, count)}


def _each(random, kinds, count):
    """Return integers below `kinds`, each of which occurs."""
    return random.permutation(np.arange(count) % kinds).tolist()


def _numbers(random, count, missing, strange):
    values = random.normal(1234.5, 0.077, count)
    values[missing] = np.nan
    return values


def _amounts(random, count, missing, strange):
    numbers = random.integers(-(10**7), 10**7, count) / 100
    texts = [f"{n:,.2f}".translate(str.maketrans(",.", ".,")) + " \u20ac" for n in numbers]
    return _with_holes(random, texts, missing, ("NaN", *TOKENS))


def _texts(random, count, missing, strange):
    known = COLORS[: random.integers(3, len(COLORS))]
    texts = [known[i] for i in _each(random, len(known), count)]
    if strange:
        texts = [COLORS[i] for i in _each(random, 3, count)]
        _exchange(random, texts, strange, (*COLORS, "never seen", "r", "red "))
    return _with_holes(random, texts, missing, TOKENS)


def _truths(random, count, missing, strange):
    spellings = SPELLINGS if strange else ("Yes", "no")
    texts = [spellings[i] for i in _each(random, len(spellings), count)]
    _exchange(random, texts, strange, ("ye\u017f", "2", "yesno", "tr ue"))
    return _with_holes(random, texts, missing, TOKENS)


def _codes(random, count, missing, strange):
    known = [0.0, 1.0, 2.5, -7.0, 2.0**53, 2.0**53 + 2, 1e300, 0.1]
    values = np.array([known[i] for i in _each(random, len(known), count)])
    _exchange(random, values, strange, (3.0, -0.0, 0.1 + 2**-54, -1.0))
    values[missing] = np.nan
    return values


def _days(random, count, missing, strange):
    first = datetime.date(1601, 1, 1) if strange else datetime.date(1890, 1, 1)
    last = datetime.date(2400, 12, 31) if strange else datetime.date(2030, 12, 31)
    days = random.integers(first.toordinal(), last.toordinal(), count)
    texts = [datetime.date.fromordinal(int(day)).isoformat() for day in days]
    if strange:
        texts[:4] = ["2000-02-29", "1900-03-01", "1969-12-31", "1970-01-01"]
    return _with_holes(random, texts, missing, ("NaT", *TOKENS))


def _times(random, count, missing, strange):
    micros = random.integers(-(10**15), 4 * 10**15, count)
    start = datetime.datetime(1970, 1, 1)
    times = [start + datetime.timedelta(microseconds=int(m)) for m in micros]
    return [None if gone else time for time, gone in zip(times, missing, strict=True)]


def _exchange(random, cells, share, others):
    for row in np.flatnonzero(random.random(len(cells)) < share):
        cells[row] = others[random.integers(len(others))]


def _with_holes(random, texts, missing, tokens):
    empty = [None, *BLANKS, *tokens, *(f" {token}\u205f" for token in tokens)]
    for row in np.flatnonzero(missing):
        texts[row] = empty[random.integers(len(empty))]
    return texts


_MAKERS = {
    "number": _numbers,
    "amount": _amounts,
    "text": _texts,
    "boolean": _truths,
    "code": _codes,
    "date": _days,
    "time": _times,
}
