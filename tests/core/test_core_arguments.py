"""The core's functions called directly: what no caller should pass is refused, and ends nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support.paths import TESTS

SCRIPT = TESTS / "support" / "hostile_calls.py"
SECONDS = 4


def hostile_calls(seed):
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(seed), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), command
    answered, refused = map(int, done.stdout.split())
    assert answered > 20
    assert refused > 20


@pytest.mark.parametrize("repetition", range(3))
def test_hostile_arguments_are_refused(repetition):
    hostile_calls(int(np.random.default_rng().integers(2**31)))


def test_decays_of_averages_that_once_crashed():
    hostile_calls(1867451430)


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    odd = np.frombuffer(raw.data, array.dtype, array.size, offset=1).reshape(array.shape)
    odd[...] = array
    assert not odd.flags.aligned
    return odd


def swapped(array):
    return array.astype(array.dtype.newbyteorder())


def argument_calls():
    """(name of the argument, function of it, an array that is right) for every array argument."""
    x = np.ones((8, 4), np.float32)
    y = np.zeros(8, np.int64)
    values = np.zeros((8, 3), np.float32)
    weight = np.ones(8, np.float32)
    columns, starts = np.zeros(2, np.int32), np.array([0, 1] + [2] * 7)
    elements = np.ones(2, np.float32)
    classifier = fastmlp.MLP([4, 5, 3])
    mse = fastmlp.MLP([4, 5, 3], loss="mse", output_activation="identity")
    network = classifier._network
    run = classifier._core_run(4, "momentum", 1)
    run_mse = mse._core_run(4, "momentum", 1)
    gradient = _core.Gradient32(network, 8, 1)
    kernels = _core.kernels
    flat = np.ones(16, np.float32)
    yield "x", lambda a: network.forward(a, "none", 1), x
    yield "x", lambda a: network.hidden_outputs(a, 1), x
    yield "x", lambda a: network.predict_classes(a, 1), x
    yield "x", lambda a: network.evaluate(a, [y], None, 1), x
    yield "y", lambda a: network.evaluate(x, [a], None, 1), y
    yield "sample_weight", lambda a: network.evaluate(x, [y], a, 1), weight
    yield "elements", lambda a: network.forward((a, columns, starts), "none", 1), elements
    yield "columns", lambda a: network.forward((elements, a, starts), "none", 1), columns
    yield "row starts", lambda a: network.forward((elements, columns, a), "none", 1), starts
    yield "values", lambda a: network.set("weights", 0, a), np.ones((4, 5), np.float32)
    yield "x", lambda a: run.run_epoch(a, [y], {}), x
    yield "y", lambda a: run.run_epoch(x, [a], {}), y
    yield "y", lambda a: run_mse.run_epoch(x, [a], {}), values
    yield "sample_weight", lambda a: run.run_epoch(x, [y], {}, sample_weight=a), weight
    yield "order", lambda a: run.run_epoch(x, [y], {}, order=a), np.arange(8)
    yield "x", lambda a: gradient.compute(a, [y]), x
    yield "y", lambda a: gradient.compute(x, [a]), y
    yield "sample_weight", lambda a: gradient.compute(x, [y], sample_weight=a), weight
    for key, array in run.state().items():
        yield key, lambda a, key=key: run.restore({**run.state(), key: a}), array
    yield (
        "x",
        lambda a: kernels.gemm_nn(a, values.T.copy()[:, :4].T.copy()),
        values.T.copy()[:, :4],
    )
    yield "w", lambda a: kernels.gemm_nn(x, a), np.ones((4, 3), np.float32)
    yield "x", lambda a: kernels.gemm_tn(a, x), x
    yield "dz", lambda a: kernels.gemm_tn(x, a), x
    for product in (kernels.gemm_nt, kernels.gemm_nt_by_rows):
        yield "dz", lambda a, product=product: product(a, x), x
        yield "w", lambda a, product=product: product(x, a), x
    yield "x", lambda a: kernels.elementwise("exp", a), flat
    yield "z", lambda a: kernels.activation("relu", a, weight[:4]), x
    yield "bias", lambda a: kernels.activation("relu", x, a), weight[:4].copy()
    yield "output", lambda a: kernels.activation_backward("relu", a, x), x
    yield "doutput", lambda a: kernels.activation_backward("relu", x, a), x
    yield "outputs", lambda a: kernels.loss("softmax_cross_entropy", a, y, 1.0), values
    yield "y", lambda a: kernels.loss("softmax_cross_entropy", values, a, 1.0), y
    yield "y", lambda a: kernels.loss("mse", values, a, 1.0), values
    yield "x", lambda a: kernels.disturb(a, rate=0.1, deviation=0.1, seed=0), x
    for i, name in enumerate("wvg"):
        yield (
            name,
            lambda a, i=i: kernels.sgd(
                *[a if j == i else flat for j in range(3)], 0.1, 0, False, 0
            ),
            flat,
        )


@pytest.mark.parametrize("spoil", [unaligned, swapped, lambda a: np.repeat(a, 2, -1)[..., ::2]])
def test_every_array_argument_must_be_one_that_the_core_can_read(spoil):
    number = 0
    for name, call, array in argument_calls():
        call(np.ascontiguousarray(array))
        with pytest.raises((TypeError, ValueError)) as raised:
            call(spoil(np.ascontiguousarray(array)))
        assert name in str(raised.value) or "incompatible function arguments" in str(raised.value)
        number += 1
    assert number > 40


def test_the_gradient_of_an_own_loss_may_lie_anywhere():
    def loss(outputs, targets):
        return 1.0, outputs / len(outputs)

    def odd_loss(outputs, targets):
        return 1.0, unaligned(outputs / len(outputs))

    x, y = np.random.default_rng(0).standard_normal((40, 4)), np.zeros((40, 3))
    trained = []
    for function in (loss, odd_loss):
        model = fastmlp.MLP([4, 5, 3], loss=function, seed=1)
        model.fit(x, y, epochs=2, verbose=0)
        trained.append(model.weights[0])
    np.testing.assert_array_equal(*trained)


def test_a_state_is_replaced_whole_or_not_at_all():
    model = fastmlp.MLP([4, 5, 3])
    x, y = np.ones((8, 4), np.float32), np.zeros(8, np.int64)
    run = model._core_run(4, "adam", 1)
    run.run_epoch(x, [y], {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "average_decay": 0.9})
    before = run.state()
    doubled = {key: 2 * value for key, value in before.items() if key != "position"}
    doubled["position"] = before["position"]
    for key in before:
        for wrong in (np.zeros(1, np.float32), np.zeros(before[key].shape, np.int32), None, "x"):
            with pytest.raises((TypeError, ValueError)):
                run.restore({**doubled, key: wrong})
        if key != "position" and not key.startswith("averages"):
            with pytest.raises(ValueError, match="missing"):
                run.restore({name: doubled[name] for name in doubled if name != key})
        after = run.state()
        assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    run.restore(doubled)
    assert all(run.state()[name].tobytes() == doubled[name].tobytes() for name in before)


@pytest.mark.parametrize("number", [2**62, 2**63 - 1, -1, -(2**63)])
def test_numbers_of_steps_and_sizes_are_within_reach(number):
    model = fastmlp.MLP([4, 5, 3])
    x, y = np.ones((8, 4), np.float32), np.zeros(8, np.int64)
    run = model._core_run(4, "sgd", 1)
    with pytest.raises(ValueError, match="first_step"):
        run.run_epoch(x, [y], {}, first_step=number)
    if number < -1:
        with pytest.raises(ValueError, match="steps"):
            run.run_epoch(x, [y], {}, steps=number)
    with pytest.raises((MemoryError, ValueError)):
        model._core_run(number, "sgd", 1)
    with pytest.raises((MemoryError, ValueError)):
        _core.permutation(number, 0, 0)
