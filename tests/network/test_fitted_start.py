"""Weights and biases that are fitted to samples: RealMLP's start.

D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted
trees on tabular data", NeurIPS 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastmlp
from fastmlp import _core
from fastmlp.inputs import Category, Numbers, OneHot, Periodic
from support import reference_inputs, reference_network
from support.model_oracles import oracle_of
from support.pytabkit_values import RealMLPTask, under
from support.table_oracles import RealMLP
from support.tolerance import assert_same_bits

SEED = 2**33 + 7
SAMPLES = 70
INITIALIZATION, FIRST_STREAM, COMBINED = 1, 2**25, 5
INPUTS = [
    Numbers(3, embedding=Periodic(outputs=2), clip=2.0),
    Numbers(2),
    OneHot(3),
    Category(4, 5),
]


def samples(count: int = SAMPLES) -> NDArray[np.float64]:
    rng = np.random.default_rng(1)
    return np.hstack([rng.standard_normal((count, 5)), rng.integers(-1, 4, (count, 2))])


def new_model(**options: Any) -> fastmlp.MLP:
    own = {"activation": ["mish", "selu"], "inputs": INPUTS, "input_scaling": True}
    return fastmlp.MLP([7, 37, 6, 3], **{**own, "parametric": True, "dtype": "float64", **options})


def random_bits(seed: int, stream: int, index: NDArray[Any]) -> NDArray[np.uint64]:
    words = reference_network.philox4x32(
        (index, 0, stream, INITIALIZATION), (seed & (2**32 - 1), seed >> 32)
    )
    return words[1] << np.uint64(32) | words[0]


def fitted(model: fastmlp.MLP, x: NDArray[Any], seed: int) -> dict[str, Any]:
    """Return the weights and biases that are fitted, in NumPy."""
    net = oracle_of(model)
    level = reference_inputs.values(net.inputs, x) if net.inputs else np.asarray(x, np.float64)
    found = {}
    for layer in range(len(net.weights)):
        factors = net.input_scales[layer]
        level = level if factors is None else level * factors
        z = level @ net.weights[layer]
        deviations = z.std(axis=0)
        deviations[deviations == 0] = 1
        z /= deviations
        found[f"layers.{layer}.weights"] = net.weights[layer] / deviations
        units = z.shape[1]
        element = 2 * (np.arange(units)[:, None] * COMBINED + np.arange(COMBINED))
        bits = random_bits(seed, FIRST_STREAM + layer, element)
        shares = -np.log(((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)
        chosen = random_bits(seed, FIRST_STREAM + layer, element + 1).astype(object)
        rows = np.array(chosen * len(x) >> 64, np.int64)
        combined = (shares * z[rows, np.arange(units)[:, None]]).sum(axis=1) / shares.sum(axis=1)
        found[f"layers.{layer}.biases"] = net.biases[layer] = -combined
        level = net._activated(layer, (z - combined)[None])[0]
    return found


@pytest.mark.parametrize("options", [{}, {"inputs": None}, {"parametric": False}])
def test_the_rule_in_numpy(options: dict[str, Any]) -> None:
    model, x = new_model(**options), samples()
    before = model.parameters()
    expected = fitted(model, x, SEED)
    model._network.initialize_from_samples(x, SEED)
    for name, array in model.parameters().items():
        if name in expected:
            np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(array, before[name], name)


def test_pre_activations_have_deviation_one_and_kinks_among_them(dtype: str) -> None:
    model, x = new_model(dtype=dtype), samples()
    model._network.initialize_from_samples(x.astype(dtype), SEED)
    traces, _ = oracle_of(model).trace(x, False)
    for layer, trace in enumerate(traces):
        np.testing.assert_allclose(trace.product.std(axis=0), 1, rtol=1e-4, err_msg=str(layer))
        bias = model.biases[layer]
        assert (trace.product.min(axis=0) <= -bias).all()
        assert (-bias <= trace.product.max(axis=0)).all()
        assert len(np.unique(bias)) == len(bias)


def test_the_first_layer_is_that_of_realmlp() -> None:
    tasks: tuple[RealMLPTask, ...] = ("classes", "regression")
    for task in tasks:
        net = RealMLP(task, "float64")
        drawn = under(net.values, "drawn")
        model = net.model()
        own = model.parameters()
        for ours, theirs in net.names().items():
            if theirs in drawn:
                own[ours] = net.here(ours, drawn[theirs])
        expected = own["layers.0.weights"]
        draws = net.here("layers.0.weights", net.values["draws/weights0"])
        model.set_parameters({**own, "layers.0.weights": draws})
        model._network.initialize_from_samples(net.x, 3)
        np.testing.assert_allclose(model.weights[0], expected, rtol=1e-10)


def test_equal_bits_on_every_instruction_set(isa: str, dtype: str) -> None:
    model, x = new_model(dtype=dtype), samples(300).astype(dtype)
    network = _core.Network32 if dtype == "float32" else _core.Network64
    core = network(model.architecture.spec(), isa=isa)
    core.set_all([(kind, i, model._network.get(kind, i)) for kind, i, _ in core.arrays()])
    core.initialize_from_samples(x, SEED)
    model._network.initialize_from_samples(x, SEED)
    for kind, index, _ in core.arrays():
        assert_same_bits(core.get(kind, index), model._network.get(kind, index), kind)


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_a_unit_without_deviation_keeps_its_weights(count: int, dtype: str) -> None:
    """Although the variance of a constant, about a rounded mean, is not 0."""
    model = fastmlp.MLP([2, 40], loss="mse", dtype=dtype, seed=1)
    before = model.weights[0]
    model._network.initialize_from_samples(np.array([[0.7, 0.0]] * count, dtype), 0)
    np.testing.assert_array_equal(model.weights[0], before)
    np.testing.assert_allclose(model.biases[0], -0.7 * before[0], rtol=1e-6)


def test_members_and_batch_normalization_are_refused() -> None:
    for options in ({"members": 2}, {"batch_normalization": True}):
        model = new_model(**options)
        with pytest.raises(ValueError, match="is not fitted to samples"):
            model._network.initialize_from_samples(samples(), 0)
