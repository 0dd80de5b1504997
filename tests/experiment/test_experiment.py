"""Settings of a run reach the objects of the API: the same bits as calling these directly."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.runner import Experiment, Outcome, load_experiment, train
from fastmlp.experiment.schema import TrainingSection
from fastmlp.experiment.settings import resolve
from support.experiment_settings import NETWORKS, OPTIMIZERS, SCHEDULES, TRAININGS

EPOCHS = 4
# Nothing of a recipe, so that the test says everything that the training depends on.
PLAIN = {
    "network": {"hidden": [6]},
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "schedule": {"name": "constant"},
    "training": {"epochs": EPOCHS, "batch_size": 16},
}

# Settings of a training that L-BFGS has too.
OF_LBFGS = {"epochs", "threads", "class_weight", "min_accuracy", "initial_model", "freeze"}


def experiment_of(source: str, *layers: dict) -> Experiment:
    return load_experiment(resolve(source, [PLAIN, *layers]))


def trained(experiment: Experiment, directory) -> dict[str, np.ndarray]:
    """Parameters after the run that `fastmlp train` does."""
    model = experiment.new_model()
    train(experiment, model, RunDirectory.create("run", directory / "run"), Outcome())
    return model.parameters()


def directly(experiment: Experiment, model: dict | None = None, **arguments) -> dict:
    """The same by hand: only the arrays are taken from the experiment."""
    prepared = experiment.prepared
    outputs = prepared.preprocessing.outputs
    loss = "mse" if prepared.task == "regression" else "softmax_cross_entropy"
    network = fastmlp.MLP(
        [prepared.train.x.shape[1], 6, outputs],
        **{"loss": loss, "input_scale": prepared.input_scale, **(model or {})},
    )
    return fitted(network, experiment, **arguments).parameters()


def fitted(network: fastmlp.MLP, experiment: Experiment, **arguments) -> fastmlp.MLP:
    train, validation = experiment.prepared.train, experiment.prepared.validation
    defaults = {
        "epochs": EPOCHS, "batch_size": 16, "optimizer": fastmlp.SGD(0.05), "verbose": 0,
        "validation_data": (validation.x, validation.y), "sample_weight": train.weight,
    }  # fmt: skip
    if isinstance(arguments.get("optimizer"), fastmlp.LBFGS):
        del defaults["validation_data"]
    network.fit(train.x, train.y, **{**defaults, **arguments})
    return network


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.tobytes() == other[name].tobytes(), name


@pytest.fixture(scope="module")
def plain():
    return experiment_of("iris")


@pytest.fixture(scope="module")
def plain_parameters(plain, tmp_path_factory):
    return trained(plain, tmp_path_factory.mktemp("plain"))


def check(layer: dict, expected: dict, directory, ordinary: dict | None) -> None:
    parameters = trained(experiment_of("iris", layer), directory)
    assert_same(parameters, expected)
    if ordinary is not None:  # or the test would not notice a setting that is ignored
        assert any(
            name not in ordinary or array.tobytes() != ordinary[name].tobytes()
            for name, array in parameters.items()
        )


# ---------------------------------------------------------------- optimizers


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_of_the_optimizer(name, plain, plain_parameters, tmp_path):
    settings, optimizer = OPTIMIZERS[name]
    expected = directly(plain, optimizer=optimizer)
    check({"optimizer": settings}, expected, tmp_path, plain_parameters)


@pytest.mark.filterwarnings("ignore::fastmlp.ConvergenceWarning")
@pytest.mark.parametrize(
    "settings", [{}, {"l2": 0.1}, {"memory": 1}, {"tolerance": 1.0}, {"evaluations": 2}]
)
def test_settings_of_lbfgs(settings, plain, tmp_path):
    pytest.importorskip("scipy")
    expected = directly(plain, optimizer=fastmlp.LBFGS(**settings))
    layer = {"optimizer": {"name": "lbfgs", **settings}}
    assert_same(trained(experiment_of("iris", layer), tmp_path), expected)


@pytest.mark.filterwarnings("ignore::fastmlp.ConvergenceWarning")
def test_lbfgs_takes_weights_of_classes(tmp_path):
    pytest.importorskip("scipy")
    weights = {"setosa": 1.0, "versicolor": 5.0, "virginica": 0.5}
    layer = {"optimizer": {"name": "lbfgs"}, "training": {"class_weight": weights}}
    experiment = experiment_of("iris", layer)
    names = experiment.prepared.preprocessing.class_names
    codes = {names.index(name): weight for name, weight in weights.items()}
    expected = directly(experiment, optimizer=fastmlp.LBFGS(), class_weight=codes)
    unweighted = directly(experiment, optimizer=fastmlp.LBFGS())
    check(layer, expected, tmp_path, unweighted)


@pytest.mark.parametrize("name", sorted({*TrainingSection.model_fields} - OF_LBFGS))
def test_lbfgs_refuses_the_settings_of_a_training_in_mini_batches(name):
    """Every setting that is not one of L-BFGS, also one that will be added."""
    values = {
        "batch_size": 8, "shards": 2, "checkpoint_every": 1, "patience": 3, "shuffle": False,
        "averaging": "ema",
        "monitor": "val_loss", "time_limit": "9s", "max_time": "9s",
    }  # fmt: skip
    layer = {"optimizer": {"name": "lbfgs"}, "training": {name: values.get(name, True)}}
    with pytest.raises(ValueError, match=f"training.{name} must be left out with lbfgs"):
        experiment_of("iris", layer)


@pytest.mark.parametrize("settings", [{"name": "cosine"}, {"warmup": 1}, {"per": "step"}])
def test_lbfgs_refuses_a_schedule(settings):
    with pytest.raises(ValueError, match="must be left out with lbfgs"):
        experiment_of("iris", {"optimizer": {"name": "lbfgs"}, "schedule": settings})


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("optimizer", {"name": "sgd", "beta1": 0.9}, "sgd has no beta1; it has"),
        ("optimizer", {"name": "adam", "momentum": 0.9}, "adam has no momentum; it has"),
        ("optimizer", {"name": "lion", "epsilon": 1e-8}, "lion has no epsilon; it has"),
        ("optimizer", {"name": "lbfgs", "clip_norm": 1.0}, "lbfgs has no clip_norm; it has"),
        ("optimizer", {"name": "adagrad", "nesterov": True}, "adagrad has no nesterov; it has"),
        ("optimizer", {"name": "adamm"}, "'adamm'; did you mean 'adam'"),
        ("optimizer", {"name": "adam", "epsilon": 1e-31}, "epsilon must be finite and >= 1e-30"),
        ("schedule", {"name": "cosine", "factor": 0.1}, "cosine has no factor; it has"),
        ("schedule", {"name": "one_cycle", "patience": 2}, "one_cycle has no patience; it has"),
        ("schedule", {"name": "exponential"}, "exponential needs schedule.factor"),
    ],
)
def test_settings_that_a_choice_does_not_have_are_errors(section, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        experiment_of("iris", {section: settings})


def test_nesterov_without_momentum_is_an_error():
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        experiment_of("iris", {"optimizer": {"nesterov": True}})


# ---------------------------------------------------------------- schedules


@pytest.mark.parametrize("name", SCHEDULES)
def test_settings_of_the_schedule(name, plain, plain_parameters, tmp_path):
    settings, schedule = SCHEDULES[name]
    expected = directly(plain, optimizer=fastmlp.SGD(schedule))
    check({"schedule": settings}, expected, tmp_path, plain_parameters)


# ---------------------------------------------------------------- network


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_of_the_network(name, plain, plain_parameters, tmp_path):
    settings, arguments = NETWORKS[name]
    expected = directly(plain, arguments)
    check({"network": settings}, expected, tmp_path, plain_parameters)


def test_output_activation(tmp_path):
    layer = {"network": {"activation": "relu", "output_activation": "tanh"}}
    expected = directly(experiment_of("diabetes"), {"output_activation": "tanh"})
    assert_same(trained(experiment_of("diabetes", layer), tmp_path), expected)


@pytest.mark.parametrize("hidden", [[], [5, 4]])
def test_hidden_layers(hidden):
    model = experiment_of("iris", {"network": {"hidden": hidden}}).new_model()
    assert list(model.layer_sizes) == [4, *hidden, 3]


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("name", TRAININGS)
def test_settings_of_the_training(name, plain, plain_parameters, tmp_path):
    settings, arguments = TRAININGS[name]
    expected = directly(plain, **arguments)
    same = name == "balanced"  # the training part of iris has as many of each class
    check({"training": settings}, expected, tmp_path, None if same else plain_parameters)


def test_threads_change_nothing(plain_parameters, tmp_path):
    check({"training": {"threads": 2}}, plain_parameters, tmp_path, None)


def test_weights_of_samples(tmp_path):
    table = tmp_path / "table.csv"
    numbers = np.random.Generator(np.random.PCG64(1)).uniform(size=(60, 3))
    rows = [f"{a},{b},{w},{'yes' if a > b else 'no'}" for a, b, w in numbers.tolist()]
    table.write_text("\n".join(["a,b,w,class", *rows]) + "\n")
    pytest.importorskip("polars")
    weighted = experiment_of(str(table), {"data": {"sample_weight": "w"}})
    assert weighted.prepared.train.x.shape[1] == 2
    parameters = trained(weighted, tmp_path)
    assert_same(parameters, directly(weighted))
    plain = directly(weighted, sample_weight=None)
    assert parameters["layers.0.weights"].tobytes() != plain["layers.0.weights"].tobytes()


def test_frozen_layers(plain, plain_parameters, tmp_path):
    network = fastmlp.MLP([4, 6, 3])
    network.freeze([0])
    expected = fitted(network, plain).parameters()
    initial = fastmlp.MLP([4, 6, 3]).parameters()
    assert expected["layers.0.weights"].tobytes() == initial["layers.0.weights"].tobytes()
    check({"training": {"freeze": [0]}}, expected, tmp_path, plain_parameters)


def test_initial_model(plain, plain_parameters, tmp_path):
    old = fastmlp.MLP([4, 6, 3], seed=9)
    old.save(tmp_path / "old.safetensors")
    network = fastmlp.MLP([4, 6, 3])
    network.set_parameters(old.parameters())
    expected = fitted(network, plain).parameters()
    layer = {"training": {"initial_model": str(tmp_path / "old.safetensors")}}
    check(layer, expected, tmp_path, plain_parameters)


def test_an_initial_model_with_other_outputs_gets_a_new_head(tmp_path):
    old = fastmlp.MLP([4, 6, 8], seed=9)
    old.save(tmp_path / "old.safetensors")
    layer = {"training": {"initial_model": str(tmp_path / "old.safetensors")}}
    made = experiment_of("iris", layer).new_model().parameters()
    fresh = fastmlp.MLP([4, 6, 3]).parameters()
    for name, array in made.items():
        source = fresh if name.startswith("layers.1.") else old.parameters()
        assert array.tobytes() == source[name].tobytes()


def test_an_initial_model_of_other_layers_is_an_error(tmp_path):
    fastmlp.MLP([4, 5, 3]).save(tmp_path / "old.safetensors")
    layer = {"training": {"initial_model": str(tmp_path / "old.safetensors")}}
    with pytest.raises(ValueError, match=r"initial_model must have layers \[4, 6\].*got \[4, 5\]"):
        experiment_of("iris", layer).new_model()


def test_unknown_classes_with_a_weight_are_an_error(tmp_path):
    experiment = experiment_of("iris", {"training": {"class_weight": {"rose": 2.0}}})
    with pytest.raises(ValueError, match="class_weight must name classes of setosa.*got rose"):
        trained(experiment, tmp_path)


# ---------------------------------------------------------------- what the data decides


@pytest.mark.parametrize(
    ("source", "task", "loss"),
    [
        ("iris", "classification", "softmax_cross_entropy"),
        ("diabetes", "regression", "mse"),
    ],
)
def test_the_data_decides_task_and_loss(source, task, loss):
    experiment = experiment_of(source)
    assert experiment.config.data.task == experiment.prepared.task == task
    assert experiment.config.network.loss == loss
    assert [loss.name for loss in experiment.new_model().architecture.losses] == [loss]


def test_several_labels_decide_task_and_loss(tmp_path):
    pytest.importorskip("polars")
    table = tmp_path / "labels.csv"
    rows = [f"{i},{i % 2},{i // 2 % 2}" for i in range(40)]
    table.write_text("\n".join(["a,red,round", *rows]) + "\n")
    experiment = experiment_of(str(table), {"data": {"target": ["red", "round"]}})
    assert experiment.config.data.task == "multilabel"
    assert experiment.config.network.loss == "binary_cross_entropy"
    assert experiment.config.data.source == str(table)


@pytest.mark.parametrize(
    ("layer", "monitor", "monitored", "evaluated", "selects"),
    [
        ({}, "val_loss", "validation", "test", True),
        ({"data": {"validation_fraction": 0}}, "val_loss", "test", "test", False),
        ({"data": {"test_fraction": 0}}, "val_loss", "validation", "validation", True),
        ({"data": {"test_fraction": 0, "validation_fraction": 0}}, "loss", None, "training", False),
        ({"training": {"monitor": "val_accuracy"}}, "val_accuracy", "validation", "test", True),
        ({"optimizer": {"name": "lbfgs"}}, "loss", "validation", "test", True),
    ],
)
def test_the_parts_decide_what_is_monitored(layer, monitor, monitored, evaluated, selects):
    experiment = experiment_of("iris", layer)
    parts = {None: None, "validation": experiment.prepared.validation,
             "test": experiment.prepared.test}  # fmt: skip
    assert experiment.config.training.monitor == monitor
    assert experiment.monitored is parts[monitored]
    if monitored is not None:
        assert experiment.monitored_name == monitored
    assert experiment.evaluated[0] == evaluated
    assert experiment.selects_best is selects


def test_defaults_of_the_optimizer_are_written_out():
    section = experiment_of("iris", {"optimizer": {"name": "adamw"}}).config.optimizer
    defaults = dataclasses.asdict(fastmlp.AdamW())
    for name in ("decay_schedule", "groups"):  # an architecture has them, no setting
        assert defaults.pop(name) is None
    assert {name: getattr(section, name) for name in defaults} == defaults


def test_completed_settings_complete_to_themselves():
    experiment = experiment_of("iris", {"schedule": {"name": "cosine"}})
    config = experiment.config
    again = type(config).checked(config.values())
    assert experiment.with_settings(again).config == config


def test_a_source_must_be_named():
    config = resolve("iris", [PLAIN])
    nameless = config.model_copy(update={"data": config.data.model_copy(update={"source": None})})
    with pytest.raises(ValueError, match=r"data\.source"):
        load_experiment(nameless)
