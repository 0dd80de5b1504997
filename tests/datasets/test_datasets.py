"""Data sets: the look-up order, the user's own files, the cache, the messages."""

import gzip
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace

import pytest

from fastmlp import DataUnavailableError, FormatError, datasets
from fastmlp.datasets import LocalCopy
from fastmlp.datasets.cache import cache_directory
from fastmlp.datasets.idx import build_idx
from support.tiny_dataset import (
    ARRAYS,
    GZ,
    IMAGES,
    LABELS,
    NAMES,
    RAW,
    TINY,
    TINY_FREE,
    check,
    loopback_server,
    serve,
    write_set,
)

pytestmark = pytest.mark.usefixtures("own_home")


IDX_SETS = ("mnist", "fashion-mnist", "kmnist")


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path / "data")


@pytest.fixture
def server():
    with loopback_server() as running:
        yield running


# The user's own directory


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-idx", ".idx"])
@pytest.mark.parametrize("subfolder", ["", "tiny"])
def test_data_dir(tmp_path, suffix, separator, subfolder):
    write_set(
        tmp_path / "d" / subfolder,
        GZ if suffix else RAW,
        suffix,
        lambda name: name.replace("-idx", separator),
    )
    check(datasets.load(TINY, data_dir=tmp_path / "d"))
    assert datasets.fetch(TINY, data_dir=str(tmp_path / "d")) == tmp_path / "d" / subfolder
    assert datasets.path(TINY) is None  # the user's files are not copied


def test_environment_names_the_directory(folder, monkeypatch):
    monkeypatch.setenv("FASTMLP_DATA_DIR", str(folder))
    check(datasets.load(TINY))


def test_dataset_object(folder):
    data = datasets.load(TINY, folder)
    assert repr(data) == "Dataset('tiny', train=(12, 6), test=(5, 6), classes=4)"
    assert (data.image_shape, data.feature_names) == ((3, 2), None)
    assert data.task == "classification"
    data.x_train[0] = 0  # the arrays are the caller's
    with pytest.raises(AttributeError):
        data.name = "other"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES, RAW[IMAGES][:-1], "file size: .* truncated"),
        (IMAGES, b"", "magic: needs 4"),
        (IMAGES, RAW[IMAGES] + b"\0", "file size is 89 bytes, at most 88"),
        (IMAGES, RAW[LABELS], r"dimensions: must be 3 \(images\), got 1 \(labels\)"),
        (LABELS, RAW[NAMES["y_test"]], r"sizes: must be \(12,\)"),
        (IMAGES, RAW[IMAGES][:-1] + b"\0", "sha256: must be"),
        (LABELS, GZ[LABELS][:20], "gzip-compressed; its name must end in .gz"),
    ],
)
def test_damaged_file_in_data_dir(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        datasets.load(TINY, folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GZ[IMAGES][:-9], "gzip data"),
        (GZ[IMAGES][:-8] + b"\0" * 8, "gzip data"),  # wrong check sum
        (gzip.compress(bytes(1_000_000))[:1000], "gzip data|more"),
        (gzip.compress(bytes(1_000_000)), "decompressed size: must be 88 bytes, got more"),
        (gzip.compress(RAW[IMAGES] + b"\0"), "decompressed size: must be 88 bytes, got more"),
        (gzip.compress(RAW[IMAGES][:-1]), "decompressed size: must be 88 bytes, got 87"),
        (GZ[IMAGES] + b"rubbish", "gzip data"),
        (RAW[IMAGES], "gzip data"),
        (b"", "decompressed size"),
    ],
)
def test_damaged_gzip_in_data_dir(tmp_path, content, message):
    folder = write_set(tmp_path / "d", GZ | {IMAGES: content}, ".gz")
    with pytest.raises(FormatError, match=message):
        datasets.load(TINY, folder)


