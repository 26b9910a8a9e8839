"""The names under which boards and servers store images."""

from __future__ import annotations

import re
from typing import Final

RULE: Final = "1 to 32 of a-z A-Z 0-9 . _ -, and no dot first"

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,32}")


def is_name(name: str) -> bool:
    """Whether an image may have this name; :data:`RULE` states the rule."""
    return _NAME.fullmatch(name) is not None
