"""Sweeps in processes of their own: what they find, what they survive, what they leave."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from support import random_networks
from support.cli_process import TIMEOUT, run, write_idx_directory
from support.sweep_processes import (
    descendants,
    is_alive,
    journal_trials,
    read_trials,
    started,
    wait_for_epochs,
    wait_until,
)
from support.systems import needs_kill

pytest.importorskip("optuna")

RATE = "optimizer.learning_rate"
LINE = re.compile(
    r"trial \d+: (val_loss \S+ at epoch \d+|(pruned|diverged)( after epoch \d+)?); .+"
)

# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())


def sweep(*args: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    return run("sweep", *args, cwd=cwd, **variables)


def numbers_of(output: str) -> list[int]:
    """Return the numbers of the trials that sweeps printed."""
    return [int(number) for number in re.findall(r"^trial (\d+): ", output, re.MULTILINE)]


def result_of(process: subprocess.CompletedProcess) -> dict:
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Commands in this process and a directory of their own: for what needs no process."""
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> subprocess.CompletedProcess:
        code = main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return call


# ---------------------------------------------------------------- what a sweep finds


def test_two_jobs_end_with_as_many_trials_as_asked_for(here, tmp_path):
    search = ("--search", f"{RATE}=1e-3..0.1:log", "--search", "network.hidden=8|16,8")
    done = sweep(
        "moons", *search, "--epochs", 6, "--trials", 14, "--jobs", 2, "--json", cwd=tmp_path,
        PYTHONWARNINGS="always",
    )  # fmt: skip
    result = result_of(done)
    trials = result["trials"]
    assert [trial["number"] for trial in trials] == list(range(14))
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert len(complete) >= 5
    assert result["best"] == min(complete, key=lambda trial: trial["value"])
    assert all(1e-3 <= trial["settings"][RATE] <= 0.1 for trial in trials)
    # Neither Optuna's log nor anybody's warnings: what is ours, and nothing else.
    first, second, *lines = done.stderr.splitlines()
    assert first == "loading moons"
    assert second == f"sweep sweeps/001-moons: 14 trials of {RATE}, network.hidden"
    assert len(lines) == 14
    assert all(LINE.fullmatch(line) for line in lines), lines
    # A sweep that is done is done; its summary can be asked for once more, and it can be extended.
    resume = ("sweep", "--resume", "sweeps/001-moons", "--json", "-q")
    assert result_of(here(*resume)) == result
    more = here(*resume, "--trials", 15)
    assert more.stderr == ""
    assert result_of(more)["trials"][:14] == trials
    assert len(result_of(more)["trials"]) == 15


def test_one_job_and_the_same_seed_give_the_same_trials(here):
    args = ("moons", "--search", f"{RATE}=1e-3..1:log", "--epochs", 6, "--json", "--trials")
    one, same, other = (
        result_of(here("sweep", *args, *more))
        for more in ((11,), (11, "--threads", 2), (1, "--sweep-seed", 1))
    )
    assert {trial["state"] for trial in one["trials"]} == {"complete", "pruned"}
    assert one["trials"] == same["trials"]
    assert one["directory"] == "sweeps/001-moons"
    assert same["directory"] == "sweeps/002-moons"
    assert other["trials"][0]["settings"] != one["trials"][0]["settings"]


