"""What model.plan() decides and says."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import _core


def plan(sizes, **options):
    return fastmlp.MLP(sizes).plan(**options)


def test_small_steps_take_one_thread_and_wait_for_nobody():
    small = plan([784, 30, 10], batch_size=10)
    assert small.threads == 1
    assert small.barriers == 0


def test_large_steps_take_all_threads():
    large = plan([784, 512, 512, 10])
    assert large.threads == _core.available_threads()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_are_what_was_asked_for(threads):
    assert plan([20, 30, 5], batch_size=8, threads=threads).threads == threads
    assert plan([20, 30, 5], batch_size=2, threads=threads).threads == min(threads, 2)


def test_layers_whose_panels_come_out_even_are_split_by_outputs():
    panel = plan([4, 4]).panel
    two = plan([100, 2 * panel, 3 * panel, 10], batch_size=32, threads=2)
    assert two.splits == ("outputs", "rows", "rows")
    assert two.own_input
    assert two.barriers == 3  # after the first layer, and around the update
    five = plan([100, 5 * panel, 10], batch_size=32, threads=5)
    assert five.splits == ("outputs", "rows")
    assert not five.own_input
    assert five.barriers == 4
    many = plan([100, 2 * panel, 10], batch_size=1024, threads=2)
    assert many.splits == ("rows", "rows")
    assert many.barriers == 2


def test_flops_are_counted_as_in_the_benchmarks():
    weights = 784 * 128 + 128 * 10
    assert plan([784, 128, 10], batch_size=32).flops == 32 * (6 * weights - 2 * 784 * 128)


def test_memory_grows_with_the_optimizer():
    momentum = plan([300, 200, 10], optimizer=fastmlp.SGD(momentum=0.9))
    plain = plan([300, 200, 10], optimizer=fastmlp.SGD())
    assert momentum.run_bytes - plain.run_bytes == momentum.parameter_bytes


def test_it_reads_as_words():
    text = str(plan([784, 512, 512, 10], threads=2))
    for part in ("784-512-512-10", "batches of 128", "adam", "411 MFLOP", "barriers per step",
                 "layer 2   512 -> 512; each thread has outputs of its own; backward "
        "transposes gradients", "layer 3   512 -> 10; threads share rows, then weights; backward "
        "transposes weights",
                 _core.active_isa(), "MiB"):  # fmt: skip
        assert part in text, text
    assert all(len(line) < 100 for line in text.splitlines())


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 1.5}, TypeError, "batch_size"),
        ({"threads": 0}, ValueError, "threads"),
        ({"optimizer": 3}, TypeError, "optimizer"),
        ({"batch_size": 2**62}, MemoryError, None),
    ],
)
def test_bad_arguments(options, error, name):
    with pytest.raises(error, match=name):
        plan([10, 5], **options)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_by_default_threads_are_those_of_the_last_training(threads):
    model, other = fastmlp.MLP([784, 512, 10]), fastmlp.MLP([784, 512, 10])
    assert other.plan(batch_size=512, threads=threads).threads == threads
    model.fit(np.zeros((512, 784)), np.arange(512) % 10, epochs=1, batch_size=512, verbose=0,
              threads=threads)  # fmt: skip
    assert model.plan().threads == threads
    assert model.plan(batch_size=256).threads == threads
    assert model.plan(threads=threads + 1).threads == threads + 1


def test_by_default_it_is_that_of_the_last_training():
    model = fastmlp.MLP([5, 8, 3])
    assert (model.plan().batch_size, model.plan().optimizer) == (128, "adam")
    x = np.random.default_rng(0).standard_normal((40, 5))
    optimizer = fastmlp.SGD(0.1, momentum=0.9)
    model.fit(x, np.arange(40) % 3, epochs=1, batch_size=8, optimizer=optimizer, verbose=0)
    assert (model.plan().batch_size, model.plan().optimizer) == (8, "momentum")
    assert model.plan(batch_size=16, optimizer="adam").batch_size == 16


def test_short_rules_alone_update_in_registers():
    rules = {
        rule: "registers that hold" in str(plan([4, 3], optimizer=rule)) for rule in ("sgd", "adam")
    }
    assert rules == {"sgd": True, "adam": False}
