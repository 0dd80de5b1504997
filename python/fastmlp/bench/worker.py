"""The process of one engine: `python -m fastmlp.bench.worker ENGINE WORKLOAD THREADS START`.

The process builds the engine, trains the first epochs (which includes compilation) and writes a
line of JSON on standard output when it is ready. For each line `N` on standard input it then trains
N epochs and answers with the seconds they took. The process ends at the end of its input. ENGINE
`peak-float32`, `peak-float64` or `peak-bfloat16` measures the machine instead: a line is a number
of seconds, the answer the flop/s reached.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

__all__ = ["CHECKED_EPOCHS", "PEAKS", "limit_threads", "main", "serve"]

# These epochs are trained before the first timing, and their losses are compared between engines.
# Two are needed: the second starts with a nonzero velocity and has another order of the samples.
CHECKED_EPOCHS = 2
PEAKS = {dtype: f"peak-{dtype}" for dtype in ("float32", "float64", "bfloat16")}

Answer = dict[str, Any]


def limit_threads(threads: int) -> None:
    """Limit the threads of libraries imported later; 0 leaves the environment unchanged."""
    os.environ.update(
        CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu", KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="2",
    )  # fmt: skip
    if threads:
        # XLA reads NPROC.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
            os.environ[name] = str(threads)


def serve(make: Callable[[], tuple[Answer, Callable[[str], Answer]]]) -> int:
    """Answer the lines of standard input.

    Parameters
    ----------
    make : callable
        Function that returns the first answer and a function from a line to its answer.

    Returns
    -------
    int
        Exit code: 0 at the end of the input, 1 after an exception, which is the last answer.
    """
    answers = _claim_output()

    def say(answer: Answer) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        ready, answer = make()
        say(ready)
        for line in sys.stdin:
            say(answer(line))
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def _claim_output() -> IO[str]:
    """Reserve standard output for the answers; output of libraries goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _engine(name: str, workload_name: str, threads: int, start_path: str) -> Any:
    from fastmlp.bench.engines import ENGINES
    from fastmlp.bench.workloads import ALL, Start, mean_loss

    workload = ALL[workload_name]
    x, y = workload.data(workload.steps)
    engine = ENGINES[name](workload, Start.load(start_path), x, y, threads)
    engine.train(CHECKED_EPOCHS, workload.learning_rate)
    ready = {
        "threads": engine.threads,
        "version": engine.version(),
        "loss": mean_loss(workload, engine.parameters()),
    }

    def answer(line: str) -> Answer:
        epochs = int(line)
        begin = time.perf_counter()
        engine.train(epochs, workload.learning_rate)
        return {"seconds": time.perf_counter() - begin}

    return ready, answer


def _peak(compute_dtype: str, threads: int) -> Any:
    from fastmlp import _core

    def measure(line: str) -> Answer:
        return {"flops": _core.peak_flops(threads, float(line), dtype=compute_dtype)}

    return {"threads": threads}, measure


def main(arguments: list[str]) -> int:
    """Run the worker process with the arguments described in the module docstring."""
    engine, workload, threads, start = arguments
    limit_threads(int(threads))
    if engine in PEAKS.values():
        return serve(lambda: _peak(engine.removeprefix("peak-"), int(threads)))
    return serve(lambda: _engine(engine, workload, int(threads), start))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
