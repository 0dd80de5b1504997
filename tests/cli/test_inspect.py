"""`fastmlp inspect`: what it says of a file is what the file holds."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.experiment.checkpoint import Checkpoint
from support.cli_process import run
from support.serving_models import HOSTILE, models

RUN = "runs/001-iris"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Models in files, and a run in runs/."""
    path = tmp_path_factory.mktemp("inspect")
    for name, model in models().items():
        model.save(path / f"{name}.safetensors")
    settings = (
        "--epochs",
        "3",
        "--hidden",
        "7,6",
        "--batch-normalization",
        "--checkpoint-every",
        3,
    )
    done = run("train", "iris", *settings, "--no-report", "-q", cwd=path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def look(work, monkeypatch, capsys):
    """A function that gives what is printed."""
    monkeypatch.chdir(work)

    def printed(*args, code=0):
        assert main(["inspect", *map(str, args)]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return printed


def test_a_model_of_a_run(work):
    done = run("inspect", "1", "--json", cwd=work)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    path = work / RUN / "best.safetensors"
    assert found["file"] == f"{RUN}/best.safetensors"
    assert found["bytes"] == path.stat().st_size
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    model = fastmlp.MLP.load(path)
    assert found["layer_sizes"] == [4, 7, 6, 3]
    arrays = model.parameters()
    assert found["parameters"] == sum(array.size for array in arrays.values())
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
    # 4 x 7 weights, and for each of 7 units bias, scale, mean and variance.
    assert found["layers"][0]["parameters"] == 28 + 4 * 7
    assert [layer["batch_normalization"] for layer in found["layers"]] == [True, True, False]
    assert [layer["activation"] for layer in found["layers"]] == ["relu", "relu", "identity"]
    for layer, weights in zip(found["layers"], model.weights, strict=True):
        assert (layer["inputs"], layer["outputs"]) == weights.shape
        norm = np.sqrt((weights.astype(np.float64) ** 2).sum())
        assert layer["weight_norm"] == pytest.approx(norm, rel=1e-12)
    assert found["preprocessing"] == model.preprocessing.config()
    assert found["history"]["val_loss"] == model.history.val_loss
    assert len(found["history"]["loss"]) == 3


def test_the_run_stands_for_its_selected_model(look):
    by_name = json.loads(look(RUN, "--json"))
    assert by_name == json.loads(look(f"{RUN}/best.safetensors", "--json"))


def test_the_text_has_the_same_in_words(look):
    lines = look(RUN).splitlines()
    pairs = dict(line.split("  ", 1) for line in lines[: lines.index("")])
    pairs = {name: value.strip() for name, value in pairs.items()}
    found = json.loads(look(RUN, "--json"))
    assert pairs["network"] == "4-7-6-3"
    assert pairs["sha256"] == found["sha256"]
    assert pairs["parameters"] == str(found["parameters"])
    assert pairs["task"] == "classification"
    assert pairs["classes"] == "setosa, versicolor, virginica"
    assert pairs["scaled"] == "inputs"
    layers = lines[lines.index("") + 2 :][:3]
    assert [line.split()[:3] for line in layers] == [
        ["1", "4", "7"],
        ["2", "7", "6"],
        ["3", "6", "3"],
    ]
    assert "relu with batch normalization" in layers[0]
    history = {line.split("   ")[0].strip(): line.split()[-4:] for line in lines[-4:]}
    losses = found["history"]["val_loss"]
    shown = [f"{value:.6g}" for value in (losses[0], losses[-1], min(losses))]
    assert history["validation loss"] == ["3", *shown]
    accuracies = found["history"]["accuracy"]
    assert history["accuracy"][-1] == f"{max(accuracies):.6g}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", ("2-6-3", "softmax_cross_entropy", "none")),
        ("two", ("5-8-2", "mse", "price, size")),
        ("labels", ("5-8-2", "binary_cross_entropy", "sweet, sour")),
        ("losses", ("2-6-6", "softmax_cross_entropy (outputs 3), mse (outputs 2)", "none")),
        ("price", ("5-8-1", "inputs and targets", "a, b, color (3 categories)")),
    ],
)
def test_models_of_every_kind(look, name, expected):
    text = look(f"{name}.safetensors")
    for part in expected:
        assert part in text, part
    found = json.loads(look(f"{name}.safetensors", "--json"))
    assert found["kind"] == "model"
    assert found["history"] == {n: [] for n in ("loss", "accuracy", "val_loss", "val_accuracy")}


