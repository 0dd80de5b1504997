"""Memory and threads that the system refuses: an exception or the right result, nothing else.

An operation runs in a copy of a prepared process, under a limit on its address space (RLIMIT_AS),
or with the n-th allocation or the n-th new thread refused by faults.c, or as a user who may have no
more processes (RLIMIT_NPROC). Afterwards the limit is lifted, and the model must do what it did.
"""

from __future__ import annotations

import copy
import errno
import functools
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastmlp
from support.limits import limit_address_space
from trust.experiment import Broken, Experiment, Section, require
from trust.injector import Injector, no_compiler, preloaded
from trust.small import Problem, digest, model_digest
from trust.worker import environment

PROBLEM = Problem(5, samples=600, hidden=(120, 80))
THREADS = 4


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """A saved model; the parameters after two epochs are in it."""
    folder = tempfile.TemporaryDirectory()
    PROBLEM.trained(2).save(Path(folder.name) / "m.safetensors")
    return folder


def _train(model: fastmlp.MLP, **options: Any) -> str:
    PROBLEM.fit(model, 1, threads=THREADS, **options)
    return model_digest(model)


def _load(model: fastmlp.MLP) -> str:
    return model_digest(fastmlp.load(Path(_folder().name) / "m.safetensors"))


def _save(model: fastmlp.MLP) -> str:
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m.safetensors")
    return ""


# What is tried; each tells a text that depends on its result alone.
OPERATIONS: dict[str, Callable[[fastmlp.MLP], str]] = {
    "fit": _train,
    "resume": lambda model: _train(model, resume=True),
    "fit with averages and callbacks": lambda model: _train(
        model, averaging=fastmlp.SWA(), callbacks=[lambda *_: None]
    ),
    "predict": lambda model: digest([model.forward(PROBLEM.x, threads=THREADS)]),
    "evaluate": lambda model: repr(model.evaluate(PROBLEM.x, PROBLEM.y, threads=THREADS)),
    "gradients": lambda model: digest(
        model.loss_and_gradients(PROBLEM.x, PROBLEM.y, threads=THREADS)[1]
    ),
    "hidden activations": lambda model: digest(model.hidden_activations(PROBLEM.x)),
    "load": _load,
    "save": _save,
    "copy": lambda model: model_digest(copy.deepcopy(model)),
    "pickle": lambda model: model_digest(pickle.loads(pickle.dumps(model))),
    "a new model": lambda model: model_digest(PROBLEM.model()),
}


def _one_epoch() -> fastmlp.MLP:
    model = PROBLEM.model()
    PROBLEM.fit(model, 1, threads=1)
    return model


@functools.cache
def _expected() -> dict[str, str]:
    """What each operation tells without a limit, and what follows it."""
    results = {}
    for name, operation in OPERATIONS.items():
        model = _one_epoch()
        results[name] = operation(model)
        results[f"after {name}"] = _afterwards(model)
    return results


def _afterwards(model: fastmlp.MLP) -> str:
    """Predictions as the parameters say; then, from new parameters, a training as ever."""
    model.forward(PROBLEM.x, threads=THREADS)
    model.set_parameters(PROBLEM.model().parameters())
    PROBLEM.fit(model, 1, threads=THREADS)
    return model_digest(model)


