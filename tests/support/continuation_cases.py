"""Trainings of every kind, and the ways to continue one that was interrupted."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

import fastmlp
from fastmlp import callbacks, loggers, schedules
from fastmlp.averaging import EMA, SWA
from fastmlp.callbacks import Callback

EPOCHS, BATCH = 6, 16

SCHEDULES: dict[str, Callable[[], Any]] = {
    "number": lambda: 0.05,
    "function": lambda: _falling,
    "Constant": lambda: schedules.Constant(0.05),
    "CosLog": lambda: schedules.CosLog(0.1),
    "Cosine": lambda: schedules.Cosine(0.1),
    "Exponential": lambda: schedules.Exponential(0.1, 0.9, per="step"),
    "FlatCosine": lambda: schedules.FlatCosine(0.1),
    "InverseScaling": lambda: schedules.InverseScaling(0.1),
    "Linear": lambda: schedules.Linear(0.1, 0.01),
    "OneCycle": lambda: schedules.OneCycle(0.1),
    "ReduceOnPlateau": lambda: _plateau(),
    "StepDecay": lambda: schedules.StepDecay(0.1, 0.5, every=2),
    "WarmUp": lambda: schedules.WarmUp(schedules.Linear(0.1), length=6),
    "WarmUp of ReduceOnPlateau": lambda: schedules.WarmUp(_plateau(), length=6),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda rate: fastmlp.SGD(rate, momentum=0.9, nesterov=True),
    "Adagrad": lambda rate: fastmlp.Adagrad(rate),
    "RMSprop": lambda rate: fastmlp.RMSprop(rate, centred=True, momentum=0.5),
    "Adam": lambda rate: fastmlp.Adam(rate, clip_norm=1.0),
    "AdamW": lambda rate: fastmlp.AdamW(rate, amsgrad=True),
    "Adamax": lambda rate: fastmlp.Adamax(rate),
    "Nadam": lambda rate: fastmlp.Nadam(rate, max_norm=2.0),
    "Lion": lambda rate: fastmlp.Lion(rate),
}
AVERAGINGS: dict[str, Any] = {"none": None, "EMA": EMA(0.8), "SWA": SWA(start=2)}
CALLBACKS: dict[str, Callable[[Path], Callback]] = {
    "EarlyStopping": lambda path: callbacks.EarlyStopping(patience=2, minimum_change=0.01),
    "ModelCheckpoint": lambda path: callbacks.ModelCheckpoint(
        path / "best.safetensors", training_state=True
    ),
    "LearningRateScheduler": lambda path: callbacks.LearningRateScheduler(_slower),
    "LambdaCallback": lambda path: callbacks.LambdaCallback(
        on_step_end=lambda training, record: None, every_steps=3
    ),
    "ParameterRecorder": lambda path: callbacks.ParameterRecorder(every=2),
    "CSVLogger": lambda path: loggers.CSVLogger(path / "log.csv"),
    "JSONLogger": lambda path: loggers.JSONLogger(path / "log.jsonl"),
    "TensorBoard": lambda path: loggers.TensorBoard(path / "events"),
    "a user's": lambda path: Halving(),
}


def _falling(epoch: int) -> float:
    return 0.1 / (1 + epoch)


def _slower(epoch: int, rate: float) -> float:
    return rate * 0.9


def _plateau() -> schedules.ReduceOnPlateau:
    return schedules.ReduceOnPlateau(0.2, 0.5, patience=0, minimum_change=0.05, cooldown=1)


class Cut(BaseException):
    """Exception that ends a training between two statements, as KeyboardInterrupt does."""


class Halving(Callback):
    """Callback that sets the learning rate within epochs, from its own state."""

    every_steps = 3

    def reset(self):
        self._factor = 1.0

    def state(self):
        return {"factor": self._factor}

    def restore(self, state):
        self._factor = state["factor"]

    def on_step_end(self, training, record):
        self._factor *= 0.8
        training.learning_rate = 0.02 * self._factor


class Recorder(Callback):
    """Callback that keeps all records without the seconds, and restores them on resume."""

    def __init__(self, every_steps: int | None) -> None:
        self.every_steps = every_steps

    def reset(self):
        self.records = []

    def state(self):
        return {"records": self.records}

    def restore(self, state):
        self.records = list(state["records"])

    def on_epoch_end(self, training, record):
        self.records.append({k: v for k, v in record.items() if k != "seconds"})

    def on_step_end(self, training, record):
        self.records.append(dict(record))


class Cutter(Callback):
    """Callback that raises, or ends the training, at its n-th call; at any place of the list."""

    def __init__(self, calls: int, raises: bool) -> None:
        self.left, self.raises, self.every_steps = calls, raises, 1

    def _call(self, training, record=None):
        self.left -= 1
        if self.left:
            return False
        if self.raises:
            raise Cut
        return True

    on_train_begin = on_epoch_begin = on_epoch_end = on_step_end = _call


class Case:
    """One training, to be run at once and in several parts."""

    def __init__(self, random: np.random.Generator, **chosen: str) -> None:
        def pick(name, names):
            return chosen.get(name) or str(random.choice(list(names)))

        self.schedule = pick("schedule", SCHEDULES)
        self.optimizer = pick("optimizer", OPTIMIZERS)
        self.averaging = pick("averaging", AVERAGINGS)
        names = [name for name in CALLBACKS if random.random() < 0.35]
        if "callback" in chosen:
            names.append(chosen["callback"])
        self.callbacks = list(dict.fromkeys(names))
        self.every_steps = [None, 1, 3][random.integers(3)]
        self.seed = int(random.integers(1000))
        self.architecture = {
            "dropout": float(random.choice([0.0, 0.2])),
            "batch_normalization": bool(random.integers(2)),
            "dtype": str(random.choice(["float32", "float64"])),
        }
        data = np.random.default_rng(self.seed)
        self.x = data.standard_normal((60, 4)).astype(self.architecture["dtype"])
        self.y = np.where(data.random(60) < 0.3, data.integers(0, 3, 60), (self.x[:, 0] > 0) * 1)
        self.weight = data.random(60) + 0.5 if random.integers(2) else None

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if not isinstance(v, np.ndarray)}
        return f"Case({shown}, weighted={self.weight is not None})"

    def model(self, seed: int | None = None) -> fastmlp.MLP:
        seed = self.seed if seed is None else seed
        return fastmlp.MLP([4, 8, 3], seed=seed, **self.architecture)

    def watchers(self, path: Path) -> list[Callback]:
        own = [CALLBACKS[name](path) for name in self.callbacks]
        return [*own, Recorder(self.every_steps)]

    def fit(self, model, watchers, epochs, **options):
        optimizer = OPTIMIZERS[self.optimizer](SCHEDULES[self.schedule]())
        return model.fit(
            self.x, self.y, epochs=epochs, batch_size=BATCH, optimizer=optimizer,
            validation_data=(self.x[::2], self.y[::2]), sample_weight=self.weight,
            averaging=AVERAGINGS[self.averaging], callbacks=watchers, verbose=0, threads=1,
            diagnose=False, **options,
        )  # fmt: skip


def stopped(watchers) -> bool:
    return any(getattr(watcher, "stopped_epoch", None) is not None for watcher in watchers)


# ---------------------------------------------------------------- ways to continue


def by_state(model: fastmlp.MLP, case: Case, path: Path) -> fastmlp.MLP:
    other = case.model(case.seed)
    other.set_parameters(model.parameters())
    other.history = copy.deepcopy(model.history)
    buffer = io.BytesIO()
    np.savez(buffer, **model.training_state())
    buffer.seek(0)
    with np.load(buffer) as state:
        if state.files:
            other.restore_training_state(dict(state))
    return other


def by_file(model: fastmlp.MLP, case: Case, path: Path) -> fastmlp.MLP:
    model.save(path / "cut.safetensors", training_state=True)
    return fastmlp.load(path / "cut.safetensors")


WAYS: dict[str, Callable[[fastmlp.MLP, Case, Path], fastmlp.MLP]] = {
    "the same object": lambda model, case, path: model,
    "pickle": lambda model, case, path: pickle.loads(pickle.dumps(model)),
    "copy": lambda model, case, path: copy.deepcopy(model),
    "training_state": by_state,
    "file": by_file,
}


# ---------------------------------------------------------------- results


def result(case: Case, model: fastmlp.MLP, watchers, path: Path) -> dict[str, Any]:
    """Return all results of a training but the seconds."""
    history = {k: v for k, v in vars(model.history).items() if k != "epoch_seconds"}
    found = {"parameters": model.parameters(), "history": history}
    found["records"] = watchers[-1].records
    if "CSVLogger" in case.callbacks:
        with (path / "log.csv").open(newline="") as stream:
            found["csv"] = [_timeless(row) for row in csv.DictReader(stream)]
    if "JSONLogger" in case.callbacks:
        lines = (path / "log.jsonl").read_text().splitlines()
        found["json"] = [_timeless(json.loads(line)) for line in lines]
    if "TensorBoard" in case.callbacks:
        found["events"] = scalars(path / "events")
    if "ModelCheckpoint" in case.callbacks:
        found["best"] = fastmlp.load(path / "best.safetensors").parameters()
    found["state"] = {
        name: array for name, array in model.training_state().items() if array.dtype.kind != "U"
    }
    return found


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds"}


def scalars(directory: Path) -> list[tuple[str, int, float]]:
    """Read all scalars; each frame is a length, its check sum, an event and its check sum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            content = content[size + 16 :]
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return sorted(entry for entry in found if entry[0] != "seconds")


