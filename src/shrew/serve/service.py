"""The state of the server, shared by all kinds of clients."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shrew import __version__
from shrew.engine import Model
from shrew.serve import limits
from shrew.serve.answering import Answering, Loaded
from shrew.serve.message import DEFAULTS, Defaults, checked
from shrew.serve.models import Models, require_name
from shrew.serve.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of ``shrew serve``."""

    image: Path | None
    folder: Path
    host: str
    port: int
    sessions: int
    threads: int
    token: str


class Service:
    """The loaded model, the stored ones, and the defaults. Used on the event loop; files and engine run on threads."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.models = Models(options.folder, options.image)
        self.answering = Answering(options.sessions)
        self.defaults = Defaults()
        self.watchers: set[Callable[[], None]] = set()
        self.clients = 0
        self._started = time.monotonic()
        self._changing = asyncio.Lock()

    async def info(self) -> dict[str, Any]:
        stored = await asyncio.to_thread(self.models.list)
        loaded = self.answering.loaded
        memory = {"session": loaded.session_bytes, "image": loaded.facts["bytes"]} if loaded else {}
        return {
            "protocol": 1,
            "version": __version__,
            "device": "host",
            "model": loaded.facts if loaded else None,
            "models": [{**model, "active": loaded is not None and model["name"] == loaded.name} for model in stored],
            "defaults": asdict(self.defaults),
            "limits": {
                "message_bytes": limits.MESSAGE_BYTES,
                "prompt_bytes": loaded.prompt_bytes if loaded else 0,
                "queue": limits.QUEUE,
                "per_client": limits.PER_CLIENT,
                "clients": limits.CLIENTS,
                "upload_bytes": limits.UPLOAD_BYTES,
            },
            "memory": memory,
            "uptime_s": int(time.monotonic() - self._started),
            "requests": self.answering.answered,
        }

    def require_token(self, authorization: str) -> None:
        """Refuses a request whose ``Authorization`` does not have the token."""
        given = authorization.encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {self.options.token}".encode()):
            raise Refusal("token", "the token is missing or wrong; shrew serve printed it at its start")

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        self.defaults = replace(self.defaults, **checked(values, DEFAULTS))
        self._changed()

    async def start(self) -> None:
        """Loads the image named on the command line. ShrewError, which names the file, if that fails."""
        if self.options.image is not None and self.models.named is not None:
            self.answering.use(self._loaded(self.models.named, Model.open(self.options.image)))

    async def load(self, name: str) -> None:
        """Loads a stored image. The old one stays if that fails. Refusal."""
        require_name(name)
        async with self._changing:
            self.answering.use(await asyncio.to_thread(self._open, name))
        self._changed()

    def _open(self, name: str) -> Loaded:
        return self._loaded(name, self.models.open(name))

    def _loaded(self, name: str, model: Model) -> Loaded:
        return Loaded(name, model, self.options.sessions, self.options.threads)

    def uploading(self, name: str) -> asyncio.Lock:
        """The lock that an upload holds from its first byte to its last. Refusal if it cannot begin."""
        self._require_idle(name)
        if self._changing.locked():
            raise Refusal("in_use", "another upload is under way; wait for its end")
        return self._changing

    async def store(self, name: str, image: bytes) -> None:
        """Stores an image. The caller must hold :meth:`uploading`. Refusal if that fails."""
        await asyncio.to_thread(self.models.store, name, image)
        self._changed()

    async def delete(self, name: str) -> None:
        """Removes a stored image. Refusal if that fails."""
        async with self._changing:
            self._require_idle(name)
            await asyncio.to_thread(self.models.delete, name)
        self._changed()

    def _require_idle(self, name: str) -> None:
        require_name(name)
        if self.answering.loaded and name == self.answering.loaded.name:
            raise Refusal("in_use", f"{name} is the model that answers; load another one first, or use another name")

    def _changed(self) -> None:
        for watcher in self.watchers:
            watcher()
