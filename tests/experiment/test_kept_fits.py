"""Fits with a directory: they go on after a kill, with the bits of a fit that was never stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import fastmlp
from fastmlp.experiment.locking import DirectoryInUseError, locked
from support.kept_fits import data, estimator

TIMEOUT = 120.0


def assert_same(found, expected):
    assert found.n_iter_ == expected.n_iter_
    pairs = zip(found.model_.networks, expected.model_.networks, strict=True)
    for mine, theirs in pairs:
        assert mine.history.loss == theirs.history.loss
        assert mine.architecture == theirs.architecture
        for name, array in theirs.parameters().items():
            assert np.array_equal(mine.parameters()[name], array), name


# ---------------------------------------------------------------- kills

CHILD = """
import sys
sys.path.insert(0, {tests!r})
from support.kept_fits import data, estimator
estimator({task!r}, directory={directory!r}, **{settings!r}).fit(*data({task!r}))
"""


def checkpoints(directory: Path) -> set[Path]:
    return set(directory.glob("networks/*/checkpoints/epoch-*.safetensors"))


def killed(task: str, directory: Path, settings: dict, wait: float) -> bool:
    """Fit in a process that is killed a while after it wrote a checkpoint; whether that hit it."""
    text = CHILD.format(
        tests=str(Path(__file__).parents[1]), task=task, directory=str(directory), settings=settings
    )
    before = checkpoints(directory)
    process = subprocess.Popen([sys.executable, "-c", text], cwd=directory.parent)
    deadline = time.monotonic() + TIMEOUT
    while checkpoints(directory) <= before:
        if process.poll() is not None:
            assert process.returncode == 0
            return False
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classification", {"architecture": "realmlp", "n_cv": 2, "n_ens": 2}),
        ("regression", {"architecture": "realmlp"}),
        ("classification", {"architecture": "tabm", "members": 4, "patience": 30}),
        ("regression", {"architecture": "mlp", "n_cv": 3, "metric": "mae", "n_jobs": 1}),
    ],
)
def test_a_killed_fit_goes_on_with_the_same_bits(task, settings, tmp_path):
    seed = int(time.time_ns() % 2**32)
    print("seed", seed)
    moments = random.Random(seed)
    for attempt in range(6):  # a fast machine may end every process before its kill
        directory, longest = tmp_path / f"kept-{attempt}", 0.2 / 4**attempt
        kills = [killed(task, directory, settings, moments.uniform(0.0, longest)) for _ in range(3)]
        if any(kills):
            break
    assert any(kills), "every process had ended before its kill"
    expected = estimator(task, **settings).fit(*data(task))
    found = estimator(task, directory=directory, **settings).fit(*data(task))
    assert_same(found, expected)
    # Of a fit that is finished the networks are read.
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.safetensors")}
    assert_same(estimator(task, directory=directory, **settings).fit(*data(task)), expected)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*.safetensors")} == before


# ---------------------------------------------------------------- what belongs together


def test_without_a_seed_the_directory_has_one(tmp_path):
    settings = {"random_state": None, "epochs": 3, "directory": tmp_path / "kept"}
    first = estimator(**settings).fit(*data("classification"))
    assert_same(estimator(**settings).fit(*data("classification")), first)
    settings["directory"] = tmp_path / "other"
    other = estimator(**settings).fit(*data("classification"))
    assert other.model_.networks[0].architecture.seed != first.model_.networks[0].architecture.seed


def test_what_changes_no_bit_may_change(tmp_path):
    settings = {"epochs": 3, "n_cv": 2, "directory": tmp_path / "kept"}
    first = estimator("regression", **settings).fit(*data("regression"))
    again = clone(first).set_params(n_jobs=1, verbose=0).fit(*data("regression"))
    assert_same(again, first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 4}, "settings.epochs|epochs is 3 there, and 4 here"),
        ({"hidden": [8]}, "hidden is"),
        ({"architecture": "mlp"}, "architecture is 'realmlp' there, and 'mlp' here"),
        ({"n_cv": 2}, "n_cv is 1 there, and 2 here"),
        ({"n_ens": 2}, "n_ens is 1 there, and 2 here"),
        ({"validation_fraction": 0.3}, "validation_fraction is 0.2 there, and 0.3 here"),
        ({"random_state": 4}, "random_state is"),
        ({"class_weight": "balanced"}, "sample_weight is None there"),
        ({"metric": "accuracy"}, "monitor is None there, and 'val_accuracy' here"),
    ],
)
def test_other_settings_are_refused(changes, message, tmp_path):
    settings = {"epochs": 3, "directory": tmp_path / "kept"}
    estimator(**settings).fit(*data("classification"))
    with pytest.raises(ValueError, match=f"kept: holds another fit: {message}"):
        estimator(**{**settings, **changes}).fit(*data("classification"))


def test_other_data_is_refused(tmp_path):
    made = estimator(epochs=3, directory=tmp_path / "kept")
    frame, labels = data("classification")
    weights = np.linspace(1, 2, len(labels))
    made.fit(frame, labels, sample_weight=weights)
    made.fit(frame, labels, sample_weight=weights)
    more = {**frame, "size": frame["size"] + 1e-9}
    swapped = np.roll(labels, 1)
    held = {"X_val": frame, "y_val": labels}
    for arguments, more_arguments in (
        ((more, labels), {}),
        ((frame, swapped), {}),
        ((dict(reversed(frame.items())), labels), {}),
        ((frame, labels), {"sample_weight": weights[::-1]}),
        ((frame, labels), held),
    ):
        options = {"sample_weight": weights} | more_arguments
        with pytest.raises(ValueError, match="kept: holds another fit: the data has changed"):
            made.fit(*arguments, **options)


def test_what_cannot_be_kept_is_named(tmp_path):
    frame, labels = data("classification")
    with pytest.raises(ValueError, match="time_limit must be None with a directory"):
        estimator(directory=tmp_path / "kept", time_limit=5.0).fit(frame, labels)
    assert not (tmp_path / "kept").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: is a file, expected a directory"):
        estimator(directory=tmp_path / "file").fit(frame, labels)
    with pytest.raises(ValueError, match="is not empty, and holds no fit"):
        estimator(directory=tmp_path).fit(frame, labels)
    busy = tmp_path / "busy"
    busy.mkdir()
    with locked(busy), pytest.raises(DirectoryInUseError, match="busy: another process works in"):
        estimator(directory=busy).fit(frame, labels)
    estimator(directory=busy, epochs=2).fit(frame, labels)
    (busy / "fit.json").write_text("{")
    with pytest.raises(fastmlp.FormatError, match="fit.json: is not valid JSON"):
        estimator(directory=busy, epochs=2).fit(frame, labels)
