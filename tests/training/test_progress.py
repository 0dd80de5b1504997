"""What the display of a training tells: exact lines off a terminal, whole screens of a real one."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from fastmlp.cli.progress import Display, _clock, _duration, _percent, _Thinning, _value
from fastmlp.cli.screen import Fact, fitting, sparkline
from support.cli_process import ESCAPE, TIMEOUT, environment

RECORD = {
    "epoch": 1, "epochs": 2, "loss": 0.5, "accuracy": 0.9, "val_loss": 0.25, "val_accuracy": 0.875,
    "seconds": 2.0, "learning_rate": 0.1,
}  # fmt: skip


def record(*names: str, **values: float) -> dict:
    """Some of the values of RECORD, and others."""
    return {name: RECORD[name] for name in ("epoch", "loss", "seconds", *names)} | values


@pytest.fixture(autouse=True)
def _no_steering_variables(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


# ---------------------------------------------------------------- off a terminal


LINES = {
    "classification": (
        {}, RECORD,
        "epoch 1/2  loss 0.5000  accuracy  90.00%  test  87.50%  2.00 s  500 samples/s",
    ),
    "no second part": (
        {}, record("accuracy"), "epoch 1/2  loss 0.5000  accuracy  90.00%  2.00 s  500 samples/s",
    ),
    "regression": (
        {"evaluated_on": "validation"}, record("val_loss"),
        "epoch 1/2  loss 0.5000  validation loss 0.2500  2.00 s  500 samples/s",
    ),
    "chosen by the loss": (
        {"monitor": "val_loss"}, RECORD,
        "epoch 1/2  loss 0.5000  accuracy  90.00%  test  87.50%  test loss 0.2500  2.00 s"
        "  500 samples/s",
    ),
    "extreme numbers": (
        {}, record(loss=3.2e-7, seconds=0.0016),
        "epoch 1/2  loss 3.2e-7  1.6 ms  625,000 samples/s",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "values", "line"), LINES.values(), ids=LINES)
def test_a_line_tells_what_there_is(capsys, options, values, line):
    with Display(2, 1000, quiet=False, no_color=False, **options) as display:
        display.epoch_end(values, best=False)
        display.epoch_end(values, best=True)
    assert capsys.readouterr().err == f"{line}\n{line}  best\n"


def test_progress_and_bars_are_for_terminals(capsys):
    with Display(2, 1000, quiet=False, no_color=False) as display:
        display.progress(500, 1000, 0.5, 0.9)
        display.say("said")
    assert capsys.readouterr() == ("", "said\n")


def test_the_best_is_told_by_color_and_by_a_word(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    Display(2, 1000, quiet=False, no_color=False).epoch_end(RECORD, best=True)
    line = capsys.readouterr().err
    assert re.findall(r"\x1b\[32m\x1b\[1m(.*?)\x1b\[0m", line) == ["test  87.50%", "best"]
    Display(2, 1000, quiet=False, no_color=True).epoch_end(RECORD, best=True)
    line = capsys.readouterr().err
    assert ESCAPE not in line
    assert line.endswith("  best\n")


def test_quiet_is_silent(capsys):
    with Display(2, 1000, quiet=True, no_color=False) as display:
        display.say("said")
        display.progress(1, 1000, 0.5, None)
        display.epoch_end(RECORD, best=True)
    assert capsys.readouterr() == ("", "")


def test_without_standard_error_it_is_silent(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    Display(2, 1000, quiet=False, no_color=False).epoch_end(RECORD, best=True)


def test_a_reader_that_leaves_does_not_end_the_training(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    stream = open(writer, "w")  # noqa: SIM115 - its end is not that of a block
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with Display(2, 1000, quiet=False, no_color=False) as display:
            for _ in range(3):
                display.epoch_end(RECORD, best=True)
                display.say("said")
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def test_fast_epochs_are_thinned_and_counted(capsys):
    epochs, best = 5000, 2500
    with Display(epochs, 10, quiet=False, no_color=False) as display:
        for epoch in range(1, epochs + 1):
            display.epoch_end(record(epoch=epoch), best=epoch == best)
    *lines, note = capsys.readouterr().err.splitlines()
    shown = [int(re.match(r"epoch +(\d+)/5000 ", line)[1]) for line in lines]
    assert shown[:100] == list(range(1, 101))
    assert shown == sorted(set(shown))
    assert shown[-1] == epochs
    assert best in shown
    assert lines[shown.index(best)].endswith("  best")
    assert len(shown) < 1000
    assert note == f"({epochs - len(shown):,} of 5,000 epochs are not shown)"


def test_an_exception_does_not_lose_the_last_epoch(capsys):
    def interrupted_training():
        with Display(1000, 10, quiet=False, no_color=False) as display:
            for epoch in range(1, 301):
                display.epoch_end(record(epoch=epoch), best=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_training()
    *_, line, note = capsys.readouterr().err.splitlines()
    assert line.startswith("epoch  300/1000 ")
    assert re.fullmatch(r"\(\d+ of 300 epochs are not shown\)", note)


def test_a_continued_training_counts_from_its_start(capsys):
    with Display(9, 10, quiet=False, no_color=False, first_epoch=7) as display:
        display.epoch_end(record(epoch=8), best=True)
        display.epoch_end(record(epoch=9), best=True)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_time_left_is_told_by_the_epochs_of_this_run():
    display = Display(10, 100, quiet=False, no_color=False, first_epoch=6)
    facts = display._training_facts(0.8, display._started + 10.0)
    assert [fact.text for fact in facts] == [" 80%", "elapsed 0:10", "ETA 0:10"]
    facts = display._training_facts(0.6, display._started)
    assert len(facts) == 2


def test_thinning_lets_pass_what_is_far_enough_apart():
    thinning = _Thinning(2, 0.5)
    times = [0.0, 0.1, 0.2, 0.59, 0.6, 1.0, 1.2, 9.0, 9.1]
    assert [t for t in times if thinning.passes(t)] == [0.0, 0.1, 0.6, 1.2, 9.0]


# ---------------------------------------------------------------- pieces


def test_a_sparkline_spans_its_levels():
    levels = "▁▂▃▄▅▆▇█"
    assert sparkline(range(8), levels) == levels
    assert sparkline([80.0, 10.0, 45.0], "abc") == "cab"
    assert sparkline([3.0, 3.0], levels) == "▁▁"
    assert sparkline([1.0, math.nan, 0.0, math.inf], levels) == "█ ▁ "
    assert sparkline([-math.inf], levels) == " "
    assert sparkline([], levels) == ""
    assert sparkline([5e-324, 0.0], levels) == "█▁"


@pytest.mark.parametrize(
    ("room", "kept"),
    [(None, "aaa bb c dd"), (14, "aaa bb c dd"), (13, "aaa bb dd"), (11, "aaa bb dd"),
     (10, "aaa dd"), (7, "aaa dd"), (6, "aaa dd")],
)  # fmt: skip
def test_what_is_needed_least_gives_way(room, kept):
    facts = [Fact("aaa", 0), Fact("bb", 1), Fact("c", 2), Fact("dd", 0)]
    assert " ".join(fact.text for fact in fitting(facts, room)) == kept


def test_numbers_in_words():
    assert [_clock(s) for s in (-1, 7, 754, 3599.4, 3723)] == [
        "0:00", "0:07", "12:34", "59:59", "1:02:03",
    ]  # fmt: skip
    assert [_percent(share) for share in (0.0, 0.07, 0.999, 1.0)] == [
        "  0%",
        "  7%",
        " 99%",
        "100%",
    ]
    assert [_duration(s) for s in (0.0012, 0.0999, 0.1, 75.0)] == [
        "1.2 ms", "99.9 ms", "0.10 s", "75.00 s",
    ]  # fmt: skip
    losses = {
        0.0: "0.0000", 0.001: "0.0010", 0.00099: "9.9e-4", 3e-12: "3.0e-12", 1.0: "1.0000",
        -12.3456: "-12.346", 123.456: "123.46", 99999.0: "99999", 123456.0: "1.2e+5",
        math.inf: "inf", math.nan: "nan",
    }  # fmt: skip
    assert [_value("val_loss", loss) for loss in losses] == list(losses.values())
    assert _value("val_accuracy", 0.12345) == "12.35%"


# ---------------------------------------------------------------- on a terminal


# Draws a stage, says so, and waits for the next to be asked for.
STAGES = """
import pathlib, time
from fastmlp.cli import progress
progress.REDRAW_SECONDS = progress.TERMINAL_LINE_SECONDS = 0.0
def stage(number):
    pathlib.Path(f"done-{number}").touch()
    while not pathlib.Path(f"go-{number}").exists():
        time.sleep(0.01)
