"""The network and the calls of `fit` of some settings: as objects, and as a program to read.

Both are made of the same arguments, so that the program does what the page does.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fastmlp
from fastmlp.optimizers import OPTIMIZERS, Optimizer
from fastmlp.play.recipes import RECIPES, feature_code, features_of, points_of
from fastmlp.play.settings import DigitSettings, Phase, Settings, TrainSettings

__all__ = [
    "Samples", "Stretch", "command", "digit_model", "digit_program", "model_of", "optimizer_of",
    "phase_at", "program", "samples_of", "steps_per_epoch", "stop_at", "stretches", "table",
]  # fmt: skip

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Samples:
    """Points of the plane and what the network learns of them, the training part first.

    Attributes
    ----------
    points : array of shape (samples, 2)
    labels : array
        Classes of shape (samples,), or values of shape (samples, 1).
    x, y : array
        Inputs and targets of the network.
    trained : int
        Number of samples of the training part.
    """

    points: Array
    labels: Array
    x: Array
    y: Array
    trained: int

    @property
    def train(self) -> tuple[Array, Array]:
        """Inputs and targets of the training part."""
        return self.x[: self.trained], self.y[: self.trained]

    @property
    def test(self) -> tuple[Array, Array]:
        """Inputs and targets of the test part."""
        return self.x[self.trained :], self.y[self.trained :]


@dataclass(frozen=True)
class Stretch:
    """One call of `fit`: epochs of a phase, and the step within the next epoch where it ends.

    Attributes
    ----------
    phase : Phase
    epochs : int
        Argument of the call.
    step : int or None
        Step, counted from the start of the training, at which the call ends; None: at the end of
        the last epoch.
    """

    phase: Phase
    epochs: int
    step: int | None = None


def stretches(settings: TrainSettings, epoch: int, step: int) -> Iterator[Stretch]:
    """Yield the calls of `fit` up to a step of an epoch.

    Parameters
    ----------
    settings : TrainSettings
    epoch, step : int
        Completed epochs, and completed steps of the next one.
    """
    phases = [phase for phase in settings.phases if phase.start < epoch]
    for place, phase in enumerate(phases):
        last = place + 1 == len(phases)
        yield Stretch(phase, (epoch if last else phases[place + 1].start) - phase.start)
    if step:
        phase = phase_at(settings, epoch)
        yield Stretch(phase, 1, epoch * steps_per_epoch(settings, epoch) + step)


def phase_at(settings: TrainSettings, epoch: int) -> Phase:
    """Return the phase of the epoch after so many that are completed."""
    return [phase for phase in settings.phases if phase.start <= epoch][-1]


def steps_per_epoch(settings: TrainSettings, epoch: int) -> int:
    """Return the number of batches of the epoch after so many that are completed."""
    return math.ceil(settings.trained / phase_at(settings, epoch).batch_size)


def stop_at(step: int) -> fastmlp.LambdaCallback:
    """Return a callback that ends a call of `fit` at a step, counted from the first one."""
    return fastmlp.LambdaCallback(on_step_end=lambda training, record: True, every_steps=step)


# ---------------------------------------------------------------- objects


def samples_of(settings: Settings) -> Samples:
    """Return the samples of some settings."""
    points, labels = points_of(settings.data, _variables(settings))
    x = features_of(settings.features, points)
    y = np.eye(settings.classes)[labels] if _is_one_hot(settings) else labels
    return Samples(points, labels, x, y, settings.trained)


def model_of(settings: Settings) -> fastmlp.MLP:
    """Return the network before its training."""
    return fastmlp.MLP(_sizes(settings), **_model_arguments(settings))


def digit_model(settings: DigitSettings) -> fastmlp.MLP:
    """Return the network of digits before its training."""
    return fastmlp.MLP(_digit_sizes(settings), **_digit_arguments(settings))


def optimizer_of(settings: TrainSettings, phase: Phase) -> Optimizer:
    """Return the optimizer of a phase."""
    return OPTIMIZERS[settings.optimizer](**_optimizer_arguments(settings, phase))


def _variables(settings: Settings) -> dict[str, Any]:
    """Return what the lines of a data set read."""
    if settings.data == "drawn":
        drawn = np.array([[point.x1, point.x2, point.label] for point in settings.drawn])
        drawn = drawn.reshape(-1, 3)  # also of no point
        return {"drawn": drawn, "data_seed": settings.data_seed}
    names = ("samples", "noise", "data_seed")
    return {name: getattr(settings, name) for name in names}


def _is_one_hot(settings: Settings) -> bool:
    return settings.is_classification and settings.loss == "mse"


def _sizes(settings: Settings) -> list[int]:
    return [len(settings.features), *settings.hidden, settings.classes or 1]


def _digit_sizes(settings: DigitSettings) -> list[int]:
    return [784, *settings.hidden, 10]


def _model_arguments(settings: Settings) -> dict[str, Any]:
    return _network_arguments(settings) | {"loss": settings.loss, "input_scale": 1}


def _digit_arguments(settings: DigitSettings) -> dict[str, Any]:
    return _network_arguments(settings) | {"input_scale": 1 / 255}


def _network_arguments(settings: TrainSettings) -> dict[str, Any]:
    """Return the arguments of `MLP` without those at their defaults, which take no words."""
    arguments: dict[str, Any] = {"activation": settings.activation, "seed": settings.seed}
    if settings.hidden and settings.dropout:
        arguments["dropout"] = settings.dropout
    if settings.hidden and settings.batch_normalization:
        arguments["batch_normalization"] = True
    if settings.initializer is not None:
        arguments["initializer"] = settings.initializer
    return arguments


def _optimizer_arguments(settings: TrainSettings, phase: Phase) -> dict[str, Any]:
    arguments: dict[str, Any] = {"learning_rate": phase.learning_rate}
    if settings.momentum:
        arguments["momentum"] = settings.momentum
    if phase.l2:
        arguments["l2"] = phase.l2
    return arguments


# ---------------------------------------------------------------- text


def program(settings: Settings, epoch: int, step: int) -> str:
    """Return a program that trains as the page has done up to a step of an epoch."""
    variables = _variables(settings)
    lines = ["import hashlib", "", "import numpy as np", "", "import fastmlp", ""]
    for name, value in variables.items():
        shown = f"np.array({value.tolist()})" if name == "drawn" else repr(value)
        lines.append(f"{name} = {shown}")
    lines += [RECIPES[settings.data].code, feature_code(settings.features)]
    if _is_one_hot(settings):
        lines.append(f"y = np.eye({settings.classes})[y]")
    lines += [
        f"train = {settings.trained}  # the other points are the test part",
        "",
        f"model = {_call('fastmlp.MLP', [repr(_sizes(settings))], _model_arguments(settings))}",
    ]
    samples = "x[:train], y[:train]"
    validation = "(x[train:], y[train:])"
    lines += _fits(settings, epoch, step, samples, validation)
    lines += ["print(model.evaluate(x[train:], y[train:]))", *_DIGEST]
    return "\n".join(lines) + "\n"


_DIGEST = (
    'parameters = b"".join(array.tobytes() for array in model.parameters().values())',
    "print(hashlib.sha256(parameters).hexdigest())",
)


def digit_program(settings: DigitSettings, epoch: int, step: int) -> str:
    """Return a program that trains a network of digits up to a step of an epoch."""
    made = _call("fastmlp.MLP", [repr(_digit_sizes(settings))], _digit_arguments(settings))
    lines = [
        "import hashlib", "", "import fastmlp", "", 'data = fastmlp.datasets.load("mnist")',
        f"model = {made.replace(repr(1 / 255), '1 / 255')}",
        *_fits(settings, epoch, step, "data.x_train, data.y_train", None),
        "print(model.evaluate(data.x_test, data.y_test))", *_DIGEST,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _fits(
    settings: TrainSettings, epoch: int, step: int, samples: str, validation: str | None
) -> Iterator[str]:  # fmt: skip
    kind = OPTIMIZERS[settings.optimizer].__name__
    for place, stretch in enumerate(stretches(settings, epoch, step)):
        phase = stretch.phase
        rule = _call(f"fastmlp.{kind}", [], _optimizer_arguments(settings, phase))
        parts = [
            f"    {samples}, epochs={stretch.epochs}, batch_size={phase.batch_size},",
            f"    optimizer={rule},",
        ]
        if validation is not None:
            parts.append(f"    validation_data={validation},")
        if stretch.step is not None:
            yield "# A callback that returns True ends the training, here within an epoch."
            yield (
                "stop = fastmlp.LambdaCallback("
                f"on_step_end=lambda training, record: True, every_steps={stretch.step})"
            )
            parts.append("    callbacks=[stop],")
        resume = "resume=True, " if place else ""
        yield "\n".join(["model.fit(", *parts, f"    {resume}verbose=0,", ")"])


def _call(name: str, positional: list[str], arguments: Mapping[str, Any]) -> str:
    parts = positional + [f"{key}={value!r}" for key, value in arguments.items()]
    return f"{name}({', '.join(parts)})"


def command(
    settings: Settings, samples: Samples, epoch: int, step: int, losses: Sequence[float]
) -> tuple[str, str]:
    """Return a command line with the result of the page, or why there is none.

    Parameters
    ----------
    settings : Settings
    samples : Samples
        Those of the settings.
    epoch, step : int
        Completed epochs, and completed steps of the next one.
    losses : sequence of float
        Losses so far, of both parts.

    Returns
    -------
    command, reason : str
        One of them is empty.
    """
    if len(settings.phases) > 1:
        return "", "The settings were changed during the training, which the command cannot do."
    if step or not epoch:
        return "", "The command trains whole epochs: press Epoch to complete one."
    if not np.isfinite(losses).all():
        return "", "A loss was not finite, with which the command ends."
    if _is_one_hot(settings):
        return "", "The command takes classes for cross-entropy and hinge alone."
    if len(np.unique(samples.labels[: samples.trained])) < settings.classes:
        return "", "The command knows the classes of train.csv alone, which has no point of one."
    if (np.ptp(samples.train[0], axis=0) == 0).any():
        return "", "The command leaves out a feature that is the same in all rows of train.csv."
    phase = settings.phases[0]
    options: dict[str, Any] = {
        "test": "test.csv", "target": "y", "validation-fraction": 0, "architecture": "mlp",
        "hidden": ",".join(map(str, settings.hidden)) or "none",
        "activation": settings.activation, "loss": settings.loss, "seed": settings.seed,
        "optimizer": settings.optimizer, "lr": phase.learning_rate,
        "momentum": settings.momentum, "l2": phase.l2, "lr-schedule": "constant",
        "epochs": epoch, "batch-size": phase.batch_size, "dropout": settings.dropout,
    }  # fmt: skip
    if settings.initializer is not None:
        options["initializer"] = settings.initializer
    if settings.optimizer == "adamw":
        options["decay"] = OPTIMIZERS["adamw"](learning_rate=phase.learning_rate).decay
    for name in ("momentum", "l2", "dropout"):
        if not options[name] or (name == "dropout" and not settings.hidden):
            del options[name]
    words = ["fastmlp", "train", "train.csv"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    words.append("--no-standardize")
    if not settings.is_classification:
        words += ["--task", "regression", "--no-standardize-target", "--no-clamp-target"]
    if settings.hidden and settings.batch_normalization:
        words.append("--batch-normalization")
    return shlex.join(words), ""


def table(settings: Settings, samples: Samples, *, trained: bool) -> str:
    """Return one part of the samples as CSV with the inputs of the network and the target."""
    part = slice(None, samples.trained) if trained else slice(samples.trained, None)
    names = [*settings.features, "y"]
    lines = [",".join(names)]
    for row, label in zip(samples.x[part].tolist(), samples.labels[part].tolist(), strict=True):
        target = "ABC"[label] if settings.is_classification else repr(label[0])
        lines.append(",".join([*map(repr, row), target]))
    return "\n".join(lines) + "\n"