def in_child(work: Callable[[], str | None], seconds: int = 60) -> bool:
    """Whether work in a copy of this process ended with an exception that is right.

    It returns None where the operation was refused, and its digest is wrong where it raises.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
            said = work()
            os.write(writer, b"refused" if said is None else b"done")
        except BaseException as error:
            os.write(writer, f"broken {type(error).__name__}: {error}".encode()[:2000])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise Broken(f"signal {signal.Signals(os.WTERMSIG(status)).name}")
    require(status == 0 and said != "", f"exit code {os.WEXITSTATUS(status)}, a library ended it")
    require(not said.startswith("broken"), said)
    return said == "refused"


def _tried(
    name: str, impose: Callable[[], object], lift: Callable[[], object], refusals: tuple[type, ...]
) -> Callable[[], str | None]:
    """An operation between the imposing of a limit and its lifting, and all that must hold then."""
    expected = _expected()
    model = _one_epoch()

    def work() -> str | None:
        before = model_digest(model)
        failed: BaseException | None = None
        impose()
        try:
            result = OPERATIONS[name](model)
        except refusals as error:
            failed = error
        finally:
            lift()
        if failed is None:
            require(result == expected[name], f"{name}: another result")
        elif name == "resume" and model_digest(model) == before:
            require(
                OPERATIONS[name](model) == expected[name],
                f"{name}: {type(failed).__name__}, and resumed again it has another result",
            )
        elif name not in ("fit", "resume", "fit with averages and callbacks"):
            require(model_digest(model) == before, f"{name}: refused, and the model is another")
        after = _afterwards(model)
        require(after == expected[f"after {name}"], f"{name}: afterwards, it trains otherwise")
        return None if failed is not None else ""

    return work


# ---------------------------------------------------------------- address space


def limit_case(seed: int) -> None:
    """RLIMIT_AS somewhere between nothing more and enough."""
    import resource

    chance = random.Random(seed)
    name = chance.choice(list(OPERATIONS))
    room = int(2 ** chance.uniform(10, 26))
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    work = _tried(
        name,
        lambda: limit_address_space(room),
        lambda: resource.setrlimit(resource.RLIMIT_AS, unlimited),
        (MemoryError, RuntimeError, OSError),
    )
    try:
        in_child(work)
    except AssertionError as error:
        raise AssertionError(f"{name}, {room} bytes: {error}") from None


_IMPORT = """
import resource, sys
import numpy, json, hashlib
from support.limits import limit_address_space
from trust.worker import plant_fault
limit_address_space(int(sys.argv[1]))
plant_fault()
try:
    import fastmlp, fastmlp._core
    model = fastmlp.MLP([4, 8, 3], seed=1)
    print(float(model.forward(numpy.ones((2, 4)), threads=2).sum()))
except (MemoryError, ImportError, OSError) as error:
    print("refused", file=sys.stderr)
