"""The cache in the user's hands: `verify` and `clear`."""

import os
import pickle
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from fastmlp import datasets
from fastmlp._locks import LockFile
from fastmlp.datasets import cache as cache_module
from fastmlp.datasets.cache import cache_directory, interprocess_lock, lock_path
from support.systems import needs_proc
from support.tiny_archive import ARCHIVE, NAME, TINY_CIFAR, sha, write_archive
from support.tiny_dataset import (
    GZ,
    IMAGES,
    LABELS,
    RAW,
    TINY,
    TINY_GZ,
    loopback_server,
    serve,
    write_set,
)

pytestmark = pytest.mark.usefixtures("own_home")


def statuses(spec):
    return {row.file: row.status for row in datasets.verify(spec)}


def test_verify():
    cache = write_set(cache_directory("tiny"))
    rows = datasets.verify(TINY)
    assert [row.file for row in rows] == list(RAW)
    for file, path, status, digest in rows:
        assert (path, status, digest) == (cache / file, "ok", sha(RAW[file]))
    (cache / IMAGES).write_bytes(RAW[IMAGES][:-1] + b"\0")
    (cache / LABELS).unlink()
    rows = {row.file: row for row in datasets.verify(TINY)}
    assert rows[IMAGES].status == "damaged"
    assert rows[IMAGES].sha256 == sha(RAW[IMAGES][:-1] + b"\0")
    assert rows[LABELS] == (LABELS, cache / LABELS, "missing", None)
    assert [row.status for row in rows.values()].count("ok") == 2
    assert not lock_path(cache).exists()  # nothing was changed


def test_verify_of_what_is_not_even_a_file():
    cache = write_set(cache_directory("tiny"))
    (cache / IMAGES).unlink()
    os.mkfifo(cache / IMAGES)
    (cache / LABELS).write_bytes(bytes(1_000_000))
    rows = {row.file: row for row in datasets.verify(TINY)}
    for name in (IMAGES, LABELS):
        assert rows[name] == (name, cache / name, "damaged", None)


def test_verify_of_compressed_files():
    cache = write_set(cache_directory("tiny"), GZ, ".gz")
    for row in datasets.verify(TINY_GZ):
        assert row == (row.file, cache / f"{row.file}.gz", "ok", sha(GZ[row.file]))
    (cache / f"{IMAGES}.gz").unlink()
    assert statuses(TINY_GZ)[IMAGES] == "missing"


def test_verify_of_an_archive():
    assert statuses(TINY_CIFAR) == {NAME: "missing"}
    cache = write_archive(cache_directory("tiny-cifar"))
    assert datasets.verify(TINY_CIFAR) == [(NAME, cache / NAME, "ok", sha(ARCHIVE))]
    write_archive(cache, ARCHIVE[:-1])
    assert datasets.verify(TINY_CIFAR) == [(NAME, cache / NAME, "damaged", sha(ARCHIVE[:-1]))]


def test_clear_removes_one_set_and_nothing_else(tmp_path):
    with loopback_server() as server:
        spec = replace(TINY, mirrors=(serve(server),))
        cache = datasets.fetch(spec)
        other = datasets.fetch(replace(spec, name="tiny-2"))
    own = write_set(tmp_path / "own")
    (cache / "sub").mkdir()
    (cache / "sub" / "x").write_bytes(bytes(10))
    (cache / "link").symlink_to(own)
    size = sum(map(len, RAW.values())) + 10
    assert datasets.clear(spec) == size
    assert sorted(path.name for path in cache.parent.iterdir()) == ["tiny-2"]
    assert sorted(path.name for path in other.iterdir()) == sorted(RAW)
    assert sorted(path.name for path in own.iterdir()) == sorted(RAW)
    assert datasets.clear(spec) == 0
    assert not cache.exists()
    datasets.load(TINY, own)
    assert datasets.clear(TINY) == 0
    assert sorted(path.name for path in own.iterdir()) == sorted(RAW)


def test_clear_leaves_what_a_linked_cache_points_to(tmp_path):
    elsewhere = write_set(tmp_path / "elsewhere")
    cache = cache_directory("tiny")
    cache.parent.mkdir(parents=True)
    cache.symlink_to(elsewhere)
    assert datasets.clear(TINY) == 0
    assert not cache.is_symlink()
    assert sorted(path.name for path in elsewhere.iterdir()) == sorted(RAW)


@pytest.mark.parametrize("named", ["..", ".", "inside"])
def test_clear_refuses_the_directory_that_the_user_named(named, monkeypatch):
    cache = write_set(cache_directory("tiny"))
    monkeypatch.setenv("FASTMLP_DATA_DIR", str(cache / named))
    with pytest.raises(ValueError, match="FASTMLP_DATA_DIR names it"):
        datasets.clear(TINY)
    assert len(list(cache.iterdir())) == 4


def test_clear_during_a_fetch(monkeypatch):
    cache = write_set(cache_directory("tiny"))
    monkeypatch.setattr(cache_module, "CLEAR_WAIT_SECONDS", 0.1)
    with interprocess_lock(cache) as held:
        assert held
        with pytest.raises(OSError, match="another process fetches this set"):
            datasets.clear(TINY)
        assert len(list(cache.iterdir())) == 4
    assert datasets.clear(TINY) > 0


@needs_proc
@pytest.mark.parametrize("removed", ["directory and lock", "directory", "lock"])
def test_fetch_that_waited_for_a_clear_fills_the_cache(removed):
    """Who waited for the lock of a removed cache must not go on with that lock."""
    script = """
        import pickle, sys
        from fastmlp import datasets
        print("ready", flush=True)
        print(datasets.fetch(pickle.loads(bytes.fromhex(sys.argv[1]))))
    """
    cache = cache_directory("tiny")
    cache.mkdir(parents=True)
    lock = LockFile(lock_path(cache))
    assert lock.acquire(0)
    with loopback_server() as server:
        argument = pickle.dumps(replace(TINY, mirrors=(serve(server),))).hex()
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script), argument],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "ready\n"
            wait_for_open_file(process.pid, lock_path(cache))
            if "directory" in removed:
                cache.rmdir()
            if "lock" in removed:
                lock_path(cache).unlink()
            lock.release()
            output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.strip()) == (0, str(cache))
    assert sorted(path.name for path in cache.iterdir()) == sorted(RAW)
    assert datasets.path(TINY) == cache
    assert not lock_path(cache).exists()


def wait_for_open_file(process_id, path):
    descriptors = f"/proc/{process_id}/fd"
    while not any(
        os.path.realpath(os.path.join(descriptors, name)) == str(path)
        for name in os.listdir(descriptors)
    ):
        pass  # it is open for a moment only, again and again
