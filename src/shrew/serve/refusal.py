"""The error codes of the protocol."""

from __future__ import annotations

from typing import Any, Final

#: The HTTP status of each code.
STATUS: Final = {
    "json": 400,
    "message": 400,
    "value": 400,
    "id": 400,
    "prompt": 400,
    "name": 400,
    "token": 401,
    "origin": 403,
    "not_found": 404,
    "method": 405,
    "timeout": 408,
    "in_use": 409,
    "length": 411,
    "size": 413,
    "image": 422,
    "busy": 429,
    "engine": 500,
    "no_model": 503,
    "frame": 400,  # only on a WebSocket
}


class Refusal(Exception):
    """A refused request: an error code for programs and one line for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code]

    def body(self) -> dict[str, Any]:
        """The body of the HTTP response. ``type`` is for OpenAI clients."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"code": self.code, "message": self.message, "type": kind}}
