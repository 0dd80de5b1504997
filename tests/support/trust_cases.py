"""Cases and a planted fault for tests of the attacks; workers import them by name."""

from __future__ import annotations

import sys


def _answer() -> int:
    return 2


def holds(seed: int) -> int:
    return _answer()


def breaks_sometimes(seed: int) -> None:
    assert seed % 3, f"{seed} is divisible by 3"


def dies(seed: int) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(seed: int) -> None:
    sys.exit(5)


def hangs(seed: int) -> None:
    while True:
        pass


def prints(seed: int) -> None:
    print('{"tried": 1000}')


def eats(seed: int) -> None:
    if seed > 4:  # the first five warm the process
        bytearray(1 << 30)


def plant() -> None:
    def broken() -> int:
        raise KeyError("planted")

    globals()["_answer"] = broken
