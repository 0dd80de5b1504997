"""What a diagnosis says about trainings that went wrong, and that it is silent about others."""

import dataclasses
import os
import re
import secrets
import warnings

import numpy as np
import pytest

import fastmlp
from fastmlp.diagnosis import LEVELS, Evidence, Finding, checks, diagnose
from support.paths import ROOT

pytest.importorskip("sklearn")
from support.diagnosis_situations import (  # noqa: E402
    HEALTHY,
    LATER,
    UNHEALTHY,
    healthy_at_random,
)

ALARMS = ("problem", "warning")
SEED = int(os.environ.get("FASTMLP_SEED") or secrets.randbelow(2**31))


def names(situation):
    return situation.name


@pytest.mark.parametrize("situation", [*UNHEALTHY, *LATER], ids=names)
def test_it_finds_what_is_wrong(situation):
    found = situation.findings()
    assert {finding.code for finding in found} & set(situation.codes), found


@pytest.mark.parametrize("situation", HEALTHY, ids=names)
def test_it_is_silent_about_healthy_trainings(situation):
    alarms = [finding for finding in situation.findings() if finding.level in ALARMS]
    assert not alarms


def test_it_is_silent_about_healthy_trainings_at_random():
    alarms = {}
    for seed in range(12):
        found = [f for f in healthy_at_random(seed).findings() if f.level in ALARMS]
        if found:
            alarms[seed] = found
    assert len(alarms) <= 1, alarms


OF_RATES = ("rate ", "wine at rate", "values at", "momentum")
WRONG_RATES = [
    s for s in (*UNHEALTHY, *LATER) if "optimizer" in s.fit and s.name.startswith(OF_RATES)
]


@pytest.mark.parametrize("situation", WRONG_RATES, ids=names)
def test_the_rate_that_it_names_cures_the_training(situation):
    (cure,) = {f.cure for f in situation.findings() if f.code.startswith("rate-too")}
    rate = float(re.search(r"suggests ([0-9.e-]+)$", cure)[1])
    optimizer = dataclasses.replace(situation.fit["optimizer"], learning_rate=rate)
    cured = dataclasses.replace(situation, fit=situation.fit | {"optimizer": optimizer})
    assert not [f for f in cured.findings() if f.level == "problem"], rate


# ---------------------------------------------------------------- it changes nothing


def data(seed=0, rows=400):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 6)).astype(np.float32)
    return x, (x[:, 0] + 0.5 * rng.standard_normal(rows) > 0).astype(int)


@pytest.mark.parametrize("seed", range(8))
def test_it_changes_no_bit(seed):
    rng = np.random.default_rng(seed)
    x, y = data(seed)
    options = {
        "dropout": float(rng.choice([0.0, 0.3])),
        "batch_normalization": bool(rng.integers(2)),
        "members": int(rng.choice([1, 3])),
        "seed": seed,
    }
    models = []
    for looks in (False, True):
        model = fastmlp.MLP([6, 16, 8, 2], **options)
        for resume in (False, True):
            model.fit(
                x, y, epochs=25, total_epochs=50, batch_size=16, resume=resume, verbose=0,
                validation_data=data(seed + 100), diagnose=looks,
            )  # fmt: skip
        models.append(model)
    plain, diagnosed = models
    for name, array in plain.parameters().items():
        assert array.tobytes() == diagnosed.parameters()[name].tobytes(), (seed, name)
    assert plain.history == diagnosed.history or plain.history.loss == diagnosed.history.loss
    assert plain.findings == ()


def test_weights_whose_squares_overflow_are_an_explosion():
    x, y = data()
    model = fastmlp.MLP([6, 8, 2], dtype="float64", activation="tanh", input_scale=1)
    with pytest.warns(fastmlp.TrainingWarning, match="rate-too-high|the weights have grown"):
        model.fit(x, y, epochs=1, batch_size=100, optimizer=fastmlp.SGD(1e200), verbose=0)
    assert any(finding.code == "rate-too-high" for finding in model.findings)


