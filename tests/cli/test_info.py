"""`fastmlp info`: facts that are true, and checks that go red when something is broken."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fastmlp
from fastmlp import _core
from fastmlp.cli.commands.info import EXTRAS
from fastmlp.cli.self_test import DIGEST, trained_digest
from fastmlp.datasets.cache import cache_directory
from support.child_process import run_python
from support.cli_process import TIMEOUT, environment, run
from support.paths import ROOT


@pytest.fixture
def own_places(tmp_path, monkeypatch):
    """Cache, settings and working directory of the test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def facts(*args, **variables):
    done = run("info", "--json", *args, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---------------------------------------------------------------- facts


def test_what_is_told_is_so(own_places):
    told = facts(FASTMLP_THREADS="3")
    assert (told["schema"], told["command"]) == ("fastmlp.info", "info")
    assert {key: told[key] for key in fastmlp.info()} == fastmlp.info()
    assert told["cpus"] == os.cpu_count()
    assert told["executable"] == sys.executable
    assert len(told["load_average"]) == 3
    assert told["directory"]["path"] == str(own_places / "cwd")
    assert told["directory"]["writable"] is True
    assert told["directory"]["bytes_free"] > 0
    assert told["cache"]["path"] == str(own_places / "cache" / "fastmlp" / "datasets")
    assert told["cache"]["datasets"] == {}
    assert told["variables"] == {"FASTMLP_THREADS": "3"}
    assert [file["exists"] for file in told["config_files"]] == [False, False]
    assert told["checks"] is None
    text = run("info").stdout
    for shown in (fastmlp.__version__, fastmlp.info()["isa"], fastmlp.info()["cpu"]):
        assert shown in text


def test_extras_are_those_of_the_project():
    tomlkit = pytest.importorskip("tomlkit")
    path = ROOT / "pyproject.toml"
    if not path.is_file():
        pytest.skip("needs a source checkout")
    declared = tomlkit.parse(path.read_text()).unwrap()["project"]["optional-dependencies"]
    of_developers = {"all", "test", "bench", "lint", "platforms", "docs", "dev"}
    assert set(EXTRAS) == set(declared) - of_developers
    for extra, packages in EXTRAS.items():
        names = [requirement.split(">")[0] for requirement in declared[extra]]
        assert sorted(names) == sorted(packages), extra
    readme = (ROOT / "README.md").read_text()
    for extra in EXTRAS:
        assert f"`{extra}`" in readme or f"[{extra}]" in readme, extra


def test_extras_have_their_versions():
    for packages in facts()["extras"].values():
        for package, version in packages.items():
            if version is None:
                with pytest.raises(metadata.PackageNotFoundError):
                    metadata.version(package)
            else:
                assert version == metadata.version(package)


# A finder that hides a package, as if it were not installed.
HIDE = """
import importlib.metadata, sys
found = importlib.metadata.version
def version(name):
    if name == "plotext":
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)
importlib.metadata.version = version
from fastmlp.cli import main
sys.exit(main(["info"]))
"""


def python(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code], env=environment(**variables), capture_output=True,
        text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip


def test_a_missing_extra_comes_with_its_command():
    done = python(HIDE)
    line = next(row for row in done.stdout.splitlines() if row.split()[:1] == ["plot"])
    assert "no plotext: pip install 'fastmlp[plot]'" in line


def test_data_sets_in_the_cache(own_places):
    directory = cache_directory("mnist")
    assert directory.is_relative_to(own_places)
    directory.mkdir(parents=True)
    (directory / "train-images-idx3-ubyte").write_bytes(bytes(1500))
    assert facts()["cache"]["datasets"] == {"mnist": 1500}
    assert "mnist  1.5 kB" in run("info").stdout


def test_files_of_settings(own_places):
    user = own_places / "config" / "fastmlp" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[training]\nepochs = 3\n")
    Path("fastmlp.toml").write_text("[training]\nepochs = 0\n")
    done = run("info", "--json")
    rows = json.loads(done.stdout)["config_files"]
    assert [(row["kind"], row["exists"]) for row in rows] == [("user", True), ("local", True)]
    assert rows[0]["problem"] is None
    assert "training.epochs" in rows[1]["problem"]
    assert "fastmlp: warning: fastmlp.toml: training.epochs" in done.stderr


def test_a_busy_machine_and_a_slow_choice_are_told():
    code = """
import os, sys
os.getloadavg = lambda: ({load}, 0.0, 0.0)
from fastmlp.cli import main
sys.exit(main(["info"]))
"""
    busy = python(code.format(load=10.0 * os.cpu_count()))
    assert (busy.returncode, "machine is busy" in busy.stderr) == (0, True)
    idle = python(code.format(load=0.0))
    assert "busy" not in idle.stderr
    forced = python(code.format(load=0.0), FASTMLP_ISA="generic")
    best = fastmlp.info()["isas_available"][0]
    assert ("generic" in forced.stderr) == (best != "generic")


def test_a_directory_that_cannot_be_written_is_told(own_places):
    (own_places / "cache").write_text("a file where the cache should be")
    (own_places / "cache").chmod(0o777)
    done = run("info", "--json")
    assert json.loads(done.stdout)["cache"]["writable"] is False
    assert "datasets cannot be written" in done.stderr


# ---------------------------------------------------------------- checks


def test_this_installation_works():
    told = facts("--check")
    assert [check["passed"] for check in told["checks"]] == [True] * 3
    isas = told["isas_available"]
    assert told["checks"][0]["detail"] == ", ".join(isas)
    assert "FAILED" not in run("info", "--check").stdout


def test_the_digest_is_that_of_every_instruction_set(isa):
    code = "from fastmlp.cli.self_test import trained_digest; print(trained_digest())"
    assert python(code, FASTMLP_ISA=isa).stdout.strip() == DIGEST == trained_digest()


# Each plants a fault that the check of that number has to see.
FAULTS = {
    "gradient": """
from fastmlp.model import MLP
true = MLP.loss_and_gradients
def wrong(self, *args, **kwargs):
    loss, weights, biases = true(self, *args, **kwargs)
    biases[0][1] *= 1.001
    return loss, weights, biases
MLP.loss_and_gradients = wrong
""",
    "nan": """
import math
from fastmlp.model import MLP
MLP.evaluate = lambda self, *args, **kwargs: {"loss": math.nan}
""",
    "storage": """
import fastmlp
from fastmlp import _core
true = fastmlp.MLP.load
def wrong(path):
    model = true(path)
    weights = model.weights
    weights[1][0, 0] += 1e-6
    model.weights = weights
    return model
fastmlp.MLP.load = wrong
""",
    "sign": """
import fastmlp
from fastmlp import _core
true = fastmlp.MLP.load
def wrong(path):
    model = true(path)
    model.biases = [-bias for bias in model.biases]  # 0 becomes -0, which predicts the same
    return model
fastmlp.MLP.load = wrong
""",
    "disk": """
import tempfile
def full(*args, **kwargs):
    raise OSError(28, "No space left on device")
tempfile.TemporaryDirectory = full
""",
}
RUN_CHECKS = """
import sys
from fastmlp.cli import main
sys.exit(main(['info', '--check', '--json']))
"""


@pytest.mark.parametrize(
    ("fault", "failing"),
    [("gradient", 1), ("nan", 1), ("storage", 2), ("sign", 2), ("disk", 2)],
)
def test_a_fault_ends_with_6(fault, failing):
    done = python(FAULTS[fault] + RUN_CHECKS)
    assert done.returncode == 6, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [check["passed"] for check in checks] == [i != failing for i in range(3)]
    assert f"does not work: {checks[failing]['name']}" in done.stderr
    assert "Traceback" not in done.stderr


# Runs at the start of every Python that finds it, and so in the processes of the first check.
BEND_GENERIC = """
import os
import platform
if os.environ.get("FASTMLP_ISA") == "generic":
    {fault}
"""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            "import fastmlp.optimizers as o; o.SGD.__post_init__ = lambda self:"
            " object.__setattr__(self, 'momentum', 0.9000001)",
            "generic gives",
        ),
        ("os.kill(os.getpid(), 4)", "generic failed (-4)"),
    ],
)
def test_an_instruction_set_that_computes_otherwise_is_named(tmp_path, fault, said):
    (tmp_path / "sitecustomize.py").write_text(BEND_GENERIC.format(fault=fault))
    package = Path(fastmlp.__file__).parents[1]
    done = run("info", "--check", PYTHONPATH=f"{tmp_path}{os.pathsep}{package}")
    assert done.returncode == 6
    assert f"FAILED ({said}" in done.stdout
    assert done.stdout.count("FAILED") == 1


def test_slow_kernels_are_told_once():
    if _core.isas()[0] == "generic" or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this CPU has no faster kernels that FASTMLP_ISA could refuse")
    done = run("info", "--json", FASTMLP_ISA="generic")
    told = [line for line in json.loads(done.stdout)["warnings"] if "generic" in line]
    assert len(told) == 1
    assert done.stderr.count("fastmlp: warning: fastmlp computes by its generic kernels") == 1
    trained = run("train", "xor", "--epochs", 1, "--no-report", "--dry-run", FASTMLP_ISA="generic")
    lines = [line for line in trained.stderr.splitlines() if "generic kernels" in line]
    assert all(line.startswith("fastmlp: warning: ") for line in lines)


def test_where_warnings_are_errors_the_import_tells_why():
    if _core.isas()[0] == "generic" or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this CPU has no faster kernels that FASTMLP_ISA could refuse")
    done = run_python("from fastmlp import _core", FASTMLP_ISA="generic", PYTHONWARNINGS="error")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: fastmlp computes by its generic kernels")