"""


def import_case(seed: int) -> None:
    """RLIMIT_AS over the import and a first prediction; NumPy is there already."""
    room = int(2 ** random.Random(seed).uniform(12, 27))
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(room)],
        env=environment({"OPENBLAS_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stderr[-500:]
    # The interpreter's own import machinery raises the last one where it gets no memory.
    refusals = ("MemoryError", "Cannot allocate memory", "error return without exception set")
    memory = any(refusal in said for refusal in refusals)
    require(
        done.returncode == 0 or (done.returncode == 1 and memory),
        f"{room} bytes: exit code {done.returncode}: {said}",
    )
    if done.returncode == 0 and done.stdout:
        model = fastmlp.MLP([4, 8, 3], seed=1)
        wanted = float(model.forward([[1.0] * 4] * 2, threads=2).sum())
        require(float(done.stdout) == wanted, f"{room} bytes: {done.stdout}, not {wanted}")


# ---------------------------------------------------------------- allocations, threads

LEAST_BYTES = 1024  # smaller ones are the interpreter's
_MANY = (0, 1)
ALLOCATION_KINDS = [(name, many) for name in OPERATIONS for many in _MANY]


def _each(
    kind: str, case: int, refusals: tuple[type, ...], most: int, at_once: bool = False
) -> int:
    """Refuse every allocation, or thread, of an operation in turn, or all of them `at_once`."""
    name, many = ALLOCATION_KINDS[case]
    many = 1 if at_once else many
    injector = Injector()
    count = 0

    def lift() -> None:
        nonlocal count
        count = injector.disarm()

    # How many there are is counted in a child, as the first of them are not those of later times.
    work = _tried(name, lambda: injector.arm(kind, 0, errno.ENOMEM, 0, "", LEAST_BYTES), lift, ())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        work()
        os.write(writer, str(count).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as stream:
        calls = int(stream.read())
    os.waitpid(child, 0)
    wrong = []
    numbers = range(1, min(calls, 1) + 1 if at_once else calls + 1)
    if calls > most:
        numbers = sorted(random.Random(case).sample(numbers, most))  # type: ignore[assignment]
    for number in numbers:
        work = _tried(
            name,
            lambda: injector.arm(kind, number, errno.ENOMEM, many, "", LEAST_BYTES),  # noqa: B023
            lift,
            refusals,
        )
        try:
            in_child(work)
        except AssertionError as error:
            wrong.append(f"{name}, {kind} {number} of {calls}{' and on' if many else ''}: {error}")
    require(not wrong, f"{len(wrong)} of {calls}, the first: {wrong[:2]}")
    return len(numbers)


def allocations_case(case: int) -> int:
    return _each("memory", case, (MemoryError, OSError), 60)


def new_threads_case(case: int) -> int:
    """No thread at all: limits that let some through are those of `nproc_case`."""
    return _each("thread", case, (RuntimeError, OSError, MemoryError), 60, at_once=True)


def not_root() -> str | None:
    return None if os.getuid() == 0 else "needs root, to become a user without other processes"


def nproc_case(seed: int) -> None:
    """Another user, who may have few processes."""
    import resource

    chance = random.Random(seed)
    name = chance.choice(list(OPERATIONS))
    allowed = chance.choice((1, 1, 2, 3, 4))

    def impose() -> None:
        os.setuid(20000 + chance.randrange(40000))
        resource.setrlimit(resource.RLIMIT_NPROC, (allowed, 1000))

    os.chmod(_folder().name, 0o755)
    work = _tried(
        name,
        impose,
        lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1000, 1000)),
        (MemoryError, RuntimeError, OSError),
    )
    try:
        in_child(work)
    except AssertionError as error:
        raise AssertionError(f"{name}, {allowed} processes: {error}") from None


# ---------------------------------------------------------------- planted faults


def plant_exit() -> None:
    """A computation that ends the process where memory or threads are refused."""
    from fastmlp.network import Network
    from fastmlp.training.run import Run

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            try:
                bytearray(4096)
                _start_a_thread()
                return function(*arguments, **options)
            except (MemoryError, RuntimeError):
                os._exit(1)

        return call

    Run.epoch = deadly(Run.epoch)  # type: ignore[method-assign]
    Network._outputs_of = deadly(Network._outputs_of)  # type: ignore[method-assign]


def _start_a_thread() -> None:
    import threading

    thread = threading.Thread(target=len, args=("",))
    thread.start()
    thread.join()


def plant_swallowed() -> None:
    """A loader that makes a model of its own where memory is short."""
    original = fastmlp.load

    def careless(path: Any) -> fastmlp.MLP:
        try:
            bytearray(1 << 16)
            return original(path)
        except MemoryError:
            return PROBLEM.model()

    fastmlp.load = careless


def plant_import() -> None:
    """An import that is ended by a signal where memory is short."""
    try:
        bytearray(1 << 20)
    except MemoryError:
        os.kill(os.getpid(), signal.SIGSEGV)


def _experiment(
    name: str, promise: str, counted: str, planted: str, plant: str, **more: Any
) -> Any:
    return Experiment(
        name=f"memory.{name}",
        promise=promise,
        counted=counted,
        case=f"trust.memory:{name}_case",
        planted=planted,
        plant=f"trust.memory:{plant}",
        **more,
    )


SECTION = Section(
    "memory",
    "Memory and threads that are refused",
    2.5,
    True,
    (
        _experiment(
            "limit", "Under any limit of memory a call gives its result or an exception, and the "
            "model stays usable.", "limited calls", "a computation ends the process", "plant_exit",
        ),
        _experiment(
            "import", "Under any limit of memory the import works or raises.", "imports",
            "a signal ends the process", "plant_import", share=0.7,
        ),
        _experiment(
            "allocations", "Where any allocation fails, except those of other libraries, a call "
            "gives its result or MemoryError.",
            "failed allocations", "another model is loaded", "plant_swallowed",
            size=len(ALLOCATION_KINDS), seconds=300.0, missing=no_compiler, prepare=preloaded,
            share=1.5,
        ),
        _experiment(
            "new_threads", "Where no more threads can be created, a call uses fewer, with "
            "equal bits, or raises.",
            "refused threads", "a computation ends the process", "plant_exit",
            size=len(ALLOCATION_KINDS), seconds=300.0, missing=no_compiler, prepare=preloaded,
            share=0.7,
        ),
        _experiment(
            "nproc", "A user who may start no more threads gets equal bits, or an exception.",
            "limited calls", "a computation ends the process", "plant_exit", missing=not_root,
            share=0.7,
        ),
    ),
)  # fmt: skip
