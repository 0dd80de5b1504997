"""The order of the places that settings come from, against a model of it that shares no code."""

from __future__ import annotations

import json
import os
import random

import pytest

from fastmlp.cli import main
from fastmlp.experiment.architectures import ARCHITECTURES
from fastmlp.experiment.settings import RECIPES, TABLE_ARCHITECTURE, TABLES
from support.random_networks import new_seed

# Of each setting its flag, and values in the form of a file.
SETTINGS = {
    "data.split_seed": ("--split-seed", (1, 2, 3)),
    "network.hidden": ("--hidden", ([5], [6, 7], [8])),
    "network.dropout": ("--dropout", (0.25, 0.5)),
    "network.seed": ("--seed", (4, 5, 6)),
    "optimizer.name": ("--optimizer", ("sgd", "adam", "rmsprop")),
    "optimizer.learning_rate": ("--lr", (0.125, 0.25, 0.5)),
    "optimizer.l2": ("--l2", (0.0625, 0.03125)),
    "training.epochs": ("--epochs", (1, 2, 3, 4)),
    "training.shuffle": ("--shuffle", (True, False)),
    "training.batch_size": ("--batch-size", (8, 16, 32)),
}
# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or new_seed())
PLACES = ("user", "local", "config", "FASTMLP_SET", "variables", "flags", "--set")


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "fastmlp").mkdir(parents=True)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def drawn(generator):
    """Some settings in some of the places, and the data."""
    places = {place: {} for place in PLACES if generator.random() < 0.6}
    for content in places.values():
        for key in generator.sample(sorted(SETTINGS), generator.randint(1, 5)):
            content[key] = generator.choice(SETTINGS[key][1])
    return generator.choice(["mnist", "iris"]), places


def expected(source, places):
    """Value and place of each setting: the model."""
    files = ["config"] if "config" in places else ["user", "local"]
    read = {*files, "FASTMLP_SET", "variables", "flags", "--set"}
    named = any("optimizer.name" in places.get(place, {}) for place in read)
    usual = TABLES if named else ARCHITECTURES[TABLE_ARCHITECTURE].recipe
    recipe = {
        f"{section}.{name}": value
        for section, content in RECIPES.get(source, usual).items()
        for name, value in content.items()
    }
    options = {key: (value, "variables") for key, value in places.get("variables", {}).items()}
    options |= {key: (value, "flags") for key, value in places.get("flags", {}).items()}
    layers = [{key: (value, "recipe") for key, value in recipe.items()}]
    for name in (*files, "FASTMLP_SET"):
        layers.append({key: (value, name) for key, value in places.get(name, {}).items()})
    layers += [options, {key: (v, "--set") for key, v in places.get("--set", {}).items()}]
    result = {}
    for layer in layers:
        chosen = layer.get("optimizer.name", result["optimizer.name"] if result else None)
        if result and chosen is not None and chosen[0] != result["optimizer.name"][0]:
            # Settings of an optimizer go with it.
            result = {k: v for k, v in result.items() if not k.startswith("optimizer.")}
        result |= layer
    return result


