"""Learning rate schedules: formulas, peers, state, and the steps of a training that they reach."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.schedules import (
    Constant,
    Cosine,
    CosLog,
    Exponential,
    FlatCosine,
    InverseScaling,
    Linear,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    WarmUp,
)
from support.tolerance import assert_same_bits, assert_within, gamma, unit_roundoff

U = unit_roundoff(np.float64)
# The angle has a relative error of 3 u and Horner's rule on terms that decay like those of a cosine
# one of less than 10 u of 1.
HALF_COSINE_ERROR = 16 * U
STEPS, EPOCHS = 7, 9

SCHEDULES = {
    "constant": Constant(0.1),
    "step decay": StepDecay(0.1, 0.5, 2),
    "step decay by steps": StepDecay(0.1, 0.5, 5, per="step"),
    "exponential": Exponential(0.1, 0.9),
    "exponential by steps": Exponential(0.1, 0.99, per="step"),
    "inverse scaling": InverseScaling(0.1),
    "inverse scaling by steps": InverseScaling(0.1, 0.7, per="step"),
    "cosine": Cosine(0.1, 0.01),
    "cosine by epochs": Cosine(0.1, 0.01, per="epoch"),
    "cosine of its own length": Cosine(0.1, 0.01, 20),
    "cosine of the logarithm": CosLog(0.1),
    "cosine of the logarithm by epochs": CosLog(0.1, 2, per="epoch"),
    "flat cosine": FlatCosine(0.1),
    "flat cosine by epochs": FlatCosine(0.1, per="epoch"),
    "linear": Linear(0.1, 0.01),
    "linear by epochs": Linear(0.1, 0.01, 4, per="epoch"),
    "warm-up": WarmUp(Cosine(0.1), 10),
    "warm-up by epochs": WarmUp(StepDecay(0.1, 0.5, 4), 2, per="epoch"),
    "one cycle": OneCycle(0.1),
    "plateau": ReduceOnPlateau(0.1),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def whole(schedule, steps_per_epoch=STEPS, epochs=EPOCHS):
    return schedule.rates(0, steps_per_epoch * epochs, steps_per_epoch, epochs)


def by_epoch(schedule, epochs, steps_per_epoch=3):
    """One rate per epoch, after a look at the rates within the epochs."""
    rates = whole(schedule, steps_per_epoch, epochs).reshape(epochs, steps_per_epoch)
    np.testing.assert_array_equal(rates, np.repeat(rates[:, :1], steps_per_epoch, axis=1))
    return rates[:, 0]


# ---------------------------------------------------------------- all of them


@schedules
def test_a_rate_for_each_step(schedule):
    rates = whole(schedule)
    assert rates.dtype == np.float64
    assert rates.shape == (STEPS * EPOCHS,)
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert schedule.rates(5, 0, STEPS, EPOCHS).shape == (0,)


@schedules
@given(first=st.integers(0, STEPS * EPOCHS), count=st.integers(0, 20))
def test_any_piece_is_a_piece_of_the_whole(schedule, first, count):
    longer = schedule.rates(0, STEPS * EPOCHS + 20, STEPS, EPOCHS)
    piece = schedule.rates(first, count, STEPS, EPOCHS)
    assert_same_bits(piece, longer[first : first + count])


@schedules
def test_schedules_survive_a_pickle(schedule):
    assert_same_bits(whole(pickle.loads(pickle.dumps(schedule))), whole(schedule))


def test_settings_are_shown_compared_and_frozen():
    schedule = StepDecay(0.1, every=3)
    assert repr(schedule) == "StepDecay(per='epoch', rate=0.1, factor=0.1, every=3)"
    assert schedule != StepDecay(0.1, every=4)
    assert Linear(0.1) != Cosine(0.1)
    with pytest.raises(AttributeError):
        schedule.rate = 0.2


def test_the_base_class_asks_for_rates():
    with pytest.raises(NotImplementedError):
        Schedule().rates(0, 1, 1, 1)


def test_same_bits_without_the_vector_instructions_of_numpy():
    code = """
