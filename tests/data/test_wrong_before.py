"""What tables gave wrong answers for, each with the answer that is right."""

import json
import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.data import NumberColumn, Options, prepare, read
from support.cli_process import TIMEOUT, command, environment
from support.preprocessing_examples import source, table
from support.random_tables import delimited, dicts_of
from support.serving_models import read_csv

polars = pytest.importorskip("polars")


def random_of(seed):
    return np.random.Generator(np.random.PCG64(seed))


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, columns):
    path.write_bytes(delimited(columns).encode())
    return path


def trained(data, **settings):
    return fastmlp.Model(**({"hidden": [8], "test_fraction": 0.0} | settings)).fit(data, verbose=0)


def command_line(*args):
    """Run a command in this process; it must succeed."""
    assert main([*map(str, args)]) == 0


def printed(capsys, *args):
    command_line(*args, "--json")
    return json.loads(capsys.readouterr().out)


# ---------------------------------------------------------------- the other rows of the file


def parts(rows=200):
    """Whether a part is good depends on its number alone, and 0042 is not 42."""
    part = random_of(0).choice(["0042", "42", "K7", "M9", "Q1"], rows).tolist()
    good = ["yes" if p in ("0042", "K7") else "no" for p in part]
    return {"part": part, "class": good}


def test_the_other_rows_of_a_file_do_not_matter(work, capsys):
    write(work / "parts.csv", parts())
    command_line("train", "parts.csv", "--epochs", 40, "--no-report", "-q", "--lr", 0.05)
    capsys.readouterr()
    answers = {}
    for rows in (("0042",), ("42",), ("0042", "42"), ("0042", "K7"), ("42", "7"), ("K7", "0042")):
        write(work / "new.csv", {"part": list(rows)})
        found = printed(capsys, "predict", "1", "new.csv", "-p")["rows"]
        for part, row in zip(rows, found, strict=True):
            answers.setdefault(part, []).append(row)
    for part, found in answers.items():
        assert all(row == found[0] for row in found), part
    assert answers["0042"][0]["prediction"] == answers["K7"][0]["prediction"] == "yes"
    assert answers["42"][0]["prediction"] == "no"


@pytest.mark.parametrize(
    "names",
    [
        ("1e3", "1000", "a0f"),
        ("True", "False", "Unsure"),
        ("1", "1.0", "one"),
        ("NA", "DE", "null"),
        (" lead", "lead", "Lead"),
        ("2024-01-31", "2024-1-31", "never"),
    ],
)
def test_each_name_is_a_category_of_its_own_whatever_is_beside_it(names, work):
    cells = random_of(1).choice(names, 150).tolist()
    model = trained({"x": cells, "y": [names.index(c) for c in cells]}, epochs=60, lr=0.05)
    (column,) = model.preprocessing.columns
    assert set(column.categories) == set(names)
    for name in names:
        alone = model.predictions([{"x": name}], probabilities=True)
        assert alone.columns["prediction"].tolist() == [str(names.index(name))]
        write(work / "alone.csv", {"x": [name]})
        from_file = model.predictions(work / "alone.csv", probabilities=True)
        for key, shares in alone.probabilities.items():
            assert from_file.probabilities[key].tolist() == shares.tolist()


def test_classes_are_what_they_are_in_a_file_of_one_class(work, capsys):
    """A later file of the classes 1 and 2 alone once held numbers, one of x alone once text."""
    x = random_of(2).normal(size=300)
    label = np.where(x < -0.4, "01", np.where(x < 0.4, "1", "x")).tolist()
    write(work / "all.csv", {"x": x.round(3).tolist(), "label": label})
    command_line("train", "all.csv", "--epochs", 60, "--no-report", "-q", "--lr", 0.02)
    capsys.readouterr()
    whole = printed(capsys, "evaluate", "1", "all.csv", "-q")
    assert whole["accuracy"] > 0.9
    right = 0
    for name in ("01", "1", "x"):
        rows = [i for i, cell in enumerate(label) if cell == name]
        write(work / "one.csv", {"x": x[rows].round(3).tolist(), "label": [name] * len(rows)})
        found = printed(capsys, "evaluate", "1", "one.csv", "-q")
        right += found["accuracy"] * len(rows)
        matrix = np.array(found["confusion_matrix"])
        assert matrix.sum(axis=1).tolist() == [len(rows) * (n == name) for n in ("01", "1", "x")]
    assert right / 300 == pytest.approx(whole["accuracy"], abs=1e-12)