@contextmanager
def interrupted_after(seconds: float):
    """Raise Cut from a signal after some seconds, between any two Python instructions."""

    def cut(number, frame):
        raise Cut

    before = signal.signal(signal.SIGALRM, cut)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Instructions:
    """Instructions of fastmlp's Python code, before each of which an exception may occur.

    A signal occurs before one of them too, but rarely before one that takes no time.
    """

    # Their loops over values would hide all others.
    LEFT_OUT = ("states.py", "validation.py", "_named.py")

    def __init__(self) -> None:
        self.visits: dict[tuple[CodeType, int], int] = {}

    def chosen(self, random) -> tuple[tuple[CodeType, int], int]:
        """Return a random instruction and the number of one of its visits."""
        places = list(self.visits)
        place = places[random.integers(len(places))]
        return place, int(random.integers(self.visits[place])) + 1

    @contextmanager
    def traced(self, cut: tuple[tuple[CodeType, int], int] | None = None):
        """Count visits, and raise Cut before the chosen one."""
        visits: dict[tuple[CodeType, int], int] = {}
        package = os.path.dirname(fastmlp.__file__)

        def enter(frame, event, argument):
            name = frame.f_code.co_filename
            if not name.startswith(package) or name.endswith(self.LEFT_OUT):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return visit

        def visit(frame, event, argument):
            if event == "opcode":
                place = (frame.f_code, frame.f_lasti)
                visits[place] = visits.get(place, 0) + 1
                if (place, visits[place]) == cut:
                    sys.settrace(None)
                    raise Cut
            return visit

        before = sys.gettrace()
        sys.settrace(enter)
        try:
            yield
        finally:
            sys.settrace(before)
            self.visits = self.visits or visits


def assert_equal(actual, expected, where="result"):
    """Assert that two results are equal to the last bit."""
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys(), where
        for name, value in expected.items():
            assert_equal(actual[name], value, f"{where}[{name!r}]")
    elif isinstance(expected, np.ndarray):
        assert actual.dtype == expected.dtype, where
        assert actual.shape == expected.shape, where
        assert actual.tobytes() == expected.tobytes(), where
    else:
        assert repr(actual) == repr(expected), where
