"""Members that are trained on batches of their own: each on those that its own order gives."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support.tabular_networks import drawn

FIRST = int(os.environ.get("FASTMLP_SEED") or 0)
RATE, BATCH, EPOCHS = 0.0001, 7, 2
LOSSES = ("softmax_cross_entropy", "hinge", "binary", "multilabel", "mse", "quantile")


def _pair(model: fastmlp.MLP, member: int) -> tuple[fastmlp.MLP, set[str]]:
    """Return two equal members, which train as one does, and the names of what each has alone."""
    pair = model.keep_members([member, (member + 1) % model.architecture.members])
    two, three = (replace(model.architecture, members=n).parameter_shapes() for n in (2, 3))
    own = {name for name in two if two[name] != three[name]}
    pair.set_parameters(
        {name: pair.parameters()[name][[0, 0]] for name in own}
        | {name: array for name, array in pair.parameters().items() if name not in own}
    )
    return pair, own


def _step(model, x, y, weights, batches):
    """Make a step of gradient descent, each member alone on its batch."""
    before = model.parameters()
    after = dict(before)
    total = sum(weights[batch].sum() for batch in batches)
    for member, batch in enumerate(batches):
        pair, own = _pair(model, member)
        start = pair.parameters()
        rows = [part[batch] for part in y] if isinstance(y, list) else y[batch]
        pair.fit(
            x[batch], rows, epochs=1, batch_size=len(batch), shuffle=False, verbose=0,
            optimizer=fastmlp.SGD(RATE), sample_weight=weights[batch],
        )  # fmt: skip
        share = weights[batch].sum() / total
        for name, array in pair.parameters().items():
            change = share * (array - start[name])
            if name in own:
                after[name] = after[name].copy()
                after[name][member] += change.sum(axis=0)
            else:
                after[name] = after[name] + change
    model.set_parameters(after)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 40))
def test_every_member_learns_from_its_own_batches(seed):
    rng = np.random.default_rng(seed)
    fixed = {"dtype": "float64", "members": 3, "own_batches": True, "batch_normalization": False}
    case = drawn(seed, loss_name=str(rng.choice(LOSSES)), **fixed)
    count = len(case.x)
    weights = rng.uniform(0.5, 2.0, count)
    expected = case.model.keep_members([0, 1, 2])
    case.model.fit(
        case.x, case.y, epochs=EPOCHS, batch_size=BATCH, verbose=0, optimizer=fastmlp.SGD(RATE),
        sample_weight=weights,
    )  # fmt: skip
    for epoch in range(EPOCHS):
        orders = [
            _core.permutation(count, expected.architecture.seed, epoch, member)
            for member in range(3)
        ]
        for first in range(0, count, BATCH):
            batches = [order[first : first + BATCH] for order in orders]
            _step(expected, case.x, case.y, weights, batches)
    trained = case.model.parameters()
    for name, array in expected.parameters().items():
        np.testing.assert_allclose(trained[name], array, rtol=1e-10, atol=1e-11, err_msg=f"{case}")


def test_orders_of_members_differ_and_the_first_is_that_of_a_network():
    orders = [_core.permutation(50, 3, 1, member) for member in range(4)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    np.testing.assert_array_equal(orders[0], _core.permutation(50, 3, 1))


def test_without_members_nothing_changes():
    x = np.random.default_rng(0).standard_normal((40, 3))
    y = (x.sum(axis=1) > 0).astype(int)
    models = [fastmlp.MLP([3, 4, 2], own_batches=own, seed=1) for own in (False, True)]
    for model in models:
        model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    np.testing.assert_array_equal(models[0].weights[0], models[1].weights[0])


def test_the_choice_is_kept_in_the_file(tmp_path):
    model = fastmlp.MLP([3, 4, 2], members=2, own_batches=True)
    model.save(tmp_path / "model.safetensors")
    loaded = fastmlp.MLP.load(tmp_path / "model.safetensors")
    assert loaded.architecture.own_batches
    assert not fastmlp.MLP([3, 4, 2], members=2).architecture.own_batches
