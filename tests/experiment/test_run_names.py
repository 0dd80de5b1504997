"""What the RUN of a command may be: a number, a name, a path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastmlp.cli.errors import ConfigError
from fastmlp.cli.runs import resolve_run, run_paths
from support.cli_process import run


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTMLP_RUNS", raising=False)
    return tmp_path / "runs"


def make_run(path):
    path.mkdir(parents=True)
    (path / "config.toml").write_text('[data]\nsource = "iris"\n')


def test_a_number_is_a_run_whatever_lies_here(runs):
    for name in ("003-iris", "012-mnist", "1000-wine", "named"):
        make_run(runs / name)
    Path("3").mkdir()
    assert resolve_run("3") == resolve_run("003") == Path("runs/003-iris")
    assert resolve_run("12") == Path("runs/012-mnist")
    assert resolve_run("1000") == Path("runs/1000-wine")
    assert resolve_run("./3") == Path("3")
    assert resolve_run("3", runs) == runs / "003-iris"


def test_a_name_is_looked_for_here_and_then_among_the_runs(runs):
    make_run(runs / "003-iris")
    assert resolve_run("003-iris") == Path("runs/003-iris")
    assert resolve_run("runs/003-iris") == Path("runs/003-iris")
    Path("003-iris").touch()
    assert resolve_run("003-iris") == Path("003-iris")
    assert resolve_run("model.safetensors") == Path("model.safetensors")
    assert resolve_run("~/x") == Path.home() / "x"


@pytest.mark.parametrize("number", ["2", "0", "00", "9" * 5000, "999999999999999999999999"])
def test_a_number_without_a_run_is_an_error(runs, number):
    make_run(runs / "003-iris")
    with pytest.raises(ConfigError, match=r"no run \d+ in runs; the latest is 003-iris"):
        resolve_run(number)


def test_a_number_of_two_runs_is_an_error(runs):
    make_run(runs / "003-iris")
    make_run(runs / "03-copy")
    with pytest.raises(ConfigError, match="runs/003-iris and runs/03-copy have the number 3"):
        resolve_run("3")


def test_runs_are_in_the_order_of_their_numbers(runs):
    names = ["001-a", "2-b", "010-c", "999-d", "1000-e", f"{'9' * 5000}-f"[:200], "named"]
    for name in reversed(names):
        make_run(runs / name)
    (runs / "005-empty").mkdir()
    (runs / "006-file").touch()
    assert [path.name for path in run_paths(runs)] == names
    assert run_paths(runs / "none") == run_paths(runs / "006-file") == []


def test_a_variable_names_the_directory_of_the_runs(runs, monkeypatch, tmp_path):
    make_run(tmp_path / "elsewhere" / "001-iris")
    monkeypatch.setenv("FASTMLP_RUNS", str(tmp_path / "elsewhere"))
    assert resolve_run("1") == tmp_path / "elsewhere" / "001-iris"
    monkeypatch.delenv("FASTMLP_RUNS")
    done = run("runs", "list", "--json", FASTMLP_RUNS=str(tmp_path / "elsewhere"))
    assert [row["name"] for row in json.loads(done.stdout)["runs"]] == ["001-iris"]