def test_a_model_of_typed_columns_answers_for_a_text_file(work):
    random = random_of(3)
    columns = {
        "code": random.choice([7, 30, 1000], 200).tolist(),
        "flag": random.choice([True, False], 200).tolist(),
        "name": random.choice(["0042", "42", "True"], 200).tolist(),
    }
    columns["y"] = [c + 50 * f for c, f in zip(columns["code"], columns["flag"], strict=True)]
    polars.DataFrame(columns).write_parquet(work / "t.parquet")
    model = trained(work / "t.parquet", epochs=3, categorical="code", task="regression")
    write(work / "t.csv", columns)
    (work / "upper.csv").write_text((work / "t.csv").read_text().replace("False", "FALSE"))
    expected = model.predict(work / "t.parquet").tolist()
    assert len(set(expected)) > 6
    for name in ("t.csv", "upper.csv"):
        assert model.predict(work / name).tolist() == expected, name
    x = {name: cells for name, cells in columns.items() if name != "y"}
    assert [float(model.predict([row])[0]) for row in dicts_of(x)] == expected


@pytest.mark.parametrize(("others", "count"), [(0, 400), (4000, 4000)])
def test_a_long_file_is_read_as_a_short_one(others, count, work):
    """Readers keep columns of many numbers as float64; what tells them apart must not be lost."""
    random = random_of(4)
    group = [f"{i // 1000}.{i % 1000:03}" for i in random.integers(1000, 999_999, count)]
    comma = [f"{v:.2f}".replace(".", ",") for v in random.normal(0, 9, count)]
    columns = {"a": group, "b": comma, "y": (np.arange(count) % 2).tolist()}
    write(work / "t.csv", columns)
    with pytest.raises(ValueError, match=r"column 'a' writes numbers such as .* --decimal"):
        trained(work / "t.csv", epochs=1)
    model = trained(work / "t.csv", epochs=1, decimal=",")
    assert model.preprocessing.columns[0].fill > 1000
    point = trained(work / "t.csv", epochs=1, numeric="a")
    assert point.preprocessing.columns[0].fill < 1000
    for one in (model, point):
        whole = one.predictions(work / "t.csv", probabilities=True).probabilities["p(1)"]
        write(work / "one.csv", {name: cells[:1] for name, cells in columns.items()})
        alone = one.predictions(work / "one.csv", probabilities=True).probabilities["p(1)"]
        assert alone[0] == whole[0]


def test_a_test_part_of_its_own_is_read_by_the_schema(work, capsys):
    """Of itself a long file of 1e3, 1000 and many other numbers holds numbers."""
    names = ("1e3", "1000", "a0f")
    code = random_of(14).choice(names, 300).tolist()
    write(work / "t.csv", {"code": code, "y": [str(names.index(c)) for c in code]})
    others = [*["1e3", "1000"] * 500, *map(str, range(2000, 4000))]
    known = {"1e3": "0", "1000": "1"}
    write(work / "test.csv", {"code": others, "y": [known.get(c, "2") for c in others]})
    command_line("train", "t.csv", "--test", "test.csv", "--epochs", 30, "--lr", 0.05, "-q",
                 "--no-report", "--validation-fraction", 0.1)  # fmt: skip
    capsys.readouterr()
    result = json.loads((work / "runs/001-t/result.json").read_text())["test"]
    matrix = np.array(result["confusion_matrix"])
    assert matrix[:2].tolist() == [[500, 0, 0], [0, 500, 0]]
    found = printed(capsys, "evaluate", "1", "-q")
    assert found["confusion_matrix"] == result["confusion_matrix"]
    settings = {"hidden": [8], "epochs": 1}
    fit = fastmlp.Model(**settings).fit(work / "t.csv", test=work / "test.csv", verbose=0)
    frame = polars.read_csv(work / "test.csv", infer_schema=False)
    again = fastmlp.Model(**settings).fit(work / "t.csv", test=frame, verbose=0)
    assert fit.history.val_accuracy == again.history.val_accuracy


