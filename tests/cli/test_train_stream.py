"""`fastmlp train --stream`: runs whose training part stays in its files."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment import build, settings
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.runner import Outcome, load_experiment, save_checkpoint, train
from support.cli_process import TIMEOUT, answer_signals, command, environment

polars = pytest.importorskip("polars")

QUICK = ("--architecture", "mlp", "--hidden", 8, "--batch-size", 32, "--no-report")


def write_homes(folder: Path, count: int, files: int = 4, seed: int = 0) -> Path:
    """A table in several files, with numbers, gaps, names and two classes."""
    draw = np.random.default_rng(seed)
    size = draw.uniform(20, 200, count)
    frame = polars.DataFrame(
        {
            "size": size,
            "rooms": [None if i % 11 == 0 else i % 7 for i in range(count)],
            "town": draw.choice(["Bonn", "Kiel", "Jena"], count),
            "kind": np.where(size + draw.normal(0, 20, count) > 110, "large", "small"),
        }
    )
    folder.mkdir()
    for number in range(files):
        rows = range(number * count // files, (number + 1) * count // files)
        frame[rows.start : rows.stop].write_parquet(folder / f"{number}.parquet")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)
    write_homes(tmp_path / "homes", 1000)

    def call(*args: object) -> subprocess.CompletedProcess:
        code = main(list(map(str, args)))
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return call


def last_parameters(run: str | Path) -> dict[str, np.ndarray]:
    return fastmlp.MLP.load(Path(run) / "last.safetensors").parameters()


def require_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array)


# ---------------------------------------------------------------- runs


def test_a_run_and_what_is_done_with_it(here):
    ended = here("train", "homes", "--stream", "--target", "kind", *QUICK, "--epochs", 5, "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    held = document["samples"]["test"]
    assert 150 < held < 250
    assert document["test"]["accuracy"] > 0.7
    assert {b["name"] for b in document["baselines"]} == {"majority class", "linear model"}
    config = document["config"]["data"]
    assert (config["stream"], config["test_fraction"]) == (True, 0.2)
    assert config["stratify"] is False
    assert 690 < document["samples"]["training"] < 760
    run = document["directory"]
    answers = here("predict", run, "homes")
    assert answers.stdout.count("\n") == 1001, answers.stderr
    measured = json.loads(here("evaluate", run, "--json").stdout)
    assert measured["part"] == "test"
    assert measured["accuracy"] == document["test"]["accuracy"]
    assert here("importance", run, "--json").returncode == 0
    again = here("train", "--config", f"{run}/config.toml", "--json")
    require_equal(last_parameters(run), last_parameters(json.loads(again.stdout)["directory"]))


def test_the_steps_are_those_of_the_samples_in_memory(here, tmp_path):
    """Without shuffling, a training on the arrays of all blocks has the same bits."""
    given = {
        "data": {"stream": True, "target": ["kind"]},
        "network": {"architecture": "mlp", "hidden": [8]},
        "training": {"epochs": 3, "batch_size": 32, "shuffle": False},
    }
    experiment = load_experiment(settings.resolve("homes", [given]))
    stream = experiment.prepared.stream
    x, y = (np.concatenate(c) for c in zip(*map(stream.chunk, range(stream.chunks)), strict=True))
    expected = experiment.new_model()
    measured = experiment.monitored.as_tuple()
    expected.fit(
        x, y, epochs=3, batch_size=32, shuffle=False, verbose=0,
        optimizer=build.optimizer(experiment.config), validation_data=measured, diagnose=False,
    )  # fmt: skip
    run, model = RunDirectory.create("homes", tmp_path / "run"), experiment.new_model()
    train(experiment, model, run, Outcome())
    require_equal(expected.parameters(), model.parameters())
    assert expected.history.val_loss == model.history.val_loss


@pytest.mark.parametrize(
    "options",
    [
        ("--architecture", "realmlp", "--hidden", "8,8"),
        ("--architecture", "resnet", "--hidden", 8),
        ("--target", "size", "--exclude", "kind"),
        ("--batch-normalization", "--dropout", 0.1),
        ("--averaging", "ema", "--lr-schedule", "one_cycle", "--patience", 3),
        ("--no-shuffle", "--validation-fraction", 0, "--test-fraction", 0),
    ],
)
def test_settings(here, options):
    target = () if "--target" in options else ("--target", "kind")
    quick = ("--batch-size", 32, "--epochs", 2, "--no-report", "--json")
    ended = here("train", "homes", "--stream", *target, *quick, *options)
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)["history"]) == 2


def test_a_report_tells_of_all_training_samples(here):
    for package in ("matplotlib", "jinja2"):
        pytest.importorskip(package)
    frame = polars.DataFrame({"x": np.arange(150_000.0), "y": np.arange(150_000) % 2})
    frame.write_parquet("many.parquet")
    options = ("--epochs", 1, "--batch-size", 4096, "--architecture", "mlp", "--hidden", 2)
    ended = here("train", "many.parquet", "--stream", *options, "--report", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    trained = document["samples"]["training"]
    assert trained > 80_000
    messages = [finding["message"] for finding in document["findings"]]
    assert f"the training had {-(-trained // 4096)} steps, which is few" in messages
    text = (Path(document["directory"]) / "report.html").read_text()
    assert f" of the {trained:,} training samples" in text


# ---------------------------------------------------------------- resuming


class Interrupt(fastmlp.Callback):
    """Ends the training as Ctrl-C does, after a step of the run."""

    every_steps = 1

    def __init__(self, at: int | None) -> None:
        self.at = at

    def on_step_end(self, training, record):
        if record["step"] == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [1, 10, 22, 23, 24, 40, 47])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_run_that_was_interrupted_goes_on_within_the_epoch(here, tmp_path, step, shuffle):
    given = {
        "data": {"stream": True, "target": ["kind"]},
        "network": {"architecture": "mlp", "hidden": [8], "dropout": 0.2},
        "optimizer": {"name": "adam"},
        "training": {"epochs": 3, "batch_size": 32, "shuffle": shuffle},
    }

    def trained(name: str, at: int | None, checkpoint=None):
        preprocessing = None if checkpoint is None else checkpoint.preprocessing
        config = settings.resolve("homes", [given])
        experiment = load_experiment(config, preprocessing=preprocessing)
        path, model, outcome = tmp_path / name, experiment.new_model(), Outcome()
        run = RunDirectory.create(name, path) if checkpoint is None else RunDirectory(path)
        try:
            train(experiment, model, run, outcome, callbacks=[Interrupt(at)], checkpoint=checkpoint)
        except KeyboardInterrupt:
            assert at is not None
            save_checkpoint(model, run, outcome)
        return run, model, outcome

    _, expected, whole = trained("whole", None)
    run, _, cut = trained("cut", step)
    checkpoint, problems = run.checkpoints.newest()
    assert problems == []
    assert checkpoint.epoch == len(cut.records) == (step - 1) // 23
    _, model, outcome = trained("cut", None, checkpoint)
    require_equal(expected.parameters(), model.parameters())
    for one, other in zip(whole.records, outcome.records, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_ctrl_c_in_the_first_epoch(tmp_path):
    write_homes(tmp_path / "homes", 60_000)
    options = ("--stream", "--target", "kind", *QUICK, "--hidden", "64,64", "--batch-size", 1,
               "--epochs", 3)  # fmt: skip
    whole = subprocess.run(
        command("train", "homes", *options, "--out", "whole"), cwd=tmp_path, env=environment(),
        capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        command("train", "homes", *options, "--out", "cut"), cwd=tmp_path, env=environment(),
        stderr=subprocess.PIPE, text=True, preexec_fn=answer_signals,
    )  # fmt: skip
    while process.poll() is None and not (tmp_path / "cut" / "config.toml").exists():
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, errors
    ended = subprocess.run(
        command("train", "--resume", "cut"), cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    require_equal(last_parameters(tmp_path / "whole"), last_parameters(tmp_path / "cut"))


def test_other_data_are_no_continuation(here):
    options = ("--stream", "--target", "kind", *QUICK, "--epochs", 3, "--out", "run")
    assert here("train", "homes", *options, "--max-time", 1e-9).returncode == 0
    path = Path("homes/2.parquet")
    polars.read_parquet(path).reverse().write_parquet(path)
    ended = here("train", "--resume", "run")
    assert ended.returncode == 3
    assert "the data has changed since the run began: 2.parquet" in ended.stderr


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "mnist"), "mnist: must be Parquet, Feather or Arrow files"),
        (("cv", "homes"), "must be left out: a cross-validation needs all samples"),
        (
            ("train", "homes", "--folds", 3),
            "must be left out: a training on folds (--folds) needs all",
        ),
        (("train", "homes", "--optimizer", "lbfgs"), "optimizer lbfgs needs all samples"),
        (("train", "homes", "--class-weight", "balanced"), "class_weight balanced needs all"),
        (("train", "homes", "--time-limit", "5s"), "time_limit needs all samples"),
        (("train", "homes", "--architecture", "tabm"), "architecture tabm needs all samples"),
    ],
)
def test_what_needs_all_samples_says_so_in_one_line(here, arguments, message):
    target = () if "mnist" in arguments else ("--target", "kind")
    ended = here(*arguments, *target, "--stream")
    assert ended.returncode in (2, 3)
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_a_run_of_a_stream_cannot_do(here):
    options = ("--stream", "--target", "kind", *QUICK, "--epochs", 1, "--out", "run")
    assert here("train", "homes", *options).returncode == 0
    for arguments in (
        ("evaluate", "run", "--part", "training"),
        ("report", "run", "--learning-curve"),
    ):
        ended = here(*arguments)
        assert ended.returncode == 2, ended.stderr
        assert "needs the training part in memory" in ended.stderr


def test_a_row_that_cannot_be_read_ends_the_training_with_its_place(here):
    """A gap in a column that has none in the rows that are learned from."""
    count = 120_000
    column = [None if i == count - 3 else float(i % 13) for i in range(count)]
    frame = polars.DataFrame({"x": column, "z": np.arange(count) % 5, "y": np.arange(count) % 2})
    frame.write_parquet("gaps.parquet")
    options = (*QUICK[:4], "--batch-size", 4096, "--epochs", 1, "--missing", "error")
    ended = here("train", "gaps.parquet", "--stream", *options, "--out", "run")
    assert ended.returncode == 3, ended.stderr
    assert f"gaps.parquet: row {count - 2}, column 'x': lacks a value" in ended.stderr


# ---------------------------------------------------------------- predictions


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
def test_answers_of_a_stream_are_those_of_the_samples_in_memory(here, tmp_path, form):
    options = ("--stream", "--target", "kind", *QUICK, "--epochs", 1, "--out", "run")
    assert here("train", "homes", *options).returncode == 0
    asked = ("--probabilities", "--keep", "town", "--format", form)
    whole = here("predict", "run", "homes", *asked)
    streamed = here("predict", "run", "homes", *asked, "--stream")
    assert streamed.returncode == 0, streamed.stderr
    assert read_answers(streamed.stdout, form) == [
        row | {"problem": None if form == "jsonl" else ""}
        for row in read_answers(whole.stdout, form)
    ]
    ended = here("predict", "run", "homes", *asked, "--stream", "--output", f"answers.{form}")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / f"answers.{form}").read_text() == streamed.stdout


def read_answers(text: str, form: str) -> list[dict]:
    if form == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text), delimiter="," if form == "csv" else "\t"))


def test_answers_for_an_array_of_several_blocks(here):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((150_000, 8), np.float32)
    np.save("x.npy", x)
    np.save("y.npy", (x[:, 0] > 0).astype(np.int8))
    assert here("train", "x.npy", "--stream", *QUICK, "--epochs", 1, "--out", "run").returncode == 0
    whole = here("predict", "run", "x.npy").stdout.splitlines()
    streamed = here("predict", "run", "x.npy", "--stream").stdout.splitlines()
    assert len(whole) == 150_001
    assert streamed == [f"{whole[0]},problem", *(f"{line}," for line in whole[1:])]


@pytest.mark.parametrize("form", ["npy", "npz", "npz alone"])
def test_answers_for_the_files_of_the_training(here, tmp_path, form):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((900, 4), np.float32)
    y = (x[:, 0] > 0).astype(np.int8)
    np.save("all.npy", x)
    Path("pairs").mkdir()
    for part in range(3):
        rows = slice(300 * part, 300 * part + 300)
        if form == "npy":
            np.save(f"pairs/x-{part}.npy", x[rows])
            np.save(f"pairs/y-{part}.npy", y[rows])
        else:
            np.savez(f"pairs/{part}.npz", x=x[rows], y=y[rows])
    ended = here("train", "pairs", "--stream", *QUICK, "--epochs", 1, "--out", "run")
    assert ended.returncode == 0, ended.stderr
    assert "predict run pairs --stream" in ended.stderr
    if form == "npz alone":
        for part in range(3):
            np.savez(f"pairs/{part}.npz", x=x[300 * part : 300 * part + 300])
    expected = here("predict", "run", "all.npy", "--stream").stdout
    assert expected.count("\n") == 901
    answers = here("predict", "run", "pairs", "--stream")
    assert (answers.returncode, answers.stdout) == (0, expected), answers.stderr


@pytest.mark.parametrize("lacks", [("size",), ("size", "rooms", "town")])
def test_columns_that_are_missing_are_named_as_without_a_stream(here, lacks):
    options = ("--stream", "--target", "kind", *QUICK, "--epochs", 1, "--out", "run")
    assert here("train", "homes", *options).returncode == 0
    given = {name: [1.0, 2.0] for name in ("size", "rooms") if name not in lacks}
    given |= {"other": [1.0, 2.0]} | ({} if "town" in lacks else {"town": ["Bonn", "Kiel"]})
    polars.DataFrame(given).write_parquet("other.parquet")
    whole, streamed = (here("predict", "run", "other.parquet", *s) for s in ((), ("--stream",)))
    assert (streamed.returncode, streamed.stderr) == (whole.returncode, whole.stderr)
    assert "'size'" in streamed.stderr
    assert "missing" in streamed.stderr


def test_rows_without_an_answer_and_unknown_names(here):
    options = ("--stream", "--target", "kind", *QUICK, "--epochs", 1, "--out", "run")
    assert here("train", "homes", *options, "--missing", "error", "--exclude", "rooms"
                ).returncode == 0  # fmt: skip
    frame = polars.read_parquet("homes/0.parquet").head(5)
    sizes, towns = [1.0, None, 2.0, 3.0, None], ["Bonn", "Kiel", "Rome", "Bonn", "Jena"]
    frame = frame.with_columns(size=polars.Series(sizes), town=polars.Series(towns))
    frame.write_parquet("new.parquet")
    ended = here("predict", "run", "new.parquet", "--stream")
    rows = read_answers(ended.stdout, "csv")
    assert [bool(row["problem"]) for row in rows] == [False, True, False, False, True]
    assert "2 of 5 rows have no answer" in ended.stderr
    assert "1 of 5 rows has names that the training did not have" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("homes", "--json"), "--stream writes csv, tsv or jsonl"),
        (("homes", "--format", "parquet"), "--stream writes csv, tsv or jsonl"),
        (("-",), "-: must be Parquet, Feather, Arrow, .npy or .npz files to be read in blocks"),
        (("new.csv",), 'polars.scan_csv("new.csv").sink_parquet("data.parquet") makes such a file'),
    ],
)
def test_answers_that_no_stream_gives(here, arguments, message):
    Path("new.csv").write_text("size,rooms,town\n1,2,Bonn\n")
    options = ("--stream", "--target", "kind", *QUICK, "--epochs", 1, "--out", "run")
    assert here("train", "homes", *options).returncode == 0
    ended = here("predict", "run", *arguments, "--stream")
    assert ended.returncode in (2, 3)
    assert message in ended.stderr


# ---------------------------------------------------------------- memory


def peak_of(arguments: tuple[object, ...], folder: Path) -> int:
    """Return the largest anonymous memory of a command in bytes, looked at again and again."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.005):
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                return
            held = [int(line.split()[1]) for line in lines if line.startswith("RssAnon")]
            peak = max(peak, *held, 0) if held else peak

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate(timeout=TIMEOUT)
    ended.set()
    watcher.join()
    assert process.returncode == 0, errors
    return peak * 1024


