"""Layer normalization and residual blocks: exact cases, files, continuation, exports, errors.

Gradients are in test_gradients.py, trainings beside the oracle in test_lockstep.py, bits of every
way to compute in test_random_networks.py.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp import export, plot
from support.c_programs import C_COMPILER, compiled
from support.model_oracles import oracle_of
from support.paths import ROOT
from support.random_networks import new_seed
from support.tabular_networks import shaken

SEED = int(os.environ.get("FASTMLP_SEED") or new_seed())
CASES = range(10)
EXACT = ("relu", "leaky_relu", "identity", "hard_sigmoid")
SMOOTH = ("gelu", "tanh", "silu", "mish", *EXACT)


def drawn(case, activations=SMOOTH, **fixed):
    """Return a random network whose parameters all differ from their start, and samples."""
    rng = np.random.default_rng([SEED, case])
    hidden = [int(rng.integers(2, 70)) for _ in range(int(rng.integers(1, 7)))]
    ends = [i >= 2 and bool(rng.random() < 0.6) for i in range(len(hidden))]
    for i, is_end in enumerate(ends):
        hidden[i] = hidden[i - 2] if is_end else hidden[i]
    options = {
        "activation": [str(rng.choice(activations)) for _ in hidden],
        "layer_normalization": [bool(rng.random() < 0.6) for _ in hidden],
        "residual": ends,
        "dropout": [float(rng.choice([0.0, 0.3])) for _ in hidden],
        "parametric": [bool(rng.random() < 0.2) for _ in hidden],
        "dtype": str(rng.choice(["float32", "float64"])),
        "loss": str(rng.choice(["mse", "softmax_cross_entropy"])),
        "seed": case,
    }
    options |= fixed
    model = fastmlp.MLP([6, *hidden, 4], **options)
    shaken(model, rng)
    x = rng.standard_normal((50, 6)).astype(model.dtype)
    y = rng.integers(0, 4, 50)
    if options["loss"] == "mse":
        y = rng.standard_normal((50, 4)).astype(model.dtype)
    return model, x, y


def describe(model):
    return f"FASTMLP_SEED={SEED}: {model.layer_sizes} {model.architecture.arguments()}"


# ---------------------------------------------------------------- exact cases


def test_rows_have_mean_0_and_variance_1():
    model = fastmlp.MLP([3, 40, 2], layer_normalization=True, activation="identity", seed=1)
    rows = model.hidden_activations(np.random.default_rng(0).standard_normal((30, 3)))[0]
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(rows.std(axis=1), 1, atol=1e-3)


def test_layer_normalization_by_hand():
    """Pre-activations -1, 1 of variance 1: y = z / sqrt(1 + 1e-5) * scale + shift."""
    model = fastmlp.MLP([1, 2, 1], layer_normalization=True, activation="identity", loss="mse")
    model.set_parameters(
        {
            "layers.0.weights": [[2.0, 4.0]],
            "layers.0.biases": [1.0, 1.0],
            "layers.0.scales": [3.0, 5.0],
            "layers.0.shifts": [10.0, 20.0],
            "layers.1.weights": [[1.0], [1.0]],
            "layers.1.biases": [0.0],
        }
    )
    (hidden,) = model.hidden_activations([[1.0]])  # pre-activations 3 and 5
    np.testing.assert_allclose(hidden, [[10 - 3 * 0.999995, 20 + 5 * 0.999995]], rtol=1e-6)


def test_a_residual_block_by_hand():
    """x = 3: first sum 4; block relu(4 * 2) * 5 + 6; end relu(46 + 4)."""
    model = fastmlp.MLP(
        [1, 1, 1, 1, 1], residual=True, activation=["identity", "relu", "relu"], loss="mse"
    )
    model.weights = [[[1.0]], [[2.0]], [[5.0]], [[1.0]]]
    model.biases = [[1.0], [0.0], [6.0], [0.0]]
    assert [float(a[0, 0]) for a in model.hidden_activations([[3.0]])] == [4.0, 8.0, 50.0]


def test_the_skip_is_taken_before_the_activation():
    model = fastmlp.MLP([1, 1, 1, 1, 1], residual=True, activation="relu", loss="mse")
    model.weights = [[[1.0]], [[0.0]], [[0.0]], [[1.0]]]
    model.biases = [[-5.0], [0.0], [9.0], [0.0]]
    assert float(model.forward([[1.0]])[0, 0]) == 5.0  # relu(9 - 4)


def test_blocks_that_add_nothing_change_nothing():
    """With zero weights at the end of each block a network is that of its first layer."""
    model = fastmlp.MLP([6, 5, 9, 5, 9, 5, 4], residual=True, activation="tanh")
    x = np.random.default_rng(0).standard_normal((20, 6)).astype("float32")
    for layer in (2, 4):
        model.weights[layer] = np.zeros((9, 5))
    first, *_, last = model.hidden_activations(x)
    np.testing.assert_array_equal(first, last)


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_of_the_oracle(case):
    model, x, _ = drawn(case)
    expected = oracle_of(model).forward(x)
    bound = 2e-4 if model.dtype == np.float32 else 1e-11
    close = np.abs(model.forward(x) - expected).max() <= bound * np.abs(expected).max()
    assert close, describe(model)


# ---------------------------------------------------------------- files, copies, continuation


@pytest.mark.parametrize("case", CASES)
def test_files_and_copies_keep_every_bit(case, tmp_path):
    model, x, _ = drawn(case)
    model.save(tmp_path / "net.safetensors")
    others = [
        fastmlp.load(tmp_path / "net.safetensors"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    for other in others:
        assert other.architecture == model.architecture
        assert other.parameters().keys() == model.parameters().keys()
        np.testing.assert_array_equal(other.forward(x), model.forward(x), describe(model))


@pytest.mark.parametrize("case", CASES)
def test_a_continued_training_is_the_whole_one(case, tmp_path):
    settings = {"batch_size": 16, "optimizer": "adam", "verbose": 0}
    whole, x, y = drawn(case)
    parts = copy.deepcopy(whole)
    whole.fit(x, y, epochs=3, **settings)
    parts.fit(x, y, epochs=1, total_epochs=3, **settings)
    parts.save(tmp_path / "net.safetensors", training_state=True)
    parts = fastmlp.load(tmp_path / "net.safetensors")
    parts.fit(x, y, epochs=2, resume=True, **settings)
    for name, array in whole.parameters().items():
        np.testing.assert_array_equal(parts.parameters()[name], array, describe(whole))


@pytest.mark.parametrize("layer_normalization", [False, True])
def test_training_learns(layer_normalization):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 2)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    model = fastmlp.MLP(
        [2, 16, 24, 16, 24, 16, 2], residual=True, layer_normalization=layer_normalization
    )
    model.fit(x, y, epochs=30, batch_size=40, optimizer="adam", verbose=0)
    assert model.evaluate(x, y)["accuracy"] > 0.95


def test_frozen_layers_stand_still():
    model, x, y = drawn(1, layer_normalization=True, loss="mse")
    before = model.parameters()
    model.freeze(0)
    model.fit(x, y, epochs=2, batch_size=16, optimizer=fastmlp.Adam(0.001), verbose=0)
    after = model.parameters()
    still = {name for name, array in before.items() if np.array_equal(after[name], array)}
    assert {name for name in before if name.startswith("layers.0.")} <= still, describe(model)
    assert all(f"layers.{i}.weights" not in still for i in range(1, model.architecture.layers))


def test_groups_of_an_optimizer_reach_shifts():
    model, x, y = drawn(2, layer_normalization=True, loss="mse")
    before = model.parameters()
    still = {"shifts": fastmlp.Group(rate=0.0)}
    model.fit(x, y, epochs=1, optimizer=fastmlp.Adam(groups=still), verbose=0)
    after = model.parameters()
    assert np.array_equal(after["layers.0.shifts"], before["layers.0.shifts"])
    assert not np.array_equal(after["layers.0.scales"], before["layers.0.scales"])


def test_another_head_keeps_blocks():
    model, x, _ = drawn(3)
    new = model.replace_head(7)
    assert new.architecture.residual == model.architecture.residual
    for a, b in zip(new.hidden_activations(x), model.hidden_activations(x), strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- exports


@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_predicts_as_the_model(case, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model, _, _ = drawn(case)
    export.to_onnx(model, tmp_path / "net.onnx")
    result = export.check(model, tmp_path / "net.onnx")
    assert result["passed"], f"{result} {describe(model)}"


MAIN = """
#include <stdio.h>
#include "net.h"
int main(void)
{{
    {number} x[net_features], y[net_outputs];
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        net_predict(x, y);
        fwrite(y, sizeof y, 1, stdout);
    }}
    return 0;
}}
"""


@pytest.mark.skipif(C_COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("case", CASES[:5])
def test_c_predicts_as_the_model(case, exact, tmp_path):
    model, x, _ = drawn(case, EXACT if exact else SMOOTH)
    export.to_c(model, tmp_path / "net.h")
    number = "float" if model.dtype == np.float32 else "double"
    define = "#define net_EXACT\n" if exact else ""
    options = {"flags": ["-ffp-contract=off"]} if exact else {}
    program = compiled(tmp_path, define + MAIN.format(number=number), **options)
    done = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, model.dtype).reshape(len(x), -1)
    expected = model.forward(x)
    if exact:
        np.testing.assert_array_equal(found, expected, describe(model))
    else:
        bound = 1e-4 if number == "float" else 1e-11
        assert np.abs(found - expected).max() <= bound * np.abs(expected).max(), describe(model)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([3, 4, 2], {"residual": True}, "residual needs 3 or more hidden layers"),
        ([3, 4, 5, 6, 2], {"residual": True}, "hidden layers 0 and 2.*got 4 and 6"),
        ([3, 4, 4, 2], {"residual": [False, True]}, r"residual\[1\] must be False"),
        ([3, 4, 4, 4, 2], {"residual": [True]}, "residual must have one entry per hidden layer"),
        ([3, 1, 2], {"layer_normalization": True}, "2 or more units, which it compares, got 1"),
        ([3, 4, 2], {"layer_normalization": True, "members": 3}, "left out with members"),
        ([3, 4, 4, 4, 2], {"residual": True, "members": 2}, "left out with members"),
        (
            [3, 4, 2],
            {"layer_normalization": True, "batch_normalization": True},
            "left out with batch_normalization",
        ),
    ],
)
def test_what_does_not_fit_is_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        fastmlp.MLP(sizes, **options)


@pytest.mark.parametrize("name", ["layer_normalization", "residual"])
def test_flags_are_flags(name):
    with pytest.raises(TypeError, match=name):
        fastmlp.MLP([3, 4, 4, 4, 2], **{name: 1.5})


def test_what_knows_neither_says_so():
    model = fastmlp.MLP([2, 3, 4, 3, 2], residual=True)
    with pytest.raises(ValueError, match="residual blocks"):
        model.initialize_from(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="residual blocks"):
        plot.computational_graph(model, [0.0, 1.0], 1)


def test_the_core_refuses_blocks_that_cannot_be():
    """Arguments that no public function passes."""
    architecture = fastmlp.MLP([3, 4, 4, 4, 2], residual=True).architecture
    kind = type(fastmlp.MLP([3, 2])._network)
    for change in (
        lambda spec: spec.update(layer_sizes=[3, 4, 4, 5, 2]),
        lambda spec: spec["layers"][1].update(residual=True),
        lambda spec: spec["layers"][3].update(residual=True),
        lambda spec: spec["layers"][3].update(layer_norm=True),
        lambda spec: spec["layers"][2].update(batch_norm=True),
        lambda spec: spec["layers"][0].update(batch_norm=True),
        lambda spec: spec["layers"][1].update(input_scales=True),
        lambda spec: spec.update(members=2),
    ):
        spec = architecture.spec()
        kind(spec)
        change(spec)
        with pytest.raises(ValueError, match="residual block"):
            kind(spec)


def test_instruction_sets_give_the_same_bits():
    program = (
        "import hashlib, sys; sys.path.insert(0, 'tests'); import fastmlp\n"
        "from network.test_residual_networks import drawn\n"
        f"for case in {CASES}:\n"
        "    model, x, y = drawn(case)\n"
        "    model.fit(x, y, epochs=2, batch_size=17, optimizer='adam', verbose=0)\n"
        "    arrays = (*model.parameters().values(), model.forward(x))\n"
        "    print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())\n"
    )
    found = {}
    for isa in fastmlp.info()["isas_available"]:
        environment = os.environ | {"FASTMLP_ISA": isa, "FASTMLP_SEED": str(SEED)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        found[isa] = done.stdout
    assert len(set(found.values())) == 1, f"FASTMLP_SEED={SEED}: {found}"