@pytest.mark.parametrize("count", [300, 4000])
def test_a_number_that_stands_for_a_missing_value_does_so_in_every_file(count, work):
    random = random_of(5)
    values = random.normal(9, 1, count).round(4).tolist()
    values[::5] = [-999] * (count // 5)
    columns = {"a": values, "y": (np.arange(count) % 2).tolist()}
    polars.DataFrame(columns, strict=False).write_parquet(work / "t.parquet")
    write(work / "t.csv", columns)
    for name in ("t.csv", "t.parquet"):
        model = trained(work / name, epochs=1, missing_token="-999")
        (column,) = model.preprocessing.columns
        assert column.indicator
        assert column.fill > 8
        assert model.preprocessing.input_mean[0] > 8
        for other in ("t.csv", "t.parquet"):
            x = model.inputs(work / other) * model.preprocessing.input_scale
            x += model.preprocessing.input_mean
            np.testing.assert_allclose(x[::5], [[column.fill, 1]] * len(x[::5]), rtol=1e-12)
        alone = [model.inputs([{"a": cell}]) for cell in ("-999", "-999.0", -999, None)]
        for inputs in alone[1:]:
            np.testing.assert_array_equal(inputs, alone[0])


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels", [("01", "1"), ("007", "7"), ("True", "False"), ("1.0", "2.0"), ("1e3", "1000")]
)
def test_labels_are_neither_changed_nor_merged(labels, work, capsys):
    x = random_of(6).normal(size=200).round(3)
    label = np.where(x < 0, *labels).tolist()
    write(work / "t.csv", {"x": x.tolist(), "label": label})
    command_line("train", "t.csv", "--epochs", 40, "--no-report", "-q", "--lr", 0.05)
    capsys.readouterr()
    rows = printed(capsys, "predict", "1", "t.csv")["rows"]
    assert {row["prediction"] for row in rows} == set(labels)
    shares = np.mean([row["prediction"] == cell for row, cell in zip(rows, label, strict=True)])
    assert shares > 0.95
    found = printed(capsys, "evaluate", "1", "t.csv", "-q")
    assert found["accuracy"] == pytest.approx(shares, abs=1e-12)
    assert {row["class"] for row in found["per_class"]} == set(labels)
    assert set(fastmlp.load("runs/001-t").predict({"x": [-9.0, 9.0]})) == set(labels)


@pytest.mark.parametrize("labels", [(1, 2), (0.5, 1.5), (True, False), (-1, 1), ("1", "01")])
def test_labels_of_frames_keep_their_type(labels):
    x = random_of(7).normal(size=200)
    label = [labels[int(v > 0)] for v in x]
    settings = {} if not isinstance(labels[0], float) else {"categorical": "label"}
    plain = {"architecture": "mlp", "epochs": 40, "lr": 0.05}
    model = trained({"x": x, "label": label}, **plain, **settings)
    predicted = model.predict({"x": x}).tolist()
    assert {(type(p), p) for p in predicted} == {(type(one), one) for one in labels}
    assert model.evaluate({"x": x, "label": label}).accuracy > 0.95


# ---------------------------------------------------------------- quantities


QUANTITIES = {
    "1.234,56": ("1.234,56", "0,5", "12.345.678,9", "-3,25"),
    "1,234.56": ("1,234.56", "0.5", "12,345,678.9", "-3.25"),
    "1 234,56": ("1\u202f234,56", "0,5", "12\u00a0345 678,9", "-3,25"),
    "1'234.56": ("1'234.56", "0.5", "12\u2019345'678.9", "-3.25"),
    "$12.50": ("$1,234.56", "$0.5", "$12,345,678.9", "-$3.25"),
    "12.5%": ("1234.56%", "0.5%", "12345678.9%", "-3.25%"),
    "12,5 %": ("1234,56 %", "0,5 %", "12345678,9 %", "-3,25 %"),
    "12 €": ("1.234,56 €", "0,5 €", "12.345.678,9 €", "-3,25 €"),
    "EUR 12": ("EUR 1,234.56", "EUR 0.5", "EUR 12,345,678.9", "EUR -3.25"),
}
VALUES = (1234.56, 0.5, 12345678.9, -3.25)


@pytest.mark.parametrize("texts", QUANTITIES.values(), ids=QUANTITIES)
def test_quantities_are_numbers_not_names(texts):
    cells = [texts[i % 4] for i in range(40)]
    numbers = [VALUES[i % 4] for i in range(40)]
    as_feature = prepare(
        source(table(a=cells, y=["p", "q"] * 20)), Options(standardize=False, test_fraction=0.0)
    ).preprocessing
    assert isinstance(as_feature.columns[0], NumberColumn)
    rows = table(a=list(texts))
    np.testing.assert_allclose(as_feature.inputs(rows)[:, 0], VALUES, rtol=1e-15)
    as_target = prepare(
        source(table(a=[float(i) for i in range(40)], y=cells)),
        Options(standardize_target=False, test_fraction=0.0, validation_fraction=0.0),
    )
    assert as_target.task == "regression"
    np.testing.assert_allclose(as_target.train.y[:, 0], numbers, rtol=1e-15)