@pytest.mark.parametrize("form", ["parquet", "npy"])
def test_memory_does_not_grow_with_the_data(tmp_path, form):
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs /proc")
    answers: dict[int, int] = {}
    peaks, features, counts = {}, 28, (700_000, 1_500_000)  # of which 590,000 fill the buffer
    for count in counts:
        draw = np.random.default_rng(0)
        folder = tmp_path / str(count)
        folder.mkdir()
        x = draw.standard_normal((count, features), np.float32)
        y = (x[:, 0] > 0).astype(np.uint8)
        if form == "npy":
            np.save(folder / "x.npy", x)
            np.save(folder / "y.npy", y)
        else:
            columns = {f"x{i}": x[:, i].astype(np.float64) for i in range(features)}
            polars.DataFrame(columns | {"y": y}).write_parquet(folder / "a.parquet")
        options = ("--epochs", 1, "--architecture", "mlp", "--hidden", 8, "--batch-size", 4096)
        train = ("train", folder, "--stream", *options, "--no-report", "--out", f"{folder}-run")
        peaks[count] = peak_of(train, tmp_path)
        samples = folder / "x.npy" if form == "npy" else folder
        predict = ("predict", f"{folder}-run", samples, "--stream", "-o", f"{folder}.csv")
        answers[count] = peak_of(predict, tmp_path)
    few, many = counts
    assert peaks[many] - peaks[few] < (many - few) * features * 4 / 2.5, peaks
    assert peaks[many] < 300 << 20, peaks
    assert answers[many] - answers[few] < (many - few) * features * 4 / 2.5, answers


