"""`fastmlp config`: files that are made, shown and checked, and the schema that editors use."""

from __future__ import annotations

import json
import re

import pytest
import tomlkit

from fastmlp.cli import main
from fastmlp.cli.commands.config import json_schema, problems_of, template
from fastmlp.cli.settings import Given, settings_of
from fastmlp.datasets import available
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import read_settings, resolve, toml
from support.cli_process import ESCAPE, run
from support.setting_cases import CASES

SOURCES = [*available(), "table.csv", "images-idx3-ubyte.gz", ".", "-", "a\nb.csv"]


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """No file or variable of whoever runs the tests; an empty working directory."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "fastmlp").mkdir(parents=True)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def user_file(tmp_path, content):
    (tmp_path / "config" / "fastmlp" / "config.toml").write_text(content)


def resolved(source=None, config_file=None):
    """What `config show` says, as nested values."""
    values = {}
    for row in settings_of(Given(source, config_file)):
        values.setdefault(row.section, {})[row.name] = row.value
    return Config.checked(values)


@pytest.fixture(scope="module")
def validator():
    return pytest.importorskip("jsonschema").Draft202012Validator(json_schema())


# ---------------------------------------------------------------- init


@pytest.mark.parametrize("source", SOURCES)
def test_a_new_file_changes_nothing(tmp_path, source):
    before = resolved(source)
    (tmp_path / "cwd" / "fastmlp.toml").write_text(template(source))
    assert problems_of("fastmlp.toml") == []
    # The file names the data, so that the argument may be left out.
    assert resolved() == resolved(source) == before == resolve(source, [])


@pytest.mark.parametrize("source", SOURCES)
def test_a_new_file_without_data_leaves_every_recipe_alone(tmp_path, source):
    (tmp_path / "cwd" / "fastmlp.toml").write_text(template(None))
    assert problems_of("fastmlp.toml") == []
    assert resolved(source) == resolve(source, [])


def test_a_new_file_keeps_what_the_user_file_says(tmp_path):
    user_file(tmp_path, '[optimizer]\nname = "adam"\n[training]\nthreads = 1\nshuffle = false\n')
    before = resolved("mnist")
    assert (before.optimizer.name, before.training.shuffle) == ("adam", False)
    (tmp_path / "cwd" / "fastmlp.toml").write_text(template("mnist"))
    assert resolved("mnist") == before


@pytest.mark.parametrize("source", [None, "mnist"])
def test_a_new_file_explains_every_setting(source):
    text = template(source)
    words = " ".join(re.sub(r"^# ?", "", line) for line in text.splitlines())
    for section in ("data", "network", "optimizer", "schedule", "training"):
        assert f"\n[{section}]\n" in text
        for name, field in Config.model_fields[section].annotation.model_fields.items():
            assert re.search(rf"^(# )?{name} = ", text, re.MULTILINE)
            assert " ".join(field.description.split()) in words
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("source", [None, "mnist"])
def test_a_commented_line_is_the_default(source):
    text = template(source)
    active = re.sub(r"^# (\w+ = (?!\.\.\.).*)$", r"\1", text, flags=re.MULTILINE)
    assert (active != text) == (source is None)
    config = Config.checked(tomlkit.parse(active).unwrap())
    assert config == (resolve("mnist", []) if source else Config())


def test_init_writes_the_file_once(tmp_path):
    first = run("config", "init", "iris")
    assert (first.returncode, first.stdout) == (0, "fastmlp.toml\n")
    assert first.stderr == "next: fastmlp train --config fastmlp.toml\n"
    path = tmp_path / "cwd" / "fastmlp.toml"
    assert path.read_text() == template("iris")
    assert path.read_text().startswith("#:schema ./fastmlp.schema.json\n")
    path.write_text("# mine\n")
    again = run("config", "init", "iris")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert path.read_text() == "# mine\n"
    assert run("config", "init", "iris", "--overwrite").returncode == 0
    assert path.read_text() == template("iris")
    other = run("config", "init", "-o", "other.toml", "--json")
    assert json.loads(other.stdout)["path"] == "other.toml"
    assert (tmp_path / "cwd" / "other.toml").read_text() == template(None)


def test_a_training_takes_a_new_file_as_it_is(tmp_path):
    plain = run("train", "mnist", "--dry-run", "--json")
    assert run("config", "init", "mnist").returncode == 0
    with_file = run("train", "--dry-run", "--json")
    assert with_file.returncode == 0, with_file.stderr
    assert json.loads(with_file.stdout)["config"] == json.loads(plain.stdout)["config"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("init", "mnits"), "did you mean 'mnist'"),
        (("show", "mnits"), "did you mean 'mnist'"),
        (("init", "-o", "none/fastmlp.toml"), "cannot write none/fastmlp.toml"),
        (("inti",), "did you mean 'init'"),
        (("validate",), "FILE"),
        (("show", "--config", "none.toml"), "none.toml"),
    ],
)
def test_usage_errors_take_one_line_and_exit_2(args, message, capsys):
    assert main(["config", *args]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fastmlp: error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


# ---------------------------------------------------------------- show


def test_show_tells_where_each_setting_comes_from(tmp_path):
    user_file(tmp_path, "[training]\nepochs = 2\nbatch_size = 3\nthreads = 1\n")
    (tmp_path / "cwd" / "fastmlp.toml").write_text("[training]\nepochs = 4\nbatch_size = 5\n")
    variables = {"FASTMLP_EPOCHS": "6", "FASTMLP_NESTEROV": "1", "FASTMLP_HIDDEN": "9,8"}
    done = run("config", "show", "mnist", "--json", **variables)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["dataset"]) == ("fastmlp.config.show", "mnist")
    settings = document["settings"]
    origins = {
        ("data", "source"): ("mnist", "argument", "DATASET"),
        ("training", "epochs"): (6, "variable", "FASTMLP_EPOCHS"),
        ("optimizer", "nesterov"): (True, "variable", "FASTMLP_NESTEROV"),
        ("network", "hidden"): ([9, 8], "variable", "FASTMLP_HIDDEN"),
        ("training", "batch_size"): (5, "file", "fastmlp.toml"),
        ("training", "threads"): (
            1,
            "user file",
            str(tmp_path / "config" / "fastmlp" / "config.toml"),
        ),
        ("optimizer", "momentum"): (0.9, "recipe", "recipe"),
        ("training", "shuffle"): (True, "default", "default"),
        ("training", "patience"): (None, "default", "default"),
    }
    for (section, name), expected in origins.items():
        row = settings[section][name]
        assert (row["value"], row["from"], row["place"]) == expected
    # It is what a training would do.
    plan = json.loads(run("train", "mnist", "--dry-run", "--json", **variables).stdout)["config"]
    for section, values in settings.items():
        given = {name: row["value"] for name, row in values.items() if row["value"] is not None}
        assert given == plan[section]


def test_a_bad_variable_is_named(monkeypatch, capsys):
    monkeypatch.setenv("FASTMLP_EPOCHS", "0")
    assert main(["config", "show", "iris"]) == main(["train", "iris", "--dry-run"]) == 2
    expected = "fastmlp: error: FASTMLP_EPOCHS: .*got '0'\n"
    assert re.fullmatch(f"({expected}){{2}}", capsys.readouterr().err)


def test_a_setting_that_went_with_its_optimizer_is_unset(tmp_path):
    (tmp_path / "cwd" / "fastmlp.toml").write_text('[optimizer]\nname = "adam"\n')
    rows = {f"{r.section}.{r.name}": r for r in settings_of(Given("mnist"))}
    assert rows["optimizer.name"].origin.place == "fastmlp.toml"
    assert rows["optimizer.momentum"][2:] == (None, ("default", "default"))


def test_a_file_on_the_command_line_replaces_the_others(tmp_path):
    user_file(tmp_path, "[training]\nepochs = 2\n")
    (tmp_path / "cwd" / "fastmlp.toml").write_text("[training]\nbatch_size = 5\n")
    (tmp_path / "own.toml").write_text('[data]\nsource = "iris"\n')
    config = resolved(config_file=str(tmp_path / "own.toml"))
    assert config == resolve("iris", [])


def test_what_is_shown_is_a_file_of_settings(tmp_path):
    (tmp_path / "cwd" / "fastmlp.toml").write_text(
        '[network]\nactivation = [{name = "elu", alpha = 0.5}, "tanh"]\nloss = {name = "huber"}\n'
        '[training]\nclass_weight = {"a.b" = 1.0, "c d" = 2.0}\n'
    )
    done = run("config", "show", "iris")
    assert done.returncode == 0, done.stderr
    assert ESCAPE not in done.stdout
    assert "# patience" in done.stdout
    shown = Config.checked(tomlkit.parse(done.stdout).unwrap())
    assert shown == resolved("iris")
    assert shown.network.activation[0] == {"name": "elu", "alpha": 0.5}
    colored = run("config", "show", "iris", FORCE_COLOR="1").stdout
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == done.stdout != colored


def test_show_without_data_has_no_recipe():
    rows = list(settings_of(Given()))
    assert {row.origin.kind for row in rows} == {"default"}


# ---------------------------------------------------------------- validate


def test_every_bad_value_is_told_at_once(tmp_path):
    values = {}
    for key, (_, bad, _) in CASES.items():
        section, name = key.split(".")
        values.setdefault(section, {})[name] = bad
    (tmp_path / "cwd" / "bad.toml").write_text(tomlkit.dumps(values))
    done = run("config", "validate", "bad.toml")
    assert (done.returncode, done.stderr) == (2, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(CASES)
    for line, (key, (_, _, message)) in zip(sorted(lines), sorted(CASES.items()), strict=True):
        assert line.startswith(f"bad.toml: {key}: ")
        assert message in line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[trainin]\n[network]\nhiden = 3\n", ["did you mean 'training'", "did you mean 'hidden'"]),
        ("data = 3\n[training]\nepochs = 0\n", ["data: ", "training.epochs: "]),
        ("[network]\nhidden = [0, 5, 0]\n", ["network.hidden: "]),
        ("[training]\nepochs = 1\nepochs = 2\n", ["epochs"]),
        ("[training\n", ["line 1"]),
        ("schema_version = 3\n", ["schema_version: "]),
        # Right one by one, wrong together.
        ('[network]\nactivation = "rleu"\n', ["network: activation must be one of .*'rleu'"]),
        ('[network]\nhidden = [5]\nactivation = ["relu", "tanh"]\n', ["network: activation .* 1"]),
        ('[network]\nloss = {name = "huber", dleta = 1}\n', ["network: .*dleta"]),
        ('[optimizer]\nname = "sgd"\nbeta1 = 0.9\n', ["optimizer: sgd has no beta1; it has"]),
        ('[optimizer]\nname = "rmspop"\n', ["optimizer: .*did you mean 'rmsprop'"]),
        ('[data]\nsource = "iris"\n[optimizer]\nmomentum = 0.9\n', ["optimizer: adam has no mom"]),
        ('[schedule]\nname = "exponential"\n', ["schedule: exponential needs schedule.factor"]),
        ('[schedule]\nname = "constant"\nevery = 3\n', ["schedule: constant has no every"]),
        ('[network]\nembedding = "cosine"\n', ["network.embedding: embedding must be one of"]),
        ('[training]\naveraging = "emma"\n', ["training.averaging: .*did you mean 'ema'"]),
    ],
)
def test_each_problem_has_its_line(tmp_path, content, expected):
    (tmp_path / "cwd" / "bad.toml").write_text(content)
    found = sorted(problems_of("bad.toml"))
    assert len(found) == len(expected)
    for line, pattern in zip(found, sorted(expected), strict=True):
        assert line.startswith("bad.toml: ")
        assert re.search(pattern, line), line
        assert "\n" not in line


@pytest.mark.parametrize(
    "content",
    [
        "",
        # Of a table's recipe, adam; of an image's there would be none.
        "[optimizer]\nbeta1 = 0.9\n",
        '[schedule]\nper = "step"\n',
        '[network]\nactivation = ["relu", "tanh"]\n',
        '[network]\nactivation = ["relu", "tanh"]\ndropout = [0.1, 0.2]\n',
        '[data]\nsource = "mnist"\n[network]\nhidden = []\n',
        '[optimizer]\nname = "lbfgs"\nmemory = 5\n',
    ],
)
def test_what_a_training_could_take_is_right(tmp_path, content):
    (tmp_path / "cwd" / "good.toml").write_text(content)
    assert problems_of("good.toml") == []


def test_several_files_and_their_code(tmp_path):
    cwd = tmp_path / "cwd"
    (cwd / "good.toml").write_text("[training]\nepochs = 1\n")
    (cwd / "bad.toml").write_text("[training]\nepochs = 0\npatience = 0\n")
    assert run("config", "validate", "good.toml").stdout == "good.toml: ok\n"
    done = run("config", "validate", "good.toml", "bad.toml", "none.toml", ".", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert (document["schema"], document["status"]) == ("fastmlp.config.validate", "error")
    counts = {row["file"]: len(row["problems"]) for row in document["files"]}
    assert counts == {"good.toml": 0, "bad.toml": 2, "none.toml": 1, ".": 1}


def test_the_settings_of_a_run_are_right(validator):
    done = run("train", "iris", "--epochs", 1, "--no-report", "--out", "run")
    assert done.returncode == 0, done.stderr
    checked = run("config", "validate", "run/config.toml")
    assert (checked.returncode, checked.stdout) == (0, "run/config.toml: ok\n")
    assert validator.is_valid(read_settings("run/config.toml"))


# ---------------------------------------------------------------- schema


def nodes(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list)):
            yield from nodes(child)


def test_the_schema_is_one():
    jsonschema = pytest.importorskip("jsonschema")
    done = run("config", "schema")
    schema = json.loads(done.stdout)
    assert schema == json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for section, kind in schema["$defs"].items():
        assert kind["description"], section
        assert kind["additionalProperties"] is False
        for name, setting in kind["properties"].items():
            assert setting["description"], name
            assert setting["title"], name
    unknown = {"ge", "gt", "le", "lt", "flag", "metavar"}
    for node in nodes(schema):
        assert node != {"type": "null"}
        assert not (isinstance(node, dict) and unknown & set(node))


@pytest.mark.parametrize("key", CASES)
def test_the_schema_agrees_with_the_settings(validator, key):
    section, name = key.split(".")
    good, bad, _ = CASES[key]
    assert validator.is_valid({section: {name: good}})
    assert not validator.is_valid({section: {name: bad}})
    assert not validator.is_valid({section: {f"{name}x": good}})
    assert not validator.is_valid({f"{section}x": {name: good}})


@pytest.mark.parametrize("source", [None, "mnist", "iris"])
def test_the_schema_accepts_new_files_and_resolved_ones(validator, source):
    assert validator.is_valid(tomlkit.parse(template(source)).unwrap())
    assert validator.is_valid(tomlkit.parse(toml(resolve(source or "iris", []))).unwrap())
