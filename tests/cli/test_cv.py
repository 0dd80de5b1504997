"""`fastmlp cv` in processes of its own: what it prints and keeps, what it survives."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from support.cli_process import run
from support.sweep_processes import descendants, is_alive, started, wait_until
from support.systems import needs_kill

pytest.importorskip("polars")

SETTINGS = (
    "--target", "kind", "--exclude", "price", "--architecture", "mlp", "--hidden", "16,8",
    "--lr", "0.02", "--dropout", "0.2", "--averaging", "ema", "--lr-schedule", "plateau",
    "--checkpoint-every", "1", "--epochs", "60", "--batch-size", "8", "--folds", "3",
    "--repeats", "2",
)  # fmt: skip
TABLES = ("predictions.csv", "out-of-fold.csv", "models.json")


def houses(path: Path, rows: int = 400) -> Path:
    draw = np.random.default_rng(0)
    size = draw.uniform(20, 200, rows)
    town = draw.choice(["Bonn", "Kiel", "Jena"], rows)
    kind = np.where(size + draw.normal(0, 20, rows) > 110, "large", "small")
    lines = [f"{s:.1f},{t},{1000 * s:.0f},{k}" for s, t, k in zip(size, town, kind, strict=True)]
    path.write_text("size,town,price,kind\n" + "\n".join(lines) + "\n")
    return path


def cv(*args: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    return run("cv", *args, cwd=cwd, **variables)


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Commands in this process and a directory of their own: for what needs no process."""
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)
    houses(tmp_path / "houses.csv")

    def call(*args: object) -> subprocess.CompletedProcess:
        code = main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return call


def digests(directory: Path) -> dict[str, str]:
    files = [directory / name for name in TABLES]
    files += sorted(directory.glob("folds/*/model.safetensors"))
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


# ---------------------------------------------------------------- what it prints and keeps


QUICK = ("--target", "kind", "--exclude", "price", "--epochs", 2, "--hidden", 4, "--processes", 1)


def test_scores_files_and_the_commands_that_take_them(here, tmp_path):
    done = here("cv", "houses.csv", *QUICK, "--folds", 4, "--output", "answers.csv")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "loading houses.csv"
    assert sum(line.startswith("fold ") for line in lines) == 4
    table = done.stdout.splitlines()
    assert table[0].split("  ")[0] == "measure"
    assert re.match(r"accuracy +\d+\.\d+% +\d+\.\d+% +\d+\.\d+% to \d+\.\d+%$", table[1])
    assert "folds        4 of 400 samples" in table
    out = tmp_path / "cv" / "001-houses"
    assert (tmp_path / "answers.csv").read_bytes() == (out / "predictions.csv").read_bytes()
    with (out / "out-of-fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "row",
        "repeat",
        "fold",
        "target",
        "prediction",
        "p(large)",
        "p(small)",
    ]
    assert [int(row["row"]) for row in rows] == list(range(1, 401))
    assert not list(out.glob("folds/*/checkpoints/*"))

    shown = here("evaluate", "cv/001-houses")
    assert shown.stdout == done.stdout
    measured = here("evaluate", "cv/001-houses", "houses.csv", "--json")
    assert json.loads(measured.stdout)["samples"] == 400
    assert "trained on some of these samples" in measured.stderr
    answers = here("predict", "cv/001-houses", "houses.csv", "-p", "--keep", "town")
    header = answers.stdout.splitlines()[0]
    assert header == "town,prediction,p(large),p(small)"
    low = here("evaluate", "cv/001-houses", "--min-accuracy", "100%")
    assert low.returncode == 6
    for command in ("export", "inspect", "report"):
        refused = here(command, "cv/001-houses")
        assert refused.returncode in (2, 4), command
        assert "Traceback" not in refused.stderr


def test_a_required_accuracy_is_that_of_the_mean(here):
    args = ("cv", "houses.csv", *QUICK, "--folds", 2, "-q", "--min-accuracy")
    assert here(*args, "1%").returncode == 0
    done = here(*args, "100%")
    assert done.returncode == 6
    assert re.search(r"mean accuracy is \d+\.\d+%, --min-accuracy requires 100.00%", done.stderr)
    assert done.stdout.startswith("measure")


