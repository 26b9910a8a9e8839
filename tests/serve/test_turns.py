"""Whose turn it is, against a queue that is obviously right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shrew.serve.turns import Turns

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3)),
        st.just(("next", 0)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
    )
)


@given(steps)
def test_clients_take_turns_and_each_keeps_its_order(steps: list[tuple[str, int]]) -> None:
    turns: Turns[int, int] = Turns()
    order: list[int] = []  # clients, the next one first
    waiting: dict[int, list[int]] = {client: [] for client in range(4)}
    owner: dict[int, int] = {}

    def pop() -> int | None:
        if not order:
            return None
        client = order.pop(0)
        if len(waiting[client]) > 1:
            order.append(client)
        return waiting[client].pop(0)

    for step, value in steps:
        if step == "add":
            item = len(owner)
            owner[item] = value
            if not waiting[value]:
                order.append(value)
            waiting[value].append(item)
            ahead = turns.add(value, item)
            snapshot = list(order), {client: list(items) for client, items in waiting.items()}
            assert [pop() for _ in range(ahead + 1)][-1] == item
            order, waiting = snapshot
        elif step == "next":
            assert turns.next() == pop()
        elif value in owner:
            client = owner[value]
            waits = value in waiting[client]
            assert turns.remove(client, value) == waits
            if waits:
                waiting[client].remove(value)
                if not waiting[client]:
                    order.remove(client)
        assert len(turns) == sum(map(len, waiting.values()))
    while (item := turns.next()) is not None:
        assert item == pop()
    assert not order
