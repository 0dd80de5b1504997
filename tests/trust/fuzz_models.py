"""Damaged model files, descriptions in them, and checkpoints."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import FormatError
from fastmlp.data import Preprocessing
from fastmlp.experiment.checkpoint import Checkpoint
from fastmlp.model_file import read_model, write_model
from trust import small_files
from trust.experiment import require
from trust.mutate import damaged, damaged_tree
from trust.small import model_digest
from trust.small_files import scratch_file


def _use(model: fastmlp.MLP) -> None:
    """What is done with a model that was loaded; its own refusals are right."""
    x = np.zeros((2, model.layer_sizes[0]), np.float32)
    require(model.forward(x).shape == (2, model.layer_sizes[-1]), "outputs of another shape")
    require(all(np.isfinite(a).all() for a in model.parameters().values()), "parameters not finite")
    path = small_files.SCRATCH / "again.safetensors"
    model.save(path)
    again = fastmlp.MLP.load(path)
    probe = np.linspace(-3, 3, 2 * model.layer_sizes[0]).reshape(2, -1)
    same = np.array_equal(again.forward(probe), model.forward(probe), equal_nan=True)
    require(same, "saved again, it computes otherwise")
    require(model_digest(again) == model_digest(model), "saved again, it differs")
    require(again.preprocessing == model.preprocessing, "saved again, its preprocessing differs")
    if model.preprocessing is not None:
        with contextlib.suppress(ValueError):
            model.preprocessing.inputs(small_files.table())
        with contextlib.suppress(ValueError):
            model.preprocessing.decode(model.predict(x))


def _rewritten(chance: random.Random, content: bytes, kind: str) -> bytes:
    """The file with its description or its arrays changed, and its digest made anew."""
    path = scratch_file("source.safetensors", content)
    arrays, config = read_model(path, kind=kind)
    what = chance.randrange(3)
    if what < 2:
        config = damaged_tree(chance, config)
    if what > 0:
        name = chance.choice(sorted(arrays))
        array = arrays.pop(name)
        choice = chance.randrange(5)
        if choice == 0:
            arrays[name] = np.atleast_1d(array)[..., :-1]
        elif choice == 1:
            arrays[name + "x"] = array
        elif choice == 2:
            arrays[name] = np.float64(chance.choice((1e308, -1e308, 1e-320, 0))) * np.ones_like(
                array, np.float64
            )
        elif choice == 3:
            arrays[name] = array.reshape(1, *array.shape)
    path = small_files.SCRATCH / "rewritten.safetensors"
    try:
        write_model(path, arrays, config, kind=kind)
    except (TypeError, ValueError, RecursionError):  # what cannot be stored needs no reader
        return damaged(chance, content)
    return path.read_bytes()


def _same_or_refused(content: bytes, changed: bytes, load: Callable[[Path], Any]) -> Any:
    """What the changed file holds, None where it was refused."""
    path = scratch_file("changed.safetensors", changed)
    try:
        return load(path)
    except FormatError as error:
        require(str(path) in str(error), f"the message does not name the file: {error}")
        require(changed != content, f"a valid file was refused: {error}")
        return None


def model_case(seed: int) -> None:
    """Bytes of a model file changed: nothing but the file as it was is accepted."""
    chance = random.Random(seed)
    content, other = small_files.pick(chance, "model")
    changed = damaged(chance, content, other)
    model = _same_or_refused(content, changed, fastmlp.MLP.load)
    if model is not None:
        require(changed in small_files.valid_files("model"), "a damaged file was accepted")
        _use(model)


def rewritten_model_case(seed: int) -> None:
    """Description or arrays changed under a right digest: refused, or a model that works."""
    chance = random.Random(seed)
    content, _ = small_files.pick(chance, "model")
    changed = _rewritten(chance, content, "fastmlp-model")
    model = _same_or_refused(content, changed, fastmlp.MLP.load)
    if model is not None:
        _use(model)


def preprocessing_case(seed: int) -> None:
    """The same for the part of the description that says how tables become inputs."""
    chance = random.Random(seed)
    content = small_files.valid_files("model")[1]
    arrays, config = read_model(scratch_file("source.safetensors", content))
    config["preprocessing"] = damaged_tree(chance, config["preprocessing"])
    path = small_files.SCRATCH / "rewritten.safetensors"
    try:
        write_model(path, arrays, config)
    except (TypeError, ValueError, RecursionError):
        return
    model = _same_or_refused(content, path.read_bytes(), fastmlp.MLP.load)
    if model is not None:
        _use(model)


def checkpoint_case(seed: int) -> None:
    """Both kinds of change to a checkpoint; what is accepted can be gone on from, or says not."""
    chance = random.Random(seed)
    content, other = small_files.pick(chance, "checkpoint")
    rewritten = chance.random() < 0.5
    if rewritten:
        changed = _rewritten(chance, content, "fastmlp-checkpoint")
    else:
        changed = damaged(chance, content, other)
    checkpoint = _same_or_refused(content, changed, Checkpoint.load)
    if checkpoint is None:
        return
    if not rewritten:
        valid = small_files.valid_files("checkpoint")
        require(changed in valid, "a damaged checkpoint was accepted")
    model = fastmlp.MLP([4, 6, 3], seed=1)
    with contextlib.suppress(ValueError):
        checkpoint.restore(model)
    x, y = np.zeros((6, 4)), np.arange(6) % 3
    for resume in (True, False):  # refused, perhaps, but the model stays usable
        with contextlib.suppress(ValueError, fastmlp.DivergedError):
            model.fit(x, y, epochs=1, optimizer=fastmlp.Adam(), resume=resume, verbose=0, threads=1)


# ---------------------------------------------------------------- planted faults


def plant_blind_digest() -> None:
    """A reader of models for which any digest is right."""
    from fastmlp import model_file

    class Right(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __ne__(self, other: object) -> bool:
            return False

    original = model_file._digest
    model_file._digest = lambda *a: Right(original(*a))


def plant_lost_activation() -> None:
    """A description that forgets which activations a network has."""
    from fastmlp.network.architecture import Architecture

    original = Architecture.config
    Architecture.config = lambda self: {  # type: ignore[method-assign]
        **original(self), "activation": "sigmoid"
    }  # fmt: skip


def plant_lost_order() -> None:
    """A description of preprocessing that has its classes in another order."""
    original = Preprocessing.config

    def reversed_classes(self: Preprocessing) -> dict[str, Any]:
        config = original(self)
        return {**config, "class_names": (config["class_names"] or [])[::-1]}

    Preprocessing.config = reversed_classes  # type: ignore[method-assign]


def plant_wrong_records() -> None:
    """A checkpoint that does not look at its records."""
    original = Checkpoint.load.__func__  # type: ignore[attr-defined]

    def careless(cls: Any, path: Path) -> Any:
        try:
            return original(cls, path)
        except FormatError as error:
            raise KeyError("records") from error

    Checkpoint.load = classmethod(careless)  # type: ignore[assignment]
