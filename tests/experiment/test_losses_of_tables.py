"""Losses and monitored metrics of tables: levels, counts of any size, targets that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment import build
from fastmlp.experiment.architectures import ARCHITECTURES, by_data, completed
from fastmlp.experiment.settings import resolve

pytest.importorskip("polars")
ROWS = 160
PLAIN = {"architecture": "mlp", "hidden": [8]}


def counts(scale: float, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, ROWS))
    return {"a": a, "b": b, "count": random.poisson(scale * np.exp(0.7 * a - 0.3 * b))}


@pytest.mark.parametrize("scale", [1e-1, 1e2, 1e5, 1e8])
@pytest.mark.parametrize("architecture", ["mlp", *sorted(ARCHITECTURES)])
def test_rates_begin_at_the_mean_of_the_counts(architecture, scale):
    data = counts(scale)
    members = {"members": 3} if architecture == "tabm" else {}
    settings = {"target": "count", "task": "regression", "loss": "poisson", "hidden": [8]}
    model = fastmlp.Model(
        architecture=architecture, **settings, **members, epochs=1, learning_rate=0.0,
        clamp_target=False,
    )  # fmt: skip
    model.fit(data, verbose=0)
    mean, predicted = data["count"].mean(), np.asarray(model.predict(data))
    assert 1 / 3 < np.median(predicted) / mean < 3  # the weights are random


def test_several_counts_have_means_of_their_own():
    data = counts(10.0)
    data["many"] = data["count"] * 1000
    network = fastmlp.Model(
        target=["count", "many"], loss="poisson", task="regression", epochs=1, learning_rate=0.0,
        validation_fraction=0.0, test_fraction=0.0, **PLAIN,
    ).fit(data, verbose=0).network  # fmt: skip
    biases = network.parameters()["layers.1.biases"]
    expected = np.log([data["count"].mean(), data["many"].mean()])
    assert biases == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_target_that_the_loss_lacks_is_named_before_the_training(seed):
    data = counts(5.0, seed)
    row = int(np.random.default_rng(seed).integers(ROWS))
    data["count"][row] = -2
    model = fastmlp.Model(target="count", loss="poisson", task="regression", split_seed=0, **PLAIN)
    with pytest.raises(ValueError, match="targets of the (training|validation|test) part must be"):
        model.fit(data, verbose=0)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_quantile_loss_that_chooses_the_epoch_has_the_level_of_the_loss(level):
    network = {"loss": {"name": "quantile", "levels": level}}
    for given in ("val_quantile_loss", f"val_quantile_loss:{level!r}"):
        config = resolve("sine", [{"network": network, "training": {"monitor": given}}])
        monitor = build.completed(config, "regression", 100, measured=True).training.monitor
        assert monitor == f"val_quantile_loss:{level!r}"
    config = resolve("sine", [{"network": network, "training": {"monitor": "val_mae"}}])
    assert build.completed(config, "regression", 100, measured=True).training.monitor == "val_mae"


def test_a_metric_that_the_validation_part_does_not_determine_is_refused():
    random = np.random.default_rng(1)
    kind = np.where(np.arange(ROWS) < 3, "rare", "usual")
    data = {"a": random.normal(size=ROWS), "kind": kind}
    held = {"a": random.normal(size=9), "kind": np.full(9, "usual")}
    model = fastmlp.Model(target="kind", monitor="val_auc", epochs=2, **PLAIN)
    with pytest.raises(ValueError, match="monitor must be a metric that is defined on the valida"):
        model.fit(data, validation=held, verbose=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("epochs", [20, None])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_poisson_learns_in_few_epochs_too(seed, epochs, scale):
    """The exponential of the rates does not blow up the training."""
    random = np.random.default_rng(1)
    x = random.standard_normal((700, 2))
    counts = scale * random.poisson(np.exp(x[:, 0]))
    regressor = fastmlp.TabularRegressor(loss="poisson", epochs=epochs, random_state=seed)
    rates = regressor.fit(x[:500], counts[:500]).predict(x[500:])
    assert np.corrcoef(rates, np.exp(x[500:, 0]))[0, 1] > 0.9


def test_settings_show_what_the_loss_sets():
    """`config show` tells the rate that the training has."""
    for loss, told, used in (
        ("mse", "0.04, or 0.2 for regression", 0.2),
        ("poisson", "0.04", 0.04),
    ):
        config = resolve("data.csv", [{"network": {"loss": loss}}])
        assert by_data(config)["optimizer.learning_rate"] == told
        assert completed(config, "regression", 100).optimizer.learning_rate == used
