"""Results computed from times: rates, share of the peak, ratio to the best peer, agreement."""

from __future__ import annotations

from statistics import median
from typing import Any

from fastmlp.bench.engines import ENGINES, OWN
from fastmlp.bench.runner import Row, WorkloadResult

__all__ = ["AGREEMENT", "STATUSES", "summary"]

# Losses after the checked epochs may differ by this share of the decrease of the loss. Float32
# rounding causes differences of 1e-8, and up to 2e-4 if it moves a ReLU across its kink; another
# order of the samples causes 2e-3 to 3e-2, another momentum 5e-2. Products in bfloat16 are compared
# with each other, because they cause up to 4e-2; libraries that round other results to bfloat16, as
# PyTorch does, differ by up to 5e-3.
AGREEMENT = {"float32": 1e-3, "float64": 1e-3, "bfloat16": 1e-2}

# "differs": timed, but not the same training; "failed": no complete set of times.
STATUSES = ("ok", "differs", "failed")


def summary(result: WorkloadResult) -> dict[str, Any]:
    """Return the results of a workload with the raw times.

    Parameters
    ----------
    result : WorkloadResult
        Result of `run_workload`.

    Returns
    -------
    dict
        Results that can be written as JSON. Rates are those of the median turn. ``share_of_peak``
        is relative to the peak of its arithmetic on as many threads. ``speedup`` is the median
        time of the fastest other library divided by that of the row.
    """
    workload = result.workload
    peaks = {peak: median(flops) for peak, flops in result.peaks.items()}
    rows = [_row(row, result, peaks) for row in result.rows]
    peers = [r for r in rows if not r["engine"].startswith(OWN) and r["status"] == "ok"]
    best = min(peers, key=lambda r: float(r["us_per_step"]["median"]), default=None)
    for row in rows:
        if best is not None and row["status"] == "ok":
            row["speedup"] = best["us_per_step"]["median"] / row["us_per_step"]["median"]
    return {
        "name": result.name,
        "layers": list(workload.layers),
        "activation": workload.activation,
        "batch": workload.batch,
        "inputs": "uint8" if workload.bytes_in else workload.dtype,
        "dtype": workload.dtype,
        "loss": workload.loss,
        "optimizer": type(workload.optimizer).__name__,
        "learning_rate": workload.learning_rate,
        "steps_per_epoch": workload.steps,
        "flops_per_sample": workload.flops_per_sample,
        "initial_loss": result.initial_loss,
        **{
            f"{prefix}peak_flops": {
                str(n): flops for (t, n), flops in result.peaks.items() if t == dtype
            }
            for prefix, dtype in (("", workload.dtype), ("bfloat16_", "bfloat16"))
        },
        "best_peer": best and {"engine": best["engine"], "threads": best["threads"]},
        "rows": rows,
    }


def _row(row: Row, result: WorkloadResult, peaks: dict[tuple[str, int], float]) -> dict[str, Any]:
    """Return one row; its keys are the same for every status."""
    numbers: dict[str, Any] = dict.fromkeys(
        ("us_per_step", "samples_per_s", "gflop_per_s", "share_of_peak", "speedup")
    )
    status = "failed" if row.error is not None else "ok" if _agrees(row, result) else "differs"
    if status != "failed":
        workload = result.workload
        steps = row.epochs * workload.steps
        step = median(row.seconds) / steps
        flops = workload.flops_per_sample * workload.batch / step
        numbers["us_per_step"] = {"median": step * 1e6, "min": min(row.seconds) / steps * 1e6}
        numbers["samples_per_s"] = workload.batch / step
        numbers["gflop_per_s"] = flops / 1e9
        dtype = ENGINES[row.engine].compute_dtype(workload)
        numbers["share_of_peak"] = flops / peaks[dtype, row.threads or 0]
    return {
        "engine": row.engine,
        "version": row.version,
        "threads": row.threads or row.requested or None,
        "threads_chosen_by_engine": row.requested == 0,
        "status": status,
        "error": row.error,
        "loss": row.loss,
        **numbers,
        "epochs_per_turn": row.epochs,
        "turn_seconds": row.seconds,
    }


def _agrees(row: Row, result: WorkloadResult) -> bool:
    """Return whether the loss agrees with that of fastmlp, or else of the first engine.

    The engines that are compared have one type of the factors of products.
    """
    types = {r.engine: ENGINES[r.engine].compute_dtype(result.workload) for r in result.rows}
    alike = [r for r in result.rows if types[r.engine] == types[row.engine] and r.loss is not None]
    reference = next((r for r in alike if r.engine.startswith(OWN)), alike[0]).loss
    assert row.loss is not None
    assert reference is not None
    tolerance = AGREEMENT[types[row.engine]]
    return abs(row.loss - reference) <= tolerance * abs(result.initial_loss - reference)
