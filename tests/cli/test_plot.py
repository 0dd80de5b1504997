"""`fastmlp plot` and `fastmlp report`: pictures as files and as text."""

from __future__ import annotations

import json
import re

import pytest

from fastmlp.cli import main
from fastmlp.cli.commands.plot import Curve, drawn
from fastmlp.experiment.rundir import RunDirectory
from support.cli_process import ESCAPE, run
from support.serving_models import train

pytest.importorskip("matplotlib")

COMMON = ["loss", "accuracy", "learning-rate", "confusion", "scores", "gradients"]
CURVES = ["roc", "precision-recall", "calibration"]
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Runs of several kinds in runs/: 1 moons, 2 diabetes, 3 iris by L-BFGS."""
    path = tmp_path_factory.mktemp("plot")
    for name, *settings in (("moons",), ("diabetes",), ("iris", "--optimizer", "lbfgs")):
        train(path, name, *settings, "--epochs", 3, "--hidden", 4)
    return path


@pytest.fixture
def draw(work, monkeypatch, capsys):
    """A function that gives what is printed: standard output, or errors with a code."""
    monkeypatch.chdir(work)
    capsys.readouterr()

    def printed(*args, code=0, command="plot"):
        assert main([command, *map(str, args), "-q"]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return printed


# ---------------------------------------------------------------- files


def test_all_that_a_run_has(work, draw):
    expected = [
        f"runs/001-moons/plots/{kind}.svg" for kind in [*COMMON[:5], *CURVES, COMMON[5], "regions"]
    ]
    assert draw("1").splitlines() == expected
    for name in expected:
        text = (work / name).read_text()
        assert "</svg>" in text
    before = (work / expected[0]).read_bytes()
    draw("1", "loss")
    assert (work / expected[0]).read_bytes() == before


def test_runs_without_classes_or_rates_have_other_pictures(draw, tmp_path):
    named = {name: draw(name, "-o", tmp_path / name).split() for name in ("2", "3")}
    kinds = {name: [re.sub(r".*/|\.svg", "", p) for p in paths] for name, paths in named.items()}
    assert kinds["2"] == ["loss", "learning-rate", "predictions", "residuals", "gradients"]
    assert kinds["3"] == ["loss", "confusion", "scores", "gradients"]


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_formats_by_suffix_and_by_name(draw, suffix, tmp_path):
    file = tmp_path / f"a.{suffix.upper()}"
    assert draw("1", "loss", "-o", file) == f"{file}\n"
    assert file.read_bytes().startswith(MAGIC[suffix])
    draw("1", "loss", "loss", "--format", suffix, "-o", tmp_path / "made" / "here")
    again = tmp_path / "made" / "here" / f"loss.{suffix}"
    # The same picture is the same bytes.
    assert again.read_bytes() == file.read_bytes()


def test_files_that_somebody_named_are_not_overwritten_unasked(draw, tmp_path):
    file = tmp_path / "a.svg"
    file.write_text("mine")
    assert "add --overwrite" in draw("1", "loss", "-o", file, code=2)
    assert file.read_text() == "mine"
    draw("1", "loss", "-o", file, "--overwrite")
    assert file.read_text().startswith("<?xml")
    draw("1", "loss", "-o", tmp_path)
    assert "loss.svg: exists already" in draw("1", "loss", "-o", tmp_path, code=2)


def test_curves_name_the_part_that_was_measured(work, tmp_path, monkeypatch):
    """Without a validation part that is the test part."""
    import matplotlib

    monkeypatch.chdir(work)
    train(tmp_path, "moons", "--validation-fraction", 0, "--epochs", 2, "--out", "run")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        for path, part in (("runs/001-moons", "validation"), (tmp_path / "run", "test")):
            assert main(["plot", str(path), "loss", "-o", str(tmp_path / f"{part}.svg")]) == 0
            text = (tmp_path / f"{part}.svg").read_text()
            assert f">{part}<" in text


def test_json_names_the_files(draw, tmp_path):
    document = json.loads(draw("1", "loss", "regions", "-o", tmp_path, "--json"))
    assert document["run"] == "runs/001-moons"
    pictures = [{"kind": k, "file": str(tmp_path / f"{k}.svg")} for k in ("loss", "regions")]
    assert document["pictures"] == pictures


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("1", "los"), 2, "no such picture 'los'; did you mean 'loss'?"),
        (("1", "importance"), 2, "importance: the samples are no tables"),
        (("1", "weights"), 2, "weights: the inputs are no images"),
        (("1", "predictions"), 2, "predictions: the task is classification, not regression"),
        (("2", "accuracy"), 2, "accuracy: the run measured none"),
        (("2", "scores"), 2, "scores: a regression has no classes"),
        (("2", "confusion"), 2, "confusion: the task is regression, not classification"),
        (("3", "learning-rate"), 2, "learning-rate: the run measured none"),
        (("3", "regions"), 2, "regions: the model has 4 inputs, not 2"),
        (("1", "loss", "accuracy", "-o", "a.svg"), 2, "a file needs exactly one KIND, got 2"),
        (
            ("1", "loss", "-o", "a.svg", "--format", "png"),
            2,
            "has the suffix of svg, --format is png",
        ),
        (("1", "--terminal", "--json"), 2, "--terminal writes text"),
        (("1", "regions", "--terminal"), 2, "regions: is no curve; --terminal draws loss"),
        (("empty",), 2, "empty: has nothing to draw (loss: no epoch is finished)"),
        (("empty", "regions"), 2, "regions: the run has no model yet"),
        (("empty", "--terminal"), 2, "no epoch is finished"),
        (("7",), 2, "no run 7 in runs"),
        (("1", "loss", "-o", "file"), 1, "file: is a file, expected a directory"),
        (("none",), 2, "none: is no directory"),
        (("damaged", "regions"), 4, "damaged/last.safetensors: is no model file"),
    ],
)
def test_what_cannot_be_drawn_says_why(work, draw, args, code, message):
    settings = (work / "runs/001-moons/config.toml").read_text()
    for name in ("empty", "damaged"):
        (work / name).mkdir(exist_ok=True)
        (work / name / "config.toml").write_text(settings)
    (work / "damaged" / "last.safetensors").write_bytes(b"no model at all")
    (work / "file").write_text("")
    errors = draw(*args, code=code)
    assert message in errors
    assert errors.count("\n") == 1
    assert not (work / "a.svg").exists()


# ---------------------------------------------------------------- the terminal


def test_curves_in_a_pipe_are_plain_text(work):
    pytest.importorskip("plotext")
    done = run("plot", "1", "--terminal", cwd=work, COLUMNS="72")
    assert (done.returncode, done.stderr) == (0, "")
    assert ESCAPE not in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) == 72
    titles = [line.strip() for line in lines if "validation" in line]
    key = "\u2836 training   \u2022 validation"
    assert titles == [f"loss: {key}", f"accuracy (%): {key}"]
    assert "learning rate" in done.stdout
    assert [line.split() for line in lines].count(["1", "2", "3"]) == 3
    # The highest and the lowest value of both lines stand at the axis.
    records = RunDirectory.open(work / "runs/001-moons").records()
    losses = [record[key] for record in records for key in ("loss", "val_loss")]
    ticks = [float(line.partition("\u2524")[0]) for line in lines[:14] if "\u2524" in line]
    assert [max(ticks), min(ticks)] == pytest.approx([max(losses), min(losses)], abs=0.005)


def test_curves_have_colors_where_they_are_asked_for(work):
    pytest.importorskip("plotext")
    colored = run("plot", "1", "loss", "--terminal", cwd=work, FORCE_COLOR="1").stdout
    assert f"{ESCAPE}38;5;4m" in colored
    plain = run("plot", "1", "loss", "--terminal", cwd=work, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert ESCAPE not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored).split() == plain.split()


def test_an_encoding_without_blocks_gets_letters(work):
    pytest.importorskip("plotext")
    done = run("plot", "1", "loss", "--terminal", cwd=work, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "loss: * training   o validation" in done.stdout
    assert re.search(r"^ *\d\.\d+\+.*\*\*\*.*\|$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("epochs", [1, 2, 7, 8, 1000])
def test_epochs_at_the_axis_are_whole(epochs, monkeypatch):
    pytest.importorskip("plotext")
    monkeypatch.setenv("COLUMNS", "80")
    points = [(epoch, 1 / epoch) for epoch in range(1, epochs + 1)]
    text = drawn([Curve("loss", {"training": points})], color=False)
    assert text.splitlines()[0].strip() == "loss"
    ticks = text.splitlines()[-2].split()
    assert ticks[0] == "1"
    assert ticks[-1] == str(epochs)
    assert len(ticks) == min(epochs, 7)
    assert all(tick.isdigit() for tick in ticks)


# ---------------------------------------------------------------- reports


def test_a_report_is_written_anew(work, draw):
    pytest.importorskip("jinja2")
    directory = work / "runs/001-moons"
    done = run("report", "1", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["report"] == "runs/001-moons/report.html"
    assert document["part"] == "test"
    assert "runs/001-moons/plots/confusion_matrix.svg" in document["plots"]
    assert all((work / path).is_file() for path in document["plots"])
    page = (directory / "report.html").read_text()
    accuracy = RunDirectory.open(directory).result()["test"]["accuracy"]
    assert f"{100 * accuracy:.2f}" in page
    (directory / "report.html").unlink()
    assert draw("1", command="report") == "runs/001-moons/report.html\n"
    assert (directory / "report.html").read_text() == page


def test_a_report_that_cannot_be_made(work, draw):
    pytest.importorskip("jinja2")
    assert "has no model yet" in draw("empty", command="report", code=2)
    (work / "runs/003-iris" / "plots").write_text("")
    errors = draw("3", command="report", code=1)
    assert errors.startswith("fastmlp: error: cannot write the report of runs/003-iris: ")
    assert errors.count("\n") == 1
