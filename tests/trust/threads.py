"""Many threads on one model, forks around training, and interpreters that end while it goes on."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from trust.experiment import Experiment, Section, require
from trust.small import Problem, digest, model_digest
from trust.worker import environment

PROBLEM = Problem(4)
TOGETHER = 6  # threads

# ---------------------------------------------------------------- storms


def _storm(seconds: float, works: list[Callable[[], None]]) -> tuple[int, list[str]]:
    """Every work in a thread of its own, again and again; calls done, and what went wrong."""
    until = time.monotonic() + seconds
    done = [0] * len(works)
    wrong: list[str] = []

    def repeat(index: int) -> None:
        while time.monotonic() < until and not wrong:
            try:
                works[index]()
            except Exception as error:
                wrong.append(f"thread {index}: {type(error).__name__}: {error}")
            done[index] += 1

    threads = [threading.Thread(target=repeat, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        require(not thread.is_alive(), "a thread hangs")
    return sum(done), wrong


def _refusable(work: Callable[[], object]) -> Callable[[], None]:
    """Work that may be refused because another thread has the model, and for no other reason."""

    def run() -> None:
        try:
            work()
        except RuntimeError as error:
            busy = ("being trained", "in use", "is used", "another thread")
            require(any(text in str(error) for text in busy), f"refused for {error}")

    return run


def predictions_case(seed: int) -> int:
    """Predictions, copies and files of one model: always the same answers."""
    chance = random.Random(seed)
    model = PROBLEM.trained(1)
    x, y = PROBLEM.x, PROBLEM.y
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        works: list[Callable[[], Any]] = [
            lambda: digest([model.forward(x, threads=chance.choice((1, 2, 3)))]),
            lambda: digest([model.predict(x, threads=2)]),
            lambda: tuple(model.evaluate(x, y, threads=2).items()),
            lambda: digest(model.hidden_activations(x)),
            lambda: model_digest(pickle.loads(pickle.dumps(model))),
            lambda: model_digest(copy.deepcopy(model)),
            lambda: model.save(path),
        ]
        chosen = [chance.choice(works) for _ in range(TOGETHER)]
        expected = [work() for work in chosen]

        def same(work: Callable[[], Any], value: Any) -> Callable[[], None]:
            return lambda: require(work() == value, f"work {works.index(work)}: another answer")

        checked = [same(work, value) for work, value in zip(chosen, expected, strict=True)]
        done, wrong = _storm(0.25, checked)
        require(not wrong, "; ".join(wrong[:2]))
        model.save(path)
        require(model_digest(fastmlp.load(path)) == model_digest(model), "the file differs")
    return done


def changes_case(seed: int) -> int:
    """Everything at once on one model that is trained and changed: refused, or done whole."""
    chance = random.Random(seed)
    model = PROBLEM.model()
    weights = [[w + 0 for w in model.weights], [w * 0.5 for w in model.weights]]
    x, y = PROBLEM.x, PROBLEM.y

    def set_first() -> None:
        model.weights[0] = weights[chance.randrange(2)][0]

    works: list[Callable[[], object]] = [
        lambda: PROBLEM.fit(model, 1, threads=chance.choice((1, 2))),
        lambda: PROBLEM.fit(model, 1, resume=chance.random() < 0.5),
        lambda: require(np.isfinite(model.forward(x)).all(), "an output is not finite"),
        lambda: require(0 <= model.evaluate(x, y)["accuracy"] <= 1, "no accuracy"),
        lambda: model.training_state(),
        lambda: pickle.loads(pickle.dumps(model)).forward(x),
        set_first,
        lambda: model.set_parameters(model.parameters()),
        lambda: model.freeze([0]) or model.freeze([]),
        lambda: model.loss_and_gradients(x, y),
    ]
    chosen = [_refusable(chance.choice(works)) for _ in range(TOGETHER)]
    done, wrong = _storm(0.25, chosen)
    require(not wrong, "; ".join(wrong[:2]))
    fresh = PROBLEM.model()
    again = copy.deepcopy(model)
    again.set_parameters(fresh.parameters())
    model.set_parameters(fresh.parameters())
    for trained in (again, model, fresh):
        PROBLEM.fit(trained, 1)
    require(model_digest(model) == model_digest(again), "after the storm, it trains otherwise")
    return done


def torn_case(seed: int) -> int:
    """One array changed between two values while others predict: the answer is of one of them."""
    chance = random.Random(seed)
    model = PROBLEM.trained(1)
    layer = chance.randrange(3)
    values = [model.weights[layer], -model.weights[layer]]
    answers = set()
    for value in values:
        model.weights[layer] = value
        answers.add(digest([model.forward(PROBLEM.x)]))

    def write() -> None:
        model.weights[layer] = values[chance.randrange(2)]

    def read() -> None:
        threads = chance.choice((1, 2))
        require(digest([model.forward(PROBLEM.x, threads=threads)]) in answers, "a torn answer")

    works = [_refusable(work) for work in (write, write, *[read] * (TOGETHER - 2))]
    done, wrong = _storm(0.25, works)
    require(not wrong, "; ".join(wrong[:2]))
    return done


# ---------------------------------------------------------------- processes

_PREPARE = """
import os, signal, sys, threading, time, multiprocessing
from trust.worker import plant_fault
from trust.small import Problem, model_digest
problem = Problem(4, samples=256, hidden=(40, 24))
THREADS = {threads}
def train(_=0):
    return model_digest(problem.trained(2, threads=THREADS))
