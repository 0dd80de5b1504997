"""The project's words: terms of the field, one spelling, and nothing of what they replaced."""

from __future__ import annotations

import re
import subprocess

import pytest

from support.paths import ROOT

OWN = "tests/docs/test_words.py"
_SKIPPED = (".png", ".svg", ".json", ".gz", ".parquet")
OLD_TERMS = {
    "cpp": (
        r"\bhand(s|ed)?( (out|s of))\b",  # chunk
        r"\bslopes?\b(?! of\b)",  # derivative; a leaky ReLU has a slope
        r"\bidle\b",  # zero columns, zero rows
        r"\bmeet(s|ings?)?\b",  # barrier
        r"\brooms?\b",  # folder, module
        r"\bmultiply_(at_b|a_bt)\b",  # gemm_tn, gemm_nt
        r"\blooks_at_columns\b|\bLiveColumns\b",
    ),
    "python": (
        r"\b(Run)?Keeper\b|\bkeeps_losses\b|\bcounts_penalty\b|\bdrops_partial\b",
        r"\btells_accuracy\b",
        r"\bmeetings?\b",
        r"\b(who|whoever) (looks? on|bears)\b",
    ),
    "documents": (
        r"\brooms\b(?!,|\s+number)",
        r"\bmeetings?\b",
        r"\bKeeper\b",
    ),
}
# American spelling. `centred` is a setting of RMSprop, in training states and configurations.
BRITISH = re.compile(
    r"\w*(normalis|initialis|optimis|regularis|serialis|recognis|penalis|standardis|summaris|"
    r"visualis|generalis|colour|behaviour|neighbour|labelled(?!by)|licence|favour|artefact|"
    r"modelling|cancelled(?!error))\w*|\bcentres?\b|\bgrey\b|\bfor ever\b",
    re.IGNORECASE,
)


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    names = [name for name in listed.stdout.split("\n") if name and not name.endswith(_SKIPPED)]
    return [
        name for name in names if (ROOT / name).is_file() and name != "tests/docs/test_words.py"
    ]


def found(pattern: str | re.Pattern[str], names: list[str]) -> list[str]:
    """Where a pattern occurs, as file, line and text."""
    places = []
    for name in names:
        try:
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if re.search(pattern, line):
                places.append(f"{name}:{number}: {line.strip()[:120]}")
    return places


@pytest.mark.parametrize(
    ("part", "term"), [(part, term) for part, terms in OLD_TERMS.items() for term in terms]
)
def test_old_terms_are_gone(part, term):
    files = tracked()
    if part == "documents":
        files = [name for name in files if name.endswith(".md")]
    else:
        folders = {"cpp": ("cpp/",), "python": ("python/", "tests/", "benchmarks/")}[part]
        files = [name for name in files if name.startswith(folders)]
    assert not found(term, files)


def test_spelling_is_american():
    assert not found(BRITISH, tracked())


def test_documents_have_no_output_of_a_failure_and_no_path_of_a_machine():
    documents = [name for name in tracked() if name.endswith(".md")]
    assert not found(r"Traceback \(most recent call last\)|/(root|home|work|tmp/w)/", documents)


def test_no_file_has_marks_of_a_merge():
    """Pages run as tests even with them."""
    assert not found(r"^(<{7}|={7}|>{7}|\|{7})( |$)", tracked())
