"""`fastmlp export`: files, messages and exit codes, as a shell sees them."""

from __future__ import annotations

import csv
import datetime
import json
import sys

import numpy as np
import pytest

from fastmlp.cli import main
from fastmlp.cli.errors import ExitCode
from support.cli_process import run
from support.export_models import trained


@pytest.fixture
def model_path(tmp_path):
    trained().save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def call(*arguments):
    return main(["export", *map(str, arguments)])


def write_table(path):
    """Three kinds of things told apart by sizes, colors and dates, of which some are missing."""
    random = np.random.Generator(np.random.PCG64(9))
    lines = ["height (m),color,planted,kind"]
    for row in range(90):
        cells = [
            f"{random.normal((row % 3) * 2, 1):.3f}",
            ("red", "green", "brown")[row * 7 % 5 % 3],
        ]
        cells.append(f"20{10 + row % 7}-{1 + row % 12:02}-{1 + row % 28:02}")
        if row % 10 == 0:
            cells[row // 10 % 3] = ""
        lines.append(f"{','.join(cells)},{('elm', 'oak', 'ash')[row % 3]}")
    path.write_text("\n".join(lines) + "\n")


def seconds(date):
    if not date:
        return np.nan
    return datetime.datetime.fromisoformat(f"{date}T00:00+00:00").timestamp()


def test_a_run_on_a_table_becomes_a_graph_that_takes_raw_values(tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("polars")
    table = tmp_path / "trees.csv"
    write_table(table)
    settings = ("--target", "kind", "--hidden", "8", "--epochs", "3")
    done = run("train", table, *settings, "--no-report", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("export", "run", "--format", "onnx", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["schema"] == "fastmlp.export"
    assert (document["status"], document["format"]) == ("completed", "onnx")
    assert document["file"] == document["model"].replace(".safetensors", ".onnx")
    assert document["check"]["passed"]
    assert document["check"]["label_differences"] == 0
    path = tmp_path / document["file"]
    assert path.stat().st_size == document["bytes"]

    with table.open() as file:
        rows = list(csv.DictReader(file))
    feeds = {
        "height_m": np.array([float(row["height (m)"] or "nan") for row in rows]),
        "color": np.array([row["color"] for row in rows], object),
        "planted": np.array([seconds(row["planted"]) for row in rows]),
    }
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    probabilities, labels, problem = session.run(
        None, {name: values[:, np.newaxis] for name, values in feeds.items()}
    )
    assert not problem.any()
    done = run("predict", "run", table, "--probabilities", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["prediction"] for row in rows] == labels.tolist()
    for column, name in enumerate(("ash", "elm", "oak")):
        expected = [row[f"p({name})"] for row in rows]
        np.testing.assert_allclose(probabilities[:, column], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "file_name", "begins"),
    [
        (("-o", "{}/a.npz"), "a.npz", b"PK"),
        (("--output", "{}/a.H"), "a.H", b"/*\n * a: a multi-layer perceptron"),
        (("-o", "{}/a.h", "--name", "net"), "a.h", b"/*\n * net: a multi-layer perceptron"),
        (("--format", "npz"), "net.npz", b"PK"),
        (("--format", "c"), "net.h", b"/*\n * net: "),
        (("--format", "c", "-o", "{}/weights.inc"), "weights.inc", b"/*\n * weights: "),
    ],
)
def test_formats_and_file_names(arguments, file_name, begins, model_path, tmp_path, capsys):
    assert call(model_path, *(part.format(tmp_path) for part in arguments)) == ExitCode.OK
    content = (tmp_path / file_name).read_bytes()
    assert content.startswith(begins)
    captured = capsys.readouterr()
    assert captured.out == f"file  {tmp_path / file_name} ({len(content):,} bytes)\n"
    assert captured.err == ""


@pytest.mark.parametrize(
    ("flags", "says"), [((), True), (("--check",), True), (("--no-check",), False)]
)
def test_onnx_is_checked_unless_told_not_to(flags, says, model_path, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert call(model_path, "--format", "onnx", *flags) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["file", *["check"] * says]
    if says:
        assert lines[1].startswith("check  256 samples: no labels differ, probabilities")


def test_a_check_that_fails_is_code_6_and_keeps_the_file(tmp_path, capsys):
    """Numbers so large that the network itself overflows: nothing can be said about the file."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = trained("mse", "identity")
    model.weights = [np.full(w.shape, 1e30, np.float32) for w in model.weights]
    model.save(tmp_path / "net.safetensors")
    flags = (tmp_path / "net.safetensors", "--format", "onnx")
    assert call(*flags) == ExitCode.CHECK_FAILED
    captured = capsys.readouterr()
    assert captured.out.startswith("file  ")
    assert len(captured.out.splitlines()) == 1
    assert f"{tmp_path / 'net.onnx'} differs from" in captured.err
    assert (tmp_path / "net.onnx").exists()
    assert call(*flags, "--overwrite", "--json") == ExitCode.CHECK_FAILED
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "check_failed"
    assert document["check"]["passed"] is False


def test_files_are_overwritten_on_request_alone(model_path, tmp_path, capsys):
    (tmp_path / "a.npz").write_bytes(b"old")
    assert call(model_path, "-o", tmp_path / "a.npz") == ExitCode.USAGE
    assert "a.npz: exists already; add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert call(model_path, "-o", tmp_path / "a.npz", "--overwrite") == ExitCode.OK
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert "layers.0.weights" in archive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a format is needed: add --format, or name a file with --output"),
        (
            ("-o", "a.txt"),
            "--output a.txt: must end with .onnx, .npz, .h, or --format must be given",
        ),
        (("-o", "a.npz", "--format", "c"), "--output a.npz: has the suffix of npz, --format is c"),
        (("--format", "pickle"), "must be one of onnx, npz, c, got 'pickle'"),
        (("-o", "a.npz", "--name", "x"), "--name: is for C headers, not for npz"),
        (("-o", "a.npz", "--check"), "--check: is for ONNX, not for npz"),
        (("-o", "a.h", "--name", "1x"), "name must be letters, digits and single underscores"),
        (("-o", ".", "--format", "c"), "--output .: is a directory"),
        (("-o", "nowhere/a.h"), "--output nowhere/a.h: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_code_2(
    arguments, message, model_path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert call(model_path, *arguments) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == [model_path.name]


def test_a_damaged_model_is_code_4(model_path, tmp_path, capsys):
    damaged = bytearray(model_path.read_bytes())
    damaged[-1] ^= 1
    model_path.write_bytes(damaged)
    assert call(model_path, "--format", "npz") == ExitCode.MODEL_FILE
    assert call(tmp_path / "none.safetensors", "--format", "npz") == ExitCode.MODEL_FILE
    assert [entry.name for entry in tmp_path.iterdir()] == [model_path.name]
    assert "net.safetensors" in capsys.readouterr().err


def test_a_missing_package_is_code_7(model_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert call(model_path, "--format", "onnx") == ExitCode.EXTRA_MISSING
    assert "pip install 'fastmlp[export]'" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == [model_path.name]


def test_the_help_shows_how(capsys):
    assert call("--help") == ExitCode.OK
    text = capsys.readouterr().out
    assert text.index("fastmlp export runs/001-mnist --format onnx") < text.index("Usage:")
    for option in ("--format", "--output", "--check / --no-check", "--name", "--overwrite"):
        assert option in text
