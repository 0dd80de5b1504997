"""Names in any script, where the terminal or the pipe has an encoding that lacks them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support.cli_process import TIMEOUT, command, environment, run

NAMES = "κόσμος", "名前", "größe", "\N{GRINNING FACE}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encodings")
    rows = [",".join((*NAMES, "art"))]
    for row in range(240):
        numbers = (f"{(row * 37 + 11 * at) % 101 + 20 * (row % 3)}" for at in range(len(NAMES)))
        rows.append(",".join((*numbers, ("α", "naïve", "z")[row % 3])))
    (folder / "таблица.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    made = run("train", "таблица.csv", "--target", "art", "--hidden", "8", "--epochs", "2",
               "--out", "модель", cwd=folder, PYTHONUTF8="1")  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "таблица.csv", "--target", "art", "--hidden", "8", "--epochs", "3"),
        ("runs", "list", "--runs", "."),
        ("runs", "show", "модель"),
        ("evaluate", "модель"),
        ("inspect", "модель"),
        ("importance", "модель"),
        ("plot", "модель", "loss", "--terminal"),
        ("report", "модель"),
        ("predict", "модель", "таблица.csv"),
        ("look", "таблица.csv"),
        ("cv", "таблица.csv", "--target", "art", "--hidden", "8", "--epochs", "2", "--folds", "2"),
        ("compare", "модель", "модель"),
        ("config", "show", "--config", "модель/config.toml"),
        ("train", "名前.csv"),
        ("data", "list"),
        ("info",),
    ],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_no_character_ends_a_command(folder, arguments, encoding):
    done = subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, timeout=TIMEOUT, check=False,
        env=environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
    )  # fmt: skip
    shown = (done.stdout + done.stderr).decode(encoding, "replace")
    assert "codec" not in shown, shown
    assert "Traceback" not in shown, shown
    expected = 3 if arguments == ("train", "名前.csv") else 0
    assert done.returncode == expected, shown


def test_what_is_printed_can_be_read_again(folder):
    """The numbers of characters are those of JSON and TOML."""
    shown = run("inspect", "модель", "--json", cwd=folder, PYTHONIOENCODING="cp1252").stdout
    assert set(NAMES) <= set(json.dumps(json.loads(shown), ensure_ascii=False).split('"'))
    shown = run("predict", "модель", "таблица.csv", cwd=folder, PYTHONIOENCODING="cp1252").stdout
    assert "α" in shown  # answers are data, whose encoding is UTF-8


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes")
@pytest.mark.parametrize("words", [("d\udcf6.csv", "y"), ("ok.csv", "y\udce2")])
def test_a_name_that_is_no_utf8_is_refused_before_a_run_begins(words, tmp_path):
    name, target = words
    (tmp_path / name).write_text("a,y\n1,0\n2,1\n3,0\n4,1\n", encoding="utf-8")
    ended = run("train", name, "--target", target, "--architecture", "mlp", cwd=tmp_path)
    assert ended.returncode == 2
    assert "must be a name in UTF-8" in ended.stderr
    assert os.listdir(tmp_path) == [name]
