"""Examples in docstrings run, and everything public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import fastmlp

MODULES = [
    info.name
    for info in pkgutil.walk_packages(fastmlp.__path__, "fastmlp.")
    if not info.name.endswith(("__main__", "._core"))
]
NAMESPACES = ("data", "datasets", "export", "expressions", "metrics", "plot", "schedules")
# Their methods are called by users; those of callbacks, losses and schedules by a training.
MODELS = (fastmlp.MLP, fastmlp.MLPClassifier, fastmlp.MLPRegressor)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test)
    assert runner.failures == 0


def public_objects() -> dict[str, object]:
    """Public functions, classes that users make, and the methods of models."""
    found = {f"fastmlp.{name}": getattr(fastmlp, name) for name in fastmlp.__all__}
    for namespace in NAMESPACES:
        module = importlib.import_module(f"fastmlp.{namespace}")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value) or namespace == "schedules":
                found[f"fastmlp.{namespace}.{name}"] = value
    for model in MODELS:
        for name in dir(model):
            value = getattr(model, name)
            if inspect.isfunction(value) and value.__module__.startswith("fastmlp."):
                found[f"fastmlp.{model.__name__}.{name}"] = value
    return {
        name: value
        for name, value in found.items()
        if not name.rpartition(".")[2].startswith("_") and callable(value)
    }


@pytest.mark.parametrize("name", public_objects())
def test_has_an_example(name):
    value = public_objects()[name]
    assert ">>>" in (inspect.getdoc(value) or ""), f"{name} needs an example"
