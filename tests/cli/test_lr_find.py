"""`fastmlp lr-find`: what `MLP.lr_find` finds, a picture, and nothing left behind."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.experiment import build
from fastmlp.experiment.architectures import ARCHITECTURES
from fastmlp.experiment.runner import load_experiment
from fastmlp.experiment.settings import resolve
from support.cli_process import run

PLAIN = ("--architecture", "mlp", "--hidden", 5)


@pytest.fixture
def lr_find(tmp_path, monkeypatch, capsys):
    """The command in this process and a directory of its own: code, output, errors."""
    from fastmlp.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> tuple[int, str, str]:
        code = main(["lr-find", *map(str, args)])
        return code, *capsys.readouterr()

    return call


def moons():
    """Samples as the command trains a plain network on them."""
    plain = {"network": {"architecture": "mlp"}}
    return load_experiment(resolve("moons", [plain])).prepared.train


def directly(train, model: dict, **arguments) -> fastmlp.LearningRates:
    network = fastmlp.MLP([2, 5, 2], **model)
    defaults = {"batch_size": 32, "steps": 200, "optimizer": fastmlp.Adam()}
    return network.lr_find(train.x, train.y, **{**defaults, **arguments})


def assert_same(output: str, expected: fastmlp.LearningRates) -> None:
    found = json.loads(output)
    assert found["rates"] == expected.rates.tolist()
    assert found["losses"] == expected.losses.tolist()
    assert found["suggestion"] == expected.suggestion
    assert found["lowest_loss_at"] == expected.rates[expected.losses.argmin()]


@pytest.mark.parametrize(
    ("args", "model", "arguments"),
    [
        ((), {}, {}),
        (("--seed", 4, "--activation", "tanh"), {"seed": 4, "activation": "tanh"}, {}),
        (("--lowest", 1e-3, "--highest", 5, "--steps", 40), {},
         {"lowest": 1e-3, "highest": 5, "steps": 40}),
        (("--batch-size", 7, "--threads", 2), {}, {"batch_size": 7}),
        # The rate of the optimizer and its schedule are replaced, the rest of it is kept.
        (("--optimizer", "sgd", "--momentum", 0.9, "--lr", 3, "--lr-schedule", "one_cycle"), {},
         {"optimizer": fastmlp.SGD(momentum=0.9)}),
    ],
)  # fmt: skip
def test_rates_and_losses_are_those_of_the_api(args, model, arguments, lr_find):
    code, out, err = lr_find("moons", *PLAIN, *args, "--json")
    assert (code, err) == (0, "loading moons\n")
    assert_same(out, directly(moons(), model, **arguments))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_network_is_that_of_a_training(architecture, lr_find):
    network = {"architecture": architecture, "hidden": [5]}
    experiment = load_experiment(resolve("moons", [{"network": network}]))
    train, config = experiment.prepared.train, experiment.config
    expected = experiment.new_model().lr_find(
        train.x, train.y, optimizer=build.optimizer(config), batch_size=256, steps=80
    )
    options = ("--architecture", architecture, "--hidden", 5, "--steps", 80, "--json")
    code, out, _ = lr_find("moons", *options)
    assert code == 0
    assert_same(out, expected)


def test_weights_of_samples_and_classes_count(lr_find, tmp_path):
    pytest.importorskip("polars")
    random = np.random.Generator(np.random.PCG64(2)).normal(size=(200, 2)).tolist()
    rows = [f"{a},{b},{abs(b)},{'yes' if a > 0.7 else 'no'}" for a, b in random]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,w,class", *rows]) + "\n")
    settings = {"data": {"sample_weight": "w"}, "network": {"architecture": "mlp"}}
    train = load_experiment(resolve("t.csv", [settings])).prepared.train
    counts = np.bincount(train.y)
    balanced = (len(train) / (2 * counts))[train.y]
    by_name = np.array([3.0, 0.5])[train.y]
    for extra, weights in (
        ((), train.weight),
        (("--class-weight", "balanced"), train.weight * balanced),
        (("-s", "training.class_weight={no = 3.0, yes = 0.5}"), train.weight * by_name),
    ):
        args = ("t.csv", "--sample-weight", "w", *PLAIN, *extra, "--json")
        code, out, err = lr_find(*args)
        assert code == 0, err
        assert_same(out, directly(train, {}, sample_weight=weights))


def test_the_suggestion_is_printed_and_nothing_is_kept(tmp_path):
    done = run("lr-find", "moons", *PLAIN, cwd=tmp_path)
    assert done.returncode == 0
    loading, suggested = done.stderr.splitlines()
    assert loading == "loading moons"
    assert suggested.startswith("next: fastmlp train moons ")
    expected = directly(moons(), {})
    lowest = expected.rates[expected.losses.argmin()]
    assert done.stdout.splitlines() == [
        f"suggested learning rate  {expected.suggestion:.3g}",
        f"lowest loss at           {lowest:.3g}",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_picture(kind, lr_find, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, err = lr_find("moons", "-o", f"rates.{kind}", "-q")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].split() == ["picture", f"rates.{kind}"]
    heads = {"svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}
    content = (tmp_path / f"rates.{kind}").read_bytes()
    assert content.startswith(heads[kind])
    assert len(content) > 2000
    assert [path.name for path in tmp_path.iterdir()] == [f"rates.{kind}"]
    if kind == "svg":
        before = content
        lr_find("moons", "-o", "rates.svg", "-q")
        assert (tmp_path / "rates.svg").read_bytes() == before


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (
            ("--lowest", 1e30, "--highest", 1e31, "--optimizer", "sgd"),
            "steps, from the rate 1e+30 on",
        ),
        (("--highest", 1e-5), "the loss does not fall by 5 % and five times its noise"),
        (
            ("--steps", 12, "--highest", 1e-3),
            "steps must be 20 or more to tell a fall from noise, got 12",
        ),
    ],
)
def test_without_a_suggestion_the_problem_is_an_error(args, problem, lr_find, tmp_path):
    pytest.importorskip("matplotlib")
    args = ("moons", *PLAIN, *args)
    code, out, err = lr_find(*args, "-o", "rates.svg")
    assert code == 6
    assert out.splitlines()[0] == "suggested learning rate  none"
    assert err.splitlines()[-1].startswith("fastmlp: error: no learning rate is suggested: ")
    assert problem in err
    assert "No learning rate is suggested" in (tmp_path / "rates.svg").read_text()
    code, out, _ = lr_find(*args, "--json")
    found = json.loads(out)
    assert (code, found["suggestion"]) == (6, None)
    assert problem in found["problem"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "DATASET must be a data set, file or directory, got none"),
        (("mons",), 2, "did you mean 'moons'?"),
        (("moons", "--lowest", 0), 2, "must be > 0, got 0"),
        (("moons", "--highest", "nan"), 2, "must be > 0, got nan"),
        (("moons", "--lowest", 2, "--highest", 2), 2, "--highest must be above --lowest, 2, got 2"),
        (("moons", "--steps", 1), 2, "must lie in 2..1000000, got 1"),
        (("moons", "--optimizer", "lbfgs"), 2, "optimizer.name: lbfgs has no learning rate"),
        (("moons", "--activation", "reul"), 2, "activation must be one of"),
        (("sine", "--class-weight", "balanced"), 2, "training.class_weight: needs classes"),
        (("moons", "-o", "rates.gif"), 2, "--output rates.gif: no such format 'gif'"),
        (("moons", "-o", "rates"), 2, "--output rates: no such format ''"),
        (("moons", "-o", "no/rates.svg"), 2, "no/rates.svg: the directory does not exist"),
    ],
)
def test_what_cannot_be_done_is_named(args, code, message, lr_find, tmp_path):
    actual, out, err = lr_find(*args, "-q")
    assert (actual, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named_before_the_search(lr_find, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    message = "matplotlib is needed; run \"pip install 'fastmlp[plot]'\""
    assert lr_find("moons", "-o", "rates.svg") == (7, "", f"fastmlp: error: {message}\n")
    assert lr_find("moons", "-q")[0] == 0
