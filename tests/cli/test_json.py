"""--json: exactly one object on standard output, of its schema, for every command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from support.cli_process import TIMEOUT, environment
from support.json_schemas import REQUIRED, VARIANTS, schema_of
from support.paths import ROOT
from support.serving_models import models, table, write_csv

jsonschema = pytest.importorskip("jsonschema")
for package in ("polars", "matplotlib", "jinja2", "onnxruntime", "optuna", "sklearn"):
    pytest.importorskip(package)

DOCUMENTATION = ROOT / "docs" / "json-output.md"

# The first four make what others read.
COMMANDS = [
    ("train", "train iris --architecture mlp --epochs 2 --checkpoint-every 2 --no-report -q"),
    ("train regression", "train t.csv --target price,size --epochs 1 --no-report -q"),
    ("train diverged", "train iris --optimizer sgd --lr 1e30 --no-report -q"),
    ("config init", "config init iris"),
    (
        "train check",
        "train iris --lr 1e-9 --epochs 1 --min-accuracy 1 --no-report -q --out checked",
    ),
    ("train lbfgs", "train iris --optimizer lbfgs --epochs 2 --no-report -q --out lbfgs"),
    ("plan", "train iris --dry-run"),
    ("evaluate", "evaluate 1 -q"),
    ("evaluate regression", "evaluate two.safetensors t.csv"),
    ("evaluate labels", "evaluate labels.safetensors t.csv --min-accuracy 1"),
    ("importance", "importance 1 -q --repeats 2"),
    ("importance file", "importance two.safetensors t.csv --metric mae"),
    ("predict", "predict price.safetensors t.csv --keep id,note"),
    ("predict labels", "predict labels.safetensors t.csv -p"),
    ("export", "export 1 --format onnx"),
    ("export npz", "export plain.safetensors --format npz"),
    ("inspect", "inspect price.safetensors"),
    ("inspect run", "inspect 1"),
    ("inspect losses", "inspect losses.safetensors"),
    ("inspect checkpoint", "inspect runs/001-iris/checkpoints/epoch-00000002.safetensors"),
    ("plot", "plot 1 loss confusion -q -o pictures"),
    ("report", "report 1 -q"),
    ("look", "look t.csv"),
    ("look arrays", "look iris"),
    ("lr-find", "lr-find iris --steps 60 -q"),
    ("sweep", "sweep iris --search optimizer.learning_rate=0.01..0.1 --trials 1 --epochs 1 -q"),
    ("cv", "cv iris --folds 2 --epochs 1 -q --processes 1"),
    ("evaluate cv", "evaluate cv/001-iris"),
    ("cv regression", "cv t.csv --target price --folds 2 --epochs 1 -q --processes 1"),
    ("compare", "compare 1 2 --with sklearn -q"),
    ("data list", "data list"),
    ("data fetch", "data fetch iris -q"),
    ("data verify", "data verify mnist"),
    ("data clear", "data clear mnist --yes"),
    ("config show", "config show iris"),
    ("config validate", "config validate fastmlp.toml none.toml"),
    ("runs list", "runs list"),
    ("runs show", "runs show 1"),
    ("runs show diverged", "runs show 3"),
    ("runs rm", "runs rm 1 --dry-run"),
    ("info", "info --check"),
    ("error", "predict none t.csv"),
    ("error usage", "predict"),
]
CODES = {
    "train diverged": 5, "train check": 6, "evaluate labels": 6, "config validate": 2, "error": 4,
    "error usage": 2,
}  # fmt: skip
# Nothing of it is in the cache of a test, and a benchmark takes its time.
NOT_TRIED = {"fastmlp.data.path", "fastmlp.bench", "fastmlp.serve", "fastmlp.play"}


# One process for all of them, as most of the time of a command goes into its start. What is printed
# is taken where the system takes it, whoever prints.
ONE_AFTER_THE_OTHER = """
import json, os, sys, tempfile
from fastmlp.cli import main

kept, outcomes = os.dup(1), []
for line in json.load(sys.stdin):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
        code = main([*line.split(), "--json"])
        sys.stdout.flush(), sys.stderr.flush(), out.seek(0), err.seek(0)
        outcomes.append((code, out.read().decode(), err.read().decode()))
os.dup2(kept, 1)
print(json.dumps(outcomes))
"""


class Output(NamedTuple):
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What every command did, by its name here."""
    work = tmp_path_factory.mktemp("json")
    for name, model in models().items():
        model.save(work / f"{name}.safetensors")
    columns = {name: values for name, values in table().items() if name not in ("kind", "note")}
    write_csv(work / "t.csv", columns | {"note": ["n"] * len(columns["id"])})
    own = {"XDG_CACHE_HOME": str(work / "cache"), "HOME": str(work)}
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER], cwd=work, env=environment(**own),
        input=json.dumps([line for _, line in COMMANDS]), capture_output=True, text=True,
        timeout=TIMEOUT, check=True,
    )  # fmt: skip
    return {
        name: Output(*each)
        for (name, _), each in zip(COMMANDS, json.loads(done.stdout), strict=True)
    }


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_one_object_of_its_schema(outputs, name):
    done = outputs[name]
    assert done.returncode == CODES.get(name, 0), done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    document = json.loads(done.stdout, parse_constant=lambda text: pytest.fail(f"holds {text}"))
    validator = jsonschema.Draft202012Validator(schema_of(document["schema"]))
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    assert problems == []
    assert document["command"] == (None if name == "error usage" else command_of(name))
    if "exit_code" in document:
        assert document["exit_code"] == done.returncode


def command_of(name):
    """The command of a line above."""
    words = dict(COMMANDS)[name].split()
    return " ".join(words[: 2 if words[0] in ("data", "config", "runs") else 1])


def test_every_schema_is_tried(outputs):
    seen = {json.loads(done.stdout)["schema"] for done in outputs.values()}
    assert seen == set(REQUIRED) - NOT_TRIED


def test_a_schema_refuses_what_is_wrong(outputs):
    """Else it would show nothing that the test above passes."""
    document = json.loads(outputs["evaluate"].stdout)
    validator = jsonschema.Draft202012Validator(schema_of("fastmlp.evaluate"))
    assert validator.is_valid(document)
    for change in ({"accuracy": 1.5}, {"more": 1}, {"part": "some"}, {"schema_version": 1}):
        assert not validator.is_valid(document | change)
    assert not validator.is_valid({k: v for k, v in document.items() if k != "loss"})


def test_the_documentation_names_every_field():
    text = DOCUMENTATION.read_text()
    sections = dict(re.findall(r"^## `(\S+)`$\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(REQUIRED)
    for name, section in sections.items():
        rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        named = {field for row in rows for field in re.findall(r"`(\w+)`", row)}
        variants = [field for fields in VARIANTS.get(name, ()) for field in fields]
        assert named == {*REQUIRED[name], *variants}, name
