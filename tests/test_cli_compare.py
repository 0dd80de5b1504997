"""Runs side by side, and the same training by other libraries: by theirs called directly."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings

import numpy as np
import pytest

import fastmlp
from cli_process import run
from fastmlp.experiment.peers import PEERS
from fastmlp.experiment.runner import Experiment, load_experiment
from fastmlp.experiment.settings import resolve

SETTINGS = ("--hidden", "6,5", "--batch-size", "20", "--epochs", "8", "--no-report", "-q")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with three runs: two of one data set, and a regression."""
    from fastmlp.cli import main

    directory = tmp_path_factory.mktemp("compare")
    for number, args in enumerate(
        (("moons", "--lr", "0.02"), ("moons", "--lr", "0.002", "--l2", "0.01"), ("sine",)), 1
    ):
        out = directory / "runs" / f"{number:03d}-{args[0]}"
        assert main(["train", *args, *SETTINGS, "--out", str(out)]) == 0
    return directory


@pytest.fixture
def compare(trained, monkeypatch, capsys):
    """`fastmlp compare` in this process, beside the runs: code, output, errors."""
    from fastmlp.cli import main

    monkeypatch.chdir(trained)
    monkeypatch.delenv("FASTMLP_RUNS", raising=False)

    def call(*args: str) -> tuple[int, str, str]:
        code = main(["compare", *args])
        return code, *capsys.readouterr()

    return call


def result(directory, name: str) -> dict:
    return json.loads((directory / "runs" / name / "result.json").read_text())


# ---------------------------------------------------------------- runs


def test_table_of_runs_and_of_the_settings_that_differ(trained):
    done = run("compare", "1", "002-moons", cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    runs, settings = done.stdout.split("\n\n")
    header, *rows = [re.split(r"  +", line) for line in runs.splitlines()]
    assert header == ["run", "epochs", "seconds", "accuracy", "macro f1", "loss"]
    for name, row in zip(("001-moons", "002-moons"), rows, strict=True):
        found = result(trained, name)
        assert row[0] == f"runs/{name}"
        assert row[1] == "8"
        assert float(row[2]) == pytest.approx(found["training_seconds"], rel=0.05)
        assert row[3] == f"{found['test']['accuracy']:.2%}"
        assert row[4] == f"{found['test']['macro_f1']:.2%}"
        assert float(row[5]) == pytest.approx(found["test"]["loss"], rel=1e-4)
    assert [line.split() for line in settings.splitlines()] == [
        ["setting", "runs/001-moons", "runs/002-moons"],
        ["optimizer.learning_rate", "0.02", "0.002"],
        ["optimizer.l2", "0.0", "0.01"],
    ]


def test_json_of_runs(compare, trained):
    code, out, err = compare("1", "2", "runs/003-sine", "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert content["schema"] == "fastmlp.compare"
    assert content["libraries"] == []
    names = ["001-moons", "002-moons", "003-sine"]
    assert [row["run"] for row in content["runs"]] == [f"runs/{name}" for name in names]
    for name, row in zip(names, content["runs"], strict=True):
        found = result(trained, name)
        assert row["status"] == "completed"
        assert (row["data"], row["layer_sizes"]) == (found["dataset"], found["layer_sizes"])
        assert (row["epochs"], row["evaluated_on"]) == (8, "test")
        for measure in ("accuracy", "macro_f1", "rmse", "r2", "loss"):
            assert row.get(measure) == found["test"].get(measure)
    differences = content["differences"]
    assert differences["data.source"] == ["moons", "moons", "sine"]
    assert differences["optimizer.learning_rate"] == [0.02, 0.002, 0.003]
    assert "training.epochs" not in differences


def test_runs_of_other_data_show_it(compare):
    _, out, _ = compare("1", "3")
    header, first, second = [re.split(r"  +", line) for line in out.split("\n\n")[0].splitlines()]
    assert header == [
        "run", "data", "epochs", "seconds", "accuracy", "macro f1", "rmse", "r2", "loss",
    ]  # fmt: skip
    assert (first[1], second[1]) == ("moons", "sine")
    assert first[6:8] == ["-", "-"]
    assert second[4:6] == ["-", "-"]


def test_one_run_differs_from_nothing(compare):
    code, out, _ = compare("1")
    assert code == 0
    assert len(out.splitlines()) == 2


def test_a_run_that_was_cut_off_has_no_result_yet(compare, trained, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(trained / "runs" / "001-moons", cut)
    (cut / "result.json").unlink()
    lines = (cut / "metrics.jsonl").read_text().splitlines()
    (cut / "metrics.jsonl").write_text("\n".join(lines[:3]) + "\n")
    _, out, _ = compare("1", str(cut))
    header, _, row = [re.split(r"  +", line) for line in out.splitlines()]
    shown = dict(zip(header, row, strict=True))
    assert (shown["status"], shown["epochs"], shown["accuracy"]) == ("unfinished", "3", "-")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("9",), 2, "no run 9 in runs; the latest is 003-sine"),
        (("nowhere",), 2, "nowhere: is no directory; expected the directory of a run"),
        (("runs",), 2, "runs: has no config.toml; expected the directory of a run"),
        ((), 2, "missing argument 'RUN...'"),
        (("1", "--with", "jax"), 2, "'jax' is not one of 'sklearn', 'torch'"),
    ],
)
def test_wrong_runs_are_named(args, code, message, compare):
    actual, out, err = compare(*args)
    assert (actual, out, err.count("\n")) == (code, "", 1)
    assert message in err


