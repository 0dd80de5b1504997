"""Sets that are no IDX files: image archives, and those that come with scikit-learn."""

import gzip
import os
import subprocess
import sys
import tarfile
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from fastmlp import FormatError, datasets
from fastmlp.datasets import LocalCopy, MemberSpec
from support.tiny_archive import (
    ARCHIVE,
    FOLDER,
    MEMBERS,
    NAME,
    TINY_CIFAR,
    TINY_FILE,
    check_archive,
    described_by,
    entry,
    plain_entries,
    sha,
    tar,
    write_archive,
    write_members,
)

pytestmark = pytest.mark.usefixtures("own_home")

TEST_BATCH = f"{FOLDER}/test_batch.bin"


def load_content(tmp_path, content):
    """What comes of an archive whose digest is right, whatever else is."""
    return datasets.load(described_by(content), write_archive(tmp_path / "own", content))


# ---------------------------------------------------------------- image archives


@pytest.mark.parametrize("subfolder", ["", "tiny-cifar"])
def test_archive_in_data_dir(tmp_path, subfolder):
    place = write_archive(tmp_path / "d" / subfolder)
    check_archive(datasets.load(TINY_CIFAR, tmp_path / "d"))
    assert datasets.fetch(TINY_CIFAR, tmp_path / "d") == place
    assert datasets.path(TINY_CIFAR) is None  # the user's file is not copied
    assert [path.name for path in place.iterdir()] == [NAME]


@pytest.mark.parametrize("subfolder", ["", FOLDER, "tiny-cifar", f"tiny-cifar/{FOLDER}"])
def test_extracted_archive_in_data_dir(tmp_path, subfolder, monkeypatch):
    write_members(tmp_path / "d" / subfolder)
    check_archive(datasets.load(TINY_CIFAR, tmp_path / "d"))
    monkeypatch.setenv("FASTMLP_DATA_DIR", str(tmp_path / "d"))
    check_archive(datasets.load(TINY_CIFAR))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"test_batch.bin": b"x"}, "lacks data_batch_1.bin, but has others of tiny-binary"),
        (MEMBERS | {"test_batch.bin": b"x"}, "test_batch.bin: file size: must be 76 bytes, got 1"),
        (MEMBERS | {"test_batch.bin": bytes(77)}, "file size is 77 bytes, at most 76"),
        (MEMBERS | {"test_batch.bin": bytes(76)}, "test_batch.bin: sha256: must be"),
        (MEMBERS | {"data_batch_1.bin": MEMBERS["test_batch.bin"]}, "data_batch_1.bin: file size"),
    ],
)
def test_damaged_members_in_data_dir(tmp_path, members, message):
    with pytest.raises(FormatError, match=message):
        datasets.load(TINY_CIFAR, write_members(tmp_path / "d", members))


def test_archive_of_another_digest_in_data_dir(tmp_path):
    for content in (ARCHIVE[:-1], ARCHIVE[:-1] + b"\xff", b""):
        with pytest.raises(FormatError, match=r"sha256: must be .*extract it"):
            datasets.load(TINY_CIFAR, write_archive(tmp_path / "d", content))
    os.mkfifo(write_members(tmp_path / "e") / NAME)
    with pytest.raises(FormatError, match="not a regular file"):
        datasets.load(TINY_CIFAR, tmp_path / "e")


def test_label_beyond_the_classes_names_member_and_record(tmp_path):
    wrong = bytearray(MEMBERS["data_batch_2.bin"])
    wrong[19 * 2] = 4
    content = gzip.compress(tar(plain_entries(MEMBERS | {"data_batch_2.bin": bytes(wrong)})))
    message = "data_batch_2.bin: label of record 2: must be below 4, got 4"
    with pytest.raises(FormatError, match=message):
        load_content(tmp_path, content)


@pytest.mark.parametrize(
    "options",
    [
        {"format": tarfile.USTAR_FORMAT},
        {"format": tarfile.GNU_FORMAT},
        {"format": tarfile.PAX_FORMAT, "pax_headers": {"comment": "x" * 2000}},
    ],
)
def test_every_kind_of_tar(tmp_path, options):
    entries = [
        (entry(f"./{info.name}", size=info.size, type=info.type), data)
        for info, data in plain_entries()
    ]
    data = load_content(tmp_path, gzip.compress(tar(entries, **options)))
    check_archive(data)


def without(name):
    return [row for row in plain_entries() if row[0].name != name]


