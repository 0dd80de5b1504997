"""Columns of every type that a frame can hold, in every role: used, or refused by name."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest

from fastmlp.data import Options, Part, RawData, prepare
from fastmlp.data.frames import table_of
from fastmlp.data.profile import profile_table
from fastmlp.errors import FormatError

polars = pytest.importorskip("polars")

ROWS = 60
ZONE = datetime.timezone(datetime.timedelta(hours=2))
# A value for each row, and the type of the column where Python's values do not tell it.
TYPES = {
    "text": (lambda i: f"t{i % 3}", polars.String),
    "number text": (lambda i: f"{i / 4}", polars.String),
    "integer": (lambda i: i * 7 % 50, polars.Int64),
    "small integer": (lambda i: i % 5, polars.UInt8),
    "large integer": (lambda i: 2**53 + i % 4, polars.UInt64),
    "float": (lambda i: i / 8, polars.Float64),
    "single": (lambda i: i / 8, polars.Float32),
    "decimal": (lambda i: decimal.Decimal(i) / 4, polars.Decimal(10, 2)),
    "truth": (lambda i: i % 3 == 0, polars.Boolean),
    "date": (lambda i: datetime.date(2024, 1, 1 + i % 28), polars.Date),
    "moment": (lambda i: datetime.datetime(2024, 1, 1 + i % 28, i % 24), polars.Datetime("us")),
    "moment with zone": (
        lambda i: datetime.datetime(2024, 1, 1 + i % 28, tzinfo=ZONE),
        polars.Datetime("ms", "UTC"),
    ),
    "time": (lambda i: datetime.time(i % 4), polars.Time),
    "duration": (lambda i: datetime.timedelta(hours=i % 4), polars.Duration("us")),
    "bytes": (lambda i: bytes([0xFF, i % 4]), polars.Binary),
    "text as bytes": (lambda i: f"t{i % 3}".encode(), polars.Binary),
    "list": (lambda i: [i % 3, 1], polars.List(polars.Int64)),
    "array": (lambda i: [i % 3, 1], polars.Array(polars.Int64, 2)),
    "record": (lambda i: {"a": i % 3}, polars.Struct({"a": polars.Int64})),
    "category": (lambda i: f"t{i % 3}", polars.Categorical),
    "enumeration": (lambda i: f"t{i % 3}", polars.Enum(["t0", "t1", "t2"])),
    "nothing": (lambda i: None, polars.Null),
}
UNUSABLE = {"duration", "bytes", "text as bytes", "list", "array", "record"}
ROLES = ("feature", "features", "categorical", "numeric", "dates", "id", "exclude", "sample_weight",
         "target")  # fmt: skip


def cells_of(kind, random, gaps=0.0):
    value, dtype = TYPES[kind]
    values = [None if random.random() < gaps else value(i) for i in range(ROWS)]
    return polars.Series(values, dtype=dtype)


def options_of(roles, random):
    named: dict[str, list[str]] = {}
    for name, role in roles.items():
        named.setdefault(role, []).append(name)
    arguments = {}
    for role in ("categorical", "numeric", "id", "exclude", "target"):
        if role in named:
            arguments[role] = tuple(named[role])
    if "features" in named:
        used = ("feature", "features", "categorical", "numeric", "dates")
        arguments["features"] = tuple(n for role in used for n in named.get(role, ()))
    if "dates" in named:
        arguments["date"] = tuple(named["dates"])
    if "sample_weight" in named:
        arguments["sample_weight"] = named["sample_weight"][0]
    arguments.setdefault("target", ("y",))
    missing = ("auto", "median", "most_frequent", "error")[int(random.integers(4))]
    return Options(missing=missing, **arguments)


def prepared_or_refused(table, options, about):
    """Return what is prepared, or None; fail unless the error names the target or a column."""
    try:
        profile_table(table, options)
        return prepare(RawData("t", Part(table)), options)
    except (FormatError, ValueError) as error:
        message = str(error)
    named = [name for name in table.columns if name in message and name != "y"]
    assert named or "target" in message, (about, message)
    return None


@pytest.mark.parametrize("seed", range(150), indirect=True)
def test_columns_of_any_types_are_used_or_refused_by_name(seed):
    random = np.random.default_rng(seed)
    kinds = random.permutation(list(TYPES))[: int(random.integers(2, 6))].tolist()
    names = [f"{kind} {i}" for i, kind in enumerate(kinds)]
    gaps = float(random.choice([0.0, 0.2]))
    columns = {n: cells_of(k, random, gaps) for n, k in zip(names, kinds, strict=True)}
    roles = dict.fromkeys(names, "feature")
    # Roles that take part are drawn for a few columns, so that most cases can be prepared.
    for name in random.permutation(names)[: int(random.integers(0, 3))].tolist():
        roles[name] = str(random.choice(ROLES))
    columns["y"] = polars.Series(["u", "v"] * (ROWS // 2))
    about = (seed, roles, gaps)
    table = table_of(polars.DataFrame(columns))
    options = options_of(roles, random)
    made = prepared_or_refused(table, options, about)
    if made is None:
        return
    assert np.isfinite(made.train.x).all(), about
    preprocessing = made.preprocessing
    assert not {n.rsplit(" ", 1)[0] for n in (c.name for c in preprocessing.columns)} & UNUSABLE
    x = table_of(polars.DataFrame(columns).drop(options.target))
    whole, problems = preprocessing.served_inputs(x)
    for row in range(0, ROWS, 7):
        alone, problem = preprocessing.served_inputs(x.rows(np.array([row])))
        np.testing.assert_array_equal(alone[0], whole[row], err_msg=str(about))
        assert problem.of_row(0) == problems.of_row(row), about


@pytest.mark.parametrize("learned", TYPES)
def test_a_column_of_another_type_is_served_or_refused_row_by_row(learned):
    """No type that comes later can end a prediction without naming the row and the column."""
    random = np.random.default_rng(0)
    columns = {"c": cells_of(learned, random), "n": polars.Series(range(ROWS))}
    columns["y"] = polars.Series(["u", "v"] * (ROWS // 2))
    made = prepare(RawData("t", Part(table_of(columns))), Options(target=("y",)))
    if "c" not in [column.name for column in made.preprocessing.columns]:
        assert learned in UNUSABLE | {"nothing"}
        return
    for later in TYPES:
        x = table_of({"c": cells_of(later, random), "n": columns["n"]})
        inputs, problems = made.preprocessing.served_inputs(x, unknown_categories="ignore")
        assert np.isfinite(inputs).all()
        if later in UNUSABLE:
            assert problems.mask.all(), (learned, later)
        if later == learned:
            assert not problems.mask.any(), learned
        for row in np.flatnonzero(problems.mask):
            assert "column 'c'" in problems.of_row(int(row)), (learned, later)