def epoch(number, accuracy, best):
    display.progress(300, 1000, 1 / number, 0.5)
    display.epoch_end(
        {"epoch": number, "loss": 1 / number, "accuracy": 0.5, "val_loss": 1.0,
         "val_accuracy": accuracy, "seconds": 0.5}, best=best)
display = progress.Display(12, 1000, quiet=False, no_color=False)
display.say("network 784-128-10")
with display:
    for number in range(1, 5):
        epoch(number, 0.9 if number == 3 else 0.8, number in (1, 3))
    display.progress(500, 1000, 0.125, 0.75)
    stage(1)
    display.say("said")
    epoch(5, 0.85, False)
    display.progress(250, 1000, 0.0625, 0.75)
    stage(2)
print("after")
stage(3)
"""


class Tmux:
    """A program in a window of tmux: a terminal that was not written for these tests."""

    def __init__(self, cwd, code: str, columns: int, lines: int = 24, **variables: str) -> None:
        self._cwd = cwd
        settings = [f"{name}={value}" for name, value in variables.items()]
        self._run(
            "-u", "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines),
            "env", "-u", "NO_COLOR", *settings, sys.executable, "-c", code,
        )  # fmt: skip

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._run("kill-server", check=False)

    def _run(self, *args: str, check: bool = True) -> str:
        return subprocess.run(
            ["tmux", "-S", "socket", *args], cwd=self._cwd, env=environment(TERM="screen"),
            check=check, capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT,
        ).stdout  # fmt: skip

    def resize(self, columns: int, lines: int = 24) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def go_on(self, stage: int) -> None:
        (self._cwd / f"go-{stage}").touch()

    def screen(self, stage: int, *options: str) -> list[str]:
        """The lines of the screen once a stage is drawn."""
        while not (self._cwd / f"done-{stage}").exists():
            self._run("has-session")  # or the program has failed
            time.sleep(0.05)
        before = None
        while True:  # the terminal may still read
            text = self._run("capture-pane", "-p", *options)
            if text == before and text.strip():
                return text.rstrip().splitlines()
            before = text
            time.sleep(0.1)


needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")

FINISHED_100 = [
    "network 784-128-10",
    "epoch  1/12  loss 1.0000  accuracy  50.00%  test  80.00%  0.50 s  2,000 samples/s  best",
    "epoch  2/12  loss 0.5000  accuracy  50.00%  test  80.00%  0.50 s  2,000 samples/s",
    "epoch  3/12  loss 0.3333  accuracy  50.00%  test  90.00%  0.50 s  2,000 samples/s  best",
    "epoch  4/12  loss 0.2500  accuracy  50.00%  test  80.00%  0.50 s  2,000 samples/s",
]
BLOCK_100 = [
    r"epoch  5/12 ━{11}─{19}   37%  elapsed 0:\d\d  ETA 0:\d\d",
    r"this epoch  ━{15}─{15}   50%  loss 0\.1250  accuracy 75\.00%  [\d,]+ samples/s",
    r"loss        █▃▂▁  best 90\.00%  epoch 3  test accuracy",
]


def assert_lines(lines: list[str], finished: list[str], block: list[str]) -> None:
    assert lines[: len(finished)] == finished
    rest = lines[len(finished) :]
    assert len(rest) == len(block), rest
    for line, pattern in zip(rest, block, strict=True):
        assert re.fullmatch(pattern, line), line


@needs_tmux
def test_the_screen_of_a_training(tmp_path):
    with Tmux(tmp_path, STAGES, 100) as terminal:
        assert_lines(terminal.screen(1), FINISHED_100, BLOCK_100)
        terminal.go_on(1)
        finished = [
            *FINISHED_100,
            "said",
            "epoch  5/12  loss 0.2000  accuracy  50.00%  test  85.00%  0.50 s  2,000 samples/s",
        ]
        block = [r"epoch  6/12 .*", r"this epoch  ━{7}─{23}   25%  .*", r"loss        █▄▂▁▁  .*"]
        assert_lines(terminal.screen(2), finished, block)
        terminal.go_on(2)
        assert terminal.screen(3) == [*finished, "after"]
        assert terminal._run("display-message", "-p", "#{cursor_flag}").strip() == "1"


@needs_tmux
def test_a_narrow_screen_keeps_what_is_needed_most(tmp_path):
    with Tmux(tmp_path, STAGES, 40) as terminal:
        tests = ("80.00%  best", "80.00%", "90.00%  best", "80.00%")
        lines = [f"epoch  {number}/12  test  {test}" for number, test in enumerate(tests, 1)]
        block = [
            r"epoch  5/12 ━{2,3}─+   37%  ETA 0:\d\d",
            r"this epoch  ━{4}─{4}   50%  loss 0\.1250",
            r"loss        █▃▂▁  best 90\.00%",
        ]
        assert_lines(terminal.screen(1), ["network 784-128-10", *lines], block)


@needs_tmux
@pytest.mark.parametrize(("first", "second"), [(100, 60), (60, 33), (50, 100)])
def test_nothing_is_left_behind_when_the_window_changes(tmp_path, first, second):
    with Tmux(tmp_path, STAGES, first) as terminal:
        before = terminal.screen(1)
        terminal.resize(second)
        terminal.go_on(1)
        after = terminal.screen(2, "-S", "-")  # tmux scrolls what it breaks anew
        block = after[-3:]
        assert re.match(r"epoch  6/12 ━", block[0])
        assert block[1].startswith("this epoch ")
        assert block[2].startswith("loss ")
        assert max(map(len, after)) <= second
        # The lines above are those from before, broken anew by the terminal, and two more.
        text = "".join(after[:-5])
        for line in before[:-3]:
            assert line.replace(" ", "") in text.replace(" ", "")
        assert after[-5] == "said"
        assert after[-4].startswith("epoch  5/12  ")
        for bar in ("━", "this epoch", "█"):
            assert bar not in text


@needs_tmux
def test_a_tiny_window_cuts_the_rest_off(tmp_path):
    with Tmux(tmp_path, STAGES, 18) as terminal:
        block = ["epoch  5/12    37%", "this epoch     50%", "loss          best"]
        assert terminal.screen(1)[-3:] == [line[:17] for line in block]


@needs_tmux
def test_a_low_window_is_not_scrolled_by_the_bars(tmp_path):
    with Tmux(tmp_path, STAGES, 100, 3) as terminal:
        assert_lines(terminal.screen(1), FINISHED_100[-1:], BLOCK_100[:2])


@needs_tmux
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}])
def test_color_is_never_alone(tmp_path, variables):
    with Tmux(tmp_path, STAGES, 100, **variables) as terminal:
        colored = terminal.screen(1, "-e")
        assert (ESCAPE in "".join(colored)) == (not variables)
        assert_lines(terminal.screen(1), FINISHED_100, BLOCK_100)


@needs_tmux
def test_other_encodings_get_plain_characters(tmp_path):
    with Tmux(tmp_path, STAGES, 100, PYTHONIOENCODING="latin-1") as terminal:
        block = [
            r"epoch  5/12 #{11}-{19}   37%  .*",
            r"this epoch  #{15}-{15}   50%  .*",
            r"loss        \*?[_.~=+*#-]{3,4}  best 90\.00%  .*",
        ]
        lines = terminal.screen(1)
        assert_lines(lines, FINISHED_100, block)
        assert all(line.isascii() for line in lines)