def test_json_is_the_result(here, tmp_path):
    done = here("cv", "houses.csv", *QUICK, "--repeats", 2, "--json", "-q", "--out", "out")
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["schema"] == "fastmlp.cv"
    assert document["directory"] == "out"
    stored = json.loads((tmp_path / "out" / "result.json").read_text())
    assert stored.items() <= document.items()
    assert len(document["folds"]) == 10
    accuracies = [fold["measures"]["accuracy"] for fold in document["folds"]]
    score = document["scores"]["accuracy"]
    assert score["mean"] == pytest.approx(np.mean(accuracies))
    assert score["std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert score["low"] < score["mean"] < score["high"]
    assert score["high"] - score["mean"] == pytest.approx(
        2.2621571628 * score["std"] * np.sqrt(1 / 10 + 80 / 320)
    )


def test_the_same_command_begins_anew_once_it_is_finished(here):
    args = ("cv", "houses.csv", *QUICK, "--folds", 2, "-q", "--json")
    first, second = json.loads(here(*args).stdout), json.loads(here(*args).stdout)
    assert first["directory"] == "cv/001-houses"
    assert second["directory"] == "cv/002-houses"
    assert first["scores"] == second["scores"]
    again = here(*args, "--out", "cv/001-houses")
    assert json.loads(again.stdout)["scores"] == first["scores"]
    other = here(*args[:-2], "--folds", 3, "--out", "cv/001-houses")
    assert other.returncode == 2
    assert "holds another cross-validation: folds is 2 there, and 3 here" in other.stderr
    assert here(*args, "--folds", 3, "--out", "cv/001-houses", "--overwrite").returncode == 0
    assert len(list(Path("cv/001-houses/folds").iterdir())) == 3


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("houses.csv --folds 1", 2, "must lie in 2..10000"),
        ("houses.csv --folds many", 2, "expected an integer"),
        ("houses.csv --target kind --time size --repeats 2", 2, "repeats must be 1 with time"),
        ("houses.csv --target kind --time size --stratify", 2, "stratify must be left out"),
        ("houses.csv --target kind --time size --group town", 2, "group and time exclude"),
        ("houses.csv --target kind --group twon", 2, "did you mean 'town'"),
        ("houses.csv --target kind --group town", 2, "at most 3, the number of groups"),
        ("houses.csv --target kind --folds 999", 2, "folds must be at most 400"),
        ("houses.csv --target kind --test-fraction 0.2", 2, "test_fraction must be 0"),
        ("houses.csv --target kind --test houses.csv", 2, "test must be left out"),
        ("houses.csv --target kind --tensorboard", 2, "tensorboard must be off"),
        ("houses.csv --target kin", 2, "did you mean 'kind'"),
        ("houses.csv --target kind --lr -1", 2, "--lr"),
        ("houses.csv --target kind --out houses.csv", 2, "is a file, expected a directory"),
        ("houses.csv --target kind --out .", 2, "is not empty, and holds no cross-validation"),
        ("houses.csv --target kind --output houses.csv", 2, "exists already; add --overwrite"),
        ("none.csv", 3, "none.csv"),
        ("- --target kind", 2, "got -"),
        ("iris --group species", 2, "holds arrays"),
        ("houses.csv --target kind --optimizer sgd --lr 1e30", 5, "0 of 5 folds finished"),
    ],
)
def test_wrong_commands_say_what_is_wrong(args, code, message, here):
    done = here("cv", *args.split(), "--processes", 1, "--epochs", 1)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unfinished_directory_says_so(here, tmp_path):
    here("cv", "houses.csv", *QUICK, "--folds", 2, "--out", "out")
    (tmp_path / "out" / "models.json").unlink()
    done = here("predict", "out", "houses.csv")
    assert done.returncode == 4
    assert (
        "the cross-validation is not finished; the command that began it continues" in done.stderr
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("result.json", "{", "is not valid JSON"),
        ("result.json", "{}", "is not the result of a cross-validation"),
        ("result.json", '{"scores": 3}', "is not the result of a cross-validation"),
        ("result.json", '{"scores": {"loss": {"mean": "x"}}}', "is not the result"),
        ("models.json", "{", "is not the list of a bag of models"),
        ("folds/1-1/model.safetensors", "none", "model.safetensors"),
        ("cross-validation.json", "[]", "must be a JSON object"),
    ],
)
def test_damaged_files_are_named(here, tmp_path, file, content, message):
    here("cv", "houses.csv", *QUICK, "--folds", 2, "--out", "out")
    (tmp_path / "out" / file).write_text(content)
    args = ("houses.csv",) if file == "cross-validation.json" else ()
    done = here("evaluate", "out", *args)
    assert done.returncode in (3, 4), done.stderr
    assert message in done.stderr
    assert "unexpected" not in done.stderr


# ---------------------------------------------------------------- what it survives


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """An uninterrupted cross-validation, and the seconds of its trainings."""
    work = tmp_path_factory.mktemp("reference")
    houses(work / "houses.csv")
    began = time.monotonic()
    done = cv("houses.csv", *SETTINGS, "--processes", 1, "-q", "--out", work / "out", cwd=work)
    assert done.returncode == 0, done.stderr
    return work, digests(work / "out"), time.monotonic() - began


def test_what_is_printed_in_workers_changes_nothing(reference, tmp_path):
    """Answers come by standard output, to which libraries may write at any time."""
    work, expected, _ = reference
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "os.write(1, b'begin')\n"
        "def write():\n"
        "    while True:\n"
        "        os.write(1, b'noise'); time.sleep(0.001)\n"
        "threading.Thread(target=write, daemon=True).start()\n"
    )
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    args = ("houses.csv", *SETTINGS, "--processes", 2, "-q", "--out", tmp_path / "out")
    done = cv(*args, cwd=work, PYTHONPATH=paths)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "out") == expected


