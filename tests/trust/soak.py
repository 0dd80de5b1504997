"""The same things again and again: memory, files, threads and temporary files do not grow."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp.experiment.checkpoint import CheckpointStore
from support.small_checkpoint import checkpoint_of
from trust.experiment import Experiment, Section, require
from trust.small import Problem
from trust.small_files import SCRATCH

PROBLEM = Problem(6, samples=400, hidden=(64, 48))
WARM, LOOPS = 60, 300
MOST_GROWTH = 3 << 20  # of resident memory, in bytes, over LOOPS; a lost model has 20 kB


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def _system_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _fit(loop: int) -> None:
    PROBLEM.trained(1, threads=1 + loop % 3)


def _resume(loop: int) -> None:
    model = PROBLEM.trained(1)
    PROBLEM.fit(model, 1, resume=True)


def _predict(loop: int, model: fastmlp.MLP = PROBLEM.model()) -> None:  # noqa: B008
    model.predict(PROBLEM.x, threads=1 + loop % 3)
    model.evaluate(PROBLEM.x, PROBLEM.y)
    model.loss_and_gradients(PROBLEM.x, PROBLEM.y)
    model.hidden_activations(PROBLEM.x)


def _files(loop: int) -> None:
    path = SCRATCH / "soak.safetensors"
    PROBLEM.model().save(path)
    fastmlp.load(path)
    CheckpointStore(SCRATCH / "soak").write(checkpoint_of(1 + loop % 3))
    CheckpointStore(SCRATCH / "soak").newest()


def _copies(loop: int) -> None:
    model = PROBLEM.trained(1)
    pickle.loads(pickle.dumps(model))
    copy.deepcopy(model)


class _Stop(Exception):
    pass


def _failures(loop: int) -> None:
    """Everything that ends in an exception."""

    def stop(*_: Any) -> None:
        raise _Stop

    model = PROBLEM.model()
    for attempt in (
        lambda: PROBLEM.fit(model, 3, callbacks=[stop]),
        lambda: PROBLEM.fit(model, 1, progress=stop),
        lambda: PROBLEM.fit(model, 2, optimizer=fastmlp.SGD(1e30)),
        lambda: model.fit(PROBLEM.x, PROBLEM.y[:-1], verbose=0),
        lambda: model.predict(PROBLEM.x[:, :-1]),
        lambda: fastmlp.load(SCRATCH / "nowhere"),
        lambda: model.save(SCRATCH / "nowhere" / "m"),
        lambda: setattr(model, "weights", [np.zeros(3)]),
        lambda: fastmlp.MLP([2**40, 2**40]),
    ):
        with contextlib.suppress(_Stop, ValueError, OSError, MemoryError, fastmlp.DivergedError):
            attempt()


def _damaged(loop: int) -> None:
    path = SCRATCH / "damaged.safetensors"
    PROBLEM.model().save(path)
    content = bytearray(path.read_bytes())
    content[loop % len(content)] ^= 255
    path.write_bytes(content)
    with contextlib.suppress(fastmlp.FormatError):
        fastmlp.load(path)


def _threads(loop: int) -> None:
    """Computing in threads of the program, which come and go."""
    model = PROBLEM.model()
    workers = [threading.Thread(target=model.predict, args=(PROBLEM.x,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


_WORKS: tuple[Callable[[int], None], ...] = (
    _fit, _resume, _predict, _files, _copies, _failures, _damaged, _threads,
)  # fmt: skip


def loops_case(seed: int) -> int:
    """One work many times; or all in turn."""
    chance = random.Random(seed)
    works = chance.choice((*((work,) for work in _WORKS), _WORKS))
    name = "all" if len(works) > 1 else works[0].__name__.strip("_")
    for loop in range(WARM):
        works[loop % len(works)](loop)
    before = _resident(), _descriptors(), _system_threads(), sorted(os.listdir(SCRATCH))
    for loop in range(LOOPS):
        works[loop % len(works)](loop)
    grown = _resident() - before[0]
    if grown >= MOST_GROWTH:  # caches fill up; what leaks goes on growing
        half = _resident()
        for loop in range(LOOPS):
            works[loop % len(works)](loop)
        grown = min(grown, _resident() - half)
    require(grown < MOST_GROWTH, f"{name}: {grown >> 10} kB more memory after {LOOPS} loops")
    require(_descriptors() == before[1], f"{name}: descriptors {before[1]}, {_descriptors()}")
    require(
        _system_threads() <= before[2], f"{name}: {_system_threads()} threads, {before[2]} before"
    )
    left = sorted(set(os.listdir(SCRATCH)) - set(before[3]))
    require(not left, f"{name}: files that stay: {left[:5]}")
    return LOOPS


_LOST: list[Any] = []


def plant_leak() -> None:
    """A network whose parameters are never given back, and a file that is never closed."""
    from fastmlp.network import Network

    original = Network._outputs_of

    def leaking(self: Any, *arguments: Any) -> Any:
        result = original(self, *arguments)
        _LOST.append((bytearray(1 << 15), open(os.devnull)))  # noqa: SIM115
        return result

    Network._outputs_of = leaking  # type: ignore[method-assign]
    start = Problem.trained

    def keeping(self: Problem, *arguments: Any, **options: Any) -> fastmlp.MLP:
        _LOST.append(start(self, *arguments, **options))
        return _LOST[-1]

    Problem.trained = keeping  # type: ignore[method-assign]


SECTION = Section(
    "soak",
    "Repetition",
    1.5,
    True,
    (
        Experiment(
            name="soak.loops",
            promise="Trainings, predictions, files, copies and failures leak nothing: "
            "memory, descriptors, threads, temporary files.",
            counted="loops",
            case="trust.soak:loops_case",
            planted="models and files are kept",
            plant="trust.soak:plant_leak",
            seconds=300.0,
        ),
    ),
)