LOSSES = ["softmax_cross_entropy", "hinge", "binary_cross_entropy", "mse", "half_mse", "mae",
          "huber", "poisson", "quantile"]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_it_stands_any_network(seed):
    """No error, and only finite numbers, whatever is trained."""
    rng = np.random.default_rng([31, seed])
    loss = LOSSES[seed % len(LOSSES)]
    rows, features = int(rng.integers(1, 300)), int(rng.integers(1, 8))
    outputs = int(rng.integers(2 if loss in LOSSES[:2] else 1, 4))
    x = rng.standard_normal((rows, features)) * 10.0 ** rng.integers(-3, 4)
    if rng.integers(4) == 0:
        x = pytest.importorskip("scipy.sparse").csr_matrix(x * (rng.random(x.shape) < 0.3))
    y = (
        rng.integers(0, outputs, rows)
        if loss in LOSSES[:2]
        else rng.integers(0, 2, (rows, outputs)).astype(float)
    )
    hidden = [int(h) for h in rng.integers(1, 20, int(rng.integers(0, 4)))]
    model = fastmlp.MLP(
        [features, *hidden, outputs],
        loss=loss,
        activation=str(rng.choice(["relu", "tanh", "sigmoid", "gelu", "step"])),
        members=int(rng.choice([1, 1, 2])),
        dtype=str(rng.choice(["float32", "float64"])),
    )
    rate = float(10.0 ** rng.uniform(-6, 0))
    weight = rng.random(rows) + 0.1 if rng.integers(2) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastmlp.TrainingWarning)
        try:
            model.fit(
                x, y, epochs=int(rng.integers(1, 60)), optimizer=fastmlp.SGD(rate), verbose=0,
                batch_size=int(rng.integers(1, 64)), sample_weight=weight,
                validation_data=(x, y) if rng.integers(2) else None,
            )  # fmt: skip
        except fastmlp.DivergedError:
            return
    for finding in model.findings:
        assert not re.search(r"\b(nan|inf)\b", finding.message), (seed, finding)


@pytest.mark.parametrize("seed", range(12))
def test_the_loss_of_a_constant_is_that_of_numpy(seed):
    rng = np.random.default_rng([7, seed])
    x = rng.standard_normal((90, 2))
    weight = rng.random(90) if seed % 2 else None
    labels = rng.choice(3, 90, p=[0.6, 0.3, 0.1])
    values = rng.standard_normal((90, 1))
    for loss, y in (("softmax_cross_entropy", labels), ("mse", values)):
        model = fastmlp.MLP([2, 4, 3 if loss != "mse" else 1], loss=loss, dtype="float64")
        data = model._data(x, y, weight)
        constant, _ = Evidence(model, {"loss": [1.0]}, data, 30).constant_losses
        if loss == "mse":
            expected = np.average((values[:, 0] - np.average(values[:, 0], weights=weight)) ** 2,
                                  weights=weight)  # fmt: skip
        else:
            shares = np.bincount(labels, weight, minlength=3)
            shares = shares / shares.sum()
            expected = -(shares * np.log(shares)).sum()
        assert constant == pytest.approx(expected, rel=1e-9), seed


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1.0, 1e6])
def test_a_network_that_predicts_the_mean_is_found_at_any_scale(scale):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((400, 3)), scale * rng.standard_normal((400, 1))
    model = fastmlp.MLP([3, 4, 1], loss="mse", dtype="float64")
    model.fit(x, y, epochs=80, optimizer=fastmlp.SGD(0.0), diagnose=False, verbose=0)
    model.weights = [np.zeros((3, 4)), np.zeros((4, 1))]
    model.biases = [np.zeros(4), y.mean(axis=0)]
    loss = float(np.mean((y - y.mean()) ** 2))
    evidence = Evidence(model, {"loss": [loss] * 80}, model._data(x, y), 128)
    assert evidence.skill == pytest.approx(0.0, abs=1e-6)
    assert "no-better-than-constant" in {f.code for f in diagnose(evidence)}


# ---------------------------------------------------------------- how it is told


def broken():
    x, y = data()
    model = fastmlp.MLP([6, 8, 2])
    return model, lambda **options: model.fit(
        x, y, epochs=5, optimizer=fastmlp.SGD(0.0), **({"verbose": 0} | options)
    )


def test_a_problem_is_a_warning_with_a_code_at_the_call():
    model, fit = broken()
    with pytest.warns(fastmlp.TrainingWarning, match=r"^rate-too-low: .*Cure: .*\.md#rate-") as got:
        fit()
    assert got[0].filename == __file__
    assert model.findings[0].code == "rate-too-low"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "rate-too-low", fastmlp.TrainingWarning)
        warnings.filterwarnings("ignore", "loss-does-not-move", fastmlp.TrainingWarning)
        fit()


