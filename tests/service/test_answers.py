"""`fastmlp serve`: answers are those of `fastmlp predict`, bit for bit, whatever the body is."""

from __future__ import annotations

import io
import json
import random
import threading

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.service.description import row_schema
from fastmlp.service.predictor import Predictor
from fastmlp.web.refusal import RequestError
from support.services import (
    TOWNS,
    houses,
    image_model,
    labels_model,
    service,
    table_model,
)
from support.serving_models import table

for package in ("fastapi", "uvicorn", "polars"):
    pytest.importorskip(package)

MODELS = {
    "price": lambda: table_model("price"),
    "two": lambda: table_model("price", "rent"),
    "kind": lambda: table_model("kind"),
    "strict": lambda: table_model("kind", unknown_categories="error"),
    "labels": labels_model,
    "plain": lambda: fastmlp.MLP([3, 6, 4], seed=1),
    "hinge": lambda: fastmlp.MLP([3, 6, 4], loss="hinge", seed=1),
    "losses": lambda: fastmlp.MLP(
        [3, 6, 5],
        loss=[fastmlp.SoftmaxCrossEntropy(outputs=3), fastmlp.MSE(outputs=2)],
        seed=4,
    ),
}
WITH_PROBABILITIES = ("kind", "strict", "labels", "plain")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    path = tmp_path_factory.mktemp("serve")
    for name, make in MODELS.items():
        make().save(path / f"{name}.safetensors")
    return path


@pytest.fixture(scope="module", params=MODELS)
def named(request, work):
    """A name of a model, and its service."""
    with service(f"{request.param}.safetensors", cwd=work) as running:
        yield request.param, running


@pytest.fixture
def predicted(work, tmp_path):
    """A function that gives the rows that `fastmlp predict` writes for the lines of a file."""

    def rows(name, lines, suffix="jsonl"):
        source, target = tmp_path / f"rows.{suffix}", tmp_path / "answers.jsonl"
        source.write_text(lines, encoding="utf-8")
        options = ["-p"] if name in WITH_PROBABILITIES else []
        place = str(work / f"{name}.safetensors")
        command = ["predict", place, str(source), "-o", str(target), "--overwrite", *options]
        assert main(command) == 0
        return [json.loads(line) for line in target.read_text().splitlines()]

    return rows


def flat(row):
    """An answer in the form of `compared`."""
    if "problem" in row:
        return {"problem": row["problem"]}
    value = row["prediction"]
    made = {"prediction": ";".join(value) if isinstance(value, list) else value}
    if isinstance(value, dict):
        made = {f"prediction({name})": each for name, each in value.items()}
    shares = row.get("probabilities", {})
    return made | {f"p({name})": each for name, each in shares.items()}


def compared(line):
    """A line of `fastmlp predict`, of which a row without an answer keeps its problem alone."""
    if line.get("problem") is not None:
        return {"problem": line["problem"]}
    return {name: value for name, value in line.items() if name != "problem"}


NUMBERS = ("1.50", "80", "-0", "1e2", "120.000000000000001", '"77.5"', '" 31 "', "1E-3", "5e300")
BAD = ('"abc"', "true", "1e999", "NaN", '"1,5"', "Infinity", "null", '""')


def table_row(draw):
    """A random row of `houses` as JSON, spelled in many ways, with gaps and mistakes."""
    cells = {
        "size": draw.choice(NUMBERS + BAD),
        "weight": draw.choice(('"7 200,5"', '"800"', '"1.234,5"', "12.5", "null")),
        "town": json.dumps(draw.choice((*TOWNS, "Ulm", "Köln & Umgebung", None))),
        "rooms": draw.choice(("3", "4.0", '"5"', '"x"', "null", "1e0", "2")),
        "garden": draw.choice(("true", "false", '"YES"', "1", '"perhaps"', "null")),
        "sold": draw.choice(('"2024-05-06"', '"2024-02-30"', '"2023-01-01 10:30"', "null", "7")),
        "seen": draw.choice(('"06.05.2024"', '"31.12.2023"', '"2024-05-06"', "null")),
        "extra": draw.choice(("[1, {}]", '"x"', "17")),
    }
    names = draw.sample(list(cells), draw.randint(4, len(cells)))
    return "{" + ", ".join(f"{json.dumps(name)}: {cells[name]}" for name in names) + "}"


def number_row(draw):
    values = [draw.choice(NUMBERS + ("0.1", "1e-300")) for _ in range(3)]
    return "{" + ", ".join(f'"x{i}": {value}' for i, value in enumerate(values)) + "}"


WHOLE = json.dumps({name: cells[1] for name, cells in houses().items()})