@pytest.mark.parametrize(
    "args",
    [
        # Adam is in the recipe of tables, with a rate that is not its own default.
        ("gaussians", "--search", "optimizer.name=sgd|adam", "--search", "network.hidden=4..32",
         "--optimizer", "sgd", "--epochs", 9),
        ("spirals", "--search", f"{RATE}=0.01..0.5:log", "--optimizer", "sgd", "--epochs", 3,
         "--monitor", "val_accuracy", "--averaging", "swa"),
        ("spirals", "--search", f"{RATE}=0.01..0.5:log", "--epochs", 3,
         "--set", "training.class_weight={first = 5.0}"),
        # A metric that is measured because it is monitored.
        ("spirals", "--search", f"{RATE}=0.01..0.5:log", "--epochs", 3, "--monitor", "val_auc"),
        # The usual activation of the architecture depends on the task.
        ("spirals", "--search", f"{RATE}=0.01..0.1:log", "--hidden", "8", "--epochs", 3),
        ("sine", "--hidden", "8,8", "--lr", 0.1, "--epochs", 2),
        ("sine", "--search", "schedule.name=cosine|linear", "--lr-schedule", "constant",
         "--epochs", 9, "--validation-fraction", "20%"),
    ],
)  # fmt: skip
def test_the_best_settings_train_to_what_the_sweep_says(args, here):
    found = result_of(here("sweep", *args, "--trials", 4, "--out", "here", "--json"))
    assert found["best_config"] == "here/best.toml"
    trained = result_of(here("train", "--config", "here/best.toml", "--no-report", "--json"))
    assert trained["monitor"] == found["monitor"]
    assert trained["best_value"] == found["best"]["value"]
    assert trained["best_epoch"] == found["best"]["best_epoch"]
    assert trained["epochs_completed"] == found["best"]["epochs"]


def test_trials_end_where_their_settings_would_end_a_run(here):
    search = ("--search", "network.seed=0..999", "--lr", 0.3, "--patience", 1)
    args = ("spirals", *search, "--epochs", 40, "--trials", 3, "--no-prune", "--out", "here")
    found = result_of(here("sweep", *args, "--json"))
    for trial in found["trials"]:
        assert trial["state"] == "complete"
        assert trial["epochs"] == trial["best_epoch"] + 1 < 40
    trained = result_of(here("train", "--config", "here/best.toml", "--no-report", "--json"))
    assert trained["status"] == "stopped_early"
    assert trained["epochs_completed"] == found["best"]["epochs"]
    assert trained["best_value"] == found["best"]["value"]


def test_diverging_trials_do_not_end_the_sweep(here, tmp_path):
    args = ("moons", "--optimizer", "sgd", "--epochs", 4, "--trials", 8, "--no-prune")
    search = ("--search", f"{RATE}=1e-3..1e37:log")
    done = here("sweep", *args, *search)
    assert done.returncode == 0, done.stderr
    counts = re.search(r"^trials +8 \((\d) complete, (\d) diverged\)$", done.stdout, re.MULTILINE)
    assert counts, done.stdout
    assert int(counts[1]) + int(counts[2]) == 8
    search = ("--search", f"{RATE}=1e36..1e37")
    done = here("sweep", *args, *search, "--trials", 2, "--out", "all", "--json")
    assert done.returncode == 5
    assert done.stderr.endswith("fastmlp: error: all 2 trials diverged\n")
    result = json.loads(done.stdout)
    assert result["best"] is None
    assert [trial["state"] for trial in result["trials"]] == ["diverged", "diverged"]
    assert not (tmp_path / "all" / "best.toml").exists()


# ---------------------------------------------------------------- what a sweep survives


def test_the_default_search_is_that_of_the_architecture_and_is_resumed(here, tmp_path):
    args = ("moons", "--epochs", 1, "--hidden", 4, "--set", f"{RATE}=0.1")
    whole = result_of(here("sweep", *args, "--trials", 4, "--out", "whole", "--json"))
    names = [text.partition("=")[0] for text in whole["search"]]
    assert names == [
        "optimizer.decay", "network.activation", "network.dropout", "network.input_scaling",
        "network.embedding",
    ]  # fmt: skip
    assert all(list(trial["settings"]) == names for trial in whole["trials"])
    first = result_of(here("sweep", *args, "--trials", 2, "--out", "parts", "--json"))
    assert first["search"] == whole["search"]
    both = result_of(here("sweep", "--resume", "parts", "--trials", 4, "--json"))
    assert both["trials"] == whole["trials"]
    assert both["search"] == whole["search"]
    named = result_of(here("sweep", *args, *SEARCH_DROPOUT, "--trials", 1, "--json"))
    assert named["search"] == ["network.dropout=0.0..0.5"]
    jobs = result_of(here("sweep", *args, "--trials", 3, "--jobs", 2, "--json"))
    assert jobs["trials"][0] == whole["trials"][0]


