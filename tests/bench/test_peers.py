"""The same training by other libraries: from the same weights it ends with the same network."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from fastmlp.experiment.peers import PEERS
from fastmlp.experiment.runner import Experiment, load_experiment
from fastmlp.experiment.settings import resolve


def arrays(experiment: Experiment) -> tuple:
    train, (_, test) = experiment.prepared.train, experiment.evaluated
    return train.x, train.y, test.x, test.y


# Both libraries from the same weights and on the same batches: a setting that is told wrongly
# shows. One batch an epoch, because scikit-learn's penalty depends on the size of the last one.
SKLEARN = {
    "sgd": {"optimizer": {"name": "sgd"}},
    "momentum": {"optimizer": {"name": "sgd", "momentum": 0.8}},
    "nesterov": {"optimizer": {"name": "sgd", "momentum": 0.8, "nesterov": True}},
    "l2": {"optimizer": {"name": "sgd", "l2": 0.3}},
    "adam": {"optimizer": {"name": "adam", "beta1": 0.8, "beta2": 0.95}},
    "adam l2": {"optimizer": {"name": "adam", "l2": 0.3}},
    "half_mse": {"optimizer": {"name": "sgd", "l2": 0.3}, "network": {"loss": "half_mse"}},
    "tanh": {"network": {"activation": "tanh"}},
    "sigmoid": {"network": {"activation": "sigmoid"}},
    "no hidden layer": {"network": {"hidden": []}},
    "weights": {"data": {"source": "{table}", "target": "y", "sample_weight": "w"}},
}
BASE = {
    "network": {"hidden": [7], "dtype": "float64", "seed": 3},
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "schedule": {"name": "constant"},
    "training": {"epochs": 12, "batch_size": 1000, "shuffle": False},
}


def experiment_of(layer: dict, directory) -> Experiment:
    table = directory / "table.csv"
    random = np.random.Generator(np.random.PCG64(4))
    rows = random.uniform(0.1, 2.0, (80, 3))
    y = np.sin(rows[:, :2]).sum(axis=1)
    lines = [",".join(map(str, [*row, value])) for row, value in zip(rows.tolist(), y, strict=True)]
    table.write_text("\n".join(["a,b,w,y", *lines]) + "\n")
    text = json.dumps(layer).replace("{table}", str(table))
    return load_experiment(resolve(None, [{"data": {"source": "sine"}}, BASE, json.loads(text)]))


def own_rmse(experiment: Experiment, weights: list, biases: list) -> float:
    """Root mean square error of our training from these weights."""
    from fastmlp.experiment import build

    model, config = experiment.new_model(), experiment.config
    model.weights, model.biases = weights, biases
    train, (_, test) = experiment.prepared.train, experiment.evaluated
    model.fit(
        train.x, train.y, epochs=config.training.epochs, batch_size=config.training.batch_size,
        optimizer=build.optimizer(config), sample_weight=train.weight, verbose=0,
        shuffle=config.training.shuffle,
    )  # fmt: skip
    decode = experiment.prepared.preprocessing.decode
    residuals = decode(model.predict(test.x).reshape(test.y.shape)) - decode(test.y)
    return math.sqrt(np.average(residuals.astype(np.float64)[:, 0] ** 2, weights=test.weight))


@pytest.mark.parametrize("name", SKLEARN)
def test_sklearn_trains_as_we_do(name, tmp_path):
    networks = pytest.importorskip("sklearn.neural_network")
    if name == "weights":
        pytest.importorskip("polars")
    experiment = experiment_of(SKLEARN[name], tmp_path)
    activation = {"sigmoid": "logistic"}.get(name, "tanh" if name == "tanh" else "relu")
    start = networks.MLPRegressor(
        hidden_layer_sizes=experiment.config.network.hidden, activation=activation,
        learning_rate_init=1e-300, alpha=0.0, max_iter=1, random_state=3, shuffle=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start.fit(experiment.prepared.train.x, experiment.prepared.train.y.ravel())
    peer = PEERS["sklearn"](experiment)
    assert peer.left_out == ["choice of the best epoch"]
    expected = own_rmse(experiment, start.coefs_, start.intercepts_)
    # Its Adam adds epsilon, 1e-8, before the correction of the mean square, not after it.
    tolerance = 1e-5 if "adam" in name else 1e-9
    assert peer.metrics["rmse"] == pytest.approx(expected, rel=tolerance)


def test_measures_of_several_targets_and_labels_are_those_of_the_evaluation(tmp_path):
    pytest.importorskip("polars")
    metrics = pytest.importorskip("sklearn.metrics")
    networks = pytest.importorskip("sklearn.neural_network")
    random = np.random.Generator(np.random.PCG64(5))
    x = random.normal(size=(120, 2))
    labels = (x + random.normal(scale=0.5, size=x.shape) > 0).astype(int)
    values = np.column_stack([x[:, 0] * 3 + 1, x[:, 1] * 0.1])
    (tmp_path / "t.csv").write_text(
        "a,b,red,round,u,v\n"
        + "".join(
            ",".join(map(repr, row)) + "\n"
            for row in (x[i].tolist() + labels[i].tolist() + values[i].tolist() for i in range(120))
        )
    )
    for target, task in ((["red", "round"], "multilabel"), (["u", "v"], "regression")):
        data = {"source": str(tmp_path / "t.csv"), "target": target, "features": ["a", "b"]}
        loss = {"loss": "half_mse" if task == "regression" else "binary_cross_entropy"}
        experiment = load_experiment(resolve(None, [BASE, {"data": data, "network": loss}]))
        assert experiment.prepared.task == task
        kind = networks.MLPClassifier if task == "multilabel" else networks.MLPRegressor
        x_train, y_train, x_test, y_test = arrays(experiment)
        direct = kind(
            hidden_layer_sizes=(7,), solver="sgd", momentum=0.0, learning_rate_init=0.01,
            alpha=0.0, batch_size=len(x_train), shuffle=False, max_iter=12, n_iter_no_change=13,
            tol=0.0, random_state=3,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            direct.fit(x_train, y_train)
        predicted, measured = direct.predict(x_test), PEERS["sklearn"](experiment).metrics
        if task == "multilabel":
            f1 = metrics.f1_score(y_test, predicted, average="macro", zero_division=0)
            assert measured["subset_accuracy"] == metrics.accuracy_score(y_test, predicted)
            assert measured["macro_f1"] == pytest.approx(f1, rel=1e-12)
        else:
            decode = experiment.prepared.preprocessing.decode
            truth, predicted = decode(y_test).astype(float), decode(predicted).astype(float)
            errors = metrics.root_mean_squared_error(truth, predicted, multioutput="raw_values")
            assert measured["rmse"] == pytest.approx(errors.mean(), rel=1e-12)
            assert measured["r2"] == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-12)


def test_what_a_library_leaves_out_is_said(tmp_path):
    pytest.importorskip("sklearn")
    layer = {
        "network": {"dropout": 0.1, "input_dropout": 0.1, "input_noise": 0.1,
                    "batch_normalization": True, "initializer": "he_uniform"},
        "optimizer": {"name": "adam", "l1": 0.1, "decay": 0.1, "clip_norm": 1.0,
                      "clip_value": 1.0, "max_norm": 1.0},
        "schedule": {"name": "cosine"},
        "training": {"averaging": "ema", "patience": 3, "freeze": [0], "max_time": 60},
        "data": {"validation_fraction": 0},
    }  # fmt: skip
    assert PEERS["sklearn"](experiment_of(layer, tmp_path)).left_out == [
        "schedule", "initializer", "dropout", "input_dropout", "input_noise",
        "batch_normalization", "l1", "decay", "clip_norm", "clip_value", "max_norm", "averaging",
        "freeze", "patience", "max_time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"network": {"activation": "gelu"}}, "scikit-learn has no activation gelu"),
        ({"optimizer": {"name": "lion"}}, "scikit-learn has no optimizer lion in this form"),
        ({"optimizer": {"name": "adam", "amsgrad": True}}, "no optimizer adam in this form"),
        ({"optimizer": {"name": "lbfgs"}}, "must be left out with lbfgs"),
        ({"network": {"loss": "mae"}}, "scikit-learn is not compared with loss mae"),
        ({"network": {"loss": {"name": "huber", "delta": 2.0}}}, "loss huber is compared without"),
        ({"network": {"output_activation": "tanh"}}, "output_activation tanh is not compared"),
    ],
)
def test_what_a_library_does_not_have_is_an_error(layer, message, tmp_path):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=message):
        PEERS["sklearn"](experiment_of(layer, tmp_path))


# ---------------------------------------------------------------- PyTorch

TORCH = {
    **{name: layer for name, layer in SKLEARN.items() if name != "no hidden layer"},
    "batches": {"training": {"batch_size": 64}},
    "adamw": {"optimizer": {"name": "adamw", "decay": 0.5}},
    "amsgrad": {"optimizer": {"name": "adam", "beta2": 0.5, "amsgrad": True}},
    "adamax": {"optimizer": {"name": "adamax", "learning_rate": 0.01, "l2": 0.1}},
    "nadam": {"optimizer": {"name": "nadam", "learning_rate": 0.01}},
    "adagrad": {"optimizer": {"name": "adagrad", "learning_rate": 0.05}},
    "rmsprop": {"optimizer": {"name": "rmsprop", "rho": 0.8, "momentum": 0.5, "centred": True}},
    "clip_norm": {"optimizer": {"name": "sgd", "clip_norm": 0.05}},
    "clip_value": {"optimizer": {"name": "sgd", "clip_value": 0.01}},
    "schedule": {"schedule": {"name": "one_cycle"}},
    "mae": {"network": {"loss": "mae"}},
    "leaky_relu": {"network": {"activation": {"name": "leaky_relu", "slope": 0.3}}},
    "gelu": {"network": {"activation": ["gelu", "gelu_tanh"], "hidden": [7, 6]}},
    "elu": {"network": {"activation": {"name": "elu", "alpha": 0.5}}},
    "silu": {"network": {"activation": ["silu", "selu", "softplus"], "hidden": [7, 6, 5]}},
    "batch_normalization": {
        "network": {"batch_normalization": True}, "training": {"batch_size": 80},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_torch_trains_as_we_do(name, tmp_path):
    torch = pytest.importorskip("torch")
    if name == "weights":
        pytest.importorskip("polars")
    experiment = experiment_of(TORCH[name], tmp_path)
    sizes = experiment.new_model().layer_sizes
    torch.manual_seed(experiment.config.network.seed)
    linear = [torch.nn.Linear(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    weights = [layer.weight.detach().double().numpy().T for layer in linear]
    biases = [layer.bias.detach().double().numpy() for layer in linear]
    if name == "batch_normalization":  # ours are its shifts, which begin at 0
        biases[0] = np.zeros_like(biases[0])
    peer = PEERS["torch"](experiment)
    assert peer.left_out == ["choice of the best epoch"]
    expected = own_rmse(experiment, weights, biases)
    # Its running variances are those of a sample: n / (n - 1) times ours.
    tolerance = 1e-3 if name == "batch_normalization" else 1e-7
    assert peer.metrics["rmse"] == pytest.approx(expected, rel=tolerance)
