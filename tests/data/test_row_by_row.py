"""The answer for a row is the same alone and in a batch, and from every kind of file and frame.

Tables are random; each seed is a test of its own, so a failure names it.
"""

import io
import json
import pickle
import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from support.cli_process import TIMEOUT, command, environment
from support.random_tables import (
    LABELS,
    TEXTS,
    delimited,
    dicts_of,
    frames,
    label_cells,
    rows_of,
    text_table,
    typed_table,
    written_files,
)

polars = pytest.importorskip("polars")

SEEDS = range(6)
FLAGS = ("-p", "--json")
SETTINGS = {"epochs": 2, "hidden": [5], "target": "target"}
TYPED_LABELS = (
    (1, 2, 30), (0.5, 1.0, 2.5), (True, False), (-1, 1), ("01", "1", "NA"), (2**53 + 1, 2**53 + 2),
)  # fmt: skip


def random_of(seed):
    return np.random.Generator(np.random.PCG64(seed))


def answers(model, x):
    """Predictions and probabilities as lists of rows, which compare bit for bit."""
    task = model.task
    found = model.predictions(x, probabilities=task != "regression")
    assert found.problems is None, found.problems
    columns = [*found.columns.values(), *(found.probabilities or {}).values()]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def shown(model, seed):
    return f"seed {seed}: {model.schema()['columns']}"


# ---------------------------------------------------------------- tables of texts


def text_case(seed):
    """A model of a random table of texts, which is returned with its target."""
    random = random_of(seed)
    # Every kind of column comes at least once.
    chosen = [*list(TEXTS)[seed :: len(SEEDS)], *random.permutation(list(TEXTS))[:3].tolist()]
    columns = text_table(random, list(dict.fromkeys(chosen)))
    labels = list(LABELS.values())[seed % len(LABELS)]
    columns["target"] = label_cells(random, labels)
    return columns, labels, random


@pytest.fixture(scope="module")
def text_models(tmp_path_factory):
    """By seed: a model of a table of texts, trained on a frame or on a file, and the table."""
    made = {}

    def model_of(seed):
        if seed not in made:
            columns, labels, random = text_case(seed)
            data = columns
            if seed % 2:
                data = tmp_path_factory.mktemp("text") / "train.csv"
                data.write_bytes(delimited(columns).encode())
            settings = {"test_fraction": 0.0} | SETTINGS
            made[seed] = (fastmlp.Model(**settings).fit(data, verbose=0), columns, labels, random)
        return made[seed]

    return model_of


def without_target(columns):
    return {name: cells for name, cells in columns.items() if name != "target"}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_row_alone_is_each_row_in_the_batch(text_models, seed):
    model, columns, _, random = text_models(seed)
    x = without_target(columns)
    expected = answers(model, x)
    rows = dicts_of(x)
    assert [answers(model, [row])[0] for row in rows] == expected, shown(model, seed)
    one_row = [polars.DataFrame([row], infer_schema_length=None) for row in rows]
    assert [answers(model, frame)[0] for frame in one_row] == expected, shown(model, seed)
    # Rows in another order, some of them twice, with other columns between the known ones.
    order = random.integers(0, len(rows), 100)
    further = {"further": [None] * 100, "Base": ["x"] * 100, "target ": list(range(100))}
    mixed = rows_of(x, order) | further
    shuffled = {name: mixed[name] for name in random.permutation(list(mixed)).tolist()}
    assert answers(model, shuffled) == [expected[row] for row in order], shown(model, seed)


