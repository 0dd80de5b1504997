"""Builds of the core beside the installed one: with sanitizers, or with a fault in its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from trust.experiment import Patch
from trust.worker import TESTS

__all__ = ["missing_tools", "patched_package", "patched_sources", "sanitized_package"]

ROOT = TESTS.parent
BUILDS = ROOT / "build" / "trust"
_BIN = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def _tool(name: str) -> str | None:
    return shutil.which(name, path=_BIN)


def missing_tools() -> str | None:
    """What is missing for a build, or None."""
    absent = [name for name in ("cmake", "g++") if _tool(name) is None]
    has_pybind = _run([sys.executable, "-c", "import pybind11"]).returncode == 0
    absent += [] if has_pybind else ["pybind11"]
    absent += [] if (ROOT / "CMakeLists.txt").exists() else ["the sources"]
    return f"needs {', '.join(absent)} to build the core" if absent else None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": _BIN}
    )


def patched_sources(patch: Patch) -> Path:
    """A copy of what the core is built from, with the patch applied."""
    file, before, after = next(
        (p for p in patch.places if (ROOT / p[0]).exists() and p[1] in (ROOT / p[0]).read_text()),
        (None, "", ""),
    )
    if file is None:
        raise RuntimeError(f"the planted fault applies nowhere: {patch.places}")
    name = hashlib.sha256(repr((file, before, after)).encode()).hexdigest()[:12]
    tree = BUILDS / f"patched-{name}"
    for part in ("cpp", "CMakeLists.txt"):
        source, target = ROOT / part, tree / part
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            tree.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    # The time of the file stays old where its content does, so that builds are not done twice.
    changed = (ROOT / file).read_text().replace(before, after)
    (tree / file).write_text(changed)
    return tree


def _build(sources: Path, folder: Path, options: Mapping[str, str]) -> Path:
    """Build the core, and put it into a copy of the package; the folder with the package."""
    cmakedir = _run([sys.executable, "-m", "pybind11", "--cmakedir"]).stdout.strip()
    generator = ["-G", "Ninja"] if _tool("ninja") else []
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if _tool("ccache") else []
    configure = [
        "cmake", "-S", str(sources), "-B", str(folder / "cmake"), *generator, *launcher,
        "-DCMAKE_BUILD_TYPE=Release", f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={cmakedir}", *(f"-D{name}={value}" for name, value in options.items()),
    ]  # fmt: skip
    for command in (configure, ["cmake", "--build", str(folder / "cmake"), "--parallel"]):
        done = _run(command)
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-3000:]
            raise RuntimeError(f"{' '.join(command)} failed:\n{said}")
    package = folder / "python" / "fastmlp"
    ignored = shutil.ignore_patterns("_core*.so", "__pycache__")
    shutil.copytree(ROOT / "python" / "fastmlp", package, ignore=ignored, dirs_exist_ok=True)
    for extension in (folder / "cmake").glob("_core*.so"):
        shutil.copy2(extension, package)
    return package.parent


def _on_path(package: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join((str(package), str(TESTS)))}


def patched_package(patch: Patch) -> dict[str, str]:
    """Variables with which a child imports a core that has the fault."""
    sources = patched_sources(patch)
    return _on_path(_build(sources, sources / "build", {}))


def sanitized_package(patch: Patch | None = None) -> dict[str, str]:
    """The same with AddressSanitizer and UndefinedBehaviorSanitizer, which end the process."""
    sources = ROOT if patch is None else patched_sources(patch)
    folder = BUILDS / "sanitized" if patch is None else sources / "sanitized"
    package = _build(sources, folder, {"FASTMLP_SANITIZE": "address,undefined"})
    libraries = [
        _run(["gcc", f"-print-file-name={name}"]).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return {
        **_on_path(package),
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "FASTMLP_TRUST_SANITIZED": "1",
    }
