"""Builds cpp/tests/trainings.cpp with ThreadSanitizer, runs it, and proves that it finds races.

    python tests/support/race_driver.py  # every configuration, then each without each barrier
    python tests/support/race_driver.py --share 3 --seed 1  # the latter for a third, drawn
    python tests/support/race_driver.py --build-dir build/race --no-proof

The core is built on plain threads, which the sanitizer understands, and with the check that passes
touch only what they declare. For the proof each configuration runs without each of its barriers:
the sanitizer must report a race every time. Needs CMake on the path and uses Ninja if it is there.
Exit status 1 when a race is found, or a removed barrier goes unnoticed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Verdict", "build", "check"]

ROOT = Path(__file__).resolve().parents[2]
REPORTED = 66  # exit status of a program that the sanitizer has reported
NO_SUCH_BARRIER = 3


@dataclass
class Verdict:
    """Numbers of configurations and barriers that were run, and the problems found."""

    configurations: int = 0
    dropped: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.configurations} configurations under ThreadSanitizer; each of {self.dropped} "
            f"barriers removed in turn; {len(self.problems)} problems"
        )


def build(folder: Path) -> Path:
    """Build the driver and return its path."""
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = {
        "CMAKE_BUILD_TYPE": "RelWithDebInfo",
        "FASTMLP_PYTHON": "OFF",
        "FASTMLP_CHECKS": "ON",
        "FASTMLP_THREADING": "threads",
        "FASTMLP_SANITIZE": "thread",
    }
    definitions = [f"-D{name}={value}" for name, value in options.items()]
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *definitions]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return folder / "trainings"


def _run(driver: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TSAN_OPTIONS": f"halt_on_error=1 exitcode={REPORTED}"}
    return subprocess.run(
        [str(driver), *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


def _without_barriers(driver: Path, name: str, kind: str) -> tuple[int, list[str]]:
    """Return the number of barriers of a kind of step, and messages about unreported races."""
    number, unreported = 0, []
    while (code := _run(driver, name, kind, str(number)).returncode) != NO_SUCH_BARRIER:
        if code != REPORTED:
            unreported.append(f"{name}, {kind} step, without barrier {number}: exit status {code}")
        number += 1
    return number, unreported


def check(driver: Path, *, proves: bool = True, share: int = 1, seed: int = 0) -> Verdict:
    """Run every configuration and, with `proves`, each of them without each of its barriers.

    With a `share` of n, one of n configurations is drawn for the latter.
    """
    verdict = Verdict()
    done = _run(driver)
    if done.returncode != 0:
        verdict.problems.append(f"exit status {done.returncode}\n{done.stderr[:4000]}")
    names = [line.split() for line in done.stdout.splitlines()]
    verdict.problems += [" ".join(line) for line in names if line[-1] == "diverged"]
    verdict.configurations = len(names)
    if not proves or verdict.problems:
        return verdict
    kinds = [(name, kind) for name, *rest in names for kind in rest]
    kinds = random.Random(seed).sample(kinds, -(-len(kinds) // share))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for dropped, unreported in pool.map(lambda job: _without_barriers(driver, *job), kinds):
            verdict.dropped += dropped
            verdict.problems += unreported
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=None)
    parser.add_argument("--no-proof", action="store_true")
    parser.add_argument("--share", type=int, default=1, help="prove one of so many configurations")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        driver = build(chosen.build_dir or Path(folder))
        proves = not chosen.no_proof
        verdict = check(driver, proves=proves, share=chosen.share, seed=chosen.seed)
    print(*verdict.problems, sep="\n")
    print(verdict)
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
