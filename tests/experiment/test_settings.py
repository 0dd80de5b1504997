"""Settings of a run: what is accepted, what is said about the rest, which of several wins."""

from __future__ import annotations

import copy
import json

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.errors import FormatError
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import (
    RECIPES,
    assign,
    merged,
    read_settings,
    recipe_of,
    resolve,
    toml,
)
from support.cli_process import run
from support.setting_cases import CASES

SECTIONS = ("data", "network", "optimizer", "schedule", "training")
FIELDS = [
    (section, name)
    for section in SECTIONS
    for name in Config.model_fields[section].annotation.model_fields
]
fields = pytest.mark.parametrize(("section", "name"), FIELDS, ids=[".".join(f) for f in FIELDS])


def refusal(values):
    with pytest.raises(ValueError, match=".") as caught:
        Config.checked(values)
    return str(caught.value)


# ---------------------------------------------------------------- single settings


def test_every_setting_has_its_case():
    assert set(CASES) == {f"{section}.{name}" for section, name in FIELDS}


@fields
def test_a_bad_value_is_named_with_what_it_should_be(section, name):
    key = f"{section}.{name}"
    value, bad, message = CASES[key]
    Config.checked({section: {name: value}})
    said = refusal({section: {name: bad}})
    assert said.startswith(f"{key}: ")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), "nan", "inf", 1e999])
@pytest.mark.parametrize(
    "key", ["network.dropout", "optimizer.learning_rate", "training.max_time", "optimizer.epsilon"]
)
def test_no_number_may_be_nan_or_infinite(key, bad):
    section, name = key.split(".")
    assert refusal({section: {name: bad}}).startswith(key)


NUMBERS = [
    key
    for key, (value, _, _) in CASES.items()
    if isinstance(value, (int, float)) and not isinstance(value, bool)
]


@pytest.mark.parametrize("key", NUMBERS)
def test_true_is_no_number(key):
    section, name = key.split(".")
    assert refusal({section: {name: True}}) == f"{key}: expected a number, got true"


@fields
def test_a_misspelt_setting_is_answered_with_the_nearest(section, name):
    wrong = name + name[-1]
    assert refusal({section: {wrong: 1}}) == (
        f"[{section}] has no setting '{wrong}'; did you mean '{name}'?"
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_a_misspelt_section_is_answered_with_the_nearest(section):
    assert refusal({section[:-1]: {}}).endswith(f"did you mean '{section}'?")


@pytest.mark.parametrize("section", SECTIONS)
def test_what_resembles_nothing_gets_the_list(section):
    said = refusal({section: {"qqqqqq": 1}})
    assert said.startswith(f"[{section}] has no setting 'qqqqqq'; it has ")
    assert all(name in said for part, name in FIELDS if part == section)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_must_be_a_table(section):
    assert refusal({section: 3}).startswith(f"{section}: ")


@pytest.mark.parametrize("version", [0, 3, "1.0", None])
def test_another_version_of_the_file_is_refused(version):
    assert refusal({"schema_version": version}).startswith("schema_version: ")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("data.target", "a, b", ("a", "b")),
        ("data.test_fraction", "25%", 0.25),
        ("network.hidden", "512,256", (512, 256)),
        ("network.hidden", "none", ()),
        ("network.hidden", "8", (8,)),
        ("network.dropout", "0.5", 0.5),
        ("network.dropout", "0.5,0.25", [0.5, 0.25]),
        ("network.activation", "relu,tanh", ["relu", "tanh"]),
        ("optimizer.learning_rate", "1e-3", 1e-3),
        ("training.epochs", "12", 12),
        ("training.freeze", "0,-1", (0, -1)),
        ("training.max_time", "90", 90.0),
        ("training.max_time", "90s", 90.0),
        ("training.max_time", "5m", 300.0),
        ("training.max_time", "1.5h", 5400.0),
        ("training.min_accuracy", "98%", 0.98),
        ("training.class_weight", "balanced", "balanced"),
    ],
)
def test_text_of_flags_means_the_value_of_files(key, text, value):
    section, name = key.split(".")
    assert getattr(getattr(Config.checked({section: {name: text}}), section), name) == value


def test_settings_cannot_be_changed_behind_the_back():
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.training.epochs = 3


# ---------------------------------------------------------------- several layers


def test_later_layers_win_setting_by_setting():
    weak = {"training": {"epochs": 1, "batch_size": 2}, "network": {"hidden": [1]}}
    strong = {"training": {"epochs": 3}}
    assert merged(weak, strong) == {
        "training": {"epochs": 3, "batch_size": 2},
        "network": {"hidden": [1]},
    }
    assert merged() == {}


def test_merging_leaves_the_layers_alone():
    layers = [{"network": {"hidden": [1]}}, {"network": {"dropout": [0.1]}}]
    before = copy.deepcopy(layers)
    result = merged(*layers)
    result["network"]["hidden"].append(2)
    result["network"]["dropout"].clear()
    assert layers == before


