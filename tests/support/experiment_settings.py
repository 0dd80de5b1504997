"""Settings of a run by section, each with the corresponding arguments of the API."""

from __future__ import annotations

import fastmlp
from fastmlp import schedules

OPTIMIZERS = {
    "learning_rate": ({"learning_rate": 0.2}, fastmlp.SGD(0.2)),
    "momentum": ({"momentum": 0.8}, fastmlp.SGD(0.05, momentum=0.8)),
    "nesterov": (
        {"momentum": 0.8, "nesterov": True}, fastmlp.SGD(0.05, momentum=0.8, nesterov=True)
    ),
    "l2": ({"l2": 0.1}, fastmlp.SGD(0.05, l2=0.1)),
    "l1": ({"l1": 0.1}, fastmlp.SGD(0.05, l1=0.1)),
    "decay": ({"decay": 0.1}, fastmlp.SGD(0.05, decay=0.1)),
    "clip_norm": ({"clip_norm": 0.01}, fastmlp.SGD(0.05, clip_norm=0.01)),
    "clip_value": ({"clip_value": 0.01}, fastmlp.SGD(0.05, clip_value=0.01)),
    "max_norm": ({"max_norm": 0.3}, fastmlp.SGD(0.05, max_norm=0.3)),
    # Another rule drops the rates of the ones before, in the recipe too: its own default counts.
    "adagrad": ({"name": "adagrad"}, fastmlp.Adagrad()),
    "rmsprop": ({"name": "rmsprop"}, fastmlp.RMSprop()),
    "rho": ({"name": "rmsprop", "rho": 0.5}, fastmlp.RMSprop(rho=0.5)),
    "rmsprop momentum": ({"name": "rmsprop", "momentum": 0.5}, fastmlp.RMSprop(momentum=0.5)),
    "centred": ({"name": "rmsprop", "centred": True}, fastmlp.RMSprop(centred=True)),
    "epsilon": ({"name": "rmsprop", "epsilon": 0.1}, fastmlp.RMSprop(epsilon=0.1)),
    "adam": ({"name": "adam"}, fastmlp.Adam()),
    "beta1": ({"name": "adam", "beta1": 0.5}, fastmlp.Adam(beta1=0.5)),
    "beta2": ({"name": "adam", "beta2": 0.5}, fastmlp.Adam(beta2=0.5)),
    "amsgrad": (
        {"name": "adam", "beta2": 0.5, "amsgrad": True},
        fastmlp.Adam(beta2=0.5, amsgrad=True),
    ),
    "adamw": ({"name": "AdamW"}, fastmlp.AdamW()),
    "adamw decay": ({"name": "adamw", "decay": 0.5}, fastmlp.AdamW(decay=0.5)),
    "adamax": ({"name": "adamax"}, fastmlp.Adamax()),
    "nadam": ({"name": "nadam"}, fastmlp.Nadam()),
    "lion": ({"name": "lion"}, fastmlp.Lion()),
}  # fmt: skip