def test_a_damaged_result_is_named(compare, trained, tmp_path):
    shutil.copytree(trained / "runs" / "001-moons", tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text("{")
    code, _, err = compare(str(tmp_path / "run"))
    assert code == 2
    assert "result.json: is not valid JSON" in err


# ---------------------------------------------------------------- scikit-learn


def arrays(experiment: Experiment) -> tuple:
    train, (_, test) = experiment.prepared.train, experiment.evaluated
    return train.x, train.y, test.x, test.y


def test_with_sklearn_is_sklearn_called_directly(compare):
    networks = pytest.importorskip("sklearn.neural_network")
    import sklearn

    code, out, err = compare("2", "1", "--with", "sklearn", "--json")
    assert (code, err) == (0, "loading moons\ntraining with sklearn\n")
    (library,) = json.loads(out)["libraries"]
    assert library["library"] == f"scikit-learn {sklearn.__version__}"
    assert library["epochs"] == 8
    assert library["seconds"] > 0
    assert library["left_out"] == ["schedule", "choice of the best epoch"]
    x, y, test_x, test_y = arrays(load_experiment(resolve("moons", [])))
    direct = networks.MLPClassifier(
        hidden_layer_sizes=(6, 5), activation="relu", solver="adam", learning_rate_init=0.002,
        alpha=0.01 * 20, batch_size=20, max_iter=8, n_iter_no_change=9, tol=0.0, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct.fit(x.astype(np.float32), y)
    assert library["metrics"]["accuracy"] == direct.score(test_x.astype(np.float32), test_y)
    predicted = direct.predict(test_x.astype(np.float32))
    assert library["metrics"]["macro_f1"] == fastmlp.metrics.f1(test_y, predicted)
    # The table has the same in a line of its own, and what the library could not do.
    _, table, _ = compare("2", "--with", "sklearn", "--with", "sklearn", "-q")
    name, epochs, _, accuracy, *_ = re.split(r"  +", table.splitlines()[2])
    assert (name, epochs) == (library["library"], "8")
    assert accuracy == f"{library['metrics']['accuracy']:.2%}"
    assert table.splitlines()[3] == f"{name}: without schedule, choice of the best epoch"


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
    return math.sqrt(np.mean(residuals.astype(np.float64) ** 2))


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
            error = metrics.root_mean_squared_error(truth.ravel(), predicted.ravel())
            assert measured["rmse"] == pytest.approx(error, rel=1e-12)
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
        ({"optimizer": {"name": "lbfgs"}}, "optimizer lbfgs takes no mini-batches"),
        ({"network": {"loss": "mae"}}, "scikit-learn is not compared with loss mae"),
        ({"network": {"loss": {"name": "huber", "delta": 2.0}}}, "loss huber is compared without"),
        ({"network": {"output_activation": "tanh"}}, "output_activation tanh is not compared"),
    ],
)
def test_what_a_library_does_not_have_is_an_error(layer, message, tmp_path):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=message):
        PEERS["sklearn"](experiment_of(layer, tmp_path))


def test_a_missing_library_is_named_before_anything_trains(trained, tmp_path):
    lines = "import sys\nsys.modules['torch'] = sys.modules['sklearn'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(lines)
    paths = filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])
    for library, message in (
        ("sklearn", "sklearn is needed; run \"pip install 'fastmlp[sklearn]'\""),
        ("torch", 'torch is needed; run "pip install torch"'),
    ):
        done = run("compare", "1", "--with", library, cwd=trained, PYTHONPATH=":".join(paths))
        assert (done.returncode, done.stdout) == (7, "")
        assert done.stderr == f"fastmlp: error: {message}\n"
        paths = [str(tmp_path)]


def test_libraries_train_on_the_data_of_the_run_or_not_at_all(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("polars")
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["a,class", *(f"{i},{i % 2}" for i in range(40))]) + "\n")
    assert main(["train", "table.csv", *SETTINGS, "--out", "run"]) == 0
    table.write_text(table.read_text() + "3,1\n")
    assert main(["compare", "run", "--with", "sklearn", "-q"]) == 3
    assert "the data has changed since the run began: table.csv" in capsys.readouterr().err


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


def test_torch_classifies(compare):
    pytest.importorskip("torch")
    code, out, _ = compare("1", "--with", "torch", "--json", "-q")
    assert code == 0
    (library,) = json.loads(out)["libraries"]
    assert library["library"].startswith("PyTorch ")
    assert library["metrics"]["accuracy"] > 0.8
