"""Every command on something broken: one line and a code, and never a traceback unasked."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.cli.app import COMMANDS
from support.cli_process import TIMEOUT, answer_signals, command, environment, run
from support.serving_models import train

pytest.importorskip("polars")

GROUPS = {
    "data": ("list", "fetch", "verify", "path", "clear"),
    "config": ("init", "show", "validate", "schema"),
    "runs": ("list", "show", "rm"),
}
EVERY = [
    (name, *sub)
    for name in COMMANDS
    for sub in ([(), *((each,) for each in GROUPS[name])] if name in GROUPS else [()])
]


# ---------------------------------------------------------------- help

HELP = """
import contextlib, io, json, sys
from fastmlp.cli import main

pages = {}
for path in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as page:
        code = main([*path, "--help"])
    pages[" ".join(path)] = (code, page.getvalue())
heavy = ("matplotlib", "polars", "onnx", "optuna", "sklearn", "torch", "plotext", "fastmlp._core")
print(json.dumps({"pages": pages, "imported": [name for name in heavy if name in sys.modules]}))
"""


def test_the_help_of_every_command_begins_with_examples_and_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", HELP, json.dumps(EVERY)], env=environment(), timeout=TIMEOUT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["imported"] == []
    for path, (code, page) in found["pages"].items():
        assert code == 0, path
        examples, usage = page.index("Examples:"), page.index("Usage: ")
        assert examples < usage < page.index("Options:"), path
        shown = page[examples:usage].splitlines()[1:]
        assert any(f"fastmlp {path}".strip() in line for line in shown), path


def test_the_list_of_commands_here_is_complete():
    from fastmlp.cli.app import cli

    for name, subcommands in GROUPS.items():
        assert set(cli.get_command(None, name).commands) == set(subcommands)


# ---------------------------------------------------------------- broken inputs


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A good run in good/, and broken things of every kind."""
    path = tmp_path_factory.mktemp("faults")
    train(path, "iris", "--epochs", 1, "--out", "good")
    fastmlp.MLP([2, 3]).save(path / "plain.safetensors")
    (path / "damaged.csv").write_bytes(b"a,b\n1,2\n3\n")
    (path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    (path / "damaged.npz").write_bytes(b"PK\x03\x04 and no more")
    (path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    (path / "damaged.safetensors").write_bytes(bytes(range(256)))
    (path / "damaged.toml").write_text("[training\nepochs = 3")
    (path / "empty").mkdir()
    for name, file, content in (
        ("config", "config.toml", "[network]\nhidden = -3\n"),
        ("binary", "config.toml", "\x00\x01"),
        ("result", "result.json", "{"),
        ("environment", "environment.json", "[1, 2"),
        ("metrics", "metrics.jsonl", "no JSON\n"),
        ("model", "best.safetensors", "none"),
    ):
        broken = path / f"broken-{name}"
        broken.mkdir()
        for each in (path / "good").iterdir():
            if each.is_file():
                (broken / each.name).write_bytes(each.read_bytes())
        (broken / file).write_text(content)
    return path


FAULTS = [
    ("train damaged.csv", 3),
    ("train damaged.parquet", 3),
    ("train damaged.npz", 3),
    ("train damaged.npy", 3),
    ("train empty", 3),
    ("train none.csv", 3),
    ("train nothing", 2),
    ("train iris --config damaged.toml", 2),
    ("train iris --config broken-config/config.toml", 2),
    ("train iris --init damaged.safetensors", 4),
    ("train iris --out good", 2),
    ("train iris --set training.epochs=0", 2),
    ("train iris --target x", 2),
    ("train --resume empty", 2),
    ("train --resume nothing", 2),
    ("train --resume broken-binary", 2),
    ("evaluate damaged.safetensors iris", 4),
    ("evaluate nothing", 4),
    ("importance nothing", 4),
    ("importance broken-model", 4),
    ("importance good damaged.csv", 3),
    ("importance good --metric auk", 2),
    ("evaluate empty", 4),
    ("evaluate broken-model", 4),
    ("evaluate broken-config", 4),
    ("evaluate broken-result", 4),
    ("evaluate broken-environment", 4),
    ("evaluate good damaged.csv", 3),
    ("evaluate good empty", 3),
    ("predict damaged.safetensors damaged.csv", 4),
    ("predict good damaged.npz", 3),
    ("predict good damaged.npy", 3),
    ("predict good damaged.parquet", 3),
    ("predict empty damaged.csv", 4),
    ("serve damaged.safetensors", 4),
    ("serve empty", 4),
    ("serve good --port 70000", 2),
    ("play --port 70000", 2),
    ("export damaged.safetensors --format npz", 4),
    ("export empty --format npz", 4),
    ("export good --format npz -o none/x.npz", 2),
    ("inspect damaged.safetensors", 4),
    ("inspect broken-model", 4),
    ("inspect empty", 4),
    ("inspect nothing", 4),
    ("plot empty", 2),
    ("plot broken-config", 2),
    ("plot broken-model regions", 4),
    ("plot broken-model confusion -q", 4),
    ("plot broken-metrics loss", 2),
    ("plot broken-result confusion", 2),
    ("report empty", 2),
    ("report broken-model", 4),
    ("report broken-environment", 2),
    ("look damaged.csv", 3),
    ("look none.csv", 3),
    ("look iris --target x", 2),
    ("lr-find damaged.csv", 3),
    ("lr-find iris --lowest 1 --highest 0.1", 2),
    ("lr-find iris --set optimizer.name=no", 2),
    ("cv damaged.csv", 3),
    ("cv nothing", 2),
    ("cv iris --folds 1", 2),
    ("cv iris --out good", 2),
    ("cv iris --config damaged.toml", 2),
    ("sweep damaged.csv --search optimizer.learning_rate=0.01..0.1", 3),
    ("sweep iris --search nonsense", 2),
    ("sweep iris --optimizer lbfgs", 2),
    ("sweep --resume empty", 2),
    ("compare empty", 2),
    ("compare good broken-result", 2),
    ("compare good broken-config", 2),
    ("bench --workload none", 2),
    ("bench --engine none", 2),
    ("data fetch none", 2),
    ("data path none", 2),
    ("data verify none", 2),
    ("data clear none", 2),
    ("config init --output none/x.toml", 2),
    ("config show --config damaged.toml", 2),
    ("config validate damaged.toml", 2),
    ("config validate none.toml", 2),
    ("runs list --runs none", 2),
    ("runs show empty", 2),
    ("runs show broken-config", 2),
    ("runs rm empty --yes", 2),
    ("runs rm broken-config --dry-run", 0),
    ("completion csh", 2),
]


@pytest.mark.parametrize(("line", "code"), FAULTS)
def test_a_broken_input_is_one_line_and_a_code(work, line, code, monkeypatch, capsys):
    monkeypatch.chdir(work)
    before = sorted(os.listdir(work))
    assert main(line.split()) == code, capsys.readouterr().err
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert "unexpected" not in captured.err
    if code and not line.startswith("config validate"):
        assert captured.out == ""
        errors = [row for row in captured.err.splitlines() if not row.startswith("loading ")]
        assert len(errors) == 1, errors
        assert errors[0].startswith("fastmlp: error: ")
    assert sorted(os.listdir(work)) == before


def test_every_command_is_among_them():
    named = {" ".join(line.split()[: 2 if line.split()[0] in GROUPS else 1]) for line, _ in FAULTS}
    leaves = {" ".join(path) for path in EVERY if path[0] not in GROUPS or len(path) == 2}
    # These take nothing that could be broken.
    assert leaves - named == {"info", "data list", "config schema", "help"}


# ---------------------------------------------------------------- tracebacks on request


def test_debug_shows_the_traceback(work):
    done = run("predict", "good", "damaged.npz", cwd=work)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    debugged = run("predict", "good", "damaged.npz", "--debug", cwd=work)
    assert debugged.returncode == 3
    assert "Traceback (most recent call last)" in debugged.stderr
    assert debugged.stderr.endswith(done.stderr)


def test_what_nobody_foresaw_is_code_1(work, tmp_path):
    """Planted: predictions raise what no reader of files would."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, fastmlp.data\n"
        "def read_samples(*_args, **_rest): raise RuntimeError('on fire')\n"
        "fastmlp.data.read_samples = read_samples\n"
    )
    args = ("predict", "good", "x.npy")
    done = run(*args, cwd=work, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "fastmlp: error: unexpected RuntimeError: on fire (run again with --debug for the "
        "traceback)\n"
    )
    debugged = run(*args, "--debug", "--json", cwd=work, PYTHONPATH=str(tmp_path))
    assert debugged.returncode == 1
    assert "Traceback (most recent call last)" in debugged.stderr
    assert json.loads(debugged.stdout)["exit_code"] == 1


# ---------------------------------------------------------------- packages that are not there


@pytest.mark.parametrize(
    ("package", "extra", "line"),
    [
        ("matplotlib", "plot", "plot good"),
        ("jinja2", "plot", "report good"),
        ("plotext", "plot", "plot good --terminal"),
        ("onnx", "export", "export good --format onnx"),
        ("polars", "data", "predict good table.csv"),
        ("optuna", "sweep", "sweep iris --search optimizer.learning_rate=0.01..0.1"),
    ],
)
def test_a_package_that_is_missing_is_code_7(work, tmp_path, package, extra, line):
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    (work / "table.csv").write_text("a,b\n1,2\n")
    before = sorted(os.listdir(work))
    done = run(*line.split(), cwd=work, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (7, "")
    message = f"fastmlp: error: {package} is needed; run \"pip install 'fastmlp[{extra}]'\"\n"
    assert done.stderr == message  # before anything else is read or computed
    assert sorted(os.listdir(work)) == before


def test_a_training_needs_none_of_them(tmp_path):
    """A core install: no picture, no report, and all else as ever."""
    hidden = ("matplotlib", "jinja2", "plotext", "onnx", "onnxruntime", "polars", "PIL", "optuna")
    lines = [f"sys.modules[{name!r}] = None" for name in hidden]
    (tmp_path / "sitecustomize.py").write_text("import sys\n" + "\n".join(lines) + "\n")
    x = np.random.Generator(np.random.PCG64(0)).normal(size=(60, 2))
    np.savez(tmp_path / "xy.npz", x=x, y=(x[:, 0] > 0).astype(np.int64))
    done = run("train", "xy.npz", "--epochs", "2", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout


SIGNAL_IN_AN_IMPORT = """
import os, signal, sys
sys.argv = ["fastmlp", "info"]
from fastmlp.cli import main
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "fastmlp._core":
            return None
        try:
            os.kill(os.getpid(), signal.SIG{number})
            for _ in range(10**6):
                pass
        except BaseException as interrupt:
            raise ImportError("initialization failed") from interrupt
sys.meta_path.insert(0, Finder())
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code"), [("INT", 130), ("TERM", 143)])
def test_a_signal_that_meets_an_import_has_its_own_code(number, code):
    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_IN_AN_IMPORT.format(number=number)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=answer_signals,
    )
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    "arguments", ["data list", "data list --json", "config show iris", "train --help", "--version"]
)
@pytest.mark.parametrize("stream", ["full", "closed"])
def test_output_that_cannot_be_written(arguments, stream, tmp_path):
    """Written in parts when a buffer is full, and the rest at the end of the process."""
    place = {"full": ">/dev/full", "closed": ">&-"}[stream]
    shell = f"{shlex.join(command(*arguments.split()))} {place}"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=environment(), timeout=TIMEOUT,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    full = "fastmlp: error: [Errno 28] No space left on device\n"
    assert (done.returncode, done.stderr) == ((1, full) if stream == "full" else (0, ""))


def test_a_closed_pipe_is_no_fault_of_the_data(tmp_path):
    """`fastmlp look table.csv | head -1`, where the output is larger than a pipe holds."""
    names = ",".join(f"column_with_a_name_{at}" for at in range(3000))
    (tmp_path / "t.csv").write_text(f"{names}\n" + (",".join(["1.5"] * 3000) + "\n") * 2)
    look = [sys.executable, "-m", "fastmlp.cli", "look", str(tmp_path / "t.csv")]
    with subprocess.Popen(look, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