@pytest.mark.parametrize("number", range(6))
def test_killed_at_random_times_it_continues_to_the_same_bits(reference, tmp_path, number):
    work, expected, seconds = reference
    chance = random.Random(number)
    out, kills = tmp_path / "out", 0
    for attempt in range(4):
        processes = 1 + (number + attempt) % 2
        args = ("houses.csv", *SETTINGS, "--processes", processes, "-q", "--out", out)
        with started(*args, cwd=work, name="cv") as process:
            time.sleep(chance.uniform(0.3, seconds) if attempt < 3 else 0)
            if attempt < 3 and process.poll() is None:
                process.send_signal(signal.SIGKILL if (number + attempt) % 3 else signal.SIGINT)
                kills += 1
            code = process.wait(timeout=120)
            # Ctrl-C while the interpreter starts is Python's own, and ends it by the signal.
            expected_codes = (0, -signal.SIGKILL, 130, -signal.SIGINT)
            assert code in expected_codes, process.stderr.read()
        if code == 0:
            break
    print(f"seed {number}: {kills} signals")
    assert code == 0
    assert digests(out) == expected


def test_finished_folds_are_not_trained_again(reference, tmp_path):
    work, expected, _ = reference
    out = tmp_path / "out"
    args = ("houses.csv", *SETTINGS, "--out", out)
    with started(*args, "--processes", 1, cwd=work, name="cv") as process:
        wait_until(lambda: len(list(out.glob("folds/*/result.json"))) >= 2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"interrupted \(\d of 6 folds finished; the same command continues\)", said)
    before = {path: path.stat().st_mtime_ns for path in out.glob("folds/*/model.safetensors")}
    assert 2 <= len(before) < 6
    done = cv(*args, "--processes", 2, cwd=work)
    assert done.returncode == 0, done.stderr
    assert f"continues {out}" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert digests(out) == expected


def test_a_numbered_directory_is_found_again(reference, tmp_path):
    work, expected, _ = reference
    data = work / "houses.csv"
    with started(data, *SETTINGS, cwd=tmp_path, name="cv") as process:
        wait_until(lambda: list(tmp_path.glob("cv/001-houses/folds/*/metrics.jsonl")))
        process.kill()
        process.wait()
    done = cv(data, *SETTINGS, cwd=tmp_path)
    assert "continues cv/001-houses" in done.stderr
    assert digests(tmp_path / "cv" / "001-houses") == expected
    assert [entry.name for entry in (tmp_path / "cv").iterdir()] == ["001-houses"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_command(reference, tmp_path, ending):
    work, _, _ = reference
    out = tmp_path / "out"
    args = ("houses.csv", *SETTINGS, "--epochs", 500_000, "--processes", 2, "--out", out)
    with started(*args, cwd=work, name="cv") as process:
        wait_until(lambda: len(list(out.glob("folds/*/metrics.jsonl"))) >= 2)
        workers = descendants(process.pid)
        assert len(workers) == 2
        process.send_signal(ending)
        _, said = process.communicate(timeout=60)
        wait_until(lambda: not any(map(is_alive, workers)))
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == codes[ending]
    assert "Traceback" not in said


@needs_kill
def test_ctrl_c_in_a_terminal_reaches_all_processes(reference, tmp_path):
    work, _, _ = reference
    out = tmp_path / "out"
    args = ("houses.csv", *SETTINGS, "--epochs", 5000, "--processes", 2, "--out", out)
    with started(*args, cwd=work, name="cv") as process:
        wait_until(lambda: len(list(out.glob("folds/*/metrics.jsonl"))) >= 2)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("fastmlp: interrupted (0 of 6 folds finished")


def test_a_killed_worker_is_told_and_the_rest_stays(reference, tmp_path):
    work, expected, _ = reference
    out = tmp_path / "out"
    args = ("houses.csv", *SETTINGS, "--processes", 2, "--out", out)
    with started(*args, cwd=work, name="cv") as process:
        wait_until(lambda: list(out.glob("folds/*/result.json")))
        worker = descendants(process.pid)[0]
        os.kill(worker, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    last = said.splitlines()[-1]
    assert process.returncode == 1
    assert re.search(r"fold \d of repeat \d: its process was ended by signal 9 \(SIGKILL\)", last)
    assert re.search(r"\([1-5] of 6 folds finished; the same command continues\)", last)
    done = cv(*args, cwd=work)
    assert done.returncode == 0, done.stderr
    assert digests(out) == expected


def test_two_commands_do_not_work_in_one_directory(reference, tmp_path):
    work, _, _ = reference
    out = tmp_path / "out"
    args = ("houses.csv", *SETTINGS, "--epochs", 5000, "--processes", 2, "--out", out)
    with started(*args, cwd=work, name="cv"):
        wait_until(lambda: list(out.glob("folds/*/metrics.jsonl")))
        done = cv(*args, cwd=work)
    assert done.returncode == 2
    assert "another process works in it" in done.stderr


def test_a_script_needs_no_guard(tmp_path):
    """Workers do not run the program that started them."""
    script = tmp_path / "script.py"
    script.write_text(
        "import fastmlp\n"
        "print('begin')\n"
        "result = fastmlp.cross_validate('moons', folds=2, epochs=1, processes=2, verbose=0)\n"
        "print(result.model)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "begin\nBaggedModel(classification, 2 models)\n", done.stderr
