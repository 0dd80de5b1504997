"""Signals at random moments: the model stays what a completed step made it, unlocked and usable.

A timer raises KeyboardInterrupt (SIGALRM with Python's handler of SIGINT, or SIGINT itself) at a
random moment of an operation; a storm is many of them in a row. The process is that of the cases,
so a model that stays locked or a lost state is seen by what follows.
"""

from __future__ import annotations

import functools
import os
import random
import signal
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
from support.cli_process import answer_signals, write_idx_directory
from support.crash_runs import RESULTS, SETTINGS
from trust.experiment import Experiment, Section, require
from trust.small import Problem, digest, model_digest
from trust.worker import environment

PROBLEM = Problem(3)
EPOCHS = 3


def _attacked(operation: Callable[[], object]) -> None:
    operation()


def _interrupt(number: int, frame: Any) -> None:
    """Handler of both signals, for good: raises inside of `_attacked` and nowhere else."""
    while frame is not None:
        if frame.f_code is _attacked.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


def interrupted(
    chance: random.Random, longest: float, operation: Callable[[], object]
) -> BaseException | None:
    """Run it with an interrupt or a storm of them; what ended it, None where it came to its end."""
    for number in (signal.SIGALRM, signal.SIGINT):
        signal.signal(number, _interrupt)
    first, again = chance.uniform(1e-5, longest), chance.choice((0.0, 0.0, 1e-4, 1e-3))
    sender = threading.Timer(first, os.kill, (os.getpid(), signal.SIGINT))
    is_alarm = chance.random() < 0.7
    if is_alarm:
        signal.setitimer(signal.ITIMER_REAL, first, again)
    else:
        sender.start()
    ended: BaseException | None = None
    try:
        _attacked(operation)
    except (KeyboardInterrupt, Exception) as error:
        ended = error
    signal.setitimer(signal.ITIMER_REAL, 0)
    if not is_alarm:
        sender.cancel()
        sender.join()
    require(ended is None or isinstance(ended, KeyboardInterrupt), f"{ended!r}")
    return ended


# ---------------------------------------------------------------- training


@functools.cache
def _course() -> tuple[frozenset[str], str, str]:
    """Digests of the parameters after every step, without a signal; of the end; of two fits."""
    steps = []

    class Watch(fastmlp.Callback):
        every_steps = 1

        def on_step_end(self, training: Any, record: Any) -> None:
            steps.append(model_digest(training.model))

    model = PROBLEM.model()
    steps.append(model_digest(model))
    PROBLEM.fit(model, EPOCHS, averaging=None, callbacks=[Watch()])
    end = model_digest(model)
    PROBLEM.fit(model, 1, averaging=None)
    return frozenset(steps), end, model_digest(model)


def _require_usable(model: fastmlp.MLP) -> None:
    """Trained anew from known parameters it does what a new model does."""
    require(np.isfinite(model.evaluate(PROBLEM.x, PROBLEM.y)["loss"]), "its loss is not finite")
    fresh = PROBLEM.model()
    model.set_parameters(fresh.parameters())
    PROBLEM.fit(model, EPOCHS, averaging=None)
    require(model_digest(model) == _course()[1], "trained again, it is another model")


def fit_case(seed: int) -> None:
    """`fit` on 1 to 3 threads; the parameters are those of a completed step."""
    chance = random.Random(seed)
    steps, _, _ = _course()
    model = PROBLEM.model()
    threads = chance.choice((1, 1, 2, 3))
    noise = chance.choice((None, lambda *_: None))
    interrupted(
        chance,
        chance.choice((0.0004, 0.003, 0.01)),
        lambda: PROBLEM.fit(model, EPOCHS, averaging=None, threads=threads, progress=noise),
    )
    require(model_digest(model) in steps, "its parameters are those of no completed step")
    _require_usable(model)


def averaging_case(seed: int) -> None:
    """`fit` with averages, which are swapped with the parameters at the end of each epoch."""
    chance = random.Random(seed)
    model = PROBLEM.model()
    interrupted(chance, 0.006, lambda: PROBLEM.fit(model, EPOCHS))
    require(model_digest(model) in _averaged(), "neither parameters nor averages of a step")
    _require_usable(model)


@functools.cache
def _averaged() -> frozenset[str]:
    """Digests of the parameters after every step, and of the averages after every epoch."""
    seen = []

    class Watch(fastmlp.Callback):
        every_steps = 1

        def on_train_begin(self, training: Any) -> None:
            seen.append(model_digest(training.model))

        on_epoch_begin = on_train_end = on_train_begin

        def on_step_end(self, training: Any, record: Any) -> None:
            seen.append(model_digest(training.model))

        def on_epoch_end(self, training: Any, record: Any) -> None:
            seen.append(model_digest(training.model))

    PROBLEM.fit(PROBLEM.model(), EPOCHS, callbacks=[Watch()])
    return frozenset(seen)


@functools.cache
def _one_fit() -> str:
    return model_digest(PROBLEM.trained(EPOCHS))