@pytest.mark.parametrize("origin", ["fastmlp.toml", "--config", "FASTMLP_SET", "--dropout"])
def test_settings_given_anywhere_are_not_searched(origin, here, tmp_path, monkeypatch):
    args = ["moons", "--architecture", "mlp", "--epochs", 1, "--trials", 1, "--json"]
    text = "[network]\ndropout = 0.25\n"
    if origin == "FASTMLP_SET":
        monkeypatch.setenv(origin, "network.dropout=0.25")
    elif origin == "--dropout":
        args += [origin, 0.25]
    else:
        (tmp_path / "fastmlp.toml").write_text(text)
        if origin == "--config":
            (tmp_path / "fastmlp.toml").rename(tmp_path / "other.toml")
            args += [origin, "other.toml"]
    found = result_of(here("sweep", *args))
    names = [text.partition("=")[0] for text in found["search"]]
    assert names == [RATE, "optimizer.decay", "network.hidden"]
    assert "dropout = 0.25" in Path(found["best_config"]).read_text()


SEARCH_DROPOUT = ("--search", "network.dropout=0..0.5")
SLOW = ("moons", "--search", f"{RATE}=1e-3..0.1:log", "--search", "network.hidden=32|64",
        "--batch-size", "8", "--epochs", "20", "--trials", "13")  # fmt: skip


@needs_kill
def test_killed_sweeps_go_on_as_uninterrupted_ones(here, tmp_path):
    expected = result_of(here("sweep", *SLOW, "--out", "whole", "--json"))
    with started(*SLOW, "--out", "killed", cwd=tmp_path) as process:
        read_trials(process, 4)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    resumed = result_of(here("sweep", "--resume", "killed", "--json"))
    assert resumed["trials"] == expected["trials"]
    assert resumed["best"] == expected["best"]
    best = [(tmp_path / name / "best.toml").read_text() for name in ("whole", "killed")]
    assert best[0] == best[1]


@needs_kill
def test_a_killed_sweep_of_several_jobs_leaves_its_trials_and_no_worker(here, tmp_path):
    with started(*SLOW, "--jobs", 2, "--out", "killed", cwd=tmp_path) as process:
        read_trials(process, 4)
        workers = descendants(process.pid)
        assert len(workers) >= 2
        process.kill()  # this one alone: nobody else tells the others
        process.wait()
        wait_until(lambda: not any(map(is_alive, workers)))
    before = journal_trials(tmp_path / "killed")
    assert 4 <= len(before) < 13
    done = here("sweep", "--resume", "killed", "--json")
    trials = result_of(done)["trials"]
    assert [trial["number"] for trial in trials] == list(range(13))
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    after = {trial["number"]: trial for trial in trials}
    assert all(after[number]["settings"] == settings for number, settings in before.items())
    ran = [line for line in done.stderr.splitlines() if line.startswith("trial ")]
    assert len(ran) == 13 - len(before)


ENDLESS = ("moons", "--search", f"{RATE}=1e-3..0.1", "--epochs", "1000000", "--no-prune",
           "--jobs", "2", "--out", "here")  # fmt: skip


@needs_kill
@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_share_a_sweep_and_one_is_killed(jobs, here, tmp_path):
    """They share nothing but its directory; when one is killed, in which epoch, is drawn."""
    random = np.random.default_rng([SEED, jobs])
    before, delay = int(random.integers(1, 6)), float(random.uniform(0, 0.3))
    drawn = f"seed {SEED}: killed {delay:.3f} s after {before} trials"
    result_of(here("sweep", *SLOW[:-2], "--trials", 1, "--out", "shared", "--json"))
    join = ("--resume", "shared", "--trials", 13, "--jobs", jobs, "--json")
    with started(*join, cwd=tmp_path) as killed, started(*join, cwd=tmp_path) as other:
        lines = read_trials(killed, before)
        time.sleep(delay)
        os.killpg(killed.pid, signal.SIGKILL)
        lines.append(killed.communicate()[1])
        output, errors = other.communicate(timeout=TIMEOUT)
    assert other.returncode == 0, drawn + errors
    trials = json.loads(output)["trials"]
    assert [trial["number"] for trial in trials] == list(range(13)), drawn
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}, drawn
    ran = numbers_of("".join(lines) + errors)
    assert len(ran) == len(set(ran)), drawn
    # What a process had recorded, but not printed when it was killed, is not drawn again either.
    assert len(set(range(1, 13)) - set(ran)) <= jobs, drawn
    # A worker of the killed process may outlive the other one; whoever comes next tidies up.
    result_of(here("sweep", "--resume", "shared", "--trials", 14, "--json"))
    assert not list((tmp_path / "shared").glob("*.process")), drawn


