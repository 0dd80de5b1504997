"""The interpreter ends while daemon threads compute: the program's own exit code, and silence."""

from __future__ import annotations

import time

import pytest

from support.child_process import run_child

START = """
sizes = [40, 200, 200, 10]
x, y = problem(2000, sizes)
def endless(work):
    def loop():
        while True:
            work()
    threading.Thread(target=loop, daemon=True).start()
def fit(threads):
    model = fastmlp.MLP(sizes, seed=1)
    return lambda: model.fit(x, y, epochs=10**6, batch_size=256, threads=threads, verbose=0)
def predict(threads):
    model = fastmlp.MLP(sizes, seed=1)
    return lambda: model.predict(x, threads=threads)
def evaluate(threads):
    model = fastmlp.MLP(sizes, seed=1)
    return lambda: model.evaluate(x, y, threads=threads)
def gradients(threads):
    model = fastmlp.MLP(sizes, seed=1)
    return lambda: model.loss_and_gradients(x, y, threads=threads)
def callback(model, record):
    time.sleep(0.01)
def short_fits(threads):
    def work():
        fastmlp.MLP(sizes).fit(x, y, epochs=1, threads=threads, verbose=0, callbacks=[callback])
    return work
def core_progress(threads):
    # The core's own callback, as often as it comes.
    model = fastmlp.MLP(sizes, seed=1)
    run = model._core_run(64, "sgd", threads)
    def work():
        run.run_epoch(x, [y], {"learning_rate": 1e-3}, progress=lambda *state: time.sleep(0.005))
    return work
"""

