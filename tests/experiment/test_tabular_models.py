"""Networks for tables behind `fastmlp.Model` and the commands: rows as they come, answers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.cli import main
from fastmlp.inputs import Numbers, Periodic, PiecewiseLinear
from support.tabular_networks import shaken

pytest.importorskip("polars")
ROWS = 120


def frame(rng, task):
    """Two numbers, one of which is missing at times, a category, a target."""
    size, age = rng.uniform(20, 200, ROWS), rng.normal(40, 9, ROWS)
    town = rng.choice(["Bonn", "Kiel", "Ulm"], ROWS)
    target = rng.choice(["no", "yes", "so"], ROWS) if task == "classification" else size * 3 + age
    age[rng.random(ROWS) < 0.1] = np.nan
    return {"size": size, "age": age, "town": town, "target": target}


@pytest.fixture(params=["classification", "regression"])
def tabular(request):
    """A model of a table whose network has inputs, factors, mixes and members; and its table."""
    rng = np.random.default_rng(7)
    table = frame(rng, request.param)
    plain = fastmlp.Model(target="target", epochs=1, seed=1).fit(table, verbose=0)
    preprocessing = plain.preprocessing
    groups = [
        Numbers(1, embedding=Periodic(bases=4, outputs=2), clip=3.0),
        Numbers(1, embedding=PiecewiseLinear([-1.0, 0.0, 2.0])),
        Numbers(preprocessing.features - 2),
    ]
    network = fastmlp.MLP(
        [preprocessing.features, 8, preprocessing.outputs], inputs=groups, input_scaling=True,
        loss=plain.network.architecture.losses[0], parametric=True, members=3, activation="mish",
    )  # fmt: skip
    shaken(network, rng)
    network.preprocessing = preprocessing
    return fastmlp.Model.of(network), table


def test_answers_are_those_of_the_network(tabular, tmp_path):
    model, table = tabular
    rows = {name: column for name, column in table.items() if name != "target"}
    x = model.inputs(rows).astype(np.float32)
    found = model.predict(rows)
    if model.task == "classification":
        np.testing.assert_array_equal(found, model.classes[model.network.predict(x)])
        expected = model.network.predict_proba(x)
        np.testing.assert_allclose(model.predict_proba(rows), expected, atol=1e-6)
    else:
        expected = model.preprocessing.decode(model.network.predict(x))
        np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5)
    assert np.isfinite(model.evaluate(table).loss)
    model.save(tmp_path / "net.fastmlp")
    again = fastmlp.load(tmp_path / "net.fastmlp")
    np.testing.assert_array_equal(again.predict(rows), found)
    np.testing.assert_array_equal(model.to_estimator().predict(rows), found)
    for suffix in ("h", "npz"):
        model.export(tmp_path / f"net.{suffix}")


def test_commands(tabular, tmp_path, capsys):
    import polars

    model, table = tabular
    path, data = tmp_path / "net.fastmlp", tmp_path / "rows.csv"
    model.save(path)
    polars.DataFrame(table).write_csv(data)
    for command in (["predict", path, data], ["evaluate", path, data], ["inspect", path]):
        assert main([str(item) for item in command]) == 0, command
        assert capsys.readouterr().out
    output = tmp_path / "net.onnx"
    pytest.importorskip("onnxruntime")
    assert main(["export", str(path), "--output", str(output), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["check"]["passed"]


def test_pictures_and_reports_in_a_run(tabular, tmp_path):
    """A run whose model is replaced by one with inputs: the report draws norms by feature."""
    pytest.importorskip("matplotlib")
    import polars

    model, table = tabular
    data = tmp_path / "rows.csv"
    polars.DataFrame(table).write_csv(data)

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "fastmlp.cli", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("train", data, "--target", "target", "--epochs", 1, "--no-report", "-q")
    (folder,) = (tmp_path / "runs").iterdir()
    for name in ("best.safetensors", "last.safetensors"):
        old = fastmlp.load(folder / name)
        network = model.network
        network.preprocessing = old.preprocessing
        network.history = old.history
        if old.preprocessing.features != network.layer_sizes[0]:
            pytest.fail("the run learned other columns than the model")
        network.save(folder / name)
    run("report", folder.relative_to(tmp_path))
    assert "Importance of the columns" in (folder / "report.html").read_text()
    kinds = ["loss", "gradients", *(["confusion"] if model.task == "classification" else [])]
    run("plot", folder.relative_to(tmp_path), *kinds)