def rows_for(name, draw, count):
    if name in ("price", "two", "kind", "strict"):
        return [WHOLE, *(table_row(draw) for _ in range(count - 1))]
    return ['{"x0": 1.50, "x1": -2, "x2": 3e-1}', *(number_row(draw) for _ in range(count - 1))]


@pytest.mark.parametrize("seed", range(4))
def test_random_rows_have_the_answers_of_the_command_line(named, predicted, seed):
    name, running = named
    rows = rows_for(name, random.Random(seed), 60)
    expected = [compared(line) for line in predicted(name, "\n".join(rows))]
    bodies = {
        "array": ("application/json", "[" + ",\n".join(rows) + "]"),
        "object": ("application/json; charset=utf-8", '{"rows": [' + ", ".join(rows) + "]}"),
        "lines": ("application/x-ndjson", "\n".join(rows) + "\n"),
    }
    for kind, body in bodies.values():
        found = running.predict(body, kind).rows
        assert list(map(flat, found)) == expected
    assert 0 < sum("problem" in row for row in expected) < len(rows)
    assert ("p(small)" in expected[0]) == (name in ("kind", "strict"))


def test_one_row_has_the_answer_that_it_has_among_others(named, predicted):
    name, running = named
    rows = rows_for(name, random.Random(9), 1)
    (expected,) = map(compared, predicted(name, rows[0]))
    pretty = json.dumps(json.loads(rows[0], parse_float=str, parse_int=str), indent=2)
    for body in (rows[0], f"[{rows[0]}]", f'{{"rows": [{rows[0]}]}}', pretty):
        assert list(map(flat, running.predict(body).rows)) == [expected]


def test_a_table_as_csv_and_tsv(named, predicted):
    name, running = named
    if name in ("price", "two", "kind", "strict"):
        names = [n for n in houses() if n not in ("price", "rent", "kind")]
        lines = [names, *zip(*(houses()[n] for n in names), strict=True)]
    else:
        lines = [["x0", "x1", "x2"], ["1.5", "2", "-3e1"], ["0.25", ".5", "0"]]
    for separator, suffix, kind in (
        (";", "csv", "text/csv"), ("\t", "tsv", "text/tab-separated-values"),
    ):  # fmt: skip
        quoted = ['"' + cell.replace('"', '""') + '"' for line in lines for cell in line]
        width = len(lines[0])
        rows = [quoted[i : i + width] for i in range(0, len(quoted), width)]
        text = "\n".join(map(separator.join, rows)) + "\n"
        expected = [compared(line) for line in predicted(name, text, suffix)]
        assert len(expected) == len(lines) - 1
        assert list(map(flat, running.predict(text, kind).rows)) == expected
        with_charset = running.predict(text.encode("utf-16"), f"{kind}; charset=utf-16")
        assert list(map(flat, with_charset.rows)) == expected


def test_several_models_answer_together(tmp_path):
    """Each knows other categories and classes; the answers are those of all in one process."""
    columns = table()
    models = []
    for seed in range(3):
        rows = [i for i in range(len(columns["a"])) if (i + seed) % 3]
        part = {name: [columns[name][i] for i in rows] for name in ("a", "color", "note", "kind")}
        model = fastmlp.Model(target="kind", architecture="mlp", epochs=2, seed=seed)
        models.append(model.fit(part, verbose=0))
    bag = fastmlp.BaggedModel(models)
    bag.save(tmp_path / "bag")
    samples = [
        {name: columns[name][i] for name in ("a", "color", "note")}
        for i in range(len(columns["a"]))
    ]
    with service("bag", cwd=tmp_path) as running:
        answered = running.predict([*samples, {"a": "x"}]).rows
        schema = running.get("/schema").json
        assert running.predict([schema["example"]]).rows[0]["prediction"] in bag.classes
        assert running.get("/").status == 200
    assert schema["class_names"] == list(bag.class_names)
    assert [row["prediction"] for row in answered[:-1]] == bag.predict(samples).tolist()
    expected = bag.predict_proba(samples)
    for row, shares in zip(answered, expected, strict=False):
        assert list(row["probabilities"].values()) == shares.tolist()
    assert "must be a number" in answered[-1]["problem"]


def test_labels_are_a_list_even_if_a_name_holds_the_sign_that_joins_them(work):
    with service("labels.safetensors", cwd=work) as running:
        x = np.random.default_rng(0).normal(size=(200, 3))
        found = running.predict({"rows": x.tolist()}).rows
    names = ("a", "b", "a;b", "<i>")
    chosen = labels_model().predict(x)
    assert [row["prediction"] for row in found] == [
        [name for name, has in zip(names, row, strict=True) if has] for row in chosen.tolist()
    ]
    assert len({tuple(row["prediction"]) for row in found}) > 3


