"""Bodies of HTTP requests, with a limit of size and a timeout."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from shrew.serve import limits
from shrew.serve.message import decode, require_unique
from shrew.serve.refusal import Refusal


def declared_bytes(http: Request) -> int | None:
    """The value of ``Content-Length``, or None. The HTTP parser has already refused invalid numbers."""
    length = http.headers.get("content-length")
    return None if length is None else int(length)


async def body(http: Request, limit: int) -> bytes:
    """Reads the whole body. Refusal if it exceeds the limit or stalls."""
    received = bytearray()
    _require(declared_bytes(http) or 0, limit)
    chunks = aiter(http.stream())
    while True:
        try:
            async with asyncio.timeout(limits.STALL_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise Refusal("timeout", f"nothing came for {limits.STALL_SECONDS:.0f} seconds") from None
        if chunk is None:
            return bytes(received)
        received += chunk
        _require(len(received), limit)


async def json_object(http: Request) -> dict[str, Any]:
    """Reads a body that is one JSON object without repeated fields. Refusal otherwise."""
    data = await body(http, limits.MESSAGE_BYTES)
    message = decode(data)
    require_unique(data)
    return message


def _require(size: int, limit: int) -> None:
    if size > limit:
        raise Refusal("size", f"the body has more than {limit:,} bytes")
