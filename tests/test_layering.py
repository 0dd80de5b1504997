"""The rules of ARCHITECTURE.md that a machine can check: who includes whom, what import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.import_graph import circles, import_graph
from support.strategies import ISAS_OF_ARM, ISAS_OF_X86

ROOT = Path(__file__).resolve().parents[1]
CPP = ROOT / "cpp"
PACKAGE = ROOT / "python" / "fastmlp"
# Lowest first; a room includes itself and what stands before it.
ROOMS = ("base", "kernels", "ops", "network", "bindings")
# Of the Python package, lowest first: a module imports its own level and what stands before it,
# for types and inside functions too. A name stands for a module, or for all of a folder.
LEVELS: dict[str, tuple[str, ...]] = {
    "ground": (
        "_addresses", "_argument_names", "_bytes", "_cached_property", "_core", "_files", "_locks",
        "_logarithm", "_method_names", "_moved_modules", "_named", "_scalars", "_synonyms",
        "_system", "_version", "errors", "extras", "validation",
    ),
    "blocks": (
        "activations", "averaging", "expressions", "history", "initializers", "inputs", "losses",
        "metrics", "optimizers", "schedules",
    ),
    "datasets": ("datasets",),
    "data": ("data", "streams"),
    "network": ("network",),
    "files": ("model_file", "stored_model"),
    "training": ("callbacks", "loggers", "notebook", "training"),
    "diagnosis": ("diagnosis",),
    "model": ("environment", "model"),
    "exports": ("export",),
    "estimators": ("estimators",),
    "pictures": ("plot",),
    "experiment": ("experiment",),
    "loading": ("loading",),
    "service": ("service",),
    "report": ("report",),
    "package": ("",),
    "bench": ("bench",),
    "command line": (
        "cli.completion", "cli.errors", "cli.files", "cli.folds", "cli.launch", "cli.options",
        "cli.printing", "cli.progress", "cli.ranks",
        "cli.runs", "cli.screen", "cli.self_test", "cli.settings", "cli.signals", "cli.sources",
        "cli.variables",
    ),
    "commands": ("cli.commands",),
    "program": ("__main__", "cli"),
}  # fmt: skip

pytestmark = pytest.mark.skipif(not CPP.is_dir(), reason="needs a source checkout")

# Programs over the core, which are no part of it, have a room of their own.
SOURCES = sorted(
    p for room in ROOMS for p in (CPP / room).rglob("*") if p.suffix in (".cpp", ".hpp")
)
FOLD_TRAINING = "experiment/fold_training.py"
MODULES = sorted(PACKAGE.rglob("*.py"))
sources = pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CPP)))
modules = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))


def includes(path: Path, quote: str) -> list[str]:
    close = {'"': '"', "<": ">"}[quote]
    pattern = rf"^\s*#\s*include\s*{quote}([^{close}]+){close}"
    return re.findall(pattern, path.read_text(), re.MULTILINE)


def code(path: Path) -> str:
    """The text without comments and string literals."""
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', path.read_text())
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def test_there_is_something_to_check():
    assert len(SOURCES) > 20
    assert len(MODULES) > 5


# ---------------------------------------------------------------- C++


@sources
def test_includes_point_down(path):
    room = path.relative_to(CPP).parts[0]
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for name in includes(path, '"'):
        assert (CPP / name).is_file(), f'write "{name}" as room/file'
        assert name.split("/")[0] in allowed, f"{room} includes {name}"


@pytest.mark.parametrize("isa", sorted({*ISAS_OF_ARM, *ISAS_OF_X86}))
def test_an_isa_object_holds_no_function_that_another_object_could_share(isa):
    """Else the linker keeps one copy, maybe the one with instructions this CPU lacks."""
    todo, seen, system = [CPP / "kernels" / f"isa_{isa}.cpp"], set(), set()
    while todo:
        path = todo.pop()
        seen.add(path)
        system.update(includes(path, "<"))
        todo += [CPP / name for name in includes(path, '"') if CPP / name not in seen]
    intrinsics = {"immintrin.h", "emmintrin.h", "arm_neon.h", "arm_sve.h"}
    assert system <= {"cstdint", "cstddef", "type_traits"} | intrinsics, system
    for path in seen - {CPP / "kernels" / "kernel_table.hpp"}:
        own = re.search(rf"namespace fastmlp::(FASTMLP_ISA|{isa}) \{{", path.read_text())
        assert own or path.name.startswith("isa_"), f"{path.name} is not in the ISA's namespace"
    assert "inline" not in code(CPP / "kernels" / "kernel_table.hpp")


@sources
def test_openmp_stays_in_the_team(path):
    if path.relative_to(CPP).as_posix() != "base/team_openmp.cpp":
        assert not re.search(r"#\s*pragma\s+omp|\bomp_\w+|<omp\.h>", code(path))


@sources
def test_the_core_neither_prints_nor_ends_the_process(path):
    forbidden = r"std::(cout|cerr|clog)|\b(printf|fprintf|puts|abort|exit|_exit|terminate)\s*\("
    assert not re.search(forbidden, code(path))


@sources
def test_kernels_are_serial_and_pure(path):
    if path.name.endswith(".inl.hpp"):
        assert not re.search(r"\b(new|delete|throw|malloc|free|mutable|thread_local)\b", code(path))


def test_compiler_flags_keep_the_bits():
    text = re.sub(r"#[^\n]*", "", (ROOT / "CMakeLists.txt").read_text())
    for flag in ("-ffast-math", "-Ofast", "-march=native", "-mtune=native", "-funsafe-math"):
        assert flag not in text
    assert "-ffp-contract=off" in text
    for match in re.finditer(r"(add_compile_options|CMAKE_CXX_FLAGS\w*)[^\n]*", text):
        assert not re.search(r"-m(avx|fma|arch)", match.group()), "ISA flags belong to ISA objects"


# ---------------------------------------------------------------- Python


def imported(tree: ast.AST, top_level_only: bool = False) -> set[str]:
    """Absolute names that a module imports; relative ones start with a dot."""
    names = set()
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
            names.update("." * node.level + alias.name for alias in node.names if not node.module)
    return names


@modules
def test_python_imports_point_down(path):
    tree = ast.parse(path.read_text())
    inside_cli = path.relative_to(PACKAGE).parts[0] in ("cli", "__main__.py")
    for name in imported(tree):
        if not inside_cli:
            assert not re.match(r"\.*(fastmlp\.)?cli\b", name), f"{path.name} imports {name}"
            assert name.split(".")[0] not in ("click",), f"{path.name} imports {name}"
        # One data source is a pickle: known by its digest and limited to arrays. Processes that
        # train folds send each other pickles by pipes.
        if path.relative_to(PACKAGE).as_posix() not in ("datasets/wheel.py", FOLD_TRAINING):
            assert name.split(".")[0] not in ("pickle", "marshal", "shelve", "joblib"), name
    heavy = {"sklearn", "matplotlib", "safetensors", "onnx", "pandas", "scipy"}
    if path.parent == PACKAGE and path.name != "sklearn.py":
        top = {name.split(".")[0] for name in imported(tree, top_level_only=True)}
        assert not top & heavy


GRAPH = import_graph()
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names}


def level_of(module: str) -> int:
    return list(LEVELS).index(LEVEL_OF[place_of(module)])


def place_of(module: str) -> str:
    """The name in `LEVELS` that a module falls under: its own, or that of a folder above it."""
    place = module.partition(".")[2]
    while place not in LEVEL_OF and "." in place:
        place = place.rpartition(".")[0]
    return place


@pytest.mark.parametrize("module", GRAPH)
def test_no_import_climbs(module):
    higher = [name for name in GRAPH[module] if level_of(name) > level_of(module)]
    assert not higher, f"{module} imports {higher}"


def test_no_command_imports_a_command():
    commands = {name for name in GRAPH if name.startswith("fastmlp.cli.commands.")}
    assert len(commands) > 10
    assert not {name: GRAPH[name] & commands for name in commands if GRAPH[name] & commands}


def test_no_modules_import_each_other():
    assert not circles(GRAPH)


def test_every_level_holds_what_exists():
    assert {place_of(module) for module in GRAPH} == LEVEL_OF.keys()
    assert len(LEVEL_OF) == sum(map(len, LEVELS.values()))


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light_and_starts_no_thread():
    run_python("""
