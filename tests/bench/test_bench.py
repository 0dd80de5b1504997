"""`fastmlp bench`: what it counts, what its engines compute, how its processes end.  No timings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import fastmlp
from fastmlp.bench.engines import ENGINES
from fastmlp.bench.prediction import NETWORKS, PREDICTORS, ROWS
from fastmlp.bench.report import AGREEMENT, summary
from fastmlp.bench.runner import Process, Row, WorkerError, WorkloadResult, draw_start
from fastmlp.bench.workloads import ALL, WORKLOADS, Start, Workload, mean_loss
from support import adaptive_rules, reference
from support.cli_process import run

TINY = Workload((12, 9, 8, 4), "relu", 6, 5)
QUICK = ("--workload", "nielsen", "--rounds", 2, "--seconds", 0.001)
PYTHON = (sys.executable, "-c")


# ---------------------------------------------------------------- workloads


def test_flops_of_the_workloads():
    flops = {name: workload.flops_per_sample for name, workload in ALL.items()}
    assert flops == {
        "nielsen": 4 * 784 * 30 + 6 * 30 * 10,
        "small": 4 * 784 * 128 + 6 * 128 * 10,
        "tabular": 4 * 54 * 100 + 6 * 100 * 7,
        "mnist": 4 * 784 * 512 + 6 * (512 * 512 + 512 * 10),
        "online": 4 * 784 * 100 + 6 * 100 * 10,
        "surrogate": 4 * 10 * 64 + 6 * (2 * 64 * 64 + 64),
        "adam": 4 * 80 * 256 + 6 * (2 * 256 * 256 + 256 * 2),
        "ciresan": 4 * 784 * 2500
        + 6 * (2500 * 2000 + 2000 * 1500 + 1500 * 1000 + 1000 * 500 + 500 * 10),
        "wide": 4 * 4096 * 4096 + 6 * (4096 * 4096 + 4096 * 10),
    }


def test_a_start_survives_its_file(tmp_path):
    start = draw_start(TINY, 30, 2, seed=3)
    start.save(tmp_path / "start.npz")
    loaded = Start.load(tmp_path / "start.npz")
    assert loaded.seed == 3
    for one, other in zip(
        [*start.parameters, start.orders], [*loaded.parameters, loaded.orders], strict=True
    ):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


# ---------------------------------------------------------------- engines


TRAIN = """
import sys
import numpy as np
from fastmlp.bench.worker import limit_threads
limit_threads(1)
from fastmlp.bench.engines import ENGINES
from fastmlp.bench.workloads import Start, Workload
from fastmlp.optimizers import SGD, Adam
name, workload, start, out = sys.argv[1:]
workload = eval(workload)
x, y = workload.data(workload.steps)
engine = ENGINES[name](workload, Start.load(start), x, y, 1)
engine.train(2, workload.learning_rate)
assert engine.threads == 1
assert engine.modules[0] in engine.version()
np.savez(out, *engine.parameters())
"""


# scikit-learn and Keras add epsilon before they correct the averages, the others afterwards.
ADAM = fastmlp.Adam(0.01, epsilon=1e-14)
TRAININGS = {
    "relu, momentum": replace(TINY, optimizer=fastmlp.SGD(0.05, 0.9)),
    "sigmoid, momentum": replace(TINY, activation="sigmoid", optimizer=fastmlp.SGD(0.05, 0.9)),
    "relu, adam": replace(TINY, bytes_in=False, optimizer=ADAM),
    "numbers in float64": Workload((12, 9, 8, 1), "tanh", 6, 5, False, ADAM, "float64"),
}


def reference_steps(net, workload):
    """Return a function that takes a step of the float64 oracle."""
    if isinstance(workload.optimizer, fastmlp.SGD):
        net.reset_velocities()
        return lambda x, y: net.step(x, y, workload.learning_rate, workload.optimizer.momentum)
    rule, states, count = workload.optimizer, [{} for _ in range(2 * len(net.weights))], 0

    def step(x, y):
        nonlocal count
        count += 1
        _, dweights, dbiases = net.loss_and_gradients(x, y)
        for value, gradient, state in zip(
            [*net.weights, *net.biases], [*dweights, *dbiases], states, strict=True
        ):
            value[...] = adaptive_rules.adam(
                value, gradient, state, count, learning_rate=rule.learning_rate,
                beta1=rule.beta1, beta2=rule.beta2, epsilon=rule.epsilon,
            )  # fmt: skip

    return step


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("name", list(ENGINES))
def test_an_engine_trains_like_the_reference(tmp_path, name, training):
    """Two epochs against the float64 oracle: order, scale, optimizer, gradients, layout."""
    if not ENGINES[name].available():
        pytest.skip(f"needs {ENGINES[name].package}")
    workload = TRAININGS[training]
    if ENGINES[name].bfloat16 and workload.dtype == "float64":
        pytest.skip("bfloat16 stands for factors in float32")
    x, y = workload.data(workload.steps)
    start = draw_start(workload, len(x), 2, seed=0)
    start.save(tmp_path / "start.npz")
    files = [tmp_path / "start.npz", tmp_path / "out.npz"]
    done = subprocess.run(
        [*PYTHON, TRAIN, name, repr(workload), *map(str, files)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(files[1]) as file:
        trained = [file[key] for key in file.files]

    net = reference.Network(
        [w.astype(np.float64) for w in start.weights],
        [b.astype(np.float64) for b in start.biases],
        activation=workload.activation,
        input_scale=workload.input_scale,
        loss=workload.loss,
    )
    step = reference_steps(net, workload)
    for order in start.orders:
        for rows in reference.minibatches(order, workload.batch):
            step(x[rows], y[rows])
    expected = [*net.weights, *net.biases]
    moved = max(np.abs(e - s).max() for e, s in zip(expected, start.parameters, strict=True))
    for actual, value in zip(trained, expected, strict=True):
        assert actual.shape == value.shape
        error = np.abs(actual - value)
        if not ENGINES[name].bfloat16:
            assert error.max() <= 1e-4 * moved
        else:  # rounding moves some pre-activations across the kink of a ReLU
            assert error.mean() <= 0.02 * moved


@pytest.mark.parametrize("training", TRAININGS)
def test_mean_loss_is_that_of_the_reference(training):
    workload = TRAININGS[training]
    x, y = workload.data(workload.steps)
    start = draw_start(workload, len(x), 1, seed=0)
    net = reference.Network(
        start.weights, start.biases, activation=workload.activation,
        input_scale=workload.input_scale, loss=workload.loss,
    )  # fmt: skip
    expected = net.row_losses(x, y).mean()
    assert mean_loss(workload, start.parameters) == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------- processes


def test_a_process_answers_line_by_line():
    process = Process([*PYTHON, "for line in open(0): print(line.strip(), flush=True)"])
    try:
        assert process.ask('{"a": 1}', 30) == {"a": 1}
        assert process.ask('{"a": 2}', 30) == {"a": 2}
        with pytest.raises(WorkerError, match="^it broke$"):
            process.ask('{"error": "it broke"}', 30)
    finally:
        process.close()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(3)", "ended with code 3"),
        ("raise ValueError('no')", "ended with code 1: ValueError: no"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
    ],
)
def test_a_process_that_does_not_answer_says_why(code, message):
    begin = time.monotonic()
    process = Process([*PYTHON, code])
    try:
        with pytest.raises(WorkerError) as caught:
            process.answer(0.5 if "sleep" in code else 30)
        assert str(caught.value) == message
    finally:
        process.close()
    assert time.monotonic() - begin < 30


# ---------------------------------------------------------------- report


def test_a_row_with_another_loss_is_marked_and_no_peer_to_beat():
    near, far = 0.5 * AGREEMENT["float32"], 2 * AGREEMENT["float32"]
    rows = [
        Row("fastmlp", 0, 1, "1", loss=2.0, epochs=2, seconds=[0.2, 0.4, 0.3]),
        Row("torch", 1, 1, "1", loss=2.0 + near, epochs=1, seconds=[0.3, 0.3, 0.6]),
        Row("jax", 1, 1, "1", loss=2.0 - far, epochs=1, seconds=[0.1, 0.1, 0.1]),
        Row("keras", 1, 1, "1", loss=float("nan"), epochs=1, seconds=[0.1, 0.1, 0.1]),
        Row("sklearn", 2, error="it broke"),
    ]
    workload = WORKLOADS["small"]
    got = summary(
        WorkloadResult("small", workload, 3.0, rows, {("float32", 1): [1e11, 3e11, 2e11]})
    )
    assert [row["status"] for row in got["rows"]] == ["ok", "ok", "differs", "differs", "failed"]
    assert got["best_peer"] == {"engine": "torch", "threads": 1}
    own = got["rows"][0]
    assert own["threads_chosen_by_engine"]
    assert own["us_per_step"] == {"median": pytest.approx(1500), "min": pytest.approx(1000)}
    assert own["samples_per_s"] == pytest.approx(32 / 1.5e-3)
    rate = 32 * workload.flops_per_sample / 1.5e-3
    assert own["gflop_per_s"] == pytest.approx(rate / 1e9)
    assert own["share_of_peak"] == pytest.approx(rate / 2e11)
    assert own["speedup"] == pytest.approx(2.0)
    assert [row["speedup"] for row in got["rows"][2:]] == [None, None, None]


def test_rows_in_bfloat16_have_a_peak_of_their_own():
    rows = [
        Row("fastmlp", 1, 1, "1", loss=2.0, epochs=1, seconds=[0.2]),
        Row("fastmlp-bfloat16", 1, 1, "1", loss=2.04, epochs=1, seconds=[0.1]),
        Row("torch-bfloat16", 1, 1, "1", loss=2.045, epochs=1, seconds=[0.3]),
        Row("torch-bfloat16", 2, 2, "1", loss=2.06, epochs=1, seconds=[0.3]),
    ]
    peaks = {("float32", 1): [1e11], ("bfloat16", 1): [2e11], ("bfloat16", 2): [4e11]}
    got = summary(WorkloadResult("small", WORKLOADS["small"], 3.0, rows, peaks))
    assert [row["status"] for row in got["rows"]] == ["ok", "ok", "ok", "differs"]
    assert got["best_peer"] == {"engine": "torch-bfloat16", "threads": 1}
    shares = [row["share_of_peak"] for row in got["rows"]]
    assert shares[1] == pytest.approx(shares[0])
    assert (got["peak_flops"], got["bfloat16_peak_flops"]) == (
        {"1": [1e11]}, {"1": [2e11], "2": [4e11]}
    )  # fmt: skip


# ---------------------------------------------------------------- command


def bench(*args, **variables):
    return run("bench", *args, **variables)


def test_help_names_every_workload_and_engine():
    result = bench("--help")
    assert result.returncode == 0
    assert result.stdout.index("Examples:") < result.stdout.index("Usage: ")
    words = set(re.findall(r"[\w-]+", result.stdout))
    assert words >= {*ALL, *ENGINES}


def test_the_command_prints_one_json_object():
    result = bench(*QUICK, "--engine", "fastmlp", "--threads", 1, "--json")
    assert result.returncode == 0, result.stderr
    assert "nielsen: round 2 of 2" in result.stderr
    document = json.loads(result.stdout)
    assert (document["schema"], document["schema_version"]) == ("fastmlp.bench", 2)
    assert document["machine"]["cpu"]
    assert document["settings"]["engines"] == ["fastmlp"]
    assert document["settings"]["rounds"] == 2
    (workload,) = document["workloads"]
    assert workload["name"] == "nielsen"
    assert workload["layers"] == [784, 30, 10]
    assert workload["best_peer"] is None
    assert len(workload["peak_flops"]["1"]) == 2
    (row,) = workload["rows"]
    assert (row["engine"], row["threads"], row["status"]) == ("fastmlp", 1, "ok")
    assert len(row["turn_seconds"]) == 2
    assert all(seconds > 0 for seconds in row["turn_seconds"])
    assert 0 < row["loss"] < workload["initial_loss"]
    for key in ("samples_per_s", "gflop_per_s", "share_of_peak"):
        assert row[key] > 0


def test_predictions_are_timed_for_every_network_and_number_of_rows():
    result = bench("--predict", "--rounds", 1, "--seconds", 0.001, "--engine", "fastmlp", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert [network["name"] for network in document["networks"]] == list(NETWORKS)
    for network in document["networks"]:
        assert list(network["us_per_call"]["fastmlp"]) == [str(rows) for rows in ROWS]
        assert all(times[0] > 0 for times in network["us_per_call"]["fastmlp"].values())
        assert network["errors"] == {}


@pytest.mark.parametrize("name", [n for n, engine in PREDICTORS.items() if engine.available()])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_predictor_computes_the_same_network(name, network):
    model = fastmlp.MLP(NETWORKS[network], loss="mse", seed=7, input_scale=1)
    x = np.random.default_rng(1).standard_normal((50, NETWORKS[network][0]), np.float32)
    np.testing.assert_allclose(
        PREDICTORS[name](model, 1).predict(x), model.forward(x), rtol=1e-3, atol=1e-4
    )


def test_a_wrong_library_is_no_library_to_beat(tmp_path):
    """A package that computes something else stands in for PyTorch."""
    (tmp_path / "torch.py").write_text(
        "import contextlib\nimport numpy as np\n"
        "no_grad = inference_mode = contextlib.nullcontext\n"
        "class Zero:\n"
        "    def __getattr__(self, name): return self\n"
        "    def __call__(self, *_): return self\n"
        "    def numpy(self): return np.zeros((40, 10))\n"
        "    def __getitem__(self, _): return self\n"
        "nn = Zero()\nfrom_numpy = Zero()\n"
    )
    result = bench("--predict", "--rounds", 1, "--seconds", 0.001, "--engine", "torch",
                   PYTHONPATH=str(tmp_path))  # fmt: skip
    assert result.returncode == 1
    assert "its outputs differ by" in result.stdout


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("import os; os._exit(5)", "ended with code 5"),
    ],
)
def test_an_engine_that_fails_does_not_stop_the_others(tmp_path, body, message):
    """A package that cannot be imported stands in for PyTorch."""
    (tmp_path / "torch.py").write_text(body)
    result = bench(
        *QUICK, "--engine", "torch", "--engine", "fastmlp", "--threads", 1,
        PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert f"torch, threads 1: failed: {message}" in result.stdout
    assert "fastmlp  1" in result.stdout

    alone = bench(*QUICK, "--engine", "torch", "--threads", 1, PYTHONPATH=str(tmp_path))
    assert alone.returncode == 1
    assert alone.stderr.endswith("fastmlp: error: no engine could be timed\n")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--workload", "mnits"), "did you mean 'mnist'"),
        (("--engine", "touch"), "did you mean 'torch'"),
        (("--rounds", "0"), "--rounds"),
        (("--seconds", "0"), "--seconds"),
        (("--threads", "0"), "--threads"),
        (("--predict", "--all"), "leave out --workload and --all"),
        (("--predict", "--threads", "1", "--threads", "2"), "one number of --threads"),
        (("--predict", "--engine", "onnxrutime"), "did you mean 'onnxruntime'"),
    ],
)
def test_usage_errors(args, expected):
    result = bench(*args)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr


@pytest.mark.skipif(ENGINES["torch"].available(), reason="PyTorch is installed")
def test_a_missing_engine_tells_how_to_get_it():
    result = bench("--engine", "torch")
    assert result.returncode == 7
    assert "pip install torch" in result.stderr
