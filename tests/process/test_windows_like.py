"""fastmlp where it sees what Windows has and lacks; `support/windows_like` tells how far.

The processes run on the system of the tests. So this shows that nothing is asked of the system that
Windows has not; it does not show that fastmlp runs there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from support.cli_process import TIMEOUT, answer_signals, command, environment
from support.systems import needs_proc

FOLDER = Path(__file__).resolve().parents[1] / "support" / "windows_like"
# A title of a column and a class that no code page of Windows for western Europe has.
COLUMN, CLASS = "名前", "βeta"

pytestmark = needs_proc


def variables(**others):
    paths = (str(FOLDER), os.environ.get("PYTHONPATH", ""))
    return environment(PYTHONPATH=os.pathsep.join(filter(None, paths)), PYTHONUTF8="0", **others)


def called(*arguments, cwd, code=0):
    done = subprocess.run(
        command(*arguments), cwd=cwd, env=variables(), capture_output=True, timeout=TIMEOUT,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    errors = done.stderr.decode("cp1252")
    assert done.returncode == code, errors
    return done.stdout.decode("cp1252"), errors


def python(script, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", "-c", script, *map(str, arguments)], cwd=cwd,
        env=variables(), capture_output=True, encoding="cp1252", timeout=TIMEOUT, check=False,
        preexec_fn=answer_signals,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def table(tmp_path):
    random = np.random.Generator(np.random.PCG64(3))
    lines = [f"größe,{COLUMN},art"]
    for row in range(300):
        kind = row % 3
        numbers = f"{random.normal(kind):.3f},{random.normal(-kind):.3f}"
        lines.append(f"{numbers},{('alpha', CLASS, 'c')[kind]}")
    path = tmp_path / "table.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode())
    return path


def listed(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_what_is_seen(tmp_path):
    """The view itself: if it showed the system as it is, the other tests would show nothing."""
    script = """
import os, signal, sys
from fastmlp import _system, _files
print(_system.sys.platform, sys.platform == "win32", hasattr(_system.os, "fork"))
print(hasattr(_files.os, "O_NOFOLLOW"), _system.load_average())
for attempt in (lambda: _system.os.kill(os.getpid(), 0), lambda: _files.os.open(".", 0)):
    try:
        attempt()
    except (AssertionError, PermissionError) as error:
        print(type(error).__name__)
with open("file", "w"), _files.__builtins__["open"]("text", "w") as text:
    print(text.encoding)
    try:
        os.unlink("file")
    except PermissionError as error:
        print("open")
try:
    _system.__builtins__["__import__"]("fcntl")
except ModuleNotFoundError:
    print("missing")
"""
    assert python(script, cwd=tmp_path).split() == [
        "win32", "False", "False", "False", "None", "AssertionError", "PermissionError",
        "cp1252", "open",
        "missing",
    ]  # fmt: skip


def test_commands(table, tmp_path):
    small = ("--target", "art", "--hidden", "8", "--epochs", "2")
    called("train", table, *small, cwd=tmp_path)
    run = tmp_path / "runs" / "001-table"
    assert (run / "report.html").is_file()
    assert not [name for name in listed(run) if "lock" in name or ".tmp." in name]
    shown, _ = called("runs", "list", cwd=tmp_path)
    assert "completed" in shown
    called("evaluate", 1, cwd=tmp_path)
    called("inspect", run, cwd=tmp_path)
    called("plot", 1, "loss", cwd=tmp_path)
    called("report", 1, cwd=tmp_path)
    shown, _ = called("importance", 1, table, cwd=tmp_path)
    assert COLUMN.encode("ascii", "backslashreplace").decode() in shown
    called("look", table, cwd=tmp_path)
    called("predict", 1, table, "--output", "answers.csv", cwd=tmp_path)
    answers = (tmp_path / "answers.csv").read_bytes()
    assert CLASS.encode() in answers
    assert b"\r" not in answers
    called("export", 1, "--output", "model.npz", cwd=tmp_path)
    folds = (*small, "--folds", 3, "--processes", 2)
    _, told = called("cv", table, *folds, cwd=tmp_path)
    assert all(f"fold {number}" in told for number in (1, 2, 3))
    called("sweep", table, "--target", "art", "--trials", 3, "--jobs", 2, "--epochs", 1,
           cwd=tmp_path)  # fmt: skip
    shown, _ = called("info", cwd=tmp_path)
    assert "load average  unknown" in shown
    shown, _ = called("runs", "rm", 1, "--yes", cwd=tmp_path)
    assert not listed(tmp_path / "runs")


def test_the_bytes_of_files_are_those_of_this_system(table, tmp_path):
    arguments = ("train", table.name, "--target", "art", "--hidden", "8", "--epochs", "2")
    arguments += ("--out", "run", "--no-report")
    places = [tmp_path / "like", tmp_path / "here"]
    for place in places:
        place.mkdir()
        (place / table.name).write_bytes(table.read_bytes())
    called(*arguments, cwd=places[0])
    here = subprocess.run(command(*arguments), cwd=places[1], env=environment(),
                          capture_output=True, timeout=TIMEOUT, check=False)  # fmt: skip
    assert here.returncode == 0
    runs = [place / "run" for place in places]
    assert listed(runs[0]) == listed(runs[1])
    for name in ("best.safetensors", "config.toml"):
        first, second = [(run / name).read_bytes() for run in runs]
        assert first.replace(b"/like/", b"/here/") == second
    texts = [path for suffix in ("json", "jsonl", "toml") for path in runs[0].glob(f"*.{suffix}")]
    assert len(texts) > 3
    assert not [path for path in texts if b"\r" in path.read_bytes()]


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupted_training_is_resumed(twice, table, tmp_path):
    arguments = ("train", table, "--target", "art", "--hidden", "8", "--epochs", "100000",
                 "--checkpoint-every", "1", "--no-report")  # fmt: skip
    process = subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=variables(), stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=answer_signals,
    )  # fmt: skip
    checkpoints = tmp_path / "runs" / "001-table" / "checkpoints"
    while not (checkpoints.is_dir() and list(checkpoints.glob("*.safetensors"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    shown, _ = called("runs", "list", cwd=tmp_path)
    assert "running" in shown
    _, told = called("train", "--resume", "1", cwd=tmp_path, code=2)
    assert "another process works in it" in told
    process.send_signal(signal.SIGTERM if twice else signal.SIGINT)
    if twice:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == (143 if twice else 130)
    shown, _ = called("runs", "list", cwd=tmp_path)
    assert "running" not in shown
    called("train", "--resume", "1", "--epochs", "3", "--no-report", cwd=tmp_path, code=2)
    called("train", "--resume", "1", "--max-time", "1", "--no-report", cwd=tmp_path)


def test_a_signal_within_an_import_is_raised_after_it(tmp_path):
    """Windows has no timer: a thread sends SIGINT to the process once more."""
    (tmp_path / "sending.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.05)\n"
    )
    script = """