def resume_case(seed: int) -> None:
    """An interrupted `fit`; gone on from the state of its last epoch, it ends as without."""
    chance = random.Random(seed)
    model = PROBLEM.model()
    saved: list[tuple[Any, Any]] = []

    interrupted(chance, 0.006, lambda: PROBLEM.fit(model, EPOCHS, callbacks=[_AtEnd(saved)]))
    done = len(saved)
    if done == EPOCHS:
        return
    if saved:
        parameters, state = saved[-1]
        model.set_parameters(parameters)
        model.restore_training_state({**state, "epochs": np.array(done)})
    else:
        model = PROBLEM.model()
    PROBLEM.fit(model, EPOCHS - done, resume=done > 0)
    require(
        model_digest(model) == _one_fit(), f"interrupted after {done} epochs, it ends otherwise"
    )


class _AtEnd(fastmlp.Callback):
    """Keeps parameters and state of every epoch; what is half kept does not count."""

    def __init__(self, saved: list[tuple[Any, Any]]) -> None:
        self._saved = saved

    def on_epoch_end(self, training: Any, record: Any) -> None:
        self._saved.append((training.model.parameters(), training.model.training_state()))


def start_of_resume_case(seed: int) -> None:
    """An interrupt while a resumed `fit` starts: either it did steps, or the state is all there."""
    chance = random.Random(seed)
    model = PROBLEM.model()
    PROBLEM.fit(model, EPOCHS, averaging=None)
    before = model_digest(model)
    interrupted(chance, 0.0006, lambda: PROBLEM.fit(model, 1, averaging=None, resume=True))
    if model_digest(model) != before:
        return  # steps were done
    if len(model.history.loss) > EPOCHS:
        return
    PROBLEM.fit(model, 1, averaging=None, resume=True)
    require(model_digest(model) == _going_on(), "resumed again, its state was gone")


@functools.cache
def _going_on() -> str:
    model = PROBLEM.model()
    PROBLEM.fit(model, EPOCHS, averaging=None)
    PROBLEM.fit(model, 1, averaging=None, resume=True)
    return model_digest(model)


# ---------------------------------------------------------------- everything else


@functools.cache
def _trained() -> fastmlp.MLP:
    return PROBLEM.trained(2)


