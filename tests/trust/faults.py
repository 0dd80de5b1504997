"""A fault at every system call of everything that writes: what was there stays whole.

An operation runs in a copy of a prepared process, below a folder of its own. faults.c, loaded into
it, makes the n-th call of a kind fail or kills the process there; n goes up until the operation
ends without reaching the fault. After each, the files must be the old or the new ones, whole, and
what the next operation leaves behind must be what it always leaves.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastmlp
from fastmlp.experiment.checkpoint import Checkpoint, CheckpointStore
from support.small_checkpoint import checkpoint_of
from trust.experiment import Experiment, Section, require
from trust.injector import (
    KINDS,
    at_every_call,
    no_compiler,
    preloaded,
)
from trust.small import Problem, digest, model_digest
from trust.worker import environment

# ---------------------------------------------------------------- a model


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@functools.cache
def _models() -> tuple[fastmlp.MLP, fastmlp.MLP]:
    return Problem(1).trained(1), Problem(2).trained(2)


def model_case(case: int) -> int:
    """`MLP.save` over an older model."""
    older, newer = _models()

    def after(folder: Path) -> None:
        newer.save(folder / "m.safetensors")
        require(_files(folder) == ["m.safetensors"], f"litter that stays: {_files(folder)}")

    return at_every_call(
        case,
        lambda folder: older.save(folder / "m.safetensors"),
        lambda folder: newer.save(folder / "m.safetensors"),
        lambda folder: model_digest(fastmlp.load(folder / "m.safetensors")),
        model_digest(newer),
        after,
    )


# ---------------------------------------------------------------- a checkpoint


@functools.cache
def _checkpoints() -> list[Any]:
    return [checkpoint_of(epochs) for epochs in (1, 2, 3)]


def _newest(folder: Path) -> str:
    found, problems = CheckpointStore(folder / "checkpoints").newest()
    require(problems == [], f"damaged: {problems}")
    require(found is not None, "no checkpoint is left")
    assert found is not None
    return _told(found)


def _told(checkpoint: Checkpoint) -> str:
    arrays = {**checkpoint.parameters, **checkpoint.state}
    return f"epoch {checkpoint.epoch} " + digest(arrays[name] for name in sorted(arrays))


def checkpoint_case(case: int) -> int:
    """The third checkpoint of a run, for which the first one goes."""
    first, second, third = _checkpoints()

    def prepare(folder: Path) -> None:
        for checkpoint in (first, second):
            CheckpointStore(folder / "checkpoints").write(checkpoint)

    def after(folder: Path) -> None:
        store = CheckpointStore(folder / "checkpoints")
        store.sweep()
        store.write(third)
        wanted = [f"checkpoints/epoch-0000000{epoch}.safetensors" for epoch in (2, 3)]
        require(_files(folder) == wanted, f"litter that stays: {_files(folder)}")

    return at_every_call(
        case,
        prepare,
        lambda folder: CheckpointStore(folder / "checkpoints").write(third),
        _newest,
        _told(third),
        after,
    )


# ---------------------------------------------------------------- a run, whole

TRAIN = (
    "train", "moons", "--hidden", "6", "--epochs", "2", "--checkpoint-every", "1", "--threads", "1",
    "--averaging", "ema", "--no-report", "--quiet",
)  # fmt: skip
_MADE = ("best.safetensors", "last.safetensors", "config.toml", "metrics.jsonl", "result.json")


def _command(*arguments: object) -> None:
    """A command line in this process; OSError for the exit codes of refusals."""
    from fastmlp.cli import main

    with tempfile.TemporaryFile("w+") as said:
        sys.stderr = sys.stdout = said
        try:
            code = main([str(argument) for argument in arguments])
        finally:
            sys.stderr, sys.stdout = sys.__stderr__, sys.__stdout__
        said.seek(0)
        text = said.read()
    require(
        "unexpected" not in text and "Traceback" not in text, f"exit code {code}: {text[-600:]}"
    )
    if code:
        raise OSError(f"exit code {code}: {text[-600:]}")


@functools.cache
def _uninterrupted() -> tuple[dict[str, str], list[str]]:
    """Digests of the models of a run without faults, and the names of its files."""
    with tempfile.TemporaryDirectory() as root:
        run = Path(root) / "run"
        _command(*TRAIN, "--out", run)
        return _models_of(run), _files(run)


def _models_of(run: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.glob("*.safetensors"))
    }


def _whole(folder: Path) -> str:
    """Every file that is there is whole: it can be read by its reader."""
    from fastmlp.experiment.rundir import RunDirectory

    run = RunDirectory(folder / "run")
    if run.config_path.exists():
        run.config()
    run.result(), run.environment(), run.records()
    _, problems = run.checkpoints.newest()
    require(problems == [], f"damaged: {problems}")
    for path in run.path.glob("*.safetensors"):
        fastmlp.load(path)
    return "whole"


def run_case(case: int) -> int:
    """`fastmlp train`, from the making of its directory to its last file; then resumed."""
    models, files = _uninterrupted()

    def after(folder: Path) -> None:
        run = folder / "run"
        if (run / "config.toml").exists():
            _command("train", "--resume", run, "--quiet", "--no-report")
        else:  # nothing was trained yet
            _command(*TRAIN, "--out", run, "--overwrite")
        require(_models_of(run) == models, "resumed, it has another result")
        litter = sorted(set(_files(run)) ^ set(files))
        require(litter == [], f"other files than a run without faults: {litter}")

    return at_every_call(
        case,
        lambda folder: None,
        lambda folder: _command(*TRAIN, "--out", folder / "run"),
        _whole,
        "whole",
        after,
    )


# ---------------------------------------------------------------- by the kernel

_SAVE = """
import sys
from trust.worker import plant_fault
from trust.small import Problem
plant_fault()
model = Problem(2).trained(2)
try:
    model.save(sys.argv[1])
