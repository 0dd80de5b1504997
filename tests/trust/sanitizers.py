"""Builds with sanitizers: memory and undefined behavior in suite and random networks, races.

The address and undefined builds run the extension; races are looked for by a driver over the core
alone (race_driver.py), on plain threads, which ThreadSanitizer understands.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from support import random_networks
from trust.bits import NO_BARRIERS
from trust.builds import BUILDS, missing_tools, patched_sources, sanitized_package
from trust.experiment import Experiment, Patch, Section, require
from trust.worker import TESTS, environment

SUITE = (
    "network/test_reproducible.py", "network/test_equal_bits.py", "training/test_training.py",
    "core/test_losses.py", "core/test_optimizers.py", "core/test_activations.py",
    "network/test_gradients.py", "network/test_sparse_input.py", "training/test_refusals.py",
    "network/test_validation.py", "files/test_model_file.py", "data/test_arrays.py",
    "training/test_regularization.py", "training/test_averaging.py", "network/test_transfer.py",
    "experiment/test_resume.py", "support/test_tolerance.py", "core/test_gemm.py",
)  # fmt: skip


def suite_case(case: int) -> int:
    """One file of the suite on the build with sanitizers; the number of its tests."""
    path = TESTS / SUITE[case]
    if not path.exists():
        return 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=TESTS.parent,
        env={**environment(), "LD_PRELOAD": os.environ["LD_PRELOAD"]},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    reports = ("ERROR: AddressSanitizer", "runtime error:")
    at = next((said.find(text) for text in reports if text in said), -1)
    require(at < 0, f"{path.name}: {said[at : at + 900]}")
    require(done.returncode == 0, f"{path.name}: exit code {done.returncode}: {said[-900:]}")
    return int(next(word for word in _last_line(done.stdout) if word.isdigit()))


def _last_line(text: str) -> list[str]:
    return text.strip().splitlines()[-1].split()


def networks_case(seed: int) -> int:
    """A random network under the sanitizers, in two ways."""
    found = random_networks.differences(8 * (seed // 8) + 1, 2)
    require(not found, "; ".join(found)[:1500])
    return 2


def no_driver() -> str | None:
    if not (TESTS / "support" / "race_driver.py").exists():
        return "needs tests/support/race_driver.py"
    return missing_tools()


def race_case(case: int) -> int:
    """Every configuration of the driver; then each without each of its barriers, all reported."""
    from support import race_driver

    folder = BUILDS / ("race-planted" if TESTS.parent != race_driver.ROOT else "race")
    os.environ["PATH"] = os.pathsep.join(
        (os.path.dirname(sys.executable), os.environ.get("PATH", ""))
    )
    verdict = race_driver.check(race_driver.build(folder))
    require(not verdict.problems, f"{len(verdict.problems)} problems: {verdict.problems[:2]}")
    return int(verdict.configurations + verdict.dropped)


def plant_no_barriers() -> None:
    """Build the driver from sources without barriers between threads."""
    from support import race_driver

    race_driver.ROOT = patched_sources(NO_BARRIERS)


def with_sanitizers(patch: Patch | None) -> Mapping[str, str]:
    return sanitized_package(patch)


_SHUFFLE = "const RandomStream random(seed, RandomPurpose::shuffle, epoch);"
# One element behind the end of an array.
BEYOND_THE_END = Patch(
    (
        (
            "cpp/network/initializer.cpp",
            _SHUFFLE,
            "int* four = new int[4]; volatile int at = 4; volatile int read = four[at]; "
            "(void)read; delete[] four; " + _SHUFFLE,
        ),
    )
)

SECTION = Section(
    "sanitizers",
    "Sanitizers",
    6.0,
    False,
    (
        Experiment(
            name="sanitizers.suite",
            promise="No access beyond memory and no undefined behavior (AddressSanitizer, "
            "UndefinedBehaviorSanitizer) in the suite's tests of the core.",
            counted="tests",
            case="trust.sanitizers:suite_case",
            planted="an element behind an array is read",
            plant=BEYOND_THE_END,
            size=len(SUITE),
            seconds=900.0,
            missing=missing_tools,
            prepare=with_sanitizers,
            share=2.0,
        ),
        Experiment(
            name="sanitizers.networks",
            promise="The same in random networks, on any number of threads and by any plan.",
            counted="computations",
            case="trust.sanitizers:networks_case",
            planted="an element behind an array is read",
            plant=BEYOND_THE_END,
            seconds=300.0,
            missing=missing_tools,
            prepare=with_sanitizers,
        ),
        Experiment(
            name="sanitizers.race",
            promise="No races (ThreadSanitizer), and each barrier is needed: a run without it is "
            "reported.",
            counted="runs of the driver",
            case="trust.sanitizers:race_case",
            planted="threads do not wait for each other",
            plant="trust.sanitizers:plant_no_barriers",
            size=1,
            seconds=900.0,
            missing=no_driver,
            jobs=1,
        ),
    ),
)
