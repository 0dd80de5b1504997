"""Settings of training whose bits must not depend on the way of computing, and digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastmlp
from fastmlp import schedules
from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear

# For two threads the first layer is split by outputs, the others by rows; the last batch is short.
FEATURES, HIDDEN, OUTPUTS = 70, (64, 33), 5
SAMPLES, BATCH = 109, 24


def samples(dtype):
    """Return samples, mostly zeros: about half of the columns of each batch, and some rows."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((SAMPLES, FEATURES)) * (rng.random((SAMPLES, FEATURES)) < 0.03)
    return x.astype(dtype)


def targets(kind, outputs=OUTPUTS):
    rng = np.random.default_rng(2)
    if kind == "classes":
        return rng.integers(0, outputs, SAMPLES)
    if kind == "probabilities":
        return rng.dirichlet(np.ones(outputs), SAMPLES)
    return rng.uniform(0, 1, (SAMPLES, outputs))


def log_cosh(outputs, wanted):
    """Return loss and gradient; all sums are NumPy's, so that they suit any split of the work."""
    distance = outputs - wanted
    return np.log(np.cosh(distance)).sum() / len(wanted), np.tanh(distance) / len(wanted)


@dataclass(frozen=True)
class Setting:
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: Any = field(default_factory=lambda: fastmlp.SGD(0.05, 0.9, True))
    fit: dict[str, Any] = field(default_factory=dict)
    frozen: tuple[int, ...] = ()
    targets: Any = "classes"


def of_loss(loss, kind="values", **model):
    return Setting({"loss": loss, **model}, fastmlp.SGD(0.01, 0.9), targets=kind)


WEIGHTS = {"sample_weight": np.random.default_rng(3).uniform(0, 2, SAMPLES)}
OF_OUTPUTS = {"output_weights": (1.0, 0.5, 2.0, 0.0, 1.5)}
BN = {"batch_normalization": True}
BF16 = {"compute_dtype": "bfloat16"}
MIXED = {**BN, "dropout": [0.4, 0.2], "input_dropout": 0.1, "input_noise": 0.2}
CLIPS = {"clip_norm": 0.3, "clip_value": 0.02}
ADAM = fastmlp.Adam(0.01, l1=1e-4, l2=1e-3, decay=0.1, max_norm=1.5)
GROUPS = [
    fastmlp.SoftmaxCrossEntropy(outputs=2, smoothing=0.1),
    fastmlp.Quantile(outputs=2, weight=0.7, levels=(0.2, 0.8)),
    fastmlp.BinaryCrossEntropy(outputs=1, weight=2.0),
]
EMBEDDED = [
    Numbers(9, embedding=Periodic(bases=16, outputs=3), clip=3.0),
    Numbers(3, embedding=Periodic(bases=6, outputs=0, phases=False, keeps_value=False)),
    OneHot(2),
    OneHot(5, values=tuple(0.1 * i for i in range(10))),
    Category(7, 9),
    Numbers(4, embedding=PiecewiseLinear([-1.0, -0.3, 0.0, 0.7], outputs=5, relu=True)),
    Numbers(2, embedding=PiecewiseLinear([[-1.0, 0.0, 1.0], [0.0, 0.5, 2.0]], keeps_value=True)),
    Category(2, 1),
    Numbers(48, clip=2.0),
]
TABLE = {
    "inputs": EMBEDDED,
    "input_scaling": True,
    "parametric": True,
    "activation": ["mish", "selu"],
}
TABM = {"members": 5, "sharing": "tabm"}
MINI = {"members": 4, "sharing": "tabm-mini"}
PACKED = {"members": 3, "sharing": "packed"}
STRAIGHT = [fastmlp.Step(straight_through=True), fastmlp.Sign(straight_through=True)]
SETTINGS = {
    "dropout": Setting({"dropout": 0.4}),
    "disturbed input": Setting({"input_dropout": 0.3, "input_noise": 0.5}),
    "batch normalization": Setting(BN),
    "layer normalization": Setting({"layer_normalization": True, "dropout": 0.3}, ADAM),
    "mixed layers": Setting(MIXED, ADAM),
    "thresholds": Setting({"activation": STRAIGHT}),
    "elu and selu": Setting({"activation": [fastmlp.ELU(0.5), "selu"], "dropout": 0.2}),
    "both gelus": Setting({"activation": ["gelu", "gelu_tanh"]}),
    "silu and softplus": Setting({"activation": ["silu", "softplus"], **BN}),
    "mish": Setting({"activation": "mish", "dropout": 0.2}),
    "piecewise": Setting({"activation": ["hard_sigmoid", fastmlp.LeakyReLU(0.2)]}),
    "smoothing": of_loss(fastmlp.SoftmaxCrossEntropy(smoothing=0.1), "classes"),
    "probabilities": of_loss("softmax_cross_entropy", "probabilities"),
    "hinge": of_loss("hinge", "classes"),
    "several answers": of_loss(fastmlp.BinaryCrossEntropy(**OF_OUTPUTS)),
    "half_mse": of_loss(fastmlp.HalfMSE(weight=0.5)),
    "mae": of_loss(fastmlp.MAE(**OF_OUTPUTS)),
    "huber": of_loss(fastmlp.Huber(delta=0.3)),
    "poisson": of_loss("poisson"),
    "mse of softmax": of_loss("mse", output_activation="softmax"),
    "user-defined": of_loss(log_cosh),
    "output groups": of_loss(GROUPS, ("classes", "values", "values"), **BN),
    "clips": Setting(MIXED, fastmlp.SGD(0.1, 0.9, **CLIPS)),
    "clipped RMSprop": Setting({}, fastmlp.RMSprop(0.01, momentum=0.5, centred=True, **CLIPS)),
    "EMA": Setting(MIXED, ADAM, {"averaging": fastmlp.EMA(0.9)}),
    "SWA": Setting(MIXED, ADAM, {"averaging": fastmlp.SWA()}),
    "weights": Setting(BN, fit={**WEIGHTS, "class_weight": "balanced"}),
    "frozen": Setting(MIXED, ADAM, {"averaging": fastmlp.EMA(0.9)}, frozen=(0,)),
    "frozen in the middle": Setting(BN, fastmlp.SGD(0.1, 0.9, **CLIPS), frozen=(1,)),
    "embedded inputs": Setting({**TABLE, "dropout": 0.2}, ADAM),
    "scaled inputs": Setting({"input_scaling": True, "parametric": True, **BN}),
    "tabm": Setting({**TABM, "dropout": 0.1, "parametric": True}, ADAM),
    "tabm, own batches": Setting({**TABM, "own_batches": True}, ADAM, WEIGHTS),
    "tabm of groups": of_loss(GROUPS, ("classes", "values", "values"), **TABM, **BN),
    "embedded tabm": Setting(
        {**TABLE, **TABM}, fastmlp.AdamW(0.01), {"averaging": fastmlp.EMA(0.9)}
    ),
    "tabm-mini": Setting({**MINI, **BN, "inputs": EMBEDDED}, fastmlp.SGD(0.1, 0.9, **CLIPS)),
    "packed": Setting({**PACKED, **BN, "parametric": True}, ADAM, WEIGHTS),
    "packed, clipped": Setting({**TABLE, **PACKED}, fastmlp.RMSprop(0.01, **CLIPS)),
    "packed, own batches": Setting({**TABLE, **PACKED, "own_batches": True}, ADAM),
    "frozen inputs": Setting({**TABLE, **TABM}, ADAM, {"averaging": fastmlp.EMA(0.9)}, frozen=(0,)),
    "tabm, frozen in the middle": Setting(TABM, fastmlp.SGD(0.1, 0.9, **CLIPS), frozen=(1,)),
    "bfloat16": Setting(BF16),
    "bfloat16 of mixed layers": Setting({**MIXED, **BF16}, ADAM, {"averaging": fastmlp.EMA(0.9)}),
    "bfloat16, embedded": Setting({**TABLE, **BF16, "dropout": 0.2}, ADAM),
    "bfloat16, clipped": Setting(
        {**BF16, "layer_normalization": True}, fastmlp.SGD(0.1, 0.9, **CLIPS)
    ),
    "bfloat16, user-defined": of_loss(log_cosh, **BF16),
    "rates by step": Setting(MIXED, fastmlp.Nadam(schedules.Cosine(0.02))),
}


