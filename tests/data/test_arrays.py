"""Reading arrays: NumPy's files, IDX files and images come out as they went in."""

import gzip
import hashlib
import io

import numpy as np
import pytest

from fastmlp.data import read, read_samples
from fastmlp.datasets.idx import build_idx

RNG = np.random.Generator(np.random.PCG64(7))


def save(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        (RNG.integers(0, 256, (4, 3), dtype=np.uint8), np.uint8),
        (RNG.standard_normal((4, 3)), np.float64),
        (RNG.standard_normal((4, 3)).astype(">f4"), np.float32),
        (RNG.standard_normal((4, 3)).astype(np.float16), np.float32),
        (np.asfortranarray(RNG.standard_normal((4, 3)).astype(">f8")), np.float64),
        (RNG.standard_normal((4, 3)).astype(np.longdouble), np.float64),
        (RNG.integers(-9, 9, (4, 3)).astype(">i2"), np.float32),
        (RNG.integers(-9, 9, (4, 3)), np.float64),
        (RNG.integers(0, 2, (4, 3)).astype(bool), np.float32),
        (np.array([[2**53, -(2**53)]]), np.float64),
        (RNG.standard_normal((4, 3, 2, 2)), np.float64),
    ],
)
def test_inputs_of_every_type(tmp_path, x, dtype):
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", X=x)
    for name in ("x.npy", "x.npz"):
        samples = read_samples(tmp_path / name)
        assert samples.dtype == dtype
        assert samples.flags.c_contiguous
        assert samples.flags.writeable
        np.testing.assert_array_equal(samples, x.reshape(len(x), -1).astype(dtype))


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.array([0, 2, 1, -1]), np.array([0, 2, 1, -1])),
        (np.array([[0], [2], [1], [255]], np.uint8), np.array([0, 2, 1, 255])),
        (np.array([True, False, True, True]), np.array(["true", "false", "true", "true"], object)),
        (np.array(["b", "a", "é", ""]), np.array(["b", "a", "é", ""], object)),
        (np.array(["b", "a", "é", ""], ">U3"), np.array(["b", "a", "é", ""], object)),
        (np.array(["b", "a", "ü".encode(), b""], "S2"), np.array(["b", "a", "ü", ""], object)),
        (np.array([0.5, 1, 2, 3], ">f4"), np.array([[0.5], [1], [2], [3]])),
        (np.array([[0, 1], [1, 1], [0, 0], [1, 0]]), np.array([[0.0, 1], [1, 1], [0, 0], [1, 0]])),
        (np.eye(4, dtype=bool), np.eye(4)),
    ],
)
def test_targets_of_every_type(tmp_path, y, expected):
    path = save(tmp_path, "set.npz", npz(x=np.zeros((4, 2)), y=y))
    raw = read(path)
    assert raw.train.y.dtype == expected.dtype
    np.testing.assert_array_equal(raw.train.y, expected)
    assert (raw.name, raw.test, raw.task, raw.class_names) == ("set", None, None, None)


def test_npz_with_images_and_a_test_part(tmp_path):
    x, y = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8), np.arange(6) % 3
    content = npz(x_train=x, Y_train=y, x_test=x[:2], y_test=y[:2], other=np.zeros(3))
    raw = read(save(tmp_path, "Mine.NPZ", content))
    np.testing.assert_array_equal(raw.train.x, x.reshape(6, 20))
    np.testing.assert_array_equal(raw.test.y, y[:2])
    assert raw.image_shape == (5, 4)
    assert raw.name == "Mine"
    assert raw.sha256 == {"Mine.NPZ": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((2, 8), None), ((2, 4, 3), (4, 3)), ((2, 4, 3, 1), (4, 3)), ((2, 4, 3, 3), (4, 3, 3)),
     ((2, 4, 3, 2), None)],
)  # fmt: skip
def test_shapes_of_images(tmp_path, shape, image_shape):
    raw = read(save(tmp_path, "t.npz", npz(x=np.zeros(shape), y=np.zeros(2))))
    assert raw.image_shape == image_shape


# ---------------------------------------------------------------- IDX


