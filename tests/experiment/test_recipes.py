"""Trainings without settings learn: images of any brightness, and the small named sets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastmlp.cli import main
from fastmlp.data import Options, Part, RawData, prepare
from fastmlp.experiment.architectures import Epochs
from fastmlp.experiment.settings import IMAGES, RECIPES, resolve

SEED = 3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Discs, squares and crosses a little brighter than a bright background of much noise."""
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(SEED)
    down, right = np.indices((24, 24)) - 11.5
    for part, count in (("train", 100), ("test", 40)):
        for label in ("cross", "disc", "square"):
            (tmp_path / "pictures" / part / label).mkdir(parents=True)
            for at in range(count):
                y, x = down - rng.integers(-2, 3), right - rng.integers(-2, 3)
                inside = {
                    "cross": np.minimum(abs(x), abs(y)) < 2,
                    "disc": x**2 + y**2 < 49,
                    "square": np.maximum(abs(x), abs(y)) < 6.2,
                }[label]
                pixels = rng.normal(200, 15, (24, 24)) + 40 * inside
                shown = image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                shown.save(tmp_path / "pictures" / part / label / f"{at}.png")
    return tmp_path / "pictures"


def result(capsys, *args):
    assert main(["train", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ---------------------------------------------------------------- images


def test_bright_images_are_learned(folder, capsys):
    document = result(capsys, folder)
    assert document["test"]["accuracy"] > 0.7
    config = document["config"]
    assert (config["data"]["standardize"], config["data"]["scaling"]) == (True, "shared")
    assert config["training"]["epochs"] == 100


def test_a_file_with_all_settings_trains_what_none_trains(folder, capsys):
    few = ("--hidden", 8, "--dry-run")
    without = result(capsys, folder, *few)["config"]
    assert main(["config", "init", str(folder)]) == 0
    capsys.readouterr()
    assert result(capsys, *few)["config"] == without


def test_the_epochs_of_images_are_shown_and_may_be_given(folder, capsys):
    assert main(["config", "show", str(folder), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["settings"]["training"]["epochs"]
    assert (row["value"], row["place"]) == (None, "100, fewer of more than 3,600 samples")
    given = result(capsys, folder, "--epochs", 2, "--dry-run")["config"]
    assert given["training"]["epochs"] == 2


def test_bytes_that_are_not_to_be_standardized_stay_bytes(folder, capsys):
    args = (folder, "--hidden", 4, "--epochs", 1)
    for flags in (("--no-standardize",), ("--scaling", "standard")):
        data = result(capsys, *args, *flags)["config"]["data"]
        assert (data["standardize"], data["scaling"]) == (False, "standard")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
def test_named_images_keep_their_recipe(name):
    assert RECIPES[name] == {
        "network": {"hidden": [512]},
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "schedule": {"name": "cosine", "per": "epoch"},
        "training": {"epochs": 6, "batch_size": 64},
    }
    assert resolve(name, []).data.scaling == "standard"
    assert resolve("images-idx3-ubyte.gz", []).data.scaling == IMAGES["data"]["scaling"]


@pytest.mark.parametrize(
    ("samples", "epochs"),
    [(1, 100), (3_600, 100), (3_601, 100), (3_637, 99), (60_000, 6), (70_000, 6), (10**9, 6)],
)
def test_many_samples_have_fewer_epochs(samples, epochs):
    assert Epochs(100, seen=360_000, fewest=6).of(samples) == epochs


# ---------------------------------------------------------------- one deviation for all inputs


def prepared(x):
    part = Part(x, np.arange(len(x)) % 2)
    raw = RawData("pictures", part, None, ("a", "b"), task="classification")
    return prepare(raw, Options(scaling="shared", test_fraction=0.0, validation_fraction=0.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_shared_deviation_is_that_of_numpy(dtype):
    x = np.random.default_rng(SEED).integers(90, 140, (30, 7)).astype(dtype)
    x[:, 2] = 255  # a pixel that is equal everywhere
    x[:, 3] = 100 + (np.arange(30) == 4)  # one that hardly varies
    centered = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    ours = prepared(x)
    np.testing.assert_allclose(ours.train.x, centered / centered.std(), rtol=1e-6, atol=1e-7)
    assert ours.input_scale == 1.0
    # New pixels pass through the same map, however far they are from those of the training.
    new = np.full((1, 7), 255, dtype)
    wanted = (255 - x.mean(axis=0, dtype=np.float64)) / centered.std()
    np.testing.assert_allclose(ours.preprocessing.inputs(new)[0], wanted, rtol=1e-6, atol=1e-7)


def test_a_shared_deviation_of_equal_images_is_one():
    ours = prepared(np.full((6, 3), 7, np.uint8))
    assert ours.preprocessing.input_scale.tolist() == [1.0] * 3
    assert not ours.train.x.any()


def test_a_shared_deviation_of_huge_numbers_is_finite():
    x = np.array([[1e200, 0.0], [-1e200, 1.0]])
    np.testing.assert_allclose(prepared(x).preprocessing.input_scale, 1e200 / np.sqrt(2))


# ---------------------------------------------------------------- named sets


@pytest.mark.parametrize(
    ("name", "measure", "least"), [("spirals", "accuracy", 0.95), ("diabetes", "r2", 0.35)]
)
def test_named_sets_are_learned_at_their_defaults(name, measure, least, capsys, tmp_path):
    assert result(capsys, name, "--out", tmp_path / "run")["test"][measure] > least