def test_parameters_of_functions_and_lists_are_shown(look, tmp_path):
    fastmlp.MLP(
        [3, 4, 5, 2], activation=[fastmlp.LeakyReLU(0.2), "tanh"], loss=fastmlp.Huber(delta=2.5),
        dropout=[0.25, 0.5], input_noise=0.1, output_activation="tanh",
    ).save(tmp_path / "m.safetensors")  # fmt: skip
    text = look(tmp_path / "m.safetensors")
    for part in ("huber (delta 2.5)", "0.25, 0.5", "input noise"):
        assert part in text
    found = json.loads(look(tmp_path / "m.safetensors", "--json"))
    assert [layer["activation"] for layer in found["layers"]] == ["leaky_relu", "tanh", "tanh"]
    assert found["dropout"] == [0.25, 0.5]


def test_many_names_are_cut_short(look, tmp_path):
    from fastmlp.data import Preprocessing

    model = fastmlp.MLP([2, 40])
    names = tuple(f"c{i}" for i in range(40))
    model.preprocessing = Preprocessing("classification", 2, class_names=names)
    model.save(tmp_path / "m.safetensors")
    assert "c10, c11, and 28 more\n" in look(tmp_path / "m.safetensors")
    for name, expected in ((tmp_path / "m", names), ("hostile", HOSTILE)):
        found = json.loads(look(f"{name}.safetensors", "--json"))
        assert found["preprocessing"]["class_names"] == list(expected)


def test_the_schema_of_a_table_is_shown(look, tmp_path):
    frame = {
        "id": list(range(40)),
        "price": ["1.234,50 €", "5,25 €"] * 20,
        "town": ["Bonn", "Ulm", "Kiel", ""] * 10,
        "sold": ["31.01.2024", "15.03.2023"] * 20,
        "kind": ["01", "1"] * 20,
    }
    model = fastmlp.Model(target="kind", epochs=1, hidden=[2]).fit(frame, verbose=0)
    model.save(tmp_path / "m.safetensors")
    pairs = dict(line.split("  ", 1) for line in look(tmp_path / "m.safetensors").splitlines()
                 if "  " in line)  # fmt: skip
    shown = {name: value.strip() for name, value in pairs.items()}
    assert shown["columns"] == "price, town (3 categories), sold (date)"
    assert shown["left out"] == "id (numbers the rows)"
    assert shown["classes"] == "01, 1"
    found = json.loads(look(tmp_path / "m.safetensors", "--json"))["preprocessing"]
    assert found == model.preprocessing.config()
    assert found["columns"][0]["format"] == [",", ".' ", "€"]


def test_a_checkpoint_whatever_its_name(work, look, tmp_path):
    path = work / RUN / "checkpoints" / "epoch-00000003.safetensors"
    copied = tmp_path / "copy"
    copied.write_bytes(path.read_bytes())
    checkpoint = Checkpoint.load(path)
    for name in (path, copied):
        found = json.loads(look(name, "--json"))
        assert (found["kind"], found["epoch"]) == ("checkpoint", 3)
        assert found["best_epoch"] == checkpoint.best_epoch
        assert found["optimizer"] == "adam"
        assert found["parameters"] == sum(a.size for a in checkpoint.parameters.values())
        assert found["history"]["loss"] == [record["loss"] for record in checkpoint.records]
    lines = look(path).splitlines()
    assert [line.split() for line in lines[3:5]] == [["kind", "checkpoint"], ["epoch", "3"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("damaged", "damaged: sha256: does not match the content"),
        ("damaged-checkpoint", "damaged-checkpoint: sha256: does not match the content"),
        ("table.csv", "table.csv: is no model file of fastmlp"),
        ("few", "few: is no model file of fastmlp"),
        ("nested", "nested: header: nests deeper"),
        ("list", "list: header: must be a JSON object"),
    ],
)
def test_a_damaged_file_is_code_4(work, look, name, message):
    def flipped(path):
        content = path.read_bytes()
        return content[:-1] + bytes([content[-1] ^ 1])

    def headed(text):
        return len(text).to_bytes(8, "little") + text

    contents = {
        "damaged": flipped(work / "plain.safetensors"),
        "damaged-checkpoint": flipped(next((work / RUN / "checkpoints").iterdir())),
        "table.csv": b"a,b\n1,2\n" * 10,
        "few": b"abc",
        "nested": headed(b"[" * 100_000),
        "list": headed(b'["__metadata__"]'),
    }
    if name in contents:
        (work / name).write_bytes(contents[name])
    errors = look(name, code=4)
    assert message in errors
    assert errors.startswith("fastmlp: error: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "neither a run nor a file"), (".", "has no config.toml")],
)
def test_what_is_neither_a_run_nor_a_file_is_code_4(look, name, message):
    assert message in look(name, code=4)
