"""Files as sources: each gives the rows that it holds, and trains as they do in memory."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SourceError, streams

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")
csv = pytest.importorskip("pyarrow.csv")

ROWS = 250


@pytest.fixture
def arrays():
    random = np.random.default_rng(3)
    x = random.standard_normal((ROWS, 3)).astype(np.float32)
    return x, random.integers(0, 2, ROWS), random.random(ROWS)


def table_of(x, y, weights):
    columns = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    return pa.table({"weight": weights, **columns, "label": y})


def arrays_source(folder, x, y, weights):
    return streams.Arrays(x, y, weights, chunk_size=70)


def npy_source(folder, x, y, weights):
    for name, array in (("x", x), ("y", y), ("w", weights)):
        np.save(folder / f"{name}.npy", array)
    return streams.Arrays(folder / "x.npy", str(folder / "y.npy"), folder / "w.npy", chunk_size=100)


def shards_source(folder, x, y, weights):
    for number, rows in enumerate((slice(0, 100), slice(100, 101), slice(101, ROWS))):
        save = np.savez_compressed if number else np.savez
        save(folder / f"{number}.npz", x=x[rows], y=y[rows], sample_weight=weights[rows])
    return streams.Shards(folder)


def parquet_source(folder, x, y, weights):
    table = table_of(x, y, weights)
    parquet.write_table(table[:120], folder / "a.parquet", row_group_size=50)
    parquet.write_table(table[120:], folder / "b.parquet", row_group_size=500)
    return streams.ParquetFiles(folder, target="label", sample_weight="weight")


def arrow_source(folder, x, y, weights):
    table = table_of(x, y, weights)
    feather.write_feather(table[:120], folder / "a.feather", compression="lz4", chunksize=50)
    with pa.ipc.new_file(str(folder / "b.arrow"), table.schema) as writer:
        writer.write_table(table[120:], max_chunksize=77)
    return streams.ArrowFiles(folder, target="label", sample_weight="weight")


def csv_source(folder, x, y, weights):
    csv.write_csv(table_of(x, y, weights), folder / "a.csv")
    return streams.CSVFile(
        folder / "a.csv", target="label", sample_weight="weight", block_bytes=4000
    )


SOURCES = [arrays_source, npy_source, shards_source, parquet_source, arrow_source, csv_source]


@pytest.mark.parametrize("make", SOURCES)
def test_a_source_gives_the_rows_of_its_files(make, arrays, tmp_path):
    source = make(tmp_path, *arrays)
    chunks = list(source)
    assert len(chunks) > 1
    for part, expected in zip(zip(*chunks, strict=True), arrays, strict=True):
        # Text has the shortest digits of a float32, which a float64 reads differently.
        assert np.array_equal(np.concatenate(part).astype(expected.dtype), expected)
    if make is csv_source:
        assert source.samples is source.chunks is None
        return
    assert source.samples == ROWS
    assert source.chunks == len(chunks)
    for one, other in zip(source.chunk(1), chunks[1], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("make", SOURCES)
def test_a_source_of_files_trains_as_its_arrays_do(make, arrays, tmp_path):
    x, y, weights = arrays
    settings = {"epochs": 2, "batch_size": 16, "optimizer": "adam", "verbose": 0}
    expected, model = MLP([3, 8, 2]), MLP([3, 8, 2])
    expected.fit(x, y, sample_weight=weights, shuffle=False, **settings)
    source = make(tmp_path, *arrays)
    model.fit(source, shuffle=False, validation_data=source, **settings)
    for name, array in expected.parameters().items():
        assert array.tobytes() == model.parameters()[name].tobytes()
    known = {} if source.samples else {"epochs": 2}
    again = MLP([3, 8, 2]).fit(source, **(settings | known))
    assert len(again.loss) == 2
    measured = model.evaluate(x, y, sample_weight=weights)
    assert model.evaluate(source) == pytest.approx(measured, rel=1e-12)


def test_a_large_row_group_is_read_in_pieces(tmp_path):
    """The pieces are its rows, and shuffling does not see them."""
    random = np.random.default_rng(5)
    x, y = random.standard_normal((150_000, 9)).astype(np.float32), random.integers(0, 2, 150_000)
    columns = {f"x{i}": x[:, i] for i in range(9)}
    parquet.write_table(pa.table(columns | {"label": y}), tmp_path / "a.parquet")
    source = streams.ParquetFiles(tmp_path / "a.parquet", target="label")
    assert source.chunks == 1
    pieces = list(source.pieces(0))
    assert len(pieces) > 2
    for part, whole, expected in zip(
        zip(*pieces, strict=True), source.chunk(0), (x, y), strict=True
    ):
        assert np.array_equal(np.concatenate(part), expected)
        assert np.array_equal(whole, expected)
        assert part[0].dtype == whole.dtype
    settings = {"epochs": 1, "batch_size": 512, "shuffle_buffer": 20_000, "verbose": 0}
    model, other = MLP([9, 4, 2]), MLP([9, 4, 2])
    model.fit(source, **settings)
    other.fit([(x, y)], **settings)
    for name, array in model.parameters().items():
        assert array.tobytes() == other.parameters()[name].tobytes()


def test_shards_in_pairs_of_arrays(arrays, tmp_path):
    x, y, _ = arrays
    for number, rows in enumerate((slice(0, 100), slice(100, 101), slice(101, ROWS))):
        np.save(tmp_path / f"train-x-{number}.npy", x[rows])
        np.save(tmp_path / f"train-Y-{number}.npy", y[rows])
    source = streams.Shards(tmp_path)
    assert (source.samples, source.chunks) == (ROWS, 3)
    assert not source.chunk(2)[0].flags.owndata
    for part, expected in zip(zip(*source, strict=True), (x, y), strict=True):
        assert np.array_equal(np.concatenate(part), expected)
    (tmp_path / "train-Y-1.npy").unlink()
    with pytest.raises(ValueError, match=r"train-x-1.npy must be one of two files"):
        streams.Shards(tmp_path)


def test_columns_are_chosen_by_name(arrays, tmp_path):
    x, y, weights = arrays
    parquet.write_table(table_of(*arrays), tmp_path / "a.parquet")
    source = streams.ParquetFiles(tmp_path / "a.parquet", target="label", features=["x2", "x0"])
    assert source.columns == ["x2", "x0", "label"]
    read = source.chunk(0)
    assert np.array_equal(read[0], x[:, [2, 0]])
    assert np.array_equal(read[1], y)
    with pytest.raises(ValueError, match=r"a.parquet: there is no column 'z', only \['weight'"):
        streams.ParquetFiles(tmp_path / "a.parquet", target="z")
    with pytest.raises(ValueError, match="there is no column 'x9'"):
        streams.ParquetFiles(tmp_path / "a.parquet", target="label", features=["x9"])


def test_texts_and_gaps_are_named(tmp_path):
    table = pa.table({"a": ["u", "v"], "b": [1.0, None], "label": [0, 1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="column 'a' must hold numbers, got string"):
        MLP([2, 2]).fit(streams.ParquetFiles(tmp_path / "a.parquet", target="label"), verbose=0)
    source = streams.ParquetFiles(tmp_path / "a.parquet", target="label", features=["b"])
    with pytest.raises(ValueError, match=r"a.parquet, chunk 0: x must be finite.* nan at \[1, 0\]"):
        MLP([1, 2]).fit(source, verbose=0)


def test_files_that_are_missing_or_wrong_are_named(arrays, tmp_path):
    x, y, weights = arrays
    with pytest.raises(FileNotFoundError, match="no.npz: there is no such file"):
        streams.Shards(tmp_path / "no.npz")
    with pytest.raises(ValueError, match="there are no files with .parquet or .pq"):
        streams.ParquetFiles(tmp_path, target="y")
    np.savez(tmp_path / "a.npz", y=y)
    with pytest.raises(ValueError, match=r"a.npz must be a .npz file with the arrays x and y"):
        streams.Shards(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"b.npz must be a .npz file with the arrays x and y"):
        streams.Shards(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"must have one length, got \[250, 249\]"):
        streams.Arrays(x, y[1:])
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="memory-mapped"):
        streams.Arrays(tmp_path / "o.npy", y[:1])


def test_files_of_another_format_are_told_who_reads_them(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    csv_source(tmp_path, *arrays)
    npy_source(tmp_path, *arrays)
    table = next(tmp_path.glob("*.csv")).name
    np.savez("a.npz", x=arrays[0], y=arrays[1])
    (tmp_path / "shards").mkdir()
    np.savez("shards/a.npz", x=arrays[0], y=arrays[1])
    for make, message in (
        (lambda: streams.ParquetFiles(table, target="y"), f"{table} must be a .*CSVFile"),
        (lambda: streams.ArrowFiles(table, target="y"), f"{table} must be a .*CSVFile"),
        (lambda: streams.Shards(table), f"{table} must be a .*CSVFile"),
        (lambda: streams.Arrays("shards", "y.npy"), r"shards must .*a folder; streams.Shards\("),
        (lambda: streams.Arrays("a.npz", "y.npy"), r"a.npz must be a .npy file; streams.Shards\("),
        (lambda: streams.Arrays(table, "y.npy"), f"{table} must be a .npy file of numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    for kind in (streams.ParquetFiles, streams.ArrowFiles, streams.CSVFile):
        with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) needs target, .*target=\"label"):
            kind("f")
    for name in ("shards", "x.npy", tmp_path / "x.npy"):
        with pytest.raises(TypeError, match=r"fastmlp.streams has .* streams.Arrays\(\"x.npy"):
            MLP([3, 2]).fit(name)


def test_a_file_that_is_cut_while_a_training_reads_it_is_an_error(arrays, tmp_path):
    source = shards_source(tmp_path, *arrays)
    (tmp_path / "2.npz").write_bytes(b"no archive")
    model = MLP([3, 2])
    with pytest.raises(SourceError, match=r"chunk 2: .*(BadZipFile|ValueError|Unpickling)"):
        model.fit(source, epochs=1, shuffle=False, verbose=0)


def test_arrays_of_the_system_are_read_where_they_are(tmp_path):
    """A memory map is cut, not copied."""
    np.save(tmp_path / "x.npy", np.zeros((1000, 4), np.float32))
    source = streams.Arrays(tmp_path / "x.npy", np.zeros(1000, int), chunk_size=10)
    chunk = source.chunk(3)[0]
    assert not chunk.flags.owndata
    assert streams.Arrays(np.zeros((256, 1024)), np.zeros(256)).chunks == 1
    assert streams.Arrays(np.zeros((2560, 1024)), np.zeros(2560)).chunks == 10


def test_estimated_lengths_of_keras_sequences():
    """A sequence without `samples`: all its chunks but the last have one size."""

    class Pictures:
        def __init__(self, sizes):
            self.sizes = sizes

        def __len__(self):
            return len(self.sizes)

        def __getitem__(self, number):
            return np.ones((self.sizes[number], 2), np.float32), np.zeros(self.sizes[number], int)

    schedule = fastmlp.Adam(fastmlp.schedules.FlatCosine(0.01))
    settings = {"epochs": 1, "batch_size": 8, "optimizer": schedule, "verbose": 0}
    model = MLP([2, 2])
    model.fit(Pictures([10, 10, 7]), **settings)
    assert model._continuation.progress.planned.samples == 27
    with pytest.raises(ValueError, match="Pictures must have 24 samples"):
        model.fit(Pictures([10, 9, 4]), **settings)