except OSError as error:
    sys.exit(41)
"""
# Not those that starting Python makes by the hundred: openat, close.
_TRACED = {
    "write": ("ENOSPC", "EIO", "EINTR"),
    "fsync": ("EIO", "ENOSPC", "EINTR"),
    "rename,renameat,renameat2": ("EIO", "ENOSPC"),
}
_TRACED_KINDS = [
    (call, how)
    for call, errors in _TRACED.items()
    for how in (*(f"error={error}" for error in errors), "signal=KILL")
]


def cannot_trace() -> str | None:
    if shutil.which("strace") is None:
        return "needs strace"
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "strace is not allowed to trace here (ptrace)"


def strace_case(case: int) -> int:
    """`MLP.save` with the kernel's own faults: also calls that faults.c does not know."""
    call, how = _TRACED_KINDS[case]
    older, newer = _models()
    tried = 0
    with tempfile.TemporaryDirectory() as root:
        path, log = Path(root) / "folder" / "m.safetensors", Path(root) / "log"
        path.parent.mkdir()
        for number in range(1, 20):
            older.save(path)
            done = subprocess.run(
                ["strace", "-f", "-o", log, "-e", f"trace={call}", "-e",
                 f"inject={call}:{how}:when={number}", sys.executable, "-c", _SAVE, path],
                env=environment(), capture_output=True, check=False,
            )  # fmt: skip
            met = "INJECTED" in log.read_text() or done.returncode in (-9, 137)
            where = f"{how} at {call} {number}, exit code {done.returncode}"
            found = model_digest(fastmlp.load(path))
            known = {model_digest(older): "old", model_digest(newer): "new"}
            require(found in known, f"{where}: neither the old nor the new model")
            require(done.returncode in (0, 41, -9, 137), f"{where}: {done.stderr.decode()[-500:]}")
            require(done.returncode != 0 or known[found] == "new", f"{where}: done, but old")
            if not met:
                return tried
            tried += 1
    raise AssertionError(f"{call}: its calls never end")


# ---------------------------------------------------------------- planted faults


def _plant_write(unsafe: Callable[[Any, bytes], None]) -> None:
    from fastmlp import _files, model_file
    from fastmlp.experiment import rundir

    for module in (_files, model_file, rundir):
        module.atomic_write = unsafe  # type: ignore[attr-defined]


def plant_in_place() -> None:
    """Files are written over the older ones."""

    def unsafe(path: Any, data: bytes) -> None:
        half = len(data) // 2
        with open(path, "wb", buffering=0) as stream:
            stream.write(data[:half])
            stream.write(data[half:])

    _plant_write(unsafe)


def plant_silence() -> None:
    """Errors of the disk are swallowed."""
    from fastmlp._files import atomic_write

    def unsafe(path: Any, data: bytes) -> None:
        try:
            atomic_write(path, data)
        except OSError:
            time.sleep(0)

    _plant_write(unsafe)


def plant_litter() -> None:
    """Temporary files have names that nobody sweeps."""
    import tempfile

    def unsafe(path: Any, data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=Path(path).parent, delete=False) as stream:
            stream.write(data)
        os.replace(stream.name, path)

    _plant_write(unsafe)


def _experiment(name: str, what: str, planted: str, plant: str, share: float) -> Experiment:
    return Experiment(
        name=f"faults.{name}",
        promise=f"A fault or a kill at any system call of {what} leaves the old or the new "
        "file intact, and no temporary file.",
        counted="faults",
        case=f"trust.faults:{name}_case",
        planted=planted,
        plant=f"trust.faults:{plant}",
        size=len(KINDS),
        seconds=600.0,
        share=share,
        missing=no_compiler,
        prepare=preloaded,
    )


SECTION = Section(
    "faults",
    "Faults and kills at every system call of everything that is written",
    3.0,
    True,
    (
        _experiment("model", "saving a model", "files are written in place", "plant_in_place", 0.6),
        _experiment("checkpoint", "writing a checkpoint", "errors are swallowed", "plant_silence",
                    0.6),
        _experiment("run", "a training with all its files", "temporary files are not swept",
                    "plant_litter", 4.0),
        Experiment(
            name="faults.strace",
            promise="The same of saving a model, with faults made by the kernel (strace).",
            counted="faults",
            case="trust.faults:strace_case",
            planted="files are written in place",
            plant="trust.faults:plant_in_place",
            size=len(_TRACED_KINDS),
            seconds=600.0,
            share=1.0,
            missing=cannot_trace,
        ),
    ),
)  # fmt: skip