def test_a_folder_of_arrays_has_the_settings_of_arrays(here, tmp_path):
    """Not those of images; without --stream a message tells that it reads the folder."""
    for form in ("npy", "npz"):
        folder = tmp_path / form
        folder.mkdir()
        x, y = np.random.default_rng(0).standard_normal((200, 3)), np.arange(200) % 2
        if form == "npy":
            np.save(folder / "x-0.npy", x)
            np.save(folder / "y-0.npy", y)
        else:
            np.savez(folder / "0.npz", x=x, y=y)
        done = here("config", "show", form, "--stream", "--json")
        settings = json.loads(done.stdout)["settings"]
        assert settings["network"]["hidden"]["value"] == [64, 64]
        assert settings["data"]["scaling"]["value"] == "standard"
        refused = here("train", form)
        assert refused.returncode == 3
        assert "; --stream reads a directory of arrays" in refused.stderr
    refused = here("train", "npy/x-0.npy")
    assert "or train with --stream on the files x.npy and y.npy" in refused.stderr


def test_an_empty_parquet_file_is_refused(here, tmp_path):
    polars.DataFrame({"a": [1.0], "y": [1]}).clear().write_parquet(tmp_path / "empty.parquet")
    refused = here("train", "empty.parquet", "--target", "y", "--stream")
    assert refused.returncode == 3
    assert "empty.parquet: has no samples" in refused.stderr