def new_model(name, dtype):
    setting = SETTINGS[name]
    options = {"activation": "tanh", **setting.model}
    if dtype == "float64":
        options.pop("compute_dtype", None)  # of float32 alone
    model = fastmlp.MLP([FEATURES, *HIDDEN, OUTPUTS], dtype=dtype, seed=7, **options)
    if setting.frozen:
        model.freeze(setting.frozen)
    return model


def targets_of(name):
    kinds = SETTINGS[name].targets
    if isinstance(kinds, str):
        return targets(kinds)
    losses = SETTINGS[name].model["loss"]
    return [targets(kind, loss.outputs) for kind, loss in zip(kinds, losses, strict=True)]


def fit(model, name, threads, x=None, **options):
    setting = SETTINGS[name]
    arguments = {"epochs": 2, "batch_size": BATCH, "verbose": 0, **setting.fit, **options}
    x = samples(model.dtype) if x is None else x
    return model.fit(x, targets_of(name), optimizer=setting.optimizer, threads=threads, **arguments)


def digest(arrays):
    joined = hashlib.sha256()
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()


def trained_digest(name, dtype, threads, make=np.asarray):
    """Return the SHA-256 of all results of training, prediction and differentiation."""
    x, model = make(samples(dtype)), new_model(name, dtype)
    history = fit(model, name, threads, x)
    data = model._data(x, targets_of(name))
    loss, gradients = model._gradients(data, True, False, threads)
    measured = model.evaluate(x, targets_of(name), threads=threads)
    numbers = [history.loss, loss, *measured.values()]
    outputs = [model.forward(x, threads=threads), *model.hidden_activations(x, threads=threads)]
    arrays = [*model.parameters().values(), *sum(gradients.values(), []), *outputs]
    return digest([*arrays, *map(np.array, numbers)])


def restored(folder, name):
    model = fastmlp.load(folder / "model.safetensors")
    if SETTINGS[name].frozen:
        model.freeze(SETTINGS[name].frozen)
    with np.load(folder / "state.npz") as state:
        model.restore_training_state(state)
    return model
