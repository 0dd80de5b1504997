"""The model file: what was written comes back to the bit, and no damage goes unnoticed."""

import json
import os
import re
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save as safetensors_save

import fastmlp
import fastmlp.model_file as model_file
from fastmlp import FormatError
from fastmlp.model_file import read_model, write_model
from support.tolerance import assert_same_bits

CONFIG = {"layer_sizes": [3, 2], "activation": "relu", "nested": {"a": None, "b": [True, 0.1]}}


def small_tensors():
    weights = np.array([[1.5, -0.0], [2.0**-149, 3e38], [0.1, -7]], np.float32)
    return {"layers.0.weights": weights, "layers.0.biases": np.array([0.1, 2.0], np.float64)}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.fastmlp"
    write_model(path, small_tensors(), CONFIG)
    return path


def split(content):
    """Header as an object, and the data."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def rewrite(path, change):
    header, data = split(path.read_bytes())
    data = change(header, data) or data
    path.write_bytes(join(header, data))


def sign(path, tensors, config_text):
    """Write a file with a right digest around content that `write_model` would refuse."""
    metadata = {
        "format": "fastmlp-model",
        "format_version": "1",
        "config": config_text,
        "sha256": model_file._digest("fastmlp-model", config_text, tensors),
    }
    header, data = split(safetensors_save(tensors, metadata))
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    path.write_bytes(join(header, data))


def test_round_trip_is_exact(saved):
    tensors, config = read_model(saved)
    assert config == CONFIG
    assert list(tensors) == ["layers.0.biases", "layers.0.weights"]
    for name, expected in small_tensors().items():
        assert tensors[name].dtype == expected.dtype
        assert tensors[name].dtype.isnative
        assert tensors[name].shape == expected.shape
        assert tensors[name].tobytes() == expected.tobytes()
        assert tensors[name].flags.writeable


def test_same_model_same_bytes(tmp_path):
    contents = set()
    for i in range(8):  # the library alone orders the metadata at random
        write_model(tmp_path / f"{i}", dict(sorted(small_tensors().items())), CONFIG)
        contents.add((tmp_path / f"{i}").read_bytes())
    write_model(tmp_path / "reversed", small_tensors(), dict(reversed(CONFIG.items())))
    contents.add((tmp_path / "reversed").read_bytes())
    assert len(contents) == 1


def test_other_tools_can_read_it(saved):
    loaded = safetensors_load(saved.read_bytes())
    np.testing.assert_array_equal(loaded["layers.0.weights"], small_tensors()["layers.0.weights"])
    assert split(saved.read_bytes())[0]["__metadata__"]["format"] == "fastmlp-model"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=hnp.arrays(
        st.sampled_from(["<f4", ">f4", "<f8", ">f8"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    reverse=st.booleans(),
)
def test_any_layout_round_trips(tmp_path, array, reverse):
    array = array.T[::-1] if reverse and array.ndim else array
    write_model(tmp_path / "m", {"a": array}, {})
    tensors, config = read_model(tmp_path / "m")
    assert config == {}
    assert tensors["a"].dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(tensors["a"], array, strict=False)
    assert tensors["a"].shape == array.shape


def test_every_flipped_bit_is_rejected(saved):
    content = saved.read_bytes()
    accepted, unnamed = [], []
    with open(saved, "r+b", buffering=0) as file:  # in place: truncating is slow
        for bit in range(8 * len(content)):
            position = bit // 8
            os.pwrite(file.fileno(), bytes([content[position] ^ 1 << bit % 8]), position)
            try:
                read_model(saved)
                accepted.append(bit)
            except FormatError as error:
                if not str(error).startswith(f"{saved}: "):
                    unnamed.append(bit)
            os.pwrite(file.fileno(), content[position : position + 1], position)
    read_model(saved)
    assert len(content) > 400
    assert accepted == []
    assert unnamed == []


def test_every_truncation_and_extension_is_rejected(saved):
    content = saved.read_bytes()
    for damaged in [content[:size] for size in range(len(content))] + [
        content + extra for extra in (b"\0", b" ", b"x" * 8, content)
    ]:
        saved.write_bytes(damaged)
        with pytest.raises(FormatError):
            read_model(saved)
    saved.write_bytes(content)
    read_model(saved)


def test_every_pair_of_swapped_words_is_rejected(saved):
    content = saved.read_bytes()
    start = len(content) - len(split(content)[1])
    for i in range(start, len(content) - 8, 4):
        swapped = content[:i] + content[i + 4 : i + 8] + content[i : i + 4] + content[i + 8 :]
        if swapped == content:
            continue
        saved.write_bytes(swapped)
        with pytest.raises(FormatError, match="sha256"):
            read_model(saved)


def set_metadata(key, value):
    return lambda header, data: header["__metadata__"].__setitem__(key, value)


def set_entry(key, value):
    return lambda header, data: header["layers.0.weights"].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, d: h.pop("__metadata__") and None, "__metadata__: is missing"),
        (lambda h, d: h["__metadata__"].pop("sha256") and None, "sha256: is missing"),
        (lambda h, d: h["__metadata__"].pop("config") and None, "config: is missing"),
        (set_metadata("config", 3), "config: is missing"),
        (set_metadata("extra", "x"), "extra: is no metadata"),
        (set_metadata("format", "pt"), "format: must be 'fastmlp-model', got 'pt'"),
        (set_metadata("format_version", "2"), "format_version.*newer fastmlp"),
        (set_metadata("format_version", "0"), "format_version: must be 1, got '0'$"),
        (set_metadata("format_version", "01"), "format_version"),
        (set_metadata("sha256", "0" * 64), "sha256: does not match"),
        (set_metadata("config", "{}"), "sha256: does not match"),
        (set_entry("dtype", "F16"), "layers.0.weights: dtype must be F32 or F64"),
        (set_entry("dtype", "I32"), "layers.0.weights: dtype must be F32 or F64"),
        (set_entry("dtype", ["F32"]), "dtype must be"),
        (set_entry("shape", [2, 3]), "sha256: does not match"),
        (set_entry("shape", [6]), "sha256: does not match"),
        (set_entry("shape", [-3, -2]), "shape must be"),
        (set_entry("shape", [True, 6]), "shape must be"),
        (set_entry("shape", [3.0, 2]), "shape must be"),
        (set_entry("shape", [2**32, 2**32, 6]), "data_offsets must be"),
        (set_entry("shape", [1] * 9 + [6]), "shape must be"),
        (set_entry("data_offsets", [0, 24]), "data_offsets must be"),  # overlap
        (set_entry("data_offsets", [20, 44]), "data_offsets must be"),  # hole
        (set_entry("data_offsets", [16]), "data_offsets must be two"),
        (set_entry("extra", 1), "nothing else"),
        (lambda h, d: d[:-4], "truncated"),
        (lambda h, d: d + b"\0" * 4, "trailing bytes"),
        (lambda h, d: h.__setitem__("other", h.pop("layers.0.weights")), "sha256"),
        (lambda h, d: h.__setitem__("other", 3), "other: must have dtype"),
    ],
)
def test_altered_header_is_rejected(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(FormatError, match=message) as caught:
        read_model(saved)
    assert str(caught.value).startswith(f"{saved}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b"[" * 500_000, "nests deeper"),
        (b'{"a":' * 100_000, "nests deeper"),
        (b'"' + b'\\"' * 400_000, "not valid JSON"),
        (b'{"__metadata__":{},"__metadata__":{}}', "appears twice"),
        (b'{"__metadata__":NaN}', "not a JSON number"),
        (b'{"__metadata__":' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b'{"\xc3\xa4":1}', "not ASCII"),
        (b"\xff\xff", "not ASCII"),
    ],
)
def test_hostile_header(tmp_path, text, message):
    path = tmp_path / "m"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(FormatError, match=message):
        read_model(path)


@pytest.mark.parametrize("length", [2, 2**20 + 1, 2**31, 2**63, 2**64 - 1])
def test_hostile_header_length(tmp_path, length):
    (tmp_path / "m").write_bytes(struct.pack("<Q", length) + b"{")
    with pytest.raises(FormatError, match="header length"):
        read_model(tmp_path / "m")


@pytest.mark.parametrize(
    "content",
    [b"", b"abc", b"{", b"size,kind\n1,a\n" * 9, b"PAR1\x15\x04\x15", b"PK\x03\x04\x14" + bytes(99),
     b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", bytes([0, 0, 8, 3, 0, 0, 0, 2]) * 9, b'[{"size": 1}]' * 9],
)  # fmt: skip
def test_other_files_are_no_model_files(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    for read in (read_model, fastmlp.load, fastmlp.MLP.load):
        with pytest.raises(FormatError, match="m: is no model file of fastmlp$"):
            read(tmp_path / "m")


def test_header_written_another_way_is_rejected(saved):
    header, data = split(saved.read_bytes())
    for text in (json.dumps(header), json.dumps(header, separators=(",", ":")) + " " * 64):
        saved.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)
        with pytest.raises(FormatError, match="header: is not as fastmlp writes it"):
            read_model(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(tmp_path, value):
    tensors = {"ok": np.zeros(3), "bad": np.array([0, value], np.float32)}
    with pytest.raises(ValueError, match="'bad' must be finite"):
        write_model(tmp_path / "m", tensors, {})
    assert os.listdir(tmp_path) == []
    sign(tmp_path / "m", tensors, "{}")
    with pytest.raises(FormatError, match="bad: holds NaN or infinite"):
        read_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must be a JSON object"),
        ("{", "not valid JSON"),
        ('{"a":1,"a":2}', "appears twice"),
        ('{"a":1e999}', "too large"),
        ('{"a":' + "[" * 5000 + "]" * 5000 + "}", "nests deeper"),
    ],
)
def test_signed_but_wrong_config(tmp_path, text, message):
    sign(tmp_path / "m", {"a": np.zeros(1)}, text)
    with pytest.raises(FormatError, match=f"config: .*{message}"):
        read_model(tmp_path / "m")


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("tensors", "config", "error"),
    [
        ({"a": [1.0]}, {}, TypeError),
        ({3: np.zeros(1)}, {}, TypeError),
        ({"": np.zeros(1)}, {}, ValueError),
        ({"__metadata__": np.zeros(1)}, {}, ValueError),
        ({"ä": np.zeros(1)}, {}, ValueError),
        ({"a": np.zeros(1, np.float16)}, {}, ValueError),
        ({"a": np.zeros(1, np.int32)}, {}, ValueError),
        ({"a": np.zeros(1, object)}, {}, ValueError),
        ({"a": np.zeros((1,) * 9)}, {}, ValueError),
        ({}, [], TypeError),
        ({}, {"a": np.nan}, ValueError),
        ({}, {"a": {1, 2}}, TypeError),
        ({}, deep(40), ValueError),
        ({}, deep(100_000), ValueError),
        ({}, {"a": "x" * (1 << 20)}, ValueError),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path, tensors, config, error):
    with pytest.raises(error):
        write_model(tmp_path / "m", tensors, config)
    assert os.listdir(tmp_path) == []


def test_digest_keeps_fields_apart():
    flat = {"a": np.arange(4, dtype=np.float32)}
    others = [
        {"a": flat["a"].reshape(2, 2)},
        {"a": flat["a"].view(np.float64)},
        {"b": flat["a"]},
        {"a": flat["a"][:2], "b": flat["a"][2:]},
        {},
    ]
    digests = {model_file._digest("kind", "{}", tensors) for tensors in [flat, *others]}
    assert len(digests) == 6
    assert re.fullmatch("[0-9a-f]{64}", digests.pop())
    one = np.zeros(1)
    assert model_file._digest("kind", "{}", {"ab": one}) != model_file._digest(
        "kind", "{}a", {"b": one}
    )


def test_only_regular_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FormatError, match="not a regular file"):
        read_model(tmp_path / "fifo")
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "absent")


def test_failed_save_keeps_the_old_model(saved, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_model(saved, {"a": np.zeros(3)}, {})
    monkeypatch.undo()
    assert read_model(saved)[1] == CONFIG
    assert os.listdir(saved.parent) == [saved.name]


# ---------------------------------------------------------------- other parameters, a state given


def fitted(seed=0, **options):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((40, 3)), rng.integers(0, 2, 40)
    model = fastmlp.MLP([3, 5, 2], seed=seed, batch_normalization=True)
    model.fit(x, y, batch_size=8, optimizer=fastmlp.Adam(), verbose=0, **options)
    return model, x, y


def test_a_file_may_hold_other_parameters(tmp_path):
    model, _, _ = fitted()
    other = {name: array + 1 for name, array in model.parameters().items()}
    model.save(tmp_path / "m", parameters=other)
    found = fastmlp.load(tmp_path / "m").parameters()
    assert found.keys() == other.keys()
    for name, array in other.items():
        assert_same_bits(found[name], array, name)


def test_a_file_may_hold_a_state_that_was_kept(tmp_path):
    model, x, y = fitted(epochs=2, total_epochs=4)
    kept, state = model.parameters(), model.training_state()
    rest = {"epochs": 2, "batch_size": 8, "optimizer": fastmlp.Adam(), "resume": True, "verbose": 0}
    model.fit(x, y, **rest)
    model.save(tmp_path / "m", parameters=kept, training_state=state)
    again = fastmlp.load(tmp_path / "m")
    again.fit(x, y, **rest)
    for name, array in model.parameters().items():
        assert_same_bits(again.parameters()[name], array, name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parameters": {}}, "parameters must be layers.0"),
        ({"parameters": [1]}, "parameters must be a mapping"),
        ({"training_state": {}}, "state must be what"),
        ({"training_state": {"rule": "adam"}}, "state must be what"),
        ({"training_state": 3}, "training_state must be"),
        ({"training_state": {7: 1}}, "state must be what"),
    ],
)
def test_what_a_model_cannot_have_is_not_written(options, said, tmp_path):
    model, _, _ = fitted(epochs=1)
    with pytest.raises((TypeError, ValueError), match=said):
        model.save(tmp_path / "m", **options)
    for name, array in model.parameters().items():
        for wrong in (array.reshape(1, *array.shape), array + np.nan, "text"):
            with pytest.raises((TypeError, ValueError), match=name.rpartition(".")[2]):
                model.save(tmp_path / "m", parameters={**model.parameters(), name: wrong})
    assert not list(tmp_path.iterdir())


def test_a_state_of_another_model_is_not_written(tmp_path):
    """Each of its arrays left out, cut, or replaced by a text."""
    model, _, _ = fitted(epochs=1, averaging=fastmlp.EMA(0.9))
    state = model.training_state()
    model.save(tmp_path / "m", training_state=state)
    before = (tmp_path / "m").read_bytes()
    for name in [*(name for name in state if "." in name and "watched" not in name), "moments"]:
        # All averages, or none; older releases have no scale of the inputs.
        needed = not name.startswith(("averages.", "inputs."))
        for wrong in [*([None] if needed else []), np.zeros((1, 1)), "text"]:
            changed = {key: value for key, value in state.items() if key != name}
            if wrong is not None:
                changed[name] = wrong
            with pytest.raises((TypeError, ValueError)):
                model.save(tmp_path / "m", training_state=changed)
    with pytest.raises(TypeError, match="strings as keys"):
        model.save(tmp_path / "m", training_state={**state, 7: np.zeros(2)})
    assert (tmp_path / "m").read_bytes() == before


def test_variances_are_not_negative(tmp_path):
    model, _, _ = fitted(epochs=1)
    wrong = model.parameters()
    wrong["layers.0.variances"][2] = -0.5
    for use in (model.set_parameters, lambda p: model.save(tmp_path / "m", parameters=p)):
        with pytest.raises(ValueError, match=r"layers\.0\.variances must be >= 0, got -0\.5"):
            use(wrong)
    model.save(tmp_path / "m")
    tensors, config = read_model(tmp_path / "m")
    write_model(
        tmp_path / "m", {**tensors, "layers.0.variances": wrong["layers.0.variances"]}, config
    )
    with pytest.raises(FormatError, match="variances"):
        fastmlp.load(tmp_path / "m")
