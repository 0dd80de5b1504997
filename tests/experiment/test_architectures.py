"""Architectures of networks for tables: settings, runs and the networks that they make."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment.architectures import ARCHITECTURES, _clipped, _robust_values
from fastmlp.experiment.settings import resolve
from fastmlp.inputs import Category, Numbers, OneHot

NAMES = tuple(ARCHITECTURES)


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


def test_a_run_repeats_to_the_bit_and_resumes(tmp_path):
    data = frame(4)
    settings = {"architecture": "realmlp", "target": "sold", "hidden": [16], "seed": 5}
    whole = fastmlp.Model(**settings, epochs=6).fit(data, verbose=0)
    again = fastmlp.Model(**settings, epochs=6, threads=1).fit(data, verbose=0)
    mine, other = whole.network.parameters(), again.network.parameters()
    assert all(np.array_equal(array, other[name]) for name, array in mine.items())


@pytest.mark.parametrize("seed", range(20))
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
    plain = fastmlp.Model(target="sold", members=3, epochs=1, hidden=[4]).fit(data, verbose=0)
    assert plain.network.architecture.members == 3
    assert plain.network.architecture.sharing == "packed"
