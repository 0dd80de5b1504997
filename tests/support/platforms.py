"""Builds fastmlp by other compilers and for other systems, and compares its bits there.

    python tests/support/platforms.py clang                # this system
    python tests/support/platforms.py arm64                # Linux on 64-bit Arm, in emulation
    python tests/support/platforms.py musl windows macos   # the core without Python

`clang` and `arm64` build the module, and run the tests of the kernels and of equal bits. The others
build the program cpp/tests/trainings.cpp by zig, whose compiler is Clang; those that can run here
must print the digests of cpp/tests/trainings.digests. Needs CMake, Ninja and pybind11; Debian's
packages clang, or g++-aarch64-linux-gnu and qemu-user with apt-get; the Python package ziglang.
Exit status 1 where a build or a test fails, or bits differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["PLATFORMS"]

ROOT = Path(__file__).resolve().parents[2]
DIGESTS = ROOT / "cpp" / "tests" / "trainings.digests"
KERNEL_TESTS = [
    f"tests/core/test_{name}.py"
    for name in ("activations", "fma", "gemm", "losses", "math", "optimizers", "random", "row_sums")
]
EMULATED_TESTS = KERNEL_TESTS[1:3]  # which take ten times as long
BIT_TESTS = ["tests/network/test_equal_bits.py", "tests/network/test_subnormals.py"]
# What the tests above import, and the package index offers for 64-bit Arm.
PACKAGES = ["numpy", "click", "filelock", "safetensors", "platformdirs", "pydantic", "tomlkit",
            "pytest", "hypothesis"]  # fmt: skip
MNIST = ["-m", "support.golden", "mnist"]
VECTOR_BYTES = {"sve256": 32, "sve512": 64}


def run(*words: object, **options: object) -> str:
    """Run a program; print what it was and its last line of output. Fail if it fails."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, **options
    )  # type: ignore[call-overload]
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-6000:]}")
    return str(done.stdout)


def configured(folder: Path, *options: str) -> str:
    """Build with CMake; return what it says about compiler, threads and kernels."""
    said = run(
        "cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "--log-level=STATUS",
        "-DCMAKE_BUILD_TYPE=Release", "-DFASTMLP_WARNINGS_AS_ERRORS=ON", *options,
    )  # fmt: skip
    run("cmake", "--build", folder)
    return next(line for line in said.splitlines() if line.startswith("-- fastmlp:"))[12:]


def module(work: Path, python: object, *options: str) -> Path:
    """Build the module for an interpreter; return the folder of a package that has it."""
    cmakedir = run(sys.executable, "-m", "pybind11", "--cmakedir").strip()
    options = (f"-DPython_EXECUTABLE={python}", f"-Dpybind11_DIR={cmakedir}", *options)
    print(configured(work / "build", *options), flush=True)
    ignored = shutil.ignore_patterns("_core*.so", "__pycache__")
    shutil.copytree(ROOT / "python" / "fastmlp", work / "python" / "fastmlp", ignore=ignored)
    run("cmake", "--install", work / "build", "--prefix", work / "python")
    return work / "python"


def tested(python: object, paths: list[Path], isas: list[str], tests: list[str]) -> None:
    """Run tests by the first instruction set, and compare bits by all."""
    environ = environment(paths)
    for isa in isas:
        environ |= {"FASTMLP_ISA": isa, "VECTOR_BYTES": str(VECTOR_BYTES.get(isa, 16))}
        print(run(python, "-m", "support.golden", "compare", env=environ), end="", flush=True)
    environ["FASTMLP_ISA"] = isas[0]
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *BIT_TESTS]
    print(run(*pytest, env=environ).splitlines()[-1], flush=True)


def clang(work: Path) -> None:
    """Build by Clang for this system."""
    paths = [module(work, sys.executable, "-DCMAKE_CXX_COMPILER=clang++")]
    code = "from fastmlp import _core; print(*_core.isas())"
    isas = run(sys.executable, "-c", code, env={**os.environ, "PYTHONPATH": str(paths[0])}).split()
    tested(sys.executable, paths, isas, KERNEL_TESTS)


