"""Samples that stay in their files: which are held out, what is learned, what is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.data import Options, prepare, read
from fastmlp.data.sample_files import open_samples
from fastmlp.data.split import is_drawn
from fastmlp.data.streaming import prepare_stream
from fastmlp.errors import FormatError

polars = pytest.importorskip("polars")

PURPOSE = int.from_bytes(b"split", "big")


def keys(draw: int, seed: int, count: int) -> np.ndarray:
    """The random number of each sample, between 0 and 1."""
    return np.random.PCG64([PURPOSE, draw, seed]).random_raw(count) / 2.0**64


def parts_of(target, seed: int = 0, test: float = 0.2, validation: float = 0.1):
    """Which samples are in which part, said anew."""
    count, is_first = len(target), np.zeros(len(target), bool)
    if target.dtype.kind != "f":
        is_first[np.unique(target, return_index=True)[1]] = True
    is_test = ~is_first & (keys(0, seed, count) < test)
    is_validation = ~is_first & ~is_test & (keys(1, seed, count) < validation)
    return {"test": is_test, "validation": is_validation, "train": ~is_test & ~is_validation}


def homes(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    size = draw.uniform(20, 200, count).astype(np.float32)
    return {
        "size": size,
        "rooms": draw.integers(1, 9, count),
        "town": draw.choice(["Bonn", "Kiel", "Jena"], count),
        "kind": np.where(size > 110, "large", "small"),
    }


def write(folder, table: dict[str, np.ndarray], files: int, form: str = "parquet") -> str:
    """Write a table in several files of different lengths."""
    count = len(table["kind"])
    cuts = [0, *sorted(np.random.default_rng(1).choice(count, files - 1, replace=False)), count]
    folder.mkdir(exist_ok=True)
    for number, (start, stop) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        frame = polars.DataFrame({name: cells[start:stop] for name, cells in table.items()})
        if form == "parquet":
            frame.write_parquet(folder / f"part-{number}.parquet", row_group_size=64)
        else:
            frame.write_ipc(folder / f"part-{number}.arrow")
    return str(folder)


def streamed(prepared):
    """All that the training gets in an epoch, in the order of the files."""
    chunks = [prepared.stream.chunk(number) for number in range(prepared.stream.chunks)]
    filled = [chunk for chunk in chunks if len(chunk[0])]
    return [np.concatenate(columns) for columns in zip(*filled, strict=True)]


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("start", [0, 1, 17, 5000])
def test_the_draw_of_a_sample_depends_on_its_position_alone(start):
    whole = keys(2, 9, 10_000) < 0.3
    np.testing.assert_array_equal(is_drawn(start, 8000, 0.3, 9, draw=2), whole[start:8000])
    assert abs(whole.mean() - 0.3) < 5 * (0.3 * 0.7 / 10_000) ** 0.5


def test_none_and_all():
    assert not is_drawn(0, 1000, 0.0, 0).any()
    assert is_drawn(0, 1000, 1.0, 0).all()


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("seed", [0, 5])
def test_parts_and_preprocessing_are_those_of_the_rows_in_memory(tmp_path, form, seed):
    table = homes(2000)
    source = write(tmp_path / "homes", table, 6, form)
    options = Options(target=("kind",), split_seed=seed, test_fraction=0.3)
    prepared, chosen = prepare_stream(open_samples(source), options)
    assert (chosen.test_fraction, chosen.validation_fraction) == (0.3, 0.1)
    parts = parts_of(table["kind"], seed, 0.3, 0.1)
    assert prepared.sizes == {
        "training": parts["train"].sum(),
        "validation": parts["validation"].sum(),
        "test": parts["test"].sum(),
    }
    # The same rows, read as a table of their own.
    own = write(tmp_path / "own", {n: c[parts["train"]] for n, c in table.items()}, 1, form)
    whole = Options(target=("kind",), test_fraction=0.0, validation_fraction=0.0)
    expected = prepare(read(own), whole)
    assert prepared.preprocessing == expected.preprocessing
    x, y = streamed(prepared)
    np.testing.assert_array_equal(x, expected.train.x)
    np.testing.assert_array_equal(y, expected.train.y)
    pre = prepared.preprocessing
    for part, samples in (("test", prepared.test), ("validation", prepared.validation)):
        rows = {name: cells[parts[part]] for name, cells in table.items()}
        alone = read(write(tmp_path / part, rows, 1, form)).train
        np.testing.assert_array_equal(samples.x, pre.inputs(alone.x))
        np.testing.assert_array_equal(samples.y, pre.targets(alone))


def test_blocks_of_a_large_file(tmp_path):
    """The rows of a file of several blocks, of which a part is enough to learn from."""
    count = 300_000
    draw = np.random.default_rng(2)
    x, value = draw.standard_normal(count), draw.standard_normal(count)
    polars.DataFrame({"x": x, "value": value}).write_parquet(tmp_path / "a.parquet")
    files = open_samples(str(tmp_path / "a.parquet"))
    assert files.blocks > 1
    prepared, options = prepare_stream(files, Options(target=("value",)))
    assert options.test_fraction == pytest.approx(50_000 / count)
    parts = parts_of(value, 0, options.test_fraction, options.validation_fraction)
    trained = streamed(prepared)
    pre = prepared.preprocessing
    np.testing.assert_allclose(pre.original_inputs(trained[0])[:, 0], x[parts["train"]], atol=1e-9)
    np.testing.assert_allclose(pre.in_units(trained[1])[:, 0], value[parts["train"]], atol=1e-9)
    assert 45_000 < len(prepared.train) < 55_000
    assert abs(pre.input_mean[0]) < 0.05
    assert abs(pre.input_scale[0] - 1) < 0.05


def test_the_first_row_of_each_class_is_trained(tmp_path):
    """Also where the draw would hold it out, so that no class is unknown."""
    table = homes(500)
    parts = parts_of(np.zeros(500))
    table["kind"] = table["kind"].astype("U9")
    for part, name in (("test", "castle"), ("validation", "hut")):
        rows = np.flatnonzero(parts[part])[-3:]
        table["kind"][rows] = name
        assert not parts["train"][rows].any()
    prepared, _ = prepare_stream(open_samples(write(tmp_path / "a", table, 3)), Options(
        target=("kind",)))  # fmt: skip
    assert prepared.preprocessing.class_names == ("castle", "hut", "large", "small")
    counts = np.bincount(streamed(prepared)[1], minlength=4)
    assert counts[:2].tolist() == [1, 1]
    assert np.bincount(prepared.test.y, minlength=4)[0] == 2
    assert np.bincount(prepared.validation.y, minlength=4)[1] == 2


def test_rows_without_a_target_are_left_out(tmp_path):
    table = homes(400)
    kind = polars.Series(table["kind"]).to_list()
    gaps = range(0, 400, 7)
    frame = polars.DataFrame(table | {"kind": [None if i in gaps else kind[i] for i in range(400)]})
    frame.write_parquet(tmp_path / "a.parquet")
    prepared, _ = prepare_stream(open_samples(str(tmp_path / "a.parquet")), Options(
        target=("kind",)))  # fmt: skip
    assert sum(prepared.sizes.values()) == 400 - len(gaps)
    assert len(streamed(prepared)[1]) == prepared.stream.samples == prepared.sizes["training"]
    assert any(f"{len(gaps)} of 400 rows have none" in note for note in prepared.notes)
    with pytest.raises(FormatError, match="kind"):
        prepare_stream(
            open_samples(str(tmp_path / "a.parquet")), Options(target=("kind",), missing="error")
        )


def test_weights_and_columns_that_are_left_out(tmp_path):
    table = homes(300) | {"w": np.linspace(0.5, 2, 300), "id": np.arange(300)}
    options = Options(target=("kind",), sample_weight="w", exclude=("rooms",))
    prepared, _ = prepare_stream(open_samples(write(tmp_path / "a", table, 2)), options)
    parts = parts_of(table["kind"])
    x, _, weights = streamed(prepared)
    np.testing.assert_array_equal(weights, table["w"][parts["train"]])
    np.testing.assert_array_equal(prepared.test.weight, table["w"][parts["test"]])
    assert [c.name for c in prepared.preprocessing.columns] == ["size", "town"]
    assert x.shape[1] == 4


def test_a_file_of_test_samples(tmp_path):
    source, test = write(tmp_path / "a", homes(300), 2), write(tmp_path / "b", homes(90, 3), 1)
    options = Options(target=("kind",))
    prepared, chosen = prepare_stream(open_samples(source), options, test=open_samples(test))
    assert prepared.sizes == {"training": 300, "test": 90}
    assert (chosen.test_fraction, chosen.validation_fraction) == (0.0, 0.0)
    with pytest.raises(ValueError, match="test_fraction must be 0 or left out"):
        prepare_stream(
            open_samples(source), Options(target=("kind",), test_fraction=0.1),
            test=open_samples(test),
        )  # fmt: skip


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("form", ["npy", "shards", "npz"])
@pytest.mark.parametrize("dtype", ["u1", "f4", "i8"])
def test_arrays_give_the_samples_of_an_archive(tmp_path, form, dtype):
    draw = np.random.default_rng(4)
    x, y = draw.integers(0, 200, (700, 5)).astype(dtype), draw.integers(0, 3, 700).astype("i1")
    source = tmp_path / "data"
    source.mkdir()
    if form == "npy":
        np.save(source / "x.npy", x)
        np.save(source / "y.npy", y)
        source /= "x.npy"
    for number, rows in enumerate((slice(0, 300), slice(300, 301), slice(301, 700))):
        if form == "shards":
            np.save(source / f"train-x-{number}.npy", x[rows])
            np.save(source / f"train-y-{number}.npy", y[rows])
        elif form == "npz":
            np.savez_compressed(source / f"{number}.npz", x=x[rows], y=y[rows])
    prepared, _ = prepare_stream(open_samples(str(source)), Options())
    parts = parts_of(y)
    np.savez(tmp_path / "own.npz", x=x[parts["train"]], y=y[parts["train"]])
    whole = Options(test_fraction=0.0, validation_fraction=0.0)
    expected = prepare(read(tmp_path / "own.npz"), whole)
    assert prepared.preprocessing == expected.preprocessing
    assert prepared.input_scale == expected.input_scale
    trained = streamed(prepared)
    np.testing.assert_array_equal(trained[0], expected.train.x)
    np.testing.assert_array_equal(trained[1], expected.train.y)
    assert trained[0].dtype == expected.train.x.dtype
    assert len(prepared.test) == parts["test"].sum()


def test_images_keep_their_shape(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 255, (50, 4, 6), np.uint8))
    np.save(tmp_path / "y.npy", np.arange(50) % 2)
    prepared, _ = prepare_stream(open_samples(str(tmp_path / "x.npy")), Options())
    assert prepared.preprocessing.image_shape == (4, 6)
    assert prepared.train.x.shape[1] == 24


# ---------------------------------------------------------------- refusals


def test_what_cannot_be_read_in_blocks(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(FormatError, match=r"a.csv: must be Parquet, .* \(stream\)"):
        open_samples(str(tmp_path / "a.csv"))
    with pytest.raises(OSError, match="nothing.parquet"):
        open_samples(str(tmp_path / "nothing.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FormatError, match="b.parquet: Parquet: "):
        open_samples(str(tmp_path / "b.parquet"))
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    with pytest.raises(ValueError, match="must be one of two files with samples and targets"):
        open_samples(str(tmp_path / "x.npy"))
    np.save(tmp_path / "y.npy", np.ones(4))
    with pytest.raises(FormatError, match=r"y.npy: must have a target for each of 3 samples of"):
        open_samples(str(tmp_path / "x.npy"))
    with pytest.raises(FormatError, match="must hold files of one format, got a.csv, b.parquet"):
        open_samples(str(tmp_path))


def test_files_of_a_folder_must_be_alike(tmp_path):
    polars.DataFrame({"x": [1.0], "y": [1]}).write_parquet(tmp_path / "a.parquet")
    polars.DataFrame({"z": [1.0], "y": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(FormatError, match="b.parquet: columns: must be those of .*a.parquet"):
        open_samples(str(tmp_path))


def test_parts_that_do_not_fit_into_memory(tmp_path):
    polars.DataFrame({"x": np.arange(200_000.0), "y": np.arange(200_000) % 2}).write_parquet(
        tmp_path / "a.parquet"
    )
    files = open_samples(str(tmp_path / "a.parquet"))
    with pytest.raises(ValueError, match=r"validation_fraction must be at most 0.25 with stream"):
        prepare_stream(files, Options(validation_fraction=0.3))
    assert len(prepare_stream(files, Options(validation_fraction=0.25))[0].validation) > 30_000


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_a_value_that_is_no_number_is_found_with_its_place(tmp_path, form):
    x, y = np.ones((9000, 2)), np.arange(9000) % 2
    x[:, 1] = np.arange(9000)
    x[7001, 0] = np.inf
    if form == "npy":
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", y)
        with pytest.raises(FormatError, match=r"x.npy, .*must be finite, got inf at \[7001, 0\]"):
            prepare_stream(open_samples(str(tmp_path / "x.npy")), Options())
        return
    polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=r"a.parquet: row 7002, column 'a': must be a number"):
        prepare_stream(open_samples(str(tmp_path / "a.parquet")), Options())
