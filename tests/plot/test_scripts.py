"""Names in every script: as text in SVG, with installed fonts in bitmaps, never with a warning."""

from __future__ import annotations

import io
import unicodedata
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fastmlp import plot
from fastmlp.plot.fonts import shortened, width_of
from fastmlp.plot.numbers import written

NAMES = (
    "东京都千代田区霞が関", "서울특별시", "سوق الجمعة", "תל אביב", "हिन्दी नाम", "ไทยแลนด์",
    "cat 🐈‍⬛ & <b>",
    "x\x1fy\x00\udce9", "$x_1$ \\frac", "_hidden", "e\u0301\u0302", "𝔘𝔫𝔦", "\u202eabc",
)  # fmt: skip


def texts_of(document: str) -> list[str]:
    root = ElementTree.fromstring(document)
    return [element.text or "" for element in root.iter() if element.tag.endswith("}text")]


def pictures() -> dict[str, object]:
    matrix = np.arange(len(NAMES) ** 2).reshape(len(NAMES), -1)
    scores = [{"class": name, "precision": 0.5, "recall": 0.5, "f1": 0.5} for name in NAMES]
    return {
        "confusion": plot.confusion_matrix(matrix=matrix, class_names=NAMES),
        "scores": plot.class_scores(scores),
        "importance": plot.importance(NAMES, np.arange(len(NAMES))),
    }


@pytest.mark.parametrize("kind", ["confusion", "scores", "importance"])
def test_every_script_is_text_in_svg(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = plot.svg(pictures()[kind])
    shown = set(texts_of(document))
    for name in NAMES:
        readable = "".join(
            {"\x00": "\ufffd", "\udce9": "\ufffd", "\x1f": " "}.get(c, c) for c in name
        )
        assert {readable, " " + readable, readable.replace("_", " _", 1)} & shown, name
    assert "<b>" not in document


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_bitmaps_have_no_warnings(suffix):
    for axes in pictures().values():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            axes.figure.savefig(io.BytesIO(), format=suffix)


def test_texts_stay_inside_their_picture():
    """By the widths of the fonts: a wide letter takes one em, whatever font shows it."""
    names = ["漢" * 25, "W" * 25, "한" * 17, "a"]
    document = plot.svg(plot.importance(names, [1.0, 2.0, 3.0, 4.0]))
    root = ElementTree.fromstring(document)
    for element in root.iter():
        if not element.tag.endswith("}text") or element.get("text-anchor") != "end":
            continue
        x = float(element.get("transform").split("(")[1].split()[0])
        ems = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.6 for c in element.text)
        assert x - ems * float(element.get("font-size")) > 0, element.text


@pytest.mark.parametrize("text", ["", "abc", "漢字" * 20, "a\u0301" * 40, "🐈" * 30])
def test_a_cut_text_is_as_wide_as_allowed(text):
    cut = shortened(text, 12)
    assert cut == text if width_of(text) <= 12 else cut.endswith("…")
    assert width_of(cut) <= 12
    assert text.startswith(cut.removesuffix("…"))


def test_ticks_are_numbers_as_people_write_them():
    values = np.array([0.0, 1.0]) * 1_600_000
    axes = plot.predictions(values, values, target_names=["price"])
    texts = texts_of(plot.svg(axes))
    assert {"1,000,000", "500,000"} <= set(texts)
    assert not any("e+" in text or "1e" in text for text in texts)


@pytest.mark.parametrize("seed", range(20))
def test_written_numbers_are_near_the_values(seed):
    random = np.random.default_rng(seed)
    value = float(random.normal() * 10.0 ** random.integers(-12, 16))
    text = written(value, 4).replace(",", "")
    for digit, raised in zip("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", strict=True):
        text = text.replace(raised, digit)
    assert float(text.replace("·10", "e")) == pytest.approx(value, rel=5.1e-4), seed
