"""The limits of docs/PROTOCOL.md, "Limits and errors"."""

from __future__ import annotations

from typing import Final

MESSAGE_BYTES: Final = 65_536
QUEUE: Final = 256
"""Requests waiting."""
PER_CLIENT: Final = 16
"""Requests unanswered of one connection."""
CLIENTS: Final = 128
"""Connections."""
UPLOAD_BYTES: Final = 64_000_000
STALL_SECONDS: Final = 30.0
"""A body that does not come on for so long is given up."""