@pytest.mark.parametrize(
    ("section", "one", "setting", "other"),
    [("optimizer", "sgd", "momentum", "adam"), ("schedule", "cosine", "per", "step")],
)
def test_another_choice_drops_the_settings_of_the_one_before(section, one, setting, other):
    first = {section: {"name": one, setting: 0.5}}
    assert merged(first, {section: {"name": other}}) == {section: {"name": other}}
    assert merged(first, {section: {"name": one}}) == first
    assert merged(first, {section: {"end": 0.1}})[section]["name"] == one


def test_a_recipe_gives_way_to_the_files():
    assert resolve("mnist", []).training.epochs == RECIPES["mnist"]["training"]["epochs"]
    assert resolve("mnist", [{"training": {"epochs": 2}}]).training.epochs == 2
    assert resolve("mnist", [], defaults=False).training.epochs is None


def test_the_settings_of_a_recipe_go_with_its_optimizer():
    assert RECIPES["mnist"]["optimizer"]["momentum"] == 0.9
    config = resolve("mnist", [{"optimizer": {"name": "adam"}}])
    assert (config.optimizer.name, config.optimizer.momentum) == ("adam", None)
    assert config.optimizer.learning_rate is None


def test_an_argument_wins_over_the_data_of_a_file():
    layers = [{"data": {"source": "mnist", "split_seed": 5}}]
    assert resolve(None, layers).data.source == "mnist"
    config = resolve("iris", layers)
    assert (config.data.source, config.data.split_seed) == ("iris", 5)
    assert config.network.hidden == tuple(recipe_of("iris", [])["network"]["hidden"])


def test_the_settings_of_release_0_1_have_another_name_for_missing():
    layers = [{"data": {"source": "t.csv", "impute": "median"}}]
    assert resolve(None, layers).data.missing == "median"
    both = {"source": "t.csv", "impute": "median", "missing": "mean"}
    with pytest.raises(ValueError, match="impute"):
        resolve(None, [{"data": both}])
    with pytest.raises(ValueError, match="got 'zero'"):
        resolve(None, [{"data": {"source": "t.csv", "impute": "zero"}}])


def test_without_data_there_is_nothing_to_resolve():
    with pytest.raises(ValueError, match="data set, file or directory"):
        resolve(None, [{"training": {"epochs": 2}}])


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist", "cifar10", "iris", "table.csv", "."])
def test_every_recipe_is_valid(source):
    assert resolve(source, []).data.source == source


# Each place says another number of epochs: what is left when the stronger ones are taken away wins.
PLACES = ("flag", "variable", "file", "user file", "recipe")


