"""The version of this release, which pyproject.toml reads here."""

__version__ = "0.2.0"
