"""`fastmlp completion`: scripts that a real bash takes, and what it offers then."""

from __future__ import annotations

import gzip
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars
import pytest

from fastmlp.cli.app import COMMANDS
from support.cli_process import TIMEOUT, environment, run
from support.systems import needs_terminals

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# What pip installs for the entry point in pyproject.toml.
ENTRY_POINT = f"""#!{sys.executable}
import sys
from fastmlp.cli import main
sys.exit(main())
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A working directory with two runs, and `fastmlp` among the commands of a shell."""
    program = tmp_path / "bin" / "fastmlp"
    program.parent.mkdir()
    program.write_text(ENTRY_POINT)
    program.chmod(0o755)
    for name in ("001-mnist", "002-iris", "notes"):
        (tmp_path / "cwd" / "runs" / name).mkdir(parents=True)
    table = "# a comment\narea,price,sold on,street\n1,2,3,4\n"
    cwd = tmp_path / "cwd"
    for name in ("t.csv", "part-1.csv", "part-2.csv"):
        (cwd / name).write_text(table)
    (cwd / "t.csv.gz").write_bytes(gzip.compress(table.encode()))
    (cwd / "t.tsv").write_text("x\ty\n1\t2\n")
    (cwd / "t.jsonl").write_text('{"u": 1, "v": 2}\n')
    polars.DataFrame({"left": [1], "right": [2]}).write_parquet(cwd / "t.parquet")
    for name in ("001-mnist", "002-iris"):
        (tmp_path / "cwd" / "runs" / name / "config.toml").touch()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(sys.modules["fastmlp"].__file__).parents[1]))