def test_rows_of_numbers_for_a_model_of_arrays(work, tmp_path):
    x = np.random.default_rng(1).normal(size=(50, 3))
    with service("plain.safetensors", cwd=work) as running:
        rows = running.predict({"rows": x.tolist()}).rows
        model = fastmlp.load(work / "plain.safetensors")
        assert [row["prediction"] for row in rows] == model.predict(x).tolist()
        shares = [[np.float32(p) for p in row["probabilities"].values()] for row in rows]
        assert np.array_equal(np.array(shares, np.float32), model.predict_proba(x))
        # Keys have no order, unlike the columns of a file.
        turned = [dict(zip(("x2", "x0", "x1"), (c, a, b), strict=True)) for a, b, c in x.tolist()]
        assert running.predict(turned).rows == rows

        mixed = [[1, 2, 3], [1, 2], [1, 2, "3"], [1, None, 3], [1, 2, True], {"x0": 1}, 7, "ab"]
        found = running.predict(mixed).rows
        assert "prediction" in found[0]
        assert [row.get("problem") for row in found[1:]] == [
            "must have 3 numbers, got 2",
            "column 'x2': must be a number, got '3'",
            "column 'x1': must be a number, got None",
            "column 'x2': must be a number, got True",
            *["must be a list of 3 numbers, as other rows are"] * 3,
        ]
        huge = running.predict(
            "[[1, 2, 3], [1e999, 0, 0], [0, NaN, 0], [0, 0, -Infinity], [3e39, 0, 0]]"
        ).rows
        assert [row.get("problem") for row in huge] == [
            None,
            "column 'x0': must be finite in float32, got inf",
            "column 'x1': must be finite in float32, got nan",
            "column 'x2': must be finite in float32, got -inf",
            "column 'x0': must be finite in float32, got 3e+39",
        ]
        assert running.predict([[1, 2]]).error(422) == "body: row 1, must have 3 numbers, got 2"
        assert "columns 'x1', 'x2' are missing" in running.predict({"x0": 1}).error(422)