def assert_served_alike(model, x, expected, folder, seed):
    """Check the answers for the same rows in every kind of frame and file."""
    for kind, frame in frames(x):
        assert answers(model, frame) == expected, (kind, shown(model, seed))
    folder.mkdir()
    for path in written_files(x, folder):
        assert answers(model, path) == expected, (path.name, shown(model, seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_texts_come_from_every_kind_of_frame_and_file(text_models, seed, tmp_path):
    model, columns, _, _ = text_models(seed)
    x = without_target(columns)
    expected = answers(model, x)
    assert_served_alike(model, x, expected, tmp_path / "all", seed)
    row = 7 * seed % 60
    assert_served_alike(model, rows_of(x, [row]), [expected[row]], tmp_path / "one", seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_and_missing_values_need_not_be_texts(text_models, seed):
    """A number column of plain texts takes numbers, and every column takes None."""
    model, columns, _, _ = text_models(seed)
    x = without_target(columns)
    expected = answers(model, x)
    typed = {}
    for column in model.preprocessing.columns:
        is_plain = column.kind == "number" and column.reads_plain_numbers
        typed[column.name] = [
            None if cell.strip() in ("", *column.missing) else float(cell) if is_plain else cell
            for cell in x[column.name]
        ]
    assert any(isinstance(cell, float) for cells in typed.values() for cell in cells)
    for kind, frame in frames(typed):
        assert answers(model, frame) == expected, (kind, shown(model, seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pipe_and_the_command_line_give_the_same(text_models, seed, tmp_path, capsysbinary):
    model, columns, _, _ = text_models(seed)
    x = without_target(columns)
    expected = answers(model, x)
    model.save(tmp_path / "m.safetensors")
    (tmp_path / "x.csv").write_bytes(delimited(x).encode())
    assert main(["predict", str(tmp_path / "m.safetensors"), str(tmp_path / "x.csv"), *FLAGS]) == 0
    captured = capsysbinary.readouterr()
    assert captured.err == b""
    rows = json.loads(captured.out)["rows"]
    # JSON has the shortest decimal that gives the float32 back.
    printed = [list(row.values()) for row in rows]
    found = [(label, *(float(np.float32(p)) for p in shares)) for label, *shares in printed]
    assert found == expected
    piped = delimited(x) if seed % 2 else "".join(json.dumps(row) + "\n" for row in dicts_of(x))
    if seed % 3 == 0:
        stream = io.BytesIO()
        polars.DataFrame(x).write_parquet(stream)
        content = stream.getvalue()
    else:
        content = piped.encode()
    done = subprocess.run(
        command("predict", "m.safetensors", "-", *FLAGS), cwd=tmp_path, env=environment(),
        input=content, capture_output=True, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["rows"] == rows


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_come_back_as_written(labels, tmp_path, capsys):
    random = random_of(3)
    columns = text_table(random, ["decimal commas", "leading zeros"])
    columns["target"] = label_cells(random, labels)
    model = fastmlp.Model(**SETTINGS).fit(columns, verbose=0)
    assert set(model.class_names) == set(labels)
    assert set(model.classes) == set(labels)
    predicted = model.predict(without_target(columns))
    assert set(predicted) <= set(labels)
    accuracy = float(np.mean([p == t for p, t in zip(predicted, columns["target"], strict=True)]))
    assert accuracy > 0
    assert model.evaluate(columns).accuracy == pytest.approx(accuracy, abs=1e-12)
    for path in written_files(columns, tmp_path):
        assert model.evaluate(path).accuracy == pytest.approx(accuracy, abs=1e-12), path.name
    # Rows of one class alone are still what they were.
    for label in labels:
        rows = [row for row, cell in enumerate(columns["target"]) if cell == label]
        found = model.evaluate(rows_of(columns, rows)).accuracy
        assert found == pytest.approx(float(np.mean(predicted[rows] == label)), abs=1e-12)
    model.save(tmp_path / "m.safetensors")
    asked = ["evaluate", str(tmp_path / "m.safetensors"), str(tmp_path / "t.csv"), "--json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(accuracy, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_and_a_pickle_change_nothing(text_models, seed, tmp_path):
    model, columns, _, _ = text_models(seed)
    x = without_target(columns)
    expected = answers(model, x)
    model.save(tmp_path / "m.safetensors")
    for other in (fastmlp.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert other.preprocessing == model.preprocessing
        assert answers(other, x) == expected
        assert answers(other, rows_of(x, [3])) == [expected[3]]
        assert other.classes.tolist() == model.classes.tolist()


@pytest.mark.parametrize("seed", [1, 4])
def test_a_run_is_measured_and_resumed_as_it_was(seed, tmp_path, monkeypatch, capsys):
    columns, _, _ = text_case(seed)
    (tmp_path / "t.csv").write_bytes(delimited(columns).encode())
    monkeypatch.chdir(tmp_path)
    plain = ("--target", "target", "--no-report", "-q", "--checkpoint-every", "1", "--epochs", "4")
    assert main(["train", "t.csv", *plain, "--out", "whole"]) == 0
    main(["train", "t.csv", *plain, "--out", "part", "--max-time", "0.000001"])
    assert fastmlp.MLP.load("part/last.safetensors").history.loss != []
    assert len(fastmlp.MLP.load("part/last.safetensors").history.loss) < 4
    assert main(["train", "--resume", "part", "--max-time", "1000", "--no-report", "-q"]) == 0
    capsys.readouterr()
    whole, part = (fastmlp.MLP.load(f"{run}/last.safetensors") for run in ("whole", "part"))
    assert part.preprocessing == whole.preprocessing
    for name, array in whole.parameters().items():
        np.testing.assert_array_equal(part.parameters()[name], array)
    result = json.loads((tmp_path / "whole/result.json").read_text(encoding="utf-8"))["test"]
    for run in ("whole", "part"):
        assert main(["evaluate", run, "--json", "-q"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {key: found[key] for key in result} == result


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_that_cannot_be_served_do_not_change_the_others(text_models, seed, tmp_path):
    model, columns, _, random = text_models(seed)
    x = {name: list(cells) for name, cells in without_target(columns).items()}
    expected = model.predictions(x, probabilities=True)
    breakable = [c.name for c in model.preprocessing.columns if c.kind in ("number", "date")]
    broken = {}
    for row in sorted(random.permutation(60)[:9].tolist()):
        name = str(random.choice(breakable))
        x[name][row] = str(random.choice(["oops", "1..2", "inf", "12:", "1e999"]))
        broken[row] = f"column {name!r}: must be a"
    (tmp_path / "x.csv").write_bytes(delimited(x).encode())
    for given in (x, polars.DataFrame(x), dicts_of(x), tmp_path / "x.csv"):
        found = model.predictions(given, probabilities=True)
        for row in range(60):
            problem = found.problems[row]
            if row in broken:
                assert problem.startswith(broken[row]), shown(model, seed)
            else:
                assert problem is None, shown(model, seed)
        for name, values in (expected.columns | expected.probabilities).items():
            got = (found.columns | found.probabilities)[name]
            kept = [None if row in broken else value for row, value in enumerate(values)]
            assert list(got) == kept
    with pytest.raises(fastmlp.FormatError, match="9 values cannot be used"):
        model.predict(x)


# ---------------------------------------------------------------- tables of typed values


@pytest.fixture(scope="module")
def typed_models(tmp_path_factory):
    made = {}

    def model_of(seed):
        if seed not in made:
            random = random_of(100 + seed)
            columns = typed_table(random)
            labels = TYPED_LABELS[seed % len(TYPED_LABELS)]
            columns["target"] = label_cells(random, labels)
            data = polars.DataFrame(columns, strict=False)
            if seed % 2:
                path = tmp_path_factory.mktemp("typed") / "train.parquet"
                data.write_parquet(path)
                data = path
            settings = SETTINGS | {"categorical": ["code", "level"], "test_fraction": 0.0}
            if isinstance(labels[0], float) or labels[0] == 2**53 + 1:
                settings["categorical"] = ["code", "level", "target"]
            made[seed] = (fastmlp.Model(**settings).fit(data, verbose=0), columns, labels)
        return made[seed]

    return model_of


@pytest.mark.parametrize("seed", SEEDS)
def test_values_come_from_every_kind_of_frame_and_file(typed_models, seed, tmp_path):
    model, columns, _ = typed_models(seed)
    x = without_target(columns)
    expected = answers(model, x)
    assert_served_alike(model, x, expected, tmp_path / "all", seed)
    rows = dicts_of(x)
    assert [answers(model, [row])[0] for row in rows] == expected, shown(model, seed)
    row = 7 * seed % 60
    assert_served_alike(model, rows_of(x, [row]), [expected[row]], tmp_path / "one", seed)


@pytest.mark.parametrize("seed", range(len(TYPED_LABELS)))
def test_labels_come_back_with_their_type(typed_models, seed, tmp_path):
    model, columns, labels = typed_models(seed)
    predicted = model.predict(without_target(columns)).tolist()
    assert set(model.classes.tolist()) == set(labels)
    assert {type(label) for label in predicted} == {type(labels[0])}
    accuracy = float(np.mean([p == t for p, t in zip(predicted, columns["target"], strict=True)]))
    assert accuracy > 0
    assert model.evaluate(columns).accuracy == pytest.approx(accuracy, abs=1e-12)
    for kind, frame in frames(columns):
        assert model.evaluate(frame).accuracy == pytest.approx(accuracy, abs=1e-12), kind
    for path in written_files(columns, tmp_path):
        assert model.evaluate(path).accuracy == pytest.approx(accuracy, abs=1e-12), path.name
    again = pickle.loads(pickle.dumps(model))
    assert again.predict(without_target(columns)).tolist() == predicted
