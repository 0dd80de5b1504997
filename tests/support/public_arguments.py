"""All arguments of the public classes that hold settings, each with a valid value."""

from __future__ import annotations

import fastmlp
from fastmlp import schedules
from fastmlp.data import Options

__all__ = ["ARGUMENTS"]


def nothing(*_):
    return 0.25


SHARED = {"learning_rate": 0.125, "l2": 0.5, "l1": 0.25, "decay": 0.25}
SHARED |= {"clip_value": 4.0, "clip_norm": 8.0, "max_norm": 2.0}
SHARED |= {"decay_schedule": schedules.FlatCosine(0.5)}
SHARED |= {"groups": {"biases": fastmlp.Group(rate=0.5, decay=0.25, ntk=True)}}
BETAS = {"beta1": 0.5, "beta2": 0.75}
EPSILON = {"epsilon": 0.0009765625}
PER = {"per": "epoch"}
ELEMENTWISE = {"outputs": 2, "weight": 0.5, "output_weights": (0.5, 2.0)}
# Every argument of every public class, with values that half precision and a byte can hold.
ARGUMENTS = {
    fastmlp.SGD: {**SHARED, "momentum": 0.5, "nesterov": True},
    fastmlp.Adagrad: {**SHARED, **EPSILON},
    fastmlp.RMSprop: {**SHARED, **EPSILON, "rho": 0.75, "momentum": 0.5, "centred": True},
    fastmlp.Adam: {**SHARED, **BETAS, **EPSILON, "amsgrad": True},
    fastmlp.AdamW: {**SHARED, **BETAS, **EPSILON, "amsgrad": True},
    fastmlp.Adamax: {**SHARED, **BETAS, **EPSILON},
    fastmlp.Nadam: {**SHARED, **BETAS, **EPSILON},
    fastmlp.Lion: {**SHARED, **BETAS},
    fastmlp.LBFGS: {"l2": 0.5, "memory": 20, "tolerance": 0.0009765625, "evaluations": 100},
    fastmlp.Group: {"rate": 0.5, "decay": 0.25, "ntk": True},
    fastmlp.EMA: {"decay": 0.5},
    fastmlp.SWA: {"start": 2, "every": 3},
    fastmlp.Constant: {"value": 0.5},
    fastmlp.Normal: {"deviation": 0.5},
    fastmlp.Uniform: {"bound": 0.5},
    fastmlp.Orthogonal: {"gain": 0.5},
    fastmlp.LeakyReLU: {"slope": 0.125},
    fastmlp.ELU: {"alpha": 0.5},
    fastmlp.Step: {"straight_through": True},
    fastmlp.Sign: {"straight_through": True},
    fastmlp.BinaryCrossEntropy: ELEMENTWISE,
    fastmlp.MSE: ELEMENTWISE,
    fastmlp.HalfMSE: ELEMENTWISE,
    fastmlp.MAE: ELEMENTWISE,
    fastmlp.Poisson: ELEMENTWISE,
    fastmlp.Huber: {**ELEMENTWISE, "delta": 0.5},
    fastmlp.Quantile: {**ELEMENTWISE, "levels": (0.25, 0.75)},
    fastmlp.Hinge: {"outputs": 2, "weight": 0.5},
    fastmlp.SoftmaxCrossEntropy: {"outputs": 2, "weight": 0.5, "smoothing": 0.125},
    fastmlp.UserLoss: {"outputs": 2, "weight": 0.5, "function": nothing},
    fastmlp.EarlyStopping: {
        "monitor": "loss",
        "patience": 3,
        "minimum_change": 0.25,
        "mode": "min",
        "restore_best": False,
    },
    fastmlp.LambdaCallback: {"on_step_end": nothing, "every_steps": 100},
    fastmlp.LearningRateScheduler: {"function": nothing},
    fastmlp.ModelCheckpoint: {
        "path": "x",
        "monitor": "loss",
        "save_best_only": False,
        "mode": "min",
        "training_state": True,
    },
    fastmlp.ParameterRecorder: {"every": 2},
    fastmlp.CSVLogger: {"path": "x", "append": True},
    fastmlp.JSONLogger: {"path": "x", "append": True},
    fastmlp.LiveTable: {"monitor": "loss", "mode": "min"},
    schedules.Constant: {"rate": 0.5},
    schedules.StepDecay: {"rate": 0.5, "factor": 0.25, "every": 3, **PER},
    schedules.Exponential: {"rate": 0.5, "factor": 0.75, **PER},
    schedules.InverseScaling: {"rate": 0.5, "power": 0.75, **PER},
    schedules.Linear: {"rate": 0.5, "end": 0.25, "length": 100, **PER},
    schedules.Cosine: {"rate": 0.5, "end": 0.25, "length": 100, **PER},
    schedules.CosLog: {"rate": 0.5, "cycles": 3, **PER},
    schedules.FlatCosine: {"rate": 0.5, **PER},
    schedules.WarmUp: {
        "schedule": schedules.Constant(0.5),
        "length": 3,
        "start": 0.25,
        "per": "step",
    },
    schedules.OneCycle: {
        "peak": 0.5,
        "warm_fraction": 0.25,
        "start_divisor": 4.0,
        "end_divisor": 100.0,
    },
    schedules.ReduceOnPlateau: {
        "rate": 0.5,
        "factor": 0.25,
        "patience": 3,
        "minimum_change": 0.125,
        "monitor": "loss",
        "minimum": 0.0625,
        "cooldown": 2,
        "mode": "min",
    },
    Options: {
        "target": ("a",),
        "features": ("b", "c", "f", "g", "h"),
        "exclude": ("d",),
        "categorical": ("f",),
        "numeric": ("g",),
        "date": ("h=%d.%m.%Y",),
        "id": ("e",),
        "task": "regression",
        "test_fraction": 0.25,
        "validation_fraction": 0.125,
        "stratify": False,
        "split_seed": 7,
        "standardize": True,
        "scaling": "robust",
        "standardize_target": False,
        "clamp_target": True,
        "missing": "mean",
        "missing_token": ("-999",),
        "decimal": ",",
        "thousands": ".",
        "unknown_categories": "error",
        "sample_weight": "w",
    },
}
