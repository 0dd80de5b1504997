"""A checkpoint small enough to be written and damaged a thousand times."""

from __future__ import annotations

import numpy as np

import fastmlp
from fastmlp.experiment.checkpoint import Checkpoint


def checkpoint_of(epochs: int) -> Checkpoint:
    """Return the checkpoint of a small training after some epochs; always the same bits."""
    random_numbers = np.random.Generator(np.random.PCG64(3))
    x = random_numbers.standard_normal((60, 4))
    y = np.arange(60) % 3
    model = fastmlp.MLP([4, 6, 3], seed=1)
    records: list[dict[str, float]] = []
    model.fit(
        x, y, epochs=epochs, batch_size=20, optimizer=fastmlp.Adam(), verbose=0, threads=1,
        callbacks=[lambda _model, record: records.append(dict(record, seconds=0.0))],
    )  # fmt: skip
    return Checkpoint.of(model, model.training_state(), records, None, 0)