import sys, time
from fastmlp.cli.signals import Signals, ends_in_order
signals = Signals()
signals.answer()
signals.start()
try:
    with ends_in_order():
        import sending
        for _ in range(3000):  # on Windows, SIGINT would end a single sleep, too
            time.sleep(0.01)
except KeyboardInterrupt:
    time.sleep(0.5)  # the signal that is sent again is none of the user's, of which the second ends
    print("raised", "sending" in sys.modules)
"""
    begun = time.monotonic()
    assert python(script, cwd=tmp_path).split() == ["raised", "True"]
    assert time.monotonic() - begun < 20


def test_python(table, tmp_path):
    script = """
import os
import numpy as np, fastmlp
x = np.random.default_rng(0).normal(size=(3000, 40)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
model = fastmlp.MLP([40, 8, 2])
model.fit(x, y, epochs=2, verbose=False)
model.save("model.safetensors")
model.save("model.safetensors")
same = fastmlp.load("model.safetensors")
assert (same.predict(x) == model.predict(x)).all()
living = f".model.safetensors.tmp.{os.getpid()}.0123456789ab"
dead = f".model.safetensors.tmp.{2**31 - 1}.0123456789ab"
for name in (living, dead):
    open(name, "w").close()
model.save("model.safetensors")
assert os.path.exists(living) and not os.path.exists(dead)
with open("model.safetensors", "rb"):  # Windows lets nothing replace a file that is open
    try:
        model.save("model.safetensors")
    except PermissionError as error:
        print("another program may have the file open" in str(error))
        print(os.path.basename(error.filename))

def chunks():
    for first in range(0, 3000, 70):
        yield x[first : first + 70], y[first : first + 70]

import polars
polars.DataFrame(dict(a=[1.5, 2.5], b=["x", "y"])).write_parquet("table.parquet")
fastmlp.data.read("table.parquet")

log = fastmlp.JSONLogger("log.jsonl")
fastmlp.MLP([40, 2]).fit(x, y, epochs=2, verbose=False, callbacks=[log])
print(b"\\r" in open("log.jsonl", "rb").read())

# Here memory that is not committed, or given back, cannot be read.
streamed = fastmlp.MLP([40, 8, 2])
streamed.fit(chunks, epochs=3, batch_size=50, shuffle=False, verbose=False)
whole = fastmlp.MLP([40, 8, 2])
whole.fit(x, y, epochs=3, batch_size=50, shuffle=False, verbose=False)
assert (streamed.predict_proba(x) == whole.predict_proba(x)).all()
settings = dict(folds=3, processes=2, epochs=1, hidden=[4])
result = fastmlp.cross_validate("table.csv", target="art", **settings)
print(len(result.folds))
"""
    shown = python(script, cwd=tmp_path).split()
    assert shown == ["True", "model.safetensors", "False", "3"], shown
