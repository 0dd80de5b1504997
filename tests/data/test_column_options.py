"""What the user says about columns: each option by itself, in Python and on the command line."""

import json

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.data import (
    CategoryColumn,
    DateColumn,
    NumberColumn,
    Options,
    Reading,
    prepare,
    read_samples,
)
from fastmlp.experiment.rundir import RunDirectory
from support.preprocessing_examples import source, table
from support.random_tables import delimited

polars = pytest.importorskip("polars")

WHOLE = {"test_fraction": 0.0, "validation_fraction": 0.0, "standardize": False}


def columns():
    return {
        "no": [str(i) for i in range(40)],
        "size": ["1,500", "2,250", "750", "?"] * 10,
        "code": ["1", "2", "30", "-1"] * 10,
        "sold": ["01/02/2024", "03/04/2023", "05/06/2022", ""] * 10,
        "note": [f"text {i}" for i in range(40)],
        "label": ["a", "b"] * 20,
    }


KNOWN = {"decimal": ".", "date": ("sold=%d/%m/%Y",)}


def prepared(**options):
    return prepare(source(table(**columns())), Options(**(KNOWN | WHOLE | options)))


def by_name(**options):
    return {column.name: column for column in prepared(**options).preprocessing.columns}


def test_without_them():
    preprocessing = prepared().preprocessing
    assert [column.name for column in preprocessing.columns] == ["size", "code", "sold"]
    assert dict(preprocessing.left_out) == {
        "no": "numbers the rows", "note": "is text that differs in every row",
    }  # fmt: skip
    assert isinstance(by_name()["code"], NumberColumn)


def test_what_only_the_user_knows_is_asked_for_at_once():
    with pytest.raises(ValueError, match="2 columns need a decision") as error:
        prepare(source(table(**columns())), Options())
    _, size, sold = str(error.value).splitlines()
    assert size == (
        "  column 'size' writes numbers such as '1,500', which can be 1500 or 1.5; say which with "
        '--decimal "." or --decimal ","'
    )
    assert '--date "sold=%d/%m/%Y" or --date "sold=%m/%d/%Y"' in sold


def test_exclude():
    assert list(by_name(exclude=("size",))) == ["code", "sold"]
    assert "size" not in dict(prepared(exclude=("size",)).preprocessing.left_out)
    # An excluded column need not be understood.
    raw = source(table(**columns()))
    names = [c.name for c in prepare(raw, Options(exclude=("size", "sold"))).preprocessing.columns]
    assert names == ["code"]


def test_categorical():
    code = by_name(categorical=("code", "note"))
    assert isinstance(code["code"], CategoryColumn)
    assert code["code"].categories == ("-1", "1", "2", "30")
    assert len(code["note"].categories) == 40


def test_numeric():
    number = by_name(numeric=("no",))["no"]
    assert isinstance(number, NumberColumn)
    with pytest.raises(fastmlp.FormatError, match="40 values .*\n  line 2, column 'note': must be"):
        prepared(numeric=("note",))


def test_id():
    assert "code" not in by_name(id=("code",))
    assert ("code", "is an identifier") in prepared(id=("code",)).preprocessing.left_out


@pytest.mark.parametrize(("form", "month"), [("%d/%m/%Y", 2), ("%m/%d/%Y", 1)])
def test_date(form, month):
    sold = by_name(date=(f"sold={form}",))["sold"]
    assert isinstance(sold, DateColumn)
    assert sold.format == form
    x = prepared(date=(f"sold={form}",))
    at = x.preprocessing.feature_names.index("sold (month)")
    assert x.train.x[0, at] == month


@pytest.mark.parametrize(("decimal", "value"), [(".", 1500.0), (",", 1.5)])
def test_decimal(decimal, value):
    found = prepared(decimal=decimal)
    assert found.train.x[0, 0] == value
    assert found.preprocessing.columns[0].format.decimal == decimal


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize(
    "cells", [("0042", "42", "7"), ("007", "7", "1"), (str(2**53 + 1), str(2**53 + 2), "5")]
)
def test_a_decimal_sign_makes_no_numbers_of_names(decimal, cells):
    raw = source(table(zip=[*cells, cells[0]] * 10, y=["p", "q"] * 20))
    (column,) = prepare(raw, Options(decimal=decimal)).preprocessing.columns
    assert isinstance(column, CategoryColumn)
    assert set(column.categories) == set(cells)


