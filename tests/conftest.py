"""Fixtures and settings of the whole suite."""

from __future__ import annotations

import os
import secrets
import sys

import pytest
from hypothesis import settings

from support.strategies import DTYPES, ISAS

# The processes of the tests share compiled modules and buffer their output, as those of users do.
for _name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
    os.environ.pop(_name, None)

# Derandomized: a red run must be red again for whoever looks into it.  `deep` is for a long search.
settings.register_profile("fast", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("FASTMLP_HYPOTHESIS", "fast"))


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    """Name of each instruction set this CPU has."""
    from fastmlp import _core

    if request.param not in _core.isas():
        pytest.skip(f"this CPU lacks {request.param}")
    return str(request.param)


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


_FIRST_SEED = int(os.environ.get("FASTMLP_SEED") or secrets.randbelow(2**31))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Seed of a random case, other ones in each run; the parameter is the number of the case.

    Printed with every failure; FASTMLP_SEED repeats a run.
    """
    print(f"FASTMLP_SEED={_FIRST_SEED}")
    return _FIRST_SEED + int(request.param)


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """Keeps the user's cache, copies and settings out of a test."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("FASTMLP_DATA_DIR", "FASTMLP_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture(autouse=True)
def settings_of_sklearn():
    """An interrupt at the wrong instruction of scikit-learn's own leaves its settings changed."""
    yield
    if "sklearn" in sys.modules:
        sys.modules["sklearn"].set_config(skip_parameter_validation=False)