@pytest.mark.parametrize(
    ("winner", "by_option"), [*((place, False) for place in PLACES), ("file", True)]
)
def test_precedence(tmp_path, winner, by_option):
    present = PLACES[PLACES.index(winner) :]
    home = tmp_path / "config" / "fastmlp"
    home.mkdir(parents=True)
    args, variables = ["train", "iris", "--dry-run", "--json"], {}
    if "flag" in present:
        args += ["--epochs", 11]
    if "variable" in present:
        variables["FASTMLP_EPOCHS"] = "12"
    if "file" in present:
        path = tmp_path / ("own.toml" if by_option else "fastmlp.toml")
        path.write_text("[training]\nepochs = 13\n")
        args += ["--config", path] if by_option else []
    if "user file" in present:
        (home / "config.toml").write_text("[training]\nepochs = 14\nbatch_size = 9\n")
    done = run(*args, cwd=tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"), **variables)
    assert done.returncode == 0, done.stderr
    training = json.loads(done.stdout)["config"]["training"]
    recipe = recipe_of("iris", [])["training"]
    # The epochs of the recipe depend on the number of samples.
    expected = dict(zip(PLACES, (11, 12, 13, 14, None), strict=True))
    assert training.get("epochs") == expected[winner]
    # Weaker places still give what the stronger ones leave open; --config replaces both files.
    user_file_counts = "user file" in present and not (by_option and "file" in present)
    assert training["batch_size"] == (9 if user_file_counts else recipe["batch_size"])


# ---------------------------------------------------------------- files


def written(tmp_path, config):
    path = tmp_path / "config.toml"
    path.write_text(toml(config))
    return path


@fields
def test_a_setting_survives_a_file(tmp_path, section, name):
    value = CASES[f"{section}.{name}"][0]
    config = Config.checked({section: {name: value}})
    assert config != Config()
    assert Config.checked(read_settings(written(tmp_path, config))) == config


@pytest.mark.parametrize("source", ["mnist", "cifar10", "iris", "a b/ü.csv", 'q"\\\n.csv'])
def test_resolved_settings_survive_a_file(tmp_path, source):
    config = resolve(source, [{"training": {"class_weight": {"a": 1.0}}}])
    values = read_settings(written(tmp_path, config))
    assert Config.checked(values) == config
    # What a run wrote down is complete: resolving it once more changes nothing.
    assert resolve(None, [values]) == config


@given(st.fixed_dictionaries({}, optional={key: st.just(case[0]) for key, case in CASES.items()}))
def test_any_settings_together_survive_toml(chosen):
    values = {}
    for key, value in chosen.items():
        section, name = key.split(".")
        values.setdefault(section, {})[name] = value
    config = Config.checked(values)
    assert Config.checked(tomlkit.parse(toml(config)).unwrap()) == config


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1e300)), st.text())
def test_any_text_survives_toml(weights, text):
    values = {"training": {"class_weight": weights}, "data": {"source": text, "target": [text]}}
    config = Config.checked(values)
    assert Config.checked(tomlkit.parse(toml(config)).unwrap()) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[training\n", "is not valid TOML: .*line 1"),
        (b"[training]\nepochs = 3\nepochs = 4\n", "is not valid TOML: .*epochs"),
        (b"\xff\xfe", "must be UTF-8"),
        (b"[training]\nepochs = 0\n", "training.epochs: .*got 0"),
        (b"[trainin]\n", "no setting 'trainin'; did you mean 'training'"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "TOML"),
        (b"#" * (1 << 20) + b"\n", "at most 1048576"),
    ],
)
def test_a_bad_file_is_named_with_the_place(tmp_path, content, message):
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_settings(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_directory_is_no_file_and_an_empty_file_no_error(tmp_path):
    with pytest.raises(FormatError, match="regular file"):
        read_settings(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "empty.toml").touch()
    assert read_settings(tmp_path / "empty.toml") == {}


# ---------------------------------------------------------------- assignments


@pytest.mark.parametrize(
    ("assignment", "section", "name", "value"),
    [
        ("training.epochs=3", "training", "epochs", 3),
        (" training.epochs = 3 ", "training", "epochs", 3),
        ("optimizer.l2=1e-4", "optimizer", "l2", 1e-4),
        ("network.activation=tanh", "network", "activation", "tanh"),
        ('network.activation="tanh"', "network", "activation", "tanh"),
        ('network.hidden=[3, 4]', "network", "hidden", [3, 4]),
        ("network.hidden=3,4", "network", "hidden", "3,4"),
        ("network.loss={name='huber'}", "network", "loss", {"name": "huber"}),
        ("data.stratify=false", "data", "stratify", False),
        ("data.source=a=b.csv", "data", "source", "a=b.csv"),
        ("data.separator=;", "data", "separator", ";"),
        ("training.max_time=5m", "training", "max_time", "5m"),
    ],
)  # fmt: skip
def test_assign(assignment, section, name, value):
    values = {section: {"kept": 1}}
    assign(values, assignment)
    assert values == {section: {"kept": 1, name: value}}


@pytest.mark.parametrize("wrong", ["", "epochs=3", "training.epochs", ".epochs=3", "training.=3"])
def test_an_assignment_names_a_setting(wrong):
    values = {}
    with pytest.raises(ValueError, match="section.name=value"):
        assign(values, wrong)
    assert values == {}


def test_an_assignment_is_checked_like_a_file():
    values = {}
    assign(values, "training.epoch=3")
    assert "did you mean 'epochs'" in refusal(values)


# ---------------------------------------------------------------- tables and arrays


@pytest.mark.parametrize(
    ("source", "layers", "architecture"),
    [
        ("table.csv", [], "realmlp"),
        ("iris", [], "realmlp"),
        ("table.csv", [{"network": {"hidden": [8]}}], "realmlp"),
        ("table.csv", [{"network": {"architecture": "tabm"}}], "tabm"),
        ("table.csv", [{"network": {"architecture": "mlp"}}], "mlp"),
        ("table.csv", [{"optimizer": {"name": "sgd"}}], "mlp"),
        ("table.csv", [{"optimizer": {"name": "lbfgs"}}], "mlp"),
        ("arrays.npz", [], "mlp"),
    ],
)
def test_tables_get_the_usual_architecture(source, layers, architecture):
    config = resolve(source, layers)
    assert config.network.architecture == architecture
    assert (config.schedule.name == "cos_log") == (architecture == "realmlp")


def test_images_have_no_architecture_for_tables(tmp_path):
    assert resolve("mnist", []).network.architecture is None


def test_files_of_version_1_keep_their_plain_network(tmp_path):
    """The usual network of a table was a plain one when they were written."""
    path = tmp_path / "old.toml"
    path.write_text('schema_version = 1\n[network]\nhidden = [8]\n[data]\nsource = "t.csv"\n')
    config = resolve(None, [read_settings(path)])
    assert (config.network.architecture, config.network.hidden) == ("mlp", (8,))
    path.write_text(path.read_text().replace("schema_version = 1\n", ""))
    assert resolve(None, [read_settings(path)]).network.architecture == "realmlp"