SCHEDULES = {
    "step": ({"name": "step"}, schedules.StepDecay(0.05, every=2)),  # a third of the epochs
    "every": ({"name": "step", "every": 1}, schedules.StepDecay(0.05, every=1)),
    "factor": ({"name": "step", "factor": 0.5}, schedules.StepDecay(0.05, 0.5, every=2)),
    "exponential": ({"name": "exponential", "factor": 0.5}, schedules.Exponential(0.05, 0.5)),
    "per": (
        {"name": "exponential", "factor": 0.9, "per": "step"},
        schedules.Exponential(0.05, 0.9, per="step"),
    ),
    "inverse_scaling": ({"name": "inverse_scaling"}, schedules.InverseScaling(0.05)),
    "power": ({"name": "inverse_scaling", "power": 2.0}, schedules.InverseScaling(0.05, 2.0)),
    "linear": ({"name": "linear"}, schedules.Linear(0.05)),
    "end": ({"name": "linear", "end": 0.04}, schedules.Linear(0.05, 0.04)),
    "length": ({"name": "linear", "length": 9}, schedules.Linear(0.05, length=9)),
    "cosine": ({"name": "cosine", "per": "step"}, schedules.Cosine(0.05)),
    "cosine by epoch": ({"name": "cosine", "per": "epoch"}, schedules.Cosine(0.05, per="epoch")),
    "cos_log": ({"name": "cos_log"}, schedules.CosLog(0.05)),
    "cycles": ({"name": "cos_log", "cycles": 2}, schedules.CosLog(0.05, 2)),
    "flat_cosine": ({"name": "flat_cosine"}, schedules.FlatCosine(0.05)),
    "one_cycle": ({"name": "one_cycle"}, schedules.OneCycle(0.05)),
    "warm_fraction": (
        {"name": "one_cycle", "warm_fraction": 0.5}, schedules.OneCycle(0.05, warm_fraction=0.5)
    ),
    "start_divisor": (
        {"name": "one_cycle", "start_divisor": 2.0}, schedules.OneCycle(0.05, start_divisor=2.0)
    ),
    "end_divisor": (
        {"name": "one_cycle", "end_divisor": 2.0}, schedules.OneCycle(0.05, end_divisor=2.0)
    ),
    "plateau": (
        {"name": "plateau", "patience": 0, "minimum_change": 0.5},
        schedules.ReduceOnPlateau(0.05, patience=0, minimum_change=0.5),
    ),
    "plateau factor": (
        {"name": "plateau", "patience": 0, "minimum_change": 0.5, "factor": 0.5},
        schedules.ReduceOnPlateau(0.05, 0.5, patience=0, minimum_change=0.5),
    ),
    "minimum": (
        {"name": "plateau", "patience": 0, "minimum_change": 0.5, "minimum": 0.03},
        schedules.ReduceOnPlateau(0.05, patience=0, minimum_change=0.5, minimum=0.03),
    ),
    "cooldown": (
        {"name": "plateau", "patience": 0, "minimum_change": 0.5, "cooldown": 1},
        schedules.ReduceOnPlateau(0.05, patience=0, minimum_change=0.5, cooldown=1),
    ),
    "monitor": (
        {"name": "plateau", "patience": 0, "minimum_change": 0.5, "monitor": "loss"},
        schedules.ReduceOnPlateau(0.05, patience=0, minimum_change=0.5, monitor="loss"),
    ),
    "mode": (
        {"name": "plateau", "patience": 0, "mode": "max"},
        schedules.ReduceOnPlateau(0.05, patience=0, mode="max"),
    ),
    "warmup": ({"warmup": 2}, schedules.WarmUp(schedules.Constant(0.05), 2, per="epoch")),
}  # fmt: skip

NETWORKS = {
    "activation": ({"activation": "tanh"}, {"activation": "tanh"}),
    "activation with a parameter": (
        {"activation": {"name": "leaky_relu", "slope": 0.3}},
        {"activation": fastmlp.LeakyReLU(slope=0.3)},
    ),
    "loss": ({"loss": "hinge"}, {"loss": "hinge"}),
    "loss with a parameter": (
        {"loss": {"name": "softmax_cross_entropy", "smoothing": 0.2}},
        {"loss": fastmlp.SoftmaxCrossEntropy(smoothing=0.2)},
    ),
    "dropout": ({"dropout": 0.5}, {"dropout": 0.5}),
    "input_dropout": ({"input_dropout": 0.5}, {"input_dropout": 0.5}),
    "input_noise": ({"input_noise": 0.5}, {"input_noise": 0.5}),
    "batch_normalization": ({"batch_normalization": True}, {"batch_normalization": True}),
    "initializer": ({"initializer": "glorot_normal"}, {"initializer": "glorot_normal"}),
    "initializer with a parameter": (
        {"initializer": {"name": "normal", "deviation": 0.3}},
        {"initializer": fastmlp.Normal(deviation=0.3)},
    ),
    "dtype": ({"dtype": "float64"}, {"dtype": "float64"}),
    "compute_dtype": ({"compute_dtype": "bfloat16"}, {"compute_dtype": "bfloat16"}),
    "seed": ({"seed": 5}, {"seed": 5}),
}

TRAININGS = {
    "epochs": ({"epochs": 7}, {"epochs": 7}),
    "batch_size": ({"batch_size": 5}, {"batch_size": 5}),
    "shuffle": ({"shuffle": False}, {"shuffle": False}),
    "drop_last": ({"drop_last": True}, {"drop_last": True}),
    "shards": ({"shards": 3}, {"shards": 3}),
    "balanced": ({"class_weight": "balanced"}, {"class_weight": "balanced"}),
    "class_weight": (
        {"class_weight": {"virginica": 5.0, "setosa": 0.5}}, {"class_weight": {2: 5.0, 0: 0.5}}
    ),
    "ema": ({"averaging": "ema"}, {"averaging": fastmlp.EMA()}),
    "ema with a decay": (
        {"averaging": {"name": "ema", "decay": 0.5}}, {"averaging": fastmlp.EMA(0.5)}
    ),
    "swa": ({"averaging": "swa"}, {"averaging": fastmlp.SWA()}),
    "swa with a start": (
        {"averaging": {"name": "swa", "start": 2, "every": 2}},
        {"averaging": fastmlp.SWA(start=2, every=2)},
    ),
}  # fmt: skip