def endless(model, daemon=True):
    def work():
        while True:
            problem.fit(model, 1000, threads=THREADS)
    thread = threading.Thread(target=work, daemon=daemon)
    thread.start()
    return thread
def forked():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, train().encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    return said
if __name__ == "__main__":
    plant_fault()
"""
_FORKS = {
    "fork before training": "print(forked()); print(train())",
    "fork after training": "print(train()); print(forked()); print(train())",
    "forks of forks": """
    print(train())
    child = os.fork()
    if child == 0:
        assert forked() == train()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(train())""",
    "fork while another thread trains": """
    endless(problem.model())
    time.sleep({pause})
    print(forked()); print(forked())
    sys.stdout.flush(); os._exit(0)""",
    "fork in a callback": """
    said = []
    problem.fit(problem.model(), 2, threads=THREADS, callbacks=[lambda *_: said.append(forked())])
    print(*said, sep="\\n")""",
    "multiprocessing fork": """
    print(train())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*pool.map(train, range(4)), sep="\\n")""",
    "multiprocessing spawn": """
    print(train())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(*pool.map(train, range(4)), sep="\\n")""",
    "multiprocessing forkserver": """
    print(train())
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        print(*pool.map(train, range(4)), sep="\\n")""",
    "threads that fork": """
    from concurrent.futures import ThreadPoolExecutor
    print(train())
    with ThreadPoolExecutor(3) as pool:
        print(*pool.map(lambda _: forked(), range(6)), sep="\\n")""",
    "loky": """
    from joblib import Parallel, delayed
    print(train())
    print(*Parallel(2)(delayed(train)() for _ in range(4)), sep="\\n")""",
}  # fmt: skip


def _script(body: str, threads: int, pause: float, seconds: float = 60) -> Any:
    text = _PREPARE.format(threads=threads) + "    " + body.format(pause=pause).strip() + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"  # a file: spawned children read it
        path.write_text(text)
        return subprocess.run(
            [sys.executable, str(path)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def forks_case(seed: int) -> int:
    """A fork before, after or while training, by hand or by a library: equal bits everywhere."""
    chance = random.Random(seed)
    names = [n for n in _FORKS if n != "loky" or importlib.util.find_spec("joblib")]
    name, threads = chance.choice(names), chance.choice((1, 2, 3))
    try:
        done = _script(_FORKS[name], threads, chance.uniform(0, 0.1))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{name}, {threads} threads: hangs") from None
    require(done.returncode == 0, f"{name}: exit code {done.returncode}: {done.stderr[-600:]}")
    wanted = model_digest(Problem(4, samples=256, hidden=(40, 24)).trained(2))
    said = done.stdout.split()
    require(len(said) > 0 and set(said) == {wanted}, f"{name}, {threads} threads: {said}")
    return len(said)


_ENDS = {
    "the end of the script": "sys.stdout.flush()",
    "sys.exit": "sys.exit({code})",
    "an exception": "raise ValueError('mine')",
    "a thread pool": """
    from concurrent.futures import ThreadPoolExecutor
    print([f.result() for f in [ThreadPoolExecutor(2).submit(train)]])
    sys.exit({code})""",
    "atexit": """
    import atexit
    atexit.register(train)
    sys.exit({code})""",
}


def exits_case(seed: int) -> None:
    """Daemon threads train, predict or save while the interpreter ends: the program's exit code."""
    chance = random.Random(seed)
    name, code = chance.choice(list(_ENDS)), chance.choice((0, 7))
    wanted = {"the end of the script": 0, "an exception": 1}.get(name, code)
    count = chance.choice((1, 1, 3))
    body = f"""
    model = problem.model()
    for _ in range({count}):
        endless(problem.model())
    def predict():
        while True:
            model.forward(problem.x, threads=THREADS)
    threading.Thread(target=predict, daemon=True).start()
    time.sleep({{pause}})
    """ + _ENDS[name].strip().replace("{code}", str(code))
    try:
        done = _script(body, chance.choice((1, 2, 3)), chance.uniform(0, 0.2))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{name}: the interpreter hangs at its end") from None
    require(
        done.returncode == wanted,
        f"{name}, {count} threads: exit code {done.returncode}, not {wanted}: {done.stderr[-400:]}",
    )


