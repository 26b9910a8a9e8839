"""Under sanitizers fewer examples have to do."""

from __future__ import annotations

from hypothesis import settings

from firmware.core import SANITIZED

settings.register_profile("sanitized", max_examples=20, deadline=None)
if SANITIZED:
    settings.load_profile("sanitized")