def test_thousands():
    options = Options(thousands=",", date=KNOWN["date"], **WHOLE)
    assert prepare(source(table(**columns())), options).train.x[0, 0] == 1500.0


def test_missing_token():
    assert by_name(missing_token=("-1",))["code"].indicator
    assert prepared(missing_token=("-1",)).preprocessing.columns[1].fill == 2.0
    assert not by_name()["code"].indicator
    category = by_name(missing_token=("-1",), categorical=("code",))["code"]
    assert category.categories == ("1", "2", "30")
    assert category.missing_level


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("auto", (1500.0, True)), ("mean", (1500.0, False)), ("most_frequent", (750.0, False))],
)
def test_missing(missing, expected):
    column = by_name(missing=missing)["size"]
    assert (column.fill, column.indicator) == expected


# ---------------------------------------------------------------- the command line


def test_all_of_them_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = delimited(columns(), ";").replace("text 3", "te\u00e4t 3")
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    flags = (
        "--target", "label", "--exclude", "note", "--categorical", "code", "--numeric", "size",
        "--date", "sold=%d/%m/%Y", "--id", "no", "--missing", "median", "--missing-token", "750",
        "--decimal", ".", "--thousands", ",", "--separator", ";", "--encoding", "latin-1",
        "--header", "--unknown-categories", "error", "--epochs", "2", "--no-report", "-q",
    )  # fmt: skip
    assert main(["train", "t.csv", *flags]) == 0
    capsys.readouterr()
    data = RunDirectory.open("runs/001-t").config().data
    assert (data.exclude, data.categorical, data.numeric, data.id) == (
        ("note",), ("code",), ("size",), ("no",),
    )  # fmt: skip
    assert (data.date, data.missing_token) == (("sold=%d/%m/%Y",), ("750",))
    preprocessing = fastmlp.load("runs/001-t").preprocessing
    size, code, sold = preprocessing.columns
    assert size.fill > 1000  # without 750
    assert "750" in size.missing
    assert code.categories == ("-1", "1", "2", "30")
    assert sold.format == "%d/%m/%Y"
    assert preprocessing.unknown_categories == "error"
    assert main(["evaluate", "1", "--json", "-q"]) == 0
    own = json.loads(capsys.readouterr().out)
    result = RunDirectory.open("runs/001-t").result()["test"]
    assert own["loss"] == result["loss"]
    # What the model knows of its files need not be said again.
    assert main(["predict", "1", "t.csv", "--json", "--separator", ";"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    expected = fastmlp.load("runs/001-t").predict(columns()).tolist()
    assert [row["prediction"] for row in rows] == expected


def test_an_index_column_is_no_feature(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = {
        "key": [f"{i % 8}" for i in range(40)],
        "a": ["1", "2", "3", "4"] * 10,
        "y": [*"pq"] * 20,
    }
    (tmp_path / "t.csv").write_bytes(delimited(given).encode())
    assert (
        main(["train", "t.csv", "--index-column", "key", "--epochs", "1", "--no-report", "-q"]) == 0
    )
    preprocessing = fastmlp.load("runs/001-t").preprocessing
    assert preprocessing.feature_names == ("a",)
    assert ("key", "is the index of the rows") in preprocessing.left_out
    capsys.readouterr()
    reading = Reading(index_column="kye")
    with pytest.raises(fastmlp.FormatError, match="'kye', which numbers the rows, is missing"):
        read_samples(tmp_path / "t.csv", reading=reading)


def test_weights_are_no_feature_and_not_needed_later():
    given = columns() | {"w": np.linspace(0.1, 2, 40).tolist()}
    raw = source(table(**given))
    preprocessing = prepare(raw, Options(sample_weight="w", **KNOWN)).preprocessing
    assert preprocessing.weight == "w"
    assert "w" not in preprocessing.feature_names
    assert preprocessing.inputs(table(**columns())).shape[0] == 40
