"""Every public function that takes a network, on networks for tables: it works, or says why not."""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import _core, export, plot
from fastmlp.cli import main
from fastmlp.inputs import Numbers
from fastmlp.network.network import Network
from fastmlp.plot.graph import backpropagate
from support.tabular_networks import drawn, shaken

# Names in a message that tell which argument of the network a function cannot deal with.
REFUSALS = re.compile(
    r"inputs|input_scaling|members|parametric|batch normalization|batch_norm|no rectifier"
)
FIRST = int(os.environ.get("FASTMLP_SEED") or 0)
SEEDS = range(FIRST, FIRST + 40)
seeds = pytest.mark.parametrize("seed", SEEDS)


def refused(call):
    """The result of a call, or None if it refuses the network with a message that tells why."""
    try:
        return call()
    except ValueError as error:
        if REFUSALS.search(str(error)) is None:
            raise
        return None


# ---------------------------------------------------------------- methods

# How to call what has required arguments.
_ARGUMENTS = {
    "forward": lambda case: (case.x,),
    "hidden_activations": lambda case: (case.x,),
    "predict": lambda case: (case.x,),
    "predict_proba": lambda case: (case.x,),
    "evaluate": lambda case: (case.x, case.y),
    "loss_and_gradients": lambda case: (case.x, case.y),
    "input_gradients": lambda case: (case.x, case.y),
    "gradient_norms": lambda case: (case.x, case.y),
    "fit": lambda case: (case.x, case.y),
    "lr_find": lambda case: (case.x, case.y),
    "initialize_from": lambda case: (case.x,),
    "keep_members": lambda case: ([1, 0],),
    "freeze": lambda case: (list(range(case.model.architecture.layers - 1)),),
    "replace_head": lambda case: (case.model.layer_sizes[-1],),
    "set_parameters": lambda case: (case.model.parameters(),),
    "restore_training_state": lambda case: (case.model.training_state(),),
    "save": lambda case: ("model.safetensors",),
    "load": lambda case: ("model.safetensors",),
}
_FURTHER = {
    "fit": {"epochs": 1, "verbose": 0, "optimizer": fastmlp.SGD(1e-6)},
    "lr_find": {"steps": 3},
}
_LAST = ("save", "load", "fit", "restore_training_state")  # in this order
_METHODS = sorted(
    (n for n, m in inspect.getmembers(fastmlp.MLP, callable) if not n.startswith("_")),
    key=lambda name: (_LAST.index(name) + 1 if name in _LAST else 0, name),
)


def test_all_methods_are_called():
    needed = {
        name
        for name in _METHODS
        if any(
            p.default is p.empty and p.name != "self" and p.kind < p.VAR_POSITIONAL
            for p in inspect.signature(getattr(fastmlp.MLP, name)).parameters.values()
        )
    }
    assert needed == set(_ARGUMENTS)


