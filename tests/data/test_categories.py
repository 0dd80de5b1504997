"""Categories that the training part does not hold: refused, or ignored and counted."""

import dataclasses
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import FormatError
from fastmlp.data import Options, Part, prepare, read_samples
from support.cli_process import run
from support.preprocessing_examples import source, table, text
from support.serving_models import read_csv

WAY_OUT = "unknown categories pass with --unknown-categories ignore"


def addresses(rows=60):
    """A size that numbers the rows, and two columns of text in which many values are rare."""
    numbered = np.random.Generator(np.random.PCG64(1)).integers(0, rows // 2, (2, rows))
    street, city = (text(*(f"{i:02}" for i in column)) for column in numbered)
    return table(size=np.arange(float(rows)), street=street, city=city, label=text(*"xyz" * 20))


def test_the_split_may_keep_categories_from_training():
    raw = addresses()
    options = Options(standardize=False, validation_fraction=0.2)
    prepared = prepare(source(raw), options)
    train = prepared.train.x[:, 0].astype(int)
    columns = [raw.columns[name].to_numpy().astype(str) for name in ("street", "city")]
    known = [sorted(set(column[train])) for column in columns]
    affected, shares = {}, {}
    for name in ("train", "validation", "test"):
        x = getattr(prepared, name).x
        rows = x[:, 0].astype(int)
        one_hot = [
            column[rows, None] == names for column, names in zip(columns, known, strict=True)
        ]
        np.testing.assert_array_equal(x[:, 1:], np.hstack(one_hot))
        complete = np.logical_and(*(block.any(axis=1) for block in one_hot))
        affected[name] = int((~complete).sum())
        shares[name] = f"{affected[name]} of {len(rows)} {name} samples"
    assert affected["train"] == 0
    assert affected["validation"]
    assert affected["test"]
    expected = f"unknown categories: in {shares['validation']}, {shares['test']}"
    assert prepared.notes[-1] == expected

    refused = affected["validation"] + affected["test"]
    with pytest.raises(FormatError, match=WAY_OUT) as error:
        prepare(source(raw), dataclasses.replace(options, unknown_categories="error"))
    first, *places = str(error.value).splitlines()
    values = int(re.search(r"(\d+) values cannot be used", first)[1])
    assert refused <= values <= 2 * refused  # a row may have two of them
    line = r"  line \d+, column '(street|city)': '\d\d' does not occur in the training part, .*"
    assert all(re.fullmatch(line, place) for place in places[:10])
    assert len(places) == values <= 10


@pytest.mark.parametrize(
    ("colors", "sizes", "note"),
    [
        (("red", "blue", "red"), ("S", "L", "L"), None),
        (("red", "violet", "blue"), ("S", "XL", "L"), "1 of 3 test samples"),
        (("red", "violet", "blue"), ("S", "L", "XL"), "2 of 3 test samples"),
    ],
)
def test_a_test_part_of_its_own_may_have_more_categories(colors, sizes, note):
    train = table(color=text("red", "blue", "red"), size=text(*"SLL"), label=text(*"xyx"))
    test = table(color=text(*colors), size=text(*sizes), label=text(*"xyx"))
    prepared = prepare(source(train, test=Part(test)), Options(standardize=False))
    expected = [
        [color == "blue", color == "red", size == "L", size == "S"]
        for color, size in zip(colors, sizes, strict=True)
    ]
    np.testing.assert_array_equal(prepared.test.x, expected)
    notes = [line for line in prepared.notes if line.startswith("unknown categories")]
    assert notes == ([f"unknown categories: in {note}"] if note else [])


PEOPLE = "age,city,bought\n" + "31,Rom,yes\n45,Ulm,no\n29,Rom,yes\n52,Ulm,no\n" * 4
LATER = "age,city,bought\n30,Linz,yes\n50,Ulm,no\n"


@pytest.fixture
def people(tmp_path):
    pytest.importorskip("polars")
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "later.csv").write_text(LATER)
    return tmp_path


def train(directory, *settings):
    common = (
        "--target", "bought", "--test", "later.csv", "--architecture", "mlp", "--epochs", 1,
        "--no-report",
    )  # fmt: skip
    return run("train", "people.csv", *common, *settings, cwd=directory)


def test_unknown_categories_are_ignored_and_counted(people):
    done = train(people)
    assert done.returncode == 0, done.stderr
    assert "unknown categories: in 1 of 2 test samples" in done.stderr
    (run_directory,) = (people / "runs").iterdir()
    preprocessing = fastmlp.MLP.load(run_directory / "last.safetensors").preprocessing
    x = preprocessing.inputs(read_samples(people / "later.csv"))
    encoded = x * preprocessing.input_scale + preprocessing.input_mean
    np.testing.assert_allclose(encoded, [[30, 0, 0], [50, 0, 1]], atol=1e-12)


def test_a_model_remembers_that_unknown_categories_are_errors(people):
    (people / "later.csv").write_text(LATER.replace("Linz", "Rom"))
    done = train(people, "--unknown-categories", "error")
    assert done.returncode == 0, done.stderr
    (people / "later.csv").write_text(LATER)
    asked = run("predict", "1", "later.csv", cwd=people)
    assert asked.returncode == 0
    rows = read_csv(asked.stdout)
    assert "column 'city': 'Linz' does not occur in the training part" in rows[0]["problem"]
    assert rows[0]["prediction"] == rows[1]["problem"] == ""
    passed = run("predict", "1", "later.csv", "--unknown-categories", "ignore", cwd=people)
    assert "problem" not in passed.stdout
    assert read_csv(passed.stdout)[1] == {"prediction": rows[1]["prediction"]}


def test_the_command_names_the_row(people):
    done = train(people, "--unknown-categories", "error")
    assert done.returncode == 3
    assert "later.csv: line 2, column 'city': 'Linz' does not occur" in done.stderr
