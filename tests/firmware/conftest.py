"""Under sanitizers, tests run fewer examples."""

from __future__ import annotations

from hypothesis import settings

from firmware.core import SANITIZED

settings.register_profile("sanitized", max_examples=20, deadline=None)
if SANITIZED:
    settings.load_profile("sanitized")
