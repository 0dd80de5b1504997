"""Plants known bugs, one at a time, and checks that the suite turns red for each.

Run by hand before a release: ``python tests/mutations.py``, or with parts of the names of some. Works on copies of the sources; needs CMake, Ninja and
pybind11 in the environment. Exit status 1 when a planted bug survives or no longer applies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = [
    "test_gemm.py",
    "test_math.py",
    "test_activations.py",
    "test_losses.py",
    "test_optimizers.py",
    "test_random.py",
    "test_known_answers.py",
    "test_training.py",
    "test_adaptive.py",
    "test_sparse_input.py",
    "test_reproducible.py",
    "test_memory.py",
]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str


MUTATIONS = [
    Mutation(
        "last step of the depth dropped",
        "cpp/kernels/gemm.inl.hpp",
        "for (std::int64_t k = 0; k < depth; ++k, a += kDepthStep",
        "for (std::int64_t k = 0; k < depth - (depth % 7 == 1); ++k, a += kDepthStep",
    ),
    Mutation(
        "depth blocks overwrite instead of accumulating",
        "cpp/kernels/gemm.inl.hpp",
        "acc[i][j] = block.partial != nullptr ? load",
        "acc[i][j] = false ? load",
    ),
    Mutation(
        "edge tile starts at the wrong row",
        "cpp/kernels/gemm.inl.hpp",
        "row += height + tall;",
        "row += height;",
    ),
    Mutation(
        "missing zero padding of the transpose",
        "cpp/kernels/gemm.inl.hpp",
        "i0 + i < rows ? load",
        "i0 + i < kPanel<T> ? load",
    ),
    Mutation(
        "bias added twice",
        "cpp/kernels/activation.inl.hpp",
        "load(lanes) + load(bias + j * kLanes<T>)",
        "load(lanes) + load(bias + j * kLanes<T>) * splat<T>(2)",
    ),
    Mutation(
        "derivative of the logistic function",
        "cpp/kernels/activation.inl.hpp",
        "gradient * (output * (splat<T>(1) - output))",
        "gradient * (output * (splat<T>(1) + output))",
    ),
    Mutation(
        "derivative of tanh",
        "cpp/kernels/activation.inl.hpp",
        "fma(-output, output, splat<T>(1))",
        "splat<T>(1) - output",
    ),
    Mutation(
        "label off by one",
        "cpp/kernels/loss.inl.hpp",
        "gradient[label_at] -= call.scale",
        "gradient[label_at == 0 ? 1 : label_at - 1] -= call.scale",
    ),
    Mutation(
        "softmax without its maximum",
        "cpp/kernels/loss.inl.hpp",
        "exp<T>(part - splat<T>(maximum))",
        "exp<T>(part - splat<T>(maximum) * splat<T>(0))",
    ),
    Mutation(
        "missing division by the batch",
        "cpp/network/trainer.cpp",
        "T{1} / static_cast<T>(batch.size)",
        "T{1}",
    ),
    Mutation(
        "ragged last batch divided by the full batch size",
        "cpp/network/trainer.cpp",
        "T{1} / static_cast<T>(batch.size)",
        "T{1} / static_cast<T>(trainer_.batch_size_)",
    ),
    Mutation(
        "sign of the momentum",
        "cpp/kernels/optimizer.inl.hpp",
        "slot[0] = fma(splat<T>(s.momentum), slot[0], splat<T>(-s.learning_rate) * g);",
        "slot[0] = fma(splat<T>(-s.momentum), slot[0], splat<T>(-s.learning_rate) * g);",
    ),
    Mutation(
        "Nesterov with the old velocity",
        "cpp/kernels/optimizer.inl.hpp",
        "w += fma(splat<T>(s.momentum), slot[0], descent);",
        "w += slot[0];",
    ),
    Mutation(
        "L2 on the biases", "cpp/ops/dense.cpp", "bias_settings.l1 = bias_settings.l2 = 0;", ""
    ),
    Mutation(
        "backward-data leaves out the activation",
        "cpp/ops/dense.cpp",
        "kernels.activate_backward[static_cast<int>(activation)](samples,",
        "kernels.activate_backward[0](samples,",
    ),
    Mutation(
        "first bias gradient only",
        "cpp/ops/dense.cpp",
        "if (in_panel > 0) continue;",
        "if (block > 0) continue;",
    ),
    Mutation(
        "shuffle ignores the epoch",
        "cpp/network/initializer.cpp",
        "RandomPurpose::shuffle, epoch)",
        "RandomPurpose::shuffle, 0 * epoch)",
    ),
    Mutation(
        "input scale applied twice",
        "cpp/network/input.cpp",
        "static_cast<T>(spec.input_scale)",
        "static_cast<T>(spec.input_scale * spec.input_scale)",
    ),
    Mutation(
        "targets not shuffled with the samples",
        "cpp/network/trainer.cpp",
        "stride(), targets, index,",
        "stride(), targets, nullptr,",
    ),
    Mutation(
        "Adam without the correction of its mean",
        "cpp/network/step_settings.cpp",
        "step_size = settings.learning_rate / (1 - beta1_product_);",
        "step_size = settings.learning_rate;",
    ),
    Mutation(
        "steps counted anew in each epoch",
        "cpp/network/trainer.cpp",
        "trainer_.moments_ = moments;",
        "",
    ),
    Mutation(
        "decay on the biases",
        "cpp/ops/dense.cpp",
        "bias_settings.shrink = 1;",
        "",
    ),
    Mutation(
        "columns are taken from the wrong features",
        "cpp/kernels/gather.inl.hpp",
        "x[columns[k + j]]",
        "x[k + j]",
    ),
    Mutation(
        "weights of columns left out stand still",
        "cpp/network/trainer.cpp",
        "if (batch.idle == nullptr) return;",
        "return;",
    ),
    Mutation(
        "a member leaves out columns that are live in the rows of another",
        "cpp/network/input.cpp",
        "for (const View& view : views_) seen |= view.marks[k];",
        "seen |= mine.marks[k];",
    ),
    Mutation(
        "blocks of a group counted wrong",
        "cpp/ops/dense.cpp",
        "in_panel = (block - first * x.count()) / group",
        "in_panel = (block - first * x.count()) % x.count()",
    ),
    Mutation(
        "partial sums of backward-data start anew",
        "cpp/ops/dense.cpp",
        ".c = scratch,\n                       .accumulate = depth.begin > 0};",
        ".c = scratch,\n                       .accumulate = false};",
    ),
    Mutation(
        "no barrier before a layer split by outputs",
        "cpp/network/plan.hpp",
        "return splits[layer] == Split::outputs ||",
        "return false &&",
    ),
    Mutation(
        "an allocation in every step",
        "cpp/network/trainer.cpp",
        "    const std::int64_t size = batch_size(first);\n",
        "    const std::int64_t size = batch_size(first);\n    const std::vector<char> spare(size);\n",
    ),
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


def suite_fails(tree: Path, environment: dict[str, str]) -> tuple[bool, str]:
    for extension in (tree / "build/mutant").glob("_core*.so"):
        shutil.copy2(extension, tree / "python/fastmlp")
    tests = [f"tests/{name}" for name in TESTS if (tree / "tests" / name).exists()]
    result = run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        tree,
        environment,
    )
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return result.returncode == 1, failed[0] if failed else result.stdout[-200:]


def main() -> int:
    wanted = sys.argv[1:]
    chosen = [m for m in MUTATIONS if not wanted or any(part in m.name for part in wanted)]
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
            planted = bool(mutation.before)
            applies = original.count(mutation.before) >= 1
            if planted:
                target.write_text(
                    original.replace(mutation.before, mutation.after), encoding="utf-8"
                )
            red, first = (
                suite_fails(tree, environment)
                if build(tree, environment)
                else (True, "does not build")
            )
            good = applies and red == planted and first != "does not build"
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
