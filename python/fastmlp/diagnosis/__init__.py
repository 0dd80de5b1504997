"""A diagnosis of trainings: what went wrong, what a result is worth, and what cures it."""

from fastmlp.diagnosis.checks import CHECKS, diagnose, is_worth_a_look
from fastmlp.diagnosis.evidence import Evidence, initial_parameters
from fastmlp.diagnosis.finding import LEVELS, Finding, tell

__all__ = [
    "CHECKS", "LEVELS", "Evidence", "Finding", "diagnose", "initial_parameters",
    "is_worth_a_look", "tell",
]  # fmt: skip