@seeds
def test_every_method(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = drawn(seed)
    if len(case.x) == 1 and any(case.model.architecture.batch_normalization):
        case = drawn(seed, batch_normalization=False)
    for name in _METHODS:
        arguments = _ARGUMENTS.get(name, lambda _: ())(case)
        method = getattr(case.model, name)
        if name == "predict_proba" and case.model.architecture.link == "none":
            losses = case.model.architecture.losses
            if len(losses) > 1 or losses[0].link not in ("softmax", "sigmoid"):
                continue
        result = refused(lambda m=method, n=name, a=arguments: m(*a, **_FURTHER.get(n, {})))
        if result is None:
            allowed = (
                "input_gradients", "freeze", "unfreeze", "set_parameters", "save",
                "initialize_from", "keep_members",
            )  # fmt: skip
            assert name in (*allowed, "restore_training_state"), f"{name}: {case}"
    for name, member in inspect.getmembers(fastmlp.MLP, lambda m: isinstance(m, property)):
        if not name.startswith("_"):
            getattr(case.model, name)
            assert member is not None


@seeds
def test_copies_files_and_changed_networks_predict_the_same(seed, tmp_path):
    case = drawn(seed)
    expected = case.model.forward(case.x)
    case.model.save(tmp_path / "net.safetensors")
    copies = {
        "file": fastmlp.load(tmp_path / "net.safetensors"),
        "pickle": pickle.loads(pickle.dumps(case.model)),
        "copy": copy.deepcopy(case.model),
        "head": case.model.replace_head(case.model.layer_sizes[-1]),
    }
    last = f"layers.{case.model.architecture.layers - 1}."
    head = {n: a for n, a in case.model.parameters().items() if n.startswith(last)}
    copies["head"].set_parameters(copies["head"].parameters() | head)
    for name, model in copies.items():
        network = getattr(model, "network", model)
        np.testing.assert_array_equal(network.forward(case.x), expected, err_msg=f"{name} {case}")
    folded = case.model.fold_batch_norm().forward(case.x)
    bound = {"float32": 2e-5, "float64": 1e-13}[str(case.model.dtype)]
    assert np.abs(folded - expected).max() <= bound * np.abs(expected).max(), case


@seeds
def test_hidden_activations_lead_to_the_outputs(seed):
    """The last layer, in NumPy, of the activations of each member, for many threads and blocks."""
    case = drawn(seed, loss_name="hinge", dtype="float64")
    model, rng = case.model, np.random.default_rng(seed)
    x = np.concatenate([case.x] * (1 + 300 // len(case.x)))
    hidden = model.hidden_activations(x, threads=int(rng.integers(1, 5)))
    members = model.architecture.members
    assert len(hidden) == len(model.layer_sizes) - 2
    for array, units in zip(hidden, model.layer_sizes[1:-1], strict=True):
        assert array.shape == ((len(x), units) if members == 1 else (len(x), members, units))
    if not hidden:
        return
    last = np.atleast_3d(hidden[-1]) if members > 1 else hidden[-1][:, np.newaxis]
    weights = model.weights[-1] if members > 1 else model.weights[-1][np.newaxis]
    outputs = np.einsum("smi,mij->smj", last, weights) + model.biases[-1]
    np.testing.assert_allclose(outputs.mean(axis=1), model.forward(x), rtol=1e-9, atol=1e-9)


@seeds
def test_input_gradients_are_those_of_differences(seed):
    case = drawn(seed, dtype="float64", loss_name="mse", activation="tanh", inputs=None)
    model, x = case.model, case.x
    gradient = model.input_gradients(x, case.y)
    assert gradient.shape == x.shape
    rng, step = np.random.default_rng(seed), 1e-6
    direction = rng.standard_normal(x.shape)
    # The loss that is trained: the mean of those of the members.
    losses = [model.loss_and_gradients(x + s * step * direction, case.y)[0] for s in (1, -1)]
    expected = (losses[0] - losses[1]) / (2 * step)
    assert abs(float((gradient * direction).sum()) - expected) <= 1e-6 * (1 + abs(expected)), case


def test_input_gradients_of_embedded_columns_are_refused():
    model = fastmlp.MLP([2, 1], loss="mse", inputs=[Numbers(2)])
    with pytest.raises(ValueError, match=r"a network without inputs=\[\.\.\.\]"):
        model.input_gradients([[0.0, 1.0]], [[0.0]])


# ---------------------------------------------------------------- functions


def _pictures(case):
    model, x, y = case.model, case.x, case.y
    rows = y if not isinstance(y, list) else [part[:1] for part in y]
    one = rows[:1] if not isinstance(y, list) else rows
    width = model.weights[0].shape[-2]
    return {
        "gradient_norms": lambda: plot.gradient_norms(model, x, y),
        "weight_templates": lambda: plot.weight_templates(model, image_shape=(1, width)),
        "computational_graph": lambda: plot.computational_graph(model, x[:1], one),
        "backpropagate": lambda: backpropagate(model, x[:1], one),
        "decision_regions": lambda: plot.decision_regions(model, x, y),
        "decision_regions_over_time": lambda: plot.decision_regions_over_time(
            model, x, y, _recorded(case)[0]
        ),
        "training_frames": lambda: next(plot.training_frames(model, x, y, *_recorded(case))),
        "hidden_space": lambda: plot.hidden_space(model, x, y),
        "linear_regions": lambda: plot.linear_regions(model, _SQUARE),
        "count_linear_regions": lambda: plot.count_linear_regions(model, _SQUARE),
        "LossPlane": lambda: plot.loss_surface(
            plot.LossPlane(model, x, y, *_two_parameters(model)), resolution=3
        ),
    }


_SQUARE = ((-1, 1), (-1, 1))
_OF_TWO_INPUTS = (
    "decision_regions",
    "decision_regions_over_time",
    "training_frames",
    "linear_regions",
    "count_linear_regions",
)


def _has_no_plane(name, sizes):
    """Whether a picture of a plane lacks it: two inputs, or two units of the last hidden layer."""
    hidden = sizes[1:-1]
    return (name in _OF_TWO_INPUTS and sizes[0] != 2) or (
        name == "hidden_space" and (not hidden or hidden[-1] != 2)
    )


def _recorded(case):
    """A recorder with two epochs of a copy, and their history."""
    recorder, model = fastmlp.ParameterRecorder(), copy.deepcopy(case.model)
    history = model.fit(case.x, case.y, epochs=2, callbacks=[recorder], verbose=0, diagnose=False)
    return recorder, history


def _two_parameters(model):
    parameters = list(model.parameters().items())
    (first, values), (last, ends) = parameters[0], parameters[-1]
    return (first, (0,) * values.ndim), (last, tuple(size - 1 for size in ends.shape))


def _takes_model(function):
    parameters = inspect.signature(function).parameters.values()
    return any("MLP" in str(p.annotation) or "Network" in str(p.annotation) for p in parameters)


def test_all_pictures_of_models_are_drawn():
    functions = {name for name in plot.__all__ if callable(getattr(plot, name))}
    of_models = {name for name in functions if _takes_model(getattr(plot, name))}
    case = drawn(0)
    assert of_models | {"gradient_norms"} <= set(_pictures(case))


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_pictures(seed):
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    for fixed in ({}, {"inputs": None, "members": 1, "input_scaling": False}):
        case = drawn(seed, activation="tanh", loss_name="softmax_cross_entropy", **fixed)
        for name, picture in _pictures(case).items():
            if _has_no_plane(name, case.model.layer_sizes):
                continue
            refused(picture)
    plt.close("all")


def test_the_graph_of_mixed_activations_is_right():
    """Gradients of values are those of differences, also with mixes."""
    case = drawn(
        3, activation="tanh", loss_name="mse", dtype="float64", inputs=None, members=1,
        input_scaling=False, batch_normalization=False, parametric=True,
    )  # fmt: skip
    x, y = case.x[:1], case.y[:1]
    numbers = backpropagate(case.model, x, y)
    np.testing.assert_allclose(numbers.gradients[0], case.model.input_gradients(x, y)[0])


@seeds
def test_plans_tell_the_sizes_of_the_products(seed):
    case = drawn(seed)
    architecture = case.model.architecture
    plan = case.model.plan(batch_size=10)
    text = str(plan)
    outputs = case.model.layer_sizes[1]
    assert f"{architecture.first_inputs} -> {outputs}" in text, f"{text}\n{case}"
    shapes = [weights.shape[-2:] for weights in case.model.weights]
    products = sum(a * b for a, b in shapes)
    rows = 10 * architecture.members
    assert 4 * rows * products <= plan.flops <= 6 * rows * products
    skipped = 6 * rows * products - plan.flops
    assert skipped in (0, 2 * rows * shapes[0][0] * shapes[0][1])
    assert (skipped == 0) == plan.trains_inputs


@seeds
def test_texts(seed):
    case = drawn(seed)
    text = repr(case.model)
    assert (f"{case.model.architecture.members} members" in text) == (
        case.model.architecture.members > 1
    )


# ---------------------------------------------------------------- commands


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_commands_on_a_model_file(seed, tmp_path, capsys):
    case = drawn(seed)
    path = tmp_path / "net.safetensors"
    case.model.save(path)
    assert main(["inspect", str(path)]) == 0, case
    capsys.readouterr()
    assert main(["inspect", str(path), "--json"]) == 0, case
    facts = json.loads(capsys.readouterr().out)
    assert facts["members"] == case.model.architecture.members
    assert [(layer["inputs"], layer["outputs"]) for layer in facts["layers"]] == [
        weights.shape[-2:] for weights in case.model.weights
    ]
    for suffix in ("npz", "h"):
        target = tmp_path / f"net.{suffix}"
        assert main(["export", str(path), "--output", str(target)]) == 0, case
        assert target.stat().st_size > 0


# ---------------------------------------------------------------- introspection


def test_no_other_function_takes_a_network():
    """What is public and takes a model is called here or in the tests of exports."""
    found = set()
    for module in (fastmlp, plot, export):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function) and _takes_model(function):
                found.add(f"{module.__name__}.{name}")
    drawn_here = {f"fastmlp.plot.{name}" for name in _pictures(drawn(0))}
    exported = {f"fastmlp.export.{name}" for name in ("check", "to_c", "to_npz", "to_onnx")}
    assert found <= drawn_here | exported
    assert issubclass(fastmlp.MLP, Network)
    assert hasattr(_core, "Network32")


def test_members_that_are_shaken_differ():
    """The networks of these tests have no two equal members, so that a mixture of them shows."""
    model = fastmlp.MLP([3, 4, 2], members=3)
    shaken(model, np.random.default_rng(0))
    biases = model.biases[0]
    assert len(np.unique(biases, axis=0)) == 3
