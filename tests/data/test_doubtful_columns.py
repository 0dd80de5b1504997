"""Columns that can be read in two ways are asked about; what is clear has one answer everywhere."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Options
from fastmlp.data.inference import find_kind
from fastmlp.data.schema import find_features
from fastmlp.data.table import Table

pl = pytest.importorskip("polars")
DAYS = [str(datetime.date(2020, 1, 1) + datetime.timedelta(days=3 * i)) for i in range(60)]


def kind_of(*cells: str, name: str = "c"):
    return find_kind(name, pl.Series(name, list(cells) * 3))


UNCLEAR = {
    "percentages and shares": (("50%", "25%", "0.75", "0.5"), "percentages beside plain numbers"),
    "points and commas": (("1.5", "2,5"), "writes numbers in two ways: '1.5' and '2,5'"),
    "groups in two ways": (("1,234.5", "2.345,1"), "writes numbers in two ways"),
    "units in two cases": (("12kg", "4KG"), "several units: KG, kg"),
    "two units": (("12 kg", "900 g"), "several units: g, kg"),
    "two currencies": (("$5", "€6"), "several units"),
    "a day that does not exist": ((*DAYS, "2020-02-30"), "and others such as '2020-02-30'"),
    "a word among dates": ((*DAYS, "unknown"), '--missing-token "unknown"'),
    "words beside many numbers": (
        (*(f"{i}.5" for i in range(40)), *["pending", "failed"] * 40), "mixes numbers with text",
    ),
    "two orders of dates": (("03/04/2024", "05/06/2024"), "say how to read them"),
    "one separator": (("1,234", "5,678"), "can be 1234 or 1.234"),
    "one separator, and plain ones": (("7", "1,234"), "'1,234', which can be 1234 or 1.234"),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "message"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_unclear_is_asked(cells, message):
    found = kind_of(*cells)
    assert found.kind == "unclear"
    assert message in found.detail


CLEAR = {
    "losses of accounts": (("(12.50)", "3.00", "(1,234.50)"), "number"),
    "losses in dollars": (("$1.50", "($2.00)"), "number"),
    "degrees": (("1.5°C", "-2.5°C"), "number"),
    "seats": (("12A", "12B", "3C"), "category"),
    "versions": (("1.2.3", "1.2.4"), "category"),
    "decimal commas after zeros": (("0,571", "1,234"), "number"),
    "integers at the limit": (("9007199254740992", "5"), "number"),
    "integers beyond it": (("9007199254740993", "9007199254740992"), "category"),
    "days of a year of two digits": (("10-Mar-24", "11-Mar-24"), "date"),
    "times with AM and PM": (("12/31/2024 5:30 PM", "01/13/2024 1:05 AM"), "date"),
    "days in Chinese": (("2015年4月25日", "2016年12月1日"), "date"),
}


@pytest.mark.parametrize(("cells", "kind"), CLEAR.values(), ids=CLEAR)
def test_what_is_clear_is_read(cells, kind):
    assert kind_of(*cells).kind == kind


def test_an_option_that_contradicts_the_cells_is_an_error():
    table = Table("t.csv", {"rent": ["892,49 EUR", "1014,97 EUR"] * 20, "y": ["a", "b"] * 20})
    found = find_features(table, Options(decimal="."), ("y",))
    assert found["rent"].kind == "unclear"
    assert '--decimal "." does not read' in found["rent"].detail
    assert find_features(table, Options(), ("y",))["rent"].kind == "number"


# ---------------------------------------------------------------- one answer everywhere

Y = ["p", "n", "n", "p"] * 15


def test_codes_with_gaps_are_codes(tmp_path):
    """1 becomes 1.0 where a library has no missing integers."""
    codes = [1, 2, 3, 4] * 15
    model = fastmlp.Model(target="y", categorical="c", epochs=3).fit(
        {"c": [str(code) for code in codes], "y": Y}, verbose=0
    )
    expected = model.predict_proba({"c": [str(code) for code in codes]})
    floats = pl.DataFrame({"c": [float(code) for code in codes]})
    floats.write_csv(tmp_path / "t.csv")
    floats.write_ndjson(tmp_path / "t.jsonl")
    for source in (floats, tmp_path / "t.csv", tmp_path / "t.jsonl", {"c": codes}):
        assert np.array_equal(model.predict_proba(source), expected)
    apart = fastmlp.Model(target="y", categorical="c", epochs=3)
    apart.fit({"c": ["1", "1.0", "2", "2.0"] * 15, "y": Y}, verbose=0)
    assert apart.preprocessing.columns[0].categories == ("1", "1.0", "2", "2.0")


def test_float32_is_its_shortest_text(tmp_path):
    values = np.random.default_rng(3).standard_normal(60).astype(np.float32)
    frame = pl.DataFrame({"x": values})
    frame.write_csv(tmp_path / "t.csv")
    model = fastmlp.Model(target="y", epochs=3).fit({"x": values, "y": Y}, verbose=0)
    assert np.array_equal(model.predict_proba(frame), model.predict_proba(tmp_path / "t.csv"))


def test_numbers_of_json_have_points(tmp_path):
    """A file of decimal commas decides how texts are read, not what a number of JSON is."""
    cells = [f"{i / 7:.3f}".replace(".", ",") for i in range(60)]
    model = fastmlp.Model(target="y", epochs=3).fit({"x": cells, "y": Y}, verbose=0)
    (tmp_path / "t.jsonl").write_text('{"x": 1.234}\n{"x": "1,234"}\n{"x": 2.0}\n{"x": "1.234"}\n')
    given = model.predict_proba(tmp_path / "t.jsonl")
    assert np.array_equal(given[0], given[1])
    alone = [model.predict_proba([{"x": value}])[0] for value in (1.234, "1,234", 2, "1.234")]
    assert np.array_equal(given, alone)
    rows = [{"x": value} for value in (1.234, "1,234", 2, "1.234")]
    assert np.array_equal(given, model.predict_proba(rows))


def test_weights_are_written_like_other_numbers(tmp_path):
    rows = [f"{i};{['0,5', '2,25'][i % 2]};{Y[i]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("a;w;y\n" + "\n".join(rows) + "\n")
    model = fastmlp.Model(target="y", sample_weight="w", epochs=1)
    model.fit(tmp_path / "t.csv", verbose=0)
    assert model.evaluate(tmp_path / "t.csv").confusion.sum() == 30 * 2.75


def test_truth_values_keep_their_names():
    model = fastmlp.Model(target="y", architecture="mlp", epochs=1)
    model.fit({"b": ["yes", "No"] * 30, "y": Y}, verbose=0)
    assert model.preprocessing.feature_names == ("b=No", "b=yes")
    given = model.predict_proba({"b": ["YES", "true", "1", "1.0", "t"]})
    assert (given == given[0]).all()


def test_a_separator_and_an_encoding_of_the_training_are_known_later(tmp_path):
    rows = [f"{i}^{['Grün', 'Blau'][i % 2]}^{Y[i]}" for i in range(60)]
    text = "a^b^y\n" + "\n".join(rows) + "\n"
    (tmp_path / "t.csv").write_bytes(text.encode("cp850"))
    model = fastmlp.Model(target="y", separator="^", encoding="cp850", epochs=1)
    model.fit(tmp_path / "t.csv", verbose=0)
    loaded = tmp_path / "m.safetensors"
    model.save(loaded)
    for known in (model, fastmlp.load(loaded)):
        assert len(known.predict(tmp_path / "t.csv")) == 60
    (tmp_path / "one.csv").write_bytes("a^b\n1^Grün\n".encode("cp850"))
    answers = model.predictions(tmp_path / "one.csv", unknown_categories="error")
    assert answers.problems is None
