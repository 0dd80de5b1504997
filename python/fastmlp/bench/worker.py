"""The process of one engine: `python -m fastmlp.bench.worker ENGINE WORKLOAD THREADS START`.

It builds the engine, trains the first epochs (which compiles whatever is compiled) and says on
standard output, in a line of JSON, that it is ready.  Then it waits: each line `N` on standard
input makes it train N epochs and answer with the seconds that took.  It ends with its input.
ENGINE `peak` runs no workload; its lines are seconds, its answers flop/s.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

__all__ = ["CHECKED_EPOCHS", "PEAK", "limit_threads", "main", "serve"]

# Trained before the first timing, and compared between the engines.  The second begins with a
# velocity and has an order of its own.
CHECKED_EPOCHS = 2
PEAK = "peak"

Answer = dict[str, Any]


def limit_threads(threads: int) -> None:
    """Limit the threads of libraries imported later; 0 leaves the environment unchanged."""
    os.environ.update(
        CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu", KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="2",
    )  # fmt: skip
    if threads:
        # NPROC is what XLA looks at.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
            os.environ[name] = str(threads)


def serve(make: Callable[[], tuple[Answer, Callable[[str], Answer]]]) -> int:
    """Answer line by line.

    Parameters
    ----------
    make : callable
        Returns the first answer and the function that answers a line.

    Returns
    -------
    int
        0 at the end of the input, 1 after an exception, which is the last answer.
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
    from fastmlp.bench.workloads import LARGE, WORKLOADS, Start, mean_loss

    workload = (WORKLOADS | LARGE)[workload_name]
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


def _peak(threads: int) -> Any:
    from fastmlp import _core

    return {"threads": threads}, lambda line: {"flops": _core.peak_flops(threads, float(line))}


def main(arguments: list[str]) -> int:
    """Run the process; see the module."""
    engine, workload, threads, start = arguments
    limit_threads(int(threads))
    if engine == PEAK:
        return serve(lambda: _peak(int(threads)))
    return serve(lambda: _engine(engine, workload, int(threads), start))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
