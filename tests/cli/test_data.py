"""`fastmlp data` as a user runs it: real processes, a real cache, a real terminal."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from fastmlp import datasets
from support.cli_process import TIMEOUT, environment, read_terminal, run
from support.systems import needs_terminals
from support.tiny_archive import ARCHIVE, NAME, TINY_CIFAR
from support.tiny_dataset import IMAGES, RAW, TINY, loopback_server, serve, sha, write_set

# The command line with sets of the test's own beside the registered ones.
LAUNCH = """
import pickle, sys
from fastmlp.datasets import REGISTRY
REGISTRY.update((spec.name, spec) for spec in pickle.loads(bytes.fromhex(sys.argv.pop(1))))
from fastmlp.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def server():
    with loopback_server() as running:
        yield running


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "fastmlp" / "datasets"


@pytest.fixture
def own(tmp_path, server):
    """Runs a command with two small sets and a cache of its own."""
    tiny = replace(TINY, mirrors=(serve(server),))
    arguments = pickle.dumps((tiny, TINY_CIFAR)).hex()
    places = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path), "NO_PROXY": "*"}

    def start(*args, terminal=False, answer="", **variables):
        command = [sys.executable, "-c", LAUNCH, arguments, *map(str, args)]
        options = {"cwd": tmp_path, "env": environment(**places, **variables)}
        if terminal:
            return on_terminal(command, answer, options)
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False,
            stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    return start


def on_terminal(command, answer, options):
    """Run a command whose input and messages are a terminal, and give it an answer."""
    import pty

    leader, follower = pty.openpty()
    os.write(leader, answer.encode())
    with subprocess.Popen(
        command, stdin=follower, stdout=subprocess.PIPE, stderr=follower, **options
    ) as process:
        os.close(follower)
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    shown = read_terminal(leader).replace("\r\n", "\n")
    return subprocess.CompletedProcess(command, process.returncode, output.decode(), shown)


def documents(result, code=0):
    """The one JSON object that a command prints."""
    assert result.returncode == code, result.stderr
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


# ---------------------------------------------------------------- list


def test_list(own, cache):
    write_set(cache / "tiny")
    lines = own("data", "list").stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert lines[0].split() == ["name", "kind", "samples", "features", "classes", "cached", "in"]
    assert list(rows)[1:] == [*datasets.available(), "tiny", "tiny-cifar"]
    assert rows["tiny"][1:] == ["download", "12", "+", "5", "6", "4", str(cache / "tiny")]
    assert rows["mnist"][1:7] == ["download", "60,000", "+", "10,000", "784", "10"]
    assert " ".join(rows["cifar10"][7:]) == "not in the cache (fastmlp data fetch cifar10)"
    assert rows["digits"][1:] == ["scikit-learn", "1,797", "64", "10", "-"]
    assert rows["sine"][1:] == ["synthetic", "1,000", "1", "regression", "-"]


def test_list_as_json(own, cache):
    write_set(cache / "tiny")
    result = documents(own("data", "list", "--json"))
    assert result["schema"] == "fastmlp.data.list"
    rows = {row["name"]: row for row in result["datasets"]}
    assert rows["tiny"] == {
        "name": "tiny", "kind": "download", "task": "classification", "samples": 12,
        "test_samples": 5, "features": 6, "classes": 4, "image_shape": [3, 2],
        "path": str(cache / "tiny"),
    }  # fmt: skip
    assert rows["cifar10"]["path"] is None
    assert rows["cifar10"]["image_shape"] == [32, 32, 3]
    assert rows["diabetes"] == {
        "name": "diabetes", "kind": "scikit-learn", "task": "regression", "samples": 442,
        "test_samples": None, "features": 10, "classes": None, "image_shape": None, "path": None,
    }  # fmt: skip


def test_list_needs_no_scikit_learn(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise SystemExit('imported')")
    result = run("data", "list", PYTHONPATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert result.returncode == 0
    assert "iris" in result.stdout


# ---------------------------------------------------------------- fetch, path


def test_fetch_then_path(own, cache):
    absent = own("data", "path", "tiny")
    assert absent.returncode == 3
    assert "run 'fastmlp data fetch tiny'" in absent.stderr
    result = own("data", "fetch", "tiny")
    assert (result.returncode, result.stdout) == (0, f"{cache / 'tiny'}\n")
    assert "trying mirror http://127.0.0.1" in result.stderr
    assert own("data", "path", "tiny").stdout == f"{cache / 'tiny'}\n"
    found = documents(own("data", "path", "TINY", "--json"))
    assert (found["name"], found["path"]) == ("tiny", str(cache / "tiny"))


def test_fetch_of_sets_without_files(own, cache):
    result = own("data", "fetch", "moons", "Sine")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "moons is computed and has no files of its own",
        "sine is computed and has no files of its own",
        "next: fastmlp train moons",
        "      fastmlp train sine",
    ]
    result = own("data", "fetch", "moons", "-q", "--json")
    assert result.stderr == ""
    assert documents(result)["datasets"] == [{"name": "moons", "path": None}]
    refused = own("data", "path", "breast_cancer")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "breast-cancer comes with scikit-learn and has no files" in refused.stderr
    assert not cache.exists()


def test_fetch_from_a_damaged_directory(own, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / NAME).write_bytes(ARCHIVE[:-1])
    result = own("data", "fetch", "tiny-cifar", "--data-dir", "d", "--json")
    assert documents(result, 3)["schema"] == "fastmlp.error"
    assert "sha256: must be" in result.stderr
    (tmp_path / "d" / NAME).write_bytes(ARCHIVE)
    assert own("data", "fetch", "tiny-cifar", FASTMLP_DATA_DIR="d").stdout == "d\n"


def test_fetch_of_what_nobody_has(own):
    result = own("data", "fetch", "tiny-cifar", "--offline")
    assert result.returncode == 3
    assert "not tried, FASTMLP_OFFLINE is set" in result.stderr
    assert NAME in result.stderr


# ---------------------------------------------------------------- verify


def test_verify(own, cache):
    nothing = own("data", "verify")
    assert nothing.returncode == 0
    assert {line.split()[0] for line in nothing.stdout.splitlines()} == {"missing"}
    folder = write_set(cache / "tiny")
    result = own("data", "verify", "tiny")
    assert result.returncode == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ok", "tiny", str(folder / name)] for name in RAW
    ]
    (folder / IMAGES).write_bytes(b"rubbish")
    result = own("data", "verify")
    assert result.returncode == 3
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("damaged"))
    assert line.split() == ["damaged", "tiny", str(folder / IMAGES)]
    assert "run 'fastmlp data fetch tiny' to replace" in result.stderr
    assert own("data", "fetch", "tiny").returncode == 0
    assert own("data", "verify").returncode == 0


