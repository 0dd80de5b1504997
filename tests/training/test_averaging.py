"""What SWA and L-BFGS remember: every epoch that counts, and as many steps as they are told."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 4))
Y = RNG.integers(0, 3, 30)
EPOCHS = 7


def new_model():
    return fastmlp.MLP([4, 5, 3], dtype="float64", activation="tanh")


@pytest.mark.parametrize(("start", "every"), [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_swa_is_the_mean_over_the_epochs_that_count(start, every):
    ends = []
    settings = {"epochs": EPOCHS, "batch_size": 8, "verbose": 0}
    new_model().fit(X, Y, callbacks=[lambda m, _: ends.append(m.weights)], **settings)
    averaged = new_model()
    averaged.fit(X, Y, averaging=fastmlp.SWA(start, every), **settings)
    counted = ends[start - 1 :: every]
    assert len(counted) >= 3
    for layer, weights in enumerate(averaged.weights):
        expected = np.mean([each[layer] for each in counted], axis=0)
        np.testing.assert_allclose(weights, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "values"), [("memory", (1, 10)), ("evaluations", (3, 1000))])
def test_every_setting_of_lbfgs_reaches_scipy(name, values):
    pytest.importorskip("scipy.optimize")
    courses = []
    for value in values:
        with pytest.warns(fastmlp.ConvergenceWarning):
            history = new_model().fit(
                X, Y, epochs=25, optimizer=fastmlp.LBFGS(**{name: value}), verbose=0
            )
        courses.append(history.loss)
    assert courses[0] != courses[1]
    assert courses[0][-1] > courses[1][-1]