ENDS = {
    "returns": ("", 0),
    "exits": ("sys.exit(7)", 7),
}


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "work",
    ["fit", "predict", "evaluate", "gradients", "short_fits", "core_progress", "peak", "all"],
)
def test_the_exit_code_is_the_programs_own(work, end, threads):
    names = ["fit", "predict", "evaluate", "short_fits", "core_progress"]
    starts = "".join(
        f"endless({name}({threads}))\n" for name in (names if work == "all" else [work])
    )
    if work == "peak":
        starts = f"endless(lambda: _core.peak_flops({threads}, 60.0))\n"
    statement, code = ENDS[end]
    begin = time.monotonic()
    script = f"{START}\n{starts}\ntime.sleep(0.2 + 0.1 * np.random.default_rng().random())\n"
    ended = run_child(script + statement, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")
    assert time.monotonic() - begin < 15


def ends_well(script: str, code: int = 0, timeout: float = 30) -> str:
    ended = run_child(START + script, timeout=timeout)
    assert (ended.returncode, ended.stderr) == (code, "")
    return ended.stdout


@pytest.mark.parametrize("threads", [1, 2])
def test_a_callback_that_never_returns_holds_the_end_up_for_seconds_only(threads):
    ends_well(
        f"""
model = fastmlp.MLP(sizes)
run = model._core_run(64, "sgd", {threads})
def sleep(*state):
    time.sleep(1000)
endless(lambda: run.run_epoch(x, [y], {{"learning_rate": 1e-3}}, progress=sleep))
time.sleep(0.3)
sys.exit(7)
""",
        code=7,
    )


def test_a_thread_that_wakes_when_the_interpreter_is_gone_ends_in_silence():
    """Longer than the end waits for callbacks, and while the last objects are still finalized."""
    printed = ends_well(
        """
import os, types
class Late:
    def __del__(self, sleep=time.sleep, write=os.write):
        sleep(2.5)
        write(1, b"late")
holder = sys.modules["holder"] = types.ModuleType("holder")
holder.kept = Late()
del holder
model = fastmlp.MLP(sizes)
run = model._core_run(64, "sgd", 1)
def sleep(*state):
    time.sleep(6.2)
endless(lambda: run.run_epoch(x, [y], {"learning_rate": 1e-3}, progress=sleep))
time.sleep(0.3)
sys.exit(7)
""",
        code=7,
    )
    assert printed == "late"


@pytest.mark.parametrize("threads", [1, 2])
def test_the_end_waits_only_until_computations_have_stopped(threads):
    """A hook from before the import runs after that of the core."""
    script = f"""
import subprocess
code = '''
import atexit, time, threading, sys
atexit.register(lambda: print(time.monotonic() - begin))
import numpy as np, fastmlp
x, y = np.ones((2000, 40), np.float32), np.zeros(2000, int)
model = fastmlp.MLP([40, 200, 200, 10])
fit = lambda: model.fit(x, y, epochs=10**6, threads={threads}, verbose=0)
threading.Thread(target=fit, daemon=True).start()
time.sleep(0.3)
begin = time.monotonic()
'''
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
print(done.stdout, done.stderr)
"""
    assert float(ends_well(script)) < 4


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_hooks_and_finalizers_at_the_end_compute_as_ever(threads):
    script = f"""
import atexit, weakref
kept = problem  # lives to the end
def hook():
    print(digest(fastmlp.MLP(sizes, seed=1).forward(x, threads={threads})))
atexit.register(hook)
weakref.finalize(kept, hook)
endless(fit({threads}))
time.sleep(0.2)
print(digest(fastmlp.MLP(sizes, seed=1).forward(x, threads={threads})), flush=True)
"""
    lines = ends_well(script).split()
    assert len(lines) == 3
    assert len(set(lines)) == 1


def test_hooks_that_were_there_before_the_import_compute_as_ever():
    ended = run_child(
        """
import subprocess
code = """
        + repr("""
import atexit
def hook():
    import numpy as np
    model = fastmlp.MLP([4, 3, 2])
    model.fit(np.ones((9, 4)), np.zeros(9, int), epochs=2, verbose=0, threads=2)
    print(model.predict(np.ones((1, 4))).shape)
atexit.register(hook)
import fastmlp
""")
        + """
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
print(done.returncode, done.stdout, done.stderr)
"""
    )
    assert ended.stdout.split(maxsplit=1) == ["0", "(1,)\n \n"], ended


def test_threads_that_are_no_daemons_finish_their_work():
    assert (
        ends_well("""
def work():
    model = fastmlp.MLP(sizes, seed=1)
    model.fit(x, y, epochs=20, threads=2, verbose=0)
    print(model.predict(x[:1]).shape)
threading.Thread(target=work).start()
""")
        == "(1,)\n"
    )


@pytest.mark.parametrize(
    ("statement", "code"), [("sys.exit(7)", 7), ("os._exit(9)", 9), ("raise KeyError", 1)]
)
def test_a_callback_may_end_the_program(statement, code):
    ended = run_child(f"""{START}
def progress(*state):
    {statement}
endless(fit(2))
run = fastmlp.MLP(sizes)._core_run(64, "sgd", 2)
run.run_epoch(x, [y], {{"learning_rate": 1e-3}}, progress=progress)
""")
    assert ended.returncode == code, ended


CHILDREN = {
    "trains": "model = fastmlp.MLP(sizes, seed=1)\n    "
    "model.fit(x, y, epochs=2, threads=threads, verbose=0)",
    "predicts": "fastmlp.MLP(sizes, seed=1).predict(x, threads=threads)",
    "is refused the model in use": "try: used.fit(x, y, epochs=1, verbose=0)\n    "
    "except RuntimeError: pass",
    "does nothing": "pass",
}


@pytest.mark.parametrize("leave", ["os._exit(5)", "sys.exit(5)"])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("child", CHILDREN)
def test_a_fork_while_other_threads_train(child, threads, leave):
    assert (
        ends_well(f"""
threads = {threads}
used = fastmlp.MLP(sizes)
endless(lambda: used.fit(x, y, epochs=10**6, threads=threads, verbose=0))
endless(predict(threads))
endless(fit(threads))
time.sleep(0.1)
for repetition in range(5):
    time.sleep(0.01)
    number = os.fork()
    if number == 0:
        {CHILDREN[child].replace(chr(10) + "    ", chr(10) + "        ")}
        {leave}
    assert os.waitpid(number, 0)[1] == 5 << 8
print("done")
""")
        == "done\n"
    )