def sparse_member():
    # The old GNU form, by hand: one map of 4 bytes that unfold to 76.
    info = entry(TEST_BATCH, size=4, type=tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000000004\0"
    header[483:495] = b"00000000114\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"abcd".ljust(512, b"\0")


def chained_long_names():
    header = entry("././@LongLink", size=1, type=tarfile.GNUTYPE_LONGNAME)
    return header.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")


HOSTILE = {
    "symbolic link": (
        tar([*without(TEST_BATCH), (entry(TEST_BATCH, type=tarfile.SYMTYPE, linkname="/x"), b"")]),
        "neither a plain file nor a folder",
    ),
    "hard link": (
        tar([*plain_entries(), (entry("x", type=tarfile.LNKTYPE, linkname=TEST_BATCH), b"")]),
        "'x': is neither a plain file",
    ),
    "device": (tar([(entry("x", type=tarfile.CHRTYPE), b"")]), "neither a plain file"),
    "fifo": (tar([(entry("x", type=tarfile.FIFOTYPE), b"")]), "neither a plain file"),
    "absolute": (tar([*plain_entries(), (entry("/tmp/x"), b"")]), "leads out of the archive"),
    "upwards": (tar([(entry(f"{FOLDER}/../../x"), b""), *plain_entries()]), "leads out"),
    "twice": (tar([*plain_entries(), *plain_entries()]), "test_batch.bin': occurs twice"),
    "short": (
        tar([(entry(TEST_BATCH, size=75), bytes(75)), *without(TEST_BATCH)]),
        "must have 76 bytes, got 75",
    ),
    "claims": (entry(TEST_BATCH, size=1 << 33).tobuf(tarfile.GNU_FORMAT), "must have 76 bytes"),
    "folder": (
        tar([*without(TEST_BATCH), (entry(TEST_BATCH, type=tarfile.DIRTYPE), b"")]),
        "must have 76 bytes, got 0",
    ),
    "lacking": (tar(without(TEST_BATCH)), "lacks test_batch.bin"),
    "elsewhere": (
        tar([*without(TEST_BATCH), (entry("test_batch.bin", size=76), bytes(76))]),
        "lacks test_batch.bin",
    ),
    "sparse": (sparse_member() + tar(without(TEST_BATCH)), "neither a plain file"),
    "cut off": (tar(plain_entries())[:1100], "tar: "),
    "no tar": (b"rubbish" * 1000, "tar: "),
    "empty": (b"", "tar: "),
    "bomb": (tar([*plain_entries(), (entry("x", size=1 << 22), bytes(1 << 22))]), "holds more"),
    "long header": (
        tar(plain_entries(), format=tarfile.PAX_FORMAT, pax_headers={"c": "x" * (1 << 21)}),
        "holds more",
    ),
    "nested headers": (chained_long_names() * 900, "tar: "),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archive(tmp_path, kind):
    content, message = HOSTILE[kind]
    packed = gzip.compress(content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FormatError, match=message) as caught:
        load_content(tmp_path, packed)
    assert str(tmp_path / "own" / NAME) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "own", tmp_path / "own" / NAME]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        tar(plain_entries()),
        ARCHIVE[:40],
        ARCHIVE[:-1],
        ARCHIVE[:-8] + bytes(8),  # wrong check sum, after the last member
        ARCHIVE + b"rubbish",
    ],
)
def test_damaged_compression(tmp_path, packed):
    with pytest.raises(FormatError, match="tar: "):
        load_content(tmp_path, packed)


def test_no_changed_byte_of_a_header_gives_other_images(tmp_path):
    """Such an archive is refused, or the change is in what nobody reads."""
    content = bytearray(tar(plain_entries()))
    refused = 0
    for position in (*range(0, 512, 7), *range(512, 1024, 3), *range(1536, 2048, 3)):
        content[position] ^= 0x15
        try:
            check_archive(load_content(tmp_path, gzip.compress(bytes(content), 1)))
        except FormatError:
            refused += 1
        content[position] ^= 0x15
    assert refused > 200  # a header has a check sum


def test_real_archive_is_described_as_published():
    spec = datasets.get_spec("cifar10")
    (file,) = spec.files
    # Sizes as stated on the publisher's page: 10000 records of 3073 bytes in each of six files.
    assert [file.member_bytes(member) for member in file.members] == [30_730_000] * 6
    assert (spec.samples, spec.test_samples, spec.features) == (50_000, 10_000, 3072)
    assert spec.image_shape == (32, 32, 3)
    digests = [file.sha256, *(member.sha256 for member in file.members)]
    assert len(set(digests)) == 7
    assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
    assert LocalCopy("./data") in spec.copies
    assert LocalCopy("~/data") in spec.copies


