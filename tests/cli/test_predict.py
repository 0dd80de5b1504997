"""`fastmlp predict`: files and pipes in, files and pipes out, answers that are those of the API."""

from __future__ import annotations

import gzip
import json
import os
import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.data import read_samples
from fastmlp.datasets.idx import build_idx
from support.cli_process import TIMEOUT, command, environment, run
from support.serving_models import HOSTILE, SAMPLES, models, read_csv, table, train, write_csv

pytest.importorskip("polars")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Models and samples in files, and a run in runs/."""
    path = tmp_path_factory.mktemp("predict")
    for name, model in models().items():
        model.save(path / f"{name}.safetensors")
    write_csv(path / "t.csv", table())
    flowers = {name: table()[name] for name in ("b", "a", "color")}
    flowers["species"] = [("elm", "oak")[sweet] for sweet in table()["sweet"]]
    write_csv(path / "flowers.csv", flowers)
    train(path, "flowers.csv", "--target", "species", "--epochs", 3)
    return path


@pytest.fixture
def ask(work, monkeypatch, capsysbinary):
    """A function that gives the standard output of a prediction, which must succeed."""
    monkeypatch.chdir(work)

    def answers(*args):
        code = main(["predict", *map(str, args)])
        captured = capsysbinary.readouterr()
        assert (code, captured.err) == (0, b"")
        return captured.out.decode()

    return answers


def api(work, model="runs/001-flowers/best.safetensors", samples="t.csv"):
    """A model, and what it takes."""
    network = fastmlp.MLP.load(work / model)
    return network, network.preprocessing.inputs(read_samples(work / samples))


def shortest(values):
    """Every float32 as NumPy shows it: the shortest decimal that gives it back."""
    assert values.dtype == np.float32
    return [str(value) for value in values]


# ---------------------------------------------------------------- answers


def test_answers_and_probabilities_of_a_run_are_those_of_the_api(work, ask):
    done = run("predict", "runs/001-flowers", "t.csv", "--probabilities", cwd=work)
    assert (done.returncode, done.stderr) == (0, "")
    rows = read_csv(done.stdout)
    model, x = api(work)
    names = model.preprocessing.class_names
    assert list(rows[0]) == ["prediction", *(f"p({name})" for name in names)]
    assert [row["prediction"] for row in rows] == [names[i] for i in model.predict(x)]
    for name, values in zip(names, model.predict_proba(x).T, strict=True):
        assert [row[f"p({name})"] for row in rows] == shortest(values)
    assert len(rows) == SAMPLES
    # The number of the run is another name of it.
    assert read_csv(ask("1", "t.csv", "-p", "--threads", "1")) == rows


def test_columns_are_found_by_name(work, ask, tmp_path):
    columns = {name: values for name, values in table().items() if name in ("color", "b", "a")}
    write_csv(tmp_path / "few.csv", dict(reversed(columns.items())))
    asked = ("runs/001-flowers", "-p")
    assert ask(*asked, tmp_path / "few.csv") == ask(*asked, "t.csv")


def test_names_of_classes_survive_every_format(work, ask, tmp_path):
    import polars

    model, x = api(work, "hostile.safetensors")
    expected = [HOSTILE[i] for i in model.predict(x)]
    assert set(expected) == set(HOSTILE)

    def written(kind):
        path = tmp_path / f"answers.{kind}"
        ask("hostile.safetensors", "t.csv", "-o", path)
        return path

    def text_of(kind):
        return written(kind).read_bytes().decode()

    answers = {
        "csv": read_csv(text_of("csv")),
        "tsv": read_csv(text_of("tsv"), "\t"),
        "json": json.loads(text_of("json")),
        "jsonl": [json.loads(line) for line in text_of("jsonl").splitlines()],
        "parquet": polars.read_parquet(written("parquet")).to_dicts(),
    }
    for kind, rows in answers.items():
        assert [row["prediction"] for row in rows] == expected, kind
    # Readers that know nothing of fastmlp's own rules.
    assert polars.read_csv(tmp_path / "answers.csv")["prediction"].to_list() == expected
    again = read_samples(tmp_path / "answers.csv")
    assert again.columns["prediction"].to_list() == expected


def test_values_come_in_the_units_of_the_targets(work, ask):
    model, x = api(work, "price.safetensors")
    rows = read_csv(ask("price.safetensors", "t.csv", "--keep", "price"))
    assert list(rows[0]) == ["price", "prediction"]
    decoded = model.preprocessing.decode(model.predict(x))[:, 0]
    assert [float(row["prediction"]) for row in rows] == decoded.tolist()
    assert [float(row["price"]) for row in rows] == table()["price"]

    model, x = api(work, "two.safetensors")
    rows = [json.loads(line) for line in ask(
        "two.safetensors", "t.csv", "--format", "jsonl").splitlines()]  # fmt: skip
    decoded = model.preprocessing.decode(model.predict(x))
    assert [list(row.values()) for row in rows] == decoded.tolist()
    assert list(rows[0]) == ["prediction(price)", "prediction(size)"]


@pytest.mark.parametrize("name", ["labels", "label"])
def test_a_sample_without_labels_keeps_its_line(work, ask, name):
    text = ask(f"{name}.safetensors", "t.csv", "-p")
    model, x = api(work, f"{name}.safetensors")
    decided = model.predict(x).reshape(SAMPLES, -1).astype(bool)
    assert not decided.any(axis=1).all(), "every sample has a label: this shows nothing"
    names = np.array(model.preprocessing.class_names)
    rows = read_csv(text)
    assert [row["prediction"] for row in rows] == [";".join(names[each]) for each in decided]
    for label, values in zip(names, model.predict_proba(x).T, strict=True):
        assert [row[f"p({label})"] for row in rows] == shortest(values)
    # Alone in its line, no label is still a field, not an empty line.
    assert read_csv(ask(f"{name}.safetensors", "t.csv")) == [
        {"prediction": row["prediction"]} for row in rows
    ]


def test_a_model_without_preprocessing_takes_numbers_as_they_are(work, ask, tmp_path):
    x = np.column_stack([table()["a"], table()["b"]]).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    write_csv(tmp_path / "x.csv", {name: table()[name] for name in ("a", "b")})

    def rows(name, *flags):
        return read_csv(ask(f"{name}.safetensors", tmp_path / "x.npz", *flags))

    plain = fastmlp.MLP.load(work / "plain.safetensors")
    answers = rows("plain", "-p")
    assert [int(row["prediction"]) for row in answers] == plain.predict(x).tolist()
    assert [row["p(2)"] for row in answers] == shortest(plain.predict_proba(x)[:, 2])
    from_csv = read_csv(ask("plain.safetensors", tmp_path / "x.csv"))
    assert [row["prediction"] for row in from_csv] == [row["prediction"] for row in answers]

    yes = fastmlp.MLP.load(work / "yes.safetensors")
    answers = rows("yes", "-p")
    assert [row["p(1)"] for row in answers] == shortest(yes.predict_proba(x)[:, 0])
    assert [int(row["prediction"]) for row in answers] == yes.predict(x).tolist()

    values = fastmlp.MLP.load(work / "values.safetensors").predict(x)
    answers = rows("values")
    for i in range(2):
        assert [row[f"prediction({i})"] for row in answers] == shortest(values[:, i])

    classes, pair, yes_or_no = fastmlp.MLP.load(work / "losses.safetensors").predict(x)
    answers = rows("losses")
    assert [int(row["prediction(0)"]) for row in answers] == classes.tolist()
    assert [row["prediction(1.1)"] for row in answers] == shortest(pair[:, 1])
    assert [int(row["prediction(2)"]) for row in answers] == yes_or_no.tolist()


# ---------------------------------------------------------------- files and pipes


def test_every_kind_of_table_gives_the_same_answers(work, ask, tmp_path):
    import polars

    expected = ask("1", "t.csv")
    polars.DataFrame(table()).write_parquet(tmp_path / "t.parquet")
    write_csv(tmp_path / "t.tsv", table(), "\t")
    write_csv(tmp_path / "bars.csv", table(), "|")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((work / "t.csv").read_bytes()))
    for name in ("t.parquet", "t.tsv", "t.csv.gz"):
        assert ask("1", tmp_path / name) == expected, name
    assert ask("1", tmp_path / "bars.csv", "--separator", "|") == expected
    piped = subprocess.run(
        command("predict", "1"), cwd=work, env=environment(), timeout=TIMEOUT, check=True,
        input=(work / "t.csv").read_bytes(), capture_output=True,
    )  # fmt: skip
    assert piped.stdout.decode() == expected
    assert piped.stderr == b""


def test_every_kind_of_array_gives_the_same_answers(work, ask, tmp_path):
    x = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (30, 2), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x-idx2-ubyte").write_bytes(build_idx(x))
    (tmp_path / "x.idx.gz").write_bytes(gzip.compress(build_idx(x)))
    expected = fastmlp.MLP.load(work / "plain.safetensors").predict(x).tolist()
    for name in ("x.npz", "x.npy", "x-idx2-ubyte", "x.idx.gz"):
        rows = read_csv(ask("plain.safetensors", tmp_path / name))
        assert [int(row["prediction"]) for row in rows] == expected, name


def test_a_reader_that_leaves_early_is_no_error(work, tmp_path):
    columns = {name: table()[name] * 300 for name in ("a", "b", "color")}
    write_csv(tmp_path / "many.csv", columns)
    with subprocess.Popen(
        command("predict", "1", tmp_path / "many.csv", "-p"), cwd=work, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline().startswith(b"prediction,p(")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT) == 141


def test_output_that_cannot_be_written_is_code_1(work):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("predict", "1", "t.csv"), cwd=work, env=environment(), timeout=TIMEOUT,
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_output_is_never_overwritten_unasked(work, ask, tmp_path):
    target = tmp_path / "answers.csv"
    assert ask("1", "t.csv", "-o", target) == ""
    content = target.read_text()
    assert read_csv(content) == read_csv(ask("1", "t.csv"))
    refused = run("predict", "1", "t.csv", "-p", "-o", target, cwd=work)
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert target.read_text() == content
    ask("1", "t.csv", "-p", "-o", target, "--overwrite")
    assert target.read_text() != content
    assert os.listdir(tmp_path) == ["answers.csv"]


def test_kept_columns_come_first_and_unchanged(work, ask, tmp_path):
    columns = table() | {"x,y": [*range(SAMPLES - 1), ""], "half": [0.5] * (SAMPLES - 1) + [""]}
    write_csv(tmp_path / "t.csv", columns)
    text = ask("1", tmp_path / "t.csv", "--keep", "note, id,half")
    rows = read_csv(text)
    assert list(rows[0]) == ["note", "id", "half", "prediction"]
    assert [row["note"] for row in rows] == columns["note"]
    assert [row["id"] for row in rows] == [str(i) for i in range(1, SAMPLES + 1)]
    assert [row["half"] for row in rows] == ["0.5"] * (SAMPLES - 1) + [""]
    rows = json.loads(ask("1", tmp_path / "t.csv", "--keep", "x,y", "--format", "json"))
    assert [row["x,y"] for row in rows] == [*map(str, range(SAMPLES - 1)), ""]  # as written


def test_json_is_one_object(work, ask):
    refused = run("predict", "1", "t.csv", "--json", "--format", "csv", cwd=work)
    assert refused.returncode == json.loads(refused.stdout)["exit_code"] == 2
    text = ask("1", "t.csv", "--json", "--keep", "id", "-p")
    assert text.count("\n") == 1
    document = json.loads(text)
    assert document["data"] == "t.csv"
    assert document["samples"] == len(document["rows"]) == SAMPLES
    lines = ask("1", "t.csv", "--format", "jsonl", "--keep", "id", "-p")
    assert document["rows"] == [json.loads(line) for line in lines.splitlines()]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("t.csv", "-o", "a.xlsx"), "no such format 'xlsx'"),
        (("t.csv", "-o", "answers"), "no such format ''"),
        (("t.csv", "-o", "a.csv", "--format", "json"), "has the suffix of csv, --format is json"),
        (("t.csv", "-o", "nowhere/a.csv"), "directory nowhere does not exist"),
        (("t.csv", "-o", "runs", "--format", "csv", "--overwrite"), "is a directory"),
        (("t.csv", "--keep", "idd"), "no such column 'idd'; did you mean 'id'?"),
        (("x.npy", "--keep", "id"), "needs a table with named columns"),
        (("again.csv", "--keep", "prediction"), "the output already has a column 'prediction'"),
        (("t.csv", "--separator", "ab"), "separator must be one ASCII character"),
    ],
)
def test_what_cannot_be_asked_for_is_code_2(work, args, message, monkeypatch, capsys):
    monkeypatch.chdir(work)
    np.save("x.npy", np.zeros((3, 2)))
    write_csv(work / "again.csv", table() | {"prediction": ["x"] * SAMPLES})
    refuse(capsys, 2, message, "1", *args)


def polars():
    return pytest.importorskip("polars")


def refuse(capsys, code, message, *args):
    assert main(["predict", *map(str, args)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    first, *others = captured.err.splitlines()
    assert first.startswith("fastmlp: error: ")
    # The places of several values follow, at most ten.
    assert len(others) <= 11
    assert all(line.startswith("  ") for line in others)


def test_probabilities_that_a_loss_does_not_make_are_code_2(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    message = "--probabilities: hinge.safetensors has none, because its loss is hinge"
    refuse(capsys, 2, message, "hinge.safetensors", "t.csv", "-p")


GOOD = "a,b,color\n1,2,red\n3,4,blue\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            GOOD.replace("b,c", "bb,c"),
            "column 'b' is missing; did you mean 'bb'? (the columns are a",
        ),
        (GOOD.replace("a,b", "x,y"), "columns 'a', 'b' are missing (the columns are x, y, color)"),
        (GOOD.replace("3,4", "3,4,5"), "line 3"),
        ("a,b,color\n1,two,red\n", "line 2, column 'b': must be a number, got 'two'"),
        ("a,b,color\n", "line 2: is missing"),
        ("", "is empty"),
    ],
)
def test_samples_that_do_not_fit_are_code_3(work, content, message, tmp_path, capsys):
    path = tmp_path / "new.csv"
    path.write_text(content)
    refuse(capsys, 3, message, work / "hostile.safetensors", path)


def test_rows_without_an_answer_are_counted_in_words(work, tmp_path, capsys):
    new = tmp_path / "new.csv"
    new.write_text("a,b,color\n" + "1,2,red\n" * 1000 + "1,,red\n" * 1234)
    assert main(["predict", str(work / "hostile.safetensors"), str(new)]) == 0
    assert "1,234 of 2,234 rows have no answer; the column" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("content", "row", "problem"),
    [
        (GOOD.replace("4", "four"), 1, "column 'b': must be a number, got 'four'"),
        (GOOD.replace("1,2", "1,"), 0, "column 'b': lacks a value"),
        (GOOD.replace("4", "inf"), 1, "column 'b': must be a number, got 'inf'"),
        (
            GOOD.replace("1,2", "x,y"),
            0,
            "column 'a': must be a number, got 'x'; column 'b': must be a number, got 'y'",
        ),
    ],
)
def test_a_row_without_an_answer_says_why(work, content, row, problem, form, tmp_path, capsys):
    model = work / "hostile.safetensors"
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "new.csv").write_text(content)
    answers = {}
    for name in ("good", "new"):
        output = tmp_path / f"{name}.{form}"
        command = ("predict", model, tmp_path / f"{name}.csv", "-p", "-o", output)
        if form == "csv":
            output = tmp_path / f"{name}.answers.csv"
            command = (*command[:-1], output)
        assert main(list(map(str, command))) == 0
        answers[name] = {
            "csv": lambda path: read_csv(path.read_text()),
            "jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
            "parquet": lambda path: polars().read_parquet(path).to_dicts(),
        }[form](output)
    captured = capsys.readouterr()
    assert captured.err.count("1 of 2 rows has no answer; the column 'problem' says why") == 1
    good, new = answers["good"], answers["new"]
    assert "problem" not in good[0]
    none = "" if form == "csv" else None
    assert new[row] == dict.fromkeys(good[0], none) | {"problem": problem}
    assert new[1 - row] == good[1 - row] | {"problem": none}


def test_an_unknown_category_is_answered_or_reported_as_asked(work, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text(GOOD.replace("blue", "pink"))
    model = work / "hostile.safetensors"
    answered = run("predict", model, path, cwd=work)
    assert (answered.returncode, len(read_csv(answered.stdout))) == (0, 2)
    assert "such as 'pink' in 'color'" in answered.stderr
    done = run("predict", model, path, "--unknown-categories", "error", cwd=work)
    rows = read_csv(done.stdout)
    assert (done.returncode, rows[0]["problem"]) == (0, "")
    assert rows[0]["prediction"] == read_csv(answered.stdout)[0]["prediction"]
    assert rows[1]["problem"].startswith("column 'color': 'pink' does not occur in the training")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.csv", "none.csv: No such file or directory"),
        ("runs", "runs: must be a file, got a directory"),
        ("t.docx", "t.docx: file type: must be one of .csv"),
        ("three.npy", "three.npy: x: must have 2 features, got 3"),
        ("nan.npy", "nan.npy: must be finite"),
        ("text.csv", "  line 2, column 'color': must be a number, got"),
    ],
)
def test_files_that_hold_no_samples_are_code_3(work, name, message, monkeypatch, capsys):
    monkeypatch.chdir(work)
    (work / "t.docx").write_bytes(b"x")
    np.save("three.npy", np.zeros((4, 3)))
    np.save("nan.npy", np.array([[0.0, np.nan]]))
    write_csv(work / "text.csv", {name: table()[name] for name in ("a", "color")})
    refuse(capsys, 3, message, "plain.safetensors", name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("damaged.safetensors", "damaged.safetensors: sha256: does not match the content"),
        ("checkpoint.safetensors", "format: must be 'fastmlp-model', got 'fastmlp-checkpoint'"),
        ("unfinished", "unfinished: has no model yet"),
    ],
)
def test_models_that_are_none_are_code_4(work, name, message, monkeypatch, capsys):
    monkeypatch.chdir(work)
    content = (work / "price.safetensors").read_bytes()
    if not (work / "unfinished").exists():
        (work / "damaged.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        newest = sorted((work / "runs/001-flowers/checkpoints").iterdir())[-1]
        (work / "checkpoint.safetensors").write_bytes(newest.read_bytes())
        (work / "unfinished").mkdir()
        settings = (work / "runs/001-flowers/config.toml").read_text()
        (work / "unfinished" / "config.toml").write_text(settings)
    refuse(capsys, 4, message, name, "t.csv")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.safetensors", "none.safetensors: is neither a run nor a file"),
        (".", ".: has no config.toml"),
    ],
)
def test_what_is_neither_a_run_nor_a_file_is_code_4(work, name, message, monkeypatch, capsys):
    monkeypatch.chdir(work)
    refuse(capsys, 4, message, name, "t.csv")


def test_a_fifo_does_not_keep_it_waiting(work, tmp_path):
    """In processes of their own, which a careless reader would let wait forever."""
    os.mkfifo(tmp_path / "fifo.csv")
    model, samples = work / "hostile.safetensors", work / "t.csv"
    for args, code in ((("fifo.csv", samples), 4), ((model, "fifo.csv"), 3)):
        done = run("predict", *args, cwd=tmp_path)
        assert done.returncode == code
        assert done.stderr == "fastmlp: error: fifo.csv: not a regular file (FIFO)\n"


def test_a_number_without_a_run_is_code_2(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    refuse(capsys, 2, "no run 7 in runs", "7", "t.csv")


# ---------------------------------------------------------------- unknown categories


REGIONS = ("North", "South", "West")


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """A run on a table with two columns of names."""
    path = tmp_path_factory.mktemp("regions")
    rows = [f"{i % 11},{REGIONS[i % 3]},{'xy'[i % 2]},{'pq'[i % 2]}" for i in range(120)]
    (path / "t.csv").write_text("\n".join(["size,Region,kind,y", *rows, ""]))
    done = run("train", "t.csv", "--target", "y", "--epochs", 1, "--no-report", cwd=path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("option", [(), ("--json",), ("--unknown-categories", "ignore")])
def test_unknown_categories_leave_a_trace(regions, option):
    rows = ["1,North,x,p", "2,Nrth,x,p", "3,,y,q", "4,South,z,q", "5,Nrth,z,q"]
    (regions / "new.csv").write_text("\n".join(["size,Region,kind,y", *rows, ""]))
    result = run("predict", "1", "new.csv", *option, cwd=regions)
    assert result.returncode == 0
    text = "3 of 5 rows have names that the training did not have, such as 'Nrth' in 'Region'"
    assert result.stderr == (f"fastmlp: warning: {text}; --unknown-categories error reports them\n")
    measured = run("evaluate", "1", "new.csv", cwd=regions)
    assert measured.stderr == f"fastmlp: warning: {text}\n"
    assert run("evaluate", "1", "new.csv", "--quiet", cwd=regions).stderr == ""


def test_known_and_reported_categories_leave_none(regions):
    (regions / "new.csv").write_text("size,Region,kind\n1,North,x\n2,,y\n")
    assert run("predict", "1", "new.csv", cwd=regions).stderr == ""
    (regions / "new.csv").write_text("size,Region,kind\n1,North,x\n2,Nrth,y\n")
    result = run("predict", "1", "new.csv", "--unknown-categories", "error", cwd=regions)
    assert "names that the training" not in result.stderr
    one = run("predict", "1", "new.csv", cwd=regions)
    assert "1 of 2 rows has names" in one.stderr
