"""A new activation, loss and optimizer are three places each, in a copy of the sources.

The copy is built once, for one instruction set and without optimization. Then each of the three
trains, the activation is exported, and help, settings and documentation name all of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from support.paths import ROOT

MOST_PLACES = 3


class Place(NamedTuple):
    """Text that goes into a file in front of a line that is there once."""

    file: str
    before: str
    text: str


TABLE = "cpp/kernels/kernel_table.hpp"
ADDITIONS = {
    "activation": [
        Place(TABLE, "  entry(silu, Silu) ", "  entry(softsign, Softsign) \\\n"),
        Place(
            "cpp/kernels/activation.inl.hpp",
            "/// log(1 + e^z): C. Dugas",
            """
            struct Softsign {
              static constexpr bool kDerivativeFromOutput = false;
              template <typename T>
              static Vec<T> value(Vec<T> z, T) {
                return z / (splat<T>(1) + (z < 0 ? -z : z));
              }
              template <typename T>
              static Vec<T> derivative(Vec<T> z, T) {
                const Vec<T> divisor = splat<T>(1) + (z < 0 ? -z : z);
                return splat<T>(1) / (divisor * divisor);
              }
            };
            """,
        ),
        Place(
            "python/fastmlp/activations.py",
            '    "softplus": Form(',
            """
                "softsign": Form(
                    summary="z / (1 + |z|)",
                    c="z / (1.0 + fabs(z))",
                    onnx=lambda graph, z, _: graph.add("Softsign", z),
                ),
            """,
        ),
    ],
    "loss": [
        Place(
            TABLE, "  entry(huber, values, HuberLoss) ", "  entry(log_cosh, values, LogCosh) \\\n"
        ),
        Place(
            "cpp/kernels/elementwise_loss.inl.hpp",
            "/// P. Huber,",
            """
            struct LogCosh : ElementwiseLoss<LogCosh> {
              template <typename T>
              static void apply(Vec<T> o, Vec<T> t, Vec<T>, Vec<T>& loss, Vec<T>& derivative) {
                const Vec<T> error = o - t;
                const Vec<T> size = error < 0 ? -error : error;
                const Vec<T> log2 = splat<T>(static_cast<T>(0.69314718055994530942));
                loss = size - log2 + log1p<T>(exp<T>(splat<T>(-2) * size));
                derivative = tanh<T>(error);
              }
            };
            """,
        ),
        Place(
            "python/fastmlp/losses.py",
            "UserFunction: ",
            """
            @dataclass(frozen=True, kw_only=True)
            class LogCosh(_Elementwise):
                name: str = field(default="log_cosh", init=False)
            """,
        ),
    ],
    "optimizer": [
        Place(TABLE, "  entry(adagrad, Adagrad) ", "  entry(sign_descent, SignDescent) \\\n"),
        Place(
            "cpp/kernels/optimizer.inl.hpp",
            "struct Momentum {",
            """
            struct SignDescent {
              static constexpr int kSlots = 0;
              static constexpr bool kInRegisters = true;
              template <typename T>
              static void step(Vec<T>& w, Vec<T>*, Vec<T> g, const UpdateSettings<T>& s) {
                const Vec<T> rate = splat<T>(s.learning_rate);
                w -= g > 0 ? rate : g < 0 ? -rate : Vec<T>{};
              }
            };
            """,
        ),
        Place(
            "python/fastmlp/optimizers.py",
            "OPTIMIZERS: ",
            """
            @dataclass(frozen=True)
            class SignDescent(Optimizer):
                learning_rate: Rate = 0.01

                RULE: ClassVar[str] = "sign_descent"
            """,
        ),
    ],
}

USE = """
import json

import numpy as np

import fastmlp
from fastmlp import _core, activations, export, losses, optimizers
from fastmlp.experiment.schema import Config

x = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
y = np.tanh(x[:, :1] - x[:, 1:2])
found = {"core": {family: list(names) for family, names in _core.kernels.names.items()}}
model = fastmlp.MLP([3, 8, 1], activation="softsign", loss="log_cosh")
history = model.fit(x, y, epochs=20, batch_size=16, optimizer="signdescent", verbose=0)
found["losses"] = history.loss
error = (model.forward(x) - y).astype(np.float64)
found["loss"] = model.evaluate(x, y)["loss"], float(np.mean(np.log(np.cosh(error))))

p = {name.removeprefix("layers."): array for name, array in model.parameters().items()}
z = x @ p["0.weights"] + p["0.biases"]
expected = (z / (1 + np.abs(z))) @ p["1.weights"] + p["1.biases"]
found["outputs"] = float(np.abs(model.forward(x) - expected).max())

one_step = fastmlp.MLP([3, 1], loss=losses.LogCosh())
before = one_step.parameters()
one_step.fit(x, y, epochs=1, batch_size=64, optimizer=optimizers.SignDescent(lr=0.25), verbose=0)
steps = [one_step.parameters()[name] - before[name] for name in before]
found["steps"] = sorted({round(abs(float(step)), 5) for array in steps for step in array.ravel()})

