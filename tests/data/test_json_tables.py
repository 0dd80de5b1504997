"""JSON as a source of tables: nested values, objects over several lines, what many rows share."""

from __future__ import annotations

import json

import pytest

from fastmlp import FormatError
from fastmlp.data import prepare, read
from fastmlp.experiment import build
from fastmlp.experiment.schema import DataSection

ROWS = [{"size": i % 7, "meta": {"a": i}, "tags": [i, "x"], "y": "pq"[i % 2]} for i in range(200)]


def source(tmp_path, rows=ROWS):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reading(**settings):
    return build.reading(DataSection(**settings))


def test_nested_values_are_told_once_for_a_key(tmp_path):
    with pytest.raises(FormatError) as error:
        read(source(tmp_path), reading=reading())
    assert str(error.value).endswith(
        "t.jsonl: 400 places cannot be read:\n"
        "  line 1, key 'meta': must be one value, got an object; leave the column out with "
        '--exclude "meta" if it is not needed; 199 more are like it\n'
        "  line 1, key 'tags': must be one value, got an array; leave the column out with "
        '--exclude "tags" if it is not needed; 199 more are like it'
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"exclude": ("meta", "tags")},
        {"exclude": ("meta",), "id": ("tags",)},
        {"features": ("size",)},
        {"features": ("size",), "target": ("y",)},
    ],
)
def test_columns_that_are_left_out_may_be_nested(tmp_path, settings):
    section = DataSection(**settings)
    raw = read(source(tmp_path), reading=build.reading(section))
    assert list(raw.train.x.columns) == list(ROWS[0])  # names are checked against all
    prepared = prepare(raw, build.data_options(section))
    assert [column.name for column in prepared.preprocessing.columns] == ["size"]
    assert prepared.preprocessing.class_names == ("p", "q")


@pytest.mark.parametrize(
    "settings", [{"exclude": ("meta",)}, {"features": ("size", "tags")}, {"target": ("tags",)}]
)
def test_columns_that_are_used_may_not(tmp_path, settings):
    with pytest.raises(FormatError, match="must be one value"):
        read(source(tmp_path), reading=reading(**settings))


@pytest.mark.parametrize("indent", [2, "\t"])
@pytest.mark.parametrize("before", ["", "\n\n", " "])
def test_an_object_over_several_lines(tmp_path, indent, before):
    path = tmp_path / "t.json"
    plain = [{"size": row["size"], "y": row["y"]} for row in ROWS]
    path.write_text(before + "\n".join(json.dumps(row, indent=indent) for row in plain))
    with pytest.raises(FormatError) as error:
        read(str(path))
    line = 1 + before.count("\n")
    assert str(error.value) == (
        f"{path}: line {line}: begins an object that does not end in this line; write each object "
        "in one line, or all in an array: [{...}, {...}]"
    )
    path.write_text(before + json.dumps(plain, indent=indent))
    assert len(read(str(path)).train.x) == 200


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("17", 'line 3: must be an object, such as {"age": 31}, got \'17\'; 99 more are like it'),
        ('{"size": 1 "y": 2}', "line 3: is no JSON object: Expecting ',' delimiter at character 12"
         "; 99 more are like it"),
        ('{"size": 1, "size": 2}', "line 3, key 'size': occurs twice; 99 more are like it"),
    ],
)  # fmt: skip
def test_what_many_lines_share_is_told_once(tmp_path, line, text):
    path = tmp_path / "t.jsonl"
    path.write_text('{"size": 1, "y": "p"}\n\n' + f"{line}\n" * 100 + '{"": 1}\n')
    with pytest.raises(FormatError) as error:
        read(str(path))
    assert str(error.value) == (
        f"{path}: 101 places cannot be read:\n  {text}\n  line 103, key '': has no name"
    )