@pytest.mark.parametrize("form", ["-idx", ".idx", "-idx.gz", ".idx.gz"])
def test_idx_directory(tmp_path, form):
    arrays = {
        "train-images-idx3-ubyte": RNG.integers(0, 256, (12, 3, 2), dtype=np.uint8),
        "train-labels-idx1-ubyte": RNG.integers(0, 4, 12, dtype=np.uint8),
        "t10k-images-idx3-ubyte": RNG.integers(0, 256, (5, 3, 2), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": RNG.integers(0, 4, 5, dtype=np.uint8),
    }
    for name, array in arrays.items():
        content = build_idx(array)
        name = name.replace("-idx", form.removesuffix(".gz"))
        if form.endswith(".gz"):
            content, name = gzip.compress(content), f"{name}.gz"
        save(tmp_path / "mine", name, content)
    raw = read(str(tmp_path / "mine"))
    x, y, x_test, y_test = arrays.values()
    np.testing.assert_array_equal(raw.train.x, x.reshape(12, 6))
    np.testing.assert_array_equal(raw.train.y, y)
    np.testing.assert_array_equal(raw.test.x, x_test.reshape(5, 6))
    np.testing.assert_array_equal(raw.test.y, y_test)
    assert (raw.train.x.dtype, raw.train.y.dtype) == (np.uint8, np.int64)
    assert (raw.name, raw.image_shape, raw.task) == ("mine", (3, 2), "classification")
    digests = {name: hashlib.sha256(build_idx(a)).hexdigest() for name, a in arrays.items()}
    assert raw.sha256 == digests


def test_idx_file_by_itself(tmp_path):
    x = RNG.integers(0, 256, (3, 2, 2), dtype=np.uint8)
    for name in ("x.idx", "digits-ubyte"):
        np.testing.assert_array_equal(
            read_samples(save(tmp_path, name, build_idx(x))), x.reshape(3, 4)
        )
        packed = save(tmp_path, f"{name}.gz", gzip.compress(build_idx(x)))
        np.testing.assert_array_equal(read_samples(packed), x.reshape(3, 4))


# ---------------------------------------------------------------- images


def picture(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pytest.importorskip("PIL.Image").fromarray(pixels).save(path, **options)


def test_images_of_each_class(tmp_path):
    gray = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture(tmp_path / "b cat" / "2.png", gray[0])
    picture(tmp_path / "b cat" / "10.BMP", gray[1])
    picture(tmp_path / "a dog" / "x.png", gray[2])
    picture(tmp_path / "c" / "1.png", gray[3] > 127)
    save(tmp_path, ".hidden/nothing.png", b"")
    save(tmp_path, "a dog/.thumbnails", b"")
    save(tmp_path, "README.txt", b"notes")
    raw = read(str(tmp_path))
    expected = [gray[2], gray[1], gray[0], (gray[3] > 127) * 255]
    np.testing.assert_array_equal(raw.train.x, np.reshape(expected, (4, 12)))
    assert raw.train.x.dtype == np.uint8
    assert raw.train.y.tolist() == [0, 1, 1, 2]
    assert raw.class_names == ("a dog", "b cat", "c")
    assert (raw.image_shape, raw.task, raw.test) == ((4, 3), "classification", None)
    assert list(raw.sha256) == [tmp_path.name]
    picture(tmp_path / "c" / "1.png", gray[3] < 127)
    assert read(str(tmp_path)).sha256 != raw.sha256


def test_images_with_a_test_part_in_color(tmp_path):
    pixels = RNG.integers(0, 256, (4, 3, 3), dtype=np.uint8)
    opaque = np.concatenate([pixels, np.full((4, 3, 1), 255, np.uint8)], -1)
    picture(tmp_path / "train" / "a" / "1.png", pixels)
    picture(tmp_path / "train" / "b" / "1.png", opaque)
    picture(tmp_path / "train" / "b" / "2.webp", pixels, lossless=True)
    picture(tmp_path / "train" / "b" / "3.jpg", np.full((4, 3, 3), 128, np.uint8))
    picture(tmp_path / "test" / "b" / "1.bmp", pixels)
    raw = read(str(tmp_path))
    for row in raw.train.x[:3]:
        np.testing.assert_array_equal(row, pixels.reshape(-1))
    np.testing.assert_allclose(raw.train.x[3].astype(float), 128, atol=1)
    np.testing.assert_array_equal(raw.test.x, pixels.reshape(1, -1))
    assert (raw.train.y.tolist(), raw.test.y.tolist()) == ([0, 1, 1, 1], [1])
    assert raw.image_shape == (4, 3, 3)
