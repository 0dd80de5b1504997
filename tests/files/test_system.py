"""What differs between operating systems; `tests/process/test_windows_like.py` has more."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
import threading

import pytest

from fastmlp import _files, _system
from fastmlp._addresses import Addresses
from support.systems import needs_fork


def test_a_process_is_alive_until_it_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert _system.is_alive(process.pid)
    process.communicate()
    assert not _system.is_alive(process.pid)
    assert _system.is_alive(os.getpid())
    assert not _system.is_alive(2**31 - 1)
    assert not _system.is_alive(10**30)


@pytest.mark.parametrize("refusals", [0, 3])
def test_what_is_in_use_is_tried_again(refusals):
    calls = []

    def action():
        calls.append(None)
        if len(calls) <= refusals:
            raise PermissionError(errno.EACCES, "in use")
        return "done"

    assert _system.while_in_use(action) == "done"
    assert len(calls) == refusals + 1


def test_what_stays_in_use_is_an_error():
    def action():
        raise PermissionError(errno.EACCES, "in use")

    with pytest.raises(PermissionError, match="in use"):
        _system.while_in_use(action, 0.05)


def test_other_errors_are_not_tried_again():
    calls = []

    def action():
        calls.append(None)
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        _system.while_in_use(action)
    assert len(calls) == 1


def test_a_write_is_synced_before_the_rename_and_the_directory_after_it(tmp_path, monkeypatch):
    """The order of the calls; `tests/process/test_crash.py` observes those of the system."""
    order = []
    for name in ("sync_file", "replace", "sync_directory"):
        call = getattr(_files, name)
        monkeypatch.setattr(
            _files, name, lambda *args, call=call, name=name: (order.append(name), call(*args))
        )
    _files.atomic_write(tmp_path / "file", b"content")
    assert order == ["sync_file", "replace", "sync_directory"]


def test_flags_that_a_system_lacks_are_none():
    assert _system.open_flags("O_NOT_ANYWHERE") == getattr(os, "O_BINARY", 0)
    flags = _system.open_flags("O_NOFOLLOW", "O_NONBLOCK")
    assert flags & getattr(os, "O_NOFOLLOW", 0) == getattr(os, "O_NOFOLLOW", 0)
    assert flags & getattr(os, "O_NONBLOCK", 0) == getattr(os, "O_NONBLOCK", 0)


@needs_fork
def test_descriptors_are_not_inherited(tmp_path):
    """Python sees to it on every system, so that no flag has to."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | _system.open_flags())
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_the_machine():
    assert 1 <= _system.cpu_count() <= os.cpu_count()
    assert _system.cpu_name()
    load = _system.load_average()
    assert (load is None) == (platform.system() == "Windows")
    assert load is None or (len(load) == 3 and min(load) >= 0)


def test_words_of_a_command():
    words = ("train", "my file.csv", "it's", 'a "b"', "plain")
    typed = _system.quoted(sys.executable, "-c", "import sys; print(sys.argv[1:])", *words)
    shown = subprocess.run(typed, shell=True, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == str(list(words))


def test_addresses_take_memory_only_where_they_are_used():
    page = 1 << 16
    addresses = Addresses(1 << 33)
    view = memoryview(addresses.buffer).cast("B")
    addresses.use(5 * page, 7 * page)
    view[5 * page : 7 * page] = b"x" * (2 * page)
    addresses.use(5 * page + 3, 6 * page + 9)  # again
    addresses.release(6 * page + 1)
    addresses.release(6 * page)  # no more than before
    assert bytes(view[6 * page + 1 : 7 * page]) == b"x" * (page - 1)


def test_a_writer_of_another_thread_keeps_its_file(tmp_path):
    """Two that write one file remove each other's temporary files only if these are abandoned."""
    target = tmp_path / "file"
    contents = [bytes([n]) * 100_000 for n in range(4)]

    def write(content):
        for _ in range(15):
            _files.atomic_write(target, content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
