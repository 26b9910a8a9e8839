"""The queue of requests: every rule on which clients rely, and random orders of events against a simple model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware.core import SANITIZED, code_name, ffi, lib

NOBODY = 2**32 - 1


class Queue:
    """A queue in memory of exactly its size."""

    def __init__(self, connections: int = 4, waiting: int = 6, unanswered: int = 3, sessions: int = 1) -> None:
        entries, text_bytes = waiting + sessions, 40
        self._memory = [
            ffi.new("queue_connection[]", connections),
            ffi.new("queue_entry[]", entries),
            ffi.new("char[]", entries * text_bytes),
        ]
        self.struct = ffi.new("queue *")
        memory = {
            "connections": self._memory[0],
            "connection_count": connections,
            "entries": self._memory[1],
            "entry_count": entries,
            "texts": self._memory[2],
            "text_bytes": text_bytes,
            "most_waiting": waiting,
            "most_unanswered": unanswered,
        }
        lib.fw_queue_open(self.struct, ffi.new("queue_memory *", memory))

    def connect(self) -> int:
        return int(lib.fw_queue_connect(self.struct))

    def disconnect(self, connection: int) -> None:
        lib.fw_queue_disconnect(self.struct, connection)

    def push(self, connection: int, id_: int, prompt: bytes = b"hi", stops: tuple[bytes, ...] = ()) -> str | int:
        """How many are ahead, or the name of an error."""
        request, ahead = ffi.new("protocol_request *"), ffi.new("uint32_t *")
        kept = [ffi.new("char[]", prompt), *(ffi.new("char[]", stop) for stop in stops)]
        request.id, request.prompt, request.prompt_bytes, request.stop_count = id_, kept[0], len(prompt), len(stops)
        for i in range(len(stops)):
            request.stops[i] = kept[i + 1]
        code = lib.fw_queue_push(self.struct, connection, request, 7, ahead)
        for memory in kept:  # the queue has its own copy
            ffi.buffer(memory)[:] = b"\xff" * len(memory)
        return code_name(code) if code else int(ahead[0])

    def take(self) -> Any:
        entry = lib.fw_queue_take(self.struct)
        return entry or None

    def cancel(self, connection: int, id_: int) -> Any:
        entry = lib.fw_queue_cancel(self.struct, connection, id_)
        return entry or None


def name(entry: Any) -> tuple[int, int]:
    return entry.connection, entry.request.id


def test_a_request_is_kept_whole() -> None:
    queue = Queue()
    here = queue.connect()
    assert queue.push(here, 5, b"what\0is it", (b"stop", b"\n")) == 0
    entry = queue.take()
    request = entry.request
    assert bytes(ffi.buffer(request.prompt, request.prompt_bytes)) == b"what\0is it"
    assert [ffi.string(request.stops[i]) for i in range(request.stop_count)] == [b"stop", b"\n"]
    assert (name(entry), entry.note, entry.cancelled) == ((here, 5), 7, 0)


@pytest.mark.parametrize(
    ("prompt", "stops", "fits"), [(40, (), True), (41, (), False), (35, (4,), True), (36, (4,), False)]
)
def test_texts_that_do_not_fit_are_refused(prompt: int, stops: tuple[int, ...], fits: bool) -> None:
    queue = Queue()
    pushed = queue.push(queue.connect(), 0, b"x" * prompt, tuple(b"s" * length for length in stops))
    assert pushed == (0 if fits else "prompt")


def test_one_that_sends_many_delays_another_by_one_answer() -> None:
    queue = Queue()
    many = queue.connect()
    assert [queue.push(many, id_) for id_ in range(3)] == [0, 1, 2]
    running = queue.take()
    one = queue.connect()  # a newcomer
    assert queue.push(one, 9) == 1
    assert name(running) == (many, 0)
    assert [name(queue.take()) for _ in range(3)] == [(one, 9), (many, 1), (many, 2)]


def test_one_that_comes_and_goes_starves_nobody() -> None:
    queue = Queue()
    patient, other = queue.connect(), queue.connect()
    queue.push(other, 0)
    queue.push(patient, 0)
    queue.push(patient, 1)
    lib.fw_queue_release(queue.take())
    lib.fw_queue_release(queue.take())
    served = []
    for _ in range(4):  # a new connection for each question
        newcomer = queue.connect()
        queue.push(newcomer, 5)
        entry = queue.take()
        served.append(name(entry))
        lib.fw_queue_release(entry)
        queue.disconnect(newcomer)
    assert (patient, 1) in served[:2]


def test_limits() -> None:
    queue = Queue(connections=3, waiting=4, unanswered=2)
    a, b, c = (queue.connect() for _ in range(3))
    assert queue.connect() == NOBODY
    queue.push(a, 0)
    running = queue.take()
    assert queue.push(a, 0) == "id"  # still unanswered
    assert queue.push(a, 1) == 1
    assert queue.push(a, 2) == "busy"  # two of its own, with the one that runs
    assert [queue.push(b, 0), queue.push(b, 1), queue.push(c, 0)] == [1, 3, 2]
    assert queue.push(c, 1) == "busy"  # four wait
    lib.fw_queue_release(running)
    assert queue.push(a, 0) == "busy"
    queue.take()
    assert queue.push(c, 1) == 4


def test_cancel() -> None:
    queue = Queue()
    here, there = queue.connect(), queue.connect()
    queue.push(here, 0)
    queue.push(here, 1)
    running = queue.take()
    assert queue.cancel(there, 1) is None  # somebody else's
    assert queue.cancel(here, 7) is None
    waiting = queue.cancel(here, 1)
    assert (name(waiting), waiting.cancelled) == ((here, 1), 1)
    lib.fw_queue_release(waiting)
    assert running.cancelled == 0
    assert queue.cancel(here, 0) is None
    assert running.cancelled == 1
    assert queue.take() is None


def test_a_connection_that_goes_leaves_nothing_to_its_successor() -> None:
    queue = Queue(connections=1)
    gone = queue.connect()
    queue.push(gone, 0)
    queue.push(gone, 1)
    running = queue.take()
    queue.disconnect(gone)
    assert (running.connection, running.cancelled) == (NOBODY, 1)
    successor = queue.connect()
    assert successor == gone
    assert queue.cancel(successor, 1) is None
    assert queue.push(successor, 0) == 1
    assert running.connection == NOBODY
    lib.fw_queue_release(running)
    assert name(queue.take()) == (successor, 0)
    assert queue.take() is None


class AnyOrder(RuleBasedStateMachine):
    """Every accepted request is handed out exactly once, in turns, unless its connection goes first."""

    CONNECTIONS, WAITING, UNANSWERED = 4, 6, 3

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(self.CONNECTIONS, self.WAITING, self.UNANSWERED, sessions=2)
        self.open: dict[int, float] = {}  # when it was served last
        self.waiting: list[tuple[int, int]] = []
        self.taken: list[tuple[tuple[int, int] | None, Any]] = []  # None: its connection has gone
        self.clock = 1

    def _unanswered(self, connection: int) -> list[int]:
        running = [owner for owner, _ in self.taken if owner]
        return [id_ for owner, id_ in [*self.waiting, *running] if owner == connection]

    def _order(self) -> list[tuple[int, int]]:
        """All that wait, in the order in which they will be answered if nothing else happens."""
        turns, left, order, clock = dict(self.open), list(self.waiting), [], self.clock
        while left:
            first = min(left, key=lambda request: (turns[request[0]], left.index(request)))
            left.remove(first)
            order.append(first)
            clock += 1
            turns[first[0]] = clock
        return order

    @rule()
    def connect(self) -> None:
        connection = self.queue.connect()
        if len(self.open) == self.CONNECTIONS:
            assert connection == NOBODY
        else:
            assert connection not in self.open
            self.open[connection] = self.clock - 1

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(sorted(self.open)))
        self.queue.disconnect(gone)
        del self.open[gone]
        self.waiting = [request for request in self.waiting if request[0] != gone]
        self.taken = [(None if owner and owner[0] == gone else owner, entry) for owner, entry in self.taken]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), id_=st.integers(0, 3))
    def push(self, data: st.DataObject, id_: int) -> None:
        connection = data.draw(st.sampled_from(sorted(self.open)))
        own = self._unanswered(connection)
        pushed = self.queue.push(connection, id_)
        full = len(self.waiting) == self.WAITING or len(self.waiting) + len(self.taken) == self.WAITING + 2
        if id_ in own:
            assert pushed == "id"
        elif full or len(own) == self.UNANSWERED:
            assert pushed == "busy"
        else:
            self.waiting.append((connection, id_))
            assert pushed == len(self.taken) + self._order().index((connection, id_))

    @rule()
    def take(self) -> None:
        entry, order = self.queue.take(), self._order()
        if not order:
            assert entry is None
            return
        assert name(entry) == order[0]
        self.waiting.remove(order[0])
        self.taken.append((order[0], entry))
        self.clock += 1
        self.open[order[0][0]] = self.clock

    @precondition(lambda self: self.open)
    @rule(data=st.data(), id_=st.integers(0, 3))
    def cancel(self, data: st.DataObject, id_: int) -> None:
        request = (data.draw(st.sampled_from(sorted(self.open))), id_)
        entry = self.queue.cancel(*request)
        if request in self.waiting:
            assert name(entry) == request
            self.waiting.remove(request)
            lib.fw_queue_release(entry)
        else:
            assert entry is None
            assert all(entry.cancelled for owner, entry in self.taken if owner == request)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        _, entry = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        lib.fw_queue_release(entry)

    @invariant()
    def what_runs_knows_its_connection(self) -> None:
        assert lib.fw_queue_waiting(self.queue.struct) == len(self.waiting)
        for owner, entry in self.taken:
            assert entry.connection == (owner[0] if owner else NOBODY)
            assert owner or entry.cancelled


AnyOrder.TestCase.settings = settings(max_examples=15 if SANITIZED else 60, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