def test_archive_is_described_with_care():
    for change in ({"name": "../x"}, {"folder": "a/b"}, {"name": ""}):
        with pytest.raises(ValueError, match="plain file names"):
            replace(TINY_FILE, **change)
    with pytest.raises(ValueError, match="train and of test"):
        replace(TINY_FILE, members=TINY_FILE.members[:2])
    with pytest.raises(ValueError, match="plain file name"):
        MemberSpec("a/b", "train", 1)
    with pytest.raises(ValueError, match="part must be"):
        MemberSpec("a", "validation", 1)
    with pytest.raises(ValueError, match="one archive"):
        replace(TINY_CIFAR, files=(TINY_FILE, TINY_FILE))


# ---------------------------------------------------------------- scikit-learn's


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast-cancer", "diabetes"])
def test_bundled_sets_are_those_of_scikit_learn(name):
    source = pytest.importorskip("sklearn.datasets")
    x, y = getattr(source, f"load_{name.replace('-', '_')}")(return_X_y=True)
    data, spec = datasets.load(name), datasets.get_spec(name)
    np.testing.assert_array_equal(data.x_train, x)
    np.testing.assert_array_equal(data.y_train.ravel(), y)
    assert data.x_train.dtype == np.float64
    assert data.x_train.flags["C_CONTIGUOUS"]
    assert data.x_test is data.y_test is None
    assert (len(x), x.shape[1]) == (spec.samples, spec.features)
    assert len(data.feature_names) == spec.features
    assert (data.task, data.image_shape) == (spec.task, spec.image_shape)
    if name == "diabetes":
        assert (data.y_train.dtype, data.y_train.shape) == (np.float64, (442, 1))
        assert (data.task, data.class_names) == ("regression", ())
    else:
        assert (data.y_train.dtype, data.y_train.shape) == (np.int64, (len(x),))
        assert len(data.class_names) == spec.classes == len(np.unique(y))
    again = datasets.load(name)
    assert again.sha256 == data.sha256 == {"arrays": sha(x.tobytes() + data.y_train.tobytes())}
    data.x_train[:] = 0  # the arrays are the caller's
    np.testing.assert_array_equal(datasets.load(name).x_train, x)


def test_bundled_sets_have_the_published_facts():
    pytest.importorskip("sklearn")
    iris = datasets.load("iris")  # Fisher 1936: 50 flowers of each species
    assert iris.class_names == ("setosa", "versicolor", "virginica")
    assert np.bincount(iris.y_train).tolist() == [50, 50, 50]
    assert iris.x_train[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    assert iris.feature_names[0] == "sepal length (cm)"
    cancer = datasets.load("breast_cancer")  # Wolberg et al. 1995: 212 malignant, 357 benign
    assert dict(zip(cancer.class_names, np.bincount(cancer.y_train), strict=True)) == {
        "malignant": 212,
        "benign": 357,
    }
    assert np.bincount(datasets.load("wine").y_train).tolist() == [59, 71, 48]
    digits = datasets.load("digits")  # 4 x 4 blocks of black or white pixels, counted: 0 to 16
    assert (digits.x_train.min(), digits.x_train.max()) == (0, 16)
    assert digits.class_names == tuple("0123456789")
    assert repr(datasets.load("diabetes")) == (
        "Dataset('diabetes', train=(442, 10), task='regression')"
    )
    assert repr(iris) == "Dataset('iris', train=(150, 4), classes=3)"


def test_bundled_set_without_scikit_learn():
    code = """
        import sys
        sys.modules["sklearn"] = None  # what an install without the package looks like
        from fastmlp import datasets
        for function in (datasets.load, datasets.fetch):
            try:
                function("iris")
            except ImportError as error:
                print(type(error).__name__, error)
        print(datasets.load("moons"))
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert len(output) == 3
    for line in output[:2]:
        assert line.startswith("MissingExtraError sklearn")
        assert line.endswith("run \"pip install 'fastmlp[sklearn]'\"")
    assert output[2] == "Dataset('moons', train=(1000, 2), classes=2)"


def test_sets_without_files_have_no_place(tmp_path):
    pytest.importorskip("sklearn")
    for name in ("iris", "moons"):
        assert datasets.fetch(name, tmp_path / "absent") is None
        assert datasets.path(name) is None
        assert datasets.verify(name) == []
        assert datasets.clear(name) == 0
    assert not (tmp_path / "cache").exists()
