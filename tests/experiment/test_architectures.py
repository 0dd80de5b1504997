"""Architectures of networks for tables: settings, runs and the networks that they make."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment import architectures
from fastmlp.experiment.architectures import ARCHITECTURES, _clipped, _robust_values
from fastmlp.experiment.runner import load_experiment
from fastmlp.experiment.search import distinct, usual_dimensions
from fastmlp.experiment.settings import merged, resolve
from fastmlp.experiment.sweep import require_trainable
from fastmlp.experiment.trials import train_trial, trial_experiment
from fastmlp.inputs import Category, Numbers, OneHot, Periodic

NAMES = tuple(ARCHITECTURES)
RATE, WIDTHS = "optimizer.learning_rate", "network.hidden"


def frame(seed: int, rows: int = 200) -> dict[str, object]:
    random = np.random.default_rng(seed)
    size = random.gamma(4.0, 25.0, rows)
    return {
        "size": [None if random.random() < 0.05 else float(s) for s in size],
        "town": random.choice(["Ada", "Bo", "Cy"], rows),
        "code": random.choice([f"c{i}" for i in range(30)], rows),
        "sold": random.random(rows) < 0.5,
        "price": 3.0 * size + random.normal(0, 5, rows),
    }


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_the_user_count_more_than_those_of_the_architecture(name):
    plain = resolve("h.csv", [{"network": {"architecture": name}}])
    recipe = ARCHITECTURES[name].recipe
    assert list(plain.network.hidden) == recipe["network"]["hidden"]
    own = {"network": {"architecture": name, "hidden": [8]}, "training": {"epochs": 3}}
    changed = resolve("h.csv", [own])
    assert changed.network.hidden == (8,)
    assert changed.training.epochs == 3
    assert changed.training.batch_size == recipe["training"]["batch_size"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["price", "sold"])
def test_a_model_is_trained_saved_and_loaded(name, target, tmp_path):
    data = frame(1)
    members = {"members": 2} if name == "tabm" else {}
    model = fastmlp.Model(
        architecture=name, target=target, epochs=4, hidden=[16], seed=3, **members
    )
    model.fit(data, verbose=0)
    assert model.network.architecture.members == members.get("members", 1)
    assert model.network.architecture.own_batches == (name == "tabm")
    model.save(tmp_path / "model.safetensors")
    loaded = fastmlp.load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.predict(data), model.predict(data))
    rows = [{key: values[i] for key, values in data.items()} for i in range(5)]
    alone = np.concatenate([np.atleast_1d(loaded.predict(row)) for row in rows])
    assert np.array_equal(alone, loaded.predict(rows))


def test_columns_become_the_inputs_that_realmlp_makes():
    model = fastmlp.Model(architecture="realmlp", target="price", epochs=1, hidden=[8])
    network = model.fit(frame(2), verbose=0).network
    kinds = [type(group) for group in network.architecture.inputs]
    assert kinds == [Numbers, OneHot, Category, OneHot]
    numbers, town, code, sold = network.architecture.inputs
    assert (numbers.columns, numbers.clip) == (2, 3.0)  # the size, and whether it is missing
    assert (town.levels, code.levels, sold.levels) == (3, 30, 2)
    assert network.architecture.input_scaling
    assert network.architecture.parametric == (True,)


def test_columns_become_the_inputs_that_tabm_takes():
    """Numbers have normal quantiles, categories are 0 and 1."""
    model = fastmlp.Model(architecture="tabm", target="price", epochs=1, hidden=[8], members=2)
    model.fit(frame(2), verbose=0)
    inputs = model.network.architecture.inputs
    assert inputs == (Numbers(2), OneHot(3), OneHot(30), OneHot(2))
    assert len(model.preprocessing.input_quantiles) == 1  # the size
    with_quartiles = fastmlp.Model(
        architecture="tabm", target="price", epochs=1, hidden=[8], members=2, scaling="robust"
    )
    assert with_quartiles.fit(frame(2), verbose=0).preprocessing.input_quantiles is None


def test_a_run_repeats_to_the_bit_and_resumes(tmp_path):
    data = frame(4)
    settings = {"architecture": "realmlp", "target": "sold", "hidden": [16], "seed": 5}
    whole = fastmlp.Model(**settings, epochs=6).fit(data, verbose=0)
    again = fastmlp.Model(**settings, epochs=6, threads=1).fit(data, verbose=0)
    mine, other = whole.network.parameters(), again.network.parameters()
    assert all(np.array_equal(array, other[name]) for name, array in mine.items())


@pytest.mark.parametrize("seed", range(20), indirect=True)
def test_one_hot_inputs_are_scaled_as_numbers_are(seed):
    """RealMLP centers, scales and clips one-hot columns as any others."""
    random = np.random.default_rng(seed)
    levels = int(random.integers(2, 9))
    shares = random.dirichlet(np.full(levels, 0.5))
    codes = random.choice(levels, 300, p=shares).astype(float)
    codes[random.random(300) < 0.1] = -1
    values = _robust_values(codes, levels)

    def scaled(column):
        first, middle, third = np.quantile(column, (0.25, 0.5, 0.75))
        distance = third - first if third > first else (column.max() - column.min()) / 2
        z = (column - middle) / distance if distance else np.zeros_like(column)
        return z / np.sqrt(1 + (z / 3) ** 2)

    if levels == 2:
        column = np.where(codes == 0, -1.0, np.where(codes == 1, 1.0, 0.0))
        made = np.where(codes == 0, values[0], np.where(codes == 1, values[1], values[2]))
        assert np.allclose(made, scaled(column)), f"seed {seed}"
        return
    for level in range(levels):
        made = np.where(codes == level, values[2 * level + 1], values[2 * level])
        expected = scaled((codes == level).astype(float))
        assert np.allclose(made, expected), f"seed {seed}"


def test_a_constant_column_becomes_zero():
    assert _clipped(np.zeros(9), np.array([0.0, 1.0])) == (0.0, 0.0)


def test_members_are_for_ensembles():
    data = frame(6)
    with pytest.raises(ValueError, match="members must be left out with the architecture realmlp"):
        fastmlp.Model(architecture="realmlp", target="sold", members=2).fit(data, verbose=0)
    few = {"target": "sold", "members": 3, "epochs": 1, "hidden": [4]}
    single = fastmlp.Model(**{**few, "members": 1}).fit(data, verbose=0).network
    assert (single.architecture.members, single.architecture.parametric) == (1, (True,))
    for architecture, sharing in ((None, "tabm"), ("mlp", "packed")):
        named = {"architecture": architecture} if architecture else {}
        network = fastmlp.Model(**named, **few).fit(data, verbose=0).network
        assert (network.architecture.members, network.architecture.sharing) == (3, sharing)


def test_resnet_has_a_block_for_each_hidden_width():
    settings = {"architecture": "resnet", "target": "price", "epochs": 1, "hidden": [8, 8]}
    made = fastmlp.Model(**settings, dropout=[0.1, 0.2]).fit(frame(9), verbose=0).network
    architecture = made.architecture
    assert architecture.layer_sizes[1:-1] == (8, 16, 8, 16, 8)
    names = [activation.name for activation in architecture.activations]
    assert names == ["identity", "relu", "identity", "relu", "relu"]
    assert architecture.dropout == (0.0, 0.1, 0.0, 0.2, 0.0)
    assert architecture.layer_normalization == (True, False, True, False, True)
    assert architecture.residual == (False, False, True, False, True)
    with pytest.raises(ValueError, match="hidden must have one width for each residual block"):
        fastmlp.Model(**settings | {"hidden": [8, 9]}).fit(frame(9), verbose=0)
    with pytest.raises(ValueError, match="hidden must have one width.*got none"):
        fastmlp.Model(**settings | {"hidden": []}).fit(frame(9), verbose=0)


# ---------------------------------------------------------------- embeddings of numbers


def network_of(data, **settings):
    model = fastmlp.Model(target="price", epochs=1, hidden=[8], **settings)
    return model.fit(data, verbose=0).network.architecture


def test_settings_choose_the_embedding_of_numbers():
    data = frame(7)
    assert network_of(data, architecture="realmlp", embedding="none").inputs[0] == Numbers(
        2, None, 3
    )
    plain = network_of(data, architecture="realmlp-s", input_scaling=False)
    assert (plain.inputs[0].embedding, plain.input_scaling) == (None, False)
    own = {"name": "periodic", "bases": 4, "phases": False, "outputs": 2}
    made = network_of(data, architecture="tabm", members=2, embedding=own).inputs
    assert made[0] == Numbers(2, Periodic(4, 2, phases=False))  # normal quantiles need no clip
    robust = network_of(data, architecture="tabm", members=2, scaling="robust").inputs
    assert robust[0] == Numbers(2, None, 3)
    # Categories are as before.
    assert [type(group) for group in made[1:]] == [OneHot, OneHot, OneHot]


def test_bins_are_quantiles_in_the_scale_of_the_clip():
    data = frame(8)
    inputs = network_of(
        data,
        architecture="realmlp",
        embedding={"name": "piecewise_linear", "bins": 4, "outputs": 5},
    ).inputs
    size, is_missing = inputs[:2]
    assert (size.width, len(size.embedding.edges[0])) == (6, 5)
    assert size.embedding.edges[0][0] >= -3
    assert size.embedding.edges[0][-1] <= 3
    assert len(is_missing.embedding.edges[0]) <= 3  # of an indicator few quantiles differ
    with pytest.raises(ValueError, match="bins must be >= 1, got 0"):
        network_of(data, embedding={"name": "piecewise_linear", "bins": 0})


@pytest.mark.parametrize("seed", range(10), indirect=True)
def test_bins_of_a_column_are_apart(seed):
    """Numbers that float32 cannot tell apart become one edge."""
    random = np.random.default_rng(seed)
    column = (random.choice([0.0, 1.0], 100) + random.normal(0, 1e-9, 100)).astype(np.float32)
    embedding = architectures._Bins(bins=16).of(column, clip=3.0)
    embedding.require_held("float32")
    clipped = column / np.sqrt(1 + (column / 3.0) ** 2)
    expected = np.unique(np.round(np.quantile(clipped.astype(float), np.linspace(0, 1, 17)), 6))
    assert np.allclose(embedding.edges[0], expected, atol=2e-6), f"seed {seed}"
    constant = architectures._Bins().of(np.full(5, 2.0)).edges[0]
    assert constant[1] - constant[0] == pytest.approx(1)


def test_a_wrong_embedding_is_named():
    with pytest.raises(
        ValueError, match="embedding must be one of none, periodic, piecewise_linea"
    ):
        fastmlp.Model(architecture="realmlp", embedding="cosine")
    with pytest.raises(ValueError, match="embedding must be left out or none with the architectur"):
        network_of(frame(9), architecture="mlp", embedding="periodic")


# ---------------------------------------------------------------- search spaces

TASKS = ("classification", "multilabel", "regression")
ALL = (*NAMES, "mlp")


def experiment_of(name: str, task: str, tmp_path, **sections):
    """Settings and a small table of each task."""
    random = np.random.default_rng(11)
    rows = [
        f"{random.normal():.3f},{random.integers(0, 9)},{random.choice(['a', 'b', 'c'])},"
        f"{random.choice([f'l{i}' for i in range(12)])},{random.integers(0, 2)},"
        f"{random.integers(0, 2)},{random.normal():.4f}"
        for _ in range(60)
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["x,n,kind,letter,first,second,price", *rows]) + "\n")
    target = {"classification": "kind", "multilabel": "first,second", "regression": "price"}[task]
    layer = merged(
        {
            "data": {"source": str(table), "target": target, "task": task},
            "network": {"architecture": name} | ({"members": 2} if name == "tabm" else {}),
            "training": {"epochs": 1, "batch_size": 16},
        },
        sections,
    )
    config = resolve(None, [layer])
    return config, load_experiment(config)


def drawn(dimension, random):
    if dimension.choices:
        return dimension.choices[random.integers(len(dimension.choices))]
    low, high = dimension.ends
    if dimension.log:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))
    return float(random.uniform(low, high))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ALL)
def test_every_point_of_a_space_trains(name, task, tmp_path):
    monitor = {"training": {"monitor": "val_accuracy"}} if task == "classification" else {}
    config, experiment = experiment_of(name, task, tmp_path, **monitor)
    dimensions = usual_dimensions(experiment.config)
    assert distinct([d.text() for d in dimensions]) == dimensions
    assert ("network.loss" in {d.key for d in dimensions}) == (
        task == "classification" and name.startswith("realmlp")
    )
    require_trainable(config, experiment, dimensions)
    random = np.random.default_rng(seed := 12)
    for _ in range(6):
        point = {d.key: drawn(d, random) for d in dimensions}
        trial = trial_experiment(config, point, experiment.prepared)
        values = []
        train_trial(trial, lambda epoch, value, values=values: values.append(value))
        assert len(values) == 1, f"seed {seed}: {point}"
        assert np.isfinite(values[0]), f"seed {seed}: {point}"


def test_settings_that_are_given_drop_out(tmp_path):
    _, experiment = experiment_of("realmlp", "classification", tmp_path)
    keys = [d.key for d in usual_dimensions(experiment.config)]
    assert keys == [text.partition("=")[0] for text in ARCHITECTURES["realmlp"].space]
    left = usual_dimensions(experiment.config, {RATE, "network.dropout", "training.epochs"})
    assert [d.key for d in left] == [k for k in keys if k not in (RATE, "network.dropout")]
    with pytest.raises(ValueError, match="all settings of the search space of realmlp are given"):
        usual_dimensions(experiment.config, keys)


@pytest.mark.parametrize(
    ("name", "optimizer", "rate"),
    [
        ("realmlp", "adam", "0.02..0.3"), ("realmlp", "sgd", "0.001..0.5"),
        ("tabm", "adam", "0.0001..0.005"), ("tabm", "lion", "0.0001..0.01"),
        ("mlp", "adam", "0.0001..0.01"), ("mlp", "SGD", "0.001..0.5"),
    ],
)  # fmt: skip
def test_rates_are_those_of_the_optimizer(name, optimizer, rate, tmp_path):
    _, experiment = experiment_of(name, "regression", tmp_path, optimizer={"name": optimizer})
    dimensions = usual_dimensions(experiment.config)
    assert dimensions[0].text() == f"{RATE}={rate}:log"
    assert len({d.key for d in dimensions}) == len(dimensions)


@pytest.mark.parametrize(
    ("task", "activation"), [("regression", "mish"), ("classification", "selu")]
)
def test_a_trial_keeps_what_the_architecture_chooses_by_task(task, activation, tmp_path):
    config, experiment = experiment_of("realmlp", task, tmp_path)
    trial = trial_experiment(config, {"network.dropout": 0.25}, experiment.prepared)
    assert trial.config.network.activation == activation
    assert trial.config.network.model_copy(update={"dropout": 0.15}) == experiment.config.network


# ---------------------------------------------------------------- losses of results


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_a_result_is_without_smoothing(weighted):
    log_loss = pytest.importorskip("sklearn.metrics").log_loss
    random = np.random.default_rng(3)
    size = random.normal(size=200)
    kind = np.array(["low", "mid", "high"])[np.digitize(size + random.normal(0, 0.5, 200), [-1, 1])]
    weight = random.uniform(0.5, 2.0, 200)
    data = {"size": size, "kind": kind} | ({"w": weight} if weighted else {})
    settings = {"target": "kind", "architecture": "realmlp", "hidden": [8], "epochs": 5}
    model = fastmlp.Model(**settings, **({"sample_weight": "w"} if weighted else {}))
    model.fit(data, verbose=0)
    assert model.network.architecture.losses[0].smoothing == 0.1
    assert list(model.classes) == sorted(model.classes)  # as scikit-learn orders them
    expected = log_loss(kind, model.predict_proba(data), sample_weight=weight if weighted else None)
    assert model.evaluate(data).loss == pytest.approx(expected, rel=1e-5)
