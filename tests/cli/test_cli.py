"""The command line, tried as a user does: real processes, their output, files and exit codes."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.experiment.settings import IMAGES, RECIPES
from fastmlp.schedules import Cosine, StepDecay
from support.cli_process import ESCAPE, run, train_tiny, write_idx_directory


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_idx_directory(tmp_path_factory.mktemp("data") / "tiny", 400)


# ---------------------------------------------------------------- help, version, suggestions


@pytest.mark.parametrize("path", [(), ("train",), ("data",), ("data", "fetch"), ("info",)])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_examples_before_the_options(path, flag):
    result = run(*path, flag)
    assert result.returncode == 0
    assert result.stderr == ""
    examples, usage = result.stdout.index("Examples:"), result.stdout.index("Usage: ")
    assert examples < usage < result.stdout.index("Options:")


def test_help_imports_nothing_slow():
    probe = (
        "import sys; from fastmlp.cli import main; code = main(['--help']);"
        "slow = {'numpy', 'pydantic', 'tomlkit', 'fastmlp._core', 'fastmlp.datasets'};"
        "bad = slow & set(sys.modules);"
        "sys.exit(f'{bad}' if bad else code)"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag):
    result = run(flag)
    assert (result.returncode, result.stdout) == (0, f"fastmlp {fastmlp.__version__}\n")


@pytest.mark.parametrize(
    "path",
    [("train",), ("cv",), ("sweep",), ("lr-find",), ("look",), ("config", "show"), ("predict",),
     ("evaluate",), ("serve",), ("plot",), ()],
    ids=" ".join,
)  # fmt: skip
def test_help_fits_a_screen(capsys, monkeypatch, path):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*path, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 15 < len(lines) <= 50
    assert main(["help", *path]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_help_all_has_every_option(capsys):
    assert main(["train", "--help"]) == 0
    short = capsys.readouterr().out
    assert main(["train", "--help-all"]) == 0
    long = capsys.readouterr().out
    flags = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", long, re.MULTILINE)
    assert f"All {len(flags)} options: fastmlp train --help-all" in short
    assert {"--target", "--lr", "--epochs", "--nesterov", "--freeze"} <= set(flags)
    assert "--nesterov" not in short
    assert set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", short, re.MULTILINE)) <= set(flags)


def test_help_of_nothing_suggests(capsys):
    assert main(["help", "trian"]) == 2
    assert "no such command 'trian'; did you mean 'train'?" in capsys.readouterr().err
    assert main(["help", "train", "mnist"]) == 2


@pytest.mark.parametrize("module", ["fastmlp", "fastmlp.cli"])
def test_the_package_is_the_program(module):
    result = subprocess.run(
        [sys.executable, "-m", module, "data", "--help"], capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "Usage: fastmlp data [OPTIONS] COMMAND" in result.stdout


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("trian", "mnist"), "did you mean 'train'"),
        (("data", "lst"), "did you mean 'list'"),
        (("train", "mnits"), "did you mean 'mnist'"),
        (("data", "path", "mnits"), "did you mean 'mnist'"),
        (("train", "mnist", "--epoch", "3"), "--epochs"),
        (("train",), "DATASET"),
        (("train", "mnist", "--lr", "nan"), "--lr"),
        (("train", "mnist", "--lr", "inf"), "--lr"),
        (("train", "mnist", "--momentum", "1"), "--momentum"),
        (("train", "mnist", "--epochs", "0"), "--epochs"),
        (("train", "mnist", "--hidden", "8,0"), "--hidden"),
        (("train", "mnist", "--min-accuracy", "98"), "--min-accuracy"),
        (("train", "mnist", "--momentum", "0", "--nesterov"), "--nesterov"),
    ],
)
def test_usage_errors_take_one_line_and_exit_2(args, expected):
    result = run(*args)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fastmlp: error: ")
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr


def test_without_a_command_the_help_comes_on_standard_error():
    result = run()
    assert (result.returncode, result.stdout) == (2, "")
    assert "fastmlp train mnist" in result.stderr


# ---------------------------------------------------------------- training


def test_training_writes_a_numbered_run_and_splits_its_output(tiny, tmp_path):
    first = train_tiny(tiny, tmp_path)
    assert first.returncode == 0, first.stderr
    assert "test accuracy" in first.stdout
    assert "runs/001-tiny/last.safetensors" in first.stdout
    lines = [line for line in first.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert "epoch 1/3" not in first.stdout
    assert ESCAPE not in first.stderr + first.stdout

    directory = tmp_path / "runs" / "001-tiny"
    names = {
        "best.safetensors", "last.safetensors", "metrics.jsonl", "config.toml",
        "environment.json", "result.json", "checkpoints",
    }  # fmt: skip
    assert {path.name for path in directory.iterdir()} == names
    metrics = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in metrics] == [1, 2, 3]
    machine = json.loads((directory / "environment.json").read_text())
    assert machine["isa"]
    assert len(machine["data_sha256"]) == 4
    model = fastmlp.MLP.load(directory / "last.safetensors")
    assert model.layer_sizes == [36, 8, 4]
    assert model.history.loss == [record["loss"] for record in metrics]

    before = (directory / "last.safetensors").read_bytes()
    second = train_tiny(tiny, tmp_path, "-q")
    assert second.returncode == 0
    assert second.stderr == ""
    assert "runs/002-tiny" in second.stdout
    assert (directory / "last.safetensors").read_bytes() == before
    # Same seed and settings: the same bytes.
    assert (tmp_path / "runs" / "002-tiny" / "last.safetensors").read_bytes() == before


def test_a_run_is_done_again_from_its_settings_to_the_last_bit(tiny, tmp_path):
    """Also from another directory, with other settings of the user around."""
    first = train_tiny(
        tiny, tmp_path, "--optimizer", "rmsprop", "--lr", "0.01", "--dropout", "0.3",
        "--validation-fraction", "0.25", "--averaging", "swa", "--seed", "5",
    )  # fmt: skip
    assert first.returncode == 0, first.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "fastmlp.toml").write_text("[training]\nepochs = 1\npatience = 1\n")
    run_directory = tmp_path / "runs" / "001-tiny"
    again = run("train", "--config", run_directory / "config.toml", cwd=elsewhere)
    assert again.returncode == 0, again.stderr
    for name in ("last.safetensors", "best.safetensors", "config.toml"):
        expected = (run_directory / name).read_bytes()
        assert (elsewhere / "runs" / "001-tiny" / name).read_bytes() == expected


def test_json_is_one_object_with_a_schema(tiny, tmp_path):
    result = train_tiny(tiny, tmp_path, "--json", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    document = json.loads(result.stdout)
    assert (document["schema"], document["schema_version"]) == ("fastmlp.train", 2)
    assert document["status"] == "completed"
    assert document["exit_code"] == 0
    assert document["epochs_completed"] == len(document["history"]) == 3
    assert document["layer_sizes"] == [36, 8, 4]
    assert document["samples_per_second"] > 0
    assert "epoch 3/3" in result.stderr
    # What is reported is what the saved model does.
    model = fastmlp.MLP.load(document["model"])
    images = np.frombuffer((tiny / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    labels = np.frombuffer((tiny / "t10k-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    x = model.preprocessing.inputs(images.reshape(80, 36))
    measured = model.evaluate(x, labels.astype(np.int64))
    assert measured["accuracy"] == document["test"]["accuracy"]


def test_dry_run_writes_nothing(tiny, tmp_path):
    result = train_tiny(tiny, tmp_path, "--dry-run", "--json")
    assert result.returncode == 0
    plan = json.loads(result.stdout)
    assert plan["schema"] == "fastmlp.plan"
    assert plan["config"]["training"]["epochs"] == 3
    assert plan["config"]["training"]["batch_size"] == IMAGES["training"]["batch_size"]
    assert list(tmp_path.iterdir()) == []


def test_a_variable_sets_an_option_and_a_flag_wins(tiny, tmp_path):
    args = ("train", tiny, "--dry-run", "--json")
    by_variable = json.loads(run(*args, FASTMLP_EPOCHS="7", cwd=tmp_path).stdout)
    by_flag = json.loads(run(*args, "--epochs", 4, FASTMLP_EPOCHS="7", cwd=tmp_path).stdout)
    assert by_variable["config"]["training"]["epochs"] == 7
    assert by_flag["config"]["training"]["epochs"] == 4


def test_min_accuracy_ends_with_6_and_keeps_the_model(tiny, tmp_path):
    # A rate of 1e-9 learns nothing, so that 100 % is out of reach.
    result = train_tiny(tiny, tmp_path, "--lr", "1e-9", "--min-accuracy", "100%", "--json")
    assert result.returncode == 6
    assert "--min-accuracy" in result.stderr
    document = json.loads(result.stdout)
    assert document["status"] == "check_failed"
    assert fastmlp.MLP.load(tmp_path / document["model"])
    assert train_tiny(tiny, tmp_path, "--min-accuracy", "0").returncode == 0


def test_divergence_ends_with_5(tiny, tmp_path):
    result = train_tiny(tiny, tmp_path, "--lr", "1e30", "--json")
    assert result.returncode == 5
    assert "epoch 1" in result.stderr
    assert "Traceback" not in result.stderr
    document = json.loads(result.stdout)
    assert (document["status"], document["exit_code"]) == ("diverged", 5)
    assert document["model"] is None


def test_outputs_that_are_not_finite_at_the_end_are_a_divergence(tmp_path):
    """The loss of the last epoch was finite: its last step made the weights too large."""
    points, kinds = fastmlp.datasets.make("circles", 20, noise=0.06, seed=0)
    for name, part in {"train": slice(14), "test": slice(14, None)}.items():
        lines = [
            f"{x1!r},{x2!r},{'AB'[kind]}"
            for (x1, x2), kind in zip((5 * points[part]).tolist(), kinds[part], strict=True)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x1,x2,y", *lines, ""]))
    options = ["--activation", "elu", "--optimizer", "sgd", "--lr", 1, "--lr-schedule", "constant",
               "--l2", 100, "--hidden", "8,8,8", "--architecture", "mlp", "--epochs", 2,
               "--batch-size", 10, "--seed", 47, "--no-standardize"]  # fmt: skip
    files = ["train.csv", "--test", "test.csv", "--target", "y", "--validation-fraction", 0]
    result = run("train", *files, *options, "--json", cwd=tmp_path)
    assert result.returncode == 5, result.stderr
    assert "outputs for the test samples are not finite" in result.stderr
    document = json.loads(result.stdout)
    assert document["status"] == "diverged"
    assert math.isfinite(document["history"][-1]["loss"])
    assert document["test"] == {}


def test_out_is_never_overwritten_unasked(tiny, tmp_path):
    target = tmp_path / "deep" / "run"
    assert train_tiny(tiny, tmp_path, "--out", target).returncode == 0
    before = (target / "last.safetensors").read_bytes()
    refused = train_tiny(tiny, tmp_path, "--out", target)
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert (target / "last.safetensors").read_bytes() == before
    assert train_tiny(tiny, tmp_path, "--out", target / "config.toml").returncode == 2
    assert train_tiny(tiny, tmp_path, "--out", target, "--overwrite", "--seed", 2).returncode == 0
    assert (target / "last.safetensors").read_bytes() != before
    assert len((target / "metrics.jsonl").read_text().splitlines()) == 3


# ---------------------------------------------------------------- data


def test_missing_data_ends_with_3_and_says_what_was_tried(tmp_path):
    result = run(
        "train", "mnist", "--data-dir", tmp_path / "none", "--json", cwd=tmp_path,
        FASTMLP_OFFLINE="1", XDG_CACHE_HOME=str(tmp_path / "cache"), HOME=str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 3
    assert "train-images-idx3-ubyte" in result.stderr
    assert "Traceback" not in result.stderr
    error = json.loads(result.stdout)
    assert (error["schema"], error["exit_code"]) == ("fastmlp.error", 3)
    assert not (tmp_path / "runs").exists()


def test_damaged_directories_end_with_3(tmp_path):
    directory = write_idx_directory(tmp_path / "bad", 40)
    labels = directory / "train-labels-idx1-ubyte"
    good = labels.read_bytes()
    for content in (good[:-1], good[:7] + b"\x27" + good[8:-1], b"", b"\x1f\x8b" + good):
        labels.write_bytes(content)
        result = run("train", directory, cwd=tmp_path)
        assert result.returncode == 3, result.stderr
        assert str(directory) in result.stderr
    labels.unlink()
    assert run("train", directory, cwd=tmp_path).returncode == 3
    assert run("train", tmp_path / "nowhere", cwd=tmp_path).returncode == 3


def test_a_gzip_bomb_is_refused(tmp_path):
    import gzip

    directory = write_idx_directory(tmp_path / "bomb", 40)
    path = directory / "train-images-idx3-ubyte"
    # The header claims 4 GiB and more follows it, in a file of a few kilobytes.
    claim = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (1 << 16, 1 << 8, 1 << 8))
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(claim + bytes(1 << 22)))
    path.unlink()
    result = run("train", directory, cwd=tmp_path)
    assert result.returncode == 3
    assert "sizes" in result.stderr


def test_compressed_files_train_like_raw_ones(tiny, tmp_path):
    import gzip

    packed = tmp_path / "tiny"
    packed.mkdir()
    for path in tiny.iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    results = [
        json.loads(train_tiny(directory, tmp_path, "--json", "-q").stdout)
        for directory in (tiny, packed)
    ]
    assert results[0]["test"] == results[1]["test"]
    assert results[0]["environment"]["data_sha256"] == results[1]["environment"]["data_sha256"]


# ---------------------------------------------------------------- recipes, the real data


def test_every_recipe_names_a_data_set():
    assert set(RECIPES) <= set(fastmlp.datasets.available())


def test_one_epoch_of_mnist(tmp_path):
    if fastmlp.datasets.path("mnist") is None:
        pytest.skip("MNIST is not in the local cache (fastmlp data fetch mnist)")
    result = run(
        "train", "mnist", "--hidden", "64", "--epochs", "1", "--offline", "--json",
        "--min-accuracy", "93%", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["layer_sizes"] == [784, 64, 10]


# ---------------------------------------------------------------- every option reaches the model

BASE = {
    "hidden": "8", "activation": "relu", "epochs": 2, "batch-size": 50, "lr": 0.05,
    "lr-schedule": "cosine", "momentum": 0.9, "l2": 0.0, "initializer": "he_normal",
    "dtype": "float32", "seed": 0,
}  # fmt: skip
CHANGES = {
    "hidden": "7,5", "activation": "tanh", "epochs": 3, "batch-size": 33, "lr": 0.02,
    "lr-schedule": "step", "momentum": 0.5, "l2": 0.01, "initializer": "glorot_uniform",
    "dtype": "float64", "seed": 4, "nesterov": True,
}  # fmt: skip


def trained_by_the_api(folder, options):
    x = np.fromfile(folder / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 36)
    y = np.fromfile(folder / "train-labels-idx1-ubyte", np.uint8, offset=8).astype(np.int64)
    hidden = [int(width) for width in options["hidden"].split(",")]
    model = fastmlp.MLP(
        [36, *hidden, 4], input_scale=1 / 255, activation=options["activation"],
        dtype=options["dtype"], seed=options["seed"], initializer=options["initializer"],
    )  # fmt: skip
    epochs = options["epochs"]
    rate = Cosine(options["lr"], per="epoch", length=epochs)
    if options["lr-schedule"] == "step":
        rate = StepDecay(options["lr"], every=-(-epochs // 3))
    nesterov = options.get("nesterov", False)
    optimizer = fastmlp.SGD(rate, options["momentum"], nesterov, l2=options["l2"])
    model.fit(
        x, y, epochs=options["epochs"], batch_size=options["batch-size"],
        optimizer=optimizer, verbose=0,
    )  # fmt: skip
    return model.weights


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_of_train_reaches_the_model(tiny, tmp_path, name):
    options = BASE | {name: CHANGES[name]}
    args = [
        part
        for key, value in options.items()
        for part in ([f"--{key}"] if value is True else [f"--{key}", value])
    ]
    args += ["--optimizer", "sgd", "--dropout", "0", "--no-standardize", "-s", "schedule.per=epoch"]
    out = tmp_path / "run"
    assert main(["train", str(tiny), *map(str, args), "--out", str(out), "--no-report"]) == 0
    weights = fastmlp.MLP.load(out / "last.safetensors").weights
    for actual, expected in zip(weights, trained_by_the_api(tiny, options), strict=True):
        np.testing.assert_array_equal(actual, expected)
    base = trained_by_the_api(tiny, BASE)
    shapes = [w.shape for w in base] == [w.shape for w in weights]
    changed = not shapes or any(np.any(a != b) for a, b in zip(base, weights, strict=True))
    assert changed, "the option makes no difference here, so that this shows nothing"


@pytest.mark.parametrize("out", [(), ("--out", "mine")])
@pytest.mark.parametrize(
    "wrong",
    [
        ("--optimizer", "lbfgs", "--compute-dtype", "bfloat16"),
        ("--shards", 2, "--batch-normalization"),
    ],
)
def test_settings_that_are_refused_when_the_training_begins_leave_no_run(
    tiny, tmp_path, wrong, out
):
    done = run("train", tiny, "--epochs", 1, *wrong, *out, cwd=tmp_path)
    assert done.returncode == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert run("runs", "list", cwd=tmp_path).stdout == ""
    assert run("train", tiny, "--epochs", 1, "--no-report", *out, cwd=tmp_path).returncode == 0
    (kept,) = tmp_path.rglob("config.toml")
    assert run("train", tiny, *wrong, "--out", kept.parent, cwd=tmp_path).returncode == 2
    assert kept.exists()


def test_lbfgs_says_that_it_reached_its_limit(tiny, tmp_path):
    pytest.importorskip("scipy.optimize")
    settings = ("--optimizer", "lbfgs", "--epochs", "1", "--out", "run")
    result = train_tiny(tiny, tmp_path, *settings)
    warned = [line for line in result.stderr.splitlines() if "warning: LBFGS ended" in line]
    assert result.returncode == 0
    assert len(warned) == 1
    assert warned[0].startswith("fastmlp: warning: LBFGS ended before it converged: it reached its")
    result = train_tiny(tiny, tmp_path, *settings, "--overwrite", "--quiet")
    assert "LBFGS ended" not in result.stderr


@pytest.mark.parametrize("command", ["train", "evaluate", "inspect", "runs show"])
@pytest.mark.parametrize("name", ["~a-user-that-is-nowhere/x", "x" * 300, "x" * 300 + ".csv"])
def test_names_that_no_file_can_have(command, name):
    done = run(*command.split(), name)
    assert done.returncode in (2, 3, 4)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--averaging", "bogus"], 2),
        (["--activation", "bogus"], 2),
        (["--optimizer", "adam", "--momentum", "0.9"], 2),
        (["--optimizer", "sgd", "--lr", "0.1"], 0),
    ],
)
def test_a_dry_run_checks_what_needs_no_data(arguments, code):
    done = run("train", "digits", "--dry-run", *arguments)
    assert done.returncode == code, done.stderr
    assert run("train", "nothing.csv", "--dry-run").returncode == 3


def test_an_instruction_set_that_does_not_exist_is_a_wrong_setting():
    done = run("info", FASTMLP_ISA="foo")
    assert done.returncode == 2
    assert done.stderr.startswith("fastmlp: error: FASTMLP_ISA must be")


def test_a_run_is_resumed_by_its_number(tmp_path):
    data = write_idx_directory(tmp_path / "data", 60)
    assert run("train", data, "--epochs", 1, "--no-report", cwd=tmp_path).returncode == 0
    for name in ("1", "001-data"):
        done = run("train", "--resume", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "is finished" in done.stderr


def test_what_a_process_killed_at_its_end_left_in_a_finished_run_goes(tmp_path):
    data = write_idx_directory(tmp_path / "data", 60)
    place = tmp_path / "run"
    assert run("train", data, "--epochs", 1, "--no-report", "--out", place).returncode == 0
    files = sorted(os.listdir(place))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (place / ".lock").touch()
    (place / f".report.html.tmp.{ended.pid}.0123456789ab").touch()
    done = run("train", "--resume", place)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(place)) == files


def test_a_finished_run_that_cannot_be_locked_is_printed(tmp_path):
    data = write_idx_directory(tmp_path / "data", 60)
    place = tmp_path / "run"
    assert run("train", data, "--epochs", 1, "--no-report", "--out", place).returncode == 0
    (place / ".lock").mkdir()  # cannot be opened for writing, also by root
    done = run("train", "--resume", place)
    assert done.returncode == 0, done.stderr
    assert "is finished" in done.stderr


def test_a_directory_that_cannot_be_one(tiny, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, kind in (("file", "a file"), ("link", "a link that leads nowhere")):
        for option in ((), ("--overwrite",)):
            done = train_tiny(tiny, tmp_path, "--out", tmp_path / name, *option)
            assert done.returncode == 2
            assert done.stderr.endswith(f"{name}: is {kind}, expected a directory\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no directory that is in use")
def test_a_working_directory_that_was_removed(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = """
import os, sys
os.rmdir(os.getcwd())
from fastmlp.cli import main
sys.exit(main(["info"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=gone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "fastmlp: error: the working directory does not exist any more\n"


def test_a_name_of_another_encoding_names_the_argument(tmp_path):
    done = run("train", os.fsdecode(b"x\xff.csv"), "--dry-run", cwd=tmp_path)
    assert done.returncode in (2, 3)
    assert "argument: data.source" not in done.stderr
