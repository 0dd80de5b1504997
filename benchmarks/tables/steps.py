"""Time a training step of RealMLP and TabM, side by side with pytabkit and the tabm package.

    python benchmarks/tables/steps.py --rows 3000 --rows 30000

A step of a whole fit is timed as the difference of two fits with different numbers of epochs, so
that preparation cancels, but validation after each epoch counts. TabM's package has no training
loop; its step is timed alone, eager and compiled, against one of fastmlp. Methods take turns, and
the minimum of the repetitions is shown. The peak is that of FMA instructions on all threads.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import click
import numpy as np
from numpy.typing import NDArray

FEATURES = 20
BATCH = 256
MEMBERS = 32
WIDTH = 512
# Flops of all products of a TabM step: forward, backward-data and backward-weights.
TABM_FLOPS = 6 * MEMBERS * BATCH * (FEATURES * WIDTH + 2 * WIDTH * WIDTH + WIDTH)

Floats = NDArray[np.float32]
Fit = Callable[[int], object]


def data(rows: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, FEATURES)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] + np.abs(x[:, 2])).astype(np.float32)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def per_step(fit: Fit, rows: int, few: int, many: int) -> float:
    """Seconds of one step, from fits of few and of many epochs."""
    steps = (many - few) * (int(rows * 0.8) // BATCH)
    return (seconds(lambda: fit(many)) - seconds(lambda: fit(few))) / steps


def realmlp(rows: int, threads: int) -> dict[str, Fit]:
    from pytabkit import RealMLP_TD_Regressor

    import fastmlp

    x, y = data(rows)

    def ours(epochs: int) -> object:
        made = fastmlp.TabularRegressor(epochs=epochs, n_jobs=threads, random_state=0)
        return made.fit(x, y)

    def theirs(epochs: int) -> object:
        made = RealMLP_TD_Regressor(
            n_epochs=epochs, device="cpu", n_threads=threads, random_state=0, verbosity=0
        )
        return made.fit(x, y)

    return {"fastmlp": ours, "pytabkit": theirs}


def tabm_steps(threads: int, compiled: bool) -> dict[str, Callable[[], object]]:
    """One step of 256 rows of 32 members of 3 x 512 units, AdamW."""
    import torch
    from tabm import TabM

    import fastmlp
    from fastmlp.training.run import Run

    torch.set_num_threads(threads)
    x, y = data(BATCH)
    module = TabM.make(
        n_num_features=FEATURES, d_out=1, n_blocks=3, d_block=WIDTH, dropout=0.1, k=MEMBERS
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.002)
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)
    call = torch.compile(module) if compiled else module

    def theirs() -> object:
        optimizer.zero_grad()
        outputs = call(inputs).squeeze(-1)
        loss = ((outputs - target[:, None]) ** 2).mean()
        loss.backward()
        return optimizer.step()

    model = fastmlp.MLP(
        [FEATURES, WIDTH, WIDTH, WIDTH, 1], loss="mse", members=MEMBERS, dropout=0.1
    )
    rule = fastmlp.Adam(0.002)
    run = Run(model, BATCH, rule.rule, threads)
    samples = model._training_data(x, y[:, None], None, None)
    settings = rule.settings() | {"learning_rate": 0.002}

    def ours() -> object:
        return run.epoch(samples, settings)

    return {"fastmlp": ours, "tabm": theirs}


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--rows", "sizes", multiple=True, type=int, default=(3000, 30_000))
@click.option("--threads", type=int, default=2)
@click.option("--repeats", type=int, default=3)
@click.option("--tabm/--no-tabm", default=True)
@click.option("--compiled/--no-compiled", default=False, help="Also time tabm under torch.compile.")
def main(sizes: tuple[int, ...], threads: int, repeats: int, tabm: bool, compiled: bool) -> None:
    from fastmlp import _core

    warnings.filterwarnings("ignore")
    for rows in sizes:
        few, many = (1, 3) if rows >= 100_000 else (2, 12)
        best = dict.fromkeys(fits := realmlp(rows, threads), np.inf)
        for _ in range(repeats):
            for name, fit in fits.items():
                best[name] = min(best[name], per_step(fit, rows, few, many))
        shown = ", ".join(f"{name} {best[name] * 1e3:.2f} ms" for name in best)
        click.echo(f"realmlp {rows} rows: {shown}, {best['pytabkit'] / best['fastmlp']:.2f} times")
    for mode in ([False] * tabm) + ([True] * compiled):
        steps = tabm_steps(threads, mode)
        best = dict.fromkeys(steps, np.inf)
        for step in steps.values():
            step()
        for _ in range(3 * repeats):
            for name, step in steps.items():
                best[name] = min(best[name], seconds(step))
        shown = ", ".join(f"{name} {best[name] * 1e3:.0f} ms" for name in best)
        rate = TABM_FLOPS / best["fastmlp"]
        peak = max(_core.peak_flops(threads, 0.5) for _ in range(3))
        click.echo(
            f"tabm {'compiled' if mode else 'eager'}: {shown}, "
            f"{best['tabm'] / best['fastmlp']:.2f} times, {rate / 1e9:.0f} GFLOP/s, "
            f"{rate / peak:.0%} of the peak"
        )


if __name__ == "__main__":
    main()