# ---------------------------------------------------------------- planted faults


def plant_scratch() -> None:
    """Predictions that share a buffer."""
    from fastmlp.network import Network

    original = Network._outputs_of
    shared: dict[Any, Any] = {}

    def careless(self: Any, rows: Any, link: str, threads: int) -> Any:
        shared["outputs"] = original(self, rows, link, threads)
        time.sleep(1e-5)
        return shared["outputs"]

    Network._outputs_of = careless  # type: ignore[method-assign]
    scale = Network.hidden_activations

    def scaled(self: Any, x: Any, **options: Any) -> Any:
        shared["outputs"] = np.zeros(1)
        return scale(self, x, **options)

    Network.hidden_activations = Network.predict = scaled  # type: ignore[method-assign]


def plant_no_refusal() -> None:
    """A model in use whose refusal is an error of another kind."""
    from fastmlp.model import MLP

    original = MLP.fit

    def careless(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return original(self, *arguments, **options)
        except RuntimeError as error:
            raise KeyError("run") from error

    MLP.fit = careless  # type: ignore[method-assign]


def plant_torn() -> None:
    """An array that is set in two halves."""
    from fastmlp.network import Network

    original = Network._assign

    def halves(self: Any, kind: str, layer: int, values: Any) -> None:
        half = values.copy()
        half[: len(half) // 2] = self._network.get(kind, layer)[: len(half) // 2]
        original(self, kind, layer, half)
        time.sleep(1e-5)
        original(self, kind, layer, values)

    Network._assign = halves  # type: ignore[method-assign]


def plant_fork_state() -> None:
    """A child of a fork that draws other numbers than its parent."""
    import os

    parent = os.getpid()
    original = Problem.model

    def other(self: Problem) -> fastmlp.MLP:
        model = original(self)
        if os.getpid() != parent:
            model.biases[0] = model.biases[0] + 1
        return model

    Problem.model = other  # type: ignore[method-assign]


def plant_exit() -> None:
    """A module that ends the process with a code of its own."""
    import atexit
    import os

    atexit.register(os._exit, 3)


def _experiment(
    name: str, promise: str, counted: str, planted: str, plant: str, **more: Any
) -> Any:
    return Experiment(
        name=f"threads.{name}",
        promise=promise,
        counted=counted,
        case=f"trust.threads:{name}_case",
        planted=planted,
        plant=f"trust.threads:{plant}",
        seconds=120.0,
        **more,
    )


SECTION = Section(
    "threads",
    "Threads, forks, and the end of the interpreter",
    2.5,
    True,
    (
        _experiment(
            "predictions", "Threads that read one model all get the right answer.", "calls",
            "two predictions share a buffer", "plant_scratch",
        ),
        _experiment(
            "changes", "A model that one thread changes refuses the others with RuntimeError and "
            "stays consistent.", "calls", "the refusal is a KeyError", "plant_no_refusal",
        ),
        _experiment(
            "torn", "A prediction never reads an array that is half set.", "calls",
            "an array is set in two halves", "plant_torn", share=0.5,
        ),
        _experiment(
            "forks", "Processes forked before, during and after a training train to equal bits.",
            "trainings", "a child draws other numbers", "plant_fork_state", share=2.0,
        ),
        _experiment(
            "exits", "The interpreter ends with the program's exit code while threads train.",
            "exits", "a module exits with a code of its own", "plant_exit", share=1.5,
        ),
    ),
)  # fmt: skip