@pytest.mark.parametrize(
    ("texts", "option"),
    [
        (("1,234", "5,678", "12,345"), "--decimal"),
        (("$1,234", "$5,678", "$12,345"), "--decimal"),
        (("01/02/2024", "03/04/2024", "11/12/2024"), "--date"),
        (("$1", "€2", "$3"), "--exclude"),
    ],
)
def test_what_can_be_read_in_two_ways_is_an_error_that_shows_the_option(texts, option):
    raw = source(table(a=[texts[i % 3] for i in range(30)], b=np.arange(30.0), y=["p", "q"] * 15))
    with pytest.raises(ValueError, match=f"people.csv: column 'a' .*{option}"):
        prepare(raw, Options())


def test_the_options_decide():
    raw = source(table(a=["1,234", "5,678"] * 15, y=["p", "q"] * 15))
    whole = {"standardize": False, "test_fraction": 0.0, "validation_fraction": 0.0}
    comma = prepare(raw, Options(decimal=",", **whole)).train.x[:2, 0]
    point = prepare(raw, Options(decimal=".", **whole)).train.x[:2, 0]
    assert (comma.tolist(), point.tolist()) == ([1.234, 5.678], [1234.0, 5678.0])
    raw = source(table(a=["01/02/2024", "03/04/2024"] * 15, y=["p", "q"] * 15))
    dates = ("a=%m/%d/%Y",), ("a=%d/%m/%Y",)
    january, february = (prepare(raw, Options(date=d, **whole)).train.x[0, 0] for d in dates)
    assert february - january == 30  # from 2 January to 1 February


# ---------------------------------------------------------------- weights


def mislabeled(rows=600):
    """Two classes; half of the rows have the wrong label and weight 0."""
    random = random_of(8)
    x, z = random.normal(size=(2, rows))
    good = np.arange(rows) % 2 == 0
    right = np.where(x + z > 0, "yes", "no")
    label = np.where(good, right, np.where(right == "yes", "no", "yes"))
    weight = np.where(good, 1.0, 0.0)
    columns = {"x": x, "z": z, "w": weight, "label": label, "right": right}
    return {name: cells.tolist() for name, cells in columns.items()}


def test_weights_choose_the_epoch_and_count_in_every_measure(work, capsys):
    columns = mislabeled()
    right = columns.pop("right")
    write(work / "t.csv", columns)
    command_line(
        "train", "t.csv", "--target", "label", "--sample-weight", "w", "--architecture", "mlp",
        "--epochs", 40, "--no-report", "-q", "--lr", 0.02,
    )  # fmt: skip
    capsys.readouterr()
    model = fastmlp.load("runs/001-t")
    predicted = model.predict(columns)
    assert np.mean([p == r for p, r in zip(predicted, right, strict=True)]) >= 0.97
    # The validation, by which the epoch was chosen, has weights: few of the wrong labels count.
    history = model.history
    assert max(history.val_accuracy) >= 0.95
    result = json.loads((work / "runs/001-t/result.json").read_text())
    assert result["test"]["accuracy"] >= 0.95
    assert result["test"]["macro_f1"] >= 0.95
    matrix = np.array(result["test"]["confusion_matrix"])
    assert matrix.trace() / matrix.sum() == pytest.approx(result["test"]["accuracy"], abs=1e-12)
    # Weights are read from a file, too, and a file without them says so.
    found = printed(capsys, "evaluate", "1", "t.csv", "-q")
    assert found["accuracy"] >= 0.97
    assert np.array(found["confusion_matrix"]).sum() == pytest.approx(300)
    write(work / "bare.csv", {name: columns[name] for name in ("x", "z", "label")})
    command_line("evaluate", "1", "bare.csv", "--json")
    captured = capsys.readouterr()
    assert 0.4 < json.loads(captured.out)["accuracy"] < 0.6
    assert "has no column 'w' with weights; all samples count alike" in captured.err
    # In Python it is the same.
    assert model.evaluate(work / "t.csv").accuracy == found["accuracy"]
    assert model.evaluate(columns).accuracy == found["accuracy"]