def test_verify_as_json(own, cache):
    folder = write_set(cache / "tiny")
    (folder / IMAGES).write_bytes(b"rubbish")
    (cache / "tiny-cifar").mkdir()
    (cache / "tiny-cifar" / NAME).write_bytes(ARCHIVE)
    result = documents(own("data", "verify", "tiny", "tiny-cifar", "--json"), 3)
    assert result["schema"] == "fastmlp.data.verify"
    assert [row["status"] for row in result["files"]] == ["damaged", "ok", "ok", "ok", "ok"]
    assert result["files"][0] == {
        "name": "tiny", "file": IMAGES, "path": str(folder / IMAGES), "status": "damaged",
        "sha256": sha(b"rubbish"),
    }  # fmt: skip
    assert result["files"][4]["sha256"] == sha(ARCHIVE)


def test_verify_of_sets_without_files(own):
    result = own("data", "verify", "sine")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "sine is computed and has no files of its own\n"


# ---------------------------------------------------------------- clear


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_clear_without_a_terminal_needs_yes(own, cache):
    write_set(cache / "tiny")
    refused = own("data", "clear", "tiny")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--yes" in refused.stderr
    assert names_in(cache / "tiny") == sorted(RAW)
    cleared = own("data", "clear", "tiny", "--yes")
    size = sum(map(len, RAW.values()))
    assert (cleared.returncode, cleared.stdout) == (0, f"tiny: {size} bytes freed\n")
    assert names_in(cache) == []
    assert own("data", "clear", "tiny", "--yes").stdout == "tiny: 0 bytes freed\n"


def test_clear_as_json(own, cache):
    write_set(cache / "tiny")
    write_set(cache / "kmnist")
    write_set(cache / "mnist")
    size = sum(map(len, RAW.values()))
    result = documents(own("data", "clear", "tiny", "kmnist", "TINY", "moons", "--yes", "--json"))
    assert result["datasets"] == [
        {"name": "tiny", "freed_bytes": size},
        {"name": "kmnist", "freed_bytes": size},
        {"name": "moons", "freed_bytes": 0},
    ]
    assert result["freed_bytes"] == 2 * size
    assert names_in(cache) == ["mnist"]


@needs_terminals
@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("\n", False)])
def test_clear_asks_on_a_terminal(own, cache, answer, removed):
    write_set(cache / "tiny")
    result = own("data", "clear", "tiny", terminal=True, answer=answer)
    assert result.returncode == 0
    assert f"Remove {cache / 'tiny'}? [y/N]:" in result.stderr
    assert (cache / "tiny").exists() is not removed
    assert ("nothing was removed" in result.stderr) is not removed
    assert ("freed" in result.stdout) is removed


@needs_terminals
def test_clear_that_is_not_answered(own, cache):
    write_set(cache / "tiny")
    result = own("data", "clear", "tiny", terminal=True, answer="\x04")  # end of input
    assert result.returncode == 130
    assert names_in(cache / "tiny") == sorted(RAW)


@needs_terminals
def test_clear_does_not_ask_about_nothing(own):
    result = own("data", "clear", "tiny", terminal=True)
    assert (result.returncode, result.stdout) == (0, "tiny: 0 bytes freed\n")
    assert result.stderr == ""


def test_clear_leaves_the_directory_of_the_user(own, cache):
    write_set(cache / "tiny")
    result = own("data", "clear", "tiny", "--yes", FASTMLP_DATA_DIR=str(cache))
    assert result.returncode == 2
    assert "FASTMLP_DATA_DIR names it" in result.stderr
    assert names_in(cache / "tiny") == sorted(RAW)


@pytest.mark.parametrize("command", ["verify", "clear"])
def test_misspelt_names(own, command):
    result = own("data", command, "mnits")
    assert result.returncode == 2
    assert "did you mean 'mnist'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["verify", "clear"])
def test_help_starts_with_examples(command):
    result = run("data", command, "--help")
    assert result.returncode == 0
    assert result.stdout.index("Examples:") < result.stdout.index("Usage: ")
    assert "--json" in result.stdout