def calls_case(seed: int) -> None:
    """Predictions, evaluation, gradients, files, copies: the same answer afterwards."""
    import copy
    import pickle

    chance = random.Random(seed)
    model = copy.deepcopy(_trained())
    expected = _answers(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        model.save(path)
        calls: tuple[Callable[[], object], ...] = (
            lambda: model.predict(PROBLEM.x, threads=2),
            lambda: model.evaluate(PROBLEM.x, PROBLEM.y),
            lambda: model.loss_and_gradients(PROBLEM.x, PROBLEM.y),
            lambda: model.save(path),
            lambda: fastmlp.load(path),
            lambda: pickle.loads(pickle.dumps(model)),
            lambda: copy.deepcopy(model),
            lambda: setattr(model, "weights", model.weights),
            lambda: model.lr_find(PROBLEM.x, PROBLEM.y, steps=5, batch_size=32),
        )
        call = chance.choice(calls)
        interrupted(chance, 0.002, lambda: [call() for _ in range(3)])
        require(_answers(model) == expected, f"call {calls.index(call)}: other answers afterwards")
        require(_answers(fastmlp.load(path)) == expected, "the file holds another model")
        model.save(path)
    PROBLEM.fit(copy.deepcopy(model), 1)


def _answers(model: fastmlp.MLP) -> str:
    return digest([model.forward(PROBLEM.x), *model.parameters().values()])


# ---------------------------------------------------------------- the command


@functools.cache
def _expected() -> tuple[tempfile.TemporaryDirectory[str], dict[str, str], float]:
    """Data, digests of the models of a run without signals, and how long its training takes."""
    folder = tempfile.TemporaryDirectory()
    data = write_idx_directory(Path(folder.name) / "data", 600)
    process, began = _started(Path(folder.name) / "run", "train", data, *SETTINGS)
    require(process.wait(120) == 0, "a run without signals fails")
    return folder, _digests(Path(folder.name) / "run"), time.monotonic() - began


def _digests(run: Path) -> dict[str, str]:
    return {name: digest([np.frombuffer((run / name).read_bytes(), np.uint8)]) for name in RESULTS}


def _started(run: Path, *arguments: object) -> tuple[subprocess.Popen[bytes], float]:
    """A command, and when its run can first be resumed."""
    process = _process(*arguments, "--out", run)
    while not (run / "config.toml").exists():
        require(process.poll() is None, "it ended before it began")
        time.sleep(0.002)
    return process, time.monotonic()


def _process(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _MAIN, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        preexec_fn=answer_signals,
    )  # fmt: skip


_MAIN = """
import sys
from trust.worker import plant_fault
plant_fault()
from fastmlp.cli import main
sys.exit(main())
"""


def command_case(seed: int) -> None:
    """`fastmlp train` and SIGINT or SIGTERM, one or two; the code is the promised one; resumed."""
    chance = random.Random(seed)
    folder, expected, seconds = _expected()
    number, code = chance.choice(((signal.SIGINT, 130), (signal.SIGTERM, 143)))
    with tempfile.TemporaryDirectory() as root:
        run = Path(root) / "run"
        process, _ = _started(run, "train", Path(folder.name) / "data", *SETTINGS)
        time.sleep(chance.uniform(0, 1.1 * seconds))
        for pause in chance.choice(((0.0,), (0.0, 0.02))):
            time.sleep(pause)
            process.send_signal(number)
        said = process.communicate(timeout=60)[1].decode()
        ended = process.returncode
        require(ended in (code, 0), f"exit code {ended}: {said[-500:]}")
        require("Traceback" not in said, said[-800:])
        resumed = _process("train", "--resume", run, "--quiet", "--no-report")
        said = resumed.communicate(timeout=120)[1].decode()
        require(resumed.returncode == 0, f"resumed: {resumed.returncode}: {said[-500:]}")
        require(_digests(run) == expected, "resumed, it has another result")


# ---------------------------------------------------------------- planted faults


def plant_lock() -> None:
    """A lock that an interrupt can leave locked."""
    from fastmlp.model import MLP

    original = MLP.fit

    def gap(self: fastmlp.MLP, *arguments: Any, **options: Any) -> Any:
        held = self.__dict__.setdefault("_planted", threading.Lock())
        if not held.acquire(blocking=False):
            raise RuntimeError("the model is being trained by another thread")
        result = original(self, *arguments, **options)
        held.release()
        return result

    MLP.fit = gap  # type: ignore[method-assign]


def plant_half_step() -> None:
    """A step whose layers are updated one by one, with an interrupt between."""
    from fastmlp.training.run import Run

    original = Run.epoch

    def halved(self: Any, *arguments: Any, **options: Any) -> Any:
        before = self._model.weights[0]
        result = original(self, *arguments, **options)
        after = self._model.weights[0]
        self._model.weights[0] = before
        time.sleep(1e-4)
        self._model.weights[0] = after
        return result

    Run.epoch = halved  # type: ignore[method-assign]


def plant_lost_state() -> None:
    """A state that is given up before the next one stands."""
    from fastmlp import model as module
    from fastmlp.training.continuation import Continuation

    original = module.prepared

    def careless(model: Any, *arguments: Any) -> Any:
        kept, model._continuation = model._continuation, Continuation()
        time.sleep(2e-4)
        model._continuation = kept
        return original(model, *arguments)

    module.prepared = careless  # type: ignore[assignment]


def plant_forgotten_moments() -> None:
    """A state that comes back without the optimizer's."""
    from fastmlp.training.run import Run

    original = Run.restore

    def forgetful(self: Any, state: Any) -> None:
        original(self, {n: a * 0 if n.startswith("slots.") else a for n, a in state.items()})

    Run.restore = forgetful  # type: ignore[method-assign]


def plant_changed_weights() -> None:
    """A prediction that scales the parameters for its time, and is not guarded."""
    from fastmlp.network import Network

    original = Network.predict

    def scaled(self: Any, *arguments: Any, **options: Any) -> Any:
        kept = self.weights[0]
        self.weights[0] = 2 * kept
        time.sleep(2e-4)
        self.weights[0] = kept
        return original(self, *arguments, **options)

    Network.predict = scaled  # type: ignore[method-assign]


def plant_exit_code() -> None:
    """A command that answers a signal as any error."""
    from fastmlp.cli import app, errors

    original = errors.classify

    def careless(error: BaseException) -> Any:
        code, text = original(error)
        return (errors.ExitCode.UNEXPECTED, text) if code >= 130 else (code, text)

    app.classify = errors.classify = careless


def _experiment(name: str, promise: str, planted: str, plant: str, **more: Any) -> Experiment:
    return Experiment(
        name=f"interrupts.{name}",
        promise=promise,
        counted=more.pop("counted", "interrupted calls"),
        case=f"trust.interrupts:{name}_case",
        planted=planted,
        plant=f"trust.interrupts:{plant}",
        **more,
    )


SECTION = Section(
    "interrupts",
    "Signals at random moments",
    3.0,
    True,
    (
        _experiment(
            "fit", "An interrupted training leaves a completed step, and the model unlocked.",
            "the lock stays locked", "plant_lock",
        ),
        _experiment(
            "averaging", "The same with averages, which are exchanged with the parameters.",
            "a step is half done", "plant_half_step",
        ),
        _experiment(
            "resume", "Resumed from the state of its last epoch, an interrupted training ends "
            "like an uninterrupted one.",
            "the optimizer's state is lost", "plant_forgotten_moments",
        ),
        _experiment(
            "start_of_resume", "An interrupt at the start of a resumed training loses no state.",
            "the old state goes before the new one stands", "plant_lost_state",
        ),
        _experiment(
            "calls", "Interrupted predictions, gradients, files and copies change nothing.",
            "a prediction changes the parameters", "plant_changed_weights",
        ),
        _experiment(
            "command", "`fastmlp train` exits with 130 after SIGINT and 143 after SIGTERM; "
            "resumed, it ends with the same bits.", "the exit code is 1", "plant_exit_code",
            counted="interrupted runs", seconds=240.0, share=2.0,
        ),
    ),
)  # fmt: skip
