"""`fastmlp runs`: listing, showing and removing runs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastmlp.cli import main
from fastmlp.cli.commands.runs import differences, summary_of
from fastmlp.cli.runs import run_paths
from fastmlp.experiment.locking import LOCK_NAME, is_in_use
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.settings import resolve
from support.cli_process import TIMEOUT, command, environment, read_terminal, run
from support.systems import needs_terminals


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTMLP_RUNS", raising=False)
    return tmp_path / "runs"


def record(epoch, **values):
    return {"epoch": epoch, "epochs": 4, "loss": 1.0 / epoch, "seconds": 0.5, **values}


def make_run(path, source="iris", layers=(), records=(), result=None, **environment):
    """The files that a training leaves, as it writes them."""
    path.mkdir(parents=True)
    made = RunDirectory(path)
    training = {"training": {"epochs": 4, "monitor": "val_accuracy"}}
    made.write_config(resolve(source, [training, *layers]))
    made.write_json(made.environment_path, {"data_sha256": {}, **environment})
    for row in records:
        made.append_record(row)
    if result is not None:
        made.write_json(made.result_path, result)
    return made


def finished(path, accuracy=0.9125, **more):
    records = [record(e, val_accuracy=v) for e, v in enumerate((0.5, 0.8, 0.75, 0.7), 1)]
    result = {"status": "completed", "dataset": "iris", "evaluated_on": "test"}
    result["test"] = {"accuracy": accuracy, "loss": 0.25}
    return make_run(path, records=records, result=result, **more)


@pytest.fixture
def call(runs, capsys):
    """The command line in this process: its exit code and what it printed."""

    def call(*args):
        code = main(list(map(str, args)))
        return SimpleNamespace(returncode=code, **capsys.readouterr()._asdict())

    return call


def listed(*args):
    done = run("runs", "list", "--json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["runs"]


# ---------------------------------------------------------------- list


def test_each_state_of_a_run(runs):
    finished(runs / "001-iris", started="2025-03-01T12:00:00+00:00")
    make_run(runs / "002-iris", records=[record(1, val_accuracy=0.5)])
    held = make_run(runs / "003-iris", records=[record(1, val_accuracy=0.5)])
    resumed = make_run(runs / "004-iris", result={"status": "interrupted"})
    make_run(runs / "005-iris", result={"status": "interrupted"})
    damaged = make_run(runs / "006-iris")
    damaged.config_path.write_text("[training\n")
    with held.locked(), resumed.locked():
        rows = {row["name"]: row for row in listed()}
    states = {name[:3]: row["status"] for name, row in rows.items()}
    assert states == {
        "001": "completed", "002": "cut off", "003": "running",
        "004": "running", "005": "interrupted", "006": "damaged",
    }  # fmt: skip
    assert str(damaged.config_path.name) in rows["006-iris"]["problem"]
    row = rows["001-iris"]
    assert (row["measure"], row["value"], row["part"]) == ("accuracy", 0.9125, "test")
    # The first of two equal epochs is the best, as in a training.
    assert (row["best_epoch"], row["best_value"], row["monitor"]) == (2, 0.8, "val_accuracy")
    assert (row["epochs_completed"], row["epochs"], row["seconds"]) == (4, 4, 2.0)
    assert (row["data"], row["started"]) == ("iris", "2025-03-01T12:00:00+00:00")
    assert rows["002-iris"]["epochs_completed"] == 1
    assert rows["002-iris"]["value"] is None


def test_many_that_look_do_not_take_each_other_for_a_training(runs):
    made = make_run(runs / "001-iris")
    made.path.joinpath(LOCK_NAME).touch()  # as a process leaves it that was killed
    look = (
        "import sys, pathlib; from fastmlp.experiment.locking import is_in_use; "
        "print(sum(is_in_use(pathlib.Path(sys.argv[1])) for _ in range(20000)))"
    )
    command = [sys.executable, "-c", look, str(made.path)]
    looking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    while any(process.poll() is None for process in looking):
        with made.locked():  # whoever begins is not stopped by those who look
            pass
        made.path.joinpath(LOCK_NAME).touch()
        time.sleep(0.05)
    held = [int(process.communicate()[0]) for process in looking]
    assert sum(held) <= 2, held  # a process may sleep for long while it looks


def test_looking_at_a_run_changes_nothing(runs):
    made = make_run(runs / "001-iris")
    before = sorted(made.path.iterdir())
    assert not is_in_use(made.path)
    assert sorted(made.path.iterdir()) == before
    with made.locked():
        assert is_in_use(made.path)
    assert not is_in_use(made.path)
    assert sorted(made.path.iterdir()) == before


def test_sorting(runs, call):
    finished(runs / "001-b", 0.7, started="2025-03-02T12:00:00+00:00")
    finished(runs / "002-a", 0.9, started="2025-03-01T12:00:00+00:00")
    make_run(runs / "003-c", source="table.csv", records=[record(1)])
    finished(runs / "004-d", 0.8)
    orders = {
        "name": "1234", "result": "2413", "status": "1243", "data": "1243",
        "epochs": "3124", "seconds": "3124", "started": "2134",
    }  # fmt: skip
    for key, order in orders.items():
        done = call("runs", "list", "--json", "--sort", key)
        names = [row["name"] for row in json.loads(done.out)["runs"]]
        assert [name[2] for name in names] == list(order), key
    assert call("runs", "list", "--sort", "size").returncode == 2


def test_plain_columns_off_a_terminal(runs):
    finished(runs / "001-iris", started="2025-03-01T12:00:00+00:00")
    make_run(runs / "002-a-long-name", source="some/where/table.csv")
    done = run("runs", "list", TZ="UTC")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "name             data       status     epochs                result"
        "  best              seconds  started",
        "001-iris         iris       completed     4/4  test accuracy 91.25%"
        "  2 (val_accuracy)     2.00  2025-03-01 12:00",
        "002-a-long-name  table.csv  cut off       0/4                     -"
        "  -                    0.00  -",
    ]


def test_no_runs_are_no_error(runs):
    done = run("runs", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no runs in runs" in done.stderr
    assert listed() == []
    missing = run("runs", "list", "--runs", "none")
    assert (missing.returncode, missing.stdout) == (2, "")


HOSTILE = [
    {"status": 3, "test": [], "dataset": {}, "evaluated_on": 5},
    {"status": None, "test": {"accuracy": "high"}},
    {"test": {"accuracy": 10**400, "r2": None}, "layer_sizes": {}},
    {"test": {"accuracy": True}, "message": []},
]


@pytest.mark.parametrize("result", HOSTILE, ids=range(len(HOSTILE)))
def test_a_strange_result_is_listed_all_the_same(runs, result, call):
    rows = [record(1, val_accuracy="x"), {"epoch": [], "val_accuracy": 0.5, "seconds": None}]
    made = make_run(runs / "001-iris", records=rows)
    made.result_path.write_text(json.dumps(result))
    assert summary_of(made).value is None
    for name in ("list", "show"):
        done = call("runs", name, *(["1"] if name == "show" else []))
        assert done.returncode == 0, done.err
        assert "001-iris" in done.out


# ---------------------------------------------------------------- show


def test_a_real_run(runs):
    done = run("train", "iris", "--epochs", 2, "--lr", "0.01", "--no-report", "-q")
    assert done.returncode == 0, done.stderr
    document = json.loads(run("runs", "show", "1", "--json").stdout)
    assert (document["schema"], document["status"]) == ("fastmlp.runs.show", "completed")
    changed = {
        row["setting"]: (row["value"], row["recipe"]) for row in document["settings_changed"]
    }
    assert changed == {"training.epochs": (2, 256), "optimizer.learning_rate": (0.01, 0.04)}
    assert document["epochs_completed"] == 2
    assert document["value"] == document["result"]["test"]["accuracy"]
    assert document["best_epoch"] == document["result"]["best_epoch"]
    sizes = {row["file"]: row["bytes"] for row in document["files"]}
    for path in (path for path in (runs / "001-iris").rglob("*") if path.is_file()):
        assert sizes.pop(path.relative_to(runs / "001-iris").as_posix()) == path.stat().st_size
    assert sizes == {}
    assert document["checkpoints"]
    text = run("runs", "show", "001-iris").stdout
    assert "training.epochs" in text
    assert "2 instead of 256" in text
    assert f"{document['value']:.6g}" in text
    assert "best.safetensors" in text
    assert listed()[0]["status"] == "completed"


def test_differences_are_from_the_defaults_of_what_was_chosen(runs):
    options = ("--optimizer", "sgd", "--momentum", 0.8, "--lr-schedule", "constant", "--no-report")
    done = run("train", "iris", "--monitor", "val_accuracy", *options, "-q")
    assert done.returncode == 0, done.stderr
    found = {d.setting: (d.value, d.recipe) for d in differences(RunDirectory(runs / "001-iris"))}
    assert found == {
        "network.architecture": ("mlp", "realmlp"),
        "optimizer.name": ("sgd", "adam"),
        "optimizer.momentum": (0.8, 0.0),
        "schedule.name": ("constant", "cosine"),
        "training.monitor": ("val_accuracy", "val_loss"),
    }


@pytest.mark.parametrize(
    ("argument", "message"),
    [("7", "no run 7"), ("none", "none: is no directory"), ("empty", "has no config.toml")],
)
def test_show_and_rm_need_a_run(runs, argument, message, call):
    Path("empty").mkdir()
    for name in ("show", "rm"):
        done = call("runs", name, argument)
        assert (done.returncode, done.out) == (2, "")
        assert message in done.err
        assert done.err.count("\n") == 1


# ---------------------------------------------------------------- rm


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def test_only_the_named_directories_go(runs):
    for number in range(1, 5):
        finished(runs / f"00{number}-iris")
    done = run("runs", "rm", "1", "003", "runs/003-iris", "--yes")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        "runs/001-iris",
        "runs/003-iris",
    ]
    assert names_in(runs) == ["002-iris", "004-iris"]
    document = json.loads(run("runs", "rm", "2", "--yes", "--json").stdout)
    assert document["schema"] == "fastmlp.runs.rm"
    assert [row["path"] for row in document["removed"]] == ["runs/002-iris"]
    assert names_in(runs) == ["004-iris"]


def test_a_dry_run_removes_nothing(runs, call):
    made = finished(runs / "001-iris")
    size = sum(path.stat().st_size for path in made.path.iterdir())
    done = call("runs", "rm", "1", "--dry-run", "--json")
    document = json.loads(done.out)
    assert document["dry_run"] is True
    assert document["removed"] == [{"path": "runs/001-iris", "bytes": size}]
    assert names_in(runs) == ["001-iris"]


def test_links_are_removed_and_not_followed(runs, tmp_path, call):
    made = finished(runs / "001-iris")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("x")
    (made.path / "checkpoints").symlink_to(outside)
    (made.path / "model.onnx").symlink_to(outside / "precious.txt")
    (made.path / "plots").mkdir()
    (made.path / "plots" / "deep").symlink_to(outside)
    (made.path / "dangling").symlink_to("nowhere")
    done = call("runs", "rm", "1", "--yes")
    assert done.returncode == 0, done.err
    assert names_in(runs) == []
    assert (outside / "precious.txt").read_text() == "x"


def test_a_link_to_a_run_is_refused(runs, tmp_path, call):
    finished(tmp_path / "real")
    runs.mkdir()
    (runs / "001-link").symlink_to(tmp_path / "real")
    for argument in ("1", "runs/001-link", "runs/001-link/"):
        done = call("runs", "rm", argument, "--yes")
        assert (done.returncode, "is a link" in done.err) == (2, True)
    assert (tmp_path / "real" / "result.json").exists()
    assert names_in(runs) == ["001-link"]


def foreign_directory(path):
    (path / "src").mkdir()
    (path / "src" / "precious.py").write_text("x")


def user_settings(path):
    for name in names_in(path):
        if name != "config.toml":
            (path / name).unlink()


@pytest.mark.parametrize("change", [foreign_directory, user_settings])
def test_what_is_not_certainly_a_run_is_refused(runs, change, call):
    finished(runs / "001-iris")
    second = finished(runs / "002-iris")
    change(second.path)
    before = names_in(second.path)
    done = call("runs", "rm", "1", "2", "--yes")
    assert (done.returncode, done.out) == (2, "")
    assert "runs/002-iris" in done.err
    # All or none.
    assert names_in(runs) == ["001-iris", "002-iris"]
    assert names_in(second.path) == before


def test_where_one_stands_is_refused(runs):
    made = finished(runs / "001-iris")
    (made.path / "plots").mkdir()
    for cwd, argument in ((made.path, "."), (made.path / "plots", "..")):
        done = run("runs", "rm", argument, "--yes", cwd=cwd)
        assert (done.returncode, "directory you are in" in done.stderr) == (2, True)
    assert made.result_path.exists()


def test_a_run_that_is_trained_is_refused(runs):
    data = "gaussians"
    process = subprocess.Popen(
        command("train", data, "--epochs", "1000000", "--no-report"),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        assert listed()[0]["status"] == "running"
        done = run("runs", "rm", "1", "--yes")
        assert (done.returncode, "trains this run" in done.stderr) == (2, True)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(TIMEOUT)
    drain.join(TIMEOUT)
    process.stderr.close()
    process.stdout.close()
    assert listed()[0]["status"] == "cut off"
    assert run("runs", "rm", "1", "--yes").returncode == 0
    assert names_in(runs) == []


def test_the_rest_of_a_removal_that_failed_is_no_run(runs, monkeypatch):
    finished(runs / "001-iris")
    (runs / "001-iris" / "plots").mkdir()

    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "rmtree", fail)
    assert main(["runs", "rm", "1", "--yes"]) == 1
    assert run_paths(runs) == []


def test_off_a_terminal_it_takes_yes(runs):
    finished(runs / "001-iris")
    done = run("runs", "rm", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert run("runs", "rm", "1", FASTMLP_YES="1").returncode == 2
    assert names_in(runs) == ["001-iris"]


def on_terminal(*args, reply=b""):
    """Run a command on a pseudo-terminal that answers its question."""
    import pty

    leader, follower = pty.openpty()
    os.write(leader, reply)
    process = subprocess.Popen(
        command(*args), env=environment(TERM="xterm", COLUMNS="200"),
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    return read_terminal(leader), process.wait(TIMEOUT)


@needs_terminals
@pytest.mark.parametrize(
    ("reply", "code", "left"),
    [(b"y\n", 0, []), (b"n\n", 0, ["001-iris"]), (b"\n", 0, ["001-iris"]), (b"\x04", 130, None)],
)
def test_on_a_terminal_it_asks(runs, reply, code, left):
    finished(runs / "001-iris")
    drawn, actual = on_terminal("runs", "rm", "1", reply=reply)
    assert actual == code
    assert names_in(runs) == (["001-iris"] if left is None else left)
    if reply != b"\x04":
        assert "Remove this run? [y/N]" in drawn
        assert ("nothing was removed" in drawn) == bool(left)


@needs_terminals
def test_a_table_on_a_terminal(runs):
    finished(runs / "001-[b]iris")
    drawn, code = on_terminal("runs", "list")
    assert code == 0
    assert "\x1b[1m" in drawn
    assert "001-[b]iris" in drawn
    assert "91.25%" in drawn


@pytest.mark.parametrize(("architecture", "best"), [("realmlp", 5), ("mlp", 1)])
def test_of_equally_good_epochs_all_commands_name_the_same(runs, architecture, best):
    """A rate that changes no weight makes all epochs equal."""
    flags = ("--architecture", architecture, "--hidden", 4, "--lr", 1e-30)
    done = run("train", "iris", *flags, "--epochs", 5, "--no-report", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best_epoch"] == listed()[0]["best_epoch"] == best
    flags = (*flags[:-2], "--search", "optimizer.learning_rate=1e-30|2e-30", "--trials", 1)
    done = run("sweep", "iris", *flags, "--epochs", 5, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"]["best_epoch"] == best
