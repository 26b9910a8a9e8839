"""Many clients at once, including bad ones: each accepted request is answered once, and nothing leaks."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

from chat.client import chat, info
from chat.servers import Server
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CLIENTS = 10
REQUESTS = 1000
"""Requests per client."""

#: One message in a hundred is one of these, with the code of its error. All end the connection.
DEADLY = {"binary": "frame", "long": "size", "drop": None}
HARMLESS = {"{": "json", '{"type": "generate", "id": 4000000000, "prompt": ""}': "prompt", '{"type": "?"}': "message"}


class Visitor:
    """One client: several unanswered requests, some cancelled, some invalid messages, some dropped connections."""

    def __init__(self, server: Server, limits: dict[str, int], seed: int) -> None:
        self.url = f"ws://{server.host}/ws"
        self.limits = limits
        self.window = max(1, min(4, limits["per_client"], limits["queue"] // CLIENTS))
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.unanswered: set[int] = set()
        self.errors: list[str | None] = []
        self.asked = 0
        self.news = asyncio.Event()

    async def run(self, requests: int) -> None:
        while self.asked < requests:
            async with connect(self.url, ping_interval=None, max_queue=None) as socket:
                reader = asyncio.create_task(self.read(socket))
                await self.talk(socket, requests)
                await reader
            assert not self.errors
            self.unanswered.clear()

    async def talk(self, socket: ClientConnection, requests: int) -> None:
        """Runs until a message ends the connection, or all requests are answered."""
        while self.asked < requests:
            if len(self.unanswered) >= self.window:
                await self.heard()
                continue
            if self.random.random() < 0.01:
                await self.kill(socket, self.random.choice(list(DEADLY)))
                return
            if self.random.random() < 0.05:
                text = self.random.choice(list(HARMLESS))
                self.errors.append(HARMLESS[text])
                await socket.send(text)
            await self.ask(socket)
        while self.unanswered or self.errors:
            await self.heard()
        await socket.close()

    async def heard(self) -> None:
        """Waits for the next message."""
        self.news.clear()
        await self.news.wait()

    async def ask(self, socket: ClientConnection) -> None:
        self.asked += 1
        self.unanswered.add(self.asked)
        cancelled = self.random.random() < 0.2
        question = {"type": "generate", "id": self.asked, "prompt": "hello", "max_tokens": 3000 if cancelled else 3}
        await socket.send(json.dumps(question))
        if cancelled:
            await asyncio.sleep(self.random.choice((0, 0, 0.01)))
            await socket.send(json.dumps({"type": "cancel", "id": self.asked}))

    async def kill(self, socket: ClientConnection, way: str) -> None:
        self.counts[way] += 1
        if way == "drop":
            self.errors.clear()
            socket.transport.abort()
            return
        self.errors.append(DEADLY[way])
        await socket.send(b"binary" if way == "binary" else " " * (self.limits["message_bytes"] + 1))

    async def read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "error":
                    assert message["code"] == self.errors.pop(0)
                elif message["type"] == "done":
                    self.unanswered.remove(message["id"])  # once, or this raises
                    self.counts[message["reason"]] += 1
                else:
                    assert message["id"] in self.unanswered
                self.news.set()
        except ConnectionClosed:
            pass


async def visit(server: Server, requests: int) -> Counter[str]:
    """Runs all clients at once, and returns the sum of their counts."""
    limits = info(server)["limits"]
    visitors = [Visitor(server, limits, seed) for seed in range(CLIENTS)]
    await asyncio.gather(*(visitor.run(requests) for visitor in visitors))
    return sum((visitor.counts for visitor in visitors), Counter())


def test_each_accepted_request_is_answered_once_and_nothing_is_left(endless: Server) -> None:
    asyncio.run(visit(endless, REQUESTS // 10))
    before = endless.memory_bytes()
    counts = asyncio.run(visit(endless, REQUESTS))
    grown = endless.memory_bytes() - before
    print(f"{counts}, {before:,} bytes, {grown:,} more")
    assert min(counts[met] for met in ("length", "cancelled", *DEADLY)) > 0
    assert counts["length"] + counts["cancelled"] > 0.9 * CLIENTS * REQUESTS
    assert grown < 4_000_000, f"{grown:,} bytes more than before {CLIENTS * REQUESTS:,} requests"
    with chat(endless) as client:
        assert client.ask(max_tokens=2)[0] == "ab"
