"""A diagnosis of trainings: what went wrong, what a result is worth, and what cures it."""

from fastmlp.diagnosis.checks import CHECKS, diagnose
from fastmlp.diagnosis.evidence import Evidence, initial_parameters
from fastmlp.diagnosis.finding import LEVELS, Finding, tell

__all__ = ["CHECKS", "LEVELS", "Evidence", "Finding", "diagnose", "initial_parameters", "tell"]
