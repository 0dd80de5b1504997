"""Random cases of the playground: other ones in each run."""

from __future__ import annotations

import os

import pytest

from support.random_networks import new_seed

# Printed with every failure; FASTMLP_SEED repeats a run.
FIRST = int(os.environ.get("FASTMLP_SEED") or new_seed())


@pytest.fixture
def seed(request):
    """The seed of a case, whose number is the parameter."""
    print(f"FASTMLP_SEED={FIRST}")
    return FIRST + request.param