def test_images_and_their_pixels(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    image_model().save(tmp_path / "pictures.safetensors")
    pixels = np.random.default_rng(2).integers(0, 256, (6, 5), dtype=np.uint8)
    files = {}
    for kind in ("PNG", "BMP", "WEBP", "JPEG"):
        stream = io.BytesIO()
        pillow.fromarray(pixels).save(
            stream, kind, **({"lossless": True} if kind == "WEBP" else {})
        )
        files[kind] = stream.getvalue()
    (tmp_path / "one.png").write_bytes(files["PNG"])
    with service("pictures.safetensors", cwd=tmp_path) as running:
        answers = {k: running.predict(v, f"image/{k.lower()}").rows for k, v in files.items()}
        assert answers["PNG"] == answers["BMP"] == answers["WEBP"]
        assert answers["PNG"][0]["prediction"] in ("cat", "dog", "eel")
        assert running.predict([pixels.reshape(-1).tolist()]).rows == answers["PNG"]
        target = tmp_path / "a.jsonl"
        place = str(tmp_path / "pictures.safetensors")
        command = ["predict", place, str(tmp_path / "one.png"), "-p", "-o", str(target)]
        assert main(command) == 0
        expected = json.loads(target.read_text())
        assert expected.pop("file") == "one.png"
        assert flat(answers["PNG"][0]) == expected
        assert "begins like none" in running.predict(b"\x89PNG no more", "image/png").error(400)
        assert "begins like none" in running.predict(b"GIF89a" * 9, "image/png").error(400)


def test_probabilities_can_be_left_out(work):
    with service("kind.safetensors", "--threads", 1, cwd=work) as running:
        assert set(running.predict(WHOLE).rows[0]) == {"prediction", "probabilities"}
        assert set(running.predict(WHOLE, query="?probabilities=false").rows[0]) == {"prediction"}
        message = running.predict(WHOLE, query="?probabilities=perhaps").error(400)
        assert message == "probabilities: must be true or false"


def test_unknown_names_are_reported_on_request(work):
    row = json.loads(WHOLE) | {"town": "Ulm"}
    with service("kind.safetensors", "--unknown-categories", "error", cwd=work) as running:
        message = running.predict(row).error(422)
        assert "row 1, column 'town': 'Ulm' does not occur in the training part" in message
        assert [sorted(r) for r in running.predict([row, json.loads(WHOLE)]).rows] == [
            ["problem"], ["prediction", "probabilities"],
        ]  # fmt: skip


def test_a_key_that_no_row_has_is_a_missing_value(work, predicted):
    whole = json.loads(WHOLE)
    with service("kind.safetensors", cwd=work) as running:
        row_schema = running.get("/schema").json["row_schema"]
        for name in row_schema["properties"]:
            short = {key: value for key, value in whole.items() if key != name}
            line = json.dumps(short)
            alone = running.predict({"rows": [short]})
            assert alone.rows == running.predict([short | {name: None}]).rows, name
            assert alone.rows == running.predict([short, whole]).rows[:1]
            assert alone.rows == running.predict(line, "application/x-ndjson").rows
            assert list(map(flat, alone.rows)) == list(map(compared, predicted("kind", line)))
            assert ("problem" in json.dumps(alone.json)) == (name in row_schema["required"])
        assert "are missing" in running.predict({"other": 1}).error(422)
        names = [key for key in whole if key != "town"]
        text = ",".join(names) + "\n" + "," * (len(names) - 1) + "\n"
        assert "'town' is missing" in running.predict(text, "text/csv").error(422)


def test_a_schema_requires_the_keys_without_which_there_is_no_answer():
    jsonschema = pytest.importorskip("jsonschema")
    columns = {"size": [1.0, 2.0] * 50, "town": ["a", "b"] * 50, "kind": ["x", "y"] * 50}
    free = fastmlp.Model(target="kind", epochs=1).fit(columns, verbose=0)
    strict = fastmlp.Model(target="kind", epochs=1, missing="error").fit(columns, verbose=0)
    rows = ({"size": 1, "town": "a"}, {"size": 1}, {"town": "a"}, {}, {"other": 1})
    for model, expected in ((free, [1, 1, 1, 0, 0]), (strict, [1, 0, 0, 0, 0])):
        validator = jsonschema.Draft202012Validator(row_schema(model.network))
        for row, valid in zip(rows, expected, strict=True):
            predictor = Predictor(model.network, "m")
            assert validator.is_valid(row) == valid
            try:
                predictor.answer(json.dumps(row).encode(), "application/json", probabilities=False)
            except RequestError:
                assert not valid


def test_misspelled_keys_are_told(work):
    whole = json.loads(WHOLE)
    wrong = {("towm" if key == "town" else key): value for key, value in whole.items()}
    note = "'towm' is no column of the model; did you mean 'town'?"
    with service("kind.safetensors", cwd=work) as running:
        assert running.predict(wrong).json["warnings"] == [note]
        assert set(running.predict(whole | {"towm": 1}).json) == {"rows"}
        refused = running.predict({"towm": "Bonn", "size": "wide"}).error(422)
        assert "must be a number" in refused
        assert refused.endswith(note)
        many = {f"{'x' * 90}{i}": 1 for i in range(5000)} | {"y" * 100_000: 1, "size": 1}
        assert set(running.predict(many).json) == {"rows"}


def test_threads_at_the_same_time_have_the_same_answers(work):
    draw = random.Random(5)
    bodies = [
        "[" + ",".join([WHOLE, *(table_row(draw) for _ in range(30))]) + "]" for _ in range(8)
    ]
    with service("kind.safetensors", cwd=work) as running:
        alone = [running.predict(body).rows for body in bodies]
        together = [[] for _ in bodies]

        def ask(i):
            for _ in range(12):
                together[i].append(running.predict(bodies[i]).rows)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(bodies))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == [[rows] * 12 for rows in alone]


# ---------------------------------------------------------------- the schema


def test_the_example_is_a_row_of_the_schema_that_is_answered(named, work):
    jsonschema = pytest.importorskip("jsonschema")
    name, running = named
    schema = running.get("/schema").json
    assert schema["name"] == name
    validator = jsonschema.Draft202012Validator(schema["row_schema"])
    validator.check_schema(schema["row_schema"])
    validator.validate(schema["example"])
    (row,) = running.predict([schema["example"]]).rows
    assert "prediction" in row
    model = fastmlp.load(work / f"{name}.safetensors")
    if isinstance(model, fastmlp.Model):
        kept = {key: schema[key] for key in model.schema()}
        assert kept == json.loads(json.dumps(model.schema()))
    document = running.get("/openapi.json").json
    assert set(document["paths"]) == {"/predict", "/schema", "/health"}
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    jsonschema.Draft202012Validator(content["application/json"]["schema"]).validate(
        {"rows": [schema["example"]]}
    )
    health = running.get("/health").json
    assert health == {"status": "ok", "model": name, "fastmlp": fastmlp.__version__}
