"""What commands suggest to do next: lines on standard error that work when they are pasted."""

from __future__ import annotations

import json
import shlex
import shutil

import numpy as np
import pytest

from support.cli_process import run

SMALL = ["--target", "kind", "--epochs", "2", "--architecture", "mlp"]
TABLE = "my flowers.csv"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A directory with a table and a run on it, whose names have blanks."""
    directory = tmp_path_factory.mktemp("some work")
    rng = np.random.default_rng(0)
    kinds = np.arange(90) % 3
    rows = [f"{rng.normal(k):.3f},{rng.normal(-k):.3f},{'uvw'[k]}" for k in kinds]
    (directory / TABLE).write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    done = run("train", TABLE, *SMALL, "--out", "a run", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory


def steps(stderr):
    """The commands that are suggested."""
    lines = stderr.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("next: ")), len(lines))
    return [shlex.split(line.removeprefix("next:")) for line in lines[start:]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", TABLE, *SMALL, "--no-report", "--out", "{tmp}/r"],
         [["evaluate", "{tmp}/r"], ["predict", "{tmp}/r", TABLE]]),
        (["train", TABLE, *SMALL, "--folds", "2", "--out", "{tmp}/f"],
         [["predict", "{tmp}/f", TABLE]]),
        (["cv", TABLE, *SMALL, "--folds", "2", "--out", "{tmp}/cv"],
         [["predict", "{tmp}/cv", TABLE]]),
        (["evaluate", "a run"], [["plot", "a run", "confusion"]]),
        (["importance", "a run"], [["plot", "a run", "importance"]]),
        (["plot", "a run", "loss", "--overwrite"], [["report", "a run", "--open"]]),
        (["sweep", TABLE, *SMALL, "--trials", "1", "--out", "{tmp}/s",
          "--search", "optimizer.learning_rate=1e-3|1e-2"],
         [["train", "--config", "{tmp}/s/best.toml"]]),
        (["config", "init", TABLE, "-o", "{tmp}/c.toml"],
         [["config", "validate", "{tmp}/c.toml"]]),
        (["config", "init", "xor", "-o", "{tmp}/d.toml"],
         [["train", "--config", "{tmp}/d.toml"]]),
        (["data", "fetch", "xor"], [["train", "xor"]]),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else "",
)  # fmt: skip
def test_what_is_suggested_works(work, tmp_path, arguments, expected):
    def filled(words):
        return [word.replace("{tmp}", str(tmp_path)) for word in words]

    done = run(*filled(arguments), cwd=work)
    assert done.returncode == 0, done.stderr
    found = steps(done.stderr)
    assert found == [["fastmlp", *filled(words)] for words in expected]
    for words in found:
        more = ["--quiet"] if words[1] in ("train", "report") else []
        more += ["--out", str(tmp_path / "next"), "--epochs", "1"] if words[1] == "train" else []
        done = run(*words[1:], *more, cwd=work, BROWSER="true")
        assert done.returncode == 0, done.stderr


def test_a_found_rate_comes_with_all_other_options(work):
    done = run("lr-find", TABLE, *SMALL, "--no-shuffle", "-s", "training.batch_size=8",
               "--steps", "100", cwd=work)  # fmt: skip
    (words,) = steps(done.stderr)
    rate = words[-1]
    assert rate in done.stdout
    assert words[:3] == ["fastmlp", "train", TABLE]
    assert words[-2] == "--lr"
    planned = run(*words[1:], "--dry-run", "--json", cwd=work)
    config = json.loads(planned.stdout)["config"]
    assert config["optimizer"]["learning_rate"] == float(rate)
    assert config["training"]["batch_size"] == 8
    assert config["training"]["epochs"] == 2
    assert config["training"]["shuffle"] is False
    assert config["data"]["target"] == ["kind"]


@pytest.mark.parametrize("switch", ["--quiet", "--json"])
def test_quiet_and_json_suggest_nothing(work, switch):
    done = run("evaluate", "a run", switch, cwd=work)
    assert done.returncode == 0
    assert steps(done.stderr) == []


# ---------------------------------------------------------------- report --open


def test_a_report_is_written_and_opened(work, tmp_path):
    shutil.copy(work / TABLE, tmp_path)
    done = run("train", TABLE, *SMALL, "--out", "a run", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = tmp_path / "a run" / "report.html"
    report.write_text("old")
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" > '{opened}'\n")
    browser.chmod(0o755)
    done = run("report", "a run", "--open", cwd=tmp_path, BROWSER=str(browser))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a run/report.html\n"
    assert len(report.read_text()) > 1000
    assert opened.read_text().strip() == report.resolve().as_uri()

    # Without its data, the report that exists is shown, and the command says what is missing.
    (tmp_path / TABLE).unlink()
    opened.unlink()
    before = report.read_bytes()
    done = run("report", "a run", "--open", cwd=tmp_path, BROWSER=str(browser))
    assert (done.returncode, done.stdout) == (0, "a run/report.html\n")
    assert "fastmlp: warning: not written again: " in done.stderr
    assert TABLE in done.stderr
    assert opened.exists()
    assert report.read_bytes() == before
    assert run("report", "a run", cwd=tmp_path).returncode == 3
    report.unlink()
    assert run("report", "a run", "--open", cwd=tmp_path).returncode == 3


def test_without_a_browser_the_path_is_told(work):
    done = run("report", "a run", "--open", cwd=work, BROWSER="", PATH="", DISPLAY="")
    assert (done.returncode, done.stdout) == (0, "a run/report.html\n")
    assert "no browser was found; open a run/report.html in one" in done.stderr


def test_a_directory_whose_name_looks_like_an_option(work):
    done = run("train", TABLE, *SMALL, "--no-report", "--out=-odd", cwd=work)
    assert done.returncode == 0, done.stderr
    (words, *_) = steps(done.stderr)
    assert words == ["fastmlp", "evaluate", "./-odd"]
    assert run(*words[1:], cwd=work).returncode == 0


def test_what_the_terminal_cannot_show_is_not_suggested(work):
    encoding = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run("train", TABLE, *SMALL, "--no-report", "--out", "größe", cwd=work, **encoding)
    assert done.returncode == 0, done.stderr
    assert steps(done.stderr) == []