def test_weights_count_in_the_measures_of_a_regression(work, capsys):
    random = random_of(9)
    x = random.normal(size=400)
    good = np.arange(400) % 2 == 0
    columns = {"x": x, "w": np.where(good, 2.0, 0.0), "price": np.where(good, 3 * x + 1, 50.0)}
    columns = {name: cells.tolist() for name, cells in columns.items()}
    write(work / "t.csv", columns)
    command_line(
        "train", "t.csv", "--target", "price", "--sample-weight", "w", "--architecture", "mlp",
        "--epochs", 60, "--no-report", "-q", "--lr", 0.02,
    )  # fmt: skip
    capsys.readouterr()
    found = printed(capsys, "evaluate", "1", "t.csv", "-q")
    assert found["r2"] > 0.97
    assert json.loads((work / "runs/001-t/result.json").read_text())["test"]["r2"] > 0.9
    model = fastmlp.load("runs/001-t")
    residual = (model.predict(columns) - columns["price"])[good]
    assert found["mae"] == pytest.approx(np.abs(residual).mean(), rel=1e-9)


# ---------------------------------------------------------------- indices, headers, frames


def test_the_index_that_pandas_writes_is_no_feature(work):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(90.0) % 7, "y": ["p", "q", "q"] * 30})
    shuffled = frame.sample(frac=1, random_state=1)
    shuffled.to_parquet(work / "t.parquet")
    assert "__index_level_0__" in polars.read_parquet(work / "t.parquet").columns
    prepared = prepare(read("t.parquet"), Options())
    assert prepared.preprocessing.feature_names == ("a",)
    assert ("__index_level_0__", "is the index of the rows") in prepared.preprocessing.left_out
    model = trained(work / "t.parquet", epochs=2)
    assert model.predict(shuffled).tolist() == model.predict(work / "t.parquet").tolist()


def test_a_column_of_the_name_of_a_pandas_index_is_no_feature(work):
    columns = {"a": np.arange(30) % 7, "__index_level_0__": np.arange(30), "y": ["p", "q"] * 15}
    polars.DataFrame(columns).write_parquet(work / "t.parquet")
    assert prepare(read("t.parquet"), Options()).preprocessing.feature_names == ("a",)


def test_a_file_without_a_header_keeps_its_first_row(work, capsys):
    x = random_of(10).normal(size=60).round(3).tolist()
    lines = "".join(f"{v},{i % 9},{int(v > 0)}\n" for i, v in enumerate(x))
    (work / "bare.csv").write_text(lines)
    raw = read("bare.csv")
    assert (len(raw.train.x), raw.train.x.header) == (60, False)
    assert list(raw.train.x.columns) == ["column_1", "column_2", "column_3"]
    command_line("train", "bare.csv", "--target", "column_3", "--epochs", 20, "--no-report", "-q")
    capsys.readouterr()
    rows = printed(capsys, "predict", "1", "bare.csv", "-p")["rows"]
    assert len(rows) == 60
    (work / "one.csv").write_text(lines.splitlines()[7] + "\n")
    assert printed(capsys, "predict", "1", "one.csv", "-p")["rows"] == [rows[7]]
    found = printed(capsys, "evaluate", "1", "bare.csv", "-q")
    assert found["samples"] == 60


def test_words_are_rows_where_there_is_said_to_be_no_header(work, capsys):
    lines = "red,oak\nblue,elm\n" * 20
    (work / "bare.csv").write_text(lines)
    assert len(read("bare.csv").train.x) == 39  # words above words look like names
    command_line(
        "train", "bare.csv", "--no-header", "--target", "column_2", "--epochs", 30, "--no-report",
        "-q", "--lr", 0.1,
    )  # fmt: skip
    capsys.readouterr()
    rows = printed(capsys, "predict", "1", "bare.csv")["rows"]
    assert [row["prediction"] for row in rows] == ["oak", "elm"] * 20


