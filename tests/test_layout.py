"""The layout of the tests: folders that mirror the product, and helpers in one package."""

from __future__ import annotations

import re

import pytest

from support.paths import ROOT, TESTS

# Helpers, planted bugs, and the attacks that others run.
PACKAGES = ("support", "mutations", "trust")
WHOLE = ["conftest.py", "test_layering.py", "test_layout.py"]
SOURCES = sorted([*TESTS.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
FOLDERS = sorted(path for path in TESTS.iterdir() if path.is_dir() and path.name[0] not in "._")
# Code in strings, which a process of its own runs, counts too.
IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([\w.]+)", re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_test_module(path):
    imported = IMPORT.findall(path.read_text(encoding="utf-8"))
    parts = {part for name in imported for part in name.split(".")}
    assert not [part for part in parts if part.startswith("test_")]


def test_only_what_concerns_the_whole_suite_has_no_folder():
    assert sorted(path.name for path in TESTS.glob("*.py")) == WHOLE


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_helpers_are_in_packages_and_tests_are_not(folder):
    modules = {path.name for path in folder.glob("*.py")}
    helpers = {name for name in modules if not name.startswith("test_")}
    assert bool(helpers) == (folder.name in PACKAGES)
