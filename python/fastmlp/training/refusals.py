"""Combinations of arguments of `MLP.fit` that mean nothing together."""

from __future__ import annotations

from collections.abc import Mapping

from fastmlp.losses import core_function
from fastmlp.network.architecture import Architecture
from fastmlp.streams import OneShot, Source

__all__ = [
    "require_divisible",
    "require_own_samples",
    "require_plain_lbfgs",
    "require_trainable_source",
]


def require_plain_lbfgs(given: dict[str, bool]) -> None:
    """Raise ValueError if arguments are given that `LBFGS` has no use for.

    Parameters
    ----------
    given : dict of str to bool
        Whether each argument is given.
    """
    refused = [name for name, is_given in given.items() if is_given]
    if refused:
        raise ValueError(
            f"LBFGS takes neither {' nor '.join(given)}; leave out {' and '.join(refused)}"
        )


def require_trainable_source(
    source: Source, epochs: int | None, *, is_lbfgs: bool, is_shared: bool
) -> None:
    """Raise ValueError if a training cannot read a source.

    Parameters
    ----------
    source : Source
    epochs : int or None
        Epochs that are asked for.
    is_lbfgs : bool
        Whether the optimizer is `LBFGS`.
    is_shared : bool
        Whether several processes train together.
    """
    if is_lbfgs:
        raise ValueError("LBFGS needs all samples at once, got a source; pass x and y")
    if isinstance(source, OneShot) and epochs != 1:
        raise ValueError(
            f"epochs must be 1 with an iterator, which can be read once, got {epochs}; "
            "pass a function that returns one"
        )
    if is_shared:
        raise ValueError("communicator needs samples in memory, got a source; pass x and y")


def require_own_samples(architecture: Architecture, class_weight: object, shuffle: bool) -> None:
    """Raise ValueError if shards cannot have samples of their own."""
    if class_weight is not None and not isinstance(class_weight, Mapping):
        raise ValueError(
            "class_weight must be a mapping with own_samples, of which no process can count all, "
            f"got {class_weight!r}"
        )
    if architecture.members > 1 and architecture.own_batches and shuffle:
        raise ValueError(
            "own_batches draws from all samples for each member and must be False with own_samples,"
            " or shuffle=False"
        )


def require_divisible(architecture: Architecture, shards: int, batch_size: int) -> None:
    """Raise ValueError if batches of a network cannot be divided into that many shards."""
    if shards == 1:
        return
    if shards > batch_size:
        raise ValueError(
            f"shards must be at most the {batch_size} samples of a batch, got {shards}; give a "
            "larger batch_size, more samples or fewer shards"
        )
    if any(architecture.batch_normalization):
        raise ValueError(
            f"shards must be 1 with batch normalization, whose moments are those of the whole "
            f"batch, got {shards}; layer_normalization=True takes any number of shards"
        )
    if any(core_function([loss]) is not None for loss in architecture.losses):
        raise ValueError(
            f"shards must be 1 with a loss function of your own, which gets the whole batch, "
            f"got {shards}"
        )
