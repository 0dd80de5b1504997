"""Plants known bugs, one at a time, and checks that the suite turns red for each.

Run by hand before a release: ``PYTHONPATH=tests python -m mutations``, or with parts of the names
of some, and with ``--tests`` by the tests of their part alone, named below tests/. The bugs are in
planted_*.py beside this file. Works on copies of the sources; needs CMake, Ninja and pybind11 in
the environment. Exit status 1 when a planted bug survives or no longer applies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutations.planted_bfloat16 import BFLOAT16_MUTATIONS
from mutations.planted_borders import BORDER_MUTATIONS
from mutations.planted_bugs import MUTATIONS
from mutations.planted_embeddings import EMBEDDING_MUTATIONS
from mutations.planted_input_bugs import INPUT_MUTATIONS
from mutations.planted_judgement import JUDGEMENT_MUTATIONS
from mutations.planted_members import MEMBER_MUTATIONS
from mutations.planted_mutation import Mutation
from mutations.planted_passes import PASS_MUTATIONS
from mutations.planted_platforms import PLATFORM_MUTATIONS
from mutations.planted_play import PLAY_MUTATIONS
from mutations.planted_residual import RESIDUAL_MUTATIONS
from mutations.planted_shards import SHARD_MUTATIONS
from mutations.planted_streams import STREAM_MUTATIONS
from mutations.planted_tables import TABLE_MUTATIONS

ROOT = Path(__file__).resolve().parents[2]
PLANTED = [
    *MUTATIONS,
    *EMBEDDING_MUTATIONS,
    *MEMBER_MUTATIONS,
    *INPUT_MUTATIONS,
    *BORDER_MUTATIONS,
    *PASS_MUTATIONS,
    *PLATFORM_MUTATIONS,
    *SHARD_MUTATIONS,
    *RESIDUAL_MUTATIONS,
    *TABLE_MUTATIONS,
    *JUDGEMENT_MUTATIONS,
    *STREAM_MUTATIONS,
    *BFLOAT16_MUTATIONS,
    *PLAY_MUTATIONS,
]
TESTS = [
    "core/test_gemm.py",
    "core/test_bfloat16.py",
    "network/test_subnormals.py",
    "network/test_plan_trials.py",
    "core/test_math.py",
    "core/test_activations.py",
    "core/test_embeddings.py",
    "core/test_losses.py",
    "core/test_digits.py",
    "core/test_row_sums.py",
    "core/test_optimizers.py",
    "core/test_random.py",
    "core/test_fma.py",
    "lectures/test_known_answers.py",
    "training/test_training.py",
    "training/test_streams.py",
    "training/test_stream_memory.py",
    "training/test_adaptive.py",
    "training/test_shards.py",
    "process/test_mpi.py",
    "process/test_process.py",
    "process/test_threads.py",
    "network/test_defaults.py",
    "diagnosis/test_diagnosis.py",
    "cli/test_findings.py",
    "network/test_sparse_input.py",
    "network/test_reproducible.py",
    "network/test_memory.py",
    "network/test_own_batches.py",
    "network/test_gradients.py",
    "network/test_residual_networks.py",
    "training/test_regularization.py",
    "network/test_equal_bits.py",
    "network/test_transfer.py",
    "estimators/test_estimators.py",
    "network/test_random_networks.py",
    "network/test_lockstep.py",
    "network/test_tables.py",
    "network/test_table_oracles.py",
    "network/test_fitted_start.py",
    "network/test_batches.py",
    "network/test_kept_arguments.py",
    "network/test_values_that_fit.py",
    "network/test_array_layouts.py",
    "network/test_sparse_samples.py",
    "files/test_claimed_sizes.py",
    "core/test_core_arguments.py",
    "core/test_changing_arrays.py",
    "process/test_thread_creation.py",
    "process/test_interpreter_end.py",
    "experiment/test_resume.py",
    "training/test_continuation.py",
    "training/test_continuation_files.py",
    "estimators/test_continuation.py",
    "process/test_interrupts.py",
    "data/test_row_by_row.py",
    "data/test_column_types.py",
    "data/test_column_options.py",
    "data/test_wrong_before.py",
    "data/test_preprocessing_learned.py",
    "data/test_text_tables.py",
    "data/test_cells.py",
    "experiment/test_experiment.py",
    "experiment/test_pipeline.py",
    "export/test_tables.py",
    "service/test_answers.py",
    "play/test_same_bits.py",
    "play/test_pictures.py",
    "play/test_sessions.py",
    "play/test_hostile.py",
    "play/test_digits.py",
]


def run(
    command: list[str], cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def build(tree: Path, environment: dict[str, str]) -> bool:
    cmakedir = run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], tree, environment
    ).stdout.strip()
    configure = [
        "cmake",
        "-S",
        ".",
        "-B",
        "build/mutant",
        "-G",
        "Ninja",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={cmakedir}",
    ]
    if run(configure, tree, environment).returncode != 0:
        return False
    return run(["cmake", "--build", "build/mutant"], tree, environment).returncode == 0


def suite_fails(tree: Path, environment: dict[str, str], names: Sequence[str]) -> tuple[bool, str]:
    for extension in (tree / "build/mutant").glob("_core*.so"):
        shutil.copy2(extension, tree / "python/fastmlp")
    tests = [f"tests/{name}" for name in names if (tree / "tests" / name).exists()]
    result = run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        tree,
        environment,
    )
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return result.returncode == 1, failed[0] if failed else result.stdout[-200:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutations", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of the names of bugs; all by default")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="the tests to run")
    arguments = parser.parse_args()
    wanted = arguments.names
    chosen = [m for m in PLANTED if not wanted or any(part in m.name for part in wanted)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in ("cpp", "python", "tests", "CMakeLists.txt", "pyproject.toml"):
            source = ROOT / part
            ignore = shutil.ignore_patterns("__pycache__", "*.so")
            if source.is_dir():
                shutil.copytree(source, tree / part, ignore=ignore)
            else:
                shutil.copy2(source, tree / part)
        environment = {**os.environ, "PYTHONPATH": str(tree / "python")}
        for mutation in [Mutation("none (must stay green)", "CMakeLists.txt", "", ""), *chosen]:
            target = tree / mutation.file
            original = target.read_text(encoding="utf-8")
            is_planted = bool(mutation.before)
            applies = original.count(mutation.before) >= 1
            if is_planted:
                target.write_text(
                    original.replace(mutation.before, mutation.after), encoding="utf-8"
                )
            red, first = (
                suite_fails(tree, environment, arguments.tests)
                if build(tree, environment)
                else (True, "does not build")
            )
            good = applies and red == is_planted and first != "does not build"
            survivors += not good
            print(
                f"{'ok  ' if good else 'BAD '} {mutation.name}: {first if red else 'green'}",
                flush=True,
            )
            target.write_text(original, encoding="utf-8")
    print(f"{len(chosen)} planted bugs, {survivors} problems")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
