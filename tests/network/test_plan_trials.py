"""A run tries plans by the time of their steps: which it takes, at what cost, and with what bits.

Machines are simulated: each plan has a time per step, with noise, which may change. No clock is
read.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support import random_networks

SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())


class Machine:
    """Runs the turns that `_core.PlanTrials` asks for, and adds up their times."""

    def __init__(self, seconds_per_step, noise, rng):
        self.seconds_per_step = np.array(seconds_per_step)
        self.trials = _core.PlanTrials(len(seconds_per_step))
        self.noise, self.rng = noise, rng
        self.seconds = np.zeros(len(seconds_per_step))
        self.steps = np.zeros(len(seconds_per_step), int)

    def run(self, seconds, call=10**9):
        """Take turns for some seconds, in calls of at most so many steps."""
        end = self.seconds.sum() + seconds
        while self.seconds.sum() < end:
            plan, steps = self.trials.next(call)
            assert 1 <= steps <= call
            steps = min(steps, max(1, int(seconds / self.seconds_per_step[plan])))
            took = steps * self.seconds_per_step[plan] * self.rng.lognormal(0, self.noise)
            self.trials.record(plan, steps, took)
            self.seconds[plan] += took
            self.steps[plan] += steps


def random_machine(rng, noise):
    plans = int(rng.integers(2, 6))
    step = 10.0 ** rng.uniform(-5, -1)
    return Machine(step * rng.uniform(0.2, 5, plans), noise, rng)


@pytest.mark.parametrize("case", range(20))
def test_the_fastest_plan_is_found_if_it_saves_a_fifth(case):
    rng = np.random.default_rng([SEED, case])
    machine = random_machine(rng, 0.02)
    slowest, fastest = machine.seconds_per_step.max(), machine.seconds_per_step.min()
    call = int(rng.choice([1, 3, 50, 10**9]))
    machine.run(20_000 * slowest + 20, call)
    chosen = machine.seconds_per_step[machine.trials.current]
    assert chosen <= 1.25 * fastest, f"FASTMLP_SEED={SEED}"


@pytest.mark.parametrize("case", range(20))
def test_trials_take_little_time_if_the_first_plan_is_the_best(case):
    rng = np.random.default_rng([SEED, 1, case])
    machine = random_machine(rng, 0.02)
    machine.seconds_per_step.sort()
    for _ in range(50):
        machine.run(200 * machine.seconds_per_step[0])
        others = machine.seconds[1:].sum()
        first_trial = 3 * machine.seconds_per_step[-1]  # may take longer than expected
        if machine.trials.current == 0:
            most = 0.01 * machine.seconds.sum() + first_trial
            assert others <= 1.1 * most, f"FASTMLP_SEED={SEED}"  # 1.1: five times the noise
    assert machine.seconds_per_step[machine.trials.current] <= 1.1 * machine.seconds_per_step[0]


def test_a_machine_that_changes_is_noticed():
    rng = np.random.default_rng([SEED, 2])
    machine = Machine([1e-3, 2e-3, 4e-3], 0.02, rng)
    machine.run(30)
    assert machine.trials.current == 0
    machine.seconds_per_step[:] = [20e-3, 2e-3, 4e-3]  # another program takes a core
    machine.run(200)
    assert machine.trials.current == 1
    machine.seconds_per_step[:] = [1e-3, 2e-3, 4e-3]
    machine.run(200)
    assert machine.trials.current == 0


def test_noise_alone_changes_the_plan_rarely():
    rng = np.random.default_rng([SEED, 3])
    machine = Machine([1e-3, 1e-3], 0.03, rng)
    changes, current = 0, 0
    for _ in range(200):
        machine.run(1.0)
        changes += machine.trials.current != current
        current = machine.trials.current
    assert changes <= 4, f"FASTMLP_SEED={SEED}"


@pytest.mark.parametrize("seconds", [0.0, 1e-12, 1e6])
def test_any_time_is_taken(seconds):
    trials = _core.PlanTrials(3)
    for _ in range(100):
        plan, steps = trials.next(7)
        assert 1 <= steps <= 7
        trials.record(plan, steps, seconds)
    trials.record(0, 0, 1.0)  # a turn that was stopped before its first step


@pytest.mark.parametrize("chunk", range(4))
def test_plans_in_turns_give_the_bits_of_one(chunk):
    """Random networks whose steps are taken by all plans of a run, a few steps each."""
    found = []
    for number in range(15):
        seed = SEED + 1000 * chunk + number
        case = random_networks.case(seed)
        rng = np.random.default_rng([seed, 5])
        turns = [int(n) for n in rng.integers(1, 4, int(rng.integers(1, 5)))]
        # None: the plan decides, so that a run has several plans.
        way = random_networks.Way(None, {"threads": int(rng.integers(2, 5)), "turns": turns})
        if rng.random() < 0.5:
            way = replace(way, overrides={**way.overrides, "own_input": True})
        one = random_networks.results(case, random_networks.Way())
        several = random_networks.results(case, way)
        found += [f"{case}: {name}" for name in one if one[name] != several[name]]
    assert not found, f"FASTMLP_SEED={SEED}\n" + "\n".join(found)


def test_a_training_begins_with_the_given_number_of_threads():
    with random_networks.forced({"threads": 4}):
        model = fastmlp.MLP([20, 30, 5])
        assert model.plan(batch_size=32).threads == 4
        assert model.plan(batch_size=32, threads=2).threads == 2


def test_a_training_tries_fewer_threads_than_given_and_never_more():
    x = np.random.default_rng(0).standard_normal((64, 20)).astype(np.float32)
    for threads in (1, 2, 3, 5):
        with random_networks.forced({"turns": [1]}):
            model = fastmlp.MLP([20, 40, 3])
            model.fit(x, np.arange(64) % 3, epochs=3, batch_size=16, threads=threads, verbose=0)
            tried = [way.threads for way in model.plan(batch_size=16, threads=threads).tried]
        assert max(tried, default=threads) == threads
        assert (1 in tried) or threads == 1


def test_the_plan_tells_what_the_last_training_measured():
    x = np.random.default_rng(0).standard_normal((64, 20)).astype(np.float32)
    with random_networks.forced({"threads": 2, "turns": [2, 1]}):
        model = fastmlp.MLP([20, 40, 3])
        model.fit(x, np.arange(64) % 3, epochs=3, batch_size=16, verbose=0)
        plan = model.plan(batch_size=16)
        assert [way.threads for way in plan.tried[:2]] == [2, 1]
        assert sum(way.steps for way in plan.tried) == 12  # of all plans, two and one in turns
        assert all(way.seconds_per_step > 0 for way in plan.tried)
        assert "1 thread " in str(plan)
        assert model.plan(batch_size=8).tried == ()
        assert model.plan(batch_size=16, threads=1).tried == ()