def arm64(work: Path) -> None:
    """Build for Linux on 64-bit Arm, whose Python and libraries come from Debian, and emulate."""
    system = work / "system"
    arm_packages(work / "apt", system, "python3", "libpython3-dev", "libstdc++6", "libgomp1")
    # The interpreter of the system, as if it were one of this machine.
    python = work / "python3"
    python.write_text(
        f"#!/bin/sh\nPYTHONHOME={system}/usr exec qemu-aarch64 -0 {python} -L {system} "
        f'-cpu max,sve-default-vector-length=${{VECTOR_BYTES:-16}} {system}/usr/bin/python3 "$@"\n'
    )
    python.chmod(0o755)
    version = run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    tags = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (28, 17)]
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--target", work / "site", *tags,
        f"--python-version={version}", "--only-binary=:all:", *PACKAGES,
    )  # fmt: skip
    headers = f"-DCMAKE_CXX_FLAGS=-idirafter {system}/usr/include"
    built = module(work, python, "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++", headers)
    paths = [built, work / "site"]
    tested(python, paths, ["neon", "generic", *VECTOR_BYTES], EMULATED_TESTS)
    wanted = run(sys.executable, *MNIST, env=environment([]))
    found = run(python, *MNIST, env=environment(paths) | {"FASTMLP_ISA": "neon"})
    if found != wanted:
        raise SystemExit(f"neon: {found}; this system: {wanted}")
    print("neon, the bits of this system:", found, end="", flush=True)


def environment(paths: list[Path]) -> dict[str, str]:
    """Return the variables of a process that imports from these folders, and the tests' helpers."""
    folders = os.pathsep.join(map(str, [*paths, ROOT / "tests"]))
    own = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": folders}
    return {**os.environ, **own}


def arm_packages(apt: Path, system: Path, *names: str) -> None:
    """Unpack Debian's packages for 64-bit Arm, and what they depend on, into a folder."""
    for folder in (apt / "lists" / "partial", apt / "archives" / "partial", system):
        folder.mkdir(parents=True)
    (apt / "status").touch()
    options = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State": apt,
        "Dir::State::status": apt / "status", "Dir::Cache": apt, "Debug::NoLocking": 1,
        "APT::Install-Recommends": "false", "APT::Sandbox::User": "root",
    }  # fmt: skip
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    run("apt-get", *settings, "update")
    run("apt-get", *settings, "install", "--download-only", "--yes", *names)
    for package in (apt / "archives").glob("*.deb"):
        run("dpkg-deb", "-x", package, system)


def by_zig(target: str, *options: str, runs: bool = False) -> Callable[[Path], None]:
    """Return what builds the program for a target, and runs it where this system can."""

    def build(work: Path) -> None:
        compiler = work / "c++"
        compiler.write_text(f'#!/bin/sh\nexec {sys.executable} -m ziglang c++ "$@"\n')
        compiler.chmod(0o755)
        said = configured(
            work / "build", "-DFASTMLP_PYTHON=OFF", "-DFASTMLP_THREADING=threads",
            f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS=-target {target}", *options,
        )  # fmt: skip
        print(f"{target}: {said}: built", flush=True)
        if runs:
            found = run(work / "build" / "trainings", "digests")
            if found != DIGESTS.read_text(encoding="utf-8"):
                raise SystemExit(f"{target}: other bits than {DIGESTS.name}\n{found}")
            print(f"{len(found.splitlines())} trainings have the recorded bits", flush=True)

    return build


PLATFORMS: dict[str, Callable[[Path], None]] = {
    "clang": clang,
    "arm64": arm64,
    "musl": by_zig("x86_64-linux-musl", runs=True),
    "windows": by_zig("x86_64-windows-gnu", "-DCMAKE_SYSTEM_NAME=Windows"),
    "macos": by_zig("aarch64-macos"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("platforms", nargs="+", choices=PLATFORMS)
    for name in parser.parse_args().platforms:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="fastmlp-") as folder:
            PLATFORMS[name](Path(folder))


if __name__ == "__main__":
    main()
