"""Servers to test: one per module, with the model that a test asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chat import images
from chat.client import use
from chat.servers import SERVERS, Server


@pytest.fixture(scope="module", params=list(SERVERS))
def start(request: pytest.FixtureRequest):
    return SERVERS[request.param]


@pytest.fixture(scope="module")
def running(start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start(tmp_path_factory.mktemp("server") / "models", images.answering()) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """A server whose model answers ``images.TEXT``."""
    use(running, "first", images.answering())
    return running


@pytest.fixture
def endless(running: Server) -> Server:
    """A server whose model generates for seconds."""
    use(running, "endless", images.endless())
    return running
