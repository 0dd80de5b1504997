"""The same bits in every way of computing: threads, forced plans, instruction sets.

Networks, data and ways are drawn by random_networks.py from a seed.
"""

from __future__ import annotations

import functools
import random
from typing import Any

from fastmlp import _core
from support import random_networks
from trust.experiment import Broken, Experiment, Patch, Section, require
from trust.worker import Worker

WAYS = 2  # besides one thread, for each network


def networks_case(seed: int) -> int:
    """A random network in ways of its own: gradients, training, predictions, evaluation."""
    found = random_networks.differences(8 * (seed // 8) + 1, WAYS)  # 1: without estimators
    require(not found, "; ".join(found)[:1500])
    return WAYS


def estimators_case(seed: int) -> int:
    """A random estimator likewise."""
    expected = random_networks.estimator_results(seed, random_networks.Way())
    for way in random_networks.ways(seed, WAYS):
        found = random_networks.estimator_results(seed, way)
        require(found == expected, f"{way}: {[n for n in expected if found[n] != expected[n]]}")
    return WAYS


def results_of(seed: int) -> dict[str, str]:
    """What a worker with another instruction set answers."""
    way = random_networks.Way(random.Random(seed).choice(random_networks.THREADS))
    return random_networks.results(random_networks.case(seed), way)


@functools.cache
def _workers() -> dict[str, Worker]:
    return {
        isa: Worker("trust.bits:results_of", {"FASTMLP_ISA": isa})
        for isa in _core.isas()
        if isa != _core.isas()[0]
    }


def instruction_sets_case(seed: int) -> int:
    """A random network by the kernels of every instruction set of this machine."""
    expected = results_of(seed)
    for isa, worker in _workers().items():
        answer: dict[str, Any] = worker.ask(seed, 60)
        if "failed" in answer:
            raise Broken(f"{isa}: {answer['failed']}")
        found = answer["tried"]
        require(found == expected, f"{isa}: {[n for n in expected if found.get(n) != expected[n]]}")
    return len(_workers())


def one_instruction_set() -> str | None:
    return None if len(_core.isas()) > 1 else "this machine has one instruction set only"


# No pass is preceded by a barrier.
NO_BARRIERS = Patch(
    (("cpp/network/step.cpp", "pass.barrier_before = pass.barrier_before || needed;", ""),)
)
# Sums of generic products are rounded at their end only.
ONE_ROUNDING = Patch(
    (
        (
            "cpp/kernels/gemm.inl.hpp",
            "sums = {rounded_to_floats(sums.low), rounded_to_floats(sums.high)};",
            "",
        ),
    )
)

SECTION = Section(
    "bits",
    "Equal bits",
    4.0,
    True,
    (
        Experiment(
            name="bits.networks",
            promise="Gradients, trainings and predictions have the same bits on any number of "
            "threads and by any plan.",
            counted="comparisons",
            case="trust.bits:networks_case",
            planted="threads do not wait for each other",
            plant=NO_BARRIERS,
            seconds=120.0,
            share=4.0,
        ),
        Experiment(
            name="bits.estimators",
            promise="The estimators have the same bits, too.",
            counted="comparisons",
            case="trust.bits:estimators_case",
            planted="threads do not wait for each other",
            plant=NO_BARRIERS,
            seconds=120.0,
        ),
        Experiment(
            name="bits.instruction_sets",
            promise="Every instruction set gives the same bits.",
            counted="comparisons",
            case="trust.bits:instruction_sets_case",
            planted="the sums of generic products are rounded at their end only",
            plant=ONE_ROUNDING,
            seconds=200.0,
            missing=one_instruction_set,
            share=1.5,
        ),
    ),
)
