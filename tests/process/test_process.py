"""fastmlp inside a process: signals, forks, threads, memory, each in a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastmlp
from support.child_process import run_python
from support.cli_process import answer_signals

PREPARE = """
import os, signal, sys, threading, time, hashlib
import numpy as np
import fastmlp
rng = np.random.default_rng(0)
def digest(model):
    return hashlib.sha256(b"".join(w.tobytes() for w in model.weights)).hexdigest()
def problem(samples, sizes):
    x = rng.standard_normal((samples, sizes[0])).astype(np.float32)
    return x, rng.integers(0, sizes[-1], samples)
"""


def run(script: str, timeout: float = 60) -> str:
    result = subprocess.run(
        [sys.executable, "-c", PREPARE + script],
        capture_output=True,
        text=True,
        timeout=timeout,
        preexec_fn=answer_signals,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("sizes", "batch", "threads"), [([20, 16, 4], 8, 1), ([512, 1024, 1024, 10], 1024, 2)]
)
def test_interrupt_reaches_python_and_leaves_the_model_usable(sizes, batch, threads):
    script = f"""
sizes = {sizes}
x, y = problem(4096, sizes)
model = fastmlp.MLP(sizes, seed=1)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    model.fit(x, y, epochs=1000000, batch_size={batch}, threads={threads}, verbose=0,
              optimizer=fastmlp.SGD(learning_rate=1e-4))
except KeyboardInterrupt:
    assert np.isfinite(model.evaluate(x, y)["loss"])
    model.fit(x[:64], y[:64], epochs=1, verbose=0)
    print("interrupted")
"""
    assert run(script).strip() == "interrupted"


def test_an_exception_of_a_signal_handler_is_raised():
    script = """
x, y = problem(256, [20, 16, 4])
def stop(number, frame):
    raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
fastmlp.MLP([20, 16, 4]).fit(x, y, epochs=10**8, verbose=0)
raise AssertionError("not interrupted")
"""
    run(script)


def test_training_in_a_forked_child_gives_the_same_bits():
    # libgomp's pool does not survive a fork; without the fork handler the child hangs.
    script = """
x, y = problem(512, [64, 128, 10])
def train():
    model = fastmlp.MLP([64, 128, 10], seed=3)
    model.fit(x, y, epochs=2, batch_size=128, threads=2, verbose=0)
    return digest(model)
expected = train()
for _ in range(5):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, train().encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert os.read(reader, 100).decode() == expected
    assert train() == expected
print("same")
"""
    assert run(script).strip() == "same"


def test_many_threads_predict_on_one_model():
    model = fastmlp.MLP([30, 64, 5], seed=0)
    x = np.random.default_rng(0).standard_normal((500, 30)).astype(np.float32)
    expected = model.forward(x, threads=1)
    equal: list[bool] = []

    def predict() -> None:
        for _ in range(20):
            equal.append(np.array_equal(model.forward(x, threads=2), expected))

    workers = [threading.Thread(target=predict) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(equal) == 160
    assert all(equal)


def test_fit_from_a_callback_and_from_another_thread_raises():
    model = fastmlp.MLP([30, 64, 5], seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((500, 30)), rng.integers(0, 5, 500)
    messages: list[str] = []

    def callback(same: fastmlp.MLP, record: dict[str, object]) -> None:
        same.predict(x)  # allowed
        with pytest.raises(RuntimeError, match="being trained"):
            same.fit(x, y, epochs=1, verbose=0)
        messages.append("raised")

    model.fit(x, y, epochs=2, callbacks=[callback], verbose=0)
    assert messages == ["raised", "raised"]
    model.fit(x, y, epochs=1, verbose=0)


def test_an_exception_of_a_callback_ends_the_training_and_frees_the_model():
    model = fastmlp.MLP([30, 8, 5], seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 30)), rng.integers(0, 5, 50)

    def callback(same: fastmlp.MLP, record: dict[str, object]) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.fit(x, y, epochs=2, callbacks=[callback], verbose=0)
    model.fit(x, y, epochs=1, verbose=0)


def test_a_network_that_no_memory_can_hold_raises_memory_error():
    for sizes in ([2**40, 2**40], [2**31, 2**31], [10, 2**47]):
        with pytest.raises(MemoryError):
            fastmlp.MLP(sizes)


def test_subnormal_numbers_survive_training():
    model = fastmlp.MLP([30, 8, 5], seed=0)
    rng = np.random.default_rng(0)
    model.fit(rng.standard_normal((50, 30)), rng.integers(0, 5, 50), epochs=1, verbose=0)
    assert np.float32(1e-40) * np.float32(0.5) > 0


def test_a_forced_instruction_set_that_does_not_exist_fails_at_import():
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; os.environ['FASTMLP_ISA'] = 'sse9'; import fastmlp._core",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "FASTMLP_ISA must be one of" in result.stderr


@pytest.mark.skipif("avx2" not in fastmlp.info()["isas_available"], reason="needs AVX2")
def test_slow_kernels_come_with_a_word():
    for isa, words in (("generic", ["100 times slower", "unset it"]), ("avx2", [])):
        ended = run_python("import fastmlp; fastmlp.info()", FASTMLP_ISA=isa)
        assert ended.returncode == 0
        assert all(word in ended.stderr for word in words) if words else not ended.stderr


FORK_DURING_FIRST_USE = """
import faulthandler, os, sys, threading, time
import numpy as np, fastmlp
x, y = np.ones((64, 4)), np.zeros(64, int)
def train():
    model = fastmlp.MLP([4, 3, 2], seed=1)
    model.fit(x, y, epochs=2, optimizer=fastmlp.SGD(0.1), threads=2, verbose=0)
    return model.predict(x)
threading.Thread(target=train, daemon=True).start()
time.sleep({pause})
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(5, exit=True)
    train()
    os._exit(0)
_, status = os.waitpid(child, 0)
os._exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_what_another_thread_loads():
    """Names and modules are loaded when they are first used, here at any moment of a fork."""
    for pause in np.random.default_rng().uniform(0, 0.15, 20):
        done = run_python(FORK_DURING_FIRST_USE.format(pause=pause))
        assert done.returncode == 0, f"pause {pause}: {done.stderr}"
