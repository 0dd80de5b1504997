"""`fastmlp look`: the command that it shows is one that runs, or it says why there is none."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from support.cli_process import run

ROWS = 60


@pytest.fixture
def look(tmp_path):
    def start(columns, *options):
        lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
        (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
        result = run("look", "t.csv", *options, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return start


SIZES = [f"{(7 * i) % 31}.5" for i in range(ROWS)]
KINDS = ["a", "b", "c"] * 20
IDS = [str(i) for i in range(ROWS)]
DATES = [f"0{1 + i % 9}/0{1 + i % 8}/2020" for i in range(ROWS)]


def test_command_for_a_target_that_is_not_named(look, tmp_path):
    columns = {"size": SIZES, "kind": KINDS, "id": IDS}
    shown = look(columns)
    assert '-  no target is named: --target "kind" is a guess' in shown
    command = shown.splitlines()[-1]
    assert command.strip() == "fastmlp train t.csv --target kind"
    arguments = shlex.split(command)[1:]
    result = run(*arguments, "--epochs", "1", "--no-report", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    document = json.loads(look(columns, "--json"))
    assert (document["targets"], document["guess"]) == ([], "kind")
    assert document["train"] == command.strip()


def test_options_to_decide_are_in_the_command(look, tmp_path):
    columns = {"size": SIZES, "when": DATES, "y": KINDS}
    lines = look(columns).splitlines()
    assert lines[-2] == "train, with one option from each pair of braces"
    first, second = re.fullmatch(r"  fastmlp (.*) \{(.*) \| (.*)\}", lines[-1]).groups()[0:2]
    result = run(*shlex.split(f"{first} {second}"), "--epochs", "1", "--no-report", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    document = json.loads(look(columns, "--json"))
    assert document["train"] is None
    assert document["choices"] == [['--date "when=%d/%m/%Y"', '--date "when=%m/%d/%Y"']]


def test_no_command_for_what_cannot_be_trained(look):
    columns = {"size": SIZES, "y": ["", *KINDS[1:]]}
    assert "1 of 60 rows lack the target 'y' and will be left out" in look(columns)
    shown = look(columns, "--missing", "error")
    assert "!  1 of 60 rows lack the target 'y': leave --missing error out" in shown
    assert shown.endswith("train\n  not before what is marked with ! is settled\n")
    document = json.loads(look(columns, "--missing", "error", "--json"))
    assert document["train"] is None
    assert document["obstacles"] == [t for t in document["suspicions"] if "lack the target" in t]


# ---------------------------------------------------------------- patterns of files


@pytest.fixture
def parts(tmp_path):
    for number in range(1, 6):
        rows = [f"{i * number % 13},{i % 7},{i % 2}" for i in range(40)]
        (tmp_path / f"part-{number}.csv").write_text("\n".join(["a,b,y", *rows, ""]))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    ["look {}", "train {} --epochs 1 --no-report", "train {} --dry-run", "lr-find {} --steps 3",
     "config show {}"],
)  # fmt: skip
@pytest.mark.parametrize("pattern", ["part-*.csv", "part*", "part-[1-5].csv", "./part-?.csv"])
def test_patterns(parts, arguments, pattern):
    words = [word.format(pattern) for word in arguments.split()]
    result = run(*words, cwd=parts)
    # Three steps read the data, but tell no rate.
    assert result.returncode == (6 if "lr-find" in words else 0), result.stderr


def test_pattern_of_no_file(parts):
    for command in ("look", "train", "lr-find"):
        result = run(command, "no-*.csv", cwd=parts)
        assert result.returncode == 3
        assert "no-*.csv: no file has a name like this" in result.stderr


@pytest.mark.parametrize("command", ["look", "train", "lr-find", "evaluate 1", "predict 1"])
def test_pattern_that_the_shell_replaced(parts, command):
    files = sorted(path.name for path in parts.glob("part-*.csv"))
    result = run(*command.split(), *files, cwd=parts)
    assert result.returncode == 2
    assert (
        "unexpected extra arguments (part-2.csv part-3.csv part-4.csv and 1 more); quote the "
        "pattern of a table in several files, as in 'part-*.csv'"
    ) in result.stderr
    wrong = run(*command.split(), files[0], "house", cwd=parts)
    assert "unexpected extra argument (house) (see" in wrong.stderr