def test_processes_that_begin_together_end_with_the_same_trials(here, tmp_path):
    """The budget is that of both, and each waits for the trials of the other."""
    result_of(here("sweep", *SLOW[:-2], "--trials", 1, "--out", "shared", "--json"))
    join = ("--resume", "shared", "--trials", 9, "--json")
    with started(*join, cwd=tmp_path) as one, started(*join, cwd=tmp_path) as other:
        ends = [process.communicate(timeout=TIMEOUT) for process in (one, other)]
    assert one.returncode == other.returncode == 0, ends
    results = [json.loads(output)["trials"] for output, _ in ends]
    assert results[0] == results[1]
    assert [trial["number"] for trial in results[0]] == list(range(9))
    assert sorted(numbers_of(ends[0][1] + ends[1][1])) == list(range(1, 9))


@needs_kill
def test_ctrl_c_ends_all_processes(here, tmp_path):
    with started(*ENDLESS, cwd=tmp_path) as process:
        wait_for_epochs(tmp_path / "here", 2)
        workers = descendants(process.pid)
        assert len(workers) >= 2
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 130
        wait_until(lambda: not any(map(is_alive, workers)))
    assert errors.splitlines()[-1] == (
        "fastmlp: interrupted (0 of 20 trials finished; "
        "continue with 'fastmlp sweep --resume here')"
    )
    assert "Traceback" not in errors


@needs_kill
def test_sigterm_exits_143(tmp_path):
    with started(*ENDLESS, "--jobs", 1, cwd=tmp_path) as process:
        wait_for_epochs(tmp_path / "here", 1)
        process.terminate()
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143
    assert errors.splitlines()[-1].startswith("fastmlp: terminated (0 of 20 trials finished;")


def test_a_worker_that_is_lost_ends_the_sweep(tmp_path):
    with started(*ENDLESS, cwd=tmp_path) as process:
        wait_for_epochs(tmp_path / "here", 2)
        workers = descendants(process.pid)
        os.kill(max(workers), signal.SIGKILL)
        _, errors = process.communicate(timeout=TIMEOUT)
        wait_until(lambda: not any(map(is_alive, workers)))
    assert process.returncode == 1
    assert errors.splitlines()[-1] == (
        "fastmlp: error: a process of the sweep was ended from outside (0 of 20 trials finished; "
        "continue with 'fastmlp sweep --resume here')"
    )


# ---------------------------------------------------------------- what is refused