def text(value):
    """A value as flags and variables have it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).lower()


def assignments(content):
    return [f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in content.items()]


def toml(content):
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in sorted(content.items()))


def arguments(source, places, tmp_path, monkeypatch):
    """Put the settings where they belong; what is left are arguments."""
    args = [source]
    (tmp_path / "config/fastmlp/config.toml").write_text(toml(places.get("user", {})))
    (tmp_path / "cwd/fastmlp.toml").write_text(toml(places.get("local", {})))
    if "config" in places:
        (tmp_path / "own.toml").write_text(toml(places["config"]))
        args += ["--config", str(tmp_path / "own.toml")]
    monkeypatch.setenv("FASTMLP_SET", " ".join(assignments(places.get("FASTMLP_SET", {}))))
    for key, value in places.get("variables", {}).items():
        variable = f"FASTMLP_{SETTINGS[key][0].strip('-').replace('-', '_').upper()}"
        monkeypatch.setenv(variable, text(value))
    for key, value in places.get("flags", {}).items():
        flag = SETTINGS[key][0]
        switch = flag if value is True else f"--no-{flag.strip('-')}"
        args += [switch] if isinstance(value, bool) else [flag, text(value)]
    for assignment in assignments(places.get("--set", {})):
        args += ["--set", assignment]
    return args


@pytest.mark.parametrize("case", range(40))
def test_both_commands_take_settings_in_one_order(case, tmp_path, monkeypatch, capsys):
    source, places = drawn(random.Random(SEED + case))
    model = expected(source, places)
    args = arguments(source, places, tmp_path, monkeypatch)

    seed = f"FASTMLP_SEED={SEED}"
    assert main(["train", *args, "--dry-run", "--json"]) == 0, seed
    plan = json.loads(capsys.readouterr().out)["config"]
    assert main(["config", "show", *args, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["settings"]

    origins = {
        "recipe": ("recipe", "recipe"),
        "user": ("user file", str(tmp_path / "config/fastmlp/config.toml")),
        "local": ("file", "fastmlp.toml"),
        "config": ("file", str(tmp_path / "own.toml")),
        "FASTMLP_SET": ("variable", "FASTMLP_SET"),
        "--set": ("argument", "--set"),
    }
    for key, (flag, _) in SETTINGS.items():
        section, _, name = key.partition(".")
        row = shown[section][name]
        assert row["value"] == plan[section].get(name), (seed, key)
        if key not in model:
            usual = row["from"] == "default" or (row["from"], row["value"]) == (
                "architecture",
                None,
            )
            assert usual, (seed, key)
            continue
        value, place = model[key]
        assert row["value"] == value, (seed, key)
        variable = f"FASTMLP_{flag.strip('-').replace('-', '_').upper()}"
        origin = {"variables": ("variable", variable), "flags": ("argument", flag)} | origins
        assert (row["from"], row["place"]) == origin[place], (seed, key)
    for section, content in shown.items():
        for name, row in content.items():
            assert row["value"] == plan[section].get(name), (seed, key)


def test_a_flag_wins_over_every_variable(monkeypatch, capsys):
    monkeypatch.setenv("FASTMLP_SET", "training.epochs=7 network.seed=3")
    monkeypatch.setenv("FASTMLP_EPOCHS", "8")
    for command in (["train", "--dry-run"], ["config", "show"]):
        assert main([*command, "iris", "--json", "--epochs", "9"]) == 0
        printed = json.loads(capsys.readouterr().out)
        values = printed.get("config") or printed["settings"]
        assert json.dumps(values["training"]["epochs"]).count("9") == 1
        assert "3" in json.dumps(values["network"]["seed"])


@pytest.mark.parametrize(
    ("variables", "args", "message"),
    [
        ({"FASTMLP_SET": "training.epochs"}, (), "FASTMLP_SET: expected section.name=value"),
        ({"FASTMLP_SET": "training.epochs=0"}, (), "FASTMLP_SET: training.epochs: "),
        ({"FASTMLP_EPOCHS": "0"}, (), "FASTMLP_EPOCHS: "),
        ({}, ("--epochs", "0"), "--epochs: "),
        ({}, ("--set", "training.epochs=0"), "--set: training.epochs: "),
        ({}, ("--set", "training.epocks=0"), "did you mean 'epochs'?"),
        ({}, ("--set", "data.source=5"), "iris"),
    ],
)
def test_an_error_names_the_place_of_the_setting(variables, args, message, monkeypatch, capsys):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fails = message != "iris"  # DATASET wins
    for command in (["train", "--dry-run"], ["config", "show"]):
        assert main([*command, "iris", *args]) == (2 if fails else 0)
        printed = capsys.readouterr()
        assert message in (printed.err if fails else printed.out)


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_no_variable_changes_what_is_resumed(command, monkeypatch, capsys):
    monkeypatch.setenv("FASTMLP_SET", "training.epochs=3")
    assert main([command, "--resume", "nothing"]) == 2
    assert "--resume takes the settings of the" in capsys.readouterr().err