def test_a_run_in_python_answers_as_on_the_command_line(work, capsys):
    random = random_of(11)
    columns = {
        "size": [f"{v:,.2f} €" for v in random.uniform(1000, 99999, 90)],
        "town": random.choice(["0042", "42", "NA"], 90).tolist(),
        "sold": [f"{d:02}.{m:02}.2024" for d, m in random.integers((1, 1), (28, 13), (90, 2))],
        "gap": random.choice(["1.5", "2", "", "NA"], 90).tolist(),
    }
    write(work / "t.csv", columns | {"y": random.choice(["yes", "no"], 90).tolist()})
    command_line("train", "t.csv", "--epochs", 3, "--no-report", "-q")
    capsys.readouterr()
    rows = printed(capsys, "predict", "1", "t.csv", "-p")["rows"]
    model = fastmlp.load("runs/001-t")
    assert isinstance(model, fastmlp.Model)
    frame = polars.DataFrame(columns)
    assert model.predict(frame).tolist() == [row["prediction"] for row in rows]
    shares = model.predict_proba(frame)
    for j, name in enumerate(model.class_names):
        assert shares[:, j].tolist() == [float(np.float32(row[f"p({name})"])) for row in rows]
    done = subprocess.run(
        command("predict", "1"), cwd=work, env=environment(), timeout=TIMEOUT, check=True,
        input=delimited(columns).encode(), capture_output=True,
    )  # fmt: skip
    found = [row["prediction"] for row in read_csv(done.stdout.decode())]
    assert found == [row["prediction"] for row in rows]
    assert isinstance(fastmlp.MLP.load("runs/001-t/best.safetensors"), fastmlp.MLP)


@pytest.mark.parametrize("library", ["polars", "pandas", "pyarrow"])
def test_a_network_finds_the_columns_of_a_frame_by_name(library):
    pytest.importorskip(library)
    random = random_of(12)
    x = random.normal(size=(80, 3))
    x[:, 1] *= 100
    frame = polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})

    def made(names):
        ordered = frame.select(names)
        if library == "polars":
            return ordered
        return ordered.to_arrow() if library == "pyarrow" else ordered.to_pandas()

    model = fastmlp.MLP([3, 4, 2], seed=1)
    model.fit(made(["a", "b", "c"]), (x[:, 0] > 0).astype(int), epochs=2, verbose=0)
    expected = model.predict_proba(x)
    for names in (["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]):
        np.testing.assert_array_equal(model.predict_proba(made(names)), expected)
    with pytest.raises(ValueError, match="x must have the 3 columns of the training.*lacks 'b'"):
        model.predict(made(["a", "c"]))
    wider = frame.with_columns(d=polars.lit(1.0))
    with pytest.raises(ValueError, match="x must have the 3 columns of the training.*'d'"):
        model.predict(wider)
    renamed = frame.rename({"b": "B"})
    with pytest.raises(ValueError, match="x must have the 3 columns of the training.*lacks 'b'"):
        model.predict(renamed)


# ---------------------------------------------------------------- the task


def counted(labels, rows=200):
    return [labels[i % len(labels)] for i in range(rows)]


@pytest.mark.parametrize("form", ["csv", "parquet", "npz", "frame"])
@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([*[0, 1] * 100, 2], "classification"),  # one row of class 2
        (counted(range(20)), "classification"),
        (counted(range(21)), "regression"),
        (list(range(200)), "regression"),
        ([0.5, 1.5] * 100, "regression"),
        (["a", "b"] * 100, "classification"),
    ],
    ids=["one of a class", "20 integers", "21 integers", "counts", "fractions", "names"],
)
def test_the_task_is_the_same_for_every_kind_of_file(labels, task, form, work):
    x = random_of(13).normal(size=len(labels))
    columns = {"x": x.tolist(), "y": list(labels)}
    raw = {
        "csv": lambda: read(str(write(work / "t.csv", columns))),
        "parquet": lambda: read(parquet(work / "t.parquet", columns)),
        "npz": lambda: read(npz(work / "t.npz", x.reshape(-1, 1), labels)),
        "frame": lambda: source(table(**columns)),
    }[form]()
    prepared = prepare(raw, Options())
    assert prepared.task == task
    note = next(note for note in prepared.notes if note.startswith("task:"))
    assert note.startswith(f"task: {task}")
    if task == "classification":
        assert set(prepared.preprocessing.class_names) == set(map(str, labels))
    elif all(isinstance(label, int) for label in labels):
        count = len(set(labels))
        assert f"{count} different whole numbers; up to 20 would be classes" in note
        assert "--task classification" in note
    if isinstance(labels[0], int):
        other = "regression" if task == "classification" else "classification"
        if len(set(labels)) < 200:
            assert prepare(raw, Options(task=other)).task == other


def parquet(path, columns):
    polars.DataFrame(columns).write_parquet(path)
    return str(path)


def npz(path, x, y):
    np.savez(path, x=x, y=np.array(y))
    return str(path)
