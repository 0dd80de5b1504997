"""A network that can be adapted: frozen layers, a new last layer, normalisation folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.architecture import Architecture
from fastmlp.losses import Loss
from fastmlp.network import Network
from fastmlp.validation import integer

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["AdaptableNetwork"]


class AdaptableNetwork(Network):
    """What fine-tuning needs of `fastmlp.MLP`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self._trainable = [True] * architecture.layers

    @property
    def trainable(self) -> list[bool]:
        """Of each layer, whether `fit` changes it."""
        return list(self._trainable)

    def trainable_flags(self) -> list[bool]:
        """The same as the core takes it: empty where all are."""
        return [] if all(self._trainable) else list(self._trainable)

    def freeze(self, layers: int | Sequence[int]) -> None:
        """Keep layers as they are: from the first where >= 0, from the last where negative.

        A frozen layer with batch normalisation uses its running moments.

        Raises
        ------
        ValueError
            No such layer, or none would be left to train.
        """
        self._set_trainable(layers, False)

    def unfreeze(self, layers: int | Sequence[int] | None = None) -> None:
        """Train layers again, all of them by default."""
        everything = list(range(len(self._trainable)))
        self._set_trainable(everything if layers is None else layers, True)

    def _set_trainable(self, layers: int | Sequence[int], value: bool) -> None:
        count = len(self._trainable)
        changed = list(self._trainable)
        for layer in [layers] if np.ndim(layers) == 0 else layers:  # type: ignore[union-attr]
            changed[integer("layers", layer, -count, count - 1)] = value
        if not any(changed):
            raise ValueError("layers must leave one to be trained, got all of them")
        self._trainable = changed

    def replace_head(
        self, outputs: int, *, loss: str | Loss | None = None, seed: int | None = None
    ) -> MLP:
        """A model with the same hidden layers and a new last layer.

        Parameters
        ----------
        outputs : int
        loss : str or Loss, optional
            That of this model by default.
        seed : int, optional
            Of the new weights and of everything random; this model's by default.

        Returns
        -------
        MLP
            Nothing is frozen in it.
        """
        from fastmlp.transfer import with_new_head

        return with_new_head(self, outputs, loss, seed)

    def folded(self) -> MLP:
        """The same predictions without batch normalisation: it becomes part of weights and biases.

        Returns
        -------
        MLP
            Equal outputs up to rounding.
        """
        from fastmlp.transfer import folded

        return folded(self)