COMPLETE = """
source <(fastmlp completion bash)
complete -p fastmlp
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_fastmlp_completion fastmlp
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words):
    """What bash offers for the last of the words, by the script of this command."""
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", COMPLETE, "bash", *words], env=environment(),
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    registered, *items = done.stdout.split("\n")
    assert registered == "complete -o nosort -F _fastmlp_completion fastmlp"
    return [item for item in items if item]


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fastmlp", "co"], [name for name in COMMANDS if name.startswith("co")]),
        (["fastmlp", "runs", ""], ["list", "rm", "show"]),
        (["fastmlp", "config", "v"], ["validate"]),
        (["fastmlp", "train", "--opt"], ["--optimizer"]),
        (["fastmlp", "train", "fashion"], ["fashion-mnist"]),
        (["fastmlp", "train", "mnist", "--lr-"], ["--lr-schedule"]),
        (["fastmlp", "train", "m", "--monitor", "val_b"], ["val_balanced_accuracy", "val_brier"]),
        (["fastmlp", "runs", "show", ""], ["001-mnist", "002-iris"]),
        (["fastmlp", "runs", "rm", "001-mnist", "002"], ["002-iris"]),
        (["fastmlp", "runs", "list", "--sort", "s"], ["status", "seconds", "started"]),
        (["fastmlp", "completion", ""], ["bash", "zsh", "fish"]),
        (["fastmlp", "train", "t.csv", "--target", ""], ["area", "price", "'sold on'", "street"]),
        (["fastmlp", "train", "t.csv", "--target", "pr"], ["price"]),
        (["fastmlp", "train", "t.csv", "--exclude", "area,s"], ["'area,sold on'", "area,street"]),
        (["fastmlp", "cv", "t.csv", "--target", "price", "--group", "str"], ["street"]),
        (["fastmlp", "look", "t.tsv", "--target", ""], ["x", "y"]),
        (["fastmlp", "train", "t.csv.gz", "--sample-weight", "p"], ["price"]),
        (["fastmlp", "train", "part-*.csv", "--target", "p"], ["price"]),
        (["fastmlp", "train", "t.jsonl", "--target", ""], ["u", "v"]),
        (["fastmlp", "train", "t.parquet", "--target", ""], ["left", "right"]),
        (["fastmlp", "train", "nothing.csv", "--target", ""], []),
        (["fastmlp", "train", "--target", ""], []),
        (["fastmlp", "train", "mnist", "--activation", "le"], ["leaky_relu"]),
        (["fastmlp", "train", "mnist", "--activation", "relu,ta"], ["relu,tanh"]),
        (["fastmlp", "train", "mnist", "--loss", "m"], ["mse", "mae"]),
        (["fastmlp", "train", "mnist", "--optimizer", "adam"], ["adam", "adamw", "adamax"]),
        (["fastmlp", "train", "mnist", "--initializer", "he"], ["he_normal", "he_uniform"]),
        (["fastmlp", "train", "mnist", "--lr-schedule", "co"], ["constant", "cosine", "cos_log"]),
        (["fastmlp", "train", "mnist", "--architecture", "real"], ["realmlp", "realmlp-s"]),
        (["fastmlp", "train", "mnist", "--monitor", "val_au"], ["val_auc"]),
        (["fastmlp", "train", "mnist", "--averaging", ""], ["ema", "swa"]),
        (["fastmlp", "train", "--resume", "00"], ["001-mnist", "002-iris"]),
        (["fastmlp", "importance", "1", "--metric", "ra"], []),
        (["fastmlp", "importance", "1", "--metric", "rm"], ["rmse", "rmsle"]),
        (["fastmlp", "plot", "001-mnist", "l"], ["loss", "learning-rate"]),
        (["fastmlp", "plot", "1", "loss", "conf"], ["confusion"]),
        (["fastmlp", "report", "0"], ["001-mnist", "002-iris"]),
        (["fastmlp", "export", "1", "--format", ""], ["onnx", "npz", "c"]),
        (["fastmlp", "data", "fetch", "mn"], ["mnist"]),
        # What is wrong before the cursor is left out, and nothing is written on the terminal.
        (["fastmlp", "trian", "--v"], ["--version"]),
        (["fastmlp", "data", "lst", "--h"], ["--help"]),
        (["fastmlp", "help", "tr"], ["train"]),
        (["fastmlp", "help", "runs", ""], ["list", "rm", "show"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bash_offers(shell, words, expected):
    assert sorted(offered(*words)) == sorted(expected)


@needs_bash
def test_all_commands_are_offered_and_none_is_imported(shell):
    assert offered("fastmlp", "") == list(COMMANDS)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fastmlp.cli"],
        env=environment(
            _FASTMLP_COMPLETE="bash_complete", COMP_WORDS="fastmlp ", COMP_CWORD="1"
        ),
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"numpy", "pydantic", "tomlkit", "fastmlp.cli.commands.train"}


@needs_terminals
@needs_bash
def test_the_tabulator_key(shell):
    """An interactive bash on a terminal, as a user has it."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], env=environment(TERM="dumb", PS1="$ "),
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    os.write(leader, b"source <(fastmlp completion bash); echo rea''dy\n")
    drawn = read_until(leader, b"ready")
    os.write(leader, b"fastmlp config vali\t")
    drawn = read_until(leader, b"config validate ")
    os.close(leader)
    process.kill()
    process.wait(TIMEOUT)
    assert b"Traceback" not in drawn


def read_until(descriptor, expected):
    """What a terminal shows up to some text, control sequences left out."""
    drawn, deadline = b"", time.monotonic() + TIMEOUT
    while expected not in drawn:
        ready, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"{expected!r} is not in {drawn!r}"
        drawn += os.read(descriptor, 65536)
    return drawn


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_script_says_how_to_install_it(name):
    done = run("completion", name)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    comments = [line for line in lines[:2] if line.startswith("# To install: fastmlp completion")]
    assert len(comments) == 1
    assert name in comments[0]
    assert f"_FASTMLP_COMPLETE={name}_complete" in done.stdout
    assert done.stdout.endswith("\n")
    # The first line is what zsh looks at.
    assert (lines[0] == "#compdef fastmlp") == (name == "zsh")
    if shutil.which(name) is not None:
        checked = subprocess.run([name, "-n"], input=done.stdout, text=True, check=False)
        assert checked.returncode == 0


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_the_protocols_of_the_others(name):
    cword = {"zsh": "1", "fish": "inf"}[name]
    variables = {"_FASTMLP_COMPLETE": f"{name}_complete", "COMP_WORDS": "fastmlp inf"}
    done = run(COMP_CWORD=cword, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith({"zsh": "plain\ninfo\n", "fish": "plain,info"}[name])


def test_another_shell_is_a_usage_error():
    done = run("completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'tcsh'" in done.stderr
