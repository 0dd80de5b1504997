"""Models in pickles and copies: equal now, and equal after more training."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6))
VALUES = RNG.standard_normal((40, 3))
SETTINGS = {
    "plain": {},
    "all kinds": {
        "activation": [fastmlp.ELU(alpha=0.5), "gelu"],
        "loss": [fastmlp.Huber(delta=0.5, outputs=2), fastmlp.MSE(outputs=1, weight=0.3)],
        "dropout": 0.2,
        "batch_normalization": True,
        "initializer": fastmlp.Orthogonal(),
        "dtype": "float64",
    },
}


def squares(outputs, targets):
    return float(((outputs - targets) ** 2).mean()), 2 * (outputs - targets) / outputs.size


def trained(options, **more):
    model = fastmlp.MLP([6, 8, 5, 3], **{"loss": "mse", "seed": 3, **options})
    model.freeze(1)
    fit(model, **more)
    return model


def fit(model, **more):
    groups = model.architecture.groups
    targets = VALUES if len(groups) == 1 else [VALUES[:, group] for group in groups]
    model.fit(X, targets, epochs=2, batch_size=7, optimizer=fastmlp.Adam(), verbose=0, **more)


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, name)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("averaging", [None, fastmlp.EMA(0.9)])
@pytest.mark.parametrize("name", SETTINGS)
def test_copies_go_on_like_the_model(name, averaging, duplicate):
    model = trained(SETTINGS[name], averaging=averaging)
    twin = duplicate(model)
    assert twin.architecture == model.architecture
    assert twin.trainable == [True, False, True]
    assert_equal(twin.parameters(), model.parameters())
    for each in (model, twin):
        fit(each, resume=True, averaging=averaging)
    assert_equal(twin.parameters(), model.parameters())
    assert_equal(twin.training_state(), model.training_state())


def test_a_copy_of_a_new_model():
    model = fastmlp.MLP([6, 3], loss=squares)
    twin = copy.deepcopy(model)
    for each in (model, twin):
        each.fit(X, VALUES, epochs=1, verbose=0)
    assert_equal(twin.parameters(), model.parameters())
