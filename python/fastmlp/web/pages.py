"""What the pages have alike: their style, and a policy that lets them load nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

__all__ = ["STYLE", "digest", "security_policy"]

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
"""Colors, text and focus of all pages."""


def digest(text: str) -> str:
    """Return the source by which a policy allows a script or style of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def security_policy(*, script: str, style: str, images: str) -> str:
    """Return a header Content-Security-Policy: the page may ask its own server alone.

    Parameters
    ----------
    script, style, images : str
        Sources of what the page runs and shows.
    """
    rules = {
        "default-src": "'none'",
        "script-src": script,
        "style-src": style,
        "img-src": images,
        "connect-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
