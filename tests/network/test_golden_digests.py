"""The bits of trainings on every platform: those of `golden_digests.json`.

If they differ here, this build computes other bits than all others. If a change of bits is wanted,
`python -m support.golden write` records them, and a line of CHANGELOG.md tells users.
"""

from __future__ import annotations

import pytest

from fastmlp import _core
from support import golden
from support.child_process import run_python

COMPARE = "import sys; sys.argv[1:] = ['compare']; from support import golden; golden.main()"


def test_the_file_has_the_trainings():
    assert list(golden.recorded()) == list(golden.TRAININGS)


@pytest.mark.parametrize("name", golden.TRAININGS)
def test_a_training_has_the_recorded_bits(name):
    assert golden.TRAININGS[name](1) == golden.recorded()[name]


@pytest.mark.parametrize("isa", _core.isas())
def test_every_instruction_set_has_the_recorded_bits(isa):
    ended = run_python(COMPARE, FASTMLP_ISA=isa)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith(isa)


@pytest.mark.skipif(not golden.CHANGELOG.is_file(), reason="needs a source checkout")
def test_a_change_of_bits_has_a_line_in_the_changelog():
    wanted = golden.fingerprint(golden.recorded())
    assert golden.told_fingerprint() == wanted, (
        "CHANGELOG.md must tell what changes bits, in a line above all older ones that ends with: "
        f"Fingerprint of the bits: `{wanted}`."
    )
