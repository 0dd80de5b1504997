"""Script: calls of functions whose arrays change during the call.

``python changing_arrays.py SEED THREADS WORK ...``: a thread fills the integer arrays of a call
with random numbers, and so do callbacks, while the call computes; with the work "values" also those
of floating point. Prints each work with the numbers of results and of errors. Exceptions are
correct results; a signal or a hang is a failure. Sparse matrices change only while the core reads
them, because SciPy's own functions do not check their indices.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import scipy.sparse

import fastmlp
from fastmlp import _core
from fastmlp.estimators import MLPClassifier

SECONDS = 1.0
FEATURES, CLASSES, SAMPLES = 50, 7, 3000


class Storm:
    """A thread that writes random numbers into arrays and, at times, their original values."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.arrays: list[tuple[np.ndarray, np.ndarray]] = []
        self.ends = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def over(self, array: np.ndarray) -> np.ndarray:
        self.arrays.append((array, array.copy()))
        return array

    def strike(self, *_: object) -> None:
        for array, whole in self.arrays:
            kind = self.rng.integers(8)
            limits = np.iinfo(array.dtype)
            if kind == 0:
                array[:] = self.rng.integers(limits.min, limits.max, array.shape, array.dtype)
            elif kind == 1:
                array[:] = self.rng.choice([limits.min, limits.max, FEATURES, CLASSES, 100])
            elif kind == 2:
                array.reshape(-1)[self.rng.integers(array.size)] = self.rng.integers(limits.max)
            else:
                array[:] = whole

    def restore(self) -> None:
        for array, whole in self.arrays:
            array[:] = whole

    def run(self) -> None:
        while not self.ends:
            time.sleep(self.rng.choice([0, 0.0005, 0.002, 0.005]))
            self.strike()


def data(storm: Storm) -> dict[str, object]:
    rng = np.random.default_rng(1)
    dense = rng.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
    sparse = scipy.sparse.random(
        SAMPLES, FEATURES, 0.1, format="csr", random_state=0, dtype=np.float32
    )
    elements = sparse.data.copy()
    columns = storm.over(sparse.indices.astype(np.int32))
    starts = storm.over(sparse.indptr.astype(np.int64))
    csr = scipy.sparse.csr_matrix(sparse.shape, dtype=np.float32)
    csr.data, csr.indices, csr.indptr = sparse.data, sparse.indices, sparse.indptr
    return {
        "x": dense,
        "bytes": storm.over(rng.integers(0, 256, dense.shape).astype(np.uint8)),
        "core_csr": (elements, columns, starts),
        "csr": csr,
        "y": storm.over(rng.integers(0, CLASSES, SAMPLES)),
        "order": storm.over(rng.permutation(SAMPLES)),
    }


def own_loss(outputs, targets):
    difference = outputs.copy()
    difference[np.arange(len(targets)), np.clip(targets, 0, CLASSES - 1)] -= 1
    return float((difference**2).mean()), difference / len(targets)


def calls(work: str, threads: int, storm: Storm):
    """Return callables to repeat, each with its arrays."""
    d = data(storm)
    model = fastmlp.MLP([FEATURES, 40, 60, CLASSES], seed=1)
    network = model._network
    y = d["y"]
    inputs = [d["x"], d["bytes"], d["csr"]]
    core_inputs = [d["x"], d["bytes"], d["core_csr"]]
    fit = {"epochs": 3, "batch_size": 64, "verbose": 0, "threads": threads}
    if work == "fit":
        return [lambda x=x: model.fit(x, y, **fit) for x in inputs] + [
            lambda: model.fit(d["x"], y, validation_data=(d["csr"], y), **fit),
            lambda: model.fit(d["x"], y, callbacks=[storm.strike], **fit),
        ]
    if work == "serve":
        return [
            lambda x=x, name=name: getattr(model, name)(x, threads=threads)
            for name in ("predict", "predict_proba", "forward")
            for x in inputs
        ]
    if work == "measure":
        few = [d["x"][:300], d["bytes"][:300], d["csr"]]
        return [
            *(lambda x=x: model.evaluate(x, y, threads=threads) for x in inputs),
            *(lambda x=x: model.loss_and_gradients(x, y, threads=threads) for x in inputs),
            *(lambda x=x: model.input_gradients(x, y[:300], threads=threads) for x in few[:2]),
            lambda: model.lr_find(d["x"], y, batch_size=64),
        ]
    if work == "estimator":
        estimator = {"max_iter": 2, "batch_size": 64}
        return [
            lambda: MLPClassifier(**estimator).fit(d["x"], y).predict(d["csr"]),
            lambda: MLPClassifier(**estimator).fit(d["csr"], y).score(d["x"], y),
        ]
    if work in ("core", "values"):
        weights = np.ones(SAMPLES, np.float32)
        targets = np.zeros((SAMPLES, CLASSES), np.float32)
        if work == "values":
            for array in (d["x"], weights, targets, d["core_csr"][0]):
                storm.over(array.view(np.uint32))
        run = model._core_run(64, "momentum", threads)
        settings = {"learning_rate": 1e-3, "momentum": 0.9}
        gradient = _core.Gradient32(network, SAMPLES, threads)
        return [
            *(
                lambda x=x, order=order, labels=labels: run.run_epoch(
                    x,
                    [labels],
                    settings,
                    order=order,
                    sample_weight=weights,
                    progress=storm.strike,
                )
                for x in core_inputs
                for order in (None, d["order"])
                for labels in (y, targets)
            ),
            *(lambda x=x: network.evaluate(x, [y], weights, threads) for x in core_inputs),
            *(lambda x=x: network.forward(x, "softmax", threads) for x in core_inputs),
            *(lambda x=x: network.hidden_outputs(x, threads) for x in core_inputs),
            *(lambda x=x: network.predict_classes(x, threads) for x in core_inputs),
            *(lambda x=x: gradient.compute(x, [y], with_input=True) for x in core_inputs),
        ]
    if work == "own loss":
        own = fastmlp.MLP([FEATURES, 40, CLASSES], loss=own_loss)
        return [lambda x=x: own.fit(x, y, **fit) for x in inputs]
    outputs = np.random.default_rng(0).standard_normal((SAMPLES, CLASSES)).astype(np.float32)
    names = ("softmax_cross_entropy", "hinge")
    return [lambda name=name: _core.kernels.loss(name, outputs, y, 1.0) for name in names]


def survive(work: str, seed: int, threads: int) -> None:
    print(work, end=": ", flush=True)  # the last one that is named ended the process
    storm = Storm(seed)
    todo = calls(work, threads, storm)
    storm.thread.start()
    answered = refused = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or answered + refused < max(len(todo), 3):
        call = todo[(answered + refused) % len(todo)]
        storm.restore()
        try:
            call()
            answered += 1
        except Exception as error:  # refused: the arrays were garbage when they were checked
            refused += 1
            last = error
    storm.ends = True
    storm.thread.join()
    print(answered, refused, repr(last) if refused else "", flush=True)


def main() -> None:
    seed, threads = map(int, sys.argv[1:3])
    for work in sys.argv[3:]:
        survive(work, seed, threads)


if __name__ == "__main__":
    main()
