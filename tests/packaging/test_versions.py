"""What the files of packaging say of the same thing agrees: versions, requirements, platforms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomlkit

import fastmlp
from support.paths import ROOT

yaml = pytest.importorskip("yaml")

WORKFLOWS = ROOT / ".github" / "workflows"
pytestmark = pytest.mark.skipif(not WORKFLOWS.is_dir(), reason="needs a source checkout")


@pytest.fixture(scope="module")
def settings():
    return tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()


@pytest.fixture(scope="module")
def recipe():
    return yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))


def workflow(name):
    content = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))
    return content | {"on": content.pop(True)}  # YAML 1.1 reads `on` as true


@pytest.fixture(scope="module")
def versions(settings):
    """The versions of Python that the classifiers name."""
    family = re.compile(r"Programming Language :: Python :: 3\.(\d+)")
    matches = map(family.fullmatch, settings["project"]["classifiers"])
    return [int(match[1]) for match in matches if match]


def test_classifiers_begin_with_the_oldest_version_that_is_allowed(settings, versions):
    assert settings["project"]["requires-python"] == f">=3.{versions[0]}"
    assert versions == list(range(versions[0], versions[-1] + 1))


def test_a_wheel_for_each_version(settings, versions):
    built = settings["tool"]["cibuildwheel"]["build"]
    assert built == [f"cp3{v}-*" for v in versions]


def test_wheels_are_tested_with_the_requirements_of_the_tests(settings, recipe):
    optional = settings["project"]["optional-dependencies"]
    known = {*optional["test"], *optional["sklearn"]}
    assert set(settings["tool"]["cibuildwheel"]["test-requires"]) <= known
    for test in recipe["tests"]:
        needed = test.get("requirements", {}).get("run", ())
        assert {line.replace(" ", "") for line in needed} <= known
    for override in settings["tool"]["cibuildwheel"]["overrides"]:
        assert set(override["test-extras"]) <= set(optional)
    for word in settings["tool"]["cibuildwheel"]["test-command"].split():
        assert not word.startswith("tests/") or (ROOT / word).is_dir()


def bounds(requirements):
    """Requirements as pairs of name and bound, of pip or conda."""
    pairs = (re.match(r"([\w.-]+) ?(.*)", line) for line in requirements if isinstance(line, str))
    return {match[1]: match[2] for match in pairs if match}


def test_the_recipe_requires_what_the_project_does(settings, recipe):
    project, needs = settings["project"], recipe["requirements"]
    assert "win" in str(recipe["build"]["skip"])
    everywhere = [line for line in project["dependencies"] if "win32" not in line]
    assert recipe["context"]["version"] == fastmlp.__version__
    assert bounds(needs["run"]) == {
        "python": project["requires-python"],
        **bounds(everywhere),
    }
    build = bounds([*needs["build"], *needs["host"]])
    assert bounds(settings["build-system"]["requires"]).items() <= build.items()
    assert build["cmake"] == settings["tool"]["scikit-build"]["cmake"]["version"]
    assert recipe["build"]["python"]["entry_points"] == [
        f"{name} = {target}" for name, target in project["scripts"].items()
    ]
    assert recipe["about"]["summary"] == project["description"]
    assert recipe["about"]["license"] == project["license"]


def test_cmake_and_the_build_require_the_same_cmake(settings):
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    required = re.match(r"cmake_minimum_required\(VERSION ([\d.]+)\)", text)
    assert settings["tool"]["scikit-build"]["cmake"]["version"] == f">={required[1]}"


# Workflows


@pytest.mark.parametrize("name", sorted(path.name for path in WORKFLOWS.glob("*.yml")))
def test_workflows_have_few_permissions_and_fixed_actions(name):
    content = workflow(name)
    assert content["permissions"] == {"contents": "read"}
    for job_name, job in content["jobs"].items():
        assert job.get("permissions", {}) == (
            {"id-token": "write"} if job_name == "publish" else {}
        )
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.search(r"@(v\d+|release/v\d+|[0-9a-f]{40})$", step.get("uses", "x@v1"))
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


def test_continuous_integration_runs_the_script():
    ci = workflow("ci.yml")
    assert ci["on"] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert ci["jobs"]["ci"]["steps"][-1] == {"run": "bash .ci/run"}


def test_wheels_are_published_for_a_tag_after_all_of_them_passed():
    wheels = workflow("wheels.yml")
    publish = wheels["jobs"]["publish"]
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert set(publish["needs"]) == set(wheels["jobs"]) - {"publish"}
    assert publish["environment"] == "pypi"
    assert not any("run" in step for step in publish["steps"]), "no code of the tree may publish"
    for name in set(wheels["jobs"]) - {"publish"}:
        commands = [step.get("run", "") for step in wheels["jobs"][name]["steps"]]
        assert any(command.startswith("twine check --strict") for command in commands)
    for path in wheels["on"]["pull_request"]["paths"]:
        assert Path(ROOT, path.removesuffix("/**")).exists()


def test_each_system_of_the_wheels_has_a_machine(settings):
    matrix = workflow("wheels.yml")["jobs"]["wheels"]["strategy"]["matrix"]
    names = {runner.partition("-")[0] for runner in matrix["runner"]}
    assert names == {"ubuntu", "macos", "windows"}
    assert {"linux", "macos", "windows"} <= settings["tool"]["cibuildwheel"].keys()
