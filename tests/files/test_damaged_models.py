"""Model files with everything in them, and checkpoints: no damage goes unnoticed."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Options, Part, RawData, Table, prepare
from fastmlp.errors import FormatError
from fastmlp.experiment.checkpoint import Checkpoint, CheckpointStore
from support.small_checkpoint import checkpoint_of


@pytest.fixture(scope="module")
def model():
    """Two columns, one of them of words; standardized; one hidden unit; two epochs."""
    columns = {
        "size": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        "hue": np.array(["red", "blue", "red", "blue", "red", "blue"], object),
        "kind": np.array(["a", "b", "a", "b", "a", "b"], object),
    }
    raw = RawData(
        "t", Part(Table("t.csv", columns, first_line=2), None), None, None, None, None, None, {}
    )
    prepared = prepare(raw, Options(target=("kind",), test_fraction=0.0, validation_fraction=0.0))
    pre = prepared.preprocessing
    model = fastmlp.MLP([pre.features, 1, pre.outputs], seed=2)
    model.preprocessing = pre
    model.fit(prepared.train.x, prepared.train.y, epochs=2, verbose=0)
    return model


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def test_all_of_it_comes_back(model, saved):
    loaded = fastmlp.MLP.load(saved)
    assert loaded.preprocessing == model.preprocessing
    assert loaded.history.loss == model.history.loss
    assert loaded.history.accuracy == model.history.accuracy
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(loaded.parameters()[name], array)


def test_every_flipped_bit_is_noticed(saved):
    good = saved.read_bytes()
    unnoticed = []
    for position in range(len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[position] ^= 1 << bit
            saved.write_bytes(damaged)
            try:
                fastmlp.MLP.load(saved)
            except FormatError:
                continue
            unnoticed.append((position, bit))
    assert unnoticed == []
    print(f"{8 * len(good):,} single bits flipped, all noticed")


def test_every_truncation_and_extension_is_noticed(saved):
    good = saved.read_bytes()
    for length in range(len(good)):
        saved.write_bytes(good[:length])
        with pytest.raises(FormatError):
            fastmlp.MLP.load(saved)
    saved.write_bytes(good + b"\0")
    with pytest.raises(FormatError):
        fastmlp.MLP.load(saved)


def test_damaged_checkpoints_are_left_out_and_named(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints")
    checkpoints = [checkpoint_of(epochs) for epochs in (1, 2)]
    for checkpoint in checkpoints:
        store.write(checkpoint)
    newest = store.directory / "epoch-00000002.safetensors"
    good = newest.read_bytes()
    # A prime step reaches every kind of byte without trying all of them.
    for position in range(0, 8 * len(good), 1009):
        damaged = bytearray(good)
        damaged[position // 8] ^= 1 << position % 8
        newest.write_bytes(damaged)
        found, problems = store.newest()
        assert found is not None
        assert found.epoch == 1
        assert len(problems) == 1
        assert str(newest) in problems[0]
    newest.write_bytes(good)
    assert store.newest()[0].epoch == 2
    # The number inside counts, not the name.
    newest.rename(store.directory / "epoch-00000009.safetensors")
    assert store.newest()[0].epoch == 2


def test_a_model_is_no_checkpoint_and_the_other_way_round(model, saved, tmp_path):
    with pytest.raises(FormatError, match="format"):
        Checkpoint.load(saved)
    path = tmp_path / "checkpoint.safetensors"
    checkpoint_of(1).save(path)
    with pytest.raises(FormatError, match="format"):
        fastmlp.MLP.load(path)


def test_generations(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints")
    assert store.newest() == (None, [])
    for epochs in (1, 2, 3):
        store.write(checkpoint_of(epochs))
    names = sorted(path.name for path in store.directory.iterdir())
    assert names == ["epoch-00000002.safetensors", "epoch-00000003.safetensors"]