def test_every_flipped_bit_of_a_file_is_rejected(folder):
    content = bytearray(RAW[LABELS])
    for bit in range(8 * len(content)):
        content[bit // 8] ^= 1 << bit % 8
        (folder / LABELS).write_bytes(content)
        with pytest.raises(FormatError):
            datasets.load(TINY, folder)
        content[bit // 8] ^= 1 << bit % 8


def test_special_file_in_data_dir(folder):
    (folder / IMAGES).unlink()
    os.mkfifo(folder / IMAGES)
    with pytest.raises(FormatError, match="not a regular file"):
        datasets.load(TINY, folder)


def test_mixed_up_sets_are_named(folder, monkeypatch):
    other = replace(
        TINY, name="other", files=(replace(TINY.files[0], sha256="0" * 64), *TINY.files[1:])
    )
    monkeypatch.setitem(datasets.REGISTRY, "tiny", TINY)
    with pytest.raises(FormatError, match=f"this is {IMAGES} of tiny"):
        datasets.load(other, folder)


def test_count_mismatch(tmp_path):
    folder = write_set(tmp_path / "d", RAW | {LABELS: build_idx(ARRAYS["y_train"][:-1])})
    with pytest.raises(FormatError, match=r"sizes: must be \(12,\)"):
        datasets.load(TINY, folder)
    wrong = tuple(replace(f, shape=(11,)) if f.role == "y_train" else f for f in TINY_FREE.files)
    with pytest.raises(FormatError, match="12 train images and 11 labels"):
        datasets.load(replace(TINY_FREE, files=wrong), folder)


def test_labels_beyond_the_classes(folder):
    with pytest.raises(FormatError, match="labels must be below 2"):
        datasets.load(replace(TINY, class_names=("a", "b")), folder)


def test_incomplete_data_dir_goes_on(folder, server):
    (folder / LABELS).unlink()
    spec = replace(TINY, mirrors=(serve(server),))
    with pytest.warns(UserWarning, match=f"lacks {LABELS}; continuing") as caught:
        check(datasets.load(spec, folder))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="no such directory"):
        check(datasets.load(spec, folder / "absent"))


def test_incomplete_data_dir_must_be_right_in_what_it_has(folder):
    (folder / LABELS).unlink()
    (folder / IMAGES).write_bytes(b"rubbish")
    with pytest.raises(FormatError, match=IMAGES):
        datasets.load(TINY, folder)


def test_only_the_user_may_bring_files_that_nobody_can_verify(folder):
    check(datasets.load(TINY_FREE, folder))
    with pytest.raises(DataUnavailableError, match="sha256 unknown"):
        datasets.load(replace(TINY_FREE, copies=(LocalCopy(str(folder)),)))


# Cache


def test_damaged_cache_is_reported_and_replaced(server):
    spec = replace(TINY, mirrors=(serve(server),))
    cache = datasets.fetch(spec)
    (cache / IMAGES).write_bytes(b"rubbish")
    (cache / LABELS).unlink()
    assert datasets.path(spec) is None
    server.requests.clear()
    with pytest.warns(UserWarning, match=f"damaged file in the cache.*{IMAGES}") as caught:
        check(datasets.load(spec))
    assert len(caught) == 1
    assert sorted(server.requests) == [f"/{IMAGES}.gz", f"/{LABELS}.gz"]
    assert (cache / IMAGES).read_bytes() == RAW[IMAGES]
    assert datasets.path(spec) == cache


def test_cache_that_cannot_be_written(server, tmp_path):
    (tmp_path / "cache").write_text("a file where a directory should be")
    spec = replace(TINY, mirrors=(serve(server),))
    with pytest.warns(UserWarning, match="could not be kept in the cache"):
        check(datasets.load(spec))
    with (
        pytest.warns(UserWarning, match="could not be kept"),
        pytest.raises(OSError, match="irect"),
    ):
        datasets.fetch(spec)


def test_old_temporary_files_are_removed(server):
    cache = cache_directory("tiny")
    cache.mkdir(parents=True)
    old, young = cache / ".a.tmp.1.00", cache / ".b.tmp.1.00"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1, 1))
    datasets.fetch(replace(TINY, mirrors=(serve(server),)))
    assert not old.exists()
    assert young.exists()