export.to_c(model, "model.h")
found["c"] = "z / (1.0f + fabsf(z))" in open("model.h").read()
try:
    import onnxruntime
except ModuleNotFoundError:
    found["onnx"] = True
else:
    export.to_onnx(model, "model.onnx")
    found["onnx"] = export.check(model, "model.onnx")["passed"]

network, optimizer = Config().network, Config().optimizer
text = {
    "activation": type(network).model_fields["activation"].description,
    "loss": type(network).model_fields["loss"].description,
    "optimizer": type(optimizer).model_fields["name"].description,
}
found["settings"] = text
found["documentation"] = activations.Activation.__doc__
print(json.dumps(found))
"""


def tools_missing() -> str | None:
    absent = [tool for tool in ("cmake", "g++") if shutil.which(tool, path=path()) is None]
    asked = [sys.executable, "-c", "import pybind11"]
    absent += ["pybind11"] if subprocess.run(asked, capture_output=True).returncode else []
    absent += [] if (ROOT / "CMakeLists.txt").is_file() else ["the sources"]
    return f"needs {', '.join(absent)}" if absent else None


def path() -> str:
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def run(*command: object, cwd: Path, **variables: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTMLP_")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean | {"PATH": path()} | variables,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def copied_sources(tree: Path) -> None:
    for part in ("cpp", "python"):
        ignored = shutil.ignore_patterns("_core*.so", "__pycache__")
        shutil.copytree(ROOT / part, tree / part, ignore=ignored)
    # What matters here is not the speed of the result but that of its build.
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "-O3" in text
    (tree / "CMakeLists.txt").write_text(text.replace("-O3", "-O0"), encoding="utf-8")


def apply(tree: Path, place: Place) -> None:
    file = tree / place.file
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith(place.before)]
    assert len(lines) == 1, f"{place.before!r} must begin one line of {place.file}"
    added = textwrap.dedent(place.text).strip("\n") if "\n" in place.text.strip() else place.text
    if place.before.startswith("    ") and added is not place.text:
        added = textwrap.indent(added, "    ")
    gap = "\n\n\n" if place.before.strip() == place.before and place.file.endswith(".py") else "\n"
    end = "" if added is place.text else gap
    file.write_text(text.replace(lines[0], added + end + lines[0]), encoding="utf-8")


def built(tree: Path) -> None:
    cmakedir = run(sys.executable, "-m", "pybind11", "--cmakedir", cwd=tree).strip()
    run(
        "cmake", "-S", ".", "-B", "build", "-DFASTMLP_FOR_X86=OFF", "-DFASTMLP_FOR_ARM=OFF",
        *(["-G", "Ninja"] if shutil.which("ninja", path=path()) else []),
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={cmakedir}",
        *(["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache", path=path()) else []),
        cwd=tree,
    )  # fmt: skip
    # Paths in a folder of its own would keep ccache from what an earlier run has built.
    cache = {"CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    run("cmake", "--build", "build", "--parallel", cwd=tree, **cache)
    (extension,) = (tree / "build").glob("_core*.so")
    shutil.copy2(extension, tree / "python" / "fastmlp")


@pytest.mark.parametrize("family", ADDITIONS)
def test_an_addition_has_few_places(family):
    places = ADDITIONS[family]
    assert len(places) == len({place.file for place in places}) == MOST_PLACES


@pytest.mark.skipif(tools_missing() is not None, reason=str(tools_missing()))
def test_one_addition_to_each_family(tmp_path):
    copied_sources(tmp_path)
    for places in ADDITIONS.values():
        for place in places:
            apply(tmp_path, place)
    built(tmp_path)
    source = {"PYTHONPATH": str(tmp_path / "python")}
    found = json.loads(run(sys.executable, "-c", USE, cwd=tmp_path, **source))

    assert "softsign" in found["core"]["activation"]
    assert "log_cosh" in found["core"]["loss"]
    assert "sign_descent" in found["core"]["optimizer"]
    assert found["losses"][-1] < found["losses"][0] / 2
    assert found["loss"][0] == pytest.approx(found["loss"][1], rel=1e-4)
    assert found["outputs"] < 1e-5
    assert found["steps"] == [0.25]
    assert found["c"]
    assert found["onnx"]
    names = {"activation": "softsign", "loss": "log_cosh", "optimizer": "signdescent"}
    for family, name in names.items():
        assert re.search(rf"\b{name}\b", found["settings"][family]), family
    assert "``softsign``: z / (1 + |z|)" in found["documentation"]

    page = run(sys.executable, "-m", "fastmlp.cli", "train", "--help-all", cwd=tmp_path, **source)
    assert all(re.search(rf"\b{name}\b", page) for name in names.values())
    errors = run(
        sys.executable, "-c",
        "import fastmlp\n"
        "try:\n    fastmlp.MLP([2, 2, 2], activation='sofsign')\n"
        "except ValueError as error:\n    print(error)",
        cwd=tmp_path, **source,
    )  # fmt: skip
    assert "did you mean 'softsign'?" in errors