import os, sys
import numpy
threads = len(os.listdir("/proc/self/task"))
import fastmlp
assert len(os.listdir("/proc/self/task")) == threads
heavy = {"click", "sklearn", "matplotlib", "safetensors", "scipy", "pandas", "fastmlp.cli"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
""")


def test_settings_and_their_names_need_neither_numpy_nor_the_core():
    """Help pages and completion show them, and importing NumPy takes most of their time."""
    run_python("""
import sys
import fastmlp.experiment.schema
heavy = {"numpy", "fastmlp._core"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
""")


def test_estimators_need_no_package_of_the_command_line():
    pytest.importorskip("sklearn")
    run_python("""
import sys
import sklearn.base, sklearn.neural_network, sklearn.utils.estimator_checks
before = set(sys.modules)
import fastmlp
fastmlp.MLPClassifier
new = {"click", "pydantic", "rich", "tomlkit", "fastmlp.cli"} & (set(sys.modules) - before)
assert not new, new
""")


def test_import_and_training_leave_the_process_as_it_was():
    run_python("""
import os, signal, sys
import numpy as np
def state():
    handlers = tuple(signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGFPE))
    umask = os.umask(0)
    os.umask(umask)
    # A flush-to-zero bit left in MXCSR would turn this product into 0.
    subnormal = float(np.float32(1e-38) * np.float32(0.01)), 5e-324 * 1.0
    random = np.random.get_state()[1].tobytes()
    return handlers, umask, subnormal, np.geterr(), random, os.getcwd(), dict(os.environ)
before = state()
import fastmlp
assert state() == before
model = fastmlp.MLP([40, 60, 5], seed=0)
model.fit(np.ones((300, 40)), np.zeros(300, int), epochs=2, threads=2, verbose=0)
assert state() == before
""")


def test_every_public_name_exists_and_has_a_docstring():
    run_python("""
import fastmlp
for name in fastmlp.__all__:
    value = getattr(fastmlp, name)
    assert name == "__version__" or value.__doc__, name
""")
