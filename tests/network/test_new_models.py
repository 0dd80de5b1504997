"""A model that no step has changed trains like its copies, whatever it was made with."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest

import fastmlp
from support import random_networks

SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())


def copies(model, path):
    model.save(path)
    yield copy.deepcopy(model)
    yield copy.copy(model)
    yield pickle.loads(pickle.dumps(model))
    yield fastmlp.load(path)


def drawn(rng):
    """Return a new model, samples and targets whose scales are far from one."""
    loss = str(rng.choice(["mse", "huber", "mae", "softmax_cross_entropy"]))
    features = int(rng.integers(1, 7))
    options = {"loss": loss, "seed": int(rng.integers(100))}
    if rng.random() < 0.5:
        options["input_scale"] = float(rng.choice([1.0, 0.5]))
    if rng.random() < 0.3:
        options["compute_dtype"] = "bfloat16"
    if rng.random() < 0.3:
        options["batch_normalization"] = True
    model = fastmlp.MLP([features, 8, 3 if loss == "softmax_cross_entropy" else 1], **options)
    x = rng.standard_normal((60, features)) * 10.0 ** rng.integers(-1, 4)
    y = rng.integers(0, 3, 60)
    if loss != "softmax_cross_entropy":
        y = 1000 + 5 * rng.standard_normal((60, 1))
    return model, x, y


@pytest.mark.filterwarnings("ignore::fastmlp.TrainingWarning")
@pytest.mark.parametrize("case", range(30))
def test_copies_of_a_new_model_train_alike(case, tmp_path):
    rng = np.random.default_rng([SEED, case])
    model, x, y = drawn(rng)
    others = list(copies(model, tmp_path / "new.safetensors"))
    expected = model.fit(x, y, epochs=3, batch_size=16, verbose=0).loss
    for other in others:
        assert other.fit(x, y, epochs=3, batch_size=16, verbose=0).loss == expected, (
            f"FASTMLP_SEED={SEED}: {model}"
        )


def test_a_file_says_that_its_model_is_new_no_longer(tmp_path):
    model = fastmlp.MLP([2, 3, 1], loss="mse", input_scale=1.0)
    x = np.random.default_rng(0).standard_normal((20, 2))
    model.fit(x, 1000 + x[:, :1], epochs=1, verbose=0)
    model.save(tmp_path / "m.safetensors")
    before = model.biases[-1].copy()
    loaded = fastmlp.load(tmp_path / "m.safetensors")
    loaded.fit(x, -1000 + x[:, :1], epochs=1, batch_size=20, optimizer=fastmlp.SGD(0.0), verbose=0)
    np.testing.assert_array_equal(loaded.biases[-1], before)
