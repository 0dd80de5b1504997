"""The arguments that name data: what the help says about them, and what takes their place."""

from __future__ import annotations

import json
import shutil
import subprocess

import click
import numpy as np
import pytest

from fastmlp.cli.app import COMMANDS, cli
from fastmlp.experiment.rundir import next_numbered
from support.cli_process import TIMEOUT, command, environment, run

# What docs/tables.md and docs/data.md list.
TABLES = ("CSV", "TSV", "JSON lines", "Parquet", "Feather", "pattern", "folder", "standard input")


def commands(group, path=()):
    """Yield all commands with their paths."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name), found


TAKING_DATA = [
    (path, each)
    for path, each in commands(cli)
    if any(parameter.name in ("dataset", "samples") for parameter in each.params)
]


@pytest.mark.parametrize(("path", "taking"), TAKING_DATA, ids=lambda value: str(value))
def test_help_lists_what_the_data_may_be(path, taking):
    text = " ".join((taking.help or "").split())
    refers = "as for `fastmlp train`" in text or "those of 'fastmlp train'" in text
    assert (refers and path != ("train",)) or all(word in text for word in TABLES), text


def test_settings_list_what_the_data_may_be():
    from fastmlp.experiment.schema import DataSection

    text = DataSection.model_fields["source"].description
    assert all(word in text for word in TABLES)


@pytest.mark.parametrize("arguments", ["predict t.csv 1", "serve t.csv", "evaluate t.csv 1",
                                       "export t.csv"])  # fmt: skip
def test_data_in_the_place_of_the_model(tmp_path, arguments):
    (tmp_path / "t.csv").write_text("a,y\n" + "1,2\n" * 20)
    (tmp_path / "runs" / "001-t").mkdir(parents=True)
    extra = ("-o", "m.onnx") if arguments.startswith("export") else ()
    result = run(*arguments.split(), *extra, cwd=tmp_path)
    assert result.returncode == 4
    assert result.stderr == (
        "fastmlp: error: t.csv: is no model file of fastmlp; MODEL, the first argument, is a run "
        "or a model file\n"
    )


def test_commands_take_data():
    assert {path[0] for path, _ in TAKING_DATA} <= set(COMMANDS)
    assert len(TAKING_DATA) >= 8


# ---------------------------------------------------------------- images, runs, pipes, sheets


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images in folders of their classes, and a run on them."""
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path_factory.mktemp("images")
    random = np.random.Generator(np.random.PCG64(3))
    for name in ("dark", "light"):
        (path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 100, (5, 5)) + 150 * (name == "light")
            picture = pillow.fromarray(pixels.astype(np.uint8))
            picture.save(path / "photos" / name / f"{number:02d}.png")
    done = run("train", "photos", "--epochs", 9, "--no-report", cwd=path)
    assert done.returncode == 0, done.stderr
    return path


def test_predictions_for_the_folder_of_the_training(images):
    result = run("predict", "1", "photos", cwd=images)
    assert result.returncode == 0, result.stderr
    header, *lines = result.stdout.splitlines()
    assert header == "file,prediction"
    assert [line.partition(",")[0] for line in lines] == [
        f"{name}/{number:02d}.png" for name in ("dark", "light") for number in range(12)
    ]
    single = run("predict", "1", "photos/light", cwd=images).stdout.splitlines()[1:]
    assert single == [line.removeprefix("light/") for line in lines[12:]]
    one = run("predict", "1", "photos/light/03.png", cwd=images).stdout.splitlines()[1:]
    assert one == single[3:4]


def test_folder_that_holds_other_files_too(images, tmp_path):
    shutil.copytree(images / "photos", tmp_path / "photos")
    (tmp_path / "photos" / "dark" / "notes.txt").write_text("x")
    result = run("predict", images / "runs" / "001-photos", "photos", cwd=tmp_path)
    assert result.returncode == 3
    assert "or for a model of images nothing but images" in result.stderr


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"x" * 40])
def test_unreadable_image(images, tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    result = run("predict", images / "runs" / "001-photos", "bad.png", cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.startswith("fastmlp: error: bad.png: image: ")
    assert "BytesIO" not in result.stderr


def test_run_in_the_place_of_data(images):
    for arguments in (
        "look runs/001-photos",
        "train runs/001-photos",
        "evaluate 1 runs/001-photos",
    ):
        result = run(*arguments.split(), cwd=images)
        assert result.returncode == 3
        assert "001-photos: is a run, not data; 'fastmlp predict " in result.stderr


def test_spreadsheet(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    result = run("look", "t.xlsx", cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.endswith("; save the sheet as CSV\n")


def test_run_on_a_pipe(tmp_path):
    table = "a,y\n" + "".join(f"{i % 7},{'pq'[i % 2]}\n" for i in range(60))

    def piped(*args, text=""):
        return subprocess.run(
            command(*args), cwd=tmp_path, env=environment(), input=text, capture_output=True,
            text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip

    assert piped("train", "-", "--epochs", 1, "--no-report", text=table).returncode == 0
    assert piped("evaluate", 1, text=table).returncode == 0
    result = piped("evaluate", 1)
    assert result.returncode == 2
    assert result.stderr == (
        "fastmlp: error: runs/001-stdin: its data came from a pipe, which is gone; name a DATASET, "
        "or pipe it in again\n"
    )


@pytest.mark.parametrize(
    ("name", "slug"),
    [("房价", "房价"), ("größe 2024", "größe-2024"), ("हिन्दी", "हिन्दी"), ("a/b:c*?", "a-b-c"),
     ("..", "data"), ("🙂", "data"), ("x" * 300, "x" * 200), ("价" * 100, "价" * 66),
     ("-o.x_y", "o.x_y")],
)  # fmt: skip
def test_names_of_runs(tmp_path, name, slug):
    assert next_numbered(tmp_path, name) == tmp_path / f"001-{slug}"


def test_best_epoch_without_a_validation_part(tmp_path):
    for name in ("t", "u"):
        rows = [f"{i % 7},{'pq'[(i * i) % 2]}" for i in range(60)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,y", *rows, ""]))
    settings = ("--test", "u.csv", "--lr", "3", "--epochs", "9", "--no-report")
    result = run("train", "t.csv", "--target", "y", *settings, cwd=tmp_path)
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("best epoch")]
    document = json.loads((tmp_path / "runs" / "001-t" / "result.json").read_text())
    assert document["best_epoch"] < 9
    assert line.split(maxsplit=2)[2] == (
        f"{document['best_epoch']} by val_loss of the test part; the model is of the last one, as "
        "only a validation part selects"
    )
