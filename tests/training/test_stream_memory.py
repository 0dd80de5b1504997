"""Peak memory of a training on a source: the shuffle buffer and two chunks, whatever its size."""

from __future__ import annotations

import pytest

from support.child_process import run_child

ROWS, CHUNK, FEATURES = 1_000_000, 20_000, 28
WHOLE = ROWS * FEATURES * 4
SLACK = 8 << 20  # of the allocator, and what a first training has not touched

SCRIPT = f"""
ROWS, CHUNK, FEATURES, CLASSES = {ROWS}, {CHUNK}, {FEATURES}, CLASSES_
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024
def source():
    random = np.random.default_rng(0)
    for _ in range(ROWS // CHUNK):
        x = random.random((CHUNK, FEATURES), np.float32)
        yield x, (x[:, 0] > 0.5).astype(np.int64) if CLASSES else x[:, :1]
loss, outputs = ("softmax_cross_entropy", 2) if CLASSES else ("mse", 1)
model = fastmlp.MLP([FEATURES, 16, outputs], loss=loss, input_scale=1.0)
settings = dict(epochs=1, batch_size=1024, optimizer="adam", verbose=0)
model.fit(source, steps_per_epoch=40, shuffle_buffer=CHUNK, **settings)
model.evaluate(source)
before = peak()
model.fit(source, validation_data=source, SETTINGS_, **settings)
print(peak() - before)
"""


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("buffer", [0, 100_000])
def test_peak_memory_does_not_grow_with_the_source(classes, buffer):
    settings = f"shuffle_buffer={buffer}" if buffer else "shuffle=False"
    ended = run_child(
        SCRIPT.replace("CLASSES_", str(classes)).replace("SETTINGS_", settings), timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    row = FEATURES * 4 + (8 if classes else 4)
    # An eighth of the buffer is on its way.
    bound = row * (buffer * 9 // 8 + 2 * CHUNK) + SLACK
    assert bound < WHOLE / 2.5
    assert int(ended.stdout) < bound


def test_addresses_may_exceed_the_memory_of_the_machine():
    """An epoch of 36 terabytes, of which two steps are trained."""
    ended = run_child("""
class Large(fastmlp.streams.Source):
    name, chunks, samples = "large", 10**6, 10**12
    def chunk(self, number):
        return np.ones((10**6, 8), np.float32), np.ones((10**6, 1), np.float32)
class Stop(fastmlp.Callback):
    every_steps = 2
    def on_step_end(self, training, record):
        return True
model = fastmlp.MLP([8, 1], loss="mse", input_scale=1.0)
model.fit(Large(), epochs=1, batch_size=100, shuffle_buffer=10**6, callbacks=[Stop()], verbose=0)
print(model._continuation.steps)
""")
    assert ended.stdout == "2\n", ended.stderr