def test_without_diagnose_there_is_nothing():
    model, fit = broken()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(diagnose=False)
    assert model.findings == ()
    with pytest.raises(TypeError, match="diagnose"):
        fit(diagnose="yes")


def test_findings_are_those_of_the_last_fit():
    model, fit = broken()
    with pytest.warns(fastmlp.TrainingWarning):
        fit()
    x, y = data()
    model.fit(x, y, epochs=60, verbose=0, diagnose=False)
    assert model.findings == ()


def test_a_model_tells_its_findings_too():
    x, y = data()
    frame = {f"c{i}": x[:, i] for i in range(6)} | {"y": y}
    model = fastmlp.Model(target="y", epochs=4, lr=0.0)
    with pytest.warns(fastmlp.TrainingWarning, match="rate-too-low"):
        model.fit(frame, verbose=0)
    assert model.findings[0].code == "rate-too-low"


def test_a_model_measures_further_metrics():
    x, y = data()
    frame = {f"c{i}": x[:, i] for i in range(6)} | {"y": y}
    model = fastmlp.Model(target="y", epochs=4, validation_fraction=0.3)
    model.fit(frame, metrics=["auc"], verbose=0)
    assert len(model.history["val_auc"]) == 4


@pytest.mark.parametrize("error", [MemoryError, SystemError])  # NumPy raises both
def test_without_memory_for_it_the_training_stands(monkeypatch, error):
    def greedy(evidence):
        raise error("no memory")

    monkeypatch.setattr(checks, "CHECKS", (greedy,))
    model = fastmlp.MLP([3, 4, 2], seed=0)
    history = model.fit(np.ones((20, 3)), [0, 1] * 10, epochs=2, verbose=0)
    assert len(history["loss"]) == 2
    assert [finding.code for finding in model.findings] == ["no-memory"]


def test_every_code_has_a_section():
    text = (ROOT / "docs" / "findings.md").read_text()
    sections = set(re.findall(r"^## ([a-z-]+)$", text, re.MULTILINE))
    sources = [*(ROOT / "python/fastmlp/diagnosis").glob("*.py"),
               ROOT / "python/fastmlp/experiment/judgement.py"]  # fmt: skip
    codes = {
        code
        for source in sources
        for code in re.findall(r'Finding\(\s*"([a-z-]+)"', source.read_text())
    }
    assert len(codes) > 10
    assert sections == codes


def test_a_finding_knows_its_level_and_page():
    finding = Finding("few-epochs", "hint", "the loss falls", "epochs=9", "--epochs 9")
    assert finding.to_json() == {
        "code": "few-epochs", "level": "hint", "message": "the loss falls", "cure": "--epochs 9",
        "page": "docs/findings.md#few-epochs",
    }  # fmt: skip
    assert LEVELS == ("problem", "warning", "hint")
    with pytest.raises(ValueError, match="level"):
        Finding("x", "fatal", "", "", "")


@pytest.mark.filterwarnings("error", "ignore::fastmlp.TrainingWarning")
def test_numbers_of_any_size_cause_no_warnings_of_numpy():
    """Squares of them overflow; what a training cannot do with them, it says itself."""
    for seed in range(SEED, SEED + 60):
        rng = np.random.default_rng(seed)
        dtype, most = [("float32", 37), ("float64", 300)][rng.integers(2)]

        def sized(*shape, rng=rng, most=most, dtype=dtype):
            exponent = rng.uniform(-most, most) if rng.random() < 0.6 else 0
            return (rng.standard_normal(shape) * 10.0**exponent).astype(dtype)

        loss = str(rng.choice(["mse", "mae", "huber", "softmax_cross_entropy"]))
        x, hidden = sized(40, 3), int(rng.integers(1, 6))
        y = rng.integers(0, 2, 40) if loss == "softmax_cross_entropy" else sized(40, 2)
        scale = 1.0 if rng.random() < 0.5 else None
        model = fastmlp.MLP([3, hidden, 2], loss=loss, dtype=dtype, input_scale=scale)
        if rng.random() < 0.6:
            model.weights[0] = sized(3, hidden)
        try:
            for resume in (False, True):
                model.fit(x, y, epochs=3, batch_size=8, verbose=0, resume=resume)
        except fastmlp.DivergedError:
            continue
        except RuntimeWarning as error:
            raise AssertionError(f"FASTMLP_SEED={seed}") from error
