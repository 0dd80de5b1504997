"""What `fastmlp look` finds: targets, columns, doubts; and whether a training then succeeds."""

from __future__ import annotations

import datetime

import pytest

import fastmlp
from fastmlp.data import Options, Table
from fastmlp.data.preparation import prepare
from fastmlp.data.profile import profile_table
from fastmlp.data.table import Part, RawData

ROWS = 60


def table(index=(), **columns):
    numbers = {"size": [f"{(7 * i) % 31}.5" for i in range(ROWS)]}
    return Table("t.csv", numbers | columns, 2, index=index)


def trains(looked_at, options):
    """Whether the table can be prepared for a training with these options."""
    try:
        prepare(RawData("t", Part(looked_at)), options)
    except (ValueError, fastmlp.FormatError):
        return False
    return True


CLASSES = ["a", "b", "c"] * 20
WORDS = [f"word {i}" for i in range(ROWS)]
GAPS = ["", *CLASSES[1:]]
DATES = [f"0{1 + i % 9}/0{1 + i % 8}/2020" for i in range(ROWS)]
AMOUNTS = [f"{1 + i}.{100 + i}" for i in range(ROWS)]

# ---------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("columns", "options", "guess"),
    [
        ({"kind": CLASSES}, {}, "kind"),
        ({"kind": CLASSES, "row": [str(i) for i in range(ROWS)]}, {"index": ("row",)}, "kind"),
        ({"kind": CLASSES, "id": [str(i) for i in range(ROWS)]}, {}, "kind"),
        ({"kind": CLASSES, "street": WORDS}, {}, "kind"),
        ({"kind": CLASSES, "source": ["web"] * ROWS}, {}, "kind"),
        ({"kind": CLASSES, "note": [""] * ROWS}, {}, "kind"),
        ({"kind": CLASSES, "when": DATES}, {}, "kind"),
        ({"kind": CLASSES, "w": ["1", "2", "3"] * 20}, {"sample_weight": "w"}, "kind"),
        ({"kind": CLASSES, "b": CLASSES}, {"exclude": ("b",)}, "kind"),
        ({"kind": CLASSES}, {"features": ("kind",)}, "size"),
        ({"kind": CLASSES}, {"features": ("size",)}, "kind"),
        ({"kind": CLASSES}, {"exclude": ("size", "kind")}, None),
    ],
)
def test_guess_of_the_target(columns, options, guess):
    index = options.get("index", ())
    given = Options(**{key: value for key, value in options.items() if key != "index"})
    profile = profile_table(table(index, **columns), given)
    assert (profile.targets, profile.guess) == ((), guess)
    said = [text for text in profile.suspicions if "target" in text]
    assert said == (
        [f'no target is named: --target "{guess}" is a guess']
        if guess
        else ["no column can be a target: name one with --target"]
    )
    assert bool(profile.obstacles) == (guess is None)


@pytest.mark.parametrize("gaps", [GAPS, [*["1.5"] * 3, "NA", *map(str, range(ROWS - 4))]])
def test_rows_without_a_target(gaps):
    looked_at = table(y=gaps)
    profile = profile_table(looked_at, Options())
    assert profile.obstacles == ()
    assert "1 of 60 rows lack the target 'y' and will be left out" in profile.suspicions
    assert trains(looked_at, Options())
    refusing = Options(missing="error")
    text = "1 of 60 rows lack the target 'y': leave --missing error out, which refuses them"
    assert profile_table(looked_at, refusing).obstacles == (text,)
    assert not trains(looked_at, refusing)


# ---------------------------------------------------------------- obstacles and choices


@pytest.mark.parametrize(
    ("columns", "options", "text"),
    [
        ({"amt": WORDS}, {"numeric": ("amt",)}, "60 of 60 values are no numbers, such as 'word 0'"),
        (
            {"amt": WORDS},
            {"date": ("amt=%d/%m/%Y",)},
            "60 of 60 values are no dates",
        ),
        ({}, {"exclude": ("size",)}, "features must leave a column"),
        ({"street": WORDS}, {"features": ("street",)}, "is text that differs in every row"),
        ({}, {"task": "regression"}, "task 'regression' must have numbers as targets, got text"),
        ({"y": [""] * ROWS}, {}, "target column 'y' has no values"),
    ],
)
def test_obstacles(columns, options, text):
    looked_at = table(**({"y": CLASSES} | columns))
    profile = profile_table(looked_at, Options(**options))
    assert len(profile.obstacles) == 1
    assert text in profile.obstacles[0]
    assert "\n" not in profile.obstacles[0]
    assert not trains(looked_at, Options(**options))


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"when": DATES}, ('--date "when=%d/%m/%Y"', '--date "when=%m/%d/%Y"')),
        ({"amount": AMOUNTS, "more": [f"{i},5" for i in range(ROWS)]},
         ('--decimal ","', '--decimal "."')),
        ({"y": [f"{i},{100 + i}" for i in range(1, ROWS + 1)]},
         ('--decimal "."', '--decimal ","')),
    ],
)  # fmt: skip
def test_choices(columns, options):
    looked_at = table(**({"y": CLASSES} | columns))
    profile = profile_table(looked_at, Options())
    assert profile.obstacles == ()
    assert profile.choices == (options,)
    assert not trains(looked_at, Options())


def test_what_can_be_trained_has_neither():
    looked_at = table(kind=CLASSES, street=WORDS, amount=[f"{i},5" for i in range(ROWS)])
    profile = profile_table(looked_at, Options(target=("kind",)))
    assert (profile.obstacles, profile.choices) == ((), ())
    assert trains(looked_at, Options(target=("kind",)))


# ---------------------------------------------------------------- columns


def column_of(profile, name):
    return next(column for column in profile.columns if column.name == name)


def test_names_that_differ_in_blanks_count_as_the_schema_counts_them():
    looked_at = table(letter=["u", " u", "v", "U"] * 15, y=CLASSES)
    profile = profile_table(looked_at, Options())
    prepared = prepare(RawData("t", Part(looked_at)), Options())
    (letter,) = [c for c in prepared.preprocessing.columns if c.name == "letter"]
    assert column_of(profile, "letter").distinct == len(letter.categories) == 4
    alike = "'letter' has values that differ in case or blanks: ' u', 'U', 'u'"
    assert alike in profile.suspicions


def test_index_of_times():
    hours = [datetime.datetime(2024, 1, 1, 0, 0, 0, 123456) + datetime.timedelta(hours=i)
             for i in range(ROWS)]  # fmt: skip
    profile = profile_table(table(("when",), when=hours, y=CLASSES), Options())
    when = column_of(profile, "when")
    assert (when.use, when.distinct) == ("left out", ROWS)
    assert when.values == "2024-01-01 to 2024-01-03 11:00:00"


def test_values_that_are_not_all_shown_end_in_dots():
    four = ["a", "b", "c", "d"] * 15
    five = ["a", "b", "c", "d", "e"] * 12
    wide = [f"{'x' * 30} {i % 4}" for i in range(ROWS)]
    profile = profile_table(table(few=four, many=five, long=wide, y=CLASSES), Options())
    assert column_of(profile, "few").values == "'a', 'b', 'c', 'd'"
    assert column_of(profile, "many").values == "'a', 'b', 'c', 'd', ..."
    assert column_of(profile, "long").values == f"'{'x' * 30} 0', ..."