def test_parallel_processes_fetch_once(server, tmp_path):
    mirror = serve(server)
    script = textwrap.dedent(
        """
        import pickle, sys
        from fastmlp import datasets
        spec = pickle.loads(bytes.fromhex(sys.argv[1]))
        print("ready", flush=True)
        sys.stdin.readline()
        print(datasets.load(spec).x_train.sum())
        """
    )
    argument = pickle.dumps(replace(TINY, mirrors=(mirror,))).hex()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert int(output) == ARRAYS["x_train"].sum()
        assert process.returncode == 0
    assert len(server.requests) == 4


# All sources fail


@pytest.mark.parametrize("name", IDX_SETS)
def test_offline_message(name, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTMLP_OFFLINE", "1")
    spec = datasets.get_spec(name)
    # A machine may have the system's own package of a set installed.
    spec = replace(spec, copies=tuple(c for c in spec.copies if not c.path.startswith("/")))
    with pytest.raises(DataUnavailableError) as caught:
        datasets.load(spec)
    message = str(caught.value)
    for part in (
        f"{name} was found in none of its sources",
        "data_dir, FASTMLP_DATA_DIR: not given",
        f"cache {tmp_path}",
        "copies of other tools: none at ",
        "mirrors and Python packages: not tried, FASTMLP_OFFLINE is set",
        "train-images-idx3-ubyte  47040016 bytes",
        "What to do: ",
        *(file.sha256 or file.gz_sha256 for file in spec.files),
    ):
        assert part in message


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_offline_can_be_switched_off(value, monkeypatch, server):
    monkeypatch.setenv("FASTMLP_OFFLINE", value)
    check(datasets.load(replace(TINY, mirrors=(serve(server),))))


def test_names():
    assert " ".join(datasets.available()) == (
        "mnist fashion-mnist kmnist cifar10 digits iris wine breast-cancer diabetes "
        "xor circles moons spirals gaussians sine"
    )
    for written, meant in (
        ("Fashion_MNIST", "fashion-mnist"),
        ("breast_cancer", "breast-cancer"),
        (" CIFAR-10", "cifar10"),
    ):
        assert datasets.get_spec(written).name == meant
    with pytest.raises(ValueError, match="did you mean 'mnist'"):
        datasets.load("mnits")
    with pytest.raises(TypeError, match="name must be a str"):
        datasets.load(3)
    assert datasets.path("mnist") is None
    for name in ("", "../x", "A", "a/b"):
        with pytest.raises(ValueError, match="name must be"):
            replace(TINY, name=name)
        with pytest.raises(ValueError, match="name must be"):
            replace(TINY.files[0], name=name)
    with pytest.raises(ValueError, match="one each"):
        replace(TINY, files=TINY.files[:3])


def test_registry_is_well_formed():
    for name in IDX_SETS:
        for file in datasets.get_spec(name).files:
            digests = [digest for digest in (file.sha256, file.gz_sha256) if digest]
            assert digests
            assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
        assert len(datasets.get_spec(name).class_names) == 10
    assert [f.raw_bytes for f in datasets.get_spec("mnist").files] == [
        47040016,
        60008,
        7840016,
        10008,
    ]


def test_import_is_light():
    code = (
        "import sys, numpy; before = set(sys.modules); import fastmlp.datasets;"
        "heavy = {'urllib.request', 'http.client', 'gzip', 'zipfile', 'subprocess', 'hashlib',"
        " 'tempfile', 'platformdirs', 'socket', 'ssl', 'tarfile', 'shutil', 'sklearn', 'click'};"
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert output.strip() == "[]"


def test_no_warnings_in_the_plain_case(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        datasets.load(TINY, folder)
