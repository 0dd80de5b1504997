"""What a source distribution and a wheel hold, without compiling: all that is needed, no more."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser

import pytest

import fastmlp
from support.paths import ROOT

REPAIR = ROOT / "packaging" / "repair_wheel.py"
NAME = f"fastmlp-{fastmlp.__version__}"
INFO = f"{NAME}.dist-info"
LICENSE = "GCC-runtime-libraries.txt"
# What development leaves in a tree.
LEFTOVERS = (
    ".git/config",
    ".venv/pyvenv.cfg",
    "build/dev/CMakeCache.txt",
    "dist/old.whl",
    "runs/a/config.toml",
    "sweeps/a/study.log",
    "python/fastmlp/__pycache__/model.cpython-313.pyc",
    "python/fastmlp/_core.cpython-313-x86_64-linux-gnu.so",
    ".mypy_cache/a.json",
    ".ruff_cache/a",
    ".pytest_cache/a",
)

pytestmark = [
    pytest.mark.skipif(not REPAIR.is_file(), reason="needs a source checkout"),
    pytest.mark.skipif(
        importlib.util.find_spec("scikit_build_core") is None, reason="needs scikit-build-core"
    ),
]


def tracked(*folders):
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs a Git checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree with what development leaves in it."""
    tree = tmp_path_factory.mktemp("tree") / "fastmlp"
    for name in tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    for name in LEFTOVERS:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("left")
    return tree


def build(tree, folder, kind, settings=None):
    """Build a distribution by the function that pip calls, at a fixed time."""
    code = f"import scikit_build_core.build as b; b.build_{kind}({str(folder)!r}, {settings})"
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory):
    return build(tree, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    """The wheel but for the compiled module, which takes minutes."""
    return build(tree, tmp_path_factory.mktemp("wheel"), "wheel", {"wheel.cmake": "false"})


def members(sdist):
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def read(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


def test_a_source_distribution_holds_the_sources_and_nothing_else(sdist):
    assert sdist.name == f"{NAME}.tar.gz"
    assert members(sdist) == tracked() | {"PKG-INFO"}


def test_a_source_distribution_does_not_depend_on_the_place_and_the_time(
    tree, sdist, tmp_path_factory
):
    other = tmp_path_factory.mktemp("elsewhere") / "renamed"
    shutil.copytree(tree, other, copy_function=shutil.copyfile)  # with new times
    for path in other.rglob("run"):
        shutil.copymode(tree / path.relative_to(other), path)
    again = build(other, tmp_path_factory.mktemp("again"), "sdist")
    assert again.read_bytes() == sdist.read_bytes()


def test_a_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(read(wheel))
    package = {name for name in names if not name.startswith(f"{INFO}/")}
    assert package == {name.removeprefix("python/") for name in tracked("python/fastmlp")}
    assert {"fastmlp/py.typed", "fastmlp/_core.pyi"} <= package
    assert names - package == {
        f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt",
                                      "licenses/LICENSE")
    }  # fmt: skip


def test_the_development_environment_gets_metadata_without_code(tree, tmp_path, monkeypatch):
    """No module, of fastmlp or of this repository, that could hide one of the same name."""
    monkeypatch.setenv("FASTMLP_METADATA_ONLY", "1")
    names = set(read(build(tree, tmp_path, "wheel")))
    assert f"{INFO}/entry_points.txt" in names
    assert all(name.startswith(f"{INFO}/") for name in names)


# The repair


@pytest.fixture
def repair():
    spec = importlib.util.spec_from_file_location("repair_wheel", REPAIR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_repaired_wheel_has_the_license_of_its_libraries(repair, wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    files = read(wheel) | {"fastmlp.libs/libgomp-12.so.1": b"library"}
    repair.add_license(files)
    repair.write(tmp_path / "a.whl", files, {"fastmlp.libs/libgomp-12.so.1": 0o755 << 16})
    written = read(tmp_path / "a.whl")
    text = written[f"{INFO}/licenses/{LICENSE}"].decode()
    assert "GCC RUNTIME LIBRARY EXCEPTION\n\nVersion 3.1" in text
    assert "GNU GENERAL PUBLIC LICENSE\n                       Version 3" in text
    metadata = Parser().parsestr(written[f"{INFO}/METADATA"].decode())
    assert metadata["License-Expression"] == (
        "BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1"
    )
    assert metadata.get_all("License-File") == ["LICENSE", LICENSE]
    # RECORD, by which installers check the wheel.
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(written[f"{INFO}/RECORD"].decode()))}
    assert rows.pop(f"{INFO}/RECORD") == ["", ""]
    for name, (digest, size) in rows.items():
        encoded = base64.urlsafe_b64encode(hashlib.sha256(written[name]).digest()).decode()
        assert (digest, int(size)) == (f"sha256={encoded.rstrip('=')}", len(written[name]))
    assert len(rows) == len(written) - 1


def test_a_repaired_wheel_depends_on_its_contents_alone(repair, wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    files = read(wheel)
    repair.write(tmp_path / "a.whl", dict(files), {})
    repair.write(tmp_path / "b.whl", dict(reversed(files.items())), {})
    assert (tmp_path / "a.whl").read_bytes() == (tmp_path / "b.whl").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.whl") as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(2023, 11, 14, 22, 13, 20)}
    assert entries[-1].filename.startswith(INFO)


def test_a_wheel_without_libraries_keeps_its_license(repair, wheel):
    files = read(wheel)
    repair.add_license(files)
    assert files == read(wheel)


def test_a_library_of_another_license_is_refused(repair, wheel):
    with pytest.raises(SystemExit, match="fastmlp.libs/libother.so: .* must cover each library"):
        repair.add_license(read(wheel) | {"fastmlp.libs/libother.so": b""})