from fastmlp.schedules import *
for s in (Cosine(0.1), OneCycle(0.1), Exponential(0.1, 0.97, per="step"), InverseScaling(0.1),
          StepDecay(0.1, 0.97, 3, per="step"), InverseScaling(0.3, 1.0, per="step"),
          CosLog(0.1), CosLog(0.1, 7), FlatCosine(0.1)):
    print(s.rates(0, 4000, 100, 40).tobytes().hex())
"""
    features = np.show_config(mode="dicts")["SIMD Extensions"]["found"]

    def output(**changes):
        command, environment = [sys.executable, "-c", code], {**os.environ, **changes}
        return subprocess.check_output(command, env=environment, timeout=60)

    assert output(NPY_DISABLE_CPU_FEATURES=" ".join(features)) == output()


# ---------------------------------------------------------------- formulas


def test_constant():
    np.testing.assert_array_equal(Constant(0.3).rates(2, 4, 10, 1), [0.3] * 4)


def test_step_decay_by_epochs():
    rates = by_epoch(StepDecay(8.0, 0.5, 2), 7)
    np.testing.assert_array_equal(rates, [8, 8, 4, 4, 2, 2, 1])


def test_step_decay_by_steps():
    rates = whole(StepDecay(1.0, 0.25, 3, per="step"), 4, 2)
    np.testing.assert_array_equal(rates, [1, 1, 1, 0.25, 0.25, 0.25, 0.0625, 0.0625])


def test_the_defaults_of_step_decay_divide_by_ten_every_ten_epochs():
    rates = by_epoch(StepDecay(0.5), 30)
    np.testing.assert_allclose(rates, np.repeat([0.5, 0.05, 0.005], 10), rtol=4 * U)


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_exponential(factor):
    steps = 1000
    rates = whole(Exponential(0.1, factor, per="step"), steps, 1).astype(np.longdouble)
    for t in range(steps):
        exact = Fraction(0.1) * Fraction(factor) ** t
        # Squaring doubles an error: t roundings for factor**t, some products of them, the rate.
        error = abs(Fraction(float(rates[t])) - exact)
        assert error <= Fraction(gamma(t + 12, np.float64)) * exact, t
    np.testing.assert_array_equal(by_epoch(Exponential(0.5, 0.5), 4), [0.5, 0.25, 0.125, 0.0625])
    np.testing.assert_array_equal(by_epoch(Exponential(0.5, 0.0), 3), [0.5, 0, 0])


def test_powers_that_underflow_or_are_not_needed_raise_no_warning():
    assert Exponential(1.0, 1e-300, per="step").rates(5, 1, 10, 1) == 0
    assert Exponential(1e-300, 1e300, per="step").rates(0, 2, 2, 1)[1] == pytest.approx(1)


def test_inverse_scaling():
    np.testing.assert_array_equal(by_epoch(InverseScaling(6.0), 4), 6 / np.sqrt([1, 2, 3, 4]))
    np.testing.assert_array_equal(by_epoch(InverseScaling(6.0, 1), 4), [6, 3, 2, 1.5])
    rates = whole(InverseScaling(0.1, 0.7, per="step"), 5, 2)
    expected = [0.1 / math.pow(1 + t, 0.7) for t in range(10)]
    np.testing.assert_allclose(rates, expected, rtol=8 * U)


def test_linear():
    np.testing.assert_array_equal(whole(Linear(1.0), 4, 2), 1 - np.arange(8) / 8)
    np.testing.assert_array_equal(
        by_epoch(Linear(1.0, 0.5, per="epoch"), 4), [1, 0.875, 0.75, 0.625]
    )
    np.testing.assert_array_equal(
        whole(Linear(0.0, 1.0, 4), 8, 1), [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    )


@pytest.mark.parametrize("kind", [Cosine, Linear])
def test_the_ends_are_exact(kind):
    # (0.3 - 0.03) + 0.03 is not 0.3 in floating point.
    rates = kind(0.3, 0.03).rates(0, 41, 8, 5)
    assert (rates[0], rates[40]) == (0.3, 0.03)
    assert (np.diff(rates) < 0).all()
    late = kind(0.3, 0.03, 2, per="epoch").rates(2 * 8, 3 * 8, 8, 5)
    np.testing.assert_array_equal(late, 0.03)


def test_cosine_is_that_of_sgdr():
    """Loshchilov and Hutter, 2017, equation 5, with T_i the planned steps."""
    steps = STEPS * EPOCHS
    expected = [0.01 + 0.5 * 0.09 * (1 + math.cos(math.pi * t / steps)) for t in range(steps)]
    assert_within(whole(Cosine(0.1, 0.01)), expected, 0.1 * HALF_COSINE_ERROR)


@pytest.mark.parametrize("base", [0.1, 0.03, 1.0])
def test_cosine_by_epochs(base):
    for epochs in range(1, 61):
        turns = [math.cos(math.pi * epoch / epochs) for epoch in range(epochs)]
        expected = 0.5 * base * (1 + np.array(turns))
        rates = by_epoch(Cosine(base, per="epoch"), epochs)
        assert_within(rates, expected, base * HALF_COSINE_ERROR)
        assert_same_bits(rates.astype(np.float32), expected.astype(np.float32))


# ---------------------------------------------------------------- schedules of RealMLP

# Besides that of the half cosine: the logarithm is off by 2 u and its argument by 2 u, which is 3 u
# of the logarithm; the slope of the squared sine is at most pi.
COS_LOG_ERROR = HALF_COSINE_ERROR + 5 * math.pi * U


@pytest.mark.parametrize("cycles", [1, 2, 4, 7, 20, 50])
def test_cos_log_is_its_formula(cycles):
    """Against extended precision, in which the cosine of large angles is right."""
    steps = 20_000
    t = np.arange(steps, dtype=np.longdouble) / steps
    turns = np.log2(1 + (np.longdouble(2) ** cycles - 1) * t)
    expected = 0.3 * np.sin(np.longdouble(np.pi) * (turns - np.round(turns))) ** 2
    rates = CosLog(0.3, cycles).rates(0, steps, 100, steps // 100)
    assert_within(rates, expected, 0.3 * COS_LOG_ERROR)
    assert (rates >= 0).all()
    assert rates.max() <= 0.3


@pytest.mark.parametrize("cycles", [1, 4, 9])
def test_cos_log_is_zero_between_its_cycles_and_highest_in_them(cycles):
    steps = 2**cycles - 1
    rates = CosLog(0.3, cycles).rates(0, steps + 3, steps, 1)
    between = [2**k - 1 for k in range(cycles)]
    assert (rates[[*between, steps, steps + 1, steps + 2]] == 0).all()
    middles = [(math.sqrt(2) * 2**k - 1) / steps for k in range(cycles)]
    fine = CosLog(0.3, cycles).rates(0, 1 << 20, 1 << 20, 1)
    at = [round(t * (1 << 20)) for t in middles]
    np.testing.assert_allclose(fine[at], 0.3, rtol=1e-5)


def test_flat_cosine_is_constant_and_falls_from_the_middle():
    for steps in (1, 2, 7, 64, 1001):
        t = np.arange(steps) / steps
        falling = 0.5 * (1 + np.array([math.cos(math.pi * (2 * x - 1)) for x in t]))
        expected = 0.3 * np.where(t <= 0.5, 1.0, falling)
        rates = whole(FlatCosine(0.3), steps, 1)
        # The reference itself rounds the angle: 4 u more.
        assert_within(rates, expected, 0.3 * (HALF_COSINE_ERROR + 4 * U))
        assert (rates[t <= 0.5] == 0.3).all()
        assert (np.diff(rates) <= 0).all()
    assert (FlatCosine(0.3).rates(64, 3, 64, 1) == 0).all()


# get_schedule("coslog4") and get_schedule("flat_cos") of pytabkit 1.8.0 at t = 0, 1/12, ..., 11/12.
# A training of pytabkit updates them before each step: t is the share of samples seen by then.
COS_LOG_OF_PYTABKIT = [
    0.0, 0.2589167187746043, 0.3236890042288717, 0.49348927546479743, 0.9304309704312057,
    0.18620080012567697, 0.07361893418585597, 0.6103044471301952, 0.9838444269228753,
    0.8756577310807727, 0.4846478723391397, 0.12988214820511346,
]  # fmt: skip
FLAT_COSINE_OF_PYTABKIT = [
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9330127018922193, 0.7500000000000002, 0.5,
    0.2499999999999999, 0.06698729810778081,
]  # fmt: skip
# NumPy rounds an angle of up to 8 pi and its logarithm there.
ERROR_OF_PYTABKIT = 8 * math.pi * U


def test_the_schedules_are_those_of_pytabkit():
    rates = whole(CosLog(1.0), 4, 3)
    assert_within(rates, COS_LOG_OF_PYTABKIT, COS_LOG_ERROR + ERROR_OF_PYTABKIT)
    rates = whole(FlatCosine(1.0), 4, 3)
    assert_within(rates, FLAT_COSINE_OF_PYTABKIT, HALF_COSINE_ERROR + ERROR_OF_PYTABKIT)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [(f"coslog{n}", CosLog(0.04, n)) for n in range(1, 7)] + [("flat_cos", FlatCosine(0.04))],
)
def test_pytabkit_agrees_step_by_step(name, schedule):
    scheduling = pytest.importorskip("pytabkit.models.training.scheduling")
    theirs = scheduling.get_schedule(name)
    learner = type("Learner", (), {"progress": scheduling.LearnerProgress()})()
    learner.progress.max_epochs = 5
    expected = []
    for step in range(35):  # as a training does: 7 batches of 16 rows in each epoch
        theirs.update(learner)
        expected.append(0.04 * float(theirs.get_value()))
        learner.progress.total_samples = (step + 1) * 16
        learner.progress.epoch_float = learner.progress.total_samples / (7 * 16)
    tolerance = 0.04 * (COS_LOG_ERROR + 2 * ERROR_OF_PYTABKIT)
    assert_within(whole(schedule, 7, 5), expected, tolerance)


# ---------------------------------------------------------------- warm-up


def test_warm_up_rises_to_the_schedule_and_follows_it():
    rates = whole(WarmUp(Constant(0.8), 4), 4, 2)
    np.testing.assert_allclose(rates, [0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8], rtol=2 * U)
    rates = whole(WarmUp(Linear(0.8), 4, start=0.1), 4, 2)
    np.testing.assert_allclose(rates, [0.1, 0.175, 0.25, 0.325, 0.4, 0.3, 0.2, 0.1], rtol=4 * U)


def test_warm_up_by_epochs_rises_with_every_step():
    schedule = WarmUp(StepDecay(1.0, 0.5, 3), 2, per="epoch")
    expected = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, *[1] * 4, *[0.5] * 4]
    np.testing.assert_array_equal(whole(schedule, 4, 4), expected)


def test_warm_up_needs_a_longer_training():
    schedule = WarmUp(Cosine(0.1), 12)
    assert schedule.rates(0, 13, 13, 1)[12] > 0
    with pytest.raises(ValueError, match="length must be < 12 steps of training, got 12 steps"):
        schedule.rates(0, 12, 4, 3)
    with pytest.raises(ValueError, match="length must be < 8 steps of training, got 12 steps"):
        WarmUp(Cosine(0.1), 3, per="epoch").rates(0, 1, 4, 2)


def test_warm_up_hands_measurements_on():
    plateau = ReduceOnPlateau(0.4, 0.5, patience=0, monitor="loss")
    schedule = WarmUp(plateau, 2)
    for loss in (1.0, 1.0):
        schedule.observe({"loss": loss})
    np.testing.assert_array_equal(whole(schedule, 4, 1), [0, 0.1, 0.2, 0.2])
    schedule.reset()
    np.testing.assert_array_equal(whole(schedule, 4, 1), [0, 0.2, 0.4, 0.4])


# ---------------------------------------------------------------- one cycle


def test_one_cycle_is_that_of_pytorch():
    """torch 2.13.0: OneCycleLR(max_lr=0.8, total_steps=10, pct_start=0.3, cycle_momentum=False)."""
    expected = [
        0.03200000000000003, 0.41600000000000004, 0.8, 0.7603877056107791, 0.6493965231598104,
        0.48900961754903144, 0.3109935824509686, 0.1506066768401896, 0.03961549438922103, 3.2e-06,
    ]  # fmt: skip
    # Both mix two rates of at most 0.8 by a half cosine.
    for steps_per_epoch, epochs in ((10, 1), (5, 2)):
        rates = whole(OneCycle(0.8), steps_per_epoch, epochs)
        assert_within(rates, expected, 0.8 * 2 * HALF_COSINE_ERROR)


def test_one_cycle_begins_peaks_and_ends_where_it_says():
    rates = whole(OneCycle(1.0, 0.25, 4.0, 8.0), 40, 2)
    assert (rates[0], rates[19], rates[79]) == (0.25, 1.0, 1 / 32)
    assert (np.diff(rates[:20]) > 0).all()
    assert (np.diff(rates[19:]) < 0).all()
    np.testing.assert_array_equal(OneCycle(1.0, 0.25, 4.0, 8.0).rates(80, 3, 40, 2), 1 / 32)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1])
def test_one_cycle_without_room_to_rise_only_falls(fraction):
    rates = whole(OneCycle(1.0, fraction), 10, 1)
    assert 0.97 < rates[0] <= 1
    assert (np.diff(rates) < 0).all()
    assert rates[-1] == pytest.approx(4e-6, abs=4 * U)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9])
def test_one_cycle_of_a_single_step(fraction):
    np.testing.assert_array_equal(whole(OneCycle(1.0, fraction), 1, 1), [1 / 25 / 1e4])


# ---------------------------------------------------------------- plateau


def observed(schedule, values, name="val_loss"):
    rates = []
    for value in values:
        schedule.observe({name: value})
        rates.append(float(schedule.rates(0, 1, 1, 1)[0]))
    return rates


LOSSES = [1.0, 0.9, 0.95, 0.89995, 0.92, 0.91, 0.93, 0.94, 0.95, 0.96, 0.8, 0.85, 0.86, 0.87, 0.88]


def test_reduce_on_plateau_is_that_of_pytorch():
    """torch 2.13.0: ReduceLROnPlateau(patience=2, cooldown=1, min_lr=1e-3, eps=0) from 0.5."""
    expected = [0.5] * 4 + [0.05] * 4 + [0.005000000000000001] * 5 + [0.001] * 2
    schedule = ReduceOnPlateau(0.5, patience=2, cooldown=1, minimum=1e-3)
    assert observed(schedule, LOSSES) == expected


def test_reduce_on_plateau_starts_again_after_a_reset():
    schedule = ReduceOnPlateau(0.5, patience=2, cooldown=4)
    losses = [math.nan, *LOSSES]
    expected = observed(schedule, losses)
    for seen in range(len(losses)):
        schedule.reset()
        observed(schedule, losses[:seen])
        schedule.reset()
        assert schedule.rates(0, 1, 1, 1) == 0.5
        assert observed(schedule, losses) == expected


@pytest.mark.parametrize(
    ("patience", "expected"), [(0, [1, 0.5, 0.25, 0.125]), (1, [1, 1, 0.5, 0.5]), (3, [1] * 4)]
)
def test_patience_is_the_number_of_epochs_let_pass(patience, expected):
    assert observed(ReduceOnPlateau(1.0, 0.5, patience), [3.0] * 4) == expected


def test_epochs_of_cooldown_are_not_counted():
    rates = observed(ReduceOnPlateau(1.0, 0.5, 0, cooldown=2), [3.0] * 7)
    assert rates == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_an_improvement_is_a_fraction_of_the_best_value():
    enough, too_little = 100 * (1 - 0.11), 100 * (1 - 0.09)
    options = {"factor": 0.5, "patience": 0, "minimum_change": 0.1}
    assert observed(ReduceOnPlateau(1.0, **options), [100.0, enough]) == [1, 1]
    assert observed(ReduceOnPlateau(1.0, **options), [100.0, too_little]) == [1, 0.5]
    # A fraction of the magnitude, so that a value below zero has to get better too.
    assert observed(ReduceOnPlateau(1.0, **options), [-100.0, -100.0]) == [1, 0.5]
    assert observed(ReduceOnPlateau(1.0, **options), [-100.0, -111.0]) == [1, 1]


@pytest.mark.parametrize(
    ("monitor", "mode", "larger"),
    [
        ("val_accuracy", "auto", True),
        ("accuracy", "auto", True),
        ("val_loss", "auto", False),
        ("val_loss", "max", True),
        ("val_accuracy", "min", False),
    ],
)
def test_accuracies_improve_upwards_and_losses_downwards(monitor, mode, larger):
    schedule = ReduceOnPlateau(1.0, 0.5, 0, monitor=monitor, mode=mode)
    expected = [1, 1, 0.5] if larger else [1, 0.5, 0.25]
    assert observed(schedule, [0.5, 0.6, 0.6], monitor) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_no_improvement(value):
    assert observed(ReduceOnPlateau(1.0, 0.5, 0), [value, 2.0, value, 1.0]) == [
        0.5,
        0.5,
        0.25,
        0.25,
    ]


def test_a_missing_value_is_named_with_those_there_are():
    schedule = ReduceOnPlateau(0.1)
    message = "monitor must be one of epoch, loss, got 'val_loss'; val_ needs validation_data"
    with pytest.raises(ValueError, match=message):
        schedule.observe({"epoch": 1, "loss": 0.5})


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1), "rate must be finite and >= 0, got -1"),
        (lambda: StepDecay(0.1, -0.5), "factor must be finite and >= 0, got -0.5"),
        (lambda: StepDecay(0.1, every=None), "every must be an integer"),
        (lambda: StepDecay(0.1, per="epochs"), "per must be one of .* did you mean 'epoch'"),
        (lambda: InverseScaling(0.1, -1), "power must be finite and >= 0, got -1"),
        (lambda: Cosine(0.1, -0.1), "end must be finite and >= 0, got -0.1"),
        (lambda: Cosine(0.1, length=0), "length must be >= 1, got 0"),
        (lambda: CosLog(-0.1), "rate must be finite and >= 0, got -0.1"),
        (lambda: CosLog(0.1, 0), "cycles must be >= 1, got 0"),
        (lambda: CosLog(0.1, 51), "cycles must be <= 50, got 51"),
        (lambda: CosLog(0.1, 2.5), "cycles must be an integer"),
        (lambda: FlatCosine(0.1, per="steps"), "per must be one of"),
        (lambda: FlatCosine(float("nan")), "rate must be finite"),
        (lambda: WarmUp(0.1, 5), "schedule must be a fastmlp.Schedule .* got float"),
        (lambda: WarmUp(Constant(0.1), 0), "length must be >= 1, got 0"),
        (lambda: WarmUp(Constant(0.1), 1, -1), "start must be finite and >= 0, got -1"),
        (lambda: WarmUp(Constant(0.1), 1, per="step "), "per must be one of"),
        (lambda: OneCycle(0.1, 1.0), "warm_fraction must be < 1, got 1"),
        (lambda: OneCycle(0.1, start_divisor=0.5), "start_divisor must be finite and >= 1"),
        (lambda: ReduceOnPlateau(0.1, 1.0), "factor must be < 1, got 1"),
        (lambda: ReduceOnPlateau(0.1, patience=-1), "patience must be >= 0, got -1"),
        (lambda: ReduceOnPlateau(0.1, minimum_change=-1), "minimum_change must be finite and >= 0"),
        (lambda: ReduceOnPlateau(0.1, monitor=3), "monitor must be a string, got int"),
        (lambda: ReduceOnPlateau(0.1, cooldown=-1), "cooldown must be >= 0, got -1"),
        (lambda: ReduceOnPlateau(0.1, mode="up"), "mode must be one of auto, min, max, got 'up'"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
