"""Random networks under random plans: the same bits as on one thread. New ones at every run."""

from __future__ import annotations

import os

import numpy as np
import pytest

import fastmlp
from support import random_networks

# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())
CHUNKS, CASES = 8, 40


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_networks_have_the_same_bits_under_every_plan(chunk):
    found = random_networks.run(CASES, SEED + chunk * CASES)
    assert not found, f"FASTMLP_SEED={SEED}\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [([64, 512, 100], 64), ([784, 64, 784], 128), ([20, 30, 47], 32), ([30, 60, 1000], 128)],
)
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_wide_last_layers(sizes, batch, threads):
    """The rows of such a layer are read by others than those who computed its outputs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, sizes[0]))
    y = rng.integers(0, sizes[-1], 512)

    def trained(team):
        model = fastmlp.MLP(sizes)
        model.fit(x, y, epochs=2, batch_size=batch, threads=team, verbose=0)
        return model

    if fastmlp.info()["isa"].startswith("avx512"):  # narrower panels make other plans cheaper
        assert "outputs" in fastmlp.MLP(sizes).plan(batch_size=batch, threads=2).splits
    one, several = trained(1).parameters(), trained(threads).parameters()
    assert all(np.array_equal(one[name], several[name]) for name in one)


def test_every_decision_of_a_plan_can_be_forced():
    model = fastmlp.MLP([100, 200, 60, 10])
    everything = {
        "split_by_outputs": 0b101,
        "transposes_weights": 0b010,
        "own_input": True,
        "row_block": 2,
        "depth_block": 3,
        "panel_group": 2,
    }
    with random_networks.forced(everything):
        plan = model.plan(batch_size=64, threads=2)
    assert plan.splits == ("outputs", "rows", "outputs")
    assert plan.transposes_weights == (False, True, False)
    assert plan.own_input
    assert (plan.row_block, plan.depth_block) == (2 * plan.panel, 3 * plan.panel)
    assert plan.panel_group == 2
    assert model.plan(batch_size=64, threads=2) == model.plan(batch_size=64, threads=2)
    with random_networks.forced({"split_by_outputs": 0}):
        assert model.plan(batch_size=64, threads=2).splits == ("rows",) * 3
