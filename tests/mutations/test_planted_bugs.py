"""The planted bugs still find the places where they are planted."""

from __future__ import annotations

from mutations.__main__ import PLANTED, ROOT


def test_every_bug_finds_its_place():
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in {m.file for m in PLANTED}}
    lost = [m.name for m in PLANTED if m.before not in texts[m.file] or m.before == m.after]
    assert lost == []


def test_names_are_unique():
    names = [mutation.name for mutation in PLANTED]
    assert len(set(names)) == len(names)
