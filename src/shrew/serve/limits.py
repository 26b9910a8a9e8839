"""The limits of docs/PROTOCOL.md, "Limits and errors"."""

from __future__ import annotations

from typing import Final

MESSAGE_BYTES: Final = 65_536
QUEUE: Final = 256
"""Limit of waiting requests."""
PER_CLIENT: Final = 16
"""Limit of unanswered requests per connection."""
CLIENTS: Final = 128
"""Limit of connections."""
UPLOAD_BYTES: Final = 64_000_000
STALL_SECONDS: Final = 30.0
"""A request is given up if no part of its body arrives for this long."""
