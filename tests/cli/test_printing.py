"""Tables as text: wide characters, narrow terminals, names from files."""

from __future__ import annotations

import sys

import pytest

from fastmlp.cli.options import State
from fastmlp.cli.printing import print_pairs, print_table, text_width

HEADER = ("name", "value", "note")
ROWS = [
    ("日本語", "1", "short"),
    ("e\u0301te\u0301", "1,234", "a note of several words"),
    ("x", "-", ""),
]


@pytest.fixture
def printed(capsys, monkeypatch):
    """What is printed on a terminal of so many columns, or into a pipe."""

    def lines(columns=None, **options):
        if columns is not None:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
            monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "dumb")
        print_table(HEADER, ROWS, ("value",), State(), **options)
        return capsys.readouterr().out.splitlines()

    return lines


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("é", 1), ("ｱ", 1), ("🙂", 2), ("Ω", 1)],
)
def test_width_of_text(text, width):
    assert text_width(text) == width


@pytest.mark.parametrize("columns", [None, 80])
def test_columns_are_in_line(printed, columns):
    assert printed(columns) == [
        "name    value  note",
        "日本語      1  short",
        "e\u0301te\u0301     1,234  a note of several words",
        "x           -",
    ]


def test_a_narrow_terminal_breaks_texts_and_no_numbers(printed):
    lines = printed(28)
    assert lines == [
        "name    value  note",
        "日本語      1  short",
        "e\u0301te\u0301     1,234  a note of",
        "               several words",
        "x           -",
    ]
    assert max(map(text_width, lines)) <= 28
    assert printed(16).count("e\u0301te\u0301     1,234") == 1


def test_what_is_least_important_is_left_out_first(printed):
    whole = printed(None, least=["note"])
    assert len(whole[0].split()) == 3
    assert printed(80, least=["note"]) == whole
    assert printed(27, least=["note", "value"])[2] == "e\u0301te\u0301     1,234"
    assert printed(12, least=["note", "value"])[2] == "e\u0301te\u0301"


def test_long_words_are_shortened_in_the_middle_on_terminals_only(capsys, monkeypatch):
    path = "runs/001-a-name-that-is-much-too-long/best.safetensors"
    rows = [(path, "0.5", "日本語日本語日本語日本語")]

    def shown():
        print_table(("file", "loss", "place"), rows, ("loss",), State())
        return capsys.readouterr().out.splitlines()

    assert path in shown()[1]
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for columns in range(30, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = shown()
        assert len(lines) == 2
        assert max(map(text_width, lines)) <= columns
        assert "\N{HORIZONTAL ELLIPSIS}" in lines[1]
        assert lines[1].startswith("run")
        assert " 0.5 " in lines[1]
    # What a user may copy stays whole, however long it is.
    print_pairs([("model", path)])
    assert capsys.readouterr().out.splitlines()[0] == f"model  {path}"


def test_more_columns_than_fit_come_in_blocks(capsys, monkeypatch):
    header = ["setting", *(f"run-{number}" for number in range(9))]
    rows = [["rate", *(f"{number}.0001" for number in range(9))]]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    print_table(header, rows, header[1:], State())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    starts = [line.split()[0] for line in lines if line]
    assert starts == ["setting", "rate"] * (len(starts) // 2)
    words = " ".join(lines).split()
    assert all(words.count(name) == 1 for name in [*header[1:], *rows[0][1:]])


def test_long_values_of_pairs_are_wrapped_at_blanks(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "24")
    print_pairs([("note", "a note of several words")])
    assert capsys.readouterr().out == "note  a note of several\n      words\n"


def test_a_title_and_bold_rows(printed, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    title, header, _, row, _ = printed(title="t", bold_rows=[1])
    for line in (title, header, row):
        assert line.startswith("\x1b[1m")
        assert line.endswith("\x1b[0m")


def test_no_name_moves_the_cursor(capsys):
    print_table(("a", "b"), [("x\ny\x1b[2J", "1")], (), State())
    print_pairs([("k", "v\nw"), ("日本", "\r")])
    assert capsys.readouterr().out == "a            b\nx\\ny\\x1b[2J  1\nk     v\\nw\n日本  \\r\n"
    print_table(("a\n\x1b[31m", "b\r"), [("1", "2")], (), State())
    assert capsys.readouterr().out == "a\\n\\x1b[31m  b\\r\n1            2\n"


def test_a_table_without_rows_or_header(capsys):
    print_table((), [], (), State())
    assert capsys.readouterr().out == ""
    print_table((), [("a", "bb"), ("ccc", "d")], (), State())
    assert capsys.readouterr().out == "a    bb\nccc  d\n"
