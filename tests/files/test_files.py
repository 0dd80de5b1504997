"""Atomic writes keep the old file on every failure; reads open regular files only."""

import errno
import os
import socket
import stat

import pytest

from fastmlp import FormatError
from fastmlp._files import atomic_write, read_regular_file
from support.systems import needs_limits


def names(directory):
    return sorted(os.listdir(directory))


def test_write_then_read(tmp_path):
    path = tmp_path / "a.bin"
    for content in (b"", b"first", b"x" * 100_000):
        atomic_write(path, content)
        assert read_regular_file(path) == content
    assert names(tmp_path) == ["a.bin"]


def test_write_takes_a_memoryview_and_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atomic_write("a.bin", memoryview(b"0123456789")[2:5])
    assert (tmp_path / "a.bin").read_bytes() == b"234"


def test_pieces_become_one_file_or_none(tmp_path):
    path = tmp_path / "a"
    atomic_write(path, (piece for piece in (b"01", b"", b"234")))
    assert path.read_bytes() == b"01234"

    def pieces():
        yield b"new"
        assert path.read_bytes() == b"01234"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        atomic_write(path, pieces())
    assert path.read_bytes() == b"01234"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_mode_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        atomic_write(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == mode


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    atomic_write(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "close", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, call, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    close = os.close

    def fail(*arguments, **keywords):
        if call == "close":
            close(*arguments)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@needs_limits
def test_file_size_limit_of_the_kernel(tmp_path):
    """A real failing write(2), as on a full disk, rather than a patched one."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            atomic_write(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_order_of_system_calls(tmp_path, monkeypatch):
    calls = []
    for name in ("write", "fsync", "close", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1]
        )
    atomic_write(tmp_path / "a", b"x")
    assert calls == ["write", "fsync", "close", "replace", "fsync", "close"]


@pytest.mark.parametrize(("number", "raises"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_directory_sync(tmp_path, monkeypatch, number, raises):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "no")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if raises:
        with pytest.raises(OSError, match="no"):
            atomic_write(tmp_path / "a", b"x")
    else:
        atomic_write(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d/real")
    atomic_write(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "d") == ["real"]


def test_longest_names(tmp_path):
    for name in ("a" * 255, "ä" * 127):
        atomic_write(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


def test_special_targets_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileExistsError, match="FIFO"):
        atomic_write(tmp_path / "fifo", b"x")
    with pytest.raises(FileExistsError, match="character device"):
        atomic_write("/dev/null", b"x")
    with pytest.raises(IsADirectoryError):
        atomic_write(tmp_path, b"x")
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "absent" / "a", b"x")


def test_only_regular_files_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # the path of a socket may have about 100 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path in (tmp_path / "fifo", tmp_path / "socket", tmp_path, "/dev/zero", "/dev/null"):
            with pytest.raises(FormatError, match="not a regular file"):
                read_regular_file(path)
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "absent")


def test_size_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular_file(tmp_path / "a", max_bytes=5) == b"12345"
    with pytest.raises(FormatError, match="5 bytes, at most 4"):
        read_regular_file(tmp_path / "a", max_bytes=4)


def test_a_file_that_reports_no_size_is_refused():
    with pytest.raises(FormatError, match="size changed"):
        read_regular_file("/proc/self/maps")


def test_no_descriptor_leaks(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        atomic_write(tmp_path / "a", b"x")
        read_regular_file(tmp_path / "a")
        with pytest.raises(FormatError):
            read_regular_file("/dev/null")
    assert len(os.listdir("/proc/self/fd")) == before
