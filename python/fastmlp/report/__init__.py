"""What a run did and how good its model is, as one HTML file for people to read and keep."""

from fastmlp.report.build import write_report

__all__ = ["write_report"]
