"""`fastmlp.export.check`: it passes what was exported, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.export import check, to_onnx
from support.export_models import LOSSES, classes, predictions, samples, trained

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("loss", LOSSES)
def test_check_passes_what_to_onnx_writes(loss, dtype, tmp_path):
    model = trained(loss, "sign", dtype=dtype)
    to_onnx(model, tmp_path / "model.onnx")
    found = check(model, tmp_path / "model.onnx")
    assert found["passed"], found
    assert found["samples"] > 200
    assert found["output"] == next(iter(predictions(model, samples(dtype))))


def change_tensor(path, tensor, change):
    proto = onnx.load(path)
    for index, old in enumerate(proto.graph.initializer):
        if old.name == tensor:
            array = change(onnx.numpy_helper.to_array(old))
            proto.graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(array, tensor))
            onnx.save(proto, path)
            return
    raise AssertionError(f"no tensor {tensor}")


CHANGES = {
    "layers.0.weights": lambda weights: weights * np.float32(1.001),
    "layers.2.biases": lambda biases: np.roll(biases, 1),
    "inputs.mean": lambda mean: mean + 0.001,
    "inputs.deviation": lambda deviation: deviation * 1.001,
}


@pytest.mark.parametrize("tensor", CHANGES)
def test_check_sees_a_file_with_another_tensor(tensor, tmp_path):
    model = trained()
    model.preprocessing = classes(4, input_mean=np.zeros(7), input_scale=np.ones(7))
    path = tmp_path / "model.onnx"
    to_onnx(model, path)
    assert check(model, path)["passed"]
    change_tensor(path, tensor, CHANGES[tensor])
    assert not check(model, path)["passed"]


def test_check_sees_wrong_labels(tmp_path):
    model, path = trained("multilabel"), tmp_path / "model.onnx"
    to_onnx(model, path)
    proto = onnx.load(path)
    next(node for node in proto.graph.node if node.op_type == "Greater").op_type = "Less"
    onnx.save(proto, path)
    found = check(model, path)
    assert found["max_difference"] < found["tolerance"]
    assert found["label_differences"] > 200
    assert not found["passed"]


def test_check_leaves_out_a_sample_on_a_threshold(tmp_path):
    first = np.random.Generator(np.random.PCG64(0)).standard_normal((256, 1))[17, 0]
    model = fastmlp.MLP([1, 1, 1], activation="step", loss="mse")
    model.weights = [np.full((1, 1), 3, np.float32), np.ones((1, 1), np.float32)]
    model.biases = [np.array([-3 * first], np.float32), np.zeros(1, np.float32)]
    to_onnx(model, tmp_path / "model.onnx")
    found = check(model, tmp_path / "model.onnx")
    assert (found["passed"], found["samples"]) == (True, 255)


def test_check_names_a_file_that_cannot_be_run(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(fastmlp.FormatError, match="model.onnx: onnxruntime cannot run it"):
        check(trained(), tmp_path / "model.onnx")
    to_onnx(trained("mse"), tmp_path / "model.onnx")
    with pytest.raises(fastmlp.FormatError, match=r"'probabilities' must have shape \(256, 4\)"):
        check(trained(), tmp_path / "model.onnx")