SEARCH = ("--search", f"{RATE}=0.01..0.1")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (
            ("moons", "--architecture", "mlp", "--lr", "0.1", "--decay", "0", "--hidden", "8",
             "--dropout", "0"),
            2, "error: all settings of the search space of mlp are given; leave one out",
        ),
        (("moons", "--search", "lr=0..1"), 2, "--search: a setting must be written SECTION.NAME"),
        (("moons", *SEARCH, *SEARCH), 2, f"--search: {RATE}: is given 2 times"),
        # What only the data or the other settings tell:
        (
            ("moons", "--search", "network.activation=relu|reul"), 2,
            "error: network.activation=reul: activation must be one of",
        ),
        (
            ("moons", "--search", "optimizer.name=adam|sgd", "--search", "optimizer.beta1=0..0.9"),
            2, "error: optimizer.name=sgd: sgd has no beta1",
        ),
        (
            ("moons", *SEARCH, "--search", "optimizer.name=adam|lbfgs"), 2,
            "error: optimizer.name=lbfgs:",
        ),
        (
            ("moons", "--search", "network.loss=hinge|softmax_cross_entropy"), 2,
            "error: network.loss: val_loss of different losses cannot be compared",
        ),
        (
            ("moons", "--search", 'training.averaging=swa|{name = "ema", steps = 3}'), 2,
            "error: training.averaging=",
        ),
        (("moons", *SEARCH, "--optimizer", "lbfgs"), 2, "error: optimizer.name: lbfgs has"),
        (("moons", *SEARCH, "--activation", "reul"), 2, "error: activation must be one of"),
        (("mons", *SEARCH), 2, "did you mean 'moons'?"),
        (("-", *SEARCH), 2, "DATASET must be data that can be read more than once, got -"),
        (("nowhere.csv", *SEARCH), 3, "nowhere.csv: does not exist"),
        (("moons", *SEARCH, "--out", "full"), 2, "--out: full: is not empty"),
        (("moons", *SEARCH, "--out", "full/file"), 2, "--out: full/file: is a file"),
        (("--resume", "full"), 2, "full: has no search.json; expected the directory of a sweep"),
        (("--resume", "nowhere"), 2, "nowhere: is no directory; expected the directory"),
        (
            ("moons", "--resume", "full"), 2,
            "--resume takes the settings of the sweep; only --trials and --jobs may be added",
        ),
        (("--resume", "full", "--no-prune"), 2, "--resume takes the settings of the sweep"),
        (("--resume", "full", "--epochs", "3"), 2, "--resume takes the settings of the sweep"),
        (("moons", *SEARCH, "--jobs", "0"), 2, "must lie in 1..1024, got 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_named(args, code, message, here, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = here("sweep", *args, "--quiet")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr
    # Nothing is left of it.
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_damaged_sweeps_and_other_data_are_named(here, tmp_path, monkeypatch):
    pytest.importorskip("polars")
    table, directory = tmp_path / "table.csv", tmp_path / "here"
    rows = [f"{i % 7},{i % 5},{i % 2}" for i in range(40)]
    table.write_text("\n".join(["a,b,class", *rows]) + "\n")
    args = ("table.csv", *SEARCH, "--epochs", 2, "--trials", 2, "--out", "here")
    assert here("sweep", *args).returncode == 0
    # From anywhere: the settings hold paths that do not depend on where the sweep began.
    monkeypatch.chdir("/")
    resume = ("sweep", "--resume", directory, "--trials", 3)
    for path, content, code, message in (
        (table, table.read_text() + "1,1,1\n", 3, "the data has changed since the sweep began"),
        (directory / "search.json", "{", 2, "search.json: is not the definition of a sweep"),
        (
            directory / "search.json",
            '{"trials": 1}',
            2,
            "search.json: is not the definition of a sweep",
        ),
        (directory / "config.toml", "[data]\nsource = 3\n", 2, "config.toml: data.source"),
        (directory / "journal.log", "x\ny\n", 2, "journal.log: is not the journal of a sweep"),
    ):
        before = path.read_text()
        path.write_text(content)
        done = here(*resume)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr
        path.write_text(before)
    assert here(*resume).returncode == 0


@pytest.mark.parametrize(("args", "warned"), [((), False), (("--validation-fraction", "0"), True)])
def test_nothing_is_chosen_by_the_samples_of_the_test(args, warned, here, tmp_path):
    write_idx_directory(tmp_path / "images", 200)
    done = here("sweep", "images", *SEARCH, "--epochs", 1, "--trials", 1, *args)
    assert done.returncode == 0, done.stderr
    assert ("trials are selected by the test samples" in done.stderr) is warned
    best = (tmp_path / "sweeps" / "001-images" / "best.toml").read_text()
    assert f"validation_fraction = {'0.0' if warned else '0.1'}" in best


def test_a_missing_extra_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['optuna'] = None\n")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    done = sweep("moons", *SEARCH, cwd=tmp_path, PYTHONPATH=os.pathsep.join(filter(None, paths)))
    assert done.returncode == 7
    assert done.stderr == (
        "fastmlp: error: optuna is needed; run \"pip install 'fastmlp[sweep]'\"\n"
    )
