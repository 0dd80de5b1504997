"""The report of a run: one HTML file with its results, figures and settings."""

from fastmlp.report.build import write_report

__all__ = ["write_report"]
